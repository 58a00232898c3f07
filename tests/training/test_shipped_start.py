"""A run on noisy images alone starts from the model that denoise takes for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import noiseless
from noiseless.cli.train import summary
from noiseless.data import samples
from noiseless.data.store import write_store
from noiseless.denoiser import choose_model
from noiseless.image import Image
from noiseless.noise import parse
from noiseless.training.config import RunConfig, from_mapping, over_defaults
from noiseless.training.images import open_images
from noiseless.training.plan import make_plan
from noiseless.training.run import run_training
from noiseless.training.state import Listener
from noiseless.workflows.survey import look_at_images
from raw_files import dng

WHITE = "gaussian:25"


def photographs(developed: int, white: int = 0) -> list[np.ndarray]:
    """Middles of photographs, (3, 128, 128) uint8, first with smooth noise as cameras leave it, then with white."""
    generator, images = np.random.default_rng(0), []
    shown = [noiseless.read(path).planes()[0] for path in samples("test")[:2]]  # without meshes in colours of their own
    for number in range(developed + white):
        left = 64 * (number // 2)
        clean = shown[number % 2][:, 64:192, left : left + 128]
        drawn = generator.standard_normal((1, *clean.shape[1:])) + 0.3 * generator.standard_normal(clean.shape)
        smooth = gaussian_filter(drawn, (0, 0.85, 0.85))  # and much the same in all colours
        noisy = (
            clean + smooth / smooth.std() * 1.6 / 255 if number < developed else parse(WHITE).sample(clean, generator)
        )
        images.append(np.rint(noisy.clip(0, 1) * 255).astype(np.uint8))
    return images


def on(images: list[np.ndarray], folder: Path, **options: object) -> RunConfig:
    """The settings of ``noiseless train --noisy`` for images."""
    write_store(folder / "noisy", ((str(number), image, {}) for number, image in enumerate(images)))
    return from_mapping(RunConfig, over_defaults({"steps": 1, "data": {"noisy": (str(folder / "noisy"),)}, **options}))


@pytest.mark.parametrize(
    ("images", "options", "start"),
    [
        (lambda: photographs(4), {}, "photo-small"),
        (lambda: photographs(4), {"noise": "gaussian:5"}, "color-small"),
        (lambda: photographs(4), {"start": "color-small"}, "color-small"),
        (lambda: [image.astype(np.uint16) * 257 for image in photographs(4)], {}, "color-small"),
        (lambda: photographs(0, 4), {}, "color-small"),
        (lambda: photographs(1, 3), {}, "color-small"),
        (lambda: photographs(3, 1), {}, "photo-small"),
        (lambda: [image[:1] for image in photographs(4)], {"noise": WHITE}, "gray-small"),
        (lambda: [np.repeat(image[:1], 3, axis=0) for image in photographs(0, 4)], {}, "gray-small"),
        (lambda: [*photographs(2), *(np.repeat(each[:1], 3, axis=0) for each in photographs(4))], {}, "photo-small"),
        (lambda: photographs(4), {"network": "unet_nano"}, None),
    ],
    ids=["photo", "told", "set", "16 bits", "white", "most white", "most photo", "grey", "shows grey", "mixed", "nano"],
)
def test_it_starts_from_what_denoise_takes(
    images: Callable[[], list[np.ndarray]], options: dict[str, str], start: str | None, tmp_path: Path
) -> None:
    made = images()
    config = on(made, tmp_path, **options)
    plan = make_plan(config, open_images(config.data, tmp_path / "run", lambda line: None))
    assert plan.start == start
    said = [line for line in plan.lines if line.startswith("starts from ")]
    assert len(said) == (start is not None and not config.start)
    if said:
        opened = [Image.from_array(each, channel_axis=0) for each in made]
        reasons = [choose_model(each, told=bool(config.noise), whole=True) for each in opened]
        assert any(said[0].startswith(f"starts from {name}, as denoise takes it: {reason}") for name, reason in reasons)


def test_camera_raw_is_a_developed_photograph_in_training_too(tmp_path: Path) -> None:
    """By its pixels, 16-bit colour, it would not be taken for one; what the file says comes through the store."""
    pytest.importorskip("rawpy", reason="needs the [raw] extra")
    (folder := tmp_path / "raw").mkdir()
    for number in range(2):
        sensor = 1000 + 100 * np.random.default_rng(number).standard_normal((128, 128))
        (folder / f"{number}.dng").write_bytes(dng(sensor.astype(np.uint16)))
    config = from_mapping(RunConfig, over_defaults({"steps": 1, "data": {"noisy": (str(folder),)}}))
    for _ in range(2):  # decoded now, and out of the store of the run
        plan = make_plan(config, open_images(config.data, tmp_path / "run", lambda line: None))
        assert plan.start == "photo-small"
        assert plan.guessed
        assert any("starts from photo-small, as denoise takes it: camera raw" in line for line in plan.lines)
    assert look_at_images(str(folder)).developed


def test_nothing_is_learned_of_a_developed_photograph(tmp_path: Path) -> None:
    """Said, and no time spent; the model is the same as without training: blind, the ceiling of its weights too."""
    images = photographs(4)
    config = replace(on(images, tmp_path), steps=1000)
    said: list[str] = []
    outcome = run_training(config, tmp_path / "run", listener=Listener(said.append))
    assert (outcome.ending, outcome.step, outcome.psnr) == ("finished", 0, outcome.start_psnr)
    assert [line for line in said if line.startswith("warning: nothing is learned") and "--noisy-pairs" in line]
    assert summary(outcome)[0].startswith("Nothing was learned")
    again = run_training(config, tmp_path / "run", resume=True)
    assert again.step == 0
    told = run_training(replace(config, noise="gaussian:4", steps=1), tmp_path / "told")
    assert told.step == 1
    made, shipped = noiseless.load(tmp_path / "run"), noiseless.load("photo-small")
    assert (made.spec, made.bundle.ceiling) == (shipped.spec, shipped.bundle.ceiling)
    for image in images[:2]:
        picture = np.moveaxis(image, 0, -1)
        np.testing.assert_array_equal(made(picture), noiseless.denoise(picture))


def test_a_run_that_gains_nothing_ends_early(tmp_path: Path) -> None:
    """A rate of nothing moves no weight: four of twelve validations are enough to see it; it is said before."""
    config = on(photographs(0, 4), tmp_path)
    config = replace(config, steps=12, training=replace(config.training, lr=0.0, batch_size=1, patch_size=32))
    said: list[str] = []
    outcome = run_training(config, tmp_path / "run", listener=Listener(said.append))
    assert (outcome.ending, outcome.step) == ("finished", 4)
    assert [line for line in said if line.startswith("kept is what was learned where it is surely better")]
    on_to_the_end = replace(config, training=replace(config.training, early_stopping=0))
    assert run_training(on_to_the_end, tmp_path / "on").step == 12


def test_weights_that_are_told_are_told_one_level_for_all_photographs(tmp_path: Path) -> None:
    """More than there is, which no estimate says: asked by one, they would be told what is guessed in each."""
    generator, shade = np.random.default_rng(0), 0.3 + 0.4 * np.linspace(0, 1, 128)
    smooth = gaussian_filter(generator.standard_normal((4, 3, 128, 128)), (0, 0, 0.85, 0.85))
    images = np.rint((shade + smooth / smooth.std() * 1.6 / 255) * 255).astype(np.uint8)
    config = replace(on(list(images), tmp_path), start="color-small")
    run_training(config, tmp_path / "run")
    told = noiseless.load(tmp_path / "run").bundle.told
    assert told is not None
    assert told.startswith("correlated:")
    opened = open_images(config.data, tmp_path / "again", lambda line: None)
    known = make_plan(config, opened).noise
    assert known is not None
    grey = np.full((3, 8, 8), 0.5, np.float32)
    assert parse(told).variance(grey).mean() > known.noise.variance(grey).mean()
