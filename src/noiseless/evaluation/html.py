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
from noiseless.evaluation.pictures import Pictures, ScenePictures
from noiseless.evaluation.plot import quality_plot, tone
from noiseless.evaluation.report import LOWER_IS_BETTER, Report, heading, shown
from noiseless.io.atomic import write_text

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
    shown_scenes = [] if pictures is None else pictures.scenes
    parts = [
        f"<p>{html.escape(introduction)}</p>" if introduction else "",
        bullets(report.lines()),
        _summary(report),
        _groups(report),
        _plot(report),
        *(_example(number, *example) for number, example in enumerate(examples)),
        *(_scene(number, scene, report) for number, scene in enumerate(shown_scenes)),
        _images(report),
    ]
    write_text(path, document(title, parts))


def document(title: str, parts: Sequence[str]) -> str:
    """A whole HTML page of these parts below its title, in the style and with the script of reports."""
    body = "\n".join(part for part in parts if part)
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
<h1>{html.escape(title)}</h1>
{body}
<p class="hint">Made by noiseless {__version__}.</p>
</main>
<script>{script}</script>
</body>
</html>
"""


# -- tables ------------------------------------------------------------------------------------------------------------


def bullets(lines: Sequence[str]) -> str:
    """A list of lines of plain text."""
    return f'<ul class="protocol">{"".join(f"<li>{html.escape(line)}</li>" for line in lines)}</ul>'


def _summary(report: Report) -> str:
    head, *rows = report.rows()
    best = report.best()
    body = ""
    for number, (name, *values) in enumerate(rows):
        mark = ' class="best"' if name == best and len(rows) > 1 else ""
        cells = f"<td>{_named(name, number)}</td>" + "".join(f"<td>{_with_range(cell)}</td>" for cell in values)
        body += f"<tr{mark}>{cells}</tr>"
    return f"<h2>Numbers</h2>{table(head, body)}"


def _groups(report: Report) -> str:
    rows = report.group_rows()
    if not rows:
        return ""
    head, *body = rows
    lines = ""
    for number, (name, *values) in enumerate(body):
        cells = "".join(f"<td>{_with_mark(cell)}</td>" for cell in values)
        lines += f"<tr><td>{_named(name, number)}</td>{cells}</tr>"
    return f"<h2>By group</h2>{table(head, lines)}"


def table(head: Sequence[str], body: str) -> str:
    """A table of a head and rows that are HTML already."""
    heads = "".join(f"<th scope=col>{html.escape(cell)}</th>" for cell in head)
    return f"<div class=scroll><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def _named(name: str, number: int) -> str:
    return f'<span class="key" style="{tone(number)}"></span>{html.escape(name)}'


def _with_range(cell: str) -> str:
    """``29.76 (27.69 to 33.03)`` with the range in a softer colour."""
    value, bracket, rest = html.escape(cell).partition(" (")
    return f'{value} <span class="range">({rest}</span>' if bracket else value


def _with_mark(cell: str) -> str:
    value, bracket, _ = html.escape(cell).partition(" (worst)")
    return f'{value} <span class="worst">worst</span>' if bracket else value


def _plot(report: Report) -> str:
    drawing = quality_plot(report)
    return f"<h2>Quality against time</h2><div class=scroll>{drawing}</div>" if drawing else ""


def _images(report: Report) -> str:
    options = "".join(f'<option value="{metric}">{html.escape(heading(metric))}</option>' for metric in report.metrics)
    choice = f'<select id="metric" aria-label="metric">{options}</select>' if len(report.metrics) > 1 else ""
    hint = f'<p class="hint">{choice} of every image, the best of each in bold. Press a head to sort.</p>'
    tables = "".join(_images_table(report, metric) for metric in report.metrics)
    return f"<h2>Every image</h2>{hint}<div class=scroll>{tables}</div>"


def _images_table(report: Report, metric: str) -> str:
    grouped = bool(report.results[0].groups())
    heads = ["image", *(["group"] if grouped else [])]
    cells = "".join(f"<th scope=col><button>{head}</button></th>" for head in heads)
    for result in report.results:
        cells += f"<th scope=col class=number><button>{html.escape(result.model)}</button></th>"
    count = len(report.results[0].images)
    rows = "".join(_image_row(report, metric, number, grouped=grouped) for number in range(count))
    hidden = "" if metric == report.metrics[0] else " hidden"
    start = f'<table class="sortable" data-metric="{metric}"{hidden}>'
    return f"{start}<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"


def _image_row(report: Report, metric: str, number: int, *, grouped: bool) -> str:
    first = report.results[0].images[number]
    cells = f"<td>{html.escape(first.name)}</td>"
    if grouped:
        cells += f"<td>{html.escape(first.group or '')}</td>"
    values = [result.images[number].values[metric] for result in report.results]
    known = [value for value in values if not math.isnan(value)]
    best = (min if metric in LOWER_IS_BETTER else max)(known, default=None)
    for value in values:
        if math.isnan(value):
            cells += '<td class="number" data-value="">too small</td>'
            continue
        mark = " best" if value == best and len(values) > 1 else ""
        cells += f'<td class="number{mark}" data-value="{value}">{shown(metric, value)}</td>'
    return f"<tr>{cells}</tr>"


# -- pictures ----------------------------------------------------------------------------------------------------------


def _scene(number: int, scene: ScenePictures, report: Report) -> str:
    restored = {name: picture for name, picture in scene.restored.items() if name != "identity"}
    pictures = {"noisy": scene.noisy, **restored, "clean": scene.clean}
    captions = {name: _caption(name, scene) for name in pictures}
    best = report.best()
    right = best if best in restored else next(iter(restored), "clean")
    note = f"<small>{html.escape(scene.note)}</small>" if scene.note else ""
    title = f"<h2>{html.escape(scene.name)}{note}</h2>"
    return title + _compare(f"scene{number}", pictures, captions, right, scene.clean)


def _caption(name: str, scene: ScenePictures) -> str:
    scores = scene.scores.get("identity" if name == "noisy" else name)
    if not scores:
        return name
    metric, value = next(iter(scores.items()))
    return f"{name}, {value:.2f} dB" if metric == "psnr" else f"{name}, {heading(metric)} {shown(metric, value)}"


def _example(number: int, caption: str, noisy: np.ndarray, restored: np.ndarray) -> str:
    pictures = {"noisy": noisy, "restored": restored}
    captions = {name: name for name in pictures}
    title = f"<h2>{html.escape(caption)}</h2>"
    return title + _compare(f"example{number}", pictures, captions, "restored", restored)


def _compare(
    key: str, pictures: dict[str, np.ndarray], captions: dict[str, str], right: str, reference: np.ndarray
) -> str:
    """A slider between any two of the pictures, and a zoomed crop of each; every picture is embedded once."""
    height, width = reference.shape[:2]
    side = min(CROP, height, width)
    top, left = liveliest(reference, side)
    classes = {name: f"{key}-{place}" for place, name in enumerate(pictures)}
    rules = "".join(f".{classes[name]}{{background-image:url({embedded(pictures[name])})}}" for name in pictures)
    places = {"w": width, "h": height, "c": side, "x": left, "y": top, "at": "50%"}
    places |= {"px": _share(left, width - side), "py": _share(top, height - side)}
    style = ";".join(f"--{name}:{value}" for name, value in places.items())
    crops = "".join(_crop(classes[name], html.escape(captions[name])) for name in pictures)
    stage = _stage(classes, captions, next(iter(pictures)), right)
    return f'<style>{rules}</style><div class="scene" style="{style}">{stage}<div class="crops">{crops}</div></div>'


def _stage(classes: dict[str, str], captions: dict[str, str], left: str, right: str) -> str:
    def select(side: str, chosen: str) -> str:
        options = ""
        for name, value in classes.items():
            mark = " selected" if name == chosen else ""
            options += f'<option value="{value}"{mark}>{html.escape(captions[name])}</option>'
        return f'<select data-side="{side}" aria-label="{side} picture">{options}</select>'

    def layer(side: str, name: str) -> str:
        return f'<div class="{side} {classes[name]}" role="img" aria-label="{html.escape(captions[name])}"></div>'

    layers = layer("left", left) + layer("right", right)
    return (
        f'<div class="compare"><div class="sides">{select("left", left)}{select("right", right)}</div>'
        '<div class="stage" tabindex="0" role="group" aria-label="pictures; arrow keys move what the crops show">'
        f'{layers}<div class="marker"></div></div>'
        '<input type="range" min="0" max="100" step="0.5" value="50" aria-label="where the right picture begins">'
        '<p class="hint">Drag to compare; click where the crops shall look.</p></div>'
    )


def _crop(name: str, caption: str) -> str:
    picture = f'<div class="crop {name}" role="img" aria-label="{caption}, enlarged"></div>'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _share(place: int, room: int) -> str:
    return f"{100 * place / room if room else 0:.3f}%"


def liveliest(picture: np.ndarray, size: int) -> tuple[int, int]:
    """Top and left of the square with the most detail: where a denoiser has to choose.

    Args:
        picture: (H, W) or (H, W, 3).
        size: side of the square.
    """
    grey = picture.mean(axis=2) if picture.ndim == 3 else picture.astype(np.float64)
    detail = np.hypot(*np.gradient(grey)) if min(grey.shape) > 1 else grey
    step = max(1, size // 2)
    tops = range(0, max(1, grey.shape[0] - size + 1), step)
    lefts = range(0, max(1, grey.shape[1] - size + 1), step)
    squares = [
        (float(detail[top : top + size, left : left + size].mean()), top, left) for top in tops for left in lefts
    ]
    _, top, left = max(squares)
    return top, left


def embedded(picture: np.ndarray) -> str:
    """A uint8 picture, (H, W) or (H, W, 3), as the address of itself."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "WEBP", lossless=True, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
