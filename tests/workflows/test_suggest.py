"""`noiseless suggest`: looks at images and machine, and leaves a recipe that runs."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import noiseless
import noiseless.bundle
import tiny_runs
from noiseless.__main__ import main
from noiseless.denoiser import choose_model
from noiseless.errors import DataError, MemoryLimitError, UnknownNameError
from noiseless.finetuning.config import FinetuningConfig
from noiseless.noise import parse
from noiseless.training.config import RunConfig, from_mapping
from noiseless.workflows import suggest as advice
from noiseless.workflows import trial
from noiseless.workflows.survey import Kind, Machine, Survey, look_at_images, look_at_machine
from noiseless.workflows.trial import Cost, Trial

MACHINE = Machine(cores=2, memory=8 << 30)
COST = Cost(step=0.5, memory=1 << 30, pixel=1e-6)
SURVEY = Survey("clean", "/noisy", "/clean", 12, 1, (96, 96), 96, (10.0, 12.0))


def save(folder: Path, arrays: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, array in enumerate(arrays):
        noiseless.write(folder / f"{number}.png", noiseless.Image.from_array(array))
    return folder


def noisy_of(clean: list[np.ndarray], sigma: float) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [(each + generator.normal(0, sigma, each.shape)).clip(0, 255).round().astype(np.uint8) for each in clean]


@pytest.fixture
def grey(tmp_path: Path) -> tuple[Path, Path]:
    """Noisy and clean pictures of the same scenes; grey."""
    clean = [each[0] for each in tiny_runs.pictures(6, 0, 96)]
    return save(tmp_path / "noisy", noisy_of(clean, 12)), save(tmp_path / "clean", clean)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured."""
    monkeypatch.setattr(advice, "measure", lambda trial: COST)


def test_pairs_are_told_from_other_scenes_and_from_noisy_images_alone(grey: tuple[Path, Path], tmp_path: Path) -> None:
    noisy, clean = grey
    pairs = look_at_images(str(noisy), str(clean))
    assert (pairs.kind, pairs.images, pairs.channels, pairs.size) == ("pairs", 6, 1, (96, 96))
    assert pairs.noise == pytest.approx((12, 12), rel=0.2)
    others = tmp_path / "others"
    others.mkdir()
    for path in clean.iterdir():
        path.rename(others / f"{'abcdef'[int(path.stem)]}.png")
    apart = look_at_images(str(noisy), str(others))
    assert (apart.kind, apart.images) == ("clean", 6)
    alone = look_at_images(str(noisy))
    assert (alone.kind, alone.clean) == ("noisy", None)
    assert alone.noise == pytest.approx((12, 12), rel=0.2)
    low, high = (float(end) for end in alone.noise_model.removeprefix("gaussian:").split("-"))
    assert low < 12 < high
    assert "6 noisy images" in alone.line()


def test_pairs_that_do_not_fit_are_one_line(grey: tuple[Path, Path]) -> None:
    noisy, clean = grey
    noiseless.write(clean / "3.png", noiseless.Image.from_array(np.zeros((96, 96, 3), np.uint8)))
    with pytest.raises(DataError, match=r"the sides of noisy/3.png differ: got \(1, 96, 96\) and \(3, 96, 96\)"):
        look_at_images(str(noisy), str(clean))


def test_a_single_pair_is_too_few(grey: tuple[Path, Path]) -> None:
    noisy, clean = grey
    with pytest.raises(DataError, match="cannot be split"):
        look_at_images(str(noisy / "0.png"), str(clean / "0.png"))
    with pytest.raises(DataError, match="no image matches"):
        look_at_images(str(noisy / "*.tif"))


def colours(count: int) -> list[np.ndarray]:
    """Pictures (H, W, 3), uint8, of three channels that differ."""
    shown = [each[0] for each in tiny_runs.pictures(count, 0, 96)]
    return [np.stack([each, 255 - each, each // 2 + 40], axis=-1) for each in shown]


@pytest.mark.parametrize(("sigma", "start"), [(0, "photo-small"), (2, "color-small"), (12, "color-small")])
@pytest.mark.parametrize("paired", [False, True], ids=["alone", "pairs"])
def test_photographs_are_what_denoise_takes_for_such(sigma: int, start: str, paired: bool, tmp_path: Path) -> None:
    """Weak white noise is no camera's: its level was asked alone, and 2 of 255 called developed."""
    clean = colours(3)
    noisy = save(tmp_path / "noisy", noisy_of(clean, sigma))
    survey = look_at_images(str(noisy), str(save(tmp_path / "clean", clean)) if paired else None)
    taken = {choose_model(noiseless.read(path))[0] for path in noisy.iterdir()}
    assert taken == {start} == {advice.PRIORITIES["quality"](survey, MACHINE).start}
    assert survey.developed == (start == "photo-small")
    assert (parse(survey.noise_model).name == "camera") == survey.developed
    assert ("camera developed" in survey.line()) == (survey.developed and not paired)
    reasons = " ".join(advice.PRIORITIES["quality"](survey, MACHINE).reasons)
    assert ("Without clean images nothing is learned" in reasons) == (survey.developed and not paired)


@pytest.mark.usefixtures("quick")
def test_the_wish_decides() -> None:
    chosen = {wish: advice.suggest(SURVEY, MACHINE, wish).choice for wish in advice.PRIORITIES}
    assert chosen["quality"].start == "gray-small"
    assert (chosen["speed"].network, chosen["speed"].start) == ("unet_nano", "gray-nano")
    assert chosen["explainable"].start == "photo-small"
    assert chosen["explainable"].arguments == {"channels": 1}
    assert any("filter" in reason for reason in chosen["explainable"].reasons)
    with pytest.raises(UnknownNameError, match="Did you mean quality"):
        advice.suggest(SURVEY, MACHINE, "qualty")


@pytest.mark.usefixtures("quick")
def test_the_number_of_images_and_a_gpu_decide() -> None:
    few, more, many = (replace(SURVEY, images=count) for count in (12, 100, 1000))
    assert advice.suggest(few, MACHINE).choice.method == "lora"
    assert advice.suggest(more, MACHINE).choice.method == "full"
    gpu = replace(MACHINE, gpu="a GPU", gpu_memory=24 << 30)
    assert advice.suggest(many, gpu).choice.network == "unet_base"
    assert advice.suggest(many, MACHINE).choice.start == "gray-small"


@pytest.mark.parametrize("wish", advice.PRIORITIES)
@pytest.mark.parametrize("kind", ["noisy", "pairs", "clean"])
def test_without_a_gpu_a_model_that_ships_is_adapted(wish: str, kind: Kind) -> None:
    """Whatever there is of it: nothing that two cores can train from scratch comes near."""
    for images in (10, 500):
        for channels in (1, 3, 4):
            survey = replace(SURVEY, kind=kind, images=images, channels=channels)
            choice = advice.PRIORITIES[wish](survey, MACHINE)
            base = noiseless.bundle.read(noiseless.bundle.shipped()[choice.start])
            assert choice.network == base.network
            assert choice.arguments.get("channels", base.spec.channels) == channels
            assert choice.method == ("lora" if images == 10 and kind != "noisy" else "full")


def test_a_network_that_finds_the_level_itself_is_what_explains() -> None:
    explaining = noiseless.load("photo-small")
    assert not explaining.takes_sigma
    assert not [name for name in explaining.bundle.tensors() if name.endswith("bias")]


def test_batches_shrink_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(trial: Trial) -> Cost:
        if trial.batch_size > 4:
            raise MemoryLimitError("killed")
        return replace(COST, memory=trial.batch_size << 30)

    monkeypatch.setattr(advice, "measure", measured)
    suggestion = advice.suggest(SURVEY, replace(MACHINE, memory=3 << 30))
    assert suggestion.choice.batch_size == 2
    assert "do not fit" in suggestion.choice.reasons[-1]
    monkeypatch.setattr(advice, "measure", lambda trial: measured(replace(trial, batch_size=8)))
    with pytest.raises(MemoryLimitError):
        advice.suggest(SURVEY, MACHINE)


@pytest.mark.usefixtures("quick")
def test_recipes_hold_what_a_run_knows() -> None:
    for wish in advice.PRIORITIES:
        for survey in (SURVEY, replace(SURVEY, kind="noisy", clean=None), replace(SURVEY, kind="pairs", channels=5)):
            suggestion = advice.suggest(replace(survey, noise=(2.0, 40.0), smallest=50), MACHINE, wish)
            settings = advice.recipe(suggestion)
            config = from_mapping(FinetuningConfig if suggestion.choice.start else RunConfig, settings)
            assert config.training.patch_size == 48
            assert (config.noise == "") == (survey.kind != "clean")
            assert config.training.early_stopping == (4 if survey.kind == "noisy" else 0)
            wide = suggestion.choice.loss == "l1" and survey.kind == "clean"
            assert config.objective == ("balanced" if wide else "auto")


def test_a_trial_measures(tmp_path: Path) -> None:
    tiny = Trial("unet_nano", tiny_runs.TINY_NETWORK, "lora", 1, 16)
    cost = trial.measure(tiny)
    assert 0 < cost.step < 60
    assert 1e8 < cost.memory < 1e10
    assert 0 < cost.pixel < 1
    with pytest.raises(MemoryLimitError, match="cannot be tried"):
        trial.measure(replace(tiny, arguments={"channels": 0}))


def test_machine() -> None:
    machine = look_at_machine()
    assert machine.cores >= 1
    assert machine.usable > 0
    assert "core" in machine.line()


@pytest.mark.usefixtures("quick")
def test_the_recipe_runs_as_it_stands(
    grey: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for wish in ("speed", "quality"):
        command = ["suggest", "--noisy", "noisy", "--clean", "clean", "--priority", wish, "-o", f"{wish}.toml"]
        assert main(command) == 0
        printed = capsys.readouterr().out
        assert "Expected, from 0.5 s a step" in printed
        line = printed.splitlines()[-1].removeprefix("Run it: noiseless ")
        assert line in (tmp_path / f"{wish}.toml").read_text("utf-8")
        quick_ones = ["--steps", "2", "--set", "training.batch_size=1", "--set", "training.validations=1"]
        assert main([*shlex.split(line), *quick_ones, "--set", "training.accelerator=cpu"]) == 0
        assert (tmp_path / "runs" / wish / "last").is_dir()
        assert main(command) == 1
        assert "is there already" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_so_does_that_for_four_bands_of_noise_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noisy").mkdir()
    for number, each in enumerate(tiny_runs.pictures(4, 0, 96)):
        bands = np.stack(noisy_of([each[0]] * 4, 12))
        tifffile.imwrite(
            tmp_path / "noisy" / f"{number}.tif", bands, photometric="minisblack", metadata={"axes": "CYX"}
        )
    assert main(["suggest", "--noisy", "noisy", "--priority", "speed", "-o", "bands.toml"]) == 0
    line = capsys.readouterr().out.splitlines()[-1].removeprefix("Run it: noiseless ")
    assert line.startswith("finetune color-nano ")
    quick_ones = ["--steps", "2", "--set", "training.batch_size=1", "--set", "training.validations=1"]
    assert main([*shlex.split(line), *quick_ones, "--set", "training.accelerator=cpu"]) == 0
    assert noiseless.load(tmp_path / "runs" / "bands").spec.channels == 4


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("beside", ["nothing", "pairs", "others"])
def test_a_truncated_image_is_named_and_the_others_are_looked_at(
    beside: str, grey: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended the command; training leaves such images out."""
    noisy, clean = grey
    damaged = (noisy if beside == "nothing" else clean) / "0.png"
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    if beside == "others":
        for path in list(clean.iterdir()):
            path.rename(path.with_name(f"{'abcdef'[int(path.stem)]}.png"))
        damaged = clean / "a.png"
    command = ["suggest", "--noisy", str(noisy), *([] if beside == "nothing" else ["--clean", str(clean)])]
    assert main([*command, "-o", str(tmp_path / "x.toml")]) == 2
    (first, line) = capsys.readouterr().err.splitlines()
    assert first == "1 of 6 could not be read:"
    assert f"cannot read {damaged}: " in line
    assert (tmp_path / "x.toml").exists()


@pytest.mark.usefixtures("quick")
def test_a_data_range_is_looked_through_and_written_down(grey: tuple[Path, Path], tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()
    for path in grey[0].iterdir():
        tifffile.imwrite(counts / f"{path.stem}.tif", 1000 + 3000 / 255 * noiseless.read(path).array.astype(np.float32))
    with pytest.raises(DataError, match="--set data_range"):
        look_at_images(str(counts))
    survey = look_at_images(str(counts), data_range=(1000, 4000))
    assert survey.noise == pytest.approx(look_at_images(str(grey[0])).noise, rel=0.01)
    recipe = tmp_path / "x.toml"
    assert main(["suggest", "--noisy", str(counts), "--set", "data_range=1000,4000", "-o", str(recipe)]) == 0
    assert "data_range = [1000" in recipe.read_text()


def test_bad_input_is_one_line(grey: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["suggest", "--noisy", str(grey[0]), "-o"]
    assert main([*command, str(tmp_path / "x.yaml")]) == 2
    assert "a recipe is a .toml file" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "x.toml"), "--priority", "best"]) == 2
    assert "unknown priority 'best'" in capsys.readouterr().err
    assert main(["suggest", "--noisy", str(tmp_path / "none"), "-o", str(tmp_path / "x.toml")]) == 2
    assert not (tmp_path / "x.toml").exists()
