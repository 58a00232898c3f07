"""Networks of other projects through spandrel: a stand-in for the library, which has an environment of its own.

The stand-in has the calls that are used of it: `ModelLoader.load_from_state_dict`, `UnsupportedModelError`, and the
attributes of what it returns. It knows one architecture, a row of convolutions named ``rows.N``.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import noiseless
from noiseless import networks
from noiseless.__main__ import main
from noiseless.errors import BundleError, MissingExtraError
from noiseless.networks import create, foreign, through_spandrel
from tiny_images import save_many


class Rows(nn.Module):
    """Convolutions, the image added to what they give."""

    def __init__(self, channels: int, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        widths = [channels, *[width] * (depth - 1), outputs]
        self.rows = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.register_buffer("places", torch.zeros(3, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """The image less half of what the row gives; at least 0, as what leaves spandrel is."""
        y = x
        for row in self.rows:
            y = torch.relu(row(y))
        return x - 0.5 * y


class UnsupportedModelError(Exception):
    """As spandrel has it."""


class ModelLoader:
    """As spandrel has it."""

    changes: ClassVar[dict[str, Any]] = {}

    def __init__(self, device: str) -> None:
        assert device == "cpu"

    def load_from_state_dict(self, state: dict[str, Tensor]) -> Any:
        """A description of a network, its weights loaded."""
        if "rows.0.weight" not in state:
            raise UnsupportedModelError
        first, last = state["rows.0.weight"], state[sorted(n for n in state if n.endswith("weight"))[-1]]
        depth = sum(name.endswith("weight") for name in state)
        model = Rows(first.shape[1], first.shape[0], depth, last.shape[0])
        model.load_state_dict(state)
        plain = {
            "model": model,
            "architecture": SimpleNamespace(name="Rows"),
            "purpose": "Restoration",
            "scale": 1,
            "input_channels": first.shape[1],
            "output_channels": last.shape[0],
            "size_requirements": SimpleNamespace(minimum=0, multiple_of=4, square=False),
            "tiling": SimpleNamespace(name="SUPPORTED"),
            "_call_fn": lambda model, image: model(image),
        }
        return SimpleNamespace(**{**plain, **self.changes})


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[ModelLoader]:
    module = ModuleType("spandrel")
    module.__spec__ = ModuleSpec("spandrel", None)
    module.ModelLoader = ModelLoader  # type: ignore[attr-defined]
    module.UnsupportedModelError = UnsupportedModelError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spandrel", module)
    monkeypatch.setattr(ModelLoader, "changes", {})
    return ModelLoader


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    monkeypatch.setattr(through_spandrel, "installed", lambda: False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Rows(1, 8, 3, 1)
    path = tmp_path / "rows.pth"
    torch.save({"params": network.state_dict()}, path)
    return path


def test_without_it_the_error_says_what_to_install(checkpoint: Path, absent: None) -> None:
    with pytest.raises(BundleError, match=r'no known network.*pip install "noiseless\[foreign\]"'):
        noiseless.load(checkpoint)
    with pytest.raises(MissingExtraError, match=r"noiseless\[foreign\]"):
        create("spandrel", tensors=["rows.0.weight:float32:8x1x3x3"])


@pytest.mark.usefixtures("stand_in")
def test_computes_what_the_library_computes_at_any_size(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)["params"]
    reference = ModelLoader("cpu").load_from_state_dict(state).model
    denoiser = noiseless.load(checkpoint)
    assert (denoiser.bundle.network, denoiser.spec.channels, denoiser.spec.multiple_of) == ("spandrel", 1, 4)
    assert denoiser.spec.halo == 4  # three layers see three pixels far; tiles begin at multiples of four
    image = np.random.default_rng(0).random((24, 36), dtype=np.float32)
    with torch.no_grad():
        expected = reference(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(denoiser(image), expected, atol=1e-6)
    assert denoiser(image[:23, :35]).shape == (23, 35)


@pytest.mark.usefixtures("stand_in")
def test_ours_come_first_and_what_neither_knows_is_refused() -> None:
    name, *_ = foreign.recognise(
        {f"model.{2 * n}.{part}": t for n in range(4) for part, t in _row(n, 4)},
    )
    assert name == "dncnn"
    with pytest.raises(BundleError, match="no known network") as caught:
        foreign.recognise({"stem.weight": torch.zeros(3, 3)})
    assert "pip install" not in str(caught.value)


def _row(number: int, depth: int) -> list[tuple[str, Tensor]]:
    inputs, outputs = (1 if number == 0 else 8), (1 if number == depth - 1 else 8)
    return [("weight", torch.zeros(outputs, inputs, 3, 3)), ("bias", torch.zeros(outputs))]


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "SR", "scale": 4},
        {"output_channels": 3},
        {"size_requirements": SimpleNamespace(minimum=0, multiple_of=1, square=True)},
    ],
)
def test_networks_that_do_something_else_are_refused(
    checkpoint: Path, stand_in: type[ModelLoader], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_in, "changes", changes)
    with pytest.raises(BundleError, match="Rows, which cannot be used here"):
        noiseless.load(checkpoint)


def test_a_network_that_the_shapes_do_not_describe_is_refused(
    checkpoint: Path, stand_in: type[ModelLoader], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def differs(model: nn.Module, image: Tensor) -> Tensor:
        calls.append(1)
        return image * len(calls)

    monkeypatch.setattr(stand_in, "changes", {"_call_fn": differs})
    with pytest.raises(BundleError, match=r"shapes alone do not describe.*differ"):
        noiseless.load(checkpoint)


@pytest.mark.usefixtures("stand_in")
def test_finetunes_evaluates_and_exports_like_any_other(checkpoint: Path, tmp_path: Path) -> None:
    save_many(tmp_path / "clean", [f"{n}.png" for n in range(4)])
    clean, noise = ["--clean", str(tmp_path / "clean")], ["--noise", "gaussian:25"]
    run, exported = tmp_path / "run", tmp_path / "exported"
    small = ["--set", "training.patch_size=16", "--set", "training.validations=1"]
    assert not main(
        ["finetune", str(checkpoint), *clean, *noise, "--method", "full", "--steps", "3", *small, "-o", str(run)]
    )
    made = noiseless.load(run / "last")
    assert made.bundle.network == "spandrel"
    assert "spandrel" not in networks.names()  # it is read, not chosen
    assert not main(["evaluate", str(checkpoint), str(run / "last"), *clean, *noise])
    assert not main(["export", str(run / "last"), "--format", "onnx", "-o", str(exported)])
    assert list(exported.glob("*.onnx"))
