"""Methods that train some of a network's own weights and leave the others."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from noiseless.errors import ConfigError
from noiseless.finetuning.config import MethodConfig
from noiseless.finetuning.layers import call_order, matches

SHOWN = 6
"""So many names of weights are shown to whoever named none."""


def full(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Train every weight."""
    return train_only(network, config, lambda name: True)


def head(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Train the last layer that has weights: the one that makes the image out of features."""
    last = call_order(network)[-1]
    return train_only(network, config, lambda name: name.rpartition(".")[0] == last)


def bias(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Train the biases alone.

    Ben Zaken, Goldberg and Ravfogel, "BitFit: Simple Parameter-efficient Fine-tuning", 2022.
    """
    return train_only(network, config, lambda name: name.rpartition(".")[2] == "bias")


def norm(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Train the scales and shifts of the normalisation layers alone.

    Frankle, Schwab and Morcos, "Training BatchNorm and Only BatchNorm", 2021.
    """
    layers = {name for name, layer in network.named_modules() if "Norm" in type(layer).__name__}
    return train_only(network, config, lambda name: name.rpartition(".")[0] in layers)


def train_only(network: nn.Module, config: MethodConfig, chosen: Callable[[str], bool]) -> nn.Module:
    """Train the parameters that are chosen by name and not frozen by pattern; changes the network in place.

    Raises:
        ConfigError: there are none.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(chosen(name) and not matches(name, config.freeze))
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise nothing_to_train(config)
    return network


def check_patterns(network: nn.Module, config: MethodConfig) -> None:
    """See that each pattern of what is to stay as it is names a weight of the network.

    Raises:
        ConfigError: one names none.
    """
    names = [name for name, _ in network.named_parameters()]
    for pattern in config.freeze:
        if not any(matches(name, (pattern,)) for name in names):
            some = ", ".join(names if len(names) <= SHOWN else (*names[:SHOWN], f"... {len(names)} in all"))
            raise ConfigError(f"method.freeze={pattern} names no weight of the network", expected=some)


def nothing_to_train(config: MethodConfig) -> ConfigError:
    """The error for a method that finds nothing in this network."""
    frozen = f" that freeze={','.join(config.freeze)} leaves" if config.freeze else ""
    return ConfigError(
        f"this network has nothing{frozen} for the method {config.name} to train", fix="Take lora or full."
    )
