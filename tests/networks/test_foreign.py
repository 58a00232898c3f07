"""Other projects' checkpoints: the same results under our names, and every way a file can be wrong."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import noiseless
from noiseless.errors import BundleError
from noiseless.networks import create
from noiseless.networks.foreign import read_checkpoint, recognise

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def row(inputs: int, outputs: int, *, width: int, depth: int, norm: bool, bias: bool) -> nn.Sequential:
    """A row of convolutions as DnCNN and FFDNet have it, in evaluation mode with used batch norms."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 3, padding=1, bias=bias), nn.ReLU()]
    for _ in range(depth - 2):
        layers.append(nn.Conv2d(width, width, 3, padding=1, bias=bias))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers.append(nn.ReLU())
    network = nn.Sequential(*layers, nn.Conv2d(width, outputs, 3, padding=1, bias=bias))
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            used(layer)
    return network.eval()


def used(norm: nn.BatchNorm2d) -> None:
    with torch.no_grad():
        for tensor in (norm.weight, norm.running_var):
            tensor.uniform_(0.5, 1.5)
        for tensor in (norm.bias, norm.running_mean):
            tensor.normal_(0, 0.1)


def under(prefix: str, network: nn.Module) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}


def ours(state: Any) -> nn.Module:
    name, arguments, mapped = recognise(state)
    network = create(name, **arguments).eval()
    network.load_state_dict(mapped)
    return network


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", ["model.", "dncnn.", "module.dncnn.", "module.dncnn.dncnn."])
@pytest.mark.parametrize(("norm", "bias"), [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("channels", [1, 3])
def test_dncnn(prefix: str, norm: bool, bias: bool, channels: int) -> None:
    noise = row(channels, channels, width=6, depth=5, norm=norm, bias=bias)
    x = torch.rand(1, channels, 12, 14)
    with torch.inference_mode():
        same(ours(under(prefix, noise))(x), x - noise(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_ffdnet_of_its_authors(channels: int) -> None:
    layers = row(4 * channels + 1, 4 * channels, width=6, depth=4, norm=False, bias=True)
    x, sigma = torch.rand(2, channels, 12, 14), torch.rand(2, 1, 1, 1)
    with torch.inference_mode():
        level = sigma.expand(2, 1, 6, 7)
        expected = functional.pixel_shuffle(layers(torch.cat([functional.pixel_unshuffle(x, 2), level], 1)), 2)
        same(ours(under("model.", layers))(x, sigma), expected)


@pytest.mark.parametrize("spelling", ["itermediate_dncnn", "intermediate_dncnn"])
@pytest.mark.parametrize("channels", [1, 3])
def test_ffdnet_of_ipol(spelling: str, channels: int) -> None:
    layers = row(5 * channels, 4 * channels, width=6, depth=4, norm=True, bias=False)
    x, sigma = torch.rand(2, channels, 12, 14), torch.rand(2, channels, 1, 1)
    with torch.inference_mode():
        level = sigma.expand(2, channels, 6, 7)
        noise = functional.pixel_shuffle(layers(torch.cat([level, functional.pixel_unshuffle(x, 2)], 1)), 2)
        same(ours(under(f"module.intermediate_dncnn.{spelling}.", layers))(x, sigma), x - noise)


class BiasFree(nn.Module):
    """A DnCNN of the bias-free project: without biases its batch norm only divides."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.bias = bias
        self.first_layer = nn.Conv2d(1, 6, 3, padding=1, bias=bias)
        self.hidden_layer_list = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1, bias=bias) for _ in range(3))
        self.bn_layer_list = nn.ModuleList(nn.BatchNorm2d(6) for _ in range(3))
        self.last_layer = nn.Conv2d(6, 1, 3, padding=1, bias=bias)
        for norm in self.bn_layer_list:
            used(norm)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        features = self.first_layer(x).relu()
        for layer, norm in zip(self.hidden_layer_list, self.bn_layer_list, strict=True):
            features = layer(features)
            if self.bias:
                features = norm(features)
            else:
                features = features * (norm.weight / (norm.running_var.sqrt() + 1e-5)).reshape(-1, 1, 1)
            features = features.relu()
        return x - self.last_layer(features)


@pytest.mark.parametrize("bias", [False, True])
def test_bias_free_dncnn(bias: bool) -> None:
    network = BiasFree(bias)
    x = torch.rand(1, 1, 12, 14)
    with torch.inference_mode():
        same(ours(network.state_dict())(x), network(x))


def test_bias_free_u_net() -> None:
    network = create("dilated_unet", channels=1, widths=[4, 6], residual=False).eval()
    x = torch.rand(1, 1, 12, 14)
    with torch.inference_mode():
        same(ours({"model": [under("module.", network)]})(x), network(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_drunet(channels: int) -> None:
    told = create("drunet", channels=channels, widths=[4, 6, 8, 10], depth=2, residual=False, conditioning="none")
    told.m_head = nn.Conv2d(channels + 1, 4, 3, padding=1, bias=False)
    x, sigma = torch.rand(2, channels, 16, 24), torch.rand(2, 1, 1, 1)
    with torch.inference_mode():
        expected = told(torch.cat([x, sigma.expand(2, 1, 16, 24)], dim=1))
        same(ours(told.state_dict())(x, sigma), expected)


def test_nafnet() -> None:
    network = create(
        "nafnet", channels=3, width=4, encoder_depths=[1, 3], middle_depth=2, decoder_depths=[2, 1], kernel_size=5
    )
    name, arguments, state = recognise({"params": network.state_dict()})
    assert (name, arguments["encoder_depths"], arguments["decoder_depths"]) == ("nafnet", [1, 3], [2, 1])
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"params": {}, "params_ema": state},
        lambda state: {"params": {key: value + 1 for key, value in state.items()}, "params_ema": state},
        lambda state: {"model": [state], "args": argparse.Namespace(lr=1)},
        lambda state: [state],
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
    ],
)
def test_wrappers_are_taken_off(wrap: Any, tmp_path: Path) -> None:
    state = under("model.", row(1, 1, width=4, depth=3, norm=False, bias=True))
    torch.save(wrap(state), tmp_path / "checkpoint.pth")
    name, _, found = recognise(read_checkpoint(tmp_path / "checkpoint.pth"))
    assert name == "dncnn"
    assert {key: value.tolist() for key, value in found.items()} == {
        key: value.tolist() for key, value in state.items()
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_becomes_float32(dtype: torch.dtype) -> None:
    state = under("model.", row(1, 1, width=4, depth=3, norm=False, bias=True))
    _, _, found = recognise({key: value.to(dtype) for key, value in state.items()})
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    for key, value in state.items():
        torch.testing.assert_close(found[key], value, rtol=1e-2, atol=1e-2)


def test_safetensors_files_are_read(tmp_path: Path) -> None:
    state = under("model.", row(1, 1, width=4, depth=3, norm=False, bias=True))
    save_file(state, tmp_path / "weights.safetensors")
    assert recognise(read_checkpoint(tmp_path / "weights.safetensors"))[0] == "dncnn"


def small_state() -> State:
    return under("model.", row(1, 1, width=4, depth=4, norm=True, bias=True))


def test_missing_and_left_over_tensors_are_listed() -> None:
    state = small_state()
    del state["model.3.running_var"], state["model.2.bias"]
    state["model.99.bias"] = torch.zeros(4)
    with pytest.raises(BundleError) as caught:
        recognise(state)
    assert "missing model.2.bias, model.3.running_var; left over model.99.bias" in str(caught.value)
    first = under("model.", row(1, 1, width=4, depth=4, norm=False, bias=True))
    del first["model.0.bias"]
    with pytest.raises(BundleError, match=r"missing model\.0\.bias$"):
        recognise(first)


def test_tensors_of_another_shape_are_listed() -> None:
    state = small_state()
    state["model.2.weight"] = torch.zeros(4, 5, 3, 3)
    with pytest.raises(BundleError, match=r"of another shape model\.2\.weight"):
        recognise(state)


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (
            {"m_head.weight": torch.zeros(4, 2, 3, 3), "m_body.0.gate": torch.zeros(1)},
            r"nearest is DRUNet.*m_body\.#\.gate",
        ),
        ({"embed.weight": torch.zeros(3)}, r"no known network.*embed\.weight.*expected one of DnCNN"),
        ({"model.0.weight": torch.zeros(8, 7, 3, 3), "model.2.weight": torch.zeros(2, 8, 3, 3)}, "number or shape"),
        ({"conv1.weight": torch.zeros(8, 1, 3, 3)}, r"bias-free U-Net.*no sense.*conv9"),
    ],
)
def test_an_unknown_network_names_the_nearest(state: State, match: str) -> None:
    with pytest.raises(BundleError, match=match):
        recognise(state)


def test_ircnn_is_not_taken_for_a_dncnn() -> None:
    """Its kernels have gaps that the tensors do not show: as a DnCNN it would give wrong images."""
    with pytest.raises(BundleError, match="no known network"):
        recognise(under("model.", row(1, 1, width=4, depth=7, norm=False, bias=True)))


@pytest.mark.parametrize(
    "checkpoint", [{}, [], None, 3, {"epoch": 1}, {"state_dict": {}}, {"a": torch.zeros(1), "b": 2}]
)
def test_a_checkpoint_without_a_state_dict_is_refused(checkpoint: Any) -> None:
    with pytest.raises(BundleError, match="without a state dict"):
        recognise(checkpoint)


class Payload:
    """What a malicious pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_nothing_runs(
    legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = {"state_dict": small_state(), "extra": Payload()}
    torch.save(contents, "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BundleError, match=r"evil\.pth holds more than tensors.*pickled code.*Nothing in it was run"):
        read_checkpoint("evil.pth")
    assert not Path("executed").exists()


@pytest.mark.filterwarnings("error")
def test_a_bare_pickle_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what torch says to its own callers, such as how to run the code after all."""
    monkeypatch.chdir(tmp_path)
    Path("evil.pth").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(BundleError, match=r"not loaded: got pickled code\. Nothing in it was run") as caught:
        read_checkpoint("evil.pth")
    assert "weights_only" not in str(caught.value)
    assert not Path("executed").exists()


def test_a_whole_pickled_module_names_its_class(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "module.pth")
    with pytest.raises(BundleError, match=r"pickled code, torch\.nn\.modules\.conv\.Conv2d.*state dict"):
        read_checkpoint(tmp_path / "module.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_damaged_files_are_bundle_errors(legacy: bool, tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole.pth", tmp_path / "damaged.pth"
    torch.save(small_state(), whole, _use_new_zipfile_serialization=not legacy)
    data = whole.read_bytes()
    for length in [0, 1, 10, *range(100, len(data) - 100, max(1, len(data) // 40))]:
        damaged.write_bytes(data[:length])
        with pytest.raises(BundleError, match=r"damaged\.pth"):
            read_checkpoint(damaged)
    generator = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        for place in generator.integers(0, len(data), 4):
            broken[place] ^= int(generator.integers(1, 256))
        damaged.write_bytes(broken)
        try:
            recognise(read_checkpoint(damaged))
        except BundleError:
            continue


@pytest.mark.parametrize("suffix", ["pth", "legacy.pth", "safetensors"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_a_truncated_checkpoint_says_so_in_one_line(suffix: str, share: float, tmp_path: Path) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    state = {"weight": torch.zeros(100_000)}  # large enough that torch's reader fails in each of its ways
    if suffix == "safetensors":
        save_file(state, whole)
    else:
        torch.save(state, whole, _use_new_zipfile_serialization=suffix == "pth")
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(BundleError) as caught:
        read_checkpoint(cut)
    size = f"{cut.stat().st_size:,}"
    assert str(caught.value) == (
        f"{cut} is not a whole checkpoint: got {size} bytes, cut short or damaged, "
        "expected what torch.save or safetensors wrote, all of it. Fetch or copy it again."
    )


def test_a_picture_is_no_checkpoint(tmp_path: Path) -> None:
    """It was taken for pickled code."""
    (path := tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BundleError, match=r"a.png is no checkpoint: got a file that begins with b'\\x89PNG"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["text.pth", "text.safetensors", "absent.pth", "."])
def test_what_is_no_checkpoint_is_a_bundle_error(name: str, tmp_path: Path) -> None:
    for suffix in ("pth", "safetensors"):
        (tmp_path / f"text.{suffix}").write_text("not a checkpoint\n" * 20)
    with pytest.raises(BundleError):
        read_checkpoint(tmp_path / name)


STORED = {
    "kair-dncnn/dncnn_25.pth": 28.205,
    "saoyan-dncnn-gpl/dncnn-s-25.pth": 28.188,
    "bias-free-cnn/dncnn-bias-free-0-55.pt": 28.018,
    "bias-free-cnn/unet-bias-free-0-100.pt": 27.604,
    "buifd-dncnn/gray-dncnn-0-75.pth": 28.075,
    "buifd-dncnn/color-dncnn-0-75.pth": 28.374,
    "ffdnet-gpl/ffdnet_weights_gray.pth": 28.039,
    "ffdnet-gpl/ffdnet_weights_rgb.pth": 28.502,
}
"""PSNR in dB of what each checkpoint makes of one noisy crop of a test photograph, as this project computed it."""


@pytest.mark.parametrize("name", STORED)
def test_a_published_checkpoint_computes_what_it_did(name: str, shared_data: Path) -> None:
    """It denoises, keeps the mean brightness, and gives the stored result within rounding."""
    network = ours(read_checkpoint(shared_data / "checkpoints" / name))
    folder = "set12" if network.spec.channels == 1 else "cbsd68"
    picture = np.asarray(Image.open(sorted((shared_data / "benchmark" / folder).glob("*.png"))[0]), np.float32) / 255
    clean = torch.from_numpy(picture).reshape(*picture.shape[:2], -1).permute(2, 0, 1)[None, :, 64:160, 64:160]
    noise = np.random.default_rng(25).standard_normal(clean.shape, np.float32)
    noisy = clean + 25 / 255 * torch.from_numpy(noise)
    with torch.inference_mode():
        told = network.spec.conditioning == "sigma"
        restored = network(noisy, torch.full((1, 1, 1, 1), 25 / 255)) if told else network(noisy)
    assert abs((restored - clean).mean()) < 1.5 / 255
    assert float(-10 * torch.log10((restored - clean).square().mean())) == pytest.approx(STORED[name], abs=2e-3)


PUBLISHED = {
    "kair-dncnn/dncnn_25.pth": 30.44,
    "saoyan-dncnn-gpl/dncnn-s-25.pth": 30.44,
    "ffdnet-gpl/ffdnet_weights_gray.pth": 30.43,
}
"""PSNR in dB on Set12 at sigma 25: Zhang et al., "Beyond a Gaussian Denoiser", 2017, and "FFDNet", 2018."""


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_checkpoint_reaches_its_published_psnr(name: str, shared_data: Path) -> None:
    path = shared_data / "checkpoints" / name
    report = noiseless.evaluate(
        [path], clean=str(shared_data / "benchmark" / "set12"), noise="gaussian:25", metrics=("psnr",)
    )
    assert report.results[0].interval("psnr").mean == pytest.approx(PUBLISHED[name], abs=0.1)


def test_the_published_pickle_is_refused(shared_data: Path) -> None:
    with pytest.raises(BundleError, match=r"pickled code, __main__\.DnCNN"):
        read_checkpoint(shared_data / "checkpoints" / "unsafe-pickle" / "whole-module-pickle.pth")
