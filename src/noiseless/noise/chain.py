"""One noise after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from noiseless.errors import SpecError
from noiseless.noise.base import Moments, Noise
from noiseless.noise.clip import Clip


@dataclass(frozen=True)
class Chain(Noise):
    """Noise models applied in turn: what ``a + b`` gives, written ``a+b``.

    The variance is exact where every part has a formula for what the parts before it leave; otherwise it is
    measured.

    Args:
        parts: at least one model; chains among them are taken apart.
    """

    name: ClassVar[str] = "chain"
    parts: tuple[Noise, ...]

    def __post_init__(self) -> None:
        flat: list[Noise] = []
        for part in self.parts:
            if not isinstance(part, Noise):
                raise SpecError("a part of a chain is no noise model", got=repr(part))
            flat.extend(part.parts if isinstance(part, Chain) else (part,))
        if not flat:
            raise SpecError("a chain of noise models is empty", expected="at least one model")
        object.__setattr__(self, "parts", tuple(flat))

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image after all parts."""
        for part in self.parts:
            clean = part.corrupt(clean, generator)
        return clean

    def moments(self, before: Moments) -> Moments | None:
        """Mean and variance after all parts, None where a part has no formula for what it is given."""
        after: Moments | None = before
        for part in self.parts:
            after = part.moments(after) if after is not None else None
        return after

    def told_map(self, noisy: np.ndarray) -> np.ndarray:
        """As `Noise.told_map`, of the noise before it is clipped: clipping is undone by itself."""
        rest = tuple(part for part in self.parts if not isinstance(part, Clip))
        return Chain(rest).told_map(noisy) if 0 < len(rest) < len(self.parts) else super().told_map(noisy)

    def coarse_variance(self) -> np.ndarray:
        """The sum of those of the parts."""
        return np.asarray(sum(part.coarse_variance() for part in self.parts))

    @property
    def pointwise(self) -> bool:
        """Whether all parts are."""
        return all(part.pointwise for part in self.parts)

    @property
    def ranged(self) -> bool:
        """Whether a part has a range."""
        return any(part.ranged for part in self.parts)

    @property
    def channels(self) -> int | None:
        """The number of channels that the parts are for, None where any number fits."""
        return next((part.channels for part in self.parts if part.channels is not None), None)

    def draw(self, generator: np.random.Generator) -> Self:
        """The chain with all ranges drawn."""
        return type(self)(tuple(part.draw(generator) for part in self.parts)) if self.ranged else self

    @property
    def spec(self) -> str:
        """The texts of the parts joined with ``+``."""
        return "+".join(part.spec for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """``{"kind": "chain", "parts": [...]}``."""
        return {"kind": self.name, "parts": [part.to_dict() for part in self.parts]}

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> Self:
        parts = values.get("parts")
        if set(values) != {"parts"} or not isinstance(parts, Sequence):
            raise SpecError("not a chain of noise models", got=repr(dict(values))[:80], expected='{"parts": [...]}')
        return cls(tuple(Noise.from_dict(part) for part in parts))
