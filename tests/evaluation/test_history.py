"""Tasks over stages: the matrix, its average and forgetting, as text, JSON and a page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import tiny_images
from noiseless.__main__ import main
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.evaluation import ImageScore, ModelResult, Protocol, Report
from noiseless.evaluation.history import History, Task, read_tasks
from noiseless.evaluation.history_page import history_plot, write_history


def report(*values: float, metric: str = "psnr") -> Report:
    protocol = Protocol("images", "0" * 64, 1, "gaussian:25", 0, "noise model")
    results = [ModelResult(f"stage-{n}", (ImageScore("a", {metric: v}, 0.1),)) for n, v in enumerate(values)]
    return Report(protocol, tuple(results), (metric,))


def history() -> History:
    return History((report(30.0, 29.0, 29.5), report(20.0, 24.0, 23.0)), ("first <&>", "second"))


def test_average_and_forgetting() -> None:
    made = history()
    assert made.values == [[30.0, 29.0, 29.5], [20.0, 24.0, 23.0]]
    assert made.average == [25.0, 26.5, 26.25]
    assert made.forgetting == [0.0, 0.5, 0.75]
    assert made.rows()[0] == ["PSNR dB by task", "stage-0", "stage-1", "stage-2"]
    assert made.rows()[-1] == ["forgetting", "0.00", "0.50", "0.75"]


def test_an_error_that_grows_is_forgetting() -> None:
    assert History((report(0.01, 0.001, 0.02, metric="mse"),), ("only",)).forgetting == pytest.approx([0, 0, 0.019])


def test_the_page_draws_every_task(tmp_path: Path) -> None:
    write_history(history(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<polyline") == 2
    assert "first &lt;&amp;&gt;" in page
    assert "first <&>" not in page
    assert "stage-2" in page
    assert history_plot(History((report(30.0),), ("only",))).count("<circle") == 1


def test_numbers_that_json_does_not_have_are_null(tmp_path: Path) -> None:
    made = History((report(math.inf, math.nan),), ("only",))
    made.to_json(tmp_path / "n.json")
    plain = json.loads((tmp_path / "n.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert plain["values"] == {"only": [None, None]}


def test_tasks_are_read(tmp_path: Path) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text('[a]\nclean = "x"\nnoise = "gaussian:25"\n[b]\npairs = ["n", "c"]\n')
    assert read_tasks(file) == [Task("a", clean=("x",), noise="gaussian:25"), Task("b", pairs=("n", "c"))]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "names no task"),
        ("[a]\n", "needs images"),
        ('[a]\npairs = ["n"]\n', "pairs of two"),
        ("a = 1\n", "expected a table"),
        ("[a]\nclean = 3\n", "list of paths"),
        ("[a", "cannot read the tasks"),
    ],
)
def test_tasks_that_do_not_fit(text: str, match: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.toml").write_text(text)
    with pytest.raises(ConfigError, match=match):
        read_tasks(tmp_path / "tasks.toml")


def test_an_unknown_key_names_the_closest(tmp_path: Path) -> None:
    (tmp_path / "tasks.toml").write_text("[a]\nclaen = 'x'\n")
    with pytest.raises(UnknownNameError, match="Did you mean clean"):
        read_tasks(tmp_path / "tasks.toml")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_images.save_many(tmp_path / "clean", ["a.png", "b.png"])
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(
        f'[weak]\nclean = "{tmp_path / "clean"}"\nnoise = "gaussian:10"\n'
        f'[strong]\nclean = "{tmp_path / "clean"}"\nnoise = "gaussian:50"\n'
    )
    outputs = ["--json", str(tmp_path / "history.json"), "--report", str(tmp_path / "report")]
    assert main(["evaluate", "identity", "median", "--history", str(tasks), *outputs]) == 0
    printed, progress = capsys.readouterr()
    assert "Measuring: 100%" in progress
    assert "forgetting" in printed
    assert "strong: " in printed
    plain = json.loads((tmp_path / "history.json").read_text())
    assert list(plain["values"]) == ["weak", "strong"]
    assert plain["stages"] == ["identity", "median"]
    assert plain["values"]["weak"][0] > plain["values"]["strong"][0]
    assert (tmp_path / "report" / "report.html").is_file()
