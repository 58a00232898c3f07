"""Previews: a plane of any image as an 8-bit PNG that a browser shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from noiseless.image import Image
from noiseless.io.dicom import display_window
from noiseless.io.exif import upright

MOST_PIXELS = 16_000_000
"""Of a preview; larger images are shown reduced, since browsers on phones hold no more."""

PERCENTILES = (0.1, 99.9)
NARROW = 0.5
"""An image whose values take less than this share of their range is shown with a window around them."""

FILLED = 0.1
"""A header's window of which the values take less than this share is not believed."""

SAMPLED = 2_000_000
FASTEST = 1


@dataclass(frozen=True)
class Preview:
    """A plane as a browser shows it.

    Attributes:
        png: the file.
        window: values (low, high), in the image's own units, that are shown black and white.
        reduced: how many pixels of the image, across and down, make one of the preview.
    """

    png: bytes
    window: tuple[float, float]
    reduced: int


def preview(image: Image, shown: npt.NDArray[np.float32], plane: int) -> Preview:
    """Show a plane.

    Args:
        image: as it came; the window is that of its values, so that before and after look alike.
        shown: (N, C, H, W) in [0, 1] units: its planes, or what became of them.
        plane: which of the N; the nearest there is.
    """
    low, high = window(image)
    one = shown[min(max(plane, 0), len(shown) - 1)]
    reduced = 1
    while math.prod(max(1, side // reduced) for side in one.shape[1:]) > MOST_PIXELS:
        reduced += 1
    colours = _colours(_reduced(one, reduced))
    eight = np.rint((colours - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    picture = Image.from_array(eight)
    turned = upright(
        replace(picture, metadata={key: image.metadata[key] for key in ("exif",) if key in image.metadata})
    )
    buffer = BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(turned.array)).save(buffer, "PNG", compress_level=FASTEST)
    first, last = image.data_range
    return Preview(buffer.getvalue(), (first + low * (last - first), first + high * (last - first)), reduced)


def window(image: Image) -> tuple[float, float]:
    """The values, in [0, 1] units, to show black and white: what the header says, the whole range, or what is used."""
    if image.array.dtype in (np.uint8, np.bool_) and image.bits in (1, 8, None):
        return 0.0, 1.0
    values = image.planes().ravel()
    low, high = (float(each) for each in np.percentile(values[:: max(1, values.size // SAMPLED)], PERCENTILES))
    if high <= low:
        return (0.0, 1.0) if 0 <= low <= 1 else (low - 0.5, low + 0.5)
    said = display_window(image)
    if said is not None and min(high, said[1]) - max(low, said[0]) > FILLED * (said[1] - said[0]):
        return said
    if high - low < NARROW or low < 0 or high > 1:
        return low, high
    return 0.0, 1.0


def _colours(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(H, W) or (H, W, 3) of a plane (C, H, W): two channels are shown red and green, of more than three the first."""
    count = len(plane)
    if count == 1:
        return np.asarray(plane[0])
    three = plane[:3] if count > 2 else np.concatenate([plane, np.zeros_like(plane[:1])])
    last: npt.NDArray[np.float32] = np.moveaxis(three, 0, -1)
    return last


def _reduced(plane: npt.NDArray[np.float32], by: int) -> npt.NDArray[np.float32]:
    if by == 1:
        return plane
    channels, *sides = plane.shape
    down, across = (min(by, side) for side in sides)
    rows, columns = sides[0] // down, sides[1] // across
    cut = plane[:, : rows * down, : columns * across]
    mean: npt.NDArray[np.float32] = cut.reshape(channels, rows, down, columns, across).mean((2, 4))
    return mean
