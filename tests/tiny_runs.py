"""Small images and configurations that train in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from noiseless.data.store import write_store
from noiseless.training.config import DataConfig, RunConfig, TrainingConfig

TINY_NETWORK = {"channels": 1, "widths": [8, 16], "blocks": [1, 1]}


def pictures(count: int, seed: int, size: int = 64) -> list[np.ndarray]:
    """Grey uint8 images (1, size, size) of overlapping discs and a gradient: edges, flat parts, smooth parts."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    images = []
    for _ in range(count):
        image = 40 + 120 * generator.random() * columns / size
        for _ in range(6):
            y, x = generator.uniform(0, size, 2)
            inside = (rows - y) ** 2 + (columns - x) ** 2 < generator.uniform(5, 20) ** 2
            image = np.where(inside, generator.uniform(0, 255), image)
        images.append(np.rint(image).astype(np.uint8)[None])
    return images


def stores(folder: Path) -> DataConfig:
    """Two packed stores of pictures: to train and to validate on."""
    for name, count, seed in (("train", 12, 1), ("validation", 4, 2)):
        write_store(folder / name, ((f"{name}-{i}", image, {}) for i, image in enumerate(pictures(count, seed))))
    return DataConfig(clean=(str(folder / "train"),), validation=(str(folder / "validation"),))


def config(data: DataConfig, training: dict[str, Any] | None = None, **changes: Any) -> RunConfig:
    """A run of a tiny U-Net on grey pictures."""
    settings: dict[str, Any] = {
        "network": "unet_nano",
        "arguments": TINY_NETWORK,
        "noise": "gaussian:30",
        "steps": 60,
        "data": data,
        "training": TrainingConfig(
            **{
                "batch_size": 4,
                "patch_size": 32,
                "lr": 3e-3,
                "precision": "float32",
                "accelerator": "cpu",
                "validations": 4,
                "ema": 0.9,
                **(training or {}),
            }
        ),
    }
    return RunConfig(**{**settings, **changes})
