"""Images that say something about every pixel of another: where to denoise it, and how noisy it is."""

from __future__ import annotations

import contextlib
import itertools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError, InputError, SigmaError
from noiseless.io import read
from noiseless.io.tiff_rows import open_rows
from noiseless.workflows.windows import InMemory, Source, Streamed

SLAB = 1024
"""Rows of a mask that are looked at together."""


class Map:
    """An image of the size of another, looked at in windows from its top to its bottom.

    Args:
        path: of its file.
        size: pages, height and width of the image; one page of a map serves them all.
        stack: closes the file.

    Attributes:
        row_bytes: memory for each row of a window.

    Raises:
        InputError: it cannot be read, or has another size, or several pages but not as many.
    """

    what = "map"
    unfit: type[InputError] = ImageError

    def __init__(self, path: Path, size: tuple[int, int, int], stack: contextlib.ExitStack) -> None:
        rows = stack.enter_context(open_rows(path))
        self._source: Source = InMemory(read(path)) if rows is None else Streamed(rows)
        stack.callback(self._source.close)
        self.row_bytes = self._source.row_bytes
        pages, height, width = size
        what, found = f"the {self.what} {path} does not fit the image", (self._source.height, self._source.width)
        if found != (height, width):
            raise self.unfit(what, got=f"{found[1]}x{found[0]}", expected=f"{width}x{height}")
        if self._source.pages not in (1, pages):
            expected = "one" if pages == 1 else f"one, or {pages} as the image has"
            raise self.unfit(what, got=f"{self._source.pages} planes", expected=expected)

    def part(self, page: int, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """(C, H, W), in [0, 1] units; of the first page where there is only one."""
        page = page if self._source.pages > 1 else 0
        self._source.leave(page, rows.start)
        values: npt.NDArray[np.float32] = self._source.window(page, rows, columns).planes()[0]
        return values


class SigmaMap(Map):
    """Standard deviations of the noise."""

    what = "sigma map"
    unfit = SigmaError

    def whole(self) -> npt.NDArray[np.float32]:
        """All pages, (N, C, H, W)."""
        rows, columns = slice(0, self._source.height), slice(0, self._source.width)
        return np.stack([self.part(page, rows, columns) for page in range(self._source.pages)])


class Mask(Map):
    """Where to denoise: white there, black elsewhere; the edge of one in black and white fades, inwards.

    One of several pages says so for each page of the image.

    Args:
        path: as of `Map`, as the others.
        feather: pixels over which the edge fades.
    """

    what = "mask"

    def __init__(self, path: Path, size: tuple[int, int, int], stack: contextlib.ExitStack, feather: float) -> None:
        super().__init__(path, size, stack)
        self._size = size[1:]
        self._feather = feather if feather > 0 and self._is_black_and_white() else 0.0

    def whole(self) -> npt.NDArray[np.float32]:
        """How much to denoise each pixel of all pages, (N, 1, H, W)."""
        rows, columns = (slice(0, length) for length in self._size)
        return np.stack([self.strength(page, rows, columns) for page in range(self._source.pages)])[:, np.newaxis]

    def strength(self, page: int, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """How much to denoise each pixel of a window, (H, W), 0 to 1."""
        if not self._feather:
            return self._grey(page, rows, columns)
        from scipy.ndimage import distance_transform_edt

        margin = math.ceil(self._feather) + 1  # farther edges do not matter
        around = [slice(max(span.start - margin, 0), span.stop + margin) for span in (rows, columns)]
        around = [slice(span.start, min(span.stop, size)) for span, size in zip(around, self._size, strict=True)]
        mask = self._grey(page, *around)
        if mask.all():
            return np.ones((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        depth = np.minimum(distance_transform_edt(mask) / (self._feather + 1), 1)
        faded: npt.NDArray[np.float32] = (depth * depth * (3 - 2 * depth)).astype(np.float32)
        inner = [
            slice(span.start - out.start, span.stop - out.start)
            for span, out in zip((rows, columns), around, strict=True)
        ]
        return faded[inner[0], inner[1]]

    def _grey(self, page: int, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        grey: npt.NDArray[np.float32] = self.part(page, rows, columns).mean(0).clip(0, 1)
        return grey

    def _is_black_and_white(self) -> bool:
        height, width = self._size
        slabs = [slice(top, min(top + SLAB, height)) for top in range(0, height, SLAB)]
        places = itertools.product(range(self._source.pages), slabs)
        return all(np.isin(self._grey(page, slab, slice(0, width)), (0, 1)).all() for page, slab in places)
