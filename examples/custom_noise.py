"""A noise model of your own: the hum of a mains supply, waves of one period over the rows of an image.

It then trains networks, labels benchmarks and adds up with the others. A package adds it for good with an entry point:

    [project.entry-points."noiseless.noises"]
    hum = "custom_noise:Hum"

A program adds it for itself, as below, in the table.

Run: python examples/custom_noise.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

import noiseless
from noiseless.data import samples
from noiseless.noise import NOISES, Noise
from noiseless.noise.base import Moments
from noiseless.noise.values import Number, Value, as_array, is_range


@dataclass(frozen=True)
class Hum(Noise):
    """A sine wave down the rows, of random phase.

    Args:
        amplitude: of the wave, in [0, 1] units; a number or a range.
        period: in rows; a number or a range.
    """

    name: ClassVar[str] = "hum"
    amplitude: Annotated[Value, Number()]
    period: Annotated[Value, Number(low=2.0)]

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image plus the wave."""
        phase = generator.uniform(0, 2 * np.pi)
        rows = np.arange(clean.shape[-2])[:, None]
        wave = as_array(self.amplitude) * np.sin(2 * np.pi * rows / as_array(self.period) + phase)
        return (clean + wave).astype(np.float32)

    def moments(self, before: Moments) -> Moments | None:
        """The mean stays; a sine of random phase has half its squared amplitude as variance."""
        if is_range(self.amplitude):
            return None
        return before.plus(as_array(self.amplitude) ** 2 / 2, normal=False)


def hum_and_grain() -> Noise:
    """The new model and Gaussian noise, as the command line would write it."""
    NOISES["hum"] = "custom_noise:Hum"
    return noiseless.noise.parse("hum:amplitude=0.05,period=6+gaussian:10")


if __name__ == "__main__":
    noise = hum_and_grain()
    clean = noiseless.read(samples("test")[0]).planes()[0]
    noisy = noise.sample(clean, np.random.default_rng(0))
    expected = float(np.sqrt(noise.variance(clean).mean()))
    print(f"{noise.spec}: standard deviation {np.std(noisy - clean):.4f}, expected {expected:.4f}")
