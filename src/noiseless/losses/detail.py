"""Losses that look at edges and at frequencies; (B, C, H, W) in [0, 1] units."""

from __future__ import annotations

import torch
from torch import Tensor

from noiseless.losses.sizes import require_side


def gradient(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbours, along rows plus along columns.

    Blind to a constant offset: add it to a loss that sees one. After Mathieu, Couprie and LeCun, "Deep
    Multi-Scale Video Prediction beyond Mean Square Error", 2016, with signed differences.

    Raises:
        ConfigError: a side of less than 2 pixels.
    """
    require_side("gradient", prediction, 2)
    error = prediction - target
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def frequency(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the Fourier coefficients (orthonormal), complex modulus.

    In the pixel domain a loss is dominated by what is large; here fine texture has coefficients of its own.
    Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", 2021.
    """
    coefficients: Tensor = torch.fft.rfft2(prediction - target, norm="ortho")
    return coefficients.abs().mean()
