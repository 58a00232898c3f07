"""Validation without clean images: what counts as better, and what all images together show of their noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import noiseless
import tiny_runs
from noiseless.bundle import NetworkSpec
from noiseless.calibration import Calibration, examine_planes
from noiseless.data import samples
from noiseless.data.store import write_store
from noiseless.noise import parse
from noiseless.noise.correlated import Correlated
from noiseless.training.config import MEASURED, DataConfig, RunConfig, from_mapping, over_defaults
from noiseless.training.found import find_noise
from noiseless.training.images import open_images
from noiseless.training.known import KnownNoise
from noiseless.training.plan import make_plan
from noiseless.training.run import build_network, run_training
from noiseless.training.start import like_its_start
from noiseless.training.told import settle_told
from noiseless.training.validation import SUREST, Rival, Scores, unreferenced_examples, validate


def scores(blocks: np.ndarray, psnr: float = 30.0) -> Scores:
    return Scores(psnr, float("nan"), 20.0, [], blocks)


def test_what_chance_prefers_does_not_count() -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(1.0, 0.3, 64)
    chance, surely = (start - gain - generator.normal(0, 0.1, 64) for gain in (0.005, 0.1))
    assert not scores(chance).surely_above(scores(start))
    assert scores(surely).surely_above(scores(start))
    rival = Rival(scores(start), scores(start, psnr=30.0))
    assert not rival.judge(scores(chance, psnr=30.2), lambda: scores(start, psnr=31.0)).counts
    assert rival.judge(scores(surely, psnr=30.2), lambda: scores(start, psnr=30.1)).counts
    assert not rival.judge(scores(surely, psnr=30.2), lambda: scores(start, psnr=29.9)).counts


def test_the_best_of_many_must_be_surer() -> None:
    """Of ten estimates one is two standard errors too good every fifth time."""
    start = np.ones(64)
    spread = np.resize([-0.1, 0.1], 64)  # a standard error of 0.0125
    nearly, surely = (scores(start - spread - errors * 0.0125) for errors in (2.5, 3.5))
    assert nearly.surely_above(scores(start))
    rival = Rival(scores(start), scores(start))
    assert not rival.judge(nearly, lambda: scores(start)).counts
    assert rival.judge(surely, lambda: scores(start)).counts
    unsure = replace(surely, doubt=np.full(64, 0.12))  # it removes less than the start, and it looks better
    assert not Rival(scores(start), scores(start)).judge(unsure, lambda: scores(start)).counts


class Blur(torch.nn.Module):
    """Takes a share of the pixels' neighbourhoods."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.spec, self.share = NetworkSpec(1), share

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        smooth = torch.nn.functional.avg_pool2d(noisy, 3, 1, 1, count_include_pad=False)
        return torch.lerp(noisy, smooth, self.share)


@pytest.mark.parametrize("overrated", [1.0, 1.12], ids=["measured well", "measured 12% too strong"])
def test_what_removes_more_is_not_better_for_noise_that_is_overrated(overrated: float) -> None:
    """Of two smoothings the best one, found by the true error, is never beaten; one that removes too little is."""
    noise, generator = parse("gaussian:15"), np.random.default_rng(0)
    clean = noiseless.read(samples("test")[0]).planes()[0][:1, :256, :256]
    noisy = noise.sample(clean, generator)
    found = examine_planes([noisy])
    level = overrated * 15 / 255
    ends = (0.85 * level, 1.15 * level)  # of the standard deviation
    channel = replace(found.channels[0], sigma=level, sigma_interval=ends, gain=0.0, curve=())
    measured = replace(found, kind="gaussian", channels=(channel,))
    known = KnownNoise.of(parse(f"gaussian:{255 * level}"), 1)

    def scored(share: float, measured: Calibration | None) -> Scores:
        examples = unreferenced_examples([[noisy]], known, NetworkSpec(1), size=256, seed=0, measured=measured)
        return validate(Blur(share), examples, torch.device("cpu"), bf16=False)

    def error(share: float) -> float:
        with torch.no_grad():
            return float(((Blur(share)(torch.from_numpy(noisy)[None])[0].numpy() - clean) ** 2).mean())

    shares = np.linspace(0, 1, 21)
    best = float(shares[np.argmin([error(share) for share in shares])])
    more, less = min(best + 0.15, 1.0), best - 0.4
    assert error(more) > error(best) < error(less)
    assert scored(more, None).surely_above(scored(best, None), SUREST) == (overrated > 1)
    assert not scored(more, measured).surely_above(scored(best, measured), SUREST)
    assert scored(best, measured).surely_above(scored(less, measured), SUREST)


def test_the_noise_of_developed_photographs_is_a_guess() -> None:
    rough = gaussian_filter(np.random.default_rng(5).standard_normal((3, 256, 256)), (0, 0.85, 0.85))
    shade = 0.3 + 0.4 * np.linspace(0, 1, 256)
    developed = np.rint((shade + rough / rough.std() * 1.6 / 255) * 255) / 255
    assert find_noise([developed.astype(np.float32)], 3).faint
    white = shade + np.random.default_rng(1).normal(0, 0.02, (3, 256, 256))
    assert not find_noise([white.astype(np.float32)], 3).faint


def test_it_keeps_what_it_started_from_unless_it_surely_surpasses_it(tmp_path: Path) -> None:
    """A learning rate of nothing moves no weight, and what is saved is what a run starts from."""
    scenes = [scene.astype(np.float32) / 255 for scene in tiny_runs.pictures(6, seed=1)]
    noise = parse("gaussian:30")
    noisy = [noise.sample(scene, np.random.default_rng(number)) for number, scene in enumerate(scenes)]
    write_store(tmp_path / "noisy", ((str(number), image, {}) for number, image in enumerate(noisy)))
    data = DataConfig(noisy=(str(tmp_path / "noisy"),))
    config = tiny_runs.config(data, objective="recorrupted", loss="mse", noise="", steps=120)
    first = run_training(config, tmp_path / "first")
    again = replace(config, start=str(first.folder / "best"), steps=20)
    kept = run_training(replace(again, training=replace(again.training, lr=0.0)), tmp_path / "again")
    assert kept.psnr == kept.start_psnr
    assert kept.psnr == pytest.approx(first.psnr, abs=0.01)
    weights = [(folder / "best" / "model.safetensors").read_bytes() for folder in (first.folder, kept.folder)]
    assert weights[0] == weights[1]


def noisy_run(folder: Path, specs: list[str], views: int = 1) -> tuple[RunConfig, list[np.ndarray]]:
    """Photographs, the noise of each in turn of these, to start from the shipped model; one view of each or two."""
    paths = [path for kind in ("test", "validation", "train") for path in samples(kind)][:6]
    clean = [noiseless.read(path).planes()[0][:, :128, :128] for path in paths]
    for view in range(views):
        noisy = [
            parse(specs[number % len(specs)]).sample(image, np.random.default_rng(number + 100 * view))
            for number, image in enumerate(clean)
        ]
        write_store(folder / f"view{view}", ((str(number), image, {}) for number, image in enumerate(noisy)))
    data = {"noisy" if views == 1 else "noisy_pairs": tuple(str(folder / f"view{view}") for view in range(views))}
    arguments = {"conditioning": "sigma", "channels": 3}
    plain = over_defaults({"steps": 1, "data": data, "start": "color-small", "arguments": arguments})
    return like_its_start(from_mapping(RunConfig, plain)), clean


@pytest.mark.parametrize(
    ("specs", "together"),
    [(["correlated:sigma=0.08,length=1"], True), (["gaussian:8", "gaussian:45"], False)],
    ids=["one noise", "two"],
)
def test_it_is_told_what_all_images_show(specs: list[str], together: bool, tmp_path: Path) -> None:
    """In small images correlated noise is taken for more or less than it is; but two noises have no common level."""
    config, clean = noisy_run(tmp_path, specs)
    images = open_images(config.data, tmp_path / "run", lambda line: None)
    said: list[str] = []
    told = settle_told(config, images, build_network(config), said.append, make_plan(config, images).noise)
    assert (told != MEASURED) == together == bool(said)
    if together:
        model = noiseless.load("color-small")
        noisy = [parse(specs[0]).sample(image, np.random.default_rng(number)) for number, image in enumerate(clean)]
        errors = [
            np.mean(
                [(model(one, channel_axis=0, noise=how) - other) ** 2 for one, other in zip(noisy, clean, strict=True)]
            )
            for how in (told, "auto")
        ]
        assert errors[0] < errors[1]


@pytest.mark.parametrize("spec", ["correlated:sigma=0.08,length=1", "gaussian:25"])
def test_two_views_show_their_noise(spec: str, tmp_path: Path) -> None:
    """Their differences hold nothing of the picture, so that correlation is measured nearly as it is."""
    config, _ = noisy_run(tmp_path, [spec], views=2)
    images = open_images(config.data, tmp_path / "run", lambda line: None)
    said: list[str] = []
    told = settle_told(config, images, build_network(config), said.append, make_plan(config, images).noise)
    if spec.startswith("gaussian"):  # which is measured well in each image
        assert (told, said) == (MEASURED, [])
        return
    assert said[0].startswith(f"The pairs show {told}")
    found = parse(told)
    assert isinstance(found, Correlated)
    assert found.sigma == pytest.approx(0.08, rel=0.03)
    assert found.length == pytest.approx(1, abs=0.05)
