"""Image: axes, ranges, planes and the way back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from noiseless.errors import ImageError, ValueRangeError
from noiseless.image import Image, unique_axes

DTYPES = ("bool", "uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64", ">u2", ">f4")
SHAPES = hnp.array_shapes(min_dims=2, max_dims=5, min_side=1, max_side=5)


def values_of(dtype: np.dtype) -> st.SearchStrategy:
    if dtype.kind != "f":
        return hnp.from_dtype(dtype)
    return st.floats(-1, 2, width=dtype.itemsize * 8)


arrays = st.sampled_from(DTYPES).flatmap(
    lambda name: hnp.arrays(np.dtype(name), SHAPES, elements=values_of(np.dtype(name)))
)


@settings(max_examples=150, deadline=None)
@given(array=arrays, data=st.data())
def test_planes_put_back_give_the_same_array(array: npt.NDArray, data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-array.ndim, array.ndim - 1)) if array.ndim > 2 else None
    before = array.copy()
    image = Image.from_array(array, channel_axis=axis)
    planes = image.planes()
    assert planes.dtype == np.float32
    assert planes.shape == (image.count, image.channels, image.height, image.width)
    back = image.with_planes(planes)
    assert back.array.dtype == array.dtype
    np.testing.assert_array_equal(back.array, array)
    np.testing.assert_array_equal(array, before)


@settings(max_examples=80, deadline=None)
@given(array=arrays, seed=st.integers(0, 99))
def test_changed_planes_keep_dtype_range_and_alpha(array: npt.NDArray, seed: int) -> None:
    image = Image.from_array(array)
    planes = image.planes() + np.random.default_rng(seed).normal(0, 3, image.planes().shape).astype(np.float32)
    restored = image.with_planes(planes).array
    assert restored.dtype == array.dtype
    assert restored.shape == array.shape
    if array.dtype.kind in "iu":
        low, high = image.data_range
        exact = np.clip(planes.astype(np.float64) * (high - low) + low, low, high)
        error = image.with_planes(planes).colours().reshape(planes.shape) - exact
        assert np.abs(error).max() <= 0.5 + 2e-6 * (high - low)  # rounded, but for what float32 resolves
    if image.has_alpha:
        np.testing.assert_array_equal(restored[..., -1], array[..., -1])


@pytest.mark.parametrize(
    ("shape", "channel_axis", "axes", "alpha"),
    [
        ((7, 5), None, "YX", False),
        ((7, 5, 3), None, "YXC", False),
        ((7, 5, 4), None, "YXC", True),
        ((7, 5, 1), None, "YXC", False),
        ((7, 5, 2), None, "ZYX", False),
        ((3, 7, 5), None, "ZYX", False),
        ((3, 7, 5), 0, "CYX", False),
        ((7, 5, 4), -1, "YXC", False),
        ((2, 9, 7, 5), None, "TZYX", False),
        ((2, 7, 5, 3), None, "ZYXC", False),
        ((2, 9, 3, 7, 5), 2, "TZCYX", False),
    ],
)
def test_axes_follow_the_rules(shape: tuple[int, ...], channel_axis: int | None, axes: str, alpha: bool) -> None:
    image = Image.from_array(np.zeros(shape, np.float32), channel_axis=channel_axis)
    assert (image.axes, image.has_alpha) == (axes, alpha)
    assert image.planes().shape == (image.count, image.channels, image.height, image.width)
    assert image.planes().size == np.prod(shape) * (3 / 4 if alpha else 1)


def test_planes_are_ordered_and_scaled() -> None:
    array = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5, 3)
    planes = Image.from_array(array).planes()
    np.testing.assert_allclose(planes[1, 2], array[1, ..., 2] / 255, rtol=1e-6)
    assert not np.shares_memory(planes, array)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("uint8", 0, 255), ("uint16", 0, 65535), ("uint32", 0, 2**32 - 1), ("int16", -32768, 32767), ("bool", 0, 1)],
)
def test_integers_span_their_dtype(dtype: str, low: int, high: int) -> None:
    array = np.array([[low, high]]).astype(dtype)
    image = Image.from_array(array)
    assert image.data_range == (low, high)
    np.testing.assert_array_equal(image.planes()[0, 0], [[0, 1]])


def test_data_range_is_a_number_or_a_pair() -> None:
    array = np.array([[0, 4095]], np.uint16)
    assert Image.from_array(array, data_range=4095).data_range == (0, 4095)
    hounsfield = Image.from_array(np.array([[-1000.0, 0.0, 1000.0]]), data_range=(-1000, 1000))
    np.testing.assert_array_equal(hounsfield.planes()[0, 0], [[0, 0.5, 1]])


@pytest.mark.parametrize("data_range", [0, -1, (1, 1), (2, 1), (0, np.inf), (0, 1, 2), "wide", float("nan"), (1,)])
def test_an_empty_data_range_is_an_error(data_range: object) -> None:
    with pytest.raises(ValueRangeError, match="data_range"):
        Image.from_array(np.zeros((3, 3)), data_range=data_range)  # type: ignore[arg-type]


@pytest.mark.parametrize("data_range", [1e-30, 1e-300, 5e-324, (-1e300, 1e300), (0, 1e38)])
def test_a_data_range_that_float32_cannot_measure_the_values_by_is_an_error(data_range: object) -> None:
    for array in (np.array([[0, 7], [3, 255]], np.uint8), np.array([[0.0, 0.5], [0.3, 1]], np.float32)):
        with pytest.raises(ValueRangeError, match="the values do not fit the data range"):
            Image.from_array(array, data_range=data_range)  # type: ignore[arg-type]
    with pytest.raises(ValueRangeError, match="the values do not fit the data range"):
        Image.from_array(np.where(np.eye(200) * np.eye(200)[0] > 0, 1e30, 0.5))


def test_values_beyond_the_data_range_survive_and_none_are_invented() -> None:
    array = np.array([[0, 4000, 5000]], np.uint16)
    image = Image.from_array(array, data_range=4095)
    np.testing.assert_array_equal(image.with_planes(image.planes()).array, array)
    np.testing.assert_array_equal(image.with_planes(image.planes() * 9 - 1).array, [[0, 5000, 5000]])


def test_floats_are_not_clipped() -> None:
    image = Image.from_array(np.zeros((2, 2), np.float32))
    np.testing.assert_array_equal(image.with_planes(np.full((1, 1, 2, 2), 1.7)).array, np.float32(1.7))
    half = Image.from_array(np.zeros((2, 2), np.float16), data_range=60000)
    assert half.with_planes(np.full((1, 1, 2, 2), 3.0)).array.max() == np.finfo(np.float16).max


@pytest.mark.parametrize("scale", [1000.0, -1000.0])
def test_floats_far_outside_need_a_range(scale: float) -> None:
    array = np.linspace(0, scale, 400).reshape(20, 20)
    with pytest.raises(ValueRangeError, match=r"percentiles of -?\d+ and -?\d+, .* Give data_range"):
        Image.from_array(array)
    assert Image.from_array(array, data_range=(-1000, 1000)).planes().max() <= 1


def test_a_few_hot_pixels_are_no_reason() -> None:
    array = np.zeros((100, 100), np.float32)
    array[0, :5] = 1e6  # 0.05 %
    array[1, :5] = -1e6
    assert Image.from_array(array).data_range == (0, 1)


def test_alpha_does_not_count_for_the_range() -> None:
    array = np.zeros((9, 9, 4))
    array[..., 3] = 255
    assert Image.from_array(array).has_alpha


def test_not_finite_values_are_counted() -> None:
    array = np.zeros((4, 4), np.float32)
    array[0, 0] = np.nan
    array[1, :2] = np.inf, -np.inf
    with pytest.raises(ImageError, match="1 NaN and 2 infinite of 16"):
        Image.from_array(array, data_range=1)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(5), "two axes"),
        (np.float32(1), "two axes"),
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros((3, 4, 0)), "no pixels"),
        (np.zeros((3, 4), complex), "no image"),
        (np.array([["a", "b"]]), "no image"),
        ("photo.png", r"Read a file first: noiseless.read\(path\).array"),
        (np.array([[{}, None]], dtype=object), "no image"),
        (np.zeros((3, 4), np.int64), "64-bit"),
        (np.zeros((3, 4), np.longdouble), "no image"),
    ],
)
def test_what_is_no_image_is_refused(array: npt.NDArray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        Image.from_array(array)


def test_wide_integers_with_a_range_are_fine() -> None:
    array = np.array([[0, 4095, 2**62]])
    image = Image.from_array(array, data_range=4095)
    np.testing.assert_array_equal(image.with_planes(image.planes()).array, array)


@pytest.mark.parametrize(("ndim", "axis"), [(3, 3), (3, -4), (2, 0)])
def test_channel_axis_outside_is_an_error(ndim: int, axis: int) -> None:
    with pytest.raises(ImageError, match="channel_axis"):
        Image.from_array(np.zeros((3,) * ndim), channel_axis=axis)


def test_axes_must_fit() -> None:
    array = np.zeros((4, 5))
    for axes in ("Y", "YY", "YXC", "ZX"):
        with pytest.raises(ImageError, match="axes"):
            Image(array, axes, (0, 1))
    with pytest.raises(ImageError, match="alpha"):
        Image(array, "YX", (0, 1), has_alpha=True)


def test_planes_of_another_shape_are_refused() -> None:
    image = Image.from_array(np.zeros((4, 5, 3)))
    with pytest.raises(ImageError, match=r"expected \(1, 3, 4, 5\)"):
        image.with_planes(np.zeros((1, 1, 4, 5)))


def test_colour_is_told_from_channels() -> None:
    array = np.zeros((3, 4, 5), np.uint8)
    assert Image.from_array(array, channel_axis=0).is_colour
    assert not Image(array, "CYX", (0, 255), metadata={"separate_channels": True}).is_colour
    assert not Image.from_array(array).is_colour


def test_axes_are_made_unique() -> None:
    assert unique_axes("QQYX") == "ZQYX"
    assert unique_axes("TZYX") == "TZYX"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_what_is_hidden_never_changes_and_is_not_seen(dtype: str) -> None:
    generator = np.random.default_rng(0)
    scene = generator.integers(100, 120, (2, 70, 80)).astype(dtype)
    hidden = np.zeros(scene.shape, bool)
    hidden[0, :, 60:] = True
    array = np.where(hidden, 7, scene).astype(dtype)
    shown = Image(array, "ZYX", (0.0, 200.0), hidden=hidden)
    planes = shown.planes()
    np.testing.assert_array_equal(planes[1], Image(array, "ZYX", (0.0, 200.0)).planes()[1])
    np.testing.assert_array_equal(planes[0, 0, :, 60:], planes[0, 0, :, 39:59][:, ::-1])  # mirrored at column 59
    back = shown.with_planes(planes + 0.25).array
    np.testing.assert_array_equal(back[hidden], 7)
    np.testing.assert_allclose(back[~hidden], array[~hidden] + 50, atol=1e-3)
    assert shown.with_planes(planes - 0.5).array[~hidden].min() >= (0 if dtype != "float32" else -1e3)


def test_hidden_values_may_be_anything() -> None:
    array = np.full((60, 200), 0.5, np.float32)
    array[:, 100:] = np.nan
    with pytest.raises(ImageError, match="NaN"):
        Image(array, "YX", (0.0, 1.0)).checked()
    shown = Image(array, "YX", (0.0, 1.0), hidden=np.isnan(array)).checked()
    assert (shown.planes() == 0.5).all()
    np.testing.assert_array_equal(shown.with_planes(shown.planes()).array, array)
    nothing = Image(array[:, 100:], "YX", (0.0, 1.0), hidden=np.isnan(array[:, 100:])).checked()
    assert (nothing.planes() == 0).all()
    with pytest.raises(ImageError, match="hidden does not fit"):
        Image(array, "YX", (0.0, 1.0), hidden=np.isnan(array[:, 1:]))


def test_a_grey_picture_stored_as_colours_is_known() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (9, 11, 1), np.uint8)
    image = Image.from_array(np.concatenate([grey, grey, grey, 255 - grey], axis=2))
    assert image.shows_grey
    other = image.array.copy()
    other[4, 4, 1] ^= 1
    assert not Image.from_array(other).shows_grey
    assert not Image.from_array(grey).shows_grey
    assert not Image(image.array[..., :3], "YXC", (0, 255), metadata={"separate_channels": True}).shows_grey
