"""A network of your own: a plain PyTorch module that says how it is applied.

It can then be trained, measured, exported and used like any other. A package adds it for good with an entry point:

    [project.entry-points."noiseless.networks"]
    dilated_row = "custom_network:DilatedRow"

A program adds it for itself, as below, in the table.

Run: python examples/custom_network.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import noiseless
from noiseless.bundle import NetworkSpec
from noiseless.data import samples
from noiseless.networks import NETWORKS
from noiseless.training.config import DataConfig, TrainingConfig


class DilatedRow(nn.Module):
    """Convolutions whose windows have ever larger holes, without a bias; blind.

    Args:
        channels: image channels in and out.
        width: features of every layer.
    """

    def __init__(self, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        holes = (1, 2, 4, 2, 1)
        inputs = [channels, *[width] * (len(holes) - 1)]
        outputs = [*[width] * (len(holes) - 1), channels]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=hole, dilation=hole, bias=False)
            for before, after, hole in zip(inputs, outputs, holes, strict=True)
        )
        self.spec = NetworkSpec(channels, halo=sum(holes))  # each layer looks as far as its holes are wide

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Restore `x` of shape (B, C, H, W)."""
        features = x
        for layer in self.layers[:-1]:
            features = torch.relu(layer(features))
        return x - self.layers[-1](features)


def train(output: Path, steps: int = 300, patch_size: int = 48) -> noiseless.Denoiser:
    """Train it by its name, as `noiseless train --network dilated_row` would."""
    NETWORKS["dilated_row"] = "custom_network:DilatedRow"
    config = noiseless.RunConfig(
        network="dilated_row",
        noise="gaussian:25",
        steps=steps,
        data=DataConfig(clean=tuple(map(str, samples("train")))),
        training=TrainingConfig(batch_size=8, patch_size=patch_size, lr=2e-3, ema=0.99, validations=3),
    )
    return noiseless.train(config, output)


if __name__ == "__main__":
    denoiser = train(Path("runs/example-network"))
    photograph = noiseless.read(samples("test")[0])
    print(denoiser, denoiser.image(photograph).array.shape)
