"""Licences are found beside the images, nearest first; nothing is guessed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from noiseless.data import Manifest, gather
from noiseless.data.manifest import licence_of
from noiseless.data.store import write_store
from noiseless.errors import OutputError
from tiny_images import save


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LICENSE", "MIT License\n\nCopyright someone", "MIT"),
        ("LICENCE.txt", "Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("COPYING", "\n  Do as you like, but ask first.\nThanks", "Do as you like, but ask first."),
        ("license.md", "SPDX-License-Identifier: CC-BY-4.0\n", "CC-BY-4.0"),
        ("README.md", "Photographs.\n\nLicense: CC0-1.0\n", "CC0-1.0"),
        ("README.md", "All rights unclear.", None),
        ("notes.txt", "licence: CC0", None),
    ],
)
def test_licence_beside_an_image(tmp_path: Path, name: str, text: str, expected: str | None) -> None:
    save(tmp_path / "photos" / "deep" / "a.png", 0)
    (tmp_path / "photos" / name).write_text(text)
    (tmp_path / "LICENSE").write_text("MIT License")  # outside the folder that was given
    (view,) = gather([tmp_path / "photos"])
    assert licence_of(view) == expected


def test_the_nearest_licence_counts(tmp_path: Path) -> None:
    save(tmp_path / "deep" / "a.png", 0)
    save(tmp_path / "deep" / "b.png", 1)
    (tmp_path / "LICENSE").write_text("MIT License")
    (tmp_path / "deep" / "LICENSE").write_text("Apache License, Version 2.0")
    (tmp_path / "deep" / "b.png.license").write_text("SPDX-License-Identifier: CC0-1.0")
    assert [licence_of(view) for view in gather([tmp_path])] == ["Apache-2.0", "CC0-1.0"]


def test_a_store_remembers_the_licence(tmp_path: Path) -> None:
    write_store(tmp_path / "s", [("a", np.zeros((1, 4, 4), np.uint8), {"licence": "CC0-1.0"})])
    (view,) = gather([tmp_path / "s"])
    assert licence_of(view) == "CC0-1.0"


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.json"
    Manifest((), ("one",)).write(path)

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"manifest.json.*Free some space"):
        Manifest((), ("another",)).write(path)
    assert json.loads(path.read_text())["skipped"] == ["one"]
    assert [left.name for left in tmp_path.iterdir()] == ["manifest.json"]
