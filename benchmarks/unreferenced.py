"""How near the truth the PSNR is that `noiseless evaluate --noisy` estimates without clean images: a Markdown table.

Crops of 192x192 pixels from the centres of photographs, reduced by 2 where they are large, whose own noise is below
half a grey level; noise is drawn anew for each, float, or clipped and rounded to 8 bits. The noise is given, measured
in each crop alone, or measured together in folders of eight crops. NOISELESS_DATA names the folder of the images, which
are not part of the project.

Run: python benchmarks/unreferenced.py -o docs/unreferenced.md   (some six minutes of one core)
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from pathlib import Path

import numpy as np

import noiseless
from noiseless.calibration import noise_level
from noiseless.data import NoisyImages
from noiseless.evaluation import Estimate, estimate
from noiseless.noise import parse

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SIDE, LARGE, OWN_NOISE, FOLDER = 192, 1024, 0.5 / 255, 8
EVERY = {"validation/clic2025/*.webp": 1, "train/cid22/*.webp": 9}
SPECS = ("gaussian:5", "gaussian:15", "gaussian:50", "poisson-gaussian:gain=0.003,read=0.02")

LIMITS = """\
What is left, once the noise is given: by chance the noise of a crop is a little stronger or weaker than its variance
says, which Stein's formula takes for error. At sigma 50 one percent of the variance is a quarter of the error of a good
denoiser. A small shipped model tells most of that by what it leaves of the noise in fine detail and in differences of
colour; what it leaves in coarse luminance looks like picture, and stays. Measured noise adds what is not known of its
level, of which the same model tells most. The interval counts both. Grey images have no differences of colour, and are
further off.

In 8 bits what was clipped is not known and stands in by its mean. The darker a picture, and the stronger the noise, the
wider that makes the interval."""


def crops() -> list[np.ndarray]:
    """Crops (3, SIDE, SIDE) in [0, 1], as many as fill folders."""
    found = []
    for pattern, every in EVERY.items():
        for path in sorted(DATA.glob(pattern))[::every]:
            planes = noiseless.read(path).planes()[0]
            if min(planes.shape[1:]) > LARGE:
                height, width = (size // 2 * 2 for size in planes.shape[1:])
                planes = planes[:, :height, :width].reshape(3, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
            top, left = ((size - SIDE) // 2 for size in planes.shape[1:])
            crop = np.ascontiguousarray(planes[:, top : top + SIDE, left : left + SIDE])
            if noise_level(crop).max() < OWN_NOISE:
                found.append(crop)
    if not found:
        raise SystemExit(f"no image in {DATA}: set NOISELESS_DATA")
    return found[: len(found) // FOLDER * FOLDER]


def estimated(model: str, files: list[Path], clean: list[np.ndarray], noise: str) -> list[tuple[float, bool]]:
    """Of each image: estimated less true PSNR, and whether the interval holds the true one."""
    found = []

    def watch(_: str, made: Estimate, noisy: np.ndarray, restored: np.ndarray) -> None:
        truth = -10 * np.log10(np.mean((restored - clean[int(Path(made.name).stem)]) ** 2))
        found.append((made.psnr - truth, made.low <= truth <= made.high))

    estimate(model, NoisyImages.find([str(path) for path in files]), noise=noise, watch=watch)
    return found


def row(model: str, files: list[Path], clean: list[np.ndarray], spec: str, stored: str, words: str) -> list[str]:
    """A row of the table."""
    size = {"given": len(files), "measured in each": 1, "measured together": FOLDER}[words]
    folders = [files[first : first + size] for first in range(0, len(files), size)]
    noise = spec if words == "given" else "auto"
    found = [each for folder in folders for each in estimated(model, folder, clean, noise)]
    off, held = np.array([each for each, _ in found]), [each for _, each in found]
    means = [f"{np.median(np.abs(off)):.2f}", f"{np.mean(np.abs(off) <= 0.3):.0%}", f"{np.mean(held):.0%}"]
    return [spec, stored, words, str(len(found)), *means]


def page(model: str) -> str:
    """All of it, as Markdown."""
    clean, rows = crops(), []
    for spec, stored in itertools.product(SPECS, ("float", "8 bits")):
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{number:02}.tif" for number in range(len(clean))]
            for seed, (path, crop) in enumerate(zip(files, clean, strict=True)):
                noisy = np.moveaxis(parse(spec).sample(crop, np.random.default_rng(seed)), 0, 2)
                image = noisy if stored == "float" else np.rint(noisy.clip(0, 1) * 255).astype(np.uint8)
                noiseless.write(path, noiseless.Image.from_array(image))
            rows += [
                row(model, files, clean, spec, stored, words)
                for words in ("given", "measured in each", "measured together")
            ]
    head = ["noise", "stored as", "which is", "crops", "off by, dB, median", "within 0.3 dB", "interval holds"]
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]
    how = (__doc__ or "").split("\n\n")[1].replace("\n", " ")
    made = f"Made by `python benchmarks/unreferenced.py -o docs/unreferenced.md`, model {model}."
    return "\n\n".join(["# How near estimates without clean images are", made, how, "\n".join(lines), LIMITS]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="color-small")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    text = page(options.model)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
