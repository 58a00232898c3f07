"""The history of a model as one HTML file: the matrix, and each task drawn over the stages."""

from __future__ import annotations

import html
import math
from pathlib import Path

from noiseless.calibration.page import ticks
from noiseless.evaluation.history import History
from noiseless.evaluation.html import bullets, document, table
from noiseless.evaluation.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, tone
from noiseless.evaluation.report import heading, shown
from noiseless.io.atomic import write_text

LABEL_ROOM = 16
"""Least distance of two names, in pixels."""


def write_history(history: History, path: str | Path) -> None:
    """Write a history as one HTML file.

    Raises:
        OutputError: the file cannot be written.
    """
    head, *rows = history.rows()
    body = "".join(_row(number, row, len(history.tasks)) for number, row in enumerate(rows))
    explained = "forgetting: what the best stage so far had more, the mean over the tasks"
    parts = [
        f"<h2>Numbers</h2>{table(head, body)}",
        f"<h2>Each task over the stages</h2><div class=scroll>{history_plot(history)}</div>",
        f"<h2>How it was measured</h2>{bullets([explained, *history.lines()])}",
    ]
    write_text(path, document("Tasks over stages", parts))


def _row(number: int, row: list[str], tasks: int) -> str:
    key = f'<span class="key" style="{tone(number)}"></span>' if number < tasks else ""
    cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
    return f"<tr><td>{key}{html.escape(row[0])}</td>{cells}</tr>"


def history_plot(history: History) -> str:
    """The change of every task since the first stage, a line each; an ``<svg>`` element."""
    gains = [[value - row[0] for value in row] for row in history.values]
    finite = [gain for row in gains for gain in row if math.isfinite(gain)]
    low, high = min([*finite, -0.05]), max([*finite, 0.05])
    room = 0.08 * (high - low)
    low, high = low - room, high + room
    steps = max(1, len(history.stages) - 1)

    def place(stage: int, gain: float) -> tuple[float, float]:
        across = LEFT + stage / steps * (WIDTH - LEFT - RIGHT)
        return across, TOP + (high - gain) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for value in ticks(low, high):
        (left, y), (right, _) = place(0, value), place(steps, value)
        parts.append(f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:+g}</text>')
    for number, stage in enumerate(history.stages):
        x, _ = place(number, low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{html.escape(stage)}</text>')
    turned = f'transform="rotate(-90)" x="{-(TOP + HEIGHT - BOTTOM) / 2:.0f}" y="16" text-anchor="middle"'
    label = f"change of {heading(history.metric)}"
    lines = _lines(history, [[place(stage, gain) for stage, gain in enumerate(row)] for row in gains])
    drawn = "".join([*parts, f"<text {turned}>{label}</text>", *lines])
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{label}">{drawn}</svg>'


def _lines(history: History, curves: list[list[tuple[float, float]]]) -> list[str]:
    """A line with dots for every task, its name at the end, moved down where it would cover another."""
    parts, taken = [], -math.inf
    for number in sorted(range(len(curves)), key=lambda number: curves[number][-1][1]):
        curve, style = curves[number], tone(number)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in curve)
        parts.append(f'<polyline style="{style};stroke:var(--tone);fill:none;stroke-width:2" points="{points}"/>')
        parts += [f'<circle style="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in curve]
        taken = max(curve[-1][1], taken + LABEL_ROOM)
        value = shown(history.metric, history.values[number][-1])
        name = f'{html.escape(history.tasks[number])} <tspan class="value">{value}</tspan>'
        parts.append(f'<text class="name" x="{curve[-1][0] + 9:.1f}" y="{taken + 4.5:.1f}">{name}</text>')
    return parts
