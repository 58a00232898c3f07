"""What a picture shows is not told to a network as noise: fur, and what reduced photographs have at their finest."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import noiseless
from noiseless.calibration import examine_planes, told_level
from noiseless.calibration.bands import measure_bands
from noiseless.calibration.measuring import LOWERED
from noiseless.calibration.patches import NOWHERE
from noiseless.calibration.texture import Texture, measure_texture, take_blocks
from noiseless.data import samples
from noiseless.noise import Camera, parse
from shaded_scenes import as_8_bit


@pytest.fixture(scope="module")
def fur() -> np.ndarray:
    """The picture of the limits on the model cards, grey, (1, 128, 128): fur and grass, no flat area."""
    path = next(path for path in samples("test") if path.stem == "kitten-on-lawn")
    grey = noiseless.read(path).planes()[0][:3].mean(axis=0, keepdims=True)
    return np.asarray(grey[:, 112:240, 112:240], np.float32)


def stored(planes: np.ndarray) -> np.ndarray:
    return as_8_bit(planes).astype(np.float32)


@pytest.mark.parametrize("sigma", [0, 2, 5, 10, 25])
def test_fur_is_told_the_level_of_white_noise_and_no_more(fur: np.ndarray, sigma: int) -> None:
    """Its blocks are as alike as those of noise, but each has a direction, and all bands are lively together."""
    noisy = stored(fur + np.random.default_rng(1).standard_normal(fur.shape) * sigma / 255)
    assert examine_planes([noisy]).kind != "correlated"
    assert 255 * float(told_level(noisy[None]).mean()) == pytest.approx(sigma, rel=0.2, abs=1)


def test_noise_that_cannot_be_told_from_fur_is_told_low_and_said_to_be_unclear(fur: np.ndarray) -> None:
    """Camera noise of 13.7 over fur was told as 58: whatever is taken for noise here, most of it is fur."""
    noisy = np.asarray(Camera(level=10 / 255).sample(fur, np.random.default_rng(0)), np.float32)
    assert 255 * float(told_level(noisy[None]).mean()) < 25
    found = examine_planes([noisy])
    assert found.kind == "correlated" or any("no area is flat" in warning for warning in found.warnings)


def test_correlated_noise_beside_texture_is_as_strong_as_without() -> None:
    """Half of the picture is texture, no block of the other half is brighter or darker than those."""
    texture = 0.08 * gaussian_filter(np.random.default_rng(3).standard_normal((256, 256)), 1) / 0.28
    picture = 0.5 + texture * (0.25 + 0.75 * (np.arange(256) > 40))
    noise = parse("correlated:sigma=0.04,length=1")
    found = examine_planes([noise.sample(picture[None].astype(np.float32), np.random.default_rng(0))])
    assert found.kind == "correlated"
    assert found.channels[0].sigma < 0.06


def test_fur_is_lively_and_noise_is_calm(fur: np.ndarray) -> None:
    noise = parse("correlated:sigma=0.05,length=1").sample(np.full_like(fur, 0.5), np.random.default_rng(0))
    assert not measure_bands(take_blocks([fur[0]], NOWHERE)).calm
    bands = measure_bands(take_blocks([noise[0]], NOWHERE))
    assert bands.calm
    assert 0.04 < bands.highest(1.0) < 0.07


@pytest.mark.parametrize(("blur", "correlated"), [(0.6, False), (0.85, True)])
def test_faint_detail_is_noise_of_a_camera_only_if_soft(blur: float, correlated: bool) -> None:
    """In 8 bits, below the finest level that is told; reduced photographs hold the sharp kind without any noise."""
    rough = gaussian_filter(np.random.default_rng(5).standard_normal((256, 256)), blur)
    shade = 0.3 + 0.4 * np.linspace(0, 1, 256)
    planes = stored((shade + rough / rough.std() * 1.6 / 255)[None])
    assert (examine_planes([planes]).kind == "correlated") == correlated


@pytest.mark.parametrize("kind", ["train", "validation", "test"])
def test_clean_photographs_are_told_next_to_no_noise(kind: str) -> None:
    """Their faint detail is as soft as what cameras leave of noise, but its spectrum falls as that of pictures."""
    for path in samples(kind):
        planes = noiseless.read(path).planes()[0][:3, :256, :256]
        assert examine_planes([planes]).kind != "correlated", path.stem
        assert 255 * float(told_level(planes[None]).mean()) < 2, path.stem


def test_text_on_a_screen_is_no_noise_but_noise_on_it_is() -> None:
    """Nothing but letters varies: noise would leave no block of paper at a single value."""
    page = np.full((1, 256, 256), 0.9)
    letters = gaussian_filter(np.random.default_rng(2).random((256, 256)), 0.6)
    for top in range(8, 250, 64):
        page[0, top : top + 20] = np.where(letters[top : top + 20] > 0.5, 0.2, 0.8)
    assert examine_planes([stored(page)]).kind == "none"
    noisy = examine_planes([stored(page + np.random.default_rng(1).standard_normal(page.shape) * 5 / 255)])
    assert 255 * noisy.channels[0].sigma == pytest.approx(5, rel=0.1)


def look(values: np.ndarray) -> Texture:
    """What the blocks of a plane of variance 1 say."""
    blocks = take_blocks([values / values.std()], NOWHERE)
    found = measure_texture(blocks, np.ones_like(blocks.energies))
    assert found is not None
    return found


@pytest.mark.parametrize("length", [0.7, 1.0, 1.5, 3.0])
def test_lights_unlike_shadows_are_picture_and_take_from_the_level(length: float) -> None:
    """Blades and gravel of one size have the spectrum of noise, but not its distribution."""
    generator = np.random.default_rng(0)
    normal, sparse = generator.standard_normal((256, 256)), generator.exponential(size=(256, 256)) ** 2
    assert look(gaussian_filter(normal, length / 2**0.5)).pure > 0.95
    assert look(gaussian_filter(sparse, length / 2**0.5)).pure < 0.85


def test_blocks_that_run_in_many_directions_are_picture() -> None:
    """Blades, leaves, weave: each block another direction, and as many lights as shadows."""
    generator = np.random.default_rng(0)
    along, across = (gaussian_filter(generator.standard_normal((256, 256)), way) for way in ((3, 0.6), (0.6, 3)))
    rows, columns = np.mgrid[:256, :256] // 32
    assert look(np.where((rows + columns) % 2, along, across)).pure < 0.5


def test_noise_of_many_strengths_is_noise() -> None:
    """As of cameras: it grows with brightness, and is not normal as a whole."""
    generator = np.random.default_rng(0)
    strength = np.exp(gaussian_filter(generator.standard_normal((256, 256)), 16) * 30)
    assert look(gaussian_filter(generator.standard_normal((256, 256)), 0.7) * strength).pure > 0.95


def test_noise_that_is_smooth_along_one_axis_is_mostly_noise() -> None:
    """As of scanners: all of it runs in one direction, which blades and leaves do not."""
    assert look(gaussian_filter(np.random.default_rng(0).standard_normal((256, 256)), (0.3, 1.0))).pure > 0.7


def test_what_has_the_marks_of_texture_is_told_low_and_the_interval_says_what_is_seen() -> None:
    """Gravel without noise; with as much of normal noise instead, all of it is told."""
    generator = np.random.default_rng(0)
    gravel, normal = generator.exponential(size=(256, 256)), generator.standard_normal((256, 256))
    gravel, noise = (
        0.5 + 0.04 * each / each.std() for each in (gaussian_filter(gravel, 0.7), gaussian_filter(normal, 0.7))
    )
    gravel -= gravel.mean() - 0.5
    texture, found = (examine_planes([stored(each[None])]) for each in (gravel, noise))
    assert found.kind == texture.kind == "correlated"
    assert found.channels[0].sigma == pytest.approx(0.04, rel=0.1)
    assert LOWERED not in found.warnings
    assert texture.channels[0].sigma < 0.032
    assert texture.channels[0].sigma_interval[1] > 0.035
    assert LOWERED in texture.warnings
