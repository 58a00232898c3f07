"""TIFF: ImageJ and OME stacks, layouts, tags, palettes, and what is refused."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from example_images import exif_block, metadata, picture, with_metadata
from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import denoised_mark, ifd, read, with_denoised_mark, write

RANDOM = np.random.default_rng(0)
PIXEL_TAGS = {256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 323, 324, 325, 338, 339, 700}


def tiff(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def rewritten(data: bytes) -> bytes:
    stream = io.BytesIO()
    image = read(io.BytesIO(data))
    write(stream, with_denoised_mark(image.with_planes(image.planes()), "gray-small", 1))
    return stream.getvalue()


def tags_of(data: bytes) -> list[dict[int, str]]:
    """All tags of all pages but those of the pixels, as tifffile reads them."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [file.pages[index].aspage() for index in range(len(file.pages))]
        return [{tag.code: str(tag.value) for tag in page.tags if tag.code not in PIXEL_TAGS} for page in pages]


def same_again(data: bytes) -> tifffile.TiffFile:
    """The file after reading and writing; pixels, axes and tags are the same."""
    again = rewritten(data)
    before, after = tifffile.TiffFile(io.BytesIO(data)), tifffile.TiffFile(io.BytesIO(again))
    assert (after.series[0].kind, after.series[0].axes) == (before.series[0].kind, before.series[0].axes)
    assert (after.byteorder, after.is_bigtiff) == (before.byteorder, before.is_bigtiff)
    assert after.pages.first.photometric == before.pages.first.photometric
    np.testing.assert_array_equal(after.asarray(), before.asarray())
    assert tags_of(again) == tags_of(data)
    assert denoised_mark(read(io.BytesIO(again))) == "gray-small at strength 1"
    return after


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("axes", ["YX", "ZYX", "CYX", "TZCYX", "YXS"])
def test_imagej_hyperstacks_survive(dtype: str, axes: str) -> None:
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 9, "X": 11, "S": 3}
    if axes == "YXS" and dtype != "uint8":
        pytest.skip("ImageJ has no such colours")
    array = RANDOM.integers(0, 200, [sizes[axis] for axis in axes]).astype(dtype) / (200 if dtype == "float32" else 1)
    extra = {"unit": "um", "spacing": 0.3, "finterval": 1.5, "min": 3.0, "max": 99.0, "Info": "camera: good"}
    labels = {"Labels": [f"plane {index}" for index in range(6)], "ROI": b"Iout" + bytes(60)} if axes != "YX" else {}
    data = tiff(array.astype(dtype), imagej=True, resolution=(5.5, 5.5), metadata={"axes": axes, **extra, **labels})
    after = same_again(data)
    assert after.imagej_metadata["Info"] == "camera: good"
    image = read(io.BytesIO(data))
    assert image.count * image.channels == np.prod([sizes[axis] for axis in axes if axis not in "YX"])
    assert image.is_colour == (axes == "YXS")


@pytest.mark.parametrize("axes", ["YX", "CYX", "TZCYX", "YXS", "TCYXS"])
def test_ome_tiff_survives(axes: str) -> None:
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 9, "X": 11, "S": 3}
    array = RANDOM.integers(0, 2**16, [sizes[axis] for axis in axes]).astype(np.uint16)
    description = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "Description": "Zellkerne – grün"}
    data = tiff(array, ome=True, photometric="rgb" if "S" in axes else "minisblack", metadata=description)
    after = same_again(data)
    assert after.ome_metadata == tifffile.TiffFile(io.BytesIO(data)).ome_metadata


def test_ome_planes_in_another_order_stay_in_it() -> None:
    """The XML may say that the file holds its planes in any order."""
    data = tiff(RANDOM.integers(0, 255, (3, 9, 11)).astype(np.uint8), ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        xml = file.ome_metadata
    start = xml.index("<TiffData")
    blocks = "".join(f'<TiffData FirstZ="{z}" IFD="{2 - z}" PlaneCount="1"/>' for z in range(3))
    xml = xml[:start] + blocks + xml[xml.index("</Pixels>") :]
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, ome=False) as writer:
        planes = RANDOM.integers(0, 255, (3, 9, 11)).astype(np.uint8)
        for index, plane in enumerate(planes):
            writer.write(plane, metadata=None, description=xml if index == 0 else None)
    after = same_again(stream.getvalue())
    np.testing.assert_array_equal(after.asarray(), planes[::-1])
    np.testing.assert_array_equal([page.asarray() for page in after.pages], planes)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma", "deflate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("predictor", [False, True])
def test_lossless_compression_is_kept(compression: str | None, dtype: str, predictor: bool) -> None:
    array = (RANDOM.random((40, 50)) * (1 if dtype == "float32" else 200)).astype(dtype)
    predicts = predictor and compression not in (None, "packbits")
    data = tiff(array, compression=compression, predictor=predicts)
    page = same_again(data).pages.first
    before = tifffile.TiffFile(io.BytesIO(data)).pages.first
    assert (page.compression, page.predictor) == (before.compression, before.predictor)


@pytest.mark.parametrize("compression", ["jpeg", "webp", "jpeg2000", "jpegxl", "png"])
def test_other_compressions_are_read_and_written_without_loss(compression: str) -> None:
    array = np.stack([np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)] * 3, -1)
    data = tiff(array, compression=compression, photometric="rgb")
    first = read(io.BytesIO(data))
    assert np.abs(first.array.astype(int) - array).max() < 9
    again = rewritten(data)
    np.testing.assert_array_equal(read(io.BytesIO(again)).array, first.array)
    assert tifffile.TiffFile(io.BytesIO(again)).pages.first.photometric == tifffile.PHOTOMETRIC.RGB


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (32, 48)])
def test_layouts_are_kept(bigtiff: bool, byteorder: str, tile: tuple[int, int] | None) -> None:
    array = RANDOM.integers(0, 2**16, (3, 50, 70)).astype(np.uint16)
    data = tiff(array, bigtiff=bigtiff, byteorder=byteorder, tile=tile, photometric="minisblack", resolution=(3, 4))
    page = same_again(data).pages.first
    assert page.tile == tile
    planar = tiff(array, planarconfig="separate", photometric="rgb", bigtiff=bigtiff, byteorder=byteorder)
    assert same_again(planar).pages.first.planarconfig == 2
    assert read(io.BytesIO(planar)).is_colour


@pytest.mark.parametrize(
    ("photometric", "extra", "alpha"), [("rgb", "unassalpha", True), ("rgb", "unspecified", False)]
)
def test_alpha_is_told_from_other_samples(photometric: str, extra: str, alpha: bool) -> None:
    data = tiff(RANDOM.integers(0, 255, (9, 11, 4)).astype(np.uint8), photometric=photometric, extrasamples=[extra])
    image = read(io.BytesIO(data))
    assert (image.has_alpha, image.channels) == (alpha, 3 if alpha else 4)
    kind = same_again(data).pages.first.extrasamples
    assert kind == (2 if alpha else 0,)


def test_pages_keep_tags_of_their_own() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for index in range(3):
            private = [(51123, 2, 0, json.dumps({"exposure": index}), True), (65000, 5, 1, (index, 7), True)]
            pixels = RANDOM.integers(0, 255, (9, 11)).astype(np.uint8)
            writer.write(pixels, metadata=None, description=f"frame {index}", extratags=private, contiguous=False)
    assert read(io.BytesIO(stream.getvalue())).axes == "IYX"
    same_again(stream.getvalue())


def test_all_metadata_of_a_photograph_are_kept() -> None:
    photograph = with_metadata(picture("uint16", 3), metadata())
    stream = io.BytesIO()
    write(stream, photograph, format="tiff")
    again = rewritten(stream.getvalue())
    for data in (stream.getvalue(), again):
        file = tifffile.TiffFile(io.BytesIO(data)).pages.first
        assert file.tags["Make"].value == "Noisy Cameras"
        assert file.tags["Orientation"].value == 6
        assert file.tags["ExifTag"].value["ExposureTime"] == 0.01
        assert file.tags["GPSTag"].value["GPSDateStamp"] == "2024:05:06"
        assert file.tags["XResolution"].value == (300000, 1000)
        assert file.iccprofile == metadata()["icc"]


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("big", [False, True])
def test_exif_directories_move_between_files_of_any_flavour(order: str, big: bool) -> None:
    directory = ifd.parse_block(exif_block())[0]
    flavour = ifd.Flavour("<" if order == "little" else ">", big)
    block = ifd.block_of(directory, flavour.order)
    assert ifd.parse_block(block)[0] == directory
    header = {"<": b"II", ">": b"MM"}[flavour.order] + struct.pack(flavour.order + "H", 43 if big else 42)
    header += struct.pack(flavour.order + "HHQ", 8, 0, 16) if big else struct.pack(flavour.order + "I", 8)
    file = io.BytesIO(header + ifd.serialise(directory, flavour, len(header)))
    source, offset = ifd.source_of(file)
    assert ifd.parse(source, offset)[0] == directory


def test_bits_are_understood() -> None:
    twelve = RANDOM.integers(0, 4096, (9, 11)).astype(np.uint16)
    packed = read(io.BytesIO(tiff(twelve, bitspersample=12)))
    assert (packed.bits, packed.data_range) == (12, (0, 4095))
    assert same_again(tiff(twelve, bitspersample=12)).pages.first.bitspersample == 12
    said = read(io.BytesIO(tiff(twelve, extratags=[(281, 3, 1, 4095, True)])))
    assert said.data_range == (0, 4095)
    statistic = read(io.BytesIO(tiff(twelve, extratags=[(281, 3, 1, 4000, True)])))
    assert statistic.data_range == (0, 65535)
    wrong = read(io.BytesIO(tiff(twelve * 16, extratags=[(281, 3, 1, 4095, True)])))
    assert wrong.data_range == (0, 65535)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
def test_white_is_high_and_the_file_stays_inverted(dtype: str) -> None:
    array = (RANDOM.integers(0, 2, (9, 11)) * 200).astype(dtype)
    data = tiff(array, photometric="miniswhite")
    image = read(io.BytesIO(data))
    white = 1 if dtype == "bool" else np.iinfo(dtype).max
    np.testing.assert_array_equal(image.array, (white - array.astype(np.uint16)).astype(dtype))
    assert same_again(data).pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE


def test_palettes_become_colours_and_lookup_tables_do_not() -> None:
    array = RANDOM.integers(0, 256, (9, 11)).astype(np.uint8)
    colours = RANDOM.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    image = read(io.BytesIO(tiff(array, photometric="palette", colormap=colours)))
    np.testing.assert_array_equal(image.array, np.moveaxis(colours[:, array] >> 8, 0, -1))
    assert "palette" in image.metadata["notes"][0]
    assert read(io.BytesIO(rewritten(tiff(array, photometric="palette", colormap=colours)))).axes == "YXC"

    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257
    data = tiff(array, photometric="palette", colormap=green)
    np.testing.assert_array_equal(read(io.BytesIO(data)).array, array)
    np.testing.assert_array_equal(same_again(data).pages.first.colormap, green)


def test_cmyk_becomes_rgb() -> None:
    colours = PillowImage.fromarray(RANDOM.integers(0, 255, (9, 11, 3)).astype(np.uint8))
    data = tiff(np.asarray(colours.convert("CMYK")), photometric="separated")
    image = read(io.BytesIO(data))
    assert np.abs(image.array.astype(int) - np.asarray(colours)).max() <= 2
    assert image.metadata["notes"] == ("CMYK was converted to RGB",)
    assert read(io.BytesIO(rewritten(data))).array.shape == (9, 11, 3)


def test_arrays_of_colours_are_colours_even_if_the_file_does_not_say_so() -> None:
    array = RANDOM.random((9, 11, 3)).astype(np.float32)
    data = tiff(array, photometric="minisblack")
    assert read(io.BytesIO(data)).axes == "YXC"
    same_again(data)


def test_thumbnails_and_pyramids_are_left_out() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(
            RANDOM.integers(0, 255, (8, 8, 3)).astype(np.uint8), subfiletype=1, photometric="rgb", metadata=None
        )
        full = RANDOM.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        writer.write(full, photometric="rgb", metadata=None)
    image = read(io.BytesIO(stream.getvalue()))
    np.testing.assert_array_equal(image.array, full)
    assert "reduced" in image.metadata["notes"][0]
    again = rewritten(stream.getvalue())
    assert len(tifffile.TiffFile(io.BytesIO(again)).pages) == 1

    pyramid = io.BytesIO()
    with tifffile.TiffWriter(pyramid) as writer:
        writer.write(full, subifds=1, tile=(16, 16), photometric="rgb", metadata=None)
        writer.write(full[::2, ::2], subfiletype=1, tile=(16, 16), photometric="rgb", metadata=None)
    np.testing.assert_array_equal(read(io.BytesIO(rewritten(pyramid.getvalue()))).array, full)


def test_unlike_pages_are_refused() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(np.zeros((9, 11), np.uint8))
        writer.write(np.zeros((9, 12), np.uint8))
    with pytest.raises(ImageError, match="several images that are no stack: got 2 of different kind: 9 x 11, 9 x 12"):
        read(io.BytesIO(stream.getvalue()))


@pytest.mark.parametrize("photometric", ["cielab", "icclab", "logluv"])
def test_unusual_colours_are_refused(photometric: str) -> None:
    data = bytearray(tiff(np.zeros((16, 16, 3), np.uint8), photometric="rgb"))
    entry = struct.pack("<HHII", 262, 3, 1, 2)
    number = {"cielab": 8, "icclab": 9, "logluv": 32845}[photometric]
    place = data.index(entry)
    data[place : place + 12] = struct.pack("<HHII", 262, 3, 1, number)
    with pytest.raises(ImageError, match="not supported"):
        read(io.BytesIO(bytes(data)))


def test_a_chain_of_pages_that_leads_back_to_itself_is_refused() -> None:
    data = bytearray(tiff(np.zeros((4, 5), np.uint8), metadata=None))
    (first,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[first : first + 2])
    place = first + 2 + 12 * count
    data[place : place + 4] = struct.pack("<I", first)
    with pytest.raises(ImageError, match="leads back to itself"):
        read(io.BytesIO(bytes(data)))


def test_a_stack_that_lies_about_its_length_is_not_believed() -> None:
    data = tiff(np.zeros((3, 20, 20), np.uint8), imagej=True)
    lying = data.replace(b"images=3", b"images=9").replace(b"channels=3", b"channels=9")
    assert lying != data
    assert read(io.BytesIO(lying)).array.shape == (3, 20, 20)


def test_from_numpy_stack_other_programs_read_the_pages(tmp_path: Path) -> None:
    array = RANDOM.integers(0, 255, (5, 9, 11)).astype(np.uint8)
    write(tmp_path / "stack.tif", Image.from_array(array))
    with PillowImage.open(tmp_path / "stack.tif") as other:
        assert other.n_frames == 5
        other.seek(3)
        np.testing.assert_array_equal(np.asarray(other), array[3])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "stack.tif"), array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(8, 9, 1), (3, 8, 9, 1)])
def test_a_single_channel_on_an_axis_of_its_own_is_grey(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).uniform(0, 1 if dtype == "float32" else 200, shape).astype(dtype)
    write(tmp_path / "grey.tif", Image.from_array(array))
    np.testing.assert_array_equal(read(tmp_path / "grey.tif").array, array[..., 0])
