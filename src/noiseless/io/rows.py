"""Images that are larger than memory: rows are read and written while the rest stays on the disk."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from noiseless.image import DataRange, Image
from noiseless.io import formats
from noiseless.io.limits import pixel_limit
from noiseless.tiling import round_up

OPENERS = {"tiff": "noiseless.io.tiff_rows", "zarr": "noiseless.io.zarr_rows"}
"""Modules with a function `open_rows` for the formats that can be read so."""

LARGER = 20
"""Read by rows an image may have so many times the pixels of `pixel_limit`, since it need not fit into memory."""

FEWEST_ROWS = 64


class Rows(Protocol):
    """An open image of one or more pages, read by rows.

    Not safe for several threads at once, but any thread may use it.

    Attributes:
        path: of the image.
        kind: of its format, as people write it.
        pages: how many there are.
        height: rows of a page.
        width: pixels of a row.
        chunk: rows that are best read together, from a multiple of this number on.
        row_bytes: of a row in memory.
        data_range: that was given instead of the image's own.
    """

    path: Path
    kind: str
    pages: int
    height: int
    width: int
    chunk: int
    row_bytes: int
    data_range: DataRange | None

    def rows(self, page: int, start: int, stop: int) -> npt.NDArray[Any]:
        """Stored values of some rows: (rows, W) or (rows, W, S).

        Raises:
            ImageError: they are damaged.
        """
        ...

    def image(self, stored: npt.NDArray[Any]) -> Image:
        """What stored values, a part of a page, show."""
        ...

    def stored(self, image: Image) -> npt.NDArray[Any]:
        """The values to store for an image; the way back from `image`."""
        ...

    def tell_maximum(self, value: float) -> None:
        """Say what the largest value of all pages is: it decides how many of its bits mean something."""
        ...

    def write(self, path: Path, bands: Iterable[npt.NDArray[Any]], image: Image) -> None:
        """Write an image like this one, of other values, as these come.

        Args:
            path: where it goes.
            bands: stored values of all rows, some at a time; none reaches over a page's end.
            image: its metadata hold the mark.

        Raises:
            OutputError: it cannot be written; what was there before is intact.
        """
        ...


@contextlib.contextmanager
def open_rows(path: Path, *, data_range: DataRange | None = None) -> Iterator[Rows | None]:
    """Open an image to read it by rows.

    Args:
        path: of the image.
        data_range: a number (0 to that) or a pair, instead of what the image says.

    Yields:
        The rows, or ``None`` where it must be read whole.

    Raises:
        ImageError: damaged, or of more pixels than even windows may have.
    """
    module = OPENERS.get(formats.recognise_path(path) or "")
    if module is None:
        yield None
        return
    with importlib.import_module(module).open_rows(path, data_range=data_range) as rows:
        yield rows


def pixels_by_rows() -> int:
    """Most pixels that an image may have to be read by rows."""
    return LARGER * pixel_limit()


def rows_together(segment: int) -> int:
    """How many rows are best read together, where so many are decoded at once."""
    return round_up(max(FEWEST_ROWS, segment), segment)


def of_height(bands: Iterable[npt.NDArray[Any]], rows: int, height: int) -> Iterator[npt.NDArray[Any]]:
    """The same rows in pieces of `rows` of them, fewer at the end of each page.

    Args:
        bands: some rows at a time; none reaches over a page's end.
        rows: of a piece.
        height: rows of a page.

    Raises:
        ValueError: the last page is not complete.
    """
    piece: npt.NDArray[Any] | None = None
    held, row = 0, 0
    for band in bands:
        start = 0
        while start < len(band):
            if piece is None:
                piece = np.empty((min(rows, height - row), *band.shape[1:]), band.dtype)
            part = band[start : start + len(piece) - held]
            piece[held : held + len(part)] = part
            held, start = held + len(part), start + len(part)
            if held == len(piece):
                yield piece
                row, held, piece = (row + held) % height, 0, None
    if held or row:
        raise ValueError("rows are missing")
