"""Objectives: what one step of the loop minimises.

An objective is a function ``(network, batch, generator) -> (loss, logs)``; the loop knows no other. An entry of
`OBJECTIVES` makes one from a loss and what is known of the noise, which those that have clean images do without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noiseless import tables
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.networks import spec_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from noiseless.training.known import KnownNoise

Loss = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class Batch:
    """What one step learns from; tensors of shape (B, C, H, W) in [0, 1] units.

    Attributes:
        noisy: the network's input.
        target: what the loss compares with: the clean image where there is one, else another noisy view, else `noisy`.
        sigma: noise standard deviation, broadcastable to the input; ``None`` where it is not known.
        referenced: (B,) bool, which targets are clean; ``None`` where all are.
    """

    noisy: Tensor
    target: Tensor
    sigma: Tensor | None = None
    referenced: Tensor | None = None

    def rows(self, chosen: Tensor) -> Batch:
        """The chosen examples; (B,) bool."""
        sigma = None if self.sigma is None else self.sigma[chosen]
        referenced = None if self.referenced is None else self.referenced[chosen]
        return Batch(self.noisy[chosen], self.target[chosen], sigma, referenced)


Objective = Callable[["nn.Module", Batch, "torch.Generator"], tuple["Tensor", dict[str, float]]]
Maker = Callable[[Loss, "KnownNoise | None"], Objective]

OBJECTIVES: dict[str, str] = {
    "supervised": "noiseless.training.objectives.supervised:supervised",
    "balanced": "noiseless.training.objectives.balanced:balanced",
    "noise2noise": "noiseless.training.objectives.noise2noise:noise2noise",
    "noise2void": "noiseless.training.objectives.noise2void:noise2void",
    "noise2self": "noiseless.training.objectives.noise2self:noise2self",
    "neighbor2neighbor": "noiseless.training.objectives.neighbor2neighbor:neighbor2neighbor",
    "sure": "noiseless.training.objectives.sure:sure",
    "recorrupted": "noiseless.training.objectives.recorrupted:recorrupted",
    "zero-shot": "noiseless.training.objectives.zero_shot:zero_shot",
}

REFERENCED = ("supervised", "balanced")
"""Objectives that compare with clean images."""


def create(name: str, loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective of this name around `loss`.

    Args:
        name: a key of `OBJECTIVES`.
        loss: compares what the network made with what it should.
        noise: of the noisy images; only those in `REFERENCED` do without.

    Raises:
        UnknownNameError: no objective of this name.
        ConfigError: nothing is known of the noise.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    make: Maker = tables.attribute(OBJECTIVES[name])
    if noise is None and name not in REFERENCED:
        raise ConfigError(f"the objective {name} must know the noise", fix="Add --noise, or name noisy images.")
    return make(loss if noise is None else _in_deviations(loss, noise), noise)


def _in_deviations(loss: Loss, noise: KnownNoise) -> Loss:
    """The loss of values in standard deviations of the noise, so that a learning rate suits any strength of it."""
    scale = noise.level**-0.5

    def scaled(restored: Tensor, target: Tensor) -> Tensor:
        return loss(restored * scale, target * scale)

    return scaled


def apply(network: nn.Module, noisy: Tensor, sigma: Tensor | None) -> Tensor:
    """Run a network, with or without sigma as its spec says."""
    restored: Tensor = network(noisy, sigma) if spec_of(network).conditioning == "sigma" else network(noisy)
    return restored
