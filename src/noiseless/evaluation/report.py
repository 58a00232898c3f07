"""A report: numbers with the protocol that made them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from noiseless.errors import OutputError
from noiseless.metrics.interval import Interval, bootstrap_interval


@dataclass(frozen=True)
class Protocol:
    """How numbers were made; without it none of them can be compared.

    Attributes:
        set: name of the images.
        content_hash: of the clean images and, for pairs, of the noisy ones.
        count: number of images.
        noise: the noise model that was added, or ``None`` where the noise is real.
        seed: base of the noise; each image's own seed follows from it and the image's content alone.
        told: what conditioned models were told: ``"noise model"``, ``"auto"``, or another noise expression.
        value_range: what the metrics take as black and white.
        border: pixels left out on each side.
        quantisation: ``"none"`` (float in, float out) or ``"8-bit"`` (8-bit in, 8-bit out).
        clipped: whether the result was clipped to the value range; the input never is, unless it is quantised.
        aggregation: of the numbers in the tables.
        interval: what low and high mean.
    """

    set: str
    content_hash: str
    count: int
    noise: str | None
    seed: int
    told: str
    value_range: tuple[float, float] = (0.0, 1.0)
    border: int = 0
    quantisation: str = "none"
    clipped: bool = True
    aggregation: str = "mean of per-image values"
    interval: str = "95% bootstrap over images"


@dataclass(frozen=True)
class ImageScore:
    """What one model reached on one image.

    Attributes:
        name: of the image.
        values: metric to value; NaN where the image is too small for a metric.
        seconds: that the model took.
        group: of the image, where a pattern names one.
    """

    name: str
    values: Mapping[str, float]
    seconds: float
    group: str | None = None


@dataclass(frozen=True)
class ModelResult:
    """All scores of one model, in the order of the images."""

    model: str
    images: tuple[ImageScore, ...]

    @property
    def seconds(self) -> float:
        """Mean seconds an image."""
        return sum(score.seconds for score in self.images) / len(self.images)

    def interval(self, metric: str, group: str | None = None) -> Interval:
        """Mean of a metric with its interval, over all images or one group; images without a value are left out."""
        scores = [score for score in self.images if group is None or score.group == group]
        values = [score.values[metric] for score in scores if not math.isnan(score.values[metric])]
        return bootstrap_interval(values) if values else Interval(math.nan, math.nan, math.nan)

    def groups(self) -> list[str]:
        """Names of the groups, sorted."""
        return sorted({score.group for score in self.images if score.group is not None})


@dataclass(frozen=True)
class Report:
    """Numbers of one or several models on the same noisy images, with their protocol.

    Attributes:
        protocol: how they were made.
        results: one for each model.
        metrics: names of the metrics.
    """

    protocol: Protocol
    results: tuple[ModelResult, ...]
    metrics: tuple[str, ...] = field(default=("psnr", "ssim"))

    def __getitem__(self, model: str) -> ModelResult:
        return next(result for result in self.results if result.model == model)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN and infinity become ``None``."""
        return {"protocol": asdict(self.protocol), "results": [self._plain(result) for result in self.results]}

    def to_json(self, path: str | Path) -> None:
        """Write the report for machines.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {path}", got=error.strerror) from error

    def _plain(self, result: ModelResult) -> dict[str, Any]:
        row: dict[str, Any] = {"model": result.model}
        row |= {metric: _finite(result.interval(metric)._asdict()) for metric in self.metrics}
        row["seconds"] = result.seconds
        if result.groups():
            row["groups"] = {
                group: {metric: _finite(result.interval(metric, group)._asdict()) for metric in self.metrics}
                for group in result.groups()
            }
            row["worst_group"] = self.worst_group(result)
        row["images"] = [
            {"name": score.name, **_finite(score.values), "seconds": score.seconds}
            | ({"group": score.group} if score.group is not None else {})
            for score in result.images
        ]
        return row

    def worst_group(self, result: ModelResult) -> str | None:
        """The group with the lowest mean of the first metric, or ``None`` without groups."""
        return min(result.groups(), key=lambda group: result.interval(self.metrics[0], group).mean, default=None)

    def rows(self) -> list[list[str]]:
        """The main table as text: a head, then a row for each model, in their order."""
        head = ["model", *(_heading(metric) for metric in self.metrics), "seconds an image"]
        body = [
            [
                result.model,
                *(_shown(metric, result.interval(metric)) for metric in self.metrics),
                f"{result.seconds:.2f}",
            ]
            for result in self.results
        ]
        return [head, *body]

    def group_rows(self) -> list[list[str]]:
        """The first metric by group as text, worst group of each model marked; empty without groups."""
        groups = self.results[0].groups()
        if not groups:
            return []
        body = []
        for result in self.results:
            worst = self.worst_group(result)
            means = [(group, result.interval(self.metrics[0], group).mean) for group in groups]
            body.append([result.model, *(f"{mean:.2f}{' (worst)' if group == worst else ''}" for group, mean in means)])
        return [[f"{_heading(self.metrics[0])} by group", *groups], *body]

    def lines(self) -> list[str]:
        """The protocol in words, one line each."""
        protocol = self.protocol
        noise = f"noise {protocol.noise}, seed {protocol.seed}" if protocol.noise else "real pairs"
        output = "8-bit input and output" if protocol.quantisation == "8-bit" else "float input and output"
        clip = ", result clipped to [0, 1]" if protocol.clipped else ""
        return [
            f"{protocol.set}: {protocol.count} images (content {protocol.content_hash[:12]}), {noise}",
            f"{output}{clip}, border {protocol.border}; models are told: {protocol.told}",
            f"{protocol.aggregation}, {protocol.interval}",
        ]


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _heading(metric: str) -> str:
    return {"psnr": "PSNR dB", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}.get(metric, metric)


def _shown(metric: str, interval: Interval) -> str:
    digits = 2 if metric == "psnr" else 4
    return f"{interval.mean:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def text_table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Aligned lines of a table whose first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
