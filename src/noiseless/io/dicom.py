"""DICOM: one or many frames, grey or colour, signed or not, compressed or not. DICOM PS3.3 C.7.6.3 and C.8; PS3.5.

Pixels are the stored values, never rescaled, so that the slope, intercept and window of the header stay true. White
is high in the `Image`: MONOCHROME1 is turned over and back. Colour is RGB, whatever the file holds. Padding is hidden.

What maps to 0 and 1 is a matter of the header, never of the values, so that the slices of a series agree:

1. CT, and whatever says that it is in Hounsfield units: -1024 (air) to 3071.
2. Signed values that come with a display window: that window.
3. Else 0 to the largest value that BitsStored bits hold.

An output is a derived image (see `noiseless.io.dicom_derived`), stored without compression.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import Image
from noiseless.io import dicom_codecs, dicom_derived, mark, sentinel
from noiseless.io.limits import check_pixels

if TYPE_CHECKING:
    from pydicom import Dataset

HOUNSFIELD = (-1024.0, 3071.0)
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
NO_IMAGES = {"SEG": "a segmentation, which holds labels", "RTDOSE": "a dose distribution, which holds no noise"}
"""Modalities whose pixels are no image."""

IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"),
)
"""Transfer syntaxes without compression of the pixels; all else is written as EXPLICIT."""

META_GROUP = 4096
"""Bytes that hold the group of elements in front of the data set."""
DEFLATED_LIMIT = 4 << 30
"""Bytes that a deflated data set may grow to."""

CONVERTED_NOTE = "colours were converted to RGB"
OVERLAY_NOTE = "overlays in unused bits of the pixels were left out"

_SILENT = logging.NullHandler()


@dataclass(frozen=True, eq=False)
class Kept:
    """What a DICOM file held beside its pixels.

    Attributes:
        dataset: all elements but the pixels; not to be changed.
        shape: of the array.
        dtype: of the array.
        inverted: low values are white in the file.
        bits: BitsStored, ``None`` for floats.
    """

    dataset: Dataset
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    inverted: bool
    bits: int | None


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a DICOM file."""
    import pydicom

    with _quiet():
        _check_deflated(file)
        dataset = pydicom.dcmread(file)
        _check_kind(dataset)
        frames = int(dataset.get("NumberOfFrames") or 1)
        shape = (dataset.Rows, dataset.Columns) if frames == 1 else (frames, dataset.Rows, dataset.Columns)
        check_pixels(shape, max_pixels)
        array, notes = _stored_values(dataset)
        _forget_pixels(dataset)
        return _interpreted(array, dataset, notes)


def encode(file: BinaryIO, image: Image) -> None:
    """Write an image that was read from a DICOM file as one derived from it."""
    kept: Kept = image.metadata["dicom"]
    array = _inverted(image.array, kept.bits) if kept.inverted else image.array
    if image.hidden is not None:
        array = sentinel.kept_apart(array, image.hidden, *_padding_values(kept.dataset, array.dtype))
    with _quiet():
        dataset = dicom_derived.derived(kept.dataset, mark.denoised_mark(image))
        _put_pixels(dataset, array, kept.bits)
        dataset.save_as(file, enforce_file_format=True)


def refusal(image: Image) -> str | None:
    """What about an image DICOM cannot hold: nothing, if it came from a DICOM file."""
    kept = image.metadata.get("dicom")
    if kept is None or (kept.shape, kept.dtype) != (image.array.shape, image.array.dtype):
        return "an image that was not read from a DICOM file, and so has neither patient nor position"
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom says through warnings and the log what concerns only those who debug a file."""
    logging.getLogger("pydicom").addHandler(_SILENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_deflated(file: BinaryIO) -> None:
    """Raise ImageError where a deflated data set grows beyond all bounds; pydicom would inflate it at once."""
    head = file.read(META_GROUP)
    file.seek(0)
    if DEFLATED.encode() not in head:
        return
    file.seek(144 + struct.unpack_from("<I", head, 140)[0])  # behind preamble, mark, and the group of this length
    data, size, inflator = file.read(), 0, zlib.decompressobj(-zlib.MAX_WBITS)
    while data and not inflator.eof:
        size += len(inflator.decompress(data, 1 << 24))
        data = inflator.unconsumed_tail
        if size > DEFLATED_LIMIT:
            raise ImageError("the data set is enormous", got=f"more than {DEFLATED_LIMIT} bytes, deflated")
    file.seek(0)


def _check_kind(dataset: Dataset) -> None:
    """Raise ImageError where there are no pixels, or pixels that are no image."""
    if not any(name in dataset for name in PIXELS):
        kind = dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID")
        raise ImageError("the DICOM file holds no image", got=getattr(kind, "name", None) or "no pixels")
    what = NO_IMAGES.get(str(dataset.get("Modality", "")))
    if what is not None or dataset.get("BitsAllocated") == 1:
        raise ImageError(f"the DICOM file is {what or 'a bitmap, which holds labels'}", expected="an image")
    if "TransferSyntaxUID" not in dataset.file_meta:
        _set_syntax(dataset, IMPLICIT if dataset.original_encoding[0] else EXPLICIT)


def _set_syntax(dataset: Dataset, syntax: str) -> None:
    from pydicom.uid import UID

    dataset.file_meta.TransferSyntaxUID = UID(syntax)


def _stored_values(dataset: Dataset) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The stored values, colours as RGB, and notes on what was converted."""
    from pydicom.pixels.processing import apply_color_lut

    decoder = dicom_codecs.decoder(dataset.file_meta.TransferSyntaxUID)
    options: dict[str, Any] = {"as_rgb": True}
    array, properties = decoder.as_array(dataset, raw=False, **options)
    before = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
    if before == "PALETTE COLOR":
        colours = apply_color_lut(array, dataset)
        if colours.dtype == np.uint16 and not (colours & 0xFF).any():
            colours = (colours >> 8).astype(np.uint8)
        dicom_derived.forget_palette(dataset)
        return _as_rgb(colours, dataset), (CONVERTED_NOTE,)
    if array.ndim > 2 and properties["samples_per_pixel"] == 3:
        return _as_rgb(array, dataset), (CONVERTED_NOTE,) if before not in ("RGB", "YBR_ICT", "YBR_RCT") else ()
    return array, ()


def _as_rgb(array: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[Any]:
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.PlanarConfiguration = "RGB", 3, 0
    bits = array.dtype.itemsize * 8
    if bits != dataset.BitsAllocated or array.dtype.kind == "u":
        dataset.BitsAllocated = bits
        dataset.BitsStored = min(dataset.BitsStored, bits) if dataset.BitsStored > 8 or bits == 8 else bits
        dataset.PixelRepresentation = 0
    return array


def _forget_pixels(dataset: Dataset) -> None:
    for name in (*PIXELS, "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "IconImageSequence"):
        if name in dataset:
            delattr(dataset, name)


def _interpreted(array: npt.NDArray[Any], dataset: Dataset, notes: tuple[str, ...]) -> Image:
    grey = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip().startswith("MONOCHROME")
    bits = int(dataset.BitsStored) if array.dtype.kind in "iu" else None
    if bits is not None and not 1 <= bits <= array.dtype.itemsize * 8:
        raise ValueError(f"{bits} bits stored of {array.dtype.itemsize * 8}")
    hidden = _padding(array, dataset) if grey else None
    spanned = data_range(dataset, array.dtype, bits)
    inverted = grey and dataset.get("PhotometricInterpretation") == "MONOCHROME1" and bits is not None
    if inverted:
        array = _inverted(array, bits)
        white = _white(array.dtype, bits)
        spanned = (white - spanned[1], white - spanned[0])
    if dicom_derived.forget_embedded_overlays(dataset):
        notes += (OVERLAY_NOTE,)
    axes = ("" if array.ndim == (2 if grey else 3) else _frame_axis(dataset)) + ("YX" if grey else "YXC")
    kept = Kept(dataset, array.shape, array.dtype, bool(inverted), bits)
    before = dicom_derived.mark_of(dataset)
    metadata: dict[str, Any] = {"dicom": kept}
    metadata |= ({"notes": notes} if notes else {}) | ({"xmp": mark.packet_of(before)} if before else {})
    return Image(array, axes, spanned, False, bits, metadata, hidden)


def _frame_axis(dataset: Dataset) -> str:
    """Frames are moments where they have a duration, else slices."""
    return "T" if {"FrameTime", "FrameTimeVector", "CineRate"} & set(dataset.dir("Frame", "Cine")) else "Z"


def data_range(dataset: Dataset, dtype: np.dtype[Any], bits: int | None) -> tuple[float, float]:
    """The stored values that map to 0 and 1, by the rule of this module.

    Args:
        dataset: of a file.
        dtype: of its stored values.
        bits: BitsStored, ``None`` for floats.
    """
    slope, intercept = _rescale(dataset)
    if dataset.get("Modality") == "CT" or dataset.get("RescaleType") == "HU":
        return (HOUNSFIELD[0] - intercept) / slope, (HOUNSFIELD[1] - intercept) / slope
    if bits is None:
        return 0.0, 1.0
    window = _window(dataset)
    if dtype.kind == "i" and window is not None:
        return (window[0] - intercept) / slope, (window[1] - intercept) / slope
    return 0.0, 2.0 ** (bits - (dtype.kind == "i")) - 1


def display_window(image: Image) -> tuple[float, float] | None:
    """The values (low, high), in the units of `Image.planes`, that the header says to show black and white.

    Returns:
        ``None`` where it says nothing, and for images that were not read from a grey DICOM file.
    """
    kept: Kept | None = image.metadata.get("dicom")
    window = None if kept is None or image.channels != 1 else _window(kept.dataset)
    if kept is None or window is None:
        return None
    slope, intercept = _rescale(kept.dataset)
    low, high = ((each - intercept) / slope for each in window)
    if kept.inverted:
        white = _white(kept.dtype, kept.bits)
        low, high = white - high, white - low
    first, last = image.data_range
    return (low - first) / (last - first), (high - first) / (last - first)


def _white(dtype: np.dtype[Any], bits: int | None) -> int:
    """What a value and its opposite (`_inverted`) add up to."""
    return 2**bits - 1 if dtype.kind == "u" and bits else -1


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept, those of the first frame where frames have their own; (1, 0) where they are of no use."""
    holder = dicom_derived.frame_group(dataset, "PixelValueTransformationSequence") or dataset
    try:
        slope, intercept = float(holder.get("RescaleSlope", 1)), float(holder.get("RescaleIntercept", 0))
    except (TypeError, ValueError):
        return 1.0, 0.0
    return (slope, intercept) if np.isfinite([slope, intercept]).all() and slope > 0 else (1.0, 0.0)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """The first display window (low, high), in rescaled units."""
    holder = dicom_derived.frame_group(dataset, "FrameVOILUTSequence") or dataset
    try:
        centre, width = (
            float(np.atleast_1d(np.asarray(holder.get(name), float))[0]) for name in ("WindowCenter", "WindowWidth")
        )
    except (TypeError, ValueError, IndexError):
        return None
    return (centre - width / 2, centre + width / 2) if np.isfinite([centre, width]).all() and width > 0 else None


def _padding(array: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_] | None:
    """Where the stored values are padding, ``None`` where none are."""
    if array.dtype.kind not in "iu" or not isinstance(dataset.get("PixelPaddingValue"), int):
        return None
    low, high = _padding_values(dataset, array.dtype)
    hidden: npt.NDArray[np.bool_] = (array >= low) & (array <= high)
    return hidden if hidden.any() else None


def _padding_values(dataset: Dataset, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest stored value that is padding; the file may give them with the wrong sign."""
    value, limit = dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")
    ends = np.array([value, limit if isinstance(limit, int) else value], np.int64).astype(dtype)
    return int(ends.min()), int(ends.max())


def _inverted(array: npt.NDArray[Any], bits: int | None) -> npt.NDArray[Any]:
    """White for black; its own inverse."""
    if array.dtype.kind == "i":
        return np.asarray(~array)
    return np.asarray(array.dtype.type(2 ** (bits or 8) - 1) - array)


def _put_pixels(dataset: Dataset, array: npt.NDArray[Any], bits: int | None) -> None:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN):
        _set_syntax(dataset, EXPLICIT)
    for tag in list(dataset.keys()):  # elements that lacked their type in a file that should have said it
        if getattr(dataset.get_item(tag), "VR", "") is None:
            _ = dataset[tag]
    data = np.ascontiguousarray(array, array.dtype.newbyteorder(">" if syntax == BIG_ENDIAN else "<")).tobytes()
    if bits is None:
        name, representation = ("FloatPixelData", "OF") if array.dtype.itemsize == 4 else ("DoubleFloatPixelData", "OD")
        dataset.add_new(name, representation, data)
        return
    dataset.BitsAllocated, dataset.HighBit = array.dtype.itemsize * 8, dataset.BitsStored - 1
    for name, value in (("SmallestImagePixelValue", array.min()), ("LargestImagePixelValue", array.max())):
        if name in dataset:
            setattr(dataset, name, int(value))
    dataset.add_new("PixelData", "OB" if array.dtype.itemsize == 1 else "OW", data + b"\0" * (len(data) % 2))
