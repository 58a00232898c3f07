"""PBM, PGM, PPM: 1 bit, or 8 and 16 bit with any value of white. No metadata. Netpbm manual, formats 5.

A 12-bit PGM comes back as uint16 that spans 0 to 4095 and is written as one. Plain (ASCII) files are written binary.
"""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels

BITMAP, GREYMAP, PIXMAP = 1, 2, 3
PLAIN_TO_BINARY = 3

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"(\d{1,10})"
_HEADER = re.compile(rb"P([1-6])" + _SPACE + _NUMBER + _SPACE + _NUMBER)
_MAXIMUM = re.compile(_SPACE + _NUMBER)
_COMMENT = re.compile(rb"#[^\r\n]*")


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a PBM, PGM or PPM."""
    data = file.read()
    header = _HEADER.match(data)
    if header is None:
        raise ValueError("the header is damaged")
    variant, width, height = (int(group) for group in header.groups())
    plain = variant <= PLAIN_TO_BINARY
    kind = variant if plain else variant - PLAIN_TO_BINARY
    check_pixels((height, width), max_pixels)
    place, white = header.end(), 1
    if kind != BITMAP:
        maximum = _MAXIMUM.match(data, place)
        if maximum is None or not 0 < int(maximum.group(1)) < 2**16:
            raise ValueError("the header is damaged")
        place, white = maximum.end(), int(maximum.group(1))
    shape = (height, width, 3) if kind == PIXMAP else (height, width)
    values = _plain(data[place:], shape, kind) if plain else _binary(data, place + 1, shape, white, kind)
    if kind == BITMAP:
        return picture.from_picture(values == 0, {})  # 1 is black
    if values.max() > white:
        raise ValueError(f"a value exceeds {white}")
    return picture.from_picture(_smallest(values, white), {}, bits=white.bit_length(), ceiling=white)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a PBM (bool), PGM or PPM; the pixels are turned upright, since the orientation does not fit in."""
    image = exif.upright(image)
    values, white = picture.to_picture(image), picture.ceiling(image)
    height, width = values.shape[:2]
    if values.dtype == bool and values.ndim == 2:
        file.write(b"P4\n%d %d\n" % (width, height))
        file.write(np.packbits(~values, axis=1).tobytes())
        return
    file.write(b"P%d\n%d %d\n%d\n" % (6 if values.ndim == 3 else 5, width, height, white))
    file.write(np.minimum(values, white).astype(">u2" if white > 255 else np.uint8).tobytes())


def refusal(image: Image) -> str | None:
    """What about an image PPM / PGM cannot hold."""
    return picture.picture_refusal(image, depths=tuple(range(1, 17)), alpha=False)


def _binary(data: bytes, place: int, shape: tuple[int, ...], white: int, kind: int) -> npt.NDArray[Any]:
    """Samples of a binary file that begin at `place`."""
    if kind == BITMAP:
        height, width = shape
        row = -(-width // 8)
        end = place + height * row
        _check_end(data, end)
        packed = np.frombuffer(data, np.uint8, height * row, place).reshape(height, row)
        return np.unpackbits(packed, axis=1)[:, :width]
    dtype = np.dtype(">u2" if white > 255 else np.uint8)
    count = int(np.prod(shape))
    _check_end(data, place + count * dtype.itemsize)
    return np.frombuffer(data, dtype, count, place).reshape(shape)


def _check_end(data: bytes, end: int) -> None:
    if end > len(data):
        raise ValueError("the file is truncated")
    if re.match(rb"P[1-6]\s", data[end : end + 3]):
        raise ImageError("several images in one PPM / PGM file are not supported", fix="Split the file first.")


def _plain(text: bytes, shape: tuple[int, ...], kind: int) -> npt.NDArray[Any]:
    """Samples of an ASCII file; those of a bitmap need no space between them."""
    text = _COMMENT.sub(b"", text)
    words = re.findall(rb"[01]", text) if kind == BITMAP else text.split()
    count = int(np.prod(shape))
    if len(words) < count:
        raise ValueError("the file is truncated")
    return np.array(words[:count]).astype(np.uint32).reshape(shape)


def _smallest(values: npt.NDArray[Any], white: int) -> npt.NDArray[Any]:
    return values.astype(np.uint16 if white > 255 else np.uint8)
