"""The page docs/finetuning.md, from the cells that `finetuning.py` and `continual.py` left."""

from __future__ import annotations

import argparse
import json
import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetuning import DOMAINS, KEPT_DOMAIN, ORIGINAL, SIDE, Cell, Work, cells

SHARE, LOST, LARGEST = 0.9, 0.05, 0.05
"""The goals: share of the full gain, dB lost with a way to keep, share of the parameters."""

METHODS = ("full", "lora", "adapter", "adalora", "prompt", "head", "bias", "norm", "scratch")
COUNTS = (5, 10, 20, 100)


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

    def cell(self, method: str, images: int = 0, keep: str = "none") -> Mapping[str, Any] | None:
        """A cell that was measured and not refused."""
        made = self.made.get(Cell(method, images, keep).name)
        return made if made and "psnr" in made else None

    def gain(self, made: Mapping[str, Any], side: str = "psnr") -> float:
        """Mean PSNR above that of the base model, dB."""
        return float(np.mean(made[side]) - np.mean(self.made[Cell("base").name][side]))

    def share(self, method: str, images: int) -> float | None:
        """Gain as a share of that of full fine-tuning on the same images."""
        own, full = self.cell(method, images), self.cell("full", images)
        if not own or not full or self.gain(full) <= 0:
            return None
        return self.gain(own) / self.gain(full)


def report(works: Mapping[str, Work], options: argparse.Namespace) -> list[str]:
    """Lines of Markdown."""
    measured = [found for found in map(Measured.read, works.values()) if Cell("base").name in found.made]
    lines = introduction(measured, options)
    lines += ["", "## The goals, and what was measured", "", *table(["goal", "measured"], goals(measured))]
    for found in measured:
        lines += ["", f"## {found.work.domain.title}", "", *domain(found)]
    if list(kept(measured)):
        lines += ["", "## Keeping what was there", "", *keeping(measured)]
    if options.continual:
        lines += ["", "## Four tasks in a row", "", *continual(options.continual)]
    return lines


def introduction(measured: Sequence[Measured], options: argparse.Namespace) -> list[str]:
    """What was done."""
    expected = sum(1 for _ in cells(list(DOMAINS)))
    have = sum(len(found.made) for found in measured)
    bases = ", ".join(dict.fromkeys(f"`{found.key}`" for found in measured))
    steps = [made["steps"] for found in measured for made in found.made.values() if "steps" in made]
    text = f"""\
        Made by `python benchmarks/finetuning.py --cells DIR --seconds {options.seconds:g} -o docs/finetuning.md`. Each
        cell learned for {options.seconds:g} processor seconds of one core, validation included ({min(steps, default=0)}
        to {max(steps, default=0)} optimiser steps of 8 patches of 64x64), with the defaults of its method;
        {have} of {expected} cells are measured, a later call goes on with the others. Base models, with the beginning
        of the SHA-256 of their weights: {bases}.

        The images are real, **the noise is synthetic**: no real pairs may be learned from. Images are {SIDE}x{SIDE}
        pixels; each pair has one draw of the noise. Nothing but the pairs is known while learning and measuring:
        `noise="auto"` measures the level in each image or, for a model that was tuned where that is clearly worse, is
        what the pairs showed, as with `noiseless denoise`. The original task is eight
        crops of photographs (clic2025) at `{ORIGINAL}`, the level told. PSNR is the mean over the images, clipped to
        [0, 1]. The best of the validations is kept; where none is better than the base model, the base model is
        (marked \\*). With so short a budget the figures are a lower bound of what the command reaches in minutes.

        Two things flatter or hurt some rows. The learning rates of full and prompt were chosen on the MRI images of
        this page, so its rows say little about other images. The microscopy images were split three times, since the
        first test image was noisy itself and the second validation image let nothing improve."""
    return ["# Fine-tuning, measured", "", *textwrap.dedent(text).splitlines()]


def domain(found: Measured) -> list[str]:
    """What the images are, and a row for each cell."""
    about, told = found.work.domain, found.cell("told")
    base = found.made[Cell("base").name]
    plain = (
        f"The noisy images have {np.mean(base['noisy']):.2f} dB, `{about.model}` gives {np.mean(base['psnr']):.2f} dB"
    )
    plain += f", told the noise {np.mean(told['psnr']):.2f} dB." if told else "."
    words = f"`{about.noise}` on {about.images}. {plain}"
    rows = [row(found, method, count) for count in COUNTS for method in METHODS if found.cell(method, count)]
    head = ["method", "pairs", "PSNR", "gain, dB", "of full", "trained", "steps", "seconds", "file, kB", "original, dB"]
    refused = [name.rpartition("-")[0] for name, made in found.made.items() if "refused" in made and name[0] != "t"]
    after = [f"`{'`, `'.join(sorted(refused))}` have nothing to train in this network."] if refused else []
    shown = table(head, rows) if rows else ["No method is measured yet."]
    return [*textwrap.wrap(words, 118, break_on_hyphens=False), "", *shown, *(["", *after] if after else [])]


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
        f"{share:.0%}" if share is not None and method not in ("full", "scratch") else "",
        trained,
        str(made["steps"]),
        f"{made['seconds']:.0f}",
        f"{made['bytes'] / 1000:.0f}" if made.get("bytes") else "",
        f"{found.gain(made, 'original'):+.2f}",
    ]


def goals(measured: Sequence[Measured]) -> list[list[str]]:
    """Each goal, and what was measured."""
    few = ("lora", "adapter")
    shares = {f"{found.work.name} {m} {n}": found.share(m, n) for found in measured for m in few for n in COUNTS}
    known = {name: share for name, share in shares.items() if share is not None}
    ten = {f.work.name: f.gain(c) for f in measured if (c := f.cell("lora", 10))}
    lost = {f"{f.work.name} {k}": f.gain(c, "original") for f, k, c in kept(measured) if k in ("replay", "lwf")}
    sizes = {m: c["bytes"] for f in measured for m in few if (c := f.cell(m, 20)) and c["bytes"]}
    reached = sum(share >= SHARE for share in known.values())
    held = sum(change >= -LOST for change in lost.values())
    return [
        [
            f"LoRA or adapters, at most {LARGEST:.0%} of the parameters, reach {SHARE:.0%} of the full gain",
            f"{reached} of {len(known)} cells; {extremes(known, '{:.0%}')}",
        ],
        [f"at most {LOST} dB lost on the original task with `--keep`", f"{held} of {len(lost)}; {listed(lost)}"],
        ["10 pairs and 3 minutes gain on every domain", f"LoRA at the budget above: {listed(ten)}"],
        ["an adapter file below 1 MB", ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in sizes.items())],
        ["merging and un-merging exact to rounding", "a test: `tests/finetuning/test_methods.py`"],
    ]


def kept(measured: Sequence[Measured]) -> Iterable[tuple[Measured, str, Mapping[str, Any]]]:
    """All cells with a way to keep."""
    for found in measured:
        for keep in ("replay", "lwf", "ewc", "l2sp"):
            if made := found.cell("lora", 20, keep):
                yield found, keep, made


def keeping(measured: Sequence[Measured]) -> list[str]:
    """LoRA on 20 pairs without and with ways to keep."""
    rows = []
    for found in measured:
        plain = found.cell("lora", 20)
        with_ways = [(keep, made) for other, keep, made in kept([found])]
        for keep, made in [*([("none", plain)] if plain and with_ways else []), *with_ways]:
            cells = [f"{found.gain(made, side):+.2f}" for side in ("psnr", "original")]
            rows.append([found.work.domain.title, keep, *cells, str(made["steps"])])
    words = f"LoRA on 20 pairs, the same time; all ways are compared on: {DOMAINS[KEPT_DOMAIN].title}."
    held = "Of a change that loses more than 0.05 dB of crops that ship with the package, a part is taken."
    return [
        words,
        held,
        "",
        *table(["domain", "`--keep`", "gain, dB", "original task, dB", "steps"], rows),
    ]


def continual(folder: Path) -> list[str]:
    """The matrices of `continual.py`."""
    lines = [
        "`benchmarks/continual.py`: LoRA learns four tasks one after another, each with synthetic noise on the same",
        "photographs; PSNR of every task (rows) after every stage (columns), and how much was forgotten. A stage that",
        "gains nothing on its own task's validation images is dropped, and has no column.",
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
