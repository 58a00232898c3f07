"""Checkpoints: everything a run needs to go on as if it had not stopped."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from noiseless.errors import BundleError, OutputError

KEEP = 2


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: optimiser steps taken.
        seconds: time spent in the loop, over all resumptions.
        validations: how often it was validated.
        best: best validation PSNR so far, in dB; at first that of the weights that the run starts from.
        start: validation PSNR of the weights that the run starts from, nan where they are random.
        since_best: validations without gain.
        plateau_factor: what the plateau schedule has made of the learning rate.
        finished: the budget is spent, or early stopping ended the run.
    """

    step: int = 0
    seconds: float = 0.0
    validations: int = 0
    best: float = float("-inf")
    start: float = float("nan")
    since_best: int = 0
    plateau_factor: float = 1.0
    finished: bool = False


def save_checkpoint(folder: Path, progress: Progress, states: dict[str, Any]) -> Path:
    """Write a checkpoint beside the others, whole or not at all; the newest `KEEP` stay.

    Args:
        folder: of the run's checkpoints.
        progress: kept beside the states.
        states: state dicts of tensors and plain data.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = folder / f"step-{progress.step:08d}.pt"
    beside = folder / f".{path.name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"progress": asdict(progress), **states}, beside)
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        beside.unlink(missing_ok=True)
        raise OutputError(f"cannot write the checkpoint {path}", got=str(error)) from error
    for old in _checkpoints(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> tuple[Progress, dict[str, Any]] | None:
    """The newest readable checkpoint of a run, or ``None`` where there is none.

    Raises:
        BundleError: there are checkpoints, and none can be read.
    """
    paths = _checkpoints(folder)
    for path in reversed(paths):
        try:
            states = torch.load(path, map_location="cpu", weights_only=True)
            return Progress(**states.pop("progress")), states
        except (OSError, RuntimeError, EOFError, KeyError, TypeError):
            continue
    if paths:
        raise BundleError(f"no checkpoint in {folder} can be read", fix="Start anew without --resume.")
    return None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))
