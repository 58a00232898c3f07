"""Denoising an image window by window, so that memory does not grow with it.

A window is a tile with its halo, as of `noiseless.tiling`; every window is denoised like an image of its own, and its
core kept. What comes before and after, reading and writing, goes on in threads of its own meanwhile.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from noiseless import ceiling
from noiseless.errors import Cancelled, MemoryLimitError
from noiseless.image import Image
from noiseless.inference import Unreleased, padded_size, spare_memory
from noiseless.io.rows import Rows
from noiseless.runtime import Engine, prepare
from noiseless.tiling import Span, fitting_core, round_up, spans
from noiseless.workflows import waiting

if TYPE_CHECKING:
    from noiseless.denoiser import Denoiser

LARGEST_CORE = 2048
"""Longest side of a core: who reads in windows wants little memory."""

COPIES = 24
"""Bytes for each pixel and channel of a window beside what the engine takes: its planes, its result, their changes."""

PLANNED = 0.5
"""Share of the memory to spare that is planned with: freed memory is not always given back."""

THREADS_BYTES = 16 << 20
"""What the threads that read and write take for themselves."""

BLOCK = 64
"""Rows that are handed to the writer at once."""

SMOOTHED = 4
"""Pixels over which noise that depends on the value is told: the halo is so much wider for it."""


class Source(Protocol):
    """An image that can be looked at in windows.

    Attributes:
        pages: pictures of which each is denoised by itself.
        height: of each, in pixels.
        width: of each, in pixels.
        row_bytes: memory for each row of a window, over the whole width; 0 where the image is in memory anyway.
        chunk: rows that are read together.
    """

    pages: int
    height: int
    width: int
    row_bytes: int
    chunk: int

    def window(self, page: int, rows: slice, columns: slice) -> Image:
        """A part of a page."""
        ...

    def leave(self, page: int, row: int) -> None:
        """Rows of this page above this one will not be asked for again for some time."""
        ...

    def close(self) -> None:
        """No more windows are wanted."""
        ...


class Sink(Protocol):
    """Takes the parts of the result, row by row."""

    def put(self, page: int, rows: slice, columns: slice, part: Image) -> None:
        """A part of a page."""
        ...


Strength = Callable[[int, slice, slice], npt.NDArray[np.float32] | float]
"""The strength for each pixel of some rows and columns of a page."""

Level = Callable[[int, slice, slice, npt.NDArray[np.float32]], npt.NDArray[np.float32] | None]
"""The noise level that the network is told for the planes of some rows and columns of a page."""


@dataclass(frozen=True)
class Work:
    """What is done with every window.

    Attributes:
        model: denoises it.
        level: see `Level`.
        strength: see `Strength`.
        varies: whether the level depends on the pixels.
        row_bytes: memory for each row that level and strength hold.
        progress: told the share that is done, 0 to 1.
        cancel: asked between windows whether to stop.
    """

    model: Denoiser
    level: Level
    strength: Strength
    varies: bool
    row_bytes: int
    progress: Callable[[float], None]
    cancel: Callable[[], bool]


def denoise_windows(source: Source, sink: Sink, work: Work, channels: int) -> None:
    """Denoise every page of a source, window by window, into a sink.

    Raises:
        MemoryLimitError: not even the smallest windows fit into the memory allowed.
        Cancelled: `work.cancel` said so.
    """
    spec = work.model.spec
    height, width = padded_size((1, channels, source.height, source.width), spec)
    prepare(work.model.engine, source.pages * height * width, work.model.controls.max_memory)
    core = core_size(source, work.model, channels, work.row_bytes)
    engine = work.model.engine
    work = replace(work, model=_at_once(work.model, core + 2 * (spec.halo or 0)))
    try:
        _denoise_pages(source, sink, work, core)
    finally:
        engine.release()


def _denoise_pages(source: Source, sink: Sink, work: Work, core: int) -> None:
    spec = work.model.spec
    height, width = padded_size((1, 1, source.height, source.width), spec)
    halo = (spec.halo or 0) + (SMOOTHED if work.varies else 0)
    down, across = (spans(length, core, halo, spec.multiple_of) for length in (height, width))
    done, total = 0, source.pages * len(down) * len(across)
    for page in range(source.pages):
        usual = (
            _usual_of(source, work, page) if work.model.bundle.ceiling is not None and total > source.pages else None
        )
        for rows in down:
            source.leave(page, rows.window_start)
            for columns in across:
                if work.cancel():
                    raise Cancelled("stopped before the image was done")
                _denoise_window(source, sink, work, page, (rows, columns), usual)
                done += 1
                work.progress(done / total)


def _at_once(model: Denoiser, side: int) -> Denoiser:
    """The model for windows whose memory was planned, and is kept from one to the next.

    Where it does not suffice after all, they are cut further.
    """
    from noiseless.denoiser import Denoiser

    return Denoiser(model.bundle, cast(Engine, Unreleased(model.engine)), replace(model.controls, tile=2 * side))


def _usual_of(source: Source, work: Work, page: int) -> float:
    """What is usually removed from a page, found in a few places of it."""
    spec, height, width = work.model.spec, source.height, source.width
    halo = round_up(max(spec.halo or 0, ceiling.WINDOW), spec.multiple_of)
    found = []
    for place in ceiling.places(height, width):
        rows, columns = (
            slice(
                max(0, part.start // spec.multiple_of * spec.multiple_of - halo),
                min(length, round_up(part.stop, spec.multiple_of) + halo),
            )
            for part, length in zip(place, (height, width), strict=True)
        )
        planes = source.window(page, rows, columns).planes()
        restored = work.model.planes(
            planes, work.level(page, rows, columns, planes), usual=math.inf, cancel=work.cancel
        )
        inner = tuple(
            slice(part.start - around.start, part.stop - around.start)
            for part, around in zip(place, (rows, columns), strict=True)
        )
        found.append(ceiling.removal(planes, restored)[0][inner])
        source.leave(page, rows.stop)
    return ceiling.usual(found)


def _denoise_window(
    source: Source, sink: Sink, work: Work, page: int, tile: tuple[Span, Span], usual: float | None
) -> None:
    rows, kept_rows, inner_rows = _clipped(tile[0], source.height)
    columns, kept_columns, inner_columns = _clipped(tile[1], source.width)
    noisy = source.window(page, rows, columns)
    planes = noisy.planes()
    sigma = work.level(page, rows, columns, planes)
    strength = work.strength(page, rows, columns)
    restored = work.model.planes(planes, sigma, strength=strength, usual=usual, cancel=work.cancel)
    core = restored[..., inner_rows, inner_columns]
    sink.put(page, kept_rows, kept_columns, cut(noisy, inner_rows, inner_columns).with_planes(core))


def _clipped(span: Span, length: int) -> tuple[slice, slice, slice]:
    """The window and the core in an image of this length, and the core in the window."""
    window = slice(span.window_start, min(span.window_stop, length))
    core = slice(span.start, min(span.stop, length))
    return window, core, slice(core.start - window.start, core.stop - window.start)


def core_size(source: Source, model: Denoiser, channels: int, beside: int = 0) -> int:
    """The side of the core of windows that fit into the memory allowed.

    Args:
        source: what is denoised.
        model: with which.
        channels: of the source.
        beside: bytes for each row of a window that others need, over the whole width.

    Raises:
        MemoryLimitError: none is that small.
    """
    spec, controls = model.spec, model.controls
    if controls.tile is not None:
        return controls.tile
    height, width = padded_size((1, channels, source.height, source.width), spec)
    spare = PLANNED * spare_memory(model.engine, controls.max_memory) - (THREADS_BYTES if source.row_bytes else 0)
    each = model.engine.bytes_per_pixel * (channels if spec.channels == 1 else 1) + COPIES * channels
    halo = round_up(spec.halo or 0, spec.multiple_of)

    def fits(core: int, window: int) -> bool:
        return window * each + _held(source, core, halo, beside) <= spare

    core = fitting_core(height, width, halo, spec.multiple_of, fits, LARGEST_CORE)
    if core is None:
        raise MemoryLimitError(
            "even the smallest window does not fit into the memory allowed",
            got=f"{max(spare, 0) / 1e6:.0f} MB to spare",
            fix="Raise --max-memory (max_memory), or use a smaller model.",
        )
    return core


def _held(source: Source, core: int, halo: int, beside: int) -> float:
    """Bytes of the rows that are held: those looked at and read ahead, and those put together and written."""
    looked_at = 2 * (core + 2 * halo) + 2 * source.chunk
    waiting_rows = ((looked_at, source.chunk), (3 * core, core))
    in_memory = sum(rows for rows, together in waiting_rows if together * source.row_bytes <= waiting.MOST_BYTES)
    decoded, encoded = source.chunk, 2 * max(source.chunk, BLOCK)
    return source.row_bytes * min(in_memory + decoded + encoded, 5 * source.height) + beside * looked_at


def cut(image: Image, rows: slice, columns: slice, plane: int | None = None) -> Image:
    """A part of an image; of a stack, of one plane of it where its number is given."""
    places = {"Y": rows, "X": columns}
    if plane is not None:
        others = [axis for axis in image.axes if axis not in "CYX"]
        sizes = [image.array.shape[image.axes.index(axis)] for axis in others]
        numbers = np.unravel_index(plane, sizes) if sizes else ()
        places |= {axis: slice(int(n), int(n) + 1) for axis, n in zip(others, numbers, strict=True)}
    index = tuple(places.get(axis, slice(None)) for axis in image.axes)
    hidden = None if image.hidden is None else image.hidden[index]
    return replace(image, array=image.array[index], hidden=hidden)


class InMemory:
    """An image that is in memory, as `Source`."""

    row_bytes = chunk = 0

    def __init__(self, image: Image) -> None:
        self.pages, self.height, self.width = image.count, image.height, image.width
        self._image = image

    def window(self, page: int, rows: slice, columns: slice) -> Image:
        """See `Source`."""
        return cut(self._image, rows, columns, page)

    def leave(self, page: int, row: int) -> None:
        """See `Source`."""

    def close(self) -> None:
        """See `Source`."""


class Collected:
    """A result that is put together in memory, as `Sink`.

    Attributes:
        image: the result.
    """

    def __init__(self, noisy: Image) -> None:
        self.image = replace(noisy, array=np.empty_like(noisy.array, subok=False))

    def put(self, page: int, rows: slice, columns: slice, part: Image) -> None:
        """See `Sink`."""
        cut(self.image, rows, columns, page).array[...] = part.array


class Streamed:
    """The rows of an image on the disk as `Source`: read ahead by a thread, given up when they are passed.

    Args:
        rows: of the image.
        folder: where those that take much memory wait; they stay in it where ``None``.
    """

    def __init__(self, rows: Rows, folder: Path | None = None) -> None:
        self.pages, self.height, self.width, self.row_bytes = rows.pages, rows.height, rows.width, rows.row_bytes
        self.chunk = rows.chunk
        self._rows, self._folder = rows, folder
        self._per_page = -(-rows.height // rows.chunk)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="noiseless-read")
        self._chunks: dict[int, Future[waiting.Kept]] = {}

    def window(self, page: int, rows: slice, columns: slice) -> Image:
        """See `Source`."""
        size, first = self.chunk, page * self._per_page
        numbers = range(rows.start // size, -(-rows.stop // size))
        for number in numbers:
            self._read(first + number)
        self._read_ahead(first + numbers.stop, -(-(rows.stop - rows.start) // size))
        inner = {number: slice(max(rows.start - number * size, 0), rows.stop - number * size) for number in numbers}
        parts = [self._chunks[first + number].result()[part, columns] for number, part in inner.items()]
        return self._rows.image(np.concatenate(parts))

    def leave(self, page: int, row: int) -> None:
        """See `Source`."""
        first = page * self._per_page + row // self.chunk
        for number in [number for number in self._chunks if number < first]:
            del self._chunks[number]

    def close(self) -> None:
        """See `Source`."""
        self._reader.shutdown(cancel_futures=True)

    def _read_ahead(self, first: int, most: int) -> None:
        """Begin to read one more chunk of those that follow, so that the others are not kept waiting."""
        following = (number for number in range(first, first + most) if number not in self._chunks)
        number = next(following, None)
        if number is not None and number < self.pages * self._per_page:
            self._read(number)

    def _read(self, number: int) -> None:
        """Begin to read a chunk, all pages counted through."""
        if number in self._chunks:
            return
        page, place = divmod(number, self._per_page)
        start = place * self.chunk
        stop = min(start + self.chunk, self.height)
        self._chunks[number] = self._reader.submit(self._put_aside, page, start, stop)

    def _put_aside(self, page: int, start: int, stop: int) -> waiting.Kept:
        return waiting.put_aside(self._folder, self._rows.rows(page, start, stop))


class Written:
    """An image on the disk as `Sink`: rows are put together and handed to a thread that writes them.

    Use as a context manager: the image is there when the block ends without an error.
    """

    def __init__(self, path: Path, source: Rows, marked: Image) -> None:
        self._source, self._path, self._marked = source, path, marked
        self._band: waiting.Kept | None = None
        self._waiting: queue.Queue[waiting.Kept | None] = queue.Queue(1)
        self._failure: BaseException | None = None
        self._complete = False
        self._writer = threading.Thread(target=self._write, name="noiseless-write", daemon=True)

    def __enter__(self) -> Written:
        self._writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._complete = error is None
        self._hand_over(None)
        self._writer.join()
        if error is None and self._failure is not None:
            raise self._failure

    def put(self, page: int, rows: slice, columns: slice, part: Image) -> None:
        """See `Sink`.

        Raises:
            OutputError: what was put before cannot be written.
        """
        values = self._source.stored(part)
        if self._band is None:
            shape = (rows.stop - rows.start, self._source.width, *values.shape[2:])
            self._band = waiting.room(self._path.parent, shape, values.dtype)
        self._band[:, columns] = values
        if columns.stop == self._source.width:
            band, self._band = self._band, None
            self._hand_over(band)
            if self._failure is not None:
                raise self._failure

    def _hand_over(self, band: waiting.Kept | None) -> None:
        while self._writer.is_alive():
            try:
                self._waiting.put(band, timeout=0.2)
                return
            except queue.Full:
                continue

    def _write(self) -> None:
        try:
            self._source.write(self._path, self._bands(), self._marked)
        except BaseException as error:  # raised again where the rows come from
            self._failure = error

    def _bands(self) -> Iterator[npt.NDArray[Any]]:
        while (band := self._waiting.get()) is not None:
            for start in range(0, len(band), BLOCK):
                yield band[start : start + BLOCK, :]
        if not self._complete:
            raise Cancelled("stopped before the image was done")
