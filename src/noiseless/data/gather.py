"""Finding images: folders, files, globs and packed stores become views, one for each stored image."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.data.store import INDEX, PIXELS, PackedStore
from noiseless.errors import DataError, ImageError
from noiseless.io import find_images, read
from noiseless.io.picture import ceiling, in_depth

MAGIC = re.compile(r"[*?\[]")

TRAITS = ("format", "developed")
"""Metadata by which, beside the pixels, the model for an image is chosen: see `noiseless.denoiser.choose_model`."""


@dataclass(frozen=True)
class View:
    """One stored image: a file, or one entry of a packed store.

    Attributes:
        path: the image file, or the folder of the store.
        root: the folder that names are relative to.
        entry: position in the store, or ``None`` for a file.
        captured: what the wildcards of a glob stood for, where a glob found the file.
    """

    path: Path
    root: Path
    entry: int | None = None
    captured: tuple[str, ...] | None = None

    @cached_property
    def name(self) -> str:
        """Path relative to the parent of the root, with forward slashes: ``"photos/2024/a.png"``."""
        if self.entry is not None:
            return open_store(self.path).entries[self.entry].name
        return self.path.relative_to(self.root.parent).as_posix()

    @cached_property
    def stem(self) -> str:
        """Path relative to the root, without the suffix of the file: ``"2024/a"``; in a store, the name."""
        if self.entry is not None:
            return self.name
        return self.path.relative_to(self.root).with_suffix("").as_posix()

    @cached_property
    def sha256(self) -> str:
        """Hash of the file, or of the files of a folder that is one image.

        For a store, of the file that the entry was made from, where known, else of its pixels.

        Raises:
            ImageError: the file cannot be read.
        """
        if self.entry is None:
            return _digest(self.path)
        store = open_store(self.path)
        known = store.entries[self.entry].info.get("sha256")
        return str(known) if known else hashlib.sha256(store[self.entry].data).hexdigest()

    def read(self, data_range: tuple[float, float] | None = None) -> list[np.ndarray]:
        """The planes of the image, most often one: arrays (C, H, W) without alpha.

        Integers of up to 16 bits become uint8 or uint16 that span their range, whatever the depth of the file;
        anything else float32 in [0, 1] units. A store's arrays are views of its memory-mapped file.

        Args:
            data_range: values (low, high) of a file that map to 0 and 1; the planes are then float32. A store holds
                [0, 1] units already.

        Raises:
            ImageError: the file cannot be read, or holds NaN or infinite values.
            ValueRangeError: float values far outside [0, 1] and no `data_range`.
        """
        return self.read_with_traits(data_range)[0]

    def read_with_traits(
        self, data_range: tuple[float, float] | None = None
    ) -> tuple[list[np.ndarray], dict[str, str | bool]]:
        """The planes, as `read` gives them, and those of `TRAITS` that are known of the image."""
        if self.entry is not None:
            store = open_store(self.path)
            return [store[self.entry]], _traits(store.entries[self.entry].info)
        image = read(self.path, data_range=data_range)
        if data_range is not None or image.array.dtype.kind not in "bu" or image.array.dtype.itemsize > 2:
            return list(image.planes()), _traits(image.metadata)
        bits = 16 if image.array.dtype.itemsize == 2 else 8
        planes = image.colours().reshape(-1, image.channels, image.height, image.width)
        return [in_depth(plane, ceiling(image), bits) for plane in planes], _traits(image.metadata)


def _traits(known: Mapping[str, Any]) -> dict[str, str | bool]:
    return {name: known[name] for name in TRAITS if name in known}


def _digest(path: Path) -> str:
    if not path.is_dir():
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(f"cannot read {path}", got=error.strerror, fix="Leave it out, or allow it.") from error
    whole = hashlib.sha256()
    for inside in sorted(found for found in path.rglob("*") if found.is_file()):
        whole.update(f"{inside.relative_to(path).as_posix()}\0{_digest(inside)}\n".encode())
    return whole.hexdigest()


def open_store(folder: Path) -> PackedStore:
    """A packed store, opened once in this process until it is written anew."""
    index = folder / INDEX
    return _open(folder, index.stat().st_mtime_ns if index.is_file() else 0)


@lru_cache(maxsize=32)
def _open(folder: Path, written: int) -> PackedStore:
    return PackedStore(folder)


def gather(inputs: Sequence[str | Path], *, exclude: Sequence[str] = ()) -> list[View]:
    """All images that the inputs stand for, each once, in the order of the inputs and sorted within each.

    Args:
        inputs: folders (scanned by content, with their subfolders), files, globs, packed stores.
        exclude: globs; a file whose name, or whose path from its folder on, fits one is left out.

    Raises:
        DataError: an input that holds no image, or nothing left after the exclusions.
        ImageError: a file that is missing or no image.
    """
    found: dict[tuple[Path, int | None], View] = {}
    for item in inputs:
        for view in _views(item):
            found.setdefault((view.path, view.entry), view)
    kept = [view for view in found.values() if not _excluded(view, exclude)]
    if not kept:
        given = ", ".join(str(item) for item in inputs) or "nothing"
        got = f"{len(found)} images, all of them excluded" if found else "no image"
        raise DataError(f"no image found in {given}", got=got, expected="folders, files or globs of images")
    return kept


def _views(item: str | Path) -> list[View]:
    path = Path(os.path.abspath(item))  # noqa: PTH100 (resolve would follow links, whose names matter)
    if (path / INDEX).is_file() and (path / PIXELS).is_file():
        return [View(path, path.parent, entry) for entry in range(len(open_store(path)))]
    files = [Path(os.path.abspath(file)) for file in find_images([item], recursive=True)]  # noqa: PTH100
    if not files:
        raise DataError(f"no image found in {item}", got="no image", expected="at least one readable image")
    if path.is_dir() and files != [path]:
        return [View(file, path) for file in files]
    if MAGIC.search(str(item)) and not path.exists():
        root, pattern = _literal_root(path), glob_pattern(path.as_posix())
        return [View(file, root, captured=_captured(pattern, file)) for file in files]
    return [View(file, file.parent) for file in files]


def _captured(pattern: re.Pattern[str], file: Path) -> tuple[str, ...] | None:
    match = pattern.fullmatch(file.as_posix())
    return match.groups() if match else None


def _literal_root(pattern: Path) -> Path:
    parts = list(pattern.parts[:-1])
    for number, part in enumerate(parts):
        if MAGIC.search(part):
            return Path(*parts[:number])
    return Path(*parts)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A regular expression for a glob, with one group for each wildcard.

    Args:
        glob: with ``*``, ``?``, ``[...]`` and ``**/`` as in the shell; forward slashes.
    """
    wildcards = {"**/": "((?:.*/)?)", "**": "(.*)", "*": "([^/]*)", "?": "([^/])"}

    def translate(piece: str) -> str:
        if piece.startswith("[") and piece.endswith("]"):
            inner = piece[1:-1]
            return f"([{'^' + inner[1:] if inner[0] == '!' else inner}])"
        return wildcards.get(piece, re.escape(piece))

    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]]+\])", glob)
    return re.compile("".join(translate(piece) for piece in pieces if piece))


def _excluded(view: View, patterns: Sequence[str]) -> bool:
    names = (view.name, Path(view.name).name, Path(view.name).stem)
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns for name in names)
