"""The loss of JPEG compression."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from noiseless.errors import InputError
from noiseless.noise.base import Noise
from noiseless.noise.values import Number, Value

_LONGEST_SIDE = 65500


@dataclass(frozen=True)
class Jpeg(Noise):
    """The image after it was stored as a JPEG file: clipped, rounded to 8 bits, compressed and read again.

    Three channels are compressed as colour (chroma at half resolution, as cameras do), any other number of
    channels each as a grey image. The same image gives the same result every time: the variance is that of
    the error in the neighbourhood of a pixel, measured by sampling over positions of the 8x8 block grid.

    Args:
        quality: 1 (worst) to 100, whole; a number or a range.
    """

    name: ClassVar[str] = "jpeg"
    quality: Annotated[Value, Number(low=1, high=100, integer=True)]

    @property
    def pointwise(self) -> bool:
        """No: what becomes of a pixel depends on its block."""
        return False

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image compressed and decoded."""
        if max(clean.shape[-2:]) > _LONGEST_SIDE:
            size = f"{clean.shape[-1]}x{clean.shape[-2]}"
            raise InputError("an image is too large for JPEG", got=size, expected=f"sides up to {_LONGEST_SIDE}")
        if 0 in clean.shape:
            return clean.copy()
        pixels = np.rint(np.clip(clean, 0, 1) * 255).astype(np.uint8)
        if clean.ndim > 2 and clean.shape[-3] == 3:
            colour = np.moveaxis(pixels, -3, -1).reshape(-1, *clean.shape[-2:], 3)
            coded = np.moveaxis(np.stack([self._code(image) for image in colour]), -1, -3)
        else:
            coded = np.stack([self._code(image) for image in pixels.reshape(-1, *clean.shape[-2:])])
        return coded.reshape(clean.shape).astype(np.float32) / np.float32(255)

    def sigma_map(self, noisy: np.ndarray) -> np.ndarray:
        """The standard deviation of the error that compressing the noisy image once more, on other grids, makes.

        No smoothing: the loss is in the detail that smoothing would take away.

        Args:
            noisy: float, (H, W), (C, H, W) or (N, C, H, W), in [0, 1] units.

        Returns:
            float32 of the shape of `noisy`.
        """
        sigma: np.ndarray = np.sqrt(self.variance(noisy))
        return sigma.astype(np.float32, copy=False)

    def _code(self, pixels: np.ndarray) -> np.ndarray:
        from PIL import Image

        with io.BytesIO() as file:
            Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
            file.seek(0)
            with Image.open(file) as image:
                return np.asarray(image)
