"""Camera raw files (DNG) made with tifffile, for the tests."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import tifffile

SHORT, LONG, ASCII, BYTE, RATIONAL, SIGNED_RATIONAL = 3, 4, 2, 1, 5, 10


def _ratios(*values: float) -> tuple[int, ...]:
    return tuple(number for value in values for number in (round(value * 10_000), 10_000))


def dng(sensor: np.ndarray, *, orientation: int = 1, pattern: Sequence[int] = (0, 1, 1, 2)) -> bytes:
    """A DNG of what a sensor saw: (H, W), uint16, black at 256 and white at 4095; the pattern is RGGB."""
    colours = _ratios(0.41, 0.36, 0.18, 0.21, 0.72, 0.07, 0.02, 0.12, 0.95)
    tags = [
        *((271, ASCII, 6, "Noisy\0", True), (272, ASCII, 4, "One\0", True), (274, SHORT, 1, orientation, True)),
        *((50706, BYTE, 4, (1, 4, 0, 0), True), (50707, BYTE, 4, (1, 1, 0, 0), True), (50708, ASCII, 4, "One\0", True)),
        *(
            (33421, SHORT, 2, (2, 2), True),
            (33422, BYTE, 4, tuple(pattern), True),
            (50714, RATIONAL, 1, (256, 1), True),
        ),
        *((50717, LONG, 1, 4095, True), (50721, SIGNED_RATIONAL, 9, colours, True)),
        *((50728, RATIONAL, 3, _ratios(0.5, 1, 0.6), True), (50778, SHORT, 1, 21, True)),
    ]
    stream = io.BytesIO()
    tifffile.imwrite(stream, sensor, photometric=32803, extratags=tags, metadata=None, software=False)
    return stream.getvalue()
