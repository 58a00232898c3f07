"""Make the store of crops that fine-tuning rehearses, from the CC0 wallpapers of the Budgie desktop.

    python scripts/make_replay.py FOLDER_OF_BUDGIE_BACKGROUNDS src/noiseless/samples/replay

Each photograph becomes one strip: its crops side by side, lossless WebP. The photographs are those that shipped models
learn from; left out are drawings, renderings, and the scenes that ship to measure on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from noiseless.data.prepare import PackReport, Preparation, choose_crops, choose_factor, judge, scale_down
from noiseless.data.shipped import CROP, samples

CROPS = 16
DRAWN = (
    "accelerated-green",
    "geo-forest",
    "ocean-waves",
    "valley-coral",
    "valley-midnight",
    "waves-midnight",
    "waves-slate",
)


def main(source: Path, destination: Path) -> None:
    """Write a strip for every photograph."""
    measured = {path.stem for kind in ("validation", "test", "noisy") for path in samples(kind)}
    destination.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.jpg")):
        if path.stem in measured | {*DRAWN}:
            continue
        crops = spread(path)
        strip = np.concatenate(crops, axis=2).transpose(1, 2, 0)
        file = destination / f"{path.stem}.webp"
        Image.fromarray(np.ascontiguousarray(strip)).save(file, lossless=True, quality=100, method=6, exact=True)
        print(f"{file.name}: {len(crops)} crops, {file.stat().st_size / 1000:.0f} kB")


def spread(path: Path) -> list[np.ndarray]:
    """Crops (3, CROP, CROP) of a photograph, from those with most content to those with least."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    small = scale_down(pixels, choose_factor(pixels))
    found = choose_crops(small, Preparation(crop=CROP, per_image=10**6, smooth=0.1), PackReport())
    ordered = sorted((crop for _, _, crop in found), key=lambda crop: -judge(crop)[1])
    places = np.linspace(0, len(ordered) - 1, min(CROPS, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
