"""The page docs/speed.md, from the cells that `speed.py` measured."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Any

import noiseless
from noiseless.runtime.machine import has_bf16, processor_name, processors

SIGMA = 25
ESTIMATING = "photo-small"
BASE = "OpenCV NLM"
DNCNN = "DnCNN-17, torch eager"
PLAIN = "plain convolutions"
"""Stands for no model: convolutions of 64 channels one after the other, and nothing else; its PSNR says nothing."""

SIDE = 512
"""Of the photograph on which the engines take turns."""


@dataclass(frozen=True)
class Cell:
    """What was measured, or why it could not be.

    Attributes:
        table: methods, command, growth or engines.
        row: what was measured.
        megapixels: of the image.
        setting: machine, versions and weights; numbers of different ones do not belong together.
        values: by name.
        failed: the reason, where there is one.
    """

    table: str
    row: str
    megapixels: float
    setting: str
    values: dict[str, Any] = field(default_factory=dict)
    failed: str = ""


def section(title: str, words: str, columns: str, rows: list[list[str]], texts: int = 1) -> list[str]:
    """A heading, what there is to say, and a table as Markdown.

    Args:
        title: of the section.
        words: before the table; may be empty.
        columns: their names, with ``|`` between them.
        rows: one cell a column; those that lack at the end are empty.
        texts: how many columns, from the left, hold text; numbers go to the right.
    """
    names = columns.split("|")
    rule = ["---"] * texts + ["---:"] * (len(names) - texts)
    full = [[*row, *[""] * (len(names) - len(row))] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in (names, *full)]
    return [f"## {title}", "", *([words, ""] if words else []), lines[0], f"|{'|'.join(rule)}|", *lines[1:], ""]


def without_numbers(cell: Cell) -> str:
    """The name of a row that has none."""
    return f"{cell.row} (not measured: {cell.failed.replace('|', '/')})"


def methods_table(cells: list[Cell], megapixels: float) -> list[str]:
    """The rows of one size."""
    found = [cell for cell in cells if cell.table == "methods" and cell.megapixels == megapixels]
    paces = {cell.row: times_as_fast(cell.values) for cell in found if not cell.failed}

    def row(cell: Cell) -> list[str]:
        seconds, quality = cell.values["seconds"], cell.values["psnr"]
        own = paces[cell.row]
        against = [f"{own:.2f}", f"{own / paces[DNCNN]:.2f}" if DNCNN in paces else ""]
        psnr = "" if quality is None else f"{quality:.2f}"
        return [cell.row, f"{seconds:.2f}", f"{seconds / megapixels:.2f}", *against, megabytes(cell), psnr]

    columns = f"method|seconds|seconds a megapixel|times as fast as {BASE}|than DnCNN|peak MB|PSNR"
    rows = [[without_numbers(cell)] if cell.failed else row(cell) for cell in found]
    return section(f"{megapixels:g} megapixels", "", columns, rows)


def times_as_fast(values: dict[str, Any]) -> float:
    """How many times as fast as the base a method is, in turns with it."""
    return float(values["base"] / values["seconds"])


def megabytes(cell: Cell) -> str:
    """Peak memory of the process."""
    return f"{cell.values['memory'] / 1e6:.0f}"


def command_table(cells: list[Cell]) -> list[str]:
    """The whole command against the engine."""

    def row(cell: Cell) -> list[str]:
        whole, alone = cell.values["seconds"], cell.values["engine"]
        numbers = [f"{whole:.1f}", f"{alone:.1f}", f"{whole / alone:.2f}", megabytes(cell)]
        return [cell.row, f"{cell.megapixels:g}", *numbers]

    words = "`noiseless denoise` of a tiled TIFF, from start to exit, and the engine alone on the same tiles, warm."
    columns = "model|megapixels|command, seconds|engine, seconds|ratio|peak MB"
    rows = [[without_numbers(cell), f"{cell.megapixels:g}"] if cell.failed else row(cell) for cell in cells]
    return section("The whole command against its engine", words, columns, rows)


def growth_table(cells: list[Cell]) -> list[str]:
    """Time and memory of the whole command as the image grows."""
    from throughput import GROWTH_SET  # not above: what it imports would count as memory of the methods

    first = next((cell.values for cell in cells if not cell.failed), {})

    def row(cell: Cell) -> list[str]:
        now = cell.values
        paces = [(each["seconds"] / each["pixels"], each["seconds"] / each["windows"]) for each in (now, first)]
        growth = [f"{own / base:.2f}" for own, base in zip(*paces, strict=True)]
        memory = [megabytes(cell), f"{now['memory'] / first['memory']:.2f}"]
        return [cell.row, f"{now['pixels']:.1f}", f"{now['windows']:.1f}", f"{paces[0][0]:.3f}", *growth, *memory]

    settings = " and ".join(f"`--set {setting}`" for setting in GROWTH_SET)
    words = (
        f"`noiseless denoise` of a tiled TIFF, with {settings}: windows of one size, and no other engine for much "
        "work. Inside an image windows overlap on all sides, at its ends they do not: the larger the image, the more "
        "of its pixels are computed twice."
    )
    columns = (
        "model|megapixels|of windows|seconds a megapixel|of the first|one of windows, of the first|peak MB|of the first"
    )
    rows = [[without_numbers(cell), f"{cell.megapixels:g}"] if cell.failed else row(cell) for cell in cells]
    return section("Growth with the image", words, columns, rows)


def engines_table(cells: list[Cell]) -> list[str]:
    """Engines and precisions, in turns."""

    def row(cell: Cell, rate: dict[str, Any]) -> list[str]:
        share = f"{100 * rate['share']:.0f}%"
        pace = [f"{rate['pace']:.2f}", f"{rate['gain']:.2f}", share, "" if cell.row == PLAIN else f"{rate['psnr']:.2f}"]
        return [cell.row, rate["engine"], rate["precision"], *pace]

    words = (
        f"In turns on one photograph of {SIDE}x{SIDE}. The share is the rate of multiply-adds against that of a "
        "product of two 4096x4096 matrices in torch, in float32 for exact and int8 and in bf16 for fast. "
        f"The {PLAIN} are those of DnCNN-17, untrained and, in int8, all but the first and the last of them so; the "
        "models keep in float32 what int8 would cost them too much."
    )
    columns = "model|engine|precision|seconds a megapixel|times as fast as ONNX Runtime exact|share|PSNR"
    rows = [[without_numbers(cell)] for cell in cells if cell.failed]
    rows += [row(cell, rate) for cell in cells for rate in cell.values.get("rates", ())]
    return section("Engines", words, columns, rows, texts=3)


def answer(cells: list[Cell]) -> list[str]:
    """What the page answers, with the figures of its tables; nothing where they are not there."""
    by_size: dict[float, dict[str, Any]] = {}
    for cell in cells:
        if cell.table == "methods" and not cell.failed:
            by_size.setdefault(cell.megapixels, {})[cell.row] = cell.values

    def against(row: str) -> tuple[str, str]:
        there = [(size[BASE], size[row]) for size in by_size.values() if {BASE, row} <= size.keys()]
        speed = [times_as_fast(own) for _, own in there]
        better = [own["psnr"] - base["psnr"] for base, own in there]
        return f"{min(speed):.2f} to {max(speed):.2f}", f"{min(better):.1f} to {max(better):.1f}"

    said = []
    for model in ("color-nano", "color-small"):
        if not any({BASE, f"{model} exact", f"{model} int8"} <= size.keys() for size in by_size.values()):
            return []
        (speed, better), (exact, _) = against(f"{model} int8"), against(f"{model} exact")
        said.append(
            f"`{model}` in int8 is {speed} times as fast as non-local means of OpenCV and is {better} dB "
            f"better; in float32 (exact) it is {exact} times as fast."
        )
    words = "How long does denoising take on a processor? " + " ".join(said)
    return [words, "", "## How it was measured", ""]


def page(cells: list[Cell]) -> str:
    """The whole page, of what there is."""
    lines = [
        "# Speed",
        "",
        *answer(cells),
        f"`python benchmarks/speed.py`: {processor_name()}, {processors()} processors in use, "
        f"{'with' if has_bf16() else 'without'} bf16, {platform.system()}, Python {platform.python_version()}, "
        f"noiseless {noiseless.__version__}.",
        "",
        f"8-bit colour photographs, tiled to each size, with Gaussian noise of sigma {SIGMA}, which each method is "
        f"told but DnCNN, Open Image Denoise and {ESTIMATING}; that is made for the noise of cameras, not for this. "
        "Every method runs in a process of its own; peak memory is that of the process, with the image and Python. "
        f"Then it takes turns with {BASE}: the best time of each gives the ratio, two ratios the one to DnCNN. "
        "Only ratios within this page mean anything on another machine.",
        "",
    ]
    for size in sorted({cell.megapixels for cell in cells if cell.table == "methods"}):
        lines += methods_table(cells, size)
    for name, table in (("command", command_table), ("growth", growth_table), ("engines", engines_table)):
        rows = [cell for cell in cells if cell.table == name]
        lines += table(rows) if rows else []
    return "\n".join(lines).rstrip() + "\n"
