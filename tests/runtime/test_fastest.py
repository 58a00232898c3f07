"""The engine that is chosen automatically: measured when it pays, remembered, never in the way of a small image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tiny_models
from noiseless.bundle import Bundle
from noiseless.inference import restore
from noiseless.runtime import fastest, open_engine, prepare, remembered
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


def measured(monkeypatch: pytest.MonkeyPatch, **speeds: Speed) -> list[list[str]]:
    """Let measurements find these speeds; returns what was measured."""
    calls: list[list[str]] = []

    def measure(bundle: Bundle, names: list[str], open_named: object) -> dict[str, Speed]:
        calls.append(list(names))
        return speeds

    monkeypatch.setattr(fastest, "measure", measure)
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
    calls = measured(monkeypatch, onnxruntime=Speed(0.1, 2e-6), torch=Speed(2.0, 1e-6))
    prepare(engine, 10**12)
    assert engine.name == "torch"
    assert len(calls) == 1
    assert {"onnxruntime", "torch"} <= set(calls[0])
    assert len(json.loads((cache / "engines.json").read_text())) == 1
    again = open_engine(conditioned_bundle, threads=1)
    assert again.name == "onnxruntime", "what loads fast comes first"
    prepare(again, 10**7)
    assert (again.name, len(calls)) == ("torch", 1)
    batch, sigma = tiny_models.noisy(1, 1, 16, 16), np.full((1, 1, 1, 1), 0.1, np.float32)
    named = open_engine(conditioned_bundle, engine="onnxruntime", threads=1)
    assert np.abs(again.run(batch, sigma) - named.run(batch, sigma)).max() < 1e-4


def test_int8_is_measured_for_less_work(engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = measured(monkeypatch, onnxruntime=Speed(0.1, 2e-6), openvino=Speed(0.4, 1e-6))
    engine._pixels, engine._seconds = 1_000_000, 1.0
    prepare(engine, 10_000_000)
    assert not calls, "11 seconds are too few where torch is loaded"
    engine.precision = "int8"
    prepare(engine, 4_000_000)
    assert not calls
    prepare(engine, 10_000_000)
    assert len(calls) == 1


def test_little_memory_measures_nothing(engine: AutomaticEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = measured(monkeypatch, onnxruntime=Speed(0.1, 2e-6), torch=Speed(2.0, 1e-6))
    prepare(engine, 10**12, max_memory=resident_memory() + (1 << 30))
    assert (calls, engine.name) == ([], "onnxruntime")


def test_a_faster_engine_must_gain_more_than_its_loading_takes() -> None:
    speeds = {"onnxruntime": Speed(0.1, 2e-6), "openvino": Speed(1.0, 1e-6)}
    assert fastest.fastest(speeds, "onnxruntime", 900_000) == "onnxruntime"
    assert fastest.fastest(speeds, "onnxruntime", 1_100_000) == "openvino"


def test_engines_are_really_measured(conditioned_bundle: Bundle) -> None:
    def opened(name: str) -> object:
        return open_engine(conditioned_bundle, engine=name, threads=1)

    speeds = fastest.measure(conditioned_bundle, ["onnxruntime", "torch"], opened)  # type: ignore[arg-type]
    assert all(0 <= speed.load < 60 and 0 < speed.pixel < 1e-3 for speed in speeds.values())


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
    assert fastest.recalled("key") is None
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
