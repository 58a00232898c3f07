"""The ceiling on what is removed from one part of an image: a mesh stays, even noise goes as before."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

import noiseless
from noiseless import ceiling
from noiseless.denoiser import Denoiser

RANDOM = np.random.default_rng(0)


def values(*shape: int, size: float = 0.02) -> np.ndarray:
    return (size * RANDOM.standard_normal(shape)).astype(np.float32)


def test_removal_is_the_root_mean_square_around_each_pixel() -> None:
    noisy, restored = values(2, 3, 40, 50), values(2, 3, 40, 50)
    squares = np.square(noisy - restored).mean(axis=1, dtype=np.float64)
    expected = [np.sqrt(uniform_filter(each, ceiling.WINDOW)) for each in squares]
    np.testing.assert_allclose(ceiling.removal(noisy, restored), expected, atol=1e-7)


def test_even_removal_stays_as_it_is() -> None:
    noisy = values(1, 3, 100, 120)
    restored = np.zeros_like(noisy)
    most = [2 * level for level in ceiling.usual_of(noisy, restored)]
    assert ceiling.held(noisy, restored, most) is restored


def test_where_far_more_is_removed_the_rest_stays() -> None:
    noisy = values(1, 3, 200, 200)
    noisy[..., 150:, 150:] *= 10
    restored = np.zeros_like(noisy)
    (level,) = ceiling.usual_of(noisy, restored)
    assert level == pytest.approx(0.02, rel=0.1)
    held = ceiling.held(noisy, restored, [2 * level])
    assert np.array_equal(held[..., :140, :140], restored[..., :140, :140])
    assert np.sqrt(np.square(noisy - held)[..., 160:, 160:].mean()) == pytest.approx(2 * level, rel=0.1)


def test_each_image_has_its_own_ceiling() -> None:
    noisy = np.concatenate([values(1, 1, 80, 80), values(1, 1, 80, 80, size=0.2)])
    weak, strong = ceiling.usual_of(noisy, np.zeros_like(noisy))
    assert strong == pytest.approx(10 * weak, rel=0.1)


def test_white_paper_shows_nothing_of_what_is_usual() -> None:
    noisy = np.zeros((1, 1, 200, 200), np.float32)
    noisy[..., :30] = values(1, 1, 200, 30)
    (level,) = ceiling.usual_of(noisy, np.zeros_like(noisy))
    assert level == pytest.approx(0.02, rel=0.3)
    assert ceiling.usual_of(noisy, noisy) == [math.inf]
    assert np.array_equal(ceiling.held(noisy, noisy, [math.inf]), noisy)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (63, 64), (300, 400)], ids=str)
def test_places_lie_inside(size: tuple[int, int]) -> None:
    image = np.zeros(size)
    assert all(image[place].size for place in ceiling.places(*size))


def test_the_model_for_photographs_leaves_a_mesh(photograph: np.ndarray) -> None:
    """As of a chair: it comes back nearer to what it was than the noise left it; the ceiling takes nothing of that."""
    model = noiseless.load("photo-small")
    free = Denoiser(replace(model.bundle, ceiling=None), model.engine)
    rows, columns = np.mgrid[:64, :64] * (2 * np.pi / 2.2 / 2**0.5)
    mesh = np.s_[160:224, 160:224]
    photograph[mesh] = 70 + 8 * np.sign(np.sin(rows + columns) * np.sin(rows - columns))[..., np.newaxis]
    noise = uniform_filter(np.random.default_rng(0).normal(0, 9, photograph.shape), (3, 3, 1))
    noisy = (photograph + noise).round().clip(0, 255).astype(np.uint8)

    def error(image: np.ndarray) -> float:
        return float(np.sqrt(np.square(image - photograph)[mesh].mean()))

    before, alone, held = error(noisy), error(free(noisy, channel_axis=-1)), error(model(noisy, channel_axis=-1))
    assert held < before
    assert held <= alone


@pytest.fixture
def photograph() -> np.ndarray:
    from noiseless.data import samples

    return noiseless.read(samples("test")[0]).array[:256, :256, :3].astype(np.float32)
