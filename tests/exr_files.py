"""OpenEXR files, made by the library of the format."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import OpenEXR

RANDOM = np.random.default_rng(0)


def exr(channels: Mapping[str, Any], **header: Any) -> bytes:
    """A file of one part with these channels, (H, W) each."""
    return written({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}, channels)


def written(header: Mapping[str, Any], channels: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    OpenEXR.File(dict(header), dict(channels)).write(stream)
    return stream.getvalue()


def several(**parts: Mapping[str, Any]) -> bytes:
    """A file of several parts, by name."""
    stream = io.BytesIO()
    kind = {"type": OpenEXR.scanlineimage}
    OpenEXR.File([OpenEXR.Part(dict(kind), dict(channels), name) for name, channels in parts.items()]).write(stream)
    return stream.getvalue()


def planes(names: str, dtype: str = "f2", size: tuple[int, int] = (24, 32)) -> dict[str, np.ndarray]:
    """Channels of random values."""
    return {name: RANDOM.random(size).astype(dtype) for name in names}


def opened(data: bytes) -> Any:
    return OpenEXR.File(io.BytesIO(data), separate_channels=True)


def with_levels(grey: np.ndarray) -> bytes:
    """A mip map of a square of 4 x 4 values, float32, as the library itself does not write one: levels of 4, 2, 1."""
    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 4
    one = exr({"Y": grey}, type=OpenEXR.tiledimage, tiles=tiles, compression=OpenEXR.NO_COMPRESSION)
    mode = one.index(b"tiledesc\0") + len(b"tiledesc\0") + 4 + 8
    start = len(one) - (8 + 20 + 64)  # the table of one place, the head of one tile, its values
    header = one[:mode] + b"\1" + one[mode + 1 : start]
    chunks = []
    for level, values in enumerate((grey, grey[::2, ::2], grey[:1, :1])):
        content = np.ascontiguousarray(values, "<f4").tobytes()
        chunks.append(struct.pack("<5i", 0, 0, level, level, len(content)) + content)
    ends = np.cumsum([0, *map(len, chunks)]) + len(header) + 8 * len(chunks)
    return header + struct.pack("<3Q", *ends[:-1].tolist()) + b"".join(chunks)
