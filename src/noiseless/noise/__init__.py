"""Noise models: one per file, found in one table, with one text grammar.

Importing this package imports numpy only; a model's module is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from noiseless.noise.base import Noise as Noise
from noiseless.noise.grammar import parse as parse
from noiseless.noise.table import NOISES as NOISES
from noiseless.noise.table import find as find

if TYPE_CHECKING:
    from noiseless.noise.camera import Camera as Camera
    from noiseless.noise.chain import Chain as Chain
    from noiseless.noise.clip import Clip as Clip
    from noiseless.noise.correlated import Correlated as Correlated
    from noiseless.noise.gaussian import Gaussian as Gaussian
    from noiseless.noise.jpeg import Jpeg as Jpeg
    from noiseless.noise.poisson import Poisson as Poisson
    from noiseless.noise.poisson_gaussian import PoissonGaussian as PoissonGaussian
    from noiseless.noise.quantize import Quantize as Quantize
    from noiseless.noise.rician import Rician as Rician
    from noiseless.noise.salt_and_pepper import SaltAndPepper as SaltAndPepper
    from noiseless.noise.speckle import Speckle as Speckle
    from noiseless.noise.stripes import Stripes as Stripes

_CLASSES = {path.split(":")[1]: path.split(":")[0] for path in NOISES.values()} | {"Chain": "noiseless.noise.chain"}


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(importlib.import_module(_CLASSES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_CLASSES])
