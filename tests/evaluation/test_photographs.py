"""What a conditioned model gains on real photographs, told what calibration finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless.metrics import psnr

FIXED = (5, 10, 15, 20, 25)
"""Levels of 255: the range in which the best for photographs of PolyU lies."""

MIDDLE = slice(192, 320)
"""Rows and columns that are restored and measured; the noise is calibrated from the whole crop."""


@pytest.mark.slow
def test_calibrated_gains_three_quarters_of_the_best_fixed_level_on_canon_crops(shared_data: Path) -> None:
    files = sorted((shared_data / "benchmark" / "polyu100").glob("Canon*_real.*"))
    if not files:
        pytest.skip("PolyU is not there")
    denoiser, gains = noiseless.load("color-small"), []
    for path in files:
        whole = noiseless.read(path).array
        clean = noiseless.read(path.with_name(path.name.replace("_real", "_mean"))).array[MIDDLE, MIDDLE]
        noisy = whole[MIDDLE, MIDDLE]
        told: list[noiseless.noise.Noise | str] = [
            noiseless.calibrate(whole),
            *(f"gaussian:{level}" for level in FIXED),
        ]
        before, *after = (psnr(each, clean) for each in (noisy, *(denoiser(noisy, noise=each) for each in told)))
        gains.append([each - before for each in after])
    calibrated, *fixed = np.mean(gains, axis=0)
    assert calibrated >= 0.75 * max(fixed) > 0
