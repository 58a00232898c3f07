"""Pairs whose noise a single image does not tell: a model that is told the noise level is told what they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import noiseless
import tiny_runs
from noiseless.__main__ import main
from noiseless.calibration import told_level
from noiseless.data.store import as_unit_float, write_store
from noiseless.finetuning import default_config, load_adapter
from noiseless.finetuning.run import FinetuningOutcome, run_finetuning
from noiseless.metrics import psnr
from noiseless.noise import parse
from noiseless.training.config import MEASURED, DataConfig
from noiseless.training.images import open_images
from noiseless.training.plan import make_plan
from noiseless.training.run import Listener, patch_source
from noiseless.training.validation import pair_examples
from noiseless.workflows import restorer

BASE, NOISE = "gray-nano", "speckle:looks=10"


def pairs(folder: Path, specs: Sequence[str]) -> DataConfig:
    """Pairs with these noises in turn, to learn from and to validate on."""
    generator = np.random.default_rng(0)
    sides = []
    for side, count in (("train", 6), ("validation", 4)):
        clean = [as_unit_float(image) for image in tiny_runs.pictures(count, count, 96)]
        noisy = [parse(specs[n % len(specs)]).sample(one, generator) for n, one in enumerate(clean)]
        for role, images in (("noisy", noisy), ("clean", clean)):
            write_store(folder / f"{side}-{role}", ((str(n), image, {}) for n, image in enumerate(images)))
        sides.append((str(folder / f"{side}-noisy"), str(folder / f"{side}-clean")))
    return DataConfig(pairs=sides[0], validation=sides[1])


def tune(
    data: DataConfig,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    keep: str = "none",
    noise: str = "",
    **options: Any,
) -> FinetuningOutcome:
    """A run that learns nothing."""
    config = default_config("lora", keep)
    training = replace(config.training, lr=0.0, validations=1, batch_size=1, accelerator="cpu", precision="float32")
    config = replace(config, data=data, noise=noise, steps=2, training=training)
    return run_finetuning(BASE, config, folder, listener=Listener(say=say), **options)


def test_it_is_told_what_the_pairs_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where nothing is learned this is a gain, and the model and its adapter keep it."""
    said: list[str] = []
    outcome = tune(pairs(tmp_path, [NOISE]), tmp_path / "run", said.append)
    assert outcome.gain > 1
    assert any(line.startswith("The pairs show speckle:looks=") for line in said)
    tuned, base = noiseless.load(tmp_path / "run"), noiseless.load(BASE)
    told = tuned.bundle.told
    assert told is not None
    clean = as_unit_float(tiny_runs.pictures(1, 99, 96)[0])
    noisy = parse(NOISE).sample(clean, np.random.default_rng(1))
    assert float(told.partition("=")[2]) == pytest.approx(10, rel=0.05)
    restored = tuned(noisy, channel_axis=0)
    assert psnr(restored, clean) > psnr(base(noisy, channel_axis=0), clean) + 1
    np.testing.assert_array_equal(tuned(noisy, channel_axis=0, noise=told), restored)
    assert not np.array_equal(tuned(noisy, channel_axis=0, noise="gaussian:30"), restored)
    assert np.array_equal(by_command(noisy[0], tmp_path), tuned(noisy[0]))
    monkeypatch.setattr(restorer, "LARGE_BYTES", 0)
    np.testing.assert_allclose(by_command(noisy[0], tmp_path), tuned(noisy[0]), atol=1e-4)
    adapted = load_adapter(tmp_path / "run")(noisy, channel_axis=0)
    np.testing.assert_allclose(adapted, restored, atol=2e-3)
    without = load_adapter(tmp_path / "run", strength=0)(noisy, channel_axis=0)
    np.testing.assert_allclose(without, base(noisy, channel_axis=0), atol=1e-4)


def by_command(noisy: np.ndarray, folder: Path) -> np.ndarray:
    """What ``noiseless denoise`` makes of an image with the tuned model."""
    tifffile.imwrite(folder / "noisy.tif", noisy)
    command = ["denoise", str(folder / "noisy.tif"), "-o", str(folder / "out.tif"), "--model", str(folder / "run")]
    assert main(command) == 0
    return np.asarray(tifffile.imread(folder / "out.tif"))


def test_what_is_measured_well_is_measured_on(tmp_path: Path) -> None:
    """Pairs whose noise is now weak, now strong: no one noise is theirs."""
    tune(pairs(tmp_path, ["gaussian:5", "gaussian:60"]), tmp_path / "run")
    assert 'told = "measured"' in (tmp_path / "run" / "config.toml").read_text()
    assert noiseless.load(tmp_path / "run").bundle.told is None


def test_of_noise_that_is_added_nothing_is_to_be_found_out(tmp_path: Path) -> None:
    """Clean images alone: the noise is known, and told of each patch as it is drawn."""
    sides = {"train": tiny_runs.pictures(2, 2, 96), "validation": tiny_runs.pictures(1, 1, 96)}
    for side, images in sides.items():
        write_store(tmp_path / side, ((str(n), image, {}) for n, image in enumerate(images)))
    data = DataConfig(clean=(str(tmp_path / "train"),), validation=(str(tmp_path / "validation"),))
    tune(data, tmp_path / "run", noise="gaussian:25")
    assert 'told = "measured"' in (tmp_path / "run" / "config.toml").read_text()


def test_what_is_new_is_told_apart_from_what_is_kept(tmp_path: Path) -> None:
    """By a level beyond all that are kept, which no image is named by and which is not recorded as the new noise."""
    said: list[str] = []
    outcome = tune(pairs(tmp_path, ["gaussian:5", "gaussian:60"]), tmp_path / "run", said.append, keep="replay")
    last = noiseless.load(outcome.run.folder / "last").bundle
    kept = noiseless.load(BASE).bundle.noise
    assert kept is not None
    assert last.told is not None
    assert any(f"told {last.told}, more than any" in line for line in said)
    assert parse(last.told).told_map(np.zeros((1, 2, 2), np.float32)).max() > 1.2 * kept["sigma"]["high"]
    assert last.noise is None
    assert not outcome.better, "such a level is no better before anything is learned"


def test_what_the_pairs_show_is_told_with_a_way_to_keep_too(tmp_path: Path) -> None:
    outcome = tune(pairs(tmp_path, [NOISE]), tmp_path / "run", keep="replay")
    assert outcome.gain > 1
    assert str(noiseless.load(tmp_path / "run").bundle.told).startswith("speckle:looks=")


def test_one_level_for_all_is_told_as_it_is(tmp_path: Path) -> None:
    config = replace(default_config("lora"), data=pairs(tmp_path, [NOISE]), told="gaussian:110")
    images = open_images(config.data, tmp_path / "run", lambda line: None)
    source = patch_source(config, images, noiseless.load(BASE).spec, make_plan(config, images))
    for seed in range(4):
        sigma = source.draw(np.random.default_rng(seed), 32).sigma
        assert sigma is not None
        np.testing.assert_allclose(sigma, 110 / 255, rtol=1e-6)


def test_what_is_told_does_not_name_the_pair(tmp_path: Path) -> None:
    """Ten pairs with camera noise were learned by heart by their levels; to validate, what use will tell is told."""
    config = replace(default_config("lora"), data=pairs(tmp_path, ["gaussian:5", "gaussian:60"]), told=MEASURED)
    images = open_images(config.data, tmp_path / "run", lambda line: None)
    spec = noiseless.load(BASE).spec
    source = patch_source(config, images, spec, make_plan(config, images))
    drawn = [source.draw(np.random.default_rng(seed), 32).sigma for seed in range(60)]
    levels = [sigma.mean() for sigma in drawn if sigma is not None]
    assert np.unique(levels).size == len(drawn)
    noisy = np.array(images.validation["noisy"][0])
    [example] = pair_examples([noisy], [noisy], spec, size=96)
    np.testing.assert_array_equal(example.sigma, told_level(noisy[None])[0])


def test_pairs_of_several_kinds_of_noise_show_no_one_level(tmp_path: Path) -> None:
    """By one level the pairs gain in the mean, for their lost pixels; correlated noise would be told far too little."""
    kinds = ["gaussian:15", "gaussian:10+salt-and-pepper:amount=0.04"]
    outcome = tune(pairs(tmp_path, kinds), tmp_path / "run")
    tuned, base = noiseless.load(outcome.run.folder / "last"), noiseless.load(BASE)
    assert tuned.bundle.told is None
    clean = as_unit_float(tiny_runs.pictures(1, 99, 96)[0])
    noisy = parse("correlated:sigma=0.06,length=1.5").sample(clean, np.random.default_rng(1))
    assert psnr(tuned(noisy, channel_axis=0), clean) > psnr(base(noisy, channel_axis=0), clean) - 0.01


@pytest.mark.slow
def test_correlated_pairs_gain(tmp_path: Path) -> None:
    """Above the model that measures their level in each image, on an image that nothing was learned from."""
    spec = "correlated:sigma=0.06,length=1.5"
    config = default_config("full")
    training = replace(config.training, validations=2, patch_size=32, accelerator="cpu", precision="float32")
    config = replace(config, data=pairs(tmp_path, [spec]), steps=60, training=training)
    assert run_finetuning(BASE, config, tmp_path / "run").gain > 0.5
    clean = as_unit_float(tiny_runs.pictures(1, 99, 96)[0])
    noisy = parse(spec).sample(clean, np.random.default_rng(1))
    tuned, base = noiseless.load(tmp_path / "run"), noiseless.load(BASE)
    assert psnr(tuned(noisy, channel_axis=0), clean) > psnr(base(noisy, channel_axis=0), clean) + 0.5


def test_a_resumed_run_is_told_the_same(tmp_path: Path) -> None:
    data = pairs(tmp_path, [NOISE])
    tune(data, tmp_path / "run", stop_after=1e-9)
    [told] = [line for line in (tmp_path / "run" / "config.toml").read_text().splitlines() if line.startswith("told =")]
    outcome = tune(data, tmp_path / "run", resume=True)
    assert (outcome.run.ending, outcome.run.step) == ("finished", 2)
    assert told == f'told = "{noiseless.load(tmp_path / "run").bundle.told}"'


def test_a_noise_that_is_none_is_said_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["finetune", BASE, "--pairs", "a", "b", "--steps", "1", "-o", str(tmp_path / "run")]
    command += ["--set", "told=gausian:3"]
    assert main(command) == 2
    assert "Did you mean gaussian" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
