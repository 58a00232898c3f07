"""Prompts: what a network is told of a task, learned as a modulation of its features.

Prefix and prompt tuning (Li and Liang, "Prefix-Tuning", 2021; Lester et al., "The Power of Scale for
Parameter-Efficient Prompt Tuning", 2021) put learned vectors before the words that a language model reads. A
convolutional network reads no words. What is left of the idea is a vector for each task and layer that a frozen network
is run with: it multiplies the features that the layer is given and those that it gives (Perez et al., "FiLM: Visual
Reasoning with a General Conditioning Layer", 2018). A few kilobytes a task, so that one model serves many, by name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.finetuning.config import MethodConfig
from noiseless.finetuning.lowrank import Change, add_changes, is_convolution


class Modulated(Change):
    """A weight whose rows and columns are multiplied: features in and out, as a task wants them; by 1 at first.

    Args:
        weight: (outputs, inputs, height, width); for a transposed convolution inputs come first.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(weight.shape[0]))
        self.columns = nn.Parameter(torch.zeros(weight.shape[1]))

    def forward(self, weight: Tensor) -> Tensor:
        """The modulated weight, computed in the weight's own precision."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight * factors(self.rows, self.columns)

    def stored(self) -> dict[str, Tensor]:
        """Both vectors."""
        return {"rows": self.rows, "columns": self.columns}


def factors(rows: Tensor, columns: Tensor) -> Tensor:
    """What each number of a weight (rows, columns, height, width) is multiplied with; (rows, columns, 1, 1)."""
    return ((1 + rows)[:, None] * (1 + columns))[..., None, None]


def prompt(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Learn vectors that modulate the features around every convolution.

    Raises:
        ConfigError: there is no convolution.
    """
    return add_changes(network, config, is_convolution, Modulated)
