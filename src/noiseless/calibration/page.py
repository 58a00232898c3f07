"""The report of a calibration as one HTML page with drawings, nothing fetched from anywhere."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from noiseless._version import __version__
from noiseless.calibration.report import Calibration, Channel
from noiseless.io.atomic import write_text

WIDTH, HEIGHT, MARGIN = 580, 320, 66
COLOURS = {1: ("#555",), 3: ("#c33", "#2a7f3b", "#2b5fc0")}
OTHERS = ("#555", "#b5651d", "#6b4fa0", "#0f7c8a", "#8a3a5b")

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
svg{max-width:100%;height:auto}text{font:13px system-ui,sans-serif;fill:currentColor}
.axis{stroke:currentColor;opacity:.25}.band{opacity:.15}.line{fill:none;stroke-width:2}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}
"""


def write_page(found: Calibration, path: str | Path, *, title: str = "The noise in these images") -> None:
    """Write the page.

    Args:
        found: what to show.
        path: of the file; its folder is made.
        title: of the page.

    Raises:
        OutputError: it cannot be written.
    """
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in found.lines())
    drawings = [_curve_drawing(found.channels), _correlation_drawing(found.channels)]
    body = f"<h1>{html.escape(title)}</h1><ul>{lines}</ul>{''.join(drawings)}<p>Made by noiseless {__version__}.</p>"
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    write_text(path, f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n')


def _curve_drawing(channels: Sequence[Channel]) -> str:
    """Standard deviation against brightness: points measured, the line with its interval."""
    told = [channel for channel in channels if channel.curve]
    if not told:
        return ""
    highest = 1.15 * max(
        [point.sigma for channel in told for point in channel.seen]
        + [point.sigma for channel in told for point in channel.curve]
    )
    parts = _frame(0, 1, 0, 255 * highest, "brightness", "standard deviation of 255")
    for colour, channel in zip(_colours(len(channels)), channels, strict=True):
        upper = [(point.value, point.interval[1]) for point in channel.curve]
        lower = [(point.value, point.interval[0]) for point in reversed(channel.curve)]
        parts.append(f'<polygon class="band" fill="{colour}" points="{_path(upper + lower, 1, highest)}"/>')
        line = _path([(point.value, point.sigma) for point in channel.curve], 1, highest)
        parts.append(f'<polyline class="line" stroke="{colour}" points="{line}"/>')
        for seen in channel.seen:
            x, y = _place(seen.value, seen.sigma, 1, highest)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
    return _svg(parts, "Noise against brightness: what flat areas show, the fitted line and its 95% interval")


def _correlation_drawing(channels: Sequence[Channel]) -> str:
    """Autocorrelation of the residual against distance, across (full line) and down (broken line)."""
    if not any(channel.autocorrelation_across for channel in channels):
        return ""
    lags = max(len(channel.autocorrelation_across) for channel in channels)
    parts = _frame(0, lags, -0.25, 1, "distance in pixels", "correlation")
    for colour, channel in zip(_colours(len(channels)), channels, strict=True):
        for values, dash in ((channel.autocorrelation_across, ""), (channel.autocorrelation_down, "5 4")):
            points = [(lag, (value + 0.25) / 1.25) for lag, value in enumerate([1.0, *values])] if values else []
            line = _path(points, lags, 1)
            parts.append(f'<polyline class="line" stroke="{colour}" stroke-dasharray="{dash}" points="{line}"/>')
    return _svg(parts, "How much pixels resemble their neighbours in flat areas: across, and down (broken)")


def _frame(left: float, right: float, bottom: float, top: float, across: str, up: str) -> list[str]:
    parts = []
    for high in ticks(bottom, top):
        _, y = _place(0, high - bottom, 1, top - bottom)
        parts.append(f'<line class="axis" x1="{MARGIN}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{MARGIN - 8}" y="{y + 4:.1f}" text-anchor="end">{high:g}</text>')
    for far in ticks(left, right):
        x, _ = _place(far - left, 0, right - left, 1)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 20}" text-anchor="middle">{far:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>')
    parts.append(
        f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})">{up}</text>'
    )
    return parts


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten, `most` or fewer.

    Examples:
        >>> ticks(20.1, 29.7)
        [22.0, 24.0, 26.0, 28.0]
    """
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if (high - low) / (step * factor) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _place(x: float, y: float, right: float, top: float) -> tuple[float, float]:
    height = max(0.0, min(y / top, 1.05))
    return MARGIN + x / right * (WIDTH - MARGIN - 12), HEIGHT - MARGIN - height * (HEIGHT - MARGIN - 12)


def _path(points: Sequence[tuple[float, float]], right: float, top: float) -> str:
    places = [_place(x, y, right, top) for x, y in points]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _colours(count: int) -> list[str]:
    return list(COLOURS[count]) if count in COLOURS else [OTHERS[number % len(OTHERS)] for number in range(count)]


def _svg(parts: list[str], caption: str) -> str:
    drawing = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{caption}">{"".join(parts)}</svg>'
    )
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"
