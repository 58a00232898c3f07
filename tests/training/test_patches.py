from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest

from noiseless.bundle import NetworkSpec
from noiseless.calibration import told_level
from noiseless.calibration.telling import Told
from noiseless.noise import parse
from noiseless.training.config import Stage, TrainingConfig
from noiseless.training.patches import (
    CleanPatches,
    NoisyPatches,
    PairPatches,
    in_turn,
    make_batch,
    pair_levels,
    prefetch,
)
from noiseless.training.validation import pair_examples


@pytest.mark.parametrize("ahead", [in_turn, prefetch])
class TestBatchesAhead:
    def test_come_in_order_from_the_first(self, ahead: Any) -> None:
        with closing(ahead(lambda step: 10 * step, 3)) as batches:
            assert [next(batches) for _ in range(6)] == [30, 40, 50, 60, 70, 80]

    def test_hand_on_what_goes_wrong(self, ahead: Any) -> None:
        def fails(step: int) -> int:
            if step == 2:
                raise ValueError("no such step")
            return step

        with closing(ahead(fails, 0)) as batches:
            assert [next(batches), next(batches)] == [0, 1]
            with pytest.raises(ValueError, match="no such step"):
                next(batches)


def test_a_processor_that_trains_makes_no_batch_that_nobody_asked_for() -> None:
    made: list[int] = []
    with closing(in_turn(made.append, 0)) as batches:  # type: ignore[arg-type]
        next(batches)
        next(batches)
    assert made == [0, 1]


@pytest.mark.parametrize("told_error", [0.0, 0.1])
def test_the_level_that_is_told_is_as_wrong_as_asked(told_error: float) -> None:
    images = [np.full((1, 32, 32), 128, np.uint8)]
    patches = CleanPatches(images, parse("gaussian:25.5"), 1, TrainingConfig(tone=0, told_error=told_error))
    drawn = [patches.draw(np.random.default_rng(seed), 16) for seed in range(200)]
    told = np.array([patch.sigma.max() for patch in drawn if patch.sigma is not None])
    assert np.std([patch.noisy - patch.target for patch in drawn]) == pytest.approx(0.1, rel=0.02)
    assert told.mean() == pytest.approx(0.1, rel=0.02)
    assert np.ptp(told) == pytest.approx(0.2 * told_error, rel=0.1, abs=1e-6)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_level_that_is_told_of_a_pair_varies_as_asked(spread: float) -> None:
    """Else it names the image to a network that learns from few, and it learns them by heart."""
    images = [np.full((1, 32, 32), 128, np.uint8)]
    levels = [Told(parse("gaussian:25.5"), None)]
    patches = PairPatches(images, images, 1, TrainingConfig(told_spread=spread), levels)
    drawn = [patches.draw(np.random.default_rng(seed), 16).sigma for seed in range(400)]
    told = np.log([sigma.max() for sigma in drawn if sigma is not None])
    assert told.mean() == pytest.approx(np.log(0.1), abs=0.05)
    assert told.std() == pytest.approx(spread, rel=0.1, abs=1e-6)


SPEC = NetworkSpec(channels=1, multiple_of=2, minimum_size=2, halo=4, conditioning="sigma")


@pytest.mark.parametrize(
    "spec", ["gaussian:20", "correlated:sigma=0.08,length=1.2", "poisson-gaussian:gain=0.03,read=0"]
)
def test_a_network_is_told_in_training_what_it_will_be_told_in_use(spec: str) -> None:
    """Else one that adapts to correlated noise learns that a faint level stands for strong noise."""
    ramp = np.broadcast_to(np.linspace(0.1, 0.9, 160, dtype=np.float32), (1, 160, 160))
    noisy = parse(spec).sample(ramp, np.random.default_rng(0))
    auto = told_level(noisy[None])[0]
    levels = pair_levels([noisy], SPEC)
    assert levels is not None
    whole = PairPatches([noisy], [ramp], 1, TrainingConfig(), levels).draw(np.random.default_rng(0), 160)
    alone = NoisyPatches([noisy], 1, levels).draw(np.random.default_rng(0), 160)
    example = pair_examples([noisy], [ramp], SPEC, size=160)[0]
    for told in (whole.sigma, alone.sigma, example.sigma):
        assert told is not None
        assert np.sort(told, axis=None) == pytest.approx(np.sort(auto, axis=None), rel=1e-4)
    made = CleanPatches([ramp], parse(spec), 1, TrainingConfig(tone=0)).draw(np.random.default_rng(0), 64)
    assert made.sigma is not None
    assert made.sigma.mean() == pytest.approx(float(auto.mean()), rel=0.35)


def test_a_batch_of_maps_and_levels_is_a_batch_of_maps() -> None:
    ramp = np.broadcast_to(np.linspace(0.1, 0.9, 96, dtype=np.float32), (1, 96, 96))
    specs = ("gaussian:20", "poisson-gaussian:gain=0.05,read=0")
    noisy = [parse(spec).sample(ramp, np.random.default_rng(0)) for spec in specs]
    levels = pair_levels(noisy, SPEC)
    assert levels is not None
    assert {level.level is None for level in levels} == {True, False}
    batch = make_batch(NoisyPatches(noisy, 1, levels), Stage(0.0, 32, 8), 0, 0, slice(None))
    assert batch.sigma is not None
    assert batch.sigma.shape == batch.noisy.shape
