"""Which noisy images to make a clean reference of, where only a few can be: those that teach a model most.

Uncertainty is how far the model falls *short* on an image, in dB, and needs no reference: what it makes of the image
serves as a clean one for once (a parametric bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).
That gets the noise that was measured in the image, and in its place white noise of the same strength, and the model
restores both. What comes out worse of the first is what a model that knew this noise might do better. Strong noise and
rich texture, which no reference helps against, make both worse alike.

Diversity is what a choice stands for. A reference teaches the model about images that are like its own, in the
measured noise above all; of the shortfall of each image of the folder it makes up as much as the two are alike, if none
before it did. Images are chosen one after another, each time the one that makes up most over the whole folder: greedy
facility location, as of Wei, Iyer and Bilmes, "Submodularity in Data Subset Selection and Active Learning", 2015. So
neither a hundred frames of one scene nor the one odd image that is like no other takes all references.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from noiseless.calibration import Calibration, examine_planes
from noiseless.data import View
from noiseless.data.parts import middle
from noiseless.data.store import as_unit_float
from noiseless.denoiser import Denoiser
from noiseless.errors import ConfigError, DataError, InputError, check_some, noting
from noiseless.image import DataRange, pair_of
from noiseless.io.atomic import write_text
from noiseless.noise import Noise
from noiseless.noise.chain import Chain
from noiseless.noise.gaussian import Gaussian
from noiseless.noise.salt_and_pepper import SaltAndPepper
from noiseless.noise.values import mean

if TYPE_CHECKING:
    from noiseless.denoiser import NoiseLevel

PARTS, PART, SEEN = 2, 256, 128
"""A large image is measured in so many parts along each side, of so many pixels; the model sees the middle of each."""

FAINTEST = 0.5 / 255
"""Added to levels that are divided by, in [0, 1] units: less noise cannot be told."""

FLOOR = 1.0
"""dB that a reference is worth for an image beside the shortfall: what is not learned from is forgotten, and what was
measured may not be all there is."""

FEWEST_IMPULSES = 0.005
"""Share of lost pixels from which they count."""

DARK, BRIGHT = 0.2, 0.8
"""Where the curve of the noise is compared."""

SEED = 15
"""Of the noise that pictures are given."""


@dataclass(frozen=True)
class Candidate:
    """What is known of an image before anybody made a reference of it.

    Attributes:
        name: as it is shown.
        path: of the file; for an image of a packed store, of the store.
        noise: what was measured, as a noise expression.
        kind: the same in words, for a table.
        short: dB by which the model does worse than on white noise of the same strength; below 0 where better.
        descriptor: what it is compared by; see `DESCRIPTORS`.
    """

    name: str
    path: str
    noise: str
    kind: str
    short: float
    descriptor: tuple[float, ...]


DESCRIPTORS = {
    "noise level": 1.0,
    "its growth with brightness": 1.0,
    "its correlation across": 0.3,
    "its correlation down": 0.3,
    "rows and columns": 0.6,
    "impulses": 0.1,
    "brightness": 2.8,
    "contrast": 10.0,
    "gradients": 10.0,
}
"""What the numbers of `Candidate.descriptor` are, levels as logarithms, and how far apart images in one of them are
of which a reference of the one makes up 61% (a standard deviation of a bell curve) for the other."""


@dataclass(frozen=True)
class Chosen:
    """An image whose reference is wanted.

    Attributes:
        candidate: the image.
        alike: images of the folder that it stands for, itself among them; one that is half alike counts half.
        adds: what its reference is worth beside those before it: dB, mean over the folder.
    """

    candidate: Candidate
    alike: float
    adds: float


@dataclass(frozen=True)
class Selection:
    """The images chosen, most wanted first.

    Attributes:
        model: that falls short.
        images: how many there were to choose from.
        chosen: in the order in which they were chosen.
        left_out: path of an image that cannot be read, to the error that says why.
    """

    model: str
    images: int
    chosen: tuple[Chosen, ...]
    left_out: Mapping[str, InputError] = field(default_factory=dict)

    def rows(self) -> list[list[str]]:
        """A table, its head first."""
        head = ["", "image", "short", "alike", "adds", "noise"]
        return [head, *(_row(number, each) for number, each in enumerate(self.chosen, 1))]

    def to_json(self, path: str | Path) -> None:
        """Write everything for machines.

        Raises:
            OutputError: the file cannot be written.
        """
        selected = [
            {"rank": rank, "alike": each.alike, "adds": each.adds}
            | asdict(each.candidate)
            | {"descriptor": dict(zip(DESCRIPTORS, each.candidate.descriptor, strict=True))}
            for rank, each in enumerate(self.chosen, 1)
        ]
        left_out = {path: str(error) for path, error in self.left_out.items()}
        plain = {"model": self.model, "images": self.images, "selected": selected, "left_out": left_out}
        write_text(path, json.dumps(plain, indent=1) + "\n")

    def to_list(self, path: str | Path) -> None:
        """Write one path a line, most wanted first; of an image in a packed store its name.

        Raises:
            OutputError: the file cannot be written.
        """
        write_text(path, "".join(f"{each.candidate.path}\n" for each in self.chosen))


EXPLANATION = (
    "short: dB by which the model does worse on such noise than on white noise of the same strength",
    "alike: how many of the images this one stands for",
    "adds: what its reference is worth beside those above it, in dB, mean over the images",
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
        ImageError: an image whose channels the model does not take.
        InputError: no image can be read, or has noise. Some of several that cannot are left out, and the result says
            why.
    """
    check_count(count)
    if not views:
        raise DataError("no image to choose from")
    candidates: list[Candidate] = []
    channels: dict[int, str] = {}
    left_out: dict[str, InputError] = {}
    span = None if data_range is None else pair_of(data_range)
    for view in views:
        planes: list[np.ndarray] = []
        place = str(view.path) if view.entry is None else view.name
        with noting(left_out, place):
            planes = view.read(span)
        if not planes:
            continue
        plane = as_unit_float(planes[len(planes) // 2])
        channels.setdefault(len(plane), view.name)
        if len(channels) > 1:
            got = " and ".join(f"{number} ({name})" for number, name in channels.items())
            raise DataError("the images differ in their channels", got=got, fix="Choose from one kind at a time.")
        seen = look(plane, denoiser, view.name, place)
        if seen.kind == "none":
            left_out[place] = DataError("no noise can be told, so that a clean reference teaches nothing")
        else:
            candidates.append(seen)
        watch(view.name)
    check_some(len(candidates), left_out)
    return Selection(denoiser.name, len(candidates), tuple(choose(candidates, count)), left_out)


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
    told = denoiser.bundle.told or _told(found.noise)
    noisy = np.stack([middle(part, SEEN) for part in parts])
    restored = denoiser.planes(noisy, denoiser.sigma(noisy, told))
    short = _shortfall(denoiser, restored, found.noise, told)
    descriptor = (*_noise_numbers(found), *_picture_numbers(restored))
    return Candidate(name, path, found.noise.spec, _in_words(found), short, descriptor)


def choose(candidates: Sequence[Candidate], count: int) -> list[Chosen]:
    """The greedy choice; see the top of the module. Where two are equal, the one that comes first."""
    worth = FLOOR + np.maximum([each.short for each in candidates], 0.0)
    alike = _likeness(np.array([each.descriptor for each in candidates]))
    made_up, chosen = np.zeros(len(candidates)), []
    wanted = np.ones(len(candidates), dtype=bool)
    for _ in range(min(count, len(candidates))):
        adds = np.maximum(alike - made_up, 0) @ worth / len(candidates)
        best = int(np.argmax(np.where(wanted, adds, -1)))
        chosen.append(Chosen(candidates[best], float(alike[best].sum()), float(adds[best])))
        made_up, wanted[best] = np.maximum(made_up, alike[best]), False
    return chosen


def _likeness(numbers: np.ndarray) -> np.ndarray:
    """Of each image to each, 0 to 1: (n, d) -> (n, n)."""
    places = numbers / np.array(list(DESCRIPTORS.values()))
    squares = (places**2).sum(axis=1)
    distances = np.maximum(squares[:, np.newaxis] + squares - 2 * places @ places.T, 0)
    likeness: np.ndarray = np.exp(-distances / 2)
    np.fill_diagonal(likeness, 1)
    return likeness


def _shortfall(denoiser: Denoiser, restored: np.ndarray, noise: Noise, told: NoiseLevel) -> float:
    """dB by which a model does worse on a noise than on white noise of the same strength.

    Args:
        denoiser: the model.
        restored: (N, C, H, W), what serves as clean.
        noise: the noise.
        told: what the model is told of it.
    """
    clean = restored.clip(0, 1)
    same = _without_few_impulses(noise).sample(clean, np.random.default_rng(SEED))
    level = float((same - clean).std())
    white = Gaussian(min(level, 1.0)).sample(clean, np.random.default_rng(SEED))

    def error(noisy: np.ndarray, told: NoiseLevel) -> float:
        seen = noisy.clip(0, 1)
        again = denoiser.planes(seen, denoiser.sigma(seen, told)).clip(0, 1)
        return float(((again - clean) ** 2).mean()) + FAINTEST**2

    return 10 * math.log10(error(same, told) / error(white, np.full((1, 1, 1, 1), level)))


def _in_words(found: Calibration) -> str:
    level = 255 * float(np.mean([each.sigma for each in found.channels]))
    parts = [found.kind if found.kind == "none" else f"{found.kind} {level:.1f} of 255"]
    parts += ["stripes"] if any(each.rows or each.columns for each in found.channels) else []
    parts += ["impulses"] if any(each.impulses > FEWEST_IMPULSES for each in found.channels) else []
    return ", ".join(parts)


def _without_few_impulses(noise: Noise) -> Noise:
    """As measured, but for so few lost values that sharp detail is as often taken for them."""
    if not isinstance(noise, Chain):
        return noise
    last = noise.parts[-1]
    few = isinstance(last, SaltAndPepper) and mean(last.amount) < FEWEST_IMPULSES
    return Chain(noise.parts[:-1]) if few else noise


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


def _row(rank: int, chosen: Chosen) -> list[str]:
    each = chosen.candidate
    return [str(rank), each.name, f"{each.short:.1f}", f"{chosen.alike:.1f}", f"{chosen.adds:.3f}", each.kind]
