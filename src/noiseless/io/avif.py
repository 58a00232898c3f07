"""AVIF: grey, RGB or RGBA; 8, 10 and 12 bits are read, 8 bits are written, at quality 95 without subsampling.

Pillow says what a file holds beside its pixels, and writes; imagecodecs decodes, since it gives all bits.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO

import numpy as np
from PIL import Image as PillowImage
from PIL.AvifImagePlugin import AvifImageFile

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels

QUALITY = 95
MAX_SIDE, MAX_AREA = 1 << 15, 1 << 28
"""What libavif reads."""

CONFIGURATION = re.compile(rb"av1C\x81.(.)", re.DOTALL)
"""Of a coded image; the byte says whether it has more than 10 bits (AV1 codec ISO media file format binding, 2.3)."""

TWELVE_BITS = 0x20


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read an AVIF."""
    import imagecodecs

    data = file.read()
    header = AvifImageFile(io.BytesIO(data))
    if header.n_frames > 1:
        raise ImageError(
            "animated AVIF is not supported", got=f"{header.n_frames} frames", fix="Split it into one file per frame."
        )
    check_pixels(header.size[::-1], max_pixels)
    pixels = imagecodecs.avif_decode(data)
    if pixels.shape[1::-1] != header.size:
        raise ValueError("header and data differ")
    metadata = exif.kept(header.info, {"icc": "icc_profile", "exif": "exif", "xmp": "xmp"})
    return picture.from_picture(pixels, metadata, bits=8 if pixels.dtype == np.uint8 else _bits(data))


def encode(file: BinaryIO, image: Image) -> None:
    """Write an AVIF."""
    values = picture.in_bytes(image)
    PillowImage.fromarray(values).save(
        file,
        "AVIF",
        quality=QUALITY,
        subsampling="4:0:0" if values.ndim == 2 else "4:4:4",
        icc_profile=image.metadata.get("icc") or b"",
        exif=image.metadata.get("exif") or b"",
        xmp=image.metadata.get("xmp") or b"",
    )


def refusal(image: Image) -> str | None:
    """What about an image AVIF cannot hold, as it is written here."""
    if image.height * image.width > MAX_AREA:
        return f"{image.height} x {image.width} pixels"
    return picture.picture_refusal(image, depths=(1, 2, 4, 8), alpha=True, side=MAX_SIDE)


def _bits(data: bytes) -> int:
    """Bits of values that have more than 8."""
    return 12 if any(flags[0] & TWELVE_BITS for flags in CONFIGURATION.findall(data)) else 10
