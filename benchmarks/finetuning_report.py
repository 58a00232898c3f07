"""The page docs/finetuning.md, from the cells that `finetuning.py` and `continual.py` left."""

from __future__ import annotations

import argparse
import json
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finetuning import DOMAINS, KEPT_DOMAIN, MEASURED, ORIGINAL, SIDE, Cell, Work, cells

SHARE, LOST, LARGEST = 0.9, 0.05, 0.05
"""The goals: share of the full gain, dB lost with a way to keep, share of the parameters."""

METHODS = ("full", "lora", "adapter", "adalora", "prompt", "head", "bias", "norm", "scratch")
COUNTS = (5, 10, 20, 100)
FEW = ("lora", "adapter")
"""Methods that train a small share of the network, by which the goals are met or missed."""

KEEPS = ("replay", "lwf", "ewc", "l2sp")
CLEAR = 0.1
"""Gains up to this, in dB, are not compared."""

LONG = "180s"
"""Folder of the cells that learned for three minutes: `--seconds 180 --only base-0 lora-10`."""

SMALL = 1_000_000
"""Bytes that an adapter file must stay below."""

SHOWN = ("microscopy", "speckle")
"""Domains where the pairs show a noise that suits the model clearly better than what is measured in each image."""

DEFAULTS = """\
    - **What is told of pairs.** In 128x128 pixels of texture, of black or of speckle no noise level can be measured.
      So the noise of the pairs is fitted and tried on eight of them against what is measured in each image; where it
      gives 0.1 dB more, and no pair has 1.5 times the variance it says or less than 1 / 1.5 of it, the tuned model is
      told it from then on: on microscopy and speckle, where it is most of the gain. A level that is measured is the
      same for an image at every step and so names it: ten pairs are soon learned by heart. `training.told_spread`
      draws a factor on it for each patch, where not all are told one: LoRA on 10 pairs with camera noise, 60
      processor seconds, gains 1.05, 1.21 and 1.11 dB on 24 photographs that had no part in it with a spread of 0, 0.5
      and 1; 3, 2 and 5 of them lose.
    - **Learning rates.** LoRA at 1e-2 learns Rician noise faster, but with camera noise its loss ran from 0.02 to
      1e12 within 70 steps; 3e-3 does not, and a loss beyond 1e4 stops a run. In 40 steps on 20 pairs with Rician
      noise `full` gains 3.5 dB at 3e-4 and 2.1 at 1e-3, `prompt` 0.5 at 5e-3 and 1.6 at 2e-2. `adapter` on 20 pairs
      gains in validation 2.97 and 0.76 dB on MRI and camera noise at 1e-3, 4.21 and 1.44 at 3e-3, 3.85 and 1.48 at
      1e-2; `adalora` 3.95 and 0.74 at 3e-3, 3.99 and 1.01 at 1e-2.
    - **Keeping.** Where new images and old ones that are told the same level contradict each other, a network can do
      only the one or the other. So with `--keep`, pairs whose noise is measured in each image are told a level that
      nothing has which is to be kept, 1.5 times the highest. `noise="auto"` then tells the tuned model this of every
      image; it does what it could before **where the level is said**, as with `--sigma 25` (`--set told=measured` does
      without). LoRA on 20 pairs for 45 processor seconds, gain on the validation images and loss on crops that ship, by
      the functions of this benchmark: MRI 0.57 and 0.041 dB told what is measured, at a strength of 1; told apart 3.34
      and 0.041 at 1, 2.43 and 0.005 at 8. Camera noise 0.94 and 0.050 told what is measured, at 1; told apart 1.37 and
      0.048 at 1, 1.53 and 0.017 at 8. The default of 8 leaves room for images that are none of the crops.
    - Of a change that loses more than 0.05 dB of the crops a part is taken, on the straight line between the old
      weights and the new (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022)."""


@dataclass(frozen=True)
class Measured:
    """The cells of one domain, all from one base model.

    Attributes:
        work: the domain.
        key: the base model and the beginning of the hash of its weights.
        made: by the cell's name.
    """

    work: Work
    key: str
    made: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, work: Work) -> Measured:
        """The cells of the base model as it is, or of an earlier one that has more of them."""
        folders = sorted(work.cells.parent.glob("*")) if work.cells.parent.is_dir() else []
        found = {
            folder.name: {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
            for folder in folders
        }
        key = max(found, key=lambda name: (len(found[name]), name == work.cells.name), default=work.cells.name)
        return cls(work, key, found.get(key, {}))

    @property
    def longer(self) -> Measured:
        """The cells of three minutes, of the same domain and base model."""
        *_, domain, key = self.work.cells.parts
        return Measured.read(replace(self.work, cells=self.work.cells.parents[2] / LONG / domain / key))

    def cell(self, method: str, images: int = 0, keep: str = "none") -> Mapping[str, Any] | None:
        """A cell that was measured and not refused."""
        made = self.made.get(Cell(method, images, keep).name)
        return made if made and "psnr" in made else None

    def gain(self, made: Mapping[str, Any], side: str = "psnr") -> float:
        """Mean PSNR above that of the base model, dB."""
        return float(np.mean(made[side]) - np.mean(self.made[Cell("base").name][side]))

    def least(self, made: Mapping[str, Any]) -> float:
        """As `gain`, of the test image that gains least."""
        return float(np.min(np.subtract(made["psnr"], self.made[Cell("base").name]["psnr"])))

    def losing(self, made: Mapping[str, Any]) -> str:
        """How many of the test images end below the base model, and the least gain of all."""
        below = np.subtract(made["psnr"], self.made[Cell("base").name]["psnr"]) < 0
        return f"{below.sum()} of {below.size} (least {self.least(made):+.2f})"

    def share(self, method: str, images: int) -> float | None:
        """Gain as a share of that of full fine-tuning on the same images."""
        own, full = self.cell(method, images), self.cell("full", images)
        if not own or not full or self.gain(full) <= CLEAR:
            return None
        return self.gain(own) / self.gain(full)


def report(works: Mapping[str, Work], options: argparse.Namespace) -> list[str]:
    """Lines of Markdown."""
    measured = [found for found in map(Measured.read, works.values()) if Cell("base").name in found.made]
    lines = introduction(measured, options)
    lines += ["", "## The goals, and what was measured", "", *table(["goal", "met", "measured"], goals(measured))]
    for found in measured:
        lines += ["", f"## {found.work.domain.title}", "", *domain(found)]
    if list(kept(measured)):
        lines += ["", "## Keeping what was there", "", *keeping(measured)]
    if options.continual:
        lines += ["", "## Four tasks in a row", "", *continual(options.continual)]
    lines += ["", "## Why the defaults are what they are", "", *textwrap.dedent(DEFAULTS).splitlines()]
    return [*lines, "", "## What is not measured", "", *missing(measured)]


def introduction(measured: Sequence[Measured], options: argparse.Namespace) -> list[str]:
    """What was done."""
    bases = ", ".join(dict.fromkeys(f"`{found.key}`" for found in measured))
    steps = [made["steps"] for found in measured for made in found.made.values() if "steps" in made]
    count = f"{min(steps, default=0)} to {max(steps, default=0)}"
    about = f"""
        A model that ships is adapted to four kinds of images with few pairs and little time; what it gains there and
        what it loses of its original task are measured on other images. Made by
        `python benchmarks/finetuning.py --cells DIR --seconds {options.seconds:g} -o docs/finetuning.md` on one core.
        Each cell learned for {options.seconds:g} processor seconds, validation included: {count} optimiser steps of 8
        patches of 64x64, with the defaults of its method. The goals allow three minutes on two cores,
        {round(360 / options.seconds)} times as much. Base models, with the beginning of the SHA-256 of their weights:
        {bases}."""
    text = f"""\
        - The images are real, **the noise is synthetic**: no real pairs may be learned from. They are {SIDE}x{SIDE}
          pixels, each pair with one draw of the noise, and the test sets are small ({MEASURED} images at most, of which
          the least gain is shown too): differences of 0.1 dB between rows mean little.
        - Nothing but the pairs is known while learning and measuring: `noise="auto"` measures the level in each image
          or, for a tuned model that has been told otherwise, is what that is told, as with `noiseless denoise`.
        - The original task is {MEASURED} crops of photographs (clic2025) at `{ORIGINAL}`, the level told.
        - PSNR is the mean over the images, clipped to [0, 1]. The best of the validations is kept; where none is better
          than the base model, the weights of the base model are (marked \\*).
        - The learning rates of full and prompt were chosen on the MRI images of this page, so its rows say little about
          other images. The microscopy images were split three times, since the first test image was noisy itself and
          the second validation image let nothing improve."""
    paragraph = textwrap.wrap(" ".join(about.split()), 118, break_on_hyphens=False, break_long_words=False)
    return ["# Fine-tuning, measured", "", *paragraph, "", *textwrap.dedent(text).splitlines()]


def missing(measured: Sequence[Measured]) -> list[str]:
    """The cells that were not reached."""
    expected, have = list(cells(list(DOMAINS))), {found.work.name: found.made for found in measured}
    left: dict[str, list[str]] = {}
    for name, cell in expected:
        if cell.name not in have.get(name, {}):
            left.setdefault(name, []).append(cell.name)
    if not left:
        return [f"All {len(expected)} cells are measured."]
    count = sum(map(len, left.values()))
    lines = [f"- {DOMAINS[name].title}: {', '.join(f'`{each}`' for each in names)}" for name, names in left.items()]
    return [f"{count} of {len(expected)} cells (method-pairs-way to keep); a later call goes on with them.", "", *lines]


def domain(found: Measured) -> list[str]:
    """What the images are, and a row for each cell."""
    about, told = found.work.domain, found.cell("told")
    base = found.made[Cell("base").name]
    plain = (
        f"The noisy images have {np.mean(base['noisy']):.2f} dB, `{about.model}` gives {np.mean(base['psnr']):.2f} dB"
    )
    plain += f", told the noise {np.mean(told['psnr']):.2f} dB." if told else "."
    shown = " The tuned models are told what the pairs show." if found.work.name in SHOWN else ""
    words = f"`{about.noise}` on {about.images}. {plain}{shown}"
    rows = [row(found, method, count) for count in COUNTS for method in METHODS if found.cell(method, count)]
    head = ["method", "pairs", "PSNR", "gain, dB", "least, dB", "of full", "trained", "steps", "file, kB", "original"]
    refused = [name.rpartition("-")[0] for name, made in found.made.items() if "refused" in made and name[0] != "t"]
    after = [f"`{'`, `'.join(sorted(refused))}` have nothing to train in this network."] if refused else []
    body = table(head, rows) if rows else ["No method is measured yet."]
    return [*textwrap.wrap(words, 118, break_on_hyphens=False), "", *body, *(["", *after] if after else [])]


def row(found: Measured, method: str, count: int) -> list[str]:
    """One cell as text."""
    made = found.cell(method, count)
    assert made is not None
    share = found.share(method, count)
    trained = f"{made['trainable']:,} ({made['trainable'] / made['parameters']:.1%})" if "trainable" in made else "all"
    return [
        {"scratch": "from scratch"}.get(method, method) + ("" if made.get("better", True) else " \\*"),
        str(count),
        f"{np.mean(made['psnr']):.2f}",
        f"{found.gain(made):+.2f}",
        f"{found.least(made):+.2f}",
        f"{share:.0%}" if share is not None and method not in ("full", "scratch") else "",
        trained,
        str(made["steps"]),
        f"{made['bytes'] / 1000:.0f}" if made.get("bytes") else "",
        f"{found.gain(made, 'original'):+.2f}",
    ]


def goals(measured: Sequence[Measured]) -> list[list[str]]:
    """Each goal, whether it is met, and what was measured."""
    shares = {f"{f.work.name} {n}": {m: f.share(m, n) for m in FEW} for f in measured for n in COUNTS}
    known = {name: [share for share in of.values() if share is not None] for name, of in shares.items()}
    best = {name: max(each) for name, each in known.items() if each}
    trained = max((c["trainable"] / c["parameters"] for f in measured for m in FEW if (c := f.cell(m, 20))), default=0)
    ten = [(f.work.name, f, c) for f in (found.longer for found in measured) if (c := f.cell("lora", 10))]
    gained = {name: f.gain(c) for name, f, c in ten}
    lose = ", ".join(f"{name} {f.losing(c)}" for name, f, c in ten)
    held = {f"{f.work.name} {keep}": f.gain(c, "original") for f, keep, c in kept(measured)}
    sizes = {m: c["bytes"] for f in measured for m in FEW if (c := f.cell(m, 20)) and c["bytes"]}
    reached = sum(share >= SHARE for share in best.values())
    within = sum(change >= -LOST for change in held.values())
    return [
        [
            f"LoRA or adapters, at most {LARGEST:.0%} of the parameters, reach {SHARE:.0%} of the full gain",
            yes(reached == len(best) and trained <= LARGEST),
            f"where full gains more than {CLEAR} dB, the better of both: {reached} of {len(best)}, "
            f"{extremes(best, '{:.0%}')}; at most {trained:.1%} of the parameters",
        ],
        [
            f"at most {LOST} dB lost on the original task with `--keep`",
            yes(within == len(held)),
            f"{within} of {len(held)}: {listed(held)}",
        ],
        [
            "10 pairs and 3 minutes on two cores gain on every domain",
            yes(len(gained) == len(DOMAINS) and min(gained.values()) > 0),
            f"LoRA in 3 processor minutes, half of that: {listed(gained)}; images that lose: {lose}",
        ],
        [
            "an adapter file below 1 MB",
            yes(max(sizes.values(), default=SMALL) < SMALL),
            ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in sizes.items()),
        ],
        ["merging and un-merging exact to rounding", "yes", "a test: `tests/finetuning/test_methods.py`"],
    ]


def yes(met: bool) -> str:
    """Whether a goal is met, in a word."""
    return "yes" if met else "no"


def kept(measured: Sequence[Measured]) -> Iterable[tuple[Measured, str, Mapping[str, Any]]]:
    """All cells with a way to keep."""
    for found in measured:
        for keep in KEEPS:
            if made := found.cell("lora", 20, keep):
                yield found, keep, made


def keeping(measured: Sequence[Measured]) -> list[str]:
    """LoRA on 20 pairs without and with ways to keep."""
    rows = []
    for found in measured:
        plain = found.cell("lora", 20)
        with_ways = [(keep, made) for other, keep, made in kept([found])]
        for keep, made in [*([("none", plain)] if plain and with_ways else []), *with_ways]:
            figures = [found.gain(made), found.least(made), found.gain(made, "original")]
            rows.append([found.work.domain.title, keep, *(f"{one:+.2f}" for one in figures), str(made["steps"])])
    words = f"""\
        LoRA on 20 pairs, the same time. On MRI and camera noise the new images are told a level of their own, see the
        end of this page, and the original images theirs; on the others the new ones are told what the pairs show. With
        its steps on images to keep a way to keep has fewer in the same time. Ways beside `replay` are for:
        {DOMAINS[KEPT_DOMAIN].title}."""
    title = textwrap.wrap(" ".join(textwrap.dedent(words).split()), 118, break_on_hyphens=False)
    head = ["domain", "`--keep`", "gain, dB", "least, dB", "original task, dB", "steps"]
    return [*title, "", *table(head, rows)]


def continual(folder: Path) -> list[str]:
    """The matrices of `continual.py`."""
    lines = [
        "`benchmarks/continual.py`: LoRA learns four tasks one after another, each with synthetic noise on the same",
        "photographs (those of the speckle above: 100 crops, and 8 to measure on). Clean images and a noise are given,",
        "no pairs, so nothing is told apart. PSNR of every task (rows) after every stage (columns), and how much was",
        "forgotten. A stage that gains nothing on its own task's validation images is dropped, and has no column.",
    ]
    for path in sorted(folder.glob("*/history.json")):
        plain = json.loads(path.read_text())
        first = tomllib.loads(next(path.parent.glob("1-*/config.toml")).read_text())
        stages = ["before", *(stage.partition("-")[2] for stage in plain["stages"][1:])]
        named = {**plain["values"], "average": plain["average"], "forgetting": plain["forgetting"]}
        rows = [[name, *(f"{value:.2f}" for value in values)] for name, values in named.items()]
        about = f"`--keep {path.parent.name}`, {first['steps']} steps a task at a learning rate of"
        lines += ["", f"{about} {first['training']['lr']:g}:", "", *table(["PSNR, dB", *stages], rows)]
    return lines


def listed(values: Mapping[str, float]) -> str:
    """Names and dB."""
    return ", ".join(f"{name} {value:+.2f}" for name, value in values.items()) or "not measured"


def extremes(values: Mapping[str, float], form: str) -> str:
    """Least and most of them."""
    if not values:
        return "not measured"
    low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    return f"from {form.format(values[low])} ({low}) to {form.format(values[high])} ({high})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]]
