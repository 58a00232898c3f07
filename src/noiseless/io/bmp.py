"""BMP: 8 bit, grey, RGB or RGBA, and 1 bit. It holds a resolution but no profile, EXIF or text."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from PIL import Image as PillowImage
from PIL.BmpImagePlugin import BmpImageFile

from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels


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
    if values.ndim == 3 and values.shape[2] == 2:
        values = values[..., [0, 0, 0, 1]]
    PillowImage.fromarray(values).save(file, "BMP", dpi=image.metadata.get("dpi", (96, 96)))


def refusal(image: Image) -> str | None:
    """What about an image BMP cannot hold."""
    return picture.picture_refusal(image, depths=(1, 2, 4, 8), alpha=True)
