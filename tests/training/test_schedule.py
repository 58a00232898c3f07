"""Learning-rate schedules."""

from __future__ import annotations

import pytest

from noiseless.errors import UnknownNameError
from noiseless.training.config import TrainingConfig
from noiseless.training.schedule import learning_rate


def test_cosine_falls_from_lr_to_final_lr() -> None:
    config = TrainingConfig(lr=1.0, warmup=0.0, final_lr=0.1)
    rates = [learning_rate(share / 10, config) for share in range(11)]
    assert rates[0] == pytest.approx(1.0)
    assert rates[5] == pytest.approx(0.55)
    assert rates[10] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)


def test_step_decays_at_the_named_shares() -> None:
    config = TrainingConfig(lr=1.0, warmup=0.0, schedule="step", decay=0.1, decay_at=(0.5, 0.75))
    assert [learning_rate(share, config) for share in (0.4, 0.5, 0.8)] == pytest.approx([1.0, 0.1, 0.01])


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "plateau"])
def test_warmup_rises_from_nearly_zero(schedule: str) -> None:
    config = TrainingConfig(lr=1.0, warmup=0.1, schedule=schedule)
    assert 0 < learning_rate(0.0, config) < 0.01
    assert learning_rate(0.05, config) == pytest.approx(0.5, abs=0.02)
    assert learning_rate(0.1, config) > 0.95


def test_plateau_factor_scales_the_rate() -> None:
    config = TrainingConfig(lr=1.0, warmup=0.0, schedule="plateau")
    assert learning_rate(0.5, config, plateau_factor=0.25) == pytest.approx(0.25)


def test_unknown_schedule_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="cosine"):
        learning_rate(0.5, TrainingConfig(schedule="cosin"))
