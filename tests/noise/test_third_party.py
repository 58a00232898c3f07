"""A noise model of another package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest

from noiseless import tables
from noiseless.errors import UnknownNameError
from noiseless.noise import Noise, find, parse
from noiseless.noise.values import Number, Value, as_array


@dataclass(frozen=True)
class Uniform(Noise):
    """Uniformly distributed noise, with no more than a model must have."""

    name: ClassVar[str] = "uniform"
    width: Annotated[Value, Number(high=1.0)]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        half = float(as_array(self.width)) / 2
        return clean + generator.uniform(-half, half, clean.shape).astype(np.float32)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package with this model were installed."""
    point = EntryPoint("uniform", f"{__name__}:Uniform", "noiseless.noises")

    def entry_points(**selection: Any) -> EntryPoints:
        return EntryPoints([point]).select(**selection)

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.mark.usefixtures("installed")
def test_is_found_parsed_and_measured() -> None:
    noise = parse("uniform:0.6+gaussian:0")
    assert find("uniform") is Uniform or find("uniform").__name__ == "Uniform"
    assert noise.spec == "uniform:width=0.6+gaussian:0"
    assert not noise.analytic
    assert noise.variance(np.full((4, 4), 0.5)) == pytest.approx(0.03, rel=0.1)


@pytest.mark.usefixtures("installed")
def test_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="uniform"):
        parse("unifrom:0.5")
    assert "uniform" in tables.names({}, "noiseless.noises")


def test_is_unknown_without_its_package() -> None:
    with pytest.raises(UnknownNameError):
        parse("uniform:0.5")
