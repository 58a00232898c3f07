"""What is said about a denoised image: numbers and warnings, as plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from noiseless.denoiser import estimate_sigma
from noiseless.image import Image
from noiseless.io import denoised_mark
from noiseless.service.engine import Array, Restored
from noiseless.service.models import trained_levels
from noiseless.service.options import Options

STRONGER = 1.15
"""Noise that exceeds what a model was trained for by this factor is worth a warning."""

LEFT = 0.7
"""A blind model that removes less than this share of the white noise has left much of it."""

NOTABLE = 5 / 255
HARDLY = 0.5 / 255
"""A level below which there is next to no noise, in [0, 1] units."""


def report(image: Image, planes: Array, restored: Restored, options: Options) -> dict[str, Any]:
    """Numbers and warnings about an image; levels are on the scale of 0 to 255.

    Args:
        image: as it came.
        planes: its planes.
        restored: what became of it.
        options: what was asked for.
    """
    level = estimate_sigma(planes) if options.told or restored.sigma is None else restored.sigma
    change = float(np.sqrt(np.mean(np.square(restored.planes - planes))))
    return {
        "model": restored.denoiser.name,
        "precision": restored.denoiser.engine.precision,
        "noise": options.noise,
        "strength": options.strength,
        "estimated": by_channel(level),
        "told": None if restored.sigma is None else by_channel(restored.sigma),
        "removed": round(255 * change, 3),
        "seconds": round(restored.seconds, 3),
        "image": described(image),
        "warnings": [*_of_image(image), *_of_noise(float(level.mean()), change, restored, options)],
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


def by_channel(sigma: Array) -> list[float]:
    """A noise level as a number for each channel, on the scale of 0 to 255, in the mean over planes and pixels."""
    full = sigma.reshape((1,) * (4 - sigma.ndim) + sigma.shape)
    return [round(255 * float(level), 2) for level in full.mean((0, 2, 3))]


def _of_image(image: Image) -> list[dict[str, str]]:
    before = denoised_mark(image)
    found = [{"code": "converted", "text": note} for note in image.metadata.get("notes", ())]
    if before is None:
        return found
    text = f"this image was denoised before ({before}); doing it again takes more detail away"
    return [{"code": "denoised-before", "text": text}, *found]


def _of_noise(level: float, change: float, restored: Restored, options: Options) -> list[dict[str, str]]:
    denoiser, found = restored.denoiser, []
    trained = trained_levels(denoiser.bundle)
    if trained is not None and level > STRONGER * trained[1]:
        text = (
            f"the noise ({255 * level:.0f}) is stronger than {denoiser.name} has learned (up to {255 * trained[1]:.0f})"
        )
        found.append({"code": "stronger-noise", "text": text})
    if denoiser.takes_sigma and level < HARDLY:
        found.append({"code": "hardly-noise", "text": "hardly any noise was found in this image"})
    if not denoiser.takes_sigma and level > NOTABLE and change < LEFT * options.strength * level:
        text = f"{denoiser.name} left much of the noise; a model that is told the level may do better"
        found.append({"code": "noise-left", "text": text})
    if options.told and not denoiser.takes_sigma:
        text = f"{denoiser.name} finds the noise level itself; the one given is not used"
        found.append({"code": "not-told", "text": text})
    if denoiser.engine.note:
        found.append({"code": "precision", "text": denoiser.engine.note})
    return found
