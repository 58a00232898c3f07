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


def methods_table(cells: list[Cell], megapixels: float) -> list[str]:
    """The rows of one size, as Markdown."""
    rows = [cell for cell in cells if cell.table == "methods" and cell.megapixels == megapixels]
    times = {cell.row: cell.values["seconds"] for cell in rows if not cell.failed}
    lines = [
        f"## {megapixels:g} megapixels",
        "",
        f"| method | seconds | seconds a megapixel | times as fast as {BASE} | than DnCNN | peak MB | PSNR |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for cell in rows:
        if cell.failed:
            lines.append(f"| {without_numbers(cell)} | | | | | | |")
            continue
        seconds, quality = cell.values["seconds"], cell.values["psnr"]
        against = [f"{times[base] / seconds:.2f}" if base in times else "" for base in (BASE, DNCNN)]
        lines.append(
            f"| {cell.row} | {seconds:.2f} | {seconds / megapixels:.2f} | {against[0]} | {against[1]} | "
            f"{cell.values['memory'] / 1e6:.0f} | {'' if quality is None else f'{quality:.2f}'} |"
        )
    return [*lines, ""]


def without_numbers(cell: Cell) -> str:
    """The name of a row that has none."""
    return f"{cell.row} (not measured: {cell.failed.replace('|', '/')})"


def command_table(cells: list[Cell]) -> list[str]:
    """The whole command against the engine."""
    lines = [
        "## The whole command against its engine",
        "",
        "`noiseless denoise` of a tiled TIFF, from start to exit, and the engine alone on the same tiles, warm.",
        "",
        "| model | megapixels | command, seconds | engine, seconds | ratio | peak MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for cell in cells:
        if cell.failed:
            lines.append(f"| {without_numbers(cell)} | {cell.megapixels:g} | | | | |")
            continue
        whole, alone = cell.values["seconds"], cell.values["engine"]
        lines.append(
            f"| {cell.row} | {cell.megapixels:g} | {whole:.1f} | {alone:.1f} | {whole / alone:.2f} | "
            f"{cell.values['memory'] / 1e6:.0f} |"
        )
    return [*lines, ""]


def growth_table(cells: list[Cell]) -> list[str]:
    """Time and memory of the whole command as the image grows."""
    from throughput import GROWTH_SET  # not above: what it imports would count as memory of the methods

    lines = [
        "## Growth with the image",
        "",
        f"`noiseless denoise` of a tiled TIFF, with {' and '.join(f'`--set {setting}`' for setting in GROWTH_SET)}: "
        "windows of one size, and no other engine for much work.",
        "",
        "| model | megapixels | seconds a megapixel | of the first | peak MB | of the first |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    first: dict[str, Any] | None = None
    for cell in cells:
        if cell.failed:
            lines.append(f"| {without_numbers(cell)} | {cell.megapixels:g} | | | | |")
            continue
        now = {"pace": cell.values["seconds"] / cell.values["pixels"], "memory": cell.values["memory"]}
        first = first or now
        lines.append(
            f"| {cell.row} | {cell.values['pixels']:.1f} | {now['pace']:.3f} | {now['pace'] / first['pace']:.2f} | "
            f"{now['memory'] / 1e6:.0f} | {now['memory'] / first['memory']:.2f} |"
        )
    return [*lines, ""]


def engines_table(cells: list[Cell]) -> list[str]:
    """Engines and precisions, in turns."""
    lines = [
        "## Engines",
        "",
        f"In turns on one photograph of {SIDE}x{SIDE}. The share is the rate of multiply-adds against that of a "
        "product of two 4096x4096 matrices in torch, in float32 for exact and int8 and in bf16 for fast.",
        "",
        "| model | engine | precision | seconds a megapixel | times as fast as ONNX Runtime exact | share | PSNR |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for cell in cells:
        if cell.failed:
            lines.append(f"| {without_numbers(cell)} | | | | | | |")
        lines += [
            f"| {cell.row} | {rate['engine']} | {rate['precision']} | {rate['pace']:.2f} | {rate['gain']:.2f} | "
            f"{100 * rate['share']:.0f}% | {rate['psnr']:.2f} |"
            for rate in cell.values.get("rates", ())
        ]
    return [*lines, ""]


def page(cells: list[Cell]) -> str:
    """The whole page, of what there is."""
    lines = [
        "# Speed",
        "",
        f"`python benchmarks/speed.py`: {processor_name()}, {processors()} processors in use, "
        f"{'with' if has_bf16() else 'without'} bf16, {platform.system()}, Python {platform.python_version()}, "
        f"noiseless {noiseless.__version__}.",
        "",
        f"8-bit colour photographs, tiled to each size, with Gaussian noise of sigma {SIGMA}, which each method is "
        f"told but DnCNN, Open Image Denoise and {ESTIMATING}; that is made for the noise of cameras, not for this. "
        "Every method runs in a process of its own; peak memory is that of the process, with the image and Python. "
        "Only ratios within this page mean anything on another machine.",
        "",
    ]
    for size in sorted({cell.megapixels for cell in cells if cell.table == "methods"}):
        lines += methods_table(cells, size)
    for name, table in (("command", command_table), ("growth", growth_table), ("engines", engines_table)):
        rows = [cell for cell in cells if cell.table == name]
        lines += table(rows) if rows else []
    return "\n".join(lines).rstrip() + "\n"
