"""Models that an engine cannot load, and memory that does not suffice."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tiny_models
from noiseless.bundle import Bundle
from noiseless.errors import BundleError, ConfigError, WorkError
from noiseless.networks.foreign import read_checkpoint
from noiseless.runtime import choose, machine, open_engine
from noiseless.runtime.onnxruntime import OnnxRuntimeEngine
from noiseless.runtime.torch import TorchEngine, find_device, load_network


def test_a_graph_that_is_none_is_a_bundle_error(tmp_path: Path, conditioned_bundle: Bundle) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="ONNX Runtime cannot load"):
        open_engine(replace(conditioned_bundle, path=tmp_path), engine="onnxruntime")


def test_an_unknown_network_is_a_bundle_error(conditioned_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"lacks.*unknown network 'unet_giant'"):
        load_network(replace(conditioned_bundle, network="unet_giant"))


@pytest.mark.parametrize("arguments", [{"channels": 3}, {"flavour": 3}])
def test_arguments_that_do_not_fit_are_a_bundle_error(conditioned_bundle: Bundle, arguments: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="unet_nano"):
        load_network(replace(conditioned_bundle, arguments=arguments))


def test_a_batch_that_does_not_fit_the_network_is_a_work_error(conditioned_bundle: Bundle) -> None:
    with pytest.raises(WorkError, match="ONNX Runtime failed"):
        OnnxRuntimeEngine(conditioned_bundle).run(np.zeros((1, 2, 8, 8), np.float32), np.zeros((1,) * 4, np.float32))
    with pytest.raises(WorkError, match="PyTorch failed"):
        TorchEngine(conditioned_bundle, device="cpu").run(
            np.zeros((1, 2, 8, 8), np.float32), np.zeros((1,) * 4, np.float32)
        )


def test_a_device_that_is_none_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"device 'tpu' cannot be used: got PyTorch.*, expected auto or cpu.*Leave"):
        find_device("tpu")


def test_engines_of_the_processor_name_the_one_for_other_devices(conditioned_bundle: Bundle) -> None:
    expected = r"got engine onnxruntime, device cuda\. Only torch runs on other devices than the processor"
    with pytest.raises(ConfigError, match=expected):
        choose(conditioned_bundle, engine="onnxruntime", device="cuda")


def test_memory_that_does_not_suffice_is_a_memory_error() -> None:
    class Greedy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.empty(1 << 50)

    with pytest.raises(MemoryError):
        TorchEngine.of(Greedy(), device="cpu").run(np.zeros((1, 1, 8, 8), np.float32), None)


class Payload:
    """What a malicious pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def test_a_checkpoint_with_code_is_refused_and_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(BundleError, match="more than tensors and plain data"):
        read_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors"])
def test_a_broken_checkpoint_is_a_bundle_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00" * 100)
    with pytest.raises(BundleError, match=name):
        read_checkpoint(tmp_path / name)


def test_the_machine_is_known() -> None:
    assert machine.processors() >= 1
    assert 0 < machine.free_memory() < 1 << 50
    before = machine.resident_memory()
    block = np.ones(8 << 20)
    assert machine.resident_memory() - before > 48 << 20
    assert machine.peak_memory() >= block.nbytes


def test_threads_are_no_more_than_there_are_processors() -> None:
    """A hundred thousand of them ended the process without a word."""
    assert machine.used_threads(None) == machine.processors()
    assert machine.used_threads(1) == 1
    assert machine.used_threads(100_000) == os.cpu_count()
    with pytest.raises(ConfigError, match="got 0, expected 1 or more"):
        machine.used_threads(0)


def test_a_containers_limits_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.free_memory() == 600_000
    assert machine.processors() == 1
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.free_memory() > 600_000


def test_tiny_models_change_the_image(conditioned_bundle: Bundle) -> None:
    image = tiny_models.noisy(1, 1, 16, 16)
    restored = OnnxRuntimeEngine(conditioned_bundle).run(image, np.full((1,) * 4, 0.1, np.float32))
    assert np.abs(restored - image).max() > 0.05
