"""A report: numbers with the protocol that made them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from noiseless.errors import UnknownNameError
from noiseless.io.atomic import write_text
from noiseless.metrics.interval import Interval, bootstrap_interval

LOWER_IS_BETTER = ("mse", "mae")
HEADINGS = {"psnr": "PSNR dB", "ssim": "SSIM", "ms_ssim": "MS-SSIM", "mse": "MSE", "mae": "MAE"}


@dataclass(frozen=True)
class Protocol:
    """How numbers were made; without it none of them can be compared.

    Attributes:
        set: name of the images.
        content_hash: of the clean images and, for pairs, of the noisy ones, whatever their order.
        count: number of images.
        noise: the noise model that was added, or ``None`` where the noise is real.
        seed: base of the noise.
        told: what conditioned models were told: ``"noise model"``, ``"auto"``, or another noise expression.
        value_range: what the metrics take as black and white.
        border: pixels left out on each side.
        quantisation: ``"none"`` (float in, float out) or ``"8-bit"`` (8-bit in, 8-bit out).
        clipped: whether the result was clipped to the value range; the input never is, unless it is quantised.
        seed_of_image: what the noise of an image follows from.
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
    seed_of_image: str = "seed and SHA-256 of the clean pixels"
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


class Difference(NamedTuple):
    """What one model gains over another on the same images.

    Attributes:
        interval: of the mean of per-image differences; narrower than that of either mean.
        better: images on which it is better.
        compared: images with a value of both.
    """

    interval: Interval
    better: int
    compared: int


@dataclass(frozen=True)
class Report:
    """Numbers of one or several models on the same noisy images, with their protocol.

    Attributes:
        protocol: how they were made.
        results: one for each model; the first is what the others are compared with.
        metrics: names of the metrics; the first leads.
    """

    protocol: Protocol
    results: tuple[ModelResult, ...]
    metrics: tuple[str, ...] = field(default=("psnr", "ssim"))

    def __getitem__(self, model: str) -> ModelResult:
        for result in self.results:
            if result.model == model:
                return result
        raise UnknownNameError("model in the report", model, [result.model for result in self.results])

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN and infinity become ``None``."""
        return {"protocol": asdict(self.protocol), "results": [self._plain(result) for result in self.results]}

    def to_json(self, path: str | Path) -> None:
        """Write the report for machines, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_text(path, json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")

    def _plain(self, result: ModelResult) -> dict[str, Any]:
        row: dict[str, Any] = {"model": result.model}
        row |= {metric: _finite(result.interval(metric)._asdict()) for metric in self.metrics}
        row["seconds"] = result.seconds
        if result is not self.results[0]:
            gain = self.difference(result)
            row["difference"] = {
                "to": self.results[0].model,
                "metric": self.metrics[0],
                **_finite(gain.interval._asdict()),
                "better": gain.better,
            }
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

    def better(self, first: float, second: float) -> bool:
        """Whether one value of the first metric is better than another."""
        return first < second if self.metrics[0] in LOWER_IS_BETTER else first > second

    def best(self) -> str:
        """The model with the best mean of the first metric."""
        best, *others = self.results
        for result in others:
            if self.better(result.interval(self.metrics[0]).mean, best.interval(self.metrics[0]).mean):
                best = result
        return best.model

    def worst_group(self, result: ModelResult) -> str | None:
        """The group with the worst mean of the first metric, or ``None`` without groups."""
        means = {group: result.interval(self.metrics[0], group).mean for group in result.groups()}
        choose = max if self.metrics[0] in LOWER_IS_BETTER else min
        return choose(means, key=means.__getitem__, default=None)

    def difference(self, result: ModelResult) -> Difference:
        """The first metric of a model minus that of the first model, image by image."""
        metric = self.metrics[0]
        pairs = [
            (a.values[metric], b.values[metric]) for a, b in zip(result.images, self.results[0].images, strict=True)
        ]
        pairs = [(new, old) for new, old in pairs if math.isfinite(new) and math.isfinite(old)]
        if not pairs:
            return Difference(Interval(math.nan, math.nan, math.nan), 0, 0)
        better = sum(self.better(new, old) for new, old in pairs)
        return Difference(bootstrap_interval([new - old for new, old in pairs]), better, len(pairs))

    def rows(self) -> list[list[str]]:
        """The main table as text: a head, then a row for each model, in their order."""
        first, several = self.results[0], len(self.results) > 1
        against = [f"{heading(self.metrics[0])} against {first.model}"] if several else []
        head = ["model", *(heading(metric) for metric in self.metrics), *against, "seconds an image"]
        body = []
        for result in self.results:
            cells = [result.model, *(_shown(metric, result.interval(metric)) for metric in self.metrics)]
            if several:
                cells.append("" if result is first else self._gain(result))
            body.append([*cells, f"{result.seconds:.2f}"])
        return [head, *body]

    def _gain(self, result: ModelResult) -> str:
        interval, better, count = self.difference(result)
        digits = _digits(self.metrics[0])
        span = f"{interval.low:+.{digits}f} to {interval.high:+.{digits}f}"
        return f"{interval.mean:+.{digits}f} ({span}), better on {better} of {count}"

    def group_rows(self) -> list[list[str]]:
        """The first metric by group as text, worst group of each model marked; empty without groups."""
        groups = self.results[0].groups()
        if not groups:
            return []
        metric = self.metrics[0]
        counts = {group: sum(score.group == group for score in self.results[0].images) for group in groups}
        body = []
        for result in self.results:
            worst = self.worst_group(result)
            means = [(group, result.interval(metric, group).mean) for group in groups]
            cells = [f"{mean:.{_digits(metric)}f}{' (worst)' if group == worst else ''}" for group, mean in means]
            body.append([result.model, *cells])
        return [[f"{heading(metric)} by group", *(f"{group} ({counts[group]})" for group in groups)], *body]

    def lines(self) -> list[str]:
        """The protocol in words, one line each."""
        protocol = self.protocol
        noise = f"noise {protocol.noise}, seed {protocol.seed}" if protocol.noise else "real pairs"
        output = "8-bit input and output" if protocol.quantisation == "8-bit" else "float input and output"
        clip = ", result clipped to [0, 1]" if protocol.clipped else ""
        noun = "image" if protocol.count == 1 else "images"
        return [
            f"{protocol.set}: {protocol.count} {noun} (content {protocol.content_hash[:12]}), {noise}",
            f"{output}{clip}, border {protocol.border}; models are told: {protocol.told}",
            f"{protocol.aggregation}, {protocol.interval}",
            *self._partial(),
        ]

    def _partial(self) -> list[str]:
        """Which metrics some images are too small for."""
        images = self.results[0].images
        counts = {metric: sum(not math.isnan(score.values[metric]) for score in images) for metric in self.metrics}
        few = [f"{heading(metric)} of {count}" for metric, count in counts.items() if count < len(images)]
        return [f"{', '.join(few)} of {len(images)} images: the others are too small"] if few else []


def heading(metric: str) -> str:
    """What tables call a metric."""
    return HEADINGS.get(metric, metric)


def shown(metric: str, value: float) -> str:
    """A value of a metric, with the digits that mean something."""
    return f"{value:.{_digits(metric)}f}"


def text_table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Aligned lines of a table whose first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _digits(metric: str) -> int:
    return 2 if metric == "psnr" else 6 if metric in LOWER_IS_BETTER else 4


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _shown(metric: str, interval: Interval) -> str:
    low, high = shown(metric, interval.low), shown(metric, interval.high)
    return f"{shown(metric, interval.mean)} ({low} to {high})"
