"""BMP: 8 bit, grey, RGB or RGBA, and 1 bit. It holds a resolution but no profile, EXIF or text."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL.BmpImagePlugin import BmpImageFile

from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels

FILE_HEADER, V4_HEADER = 14, 108
BITFIELDS, SRGB = 3, 0x73524742
MAX_DPI = 2**25


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a BMP."""
    bitmap = BmpImageFile(file)
    check_pixels(bitmap.size[::-1], max_pixels)
    metadata: dict[str, Any] = {"dpi": bitmap.info["dpi"]} if all(bitmap.info.get("dpi", (0, 0))) else {}
    bitmap.load()
    if bitmap.mode == "P":
        return picture.from_picture(np.asarray(bitmap.convert("RGB")), {**metadata, "notes": (picture.PALETTE_NOTE,)})
    return picture.from_picture(np.asarray(bitmap), metadata)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a BMP; the pixels are turned upright, since the orientation does not fit in."""
    image = exif.upright(image)
    values = picture.to_picture(image)
    if values.dtype != bool:
        values = picture.in_depth(values, picture.ceiling(image), 8)
    dpi = tuple(min(value, MAX_DPI) for value in image.metadata.get("dpi", (96, 96)))
    if image.has_alpha:
        colours = [0, 1, 2] if image.channels == 3 else [0, 0, 0]
        _encode_alpha(file, values[..., [*colours, -1]], dpi)
    else:
        PillowImage.fromarray(values).save(file, "BMP", dpi=dpi)


def refusal(image: Image) -> str | None:
    """What about an image BMP cannot hold."""
    return picture.picture_refusal(image, depths=(1, 2, 4, 8), alpha=True)


def _encode_alpha(file: BinaryIO, values: npt.NDArray[Any], dpi: tuple[float, ...]) -> None:
    """Write RGBA values with the header that knows of alpha, BITMAPV4HEADER; Pillow writes an older one."""
    height, width = values.shape[:2]
    across, down = (round(value / picture.METRE_PER_INCH) for value in dpi)
    offset, size = FILE_HEADER + V4_HEADER, values.size
    file.write(struct.pack("<2sIHHI", b"BM", offset + size, 0, 0, offset))
    file.write(struct.pack("<IiiHHIIiiII", V4_HEADER, width, height, 1, 32, BITFIELDS, size, across, down, 0, 0))
    file.write(struct.pack("<IIIII48x", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, SRGB))
    file.write(np.ascontiguousarray(values[::-1, :, [2, 1, 0, 3]]).data)
