"""Structural similarity as a loss: 1 - SSIM, and its form over several scales.

Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity",
2004; Wang, Simoncelli and Bovik, "Multi-Scale Structural Similarity for Image Quality Assessment", 2003. A window
is a Gaussian of standard deviation 1.5 over 11x11 pixels; the value range is 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from noiseless.losses.sizes import require_side

WINDOW, WINDOW_SIGMA = 11, 1.5
LUMINANCE_CONSTANT, CONTRAST_CONSTANT = 0.01**2, 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)
SMALLEST_SIMILARITY = 1e-4
"""What a scale's similarity is at least: a negative one has no power, one of zero no finite gradient."""


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """1 minus the mean structural similarity; (B, C, H, W) in [0, 1] units.

    Raises:
        ConfigError: a side of less than 11 pixels.
    """
    require_side("ssim", prediction, WINDOW)
    similarity, _ = _similarity(prediction, target)
    return 1 - similarity.mean()


def ms_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """1 minus the mean multi-scale structural similarity, five scales; (B, C, H, W) in [0, 1] units.

    As `noiseless.metrics.ms_ssim`: at the last scale the image goes on mirrored beyond its border.

    Raises:
        ConfigError: a side of less than 176 pixels.
    """
    require_side("ms_ssim", prediction, MS_SSIM_SIDE)
    product = prediction.new_ones(())
    for weight in SCALE_WEIGHTS[:-1]:
        _, contrast = _similarity(prediction, target)
        product = product * _power(contrast, weight)
        prediction, target = functional.avg_pool2d(prediction, 2), functional.avg_pool2d(target, 2)
    border = [WINDOW // 2] * 4
    last = [functional.pad(images, border, mode="reflect") for images in (prediction, target)]
    similarity, _ = _similarity(*last)
    return 1 - (product * _power(similarity, SCALE_WEIGHTS[-1])).mean()


def _power(terms: Tensor, weight: float) -> Tensor:
    return terms.mean(dim=(1, 2, 3)).clamp_min(SMALLEST_SIMILARITY) ** weight


def _similarity(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, C, H - 10, W - 10) of the whole similarity and of its contrast-and-structure part."""
    products = (prediction.square(), target.square(), prediction * target)
    mean_p, mean_t, square_p, square_t, cross = _window_means(torch.stack((prediction, target, *products)))
    variances = square_p - mean_p.square() + square_t - mean_t.square()
    covariance = cross - mean_p * mean_t
    luminance = (2 * mean_p * mean_t + LUMINANCE_CONSTANT) / (mean_p.square() + mean_t.square() + LUMINANCE_CONSTANT)
    contrast = (2 * covariance + CONTRAST_CONSTANT) / (variances + CONTRAST_CONSTANT)
    return luminance * contrast, contrast


def _window_means(maps: Tensor) -> Tensor:
    """Gaussian-weighted means of all windows inside; (N, B, C, H, W) to (N, B, C, H - 10, W - 10)."""
    offsets = torch.arange(WINDOW, dtype=maps.dtype, device=maps.device) - WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * WINDOW_SIGMA**2))
    weights = (weights / weights.sum()).view(1, 1, 1, WINDOW)
    planes = maps.flatten(0, 2).unsqueeze(1)
    means = functional.conv2d(functional.conv2d(planes, weights), weights.transpose(2, 3))
    return means.reshape(*maps.shape[:3], *means.shape[-2:])
