"""Whether neighbouring planes of a stack, or frames of a film, show one scene, each with noise of its own."""

from __future__ import annotations

import numpy as np
import torch

from noiseless.data.parts import middle
from noiseless.data.store import as_unit_float
from noiseless.training.known import KnownNoise

SAME_NOISE, SAME_SCENE = 0.6, 1.3
"""Neighbouring planes that differ less than the first, over what noise explains, share noise, as copies and a fixed
pattern do; those that differ by no more than the second show one scene."""

SIDES = (4, 8, 16)
"""Sides of the blocks in which something small may have moved."""

CERTAIN = 4.4
"""Standard deviations that noise alone hardly moves the mean of any block by."""

FARTHEST = 4.0
"""Standard deviations beyond which a pixel says no more: it may be lost, or hit by a cosmic ray."""

LARGEST = 1024
"""Side in pixels of what is looked at."""


def one_scene(ratio: float | None) -> bool:
    """Whether planes that differ so much are second views of each other, see `difference`."""
    return ratio is not None and SAME_NOISE <= ratio <= SAME_SCENE


def difference(one: np.ndarray, other: np.ndarray, noise: KnownNoise) -> float:
    """How much two planes (C, H, W) of one shape differ, over what noise alone explains: 1 if that is all.

    It is the ratio of the mean squares or, where a single block differs more, that of its mean to what is certain.
    """
    first, second = (as_unit_float(middle(plane, LARGEST)) for plane in (one, other))
    variance = noise.variance(torch.from_numpy((first + second) / 2)[None])[0].numpy()
    change = ((first - second) / np.sqrt(2 * variance)).clip(-FARTHEST, FARTHEST)
    local = max((_largest(change, side, noise) for side in SIDES if side <= min(change.shape[1:])), default=0.0)
    return max(float((change**2).mean()), (local / CERTAIN) ** 2)


def _largest(change: np.ndarray, side: int, noise: KnownNoise) -> float:
    """The largest mean of a block, in standard deviations of such means of noise."""
    channels, height, width = change.shape
    rows, columns = height // side, width // side
    blocks = change[:, : rows * side, : columns * side].reshape(channels, rows, side, columns, side).mean(axis=(2, 4))
    around = noise.correlation.numpy()
    reach = len(around) // 2
    overlap = np.maximum(1 - np.abs(np.arange(-reach, reach + 1)) / side, 0)
    spread = np.sqrt(max(float(overlap @ around @ overlap), 0.1)) / side
    return float(np.abs(blocks).max() / spread)
