"""The page docs/self_supervised.md, from the cells that `self_supervised.py` measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Cells = Mapping[str, Mapping[str, Any]]
"""By column, then by method."""

AS_IS, BLIND, AUTO = "shipped model as it is", "photo-small (blind)", "auto"
RIVAL, FROM_SCRATCH = "CAREamics Noise2Void", "noise2void, random weights"
ADAPTED = ("auto", "recorrupted", "sure", "neighbor2neighbor", "zero-shot", "noise2self", "noise2void")
"""Objectives that start from the shipped weights and see nothing but the noisy crops."""

MISSING = "not measured: there was no environment with CAREamics; the row is empty"

WORSE, BETTER = 0.05, 1.0
"""The goals, in dB."""


def report(cells: Cells, columns: Mapping[str, Any], methods: Iterable[str], options: argparse.Namespace) -> list[str]:
    """Lines of Markdown."""
    shown = [name for name in columns if name in cells]
    rows = [[method, *(value(cells[name].get(method)) for name in shown)] for method in methods]
    rows = [row for row in rows if any(row[1:]) or row[0] == RIVAL]
    head = ["PSNR, dB", *(columns[name].title for name in shown)]
    return [
        *introduction(options),
        *table(head, rows),
        "",
        "\\* nothing that was learned was surely better than the shipped weights, which were kept: the figure is "
        "theirs, told the noise as above unless they are blind. An empty cell was not measured in this run.",
        "",
        f"`auto` chose: {choices(cells, shown, columns)}.",
        "",
        *crops(cells, shown, columns),
        "",
        "## The goals, and what was measured",
        "",
        *table(["goal", "measured"], goals(cells, shown, columns)),
        "",
    ]


def introduction(options: argparse.Namespace) -> list[str]:
    """What was done."""
    size = f"--minutes-per-cell {options.minutes_per_cell:g} --crops {options.crops} --side {options.side}"
    text = f"""\
# Learning without clean images, measured

Made by `python benchmarks/self_supervised.py {size} -o docs/self_supervised.md`:
a reduced form, {60 * options.minutes_per_cell:.0f} processor seconds for each cell that learns, validation included.
In full (2 processor minutes, 12 crops, within three hours of two cores): with no option but `-o`. A call that was
stopped goes on where it was.

- Images: the middle {options.side}x{options.side} pixels of the first {options.crops} images (by name) of Set12 (grey)
  and CBSD68 (colour); {options.crops} crops of the Nikon and Sony cameras of PolyU, spread over the set; five images
  of microscopy (plant, mitochondria, nuclear pores, fly eye, nuclei), scaled down by two, from their 0.1 to their
  99.9 percentile.
- Noise: `gaussian:25`, `poisson-gaussian:gain=0.02,read=0.02`, `correlated:sigma=0.08,length=1.0`, float, neither
  clipped nor rounded; PolyU as the cameras made it, 8 bits. BM3D and "told the noise" know what was added; for PolyU,
  what calibrate finds.
- Objectives learn as `noiseless train --noisy` does by default, from the model that `denoise` takes: `gray-small`,
  `color-small`, and for PolyU `photo-small` (the other rows of shipped models are `color-small` there). One crop is
  kept to validate on by the estimated error; all are measured with `noise="auto"`: the mean PSNR. `noise2noise` sees a
  second noisy view of each crop, `supervised` their clean sides, a bound.
- The shipped weights, told the noise of all crops where most agree on it, are kept (a star) unless what was learned is
  better on the crop to validate on by three standard errors, at both ends of the interval of noise that is white, and
  costs nothing on the others; a third of the time without such a gain ends the run. Of eight runs of 20 seconds on
  photographs of validation three had correlated noise: their first or second validation was surely better, and later
  ones with gaps of one at most; of the five with white noise none of twelve was. From random weights every validation
  was the best so far.
- Of developed photographs nothing is learned: on Canon crops of PolyU 20 seconds took `photo-small` from 40.64 to 35.97
  dB (the middle 128 pixels of 6) and from 38.70 to 36.67 (256 pixels of 14). A model that is told the level is told one
  for all of them, which serves better than what is guessed in each: `color-small` has 38.30 dB instead of 37.51 on the
  middle 128 pixels, 37.73 instead of 37.08 on 256; in grey nothing is gained.
- A single image is validated on itself. Of what was learned from, an estimate says too much good: on one of three such
  images of validation, 12 seconds each, weights 0.24 dB worse seemed 0.38 dB better, by 3.5 standard errors, but only
  when two thirds of the time were over, long after the run ends by itself. Judged by a quarter of the image that was
  kept out instead, nothing was sure (1.6 standard errors) in another one, of correlated noise, that gains 1.1 dB.
- CAREamics: its Noise2Void with its defaults, from random weights, by `benchmarks/careamics_noise2void.py`. So little
  time favours what starts from a trained model.
"""
    return [*text.splitlines(), *([f"- {options.note}"] if options.note else []), ""]


def value(cell: Mapping[str, Any] | None) -> str:
    """Mean PSNR, with a mark where the shipped weights were kept."""
    if not cell or "psnr" not in cell:
        return ""
    return f"{np.mean(cell['psnr']):.2f}{'*' if cell.get('kept') else ''}"


def difference(cells: Cells, name: str, method: str, base: str) -> float | None:
    """Mean PSNR of one method over another on the same images, in dB; for photographs the blind model is as it is."""
    column = cells[name]
    one, other = column.get(method), column.get(BLIND if base == AS_IS and column.get(BLIND) else base)
    if not one or not other:
        return None
    return float(np.mean(one["psnr"]) - np.mean(other["psnr"]))


def choices(cells: Cells, shown: Sequence[str], columns: Mapping[str, Any]) -> str:
    """What `auto` chose in each column."""
    found = []
    for name in shown:
        said = (cells[name].get(AUTO) or {}).get("said", ())
        line = next((line.partition(": ")[2] for line in said if line.startswith("objective: ")), None)
        if line:
            found.append(f"{columns[name].title}: {line.partition(',')[0]}")
    return "; ".join(found)


def crops(cells: Cells, shown: Sequence[str], columns: Mapping[str, Any]) -> list[str]:
    """How many images, steps and seconds."""
    rows = []
    for name in shown:
        learned = [cell for cell in cells[name].values() if cell and "steps" in cell]
        if learned:
            steps, seconds = ([cell[what] for cell in learned] for what in ("steps", "seconds"))
            count = len(learned[0]["psnr"])
            spent = f"{min(seconds):.0f} to {max(seconds):.0f}"
            rows.append([columns[name].title, str(count), f"{min(steps)} to {max(steps)}", spent])
    return table(["column", "crops", "optimiser steps a cell", "processor seconds a cell"], rows)


def goals(cells: Cells, shown: Sequence[str], columns: Mapping[str, Any]) -> list[list[str]]:
    """Each goal, and what was measured."""
    synthetic = [name for name in shown if columns[name].noise]
    harder = [name for name in synthetic if "white" not in name]
    rival = lowest(cells, synthetic, [AUTO], RIVAL, columns)
    against = f"lowest {rival}" if rival else MISSING
    stand_in = lowest(cells, synthetic, [AUTO], FROM_SCRATCH, columns)
    if stand_in and not rival:
        against += f". Against our own Noise2Void from random weights, the lowest is {stand_in}"
    return [
        [f"`auto` at equal time better than {RIVAL} by {BETTER:.0f} dB on each synthetic set", against],
        [
            f"`auto`, adapted from the shipped model, never more than {WORSE} dB below it as it is",
            f"lowest {lowest(cells, shown, [AUTO], AS_IS, columns)}",
        ],
        [
            f"no objective more than {WORSE} dB below the shipped model as it is",
            f"lowest {lowest(cells, shown, ADAPTED, AS_IS, columns)}; below the bound: {below(cells, shown, columns)}",
        ],
        [
            "better than the shipped model as it is on the correlated and Poisson-Gaussian sets",
            "; ".join(
                f"{columns[name].title} {gain:+.2f}"
                for name in harder
                if (gain := difference(cells, name, AUTO, AS_IS)) is not None
            )
            + " (`auto`)",
        ],
    ]


def lowest(
    cells: Cells, shown: Sequence[str], methods: Sequence[str], base: str, columns: Mapping[str, Any]
) -> str | None:
    """The smallest gain over `base`, with where it is."""
    found = [
        (gain, method, name)
        for name in shown
        for method in methods
        if (gain := difference(cells, name, method, base)) is not None
    ]
    if not found:
        return None
    gain, method, name = min(found)
    return f"{gain:+.2f} dB ({method}, {columns[name].title})"


def below(cells: Cells, shown: Sequence[str], columns: Mapping[str, Any]) -> str:
    """Where objectives end below the shipped model by more than the goal allows."""
    found = [
        f"{method} on {columns[name].title} {gain:+.2f}"
        for name in shown
        for method in ADAPTED
        if (gain := difference(cells, name, method, AS_IS)) is not None and gain < -WORSE
    ]
    return ", ".join(found) or "none"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]]
