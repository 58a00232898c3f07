"""`noiseless tune`: proposes, gives up early, goes on from its database, leaves a recipe and a page."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tiny_runs
from noiseless import losses
from noiseless.__main__ import main
from noiseless.errors import ConfigError, DivergedError, MissingExtraError, WorkError
from noiseless.finetuning.config import FinetuningConfig, default_config
from noiseless.training.config import DataConfig, RunConfig, TrainingConfig, from_mapping, to_mapping, write_toml
from noiseless.training.recipe import load_recipe
from noiseless.training.run import Listener, Outcome
from noiseless.training.state import Status
from noiseless.training.validation import Scores
from noiseless.workflows import search, tune
from noiseless.workflows.tune import Tuning
from noiseless.workflows.tune_report import write_page

optuna = pytest.importorskip("optuna")

CONFIG = RunConfig(
    network="dncnn", noise="gaussian:30", loss="l1+0.1*ssim", steps=4, training=TrainingConfig(lr=1e-3, validations=4)
)


def pretended(best: float = 1.5) -> Callable[..., Outcome]:
    """A run whose PSNR is the higher, the nearer its rate is to `best` times that of the recipe."""

    def run(config: RunConfig, model: str | None, folder: Path, listener: Listener) -> Outcome:
        psnr = 30 - abs(math.log(config.training.lr / CONFIG.training.lr / best))
        for number in range(1, 5):
            scores = Scores(psnr - 1 / number, 0.9, 20.0, [])
            listener.scored(Status(number, number / 4, 0.0, 0.1, 0.1, psnr), scores)
        return Outcome("finished", folder, psnr, 20.0, 4, 0.1)

    return run


@pytest.fixture
def tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tuning:
    """A search whose runs are pretended."""
    monkeypatch.setattr(tune, "_run", pretended())
    return Tuning(CONFIG, None, tmp_path / "search", 16)


def test_a_search_that_is_stopped_stops_its_other_processes(tuning: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    class Other:
        def __init__(self, **how: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Callable[[], None]:
            return lambda: done.append(name)

    def stopped(*_: Any) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(tune.multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=Other))
    monkeypatch.setattr(tune, "_work", stopped)
    with pytest.raises(SystemExit):
        tune.tune(tuning, processes=2)
    assert done == ["start", "terminate", "join"]


def test_a_search_improves_on_the_recipe_and_gives_up_early(tuning: Tuning) -> None:
    said: list[str] = []
    study = tune.tune(tuning, say=said.append)
    rows = tune.tried(study, CONFIG)
    assert len(rows) == len(said) == 16
    assert rows[0].values == {"learning rate": "0.001", "weight of ssim": "0.1", "width": "64"}
    assert study.best_value > (rows[0].psnr or 0) + 0.1
    pruned = [row for row in rows if row.ending == "pruned"]
    assert pruned
    assert all(len(row.curve) < 4 for row in pruned)
    assert any("given up at" in line for line in said)
    shares = tune.importance(study)
    assert max(shares, key=lambda name: shares[name]) == "learning rate"
    assert sum(shares.values()) == pytest.approx(1)


def test_a_search_goes_on_from_its_database(tuning: Tuning) -> None:
    first = [trial.params for trial in tune.tune(replace(tuning, trials=5)).trials]
    assert len(first) == 5
    second = tune.tune(replace(tuning, trials=8))
    assert len(second.trials) == 8
    assert [trial.params for trial in second.trials[:5]] == first
    assert len({trial.params["learning rate"] for trial in second.trials}) == 8
    again = tune.tune(replace(tuning, trials=8))
    assert len(again.trials) == 8
    with pytest.raises(ConfigError, match="search of another recipe"):
        tune.tune(replace(tuning, config=replace(CONFIG, seed=1)))


def test_an_interrupted_trial_does_not_count(tuning: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = Outcome("interrupted", tuning.folder, 20.0, 20.0, 1, 0.1)
    monkeypatch.setattr(tune, "_run", lambda *arguments: interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune.tune(tuning)
    monkeypatch.setattr(tune, "_run", pretended())
    study = tune.tune(replace(tuning, trials=2))
    assert len(tune.finished(study)) == 2
    assert len(study.trials) == 3
    plain = search.as_it_stands(CONFIG, search.space(CONFIG, None))
    assert plain in [trial.params for trial in tune.finished(study)]


def test_trials_that_diverge_are_counted_and_said(tuning: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(*arguments: Any) -> Outcome:
        raise DivergedError("training diverged")

    monkeypatch.setattr(tune, "_run", diverges)
    said: list[str] = []
    with pytest.raises(WorkError, match="no trial came to its end"):
        tune.tune(replace(tuning, trials=2), say=said.append)
    assert all("diverged" in line for line in said)


def test_the_best_recipe_holds_what_won(tuning: Tuning) -> None:
    study = tune.tune(tuning)
    text = (tuning.folder / "best.toml").read_text("utf-8")
    assert text.startswith(f"# The best of 16 trials: validation PSNR {study.best_value:.2f} dB. ")
    config = from_mapping(RunConfig, load_recipe(str(tuning.folder / "best.toml")))
    assert config == from_mapping(RunConfig, to_mapping(search.applied(CONFIG, study.best_params)))


def test_the_page_shows_what_matters(tuning: Tuning) -> None:
    study = tune.tune(tuning)
    write_page(study, tuning, tuning.folder / "report.html")
    page = (tuning.folder / "report.html").read_text("utf-8")
    assert "16 trials;" in page
    assert page.count("<polyline") == sum(len(row.curve) > 1 for row in tune.tried(study, CONFIG))
    assert page.index("learning rate</text>") < page.index("weight of ssim</text>")
    assert "src=" not in page


def test_a_page_of_few_trials_says_so(tuning: Tuning) -> None:
    study = tune.tune(replace(tuning, trials=1))
    write_page(study, tuning, tuning.folder / "report.html")
    assert "too few trials" in (tuning.folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("network", "arguments", "half"),
    [
        ("dncnn", {}, {"width": 32}),
        ("dncnn", {"width": 9}, {"width": 4}),
        ("lenet", {}, {"widths": [8, 16, 64]}),
        ("unet_nano", {}, {"widths": [16, 32, 64]}),
    ],
)
def test_width(network: str, arguments: dict[str, Any], half: dict[str, Any]) -> None:
    config = replace(CONFIG, network=network, arguments=arguments)
    values = {**search.as_it_stands(config, search.space(config, None)), search.WIDTH: 0.5}
    assert search.applied(config, values).arguments == half


def test_as_it_stands_changes_nothing() -> None:
    values = search.as_it_stands(CONFIG, search.space(CONFIG, None))
    assert search.applied(CONFIG, values) == CONFIG


def test_weights_scale_every_term_but_the_first() -> None:
    values = {**search.as_it_stands(CONFIG, search.space(CONFIG, None)), "weight of ssim": 4.0}
    assert losses.parse(search.applied(CONFIG, values).loss).terms == ((1.0, "l1"), (0.4, "ssim"))


def test_methods_come_with_the_rate_that_suits_them() -> None:
    config = replace(default_config("lora"), noise="gaussian:30", steps=4)
    methods = search.space(config, "gray-small")[search.METHOD].choices
    assert {"full", "head", "lora", "adapter"} <= set(methods)
    assert not {"bias", "norm"} & set(methods)  # the network has neither
    frozen = replace(config, method=replace(config.method, freeze=("*",)))
    assert search.space(frozen, "gray-small")[search.METHOD].choices == ("lora",)  # nothing is left for the others
    changed = search.applied(config, {search.RATE: 2.0, search.METHOD: "full"})
    assert isinstance(changed, FinetuningConfig)
    assert (changed.method.name, changed.training.lr) == ("full", 6e-4)


def test_what_a_recipe_is_for() -> None:
    with pytest.raises(ConfigError, match="--model MODEL"):
        tune.settings_of({"method": {"name": "lora"}, "steps": 3}, None)
    with pytest.raises(ConfigError, match="one budget"):
        tune.settings_of({}, None)
    tuned = tune.settings_of({"method": {"name": "full"}, "steps": 3}, "gray-small")
    assert tuned.training == default_config("full").training


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r'pip install "noiseless\[tune\]"'):
        tune.import_optuna()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return tiny_runs.stores(tmp_path_factory.mktemp("tune-stores"))


def test_the_command_with_two_processes(data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_runs.config(data, training={"validations": 2}, steps=30)
    recipe, folder = tmp_path / "tiny.toml", tmp_path / "search"
    recipe.write_text(write_toml(to_mapping(config)), "utf-8")
    assert main(["tune", str(recipe), "--trials", "3", "--steps", "4", "--processes", "2", "-o", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"Run it: noiseless train --recipe {folder / 'best.toml'}" in printed
    best = load_recipe(str(folder / "best.toml"))
    assert best["steps"] == 4
    assert (folder / "report.html").stat().st_size > 1000
    assert not list((folder / "trials").iterdir())
    assert main(["tune", str(recipe), "--trials", "0"]) == 2
    assert "1 or more" in capsys.readouterr().err
    new = tmp_path / "new"
    for wrong, says in (
        (["--steps", "-1"], "must be positive"),
        (["--steps", "2", "--model", "grey"], "unknown model"),
    ):
        assert main(["tune", str(recipe), "--trials", "1", "-o", str(new), *wrong]) == 2
        assert says in capsys.readouterr().err
        assert not new.exists()


def test_the_command_for_fine_tuning(
    data: DataConfig, blind_bundle: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, folder = tmp_path / "tiny.toml", tmp_path / "search"
    plain = {"noise": "gaussian:30", "steps": 2, "method": {"name": "head"}, "data": to_mapping(data)}
    plain["training"] = {"validations": 1, "patch_size": 32, "batch_size": 2, "accelerator": "cpu"}
    recipe.write_text(write_toml(plain), "utf-8")
    command = ["tune", str(recipe), "--trials", "1", "-o", str(folder)]
    assert main([*command, "--model", str(blind_bundle.path)]) == 0
    assert "method head" in capsys.readouterr().out
    assert load_recipe(str(folder / "best.toml"))["method"]["name"] == "head"
    assert main(command) == 2
    assert "--model MODEL" in capsys.readouterr().err
