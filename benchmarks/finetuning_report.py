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
    - **What a tuned model is told.** A model for white noise must be told how strong the noise is. In 128x128 pixels of
      texture, of black or of speckle that cannot be measured, but pairs show it. So a noise model is fitted to the
      pairs and tried on eight of them, against what is measured in each image. Where it gives 0.1 dB more, and no pair
      has 1.5 times the variance that it says or less than 1 / 1.5 of it, the tuned model is told it from then on. On
      microscopy and speckle that is most of the gain.
    - **A level that varies.** A measured level is the same for an image at every step and so gives the image away: ten
      pairs are soon learned by heart. `training.told_spread`, 0.5 by default, multiplies it by a random factor for each
      patch, unless all images are told one level. LoRA on 10 pairs with camera noise, 60 processor seconds, gains 1.05,
      1.21 and 1.11 dB on 24 photographs that had no part in it with a spread of 0, 0.5 and 1; 3, 2 and 5 of them lose.
    - **Learning rates.** LoRA at 1e-2 learns Rician noise faster, but with camera noise its loss ran from 0.02 to
      1e12 within 70 steps. At the default of 3e-3 it does not; a loss beyond 1e4 stops a run. In 40 steps on 20 pairs
      with Rician noise `full` gains 3.5 dB at 3e-4 (the default) and 2.1 at 1e-3, `prompt` 0.5 at 5e-3 and 1.6 at 2e-2
      (the default). For the next two, gains in validation on 20 pairs with MRI and with camera noise: `adapter` 2.97
      and 0.76 dB at 1e-3, 4.21 and 1.44 at 3e-3 (the default), 3.85 and 1.48 at 1e-2; `adalora` 3.95 and 0.74 at 3e-3,
      3.99 and 1.01 at 1e-2 (the default).
    - **With `--keep`, new images have a level of their own.** If new and old images are told the same level but need
      different treatment, a network can do only the one or the other. So with `--keep`, pairs whose noise is measured
      in each image are told a level that nothing to be kept has: 1.5 times the highest. The tuned model tells itself
      this level of every image by default (`noise="auto"`). **It does what it could before where you say the level**,
      as with `--sigma 25`. `--set told=measured` turns this off.
    - **How strongly `--keep` holds.** LoRA on 20 pairs for 45 processor seconds; gain on the validation images, and
      loss on the crops of photographs that ship for this:

      | noise | the new images are told | strength | gain, dB | loss, dB |
      | --- | --- | ---: | ---: | ---: |
      | MRI | what is measured | 1 | 0.57 | 0.041 |
      | MRI | a level of their own | 1 | 3.34 | 0.041 |
      | MRI | a level of their own | 8 | 2.43 | 0.005 |
      | camera | what is measured | 1 | 0.94 | 0.050 |
      | camera | a level of their own | 1 | 1.37 | 0.048 |
      | camera | a level of their own | 8 | 1.53 | 0.017 |

      The default of 8 (for `replay`) leaves room for images that are unlike these crops.
    - **No more is lost than allowed.** If a change loses more than 0.05 dB on these crops (`keep.most_lost`), a part of
      it is taken, on the straight line between the old weights and the new (Wortsman et al., "Robust fine-tuning of
      zero-shot models", 2022)."""


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


def answer(measured: Sequence[Measured], seconds: float) -> list[str]:
    """What the page answers, with the figures of its tables."""
    shares = [share for f in measured for n in COUNTS for m in FEW if (share := f.share(m, n)) is not None]
    ten = {f.work.name: f.gain(c) for f in (found.longer for found in measured) if (c := f.cell("lora", 10))}
    most = ", ".join(f"{best(f)} on {f.work.name}" for f in measured)
    free, held = ([f.gain(c, "original") for f in measured if (c := f.cell("lora", 20, k))] for k in ("none", "replay"))
    about = f"""
        How much does a shipped model gain from a few pairs of noisy and clean images, and what does it forget? LoRA,
        the default, with 10 pairs and 3 processor minutes, gains in dB: {listed(ten)}. LoRA and adapters train at most
        {trained(measured):.1%} of the numbers and reach {min(shares, default=0):.0%} to {max(shares, default=0):.0%}
        of what training all of them gains. With 20 pairs and {seconds:g} seconds, most is gained by {most}.
        Single images may lose all the same: see the columns "least"."""
    memory = f"""
        What it could do before, it forgets: after LoRA on 20 pairs, Gaussian noise of 25 is restored
        {-max(free, default=0):.2f} to {-min(free, default=0):.2f} dB worse. With `--keep replay` that is at most
        {-min(held, default=0):.2f} dB, and less is gained on some of the new images (see below). So use `--keep` where
        the tuned model shall still serve other images, and leave it out where it need not."""
    return [*wrapped(about), "", *wrapped(memory)]


def best(found: Measured) -> str:
    """The method that gains most on 20 pairs."""
    gains = {method: found.gain(made) for method in METHODS if (made := found.cell(method, 20))}
    method = max(gains, key=gains.__getitem__, default="")
    return f"`{method}` ({gains[method]:+.2f} dB)" if method else "nothing measured"


def trained(measured: Sequence[Measured]) -> float:
    """The largest share of the numbers that the methods of `FEW` train."""
    return max((c["trainable"] / c["parameters"] for f in measured for m in FEW if (c := f.cell(m, 20))), default=0)


def wrapped(text: str) -> list[str]:
    """A paragraph as lines."""
    return textwrap.wrap(" ".join(text.split()), 118, break_on_hyphens=False, break_long_words=False)


def introduction(measured: Sequence[Measured], options: argparse.Namespace) -> list[str]:
    """What came out, and what was done."""
    bases = ", ".join(dict.fromkeys(f"`{found.key}`" for found in measured))
    older = any(found.key != found.work.cells.name for found in measured)
    steps = [made["steps"] for found in measured for made in found.made.values() if "steps" in made]
    count = f"{min(steps, default=0)} to {max(steps, default=0)}"
    made = f"""
        Made by `python benchmarks/finetuning.py --cells DIR --seconds {options.seconds:g} -o docs/finetuning.md` on one
        core. Each cell learned for {options.seconds:g} processor seconds, validation included: {count} optimiser steps
        of 8 patches of 64x64, with the defaults of its method. The goals allow three minutes on two cores,
        {round(360 / options.seconds)} times as much. Base models, with the beginning of the SHA-256 of their weights:
        {bases}."""
    made += " They are earlier than the models that ship now, which were not measured here." if older else ""
    text = f"""\
        - The images are real, **the noise is synthetic**: no real pairs may be learned from. They are {SIDE}x{SIDE}
          pixels, each pair with one draw of the noise, and the test sets are small ({MEASURED} images at most; the
          column "least" is the image that gains least): differences of 0.1 dB between rows mean little.
        - Nothing but the pairs is known while learning and measuring: `noise="auto"` measures the level in each image,
          or tells a tuned model what it has been set to be told, as with `noiseless denoise`.
        - The original task, in the last column, is {MEASURED} crops of photographs (clic2025) at `{ORIGINAL}`, the
          level told.
        - PSNR is the mean over the images, clipped to [0, 1]. The best of the validations is kept; where none is better
          than the base model, its weights are (marked \\*). A file of 1 kB holds no weights: there all of the gain is
          from the noise that the pairs show and the model is told.
        - The learning rates of full and prompt were chosen on the MRI images of this page, so its rows say little about
          other images. The microscopy images were split three times, since the first test image was noisy itself and
          the second validation image let nothing improve."""
    lines = ["# Fine-tuning, measured", "", *answer(measured, options.seconds)]
    return [*lines, "", "## How it was measured", "", *wrapped(made), "", *textwrap.dedent(text).splitlines()]


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
    numbers = f"{made['trainable']:,} ({made['trainable'] / made['parameters']:.1%})" if "trainable" in made else "all"
    return [
        {"scratch": "from scratch"}.get(method, method) + ("" if made.get("better", True) else " \\*"),
        str(count),
        f"{np.mean(made['psnr']):.2f}",
        f"{found.gain(made):+.2f}",
        f"{found.least(made):+.2f}",
        f"{share:.0%}" if share is not None and method not in ("full", "scratch") else "",
        numbers,
        str(made["steps"]),
        f"{made['bytes'] / 1000:.0f}" if made.get("bytes") else "",
        f"{found.gain(made, 'original'):+.2f}",
    ]


def goals(measured: Sequence[Measured]) -> list[list[str]]:
    """Each goal, whether it is met, and what was measured."""
    shares = {f"{f.work.name} {n}": {m: f.share(m, n) for m in FEW} for f in measured for n in COUNTS}
    known = {name: [share for share in of.values() if share is not None] for name, of in shares.items()}
    best = {name: max(each) for name, each in known.items() if each}
    largest = trained(measured)
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
            yes(reached == len(best) and largest <= LARGEST),
            f"where full gains more than {CLEAR} dB, the better of both: {reached} of {len(best)}, "
            f"{extremes(best, '{:.0%}')}; at most {largest:.1%} of the parameters",
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
    words = f"""
        LoRA on 20 pairs, the same time; a way to keep spends some of it on the images to keep, so it takes fewer steps.
        On MRI and camera noise the new images are told a level of their own (see the end of this page) and the original
        images theirs; on the others the new ones are told what the pairs show. All ways to keep are compared on one
        domain: {DOMAINS[KEPT_DOMAIN].title}."""
    head = ["domain", "`--keep`", "gain, dB", "least, dB", "original task, dB", "steps"]
    return [*wrapped(words), "", *table(head, rows)]


def continual(folder: Path) -> list[str]:
    """The matrices of `continual.py`."""
    words = """
        `benchmarks/continual.py`: LoRA learns four tasks one after another, each with synthetic noise on the same
        photographs (those of the speckle above: 100 crops, and 8 to measure on). Clean images and a noise are given, no
        pairs, so no task has a level of its own. The tables show PSNR of every task (rows) after every stage (columns).
        Forgetting is how far, on average, a task has fallen below its best so far. A stage that gains nothing on its
        own task's validation images is dropped, and has no column."""
    lines = wrapped(words)
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
