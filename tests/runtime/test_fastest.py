"""The engine that is chosen automatically: measured when it pays, remembered, never in the way of a small image."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import tiny_models
from noiseless.bundle import Bundle
from noiseless.inference import restore
from noiseless.runtime import Array, Engine, fastest, open_engine, prepare, remembered
from noiseless.runtime.fastest import AutomaticEngine, Speed
from noiseless.runtime.machine import resident_memory


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "noiseless"


@pytest.fixture
def engine(conditioned_bundle: Bundle) -> AutomaticEngine:
    opened = open_engine(conditioned_bundle, threads=1)
    if not isinstance(opened, AutomaticEngine):
        pytest.skip("only one engine is installed")
    return opened


def measured(monkeypatch: pytest.MonkeyPatch, **pixel: float) -> list[set[str]]:
    """Let measurements find these seconds a pixel, opening no time, and tell which engines were measured."""
    calls: list[set[str]] = []

    def measure(bundle: Bundle, engines: dict[str, Engine]) -> dict[str, float]:
        calls.append(set(engines))
        return {name: pixel[name] for name in engines}

    monkeypatch.setattr(fastest, "measure", measure)
    monkeypatch.setattr(fastest, "LOADING", {"onnxruntime": 0.1, "openvino": 0.3, "torch": 3.0})
    return calls


def test_a_small_image_measures_nothing(
    engine: AutomaticEngine, conditioned_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    calls = measured(monkeypatch)
    image, sigma = tiny_models.noisy(1, 1, 64, 64), np.full((1, 1, 1, 1), 0.1, np.float32)
    for _ in range(2):
        restored = restore(engine, image, sigma, conditioned_bundle.spec)
    assert (calls, engine.name) == ([], "onnxruntime")
    named = open_engine(conditioned_bundle, engine="onnxruntime", threads=1)
    assert np.array_equal(restored, restore(named, image, sigma, conditioned_bundle.spec))
    assert not cache.exists()


def test_much_work_takes_the_fastest_and_the_next_process_knows_it(
    engine: AutomaticEngine, conditioned_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    calls = measured(monkeypatch, onnxruntime=2e-6, openvino=3e-6, torch=1e-6)
    prepare(engine, 10**9)
    assert engine.name == "torch"
    assert calls[0] == {"onnxruntime"}
    assert {"onnxruntime", "torch"} <= calls[1]
    assert len(calls) == 2
    assert len(json.loads((cache / "engines.json").read_text())) == 1
    again = open_engine(conditioned_bundle, threads=1)
    assert again.name == "onnxruntime", "what loads fast comes first"
    prepare(again, 10**7)
    assert (again.name, len(calls)) == ("torch", 2)
    batch, sigma = tiny_models.noisy(1, 1, 16, 16), np.full((1, 1, 1, 1), 0.1, np.float32)
    named = open_engine(conditioned_bundle, engine="onnxruntime", threads=1)
    assert np.abs(again.run(batch, sigma) - named.run(batch, sigma)).max() < 1e-4


def test_an_engine_is_loaded_for_a_measurement_where_that_takes_a_twentieth_of_the_work(
    engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = measured(monkeypatch, onnxruntime=1e-6, openvino=2e-6, torch=2e-6)
    prepare(engine, 8_000_000)
    assert not calls
    prepare(engine, 59_000_000)
    assert not any("torch" in names for names in calls), "59 seconds are too few to import torch"
    prepare(engine, 61_000_000)
    assert "torch" in calls[-1]
    count = len(calls)
    prepare(engine, 10**9)
    assert (len(calls), engine.name) == (count, "onnxruntime")


def test_what_was_done_counts_as_work_that_comes_again(
    engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, onnxruntime=1e-6, openvino=2e-6, torch=0.9e-6)
    engine._speeds = {"onnxruntime": Speed(0.0, 1e-6), "torch": Speed(3.0, 0.9e-6)}
    engine._pixels = 20_000_000
    prepare(engine, 9_000_000)
    assert engine.name == "onnxruntime", "a tenth of 29 seconds is less than torch takes to load"
    prepare(engine, 11_000_000)
    assert engine.name == "torch"


def test_a_measurement_at_a_busier_moment_is_in_proportion(
    engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, onnxruntime=3e-6, openvino=6e-6, torch=6e-6)
    engine._speeds = {"onnxruntime": Speed(0.0, 1e-6)}
    prepare(engine, 10**9)
    assert engine._speeds["torch"].pixel == pytest.approx(2e-6)


def test_an_engine_that_cannot_run_the_model_is_left_out(
    engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = measured(monkeypatch, onnxruntime=1e-6)
    engine._open = lambda name: None
    prepare(engine, 10**9)
    assert (engine.name, calls) == ("onnxruntime", [{"onnxruntime"}])
    engine._speeds["torch"] = Speed(0.0, 1e-9)
    prepare(engine, 10**9)
    assert engine.name == "onnxruntime"


def test_little_memory_measures_nothing(engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = measured(monkeypatch, onnxruntime=2e-6, openvino=2e-6, torch=1e-6)
    prepare(engine, 10**12, max_memory=resident_memory() + (1 << 30))
    assert (calls, engine.name) == ([], "onnxruntime")


def test_a_faster_engine_must_gain_more_than_its_loading_takes() -> None:
    speeds = {"onnxruntime": Speed(0.1, 2e-6), "openvino": Speed(1.0, 1e-6)}
    assert fastest.fastest(speeds, {"onnxruntime"}, 900_000) == "onnxruntime"
    assert fastest.fastest(speeds, {"onnxruntime"}, 1_100_000) == "openvino"
    assert fastest.fastest(speeds, {"onnxruntime", "openvino"}, 1) == "openvino"


def test_loading_counts_where_it_was_measured_after_an_import() -> None:
    speeds = {"onnxruntime": Speed(0.0, 2e-6), "torch": Speed(0.01, 1e-6)}
    least = fastest.LOADING["torch"]
    assert fastest.fastest(speeds, {"onnxruntime"}, round(0.9e6 * least)) == "onnxruntime"
    assert fastest.fastest(speeds, {"onnxruntime"}, round(1.1e6 * least)) == "torch"


def test_engines_are_really_measured_in_turns(conditioned_bundle: Bundle) -> None:
    order: list[str] = []

    class Counted:
        def __init__(self, name: str, wait: float) -> None:
            self.name, self._wait = name, wait

        def run(self, batch: Array, sigma: Array | None) -> Array:
            order.append(self.name)
            time.sleep(self._wait)
            return batch

    engines = cast("dict[str, Engine]", {"a": Counted("a", 0.02), "b": Counted("b", 0.0)})
    found = fastest.measure(conditioned_bundle, engines)
    assert order == ["a", "a", "b", "b"] * fastest.TURNS
    assert found["b"] < found["a"]
    assert found["a"] * fastest.SIDE**2 >= 0.02


def test_another_model_precision_or_number_of_threads_is_measured_anew(
    conditioned_bundle: Bundle, blind_bundle: Bundle
) -> None:
    keys = {
        fastest.model_key(bundle, precision, "auto", threads, ["onnxruntime", "torch"])
        for bundle in (conditioned_bundle, blind_bundle)
        for precision in ("exact", "int8")
        for threads in (1, 2)
    }
    assert len(keys) == 8


@pytest.mark.parametrize("content", ["rubbish", "[1]", "{}", '{"key": 3}', '{"key": {"torch": ["a", "b"]}}'])
def test_a_cache_that_is_broken_is_as_none(cache: Path, content: str) -> None:
    cache.mkdir(parents=True)
    (cache / "engines.json").write_text(content)
    assert fastest.recalled("key") == {}
    remembered.remember("engines.json", "key", {"torch": [1, 2]})
    assert fastest.recalled("key") == {"torch": Speed(1, 2)}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    remembered.remember("engines.json", "key", 1)
    assert remembered.recall("engines.json") == {}
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert remembered.cache_folder() == tmp_path / ".cache" / "noiseless"


def test_what_was_made_is_kept_and_the_oldest_goes(cache: Path) -> None:
    for number in range(4):
        remembered.remember_made("made", str(number), bytes([number]), most=3)
        os.utime(cache / "made" / str(number), (number, number))
    assert [remembered.recall_made("made", str(number)) for number in range(4)] == [None, b"\1", b"\2", b"\3"]
    os.utime(cache / "made" / "2", (0, 0))
    os.utime(cache / "made" / "1", (1, 1))
    assert remembered.recall_made("made", "2"), "which makes it the one used last"
    remembered.remember_made("made", "4", b"", most=3)
    assert sorted(path.name for path in (cache / "made").iterdir()) == ["2", "3", "4"]
