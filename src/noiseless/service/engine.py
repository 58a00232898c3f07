"""One engine for all requests: a thread that computes, small images together, large ones by turns with them.

An image that waits here is decoded, so few may wait; `noiseless.service.pipeline` sees to that. While a large image is
computed, small ones have their turn between its tiles; while a film is, all images have.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.denoiser import Denoiser, choose_model
from noiseless.errors import Cancelled, NoiselessError, WorkError
from noiseless.image import Image
from noiseless.inference import with_four_axes
from noiseless.service.models import Models
from noiseless.service.options import Options

Array = npt.NDArray[np.float32]

SMALL = 1 << 19
"""Pixels of an image, at most, that has its turn between the tiles of a larger one."""

TOGETHER = 1 << 17
"""Pixels of the small images that are computed together, at most: more gains nothing, and has others wait longer."""


class TooLongError(WorkError):
    """An image took longer to compute than the service allows."""


@dataclass(frozen=True)
class Restored:
    """What the engine made of an image.

    Attributes:
        planes: (N, C, H, W) float32 in [0, 1] units, not clipped; the input's where the strength is 0.
        denoiser: the model that was used.
        sigma: the noise level it was told, broadcastable to the planes; ``None`` for a blind model.
        seconds: of computing, shared by images that were computed together.
    """

    planes: Array
    denoiser: Denoiser
    sigma: Array | None
    seconds: float


@dataclass(eq=False)
class Work:
    """An image that shall be denoised.

    Attributes:
        image: what.
        options: how.
        progress: told the share that is done.
        cancelled: set by whoever does not want it any more.
        future: becomes the result.
    """

    image: Image
    options: Options
    progress: Callable[[float], None] = lambda share: None
    cancelled: threading.Event = field(default_factory=threading.Event)
    future: Future[Restored] = field(default_factory=Future)

    @property
    def pixels(self) -> int:
        """Of all planes together."""
        return self.image.count * self.image.height * self.image.width

    @functools.cached_property
    def kind(self) -> tuple[object, ...]:
        """Images of one kind can be computed together."""
        image, options = self.image, self.options
        return options, image.channels, image.height, image.width, self.model

    @functools.cached_property
    def model(self) -> str:
        """Name of the model."""
        if self.options.model != "auto":
            return self.options.model
        return choose_model(self.image, told=self.options.told, whole=True)[0]


@dataclass(eq=False)
class Long:
    """Work of many steps, such as a film.

    Attributes:
        run: does it with the models, asking between two steps whether to stop; gives the result.
        cancelled: as of `Work`.
        future: as of `Work`.
    """

    run: Callable[[Models, Callable[[], bool]], dict[str, Any]]
    cancelled: threading.Event = field(default_factory=threading.Event)
    future: Future[dict[str, Any]] = field(default_factory=Future)


class Engine:
    """Computes what `submit` is given, in a thread of its own.

    Args:
        models: to choose from.
        time_limit: seconds that one image may take.
    """

    def __init__(self, models: Models, time_limit: float) -> None:
        self._models, self._time_limit = models, time_limit
        self._small: deque[Work] = deque()
        self._large: deque[Work] = deque()
        self._long: deque[Long] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> Future[Restored]:
        """Compute an image when it is its turn.

        Returns:
            Its result; or an error: `Cancelled`, or what a `Denoiser` raises.
        """
        with self._changed:
            (self._small if work.pixels <= SMALL else self._large).append(work)
            self._changed.notify()
        return work.future

    def submit_long(self, work: Long) -> Future[dict[str, Any]]:
        """Do something long when nothing else is to be done, as `submit`."""
        with self._changed:
            self._long.append(work)
            self._changed.notify()
        return work.future

    @property
    def is_alive(self) -> bool:
        """Whether the thread computes."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop at the next tile; what waits is cancelled."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._small or self._large or self._long or self._stopping)
                if self._stopping:
                    break
            group = self._group()
            if group:
                self._compute(group)
            else:
                self._run(self._long.popleft())
        left: list[Work | Long] = [*self._small, *self._large, *self._long]
        for work in left:
            _settle(work, Cancelled("the service stops"))

    def _group(self) -> list[Work]:
        """What is computed next: a large image, or small ones."""
        with self._changed:
            if self._large:
                return [self._large.popleft()]
        return self._small_group()

    def _small_group(self) -> list[Work]:
        """The small image that waits longest, with others of its kind."""
        with self._changed:
            if not self._small:
                return []
            most = max(1, TOGETHER // self._small[0].pixels)
            kind = self._small[0].kind
            group = [work for work in self._small if work.kind == kind][:most]
            self._small = deque(work for work in self._small if work not in group)
        return group

    def _compute(self, group: list[Work]) -> None:
        group = [work for work in group if work.future.set_running_or_notify_cancel()]
        for work in [work for work in group if work.cancelled.is_set()]:
            _settle(work, Cancelled("nobody waits for this image any more"))
        group = [work for work in group if not work.cancelled.is_set()]
        if not group:
            return
        try:
            results = self._results(group)
        except NoiselessError as error:
            results = [error] * len(group)
        except Exception as error:  # the engine serves everybody: one image must not end it
            results = [WorkError("the engine failed", got=f"{type(error).__name__}: {error}")] * len(group)
        for work, result in zip(group, results, strict=True):
            _settle(work, result)

    def _run(self, work: Long) -> None:
        """Do something long; images have their turn between its steps, and their time is not counted."""
        if not work.future.set_running_or_notify_cancel():
            return
        others = self._others(self._group)

        def cancel() -> bool:
            others()
            return self._stopping or work.cancelled.is_set()

        try:
            if cancel():
                raise Cancelled("nobody waits for this film any more")
            _settle(work, work.run(self._models, cancel))
        except NoiselessError as error:
            _settle(work, error)
        except Exception as error:  # the engine serves everybody: one film must not end it
            _settle(work, WorkError("the engine failed", got=f"{type(error).__name__}: {error}"))

    def _results(self, group: list[Work]) -> list[Restored | NoiselessError]:
        first, started = group[0], time.monotonic()
        denoiser = self._models.get(first.model, first.options.precision)
        noise = first.options.noise_model()
        planes = [work.image.planes() for work in group]
        if not first.options.strength:
            return [Restored(each, denoiser, None, 0.0) for each in planes]
        levels = [denoiser.sigma(each, noise) for each in planes]
        together = planes[0] if len(planes) == 1 else np.concatenate(planes)
        restored = denoiser.planes(
            together,
            _together(levels, planes),
            strength=first.options.strength,
            progress=lambda share: self._report(group, share),
            cancel=self._cancel(group),
        )
        seconds = (time.monotonic() - started) / len(group)
        parts = np.split(restored, np.cumsum([len(each) for each in planes])[:-1])
        return [Restored(part, denoiser, level, seconds) for part, level in zip(parts, levels, strict=True)]

    def _report(self, group: list[Work], share: float) -> None:
        for work in group:
            work.progress(share)

    def _cancel(self, group: list[Work]) -> Callable[[], bool]:
        """What is asked between tiles: whether to stop. Small images have their turn meanwhile."""
        others = self._others(self._small_group if group[0].pixels > SMALL else list)

        def cancel() -> bool:
            others()
            return self._stopping or all(work.cancelled.is_set() for work in group)

        return cancel

    def _others(self, next_group: Callable[[], list[Work]]) -> Callable[[], None]:
        """What is done between two steps of long work: images have their turn, whose time is not counted.

        Raises:
            TooLongError: the work has taken as long as it may.
        """
        deadline = time.monotonic() + self._time_limit

        def others() -> None:
            nonlocal deadline
            begun = time.monotonic()
            if begun > deadline:
                raise TooLongError("computing this took too long", expected=f"at most {self._time_limit:g} seconds")
            if not self._stopping:
                self._compute(next_group())
            deadline += time.monotonic() - begun

        return others


def _together(levels: list[Array | None], planes: list[Array]) -> Array | None:
    """The noise levels of several images as one: maps where any is a map; ``None`` for a blind model."""
    found = [level for level in levels if level is not None]
    if len(found) < 2:
        return found[0] if found else None
    found = [with_four_axes(level) for level in found]
    size = max(level.shape[2:] for level in found)
    full = [np.broadcast_to(level, (*each.shape[:2], *size)) for level, each in zip(found, planes, strict=True)]
    return np.concatenate(full)


def _settle(work: Work | Long, result: Restored | dict[str, Any] | NoiselessError) -> None:
    future: Future[Any] = work.future
    try:
        if isinstance(result, NoiselessError):
            future.set_exception(result)
        else:
            future.set_result(result)
    except InvalidStateError:  # cancelled in the meantime
        return
