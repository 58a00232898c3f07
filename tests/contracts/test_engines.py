"""What holds of every engine in the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

import tiny_models
from noiseless.bundle import Bundle
from noiseless.errors import ConfigError, MissingExtraError, UnknownNameError
from noiseless.runtime import ENGINES, Array, Engine, choose, open_engine
from noiseless.runtime.torch import load_network

EXACT = 1e-4
FAST = 0.5 / 255


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def opened(name: str, bundle: Bundle, precision: str = "exact") -> Engine:
    try:
        engine = open_engine(bundle, engine=name, precision=precision, threads=1)
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert engine.name == name
    return engine


def expected(bundle: Bundle, batch: Array, sigma: Array | None) -> Array:
    inputs = [torch.from_numpy(array) for array in (batch, sigma) if array is not None]
    with torch.inference_mode():
        restored: Array = load_network(bundle).eval()(*inputs).numpy()
    return restored


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 1, 16, 40), (1, 1, 72, 24)])
def test_exact_is_what_torch_computes(name: str, shape: tuple[int, ...], conditioned_bundle: Bundle) -> None:
    engine = opened(name, conditioned_bundle)
    batch = tiny_models.noisy(*shape)
    for sigma in (
        np.full((1, 1, 1, 1), 0.1, np.float32),
        np.linspace(0.05, 0.2, shape[0], dtype=np.float32).reshape(-1, 1, 1, 1),
        0.1 * np.abs(tiny_models.noisy(*shape, seed=1)),
    ):
        found = engine.run(batch, sigma)
        assert found.dtype == np.float32
        assert found.shape == shape
        assert np.abs(found - expected(conditioned_bundle, batch, sigma)).max() <= EXACT


@pytest.mark.parametrize("name", ENGINES)
def test_a_blind_network_at_an_odd_size(name: str, blind_bundle: Bundle) -> None:
    batch = tiny_models.noisy(2, 3, 21, 33)
    found = opened(name, blind_bundle).run(batch, None)
    assert np.abs(found - expected(blind_bundle, batch, None)).max() <= EXACT


@pytest.mark.parametrize("name", ENGINES)
def test_results_stay_when_the_engine_runs_again(name: str, conditioned_bundle: Bundle) -> None:
    engine = opened(name, conditioned_bundle)
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32)
    batch = tiny_models.noisy(1, 1, 16, 16)
    first = engine.run(batch, sigma)
    kept = first.copy()
    engine.run(batch + 1, sigma)
    assert np.array_equal(first, kept)
    assert np.array_equal(batch, tiny_models.noisy(1, 1, 16, 16)), "the input must not change"


@pytest.mark.parametrize("name", ENGINES)
def test_sigma_matters(name: str, conditioned_bundle: Bundle) -> None:
    engine = opened(name, conditioned_bundle)
    batch = tiny_models.noisy(1, 1, 16, 16)
    weak, strong = (engine.run(batch, np.full((1, 1, 1, 1), level, np.float32)) for level in (0.01, 0.5))
    assert np.abs(weak - strong).max() > 1e-3


@pytest.mark.parametrize("name", ENGINES)
def test_fast_stays_within_half_a_grey_level_or_says_why_not(name: str, conditioned_bundle: Bundle) -> None:
    engine = opened(name, conditioned_bundle, "fast")
    if engine.precision != "fast":
        assert "fast precision is not available" in engine.note
        return
    batch, sigma = tiny_models.noisy(1, 1, 32, 32), np.full((1, 1, 1, 1), 0.1, np.float32)
    error = np.abs(engine.run(batch, sigma) - expected(conditioned_bundle, batch, sigma))
    assert 0 < error.mean() <= FAST


@pytest.mark.parametrize("name", ENGINES)
def test_what_a_pixel_costs_is_known(name: str, conditioned_bundle: Bundle) -> None:
    engine = opened(name, conditioned_bundle)
    activations = conditioned_bundle.bytes_per_pixel
    assert activations is not None
    assert engine.bytes_per_pixel >= activations
    unknown = replace(conditioned_bundle, bytes_per_pixel=None)
    assert opened(name, unknown).bytes_per_pixel > engine.bytes_per_pixel


def test_an_unknown_engine_is_answered_with_the_closest(conditioned_bundle: Bundle) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean onnxruntime"):
        open_engine(conditioned_bundle, engine="onnx-runtime")
    with pytest.raises(UnknownNameError, match="Did you mean exact"):
        open_engine(conditioned_bundle, precision="exakt")


def test_int8_without_a_graph_falls_back_and_says_so(conditioned_bundle: Bundle) -> None:
    choice = choose(conditioned_bundle, precision="int8")
    assert choice.precision in ("fast", "exact")
    assert "tiny-gray has no int8 graph" in choice.note


def test_exact_takes_the_engine_of_the_core(conditioned_bundle: Bundle) -> None:
    assert choose(conditioned_bundle).engine == "onnxruntime"
    assert choose(conditioned_bundle).note == ""


def test_a_device_that_is_not_there_is_an_error(conditioned_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="device 'warp'"):
        open_engine(conditioned_bundle, engine="torch", device="warp")


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_an_engine_that_is_not_installed_says_what_to_type(
    name: str, conditioned_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from noiseless.runtime import openvino

    openvino._core.cache_clear()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r'pip install "noiseless\[(openvino|train)\]"'):
        open_engine(conditioned_bundle, engine=name)
