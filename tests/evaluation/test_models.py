"""What models are called, and what happens when one fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from noiseless import baselines
from noiseless.errors import ConfigError, UnknownNameError, WorkError
from noiseless.evaluation import evaluate
from noiseless.evaluation.models import _names, resolve


def test_paths_are_called_by_what_tells_them_apart() -> None:
    names = _names(["runs/a/best", Path("runs/b/best"), "gray-small", "other/c.pth", baselines.MEDIAN])
    assert names == ["a/best", "b/best", "gray-small", "c.pth", "median"]


def test_one_model_or_several() -> None:
    assert [model.name for model in resolve("median")] == ["median"]
    assert [model.name for model in resolve(["median", baselines.IDENTITY])] == ["median", "identity"]
    with pytest.raises(ConfigError, match="no model"):
        resolve([])
    with pytest.raises(ConfigError, match="same name"):
        resolve(["median", "median"])
    with pytest.raises(UnknownNameError, match="median"):
        resolve("medium")


class Broken:
    """Returns what it is made with."""

    name = "broken"

    def __init__(self, value: float, size: int) -> None:
        self._output = np.full((size, size), value, np.float32)

    def __call__(self, array: np.ndarray, **options: object) -> np.ndarray:
        return self._output


@pytest.mark.parametrize(("value", "size"), [(np.nan, 32), (np.inf, 32), (0.5, 31)])
def test_a_model_that_fails_is_not_left_out_of_the_mean(tmp_path: Path, value: float, size: int) -> None:
    Pillow.fromarray(np.full((32, 32), 100, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(WorkError, match=r"broken failed on .*a\.png"):
        evaluate(Broken(value, size), clean=tmp_path, noise="gaussian:25")
