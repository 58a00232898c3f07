"""Camera noise: what its statistics must be like, and that it changes neither brightness nor what it is given."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from noiseless.errors import SpecError
from noiseless.noise import developing, parse, scenery, shaping
from noiseless.noise.camera import Camera

PLAIN = Camera(untouched=0.0, soft=0.0, relit=0.0, sharpened=0.0)


def scene(seed: int = 0, size: int = 64) -> np.ndarray:
    """A smooth colourful picture between 0.2 and 0.8, float32 (3, size, size)."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0.2, 0.8, (3, 5, 5)).astype(np.float32)
    return np.clip(scenery.resize(coarse, (size, size), scenery.BILINEAR), 0.2, 0.8)


def autocorrelation(noise: np.ndarray, lag: int) -> float:
    """Of rows and columns, channels and pixels pooled."""
    centred = noise - noise.mean(axis=(-2, -1), keepdims=True)
    rows = (centred[..., :-lag] * centred[..., lag:]).mean()
    columns = (centred[..., :-lag, :] * centred[..., lag:, :]).mean()
    return float((rows + columns) / 2 / (centred**2).mean())


def many(camera: Camera, count: int = 60, size: int = 64) -> list[np.ndarray]:
    """Noise fields of different draws."""
    pairs = (camera.pair(scene(seed, size), np.random.default_rng(seed)) for seed in range(count))
    return [noisy - target for noisy, target in pairs]


def test_pair_is_8_bit_and_within_range() -> None:
    clean = scene()
    for seed in range(20):
        noisy, target = Camera().pair(clean, np.random.default_rng(seed))
        assert noisy.shape == target.shape == clean.shape
        assert noisy.dtype == target.dtype == np.float32
        assert np.abs(noisy * 255 - np.rint(noisy * 255)).max() < 1e-3
        assert min(noisy.min(), target.min()) >= 0
        assert max(noisy.max(), target.max()) <= 1


def test_same_generator_same_pair_and_no_mutation() -> None:
    clean = scene()
    kept = clean.copy()
    first = Camera().pair(clean, np.random.default_rng(3))
    second = Camera().pair(clean, np.random.default_rng(3))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(clean, kept)


def test_sample_keeps_the_clean_picture_as_target() -> None:
    clean = scene()
    flat = Camera(level=0.004, soft=1.0, relit=1.0, sharpened=1.0)
    errors = [np.abs(flat.sample(clean, np.random.default_rng(seed)) - clean).mean() for seed in range(10)]
    assert max(errors) < 0.02


@pytest.mark.parametrize("shape", [(31, 47), (3, 31, 47), (2, 3, 16, 24)])
def test_sample_takes_grey_odd_sizes_and_batches(shape: tuple[int, ...]) -> None:
    clean = np.full(shape, 0.5, np.float32)
    noisy = PLAIN.sample(clean, np.random.default_rng(1))
    assert noisy.shape == shape
    assert noisy.std() > 0


def test_other_channels_are_refused() -> None:
    with pytest.raises(SpecError, match="colour"):
        Camera().pair(np.zeros((4, 8, 8), np.float32), np.random.default_rng(0))


def test_untouched_share_is_exactly_clean() -> None:
    same = 0
    for seed in range(300):
        noisy, target = Camera().pair(scene(seed, 16), np.random.default_rng(seed))
        same += bool(np.abs(noisy - target).max() < 0.51 / 255)
    assert 8 <= same <= 48


def test_brightness_does_not_shift() -> None:
    """The mean over many draws is zero within its own scatter, for weak noise and for strong."""
    for level in (0.01, 0.05):
        means = np.array([noise.mean() for noise in many(replace(PLAIN, level=level), 80)])
        assert abs(means.mean()) < 4 * means.std() / np.sqrt(len(means)) + 2e-4
        assert np.abs(means).max() < 0.5 * level + 0.003


@pytest.mark.parametrize("value", [0.0, 3 / 255, 0.99, 1.0])
@pytest.mark.parametrize("resampled", [0.0, 1.0])
def test_the_target_keeps_the_brightness_that_clipping_leaves(value: float, resampled: float) -> None:
    flat = np.full((3, 64, 64), value, np.float32)
    camera = replace(PLAIN, level=12 / 255, compressed=0.0, resampled=resampled)
    pairs = [camera.pair(flat, np.random.default_rng(seed)) for seed in range(40)]
    shift = np.mean([(noisy - flat).mean() for noisy, _ in pairs])
    left = np.mean([(noisy - target).mean() for noisy, target in pairs])
    assert abs(shift) > 0.2 / 255
    assert abs(left) < 0.3 * abs(shift)


def test_the_target_has_no_sharper_colours_than_jpeg_left_in_the_noisy_picture() -> None:
    """Stripes of red and green, one pixel wide and of one luma, which half the resolution cannot hold."""
    stripes = np.full((3, 64, 64), 0.5, np.float32)
    stripes[0, :, ::2], stripes[1, :, ::2] = 0.7, 0.5 - 0.2 * 0.299 / 0.587
    camera = replace(PLAIN, level=0.4 / 255, quality=95, compressed=1.0, resampled=0.0)
    halved = 0
    for seed in range(12):
        noisy, target = camera.pair(stripes, np.random.default_rng(seed))
        colours = [np.std(picture[0] - picture[1]) for picture in (noisy, target)]
        assert colours[1] == pytest.approx(colours[0], abs=0.01)
        halved += bool(colours[1] < 0.05 < np.std(stripes[0] - stripes[1]))
    assert halved > 6


def test_level_is_the_deviation_of_luma_at_middle_grey() -> None:
    grey = np.full((3, 64, 64), 0.45, np.float32)
    camera = replace(PLAIN, level=0.02, compressed=0.0, resampled=0.0)
    for seed in range(12):
        noisy, _ = camera.pair(grey, np.random.default_rng(seed))
        assert (noisy - grey).mean(axis=0).std() == pytest.approx(0.02, rel=0.1)


def test_noise_covers_real_developed_noise() -> None:
    """Published statistics of real noise (lag-1 .4 to .8, channels .2 to .85) lie well within what is drawn."""
    noises = many(replace(PLAIN, level=(2 / 255, 8 / 255)), 80, 96)
    first = np.array([autocorrelation(noise, 1) for noise in noises])
    second = np.array([autocorrelation(noise, 2) for noise in noises])
    channels = np.array([(np.corrcoef(noise.reshape(3, -1)).sum() - 3) / 6 for noise in noises])
    bands = ((first, 0.65, 0.72, 0.80), (second, 0.30, 0.40, 0.55), (channels, 0.30, 0.50, 0.70))
    for values, low, middle, high in bands:
        below, median, above = np.percentile(values, (7, 50, 93))
        assert below < low
        assert above > high
        assert abs(median - middle) < 0.15


def test_sensor_noise_is_zero_mean_and_weak_in_highlights() -> None:
    ramp = np.broadcast_to(np.linspace(0.05, 0.98, 256, dtype=np.float32), (3, 256, 256)).copy()
    generator = np.random.default_rng(0)
    development = replace(developing.draw_development(generator), contrast=0.8, gamma=2.2)
    noises = np.stack([developing.developed_noise(ramp, 2e-3, 1e-6, development, generator) for _ in range(20)])
    profile = noises.std(axis=(0, 1, 2))
    assert np.abs(noises.mean()) < 0.01 * noises.std()
    assert profile[240:].mean() < 0.6 * profile[80:150].mean()


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("red_at", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_demosaicking_returns_flat_colours(directed: bool, red_at: tuple[int, int]) -> None:
    colours = np.broadcast_to(np.array([0.2, 0.5, 0.8], np.float32)[:, None, None], (3, 12, 16))
    mosaic = developing._mosaic(colours, red_at)
    restored = developing.demosaick(mosaic, red_at, mosaic if directed else None)
    np.testing.assert_allclose(restored, colours, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (30, 44), (44, 30)])
def test_spectrum_keeps_the_variance_of_white_noise(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(4)
    luma, chroma = shaping.draw_luma(generator, 1.0), shaping.draw_chroma(generator)
    whites = (generator.standard_normal((3, *size), dtype=np.float32) for _ in range(60))
    fields = [shaping.shape_noise(white, luma, chroma) for white in whites]
    variance = np.mean([field[0].var() for field in fields])
    assert variance == pytest.approx(1 / 3, rel=0.15)
    assert max(np.abs(field[1].sum(axis=0)).max() for field in fields) < 1e-5


def test_octaves_and_blur_lengthen_the_correlation() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 128, 128), dtype=np.float32)
    white = shaping.Spectrum((0.0, 0.0))
    far = [
        autocorrelation(shaping.shape_noise(noise, shaping.Spectrum((0.7, 0.7), octaves), white)[0], 4)
        for octaves in ((), (0.4, 0.4, 0.4))
    ]
    assert abs(autocorrelation(shaping.shape_noise(noise, white, white)[0], 1)) < 0.05
    assert far[0] < 0.02
    assert far[1] > 0.07


def test_jpeg_offset_moves_the_grid_of_blocks() -> None:
    clean = scene(size=32)
    aligned, moved = (scenery.jpeg(clean, 40, 0, offset) for offset in ((0, 0), (3, 5)))
    assert aligned.shape == moved.shape == clean.shape
    assert not np.array_equal(aligned, moved)
    assert np.abs(moved - clean).mean() < 0.05


def test_round_trip_of_text_and_json() -> None:
    camera = Camera.from_text("level=0.002-0.05,compressed=1")
    assert camera.level == (0.002, 0.05)
    assert camera.compressed == 1.0
    assert Camera.from_text(camera.spec.partition(":")[2]) == camera


@pytest.mark.slow
def test_a_pair_costs_as_much_as_a_few_blurs() -> None:
    """12 to 15 of them were measured; they take turns, so that a busy moment falls on both."""
    clean = scene(size=128)
    generator = np.random.default_rng(0)
    pairs = blurs = 0.0
    for _ in range(100):
        start = time.process_time()
        Camera().pair(clean, generator)
        between = time.process_time()
        for _ in range(3):
            gaussian_filter(clean, (0, 2, 2))
        pairs, blurs = pairs + between - start, blurs + (time.process_time() - between) / 3
    assert pairs < 20 * blurs


def test_found_by_name_and_sampled_at_any_size() -> None:
    camera = parse("camera")
    ranged = parse("camera:untouched=0.1-0.3")
    assert ranged.sample(np.full((3, 8, 8), 0.5), np.random.default_rng(0)).shape == (3, 8, 8)
    assert camera == Camera()
    assert not camera.analytic
    for shape in ((1, 1), (3, 1, 1), (3, 0, 4), (1, 5, 2)):
        clean = np.full(shape, 0.5, np.float32)
        for seed in range(10):
            noisy = camera.sample(clean, np.random.default_rng(seed))
            assert noisy.shape == shape
            assert np.isfinite(noisy).all()


def test_native_pictures_have_coarse_colours_and_noise_that_is_strong_in_texture() -> None:
    """Half white noise, half grey: how far colours of neighbours differ, and how much stronger the noise is in one."""
    clean = np.full((3, 64, 64), 0.5, np.float32)
    clean[:, :, :32] += np.random.default_rng(0).normal(0, 0.1, (3, 64, 32)).astype(np.float32)
    clean = clean.clip(0, 1)
    fine, strong = {}, {}
    for native in (0.0, 1.0):
        camera = replace(PLAIN, level=2 / 255, compressed=0.0, resampled=0.0, native=native)
        pairs = [camera.pair(clean, np.random.default_rng(seed)) for seed in range(60)]
        colours = [target - target.mean(axis=0) for _, target in pairs]
        fine[native] = np.mean([np.abs(np.diff(each[:, :, :28])).mean() for each in colours])
        halves = [((noisy - target)[..., :28].std(), (noisy - target)[..., 36:].std()) for noisy, target in pairs]
        strong[native] = np.median([rough / flat for rough, flat in halves])
    assert fine[1.0] < 0.5 * fine[0.0]
    assert strong[1.0] > strong[0.0] + 0.3
