"""The report as one HTML file: tables with their protocol, pictures with a slider, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noiseless._version import __version__
from noiseless.errors import OutputError
from noiseless.evaluation.pictures import Pictures, ScenePictures
from noiseless.evaluation.report import ModelResult, Report

PAGE = Path(__file__).parent / "page"
CROP = 64
"""Side of a zoomed crop, in pixels of the image."""


def write_report(
    report: Report,
    path: str | Path,
    *,
    pictures: Pictures | None = None,
    title: str = "Denoisers compared",
    introduction: str = "",
    examples: Sequence[tuple[str, np.ndarray, np.ndarray]] = (),
) -> None:
    """Write a report as one HTML file.

    Args:
        report: the numbers.
        path: of the file; its folder is made.
        pictures: scenes to show, collected while the numbers were made.
        title: of the page.
        introduction: a paragraph of plain text.
        examples: further before / after pictures without a reference: caption, noisy and restored, each uint8
            (H, W) or (H, W, 3).

    Raises:
        OutputError: the file cannot be written.
    """
    shown = [] if pictures is None else pictures.scenes
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(introduction)}</p>" if introduction else "",
        _protocol(report),
        _summary(report),
        _groups(report),
        _plot(report),
        *(_example(number, *example) for number, example in enumerate(examples)),
        *(_scene(number, scene) for number, scene in enumerate(shown)),
        _images(report),
        f'<p class="hint">Made by noiseless {__version__}.</p>',
    ]
    text = _document(title, "\n".join(part for part in body if part))
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the report {path}", got=error.strerror) from error


def _document(title: str, body: str) -> str:
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def _protocol(report: Report) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in report.lines())
    return f'<ul class="protocol">{lines}</ul>'


def _summary(report: Report) -> str:
    head, *rows = report.rows()
    best = max(report.results, key=lambda result: result.interval(report.metrics[0]).mean).model
    body = ""
    for row in rows:
        cells = "".join(f"<td>{_with_range(cell)}</td>" for cell in row)
        body += f'<tr class="{"best" if row[0] == best else ""}">{cells}</tr>'
    heads = "".join(f"<th scope=col>{html.escape(cell)}</th>" for cell in head)
    return (
        f"<h2>Numbers</h2><div class=scroll><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _with_range(cell: str) -> str:
    """``29.76 (27.69 to 33.03)`` with the range in a softer colour."""
    value, bracket, rest = html.escape(cell).partition(" (")
    return f'{value} <span class="range">({rest}</span>' if bracket else value


def _groups(report: Report) -> str:
    rows = report.group_rows()
    if not rows:
        return ""
    head, *body = rows
    heads = "".join(f"<th scope=col>{html.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<h2>By group</h2><div class=scroll>{table}</div>"


def _plot(report: Report) -> str:
    """Quality against time, as SVG; the time on a logarithmic scale."""
    metric = report.metrics[0]
    points = [(result, max(result.seconds, 1e-3), result.interval(metric).mean) for result in report.results]
    points = [point for point in points if math.isfinite(point[2]) and point[0].model != "identity"]
    if len(points) < 2:
        return ""
    width, height, margin = 640, 300, 48
    times = [math.log10(seconds) for _, seconds, _ in points]
    values = [value for *_, value in points]
    left, right = math.floor(min(times)), math.ceil(max(times) + 1e-9)
    low, high = min(values) - 0.3, max(values) + 0.3

    def place(time: float, value: float) -> tuple[float, float]:
        x = margin + (time - left) / max(right - left, 1) * (width - 2.5 * margin)
        return x, height - margin - (value - low) / (high - low) * (height - 1.5 * margin)

    parts = []
    for decade in range(left, right + 1):
        x, _ = place(decade, low)
        parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="10" y2="{height - margin}"/>')
        parts.append(f'<text x="{x:.0f}" y="{height - margin + 18}" text-anchor="middle">{10.0**decade:g} s</text>')
    for tick in np.linspace(low, high, 4):
        _, y = place(left, float(tick))
        parts.append(f'<text x="{margin - 8}" y="{y + 4:.0f}" text-anchor="end">{tick:.1f}</text>')
    for (result, *_), time, value in zip(points, times, values, strict=True):
        x, y = place(time, value)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        parts.append(f'<text class="name" x="{x + 9:.1f}" y="{y + 4:.1f}">{html.escape(result.model)}</text>')
    label = f"{metric.upper()} against seconds an image"
    drawing = (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )
    hint = f"<p class=hint>{label}, measured in this run.</p>"
    return f"<h2>Quality against time</h2><div class=scroll>{drawing}</div>{hint}"


def _scene(number: int, scene: ScenePictures) -> str:
    restored = {name: picture for name, picture in scene.restored.items() if name != "identity"}
    pictures = {"noisy": scene.noisy, **restored, "clean": scene.clean}
    best = max(restored, key=lambda model: next(iter(scene.scores[model].values())), default="clean")
    captions = {name: _caption(name, scene) for name in pictures}
    title = f"<h2>{html.escape(scene.name)}</h2>"
    return title + _compare(f"scene{number}", pictures, captions, best) + _crops(pictures, captions, scene.clean)


def _caption(name: str, scene: ScenePictures) -> str:
    scores = scene.scores.get(name)
    if not scores:
        return name
    metric, value = next(iter(scores.items()))
    return f"{name}, {value:.2f} dB" if metric == "psnr" else f"{name}, {metric} {value:.4f}"


def _example(number: int, caption: str, noisy: np.ndarray, restored: np.ndarray) -> str:
    pictures = {"noisy": noisy, "restored": restored}
    captions = {name: name for name in pictures}
    title = f"<h2>{html.escape(caption)}</h2>"
    return title + _compare(f"example{number}", pictures, captions, "restored") + _crops(pictures, captions, restored)


def _compare(key: str, pictures: dict[str, np.ndarray], captions: dict[str, str], right: str) -> str:
    """A slider between any two of the pictures."""
    names = list(pictures)
    sources = "".join(
        f'<img id="{key}-{place}" src="{_embedded(pictures[name])}" alt="" hidden>' for place, name in enumerate(names)
    )

    def select(side: str, chosen: str) -> str:
        options = ""
        for place, name in enumerate(names):
            mark = " selected" if name == chosen else ""
            options += f'<option value="{key}-{place}"{mark}>{html.escape(captions[name])}</option>'
        return f'<select data-side="{side}" aria-label="{side} picture">{options}</select>'

    return (
        f'<div class="compare"><div class="sides">{select("left", names[0])}{select("right", right)}</div>'
        f'<div class="stage" style="--at:50%"><img class="left" alt=""><img class="right" alt=""></div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="where the right picture begins">{sources}</div>'
    )


def _crops(pictures: dict[str, np.ndarray], captions: dict[str, str], reference: np.ndarray) -> str:
    top, left = liveliest(reference, CROP)
    figures = []
    for name, picture in pictures.items():
        crop = picture[top : top + CROP, left : left + CROP]
        caption = html.escape(captions[name])
        figures.append(
            f'<figure><img src="{_embedded(crop)}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        )
    return f'<div class="crops">{"".join(figures)}</div>'


def liveliest(picture: np.ndarray, size: int) -> tuple[int, int]:
    """Top and left of the square with the most detail: where a denoiser has to choose.

    Args:
        picture: (H, W) or (H, W, 3).
        size: side of the square.
    """
    grey = picture.mean(axis=2) if picture.ndim == 3 else picture.astype(np.float64)
    detail = np.hypot(*np.gradient(grey)) if min(grey.shape) > 1 else grey
    tops = range(0, max(1, grey.shape[0] - size + 1), size // 2)
    lefts = range(0, max(1, grey.shape[1] - size + 1), size // 2)
    squares = [
        (float(detail[top : top + size, left : left + size].mean()), top, left) for top in tops for left in lefts
    ]
    _, top, left = max(squares)
    return top, left


def _embedded(picture: np.ndarray) -> str:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "WEBP", lossless=True, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _images(report: Report) -> str:
    heads = ["image", *(f"{result.model}" for result in report.results)]
    buttons = "".join(f"<th scope=col><button>{html.escape(head)}</button></th>" for head in heads)
    rows = "".join(_image_row(report, number) for number in range(len(report.results[0].images)))
    table = f'<table class="sortable"><thead><tr>{buttons}</tr></thead><tbody>{rows}</tbody></table>'
    hint = f'<p class="hint">{report.metrics[0].upper()} of every image; press a head to sort.</p>'
    return f"<h2>Every image</h2>{hint}<div class=scroll>{table}</div>"


def _image_row(report: Report, number: int) -> str:
    first: ModelResult = report.results[0]
    cells = [f"<td>{html.escape(first.images[number].name)}</td>"]
    for result in report.results:
        value = result.images[number].values[report.metrics[0]]
        cells.append(f'<td data-value="{value:.4f}">{value:.2f}</td>')
    return f"<tr>{''.join(cells)}</tr>"
