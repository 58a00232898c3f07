"""Fine-tuning measured: four target domains, every method, few images; writes docs/finetuning.md.

Each cell adapts a shipped model to one domain with one method and a number of training pairs, for the same processor
time, and is measured on other images of the domain and on what the model could do before. The images are real, the
noise is synthetic. A cell is kept as JSON in the folder that --cells names, under the hash of the base model's weights,
so that a run that was stopped goes on where it was and a new base model gets cells of its own.

    python benchmarks/finetuning.py --cells DIR -o docs/finetuning.md [--seconds 60] [--domains mri camera]
    python benchmarks/finetuning.py --cells DIR --seconds 180 --only base-0 lora-10
    python benchmarks/finetuning.py --cells DIR -o docs/finetuning.md --report-only [--continual OUT]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import noiseless
from noiseless.data.store import PackedStore, write_store
from noiseless.errors import ConfigError, NoiselessError, SigmaError
from noiseless.finetuning import FinetuningConfig, default_config
from noiseless.finetuning.base import find_base
from noiseless.finetuning.run import run_finetuning
from noiseless.metrics import psnr
from noiseless.noise import parse
from noiseless.training import loop
from noiseless.training.config import SCRATCH, DataConfig, RunConfig, TrainingConfig
from noiseless.training.run import run_training

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ORIGINAL = "gaussian:25"
"""The noise of the task that must not be lost."""

SIDE = 128
MOST = 100
MEASURED, VALIDATED = 8, 4
EACH = 15.0
"""Processor seconds of learning for each validation, down to two of them and up to what is the default."""
Images = Iterator[np.ndarray]


@dataclass(frozen=True)
class Domain:
    """What a model is adapted to.

    Attributes:
        title: for the report.
        images: what the images are and how they are split.
        noise: that is added to them.
        model: that is adapted.
        sides: finds the clean images to learn from, to validate on and to measure: (C, H, W) in [0, 1] units.
    """

    title: str
    images: str
    noise: str
    model: str
    sides: Callable[[], tuple[Images, Images, Images]]


@dataclass(frozen=True)
class Cell:
    """One thing to measure: a method (or ``base``, ``told``, ``scratch``), so many pairs, a way to keep."""

    method: str
    images: int = 0
    keep: str = "none"

    @property
    def name(self) -> str:
        """Of its file."""
        return "-".join([self.method, str(self.images), *([self.keep] if self.keep != "none" else [])])


def middles(image: np.ndarray) -> Images:
    """The image cut into squares without overlap, as many as there are; the rest is left off evenly."""
    rows, columns = (max(length // SIDE, 1) for length in image.shape[-2:])
    top, left = (max(length - n * SIDE, 0) // 2 for length, n in zip(image.shape[-2:], (rows, columns), strict=True))
    for row in range(rows):
        for column in range(columns):
            y, x = top + row * SIDE, left + column * SIDE
            yield np.ascontiguousarray(image[:, y : y + SIDE, x : x + SIDE], np.float32)


def crops(images: Sequence[np.ndarray], count: int) -> Images:
    """Squares at random places, of each image in turn."""
    generator = np.random.default_rng(7)
    for number in range(count):
        image = images[number % len(images)]
        top, left = (int(generator.integers(max(length - SIDE, 0) + 1)) for length in image.shape[-2:])
        yield np.ascontiguousarray(image[:, top : top + SIDE, left : left + SIDE], np.float32)


def micrographs(*names: str) -> list[np.ndarray]:
    """Planes scaled down by two, so that little of their own noise is left, 0.1 and 99.9 percentile to 0 and 1."""
    found = []
    for name in names:
        for plane in np.concatenate(noiseless.read(DATA / "fixtures" / "microscopy" / f"{name}.tif").planes()):
            height, width = (length // 2 * 2 for length in plane.shape)
            small = plane[:height, :width].reshape(1, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
            low, high = np.percentile(small, [0.1, 99.9])
            found.append(((small - low) / (high - low)).clip(0, 1))
    return found


def microscopy() -> tuple[Images, Images, Images]:
    train = micrographs("xy_8bit__em_mitochondria_er", "xy_8bit__em_fly_eye", "xyc_16bit__membranes_nuclei_hot_pixel")
    validation = micrographs("xy_16bit_calibrated__nuclei_various_shapes")
    test = (crop for image in micrographs("xy_12bit__saturated_plant") for crop in middles(image))
    return crops(train, MOST), crops(validation, VALIDATED), test


def mri() -> tuple[Images, Images, Images]:
    slices = [plane / 0.7 for plane in noiseless.read(DATA / "fixtures/microscopy/xyz_8bit__mri_head.tif").planes()]
    slices = [plane.clip(0, 1) for plane in slices]
    return crops(slices[:16], MOST), crops(slices[17:19], VALIDATED), crops(slices[20:], MEASURED)


def photographs(*, grey: bool) -> tuple[Images, Images, Images]:
    paths = sorted((DATA / "train" / "cid22").glob("*.webp"))
    read = (noiseless.read(path).planes()[0] for path in paths[: MOST + VALIDATED + MEASURED])
    squares = [next(crops([image.mean(axis=0, keepdims=True) if grey else image], 1)) for image in read]
    return iter(squares[:MOST]), iter(squares[MOST : MOST + VALIDATED]), iter(squares[MOST + VALIDATED :])


OF_PHOTOGRAPHS = "photographs (cid22): 100 to learn from, 4 to validate on, 8 to measure"
DOMAINS = {
    "microscopy": Domain(
        "Microscopy, Poisson-Gaussian noise",
        "100 crops of 4 planes (mitochondria, a fly's eye, membranes, nuclei), scaled down by two; validated on nuclei "
        "of another microscope, measured on a plant",
        "poisson-gaussian:gain=0.02,read=0.02",
        "gray-small",
        microscopy,
    ),
    "mri": Domain(
        "MRI, Rician noise",
        "100 crops of 16 slices of a head, validated on 2, measured on the last 7 of the same head",
        "rician:sigma=0.08",
        "gray-small",
        mri,
    ),
    "speckle": Domain(
        "Photographs, multiplicative speckle",
        f"grey {OF_PHOTOGRAPHS}",
        "speckle:looks=10",
        "gray-small",
        lambda: photographs(grey=True),
    ),
    "camera": Domain(
        "Photographs, developed camera noise",
        OF_PHOTOGRAPHS,
        "camera:level=0.03-0.06,untouched=0",
        "color-small",
        lambda: photographs(grey=False),
    ),
}
KEPT_DOMAIN = "speckle"
"""Where all ways to keep are compared."""


@dataclass(frozen=True)
class Work:
    """Where the cells of a domain are and how long each learns.

    Attributes:
        name: of the domain.
        model: that is adapted: a name or a path.
        data: stores of the domain's pairs.
        cells: folder of the results.
        seconds: processor seconds that a cell learns for.
    """

    name: str
    model: str
    data: Path
    cells: Path
    seconds: float

    @property
    def domain(self) -> Domain:
        """What it is adapted to."""
        return DOMAINS[self.name]

    def pairs(self, side: str, count: int | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Noisy and clean images of ``train``, ``validation``, ``test`` or ``original``."""
        noisy, clean = (PackedStore(self.data / f"{side}-{which}") for which in ("noisy", "clean"))
        return [(np.array(noisy[n]), np.array(clean[n])) for n in range(len(clean) if count is None else count)]


def prepare(domain: Domain, folder: Path) -> None:
    """Write the pairs of a domain, and those of the original task, once."""
    if (folder / "original-clean").is_dir():
        return
    photos = sorted((DATA / "validation" / "clic2025").glob("*.webp"))[:MEASURED]
    channels = find_base(domain.model).bundle.spec.channels
    original = (noiseless.read(path).planes()[0] for path in photos)
    squares = (next(crops([one if channels > 1 else one.mean(axis=0, keepdims=True)], 1)) for one in original)
    sides = dict(zip(("train", "validation", "test"), domain.sides(), strict=True)) | {"original": squares}
    for position, (side, images) in enumerate(sides.items()):
        noise = parse(ORIGINAL if side == "original" else domain.noise)
        clean = list(images)
        noisy = [noise.sample(one, np.random.default_rng([position, number])) for number, one in enumerate(clean)]
        write_side(folder / f"{side}-noisy", noisy)
        write_side(folder / f"{side}-clean", clean)


def write_side(folder: Path, images: Sequence[np.ndarray]) -> None:
    write_store(folder, ((f"{number:03}", np.asarray(one, np.float32), {}) for number, one in enumerate(images)))


def score(work: Work, model: Any, side: str, noise: Any) -> list[float]:
    """PSNR of each restored image of a side, clipped to [0, 1]."""
    return [
        round(float(psnr(np.clip(model(noisy, channel_axis=0, noise=noise, data_range=1.0), 0, 1), clean)), 4)
        for noisy, clean in work.pairs(side)
    ]


def settings(work: Work, cell: Cell, folder: Path) -> DataConfig:
    """The cell's pairs: the first of the domain, as stores in its folder."""
    for position, which in enumerate(("noisy", "clean")):
        write_side(folder / which, [pair[position] for pair in work.pairs("train", cell.images)])
    sides = tuple(str(work.data / f"validation-{which}") for which in ("noisy", "clean"))
    return DataConfig(pairs=(str(folder / "noisy"), str(folder / "clean")), validation=sides)


def base(work: Work, cell: Cell, folder: Path) -> dict[str, Any]:
    """The model as it is; the noise is measured in each image or, for ``told`` and on the original task, known."""
    model = noiseless.load(work.model)
    noise = parse(work.domain.noise) if cell.method == "told" else "auto"
    noisy = [float(psnr(np.clip(one, 0, 1), clean)) for one, clean in work.pairs("test")]
    original = score(work, model, "original", parse(ORIGINAL))
    return {"psnr": score(work, model, "test", noise), "original": original, "noisy": noisy}


def scratch(work: Work, cell: Cell, folder: Path) -> dict[str, Any]:
    """The same network from random weights, for the same time, on the same pairs."""
    bundle = find_base(work.model).bundle
    arguments = {**bundle.arguments, "conditioning": bundle.spec.conditioning}
    training = replace(TrainingConfig(), batch_size=8, ema=0.98, validations=2, validation_size=SIDE)
    config = RunConfig(bundle.network, arguments, start=SCRATCH, minutes=work.seconds / 60, training=training)
    outcome = run_training(replace(config, data=settings(work, cell, folder)), folder / "run")
    model = noiseless.load(folder / "run")
    scores = {"psnr": score(work, model, "test", "auto"), "original": score(work, model, "original", parse(ORIGINAL))}
    return scores | {"steps": outcome.step, "seconds": round(outcome.seconds, 1)}


def adapted(work: Work, cell: Cell, folder: Path) -> dict[str, Any]:
    """The model, fine-tuned with the defaults of the method."""
    outcome = run_finetuning(work.model, configuration(work, cell, folder), folder / "run")
    model = noiseless.load(folder / "run" if outcome.better else work.model)
    return {
        "psnr": score(work, model, "test", "auto"),
        "original": score(work, model, "original", parse(ORIGINAL)),
        "better": outcome.better,
        "validation": [outcome.run.start_psnr, outcome.run.psnr],
        "steps": outcome.run.step,
        "seconds": round(outcome.run.seconds, 1),
        "trainable": outcome.trainable,
        "parameters": outcome.parameters,
        "bytes": outcome.adapter.stat().st_size if outcome.adapter else 0,
    }


def configuration(work: Work, cell: Cell, folder: Path) -> FinetuningConfig:
    """The defaults of the method on the cell's pairs."""
    config = default_config(cell.method, cell.keep)
    validations = min(config.training.validations, max(2, int(work.seconds / EACH)))
    training = replace(config.training, validations=validations, validation_size=SIDE)
    return replace(config, data=settings(work, cell, folder), minutes=work.seconds / 60, training=training)


MEASURES = {"base": base, "told": base, "scratch": scratch}
"""All other methods are of fine-tuning."""

FIRST = [
    Cell("base"),
    Cell("lora", 10),
    Cell("lora", 20),
    Cell("full", 20),
    Cell("adapter", 20),
    Cell("lora", 20, "replay"),
    Cell("scratch", 20),
    Cell("told"),
]
OTHERS = [Cell(method, count) for count in (5, 100) for method in ("lora", "full", "adapter")]
OTHERS += [Cell(method, 20) for method in ("prompt", "head", "adalora", "bias", "norm")]
KEEPS = [Cell("lora", 20, keep) for keep in ("lwf", "ewc", "l2sp")]


def cells(names: Sequence[str]) -> Iterator[tuple[str, Cell]]:
    """What is measured, in this order: what answers most comes first, in every domain."""
    yield from ((name, cell) for cell in (*FIRST, *OTHERS) for name in names)
    yield from ((name, cell) for name in names if name == KEPT_DOMAIN for cell in KEEPS)


def measure(work: Work, cell: Cell) -> None:
    """One cell, unless it is there."""
    path = work.cells / f"{cell.name}.json"
    if path.is_file():
        return
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        try:
            made = MEASURES.get(cell.method, adapted)(work, cell, Path(folder))
        except (ConfigError, SigmaError) as error:
            made = {"refused": str(error)}
    made["processor"] = round(time.process_time() - began, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(made))
    beside.rename(path)
    shown = f"{np.mean(made['psnr']):.2f} dB" if "psnr" in made else made["refused"]
    print(f"{work.name}, {cell.name}: {shown}, {made['processor']:.0f} s", flush=True)


def work_for(name: str, options: argparse.Namespace) -> Work:
    """Where a domain's cells are, by budget and by the hash of the base model as it is now."""
    model = {"gray-small": options.gray_model, "color-small": options.color_model}[DOMAINS[name].model]
    key = f"{DOMAINS[name].model}-{find_base(model).sha256[:8]}"
    cells_at = options.cells / f"{options.seconds:g}s" / name / key
    return Work(name, model, options.cells / "data" / name, cells_at, options.seconds)


def main() -> None:
    """Measure what is missing and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=Path, required=True, help="where cells are kept")
    parser.add_argument("--seconds", type=float, default=60.0, help="processor seconds that each cell learns for")
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    parser.add_argument("--only", nargs="+", help="names of the cells to measure, as base-0 lora-10; else all")
    parser.add_argument("--gray-model", default="gray-small", help="the base model of the grey domains")
    parser.add_argument("--color-model", default="color-small", help="the base model of the colour domain")
    parser.add_argument("--continual", type=Path, help="what continual.py wrote, for the report")
    parser.add_argument("--report-only", action="store_true", help="measure nothing that is missing")
    parser.add_argument("-o", "--output", type=Path, help="the report, Markdown; else nothing but the cells")
    options = parser.parse_args()
    options.cells = options.cells.absolute()
    loop.time = types.SimpleNamespace(monotonic=time.process_time)  # type: ignore[attr-defined]  # budgets in it
    wanted = [each for each in cells(options.domains) if options.only is None or each[1].name in options.only]
    for name, cell in [] if options.report_only else wanted:
        work = work_for(name, options)
        prepare(DOMAINS[name], work.data)
        measure(work, cell)
    if options.output:
        from finetuning_report import report

        text = "\n".join(report({name: work_for(name, options) for name in DOMAINS}, options))
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except NoiselessError as error:
        raise SystemExit(str(error)) from error
