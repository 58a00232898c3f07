"""Time, memory and PSNR of the shipped colour models and of what else there is, as docs/speed.md.

Every method denoises the same images in one run: the shipped photographs, tiled to 0.25, 1, 4 and 24 megapixels, with
Gaussian noise of sigma 25, in 8 bits. Each runs in a process of its own, warm after a small image, so that peak memory
is its own; that includes the image. Times are the best of the runs, ratios are those of one run of this program.

The field: non-local means of OpenCV and scikit-image, wavelet shrinkage, BM3D (smallest size only), DnCNN-17 in plain
torch (eager, float32; with random weights where no checkpoint is named, then without a PSNR), and Intel Open Image
Denoise where `pip install pyoidn` was run. That works (2.5.1.0 from PyPI restores float32 (H, W, 3)), but it is made
for renderings and is not told the noise level. OpenCV gets the h that measured best on these images.

Run: python benchmarks/speed.py -o docs/speed.md          an hour or so of two quiet cores
     python benchmarks/speed.py --quick                    0.25 and 1 megapixels, a few minutes, printed
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import noiseless
from noiseless import baselines, bundle
from noiseless.data import samples
from noiseless.runtime import PRECISIONS
from noiseless.runtime.machine import has_bf16, peak_memory, processor_name, processors

SIZES = (0.25, 1.0, 4.0, 24.0)
QUICK = (0.25, 1.0)
SIGMA = 25
WARM = 64
"""Side of the image that warms a method up."""

REPEATED_BELOW = 20.0
"""Seconds; what is faster runs twice, and the better time counts."""

OPENCV_H = 16
"""1.3 dB better on these images than sigma itself."""

BASE = "OpenCV NLM"
DNCNN = "DnCNN-17, torch eager"

Pixels = np.ndarray
Restore = Callable[[Pixels], Pixels]
"""(H, W, 3) uint8 in and out."""


@dataclass(frozen=True)
class Measured:
    """What a method took for one size: seconds, bytes, and dB; no dB where its weights are random."""

    method: str
    megapixels: float
    seconds: float
    memory: int
    psnr: float | None


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
    """Everything that is installed, the base first."""
    if importlib.util.find_spec("cv2"):
        yield Method(BASE, of_opencv)
    for name, path in bundle.shipped().items():
        if bundle.read(path).spec.channels == 3:
            for precision in PRECISIONS:
                yield Method(f"{name} {precision}", functools.partial(of_model, name, precision))
    yield Method(DNCNN, functools.partial(of_dncnn, checkpoint), 4.0, scored=checkpoint is not None)
    if importlib.util.find_spec("pyoidn"):
        yield Method("Open Image Denoise", of_oidn)
    if importlib.util.find_spec("skimage"):
        yield Method("scikit-image NLM", functools.partial(of_baseline, "nlm"), 4.0)
        yield Method("scikit-image wavelets", functools.partial(of_baseline, "wavelet"))
    if importlib.util.find_spec("bm3d"):
        yield Method("BM3D", functools.partial(of_baseline, "bm3d"), 0.25)


def measure(method: Method, megapixels: float) -> Measured:
    """Run a method, in this process."""
    clean = mosaic(megapixels)
    noisy = noisy_of(clean)
    restore = method.open()
    restore(np.ascontiguousarray(noisy[:WARM, :WARM]))
    seconds = []
    while not seconds or (len(seconds) < 2 and seconds[0] < REPEATED_BELOW):
        began = time.perf_counter()
        restored = restore(noisy)
        seconds.append(time.perf_counter() - began)
    memory = peak_memory()
    quality = decibels(restored, clean) if method.scored else None
    return Measured(method.name, megapixels, min(seconds), memory, quality)


def measure_apart(method: Method, megapixels: float) -> Measured:
    """Run a method in a process of its own, whose memory is nobody else's."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, method, megapixels).result()


def table(found: list[Measured], megapixels: float) -> list[str]:
    """The rows of one size, as Markdown."""
    rows = [each for each in found if each.megapixels == megapixels]
    times = {each.method: each.seconds for each in rows}
    lines = [
        f"## {megapixels:g} megapixels",
        "",
        f"| method | seconds | seconds a megapixel | times as fast as {BASE} | than DnCNN | peak MB | PSNR |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in rows:
        against = [f"{times[base] / each.seconds:.2f}" if base in times else "" for base in (BASE, DNCNN)]
        quality = "" if each.psnr is None else f"{each.psnr:.2f}"
        pace = each.seconds / each.megapixels
        lines.append(
            f"| {each.method} | {each.seconds:.2f} | {pace:.2f} | {against[0]} | {against[1]} | "
            f"{each.memory / 1e6:.0f} | {quality} |"
        )
    return [*lines, ""]


def page(found: list[Measured], sizes: tuple[float, ...]) -> str:
    """The whole page."""
    lines = [
        "# Speed",
        "",
        f"`python benchmarks/speed.py`, in one run: {processor_name()}, {processors()} processors in use, "
        f"{'with' if has_bf16() else 'without'} bf16, {platform.system()}, Python {platform.python_version()}, "
        f"noiseless {noiseless.__version__}.",
        "",
        f"8-bit colour photographs, tiled to each size, with Gaussian noise of sigma {SIGMA}, which each method is "
        "told but DnCNN and Open Image Denoise. Every method runs in a process of its own; peak memory is that of the "
        "process, with the image and Python. Only ratios within this page mean anything on another machine.",
        "",
    ]
    for size in sizes:
        lines += table(found, size)
    return "\n".join(lines).rstrip() + "\n"


def run(options: argparse.Namespace) -> list[Measured]:
    """Measure everything, telling as it goes."""
    sizes, found = chosen_sizes(options), []
    for size in sizes:
        for method in methods(options.dncnn):
            if size > method.largest or (options.only and options.only not in method.name):
                continue
            found.append(measure_apart(method, size))
            print(json.dumps(asdict(found[-1])), flush=True)
    return found


def chosen_sizes(options: argparse.Namespace) -> tuple[float, ...]:
    """Megapixels to measure."""
    return tuple(options.megapixels) or (QUICK if options.quick else SIZES)


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="a Markdown file; printed without")
    parser.add_argument("--quick", action="store_true", help="0.25 and 1 megapixels")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[], help="these sizes")
    parser.add_argument("--only", default="", help="methods whose name holds this text")
    parser.add_argument(
        "--dncnn", default=os.environ.get("DNCNN"), help="a checkpoint of DnCNN-17 for colour, sigma 25"
    )
    options = parser.parse_args()
    text = page(run(options), chosen_sizes(options))
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
