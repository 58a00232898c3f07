"""Small networks as bundles, for tests of what runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from noiseless import exporting, networks
from noiseless.bundle import Bundle

CONDITIONED: dict[str, Any] = {"channels": 1, "widths": [8, 16], "blocks": [1, 1]}
BLIND: dict[str, Any] = {"channels": 3, "width": 8, "depth": 4}
NORMALISED: dict[str, Any] = {**BLIND, "batch_norm": True, "bias": False}
"""Arguments of a ``unet_nano`` and of two ``dncnn``."""


def conditioned_network() -> nn.Module:
    """A grey U-Net that is told the noise level, with random weights that change the image."""
    return scrambled(networks.create("unet_nano", **CONDITIONED))


def blind_network() -> nn.Module:
    """A colour DnCNN with random weights that change the image."""
    return scrambled(networks.create("dncnn", **BLIND))


def normalised_network() -> nn.Module:
    """A colour DnCNN with batch normalisation behind convolutions without a bias, as of a trained one."""
    network = scrambled(networks.create("dncnn", **NORMALISED))
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            values = torch.randn(4, module.num_features, generator=generator)
            module.weight.data, module.bias.data = 0.7 + 0.1 * values[0], 0.1 * values[1]
            module.running_mean, module.running_var = 0.1 * values[2], (0.2 * values[3]).exp()
    return network


def save(network: nn.Module, folder: Path, name: str, arguments: dict[str, Any], **options: Any) -> Bundle:
    """Save a network of the table as a bundle without a story."""
    details: dict[str, Any] = {"noise": None, "card": "# A test\n", "train": {}, **options}
    return exporting.save_bundle(network, folder, name=folder.name, network_name=name, arguments=arguments, **details)


def noisy(*shape: int, seed: int = 0) -> np.ndarray:
    """A smooth picture with noise, float32, about [0, 1]; shape (..., H, W)."""
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    smooth = 0.5 + 0.3 * np.sin(rows / 7) * np.cos(columns / 9)
    noise = 0.1 * np.random.default_rng(seed).standard_normal(shape)
    return (smooth + noise).astype(np.float32)


def scrambled(network: nn.Module) -> nn.Module:
    """A network with random weights that change the image."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.parameters():
            spread = (2 / max(tensor[0].numel(), 1)) ** 0.5 if tensor.ndim > 1 else 0.1
            tensor.copy_(0.5 * spread * torch.randn(tensor.shape, generator=generator))
    return network.eval()
