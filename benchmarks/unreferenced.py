"""How near the truth the PSNR is that `noiseless evaluate --noisy` estimates without clean images: a Markdown table.

Photographs, reduced by 2 where they are large, whose own noise is below half a grey level: crops from their centres,
and whole ones (512x512 to 1024x753); noise is drawn anew for each, float, or clipped and rounded to 8 bits. The noise
is given, measured in each image alone, or measured together in folders of eight. NOISELESS_DATA names the folder of the
images, which are not part of the project.

Run: python benchmarks/unreferenced.py -o docs/unreferenced.md   (some ten minutes of one core)
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import noiseless
from noiseless.calibration import noise_level
from noiseless.data import NoisyImages
from noiseless.evaluation import Estimate, estimate
from noiseless.noise import parse

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LARGE, OWN_NOISE, FOLDER = 1024, 0.5 / 255, 8
SIZES = {"192x192": (192, 24), "384x384": (384, 16), "whole": (None, 8)}
"""Side of the crops in pixels, and how many images, spread over all."""

EVERY = {"validation/clic2025/*.webp": 1, "train/cid22/*.webp": 9}
SPECS = ("gaussian:5", "gaussian:15", "gaussian:50", "poisson-gaussian:gain=0.003,read=0.02")
WORDS = ("given", "measured in each", "measured together")
"""What is known of the noise. Large images are not measured together, and whole ones have the last two kinds of noise
only, so that it does not take hours."""

LIMITS = """\
## Why they are not nearer

**By chance the noise of an image is a little stronger or weaker than its variance says**, and Stein's formula takes the
difference for error. At sigma 50, one percent of the variance is a quarter of the error of a good denoiser. A small
shipped model finds out most of that difference, from what it leaves of the noise in fine detail and in differences of
colour. What it leaves in coarse brightness looks like picture, and stays. Grey images have no differences of colour, so
estimates of them are further off.

**By chance the noise resembles the error.** Told the exact strength of the noise in each 192x192 crop, Stein's formula
is still off by 0.25 dB (root mean square) at sigma 50. Other ways to compute it change nothing: one random direction or
three, changes of a tenth or a fiftieth of the noise, to one side or to both.

**Only more pixels help** against both. Smooth images need most of them, since their error is smallest.

**Noise that is measured is not known exactly.** The same small model finds out most of that, too. The interval counts
all of the above.

**In 8 bits, what was clipped is unknown.** Its mean stands in for it; where photons are counted, noise is skewed, and
clipping is taken to begin half a step before the last value. The darker or brighter a picture, and the stronger its
noise, the wider that makes the interval.

## Where nothing is said

No estimate is made for what `denoise` takes for a developed photograph (camera raw, and most 8-bit colour, AVIF and
HEIC), whatever noise calibration finds in it: its strength is a guess. Of every second Canon crop of PolyU (28),
calibration calls the noise of 20 faint and finds none in 4. In the other 4, estimates were 11 dB too high or more, and
no interval held the truth."""


def images(side: int | None, count: int) -> list[np.ndarray]:
    """Centres (3, side, side) of photographs, or whole ones, (3, H, W) in [0, 1]."""
    found = []
    for pattern, every in EVERY.items():
        for path in sorted(DATA.glob(pattern))[::every]:
            planes = noiseless.read(path).planes()[0]
            if min(planes.shape[1:]) > LARGE:
                height, width = (size // 2 * 2 for size in planes.shape[1:])
                planes = planes[:, :height, :width].reshape(3, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
            if side:
                top, left = ((size - side) // 2 for size in planes.shape[1:])
                planes = np.ascontiguousarray(planes[:, top : top + side, left : left + side])
            if noise_level(planes).max() < OWN_NOISE:
                found.append(planes)
    if len(found) < count:
        raise SystemExit(f"too few images in {DATA}: set NOISELESS_DATA")
    return [found[place] for place in np.linspace(0, len(found) - 1, count).astype(int)]


def estimated(model: str, files: list[Path], clean: list[np.ndarray], noise: str) -> list[tuple[float, bool]]:
    """Of each image: estimated less true PSNR, and whether the interval holds the true one."""
    found = []

    def watch(_: str, made: Estimate, noisy: np.ndarray, restored: np.ndarray) -> None:
        truth = -10 * np.log10(np.mean((restored - clean[int(Path(made.name).stem)]) ** 2))
        found.append((made.psnr - truth, made.low <= truth <= made.high))

    estimate(model, NoisyImages.find([str(path) for path in files]), noise=noise, watch=watch)
    return found


def row(model: str, files: list[Path], clean: list[np.ndarray], noise: str, together: int) -> list[str]:
    """Cells of the table, of files of which so many are told to the estimate at once."""
    folders = [files[first : first + together] for first in range(0, len(files), together)]
    found = [each for folder in folders for each in estimated(model, folder, clean, noise)]
    off, held = np.array([each for each, _ in found]), [each for _, each in found]
    close = np.abs(off)
    return [
        str(len(found)),
        f"{np.median(close):.2f}",
        f"{np.mean(close <= 0.3):.0%}",
        f"{np.mean(held):.0%}",
    ]


def rows(model: str, size: str) -> Iterator[list[str]]:
    """The rows of the table for images of one size."""
    clean = images(*SIZES[size])
    small, whole = size == next(iter(SIZES)), SIZES[size][0] is None
    for spec, stored in itertools.product(SPECS[-2:] if whole else SPECS, ("float", "8 bits")):
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number:02}.tif" for number in range(len(clean))]
            for seed, (path, image) in enumerate(zip(files, clean, strict=True)):
                noisy = np.moveaxis(parse(spec).sample(image, np.random.default_rng(seed)), 0, 2)
                kept = noisy if stored == "float" else np.rint(noisy.clip(0, 1) * 255).astype(np.uint8)
                noiseless.write(path, noiseless.Image.from_array(kept))
            for words in WORDS if small else WORDS[:2]:
                together = 1 if words == WORDS[1] else FOLDER
                noise = spec if words == WORDS[0] else "auto"
                yield [size, spec, stored, words, *row(model, files, clean, noise, together)]


def page(model: str, sizes: Sequence[str]) -> str:
    """All of it, as Markdown."""
    head = ["size", "noise", "stored as", "which is", "images"]
    head += ["off by, dB, median", "within 0.3 dB", "interval holds"]
    found = [each for size in sizes for each in rows(model, size)]
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *found]]
    how = (__doc__ or "").split("\n\n")[1]
    made = f"Made by `python benchmarks/unreferenced.py -o docs/unreferenced.md`, with the model {model}."
    parts = ["# How near estimates without clean images are", answer(found), "## How it was measured", made, how]
    return "\n\n".join([*parts, "## Results", COLUMNS, "\n".join(lines), LIMITS]) + "\n"


COLUMNS = """\
"Off by" is the difference between estimated and true PSNR, without its sign; "interval holds" is the share of images
whose 95% interval holds the true PSNR."""


def answer(found: Sequence[Sequence[str]]) -> str:
    """What the page answers, with the figures of its table."""
    medians = {spec: [row[5] for row in found if row[1] == spec] for spec in SPECS}
    listed = "; ".join(f"`{spec}` {min(of)} to {max(of)} dB" for spec, of in medians.items() if of)
    close, held = ([int(row[column].rstrip("%")) for row in found] for column in (6, 7))
    return textwrap.fill(
        "`noiseless evaluate --noisy` estimates the PSNR of a denoiser from noisy images alone. How far from the true "
        f"PSNR is that? Half of the estimates are off by less than this (lowest and highest row of the table): {listed}"
        f". {min(close)}% to {max(close)}% of them are within 0.3 dB. The 95% interval that is printed beside each "
        f"held the true value for {min(held)}% to {max(held)}% of the images: rely on the interval rather than on the "
        "number. Larger images give nearer estimates on the whole. Of photographs as cameras develop them nothing is "
        "estimated, see the end of this page.",
        118,
        break_on_hyphens=False,
        break_long_words=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="color-small")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=[*SIZES])
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    text = page(options.model, options.sizes)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
