"""The line of the variance over brightness."""

from __future__ import annotations

import numpy as np
import pytest

from noiseless.calibration.curve import Fit, fit_curve, take_samples
from noiseless.noise import Gaussian, Noise, PoissonGaussian
from shaded_scenes import as_8_bit, scene

VALUES = np.linspace(0.05, 0.95, 19)


def fitted(noise: Noise, *, stored: bool = False, images: int = 1, brightness: float = 0.0) -> Fit:
    clean = [np.clip(scene(240, seed)[0] + brightness, 0, 1) for seed in range(images)]
    noisy = [noise.sample(each, np.random.default_rng(seed)) for seed, each in enumerate(clean)]
    fit = fit_curve(take_samples([as_8_bit(each) if stored else each for each in noisy]))
    assert fit is not None
    return fit


def curve_error(fit: Fit, gain: float, read: float) -> float:
    return float(np.mean(np.abs(np.sqrt(fit.line.variance(VALUES) / (gain * VALUES + read**2)) - 1)))


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("gain", "read"), [(0.001, 0.02), (0.003, 0.01), (0.01, 0.05), (0.03, 0.02)])
def test_photon_noise(gain: float, read: float, stored: bool) -> None:
    fit = fitted(PoissonGaussian(gain, read), stored=stored)
    assert curve_error(fit, gain, read) < 0.1
    assert fit.line.gain == pytest.approx(gain, rel=0.3)


def test_the_same_everywhere_is_a_level() -> None:
    fit = fitted(Gaussian(0.05))
    assert np.sqrt(fit.level) == pytest.approx(0.05, rel=0.03)
    assert np.ptp(np.sqrt(fit.line.variance(np.array(fit.span)))) < 0.01


def test_several_images_tell_more() -> None:
    one, many = (fitted(PoissonGaussian(0.01, 0.02), images=count) for count in (1, 4))
    spread = [fit.replicates[:, 0].std() for fit in (one, many)]
    assert spread[1] < spread[0]
    assert many.line.gain == pytest.approx(0.01, rel=0.1)


def test_black_that_is_not_0_gives_a_floor_below_0() -> None:
    clean = scene(240)[0]
    raised = PoissonGaussian(0.01, 0.005).sample(clean, np.random.default_rng(0)) * 0.8 + 0.2
    fit = fit_curve(take_samples([raised]))
    assert fit is not None
    assert -fit.free.floor / fit.free.gain == pytest.approx(0.2, abs=0.05)


def test_nothing_to_look_at_is_no_fit() -> None:
    assert fit_curve(take_samples([np.zeros((40, 40)), np.zeros((3, 90))])) is None
    assert fit_curve(take_samples([])) is None
