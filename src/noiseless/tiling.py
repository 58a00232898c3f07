"""Pure geometry of tiles: where to cut an image so that the pieces, put together, equal the whole.

A tile is a *core*, the part of the result that is kept, in a *window*, what the network is shown: the core and a
halo of context around it. At the image's border there is no halo, since there a network pads by itself, tiled or
not; a core there is larger by so much, and all windows of an image have one size, so that memory is used again.
Cores and windows begin and end at multiples of what the network demands, since a network that folds or pools the
image gives other results on another grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

SHRINKING = 16
"""A core that does not fit is made smaller by its sixteenth part."""

Fits = Callable[[int, int], bool]
"""Told the side of a core and the pixels of the largest window around one: whether these fit."""


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels.

    Attributes:
        start: first pixel of the core.
        stop: first pixel after the core.
        window_start: first pixel of the window.
        window_stop: first pixel after the window.
    """

    start: int
    stop: int
    window_start: int
    window_stop: int

    @property
    def core(self) -> slice:
        """The core in the image."""
        return slice(self.start, self.stop)

    @property
    def window(self) -> slice:
        """The window in the image."""
        return slice(self.window_start, self.window_stop)

    @property
    def inner(self) -> slice:
        """The core in the window."""
        return slice(self.start - self.window_start, self.stop - self.window_start)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image, as spans of rows and of columns."""

    rows: Span
    columns: Span

    @property
    def window_shape(self) -> tuple[int, int]:
        """Height and width of the window."""
        rows, columns = self.rows, self.columns
        return rows.window_stop - rows.window_start, columns.window_stop - columns.window_start


def round_up(length: int, multiple: int) -> int:
    """The smallest multiple that is not below `length`."""
    return -(-length // multiple) * multiple


def spans(length: int, core: int, halo: int, multiple_of: int = 1) -> list[Span]:
    """Cut an axis into windows of one length, which overlap by twice the halo or a little more.

    Args:
        length: of the axis, in pixels; a multiple of `multiple_of`.
        core: longest core wanted between two others; the smallest multiple where it is below that.
        halo: pixels of context on each side; rounded up to a multiple.
        multiple_of: what every start and stop is a multiple of.
    """
    if length % multiple_of:
        raise ValueError(f"a length of {length} is not a multiple of {multiple_of}")
    halo = round_up(halo, multiple_of)
    most = max(core // multiple_of, 1) * multiple_of
    count = max(1, -(-(length - 2 * halo) // most))
    window = round_up(-(-(length + (count - 1) * 2 * halo) // count), multiple_of)
    starts = [(length - window) * number // max(count - 1, 1) // multiple_of * multiple_of for number in range(count)]
    overlaps = [start + window - after for start, after in pairwise(starts)]
    cuts = [
        after + overlap // 2 // multiple_of * multiple_of for after, overlap in zip(starts[1:], overlaps, strict=True)
    ]
    edges = pairwise([0, *cuts, length])
    return [Span(*edge, start, start + window) for edge, start in zip(edges, starts, strict=True)]


def tiles(height: int, width: int, core: int, halo: int, multiple_of: int = 1) -> Iterator[Tile]:
    """Cut an image into tiles, row by row; see `spans`."""
    columns = spans(width, core, halo, multiple_of)
    for row in spans(height, core, halo, multiple_of):
        for column in columns:
            yield Tile(row, column)


def largest_window(height: int, width: int, core: int, halo: int, multiple_of: int = 1) -> int:
    """Pixels of the largest window that cutting an image into `tiles` makes."""

    def longest(length: int) -> int:
        return max(span.window_stop - span.window_start for span in spans(length, core, halo, multiple_of))

    return longest(height) * longest(width)


def fitting_core(height: int, width: int, halo: int, multiple_of: int, fits: Fits, largest: int) -> int | None:
    """The longest side of a core that fits, or ``None`` where none is that small.

    Args:
        height: of the image, a multiple of `multiple_of`.
        width: of the image, a multiple of `multiple_of`.
        halo: pixels of context on each side.
        multiple_of: what sides are multiples of.
        fits: see `Fits`.
        largest: longest side that is wanted.
    """
    core = min(round_up(max(largest, 1), multiple_of), max(height, width))
    while not fits(core, largest_window(height, width, core, halo, multiple_of)):
        if core <= multiple_of:
            return None
        core -= round_up(core // SHRINKING, multiple_of) or multiple_of
    return core
