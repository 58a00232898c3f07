"""How good models are on noisy images alone: estimates of the error to a clean image that nobody has.

The formulas are those of `noiseless.evaluation.risk`: Stein's for one image whose noise is known or measured, and for
two exposures of one scene none but their difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from noiseless.calibration import Calibration, examine_planes
from noiseless.calibration.channels import EIGHT_BITS
from noiseless.calibration.exposures import STRAY, check_no_copies, check_one_scene
from noiseless.calibration.measuring import FAINT, MAGNITUDES
from noiseless.calibration.patches import rounding_step
from noiseless.calibration.whiteness import WHITE, has_independent_noise
from noiseless.data.parts import middle
from noiseless.data.sources import Item, NoisyImages, NoisyPairs
from noiseless.data.store import as_unit_float
from noiseless.denoiser import LOOKED_AT
from noiseless.errors import ConfigError, DataError, InputError, WorkError, check_some, noting
from noiseless.evaluation.estimates import Estimate, Estimates, decibels
from noiseless.evaluation.evaluate import check_numbers
from noiseless.evaluation.models import Model, Named, resolve
from noiseless.evaluation.pooling import Pooled, is_alike, mean_variance, pool
from noiseless.evaluation.power import CHANCE, Power, is_white, power_of
from noiseless.evaluation.residual import WINDOW, Audit, audit
from noiseless.evaluation.risk import (
    GREYS,
    Risk,
    block_means,
    counted,
    error_to_another_view,
    has_formula,
    reference,
    variance_of_views,
)
from noiseless.evaluation.scenes import names_of
from noiseless.noise import Noise, parse
from noiseless.noise.chain import Chain

CLIPPED = 0.2
"""Half of the 95% interval of the variance that clipping hides, over it. Found on crops of 8 bits. No model tells
more of it: it is off where pictures are dark or bright, and not evenly as noise is."""

INEXACT = 0.08
"""Half of the 95% interval of what Stein's formula is off by beyond chance, over the error that it gives: a derivative
by a small change, clean values by means of windows. Found on photographs."""

LITTLE = 0.05
"""Share of the noise's power up to which stripes and impulses do not matter."""

SURE = 1.96
"""Half a 95% interval in standard deviations."""

NO_TRAITS: Mapping[str, str | bool] = {}

Range = tuple[float, float] | None
"""Values (low, high) that map to 0 and 1, as of a source."""


@dataclass(frozen=True)
class Seen:
    """One plane of an image, or of two exposures of a scene.

    Attributes:
        planes: one or two, (C, H, W) in [0, 1] units.
        traits: what is known of the file, see `noiseless.data.gather.TRAITS`; of two, of the first.
    """

    planes: list[np.ndarray]
    traits: Mapping[str, str | bool]


@dataclass(frozen=True)
class Known:
    """What is known of the noise of an image.

    Attributes:
        noise: zero mean, of a known variance.
        told: (C, H, W), float32, the standard deviations that models are told.
        words: the noise as text, what does not count here included.
        doubt: half the 95% interval of its mean variance.
        power: how strong it is in this image, where a model told it.
    """

    noise: Noise
    told: np.ndarray
    words: str
    doubt: float = 0.0
    power: Power | None = None


@dataclass(frozen=True)
class Measured:
    """An unbiased estimate for each pixel, of which only means say anything, and what was removed.

    Attributes:
        error: (C, H, W), of the squared error of the restored image.
        noisy: mean squared error of the noisy image.
        restored: (C, H, W), of two exposures the first.
        audit: of what was removed.
        half: half the 95% interval of the mean of `error`.
    """

    error: np.ndarray
    noisy: float
    restored: np.ndarray
    audit: Audit
    half: float


def estimate(
    models: Sequence[str | Path | Model] | str | Path | Model,
    source: NoisyImages | NoisyPairs,
    *,
    noise: Noise | str = "auto",
    limit: int | None = None,
    seed: int = 0,
    watch: Callable[[str, Estimate, np.ndarray, np.ndarray], None] | None = None,
) -> Estimates:
    """Estimate the PSNR of models on noisy images, or on pairs of noisy images of the same scenes.

    Args:
        models: as of `noiseless.evaluate`.
        source: the images.
        noise: what noise they have; measured where ``"auto"``: in each image, and together where images agree. For
            pairs, what models are told.
        limit: the first images only, as many as this.
        seed: of the small changes that the derivative is measured with.
        watch: told each model, its estimate, the noisy and the restored image, (C, H, W) in [0, 1] units.

    Raises:
        ConfigError: a limit below 1, a negative seed, or noise that has a range, a mean or no formula of its variance.
        InputError: nothing can be said of any image: no noise to be measured, two exposures that are not of one
            scene, NaN. Where that holds for some of several, they are left out, and the result says why.
        WorkError: a model returned another shape, or NaN or infinite values.
    """
    chosen = resolve(models)
    given = noise if isinstance(noise, Noise) or noise == "auto" else parse(noise)
    single = isinstance(source, NoisyImages)
    check_numbers(seed, limit=limit)
    _check(given, alone=single)
    items = source.items[:limit]
    named = dict(zip(names_of(items), items, strict=True))
    found: dict[str, list[Estimate]] = {model.name: [] for model in chosen}
    left_out: dict[str, InputError] = {}
    measured = _calibrations(named, source.data_range) if single and given == "auto" else {}
    together = pool(list(measured.values()))
    for name, scene in _all_scenes(named, source.data_range, left_out):
        with noting(left_out, name):
            known = _known(scene, given, name, seed, measured.get(name), together)
            for model, (each, restored) in zip(chosen, _of_all(chosen, scene.planes, known, name, seed), strict=True):
                found[model.name].append(each)
                if watch is not None:
                    watch(model.name, each, scene.planes[0], restored)
    count = len(next(iter(found.values())))
    check_some(count, left_out)
    protocol = {
        "method": "Stein" if single else "two exposures",
        "noise": given if isinstance(given, str) else given.spec,
        "seed": seed,
        "count": count,
    }
    return Estimates(protocol, {name: tuple(each) for name, each in found.items()}, left_out)


def _check(noise: Noise | str, *, alone: bool) -> None:
    if isinstance(noise, str):
        return
    if noise.ranged:
        raise ConfigError("a range is no noise level", got=noise.spec, fix="Give one level, or auto to measure it.")
    if alone and not noise.variance(np.repeat(GREYS, noise.channels or 1, axis=0)).any():
        raise ConfigError("nothing is estimated without noise", got=noise.spec, fix="Give --noise auto to measure it.")
    if alone and not has_formula(noise):
        fix = "Give two exposures: --noisy-pairs A B."
        raise ConfigError("nothing is estimated for noise with a mean or without a formula", got=noise.spec, fix=fix)


def _all_scenes(
    named: Mapping[str, Item], data_range: Range, left_out: dict[str, InputError]
) -> Iterator[tuple[str, Seen]]:
    """Each plane of the images, with its name; what cannot be read is noted."""
    for name, item in named.items():
        scenes: dict[str, Seen] = {}
        with noting(left_out, name):
            scenes = _scenes(name, item, data_range)
        yield from scenes.items()


def _scenes(name: str, item: Item, data_range: Range) -> dict[str, Seen]:
    """Each plane of an image, by its name."""
    read, traits = zip(*(view.read_with_traits(data_range) for view in item.views), strict=True)
    views = [[as_unit_float(plane) for plane in planes] for planes in read]
    if len({tuple(plane.shape for plane in planes) for planes in views}) > 1:
        got = " and ".join(", ".join(str(plane.shape) for plane in planes[:2]) for planes in views)
        raise DataError(f"the two images of {name} differ in channels, height or width", got=got)
    scenes = [Seen(list(each), traits[0]) for each in zip(*views, strict=True)]
    return {name if len(scenes) == 1 else f"{name}[{number}]": each for number, each in enumerate(scenes)}


def _calibrations(named: Mapping[str, Item], data_range: Range) -> dict[str, Calibration]:
    """What is found in each plane that can be measured, by its name."""
    found: dict[str, Calibration] = {}
    for name, item in named.items():
        with suppress(InputError):  # said of it later
            scenes = _scenes(name, item, data_range)
            found |= {plane: examine_planes(scene.planes, told=False) for plane, scene in scenes.items()}
    return found


def _known(
    scene: Seen,
    noise: Noise | str,
    name: str,
    seed: int,
    found: Calibration | None,
    together: Pooled | None,
) -> list[Known]:
    """What is known of the noise of one image, or of both exposures of a scene.

    Of the noise that was measured in an image and that of all, it is the one that a shipped model contradicts less:
    where little is flat, what is measured can be further off than its interval says.
    """
    planes = scene.planes
    if len(planes) == 2:
        return [know(plane, noise, name, told_only=True) for plane in planes]
    known = [know(planes[0], noise, name, found=found, together=together, traits=scene.traits)]
    if together is not None and is_white(known[0].noise) and known[0].noise != together.noise:
        known.append(_known_together(planes[0], together, None))
    made = [judged(planes[0], each, seed) for each in known]
    return [min(made, key=lambda each: abs(each.power.excess) if each.power else 0.0)]


def _of_all(
    models: Sequence[Model], planes: Sequence[np.ndarray], known: Sequence[Known], name: str, seed: int
) -> list[tuple[Estimate, np.ndarray]]:
    """What is estimated of each model on one scene, and what it restored."""
    if len(planes) == 2:
        found = [between(model, planes, known) for model in models]
        return [(_estimated(each, name, ""), each.restored) for each in found]
    found = [alone(model, planes[0], known[0], seed) for model in models]
    return [(_estimated(each, name, known[0].words), each.restored) for each in found]


def _estimated(measured: Measured, name: str, words: str) -> Estimate:
    error, half = float(measured.error.mean()), measured.half
    if words and error + half <= 0:
        raise DataError(
            f"nothing can be said of {name}: less than its noise can have is left",
            got=f"noise {words}",
            fix="Give the noise it has, or two exposures: --noisy-pairs A B.",
        )
    low, high = decibels(error + half), decibels(error - half)
    return Estimate(name, words, decibels(measured.noisy), decibels(error), low, high, measured.audit)


def know(
    noisy: np.ndarray,
    noise: Noise | str,
    name: str = "the image",
    *,
    told_only: bool = False,
    found: Calibration | None = None,
    together: Pooled | None = None,
    traits: Mapping[str, str | bool] = NO_TRAITS,
) -> Known:
    """What is known of the noise of an image, (C, H, W) in [0, 1] units: as given, or measured in it.

    Args:
        noisy: the image.
        noise: that it has, or ``"auto"``.
        name: of the image, for errors.
        told_only: nothing but what models are told is needed.
        found: what was measured in it, where that was done.
        together: what was found in all images; used where it lies within the interval of what is measured here.
        traits: as of `Seen`.

    Raises:
        DataError: the noise cannot be measured: the image is constant, clipped all over, or has none; or it is that of
            a developed photograph, whose strength is a guess.
    """
    if isinstance(noise, Noise):
        parts = counted(noise)
        return Known(parts[0] if len(parts) == 1 else Chain(parts), noise.told_map(noisy), noise.spec)
    found = found or examine_planes([noisy], told=False)
    first = found.noise.parts[0] if isinstance(found.noise, Chain) else found.noise
    if found.kind == "none" and not told_only:
        fix = "Give --noise, or leave the image out."
        raise DataError(f"no noise can be measured in {name}, so that nothing can be said", fix=fix)
    if not told_only and (FAINT in found.warnings or _is_developed(noisy, traits)):
        guess = "the strength of a developed photograph's noise can only be guessed"
        fix = "Give --noise, or two exposures: --noisy-pairs A B."
        raise DataError(f"nothing can be said of {name}: {guess}", fix=fix)
    if not told_only and (others := _beside(noisy, found.noise)):
        fix = "Give two exposures: --noisy-pairs A B."
        raise DataError(f"nothing can be said of {name}: Stein's formula does not count {others}", fix=fix)
    if not told_only and any(each.startswith(MAGNITUDES) for each in found.warnings):
        fix = "Give two exposures: --noisy-pairs A B."
        raise DataError(f"nothing can be said of {name}: its noise is Rician and moves the mean", fix=fix)
    doubt = mean_variance(noisy, found, growing=found.kind == "poisson-gaussian")[1]
    if together is not None and found.kind in WHITE and is_alike(noisy, found, together.noise):
        return _known_together(noisy, together, together.doubt(doubt))
    return Known(first, first.told_map(noisy), found.noise.spec, doubt)


def _beside(noisy: np.ndarray, noise: Noise) -> str:
    """The noise that comes after the first part, as text; empty where it is too little to matter."""
    first, *others = noise.parts if isinstance(noise, Chain) else (noise,)
    powers = [float(part.variance(noisy.clip(0, 1)).mean()) for part in (first, *others)]
    return "+".join(part.spec for part in others) if sum(powers[1:]) > LITTLE * powers[0] else ""


def _is_developed(noisy: np.ndarray, traits: Mapping[str, str | bool]) -> bool:
    """Whether an image is taken for a developed photograph, as `noiseless.denoiser.choose_model` does: camera raw, and
    8-bit colour, AVIF and HEIC whose noise is not that of each colour by itself.

    Of 28 Canon crops of PolyU 4 had white or correlated noise that was not faint: estimates by it were 11 dB too high
    at best, and no interval held the truth.
    """
    colour = len(noisy) == 3 and not (noisy[1:] == noisy[:1]).all()
    if not colour or traits.get("developed", False):
        return colour
    kept = traits.get("format") in ("avif", "heic") or rounding_step(noisy) > EIGHT_BITS
    return kept and not has_independent_noise(middle(noisy, LOOKED_AT))


def _known_together(noisy: np.ndarray, together: Pooled, doubt: float | None) -> Known:
    """The noise of all images, of which all of the variance is in doubt where nothing else is said."""
    words = f"{together.noise.spec}, the median of {together.count} images"
    level = float(together.noise.variance(noisy.clip(0, 1)).mean())
    return Known(together.noise, together.noise.told_map(noisy), words, level if doubt is None else doubt)


def alone(model: Model, noisy: np.ndarray, known: Known, seed: int = 0) -> Measured:
    """The error of a model on one noisy image, (C, H, W) in [0, 1] units, by Stein's formula.

    Args:
        model: what is measured.
        noisy: the image.
        known: its noise.
        seed: of the small change.
    """
    risk = Risk.of(noisy, known.noise, seed)
    restored, beside = (run(model, image, known.told) for image in (noisy, risk.beside))
    error = risk.error(restored, beside)
    left = float(risk.left(restored, beside).mean())
    share = 1 - 2 * left / risk.level if risk.level else 1.0  # what a wrong level does to the estimate
    found = audit(noisy, restored, risk.law.power, risk.sample, doubt=known.doubt)
    if known.power is None:
        chance, doubt, excess = _standard_error(error), math.hypot(known.doubt, _clipped(risk)), 0.0
    else:
        excess = known.power.excess
        error -= share * excess
        chance = math.sqrt(CHANCE * risk.level * max(float(error.mean()), 0.0) / error.size)
        doubt = math.hypot(SURE * known.power.deviation, _clipped(risk))
    half = math.hypot(SURE * chance, share * doubt, INEXACT * float(error.mean()))
    return Measured(error, risk.level + excess, restored, found, half)


def _clipped(risk: Risk) -> float:
    """Half of the 95% interval of the variance that clipping hides."""
    return CLIPPED * float((risk.law.free - risk.law.seen).mean())


def judged(noisy: np.ndarray, known: Known, seed: int = 0) -> Known:
    """The same of the noise, and how strong it is in this image, (C, H, W), by what a shipped model leaves of it.

    Nothing is added for noise that the shipped models have not learned.
    """
    risk = Risk.of(noisy, known.noise, seed)
    if not is_white(known.noise) or not risk.level:
        return known
    model = Named(reference(len(noisy)), "the reference")
    restored, beside = (run(model, image, known.told) for image in (noisy, risk.beside))
    return replace(known, power=power_of(risk, restored, beside, math.hypot(known.doubt, _clipped(risk)) / SURE))


def between(model: Model, pair: Sequence[np.ndarray], known: Sequence[Known]) -> Measured:
    """The error of a model on two exposures of one scene, (C, H, W) in [0, 1] units, each a target for the other.

    Raises:
        DataError: they are not of one scene, or the same in every value.
    """
    stray = np.any([np.abs(view - 0.5) > STRAY for view in pair], axis=0)
    pair = [np.where(stray, np.float32(0.5), view) for view in pair]  # where nothing can be compared
    first, second = pair
    check_no_copies(pair)
    for both in zip(first, second, strict=True):
        check_one_scene(np.stack(both))
    variance = variance_of_views(first, second)
    restored = [run(model, noisy, each.told) for noisy, each in zip(pair, known, strict=True)]
    views = ((first, second), (second, first))
    errors = [error_to_another_view(each, *both) for each, both in zip(restored, views, strict=True)]
    power = ndimage.uniform_filter(variance, (0, WINDOW, WINDOW), mode="mirror")
    found = audit(first, restored[0], power, (first - second) / math.sqrt(2))
    error = (errors[0] + errors[1]) / 2
    return Measured(error, float(variance.mean()), restored[0], found, SURE * _standard_error(error))


def run(model: Model, noisy: np.ndarray, told: np.ndarray) -> np.ndarray:
    """What a model makes of an image, (C, H, W), float64, clipped to [0, 1].

    Raises:
        WorkError: another shape, or NaN or infinite values.
    """
    restored = np.asarray(model(noisy, noise=told[np.newaxis], channel_axis=0, data_range=(0.0, 1.0)), np.float64)
    if restored.shape != noisy.shape or not np.isfinite(restored).all():
        got = f"shape {restored.shape}" if restored.shape != noisy.shape else "NaN or infinite values"
        raise WorkError(f"{model.name} failed", got=got, expected=f"numbers, {noisy.shape}")
    return restored.clip(0, 1)


def _standard_error(error: np.ndarray) -> float:
    """Of the mean, by chance alone: from how neighbouring blocks differ.

    Blocks, for pixels resemble their neighbours; neighbours, for that a model does worse where there is texture is no
    chance.
    """
    blocks = block_means(error)
    steps = np.concatenate([np.diff(blocks, axis=axis).ravel() for axis in (0, 1)])
    return math.sqrt(float((steps**2).mean()) / 2 / blocks.size) if steps.size else math.inf
