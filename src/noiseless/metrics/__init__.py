"""Metrics of image quality in numpy float64: the numbers that are reported.

Each takes ``(restored, clean, *, data_range=1.0)`` with arrays of shape (H, W) or (C, H, W) and returns a
float. A metric's module is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from noiseless import tables

if TYPE_CHECKING:
    from noiseless.metrics.interval import Interval as Interval
    from noiseless.metrics.interval import bootstrap_interval as bootstrap_interval
    from noiseless.metrics.multiscale import ms_ssim as ms_ssim
    from noiseless.metrics.pixelwise import mae as mae
    from noiseless.metrics.pixelwise import mse as mse
    from noiseless.metrics.pixelwise import psnr as psnr
    from noiseless.metrics.structural import ssim as ssim

METRICS: dict[str, str] = {
    "psnr": "noiseless.metrics.pixelwise:psnr",
    "ssim": "noiseless.metrics.structural:ssim",
    "ms_ssim": "noiseless.metrics.multiscale:ms_ssim",
    "mse": "noiseless.metrics.pixelwise:mse",
    "mae": "noiseless.metrics.pixelwise:mae",
}
"""Names to functions; other packages add theirs through the entry point group ``noiseless.metrics``."""

MINIMUM_SIZES: dict[str, int] = {"ssim": 11, "ms_ssim": 176}
"""Smallest height and width that a metric is defined for, where it is more than 1."""

_LAZY = METRICS | {
    "Interval": "noiseless.metrics.interval:Interval",
    "bootstrap_interval": "noiseless.metrics.interval:bootstrap_interval",
}


def find(name: str) -> Callable[..., float]:
    """The function of a metric.

    Raises:
        UnknownNameError: no metric of this name.
    """
    function: Callable[..., float] = tables.load("metric", name, METRICS, "noiseless.metrics")
    return function


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = globals()[name] = tables.attribute(_LAZY[name])
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
