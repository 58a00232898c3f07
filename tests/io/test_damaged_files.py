"""Damaged files of every format: whatever the bytes, only errors of noiseless escape, and libraries stay quiet."""

from __future__ import annotations

import io
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from damage import cut, flipped, with_hole
from example_images import metadata, picture, with_metadata
from noiseless.errors import NoiselessError
from noiseless.image import Image
from noiseless.io import FORMATS, read, write

BUILT_IN = [key for key, format_ in FORMATS.items() if not format_.extra]
MUTATIONS = 60
SMALL = 1_000_000


def written(image: Image, key: str) -> bytes:
    stream = io.BytesIO()
    write(stream, image, format=key)
    return stream.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def pillow(mode: str, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(picture("uint8", 3).array).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def samples() -> dict[str, bytes]:
    """A small file of every kind that differs inside."""
    colour, stack = picture("uint8", 3), np.arange(6 * 9 * 11, dtype=np.uint8).reshape(6, 9, 11)
    found = {key: written(with_metadata(colour, metadata()), key) for key in BUILT_IN}
    found |= {"png16": written(picture("uint16", 4), "png"), "png1": written(picture("bool"), "png")}
    found |= {"pgm12": written(picture("uint16", bits=12), "netpbm"), "pgm plain": b"P2 3 2 99\n1 2 3\n4 5 99\n"}
    found |= {"png palette": pillow("P", "PNG", transparency=b"\x10"), "bmp palette": pillow("P", "BMP")}
    found |= {"bmp alpha": written(picture("uint8", 4), "bmp"), "bmp bits": pillow("1", "BMP")}
    found |= {"jpeg cmyk": pillow("CMYK", "JPEG"), "jpeg progressive": pillow("RGB", "JPEG", progressive=True)}
    found |= {"webp lossy": pillow("RGBA", "WEBP", quality=60), "npy float": written(picture("float32"), "npy")}
    found |= {"imagej": tiff(stack, imagej=True, metadata={"axes": "TYX"}), "lzw": tiff(stack, compression="lzw")}
    found |= {"ome": tiff(stack, ome=True, metadata={"axes": "ZYX"}), "big": tiff(stack, bigtiff=True, byteorder=">")}
    tiles = {"tile": (16, 16), "compression": "deflate", "predictor": True, "photometric": "minisblack"}
    found |= {"tiled": tiff(stack.astype(np.uint16), **tiles), "packed": tiff(stack, bitspersample=5)}
    found |= {"jpeg in tiff": tiff(picture("uint8", 3, size=(32, 32)).array, compression="jpeg", photometric="rgb")}
    found |= {"avif 10 bits": bytes(imagecodecs.avif_encode(picture("uint16", 3, bits=10).array, bitspersample=10))}
    found |= {"avif alpha": written(picture("uint8", 4), "avif")}
    return found


def flipped_head(data: bytearray, generator: np.random.Generator) -> bytearray:
    for _ in range(generator.integers(1, 4)):
        data[generator.integers(min(len(data), 160))] = generator.choice([0, 1, 127, 128, 255])
    return data


def flipped_tail(data: bytearray, generator: np.random.Generator) -> bytearray:
    for _ in range(generator.integers(1, 4)):
        data[-generator.integers(1, min(len(data), 400))] = generator.choice([0, 1, 127, 128, 255])
    return data


def with_run(data: bytearray, generator: np.random.Generator) -> bytearray:
    start = generator.integers(len(data))
    length = min(int(generator.integers(1, 30)), len(data) - start)
    data[start : start + length] = bytes([generator.choice([0, 255])]) * length
    return data


WAYS: list[Callable[[bytearray, np.random.Generator], bytearray]]
WAYS = [flipped, flipped_head, flipped_tail, cut, with_hole, with_run]


@pytest.mark.parametrize("name", samples())
def test_only_our_errors_escape(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    sample = samples()[name]
    assert read(io.BytesIO(sample)).array.size
    generator = np.random.default_rng(sum(name.encode()))
    survived, said = 0, []
    for index in range(MUTATIONS):
        data = bytes(WAYS[index % len(WAYS)](bytearray(sample), generator))
        try:
            image = read(io.BytesIO(data), max_pixels=SMALL)
            survived += 1
            image.planes()
            write(io.BytesIO(), image)
        except NoiselessError as error:
            said.append(str(error))
    assert not [line for line in said if "\n" in line]
    assert survived < MUTATIONS
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("key", BUILT_IN)
def test_random_bytes_behind_a_true_beginning(key: str) -> None:
    head = written(picture("uint8", 3), key)[:16]
    generator = np.random.default_rng(0)
    for size in (0, 1, 7, 30, 300):
        with pytest.raises(NoiselessError):
            read(io.BytesIO(head + generator.bytes(size)), max_pixels=SMALL)
