"""Patches for training: every batch is a function of the seed and the step alone.

So a run has no sampler state to lose: a resumed run draws what the interrupted one would have drawn, and the
processes of a distributed run share one batch by taking its rows in turn.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from noiseless.bundle import NetworkSpec
from noiseless.calibration.telling import Told, measure
from noiseless.data.augment import (
    change_tone,
    crop_window,
    mixup,
    random_crop,
    random_orientation,
    rescale,
    to_channels,
)
from noiseless.data.store import as_unit_float
from noiseless.errors import DataError
from noiseless.noise import Noise, parse
from noiseless.training.config import MEASURED, Stage, TrainingConfig
from noiseless.training.objectives import Batch


@dataclass(frozen=True)
class Patch:
    """One training example; float32 arrays of shape (C, size, size) in [0, 1] units.

    Attributes:
        noisy: the network's input.
        target: a clean image, another noisy one, or the input itself where there is nothing else.
        sigma: what the network is told.
        referenced: whether the target is clean.
    """

    noisy: np.ndarray
    target: np.ndarray
    sigma: np.ndarray | None
    referenced: bool = True


class PatchSource(Protocol):
    """Draws training examples."""

    def draw(self, generator: np.random.Generator, size: int) -> Patch:
        """One example of `size` x `size` pixels."""
        ...


class Weighted:
    """Chooses images with a chance that grows as the square root of their area."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        if not len(images):
            raise DataError("nothing to train on", got="no image")
        sides = np.sqrt([image.shape[-1] * image.shape[-2] for image in images])
        self._edges = np.cumsum(sides / sides.sum())

    def choose(self, generator: np.random.Generator) -> int:
        """Index of an image."""
        return min(int(np.searchsorted(self._edges, generator.random())), len(self._edges) - 1)


class CleanPatches:
    """Clean patches with synthetic noise.

    Args:
        images: arrays of shape (C, H, W): uint8, uint16 or float32.
        noise: what is added; ranges are drawn for each patch.
        channels: of the network; colour images become luma for a grey one.
        config: shares of the augmentations.
    """

    def __init__(self, images: Sequence[np.ndarray], noise: Noise, channels: int, config: TrainingConfig) -> None:
        self.images, self.noise, self.channels, self.config = images, noise, channels, config
        self._weighted = Weighted(images)

    def draw(self, generator: np.random.Generator, size: int) -> Patch:
        """One clean patch, its noisy version and the level that the network will be told of such noise."""
        clean = self._clean(generator, size)
        if generator.random() < self.config.mixup:
            clean = mixup(clean, self._clean(generator, size), generator)
        if generator.random() < self.config.tone:
            clean = change_tone(clean, generator)
        noise = self.noise.draw(generator)
        noisy = noise.sample(clean, generator)
        error = generator.uniform(-1, 1) * self.config.told_error
        return Patch(noisy, clean, noise.told_map(noisy) * np.float32(1 + error))

    def _clean(self, generator: np.random.Generator, size: int) -> np.ndarray:
        image = self.images[self._weighted.choose(generator)]
        if generator.random() < self.config.rescale:
            patch = rescale(image, size, generator)
        else:
            patch = random_crop(image, size, generator)
        return to_channels(random_orientation(as_unit_float(patch), generator), self.channels)


class PairPatches:
    """Patches of noisy / clean pairs, cut at the same place and turned alike.

    Args:
        noisy: arrays of shape (C, H, W).
        clean: the same number of arrays of the same shapes; for Noise2Noise, the other noisy views.
        channels: of the network.
        config: shares of the augmentations.
        levels: what is told of each noisy image, where the network is told a noise level; see `pair_levels`.
        referenced: whether `clean` is clean.
    """

    def __init__(
        self,
        noisy: Sequence[np.ndarray],
        clean: Sequence[np.ndarray],
        channels: int,
        config: TrainingConfig,
        levels: Sequence[Told] | None = None,
        *,
        referenced: bool = True,
    ) -> None:
        self.noisy, self.clean, self.channels, self.config, self.levels = noisy, clean, channels, config, levels
        self.referenced = referenced
        self._weighted = Weighted(clean)

    def draw(self, generator: np.random.Generator, size: int) -> Patch:
        """One pair of patches and, where the network is told one, a noise level about the estimated."""
        index = self._weighted.choose(generator)
        both = self._both(index, generator, size)
        if self.levels is None and generator.random() < self.config.mixup:
            both = mixup(both, self._both(self._weighted.choose(generator), generator, size), generator)
        noisy, clean = both
        return Patch(noisy, clean, self._told(index, noisy, generator), self.referenced)

    def _told(self, index: int, noisy: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
        if self.levels is None:
            return None
        return self.levels[index](noisy) * np.float32(np.exp(self.config.told_spread * generator.standard_normal()))

    def _both(self, index: int, generator: np.random.Generator, size: int) -> np.ndarray:
        sides = self.noisy[index], self.clean[index]
        cut = crop_window(sides[1], size, generator)
        both = np.stack([to_channels(as_unit_float(cut(side)), self.channels) for side in sides])
        return random_orientation(both, generator)


class NoisyPatches:
    """Patches of noisy images that nothing is known of beside; the target is the input.

    Args:
        images: arrays of shape (C, H, W).
        channels: of the network.
        levels: as of `PairPatches`.
    """

    def __init__(self, images: Sequence[np.ndarray], channels: int, levels: Sequence[Told] | None = None) -> None:
        self.images, self.channels, self.levels = images, channels, levels
        self._weighted = Weighted(images)

    def draw(self, generator: np.random.Generator, size: int) -> Patch:
        """One noisy patch."""
        index = self._weighted.choose(generator)
        crop = random_crop(self.images[index], size, generator)
        noisy = random_orientation(to_channels(as_unit_float(crop), self.channels), generator)
        return Patch(noisy, noisy, None if self.levels is None else self.levels[index](noisy), referenced=False)


class MixedPatches:
    """Patches of pairs with a clean side, and of noisy images, by turns.

    Args:
        pairs: where there is a clean side.
        noisy: where there is none.
        share: of the first.
    """

    def __init__(self, pairs: PatchSource, noisy: PatchSource, share: float) -> None:
        self.pairs, self.noisy, self.share = pairs, noisy, share

    def draw(self, generator: np.random.Generator, size: int) -> Patch:
        """A patch of either."""
        return (self.pairs if generator.random() < self.share else self.noisy).draw(generator, size)


def pair_levels(noisy: Sequence[np.ndarray], spec: NetworkSpec, told: str = MEASURED) -> list[Told] | None:
    """What the network is told of each image: what ``noise="auto"`` will tell it; ``None`` for one that works blind.

    Args:
        noisy: (C, H, W) each.
        spec: of the network.
        told: as of `RunConfig`, settled.
    """
    if spec.conditioning == "none":
        return None
    if told != MEASURED:
        return [Told(parse(told), None)] * len(noisy)
    return [measure(to_channels(as_unit_float(image), spec.channels)) for image in noisy]


def make_batch(source: PatchSource, stage: Stage, seed: int, step: int, rows: slice) -> Batch:
    """The rows of step `step`'s batch that this process works on.

    Args:
        source: where patches come from.
        stage: patch size and the size of the whole batch.
        seed: of the run.
        step: number of the optimiser step.
        rows: which rows of the whole batch.
    """
    numbers = range(stage.batch_size)[rows]
    patches = [source.draw(np.random.default_rng([seed, step, row]), stage.patch_size) for row in numbers]
    sigma = None
    if patches[0].sigma is not None:
        levels = [patch.sigma for patch in patches if patch.sigma is not None]
        shape = max(level.shape for level in levels)  # a map for each where any noise grows with brightness
        sigma = _stack([np.broadcast_to(level, shape) for level in levels])
    referenced = torch.tensor([patch.referenced for patch in patches])
    return Batch(_stack([p.noisy for p in patches]), _stack([p.target for p in patches]), sigma, referenced)


def _stack(arrays: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(arrays)).contiguous(memory_format=torch.channels_last)


def in_turn(make: Callable[[int], Batch], first: int) -> Generator[Batch, None, None]:
    """Batches `first`, `first` + 1, ... each made when it is asked for.

    For a network that trains on the CPU: a thread beside it takes its cores in the middle of a convolution, which costs
    several times what the batch does.

    Args:
        make: makes the batch of a step.
        first: number of the first step.
    """
    while True:
        yield make(first)
        first += 1


def prefetch(make: Callable[[int], Batch], first: int, depth: int = 3) -> Generator[Batch, None, None]:
    """Batches `first`, `first` + 1, ... made in a thread ahead of their use; closing the iterator ends the thread.

    Args:
        make: makes the batch of a step; what it raises is raised here.
        first: number of the first step.
        depth: how many batches wait at most.
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: Batch | BaseException) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        step = first
        try:
            while not stop.is_set():
                put(make(step))
                step += 1
        except BaseException as error:  # handed to the consumer, which raises it
            put(error)

    thread = threading.Thread(target=work, name="patches", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()
