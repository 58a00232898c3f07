"""The table of noise models."""

from __future__ import annotations

from noiseless import tables
from noiseless.noise.base import Noise

NOISES: dict[str, str] = {
    "gaussian": "noiseless.noise.gaussian:Gaussian",
    "poisson": "noiseless.noise.poisson:Poisson",
    "poisson-gaussian": "noiseless.noise.poisson_gaussian:PoissonGaussian",
    "speckle": "noiseless.noise.speckle:Speckle",
    "salt-and-pepper": "noiseless.noise.salt_and_pepper:SaltAndPepper",
    "rician": "noiseless.noise.rician:Rician",
    "stripes": "noiseless.noise.stripes:Stripes",
    "correlated": "noiseless.noise.correlated:Correlated",
    "jpeg": "noiseless.noise.jpeg:Jpeg",
    "quantize": "noiseless.noise.quantize:Quantize",
    "clip": "noiseless.noise.clip:Clip",
    "camera": "noiseless.noise.camera:Camera",
}
"""Names to classes; other packages add theirs through the entry point group ``noiseless.noises``."""


def find(name: str) -> type[Noise]:
    """The class of a noise model.

    Raises:
        UnknownNameError: no model of this name.
    """
    cls: type[Noise] = tables.load("noise model", name, NOISES, "noiseless.noises")
    return cls
