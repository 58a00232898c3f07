"""Drives an engine over images: padding, tiles within the memory allowed, batches, self-ensemble, progress, cancel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.bundle import NetworkSpec
from noiseless.errors import Cancelled, ConfigError, ImageError, MemoryLimitError, SigmaError
from noiseless.image import LUMA
from noiseless.runtime import Array, Engine, Precision, prepare
from noiseless.runtime.machine import free_memory, resident_memory
from noiseless.tiling import Tile, fitting_core, largest_window, round_up, tiles

Progress = Callable[[float], None]
"""Told the share of the work that is done, from 0 to 1."""

Cancel = Callable[[], bool]
"""Asked between tiles whether to stop."""

LARGEST_CORE = 3072
"""Longest side of a core, so that there is progress to show and a place to stop. With 2048, what lies around cores is
computed twice so often that 24 megapixels take a sixth longer; in one piece they do too, for its memory."""

BATCH_PIXELS = 512 * 512
"""Small images are run together up to so many pixels; more gains nothing."""

FREE_SHARE = 0.5
KEPT_SHARE = 0.1
"""Of the memory that is free, what an engine may keep from one image to the next: to take it anew costs a quarter of
the time of a small network."""

ENSEMBLE = 8
"""Turns and flips of an image."""


@dataclass(frozen=True)
class Piece:
    """A tile of one of the images."""

    image: int
    tile: Tile


@dataclass(frozen=True)
class Grid:
    """How images are cut: the side of a core, and how many windows are run together."""

    core: int
    batch: int


class SelfEnsemble:
    """An engine that averages another's results over the eight turns and flips of its input.

    Timofte, Rothe and Van Gool, "Seven Ways to Improve Example-Based Single Image Super Resolution", 2016.
    """

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.precision: Precision = engine.precision
        self.bytes_per_pixel = engine.bytes_per_pixel
        self.fixed_bytes = engine.fixed_bytes
        self.note = engine.note
        self._engine = engine

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore a batch (B, C, H, W); see `noiseless.runtime.Engine.run`."""
        total = np.zeros_like(batch)
        for turns in range(4):
            for flip in (False, True):
                turned = turn(batch, turns, flip)
                told = None if sigma is None else turn(sigma, turns, flip)
                total += turn_back(self._engine.run(turned, told), turns, flip)
        total /= ENSEMBLE
        return total

    def release(self) -> None:
        """Give back memory; see `noiseless.runtime.Engine.release`."""
        self._engine.release()


class Unreleased:
    """An engine that keeps its memory when it is told to release it, for windows of one size that follow each other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def release(self) -> None:
        """Nothing: who made the engine releases it."""


def restore(
    engine: Engine,
    planes: Array,
    sigma: npt.ArrayLike | None,
    spec: NetworkSpec,
    *,
    tile: int | None = None,
    max_memory: int | None = None,
    ensemble: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Array:
    """Run a network over images of one size.

    Sides that do not fit the network are padded by reflection, here and nowhere else. Large images are cut into tiles
    whose halo makes the result that of the whole image.

    Args:
        engine: runs the network.
        planes: (N, C, H, W) float32, in [0, 1] units, with the network's number of channels.
        sigma: noise standard deviation in the same units, broadcastable to the planes; ``None`` for a blind network.
        spec: the network's.
        tile: side of a tile's core in pixels; chosen to fit the memory where ``None``.
        max_memory: bytes that the process may hold while it works, all of which the engine then gives back; what it
            holds and half of what is free where ``None``, and the engine may keep `KEPT_SHARE` for the next image.
        ensemble: average over the eight turns and flips, at eight times the cost.
        progress: told the share that is done.
        cancel: asked between tiles, and after the last, whether to stop.

    Returns:
        (N, C, H, W) float32, not clipped.

    Raises:
        SigmaError: a conditioned network without sigma.
        ConfigError: a tile size for a network that needs the whole image.
        MemoryLimitError: not even the smallest tile fits.
        Cancelled: `cancel` said so.
    """
    prepare(engine, planes[:, 0].size * (ENSEMBLE if ensemble else 1), max_memory)
    work = _Work(SelfEnsemble(engine) if ensemble else engine, planes, _told(sigma, planes, spec), spec)
    grid = plan(planes.shape, spec, engine, tile=tile, max_memory=max_memory)
    try:
        while True:
            try:
                return work.run(grid, progress, cancel)
            except MemoryError as error:
                grid = _smaller(grid, planes.shape, spec, error)
    finally:
        if max_memory is not None or work.held > KEPT_SHARE * free_memory():
            engine.release()


def blended(noisy: Array, restored: Array, strength: Array, *, luma: float = 1.0, chroma: float = 1.0) -> Array:
    """As much of the restored image as is wanted.

    Args:
        noisy: (N, C, H, W).
        restored: (N, C, H, W).
        strength: 0 to 1, a number, (H, W), or what broadcasts to all: (N, 1, H, W).
        luma: strength for the brightness of colours, 0 to 1.
        chroma: strength for colours themselves, 0 to 1.

    Raises:
        ImageError: the strength does not fit the image.
    """
    coloured = noisy.shape[1] == len(LUMA) and (luma, chroma) != (1.0, 1.0)
    if not coloured and strength.ndim == 0 and strength == 1:
        return restored
    change = restored - noisy
    if coloured:
        grey = np.einsum("nchw,c->nhw", change, LUMA)[:, np.newaxis]
        change = luma * grey + chroma * (change - grey)
    try:
        blend: Array = (noisy + strength * change).astype(np.float32, copy=False)
    except ValueError as error:
        raise ImageError(
            "the strength map does not fit the image", got=strength.shape, expected=noisy.shape[-2:]
        ) from error
    return blend


def plan(
    shape: tuple[int, ...], spec: NetworkSpec, engine: Engine, *, tile: int | None, max_memory: int | None
) -> Grid:
    """Choose the size of tiles and batches.

    Args:
        shape: (N, C, H, W) of the images.
        spec: the network's.
        engine: says how much memory a pixel takes.
        tile: side of a core, where it is given.
        max_memory: as of `restore`.

    Raises:
        ConfigError: a tile size for a network that needs the whole image, or one below 1.
        MemoryLimitError: not even the smallest tile fits.
    """
    height, width = padded_size(shape, spec)
    most = max(0.0, spare_memory(engine, max_memory) - 4 * math.prod(shape)) / engine.bytes_per_pixel
    if tile is not None:
        core: int | None = _checked_tile(tile, height, width, spec)
    elif spec.halo is None:
        core = max(height, width) if height * width <= most else None
    else:
        core = fitting_core(
            height, width, spec.halo, spec.multiple_of, lambda core, window: window <= most, LARGEST_CORE
        )
    if core is None:
        raise _too_large(height, width, spec, most, engine)
    window = largest_window(height, width, core, spec.halo or 0, spec.multiple_of)
    return Grid(core, max(1, int(min(most, BATCH_PIXELS) // window)))


def spare_memory(engine: Engine, max_memory: int | None) -> float:
    """Bytes that may still be taken, beside what the engine needs for itself; below 0 where that is too much already.

    Args:
        engine: says how much it needs.
        max_memory: as of `restore`.
    """
    resident = resident_memory()
    limit = resident + FREE_SHARE * free_memory() if max_memory is None else max_memory
    return limit - resident - engine.fixed_bytes


def padded_size(shape: tuple[int, ...], spec: NetworkSpec) -> tuple[int, int]:
    """Height and width that the network takes, not below those of images of this shape."""
    smallest = round_up(spec.minimum_size, spec.multiple_of)
    height, width = (max(round_up(side, spec.multiple_of), smallest) for side in shape[-2:])
    return height, width


def reflected(length: int, padded: int) -> npt.NDArray[np.intp]:
    """For each row or column of a padded image the one that it shows: the image, then its reflection.

    An image of a single pixel is repeated.
    """
    return np.pad(np.arange(length), (0, padded - length), mode="reflect")


class _Windows:
    """What pieces show of images (N, C, H, W), in memory that is used again: to take it anew takes longer."""

    def __init__(self, images: Array, height: int, width: int) -> None:
        self._images = images
        self._rows = reflected(images.shape[-2], height)
        self._columns = reflected(images.shape[-1], width)
        self._kept: Array = np.empty((0, 0, 0, 0), np.float32)

    def of(self, pieces: list[Piece]) -> Array:
        """Windows of one size, until the next are asked for."""
        shape = (len(pieces), self._images.shape[1], *pieces[0].tile.window_shape)
        if self._kept.shape != shape:
            self._kept = np.empty(shape, np.float32)
        for window, piece in zip(self._kept, pieces, strict=True):
            self._show(self._images[piece.image], piece.tile, window)
        return self._kept

    def _show(self, image: Array, tile: Tile, window: Array) -> None:
        """Fill a window with what it shows of the image and, beyond the image's end, of its reflection."""
        rows, columns = tile.rows.window, tile.columns.window
        inside = image[:, rows, columns]
        height, width = inside.shape[-2:]
        window[:, :height, :width] = inside
        window[:, :height, width:] = image[:, rows, self._columns[columns][width:]]
        window[:, height:] = image[:, self._rows[rows][height:]][:, :, self._columns[columns]]


class _Work:
    """What `restore` does with one grid.

    Attributes:
        held: bytes that the engine needed.
    """

    def __init__(self, engine: Engine, planes: Array, sigma: Array | None, spec: NetworkSpec) -> None:
        self._engine, self._planes, self._sigma, self._spec = engine, planes, sigma, spec
        self._height, self._width = padded_size(planes.shape, spec)
        self._noisy = _Windows(planes, self._height, self._width)
        self._levels: _Windows | None = None
        if sigma is not None and sigma.shape[-2:] == planes.shape[-2:] != (1, 1):
            levels = np.broadcast_to(sigma, (len(planes), *sigma.shape[1:]))
            self._levels = _Windows(levels, self._height, self._width)
        self.held = 0.0

    def run(self, grid: Grid, progress: Progress | None, cancel: Cancel | None) -> Array:
        restored = np.empty_like(self._planes)
        done, total = 0, len(self._planes) * self._height * self._width
        for pieces in self._batches(grid):
            if cancel is not None and cancel():
                raise Cancelled("stopped before the image was done")
            batch = self._noisy.of(pieces)
            self.held = max(self.held, batch[:, 0].size * self._engine.bytes_per_pixel)
            results = self._engine.run(batch, self._told(pieces))
            for piece, result in zip(pieces, results, strict=True):
                done += self._place(piece, result, restored)
            if progress is not None:
                progress(done / total)
        if cancel is not None and cancel():
            raise Cancelled("stopped before the image was written")
        return restored

    def _batches(self, grid: Grid) -> Iterator[list[Piece]]:
        halo, multiple = self._spec.halo or 0, self._spec.multiple_of
        plan = list(tiles(self._height, self._width, grid.core, halo, multiple))
        pieces = (Piece(image, tile) for image in range(len(self._planes)) for tile in plan)
        for _, alike in groupby(pieces, key=lambda piece: piece.tile.window_shape):
            group = list(alike)
            for start in range(0, len(group), grid.batch):
                yield group[start : start + grid.batch]

    def _told(self, pieces: list[Piece]) -> Array | None:
        if self._levels is not None:
            return self._levels.of(pieces)
        if self._sigma is None or len(self._sigma) == 1:
            return self._sigma
        return self._sigma[[piece.image for piece in pieces]]

    def _place(self, piece: Piece, result: Array, restored: Array) -> int:
        """Put a tile's core where it belongs; what was padded is left out. Returns the pixels of the core."""
        rows, columns = piece.tile.rows, piece.tile.columns
        core = result[:, rows.inner, columns.inner]
        target = restored[piece.image, :, rows.core, columns.core]
        target[...] = core[:, : target.shape[-2], : target.shape[-1]]
        height, width = core.shape[-2:]
        return int(height * width)


def _told(sigma: npt.ArrayLike | None, planes: Array, spec: NetworkSpec) -> Array | None:
    """Sigma as the network is told it, with four axes, the last two both 1 or those of the image."""
    if spec.conditioning == "none":
        return None
    if sigma is None:
        raise SigmaError("this network must be told the noise level", fix='Give noise="gaussian:25", for example.')
    array = np.asarray(sigma, np.float32)
    try:
        np.broadcast_shapes(array.shape, planes.shape)
    except ValueError as error:
        raise SigmaError("sigma does not fit the image", got=array.shape, expected=planes.shape) from error
    array = with_four_axes(array)
    if array.shape[-2:] not in ((1, 1), planes.shape[-2:]):
        array = np.broadcast_to(array, (*array.shape[:2], *planes.shape[-2:]))
    return np.ascontiguousarray(array)


def with_four_axes(sigma: Array) -> Array:
    """A noise level with the axes of planes, (N, C, H, W), each 1 where it had none."""
    return sigma.reshape((1,) * (4 - sigma.ndim) + sigma.shape)


def by_channel(sigma: Array) -> list[float]:
    """A noise level as a number for each channel, on the scale of 0 to 255, in the mean over planes and pixels."""
    return [round(255 * float(level), 2) for level in with_four_axes(sigma).mean((0, 2, 3))]


def _checked_tile(tile: int, height: int, width: int, spec: NetworkSpec) -> int:
    if tile < 1:
        raise ConfigError("tile does not fit", got=tile, expected="the side of a tile, 1 or more")
    if spec.halo is None and tile < max(height, width):
        raise ConfigError("this network looks at the whole image and cannot be tiled", got=f"tile={tile}")
    return tile


def _smaller(grid: Grid, shape: tuple[int, ...], spec: NetworkSpec, error: MemoryError) -> Grid:
    """The next grid to try after one that took too much memory."""
    if grid.batch > 1:
        return Grid(grid.core, grid.batch // 2)
    core = min(grid.core, max(padded_size(shape, spec))) // 2
    if spec.halo is None or core < spec.multiple_of:
        raise MemoryLimitError(
            "out of memory", got=str(error) or None, fix="Free some, or use a smaller model."
        ) from error
    return Grid(core, 1)


def _too_large(height: int, width: int, spec: NetworkSpec, most: float, engine: Engine) -> MemoryLimitError:
    smallest = min(spec.multiple_of + 2 * round_up(spec.halo or 0, spec.multiple_of), height, width) ** 2
    pixels = height * width if spec.halo is None else smallest
    needed = (pixels - most) * engine.bytes_per_pixel
    whole = "the whole image, which this network needs at once," if spec.halo is None else "even the smallest tile"
    return MemoryLimitError(
        f"{whole} does not fit into the memory allowed",
        got=f"about {needed / 1e6:.0f} MB too little",
        fix="Raise --max-memory (max_memory), or use a smaller model.",
    )


def turn(array: Array, turns: int, flip: bool) -> Array:
    """Quarter turns of the last two axes, then perhaps a flip; contiguous."""
    turned = np.rot90(array, turns, axes=(-2, -1))
    return np.ascontiguousarray(turned[..., ::-1] if flip else turned)


def turn_back(array: Array, turns: int, flip: bool) -> Array:
    """The inverse of `turn`."""
    return np.rot90(array[..., ::-1] if flip else array, -turns, axes=(-2, -1))
