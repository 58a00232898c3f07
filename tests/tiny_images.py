"""Small image files for the tests of data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def texture(seed: int, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """Random uint8 pixels (H, W, C), or (H, W) for one channel; another seed gives other content."""
    pixels = np.random.default_rng(seed).integers(30, 220, (height, width, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def save(path: Path, seed: int, **shape: int) -> Path:
    """Write `texture` as PNG, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(texture(seed, **shape)).save(path)
    return path


def save_many(folder: Path, names: list[str], first_seed: int = 0) -> None:
    """Write one file for each name, with content of its own."""
    for number, name in enumerate(names):
        save(folder / name, first_seed + number)
