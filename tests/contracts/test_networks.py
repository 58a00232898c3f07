"""What holds of every network in the table, third parties' entries apart."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from noiseless.errors import ConfigError, SigmaError
from noiseless.networks import NETWORKS, accepted_arguments, create
from noiseless.networks.spec import measure_halo, multiply_adds, parameters
from noiseless.tables import load

SMALL: dict[str, dict[str, Any]] = {
    "lenet": {"widths": [8, 16, 32], "dense": 24},
    "alexnet": {"widths": [32, 32, 32], "kernel_sizes": [7, 5, 3]},
    "vgg": {"widths": [12, 16, 24], "depths": [1, 2, 2]},
    "resnet": {"width": 16, "depth": 3},
    "resnet18": {"widths": [12, 16], "blocks": [1, 1], "full": 16},
    "resnet34": {"widths": [12, 16], "blocks": [1, 2], "full": 16},
    "googlenet": {"width": 16, "depth": 2},
    "mobilenet": {"width": 12, "depth": 3, "expansion": 3},
    "image_noise_net": {"widths": [12, 16, 16, 16, 16]},
    "dncnn": {"width": 16, "depth": 7},
    "ffdnet": {"width": 32, "depth": 4},
    "unet_nano": {"widths": [16, 24, 32], "blocks": [1, 1, 1]},
    "unet_small": {"widths": [16, 24, 32], "blocks": [1, 1, 2]},
    "unet_base": {"widths": [16, 24], "blocks": [2, 2]},
    "drunet": {"widths": [12, 16, 16, 24], "depth": 1},
    "dilated_unet": {"widths": [16, 24]},
    "nafnet": {"width": 12, "encoder_depths": [1, 1], "middle_depth": 1, "decoder_depths": [1, 1]},
}
"""Arguments that make each network cheap enough to train in a test. A new network needs a line here."""

SIGMA = 0.1


def test_every_network_is_tested() -> None:
    assert set(SMALL) == set(NETWORKS)


@pytest.fixture(autouse=True)
def one_thread_and_a_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


def build(name: str, **arguments: Any) -> nn.Module:
    return create(name, **{**SMALL[name], **arguments})


def apply(network: nn.Module, x: Tensor, sigma: Tensor | float = SIGMA) -> Tensor:
    if network.spec.conditioning == "none":
        return network(x)
    return network(x, sigma if isinstance(sigma, Tensor) else torch.full((1, 1, 1, 1), sigma))


def fit(side: int, network: nn.Module) -> int:
    """The least side that the network takes, `side` or more."""
    spec = network.spec
    return -(-max(side, spec.minimum_size) // spec.multiple_of) * spec.multiple_of


def pictures(count: int, channels: int, side: int, seed: int) -> Tensor:
    """Image-like tensors (count, channels, side, side) in [0, 1]: shading, patches with sharp edges, fine stripes."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    shading = functional.interpolate(random(channels, 3, 3), size=(side, side), mode="bilinear", align_corners=True)
    shapes = functional.interpolate(random(channels, 5, 5), size=(side, side), mode="nearest-exact")
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angle, pitch = random(1, 1, 1) * 3.1416, 4 + 8 * random(1, 1, 1)
    stripes = torch.sin(6.2832 * (row * torch.cos(angle) + column * torch.sin(angle)) / pitch)
    return (0.5 * shading + 0.4 * shapes + 0.1 * stripes * (shapes > 0.5)).clamp(0, 1)


def train(network: nn.Module, *, steps: int, side: int = 32, batch: int = 8, lr: float = 2e-3) -> None:
    network.train()
    clean = pictures(64, network.spec.channels, fit(side, network), seed=1)
    generator = torch.Generator().manual_seed(2)
    optimizer = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(steps):
        target = clean[torch.randint(len(clean), (batch,), generator=generator)]
        noisy = target + SIGMA * torch.randn(target.shape, generator=generator)
        optimizer.zero_grad()
        functional.mse_loss(apply(network, noisy), target).backward()
        optimizer.step()
        schedule.step()
    network.eval()


def psnr(restored: Tensor, clean: Tensor) -> float:
    errors = (restored.clamp(0, 1) - clean).square().mean(dim=(1, 2, 3))
    return float((-10 * torch.log10(errors)).mean())


def stirred(name: str, strength: float = 0.02) -> nn.Module:
    """A network in evaluation mode with weights as after training: none zero, the last layer not small."""
    network = build(name).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(strength * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_learns(self, name: str) -> None:
        """After a few hundred cheap steps it beats its noisy input on images it has not seen."""
        network = build(name)
        train(network, steps=250)
        clean = pictures(8, 3, fit(64, network), seed=99)
        noisy = clean + SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(98))
        with torch.inference_mode():
            gain = psnr(apply(network, noisy), clean) - psnr(noisy, clean)
        assert gain > 1, f"{gain:.2f} dB"

    def test_gives_back_the_shape_at_any_size_it_takes(self, name: str) -> None:
        for channels in (1, 3):
            network = build(name, channels=channels).eval()
            assert network.spec.channels == channels
            least, multiple = fit(1, network), network.spec.multiple_of
            for height, width in ((least, least), (least + multiple, least + 3 * multiple), (5 * least, least)):
                x = torch.rand(2, channels, height, width)
                before = x.clone()
                with torch.inference_mode():
                    assert apply(network, x).shape == x.shape
                assert torch.equal(x, before), "the input is left as it is"

    def test_needs_the_multiple_it_says(self, name: str) -> None:
        network = build(name)
        spec = network.spec
        if spec.multiple_of == 1:
            return
        side = fit(64, network) + spec.multiple_of // 2
        with pytest.raises(RuntimeError):
            apply(network, torch.rand(1, spec.channels, side, side))

    def test_default_passes_gradients_to_every_parameter(self, name: str) -> None:
        network = create(name)
        x = torch.rand(1, 3, 64, 96)
        restored = apply(network, x)
        assert restored.shape == x.shape
        restored.square().mean().backward()
        assert [key for key, value in network.named_parameters() if value.grad is None] == []

    def test_every_parameter_matters(self, name: str) -> None:
        network = stirred(name)
        x = torch.rand(2, 3, fit(32, network), fit(32, network))
        (apply(network, x) - x).square().sum().backward()
        still = [key for key, value in network.named_parameters() if not value.grad.abs().sum() > 0]
        assert still == []

    def test_saved_weights_give_the_same_result(self, name: str, tmp_path: Path) -> None:
        network = stirred(name)
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        again = build(name, **json.loads(json.dumps(SMALL[name]))).eval()
        again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        x = torch.rand(1, 3, fit(32, network), fit(32, network))
        with torch.inference_mode():
            assert torch.equal(apply(network, x), apply(again, x))

    def test_tiles_with_its_halo_are_as_the_whole(self, name: str) -> None:
        network = stirred(name)
        halo, multiple = network.spec.halo, network.spec.multiple_of
        if halo is None:
            assert measure_halo(stirred(name, 0.2), limit=64) is None, "it would work in tiles: the spec should say so"
            return
        assert halo % multiple == 0
        measured = measure_halo(network, limit=halo + 2 * multiple)
        assert measured is not None, f"more than its {halo} pixels"
        assert measured <= halo

    def test_is_told_the_noise_level_as_the_spec_says(self, name: str) -> None:
        network = stirred(name)
        x = torch.rand(2, 3, fit(32, network), fit(32, network))
        if network.spec.conditioning == "none":
            with pytest.raises(TypeError):
                network(x, torch.full((1, 1, 1, 1), SIGMA))
            return
        with pytest.raises((SigmaError, ValueError), match="sigma"):
            network(x)
        with torch.inference_mode():
            whole = apply(network, x)
            for shape in ((2, 1, 1, 1), (1, 3, 1, 1), (1, 1, *x.shape[2:]), x.shape):
                torch.testing.assert_close(apply(network, x, torch.full(shape, SIGMA)), whole)
            assert not torch.allclose(apply(network, x, 3 * SIGMA), whole)
            half = torch.full((1, 1, *x.shape[2:]), SIGMA)
            half[..., : x.shape[3] // 2] *= 3
            assert not torch.allclose(apply(network, x, half), whole), "a level that differs over the image is used"

    def test_widths_depth_kernel_activation_and_dropout_are_arguments(self, name: str) -> None:
        known = accepted_arguments(load("network", name, NETWORKS, "noiseless.networks"))
        for choices in (
            {"channels"},
            {"activation"},
            {"dropout"},
            {"kernel_size", "kernel_sizes"},
            {"width", "widths"},
            {"depth", "depths", "blocks", "middle_depth", "dilations", "widths"},
        ):
            assert choices & set(known), f"none of {sorted(choices)}"
        network = build(name, activation="gelu", dropout=0.5)
        assert any(isinstance(layer, nn.GELU) for layer in network.modules())
        x = torch.rand(1, 3, fit(32, network), fit(32, network))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.02)
            assert not torch.equal(apply(network, x), apply(network, x)), "dropout while training"
            network.eval()
            assert torch.equal(apply(network, x), apply(network, x)), "none while evaluating"

    def test_kernel_size_changes_the_network(self, name: str) -> None:
        known = accepted_arguments(load("network", name, NETWORKS, "noiseless.networks"))
        if "kernel_size" not in known:
            assert "kernel_sizes" in known
            return
        small, large = build(name, kernel_size=3), build(name, kernel_size=7)
        assert parameters(large) > parameters(small)
        assert multiply_adds(large, 64) > multiply_adds(small, 64)
        with pytest.raises(ConfigError, match="odd"):
            build(name, kernel_size=4)

    def test_mixed_precision_and_channels_last_change_little(self, name: str) -> None:
        network = stirred(name)
        x = torch.rand(1, 3, fit(32, network), fit(32, network))
        with torch.inference_mode():
            exact = apply(network, x)
            last = copy.deepcopy(network).to(memory_format=torch.channels_last)
            torch.testing.assert_close(
                apply(last, x.to(memory_format=torch.channels_last)), exact, rtol=1e-4, atol=1e-4
            )
            with torch.autocast("cpu", torch.bfloat16):
                rough = apply(network, x).float()
        change = (exact - x).std()
        assert (rough - exact).std() < 0.1 * change
