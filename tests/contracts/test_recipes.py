"""Each recipe: it parses, builds such a network as the model of its name has, takes two steps, and records its data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from noiseless import bundle
from noiseless.__main__ import main
from noiseless.data import samples
from noiseless.data.store import write_store
from noiseless.data.synthesis import synthesise
from noiseless.io import read_pixels
from noiseless.noise import parse
from noiseless.training.recipe import load_recipe, recipe_names

QUICK = {
    "training.stages": "[[0, 32, 2]]",
    "training.validations": "1",
    "training.validation_size": "32",
    "training.precision": "float32",
    "training.accelerator": "cpu",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Options that name the images: clean ones, and pairs made ahead for a recipe without noise."""
    folder = tmp_path_factory.mktemp("images")
    clean = [np.ascontiguousarray(read_pixels(path)[..., :96, :96]) for path in samples("train")[:4]]
    write_store(folder / "clean", ((f"{number}", image, {}) for number, image in enumerate(clean)))
    synthesise(clean, parse("camera"), count=10, patch=32, seed=0, folder=folder / "pairs")
    return {"clean": ["--clean", str(folder / "clean")], "pairs": ["--data", str(folder / "pairs")]}


def test_every_shipped_model_has_its_recipe() -> None:
    assert recipe_names() == sorted(bundle.shipped())


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_two_steps(name: str, images: dict[str, list[str]], tmp_path: Path) -> None:
    source = "clean" if "noise" in load_recipe(name) else "pairs"
    settings = [f"--set={key}={value}" for key, value in QUICK.items()]
    command = ["train", "--recipe", name, *images[source], "--steps", "2", *settings, "-o", str(tmp_path / "run")]
    assert main(command) == 0
    made, shipped = bundle.read(tmp_path / "run" / "last"), bundle.read(bundle.shipped()[name])
    assert (made.name, made.network, made.spec, made.noise) == (name, shipped.network, shipped.spec, shipped.noise)
    record = json.loads((made.path / bundle.TRAIN).read_text("utf-8"))
    assert record["steps"] == 2
    if source == "pairs":
        assert record["data"]["pairs"]["noise"] == parse("camera").to_dict()
    else:
        assert len(record["data"]["images"]) == 4
