"""Every format that needs no extra: pixels and metadata survive the round trip, damage is an error of one line."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from example_images import ROTATED, exif_block, metadata, picture, with_metadata
from noiseless.errors import ImageError, UnknownNameError
from noiseless.image import Image
from noiseless.io import FORMATS, denoised_mark, exif, formats, ifd, read, read_pixels, with_denoised_mark, write

EXACT: dict[str, list[Image]] = {
    "png": [
        *(picture("bool"), picture("uint8", bits=2), picture("uint8", bits=4), picture("uint8")),
        *(picture("uint8", channels) for channels in (2, 3, 4)),
        *(picture("uint16", channels) for channels in (1, 2, 3, 4)),
    ],
    "jpeg": [],
    "webp": [picture("uint8", 3), picture("uint8", 4)],
    "avif": [],
    "tiff": [
        *(picture("bool"), picture("uint8", bits=4), picture("uint16", bits=12)),
        *(picture(dtype) for dtype in ("uint8", "int8", "uint16", "int16", "uint32", "int32")),
        *(picture(dtype) for dtype in ("float16", "float32", "float64")),
        *(picture(dtype, channels) for dtype in ("uint8", "uint16", "float32") for channels in (3, 4)),
        picture("uint8", 2),
        Image.from_array(np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)),
        Image.from_array(np.arange(2 * 4 * 5 * 6, dtype=np.uint8).reshape(2, 4, 5, 6), channel_axis=1),
        Image.from_array(np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7), channel_axis=-1),
        Image.from_array(np.random.default_rng(0).random((2, 3, 4, 5, 6)).astype(np.float32)),
        picture("uint8", size=(1, 1)),
        picture("float32", 3, size=(1, 7)),
    ],
    "bmp": [picture("bool"), picture("uint8"), picture("uint8", 3), picture("uint8", 4)],
    "netpbm": [
        *(picture("bool"), picture("uint8", bits=3), picture("uint8"), picture("uint8", 3)),
        *(picture("uint16", bits=12), picture("uint16", bits=10, channels=3), picture("uint16", 3)),
    ],
    "npy": [
        *(picture(dtype) for dtype in ("bool", "uint8", "int16", "uint16", "int32", "float16", "float64")),
        picture("float32", 4),
        Image.from_array(np.asfortranarray(np.random.default_rng(0).random((3, 5, 7)))),
        Image.from_array(np.arange(12, dtype=">u2").reshape(3, 4)),
    ],
}
"""What comes back exactly, by format."""

REFUSED: dict[str, list[Image]] = {
    "png": [picture("float32"), picture("int16"), picture("uint32"), Image.from_array(np.zeros((3, 4, 5), np.uint8))],
    "jpeg": [picture("uint16"), picture("float32", 3), picture("uint8", 4), picture("uint8", size=(1, 65501))],
    "webp": [picture("uint16"), picture("float32"), picture("uint8", size=(1, 16384))],
    "avif": [picture("uint16"), picture("float32"), picture("uint8", size=(1, 32769))],
    "tiff": [],
    "bmp": [picture("uint16", 3), picture("float64")],
    "netpbm": [picture("uint8", 4), picture("float32"), picture("uint8", 2)],
    "npy": [],
}
"""What a format cannot hold."""

BUILT_IN = [key for key, format_ in FORMATS.items() if not format_.extra]
WITH_METADATA = [key for key in BUILT_IN if FORMATS[key].holds_metadata]
CASES = [(key, index) for key, images in EXACT.items() for index in range(len(images))]


def written(image: Image, key: str) -> bytes:
    stream = io.BytesIO()
    write(stream, image, format=key)
    return stream.getvalue()


def again(image: Image, key: str) -> Image:
    return read(io.BytesIO(written(image, key)))


def plain(key: str) -> Image:
    return picture("uint8", 3, size=(24, 40))


def test_every_format_has_examples() -> None:
    assert set(EXACT) == set(REFUSED) == set(BUILT_IN)


@pytest.mark.parametrize(("key", "index"), CASES)
def test_pixels_survive(key: str, index: int, tmp_path: Path) -> None:
    image = EXACT[key][index]
    path = tmp_path / f"image{FORMATS[key].suffixes[0]}"
    write(path, image)
    back = read(path)
    np.testing.assert_array_equal(back.array, image.array)
    assert (back.array.dtype, back.has_alpha) == (image.array.dtype, image.has_alpha)
    assert back.planes().shape == image.planes().shape
    if key != "npy":
        assert (back.data_range, back.bits) == (image.data_range, image.bits)
    assert back.metadata["format"] == key
    # and a second time, now with what the first file said
    np.testing.assert_array_equal(again(back.with_planes(back.planes()), key).array, image.array)


@pytest.mark.parametrize("key", BUILT_IN)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_smooth_picture_survives(key: str, channels: int) -> None:
    ramp = np.add.outer(np.arange(40), np.arange(64)).astype(np.uint8) * 2
    image = Image.from_array(ramp if channels == 1 else np.stack([ramp, ramp, ramp], -1))
    back = again(image, key)
    shown = back.array[..., 0] if back.array.ndim == 3 else back.array
    assert np.abs(shown.astype(int) - ramp).max() <= 3


@pytest.mark.parametrize("key", WITH_METADATA)
def test_metadata_survive_twice(key: str) -> None:
    image = with_metadata(plain(key), metadata())
    for _ in range(2):
        image = again(image, key)
        assert image.metadata["icc"] == metadata()["icc"]
        assert image.metadata["xmp"] == metadata()["xmp"]
        directory = ifd.parse_block(image.metadata["exif"])[0]
        expected = ifd.parse_block(exif_block())[0]
        assert directory.tags == expected.tags
        assert directory.children == expected.children
        if key not in ("webp", "avif"):  # they hold a resolution only as EXIF does
            np.testing.assert_allclose(image.metadata["dpi"], (300, 150), atol=0.02)


@pytest.mark.parametrize("source", WITH_METADATA)
@pytest.mark.parametrize("target", WITH_METADATA)
def test_metadata_survive_from_format_to_format(source: str, target: str) -> None:
    image = again(again(with_metadata(plain(source), metadata()), source), target)
    assert image.metadata["icc"] == metadata()["icc"]
    assert image.metadata["xmp"] == metadata()["xmp"]
    expected = ifd.parse_block(exif_block())[0]
    directory = ifd.parse_block(image.metadata["exif"])[0]
    assert directory.tags == expected.tags
    assert directory.children == expected.children


@pytest.mark.parametrize("key", BUILT_IN)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_neither_lost_nor_applied_twice(key: str, orientation: int) -> None:
    grey = np.zeros((16, 32), np.uint8)
    grey[:8, :16] = 255  # the bright corner moves with every turn and flip
    grey[:8, 16:] = 128
    colour = np.stack([grey, grey, grey], -1)
    shown = PillowImage.fromarray(colour)
    shown.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(shown))

    back = again(with_metadata(Image.from_array(colour), {"exif": exif_block(orientation)}), key)
    upright = exif.upright(back).array
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).max() <= 4
    if FORMATS[key].holds_metadata:
        assert exif.orientation(back.metadata) == orientation
        assert back.array.shape == colour.shape
    else:
        assert exif.orientation(back.metadata) == 1


@pytest.mark.parametrize("key", BUILT_IN)
def test_the_mark_of_a_denoised_image_survives(key: str) -> None:
    image = plain(key)
    assert denoised_mark(image) is None
    once = again(with_denoised_mark(image, "gray-small", 0.75), key)
    if not FORMATS[key].holds_mark:
        assert denoised_mark(once) is None
        return
    assert denoised_mark(once) == "gray-small at strength 0.75"
    twice = again(with_denoised_mark(once, "mine & <yours>", 1), key)
    assert denoised_mark(twice) == "gray-small at strength 0.75, then mine & <yours> at strength 1"


@pytest.mark.parametrize(("key", "index"), [(key, index) for key in REFUSED for index in range(len(REFUSED[key]))])
def test_what_a_format_cannot_hold_is_refused_with_a_way_out(key: str, index: int, tmp_path: Path) -> None:
    path = tmp_path / f"image{FORMATS[key].suffixes[0]}"
    with pytest.raises(ImageError, match=r"cannot save .* as .*: got .*\. Formats that hold it: .*TIFF \(\.tif\)"):
        write(path, REFUSED[key][index])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", BUILT_IN)
@pytest.mark.parametrize("part", [0.999, 0.75, 0.5, 0.2])
def test_a_truncated_file_is_an_error_of_one_line(key: str, part: float, tmp_path: Path) -> None:
    content = written(picture("uint8", 3, size=(64, 64)), key)
    path = tmp_path / "cut"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ImageError, match="cut") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", BUILT_IN)
def test_more_pixels_than_allowed_are_refused_from_the_header(key: str) -> None:
    content = written(picture("uint8", 3, size=(64, 64)), key)
    assert read(io.BytesIO(content), max_pixels=64 * 64).height == 64
    with pytest.raises(ImageError, match=r"64 x 64 = 4096 pixels, expected at most 4095.*NOISELESS_MAX_PIXELS"):
        read(io.BytesIO(content), max_pixels=64 * 64 - 1)


@pytest.mark.parametrize("key", BUILT_IN)
def test_pixels_for_training(key: str) -> None:
    image = plain(key)
    content = written(image, key)
    pixels = read_pixels(io.BytesIO(content))
    assert (pixels.shape, pixels.dtype) == ((3, 24, 40), np.uint8)
    np.testing.assert_array_equal(pixels, read(io.BytesIO(content)).array.transpose(2, 0, 1))


@pytest.mark.parametrize("key", BUILT_IN)
def test_the_content_decides_not_the_suffix(key: str, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(written(plain(key), key))
    assert read(path).metadata["format"] == key


def test_suffixes_name_one_format_each() -> None:
    written = {key: format_ for key, format_ in FORMATS.items() if key != "raw"}  # which is written as TIFF
    suffixes = [suffix for format_ in written.values() for suffix in format_.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for key, format_ in written.items():
        assert all(formats.by_suffix(Path("a.B" + suffix.upper())) == key for suffix in format_.suffixes)


def test_an_unknown_suffix_or_format_names_the_closest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*\.png"):
        write(tmp_path / "a.pngg", plain("png"))
    with pytest.raises(UnknownNameError, match=r"Did you mean .*tiff"):
        write(io.BytesIO(), plain("png"), format="tif")
    with pytest.raises(ImageError, match="no format for the output stream"):
        write(io.BytesIO(), plain("png"))


def test_third_parties_add_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    added = formats.Format("Grey text", (".grey",), formats.re.compile(rb"GREY"), "noiseless.io.npy")
    monkeypatch.setattr(formats, "all_formats", lambda: {**FORMATS, "grey": added})
    assert formats.recognise(b"GREY 3 4") == "grey"
    assert formats.by_suffix(Path("a.grey")) == "grey"
    assert formats.named("grey") is added


def test_importing_io_is_cheap() -> None:
    code = "import sys, noiseless.io; print([m for m in sys.modules if m in ('PIL', 'tifffile', 'imagecodecs')])"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"


def test_rotation_of_the_examples_is_not_trivial() -> None:
    assert exif.orientation(metadata()) == ROTATED
