"""How right calibration is, on natural images with known noise: Markdown tables.

Images are the centres of photographs, reduced by 2 where they are large, whose own noise is below half a grey level.
Noise is drawn anew for each image; the input is float, neither clipped nor rounded, or as a file stores it (clipped to
[0, 1], 8 bits). Errors are relative, and medians over the images; "90%" is what nine in ten of them stay below. The
error of the curve is that of the noise's standard deviation, averaged over brightness 0.05 to 0.95. Gain and read noise
count where both make up a tenth of the variance somewhere between the 1st and the 99th percentile of the clean image.
NOISELESS_DATA names the folder of the images, which are not part of the project.

Run: python benchmarks/calibration.py -o docs/calibration.md   (all of it, some eight minutes of one core)
     python benchmarks/calibration.py [--images 24] [--stored] [--set validation]
     python benchmarks/calibration.py --crops   (what textured crops are called, and what that costs)
     python benchmarks/calibration.py --photographs   (what a conditioned model gains on the Canon crops of PolyU)
"""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import noiseless
from noiseless.calibration import Calibration, examine_planes, noise_level
from noiseless.data import samples
from noiseless.metrics import psnr
from noiseless.noise import parse
from noiseless.noise.chain import Chain

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SETS = {
    "development": ("train/cid22/*.webp", "validation/clic2025/*.webp"),
    "validation": ("validation/clic2025/*.webp",),
    "cbsd68": ("benchmark/cbsd68/*.png",),
}
SIDE, LARGE, OWN_NOISE = 512, 1024, 0.5 / 255
GAINS, READS = (0.001, 0.003, 0.01, 0.03), (0.005, 0.01, 0.02, 0.05)
SIGMAS = (5, 10, 15, 25, 50)
CORRELATED = tuple(f"correlated:sigma={sigma},length={length}" for sigma in (0.02, 0.04) for length in (0.7, 1, 1.5, 3))
VALUES = np.linspace(0.05, 0.95, 46)
LEVELS = (5.0, 10.0, 15.0, 20.0, 25.0)
CROP, TRIED, TAKEN, SCALES = 192, 12, 2, (2, 3)
CROP_SIGMAS = (0, 2, 5, 10, 25)
SHIPPED, SHIPPED_SIGMAS = 256, (0, 2)
MODELS = {1: "gray-small", 3: "color-small"}
FUR = ("kitten-on-lawn", 112, 128)
"""A photograph that ships, the first row and column of a part that is all fur, and its side."""


def images(name: str, count: int) -> list[np.ndarray]:
    """Green channels, (1, H, W), in [0, 1]."""
    found: list[np.ndarray] = []
    for pattern in SETS[name]:
        files = sorted(DATA.glob(pattern))
        for path in files[:: max(1, len(files) * len(SETS[name]) // (count * 2))]:
            plane = noiseless.read(path).planes()[0, 1:2]
            if min(plane.shape[1:]) > LARGE:
                plane = (
                    plane[:, :-1:2, :-1:2] + plane[:, 1::2, :-1:2] + plane[:, :-1:2, 1::2] + plane[:, 1::2, 1::2]
                ) / 4
            top, left = (max(0, (size - SIDE) // 2) for size in plane.shape[1:])
            plane = np.ascontiguousarray(plane[:, top : top + SIDE, left : left + SIDE])
            if noise_level(plane)[0] < OWN_NOISE:
                found.append(plane)
    if not found:
        raise SystemExit(f"no image in {DATA}: set NOISELESS_DATA")
    return [found[place] for place in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]


def examined(clean: Sequence[np.ndarray], spec: str, stored: bool) -> Iterator[tuple[np.ndarray, Calibration]]:
    """Each clean image and what calibration finds in it with this noise."""
    for seed, plane in enumerate(clean):
        noisy = parse(spec).sample(plane, np.random.default_rng(seed + 1))
        if stored:
            noisy = _as_stored(noisy)
        yield plane, examine_planes([noisy])


def sigma_at(found: Calibration, values: np.ndarray) -> np.ndarray:
    """Standard deviation that the returned model predicts at these values."""
    noise = found.noise.parts[0] if isinstance(found.noise, Chain) else found.noise
    sigma: np.ndarray = np.sqrt(noise.variance(values[None, None].astype(np.float32)))[0, 0]
    return sigma


def grid(clean: Sequence[np.ndarray], stored: bool) -> list[list[str]]:
    """Poisson-Gaussian noise: errors of curve, gain and read, how often it is called correlated, how often intervals
    hold the truth.
    """
    rows, covered = [], []
    for gain in GAINS:
        for read in READS:
            truth = np.sqrt(gain * VALUES + read**2)
            curves, gains, reads, wrong, inside = [], [], [], [], []
            for plane, found in examined(clean, f"poisson-gaussian:gain={gain},read={read}", stored):
                channel = found.channels[0]
                wrong.append(found.kind == "correlated")
                curves.append(np.mean(np.abs(sigma_at(found, VALUES) / truth - 1)))
                dark, bright = np.quantile(plane, [0.01, 0.99])
                if gain * bright >= 0.1 * (gain * bright + read**2) and read**2 >= 0.1 * (gain * dark + read**2):
                    gains.append(abs(channel.gain / gain - 1))
                    reads.append(abs(channel.read / read - 1))
                for point in channel.curve[2:-1:4]:
                    known = np.sqrt(gain * point.value + read**2)
                    inside.append(point.interval[0] <= known <= point.interval[1])
            covered.extend(inside)
            pair = [f"{np.median(each):.1%}" if each else "" for each in (gains, reads)]
            worst = f"{np.quantile(curves, 0.9):.1%}"
            rows.append(
                [
                    f"{gain:g}",
                    f"{read:g}",
                    f"{np.median(curves):.1%}",
                    worst,
                    *pair,
                    f"{len(gains)}",
                    f"{np.mean(wrong):.0%}",
                    f"{np.mean(inside):.0%}",
                ]
            )
    return [*rows, ["all", "", "", "", "", "", "", "", f"{np.mean(covered):.0%}"]]


def levels(clean: Sequence[np.ndarray], stored: bool) -> list[list[str]]:
    """Gaussian noise: error of the level, how often it is called white, and how often the interval holds the truth."""
    rows = []
    for sigma in SIGMAS:
        found = [each for _, each in examined(clean, f"gaussian:{sigma}", stored)]
        errors = [abs(each.channels[0].sigma * 255 / sigma - 1) for each in found]
        wrong = np.mean([each.kind == "correlated" for each in found])
        ends = np.array([each.channels[0].sigma_interval for each in found]) * 255
        held = np.mean((ends[:, 0] <= sigma) & (sigma <= ends[:, 1]))
        rows.append(
            [f"{sigma}", f"{np.median(errors):.1%}", f"{np.quantile(errors, 0.9):.1%}", f"{wrong:.0%}", f"{held:.0%}"]
        )
    return rows


def correlated(clean: Sequence[np.ndarray], stored: bool) -> list[list[str]]:
    """Correlated noise: how often it is recognised, errors of level and length."""
    rows = []
    for spec in CORRELATED:
        truth = parse(spec).to_dict()
        found = [each for _, each in examined(clean, spec, stored)]
        right = np.mean([each.kind == "correlated" for each in found])
        sigma = np.median([abs(each.channels[0].sigma / truth["sigma"] - 1) for each in found])
        length = np.median([abs(each.channels[0].length / truth["length"] - 1) for each in found])
        ends = np.array([each.channels[0].sigma_interval for each in found])
        held = np.mean((ends[:, 0] <= truth["sigma"]) & (truth["sigma"] <= ends[:, 1]))
        rows.append([spec, f"{right:.1%}", f"{sigma:.0%}", f"{length:.0%}", f"{held:.0%}"])
    return rows


def photographs(model: str, every: int) -> list[list[str]]:
    """Gain in dB of a conditioned model told what calibration finds, and fixed levels, on the Canon crops of PolyU."""
    denoiser, gains = noiseless.load(model), []
    for path in sorted((DATA / "benchmark" / "polyu100").glob("Canon*_real.*"))[::every]:
        clean = noiseless.read(path.with_name(path.name.replace("_real", "_mean"))).array
        noisy = noiseless.read(path).array
        told = [noiseless.calibrate(noisy), *(f"gaussian:{level:g}" for level in LEVELS)]
        results = [noisy, *(denoiser(noisy, noise=each) for each in told)]
        before, *after = (psnr(_planes(each), _planes(clean), data_range=255.0) for each in results)
        gains.append([each - before for each in after])
    mean = np.mean(gains, axis=0)
    rows = [[f"{len(gains)} crops, calibrated", f"{mean[0]:+.2f}", f"{mean[0] / mean[1:].max():.0%}"]]
    return rows + [
        [f"level {level:g}", f"{gain:+.2f}", f"{gain / mean[1:].max():.0%}"]
        for level, gain in zip(LEVELS, mean[1:], strict=True)
    ]


def _planes(array: np.ndarray) -> np.ndarray:
    return np.asarray(np.moveaxis(array, -1, 0))


def fur() -> np.ndarray:
    """(3, H, W), in [0, 1]."""
    name, first, side = FUR
    plane = noiseless.read(next(path for path in samples("test") if path.stem == name)).planes()[0]
    return plane[:3, first : first + side, first : first + side]


def textured_crops() -> list[np.ndarray]:
    """The crops with the least flat area, (3, CROP, CROP) each, of the photographs of validation made smaller."""
    found, generator = [fur()], np.random.default_rng(0)
    for path in sorted(DATA.glob(SETS["validation"][0])):
        full = noiseless.read(path).planes()[0][:3]
        for scale in SCALES:
            height, width = (size // scale for size in full.shape[1:])
            small = full[:, : height * scale, : width * scale].reshape(3, height, scale, width, scale).mean((2, 4))
            places = [[int(generator.integers(0, size - CROP + 1)) for size in (height, width)] for _ in range(TRIED)]
            crops = [small[:, top : top + CROP, left : left + CROP] for top, left in places]
            found += sorted(crops, key=_liveliness)[-TAKEN:]
    return [_as_stored(crop) for crop in found]


def _liveliness(crop: np.ndarray) -> float:
    """Standard deviation that nine in ten of the blocks of 16x16 pixels exceed."""
    blocks = crop[1].reshape(CROP // 16, 16, CROP // 16, 16)
    return float(np.quantile(blocks.std(axis=(1, 3)), 0.1))


def _as_stored(planes: np.ndarray) -> np.ndarray:
    """Clipped to [0, 1] and rounded to 8 bits."""
    return np.asarray(np.rint(np.clip(planes, 0, 1) * 255) / 255, np.float32)


def crop_rows(channels: int) -> list[list[str]]:
    """How often textured crops with white noise are called correlated, and the loss of auto against told, in dB."""
    denoiser, rows = noiseless.load(MODELS[channels]), []
    crops = [crop if channels == 3 else _as_stored(crop.mean(axis=0, keepdims=True)) for crop in textured_crops()]
    for sigma in CROP_SIGMAS:
        called, scores = [], []
        for seed, clean in enumerate(crops):
            noise = np.random.default_rng(seed).standard_normal(clean.shape, np.float32) * (sigma / 255)
            noisy = _as_stored(clean + noise)
            called.append(examine_planes([noisy]).kind == "correlated")
            image = noisy[0] if channels == 1 else np.moveaxis(noisy, 0, -1)
            results = [denoiser(image, noise=told) for told in (f"gaussian:{max(sigma, 0.01)}", "auto")]
            planes = [each[None] if channels == 1 else _planes(each) for each in results]
            scores.append([min(psnr(np.clip(each, 0, 1), clean), 60.0) for each in planes])
        told, auto = np.array(scores).T
        loss = told - auto
        cells = [
            f"{told.mean():.2f}",
            f"{auto.mean():.2f}",
            f"{auto.min():.1f}",
            f"{loss.mean():.2f}",
            f"{loss.max():.2f}",
        ]
        rows.append([MODELS[channels], f"{sigma}", f"{np.mean(called):.0%}", *cells])
    return rows


def of_crops() -> str:
    """The table of what textured crops are called, and what that costs."""
    head = ["model", "sigma", "called correlated", "told", "auto", "auto, lowest", "loss", "loss, worst"]
    how = (
        "What does it cost that `auto` must tell noise from fine texture? PSNR in dB (at most 60) of results told the "
        f'true level of white noise, and with `noise="auto"`, in 8 bits, on crops of {CROP} pixels: those with the '
        "least flat area of the photographs of validation, reduced by 2 and by 3, and the fur of the model cards. At a "
        "sigma of 0 the picture is clean, and all that is lost is texture taken for noise.\n\n"
        "The rules were found on crops like these. On others: of 293 grey crops of 256 pixels of photographs of "
        "training, in 8 bits as they are, 37 were called correlated. Of 332 clean crops of other images (CLIC 2025 "
        "reduced by 2 to 4, CBSD68, grass, gravel, brick) 21 are. Where blocks have directions or are skewed, as "
        "texture is, a network is told less noise than is seen: `gray-small` so leaves these 21 at 40.3 dB, 37.5 if "
        "told all. With correlated noise of 5 and a length of 1, the 40 most textured come out at 32.2 instead of "
        "30.3 dB, none of them worse."
    )
    return f"## Textured crops\n\n{how}\n\n{table(head, [*crop_rows(1), *crop_rows(3)])}"


def of_shipped() -> str:
    """The table of what the clean photographs that ship are called, and what noise="auto" costs on them."""
    denoiser, rows = noiseless.load(MODELS[3]), []
    paths = [path for part in ("train", "validation", "test") for path in samples(part)]
    for sigma in SHIPPED_SIGMAS:
        called, scores = [], []
        for path in paths:
            clean = noiseless.read(path).planes()[0][:3, :SHIPPED, :SHIPPED]
            noise = np.random.default_rng(1).standard_normal(clean.shape).astype(np.float32) * (sigma / 255)
            noisy = _as_stored(clean + noise)
            called.append(examine_planes([noisy]).kind == "correlated")
            image = np.moveaxis(noisy, 0, -1)
            results = [denoiser(image, noise=told) for told in (f"gaussian:{sigma or 0.01}", "auto")]
            scores.append([min(psnr(np.clip(_planes(each), 0, 1), clean), 60.0) for each in results])
        told, auto = np.array(scores).T
        cells = [f"{told.mean():.2f}", f"{auto.mean():.2f}", f"{auto.min():.1f}", f"{(told - auto).max():.2f}"]
        rows.append([f"{sigma}", f"{np.mean(called):.0%}", *cells])
    how = (
        f"The same for {MODELS[3]} on the first {SHIPPED} pixels of each of the {len(paths)} photographs without noise "
        "that ship, in 8 bits."
    )
    head = ["sigma", "called correlated", "told", "auto", "auto, lowest", "loss, worst"]
    return f"## Clean photographs\n\n{how}\n\n{table(head, rows)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def goals(rows: Sequence[list[list[str]]]) -> list[list[str]]:
    """The goals beside the worst cell of the tables `grid`, `levels` and `correlated`."""
    of_grid, of_levels, of_correlated = rows
    return [
        ["standard deviation over brightness, worst median", "10%", _worst(of_grid[:-1], 2)],
        ["gain, worst median", "15%", _worst(of_grid[:-1], 4)],
        ["read noise, worst median", "15%", _worst(of_grid[:-1], 5)],
        ["Gaussian level, worst median", "5%", _worst(of_levels, 1)],
        ["Gaussian noise called correlated, mean", "at most 5%", _mean(of_levels, 3)],
        ["Poisson-Gaussian noise called correlated, mean", "at most 5%", _mean(of_grid[:-1], 7)],
        ["correlated noise recognised, mean", "at least 95%", _mean(of_correlated, 1)],
        ["intervals of the curve that hold the truth", "95%", of_grid[-1][-1]],
        ["intervals of the Gaussian level that hold it", "95%", _mean(of_levels, 4)],
    ]


def _percents(rows: Sequence[Sequence[str]], column: int) -> list[float]:
    return [float(row[column].rstrip("%")) for row in rows if row[column]]


def _worst(rows: Sequence[Sequence[str]], column: int) -> str:
    return f"{max(_percents(rows, column)):.1f}%"


def _mean(rows: Sequence[Sequence[str]], column: int) -> str:
    return f"{np.mean(_percents(rows, column)):.1f}%"


def of_known_noise(name: str, count: int, stored: bool) -> tuple[str, list[str]]:
    """The tables of one set of images; and what was measured of each of the goals, and of the worst curves."""
    clean = images(name, count)
    rows = [measure(clean, stored) for measure in (grid, levels, correlated)]
    heads = [
        [
            *("gain", "read", "curve", "curve, 90%", "gain error", "read error", "images of both"),
            *("called correlated", "interval holds"),
        ],
        ["sigma", "error", "error, 90%", "called correlated", "interval holds"],
        ["noise", "recognised", "sigma error", "length error", "interval holds"],
    ]
    reached = goals(rows)
    tables = [table(["goal", "is", "measured"], reached), *map(table, heads, rows)]
    title = f"## {len(clean)} images of {name}, {'8 bits, clipped' if stored else 'float, not clipped'}"
    return "\n\n".join([title, *tables]), [*(measured for *_, measured in reached), _worst(rows[0][:-1], 3)]


def of_textures() -> str:
    """The table of what textures that leave nothing flat are called, with white noise and without."""
    rows = []
    textures = {"fur": _as_stored(fur().mean(axis=0, keepdims=True))}
    for name in ("grass", "gravel", "brick"):
        textures[name] = noiseless.read(DATA / "fixtures" / "skimage" / f"{name}.png").planes()[0, :1]
    for name, clean in textures.items():
        specs = [f"gaussian:{sigma}" for sigma in SIGMAS]
        kinds = [
            examine_planes([clean]).kind,
            *(found.kind for spec in specs for _, found in examined([clean], spec, True)),
        ]
        rows.append([name, *kinds])
    head = ["texture", "as it is", *(f"sigma {sigma}" for sigma in SIGMAS)]
    return f"## What textures are called, 8 bits\n\n{table(head, rows)}"


def of_photographs(model: str, every: int) -> str:
    """The table of what a model gains on real noise."""
    told = table(["told", "gain dB", "of the best level"], photographs(model, every))
    how = (
        "Real camera noise, told what `calibrate` finds in each crop or one fixed level for all, on one crop in "
        f"{every}. Goal: 75% of what the best fixed level gains, which nobody knows beforehand."
    )
    return f"## {model} on Canon crops of PolyU\n\n{how}\n\n{told}"


def answer(reached: Sequence[Sequence[str]]) -> str:
    """What the page answers, with the figures of its tables: of the goals on each of three sets of images."""
    curve, gain, read, level, white, photons, recognised, _, _, tail = (
        " / ".join(each) for each in zip(*reached, strict=True)
    )
    paragraphs = (
        "`noiseless calibrate` measures the noise of an image in the image itself. How far can that be trusted? Errors "
        "below are the worst medians over all strengths of noise, on photographs that the rules were developed on, "
        "float / the same, 8 bits / CBSD68, which they were not developed on, float.",
        f"- **How strong the noise is: well.** Standard deviation at each brightness {curve}; level of Gaussian noise "
        f"{level}. In single images it can be far off: nine in ten curves are right to {tail}.",
        f"- **How it splits into gain and read noise: less well.** Gain {gain}; read noise {read}. Where one of the "
        "two outweighs the other, or the file has 8 bits, trust their sum, which is the curve.",
        f"- **Of which kind it is: mostly.** White noise called correlated {white} (Gaussian) and {photons} "
        f"(Poisson-Gaussian); correlated noise recognised {recognised}; its level and length are further off "
        "(third table of each set). Pictures that are fine texture all over are mistaken most (Textured crops).",
    )
    marks = ("  " if each.startswith("- ") else "" for each in paragraphs)
    filled = (
        textwrap.fill(each, 118, subsequent_indent=mark, break_on_hyphens=False, break_long_words=False)
        for each, mark in zip(paragraphs, marks, strict=True)
    )
    first, *points = filled
    return "\n".join([first, "", *points])


def page(options: argparse.Namespace) -> str:
    """All of it, as Markdown."""
    made = "## How it was measured\n\nMade by `python benchmarks/calibration.py -o docs/calibration.md`."
    how = (__doc__ or "").split("\n\n")[1]
    sets = (("development", False), ("development", True), ("cbsd68", False))
    known = [of_known_noise(name, options.images, stored) for name, stored in sets]
    parts = [
        "# How right calibration is",
        answer([reached for _, reached in known]),
        made,
        how,
        *(text for text, _ in known),
        of_textures(),
        of_crops(),
        of_shipped(),
        of_photographs(options.model, max(options.every, 2)),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--set", choices=SETS, default="development")
    parser.add_argument("--stored", action="store_true", help="clipped and rounded to 8 bits")
    parser.add_argument("--photographs", action="store_true", help="the Canon crops of PolyU instead")
    parser.add_argument("--crops", action="store_true", help="textured crops instead")
    parser.add_argument("--model", default="color-small")
    parser.add_argument("--every", type=int, default=1, help="every so many of the crops")
    parser.add_argument("-o", "--output", type=Path, help="a page of all of it, Markdown")
    options = parser.parse_args()
    if options.output:
        options.output.write_text(page(options), encoding="utf-8")
    elif options.crops:
        print(of_crops())
    elif options.photographs:
        print(of_photographs(options.model, options.every))
    else:
        print(of_known_noise(options.set, options.images, options.stored)[0])


if __name__ == "__main__":
    main()
