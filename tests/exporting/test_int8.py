"""The int8 graph of a bundle: fused where it can be, close to float32, there only where it is good."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

import tiny_models
from noiseless import bundle, networks
from noiseless.bundle import Bundle
from noiseless.errors import BundleError, WorkError
from noiseless.exporting import examples, int8
from noiseless.exporting.normalisation import fold_normalisation
from noiseless.exporting.quantise import NOTHING, Seen, find_layers, quantise
from noiseless.noise import Gaussian, PoissonGaussian
from noiseless.runtime import choose, open_engine

MODELS = ["told", "blind", "normalised"]


@pytest.fixture(scope="module", autouse=True)
def small_crops() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "CALIBRATION_SIDE", 48)
        patch.setattr(examples, "MEASURED_SIDE", 64)
        patch.setattr(examples, "CALIBRATION_CROPS", 1)
        yield


@pytest.fixture(scope="module")
def told(conditioned_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("int8") / "tiny-gray"
    shutil.copytree(conditioned_bundle.path, folder)
    assert int8.quantise_bundle(folder).good
    return bundle.read(folder)


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network whose convolutions have a bias."""
    return _dncnn(tiny_models.blind_network(), tiny_models.BLIND, tmp_path_factory.mktemp("int8") / "tiny-color")


@pytest.fixture(scope="module")
def normalised(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network whose convolutions are normalised and have no bias."""
    folder = tmp_path_factory.mktemp("int8") / "tiny-normalised"
    return _dncnn(tiny_models.normalised_network(), tiny_models.NORMALISED, folder)


def _dncnn(network: nn.Module, arguments: dict[str, Any], folder: Path) -> Bundle:
    """A bundle that has its int8 graph."""
    tiny_models.save(network, folder, "dncnn", arguments, noise=Gaussian(sigma=25 / 255).to_dict())
    assert int8.quantise_bundle(folder).good
    return bundle.read(folder)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_int8_is_close_to_float32(name: str, engine: str, request: pytest.FixtureRequest) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    model: Bundle = request.getfixturevalue(name)
    image = tiny_models.noisy(1, model.spec.channels, 64, 80)
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32)
    exact = open_engine(model, engine=engine, threads=1).run(image, sigma)
    opened = open_engine(model, engine=engine, precision="int8", threads=1)
    assert (opened.precision, opened.note) == ("int8", "")
    difference = opened.run(image, sigma) - exact
    assert 0 < np.sqrt(np.square(difference).mean()) < 1.5 / 255
    assert abs(difference.mean()) < 0.25 / 255, "the brightness is kept"


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_becomes_one_fused_operation(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model: Bundle = request.getfixturevalue(name)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(model.int8_graph_path), options, ["CPUExecutionProvider"])
    optimised = onnx.load(tmp_path / "optimised.onnx", load_external_data=False)
    operations = [node.op_type for node in optimised.graph.node]
    float_graph = onnx.load(model.graph_path, load_external_data=False)
    layers = find_layers(float_graph, model.tensors())
    assert layers
    assert operations.count("QLinearConv") == len(layers)
    assert "Cast" not in operations, "weights are rounded when the session is made"
    assert operations.count("Relu") == 0


def test_the_first_and_the_last_convolution_stay_float(told: Bundle) -> None:
    names = [layer.weight for layer in find_layers(onnx.load(told.graph_path), told.tensors())]
    assert "encoder.0.0.first.weight" in names
    assert not {"head.weight", "tail.weight"} & set(names)


def test_the_weights_stay_where_they_are(told: Bundle, conditioned_bundle: Bundle) -> None:
    assert told.int8_graph_path.stat().st_size < 20_000
    model = onnx.load(told.int8_graph_path, load_external_data=False)
    outside = {weight.name.removesuffix(".float16") for weight in model.graph.initializer if weight.external_data}
    rounded = {weight.name.removesuffix(".8") for weight in model.graph.initializer if weight.name.endswith(".8")}
    assert set(told.tensors()) == outside | rounded
    assert outside
    assert rounded
    assert not outside & rounded
    for name in ("model.safetensors", "model.onnx", "README.md", "train.json"):
        assert (told.path / name).read_bytes() == (conditioned_bundle.path / name).read_bytes()


def test_what_it_costs_stands_in_the_config(told: Bundle) -> None:
    assert [round(loss["level"]) for loss in told.extra["int8"]["losses"]] == [5, 15, 25, 50]
    assert all(loss["lost"] <= loss["most"] for loss in told.extra["int8"]["losses"])
    assert choose(told, precision="int8").precision == "int8"


def _losing(monkeypatch: pytest.MonkeyPatch, lost: Callable[[int8.Quantised, str], float]) -> None:
    """Let graphs lose as much in an engine as is said."""

    def measured(_: Bundle, made: int8.Quantised, *rest: object) -> tuple[int8.Loss, ...]:
        return (int8.Loss(25, 30, lost(made, str(rest[-1])), 0.05),)

    monkeypatch.setattr(int8, "measure", measured)


def test_results_stay_float_until_it_is_good_in_onnx_runtime(told: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    _losing(monkeypatch, lambda made, engine: 0.2 if engine == "onnxruntime" and not made.float_results else 0.01)
    made = int8.make_int8(told)
    assert made.good
    assert (len(made.float_results), made.kept_float) == (1, ())
    graph = onnx.load_from_string(made.graph).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    [result] = [node.output[0] for node in convolutions if node.input[1].startswith(made.float_results[0])]
    assert {node.op_type for node in graph.node if result in node.input} == {"Add"}, "it is added as it is"


def test_layers_stay_float_until_it_is_good(told: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    _losing(monkeypatch, lambda made, engine: 0.01 if made.kept_float else 0.2)
    made = int8.make_int8(told)
    assert made.good
    assert (len(made.kept_float), made.float_results) == (1, ())
    names = {name for node in onnx.load_from_string(made.graph).graph.node for name in node.output}
    assert not any(name.startswith(made.kept_float[0]) and name.endswith(".9") for name in names)


def test_what_may_be_lost_is_enough_where_less_is_not_to_be_had(told: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    _losing(monkeypatch, lambda made, engine: 0.04)
    made = int8.make_int8(told)
    assert made.good
    assert not made.within(int8.AIMED_AT)
    assert not made.kept_float, "as few as are needed"


def test_what_is_said_of_a_graph_is_the_worse_of_two_engines(told: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    for worse in ("openvino", "onnxruntime"):
        _losing(monkeypatch, lambda made, engine, worse=worse: 0.015 if engine == worse else 0.01)
        assert [loss.lost for loss in int8.make_int8(told).losses] == [0.015]


def test_what_loses_too_much_in_bf16_is_tried_without(told: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    from noiseless.runtime.openvino import OpenVinoEngine

    monkeypatch.setattr(OpenVinoEngine, "offers", lambda *given: True)
    for lost, bf16 in ((0.2, False), (0.01, True)):
        _losing(monkeypatch, lambda made, engine, lost=lost: lost if made.bf16 else 0.01)
        made = int8.make_int8(told)
        assert (made.good, made.bf16, made.kept_float) == (True, bf16, ())


def test_openvino_rounds_only_what_is_read_in_int8(told: Bundle, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    from noiseless.runtime.openvino import leave_results

    work = int8._Work(told)
    kept = next(layer for layer in work.layers if layer.weight.endswith("second.weight"))
    made = int8.store(replace(told, path=tmp_path / "model"), work.made([kept], []), source=told.path)
    model = openvino.Core().read_model(made.int8_graph_path)

    def roundings() -> int:
        """Of activations: those of weights begin at a scaled or cast tensor."""
        inputs = [node.input_value(0).get_node() for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
        return sum(node.get_type_name() in ("Convolution", "Relu", "Add") for node in inputs)

    chosen = [layer for layer in work.layers if layer != kept]
    read = {layer.input for layer in chosen}
    assert roundings() == len(read | {layer.output for layer in chosen})
    leave_results(model)
    assert roundings() == len(read)


def test_openvino_is_closer_to_float32_than_onnx_runtime(told: Bundle) -> None:
    pytest.importorskip("openvino")
    image = tiny_models.noisy(1, told.spec.channels, 64, 80)
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32)
    exact = open_engine(told, engine="onnxruntime", threads=1).run(image, sigma)
    made = replace(told, extra={})  # in float32 where it is not int8
    off = {
        engine: np.square(
            open_engine(made, engine=engine, precision="int8", threads=1).run(image, sigma) - exact
        ).mean()
        for engine in ("onnxruntime", "openvino")
    }
    assert off["openvino"] < 0.9 * off["onnxruntime"]


@pytest.mark.parametrize("good", [True, False])
def test_bf16_is_for_graphs_that_stay_good_in_it(good: bool, told: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from noiseless.runtime import openvino

    made = int8.Quantised(told.int8_graph_path.read_bytes(), (), bf16=good)
    stored = int8.store(replace(told, path=tmp_path / "model"), made, source=told.path)
    assert openvino._hint(bundle.read(stored.path), "int8") == ("bf16" if good and openvino._has_bf16() else "f32")
    assert openvino._hint(stored, "exact") == "f32"


def test_a_graph_that_costs_too_much_is_taken_away(
    told: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "MOST_LOST", {"strong": -1.0, "weak": -1.0})
    folder = tmp_path / "model"
    shutil.copytree(told.path, folder)
    lines: list[str] = []
    assert not int8.quantise_bundle(folder, say=lines.append).good
    assert "int8 loses" in lines[-1]
    read = bundle.read(folder)
    assert not read.int8_graph_path.exists()
    assert "int8" not in read.extra
    assert choose(read, precision="int8").precision != "int8"


def test_a_normalisation_becomes_part_of_its_convolution(normalised: Bundle) -> None:
    graph = onnx.load(normalised.graph_path)
    learnt = {name: array.astype(np.float32) for name, array in normalised.tensors().items()}
    folded, known = fold_normalisation(graph, learnt)
    count = [[node.op_type for node in model.graph.node].count("BatchNormalization") for model in (graph, folded)]
    assert count == [tiny_models.NORMALISED["depth"] - 2, 0]
    assert set(known) > set(learnt)
    crops = examples.calibration_examples(normalised)[:2]
    for exact, found in zip(int8._run(graph, crops), int8._run(folded, crops), strict=True):
        assert np.abs(exact - found).max() <= 1e-5


def test_a_convolution_without_a_bias_has_none_in_the_graph(normalised: Bundle) -> None:
    nodes = onnx.load(normalised.graph_path, load_external_data=False).graph.node
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert [len(node.input) for node in convolutions] == [2] * tiny_models.NORMALISED["depth"]
    assert not any(node.op_type in ("Expand", "CastLike") for node in nodes)


def test_a_bundle_without_a_graph_is_an_error(tmp_path: Path, conditioned_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no graph to quantise"):
        int8.make_int8(replace(conditioned_bundle, path=tmp_path))


def test_what_cannot_be_measured_is_not_taken_for_good(conditioned_bundle: Bundle) -> None:
    weak = replace(conditioned_bundle, noise=Gaussian(sigma=(0.0, 4 / 255)).to_dict())
    with pytest.raises(WorkError, match="int8 cannot be measured"):
        int8.make_int8(weak)
    assert not int8.Quantised(b"", ()).good


def test_what_is_measured_follows_from_the_noise_trained_for() -> None:
    levels = [noise.sigma for noise in examples.measured_noises(Gaussian(sigma=(0.0, 30 / 255)))]
    assert levels == [5 / 255, 15 / 255, 25 / 255]
    assert examples.measured_noises(Gaussian(sigma=0.1)) == [Gaussian(sigma=0.1)]
    by_channel = Gaussian(sigma=[10 / 255, 50 / 255])
    assert examples.measured_noises(by_channel) == [by_channel]
    drawn = examples.measured_noises(PoissonGaussian(gain=(0.0, 0.02), read=0.01))
    assert len(drawn) == examples.DRAWS
    assert not any(noise.ranged for noise in drawn)


@given(arrays(np.float32, (2, 3, 5), elements=st.floats(-100, 100, width=32)))
@example(np.full((2, 3, 5), 1.4e-45, np.float32))
def test_scales_reach_over_what_was_seen(values: np.ndarray) -> None:
    seen = Seen(values.max(axis=(0, 2)), values, np.array([0.5, 0.5], np.float32))
    scale, zero = seen.scale()
    assert scale > 0
    assert (np.rint(0 / scale) + zero).clip(0, 255) == zero, "0 is exact: padding and ReLU rely on it"
    if values.min() >= 0:
        assert zero == 0
    whole = max(0.0, float(values.max())) - min(0.0, float(values.min()))
    assert scale <= np.float32(whole / 255) * 1.001 or whole < NOTHING


@pytest.mark.parametrize("name", MODELS)
def test_channels_are_scaled_without_a_change(name: str, request: pytest.FixtureRequest) -> None:
    model: Bundle = request.getfixturevalue(name)
    work = int8._Work(model)
    made = quantise(work._whole, work.layers, work._seen, work._weights, work.layers)
    assert any(node.op_type == "Div" and node.input[0] in work._weights for node in made.graph.node)
    crops = work._examples[:1]
    [exact], [found] = int8._run(work._whole, crops), int8._run(made, crops)
    assert np.abs(exact - found).max() <= 1e-5


@pytest.mark.parametrize(
    ("network", "arguments"),
    [
        ("mobilenet", {"channels": 1, "width": 8, "depth": 2}),
        ("dilated_unet", {"channels": 1, "widths": [8, 16]}),
        ("resnet18", {"channels": 1, "widths": [8, 16], "blocks": [1, 1], "full": 8}),
    ],
)
def test_convolutions_of_every_kind(
    network: str, arguments: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grouped, dilated and strided ones, several that read one tensor, all rounded by what they read that can be."""
    monkeypatch.setattr(int8, "COSTLY", 0.0)
    made = tiny_models.scrambled(networks.create(network, **arguments))
    model = tiny_models.save(made, tmp_path / network, network, arguments, noise=Gaussian(sigma=25 / 255).to_dict())
    stored = int8.store(model, int8.all_int8(model))
    image = tiny_models.noisy(1, 1, 64, 80)
    exact = open_engine(model, engine="onnxruntime", threads=1).run(image, None)
    difference = open_engine(stored, engine="onnxruntime", precision="int8", threads=1).run(image, None) - exact
    assert 0 < np.sqrt(np.square(difference).mean()) < 0.05 * (exact - image).std()
