"""The restorer: one image after another with the model that suits each, at once or in windows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from noiseless.errors import ConfigError, ImageError
from noiseless.image import Image
from noiseless.inference import by_channel
from noiseless.io import denoised_mark, with_denoised_mark
from noiseless.io.rows import Rows
from noiseless.io.video import rewriting
from noiseless.runtime.machine import free_large_blocks_at_once
from noiseless.workflows import sampling, windows
from noiseless.workflows.film import FilmWork, denoise_frames, picture_of
from noiseless.workflows.maps import Mask, SigmaMap
from noiseless.workflows.task import Cancel, Progress, Say, Task

if TYPE_CHECKING:
    from noiseless.calibration.telling import Told
    from noiseless.denoiser import Denoiser, NoiseLevel

LOOKED_AT = 128
"""Rows from the middle of an image on the disk by which its model is chosen."""

LARGE_BYTES = 16 << 20
"""An image whose planes take more bytes than this is denoised in windows."""


class Restorer:
    """Denoises one image after another, loading each model once and saying things once.

    Args:
        task: what to do.
        say: told a line where there is something to know.
        alone: there is one image only: its noise is measured while the model loads.
        models: gives a model by its name, instead of `noiseless.load`.
    """

    def __init__(
        self, task: Task, say: Say, *, alone: bool = False, models: Callable[[str], Denoiser] | None = None
    ) -> None:
        self._task, self._say, self._alone, self._models = task, say, alone, models
        self._denoisers: dict[str, Denoiser] = {}
        self._said: set[str] = set()
        if task.adapter is not None or task.model != "auto":
            self._load(task.model)

    def level_of(self, image: Image) -> npt.NDArray[np.float32] | None:
        """What the network will be told of the noise of an image; for another thread, while another is denoised.

        Returns:
            The level; ``None`` where none is measured, or where that is not yet known or needs much memory.
        """
        from noiseless.denoiser import choose_model

        task = self._task
        if self._told or not task.strength or _is_large(image):
            return None
        name = task.model if task.model in self._denoisers else choose_model(image, whole=True)[0]
        model = self._denoisers.get(name)
        if model is None or model.bundle.told is not None or model.controls.max_memory is not None:
            return None
        return model.sigma(image.planes())

    def __call__(
        self,
        image: Image,
        name: str,
        progress: Progress,
        cancel: Cancel,
        level: npt.NDArray[np.float32] | None = None,
    ) -> tuple[Image, dict[str, Any]]:
        """The image, denoised and marked, and what was done: model, precision, sigma.

        Args:
            image: to denoise.
            name: what to call it.
            progress: told the share that is done.
            cancel: asked whether to stop.
            level: from `level_of`, where it was asked before.

        Raises:
            NoiselessError: the image, its mask or its noise level does not fit.
        """
        model = self._model_for(image, name, whole=True)
        if not self._task.strength:
            return image, self._facts(model, None)
        if _is_large(image) and model.spec.halo is not None:
            done, sigma = self._in_windows(image, model, progress, cancel)
        else:
            done, sigma = self._at_once(image, model, progress, cancel, level)
        return with_denoised_mark(done, model.name, self._task.strength), self._facts(model, sigma)

    def stream(self, rows: Rows, name: str, target: Path, progress: Progress, cancel: Cancel) -> dict[str, Any] | None:
        """Denoise an image on the disk into another, neither of which has to fit into memory; as `__call__`.

        Returns:
            What was done; ``None``, before anything is done, where the model must see the whole image.
        """
        task, top = self._task, max(0, rows.height - LOOKED_AT) // 2
        model = self._model_for(rows.image(rows.rows(0, top, min(top + LOOKED_AT, rows.height))), name)
        if model.spec.halo is None:
            return None
        estimate = model.takes_sigma and model.bundle.told is None and not self._told and task.strength > 0
        first, found = sampling.survey(rows, _measured if estimate else None, cancel)
        marked = with_denoised_mark(first, model.name, task.strength) if task.strength else first
        free_large_blocks_at_once()
        with contextlib.ExitStack() as stack:
            source = windows.Streamed(rows, target.parent)
            stack.callback(source.close)
            work = self._work(model, source, [told for told, _ in found], stack, progress, cancel)
            sink = stack.enter_context(windows.Written(target, rows, marked))
            windows.denoise_windows(source, sink, work, first.channels)
        levels = [level for _, level in found]
        varies = self._varies or model.bundle.told is not None
        sigma = np.stack(levels) if levels else None
        if task.strength and not levels and not varies:
            sigma = model.sigma(first.planes(), task.noise)
        return self._facts(model, sigma)

    def film(self, source: Path, target: Path, progress: Progress, cancel: Cancel) -> dict[str, Any]:
        """Denoise a film into another; as `__call__`.

        Raises:
            ConfigError: a data range was given.
            NoiselessError: no film, or the target cannot be written.
        """
        task = self._task
        if task.data_range is not None:
            raise no_range_for_films(task.data_range)
        with rewriting(source, target) as film, contextlib.ExitStack() as stack:
            if film.note:
                self._say(film.note)
            pictures = film.pictures()
            first = next(pictures, None)
            if first is None:
                raise ImageError(f"{source} holds no pictures", got="no frame that can be read")
            image = picture_of(first[0], film.bits)
            model = self._model_for(image, str(source))
            work = FilmWork(model, task, (image.height, image.width), stack)
            reach = task.temporal if task.strength else 0
            for restored in denoise_frames(chain([first], pictures), work, reach, progress, cancel):
                film.put(restored)
        level = None if work.level is None else work.level.reshape(-1, 1, 1)
        return self._facts(model, level)

    def _at_once(
        self,
        image: Image,
        model: Denoiser,
        progress: Progress,
        cancel: Cancel,
        level: npt.NDArray[np.float32] | None,
    ) -> tuple[Image, npt.NDArray[np.float32] | None]:
        task, planes, size = self._task, image.planes(), (image.count, image.height, image.width)
        noise: NoiseLevel = task.noise
        strength: npt.ArrayLike = task.strength
        with contextlib.ExitStack() as stack:
            if task.sigma_map is not None:
                noise = SigmaMap(task.sigma_map, size, stack).whole()
            if task.mask is not None:
                strength = task.strength * Mask(task.mask, size, stack, task.feather).whole()
        sigma = model.sigma(planes, noise) if level is None else level
        restored = model.planes(planes, sigma, strength=strength, progress=progress, cancel=cancel)
        return image.with_planes(restored), sigma

    def _in_windows(
        self, image: Image, model: Denoiser, progress: Progress, cancel: Cancel
    ) -> tuple[Image, npt.NDArray[np.float32] | None]:
        found = []
        if model.takes_sigma and model.bundle.told is None and not self._told:
            found = [_measured(sampling.sample_of(image, page)) for page in range(image.count)]
        sink = windows.Collected(image)
        with contextlib.ExitStack() as stack:
            source = windows.InMemory(image)
            work = self._work(model, source, [told for told, _ in found], stack, progress, cancel)
            windows.denoise_windows(source, sink, work, image.channels)
        return sink.image, np.stack([level for _, level in found]) if found else None

    def _work(
        self,
        model: Denoiser,
        source: windows.Source,
        found: list[Told],
        stack: contextlib.ExitStack,
        progress: Progress,
        cancel: Cancel,
    ) -> windows.Work:
        """What is done with each window, with the maps that the task names."""
        task, size = self._task, (source.pages, source.height, source.width)
        mask = None if task.mask is None else Mask(task.mask, size, stack, task.feather)
        told = None if task.sigma_map is None else SigmaMap(task.sigma_map, size, stack)

        def level(page: int, rows: slice, columns: slice, planes: npt.NDArray[np.float32]) -> Any:
            if not task.strength:
                return None  # nothing is taken away
            if found:
                return found[page](planes[0])[np.newaxis]
            return model.sigma(planes, task.noise if told is None else told.part(page, rows, columns))

        def strength(page: int, rows: slice, columns: slice) -> Any:
            return task.strength if mask is None else task.strength * mask.strength(page, rows, columns)

        beside = sum(map_.row_bytes for map_ in (mask, told) if map_ is not None)
        varies = self._varies or model.bundle.told is not None or any(each.level is None for each in found)
        return windows.Work(model, level, strength, varies, beside, progress, cancel)

    @property
    def _varies(self) -> bool:
        """Whether the level told may be another for each pixel."""
        return self._task.sigma_map is not None or getattr(self._task.noise, "name", "auto") not in ("auto", "gaussian")

    @property
    def _told(self) -> bool:
        return self._task.noise != "auto" or self._task.sigma_map is not None

    def _model_for(self, image: Image, name: str, *, whole: bool = False) -> Denoiser:
        for note in image.metadata.get("notes", ()):
            self._say(f"{name}: {note}")
        before = denoised_mark(image)
        if before is not None:
            self._say(f"{name} was denoised before ({before}); doing it again takes more detail away")
        if self._task.model in self._denoisers:  # named, or adapted
            return self._denoisers[self._task.model]
        from noiseless.denoiser import choose_model

        chosen, reason = choose_model(image, told=self._told, whole=whole)
        self._say_once(f"model {chosen}: {reason}")
        return self._denoisers.get(chosen) or self._load(chosen)

    def _load(self, name: str) -> Denoiser:
        model = self._denoisers[name] = self._open(name)
        if self._told and not model.takes_sigma:
            self._say_once(f"{model.name} finds the noise level itself; the one given is not used")
        return model

    def _open(self, name: str) -> Denoiser:
        task = self._task
        if self._models is not None:
            return self._models(name)
        if task.adapter is None:
            from noiseless.denoiser import load

            return load(name, wait=not self._alone, **task.options)
        from noiseless.finetuning import load_adapter

        base = None if name == "auto" else name
        return load_adapter(task.adapter, base, strength=task.adapter_strength, **task.options)

    def _facts(self, model: Denoiser, sigma: npt.NDArray[np.float32] | None) -> dict[str, Any]:
        if model.engine.note:
            self._say_once(model.engine.note)
        level = None if sigma is None else by_channel(sigma)
        return {"model": model.name, "precision": model.engine.precision, "sigma": level}

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def no_range_for_films(data_range: object) -> ConfigError:
    """A film says itself which values are black and white."""
    return ConfigError(
        "data_range is for images",
        got=f"{data_range} for a film",
        fix="Leave it out: a film says what is black and white.",
    )


def _is_large(image: Image) -> bool:
    return 4 * image.channels * image.height * image.width > LARGE_BYTES


def _measured(image: Image) -> tuple[Told, npt.NDArray[np.float32]]:
    """What a network is told of the noise of an image of one plane, and its mean in each channel, (C, 1, 1)."""
    from noiseless.calibration.telling import measure

    plane = image.planes()[0]
    told = measure(plane)
    return told, told(plane).mean((1, 2), keepdims=True)
