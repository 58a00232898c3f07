"""Training against small changes of the input that hurt most."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from noiseless.errors import ConfigError
from noiseless.evaluation.attack import Attack
from noiseless.training.objectives import REFERENCED, Batch, Objective

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

STEPS = 2
"""Of the attack on a batch where its text does not say."""


def check_adversarial(spec: str, objective: str, *, referenced: bool) -> None:
    """See that an attack parses and there are clean images to attack towards.

    Args:
        spec: of the attack; empty for none.
        objective: its name, or ``auto``.
        referenced: whether all images have a clean side.

    Raises:
        SpecError: it does not parse.
        ConfigError: images or an objective without a clean side.
    """
    if spec:
        Attack.parse(spec)
        if not referenced or objective not in ("auto", *REFERENCED):
            got = f"objective {objective}" if referenced else "images without a clean side"
            raise ConfigError("adversarial training needs clean images", got=got)


def hardened(
    objective: Objective, spec: str, plain: nn.Module, autocast: Callable[[], AbstractContextManager[None]]
) -> Objective:
    """An objective whose batches are attacked, the first half of each; the rest stays as it is.

    Args:
        objective: what a step minimises.
        spec: of the attack, as ``pgd:2/255``; empty for none.
        plain: the network without Fabric's wrapper, which allows no gradients towards the input in mixed precision.
        autocast: the precision to attack it in.
    """
    if not spec:
        return objective
    import torch

    attack = Attack.parse(spec, steps=STEPS)

    def attacked(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        half = -(-len(batch.noisy) // 2)

        def beginning_with(first: Tensor) -> Batch:
            return replace(batch, noisy=torch.cat([first, batch.noisy[half:]]))

        def loss(first: Tensor) -> Tensor:
            with autocast():
                return objective(plain, beginning_with(first), generator)[0]

        return objective(network, beginning_with(attack.find(loss, batch.noisy[:half], generator)), generator)

    return attacked
