"""Between the old weights and the new: as much of the change as what is to be kept allows."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import noiseless
from noiseless.finetuning import KeepConfig, default_config, load_adapter
from noiseless.finetuning.base import find_base
from noiseless.finetuning.holding import Holding, largest_share
from noiseless.finetuning.keeping import remember
from noiseless.finetuning.run import run_finetuning
from noiseless.training.config import DataConfig

MOST = 0.05


@pytest.mark.parametrize(("curvature", "low", "high"), [(0.01, 1, 1), (0.2, 0.4, 0.5), (50, 0.025, 0.032)])
def test_the_largest_share(curvature: float, low: float, high: float) -> None:
    """Of a loss that is a parabola, as it about is; 0 where there is none."""
    assert low <= largest_share(lambda share: curvature * share**2, MOST) <= high
    assert largest_share(lambda share: 1.0, MOST) == 0


def holding(base: Path, data: DataConfig, folder: Path) -> tuple[Holding, torch.nn.Module]:
    known = find_base(base)
    config = default_config("full")
    config = replace(
        config, keep=KeepConfig("replay", data=data.clean), training=replace(config.training, patch_size=32)
    )
    network = known.network().requires_grad_(False)
    return Holding(remember(network, known, config, folder), copy.deepcopy(network.state_dict()), MOST), network


def test_a_network_is_taken_back_as_far_as_it_must(base: Path, data: DataConfig, tmp_path: Path) -> None:
    hold, network = holding(base, data, tmp_path)
    generator = torch.Generator().manual_seed(0)
    direction = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in network.state_dict().items()}

    def moved(by: float) -> torch.nn.Module:
        other = copy.deepcopy(network)
        other.load_state_dict({name: tensor + by * direction[name] for name, tensor in hold.before.items()})
        return other

    far = moved(0.05)
    assert hold.lost(far) > 10 * MOST
    held = hold(far)
    assert 0.25 * MOST < hold.lost(held) <= MOST
    assert 0 < hold.share < 1
    for name, tensor in held.state_dict().items():
        torch.testing.assert_close(
            tensor - hold.before[name], hold.share * 0.05 * direction[name], atol=1e-5, rtol=1e-3
        )
    near = moved(1e-5)
    assert all(
        torch.equal(one, near.state_dict()[name]) for name, one in hold(copy.deepcopy(near)).state_dict().items()
    )
    assert hold.share == 1


def test_a_run_that_keeps_loses_hardly_anything(base: Path, data: DataConfig, tmp_path: Path) -> None:
    """At a rate that makes it forget; the merged model is the base with its adapter all the same."""
    config = default_config("lora")
    quick = {"patch_size": 32, "batch_size": 4, "validations": 2, "accelerator": "cpu", "precision": "float32"}
    training = replace(config.training, lr=3e-2, **quick)  # type: ignore[arg-type]
    keep = KeepConfig("l2sp", strength=0.0, data=data.clean)
    config = replace(config, data=data, noise="rician:sigma=0.15", steps=20, training=training, keep=keep)
    hold, _ = holding(base, data, tmp_path)

    def lost(folder: str) -> float:
        return hold.lost(find_base(tmp_path / folder).network())

    held = run_finetuning(base, config, tmp_path / "held")
    free = run_finetuning(base, replace(config, keep=replace(keep, most_lost=99.0)), tmp_path / "free")
    assert 0 < held.gain < free.gain
    assert lost("held") < 1.5 * MOST < 10 * MOST < lost("free")
    noisy = (0.5 + 0.2 * np.random.default_rng(0).standard_normal((40, 48))).astype(np.float32)
    whole, best = load_adapter(tmp_path / "held"), noiseless.load(tmp_path / "held")
    np.testing.assert_allclose(whole(noisy, noise="gaussian:30"), best(noisy, noise="gaussian:30"), atol=2e-3)
