"""Learning without clean images: each method on the same images in the same processor time, docs/self_supervised.md.

Every column is a small set of crops: Set12 and CBSD68 with white, signal-dependent and correlated noise, PolyU with the
noise of its cameras, and microscopy scaled down by two (so that little of its own noise is left) with signal-dependent
noise. Every objective of `noiseless train --noisy` learns on the noisy crops alone, with the defaults of the command,
and is measured on the very crops. Beside them: BM3D, told the true level; the shipped model as it is; the shipped model
told the true noise (for PolyU: what calibrate finds in all crops together); and supervised training on the clean sides
of the same crops, which nobody has: the upper bound. Noise2Void of CAREamics needs an environment of its own:
`careamics_noise2void.py` lets it learn on the arrays CELLS/.../COLUMN/noisy-arrays/*.npy for the same processor
time and puts what it restores into COLUMN/careamics/; then call again.

What is equal is processor time spent on learning, validation included, so that a busy machine changes nothing; starting
a process, importing and writing the model are not counted. Each cell is kept as JSON below --cells: a second call goes
on where the first was stopped.

Run: python benchmarks/self_supervised.py -o docs/self_supervised.md                within three hours of two cores
     python benchmarks/self_supervised.py --minutes-per-cell 0.33 --crops 6          half an hour of one core
"""

from __future__ import annotations

import argparse
import json
import os
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from self_supervised_report import ALONE, AS_IS, AUTO, BLIND, RANDOM, RIVAL, chosen_objective, report

import noiseless
from noiseless import baselines
from noiseless.calibration import examine_planes
from noiseless.data.store import PackedStore, as_unit_float, write_store
from noiseless.denoiser import PHOTO
from noiseless.errors import NoiselessError
from noiseless.metrics import psnr
from noiseless.noise import parse
from noiseless.training import loop
from noiseless.training.config import SCRATCH, RunConfig, from_mapping, over_defaults
from noiseless.training.run import Listener, run_training

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))

WHITE, SIGNAL, CORRELATED = (
    "gaussian:25",
    "poisson-gaussian:gain=0.02,read=0.02",
    "correlated:sigma=0.08,length=1.0",
)
SHIPPED = ("gray-small", "color-small")
MICROSCOPY = (
    "xy_12bit__saturated_plant",
    "xy_8bit__em_mitochondria_er",
    "xy_8bit__nup",
    "xy_8bit__em_fly_eye",
    "xy_16bit_calibrated__nuclei_various_shapes",
)


@dataclass(frozen=True)
class Column:
    """Images and their noise.

    Attributes:
        title: for the report.
        images: finds (noisy or None, clean) of each crop, (C, H, W) in [0, 1] units, at most so many of such a side;
            noise that is real is that of 8 bits.
        noise: what is added; empty where the noise is real.
    """

    title: str
    images: Callable[[int, int], list[tuple[np.ndarray | None, np.ndarray]]]
    noise: str = ""


def middle(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of (C, H, W)."""
    top, left = (max(length - side, 0) // 2 for length in image.shape[-2:])
    return np.ascontiguousarray(image[:, top : top + side, left : left + side], np.float32)


def planes(path: Path) -> np.ndarray:
    """The first plane of a file, (C, H, W) in [0, 1] units."""
    return noiseless.read(path).planes()[0]


def benchmark_set(folder: str) -> Callable[[int, int], list[tuple[np.ndarray | None, np.ndarray]]]:
    """The middles of the first images of a set."""

    def find(count: int, side: int) -> list[tuple[np.ndarray | None, np.ndarray]]:
        paths = sorted((DATA / "benchmark" / folder).glob("*.png"))[:count]
        return [(None, middle(planes(path), side)) for path in paths]

    return find


def polyu(count: int, side: int) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """Crops of the Nikon and Sony cameras, spread over the set; no recipe was chosen on these."""
    folder = DATA / "benchmark" / "polyu100"
    noisy = sorted([*folder.glob("Nikon*_real.*"), *folder.glob("Sony*_real.*")])
    chosen = [noisy[number] for number in np.linspace(0, len(noisy) - 1, count).round().astype(int)]
    both = [(path, path.with_name(path.name.replace("_real", "_mean"))) for path in chosen]
    return [(middle(planes(one), side), middle(planes(other), side)) for one, other in both]


def microscopy(count: int, side: int) -> list[tuple[np.ndarray | None, np.ndarray]]:
    """Scaled down by two, brought from their 0.1 and 99.9 percentiles to 0 and 1."""
    found: list[tuple[np.ndarray | None, np.ndarray]] = []
    for name in MICROSCOPY[:count]:
        image = planes(DATA / "fixtures" / "microscopy" / f"{name}.tif")
        height, width = (length // 2 * 2 for length in image.shape[-2:])
        small = image[:, :height, :width].reshape(len(image), height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        low, high = np.percentile(small, [0.1, 99.9])
        found.append((None, middle(((small - low) / (high - low)).clip(0, 1), side)))
    return found


COLUMNS = {
    "set12-white": Column("Set12, Gaussian 25", benchmark_set("set12"), WHITE),
    "set12-correlated": Column("Set12, correlated", benchmark_set("set12"), CORRELATED),
    "set12-signal": Column("Set12, Poisson-Gaussian", benchmark_set("set12"), SIGNAL),
    "polyu": Column("PolyU, real", polyu),
    "microscopy": Column("microscopy, Poisson-Gaussian", microscopy, SIGNAL),
    "cbsd68-white": Column("CBSD68, Gaussian 25", benchmark_set("cbsd68"), WHITE),
    "cbsd68-correlated": Column("CBSD68, correlated", benchmark_set("cbsd68"), CORRELATED),
    "cbsd68-signal": Column("CBSD68, Poisson-Gaussian", benchmark_set("cbsd68"), SIGNAL),
}


@dataclass(frozen=True)
class Work:
    """What a cell is made from: stores of noisy, second noisy and clean crops below a folder, and the budget."""

    column: Column
    folder: Path
    minutes: float

    def side(self, name: str) -> list[np.ndarray]:
        """``noisy``, ``again`` or ``clean``: (C, H, W) each, in [0, 1] units."""
        return [as_unit_float(np.array(image)) for image in PackedStore(self.folder / name)]

    @property
    def shipped(self) -> str:
        """The model for such images that is told the noise level."""
        return SHIPPED[len(self.side("clean")[0]) > 1]

    @property
    def start(self) -> dict[str, Any]:
        """What training on pairs starts from, to be comparable: the same as without clean images."""
        blind = not self.column.noise
        return {"start": PHOTO if blind else self.shipped, "arguments": {"conditioning": "none" if blind else "sigma"}}


def prepare(column: Column, folder: Path, count: int, side: int) -> None:
    """Write the stores of a column, once."""
    if (folder / "clean").is_dir():
        return
    found = column.images(count, side)
    sides: dict[str, list[np.ndarray]] = {}
    if column.noise:
        noise = parse(column.noise)
        for view, name in enumerate(("noisy", "again")):
            sides[name] = [
                noise.sample(clean, np.random.default_rng([view, number])) for number, (_, clean) in enumerate(found)
            ]
    else:
        sides["noisy"] = [np.rint(noisy * 255).astype(np.uint8) for noisy, _ in found if noisy is not None]
    sides["clean"] = [clean for _, clean in found]
    for name, images in sides.items():
        write_store(folder / name, ((f"{number:02}", image, {}) for number, image in enumerate(images)))
    arrays = folder / "noisy-arrays"
    arrays.mkdir(exist_ok=True)
    for number, image in enumerate(sides["noisy"]):
        np.save(arrays / f"{number:02}.npy", image)


def score(work: Work, restored: Sequence[np.ndarray]) -> dict[str, Any]:
    """PSNR of each crop, clipped to [0, 1]."""
    pairs = zip(restored, work.side("clean"), strict=True)
    return {"psnr": [round(float(psnr(one.clip(0, 1), clean)), 4) for one, clean in pairs]}


def applied(work: Work, model: Any, noise: Any) -> dict[str, Any]:
    """A denoiser or baseline over the noisy crops, and the processor seconds that took."""
    noisy, began = work.side("noisy"), time.process_time()
    restored = [np.asarray(model(image, channel_axis=0, noise=noise)) for image in noisy]
    return score(work, restored) | {"applying": round(time.process_time() - began, 2)}


def true_noise(work: Work) -> Any:
    """The noise that was added, or what calibrate finds in all crops together."""
    return parse(work.column.noise) if work.column.noise else examine_planes(work.side("noisy")).noise


def untouched(work: Work) -> dict[str, Any]:
    return score(work, work.side("noisy"))


def bm3d(work: Work) -> dict[str, Any]:
    return applied(work, baselines.load("bm3d"), true_noise(work))


def shipped_as_is(work: Work) -> dict[str, Any]:
    return applied(work, noiseless.load(work.shipped), "auto")


def shipped_told(work: Work) -> dict[str, Any]:
    return applied(work, noiseless.load(work.shipped), true_noise(work))


def photo(work: Work) -> dict[str, Any] | None:
    return None if work.column.noise else applied(work, noiseless.load(PHOTO), "auto")


def learned(data: dict[str, Any], **options: Any) -> Callable[[Work], dict[str, Any] | None]:
    """A cell that trains: `data` names stores by the fields of `DataConfig`."""

    def cell(work: Work) -> dict[str, Any] | None:
        named = {key: tuple(str(work.folder / name) for name in names) for key, names in data.items()}
        if not all(Path(path).is_dir() for paths in named.values() for path in paths):
            return None
        started = work.start if "pairs" in data else {}
        plain = over_defaults({"minutes": work.minutes, "data": named, **started, **options})
        run, said = work.folder / f"run-{time.time_ns()}", []
        outcome = run_training(from_mapping(RunConfig, plain), run, listener=Listener(say=said.append))
        told = {"steps": outcome.step, "seconds": round(outcome.seconds, 1), "said": said}
        steps = json.loads((run / "best" / "train.json").read_text())["steps"]
        kept = {} if steps else {"kept": "shipped weights"}
        return applied(work, noiseless.load(run), "auto") | told | kept

    return cell


def careamics(work: Work) -> dict[str, Any] | None:
    """What another program made of the noisy crops, where it has been put beside them."""
    found = sorted((work.folder / "careamics").glob("*.npy"))
    return score(work, [np.load(path) for path in found]) if found else None


NOISY, VIEWS = {"noisy": ("noisy",)}, {"noisy_pairs": ("noisy", "again")}
METHODS: dict[str, Callable[[Work], dict[str, Any] | None]] = {
    "noisy image": untouched,
    "BM3D, told the level": bm3d,
    AS_IS: shipped_as_is,
    "shipped model, told the noise": shipped_told,
    BLIND: photo,
    RIVAL: careamics,
    AUTO: learned(NOISY),
    **{name: learned(NOISY, objective=name) for name in ALONE},
    "noise2noise (two exposures)": learned(VIEWS, objective="noise2noise"),
    "supervised (upper bound)": learned({"pairs": ("noisy", "clean")}),
    **{name + RANDOM: learned(NOISY, objective=name, start=SCRATCH) for name in ALONE},
    "noise2noise (two exposures)" + RANDOM: learned(VIEWS, objective="noise2noise", start=SCRATCH),
}
"""The rows. A method gives nothing for a column that it is not for."""


def measure(work: Work, method: str, cells: dict[str, Any]) -> dict[str, Any]:
    """One cell; an objective that ``auto`` chose on these images is the same run, and is not run again."""
    auto = cells.get(AUTO) or {}
    if method == chosen_objective(auto):
        return auto
    return METHODS[method](work) or {}


def run_cells(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """All cells, by column and method; those that are there already are read."""
    loop.time = types.SimpleNamespace(monotonic=time.process_time)  # type: ignore[attr-defined]  # budgets in it
    found: dict[str, dict[str, Any]] = {}
    for name in options.columns:
        column, key = COLUMNS[name], f"{options.minutes_per_cell:g}min-{options.crops}x{options.side}"
        work = Work(column, options.cells / key / name, options.minutes_per_cell)
        prepare(column, work.folder, options.crops, options.side)
        cells = found.setdefault(name, {})
        for method in options.methods:
            path = work.folder / f"{method.replace(' ', '-').replace(',', '')}.json"
            if not path.is_file():
                if options.report_only:
                    continue
                made = measure(work, method, cells)
                if not made:
                    continue
                beside = path.with_suffix(".part")
                beside.write_text(json.dumps(made))
                beside.rename(path)
                print(f"{name}, {method}: {np.mean(made['psnr']):.2f} dB", flush=True)
            cells[method] = json.loads(path.read_text())
    return found


def main() -> None:
    """Measure what is missing, and print or write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=Path, default=Path("runs/self-supervised"), help="where cells are kept")
    parser.add_argument("--minutes-per-cell", type=float, default=2.0, help="processor minutes of learning for each")
    parser.add_argument("--crops", type=int, default=12, help="images of each set")
    parser.add_argument("--side", type=int, default=128, help="side of the crops in pixels")
    parser.add_argument("--columns", nargs="+", default=list(COLUMNS), choices=COLUMNS, metavar="COLUMN")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument("--note", default="", help="a sentence for the report: what is special about this run")
    parser.add_argument("--report-only", action="store_true", help="measure nothing that is missing")
    parser.add_argument("-o", "--output", type=Path, help="the report, Markdown; else printed")
    options = parser.parse_args()
    options.cells = options.cells.absolute()
    text = "\n".join(report(run_cells(options), COLUMNS, METHODS, options))
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    try:
        main()
    except NoiselessError as error:
        raise SystemExit(str(error)) from error
