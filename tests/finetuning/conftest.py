"""A tiny model to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny_runs
from noiseless.training.config import DataConfig
from noiseless.training.run import run_training


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Grey pictures to train and to validate on."""
    return tiny_runs.stores(tmp_path_factory.mktemp("finetuning-stores"))


@pytest.fixture(scope="session")
def base(data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a tiny grey network that learned Gaussian noise."""
    folder = tmp_path_factory.mktemp("finetuning-base") / "base"
    run_training(tiny_runs.config(data, steps=150), folder)
    return folder
