"""How long `noiseless denoise` takes on a 512x512 image from a cold start.

Against a bare import of onnxruntime plus one warm run of the same model on the same image: what remains is start-up,
reading, loading the model, estimating the noise and writing. Python's bytecode is there, as after an installation.
The goal is at most 1.5 times.

Run: python benchmarks/cold_start.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from timing import wall_time

import noiseless

SIZE = 512


def noisy_image(folder: Path, channels: int) -> Path:
    """A grey or colour image with Gaussian noise of 25/255, written as a PNG."""
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    clean = 0.5 + 0.2 * np.sin(12 * rows) * np.cos(9 * columns)
    clean = np.stack([clean] * channels, axis=-1).squeeze()
    noisy = clean + np.random.default_rng(0).normal(0, 25 / 255, clean.shape)
    path = folder / "noisy.png"
    noiseless.write(path, noiseless.Image.from_array((255 * noisy).round().clip(0, 255).astype(np.uint8)))
    return path


def warm_run(model: str, path: Path, repeats: int) -> float:
    """Seconds of one run of the model alone, already loaded and warm: the median of some."""
    denoiser = noiseless.load(model)
    pixels = noiseless.read(path).array
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        denoiser(pixels, noise="gaussian:25")
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gray-small")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = noisy_image(folder, noiseless.load(options.model).spec.channels)
        command = ["-m", "noiseless", "denoise", str(path), "-o", str(folder / "clean.png"), "--model", options.model]
        ratios, whole, imports, runs = [], [], [], []
        wall_time(command)
        for _ in range(options.repeats):
            imports.append(wall_time(["-c", "import onnxruntime"]))
            runs.append(warm_run(options.model, path, 3))
            whole.append(wall_time(command))
            ratios.append(whole[-1] / (imports[-1] + runs[-1]))
    print(f"noiseless denoise, {SIZE}x{SIZE}, cold   median {1000 * statistics.median(whole):5.0f} ms")
    print(f"import onnxruntime                 median {1000 * statistics.median(imports):5.0f} ms")
    print(f"one warm run of {options.model:<18} median {1000 * statistics.median(runs):5.0f} ms")
    print(f"cold / (import + warm run)         median {statistics.median(ratios):5.2f}")


if __name__ == "__main__":
    main()
