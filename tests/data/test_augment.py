"""Augmentations: the same draw for the same generator, all views changed alike, nothing invented."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseless.data.augment import (
    change_tone,
    crop_window,
    mixup,
    random_crop,
    random_orientation,
    rescale,
    to_channels,
)
from noiseless.errors import DataError


def rng(seed: int = 0) -> np.random.Generator:
    """A generator."""
    return np.random.default_rng(seed)


@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 20), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_crop_is_a_square_of_the_image_whatever_its_size(height: int, width: int, size: int, seed: int) -> None:
    image = np.arange(height * width).reshape(1, height, width)
    crop = random_crop(image, size, rng(seed))
    assert crop.shape == (1, size, size)
    assert np.isin(crop, image).all()
    if min(height, width) >= size:
        top, left = divmod(int(crop[0, 0, 0]), width)
        np.testing.assert_array_equal(crop, image[:, top : top + size, left : left + size])


def test_a_window_cuts_every_view_at_the_same_place() -> None:
    image = np.arange(30 * 40).reshape(1, 30, 40)
    cut = crop_window(image, 8, rng(3))
    np.testing.assert_array_equal(cut(image) * 2, cut(np.concatenate([image * 2] * 3))[:1])


def test_crops_reach_every_corner() -> None:
    image = np.arange(16).reshape(1, 4, 4)
    generator = rng()
    corners = Counter(int(random_crop(image, 3, generator)[0, 0, 0]) for _ in range(100))
    assert set(corners) == {0, 1, 4, 5}


def test_the_eight_orientations_all_occur_and_views_turn_together() -> None:
    patch = np.arange(2 * 9).reshape(2, 1, 3, 3)
    generator = rng()
    found = Counter(random_orientation(patch, generator).tobytes() for _ in range(200))
    assert len(found) == 8
    turned = random_orientation(patch, rng(5))
    np.testing.assert_array_equal(turned[0] + 9, turned[1])
    np.testing.assert_array_equal(np.sort(turned.ravel()), np.arange(18))
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_rescaling_averages_blocks_and_keeps_the_dtype(dtype: type) -> None:
    image = rng().integers(0, 255, (3, 16, 16)).astype(dtype)
    patch = rescale(image, 8, rng(1), factors=(2,))
    expected = image.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4), dtype=np.float64)
    assert patch.dtype == dtype
    np.testing.assert_allclose(patch, expected, atol=0 if dtype is np.float32 else 0.5)


def test_rescaling_a_small_image_only_crops() -> None:
    image = rng().integers(0, 255, (3, 10, 10)).astype(np.uint8)
    patch = rescale(image, 8, rng(1))
    assert patch.shape == (3, 8, 8)
    assert any(np.array_equal(patch, image[:, top : top + 8, left : left + 8]) for top in range(3) for left in range(3))


def test_mixup_lies_between_its_patches_with_every_weight() -> None:
    dark, bright = np.zeros((3, 4, 4), np.float32), np.ones((3, 4, 4), np.float32)
    generator = rng()
    weights = [float(mixup(dark, bright, generator)[0, 0, 0]) for _ in range(300)]
    assert 0 <= min(weights) < 0.2
    assert 0.8 < max(weights) <= 1
    assert np.mean(weights) == pytest.approx(0.5, abs=0.05)
    assert mixup(dark, bright, generator).dtype == np.float32


def test_changed_tones_stay_in_range_and_go_down_to_flat_and_dark() -> None:
    patch = rng().random((3, 8, 8), dtype=np.float32)
    generator = rng()
    found = [change_tone(patch, generator) for _ in range(200)]
    assert min(float(p.min()) for p in found) >= -1e-6
    assert max(float(p.max()) for p in found) <= 1 + 1e-6
    assert min(float(p.std()) for p in found) < 0.02
    assert min(float(p.mean()) for p in found) < 0.1
    correlation = np.corrcoef(found[0].ravel(), patch.ravel())[0, 1]
    assert correlation == pytest.approx(1, abs=1e-3)


def test_colour_becomes_luma_and_grey_is_repeated() -> None:
    colour = np.stack([np.full((2, 2), value, np.float32) for value in (1.0, 0.5, 0.25)])
    np.testing.assert_allclose(to_channels(colour, 1), np.full((1, 2, 2), 0.299 + 0.2935 + 0.0285), rtol=1e-6)
    grey = rng().random((5, 1, 2, 2), dtype=np.float32)
    np.testing.assert_array_equal(to_channels(grey, 3), np.concatenate([grey] * 3, axis=1))
    assert to_channels(colour, 3) is colour
    with pytest.raises(DataError, match="4 channels"):
        to_channels(np.zeros((4, 2, 2), np.float32), 3)


def test_nothing_changes_its_input() -> None:
    image = rng().random((3, 24, 24), dtype=np.float32)
    before = image.copy()
    image.flags.writeable = False
    random_crop(image, 8, rng())
    random_orientation(image, rng())
    rescale(image, 8, rng())
    mixup(image, image, rng())
    change_tone(image, rng())
    to_channels(image, 1)
    np.testing.assert_array_equal(image, before)
