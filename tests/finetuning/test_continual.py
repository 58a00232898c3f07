"""The benchmark of four tasks in a row, on tiny settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny_runs
from noiseless.evaluation import evaluate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_four_tasks_in_a_row_leave_their_matrix(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for each task, a column for the model before and for each stage that gained on its own task."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import continual

    for side, count, seed in (("clean", 8, 3), ("test", 2, 4)):
        (tmp_path / side).mkdir()
        for number, image in enumerate(tiny_runs.pictures(count, seed)):
            Image.fromarray(image[0]).save(tmp_path / side / f"{number}.png")
    command = ["continual.py", "--clean", str(tmp_path / "clean"), "--test", str(tmp_path / "test")]
    command += ["--model", str(base), "--keep", "none", "replay", "--steps", "12", "-o", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    continual.main()
    printed = capsys.readouterr().out
    learned = [f"{number}-{name}" for number, name in enumerate(continual.TASKS, 1)]
    for keep in ("none", "replay"):
        folder = tmp_path / "out" / keep
        history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        first, *stages = history["stages"]
        assert first == base.name
        assert stages == [name for name in learned if name in stages]
        assert stages[-1] == learned[-1], "nothing was gained on the last and strangest task"
        matrix = np.array([history["values"][task] for task in continual.TASKS])
        assert matrix.shape == (len(continual.TASKS), 1 + len(stages))
        np.testing.assert_allclose(history["average"], matrix.mean(axis=0))
        lost = (np.maximum.accumulate(matrix, axis=1) - matrix).mean(axis=0)
        np.testing.assert_allclose(history["forgetting"], lost, atol=1e-12)
        [row] = [place for place, task in enumerate(continual.TASKS) if task == "camera"]
        report = evaluate([folder / stages[-1]], clean=(str(tmp_path / "test"),), noise=continual.TASKS["camera"])
        assert matrix[row, -1] == pytest.approx(report.results[0].interval("psnr").mean, abs=1e-6)
        assert f"keep {keep}" in printed
        assert "forgetting" in (folder / "report.html").read_text(encoding="utf-8")
