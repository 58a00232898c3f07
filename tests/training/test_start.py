"""Starting from the weights of a network of other channels."""

from __future__ import annotations

import pytest
import torch

from noiseless import networks
from noiseless.errors import BundleError
from noiseless.training.start import fit

TINY = {"widths": (8, 16), "blocks": (1, 1)}


def fitted(source: torch.nn.Module, target: torch.nn.Module) -> torch.nn.Module:
    channels = source.spec.channels, target.spec.channels
    wanted = target.state_dict()
    target.load_state_dict({k: fit(v, wanted[k].shape, *channels) for k, v in source.state_dict().items()})
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
        fit(torch.zeros(8, 8, 3, 3), torch.Size((16, 16, 3, 3)), 3, 3, name="bottom.0.first.weight")
