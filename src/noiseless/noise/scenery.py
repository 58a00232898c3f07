"""Changes of a clean picture that make it look as photographs do at native resolution; and resizing, and
JPEG.

Pictures have the shape (3, H, W), float32 in [0, 1].
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from noiseless.image import LUMA

BICUBIC, BILINEAR, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS
_FILTERS = (BICUBIC, BICUBIC, BILINEAR, LANCZOS)


def draw_filter(generator: np.random.Generator) -> Image.Resampling:
    """One of the filters that software resizes photographs with."""
    return _FILTERS[int(generator.integers(len(_FILTERS)))]


def resize(picture: np.ndarray, size: tuple[int, int], resampling: Image.Resampling = BICUBIC) -> np.ndarray:
    """The picture at another size, with a wider filter where it shrinks; not clipped.

    Args:
        picture: (3, H, W), float32.
        size: height and width wanted.
        resampling: the filter.
    """
    if picture.shape[-2:] == tuple(size):
        return picture
    planes = (Image.fromarray(plane).resize(size[::-1], resampling) for plane in picture)
    return np.stack([np.asarray(plane) for plane in planes])


def soften(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A softer picture: enlarged 1.2 to 2.5 times (its centre is kept), or blurred with a deviation of 0.5 to 1.6."""
    if generator.random() < 0.5:
        return _blurred(picture, generator)
    return _enlarged(picture, generator.uniform(1.2, 2.5), generator)


def soften_natively(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """As soft as photographs are at full size: mostly enlarged, 1.2 to 3.6 times, or blurred as by `soften`."""
    if generator.random() < 0.35:
        return _blurred(picture, generator)
    return _enlarged(picture, 1.2 * 3.0 ** generator.random(), generator)


def halve_colours(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The picture with its colours at half resolution, in three of ten along rows only, as JPEG stores them."""
    height, width = picture.shape[-2:]
    luma = np.tensordot(LUMA, picture, 1)
    rows = height if generator.random() < 0.3 else max(height // 2, 1)
    small = resize(picture - luma, (rows, max(width // 2, 1)), BILINEAR)
    return np.asarray(luma + resize(small, (height, width), BILINEAR))


def _blurred(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    sigma = generator.uniform(0.5, 1.6)
    return np.asarray(gaussian_filter(picture, (0, sigma, sigma), truncate=3.0))


def _enlarged(picture: np.ndarray, factor: float, generator: np.random.Generator) -> np.ndarray:
    """The centre of a picture, enlarged to its size."""
    height, width = picture.shape[-2:]
    rows, columns = max(round(height / factor), 1), max(round(width / factor), 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return resize(picture[:, top : top + rows, left : left + columns], (height, width), draw_filter(generator))


def sharpen(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An unsharp mask as cameras apply it."""
    sigma = generator.uniform(0.6, 1.4)
    blurred = gaussian_filter(picture, (0, sigma, sigma), truncate=3.0)
    return np.asarray(picture + np.float32(generator.uniform(0.2, 0.9)) * (picture - blurred))


def relight(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The picture darker, or flatter at another brightness, or with other colours."""
    choice = generator.random()
    if choice < 0.5:
        return picture * np.float32(2 ** -generator.uniform(0.3, 3.5))
    if choice < 0.8:
        swing = np.float32(generator.uniform(0, 0.4)) * (picture - picture.mean(axis=(1, 2), keepdims=True))
        low, high = -swing.min(), 1 - swing.max()
        mean = generator.uniform(0, 1) + generator.normal(0, 0.08, (3, 1, 1))
        return np.asarray(swing + np.clip(mean, low, high).astype(np.float32))
    return picture * generator.uniform(0.6, 1.15, (3, 1, 1)).astype(np.float32)


def texture(picture: np.ndarray, half: float = 0.06) -> np.ndarray:
    """How much goes on around each pixel: (H, W), from 0 (flat) over 0.5 (at `half`) to nearly 1 (edges, texture)."""
    luma = picture.mean(axis=0)
    activity = np.abs(luma - np.roll(luma, 1, 0)) + np.abs(luma - np.roll(luma, 1, 1))
    activity = gaussian_filter(activity, 1.5, truncate=2.0)
    return np.asarray(activity / (activity + np.float32(half)))


def jpeg(picture: np.ndarray, quality: int, subsampling: int, offset: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The picture after JPEG, in multiples of 1/255.

    Args:
        picture: (3, H, W); clipped to [0, 1].
        quality: 1 to 100, as libjpeg counts.
        subsampling: of chroma; 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.
        offset: rows and columns that the grid of blocks lies above and to the left of the picture.
    """
    pixels = to_bytes(picture).transpose(1, 2, 0)
    top, left = offset
    if top or left:
        pixels = np.pad(pixels, ((top, 0), (left, 0), (0, 0)), mode="reflect")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as image:
        decoded = np.asarray(image)[top:, left:]
    return np.ascontiguousarray(decoded.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """The picture in 8 bits: clipped to [0, 1] and rounded."""
    return np.ascontiguousarray(np.rint(np.clip(picture, 0, 1) * 255)).astype(np.uint8)
