"""Learning from noisy images alone: every objective learns, and no clean image reaches it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import noiseless
import tiny_runs
from noiseless import losses, networks
from noiseless.bundle import NetworkSpec
from noiseless.data import samples
from noiseless.data.store import write_store
from noiseless.errors import ConfigError, DataError, UnknownNameError
from noiseless.evaluation.unreferenced import alone, know
from noiseless.metrics import psnr
from noiseless.noise import Noise, parse
from noiseless.training import objectives
from noiseless.training.config import DataConfig, RunConfig, Stage
from noiseless.training.found import find_noise
from noiseless.training.frames import difference, one_scene
from noiseless.training.known import KnownNoise
from noiseless.training.patches import NoisyPatches, make_batch
from noiseless.training.run import Listener, Outcome, run_training
from noiseless.training.validation import Example, unreferenced_examples, validate

WHITE, CORRELATED = "gaussian:30", "correlated:sigma=0.12,length=1.0"
UNSEEN = 77
CPU = torch.device("cpu")


def unit(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) / 255


def noisy_store(folder: Path, noise: Noise, seed: int, count: int = 12, views: int = 1) -> list[str]:
    """Stores of noisy pictures, float32; `views` of the same scenes with noise of their own."""
    scenes = tiny_runs.pictures(count, seed)
    for view in range(views):
        generator = np.random.default_rng([seed, view])
        images = ((f"{number}", noise.sample(unit(scene), generator), {}) for number, scene in enumerate(scenes))
        write_store(folder / f"view{view}", images)
    return [str(folder / f"view{view}") for view in range(views)]


def settings(data: DataConfig, objective: str, **changes: Any) -> RunConfig:
    return tiny_runs.config(data, objective=objective, loss="mse", **{"noise": "", "steps": 150, **changes})


def gain_on_unseen(restore: Callable[[np.ndarray], np.ndarray], spec: str) -> float:
    """PSNR gained on pictures that neither training nor validation has seen, in dB."""
    noise, generator = parse(spec), np.random.default_rng(UNSEEN)
    gains = []
    for picture in tiny_runs.pictures(6, seed=UNSEEN):
        clean = unit(picture)
        noisy = noise.sample(clean, generator)
        gains.append(psnr(restore(noisy).clip(0, 1), clean) - psnr(noisy.clip(0, 1), clean))
    return float(np.mean(gains))


def learned(objective: str, spec: str, steps: int = 150) -> Callable[[np.ndarray], np.ndarray]:
    """A tiny network after some steps of an objective, which is given noisy patches and nothing else."""
    noise, generator = parse(spec), np.random.default_rng(1)
    source = NoisyPatches([noise.sample(unit(scene), generator) for scene in tiny_runs.pictures(12, seed=1)], 1)
    torch.manual_seed(0)
    network = networks.create("unet_nano", **tiny_runs.TINY_NETWORK, conditioning="none")
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    step_of = objectives.create(objective, losses.parse("mse"), KnownNoise.of(noise, 1))
    draws = torch.Generator().manual_seed(0)
    for step in range(steps):
        batch = make_batch(source, Stage(0.0, 32, 4), 0, step, slice(None))
        assert batch.target.equal(batch.noisy)
        loss, _ = step_of(network, batch, draws)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def restore(noisy: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            restored: np.ndarray = network(torch.from_numpy(noisy)[None])[0].numpy()
        return restored

    return restore


def through(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The denoiser of a run."""
    denoiser = noiseless.load(folder, engine="torch", device="cpu")
    return lambda noisy: np.asarray(denoiser(noisy[0], data_range=1.0))[None]


def run(folder: Path, config: RunConfig) -> tuple[Outcome, list[str]]:
    said: list[str] = []
    return run_training(config, folder / "run", listener=Listener(say=said.append)), said


ALONE = ["noise2void", "noise2self", "neighbor2neighbor", "sure", "recorrupted", "zero-shot"]


def test_every_objective_is_tested() -> None:
    assert {*ALONE, *objectives.REFERENCED, "noise2noise"} == {*objectives.OBJECTIVES}


@pytest.mark.parametrize("objective", ALONE)
@pytest.mark.parametrize(("spec", "least"), [(WHITE, 2.5), (CORRELATED, 1.0)], ids=["white", "correlated"])
def test_it_learns_from_noisy_patches_alone(objective: str, spec: str, least: float) -> None:
    assert gain_on_unseen(learned(objective, spec), spec) > least


def test_a_run_on_noisy_images_alone(tmp_path: Path) -> None:
    data = DataConfig(noisy=tuple(noisy_store(tmp_path, parse(WHITE), seed=1)))
    outcome, said = run(tmp_path, settings(data, "auto"))
    assert outcome.ending == "finished"
    assert any(line.startswith("objective: ") and ", since the noise is white" in line for line in said)
    assert not [line for line in said if line.startswith("warning")]
    assert gain_on_unseen(through(tmp_path / "run"), WHITE) > 2


def test_it_learns_from_two_noisy_views(tmp_path: Path) -> None:
    data = DataConfig(noisy_pairs=tuple(noisy_store(tmp_path, parse(CORRELATED), seed=1, views=2)))
    outcome, said = run(tmp_path, settings(data, "auto"))
    assert any(line.startswith("objective: noise2noise, since each scene has two noisy views") for line in said)
    assert any(line.startswith("validation:") and line.endswith("from the other view of each scene") for line in said)
    assert outcome.psnr > outcome.noisy_psnr + 1
    assert gain_on_unseen(through(tmp_path / "run"), CORRELATED) > 1


def stored_again(folder: Path, store: str) -> str:
    """A copy, as of somebody who has one exposure and gives it twice."""
    return str(shutil.copytree(store, folder / "copy"))


def test_pairs_that_are_not_of_one_scene(tmp_path: Path) -> None:
    scenes, others = tiny_runs.pictures(6, seed=1), tiny_runs.pictures(6, seed=2)
    noise, generator = parse(WHITE), np.random.default_rng(0)

    def stored(name: str, pictures: list[np.ndarray]) -> str:
        images = ((f"{number}", noise.sample(unit(each), generator), {}) for number, each in enumerate(pictures))
        write_store(tmp_path / name, images)
        return str(tmp_path / name)

    first = stored("first", scenes)
    data = DataConfig(noisy_pairs=(first, stored("others", others)))
    with pytest.raises(DataError, match="these exposures are not of one scene"):
        run(tmp_path / "a", settings(data, "auto", steps=1))
    kept = tuple(stored(name, tiny_runs.pictures(2, seed=3)) for name in ("kept", "kept-again"))
    data = DataConfig(noisy_pairs=(first, stored("some", [*scenes[:-1], others[-1]])), validation=kept)
    _, said = run(tmp_path / "b", settings(data, "auto", steps=1))
    assert "warning: 1 of 6 pairs that were looked at are not two exposures of one scene" in said
    again = DataConfig(noisy_pairs=(first, stored_again(tmp_path, first)))
    with pytest.raises(DataError, match="the same in every value"):
        run(tmp_path / "c", settings(again, "auto", steps=1))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_images_without_noise_teach_nothing(value: float, tmp_path: Path) -> None:
    write_store(tmp_path / "flat", ((f"{n}", np.full((1, 64, 64), value, np.float32), {}) for n in range(3)))
    with pytest.raises(DataError, match="no noise can be told in the images"):
        run(tmp_path, settings(DataConfig(noisy=(str(tmp_path / "flat"),)), "auto", steps=1))


def test_it_learns_on_the_one_image(tmp_path: Path) -> None:
    scene = unit(tiny_runs.pictures(1, seed=5, size=128)[0])
    noisy = parse(WHITE).sample(scene, np.random.default_rng(5))
    noiseless.write(tmp_path / "one.tif", noiseless.Image.from_array(noisy[0]))
    outcome, _ = run(tmp_path, settings(DataConfig(noisy=(str(tmp_path / "one.tif"),)), "zero-shot"))
    restored = through(tmp_path / "run")(noisy)
    assert psnr(restored.clip(0, 1), scene) > psnr(noisy.clip(0, 1), scene) + 3
    assert outcome.psnr == pytest.approx(psnr(restored, scene), abs=1)  # the estimate is near the truth


@pytest.mark.slow
def test_it_learns_on_a_large_image_within_its_minutes(tmp_path: Path) -> None:
    """As a person does with three minutes: what is judged is the budget, whatever the machine."""
    scene, minutes = unit(tiny_runs.pictures(1, seed=5, size=512)[0]), 0.25
    noisy = parse(WHITE).sample(scene, np.random.default_rng(5))
    noiseless.write(tmp_path / "one.tif", noiseless.Image.from_array(noisy[0]))
    data = DataConfig(noisy=(str(tmp_path / "one.tif"),))
    outcome, _ = run(tmp_path, settings(data, "zero-shot", steps=None, minutes=minutes))
    assert outcome.ending == "finished"
    assert 0.9 < outcome.seconds / (60 * minutes) < 1.5
    restored = through(tmp_path / "run")(noisy)
    assert psnr(restored.clip(0, 1), scene) > psnr(noisy.clip(0, 1), scene) + 5


def test_planes_of_a_stack_are_views_of_one_scene(tmp_path: Path) -> None:
    generator, scenes = np.random.default_rng(0), tiny_runs.pictures(3, seed=1)
    for number, scene in enumerate(scenes):
        planes = np.repeat(unit(scene), 6, axis=0)
        planes = planes + 0.1 * generator.standard_normal(planes.shape, np.float32)
        noiseless.write(
            tmp_path / f"{number}.tif", noiseless.Image.from_array(np.rint(planes.clip(0, 1) * 65535).astype(np.uint16))
        )
    data = DataConfig(noisy=tuple(str(tmp_path / f"{number}.tif") for number in range(3)))
    outcome, said = run(tmp_path, settings(data, "auto", steps=80))
    assert any(
        "noise2noise, since neighbouring planes or frames differ by no more than their noise" in line for line in said
    )
    assert outcome.psnr > outcome.noisy_psnr + 2


def numbered(folder: Path, scenes: Sequence[np.ndarray], of_each: int) -> DataConfig:
    """Frames of one scene after the other, in files that are numbered from 8 on."""
    generator = np.random.default_rng(0)
    for number, scene in enumerate(scene for scene in scenes for _ in range(of_each)):
        frame = (unit(scene) + 0.1 * generator.standard_normal(scene.shape, np.float32)).clip(0, 1)
        noiseless.write(
            folder / f"shot_{number + 8}.png", noiseless.Image.from_array(np.rint(frame[0] * 65535).astype("u2"))
        )
    return DataConfig(noisy=(str(folder / "shot_*.png"),))


def test_numbered_frames_are_views_of_one_scene_but_at_a_cut(tmp_path: Path) -> None:
    data = numbered(tmp_path, tiny_runs.pictures(2, seed=1), of_each=8)
    outcome, said = run(tmp_path, settings(data, "auto", steps=80))
    assert any("noise2noise, since neighbouring planes or frames differ by no more than" in line for line in said)
    (line,) = [line for line in said if line.startswith("learned from")]
    learned, found = (int(word) for word in line.split() if word.isdigit())
    assert 0 < learned == found - 1
    assert outcome.psnr > outcome.noisy_psnr + 2


def test_numbered_photographs_of_many_scenes_are_no_frames(tmp_path: Path) -> None:
    _, said = run(tmp_path, settings(numbered(tmp_path, tiny_runs.pictures(5, seed=1), of_each=1), "auto", steps=2))
    assert any("objective: recorrupted" in line for line in said)


def test_frames_in_which_small_things_move_show_no_one_scene() -> None:
    """Five spots of five standard deviations, elsewhere in each frame: their mean square hardly shows."""
    generator, noise = np.random.default_rng(0), KnownNoise.of(parse("gaussian:15"), 1)
    frames = np.full((2, 1, 160, 160), 0.15, np.float32)
    down, across = np.mgrid[:160, :160]
    for number, top, left in np.column_stack([np.arange(10) % 2, generator.integers(10, 150, (10, 2))]):
        frames[number, 0] += 0.3 * np.exp(-((down - top) ** 2 + (across - left) ** 2) / 8).astype(np.float32)
    still = np.stack([frames[0], frames[0]]) + 15 / 255 * generator.standard_normal(frames.shape, np.float32)
    moved = frames + 15 / 255 * generator.standard_normal(frames.shape, np.float32)
    assert one_scene(difference(*still, noise))
    assert not one_scene(difference(*moved, noise))


@pytest.mark.parametrize(
    "spec", ["gaussian:25", "poisson-gaussian:gain=0.05,read=0.001", "correlated:sigma=0.1,length=1.5"]
)
def test_noise_alone_leaves_frames_of_one_scene(spec: str) -> None:
    noise = KnownNoise.of(parse(spec), 1)
    for seed, scene in enumerate(tiny_runs.pictures(5, seed=1, size=256)):
        one, other = (parse(spec).sample(unit(scene), np.random.default_rng([seed, view])) for view in range(2))
        assert one_scene(difference(one, other, noise)), difference(one, other, noise)


def test_copies_and_shared_noise_make_no_second_views() -> None:
    generator, noise = np.random.default_rng(0), KnownNoise.of(parse("gaussian:15"), 1)
    scene = unit(tiny_runs.pictures(1, seed=1)[0])
    shared = scene + 0.055 * generator.standard_normal(scene.shape, np.float32)
    again = [shared + 0.02 * generator.standard_normal(scene.shape, np.float32) for _ in range(2)]
    assert not one_scene(difference(*again, noise))
    assert difference(shared, shared, noise) == 0


def test_a_level_that_is_none_or_many_is_refused_before_noisy_images_are_read(tmp_path: Path) -> None:
    data = DataConfig(noisy=(str(tmp_path),))
    for spec, match in (("gaussian:0-55", "a range is no noise level"), ("gaussian:0", "noisy images have noise")):
        with pytest.raises(ConfigError, match=match):
            run(tmp_path, replace(settings(data, "auto"), noise=spec))


def test_views_of_unequal_channels_are_named(tmp_path: Path) -> None:
    scenes = [unit(scene) for scene in tiny_runs.pictures(4, seed=1)]
    write_store(tmp_path / "a", [(f"{n}", scene, {}) for n, scene in enumerate(scenes)])
    write_store(tmp_path / "b", [(f"{n}", np.repeat(scene, 3, axis=0), {}) for n, scene in enumerate(scenes)])
    data = DataConfig(noisy_pairs=(str(tmp_path / "a"), str(tmp_path / "b")))
    with pytest.raises(DataError, match="two views of a scene are of one shape"):
        run(tmp_path, settings(data, "noise2noise", steps=1))


@pytest.mark.parametrize(("channels", "bits"), [(2, 8), (5, 16), (4, 32)])
def test_any_number_of_channels_and_any_depth(channels: int, bits: int, tmp_path: Path) -> None:
    """No model ships for such channels: a network for them starts from random weights."""
    generator, most = np.random.default_rng(channels), 2**bits - 1
    dtype = {8: np.uint8, 16: np.uint16, 32: np.float32}[bits]
    for number, scene in enumerate(tiny_runs.pictures(3, seed=1)):
        planes = parse(WHITE).sample(np.repeat(unit(scene), channels, axis=0), generator).clip(0, 1)
        stored = planes if bits == 32 else np.rint(planes * most)
        write_store(tmp_path / f"{number}", [("image", stored.astype(dtype), {})])
    data = DataConfig(noisy=tuple(str(tmp_path / f"{number}") for number in range(3)))
    changes = {"arguments": {**tiny_runs.TINY_NETWORK, "channels": channels}, "steps": 2}
    outcome, said = run(tmp_path, settings(data, "auto", **changes))
    assert outcome.step == 2
    assert noiseless.load(outcome.folder, engine="torch", device="cpu").bundle.spec.channels == channels
    assert any(line.startswith("noise: ") and "measured" in line for line in said)


def test_counts_in_a_range_of_their_own(tmp_path: Path) -> None:
    """White alone may be said, as everywhere else."""
    for number, scene in enumerate(tiny_runs.pictures(3, seed=1)):
        np.save(tmp_path / f"{number}.npy", 4095 * parse(WHITE).sample(unit(scene), np.random.default_rng(number))[0])
    data = DataConfig(noisy=(str(tmp_path / "*.npy"),), data_range=(4095.0,))
    _, said = run(tmp_path, settings(data, "auto", steps=1))
    (noise,) = [line for line in said if line.startswith("noise: gaussian:")]
    found = parse(noise.removeprefix("noise: ").partition(" ")[0])
    assert 255 * found.to_dict()["sigma"] == pytest.approx(30, rel=0.1)


def test_stacks_that_are_too_short_for_their_planes_to_be_views(tmp_path: Path) -> None:
    """One plane has no neighbour; two are enough."""
    planes = np.repeat(unit(tiny_runs.pictures(1, seed=1)[0]), 2, axis=0)
    planes = parse(WHITE).sample(planes[:, None], np.random.default_rng(0))[:, 0].clip(0, 1)
    for count in (1, 2):
        stored = np.rint(planes[:count] * 65535).astype(np.uint16)
        noiseless.write(tmp_path / f"{count}.tif", noiseless.Image.from_array(stored))
    short = DataConfig(noisy=(str(tmp_path / "1.tif"),))
    with pytest.raises(ConfigError, match="stacks with planes"):
        run(tmp_path / "a", settings(short, "noise2noise", steps=1))
    outcome, _ = run(tmp_path / "b", settings(DataConfig(noisy=(str(tmp_path / "2.tif"),)), "noise2noise", steps=1))
    assert outcome.step == 1


def test_a_few_pairs_and_many_noisy_images(tmp_path: Path) -> None:
    noise, generator = parse(WHITE), np.random.default_rng(3)
    scenes = [unit(scene) for scene in tiny_runs.pictures(4, seed=3)]
    write_store(tmp_path / "clean", ((f"{n}", scene, {}) for n, scene in enumerate(scenes)))
    write_store(tmp_path / "noisy", ((f"{n}", noise.sample(scene, generator), {}) for n, scene in enumerate(scenes)))
    alone = noisy_store(tmp_path / "alone", noise, seed=1)
    data = DataConfig(pairs=(str(tmp_path / "noisy"), str(tmp_path / "clean")), noisy=tuple(alone))
    run(tmp_path, settings(data, "auto"))
    assert gain_on_unseen(through(tmp_path / "run"), WHITE) > 2
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert {entry["role"] for entry in manifest["images"]} == {"noisy", "clean"}


def test_an_objective_that_the_noise_does_not_suit_warns_before_it_learns(tmp_path: Path) -> None:
    data = DataConfig(noisy=tuple(noisy_store(tmp_path, parse("correlated:sigma=0.15,length=2"), seed=1)))
    said: list[str] = []
    spent: list[int] = []

    def status(status: Any) -> None:
        spent.append(len(said))

    listener = Listener(say=said.append, status=status)
    run_training(settings(data, "noise2void", steps=2), tmp_path / "run", listener=listener)
    warning = next(number for number, line in enumerate(said) if line.startswith("warning: the noise is correlated"))
    assert "noise2void" in said[warning]
    assert all(count > warning for count in spent)


class Smooth(torch.nn.Module):
    """Means of 3x3 pixels and, where there are several channels, of those a little."""

    def __init__(self, channels: int, between: float = 0.0) -> None:
        super().__init__()
        self.spec, self.between = NetworkSpec(channels), between

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        smooth = torch.nn.functional.avg_pool2d(noisy, 3, 1, 1, count_include_pad=False)
        return (1 - self.between) * smooth + self.between * smooth.mean(dim=1, keepdim=True)


def estimated(network: Smooth, views: list[np.ndarray], known: KnownNoise) -> float:
    """Validation PSNR of a network on one scene, without its clean image."""
    sides = [[view] for view in views]
    examples = unreferenced_examples(sides, known, network.spec, size=512, seed=0)
    scores = validate(network, examples, CPU, bf16=False)
    assert scores.estimated
    return scores.psnr


def true_psnr(network: Smooth, noisy: np.ndarray, clean: np.ndarray) -> float:
    return psnr(network(torch.from_numpy(noisy)[None])[0].numpy().clip(0, 1), clean)


@pytest.mark.parametrize("stored", [False, True], ids=["float", "8 bits"])
@pytest.mark.parametrize("spec", ["gaussian:25", "poisson-gaussian:gain=0.02,read=0.03", CORRELATED])
def test_validation_without_clean_images_is_near_the_truth(spec: str, stored: bool) -> None:
    noise, generator = parse(spec), np.random.default_rng(0)
    clean = unit(tiny_runs.pictures(1, seed=4, size=256)[0])
    noisy, other = (noise.sample(clean, generator) for _ in range(2))
    if stored:
        noisy, other = ((np.rint(view.clip(0, 1) * 255) / 255).astype(np.float32) for view in (noisy, other))
    network, known = Smooth(1), KnownNoise.of(noise, 1)
    truth = true_psnr(network, noisy, clean)
    assert estimated(network, [noisy], known) == pytest.approx(truth, abs=0.3)
    assert estimated(network, [noisy, other], known) == pytest.approx(truth, abs=0.3)


def test_noise_that_channels_share_counts_in_validation() -> None:
    generator = np.random.default_rng(1)
    clean = np.repeat(unit(tiny_runs.pictures(1, seed=4, size=256)[0]), 3, axis=0)
    correlation = np.array([[1, 0.8, 0.8], [0.8, 1, 0.8], [0.8, 0.8, 1]])
    drawn = np.einsum("cd,dhw->chw", np.linalg.cholesky(correlation), generator.standard_normal(clean.shape))
    noisy, network = (clean + 0.1 * drawn).astype(np.float32), Smooth(3, between=0.5)
    noise, truth = parse("gaussian:25.5"), true_psnr(network, noisy, clean)
    assert estimated(network, [noisy], KnownNoise.of(noise, 3, correlation)) == pytest.approx(truth, abs=0.3)
    assert estimated(network, [noisy], KnownNoise.of(noise, 3)) > truth + 1


def test_validation_says_what_evaluate_says() -> None:
    noise = parse("poisson-gaussian:gain=0.02,read=0.03")
    noisy = noise.sample(unit(tiny_runs.pictures(1, seed=4, size=96)[0]), np.random.default_rng(0))
    network = Smooth(1)

    @dataclass(frozen=True)
    class Model:
        name: str = "smooth"

        def __call__(self, array: Any, **options: Any) -> Any:
            return network(torch.from_numpy(array)[None])[0].numpy()

    said = -10 * np.log10(alone(Model(), noisy, know(noisy, noise)).error.mean())
    assert estimated(network, [noisy], KnownNoise.of(noise, 1)) == pytest.approx(said, abs=1e-4)


def test_the_estimate_keeps_the_better_weights_and_stops_early(tmp_path: Path) -> None:
    """Steps that are far too long ruin what was learned: without a clean image the run sees it, and keeps the start."""
    data = DataConfig(noisy=tuple(noisy_store(tmp_path, parse(WHITE), seed=1)))
    good, _ = run(tmp_path, settings(data, "recorrupted"))
    ruin = {"lr": 0.03, "ema": 0.0, "validations": 20, "early_stopping": 2, "warmup": 0.0, "clip_norm": 0.0}
    config = settings(data, "recorrupted", start=str(good.folder / "best"), training=ruin)
    outcome, said = run(tmp_path / "again", config)
    assert (outcome.ending, outcome.estimated) == ("finished", True)
    assert outcome.step < 50
    assert outcome.psnr == outcome.start_psnr == pytest.approx(good.psnr, abs=0.01)
    best, last = (gain_on_unseen(through(outcome.folder / which), WHITE) for which in ("best", "last"))
    assert best > last + 1
    assert "validation: without clean images the PSNR is an estimate, by Stein's formula, for this noise" in said


def test_noise_made_like_the_known_one() -> None:
    noise = parse(CORRELATED)
    known = KnownNoise.of(noise, 2)
    made = known.sample(torch.full((2, 2, 160, 160), 0.5), torch.Generator().manual_seed(0)).numpy()
    assert made.std() == pytest.approx(0.12, rel=0.03)
    neighbours = (made[..., 1:] * made[..., :-1]).mean() / (made**2).mean()
    assert neighbours == pytest.approx(np.exp(-0.5), abs=0.05)
    assert known.reach == 2
    assert KnownNoise.of(parse(WHITE), 1).reach == 0


def test_objectives_and_images_must_suit_each_other(tmp_path: Path) -> None:
    noisy = DataConfig(noisy=tuple(noisy_store(tmp_path, parse(WHITE), seed=1)))
    clean = tiny_runs.stores(tmp_path / "clean")
    with pytest.raises(ConfigError, match="compares with clean images"):
        run_training(settings(noisy, "supervised"), tmp_path / "a")
    with pytest.raises(ConfigError, match="two noisy views"):
        run_training(settings(noisy, "noise2noise"), tmp_path / "b")
    with pytest.raises(ConfigError, match="without a clean side"):
        run_training(settings(clean, "noise2void", noise=WHITE), tmp_path / "c")
    with pytest.raises(UnknownNameError, match="noise2void"):
        run_training(settings(noisy, "noise2viod"), tmp_path / "d")
    with pytest.raises(ConfigError, match="one source"):
        run_training(settings(replace(clean, noisy=noisy.noisy), "auto"), tmp_path / "e")


@pytest.mark.parametrize("spec", ["gaussian:15", "poisson-gaussian:gain=0.01,read=0.005"])
def test_texture_is_not_taken_for_noise_that_the_channels_share(spec: str) -> None:
    """A photograph is much the same in all channels; noise that grows with brightness hides in its dark parts."""
    noise, generator = parse(spec), np.random.default_rng(0)
    clean = [noiseless.read(path).planes()[0][:, :192, :192] for path in samples("train")[:6]]
    found = find_noise([noise.sample(image, generator) for image in clean], 3)
    assert np.abs(found.between_channels - np.eye(3)).max() < 0.08
    mixing = np.linalg.cholesky(np.array([[1, 0.6, 0.4], [0.6, 1, 0.6], [0.4, 0.6, 1]]))
    shared = [0.06 * np.einsum("cd,dhw->chw", mixing, generator.standard_normal(image.shape)) for image in clean]
    mixed = [(image + more).astype(np.float32) for image, more in zip(clean, shared, strict=True)]
    assert find_noise(mixed, 3).between_channels[0] == pytest.approx([1, 0.6, 0.4], abs=0.08)


def test_an_estimate_below_nothing_makes_no_weights_the_best() -> None:
    """Noise that is overrated makes every error look like none; then what was there first is kept."""
    noisy = parse("gaussian:5").sample(unit(tiny_runs.pictures(1, seed=3)[0]), np.random.default_rng(0))
    network = networks.create("unet_nano", **tiny_runs.TINY_NETWORK, conditioning="none").eval()
    scores = [
        validate(
            network,
            [Example(noisy, None, None, lambda restore, after=after: (np.full(noisy.shape, after), 0 * noisy, 1e-2))],
            CPU,
            bf16=False,
        )
        for after in (-1e-3, 0.0, 1e-6, 1e-4, 1e-3)
    ]
    found = [score.psnr for score in scores]
    assert found[0] == found[1] == found[2] == found[3] == pytest.approx(20 - 10 * np.log10(0.02))
    assert found[4] == pytest.approx(30)


def test_a_few_impulses_in_correlated_noise_are_texture() -> None:
    clean = [noiseless.read(path).planes()[0][:, :192, :192] for path in samples("train")[:4]]
    generator = np.random.default_rng(0)
    few, many = (
        "correlated:sigma=0.03,length=1.2+salt-and-pepper:amount=0.004",
        "gaussian:10+salt-and-pepper:amount=0.01",
    )
    named = [find_noise([parse(spec).sample(each, generator) for each in clean], 3).noise.spec for spec in (few, many)]
    assert "salt-and-pepper" not in named[0]
    assert "salt-and-pepper" in named[1]


def test_the_noise_of_tiny_images_is_found() -> None:
    """Their blocks were of unequal sizes, or of none."""
    noisy = [
        0.5 + 0.1 * np.random.default_rng(side).standard_normal((3, side, side), np.float32) for side in (1, 2, 9, 40)
    ]
    assert np.isfinite(find_noise(noisy, 3).between_channels).all()
