"""Learning from two half-size images made of neighbouring pixels of one.

Huang et al., "Neighbor2Neighbor: Self-Supervised Denoising from Single Noisy Images", 2021: of each 2x2 pixels two
that touch are chosen, one for the input and one for the target; a second term sees that the network, on the whole
image, agrees. In correlated noise the image is first taken apart until neighbours are independent (see
`noiseless.training.objectives.apart`), and the network on the whole image learns to agree with itself on the parts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply
from noiseless.training.objectives.apart import fitting, repeat_for, sides_of, stride_for, take_apart

AGREEMENT = 1.0
"""Weight of the second term; the paper lets it grow from 0 to 1 or 2."""

PAIRS = torch.tensor([(0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0), (1, 3), (3, 1)])
"""Two pixels that touch among four: 0 and 1 above, 2 and 3 below."""


def neighbor2neighbor(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective ``loss(network(first), second)`` and, as weighty, that the whole image gives the same."""
    assert noise is not None
    stride = stride_for(noise)

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        multiple = sides_of(network)
        parts, sigma = take_apart(batch.noisy, stride), repeat_for(batch.sigma, stride)
        parts = fitting(parts, multiple)
        with torch.set_grad_enabled(stride > 1):
            whole = fitting(take_apart(apply(network, batch.noisy, batch.sigma).float(), stride), multiple)
        choice = PAIRS[torch.randint(len(PAIRS), (parts.shape[0], parts[0, 0].numel() // 4), generator=generator)]
        first, second = (choose(parts, choice[..., side]) for side in (0, 1))
        restored = apply(network, first, sigma).float()
        whole_first, whole_second = (choose(whole.detach(), choice[..., side]) for side in (0, 1))
        value = loss(restored, second) + AGREEMENT * loss(restored - second, whole_first - whole_second)
        if stride > 1:
            with torch.no_grad():
                apart = apply(network, parts, sigma).float()
            value = value + loss(whole, apart)
        return value, {}

    return objective


def choose(image: Tensor, which: Tensor) -> Tensor:
    """One pixel of each 2x2: (B, C, H, W) and (B, H W / 4) with 0 to 3 to (B, C, H / 2, W / 2)."""
    batch, channels, height, width = image.shape
    cells = image.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 1, 2, 4, 3, 5)
    index = which.to(image.device).reshape(batch, 1, height // 2, width // 2, 1).expand(-1, channels, -1, -1, -1)
    return cells.flatten(4).gather(4, index)[..., 0]
