"""OME-Zarr that is larger than memory: pages are read by rows, and written as they come.

A page is all channels of one time and depth. Where chunks are several pages deep these are read, and written, together
if they are small enough; larger ones are decoded once for each page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.image import DataRange, Image, pair_of
from noiseless.io import formats, mark, zarr
from noiseless.io.atomic import replacing_folder
from noiseless.io.reading import saying_what_is_damaged
from noiseless.io.rows import of_height, pixels_by_rows, rows_together
from noiseless.io.writing import encoding

SLAB_BYTES = 64 << 20
"""Pages of one chunk are held together up to this size, once while reading and once while writing."""

KIND = "OME-Zarr"


@contextlib.contextmanager
def open_rows(path: Path, *, data_range: DataRange | None = None) -> Iterator[ZarrRows | None]:
    """As `noiseless.io.rows.open_rows`; one whose fill value is NaN is read whole, since there may be holes in it."""
    with saying_what_is_damaged(str(path), KIND):
        store = zarr.open_store(path, pixels_by_rows())
        dtype, fill = store.full.dtype, store.full.fill_value
    holes = dtype.kind == "f" and fill is not None and bool(np.isnan(fill))
    yield None if holes else ZarrRows(path, store, data_range)


class ZarrRows:
    """An OME-Zarr as `noiseless.io.rows.Rows`."""

    kind = KIND

    def __init__(self, path: Path, store: zarr.Store, data_range: DataRange | None) -> None:
        self.path, self.data_range = path, data_range
        self._store, self._largest = store, None if store.full.dtype.kind != "u" else np.inf
        axes, shape = store.pyramid.axes, store.full.shape
        sizes = dict(zip(axes, shape, strict=True))
        self._planes = [axis for axis in axes if axis not in "CYX"]
        self._plane_sizes = tuple(sizes[axis] for axis in self._planes)
        self._inner = self._plane_sizes[-1] if self._planes else 1
        self.pages = int(np.prod(self._plane_sizes, dtype=int))
        self.height, self.width = sizes["Y"], sizes["X"]
        self._row_axes = "YXC" if "C" in axes else "YX"
        self._order = [axes.index(axis) for axis in (*self._planes, *self._row_axes)]
        self.row_bytes = self.width * sizes.get("C", 1) * store.full.dtype.itemsize
        self.chunk = rows_together(self._along(store.full.chunks, "Y"))
        self._depth = self._depth_of(zarr.writing_chunks(store.full))
        self._slab: tuple[int, npt.NDArray[Any]] | None = None

    def rows(self, page: int, start: int, stop: int) -> npt.NDArray[Any]:
        """Stored values of some rows: (rows, W) or (rows, W, C)."""
        with saying_what_is_damaged(str(self.path), KIND):
            if self._depth == 1:
                stored: npt.NDArray[Any] = self._read(page, 1, slice(start, stop))[0]
                return stored
            first, count = self._slab_of(page)
            if self._slab is None or self._slab[0] != first:
                self._slab = None
                self._slab = first, self._read(first, count, slice(0, self.height))
            stored = self._slab[1][page - first, start:stop]
            return stored

    def image(self, stored: npt.NDArray[Any]) -> Image:
        """What stored values, a part of a page, show."""
        image = zarr.describe(stored, self._row_axes, self._store.pyramid, self._largest)
        spanned = image.data_range if self.data_range is None else pair_of(self.data_range)
        return replace(image, metadata={**image.metadata, "format": "zarr"}, data_range=spanned)

    def stored(self, image: Image) -> npt.NDArray[Any]:
        """The values of an image."""
        return image.array

    def tell_maximum(self, value: float) -> None:
        """Say what the largest value of all pages is."""
        self._largest = value

    def write(self, path: Path, bands: Iterable[npt.NDArray[Any]], image: Image) -> None:
        """Write an OME-Zarr like this one, of other values, and its smaller sizes."""
        markers = formats.FORMATS["zarr"].markers
        with replacing_folder(path, markers) as folder, encoding(str(path)):
            arrays = zarr.prepare(folder, self._store.pyramid, mark.denoised_mark(image))
            for first, row, values in self._pieces(bands, self._along(zarr.writing_chunks(arrays[0]), "Y")):
                part = self._part(first, len(values), slice(row, row + values.shape[1]))
                arrays[0][part] = self._arranged(values)
            zarr.finish(arrays)

    def _pieces(self, bands: Iterable[npt.NDArray[Any]], chunk: int) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        """Page and row that a piece of whole chunks begins at, and its values as `_read` gives them."""
        page, row = 0, 0
        pages: list[npt.NDArray[Any]] = []
        for band in of_height(bands, chunk if self._depth == 1 else self.height, self.height):
            pages.append(band)
            first, count = self._slab_of(page)
            if len(pages) == count:
                yield first, row, np.stack(pages)
                pages = []
            row += len(band)
            if row == self.height:
                page, row = page + 1, 0

    def _read(self, page: int, count: int, rows: slice) -> npt.NDArray[Any]:
        """(pages, rows, W) or (pages, rows, W, C)."""
        values = np.asarray(self._store.full[self._part(page, count, rows)]).transpose(self._order)
        return values.reshape(count, *values.shape[len(self._planes) :])

    def _arranged(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values as `_read` gives them, with the axes of the array."""
        outer = (1,) * (len(self._planes) - 1) + values.shape[:1] if self._planes else ()
        return values.reshape(*outer, *values.shape[1:]).transpose(np.argsort(self._order))

    def _part(self, page: int, count: int, rows: slice) -> tuple[slice, ...]:
        """Where some rows of some pages, neighbours along the innermost axis of planes, lie in the array."""
        numbers = np.unravel_index(page, self._plane_sizes) if self._planes else ()
        places = {axis: slice(int(at), int(at) + 1) for axis, at in zip(self._planes, numbers, strict=True)}
        if self._planes:
            places[self._planes[-1]] = slice(int(numbers[-1]), int(numbers[-1]) + count)
        places["Y"] = rows
        return tuple(places.get(axis, slice(None)) for axis in self._store.pyramid.axes)

    def _slab_of(self, page: int) -> tuple[int, int]:
        """The first page, and the number of pages, that are read and written together with a page."""
        inner = page % self._inner
        first = inner - inner % self._depth
        return page - inner + first, min(self._depth, self._inner - first)

    def _depth_of(self, chunks: tuple[int, ...]) -> int:
        if not self._planes:
            return 1
        depth = min(self._along(chunks, self._planes[-1]), self._inner)
        return depth if depth * self.height * self.row_bytes <= SLAB_BYTES else 1

    def _along(self, sizes: tuple[int, ...], axis: str) -> int:
        return int(sizes[self._store.pyramid.axes.index(axis)])
