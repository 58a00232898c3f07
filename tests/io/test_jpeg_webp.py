"""JPEG and WebP: quality, subsampling, segments, CMYK."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from example_images import exif_block, icc_profile, picture, with_metadata
from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import read, write

IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x78\0\x03Dog"


def smooth(size: tuple[int, int] = (48, 64)) -> np.ndarray:
    y, x = np.indices(size)
    return np.stack([y * 4 % 256, x * 3 % 256, (x + y) * 2 % 256], -1).astype(np.uint8)


def jpeg(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(array).save(stream, "JPEG", **options)  # type: ignore[arg-type]
    return stream.getvalue()


def rewritten(data: bytes) -> bytes:
    stream = io.BytesIO()
    image = read(io.BytesIO(data))
    write(stream, image.with_planes(image.planes()))
    return stream.getvalue()


def opened(data: bytes) -> JpegImageFile:
    return JpegImageFile(io.BytesIO(data))


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_subsampling_is_kept(sampling: int, progressive: bool) -> None:
    data = jpeg(smooth(), subsampling=sampling, progressive=progressive)
    np.testing.assert_array_equal(read(io.BytesIO(data)).array, np.asarray(opened(data)))
    assert get_sampling(opened(rewritten(data))) == sampling


@pytest.mark.parametrize("quality", [20, 80, 95, 98, 100])
def test_tables_are_never_coarser_than_the_source_nor_than_quality_95(quality: int) -> None:
    source = opened(jpeg(smooth(), quality=quality)).quantization
    good = opened(jpeg(smooth(), quality=95)).quantization
    for number, table in opened(rewritten(jpeg(smooth(), quality=quality))).quantization.items():
        assert np.all(np.array(table) <= np.minimum(source[number], good[number]))


def test_new_pictures_are_not_subsampled() -> None:
    stream = io.BytesIO()
    write(stream, Image.from_array(smooth()), format="jpeg")
    assert get_sampling(opened(stream.getvalue())) == 0
    assert np.abs(read(io.BytesIO(stream.getvalue())).array.astype(int) - smooth()).mean() < 2


def test_noise_at_the_highest_quality_can_be_written() -> None:
    noise = picture("uint8", 3, size=(300, 300)).array
    data = jpeg(noise, quality=100, subsampling=0)
    assert np.abs(read(io.BytesIO(rewritten(data))).array.astype(int) - noise).max() < 8


def test_captions_and_comments_survive_and_stale_segments_do_not() -> None:
    plain = jpeg(smooth(), comment=b"a dog", dpi=(72, 72))
    added = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in ((0xED, IPTC), (0xE2, b"MPF\0stale"), (0xEB, b"JP\0\1signature"), (0xE5, b"kept"))
    )
    image = opened(rewritten(plain[:2] + added + plain[2:]))
    assert image.info["comment"] == b"a dog"
    contents = [content for _, content in image.applist]
    assert IPTC in contents
    assert b"kept" in contents
    assert not any(content.startswith((b"MPF", b"JP\0")) for content in contents)


def test_a_large_profile_is_split_and_put_together() -> None:
    profile = np.random.default_rng(0).bytes(200_000)
    stream = io.BytesIO()
    write(stream, with_metadata(Image.from_array(smooth()), {"icc": profile}), format="jpeg")
    assert read(io.BytesIO(stream.getvalue())).metadata["icc"] == profile
    assert opened(stream.getvalue()).info["icc_profile"] == profile


def test_maker_notes_stay_byte_for_byte() -> None:
    data = jpeg(smooth(), exif=b"Exif\0\0" + exif_block(1))
    assert opened(rewritten(data)).info["exif"] == b"Exif\0\0" + exif_block(1)


@pytest.mark.parametrize("key", ["exif", "xmp"])
def test_what_does_not_fit_into_a_segment_is_said(key: str) -> None:
    image = with_metadata(Image.from_array(smooth()), {key: bytes(70_000)})
    with pytest.raises(ImageError, match=f"70000 bytes of {key.upper()}.*PNG"):
        write(io.BytesIO(), image, format="jpeg")


@pytest.mark.parametrize("with_profile", [False, True])
def test_cmyk_becomes_rgb_and_says_so(with_profile: bool) -> None:
    inks = PillowImage.fromarray(smooth()).convert("CMYK")
    stream = io.BytesIO()
    # a profile that is none of CMYK must not stand in the way
    inks.save(stream, "JPEG", quality=98, icc_profile=icc_profile() if with_profile else None)
    image = read(io.BytesIO(stream.getvalue()))
    assert (image.array.shape, image.metadata["notes"]) == ((48, 64, 3), ("CMYK was converted to RGB",))
    assert np.abs(image.array.astype(int) - smooth()).mean() < 4
    assert "icc" not in image.metadata
    write(io.BytesIO(), image, format="jpeg")


def test_bytes_behind_the_end_do_no_harm() -> None:
    data = jpeg(smooth())
    np.testing.assert_array_equal(read(io.BytesIO(data + bytes(500))).array, read(io.BytesIO(data)).array)


def test_a_file_cut_inside_its_thumbnail_is_truncated() -> None:
    """The end marker of the thumbnail is not that of the picture."""
    exif = b"Exif\0\0" + exif_block(1) + jpeg(smooth((8, 8)))
    data = jpeg(smooth(), exif=exif)
    with pytest.raises(ImageError, match="truncated"):
        read(io.BytesIO(data[:-40]))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp_stays_lossy_or_lossless(channels: int, lossless: bool) -> None:
    array = np.dstack([smooth(), smooth()[..., 0]]) if channels == 4 else smooth()
    stream = io.BytesIO()
    PillowImage.fromarray(array).save(stream, "WEBP", lossless=lossless, quality=90)
    first = read(io.BytesIO(stream.getvalue()))
    data = rewritten(stream.getvalue())
    assert (b"VP8L" in data[:200]) is lossless
    assert first.array.shape == array.shape
    error = np.abs(read(io.BytesIO(data)).array.astype(int) - first.array)
    assert error.max() == 0 if lossless else error.mean() < 3


def test_webp_keeps_colours_under_transparency() -> None:
    array = picture("uint8", 4).array.copy()
    array[:5, :, 3] = 0
    stream = io.BytesIO()
    write(stream, Image.from_array(array), format="webp")
    np.testing.assert_array_equal(read(io.BytesIO(stream.getvalue())).array, array)


def test_a_photograph_becomes_a_lossy_webp() -> None:
    image = read(io.BytesIO(jpeg(smooth())))
    stream = io.BytesIO()
    write(stream, image, format="webp")
    assert b"VP8L" not in stream.getvalue()[:200]


def test_webp_animations_are_refused() -> None:
    stream = io.BytesIO()
    frames = [PillowImage.fromarray(picture("uint8", 3, seed=seed).array) for seed in range(2)]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animated WebP is not supported: got 2 frames"):
        read(io.BytesIO(stream.getvalue()))


def test_webp_canvas_that_lies_is_refused() -> None:
    stream = io.BytesIO()
    write(stream, with_metadata(Image.from_array(smooth()), {"xmp": b"<x/>"}), format="webp")
    data = bytearray(stream.getvalue())
    place = data.index(b"VP8X") + 12
    data[place : place + 6] = b"\xff" * 6
    with pytest.raises(ImageError, match="enormous"):
        read(io.BytesIO(bytes(data)))
