"""Which engine is the fastest for a model on this machine: measured when there is enough work to pay for it.

An engine that is chosen automatically begins as the first of `noiseless.runtime.PREFERRED`. Once so much work lies
ahead that to load another is a small part of it, that one runs a small image; what it took is kept in a file of the
user's cache, by the model's content and the machine, and the next process knows it. A faster engine is taken once it
gains more than it takes to load.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import astuple, dataclass

import numpy as np

from noiseless.bundle import CONFIG, Bundle
from noiseless.runtime import Array, Engine, Precision
from noiseless.runtime.machine import processor_name, used_threads
from noiseless.runtime.remembered import changed, recall, remember
from noiseless.tiling import round_up

SIDE, TURNS = 256, 3
"""Of the image that engines are measured with, and in how many turns, so that a busy moment of the machine falls on all
alike. In each an engine runs it twice, and the second run counts: the threads of the engine before it go on for a
while, busily waiting for work."""

WORTH_MEASURING = 1 << 23
"""Pixels from which on the engine in use is measured, which takes as long as a twentieth of them."""

LOADING: dict[str, float] = {"onnxruntime": 0.1, "openvino": 0.3, "torch": 3.0}
"""Seconds that engines take about to be loaded and measured; of a first import, of which a process that had imported
one before sees nothing."""

LOADING_SHARE = 0.05
"""Of the time of the work, what another engine may take to load for being measured."""

MEMORY = "engines.json"

Open = Callable[[str], Engine | None]
"""Opens an engine by its name; ``None`` where it cannot run the model here."""


@dataclass(frozen=True)
class Speed:
    """What an engine takes.

    Attributes:
        load: seconds until it is ready.
        pixel: seconds for each pixel.
    """

    load: float
    pixel: float


class AutomaticEngine:
    """An engine that gives way to a faster one where that pays; see `noiseless.runtime.Engine`.

    Args:
        first: what to begin with.
        bundle: the model.
        names: of the engines that are installed and may have its precision.
        open_named: opens one of them.
        key: what the speeds are remembered by, see `model_key`.
    """

    def __init__(self, first: Engine, bundle: Bundle, names: Iterable[str], open_named: Open, key: str) -> None:
        self._bundle, self._names, self._open, self._key = bundle, list(names), open_named, key
        self._pixels = 0
        self._speeds: dict[str, Speed] = {}
        self.note = first.note
        self._adopt(first)

    def _adopt(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.precision = engine.name, engine.precision
        self.bytes_per_pixel, self.fixed_bytes = engine.bytes_per_pixel, engine.fixed_bytes

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore a batch (B, C, H, W); see `noiseless.runtime.Engine.run`."""
        self._pixels += batch[:, 0].size
        return self._engine.run(batch, sigma)

    def release(self) -> None:
        """Give back memory; see `noiseless.runtime.Engine.release`."""
        self._engine.release()

    def prepare(self, pixels: int) -> None:
        """Take the engine that is done first with so many pixels, after a measurement where that pays."""
        work = pixels + self._pixels  # as much as was done is likely to come again
        self._speeds = self._speeds or recalled(self._key)
        if self.name not in self._speeds and work >= WORTH_MEASURING:
            self._learn({self.name: self._engine}, {})
        if self.name not in self._speeds:
            return
        opened = {self.name: self._engine, **self._learn_others(work * self._speeds[self.name].pixel)}
        best = fastest(self._speeds, opened, work)
        engine = opened.get(best) or self._open(best)
        if engine is not None and best != self.name:
            self._engine.release()
            self._adopt(engine)

    def _learn_others(self, seconds: float) -> dict[str, Engine]:
        """Open and measure what is not known yet and may be worth it for work of so many seconds."""
        opened, loads = {}, {}
        for name in self._names:
            if name in self._speeds or LOADING[name] > LOADING_SHARE * seconds:
                continue
            began = time.perf_counter()
            engine = self._open(name)
            if engine is not None:
                opened[name], loads[name] = engine, time.perf_counter() - began
        if opened:
            self._learn({self.name: self._engine, **opened}, loads)
        return opened

    def _learn(self, engines: Mapping[str, Engine], loads: Mapping[str, float]) -> None:
        """Measure engines beside the one in use: their speeds are in proportion to what is known of that one."""
        found = measure(self._bundle, engines)
        known = self._speeds.get(self.name)
        scale = 1.0 if known is None else known.pixel / found[self.name]
        new = {name: Speed(loads.get(name, 0.0), scale * found[name]) for name in engines if name not in self._speeds}
        self._speeds = {**self._speeds, **new}
        remember(MEMORY, self._key, {name: astuple(speed) for name, speed in self._speeds.items()})


def fastest(speeds: Mapping[str, Speed], opened: Collection[str], pixels: int) -> str:
    """The engine that is done first with so many pixels, when some are open already."""

    def seconds(name: str) -> float:
        load = 0.0 if name in opened else max(speeds[name].load, LOADING[name])
        return load + pixels * speeds[name].pixel

    return min(speeds, key=seconds)


def measure(bundle: Bundle, engines: Mapping[str, Engine]) -> dict[str, float]:
    """Seconds that each engine takes for a pixel of a small image, the best of some runs."""
    batch, sigma = small_work(bundle, SIDE)
    seconds = dict.fromkeys(engines, math.inf)
    for _ in range(TURNS):
        for name, engine in engines.items():
            engine.run(batch, sigma)
            began = time.perf_counter()
            engine.run(batch, sigma)
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return {name: each / batch[:, 0].size for name, each in seconds.items()}


def small_work(bundle: Bundle, side: int) -> tuple[Array, Array | None]:
    """A batch of one noisy image, about as large as said, and its noise level."""
    spec = bundle.spec
    side = round_up(max(side, spec.minimum_size), spec.multiple_of)
    image = np.random.default_rng(0).uniform(0, 1, (1, spec.channels, side, side)).astype(np.float32)
    return image, np.full((1, 1, 1, 1), 0.1, np.float32) if spec.conditioning == "sigma" else None


def recalled(key: str) -> dict[str, Speed]:
    """The speeds that were measured before."""
    try:
        return {name: Speed(float(load), float(pixel)) for name, (load, pixel) in recall(MEMORY).get(key, {}).items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def model_key(bundle: Bundle, precision: Precision, device: str, threads: int | None, names: Iterable[str]) -> str:
    """What speeds depend on: the model's content, the precision, the machine and the versions of the engines."""
    digest = hashlib.sha256((bundle.path / CONFIG).read_bytes()).hexdigest()[:16]
    origins = [(name, importlib.util.find_spec(name)) for name in names]
    installed = [f"{name} {changed(spec.origin)}" for name, spec in origins if spec is not None]
    return " | ".join([digest, precision, device, processor_name(), f"{used_threads(threads)} threads", *installed])
