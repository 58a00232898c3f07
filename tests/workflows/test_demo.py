"""`noiseless demo`: trains, measures, cleans a real photograph, and leaves a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import noiseless
from noiseless import baselines
from noiseless.__main__ import main
from noiseless.data import samples
from noiseless.training.run import Listener
from noiseless.workflows import demo as life


@pytest.fixture(autouse=True)
def quick_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    """BM3D takes a minute, and the shipped model has tests of its own."""
    monkeypatch.setattr(life, "rivals", lambda: ["identity", "median"])
    monkeypatch.setattr(life, "shipped", lambda: baselines.load("median"))


def test_demo_leaves_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    assert main(["demo", "--minutes", "0.03", "-o", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith(str(folder / "report.html"))
    page = (folder / "report.html").read_text("utf-8")
    assert all(name in page for name in ("trained now", "median", "identity", *(path.stem for path in samples("test"))))
    measured = json.loads((folder / "report.json").read_text("utf-8"))
    assert measured["protocol"]["noise"] == "gaussian:25"
    assert [result["model"] for result in measured["results"]] == ["identity", "median", "trained now"]
    assert noiseless.load(folder / "training").name == "trained now"
    for path in samples("noisy"):
        cleaned = noiseless.read(folder / f"{path.stem}-trained.png").array
        assert cleaned.shape == noiseless.read(path).array.shape


def test_an_earlier_run_is_replaced_and_another_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "run_training", lambda config, folder, listener: sorted(folder.glob("*")))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.toml").touch()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    assert life.train_anew(tmp_path / "old", 1, Listener()) == []  # type: ignore[comparison-overlap]
    assert life.train_anew(tmp_path / "precious", 1, Listener()) == [tmp_path / "precious" / "file"]  # type: ignore[comparison-overlap]


@pytest.mark.slow
def test_a_minute_of_training_is_worth_decibels(tmp_path: Path) -> None:
    assert main(["demo", "--minutes", "1", "-o", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "report.json").read_text("utf-8"))["results"]
    psnr = {result["model"]: result["psnr"]["mean"] for result in results}
    assert psnr["trained now"] > psnr["identity"] + 3


def test_photographs_do_not_overlap() -> None:
    config = life.training_config(3)
    used = {*config.data.clean, *config.data.validation}
    assert not used & {str(path) for path in samples("test")}
    assert len(used) == len(samples("train")) + len(samples("validation"))


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_no_time_is_an_error(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--minutes", minutes]) == 2
    assert capsys.readouterr().err.startswith("noiseless: --minutes does not fit")
