"""Image: an array with the meaning of its axes, its value range, its bit depth and its metadata.

The array stays as it was given: dtype, byte order, axis order. What a denoiser works on are its `planes`, float32 of
shape (N, C, H, W) in [0, 1] units; `with_planes` puts restored planes back into an array like the original.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from noiseless.errors import ImageError, ValueRangeError

if TYPE_CHECKING:
    import numpy.typing as npt

DataRange = float | Sequence[float]
"""A number (0 to that) or a pair (low, high), as in scikit-image."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luma: ITU-R BT.601, as the field's grey test sets were made."""

PERCENTILES = (0.1, 99.9)
UNIT_LIMITS = (-1.0, 2.0)
"""A float image without a data range whose `PERCENTILES` leave these limits is refused."""

REACH = 1e16
"""Values farther from black, in data ranges, are refused: squares of such distances are lost in float32."""

SIZES = (1e-30, 1e30)
"""A data range that is smaller or larger is refused: it is lost in float32."""

MIRRORED = 48
"""Pixels from the edge of what is hidden into which `Image.planes` mirrors what is shown."""

BAND = 32
"""Rows that `Image.with_planes` works on at once, so that they stay in the cache."""

FREE_AXES = "ZTQPRUVWABDEFGHIJKLMNO"
"""Letters for axes that nobody named, from the axis beside the picture outwards."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image, or a stack of images, of any dtype.

    Attributes:
        array: the values as stored; never written to.
        axes: one letter per axis, for example ``"YX"``, ``"YXC"``, ``"ZYX"``, ``"TZCYX"``. ``Y`` and ``X`` are always
            there, ``C`` is colour or channel, every other axis counts planes.
        data_range: the values (low, high) that map to 0 and 1.
        has_alpha: the last entry of axis ``C`` is alpha, which no verb touches.
        bits: significant bits of an integer image, ``None`` for floats.
        metadata: what `noiseless.io` keeps for the way back: ``icc``, ``exif``, ``xmp``, ``dpi``, ...; and
            ``developed`` where it knows that this is a developed photograph.
        hidden: bool, of the array's shape: where a value is no picture but says that there is none (nodata, padding).
            These values never change, and `planes` shows a continuation of what surrounds them instead.

    Raises:
        ImageError: axes that do not fit the array, an empty array, or a dtype that is no image.
        ValueRangeError: a data range that is empty or not finite.
    """

    array: npt.NDArray[Any]
    axes: str
    data_range: tuple[float, float]
    has_alpha: bool = False
    bits: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    hidden: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        check_dtype_and_size(self.array)
        if len(self.axes) != self.array.ndim or len(set(self.axes)) != len(self.axes):
            raise ImageError("axes do not fit the array", got=f"{self.axes!r} for shape {self.array.shape}")
        if not {"Y", "X"} <= set(self.axes):
            raise ImageError("axes lack Y or X", got=repr(self.axes))
        if self.has_alpha and self.channels < 1:
            raise ImageError("an alpha channel needs a colour channel", got=f"shape {self.array.shape}")
        if self.hidden is not None and self.hidden.shape != self.array.shape:
            raise ImageError("hidden does not fit the array", got=self.hidden.shape, expected=self.array.shape)
        pair_of(self.data_range)

    @classmethod
    def from_array(
        cls,
        array: npt.ArrayLike,
        *,
        channel_axis: int | None = None,
        data_range: DataRange | None = None,
    ) -> Image:
        """Wrap an array, with the conventions of scikit-image.

        Args:
            array: two axes or more; bool, integer or float.
            channel_axis: the axis of colours or channels. Without it a last axis of 3 or 4 is colour, the fourth
                entry alpha, and a last axis of 1 a single channel; anything else is planes.
            data_range: a number (0 to that) or a pair (low, high). Without it an integer image spans its dtype and
                a float image [0, 1].

        Raises:
            ImageError: too few axes, no pixels, NaN or infinite values, a dtype that is no image.
            ValueRangeError: float values far outside [0, 1] and no data range.
        """
        try:
            values = np.asarray(array)
        except ValueError as error:
            raise ImageError("this is no array", got=error) from error
        check_dtype_and_size(values)
        axes, has_alpha = axes_of(values.shape, channel_axis)
        bits = significant_bits(values.dtype)
        image = cls(values, axes, default_range(values.dtype), has_alpha, bits)
        return image.checked(data_range)

    def checked(self, data_range: DataRange | None = None) -> Image:
        """This image with `data_range` where one is given, after a look at its values.

        Raises:
            ImageError: NaN or infinite values; 64-bit integers without a data range.
            ValueRangeError: float values far outside [0, 1] and no data range; a data range that is empty, or that
                float32 cannot measure the values by.
        """
        shown = self.array if self.hidden is None else self.array[~self.hidden]
        _check_finite(shown)
        spanned = self.data_range if data_range is None else pair_of(data_range)
        if shown.size and (data_range is not None or self.array.dtype.kind == "f"):
            _check_reach(shown, *spanned)
        if data_range is not None:
            return replace(self, data_range=spanned)
        if self.array.dtype.kind in "iu" and self.array.dtype.itemsize == 8:
            raise ImageError(
                "64-bit integers span no range that an image uses",
                got=str(self.array.dtype),
                fix="Give data_range, or convert to uint8 or uint16 first.",
            )
        if self.array.dtype.kind == "f" and self.data_range == (0.0, 1.0) and shown.size:
            _check_percentiles(self._colours(self.array) if self.hidden is None else shown)
        return self

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.array.shape[self.axes.index("Y")])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.array.shape[self.axes.index("X")])

    @property
    def channels(self) -> int:
        """Entries of axis C without alpha; 1 where there is no such axis."""
        count = self.array.shape[self.axes.index("C")] if "C" in self.axes else 1
        return count - self.has_alpha

    @property
    def count(self) -> int:
        """Planes: the product of all axes but C, Y and X."""
        return int(np.prod([self.array.shape[index] for index in self._plane_axes()], dtype=int))

    @property
    def is_colour(self) -> bool:
        """Whether the channels are red, green and blue, and not, say, three fluorophores."""
        return self.channels == 3 and not self.metadata.get("separate_channels", False)

    @property
    def shows_grey(self) -> bool:
        """Whether red, green and blue are the same everywhere: a grey picture that was stored as colours."""
        if not self.is_colour:
            return False
        colours = self._colours(self.array)
        first = colours[..., :1, :, :]
        return bool((colours[..., 1:, :1, :] == first[..., :1, :]).all()) and bool((colours == first).all())

    def planes(self) -> npt.NDArray[np.float32]:
        """The image without alpha as float32 (N, C, H, W), in [0, 1] units and not clipped; a new array."""
        colours = self._colours(self.array)
        low, high = self.data_range
        exact_in_float32 = self.array.dtype.itemsize <= 2 or self.array.dtype == np.float32
        with np.errstate(invalid="ignore"):  # what is hidden may be a signalling NaN
            unit: npt.NDArray[np.floating[Any]] = colours.astype(
                np.float32 if exact_in_float32 else np.float64, order="C"
            )
        if low:
            unit -= low
        if high - low != 1:
            unit /= high - low
        planes = unit.astype(np.float32, copy=False).reshape(self.count, self.channels, self.height, self.width)
        if self.hidden is not None:
            _continue_into(planes, self._colours(self.hidden).reshape(planes.shape))
        return planes

    def with_planes(self, planes: npt.ArrayLike) -> Image:
        """An image like this one that shows `planes`.

        Integers are rounded, and clipped to the data range or, where this image itself exceeds it, to its own
        extremes; bool is cut at one half; floats are not clipped. Alpha and metadata are this image's. Planes that
        equal `planes()` give back exactly this image.

        Args:
            planes: (N, C, H, W) in [0, 1] units, as `planes` returns them.

        Raises:
            ImageError: another shape.
        """
        restored = np.asarray(planes, dtype=np.float32)
        low, high = self.data_range
        expected = (self.count, self.channels, self.height, self.width)
        if restored.shape != expected:
            raise ImageError("planes do not fit the image", got=restored.shape, expected=expected)
        array = np.empty_like(self.array, subok=False)
        stored = self._colours(array)
        restored = restored.reshape(stored.shape)
        shown = self.planes().reshape(stored.shape) if self._is_finer_than_float32() else None
        limits = self._limits()
        for start in range(0, self.height, BAND):
            band = (..., slice(start, start + BAND), slice(None))
            if shown is None:
                values: npt.NDArray[Any] = restored[band] * np.float32(high - low)
                if low:
                    values += np.float32(low)
            else:  # what changed is added to the original
                change = (restored[band] - shown[band]).astype(np.float64)
                values = self._colours(self.array)[band] + change * (high - low)
            np.copyto(stored[band], self._fitted(values, limits), casting="unsafe")
        if self.has_alpha:
            alpha = tuple(slice(-1, None) if axis == "C" else slice(None) for axis in self.axes)
            array[alpha] = self.array[alpha]
        if self.hidden is not None:
            np.copyto(array, self.array, where=self.hidden)
        return replace(self, array=array)

    def colours(self) -> npt.NDArray[Any]:
        """The stored values without alpha as (planes..., C, H, W): a view of the array, not to be written to."""
        return self._colours(self.array)

    def _plane_axes(self) -> list[int]:
        return [index for index, axis in enumerate(self.axes) if axis not in "CYX"]

    def _colours(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of shape (planes..., C, H, W) without alpha."""
        y, x = self.axes.index("Y"), self.axes.index("X")
        if "C" not in self.axes:
            return array.transpose([*self._plane_axes(), y, x])[..., np.newaxis, :, :]
        view = array.transpose([*self._plane_axes(), self.axes.index("C"), y, x])
        return view[..., : self.channels, :, :]

    def _is_finer_than_float32(self) -> bool:
        """Whether float32 in [0, 1] units cannot hold the values."""
        dtype = self.array.dtype
        if dtype.kind == "f":
            return dtype.itemsize == 8 or self.data_range != (0.0, 1.0)
        return dtype.itemsize > 2

    def _fitted(self, values: npt.NDArray[Any], limits: tuple[float, float]) -> npt.NDArray[Any]:
        """Values that the dtype can take; may work in place."""
        kind = self.array.dtype.kind
        if kind == "b":
            return np.asarray(values >= 0.5)
        if kind != "f":
            np.rint(values, out=values)
        return np.clip(values, *limits, out=values)

    def _limits(self) -> tuple[float, float]:
        """The lowest and the highest value that a restored image may have."""
        dtype = self.array.dtype
        if dtype.kind == "b":
            return 0.0, 1.0
        if dtype.kind == "f":
            return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
        limits = np.iinfo(dtype)
        shown = self.array if self.hidden is None or self.hidden.all() else self.array[~self.hidden]
        low = max(float(limits.min), min(np.ceil(self.data_range[0]), float(shown.min())))
        high = min(float(limits.max), max(np.floor(self.data_range[1]), float(shown.max())))
        if high > limits.max:  # 2**63 and 2**64: the largest float64 below
            high = float(np.nextafter(high, 0))
        return float(low), float(high)


def default_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The values that mean 0 and 1 where nobody says: the limits of an integer dtype, else (0, 1)."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(limits.min), float(limits.max)
    return 0.0, 1.0


def significant_bits(dtype: np.dtype[Any]) -> int | None:
    """Bits of an integer dtype, 1 for bool, ``None`` for floats."""
    if dtype.kind == "b":
        return 1
    return dtype.itemsize * 8 if dtype.kind in "iu" else None


def pair_of(data_range: DataRange) -> tuple[float, float]:
    """A data range as (low, high).

    Raises:
        ValueRangeError: neither a number nor a pair, not finite, or low >= high.
    """
    try:
        low, high = (0.0, float(data_range)) if np.ndim(data_range) == 0 else map(float, data_range)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ValueRangeError(
            "data_range is not a range", got=repr(data_range), expected="a number or a pair (low, high)"
        ) from error
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueRangeError("data_range is empty", got=(low, high), expected="finite low < high")
    return low, high


def unique_axes(axes: str) -> str:
    """Axes with every letter once: of repeated letters the last one stays, the others get free ones."""
    taken = set(axes)
    named: list[str] = []
    for axis in reversed(axes):
        letter = axis if axis not in named else next(free for free in FREE_AXES if free not in taken)
        taken.add(letter)
        named.append(letter)
    return "".join(reversed(named))


def axis_letters(count: int) -> str:
    """Letters for `count` axes of planes in front of a picture: 2 gives ``"TZ"``."""
    return FREE_AXES[:count][::-1]


def axes_of(shape: tuple[int, ...], channel_axis: int | None) -> tuple[str, bool]:
    """Axes of an array of this shape, and whether it has alpha; see `Image.from_array`."""
    if channel_axis is None:
        colour = len(shape) >= 3 and shape[-1] in (1, 3, 4)
        axes = axis_letters(len(shape) - 2 - colour) + ("YXC" if colour else "YX")
        return axes, colour and shape[-1] == 4
    if not isinstance(channel_axis, SupportsIndex) or len(shape) < 3 or not -len(shape) <= channel_axis < len(shape):
        raise ImageError("channel_axis does not fit the array", got=f"{channel_axis} for shape {shape}")
    axes = axis_letters(len(shape) - 3) + "YX"
    place = channel_axis % len(shape)
    return axes[:place] + "C" + axes[place:], False


def check_dtype_and_size(array: npt.NDArray[Any]) -> None:
    """Raise ImageError unless the array has a dtype of images, two axes or more, and pixels."""
    dtype = array.dtype
    if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.itemsize > 8):
        fixes = {"U": "Read a file first: noiseless.read(path).array", "O": "Of a noiseless.Image, give its array."}
        fix, expected = None if array.ndim else fixes.get(dtype.kind), "bool, integer, or float up to 64 bit"
        raise ImageError("this dtype is no image", got=dtype, expected=expected, fix=fix)
    if array.ndim < 2 or array.ndim > len(FREE_AXES):
        raise ImageError("an image has two axes or more", got=f"shape {array.shape}")
    if array.size == 0:
        raise ImageError("the image has no pixels", got=f"shape {array.shape}")


def _check_finite(array: npt.NDArray[Any]) -> None:
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if finite.all():
        return
    nan = int(np.isnan(array).sum())
    raise ImageError(
        "the image holds values that are not finite",
        got=f"{nan} NaN and {finite.size - int(finite.sum()) - nan} infinite of {finite.size}",
        fix="Replace them first, for example with numpy.nan_to_num.",
    )


def _check_reach(values: npt.NDArray[Any], low: float, high: float) -> None:
    least, most = float(values.min()), float(values.max())
    farthest = max(abs(least - low), abs(most - low)) / (high - low)
    if farthest > REACH or not SIZES[0] <= high - low <= SIZES[1]:
        raise ValueRangeError(
            "the values do not fit the data range",
            got=f"{least:.4g} to {most:.4g}, {low:.4g} for black and {high:.4g} for white",
            fix="Give data_range=(low, high) (--set data_range=low,high): the values that mean black and white.",
        )


def _continue_into(planes: npt.NDArray[np.float32], hidden: npt.NDArray[np.bool_]) -> None:
    """Fill what is hidden in planes (N, C, H, W), in place.

    Close to what is shown it is mirrored at the edge, noise and all, so that neither a network nor an estimate of
    the noise sees that it ends there; further in lies one value, their median.
    """
    from scipy.ndimage import distance_transform_edt

    for plane, mask in zip(planes.reshape(-1, *planes.shape[2:]), hidden.reshape(-1, *hidden.shape[2:]), strict=True):
        if not mask.any():
            continue
        if mask.all():
            plane[...] = 0
            continue
        distance, edge = distance_transform_edt(mask, return_indices=True)
        places = np.nonzero(mask)
        limits = np.array(mask.shape)[:, np.newaxis] - 1
        mirrored = np.clip(2 * edge[:, *places] - np.array(places), 0, limits)
        filled = np.where(mask[tuple(mirrored)], plane[tuple(edge[:, *places])], plane[tuple(mirrored)])
        plane[places] = np.where(distance[places] <= MIRRORED, filled, np.median(plane[~mask]))


def _check_percentiles(values: npt.NDArray[Any]) -> None:
    low_limit, high_limit = UNIT_LIMITS
    if values.min() >= low_limit and values.max() <= high_limit:
        return
    low, high = np.percentile(values.astype(np.float64), PERCENTILES)
    if low < low_limit or high > high_limit:
        raise ValueRangeError(
            "float values lie far outside [0, 1]",
            got=f"0.1 and 99.9 percentiles of {low:.4g} and {high:.4g}",
            expected=f"both within [{low_limit:g}, {high_limit:g}]",
            fix="Give data_range=(low, high) (--set data_range=low,high): the values that mean black and white.",
        )
