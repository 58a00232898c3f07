"""What each noise model looks like, and that its formulas are those of its distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, rice, truncnorm

from noiseless.errors import InputError, SpecError
from noiseless.noise import (
    Clip,
    Correlated,
    Gaussian,
    Jpeg,
    Noise,
    Poisson,
    PoissonGaussian,
    Quantize,
    Rician,
    SaltAndPepper,
    Speckle,
    Stripes,
    parse,
)
from noiseless.noise.clip import FEW, censored_moments, moments_beyond
from noiseless.noise.rician import rice_moments


def sample(noise: Noise, clean: np.ndarray, seed: int = 0) -> np.ndarray:
    return noise.sample(clean, np.random.default_rng(seed)).astype(np.float64)


FLAT = np.full((3, 64, 64), 0.5, np.float32)


@pytest.mark.parametrize(
    ("noise", "value", "variance"),
    [
        (Gaussian(sigma=0.1), 0.3, 0.01),
        (Gaussian(sigma=(0, 0.3)), 0.3, 0.03),
        (Poisson(gain=0.02), 0.3, 0.006),
        (Poisson(gain=(0, 0.02)), 0.3, 0.003),
        (Poisson(gain=0.02), -0.3, 0.0),
        (PoissonGaussian(gain=0.02, read=0.1), 0.3, 0.016),
        (Speckle(looks=4), 0.6, 0.09),
        (SaltAndPepper(amount=0.2), 0.5, 0.05),
        (SaltAndPepper(amount=1), 0.1, 0.25),
        (Rician(sigma=0.1), 0.0, 0.01 * (2 - np.pi / 2)),
        (Stripes(sigma=0.05), 0.3, 0.0025),
        (Correlated(sigma=0.05, length=2), 0.3, 0.0025),
        (Quantize(bits=2), 0.3, 1 / 108),
        (Clip(), 0.3, 0.0),
        (parse("gaussian:sigma=0.1+gaussian:sigma=0.2"), 0.3, 0.05),
        (parse("speckle:4+speckle:4"), 0.6, 0.09 + (0.09 + 0.36) / 4),
        (parse("poisson:gain=0.02+stripes:sigma=0.1"), 0.3, 0.016),
        (parse("clip+gaussian:sigma=0.1"), 7.0, 0.01),
    ],
)
def test_variance_is_the_formula(noise: Noise, value: float, variance: float) -> None:
    assert noise.variance(np.full((2, 2), value))[0, 0] == pytest.approx(variance, rel=1e-6)


def test_a_number_for_each_channel() -> None:
    noise = Gaussian(sigma=[0.1, 0, 0.3])
    np.testing.assert_allclose(sample(noise, FLAT).std((1, 2)), [0.1, 0, 0.3], rtol=0.05)
    np.testing.assert_allclose(noise.variance(FLAT)[:, 5, 5], [0.01, 0, 0.09])
    assert noise.sample(np.stack([FLAT, FLAT]), np.random.default_rng(0)).shape == (2, 3, 64, 64)
    with pytest.raises(SpecError, match="3 channels: got an image of 1"):
        noise.variance(FLAT[:1])
    with pytest.raises(SpecError, match="3 channels"):
        (noise + Clip()).sample(FLAT[0], np.random.default_rng(0))


def test_poisson_counts_are_multiples_of_the_gain() -> None:
    counts = sample(Poisson(gain=0.125), FLAT) / 0.125
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-5)
    np.testing.assert_array_equal(sample(Poisson(gain=0), -FLAT), -FLAT)


def test_poisson_of_many_photons() -> None:
    assert sample(Poisson(gain=1e-11), FLAT) == pytest.approx(0.5, abs=1e-4)


def test_salt_and_pepper_replaces_the_share_it_says() -> None:
    noisy = sample(SaltAndPepper(amount=0.3), FLAT)
    assert (noisy == 0).mean() == pytest.approx(0.15, abs=0.02)
    assert (noisy == 1).mean() == pytest.approx(0.15, abs=0.02)
    assert (noisy == 0.5).mean() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("value", [0.0, 0.05, 0.2, 1.0, 2.5])
def test_rician_moments_are_those_of_scipy(value: float) -> None:
    mean, variance = rice_moments(np.array([value, -value]), np.array(0.1))
    np.testing.assert_allclose(mean, rice.mean(value / 0.1, scale=0.1), rtol=1e-9)
    np.testing.assert_allclose(variance, rice.var(value / 0.1, scale=0.1), rtol=1e-5)


def test_rician_where_sigma_is_tiny_or_none() -> None:
    mean, variance = rice_moments(np.array([0.5, 0.5, 0.0]), np.array([1e-5, 0.0, 0.0]))
    np.testing.assert_allclose(mean, [0.5, 0.5, 0.0])
    np.testing.assert_allclose(variance, [1e-10, 0.0, 0.0])
    np.testing.assert_array_equal(sample(Rician(sigma=0), FLAT), FLAT)


@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.02, 0.5, 0.99, 1.4])
@pytest.mark.parametrize("sigma", [1e-9, 0.01, 0.3, 4.0])
def test_censored_moments_are_those_of_a_clipped_normal(mean: float, sigma: float) -> None:
    values = np.clip(norm.ppf((np.arange(200_000) + 0.5) / 200_000, mean, sigma), 0, 1)
    got_mean, got_variance = censored_moments(np.array(mean), np.array(sigma**2))
    assert got_mean == pytest.approx(values.mean(), rel=1e-4, abs=1e-6)
    assert got_variance == pytest.approx(values.var(), rel=1e-3, abs=1e-9)


def test_censored_moments_are_the_same_for_few_values_and_for_many() -> None:
    mean, variance = np.linspace(-1, 2, 301), np.full(301, 0.09)
    many = censored_moments(np.tile(mean, FEW), np.tile(variance, FEW))
    np.testing.assert_allclose(censored_moments(mean, variance), [each[:301] for each in many], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("limit", [-0.4, 0.0, 0.05, 0.3, 0.9])
def test_moments_beyond_are_those_of_what_is_clipped(limit: float) -> None:
    expected = truncnorm.stats(limit / 0.1, np.inf, scale=0.1)
    np.testing.assert_allclose(moments_beyond(np.array(limit), np.array(0.01)), expected, rtol=1e-6)


@pytest.mark.parametrize("side", [-1, 1])
def test_moments_beyond_of_counts_are_skewed(side: int) -> None:
    gain, read, value, limit = 0.01, 0.03, 0.95, 0.05
    noise = PoissonGaussian(gain, read).sample(np.full((1, 1000, 1000), value, np.float32), np.random.default_rng(0))
    beyond = side * (noise.astype(np.float64) - value)
    beyond = beyond[beyond > limit]
    variance, third = np.array(gain * value + read**2), side * gain**2 * value
    mean, spread = moments_beyond(np.array(limit), variance, third)
    assert mean == pytest.approx(beyond.mean(), rel=3e-3)
    assert spread == pytest.approx(beyond.var(), rel=1e-2)
    assert moments_beyond(np.array(limit), variance)[1] != pytest.approx(beyond.var(), rel=5e-2)


def test_moments_beyond_a_limit_that_noise_hardly_reaches() -> None:
    mean, variance = moments_beyond(np.array([0.5, 1.0]), np.array([1e-4, 0.0]))
    np.testing.assert_allclose(mean, [0.5, 1.0], rtol=1e-3)
    assert (variance >= 0).all()
    assert (variance < 1e-6).all()


@pytest.mark.parametrize(("axis", "along"), [("rows", -1), ("columns", -2)])
def test_stripes_run_along_their_axis(axis: str, along: int) -> None:
    stripes = sample(Stripes(sigma=0.1, axis=axis), FLAT) - 0.5  # type: ignore[arg-type]
    np.testing.assert_allclose(np.ptp(stripes, axis=along), 0, atol=1e-6)
    assert stripes.std() == pytest.approx(0.1, rel=0.2)
    assert abs(np.corrcoef(stripes.reshape(3, -1))[0, 1]) < 0.5


@pytest.mark.parametrize("length", [0.4, 0.7, 1.5, 4.0])
def test_correlated_noise_has_its_length_and_a_true_spread(length: float) -> None:
    zero = np.zeros((40, 64, 80), np.float32)
    noise = sample(Correlated(sigma=0.1, length=length), zero)
    for part in (noise, noise[:, 0], noise[:, :, -1], noise[:, 0, 0]):
        assert np.sqrt((part**2).mean()) == pytest.approx(0.1, rel=0.03 if part.size > 1e5 else 0.3)
    for distance in (1, 2, 3):
        expected = np.exp(-(distance**2) / (2 * length**2))
        for near, far in (
            (noise[..., distance:, :], noise[..., :-distance, :]),
            (noise[..., distance:], noise[..., :-distance]),
        ):
            assert (near * far).mean() / 0.01 == pytest.approx(expected, abs=0.04)


def test_correlated_without_length_is_white() -> None:
    noise = sample(Correlated(sigma=0.1, length=0), FLAT) - 0.5
    assert abs((noise[..., 1:] * noise[..., :-1]).mean()) / 0.01 < 0.05


def test_quantize_has_as_many_levels_as_it_says() -> None:
    ramp = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    assert len(np.unique(sample(Quantize(bits=3), ramp))) == 8
    eight = np.arange(256, dtype=np.float32).reshape(16, 16) / 255
    np.testing.assert_allclose(sample(Quantize(bits=8), eight), eight, atol=1e-7)


def test_clip_clips() -> None:
    np.testing.assert_array_equal(sample(Clip(), np.array([[-1.0, 0.5, 2.0]])), [[0, 0.5, 1]])


def photograph(channels: int = 3) -> np.ndarray:
    """Smooth shapes with edges, (channels, 64, 64)."""
    y, x = np.mgrid[:64, :64] / 64
    planes = [
        0.5 + 0.3 * np.sin(6 * x + k) * np.cos(5 * y) + 0.1 * ((x - 0.5) ** 2 + y**2 < 0.2) for k in range(channels)
    ]
    return np.stack(planes).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_loses_more_at_lower_quality(channels: int) -> None:
    clean = photograph(channels)
    loss = [np.mean((sample(Jpeg(quality=quality), clean) - clean) ** 2) for quality in (5, 30, 95)]
    assert loss[0] > loss[1] > loss[2] > 0
    assert loss[2] < 1e-3


def test_jpeg_of_three_channels_is_colour() -> None:
    clean = photograph()
    grey = np.stack([sample(Jpeg(quality=60), plane) for plane in clean])
    assert np.abs(sample(Jpeg(quality=60), clean) - grey).max() > 0.01


def test_jpeg_is_8_bit_and_clipped() -> None:
    noisy = sample(Jpeg(quality=50), 3 * photograph() - 1)
    np.testing.assert_allclose(noisy * 255, np.rint(noisy * 255), atol=1e-4)
    assert noisy.min() >= 0
    assert noisy.max() <= 1


def test_jpeg_refuses_a_side_that_the_format_cannot_hold() -> None:
    with pytest.raises(InputError, match="too large for JPEG"):
        sample(Jpeg(quality=50), np.zeros((1, 65501)))


def test_order_of_a_chain_matters() -> None:
    assert sample(parse("gaussian:100+clip"), FLAT).max() == 1
    assert sample(parse("clip+gaussian:100"), FLAT).max() > 1
