"""What a model took out of an image: noise, or some of the picture?

What is removed, noisy minus restored, should look like the noise: of its variance everywhere, as alike from pixel to
pixel, and no stronger where the picture has edges. Structure that was eaten adds to it, and so does what was invented;
noise that was left is missing from it. A good model leaves some noise where the picture is rich, for it cannot tell the
two apart there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

WINDOW, STEP = 16, 8
"""Side of the windows of the map and their distance, in pixels."""

TOO_MUCH = 1.3
"""Variance over the predicted one above which a window lost structure, if chance does not make as much of it."""

TOO_LITTLE = 0.5
"""Below it, a window kept at least half of its noise."""

CHANCE = 5.0
"""Standard deviations of a window of mere noise that pass for chance."""

NOTHING = 0.05
"""Share of the predicted variance below which nothing was removed."""

FEW = 0.01
"""Share of windows with too much from which a picture counts as damaged."""

ALIKE = 0.15
"""Correlation of neighbours, beyond that of the noise, from which what was removed is no such noise."""

EDGE = 1.0
"""Standard deviation in pixels of the window in which edges are looked for."""


@dataclass(frozen=True)
class Audit:
    """What was removed from one image, beside the noise that should have been.

    Attributes:
        ratio: its variance over the predicted one.
        neighbours: correlation of neighbouring pixels.
        expected: that of the noise.
        edges: correlation of windows: variance ratio with the strength of edges in the restored image.
        limit: ratio above which a window lost structure.
        windows: (rows, columns), the map: variance ratio of windows of 16 pixels, each 8 pixels from the next.
    """

    ratio: float
    neighbours: float
    expected: float
    edges: float
    limit: float
    windows: np.ndarray

    @property
    def too_much_windows(self) -> np.ndarray:
        """Which windows lost structure."""
        return self.windows > self.limit

    @property
    def too_little_windows(self) -> np.ndarray:
        """Which windows kept at least half of their noise."""
        return self.windows < TOO_LITTLE

    @property
    def too_much(self) -> float:
        """Share of windows that lost structure."""
        return float(self.too_much_windows.mean())

    @property
    def too_little(self) -> float:
        """Share of windows that kept at least half of their noise."""
        return float(self.too_little_windows.mean())

    @property
    def verdict(self) -> str:
        """``nothing removed``, ``structure removed`` (or invented), ``noise left`` or ``looks like noise``."""
        if self.ratio < NOTHING:
            return "nothing removed"
        if self.too_much > FEW or self.ratio > self.limit or self.neighbours - self.expected > ALIKE:
            return "structure removed"
        return "noise left" if self.ratio < TOO_LITTLE else "looks like noise"

    def __str__(self) -> str:
        """The verdict and its numbers on one line."""
        return (
            f"{self.verdict}; {self.ratio:.2f} of the predicted variance, neighbours correlate {self.neighbours:+.2f} "
            f"(the noise {self.expected:+.2f}), with edges {self.edges:+.2f}; too much in {self.too_much:.1%} of "
            f"windows, too little in {self.too_little:.1%}"
        )

    def to_dict(self) -> dict[str, float | str]:
        """The numbers and the verdict; not the map."""
        names = ("verdict", "ratio", "neighbours", "expected", "edges", "too_much", "too_little")
        return {name: getattr(self, name) for name in names}


def audit(
    noisy: np.ndarray, restored: np.ndarray, variance: np.ndarray, sample: np.ndarray, *, doubt: float = 0.0
) -> Audit:
    """Compare what was removed with the noise.

    Args:
        noisy: (C, H, W) in [0, 1] units.
        restored: likewise.
        variance: predicted of the noise, (C, H, W), clipping included.
        sample: noise as it might have been, (C, H, W): it says how alike neighbours are and what chance does.
        doubt: half the interval of the mean variance.
    """
    floor = max(float(variance.mean()), 1e-12) * 1e-3
    spread = np.sqrt(np.maximum(variance, floor))
    removed = (noisy - restored) / spread
    level = float(variance.mean())
    weights = _windows(np.maximum(variance, floor))
    ratios = _windows((noisy - restored) ** 2) / weights
    chance = _windows(sample.astype(np.float64) ** 2) / weights
    edges = _windows(ndimage.gaussian_gradient_magnitude(restored.mean(axis=0), EDGE)[np.newaxis])
    limit = max(TOO_MUCH, 1 + CHANCE * float(chance.std())) + doubt / max(level, 1e-12)
    ratio = float(((noisy - restored) ** 2).mean()) / max(level, 1e-12)
    return Audit(ratio, _alike(removed), _alike(sample / spread), _correlation(ratios, edges), limit, ratios)


def _windows(values: np.ndarray) -> np.ndarray:
    """Means over channels and windows, (rows, columns); one window where the image is no larger."""
    plane = values.mean(axis=0, dtype=np.float64)
    sides = [min(WINDOW, side) for side in plane.shape]
    means = ndimage.uniform_filter(plane, sides, mode="reflect")
    first = [side // 2 for side in sides]
    last = [size - side + half + 1 for size, side, half in zip(plane.shape, sides, first, strict=True)]
    found: np.ndarray = means[first[0] : last[0] : STEP, first[1] : last[1] : STEP]
    return found


def _alike(values: np.ndarray) -> float:
    """The mean correlation of pixels with the next across and down."""
    across = _correlation(values[..., 1:], values[..., :-1])
    return (across + _correlation(values[..., 1:, :], values[..., :-1, :])) / 2


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    if not one.size:  # nothing is beside a single row
        return 0.0
    one, other = one - one.mean(dtype=np.float64), other - other.mean(dtype=np.float64)
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else 0.0
