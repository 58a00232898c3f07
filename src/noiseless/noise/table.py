"""The table of noise models."""

from __future__ import annotations

from noiseless import tables
from noiseless.noise.base import Noise

NOISES: dict[str, str] = {
    "gaussian": "noiseless.noise.gaussian:Gaussian",
    "chain": "noiseless.noise.chain:Chain",
}
"""Names to classes; other packages add theirs through the entry point group ``noiseless.noises``."""


def find(name: str) -> type[Noise]:
    """The class of a noise model.

    Raises:
        UnknownNameError: no model of this name.
    """
    cls: type[Noise] = tables.load("noise model", name, NOISES, "noiseless.noises")
    return cls
