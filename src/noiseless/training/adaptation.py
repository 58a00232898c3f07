"""What is done to a network before training and undone when it is saved; training from scratch does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from noiseless.training.objectives import Objective


def _all_parameters(network: nn.Module) -> list[dict[str, Any]]:
    return [{"params": [parameter for parameter in network.parameters() if parameter.requires_grad]}]


@dataclass(frozen=True)
class Adaptation:
    """How a run changes its network around the training loop.

    Attributes:
        apply: makes the network that is trained from the one that was built; may change it in place.
        merged: a plain network of the original architecture that computes what a trained one does.
        groups: the parameters to optimise, as groups for the optimiser; ``scale`` multiplies the learning rate.
        objective: wraps the objective; told the network before the adaptation, frozen.
        saved: told the trained network and the bundle's folder whenever one was written.
        stepped: told the trained network, its gradients still there, and the share of the budget that was spent
            before, after every step.
        label: what a network is told of new pairs in place of what is measured in each, so that it tells them from
            what it was made for; ``None`` for none.
    """

    apply: Callable[[nn.Module], nn.Module] = lambda network: network
    merged: Callable[[nn.Module], nn.Module] = lambda network: network
    groups: Callable[[nn.Module], list[dict[str, Any]]] = _all_parameters
    objective: Callable[[Objective, nn.Module], Objective] = lambda objective, base: objective
    saved: Callable[[nn.Module, Path], None] = lambda network, folder: None
    stepped: Callable[[nn.Module, float], None] = lambda network, spent: None
    label: str | None = None


NO_ADAPTATION = Adaptation()
