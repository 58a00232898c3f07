"""The packed store: what goes in comes out, memory-mapped; it appears whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from noiseless.data.store import PackedStore, as_unit_float, write_store
from noiseless.errors import DataError, OutputError

IMAGES = [
    ("odd", np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7), {"licence": "CC0"}),
    ("wide", np.arange(2 * 9, dtype=np.uint16).reshape(1, 2, 9), {}),
    ("float", np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 3, 4), {}),
]


def test_round_trip_of_every_dtype(tmp_path: Path) -> None:
    write_store(tmp_path / "s", IMAGES, info={"made": "by a test"})
    store = PackedStore(tmp_path / "s")
    assert store.info == {"made": "by a test"}
    for array, entry, (name, expected, info) in zip(store, store.entries, IMAGES, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert (array.dtype, entry.name, entry.info) == (expected.dtype, name, info)
        assert not array.flags.writeable


def test_views_that_are_not_contiguous(tmp_path: Path) -> None:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    store = write_store(tmp_path / "s", [("a", picture.transpose(2, 0, 1)[:, ::2], {})])
    np.testing.assert_array_equal(store[0], picture.transpose(2, 0, 1)[:, ::2])


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def images():  # type: ignore[no-untyped-def]
        yield IMAGES[0]
        raise DataError("broken in the middle")

    with pytest.raises(DataError, match="broken"):
        write_store(tmp_path / "s", images())
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_store_that_was_there(tmp_path: Path) -> None:
    write_store(tmp_path / "s", IMAGES)
    with pytest.raises(DataError, match="nothing to pack"):
        write_store(tmp_path / "s", [])
    assert len(PackedStore(tmp_path / "s")) == 3


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "precious.png").write_text("mine")
    with pytest.raises(DataError, match="not a packed store"):
        write_store(tmp_path / "photos", IMAGES)
    assert (tmp_path / "photos" / "precious.png").read_text() == "mine"


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4), np.int64)])
def test_what_does_not_fit_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(DataError, match="a does not fit"):
        write_store(tmp_path / "s", [("a", array, {})])


def test_a_truncated_or_foreign_store_is_refused(tmp_path: Path) -> None:
    write_store(tmp_path / "s", IMAGES)
    (tmp_path / "s" / "pixels.bin").write_bytes(b"123")
    with pytest.raises(DataError, match="truncated"):
        PackedStore(tmp_path / "s")
    index = json.loads((tmp_path / "s" / "index.json").read_text())
    (tmp_path / "s" / "index.json").write_text(json.dumps({**index, "format": 99}))
    with pytest.raises(DataError, match="format: got 99"):
        PackedStore(tmp_path / "s")
    (tmp_path / "s" / "index.json").write_text("{")
    with pytest.raises(DataError, match="not a packed store"):
        PackedStore(tmp_path / "s")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write the store"):
        write_store(tmp_path / "file" / "s", IMAGES)


def test_the_hash_tells_stores_apart(tmp_path: Path) -> None:
    one, same = (write_store(tmp_path / name, IMAGES).content_hash for name in ("a", "b"))
    assert one == same
    assert write_store(tmp_path / "c", IMAGES[:2]).content_hash != one


def test_unit_floats() -> None:
    assert as_unit_float(np.array([0, 255], np.uint8)).tolist() == [0.0, 1.0]
    assert as_unit_float(np.array([0, 65535], np.uint16)).tolist() == [0.0, 1.0]
    floats = np.array([-0.5, 1.5], np.float32)
    copy = as_unit_float(floats)
    copy[0] = 9
    assert floats.tolist() == [-0.5, 1.5]
