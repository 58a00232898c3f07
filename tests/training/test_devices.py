"""Devices that are not there, and names that nobody knows, are one clear line before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny_runs
from noiseless.errors import ConfigError
from noiseless.training import devices
from noiseless.training.config import TrainingConfig
from noiseless.training.devices import check_devices, open_fabric
from noiseless.training.run import run_training


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says how many GPUs there are."""

    def have(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    have(0)
    return have


REFUSED = [
    ({"accelerator": "quantum"}, r"unknown training.accelerator: got 'quantum', expected one of auto, cpu, cuda"),
    ({"strategy": "telepathy"}, r"unknown training.strategy: got 'telepathy', expected one of auto, ddp"),
    ({"accelerator": "cuda"}, r"not there: got cuda, and no CUDA GPU, expected auto or cpu\. Leave"),
    ({"devices": 0}, r"training.devices does not fit: got 0, expected 1 or more"),
    ({"devices": -1}, r"training.devices does not fit: got -1"),
    ({"strategy": "fsdp"}, r"fsdp needs a GPU: got accelerator auto.*expected auto or ddp\. On processors"),
    ({"accelerator": "cpu", "strategy": "fsdp"}, r"fsdp needs a GPU: got accelerator cpu"),
]


@pytest.mark.parametrize(("changes", "match"), REFUSED, ids=[str(changes) for changes, _ in REFUSED])
def test_what_is_not_there_is_one_clear_line(gpus: Any, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        open_fabric(TrainingConfig(**changes), "float32")
    assert "\n" not in str(caught.value)


def test_more_gpus_than_there_are(gpus: Any) -> None:
    gpus(2)
    check_devices(TrainingConfig(accelerator="cuda", devices=2, strategy="fsdp"))
    with pytest.raises(ConfigError, match="more GPUs than there are: got 3, expected 1 to 2"):
        check_devices(TrainingConfig(devices=3))


def test_what_only_fabric_knows_is_one_line_too(gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "check_devices", lambda training: None)
    with pytest.raises(ConfigError, match="refuses these devices: got accelerator cpu, devices 1, strategy fsdp"):
        open_fabric(TrainingConfig(accelerator="cpu", strategy="fsdp"), "float32")


def test_processes_on_processors_are_fine(gpus: Any) -> None:
    check_devices(TrainingConfig(accelerator="cpu", devices=2, strategy="ddp"))


def test_a_run_is_refused_before_its_folder_is_made(gpus: Any, tmp_path: Path) -> None:
    config = tiny_runs.config(tiny_runs.stores(tmp_path / "data"), steps=2)
    config = replace(config, training=replace(config.training, accelerator="cuda"))
    with pytest.raises(ConfigError, match="no CUDA GPU"):
        run_training(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
