"""What was removed: told as noise or structure, with a map that points at the place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import noiseless
from noiseless import baselines
from noiseless.data import NoisyImages, NoisyPairs, samples
from noiseless.evaluation import estimate
from noiseless.evaluation.residual import Audit, audit
from noiseless.evaluation.residual_page import ResidualPictures, draw_map
from noiseless.evaluation.unreferenced import alone, know
from noiseless.noise import parse

SIDE = 128


@dataclass(frozen=True)
class Blur:
    """A model that smooths too much."""

    name: str = "blur"

    def __call__(self, array: Any, **options: Any) -> Any:
        return ndimage.gaussian_filter(array, (0, 2, 2))


@dataclass(frozen=True)
class Half:
    """A model that leaves much of the noise."""

    clean: np.ndarray
    name: str = "half"

    def __call__(self, array: Any, **options: Any) -> Any:
        return self.clean + 0.4 * (array - self.clean)


@dataclass(frozen=True)
class Painter:
    """A model that makes of every image the same picture."""

    picture: np.ndarray
    name: str = "painter"

    def __call__(self, array: Any, **options: Any) -> Any:
        return self.picture


def photographs() -> list[np.ndarray]:
    found = []
    for path in samples("test"):
        array = noiseless.read(path).array[100 : 100 + SIDE, 100 : 100 + SIDE]
        found.append(np.moveaxis(array, 2, 0).astype(np.float32) / 255)
    return found


def half_striped() -> np.ndarray:
    """Left flat, right fine stripes."""
    image = np.full((1, SIDE, SIDE), 0.4, np.float32)
    image[..., SIDE // 2 :] += np.float32(0.15) * np.sign(np.sin(np.arange(SIDE // 2) * 1.6)).astype(np.float32)
    return image


def audited(model: Any, clean: np.ndarray, spec: str, seed: int = 0) -> Audit:
    noise = parse(spec)
    noisy = noise.sample(clean, np.random.default_rng([seed, 1]))
    return alone(model, noisy, know(noisy, noise)).audit


@pytest.mark.parametrize(
    "spec", ["gaussian:15", "gaussian:25", "poisson-gaussian:gain=0.01,read=0.02", "correlated:sigma=0.06,length=1"]
)
def test_a_good_model_removes_what_looks_like_noise(spec: str) -> None:
    model = noiseless.load("color-small")
    for number, clean in enumerate(photographs()):
        found = audited(model, clean, spec, number)
        assert found.verdict == "looks like noise"
        assert found.too_much < 0.01
        assert 0.5 < found.ratio < 1.1


@pytest.mark.parametrize("spec", ["gaussian:15", "gaussian:25", "poisson-gaussian:gain=0.01,read=0.02"])
def test_too_smooth_a_model_is_caught(spec: str) -> None:
    for number, clean in enumerate(photographs()):
        found = audited(Blur(), clean, spec, number)
        assert found.verdict == "structure removed"
        assert found.too_much > 0.05
        assert found.edges > -0.1


@pytest.mark.parametrize("invented", [False, True])
def test_the_map_points_at_what_was_eaten_or_invented(invented: bool) -> None:
    flat = np.full((1, SIDE, SIDE), 0.4, np.float32)
    given = (Painter(half_striped()), flat) if invented else (Blur(), half_striped())
    found = audited(*given, "gaussian:10")
    assert found.windows.shape == (15, 15)
    assert found.too_much_windows[:, 9:].all()
    assert not found.too_much_windows[:, :6].any()
    assert found.verdict == "structure removed"
    grey = half_striped()
    drawn = draw_map(found, grey).astype(int)
    assert drawn.shape == (SIDE, SIDE, 3)
    red = drawn[..., 0] - drawn[..., 2]
    assert red[:, SIDE * 3 // 4 :].min() > 40
    assert np.abs(red[:, : SIDE // 3]).max() == 0


def test_nothing_and_too_little_removed() -> None:
    clean = half_striped()
    nothing = audited(baselines.load("identity"), clean, "gaussian:10")
    assert nothing.verdict == "nothing removed"
    assert (nothing.ratio, nothing.too_little, nothing.too_much) == (0, 1, 0)
    left = audited(Half(clean), clean, "gaussian:10")
    assert left.verdict == "noise left"
    assert left.ratio == pytest.approx(0.36, abs=0.03)
    assert left.too_little > 0.8


def test_what_was_removed_is_compared_with_the_correlation_of_the_noise() -> None:
    clean = np.full((1, SIDE, SIDE), 0.5, np.float32)
    correlated, white = (parse(spec) for spec in ("correlated:sigma=0.05,length=1", "gaussian:sigma=0.05"))
    noisy = correlated.sample(clean, np.random.default_rng(2))
    right, wrong = (
        audit(noisy, clean, noise.variance(clean), noise.sample(clean, np.random.default_rng(3)) - clean)
        for noise in (correlated, white)
    )
    assert right.neighbours == pytest.approx(right.expected, abs=0.05)
    assert right.verdict == "looks like noise"
    assert wrong.neighbours - wrong.expected > 0.4
    assert wrong.verdict == "structure removed"


def test_an_image_smaller_than_a_window() -> None:
    found = audited(Blur(), half_striped()[:, :9, 60:70], "gaussian:10")
    assert found.windows.shape == (1, 1)
    assert np.isfinite([found.ratio, found.neighbours, found.expected, found.edges]).all()


def test_pages_and_maps(tmp_path: Path) -> None:
    clean = half_striped()
    for folder, seed in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        noisy = parse("gaussian:10").sample(clean, np.random.default_rng(seed))[0]
        noiseless.write(tmp_path / folder / "x & y.tif", noiseless.Image.from_array(noisy))
    for source in (NoisyImages.find(tmp_path / "a"), NoisyPairs.find(tmp_path / "a", tmp_path / "b")):
        pictures = ResidualPictures(most=1)
        made = estimate([Blur(), "identity"], source, noise="gaussian:10", watch=pictures.add)
        assert [line.split(": ")[1].split(";")[0] for line in made.verdicts()] == [
            "structure removed",
            "nothing removed",
        ]
        page = pictures.write(made, tmp_path / f"report-{len(source.roles)}").read_text("utf-8")
        assert "structure removed" in page
        assert page.count("<figure>") == 4
        assert "x &amp; y" in page
    (drawn,) = (tmp_path / "report-1" / "maps").iterdir()
    assert noiseless.read(drawn).array.shape == (SIDE, SIDE, 3)
