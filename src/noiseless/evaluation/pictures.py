"""Pictures for a report: the first scenes, noisy, clean and as each model restored them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from noiseless.data.store import as_unit_float
from noiseless.evaluation.evaluate import Scene, to_uint8
from noiseless.evaluation.report import ImageScore

MOST_SCENES = 6
LARGEST_SIDE = 640


@dataclass
class ScenePictures:
    """One scene; uint8 arrays (H, W) or (H, W, 3).

    Attributes:
        name: of the image.
        noisy: what the models were given, clipped.
        clean: the reference.
        restored: by model.
        scores: by model, metric to value.
    """

    name: str
    noisy: np.ndarray
    clean: np.ndarray
    restored: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)


class Pictures:
    """Collects the first scenes while models are measured; `add` is a `Watch` of `evaluate`.

    Args:
        most: scenes to keep.
    """

    def __init__(self, most: int = MOST_SCENES) -> None:
        self._most = most
        self._scenes: dict[str, ScenePictures] = {}

    @property
    def scenes(self) -> list[ScenePictures]:
        """In the order in which they were measured."""
        return list(self._scenes.values())

    def add(self, model: str, scene: Scene, restored: np.ndarray, score: ImageScore) -> None:
        """Keep a result, if its scene is among the first."""
        if scene.name not in self._scenes:
            if len(self._scenes) >= self._most:
                return
            noisy, clean = _picture(as_unit_float(scene.noisy)), _picture(scene.clean)
            self._scenes[scene.name] = ScenePictures(scene.name, noisy, clean)
        kept = self._scenes[scene.name]
        kept.restored[model] = _picture(restored)
        kept.scores[model] = dict(score.values)


def _picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) in [0, 1] units to uint8 (H, W) or (H, W, 3); the middle of a large image, at its own resolution."""
    height, width = image.shape[-2:]
    top, left = max(0, height - LARGEST_SIDE) // 2, max(0, width - LARGEST_SIDE) // 2
    part = to_uint8(image[:, top : top + LARGEST_SIDE, left : left + LARGEST_SIDE])
    return np.moveaxis(part, 0, -1) if len(part) == 3 else part[0]
