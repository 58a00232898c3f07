"""Decoding: every file once, into a store that is opened again; unequal pairs and broken files are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from noiseless.data import CleanImages, NoisyImages, Pairs, decode, decode_split, gather, split
from noiseless.data.gather import View
from noiseless.data.store import write_store
from noiseless.errors import DataError, ValueRangeError
from tiny_images import save, save_many, texture


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded, as it happens."""
    names: list[str] = []
    original = View.read_with_traits

    def counted(
        self: View, data_range: tuple[float, float] | None = None
    ) -> tuple[list[np.ndarray], dict[str, str | bool]]:
        names.append(self.path.name)
        return original(self, data_range)

    monkeypatch.setattr(View, "read_with_traits", counted)
    return names


def test_pairs_are_decoded_once_and_opened_again(tmp_path: Path, reads: list[str]) -> None:
    save_many(tmp_path / "noisy", ["1.png", "2.png"])
    save_many(tmp_path / "clean", ["1.png", "2.png"], 100)
    source = Pairs.find(tmp_path / "noisy", tmp_path / "clean")
    first = decode(source, tmp_path / "store")
    assert reads == ["1.png", "1.png", "2.png", "2.png"]
    again = decode(source, tmp_path / "store")
    assert len(reads) == 4
    assert again.manifest == first.manifest
    for decoded in (first, again):
        for role, seeds in {"noisy": (0, 1), "clean": (100, 101)}.items():
            found = list(decoded.arrays[role])
            for array, seed in zip(found, seeds, strict=True):
                np.testing.assert_array_equal(array, texture(seed).transpose(2, 0, 1))
    assert first.arrays["clean"].names() == ["clean/1.png", "clean/2.png"]


def test_a_changed_file_is_decoded_again(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", 0)
    decode(CleanImages.find(tmp_path / "a"), tmp_path / "store")
    save(tmp_path / "a" / "1.png", 5)
    decoded = decode(CleanImages.find(tmp_path / "a"), tmp_path / "store")
    np.testing.assert_array_equal(decoded.arrays["clean"][0], texture(5).transpose(2, 0, 1))


def test_a_damaged_store_is_made_again(tmp_path: Path) -> None:
    save(tmp_path / "a" / "1.png", 0)
    source = CleanImages.find(tmp_path / "a")
    decode(source, tmp_path / "store")
    (tmp_path / "store" / "pixels.bin").write_bytes(b"short")
    decoded = decode(source, tmp_path / "store")
    np.testing.assert_array_equal(decoded.arrays["clean"][0], texture(0).transpose(2, 0, 1))


def test_arrays_are_memory_mapped_and_sliced(tmp_path: Path) -> None:
    save_many(tmp_path / "a", ["1.png", "2.png", "3.png"])
    arrays = decode(CleanImages.find(tmp_path / "a"), tmp_path / "store").arrays["clean"]
    assert not arrays[0].flags.writeable
    assert isinstance(arrays[0].base, np.ndarray)
    assert arrays[1:].names() == ["a/2.png", "a/3.png"]
    assert len(arrays[-1:]) == 1


def test_a_packed_store_is_used_where_it_is(tmp_path: Path) -> None:
    write_store(tmp_path / "packed", [(f"c{n}", np.full((3, 4, 4), n, np.uint8), {}) for n in range(4)])
    source = CleanImages.find(tmp_path / "packed")
    decoded = decode(source.select(source.items[1:3]), tmp_path / "store")
    assert not (tmp_path / "store").exists()
    assert [int(array[0, 0, 0]) for array in decoded.arrays["clean"]] == [1, 2]
    assert [entry.path for entry in decoded.manifest.entries] == ["c1", "c2"]


def test_pairs_of_unequal_size_are_all_named(tmp_path: Path) -> None:
    save_many(tmp_path / "noisy", ["1.png", "2.png", "3.png"])
    save(tmp_path / "clean" / "1.png", 100)
    save(tmp_path / "clean" / "2.png", 101, width=20)
    save(tmp_path / "clean" / "3.png", 102, height=9)
    source = Pairs.find(tmp_path / "noisy", tmp_path / "clean")
    expected = (
        r"2 pairs differ in size: got noisy/2\.png 32x24 and clean/2\.png 20x24; "
        r"noisy/3\.png 32x24 and clean/3\.png 32x9"
    )
    with pytest.raises(DataError, match=expected):
        decode(source, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_broken_file_is_left_out_with_its_partner_and_named(tmp_path: Path) -> None:
    save_many(tmp_path / "noisy", ["1.png", "2.png"])
    save_many(tmp_path / "clean", ["1.png", "2.png"], 100)
    broken = tmp_path / "clean" / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    source = Pairs.find(tmp_path / "noisy", tmp_path / "clean")
    for _ in range(2):  # made, then opened again
        decoded = decode(source, tmp_path / "store")
        assert decoded.arrays["noisy"].names() == ["noisy/2.png"]
        assert len(decoded.arrays["clean"]) == 1
        assert len(decoded.manifest.skipped) == 1
        assert "1.png" in decoded.manifest.skipped[0]


def test_nothing_readable(tmp_path: Path) -> None:
    broken = save(tmp_path / "a" / "1.png", 0)
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DataError, match="none of 1 images can be read"):
        decode(CleanImages.find(tmp_path / "a"), tmp_path / "store")


def test_stacks_give_a_scene_for_each_plane(tmp_path: Path) -> None:
    for side, first in (("noisy", 0), ("clean", 10)):
        (tmp_path / side).mkdir()
        stack = np.stack([texture(first + n, channels=1) for n in range(5)])
        tifffile.imwrite(tmp_path / side / "stack.tif", stack, photometric="minisblack")
    decoded = decode(Pairs.find(tmp_path / "noisy", tmp_path / "clean"), tmp_path / "store")
    assert len(decoded.arrays["noisy"]) == len(decoded.arrays["clean"]) == 5
    np.testing.assert_array_equal(decoded.arrays["clean"][3][0], texture(13, channels=1))
    assert [entry.planes for entry in decoded.manifest.entries] == [5, 5]


def test_a_data_range_is_applied_once(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    values = np.linspace(-1000, 3000, 24 * 32, dtype=np.float32).reshape(24, 32)
    tifffile.imwrite(tmp_path / "ct" / "1.tif", values)
    with pytest.raises(ValueRangeError, match=r"1\.tif"):
        decode(NoisyImages.find(tmp_path / "ct"), tmp_path / "store")
    decoded = decode(NoisyImages.find(tmp_path / "ct", data_range=(-1000, 3000)), tmp_path / "store")
    array = decoded.arrays["noisy"][0]
    assert (array.dtype, float(array.min()), float(array.max())) == (np.float32, 0.0, 1.0)


def test_manifest_of_a_split(tmp_path: Path) -> None:
    save_many(tmp_path / "photos", [f"{number}.png" for number in range(10)])
    (tmp_path / "photos" / "README.txt").write_text("source=somewhere | licence=CC0 1.0 | files=10\n")
    decoded = decode_split(split(CleanImages.find(tmp_path / "photos")), tmp_path / "store")
    assert list(decoded) == ["train", "validation", "test"]
    manifest = decoded["train"].manifest + decoded["test"].manifest
    manifest.write(tmp_path / "manifest.json")
    images = json.loads((tmp_path / "manifest.json").read_text())["images"]
    (view,) = gather([tmp_path / images[0]["path"]])
    assert images[0] == {
        "path": images[0]["path"],
        "side": "train",
        "role": "clean",
        "sha256": view.sha256,
        "width": 32,
        "height": 24,
        "planes": 1,
        "channels": 3,
        "bits": 8,
        "licence": "CC0 1.0",
    }
    assert [image["side"] for image in images] == ["train"] * 8 + ["test"]
    assert manifest.licences() == {"CC0 1.0": 9}
