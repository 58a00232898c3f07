"""Which values of a scan are shown black and white."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import noiseless
from noiseless.service import preview
from noiseless.service.preview import window

pytest.importorskip("pydicom", reason="DICOM needs the extra medical")

from dicom_files import dicom

VALUES = np.linspace(200, 900, 64 * 64).reshape(64, 64).astype(np.uint16)


def shown(**elements: Any) -> tuple[float, float]:
    """The stored values that are shown black and white."""
    image = noiseless.read(io.BytesIO(dicom(VALUES, BitsStored=12, **elements)))
    low, high = window(image)
    first, last = image.data_range
    return first + low * (last - first), first + high * (last - first)


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 500, "WindowWidth": 600},
        {"WindowCenter": [500, 90], "WindowWidth": [600, 10]},
        {"WindowCenter": -24, "WindowWidth": 1200, "RescaleSlope": 2, "RescaleIntercept": -1024, "Modality": "CT"},
    ],
)
def test_a_scan_is_shown_in_the_first_window_of_its_header(elements: dict[str, Any]) -> None:
    assert shown(**elements) == pytest.approx((200, 800))


def test_a_scan_whose_low_values_are_white_is_shown_in_its_window_turned_over() -> None:
    low, high = shown(WindowCenter=500, WindowWidth=600, PhotometricInterpretation="MONOCHROME1")
    assert (4095 - high, 4095 - low) == pytest.approx((200, 800))


@pytest.mark.parametrize("elements", [{}, {"WindowCenter": 3000, "WindowWidth": 100}, {"WindowCenter": 0}])
def test_without_a_window_that_fits_the_values_are_shown_that_there_are(elements: dict[str, Any]) -> None:
    assert shown(**elements) == pytest.approx((200, 900), abs=5)


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (3, 2000), (90, 90)])
def test_what_is_too_large_for_a_preview_is_reduced(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MOST_PIXELS", 1000)
    image = noiseless.Image.from_array(np.full(shape, 7, np.uint8))
    made = preview.preview(image, image.planes(), 0)
    got = noiseless.read(io.BytesIO(made.png)).array
    assert got.size <= 1000
    assert (got == 7).all()
    assert got.shape == tuple(max(1, side // made.reduced) for side in shape)
