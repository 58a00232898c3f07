"""How a TIFF file is laid out, and its tags, carried from the file that was read to the file that is written."""

from __future__ import annotations

import io
import json
import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.image import Image
from noiseless.io import exif, geotiff, ifd
from noiseless.io.ifd import Directory, Flavour, Tag

if TYPE_CHECKING:
    import tifffile

XMP, ICC = 700, 34675
RESOLUTION = (282, 283, 296)
"""XResolution, YResolution, ResolutionUnit."""
MAX_SAMPLE_VALUE = 281
NO_UNIT, INCH = 1, 2
MINISBLACK, RGB, PALETTE, YCBCR = 1, 2, 3, 6

PIXEL_TAGS = exif.STRUCTURAL - {254, 280, 281, 320, 340, 341}
"""Tags that belong to the pixels as written; the others are those of the file that was read."""
POINTING = (33628, 33629, 33630, 33631, 34412, 37724, 330, 400)
"""Private tags full of file offsets, and Photoshop's layers, which are not denoised."""
SELF_CONTAINED = ("shaped", "ome", "imagej", "generic", "uniform", "nih", "scanimage", "mdgel", "fluoview", "sis")
"""Kinds of TIFF whose tags stay true in another file."""

NONE, DEFLATE = 1, 8
LOSSLESS = (NONE, 5, DEFLATE, 32946, 32773, 34925, 50000)
"""Compressions that are kept: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard."""
WITH_PREDICTOR = (5, DEFLATE, 32946, 34925, 50000)
BIG = 2**32 - 2**25
"""Bytes of pixels beyond which a file must be BigTIFF."""

_SILENT = logging.NullHandler()


def silence_tifffile() -> None:
    """Keep off standard error what tifffile says in its log: it is an error here, or nothing."""
    logging.getLogger("tifffile").addHandler(_SILENT)


@dataclass(frozen=True)
class Layout:
    """How a TIFF file holds an array.

    Attributes:
        kind: who wrote it, as tifffile says: ``"imagej"``, ``"ome"``, ``"shaped"``, ``"generic"``, ...
        axes: of the array as stored; ``S`` is samples.
        shape: of the array.
        dtype: of the array.
        frame: number of axes, the last of the array, that one page holds.
        flavour: byte order, classic or BigTIFF.
        photometric: PhotometricInterpretation.
        contained: whether another file with the same tags and pages means the same.
        extrasamples: ExtraSamples.
        compression: Compression; anything lossy becomes deflate.
        predictor: Predictor.
        tile: TileLength and TileWidth, where tiled.
        bits: BitsPerSample.
        colormap: (3, 2**bits), uint16, where there is one.
        places: position in the file of every page, in the order of the array; ``None`` for one that is missing.
        directories: the tags of every page, in the same order.
        extras: overviews and mask of a GeoTIFF of one page.
    """

    kind: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    frame: int
    flavour: Flavour
    photometric: int
    contained: bool = True
    extrasamples: tuple[int, ...] = ()
    compression: int = NONE
    predictor: int = 1
    tile: tuple[int, int] | None = None
    bits: int = 8
    colormap: npt.NDArray[np.uint16] | None = None
    places: tuple[int | None, ...] = ()
    directories: tuple[Directory, ...] = ()
    extras: geotiff.Extras | None = None

    @property
    def first(self) -> Directory:
        """The tags of the first page of the file."""
        known = [(place, index) for index, place in enumerate(self.places) if place is not None]
        return self.directories[min(known)[1]] if known else Directory()


def read_directories(file: BinaryIO, offsets: Sequence[int | None]) -> tuple[Directory, ...]:
    """The tags of the pages at these offsets.

    Raises:
        ValueError: pixels or values lie beyond the end of the file.
    """
    source, _ = ifd.source_of(file, strict=True)
    directories = []
    for offset in offsets:
        directory = ifd.parse(source, offset)[0] if offset else Directory()
        _check_inside(directory, source.size)
        directories.append(directory.without({*PIXEL_TAGS, *POINTING}))
    return tuple(directories)


def layout_of(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, directories: tuple[Directory, ...]) -> Layout:
    """The layout of an open file."""
    page = series.keyframe
    places = tuple(None if plane is None else _place(plane.index) for plane in series.pages)
    return Layout(
        kind=series.kind,
        axes=series.axes,
        shape=tuple(series.shape),
        dtype=np.dtype(series.dtype),
        frame=len(page.shape),
        contained=series.kind in SELF_CONTAINED and page.imagedepth == 1,
        flavour=Flavour(">" if tiff.byteorder == ">" else "<", tiff.is_bigtiff),
        photometric=int(page.photometric) if 262 in page.tags else 1,
        extrasamples=tuple(int(kind) for kind in page.extrasamples),
        compression=int(page.compression) if int(page.compression) in LOSSLESS else DEFLATE,
        predictor=int(page.predictor),
        tile=(page.tilelength, page.tilewidth) if page.is_tiled and page.tiledepth == 1 else None,
        bits=int(page.bitspersample),
        colormap=page.colormap,
        places=places,
        directories=directories,
    )


def fresh_layout(image: Image) -> tuple[npt.NDArray[Any], Layout]:
    """A layout for an image that did not come from a TIFF file, and the array to write with it."""
    array, axes = _pages_first(image)
    samples = array.shape[-1] if axes.endswith("S") else 1
    colours = 3 if image.channels == 3 and axes.endswith("S") else 1
    frame = 3 if axes.endswith("S") else 2
    is_picture = array.ndim == frame and array.dtype.kind in "iu"
    packed = image.bits is not None and image.bits < 8 and array.dtype == np.uint8 and samples == 1
    order = exif.to_tiff(image.metadata.get("exif"))[1]
    layout = Layout(
        kind="picture" if array.ndim == frame else "shaped",
        axes=axes,
        shape=array.shape,
        dtype=array.dtype,
        frame=frame,
        flavour=Flavour(order),
        photometric=2 if colours == 3 else 1,
        extrasamples=(*(0,) * (samples - colours - image.has_alpha), *(2,) * (image.has_alpha and samples > 1)),
        compression=DEFLATE if is_picture and not packed else NONE,
        predictor=2 if is_picture and not packed else 1,
        bits=int(image.bits or 8) if packed else array.dtype.itemsize * 8,
        places=(0,),
        directories=(_fresh_directory(image, array, axes if array.ndim > frame else ""),),
    )
    return array, layout


def write(file: BinaryIO, array: npt.NDArray[Any], layout: Layout, metadata: Mapping[str, Any]) -> None:
    """Write pages, then give them their tags.

    Args:
        file: empty, seekable, readable.
        array: of the layout's shape.
        layout: how.
        metadata: ``xmp`` and ``icc`` replace those of the first page.
    """
    import tifffile

    silence_tifffile()
    frames = np.ascontiguousarray(array).reshape(-1, *array.shape[array.ndim - layout.frame :])
    order = _file_order(layout, len(frames))
    big = layout.flavour.big or array.nbytes > BIG
    with tifffile.TiffWriter(file, bigtiff=big, byteorder=layout.flavour.order, shaped=False, ome=False) as writer:
        # in one go, so that planes follow each other without a gap, as readers of ImageJ stacks expect
        writer.write(frames if order == list(range(len(frames))) else frames[order], **page_options(layout))
    directories = [layout.directories[index] if index < len(layout.directories) else Directory() for index in order]
    directories[0] = with_texts(directories[0], metadata)
    graft(file, directories)


def _check_inside(directory: Directory, size: int) -> None:
    for offsets, counts in ((273, 279), (324, 325)):
        if offsets in directory.tags and counts in directory.tags:
            starts, lengths = directory.tags[offsets].integers(), directory.tags[counts].integers()
            if any(start + length > size for start, length in zip(starts, lengths, strict=False)):
                raise ValueError("the file is truncated")


def _place(index: int | Sequence[int]) -> int | None:
    return int(index) if isinstance(index, int | np.integer) else None


def _pages_first(image: Image) -> tuple[npt.NDArray[Any], str]:
    """The array with axes that a TIFF can hold: planes first, then Y and X, samples last."""
    axes = image.axes
    if axes.endswith("YXC") and image.array.shape[-1] == 1:
        return image.array[..., 0], axes[:-1]
    if axes.endswith("YXC"):
        return image.array, axes[:-1] + "S"
    if axes.endswith("YX"):
        return image.array, axes
    order = [*(axis for axis in axes if axis not in "YXC"), *("C" if "C" in axes else ""), "Y", "X"]
    return image.array.transpose([axes.index(axis) for axis in order]), "".join(order)


def _fresh_directory(image: Image, array: npt.NDArray[Any], axes: str) -> Directory:
    directory = exif.to_tiff(image.metadata.get("exif"))[0]
    tags: dict[int, Tag] = {}
    if axes:  # how tifffile notes the shape of a stack, so that it is read as one
        text = json.dumps({"shape": list(array.shape), "axes": axes})
        tags[exif.DESCRIPTION] = Tag(ifd.ASCII, text.encode() + b"\0")
    across, down = image.metadata.get("dpi", (1, 1))
    unit = INCH if "dpi" in image.metadata else NO_UNIT
    values = (ifd.rational(across), ifd.rational(down), Tag(ifd.SHORT, struct.pack("<H", unit)))
    tags |= dict(zip(RESOLUTION, values, strict=True))
    if image.bits is not None and 8 < image.bits < array.dtype.itemsize * 8 and array.dtype.kind == "u":
        tags[MAX_SAMPLE_VALUE] = Tag(ifd.SHORT, struct.pack("<H", 2**image.bits - 1))
    return directory.with_tags(tags)


def _file_order(layout: Layout, count: int) -> list[int]:
    """Indices of the frames in the order in which their pages follow each other in the file."""
    if len(layout.places) != count:
        return list(range(count))
    present = [index for index, place in enumerate(layout.places) if place is not None]
    return sorted(present, key=lambda index: layout.places[index] or 0) or list(range(count))


def page_options(layout: Layout) -> dict[str, Any]:
    """How tifffile is told to write the pages."""
    packed = layout.dtype.kind == "u" and layout.bits < layout.dtype.itemsize * 8
    compressed = layout.compression != NONE and not packed and layout.dtype != bool
    fits = layout.predictor == {"u": 2, "i": 2, "f": 3}.get(layout.dtype.kind)
    predicts = compressed and fits and layout.compression in WITH_PREDICTOR
    planar = "S" in layout.axes and not layout.axes.endswith("S")
    return {
        "photometric": _photometric(layout),
        "planarconfig": (2 if planar else 1) if layout.frame == 3 else None,
        "extrasamples": _extrasamples(layout),
        "tile": layout.tile if not packed and layout.dtype != bool else None,
        "bitspersample": layout.bits if packed else None,
        "compression": layout.compression if compressed else None,
        "predictor": layout.predictor if predicts else None,
        "colormap": layout.colormap if layout.photometric == PALETTE else None,
        "metadata": None,
        "software": False,
        "contiguous": False,
    }


def _samples(layout: Layout) -> int:
    return layout.shape[layout.axes.index("S")] if "S" in layout.axes and layout.frame == 3 else 1


def _photometric(layout: Layout) -> int:
    """What the pixels are once decoded: YCbCr is RGB then; colours with too few samples are none."""
    if layout.photometric in (RGB, YCBCR):
        return RGB if _samples(layout) >= 3 else MINISBLACK
    return layout.photometric


def _extrasamples(layout: Layout) -> tuple[int, ...] | None:
    """Kinds of the samples beyond colour, unspecified where the file did not say."""
    extra = _samples(layout) - (3 if _photometric(layout) == RGB else 1)
    kinds = (*layout.extrasamples, *(0,) * extra)[: max(extra, 0)]
    return kinds or None


def with_texts(directory: Directory, metadata: Mapping[str, Any]) -> Directory:
    """The same with the XMP packet and the colour profile of an image."""
    tags = {}
    if metadata.get("xmp"):
        tags[XMP] = Tag(ifd.BYTE, metadata["xmp"])
    if metadata.get("icc"):
        tags[ICC] = Tag(ifd.UNDEFINED, metadata["icc"])
    return directory.with_tags(tags)


def graft(file: BinaryIO, directories: Sequence[Directory]) -> None:
    """Give the pages of a file new directories: the tags of their pixels and the tags given, at the end of the file."""
    source, offset = ifd.source_of(file)
    flavour = source.flavour
    pointer = 8 if flavour.big else 4  # where the offset of the next directory is written
    for directory in directories:
        written, following = ifd.parse(source, offset)
        pixels = {number: tag for number, tag in written.tags.items() if number in PIXEL_TAGS}
        merged = directory.with_tags(pixels)
        end = file.seek(0, io.SEEK_END)
        place = end + end % 2
        file.write(b"\0" * (place - end) + ifd.serialise(merged, flavour, place))
        file.seek(pointer)
        file.write(struct.pack(flavour.offset_code, place))
        entries = len({*merged.tags, *merged.children}) * struct.calcsize(flavour.entry_code)
        pointer = place + struct.calcsize(flavour.count_code) + entries
        offset = following
