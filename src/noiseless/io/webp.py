"""WebP: 8 bit, RGB or RGBA; grey images come back as RGB, since WebP knows no grey.

A picture that was lossy before (JPEG, lossy WebP) is written lossy at quality 95; every other one without loss.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image as PillowImage

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels

QUALITY = 95
EFFORT = 2
"""Of 0 to 6: without loss, less than half the time of the default for the same size."""
MAX_SIDE = 16383


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a WebP."""
    import imagecodecs

    data = file.read()
    chunks = list(_chunks(data))
    found = dict(chunks)
    check_pixels(_claimed_size(found), max_pixels)
    frames = sum(kind == b"ANMF" for kind, _ in chunks)
    if frames:
        raise ImageError(
            "animated WebP is not supported", got=f"{frames} frames", fix="Split it into one file per frame first."
        )
    metadata = {"webp_lossless": b"VP8L" in found}
    metadata |= exif.kept(found, {"icc": b"ICCP", "exif": b"EXIF", "xmp": b"XMP "})
    return picture.from_picture(imagecodecs.webp_decode(data), metadata)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a WebP."""
    values = picture.in_bytes(image)
    lossless = "jpeg" not in image.metadata and image.metadata.get("webp_lossless", True)
    PillowImage.fromarray(values).save(
        file,
        "WEBP",
        lossless=lossless,
        quality=50 if lossless else QUALITY,  # without loss it is the effort
        method=EFFORT if lossless else 4,
        exact=True,
        icc_profile=image.metadata.get("icc") or b"",
        exif=image.metadata.get("exif") or b"",
        xmp=image.metadata.get("xmp") or b"",
    )


def refusal(image: Image) -> str | None:
    """What about an image WebP cannot hold."""
    return picture.picture_refusal(image, depths=(1, 2, 4, 8), alpha=True, side=MAX_SIDE)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the chunks of the RIFF container; of pixel data the first 16 bytes."""
    end = 8 + struct.unpack("<I", data[4:8])[0]
    if end > len(data):
        raise ValueError("the file is truncated")
    place = 12
    while place + 8 <= end:
        kind, size = struct.unpack("<4sI", data[place : place + 8])
        yield kind, data[place + 8 : place + 8 + (16 if kind in (b"VP8 ", b"VP8L", b"ANMF", b"ALPH") else size)]
        place += 8 + size + size % 2


def _claimed_size(chunks: dict[bytes, bytes]) -> tuple[int, int]:
    """Height and width that the header claims, the largest where it contradicts itself."""
    sizes = []
    if b"VP8X" in chunks:
        canvas = chunks[b"VP8X"] + b"\0" * 10
        sizes.append((int.from_bytes(canvas[7:10], "little") + 1, int.from_bytes(canvas[4:7], "little") + 1))
    if b"VP8L" in chunks:
        packed = int.from_bytes(chunks[b"VP8L"][1:5], "little")
        sizes.append(((packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1))
    if b"VP8 " in chunks:
        width, height = struct.unpack("<HH", chunks[b"VP8 "][6:10])
        sizes.append((height & 0x3FFF, width & 0x3FFF))
    return max(sizes, key=lambda size: size[0] * size[1])
