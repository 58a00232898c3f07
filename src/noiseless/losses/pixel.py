"""Losses that look at values and not at detail; (B, C, H, W) in [0, 1] units, the mean over everything."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

SQUARE = 16
"""Side of the squares, in pixels, whose brightness counts."""

FLAT_BELOW = 1e-5
"""Mean squared error of an image, in [0, 1] units, below which `decibel` pays little for less of it: 50 dB."""

CHARBONNIER_EPSILON = 1e-3
"""Error, in [0, 1] units, around which Charbonnier goes from quadratic to linear."""


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error: what PSNR measures; its optimum is the mean of all clean images that fit."""
    return (prediction - target).square().mean()


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error: its optimum is the median; sharper than the mean and steadier with outliers."""
    return (prediction - target).abs().mean()


def charbonnier(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of ``sqrt(error^2 + epsilon^2) - epsilon``: L1 with a smooth bottom.

    Charbonnier et al., "Two Deterministic Half-Quadratic Regularization Algorithms for Computed Imaging", 1994.
    The epsilon taken off makes it zero at equality and changes no gradient.
    """
    error = prediction - target
    return (error.square() + CHARBONNIER_EPSILON**2).sqrt().mean() - CHARBONNIER_EPSILON


def decibel(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over images of ``ln(1 + mse / 1e-5)``: a decibel counts the same at weak noise and at strong.

    The negated PSNR that restoration networks are often trained with (Chen et al., "Simple Baselines for Image
    Restoration", ECCV 2022), flat above 50 dB, so that clean images do not outweigh the others and equality is zero.
    """
    errors = (prediction - target).square().mean(dim=(1, 2, 3))
    return (errors / FLAT_BELOW).log1p().mean()


def brightness(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the means of squares of 16 pixels.

    An error that is the same everywhere is small at each pixel beside what noise leaves, and noise averages out: so a
    loss of pixels hardly notices that a picture came back a thousandth darker, and this one does.
    """
    square = min(SQUARE, *prediction.shape[-2:])
    return functional.avg_pool2d(prediction - target, square).abs().mean()
