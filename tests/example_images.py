"""Images and metadata that the tests of `noiseless.io` share, made with Pillow rather than with what is tested."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageCms

from noiseless.image import Image

ROTATED = 6
MAKER = "Noisy Cameras"
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


@functools.cache
def icc_profile() -> bytes:
    """The profile of sRGB; it holds the time when it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_block(orientation: int = ROTATED) -> bytes:
    """Maker, orientation, exposure time, a maker note and a place on Earth."""
    exif = PillowImage.Exif()
    exif[271] = MAKER
    exif[274] = orientation
    camera = exif.get_ifd(0x8769)
    camera[36864] = b"0232"
    camera[33434] = 0.01
    camera[37500] = b"note" * 30
    exif.get_ifd(0x8825)[29] = "2024:05:06"
    return exif.tobytes().removeprefix(b"Exif\0\0")


def metadata(orientation: int = ROTATED) -> dict[str, Any]:
    """All that travels between formats."""
    return {"icc": icc_profile(), "exif": exif_block(orientation), "xmp": XMP, "dpi": (300.0, 150.0)}


def picture(
    dtype: str, channels: int = 1, *, bits: int | None = None, size: tuple[int, int] = (13, 21), seed: int = 0
) -> Image:
    """Random values of `bits` bits; 2 and 4 channels are with alpha."""
    generator = np.random.default_rng(seed)
    shape = size if channels == 1 else (*size, channels)
    bits = bits or (1 if dtype == "bool" else np.dtype(dtype).itemsize * 8)
    if np.dtype(dtype).kind == "f":
        return Image.from_array(generator.random(shape).astype(dtype))
    if np.dtype(dtype).kind == "i":
        return Image.from_array(generator.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape).astype(dtype))
    array = generator.integers(0, 2**bits, shape).astype(dtype)
    axes = "YX" if channels == 1 else "YXC"
    return Image(array, axes, (0.0, 2.0**bits - 1), channels in (2, 4), bits)


def with_metadata(image: Image, extra: Mapping[str, Any]) -> Image:
    """The image with more metadata."""
    return Image(image.array, image.axes, image.data_range, image.has_alpha, image.bits, {**image.metadata, **extra})
