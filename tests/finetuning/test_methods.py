"""Methods: what they train, that they start from the network as it was, that they merge and can be undone."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from noiseless import networks, tables
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.finetuning import METHODS, Adapter, MethodConfig, default_config, merge, unmerge
from noiseless.finetuning.adalora import Triplets, settle_budget
from noiseless.finetuning.adapter import extract, write_adapter
from noiseless.finetuning.base import find_base
from noiseless.finetuning.config import GROUP
from noiseless.finetuning.layers import call_order, plain_name, weights
from noiseless.finetuning.lowrank import merged
from noiseless.training.objectives import apply

TINY = {
    "unet_nano": {"channels": 1, "widths": (8, 16), "blocks": (1, 1)},
    "dncnn": {"channels": 1, "width": 8, "depth": 4, "batch_norm": True},
    "nafnet": {"channels": 1, "width": 8, "encoder_depths": (1,), "middle_depth": 1, "decoder_depths": (1,)},
}
ALL = [
    (network, method)
    for network in TINY
    for method in METHODS
    if not (network == "unet_nano" and method in ("bias", "norm"))
]
"""The U-Net has neither biases nor normalisation."""


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = networks.create(name, **TINY[name])
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def adapted(network: nn.Module, method: str, **changes: object) -> nn.Module:
    config: MethodConfig = replace(default_config(method).method, rank=2, **changes)
    changed: nn.Module = tables.load("method", method, METHODS, GROUP)(copy.deepcopy(network), config)
    return changed


def restored(network: nn.Module) -> torch.Tensor:
    picture = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return apply(network.eval(), picture, torch.full((1, 1, 1, 1), 0.1))


def trained(network: nn.Module) -> nn.Module:
    """The network with everything that learns moved at random."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize(("name", "method"), ALL)
def test_it_starts_as_the_network_was(name: str, method: str) -> None:
    network = build(name)
    assert torch.equal(restored(adapted(network, method)), restored(network))


@pytest.mark.parametrize(("name", "method"), ALL)
def test_every_number_that_learns_gets_a_gradient_and_no_other(name: str, method: str) -> None:
    network = trained(adapted(build(name), method))
    apply(network, torch.rand(2, 1, 16, 16), torch.full((1, 1, 1, 1), 0.1)).square().mean().backward()
    for parameter in network.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad


@pytest.mark.parametrize(("name", "method"), ALL)
def test_merged_and_unmerged_is_exact_to_rounding(name: str, method: str) -> None:
    network = build(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    changed = trained(adapted(network, method))
    result = restored(changed)
    plain = merged(changed)
    assert torch.equal(restored(changed), result), "merging a copy leaves the trained network as it is"
    assert list(plain.state_dict()) == list(before)
    torch.testing.assert_close(restored(plain), result, rtol=0, atol=2e-6)
    assert not torch.allclose(result, restored(network), atol=1e-3)

    settings = {"rank": 2, "scale": 1.0}
    adapter = Adapter(method, settings, "base", "", name, TINY[name], None, extract(changed, before))
    again = merge(before, adapter)
    for key, tensor in plain.state_dict().items():
        torch.testing.assert_close(again[key], tensor, rtol=0, atol=1e-6)
    back = unmerge(again, adapter)
    for key, tensor in before.items():
        torch.testing.assert_close(back[key], tensor, rtol=0, atol=1e-6)
    assert all(torch.equal(tensor, before[key]) for key, tensor in merge(before, adapter, 0.0).items())


def test_what_each_method_trains() -> None:
    def names(method: str, **changes: object) -> set[str]:
        network = adapted(build("dncnn"), method, **changes)
        return {plain_name(name) for name, parameter in network.named_parameters() if parameter.requires_grad}

    convolutions = [
        index for index, layer in enumerate(build("dncnn").get_submodule("model")) if isinstance(layer, nn.Conv2d)
    ]
    assert names("head") == {"model.8.weight", "model.8.bias"}
    assert names("norm") == {"model.3.weight", "model.3.bias", "model.6.weight", "model.6.bias"}
    assert all(name.endswith(".bias") for name in names("bias"))
    assert names("lora") == {f"model.{layer}.weight" for layer in convolutions}
    assert names("adapter") == {f"model.{layer}.weight" for layer in convolutions[1:-1]}
    assert names("adalora") == names("prompt") == names("lora")
    assert names("lora", freeze=("model.0.*", "*.8.weight")) == names("adapter")
    assert "model.0.weight" not in names("full", freeze=("model.0.*",))


def test_a_method_that_finds_nothing_says_so() -> None:
    with pytest.raises(ConfigError, match="nothing for the method bias to train"):
        adapted(build("unet_nano"), "bias")
    with pytest.raises(ConfigError, match=r"nothing that freeze=\* leaves"):
        adapted(build("unet_nano"), "lora", freeze=("*",))
    with pytest.raises(ConfigError, match=r"method.rank.*got 0"):
        tables.load("method", "lora", METHODS, GROUP)(build("unet_nano"), MethodConfig("lora", rank=0))
    with pytest.raises(UnknownNameError, match="lora"):
        default_config("loar")


def test_adalora_drops_what_matters_least() -> None:
    network = trained(adapted(build("dncnn"), "adalora"))
    layers = [layer for layer in network.modules() if isinstance(layer, Triplets)]
    with torch.no_grad():
        layers[1].values.mul_(1e-4)
        layers[1].up.mul_(1e-4)
    for spent in (0.0, 0.2, 0.4, 0.6, 1.0):
        apply(network, torch.rand(2, 1, 16, 16), None).square().mean().backward()
        settle_budget(network, spent)
    ranks = [int(layer.kept.sum()) for layer in layers]
    total = sum(len(layer.kept) for layer in layers)
    assert sum(ranks) == round(total / 2)
    assert ranks[1] == min(ranks)
    before = build("dncnn").state_dict()
    stored = extract(network, before)
    assert [stored[f"model.{index}.weight.up"].shape[1] for index in (0, 2, 5, 8)] == ranks


def test_layers_are_found_in_the_order_in_which_they_work() -> None:
    order = call_order(build("unet_nano"))
    assert order[0] == "head"
    assert order[-1] == "tail"
    assert (
        order.index("down.0") < order.index("bottom.0.first") < order.index("up.0") < order.index("decoder.0.0.first")
    )


def test_weights_are_those_the_network_computes_with() -> None:
    changed = trained(adapted(build("unet_nano"), "lora"))
    plain = dict(merged(changed).named_parameters())
    seen = dict(weights(changed))
    assert seen.keys() == plain.keys()
    for name, tensor in seen.items():
        torch.testing.assert_close(tensor, plain[name])


@pytest.mark.parametrize("method", ["lora", "adapter"])
@pytest.mark.parametrize("model", ["gray-small", "color-small", "photo-small", "gray-nano", "color-nano"])
def test_adapters_of_shipped_models_are_small(model: str, method: str, tmp_path: Path) -> None:
    """At most 5% of the numbers of a small model, 6% of a nano one, and less than 1 MB on the disk."""
    base = find_base(model)
    network = base.network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count = sum(parameter.numel() for parameter in network.parameters())
    changed = tables.load("method", method, METHODS, GROUP)(network, default_config(method).method)
    learned = sum(parameter.numel() for parameter in changed.parameters() if parameter.requires_grad)
    assert learned <= (0.05 if model.endswith("small") else 0.06) * count
    made = Adapter(method, {}, model, base.sha256, base.bundle.network, {}, None, extract(changed, before))
    write_adapter(tmp_path / "adapter.safetensors", made)
    assert (tmp_path / "adapter.safetensors").stat().st_size < 1e6
