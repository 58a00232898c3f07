"""AVIF and HEIC: what phones write, in 8 bits and more; metadata, turns, what cannot be held, files that lie."""

from __future__ import annotations

import io
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image as PillowImage

from example_images import ROTATED, XMP, exif_block, icc_profile, metadata, picture, with_metadata
from heic_files import heic, ramp
from noiseless.__main__ import main
from noiseless.denoiser import choose_model
from noiseless.errors import ImageError, MissingExtraError
from noiseless.image import Image
from noiseless.io import exif, pixel_count, read, write

pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra heif")


def opened(data: bytes) -> Image:
    return read(io.BytesIO(data))


def written(image: Image, key: str) -> bytes:
    stream = io.BytesIO()
    write(stream, image, format=key)
    return stream.getvalue()


def avif(array: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.avif_encode(array, level=95, bitspersample=bits))


def pillow_avif(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(array).save(stream, "AVIF", quality=95, subsampling="4:4:4", **options)
    return stream.getvalue()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_what_other_programs_wrote_is_read_in_all_its_bits(kind: str, bits: int, channels: int) -> None:
    values = ramp(bits, channels)
    image = opened(heic(values, bits) if kind == "heic" else avif(values, bits))
    assert (image.array.dtype, image.bits, image.data_range) == (values.dtype, bits, (0.0, 2.0**bits - 1))
    assert image.has_alpha == (channels == 4)
    assert image.metadata["format"] == kind
    error = np.abs(image.array.astype(int) - values) / (2**bits - 1)
    assert error.max() < 0.02
    if bits > 8:
        assert len(np.unique(image.array)) > 256


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_heic_is_written_in_as_many_bits_as_came(bits: int, channels: int) -> None:
    image = opened(heic(ramp(bits, channels), bits))
    again = opened(written(image.with_planes(image.planes()), "heic"))
    assert (again.array.dtype, again.bits, again.has_alpha) == (image.array.dtype, bits, channels == 4)
    assert np.abs(again.planes() - image.planes()).max() < 0.02


def test_avif_of_more_bits_names_where_they_fit(tmp_path: Path) -> None:
    image = opened(avif(ramp(10), 10))
    with pytest.raises(ImageError, match=r"cannot save .*as AVIF: got 10-bit values\. .*PNG .*HEIC .*TIFF"):
        write(tmp_path / "a.avif", image)
    write(tmp_path / "a.png", image)
    np.testing.assert_allclose(read(tmp_path / "a.png").planes(), image.planes(), atol=1 / 65535)


def test_metadata_of_heic_survive_and_the_turn_is_applied_once() -> None:
    sideways = ramp(8, 3)
    turned = {"exif": b"Exif\0\0" + exif_block(ROTATED), "xmp": XMP, "image_orientation": ROTATED}
    made = pillow_heif.from_bytes("RGB", sideways.shape[1::-1], sideways.tobytes())
    made.info["icc_profile"] = icc_profile()
    stream = io.BytesIO()
    made.save(stream, quality=95, chroma=444, exif=turned["exif"], xmp=XMP)
    image = opened(stream.getvalue())
    assert exif.orientation(image.metadata) == 1
    assert np.abs(image.array.astype(int) - np.rot90(sideways, -1)).max() < 6
    for _ in range(2):
        assert (image.metadata["icc"], image.metadata["xmp"]) == (icc_profile(), XMP)
        assert b"Noisy Cameras" in image.metadata["exif"]
        assert image.array.shape == (32, 24, 3)
        image = opened(written(image, "heic"))


def test_a_turn_that_only_the_container_asks_for_is_kept() -> None:
    image = opened(pillow_avif(ramp(8, 3), exif=exif_block(ROTATED)))
    assert (image.array.shape, exif.orientation(image.metadata)) == ((24, 32, 3), ROTATED)
    png = opened(written(image, "png"))
    assert (png.array.shape, exif.orientation(png.metadata)) == ((24, 32, 3), ROTATED)
    bmp = opened(written(image, "bmp"))
    assert bmp.array.shape == (32, 24, 3)


@pytest.mark.parametrize(("kind", "key"), [(heic, "heic"), (pillow_avif, "avif")], ids=["heic", "avif"])
def test_a_header_that_claims_too_much_is_refused_before_anything_is_decoded(
    kind: Callable[[np.ndarray], bytes], key: str
) -> None:
    data = kind(ramp(8, 3))
    assert pixel_count(io.BytesIO(data)) == 24 * 32
    place = data.index(b"ispe") + 8
    lying = data[:place] + struct.pack(">II", 16000, 16000) + data[place + 8 :]
    with pytest.raises(ImageError) as caught:
        read(io.BytesIO(lying), max_pixels=1_000_000)
    assert re.search("is enormous|damaged or unusual", str(caught.value))
    lying = data[:place] + struct.pack(">II", 24, 24) + data[place + 8 :]
    if key == "avif":  # libavif shows a picture in the size that the container claims, as browsers do
        assert opened(lying).array.shape == (24, 24, 3)
        return
    with pytest.raises(ImageError, match="damaged or unusual") as caught:
        opened(lying)
    assert "\n" not in str(caught.value)


def test_animations_are_refused() -> None:
    frames = [PillowImage.fromarray(ramp(8, 3) + number) for number in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "AVIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animated AVIF is not supported: got 3 frames"):
        opened(stream.getvalue())


def test_of_several_pictures_the_main_one_is_read_and_that_is_said() -> None:
    made = pillow_heif.from_bytes("RGB", (32, 24), ramp(8, 3).tobytes())
    made.add_frombytes("RGB", (16, 16), ramp(8, 3, (16, 16)).tobytes())
    stream = io.BytesIO()
    made.save(stream, quality=95, primary_index=1)
    image = opened(stream.getvalue())
    assert image.array.shape == (16, 16, 3)
    assert image.metadata["notes"] == ("the main one of 2 pictures was read",)


def test_curves_of_high_dynamic_range_stay_in_heic_and_are_said() -> None:
    image = opened(heic(ramp(10), 10, color_primaries=9, transfer_characteristics=16))
    assert image.metadata["notes"] == ("its values are those of PQ, which no other format than HEIC says",)
    again = opened(written(image, "heic"))
    for key in ("color_primaries", "transfer_characteristics"):
        assert again.metadata["heic"][key] == image.metadata["heic"][key] in (9, 16)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_they_count_as_developed_photographs(kind: str, bits: int) -> None:
    image = opened(heic(ramp(bits), bits) if kind == "heic" else avif(ramp(bits), bits))
    assert choose_model(image)[0] == "photo-small"
    assert choose_model(image, told=True)[0] == "color-small"


def test_without_the_extra_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(heic(ramp(8, 3)))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r'photo.heic, a HEIC file.*pip install "noiseless\[heif\]"'):
        read(path)
    with pytest.raises(MissingExtraError, match=r'pip install "noiseless\[heif\]"'):
        write(tmp_path / "b.heic", picture("uint8", 3))


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_denoise_writes_them(suffix: str, tmp_path: Path) -> None:
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write(source, with_metadata(picture("uint8", 3, size=(48, 64)), metadata(1)))
    assert main(["denoise", str(source), "-o", str(target), "--set", "threads=1"]) == 0
    done = read(target)
    assert (done.array.shape, done.metadata["format"]) == ((48, 64, 3), suffix[1:])
    assert done.metadata["icc"] == metadata()["icc"]
