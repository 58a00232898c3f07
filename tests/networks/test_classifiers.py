"""ImageNet classifiers under a decoder: torchvision's names and shapes, and the features that a classifier computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noiseless.errors import BundleError
from noiseless.networks import create
from noiseless.networks.classifiers import DEVIATION, MEAN, is_classifier
from noiseless.networks.foreign import recognise
from noiseless.networks.vgg import VGG
from noiseless.training.start import starting_weights

State = dict[str, Tensor]
STAGES = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg_features(depth: int, *, norm: bool, narrow: int = 1) -> nn.Sequential:
    """The part of torchvision's VGG before its classifier, for widths divided by `narrow`."""
    layers: list[nn.Module] = []
    inputs = 3
    for width, count in zip((64, 128, 256, 512, 512), STAGES[depth], strict=True):
        for _ in range(count):
            layers.append(nn.Conv2d(inputs, width // narrow, 3, padding=1))
            layers += [nn.BatchNorm2d(width // narrow)] if norm else []
            layers.append(nn.ReLU())
            inputs = width // narrow
        layers.append(nn.MaxPool2d(2))
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.normal_(layer.running_mean, 0, 0.1)  # type: ignore[arg-type]
    return nn.Sequential(*layers).eval()


def saved(state: State, folder: Path) -> Path:
    torch.save(state, folder / "classifier.pth")
    return folder / "classifier.pth"


def inner(picture: Tensor) -> Tensor:
    """The features less their border, which a classifier pads with its mean."""
    return picture[..., 4:-4, 4:-4]


@pytest.mark.parametrize(("depth", "norm"), [(16, False), (16, True), (19, False)])
def test_vgg_computes_the_features_of_the_classifier(depth: int, norm: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = vgg_features(depth, norm=norm, narrow=8)
    state = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    state |= {"classifier.0.weight": torch.zeros(8, 8), "classifier.0.bias": torch.zeros(8)}
    network = create("vgg", widths=[8, 16, 32], depths=STAGES[depth][:3]).eval()
    assert isinstance(network, VGG)
    decoder = network.tail.weight.clone()
    network.load_state_dict(starting_weights(saved(state, tmp_path), network))
    assert torch.equal(network.tail.weight, decoder)

    image = torch.rand(1, 3, 48, 48)
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    second = 2 * (3 if norm else 2) + 1 + 2 * (3 if norm else 2)
    with torch.no_grad():
        expected = features[:second]((image - mean) / deviation)
        found = network.encoder[1](nn.functional.max_pool2d(network.encoder[0](image), 2))
    torch.testing.assert_close(inner(found), inner(expected), rtol=1e-4, atol=1e-5)


def resnet18_state() -> State:
    """Names and shapes that torchvision publishes for ResNet-18."""
    state: State = {"conv1.weight": 0.1 * torch.randn(64, 3, 7, 7)}

    def norm(name: str, width: int) -> None:
        state.update({f"{name}.{each}": torch.rand(width) + 0.5 for each in ("weight", "running_var")})
        state.update({f"{name}.{each}": 0.1 * torch.randn(width) for each in ("bias", "running_mean")})
        state[f"{name}.num_batches_tracked"] = torch.tensor(5)

    norm("bn1", 64)
    inputs = 64
    for layer, width in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name, before = f"layer{layer}.{block}", width if block else inputs
            state[f"{name}.conv1.weight"] = 0.05 * torch.randn(width, before, 3, 3)
            state[f"{name}.conv2.weight"] = 0.05 * torch.randn(width, width, 3, 3)
            norm(f"{name}.bn1", width)
            norm(f"{name}.bn2", width)
            if before != width:
                state[f"{name}.downsample.0.weight"] = 0.05 * torch.randn(width, before, 1, 1)
                norm(f"{name}.downsample.1", width)
        inputs = width
    return state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_resnet18_takes_every_tensor_of_its_stages(channels: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = resnet18_state()
    network = create("resnet18", channels=channels).eval()
    network.load_state_dict(starting_weights(saved(state, tmp_path), network))
    loaded = network.state_dict()
    taken = [name for name in state if name.startswith(("layer1", "layer2", "layer3", "bn1.w", "bn1.b"))]
    assert len(taken) > 60
    assert all(torch.equal(loaded[name], state[name]) for name in taken)
    image = torch.rand(1, 1, 40, 40).expand(-1, channels, -1, -1)
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    with torch.no_grad():
        plain = nn.functional.conv2d((image[:, :1] - mean) / deviation, state["conv1.weight"], stride=2, padding=3)
        expected = nn.functional.batch_norm(plain, *(state[f"bn1.running_{each}"] for each in ("mean", "var")))
        found = nn.functional.batch_norm(network.conv1(image), network.bn1.running_mean, network.bn1.running_var)
    torch.testing.assert_close(inner(found), inner(expected), rtol=1e-4, atol=1e-4)


def test_a_classifier_needs_an_encoder_built_like_it(tmp_path: Path) -> None:
    state = resnet18_state()
    assert is_classifier(state)
    path = saved(state, tmp_path)
    with pytest.raises(BundleError, match="got UNet, expected the network vgg, resnet18 or resnet34"):
        starting_weights(path, create("unet_nano"))
    with pytest.raises(BundleError, match=r"smaller than the encoder.*layer1\.2"):
        starting_weights(path, create("resnet34"))
    with pytest.raises(BundleError, match=r"classifier, which restores no image.*--network vgg"):
        recognise(state)
