"""`evaluate`: models side by side on the same noisy images."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

import numpy as np

from noiseless import metrics as metric_table
from noiseless.baselines import BASELINES
from noiseless.baselines import load as load_baseline
from noiseless.data.sources import CleanImages, Item, Pairs, Source
from noiseless.data.split import group_of
from noiseless.data.store import as_unit_float
from noiseless.denoiser import load
from noiseless.errors import ConfigError, DataError
from noiseless.evaluation.report import ImageScore, ModelResult, Protocol, Report
from noiseless.noise import Noise, parse

DEFAULT_METRICS = ("psnr", "ssim")


class Model(TypingProtocol):
    """A `Denoiser`, or anything with its name and call."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def __call__(
        self, array: Any, *, noise: Any = "auto", channel_axis: int | None = None, data_range: Any = None
    ) -> Any:
        """Denoise an array; see `noiseless.Denoiser`."""
        ...


@dataclass(frozen=True)
class Scene:
    """One image to measure on.

    Attributes:
        name: of the image.
        noisy: what the models are given: float32 in [0, 1] units or, quantised, uint8; (C, H, W).
        clean: the reference, float32 (C, H, W) in [0, 1] units.
        noise: the noise model that was added, its ranges drawn; ``None`` for real pairs.
        group: of the image, where a pattern names one.
    """

    name: str
    noisy: np.ndarray
    clean: np.ndarray
    noise: Noise | None
    group: str | None


Watch = Callable[[str, Scene, np.ndarray, ImageScore], None]
"""Told each model's name, the scene, the restored image (C, H, W) and its score."""


def evaluate(
    models: Sequence[str | Path | Model] | str | Path | Model,
    source: Source | None = None,
    *,
    clean: str | Path | Sequence[str | Path] | None = None,
    pairs: tuple[str | Path, str | Path] | None = None,
    noise: Noise | str | None = None,
    told: str = "noise model",
    metrics: Sequence[str] = DEFAULT_METRICS,
    seed: int = 0,
    border: int = 0,
    group: str | None = None,
    limit: int | None = None,
    quantise: bool | None = None,
    watch: Watch | None = None,
) -> Report:
    """Measure models on clean images with synthetic noise, or on pairs.

    Args:
        models: names or paths for `noiseless.load`, names of baselines, or denoisers.
        source: what to measure on; or else one of the next two.
        clean: folders, files or globs of clean images; needs `noise`.
        pairs: noisy and clean sides, paired by name.
        noise: the noise model to add, or its text; ranges are drawn for each image. For pairs: what the models are
            told.
        told: what conditioned models are told: ``"noise model"`` (the truth), ``"auto"``, or a noise expression.
        metrics: names of `noiseless.metrics.METRICS`; the first leads the tables.
        seed: of the noise; that of an image follows from it and the image's content, not from its place in a list.
        border: pixels left out on each side of the metrics.
        group: a regular expression whose first group names the group of an image by its name.
        limit: measure on the first images only, as many as this.
        quantise: 8-bit input and output. Without it: for 8-bit pairs, whose noisy side has been quantised anyway.
        watch: told each result; for pictures and progress.

    Raises:
        ConfigError: no images named, or two kinds; clean images without noise.
        DataError: no image, or sides of a pair that differ in size.
    """
    chosen = [_resolved(model) for model in _listed(models)]
    source, truth = _source(source, clean, pairs, noise)
    functions = {name: metric_table.find(name) for name in metrics}
    items = source.items[:limit]
    quantised = _is_8_bit(source, items) if quantise is None else quantise
    scores: dict[str, list[ImageScore]] = {model.name: [] for model in chosen}
    if len(scores) < len(chosen):
        raise ConfigError("two models have the same name", got=", ".join(model.name for model in chosen))
    digest = hashlib.sha256()
    for scene in scenes(source, truth, items=items, seed=seed, group=group, quantise=quantised):
        digest.update(np.ascontiguousarray(scene.clean).data)
        digest.update(scene.noisy.tobytes() if truth is None or isinstance(source, Pairs) else b"")
        for model in chosen:
            restored, score = measure(model, scene, functions, told=_told(scene, told, truth), border=border)
            scores[model.name].append(score)
            if watch is not None:
                watch(model.name, scene, restored, score)
    synthetic = isinstance(source, CleanImages) and truth is not None
    protocol = Protocol(
        set=_set_name(items),
        content_hash=digest.hexdigest(),
        count=len(items),
        noise=truth.spec if synthetic and truth is not None else None,
        seed=seed,
        told=told if synthetic or truth is None else truth.spec,
        border=border,
        quantisation="8-bit" if quantised else "none",
    )
    if protocol.noise is None and protocol.told == "noise model":
        protocol = replace(protocol, told="auto")
    return Report(protocol, tuple(ModelResult(name, tuple(rows)) for name, rows in scores.items()), tuple(metrics))


def scenes(
    source: Source,
    noise: Noise | None,
    *,
    items: Sequence[Item] | None = None,
    seed: int = 0,
    group: str | None = None,
    quantise: bool = False,
) -> Iterator[Scene]:
    """The images of a source, one after another, with their noise.

    Args:
        source: clean images or pairs.
        noise: what is added to clean images.
        items: of the source; all where not given.
        seed: see `evaluate`.
        group: see `evaluate`.
        quantise: give the noisy image as uint8, rounded and clipped.

    Raises:
        DataError: sides of a pair that differ in size.
        ImageError: an image that cannot be read.
    """
    for item in source.items if items is None else items:
        views = [[as_unit_float(plane) for plane in view.read(source.data_range)] for view in item.views]
        named = group_of(item.name, group)
        for number, planes in enumerate(zip(*views, strict=True)):
            name = item.name if len(views[0]) == 1 else f"{item.name}[{number}]"
            noisy, clean, added = _sides(planes, noise, seed, name)
            yield Scene(name, to_uint8(noisy) if quantise else noisy, clean, added, named)


def _sides(
    planes: Sequence[np.ndarray], noise: Noise | None, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray, Noise | None]:
    if len(planes) == 2:
        noisy, clean = planes
        if noisy.shape != clean.shape:
            raise DataError(f"the sides of {name} differ", got=f"{noisy.shape} and {clean.shape}")
        return noisy, clean, None
    (clean,) = planes
    if noise is None:
        raise ConfigError("clean images need a noise model", fix="Add --noise, for example --noise gaussian:25.")
    content = hashlib.sha256(np.ascontiguousarray(clean).data).digest()
    generator = np.random.default_rng([seed, int.from_bytes(content[:8], "big")])
    drawn = noise.draw(generator)
    return drawn.sample(clean, generator), clean, drawn


def measure(
    model: Model,
    scene: Scene,
    functions: dict[str, Callable[..., float]],
    *,
    told: Noise | str = "auto",
    border: int = 0,
) -> tuple[np.ndarray, ImageScore]:
    """Run a model on a scene; the restored image, float32 (C, H, W) clipped to [0, 1], and its score."""
    began = time.perf_counter()
    restored = as_unit_float(np.asarray(_run(model, scene.noisy, told))).clip(0, 1)
    seconds = time.perf_counter() - began
    inner = (slice(None), *(slice(border, side - border) for side in scene.clean.shape[-2:]))
    values = {}
    for name, function in functions.items():
        large = min(restored[inner].shape[-2:]) >= metric_table.MINIMUM_SIZES.get(name, 1)
        values[name] = float(function(restored[inner], scene.clean[inner])) if large else math.nan
    return restored, ImageScore(scene.name, values, seconds, scene.group)


def _run(model: Model, noisy: np.ndarray, told: Noise | str) -> np.ndarray:
    data_range = None if noisy.dtype == np.uint8 else 1.0
    if len(noisy) == 1:
        return np.asarray(model(noisy[0], noise=told, data_range=data_range))[None]
    return np.asarray(model(noisy, noise=told, channel_axis=0, data_range=data_range))


def to_uint8(image: np.ndarray) -> np.ndarray:
    """[0, 1] units to 8 bit, clipped and rounded to the nearest."""
    return np.asarray(np.rint(image.clip(0, 1) * 255), np.uint8)


def _told(scene: Scene, told: str, truth: Noise | None) -> Noise | str:
    """What the models are told for a scene: the noise that was added, the noise named for pairs, or as `told` says."""
    if told != "noise model":
        return told
    return scene.noise or truth or "auto"


def _listed(models: Sequence[str | Path | Model] | str | Path | Model) -> Sequence[str | Path | Model]:
    return models if isinstance(models, Sequence) and not isinstance(models, str) else [models]


def _resolved(model: str | Path | Model) -> Model:
    if not isinstance(model, str | Path):
        return model
    if str(model) in BASELINES:
        baseline: Model = load_baseline(str(model))
        return baseline
    return _Named(load(model), str(model))


@dataclass(frozen=True)
class _Named:
    """A denoiser under the name that it was asked for: two runs may hold models of one name."""

    model: Model
    name: str

    def __call__(self, array: Any, **options: Any) -> Any:
        return self.model(array, **options)


def _source(
    source: Source | None,
    clean: str | Path | Sequence[str | Path] | None,
    pairs: tuple[str | Path, str | Path] | None,
    noise: Noise | str | None,
) -> tuple[Source, Noise | None]:
    given = [item for item in (source, clean, pairs) if item is not None]
    if len(given) != 1:
        raise ConfigError("a measurement needs one source", got=len(given), expected="source, clean or pairs")
    model = parse(noise) if isinstance(noise, str) else noise
    if pairs is not None:
        return Pairs.find(*pairs), model
    found = CleanImages.find(clean) if clean is not None else source
    assert found is not None
    if isinstance(found, CleanImages):
        model = model or found.noise
        if model is None:
            raise ConfigError("clean images need a noise model", fix="Add --noise, for example --noise gaussian:25.")
    return found, model


def _is_8_bit(source: Source, items: Sequence[Item]) -> bool:
    return isinstance(source, Pairs) and bool(items) and items[0].views[0].read()[0].dtype == np.uint8


def _set_name(items: Sequence[Item]) -> str:
    """The folders that the images lie in."""
    folders = sorted({Path(item.name).parent.as_posix() for item in items})
    return ", ".join(folder if folder != "." else "images" for folder in folders[:3])
