"""From a source to arrays: every file is decoded once, into a packed store that later runs open again."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from noiseless.data.gather import open_store
from noiseless.data.manifest import Manifest, ManifestEntry, entries_of
from noiseless.data.sources import Item, Source
from noiseless.data.split import Split
from noiseless.data.store import PackedStore, write_store
from noiseless.errors import DataError, ImageError, ValueRangeError

SANE_FLOATS = (-1.0, 2.0)


class Arrays(Sequence[np.ndarray]):
    """Chosen images of packed stores: arrays (C, H, W), views of memory-mapped files.

    Args:
        chosen: (store, position in it) of each image.
    """

    def __init__(self, chosen: Sequence[tuple[PackedStore, int]]) -> None:
        self._chosen = tuple(chosen)

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Arrays: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Arrays:
        if isinstance(index, slice):
            return Arrays(self._chosen[index])
        store, entry = self._chosen[index]
        return store[entry]

    def names(self) -> list[str]:
        """Name of each image."""
        return [store.entries[entry].name for store, entry in self._chosen]


@dataclass(frozen=True)
class Decoded:
    """A source, decoded.

    Attributes:
        arrays: for each role of the source, its images in the order of the items: uint8, uint16 or float32.
        manifest: what they are made of, and what could not be read.
    """

    arrays: Mapping[str, Arrays]
    manifest: Manifest


def decode(source: Source, folder: str | Path, *, side: str = "train") -> Decoded:
    """Decode a source into a packed store, or open the one that an earlier call made of the same files.

    An item with a file that cannot be read is left out and named in the manifest. A source whose images lie in
    packed stores already is used where it is.

    Args:
        source: what to decode.
        folder: where the store goes.
        side: what the manifest calls it.

    Raises:
        DataError: views of one item differ in height or width (all of them are named), or nothing can be read.
        ValueRangeError: float images far outside [0, 1] and no `data_range`.
        OutputError: the store cannot be written.
    """
    if source.data_range is None and all(view.entry is not None for item in source.items for view in item.views):
        return _in_place(source, side)
    key = _key(source, side)
    store = _existing(Path(folder), key)
    if store is None:
        skipped: list[str] = []  # filled while the store is written, saved when it is complete
        store = write_store(folder, _decoded(source, side, skipped), info={"key": key, "skipped": skipped})
    return _opened(source, store)


def decode_split(split: Split, folder: str | Path) -> dict[str, Decoded]:
    """Decode each side of a split into a store of its name in a folder; see `decode`."""
    return {side: decode(source, Path(folder) / side, side=side) for side, source in split.sides().items()}


def normalise(pixels: np.ndarray, data_range: tuple[float, float] | None, *, name: str) -> np.ndarray:
    """Pixels as a store holds them: integers that span their dtype, or float32 in [0, 1] units.

    Args:
        pixels: any shape; uint8, uint16 or float32.
        data_range: values (low, high) that become 0 and 1; ``None`` leaves the pixels as they are.
        name: what an error calls the image.

    Raises:
        ImageError: a value is NaN or infinite.
        ValueRangeError: floats whose 0.1 or 99.9 percentile lies outside [-1, 2] without a `data_range`.
    """
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise ImageError(f"{name} holds NaN or infinite values", expected="finite numbers")
    if data_range is not None:
        low, high = data_range
        return ((pixels - np.float64(low)) / (high - low)).astype(np.float32)
    if pixels.dtype.kind == "f":
        low, high = np.percentile(pixels, [0.1, 99.9])
        if low < SANE_FLOATS[0] or high > SANE_FLOATS[1]:
            raise ValueRangeError(
                f"{name}: float values far outside [0, 1]",
                got=f"{low:g} to {high:g}",
                expected="values in [0, 1], or a data range",
                fix="Say which values map to 0 and 1 with data_range (low, high).",
            )
    return pixels


def _in_place(source: Source, side: str) -> Decoded:
    arrays = {
        role: Arrays([(open_store(view.path), view.entry) for view in views if view.entry is not None])
        for role, views in zip(source.roles, zip(*(item.views for item in source.items), strict=True), strict=True)
    }
    scenes = list(zip(source.items, zip(*arrays.values(), strict=True), strict=True))
    _refuse_unequal([_sizes(item, pixels) for item, pixels in scenes if _differ(pixels)], len(source))
    entries = [entries_of(item.views, pixels, side=side, roles=source.roles) for item, pixels in scenes]
    return Decoded(arrays, Manifest(tuple(itertools.chain.from_iterable(entries))))


def _decoded(source: Source, side: str, skipped: list[str]) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """The views of every readable item, one after another; the others are added to `skipped`."""
    unequal: list[str] = []
    for item in source.items:
        try:
            raw = [view.read() for view in item.views]
            pixels = [normalise(a, source.data_range, name=v.name) for a, v in zip(raw, item.views, strict=True)]
        except ImageError as error:
            skipped.append(str(error))
            continue
        if _differ(pixels):
            unequal.append(_sizes(item, pixels))
        for entry, array in zip(entries_of(item.views, raw, side=side, roles=source.roles), pixels, strict=True):
            yield entry.path, array, asdict(entry)
    _refuse_unequal(unequal, len(source))
    if len(skipped) == len(source):
        raise DataError(f"none of {len(source)} images can be read", got="; ".join(skipped[:3]))


def _opened(source: Source, store: PackedStore) -> Decoded:
    roles = len(source.roles)
    chosen = [(store, entry) for entry in range(len(store))]
    arrays = {role: Arrays(chosen[number::roles]) for number, role in enumerate(source.roles)}
    entries = tuple(ManifestEntry(**entry.info) for entry in store.entries)
    return Decoded(arrays, Manifest(entries, tuple(store.info["skipped"])))


def _differ(pixels: Sequence[np.ndarray]) -> bool:
    return len({array.shape[-2:] for array in pixels}) > 1


def _refuse_unequal(unequal: Sequence[str], number: int) -> None:
    if unequal:
        more = f" and {len(unequal) - 5} more" if len(unequal) > 5 else ""
        raise DataError(
            f"{len(unequal)} of {number} pairs differ in size",
            got="; ".join(unequal[:5]) + more,
            expected="both images of a pair of one width and height",
        )


def _sizes(item: Item, pixels: Sequence[np.ndarray]) -> str:
    sizes = (f"{view.name} {array.shape[-1]}x{array.shape[-2]}" for view, array in zip(item.views, pixels, strict=True))
    return " and ".join(sizes)


def _key(source: Source, side: str) -> str:
    """Changes when the files, their order or the range of values change."""
    views = [[view.name, view.sha256] for item in source.items for view in item.views]
    return hashlib.sha256(json.dumps([side, source.roles, source.data_range, views]).encode()).hexdigest()


def _existing(folder: Path, key: str) -> PackedStore | None:
    if not (folder / "index.json").is_file():
        return None
    try:
        store = PackedStore(folder)
    except DataError:  # an interrupted or foreign store is made again
        return None
    return store if store.info.get("key") == key else None
