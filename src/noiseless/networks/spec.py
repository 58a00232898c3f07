"""What a network costs, and how much context a tile of it needs: measured, not declared."""

from __future__ import annotations

import bisect
import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from noiseless.bundle import NetworkSpec
from noiseless.tiling import round_up

TOLERANCE = 1e-5
"""Largest difference between tiled and whole, in [0, 1] units, at which a halo is enough."""

SIGMA = 25 / 255
CORE = 64


def parameters(network: nn.Module) -> int:
    """How many numbers a network has learnt."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, size: int = 256) -> int:
    """Multiply-adds of the convolutions and linear layers for one image, without computing it.

    Activations, norms and additions are not counted, as is usual.

    Args:
        network: with an attribute ``spec``.
        size: height and width of the image, in pixels; rounded up to what the network takes.
    """
    shapes = copy.deepcopy(network).to("meta").eval()
    spec = _spec(network)
    side = round_up(max(size, spec.minimum_size), spec.multiple_of)
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(_layer_multiply_adds(layer, inputs[0], output))

    for layer in shapes.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        _apply(shapes, torch.empty(1, spec.channels, side, side, device="meta"))
    return sum(counts)


def measure_halo(network: nn.Module, *, limit: int) -> int | None:
    """The least context, in pixels, with which the middle of a tile comes out as in the whole image.

    A noisy picture is restored whole and in tiles cut from it, and the smallest context found that keeps their
    largest difference within `TOLERANCE`. It depends on the weights: trained ones look less far than
    the layers could reach.

    Args:
        network: with an attribute ``spec``; left as it is.
        limit: most pixels of context to try.

    Returns:
        A multiple of the spec's, or ``None`` where no context up to the limit is enough.
    """
    spec = _spec(network)
    core = round_up(max(CORE, spec.minimum_size), spec.multiple_of)
    steps = limit // spec.multiple_of
    picture = noisy_picture(spec.channels, core + 2 * steps * spec.multiple_of, seed=0)
    with _evaluating(network):
        whole = _apply(network, picture)

        def suffices(step: int) -> bool:
            border = (steps - step) * spec.multiple_of
            halo, end = step * spec.multiple_of, picture.shape[-1] - border
            tile = _apply(network, picture[..., border:end, border:end])
            wanted = whole[..., border:end, border:end]
            middle = slice(halo, halo + core)
            difference = (tile - wanted)[..., middle, middle]
            return not difference.abs().max().item() > TOLERANCE

        enough = bisect.bisect_left(range(steps), True, key=suffices)
    return None if enough == steps else enough * spec.multiple_of


def noisy_picture(channels: int, side: int, seed: int) -> Tensor:
    """A picture of shapes and texture with Gaussian noise; (1, channels, side, side), about [0, 1].

    Smooth random fields of many scales, the coarser the stronger, as in photographs; thresholding one of them
    gives edges.
    """
    generator = torch.Generator().manual_seed(seed)

    def field(cells: int) -> Tensor:
        coarse = torch.randn(1, channels, cells, cells, generator=generator)
        return functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)

    scales = [cells for cells in (4, 8, 16, 32, 64, 128) if cells <= side]
    texture = sum((field(cells) / cells for cells in scales), torch.zeros(1, channels, side, side))
    picture = 0.45 + 0.4 * texture + 0.2 * torch.sign(field(min(6, side)))
    return picture.clamp(0, 1) + SIGMA * torch.randn(picture.shape, generator=generator)


def _layer_multiply_adds(layer: nn.Module, inputs: Tensor, output: Tensor) -> int:
    if isinstance(layer, nn.ConvTranspose2d):
        return inputs.numel() * layer.weight[0].numel()
    if isinstance(layer, nn.Conv2d | nn.Linear):
        return output.numel() * layer.weight[0].numel()
    raise TypeError(f"no count for {type(layer).__name__}")


def _spec(network: nn.Module) -> NetworkSpec:
    spec = network.spec
    if not isinstance(spec, NetworkSpec):
        raise TypeError(f"{type(network).__name__} has no attribute spec")
    return spec


def _apply(network: nn.Module, x: Tensor) -> Tensor:
    told = _spec(network).conditioning == "sigma"
    restored: Tensor = network(x, torch.full((1, 1, 1, 1), SIGMA, device=x.device)) if told else network(x)
    return restored


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)
