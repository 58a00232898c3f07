"""From a source to arrays: every file is decoded once, into a packed store that later runs open again."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, overload

import numpy as np

from noiseless.data.gather import open_store
from noiseless.data.manifest import Manifest, ManifestEntry
from noiseless.data.sources import Item, Source
from noiseless.data.split import Split
from noiseless.data.store import PackedStore, write_store
from noiseless.errors import DataError, ImageError


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

    def info(self, index: int) -> Mapping[str, Any]:
        """What the store says of an image."""
        store, entry = self._chosen[index]
        return store.entries[entry].info

    def successors(self) -> list[tuple[int, int]]:
        """Positions of images and of the next in depth or time.

        That is the next plane of the same file, or the file of one plane whose name has the next number.
        """
        info = [self.info(number) for number in range(len(self))]
        planes = [(each.get("sha256"), each.get("plane", 0)) for each in info]
        sizes = Counter(file for file, _ in planes)
        places = [
            (sizes[file] == 1 and _numbered(name)) or (file, plane)
            for name, (file, plane) in zip(self.names(), planes, strict=True)
        ]
        positions = {place: number for number, place in enumerate(places)}
        following = [positions.get((*place[:-1], place[-1] + 1)) for place in places]
        return [(number, after) for number, after in enumerate(following) if after is not None]


def _numbered(name: str) -> tuple[str, str, int] | None:
    """What a name has before and after its last number, and that number; None where there is none."""
    found = re.fullmatch(r"(.*?)(\d+)([^\d/]*)", name.removesuffix(PurePosixPath(name).suffix))
    return None if found is None else (found[1], found[3], int(found[2]))


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
        entries: list[dict[str, Any]] = []  # filled, as is `skipped`, while the store is written; then saved with it
        skipped: list[str] = []
        info = {"key": key, "entries": entries, "skipped": skipped}
        store = write_store(folder, _decoded(source, side, entries, skipped), info=info)
    return _opened(source, store)


def decode_split(split: Split, folder: str | Path) -> dict[str, Decoded]:
    """Decode each side of a split into a store of its name in a folder; see `decode`."""
    return {side: decode(source, Path(folder) / side, side=side) for side, source in split.sides().items()}


def _in_place(source: Source, side: str) -> Decoded:
    """The arrays of the stores that a source lies in."""
    views = list(zip(*(item.views for item in source.items), strict=True))
    arrays = {
        role: Arrays([(open_store(view.path), view.entry) for view in column if view.entry is not None])
        for role, column in zip(source.roles, views, strict=True)
    }
    planes = [[[array] for array in scene] for scene in zip(*arrays.values(), strict=True)]
    _refuse_unequal([_sizes(item, found) for item, found in zip(source.items, planes, strict=True) if _differ(found)])
    entries = [
        entry for item, found in zip(source.items, planes, strict=True) for entry in _entries(source, item, found, side)
    ]
    return Decoded(arrays, Manifest(tuple(entries)))


def _decoded(
    source: Source, side: str, entries: list[dict[str, Any]], skipped: list[str]
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """The planes of every readable item, its views in turn; fills `entries`, and `skipped` with the other items."""
    unequal: list[str] = []
    for item in source.items:
        try:
            planes, traits = zip(*(view.read_with_traits(source.data_range) for view in item.views), strict=True)
        except ImageError as error:
            skipped.append(str(error))
            continue
        if _differ(planes):
            unequal.append(_sizes(item, planes))
            continue
        entries += [asdict(entry) for entry in _entries(source, item, planes, side)]
        for number, scene in enumerate(zip(*planes, strict=True)):
            for view, array, known in zip(item.views, scene, traits, strict=True):
                yield view.name, array, {**known, "sha256": view.sha256, "plane": number}
    _refuse_unequal(unequal)
    if len(skipped) == len(source):
        raise DataError(f"none of {len(source)} images can be read", got="; ".join(skipped[:3]))


def _entries(source: Source, item: Item, planes: Sequence[Sequence[np.ndarray]], side: str) -> list[ManifestEntry]:
    return [
        ManifestEntry.of(view, found, side=side, role=role)
        for view, found, role in zip(item.views, planes, source.roles, strict=True)
    ]


def _opened(source: Source, store: PackedStore) -> Decoded:
    roles = len(source.roles)
    chosen = [(store, entry) for entry in range(len(store))]
    arrays = {role: Arrays(chosen[number::roles]) for number, role in enumerate(source.roles)}
    entries = tuple(ManifestEntry(**entry) for entry in store.info["entries"])
    return Decoded(arrays, Manifest(entries, tuple(store.info["skipped"])))


def _differ(planes: Sequence[Sequence[np.ndarray]]) -> bool:
    return len({(len(view), view[0].shape[-2:]) for view in planes}) > 1


def _refuse_unequal(unequal: Sequence[str]) -> None:
    if unequal:
        more = f" and {len(unequal) - 5} more" if len(unequal) > 5 else ""
        raise DataError(
            f"{len(unequal)} {'pair differs' if len(unequal) == 1 else 'pairs differ'} in size",
            got="; ".join(unequal[:5]) + more,
            expected="both images of a pair of one width and height",
        )


def _sizes(item: Item, planes: Sequence[Sequence[np.ndarray]]) -> str:
    return " and ".join(
        f"{view.name} {found[0].shape[-1]}x{found[0].shape[-2]}" + (f", {len(found)} planes" if len(found) > 1 else "")
        for view, found in zip(item.views, planes, strict=True)
    )


def _key(source: Source, side: str) -> str:
    """Changes when the files, their order or the range of values change."""
    views = [[view.name, view.sha256] for item in source.items for view in item.views]
    return hashlib.sha256(json.dumps([side, source.roles, source.data_range, views]).encode()).hexdigest()


def _existing(folder: Path, key: str) -> PackedStore | None:
    try:
        store = PackedStore(folder)
    except DataError:  # none yet, or one that is made again: interrupted, or foreign
        return None
    return store if store.info.get("key") == key else None
