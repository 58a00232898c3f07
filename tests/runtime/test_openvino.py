"""OpenVINO: what it imports, and int8 graphs that are compiled once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from noiseless import bundle
from noiseless.bundle import Bundle
from noiseless.runtime import Array, openvino

pytest.importorskip("openvino")

IMPORTED = """
import sys
from noiseless import bundle
from noiseless.runtime import open_engine
open_engine(bundle.read(sys.argv[1]), engine="openvino", threads=1)
assert not [name for name in sys.modules if name.startswith(("openvino_telemetry", "openvino.tools.ovc"))]
import openvino
from openvino.tools.ovc import convert_model
assert callable(openvino.convert_model)
assert "openvino.tools.ovc" in sys.modules
"""


def test_opening_a_model_imports_no_converter_and_reports_to_nobody(conditioned_bundle: Bundle) -> None:
    subprocess.run([sys.executable, "-c", IMPORTED, str(conditioned_bundle.path)], check=True)


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return bundle.read(bundle.shipped()["color-nano"])


def result(model: Bundle, threads: int = 1) -> Array:
    image = np.random.default_rng(0).uniform(0, 1, (1, 3, 32, 48)).astype(np.float32)
    engine = openvino.OpenVinoEngine(model, precision="int8", threads=threads)
    return engine.run(image, np.full((1, 1, 1, 1), 0.1, np.float32))


def test_threads_do_not_take_results_from_each_other(shipped: Bundle) -> None:
    """Another thread's output took the place of the one that was being written, and an empty array came back."""
    engine = openvino.OpenVinoEngine(shipped, precision="int8", threads=1)
    images = [np.random.default_rng(seed).uniform(0, 1, (1, 3, 96, 96)).astype(np.float32) for seed in range(4)]
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32)
    expected = [engine.run(image, sigma) for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: engine.run(images[number % 4], sigma), range(40)))
    for number, result in enumerate(found):
        np.testing.assert_array_equal(result, expected[number % 4])


def test_an_int8_graph_is_compiled_once_for_each_setting(
    shipped: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    changes: list[object] = []
    leave_results = openvino.leave_results
    monkeypatch.setattr(openvino, "leave_results", lambda model: changes.append(model) or leave_results(model))
    first = result(shipped)
    assert len(changes) == 1
    assert np.array_equal(result(shipped), first)
    assert len(changes) == 1, "the second time it is read"
    result(shipped, threads=2)
    assert len(changes) == 2
    kept = list((tmp_path / "noiseless" / "openvino").iterdir())
    assert len(kept) == 2
    for path in kept:
        os.truncate(path, path.stat().st_size // 2)
    assert np.array_equal(result(shipped), first)
    assert len(changes) == 3, "a broken file is as none"
    assert np.array_equal(result(shipped), first)
    assert len(changes) == 3


def test_other_weights_are_compiled_anew(shipped: Bundle, tmp_path: Path) -> None:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    other = replace(shipped, path=tmp_path)
    for path in (shipped.int8_graph_path, shipped.path / bundle.WEIGHTS):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert openvino._key(other, settings) == openvino._key(shipped, settings)
    assert openvino._key(other, {"INFERENCE_PRECISION_HINT": "bf16"}) != openvino._key(shipped, settings)
    content = (tmp_path / bundle.WEIGHTS).read_bytes()
    (tmp_path / bundle.WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert openvino._key(other, settings) != openvino._key(shipped, settings)
