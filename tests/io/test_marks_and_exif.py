"""The mark of denoised images in any XMP packet; EXIF that is damaged."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_images import XMP, exif_block, icc_profile
from noiseless.image import Image
from noiseless.io import denoised_mark, exif, ifd, with_denoised_mark


def image_with(xmp: bytes | None) -> Image:
    return Image(np.zeros((2, 3), np.uint8), "YX", (0, 255), bits=8, metadata={} if xmp is None else {"xmp": xmp})


PACKETS = {
    "none": None,
    "usual": XMP,
    "empty": b"",
    "utf-16": XMP.decode().encode("utf-16"),
    "utf-16 without mark": XMP.decode().encode("utf-16-be"),
    "other prefix": XMP.replace(b"rdf:", b"r:").replace(b"xmlns:rdf", b"xmlns:r"),
    "beyond repair": b"<x:xmpmeta",
    "not text": bytes(range(256)),
    "padded": XMP.replace(b"<?xpacket end", b" " * 2000 + b"<?xpacket end"),
}


@pytest.mark.parametrize("name", PACKETS)
def test_any_packet_takes_the_mark(name: str) -> None:
    marked = with_denoised_mark(image_with(PACKETS[name]), "gray-small", 1)
    assert denoised_mark(marked) == "gray-small at strength 1"
    ElementTree.fromstring(marked.metadata["xmp"])
    again = with_denoised_mark(marked, "color-small", 0.5)
    assert denoised_mark(again) == "gray-small at strength 1, then color-small at strength 0.5"
    assert again.metadata["xmp"].count(b"noiseless:denoised") == 1
    ElementTree.fromstring(again.metadata["xmp"])
    if name in ("usual", "utf-16", "padded"):
        assert b'dc:format="image"' in again.metadata["xmp"]


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_any_name_can_be_marked(name: str) -> None:
    marked = with_denoised_mark(image_with(XMP), name, 1)
    assert denoised_mark(marked) == f"{name} at strength 1"


def test_an_unmarked_image_is_unmarked() -> None:
    for packet in PACKETS.values():
        assert denoised_mark(image_with(packet)) is None


def test_marking_leaves_the_original_alone() -> None:
    image = image_with(XMP)
    with_denoised_mark(image, "gray-small", 1)
    assert image.metadata == {"xmp": XMP}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_exif_never_raises(data: st.DataObject) -> None:
    block = bytearray(exif_block())
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    metadata = {"exif": bytes(block[: data.draw(st.integers(0, len(block)))])}
    image = Image(np.zeros((2, 3), np.uint8), "YX", (0, 255), bits=8, metadata=metadata)
    assert 1 <= exif.orientation(metadata) <= 8
    assert exif.upright(image).array.size == 6
    directory, order = exif.to_tiff(metadata["exif"])
    ifd.block_of(directory, order)


def test_values_that_overlap_do_not_fill_the_memory() -> None:
    """Four thousand tags that all point at the same megabyte."""
    count, size = 4000, 1 << 20
    start = 8 + 2 + 12 * count + 4
    entries = b"".join(
        number.to_bytes(2, "little") + b"\x07\0" + size.to_bytes(4, "little") + start.to_bytes(4, "little")
        for number in range(1000, 1000 + count)
    )
    block = b"II\x2a\0\x08\0\0\0" + count.to_bytes(2, "little") + entries + bytes(4) + bytes(size)
    with pytest.raises(ValueError, match="damaged"):
        ifd.parse_block(block)


def test_a_directory_that_holds_itself_ends() -> None:
    entry = (34665).to_bytes(2, "little") + b"\x04\0\x01\0\0\0\x08\0\0\0"
    block = b"II\x2a\0\x08\0\0\0" + b"\x01\0" + entry + bytes(4)
    directory, _ = ifd.parse_block(block)
    assert directory.tags == {}


def test_colour_profiles_are_not_mistaken_for_exif() -> None:
    assert exif.orientation({"exif": icc_profile()}) == 1
    assert exif.orientation({}) == 1
