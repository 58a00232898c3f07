"""NIfTI: dtypes, axes, headers and extensions that survive, the range of values, and what is refused."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from nifti_files import nifti
from noiseless.errors import ImageError, ValueRangeError
from noiseless.image import Image
from noiseless.io import denoised_mark, read, with_denoised_mark, write

RANDOM = np.random.default_rng(0)
VOLUME = RANDOM.integers(0, 1000, (6, 9, 11)).astype(np.int16)


def opened(data: bytes, **options: Any) -> Image:
    return read(io.BytesIO(data), **options)


def rewritten(image: Image) -> bytes:
    stream = io.BytesIO()
    write(stream, with_denoised_mark(image.with_planes(image.planes()), "gray-small", 1))
    return stream.getvalue()


def loaded(data: bytes) -> nibabel.Nifti1Image:
    kind = nibabel.Nifti2Image if data[:2] in (b"\x1c\x02", b"\0\0\x02\x1c"[:2]) and b"n+2" in data[:8] else None
    return (kind or nibabel.Nifti1Image).from_bytes(data)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_every_dtype_and_byte_order_survives(kind: Any, order: str, dtype: str) -> None:
    array = (VOLUME / 1000 if dtype[0] == "f" else VOLUME % 100).astype(order + dtype)
    data = nifti(array, kind=kind)
    image = opened(data)
    assert image.array.dtype == array.dtype
    np.testing.assert_array_equal(image.array, array)
    again = rewritten(image)
    before, after = kind.from_bytes(data), kind.from_bytes(again)
    assert after.header.binaryblock[:40] == before.header.binaryblock[:40]
    np.testing.assert_array_equal(after.dataobj.get_unscaled(), array)
    assert denoised_mark(opened(again)) == "gray-small at strength 1"


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_header_and_its_extensions_are_kept(order: str) -> None:
    affine = np.array([[0, -0.7, 0, 9], [0.8, 0, 0.1, -8], [0, 0, 2.5, 3], [0, 0, 0, 1.0]])
    extras = {"descrip": b"scanner 7", "aux_file": b"lut", "scl_slope": 2.5, "scl_inter": -1024, "intent_name": b"x"}
    data = nifti(
        VOLUME.astype(order + "i2"), affine, header=extras, extensions=[(4, b"<AFNI/>"), (6, b"mine"), (44, b"\1\2")]
    )
    for _ in range(2):
        data = rewritten(opened(data))
    after = loaded(data)
    np.testing.assert_allclose(after.affine, affine, atol=1e-6)
    assert after.header["descrip"] == b"scanner 7"
    assert nibabel.Nifti1Header(data[:348]).get_slope_inter() == (2.5, -1024)
    assert after.header["vox_offset"] % 16 == 0
    contents = [(each.get_code(), each.get_content()) for each in after.header.extensions]
    assert [code for code, _ in contents] == [4, 6, 44, 6]
    assert [bytes(text, "utf-8") if isinstance(text, str) else bytes(text) for _, text in contents][1].startswith(
        b"mine"
    )
    image = opened(data)
    assert denoised_mark(image) == "gray-small at strength 1, then gray-small at strength 1"
    np.testing.assert_array_equal(image.array, VOLUME)


@pytest.mark.parametrize(
    ("shape", "zooms", "axes"),
    [
        ((8, 9), (1, 1), "XY"),
        ((8, 9, 3), (1, 1, 1), "XYZ"),
        ((3, 8, 9), (4, 1, 1), "ZXY"),
        ((8, 3, 9), (1, 4, 1), "XZY"),
        ((8, 9, 3), (1, 1.1, 1.15), "XYZ"),
        ((1, 8, 9), (1, 1, 1), "ZXY"),
        ((8, 9, 3, 2), (1, 1, 3, 2), "XYZT"),
        ((3, 8, 9, 1, 2), (9, 1, 1, 1, 1), "ZXYTV"),
        ((8, 9, 2, 2, 2, 2, 2), (1, 1, 1, 1, 1, 1, 1), "XYZTVUW"),
    ],
)
def test_the_finest_plane_is_the_picture(shape: tuple[int, ...], zooms: tuple[float, ...], axes: str) -> None:
    array = RANDOM.integers(0, 255, shape).astype(np.uint8)
    image = opened(nifti(array, zooms=zooms))
    assert image.axes == axes
    assert image.count == np.prod([size for size, axis in zip(shape, axes, strict=True) if axis not in "YX"], dtype=int)
    np.testing.assert_array_equal(loaded(rewritten(image)).dataobj.get_unscaled(), array)


@pytest.mark.parametrize(
    ("dtype", "header", "expected"),
    [
        ("u1", {}, (0, 255)),
        ("i2", {}, (0, 32767)),
        ("u2", {"cal_min": 10, "cal_max": 500}, (10, 500)),
        ("i2", {"cal_min": -1000, "cal_max": 1000, "scl_slope": 2, "scl_inter": -1024}, (12, 1012)),
        ("i2", {"cal_min": 5, "cal_max": 5}, (0, 32767)),
        ("f4", {"cal_min": 0, "cal_max": 1800}, (0, 1800)),
    ],
)
def test_the_range_follows_the_header(dtype: str, header: dict[str, Any], expected: tuple[float, float]) -> None:
    for array in (VOLUME % 100, VOLUME % 50):
        assert opened(nifti(array.astype(dtype), header=header)).data_range == expected


def test_floats_without_a_range_are_an_error_that_says_so() -> None:
    data = nifti(VOLUME.astype(np.float32))
    with pytest.raises(ValueRangeError, match="data_range"):
        opened(data)
    assert opened(data, data_range=(0, 1000)).data_range == (0, 1000)


def test_nan_says_that_there_is_no_value() -> None:
    array = RANDOM.random((20, 30, 2)).astype(np.float32)
    array[:5] = np.nan
    image = opened(nifti(array))
    assert np.isfinite(image.planes()).all()
    after = image.with_planes(image.planes() * 0.5).array
    np.testing.assert_array_equal(np.isnan(after), np.isnan(array))
    array[10, 10, 0] = np.inf
    with pytest.raises(ImageError, match="infinite"):
        opened(nifti(array))


def test_colours() -> None:
    colours = np.empty((8, 9, 2), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    for index, name in enumerate("RGB"):
        colours[name] = RANDOM.integers(0, 255, (8, 9, 2)) // (index + 1)
    image = opened(nifti(colours))
    assert (image.axes, image.is_colour) == ("XYZC", True)
    np.testing.assert_array_equal(image.array[..., 1], colours["G"])
    np.testing.assert_array_equal(loaded(rewritten(image)).dataobj.get_unscaled(), colours)


def test_gzip_is_kept_apart_by_suffix_and_content(tmp_path: Any) -> None:
    plain, packed = tmp_path / "a.nii", tmp_path / "a.nii.gz"
    packed.write_bytes(gzip.compress(nifti(VOLUME)))
    image = read(packed)
    assert image.metadata["format"] == "nifti.gz"
    write(plain, image)
    write(packed, image)
    assert packed.read_bytes()[:2] == b"\x1f\x8b"
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    np.testing.assert_array_equal(nibabel.load(packed).dataobj.get_unscaled(), VOLUME)
    write(tmp_path / "b.nii.gz", image)
    assert (tmp_path / "b.nii.gz").read_bytes() == packed.read_bytes(), "depends on time or name"


@pytest.mark.parametrize(
    "name", ["anatomical.nii", "functional.nii", "standard.nii.gz", "example4d.nii.gz", "example_nifti2.nii.gz"]
)
def test_files_that_come_with_nibabel(name: str, tmp_path: Path) -> None:
    source = Path(nibabel.__file__).parent / "tests" / "data" / name
    if not source.exists():
        pytest.skip("nibabel was installed without its test files")
    image = read(source, data_range=(0, 5000))
    write(tmp_path / name, with_denoised_mark(image.with_planes(image.planes()), "gray-small", 1))
    before, after = nibabel.load(source), nibabel.load(tmp_path / name)
    np.testing.assert_array_equal(after.get_fdata(), before.get_fdata())
    np.testing.assert_array_equal(after.affine, before.affine)
    fields = set(before.header) - {"vox_offset"}
    assert all(before.header[field].tobytes() == after.header[field].tobytes() for field in fields)


def test_a_gzip_of_something_else_is_named() -> None:
    with pytest.raises(ImageError, match="is a gzip file"):
        opened(gzip.compress(b"a,b\n1,2\n" * 100))
    with pytest.raises(ImageError, match="is a gzip file"):
        opened(b"\x1f\x8b" + bytes(40))


def test_a_damaged_gzip_is_an_error() -> None:
    data = bytearray(gzip.compress(nifti(VOLUME)))
    data[-6] ^= 1  # in the checksum
    with pytest.raises(ImageError, match="damaged"):
        opened(bytes(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intent_code": 1002}, "labels"),
        ({"intent_code": 3001}, "CIFTI"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "enormous"),
        ({"dim": [3, 6, 9, 12, 1, 1, 1, 1]}, "truncated"),
        ({"dim": [1, 594, 1, 1, 1, 1, 1, 1]}, "no image"),
        ({"dim": [0, 1, 1, 1, 1, 1, 1, 1]}, "no pixels"),
        ({"vox_offset": 1e30}, "damaged"),
        ({"vox_offset": np.nan}, "damaged"),
        ({"vox_offset": 8}, "damaged"),
        ({"datatype": 32, "bitpix": 64}, "real numbers"),
        ({"datatype": 77}, "damaged"),
        ({"magic": b"ni1"}, "without its pixels"),
    ],
)
def test_lying_headers_are_one_line(change: dict[str, Any], message: str) -> None:
    data = nifti(VOLUME)
    header = nibabel.Nifti1Header(data[:348], check=False)
    for name, value in change.items():
        header[name] = value
    with pytest.raises(ImageError, match=message) as caught:
        opened(header.binaryblock + data[348:])
    assert "\n" not in str(caught.value)


def test_nifti_takes_only_its_own() -> None:
    with pytest.raises(ImageError, match=r"no place in space.*TIFF"):
        write(io.BytesIO(), Image.from_array(VOLUME), format="nifti")
