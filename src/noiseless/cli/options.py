"""What several verbs share: `--set key=value` applied to a frozen dataclass."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
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

    try:
        return convert(_literal(value), kind, key)
    except ConfigError:
        several = typing.get_origin(kind) is tuple
        return convert([_literal(item) for item in value.split(",")] if several else value, kind, key)


def _literal(value: str) -> Any:
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
