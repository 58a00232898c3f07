"""OME-Zarr folders made with zarr, for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

TYPES = {"T": "time", "C": "channel"}


def ome_zarr(
    folder: Path,
    array: np.ndarray,
    axes: str,
    version: str = "0.4",
    *,
    levels: int = 1,
    attributes: Mapping[str, Any] | None = None,
    omero: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write an array as OME-Zarr; each further level takes every second pixel, which is no mean.

    Args:
        folder: where to.
        array: the full size.
        axes: letters.
        version: of the OME-NGFF; 0.5 is Zarr 3.
        levels: how many sizes.
        attributes: beside those of the image.
        omero: the rendering settings.
        options: of `zarr.Group.create_array`.
    """
    newer = version >= "0.5"
    group = zarr.open_group(folder, mode="w", zarr_format=3 if newer else 2)
    steps = tuple(slice(None, None, 2 if axis in "YX" else 1) for axis in axes)
    for level in range(levels):
        chunks = options.get("chunks", tuple(16 if axis in "YX" else 1 for axis in axes))
        fitting = tuple(map(min, chunks, array.shape))
        made = group.create_array(str(level), shape=array.shape, dtype=array.dtype, **{**options, "chunks": fitting})
        made[...] = array
        array = array[steps]
    image = multiscale(axes, [str(level) for level in range(levels)], version)
    said: dict[str, Any] = {"multiscales": [image]} | ({"omero": dict(omero)} if omero else {})
    group.attrs.update({"ome": {"version": version, **said}} if newer else said)
    group.attrs.update(attributes or {})
    return folder


def multiscale(axes: str, paths: Sequence[str], version: str) -> dict[str, Any]:
    """What the attributes say of an image."""
    named = [{"name": axis.lower(), "type": TYPES.get(axis, "space")} for axis in axes]
    scales = [[0.5 * 2**level if axis in "YX" else 1.0 for axis in axes] for level in range(len(paths))]
    datasets = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for path, scale in zip(paths, scales, strict=True)
    ]
    stated = {} if version >= "0.5" else {"version": version}
    return {"name": "cells", "axes": named, "datasets": datasets, "type": "nearest", **stated}


def attributes_of(folder: Path) -> dict[str, Any]:
    """Attributes of a group."""
    return zarr.open_group(folder, mode="r").attrs.asdict()


def pixels_of(folder: Path, level: int = 0) -> np.ndarray:
    """The array of a level."""
    return np.asarray(zarr.open_array(folder / str(level), mode="r")[...])
