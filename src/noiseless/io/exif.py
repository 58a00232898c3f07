"""EXIF blocks: the orientation, and the way between an EXIF block and the tags of a TIFF file.

One rule for the orientation: pixels stay as stored and the tag goes along into every format that can hold it. A format
that cannot gets upright pixels. So it is neither lost nor applied twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.image import Image
from noiseless.io import ifd
from noiseless.io.ifd import Directory

PREFIX = b"Exif\0\0"
ORIENTATION = 274
DESCRIPTION = 270

DESCRIPTIVE = (
    *(269, DESCRIPTION, 271, 272, ORIENTATION, 285, 305, 306, 315, 316, 318, 319, 33432),
    *(18246, 18249, 40091, 40092, 40093, 40094, 40095),
)
"""Tags of a TIFF file that an EXIF block holds too: make, model, date, artist, copyright, rating, Windows texts, ..."""

STRUCTURAL = frozenset(
    {*range(254, 260), *range(262, 267), 273, *range(277, 282), 284, *range(288, 294), 317, *range(320, 326), 330, 332}
    | {*range(336, 343), 347, 400, *range(512, 522), *range(529, 533), 32996, 32997, 32998, 50674}
)
"""Tags that say how the pixels of a TIFF file are stored; they never travel."""


def kept(info: Mapping[Any, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """What a decoder found beside the pixels, under our names; the EXIF block without its prefix.

    Args:
        info: what the decoder found.
        names: for each metadata key of an `Image` the decoder's own; what is empty or missing is left out.
    """
    found = {key: info[name] for key, name in names.items() if info.get(name)}
    return found | ({"exif": found["exif"].removeprefix(PREFIX)} if "exif" in found else {})


def orientation(metadata: Mapping[str, Any]) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where there is none or it is damaged."""
    block = metadata.get("exif")
    if not block:
        return 1
    try:
        tag = ifd.parse_block(block)[0].tags.get(ORIENTATION)
    except ValueError:
        return 1
    values = tag.integers() if tag is not None else []
    return values[0] if values and 1 <= values[0] <= 8 else 1


def upright(image: Image) -> Image:
    """The image turned as its orientation asks, for formats that cannot hold the tag."""
    turn = orientation(image.metadata)
    if turn == 1:
        return image
    y, x = image.axes.index("Y"), image.axes.index("X")
    flipped = {2: (x,), 3: (y, x), 4: (y,), 6: (x,), 7: (y, x), 8: (y,)}

    def turned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.flip(np.swapaxes(array, y, x) if turn >= 5 else array, flipped.get(turn, ()))

    metadata = {**image.metadata, "exif": without_orientation(image.metadata["exif"])}
    hidden = None if image.hidden is None else turned(image.hidden)
    return replace(image, array=turned(image.array), hidden=hidden, metadata=metadata)


def from_tiff(directory: Directory, order: ifd.ByteOrder, *, description: bool) -> bytes | None:
    """An EXIF block made of what the first directory of a TIFF file says about the picture.

    Args:
        description: whether its ImageDescription is for people; ImageJ and OME keep other things there.
    """
    wanted = set(DESCRIPTIVE) - (set() if description else {DESCRIPTION})
    tags = {number: tag for number, tag in directory.tags.items() if number in wanted}
    children = {number: child for number, child in directory.children.items() if number in ifd.DIRECTORIES}
    if not children and set(tags) <= {ORIENTATION, 305} and _is_upright(tags):
        return None
    return ifd.block_of(Directory(tags, children), order)


def to_tiff(block: bytes | None) -> tuple[Directory, ifd.ByteOrder]:
    """The tags of an EXIF block that belong into the first directory of a TIFF file, and its byte order."""
    if not block:
        return Directory(), "<"
    try:
        directory, flavour = ifd.parse_block(block)
    except ValueError:
        return Directory(), "<"
    return directory.without(STRUCTURAL | {282, 283, 296, 700, 34675}), flavour.order


def _is_upright(tags: Mapping[int, ifd.Tag]) -> bool:
    return ORIENTATION not in tags or tags[ORIENTATION].integers() == [1]


def without_orientation(block: bytes) -> bytes:
    """An EXIF block that asks for no turn; a damaged one as it is, since it asks for none either."""
    try:
        directory, flavour = ifd.parse_block(block)
    except ValueError:
        return block
    return ifd.block_of(directory.without([ORIENTATION]), flavour.order)
