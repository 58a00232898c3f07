"""The data manifest: which files a run learned from, with hashes, sizes and licences."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.data.gather import View, open_store
from noiseless.io.atomic import write_text

LICENCE_FILE = re.compile(r"(un)?licen[cs]e|copying", re.IGNORECASE)
LICENCE_LINE = re.compile(r"(?:SPDX-License-Identifier|licen[cs]e)\W{0,3}[:=]\s*([^|\n]+)", re.IGNORECASE)
KNOWN_LICENCES = {
    r"CC0|Creative Commons Zero": "CC0-1.0",
    r"Attribution-ShareAlike 4\.0": "CC-BY-SA-4.0",
    r"Attribution-NonCommercial 4\.0": "CC-BY-NC-4.0",
    r"Attribution 4\.0": "CC-BY-4.0",
    r"Apache License": "Apache-2.0",
    r"MIT License": "MIT",
    r"This is free and unencumbered software": "Unlicense",
}


@dataclass(frozen=True)
class ManifestEntry:
    """One image of a data set.

    Attributes:
        path: relative, with forward slashes; begins with the name of the folder that was given.
        side: ``train``, ``validation`` or ``test``.
        role: ``clean``, ``noisy`` or ``noisy-again``.
        sha256: of the file.
        width, height: in pixels.
        planes: how many pictures the file holds.
        channels: 1 for grey, 3 for colour.
        bits: of each value as it is trained on: 8 or 16 for integers, 32 for floats.
        licence: what a licence file beside the image says, where there is one.
    """

    path: str
    side: str
    role: str
    sha256: str
    width: int
    height: int
    planes: int
    channels: int
    bits: int
    licence: str | None = None

    @classmethod
    def of(cls, view: View, planes: Sequence[np.ndarray], *, side: str, role: str) -> ManifestEntry:
        """The entry of one image, from what `View.read` gave: arrays (C, H, W)."""
        channels, height, width = planes[0].shape
        bits = 8 * planes[0].dtype.itemsize
        licence = licence_of(view)
        return cls(view.name, side, role, view.sha256, width, height, len(planes), channels, bits, licence)


@dataclass(frozen=True)
class Manifest:
    """All images of a run.

    Attributes:
        entries: one for each image.
        skipped: what could not be used, one line each.
    """

    entries: tuple[ManifestEntry, ...]
    skipped: tuple[str, ...] = ()

    def __add__(self, other: Manifest) -> Manifest:
        return Manifest(self.entries + other.entries, self.skipped + other.skipped)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is saved."""
        return {"images": [asdict(entry) for entry in self.entries], "skipped": list(self.skipped)}

    def licences(self) -> dict[str, int]:
        """How many images stand under each licence; ``"unknown"`` where none was found."""
        names = [entry.licence or "unknown" for entry in self.entries]
        return {name: names.count(name) for name in sorted(set(names))}

    def write(self, path: str | Path) -> None:
        """Save as JSON, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")


def licence_of(view: View) -> str | None:
    """The licence of an image: what its store recorded, or what a file beside it or in a folder above says.

    A file ``NAME.license`` beside the image comes first, then a licence file (LICENSE, LICENCE, COPYING), then a
    line ``licence: ...`` in a README, in the image's folder and then in those above it, up to the folder given.
    """
    if view.entry is not None:
        known = open_store(view.path).entries[view.entry].info.get("licence")
        return None if known is None else str(known)
    own = view.path.with_name(view.path.name + ".license")
    if own.is_file():
        return _stated(own) or _recognised(own)
    folders = [folder for folder in view.path.parents if folder == view.root or folder.is_relative_to(view.root)]
    return next((found for folder in folders if (found := _licence_in(folder))), None)


@lru_cache(maxsize=1024)
def _licence_in(folder: Path) -> str | None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    licences = [path for path in files if LICENCE_FILE.match(path.stem)]
    readmes = [path for path in files if path.name.lower().startswith("readme")]
    found = [_stated(path) or _recognised(path) for path in licences] + [_stated(path) for path in readmes]
    return next(filter(None, found), None)


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(4000).decode("utf-8", errors="replace")


def _stated(path: Path) -> str | None:
    found = LICENCE_LINE.search(_beginning(path))
    return found.group(1).strip()[:120] if found else None


def _recognised(path: Path) -> str | None:
    text = _beginning(path)
    known = (name for pattern, name in KNOWN_LICENCES.items() if re.search(pattern, text, re.IGNORECASE))
    lines = (line.strip()[:120] for line in text.splitlines() if line.strip())
    return next(known, None) or next(lines, None)
