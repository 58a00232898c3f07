"""`--set key=value` on frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from noiseless.cli.options import apply_settings, setting_names
from noiseless.errors import ConfigError, UnknownNameError


@dataclass(frozen=True)
class Inner:
    lr: float = 1e-3
    widths: tuple[int, ...] = (1, 2)
    precision: Literal["auto", "float32"] = "auto"


@dataclass(frozen=True)
class Outer:
    name: str = ""
    seed: int = 0
    minutes: float | None = None
    luma: bool = False
    folders: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("name=photo", Outer(name="photo")),
        ("name=12", Outer(name="12")),
        ("name=a=b", Outer(name="a=b")),
        ('name="quoted"', Outer(name="quoted")),
        ("seed=3", Outer(seed=3)),
        ("seed = 3", Outer(seed=3)),
        ("minutes=2", Outer(minutes=2.0)),
        ("luma=true", Outer(luma=True)),
        ("folders=a,b", Outer(folders=("a", "b"))),
        ("folders=a", Outer(folders=("a",))),
        ("inner.lr=5e-4", Outer(inner=Inner(lr=5e-4))),
        ("inner.widths=8,16", Outer(inner=Inner(widths=(8, 16)))),
        ("inner.widths=[8, 16]", Outer(inner=Inner(widths=(8, 16)))),
        ("inner.precision=float32", Outer(inner=Inner(precision="float32"))),
        ("arguments.depth=5", Outer(arguments={"depth": 5})),
        ("arguments.conditioning=none", Outer(arguments={"conditioning": "none"})),
    ],
)
def test_values_become_what_the_field_is(setting: str, expected: Outer) -> None:
    assert apply_settings(Outer(), [setting]) == expected


def test_later_settings_add_to_earlier_ones() -> None:
    settings = ["inner.lr=1", "inner.widths=3", "arguments.a=1", "arguments.b=2", "seed=1", "seed=2"]
    expected = Outer(seed=2, arguments={"a": 1, "b": 2}, inner=Inner(lr=1.0, widths=(3,)))
    assert apply_settings(Outer(), settings) == expected


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sede=3", "unknown setting 'sede'. Did you mean seed"),
        ("lr=3", "unknown setting 'lr'. Did you mean inner.lr?"),
        ("inner.rl=3", "Did you mean inner.lr"),
        ("inner=3", "unknown setting 'inner'"),
        ("seed.x=3", "unknown setting 'seed.x'"),
        ("qqqqqq=3", "Known: arguments, folders, inner.lr"),
    ],
)
def test_unknown_keys_are_answered_with_the_closest(setting: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        apply_settings(Outer(), [setting])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "--set needs a key and a value: got 'seed', expected key=value"),
        ("=3", "--set needs a key and a value"),
        ("seed=1.5", "setting seed does not fit: got '1.5', expected a whole number"),
        ("seed=true", "setting seed does not fit"),
        ("inner.lr=fast", "setting inner.lr does not fit: got 'fast', expected a number"),
        ("inner.precision=half", "expected auto or float32"),
        ("inner.widths=a", "setting inner.widths does not fit"),
    ],
)
def test_values_that_do_not_fit(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_settings(Outer(), [setting])
    assert message in str(caught.value)


def test_names_are_dotted() -> None:
    assert list(setting_names(Outer()))[-3:] == ["inner.lr", "inner.widths", "inner.precision"]
