"""Each loss on its own: what it sees, and that it agrees with an independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from noiseless import metrics
from noiseless.errors import ConfigError
from noiseless.losses import find


def images(side: int, channels: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two different images (2, C, side, side + 3) in [0, 1]: smooth waves, and the same with noise."""
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side + 3), indexing="ij")
    phases = torch.rand(2, channels, 1, 1, generator=generator) * 6
    clean = 0.5 + 0.3 * torch.sin(row / 5 + phases) * torch.cos(column / 7 + phases)
    return (clean + 0.1 * torch.randn(clean.shape, generator=generator)).clamp(0, 1), clean


def test_pixel_losses_are_what_their_names_say() -> None:
    prediction, target = torch.zeros(1, 1, 2, 2), torch.tensor([[[[0.0, 0.5], [0.5, 1.0]]]])
    assert find("mse")(prediction, target).item() == pytest.approx(1.5 / 4)
    assert find("l1")(prediction, target).item() == pytest.approx(0.5)
    large = find("charbonnier")(prediction, target + 1).item()
    assert large == pytest.approx(1.5, abs=2e-3), "Charbonnier is L1 far from zero"
    small = find("charbonnier")(prediction, torch.full_like(prediction, 1e-5)).item()
    assert small == pytest.approx(1e-10 / (2 * 1e-3), rel=0.05), "Charbonnier is quadratic near zero"


def test_brightness_sees_an_offset_and_hardly_any_noise() -> None:
    target = torch.full((1, 3, 64, 64), 0.5)
    noise = 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    brightness = find("brightness")
    assert brightness(target + 0.2, target).item() == pytest.approx(0.2, rel=1e-5)
    assert brightness(target + noise, target) < 0.1 * noise.abs().mean()


def test_gradient_sees_edges_and_no_offset() -> None:
    prediction, target = images(24)
    gradient = find("gradient")
    assert gradient(target + 0.2, target).item() == pytest.approx(0, abs=1e-6)
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1
    assert gradient(step, torch.zeros_like(step)).item() == pytest.approx(1 / 3), "one jump in three differences"
    assert gradient(prediction, target) > 0.1


def test_frequency_is_the_modulus_of_the_spectrum() -> None:
    prediction, target = images(12)
    spectrum = np.fft.rfft2((prediction - target).double().numpy(), norm="ortho")
    assert find("frequency")(prediction, target).item() == pytest.approx(np.abs(spectrum).mean(), rel=1e-5)


def test_ssim_agrees_with_scikit_image() -> None:
    prediction, target = images(40)
    expected = np.mean(
        [
            structural_similarity(
                one.double().numpy(),
                other.double().numpy(),
                channel_axis=0,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for one, other in zip(prediction, target, strict=True)
        ]
    )
    assert 1 - find("ssim")(prediction, target).item() == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_agrees_with_torchmetrics() -> None:
    prediction, target = images(180)
    expected = multiscale_structural_similarity_index_measure(prediction, target, data_range=1.0)
    assert 1 - find("ms_ssim")(prediction, target).item() == pytest.approx(float(expected), abs=2e-5)


@pytest.mark.parametrize("name", ["ssim", "ms_ssim"])
def test_the_loss_is_one_minus_the_metric_that_is_reported(name: str) -> None:
    prediction, target = images(180)
    reported = np.mean(
        [getattr(metrics, name)(one.numpy(), other.numpy()) for one, other in zip(prediction, target, strict=True)]
    )
    assert 1 - find(name)(prediction, target).item() == pytest.approx(reported, abs=1e-5)


def test_ms_ssim_of_opposites_has_a_value_and_a_gradient() -> None:
    _, target = images(176, channels=1)
    prediction = (1 - target).requires_grad_()
    value = find("ms_ssim")(prediction, target)
    value.backward()
    assert 0.9 < value.item() <= 1
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize(("name", "side"), [("ssim", 11), ("ms_ssim", 176), ("gradient", 2)])
def test_the_smallest_patch_is_as_said(name: str, side: int) -> None:
    enough = torch.rand(1, 1, side, side)
    assert math.isfinite(find(name)(enough, enough.flip(-1)).item())
    small = torch.rand(1, 1, side + 5, side - 1)
    with pytest.raises(ConfigError, match=rf"too small for the loss {name}.*at least {side}x{side}.*patch_size"):
        find(name)(small, small)


def test_contrastive_is_a_share() -> None:
    """It grows with the noise that is left, never beyond 1, and its noise is the same every time."""
    clean = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    grain = 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    flat = torch.full_like(clean, 0.05)
    contrast = find("contrastive")
    assert 0 < contrast(clean + 0.5 * grain, clean) < contrast(clean + grain, clean) < 1
    assert torch.equal(contrast(clean + flat, clean), contrast(clean + flat, clean))
