"""What holds of every loss in the table."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from noiseless.losses import LOSSES, find, parse

SIDE = {"ms_ssim": 176}
"""Patch sides that a loss needs; 16 is enough for the others."""


def pair(name: str, *, channels: int = 1, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    side = SIDE.get(name, 16)
    target = torch.rand(1, channels, side, side, generator=generator, dtype=dtype)
    noise = torch.randn(target.shape, generator=generator, dtype=dtype)
    return target + 0.1 * noise, target


@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    def test_is_zero_at_equality_with_a_finite_gradient(self, name: str) -> None:
        _, target = pair(name, channels=3)
        prediction = target.clone().requires_grad_()
        value = find(name)(prediction, target)
        value.backward()
        assert value.shape == ()
        assert value.item() == pytest.approx(0, abs=1e-9)
        assert prediction.grad is not None
        assert torch.isfinite(prediction.grad).all()

    def test_is_above_zero_elsewhere_and_grows_with_the_error(self, name: str) -> None:
        prediction, target = pair(name, channels=3)
        halfway = (prediction + target) / 2
        assert find(name)(prediction, target) > find(name)(halfway, target) > 0

    def test_gradient_is_the_derivative(self, name: str) -> None:
        prediction, target = pair(name)
        function = find(name)
        assert torch.autograd.gradcheck(
            lambda value: function(value, target), (prediction.requires_grad_(),), fast_mode=name in SIDE
        )

    def test_descending_it_finds_the_target(self, name: str) -> None:
        prediction, target = pair(name, dtype=torch.float32)
        prediction.requires_grad_()
        optimizer = torch.optim.Adam([prediction], lr=0.01)
        start = find(name)(prediction, target).item()
        for _ in range(20):
            optimizer.zero_grad()
            value = find(name)(prediction, target)
            value.backward()
            optimizer.step()
        assert value.item() < 0.5 * start

    def test_inputs_are_left_as_they_are(self, name: str) -> None:
        prediction, target = pair(name)
        before = prediction.clone(), target.clone()
        parse(name)(prediction, target)
        assert torch.equal(prediction, before[0])
        assert torch.equal(target, before[1])
