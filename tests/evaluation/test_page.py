"""What the report shows: pictures that are chosen well, a plot whose names do not cover each other."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from noiseless.calibration.page import ticks
from noiseless.evaluation import ImageScore, ModelResult, Protocol, Report
from noiseless.evaluation.pictures import Pictures
from noiseless.evaluation.plot import HEIGHT, LINE, WIDTH, quality_plot
from noiseless.evaluation.scenes import Scene


def report(models: dict[str, tuple[float, float]], metric: str = "psnr") -> Report:
    """A report of one image; of each model the value and the seconds."""
    results = tuple(
        ModelResult(name, (ImageScore("a.png", {metric: value}, seconds),)) for name, (value, seconds) in models.items()
    )
    protocol = Protocol("set", "0" * 64, 1, "gaussian:25", 0, "noise model")
    return Report(protocol, results, (metric,))


def names_in(drawing: str) -> dict[str, tuple[float, float]]:
    """Each model's name with the place where it is written."""
    root = ElementTree.fromstring(drawing)
    texts = [text for text in root.iter("text") if text.get("class") == "name"]
    return {(text.text or "").strip(): (float(text.attrib["x"]), float(text.attrib["y"])) for text in texts}


def test_the_plot_places_quality_upwards_and_time_to_the_right() -> None:
    places = names_in(quality_plot(report({"fast": (28.0, 0.01), "slow & good": (30.0, 10.0), "identity": (20.0, 0)})))
    assert set(places) == {"fast", "slow & good"}
    assert places["fast"][0] < places["slow & good"][0]
    assert places["fast"][1] > places["slow & good"][1]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in places.values())


def test_names_of_similar_models_do_not_cover_each_other() -> None:
    similar = {f"model number {number}": (30 + 0.001 * number, 1 + 0.01 * number) for number in range(6)}
    heights = sorted(y for _, y in names_in(quality_plot(report(similar))).values())
    assert min(np.diff(heights)) >= LINE - 0.2


def test_one_model_or_equal_models_are_no_reason_to_fail() -> None:
    assert quality_plot(report({"only": (30.0, 1.0)})) == ""
    assert "svg" in quality_plot(report({"one": (30.0, 1.0), "other": (30.0, 1.0)}))
    assert "svg" in quality_plot(report({"one": (np.inf, 1.0), "other": (30.0, 0.0), "third": (30.0, 0.0)}))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (19.7, 31.2), (0.8612, 0.8619), (-3, 400)])
def test_ticks_are_round_and_few(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert 2 <= len(marks) <= 6
    assert all(low <= mark <= high for mark in marks)
    assert all(re.fullmatch(r"-?[\d.]{1,6}", f"{mark:g}") for mark in marks)


def collect(values: list[float], groups: list[str | None] | None = None, most: int = 3) -> Pictures:
    """Pictures of scenes on which a model reaches these values."""
    pictures = Pictures(most)
    image = np.zeros((1, 8, 8), np.float32)
    for number, value in enumerate(values):
        group = groups[number] if groups else None
        scene = Scene(f"scene {number}", image, image, None, group)
        pictures.add("identity", scene, image, ImageScore(scene.name, {"psnr": -value}, 0.0))
        pictures.add("model", scene, image, ImageScore(scene.name, {"psnr": value}, 0.0))
    return pictures


def test_the_worst_scene_is_shown() -> None:
    scenes = collect([30, 31, 32, 33, 12, 35]).scenes
    assert [scene.name for scene in scenes] == ["scene 0", "scene 1", "scene 4"]
    assert scenes[-1].note == "the worst PSNR of model"
    assert [scene.name for scene in collect([10, 31, 32, 33]).scenes] == ["scene 1", "scene 2", "scene 0"]
    assert [scene.name for scene in collect([30]).scenes] == ["scene 0"]
    assert collect([]).scenes == []


def test_every_group_has_a_scene_where_there_is_room() -> None:
    scenes = collect([10, 31, 32, 33, 34], ["a", "a", "a", "b", "c"], most=4).scenes
    assert {scene.group for scene in scenes} == {"a", "b", "c"}


def test_all_models_of_a_scene_are_kept() -> None:
    assert all(set(scene.restored) == {"identity", "model"} for scene in collect([30, 31, 12]).scenes)


def test_lower_is_better_for_errors() -> None:
    made = report({"good": (0.001, 1.0), "bad": (0.1, 1.0)}, "mse")
    assert made.best() == "good"
    assert made.difference(made["bad"]).better == 0
