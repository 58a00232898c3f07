"""Traces of what was done to an image, in images that hold next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from noiseless.calibration.traces import enlargement, jpeg_grid


@pytest.mark.parametrize("shape", [(1, 1), (1, 96), (96, 1), (2, 96), (96, 2), (1, 3000)])
def test_a_few_rows_or_columns_have_none_and_give_no_warning(shape: tuple[int, int]) -> None:
    """The mean of half of one row, which is none, was taken: NumPy warned."""
    plane = np.random.default_rng(0).random(shape).astype(np.float32)
    assert not jpeg_grid(plane)
    assert enlargement(plane) is None
