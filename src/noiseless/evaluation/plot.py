"""Quality against time as one SVG drawing."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

from noiseless.calibration.page import ticks
from noiseless.evaluation.report import Report, heading, shown

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 18, 56
LINE = 16
FASTEST = 1e-3
"""Seconds; anything faster is drawn here."""

TONES = 8


@dataclass(frozen=True)
class Point:
    """A model in the plot: its name, place among the models, seconds an image and mean of the metric."""

    name: str
    tone: int
    seconds: float
    value: float


@dataclass(frozen=True)
class Axes:
    """From seconds and values to pixels; seconds are on a logarithmic scale.

    Attributes:
        seconds: smallest and largest.
        values: smallest and largest.
    """

    seconds: tuple[float, float]
    values: tuple[float, float]

    def x(self, seconds: float) -> float:
        """Pixels from the left."""
        low, high = (math.log10(end) for end in self.seconds)
        return LEFT + (math.log10(seconds) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.values
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)


def tone(number: int) -> str:
    """The style that gives a model its colour."""
    return f"--tone:var(--m{number % TONES})"


def quality_plot(report: Report) -> str:
    """The first metric of each model against the seconds that it takes an image; the noisy image as a line.

    Returns:
        An ``<svg>`` element, empty where there are fewer than two models to draw.
    """
    metric = report.metrics[0]
    points = [
        Point(result.model, number, max(result.seconds, FASTEST), result.interval(metric).mean)
        for number, result in enumerate(report.results)
    ]
    finite = [point for point in points if math.isfinite(point.value)]
    models = [point for point in finite if point.name != "identity"]
    if len(models) < 2:
        return ""
    noisy = next((point.value for point in finite if point.name == "identity"), None)
    axes = _axes(finite, models)
    parts = [*_grid(axes, metric), *_noisy_line(axes, noisy, metric), *_labelled(axes, models, metric)]
    label = f"{heading(metric)} against seconds an image"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _axes(finite: list[Point], models: list[Point]) -> Axes:
    low, high = min(point.value for point in finite), max(point.value for point in finite)
    room = max(0.08 * (high - low), 1e-3 * abs(high), 1e-9)
    times = [point.seconds for point in models]
    return Axes((min(times) / 1.6, max(times) * 1.6), (low - room, high + room))


def _grid(axes: Axes, metric: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in ticks(*axes.values):
        y = axes.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for seconds in _time_ticks(*axes.seconds):
        x = axes.x(seconds)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_duration(seconds)}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (LEFT + right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">time an image, logarithmic</text>')
    turned = f'transform="rotate(-90)" x="{-(TOP + bottom) / 2:.0f}" y="16" text-anchor="middle"'
    return [*parts, f"<text {turned}>{heading(metric)}</text>"]


def _time_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wide = math.log10(high / low) > 2
    marks = [factor * 10.0**decade for decade in decades for factor in ((1,) if wide else (1, 2, 5))]
    return [mark for mark in marks if low <= mark <= high]


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:g} ms" if seconds < 1 else f"{seconds:g} s"


def _noisy_line(axes: Axes, noisy: float | None, metric: str) -> list[str]:
    if noisy is None:
        return []
    y, right = axes.y(noisy), WIDTH - RIGHT
    line = f'<line class="noisy" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return [line, f'<text x="{right + 8}" y="{y + 4:.1f}">noisy, {shown(metric, noisy)}</text>']


def _labelled(axes: Axes, models: list[Point], metric: str) -> list[str]:
    """Points with their names; a name moves up or down where it would cover another one's or a point."""
    parts, taken = [], [(axes.x(point.seconds), axes.y(point.value), 12.0) for point in models]
    for point in sorted(models, key=lambda point: -point.value):
        x, y = axes.x(point.seconds), axes.y(point.value)
        value = shown(metric, point.value)
        width = 7.6 * (len(point.name) + len(value) + 2)
        others = [place for place in taken if place != (x, y, 12.0)]
        free = _free_height(x + 11, y, width, others)
        taken.append((x + 11, free, width))
        if abs(free - y) > LINE / 2:
            parts.append(f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{x + 10:.1f}" y2="{free:.1f}"/>')
        parts.append(f'<circle style="{tone(point.tone)}" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        name = f'{html.escape(point.name)} <tspan class="value">{value}</tspan>'
        parts.append(f'<text class="name" x="{x + 11:.1f}" y="{free + 4.5:.1f}">{name}</text>')
    return parts


def _free_height(x: float, y: float, width: float, taken: list[tuple[float, float, float]]) -> float:
    """The height nearest to `y` at which a name of this width covers nothing; `taken` are (x, y, width)."""

    def clear(height: float) -> bool:
        return all(abs(height - b) >= LINE or x + width < a - 8 or x > a + w for a, b, w in taken)

    offsets = sorted((step * LINE / 4 for step in range(-40, 41)), key=abs)
    inside = [y + offset for offset in offsets if TOP <= y + offset <= HEIGHT - BOTTOM]
    return next((height for height in inside if clear(height)), y)
