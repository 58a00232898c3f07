"""Noise of a colour sensor as it looks after a camera has developed the picture: raw noise, demosaicked,
toned.

What is developed here is the noise, not the picture: it is drawn in the linear raw mosaic with the variance
that the picture gives it there, interpolated as the picture would be, and carried to sRGB by the slope of the
tone curve. So its mean stays zero, and the picture keeps its sharpness and its colours. Arrays are float32;
images have the shape (3, H, W) with even H and W, and wrap around at their borders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEVELS = 256
"""Entries of the tables that stand for functions of an sRGB value in [0, 1]."""

_VALUES = np.linspace(0, 1, LEVELS)
_CURVE = np.linspace(0, 1, 2049)


@dataclass(frozen=True)
class Development:
    """How one camera turns raw values into sRGB.

    Attributes:
        matrix: (3, 3), from white-balanced camera colours to linear sRGB; its rows sum to one.
        gains: (3,), white balance: what red, green and blue are multiplied by.
        gamma: exponent of the tone curve before contrast.
        contrast: share of a smoothstep S curve that follows, 0 to 1.
        red_at: row and column, 0 or 1, of red in the 2 x 2 Bayer cell; blue lies diagonally opposite.
        directed: demosaick along edges (Hamilton and Adams, US patent 5629734, 1997) instead of bilinearly.
    """

    matrix: np.ndarray
    gains: np.ndarray
    gamma: float
    contrast: float
    red_at: tuple[int, int]
    directed: bool

    def tone(self, linear: np.ndarray) -> np.ndarray:
        """sRGB values of linear ones; both in [0, 1], float64."""
        value = np.clip(linear, 0, 1) ** (1 / self.gamma)
        smooth = value * value * (3 - 2 * value)
        return np.asarray(value + self.contrast * (smooth - value))

    def linear_table(self) -> np.ndarray:
        """Linear values of the `LEVELS` sRGB values from 0 to 1, float32."""
        return np.interp(_VALUES, self.tone(_CURVE**2), _CURVE**2).astype(np.float32)


def draw_development(generator: np.random.Generator) -> Development:
    """A camera that does not exist but could.

    White balance and contrast span those of Brooks et al., "Unprocessing Images for Learned Raw Denoising",
    2019; the matrix has negative crosstalk off its diagonal, as those of real cameras have.
    """
    matrix = generator.uniform(-0.6, 0.05, (3, 3))
    np.fill_diagonal(matrix, 0)
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return Development(
        matrix=matrix.astype(np.float32),
        gains=np.array([generator.uniform(1.3, 2.4), 1, generator.uniform(1.3, 2.6)], np.float32),
        gamma=generator.uniform(1.9, 2.5),
        contrast=1 - generator.random() ** 2,
        red_at=(int(generator.integers(2)), int(generator.integers(2))),
        directed=bool(generator.random() < 0.5),
    )


def read_variance(shot: float, generator: np.random.Generator) -> float:
    """Variance of the read noise that sensors of a shot noise have; Brooks et al. 2019, equation 5 (natural
    logarithms).

    Args:
        shot: variance of the shot noise at linear value one.
        generator: sensors of the same shot noise differ.
    """
    return math.exp(2.18 * math.log(shot) + 1.20 + 0.26 * generator.standard_normal())


def developed_noise(
    clean: np.ndarray, shot: float, read: float, development: Development, generator: np.random.Generator
) -> np.ndarray:
    """Noise of a Bayer sensor in sRGB, of zero mean.

    Args:
        clean: sRGB in [0, 1], (3, H, W), H and W even.
        shot, read: variance in raw units: ``shot * value + read``.
        development: the camera.
        generator: draws the noise.

    Returns:
        float32 of the shape of `clean`, to be added to it.
    """
    index = np.rint(clean * (LEVELS - 1)).astype(np.uint8)
    linear = development.linear_table()[index]
    inverse = np.linalg.inv(development.matrix).astype(np.float32)
    camera = np.clip((inverse @ linear.reshape(3, -1)).reshape(linear.shape), 0, 1)
    signal = _mosaic(camera, development.red_at)
    gains = _mosaic(np.broadcast_to(development.gains[:, None, None], camera.shape), development.red_at)
    noise = np.sqrt(gains * (shot * signal + gains * read))
    noise *= generator.standard_normal(noise.shape, dtype=np.float32)
    guide = signal + noise if development.directed else None
    colours = demosaick(noise, development.red_at, guide)
    colours = (development.matrix @ colours.reshape(3, -1)).reshape(colours.shape)
    return np.asarray(colours * slope_table(development, shot, read)[index])


def slope_table(development: Development, shot: float, read: float) -> np.ndarray:
    """How much a noise of one standard deviation grows from linear to sRGB, at each of the `LEVELS` sRGB values.

    The slope is that of the secant across one standard deviation to both sides, since at black the curve's
    own slope has no bound.
    """
    linear = development.linear_table().astype(np.float64)
    sigma = np.sqrt(shot * linear + read)
    secant = development.tone(linear + sigma) - development.tone(linear - sigma)
    return np.asarray(secant / (2 * sigma), np.float32)


def demosaick(mosaic: np.ndarray, red_at: tuple[int, int], guide: np.ndarray | None = None) -> np.ndarray:
    """The three colours of a Bayer mosaic.

    Args:
        mosaic: (H, W), one colour a pixel.
        red_at: place of red in the 2 x 2 cell.
        guide: (H, W), a mosaic along whose edges green is interpolated, red and blue then as differences to
            green (Hamilton and Adams); without it, each colour is interpolated bilinearly.

    Returns:
        (3, H, W).
    """
    sites = _sites(mosaic.shape, red_at)
    if guide is None:
        green = mosaic * sites[1]
        green = green + 0.25 * (_beside(green, 0) + _beside(green, 1))
        return np.stack([_fill(mosaic * sites[0]), green, _fill(mosaic * sites[2])])
    across, along = (_directional(mosaic, guide, axis) for axis in (0, 1))
    chosen = np.where(across[1] < along[1], across[0], along[0])
    green = np.where(sites[1] > 0, mosaic, chosen)
    difference = mosaic - green
    return np.stack([green + _fill(difference * sites[0]), green, green + _fill(difference * sites[2])])


def _directional(mosaic: np.ndarray, guide: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Green interpolated along an axis, corrected by the second difference of the pixel's own colour; and its cost."""
    second = 2 * mosaic - _beside(mosaic, axis, 2)
    cost = np.abs(2 * guide - _beside(guide, axis, 2))
    cost += np.abs(np.roll(guide, 1, axis) - np.roll(guide, -1, axis))
    return 0.5 * _beside(mosaic, axis) + 0.25 * second, cost


def _beside(plane: np.ndarray, axis: int, distance: int = 1) -> np.ndarray:
    """Sum of the two neighbours along an axis."""
    return np.asarray(np.roll(plane, distance, axis) + np.roll(plane, -distance, axis))


def _fill(sparse: np.ndarray) -> np.ndarray:
    """Bilinear interpolation of a plane that has a value at one pixel of each 2 x 2 cell and zeros elsewhere."""
    rows = sparse + 0.5 * _beside(sparse, 1)
    return np.asarray(rows + 0.5 * _beside(rows, 0))


def _mosaic(colours: np.ndarray, red_at: tuple[int, int]) -> np.ndarray:
    """One colour of (3, H, W) at each pixel, as a Bayer filter lets through."""
    row, column = red_at
    mosaic = np.array(colours[1])
    mosaic[row::2, column::2] = colours[0, row::2, column::2]
    mosaic[1 - row :: 2, 1 - column :: 2] = colours[2, 1 - row :: 2, 1 - column :: 2]
    return mosaic


@lru_cache(maxsize=64)
def _sites(shape: tuple[int, int], red_at: tuple[int, int]) -> np.ndarray:
    """(3, H, W) of ones where the mosaic has red, green and blue."""
    sites = np.stack([_mosaic(np.broadcast_to(np.eye(3)[c][:, None, None], (3, *shape)), red_at) for c in range(3)])
    return np.asarray(sites, np.float32)
