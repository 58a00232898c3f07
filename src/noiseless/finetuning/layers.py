"""The layers of a network by name: which there are, in which order they work, which a pattern names."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from noiseless.networks import spec_of
from noiseless.tiling import round_up
from noiseless.training.objectives import apply


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a weight's name is one of the patterns, with ``*`` and ``?`` as in file names."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def call_order(network: nn.Module) -> list[str]:
    """Names of the layers with weights of their own, in the order in which they work.

    Args:
        network: with an attribute ``spec``; left as it is. A layer that is never called is left out.
    """
    spec = spec_of(network)
    called: dict[str, None] = {}

    def note(name: str) -> Any:
        return lambda *_: called.setdefault(name)

    layers = [
        (name, layer) for name, layer in network.named_modules() if next(layer.parameters(False), None) is not None
    ]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in layers]
    training, device = network.training, next(network.parameters()).device
    side = round_up(spec.minimum_size, spec.multiple_of)
    try:
        with torch.no_grad():
            picture = torch.zeros(1, spec.channels, side, side, device=device)
            apply(network.eval(), picture, torch.full((1, 1, 1, 1), 0.1, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return list(called)


def plain_name(name: str) -> str:
    """The name that a parameter of a changed layer has in the plain network: that of the weight it changes.

    ``head.parametrizations.weight.0.up`` and ``head.parametrizations.weight.original`` belong to ``head.weight``.
    """
    owner, found, rest = name.partition("parametrizations.")
    return f"{owner}{rest.partition('.')[0]}" if found else name


def weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters that a network computes with, changes included, under the names of the plain network.

    Wrappers of Fabric and DDP are looked through.
    """
    while isinstance(inner := getattr(network, "module", None), nn.Module):
        network = inner
    for owner, layer in network.named_modules():
        prefix = f"{owner}." if owner else ""
        if "parametrizations" in prefix.split("."):
            continue
        for name, parameter in layer.named_parameters(recurse=False):
            yield f"{prefix}{name}", parameter
        if parametrize.is_parametrized(layer):
            for name in layer.parametrizations:
                yield f"{prefix}{name}", getattr(layer, name)
