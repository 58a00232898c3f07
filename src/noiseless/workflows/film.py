"""Denoising a film: a few frames at a time, whatever its length."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from noiseless.errors import Cancelled
from noiseless.image import Image
from noiseless.unclipping import unclip
from noiseless.workflows.maps import Mask, SigmaMap
from noiseless.workflows.task import Cancel, Progress, Task

if TYPE_CHECKING:
    from noiseless.denoiser import Denoiser

Array = npt.NDArray[np.float32]

STEADY = 0.9
"""Share of the noise level of the frames before that is kept, so that the level told does not jump."""


@dataclass(frozen=True)
class View:
    """A frame and those around it.

    Attributes:
        frames: (C, H, W) each, in [0, 1] units.
        index: of the frame in hand.
        share: of the film that it ends, 0 to 1.
    """

    frames: tuple[Array, ...]
    index: int
    share: float


def picture_of(frame: Array, bits: int) -> Image:
    """A frame as an image of the depth that the film has."""
    white = 2**bits - 1
    stored = np.rint(np.moveaxis(frame, 0, -1).clip(0, 1) * white).astype(np.uint8 if bits == 8 else np.uint16)
    shown = stored if stored.shape[-1] == 3 else stored[..., 0]
    return Image(shown, "YXC" if shown.ndim == 3 else "YX", (0.0, float(white)), bits=bits)


def views(pictures: Iterator[tuple[Array, float]], reach: int) -> Iterator[View]:
    """Each frame with up to `reach` frames before and after it."""
    held: deque[tuple[Array, float]] = deque()
    index = 0
    for picture in pictures:
        held.append(picture)
        if len(held) > index + reach:
            yield View(tuple(frame for frame, _ in held), index, held[index][1])
            index = _next(held, index, reach)
    while index < len(held):
        yield View(tuple(frame for frame, _ in held), index, held[index][1])
        index = _next(held, index, reach)


def _next(held: deque[tuple[Array, float]], index: int, reach: int) -> int:
    """Go on to the next frame: past the first ones, the oldest is given up for it."""
    if index < reach:
        return index + 1
    held.popleft()
    return index


class FilmWork:
    """Denoises the frames of one film.

    Args:
        model: with which.
        task: noise, strength, masks and how many neighbours to look at.
        size: height and width.
        stack: closes the masks.
    """

    def __init__(self, model: Denoiser, task: Task, size: tuple[int, int], stack: contextlib.ExitStack) -> None:
        self._model, self._task = model, task
        one, rows, columns = (1, *size), slice(0, size[0]), slice(0, size[1])
        self._strength: npt.ArrayLike = task.strength
        if task.mask is not None:
            self._strength = task.strength * Mask(task.mask, one, stack, task.feather).strength(0, rows, columns)
        self._told = None if task.sigma_map is None else SigmaMap(task.sigma_map, one, stack).part(0, rows, columns)
        self._estimated: Array | None = None
        self._noisy: deque[Array] = deque()
        self._level = 0.0

    @property
    def level(self) -> Array | None:
        """The noise level of each channel that was estimated; ``None`` where it was told, or the model is blind."""
        return self._estimated if self._model.takes_sigma else None

    def frame(self, view: View, cancel: Cancel) -> Array:
        """A frame, denoised, at full strength."""
        frame = view.frames[view.index]
        self._noisy.append(frame)
        if not self._task.strength:
            return frame
        alone = len(view.frames) == 1
        sigma = self._sigma(frame, needed=not alone)
        if alone:
            by_itself: Array = self._model.planes(frame[np.newaxis], sigma, cancel=cancel)[0]
            return by_itself
        from noiseless.workflows.temporal import average  # brings scipy

        level = self._estimated if self._estimated is not None else np.asarray(sigma).mean((0, 2, 3))
        self._level = float(np.mean(level))
        averaged, left = average(view.frames, view.index, level)
        told = None if sigma is None else np.ascontiguousarray(sigma * left)
        restored = _as_it_is(self._model).planes(averaged[np.newaxis], told, cancel=cancel)
        if sigma is not None and not self._model.bundle.unclips:
            unclip(frame[np.newaxis], restored, sigma)
        result: Array = restored[0]
        return result

    def steady(self, view: View) -> Array:
        """A denoised frame, steadied by those around it, at the strength wanted."""
        restored, noisy = view.frames[view.index], self._noisy.popleft()
        if len(view.frames) > 1:
            from noiseless.workflows.temporal import steady

            restored = steady(view.frames, view.index, self._level)
        blended: Array = noisy + np.asarray(self._strength, np.float32) * (restored - noisy)
        return blended

    def _sigma(self, frame: Array, *, needed: bool) -> Array | None:
        """What the network is told, (1, C, H or 1, W or 1)."""
        planes = frame[np.newaxis]
        noise = self._task.noise if self._told is None else self._told
        if not isinstance(noise, str) or noise != "auto" or self._model.bundle.told is not None:
            self._estimated = self._estimate(planes) if needed and not self._model.takes_sigma else None
            return self._model.sigma(planes, noise)
        if not (self._model.takes_sigma or needed):
            return None
        self._estimated = self._estimate(planes)
        return self._estimated.reshape(1, -1, 1, 1) if self._model.takes_sigma else None

    def _estimate(self, planes: Array) -> Array:
        from noiseless.calibration.level import estimate_sigma

        if planes.shape[1] > 1:  # colours are stored for every other pixel, so that their noise is not white
            planes = planes[..., ::2, ::2]
        now = estimate_sigma(planes)[0, :, 0, 0]
        before = self._estimated
        return now if before is None else (STEADY * before + (1 - STEADY) * now).astype(np.float32)


def _as_it_is(model: Denoiser) -> Denoiser:
    """The model, clipping left to others: an average of frames does not show which pixels were clipped."""
    from noiseless.denoiser import Denoiser

    return Denoiser(replace(model.bundle, unclips=True), model.engine, model.controls)


def denoise_frames(
    pictures: Iterator[tuple[Array, float]], work: FilmWork, reach: int, progress: Progress, cancel: Cancel
) -> Iterator[Array]:
    """The frames of a film, denoised.

    Raises:
        Cancelled: `cancel` said so.
    """

    def denoised() -> Iterator[tuple[Array, float]]:
        for view in views(pictures, reach):
            if cancel():
                raise Cancelled("stopped before the film was done")
            yield work.frame(view, cancel), view.share

    for view in views(denoised(), reach):
        yield work.steady(view)
        progress(view.share)
