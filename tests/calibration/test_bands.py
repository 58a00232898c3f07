"""Correlated noise told from white noise and from texture, band by band, and where half of it is clipped."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import noiseless
from noiseless.calibration import examine, examine_planes
from noiseless.calibration.bands import measure_bands
from noiseless.calibration.patches import NOWHERE
from noiseless.calibration.texture import take_blocks
from noiseless.data import samples
from noiseless.noise import parse
from shaded_scenes import as_8_bit


def found(image: np.ndarray) -> bool:
    return measure_bands(take_blocks([image], NOWHERE)).weakens


def noise(spec: str, seed: int = 0) -> np.ndarray:
    """Noise alone, (256, 256)."""
    return np.asarray(parse(spec).sample(np.zeros((1, 256, 256)), np.random.default_rng(seed))[0])


def gravel(seed: int = 0) -> np.ndarray:
    """Texture all over, of a spectrum that falls with a power of the frequency, livelier here than there."""
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    frequency[0, 0] = 1
    texture = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(seed).standard_normal((256, 256))) / frequency**1.5)
    lively = np.exp(gaussian_filter(np.random.default_rng(seed + 9).standard_normal((256, 256)), 12) * 12)
    return np.asarray(0.04 * lively * (texture - texture.mean()) / texture.std(), np.float32)


@pytest.mark.parametrize("length", [0.7, 1, 1.5, 3])
def test_correlated_noise_weakens_towards_fine_detail(length: float) -> None:
    assert found(noise(f"correlated:sigma=0.03,length={length}"))


def test_white_noise_does_not() -> None:
    assert not found(noise("gaussian:8"))


@pytest.mark.parametrize("seed", [0, 1])
def test_texture_is_uneven_and_white_noise_under_it_is_white(seed: int) -> None:
    assert not found(gravel(seed))
    assert not found(gravel(seed) + noise("gaussian:5", seed))


@pytest.mark.parametrize("length", [0.7, 1.5, 3])
def test_correlated_noise_shows_under_texture(length: float) -> None:
    """Also where it is so long that texture is stronger in most bands."""
    assert found(gravel() + noise(f"correlated:sigma=0.03,length={length}"))


def test_long_noise_shows_in_the_coarsest_band_of_a_photograph_without_flat_area() -> None:
    path = next(path for path in samples("train") + samples("validation") if path.stem == "orange-hallway")
    clean = noiseless.read(path).planes()[0][1:2, 128:384, 128:384]
    noisy = parse("correlated:sigma=0.02,length=3").sample(clean, np.random.default_rng(0))
    assert examine_planes([noisy]).kind == "correlated"
    assert examine_planes([clean]).kind != "correlated"


@pytest.mark.parametrize("seed", [46, 57, 61])
def test_smooth_texture_falls_as_steeply_and_goes_on_rising_at_half_the_size(seed: int) -> None:
    picture = 0.5 + 2 * gravel(seed)
    assert measure_bands(take_blocks([picture], NOWHERE)).long
    assert examine_planes([picture[np.newaxis]]).kind != "correlated"


@pytest.mark.parametrize(
    ("spec", "kind"), [("correlated:sigma=0.03,length=1", "correlated"), ("gaussian:8", "gaussian")]
)
def test_noise_on_paper_of_which_half_is_clipped(spec: str, kind: str) -> None:
    """White paper with a few lines: there is next to no block that is not clipped."""
    paper = np.ones((256, 256))
    paper[60:64, 20:200] = paper[100:220, 130:134] = 0.1
    image = as_8_bit(parse(spec).sample(paper[None], np.random.default_rng(0))[0])
    assert examine(image).kind == kind
    assert examine(image).channels[0].sigma == pytest.approx(8 / 255, rel=0.25)
    assert examine(as_8_bit(gaussian_filter(paper, 0.7))).kind != "correlated"


def test_what_a_drawn_picture_repeats_is_no_noise() -> None:
    tile = gaussian_filter(np.random.default_rng(0).random((16, 16)), 0.8, mode="wrap")
    assert examine(as_8_bit(np.tile(tile, (16, 16)))).kind != "correlated"
