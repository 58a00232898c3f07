"""Rows that wait on the disk are the rows that were put there; a full disk is said."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseless.errors import OutputError
from noiseless.workflows import waiting
from noiseless.workflows.waiting import OnDisk, put_aside, room

HEIGHT, WIDTH = 5, 7


def part(length: int) -> st.SearchStrategy[slice]:
    return st.tuples(st.integers(0, length - 1), st.integers(1, length)).map(lambda pair: slice(pair[0], sum(pair)))


@given(
    st.lists(st.tuples(part(HEIGHT), part(WIDTH)), min_size=1, max_size=6),
    st.sampled_from(["u1", "u2", "f4", ">i2", "?"]),
    st.sampled_from([(), (1,), (3,)]),
)
def test_it_holds_what_an_array_holds(places: list[tuple[slice, slice]], dtype: str, samples: tuple[int, ...]) -> None:
    shape = (HEIGHT, WIDTH, *samples)
    random = np.random.default_rng(0)
    expected = random.integers(0, 200, shape).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        found = OnDisk(Path(folder), shape, dtype)
        found[:, :] = expected
        for rows, columns in places:
            values = random.integers(0, 200, expected[rows, columns].shape).astype(dtype)
            expected[rows, columns] = values
            found[rows, columns] = values
            assert np.array_equal(found[rows, columns], values)
        assert len(found) == HEIGHT
        assert found[:, :].dtype == expected.dtype
        assert np.array_equal(found[:, :], expected)
        assert np.array_equal(found[1:9, :], expected[1:9, :])


def test_only_what_is_large_goes_to_the_disk_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_BYTES", 100)
    small, large = np.ones((10, 10), np.uint8), np.ones((10, 11), np.uint8)
    assert put_aside(tmp_path, small) is small
    assert put_aside(None, large) is large
    assert isinstance(room(tmp_path, (10, 10), np.uint8), np.ndarray)
    kept = put_aside(tmp_path, large), room(tmp_path, (10, 11), np.uint8)
    assert all(isinstance(rows, OnDisk) for rows in kept)
    del kept
    gc.collect()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: Any) -> Any:
        return Path("/dev/full").open("w+b", buffering=0)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    rows = OnDisk(tmp_path, (4, 4), np.uint8)
    with pytest.raises(OutputError, match="No space"):
        rows[:, :] = np.ones((4, 4), np.uint8)
    monkeypatch.undo()
    with pytest.raises(OutputError, match="cannot write in"):
        OnDisk(tmp_path / "nowhere", (4, 4), np.uint8)
