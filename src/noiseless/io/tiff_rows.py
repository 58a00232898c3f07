"""TIFF files that are larger than memory: rows are read and written while the rest stays on the disk.

What the rows show, and which tags the new file gets, is decided by the code of `noiseless.io.tiff`: a file written
from rows is that which `write` makes of the whole image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import DataRange, Image, pair_of
from noiseless.io import formats, geotiff, ifd, raw, tiff, tiff_tags
from noiseless.io.atomic import replacing
from noiseless.io.limits import check_pixels
from noiseless.io.reading import saying_what_is_damaged
from noiseless.io.rows import of_height, pixels_by_rows, rows_together
from noiseless.io.tiff_tags import Layout
from noiseless.io.writing import encoding

if TYPE_CHECKING:
    import tifffile

MOST_SEGMENT = 64 << 20
"""Bytes of a strip that is decoded at once; files of longer ones are read whole."""

STRIP_BYTES = 1 << 18
"""Bytes of a compressed strip, as tifffile writes them of a whole image."""

PLAIN = (tiff.MINISWHITE, tiff.MINISBLACK, tiff.RGB, tiff.PALETTE, tiff.YCBCR)


class TiffRows:
    """An open TIFF file as `noiseless.io.rows.Rows`; made by `open_rows`.

    Not safe for several threads at once, but any thread may use it.

    Attributes:
        path: of the file.
        pages: how many there are.
        height: rows of a page.
        width: pixels of a row.
        chunk: rows that are best read together, from a multiple of this number on.
        row_bytes: of a row in memory.
        layout: how the file is laid out.
        data_range: that was given instead of the file's.
    """

    kind = "TIFF"

    def __init__(
        self, path: Path, file: BinaryIO, series: tifffile.TiffPageSeries, layout: Layout, data_range: DataRange | None
    ) -> None:
        self.path, self.layout = path, layout
        self._file, self.data_range = file, data_range
        self._frames: list[Any] = list(series.pages)
        page = self._page = series.keyframe
        self.pages, self.height, self.width = len(self._frames), page.imagelength, page.imagewidth
        self._plain = bool(page.is_final)
        segment = 1 if self._plain else page.chunks[0]
        self.chunk = rows_together(segment)
        self.row_bytes = self.width * page.samplesperpixel * layout.dtype.itemsize
        self._bits: int | None = None

    def rows(self, page: int, start: int, stop: int) -> npt.NDArray[Any]:
        """Stored values of some rows: (rows, W) or (rows, W, S).

        Raises:
            ImageError: they are damaged, or lie beyond the end of the file.
        """
        shape = (stop - start, *self._page.shape[1:])
        with saying_what_is_damaged(str(self.path), "TIFF"):
            return self._stored(page, start, shape) if self._plain else self._decoded(page, start, shape)

    def image(self, stored: npt.NDArray[Any]) -> Image:
        """What stored values, a part of a page, show."""
        axes = self.layout.axes[-self.layout.frame :]
        kind = "generic" if self.layout.kind == "shaped" else self.layout.kind  # that would guess from the shape
        part = replace(self.layout, axes=axes, shape=stored.shape, kind=kind)
        image = tiff.interpreted(stored, part, ())
        kept = {key: value for key, value in image.metadata.items() if key != "tiff"}
        bits = image.bits if self._bits is None else self._bits
        spanned = image.data_range
        if bits is not None and stored.dtype.kind == "u":
            spanned = (0.0, float(2**bits - 1))
        if self.data_range is not None:
            spanned = pair_of(self.data_range)
        return replace(image, metadata={**kept, "format": "tiff"}, bits=bits, data_range=spanned)

    def stored(self, image: Image) -> npt.NDArray[Any]:
        """The values to store for an image; the way back from `image`."""
        if self.layout.photometric == tiff.MINISWHITE and image.array.dtype.kind in "bu":
            return tiff.inverted(image.array, self.layout.bits)
        return image.array

    def tell_maximum(self, value: float) -> None:
        """Say what the largest value of the file is: it decides how many of its bits mean something."""
        self._bits = tiff.meaningful_bits(np.array([value], self.layout.dtype), self.layout)

    def write(self, path: Path, bands: Iterable[npt.NDArray[Any]], image: Image) -> None:
        """Write a TIFF file like this one, of other values, as these come.

        Args:
            path: where it goes.
            bands: stored values of all rows, some at a time, (rows, W) or (rows, W, S); none reaches over a page's end.
            image: its metadata (``xmp``, ``icc``) goes into the first page.

        Raises:
            OutputError: the file cannot be written; what was there before is intact.
        """
        import tifffile

        layout = self.layout
        shape = (self.pages, self.height, *layout.shape[len(layout.shape) - layout.frame + 1 :])
        big = layout.flavour.big or self.pages * self.height * self.row_bytes > tiff_tags.BIG
        options = tiff_tags.page_options(layout)
        if options["compression"] is not None and options["tile"] is None:
            options["rowsperstrip"] = min(max(STRIP_BYTES // self.row_bytes, 1), self.height)
        with replacing(path) as file:
            with (
                tifffile.TiffWriter(
                    file, bigtiff=big, byteorder=layout.flavour.order, shaped=False, ome=False
                ) as writer,
                encoding(str(path)),
            ):
                pieces = _pieces(bands, self, options)
                writer.write(pieces, shape=shape, dtype=layout.dtype, maxworkers=1, **options)
            directories = list(layout.directories)
            directories[0] = tiff_tags.with_texts(directories[0], image.metadata)
            tiff_tags.graft(file, directories)

    def _stored(self, page: int, start: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        dtype = self.layout.dtype.newbyteorder(self.layout.flavour.order)
        self._file.seek(self._frames[page].dataoffsets[0] + start * self.row_bytes)
        size = shape[0] * self.row_bytes
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("the file is truncated")
        return np.frombuffer(data, dtype).reshape(shape).astype(self.layout.dtype, copy=False)

    def _decoded(self, page: int, start: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        rows = np.full((shape[0], self.width, self._page.samplesperpixel), self._page.nodata, self.layout.dtype)
        height, across = self._page.chunks[0], self._page.chunked[1] if self._page.is_tiled else 1
        frame = self._frames[page]
        for index in range(start // height * across, -(-(start + shape[0]) // height) * across):
            values, place, (_, length, width, _) = self._segment(frame, index)
            if values is None:
                continue
            top, left = place[2], place[3]
            width = min(width, self.width - left)
            first, last = max(top, start), min(top + length, start + shape[0])
            rows[first - start : last - start, left : left + width] = values[0, first - top : last - top, :width]
        return rows.reshape(shape)

    def _segment(self, frame: Any, index: int) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
        self._file.seek(frame.dataoffsets[index])
        data = self._file.read(frame.databytecounts[index]) or None
        tables = {"jpegtables": frame.jpegtables, "jpegheader": self._page.jpegheader}
        is_jpeg = int(self._page.compression) in (6, 7, 34892)
        decoded: tuple[Any, tuple[int, ...], tuple[int, ...]] = self._page.decode(
            data, index, **(tables if is_jpeg else {})
        )
        return decoded


@contextlib.contextmanager
def open_rows(path: Path, *, data_range: DataRange | None = None) -> Iterator[TiffRows | None]:
    """Open a TIFF file to read it by rows.

    Args:
        path: of the file.
        data_range: a number (0 to that) or a pair, instead of what the file says.

    Yields:
        The rows, or ``None`` where the file must be read whole: another format, palettes and CMYK, fewer than 8 bits,
        samples or channels on pages of their own, one compressed strip.

    Raises:
        ImageError: damaged, or of more pixels than even windows may have.
    """
    with contextlib.ExitStack() as stack:
        rows = None
        if formats.recognise_path(path) == "tiff":
            file = stack.enter_context(path.open("rb"))
            with saying_what_is_damaged(str(path), "TIFF"):
                rows = _opened(file, path, data_range)
        yield rows


def _pieces(bands: Iterable[npt.NDArray[Any]], source: TiffRows, options: dict[str, Any]) -> Iterator[Any]:
    """What the writer wants one after another: tiles, compressed strips, or rows as they are."""
    dtype = source.layout.dtype.newbyteorder(source.layout.flavour.order)
    if options["tile"] is not None:
        down, across = options["tile"]
        for band in of_height(bands, down, source.height):
            cube = band.reshape(len(band), source.width, -1)
            for left in range(0, source.width, across):
                yield cube[:, left : left + across].copy()
            del band, cube  # before the next ones are put together
    elif options["compression"] is not None:
        encode = _encoder(options)
        for band in of_height(bands, options["rowsperstrip"], source.height):
            yield encode(np.ascontiguousarray(band.reshape(len(band), source.width, -1), dtype))
    else:
        yield from bands


def _encoder(options: dict[str, Any]) -> Any:
    """What makes the bytes of a strip; the codecs of tifffile."""
    import tifffile

    compress = tifffile.TIFF.COMPRESSORS[options["compression"]]
    predict = tifffile.TIFF.PREDICTORS[options["predictor"] or 1]
    if not options["predictor"] or options["predictor"] == 1:
        return compress
    return lambda rows: compress(predict(rows, axis=-2))


def _opened(file: BinaryIO, path: Path, data_range: DataRange | None) -> TiffRows | None:
    import tifffile

    tiff_tags.silence_tifffile()
    if raw.is_camera_raw(file):
        return None
    ifd.chain(*ifd.source_of(file))
    file.seek(0)
    opened = tifffile.TiffFile(file, _multifile=False)
    series = tiff.only_series(opened)
    page = series.keyframe
    if len(opened.series) > 1 or len(series.levels) > 1 or not _is_simple(series, page):
        return None
    tiff.check_supported(page)
    check_pixels(tiff.pixel_shape(series), pixels_by_rows())
    _check_claims(page)
    places = [plane.offset for plane in series.pages if plane is not None]
    layout = tiff_tags.layout_of(opened, series, tiff_tags.read_directories(file, places))
    known = [place for place in layout.places if place is not None]
    if not layout.contained or len(known) < len(places) or known != sorted(known):
        return None
    return TiffRows(path, file, series, layout, data_range)


def _is_simple(series: Any, page: Any) -> bool:
    """Whether its rows can be read and written one after another."""
    planes = series.axes[: -len(page.shape)]
    channels = page.axes not in ("YX", "YXS") or "C" in planes or "S" in planes
    coloured = int(page.photometric) not in PLAIN or (int(page.photometric) == tiff.PALETTE and series.kind != "imagej")
    packed = page.dtype is None or page.dtype.kind == "b" or page.bitspersample not in (8, 16, 32, 64)
    whole = None in list(series.pages) or len(series.pages) != int(np.prod(series.shape[: len(planes)], dtype=int))
    odd = channels or coloured or packed or whole or page.is_subsampled or page.imagedepth != 1
    partly = geotiff.GDAL_NODATA in page.tags  # values that are no picture
    untagged = series.kind == "shaped" and page.axes == "YX" and page.shape[-1] in (3, 4)
    return not (odd or partly or untagged) and _shortest_read(page) <= MOST_SEGMENT


def _shortest_read(page: Any) -> int:
    """Bytes that must be decoded to get at one row."""
    rows = 1 if page.is_final else page.chunks[0]
    return int(rows * page.imagewidth * page.samplesperpixel * page.dtype.itemsize)


def _check_claims(page: Any) -> None:
    """A header that claims more strips or tiles than it lists is damaged."""
    if not page.is_final and len(page.dataoffsets) < int(np.prod(page.chunked, dtype=int)):
        raise ImageError("the TIFF lists fewer strips or tiles than its size needs", got=len(page.dataoffsets))
