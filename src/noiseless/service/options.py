"""What a client asks for, apart from the image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from noiseless.errors import ConfigError, SpecError, UnknownNameError
from noiseless.noise import Noise, parse

AUTO = "auto"
PRECISIONS = ("exact", "fast", "int8")
LONGEST_SPEC = 2000
TRUTHS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "": False,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


@dataclass(frozen=True)
class Options:
    """What a client asks for.

    Attributes:
        model: one that the service offers, or ``"auto"``.
        noise: ``"auto"``, a noise model's text, or its JSON as ``calibrate`` gives it.
        strength: 0 returns the input, 1 the full result.
        precision: ``exact``, ``fast`` or ``int8``.
    """

    model: str = AUTO
    noise: str = AUTO
    strength: float = 1.0
    precision: str = "exact"

    @classmethod
    def from_form(cls, fields: Mapping[str, str], offered: Iterable[str]) -> Options:
        """Options from the fields of a form; empty ones mean the default.

        Args:
            fields: by name.
            offered: names of the models.

        Raises:
            UnknownNameError: a field, model or precision that there is not.
            ConfigError: a strength that is no number from 0 to 1.
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
        if not self.noise.startswith("{"):
            return parse(self.noise)
        try:
            plain = json.loads(self.noise)
        except (ValueError, RecursionError) as error:
            raise SpecError("the noise is not JSON", got=str(error)) from error
        return Noise.from_dict(plain.get("noise", plain))

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
