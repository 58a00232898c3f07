"""Crops and augmentations: pure functions of an array and a generator.

Arrays are (..., C, H, W); a leading axis carries several views of one scene (noisy and clean), which are changed alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from noiseless.errors import DataError
from noiseless.image import LUMA


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The image with as many channels as a network has.

    Colour becomes luma for one channel; grey is repeated for several.

    Args:
        image: (..., C, H, W), float.
        channels: wanted.

    Raises:
        DataError: neither grey nor colour to grey nor the same number.
    """
    found = image.shape[-3]
    if found == channels:
        return image
    if channels == 1 and found == 3:
        return np.asarray(np.einsum("c,...chw->...hw", LUMA, image)[..., None, :, :])
    if found == 1:
        return np.repeat(image, channels, axis=-3)
    raise DataError("the images do not fit the network", got=f"{found} channels", expected=channels)


def crop_window(image: np.ndarray, size: int, generator: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """A function that cuts one random square out of any array of the image's height and width.

    Args:
        image: (..., H, W); only its shape is looked at.
        size: side of the square in pixels; a smaller image is mirrored up to it.
        generator: chooses the place.
    """
    height, width = image.shape[-2:]
    top = int(generator.integers(max(height - size, 0) + 1))
    left = int(generator.integers(max(width - size, 0) + 1))

    def cut(array: np.ndarray) -> np.ndarray:
        part = array[..., top : top + size, left : left + size]
        missing = [size - part.shape[-2], size - part.shape[-1]]
        if any(missing):
            part = np.pad(part, [(0, 0)] * (part.ndim - 2) + [(0, m) for m in missing], mode="symmetric")
        return part

    return cut


def random_crop(image: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """One random square of an image; see `crop_window`."""
    return crop_window(image, size, generator)(image)


def random_orientation(patch: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One of the eight flips and quarter turns of a square patch (..., size, size)."""
    turns, flip = int(generator.integers(4)), generator.random() < 0.5
    turned = np.rot90(patch, turns, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)


def rescale(
    image: np.ndarray, size: int, generator: np.random.Generator, factors: tuple[int, ...] = (2, 3)
) -> np.ndarray:
    """A patch made from a larger area by averaging blocks: what a camera of fewer pixels would have seen.

    Args:
        image: (C, H, W) of any dtype, which the patch keeps.
        size: side of the patch.
        generator: chooses factor and place; a factor that does not fit into the image is not used.
        factors: how many times smaller.
    """
    fitting = [factor for factor in factors if size * factor <= min(image.shape[-2:])] or [1]
    factor = fitting[int(generator.integers(len(fitting)))]
    large = random_crop(image, size * factor, generator)
    blocks = large.reshape(large.shape[0], size, factor, size, factor)
    mean = blocks.mean(axis=(2, 4), dtype=np.float32)
    return np.asarray((np.rint(mean) if image.dtype.kind in "ui" else mean).astype(image.dtype))


def mixup(first: np.ndarray, second: np.ndarray, generator: np.random.Generator, alpha: float = 1.2) -> np.ndarray:
    """A weighted mean of two patches; Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.

    Args:
        first, second: float arrays of one shape.
        generator: draws the weight from Beta(alpha, alpha).
        alpha: how even the mixture tends to be; 1.2 as in Zamir et al., "MIRNet", 2020.
    """
    weight = np.float32(generator.beta(alpha, alpha))
    return np.asarray(weight * first + (1 - weight) * second)


def change_tone(patch: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A patch of lower contrast and another brightness, down to flat and to dark: skies, walls, shadows.

    Args:
        patch: float (..., C, H, W) in [0, 1] units; the result stays within.
        generator: draws contrast (uniform in [0, 1]) and the new mean.
    """
    contrast = np.float32(generator.random())
    swing = contrast * (patch - patch.mean(dtype=np.float32))
    low, high = -swing.min(), 1 - swing.max()
    mean = low + (high - low) * np.float32(generator.random() ** 2)
    return np.asarray(swing + mean, dtype=np.float32)
