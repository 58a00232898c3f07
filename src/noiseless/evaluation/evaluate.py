"""`evaluate`: models side by side on the same noisy images."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from noiseless import metrics as metric_table
from noiseless.data.sources import CleanImages, Source
from noiseless.data.store import as_unit_float
from noiseless.errors import ConfigError, WorkError
from noiseless.evaluation.attack import Attack
from noiseless.evaluation.models import Model, resolve
from noiseless.evaluation.report import ImageScore, ModelResult, Protocol, Report
from noiseless.evaluation.scenes import Inputs, Scene, find_source, is_8_bit, scenes, set_name
from noiseless.noise import Noise, parse

DEFAULT_METRICS = ("psnr", "ssim", "ms_ssim")
TOLD_TRUTH = "noise model"
WARM_UP_SIDE = 64

Watch = Callable[[str, Scene, np.ndarray, ImageScore], None]
"""Told each model's name, the scene, the restored image (C, H, W) and its score."""


def evaluate(
    models: Sequence[str | Path | Model] | str | Path | Model,
    source: Source | None = None,
    *,
    clean: Inputs | None = None,
    pairs: tuple[Inputs, Inputs] | None = None,
    noise: Noise | str | None = None,
    told: str = TOLD_TRUTH,
    metrics: Sequence[str] = DEFAULT_METRICS,
    seed: int = 0,
    border: int = 0,
    group: str | None = None,
    limit: int | None = None,
    quantise: bool | None = None,
    attack: Attack | str | None = None,
    watch: Watch | None = None,
) -> Report:
    """Measure models on clean images with synthetic noise, or on pairs.

    Args:
        models: names or paths for `noiseless.load`, names of baselines, or denoisers. The first is the one that the
            others are compared with.
        source: what to measure on; or else one of the next two.
        clean: folders, files or globs of clean images; needs `noise`.
        pairs: noisy and clean sides, paired by name.
        noise: the noise model to add, or its text; ranges are drawn for each image. For pairs: what the models are
            told.
        told: what conditioned models are told: ``"noise model"`` (the truth), ``"auto"``, or a noise expression.
        metrics: names of `noiseless.metrics.METRICS`; the first leads the tables. One that no image is large enough
            for is left out.
        seed: of the noise; that of an image follows from it and the image's content, not from its place in a list.
        border: pixels left out on each side of the metrics.
        group: a regular expression whose first group names the group of an image by its name.
        limit: measure on the first images only, as many as this.
        quantise: 8-bit input and output. Without it: for 8-bit pairs, whose noisy side has been quantised anyway.
        attack: also measure every model on images that were changed against it, as ``pgd:2/255``; needs networks.
        watch: told each result; for pictures and progress.

    Raises:
        ConfigError: no images named, or two kinds; clean images without noise; two models of one name.
        UnknownNameError: a model or metric that there is not.
        DataError: no image, or sides of a pair that differ in size.
        WorkError: a model returned NaN or infinite values.
    """
    functions = {name: metric_table.find(name) for name in metrics}
    if not functions:
        raise ConfigError("no metric to measure", expected=", ".join(metric_table.METRICS))
    check_numbers(seed, border, limit)
    expected = told if told in (TOLD_TRUTH, "auto") else parse(told)
    chosen = resolve(models)
    source, truth = find_source(source, clean, pairs, noise)
    items = source.items[:limit]
    quantised = is_8_bit(source, items) if quantise is None else quantise
    against = Attack.parse(attack) if isinstance(attack, str) else attack
    digests: list[str] = []
    scores: dict[str, list[ImageScore]] = {}
    for scene in scenes(source, truth, items=items, seed=seed, group=group, quantise=quantised):
        level = expected if expected != TOLD_TRUTH else scene.noise or truth or "auto"
        if not digests:
            _warm_up(chosen, scene, level)
        digests.append(scene.digest)
        for model in chosen:
            for name, score in _scored(model, scene, functions, level, border, against, watch):
                scores.setdefault(name, []).append(score)
    protocol = Protocol(
        set=set_name(items),
        content_hash=hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest(),
        count=len(digests),
        noise=truth.spec if isinstance(source, CleanImages) and truth is not None else None,
        seed=seed,
        told=_told_words(told, truth, synthetic=isinstance(source, CleanImages)),
        border=border,
        quantisation="8-bit" if quantised else "none",
    )
    results = tuple(ModelResult(name, tuple(rows)) for name, rows in scores.items())
    return Report(protocol, results, _defined(metrics, results))


def _warm_up(models: Sequence[Model], scene: Scene, told: Noise | str) -> None:
    """Let each model do something once, so that no time that is measured is that of its start."""
    for model in models:
        _run(model, scene.noisy[:, :WARM_UP_SIDE, :WARM_UP_SIDE], told)


def _scored(
    model: Model,
    scene: Scene,
    functions: Mapping[str, Callable[..., float]],
    told: Noise | str,
    border: int,
    attack: Attack | None,
    watch: Watch | None,
) -> Iterator[tuple[str, ImageScore]]:
    """The scores of a model on a scene and, where there is an attack, on what that makes of it; by the row's name."""
    restored, score = measure(model, scene, functions, told=told, border=border)
    if watch is not None:
        watch(model.name, scene, restored, score)
    yield model.name, score
    if attack is not None:
        hurt = replace(scene, noisy=attack.scene(model, scene.noisy, scene.clean, told))
        yield f"{model.name} under {attack.spec}", measure(model, hurt, functions, told=told, border=border)[1]


def measure(
    model: Model,
    scene: Scene,
    functions: Mapping[str, Callable[..., float]],
    *,
    told: Noise | str = "auto",
    border: int = 0,
) -> tuple[np.ndarray, ImageScore]:
    """Run a model on a scene; the restored image, float32 (C, H, W) clipped to [0, 1], and its score.

    Raises:
        WorkError: the model returned another shape, or NaN or infinite values.
        ConfigError: nothing of the image is left inside the border.
    """
    began = time.perf_counter()
    output = _run(model, scene.noisy, told)
    seconds = time.perf_counter() - began
    if output.shape != scene.clean.shape or not np.isfinite(output).all():
        got = f"shape {output.shape}" if output.shape != scene.clean.shape else "NaN or infinite values"
        raise WorkError(f"{model.name} failed on {scene.name}", got=got, expected=f"numbers, {scene.clean.shape}")
    restored = as_unit_float(output).clip(0, 1)
    inner = (slice(None), *(slice(border, side - border) for side in scene.clean.shape[-2:]))
    side = min(scene.clean.shape[-2:]) - 2 * border
    if side < 1:
        raise ConfigError(f"nothing of {scene.name} is left inside a border of {border} pixels")
    values = {}
    for name, function in functions.items():
        large = side >= metric_table.MINIMUM_SIZES.get(name, 1)
        values[name] = float(function(restored[inner], scene.clean[inner])) if large else math.nan
    return restored, ImageScore(scene.name, values, seconds, scene.group)


def _run(model: Model, noisy: np.ndarray, told: Noise | str) -> np.ndarray:
    data_range = None if noisy.dtype == np.uint8 else 1.0
    if len(noisy) == 1:
        output = np.asarray(model(noisy[0], noise=told, data_range=data_range))[None]
    else:
        output = np.asarray(model(noisy, noise=told, channel_axis=0, data_range=data_range))
    return output if output.dtype == np.uint8 else output.astype(np.float32, copy=False)


def _told_words(told: str, truth: Noise | None, *, synthetic: bool) -> str:
    """What the models were told, for the protocol."""
    if told != TOLD_TRUTH or synthetic:
        return told
    return truth.spec if truth is not None else "auto"


def _defined(metrics: Sequence[str], results: Sequence[ModelResult]) -> tuple[str, ...]:
    """The metrics that at least one image is large enough for."""
    images = results[0].images
    return tuple(name for name in metrics if not all(math.isnan(score.values[name]) for score in images))


def check_numbers(seed: int, border: int = 0, limit: int | None = None) -> None:
    """See that the numbers of a measurement can be.

    Raises:
        ConfigError: one cannot.
    """
    if seed < 0:
        raise ConfigError("seed does not fit", got=seed, expected="0 or more")
    if border < 0:
        raise ConfigError("border does not fit", got=border, expected="pixels to leave out, 0 or more")
    if limit is not None and limit < 1:
        raise ConfigError("limit does not fit", got=limit, expected="a number of images, 1 or more")
