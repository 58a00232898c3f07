"""GeoTIFF: what a TIFF of the Earth has beyond others. OGC GeoTIFF 1.1; GDAL's GTiff driver for GDAL_NODATA and masks.

Place, projection, bands and scales are tags and travel with all others. Here are the values that are no picture
(nodata, transparency, a mask, NaN), which are hidden, and the overviews, which GDAL makes anew from the result.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from noiseless.errors import MissingExtraError
from noiseless.io import ifd, sentinel
from noiseless.io.ifd import Directory

if TYPE_CHECKING:
    import tifffile

GDAL_METADATA, GDAL_NODATA = 42112, 42113
GEO_TAGS = (33550, 33922, 34264, 34735, GDAL_METADATA, GDAL_NODATA)
"""Pixel scale, tie points, transformation, keys, and what GDAL adds."""

REDUCED, MASK = 1, 4
"""Bits of NewSubfileType."""

STATISTICS = "STATISTICS_"
"""Items of GDAL's metadata that begin so speak of the values before."""


@dataclass(frozen=True, eq=False)
class Extras:
    """Pages of a GeoTIFF beside its bands.

    Attributes:
        overviews: how many times smaller each reduced copy is.
        mask: (H, W), 0 where there is no picture; ``None`` without one.
    """

    overviews: tuple[int, ...] = ()
    mask: npt.NDArray[np.uint8] | None = None


OVERVIEWS_NOTE = 'overviews were left out; with pip install "noiseless[geo]" they are made anew'


def is_geo(directory: Directory) -> bool:
    """Whether the tags of a page place it on the Earth, or come from GDAL."""
    return any(number in directory.tags for number in GEO_TAGS)


def is_mask(page: Any) -> bool:
    """Whether a page of tifffile says where another one has no picture."""
    return bool(page.subfiletype & MASK)


def extras_of(series: tifffile.TiffPageSeries, others: list[tifffile.TiffPageSeries]) -> Extras:
    """The overviews and the mask of an open file.

    Args:
        series: the bands.
        others: what else the file holds.

    Raises:
        MissingExtraError: there is a mask, and rasterio is needed to write it again.
    """
    sizes = [_size(level) for level in (*series.levels, *others) if level.keyframe.subfiletype & REDUCED]
    height, width = _size(series)
    factors = {round(max(height / high, width / wide)) for high, wide in sizes if high < height or wide < width}
    masks = [other for other in others if is_mask(other.keyframe) and _size(other) == (height, width)]
    mask = np.asarray(masks[0].asarray(), np.uint8).reshape(height, width) if masks else None
    if mask is not None and not can_finish():
        raise MissingExtraError("keeping the mask of a GeoTIFF", "geo")
    return Extras(tuple(sorted(factors - {0, 1})), mask)


def can_finish() -> bool:
    """Whether rasterio is there, which makes masks and overviews."""
    return importlib.util.find_spec("rasterio") is not None


def hidden(
    array: npt.NDArray[Any], axes: str, directory: Directory, *, alpha: bool, mask: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.bool_] | None:
    """Where the values of a GeoTIFF are no picture; ``None`` where all are one.

    Args:
        array: as stored.
        axes: of the array; ``C`` is bands.
        directory: tags of its page.
        alpha: whether the last band is alpha; 0 there means that there is no picture.
        mask: of `Extras`.
    """
    found = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    value = nodata(directory, array.dtype)
    if value is not None:
        found |= array == value
    bands = axes.find("C")
    if alpha:
        found |= np.take(array, [-1], axis=bands) == 0
    if mask is not None:
        found |= (mask == 0) if bands < 0 else np.expand_dims(mask == 0, bands)
    return found if found.any() else None


def nodata(directory: Directory, dtype: np.dtype[Any]) -> Any:
    """The value of this dtype that means that there is no picture; ``None`` without one that it can take."""
    tag = directory.tags.get(GDAL_NODATA)
    try:
        value = float(tag.text()) if tag is not None else np.nan
    except ValueError:
        return None
    if np.isnan(value) or dtype.kind not in "iuf":
        return None
    if dtype.kind == "f":
        return dtype.type(np.clip(value, np.finfo(dtype).min, np.finfo(dtype).max))
    limits = np.iinfo(dtype)
    return dtype.type(value) if value.is_integer() and limits.min <= value <= limits.max else None


def writable(array: npt.NDArray[Any], hidden: npt.NDArray[np.bool_] | None, directory: Directory) -> npt.NDArray[Any]:
    """The values to store: a picture does not take the value that means that there is none.

    Args:
        array: as it would be stored.
        hidden: where it means what it says.
        directory: tags of its page.
    """
    value = nodata(directory, array.dtype)
    return array if value is None else sentinel.kept_apart(array, hidden, value, value)


def without_statistics(directory: Directory) -> Directory:
    """The tags without what they say about the values, which are no longer the same."""
    tag = directory.tags.get(GDAL_METADATA)
    text = tag.text() if tag is not None else ""
    if STATISTICS not in text:
        return directory
    text = re.sub(rf'\s*<Item name="{STATISTICS}[^<>]*>[^<>]*</Item>', "", text)
    return directory.with_tags({GDAL_METADATA: ifd.Tag(ifd.ASCII, text.encode() + b"\0")})


def finish(file: BinaryIO, extras: Extras) -> None:
    """Give a GeoTIFF that was just written its mask and its overviews, if rasterio is there.

    Args:
        file: at any position; a named file is changed where it lies.
        extras: of the file that was read.
    """
    if (extras.mask is None and not extras.overviews) or not can_finish():
        return
    import tempfile

    file.flush()
    name = getattr(file, "name", None)
    if isinstance(name, str) and Path(name).is_file():
        _add(name, extras)
        return
    file.seek(0)
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder, "image.tif")
        beside.write_bytes(file.read())
        _add(str(beside), extras)
        file.seek(0)
        file.write(beside.read_bytes())


def _add(name: str, extras: Extras) -> None:
    import warnings

    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, BIGTIFF_OVERVIEW="IF_SAFER"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(name, "r+") as target:
            if extras.mask is not None:
                target.write_mask(extras.mask)
            if extras.overviews:
                target.build_overviews(list(extras.overviews), Resampling.average)


def _size(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    page = series.keyframe
    return int(page.imagelength), int(page.imagewidth)
