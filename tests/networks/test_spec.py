"""Costs and halos, against numbers worked out by hand or published."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.networks import create
from noiseless.networks.blocks import context, fold
from noiseless.networks.spec import measure_halo, multiply_adds, noisy_picture, parameters


class Wide(nn.Module):
    """Three 5x5 convolutions at half resolution: looks 2 * (2 + 2 + 2) pixels far."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2), *(nn.Conv2d(4, 4, 5, padding=2) for _ in range(3)), nn.PixelShuffle(2)
        )
        self.spec = NetworkSpec(channels=1, multiple_of=2, minimum_size=2, halo=12)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Global(nn.Module):
    """Takes the mean of the whole image off."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = NetworkSpec(channels=1, halo=None)

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=(2, 3), keepdim=True)


def test_multiply_adds_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1, stride=2, bias=True),
        nn.Conv2d(8, 8, 5, padding=2, groups=4),
        nn.ConvTranspose2d(8, 2, 2, stride=2),
    )
    network.spec = NetworkSpec(channels=2, multiple_of=2)
    expected = 16 * (8 * 2 * 9) + 16 * (8 * 2 * 25) + 16 * (8 * 2 * 4)
    assert multiply_adds(network, 8) == expected
    assert multiply_adds(network, 7) == expected, "rounded up to the multiple"
    assert parameters(network) == (8 * 2 * 9 + 8) + (8 * 2 * 25 + 8) + (8 * 2 * 4 + 2)
    assert network[0].weight.device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "arguments", "billions", "millions"),
    [
        ("dncnn", {"channels": 1}, 36.3, 0.56),
        ("ffdnet", {"channels": 1, "width": 64, "depth": 15}, 7.9, 0.49),
        ("ffdnet", {}, 13.9, 0.85),
        ("drunet", {}, 138.8, 32.6),
        ("nafnet", {}, 16.1, 29.2),
    ],
)
def test_published_costs(name: str, arguments: dict[str, int], billions: float, millions: float) -> None:
    network = create(name, **arguments)
    assert multiply_adds(network) / 1e9 == pytest.approx(billions, rel=0.01)
    assert parameters(network) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(("name", "billions"), [("unet_nano", 3.5), ("unet_small", 14), ("unet_base", 65)])
def test_u_nets_keep_to_their_budgets(name: str, billions: float) -> None:
    for conditioning in ("sigma", "none"):
        assert multiply_adds(create(name, conditioning=conditioning)) <= billions * 1e9


def test_the_halo_measured_is_what_the_layers_reach() -> None:
    torch.manual_seed(0)
    assert measure_halo(Wide(), limit=32) == 12


def test_weights_that_look_less_far_measure_a_smaller_halo() -> None:
    torch.manual_seed(0)
    network = Wide()
    with torch.no_grad():
        network.layers[1].weight[:, :, [0, 4]] = 0
        network.layers[1].weight[..., [0, 4]] = 0
    assert measure_halo(network, limit=32) == 10


def test_no_halo_is_enough_for_a_network_that_pools_over_the_image() -> None:
    assert measure_halo(Global(), limit=32) is None


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = create("dncnn", channels=1, width=4, depth=3, batch_norm=True).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    measure_halo(network, limit=8)
    multiply_adds(network)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("multiple", "layers", "pixels"),
    [
        (1, [(3, 1)] * 17, 17),
        (1, [(1, 1), (7, 1)], 3),
        (2, [(3, 2)] * 12, 24),
        (4, [(3, 1), (3, 2), (3, 4)], 8),
        (4, [(3, 1), (5, 4), (3, 1)], 16),
    ],
)
def test_context_by_hand(multiple: int, layers: list[tuple[int, int]], pixels: int) -> None:
    assert context(multiple, layers) == pixels


def test_fold_keeps_the_colours_apart() -> None:
    x = torch.arange(2 * 2 * 4 * 4.0).reshape(2, 2, 4, 4)
    sigma = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)
    folded = fold(x, sigma, 2)
    assert folded.shape == (2, 10, 2, 2)
    assert folded[0, :5, 0, 0].tolist() == [0, 1, 4, 5, 1]
    assert folded[0, 5:, 0, 1].tolist() == [18, 19, 22, 23, 2]
    assert torch.equal(fold(x, None, 2), torch.nn.functional.pixel_unshuffle(x, 2))


def test_the_picture_to_measure_with_is_repeatable_and_noisy() -> None:
    one = noisy_picture(3, 64, seed=5)
    assert torch.equal(one, noisy_picture(3, 64, seed=5))
    assert not torch.equal(one, noisy_picture(3, 64, seed=6))
    assert 0.05 < one.diff(dim=-1).std() < 0.3
    assert 0.2 < one.mean() < 0.8
