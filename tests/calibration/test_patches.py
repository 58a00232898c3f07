"""What the estimates are made from, against the plain way to compute it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dctn

from noiseless.calibration.lines import Points, fit_lines
from noiseless.calibration.patches import FIRST_HIGH, NOWHERE, SIDE, cut_patches, median, share_of, still_values


@pytest.fixture
def plane() -> np.ndarray:
    return np.random.default_rng(0).normal(0.5, 0.1, (61, 83)).astype(np.float32)


def windows_of(plane: np.ndarray, stride: int) -> np.ndarray:
    return sliding_window_view(plane, (SIDE, SIDE))[::stride, ::stride].reshape(-1, SIDE, SIDE)


@pytest.mark.parametrize(("most", "stride"), [(100_000, 1), (1000, 3)])
def test_patches_are_taken_apart_into_cosine_waves(plane: np.ndarray, most: int, stride: int) -> None:
    patches = cut_patches(plane, NOWHERE, most)
    windows = windows_of(plane.astype(np.float64), stride)
    waves = dctn(windows, axes=(1, 2), norm="ortho")
    order = np.add.outer(np.arange(SIDE), np.arange(SIDE))
    np.testing.assert_allclose(patches.means, windows.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(patches.high, waves[:, order >= FIRST_HIGH], atol=1e-6)
    low = (waves[:, (order > 0) & (order < FIRST_HIGH)] ** 2).sum(axis=1)
    np.testing.assert_allclose(patches.low, low, rtol=1e-4)


@pytest.mark.parametrize(("most", "stride"), [(100_000, 1), (1000, 3)])
def test_the_share_of_pixels_is_that_of_each_patch(plane: np.ndarray, most: int, stride: int) -> None:
    chosen = plane > 0.5
    expected = windows_of(chosen, stride).mean(axis=(1, 2))
    np.testing.assert_allclose(share_of(plane, chosen, most), expected, rtol=1e-6)


def test_a_frame_of_one_value_is_seen_and_noise_is_not(plane: np.ndarray) -> None:
    assert not len(still_values(plane, NOWHERE))
    plane[:, :20] = 0.25
    assert still_values(plane, NOWHERE).tolist() == [0.25]


@pytest.mark.parametrize("count", [1, 4, 5])
def test_the_median_is_that_of_numpy(count: int) -> None:
    values = np.random.default_rng(0).normal(size=(6, count))
    np.testing.assert_array_equal(median(values), np.median(values, axis=-1))


@pytest.mark.parametrize("bounded", [True, False])
def test_lines_through_several_columns_are_those_through_each(bounded: bool) -> None:
    random = np.random.default_rng(0)
    values = np.sort(random.uniform(0, 1, (9, 5)), axis=0)
    variances = (0.01 * values + 0.002 - 0.004 * (np.arange(5) > 2)) * random.normal(1, 0.05, values.shape)
    points = Points(values, np.maximum(variances, 1e-6), random.uniform(100, 5000, values.shape))
    together = fit_lines(points, bounded=bounded)
    for column in range(5):
        alone = Points(*(each[:, [column]] for each in (points.values, points.variances, points.counts)))
        np.testing.assert_allclose(together[column], fit_lines(alone, bounded=bounded)[0], rtol=1e-9)
    np.testing.assert_allclose(together[:3, 0], 0.01, rtol=0.15)


def test_a_high_outlier_hardly_moves_the_line() -> None:
    values = np.linspace(0.1, 0.9, 9)[:, None]
    variances = 0.01 * values + 0.001
    variances[4] *= 5
    gain, floor = fit_lines(Points(values, variances, np.full_like(values, 5000.0)))[0]
    assert gain == pytest.approx(0.01, rel=0.02)
    assert floor == pytest.approx(0.001, rel=0.1)
