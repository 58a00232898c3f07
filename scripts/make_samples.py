"""Make the photographs that ship with the package from the CC0 wallpapers of the Budgie desktop.

    python scripts/make_samples.py FOLDER_OF_BUDGIE_BACKGROUNDS src/noiseless/samples

Clean samples are scaled down until neither JPEG artefacts nor sensor noise are left; the noisy ones are not scaled.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from noiseless.data.prepare import scale_down


@dataclass(frozen=True)
class Sample:
    """A square of a photograph: `left`, `top` and `side` count pixels after scaling down by `factor`."""

    kind: str
    name: str
    factor: float
    left: int
    top: int
    side: int


SAMPLES = (
    Sample("train", "lake-sherburne", 3, 520, 40, 384),
    Sample("train", "roman-colosseum", 3, 60, 180, 384),
    Sample("train", "the-spices-of-life", 3, 300, 300, 384),
    Sample("train", "orange-hallway", 2.5, 560, 380, 384),
    Sample("train", "motherboard-circuits", 2.5, 500, 300, 384),
    Sample("train", "solaris-grapes", 3, 350, 150, 384),
    Sample("train", "extreme-desert-hike", 2.5, 230, 480, 384),
    Sample("train", "oakland-zoo-otters", 3, 380, 230, 384),
    Sample("validation", "canyon-wren", 2, 680, 150, 256),
    Sample("validation", "casa-mila", 2.5, 228, 100, 256),
    Sample("test", "kitten-on-lawn", 3, 390, 230, 320),
    Sample("test", "perched-osprey", 3, 380, 70, 320),
    Sample("test", "singaporean-cityscape", 3, 640, 170, 320),
    Sample("noisy", "abstract-spiral", 1, 2000, 1200, 384),
    Sample("noisy", "beacon-street-sunset", 1, 540, 900, 384),
)


def main(source: Path, destination: Path) -> None:
    """Write every sample as lossless WebP."""
    for sample in SAMPLES:
        with Image.open(source / f"{sample.name}.jpg") as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        small = scale_down(pixels, sample.factor)
        square = small[:, sample.top : sample.top + sample.side, sample.left : sample.left + sample.side]
        if square.shape[1:] != (sample.side, sample.side):
            raise SystemExit(f"{sample.name}: the square does not lie in the image")
        path = destination / sample.kind / f"{sample.name}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.ascontiguousarray(square.transpose(1, 2, 0)))
        image.save(path, lossless=True, quality=100, method=6, exact=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
