"""What calibration found, in numbers and in words."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.noise import Noise
from noiseless.noise.chain import Chain
from noiseless.noise.correlated import Correlated
from noiseless.noise.values import as_array

Interval = tuple[float, float]
"""Low and high end; 95% of such intervals hold the truth."""


@dataclass(frozen=True)
class CurvePoint:
    """The noise at one brightness, before clipping, in [0, 1] units.

    Attributes:
        value: the brightness.
        sigma: standard deviation that the fitted model gives.
        interval: of `sigma`.
    """

    value: float
    sigma: float
    interval: Interval


@dataclass(frozen=True)
class Seen:
    """What the flat parts of one range of brightness say: mean value and standard deviation, in [0, 1] units."""

    value: float
    sigma: float


@dataclass(frozen=True)
class Channel:
    """The noise of one channel; all levels in [0, 1] units, before clipping.

    Attributes:
        sigma: standard deviation of a pixel, if it is the same everywhere; of correlated noise too.
        sigma_interval: of `sigma`.
        gain: value of one count: how fast the variance rises with brightness.
        gain_interval: of `gain`.
        read: standard deviation where the value is 0.
        read_interval: of `read`.
        curve: standard deviation against brightness.
        seen: what the curve was fitted to.
        autocorrelation_across: of the residual of flat areas along rows, at lags of 1, 2, ... pixels.
        autocorrelation_down: along columns.
        length: correlation length in pixels, 0 for white noise.
        octaves: levels of white noise with the power found at details of 2 to 4 pixels at the finest, 4 to 8, 8 to 16.
        rows: standard deviation of offsets of whole rows.
        columns: of whole columns.
        impulses: share of values that were lost.
        clipped_low: share of the values at the lower end, 0 where the image is not clipped there.
        clipped_high: likewise at the upper end.
        offset: value at which the noise would vanish (black level), where that is clearly above 0; else 0.
        flat: patches that the noise was measured in.
    """

    sigma: float
    sigma_interval: Interval
    gain: float
    gain_interval: Interval
    read: float
    read_interval: Interval
    curve: tuple[CurvePoint, ...]
    seen: tuple[Seen, ...]
    autocorrelation_across: tuple[float, ...]
    autocorrelation_down: tuple[float, ...]
    length: float
    octaves: tuple[float, ...]
    rows: float
    columns: float
    impulses: float
    clipped_low: float
    clipped_high: float
    offset: float
    flat: int


@dataclass(frozen=True)
class Calibration:
    """What noise is in some images.

    Attributes:
        noise: the model, before clipping; what `noiseless.calibrate` returns.
        kind: ``"none"``, ``"gaussian"``, ``"poisson-gaussian"`` or ``"correlated"``.
        channels: each channel.
        images: how many images were looked at.
        exposures: whether they are exposures of one scene.
        jpeg: the 8-pixel grid of JPEG can be seen.
        enlarged: by how much the image was enlarged, as far as that can be seen; None where it was not.
        warnings: what stands in the way of trusting the numbers.
    """

    noise: Noise
    kind: str
    channels: tuple[Channel, ...]
    images: int
    exposures: bool
    jpeg: bool
    enlarged: float | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; ``noise`` is as of `Noise.to_dict`, which `noiseless denoise --noise FILE.json` reads."""
        return {**dataclasses.asdict(self), "noise": self.noise.to_dict(), "spec": self.noise.spec}

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` as a file.

        Raises:
            OutputError: it cannot be written.
        """
        from noiseless.io.atomic import write_text

        write_text(path, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    def lines(self) -> list[str]:
        """The report in words, for people; levels on the 0-255 scale."""
        source = f"{self.images} exposures of one scene" if self.exposures else _counted(self.images)
        found = [f"{_KINDS[self.kind]}, from {source}", f"Noise: {self.noise.spec}"]
        names = _names(len(self.channels))
        for name, channel, taken in zip(names, self.channels, self._taken(), strict=True):
            found.extend(f"{name}{line}" for line in _channel_lines(channel, self.kind, taken))
        if self.jpeg:
            found.append("The grid of JPEG compression can be seen")
        if self.enlarged is not None:
            found.append(f"The image was enlarged, by {self.enlarged:.2f} or a factor that looks the same")
        return [*found, *(f"Warning: {warning}" for warning in self.warnings)]

    def _taken(self) -> list[float | None]:
        """For each channel the level that is taken from the others, where correlated noise is seen in those alone."""
        first = self.noise.parts[0] if isinstance(self.noise, Chain) else self.noise
        if not isinstance(first, Correlated):
            return [None] * len(self.channels)
        levels = np.broadcast_to(as_array(first.sigma).ravel(), len(self.channels)).tolist()
        return [None if channel.length else level for channel, level in zip(self.channels, levels, strict=True)]


_KINDS = {
    "none": "No noise found",
    "gaussian": "White noise of the same strength everywhere",
    "poisson-gaussian": "White noise that grows with brightness",
    "correlated": "Correlated noise: neighbours resemble each other",
}


def _counted(images: int) -> str:
    return "one image" if images == 1 else f"{images} images together"


def _names(count: int) -> tuple[str, ...]:
    if count == 1:
        return ("",)
    return ("red: ", "green: ", "blue: ") if count == 3 else tuple(f"channel {number}: " for number in range(count))


def _channel_lines(channel: Channel, kind: str, taken: float | None) -> list[str]:
    lines = [f"level {_on_255(channel.sigma)} of 255 ({_range_255(channel.sigma_interval)})"]
    if taken is not None:
        lines = [f"level {_on_255(taken)} of 255, taken from the other channels: none of it can be told in this one"]
    if kind == "poisson-gaussian":
        low, high = channel.gain_interval
        lines.append(
            f"gain {channel.gain:.3g} ({low:.3g} to {high:.3g}), read noise {_on_255(channel.read)} of 255 "
            f"({_range_255(channel.read_interval)})"
        )
    if channel.length:
        across, down = channel.autocorrelation_across[0], channel.autocorrelation_down[0]
        lines.append(f"neighbours correlate {across:.2f} across, {down:.2f} down: length {channel.length:.2g} pixels")
    for sigma, what in ((channel.rows, "row"), (channel.columns, "column")):
        if sigma:
            lines.append(f"{what} stripes of {_on_255(sigma)} of 255")
    if channel.impulses:
        lines.append(f"impulses: {channel.impulses:.2%} of the values are lost")
    for share, end in ((channel.clipped_low, "dark"), (channel.clipped_high, "bright")):
        if share:
            lines.append(f"clipped at the {end} end: {share:.1%} of the values")
    if channel.offset:
        lines.append(f"black level of about {channel.offset:.3g}")
    return lines


def _on_255(sigma: float) -> str:
    return f"{255 * sigma:.3g}"


def _range_255(interval: Interval) -> str:
    return f"{_on_255(interval[0])} to {_on_255(interval[1])}"
