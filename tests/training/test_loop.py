"""The loop: it learns, resumes exactly, keeps to its budget, and two processes equal one."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import tiny_runs
from noiseless.data.store import write_store
from noiseless.errors import ConfigError, DivergedError
from noiseless.training import loop
from noiseless.training.config import DataConfig, RunConfig, Stage, to_mapping, write_toml
from noiseless.training.objectives import Batch
from noiseless.training.patches import PatchSource, make_batch
from noiseless.training.run import Listener, run_training
from noiseless.training.state import Status

START = "import sys; from noiseless.__main__ import main; sys.exit(main())"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return tiny_runs.stores(tmp_path_factory.mktemp("stores"))


def weights(run: Path, which: str = "last") -> dict[str, np.ndarray]:
    return dict(load_file(run / which / "model.safetensors"))


def assert_equal_weights(first: Path, second: Path) -> None:
    for which in ("best", "last"):
        one, other = weights(first, which), weights(second, which)
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=f"{which} {name}")


def test_it_learns(data: DataConfig, tmp_path: Path) -> None:
    losses: list[float] = []
    listener = Listener(status=lambda status: losses.append(status.loss))
    outcome = run_training(tiny_runs.config(data, steps=200), tmp_path / "run", listener=listener)
    assert outcome.ending == "finished"
    assert outcome.step == 200
    assert outcome.psnr > outcome.noisy_psnr + 3
    assert np.mean(losses[-5:]) < 0.6 * losses[0]


def test_a_run_folder_is_complete(data: DataConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_training(tiny_runs.config(data), folder)
    names = {path.name for path in folder.iterdir()}
    assert {"best", "last", "checkpoints", "config.toml", "manifest.json", "metrics.csv", "tensorboard"} <= names
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert sum(bool(row["psnr"]) for row in rows) == 4
    assert all(float(row["loss"]) > 0 for row in rows if row["loss"])
    assert list((folder / "tensorboard").glob("events*"))


def test_images_kept_for_the_end_are_measured_once(data: DataConfig, tmp_path: Path) -> None:
    others = ((f"test-{number}", picture, {}) for number, picture in enumerate(tiny_runs.pictures(3, seed=9)))
    write_store(tmp_path / "test", others)
    kept = replace(data, test=(str(tmp_path / "test"),))
    outcome = run_training(tiny_runs.config(kept, steps=100), tmp_path / "run")
    assert outcome.test is not None
    noisy, restored = outcome.test
    assert restored > noisy + 1
    assert (tmp_path / "run" / "test.json").exists()


@pytest.mark.parametrize("network", ["unet_nano", "dncnn"])
def test_stopped_and_resumed_is_bit_for_bit_the_same(data: DataConfig, tmp_path: Path, network: str) -> None:
    arguments = tiny_runs.TINY_NETWORK if network == "unet_nano" else {"channels": 1, "width": 8, "depth": 4}
    config = tiny_runs.config(
        data, {"mixup": 0.3, "rescale": 0.3, "checkpoint_every": 7}, network=network, arguments=arguments
    )
    run_training(config, tmp_path / "whole")

    reached: list[int] = []

    def interrupt(status: Status) -> None:
        if status.step >= 20 and not reached:
            reached.append(status.step)
            signal.raise_signal(signal.SIGINT)

    outcome = run_training(config, tmp_path / "parts", listener=Listener(status=interrupt))
    assert outcome.ending == "interrupted"
    assert outcome.step < 60
    while outcome.ending != "finished":
        outcome = run_training(config, tmp_path / "parts", resume=True)
    assert_equal_weights(tmp_path / "whole", tmp_path / "parts")


def test_killed_and_resumed_is_bit_for_bit_the_same(data: DataConfig, tmp_path: Path) -> None:
    config = tiny_runs.config(data, {"checkpoint_every": 10}, steps=300)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(write_toml(to_mapping(config)))
    command = [sys.executable, "-c", START, "train", "--recipe", str(recipe), "-o"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    parts = tmp_path / "parts"
    process = subprocess.Popen([*command, str(parts)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(parts.glob("checkpoints/step-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert list(parts.glob("checkpoints/step-*.pt"))
    subprocess.run([*command, str(parts), "--resume"], check=True, capture_output=True)
    assert_equal_weights(tmp_path / "whole", parts)


def test_two_processes_with_half_the_batch_equal_one(data: DataConfig, tmp_path: Path) -> None:
    config = tiny_runs.config(data, {"clip_norm": 0.0}, steps=10)
    run_training(config, tmp_path / "one")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(write_toml(to_mapping(config)))
    command = [sys.executable, "-m", "noiseless", "train", "--recipe", str(recipe), "-o", str(tmp_path / "two")]
    settings = ["--set", "training.devices=2", "--set", "training.strategy=ddp"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: PLW1510 (its output says why)
        [*command, *settings], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        np.testing.assert_allclose(two[name].astype(np.float32), one[name].astype(np.float32), atol=2e-3, err_msg=name)


def test_a_budget_in_minutes_is_spent_once_over_resumptions(data: DataConfig, tmp_path: Path) -> None:
    config = tiny_runs.config(data, {"validations": 2}, steps=None, minutes=0.1)
    rates: list[float] = []
    listener = Listener(status=lambda status: rates.append(status.lr))
    outcome = run_training(config, tmp_path / "run", listener=listener, stop_after=0.04)
    assert outcome.ending == "stopped"
    assert rates[-1] > 0.2 * config.training.lr  # nothing was annealed
    outcome = run_training(config, tmp_path / "run", resume=True, listener=listener)
    assert outcome.ending == "finished"
    assert outcome.seconds == pytest.approx(6.0, rel=0.1)
    assert rates[-1] < 0.02 * config.training.lr


def test_a_finished_run_goes_on_with_a_larger_budget(data: DataConfig, tmp_path: Path) -> None:
    """It said that it was trained, and did nothing."""
    config = tiny_runs.config(data, {"validations": 4}, steps=4)
    assert run_training(config, tmp_path / "run").step == 4
    scored: list[int] = []
    listener = Listener(scored=lambda status, scores: scored.append(status.step))
    outcome = run_training(replace(config, steps=12), tmp_path / "run", resume=True, listener=listener)
    assert (outcome.ending, outcome.step) == ("finished", 12)
    assert scored == [6, 9, 12]
    assert run_training(replace(config, steps=12), tmp_path / "run", resume=True).step == 12


def test_what_differs_is_named_where_a_run_is_resumed_otherwise(data: DataConfig, tmp_path: Path) -> None:
    run_training(tiny_runs.config(data, {"lr": 1e-3}, steps=2), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"got training\.lr = 0\.002, expected training\.lr = 0\.001\. Resume"):
        run_training(tiny_runs.config(data, {"lr": 2e-3}, steps=2), tmp_path / "run", resume=True)


def test_stages_change_patch_and_batch(data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (Stage(0.0, 16, 4), Stage(0.5, 32, 2))
    seen: dict[int, tuple[int, int]] = {}

    def recorded(source: PatchSource, stage: Stage, seed: int, step: int, rows: slice) -> Batch:
        made = make_batch(source, stage, seed, step, rows)
        seen[step] = made.noisy.shape[-1], len(made.noisy)
        return made

    monkeypatch.setattr(loop, "make_batch", recorded)
    outcome = run_training(tiny_runs.config(data, {"stages": stages}, steps=10), tmp_path / "run")
    assert outcome.ending == "finished"
    assert [size for _, size in sorted(seen.items())][:10] == [(16, 4)] * 5 + [(32, 2)] * 5


def test_early_stopping_ends_a_run_that_gains_nothing(data: DataConfig, tmp_path: Path) -> None:
    settings = {"lr": 1e-12, "ema": 0.0, "validations": 20, "early_stopping": 2}
    outcome = run_training(tiny_runs.config(data, settings, steps=100), tmp_path / "run")
    assert outcome.ending == "finished"
    assert outcome.step < 50


def test_divergence_is_stopped_and_the_best_weights_are_kept(data: DataConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = {"lr": 1e6, "optimizer": "sgd", "clip_norm": 0.0, "warmup": 0.9, "validations": 200}
    with pytest.raises(DivergedError, match=r"Lower training\.lr"):
        run_training(tiny_runs.config(data, settings, loss="mse", steps=200), folder)
    assert all(np.isfinite(array).all() for array in weights(folder, "best").values())


def test_a_second_run_in_the_same_folder_is_refused(data: DataConfig, tmp_path: Path) -> None:
    config = tiny_runs.config(data, steps=4)
    run_training(config, tmp_path / "run")
    with pytest.raises(ConfigError, match="--resume"):
        run_training(config, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"noise = 'gaussian:10'.*expected noise = 'gaussian:30'"):
        run_training(replace(config, noise="gaussian:10"), tmp_path / "run", resume=True)


def test_resume_without_a_checkpoint_starts_anew(data: DataConfig, tmp_path: Path) -> None:
    outcome = run_training(tiny_runs.config(data, steps=4), tmp_path / "run", resume=True)
    assert outcome.step == 4


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"steps": None}, "how long to train"),
        ({"minutes": 1.0}, "budget"),
        ({"steps": -1}, "positive"),
        ({"noise": ""}, "noise"),
        ({"data": DataConfig()}, "source"),
    ],
)
def test_contradictions_are_one_clear_line(
    data: DataConfig, tmp_path: Path, changes: dict[str, object], match: str
) -> None:
    config: RunConfig = replace(tiny_runs.config(data), **changes)
    with pytest.raises(ConfigError, match=match):
        run_training(config, tmp_path / "run")
