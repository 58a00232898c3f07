"""Attacks: they stay within their radius, hurt more than chance, and say which models have no gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import noiseless
import tiny_images
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.errors import ConfigError, SpecError
from noiseless.evaluation import evaluate
from noiseless.evaluation.attack import Attack
from noiseless.metrics import psnr


def test_the_grammar() -> None:
    assert Attack.parse("pgd:2/255") == Attack(2 / 255, 10)
    assert Attack.parse("pgd:0.01,steps=3") == Attack(0.01, 3)
    assert Attack.parse(Attack(4 / 255, 7).spec) == Attack(4 / 255, 7)


@pytest.mark.parametrize(
    "spec", ["", "pgd", "pgd:", "pgd:x", "pgd:0", "pgd:1/0", "pgd:2", "fgsm:2/255", "pgd:0.1,steps=0"]
)
def test_what_does_not_parse(spec: str) -> None:
    with pytest.raises(SpecError, match="attack"):
        Attack.parse(spec)


def test_it_climbs_within_its_radius() -> None:
    noisy = torch.rand(2, 1, 8, 8)
    attack = Attack(0.05, 5)
    found = attack.find(lambda x: (x - noisy).sum(), noisy, torch.Generator().manual_seed(0))
    assert not found.requires_grad
    torch.testing.assert_close(found, noisy + 0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_hurts_more_than_chance(conditioned_bundle: Bundle, channels: int) -> None:
    """A grey network on grey and colour images, of a size that it does not take without padding."""
    generator = np.random.default_rng(0)
    clean = generator.random((channels, 21, 30), np.float32)
    noisy = clean + 0.1 * generator.standard_normal(clean.shape).astype(np.float32)
    model = noiseless.load(conditioned_bundle.path)
    radius = 4 / 255
    hurt = Attack(radius, 8).scene(model, noisy, clean, "gaussian:25")
    assert hurt.shape == noisy.shape
    assert np.abs(hurt - noisy).max() <= radius + 1e-6
    chance = noisy + radius * np.sign(generator.standard_normal(noisy.shape)).astype(np.float32)

    def reached(image: np.ndarray) -> float:
        return psnr(model(image, noise="gaussian:25", channel_axis=0, data_range=1.0), clean)

    assert reached(hurt) < reached(chance) - 0.1


def test_evaluate_measures_both(blind_bundle: Bundle, tmp_path: Path) -> None:
    tiny_images.save_many(tmp_path, ["a.png", "b.png"])
    made = evaluate(blind_bundle.path, clean=tmp_path, noise="gaussian:25", attack="pgd:4/255,steps=4")
    plain, under = made.results
    assert under.model == f"{plain.model} under pgd:4/255,steps=4"
    assert under.interval("psnr").mean < plain.interval("psnr").mean
    again = evaluate(blind_bundle.path, clean=tmp_path, noise="gaussian:25", attack="pgd:4/255,steps=4")
    assert again.results[1].interval("psnr") == under.interval("psnr")


def test_the_command_says_what_has_no_gradient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_images.save(tmp_path / "a.png", 0)
    command = ["evaluate", "median", "--clean", str(tmp_path / "a.png"), "--noise", "gaussian:25"]
    assert main([*command, "--attack", "pgd:2/255"]) == 2
    assert "only a network can be attacked: got median" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        evaluate("median", clean=tmp_path, noise="gaussian:25", attack="pgd:2/255")
