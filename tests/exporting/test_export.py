"""Files for other software: any size, whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_models
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.denoiser import load
from noiseless.errors import OutputError, UnknownNameError, WorkError
from noiseless.exporting import export as module
from noiseless.exporting.export import export
from noiseless.inference import restore
from noiseless.runtime.torch import TorchEngine


@pytest.fixture(scope="module")
def file(conditioned_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    [path] = export(conditioned_bundle.path, tmp_path_factory.mktemp("exported"))
    return path


def run(path: Path, *inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    restored: np.ndarray = session.run(None, dict(zip(names, inputs, strict=True)))[0]
    return restored


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 2), st.integers(1, 41), st.integers(1, 41))
def test_any_size_gives_what_noiseless_gives(
    file: Path, conditioned_bundle: Bundle, batch: int, height: int, width: int
) -> None:
    image = tiny_models.noisy(batch, 1, height, width)
    sigma = np.full((1, 1, 1, 1), 0.1, np.float32)
    engine = TorchEngine(conditioned_bundle, device="cpu", threads=1)
    expected = restore(engine, image, sigma, conditioned_bundle.spec)
    assert np.abs(run(file, image, sigma) - expected).max() <= 1e-4


def test_the_file_stands_alone_and_says_what_it_takes(file: Path) -> None:
    model = onnx.load(file, load_external_data=False)
    assert not any(weight.external_data for weight in model.graph.initializer)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "sigma", "restored"]
    said = {item.key: item.value for item in model.metadata_props}
    assert said["model"] == "tiny-gray"
    assert "0 is black and 1 is white" in said["image"]


def test_a_network_that_takes_any_size_needs_no_padding(blind_bundle: Bundle, tmp_path: Path) -> None:
    [path] = export(blind_bundle.path, tmp_path)
    image = tiny_models.noisy(1, 3, 21, 17)
    expected = load(blind_bundle.path).planes(image, None)
    assert np.abs(run(path, image) - expected).max() <= 1e-4
    assert not any(node.op_type == "Gather" for node in onnx.load(path).graph.node)


def test_openvino(conditioned_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openvino")
    assert main(["export", str(conditioned_bundle.path), "--format", "openvino", "-o", str(tmp_path / "new")]) == 0
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"tiny-gray.xml", "tiny-gray.bin"}
    assert "tiny-gray.xml" in capsys.readouterr().out


@pytest.mark.parametrize(("dtype", "halved"), [("float16", True), ("float32", False)])
def test_openvino_halves_weights_only_where_they_are_halves(dtype: str, halved: bool, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    network = tiny_models.conditioned_network()
    made = tiny_models.save(network, tmp_path / "tiny", "unet_nano", tiny_models.CONDITIONED, dtype=dtype)
    export(made.path, tmp_path / "new", format="openvino")
    size = (tmp_path / "new" / "tiny.bin").stat().st_size
    numbers = sum(weights.size for weights in made.tensors().values())
    assert (size < 3 * numbers) == halved


def test_int8_is_made_where_the_bundle_has_none(
    conditioned_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noiseless.exporting import examples, int8

    for name, value in (("CALIBRATION_SIDE", 48), ("MEASURED_SIDE", 64), ("CALIBRATION_CROPS", 1)):
        monkeypatch.setattr(examples, name, value)
    [path] = export(conditioned_bundle.path, tmp_path / "a", int8=True)
    model = onnx.load(path)
    assert path.name == "tiny-gray.int8.onnx"
    assert not conditioned_bundle.int8_graph_path.exists(), "the bundle is left as it is"
    assert not any(node.op_type == "Cast" for node in model.graph.node), "weights are stored as int8"
    assert any(weight.data_type == onnx.TensorProto.INT8 for weight in model.graph.initializer)
    monkeypatch.setattr(int8, "MOST_LOST", {"strong": -1.0, "weak": -1.0})
    with pytest.raises(WorkError, match="loses too much in int8"):
        export(conditioned_bundle.path, tmp_path / "b", int8=True)
    assert not (tmp_path / "b").exists()


def test_a_file_that_computes_something_else_is_not_written(
    conditioned_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> module.Run:
        return lambda image, sigma: image + np.float32(1e-3)

    monkeypatch.setitem(module.FORMATS, "onnx", (module.FORMATS["onnx"][0], broken))
    with pytest.raises(WorkError, match="would not compute what torch computes"):
        export(conditioned_bundle.path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_bad_arguments(conditioned_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean onnx"):
        export(conditioned_bundle.path, tmp_path, format="onx")
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(OutputError, match=r"cannot make the folder .*: got a file of the name .*file"):
            export(conditioned_bundle.path, place)
    assert main(["export", "gray-smal", "-o", str(tmp_path)]) == 2
    assert "unknown model 'gray-smal'" in capsys.readouterr().err
