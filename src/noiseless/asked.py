"""What a denoiser is asked for, checked: how much of the result to take, and which noise level it is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from noiseless.errors import BundleError, ConfigError, SigmaError

if TYPE_CHECKING:
    from noiseless.noise import Noise

Array = npt.NDArray[np.float32]


def model_path(name: object) -> Path:
    """The path that a model is asked for by.

    Raises:
        BundleError: it is no path.
    """
    if isinstance(name, str | os.PathLike):
        return Path(name)
    raise BundleError("no model", got=type(name).__name__, expected="a name or a path", fix="See: noiseless models")


def check_strength(what: str, value: float | npt.ArrayLike) -> Array:
    """A strength as an array, of no axes for a number.

    Args:
        what: to call it, for example ``"luma"``.
        value: 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    try:
        strength = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} does not fit", got=error, expected="0 to 1") from error
    if not (np.isfinite(strength).all() and strength.min(initial=0) >= 0 and strength.max(initial=1) <= 1):
        raise ConfigError(f"{what} does not fit", got=value if strength.ndim == 0 else None, expected="0 to 1")
    return strength


def noise_level(noise: str | Noise | npt.ArrayLike, planes: Array) -> Array:
    """The standard deviations that a noise model, its text or numbers stand for.

    Args:
        noise: a noise model, its text, or standard deviations in [0, 1] units.
        planes: (N, C, H, W) in [0, 1] units.

    Returns:
        In [0, 1] units, of four axes, broadcastable to the planes.

    Raises:
        SigmaError: a range, or numbers that do not broadcast or are no noise level.
        SpecError: a text that is no noise model.
    """
    from noiseless.noise import Noise, parse

    model = parse(noise) if isinstance(noise, str) else noise
    return _level_of(model, planes) if isinstance(model, Noise) else _checked(model, planes)


def _level_of(noise: Noise, planes: Array) -> Array:
    if noise.ranged:
        raise SigmaError("a range is no noise level", got=noise.spec, fix="Give one level, or auto to estimate it.")
    constant = noise.name in ("gaussian", "correlated")
    return noise.told_map(planes[..., :1, :1] if constant else planes)


def _checked(sigma: npt.ArrayLike, planes: Array) -> Array:
    try:
        array = np.asarray(sigma, np.float32)
        np.broadcast_to(array, planes.shape)
    except (TypeError, ValueError) as error:
        raise SigmaError("this noise level does not fit the image", got=str(error), expected=planes.shape) from error
    if not (np.isfinite(array).all() and array.min(initial=0) >= 0):
        raise SigmaError("a noise level is negative or not finite")
    if array.max(initial=0) > 1:
        fix = 'Divide it by the white level (25 / 255), or say it as text: "gaussian:25".'
        raise SigmaError("a noise level is a share of the range", got=float(array.max()), expected="0 to 1", fix=fix)
    return array.reshape((1,) * (planes.ndim - array.ndim) + array.shape)
