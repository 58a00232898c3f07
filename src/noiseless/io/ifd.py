"""Directories of TIFF tags, as TIFF files and EXIF blocks hold them: parse, change, write elsewhere.

Values stay bytes: nothing that this module does not understand is lost or reinterpreted. A value is kept in
little-endian order whatever the file has, so that it can move between files of either order. Sub-directories
(EXIF, GPS, interoperability) are parsed along and written anew, since their offsets change.

Layout: TIFF 6.0 specification, section 2; BigTIFF widens counts and offsets to 8 bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

ByteOrder = Literal["<", ">"]

EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965
DIRECTORIES = (EXIF, GPS, INTEROPERABILITY)
ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one item of each TIFF data type."""
RATIONALS = (5, 10)
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD, IFD8 = 1, 2, 3, 4, 5, 7, 13, 18

MAX_ENTRIES = 4096
MAX_DEPTH = 3


class Tag(NamedTuple):
    """The value of a tag.

    Attributes:
        type: TIFF data type.
        data: the items, little-endian.
    """

    type: int
    data: bytes

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.data) // ITEM_BYTES[self.type]

    def integers(self) -> list[int]:
        """The items of an integer type; rationals as numerator, denominator; else an empty list."""
        kinds = {1: "<u1", 3: "<u2", 4: "<u4", 5: "<u4", 13: "<u4", 16: "<u8", 18: "<u8", 8: "<i2", 9: "<i4"}
        kind = kinds.get(self.type)
        return [] if kind is None else [int(item) for item in np.frombuffer(self.data, kind)]

    def text(self) -> str:
        """The text of an ASCII tag, without the closing zero."""
        return self.data.split(b"\0")[0].decode("utf-8", "replace") if self.type == ASCII else ""


@dataclass(frozen=True)
class Directory:
    """Tags by their number, and the directories that some of them point to."""

    tags: Mapping[int, Tag] = field(default_factory=dict)
    children: Mapping[int, Directory] = field(default_factory=dict)

    def without(self, numbers: Iterable[int]) -> Directory:
        """The same without the tags of these numbers."""
        gone = set(numbers)
        return Directory({number: tag for number, tag in self.tags.items() if number not in gone}, self.children)

    def with_tags(self, tags: Mapping[int, Tag]) -> Directory:
        """The same with these tags added or replaced."""
        return Directory({**self.tags, **tags}, self.children)


@dataclass(frozen=True)
class Flavour:
    """How offsets and numbers are written in a file."""

    order: ByteOrder
    big: bool = False

    @property
    def count_code(self) -> str:
        """struct code of the number of entries."""
        return self.order + ("Q" if self.big else "H")

    @property
    def entry_code(self) -> str:
        """struct code of an entry: number, type, count, value or offset."""
        return self.order + ("HHQ8s" if self.big else "HHI4s")

    @property
    def offset_code(self) -> str:
        """struct code of an offset."""
        return self.order + ("Q" if self.big else "I")

    @property
    def inline(self) -> int:
        """Bytes of a value that fits into its entry."""
        return 8 if self.big else 4


def rational(value: float) -> Tag:
    """A RATIONAL tag of one positive number, to a thousandth."""
    return Tag(RATIONAL, struct.pack("<II", min(round(value * 1000), 2**32 - 1), 1000))


def flavour_of(header: bytes) -> tuple[Flavour, int]:
    """Flavour of a TIFF stream and the offset of its first directory.

    Args:
        header: its first 16 bytes.

    Raises:
        ValueError: not a TIFF header.
    """
    orders: dict[bytes, ByteOrder] = {b"II": "<", b"MM": ">"}
    order = orders.get(header[:2])
    if order is None or len(header) < 8:
        raise ValueError("not a TIFF header")
    big = struct.unpack(order + "H", header[2:4])[0] == 43
    flavour = Flavour(order, big)
    start, end = (8, 16) if big else (4, 8)
    return flavour, int(struct.unpack(flavour.offset_code, header[start:end])[0])


class Source(NamedTuple):
    """A file to parse directories from.

    Attributes:
        file: seekable.
        flavour: how it writes numbers.
        size: bytes.
        strict: whether a value beyond the end of the file is an error, or the tag is left out.
    """

    file: BinaryIO
    flavour: Flavour
    size: int
    strict: bool = False


def source_of(file: BinaryIO, *, strict: bool = False) -> tuple[Source, int]:
    """A seekable TIFF file to parse, and the offset of its first directory.

    Raises:
        ValueError: no TIFF header.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    flavour, offset = flavour_of(file.read(16))
    return Source(file, flavour, size, strict), offset


def parse(source: Source, offset: int, depth: int = 0) -> tuple[Directory, int]:
    """Read the directory at an offset.

    Returns:
        The directory and the offset of the next one (0 where it is the last). Unless the source is strict, tags
        whose value lies outside the file are left out.

    Raises:
        ValueError: the directory is damaged.
    """
    flavour = source.flavour
    count = _unpack(source, flavour.count_code, offset)[0]
    if count > MAX_ENTRIES or depth > MAX_DEPTH:
        raise ValueError("damaged TIFF directory")
    size = struct.calcsize(flavour.entry_code)
    start = offset + struct.calcsize(flavour.count_code)
    block = _read(source, start, count * size)
    tags: dict[int, Tag] = {}
    children: dict[int, Directory] = {}
    budget = source.size  # values do not overlap, so together they are no larger than the file
    for number, type_, items, value in struct.iter_unpack(flavour.entry_code, block):
        tag = _tag(source, type_, items, value)
        if tag is None or number in tags or number in children:
            continue
        budget -= len(tag.data)
        if budget < 0:
            raise ValueError("damaged TIFF directory")
        if number in DIRECTORIES and tag.integers():
            child = _child(source, tag.integers()[0], depth + 1)
            children |= {number: child} if child is not None else {}
        else:
            tags[number] = tag
    return Directory(tags, children), _next(source, start + count * size)


def chain(source: Source, offset: int) -> list[int]:
    """The offsets of the directories that follow each other from `offset` on, as far as they lie inside the file.

    Raises:
        ValueError: the chain leads back to itself.
    """
    offsets: dict[int, None] = {}
    flavour = source.flavour
    while offset:
        if offset in offsets:
            raise ValueError("the chain of TIFF directories leads back to itself")
        offsets[offset] = None
        try:
            count = _unpack(source, flavour.count_code, offset)[0]
        except ValueError:
            break
        entries = offset + struct.calcsize(flavour.count_code) + count * struct.calcsize(flavour.entry_code)
        offset = _next(source, entries)
    return list(offsets)


def serialise(directory: Directory, flavour: Flavour, offset: int) -> bytes:
    """The bytes of a directory that will lie at `offset`, an even number, with values and children behind it.

    No directory follows it.
    """
    numbers = sorted({*directory.tags, *directory.children})
    entry_size = struct.calcsize(flavour.entry_code)
    values_at = offset + struct.calcsize(flavour.count_code) + len(numbers) * entry_size + flavour.inline
    entries = [struct.pack(flavour.count_code, len(numbers))]
    values = bytearray()
    for number in numbers:
        place = values_at + len(values)
        child = directory.children.get(number)
        if child is not None:
            values += _padded(serialise(child, flavour, place))
            pointer = struct.pack(flavour.offset_code, place)
            entries.append(struct.pack(flavour.entry_code, number, IFD8 if flavour.big else LONG, 1, pointer))
            continue
        tag = directory.tags[number]
        data = _in_order(tag, flavour.order)
        if len(data) > flavour.inline:
            values += _padded(data)
            data = struct.pack(flavour.offset_code, place)
        entries.append(struct.pack(flavour.entry_code, number, tag.type, tag.items, data))
    return b"".join([*entries, struct.pack(flavour.offset_code, 0), bytes(values)])


def parse_block(block: bytes) -> tuple[Directory, Flavour]:
    """The first directory of a self-contained EXIF block (a TIFF header and directories).

    Raises:
        ValueError: damaged.
    """
    source, offset = source_of(io.BytesIO(block))
    return parse(source, offset)[0], source.flavour


def block_of(directory: Directory, order: ByteOrder) -> bytes:
    """A self-contained EXIF block of one directory."""
    header = {"<": b"II\x2a\0\x08\0\0\0", ">": b"MM\0\x2a\0\0\0\x08"}[order]
    return header + serialise(directory, Flavour(order), 8)


def _child(source: Source, offset: int, depth: int) -> Directory | None:
    try:
        return parse(source, offset, depth)[0]
    except ValueError:
        return None


def _tag(source: Source, type_: int, count: int, value: bytes) -> Tag | None:
    """The tag of an entry, ``None`` where its type is unknown or its value lies outside the file."""
    if type_ not in ITEM_BYTES:
        return None
    size = count * ITEM_BYTES[type_]
    flavour = source.flavour
    if size <= flavour.inline:
        data = value[:size]
    else:
        try:
            data = _read(source, struct.unpack(flavour.offset_code, value)[0], size)
        except ValueError:
            if source.strict:
                raise
            return None
    return Tag(type_, _in_order(Tag(type_, data), flavour.order))


def _in_order(tag: Tag, order: ByteOrder) -> bytes:
    """The data in the given order from little-endian, or back, which is the same."""
    size = ITEM_BYTES[tag.type] // (2 if tag.type in RATIONALS else 1)
    if order == "<" or size == 1:
        return tag.data
    return np.frombuffer(tag.data, f"<u{size}").byteswap().tobytes()


def _padded(data: bytes) -> bytes:
    """Values begin at even offsets."""
    return data + b"\0" * (len(data) % 2)


def _next(source: Source, offset: int) -> int:
    try:
        return int(_unpack(source, source.flavour.offset_code, offset)[0])
    except ValueError:  # many EXIF blocks end without it
        return 0


def _unpack(source: Source, code: str, offset: int) -> tuple[int, ...]:
    return struct.unpack(code, _read(source, offset, struct.calcsize(code)))


def _read(source: Source, offset: int, size: int) -> bytes:
    if not 0 <= offset <= source.size - size:
        raise ValueError("the file is truncated: a directory or a value lies beyond its end")
    source.file.seek(offset)
    return source.file.read(size)
