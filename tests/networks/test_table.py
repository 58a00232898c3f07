"""Building networks by name: arguments, variants, other packages' networks, what is refused."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
from torch import Tensor, nn

from noiseless import networks
from noiseless.bundle import NetworkSpec
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.networks import create


class Identity(nn.Module):
    """What another package could bring."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.spec = NetworkSpec(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_arguments_reach_the_constructor() -> None:
    network = create("dncnn", channels=1, width=8, depth=3)
    assert network.spec == NetworkSpec(channels=1, halo=3)
    assert len([layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]) == 3


def test_a_variant_takes_the_arguments_of_its_class() -> None:
    network = create("unet_nano", channels=1, widths=[8, 16], blocks=[1, 1], dropout=0.1)
    assert network.spec.multiple_of == 4


def test_an_unknown_network_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown network 'googlnet'\. Did you mean googlenet"):
        create("googlnet")


@pytest.mark.parametrize(
    ("name", "argument", "match"),
    [
        ("dncnn", "widht", "no argument 'widht'. Did you mean width"),
        ("unet_nano", "width", "no argument 'width'. Did you mean widths"),
        ("resnet", "zzz", "It has channels, width, depth"),
    ],
)
def test_an_unknown_argument_names_the_closest(name: str, argument: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        create(name, **{argument: 1})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dncnn", {"width": "many"}),
        ("dncnn", {"kernel_size": 4}),
        ("alexnet", {"widths": [8, 8]}),
        ("nafnet", {"encoder_depths": [1], "decoder_depths": [1, 1]}),
        ("drunet", {"widths": [8, 8]}),
        ("resnet", {"dropout": 2.0}),
        ("unet_small", {"widths": []}),
        ("unet_small", {"blocks": [1]}),
        ("unet_small", {"channels": 0}),
        ("unet_small", {"halo": -1}),
        ("unet_small", {"conditioning": "noise"}),
    ],
)
def test_a_value_that_does_not_fit_is_a_configuration_error(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        create(name, **arguments)


def test_an_unknown_activation_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean relu"):
        create("dncnn", activation="rellu")


def entry(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    point = importlib.metadata.EntryPoint(name, value, networks.GROUP)
    points = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(importlib.metadata, "entry_points", points.select)


def test_other_packages_add_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "identity", f"{__name__}:Identity")
    assert "identity" in networks.names()
    assert create("identity", channels=1).spec.channels == 1
    with pytest.raises(UnknownNameError, match="Did you mean identity"):
        create("identitty")
    with pytest.raises(ConfigError, match="Did you mean channels"):
        create("identity", channel=1)


def test_a_network_without_a_spec_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry(monkeypatch, "flat", "torch.nn:Flatten")
    with pytest.raises(ConfigError, match="flat has no attribute spec"):
        create("flat")


def test_the_table_imports_no_torch() -> None:
    code = "import sys, noiseless.networks as n; n.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
