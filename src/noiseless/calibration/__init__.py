"""Calibration: which noise is in these images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noiseless.calibration.level import noise_level as noise_level
    from noiseless.calibration.measuring import calibrate as calibrate
    from noiseless.calibration.measuring import examine as examine
    from noiseless.calibration.measuring import examine_planes as examine_planes
    from noiseless.calibration.report import Calibration as Calibration
    from noiseless.calibration.telling import told_level as told_level
    from noiseless.calibration.whiteness import has_independent_noise as has_independent_noise

_LAZY = {
    "Calibration": "noiseless.calibration.report",
    "calibrate": "noiseless.calibration.measuring",
    "examine": "noiseless.calibration.measuring",
    "examine_planes": "noiseless.calibration.measuring",
    "has_independent_noise": "noiseless.calibration.whiteness",
    "noise_level": "noiseless.calibration.level",
    "told_level": "noiseless.calibration.telling",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
