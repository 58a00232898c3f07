"""PNG: what its chunks say survives; palettes, transparent colours and animations."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from example_images import XMP, picture
from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import read, read_pixels, write

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def with_chunks(data: bytes, *added: bytes) -> bytes:
    """The file with chunks put behind its header."""
    return data[:33] + b"".join(added) + data[33:]


def png(image: PillowImage.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)  # type: ignore[arg-type]
    return stream.getvalue()


def rewritten(data: bytes) -> bytes:
    stream = io.BytesIO()
    image = read(io.BytesIO(data))
    write(stream, image.with_planes(image.planes()))
    return stream.getvalue()


def test_all_that_chunks_say_survives() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "Nebula")
    text.add_text("Comment", "long " * 200, zip=True)
    text.add_itxt("Author", "Zoë", lang="en")
    data = with_chunks(
        png(PillowImage.fromarray(picture("uint8", 3).array), pnginfo=text),
        chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"cHRM", struct.pack(">8I", *range(31270, 31278))),
        chunk(b"cICP", bytes([9, 16, 0, 1])),
        chunk(b"sBIT", bytes([5, 6, 5])),
        chunk(b"pHYs", struct.pack(">IIB", 3, 2, 0)),
        chunk(b"tIME", struct.pack(">HBBBBB", 2024, 1, 2, 3, 4, 5)),
        chunk(b"vpAg", b"private, safe to copy"),
    )
    before = {entry for entry in chunks_of(data) if entry[0] not in (b"IDAT", b"IEND")}
    after = chunks_of(rewritten(data))
    assert before <= set(after)
    order = [kind for kind, _ in after]
    assert order.index(b"cICP") < order.index(b"IDAT")
    assert PillowImage.open(io.BytesIO(rewritten(data))).text["Author"] == "Zoë"


def test_private_chunks_that_are_unsafe_to_copy_are_dropped() -> None:
    data = with_chunks(png(PillowImage.fromarray(picture("uint8").array)), chunk(b"prVT", b"hash of the pixels"))
    assert b"prVT" not in dict(chunks_of(rewritten(data)))


@pytest.mark.parametrize("compressed", [False, True])
def test_xmp_is_found(compressed: bool) -> None:
    content = b"XML:com.adobe.xmp\0" + (b"\1\0\0\0" + zlib.compress(XMP) if compressed else b"\0\0\0\0" + XMP)
    data = with_chunks(png(PillowImage.fromarray(picture("uint8").array)), chunk(b"iTXt", content))
    assert read(io.BytesIO(data)).metadata["xmp"] == XMP


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("width", [1, 7, 8, 9, 33])
def test_packed_grey_is_what_other_programs_read(bits: int, width: int) -> None:
    image = picture("bool" if bits == 1 else "uint8", bits=bits, size=(5, width))
    stream = io.BytesIO()
    write(stream, image, format="png")
    other = np.asarray(PillowImage.open(stream).convert("L"))
    np.testing.assert_array_equal(other, image.array * (255 // (2**bits - 1)))
    assert stream.getvalue()[24:26] == bytes([bits, 0])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_palettes_become_colours(mode: str) -> None:
    colours = PillowImage.fromarray(picture("uint8", 3).array).quantize(16)
    data = png(colours, transparency=b"\x00\x80" if mode == "RGBA" else None, bits=4)
    image = read(io.BytesIO(data))
    np.testing.assert_array_equal(image.array, np.asarray(PillowImage.open(io.BytesIO(data)).convert(mode)))
    assert "palette" in image.metadata["notes"][0]
    assert (image.has_alpha, image.bits) == (mode == "RGBA", 8)


@pytest.mark.parametrize(("channels", "key"), [(1, 5), (3, (1, 2, 3))])
def test_a_transparent_colour_becomes_alpha(channels: int, key: object) -> None:
    array = picture("uint8", channels).array.copy()
    array[2, 3] = key
    data = with_chunks(png(PillowImage.fromarray(array), transparency=key), chunk(b"sBIT", bytes([8] * channels)))
    image = read(io.BytesIO(data))
    assert image.has_alpha
    assert image.array[2, 3, -1] == 0
    assert image.array[..., -1].max() == 255
    assert b"sBIT" not in dict(chunks_of(rewritten(data)))  # its length would no longer fit


def test_an_interlaced_file_is_read() -> None:
    """Adam7: a 1 x 1 image has one pass of one pixel."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1))
    data = SIGNATURE + header + chunk(b"IDAT", zlib.compress(b"\0\x2a")) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(read(io.BytesIO(data)).array, [[42]])


def test_animations_are_refused() -> None:
    frames = [PillowImage.fromarray(picture("uint8", seed=seed).array) for seed in range(3)]
    data = png(frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animated PNG is not supported: got 3 frames"):
        read(io.BytesIO(data))


def test_twelve_bits_are_spread_and_said() -> None:
    image = picture("uint16", bits=12)
    stream = io.BytesIO()
    write(stream, image, format="png")
    back = read(io.BytesIO(stream.getvalue()))
    np.testing.assert_allclose(back.planes(), image.planes(), atol=1e-5)
    assert dict(chunks_of(stream.getvalue()))[b"sBIT"] == b"\x0c"


def test_a_data_range_given_by_hand_does_not_change_the_file() -> None:
    array = picture("uint16", bits=12).array
    stream = io.BytesIO()
    write(stream, Image.from_array(array, data_range=4095), format="png")
    np.testing.assert_array_equal(read(io.BytesIO(stream.getvalue())).array, array)


def test_pixels_for_training_span_their_dtype() -> None:
    for image, dtype in (
        (picture("bool"), np.uint8),
        (picture("uint8", bits=2), np.uint8),
        (picture("uint16"), np.uint16),
    ):
        stream = io.BytesIO()
        write(stream, image, format="png")
        pixels = read_pixels(io.BytesIO(stream.getvalue()))
        assert pixels.dtype == dtype
        assert pixels.max() == np.iinfo(dtype).max or image.bits == 16
        np.testing.assert_allclose(pixels / np.iinfo(dtype).max, image.planes()[0], atol=1e-6)


@pytest.mark.parametrize("kind", [b"iCCP", b"iTXt", b"zTXt", b"pHYs", b"cHRM", b"eXIf", b"sBIT"])
def test_damaged_metadata_are_no_reason_to_refuse_the_pixels(kind: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    array = picture("uint8", 3).array
    for content in (b"", b"\0", b"XML:com.adobe.xmp\0\1\0\0\0junk", b"name\0\0not zlib", b"\xff" * 9):
        data = with_chunks(png(PillowImage.fromarray(array)), chunk(kind, content))
        np.testing.assert_array_equal(read(io.BytesIO(data)).array, array)
        rewritten(data)
    assert capfd.readouterr() == ("", "")


def test_a_profile_that_explodes_is_cut() -> None:
    bomb = chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(80 << 20)))
    data = with_chunks(png(PillowImage.fromarray(picture("uint8").array)), bomb)
    assert len(read(io.BytesIO(data)).metadata["icc"]) <= 64 << 20


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (0, 5), (2**31 - 1, 1)])
def test_a_header_that_lies_is_refused(width: int, height: int) -> None:
    data = bytearray(png(PillowImage.fromarray(picture("uint8").array)))
    data[8:33] = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    with pytest.raises(ImageError):
        read(io.BytesIO(bytes(data)))
