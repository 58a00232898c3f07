"""The packed store: images decoded once, laid end to end in one memory-mapped file.

A store is a folder of two files. ``pixels.bin`` holds the images one after another, each as (C, H, W) in its own
dtype; ``index.json`` says where each begins. Nothing is decoded or copied when a store is opened, so that reading a
crop costs a few page faults.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.errors import DataError
from noiseless.io.atomic import check_reachable, make_folder, replacing_folder

FORMAT_VERSION = 1
INDEX, PIXELS = "index.json", "pixels.bin"
DTYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class StoreEntry:
    """Where one image lies in the store.

    Attributes:
        name: the name the image is reported by.
        dtype: ``uint8``, ``uint16`` (spanning their range) or ``float32`` (in [0, 1] units).
        shape: (C, H, W).
        offset: first byte in ``pixels.bin``.
        info: anything else worth keeping: source path, hash, group.
    """

    name: str
    dtype: str
    shape: tuple[int, int, int]
    offset: int
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes that the image takes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class PackedStore(Sequence[np.ndarray]):
    """A read-only sequence of (C, H, W) arrays, views of one memory-mapped file.

    Args:
        folder: a folder that `write_store` made.

    Attributes:
        folder: where it lies.
        entries: where each image lies, and what is known of it.
        info: what was kept beside the entries, for example how the images were prepared.

    Raises:
        DataError: the folder is not a store, or its files do not fit together.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.entries, self.info = _read_index(self.folder)
        pixels = self.folder / PIXELS
        end = max((entry.offset + entry.nbytes for entry in self.entries), default=0)
        if not pixels.is_file() or pixels.stat().st_size < end:
            size = pixels.stat().st_size if pixels.is_file() else "no file"
            raise DataError(f"{pixels} is truncated", got=size, expected=f"{end} bytes", fix="Pack the store again.")
        self._bytes = np.memmap(pixels, dtype=np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        entry = self.entries[index]
        raw = self._bytes[entry.offset : entry.offset + entry.nbytes]
        return raw.view(entry.dtype).reshape(entry.shape)

    @property
    def content_hash(self) -> str:
        """SHA-256 over names, shapes and positions: two stores packed alike have the same."""
        text = json.dumps([asdict(entry) for entry in self.entries], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def write_store(
    folder: str | Path,
    images: Iterable[tuple[str, np.ndarray, Mapping[str, Any]]],
    *,
    info: Mapping[str, Any] | None = None,
) -> PackedStore:
    """Pack images into a new store; the folder appears whole or not at all.

    Args:
        folder: where the store goes; an existing store there is replaced.
        images: (name, array of shape (C, H, W), information kept beside it), consumed one at a time.
        info: kept in the index beside the entries, for example how the images were prepared.

    Returns:
        The store, opened.

    Raises:
        DataError: an image of another shape or dtype, or no image at all; something at `folder` that is no store.
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    check_replaceable(folder)
    make_folder(folder.parent)
    with replacing_folder(folder, (INDEX,)) as beside:
        entries = _write_pixels(beside / PIXELS, images)
        index = {"format": FORMAT_VERSION, "info": dict(info or {}), "images": [asdict(entry) for entry in entries]}
        (beside / INDEX).write_text(json.dumps(index))
    return PackedStore(folder)


def _write_pixels(path: Path, images: Iterable[tuple[str, np.ndarray, Mapping[str, Any]]]) -> list[StoreEntry]:
    entries: list[StoreEntry] = []
    with path.open("wb") as file:
        for name, array, info in images:
            if array.ndim != 3 or array.dtype.name not in DTYPES:
                raise DataError(
                    f"{name} does not fit a store",
                    got=f"{array.dtype} of shape {array.shape}",
                    expected=f"(C, H, W) in {', '.join(DTYPES)}",
                )
            file.write(b"\0" * (-file.tell() % array.dtype.itemsize))
            channels, height, width = array.shape
            entries.append(StoreEntry(name, array.dtype.name, (channels, height, width), file.tell(), dict(info)))
            file.write(np.ascontiguousarray(array).data)
    if not entries:
        raise DataError("nothing to pack", got="no image")
    return entries


def check_replaceable(folder: str | Path) -> None:
    """See that a store can be written: nothing but a store is replaced.

    Raises:
        DataError: something else is there.
        OutputError: no folder can be made there.
    """
    folder = Path(folder)
    check_reachable(folder.parent, f"cannot write the store {folder}")
    try:
        if folder.exists():
            _read_index(folder)
    except DataError as error:
        fix = "Name another folder: nothing but a store is replaced."
        raise DataError(f"{folder} is there and is not a packed store", fix=fix) from error


def _read_index(folder: Path) -> tuple[tuple[StoreEntry, ...], dict[str, Any]]:
    try:
        index = json.loads((folder / INDEX).read_text())
        entries = tuple(StoreEntry(**{**entry, "shape": tuple(entry["shape"])}) for entry in index["images"])
        info = dict(index["info"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is not a packed store", fix="Make one with: noiseless data pack") from error
    if index["format"] != FORMAT_VERSION:
        raise DataError(f"{folder}: unknown store format", got=index["format"], expected=FORMAT_VERSION)
    return entries, info


def as_unit_float(pixels: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] units: integers span their dtype, floats are taken as they are.

    Args:
        pixels: any shape; ``uint8``, ``uint16`` or ``float32``.
    """
    if pixels.dtype == np.float32:
        return pixels.copy()
    scale = np.float32(1 / np.iinfo(pixels.dtype).max)
    scaled: np.ndarray = pixels.astype(np.float32) * scale
    return scaled
