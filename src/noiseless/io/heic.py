"""HEIC: what phones write; 8, 10 and 12 bits, grey or RGB, alpha or not. Written at quality 95 without subsampling.

The turn that a file asks for is applied by libheif, so that pixels are upright and the EXIF block asks for none. Of
several pictures the main one is read; depth maps, thumbnails and gain maps are left out.
"""

from __future__ import annotations

import warnings
from typing import Any, BinaryIO

import numpy as np

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels

QUALITY = 95
MAX_SIDE = 1 << 14
"""What the encoder takes."""

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
BITS = (8, 10, 12)
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions (ITU-T H.273) that no other format says here."""


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a HEIC."""
    import pillow_heif

    with warnings.catch_warnings(action="ignore"):
        opened = pillow_heif.open_heif(file.read(), convert_hdr_to_8bit=False, hdr_to_16bit=False)
        size = opened.size
        check_pixels(size[::-1], max_pixels)
        pixels = np.array(opened)
    if pixels.shape[1::-1] != size:
        raise ValueError("header and data differ")
    if opened.premultiplied_alpha:
        raise ImageError("premultiplied alpha is not supported", got=opened.mode)
    metadata = _metadata(opened.info)
    if len(opened) > 1:
        metadata["notes"] = (*metadata.get("notes", ()), f"the main one of {len(opened)} pictures was read")
    return picture.from_picture(pixels, metadata, bits=int(opened.mode.partition(";")[2] or 8))


def encode(file: BinaryIO, image: Image) -> None:
    """Write a HEIC."""
    import pillow_heif

    image = exif.upright(image)
    values, depth = picture.to_picture(image), picture.depth(image)
    bits = next(bits for bits in BITS if bits >= depth)
    values = np.ascontiguousarray(picture.in_depth(values, picture.ceiling(image), bits))
    mode = MODES[1 if values.ndim == 2 else values.shape[2]] + ("" if bits == 8 else f";{bits}")
    made = pillow_heif.from_bytes(mode=mode, size=values.shape[1::-1], data=values.tobytes())
    kept = {"icc_profile": "icc", "xmp": "xmp", "nclx_profile": "heic"}
    made.info.update({name: image.metadata[key] for name, key in kept.items() if image.metadata.get(key)})
    block = image.metadata.get("exif")
    made.save(file, quality=QUALITY, chroma=444, exif=exif.PREFIX + block if block else None)


def refusal(image: Image) -> str | None:
    """What about an image HEIC cannot hold."""
    return picture.picture_refusal(image, depths=(1, 2, 4, *BITS), alpha=True, side=MAX_SIDE)


def _metadata(info: dict[str, Any]) -> dict[str, Any]:
    metadata = exif.kept(info, {"icc": "icc_profile", "exif": "exif", "xmp": "xmp", "heic": "nclx_profile"})
    if "exif" in metadata:
        metadata["exif"] = exif.without_orientation(metadata["exif"])
    curve = HDR.get(metadata.get("heic", {}).get("transfer_characteristics", 0))
    if curve is not None:
        metadata["notes"] = (f"its values are those of {curve}, which no other format than HEIC says",)
    return metadata
