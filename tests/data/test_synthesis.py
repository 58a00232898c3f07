"""Stores of pairs made ahead: repeatable, resumable, and never half there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from noiseless.data import synthesis
from noiseless.data.synthesis import draw_patch, find_grainy, is_pair_store, open_pairs, synthesise
from noiseless.errors import DataError, OutputError
from noiseless.noise import Gaussian
from noiseless.noise.camera import Camera


@pytest.fixture
def images() -> list[np.ndarray]:
    """Three clean pictures, one of them grey."""
    generator = np.random.default_rng(0)
    return [generator.integers(40, 200, (channels, 50, 70), dtype=np.uint8) for channels in (3, 3, 1)]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is noted every four pairs."""
    monkeypatch.setattr(synthesis, "CHUNK", 4)


def test_pairs_are_written_with_their_origin(images: list[np.ndarray], tmp_path: Path) -> None:
    noisy, clean = synthesise(images, Camera(), 10, 32, 5, tmp_path / "store", provenance={"licence": "CC0"})
    assert noisy.shape == clean.shape == (10, 3, 32, 32)
    assert noisy.dtype == clean.dtype == np.uint8
    assert (noisy != clean).any()
    index = json.loads((tmp_path / "store" / "index.json").read_text())
    assert index["provenance"] == {"licence": "CC0"}
    assert index["seed"] == 5
    assert Camera.from_dict(index["noise"]) == Camera()
    assert is_pair_store(tmp_path / "store")
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["clean.npy", "index.json", "noisy.npy"]


def test_a_model_without_pairs_keeps_its_target(images: list[np.ndarray], tmp_path: Path) -> None:
    noisy, clean = synthesise(images, Gaussian(sigma=0.05), 40, 16, 1, tmp_path / "store")
    difference = (noisy.astype(float) - clean) / 255
    assert difference.std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.usefixtures("small_chunks")
def test_seed_decides_and_workers_do_not(images: list[np.ndarray], tmp_path: Path) -> None:
    made = [
        synthesise(images, Camera(), 9, 16, seed, tmp_path / f"{seed}-{workers}", workers=workers)
        for seed, workers in ((1, 1), (1, 3), (2, 1))
    ]
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1], made[1][1])
    assert (made[0][1] != made[2][1]).any()


@pytest.mark.usefixtures("small_chunks")
def test_an_interrupted_run_goes_on(images: list[np.ndarray], tmp_path: Path) -> None:
    def stop(done: int, count: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise(images, Camera(), 12, 16, 1, tmp_path / "store", progress=stop)
    assert not (tmp_path / "store").exists()
    with pytest.raises(DataError, match="another store"):
        synthesise(images, Camera(), 12, 16, 2, tmp_path / "store")
    told: list[int] = []
    store = tmp_path / "store"
    resumed = synthesise(images, Camera(), 12, 16, 1, store, progress=lambda done, count: told.append(done))
    whole = synthesise(images, Camera(), 12, 16, 1, tmp_path / "whole")
    assert told == [12]
    np.testing.assert_array_equal(resumed[0], whole[0])
    np.testing.assert_array_equal(resumed[1], whole[1])


def test_what_cannot_be_made_is_refused(images: list[np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to make noisy"):
        synthesise([], Camera(), 1, 16, 1, tmp_path / "store")
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists"):
        synthesise(images, Camera(), 1, 16, 1, tmp_path / "there")
    with pytest.raises(DataError, match="not a store of pairs"):
        open_pairs(tmp_path / "there")
    assert not is_pair_store(tmp_path / "there")


def test_grain_of_clean_pictures_is_averaged_away() -> None:
    generator = np.random.default_rng(0)
    smooth = np.full((3, 128, 128), 120.0) + np.linspace(0, 20, 128)
    grain = smooth + generator.normal(0, 2, smooth.shape)
    images = [np.rint(each).astype(np.uint8) for each in (grain, smooth)]
    assert find_grainy(images) == {0}
    patch = draw_patch(images[:1], 32, generator, grainy={0})
    assert np.diff(patch, axis=-1).std() * 255 < 0.75 * np.diff(images[0].astype(float), axis=-1).std()
