"""Noisy / clean pairs of patches made ahead: for noise that costs as much to make as a training step.

A store of pairs is a folder of ``noisy.npy`` and ``clean.npy``, uint8 arrays of shape (N, 3, P, P) that are
memory-mapped, and ``index.json``, which says how they were made. Each pair is a function of the seed and its number.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from noiseless._version import __version__
from noiseless.data.augment import random_crop, random_orientation, rescale, to_channels
from noiseless.data.prepare import is_noise, noise_level
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError, OutputError
from noiseless.io.atomic import not_written
from noiseless.noise import Noise

FORMAT = "noiseless pairs 1"
CHUNK = 200
"""Pairs that are made between two notes of the progress."""

GRAIN = 0.5
"""Noise of a clean picture, in grey levels of 255, that a network should not learn to keep."""


@runtime_checkable
class MakesPairs(Protocol):
    """A noise model that changes the clean picture as well."""

    def pair(self, clean: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Noisy picture and target, from a clean picture (3, H, W)."""
        ...


def synthesise(
    images: Sequence[np.ndarray],
    noise: Noise,
    count: int,
    patch: int,
    seed: int,
    folder: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Make a store of pairs; the folder appears whole, and an interrupted run goes on where it stopped.

    Args:
        images: clean pictures (C, H, W); uint8 or uint16 spanning their range, or float32 in [0, 1].
        noise: what makes them noisy; a model with a method ``pair`` decides about the target too.
        count: number of pairs.
        patch: their side in pixels.
        seed: the same seed makes the same store, whatever `workers` is.
        folder: where the store goes; it must not exist yet.
        provenance: kept in the index: where the images come from, their licences.
        workers: threads.
        progress: called with the number of pairs done and `count`.

    Returns:
        noisy, clean: memory-mapped uint8 arrays of shape (count, 3, patch, patch), as `open_pairs` gives them.

    Raises:
        DataError: no images, or a part of another store is in the way.
        OutputError: the folder exists or cannot be written.
    """
    folder = Path(folder)
    if not len(images):
        raise DataError("nothing to make noisy", got="no image")
    if folder.exists():
        raise OutputError(f"{folder} exists", fix="Remove it or choose another name.")
    index = _describe(images, noise, count, patch, seed, provenance)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        done = _begin(partial, index)
        grainy = find_grainy(images)

        def make(number: int) -> tuple[np.ndarray, np.ndarray]:
            generator = np.random.default_rng([seed, number])
            return _make_pair(noise, draw_patch(images, patch, generator, grainy), generator)

        for first in range(done, count, CHUNK):
            end = min(first + CHUNK, count)
            _make_chunk(partial, make, range(first, end), workers)
            _note(partial, end)
            if progress:
                progress(end, count)
        (partial / "done.json").unlink()
        partial.rename(folder)
    except OSError as error:
        raise not_written(f"cannot write the pairs {folder}", error) from error
    return open_pairs(folder)


def origin_of(folder: str | Path) -> dict[str, Any]:
    """How a store of pairs was made: how many, by which seed and noise, of which clean pictures."""
    index: dict[str, Any] = json.loads((Path(folder) / "index.json").read_text())
    return index


def is_pair_store(folder: str | Path) -> bool:
    """Whether a folder is a store of pairs, going by its index."""
    try:
        index = origin_of(folder)
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("format") == FORMAT


def open_pairs(folder: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of a store of pairs, memory-mapped for reading.

    Returns:
        noisy, clean: uint8, (N, 3, P, P).

    Raises:
        DataError: the folder is not a store of pairs, or its sides do not fit together.
    """
    folder = Path(folder)
    try:
        index = origin_of(folder)
        noisy, clean = (np.load(folder / f"{side}.npy", mmap_mode="r") for side in ("noisy", "clean"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is not a store of pairs", fix="Make one with noiseless.data.synthesis.") from error
    if index.get("format") != FORMAT or noisy.shape != clean.shape:
        got = f"{index.get('format')!r}, noisy {noisy.shape}, clean {clean.shape}"
        raise DataError(f"{folder} is not a store of pairs", got=got, expected=f"{FORMAT!r} and equal shapes")
    return noisy, clean


def find_grainy(images: Sequence[np.ndarray]) -> frozenset[int]:
    """Numbers of the pictures whose smoothest places hold noise above half a grey level of 255.

    It is noise and not texture where it falls when pixels are averaged.
    """
    noisy = (number for number, image in enumerate(images) if noise_level(image) > GRAIN and is_noise(image))
    return frozenset(noisy)


def draw_patch(
    images: Sequence[np.ndarray], size: int, generator: np.random.Generator, grainy: Container[int] = ()
) -> np.ndarray:
    """A clean patch: of a larger area in a quarter of the cases; in half of them the livelier of two.

    Args:
        images: pictures (C, H, W).
        size: side of the patch.
        generator: draws picture, place, scale and orientation.
        grainy: numbers of the pictures that are always made smaller, which takes their grain away.

    Returns:
        float32 (3, size, size) in [0, 1].
    """

    def one() -> np.ndarray:
        number = int(generator.integers(len(images)))
        cut = rescale if generator.random() < 0.25 or number in grainy else random_crop
        return as_unit_float(cut(images[number], size, generator))

    chosen = one()
    if generator.random() < 0.5:
        chosen = max(chosen, one(), key=_liveliness)
    return random_orientation(to_channels(chosen, 3), generator)


def _liveliness(patch: np.ndarray) -> float:
    """Mean difference of neighbours in the patch, as the logarithm of it would rank: fine texture above one edge."""
    return float(np.sqrt(np.abs(np.diff(patch, axis=-1))).mean())


def _make_chunk(
    folder: Path, make: Callable[[int], tuple[np.ndarray, np.ndarray]], numbers: range, workers: int
) -> None:
    sides = [np.load(folder / f"{side}.npy", mmap_mode="r+") for side in ("noisy", "clean")]
    with ThreadPoolExecutor(workers) as pool:
        for number, pair in zip(numbers, pool.map(make, numbers), strict=True):
            for side, array in zip(sides, pair, strict=True):
                side[number] = np.rint(np.clip(array, 0, 1) * 255)
    for side in sides:
        side.flush()


def _make_pair(noise: Noise, patch: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(noise, MakesPairs):
        return noise.pair(patch, generator)
    return noise.sample(patch, generator), patch


def _describe(
    images: Sequence[np.ndarray],
    noise: Noise,
    count: int,
    patch: int,
    seed: int,
    provenance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What a store is made of, which is also what a resumed run must agree with."""
    content = hashlib.sha256()
    for image in images:
        content.update(f"{image.dtype} {image.shape}".encode())
        content.update(np.ascontiguousarray(image[:, ::61, ::61]).data)
    return {
        "format": FORMAT,
        "count": count,
        "patch": patch,
        "seed": seed,
        "noise": noise.to_dict(),
        "images": {"number": len(images), "sha256": content.hexdigest()},
        "provenance": dict(provenance or {}),
        "version": __version__,
    }


def _begin(partial: Path, index: Mapping[str, Any]) -> int:
    """Prepare the folder in which the store grows; the number of pairs that an earlier run finished."""
    text = json.dumps(index, indent=1)
    if (partial / "index.json").is_file() and (partial / "done.json").is_file():
        if (partial / "index.json").read_text() != text:
            raise DataError(f"{partial} is part of another store", fix="Remove it, or make the same store again.")
        return int(json.loads((partial / "done.json").read_text()))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    shape = (index["count"], 3, index["patch"], index["patch"])
    for side in ("noisy", "clean"):
        np.lib.format.open_memmap(partial / f"{side}.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
    (partial / "index.json").write_text(text)
    _note(partial, 0)
    return 0


def _note(partial: Path, done: int) -> None:
    """Write the progress in one step, so that an interruption leaves the old note or the new one."""
    beside = partial / "done.json.new"
    beside.write_text(json.dumps(done))
    beside.replace(partial / "done.json")
