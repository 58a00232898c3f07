"""Weights to start from: another run, a bundle, or a network of another number of channels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from noiseless import bundle
from noiseless.errors import BundleError


def starting_weights(path: str | Path, network: nn.Module) -> dict[str, Tensor]:
    """The weights of a bundle or run folder, fitted to `network`.

    First and last layers whose channel count differs are fitted: towards grey, input weights are summed and output
    weights averaged over the colours (a grey image is a colour image of three equal channels); towards colour, the
    inverse. Where a layer holds several features of each colour, the colours are its outer order, as
    pixel-unshuffle makes it.

    Raises:
        BundleError: the weights do not fit.
    """
    from safetensors.torch import load_file

    source = bundle.read(bundle.find(path))
    state = {name: tensor.float() for name, tensor in load_file(source.weights_path).items()}
    wanted = network.state_dict()
    missing = sorted({*wanted} ^ {*state})
    if missing:
        raise BundleError(f"the weights of {path} do not fit the network", got=f"other tensors: {missing[:3]}")
    return {name: fit_channels(state[name], wanted[name].shape, name) for name in wanted}


def fit_channels(weight: Tensor, shape: torch.Size, name: str) -> Tensor:
    """A convolution weight (out, in, h, w) with another number of channels in or out; see `starting_weights`."""
    if weight.shape == shape:
        return weight
    if weight.ndim == 4 and weight.shape[2:] == shape[2:]:
        fitted = _fit(weight, shape[1], dim=1, total=True)
        fitted = _fit(fitted, shape[0], dim=0, total=False)
        if fitted.shape == shape:
            return fitted
    raise BundleError(
        f"the tensor {name} does not fit the network", got=tuple(weight.shape), expected=tuple(shape)
    )


def _fit(weight: Tensor, count: int, *, dim: int, total: bool) -> Tensor:
    have = weight.shape[dim]
    if have == count:
        return weight
    if have % count == 0:
        colours = weight.unflatten(dim, (have // count, count))
        return colours.sum(dim) if total else colours.mean(dim)
    if count % have == 0:
        colours = torch.cat([weight] * (count // have), dim)
        return colours * (have / count) if total else colours
    return weight
