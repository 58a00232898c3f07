"""What reading, writing, tiles and Python cost beside the engine, and how time and memory grow with the image.

Every number of time is a ratio within one run of this program, of commands and engines that take turns. The engine's
own time is that of the tiles that the command cuts, loaded and warm.

    python benchmarks/throughput.py command        the command on one large image, against the engine
    python benchmarks/throughput.py folder         the command on a folder of small images, against the engine
    python benchmarks/throughput.py growth         time and memory from 4 to 100 megapixels
    python benchmarks/throughput.py gigapixel      memory for 1000 megapixels

`--model` may be any; the goals are hardest for the fastest. `--megapixels` makes it shorter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

import noiseless
from noiseless.bundle import NetworkSpec
from noiseless.inference import LARGEST_CORE
from noiseless.runtime import prepare
from noiseless.tiling import round_up, tiles

TILE = 512
"""Side of the tiles of the files that are written here."""

GROWTH = (4, 12, 25, 50, 100)
"""Megapixels."""

GROWTH_CORE = 640
GROWTH_SET = (f"tile={GROWTH_CORE}", "engine=onnxruntime")
"""Windows of one size, 757 to 826 pixels a side, whatever the image's; and one engine, since the one that is chosen for
much work takes more memory."""

MEASURED = (
    "import sys, time, json; start = time.perf_counter(); from noiseless.__main__ import main; "
    "code = main(sys.argv[1:]); from noiseless.runtime.machine import peak_memory; "
    "print(json.dumps([time.perf_counter() - start, peak_memory()])); sys.exit(code)"
)


@dataclass(frozen=True)
class Measured:
    """What a command took: seconds and bytes."""

    seconds: float
    memory: int


def command(folder: Path, *arguments: str) -> Measured:
    """Run `noiseless denoise` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "denoise", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return Measured(*json.loads(done.stdout.splitlines()[-1]))


def picture(side: int, channels: int, seed: int = 0) -> np.ndarray:
    """A noisy picture, uint8, (side, side) or (side, side, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / 64
    clean = 120 + 50 * np.sin(rows) * np.cos(1.3 * columns)
    noisy = clean[..., np.newaxis] + 20 * random.standard_normal((side, side, channels))
    return noisy.round().clip(0, 255).astype(np.uint8).squeeze()


def write_large(path: Path, side: int, channels: int) -> None:
    """A tiled TIFF of one picture repeated, which is never in memory."""
    tile = picture(TILE, channels)
    shape = (side, side) if channels == 1 else (side, side, 3)
    count = (-(-side // TILE)) ** 2
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        photometric = "rgb" if channels == 3 else "minisblack"
        pieces: Iterator[np.ndarray] = (tile for _ in range(count))
        writer.write(pieces, shape=shape, dtype=np.uint8, tile=(TILE, TILE), photometric=photometric)


def engine_seconds(model: noiseless.Denoiser, sides: list[int], tile: int) -> float:
    """Seconds of the engine alone on the tiles of square images, warm; each size of window is run once or twice."""
    spec = model.spec
    windows = Counter(shape for side in sides for shape in window_shapes(side, tile, spec))
    return sum(count * _run_seconds(model, shape, min(count, 3)) for shape, count in windows.items())


def window_shapes(side: int, tile: int, spec: NetworkSpec) -> list[tuple[int, int]]:
    """Height and width of all windows that a square image is cut into."""
    length = round_up(side, spec.multiple_of)
    return [piece.window_shape for piece in tiles(length, length, tile, spec.halo or 0, spec.multiple_of)]


def _run_seconds(model: noiseless.Denoiser, shape: tuple[int, int], repeats: int) -> float:
    batch = np.random.default_rng(0).random((1, model.spec.channels, *shape), dtype=np.float32)
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32) if model.takes_sigma else None
    model.engine.run(batch[..., :64, :64], sigma)
    start = time.perf_counter()
    for _ in range(repeats):
        model.engine.run(batch, sigma)
    return (time.perf_counter() - start) / repeats


def command_and_engine(options: argparse.Namespace, folder: Path, suffix: str = "tif") -> tuple[Measured, float]:
    """What the command takes for one large image, and the seconds of the engine alone."""
    model = noiseless.load(options.model, precision=options.precision, engine=engine_of(options))
    side = round((options.megapixels * 1e6) ** 0.5)
    prepare(model.engine, side**2)  # as the command does: both take one engine
    tile = min(LARGEST_CORE, 1024)
    if suffix == "tif":
        write_large(folder / "a.tif", side, model.spec.channels)
    else:
        noiseless.write(folder / f"a.{suffix}", noiseless.Image.from_array(picture(side, model.spec.channels)))
    alone = engine_seconds(model, [side], tile)
    return command(folder, f"a.{suffix}", "-o", f"b.{suffix}", *given(options), "--set", f"tile={tile}"), alone


def measure_command(options: argparse.Namespace, folder: Path) -> None:
    for suffix in ("tif", "png") if options.png else ("tif",):
        whole, alone = command_and_engine(options, folder, suffix)
        print(
            f"{options.megapixels:g} megapixels, {suffix}: command {whole.seconds:.1f} s, engine {alone:.1f} s, "
            f"ratio {whole.seconds / alone:.2f} (goal 1.3), peak {whole.memory / 1e6:.0f} MB",
            flush=True,
        )


def measure_folder(options: argparse.Namespace, folder: Path) -> None:
    model = noiseless.load(options.model, precision=options.precision, engine=engine_of(options))
    (folder / "in").mkdir()
    for number in range(options.files):
        image = noiseless.Image.from_array(picture(options.side, model.spec.channels, number))
        noiseless.write(folder / "in" / f"{number:04}.png", image)
    alone = engine_seconds(model, [options.side] * options.files, LARGEST_CORE)
    for name, noise in (("told", ["--sigma", "20"]), ("estimated", [])):
        whole = command(folder, "in", "-o", f"out-{name}", *given(options, noise))
        print(
            f"{options.files} images of {options.side}x{options.side}, noise {name}: command {whole.seconds:.1f} s, "
            f"engine {alone:.1f} s, ratio {whole.seconds / alone:.2f}",
            flush=True,
        )


def growth(options: argparse.Namespace, folder: Path, megapixels: float) -> tuple[float, float, Measured]:
    """The megapixels that there are, about those asked for; those of all windows, which overlap; and the command."""
    spec = noiseless.load(options.model).spec
    side = round((megapixels * 1e6) ** 0.5 / TILE) * TILE
    write_large(folder / "a.tif", side, spec.channels)
    settings = [part for setting in GROWTH_SET for part in ("--set", setting)]
    windows = sum(height * width for height, width in window_shapes(side, GROWTH_CORE, spec))
    return side**2 / 1e6, windows / 1e6, command(folder, "a.tif", "-o", "b.tif", *given(options), *settings)


def measure_growth(options: argparse.Namespace, folder: Path) -> None:
    first: Measured | None = None
    for megapixels in [size for size in GROWTH if size <= options.megapixels]:
        pixels, windows, now = growth(options, folder, megapixels)
        first = first or now
        print(
            f"{pixels:6.1f} megapixels, {windows:6.1f} in windows: {now.seconds / pixels:.3f} s a megapixel, "
            f"{now.seconds / windows:.3f} s one of windows, peak {now.memory / 1e6:.0f} MB "
            f"({now.memory / first.memory:.2f} of the first)",
            flush=True,
        )


def measure_gigapixel(options: argparse.Namespace, folder: Path) -> None:
    channels = noiseless.load(options.model).spec.channels
    side = round(1e9**0.5 / TILE + 0.5) * TILE
    write_large(folder / "a.tif", side, channels)
    took = command(folder, "a.tif", "-o", "b.tif", *given(options), "--max-memory", "900MB")
    print(f"{side**2 / 1e6:.0f} megapixels: {took.seconds:.0f} s, peak {took.memory / 1e6:.0f} MB (goal: below 1000)")


def given(options: argparse.Namespace, noise: list[str] | None = None) -> list[str]:
    """Options of the command."""
    noise = ["--sigma", "20"] if noise is None else noise
    return ["--model", str(Path(options.model).resolve()) if "/" in options.model else options.model,
            "--precision", options.precision, *noise,
            *(["--set", f"engine={engine_of(options)}"] if engine_of(options) != "auto" else [])]  # fmt: skip


def engine_of(options: argparse.Namespace) -> str:
    """The engine of the command and of what it is compared with."""
    return getattr(options, "engine", "auto")


MEASURES: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "command": measure_command,
    "folder": measure_folder,
    "growth": measure_growth,
    "gigapixel": measure_gigapixel,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MEASURES)
    parser.add_argument("--model", default="color-small")
    parser.add_argument("--precision", default="exact")
    parser.add_argument("--engine", default="auto", help="of all but growth, which has one of its own")
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--png", action="store_true", help="also as PNG, which takes longer to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        MEASURES[options.what](options, Path(name))


if __name__ == "__main__":
    main()
