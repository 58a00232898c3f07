"""Methods that add to convolutions: the weights stay, an update of few numbers is learned beside them.

Both are parametrizations ``weight -> weight + scale * update`` (`torch.nn.utils.parametrize`), so that what was learned
can be added into the weights for good, and the network then has its old architecture and speed.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from noiseless.finetuning.config import MethodConfig
from noiseless.finetuning.freezing import nothing_to_train
from noiseless.finetuning.layers import matches


def is_convolution(layer: nn.Module) -> bool:
    """Whether a layer has a kernel, towards larger images too."""
    return isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)


def whole_kernel(weight: Tensor, product: Tensor) -> Tensor:
    """A matrix (first axis of the weight, all others) as an update of the whole kernel."""
    return product.reshape(weight.shape)


def middle_tap(weight: Tensor, product: Tensor) -> Tensor:
    """A matrix (outputs, inputs) as an update of the middle of the kernel: a 1x1 convolution beside it."""
    update = torch.zeros_like(weight)
    update[..., weight.shape[-2] // 2, weight.shape[-1] // 2] = product
    return update


Placed = Callable[[Tensor, Tensor], Tensor]
PLACES: dict[str, Placed] = {"lora": whole_kernel, "adalora": whole_kernel, "adapter": middle_tap}
"""How the product of the two factors of a method becomes an update of a weight."""


class Change(nn.Module, ABC):
    """What a method puts beside a weight: a parametrization that is told the weight and gives the changed one."""

    @abstractmethod
    def stored(self) -> dict[str, Tensor]:
        """The tensors that an adapter file keeps of it, by the endings of their names."""


class LowRank(Change):
    """A weight plus ``scale * up @ down``, placed in it; 0 at first.

    Args:
        weight: (outputs, inputs, height, width); for a transposed convolution inputs come first.
        method: a key of `PLACES`.
        rank: of the update; at most that of the matrix.
        scale: multiplies it.
    """

    def __init__(self, weight: Tensor, method: str, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel() if method == "lora" else weight.shape[1]
        rank = min(rank, rows, columns)
        self.method, self.scale = method, scale
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.down = nn.Parameter(torch.randn(rank, columns) / columns**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, computed in the weight's own precision."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + update(weight, self.up, self.down, self.method, self.scale)

    def stored(self) -> dict[str, Tensor]:
        """Both factors."""
        return {"up": self.up, "down": self.down}


def update(weight: Tensor, up: Tensor, down: Tensor, method: str, scale: float) -> Tensor:
    """What a method adds to a weight, in the weight's shape."""
    return PLACES[method](weight, scale * (up @ down))


def lora(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Learn a low-rank update of every convolution's weight, taken as a matrix (outputs, inputs * height * width).

    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2022.
    """
    return add_updates(network, config, is_convolution)


def adapter(network: nn.Module, config: MethodConfig) -> nn.Module:
    """Learn a 1x1 convolution of low rank beside each inner convolution: one that keeps number and size of features.

    Rebuffi, Bilen and Vedaldi, "Efficient Parametrization of Multi-domain Deep Neural Networks", 2018: parallel
    residual adapters, which can be folded into the middle of the kernel beside them.
    """

    def inner(layer: nn.Module) -> bool:
        if not isinstance(layer, nn.Conv2d):
            return False
        keeps = layer.in_channels == layer.out_channels and layer.groups == 1 and max(layer.stride) == 1
        return keeps and all(side % 2 for side in layer.kernel_size)

    return add_updates(network, config, inner)


def add_updates(network: nn.Module, config: MethodConfig, suits: Callable[[nn.Module], bool]) -> nn.Module:
    """Put an update of low rank beside each weight that suits; see `add_changes`.

    Raises:
        ConfigError: no weight is left.
    """
    return add_changes(network, config, suits, lambda weight: LowRank(weight, config.name, config.rank, config.scale))


def add_changes(
    network: nn.Module, config: MethodConfig, suits: Callable[[nn.Module], bool], make: Callable[[Tensor], Change]
) -> nn.Module:
    """Freeze a network, in place, and put a change beside each weight that suits and is not frozen by pattern.

    Raises:
        ConfigError: no weight is left.
    """
    network.requires_grad_(False)
    layers = [
        layer
        for name, layer in network.named_modules()
        if suits(layer) and not matches(f"{name}.weight", config.freeze)
    ]
    if not layers:
        raise nothing_to_train(config)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", make(layer.weight))
    return network


def merged(network: nn.Module) -> nn.Module:
    """A copy of a network with its updates added into the weights: its old architecture, without parametrizations."""
    plain = copy.deepcopy(network)
    for layer in list(plain.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            _settle(layer)
    return plain


def _settle(layer: nn.Module) -> None:
    """Make a layer plain again, with the weight it computes with.

    `parametrize.remove_parametrizations` would take the weight away from the class, which a copy shares with the
    layer that it is a copy of.
    """
    with torch.no_grad():
        weight = nn.Parameter(layer.weight.detach().clone(), requires_grad=False)  # type: ignore[operator]
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    layer._parameters = {"weight": weight, **layer._parameters}
