"""Camera raw: developed to 16-bit sRGB with its EXIF; damage is one line."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from noiseless.denoiser import choose_model
from noiseless.errors import ImageError, MissingExtraError, NoiselessError
from noiseless.io import denoised_mark, exif, find_images, ifd, read, with_denoised_mark, write
from raw_files import dng

SENSOR = np.random.default_rng(0).integers(300, 3000, (64, 96)).astype(np.uint16)


def test_a_raw_file_becomes_sixteen_bit_colour(tmp_path: Path) -> None:
    path = tmp_path / "photograph.dng"
    path.write_bytes(dng(SENSOR, orientation=6))
    assert find_images([tmp_path]) == [path]
    image = read(path)
    assert (image.array.shape, image.array.dtype, image.axes) == ((64, 96, 3), np.uint16, "YXC")
    assert (image.bits, image.data_range, image.is_colour) == (16, (0, 65535), True)
    assert exif.orientation(image.metadata) == 6, "turned, or its orientation lost"
    assert ifd.parse_block(image.metadata["exif"])[0].tags[271].text() == "Noisy"
    assert "camera raw was developed" in image.metadata["notes"][0]


def test_camera_raw_is_denoised_as_the_developed_photograph_that_it_is() -> None:
    image = read(io.BytesIO(dng(SENSOR)))
    assert choose_model(image) == ("photo-small", "camera raw, a developed photograph")
    assert choose_model(image, told=True)[0] == "color-small"
    assert choose_model(image.with_planes(image.planes()), whole=True)[0] == "photo-small"


def test_the_result_is_a_tiff_with_profile_exif_and_mark(tmp_path: Path) -> None:
    image = read(io.BytesIO(dng(SENSOR)))
    stream = io.BytesIO()
    write(stream, with_denoised_mark(image, "photo-small", 1))  # as a pipe does: without a name
    back = read(io.BytesIO(stream.getvalue()))
    np.testing.assert_array_equal(back.array, image.array)
    assert denoised_mark(back) == "photo-small at strength 1"
    page = tifffile.TiffFile(io.BytesIO(stream.getvalue())).pages.first
    assert page.tags["Make"].value == "Noisy"
    assert page.iccprofile == image.metadata["icc"]
    with pytest.raises(ImageError, match="never written"):
        write(io.BytesIO(), image, format="raw")


def test_brightness_is_that_of_the_sensor() -> None:
    dark, bright = (read(io.BytesIO(dng(np.full((64, 96), value, np.uint16)))).array for value in (300, 1500))
    assert dark.mean() < 0.3 * bright.mean(), "brightened by its own histogram"
    assert bright.std(axis=(0, 1)).max() == 0


def test_the_sensor_is_found_below_a_thumbnail() -> None:
    """As Nikon and Sony store it: the first directory is a small picture."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(np.zeros((8, 8, 3), np.uint8), photometric="rgb", subifds=1, metadata=None)
        writer.write(SENSOR, photometric=32803, metadata=None)
    assert read(io.BytesIO(stream.getvalue())).array.shape == (64, 96, 3)


def test_what_libraw_does_not_know_is_one_line() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((16, 16), np.uint16), photometric="cfa")
    for data in (stream.getvalue(), b"FUJIFILMCCD-RAW" + bytes(200), b"IIRO" + bytes(99)):
        with pytest.raises(ImageError) as caught:
            read(io.BytesIO(data))
        assert "\n" not in str(caught.value)


def test_a_raw_file_that_was_cut_off_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "cut.dng"
    path.write_bytes(dng(SENSOR)[:5000])
    with pytest.raises(ImageError, match=r"cut.dng: cannot be read: got a damaged .* camera raw file \(Input/output e"):
        read(path)


def test_more_pixels_than_allowed_are_refused() -> None:
    with pytest.raises(ImageError, match="enormous"):
        read(io.BytesIO(dng(SENSOR)), max_pixels=6143)


@pytest.mark.parametrize("content", [dng(SENSOR), b"FUJIFILMCCD-RAW" + bytes(99)])
def test_a_missing_extra_is_one_line(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(MissingExtraError, match=r'pip install "noiseless\[raw\]"'):
        read(io.BytesIO(content))


def test_only_our_errors_escape_from_damaged_files() -> None:
    sample, generator, said = dng(SENSOR), np.random.default_rng(1), []
    for index in range(60):
        data = bytearray(sample)
        for _ in range(generator.integers(1, 6)):
            data[generator.integers(len(data) if index % 2 else 700)] = generator.choice([0, 1, 127, 255])
        if index % 3 == 0:
            del data[generator.integers(8, len(data)) :]
        with contextlib.suppress(NoiselessError):
            said.append(read(io.BytesIO(bytes(data)), max_pixels=10**6).array.dtype)
    assert 0 < len(said) < 60
