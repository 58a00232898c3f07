"""Starting from the weights of a network of other channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noiseless import networks
from noiseless.errors import BundleError
from noiseless.exporting import save_bundle
from noiseless.training.config import RunConfig
from noiseless.training.start import fit_colours, like_its_start, starting_weights

TINY = {"widths": (8, 16), "blocks": (1, 1)}


def fitted(source: torch.nn.Module, target: torch.nn.Module) -> torch.nn.Module:
    channels = source.spec.channels, target.spec.channels
    wanted = target.state_dict()
    target.load_state_dict({k: fit_colours(v, wanted[k].shape, *channels) for k, v in source.state_dict().items()})
    return target


def test_grey_from_colour_treats_grey_as_equal_colours() -> None:
    torch.manual_seed(0)
    colour, grey = networks.create("unet_nano", **TINY), networks.create("unet_nano", channels=1, **TINY)
    image, sigma = torch.rand(1, 1, 16, 24), torch.full((1, 1, 1, 1), 0.1)
    expected = colour(image.expand(-1, 3, -1, -1), sigma).mean(1, keepdim=True)
    torch.testing.assert_close(fitted(colour, grey)(image, sigma), expected)


def test_colour_from_grey_agrees_on_grey_images() -> None:
    torch.manual_seed(0)
    grey, colour = networks.create("unet_nano", channels=1, **TINY), networks.create("unet_nano", **TINY)
    image, sigma = torch.rand(1, 1, 16, 24), torch.full((1, 1, 1, 1), 0.1)
    restored = fitted(grey, colour)(image.expand(-1, 3, -1, -1), sigma)
    torch.testing.assert_close(restored, grey(image, sigma).expand(-1, 3, -1, -1))


def test_a_blind_network_drops_the_noise_level() -> None:
    torch.manual_seed(0)
    told, blind = networks.create("unet_nano", **TINY), networks.create("unet_nano", conditioning="none", **TINY)
    image = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(fitted(told, blind)(image), told(image, torch.zeros(1, 1, 1, 1)))


def test_weights_that_do_not_fit_name_the_tensor() -> None:
    with pytest.raises(BundleError, match=r"bottom.*expected \(16, 16, 3, 3\)"):
        fit_colours(torch.zeros(8, 8, 3, 3), torch.Size((16, 16, 3, 3)), 3, 3, name="bottom.0.first.weight")


def test_a_deeper_network_begins_as_the_one_it_is_made_of() -> None:
    deeper, plain = (
        networks.create("unet_nano", channels=1, blocks=blocks).eval() for blocks in ((3, 2, 4), (2, 2, 2))
    )
    for network in (deeper, plain):
        network.load_state_dict(starting_weights("gray-nano", network))
    image, sigma = torch.rand(1, 1, 32, 24), torch.full((1, 1, 1, 1), 0.1)
    assert torch.equal(deeper(image, sigma), plain(image, sigma))
    deeper(image, sigma).square().mean().backward()
    gradient = deeper.encoder[0][2].second.weight.grad
    assert gradient.abs().max() > 0


def test_a_network_is_as_that_of_the_weights_it_starts_from(tmp_path: Path) -> None:
    arguments = {"channels": 1, "widths": [4, 8], "blocks": [2, 1]}
    network = networks.create("unet_nano", **arguments)
    save_bundle(
        network, tmp_path, name="a", network_name="unet_nano", arguments=arguments, noise=None, card="", train={}
    )
    start = RunConfig(network="unet_nano", start=str(tmp_path), arguments={"blocks": [2, 2]})
    assert like_its_start(start).arguments == {"widths": [4, 8], "blocks": [2, 2]}
    other = replace(start, network="unet_small")
    assert like_its_start(other) is other
