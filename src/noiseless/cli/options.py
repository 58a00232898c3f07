"""What several verbs share: options as annotated types, and `--set key=value` applied to a frozen dataclass."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from noiseless.errors import ConfigError, UnknownNameError

Config = TypeVar("Config")

Settings = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; may be given several times."),
]
"""The annotation of a verb's `--set` parameter: ``settings: Settings = NO_SETTINGS``."""

NO_SETTINGS: list[str] = []
NONE: list[str] = []

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A shipped model, a bundle, a run folder or a checkpoint.")]
Output = Annotated[str, typer.Option("--output", "-o", metavar="RUN", help="The run folder.")]
Clean = Annotated[list[str], typer.Option(metavar="DIR...", help="Clean images: folders, files, globs, packed stores.")]
NoiseOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC|FILE.json",
        help="Added to clean ones, as gaussian:0-55 or what calibrate wrote; with --noisy, what those have.",
    ),
]
Pairs = Annotated[
    tuple[str, str] | None, typer.Option(metavar="NOISY CLEAN", help="Two folders or globs, paired by name.")
]
Noisy = Annotated[
    list[str], typer.Option(metavar="DIR...", help="Noisy images alone; with --pairs, both are learned from.")
]
NoisyPairs = Annotated[
    tuple[str, str] | None, typer.Option(metavar="A B", help="Two noisy images of each scene (Noise2Noise).")
]
Data = Annotated[
    str | None, typer.Option(metavar="DIR", help="A folder with train/ and, where there is any, validation/.")
]
Validation = Annotated[
    list[str], typer.Option(metavar="DIR...", help="Images to validate on; else some are split off.")
]
Test = Annotated[list[str], typer.Option(metavar="DIR...", help="Images to measure once, at the end.")]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="auto, supervised, balanced; without clean images noise2noise, noise2void, noise2self, "
        "neighbor2neighbor, sure, recorrupted, zero-shot.",
    ),
]
Loss = Annotated[str | None, typer.Option(metavar="SPEC", help="A weighted sum, as mse+0.1*ssim.")]
Adversarial = Annotated[
    str | None, typer.Option(metavar="SPEC", help="Train against small changes that hurt most, as pgd:2/255.")
]
Minutes = Annotated[float | None, typer.Option(metavar="M", help="Budget in minutes, over all resumptions.")]
Steps = Annotated[int | None, typer.Option(metavar="N", help="Budget in steps.")]
Epochs = Annotated[float | None, typer.Option(metavar="E", help="Budget in passes over the images.")]
StopAfter = Annotated[
    float | None, typer.Option(metavar="MINUTES", help="Write a checkpoint and leave; go on with --resume.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]


@dataclass(frozen=True)
class RunOptions:
    """What a training verb was given; ``None`` or empty where nothing was.

    Attributes:
        images: by the name of a field of `noiseless.training.config.DataConfig`.
        budget: ``minutes``, ``steps`` and ``epochs``.
        others: by the name of a field of `noiseless.training.config.RunConfig`.
    """

    images: Mapping[str, Any]
    budget: Mapping[str, float | None]
    others: Mapping[str, str | None]

    @property
    def unreferenced(self) -> bool:
        """Whether noisy images without a clean side are named."""
        return bool(self.images["noisy"] or self.images["noisy_pairs"])

    def over(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a recipe, replaced by what was given; a budget replaces that of the recipe whole."""
        others = {key: value for key, value in self.others.items() if value is not None}
        plain = over_budget(recipe, self.budget) | others
        data = {key: value for key, value in self.images.items() if value}
        return plain | {"data": plain.get("data", {}) | data}


def over_budget(recipe: Mapping[str, Any], budget: Mapping[str, float | None]) -> dict[str, Any]:
    """The settings of a recipe; where ``minutes``, ``steps`` or ``epochs`` is given, its own budget does not count."""
    if all(value is None for value in budget.values()):
        return dict(recipe)
    return {key: value for key, value in recipe.items() if key not in budget} | dict(budget)


def noise_spec(noise: str | None) -> str | None:
    """What `--noise` says as an expression, also where it names a file that calibrate wrote.

    Raises:
        SpecError: a file that holds no noise model.
    """
    if noise is None or not noise.endswith(".json"):
        return noise
    from noiseless.cli.denoise import noise_level

    level = noise_level(noise, None)
    return level if isinstance(level, str) else level.spec


def apply_settings(config: Config, settings: Sequence[str]) -> Config:
    """A copy of `config` with some fields replaced.

    Values are written as in TOML (``true``, ``1e-4``, ``[1, 2]``, ``"text"``), text also without quotes.

    Args:
        config: a frozen dataclass, whose fields may be frozen dataclasses or mappings themselves.
        settings: ``key=value`` each; a dot reaches into a field: ``training.lr=1e-4``.

    Raises:
        UnknownNameError: a key that there is not; names the closest.
        ConfigError: no ``=``, or a value that does not fit.
    """
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError("--set needs a key and a value", got=repr(setting), expected="key=value")
        config = _replaced(config, key.strip(), key.strip().split("."), value.strip(), list(setting_names(config)))
    return config


@dataclass(frozen=True)
class LookSettings:
    """What `--set` knows where images are only looked at.

    Attributes:
        data_range: the values that mean black and white; one number stands for 0 to that.
    """

    data_range: tuple[float, ...] = ()


def said_range(settings: Sequence[str]) -> float | tuple[float, float] | None:
    """The data range that `LookSettings` say.

    Raises:
        UnknownNameError: another key.
        ConfigError: more than two values.
    """
    return data_range(apply_settings(LookSettings(), settings).data_range)


def data_range(values: Sequence[float]) -> float | tuple[float, float] | None:
    """One number or a pair.

    Raises:
        ConfigError: more than two.
    """
    if len(values) > 2:
        raise ConfigError("data_range does not fit", got=list(values), expected="one number or two")
    return (values[0], values[1]) if len(values) == 2 else values[0] if values else None


def setting_names(config: Any, prefix: str = "") -> Iterator[str]:
    """The dotted keys that `--set` knows for a dataclass."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from setting_names(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def _replaced(config: Any, key: str, path: list[str], value: str, known: list[str]) -> Any:
    name, *inner = path
    if name not in {field.name for field in dataclasses.fields(config)}:
        raise UnknownNameError("setting", key, known)
    current = getattr(config, name)
    if dataclasses.is_dataclass(current) and inner:
        return dataclasses.replace(config, **{name: _replaced(current, key, inner, value, known)})
    if isinstance(current, Mapping) and len(inner) == 1:
        return dataclasses.replace(config, **{name: {**current, inner[0]: _literal(value)}})
    if inner or dataclasses.is_dataclass(current):
        raise UnknownNameError("setting", key, known)
    kind = typing.get_type_hints(type(config))[name]
    return dataclasses.replace(config, **{name: _fitting(value, kind, key)})


def _fitting(value: str, kind: Any, key: str) -> Any:
    """`value` read as TOML, or else taken as text, whichever fits the field; ``a,b`` fits a tuple."""
    from noiseless.training.config import convert

    literal = _literal(value)
    try:
        return convert(literal, kind, key)
    except ConfigError:
        if isinstance(literal, list | dict):  # which is no text
            raise
        several = typing.get_origin(kind) is tuple
        return convert([_literal(item) for item in value.split(",")] if several else value, kind, key)


def _literal(value: str) -> Any:
    import tomllib

    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
