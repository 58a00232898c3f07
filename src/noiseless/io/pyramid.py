"""The smaller sizes of an image that is stored at several: each the mean of blocks of the one before."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.tiling import round_up

BLOCK_VALUES = 1 << 21
"""Values of the smaller size that are made at once, where its chunks are not larger."""


def edges(finer: int, coarser: int) -> npt.NDArray[np.intp]:
    """Where blocks of an axis begin and end: ``coarser + 1`` places from 0 on.

    Blocks are of one whole size where that fits, the last one smaller or what is left over left out, as programs do
    that halve odd sizes; else as even as can be.
    """
    size = max(round(finer / coarser), 1)
    last = finer - size * (coarser - 1)
    if 0 < last < 2 * size:
        places = size * np.arange(coarser + 1)
        return np.minimum(places, finer)
    return np.arange(coarser + 1) * finer // coarser


def mean_of_blocks(values: npt.NDArray[Any], places: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
    """The mean of each block, of the dtype of the values; integers are rounded, of bool more than half must be true.

    Args:
        values: from the first to the last place along each axis.
        places: of each axis, see `edges`.
    """
    exact = values.dtype.itemsize <= 2 or values.dtype == np.float32
    means: npt.NDArray[Any] = values.astype(np.float32 if exact else np.float64)
    for axis, along in enumerate(places):
        if len(along) - 1 < means.shape[axis]:
            shape = [-1 if number == axis else 1 for number in range(means.ndim)]
            means = np.add.reduceat(means, along[:-1] - along[0], axis)
            means /= np.diff(along).reshape(shape).astype(means.dtype)
    if values.dtype.kind == "b":
        return np.asarray(means > 0.5)
    return (np.rint(means) if values.dtype.kind in "iu" else means).astype(values.dtype)


def make_level(finer: Any, coarser: Any, chunks: Sequence[int]) -> None:
    """Fill a smaller array from a larger one, piece by piece.

    Args:
        finer: array-like that can be indexed by slices.
        coarser: the same, to be written to; no axis is longer.
        chunks: sizes of what is best written at once.
    """
    places = [edges(*sizes) for sizes in zip(finer.shape, coarser.shape, strict=True)]
    for target in blocks(coarser.shape, chunks):
        parts = [along[part.start : part.stop + 1] for along, part in zip(places, target, strict=True)]
        source = tuple(slice(int(part[0]), int(part[-1])) for part in parts)
        coarser[target] = mean_of_blocks(np.asarray(finer[source]), parts)


def blocks(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Pieces of an array of whole chunks, of about `BLOCK_VALUES` each where chunks are smaller."""
    sizes = [min(chunk, length) for chunk, length in zip(chunks, shape, strict=True)]
    for axis in reversed(range(len(sizes))):
        room = BLOCK_VALUES // int(np.prod(sizes))
        sizes[axis] = min(sizes[axis] * max(room, 1), round_up(shape[axis], sizes[axis]))
    ranges = [range(0, length, size) for length, size in zip(shape, sizes, strict=True)]
    for starts in itertools.product(*ranges):
        yield tuple(
            slice(start, min(start + size, length)) for start, size, length in zip(starts, sizes, shape, strict=True)
        )
