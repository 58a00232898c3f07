"""Make the before / after pictures of the READMEs in docs/pictures, with the models that ship, and print their numbers.

The cat is Chelsea, by Stefan van der Walt, CC0, as scikit-image ships it; no model of ours was trained on her.

Run: python scripts/make_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data

import noiseless
from noiseless import baselines
from noiseless.data import samples
from noiseless.denoiser import choose_model
from noiseless.evaluation.html import liveliest
from noiseless.evaluation.scenes import to_uint8
from noiseless.metrics import psnr

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SIGMA = 25
REAL = ("beacon-street-sunset",)
GAP = 8
ZOOM = 3
CROP = 128


def main() -> None:
    """Write one picture for each photograph that the READMEs show."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    synthetic("chelsea", noiseless.Image.from_array(skimage.data.chelsea()))
    for path in samples("noisy"):
        if path.stem in REAL:
            real(path)


def synthetic(name: str, image: noiseless.Image) -> None:
    """A photograph with Gaussian noise: noisy, median, BM3D, the shipped model, clean."""
    clean = image.planes()[0]
    noisy = (clean + np.random.default_rng(0).normal(0, SIGMA / 255, clean.shape)).astype(np.float32)
    model = noiseless.load(choose_model(image, told=True)[0])
    told = {"noise": f"gaussian:{SIGMA}", "channel_axis": 0, "data_range": 1.0}
    results = {
        "noisy": noisy,
        "median": baselines.load("median")(noisy, **told),
        "bm3d": baselines.load("bm3d")(noisy, **told),
        model.name: model(noisy, **told),
        "clean": clean,
    }
    top, left = liveliest(np.moveaxis(clean, 0, -1), CROP)
    crops = [picture(each[:, top : top + CROP, left : left + CROP], 2) for each in results.values()]
    write(name, crops)
    numbers = (f"{what} {psnr(each.clip(0, 1), clean):.2f} dB" for what, each in results.items() if what != "clean")
    print(f"{name}: {', '.join(numbers)}")


def real(path: Path) -> None:
    """A photograph with real noise: the whole of it before and after, then its liveliest part, enlarged."""
    image = noiseless.read(path)
    name, reason = choose_model(image)
    restored = noiseless.load(name).image(image)
    before, after = (each.planes()[0] for each in (image, restored))
    top, left = liveliest(np.moveaxis(before, 0, -1), CROP)
    parts = [picture(each[:, top : top + CROP, left : left + CROP], ZOOM) for each in (before, after)]
    write(path.stem, [picture(before), picture(after), *parts])
    print(f"{path.stem}: {name}, {reason}")


def picture(planes: np.ndarray, zoom: int = 1) -> np.ndarray:
    """(C, H, W) in [0, 1] units as uint8 (H, W, C), each pixel enlarged."""
    return np.moveaxis(to_uint8(planes), 0, -1).repeat(zoom, axis=0).repeat(zoom, axis=1)


def write(name: str, pictures: list[np.ndarray]) -> None:
    """Pictures of one height side by side, with a white gap."""
    gap = np.full((pictures[0].shape[0], GAP, pictures[0].shape[2]), 255, np.uint8)
    parts = [part for each in pictures for part in (each, gap)][:-1]
    noiseless.write(FOLDER / f"{name}.webp", noiseless.Image.from_array(np.concatenate(parts, axis=1)))


if __name__ == "__main__":
    main()
