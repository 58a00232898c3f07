"""NumPy .npy: any dtype and shape, no metadata. Pickled objects are never loaded.

The axes follow `Image.from_array`: a last axis of 3 or 4 is colour, anything else is planes.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from noiseless.errors import ImageError
from noiseless.image import Image, axes_of, check_dtype_and_size, default_range, significant_bits
from noiseless.io import exif
from noiseless.io.limits import check_pixels


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a .npy file."""
    version = npy_format.read_magic(file)
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ImageError("the file holds Python objects", expected="numbers", fix="Objects are never unpickled.")
    check_dtype_and_size(np.broadcast_to(np.empty((), dtype), shape))
    axes, has_alpha = axes_of(shape, None)
    check_pixels([size for size, axis in zip(shape, axes, strict=True) if axis != "C"], max_pixels)
    start = file.tell()
    if file.seek(0, io.SEEK_END) - start < int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise ValueError("the file is truncated")
    file.seek(0)
    array = np.load(file, allow_pickle=False)
    return Image(array, axes, default_range(dtype), has_alpha, significant_bits(dtype))


def encode(file: BinaryIO, image: Image) -> None:
    """Write a .npy file; the pixels are turned upright, since the orientation does not fit in."""
    np.save(file, exif.upright(image).array, allow_pickle=False)


def refusal(image: Image) -> str | None:
    """Nothing that an image can be does not fit."""
    return None
