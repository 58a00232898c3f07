"""Adversarial training: what it attacks, that it hardens, that it is an option."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import tiny_runs
from noiseless.errors import ConfigError, SpecError
from noiseless.evaluation import evaluate
from noiseless.training.adversarial import hardened
from noiseless.training.config import DataConfig
from noiseless.training.objectives import Batch
from noiseless.training.run import run_training


def test_the_first_half_of_a_batch_is_attacked() -> None:
    seen: list[Tensor] = []

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        seen.append(batch.noisy.detach())
        return (batch.noisy - batch.target).square().mean(), {}

    batch = Batch(torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8))
    network = nn.Identity()
    assert hardened(objective, "", network, nullcontext) is objective
    attacked = hardened(objective, "pgd:8/255,steps=3", network, nullcontext)
    loss, _ = attacked(network, batch, torch.Generator().manual_seed(0))
    change = seen[-1] - batch.noisy
    assert len(seen) == 4
    assert change[:3].abs().max() <= 8 / 255 + 1e-6
    assert change[:3].abs().mean() > 6 / 255
    assert not change[3:].any()
    assert loss > (batch.noisy - batch.target).square().mean()


def test_a_hardened_network_falls_less(tmp_path: Path) -> None:
    data = tiny_runs.stores(tmp_path)
    falls = {}
    for name, adversarial in (("plain", ""), ("hardened", "pgd:12/255")):
        run_training(tiny_runs.config(data, steps=120, adversarial=adversarial), tmp_path / name)
        made = evaluate(
            tmp_path / name, clean=data.validation, noise="gaussian:30", attack="pgd:12/255,steps=5", metrics=("psnr",)
        )
        plain, under = (result.interval("psnr").mean for result in made.results)
        falls[name] = plain - under
    assert falls["hardened"] < falls["plain"]


def test_mixed_precision(tmp_path: Path) -> None:
    config = tiny_runs.config(tiny_runs.stores(tmp_path), steps=2, adversarial="pgd:2/255")
    config = replace(config, training=replace(config.training, precision="bf16"))
    assert run_training(config, tmp_path / "run").step == 2


def test_what_cannot_be_hardened_is_said_first(tmp_path: Path) -> None:
    data = tiny_runs.stores(tmp_path)
    with pytest.raises(SpecError, match="attack"):
        run_training(tiny_runs.config(data, adversarial="pgd:x"), tmp_path / "run")
    with pytest.raises(ConfigError, match="needs clean images"):
        run_training(tiny_runs.config(data, adversarial="pgd:2/255", objective="noise2void"), tmp_path / "run")
    with pytest.raises(ConfigError, match="needs clean images: got images without"):
        run_training(tiny_runs.config(DataConfig(noisy=data.clean), adversarial="pgd:2/255"), tmp_path / "run")
