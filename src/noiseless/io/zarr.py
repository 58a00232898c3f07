"""OME-Zarr: the folders of the OME-NGFF, versions 0.4 (Zarr 2) and 0.5 (Zarr 3), and older ones.

An image is the largest size of a pyramid. Written is a copy of the folder that it was read from, with other pixels:
what describes the arrays (chunks, shards, codecs, dtype, fill value) is copied byte by byte, and so are labels and what
else lies in the folder; the attributes (axes, scales, omero) stay, with a mark of what was denoised. The smaller sizes
are made anew, each the mean of blocks of the one before.

Channels are no colours. Integers span their dtype, or the fewer bits that the rendering settings name as the largest
value of all channels; floats span [0, 1], or what these settings name. NaN says that there is no value and stays.
Chunks that are missing hold the fill value.
"""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noiseless.errors import ImageError
from noiseless.image import Image, check_dtype_and_size, default_range, significant_bits
from noiseless.io import mark, ngff, pyramid
from noiseless.io.limits import check_pixels

if TYPE_CHECKING:
    import numpy.typing as npt
    import zarr

METADATA = (".zarray", ".zattrs", "zarr.json")
"""Files of an array that are no pixels."""

MOST_CHUNK = 1 << 31
"""Bytes that a chunk may claim to hold: it is decoded at once."""


@dataclass(frozen=True, eq=False)
class Store:
    """An OME-Zarr that can be read.

    Attributes:
        pyramid: what its metadata say.
        arrays: of each size, the full one first.
    """

    pyramid: ngff.Pyramid
    arrays: tuple[zarr.Array[Any], ...]

    @property
    def full(self) -> zarr.Array[Any]:
        """The array of the full size."""
        return self.arrays[0]


@dataclass(frozen=True, eq=False)
class Kept:
    """What is needed to write an image as it was read.

    Attributes:
        pyramid: of the folder, which must still be there.
        shape: of the array.
        dtype: of the array.
    """

    pyramid: ngff.Pyramid
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def decode(folder: Path, max_pixels: int) -> Image:
    """Read the full size of an OME-Zarr."""
    store = open_store(folder, max_pixels)
    axes = store.pyramid.axes
    array = np.asarray(store.full[...])
    image = describe(array, axes, store.pyramid, None if array.dtype.kind != "u" else int(array.max()))
    hidden = np.isnan(array) if array.dtype.kind == "f" else None
    kept = Kept(store.pyramid, array.shape, array.dtype)
    metadata = {**image.metadata, "zarr": kept}
    return replace(image, metadata=metadata, hidden=hidden if hidden is not None and hidden.any() else None)


def encode(folder: Path, image: Image) -> None:
    """Write an image that was read from an OME-Zarr into an empty folder."""
    kept: Kept = image.metadata["zarr"]
    arrays = prepare(folder, kept.pyramid, mark.denoised_mark(image))
    for part in pyramid.blocks(image.array.shape, writing_chunks(arrays[0])):
        arrays[0][part] = image.array[part]
    finish(arrays)


def refusal(image: Image) -> str | None:
    """What about an image OME-Zarr cannot hold: nothing, if it came from an OME-Zarr."""
    kept = image.metadata.get("zarr")
    if kept is None or (kept.shape, kept.dtype) != (image.array.shape, image.array.dtype):
        return "an image that was not read from an OME-Zarr"
    return None


def open_store(folder: Path, max_pixels: int) -> Store:
    """Look at an OME-Zarr, all but its pixels.

    Args:
        folder: of the group.
        max_pixels: more are refused.

    Raises:
        ImageError: it is damaged or cannot be read.
        ModuleNotFoundError: the extra is not installed.
    """
    found = ngff.read_pyramid(folder)
    arrays = tuple(_opened(folder, level) for level in found.levels)
    full = arrays[0]
    if full.ndim != len(found.axes):
        raise ImageError("the axes of the OME-Zarr do not fit its pixels", got=f"{found.axes} for {full.shape}")
    check_pixels([size for size, axis in zip(full.shape, found.axes, strict=True) if axis != "C"], max_pixels)
    check_pixels(full.shape, 16 * max_pixels)
    check_dtype_and_size(np.broadcast_to(np.empty((), full.dtype), full.shape))
    for array, level in zip(arrays, found.levels, strict=True):
        if array.ndim != full.ndim or any(size < 1 for size in array.shape) or array.dtype != full.dtype:
            raise ImageError(
                f"level {level} of the OME-Zarr does not fit the first", got=f"{array.dtype} {array.shape}"
            )
    for (before, after), level in zip(itertools.pairwise(arrays), found.levels[1:], strict=True):
        if any(coarser > finer for finer, coarser in zip(before.shape, after.shape, strict=True)):
            raise ImageError(f"level {level} of the OME-Zarr is larger than the one before", got=after.shape)
    return Store(found, arrays)


def describe(array: npt.NDArray[Any], axes: str, found: ngff.Pyramid, largest: float | None) -> Image:
    """The image that stored values show.

    Args:
        array: all of an OME-Zarr, or a part.
        axes: of this array.
        found: the metadata.
        largest: value of the whole OME-Zarr, where it is of unsigned integers.
    """
    metadata: dict[str, Any] = {"separate_channels": True} if "C" in axes else {}
    if found.mark:
        metadata["xmp"] = mark.packet_of(found.mark)
    bits, spanned = significant_bits(array.dtype), default_range(array.dtype)
    if array.dtype.kind == "u" and found.window is not None and bits is not None:
        fewer = int(found.window[1]).bit_length()
        if found.window[1] == 2**fewer - 1 and 8 < fewer < bits and (largest is None or largest < 2**fewer):
            bits, spanned = fewer, (0.0, float(2**fewer - 1))
    if array.dtype.kind == "f" and found.window is not None:
        spanned = found.window
    return Image(array, axes, spanned, False, bits, metadata)


def prepare(folder: Path, found: ngff.Pyramid, denoised: str | None) -> list[zarr.Array[Any]]:
    """Copy an OME-Zarr into an empty folder, all but the pixels.

    Args:
        folder: where to.
        found: what to copy.
        denoised: the mark.

    Returns:
        The array of each size, to be written to.

    Raises:
        ImageError: what to copy is there no more.
    """
    import zarr

    if not found.folder.is_dir():
        raise ImageError(f"{found.folder} is gone", fix="It is needed until the result is written.")
    _copy(found.folder, folder, frozenset(found.folder / level for level in found.levels))
    ngff.write_attributes(folder, ngff.marked(found.attributes, denoised))
    return [zarr.open_array(folder / level, mode="r+") for level in found.levels]


def finish(arrays: list[zarr.Array[Any]]) -> None:
    """Make the smaller sizes from the full one."""
    for finer, coarser in itertools.pairwise(arrays):
        pyramid.make_level(finer, coarser, writing_chunks(coarser))


def writing_chunks(array: zarr.Array[Any]) -> tuple[int, ...]:
    """Sizes of what is written to a file of its own."""
    return tuple(array.shards or array.chunks)


def _opened(folder: Path, level: str) -> zarr.Array[Any]:
    import zarr

    path = folder / level
    document = next((path / name for name in (".zarray", "zarr.json") if (path / name).is_file()), None)
    if document is None:
        raise ImageError(f"level {level} of the OME-Zarr is missing")
    described = ngff.load(document)
    if any("pickle" in name.lower() for name in _codecs(described)):
        raise ImageError("the OME-Zarr holds Python objects", expected="numbers", fix="Objects are never unpickled.")
    array = zarr.open_array(path, mode="r")
    if int(np.prod(array.chunks, dtype=object)) * array.dtype.itemsize > MOST_CHUNK:
        raise ImageError("a chunk of the OME-Zarr is enormous", got=array.chunks)
    return array


def _codecs(described: Any) -> list[str]:
    """What is named anywhere in the description of an array."""
    if isinstance(described, dict):
        named = [str(described[key]) for key in ("id", "name") if key in described]
        return named + [name for value in described.values() for name in _codecs(value)]
    return [name for value in described for name in _codecs(value)] if isinstance(described, list) else []


def _copy(source: Path, target: Path, levels: frozenset[Path], above: frozenset[Path] = frozenset()) -> None:
    """Copy a folder into an empty one, of the levels only what is no pixels.

    Links are followed, but for those that lead back to a folder that they lie in: such a copy has no end.
    """
    above |= {source.resolve()}
    for entry in source.iterdir():
        copy = target / entry.name
        if entry.is_file() and (source not in levels or entry.name in METADATA):
            shutil.copyfile(entry, copy)
        elif entry.is_dir() and source not in levels and entry.resolve() not in above:
            copy.mkdir()
            _copy(entry, copy, levels, above)
