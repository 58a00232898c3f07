"""Adapting without forgetting: a second term beside the objective that holds a network to what it could do.

Each entry of `KEEPS` makes, once a run, a function ``(network, generator) -> penalty``; the penalty times its
strength is added to the loss.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from noiseless import losses
from noiseless.bundle import NetworkSpec
from noiseless.data import CleanImages, decode, samples
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.finetuning.base import Base
from noiseless.finetuning.config import FinetuningConfig
from noiseless.finetuning.layers import weights
from noiseless.noise import Noise, parse
from noiseless.training.config import Stage
from noiseless.training.objectives import Batch, Objective, apply
from noiseless.training.patches import CleanPatches, PatchSource, make_batch

Penalty = Callable[[nn.Module, torch.Generator], Tensor]
KEEP_SEED = 7919
"""Batches of what is to be kept differ from those of the run."""


@dataclass(frozen=True)
class Past:
    """What a network could do before.

    Attributes:
        network: as it was, frozen.
        config: of the run.
        source: patches of what it was made for; ``None`` where the way to keep needs none.
        device: where the work is done.
    """

    network: nn.Module
    config: FinetuningConfig
    source: PatchSource | None
    device: torch.device

    def batch(self, number: int) -> Batch:
        """Patches of what the network was made for, the same for the same number."""
        assert self.source is not None
        stage = Stage(0.0, self.config.training.patch_size, self.config.keep.batch_size)
        made = make_batch(self.source, stage, KEEP_SEED, number, slice(None))
        sigma = None if made.sigma is None else made.sigma.to(self.device)
        return Batch(made.noisy.to(self.device), made.target.to(self.device), sigma)


def l2sp(past: Past) -> Penalty:
    """Pull the weights towards what they were: the sum of squared changes.

    Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", 2018.
    """
    return _pull(past, {})


def ewc(past: Past) -> Penalty:
    """Pull as `l2sp`, the more the more a weight matters for what is to be kept.

    Kirkpatrick et al., "Overcoming Catastrophic Forgetting in Neural Networks", 2017. How much a weight matters is
    the mean square of its gradient over some batches (the diagonal of the empirical Fisher matrix), here divided by
    the mean over all weights, so that a strength means about what it means for `l2sp`.
    """
    network, loss = copy.deepcopy(past.network).requires_grad_(True), losses.parse(past.config.loss)
    squares = {name: torch.zeros_like(weight) for name, weight in network.named_parameters()}
    for number in range(past.config.keep.batches):
        batch = past.batch(number)
        network.zero_grad()
        loss(apply(network, batch.noisy, batch.sigma), batch.target).backward()  # type: ignore[no-untyped-call]
        for name, weight in network.named_parameters():
            squares[name] += 0 if weight.grad is None else weight.grad.square()
    total = sum(float(square.sum()) for square in squares.values())
    mean = total / sum(square.numel() for square in squares.values())
    return _pull(past, {name: square / mean for name, square in squares.items()} if mean else {})


def _pull(past: Past, importance: dict[str, Tensor]) -> Penalty:
    before = dict(past.network.named_parameters())

    def penalty(network: nn.Module, generator: torch.Generator) -> Tensor:
        total = torch.zeros((), device=past.device)
        for name, weight in weights(network):
            if weight.requires_grad:
                total = total + (importance.get(name, 1.0) * (weight - before[name]).square()).sum()
        return total

    return penalty


def replay(past: Past) -> Penalty:
    """Rehearse: learn from images and noise that the network was made for at every step.

    Robins, "Catastrophic Forgetting, Rehearsal and Pseudorehearsal", 1995.
    """
    loss = losses.parse(past.config.loss)

    def penalty(network: nn.Module, generator: torch.Generator) -> Tensor:
        batch = past.batch(_number(generator))
        return loss(apply(network, batch.noisy, batch.sigma).float(), batch.target)

    return penalty


def lwf(past: Past) -> Penalty:
    """Distil: restore what the network was made for as it did before; no clean image is looked at.

    After Li and Hoiem, "Learning without Forgetting", 2016, on images to keep instead of the new ones.
    """
    loss = losses.parse(past.config.loss)

    def penalty(network: nn.Module, generator: torch.Generator) -> Tensor:
        batch = past.batch(_number(generator))
        with torch.no_grad():
            before = apply(past.network, batch.noisy, batch.sigma).float()
        return loss(apply(network, batch.noisy, batch.sigma).float(), before)

    return penalty


def _number(generator: torch.Generator) -> int:
    return int(torch.randint(2**31 - 1, (), generator=generator))


KEEPS: dict[str, Callable[[Past], Penalty]] = {"replay": replay, "lwf": lwf, "ewc": ewc, "l2sp": l2sp}
STRENGTHS = {"replay": 1.0, "lwf": 1.0, "ewc": 1e-3, "l2sp": 1e-3}
"""What multiplies each where the settings do not say."""


def check(base: Base, config: FinetuningConfig) -> None:
    """See that what `config.keep` asks for can be had.

    Raises:
        UnknownNameError: no such way to keep.
        ConfigError: it is not known which noise the model was made for.
        SpecError: a noise that is none.
    """
    keep = config.keep
    if keep.name not in {*KEEPS, "none"}:
        raise UnknownNameError("way to keep", keep.name, [*KEEPS, "none"])
    if keep.name not in ("none", "l2sp"):
        _noise(base, config)


def kept(objective: Objective, network: nn.Module, base: Base, config: FinetuningConfig, folder: Path) -> Objective:
    """An objective with the term that `config.keep` asks for.

    Args:
        objective: of the run.
        network: as it was, frozen.
        base: the model it is of.
        config: of the run.
        folder: of the run; images to keep are decoded into it.

    Raises:
        DataError: no usable images.
    """
    keep = config.keep
    if keep.name == "none":
        return objective
    device = next(network.parameters()).device
    source = None if keep.name == "l2sp" else _source(network, base, config, folder)
    penalty = KEEPS[keep.name](Past(network, config, source, device))
    strength = STRENGTHS[keep.name] if keep.strength is None else keep.strength

    def both(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        value, logs = objective(network, batch, generator)
        extra = strength * penalty(network, generator)
        return value + extra, {**logs, "keep": float(extra.detach())}

    return both


def _source(network: nn.Module, base: Base, config: FinetuningConfig, folder: Path) -> PatchSource:
    """Patches of the images to keep, with the noise that the model was made for."""
    noise = _noise(base, config)
    spec: NetworkSpec = network.spec  # type: ignore[assignment]
    images = decode(
        CleanImages.find(list(config.keep.data) or list(samples("train"))), folder / "store" / "keep", side="keep"
    )
    return CleanPatches(images.arrays["clean"], noise, spec.channels, config.training)


def _noise(base: Base, config: FinetuningConfig) -> Noise:
    if config.keep.noise:
        return parse(config.keep.noise)
    if base.bundle.noise is None:
        raise ConfigError(
            f"it is not known which noise {base.model} was made for", fix="Name it: --set keep.noise=gaussian:0-50"
        )
    return Noise.from_dict(base.bundle.noise)
