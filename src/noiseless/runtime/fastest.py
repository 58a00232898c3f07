"""Which engine is the fastest for a model on this machine: measured when there is enough work to pay for it.

An engine that is chosen automatically begins as the one that is ready soonest. When so much work lies ahead that the
measurement is a small part of it, all that are installed run a small image; what they took is kept in a file of the
user's cache, by the model's content and the machine, and the next process knows it. A faster engine is taken once it
gains more than it takes to load.
"""

from __future__ import annotations

import hashlib
import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseless.bundle import CONFIG, Bundle
from noiseless.runtime import Array, Engine, Precision
from noiseless.runtime.machine import processor_name, processors
from noiseless.runtime.remembered import recall, remember
from noiseless.tiling import round_up

SIDE, REPEATS = 256, 3
"""Of the image that engines are measured with, and how often each runs it; the fastest run counts."""

PROBE_SIDE = 64
WORTH_MEASURING: dict[Precision, float] = {"exact": 60.0, "fast": 60.0, "int8": 6.0}
"""Seconds of work from which on a measurement pays; it takes 5 to 10, and 0.5 without torch, which has no int8."""

WORTH_A_PROBE = 1 << 20
"""Pixels from which on it pays to find out how long the work takes."""

MEMORY = "engines.json"

Open = Callable[[str], Engine]
"""Opens an engine by its name."""


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
    """The engine that is ready soonest, until a faster one pays; see `noiseless.runtime.Engine`.

    Args:
        first: what to begin with.
        bundle: the model.
        offered: the engines there are for its precision; asked when they are measured, since that loads them.
        open_named: opens one of them.
        key: what the speeds are remembered by, see `model_key`.
    """

    def __init__(
        self, first: Engine, bundle: Bundle, offered: Callable[[], list[str]], open_named: Open, key: str
    ) -> None:
        self._bundle, self._offered, self._open, self._key = bundle, offered, open_named, key
        self._seconds, self._pixels = 0.0, 0
        self._speeds: dict[str, Speed] | None = None
        self.note = first.note
        self._adopt(first)

    def _adopt(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.precision = engine.name, engine.precision
        self.bytes_per_pixel, self.fixed_bytes = engine.bytes_per_pixel, engine.fixed_bytes

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore a batch (B, C, H, W); see `noiseless.runtime.Engine.run`."""
        began = time.perf_counter()
        restored = self._engine.run(batch, sigma)
        self._seconds += time.perf_counter() - began
        self._pixels += batch[:, 0].size
        return restored

    def release(self) -> None:
        """Give back memory; see `noiseless.runtime.Engine.release`."""
        self._engine.release()

    def prepare(self, pixels: int) -> None:
        """Take the engine that is done first with so many pixels, after a measurement where that pays."""
        if not self._pixels and pixels >= WORTH_A_PROBE:
            self.run(*small_work(self._bundle, PROBE_SIDE))
        if not self._pixels:
            return
        work = pixels + self._pixels  # as much as was done is likely to come again
        self._speeds = self._speeds or recalled(self._key)
        if self._speeds is None and work * self._seconds / self._pixels >= WORTH_MEASURING[self.precision]:
            self._speeds = measure(self._bundle, self._offered(), self._open)
            plain = {name: [speed.load, speed.pixel] for name, speed in self._speeds.items()}
            remember(MEMORY, self._key, plain)
        if self._speeds is not None and self.name in self._speeds:
            best = fastest(self._speeds, self.name, work)
            if best != self.name:
                self._engine.release()
                self._adopt(self._open(best))


def fastest(speeds: Mapping[str, Speed], loaded: str, pixels: int) -> str:
    """The engine that is done first with so many pixels, when one is loaded already."""
    return min(speeds, key=lambda name: pixels * speeds[name].pixel + (speeds[name].load if name != loaded else 0))


def measure(bundle: Bundle, names: Iterable[str], open_named: Open) -> dict[str, Speed]:
    """What each engine takes to load, and for each pixel of a small image."""
    speeds = {}
    batch, sigma = small_work(bundle, SIDE)
    for name in names:
        began = time.perf_counter()
        engine = open_named(name)
        engine.run(batch, sigma)
        load = time.perf_counter() - began
        runs = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            engine.run(batch, sigma)
            runs.append(time.perf_counter() - began)
        engine.release()
        speeds[name] = Speed(max(0.0, load - min(runs)), min(runs) / batch[:, 0].size)
    return speeds


def small_work(bundle: Bundle, side: int) -> tuple[Array, Array | None]:
    """A batch of one noisy image, about as large as said, and its noise level."""
    spec = bundle.spec
    side = round_up(max(side, spec.minimum_size), spec.multiple_of)
    image = np.random.default_rng(0).uniform(0, 1, (1, spec.channels, side, side)).astype(np.float32)
    return image, np.full((1, 1, 1, 1), 0.1, np.float32) if spec.conditioning == "sigma" else None


def recalled(key: str) -> dict[str, Speed] | None:
    """The speeds that were measured before, if they were."""
    found = recall(MEMORY).get(key)
    try:
        return {name: Speed(float(load), float(pixel)) for name, (load, pixel) in found.items()} if found else None
    except (AttributeError, TypeError, ValueError):
        return None


def model_key(bundle: Bundle, precision: Precision, device: str, threads: int | None, names: Iterable[str]) -> str:
    """What speeds depend on: the model's content, the precision, the machine and the versions of the engines."""
    digest = hashlib.sha256((bundle.path / CONFIG).read_bytes()).hexdigest()[:16]
    origins = [(name, importlib.util.find_spec(name)) for name in names]
    installed = [f"{name} {_changed(spec.origin)}" for name, spec in origins if spec is not None]
    return " | ".join([digest, precision, device, processor_name(), f"{threads or processors()} threads", *installed])


def _changed(origin: str | None) -> int:
    """When a package was installed, which stands for its version and is known without importing it."""
    path = Path(origin or "")
    return int(path.stat().st_mtime) if path.is_file() else 0
