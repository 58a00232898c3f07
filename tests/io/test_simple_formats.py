"""PBM, PGM, PPM, BMP and .npy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from example_images import picture
from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import read, read_pixels, write


def written(image: Image, key: str) -> bytes:
    stream = io.BytesIO()
    write(stream, image, format=key)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "values", "white"),
    [
        (b"P1\n# a comment\n3 2\n1 0 1\n010", [[0, 1, 0], [1, 0, 1]], 1),
        (b"P2 2 2 9 0 3 # inside\n6 9\n", [[0, 3], [6, 9]], 9),
        (b"P3\n1 2\n1000\n0 500 1000 7 8 9", [[[0, 500, 1000]], [[7, 8, 9]]], 1000),
        (b"P4\n3 2\n\xa0\x40", [[0, 1, 0], [1, 0, 1]], 1),
        (b"P5 2 1 255\n\x07\x08", [[7, 8]], 255),
        (b"P5\n2 1\n# about\n4095\n\x0f\xff\x01\x02", [[4095, 258]], 4095),
        (b"P6\n1 1\n65535\n\x00\x01\x00\x02\xff\xff", [[[1, 2, 65535]]], 65535),
    ],
)
def test_every_kind_of_netpbm_is_read(text: bytes, values: list, white: int) -> None:
    image = read(io.BytesIO(text))
    np.testing.assert_array_equal(image.array, values)
    assert image.data_range == (0, white)
    np.testing.assert_array_equal(read(io.BytesIO(written(image, "netpbm"))).array, values)
    assert read(io.BytesIO(written(image, "netpbm"))).data_range == (0, white)


@pytest.mark.parametrize("image", [picture("bool"), picture("uint8"), picture("uint8", 3)], ids=["P4", "P5", "P6"])
def test_other_programs_read_our_netpbm(image: Image) -> None:
    other = np.asarray(PillowImage.open(io.BytesIO(written(image, "netpbm"))))
    np.testing.assert_array_equal(other, image.array)


@pytest.mark.parametrize(
    "text",
    [
        b"P5\n",
        b"P5 2",
        b"P5 2 2 0\n\0\0\0\0",
        b"P5 2 2 70000\n\0\0\0\0",
        b"P5 2 2 255\n\0\0\0",
        b"P2 2 2 9 1 2 3",
        b"P2 2 2 9 1 2 3 x",
        b"P2 2 2 9 1 2 3 -4",
        b"P2 2 2 9 1 2 3 10",
        b"P5 1 1 9\n\x0a",
        b"P6 99999 99999 255\n",
        b"P5 0 4 255\n",
        b"P1 3 1 10",
    ],
)
def test_damaged_netpbm_is_an_error(text: bytes) -> None:
    with pytest.raises(ImageError):
        read(io.BytesIO(text))


def test_several_images_in_one_netpbm_are_refused() -> None:
    one = written(picture("uint8"), "netpbm")
    with pytest.raises(ImageError, match="several images"):
        read(io.BytesIO(one + one))
    assert read(io.BytesIO(one + b"\n")).height == 13


def test_a_netpbm_becomes_other_formats_without_losing_its_range() -> None:
    image = read(io.BytesIO(b"P5 3 1 1000\n\x00\x00\x01\xf4\x03\xe8"))
    np.testing.assert_array_equal(read(io.BytesIO(written(image, "png"))).array, [[0, 32768, 65535]])
    np.testing.assert_array_equal(read_pixels(io.BytesIO(written(image, "netpbm"))), [[[0, 32768, 65535]]])
    np.testing.assert_array_equal(read(io.BytesIO(written(image, "tiff"))).array, [[0, 500, 1000]])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [1, 5, 8])
def test_other_programs_read_our_bmp(channels: int, width: int) -> None:
    image = picture("uint8", channels, size=(7, width))
    data = written(image, "bmp")
    np.testing.assert_array_equal(np.asarray(PillowImage.open(io.BytesIO(data))), image.array)


def test_bmp_with_alpha_is_what_other_programs_read() -> None:
    for channels in (2, 4):
        image = picture("uint8", channels)
        other = PillowImage.open(io.BytesIO(written(image, "bmp")))
        assert other.mode == "RGBA"
        expected = image.array if channels == 4 else image.array[..., [0, 0, 0, 1]]
        np.testing.assert_array_equal(np.asarray(other), expected)


def test_bmp_keeps_the_resolution_and_expands_palettes() -> None:
    stream = io.BytesIO()
    PillowImage.fromarray(picture("uint8", 3).array).quantize(16).save(stream, "BMP", dpi=(300, 150))
    image = read(io.BytesIO(stream.getvalue()))
    assert image.array.shape == (13, 21, 3)
    assert "palette" in image.metadata["notes"][0]
    again = read(io.BytesIO(written(image, "bmp")))
    np.testing.assert_allclose(again.metadata["dpi"], (300, 150), atol=0.05)


def npy(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def test_npy_objects_are_never_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("unpickled",))

    data = npy(np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match="Python objects"):
        read(io.BytesIO(data))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5), "two axes"),
        (np.zeros((0, 4)), "no pixels"),
        (np.zeros((4, 4), complex), "no image"),
        (np.zeros((4, 4), np.int64), "64-bit"),
        (np.zeros((4, 4), [("a", int)]), "no image"),
        (np.full((4, 4), np.nan), "16 NaN"),
    ],
)
def test_npy_that_is_no_image_is_an_error(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read(io.BytesIO(npy(array)))


def test_npy_headers_that_lie_are_refused() -> None:
    data = npy(np.zeros((4, 5), np.uint8))
    for shape in (b"(9, 5)", b"(-4, 5)", b"(10**9, 5)", b"(4, 'a')"):
        lying = data.replace(b"(4, 5)", shape)
        with pytest.raises(ImageError):
            read(io.BytesIO(lying))
    enormous = data.replace(b"'shape': (4, 5), }", b"'shape': (999999, 999999), }")
    with pytest.raises(ImageError, match=r"enormous|damaged"):
        read(io.BytesIO(enormous))
