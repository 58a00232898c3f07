"""The page of a search: which settings matter, what was tried, how each trial learned. One HTML file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from noiseless.calibration.page import ticks
from noiseless.evaluation.html import document, table
from noiseless.io.atomic import write_text
from noiseless.workflows.search import as_it_stands, shown, space
from noiseless.workflows.tune import Tried, Tuning, command, importance, tried

if TYPE_CHECKING:
    from optuna import Study

WIDTH, HEIGHT = 760, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 18, 48
BAR, NAMES = 26, 170
PRUNED, BEST, PLAIN = 7, 2, 0
"""Tones of the page's palette."""


def write_page(study: Study, tuning: Tuning, path: Path) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = tried(study, tuning.config)
    best = study.best_trial
    gain = _gain(rows, tuning, best.value or 0.0)
    parts = [
        f"<p>{_counts(rows)} The best validation PSNR is {best.value:.2f} dB, in trial {best.number}{gain}. "
        f"Run it: <code>{html.escape(command(tuning))}</code></p>",
        "<h2>What matters</h2>",
        _importance(study),
        "<h2>How the trials learned</h2>",
        _curves(rows, best.number),
        "<h2>Every trial</h2>",
        _table(rows, best.number),
    ]
    write_text(path, document("Settings searched", parts))


def _counts(rows: Sequence[Tried]) -> str:
    pruned = sum(row.ending == "pruned" for row in rows)
    failed = sum(row.ending == "fail" for row in rows)
    return f"{len(rows)} trials; {pruned} were given up early, since they were below the median, and {failed} diverged."


def _gain(rows: Sequence[Tried], tuning: Tuning, best: float) -> str:
    plain = shown(tuning.config, as_it_stands(tuning.config, space(tuning.config, tuning.model)))
    first = next((row for row in rows if row.values == plain and row.ending == "complete"), None)
    if first is None or first.psnr is None:
        return ""
    return f" ({best - first.psnr:+.2f} dB beside trial {first.number}, the recipe as it stands)"


def _importance(study: Study) -> str:
    shares = importance(study)
    if not shares:
        return "<p>There are too few trials to say.</p>"
    bars = []
    longest, room = max(shares.values()) or 1.0, WIDTH - NAMES - 70
    for place, (name, share) in enumerate(shares.items()):
        y, length = place * BAR, share / longest * room
        bars.append(
            f'<text x="{NAMES - 10}" y="{y + 17}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect x="{NAMES}" y="{y + 4}" width="{length:.1f}" height="{BAR - 8}" rx="3" fill="var(--m{PLAIN})"/>'
            f'<text x="{NAMES + length + 8:.1f}" y="{y + 17}">{share:.0%}</text>'
        )
    hint = "Share of what tells the best quarter of the trials from the others (PED-ANOVA); few trials tell little."
    return _svg("importance of each setting", BAR * len(shares), "".join(bars)) + f'<p class="hint">{hint}</p>'


def _curves(rows: Sequence[Tried], best: int) -> str:
    drawn = [row for row in rows if len(row.curve) > 1]
    values = [value for row in drawn for value in row.curve.values()]
    if not values:
        return "<p>No trial was validated twice.</p>"
    low, high = min(values), max(values)
    room = max(0.05 * (high - low), 0.01)
    low, high, last = low - room, high + room, max(max(row.curve) for row in drawn)

    def x(step: int) -> float:
        return LEFT + step / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in ticks(low, high):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for row in sorted(drawn, key=lambda row: row.number == best):
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in sorted(row.curve.items()))
        tone = BEST if row.number == best else PRUNED if row.ending == "pruned" else PLAIN
        width = 3 if row.number == best else 1.2
        title = f"<title>trial {row.number}: {html.escape(_words(row))}</title>"
        style = f'fill="none" stroke="var(--m{tone})" stroke-width="{width}"'
        parts.append(f'<polyline points="{points}" {style}>{title}</polyline>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">validation</text>')
    hint = "Validation PSNR in dB. Green: the best; grey: given up early. Point at a line to see its settings."
    return _svg("validation PSNR of each trial", HEIGHT, "".join(parts)) + f'<p class="hint">{hint}</p>'


def _svg(label: str, height: int, inner: str) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
    return f'<div class="scroll"><svg {box} role="img" aria-label="{label}">{inner}</svg></div>'


def _words(row: Tried) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.values.items())


def _table(rows: Sequence[Tried], best: int) -> str:
    names = list(rows[0].values)
    body = ""
    for row in sorted(rows, key=lambda row: (row.ending == "complete", row.psnr or 0.0), reverse=True):
        mark = ' class="best"' if row.number == best else ""
        psnr = "" if row.psnr is None else f"{row.psnr:.2f}"
        ending = {"complete": "", "pruned": "given up early", "fail": "diverged"}[row.ending]
        cells = (str(row.number), psnr, ending, *(row.values[name] for name in names))
        body += f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"
    return table(["trial", "PSNR dB", "ending", *names], body)
