from __future__ import annotations

import time
from pathlib import Path

import pytest

import tiny_runs
from noiseless.training.run import run_training


@pytest.mark.slow
def test_weights_and_biases_runs_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the [wandb] extra is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = tiny_runs.config(tiny_runs.stores(tmp_path), {"wandb": True}, steps=8)
    run_training(config, tmp_path / "run")
    logged = list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(logged) == 1
    deadline = time.monotonic() + 60  # its service, another process, closes the file some time after the run has ended
    while b"validation/psnr" not in logged[0].read_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert b"validation/psnr" in logged[0].read_bytes()
