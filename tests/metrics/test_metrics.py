"""Values of metrics that are known by hand, and the interval of a mean."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseless.errors import InputError
from noiseless.metrics import bootstrap_interval, mae, ms_ssim, mse, psnr, ssim


@given(st.floats(1e-6, 10), st.integers(1, 5), st.integers(1, 5))
def test_a_constant_error_has_its_psnr(error: float, height: int, width: int) -> None:
    clean = np.zeros((height, width))
    assert psnr(clean + error, clean) == pytest.approx(-20 * np.log10(error), abs=1e-9)
    assert mse(clean - error, clean) == pytest.approx(error**2)
    assert mae(clean - error, clean) == pytest.approx(error)


def test_psnr_pools_channels_before_the_logarithm() -> None:
    clean = np.zeros((2, 4, 4))
    restored = np.stack([np.full((4, 4), 0.1), np.full((4, 4), 0.3)])
    assert psnr(restored, clean) == pytest.approx(-10 * np.log10(0.05))


def test_psnr_of_float32_is_worked_out_in_float64() -> None:
    clean = np.full((512, 512), 0.7, np.float32)
    restored = clean + np.float32(1e-6)
    difference = float(restored[0, 0]) - float(clean[0, 0])
    assert psnr(restored, clean) == pytest.approx(-20 * np.log10(difference), abs=1e-6)


def test_ssim_of_two_constants_is_the_luminance_term() -> None:
    first, second, c1 = 0.2, 0.6, 0.01**2
    expected = (2 * first * second + c1) / (first**2 + second**2 + c1)
    assert ssim(np.full((20, 20), first), np.full((20, 20), second)) == pytest.approx(expected)


def test_ssim_of_an_inverted_image_is_negative_and_ms_ssim_zero() -> None:
    noise = np.random.default_rng(0).standard_normal((176, 176)) + 10
    assert ssim(noise, 20 - noise) < -0.9
    assert ms_ssim(noise, 20 - noise) == 0


def test_colour_is_the_mean_over_channels() -> None:
    generator = np.random.default_rng(0)
    clean, restored = generator.random((3, 20, 20)), generator.random((3, 20, 20))
    each = [ssim(one, other) for one, other in zip(restored, clean, strict=True)]
    assert ssim(restored, clean) == pytest.approx(np.mean(each))


def test_metrics_keep_their_names_in_any_order_of_use() -> None:
    code = (
        "from noiseless import metrics; import numpy as np; a = np.zeros((176, 176))\n"
        "metrics.ms_ssim(a, a); metrics.ssim(a, a); metrics.mse(a, a)\n"
        "from noiseless.metrics import ssim, ms_ssim, psnr; assert callable(ssim) and callable(ms_ssim)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestInterval:
    def test_covers_the_true_mean_about_as_often_as_it_says(self) -> None:
        generator = np.random.default_rng(0)
        hits = 0
        for seed in range(200):
            interval = bootstrap_interval(generator.normal(30, 2, 40), seed, level=0.9)
            hits += interval.low <= 30 <= interval.high
        assert 0.82 <= hits / 200 <= 0.96

    def test_holds_the_mean_and_narrows_with_more_values(self) -> None:
        values = np.random.default_rng(1).normal(30, 2, 400)
        few, many = bootstrap_interval(values[:20]), bootstrap_interval(values)
        assert few.low < few.mean < few.high
        assert many.high - many.low < (few.high - few.low) / 2
        assert many.high - many.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)

    def test_is_repeatable(self) -> None:
        values = [1.0, 2.0, 4.0]
        assert bootstrap_interval(values, 7) == bootstrap_interval(np.array(values), 7)

    def test_of_one_value_is_that_value(self) -> None:
        assert bootstrap_interval([3.5]) == (3.5, 3.5, 3.5)

    def test_passes_on_what_is_not_finite(self) -> None:
        assert bootstrap_interval([1.0, np.inf]).low == np.inf
        assert np.isnan(bootstrap_interval([1.0, np.nan]).mean)

    @pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0], 0.0), ([1.0], 1.0)])
    def test_refuses(self, values: list[float], level: float) -> None:
        with pytest.raises(InputError):
            bootstrap_interval(values, level=level)
