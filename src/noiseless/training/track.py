"""Records of a run: a CSV file, TensorBoard, and Weights & Biases where asked for."""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from noiseless.errors import MissingExtraError
from noiseless.training.state import Status
from noiseless.training.validation import Scores

COLUMNS = ("step", "spent", "seconds", "loss", "lr", "psnr", "ssim", "noisy_psnr")


SIDES = ("noisy", "restored", "clean")


class Tracker:
    """Writes what a run reports; one for each run, on its first process.

    Args:
        folder: of the run: ``metrics.csv`` and ``tensorboard/`` go there.
        settings: the resolved configuration, for Weights & Biases.
        wandb: also log there.

    Raises:
        MissingExtraError: `wandb` is wanted and not installed.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, wandb: bool = False) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(folder / "tensorboard"))
        path = folder / "metrics.csv"
        fresh = not path.exists()
        self._file = path.open("a", newline="", encoding="utf-8")
        self._rows = csv.DictWriter(self._file, COLUMNS)
        if fresh:
            self._rows.writeheader()
        self._wandb = _start_wandb(folder, settings) if wandb else None

    def status(self, status: Status) -> None:
        """Record loss and learning rate."""
        self._write(status, {"loss": f"{status.loss:.6g}", "lr": f"{status.lr:.4g}"})
        self._scalars(status.step, {"train/loss": status.loss, "train/lr": status.lr, **status.logs})

    def scores(self, status: Status, scores: Scores) -> None:
        """Record a validation: PSNR, SSIM and pictures of noisy, restored and clean side by side."""
        values = {"psnr": scores.psnr, "ssim": scores.ssim, "noisy_psnr": scores.noisy_psnr}
        values = {name: value for name, value in values.items() if not math.isnan(value)}
        self._write(status, {name: f"{value:.4f}" for name, value in values.items()})
        self._scalars(status.step, {f"validation/{name}": value for name, value in values.items()})
        for number, sides in enumerate(scores.pictures):
            strip = np.concatenate([_rgb(side) for side in sides], axis=2)
            name = f"{', '.join(SIDES[: len(sides)])}/{number}"
            self._board.add_image(name, strip, status.step)
        self._board.flush()

    def graph(self, network: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
        """Draw the network in TensorBoard's graph tab."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns about Python control flow; the picture is the same
            self._board.add_graph(network, example)

    def close(self) -> None:
        """Write everything out."""
        self._file.close()
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish()

    def _write(self, status: Status, values: dict[str, str]) -> None:
        when = {"step": status.step, "spent": f"{status.spent:.5f}", "seconds": f"{status.seconds:.1f}"}
        self._rows.writerow(when | values)
        self._file.flush()

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(values, step=step)


def _start_wandb(folder: Path, settings: dict[str, Any]) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("Weights & Biases", "wandb") from error
    return wandb.init(project="noiseless", name=folder.name, dir=str(folder), config=settings, resume="allow")


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image[:3]
