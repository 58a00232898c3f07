"""Denoiser: any dtype, any number of channels, levels given or estimated, and clear errors."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from scipy.ndimage import gaussian_filter

import noiseless
import tiny_models
from noiseless import bundle, denoiser, noise
from noiseless.bundle import Bundle, NetworkSpec
from noiseless.data import samples
from noiseless.denoiser import Controls, Denoiser, choose_model, find, load
from noiseless.errors import (
    BundleError,
    Cancelled,
    ConfigError,
    ImageError,
    SigmaError,
    SpecError,
    UnknownNameError,
    ValueRangeError,
)
from noiseless.image import Image
from noiseless.runtime import Array, Precision


class Shrink:
    """An engine that halves the distance to mid-grey; with sigma, by so much as sigma says."""

    name = "shrink"
    precision: Precision = "exact"
    note = ""
    bytes_per_pixel = 4.0
    fixed_bytes = 0.0

    def __init__(self) -> None:
        self.told: list[Array | None] = []
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Array, sigma: Array | None) -> Array:
        self.told.append(sigma)
        self.shapes.append(batch.shape)
        share = np.float32(0.5) if sigma is None else 1 - sigma
        return (0.5 + share * (batch - 0.5)).astype(np.float32)

    def release(self) -> None:
        pass


def make(channels: int = 1, conditioning: str = "none", **controls: object) -> Denoiser:
    spec = NetworkSpec(channels=channels, halo=0, conditioning=conditioning)  # type: ignore[arg-type]
    return Denoiser(Bundle(Path("shrink"), "shrink", "none", {}, spec), Shrink(), Controls(**controls))  # type: ignore[arg-type]


def told(model: Denoiser) -> Array:
    engine = model.engine
    assert isinstance(engine, Shrink)
    last = engine.told[-1]
    assert last is not None
    return last


def test_floats_come_back_unclipped_in_their_dtype() -> None:
    for dtype in (np.float32, np.float64, np.float16):
        restored = make()(np.array([[-0.5, 0.5], [1.0, 1.9]], dtype))
        assert restored.dtype == dtype
        assert np.allclose(restored, [[0, 0.5], [0.75, 1.2]], atol=2e-3)


def test_integers_are_rounded_and_clipped() -> None:
    restored = make()(np.array([[0, 255], [128, 127]], np.uint8))
    assert restored.dtype == np.uint8
    assert restored.tolist() == [[64, 191], [128, 127]]


def test_a_data_range_scales_the_values() -> None:
    restored = make()(np.array([[0, 4095]], np.uint16), data_range=4095)
    assert restored.tolist() == [[1024, 3071]]
    assert np.allclose(make()(np.array([[-1000.0, 3000.0]]), data_range=(-1000, 3000)), [[0, 2000]])


@settings(deadline=None, max_examples=60)
@given(
    array_shapes(min_dims=2, max_dims=5, max_side=7),
    st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64, bool]),
    st.integers(0, 2**31),
)
def test_shape_and_dtype_stay(shape: tuple[int, ...], dtype: type, seed: int) -> None:
    values = np.random.default_rng(seed).random(shape)
    info = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else None
    array = (values * info.max if info else values).astype(dtype)
    for channels in (1,):
        restored = make(channels)(array)
        assert (restored.shape, restored.dtype) == (array.shape, array.dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    array = np.full((8, 8), 0.5)
    array[3, 3] = bad
    with pytest.raises(ImageError, match="not finite"):
        make()(array)


def test_floats_far_outside_the_unit_range_are_refused() -> None:
    with pytest.raises(ValueRangeError, match="data_range"):
        make()(np.linspace(0, 1000, 64).reshape(8, 8))


def test_strength_goes_from_the_input_to_the_result() -> None:
    array = tiny_models.noisy(16, 16)
    model = make()
    full = model(array)
    assert np.array_equal(model(array, strength=0.0), array)
    assert np.allclose(model(array, strength=0.5), (array + full) / 2, atol=1e-6)
    integers = (255 * array.clip(0, 1)).astype(np.uint8)
    assert np.array_equal(model(integers, strength=0), integers)


def test_strength_may_be_a_map() -> None:
    array = tiny_models.noisy(16, 16)
    mask = np.zeros((16, 16))
    mask[:, 8:] = 1
    restored = make()(array, strength=mask)
    assert np.array_equal(restored[:, :8], array[:, :8])
    assert np.array_equal(restored[:, 8:], make()(array)[:, 8:])
    with pytest.raises(ImageError, match="strength map does not fit"):
        make()(array, strength=np.ones((3, 5)))


@pytest.mark.parametrize("strength", [-0.1, 1.1, np.nan])
def test_a_strength_outside_0_to_1_is_refused(strength: float) -> None:
    with pytest.raises(ConfigError, match="strength does not fit"):
        make()(tiny_models.noisy(8, 8), strength=strength)
    with pytest.raises(ConfigError, match="luma does not fit"):
        make(luma=strength)


def test_a_grey_model_takes_each_channel_by_itself() -> None:
    model = make(1, "sigma")
    image = tiny_models.noisy(9, 7, 5)
    restored = model(image, channel_axis=2, noise=noise.Gaussian(sigma=[0.1, 0.2, 0.3, 0.4, 0.5]))
    assert told(model).shape == (5, 1, 1, 1)
    for channel in range(5):
        alone = model(image[..., channel], noise=noise.Gaussian(sigma=0.1 * (channel + 1)))
        assert np.allclose(restored[..., channel], alone, atol=1e-6)


@pytest.mark.parametrize("level", [0.1, np.full((9, 7), 0.1), noise.Gaussian(sigma=0.1)])
def test_a_grey_model_is_told_one_level_for_all_channels(level: object) -> None:
    model = make(1, "sigma")
    model(tiny_models.noisy(9, 7, 3), noise=level)
    assert told(model).shape[:2] == (3, 1)
    assert np.allclose(told(model), 0.1)


def test_a_grey_model_takes_a_map_for_each_channel() -> None:
    model = make(1, "sigma")
    image = tiny_models.noisy(2, 3, 8, 8).clip(0, 1)
    model(image, channel_axis=1, noise="poisson:gain=0.01")
    assert told(model).shape == (6, 1, 8, 8)


def test_a_colour_model_refuses_other_channels() -> None:
    with pytest.raises(ImageError, match=r"takes images of 3 channels.*got 1.*grey model"):
        make(3)(tiny_models.noisy(8, 8))


def test_alpha_is_left_alone() -> None:
    image = np.full((4, 4, 4), 200, np.uint8)
    image[..., 3] = 77
    restored = make(3)(image)
    assert (restored[..., 3] == 77).all()
    assert (restored[..., :3] == 164).all()


def test_the_level_is_estimated_for_each_plane_and_channel() -> None:
    model = make(1, "sigma")
    generator = np.random.default_rng(0)
    levels = np.array([[0.02, 0.05, 0.1], [0.1, 0.02, 0.05]])
    stack = 0.5 + levels[:, :, None, None] * generator.standard_normal((2, 3, 96, 96))
    model(stack, channel_axis=1)
    assert np.allclose(told(model).ravel(), levels.ravel(), rtol=0.15)


def test_a_level_may_be_text_a_model_or_an_array() -> None:
    model = make(1, "sigma")
    image = tiny_models.noisy(8, 8)
    for level in ("gaussian:25.5", noise.Gaussian(sigma=0.1), np.float32(0.1), np.full((8, 8), 0.1)):
        assert np.allclose(model(image, noise=level), 0.5 + 0.9 * (image - 0.5), atol=1e-6)


def test_a_conditioned_network_without_a_level_is_an_error() -> None:
    model = make(1, "sigma")
    image = tiny_models.noisy(8, 8)
    with pytest.raises(SigmaError, match="must be told the noise level"):
        model(image, noise=None)  # type: ignore[arg-type]
    with pytest.raises(SigmaError, match="a range is no noise level"):
        model(image, noise="gaussian:0-55")
    with pytest.raises(SigmaError, match="does not fit the image"):
        model(image, noise=np.ones((3, 3)))
    with pytest.raises(SigmaError, match=r"a share of the range: got 25\.0, expected 0 to 1"):
        model(image, noise=25)
    with pytest.raises(ImageError, match="no image: got ndarray"):
        model.image(image)  # type: ignore[arg-type]
    with pytest.raises(SigmaError, match="negative or not finite"):
        model(image, noise=np.float32(-1))
    with pytest.raises((SpecError, UnknownNameError)):
        model(image, noise="gausian:25")
    with pytest.raises(SpecError, match="3 channels"):
        model(image, noise="gaussian:25/20/30")


def test_a_blind_network_needs_no_level() -> None:
    model = make()
    assert not model.takes_sigma
    model(tiny_models.noisy(8, 8), noise=None)  # type: ignore[arg-type]
    assert model.engine.told == [None]  # type: ignore[attr-defined]


def test_luma_and_chroma_have_strengths_of_their_own() -> None:
    image = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    weights = np.array((0.299, 0.587, 0.114), np.float32)
    change = make(3)(image) - image
    luma_only = make(3, chroma=0.0)(image) - image
    assert np.allclose(luma_only, (change @ weights)[..., None], atol=1e-6)
    chroma_only = make(3, luma=0.0)(image) - image
    assert np.allclose(chroma_only @ weights, 0, atol=1e-6)
    assert np.allclose(luma_only + chroma_only, change, atol=1e-6)


def test_strength_0_is_the_input_to_the_bit() -> None:
    random = np.random.default_rng(1)
    unit, stored = random.normal(0.5, 0.2, (9, 7)).astype(np.float32), random.integers(0, 65536, (9, 7), np.uint16)
    assert np.array_equal(make()(unit, strength=0), unit)
    assert np.array_equal(make()(stored, strength=0), stored)


def test_the_ensemble_asks_the_network_eight_times() -> None:
    model = make(1, ensemble=True)
    image = np.random.default_rng(0).random((8, 12)).astype(np.float32)
    assert np.allclose(model(image), make()(image), atol=1e-6)
    assert isinstance(model.engine, Shrink)
    assert sum(shape[0] for shape in model.engine.shapes) == 8
    assert {shape[-2:] for shape in model.engine.shapes} == {(8, 12), (12, 8)}


def test_a_batch_gives_what_single_images_give() -> None:
    model = make(1, "sigma")
    arrays = [tiny_models.noisy(8, 8, seed=n) for n in range(3)] + [tiny_models.noisy(5, 9), tiny_models.noisy(8, 8)]
    arrays[1] = (255 * arrays[1].clip(0, 1)).astype(np.uint8)
    seen: list[float] = []
    restored = model.batch(arrays, noise="gaussian:30", progress=seen.append)
    for array, result in zip(arrays, restored, strict=True):
        assert result.dtype == array.dtype
        assert np.allclose(result, model(array, noise="gaussian:30"), atol=1e-6)
    assert seen[-1] == pytest.approx(1)
    assert seen == sorted(seen)


def test_a_batch_runs_images_of_one_size_together() -> None:
    model = make()
    model.batch([tiny_models.noisy(8, 8)] * 6 + [tiny_models.noisy(4, 4)])
    assert model.engine.shapes == [(6, 1, 8, 8), (1, 1, 4, 4)]  # type: ignore[attr-defined]


def test_an_empty_batch_is_empty() -> None:
    assert make().batch([]) == []


def test_cancel_reaches_the_work() -> None:
    with pytest.raises(Cancelled):
        make()(tiny_models.noisy(8, 8), cancel=lambda: True)


def test_load_takes_a_bundle_folder_and_a_run_folder(conditioned_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(conditioned_bundle.path, tmp_path / "run" / "best")
    image = tiny_models.noisy(21, 30)
    direct = load(conditioned_bundle.path, threads=1)
    assert direct.name == "tiny-gray"
    assert direct.takes_sigma
    assert np.array_equal(load(tmp_path / "run")(image), direct(image))
    assert repr(direct) == "Denoiser('tiny-gray', network='unet_nano', engine='onnxruntime')"


def test_load_takes_the_shipped_models_by_name(conditioned_bundle: Bundle, shipped: Callable[..., None]) -> None:
    shipped("gray-small")
    assert load("gray-small").name == "tiny-gray"
    with pytest.raises(UnknownNameError, match="Did you mean gray-small"):
        load("grey-small")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model at"):
        load(tmp_path / "nothing")
    with pytest.raises(BundleError, match="not a model bundle"):
        load(tmp_path)


@pytest.fixture
def shipped(
    conditioned_bundle: Bundle, blind_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Pretends that models of these names are shipped."""
    monkeypatch.setattr(bundle, "SHIPPED", tmp_path / "weights")
    denoiser._load_shipped.cache_clear()

    def ship(*names: str) -> None:
        for name in names:
            source = conditioned_bundle if name.startswith("gray") else blind_bundle
            shutil.copytree(source.path, tmp_path / "weights" / name)

    yield ship
    denoiser._load_shipped.cache_clear()


def test_auto_takes_the_model_for_the_kind_of_image(shipped: Callable[..., None]) -> None:
    grey = Image.from_array(np.zeros((8, 8), np.uint8))
    colour = Image.from_array(np.zeros((8, 8, 3), np.uint8))
    bands = Image.from_array(np.zeros((8, 8, 7), np.uint8), channel_axis=2)
    with pytest.raises(BundleError, match="no model comes with this installation"):
        choose_model(grey)
    shipped("gray-small")
    assert choose_model(grey) == ("gray-small", "a grey image")
    assert choose_model(colour) == ("gray-small", "channel by channel: no colour model is shipped")
    assert choose_model(bands) == ("gray-small", "each of 7 channels by itself")
    shipped("color-small")
    assert choose_model(colour) == ("color-small", "a colour image")
    assert choose_model(bands)[0] == "gray-small"
    shipped("photo-small")
    deep = Image.from_array(np.zeros((8, 8, 3), np.uint16))
    assert choose_model(colour) == ("photo-small", "8-bit colour, taken for a developed photograph")
    assert choose_model(colour, told=True)[0] == choose_model(deep)[0] == "color-small"


@pytest.mark.parametrize("sigma", [3, 10, 40])
def test_auto_tells_white_noise_from_that_of_photographs(sigma: int) -> None:
    clean = noiseless.read(samples("test")[0]).array[:256, :256]
    assert choose_model(Image.from_array(clean))[0] == "photo-small"
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    white = np.rint((clean + noise).clip(0, 255)).astype(np.uint8)
    assert choose_model(Image.from_array(white)) == (
        "color-small",
        "8-bit colour, each with noise of its own",
    )
    stack = Image.from_array(np.stack([white, white]), channel_axis=3)
    assert choose_model(stack)[0] == "color-small"
    stored = io.BytesIO()
    PIL.Image.fromarray(white).save(stored, "JPEG", quality=90)
    assert choose_model(noiseless.read(io.BytesIO(stored.getvalue())))[0] == "photo-small"
    soft = gaussian_filter(2 * noise, (0.6, 0.6, 0))
    luminance = np.rint((clean + soft[..., :1]).clip(0, 255)).astype(np.uint8)
    assert choose_model(Image.from_array(luminance))[0] == "photo-small"
    if sigma > 10:  # else its fur is stronger
        each = np.rint((clean + soft).clip(0, 255)).astype(np.uint8)
        assert choose_model(Image.from_array(each))[0] == "color-small"


def test_denoise_is_one_call(shipped: Callable[..., None], conditioned_bundle: Bundle) -> None:
    shipped("gray-small", "color-small")
    image = (255 * tiny_models.noisy(33, 20).clip(0, 1)).astype(np.uint8)
    restored = noiseless.denoise(image, noise="gaussian:25")
    assert np.array_equal(restored, load(conditioned_bundle.path)(image, noise="gaussian:25"))
    colour = np.stack([image] * 3, axis=-1)
    assert noiseless.denoise(colour).shape == colour.shape
    assert noiseless.denoise(colour, model="gray-small", noise="gaussian:25").shape == colour.shape


def test_a_network_that_is_there_can_be_used(conditioned_bundle: Bundle) -> None:
    network = tiny_models.conditioned_network()
    image = tiny_models.noisy(17, 23)
    live = Denoiser.of(network, "live")
    assert live.name == "live"
    saved = load(conditioned_bundle.path)
    assert np.abs(live(image, noise="gaussian:25") - saved(image, noise="gaussian:25")).max() < 5e-3
    assert not torch.is_grad_enabled() or next(network.parameters()).requires_grad


def test_int8_without_a_graph_says_what_runs_instead(conditioned_bundle: Bundle) -> None:
    assert "no int8 graph" in load(conditioned_bundle.path, precision="int8").engine.note


def test_find_prefers_best_over_last(conditioned_bundle: Bundle, tmp_path: Path) -> None:
    for name in ("best", "last"):
        shutil.copytree(conditioned_bundle.path, tmp_path / name)
    assert find(tmp_path) == tmp_path / "best"
    shutil.rmtree(tmp_path / "best")
    assert find(tmp_path) == tmp_path / "last"


def test_a_changed_bundle_does_not_load(conditioned_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(conditioned_bundle.path, tmp_path / "model")
    weights = replace(conditioned_bundle, path=tmp_path / "model").weights_path
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(BundleError, match="not a whole safetensors file"):
        load(tmp_path / "model")


def test_equal_channels_are_denoised_once_and_stay_equal(conditioned_bundle: Bundle, blind_bundle: Bundle) -> None:
    grey = np.random.default_rng(0).integers(90, 160, (24, 32), np.uint8)
    colours = np.stack([grey, grey, grey], axis=-1)
    denoiser = load(conditioned_bundle.path)
    for level in ("auto", "gaussian:20"):
        np.testing.assert_array_equal(denoiser(colours, noise=level)[..., 1], denoiser(grey, noise=level))
    after = load(blind_bundle.path)(colours)
    assert (after == after[..., :1]).all()
    assert (after[..., 0] != grey).any()


def test_grey_stored_as_colours_takes_the_grey_model_where_it_is_all_there_is() -> None:
    grey = np.random.default_rng(0).integers(90, 160, (24, 32), np.uint8)
    image = Image.from_array(np.stack([grey, grey, grey], axis=-1))
    assert choose_model(image, whole=True) == ("gray-small", "a grey image, stored as colours")
    assert choose_model(image)[0] == "photo-small"
