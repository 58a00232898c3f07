"""PNG: 1 to 16 bit, grey, RGB, alpha, palette. Portable Network Graphics (PNG) Specification, third edition.

libpng (through imagecodecs) turns the data into arrays; chunks are read and written here, so that everything a chunk
says survives. Palette images come back as RGB or RGBA, a transparent colour as alpha; all else in the same type.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import picture
from noiseless.io.limits import PROFILE_LIMIT, check_pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
XMP_KEYWORD = b"XML:com.adobe.xmp"

LEVEL, ALL_FILTERS = 3, 248
"""Half the time of libpng's level 6 within 2% of its size on photographs."""

PIXEL_DATA = (b"IDAT", b"fdAT")
ESSENTIAL = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks that the decoder needs; it is not shown the others, which may be damaged."""
STRUCTURAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"hIST", b"acTL", b"fcTL", b"fdAT", b"caBX")
"""Chunks that are written anew, or speak of what was not kept."""
SAMPLE_BOUND = (b"sBIT", b"bKGD")
"""Chunks whose layout depends on colour type and depth."""
NORMALISED = (b"iCCP", b"eXIf", b"pHYs")
BEFORE_PALETTE = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"sBIT", b"mDCV", b"cLLI", b"mDCv", b"cLLi")


@dataclass(frozen=True)
class Kept:
    """What a PNG file held beside its pixels.

    Attributes:
        chunks: ancillary chunks (type, data), but those that have a key of their own in the metadata.
        colour_type: as in IHDR.
        bits: as in IHDR.
        density: data of the pHYs chunk, exact.
    """

    chunks: tuple[tuple[bytes, bytes], ...]
    colour_type: int
    bits: int
    density: bytes


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a PNG."""
    import imagecodecs

    data = file.read()
    places = list(_chunk_places(data))
    chunks = [(kind, data[start + 8 : end - 4]) for kind, start, end in places if kind not in PIXEL_DATA]
    width, height, bits, colour_type = struct.unpack(">IIBB", dict(chunks)[b"IHDR"][:10])
    check_pixels((height, width), max_pixels)
    _refuse_animation(dict(chunks))
    essential = b"".join(data[start:end] for kind, start, end in places if _is_shown(kind, data[start:end]))
    pixels = imagecodecs.png_decode(SIGNATURE + essential)
    if pixels.shape[:2] != (height, width):
        raise ValueError("header and data differ")
    metadata = _metadata(chunks, colour_type, bits)
    if bits < 8 and colour_type == GREY and pixels.ndim == 2:  # libpng spreads them over 0 to 255
        pixels = pixels != 0 if bits == 1 else pixels // np.uint8(255 // (2**bits - 1))
        return picture.from_picture(pixels, metadata, bits=bits)
    return picture.from_picture(pixels, metadata)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a PNG."""
    import imagecodecs

    values, white, bits = picture.to_picture(image), picture.ceiling(image), picture.depth(image)
    if bits in (1, 2, 4) and values.ndim == 2 and white == 2**bits - 1:
        header, body = _encode_packed(values, bits)
    else:
        spanned = picture.in_depth(values, white, 8 if bits <= 8 else 16)
        data = bytes(imagecodecs.png_encode(spanned, level=LEVEL, filter=ALL_FILTERS))
        header, body = data[:33], data[33:]
    file.write(header)
    file.writelines(_chunk(kind, content) for kind, content in _ancillary(image, header))
    file.write(body)


def refusal(image: Image) -> str | None:
    """What about an image PNG cannot hold."""
    return picture.picture_refusal(image, depths=(1, 2, 4, 8, 16), alpha=True)


def _chunk_places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of every chunk."""
    start = len(SIGNATURE)
    while True:
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        end = start + 12 + length
        if end > len(data):
            raise ValueError("the file is truncated")
        yield kind, start, end
        if kind == b"IEND":
            return
        start = end


def _is_shown(kind: bytes, chunk: bytes) -> bool:
    """Whether the decoder is shown a chunk; a damaged tRNS only makes it talk, since it does without."""
    whole = kind != b"tRNS" or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
    return kind in ESSENTIAL and whole


def _refuse_animation(chunks: dict[bytes, bytes]) -> None:
    control = chunks.get(b"acTL", b"")
    frames = struct.unpack(">I", control[:4])[0] if len(control) >= 4 else 1
    if frames > 1:
        raise ImageError(
            "animated PNG is not supported", got=f"{frames} frames", fix="Split it into one file per frame first."
        )


def _metadata(chunks: list[tuple[bytes, bytes]], colour_type: int, bits: int) -> dict[str, Any]:
    found = dict(chunks)
    kept = tuple((kind, data) for kind, data in chunks if not _is_dropped(kind) and not _is_xmp(kind, data))
    if colour_type == PALETTE or b"tRNS" in found:
        kept = tuple(chunk for chunk in kept if chunk[0] not in SAMPLE_BOUND)
    metadata: dict[str, Any] = {"png": Kept(kept, colour_type, bits, found.get(b"pHYs", b""))}
    metadata.update(_profile(found.get(b"iCCP", b"")))
    if b"eXIf" in found:
        metadata["exif"] = found[b"eXIf"]
    xmp = next((_international_text(data) for kind, data in chunks if _is_xmp(kind, data)), None)
    if xmp:
        metadata["xmp"] = xmp
    density = found.get(b"pHYs", b"")
    if len(density) == 9 and density[8] == 1:
        across, down = struct.unpack(">II", density[:8])
        if across and down:
            metadata["dpi"] = (across * picture.METRE_PER_INCH, down * picture.METRE_PER_INCH)
    if colour_type == PALETTE:
        metadata["notes"] = (picture.PALETTE_NOTE,)
    return metadata


def _is_dropped(kind: bytes) -> bool:
    """Pixel data, chunks with a key of their own, and private chunks that must not be copied to changed pixels."""
    known = b"cICP sRGB gAMA cHRM sBIT mDCV cLLI mDCv cLLi bKGD sPLT tIME oFFs sCAL pCAL sTER"
    return kind in STRUCTURAL or kind in NORMALISED or (kind not in known.split() and kind[3:4].isupper())


def _is_xmp(kind: bytes, data: bytes) -> bool:
    return kind == b"iTXt" and data.startswith(XMP_KEYWORD + b"\0")


def _profile(content: bytes) -> dict[str, bytes]:
    compressed = content.partition(b"\0")[2][1:]
    try:
        profile = zlib.decompressobj().decompress(compressed, PROFILE_LIMIT) if compressed else b""
    except zlib.error:  # a damaged profile is no reason to refuse the pixels
        profile = b""
    return {"icc": profile} if profile else {}


def _international_text(content: bytes) -> bytes | None:
    """The text of an iTXt chunk: keyword, compression flag and method, language, translated keyword, text."""
    rest = content.partition(b"\0")[2]
    compressed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    try:
        return zlib.decompressobj().decompress(text, PROFILE_LIMIT) if compressed else text
    except zlib.error:
        return None


def _ancillary(image: Image, header: bytes) -> Iterable[tuple[bytes, bytes]]:
    """The chunks to write between header and pixel data."""
    bits, colour_type = header[24], header[25]
    kept: Kept | None = image.metadata.get("png")
    chunks = list(kept.chunks) if kept else []
    if kept and (kept.colour_type, kept.bits) != (colour_type, bits):
        chunks = [chunk for chunk in chunks if chunk[0] not in SAMPLE_BOUND]
    samples = {GREY: 1, RGB: 3, GREY_ALPHA: 2, RGB_ALPHA: 4}[colour_type]
    if picture.depth(image) not in (1, 2, 4, 8, 16):
        chunks.append((b"sBIT", bytes([picture.depth(image)] * samples)))
    if image.metadata.get("icc"):
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(image.metadata["icc"])))
    if image.metadata.get("exif"):
        chunks.append((b"eXIf", image.metadata["exif"]))
    if image.metadata.get("xmp"):
        chunks.append((b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + image.metadata["xmp"]))
    density = kept.density if kept else _density(image)
    if density:
        chunks.append((b"pHYs", density))
    return sorted(chunks, key=lambda chunk: chunk[0] not in BEFORE_PALETTE)


def _density(image: Image) -> bytes:
    if "dpi" not in image.metadata:
        return b""
    across, down = (min(round(value / picture.METRE_PER_INCH), 2**31 - 1) for value in image.metadata["dpi"])
    return struct.pack(">IIB", across, down, 1)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _encode_packed(values: npt.NDArray[Any], bits: int) -> tuple[bytes, bytes]:
    """Header and body of a grey image of 1, 2 or 4 bits, several pixels to a byte, without filters."""
    height, width = values.shape
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    planes = (values.astype(np.uint8)[..., np.newaxis] >> shifts) & 1
    rows = np.packbits(planes.reshape(height, width * bits), axis=1)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)
    header = SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, GREY, 0, 0, 0))
    return header, _chunk(b"IDAT", zlib.compress(filtered.tobytes())) + _chunk(b"IEND", b"")
