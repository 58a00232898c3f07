"""TIFF: 1 to 64-bit integers, floats, colour, alpha, stacks, BigTIFF, ImageJ hyperstacks, OME-TIFF. TIFF 6.0.

tifffile reads and writes the pixels; the tags of every page are carried over as bytes by `noiseless.io.tiff_tags`,
so that descriptions, calibration, profiles and private tags survive. White is high in the `Image` whatever the file
says. Palettes become RGB, but a palette that only tints intensities (a lookup table of a microscope) is kept and the
intensities are the image. CMYK becomes RGB. Reduced copies (thumbnails, pyramids) are not kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError
from noiseless.image import Image, axes_of, default_range, significant_bits, unique_axes
from noiseless.io import cmyk, exif, geotiff, ifd, picture, raw, tiff_tags
from noiseless.io.limits import check_pixels
from noiseless.io.tiff_tags import Layout

if TYPE_CHECKING:
    import tifffile

MINISWHITE, MINISBLACK, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
JPEG_COMPRESSIONS = (6, 7, 34892, 33003, 33004, 33005, 34712)
WITH_ALPHA = (1, 2)
"""Values of ExtraSamples that mean alpha: associated and not."""
REDUCED_NOTE = "reduced copies of the image (thumbnail, pyramid) were left out"

ZERO_IN_THE_MIDDLE = "\nc0=-32768"
"""How ImageJ says that it stored signed values as unsigned ones."""


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a TIFF."""
    import tifffile

    tiff_tags.silence_tifffile()
    if raw.is_camera_raw(file):
        return raw.decode(file, max_pixels)
    ifd.chain(*ifd.source_of(file))  # tifffile would follow one that leads back to itself for long
    file.seek(0)
    with tifffile.TiffFile(file, _multifile=False) as tiff:
        series = only_series(tiff)
        page = series.keyframe
        check_supported(page)
        check_pixels(pixel_shape(series), max_pixels)
        directories = tiff_tags.read_directories(file, [plane and plane.offset for plane in series.pages])
        array = series.asarray()
        layout = tiff_tags.layout_of(tiff, series, directories)
        others = [other for other in tiff.series if other is not series]
        if geotiff.is_geo(layout.first) and len(directories) == 1:
            layout = replace(layout, extras=geotiff.extras_of(series, others))
        notes = (REDUCED_NOTE,) if (len(series.levels) > 1 or others) and layout.extras is None else ()
        if layout.extras is not None and layout.extras.overviews and not geotiff.can_finish():
            notes = (geotiff.OVERVIEWS_NOTE,)
        return interpreted(array, layout, notes)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a TIFF; one that was read from a TIFF keeps its layout, compression (where lossless) and tags."""
    layout: Layout | None = image.metadata.get("tiff")
    array = image.array
    if layout is None or (layout.shape, layout.dtype) != (array.shape, array.dtype):
        array, layout = tiff_tags.fresh_layout(image)
    if layout.photometric == MINISWHITE and array.dtype.kind in "bu":
        array = inverted(array, layout.bits)
    if layout.extras is not None:
        layout = replace(layout, directories=tuple(map(geotiff.without_statistics, layout.directories)))
        array = geotiff.writable(array, image.hidden, layout.first)
    tiff_tags.write(file, array, layout, image.metadata)
    if layout.extras is not None:
        geotiff.finish(file, layout.extras)


def refusal(image: Image) -> str | None:
    """Nothing that an image can be does not fit."""
    return None


def only_series(tiff: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The one image or stack of the file; what else there may be are reduced copies."""
    if not tiff.series:
        raise ValueError("no image inside")
    images = [series for series in tiff.series if not geotiff.is_mask(series.keyframe)] or tiff.series[:1]
    full = [series for series in images if not series.keyframe.is_reduced] or images[:1]
    if len(full) > 1:
        shapes = ", ".join(" x ".join(map(str, series.shape)) for series in full[:4])
        raise ImageError(
            "the TIFF holds several images that are no stack",
            got=f"{len(full)} of different kind: {shapes}",
            fix="Split it into one file per image first.",
        )
    return full[0]


def check_supported(page: tifffile.TiffPage) -> None:
    """Raise ImageError for a page of colours that cannot be read."""
    photometric = int(page.photometric)
    known = (MINISWHITE, MINISBLACK, RGB, PALETTE, SEPARATED, YCBCR)
    raw_ycbcr = photometric == YCBCR and int(page.compression) not in JPEG_COMPRESSIONS
    if photometric not in known or raw_ycbcr:
        name = getattr(page.photometric, "name", photometric)
        raise ImageError(f"TIFF of colour kind {name} is not supported", fix="Convert it to RGB first.")
    if photometric == SEPARATED and (page.shape[-1:] != (4,) or page.dtype != np.uint8 or len(page.shape) != 3):
        raise ImageError("only 8-bit CMYK is supported", got=f"{page.dtype} {page.shape}", fix="Convert it to RGB.")


def pixel_shape(series: tifffile.TiffPageSeries) -> list[int]:
    """The shape; four samples count as one pixel."""
    sizes = zip(series.shape, series.axes, strict=True)
    return [-(-size // 4) if axis == "S" else size for size, axis in sizes if axis != "S" or size > 4]


def interpreted(array: npt.NDArray[Any], layout: Layout, notes: tuple[str, ...]) -> Image:
    """The image that the stored values show."""
    metadata = _metadata(layout)
    photometric = layout.photometric
    stored = array
    if photometric == SEPARATED:
        return _from_cmyk(array, metadata, notes)
    if photometric == PALETTE and not _only_tints(layout):
        return _from_palette(array, layout, metadata, notes)
    if photometric == MINISWHITE and array.dtype.kind in "bu":
        array = inverted(array, layout.bits)
    axes, separate = _image_axes(layout)
    has_alpha = "S" in layout.axes and len(layout.extrasamples) > 0 and layout.extrasamples[-1] in WITH_ALPHA
    metadata |= ({"tiff": layout} if layout.contained else {}) | ({"notes": notes} if notes else {})
    metadata |= {"separate_channels": True} if separate else {}
    has_alpha = has_alpha and array.shape[axes.index("C")] > 1
    bits = meaningful_bits(array, layout)
    hidden = None
    if geotiff.is_geo(layout.first):
        mask = layout.extras.mask if layout.extras is not None else None
        hidden = geotiff.hidden(stored, axes, layout.first, alpha=has_alpha, mask=mask)
    return Image(array, axes, _spanned(array.dtype, layout, bits), has_alpha, bits, metadata, hidden)


def _spanned(dtype: np.dtype[Any], layout: Layout, bits: int | None) -> tuple[float, float]:
    """The stored values that map to 0 and 1."""
    if dtype == np.uint16 and layout.kind == "imagej" and ZERO_IN_THE_MIDDLE in _description(layout):
        return 32768.0, 65535.0
    if bits is not None and dtype.kind == "u":
        return 0.0, float(2**bits - 1)
    low, high = default_range(dtype)
    return (0.0, high) if geotiff.is_geo(layout.first) else (low, high)  # heights and reflectances: 0 is black


def _description(layout: Layout) -> str:
    tag = layout.first.tags.get(exif.DESCRIPTION)
    return tag.text() if tag is not None else ""


def _image_axes(layout: Layout) -> tuple[str, bool]:
    """Axes of the image, and whether its channels are something else than colours."""
    axes = layout.axes
    if layout.kind == "shaped" and "S" not in axes and set(axes) <= set("QYX") and layout.shape[-1] in (3, 4):
        return axes_of(layout.shape, None)[0], False  # an array, written by a program that did not say what it is
    if "S" in axes:
        return unique_axes(axes.replace("C", "Q").replace("S", "C")), layout.photometric not in (RGB, YCBCR)
    return unique_axes(axes), "C" in axes


def meaningful_bits(array: npt.NDArray[Any], layout: Layout) -> int | None:
    """Bits per sample; fewer where MaxSampleValue says so and the values agree (a camera's 12 of 16)."""
    if array.dtype.kind != "u" or layout.bits < array.dtype.itemsize * 8:
        return layout.bits if array.dtype.kind == "u" else significant_bits(array.dtype)
    tag = layout.first.tags.get(tiff_tags.MAX_SAMPLE_VALUE)
    values = tag.integers() if tag is not None else []
    white = values[0] if values else 0
    bits = white.bit_length()
    is_depth = white == 2**bits - 1 and 8 < bits < layout.bits
    return bits if is_depth and int(array.max()) <= white else layout.bits


def inverted(array: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """White for black; its own inverse."""
    if array.dtype == bool:
        return ~array
    white = array.dtype.type(2**bits - 1)
    inverted: npt.NDArray[Any] = white - array
    return inverted


def _from_cmyk(array: npt.NDArray[Any], metadata: dict[str, Any], notes: tuple[str, ...]) -> Image:
    from PIL import Image as PillowImage

    if array.ndim != 3:
        raise ImageError("a stack of CMYK pictures is not supported", fix="Convert it to RGB first.")
    inks = PillowImage.fromarray(np.ascontiguousarray(array), "CMYK")
    pixels, profile = cmyk.to_rgb(inks, metadata.pop("icc", None))
    return picture.from_picture(pixels, {**metadata, **profile, "notes": (*notes, picture.CMYK_NOTE)})


def _only_tints(layout: Layout) -> bool:
    """Whether the palette is a lookup table for intensities: every colour rises with the index."""
    if layout.colormap is None or layout.colormap.shape[1] != 2 ** (layout.dtype.itemsize * 8):
        return False
    if layout.kind == "imagej":
        return True
    return bool((np.diff(layout.colormap.astype(np.int32), axis=1) >= 0).all())


def _from_palette(array: npt.NDArray[Any], layout: Layout, metadata: dict[str, Any], notes: tuple[str, ...]) -> Image:
    table = np.asarray(layout.colormap)
    colours = table[:, np.minimum(array, table.shape[1] - 1)]
    if not (table & 0xFF).any() or (table % 257 == 0).all():
        colours = (colours >> 8).astype(np.uint8)
    pixels = np.moveaxis(colours, 0, -1)
    metadata = {**metadata, "notes": (*notes, picture.PALETTE_NOTE)}
    bits = pixels.dtype.itemsize * 8
    axes = unique_axes(layout.axes.replace("C", "Q")) + "C"
    return Image(np.ascontiguousarray(pixels), axes, default_range(pixels.dtype), False, bits, metadata)


def _metadata(layout: Layout) -> dict[str, Any]:
    """What the first page says that other formats can hold too."""
    first = layout.first
    description = layout.kind in ("generic", "uniform")
    found: dict[str, Any] = {
        "icc": first.tags[tiff_tags.ICC].data if tiff_tags.ICC in first.tags else None,
        "xmp": first.tags[tiff_tags.XMP].data if tiff_tags.XMP in first.tags else None,
        "exif": exif.from_tiff(first, layout.flavour.order, description=description),
        "dpi": _dpi(first),
    }
    return {key: value for key, value in found.items() if value}


def _dpi(directory: ifd.Directory) -> tuple[float, float] | None:
    across, down, unit = (directory.tags.get(number) for number in tiff_tags.RESOLUTION)
    units = unit.integers() if unit is not None else [2]
    scale = {2: 1.0, 3: 2.54}.get(units[0] if units else 1)
    if across is None or down is None or scale is None:
        return None
    fractions = [tag.integers()[:2] for tag in (across, down)]
    if any(len(each) < 2 or not all(each) for each in fractions):
        return None
    (above, below), (above_down, below_down) = fractions
    return above / below * scale, above_down / below_down * scale
