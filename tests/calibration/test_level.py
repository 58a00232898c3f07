"""The blind estimate of the level of white noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from noiseless.calibration import noise_level
from noiseless.data import samples
from noiseless.errors import InputError
from noiseless.io import read
from shaded_scenes import as_8_bit, scene


def noise(shape: tuple[int, ...], sigma: float, seed: int = 0) -> np.ndarray:
    return sigma * np.random.default_rng(seed).standard_normal(shape)


LEVELS = [2 / 255, 5 / 255, 15 / 255, 25 / 255, 50 / 255]


@pytest.mark.parametrize("sigma", LEVELS)
def test_texture_does_not_fool_it(sigma: float) -> None:
    clean = scene()
    assert clean[:, 90:].std() > 0.1
    assert noise_level(clean + noise(clean.shape, sigma)) == pytest.approx(sigma, rel=0.06)


@pytest.mark.parametrize("sigma", LEVELS)
def test_rounding_and_clipping_do_not_fool_it(sigma: float) -> None:
    for brightness in (0.0, -0.25, 0.4):
        image = scene() + brightness
        assert noise_level(as_8_bit(image + noise(image.shape, sigma))) == pytest.approx(sigma, rel=0.12)


def test_each_channel_has_its_own() -> None:
    clean = np.repeat(scene(), 3, axis=0)
    sigmas = np.array([0.02, 0.0, 0.1])
    noisy = clean + sigmas[:, None, None] * noise(clean.shape, 1.0)
    levels = noise_level(noisy.astype(np.float32))
    assert levels.shape == (3,)
    assert levels.dtype == np.float64
    assert levels == pytest.approx(sigmas, rel=0.06, abs=0.003)


def test_unit_and_offset_do_not_matter() -> None:
    noisy = scene() + noise((1, 160, 160), 0.05)
    expected = noise_level(noisy)
    assert noise_level(noisy * 4095 - 1000) == pytest.approx(expected * 4095, rel=1e-3)
    assert noise_level(noisy * 1e200) == pytest.approx(expected * 1e200, rel=1e-3)
    counts = np.rint(noisy * 4095).astype(np.int32)
    assert noise_level(counts) == pytest.approx(expected * 4095, rel=1e-2)


def test_a_small_frame_with_nothing_else_has_none() -> None:
    image = np.full((1, 20, 20), 0.5)
    image[0, 10, 10], image[0, 10, 11] = 0.0, 1.0
    assert noise_level(image) == 0


@pytest.mark.parametrize("size", [16, 24, 48, 128])
def test_pure_noise_of_any_size(size: int) -> None:
    levels = [noise_level(0.5 + noise((1, size, size), 0.1, seed))[0] for seed in range(8)]
    assert np.mean(levels) == pytest.approx(0.1, rel=0.15)


def test_frames_and_masks_do_not_count() -> None:
    noisy = scene() + noise((1, 160, 160), 0.05)
    for value in (0.0, 0.5, 1.0):
        framed = np.pad(noisy, ((0, 0), (60, 60), (60, 60)), constant_values=value)
        assert noise_level(framed) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 9), (2, 8, 8), (1, 40, 50)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -3.0])
def test_constant_images_have_none(shape: tuple[int, ...], value: float) -> None:
    np.testing.assert_array_equal(noise_level(np.full(shape, value)), np.zeros(shape[0]))


def test_pictures_that_were_drawn_have_none() -> None:
    y, x = np.mgrid[:120, :120]
    discs = 1.0 - 0.3 * ((x - 40) ** 2 + (y - 50) ** 2 < 900) - 0.5 * ((x - 80) ** 2 + (y - 70) ** 2 < 700)
    text = (np.random.default_rng(0).random((1, 120, 120)) < 0.5) & (x > 50) & (x < 70) & (y % 12 < 6)
    ramp = np.broadcast_to(np.linspace(0, 1, 120), (1, 120, 120))
    for drawn in (discs[None], 1.0 - text, ramp, as_8_bit(ramp)):
        assert noise_level(drawn) == pytest.approx(0, abs=0.002)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(1, 20)),
        elements=st.floats(-100, 100, width=32),
    )
)
@settings(max_examples=60, deadline=None)
def test_any_image_has_a_finite_level(image: np.ndarray) -> None:
    before = image.copy()
    levels = noise_level(image)
    assert levels.shape == image.shape[:1]
    assert np.isfinite(levels).all()
    assert (levels >= 0).all()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4)), np.zeros((1, 0, 4)), np.full((1, 9, 9), np.nan), np.full((1, 9, 9), np.inf)]
)
def test_refuses(bad: np.ndarray) -> None:
    with pytest.raises(InputError):
        noise_level(bad)


@pytest.mark.parametrize("stored", [False, True])
def test_natural_images(shared_data: Path, stored: bool) -> None:
    files = sorted((shared_data / "benchmark" / "cbsd68").glob("*.png"))[::12]
    if not files:
        pytest.skip("CBSD68 is not among the development data")
    for sigma in (5 / 255, 25 / 255):
        found: list[float] = []
        for seed, file in enumerate(files):
            clean = np.moveaxis(np.asarray(Image.open(file), np.float32) / 255, -1, 0)
            noisy = clean + noise(clean.shape, sigma, seed)
            found.extend(noise_level(as_8_bit(noisy) if stored else noisy))
        assert np.median(np.abs(np.array(found) / sigma - 1)) < 0.03
        assert np.quantile(np.abs(np.array(found) / sigma - 1), 0.9) < 0.1


def test_the_median_error_on_cbsd68(shared_data: Path) -> None:
    files = sorted((shared_data / "benchmark" / "cbsd68").glob("*.png"))[::4]
    if not files:
        pytest.skip("CBSD68 is not among the development data")
    errors: list[float] = []
    for seed, file in enumerate(files):
        clean = np.moveaxis(np.asarray(Image.open(file), np.float32) / 255, -1, 0)
        sigma = LEVELS[1:][seed % 4]
        errors.extend(np.abs(np.asarray(noise_level(clean + noise(clean.shape, sigma, seed))) / sigma - 1))
    assert np.median(errors) <= 0.1


@pytest.mark.parametrize("sigma", LEVELS[1:])
def test_shipped_photographs(sigma: float) -> None:
    errors: list[float] = []
    for seed, file in enumerate([*samples("test"), *samples("validation")]):
        pixels = read(file).array[:256, :256].astype(np.float32) / 255
        clean = np.moveaxis(pixels, -1, 0)
        found = np.asarray(noise_level(clean + noise(clean.shape, sigma, seed)))
        errors.extend(np.abs(found / sigma - 1))
    assert np.median(errors) <= 0.1


def test_a_level_for_each_channel_of_a_photograph() -> None:
    clean = np.moveaxis(read(samples("test")[0]).array[:256, :256].astype(np.float32) / 255, -1, 0)
    sigma = np.array([5, 15, 40]) / 255
    found = np.asarray(noise_level(clean + sigma[:, None, None] * noise(clean.shape, 1.0)))
    np.testing.assert_allclose(found, sigma, rtol=0.1)
