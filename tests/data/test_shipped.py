"""The shipped photographs: readable, small, documented, and no scene on two sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import noiseless.data
from noiseless.data import CleanImages, data_folder, samples
from noiseless.data.prepare import noise_level
from noiseless.data.shipped import KINDS
from noiseless.errors import UnknownNameError
from noiseless.io import read_pixels

FOLDER = Path(noiseless.data.__file__).parents[1] / "samples"


@pytest.mark.parametrize("kind", KINDS)
def test_samples_can_be_read(kind: str) -> None:
    paths = samples(kind)
    assert paths
    for path in paths:
        pixels = read_pixels(path)
        assert pixels.dtype == np.uint8
        assert pixels.shape[0] == 3
        assert min(pixels.shape[1:]) >= 256


def test_samples_are_small_and_documented() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    replayed = [path.stat().st_size for path in files if path.parent.name == "replay"]
    assert sum(replayed) <= 3_000_000
    assert sum(path.stat().st_size for path in files) - sum(replayed) <= 3_000_000
    text = (FOLDER / "README.md").read_text("utf-8")
    for path in FOLDER.rglob("*.webp"):
        assert f"`{path.parent.name}/{path.name}`" in text


def test_no_scene_is_on_two_sides() -> None:
    names = [path.name for kind in KINDS for path in samples(kind)]
    assert len(names) == len(set(names))


def test_samples_are_a_data_folder_with_a_licence() -> None:
    sides = data_folder(FOLDER)
    assert {name: len(source) for name, source in sides.sides().items()} == {
        kind: len(samples(kind)) for kind in KINDS if kind != "noisy"
    }
    from noiseless.data.manifest import licence_of

    source = CleanImages.find(FOLDER)
    assert {licence_of(item.views[0]) for item in source.items} == {"CC0-1.0 (public domain dedication)"}


def test_the_noisy_ones_are_noisy() -> None:
    for path in samples("noisy"):
        pixels = read_pixels(path)
        assert noise_level(pixels) > 1


def test_an_unknown_kind() -> None:
    with pytest.raises(UnknownNameError, match="validation"):
        samples("validate")
