"""HEIC files, made with pillow-heif rather than with what is tested."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def heic(array: np.ndarray, bits: int = 8, **options: Any) -> bytes:
    """A HEIC file of (H, W) or (H, W, C) integers of some bits, at quality 95 without subsampling."""
    import pillow_heif  # of an extra

    mode = {2: "L", 3: "RGB"}[array.ndim] if array.ndim == 2 or array.shape[2] == 3 else "RGBA"
    made = pillow_heif.from_bytes(mode if bits == 8 else f"{mode};{bits}", array.shape[1::-1], array.tobytes())
    stream = io.BytesIO()
    made.save(stream, **{"quality": 95, "chroma": 444, **options})
    return stream.getvalue()


def ramp(bits: int = 8, channels: int = 3, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A smooth picture, which loses next to nothing."""
    rows, columns = (np.linspace(0.1, 0.9, count) for count in size)
    planes = [(2**bits - 1) * (np.add.outer((number + 1) * rows, columns) / (number + 2)) for number in range(channels)]
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.ascontiguousarray(np.stack(planes, -1).round().astype(dtype).squeeze())
