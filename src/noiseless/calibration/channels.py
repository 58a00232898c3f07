"""One channel through all measurements: impulses and stripes go first, then come curve and correlation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from noiseless.calibration.bands import Bands, measure_bands
from noiseless.calibration.curve import Fit, fit_curve, no_fit, take_samples
from noiseless.calibration.doubt import SURE, curve, gain_interval, jackknife, level_interval, read_interval
from noiseless.calibration.exposures import STRAY, check_one_scene, fit_exposures
from noiseless.calibration.impulses import find_impulses, without_impulses
from noiseless.calibration.lines import TINY
from noiseless.calibration.patches import FEWEST_PATCHES, NOWHERE, find_limits, median, rounding_step
from noiseless.calibration.report import Channel, Seen
from noiseless.calibration.stripes import stripe_level, without_stripes
from noiseless.calibration.texture import (
    FLOOR,
    Texture,
    bare_share,
    bend,
    measure_halved,
    measure_texture,
    take_blocks,
)

CORRELATED = 0.1
"""Correlation of neighbours from which noise is not white."""

FALL = 1.9
"""Power of fine over the finest detail from which that lacks: at 1.5 to 2 grey levels of white noise over a picture
sharp all over, some still have 2; correlated noise, from a length of 0.7 pixels on, has 3."""

FINEST = 1 / 255
"""Level of the finest detail in developed photographs, at most."""

SOFT, SOFT_FALL = 0.9, 2.5
"""Least correlation length in pixels, and power of fine over the finest detail, of noise in developed photographs: the
Canon crops of PolyU have 1 and 3.6 at least. Most clean photographs, at full size and scaled down, have less: it is
their own finest detail."""

EIGHT_BITS = 0.9 / 255
"""Distance between values from which an image counts as one of 8 bits."""

UNEVEN = 1.6
"""How much the flattest blocks may differ and still pass for noise."""

EVEN = 1.25
"""How much they differ, at most, where noise covers everything; blocks of grass, gravel and tissue differ by 1.3 and
more."""

REPEATED = 1.005
"""How much they differ at least: noise by 1.02 and more, also in small images; what a drawn picture repeats, not at
all."""

BENT = 1.15
"""Rise of the spectrum towards coarse detail, over that of noise, from which uneven blocks are a picture's. Noise of 5
to 10 of 255 in photographs gives 0.9 to 1.1, at lengths from 2.5 pixels on at half the size; textures give 1.2 to 2."""

LEVELLED = 1.5
"""The same at half the size, up to which noise may be long: smooth texture has 1.6 to 2 there, noise of 3 pixels in
pictures with next to no flat area mostly less than 1.4."""

CERTAIN = 3.0
"""Standard errors that the gain must exceed."""

OFFSET = 5.0
"""Standard errors by chance alone that the gain must exceed for a black level to be told."""

SLOPE = 0.05
"""Share of the variance that must change between dark and bright."""

LOOSE = (0.6, 1.6)
"""Ends of the interval of the level of correlated noise, over the level."""

BARE = 0.2
"""Share of blocks of a single value from which that speaks against noise, where nothing else is flat. Screens of text
have 0.36 and 0.41; noise of 15 and 29 was found in their letters."""

LEAST_VARIANCE = 1.001 * TINY
"""Variance up to which nothing was found: it is not smaller by calculation."""

NOTHING = 1e-9
"""Variance added to what is expected of the finest detail, which may be nothing at all."""


@dataclass(frozen=True)
class Measured:
    """A channel, and what decides on the kind of noise.

    Attributes:
        channel: the numbers.
        told: there was something to measure.
        dependent: the variance grows with brightness.
        correlated: neighbours resemble each other.
        developed: and flat areas hold less of it than others, as after smoothing in camera.
        undecided: they do, but it may as well be what the picture shows.
        lowered: part of what is taken for noise has the marks of texture, and the level is less for it.
        white: the channel if its noise is white after all.
    """

    channel: Channel
    told: bool
    dependent: bool
    correlated: bool
    developed: bool = False
    undecided: bool = False
    lowered: bool = False
    white: Channel | None = None

    def as_white(self) -> Measured:
        """The same where other channels say that noise is white."""
        if self.white is None:
            return self
        return Measured(self.white, self.told, self.dependent, correlated=False, undecided=not self.developed)


@dataclass(frozen=True)
class _Defects:
    """What was taken out of the planes before the noise was measured."""

    rows: float
    columns: float
    impulses: float
    ends: tuple[float, float]


@dataclass(frozen=True)
class _Looks:
    """What is looked at only where it decides.

    Attributes:
        bands: measures the bands of the blocks, once.
        halved: measures the texture at half the size, once.
    """

    bands: Callable[[], Bands]
    halved: Callable[[], Texture | None]


def measure_channel(planes: Sequence[np.ndarray], mask: np.ndarray | None) -> Measured:
    """Measure one channel of several images.

    Args:
        planes: (H, W) each, float32, [0, 1] units.
        mask: (H, W), where to look; None for everywhere.
    """
    planes, defects = _repaired(planes)
    samples = take_samples(planes, mask)
    fit = fit_curve(samples)
    if fit is not None and fit.flat <= FEWEST_PATCHES and bare_share(planes, mask) > BARE:
        return _untold(defects)  # what is not bare is drawn
    blocks = take_blocks(planes, samples.limits, mask)
    looks = _Looks(cache(partial(measure_bands, blocks)), cache(partial(measure_halved, planes, samples.limits, mask)))
    if fit is None:
        texture = measure_texture(blocks, np.full_like(blocks.energies, NOTHING))
        if not _lies_over_all(texture, looks) and not _is_developed(texture, 0.0, samples.step, looks):
            return _untold(defects)
        fit = no_fit()
    else:
        texture = measure_texture(blocks, fit.line.variance(blocks.means) + samples.step**2 / 12 + NOTHING)
    return _measured(fit, texture, defects, looks, clipped=samples.limits != NOWHERE, step=samples.step)


def measure_exposures(frames: np.ndarray, mask: np.ndarray | None) -> Measured:
    """Measure one channel of exposures of one scene.

    Args:
        frames: (N, H, W), float32, [0, 1] units.
        mask: (H, W), where to look; None for everywhere.

    Raises:
        DataError: the exposures are not of one scene.
    """
    near = np.all(np.abs(frames - 0.5) <= STRAY, axis=0)
    if not near.all():
        frames, mask = frames.clip(0.5 - STRAY, 0.5 + STRAY), near if mask is None else np.logical_and(near, mask)
    check_one_scene(frames)
    limits = find_limits(frames)
    rows, columns = stripe_level(_differences(frames[:2])[0])
    defects = _Defects(rows, columns, 0.0, _shares_at_ends(frames, limits))
    step = rounding_step(frames)
    if rows or columns:
        inside = np.all((frames > limits[0]) & (frames < limits[1]), axis=0)
        mask = inside if mask is None else np.logical_and(inside, mask)
        frames = _steadied(frames, rows > 0, columns > 0)
    differences = _differences(frames)
    fit = fit_exposures(frames, limits, step, mask)
    if fit is None or frames.min() == frames.max():
        return _untold(defects)
    blocks = take_blocks(differences, NOWHERE, mask)
    texture = measure_texture(blocks, np.full_like(blocks.energies, _finest(differences) + NOTHING))
    texture = None if texture is None else replace(texture, picture=0.0)  # there is no picture in a difference
    looks = _Looks(cache(partial(measure_bands, blocks)), cache(partial(measure_halved, differences, NOWHERE, mask)))
    return _measured(fit, texture, defects, looks, clipped=False, step=0.0)


def _differences(frames: np.ndarray) -> list[np.ndarray]:
    """Of each exposure from the one before, with the noise of one."""
    return list(np.diff(frames, axis=0) / np.float32(math.sqrt(2)))


def _steadied(frames: np.ndarray, rows: bool, columns: bool) -> np.ndarray:
    """Exposures less what whole rows or columns of each differ by from the mean of all."""
    for moves, along in ((rows, -1), (columns, -2)):
        if moves:
            offsets = median(np.moveaxis(frames - frames.mean(axis=0), along, -1))
            frames = frames - np.expand_dims(offsets, along).astype(np.float32)
    return frames


def _finest(differences: Sequence[np.ndarray]) -> float:
    """Variance of the finest detail of what differs between exposures."""
    fit = fit_curve(take_samples(differences))
    return 0.0 if fit is None else fit.level


def _repaired(planes: Sequence[np.ndarray]) -> tuple[list[np.ndarray], _Defects]:
    impulses = [find_impulses(plane) for plane in planes]
    lost = float(np.mean([each.amount for each in impulses]))
    repaired = [without_impulses(plane, each.places) for plane, each in zip(planes, impulses, strict=True)]
    ends = np.mean([_shares_at_ends(plane, find_limits(plane)) for plane in repaired], axis=0)
    levels = np.array([stripe_level(plane) for plane in repaired])
    rows, columns = (float(level) if (levels[:, axis] > 0).mean() > 0.5 else 0.0 for axis, level in _medians(levels))
    if rows or columns:
        repaired = [without_stripes(plane, rows > 0, columns > 0).astype(np.float32) for plane in repaired]
    return repaired, _Defects(rows, columns, lost, (float(ends[0]), float(ends[1])))


def _medians(levels: np.ndarray) -> list[tuple[int, float]]:
    return list(enumerate(median(levels.T).tolist()))


def _shares_at_ends(plane: np.ndarray, limits: tuple[float, float]) -> tuple[float, float]:
    return float(np.mean(plane <= limits[0])), float(np.mean(plane >= limits[1]))


def _untold(defects: _Defects) -> Measured:
    unknown = (0.0, 1.0)
    channel = Channel(
        0.0, unknown, 0.0, unknown, 0.0, unknown, (), (), (), (), 0.0, (),
        defects.rows, defects.columns, defects.impulses, *defects.ends, 0.0, 0,
    )  # fmt: skip
    return Measured(channel, told=False, dependent=False, correlated=False)


def _measured(
    fit: Fit,
    texture: Texture | None,
    defects: _Defects,
    looks: _Looks,
    *,
    clipped: bool,
    step: float,
) -> Measured:
    level = math.sqrt(fit.level) if fit.level > LEAST_VARIANCE else 0.0
    low, high = level_interval(fit, clipped=clipped)
    over_all = _lies_over_all(texture, looks)
    developed = not over_all and _is_developed(texture, fit.level, step, looks)
    correlated = over_all or developed
    gain, read = fit.line.gain, math.sqrt(fit.line.floor)
    gain_error, gains = jackknife(fit.replicates[:, 0]), gain_interval(fit, clipped=clipped)
    channel = Channel(
        sigma=level,
        sigma_interval=(min(low, level), high),
        gain=gain,
        gain_interval=gains,
        read=read,
        read_interval=read_interval(fit, clipped=clipped),
        curve=curve(fit, clipped=clipped),
        seen=_seen(fit),
        autocorrelation_across=() if texture is None else texture.across,
        autocorrelation_down=() if texture is None else texture.down,
        length=0.0,
        octaves=() if texture is None else texture.octaves,
        rows=defects.rows,
        columns=defects.columns,
        impulses=defects.impulses,
        clipped_low=defects.ends[0],
        clipped_high=defects.ends[1],
        offset=_offset(fit) if gain > max(OFFSET * gain_error, CERTAIN * (gains[1] - gain) / SURE) else 0.0,
        flat=fit.flat,
    )
    change = gain * (fit.span[1] - fit.span[0]) / max(fit.level, 1e-12)
    dependent = gain > CERTAIN * gain_error and change > SLOPE
    if correlated and texture is not None:
        most = texture.sigma if developed else min(texture.sigma, looks.bands().highest(texture.length))
        sigma = most if developed else texture.pure * most
        ends = LOOSE[0] * sigma, max(LOOSE[1] * sigma, most)
        soft = replace(channel, sigma=sigma, sigma_interval=ends, length=texture.length)
        lowered = sigma < most
        return Measured(soft, True, dependent, correlated=True, developed=developed, lowered=lowered, white=channel)
    undecided = _may_lie_over_all(texture) and texture is not None and texture.fall > FALL
    return Measured(channel, True, dependent, correlated=False, undecided=undecided)


def _may_lie_over_all(texture: Texture | None) -> bool:
    """Whether no block is flat, and neighbours resemble each other."""
    if texture is None or texture.floor <= FLOOR:
        return False
    return texture.first_lag > CORRELATED and texture.uneven >= REPEATED


def _lies_over_all(texture: Texture | None, looks: _Looks) -> bool:
    """Whether there is correlated noise that leaves no block flat.

    Such noise lacks the finest detail; texture comes on top of it. Fur, grass and gravel leave nothing flat either, but
    their blocks differ, and their spectrum rises towards coarse detail.
    """
    if texture is None or not _may_lie_over_all(texture):
        return False
    bands = looks.bands()
    if bands.weakens or (bands.long and _is_long(looks.halved())):
        return True
    return bands.calm and texture.fall > FALL and _is_noise(texture, looks)


def _is_long(smaller: Texture | None) -> bool:
    """Whether the spectrum at half the size levels off, where there are blocks enough to say so."""
    return smaller is not None and math.isfinite(smaller.uneven) and bend(smaller) <= LEVELLED


def _is_developed(texture: Texture | None, level: float, step: float, looks: _Looks) -> bool:
    """Whether there is what development and smoothing in camera leave of noise in photographs of 8 bits.

    It is soft, nearly even, and there is nothing of it at the finest detail, and suddenly more at coarser detail. Where
    no block is without it, its spectrum does not go on rising.
    """
    if texture is None or step <= EIGHT_BITS or not math.sqrt(level) < FINEST < texture.sigma:
        return False
    soft = texture.length >= SOFT and texture.fall >= SOFT_FALL
    if not soft or texture.uneven > UNEVEN or (texture.floor > FLOOR and bend(texture) > BENT):
        return False
    return looks.bands().smoothed


def _is_noise(texture: Texture, looks: _Looks) -> bool:
    """Whether blocks are alike, or their spectrum is that of noise, which may be too long to be seen at full size."""
    if texture.uneven <= EVEN or bend(texture) <= BENT:
        return True
    smaller = looks.halved()
    return smaller is not None and bend(smaller) <= BENT


def _seen(fit: Fit) -> tuple[Seen, ...]:
    values, variances = fit.points.values[:, -1], fit.points.variances[:, -1]
    return tuple(Seen(float(value), math.sqrt(variance)) for value, variance in zip(values, variances, strict=True))


def _offset(fit: Fit) -> float:
    """Where the noise would vanish, if that is clearly above 0 and no brighter than the darkest flat parts."""
    if fit.line.floor > 0 or fit.free.gain <= 0:
        return 0.0
    offset = -fit.free.floor / fit.free.gain
    return offset if 0.02 < offset < fit.span[0] + 0.02 else 0.0
