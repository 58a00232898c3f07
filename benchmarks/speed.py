"""Time, memory and PSNR of the shipped colour models and of what else there is, as docs/speed.md.

Every method denoises the same images in one run: the shipped photographs, tiled to 0.25, 1, 4 and 24 megapixels, with
Gaussian noise of sigma 25, in 8 bits. Each runs in a process of its own, warm after a small image, so that peak memory
is its own; that includes the image. Then it takes turns with OpenCV, so that a ratio holds on a machine whose speed
changes while others use it. Times are the best of the turns.

The field: non-local means of OpenCV and scikit-image, wavelet shrinkage, BM3D (smallest size only), DnCNN-17 in plain
torch (eager, float32; with random weights where no checkpoint is named, then without a PSNR), and Intel Open Image
Denoise where `pip install pyoidn` was run. That works (2.5.1.0 from PyPI restores float32 (H, W, 3)), but it is made
for renderings and is not told the noise level. OpenCV gets the h that measured best on these images.

Then what reading, writing, tiles and Python cost beside the engine and how time grows, as `throughput.py` measures it,
and the engines against matrix products, as `engines.py` does.

Every cell is noted in a file of JSON lines as soon as it is measured; what is there already, measured on this machine
with the same weights and versions, is not measured again, unless it failed. The page is written anew after each cell.

Run: python benchmarks/speed.py -o docs/speed.md          an hour or so; may be stopped and begun again
     python benchmarks/speed.py --quick                    0.25 and 1 megapixels and no more, printed
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from speed_report import BASE, DNCNN, ESTIMATING, PLAIN, SIDE, SIGMA, Cell, page

import noiseless
from noiseless import baselines, bundle
from noiseless.data import samples
from noiseless.runtime import PRECISIONS
from noiseless.runtime.machine import peak_memory, processor_name, processors

SIZES = (0.25, 1.0, 4.0, 24.0)
QUICK = (0.25, 1.0)
WARM = 64
"""Side of the image that warms a method up."""

LEAST_TURNS, MOST_TURNS, TIME = 3, 9, 10.0
"""Of each method and OpenCV, one after the other: as many as fit into these seconds, within these bounds; the best time
of each counts."""

PAUSE = 0.2
"""Seconds between turns, in which threads that wait for more work give up."""

OPENCV_H = 16
"""1.3 dB better on these images than sigma itself."""

TOLD = ("color-nano", "color-small")
"""Models that are told the level; `ESTIMATING` never is: it finds the level itself, which is part of its time."""

ENGINE_TURNS = 5
"""Of the engines, on one photograph."""

LARGE = 24.0
"""Megapixels for which the whole command is compared with the engine."""

Pixels = np.ndarray
Restore = Callable[[Pixels], Pixels]
"""(H, W, 3) uint8 in and out."""


Key = tuple[str, str, float, str]


def key_of(cell: Cell) -> Key:
    """What two cells of the same thing have in common."""
    return cell.table, cell.row, cell.megapixels, cell.setting


@dataclass(frozen=True)
class Work:
    """A cell that is to be filled: `measure`, in a process of its own, gives the values."""

    cell: Cell
    measure: Callable[[], dict[str, Any]]


def mosaic(megapixels: float) -> Pixels:
    """The shipped test photographs side by side, repeated to a square of this size."""
    photographs = [noiseless.read(path).array[..., :3] for path in samples("test")]
    height = min(len(photograph) for photograph in photographs)
    row = np.concatenate([photograph[:height] for photograph in photographs], axis=1)
    side = round((megapixels * 1e6) ** 0.5)
    times = (-(-side // row.shape[0]), -(-side // row.shape[1]), 1)
    return np.ascontiguousarray(np.tile(row, times)[:side, :side])


def noisy_of(clean: Pixels) -> Pixels:
    """With noise, in 8 bits; a band at a time, so that the noise takes no memory that would count."""
    random, noisy = np.random.default_rng(0), np.empty_like(clean)
    for start in range(0, len(clean), 64):
        band = clean[start : start + 64]
        values = band + SIGMA * random.standard_normal(band.shape, np.float32)
        noisy[start : start + 64] = values.round().clip(0, 255)
    return noisy


def decibels(restored: Pixels, clean: Pixels) -> float:
    """PSNR of 8-bit images, in bands."""
    bands = range(0, len(clean), 64)
    squares = sum(float(np.square(restored[s : s + 64].astype(np.float32) - clean[s : s + 64]).sum()) for s in bands)
    return float(10 * np.log10(255**2 * clean.size / squares))


def of_model(name: str, precision: str) -> Restore:
    """A shipped model, told the level."""
    model = noiseless.load(name, precision=precision)
    return lambda image: model(image, noise=f"gaussian:{SIGMA}", channel_axis=-1)


def of_estimating(name: str, precision: str) -> Restore:
    """A shipped model that is not told the level."""
    model = noiseless.load(name, precision=precision)
    return lambda image: model(image, channel_axis=-1)


def of_baseline(name: str) -> Restore:
    """A baseline of `noiseless.baselines`, told the level."""
    method = baselines.load(name)
    return lambda image: method(image, noise=f"gaussian:{SIGMA}", channel_axis=-1)


def of_opencv() -> Restore:
    """`fastNlMeansDenoisingColored` with its usual windows and the h that measured best here, of 8 to 30."""
    import cv2

    cv2.setNumThreads(processors())
    return lambda image: cv2.fastNlMeansDenoisingColored(image, None, OPENCV_H, OPENCV_H, 7, 21)


def of_dncnn(checkpoint: str | None) -> Restore:
    """DnCNN-17 for colour in eager torch, float32; whole up to 1 megapixel and in strips with its halo above."""
    import torch

    from noiseless import networks
    from noiseless.networks.foreign import read_checkpoint

    torch.set_num_threads(processors())
    network = networks.create("dncnn", channels=3).eval()
    if checkpoint is not None:
        network.load_state_dict(read_checkpoint(Path(checkpoint)))
    halo = 17

    def strip(image: Pixels, start: int, rows: int) -> Pixels:
        above = min(halo, start)
        part = np.moveaxis(image[start - above : start + rows + halo].astype(np.float32) / 255, -1, 0)
        with torch.inference_mode():
            restored = network(torch.from_numpy(part)[None])[0].numpy()[:, above : above + rows]
        return np.moveaxis((255 * restored).round().clip(0, 255).astype(np.uint8), 0, -1)

    def restore(image: Pixels) -> Pixels:
        rows = max(1, 1_000_000 // image.shape[1])
        return np.concatenate([strip(image, start, rows) for start in range(0, len(image), rows)])

    return restore


def of_oidn() -> Restore:
    """Intel Open Image Denoise, of low dynamic range, best quality."""
    from pyoidn import denoise

    return lambda image: (255 * denoise(image.astype(np.float32) / 255)).round().clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Method:
    """What is measured.

    Attributes:
        name: in the table.
        open: makes it ready, in the process that runs it.
        largest: megapixels beyond which it takes too long.
        scored: whether its PSNR says anything.
    """

    name: str
    open: Callable[[], Restore]
    largest: float = 24.0
    scored: bool = True


def methods(checkpoint: str | None) -> Iterator[Method]:
    """Everything, the base first."""
    yield Method(BASE, of_opencv)
    for name in TOLD:
        for precision in PRECISIONS:
            yield Method(f"{name} {precision}", functools.partial(of_model, name, precision))
    for precision in PRECISIONS:
        name = f"{ESTIMATING} {precision}, not told the level"
        yield Method(name, functools.partial(of_estimating, ESTIMATING, precision))
    yield Method(DNCNN, functools.partial(of_dncnn, checkpoint), 4.0, scored=checkpoint is not None)
    yield Method("Open Image Denoise", of_oidn)
    yield Method("scikit-image NLM", functools.partial(of_baseline, "nlm"), 4.0)
    yield Method("scikit-image wavelets", functools.partial(of_baseline, "wavelet"))
    yield Method("BM3D", functools.partial(of_baseline, "bm3d"), 0.25)


def measure(method: Method, megapixels: float) -> dict[str, Any]:
    """Seconds, those of the base in turns with it, bytes and dB of a method; no dB where its weights are random."""
    clean = mosaic(megapixels)
    noisy = noisy_of(clean)
    restore = method.open()
    restore(np.ascontiguousarray(noisy[:WARM, :WARM]))
    restored, first = timed(restore, noisy)
    memory = peak_memory()
    base, own = in_turns(of_opencv(), restore, noisy, min(max(round(TIME / first), LEAST_TURNS), MOST_TURNS))
    return {
        "seconds": own,
        "base": base,
        "memory": memory,
        "psnr": decibels(restored, clean) if method.scored else None,
    }


def timed(restore: Restore, noisy: Pixels) -> tuple[Pixels, float]:
    """What a method gives, and the seconds it takes."""
    began = time.perf_counter()
    restored = restore(noisy)
    return restored, time.perf_counter() - began


def in_turns(base: Restore, restore: Restore, noisy: Pixels, turns: int) -> tuple[float, float]:
    """The best time of each, one after the other."""
    base(np.ascontiguousarray(noisy[:WARM, :WARM]))
    seconds: tuple[list[float], list[float]] = [], []
    for turn in range(2 * turns):
        time.sleep(PAUSE)
        seconds[turn % 2].append(timed((base, restore)[turn % 2], noisy)[1])
    return min(seconds[0]), min(seconds[1])


def measure_command(model: str, precision: str, megapixels: float) -> dict[str, Any]:
    """The whole command on one large image, and the engine alone."""
    import throughput

    options = argparse.Namespace(model=model, precision=precision, megapixels=megapixels)
    with tempfile.TemporaryDirectory() as folder:
        whole, alone = throughput.command_and_engine(options, Path(folder))
    return {"seconds": whole.seconds, "memory": whole.memory, "engine": alone}


def measure_growth(model: str, precision: str, megapixels: float) -> dict[str, Any]:
    """The whole command on an image of about this size."""
    import throughput

    with tempfile.TemporaryDirectory() as folder:
        options = argparse.Namespace(model=model, precision=precision)
        pixels, windows, whole = throughput.growth(options, Path(folder), megapixels)
    return {"seconds": whole.seconds, "memory": whole.memory, "pixels": pixels, "windows": windows}


def measure_engines(model: str) -> dict[str, Any]:
    """Every engine in every precision."""
    import engines

    with tempfile.TemporaryDirectory() as folder:
        plain = model == PLAIN
        read = engines.plain_convolutions(Path(folder)) if plain else bundle.read(bundle.shipped()[model])
        found = engines.measure(read, SIDE, ENGINE_TURNS, processors())
    return {"rates": [asdict(rate) for rate in found]}


def setting(model: str | None = None) -> str:
    """Machine and versions, and the weights where there are shipped ones."""
    parts = [processor_name(), f"{processors()} processors", platform.python_version(), noiseless.__version__]
    if model is not None:
        parts.append(hashlib.sha256((bundle.shipped()[model] / bundle.CONFIG).read_bytes()).hexdigest()[:12])
    return ", ".join(parts)


def works(options: argparse.Namespace) -> Iterator[Work]:
    """All that is to be measured, small sizes first."""
    for size in chosen_sizes(options):
        for method in methods(options.dncnn):
            if size <= method.largest:
                name = method.name.partition(" ")[0]
                where = setting(name if name in bundle.shipped() else None)
                where += f", {options.dncnn}" if options.dncnn and method.name == DNCNN else ""
                yield Work(Cell("methods", method.name, size, where), functools.partial(measure, method, size))
    if options.quick:
        return
    from throughput import GROWTH, GROWTH_SET

    for name in TOLD:
        row = functools.partial(Cell, setting=setting(name))
        yield Work(row("engines", name, SIDE**2 / 1e6), functools.partial(measure_engines, name))
    yield Work(Cell("engines", PLAIN, SIDE**2 / 1e6, setting()), functools.partial(measure_engines, PLAIN))
    name = TOLD[0]
    row = functools.partial(Cell, setting=setting(name))
    grown = functools.partial(Cell, setting=", ".join([setting(name), *GROWTH_SET]))
    for precision in PRECISIONS:
        size = min(LARGE, options.largest)
        yield Work(
            row("command", f"{name} {precision}", size), functools.partial(measure_command, name, precision, size)
        )
    for size in GROWTH:
        if size <= options.largest:
            yield Work(grown("growth", f"{name} int8", size), functools.partial(measure_growth, name, "int8", size))


def filled(work: Work) -> Cell:
    """Measure in a process of its own, whose memory is nobody else's; a failure is noted, whatever it is."""
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            values = pool.submit(work.measure).result()
    except Exception as error:  # one method that cannot be had does not stop the others
        return replace(work.cell, failed=reason_of(error))
    return replace(work.cell, values=values)


def reason_of(error: Exception) -> str:
    """One short line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def read_cells(path: Path) -> dict[Key, Cell]:
    """The cells of a file, the later of two of the same thing; a line that was cut off counts for nothing."""
    found: dict[Key, Cell] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            cell = Cell(**json.loads(line))
        except ValueError:
            continue
        found[key_of(cell)] = cell
    return found


def run(options: argparse.Namespace, show: Callable[[list[Cell]], None]) -> None:
    """Fill the cells that are not there, telling as it goes."""
    there = read_cells(options.cells)
    wanted = {key_of(work.cell): work for work in works(options)}
    options.cells.parent.mkdir(parents=True, exist_ok=True)
    for key, work in wanted.items():
        if options.only in work.cell.row and (key not in there or there[key].failed):
            there[key] = filled(work)
            line = json.dumps(asdict(there[key]))
            with options.cells.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(line, flush=True)
        show([there[key] for key in wanted if key in there])


def chosen_sizes(options: argparse.Namespace) -> tuple[float, ...]:
    """Megapixels to measure."""
    return tuple(options.megapixels) or (QUICK if options.quick else SIZES)


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="a Markdown file; printed without")
    parser.add_argument("--quick", action="store_true", help="0.25 and 1 megapixels, and only the methods")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[], help="these sizes of the methods")
    parser.add_argument("--largest", type=float, default=100.0, help="megapixels of the command and its growth")
    parser.add_argument("--cells", type=Path, default=Path("runs/speed.jsonl"), help="where each number is noted")
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument(
        "--dncnn", default=os.environ.get("DNCNN"), help="a checkpoint of DnCNN-17 for colour, sigma 25"
    )
    options = parser.parse_args()
    shown: list[Cell] = []

    def show(cells: list[Cell]) -> None:
        shown[:] = cells
        if options.output is not None:
            options.output.write_text(page(cells), encoding="utf-8")

    run(options, show)
    if options.output is None:
        print(page(shown))


if __name__ == "__main__":
    main()
