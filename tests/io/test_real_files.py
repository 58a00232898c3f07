"""Real files, from cameras, editors and microscopes, go through a round trip; their sources are named beside them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from noiseless.image import Image
from noiseless.io import FORMATS, denoised_mark, find_images, read, read_pixels, with_denoised_mark, write


@pytest.fixture(scope="session")
def real_files(shared_data: Path) -> list[Path]:
    """Every file of the format and microscopy fixtures."""
    folders = [shared_data / "fixtures" / name for name in ("formats", "microscopy", "skimage", "ldct_iqa6")]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"no fixtures in {shared_data}")
    return find_images(folders)


def rewritten(image: Image) -> bytes:
    stream = io.BytesIO()
    write(stream, with_denoised_mark(image.with_planes(image.planes()), "gray-small", 1))
    return stream.getvalue()


def test_every_file_is_found_and_read(real_files: list[Path]) -> None:
    assert len(real_files) >= 40
    for path in real_files:
        image = read(path)
        pixels = read_pixels(path)
        assert pixels.shape == (image.count * image.channels, image.height, image.width)
        if pixels.dtype != np.float32:
            span = np.iinfo(pixels.dtype).max
            np.testing.assert_allclose(pixels[0] / span, image.planes()[0, 0], atol=2e-5)


def test_pixels_and_metadata_come_back(real_files: list[Path]) -> None:
    for path in real_files:
        image = read(path)
        back = read(io.BytesIO(rewritten(image)))
        if image.metadata["format"] == "jpeg":
            assert np.abs(back.array.astype(int) - image.array).max() <= 12, path
        else:
            np.testing.assert_array_equal(back.array, image.array, err_msg=str(path))
        assert (back.axes, back.data_range, back.has_alpha) == (image.axes, image.data_range, image.has_alpha), path
        assert (back.bits, back.array.dtype) == (image.bits, image.array.dtype), path
        for key in ("icc", "exif", "dpi", "separate_channels"):
            assert back.metadata.get(key) == image.metadata.get(key), (path, key)
        if FORMATS[image.metadata["format"]].holds_metadata:
            assert denoised_mark(back) == "gray-small at strength 1", path


def test_microscopy_keeps_what_imagej_knows(real_files: list[Path]) -> None:
    stacks = [path for path in real_files if path.parent.name == "microscopy"]
    assert len(stacks) >= 10
    for path in stacks:
        again = tifffile.TiffFile(io.BytesIO(rewritten(read(path))))
        with tifffile.TiffFile(path) as before:
            assert str(again.imagej_metadata) == str(before.imagej_metadata), path
            assert again.series[0].axes == before.series[0].axes
            assert again.pages.first.tags.get("XResolution") == before.pages.first.tags.get("XResolution") or (
                again.pages.first.tags["XResolution"].value == before.pages.first.tags["XResolution"].value
            )
            np.testing.assert_array_equal(again.asarray(), before.asarray())


def test_sixteen_bit_colour_is_not_eight(real_files: list[Path]) -> None:
    deep = [path for path in real_files if path.name.endswith("2020_g1.png")]
    assert deep
    for path in deep:
        image = read(path)
        assert image.array.dtype == np.uint16
        assert np.unique(image.array & 0xFF).size > 16


def test_twelve_bit_is_twelve(real_files: list[Path]) -> None:
    path = next(path for path in real_files if path.name == "flower_small.g.depth12.pgm")
    image = read(path)
    assert (image.data_range, image.bits, image.array.dtype) == ((0, 4095), 12, np.uint16)
    assert rewritten(image) == path.read_bytes()


def test_cmyk_looks_like_the_photograph(real_files: list[Path]) -> None:
    by_name = {path.name: path for path in real_files}
    inks, colours = read(by_name["flower_small.cmyk.jpg"]), read(by_name["flower_small.rgb.png"])
    assert inks.metadata["notes"] == ("CMYK was converted to RGB",)
    small = [np.asarray(PillowImage.fromarray(image.array).resize((51, 53)), dtype=float) for image in (inks, colours)]
    assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.9
