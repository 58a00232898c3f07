"""What is said about a denoised image: numbers and warnings, as plain data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from noiseless.calibration import Calibration, examine_planes
from noiseless.data.parts import middle
from noiseless.image import Image
from noiseless.inference import by_channel
from noiseless.io import denoised_mark
from noiseless.service.engine import Array, Restored
from noiseless.service.models import trained_levels
from noiseless.service.options import Options

STRONGER = 1.15
"""Noise that exceeds what a model was trained for by this factor is worth a warning."""

LEFT = 0.7
"""A blind model that removes less than this share of the white noise has left much of it."""

NOTABLE = 5 / 255
LOOKED_AT = 1024
"""Side of the middle of an image whose noise is measured, in pixels."""

FAINT = 2.5 / 255
HARDLY = 0.5 / 255
"""A level below which there is next to no noise, in [0, 1] units."""


def report_of_file(
    kind: str, facts: dict[str, Any], said: list[str], options: Options, seconds: float, image: dict[str, Any]
) -> dict[str, Any]:
    """Numbers and warnings about what was denoised from file to file, as the command line does it.

    Args:
        kind: film or zarr.
        facts: of the restorer.
        said: its lines.
        options: what was asked for.
        seconds: that it took.
        image: what came of it.
    """
    return {
        **{name: facts[name] for name in ("model", "precision")},
        **{"noise": options.noise, "strength": options.strength, "told": finite(facts["sigma"])},
        "seconds": round(seconds, 3),
        "image": image,
        "warnings": [{"code": kind, "text": line} for line in said if not line.startswith("model ")],
    }


def report(image: Image, planes: Array, restored: Restored, options: Options) -> dict[str, Any]:
    """Numbers and warnings about an image; levels are on the scale of 0 to 255.

    Args:
        image: as it came.
        planes: its planes.
        restored: what became of it.
        options: what was asked for.
    """
    found = examine_planes([middle(planes[0], LOOKED_AT)])
    change = float(np.sqrt(np.mean(np.square(restored.planes - planes))))
    return {
        "model": restored.denoiser.name,
        "precision": restored.denoiser.engine.precision,
        "noise": options.noise,
        "strength": options.strength,
        "kind": found.kind,
        "estimated": finite([round(255 * channel.sigma, 2) for channel in found.channels]),
        "told": None if restored.sigma is None else finite(by_channel(restored.sigma)),
        "removed": finite(round(255 * change, 3)),
        "seconds": round(restored.seconds, 3),
        "image": described(image),
        "warnings": [*_of_image(image), *_of_noise(found, change, restored, options)],
    }


def described(image: Image) -> dict[str, Any]:
    """What an image is."""
    return {
        "format": image.metadata.get("format", ""),
        "width": image.width,
        "height": image.height,
        "planes": image.count,
        "channels": image.channels,
        "alpha": image.has_alpha,
        "dtype": str(image.array.dtype),
        "bits": image.bits,
    }


def _of_image(image: Image) -> list[dict[str, str]]:
    before = denoised_mark(image)
    found = [{"code": "converted", "text": note} for note in image.metadata.get("notes", ())]
    if before is None:
        return found
    text = f"this image was denoised before ({before}); doing it again takes more detail away"
    return [{"code": "denoised-before", "text": text}, *found]


def _of_noise(found: Calibration, change: float, restored: Restored, options: Options) -> list[dict[str, str]]:
    """Where the noise is unlike what the model knows."""
    denoiser, name = restored.denoiser, restored.denoiser.name
    told, trained = denoiser.takes_sigma, trained_levels(denoiser.bundle)
    level = max((channel.sigma for channel in found.channels if math.isfinite(channel.sigma)), default=0.0)
    asked = 0.0 if restored.sigma is None or not options.told else float(restored.sigma.mean())
    most = math.inf if trained is None else trained[1]
    left = not told and found.kind != "correlated" and level > NOTABLE and change < LEFT * options.strength * level
    cases = {
        "stronger-noise": (max(level, asked) > STRONGER * most, f"the noise is stronger than {name} has learned"),
        "correlated-noise": (
            trained is not None and found.kind == "correlated" and level > FAINT,
            f"neighbouring pixels share their noise, which {name} has not learned",
        ),
        "hardly-noise": (told and level < HARDLY, "hardly any noise was found in this image"),
        "noise-left": (left, f"{name} left much of the noise; a model that is told the level may do better"),
        "not-told": (options.told and not told, f"{name} finds the noise level itself; the one given is not used"),
        "precision": (bool(denoiser.engine.note), denoiser.engine.note),
    }
    return [{"code": code, "text": text} for code, (holds, text) in cases.items() if holds]


def finite(value: Any) -> Any:
    """Plain data without the numbers that JSON does not have: ``None`` in their place."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
