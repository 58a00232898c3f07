"""NIfTI-1 and NIfTI-2 in one file: any real dtype, RGB, up to seven axes. The NIfTI-1 data format, nifti.nimh.nih.gov.

The header goes from file to file byte by byte (affine, units, slope, intent, description), and so do extensions. Pixels
are the stored values, not rescaled. The plane that is denoised is the one of the finest voxels; where they are alike,
the first two axes. NaN says that there is no value and stays.

What maps to 0 and 1 is the display range of the header (cal_min, cal_max); without one, 0 to the largest value of an
integer dtype, and [0, 1] for floats.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import Image, default_range, significant_bits
from noiseless.io import mark
from noiseless.io.limits import PROFILE_LIMIT, check_pixels
from noiseless.tiling import round_up

AXES = "XYZTVUW"
"""Of a file, in its order."""

BYTES_OF_HEADER = {b"\x5c\x01\0\0": 348, b"\0\0\x01\x5c": 348, b"\x1c\x02\0\0": 540, b"\0\0\x02\x1c": 540}
NO_IMAGES = {1002: "labels", 1005: "labels", **dict.fromkeys(range(3000, 3016), "a CIFTI matrix")}
"""Intent codes of files that hold something else."""

COARSER = 1.2
"""A voxel so much longer in one direction lies across the slice."""

COMMENT = 6
"""Code of an extension of plain text."""

LIMITS = 1e-12, 1e30
"""A display range narrower than the first or with values beyond the second is none."""

PREFIX = b"noiseless: "
BLACK_NOTE = "the header names no display range; 0 is taken for black"


@dataclass(frozen=True, eq=False)
class Kept:
    """What a NIfTI file held beside its pixels.

    Attributes:
        header: as nibabel parsed it; not to be changed.
        extensions: code and content of each, in the order of the file.
        shape: of the array.
        dtype: of the array.
    """

    header: Any
    extensions: tuple[tuple[int, bytes], ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a NIfTI file; `file` need not be seekable."""
    header = _header(file)
    shape = tuple(int(size) for size in header.get_data_shape())
    check_pixels(shape, max_pixels)
    what = NO_IMAGES.get(int(header["intent_code"]))
    if what is not None:
        raise ImageError(f"the NIfTI file holds {what}", expected="an image")
    if not 2 <= len(shape) <= len(AXES):
        raise ImageError("the NIfTI file holds no image", got=f"shape {shape}")
    extensions = _extensions(file, header)
    array = _pixels(file, shape, header.get_data_dtype())
    return _interpreted(array, header, extensions)


def encode(file: BinaryIO, image: Image) -> None:
    """Write an image that was read from a NIfTI file; `file` need not be seekable."""
    kept: Kept = image.metadata["nifti"]
    mine = mark.denoised_mark(image)
    extensions = [each for each in kept.extensions if not _is_mark(*each)]
    extensions += [(COMMENT, PREFIX + mine.encode("utf-8", "replace"))] if mine else []
    header = kept.header.copy()
    block = b"".join(_padded(code, content, header.endianness) for code, content in extensions)
    start = len(header.binaryblock) + 4 + len(block)
    header["vox_offset"] = round_up(start, 16)
    file.write(header.binaryblock + (b"\1\0\0\0" if extensions else bytes(4)) + block)
    file.write(bytes(int(header["vox_offset"]) - start))
    array = image.array
    if array.ndim > len(header.get_data_shape()):  # colours lie beside each other
        array = np.moveaxis(array, -1, 0)
    file.write(np.ascontiguousarray(array.T).data)


def refusal(image: Image) -> str | None:
    """What about an image NIfTI cannot hold: nothing, if it came from a NIfTI file."""
    kept = image.metadata.get("nifti")
    if kept is None or (kept.shape, kept.dtype) != (image.array.shape, image.array.dtype):
        return "an image that was not read from a NIfTI file, and so has no place in space"
    return None


def _header(file: BinaryIO) -> Any:
    import nibabel

    start = _exactly(file, 4)
    size = BYTES_OF_HEADER[start]
    kind: Any = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
    return kind(start + _exactly(file, size - 4), check=False)


def _extensions(file: BinaryIO, header: Any) -> tuple[tuple[int, bytes], ...]:
    """What lies between the header and the pixels; the file is then at the pixels."""
    size = int(header["vox_offset"]) - len(header.binaryblock)
    if not 0 <= size <= PROFILE_LIMIT:
        raise ValueError(f"the pixels begin at byte {int(header['vox_offset'])}")
    block = io.BytesIO(_exactly(file, size))
    found = []
    if block.read(4)[:1] not in (b"", b"\0"):
        while len(start := block.read(8)) == 8:
            length, code = struct.unpack(header.endianness + "ii", start)
            if length < 16:
                break
            content = block.read(length - 8)
            found.append((code, content))
    return tuple(found)


def _pixels(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Stored values in the order of the file, the colours of a structured dtype as a last axis."""
    if dtype.kind == "c" or dtype.itemsize > 8:
        raise ImageError("a NIfTI file of this dtype is not supported", got=str(dtype), expected="real numbers")
    data = _exactly(file, int(np.prod(shape, dtype=object)) * dtype.itemsize)
    file.read(1)  # the end of a gzip stream holds its checksum
    if dtype.names:
        colours = np.frombuffer(data, np.uint8).reshape((len(dtype.names), *shape), order="F")
        return np.moveaxis(colours, 0, -1)
    return np.frombuffer(data, dtype).reshape(shape, order="F")


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file is truncated")
    return data


def _interpreted(array: npt.NDArray[Any], header: Any, extensions: tuple[tuple[int, bytes], ...]) -> Image:
    spatial = len(header.get_data_shape())
    axes = _axes(array.shape[:spatial], header) + ("C" if array.ndim > spatial else "")
    hidden = np.isnan(array) if array.dtype.kind == "f" else None
    spanned, notes = _range(header, array.dtype)
    if hidden is not None and (np.abs(array, where=~hidden, out=np.zeros_like(array)) > LIMITS[1]).any():
        raise ImageError("values of the NIfTI file are enormous or infinite", expected=f"at most {LIMITS[1]:g}")
    before = next((content for code, content in extensions if _is_mark(code, content)), None)
    metadata: dict[str, Any] = {"nifti": Kept(header, extensions, array.shape, array.dtype)}
    metadata |= {"notes": notes} if notes else {}
    if before is not None:
        metadata["xmp"] = mark.packet_of(before.rstrip(b"\0").removeprefix(PREFIX).decode("utf-8", "replace"))
    return Image(
        array,
        axes,
        spanned,
        array.ndim > spatial and array.shape[-1] == 4,
        significant_bits(array.dtype),
        metadata,
        hidden if hidden is not None and hidden.any() else None,
    )


def _axes(shape: tuple[int, ...], header: Any) -> str:
    """Letters of the axes; Z is the one across the slices."""
    if len(shape) < 3:
        return AXES[: len(shape)]
    spacing = np.abs(np.asarray(header.get_zooms()[:3], float))
    flat = [axis for axis in range(3) if shape[axis] == 1]
    across = flat[-1] if flat else int(np.argmax(spacing))
    others = np.delete(spacing, across)
    if not flat and not (np.isfinite(spacing).all() and spacing[across] > COARSER * others.max()):
        across = 2
    return {0: "ZXY", 1: "XZY", 2: "XYZ"}[across] + AXES[3 : len(shape)]


def _range(header: Any, dtype: np.dtype[Any]) -> tuple[tuple[float, float], tuple[str, ...]]:
    """The stored values that map to 0 and 1, by the rule of this module, and what there is to say about it."""
    low, high = float(header["cal_min"]), float(header["cal_max"])
    slope, intercept = header.get_slope_inter()
    slope, intercept = (1.0 if slope is None else float(slope)), float(intercept or 0)
    if np.isfinite([low, high, intercept]).all() and low < high and slope > 0:
        spanned = (low - intercept) / slope, (high - intercept) / slope
        if LIMITS[0] < spanned[1] - spanned[0] and max(map(abs, spanned)) < LIMITS[1]:
            return spanned, ()
    if dtype.kind == "i":
        return (0.0, default_range(dtype)[1]), (BLACK_NOTE,)
    return default_range(dtype), ()


def _is_mark(code: int, content: bytes) -> bool:
    return code == COMMENT and content.startswith(PREFIX)


def _padded(code: int, content: bytes, order: str) -> bytes:
    """An extension; its length is a multiple of 16."""
    length = round_up(len(content) + 8, 16)
    return struct.pack(order + "ii", length, code) + content.ljust(length - 8, b"\0")
