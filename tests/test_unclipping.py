"""Noise that was clipped: shadows and highlights come out as if it had not been, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless import bundle as bundles
from noiseless.data import samples
from noiseless.denoiser import Controls, Denoiser
from noiseless.noise import parse
from noiseless.noise.clip import censored_moments
from noiseless.training.config import DataConfig, RunConfig
from noiseless.training.run import train
from noiseless.unclipping import PART, unclip

RANDOM = np.random.default_rng(0)


def flat(value: float) -> np.ndarray:
    return np.full((1, 1, 96, 96), value, np.float32)


def eight_bits(image: np.ndarray) -> np.ndarray:
    return (np.rint(image.clip(0, 1) * 255) / 255).astype(np.float32)


def mean_seen(clean: np.ndarray, sigma: float) -> np.ndarray:
    """What a network restores that has not seen clipped noise."""
    return censored_moments(clean.astype(np.float64), np.array(sigma**2))[0].astype(np.float32)


def unclipped(noisy: np.ndarray, restored: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    better = restored.copy()
    unclip(noisy, better, sigma)
    return better


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one.clip(0, 1) - other) ** 2)))


@pytest.mark.parametrize("sigma", [2 / 255, 0.1, 0.25])
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0, 2.5])
def test_shadows_and_highlights_come_back(value: float, sigma: float) -> None:
    for clean in (flat(value * sigma), 1 - flat(value * sigma)):
        noisy = eight_bits(clean + RANDOM.normal(0, sigma, clean.shape).astype(np.float32))
        restored = mean_seen(clean, sigma)
        better = unclipped(noisy, restored, np.full((1, 1, 1, 1), sigma, np.float32))
        before, after = np.abs(restored - clean).mean(), np.abs(better - clean).mean()
        assert after <= max(0.25 * before, 0.02 * sigma)


def test_what_was_not_clipped_stays() -> None:
    noisy = RANDOM.uniform(0.01, 0.99, (2, 3, 40, 40)).astype(np.float32)
    restored = RANDOM.uniform(0, 1, noisy.shape).astype(np.float32)
    np.testing.assert_array_equal(unclipped(noisy, restored, np.full((1, 1, 1, 1), 0.2, np.float32)), restored)
    noisy[1, 2, 5, 5], restored[1, 2, 6, 6] = 1, 1.1
    np.testing.assert_array_equal(unclipped(noisy, restored, np.zeros((1, 1, 1, 1), np.float32)), restored)


@pytest.mark.parametrize("shape", [(PART + 3, 2 * PART + 1), (1, PART + 1), (PART, 1)])
def test_parts_leave_no_seam(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    clean = RANDOM.uniform(0, 0.2, (1, 1, *shape)).astype(np.float32)
    sigma = RANDOM.uniform(0.05, 0.1, clean.shape).astype(np.float32)
    noisy = eight_bits(clean + sigma * RANDOM.standard_normal(clean.shape, np.float32))
    found = unclipped(noisy, mean_seen(clean, 0.075), sigma)
    monkeypatch.setattr("noiseless.unclipping.PART", 4 * PART)
    np.testing.assert_array_equal(found, unclipped(noisy, mean_seen(clean, 0.075), sigma))


@pytest.mark.parametrize("shape", [(24, 1), (1, PART + 90)])
def test_a_level_for_each_row_or_column_is_that_map(shape: tuple[int, int]) -> None:
    generator, size = np.random.default_rng(0), (1, 1, 24, PART + 90)
    noisy = generator.normal(0, 0.2, size).clip(0, 1).astype(np.float32)
    restored = generator.uniform(0, 0.2, size).astype(np.float32)
    sigma = generator.uniform(0.1, 0.3, (1, 1, *shape)).astype(np.float32)
    whole = np.ascontiguousarray(np.broadcast_to(sigma, size))
    np.testing.assert_array_equal(unclipped(noisy, restored, sigma), unclipped(noisy, restored, whole))


def test_shadows_with_less_noise_than_told_are_not_crushed() -> None:
    """As in photographs, whose noise is weak in the shadows: hardly any pixel there is black."""
    clean = flat(6 / 255)
    noisy = eight_bits(clean + RANDOM.normal(0, 2 / 255, clean.shape).astype(np.float32))
    assert 0 < (noisy == 0).mean() < 0.01
    found = unclipped(noisy, clean, np.full((1, 1, 1, 1), 20 / 255, np.float32))
    assert np.abs(found - clean).max() < 1 / 255


def test_no_photon_is_no_clipped_noise() -> None:
    gain = 0.02
    clean = flat(0.5 * gain)
    noisy = (RANDOM.poisson(clean / gain) * gain).astype(np.float32)
    found = unclipped(noisy, clean, np.sqrt(gain * clean))
    assert (clean - found).mean() < 0.1 * clean.mean()


@pytest.mark.parametrize(
    ("spec", "told", "least"),
    [
        ("gaussian:10", "gaussian:10", 0.15),
        ("gaussian:25", "gaussian:25", 0.8),
        ("gaussian:25", "gaussian:35", 0.7),
        ("gaussian:25", "auto", 0.6),
        ("correlated:sigma=0.08,length=1", "correlated:sigma=0.08,length=1", 0.2),
        ("poisson-gaussian:gain=0.01,read=0.02", "auto", 0.3),
    ],
)
@pytest.mark.parametrize("tone", [lambda clean: clean**2, lambda clean: 1 - clean**2])
def test_photographs_in_8_bits_come_out_better(
    tone: Callable[[np.ndarray], np.ndarray], spec: str, told: str, least: float
) -> None:
    model = noiseless.load("color-nano")
    without = Denoiser(replace(model.bundle, unclips=True), model.engine)
    gains = []
    for number, path in enumerate(samples("test")):
        clean = tone(noiseless.read(path).array[100:260, 100:260].astype(np.float32) / 255)
        noisy = eight_bits(parse(spec).sample(np.moveaxis(clean, 2, 0), np.random.default_rng(number)))
        noisy = np.moveaxis(noisy, 0, 2)
        gains.append(psnr(model(noisy, noise=told), clean) - psnr(without(noisy, noise=told), clean))
    assert np.mean(gains) > least
    assert min(gains) > -0.1


def test_tiles_leave_no_seam() -> None:
    clean = noiseless.read(samples("test")[0]).array[:400, :400].astype(np.float32) / 255
    noisy = eight_bits(clean**3 + RANDOM.normal(0, 0.1, clean.shape).astype(np.float32))
    whole = noiseless.load("color-nano")(noisy, noise="gaussian:25.5")
    tiled = noiseless.load("color-nano", controls=Controls(tile=64))(noisy, noise="gaussian:25.5")
    np.testing.assert_allclose(tiled, whole, atol=2e-5)


@pytest.mark.parametrize(
    ("noise", "pairs", "unclips"),
    [
        ("gaussian:0-25", False, False),
        ("gaussian:25+clip", False, True),
        ("poisson:0.01", False, True),
        ("", True, True),
    ],
)
def test_a_network_that_saw_clipped_noise_undoes_it_itself(
    noise: str, pairs: bool, unclips: bool, tmp_path: Path
) -> None:
    for name in ("clean", "noisy"):
        (tmp_path / name).mkdir()
        for number in range(2):
            array = RANDOM.integers(0, 256, (48, 48), np.uint8)
            noiseless.write(tmp_path / name / f"{number}.png", noiseless.Image.from_array(array))
    clean, noisy = str(tmp_path / "clean"), str(tmp_path / "noisy")
    data = DataConfig(pairs=(noisy, clean)) if pairs else DataConfig(clean=(clean,))
    config = RunConfig(
        data=data, noise=noise, network="ffdnet", arguments={"channels": 1, "width": 4, "depth": 2}, steps=2
    )
    train(config, tmp_path / "run")
    assert bundles.read(tmp_path / "run" / "best").unclips == unclips
