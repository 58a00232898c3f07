"""Every shipped model on a shipped photograph: it denoises, leaves clean images alone, keeps the brightness."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

import noiseless
from noiseless import bundle
from noiseless.data import samples
from noiseless.data.augment import to_channels
from noiseless.data.store import as_unit_float
from noiseless.io import read_pixels
from noiseless.metrics import psnr
from noiseless.networks import create
from noiseless.networks.spec import multiply_adds, parameters
from noiseless.noise import Camera, Gaussian

SHIPPED = sorted(bundle.shipped())
CONDITIONED = [name for name in SHIPPED if bundle.read(bundle.shipped()[name]).spec.conditioning == "sigma"]
FLOORS = {15: 30.5, 25: 28.0, 50: 25.0}
"""PSNR in dB at each noise level, mean over the shipped test photographs, that every conditioned model exceeds."""

CAMERA_FLOORS = {5: 33.0, 14: 26.0}
"""PSNR in dB at each level of a camera's noise, mean over the photographs, that a blind model exceeds."""

UNTOUCHED = 45.0
"""PSNR in dB, mean over the photographs, of a clean image told to be clean."""

TOO_HIGH = 0.5
"""What a level told 20% too high may cost, in dB."""

BLIND_UNTOUCHED = 45.0
"""PSNR in dB, mean over the photographs, of a clean image given to a blind model."""


def photographs(channels: int) -> list[np.ndarray]:
    """The shipped test photographs, (H, W) or (H, W, 3), float32 in [0, 1]."""
    clean = [to_channels(as_unit_float(read_pixels(path)), channels) for path in samples("test")]
    return [image[0] if channels == 1 else np.moveaxis(image, 0, -1) for image in clean]


def noisy(clean: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return Gaussian(sigma=sigma / 255).sample(clean, np.random.default_rng(seed))


def quality(denoiser: noiseless.Denoiser, sigma: float, told: float | None = None) -> float:
    """Mean PSNR over the photographs with noise `sigma`, when the model is told `told`."""
    level = Gaussian(sigma=(sigma if told is None else told) / 255)
    values = []
    for clean in photographs(denoiser.spec.channels):
        restored = denoiser(noisy(clean, sigma), noise=level)
        values.append(psnr(restored.clip(0, 1), clean))
    return float(np.mean(values))


def test_there_are_shipped_models() -> None:
    assert "gray-small" in SHIPPED


@pytest.mark.parametrize("name", CONDITIONED)
@pytest.mark.parametrize("sigma", FLOORS)
def test_quality_is_above_its_floor(name: str, sigma: int) -> None:
    assert quality(noiseless.load(name), sigma) > FLOORS[sigma]


@pytest.mark.parametrize("name", CONDITIONED)
def test_sigma_zero_returns_the_image_nearly_untouched(name: str) -> None:
    denoiser = noiseless.load(name)
    clean = photographs(denoiser.spec.channels)
    kept = [psnr(denoiser(image, noise=Gaussian(sigma=0.0)), image) for image in clean]
    assert np.mean(kept) >= UNTOUCHED


@pytest.mark.parametrize("name", CONDITIONED)
def test_a_sigma_20_percent_too_high_costs_little(name: str) -> None:
    denoiser = noiseless.load(name)
    assert quality(denoiser, 25) - quality(denoiser, 25, told=30) <= TOO_HIGH


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - set(CONDITIONED)))
def test_a_blind_model_leaves_clean_8_bit_images_alone(name: str) -> None:
    denoiser = noiseless.load(name)
    images = [np.rint(clean * 255).astype(np.uint8) for clean in photographs(denoiser.spec.channels)]
    kept = [psnr(denoiser(image) / 255, image / 255) for image in images]
    assert np.mean(kept) >= BLIND_UNTOUCHED


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - set(CONDITIONED)))
@pytest.mark.parametrize("level", CAMERA_FLOORS)
def test_a_blind_model_is_above_its_floor_on_photographs(name: str, level: int) -> None:
    denoiser, camera = noiseless.load(name), Camera(level=level / 255, untouched=0.0)
    values = []
    for clean in photographs(denoiser.spec.channels):
        image = camera.sample(np.moveaxis(clean, -1, 0), np.random.default_rng(0))
        restored = denoiser(np.moveaxis(image, 0, -1))
        values.append(psnr(restored.clip(0, 1), clean))
    assert np.mean(values) > CAMERA_FLOORS[level]


def test_a_clean_8_bit_photograph_without_any_option_comes_back() -> None:
    for clean in photographs(3):
        image = np.rint(clean * 255).astype(np.uint8)
        assert psnr(noiseless.denoise(image) / 255, image / 255) >= BLIND_UNTOUCHED


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("level", [0.06, 0.25, 0.5, 0.75])
def test_the_brightness_of_flat_images_is_kept(name: str, level: float) -> None:
    denoiser = noiseless.load(name)
    strongest = 15 if name in CONDITIONED else 3  # white noise is not what a blind model knows
    sigma = min(strongest / 255, level / 5)  # nothing clips
    shape = (192, 192) if denoiser.spec.channels == 1 else (192, 192, 3)
    flat = noisy(np.full(shape, level, np.float32), sigma * 255)
    restored = denoiser(flat, noise=Gaussian(sigma=sigma))
    shift = np.abs((restored - flat).mean(axis=(0, 1)))
    assert shift.max() <= 0.25 / 255


@pytest.mark.parametrize("name", SHIPPED)
def test_the_brightness_of_dark_photographs_is_kept(name: str) -> None:
    denoiser = noiseless.load(name)
    for clean in photographs(denoiser.spec.channels):
        dark = noisy(0.06 + 0.1 * clean, 3)
        restored = denoiser(dark, noise=Gaussian(sigma=3 / 255))
        assert np.abs((restored - dark).mean(axis=(0, 1))).max() <= 0.25 / 255


@pytest.mark.parametrize("name", SHIPPED)
def test_a_bundle_is_complete_and_its_card_says_what_matters(name: str) -> None:
    folder = bundle.shipped()[name]
    files = {"config.json", "model.safetensors", "model.onnx", "model.int8.onnx", "README.md", "train.json"}
    assert files | {"limits.webp"} <= {path.name for path in folder.iterdir()}
    card = " ".join((folder / "README.md").read_text(encoding="utf-8").split())
    for heading in ("Intended use", "Data", "Recipe", "Numbers", "Limits"):
        assert f"## {heading}" in card
    said = ["icences", f"train --recipe {name}", "hours in all", "processor", "PSNR in dB, mean over", "(limits.webp)"]
    for words in [*said, *(["a level told 20% too low costs"] if name in CONDITIONED else [])]:
        assert words in card


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_half_floats_and_lie_beside_the_graphs(name: str) -> None:
    folder = bundle.shipped()[name]
    weights = folder / "model.safetensors"
    with safe_open(weights, framework="numpy") as tensors:
        stored = {tensors.get_slice(key).get_dtype() for key in list(tensors.keys())}
    assert stored == {"F16"}
    for graph in ("model.onnx", "model.int8.onnx"):
        assert (folder / graph).stat().st_size < 0.05 * weights.stat().st_size


@pytest.mark.parametrize("name", SHIPPED)
def test_networks_keep_to_their_budgets(name: str) -> None:
    read = bundle.read(bundle.shipped()[name])
    network = create(read.network, **read.arguments)
    operations, weights = (14e9, 7.5e6) if name.endswith("small") else (3.5e9, 2e6)
    assert multiply_adds(network) <= operations
    assert parameters(network) <= weights


def test_the_package_is_small_enough() -> None:
    files = (path for path in bundle.SHIPPED.parent.rglob("*") if "__pycache__" not in path.parts and path.is_file())
    assert sum(path.stat().st_size for path in files) < 60e6  # before the wheel packs them


def most_lost(level: float) -> float:
    """What int8 may cost, in dB, at a noise level on the 0-255 scale."""
    return 0.05 if round(level) >= 15 else 0.1


@pytest.mark.parametrize("name", SHIPPED)
def test_int8_lost_no_more_than_it_may_where_it_was_measured(name: str) -> None:
    losses = bundle.read(bundle.shipped()[name]).extra["int8"]["losses"]
    assert losses
    assert all(each["lost"] <= most_lost(each["level"]) for each in losses)


@pytest.mark.parametrize("name", CONDITIONED)
def test_int8_loses_little_on_a_photograph(name: str) -> None:
    exact, int8 = (noiseless.load(name, precision=precision, engine="onnxruntime") for precision in ("exact", "int8"))
    assert int8.engine.precision == "int8"
    clean = photographs(exact.spec.channels)[0]
    image, level = noisy(clean, 25), Gaussian(sigma=25 / 255)
    best, found = (psnr(denoiser(image, noise=level).clip(0, 1), clean) for denoiser in (exact, int8))
    assert best - found <= most_lost(25)
    assert found != best
