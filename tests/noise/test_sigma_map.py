"""The standard deviation map that a conditioned network is told."""

from __future__ import annotations

import numpy as np
import pytest

from noiseless.noise import Gaussian, PoissonGaussian, parse


def test_is_constant_where_the_noise_is() -> None:
    noisy = np.random.default_rng(0).standard_normal((3, 16, 16))
    np.testing.assert_array_equal(Gaussian(sigma=0.1).sigma_map(noisy), np.float32(0.1))
    np.testing.assert_allclose(parse("gaussian:sigma=0.3+stripes:0.4").sigma_map(noisy), 0.5, rtol=1e-6)


def test_follows_brightness_with_little_noise_of_its_own() -> None:
    noise = PoissonGaussian(gain=0.02, read=0.01)
    clean = np.full((1, 96, 96), 0.2, np.float32)
    clean[..., 48:] = 0.8
    sigma = noise.sigma_map(noise.sample(clean, np.random.default_rng(0)))
    truth = np.sqrt(noise.variance(clean))
    assert np.abs(sigma / truth - 1)[..., :40].mean() < 0.1
    assert np.abs(sigma / truth - 1)[..., 56:].mean() < 0.1


def test_dark_pixels_are_not_told_to_be_free_of_noise() -> None:
    noise = parse("poisson:gain=0.05")
    clean = np.full((1, 128, 128), 0.05, np.float32)
    noisy = noise.sample(clean, np.random.default_rng(0))
    assert (noisy == 0).mean() > 0.3
    assert (noise.sigma_map(noisy) == 0).mean() < 0.001


def test_negative_values_count_as_zero() -> None:
    assert parse("poisson-gaussian:gain=0.1,read=0.2").sigma_map(np.full((8, 8), -3.0)) == pytest.approx(0.2)


def test_of_a_batch_is_that_of_its_images() -> None:
    noise = parse("speckle:4")
    batch = np.random.default_rng(0).random((2, 3, 16, 16))
    np.testing.assert_array_equal(noise.sigma_map(batch)[1], noise.sigma_map(batch[1]))


def test_a_network_is_told_more_of_correlated_noise() -> None:
    flat = np.full((3, 8, 8), 0.5, np.float32)
    assert parse("correlated:sigma=0.1,length=0").told_map(flat) == pytest.approx(0.1)
    assert parse("correlated:sigma=0.1,length=0.2").told_map(flat) == pytest.approx(0.1, rel=1e-3)
    short, long = (parse(f"correlated:sigma=0.1,length={length}").told_map(flat).max() for length in (0.7, 1.5))
    assert 0.20 < short < 0.21
    assert 0.40 < long < 0.41
    chain = parse("gaussian:sigma=0.1+correlated:sigma=0.1,length=0.7").told_map(flat)
    assert chain == pytest.approx(np.hypot(0.1, short), rel=1e-5)
    assert parse("gaussian:sigma=0.1").told_map(flat) == pytest.approx(0.1)


def test_a_network_is_told_the_noise_before_clipping() -> None:
    dark = np.zeros((3, 8, 8), np.float32)
    assert parse("gaussian:sigma=0.1+clip").told_map(dark) == pytest.approx(0.1)
    assert parse("gaussian:sigma=0.1+clip").sigma_map(dark).max() < 0.07
    assert parse("clip").told_map(dark).max() == 0
