"""What a model can still do after it learned other things: every task measured at every stage.

A file of tasks is TOML, a table for each in the order in which they were learned:

    [gaussian-photographs]
    clean = ["photos"]
    noise = "gaussian:25"

    [my-microscope]
    pairs = ["noisy", "clean"]
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noiseless.errors import ConfigError, UnknownNameError
from noiseless.evaluation.evaluate import Watch, evaluate
from noiseless.evaluation.report import LOWER_IS_BETTER, Report, heading, shown
from noiseless.io.atomic import write_text

KEYS = ("clean", "pairs", "noise")


@dataclass(frozen=True)
class Task:
    """What a model is asked to do.

    Attributes:
        name: of the task.
        clean: folders, files or globs of clean images; empty for pairs.
        pairs: noisy and clean side; empty for clean images.
        noise: a noise expression.
    """

    name: str
    clean: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    noise: str | None = None


@dataclass(frozen=True)
class History:
    """The first metric of every task (rows) at every stage (columns).

    Attributes:
        reports: one for each task, whose results are the stages.
        tasks: their names.
    """

    reports: tuple[Report, ...]
    tasks: tuple[str, ...]

    @property
    def stages(self) -> list[str]:
        """Names of the models, the first as it was before all tasks."""
        return [result.model for result in self.reports[0].results]

    @property
    def metric(self) -> str:
        """The metric that is shown."""
        return self.reports[0].metrics[0]

    @property
    def values(self) -> list[list[float]]:
        """Means over the images, a row for each task."""
        return [[result.interval(self.metric).mean for result in report.results] for report in self.reports]

    @property
    def average(self) -> list[float]:
        """The mean over the tasks at each stage."""
        return [sum(column) / len(column) for column in zip(*self.values, strict=True)]

    @property
    def forgetting(self) -> list[float]:
        """At each stage, the mean over the tasks of how far the best stage so far was ahead; 0 where nothing was lost.

        After Chaudhry et al., "Riemannian Walk for Incremental Learning", 2018.
        """
        best = min if self.metric in LOWER_IS_BETTER else max
        lost = [[abs(best(row[: stage + 1]) - row[stage]) for stage in range(len(row))] for row in self.values]
        return [sum(column) / len(column) for column in zip(*lost, strict=True)]

    def rows(self) -> list[list[str]]:
        """The matrix as text: a head, a row for each task, the average and the forgetting."""
        named = [*zip(self.tasks, self.values, strict=True), ("average", self.average), ("forgetting", self.forgetting)]
        body = [[name, *(shown(self.metric, value) for value in values)] for name, values in named]
        return [[f"{heading(self.metric)} by task", *self.stages], *body]

    def lines(self) -> list[str]:
        """The protocol of each task in words."""
        return [
            f"{task}: {line}" for task, report in zip(self.tasks, self.reports, strict=True) for line in report.lines()
        ]

    def to_json(self, path: str | Path) -> None:
        """Write matrix, average, forgetting and the whole report of each task, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        plain = {
            "metric": self.metric,
            "stages": self.stages,
            "values": {task: _finite(values) for task, values in zip(self.tasks, self.values, strict=True)},
            "average": _finite(self.average),
            "forgetting": _finite(self.forgetting),
            "tasks": {task: report.to_dict() for task, report in zip(self.tasks, self.reports, strict=True)},
        }
        write_text(path, json.dumps(plain, indent=1, allow_nan=False) + "\n")


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def measure_history(
    models: Sequence[str | Path], tasks: Sequence[Task], *, watch: Watch | None = None, **options: Any
) -> History:
    """Measure every model on every task.

    Args:
        models: the stages in their order: the model as it was, then after each task that it learned.
        tasks: what to measure.
        watch: told each result.
        options: of `evaluate`.

    Raises:
        NoiselessError: what `evaluate` raises.
    """
    reports = []
    for task in tasks:
        source: dict[str, Any] = {"clean": task.clean} if task.clean else {"pairs": task.pairs}
        reports.append(evaluate(models, noise=task.noise, watch=watch, **source, **options))
    return History(tuple(reports), tuple(task.name for task in tasks))


def read_tasks(path: str | Path) -> list[Task]:
    """The tasks of a TOML file.

    Raises:
        ConfigError: no such file, not TOML, no task, or one without images.
        UnknownNameError: a key that a task does not have.
    """
    try:
        plain = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot read the tasks {path}", got=got) from error
    if not plain:
        raise ConfigError(f"{path} names no task", expected="a table for each, as [photographs]")
    return [_task(name, table) for name, table in plain.items()]


def _task(name: str, table: Any) -> Task:
    if not isinstance(table, Mapping):
        raise ConfigError(f"the task {name} does not fit", got=repr(table), expected="a table")
    for key in table:
        if key not in KEYS:
            raise UnknownNameError("key of a task", key, KEYS)
    clean, pairs = (_texts(name, key, table.get(key, [])) for key in ("clean", "pairs"))
    if bool(clean) == bool(pairs) or len(pairs) not in (0, 2):
        raise ConfigError(f"the task {name} needs images", expected="clean, or pairs of two")
    return Task(name, clean, pairs, table.get("noise"))


def _texts(task: str, key: str, value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{key} of the task {task} does not fit", got=repr(value), expected="a list of paths")
    return tuple(texts)
