"""What the neighbouring frames of a film are worth: PSNR, and how much the error changes from frame to frame (flicker).

On the frames of a folder, cropped, and on a camera that moves over the first of them by whole pixels and stops; both
with Gaussian noise. Each is denoised frame by frame and with the neighbours that `--set temporal=` names.

Run: python benchmarks/film.py FOLDER [--model color-small] [--sigma 25]
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np

import noiseless
from noiseless.noise import parse
from noiseless.workflows.film import FilmWork, denoise_frames
from noiseless.workflows.task import Task

HEIGHT, WIDTH = 192, 256


def cropped(folder: Path, count: int) -> list[np.ndarray]:
    """The middle of the first frames of a folder, (3, H, W) in [0, 1] units."""
    paths = sorted(folder.glob("*.png"))[:count]
    planes = [noiseless.read(path).planes()[0] for path in paths]
    top, left = ((size - want) // 2 for size, want in zip(planes[0].shape[1:], (HEIGHT, WIDTH), strict=True))
    return [frame[:, top : top + HEIGHT, left : left + WIDTH] for frame in planes]


def panned(frame: np.ndarray) -> list[np.ndarray]:
    """A camera that moves over a picture for four frames and stands still for three."""
    places = [0, 1, 2, 3, 3, 3, 3]
    height, width = frame.shape[1] - 16, frame.shape[2] - 16
    return [frame[:, 2 * step : 2 * step + height, 3 * step : 3 * step + width] for step in places]


def restored(model: noiseless.Denoiser, frames: list[np.ndarray], sigma: float, reach: int) -> np.ndarray:
    """The frames, denoised with so many neighbours on each side."""
    with contextlib.ExitStack() as stack:
        work = FilmWork(model, Task(noise=parse(f"gaussian:{sigma:g}")), frames[0].shape[1:], stack)
        pictures = ((frame, 0.0) for frame in frames)
        return np.stack(list(denoise_frames(pictures, work, reach, lambda share: None, lambda: False)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="color-small")
    parser.add_argument("--sigma", type=float, default=25)
    options = parser.parse_args()
    model = noiseless.load(options.model)
    film = cropped(options.folder, 7)
    random = np.random.default_rng(0)
    for name, frames in (("film", film), ("pan", panned(film[0]))):
        clean = np.stack(frames)
        noisy = clean + options.sigma / 255 * random.standard_normal(clean.shape).astype(np.float32)
        for reach in (0, 2):
            error = 255 * (restored(model, list(noisy), options.sigma, reach) - clean)
            psnr = np.mean([20 * np.log10(255) - 10 * np.log10((frame**2).mean()) for frame in error])
            flicker = np.sqrt((np.diff(error, axis=0) ** 2).mean())
            print(f"{name}, temporal={reach}: {psnr:.2f} dB, flicker {flicker:.2f} grey levels", flush=True)


if __name__ == "__main__":
    main()
