"""Which noisy images to make a clean reference of, where only a few can be: those that teach a model most.

Uncertainty says how badly the model does on an image. It is the sum of two things that need no reference, each over
what is usual in the folder: the *spread* of the eight results for the turned and flipped image, in standard deviations
of its noise, and the *misfit*, by how much what the model removed is stronger or weaker than the noise that was
measured.

Diversity keeps the choice from being the same image again and again. Images are chosen one after another by the greedy
k-centre rule of Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", 2018:
next comes the one farthest from all that are chosen, in a space of simple numbers (the measured noise, brightness,
contrast, gradients). Here the distance is multiplied by the uncertainty, and the first is the most uncertain.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.calibration import Calibration, examine_planes
from noiseless.data import View
from noiseless.data.store import as_unit_float
from noiseless.denoiser import Denoiser
from noiseless.errors import ConfigError, DataError
from noiseless.evaluation.report import write_text
from noiseless.image import DataRange, pair_of
from noiseless.inference import turn, turn_back
from noiseless.noise import Noise
from noiseless.noise.chain import Chain

PARTS, PART, SEEN = 2, 256, 128
"""A large image is measured in so many parts along each side, of so many pixels; the model sees the middle of each."""

FAINTEST = 0.5 / 255
"""Added to levels that are divided by, in [0, 1] units: less noise cannot be told."""

LEAST = (0.02, 0.05)
"""Spread and misfit that are taken for usual where most images have less, so that next to nothing is not compared."""

FEWEST_IMPULSES = 0.005
"""Share of lost pixels from which they are worth a word."""

DARK, BRIGHT = 0.2, 0.8
"""Where the curve of the noise is compared."""


@dataclass(frozen=True)
class Candidate:
    """What is known of an image before anybody made a reference of it.

    Attributes:
        name: as it is shown.
        path: of the file; for an image of a packed store, of the store.
        noise: what was measured, as a noise expression.
        kind: the same in words, for a table.
        spread: of the eight results, in standard deviations of the noise.
        misfit: logarithm of the strength of what was removed over that of the noise, without its sign.
        descriptor: what it is compared by; see `DESCRIPTORS`.
    """

    name: str
    path: str
    noise: str
    kind: str
    spread: float
    misfit: float
    descriptor: tuple[float, ...]


DESCRIPTORS = (
    "noise level",
    "its growth with brightness",
    "its correlation across",
    "its correlation down",
    "rows and columns",
    "impulses",
    "brightness",
    "contrast",
    "gradients",
    "removed over measured",
)
"""What the numbers of `Candidate.descriptor` are; levels are logarithms."""


@dataclass(frozen=True)
class Chosen:
    """An image whose reference is wanted.

    Attributes:
        candidate: the image.
        uncertainty: 1 is usual in the folder.
        distance: to the nearest of those before it, 1 is a standard deviation of the folder in each number; infinite
            for the first.
    """

    candidate: Candidate
    uncertainty: float
    distance: float


@dataclass(frozen=True)
class Selection:
    """The images chosen, most wanted first.

    Attributes:
        model: whose uncertainty counts.
        images: how many there were to choose from.
        chosen: in the order in which they were chosen.
    """

    model: str
    images: int
    chosen: tuple[Chosen, ...]

    def rows(self) -> list[list[str]]:
        """A table, its head first."""
        head = ["", "image", "uncertainty", "spread", "misfit", "distance", "noise"]
        return [head, *(_row(number, each) for number, each in enumerate(self.chosen, 1))]

    def to_json(self, path: str | Path) -> None:
        """Write everything for machines.

        Raises:
            OutputError: the file cannot be written.
        """
        selected = [
            {"rank": rank, "uncertainty": each.uncertainty, "distance": _finite(each.distance)}
            | {key: value for key, value in asdict(each.candidate).items() if key != "descriptor"}
            | {"descriptor": dict(zip(DESCRIPTORS, each.candidate.descriptor, strict=True))}
            for rank, each in enumerate(self.chosen, 1)
        ]
        plain = {"model": self.model, "images": self.images, "selected": selected}
        write_text(path, json.dumps(plain, indent=1) + "\n")

    def to_list(self, path: str | Path) -> None:
        """Write one path a line, most wanted first.

        Raises:
            OutputError: the file cannot be written.
        """
        write_text(path, "".join(f"{each.candidate.path}\n" for each in self.chosen))


EXPLANATION = (
    "uncertainty: spread and misfit over what is usual in these images, 1 is usual",
    "spread: of the results for the turned and flipped image, in standard deviations of the noise",
    "misfit: what was removed, stronger or weaker than the noise measured (logarithm)",
    "distance: how far the image is from those above it, in noise, brightness, contrast and gradients",
)
"""What the columns of the table mean."""


def check_count(count: int) -> None:
    """Refuse to choose no image.

    Raises:
        ConfigError: `count` is below 1.
    """
    if count < 1:
        raise ConfigError("how many images to choose does not fit", got=count, expected="1 or more")


def select(
    views: Sequence[View],
    denoiser: Denoiser,
    count: int,
    *,
    data_range: DataRange | None = None,
    watch: Callable[[str], None] = lambda name: None,
) -> Selection:
    """Choose the images whose clean reference would help a model most; all of them where there are not more.

    The same images give the same choice in the same order.

    Args:
        views: noisy images; of a stack or film the middle plane counts.
        denoiser: the model.
        count: how many to choose.
        data_range: values that mean 0 and 1, as of `View.read`.
        watch: told the name of each image that was looked at.

    Raises:
        ConfigError: `count` is below 1.
        DataError: no image, or images of different channels.
        ImageError: an image that cannot be read, or whose channels the model does not take.
    """
    check_count(count)
    if not views:
        raise DataError("no image to choose from")
    candidates: list[Candidate] = []
    channels: dict[int, str] = {}
    for view in views:
        planes = view.read(None if data_range is None else pair_of(data_range))
        plane = as_unit_float(planes[len(planes) // 2])
        channels.setdefault(len(plane), view.name)
        if len(channels) > 1:
            got = " and ".join(f"{number} ({name})" for number, name in channels.items())
            raise DataError("the images differ in their channels", got=got, fix="Choose from one kind at a time.")
        candidates.append(look(plane, denoiser, view.name, str(view.path)))
        watch(view.name)
    return Selection(denoiser.name, len(views), tuple(choose(candidates, count)))


def look(plane: np.ndarray, denoiser: Denoiser, name: str, path: str) -> Candidate:
    """What a model does with an image, and what the image is like.

    Args:
        plane: (C, H, W) float32 in [0, 1] units.
        denoiser: the model.
        name: of the image.
        path: of the image.
    """
    parts = _parts(plane)
    found = examine_planes(parts)
    noisy = np.stack([_middle(part, SEEN) for part in parts])
    restored, spread = _eight_ways(denoiser, noisy, _told(found.noise))
    level = math.sqrt(float((found.noise.sigma_map(restored) ** 2).mean())) + FAINTEST
    removed = math.log((float((noisy - restored).std()) + FAINTEST) / level)
    descriptor = (*_noise_numbers(found), *_picture_numbers(restored), removed)
    return Candidate(name, path, found.noise.spec, _in_words(found), spread / level, abs(removed), descriptor)


def choose(candidates: Sequence[Candidate], count: int) -> list[Chosen]:
    """The greedy choice; see the top of the module. Where two are equal, the one that comes first."""
    uncertain = uncertainty(candidates)
    places = _standardised(np.array([each.descriptor for each in candidates]))
    distances = np.full(len(candidates), np.inf)
    wanted, chosen = uncertain.copy(), []
    for _ in range(min(count, len(candidates))):
        next_one = int(np.argmax(wanted))
        chosen.append(Chosen(candidates[next_one], float(uncertain[next_one]), float(distances[next_one])))
        away = np.sqrt(((places - places[next_one]) ** 2).mean(axis=1))
        distances = np.minimum(distances, away)
        wanted = np.where(wanted < 0, wanted, uncertain * distances)
        wanted[next_one] = -1
    return chosen


def uncertainty(candidates: Sequence[Candidate]) -> np.ndarray:
    """Spread and misfit, each over its median, and of these the mean: (n,), 1 is usual."""
    numbers = np.array([[each.spread, each.misfit] for each in candidates])
    usual = np.maximum(np.median(numbers, axis=0), LEAST)
    mean: np.ndarray = (numbers / usual).mean(axis=1)
    return mean


def _eight_ways(denoiser: Denoiser, noisy: np.ndarray, noise: Noise) -> tuple[np.ndarray, float]:
    """The mean of the results for the turned and flipped images, and the root mean square of their spread."""
    total, squares = np.zeros(noisy.shape, np.float64), np.zeros(noisy.shape, np.float64)
    ways = [(turns, flip) for turns in range(4) for flip in (False, True)]
    for turns, flip in ways:
        turned = turn(noisy, turns, flip)
        restored = turn_back(denoiser.planes(turned, denoiser.sigma(turned, noise)), turns, flip)
        total += restored
        squares += restored.astype(np.float64) ** 2
    mean = total / len(ways)
    return mean.astype(np.float32), math.sqrt(max(float((squares / len(ways) - mean**2).mean()), 0.0))


def _in_words(found: Calibration) -> str:
    level = 255 * float(np.mean([each.sigma for each in found.channels]))
    parts = [found.kind if found.kind == "none" else f"{found.kind} {level:.1f} of 255"]
    parts += ["stripes"] if any(each.rows or each.columns for each in found.channels) else []
    parts += ["impulses"] if any(each.impulses > FEWEST_IMPULSES for each in found.channels) else []
    return ", ".join(parts)


def _told(noise: Noise) -> Noise:
    """Without stripes and impulses, as ``noise="auto"`` tells it."""
    return noise.parts[0] if isinstance(noise, Chain) else noise


def _parts(plane: np.ndarray) -> list[np.ndarray]:
    """Parts spread over a large plane, all of one size; any other as it is."""
    height, width = plane.shape[1:]
    if max(height, width) <= PARTS * PART:
        return [plane]
    down, across = (min(PART, size) for size in (height, width))
    tops, lefts = (_starts(size, part) for size, part in ((height, down), (width, across)))
    return [plane[:, top : top + down, left : left + across] for top in tops for left in lefts]


def _starts(size: int, part: int) -> list[int]:
    return sorted(set(np.linspace(0, size - part, PARTS).astype(int).tolist()))


def _middle(part: np.ndarray, side: int) -> np.ndarray:
    top, left = (max(0, size - side) // 2 for size in part.shape[1:])
    return part[:, top : top + side, left : left + side]


def _noise_numbers(found: Calibration) -> list[float]:
    """Level, growth, correlations, stripes, impulses: means over the channels."""
    rows = [
        (
            math.log(each.sigma + FAINTEST),
            _growth(each.gain, each.read),
            each.autocorrelation_across[0] if each.autocorrelation_across else 0.0,
            each.autocorrelation_down[0] if each.autocorrelation_down else 0.0,
            (each.rows + each.columns) / (each.sigma + FAINTEST),
            math.sqrt(each.impulses),
        )
        for each in found.channels
    ]
    return [float(number) for number in np.mean(rows, axis=0)]


def _growth(gain: float, read: float) -> float:
    """Logarithm of the noise where it is bright over that where it is dark."""
    dark, bright = (math.sqrt(gain * value + read**2) + FAINTEST for value in (DARK, BRIGHT))
    return math.log(bright / dark)


def _picture_numbers(restored: np.ndarray) -> list[float]:
    """Brightness, contrast and gradients of what the model made."""
    steps = [np.diff(restored, axis=axis) for axis in (-2, -1)]
    gradient = math.sqrt(sum(float((step**2).mean()) if step.size else 0.0 for step in steps))
    return [float(restored.mean()), math.log(float(restored.std()) + FAINTEST), math.log(gradient + FAINTEST)]


def _standardised(numbers: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and standard deviation 1; one in which nothing differs is 0."""
    spread = numbers.std(axis=0)
    centred: np.ndarray = (numbers - numbers.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
    return centred


def _row(rank: int, chosen: Chosen) -> list[str]:
    each = chosen.candidate
    distance = f"{chosen.distance:.2f}" if math.isfinite(chosen.distance) else "-"
    numbers = [f"{number:.2f}" for number in (chosen.uncertainty, each.spread, each.misfit)]
    return [str(rank), each.name, *numbers, distance, each.kind]


def _finite(number: float) -> Any:
    return number if math.isfinite(number) else None
