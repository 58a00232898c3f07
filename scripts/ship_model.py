"""Put the best model of a run into the package, with a card that says what matters.

    python scripts/ship_model.py runs/color-small color-small --hours 1.0 --numbers cbsd68.json kodak.json

The numbers come from files that `noiseless evaluate MODEL ... --json FILE` wrote; nothing is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from noiseless import bundle
from noiseless.denoiser import find

LIMITS = {
    "sigma": """\
- It expects white noise of a known level. Noise that is correlated between pixels, as in developed photographs, JPEG
  files and demosaicked raw files, looks like texture to it, and mostly stays.
- Fine texture that is weaker than the noise is smoothed away; the stronger the noise, the more.
- A level told too low leaves noise behind, visibly so from 20% on; one told too high smooths.
- It has seen photographs. On other images (microscopy, scans, drawings) it works, and a fine-tuned model works better.
- It is not a medical device: measure on your own images before a decision depends on a result.""",
    "none": """\
- It has learned the noise of developed photographs: correlated, mostly in brightness. For white noise of a known level
  (raw data, detectors, synthetic tests), a conditioned model is better.
- No real pair of noisy and clean photographs was used: the noise is synthetic, and cameras differ.
- It darkens bright flat areas slightly: by up to half a grey level of 255.
- Very strong noise with large blotches of colour is reduced and not removed.
- It is not a medical device: measure on your own images before a decision depends on a result.""",
}

CARD = """\
# {name}

{what}

## Intended use

{use}

## Data

{data}

Licences of the training images: {licences}. The images themselves are not part of this package.

## Recipe

`noiseless train --recipe {name}` with the images above; the resolved recipe, the versions, the list of images with
their hashes and the training curve are in `train.json`. {steps:,} steps; {hours:.1f} hours in all on one core of a
server processor (AMD EPYC), bf16 mixed precision{start}.

## Numbers

{numbers}

## Limits

{limits}
"""

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


def main() -> None:
    """Parse the command line and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder or a bundle")
    parser.add_argument("name", help="of the shipped model")
    parser.add_argument("--hours", type=float, required=True, help="of training, those of its start included")
    parser.add_argument("--start", default="", help="the model whose weights it started from")
    parser.add_argument("--numbers", type=Path, nargs="*", default=[], help="JSON files of noiseless evaluate")
    arguments = parser.parse_args()
    source = find(arguments.run)
    target = bundle.SHIPPED / arguments.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    _rename(target, arguments.name)
    card = write_card(arguments.name, target, arguments.hours, arguments.start, arguments.numbers)
    (target / bundle.CARD).write_text(card, encoding="utf-8")
    size = sum(path.stat().st_size for path in target.iterdir()) / 1e6
    print(f"{target}: {size:.1f} MB")


def _rename(folder: Path, name: str) -> None:
    path = folder / bundle.CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "name": name}, indent=2) + "\n", encoding="utf-8")
    bundle.read(folder)


def write_card(name: str, folder: Path, hours: float, start: str, numbers: list[Path]) -> str:
    """The model card, Markdown."""
    spec = bundle.read(folder).spec
    train = json.loads((folder / bundle.TRAIN).read_text(encoding="utf-8"))
    kind = "grey" if spec.channels == 1 else "colour"
    licences = ", ".join(sorted(train["data"]["licences"])) or "CC0, CC BY-SA 4.0, Unsplash, Pexels, public domain"
    return CARD.format(
        name=name,
        what=WHAT[spec.conditioning].format(kind=kind),
        use=USE[spec.conditioning],
        data=_data(train),
        licences=licences,
        steps=train["steps"],
        hours=hours,
        start=f", started from {start}" if start else "",
        numbers=_tables(numbers, name) or "Measured in the report of the project's `docs/`.",
        limits=LIMITS[spec.conditioning],
    )


def _data(train: dict[str, Any]) -> str:
    count = len(train["data"]["images"])
    if not count:
        return "Pairs made ahead by `noiseless.data.synthesis` with the noise model `camera` from clean photographs."
    return f"{count} photographs and crops (training and validation), downscaled where they were JPEG files."


def _tables(files: list[Path], name: str) -> str:
    lines = ["| set | noise | noisy PSNR | PSNR (95% interval) | SSIM |", "|---|---|---|---|---|"]
    for path in files:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["model"]: row for row in report["results"]}
        row = rows.get(name) or next(row for model, row in rows.items() if model != "identity")
        before = f"{rows['identity']['psnr']['mean']:.2f}" if "identity" in rows else ""
        psnr = row["psnr"]
        protocol = report["protocol"]
        lines.append(
            f"| {protocol['set']} | {protocol.get('noise') or 'real'} | {before} "
            f"| {psnr['mean']:.2f} ({psnr['low']:.2f} to {psnr['high']:.2f}) | {row['ssim']['mean']:.4f} |"
        )
    if len(lines) == 2:
        return ""
    return "\n".join(
        [*lines, "", "PSNR in dB, mean over images; float input, result clipped to [0, 1], no border cut."]
    )


if __name__ == "__main__":
    main()
