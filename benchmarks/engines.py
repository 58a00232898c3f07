"""How fast each engine runs a model in each precision, in one run: ratios to ONNX Runtime in float32.

All take turns on the same noisy photograph, so that a busy moment of the machine falls on all alike; a ratio is the
median over the turns. The share of peak is the rate of multiply-adds against that of a product of two 4096x4096
matrices in torch, in float32 for exact and int8 and in bf16 for fast.

"auto" is the engine that noiseless chooses when much work lies ahead, measured anew; it takes turns with the others,
and what it takes over the fastest of them in the same turns is printed at the end. The goal is at most 1.05.

Run: python benchmarks/engines.py --model color-small --side 512
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from speed_report import PLAIN
from timing import in_turns

from noiseless import bundle, networks
from noiseless.bundle import Bundle
from noiseless.data import samples
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.denoiser import find
from noiseless.exporting import save_bundle
from noiseless.exporting.int8 import all_int8, store
from noiseless.io import read_pixels
from noiseless.metrics import psnr
from noiseless.networks.spec import multiply_adds
from noiseless.noise import Gaussian
from noiseless.runtime import ENGINES, PRECISIONS, Engine, choose, open_engine, prepare
from noiseless.runtime.torch import load_network

MATRIX = 4096
SIGMA = 25 / 255
AUTO, PLENTY = "auto", 10**9
"""The engine that is chosen, and the pixels that it is told lie ahead."""

BASE = ("onnxruntime", "exact")
PRODUCT_FLOAT, PRODUCT_BF16 = ("product", "float32"), ("product", "bf16")


def plain_convolutions(folder: Path) -> Bundle:
    """DnCNN-17, its weights as they are before training, all of it in int8 that may be."""
    torch.manual_seed(0)
    arguments = {"channels": 3}
    network = networks.create("dncnn", **arguments)
    named = {"name": PLAIN, "network_name": "dncnn", "arguments": arguments, "card": "", "train": {}}
    model = save_bundle(network, folder / "plain", noise=Gaussian(SIGMA).to_dict(), **named)
    return store(model, all_int8(model))


def opened(model: Bundle, threads: int) -> dict[tuple[str, str], Engine]:
    """Each engine in each precision that it has for the model."""
    found = {}
    for name in (*ENGINES, AUTO):
        for precision in PRECISIONS:
            if choose(model, engine=name, precision=precision).precision == precision:
                found[name, precision] = open_engine(model, engine=name, precision=precision, threads=threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for (name, _), engine in found.items():
            if name == AUTO:
                prepare(engine, PLENTY)
    return found


def matrix_product(dtype: torch.dtype) -> Callable[[], object]:
    """A product of two large matrices."""
    first, second = (torch.rand(MATRIX, MATRIX).to(dtype) for _ in range(2))
    return lambda: first @ second


def seconds(work: Callable[[], object]) -> float:
    """How long something takes, once the threads of what ran before no longer wait for work, busily."""
    work()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Rate:
    """How fast an engine is in a precision.

    Attributes:
        engine: its name.
        precision: exact, fast or int8.
        pace: seconds a megapixel.
        gain: times as fast as the base.
        behind: time over that of the fastest engine in this precision.
        chosen: the engine that it stands for, where it is the automatic one.
        share: of the rate of a matrix product.
        psnr: of the result, dB.
    """

    engine: str
    precision: str
    pace: float
    gain: float
    behind: float
    chosen: str
    share: float
    psnr: float


def measure(model: Bundle, side: int, turns: int, threads: int) -> list[Rate]:
    """Let every engine and the matrix products take turns on a noisy photograph of this side, (C, side, side)."""
    torch.set_num_threads(threads)
    spec, side = model.spec, side - side % model.spec.multiple_of
    clean = to_channels(as_unit_float(read_pixels(samples("test")[0])), spec.channels)[:, :side, :side]
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    noisy = (clean + noise).astype(np.float32)[None]
    sigma = np.full((1, 1, 1, 1), SIGMA, np.float32) if spec.conditioning == "sigma" else None
    engines = opened(model, threads)
    quality = {key: psnr(engine.run(noisy, sigma)[0].clip(0, 1), clean) for key, engine in engines.items()}
    works: dict[tuple[str, str], Callable[[], object]] = {
        key: lambda engine=engine: engine.run(noisy, sigma) for key, engine in engines.items()
    }
    works |= {PRODUCT_FLOAT: matrix_product(torch.float32)}
    if any(precision == "fast" for _, precision in engines):  # minutes where the processor only imitates bf16
        works |= {PRODUCT_BF16: matrix_product(torch.bfloat16)}
    times = in_turns({key: partial(seconds, work) for key, work in works.items()}, turns)
    adds = multiply_adds(load_network(model), 256) * (noisy[0, 0].size / 256**2)
    return [rate_of(key, engines[key].name, times, adds, noisy[0, 0].size, quality[key]) for key in engines]


def rate_of(
    key: tuple[str, str],
    chosen: str,
    times: dict[tuple[str, str], list[float]],
    adds: float,
    pixels: int,
    quality: float,
) -> Rate:
    """From the times of all in the same turns."""
    peak = times[PRODUCT_BF16 if key[1] == "fast" else PRODUCT_FLOAT]
    gain = statistics.median(a / b for a, b in zip(times[BASE], times[key], strict=True))
    share = statistics.median((adds / a) / (MATRIX**3 / b) for a, b in zip(times[key], peak, strict=True))
    fixed = [other for other in times if other[1] == key[1] and other[0] in ENGINES]
    best = min(fixed, key=lambda other: statistics.median(times[other]))
    behind = statistics.median(a / b for a, b in zip(times[key], times[best], strict=True))
    return Rate(*key, statistics.median(times[key]) / pixels * 1e6, gain, behind, chosen, share, quality)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="color-small", help=f"or '{PLAIN}'")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = options.model == PLAIN
        model = plain_convolutions(Path(folder)) if plain else bundle.read(find(options.model))
        rates = measure(model, options.side, options.turns, options.threads)
    print(f"{model.name}, side {options.side}, {options.threads} threads, {options.turns} turns")
    print(f"{'engine':<12} {'precision':<10} {'s/MP':>7} {'times as fast':>14} {'share of peak':>14} {'PSNR':>7}")
    for rate in rates:
        print(
            f"{rate.engine:<12} {rate.precision:<10} {rate.pace:7.2f} {rate.gain:14.2f} {100 * rate.share:13.0f}% "
            f"{rate.psnr:7.2f}"
        )
    for rate in rates:
        if rate.engine == AUTO:
            print(f"auto, {rate.precision}: {rate.chosen}, {rate.behind:.3f} of the time of the fastest (goal 1.05)")


if __name__ == "__main__":
    main()
