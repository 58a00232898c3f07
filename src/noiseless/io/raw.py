"""Camera raw files, developed by LibRaw to 16-bit sRGB; they are read, never written.

Developing is plain: the camera's white balance, no brightening, no noise reduction, the curve and the primaries of
sRGB. So that the noise is that of the camera, and denoising comes after. EXIF comes along, orientation included.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from noiseless.errors import ImageError, OutputError
from noiseless.image import Image, default_range
from noiseless.io import exif, ifd
from noiseless.io.ifd import Directory
from noiseless.io.limits import check_pixels

CFA, LINEAR = 32803, 34892
"""Photometric interpretations of camera raw data."""
DNG = 50706
PHOTOMETRIC, CHILDREN = 262, 330
MOST_CHILDREN = 8

SRGB_CURVE = (2.4, 12.92)
"""LibRaw's power and slope."""

DEVELOPED_NOTE = "camera raw was developed to 16-bit sRGB"


def is_camera_raw(file: BinaryIO) -> bool:
    """Whether a TIFF file holds what a camera's sensor saw, in its first directory or in one below it."""
    source, offset = ifd.source_of(file)
    first, _ = ifd.parse(source, offset)
    if DNG in first.tags:
        return True
    below = first.tags[CHILDREN].integers()[:MOST_CHILDREN] if CHILDREN in first.tags else []
    return any(_shows_sensor(directory) for directory in (first, *(_parsed(source, place) for place in below)))


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read and develop a camera raw file."""
    file.seek(0)
    data = file.read()
    with _opened(data) as raw:
        check_pixels((raw.sizes.height, raw.sizes.width), max_pixels)
        array = raw.postprocess(output_bps=16, use_camera_wb=True, no_auto_bright=True, user_flip=0, gamma=SRGB_CURVE)
        block = _exif_of_tiff(data) or _exif_of_preview(raw)
    metadata: dict[str, Any] = {"format": "tiff", "icc": _srgb(), "notes": (DEVELOPED_NOTE,), "developed": True}
    metadata |= {"exif": block} if block else {}
    return Image(np.ascontiguousarray(array), "YXC", default_range(array.dtype), False, 16, metadata)


def encode(file: BinaryIO, image: Image) -> None:
    """Nothing is written as camera raw.

    Raises:
        OutputError: always.
    """
    raise OutputError("camera raw files are never written", fix="Write a TIFF.")


def refusal(image: Image) -> str | None:
    """No image can be written as camera raw."""
    return "camera raw files are never written"


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            yield raw
    except rawpy.LibRawFileUnsupportedError as error:
        raise ImageError("LibRaw does not know this kind of camera raw", fix="Make a DNG of it first.") from error
    except rawpy.LibRawError as error:
        reason = b"".join(part for part in error.args if isinstance(part, bytes)).decode("ascii", "replace")
        got = f"a damaged or unusual camera raw file ({reason or error})"
        raise ImageError("cannot be read", got=got, fix="Copy it from the camera again, or leave it out.") from error


def _shows_sensor(directory: Directory) -> bool:
    tag = directory.tags.get(PHOTOMETRIC)
    return tag is not None and tag.integers()[:1] in ([CFA], [LINEAR])


def _parsed(source: ifd.Source, place: int) -> Directory:
    try:
        return ifd.parse(source, place)[0]
    except ValueError:
        return Directory()


def _exif_of_tiff(data: bytes) -> bytes | None:
    """Of raw files that are TIFF files otherwise."""
    try:
        source, offset = ifd.source_of(io.BytesIO(data))
        return exif.from_tiff(ifd.parse(source, offset)[0], source.flavour.order, description=False)
    except ValueError:
        return None


def _exif_of_preview(raw: Any) -> bytes | None:
    """Of the JPEG that other raw files bring along to show."""
    import rawpy
    from PIL import Image as PillowImage

    try:
        preview = raw.extract_thumb()
        if preview.format != rawpy.ThumbFormat.JPEG:
            return None
        block: bytes = PillowImage.open(io.BytesIO(preview.data)).info.get("exif", b"")
    except (rawpy.LibRawError, OSError, ValueError):
        return None
    return block.removeprefix(exif.PREFIX) or None


def _srgb() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
