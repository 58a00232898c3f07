"""Pictures for a report: some scenes, the worst among them, noisy, clean and as each model restored them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from noiseless.data.store import as_unit_float
from noiseless.evaluation.report import LOWER_IS_BETTER, ImageScore
from noiseless.evaluation.scenes import Scene, to_uint8

MOST_SCENES = 6
LARGEST_SIDE = 640


@dataclass
class ScenePictures:
    """One scene; uint8 arrays (H, W) or (H, W, 3).

    Attributes:
        name: of the image.
        noisy: what the models were given, clipped.
        clean: the reference.
        group: of the image, where there are groups.
        note: why the scene is shown, where there is a reason.
        restored: by model.
        scores: by model, metric to value.
    """

    name: str
    noisy: np.ndarray
    clean: np.ndarray
    group: str | None = None
    note: str = ""
    restored: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)


class Pictures:
    """Collects scenes while models are measured; `add` is a `Watch` of `evaluate`.

    The first scenes are kept, a new group taking the place of one that several scenes stand for; and the scene on
    which the first model (but `identity`) is worst.

    Args:
        most: scenes to keep.
    """

    def __init__(self, most: int = MOST_SCENES) -> None:
        self._most = most
        self._kept: list[ScenePictures] = []
        self._worst: ScenePictures | None = None
        self._current: ScenePictures | None = None

    @property
    def scenes(self) -> list[ScenePictures]:
        """In the order in which they were measured, but for the worst, which comes last."""
        self._settle()
        if self._worst is None or self._most < 1:
            return list(self._kept[: self._most])
        model, metric, _ = _rank(self._worst)
        self._worst.note = f"the worst {metric.upper().replace('_', '-')} of {model}" if len(self._kept) > 1 else ""
        others = [scene for scene in self._kept if scene is not self._worst]
        return [*others[: self._most - 1], self._worst]

    def add(self, model: str, scene: Scene, restored: np.ndarray, score: ImageScore) -> None:
        """Take a result in; all models of a scene come one after another."""
        if self._current is None or self._current.name != scene.name:
            self._settle()
            noisy, clean = _picture(as_unit_float(scene.noisy)), _picture(scene.clean)
            self._current = ScenePictures(scene.name, noisy, clean, scene.group)
        self._current.restored[model] = _picture(restored)
        self._current.scores[model] = dict(score.values)

    def _settle(self) -> None:
        """Decide about the scene that is complete."""
        scene, self._current = self._current, None
        if scene is None:
            return
        if self._worst is None or _rank(scene)[2] < _rank(self._worst)[2]:
            self._worst = scene
        groups = [kept.group for kept in self._kept]
        if len(self._kept) < self._most:
            self._kept.append(scene)
        elif scene.group not in groups:
            again = [number for number, group in enumerate(groups) if groups.count(group) > 1]
            if again:
                self._kept[again[-1]] = scene


def _rank(scene: ScenePictures) -> tuple[str, str, float]:
    """The model and metric by which scenes are compared, and its value: higher is better."""
    model = next((name for name in scene.scores if name != "identity"), next(iter(scene.scores)))
    metric, value = next(iter(scene.scores[model].items()))
    value = math.inf if math.isnan(value) else value
    return model, metric, -value if metric in LOWER_IS_BETTER else value


def _picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) in [0, 1] units to uint8 (H, W) or (H, W, 3); the middle of a large image, at its own resolution."""
    height, width = image.shape[-2:]
    top, left = max(0, height - LARGEST_SIDE) // 2, max(0, width - LARGEST_SIDE) // 2
    part = to_uint8(image[:, top : top + LARGEST_SIDE, left : left + LARGEST_SIDE])
    return np.moveaxis(part, 0, -1) if len(part) == 3 else part[0]
