"""What a training run is told: frozen dataclasses, read from TOML and the command line."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from noiseless.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
Precision = Literal["auto", "float32", "bf16"]

SHARE = (0.0, 1.0)
NOT_NEGATIVE = (0.0, math.inf)
COUNT = (1.0, math.inf)


def check_ranges(config: Any, ranges: Mapping[str, tuple[float, float]], where: str = "") -> None:
    """See that numbers of a dataclass lie in their ranges, ends included, and are finite; ``None`` is not looked at.

    Args:
        config: the dataclass.
        ranges: lowest and highest value by the name of a field.
        where: what stands before the field's name in settings, for example ``"training."``.

    Raises:
        ConfigError: one does not.
    """
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if value is not None and not _lies_in(value, low, high):
            expected = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            raise ConfigError(f"{where}{name} does not fit", got=value, expected=expected)


def _lies_in(value: Any, low: float, high: float) -> bool:
    try:
        return low <= value <= high and math.isfinite(value)
    except TypeError:  # text, for example
        return False


@dataclass(frozen=True)
class Stage:
    """A patch and batch size from a share of the budget on.

    Attributes:
        start: share of the budget, 0 to 1, from which the stage holds.
        patch_size: side of the square patches, in pixels.
        batch_size: patches in a step, over all devices.
    """

    start: float
    patch_size: int
    batch_size: int

    def __post_init__(self) -> None:
        check_ranges(self, {"start": SHARE, "patch_size": COUNT, "batch_size": COUNT}, "training.stages: ")


TRAINING_RANGES = {
    "batch_size": COUNT,
    "patch_size": COUNT,
    "lr": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "momentum": SHARE,
    "warmup": SHARE,
    "final_lr": SHARE,
    "decay": SHARE,
    "ema": SHARE,
    "clip_norm": NOT_NEGATIVE,
    "validations": NOT_NEGATIVE,
    "validation_size": COUNT,
    "early_stopping": NOT_NEGATIVE,
    "plateau_patience": COUNT,
    "checkpoint_every": COUNT,
    "rescale": SHARE,
    "mixup": SHARE,
    "tone": SHARE,
    "told_error": SHARE,
    "told_spread": NOT_NEGATIVE,
    "paired": SHARE,
}


@dataclass(frozen=True)
class TrainingConfig:
    """How the loop runs.

    Attributes:
        batch_size: patches in a step, over all devices.
        patch_size: side of the square patches, in pixels.
        stages: patch and batch sizes that change with progress; empty for the two above throughout.
        optimizer: ``adamw``, ``adam``, ``sgd`` or ``muon``.
        lr: highest learning rate.
        weight_decay: L2 penalty (decoupled for AdamW).
        momentum: of SGD.
        schedule: ``cosine``, ``constant``, ``step`` or ``plateau``.
        warmup: share of the budget over which the rate rises from 0.
        final_lr: what cosine ends at, as a share of `lr`.
        decay: factor of ``step`` and ``plateau``.
        decay_at: shares of the budget at which ``step`` decays.
        plateau_patience: validations without gain before ``plateau`` decays.
        ema: decay of the exponential moving average of the weights that is validated and saved; 0 for none.
        clip_norm: largest gradient norm; 0 for no clipping.
        precision: ``float32``, ``bf16`` (mixed), or ``auto``: what is faster on this machine.
        accelerator: as Lightning Fabric names it: ``auto``, ``cpu``, ``cuda``.
        devices: how many devices, or processes on a CPU.
        strategy: as Lightning Fabric names it: ``auto``, ``ddp``, ``fsdp``.
        validations: how often to validate, spread evenly over the budget.
        validation_size: largest side, in pixels, of the part of an image that is validated on.
        early_stopping: validations without gain after which to stop; 0 for never.
        checkpoint_every: steps between checkpoints; one is also written every three minutes.
        rescale: share of patches that are made from a larger area, scaled down.
        mixup: share of patches that are a mixture of two.
        tone: share of patches whose contrast and brightness are lowered, down to flat.
        told_error: largest share by which the level that the network is told differs from the noise added, so that it
            forgives an estimate that is a little wrong.
        told_spread: spread of the level that is told of pairs: standard deviation of the logarithm of a factor that is
            drawn for each patch. What is measured in a single image can be far off, and the same level every time
            tells a network that knows few images which of them it sees.
        paired: share of the patches of pairs in a run that learns from pairs and from noisy images.
        wandb: also log to Weights & Biases (the [wandb] extra; runs offline where WANDB_MODE says so).
    """

    batch_size: int = 16
    patch_size: int = 64
    stages: tuple[Stage, ...] = ()
    optimizer: str = "adamw"
    lr: float = 6e-4
    weight_decay: float = 1e-4
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.02
    final_lr: float = 0.0
    decay: float = 0.5
    decay_at: tuple[float, ...] = (0.5, 0.75, 0.9)
    plateau_patience: int = 3
    ema: float = 0.999
    clip_norm: float = 1.0
    precision: Precision = "auto"
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    validations: int = 20
    validation_size: int = 256
    early_stopping: int = 0
    checkpoint_every: int = 1000
    rescale: float = 0.0
    mixup: float = 0.0
    tone: float = 0.05
    told_error: float = 0.0
    told_spread: float = 0.0
    paired: float = 0.5
    wandb: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, TRAINING_RANGES, "training.")

    def stage(self, progress: float) -> Stage:
        """Patch and batch size when `progress` of the budget is spent."""
        current = Stage(0.0, self.patch_size, self.batch_size)
        for stage in self.stages:
            if progress >= stage.start:
                current = stage
        return current


@dataclass(frozen=True)
class DataConfig:
    """Which images a run learns from.

    Attributes:
        clean: folders, files, globs or packed stores of clean images; a noise model makes the other side.
        pairs: two folders or globs: noisy, clean.
        data: a folder with ``train/`` and, where there are any, ``validation/`` and ``test/``.
        validation: clean images (or, with `pairs`, two folders) to validate on; otherwise some are split off.
        test: images kept for the end, as `validation`.
        group: a regular expression whose group names what must not be split (camera, patient, scene).
        noisy: noisy images alone: folders, files, globs or packed stores; beside `pairs`, both are learned from.
        noisy_pairs: two folders or globs of noisy images of the same scenes, with independent noise.
        data_range: values (low, high) that map to 0 and 1, for all files; empty for the range of their dtype.
    """

    clean: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    noisy: tuple[str, ...] = ()
    noisy_pairs: tuple[str, ...] = ()
    data: str | None = None
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    group: str | None = None
    data_range: tuple[float, ...] = ()


MEASURED = "measured"
"""As `RunConfig.told`: in each image."""


SCRATCH = "scratch"
"""As `RunConfig.start`: random weights."""


@dataclass(frozen=True)
class RunConfig:
    """A whole training run.

    Attributes:
        network: a key of `noiseless.networks.NETWORKS`.
        arguments: its constructor arguments.
        noise: a noise expression, see `noiseless.noise.parse`; empty for pairs. With noisy images alone, the noise
            they have; measured where empty.
        objective: a key of `noiseless.training.objectives.OBJECTIVES`, or ``auto``.
        loss: a loss expression, see `noiseless.losses.parse`.
        told: what a network that is told the noise level is told of noisy images: ``measured`` in each image, as
            ``noise="auto"`` does, or a noise expression, which the model is then told by ``noise="auto"`` too; ``auto``
            for the noise that pairs, or noisy images together, show where that suits weights to start from better.
        start: a bundle or run folder whose weights the network starts from; ``scratch`` for none, also where a
            run without clean images would start from a shipped model.
        adversarial: an attack on half of each batch, see `noiseless.training.adversarial`; empty for none.
        steps: budget in optimiser steps.
        minutes: budget in minutes of training, added up over resumptions.
        epochs: budget in passes over as many patches as fit into the training images.
        seed: of everything that is random.
        name: of the model; the run folder's name where none is given.
        data: which images.
        training: how the loop runs.
    """

    network: str = "unet_small"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    noise: str = ""
    objective: str = "auto"
    loss: str = "l1"
    told: str = "auto"
    start: str | None = None
    adversarial: str = ""
    steps: int | None = None
    minutes: float | None = None
    epochs: float | None = None
    seed: int = 0
    name: str = ""
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        check_ranges(self, {"seed": NOT_NEGATIVE})


UNREFERENCED_LOSS = "mse"
"""Without clean images: the mean of noisy values is the clean one, their median need not be."""

UNREFERENCED_TRAINING = {
    "batch_size": 8,
    "patch_size": 64,
    "lr": 2e-4,
    "weight_decay": 0.0,
    "warmup": 0.05,
    "ema": 0.98,
    "validations": 12,
    "early_stopping": 4,
}
"""A third of the budget without gain ends a run; docs/self_supervised.md says why not less."""


def check_kind(config: object, kind: type[Config], made_by: str) -> Config:
    """Settings, each as its type has it, of the class that they have to be; see `convert`.

    Raises:
        ConfigError: they are not.
    """
    if not isinstance(config, kind):
        got, expected = type(config).__name__, f"a {kind.__name__}"
        raise ConfigError("these are no settings of a run", got=got, expected=expected, fix=f"Make one: {made_by}.")
    return from_mapping(type(config), dataclasses.asdict(config))


def run_folder(output: object) -> Path:
    """The folder that a run shall leave.

    Raises:
        ConfigError: it is no path.
    """
    if isinstance(output, str | os.PathLike):
        return Path(output)
    raise ConfigError("no folder for the run", got=type(output).__name__, expected="a path")


def over_defaults(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over those that suit a run on noisy images alone: it adapts a shipped model, in minutes."""
    training = {**UNREFERENCED_TRAINING, **plain.get("training", {})}
    return {"loss": UNREFERENCED_LOSS, **plain, "training": training}


def from_mapping(cls: type[Config], mapping: Mapping[str, Any], where: str = "") -> Config:
    """Build a frozen dataclass from nested plain data, refusing unknown keys and wrong types.

    Args:
        cls: the dataclass.
        mapping: keys and values as TOML or JSON gives them.
        where: dotted path of the mapping, for messages.

    Raises:
        UnknownNameError: a key that the dataclass does not have; names the closest.
        ConfigError: a value that does not fit its field.
    """
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]
    values = {}
    for key, value in mapping.items():
        dotted = f"{where}.{key}" if where else key
        if key not in known:
            raise UnknownNameError("setting", dotted, [f"{where}.{name}" if where else name for name in known])
        values[key] = convert(value, hints[key], dotted)
    return cls(**values)


WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list, as [1, 2]",
}
"""What a setting of each type is called, for people who do not write Python."""


def convert(value: Any, kind: Any, where: str) -> Any:
    """`value` as a field of type `kind` wants it, from Python also a path or of NumPy; see `from_mapping`."""
    value = _python(value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = dict(zip((f.name for f in dataclasses.fields(kind)), value, strict=False))
        if isinstance(value, Mapping):
            return from_mapping(kind, value, where)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(convert(item, inner[0], where) for item in value)
    if origin is Literal and value in inner:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        return convert(value, next(option for option in inner if option is not type(None)), where)
    return _plain(value, kind, where)


def _python(value: Any) -> Any:
    """Numbers and arrays of NumPy as Python's, a path as text: what TOML and JSON can say."""
    if isinstance(value, Mapping):
        return {key: _python(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _plain(value: Any, kind: Any, where: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    plain = origin or kind
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(plain, type) and isinstance(value, plain) and not (plain is int and isinstance(value, bool)):
        return value
    expected = " or ".join(map(str, inner)) if origin is Literal else WORDS.get(plain, getattr(plain, "__name__", kind))
    raise ConfigError(f"setting {where} does not fit", got=repr(value), expected=expected)


def to_mapping(config: Any) -> dict[str, Any]:
    """A frozen dataclass as nested plain data without empty values; the inverse of `from_mapping`."""
    plain = dataclasses.asdict(config)

    def tidy(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: tidy(item) for key, item in value.items() if item is not None}
        return [tidy(item) for item in value] if isinstance(value, list | tuple) else value

    return typing.cast("dict[str, Any]", tidy(plain))


def read_recipe(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, not yet checked.

    Raises:
        ConfigError: no such file, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {path}", got=error.strerror) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML", got=str(error)) from error


def write_toml(mapping: Mapping[str, Any]) -> str:
    """Nested plain data as TOML text: plain keys first, then one table for each nested mapping."""

    def text(value: Any) -> str:
        if isinstance(value, bool | str):
            return json.dumps(value, ensure_ascii=False)  # TOML writes both alike
        if isinstance(value, Mapping):
            return "{ " + ", ".join(f"{key} = {text(item)}" for key, item in value.items()) + " }"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(text(item) for item in value) + "]"
        return repr(value)

    plain = [f"{key} = {text(value)}" for key, value in mapping.items() if not isinstance(value, Mapping)]
    for table, inner in mapping.items():
        if isinstance(inner, Mapping):
            plain += ["", f"[{table}]", *(f"{key} = {text(value)}" for key, value in inner.items())]
    return "\n".join(plain) + "\n"
