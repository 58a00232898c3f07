"""Objectives: what a step minimises."""

from __future__ import annotations

import pytest
import torch

from noiseless import losses, networks
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.noise import parse
from noiseless.training import objectives
from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch


def batch(sigma: float) -> Batch:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 1, 16, 16, generator=generator)
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
    return Batch(noisy, clean, torch.full((2, 1, 1, 1), sigma))


class Same(torch.nn.Module):
    """Returns its input."""

    spec = networks.create("unet_nano", channels=1).spec

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x


def loss_at(name: str, sigma: float) -> float:
    objective = objectives.create(name, losses.parse("l1"))
    return float(objective(Same(), batch(sigma), torch.Generator())[0])


def test_supervised_compares_with_the_clean_image() -> None:
    noisy = batch(0.1)
    assert loss_at("supervised", 0.1) == pytest.approx(float((noisy.noisy - noisy.target).abs().mean()), rel=1e-5)


def test_a_plain_loss_is_that_of_the_strongest_noise_and_a_balanced_one_is_not() -> None:
    assert loss_at("supervised", 0.2) / loss_at("supervised", 0.02) == pytest.approx(10, rel=0.01)
    grown = 10**0.6  # how much larger the error after restoring is at ten times the noise
    assert loss_at("balanced", 0.2) / loss_at("balanced", 0.02) / (10 / grown) == pytest.approx(1, rel=0.2)


def test_balanced_needs_a_level() -> None:
    objective = objectives.create("balanced", losses.parse("l1"))
    known = batch(0.1)
    with pytest.raises(ConfigError, match="noise level"):
        objective(Same(), Batch(known.noisy, known.target), torch.Generator())


def test_unknown_names_list_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="supervised"):
        objectives.create("supervise", losses.parse("l1"))


@pytest.mark.parametrize("name", ["zero-shot", "neighbor2neighbor"])
def test_patches_that_nothing_is_left_of_are_said_to_be_too_small(name: str) -> None:
    noise = KnownNoise.of(parse("correlated:sigma=0.1,length=2"), 1)
    objective = objectives.create(name, losses.parse("l1"), noise)
    known = batch(0.1)
    small = Batch(known.noisy[..., :4, :4], known.target[..., :4, :4])
    with pytest.raises(ConfigError, match="patches are too small to be taken apart: got 1 pixels"):
        objective(Same(), small, torch.Generator())
