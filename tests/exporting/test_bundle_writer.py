"""A network becomes a bundle that computes the same without torch."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import tiny_models
from noiseless import bundle
from noiseless.bundle import Bundle, NetworkSpec
from noiseless.errors import WorkError
from noiseless.exporting import BundleWriter, network_tensors
from noiseless.exporting.graph import export_graph
from noiseless.runtime.onnxruntime import OnnxRuntimeEngine
from noiseless.runtime.torch import load_network

DETAILS = {"network_name": "unet_nano", "arguments": tiny_models.CONDITIONED, "noise": None, "card": "# A\n"}


def difference(network: nn.Module, saved: Bundle, height: int = 24, width: int = 40) -> float:
    image = tiny_models.noisy(2, saved.spec.channels, height, width)
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32) if saved.spec.conditioning == "sigma" else None
    inputs = [torch.from_numpy(array) for array in (image, sigma) if array is not None]
    with torch.inference_mode():
        expected = network(*inputs).numpy()
    assert np.abs(expected - image).max() > 0.05, "the network must change the image"
    return float(np.abs(OnnxRuntimeEngine(saved).run(image, sigma) - expected).max())


def test_float32_weights_compute_the_same(tmp_path: Path) -> None:
    network = tiny_models.conditioned_network()
    saved = tiny_models.save(network, tmp_path / "model", "unet_nano", tiny_models.CONDITIONED, dtype="float32")
    assert difference(network, saved) <= 1e-5


def test_float16_weights_are_stored_once_and_read_by_the_graph(conditioned_bundle: Bundle) -> None:
    tensors = conditioned_bundle.tensors()
    assert all(tensor.dtype == np.float16 for tensor in tensors.values() if tensor.ndim > 1)
    model = onnx.load(conditioned_bundle.graph_path, load_external_data=False)
    outside = [weight for weight in model.graph.initializer if weight.external_data]
    assert {weight.name.removesuffix(".float16") for weight in outside} == set(tensors)
    assert {entry.value for weight in outside for entry in weight.external_data if entry.key == "location"} == {
        bundle.WEIGHTS
    }
    assert conditioned_bundle.graph_path.stat().st_size < 20_000
    assert difference(load_network(conditioned_bundle).eval(), conditioned_bundle) <= 1e-5


def test_a_blind_network_has_one_input(blind_bundle: Bundle) -> None:
    model = onnx.load(blind_bundle.graph_path, load_external_data=False)
    assert [value.name for value in model.graph.input] == ["image"]
    assert difference(load_network(blind_bundle).eval(), blind_bundle, 17, 31) <= 1e-5


def test_a_writer_writes_the_weights_as_they_are_now(tmp_path: Path) -> None:
    network = tiny_models.conditioned_network()
    writer = BundleWriter(network)
    first = writer.write(tmp_path / "best", name="a", train={"step": 1}, dtype="float32", **DETAILS)
    before = difference(network, first)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.2)
    assert difference(network, bundle.read(tmp_path / "best")) > 1e-3
    second = writer.write(tmp_path / "best", name="a", train={"step": 2}, dtype="float32", **DETAILS)
    assert before <= 1e-5
    assert difference(network, second) <= 1e-5


def test_a_bundle_is_complete(conditioned_bundle: Bundle) -> None:
    names = {path.name for path in conditioned_bundle.path.iterdir()}
    assert names == {"config.json", "model.safetensors", "model.onnx", "README.md", "train.json"}
    assert bundle.read(conditioned_bundle.path) == conditioned_bundle


def test_exporting_says_nothing(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.INFO):
        export_graph(tiny_models.blind_network())
    captured = capfd.readouterr()
    assert (captured.out, captured.err, caplog.text) == ("", "", "")


def test_exporting_leaves_the_network_as_it_is() -> None:
    network = tiny_models.blind_network().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export_graph(network)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_values_that_float16_cannot_hold_stay_float32() -> None:
    network = nn.Conv2d(1, 1, 3)
    with torch.no_grad():
        network.weight.fill_(1e6)
    assert network_tensors(network, "float16")["weight"].dtype == np.float32


class Dynamic(nn.Module):
    """What it does depends on the values of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = NetworkSpec(channels=1)
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.mean() > 0 else x


class Normalized(nn.Module):
    """Batch norm and a linear layer: what exporters like to fold into each other."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = NetworkSpec(channels=2)
        self.layer = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.mix = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.norm(self.layer(x)))
        return x + self.mix(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_a_network_that_cannot_be_exported_is_an_error() -> None:
    with pytest.raises(WorkError, match="Dynamic cannot be exported"):
        export_graph(Dynamic())


def test_weights_never_go_into_the_graph_itself(tmp_path: Path) -> None:
    network = Normalized().eval()
    writer = BundleWriter(network)
    with torch.no_grad():
        network.norm.running_mean.fill_(0.3)
        network.norm.running_var.fill_(2.0)
        network.mix.weight.mul_(3)
    saved = writer.write(
        tmp_path / "model", name="n", network_name="n", arguments={}, noise=None, card="", train={}, dtype="float32"
    )
    assert difference(network, saved) <= 1e-5


def test_memory_is_that_of_the_activations_alive_at_once() -> None:
    graph = export_graph(Normalized())
    most = 4 * (2 + 8 + 8 + 8)
    assert 4 * (2 + 8) < graph.bytes_per_pixel <= most
