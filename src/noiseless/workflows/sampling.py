"""What is found out about an image that is denoised in windows before that begins: its noise, from a sample of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from noiseless.errors import Cancelled, ImageError
from noiseless.image import Image
from noiseless.io.reading import saying_what_is_damaged
from noiseless.io.rows import Rows
from noiseless.workflows.windows import cut

if TYPE_CHECKING:
    from noiseless.calibration.telling import Told

SAMPLE_PIXELS = 4 << 20
"""Pixels of a page that are looked at to estimate its noise; a smaller page is looked at whole."""

SAMPLE_PARTS = 16

Found = tuple["Told", npt.NDArray[np.float32]]
"""What a network is told of the noise of a page, and the mean of that in each channel, (C, 1, 1)."""


def survey(
    rows: Rows, measure: Callable[[Image], Found] | None, cancel: Callable[[], bool]
) -> tuple[Image, list[Found]]:
    """Read a file once, to find out what only all of it tells; what is damaged is found before any work is done.

    Args:
        rows: the file.
        measure: what is found in a part of a page; called for each page.
        cancel: asked now and then whether to stop.

    Returns:
        A part of the image, and what was found in each page.

    Raises:
        ImageError: damaged; NaN or infinite values.
        ValueRangeError: float values far outside [0, 1] and no data range.
        Cancelled: `cancel` said so.
    """
    largest = -math.inf
    found = []
    for page in range(rows.pages):
        sample, most = _surveyed(rows, page, cancel)
        largest = max(largest, most)
        if measure is not None:
            found.append((*measure(sample), span_of(sample)))
    rows.tell_maximum(largest)
    part = rows.image(rows.rows(0, 0, 1))
    scales = [span_of(part) / span for _, _, span in found]
    return part, [
        (replace(told, scale=scale), level / np.float32(scale))
        for (told, level, _), scale in zip(found, scales, strict=True)
    ]


def span_of(image: Image) -> float:
    """Size of the value range of an image."""
    low, high = image.data_range
    return high - low


def _surveyed(rows: Rows, page: int, cancel: Callable[[], bool]) -> tuple[Image, float]:
    """Some rows of a page as an image, and the largest value of all of them."""
    most, taken = -math.inf, []
    wanted = sampled_rows(rows.height, rows.width)
    for start in range(0, rows.height, rows.chunk):
        if cancel():
            raise Cancelled("stopped before the image was done")
        stored = rows.rows(page, start, min(start + rows.chunk, rows.height))
        most = max(most, float(stored.max()))
        if stored.dtype.kind == "f" and not np.isfinite(stored).all():
            raise ImageError(
                f"{rows.path} holds values that are not finite",
                fix="Replace them first, for example with numpy.nan_to_num.",
            )
        taken += [part.copy() for span in wanted if len(part := _overlap(stored, start, span))]
    with saying_what_is_damaged(str(rows.path), rows.kind):
        return rows.image(np.concatenate(taken)).checked(rows.data_range), most


def _overlap(stored: npt.NDArray[Any], start: int, span: slice) -> npt.NDArray[Any]:
    """The rows of a span, of which `stored` holds those from `start` on."""
    return stored[max(span.start - start, 0) : max(span.stop - start, 0)]


def sampled_rows(height: int, width: int) -> list[slice]:
    """The rows of a page that its noise is estimated from: all of a small one, else bands over all its height."""
    if height * width <= SAMPLE_PIXELS:
        return [slice(0, height)]
    parts = min(SAMPLE_PARTS, height)
    each = max(8, SAMPLE_PIXELS // (width * parts))
    starts = [(height - each) * number // max(parts - 1, 1) for number in range(parts)]
    return [slice(max(start, 0), start + each) for start in starts]


def sample_of(image: Image, page: int) -> Image:
    """The rows of a page of an image in memory that its noise is estimated from."""
    across = slice(0, image.width)
    if image.hidden is not None:
        return cut(image, slice(0, image.height), across, page)
    parts = [cut(image, rows, across, page) for rows in sampled_rows(image.height, image.width)]
    axis = image.axes.index("Y")
    return replace(parts[0], array=np.concatenate([part.array for part in parts], axis))
