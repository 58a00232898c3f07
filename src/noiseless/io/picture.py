"""Pictures: one plane, grey or red-green-blue, alpha or not. What PNG, JPEG, WebP, BMP and PPM / PGM hold.

Their codecs share the way between an `Image` and an array (H, W) or (H, W, channels) of bool, uint8 or uint16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseless.image import Image

if TYPE_CHECKING:
    import numpy.typing as npt

CMYK_NOTE = "CMYK was converted to RGB"
PALETTE_NOTE = "palette colours were expanded to RGB"
METRE_PER_INCH = 0.0254


def from_picture(
    array: npt.NDArray[Any],
    metadata: Mapping[str, Any],
    *,
    bits: int | None = None,
    ceiling: int | None = None,
) -> Image:
    """An Image of (H, W) or (H, W, 1 to 4) values; 2 and 4 channels are with alpha.

    Args:
        array: bool, uint8 or uint16.
        metadata: what to keep for the way back.
        bits: significant bits; those of the dtype where not given.
        ceiling: the value of white, ``2**bits - 1`` where not given.
    """
    bits = bits or (1 if array.dtype == bool else array.dtype.itemsize * 8)
    white = ceiling if ceiling is not None else 2**bits - 1
    axes = "YX" if array.ndim == 2 else "YXC"
    has_alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    extra = {} if white == 2**bits - 1 else {"ceiling": white}
    return Image(array, axes, (0.0, float(white)), has_alpha, bits, {**metadata, **extra})


def to_picture(image: Image) -> npt.NDArray[Any]:
    """The values as (H, W) or (H, W, channels), native byte order, alpha last; `picture_refusal` is ``None``."""
    order = [image.axes.index(axis) for axis in "YX"]
    order += [image.axes.index("C")] if "C" in image.axes else []
    rest = [index for index in range(image.array.ndim) if index not in order]
    values = image.array.transpose([*rest, *order]).reshape([image.array.shape[index] for index in order])
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def picture_refusal(image: Image, *, depths: tuple[int, ...], alpha: bool, side: int = 2**31 - 1) -> str | None:
    """What about an image keeps it from being a picture.

    Args:
        depths: bits that the format can hold.
        alpha: whether the format can hold alpha.
        side: largest height and width.
    """
    if image.count > 1:
        return f"a stack of {image.count} planes"
    if image.channels not in (1, 3):
        return f"{image.channels} channels"
    if image.array.dtype.kind not in "bu" or depth(image) > max(depths):
        return f"{image.array.dtype} values" if image.array.dtype.kind in "if" else f"{depth(image)}-bit values"
    if image.has_alpha and not alpha:
        return "an alpha channel"
    if max(image.height, image.width) > side:
        return f"{image.height} x {image.width} pixels"
    return None


def depth(image: Image) -> int:
    """Significant bits of an integer image."""
    return image.bits or image.array.dtype.itemsize * 8


def ceiling(image: Image) -> int:
    """The value of white that the stored integers span; a data range given by hand does not change it."""
    return int(image.metadata.get("ceiling", 2 ** depth(image) - 1))


def in_bytes(image: Image) -> npt.NDArray[np.uint8]:
    """The values in 8 bits, (H, W), (H, W, 3) or (H, W, 4): grey with alpha as RGBA."""
    values = in_depth(to_picture(image), ceiling(image), 8)
    return values[..., [0, 0, 0, 1]] if values.shape[2:] == (2,) else values


def in_depth(values: npt.NDArray[Any], white: int, bits: int) -> npt.NDArray[Any]:
    """Integers that span 0 to `white` as uint8 or uint16 that span 0 to ``2**bits - 1``; the same array if they do."""
    dtype = np.dtype(np.uint8 if bits <= 8 else np.uint16)
    target = 2**bits - 1
    if white == target and values.dtype == dtype:
        return values
    table = np.rint(np.arange(white + 1) * (target / white)).astype(dtype)
    indices = np.minimum(values, white)
    return np.asarray(table[indices.astype(np.uint8) if indices.dtype == bool else indices])
