"""The pixel limit: a file that claims more pixels is refused from its header, before anything is decoded."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from noiseless.errors import ConfigError, ImageError, TooManyPixelsError

MAX_PIXELS = 500_000_000
"""Pixels of all planes together; the largest photographs have 400 million."""

VARIABLE = "NOISELESS_MAX_PIXELS"

PROFILE_LIMIT = 64 << 20
"""Bytes that a compressed text or colour profile may grow to."""


def pixel_limit(asked: int | None = None) -> int:
    """The limit in force: the one asked for, else the environment variable NOISELESS_MAX_PIXELS, else `MAX_PIXELS`.

    Raises:
        ConfigError: the environment variable is not a positive whole number.
    """
    if asked is not None:
        return asked
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_PIXELS
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"{VARIABLE} is not a number of pixels", got=repr(text), expected="a positive whole number")
    return int(text)


def check_pixels(shape: Sequence[int], limit: int) -> None:
    """Raise ImageError where an image of this shape (without channels) is empty or exceeds the limit."""
    count = int(np.prod([int(size) for size in shape], dtype=object))
    size = " x ".join(str(int(length)) for length in shape)
    if count <= 0:
        raise ImageError("the image has no pixels", got=size)
    if count > limit:
        raise TooManyPixelsError(
            "the image is enormous",
            pixels=count,
            got=f"{size} = {count} pixels",
            expected=f"at most {limit}",
            fix=f"If you trust the file, set the environment variable {VARIABLE} to a larger number.",
        )
