"""GeoTIFF: place, bands, nodata, masks and overviews; rasterio makes the files and looks at the results."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.enums import ColorInterp, Resampling
from rasterio.shutil import copy
from rasterio.transform import Affine

from noiseless.errors import ImageError, MissingExtraError
from noiseless.image import Image
from noiseless.io import denoised_mark, read, with_denoised_mark, write

RANDOM = np.random.default_rng(0)
PLACE = Affine(10, 0.5, 500_000, 0.5, -10, 5_000_000)
NEAR = {"crs": "EPSG:32633", "transform": PLACE}


def geotiff(path: Path, array: np.ndarray, **profile: Any) -> Path:
    """A file of (bands, rows, columns)."""
    size = {"count": array.shape[0], "height": array.shape[1], "width": array.shape[2], "dtype": array.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", **size, **NEAR, **profile) as file:
        file.write(array)
        file.update_tags(mission="seven")
        file.update_tags(1, wavelength="665")
        file.descriptions = [f"band {number}" for number in range(array.shape[0])]
        file.scales = (1e-4,) * array.shape[0]
    return path


def bands(count: int = 1, dtype: str = "uint16", size: tuple[int, int] = (70, 90)) -> np.ndarray:
    return RANDOM.integers(1000, 2000, (count, *size)).astype(dtype)


def denoised(source: Path, change: float = 0.0, **options: Any) -> Path:
    image = read(source, **options)
    target = source.with_name("result.tif")
    write(target, with_denoised_mark(image.with_planes(image.planes() + change), "gray-small", 1))
    return target


def same_place(before: Path, after: Path) -> None:
    with rasterio.open(before) as old, rasterio.open(after) as new:
        for key in ("crs", "transform", "count", "dtype", "nodata", "interleave", "compress", "tiled", "blockxsize"):
            assert str(new.profile.get(key)) == str(old.profile.get(key)), key
        assert (new.tags(), new.tags(1)) == (old.tags(), old.tags(1))
        assert (new.descriptions, new.scales, new.colorinterp) == (old.descriptions, old.scales, old.colorinterp)
        assert [new.overviews(band) for band in new.indexes] == [old.overviews(band) for band in old.indexes]
        assert new.mask_flag_enums == old.mask_flag_enums
        np.testing.assert_array_equal(new.dataset_mask(), old.dataset_mask())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 13])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_any_number_of_bands_and_their_place_survive(tmp_path: Path, dtype: str, count: int, interleave: str) -> None:
    array = (bands(count) / 8).astype(dtype) if dtype != "float32" else bands(count).astype(dtype) / 2000
    path = geotiff(tmp_path / "scene.tif", array, interleave=interleave, photometric="MINISBLACK")
    image = read(path)
    assert (image.count * image.channels, image.height) == (count, 70)
    after = denoised(path)
    same_place(path, after)
    with rasterio.open(after) as file:
        np.testing.assert_array_equal(file.read(), array)
    assert denoised_mark(read(after)) == "gray-small at strength 1"


@pytest.mark.parametrize(
    "profile",
    [
        {"tiled": True, "blockxsize": 32, "blockysize": 16, "compress": "deflate", "predictor": 2},
        {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "zstd", "BIGTIFF": "YES"},
        {"compress": "lzw", "blockysize": 7},
        {"compress": "packbits", "ENDIANNESS": "BIG"},
    ],
)
def test_tiles_compression_and_byte_order_are_kept(tmp_path: Path, profile: dict[str, Any]) -> None:
    path = geotiff(tmp_path / "scene.tif", bands(3), **profile)
    after = denoised(path)
    same_place(path, after)
    old, new = (tifffile.TiffFile(name) for name in (path, after))
    with old, new:
        assert (new.byteorder, new.is_bigtiff) == (old.byteorder, old.is_bigtiff)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        *(("uint8", 0), ("uint16", 0), ("uint16", 65535), ("int16", -9999), ("int16", -32768)),
        *(("float32", -9999), ("float32", -3.4028234663852886e38), ("float32", "nan")),
    ],
)
@pytest.mark.parametrize("count", [1, 4])
def test_nodata_never_changes_and_never_bleeds(tmp_path: Path, dtype: str, nodata: Any, count: int) -> None:
    array = (bands(count) / 8).astype(dtype)
    array[:, :30, :40] = nodata
    array[-1, 50, 60] = nodata
    path = geotiff(tmp_path / "scene.tif", array, nodata=float(nodata), photometric="MINISBLACK")
    options = {"data_range": (0, 300)} if dtype == "float32" else {}
    image = read(path, **options)
    assert image.hidden is not None
    shown = image.planes() * (image.data_range[1] - image.data_range[0])
    assert shown.min() >= 124, "nodata is seen"
    assert shown.max() <= 251
    after = denoised(path, 0.001, **options)
    same_place(path, after)
    with rasterio.open(after) as file:
        result = file.read()
    gone = np.isnan(array) if nodata == "nan" else array == np.float32(nodata)
    np.testing.assert_array_equal(result[gone], array[gone])
    assert not np.isnan(result[~gone]).any()


@pytest.mark.parametrize(("nodata", "expected"), [(0, 1), (255, 254)])
def test_a_picture_does_not_become_nodata(tmp_path: Path, nodata: int, expected: int) -> None:
    array = (bands() / 8).astype(np.uint8)
    array[:, :5] = nodata
    path = geotiff(tmp_path / "scene.tif", array, nodata=nodata)
    after = denoised(path, 2.0 if nodata else -2.0)
    with rasterio.open(after) as file:
        result = file.read(1)
    assert (result[:5] == nodata).all()
    assert (result[5:] == expected).all()


def test_nodata_that_the_dtype_cannot_take_is_none(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "scene.tif", bands(1, "uint8"))
    data = path.read_bytes()
    for text in (b"-9999", b"0.5", b"none", b"nan"):
        stream = io.BytesIO()
        tifffile.imwrite(stream, bands(1, "uint8")[0], extratags=[(42113, 2, len(text) + 1, text + b"\0", True)])
        assert read(io.BytesIO(stream.getvalue())).hidden is None
    assert read(io.BytesIO(data)).hidden is None


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_what_is_transparent_is_no_picture(tmp_path: Path, interleave: str) -> None:
    array = (bands(4) / 8).astype(np.uint8)
    array[:, :20] = 0
    array[3, 20:] = 255
    path = geotiff(tmp_path / "scene.tif", array, photometric="RGB", ALPHA="YES", interleave=interleave)
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
    image = read(path)
    assert (image.has_alpha, image.channels) == (True, 3)
    assert image.planes().min() > 0.4
    after = denoised(path, 0.1)
    same_place(path, after)
    with rasterio.open(after) as file:
        np.testing.assert_array_equal(file.read()[:, :20], 0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_mask_is_kept_and_hides(tmp_path: Path, count: int) -> None:
    array = bands(count)
    array[:, :, :25] = 0
    path = geotiff(tmp_path / "scene.tif", array, tiled=True, blockxsize=32, blockysize=32)
    mask = np.full(array.shape[1:], 255, np.uint8)
    mask[:, :25] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    image = read(path)
    assert image.planes().min() >= 1000 / 65535
    after = denoised(path, 0.1)
    same_place(path, after)
    stream = io.BytesIO()
    write(stream, image)
    np.testing.assert_array_equal(read(io.BytesIO(stream.getvalue())).hidden, image.hidden)


@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("cloud_optimised", [False, True])
def test_overviews_are_made_anew_from_the_result(tmp_path: Path, nodata: int | None, cloud_optimised: bool) -> None:
    array = bands(2, size=(260, 300))
    if nodata is not None:
        array[:, :64, :64] = nodata
    path = geotiff(tmp_path / "plain.tif", array, nodata=nodata, tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.nearest)
    if cloud_optimised:
        copy(path, tmp_path / "cog.tif", driver="COG", blocksize=128)
        path = tmp_path / "cog.tif"
    after = denoised(path, 0.1)
    same_place(path, after)
    assert "notes" not in read(path).metadata
    with rasterio.open(after) as file, rasterio.open(path) as old:
        change = file.read(1, out_shape=(130, 150)).astype(float)[40:].mean() - old.read(1)[80:].mean()
        assert abs(change - 6553) < 20
        if nodata is not None:
            assert (file.read(1, out_shape=(130, 150))[:32, :32] == 0).all()


def test_without_rasterio_nothing_is_lost_but_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = geotiff(tmp_path / "scene.tif", bands(2, size=(260, 300)), nodata=0)
    masked = geotiff(tmp_path / "masked.tif", bands(1))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(masked, "r+") as file:
        file.write_mask(np.full((70, 90), 255, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], Resampling.average)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rasterio", None)
        assert 'pip install "noiseless[geo]"' in read(path).metadata["notes"][0]
        after = denoised(path)
        with pytest.raises(MissingExtraError, match=r"mask.*noiseless\[geo\]"):
            read(masked)
    with rasterio.open(after) as file, rasterio.open(path) as old:
        assert (file.crs, file.transform, file.nodata) == (old.crs, old.transform, 0)
        assert (file.overviews(1), old.overviews(1)) == ([], [2])


def test_statistics_of_the_values_before_are_left_out(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "scene.tif", bands())
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, STATISTICS_MAXIMUM="1999", STATISTICS_MEAN="1500.2", kept="yes")
    with rasterio.open(denoised(path)) as file:
        assert file.tags(1) == {"wavelength": "665", "kept": "yes"}
        assert file.tags() == {"AREA_OR_POINT": "Area", "mission": "seven"}


def test_signed_heights_are_black_at_zero(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "scene.tif", bands(dtype="int16") - 1100)
    assert read(path).data_range == (0, 32767)
    assert Image.from_array(bands(dtype="int16")[0]).data_range == (-32768, 32767)


def test_ground_control_points_are_kept(tmp_path: Path) -> None:
    points = [
        rasterio.control.GroundControlPoint(row, col, 8 + col / 90, 48 - row / 70, 0)
        for row, col in ((0, 0), (0, 89), (69, 0))
    ]
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=70, width=90, dtype="uint16", gcps=points, crs="EPSG:4326"
    ) as file:
        file.write(bands())
    with rasterio.open(path) as old, rasterio.open(denoised(path)) as new:
        assert [point.asdict() for point in new.gcps[0]] == [point.asdict() for point in old.gcps[0]]
        assert new.gcps[1] == old.gcps[1]


def test_infinite_heights_are_an_error(tmp_path: Path) -> None:
    array = bands().astype(np.float32) / 2000
    array[0, 3, 3] = np.inf
    with pytest.raises(ImageError, match="infinite"):
        read(geotiff(tmp_path / "scene.tif", array))
