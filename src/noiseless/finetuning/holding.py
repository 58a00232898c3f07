"""As much of a change as may be: between the old weights and the new, where what is to be kept is hardly worse.

Wortsman et al., "Robust fine-tuning of zero-shot models", 2022 (WiSE-FT): on the straight line from the old weights to
fine-tuned ones, what is gained on the new task grows about as the share of the way, what is lost on the old one about
as its square. So a part of the way gives most of the gain and loses little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from noiseless.finetuning.keeping import SMALLEST, Past, squares
from noiseless.training.objectives import Batch, apply

BATCHES = 6
"""Of patches to keep, by which the loss is measured; they are not among those that are rehearsed."""

FIRST = 1 << 31
"""Number of the first of them."""

TRIES = 6
CAUTION = 0.95
"""Share of the step that a parabola through the loss at hand says would just do."""

LEAST = 0.25
"""Share of the way that is left after one try, at least."""


class Holding:
    """Holds a changed network to what it could do before.

    Args:
        past: what that was.
        before: the weights then, by name.
        most: dB that may be lost.

    Attributes:
        share: of the change that the last network was left with.
    """

    def __init__(self, past: Past, before: Mapping[str, Tensor], most: float) -> None:
        self.past, self.before, self.most = past, before, most
        self.share = 1.0
        self._after = before

    def __call__(self, network: nn.Module) -> nn.Module:
        """Take a network back as far towards what it was as `most` asks for, in place."""
        after = {name: tensor.clone() for name, tensor in network.state_dict().items()}

        def take(share: float) -> None:
            network.load_state_dict({name: _between(self.before[name], after[name], share) for name in after})

        def lost(share: float) -> float:
            take(share)
            return self.lost(network)

        if not all(torch.equal(after[name], self._after[name]) for name in after):  # a network is validated, then saved
            self._after, self.share = after, largest_share(lost, self.most)
        take(self.share)
        return network

    @torch.no_grad()
    def lost(self, network: nn.Module) -> float:
        """dB that a network loses on what is to be kept, in the mean over patches; below 0 where it is better."""
        training = network.training
        network.eval()
        errors = torch.cat([self._errors(network, batch) for batch in self._batches])
        network.train(training)
        return float(10 * torch.log10(errors / self._before).mean())

    @cached_property
    def _batches(self) -> list[Batch]:
        return [self.past.batch(FIRST + number) for number in range(BATCHES)]

    @cached_property
    def _before(self) -> Tensor:
        return torch.cat([self._errors(self.past.network, batch) for batch in self._batches])

    def _errors(self, network: nn.Module, batch: Batch) -> Tensor:
        return squares(apply(network, batch.noisy, batch.sigma).float(), batch.target).clamp_min(SMALLEST)


def largest_share(lost: Callable[[float], float], most: float) -> float:
    """The largest share of a change, about, that loses no more than `most`; 0 where none was found.

    Args:
        lost: the loss at a share.
        most: what may be lost.
    """
    share = 1.0
    for _ in range(TRIES):
        now = lost(share)
        if now <= most:
            return share
        share *= max(CAUTION * (most / now) ** 0.5, LEAST)
    return 0.0


def _between(before: Tensor, after: Tensor, share: float) -> Tensor:
    if share == 1 or not after.is_floating_point():
        return after
    return torch.lerp(before.to(after), after, share)
