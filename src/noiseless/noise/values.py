"""Values of noise parameters: a number, a range or a number per channel; their rules, text and JSON forms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from noiseless.errors import SpecError

Value: TypeAlias = "float | tuple[float, ...] | list[float]"
"""A number; a ``(low, high)`` tuple, the range that `Noise.draw` draws from; or a list: a number per channel."""

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*({NUMBER})\s*-\s*({NUMBER})\s*")


class PerChannel(tuple[float, ...]):
    """A number for each channel: what a list given to a noise model is kept as."""


@dataclass(frozen=True)
class Number:
    """Rule of a parameter that is a number.

    Attributes:
        low: smallest value allowed.
        high: largest value allowed.
        integer: only whole numbers.
        per_channel: a list with a value for each channel is allowed.
        hint: what to do about a value that is too large.
    """

    low: float = 0.0
    high: float = math.inf
    integer: bool = False
    per_channel: bool = False
    hint: str | None = None

    def check(self, name: str, value: Any) -> Value:
        """The value in the form in which it is kept.

        Raises:
            SpecError: not a number, outside the rule, an empty range.
        """
        if isinstance(value, PerChannel | list | np.ndarray):
            return self._check_channels(name, value)
        if isinstance(value, tuple):
            return self._check_range(name, value)
        return self._check_number(name, value)

    def read(self, name: str, text: str) -> Value:
        """The value that a text stands for: ``0.1``, ``0-0.1`` (a range), ``0.1/0.2/0.1`` (per channel).

        Raises:
            SpecError: not a number, outside the rule.
        """
        if "/" in text:
            return self.check(name, PerChannel(_number(name, part) for part in text.split("/")))
        if match := _RANGE.fullmatch(text):
            return self.check(name, (float(match[1]), float(match[2])))
        return self.check(name, _number(name, text))

    def write(self, value: Any) -> str:
        """The text that `read` turns into this value."""
        separator = "/" if isinstance(value, PerChannel) else "-"
        parts = value if isinstance(value, tuple) else (value,)
        return separator.join(format_number(part) for part in parts)

    def draw(self, value: Value, generator: np.random.Generator) -> Value:
        """The value itself, or for a range one of its numbers, uniformly."""
        if not is_range(value):
            return value
        low, high = bounds(value)
        if self.integer:
            return int(generator.integers(int(low), int(high), endpoint=True))
        return float(generator.uniform(low, high))

    def _check_number(self, name: str, value: Any) -> float:
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole and not isinstance(value, float | np.floating):
            raise SpecError(f"{name} of a noise model is not a number", got=repr(value), expected=self._expected())
        if not self.low <= value <= self.high:
            fix = self.hint if value > self.high else None
            raise SpecError(
                f"{name} of a noise model is out of range",
                got=f"{value:g}",
                expected=self._expected(),
                fix=fix,
            )
        if not self.integer:
            return float(value)
        if value != int(value):
            raise SpecError(f"{name} of a noise model is not whole", got=f"{value:g}", expected=self._expected())
        return int(value)

    def _check_range(self, name: str, value: tuple[Any, ...]) -> Value:
        if len(value) != 2:
            raise SpecError(
                f"{name} of a noise model is no range",
                got=repr(value),
                expected="(low, high)",
                fix="A number for each channel is a list.",
            )
        low, high = (self._check_number(name, end) for end in value)
        if low > high:
            raise SpecError(
                f"{name} of a noise model is an empty range",
                got=f"{low:g}-{high:g}",
                expected=f"{high:g}-{low:g}",
            )
        return low if low == high else (low, high)

    def _check_channels(self, name: str, value: Iterable[Any]) -> Value:
        numbers = PerChannel(self._check_number(name, number) for number in value)
        if not self.per_channel or not numbers:
            raise SpecError(
                f"{name} of a noise model cannot be given per channel",
                got=repr(list(numbers)),
                expected=self._expected(),
            )
        return numbers

    def _expected(self) -> str:
        kind = "a whole number" if self.integer else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}" if self.high < math.inf else f"{kind} >= {self.low:g}"


@dataclass(frozen=True)
class Choice:
    """Rule of a parameter that is one of a few words."""

    options: tuple[str, ...]

    def check(self, name: str, value: Any) -> str:
        """The word itself.

        Raises:
            SpecError: none of the options.
        """
        if value not in self.options:
            raise SpecError(f"{name} of a noise model is unknown", got=repr(value), expected=" or ".join(self.options))
        return str(value)

    def read(self, name: str, text: str) -> str:
        """The word that a text stands for."""
        return self.check(name, text.strip())

    def write(self, value: Any) -> str:
        """The text that `read` turns into this value."""
        return str(value)

    def draw(self, value: Any, generator: np.random.Generator) -> Any:
        """The word itself: a choice has no ranges."""
        return value


Rule: TypeAlias = "Number | Choice"


def is_range(value: Any) -> bool:
    """Whether a value is a range that is still to be drawn from."""
    return isinstance(value, tuple) and not isinstance(value, PerChannel)


def bounds(value: Value) -> tuple[float, float]:
    """Both ends of a range."""
    low, high = value if isinstance(value, tuple) else (value, value)
    return float(low), float(high)  # type: ignore[arg-type]


def mean(value: Value) -> np.ndarray:
    """Mean of a value over its range, shape () or, per channel, (C, 1, 1)."""
    return np.asarray(sum(bounds(value)) / 2) if is_range(value) else as_array(value)


def mean_square(value: Value) -> np.ndarray:
    """Mean square of a value over its range, shape () or, per channel, (C, 1, 1)."""
    if not is_range(value):
        return as_array(value) ** 2
    low, high = bounds(value)
    return np.asarray((low**2 + low * high + high**2) / 3)


def as_array(value: Value) -> np.ndarray:
    """A value that is no range as float64 of shape () or, per channel, (C, 1, 1): it broadcasts over an image."""
    array = np.asarray(value, np.float64)
    return array[:, None, None] if array.ndim else array


def format_number(number: float) -> str:
    """The shortest text that reads as this number: ``25``, ``0.1``."""
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))


SIGMA = Number(
    high=1.0,
    per_channel=True,
    hint="Values are in [0, 1] units, 25/255 for 25 of 255; only the text gaussian:25 is on the 0-255 scale.",
)
"""Rule of a standard deviation in [0, 1] units."""

GAIN = Number(high=1.0, per_channel=True, hint="The gain is the value of one count in [0, 1] units.")
"""Rule of the gain of photon noise."""


def _number(name: str, text: str) -> float:
    if not re.fullmatch(NUMBER, text.strip()):
        raise SpecError(f"{name} of a noise model is not a number", got=repr(text), expected="a number such as 0.1")
    return float(text)
