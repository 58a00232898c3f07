"""JPEG, 8 bit: grey or RGB; CMYK is converted to RGB.

A JPEG that came from a JPEG keeps its chroma subsampling, and its quantisation tables wherever they are finer than
quality 95; every other image is written at quality 95 without subsampling. Progressive files become sequential ones.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image as PillowImage
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import cmyk, exif, picture
from noiseless.io.limits import check_pixels

QUALITY = 95
MAX_SIDE = 65500
MAX_DPI = 65535
SEGMENT = 65533
"""Bytes that fit into one segment."""

XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
ICC_PREFIX = b"ICC_PROFILE\0"
REWRITTEN = (exif.PREFIX, XMP_PREFIX, ICC_PREFIX, b"JFIF\0", b"JFXX\0", b"Adobe", b"MPF\0", b"JP\0")
"""How segments begin that are written anew, or that speak of what was not kept (further images, signatures)."""
MARKERS = {**{f"APP{index}": 0xE0 + index for index in range(16)}, "COM": 0xFE}


@dataclass(frozen=True)
class Kept:
    """What a JPEG file held beside its pixels.

    Attributes:
        segments: (marker, content) of comments and application segments without a key of their own: IPTC, ...
        tables: quantisation tables by number, 64 entries each.
        sampling: chroma subsampling: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0, -1 another or grey.
    """

    segments: tuple[tuple[int, bytes], ...]
    tables: dict[int, list[int]]
    sampling: int


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a JPEG."""
    import imagecodecs

    data = file.read()
    stream = io.BytesIO(data)
    header = JpegImageFile(stream)
    check_pixels(header.size[::-1], max_pixels)
    if data.find(b"\xff\xd9", stream.tell()) < 0:  # the end marker; libjpeg would fill up with grey
        raise ValueError("the file is truncated")
    metadata = _metadata(header)
    if header.mode == "CMYK":
        pixels, profile = cmyk.to_rgb(header, metadata.pop("icc", None))
        return picture.from_picture(pixels, {**metadata, **profile, "notes": (picture.CMYK_NOTE,)})
    pixels = imagecodecs.jpeg8_decode(data)
    if pixels.shape[1::-1] != header.size:
        raise ValueError("header and data differ")
    return picture.from_picture(pixels, metadata)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a JPEG."""
    values = picture.in_bytes(image)
    kept: Kept | None = image.metadata.get("jpeg")
    encoded = io.BytesIO()
    PillowImage.fromarray(values).save(
        encoded,
        "JPEG",
        quality=QUALITY,
        qtables=_tables(kept, values.ndim),
        subsampling=max(kept.sampling, 0) if kept else 0,
        dpi=tuple(min(value, MAX_DPI) for value in image.metadata.get("dpi", (0, 0))),
    )
    data = encoded.getbuffer()
    start = 4 + struct.unpack(">H", data[4:6])[0]  # behind the JFIF segment
    file.write(data[:start])
    file.writelines(struct.pack(">BBH", 0xFF, mark, len(content) + 2) + content for mark, content in _segments(image))
    file.write(data[start:])


def refusal(image: Image) -> str | None:
    """What about an image JPEG cannot hold."""
    for key, prefix in (("exif", exif.PREFIX), ("xmp", XMP_PREFIX)):
        size = len(image.metadata.get(key) or b"")
        if size + len(prefix) > SEGMENT:
            return f"{size} bytes of {key.upper()}"
    return picture.picture_refusal(image, depths=(1, 2, 4, 8), alpha=False, side=MAX_SIDE)


def _metadata(header: JpegImageFile) -> dict[str, Any]:
    segments = tuple(
        (MARKERS[name], content)
        for name, content in header.applist
        if name in MARKERS and not content.startswith(REWRITTEN)
    )
    tables = {number: list(table) for number, table in header.quantization.items()}
    found = exif.kept(header.info, {"icc": "icc_profile", "exif": "exif", "xmp": "xmp", "dpi": "dpi"})
    return {"jpeg": Kept(segments, tables, get_sampling(header)), **found}


def _segments(image: Image) -> Iterator[tuple[int, bytes]]:
    """Marker and content of the segments to write."""
    metadata = image.metadata
    if metadata.get("exif"):
        yield 0xE1, exif.PREFIX + metadata["exif"]
    if metadata.get("xmp"):
        yield 0xE1, XMP_PREFIX + metadata["xmp"]
    profile = metadata.get("icc") or b""
    room = SEGMENT - len(ICC_PREFIX) - 2
    count = -(-len(profile) // room)
    if count > 255:
        raise ImageError("the colour profile is too large for JPEG", got=f"{len(profile)} bytes")
    for index in range(count):
        yield 0xE2, ICC_PREFIX + bytes([index + 1, count]) + profile[index * room : (index + 1) * room]
    kept: Kept | None = metadata.get("jpeg")
    yield from kept.segments if kept else ()


def _tables(kept: Kept | None, ndim: int) -> list[list[int]]:
    """Tables for luma and chroma: nowhere coarser than quality 95 nor than those the image came with."""
    tables = [np.array(table) for table in _standard_tables()]
    numbers = sorted(kept.tables) if kept else []
    for place, number in enumerate(numbers):
        index = min(place, 1)
        tables[index] = np.minimum(tables[index], kept.tables[number]) if kept else tables[index]
    return [[max(int(entry), 1) for entry in table] for table in tables[: 2 if ndim == 3 else 1]]


@functools.cache
def _standard_tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tables of `QUALITY` for luma and chroma, as libjpeg makes them."""
    encoded = io.BytesIO()
    PillowImage.new("RGB", (8, 8)).save(encoded, "JPEG", quality=QUALITY)
    tables = JpegImageFile(io.BytesIO(encoded.getvalue())).quantization
    return tuple(tables[0]), tuple(tables[1])
