"""The noise of several images together: nearer to the truth than that of each, and only where they agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from noiseless.calibration import Calibration, examine_planes
from noiseless.evaluation.pooling import INDEPENDENT, Pooled, pool
from noiseless.evaluation.unreferenced import know
from noiseless.noise import parse
from shaded_scenes import scene


def noisy(spec: str, count: int, first: int = 0, side: int = 128) -> list[np.ndarray]:
    """Pictures of different shades, (1, side, side), with noise of their own."""
    return [
        parse(spec).sample(scene(side, seed) * (0.5 + 0.1 * (seed % 8)), np.random.default_rng(seed))
        for seed in range(first, first + count)
    ]


def found(spec: str, count: int) -> list[Calibration]:
    return [examine_planes([image]) for image in noisy(spec, count)]


def test_the_level_of_all_is_nearer_than_that_of_one() -> None:
    measured = found("gaussian:12", 9)
    together = pool(measured)
    assert together is not None
    assert together.count == 9
    alone = np.abs([255 * each.channels[0].sigma / 12 - 1 for each in measured])
    assert abs(255 * together.noise.to_dict()["sigma"] / 12 - 1) < 0.7 * np.sqrt(np.mean(alone**2))


def test_a_channel_that_is_black_in_all_images_is_pooled_as_one_without_noise() -> None:
    images = [
        np.concatenate([image, np.zeros_like(image)]) for image in noisy("poisson-gaussian:gain=0.01,read=0.02", 3)
    ]
    together = pool([examine_planes([image]) for image in images])
    assert together is not None
    assert together.noise.to_dict()["gain"] == [pytest.approx(0.01, rel=0.3), 0.0]


def test_a_line_is_pooled_where_it_is_known() -> None:
    """Gain and read noise of one image trade places; the variances that its curve gives do not."""
    together = pool(found("poisson-gaussian:gain=0.01,read=0.02", 9))
    assert together is not None
    values = np.linspace(0.2, 0.8, 12, dtype=np.float32).reshape(1, 3, 4)
    assert together.noise.variance(values) == pytest.approx(0.01 * values + 0.02**2, rel=0.06)
    assert together.noise.spec.startswith("poisson-gaussian")


def test_nothing_is_pooled_of_one_image_or_of_what_is_not_white() -> None:
    one = found("gaussian:12", 1)
    assert pool([]) is None
    assert pool(one) is None
    assert pool([*one, *found("correlated:sigma=0.04,length=1", 2)]) is None
    assert pool([*one, examine_planes([np.repeat(noisy("gaussian:12", 1)[0], 3, axis=0)])]) is None


def test_an_image_takes_the_noise_of_all_only_where_it_may_be_its_own() -> None:
    together = pool(found("gaussian:12", 9))
    assert together is not None
    (like,), (other,) = noisy("gaussian:12", 1, first=20), noisy("gaussian:20", 1, first=20)
    assert know(like, "auto", together=together).noise == together.noise
    assert "9 images" in know(like, "auto", together=together).words
    assert know(like, "auto", together=together).doubt < 0.6 * know(like, "auto").doubt
    assert know(other, "auto", together=together).noise == know(other, "auto").noise != together.noise


def test_many_images_do_not_take_away_what_texture_does_to_all() -> None:
    noise = parse("gaussian:5")
    assert Pooled(noise, 4).doubt(1.0) == pytest.approx(1 / 2)
    assert Pooled(noise, 1000).doubt(1.0) == pytest.approx(1 / math.sqrt(INDEPENDENT))
