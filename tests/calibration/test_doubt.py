"""Intervals: they hold the truth as often as they say, and are no wider than that takes."""

from __future__ import annotations

import numpy as np
import pytest

import noiseless
from noiseless.calibration import examine_planes
from noiseless.calibration.curve import fit_curve, take_samples
from noiseless.calibration.doubt import curve, gain_interval, level_interval, read_interval
from noiseless.data import samples
from noiseless.noise import parse
from shaded_scenes import scene


@pytest.mark.parametrize(("sigma", "widest"), [(5, 0.06), (15, 0.045), (40, 0.03)])
def test_the_level_of_photographs_lies_in_a_narrow_interval(sigma: float, widest: float) -> None:
    held, halves = [], []
    for seed, path in enumerate([path for kind in ("train", "validation", "test") for path in samples(kind)]):
        clean = noiseless.read(path).planes()[0][1:2]
        noisy = parse(f"gaussian:{sigma}").sample(clean, np.random.default_rng(seed))
        low, high = (255 * end / sigma for end in examine_planes([noisy]).channels[0].sigma_interval)
        held.append(low <= 1 <= high)
        halves.append((high - low) / 2)
    assert np.mean(held) >= 0.9
    assert np.median(halves) < widest


def test_points_far_from_the_line_widen_every_interval() -> None:
    """The same image, half of which has other noise: no line fits, and none is claimed to."""
    even = parse("poisson-gaussian:gain=0.01,read=0.02").sample(scene(240), np.random.default_rng(0))[0]
    uneven = even.copy()
    lit = even > 0.5
    uneven[lit] += 0.08 * np.random.default_rng(1).standard_normal(int(lit.sum())).astype(np.float32)
    fits = [fit_curve(take_samples([image])) for image in (even, uneven)]
    assert fits[0] is not None
    assert fits[1] is not None
    for interval in (level_interval, gain_interval, read_interval):
        widths = [high - low for low, high in (interval(fit, clipped=False) for fit in fits if fit is not None)]
        assert widths[1] > 1.5 * widths[0], interval


def test_a_curve_is_less_sure_beyond_what_was_seen() -> None:
    dark = 0.3 * scene(240)
    fit = fit_curve(
        take_samples([parse("poisson-gaussian:gain=0.01,read=0.02").sample(dark, np.random.default_rng(0))[0]])
    )
    assert fit is not None
    points = curve(fit, clipped=False)
    halves = {round(point.value, 2): (point.interval[1] - point.interval[0]) / point.sigma for point in points}
    assert halves[0.95] > 1.5 * halves[0.15]
    assert all(low <= high for low, high in (point.interval for point in points))
    clipped = curve(fit, clipped=True)
    assert all(one.interval[1] > other.interval[1] for one, other in zip(clipped, points, strict=True))


@pytest.mark.parametrize("side", [32, 96])
def test_an_area_of_one_brightness_does_not_tell_gain_from_read_noise(side: int) -> None:
    """Both could be all of the noise, or nothing of it; what they make together is known."""
    even = np.full((1, side, side), 0.6, np.float32)
    fit = fit_curve(
        take_samples([parse("poisson-gaussian:gain=0.01,read=0.02").sample(even, np.random.default_rng(0))[0]])
    )
    assert fit is not None
    gain, read = gain_interval(fit, clipped=False), read_interval(fit, clipped=False)
    assert gain[0] <= 0.01 <= gain[1] < 0.025
    assert read[0] <= 0.02 <= read[1] < 0.13
    points = {round(point.value, 2): point.interval for point in curve(fit, clipped=False)}
    assert points[0.6][0] <= np.sqrt(0.0064) <= points[0.6][1] < 0.09
    assert points[0][0] <= 0.02 <= points[0][1]


def test_a_product_on_white_in_8_bits_does_not_pretend_to_know_the_noise_of_its_dark_parts() -> None:
    """What clipping leaves to look at is of a single brightness."""
    picture = np.ones((1, 200, 200), np.float32)
    picture[:, 60:100, 60:100] = 0.9
    noisy = parse("poisson-gaussian:gain=0.003,read=0.01").sample(picture, np.random.default_rng(0))
    found = examine_planes([(np.rint(noisy.clip(0, 1) * 255) / 255).astype(np.float32)])
    (channel,) = found.channels
    assert channel.gain_interval[0] <= 0.003 <= channel.gain_interval[1]
    assert channel.read_interval[0] <= 0.01 <= channel.read_interval[1]
    assert any("whether noise grows with brightness" in warning for warning in found.warnings)
