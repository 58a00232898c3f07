"""The public names are these; a change here is a change that other people's scripts notice."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import noiseless
from noiseless import _lazy
from noiseless.errors import EXTRAS, InputError, MissingExtraError, NoiselessError, UnknownNameError, missing_extra
from noiseless.finetuning.config import default_config
from noiseless.training.config import DataConfig

ROOT = Path(__file__).resolve().parents[1]

PUBLIC = [
    "Denoiser",
    "Image",
    "Report",
    "RunConfig",
    "__version__",
    "calibrate",
    "data",
    "denoise",
    "errors",
    "evaluate",
    "export",
    "finetune",
    "load",
    "losses",
    "metrics",
    "networks",
    "noise",
    "read",
    "train",
    "write",
]


def test_exported_members() -> None:
    assert dir(noiseless) == sorted(PUBLIC)
    assert sorted(noiseless.__all__) == sorted(PUBLIC)
    assert len(PUBLIC) <= 25


@pytest.mark.parametrize("name", PUBLIC)
def test_every_export_is_there(name: str) -> None:
    value = getattr(noiseless, name)
    assert value is getattr(noiseless, name)
    module, attribute = _lazy.read_stub(ROOT / "src/noiseless/__init__.pyi")[name]
    if module == "noiseless":
        assert value is sys.modules[f"noiseless.{attribute}"]
    else:
        assert value is getattr(sys.modules[module], attribute)


def test_verbs_stay_functions_whatever_is_imported() -> None:
    for module in ("noiseless.training.run", "noiseless.denoiser", "noiseless.evaluation"):
        importlib.import_module(module)
    assert all(callable(getattr(noiseless, verb)) for verb in ("train", "denoise", "evaluate", "load"))


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'denoize'"):
        _ = noiseless.denoize  # type: ignore[attr-defined]


def test_star_import_gives_the_exports() -> None:
    namespace: dict[str, object] = {}
    exec("from noiseless import *", namespace)
    assert set(PUBLIC) <= set(namespace)


def test_import_loads_no_library() -> None:
    code = "import sys, noiseless; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "noiseless" in loaded
    assert not {"numpy", "scipy", "PIL", "torch", "onnxruntime", "rich", "typer"} & set(loaded)


def test_missing_optional_package_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lazyshop"
    package.mkdir()
    attach = "__getattr__, __dir__, __all__ = attach(__name__, Path(__file__).with_suffix('.pyi'))"
    header = "from pathlib import Path\nfrom noiseless._lazy import attach\n"
    (package / "__init__.py").write_text(header + attach, "utf-8")
    (package / "__init__.pyi").write_text(
        "from lazyshop.needs import a as a\nfrom lazyshop.broken import b as b", "utf-8"
    )
    (package / "needs.py").write_text("raise ModuleNotFoundError('torch', name='torch.nn')", "utf-8")
    (package / "broken.py").write_text("import lazyshop.nothing", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    lazyshop = importlib.import_module("lazyshop")
    with pytest.raises(MissingExtraError, match=r'lazyshop.a needs .* Run: pip install "noiseless\[train\]"'):
        _ = lazyshop.a
    with pytest.raises(ModuleNotFoundError, match=r"lazyshop\.nothing"):
        _ = lazyshop.b
    assert missing_extra("denoise", ModuleNotFoundError(name="numpy")) is None


def test_extras_table_agrees_with_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    distributions = {
        "pywt": "PyWavelets",
        "skimage": "scikit-image",
        "cv2": "opencv-python-headless",
        "lightning_fabric": "lightning-fabric",
        "python_multipart": "python-multipart",
        "prometheus_client": "prometheus-client",
        "pillow_heif": "pillow-heif",
    }
    for module, extra in EXTRAS.items():
        needed = distributions.get(module, module)
        assert any(line.startswith(needed) for line in project["optional-dependencies"][extra]), module


def test_error_tree_is_the_one_drawn() -> None:
    tree = ast.parse((ROOT / "src/noiseless/errors.py").read_text("utf-8"))
    rows = [row.strip(" │├└─") for row in (ast.get_docstring(tree) or "").splitlines()]
    drawn = {row.split()[0] for row in rows if "  " in row}
    assert drawn == {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


def test_errors_have_an_exit_code_and_one_line() -> None:
    error = InputError("a\nb", got=3, expected="4", fix="Do it.")
    assert str(error) == "a b: got 3, expected 4. Do it."
    assert error.exit_code == 2
    assert NoiselessError("x").exit_code == 1


def test_unknown_names_are_answered_with_the_closest() -> None:
    assert "Did you mean dncnn?" in str(UnknownNameError("network", "dncn", ["dncnn", "unet_small"]))
    assert "Did you mean training.lr?" in str(UnknownNameError("setting", "lr", ["training.lr", "seed"]))
    assert "Known: a, b." in str(UnknownNameError("thing", "zzz", ["b", "a"]))


def run_on(clean: Any) -> noiseless.RunConfig:
    return noiseless.RunConfig(data=DataConfig(clean=clean))


PICTURE = np.zeros((8, 8), np.uint8)
WRONG: dict[str, Callable[[Any], object]] = {
    "train: got dict, expected a RunConfig. Make one": lambda api: api.train({"steps": 3}, "run"),
    "finetune: got RunConfig, expected a FinetuningConfig": lambda api: api.finetune("gray-nano", api.RunConfig(), "r"),
    "train: got int, expected a path": lambda api: api.train(api.RunConfig(), 3),
    "train: data does not fit: got 'x', expected DataConfig": lambda api: api.train(api.RunConfig(data="x"), "run"),
    "train: data.clean does not fit: got 'x', expected a list": lambda api: api.train(run_on("x"), "run"),
    "train: noise does not fit: got .*sigma.*, expected text": lambda api: api.train(
        api.RunConfig(noise=api.noise.Gaussian(0.1)), "run"
    ),
    "finetune: got NoneType, expected a path": lambda api: api.finetune("gray-nano", default_config(), None),
    "finetune: got int, expected a name": lambda api: api.finetune(3, default_config(), "run"),
    "read: got ndarray, expected a path": lambda api: api.read(PICTURE),
    "read: got str, expected a path": lambda api: api.read(StringIO("text")),
    "load: got int, expected a name": lambda api: api.load(3),
    "denoise: got list, expected a name": lambda api: api.denoise(PICTURE, ["gray-nano"]),
    "denoise: got object, .* give its array": lambda api: api.denoise(api.Image.from_array(PICTURE)),
    "denoise: got .*inhomogeneous": lambda api: api.denoise([[1, 2], [3]]),
    "denoise: got x for shape": lambda api: api.denoise(PICTURE, channel_axis="x"),
    "denoise: strength does not fit: got .*'x'": lambda api: api.denoise(PICTURE, strength="x"),
    "evaluate: got int, expected a name": lambda api: api.evaluate(3, clean="x", noise="gaussian:3"),
    "evaluate: got ndarray, expected paths": lambda api: api.evaluate("identity", clean=[PICTURE], noise="clip"),
    "evaluate: got str, expected a noiseless.data source": lambda api: api.evaluate("identity", "folder"),
    "evaluate: got 'both', expected .NOISY, CLEAN": lambda api: api.evaluate("identity", pairs="both"),
    "evaluate: got 25, expected for example gaussian:25": lambda api: api.evaluate("identity", clean="x", noise=25),
}


@pytest.mark.parametrize("expected", WRONG)
def test_what_is_of_a_wrong_kind_is_told_in_one_line(expected: str) -> None:
    with pytest.raises(InputError, match=expected.partition(": ")[2]):
        WRONG[expected](noiseless)


def test_package_is_typed() -> None:
    assert (ROOT / "src/noiseless/py.typed").exists()
    assert (ROOT / "src/noiseless/__init__.pyi").exists()
