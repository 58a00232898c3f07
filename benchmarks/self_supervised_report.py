"""The page docs/self_supervised.md, from the cells that `self_supervised.py` measured."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Cells = Mapping[str, Mapping[str, Any]]
"""By column, then by method."""

AS_IS, BLIND, AUTO = "shipped model as it is", "photo-small (blind)", "auto"
RIVAL = "CAREamics Noise2Void"
ALONE = ("recorrupted", "sure", "neighbor2neighbor", "zero-shot", "noise2self", "noise2void")
"""Objectives that see nothing but the noisy crops."""

RANDOM = ", random weights"
"""What follows the name of an objective that does not start from a shipped model."""

UNMEASURED = "not measured"

WORSE, BETTER = 0.05, 1.0
"""The goals, in dB."""


OBJECTIVES = """\
## The objectives

`auto` takes `noise2noise` where there are second views, `noise2void` where the noise is far from normal, and else
`recorrupted`; the run says why. If the noise does not suit the objective, a warning comes before anything is learned.

- `noise2noise` learns one noisy view from another: `--noisy-pairs A B`, or the next plane or frame of a stack or of
  numbered files (Lehtinen et al., 2018). Correlated noise does no harm.
- `noise2void` (Krull, Buchholz and Jug, 2019; Hoeck et al., 2022) and `noise2self` (Batson and Royer, 2019) learn
  hidden pixels from those around them. In correlated noise what is hidden takes its shape (Broaddus et al., 2020).
- `neighbor2neighbor` (Huang et al., 2021) and, for a single image, `zero-shot` (Mansour and Heckel, 2023) learn one
  image of half the size from another. In correlated noise both come of pixels farther apart (pixel-shuffle
  downsampling: Zhou et al., 2020; Lee, Son and Lee, 2022).
- `sure` minimises Stein's estimate of the error (Stein, 1981; Ramani, Blu and Unser, 2008; Soltanayev and Chun, 2018;
  Le Montagner, Angelini and Olivo-Marin, 2014). `recorrupted` learns the image with some noise taken off from the image
  with more (Pang et al., 2021). Both rely on the measured noise, correlated noise included.
"""


def report(cells: Cells, columns: Mapping[str, Any], methods: Iterable[str], options: argparse.Namespace) -> list[str]:
    """Lines of Markdown."""
    shown = [name for name in columns if name in cells]
    methods = list(methods)
    rows = [[method, *(value(cells[name].get(method)) for name in shown)] for method in methods if RANDOM not in method]
    rows = [row for row in rows if any(row[1:]) or row[0] == RIVAL]
    head = ["PSNR, dB", *(columns[name].title for name in shown)]
    return [
        *answer(cells, shown, columns, options),
        *OBJECTIVES.splitlines(),
        "",
        *introduction(options),
        "## Results",
        "",
        *table(head, rows),
        "",
        "\\* nothing that was learned was surely better than the shipped weights, which were kept: the figure is "
        "theirs, told the noise of all images together unless they are blind. An empty cell was not measured in this "
        "run.",
        "",
        f"`auto` chose: {choices(cells, shown, columns)}.",
        "",
        *crops(cells, shown, columns),
        "",
        *from_random_weights(cells, shown, columns, methods, options),
        "",
        "## The goals, and what was measured",
        "",
        *table(["goal", "measured"], goals(cells, shown, columns)),
        "",
        *LIMITS.splitlines(),
    ]


def from_random_weights(
    cells: Cells, shown: Sequence[str], columns: Mapping[str, Any], methods: Sequence[str], options: argparse.Namespace
) -> list[str]:
    """What every objective reaches without a shipped model, and how much more it has with one."""
    plain = [method for method in methods if method + RANDOM in methods]
    rows = [
        [
            method,
            *(
                beside(cells[name].get(method + RANDOM), difference(cells, name, method, method + RANDOM))
                for name in shown
            ),
        ]
        for method in plain
    ]
    leads = [
        (lead, method, columns[name].title)
        for name in shown
        for method in plain
        if (lead := difference(cells, name, method, method + RANDOM)) is not None
    ]
    if not leads:
        return []
    lead, method, title = min(leads)
    text = f"""\
        Every objective starts from shipped weights by default (`--set start=scratch` takes random ones). The same
        {seconds(options)} processor seconds from random weights, in the default network, a little smaller: PSNR in
        dB, and in brackets how much more the start from shipped weights reaches. The smallest lead is {lead:+.2f} dB
        ({method}, {title})."""
    head = ["from random weights", *(columns[name].title for name in shown)]
    return ["## Shipped or random weights", "", *wrapped(text), "", *table(head, rows)]


def beside(cell: Mapping[str, Any] | None, lead: float | None) -> str:
    """PSNR of a cell, and what another has more."""
    return value(cell) + (f" ({lead:+.1f})" if lead is not None else "")


def answer(cells: Cells, shown: Sequence[str], columns: Mapping[str, Any], options: argparse.Namespace) -> list[str]:
    """What the page answers, with the figures of its table."""
    changes = {
        columns[name].title: change
        for name in shown
        if (change := difference(cells, name, AUTO, AS_IS)) is not None and change >= WORSE
    }
    gained = "; ".join(f"{title} {change:+.2f} dB" for title, change in changes.items()) or "nothing anywhere"
    rival = lowest(cells, [name for name in shown if columns[name].noise], [AUTO], RIVAL, columns)
    text = f"""\
        What does a model learn from noisy images alone? `noiseless train --noisy` starts from the model that `denoise`
        takes for them and keeps its weights unless others are surely better. In {seconds(options)} processor seconds it
        gained, over that model used as it is: {gained}. The smallest change on any set is
        {lowest(cells, shown, [AUTO], AS_IS, columns)}. Against {RIVAL} on the images with synthetic noise, the
        smallest lead is {rival}. A star in the table marks where the weights were kept: a gain there comes from telling
        the model the noise that all images show together."""
    advice = """\
        If you can photograph each scene twice, do (`--noisy-pairs A B`): the row `noise2noise` needs no clean image
        either. If you can make a clean version of some images, fine-tune on those pairs
        ([finetuning.md](finetuning.md)); the row `supervised` shows what clean versions of these very crops would
        give. White noise on photographs leaves a shipped model little to learn."""
    return ["# Learning without clean images, measured", "", *wrapped(text), "", *wrapped(advice), ""]


def introduction(options: argparse.Namespace) -> list[str]:
    """How it was measured, and when what was learned counts."""
    size = f"--minutes-per-cell {options.minutes_per_cell:g} --crops {options.crops} --side {options.side}"
    text = f"""\
## How it was measured

Made by `python benchmarks/self_supervised.py {size} -o docs/self_supervised.md`:
each method that learns has {seconds(options)} processor seconds for each set of images, validation included. Without
these options it takes 2 processor minutes for each and 12 crops, within three hours of two cores. A call that was
stopped goes on where it was.

- **Images.** The middle {options.side}x{options.side} pixels of the first {options.crops} images (by name) of Set12
  (grey) and CBSD68 (colour); {options.crops} crops of the Nikon and Sony cameras of PolyU, spread over the set; five
  images of microscopy (plant, mitochondria, nuclear pores, fly eye, nuclei), scaled down by two and stretched from
  their 0.1 to their 99.9 percentile.
- **Noise.** `gaussian:25`, `poisson-gaussian:gain=0.02,read=0.02` and `correlated:sigma=0.08,length=1.0`, float,
  neither clipped nor rounded. PolyU has the noise of its cameras, in 8 bits.
- **What is measured.** The mean PSNR on the very crops that were learned from; one crop of each set is kept to validate
  on. All models measure the noise themselves (`noise="auto"`), but BM3D and the row "told the noise", which know what
  was added (for PolyU, what `calibrate` finds).
- **Where learning starts.** With the defaults of `noiseless train --noisy`: from `gray-small` or `color-small`, on
  PolyU from `photo-small`. The other rows of shipped models are `color-small` on PolyU.
- **Two rows see more.** `noise2noise` has a second noisy view of each crop; `supervised` has the clean crops, as an
  upper bound.
- **CAREamics.** Its Noise2Void with its defaults, from random weights, by `benchmarks/careamics_noise2void.py`. So
  little time favours methods that start from a trained model.

### When what was learned is kept

Without clean images nobody sees the error. It is estimated, by Stein's formula or from the second view. New weights
replace the ones that the run started from only if

- their estimated error on the crop to validate on is smaller by three standard errors, for white noise at both ends of
  the 95% interval of its measured level, and
- their estimated error on the crops that were learned from is no larger.

The run ends after a third of its time without such a gain. That suffices: of eight trial runs of 20 seconds on
photographs of validation, the three with correlated noise were surely better at the first or second of twelve
validations and never went two in a row without another sure gain; the five with white noise never were surely better.
From random weights every validation was the best so far.

A model that is told the level of the noise is told the one that all images show together, where most of them agree on
it and the estimate prefers it; else what is measured in each image.
"""
    noted = ["### Which figures are older", "", *options.note.splitlines(), ""] if options.note else []
    return [*text.splitlines(), "", *noted]


LIMITS = """\
## Limits

- **White and photon noise on photographs** leave next to nothing to learn. With 2 minutes a cell and 12 crops,
  Poisson-Gaussian noise: `gray-small` on Set12 has 29.20 dB as it is, 29.22 told the true noise and 29.36 after
  training on the clean crops themselves; `color-small` on CBSD68 30.54 in all three. Nothing that was learned without
  them was surely better.
- **Developed photographs, such as a camera's JPEG files.** Nothing is learned from them, since how strong their noise
  is can only be guessed. On Canon crops of PolyU, 20 seconds of learning by that guess took `photo-small` from 40.64
  down to 35.97 dB (the middle 128 pixels of 6) and from 38.70 to 36.67 dB (256 pixels of 14). A model that is told the
  level is told one for all of them, which serves better than a guess in each: `color-small` has 38.30 instead of
  37.51 dB on the middle 128 pixels, 37.73 instead of 37.08 on 256; in grey nothing is gained.
- **A single image** is validated on itself, and an estimate flatters what was learned from. In three trials on single
  images of validation, 12 seconds each, it was once badly wrong: weights 0.24 dB worse seemed 0.38 dB better, by 3.5
  standard errors. But that was when two thirds of the time were over, long after the run ends by itself. Judging by a
  quarter of the image that is kept out instead would miss real gains: in another image, whose noise was correlated and
  which gains 1.1 dB, nothing was sure (1.6 standard errors).
- **Unusual images.** In each microscopy image by itself the noise is measured too low or too high: told that,
  `gray-small` has 25.75 dB and `noise2noise` ended at 26.24. Told what the differences of the two views show (a gain of
  0.0195 for 0.02, a read noise of 0.0198 for 0.02) it starts at 27.6 and ends at 27.73. On photographs of validation
  with correlated noise, views that are told so begin 0.5 to 1.0 dB higher.
- **An interval matters.** All microscopy images together give a gain of 0.0228 for 0.02, with an interval of 0.010 to
  0.036. Judged at 0.0228 alone, weights that remove more looked better, and `auto` ended at 27.30 dB, below where it
  started. That is why both ends of the interval count.
- **Time.** A run that ends early and keeps the shipped weights takes 6.6 of the 20 processor seconds (`auto` on Set12,
  Gaussian and Poisson-Gaussian, and on microscopy), and keeps the same weights as one that goes on. On a photograph of
  512x512, `train --noisy FILE --objective zero-shot --minutes 3` took 72 seconds of two cores with white noise and 78
  with correlated noise, and kept the shipped weights.
"""


def seconds(options: argparse.Namespace) -> str:
    """What a cell may spend."""
    return f"{60 * options.minutes_per_cell:.0f}"


def wrapped(text: str) -> list[str]:
    """A paragraph as lines."""
    return textwrap.wrap(" ".join(text.split()), 118, break_on_hyphens=False, break_long_words=False)


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
    chosen = {columns[name].title: chosen_objective(cells[name].get(AUTO) or {}) for name in shown}
    return "; ".join(f"{title}: {objective}" for title, objective in chosen.items() if objective)


def chosen_objective(cell: Mapping[str, Any]) -> str:
    """What ``auto`` chose, from what its run said; empty where that was not measured."""
    said = cell.get("said", ())
    return next((line.split()[1].rstrip(",") for line in said if line.startswith("objective: ")), "")


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
    return [
        [f"`auto` at equal time better than {RIVAL} by {BETTER:.0f} dB on each synthetic set", f"lowest {rival}"],
        [
            f"`auto`, adapted from the shipped model, never more than {WORSE} dB below it as it is",
            f"lowest {lowest(cells, shown, [AUTO], AS_IS, columns)}",
        ],
        [
            f"no objective more than {WORSE} dB below the shipped model as it is",
            f"lowest {lowest(cells, shown, (AUTO, *ALONE), AS_IS, columns)}; "
            f"below the bound: {below(cells, shown, columns)}",
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


def lowest(cells: Cells, shown: Sequence[str], methods: Sequence[str], base: str, columns: Mapping[str, Any]) -> str:
    """The smallest gain over `base`, with where it is."""
    found = [
        (gain, method, name)
        for name in shown
        for method in methods
        if (gain := difference(cells, name, method, base)) is not None
    ]
    if not found:
        return UNMEASURED
    gain, method, name = min(found)
    return f"{gain:+.2f} dB ({method}, {columns[name].title})"


def below(cells: Cells, shown: Sequence[str], columns: Mapping[str, Any]) -> str:
    """Where objectives end below the shipped model by more than the goal allows."""
    found = [
        f"{method} on {columns[name].title} {gain:+.2f}"
        for name in shown
        for method in (AUTO, *ALONE)
        if (gain := difference(cells, name, method, AS_IS)) is not None and gain < -WORSE
    ]
    return ", ".join(found) or "none"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]]
