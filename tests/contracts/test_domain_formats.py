"""Every format that needs an extra: what its own library wrote survives, damage is an error of one line, and so on."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from damage import cut, flipped, with_hole
from dicom_files import bundled, dicom
from exr_files import exr, planes
from heic_files import heic, ramp
from nifti_files import nifti
from noiseless.errors import ImageError, MissingExtraError, NoiselessError
from noiseless.image import Image
from noiseless.io import FORMATS, denoised_mark, find_images, read, with_denoised_mark, write
from noiseless.workflows.files import plan_jobs

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (24, 32)).astype(np.uint8)

MAKERS: dict[str, Callable[[], bytes]] = {
    "dicom": lambda: dicom(BYTES),
    "nifti": lambda: nifti(BYTES),
    "nifti.gz": lambda: gzip.compress(nifti(BYTES)),
    "exr": lambda: exr(planes("Y", "f4")),
    "heic": lambda: heic(ramp(8, 1)),
}
"""A file of 24 x 32 or 32 x 24 pixels by the format's own library."""

MORE: dict[str, Callable[[], bytes]] = {
    "dicom frames": lambda: dicom(RANDOM.integers(-900, 900, (3, 9, 8)).astype(np.int16), Modality="CT"),
    "dicom jpeg": lambda: bundled("SC_rgb_small_odd_jpeg.dcm").read_bytes(),
    "dicom jpeg-ls": lambda: bundled("JPEGLSNearLossless_16.dcm").read_bytes(),
    "dicom jpeg 2000": lambda: bundled("MR_small_jp2klossless.dcm").read_bytes(),
    "dicom rle": lambda: bundled("MR_small_RLE.dcm").read_bytes(),
    "dicom deflated": lambda: bundled("image_dfl.dcm").read_bytes(),
    "dicom palette": lambda: bundled("examples_palette.dcm").read_bytes(),
    "dicom and tiff": lambda: bundled("MR_small.dcm").read_bytes(),
    "nifti floats": lambda: nifti(RANDOM.random((5, 6, 7)).astype(">f4"), extensions=[(6, b"note")]),
    "exr layers": lambda: exr(planes("RGBA") | planes("Z", "f4") | {"id": BYTES.astype("u4")}, comments="a note"),
    "heic 10 bits": lambda: heic(ramp(10), 10),
    "heic alpha": lambda: heic(ramp(8, 4)),
}
"""Files that are of other kinds inside, for the fuzzing."""

LOSSY = {"heic": 2}
"""How far, in grey levels, a smooth picture may change."""

MUTATIONS = 40
SMALL = 500_000
FROM_THE_LIBRARY = "<python_buffer>: (EXR_ERR"
"""What OpenEXR itself says of a damaged file, on standard error, and cannot be kept from saying."""

READ_ONLY = ("raw",)
KEYS = [key for key, format_ in FORMATS.items() if format_.extra and not format_.folder and key not in READ_ONLY]


def opened(data: bytes) -> Image:
    return read(io.BytesIO(data))


def written(image: Image) -> bytes:
    stream = io.BytesIO()
    write(stream, image)
    return stream.getvalue()


def test_every_format_has_a_maker() -> None:
    assert set(MAKERS) == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_pixels_axes_and_range_survive(key: str) -> None:
    image = opened(MAKERS[key]())
    back = opened(written(image.with_planes(image.planes())))
    np.testing.assert_allclose(back.array.astype(float), image.array, rtol=0, atol=LOSSY.get(key, 0))
    assert (back.axes, back.data_range, back.bits) == (image.axes, image.data_range, image.bits)
    assert back.metadata["format"] == key


@pytest.mark.parametrize("key", KEYS)
def test_the_mark_of_a_denoised_image_survives(key: str) -> None:
    image = opened(MAKERS[key]())
    assert denoised_mark(image) is None
    once = opened(written(with_denoised_mark(image, "gray-small", 0.75)))
    assert denoised_mark(once) == "gray-small at strength 0.75"
    twice = opened(written(with_denoised_mark(once, "mine & <yours>", 1)))
    assert denoised_mark(twice) == "gray-small at strength 0.75, then mine & <yours> at strength 1"


@pytest.mark.parametrize("key", KEYS)
def test_other_formats_take_the_image(key: str) -> None:
    image = opened(MAKERS[key]())
    for target in ("png", "tiff") if image.array.dtype.kind != "f" else ("tiff",):
        stream = io.BytesIO()
        write(stream, with_denoised_mark(image, "gray-small", 1), format=target)
        back = opened(stream.getvalue())
        np.testing.assert_array_equal(back.planes(), image.planes())
        assert denoised_mark(back) == "gray-small at strength 1"


@pytest.mark.parametrize("key", KEYS)
def test_the_content_decides_and_folders_find_it(key: str, tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(MAKERS[key]())
    assert find_images([tmp_path]) == [path]
    assert read(path).metadata["format"] == key
    (job,), _ = plan_jobs([str(tmp_path)], str(tmp_path / "out"))
    assert job.target == tmp_path / "out" / f"scan{FORMATS[key].suffixes[0]}"


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_extra_is_one_line(key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(MAKERS[key]())
    for name in ("pydicom", "nibabel", "OpenEXR", "pillow_heif"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingExtraError, match=rf'scan.*Run: pip install "noiseless\[{FORMATS[key].extra}\]"'
    ) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("part", [0.99, 0.75, 0.5, 0.2])
def test_a_truncated_file_is_an_error_of_one_line(key: str, part: float, tmp_path: Path) -> None:
    content = MAKERS[key]()
    path = tmp_path / "cut"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ImageError, match="cut") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", KEYS)
def test_more_pixels_than_allowed_are_refused_from_the_header(key: str) -> None:
    content = MAKERS[key]()
    assert read(io.BytesIO(content), max_pixels=24 * 32).count == 1
    with pytest.raises(ImageError, match=r"= 768 pixels, expected at most 767.*NOISELESS_MAX_PIXELS"):
        read(io.BytesIO(content), max_pixels=24 * 32 - 1)


def flipped_head(data: bytearray, generator: np.random.Generator) -> bytearray:
    for _ in range(generator.integers(1, 5)):
        data[generator.integers(min(len(data), 1500))] = generator.choice([0, 1, 127, 128, 255])
    return data


def swapped(data: bytearray, generator: np.random.Generator) -> bytearray:
    first, second = (int(generator.integers(max(len(data) - 30, 1))) for _ in range(2))
    data[first : first + 24], data[second : second + 24] = data[second : second + 24], data[first : first + 24]
    return data


WAYS = [flipped, flipped_head, cut, with_hole, swapped]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*MAKERS, *MORE])
def test_only_our_errors_escape_from_damaged_files(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    sample = {**MAKERS, **MORE}[name]()
    generator = np.random.default_rng(sum(name.encode()))
    said = []
    for index in range(MUTATIONS):
        data = bytes(WAYS[index % len(WAYS)](bytearray(sample), generator))
        try:
            image = read(io.BytesIO(data), max_pixels=SMALL)
            image.planes()
            write(io.BytesIO(), image)
        except NoiselessError as error:
            said.append(str(error))
    assert not [line for line in said if "\n" in line]
    out, err = capfd.readouterr()
    assert out == ""
    assert not [line for line in err.splitlines() if not line.startswith(FROM_THE_LIBRARY)]
