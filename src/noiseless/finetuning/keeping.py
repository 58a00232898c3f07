"""Adapting without forgetting: a second term beside the objective that holds a network to what it could do.

Each entry of `KEEPS` makes, once a run, a function ``(network, generator) -> penalty``; the penalty times its
strength is added to the loss. For all but `l2sp` a penalty is a relative change of squared errors (1% is 0.04 dB), the
same at every noise level, times the size of the loss: what it holds against the loss does not hang on their units.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from noiseless import losses
from noiseless.bundle import TRAIN
from noiseless.data import CleanImages, decode, replay_crops
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.finetuning.base import Base
from noiseless.finetuning.config import FinetuningConfig
from noiseless.finetuning.layers import weights
from noiseless.networks import spec_of
from noiseless.noise import Noise, parse
from noiseless.training.config import Stage
from noiseless.training.objectives import Batch, Objective, apply
from noiseless.training.patches import CleanPatches, Patch, PatchSource, make_batch

Penalty = Callable[[nn.Module, torch.Generator], Tensor]
BETWEEN = "|"
KEEP_SEED = 7919
"""Batches of what is to be kept differ from those of the run."""

ABOVE, DRAWS = 1.5, 64
"""By how much the label of new images is above the levels that are kept, and how many of these are looked at."""

CLEAN_SHARE = 0.1
"""Weight of the clean image in rehearsal, beside 1 for the old output."""

ERROR_SHARE = 0.1
"""About the share that a restored image's squared error has in the noise that was taken off."""

SMALLEST = 1e-6
"""Squared errors below this, 60 dB, count as this."""


@dataclass(frozen=True)
class Past:
    """What a network could do before.

    Attributes:
        network: as it was, frozen.
        config: of the run.
        source: patches of what it was made for.
        device: where the work is done.
    """

    network: nn.Module
    config: FinetuningConfig
    source: PatchSource
    device: torch.device

    def batch(self, number: int) -> Batch:
        """Patches of what the network was made for, the same for the same number."""
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
    the diagonal of the Fisher matrix of a Gaussian around the restored image, as wide as its error: the mean square of
    the gradient towards random signs, over some batches.
    """
    network, loss = copy.deepcopy(past.network).requires_grad_(True), losses.parse(past.config.loss)
    matters = {name: torch.zeros_like(weight) for name, weight in network.named_parameters()}
    for number in range(past.config.keep.batches):
        batch = past.batch(number)
        restored = apply(network, batch.noisy, batch.sigma)
        size = loss(restored.detach(), batch.target)
        width = squares(restored.detach(), batch.target).sqrt().clamp_min(SMALLEST).reshape(-1, 1, 1, 1)
        signs = torch.randint(2, restored.shape, generator=torch.Generator().manual_seed(number)).to(restored) * 2 - 1
        network.zero_grad()
        (restored * signs / width).sum().backward()  # type: ignore[no-untyped-call]
        share = size / (restored.numel() * past.config.keep.batches)
        for name, weight in network.named_parameters():
            matters[name] += 0 if weight.grad is None else share * weight.grad.square()
    return _pull(past, matters)


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
    """Rehearse images and noise that the network was made for: their clean side, and what it made of them before.

    Robins, "Catastrophic Forgetting, Rehearsal and Pseudorehearsal", 1995. That the old output is rehearsed too is
    from Buzzega et al., "Dark Experience for General Continual Learning", 2020: around the clean image alone a few
    patches pull a network that has learned from millions in random directions, around its own output they do not.
    """
    loss = losses.parse(past.config.loss)

    def penalty(network: nn.Module, generator: torch.Generator) -> Tensor:
        batch = past.batch(_number(generator))
        with torch.no_grad():
            before = apply(past.network, batch.noisy, batch.sigma).float()
            error = squares(before, batch.target).clamp_min(SMALLEST)
            size = loss(before, batch.target)
        restored = apply(network, batch.noisy, batch.sigma).float()
        changed = squares(restored, before) + CLEAN_SHARE * squares(restored, batch.target)
        rehearsed: Tensor = size * (changed / error).mean()
        return rehearsed

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
            error = (ERROR_SHARE * squares(before, batch.noisy)).clamp_min(SMALLEST)
            size = ERROR_SHARE**0.5 * loss(before, batch.noisy)
        restored = apply(network, batch.noisy, batch.sigma).float()
        distilled: Tensor = size * (squares(restored, before) / error).mean()
        return distilled

    return penalty


def squares(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference of each image: (B, C, H, W) to (B)."""
    return (one - other).square().mean(dim=(1, 2, 3))


def _number(generator: torch.Generator) -> int:
    return int(torch.randint(2**31 - 1, (), generator=generator))


KEEPS: dict[str, Callable[[Past], Penalty]] = {"replay": replay, "lwf": lwf, "ewc": ewc, "l2sp": l2sp}
STRENGTHS = {"replay": 8.0, "lwf": 5.0, "ewc": 1000.0, "l2sp": 0.3}
"""What multiplies each where the settings do not say; measured in docs/finetuning.md.

No more is lost than `KeepConfig.most_lost` whatever they are, about: too weak, and little of the change is taken; too
strong, and there is little to take.
"""


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
    if keep.name != "none":
        kept_noise(base, config)


def remember(network: nn.Module, base: Base, config: FinetuningConfig, folder: Path) -> Past:
    """What is to be kept.

    Args:
        network: as it was, frozen.
        base: the model it is of.
        config: of the run.
        folder: of the run; images to keep are decoded into it.

    Raises:
        DataError: no usable images.
    """
    return Past(network, config, _source(network, base, config, folder), next(network.parameters()).device)


def kept(objective: Objective, past: Past) -> Objective:
    """An objective with the term that `past.config.keep` asks for.

    Args:
        objective: of the run.
        past: what is to be kept.
    """
    keep = past.config.keep
    penalty = KEEPS[keep.name](past)
    strength = STRENGTHS[keep.name] if keep.strength is None else keep.strength

    def both(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        value, logs = objective(network, batch, generator)
        extra = strength * penalty(network, generator)
        return value + extra, {**logs, "keep": float(extra.detach())}

    return both


def _source(network: nn.Module, base: Base, config: FinetuningConfig, folder: Path) -> PatchSource:
    """Patches of the images to keep, with the noise that the model was made for."""
    spec = spec_of(network)
    if config.keep.data:
        found = CleanImages.find(list(config.keep.data))
        images: Sequence[np.ndarray] = decode(found, folder / "store" / "keep", side="keep").arrays["clean"]
    else:
        images = replay_crops()
    noises = [parse(spec) for spec in kept_noise(base, config).split(BETWEEN)]
    return OneOf([CleanPatches(images, noise, spec.channels, config.training) for noise in noises])


@dataclass(frozen=True)
class OneOf:
    """Draws each patch from one of several sources."""

    sources: Sequence[PatchSource]

    def draw(self, generator: np.random.Generator, size: int) -> Patch:
        """One example of `size` x `size` pixels."""
        return self.sources[int(generator.integers(len(self.sources)))].draw(generator, size)


def kept_noise(base: Base, config: FinetuningConfig) -> str:
    """The noise of what is to be kept: expressions with ``|`` between them.

    Raises:
        ConfigError: it is not known which noise the model was made for.
        SpecError: a noise that is none.
    """
    if config.keep.noise:
        return BETWEEN.join(parse(spec).spec for spec in config.keep.noise.split(BETWEEN))
    if base.bundle.noise is None:
        raise ConfigError(
            f"it is not known which noise {base.model} was made for", fix="Name it: --set keep.noise=gaussian:0-50"
        )
    own = Noise.from_dict(base.bundle.noise).spec
    return BETWEEN.join(dict.fromkeys([*_kept_before(base), own]))


HIGHEST = 255
"""Level on the 0-255 scale beyond which none can be told."""


def label_apart(base: Base, config: FinetuningConfig) -> str | None:
    """A noise level that nothing has that is to be kept, as a noise expression; ``None`` where none is told.

    Where new images and old ones that are told the same contradict each other, a network can do only the one or the
    other. Told what it never was of the new ones, it tells them apart.
    """
    if config.keep.name == "none" or base.bundle.spec.conditioning == "none":
        return None
    noises = [parse(spec) for spec in kept_noise(base, config).split(BETWEEN)]
    generator, ramp = np.random.default_rng(0), np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 16, 16)
    levels = [noise.draw(generator).told_map(ramp).max() for noise in noises for _ in range(DRAWS)]
    apart = round(255 * ABOVE * float(max(levels)), -1)
    return f"gaussian:{apart:g}" if apart <= HIGHEST else None


def _kept_before(base: Base) -> list[str]:
    """What a model that was fine-tuned itself was held to meanwhile, as its bundle records."""
    try:
        record = json.loads((base.bundle.path / TRAIN).read_text(encoding="utf-8"))
        noise = record["recipe"]["keep"]["noise"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return noise.split(BETWEEN) if noise else []
