"""What a run works with, what it may spend, what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from noiseless.training.checkpoint import Progress
from noiseless.training.config import TrainingConfig
from noiseless.training.objectives import Objective
from noiseless.training.patches import PatchSource
from noiseless.training.validation import Scores

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Ending = Literal["finished", "stopped", "interrupted", "terminated"]


@dataclass(frozen=True)
class Budget:
    """What a run may spend: optimiser steps or seconds."""

    steps: int | None = None
    seconds: float | None = None

    def spent(self, progress: Progress) -> float:
        """Share of the budget spent, 0 to 1 and a little beyond."""
        if self.steps is not None:
            return self.at_step(progress.step)
        return progress.seconds / self.seconds if self.seconds else 1.0

    def at_step(self, step: int) -> float:
        """Share spent when this step begins; only for a budget in steps."""
        return step / self.steps if self.steps else 1.0


@dataclass(frozen=True)
class Status:
    """What a run says of itself: to a progress bar, a CSV file, TensorBoard."""

    step: int
    spent: float
    seconds: float
    loss: float
    lr: float
    best: float
    logs: dict[str, float] = field(default_factory=dict)


@dataclass
class Run:
    """All that a run works with and changes.

    Attributes:
        fabric: places the work on devices.
        network: the network, as Fabric set it up.
        optimizer: its optimiser, as Fabric set it up.
        average: the exponential moving average of the network: what is validated and saved.
        objective: what a step minimises.
        source: where patches come from.
        config: how the loop runs.
        budget: what may be spent.
        folder: of the run.
        seed: of everything that is random.
        progress: where the run stands.
        stepped: told the network and the share of the budget spent before, after every step.
    """

    fabric: Fabric
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module
    objective: Objective
    source: PatchSource
    config: TrainingConfig
    budget: Budget
    folder: Path
    seed: int
    progress: Progress = field(default_factory=Progress)
    stepped: Callable[[nn.Module, float], None] = lambda network, spent: None

    @property
    def spent(self) -> float:
        """Share of the budget spent, the same on every process."""
        share = self.budget.spent(self.progress)
        shared: float = self.fabric.broadcast(share) if self.budget.steps is None else share
        return shared

    @property
    def plain_network(self) -> nn.Module:
        """The network without the wrappers of Fabric and DDP."""
        network = self.network
        while isinstance(inner := getattr(network, "module", None), nn.Module):
            network = inner
        return network

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"


@dataclass(frozen=True)
class Hooks:
    """What happens around the steps; called on the first process only.

    Attributes:
        validate: scores the averaged network.
        save: writes the averaged network as the bundle ``best`` or ``last``.
        log: takes a status every few steps.
        scored: takes the scores of a validation.
    """

    validate: Callable[[nn.Module], Scores]
    save: Callable[[nn.Module, Literal["best", "last"]], None]
    log: Callable[[Status], None]
    scored: Callable[[Status, Scores], None]


@dataclass(frozen=True)
class Listener:
    """Who is told how a run goes; every function is optional.

    Attributes:
        say: a line of text: what was found, what is done.
        status: about every ten steps.
        scored: at every validation.
    """

    say: Callable[[str], None] = lambda line: None
    status: Callable[[Status], None] = lambda status: None
    scored: Callable[[Status, Scores], None] = lambda status, scores: None
