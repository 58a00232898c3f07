"""How strong the noise of one image is, by what a shipped model leaves of it: beside the noise that was added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import noiseless
from noiseless.data import samples
from noiseless.evaluation.power import is_white
from noiseless.evaluation.unreferenced import Known, Measured, alone, judged, know, run
from noiseless.noise import parse
from noiseless.noise.gaussian import Gaussian

SIDE = 160


def photographs(count: int = 6) -> list[np.ndarray]:
    """The middle of shipped photographs, (3, SIDE, SIDE) in [0, 1] units."""
    found = []
    for path in [path for kind in ("test", "validation", "train") for path in samples(kind)][:count]:
        plane = noiseless.read(path).planes()[0]
        top, left = ((side - SIDE) // 2 for side in plane.shape[1:])
        found.append(np.ascontiguousarray(plane[:, top : top + SIDE, left : left + SIDE]))
    return found


def supposed(noisy: np.ndarray, sigma: float, factor: float, doubt: float) -> Known:
    """Gaussian noise, its variance wrong by a factor, and in doubt by a share."""
    noise = Gaussian(sigma * factor**0.5)
    return Known(noise, noise.told_map(noisy), noise.spec, doubt * sigma**2)


def truth(model: Any, noisy: np.ndarray, clean: np.ndarray, known: Known) -> float:
    return float(np.mean((run(model, noisy, known.told) - clean) ** 2))


def decibels(error: float) -> float:
    return -10 * float(np.log10(max(error, 1e-9)))


@pytest.mark.parametrize(("grey", "near"), [(False, 0.006), (True, 0.04)], ids=["colour", "grey"])
@pytest.mark.parametrize("factor", [0.94, 1.0, 1.06])
def test_it_finds_the_power_of_the_noise(factor: float, grey: bool, near: float) -> None:
    """Of what is supposed 6% is missing, or too much; colours tell more, for pictures differ little in them."""
    sigma, offs = 25 / 255, []
    for seed, photograph in enumerate(photographs()):
        clean = photograph.mean(axis=0, keepdims=True) if grey else photograph
        noisy = Gaussian(sigma).sample(clean, np.random.default_rng(seed))
        known = judged(noisy, supposed(noisy, sigma, factor, 0.1))
        assert known.power is not None
        missing = float(((noisy - clean).astype(np.float64) ** 2).mean()) - factor * sigma**2
        offs.append((known.power.excess - missing) / sigma**2)
        assert abs(offs[-1]) < 3 * known.power.deviation / sigma**2
    assert np.median(np.abs(offs)) < near


@dataclass(frozen=True)
class Model:
    """A function of the image and of what is told."""

    name: str
    function: Any

    def __call__(self, array: Any, *, noise: Any, **options: Any) -> Any:
        return self.function(array, noise)


NANO = noiseless.load("color-nano")
MODELS = [
    Model("as it is", lambda array, told: NANO(array, noise=told, channel_axis=0, data_range=(0.0, 1.0))),
    Model("told too much", lambda array, told: NANO(array, noise=1.7 * told, channel_axis=0, data_range=(0.0, 1.0))),
    Model("told too little", lambda array, told: NANO(array, noise=0.6 * told, channel_axis=0, data_range=(0.0, 1.0))),
    Model("blurred", lambda array, told: ndimage.gaussian_filter(array, (0, 1, 1))),
    Model("untouched", lambda array, told: array),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_estimates_of_any_model_come_nearer_the_truth(model: Model) -> None:
    """Of a variance that is wrong by 4% nothing is left of the formula alone; what is judged is not the reference."""
    sigma, before, after, held = 25 / 255, [], [], 0
    for seed, clean in enumerate(3 * photographs()):
        noisy = Gaussian(sigma).sample(clean, np.random.default_rng(seed))
        plain = supposed(noisy, sigma, 1.04, 0.06)
        true = truth(model, noisy, clean, plain)

        def off(made: Measured, true: float = true) -> float:
            return abs(decibels(float(made.error.mean())) - decibels(true))

        found = alone(model, noisy, judged(noisy, plain))
        before.append(off(alone(model, noisy, plain)))
        after.append(off(found))
        held += abs(float(found.error.mean()) - true) <= found.half
    assert np.median(after) < 0.4
    assert np.median(after) < max(0.5 * np.median(before), 0.1)
    assert held >= 16


@pytest.mark.parametrize("doubt", [1.0, 1e6, float("inf")])
def test_a_level_that_is_not_known_at_all(doubt: float) -> None:
    clean, sigma = photographs(1)[0], 25 / 255
    noisy = Gaussian(sigma).sample(clean, np.random.default_rng(0))
    power = judged(noisy, supposed(noisy, sigma, 1.5, doubt)).power
    assert power is not None
    assert power.excess == pytest.approx(-0.5 * sigma**2, rel=0.1)
    small = judged(noisy[:, :3, :5], supposed(noisy[:, :3, :5], sigma, 1.0, doubt)).power
    assert small is not None
    assert np.isfinite(small.excess)


def test_noise_that_the_shipped_models_have_not_learned_is_left_alone() -> None:
    noisy = parse("correlated:sigma=0.06,length=1").sample(photographs(1)[0], np.random.default_rng(0))
    for spec in ("correlated:sigma=0.06,length=1", "gaussian:15+stripes:sigma=0.02"):
        known = know(noisy, parse(spec))
        assert not is_white(known.noise)
        assert judged(noisy, known) is known
