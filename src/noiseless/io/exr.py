"""OpenEXR: pictures of linear light in half or float, of one part, in scan lines or tiles, by the library of OpenEXR.

What is denoised are the channels R, G and B, or Y, or the only one there is; A is their alpha. Nothing is clipped, so
that lights above 1 stay. The header and all other channels (depth, layers, numbers of objects) come back as they were;
values that are not finite are no picture and stay too. The mark of a denoised image is an attribute of the header.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import exif, picture
from noiseless.io.limits import check_pixels
from noiseless.io.mark import denoised_mark, packet_of

MARK = "noiseless"
"""Attribute of the header that says what denoised an image."""

COLOURS, GREY, ALPHA = ("R", "G", "B"), "Y", "A"
CHROMA = ("RY", "BY")
VALUES_OF_A_PIXEL = 4
"""Channels that count as one image against the limit of pixels."""

LARGEST_TILE = 1 << 20
"""Pixels that a tile may have, in an image that has fewer."""

LOSSLESS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "ZSTD", "HTJ2K32", "HTJ2K256")
LOSSLESS_FOR_HALF = ("PXR24",)
"""Compressions that give back what was written; the others become ZIP, since what is denoised is not lost again."""

LEVELS_NOTE = "the smaller levels of the file are left out of the result"

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Kept:
    """What an OpenEXR file held beside the picture.

    Attributes:
        header: attributes by name, but for the channels.
        shown: names of the channels of the picture, in the order of the image's, alpha last.
        types: the dtype of each of these.
        linear: the ``pLinear`` flag of each channel.
        others: the channels that are no part of the picture.
    """

    header: Mapping[str, Any]
    shown: tuple[str, ...]
    types: tuple[np.dtype[Any], ...]
    linear: Mapping[str, bool]
    others: Mapping[str, npt.NDArray[Any]]


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read an OpenEXR file."""
    data = file.read()
    header = _checked_header(data, max_pixels)
    channels = _opened(data).channels()
    arrays = {name: channel.pixels for name, channel in channels.items()}
    shown = _shown(arrays)
    values = np.stack([arrays[name] for name in shown], axis=-1)
    array = values[..., 0] if len(shown) == 1 else values
    kept = Kept(
        {name: value for name, value in header.items() if name != "channels"},
        shown,
        tuple(arrays[name].dtype for name in shown),
        {name: bool(channel.pLinear) for name, channel in channels.items()},
        {name: each for name, each in arrays.items() if name not in shown},
    )
    metadata: dict[str, Any] = {"exr": kept, "notes": (LEVELS_NOTE,) if _has_levels(header) else ()}
    metadata |= {"xmp": packet_of(header[MARK])} if isinstance(header.get(MARK), str) else {}
    hidden = ~np.isfinite(array)
    axes = "YX" if len(shown) == 1 else "YXC"
    return Image(array, axes, (0.0, 1.0), shown[-1] == ALPHA, None, metadata, hidden if hidden.any() else None)


def encode(file: BinaryIO, image: Image) -> None:
    """Write an OpenEXR file; the pixels are turned upright, since the orientation of other formats does not fit in."""
    import OpenEXR

    image = exif.upright(image)
    values = np.atleast_3d(picture.to_picture(image))
    kept = _kept(image, values)
    channels = {
        name: OpenEXR.Channel(name, np.ascontiguousarray(values[..., place], dtype), 1, 1, kept.linear.get(name, False))
        for place, (name, dtype) in enumerate(zip(kept.shown, kept.types, strict=True))
    }
    channels |= {
        name: OpenEXR.Channel(name, each, 1, 1, kept.linear.get(name, False)) for name, each in kept.others.items()
    }
    OpenEXR.File(_header_for(kept, denoised_mark(image)), channels).write(file)


def refusal(image: Image) -> str | None:
    """What about an image OpenEXR, as it is written here, cannot hold."""
    if image.count > 1:
        return f"a stack of {image.count} planes"
    if image.channels not in (1, 3):
        return f"{image.channels} channels"
    return None if image.array.dtype in (np.float16, np.float32) else f"{image.array.dtype} values"


def _checked_header(data: bytes, max_pixels: int) -> Mapping[str, Any]:
    """The header of a file that can be read, before its pixels are.

    Raises:
        ImageError: too many pixels, several parts, deep pixels or channels of other sizes.
    """
    opened = _opened(data, header_only=True)
    if len(opened.parts) != 1:
        names = ", ".join(part.name() or "without a name" for part in opened.parts)
        raise ImageError("several images in one OpenEXR file are not supported", got=names, fix="Split the file first.")
    header: Mapping[str, Any] = opened.header()
    low, high = header["dataWindow"]
    width, height = (int(last) - int(first) + 1 for first, last in zip(low, high, strict=True))
    channels = header["channels"]
    check_pixels((max(1, -(-len(channels) // VALUES_OF_A_PIXEL)), height, width), max_pixels)
    tile = header["tiles"].xSize * header["tiles"].ySize if "tiles" in header else 0
    if tile > max(LARGEST_TILE, height * width):
        raise ValueError(f"tiles of {tile} pixels")
    if getattr(header.get("type"), "name", "").startswith("deep"):
        raise ImageError("deep OpenEXR files are not supported", fix="Flatten it first.")
    if any((channel.xSampling, channel.ySampling) != (1, 1) for channel in channels):
        raise ImageError("OpenEXR files with channels of half the size are not supported", fix="Save it as R, G, B.")
    return header


def _opened(data: bytes, *, header_only: bool = False) -> Any:
    """What the library reads of a file; it prints why it cannot, and then holds no part.

    Raises:
        ValueError: with what it printed.
    """
    import OpenEXR

    said = io.StringIO()
    with _one_at_a_time, contextlib.redirect_stdout(said):
        opened = OpenEXR.File(io.BytesIO(data), separate_channels=True, header_only=header_only)
    if not opened.parts:
        raise ValueError(said.getvalue().rpartition(" - ")[2].strip() or "it holds no image")
    return opened


def _shown(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    """Names of the channels that are the picture.

    Raises:
        ImageError: none that is known, or integers.
    """
    beside = [name for name in arrays if name != ALPHA]
    if all(name in arrays for name in COLOURS):
        shown: tuple[str, ...] = COLOURS
    elif GREY in arrays and not any(name in arrays for name in CHROMA):
        shown = (GREY,)
    elif len(beside) == 1:
        shown = (beside[0],)
    else:
        raise ImageError("no picture in the OpenEXR file", got=f"channels {', '.join(arrays)}", expected="R, G, B or Y")
    if any(arrays[name].dtype.kind != "f" for name in shown):
        raise ImageError("the channels of the OpenEXR file are integers", expected="half or float")
    return (*shown, ALPHA) if ALPHA in arrays and arrays[ALPHA].dtype.kind == "f" else shown


def _has_levels(header: Mapping[str, Any]) -> bool:
    return "tiles" in header and header["tiles"].mode.name != "ONE_LEVEL"


def _kept(image: Image, values: npt.NDArray[Any]) -> Kept:
    """What the file held that the image was read from, if it was one and still has its size; else nothing but names."""
    kept = image.metadata.get("exr")
    if isinstance(kept, Kept) and len(kept.shown) == values.shape[2] and _size(kept.header) == values.shape[:2]:
        return kept
    shown = (*(COLOURS if image.channels == len(COLOURS) else (GREY,)), *((ALPHA,) if image.has_alpha else ()))
    return Kept({}, shown, (values.dtype,) * len(shown), {}, {})


def _size(header: Mapping[str, Any]) -> tuple[int, int]:
    low, high = header["dataWindow"]
    return int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1


def _header_for(kept: Kept, mark: str | None) -> dict[str, Any]:
    """The header to write: what was there, with a lossless compression, one level, and the mark."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **kept.header}
    if not _is_lossless(header["compression"].name.removesuffix("_COMPRESSION"), kept):
        header["compression"] = OpenEXR.ZIP_COMPRESSION
    if _has_levels(header):
        tiles = OpenEXR.TileDescription()
        tiles.xSize, tiles.ySize = header["tiles"].xSize, header["tiles"].ySize
        header["tiles"] = tiles
    header.pop(MARK, None)
    return header if mark is None else {**header, MARK: mark}


def _is_lossless(compression: str, kept: Kept) -> bool:
    types = {*kept.types, *(each.dtype for each in kept.others.values())}
    return compression in LOSSLESS or (compression in LOSSLESS_FOR_HALF and np.dtype(np.float32) not in types)
