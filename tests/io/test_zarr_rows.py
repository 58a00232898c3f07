"""OME-Zarr by rows: the same as whole, whatever the chunks; nothing half-written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from noiseless.errors import Cancelled, ImageError, OutputError
from noiseless.io import denoised_mark, read, with_denoised_mark, write, zarr_rows
from noiseless.io.rows import open_rows
from zarr_files import attributes_of, ome_zarr, pixels_of

RANDOM = np.random.default_rng(0)
LAYOUTS = [
    ("YX", (150, 40), (16, 16), {}),
    ("CYX", (3, 90, 40), (1, 100, 64), {}),
    ("TZCYX", (2, 5, 2, 70, 30), (1, 2, 1, 16, 16), {}),
    ("CZYX", (2, 5, 40, 30), (2, 3, 16, 16), {}),
    ("ZYX", (5, 64, 64), (1, 16, 16), {"shards": (2, 32, 64)}),
    ("ZXYC", (3, 20, 70, 2), (2, 20, 16, 1), {}),
]


@pytest.mark.parametrize(("axes", "shape", "chunks", "options"), LAYOUTS)
@pytest.mark.parametrize("slab", [0, 1 << 20])
def test_rows_are_those_of_the_whole_image(
    axes: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    options: dict[str, tuple[int, ...]],
    slab: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zarr_rows, "SLAB_BYTES", slab)
    array = RANDOM.integers(0, 60000, shape).astype(np.uint16)
    version = "0.5" if options else "0.4"
    source = ome_zarr(tmp_path / "a.zarr", array, axes, version, levels=2, chunks=chunks, **options)
    whole = with_denoised_mark(read(source), "gray-small", 1)
    with open_rows(source) as rows:
        assert rows is not None
        assert (rows.pages, rows.height, rows.width) == (whole.count, whole.height, whole.width)
        planes = np.concatenate([rows.image(rows.rows(page, 0, rows.height)).planes() for page in range(rows.pages)])
        np.testing.assert_array_equal(planes, whole.planes())
        np.testing.assert_array_equal(rows.rows(rows.pages - 1, 3, 9), rows.rows(rows.pages - 1, 0, 12)[3:9])
        starts = [(page, start) for page in range(rows.pages) for start in range(0, rows.height, 11)]
        bands = (rows.rows(page, start, min(start + 11, rows.height)) for page, start in starts)
        rows.write(tmp_path / "rows.zarr", bands, whole)
    write(tmp_path / "whole.zarr", whole)
    for level in (0, 1):
        expected = pixels_of(tmp_path / "whole.zarr", level)
        np.testing.assert_array_equal(pixels_of(tmp_path / "rows.zarr", level), expected)
    np.testing.assert_array_equal(pixels_of(tmp_path / "rows.zarr"), array)
    assert attributes_of(tmp_path / "rows.zarr") == attributes_of(tmp_path / "whole.zarr")
    assert denoised_mark(read(tmp_path / "rows.zarr")) == "gray-small at strength 1"


def test_fewer_bits_are_taken_once_the_largest_value_is_told(tmp_path: Path) -> None:
    omero = {"channels": [{"window": {"min": 0, "max": 4095}}]}
    array = RANDOM.integers(0, 4000, (20, 30)).astype(np.uint16)
    with open_rows(ome_zarr(tmp_path / "a.zarr", array, "YX", omero=omero)) as rows:
        assert rows is not None
        assert rows.image(rows.rows(0, 0, 9)).bits == 16
        rows.tell_maximum(4000)
        assert rows.image(rows.rows(0, 0, 9)).data_range == (0, 4095)
    with open_rows(tmp_path / "a.zarr", data_range=2000) as rows:
        assert rows is not None
        assert rows.image(rows.rows(0, 0, 9)).data_range == (0, 2000)


def test_what_goes_wrong_leaves_nothing(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", RANDOM.integers(0, 99, (64, 32)).astype(np.uint8), "YX")
    image = read(source)
    with open_rows(source) as rows:
        assert rows is not None

        def stopped() -> object:
            yield rows.rows(0, 0, 32)
            raise Cancelled("stopped")

        with pytest.raises(Cancelled):
            rows.write(tmp_path / "b.zarr", stopped(), image)  # type: ignore[arg-type]
        with pytest.raises(OutputError, match=r"b\.zarr"):
            rows.write(tmp_path / "b.zarr", iter([rows.rows(0, 0, 9)]), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_corrupt_chunk_is_an_error_that_names_the_image(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", RANDOM.integers(0, 99, (64, 32)).astype(np.uint8), "YX")
    (source / "0" / "1.0").write_bytes(b"no chunk")
    with open_rows(source) as rows:
        assert rows is not None
        with pytest.raises(ImageError, match=r"cannot read .*a\.zarr"):
            rows.rows(0, 0, 20)
