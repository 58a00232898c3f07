"""Kernels in 8 bit that change what is computed least."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from noiseless.exporting.rounding import LARGEST, products, round_kernel

GENERATOR = np.random.default_rng(0)


def kernel(outputs: int, reads: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and their steps."""
    values = GENERATOR.normal(0, 0.1, (outputs, reads)).astype(np.float32)
    return values, (np.abs(values).max(axis=1) / LARGEST).astype(np.float32)


def to_the_nearest(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return np.rint(values / scales[:, np.newaxis]).clip(-LARGEST, LARGEST)


def test_what_a_smooth_picture_gives_changes_less_than_by_the_nearest() -> None:
    smooth = gaussian_filter(GENERATOR.random((4, 96, 96)), (0, 3, 3)).astype(np.float32)
    values, scales = kernel(8, 4 * 9)
    read = products(smooth, 3, 3)
    rounded = round_kernel(values, scales, read)
    assert rounded.dtype == np.int8
    assert np.abs(rounded).max() <= LARGEST
    wrong = [steps * scales[:, np.newaxis] - values for steps in (rounded, to_the_nearest(values, scales))]
    least, nearest = (np.einsum("ok,kl,ol->", error, read, error) for error in wrong)
    assert least < 0.1 * nearest


def test_what_has_nothing_in_common_is_rounded_to_the_nearest() -> None:
    values, scales = kernel(5, 18)
    np.testing.assert_array_equal(round_kernel(values, scales, np.eye(18)), to_the_nearest(values, scales))


def test_what_is_never_read_is_no_error() -> None:
    values, scales = kernel(3, 9)
    np.testing.assert_array_equal(round_kernel(values, scales, np.zeros((9, 9))), to_the_nearest(values, scales))


@pytest.mark.parametrize(("height", "width"), [(3, 3), (1, 1), (2, 4)])
def test_products_are_of_what_a_kernel_reads(height: int, width: int) -> None:
    picture = GENERATOR.random((2, 300, 300)).astype(np.float32)
    found = products(picture, height, width)
    assert found.shape == (2 * height * width,) * 2
    np.testing.assert_allclose(np.diag(found), np.mean(picture**2), rtol=0.2)
    rest = found[~np.eye(len(found), dtype=bool)]
    np.testing.assert_allclose(rest, picture.mean() ** 2, rtol=0.25)


def test_the_order_is_that_of_a_kernel() -> None:
    picture = np.zeros((2, 50, 50), np.float32)
    picture[1] = np.arange(50) % 2  # columns alternate
    found = products(picture, 1, 2)
    assert found[:2].max() == found[:, :2].max() == 0
    np.testing.assert_allclose(found[2:, 2:], [[0.5, 0], [0, 0.5]], atol=0.1)
