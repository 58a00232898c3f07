"""How a run without clean images, or with only a few, is to learn: by which objective, from which weights, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noiseless import bundle
from noiseless.calibration.exposures import check_no_copies, check_one_scene
from noiseless.data.decode import Arrays
from noiseless.data.parts import spread
from noiseless.data.store import as_unit_float
from noiseless.denoiser import PHOTO, find
from noiseless.errors import ConfigError, DataError
from noiseless.noise import Noise, parse
from noiseless.training.config import SCRATCH, RunConfig
from noiseless.training.found import Found, find_noise
from noiseless.training.frames import SAME_NOISE, difference, one_scene
from noiseless.training.images import TrainingImages
from noiseless.training.known import KnownNoise
from noiseless.training.objectives import REFERENCED
from noiseless.training.objectives.choice import Situation, choose, warnings
from noiseless.training.shipped import shipped_for

GREY_OR_COLOUR = (1, 3)
"""Channels of images for which models ship."""

PAIRS = 12
"""Pairs of noisy views that are looked at: are they of one scene?"""

LOOKED_AT = 12
"""How many images are looked at to choose the weights to start from."""

GUESSED = (
    "nothing is learned, and what the run starts from is kept: how strong the noise of developed photographs is can "
    "only be guessed, and learning by a guess did harm: on photographs of a Canon it took 2 to 5 dB from photo-small. "
    "What helps: second views (--noisy-pairs A B), clean images of some scenes (noiseless finetune photo-small --pairs "
    "NOISY CLEAN), or the noise, where it is known (--noise SPEC)"
)
"""A warning; measured in docs/self_supervised.md, as is the next."""

KEPT = (
    "kept is what was learned where it is surely better than what the run starts from: in photographs with white noise "
    "it was in 0 of 5 runs, with correlated noise in 3 of 3; more images help to be sure"
)


Frames = tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Plan:
    """What was settled about learning.

    Attributes:
        objective: for examples with a clean image, or for all where all are alike.
        alone: for noisy images beside pairs; empty where there are none.
        noise: of the noisy images; ``None`` where all have a clean side.
        start: weights to start from, as of `RunConfig`.
        frames: neighbouring planes or frames that are learned from, each the second view of the other.
        lines: what to tell: what was found, what was chosen and why, warnings.
        guessed: the strength of the noise is, so that no error can be estimated by it, nothing is worth learning, and
            the weights that the run starts from are kept.
        found: how the noise was measured, where it was.
    """

    objective: str
    alone: str = ""
    noise: KnownNoise | None = None
    start: str | None = None
    frames: Frames = ()
    lines: tuple[str, ...] = ()
    guessed: bool = False
    found: Found | None = None

    @property
    def told(self) -> Noise | None:
        """What a network is told of noise whose strength is guessed, see `noiseless.training.found.Found`."""
        return self.found.told if self.found and self.guessed else None


def make_plan(config: RunConfig, images: TrainingImages) -> Plan:
    """Settle how to learn from the images there are.

    Raises:
        ConfigError: an objective that these images do not suit.
        DataError: noisy images without noise.
    """
    if images.referenced and not images.unpaired:
        return _referenced(config)
    channels = int(config.arguments.get("channels", images.channels))
    noisy = images.alone or images.train["noisy"]
    found = None if config.noise else find_noise(noisy, channels)
    noise = _known(config, found, channels)
    frames = images.neighbours()
    ratios = [difference(one, other, noise) for one, other in frames]
    situation = Situation(noise, views="noisy-again" in images.train, frames=_typical(ratios))
    wanted = _wanted(config.objective, images)
    name, why = choose(situation) if wanted == "auto" else (wanted, "")
    if name == "noise2noise" and not situation.views and not frames:
        raise ConfigError(
            "noise2noise needs two noisy views of each scene",
            fix="Give --noisy-pairs A B, stacks with planes, or frames whose names are numbered.",
        )
    lines = [f"noise: {noise.noise.spec}{_told(found)}"]
    lines += [f"objective: {name}, {why}"] if why else []
    learned: Frames = ()
    if name == "noise2noise" and not situation.views:
        alike = tuple(both for both, ratio in zip(frames, ratios, strict=True) if one_scene(ratio))
        learned = alike if one_scene(situation.frames) else tuple(frames)
        lines += [f"learned from: {len(learned)} of {len(frames)} pairs of neighbouring planes or frames"]
    lines += [f"warning: {line}" for line in [*warnings(name, situation), *_strangers(images)]]
    lines += _estimated(images)
    taken, why_taken = _taken(config, noisy, channels)
    start, reason = _start(config, taken, why_taken)
    lines += [reason] if reason else []
    adapts = start not in (None, SCRATCH)
    guessed = found is not None and adapts and _is_guessed(found, images, photographs=taken == PHOTO)
    lines += [f"warning: {GUESSED}"] if guessed else []
    lines += [KEPT] if adapts and not guessed and set(images.validation) == {"noisy"} else []
    referenced = "supervised" if config.objective not in REFERENCED else config.objective
    objective, alone = (referenced, name) if images.unpaired else (name, "")
    return Plan(objective, alone, noise, start, learned, tuple(lines), guessed, found)


def _strangers(images: TrainingImages) -> list[str]:
    """A warning where some of the pairs of noisy views are not two exposures of one scene.

    Raises:
        DataError: most are not.
    """
    if "noisy-again" not in images.train:
        return []
    first, second = images.train.values()
    numbers, found = spread(len(first), PAIRS), []
    for number in numbers:
        views = [as_unit_float(side[number]) for side in (first, second)]
        try:
            check_no_copies(views)
            if views[0].shape != views[1].shape:
                got = f"{views[0].shape} and {views[1].shape}"
                raise DataError("two views of a scene are of one shape", got=got, expected="(channels, height, width)")
            for both in zip(*views, strict=True):
                check_one_scene(np.stack(both))
        except DataError as error:
            found.append(error)
    if 2 * len(found) > len(numbers):
        raise found[0]
    share = f"{len(found)} of {len(numbers)} pairs that were looked at"
    return [f"{share} are not two exposures of one scene"] if found else []


def _estimated(images: TrainingImages) -> list[str]:
    """What a validation PSNR is where there are no clean images."""
    if "clean" in images.validation:
        return []
    how = "from the other view of each scene" if len(images.validation) > 1 else "by Stein's formula, for this noise"
    return [f"validation: without clean images the PSNR is an estimate, {how}"]


def _referenced(config: RunConfig) -> Plan:
    name = "supervised" if config.objective == "auto" else config.objective
    if name not in REFERENCED:
        raise ConfigError(
            f"the objective {name} is for images without a clean side",
            got="clean images",
            fix="Leave --objective out, or name noisy images alone with --noisy DIR.",
        )
    return Plan(name, start=config.start)


def _wanted(objective: str, images: TrainingImages) -> str:
    """The objective for images without a clean side."""
    if objective in REFERENCED and images.unpaired:
        return "auto"
    if objective in REFERENCED:
        raise ConfigError(
            f"the objective {objective} compares with clean images",
            got="noisy images",
            fix="Use --objective auto, or name clean images.",
        )
    return objective


def _known(config: RunConfig, found: Found | None, channels: int) -> KnownNoise:
    if found is None:
        return KnownNoise.of(parse(config.noise), channels)
    return KnownNoise.of(found.noise, channels, found.between_channels)


def _told(found: Found | None) -> str:
    if found is None:
        return " (as told)"
    return f" (measured; neighbouring pixels resemble each other by {max(found.neighbours, 0):.2f} of 1)"


def _typical(ratios: Sequence[float]) -> float | None:
    """The median of those of planes that are not copies of each other; ``None`` without planes."""
    return float(np.median([ratio for ratio in ratios if ratio >= SAME_NOISE] or ratios)) if ratios else None


def _taken(config: RunConfig, noisy: Sequence[np.ndarray], channels: int) -> tuple[str, str]:
    """The shipped model that ``denoise`` takes, and why; nothing of channels for which none ships."""
    if channels not in GREY_OR_COLOUR:
        return "", ""
    seen = spread(len(noisy), LOOKED_AT)
    known = [noisy.info(number) if isinstance(noisy, Arrays) else {} for number in seen]
    return shipped_for([noisy[number] for number in seen], known, channels, told=bool(config.noise))


def _start(config: RunConfig, taken: str, why: str) -> tuple[str | None, str]:
    """Weights to start from, and why where none are named; none where the network is another."""
    mine = {name: value for name, value in config.arguments.items() if name != "channels"}
    if config.start or mine or not taken:
        return config.start, ""
    if bundle.read(find(taken)).network != config.network:
        return None, ""
    return taken, f"starts from {taken}, as denoise takes it: {why}; --set start={SCRATCH} for random weights"


def _is_guessed(found: Found, images: TrainingImages, *, photographs: bool) -> bool:
    """Whether errors would be estimated by the strength of noise that is a guess.

    It is that of developed photographs, whatever kind of noise is found in them.
    """
    if "clean" in images.validation or "noisy-again" in images.train:
        return False
    return found.faint or photographs
