"""Additive white Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import numpy as np

from noiseless.noise.base import Moments, Noise
from noiseless.noise.values import SIGMA, Number, Value, as_array, format_number, is_range, mean_square

_SIGMA_255 = Number(high=255.0, per_channel=True)


@dataclass(frozen=True)
class Gaussian(Noise):
    """Independent normal noise of the same strength everywhere.

    Args:
        sigma: standard deviation in [0, 1] units; a number, a ``(low, high)`` range or a list, one for each
            channel. In a text, ``gaussian:25``, ``gaussian:0-55`` and ``gaussian:25/20/30`` (per channel) are
            on the 0-255 scale, ``gaussian:sigma=0.1`` is in [0, 1] units.
    """

    name: ClassVar[str] = "gaussian"
    sigma: Annotated[Value, SIGMA]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image plus normal noise."""
        noisy = generator.standard_normal(clean.shape, dtype=np.float32)
        noisy *= as_array(self.sigma).astype(np.float32)
        noisy += clean
        return noisy

    def moments(self, before: Moments) -> Moments:
        """The mean stays, sigma squared is added to the variance."""
        return before.plus(mean_square(self.sigma), normal=not is_range(self.sigma))

    def sigma_map(self, noisy: np.ndarray) -> np.ndarray:
        """Sigma everywhere."""
        image = self._checked(noisy)
        return np.array(np.broadcast_to(np.sqrt(mean_square(self.sigma)), image.shape), np.float32)

    @property
    def spec(self) -> str:
        """``gaussian:25`` where 25 / 255 is exactly sigma, else ``gaussian:sigma=...``."""
        values = self.sigma if isinstance(self.sigma, tuple) else (self.sigma,)
        short = [_on_255(float(value)) for value in values]  # type: ignore[arg-type]
        if None in short:
            return super().spec
        separator = "-" if is_range(self.sigma) else "/"
        return f"{self.name}:{separator.join(map(str, short))}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The model of ``25``, ``0-55`` or ``25/20/30`` on the 0-255 scale, or of ``sigma=0.1``."""
        if "=" in text or not text.strip():
            return super().from_text(text)
        value = _SIGMA_255.read("sigma", text)
        scaled = np.asarray(value) / 255
        if isinstance(value, tuple):
            return cls(tuple(scaled.tolist()) if is_range(value) else scaled.tolist())
        return cls(float(scaled))


def _on_255(sigma: float) -> str | None:
    text = format_number(float(f"{sigma * 255:.12g}"))
    return text if float(text) / 255 == sigma else None
