"""What a client asks for, apart from the image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from noiseless.errors import ConfigError, SpecError, UnknownNameError
from noiseless.image import pair_of
from noiseless.noise import Noise, parse
from noiseless.noise.chain import Chain
from noiseless.runtime import PRECISIONS
from noiseless.workflows.task import Task

AUTO = "auto"
LONGEST_SPEC = 2000
MOST_PARTS = 8
"""Of a chain of noise models: their levels may be measured by sampling, which takes its time for each."""

TRUTHS = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("", "false", "0", "no", "off"), False)


@dataclass(frozen=True)
class Options:
    """What a client asks for.

    Attributes:
        model: one that the service offers, or ``"auto"``.
        noise: ``"auto"``, a noise model's text, or its JSON as ``calibrate`` gives it.
        strength: 0 returns the input, 1 the full result.
        precision: ``exact``, ``fast`` or ``int8``.
        data_range: the values that mean black and white, as ``"-1000,3000"``; one number stands for 0 to that, and
            ``"auto"`` for what the file says.
    """

    model: str = AUTO
    noise: str = AUTO
    strength: float = 1.0
    precision: str = "exact"
    data_range: str = AUTO

    @classmethod
    def from_form(cls, fields: Mapping[str, str], offered: Iterable[str]) -> Options:
        """Options from the fields of a form; empty ones mean the default.

        Args:
            fields: by name.
            offered: names of the models.

        Raises:
            UnknownNameError: a field, model or precision that there is not.
            ConfigError: a strength that is no number from 0 to 1, or no data range.
            ValueRangeError: an empty data range.
            SpecError: a noise that cannot be parsed.
        """
        known = set(asdict(cls()))
        for name in fields:
            if name not in known:
                raise UnknownNameError("field", name, {"image", *known})
        given = {name: value.strip() for name, value in fields.items() if value.strip()}
        options = cls(**{**given, "strength": _strength(given.get("strength", "1"))})  # type: ignore[arg-type]
        if options.model not in {AUTO, *offered}:
            raise UnknownNameError("model", options.model[:100], {AUTO, *offered})
        if options.precision not in PRECISIONS:
            raise UnknownNameError("precision", options.precision[:100], PRECISIONS)
        options.noise_model()
        options.black_and_white()
        return options

    @property
    def told(self) -> bool:
        """Whether the client says which noise there is."""
        return self.noise != AUTO

    def noise_model(self) -> str | Noise:
        """``"auto"``, or the noise that the client says.

        Raises:
            SpecError: it cannot be parsed.
        """
        if not self.told:
            return AUTO
        if len(self.noise) > LONGEST_SPEC:
            raise SpecError("the noise is too long", got=f"{len(self.noise)} characters", expected=LONGEST_SPEC)
        noise = self._noise_of_json() if self.noise.startswith("{") else parse(self.noise)
        if isinstance(noise, Chain) and len(noise.parts) > MOST_PARTS:
            raise SpecError("the noise has too many parts", got=len(noise.parts), expected=f"at most {MOST_PARTS}")
        return noise

    def _noise_of_json(self) -> Noise:
        try:
            plain = json.loads(self.noise, parse_int=float)  # which a number of any length fits
        except (ValueError, RecursionError) as error:
            raise SpecError("the noise is not JSON", got=str(error)) from error
        return Noise.from_dict(plain.get("noise", plain))

    def black_and_white(self) -> tuple[float, float] | None:
        """The values that mean black and white; ``None`` where the file says them.

        Raises:
            ConfigError: neither one number nor two.
            ValueRangeError: nothing lies between them.
        """
        if self.data_range == AUTO:
            return None
        try:
            values = [float(part) for part in self.data_range.split(",", 2)]
        except ValueError:
            values = []
        if len(values) not in (1, 2):
            said = repr(self.data_range[:40])
            raise ConfigError("data_range does not fit", got=said, expected="one number or two, as -1000,3000")
        return pair_of(values[0] if len(values) == 1 else (values[0], values[1]))

    def task(self) -> Task:
        """The same for a file that is denoised as the command line does it."""
        return Task(self.model, self.noise_model(), self.strength, data_range=self.black_and_white())

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def truth(field: str, text: str) -> bool:
    """Whether a field of a form says yes; an empty one says no.

    Raises:
        ConfigError: it says neither.
    """
    said = TRUTHS.get(text.strip().lower())
    if said is None:
        raise ConfigError(f"{field} does not fit", got=repr(text[:40]), expected="true or false")
    return said


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= 1:
        raise ConfigError("strength does not fit", got=repr(text[:40]), expected="a number from 0 to 1")
    return strength
