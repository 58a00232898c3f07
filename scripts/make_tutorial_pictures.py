"""Make the pictures of the tutorial in docs/pictures/tutorial from a folder in which the tutorial was followed.

Run: python scripts/make_tutorial_pictures.py FOLDER
where FOLDER holds photos/, pairs/ and runs/ as the commands of docs/tutorial.md leave them.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image as Pillow

import noiseless
from noiseless import baselines
from noiseless.data import samples
from noiseless.evaluation.html import liveliest
from noiseless.evaluation.scenes import to_uint8
from noiseless.metrics import psnr, ssim

mpl.use("agg")

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "tutorial"
GAP = 8
CROP = 112
FACE = (176, 56)
"""Top and left of the kitten's face, a square of `CROP` pixels and some more."""

TONES = {"blue": "#2673c9", "orange": "#d2682a", "green": "#2b9365"}


def main(folder: Path) -> None:
    """Write all pictures; those of measurements print their numbers."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    kitten, osprey, city = (noiseless.read(path).planes()[0] for path in samples("test"))
    noises(kitten)
    same_error(kitten)
    curves(folder / "runs" / "first")
    before_and_after(osprey, folder / "runs" / "first")
    over_fitting({name: folder / "runs" / name for name in ("overfit", "fresh", "more")})
    grain(city, folder / "runs" / "grain")


def noises(clean: np.ndarray) -> None:
    """Clean, three levels of Gaussian noise, few photons."""
    specs = ("gaussian:10", "gaussian:25", "gaussian:50", "poisson:gain=0.02")
    noisy = [noiseless.noise.parse(spec).sample(clean, np.random.default_rng(0)) for spec in specs]
    strip("noise", [cut(each, FACE) for each in (clean, *noisy)])


def same_error(clean: np.ndarray) -> None:
    """Clean, brighter and grainy, the last two with one PSNR."""
    noise = np.random.default_rng(0).normal(0, 0.05, clean.shape).astype(np.float32)
    for name, each in (("brighter", clean + 0.05), ("grainy", clean + noise)):
        print(f"{name}: {psnr(each, clean):.2f} dB, SSIM {ssim(each, clean):.3f}")
    strip("ssim", [cut(each, FACE, 144) for each in (clean, clean + np.float32(0.05), clean + noise)])


def curves(run: Path) -> None:
    """The loss and the validation PSNR of a run."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3), dpi=100)
    line(left, *column(run, "loss"), "blue")
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    line(right, *column(run, "psnr"), "green")
    right.set(xlabel="step", ylabel="validation PSNR, dB")
    chart("curves", figure)


def over_fitting(runs: dict[str, Path]) -> None:
    """Training loss and validation PSNR of three runs."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), dpi=100)
    names = {
        "overfit": "2 pairs, fixed noise",
        "fresh": "2 pictures, fresh noise",
        "more": "8 photographs, fresh noise",
    }
    for (name, run), tone in zip(runs.items(), ("orange", "blue", "green"), strict=True):
        line(left, *smoothed(*column(run, "loss")), tone, names[name])
        steps, values = column(run, "psnr")
        line(right, steps, values, tone, names[name])
        best = int(np.argmax(values))
        print(f"{name}: loss {column(run, 'loss')[1][-5:].mean():.4f}; best {values[best]:.2f} dB at {steps[best]:.0f}")
        print(f"    last {values[-1]:.2f} dB")
    left.set(xlabel="step", ylabel="training loss")
    right.set(xlabel="step", ylabel="validation PSNR, dB")
    right.legend(frameon=False, loc="lower right")
    chart("overfit", figure)


def before_and_after(clean: np.ndarray, run: Path) -> None:
    """Noisy, median, BM3D, a trained model, clean."""
    told = {"noise": "gaussian:25", "channel_axis": 0, "data_range": 1.0}
    noisy = noiseless.noise.parse("gaussian:25").sample(clean, np.random.default_rng(0))
    models = (baselines.load("median"), baselines.load("bm3d"), noiseless.load(run))
    results = [noisy, *(model(noisy, **told) for model in models), clean]
    strip("before-after", [cut(each, lively(clean)) for each in results])


def grain(clean: np.ndarray, run: Path) -> None:
    """With blotchy grain, the model before and after fine-tuning, clean."""
    noise = noiseless.noise.parse("correlated:sigma=0.08,length=1")
    noisy = noise.sample(clean, np.random.default_rng(0))
    models = (noiseless.load("color-small"), noiseless.load(run))
    results = [noisy, *(model(noisy, noise=noise, channel_axis=0, data_range=1.0) for model in models), clean]
    strip("grain", [cut(each, lively(clean)) for each in results])


def column(run: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a column of a run's metrics.csv."""
    with (run / "metrics.csv").open() as file:
        rows = [(float(row["step"]), float(row[name])) for row in csv.DictReader(file) if row[name]]
    steps, values = np.array(rows).T
    return steps, values


def smoothed(steps: np.ndarray, values: np.ndarray, width: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Running means: the loss of single steps jumps about."""
    width = min(width, len(values))
    return steps[width - 1 :], np.convolve(values, np.full(width, 1 / width), mode="valid")


def line(axes: Axes, steps: np.ndarray, values: np.ndarray, tone: str, label: str = "") -> None:
    """One curve."""
    axes.plot(steps, values, color=TONES[tone], label=label, linewidth=1.8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def cut(planes: np.ndarray, place: tuple[int, int], size: int = CROP, zoom: int = 2) -> np.ndarray:
    """A square part of an image, enlarged, as uint8 (H, W, 3)."""
    top, left = place
    part = np.moveaxis(to_uint8(planes[:, top : top + size, left : left + size]), 0, -1)
    return part.repeat(zoom, axis=0).repeat(zoom, axis=1)


def lively(clean: np.ndarray) -> tuple[int, int]:
    """Where an image has most detail."""
    return liveliest(np.moveaxis(clean, 0, -1), CROP)


def strip(name: str, pictures: list[np.ndarray]) -> None:
    """Pictures side by side, with white gaps, as WebP."""
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for each in pictures for part in (each, gap)][:-1]
    Pillow.fromarray(np.concatenate(parts, axis=1)).save(PICTURES / f"{name}.webp", quality=85, method=6)


def chart(name: str, figure: Figure) -> None:
    """A chart as WebP."""
    buffer = io.BytesIO()
    figure.tight_layout()
    figure.savefig(buffer, format="png")
    pyplot.close(figure)
    Pillow.open(buffer).convert("RGB").save(PICTURES / f"{name}.webp", lossless=True, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
