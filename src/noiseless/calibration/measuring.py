"""`calibrate`: which noise is in these images; `examine`: everything that was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from noiseless.calibration.channels import Measured, measure_channel, measure_exposures
from noiseless.calibration.exposures import check_no_copies
from noiseless.calibration.magnitudes import magnitude_level
from noiseless.calibration.patches import median
from noiseless.calibration.report import Calibration, Interval
from noiseless.calibration.traces import enlargement, jpeg_grid
from noiseless.errors import DataError, InputError
from noiseless.image import DataRange, Image
from noiseless.noise import Noise
from noiseless.noise.chain import Chain
from noiseless.noise.correlated import Correlated
from noiseless.noise.gaussian import Gaussian
from noiseless.noise.poisson_gaussian import PoissonGaussian
from noiseless.noise.salt_and_pepper import SaltAndPepper
from noiseless.noise.stripes import Stripes
from noiseless.noise.values import Value

Pictures: TypeAlias = "npt.ArrayLike | Image | str | Path | Sequence[npt.ArrayLike | Image | str | Path]"
"""One image, or a list or tuple of images: arrays, `Image` objects or files."""

FEW_FLAT = 300
DEVELOPED, TOLD = (4 / 255, 8 / 255), (8 / 255, 12 / 255)
"""Typical noise of developed photographs in colour, of the LENGTHS below: as strong as it is, and as a network is told
it. In-camera smoothing takes most of it from flat areas, where it is measured: what is found below this is put half way
up, on a logarithmic scale. On the middles of the Canon crops of PolyU `color-small` gains 76% of what the best fixed
level does, and 71% told no more than the first; Stein's formula takes the second for noise that is not there."""

LENGTHS = (1.0, 1.2)
"""Correlation lengths in pixels. Noise of cameras has 1 to 1.7 in photographs at full size. What is shorter is weaker
noise of reduced photographs."""

HIGHEST = 6 / 255
"""More than this is texture, in a photograph whose flattest areas hold next to nothing."""

GREY = (4 / 255, 0.6)
"""Of grey photographs: typical noise, and the share that is told of what comes of it. In colour, noise that the
channels share needs a higher level; on real photographs in grey, told so, `gray-small` gains 1.9 dB, and 1.7 dB told
all of it."""

SILENT = 0.05 / 255
"""A channel with less noise than this, as JPEG leaves flat areas, has no voice in what kind of noise it is."""

FAINT = "the noise is faint in flat areas, as in developed photographs; fine texture can look the same"
"""A warning: how strong it is elsewhere is a guess."""

LOWERED = "part of the noise may be texture, and its level is told low: see its interval"
"""A warning: what is told is less than what is seen."""

FARTHEST = 1e6
"""Values farther from 0, in [0, 1] units, are held to this: squares of what lies farther are lost in float32."""

LOSSY = "JPEG took fine noise away: there may be more than was found, in coarser detail"

MAGNITUDES = "dark areas hold magnitudes of noise, as in MRI: it moves their mean; its model is rician:sigma="
"""A warning; the level follows."""

FAR = f"some values lie {FARTHEST:,.0f} times the range away or more, as those of no picture: is data_range right?"
"""A warning."""

WIDE = 0.35
"""Half of an interval, over what it is of, from which that counts as uncertain."""


def calibrate(
    images: Pictures,
    *,
    exposures: bool = False,
    mask: npt.ArrayLike | None = None,
    channel_axis: int | None = None,
    data_range: DataRange | None = None,
) -> Noise:
    """Measure the noise in images.

    ```python
    noise = noiseless.calibrate(noisy)
    clean = noiseless.denoise(noisy, noise=noise)
    ```

    Args:
        images: one image, or a list of images of one sensor, whose noise is then measured together.
        exposures: the images (or the planes of one stack) show one scene, so that all that differs is noise.
        mask: (H, W), true where the noise shall be measured; for images of one size.
        channel_axis: of arrays, as of `noiseless.denoise`.
        data_range: likewise.

    Returns:
        The noise before clipping, in [0, 1] units: Gaussian, Poisson-Gaussian or correlated, then stripes and
        impulses where there are any. Where nothing can be told, Gaussian noise of level 0;
        `noiseless.calibration.examine` says why.

    Raises:
        ImageError: no image, or NaN or infinite values.
        ValueRangeError: float values far outside [0, 1] and no data range.
        DataError: no image, images of different channels, exposures that are not of one scene or the same in every
            value, a mask that leaves nothing.
    """
    return examine(images, exposures=exposures, mask=mask, channel_axis=channel_axis, data_range=data_range).noise


def examine(
    images: Pictures,
    *,
    exposures: bool = False,
    mask: npt.ArrayLike | None = None,
    channel_axis: int | None = None,
    data_range: DataRange | None = None,
) -> Calibration:
    """Measure the noise in images and tell everything that was found. See `calibrate`."""
    opened = [_opened(each, channel_axis, data_range) for each in _listed(images)]
    planes = [plane for image in opened for plane in image.planes()]
    found = examine_planes(planes, exposures=exposures, mask=mask)
    if found.kind in _WHITE and LOSSY not in found.warnings and any(map(_is_jpeg, opened)):
        return replace(found, warnings=(*found.warnings, LOSSY))
    return found


def _is_jpeg(image: Image) -> bool:
    return image.metadata.get("format") == "jpeg"


def examine_planes(
    planes: Sequence[np.ndarray], *, exposures: bool = False, mask: npt.ArrayLike | None = None, told: bool = True
) -> Calibration:
    """Measure the noise of planes together.

    Args:
        planes: (C, H, W) each, float32 in [0, 1] units; sizes may differ unless they are exposures.
        exposures: as of `calibrate`.
        mask: as of `calibrate`.
        told: what a network is told; else of developed photographs what there is, to estimate errors by.

    Raises:
        DataError: as of `calibrate`.
    """
    _check_planes(planes, exposures)
    channels = _measure(planes, None if mask is None else _checked_mask(mask, planes), exposures=exposures)
    kind, noise = _model(channels, told=told)
    middle = planes[0].mean(axis=0)
    rician = 0.0 if exposures or len(channels) > 1 else magnitude_level([plane[0] for plane in planes])
    far = [FAR] if any(map(_reaches_far, planes)) else []
    jpeg = jpeg_grid(middle)
    return Calibration(
        noise=noise,
        kind=kind,
        channels=tuple(each.channel for each in channels),
        images=len(planes),
        exposures=exposures,
        jpeg=jpeg,
        enlarged=enlargement(middle),
        warnings=(
            *far,
            *_warnings(channels, kind),
            *([f"{MAGNITUDES}{rician:.3g}"] if rician else []),
            *([LOSSY] if jpeg and kind in _WHITE else []),
        ),
    )


def find_noise(planes: Sequence[np.ndarray]) -> tuple[str, Noise]:
    """The kind of noise of planes and its model, as `examine_planes` finds them, and nothing else."""
    return _model(_measure(planes, None, exposures=False))


def _measure(planes: Sequence[np.ndarray], mask: np.ndarray | None, *, exposures: bool) -> list[Measured]:
    """Each channel of all planes; where most have white noise, so have all."""
    planes = [plane.clip(-FARTHEST, FARTHEST) if _reaches_far(plane) else plane for plane in planes]
    channels = ([plane[number] for plane in planes] for number in range(len(planes[0])))
    if exposures:
        found = [measure_exposures(np.stack(each), mask) for each in channels]
    else:
        found = [measure_channel(each, mask) for each in channels]
    return found if _kind(found) == "correlated" else [each.as_white() for each in found]


def _reaches_far(plane: np.ndarray) -> bool:
    return max(-float(plane.min()), float(plane.max())) > FARTHEST


def _listed(images: Pictures) -> list[object]:
    return list(images) if isinstance(images, list | tuple) else [images]


def _opened(given: object, channel_axis: int | None, data_range: DataRange | None) -> Image:
    if isinstance(given, str | Path):
        from noiseless.io import read

        return read(given, data_range=data_range)
    if isinstance(given, Image):
        return given.checked(data_range)
    return Image.from_array(given, channel_axis=channel_axis, data_range=data_range)  # type: ignore[arg-type]


def _check_planes(planes: Sequence[np.ndarray], exposures: bool) -> None:
    if not planes:
        raise DataError("no image to calibrate from")
    channels = sorted({len(plane) for plane in planes})
    if len(channels) > 1:
        fix = "Measure grey and colour images apart."
        raise DataError("images of one sensor have the same channels", got=channels, fix=fix)
    sizes = sorted({plane.shape[1:] for plane in planes})
    if exposures and len(sizes) > 1:
        raise DataError("exposures of one scene have one size", got=sizes)
    if exposures and len(planes) < 2:
        raise DataError("repeated exposures need at least two images of one scene", got=len(planes))
    if exposures:
        check_no_copies(planes)


def _checked_mask(mask: npt.ArrayLike, planes: Sequence[np.ndarray]) -> np.ndarray:
    where = np.asarray(mask)
    sizes = {plane.shape[1:] for plane in planes}
    if sizes != {where.shape}:
        raise InputError("the mask does not fit the images", got=where.shape, expected=sorted(sizes))
    where = where > (0.5 if where.dtype.kind == "f" else 0)
    if not where.any():
        raise DataError("the mask leaves nothing to measure in", fix="Make it true where the noise shall be measured.")
    return where


def _model(channels: Sequence[Measured], *, told: bool = True) -> tuple[str, Noise]:
    """The kind of noise and the model of all channels."""
    kind = _kind(channels)
    parts = [_correlated(channels, TOLD if told else DEVELOPED) if kind == "correlated" else _WHITE[kind](channels)]
    for axis in ("rows", "columns"):
        levels = [float(getattr(each.channel, axis)) for each in channels]
        if any(levels):
            parts.append(Stripes(_value(levels), axis=axis))
    impulses = float(np.mean([each.channel.impulses for each in channels]))
    if impulses:
        parts.append(SaltAndPepper(_value([impulses])))
    return kind, parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _kind(channels: Sequence[Measured]) -> str:
    heard = [each for each in channels if each.told and each.channel.sigma > SILENT] or channels
    if sum(each.correlated for each in heard) * 2 > len(heard):
        return "correlated"
    if any(each.dependent for each in channels):
        return "poisson-gaussian"
    return "gaussian" if any(each.channel.sigma for each in channels) else "none"


def _gaussian(channels: Sequence[Measured]) -> Noise:
    return Gaussian(_value([min(each.channel.sigma, 1.0) for each in channels]))


def _poisson_gaussian(channels: Sequence[Measured]) -> Noise:
    gains = [min(each.channel.gain, 1.0) for each in channels]
    return PoissonGaussian(_value(gains), _value([min(each.channel.read, 1.0) for each in channels]))


def _correlated(channels: Sequence[Measured], typical_of: tuple[float, float]) -> Noise:
    """Correlated noise, of a channel in which it cannot be told from the picture as of the others.

    In a developed photograph flat areas hold too little of it.
    """
    seen = [each.channel for each in channels if each.correlated]
    length, typical = (float(median(np.array([getattr(each, name) for each in seen]))) for name in ("length", "sigma"))
    found = [min(each.channel.sigma if each.correlated else typical, 1.0) for each in channels]
    sigmas = np.minimum(found, 1.5 * typical)
    if any(each.developed for each in channels):
        usual, share = GREY if len(channels) == 1 else (float(np.interp(length, LENGTHS, typical_of)), 1.0)
        sigmas = np.minimum(np.maximum(sigmas, np.sqrt(sigmas * usual)), HIGHEST) * share
    return Correlated(_value(sigmas.tolist()), round(length, 3))


_WHITE = {
    "none": _gaussian,
    "gaussian": _gaussian,
    "poisson-gaussian": _poisson_gaussian,
}


def _value(numbers: Sequence[float]) -> Value:
    """A number for one channel, a list for several; four digits are more than is known."""
    rounded = [float(f"{number:.4g}") for number in numbers]
    return rounded[0] if len(rounded) == 1 else rounded


def _warnings(channels: Sequence[Measured], kind: str) -> list[str]:
    found = []
    if any(not each.told for each in channels):
        found.append(
            "nothing can be said of a channel: it is constant, drawn, too small, or clipped or masked all over"
        )
    if any(each.told and each.channel.flat < FEW_FLAT for each in channels):
        found.append("too little flat area to tell the noise well: give more images (of the same sensor)")
    if kind in ("gaussian", "correlated") and any(_is_wide(each, "sigma") for each in channels):
        found.append("the level is uncertain: see its interval")
    if kind == "gaussian" and any(_is_wide_somewhere(each) for each in channels):
        found.append("flat areas are too few or too alike to tell whether noise grows with brightness: see the curve")
    if kind == "poisson-gaussian" and any(_is_wide(each, "gain") for each in channels):
        found.append("the gain is uncertain, as where other noise hides it: see its interval")
    if kind == "poisson-gaussian" and any(_is_wide(each, "read") for each in channels):
        found.append("the read noise is uncertain, as where a picture has no dark part: see its interval")
    if kind != "correlated" and any(each.undecided for each in channels):
        found.append("no area is flat: coarse detail is taken for texture; correlated noise could look the same")
    if kind == "correlated" and any(each.developed for each in channels):
        found.append(FAINT)
    if kind == "correlated" and any(each.lowered for each in channels):
        found.append(LOWERED)
    if any(each.channel.offset for each in channels):
        found.append("black seems to lie above 0: subtract the black level, or give it as data_range=(black, white)")
    return found


def _is_wide(measured: Measured, name: str) -> bool:
    """Whether the interval of a number of a channel is wide for what it is of."""
    return measured.told and _far_apart(getattr(measured.channel, f"{name}_interval"), getattr(measured.channel, name))


def _is_wide_somewhere(measured: Measured) -> bool:
    """Whether the interval of the curve of a channel is wide at some brightness."""
    return measured.told and any(_far_apart(point.interval, point.sigma) for point in measured.channel.curve)


def _far_apart(interval: Interval, middle: float) -> bool:
    low, high = interval
    return high - low > 2 * WIDE * max(middle, 1e-9)
