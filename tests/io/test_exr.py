"""OpenEXR: values, header and channels that survive, what counts as the picture, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from exr_files import RANDOM, exr, opened, planes, several, with_levels, written
from noiseless.__main__ import main
from noiseless.errors import ImageError, ValueRangeError
from noiseless.image import Image
from noiseless.io import denoised_mark, read, with_denoised_mark, write

LOSSLESS = ["NO", "RLE", "ZIPS", "ZIP", "PIZ", "ZSTD"]
LOSSY = ["PXR24", "B44", "B44A", "DWAA", "DWAB"]


def read_from(data: bytes, **options: Any) -> Image:
    return read(io.BytesIO(data), **options)


def rewritten(image: Image) -> bytes:
    stream = io.BytesIO()
    write(stream, image.with_planes(image.planes()))
    return stream.getvalue()


def compression(name: str) -> Any:
    return getattr(OpenEXR, f"{name}_COMPRESSION")


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("names", ["Y", "YA", "RGB", "RGBA", "Z"])
def test_every_type_and_set_of_channels_survives_to_the_byte(names: str, dtype: str) -> None:
    channels = planes(names, dtype)
    data = exr(channels)
    image = read_from(data)
    assert (image.array.dtype, image.has_alpha) == (np.dtype(dtype), "A" in names)
    assert image.channels == (3 if "RGB" in names else 1)
    for place, name in enumerate(names):
        np.testing.assert_array_equal(image.array[..., place] if len(names) > 1 else image.array, channels[name])
    assert rewritten(image) == data


def test_half_and_float_may_stand_side_by_side() -> None:
    data = exr(planes("RG", "f2") | planes("BA", "f4"))
    assert rewritten(read_from(data)) == data


def test_lights_above_white_are_neither_clipped_nor_refused() -> None:
    channels = planes("RGB", size=(64, 64))
    for each in channels.values():
        each[3, 4] = 300.0
    image = read_from(exr(channels))
    assert image.planes().max() == 300
    result = read_from(rewritten(image.with_planes(0.5 * image.planes())))
    assert result.array.max() == 150


def test_a_picture_far_from_0_to_1_asks_for_a_data_range() -> None:
    data = exr({"Y": 1000 * RANDOM.random((24, 32)).astype("f4")})
    with pytest.raises(ValueRangeError, match="far outside"):
        read_from(data)
    image = read_from(data, data_range=1000)
    assert image.planes().max() <= 1
    assert rewritten(image) == data


def test_the_header_is_kept() -> None:
    header = {
        "dataWindow": (np.array([-3, 5], "i4"), np.array([28, 28], "i4")),
        "displayWindow": (np.array([0, 0], "i4"), np.array([99, 79], "i4")),
        "pixelAspectRatio": 1.5,
        "chromaticities": (0.7, 0.3, 0.17, 0.8, 0.13, 0.04, 0.32, 0.34),
        "whiteLuminance": 100.0,
        "comments": "a note",
        "mine": np.eye(4, dtype="f4"),
        "lineOrder": OpenEXR.DECREASING_Y,
    }
    data = exr(planes("RGB"), **header)
    assert rewritten(read_from(data)) == data
    unknown = data.replace(b"comments\0string\0", b"comments\0strung\0")
    assert rewritten(read_from(unknown)) == unknown


def test_other_channels_are_kept_as_they_are() -> None:
    channels = planes("RGBA") | planes("Z", "f4") | {"id": RANDOM.integers(0, 9, (24, 32)).astype("u4")}
    channels |= {"diffuse.R": RANDOM.random((24, 32)).astype("f2")}
    data = exr(channels)
    image = read_from(data)
    assert (image.channels, image.has_alpha) == (3, True)
    assert rewritten(image) == data
    changed = opened(rewritten(image.with_planes(1 - image.planes()))).channels()
    for name in ("A", "Z", "id", "diffuse.R"):
        np.testing.assert_array_equal(changed[name].pixels, channels[name])
    assert not np.array_equal(changed["G"].pixels, channels["G"])


def test_tiles_stay_tiles() -> None:
    tiles = OpenEXR.TileDescription()
    tiles.xSize, tiles.ySize = 16, 8
    data = exr(planes("RGB"), type=OpenEXR.tiledimage, tiles=tiles)
    assert rewritten(read_from(data)) == data


def test_of_a_mip_map_the_largest_level_is_left() -> None:
    grey = RANDOM.random((4, 4)).astype("f4")
    image = read_from(with_levels(grey))
    np.testing.assert_array_equal(image.array, grey)
    assert "smaller levels" in image.metadata["notes"][0]
    again = rewritten(image)
    np.testing.assert_array_equal(read_from(again).array, grey)
    header = opened(again).header()
    assert header["tiles"].mode == OpenEXR.ONE_LEVEL
    assert header["tiles"].xSize == 4


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("name", LOSSLESS + LOSSY)
def test_a_compression_stays_if_it_loses_nothing(name: str, dtype: str) -> None:
    image = read_from(exr(planes("RGBA", dtype), compression=compression(name)))
    again = rewritten(image)
    np.testing.assert_array_equal(read_from(again).array, image.array)
    stays = name in LOSSLESS or (name, dtype) == ("PXR24", "f2")
    assert opened(again).header()["compression"] == compression(name if stays else "ZIP")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_stay_and_do_not_spread(value: float) -> None:
    channels = planes("RGB")
    channels["G"][7, 8] = value
    data = exr(channels)
    image = read_from(data)
    assert np.isfinite(image.planes()).all()
    assert image.planes()[0, 1, 7, 8] <= 1
    assert rewritten(image) == data
    result = read_from(rewritten(image.with_planes(0 * image.planes()))).array
    assert np.array_equal(result[7, 8, 1], np.float16(value), equal_nan=True)
    assert np.count_nonzero(result) == 1


def test_the_mark_is_an_attribute_and_everything_else_stays() -> None:
    image = read_from(exr(planes("RGB"), comments="a note"))
    stream = io.BytesIO()
    write(stream, with_denoised_mark(image, "color-small", 1))
    header = opened(stream.getvalue()).header()
    assert (header["noiseless"], header["comments"]) == ("color-small at strength 1", "a note")
    assert denoised_mark(read_from(stream.getvalue())) == "color-small at strength 1"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (several(left=planes("RGB"), right=planes("RGB")), "several images in one OpenEXR file.*got left, right"),
        (exr({"U": planes("Y")["Y"], "V": planes("Y")["Y"]}), r"no picture.*got channels U, V, expected R, G, B or Y"),
        (exr(planes("RG")), r"no picture.*got channels G, R"),
        (exr({"Y": np.ones((4, 5), "u4")}), "are integers: expected half or float"),
    ],
    ids=["parts", "vectors", "two colours", "integers"],
)
def test_what_is_no_picture_is_refused_in_one_line(data: bytes, line: str) -> None:
    with pytest.raises(ImageError, match=line) as caught:
        read_from(data)
    assert "\n" not in str(caught.value)


def test_channels_of_half_the_size_are_refused() -> None:
    data = exr(planes("Y", size=(4, 6)))
    sampling = data.index(b"Y\0") + 2 + 4 + 4
    half = data[:sampling] + b"\2\0\0\0\2\0\0\0" + data[sampling + 8 :]
    with pytest.raises(ImageError, match="half the size"):
        read_from(half)


def test_a_deep_file_is_refused_with_what_to_do() -> None:
    samples = np.empty((4, 5), dtype=object)
    for place in np.ndindex(samples.shape):
        samples[place] = np.array([0.5, 0.6], "f4")
    header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.deepscanline}
    with pytest.raises(ImageError, match=r": deep OpenEXR files are not supported\. Flatten it first\.$"):
        read_from(written(header, {"Z": OpenEXR.Channel(samples)}))


def test_layers_count_against_the_limit_of_pixels() -> None:
    data = exr({f"layer.{number}": planes("Y")["Y"] for number in range(40)} | planes("RGB"))
    with pytest.raises(ImageError, match=r"11 x 24 x 32 = 8448 pixels"):
        read_from(data, max_pixels=8000)


def test_a_tile_beyond_all_bounds_is_refused_before_it_is_held() -> None:
    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 16
    data = exr(planes("RGB"), type=OpenEXR.tiledimage, tiles=tiles)
    with pytest.raises(ImageError, match="tiles of 1073741824 pixels"):
        read_from(data.replace(b"\x10\0\0\0\x10\0\0\0", b"\0\0\2\0\0\x20\0\0"))


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (Image.from_array(np.zeros((4, 5, 3), np.uint8)), "uint8 values"),
        (Image.from_array(np.zeros((4, 5), np.float64)), "float64 values"),
        (Image.from_array(np.zeros((2, 4, 5), np.float32)), "a stack of 2 planes"),
        (Image.from_array(np.zeros((2, 4, 5), np.float32), channel_axis=0), "2 channels"),
    ],
)
def test_what_does_not_fit_is_refused_with_formats_that_fit(image: Image, line: str) -> None:
    with pytest.raises(ImageError, match=rf"as OpenEXR: got {line}\. Formats that hold it: .*TIFF"):
        write(io.BytesIO(), image, format="exr")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_float_images_of_other_formats_become_openexr(channels: int, tmp_path: Path) -> None:
    array = RANDOM.random((24, 32, channels)).astype(np.float32).squeeze()
    write(tmp_path / "a.tif", Image.from_array(array))
    write(tmp_path / "a.exr", read(tmp_path / "a.tif"))
    np.testing.assert_array_equal(read(tmp_path / "a.exr").array, array)
    assert sorted(opened((tmp_path / "a.exr").read_bytes()).channels()) == sorted(
        "RGBA"[:channels] if channels > 1 else "Y"
    )


def test_the_command_denoises_a_render(tmp_path: Path) -> None:
    clean = np.linspace(0.2, 4, 64 * 64).reshape(64, 64)
    channels = {name: (clean + RANDOM.normal(0, 0.1, clean.shape)).astype("f2") for name in "RGB"} | planes(
        "A", "f2", (64, 64)
    )
    (tmp_path / "a.exr").write_bytes(exr(channels))
    assert main(["denoise", str(tmp_path / "a.exr"), "-o", str(tmp_path / "b.exr"), "--set", "data_range=4"]) == 0
    result = opened((tmp_path / "b.exr").read_bytes()).channels()
    before, after = (np.abs(each.astype(float) - clean).mean() for each in (channels["G"], result["G"].pixels))
    assert after < 0.5 * before
    assert result["G"].pixels.max() > 3.5
    np.testing.assert_array_equal(result["A"].pixels, channels["A"])
