"""What holds of every metric in the table; each is checked against another implementation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import skimage.metrics
import torch
from numpy.testing import assert_array_equal
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from noiseless import metrics
from noiseless.errors import DataError, InputError, UnknownNameError
from noiseless.metrics import METRICS, MINIMUM_SIZES, find

Oracle = Callable[[np.ndarray, np.ndarray, float], float]


def skimage_ssim(restored: np.ndarray, clean: np.ndarray, data_range: float) -> float:
    return float(
        skimage.metrics.structural_similarity(
            restored,
            clean,
            data_range=data_range,
            channel_axis=0 if clean.ndim == 3 else None,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def torch_ms_ssim(restored: np.ndarray, clean: np.ndarray, data_range: float) -> float:
    first, second = (torch.from_numpy(np.atleast_3d(a.T).T.copy())[None] for a in (restored, clean))
    return float(multiscale_structural_similarity_index_measure(first, second, data_range=data_range))


ORACLES: dict[str, Oracle] = {
    "psnr": lambda restored, clean, scale: skimage.metrics.peak_signal_noise_ratio(clean, restored, data_range=scale),
    "ssim": skimage_ssim,
    "ms_ssim": torch_ms_ssim,
    "mse": lambda restored, clean, scale: skimage.metrics.mean_squared_error(clean, restored) / scale**2,
    "mae": lambda restored, clean, scale: float(np.linalg.norm((restored - clean).ravel(), 1)) / clean.size / scale,
}
"""Each metric by others: a new entry of the table needs one here."""

BEST = {"psnr": np.inf, "ssim": 1.0, "ms_ssim": 1.0, "mse": 0.0, "mae": 0.0}
"""The value for identical images; all metrics get worse away from it."""

each_metric = pytest.mark.parametrize("name", METRICS)


def images(shape: tuple[int, ...] = (3, 181, 207), sigma: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A textured image and the same with noise, float64, values about 0 to 1."""
    generator = np.random.default_rng(4)
    texture = gaussian_filter(generator.standard_normal(shape), (0,) * (len(shape) - 2) + (3, 3))
    clean = (texture - texture.min()) / np.ptp(texture)
    return clean + sigma * generator.standard_normal(shape), clean


def test_every_metric_of_the_table_has_an_oracle() -> None:
    assert set(ORACLES) == set(BEST) == set(METRICS)
    assert set(MINIMUM_SIZES) <= set(METRICS)


@each_metric
class TestEveryMetric:
    @pytest.mark.parametrize("shape", [(181, 207), (1, 181, 207), (3, 181, 207), (4, 176, 176)])
    @pytest.mark.parametrize("sigma", [0.01, 0.2, 2.0])
    def test_equals_another_implementation(self, name: str, shape: tuple[int, ...], sigma: float) -> None:
        restored, clean = images(shape, sigma)
        value = find(name)(restored, clean)
        assert isinstance(value, float)
        assert value == pytest.approx(ORACLES[name](restored, clean, 1.0), rel=1e-6)

    def test_follows_the_data_range(self, name: str) -> None:
        restored, clean = images()
        value = find(name)(restored * 255, clean * 255, data_range=255)
        assert value == pytest.approx(find(name)(restored, clean), rel=1e-9)
        assert value == pytest.approx(ORACLES[name](restored * 255, clean * 255, 255.0), rel=1e-6)

    def test_takes_integers_without_wrapping(self, name: str) -> None:
        restored, clean = ((np.clip(image, 0, 1) * 255).astype(np.uint8) for image in images())
        as_float = find(name)(restored.astype(float), clean.astype(float), data_range=255)
        assert find(name)(restored, clean, data_range=255) == as_float

    def test_is_best_for_identical_images_and_worse_with_more_noise(self, name: str) -> None:
        metric, (_, clean) = find(name), images()
        values = [
            metric(clean + sigma * np.sin(np.arange(clean.size)).reshape(clean.shape), clean) for sigma in (0, 0.1, 0.3)
        ]
        assert values[0] == pytest.approx(BEST[name], abs=1e-12)
        assert values == sorted(values, reverse=BEST[name] > 0)
        assert len(set(values)) == 3

    def test_of_constant_images_is_finite_or_best(self, name: str) -> None:
        flat = np.full((176, 176), 0.5)
        assert find(name)(flat, flat) == pytest.approx(BEST[name], abs=1e-12)
        assert np.isfinite(find(name)(flat + 0.1, flat))

    def test_says_nan_where_there_is_one(self, name: str) -> None:
        restored, clean = images()
        restored[0, 90, 90] = np.nan
        assert np.isnan(find(name)(restored, clean))

    def test_leaves_its_arguments_alone(self, name: str) -> None:
        restored, clean = images()
        copies = restored.copy(), clean.copy()
        restored.flags.writeable = clean.flags.writeable = False
        find(name)(restored, clean)
        assert_array_equal(restored, copies[0])
        assert_array_equal(clean, copies[1])

    def test_refuses_what_it_is_not_defined_for(self, name: str) -> None:
        metric, size = find(name), MINIMUM_SIZES.get(name, 1)
        least = np.zeros((size, size))
        assert metric(least, least) == pytest.approx(BEST[name], abs=1e-12)
        for bad in (np.zeros((size - 1, size)), np.zeros((size, size - 1)), np.zeros(size), np.zeros((1, 1, 200, 200))):
            with pytest.raises(DataError):
                metric(bad, bad)
        with pytest.raises(DataError, match="different shape"):
            metric(np.zeros((200, 201)), np.zeros((201, 200)))
        with pytest.raises(DataError):
            metric(least.astype(complex), least)
        for data_range in (0, -1, np.nan, np.inf):
            with pytest.raises(InputError):
                metric(least, least, data_range=data_range)

    def test_is_the_attribute_of_its_name(self, name: str) -> None:
        assert getattr(metrics, name) is find(name)
        assert name in dir(metrics)


def test_an_unknown_metric_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="psnr"):
        find("pnsr")
    with pytest.raises(AttributeError):
        _ = metrics.pnsr
