"""Blind spots: pixels whose own value, and whatever tells their noise, is taken from the network's input.

In white noise a spot is one pixel. In correlated noise its neighbours would tell what its noise is, so the spot
takes their shape: Broaddus et al., "Removing Structured Noise with Self-Supervised Blind-Spot Networks", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from noiseless.training.known import KnownNoise

PIECES = 4
"""Into how many random displacements the replacements of a batch are taken from."""


def spot_shape(noise: KnownNoise) -> Tensor:
    """The shape of a blind spot, float (2 reach + 1, 2 reach + 1): 1 where the input is hidden."""
    reach, middle = noise.reach, noise.near.shape[0] // 2
    window = slice(middle - reach, middle + reach + 1)
    return noise.near[window, window].float()


def around(centres: Tensor, shape: Tensor) -> Tensor:
    """Where the spots around `centres` (B, C, H, W), 0 or 1, hide the input; bool of the same shape."""
    size = shape.shape[-1]
    if size == 1:
        return centres > 0
    weight = shape.to(centres.device).flip(0, 1)[None, None]
    spread = functional.conv2d(centres.flatten(0, 1)[:, None], weight, padding=size // 2)
    return spread.reshape(centres.shape) > 0.5


def one_in_each_cell(noisy: Tensor, cell: int, generator: torch.Generator, *, joint: bool) -> Tensor:
    """One random pixel in each cell of `cell` x `cell`, 0 or 1 as (B, C, H, W); the same in all channels if `joint`."""
    batch, channels, height, width = noisy.shape
    rows, columns = -(-height // cell), -(-width // cell)
    places = torch.randint(cell * cell, (batch, 1 if joint else channels, rows, columns), generator=generator)
    ones = functional.one_hot(places, cell * cell).float()
    chosen = torch.unflatten(ones, -1, (cell, cell)).permute(0, 1, 2, 4, 3, 5).flatten(4, 5).flatten(2, 3)
    return chosen[..., :height, :width].expand(batch, channels, height, width).to(noisy.device)


def from_elsewhere(noisy: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """For each pixel the value of a random other one, out of `reach` but not far: (B, C, H, W)."""
    near, far = reach + 1, reach + 2
    ring = [(y, x) for y in range(-far, far + 1) for x in range(-far, far + 1) if max(abs(y), abs(x)) >= near]
    picks = torch.randint(len(ring), (PIECES,), generator=generator).tolist()
    wide = functional.pad(noisy, (far, far, far, far), mode="reflect")
    height, width = noisy.shape[-2:]
    moved = [
        wide[..., far + y : far + y + height, far + x : far + x + width] for y, x in (ring[pick] for pick in picks)
    ]
    which = torch.randint(PIECES, noisy.shape, generator=generator).to(noisy.device)
    replaced = moved[0]
    for number, other in enumerate(moved[1:], 1):
        replaced = torch.where(which == number, other, replaced)
    return replaced
