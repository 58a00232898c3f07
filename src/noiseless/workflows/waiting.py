"""Rows of an image that wait on the disk until they are used: those of a wide one take more memory than its windows."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.errors import OutputError

MOST_BYTES = 4 << 20
"""Rows that take no more than this wait in memory."""


class OnDisk:
    """An array (rows, W) or (rows, W, S) in a file without a name, of which only what is asked for is in memory.

    Args:
        folder: on whose disk it lies.
        shape: of the array.
        dtype: of its values.

    Raises:
        OutputError: the disk is full; here, or when values are put in.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._folder = folder
        self._pixel = int(np.prod(shape[2:], dtype=int)) * self.dtype.itemsize
        with self._failing_clearly():
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed with the array)
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, place: tuple[slice, slice], values: npt.NDArray[Any]) -> None:
        with self._failing_clearly():
            for offset, line in self._lines(place, np.ascontiguousarray(values, self.dtype)):
                self._file.seek(offset)
                self._file.write(line)
            self._file.flush()

    def __getitem__(self, place: tuple[slice, slice]) -> npt.NDArray[Any]:
        sizes = (len(range(*part.indices(size))) for part, size in zip(place, self.shape, strict=False))
        values = np.empty((*sizes, *self.shape[2:]), self.dtype)
        for offset, line in self._lines(place, values):
            self._file.seek(offset)
            self._file.readinto(line)
        return values

    def _lines(self, place: tuple[slice, slice], values: npt.NDArray[Any]) -> Iterator[tuple[int, memoryview]]:
        """Where in the file each row of these values lies, and its bytes; of whole rows, all at once."""
        first, left = (part.indices(size)[0] for part, size in zip(place, self.shape, strict=False))
        height, width = values.shape[:2]
        if width == self.shape[1]:
            height, width = 1, height * width
        lines = values.reshape(height, -1).view(np.uint8)
        for number, line in enumerate(lines):
            yield ((first + number) * self.shape[1] + left) * self._pixel, line.data

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"cannot write in {self._folder}", got=error.strerror or str(error)) from error


Kept = npt.NDArray[Any] | OnDisk


def room(folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Kept:
    """An array to be filled, in memory where it takes no more than `MOST_BYTES`; see `OnDisk`."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return OnDisk(folder, shape, dtype) if size > MOST_BYTES else np.empty(shape, dtype)


def put_aside(folder: Path | None, values: npt.NDArray[Any]) -> Kept:
    """These rows, in memory where there is no folder or they take no more than `MOST_BYTES`; see `OnDisk`."""
    if folder is None or values.nbytes <= MOST_BYTES:
        return values
    rows = OnDisk(folder, values.shape, values.dtype)
    rows[:, :] = values
    return rows
