"""What fine-tuning is told: a training run's settings and those of the method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from noiseless import tables
from noiseless.errors import UnknownNameError
from noiseless.training.config import (
    COUNT,
    NOT_NEGATIVE,
    RunConfig,
    TrainingConfig,
    check_ranges,
    from_mapping,
    to_mapping,
)

METHODS: dict[str, str] = {
    "full": "noiseless.finetuning.freezing:full",
    "head": "noiseless.finetuning.freezing:head",
    "bias": "noiseless.finetuning.freezing:bias",
    "norm": "noiseless.finetuning.freezing:norm",
    "lora": "noiseless.finetuning.lowrank:lora",
    "adalora": "noiseless.finetuning.adalora:adalora",
    "adapter": "noiseless.finetuning.lowrank:adapter",
    "prompt": "noiseless.finetuning.prompt:prompt",
}
"""Methods by name: functions ``(network, MethodConfig) -> network``; others come through entry points."""

GROUP = "noiseless.methods"


@dataclass(frozen=True)
class MethodConfig:
    """What of a network is trained.

    Attributes:
        name: a key of `METHODS`.
        rank: of the updates of ``lora`` and ``adapter``; of those of ``adalora`` on average.
        scale: multiplies their updates.
        freeze: patterns, as ``encoder.*``, of the names of weights that stay as they are, whatever the method.
        first_layer_rate: learning rate of the first layer as a share of that of the last; between them it grows
            evenly on a logarithmic scale. 1 for one rate.
        prompt: the name of what ``prompt`` learns, to choose it by.
        beside: an adapter file whose prompts the new one is put beside; empty for none.
    """

    name: str = "lora"
    rank: int = 4
    scale: float = 1.0
    freeze: tuple[str, ...] = ()
    first_layer_rate: float = 1.0
    prompt: str = "default"
    beside: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, {"rank": COUNT}, "method.")


KEEP_RANGES = {"strength": NOT_NEGATIVE, "batch_size": COUNT, "batches": COUNT, "most_lost": NOT_NEGATIVE}


@dataclass(frozen=True)
class KeepConfig:
    """How a network is held to what it could do before.

    Pairs whose noise is measured in each image are told apart from what is kept by a level that nothing of that has,
    see `noiseless.finetuning.keeping.label_apart`; the tuned model is told it of every image by ``noise="auto"``, and
    does what it could before where it is told a level. ``told = "measured"`` does without.

    Attributes:
        name: ``replay``, ``lwf``, ``ewc``, ``l2sp``, or ``none``.
        strength: what multiplies the term that is added to the loss; that of `noiseless.finetuning.keeping.STRENGTHS`
            where ``None``.
        data: clean images of what is to be kept: folders, files, globs, packed stores; crops of photographs
            that ship with the package where empty.
        noise: their noise, as noise expressions with ``|`` between them, one of which is drawn for each patch; where
            empty that which the model was made for, and what it was held to while it learned that.
        batch_size: patches of them in a step.
        batches: how many batches ``ewc`` looks at, once, to see which weights matter.
        most_lost: dB that may be lost on it; of a change that loses more a part is taken, see
            `noiseless.finetuning.holding`.
    """

    name: str = "none"
    strength: float | None = None
    data: tuple[str, ...] = ()
    noise: str = ""
    batch_size: int = 4
    batches: int = 16
    most_lost: float = 0.05

    def __post_init__(self) -> None:
        check_ranges(self, KEEP_RANGES, "keep.")


@dataclass(frozen=True)
class FinetuningConfig(RunConfig):
    """A whole fine-tuning run: a training run whose network and weights are those of the model it starts from.

    Attributes:
        method: what of the network is trained.
        keep: how it is held to what it could do before.
    """

    method: MethodConfig = MethodConfig()
    keep: KeepConfig = KeepConfig()


TRAINING = TrainingConfig(
    batch_size=8,
    patch_size=64,
    weight_decay=0.0,
    warmup=0.05,
    ema=0.98,
    validations=12,
    told_spread=0.5,
)
"""How the loop runs while fine-tuning, but for the learning rate: made for hundreds of steps, not for hours."""

RATES = {
    "full": 3e-4,
    "head": 1e-3,
    "bias": 3e-3,
    "norm": 3e-3,
    "lora": 3e-3,
    "adalora": 1e-2,
    "adapter": 3e-3,
    "prompt": 2e-2,
}
"""The highest learning rate of each method; docs/finetuning.md says what others did."""

RANKS = {"lora": 4, "adapter": 16}


def default_config(method: str = "lora", keep: str = "none") -> FinetuningConfig:
    """The settings that suit a method; data, noise and a budget are still to be given.

    Args:
        method: a key of `METHODS`.
        keep: how it is held to what it could do before, as of `KeepConfig`.

    Raises:
        UnknownNameError: no method of this name.
    """
    known = tables.names(METHODS, GROUP)
    if method not in known:
        raise UnknownNameError("method", method, known)
    training = replace(TRAINING, lr=RATES.get(method, TrainingConfig.lr))
    chosen = MethodConfig(method, RANKS.get(method, MethodConfig.rank))
    return FinetuningConfig(training=training, method=chosen, keep=KeepConfig(keep))


def from_recipe(plain: Mapping[str, Any], method: str | None = None) -> FinetuningConfig:
    """The settings of a recipe over those that suit its method.

    Args:
        plain: keys and values as TOML gives them.
        method: in place of the recipe's.

    Raises:
        UnknownNameError: a setting or a method that there is not.
        ConfigError: a value that does not fit.
    """
    tables_ = {key: value for key, value in plain.items() if isinstance(value, dict)}
    name = method or str(tables_.get("method", {}).get("name", "lora"))
    defaults = to_mapping(default_config(name, str(tables_.get("keep", {}).get("name", "none"))))
    for key in ("training", "method"):
        tables_[key] = defaults[key] | tables_.get(key, {})
    tables_["method"]["name"] = name
    return from_mapping(FinetuningConfig, {**defaults, **plain, **tables_})
