"""noiseless models lists what there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from noiseless import bundle
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.cli.models import aligned, network_lines
from noiseless.networks import NETWORKS


def test_shipped_models(
    conditioned_bundle: Bundle,
    blind_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path)
    assert main(["models"]) == 0
    assert "No model comes with this installation." in capsys.readouterr().out
    for each in (conditioned_bundle, blind_bundle):
        shutil.copytree(each.path, tmp_path / each.name)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", "tiny-color", "tiny-gray"]
    assert "dncnn" in lines[1]
    assert "finds it itself" in lines[1]
    assert "told or estimated" in lines[2]
    assert all("-" not in line.split() for line in lines), "a model is trained for something"


@pytest.mark.slow
def test_every_network_with_what_it_costs() -> None:
    lines = network_lines()
    assert [line.split()[0] for line in lines[1 : 1 + len(NETWORKS)]] == list(NETWORKS)
    costs = {line.split()[0]: float(line.split()[2]) for line in lines[1 : 1 + len(NETWORKS)]}
    assert costs["unet_nano"] <= 3.5
    assert costs["unet_small"] <= 14
    assert costs["unet_base"] <= 65
    assert "whole image" in next(line for line in lines if line.startswith("nafnet"))


def test_numbers_stand_to_the_right() -> None:
    assert aligned([("name", "MB"), ("a", "7.5"), ("long-one", "12.5")]) == [
        "name        MB",
        "a          7.5",
        "long-one  12.5",
    ]
