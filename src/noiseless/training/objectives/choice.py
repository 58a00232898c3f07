"""Which objective suits noisy images, and which do not suit them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from noiseless.noise import Noise
from noiseless.noise.chain import Chain
from noiseless.noise.rician import Rician
from noiseless.noise.salt_and_pepper import SaltAndPepper
from noiseless.noise.values import mean
from noiseless.training.frames import SAME_NOISE, SAME_SCENE, one_scene
from noiseless.training.known import KnownNoise
from noiseless.training.objectives.apart import LARGEST

HEAVY_TAILS = 1.0
"""Excess kurtosis beyond which noise is not taken for normal."""

LEAST_SHIFT = 1 / 255
"""Up to so much, noise is taken to leave the mean where it is."""

BLIND_SPOTS = ("noise2void", "noise2self")
HALVES = ("neighbor2neighbor", "zero-shot")
BY_THE_NOISE = ("sure", "recorrupted")


@dataclass(frozen=True)
class Situation:
    """What is known before anything is learned.

    Attributes:
        noise: of the images.
        views: whether each scene has two noisy views.
        frames: how much neighbouring planes or frames differ, over what noise explains; ``None`` without such.
    """

    noise: KnownNoise
    views: bool = False
    frames: float | None = None

    @property
    def heavy(self) -> bool:
        """Whether the noise is far from normal."""
        return self.noise.tails > HEAVY_TAILS


def choose(situation: Situation) -> tuple[str, str]:
    """The name of the objective that suits best, and why."""
    if situation.views:
        return "noise2noise", "since each scene has two noisy views"
    if one_scene(situation.frames):
        ratio = f"{situation.frames:.2f}x"
        return "noise2noise", f"since neighbouring planes or frames differ by no more than their noise ({ratio})"
    if situation.heavy:
        return "noise2void", "since the noise is far from normal, and only that it is independent is relied on"
    if situation.noise.reach:
        what = f"the noise is correlated over {situation.noise.reach} px"
        return "recorrupted", f"since {what}, and new noise can be made like it"
    return "recorrupted", "since the noise is white and its strength is known"


def warnings(name: str, situation: Situation) -> list[str]:
    """What the objective of this name cannot handle, one line each; none where it suits."""
    reach, lines = situation.noise.reach, []
    if reach and name in BLIND_SPOTS:
        side = 2 * reach + 1
        lines.append(
            f"the noise is correlated over {reach} px, which {name} cannot handle by itself: blind spots grow to "
            f"{side}x{side} px, which blurs. Better: --objective recorrupted"
        )
    if reach and name in HALVES:
        rest = " and still are not independent" if reach + 1 > LARGEST else ""
        lines.append(
            f"the noise is correlated over {reach} px, which {name} cannot handle by itself: it learns from pixels "
            f"{min(reach + 1, LARGEST)} px apart, which lose detail{rest}. Better: --objective recorrupted"
        )
    if situation.heavy and name in BY_THE_NOISE:
        lines.append(f"the noise is far from normal, which {name} relies on. Better: --objective noise2void")
    if name == "noise2noise" and not situation.views and (situation.frames or 0) > SAME_SCENE:
        lines.append(
            f"neighbouring planes or frames differ {situation.frames:.1f} times more than their noise does: what moves "
            "or changes between them will be blurred. Better: --objective auto"
        )
    if name == "noise2noise" and not situation.views and (situation.frames or 1) < SAME_NOISE:
        lines.append(
            f"neighbouring planes or frames differ by {situation.frames:.2f} of what their noise explains: the noise "
            "that they share stays. Better: --objective auto"
        )
    if (shift := _shift(situation.noise.noise)) > LEAST_SHIFT:
        lines.append(
            f"the noise moves the mean by up to {255 * shift:.0f} of 255, which no objective sees without clean "
            "images: what is learned keeps that. Clean images of some scenes show it: --pairs NOISY CLEAN"
        )
    return lines


def _shift(noise: Noise) -> float:
    """How far noise moves the mean, where it does most, in [0, 1] units: in black, of lost values in white too."""
    found = 0.0
    for part in noise.parts if isinstance(noise, Chain) else (noise,):
        if isinstance(part, Rician):
            found += float(np.max(mean(part.sigma))) * math.sqrt(math.pi / 2)
        elif isinstance(part, SaltAndPepper):
            found += float(np.max(mean(part.amount))) / 2
    return found
