"""Weights to start from: another run, a bundle, a network of other channels or without a noise level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from noiseless import bundle, networks
from noiseless.denoiser import find
from noiseless.errors import BundleError
from noiseless.networks import spec_of
from noiseless.networks.blocks import ResidualBlock
from noiseless.networks.classifiers import MEAN, encoder_weights, is_classifier
from noiseless.networks.foreign import read_checkpoint, state_dict
from noiseless.runtime.torch import load_foreign
from noiseless.training.config import SCRATCH, RunConfig


def like_its_start(config: RunConfig) -> RunConfig:
    """The configuration with the arguments of the network that it starts from, where that is the same; its own first.

    Those that the images settle stay open, for weights fit them all: any channels, and a blind network takes those of
    one that is told the noise level. The other way round it has none for the level, and stays blind.

    Raises:
        BundleError: there is no such bundle.
    """
    source = bundle_of_start(config)
    if source is None or source.network != config.network:
        return config
    theirs = {name: value for name, value in source.arguments.items() if name != "channels"}
    if theirs.get("conditioning") == "sigma":
        del theirs["conditioning"]
    return replace(config, arguments={**theirs, **config.arguments})


def bundle_of_start(config: RunConfig) -> bundle.Bundle | None:
    """The model that a run starts from; ``None`` for random weights and checkpoints of other projects.

    Raises:
        BundleError: there is no such bundle.
    """
    if config.start is None or not starts_from_weights(config) or not (found := find(config.start)).is_dir():
        return None
    return bundle.read(found)


def build_network(config: RunConfig) -> nn.Module:
    """The network of the configuration, with the weights of `config.start` where given."""
    network = networks.create(config.network, **config.arguments)
    if starts_from_weights(config):
        assert config.start is not None
        network.load_state_dict(starting_weights(config.start, network))
    return network


def starts_from_weights(config: RunConfig) -> bool:
    """Whether a run starts from the weights of another network, and not from random ones."""
    return config.start not in (None, SCRATCH)


def starting_weights(path: str | Path, network: nn.Module) -> dict[str, Tensor]:
    """The weights of a shipped model, a bundle, a run folder or a foreign checkpoint for `network`; see `fit_colours`.

    Residual blocks that they lack do nothing at first, so that a deeper network begins as good as the one it is made
    of (Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", 2016). An ImageNet
    classifier gives those of an encoder alone, see `noiseless.networks.classifiers`; the others stay.

    Raises:
        BundleError: the weights do not fit.
    """
    found = find(path)
    if found.is_file() and is_classifier(classifier := state_dict(read_checkpoint(found))):
        return _over_a_classifier(classifier, network, path)
    if found.is_file():
        source, foreign = load_foreign(found)
        tensors = foreign.state_dict()
    else:
        source = bundle.read(found)
        tensors = load_file(source.weights_path)
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    state |= _blocks_beside(state, network)
    wanted = network.state_dict()
    others = sorted({*wanted} ^ {*state})
    if others:
        raise BundleError(f"the weights of {path} do not fit the network", got=f"other tensors, as {others[0]}")
    spec = spec_of(network)
    have, want = source.spec.channels, spec.channels
    return {name: fit_colours(state[name], wanted[name].shape, have, want, name=name) for name in wanted}


def _blocks_beside(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The tensors of the network's residual blocks of which there is nothing in `state`, made to change nothing."""
    return {
        f"{path}.{name}": torch.zeros_like(tensor) if name.startswith("second") else tensor.clone()
        for path, block in network.named_modules()
        if isinstance(block, ResidualBlock) and not any(name.startswith(f"{path}.") for name in state)
        for name, tensor in block.state_dict().items()
    }


def _over_a_classifier(state: dict[str, Tensor], network: nn.Module, path: str | Path) -> dict[str, Tensor]:
    """The network's first weights, those of its encoder replaced by a classifier's."""
    wanted = network.state_dict()
    found = {name: tensor for name, tensor in encoder_weights(state, network).items() if name in wanted}
    encoders = [name for name in wanted if name.partition(".")[0].startswith(("encoder", "conv1", "bn1", "layer"))]
    missing = sorted({name for name in encoders if not name.endswith("num_batches_tracked")} - {*found})
    if missing:
        raise BundleError(f"the classifier {path} is smaller than the encoder", got=f"nothing for {missing[0]}")
    spec = spec_of(network)
    return wanted | {
        name: fit_colours(tensor, wanted[name].shape, len(MEAN), spec.channels, name=name)
        for name, tensor in found.items()
    }


def fit_colours(weight: Tensor, shape: torch.Size, have: int, want: int, *, name: str = "weight") -> Tensor:
    """A convolution weight (out, in, h, w) for other numbers of colours and of features of each colour.

    Towards fewer colours, input weights are summed and output weights averaged over the colours (a grey image is a
    colour image of equal channels); towards more, the inverse. Features of a colour that the new layer does not
    take, such as the noise level of a blind network, are dropped. Colours are the outer order, as pixel-unshuffle
    makes it.

    Args:
        weight: of the source.
        shape: that the new layer wants.
        have: colours of the source.
        want: colours of the new network.
        name: of the tensor, for the message.

    Raises:
        BundleError: the shapes differ in another way.
    """
    fitted = weight
    if weight.shape != shape and weight.ndim == 4 and weight.shape[2:] == shape[2:]:
        fitted = _fit_inputs(fitted, shape[1], have, want)
        fitted = _fit_outputs(fitted, shape[0], have, want)
    if fitted.shape != shape:
        raise BundleError(f"the tensor {name} does not fit the network", got=tuple(weight.shape), expected=tuple(shape))
    return fitted


def _fit_inputs(weight: Tensor, count: int, have: int, want: int) -> Tensor:
    if weight.shape[1] == count or weight.shape[1] % have or count % want:
        return weight
    colours = torch.unflatten(weight, 1, (have, -1))[:, :, : count // want]
    if have != want:
        colours = colours.sum(1, keepdim=True).expand(-1, want, -1, -1, -1) / want
    return colours.flatten(1, 2)


def _fit_outputs(weight: Tensor, count: int, have: int, want: int) -> Tensor:
    if weight.shape[0] == count or weight.shape[0] % have or count % want:
        return weight
    colours = torch.unflatten(weight, 0, (have, -1))
    return colours.mean(0, keepdim=True).expand(want, -1, -1, -1, -1).flatten(0, 1)
