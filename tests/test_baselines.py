"""Classical denoisers: each removes noise, and all have the call of a Denoiser."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

import tiny_runs
from noiseless import baselines, noise
from noiseless.errors import Cancelled, ConfigError, MissingExtraError, SigmaError, UnknownNameError
from noiseless.image import Image
from noiseless.metrics import psnr

NAMES = list(baselines.BASELINES)


def load(name: str) -> baselines.Baseline:
    """A baseline, where its packages are installed."""
    try:
        return baselines.load(name)
    except MissingExtraError as error:
        pytest.skip(str(error))


def scene(*, colour: bool, sigma: float = 25 / 255, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A clean picture (C, H, W) in [0, 1] units and a noisy one."""
    grey = tiny_runs.pictures(1, seed=3, size=size)[0][0] / np.float32(255)
    clean = np.stack([grey, 1 - grey, 0.8 * grey]) if colour else grey[None]
    noisy = clean + sigma * np.random.default_rng(0).standard_normal(clean.shape)
    return clean, noisy.astype(np.float32)


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "identity"])
def test_noise_is_removed(name: str, colour: bool) -> None:
    clean, noisy = scene(colour=colour)
    before = noisy.copy()
    restored = load(name)(noisy, noise="gaussian:25", channel_axis=0, data_range=1.0)
    assert restored.dtype == np.float32
    assert psnr(restored, clean) > psnr(noisy, clean) + (2 if name == "median" else 4)
    assert np.array_equal(noisy, before)


@pytest.mark.parametrize("name", NAMES)
def test_integers_come_back_in_their_type_and_shape(name: str) -> None:
    _, noisy = scene(colour=True, size=32)
    for array in (np.uint8(noisy[0].clip(0, 1) * 255), np.uint16(noisy.transpose(1, 2, 0).clip(0, 1) * 65535)):
        restored = load(name)(array, noise="gaussian:25")
        assert (restored.dtype, restored.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (8, 8), (3, 7, 9), (2, 20, 20)], ids=str)
def test_any_size_and_number_of_channels(name: str, shape: tuple[int, ...]) -> None:
    noisy = np.random.default_rng(0).random(shape, np.float32)
    restored = load(name)(noisy, noise=0.1, channel_axis=0 if len(shape) == 3 else None)
    assert restored.shape == shape
    assert np.isfinite(restored).all()


@pytest.mark.parametrize("name", NAMES)
def test_constant_and_grey_images_stored_as_colour(name: str) -> None:
    grey = np.repeat(scene(colour=False, size=32)[1], 3, axis=0)
    for image in (np.full((3, 32, 32), 0.25, np.float32), grey):
        restored = load(name)(image, noise=0.1, channel_axis=0)
        assert np.isfinite(restored).all()
        assert restored.mean() == pytest.approx(image.mean(), abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_strength_and_no_noise(name: str) -> None:
    _, noisy = scene(colour=False, size=32)
    model = load(name)
    whole = model(noisy[0], noise="gaussian:25")
    assert np.array_equal(model(noisy[0], noise="gaussian:25", strength=0.0), noisy[0])
    half = model(noisy[0], noise="gaussian:25", strength=0.5)
    np.testing.assert_allclose(half, (noisy[0] + whole) / 2, atol=1e-6)
    if model.takes_sigma:
        assert np.array_equal(model(noisy[0], noise=0.0), noisy[0])
    with pytest.raises(ConfigError, match="0 to 1"):
        model(noisy[0], strength=1.5)


def test_the_level_is_estimated_where_nobody_says_it() -> None:
    clean, noisy = scene(colour=False, size=96)
    told, estimated = (load("tv")(noisy[0], noise=level) for level in ("gaussian:25", "auto"))
    assert psnr(estimated, clean[0]) == pytest.approx(psnr(told, clean[0]), abs=0.5)


def test_what_a_method_is_told() -> None:
    model = baselines.BM3D
    planes = np.full((2, 3, 8, 8), 0.25, np.float32)
    assert model.sigma(planes, "gaussian:25") == pytest.approx(np.full((2, 3), 25 / 255))
    per_channel = noise.Gaussian(sigma=[0.1, 0.2, 0.3])
    assert model.sigma(planes, per_channel)[1] == pytest.approx([0.1, 0.2, 0.3])
    assert model.sigma(planes, noise.Poisson(gain=0.04))[0] == pytest.approx(np.full(3, math.sqrt(0.04 * 0.25)))
    half = np.where(np.arange(8) < 4, 0.3, 0.1).astype(np.float32)
    assert model.sigma(planes, half)[0, 0] == pytest.approx(math.sqrt((0.3**2 + 0.1**2) / 2))
    assert not baselines.MEDIAN.sigma(planes, "gaussian:25").any()


def test_correlated_noise_is_seen_where_nobody_says_its_level() -> None:
    """As of a developed photograph: its finest detail, where white noise is measured, holds next to none."""
    clean, _ = scene(colour=False, size=256)
    noisy = noise.parse("correlated:sigma=0.05,length=1.2").sample(np.float32(clean), np.random.default_rng(1))
    assert baselines.TV.sigma(noisy[None], "auto")[0, 0] == pytest.approx(0.05, rel=0.25)
    restored = load("nlm")(noisy, channel_axis=0, data_range=1.0)
    assert psnr(restored, clean) > psnr(noisy, clean) + 2


def test_levels_that_say_nothing() -> None:
    image = np.zeros((16, 16), np.float32)
    with pytest.raises(SigmaError, match="range"):
        baselines.TV(image, noise="gaussian:0-55")
    with pytest.raises(SigmaError, match="negative"):
        baselines.TV(image, noise=-0.1)
    with pytest.raises(SigmaError, match="fit"):
        baselines.TV(image, noise=np.zeros((3, 5)))


def test_patches_of_non_local_means_follow_the_published_table() -> None:
    seen = [baselines._nlm_sizes(sigma, colour=True)[:2] for sigma in (25.0, 26.0, 60.0)]
    assert seen == [(3, 10), (5, 17), (7, 17)]
    clean, noisy = scene(colour=True)
    at, below = (load("nlm")(noisy, noise=f"gaussian:{s}", channel_axis=0, data_range=1.0) for s in (25, 24.99))
    assert psnr(at, clean) == pytest.approx(psnr(below, clean), abs=0.05)  # 25/255 in float32 is a little above 25


def test_a_missing_package_is_named_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("bm3d", "nlm", "wavelet", "tv"):
        with pytest.raises(MissingExtraError, match=r'pip install "noiseless\[baselines\]"'):
            baselines.load(name)
    baselines.load("median")


def test_names() -> None:
    with pytest.raises(UnknownNameError, match="bm3d"):
        baselines.load("bmd3")
    assert all(load(name).name == name for name in NAMES)


def test_stacks_tell_how_far_they_are_and_can_be_stopped() -> None:
    stack = Image.from_array(np.zeros((3, 16, 16), np.float32))
    told: list[float] = []
    baselines.MEDIAN.image(stack, progress=told.append)
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    with pytest.raises(Cancelled):
        baselines.MEDIAN.image(stack, cancel=lambda: True)
    assert len(baselines.MEDIAN.batch([stack.array[0]] * 2, noise="auto")) == 2
