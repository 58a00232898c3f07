"""TIFF files by rows: the same pixels and the same file as of the whole image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import noiseless
from noiseless.errors import ImageError, OutputError
from noiseless.io import tiff_rows
from noiseless.io.tiff_rows import open_rows


def values(*shape: int, dtype: str = "uint8") -> np.ndarray:
    random = np.random.default_rng(len(shape)).integers(0, 200, shape)
    return (random / 200).astype(dtype) if dtype.startswith("f") else random.astype(dtype)


PREDICTED: dict[str, Any] = {"compression": "zlib", "predictor": 2}
RGBA: dict[str, Any] = {"photometric": "rgb", "extrasamples": ["unassalpha"]}

LAYOUTS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "one strip, not compressed": (values(70, 33), {}),
    "strips, not compressed": (values(70, 33, 3), {"photometric": "rgb", "rowsperstrip": 9}),
    "strips with a predictor": (values(170, 33, 3), {"photometric": "rgb", "rowsperstrip": 7, **PREDICTED}),
    "tiles": (values(70, 50), {"tile": (16, 32), "compression": "lzw"}),
    "tiles, not compressed": (values(70, 50, 4), {"tile": (32, 16), **RGBA}),
    "16 bits, BigTIFF": (values(70, 50, dtype="uint16"), {"tile": (32, 32), "bigtiff": True, "byteorder": ">"}),
    "big-endian strips": (values(70, 50, dtype="uint16"), {"byteorder": ">", **PREDICTED}),
    "floats": (values(70, 50, dtype="float32"), {"compression": "zlib", "predictor": 3}),
    "white is zero": (values(70, 50), {"photometric": "miniswhite", "compression": "deflate"}),
    "a stack": (values(3, 70, 50), {"photometric": "minisblack", "tile": (32, 32)}),
    "a stack in strips": (values(3, 70, 50), {"photometric": "minisblack"}),
    "ImageJ": (values(2, 70, 50, dtype="uint16"), {"imagej": True, "metadata": {"axes": "ZYX"}}),
    "12 of 16 bits": (values(70, 50, dtype="uint16"), {"extratags": [(281, "H", 1, 4095, True)]}),
}


@pytest.fixture(params=LAYOUTS, ids=lambda name: name.replace(" ", "-"))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    array, options = LAYOUTS[request.param]
    options = dict(options)
    opened = {key: options.pop(key) for key in ("bigtiff", "byteorder", "imagej") if key in options}
    icc = {} if "imagej" in opened else {"iccprofile": b"a profile"}
    tifffile.imwrite(tmp_path / "a.tif", array, **opened, **options, **icc, software="scanner")
    return tmp_path / "a.tif"


def test_rows_show_what_the_whole_image_shows(path: Path) -> None:
    whole = noiseless.read(path)
    with open_rows(path) as rows:
        assert rows is not None
        rows.tell_maximum(float(whole.array.max()))
        pages = whole.array.reshape(rows.pages, *whole.array.shape[whole.array.ndim - rows.layout.frame :])
        for page, start, stop in ((0, 0, 70), (rows.pages - 1, 5, 6), (0, 13, 66)):
            part = rows.image(rows.rows(page, start, stop))
            assert np.array_equal(part.array, pages[page, start:stop])
            assert part.array.dtype == whole.array.dtype
        assert (part.data_range, part.bits, part.has_alpha) == (whole.data_range, whole.bits, whole.has_alpha)


def test_a_file_written_by_rows_is_that_of_the_whole_image(path: Path, tmp_path: Path) -> None:
    whole = noiseless.read(path)
    noiseless.write(tmp_path / "whole.tif", whole)
    with open_rows(path) as rows:
        assert rows is not None
        spans = [
            (n, start, min(start + 29, rows.height)) for n in range(rows.pages) for start in range(0, rows.height, 29)
        ]
        bands = (rows.stored(rows.image(rows.rows(*span))) for span in spans)
        rows.write(tmp_path / "rows.tif", bands, whole)
    assert contents(tmp_path / "rows.tif") == contents(tmp_path / "whole.tif")


def contents(path: Path) -> list[Any]:
    """Everything that a reader finds."""
    with tifffile.TiffFile(path) as tiff:
        tags = [{tag.code: str(tag.value) for tag in page.tags.values()} for page in tiff.pages]
        return [path.stat().st_size, tiff.byteorder, tiff.is_bigtiff, tiff.asarray().tobytes(), tags]


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (values(3, 40, 50), {"photometric": "rgb", "planarconfig": "separate"}),
        (values(40, 50) > 100, {}),
        (values(40, 50, 4), {"photometric": "separated"}),
        (values(40, 50), {"extratags": [(42113, "s", 2, "0", True)]}),
    ],
)
def test_what_cannot_be_read_by_rows_is_left_to_the_whole(
    tmp_path: Path, array: np.ndarray, options: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    with open_rows(tmp_path / "a.tif") as rows:
        assert rows is None


def test_one_long_compressed_strip_is_left_to_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_rows, "MOST_SEGMENT", 1000)
    tifffile.imwrite(tmp_path / "a.tif", values(40, 50), compression="zlib", rowsperstrip=40)
    with open_rows(tmp_path / "a.tif") as rows:
        assert rows is None


def test_other_files_are_no_rows(tmp_path: Path) -> None:
    noiseless.write(tmp_path / "a.png", noiseless.Image.from_array(values(8, 8)))
    for name in ("a.png", "gone.tif"):
        with open_rows(tmp_path / name) as rows:
            assert rows is None


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_rows_are_an_error_where_the_whole_is_one(path: Path, tmp_path: Path, share: float) -> None:
    data = path.read_bytes()
    short = tmp_path / "short.tif"
    short.write_bytes(data[: int(share * len(data))])
    try:
        noiseless.read(short)
    except ImageError:
        with pytest.raises(ImageError, match=r"short\.tif"):
            read_all(short)
    else:
        read_all(short)


def read_all(path: Path) -> None:
    with open_rows(path) as rows:
        if rows is None:
            noiseless.read(path)
        else:
            for page in range(rows.pages):
                rows.rows(page, 0, rows.height)


def test_a_header_that_lies_about_its_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISELESS_MAX_PIXELS", "100")
    tifffile.imwrite(tmp_path / "a.tif", values(50, 50))
    with pytest.raises(ImageError, match="enormous"), open_rows(tmp_path / "a.tif"):
        pass
    monkeypatch.undo()
    stream = io.BytesIO()
    tifffile.imwrite(stream, values(64, 64), tile=(16, 16), compression="zlib")
    data = bytearray(stream.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        place = tiff.pages.first.tags["ImageLength"].valueoffset
    data[place : place + 2] = (40_000).to_bytes(2, "little")
    (tmp_path / "lies.tif").write_bytes(data)
    with pytest.raises(ImageError, match=r"lies\.tif"), open_rows(tmp_path / "lies.tif"):
        pass


def test_nothing_is_left_where_writing_fails(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.tif"
    target.write_bytes(b"before")
    with open_rows(path) as rows:
        assert rows is not None
        with pytest.raises(OutputError):
            rows.write(target, iter([rows.rows(0, 0, 9)]), noiseless.read(path))
    assert target.read_bytes() == b"before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "out.tif"]
