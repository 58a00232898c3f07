"""Networks: one architecture per file, found in one table.

`create` builds a network by its name; importing this package imports no torch, building one does. Every network is
image-to-image: ``forward(x)`` or, told the noise level, ``forward(x, sigma)``, with `x` of shape (B, C, H, W) in
[0, 1] units and the result of the same shape. Its attribute ``spec`` says which sizes it takes.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from noiseless import tables
from noiseless.bundle import NetworkSpec
from noiseless.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

NETWORKS: dict[str, str] = {
    "lenet": "noiseless.networks.lenet:LeNet",
    "alexnet": "noiseless.networks.alexnet:AlexNet",
    "vgg": "noiseless.networks.vgg:VGG",
    "resnet": "noiseless.networks.resnet:ResNet",
    "resnet18": "noiseless.networks.resnet18:resnet18",
    "resnet34": "noiseless.networks.resnet18:resnet34",
    "googlenet": "noiseless.networks.googlenet:GoogLeNet",
    "mobilenet": "noiseless.networks.mobilenet:MobileNet",
    "image_noise_net": "noiseless.networks.image_noise_net:ImageNoiseNet",
    "dncnn": "noiseless.networks.dncnn:DnCNN",
    "ffdnet": "noiseless.networks.ffdnet:FFDNet",
    "unet_nano": "noiseless.networks.unet:unet_nano",
    "unet_small": "noiseless.networks.unet:unet_small",
    "unet_base": "noiseless.networks.unet:unet_base",
    "drunet": "noiseless.networks.drunet:DRUNet",
    "dilated_unet": "noiseless.networks.dilated_unet:DilatedUNet",
    "nafnet": "noiseless.networks.nafnet:NAFNet",
}
"""Names to constructors; other packages add theirs through the entry point group ``noiseless.networks``."""

READ = {"spandrel": "noiseless.networks.through_spandrel:Spandrel"}
"""Constructors of what is read from other projects' checkpoints: arguments of theirs come from a file alone."""

GROUP = "noiseless.networks"


def names() -> list[str]:
    """Every network there is: ours, then those of entry points."""
    return tables.names(NETWORKS, GROUP)


def constructor(name: str) -> Callable[..., nn.Module]:
    """What builds a network of `NETWORKS`, of an entry point, or one that is read from a checkpoint.

    Raises:
        UnknownNameError: no network of this name.
    """
    found: Callable[..., nn.Module] = tables.load("network", name, NETWORKS | (READ if name in READ else {}), GROUP)
    return found


def create(name: str, **arguments: Any) -> nn.Module:
    """Build a network of the table.

    Args:
        name: a key of `NETWORKS`, or the name of an entry point.
        arguments: passed to its constructor; plain data, such as ``channels=1``.

    Returns:
        A module with an attribute ``spec`` (`noiseless.bundle.NetworkSpec`).

    Raises:
        UnknownNameError: no network of this name.
        ConfigError: an argument that the network does not have, or a value that does not fit.
    """
    build = constructor(name)
    _check_names(name, arguments, accepted_arguments(build))
    try:
        network: nn.Module = build(**arguments)
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise ConfigError(f"the network {name} cannot be built with {given}", got=str(error)) from error
    if not isinstance(getattr(network, "spec", None), NetworkSpec):
        raise ConfigError(f"the network {name} has no attribute spec", expected="a noiseless.bundle.NetworkSpec")
    return network


def accepted_arguments(constructor: Callable[..., Any]) -> list[str]:
    """Names of the arguments of a network's constructor.

    A variant, that is a function with ``**arguments``, also takes those of the class that it returns.
    """
    parameters = inspect.signature(constructor).parameters.values()
    named = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    if len(named) == len(parameters) or inspect.isclass(constructor):
        return named
    inner = accepted_arguments(typing.get_type_hints(constructor)["return"])
    return [*named, *(argument for argument in inner if argument not in named)]


def spec_of(network: nn.Module) -> NetworkSpec:
    """The attribute ``spec`` of a network, with its type, which torch's modules do not tell."""
    return cast(NetworkSpec, network.spec)


def _check_names(network: str, arguments: dict[str, Any], known: list[str]) -> None:
    for name in arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            fix = f"Did you mean {' or '.join(close)}?" if close else f"It has {', '.join(known)}."
            raise ConfigError(f"the network {network} has no argument {name!r}", fix=fix)
