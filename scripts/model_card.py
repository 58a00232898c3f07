"""The card of a shipped model: what it is for, what it learned from, what it measures, what it does badly.

What can be measured on the photographs that ship is measured here: what a wrong noise level costs, and the picture of
the limits. Numbers on test sets come from files that `noiseless evaluate --json` wrote. Nothing is typed by hand.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

import noiseless
from noiseless import bundle
from noiseless.data import samples
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.evaluation.scenes import to_uint8
from noiseless.io import read_pixels
from noiseless.metrics import psnr
from noiseless.noise import Camera, Gaussian

PICTURE = "limits.webp"
SIGMA = 25
SCENE, TOP, LEFT, SIDE = "kitten-on-lawn", 112, 112, 128
"""The part of a photograph that shows the limits: fur and grass."""

LIMITS = {
    "sigma": """\
- It expects white noise of a known level. Noise that is correlated between pixels, as in developed photographs, JPEG
  files and demosaicked raw files, looks like texture to it: told the level of a pixel it leaves most of it; told as
  much more as `noise="auto"` tells it, it takes fine texture away with it (second row).
- Fine texture that is weaker than the noise is smoothed away; the stronger the noise, the more (first row).
- {levels}
- It has seen photographs. On other images (microscopy, scans, drawings) it works, and a fine-tuned model works better.
- It is not a medical device: measure on your own images before a decision depends on a result.""",
    "none": """\
- It has learned the noise of developed photographs: correlated, mostly in brightness. White noise as strong as a raw
  file's or a synthetic test's is reduced and not removed (second row); a conditioned model is better there.
- Strong noise takes fine texture with it (first row).
- Some fine meshes look like noise to the network. What is taken out around a pixel is held to {ceiling:g} times what is
  usual in the image, so that most of a mesh stays; one that fills the image is not protected.
- No real pair of noisy and clean photographs was used: the noise is synthetic, and cameras differ.
- It is not a medical device: measure on your own images before a decision depends on a result.""",
}

SHOWN = {
    "sigma": (Gaussian(sigma=50 / 255), Camera(level=10 / 255)),
    "none": (Camera(level=14 / 255), Gaussian(sigma=25 / 255)),
}
"""The noise of the two rows of the picture."""

CARD = """\
# {name}

{what}

## Intended use

{use}

## Data

{data}

Sources and licences: wallpapers of Budgie (CC0), of elementary OS (CC0, Unsplash, Pexels) and of Pop!_OS (Unsplash,
public domain), and CID22 by Cloudinary (CC BY-SA 4.0). Only some of Budgie's ship with this package, as samples.

## Recipe

{recipe}

## Numbers

{numbers}

## Limits

![Noisy, restored and clean, in two rows](limits.webp)

*From left to right: noisy, restored, clean, enlarged twice. First row: {first}. Second row: {second}.*

{limits}
"""

RECIPE = """\
`noiseless train --recipe {name}` trains such a model, in one run. These weights had {hours:.1f} hours in all, from \
random ones on, on {machine}, bf16 mixed precision{start}. {blend}`train.json` describes {run} ({steps:,} steps, \
{minutes:.0f} minutes): its settings, versions, {images}training curve{others}."""

WHAT = {
    "sigma": "A plain-convolution U-Net for {kind} images with white Gaussian noise, told the noise level; one set of "
    "weights for every level from 0 to 75 (on the 0-255 scale).",
    "none": "A plain-convolution U-Net for developed {kind} photographs, as cameras and phones write them. It works "
    "blind: no noise level is told, and images that are nearly clean stay nearly untouched.",
}
USE = {
    "sigma": "Images whose noise is white, or close to it, with a level that is known or can be estimated.",
    "none": "Noisy photographs in JPEG, WebP, PNG or TIFF that a camera, a phone or a raw developer has processed.",
}
ROWS = {
    "sigma": ("white noise of 50", "the noise of a developed photograph, the level estimated"),
    "none": ("strong noise of a developed photograph", "white noise of 25"),
}


def write_card(name: str, folder: Path, hours: float, machine: str, start: str, numbers: list[Path]) -> None:
    """Write the card and its picture into a bundle.

    Args:
        name: of the model.
        folder: of its bundle.
        hours: of training, those of its start included.
        machine: that trained it, in words.
        start: the model whose weights it started from; empty for none.
        numbers: files of ``noiseless evaluate --json``.
    """
    spec = bundle.read(folder).spec
    train = json.loads((folder / bundle.TRAIN).read_text(encoding="utf-8"))
    denoiser = noiseless.load(folder)
    first, second = ROWS[spec.conditioning]
    card = CARD.format(
        name=name,
        what=WHAT[spec.conditioning].format(kind="grey" if spec.channels == 1 else "colour"),
        use=USE[spec.conditioning],
        data=_data(train),
        recipe=_recipe(name, train, hours, machine, start),
        numbers=_tables(numbers, name) or "Measured in the report of the project's `docs/`.",
        first=first,
        second=second,
        limits=_limits(denoiser),
    )
    (folder / bundle.CARD).write_text(card, encoding="utf-8")
    draw_limits(denoiser, folder / PICTURE)


def _limits(denoiser: noiseless.Denoiser) -> str:
    if denoiser.takes_sigma:
        return LIMITS["sigma"].format(levels=_wrong_levels(denoiser))
    return LIMITS["none"].format(ceiling=denoiser.bundle.ceiling)


def draw_limits(denoiser: noiseless.Denoiser, path: Path) -> None:
    """Two rows of noisy, restored and clean: where the model is at its limits."""
    clean = _photograph(SCENE, denoiser)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    rows = []
    for noise in SHOWN[denoiser.spec.conditioning]:
        noisy = _sampled(noise, clean)
        told = noise if isinstance(noise, Gaussian) else "auto"
        restored = denoiser(noisy, noise=told)
        rows.append(np.concatenate([noisy, restored, clean], axis=1))
    picture = to_uint8(np.concatenate(rows)).repeat(2, axis=0).repeat(2, axis=1)
    PIL.Image.fromarray(picture).save(path, quality=85)


def _sampled(noise: noiseless.noise.Noise, clean: np.ndarray) -> np.ndarray:
    planes = clean[None] if clean.ndim == 2 else np.moveaxis(clean, -1, 0)
    noisy = noise.sample(planes, np.random.default_rng(0))
    return noisy[0] if clean.ndim == 2 else np.moveaxis(noisy, 0, -1)


def _photograph(stem: str, denoiser: noiseless.Denoiser) -> np.ndarray:
    path = next(path for path in samples("test") if path.stem == stem)
    clean = to_channels(as_unit_float(read_pixels(path)), denoiser.spec.channels)
    return clean[0] if denoiser.spec.channels == 1 else np.moveaxis(clean, 0, -1)


def _wrong_levels(denoiser: noiseless.Denoiser) -> str:
    """What a level told wrong costs, as a sentence; mean over the photographs that ship for testing."""
    means = {}
    for told in (0.8 * SIGMA, SIGMA, 1.2 * SIGMA):
        scores = []
        for path in samples("test"):
            clean = _photograph(path.stem, denoiser)
            restored = denoiser(_sampled(Gaussian(sigma=SIGMA / 255), clean), noise=Gaussian(sigma=told / 255))
            scores.append(psnr(np.clip(restored, 0, 1), clean))
        means[told] = float(np.mean(scores))
    low, high = (round(means[SIGMA] - means[share * SIGMA], 1) + 0.0 for share in (0.8, 1.2))
    return (
        f"At {SIGMA}, a level told 20% too low costs {low:.1f} dB, one told 20% too high {high:.1f} dB\n"
        "  (mean over the photographs that ship for testing): the one leaves noise behind, the other smooths."
    )


def _data(train: dict[str, Any]) -> str:
    names = [line.rpartition(" ")[0] for line in train["data"]["images"]]
    if not names:
        return (
            "Pairs made ahead by `noiseless.data.synthesis` with the noise model `camera` from clean photographs that\n"
            "`train.json` does not list. Recipes were chosen on the Canon crops of PolyU; nothing was trained on them."
        )
    crops = [name for name in names if "@" in name]
    photographs = {name.partition("@")[0] for name in crops}
    return (
        f"{len(crops)} crops of {len(photographs)} photographs, downscaled where they were JPEG files; to validate on, "
        f"{len(names) - len(crops)}\ncrops of photographs of CLIC 2025 (Unsplash)."
    )


def _recipe(name: str, train: dict[str, Any], hours: float, machine: str, start: str) -> str:
    """How the weights came about, in lines of 118 characters."""
    shares = parts(train["recipe"], train.get("blended"))
    of_each = [f"{share:.3g} of one of {recipe['minutes']:g} minutes" for share, recipe in shares]
    blended = len(shares) > 1
    blend = f"They are a blend of the weights of {len(shares)} runs: {', '.join(of_each[:-1])} and {of_each[-1]}. "
    text = RECIPE.format(
        name=name,
        hours=hours,
        machine=machine,
        start=f", started from {start}" if start else "",
        blend=blend if blended else "",
        run="the first of these" if blended else "the last run",
        steps=train["steps"],
        minutes=train["seconds"] / 60,
        images="images with their hashes, " if train["data"]["images"] else "",
        others="; and the settings of the others" if blended else "",
    )
    return textwrap.fill(text, 118, break_on_hyphens=False, break_long_words=False)


def parts(recipe: dict[str, Any], blended: dict[str, Any] | None) -> list[tuple[float, dict[str, Any]]]:
    """The shares of a model's weights that came from each run, with its settings; see scripts/blend_models.py."""
    if blended is None:
        return [(1.0, recipe)]
    share = blended["share"]
    second, first = parts(recipe, blended.get("second")), parts(blended["with"], blended.get("first"))
    return [(share * part, of) for part, of in second] + [((1 - share) * part, of) for part, of in first]


def _tables(files: list[Path], name: str) -> str:
    lines = ["| set | noise | noisy PSNR | PSNR (95% interval) | SSIM |", "|---|---|---|---|---|"]
    for path in files:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["model"]: row for row in report["results"]}
        row = rows.get(name) or next(row for model, row in rows.items() if model != "identity")
        before = f"{rows['identity']['psnr']['mean']:.2f}" if "identity" in rows else ""
        psnr_row, protocol = row["psnr"], report["protocol"]
        lines.append(
            f"| {path.stem if protocol.get('noise') is None else protocol['set']} | {protocol.get('noise') or 'real'} "
            f"| {before} | {psnr_row['mean']:.2f} ({psnr_row['low']:.2f} to {psnr_row['high']:.2f}) "
            f"| {row['ssim']['mean']:.4f} |"
        )
        values = "float input" if protocol["quantisation"] == "none" else "8-bit input and output"
    if len(lines) == 2:
        return ""
    return "\n".join([*lines, "", f"PSNR in dB, mean over images; {values}, result clipped to [0, 1], no border cut."])
