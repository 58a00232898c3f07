"""OME-NGFF: what the metadata of a Zarr group say of the image in it. Versions 0.1 to 0.5, ngff.openmicroscopy.org.

Only JSON is read here; the pixels are the business of `noiseless.io.zarr`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from noiseless.errors import ImageError
from noiseless.io.limits import PROFILE_LIMIT

LETTERS = "TCZYX"
ALL_FIVE = ("0.1", "0.2")
"""Versions that name no axes, since there are always these five."""

BY_TYPE = {"time": "T", "channel": "C"}
"""Axes that may have any name."""

KEY = "noiseless"
"""Attribute of a group that was denoised."""


@dataclass(frozen=True)
class Pyramid:
    """The image of a group, at one or more sizes.

    Attributes:
        folder: of the group.
        attributes: of the group, as they are.
        axes: a letter of `LETTERS` for each axis of the arrays.
        levels: paths of the arrays within the group, the full size first.
        window: the smallest and the largest value that the channels are said to have; ``None`` where nothing is said.
        mark: what denoised the image before.
    """

    folder: Path
    attributes: Mapping[str, Any]
    axes: str
    levels: tuple[str, ...]
    window: tuple[float, float] | None
    mark: str | None


def read_pyramid(folder: Path) -> Pyramid:
    """Read the metadata of a group.

    Raises:
        ImageError: no Zarr, or one without an image, or with one that is not understood.
    """
    attributes = _attributes(folder)
    ome = attributes.get("ome", attributes)
    image = _only_image(ome, folder)
    own = attributes.get(KEY)
    mark = own.get("denoised") if isinstance(own, dict) else None
    axes = _axes(image, str(ome.get("version", image.get("version", ""))))
    return Pyramid(folder, attributes, axes, _levels(image), _window(ome), None if mark is None else str(mark))


def marked(attributes: Mapping[str, Any], mark: str | None) -> dict[str, Any]:
    """Attributes of a group that was denoised, with the smaller sizes made by averaging.

    Args:
        attributes: of the group that it was made of.
        mark: see `noiseless.io.mark`.
    """
    changed: dict[str, Any] = json.loads(json.dumps(attributes))
    image = changed.get("ome", changed)["multiscales"][0]
    if len(image["datasets"]) > 1:
        image["type"] = "mean"
        if "metadata" in image:  # says how the sizes were made before
            image["metadata"] = {"description": "each size is the mean of blocks of the one before", "method": KEY}
    return changed | ({KEY: {"denoised": mark}} if mark else {})


def write_attributes(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Replace the attributes of a group whose other files are there."""
    document = folder / "zarr.json"
    if document.is_file():
        _dump(document, load(document) | {"attributes": attributes})
        return
    _dump(folder / ".zattrs", attributes)
    consolidated = folder / ".zmetadata"
    if consolidated.is_file():
        whole = load(consolidated)
        whole["metadata"][".zattrs"] = attributes
        _dump(consolidated, whole)


def load(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        ImageError: it does not, or is enormous.
    """
    if path.stat().st_size > PROFILE_LIMIT:
        raise ImageError(f"{path.name} is enormous", got=f"{path.stat().st_size} bytes")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{path.name} is damaged", got=" ".join(str(error).split())[:80]) from error
    if not isinstance(found, dict):
        raise ImageError(f"{path.name} is damaged", got=type(found).__name__, expected="a JSON object")
    return found


def _dump(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _attributes(folder: Path) -> dict[str, Any]:
    document, plain = folder / "zarr.json", folder / ".zattrs"
    if document.is_file():
        found = load(document)
        if found.get("node_type") == "group":
            attributes = found.get("attributes", {})
            if isinstance(attributes, dict):
                return attributes
    elif plain.is_file() and not (folder / ".zarray").is_file():
        return load(plain)
    elif not any((folder / name).is_file() for name in (".zgroup", ".zarray")):
        raise ImageError("this folder is no Zarr", got="neither zarr.json nor .zgroup in it")
    is_array = document.is_file() or (folder / ".zarray").is_file()
    raise _no_image("an array by itself" if is_array else "a group without attributes")


def _only_image(ome: Any, folder: Path) -> dict[str, Any]:
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    if images is None:
        raise _several(folder) or _no_image("no multiscales among its attributes")
    if not isinstance(images, list) or not images or not all(isinstance(image, dict) for image in images):
        raise _no_image("multiscales that are damaged")
    if len(images) > 1:
        raise ImageError("the OME-Zarr holds several images", got=f"{len(images)} multiscales", expected="one")
    return dict(images[0])


def _several(folder: Path) -> ImageError | None:
    """The error of a group whose image lies, or images lie, in groups below it, as in what bioformats2raw writes."""
    markers = ("zarr.json", ".zattrs")
    below = sorted(
        {path.parent.relative_to(folder) for name in markers for path in folder.glob(f"*/{name}")}
        | {path.parent.relative_to(folder) for name in markers for path in folder.glob(f"*/*/*/{name}")}
    )
    images = [path.as_posix() for path in below if path.parts[0] not in ("OME", "labels") and _is_image(folder / path)]
    if not images:
        return None
    more = f" and {len(images) - 3} more" if len(images) > 3 else ""
    return ImageError(
        "the images of this OME-Zarr lie below it",
        got=", ".join(images[:3]) + more,
        fix=f"Denoise one at a time: {folder / images[0]}",
    )


def _is_image(folder: Path) -> bool:
    try:
        attributes = _attributes(folder)
    except (ImageError, OSError):
        return False
    ome = attributes.get("ome", attributes)
    return isinstance(ome, dict) and "multiscales" in ome


def _no_image(got: str) -> ImageError:
    return ImageError(
        "the Zarr says nothing of an image",
        got=got,
        expected="the multiscales of OME-NGFF",
        fix="Save it as OME-Zarr, or convert it to TIFF or .npy.",
    )


def _axes(image: Mapping[str, Any], version: str) -> str:
    """A letter for each axis."""
    named = image.get("axes")
    if named is None and version in ALL_FIVE:
        return LETTERS
    if not isinstance(named, list) or not named:
        raise ImageError("the OME-Zarr does not name its axes", got=f"version {version or 'unknown'}")
    letters = "".join(filter(None, map(_letter, named)))
    if len(letters) < len(named) or len(set(letters)) < len(letters) or not {"Y", "X"} <= set(letters):
        names = ", ".join(str(axis.get("name") if isinstance(axis, dict) else axis) for axis in named)
        raise ImageError(
            "the axes of the OME-Zarr are not understood", got=names[:80], expected="some of t, c, z, y, x, each once"
        )
    return letters


def _letter(axis: Any) -> str | None:
    named = axis if isinstance(axis, dict) else {"name": axis}
    letter = str(named.get("name", "")).upper()
    return letter if letter in set(LETTERS) else BY_TYPE.get(str(named.get("type")))


def _levels(image: Mapping[str, Any]) -> tuple[str, ...]:
    listed = image.get("datasets")
    if not isinstance(listed, Sequence) or not listed or not all(isinstance(each, dict) for each in listed):
        raise _no_image("multiscales without datasets")
    levels = tuple(str(each.get("path", "")) for each in listed)
    for level in levels:
        path = PurePosixPath(level)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in level or "\0" in level:
            raise ImageError("a dataset of the OME-Zarr lies outside of it", got=repr(level)[:80])
    if len(set(levels)) < len(levels):
        raise ImageError("a dataset of the OME-Zarr is listed twice", got=", ".join(levels)[:80])
    return levels


def _window(ome: Mapping[str, Any]) -> tuple[float, float] | None:
    """Smallest and largest value of all channels, where the rendering settings state them for each."""
    try:
        windows = [channel["window"] for channel in ome["omero"]["channels"]]
        low, high = (float(pick(window[key] for window in windows)) for pick, key in ((min, "min"), (max, "max")))
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
