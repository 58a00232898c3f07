"""Weights of ImageNet classifiers, by torchvision's names, for the encoders of our `vgg` and `resnet18` networks.

A classifier is told images less their mean and divided by their deviation. That goes into the first layer here, so that
the encoder takes images in [0, 1] as they are (but for the border, where a classifier is padded with its mean).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from noiseless.errors import BundleError
from noiseless.networks.layouts import NORM_EPSILON
from noiseless.networks.resnet18 import ResNetEncoder
from noiseless.networks.vgg import VGG

State = dict[str, Tensor]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue, in [0, 1] units."""

_VGG = re.compile(r"features\.\d+\.weight")
_RESNET = re.compile(r"layer1\.0\.conv1\.weight")


def is_classifier(state: Mapping[str, object]) -> bool:
    """Whether these are names of torchvision's VGG or ResNet."""
    return any(_VGG.fullmatch(name) or _RESNET.fullmatch(name) for name in state)


def encoder_weights(state: State, network: nn.Module) -> State:
    """The part of a classifier's weights that the encoder of `network` takes, under the network's names.

    Args:
        state: with torchvision's names; a `vgg` with batch norm is folded into its convolutions.
        network: a `VGG` or a `ResNetEncoder`; for other channels than three see `noiseless.training.start.fit_colours`.

    Raises:
        BundleError: the network has no such encoder, or another depth or width.
    """
    takes = next((take for kind, take in ENCODERS.items() if isinstance(network, kind)), None)
    if takes is None:
        raise BundleError(
            "weights of an ImageNet classifier start an encoder that is built like it",
            got=type(network).__name__,
            expected="the network vgg, resnet18 or resnet34",
        )
    return takes(state)


def vgg(state: State) -> State:
    """Rows of convolutions ``features.#``, with pooling where a number is left out, as stages ``encoder.#.#``."""
    numbers = sorted({int(name.split(".")[1]) for name in state if name.startswith("features.")})
    convolutions = [number for number in numbers if state[f"features.{number}.weight"].ndim == 4]
    normed = f"features.{convolutions[0] + 1}.running_mean" in state
    usual = 3 if normed else 2
    found: State = {}
    stage = place = 0
    for number, before in zip(convolutions, [convolutions[0] - usual, *convolutions], strict=False):
        stage, place = (stage, place) if number - before == usual else (stage + 1, 0)
        weight, bias = (state[f"features.{number}.{name}"] for name in ("weight", "bias"))
        if normed:
            weight, bias = _folded(weight, bias, state, f"features.{number + 1}")
        found |= {f"encoder.{stage}.{2 * place}.weight": weight, f"encoder.{stage}.{2 * place}.bias": bias}
        place += 1
    mean, scaled = _plain_input(found["encoder.0.0.weight"])
    return found | {"encoder.0.0.weight": scaled, "encoder.0.0.bias": found["encoder.0.0.bias"] - mean}


def _folded(weight: Tensor, bias: Tensor, state: State, norm: str) -> tuple[Tensor, Tensor]:
    """A convolution with the batch norm after it."""
    gain, shift, mean, variance = (
        state[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gain / (variance + NORM_EPSILON).sqrt()
    return weight * factor.reshape(-1, 1, 1, 1), (bias - mean) * factor + shift


def resnet(state: State) -> State:
    """The names are ours too; only the first layer changes, and the mean that is taken off after it."""
    found = {name: tensor for name, tensor in state.items() if re.match(r"conv1|bn1|layer\d", name)}
    mean, scaled = _plain_input(found["conv1.weight"])
    return found | {"conv1.weight": scaled, "bn1.running_mean": found["bn1.running_mean"] + mean}


def _plain_input(weight: Tensor) -> tuple[Tensor, Tensor]:
    """What a first layer gives for the mean, and its weights for images in [0, 1] units."""
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    scaled = weight / deviation
    return (scaled * mean).sum(dim=(1, 2, 3)), scaled


ENCODERS: dict[type[nn.Module], Callable[[State], State]] = {VGG: vgg, ResNetEncoder: resnet}
