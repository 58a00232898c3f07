"""The base of all noise models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, get_type_hints

import numpy as np

from noiseless.errors import InputError, SpecError, UnknownNameError
from noiseless.noise.values import PerChannel, Rule, is_range

if TYPE_CHECKING:
    from noiseless.noise.chain import Chain

SMOOTHING = 1.0
"""Standard deviation in pixels of the Gaussian window in which `sigma_map` looks at a noisy image."""


@dataclass(frozen=True)
class Moments:
    """What is known of each pixel before or after a noise model.

    Attributes:
        mean: expected value, float64, the shape of the image.
        variance: float64, broadcastable to `mean`.
        certain: the value is fixed: nothing random has happened to it yet.
        normal: the law of each pixel is normal (or certain).
    """

    mean: np.ndarray
    variance: np.ndarray
    certain: bool
    normal: bool

    @classmethod
    def of(cls, clean: np.ndarray) -> Self:
        """Those of a clean image."""
        return cls(np.asarray(clean, np.float64), np.zeros(()), certain=True, normal=True)

    def plus(self, variance: np.ndarray, *, normal: bool) -> Moments:
        """Those after independent noise of zero mean, normally distributed or not, was added."""
        return Moments(self.mean, self.variance + variance, certain=False, normal=self.normal and normal)


@dataclass(frozen=True)
class Noise:
    """A noise model: it synthesises training data, conditions networks, labels benchmarks and parametrises SURE.

    Images are float arrays in [0, 1] units of shape (H, W), (C, H, W) or (N, C, H, W), and all parameters are
    in these units. A parameter is a number, a ``(low, high)`` tuple (a range from which each image draws
    uniformly) or, where the model says so, a list with a number for each channel.

    Nothing is ever changed in place, and randomness comes from the generator given alone. A model of another
    package derives from this class, gives `name`, `corrupt` and `moments`, and is found through the entry
    point group ``noiseless.noises``; each parameter is annotated with its rule (`noiseless.noise.values`).
    """

    name: ClassVar[str]
    """The name in the table `noiseless.noise.NOISES`."""

    def __post_init__(self) -> None:
        for name, rule in _rules(type(self)).items():
            object.__setattr__(self, name, rule.check(name, getattr(self, name)))

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The image with this noise, whose parameters hold no range.

        Args:
            clean: float32, (..., H, W); not changed.
            generator: the only source of randomness.

        Returns:
            float32 of the same shape.
        """
        raise NotImplementedError

    def moments(self, before: Moments) -> Moments | None:
        """Exact mean and variance after this noise, or None where no formula holds."""
        return None

    @property
    def pointwise(self) -> bool:
        """Whether the law of a pixel's noise follows from the clean value of that pixel alone."""
        return True

    @property
    def ranged(self) -> bool:
        """Whether a parameter is a range, from which each image draws."""
        return any(is_range(getattr(self, name)) for name in _rules(type(self)))

    @property
    def analytic(self) -> bool:
        """Whether `variance` is an exact formula; otherwise it is measured by sampling.

        Impulses are the exception: their formula is exact but says little about noise that leaves most pixels
        alone, so neither SURE nor a sum of variances may rely on it.
        """
        return self.moments(Moments.of(np.zeros((1, 1)))) is not None

    def draw(self, generator: np.random.Generator) -> Self:
        """The model with a number drawn from each range; the model itself where there is no range."""
        if not self.ranged:
            return self
        rules = _rules(type(self))
        return dataclasses.replace(
            self, **{name: rule.draw(getattr(self, name), generator) for name, rule in rules.items()}
        )

    def sample(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A noisy version of a clean image; ranges are drawn for each image of an (N, C, H, W) array.

        Args:
            clean: float, (H, W), (C, H, W) or (N, C, H, W), in [0, 1] units; values beyond are allowed.
            generator: the only source of randomness: two calls in a row give two different noises.

        Returns:
            float32 of the shape of `clean`, not clipped.

        Raises:
            InputError: not a float image, or it holds NaN or infinity.
            SpecError: the model is for another number of channels.
        """
        image = self._checked(clean)
        if self.ranged and image.ndim > 3:
            return np.stack([self.sample(one, generator) for one in image]) if len(image) else image
        return self.draw(generator).corrupt(image, generator)

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Variance of ``sample(clean) - clean`` at each pixel.

        An exact formula where there is one, else measured by sampling with a fixed seed (`analytic` says
        which). What happens by rule and not by chance (rounding, JPEG) counts as noise too: there the image
        is the random thing, and the variance is that of the error over pixels of the same value, or for JPEG
        in a neighbourhood. A range counts as drawn from.

        Args:
            clean: float, (H, W), (C, H, W) or (N, C, H, W), in [0, 1] units.

        Returns:
            float64 of the shape of `clean`.

        Raises:
            InputError: not a float image, or it holds NaN or infinity.
            SpecError: the model is for another number of channels.
        """
        image = self._checked(clean)
        after = self.moments(Moments.of(image))
        if after is not None:
            return np.array(np.broadcast_to(after.variance, image.shape))
        from noiseless.noise.measured import measured_variance

        return measured_variance(self, image)

    def sigma_map(self, noisy: np.ndarray) -> np.ndarray:
        """The standard deviation that this model gives for a noisy image: what a conditioned network is told.

        The clean values are not known, so the variance is that at the noisy values, clipped to >= 0. Where
        the noise depends on the value, these are first averaged in a Gaussian window of one pixel's standard
        deviation: otherwise the map would be about as noisy as the image, and deny all noise where a dark pixel
        happens to be zero. The window spans 9 pixels, so a map is made of a whole image, not of its tiles.

        Args:
            noisy: float, (H, W), (C, H, W) or (N, C, H, W), in [0, 1] units.

        Returns:
            float32 of the shape of `noisy`.
        """
        from scipy.ndimage import gaussian_filter

        image = self._checked(noisy)
        if not image.size:
            return image
        window = (0.0,) * (image.ndim - 2) + (SMOOTHING, SMOOTHING)
        values = gaussian_filter(image, window, mode="reflect", truncate=4.0)
        sigma: np.ndarray = np.sqrt(self.variance(np.maximum(values, 0)))
        return sigma.astype(np.float32, copy=False)

    def told_map(self, noisy: np.ndarray) -> np.ndarray:
        """What a network that has learned white noise is told: `sigma_map`, and more where neighbours are alike.

        Such noise is stronger at coarse scales than white noise of the same variance, and that is where a network
        has to remove it.

        Args:
            noisy: float, (H, W), (C, H, W) or (N, C, H, W), in [0, 1] units.

        Returns:
            float32 of the shape of `noisy`.
        """
        sigma, coarse = self.sigma_map(noisy), self.coarse_variance()
        if not coarse.any():
            return sigma
        told: np.ndarray = np.sqrt(sigma.astype(np.float64) ** 2 + coarse)
        return told.astype(np.float32)

    def coarse_variance(self) -> np.ndarray:
        """What `told_map` adds to the variance, shape () or, per channel, (C, 1, 1); 0 for white noise."""
        return np.zeros(())

    def __add__(self, other: Noise) -> Chain:
        """This noise, then the other."""
        if not isinstance(other, Noise):
            return NotImplemented
        from noiseless.noise.chain import Chain

        return Chain((self, other))

    @property
    def spec(self) -> str:
        """The text that `noiseless.noise.parse` turns into this model."""
        rules = _rules(type(self))
        arguments = ",".join(f"{name}={rule.write(getattr(self, name))}" for name, rule in rules.items())
        return f"{self.name}:{arguments}" if arguments else self.name

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The model with the parameters of a text: ``sigma=0.1,axis=rows``; the first may come without its name.

        Raises:
            SpecError: a parameter is missing, given twice, unknown or out of range.
        """
        rules = _rules(cls)
        values: dict[str, Any] = {}
        for number, part in enumerate(text.split(",") if text.strip() else ()):
            name, equals, value = part.partition("=")
            name = name.strip()
            if not equals and number == 0 and rules:
                name, value = next(iter(rules)), part
            if name not in rules:
                raise _unknown_parameter(cls, name)
            if name in values:
                raise SpecError(f"{cls.name}: {name} is given twice", got=repr(text))
            values[name] = rules[name].read(name, value)
        return _build(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: ``{"kind": "gaussian", "sigma": 0.1}``; a range is ``{"low": 0.0, "high": 0.1}``."""
        values = {name: getattr(self, name) for name in _rules(type(self))}
        return {"kind": self.name} | {name: _to_plain(value) for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Noise:
        """The model that `to_dict` described.

        Raises:
            SpecError: a parameter is missing, unknown or out of range, or there is no ``kind``.
            UnknownNameError: no noise model of this kind.
        """
        from noiseless.noise.chain import Chain
        from noiseless.noise.table import find

        if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
            raise SpecError("not a noise model", got=repr(data)[:80], expected='{"kind": NAME, ...}')
        model = Chain if data["kind"] == Chain.name else find(data["kind"])
        return model._from_values({key: value for key, value in data.items() if key != "kind"})

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> Self:
        for name in values:
            if name not in _rules(cls):
                raise _unknown_parameter(cls, name)
        return _build(cls, {name: _from_plain(value) for name, value in values.items()})

    @property
    def channels(self) -> int | None:
        """The number of channels that the parameters are for, None where any number fits."""
        values = (getattr(self, name) for name in _rules(type(self)))
        return next((len(value) for value in values if isinstance(value, PerChannel)), None)

    def _checked(self, image: np.ndarray) -> np.ndarray:
        array = np.asarray(image)
        if array.dtype.kind != "f" or array.ndim not in (2, 3, 4):
            raise InputError(
                "noise needs a float image in [0, 1] units",
                got=f"{array.dtype} of shape {array.shape}",
                expected="float of shape (H, W), (C, H, W) or (N, C, H, W)",
            )
        if not np.isfinite(array).all():
            raise InputError("noise needs a finite image", got="NaN or infinite values")
        have = array.shape[-3] if array.ndim > 2 else 1
        if self.channels not in (None, have):
            raise SpecError(f"{self.name} has parameters for {self.channels} channels", got=f"an image of {have}")
        return array.astype(np.float32, copy=False)


_N = TypeVar("_N", bound=Noise)

_RULES: dict[type[Noise], dict[str, Rule]] = {}


def _rules(cls: type[Noise]) -> dict[str, Rule]:
    if cls not in _RULES:
        hints = get_type_hints(cls, include_extras=True)
        _RULES[cls] = {field.name: hints[field.name].__metadata__[0] for field in dataclasses.fields(cls)}
    return _RULES[cls]


def _build(cls: type[_N], values: Mapping[str, Any]) -> _N:
    missing = [name for name in _rules(cls) if name not in values and not _has_default(cls, name)]
    if missing:
        raise SpecError(f"{cls.name} lacks {' and '.join(missing)}", expected=_example(cls))
    return cls(**values)


def _has_default(cls: type[Noise], name: str) -> bool:
    return any(f.name == name and f.default is not dataclasses.MISSING for f in dataclasses.fields(cls))


def _example(cls: type[Noise]) -> str:
    return f"{cls.name}:" + ",".join(f"{name}=..." for name in _rules(cls))


def _unknown_parameter(cls: type[Noise], name: str) -> UnknownNameError:
    return UnknownNameError(f"parameter of {cls.name}", name, _rules(cls))


def _to_plain(value: Any) -> Any:
    if is_range(value):
        return {"low": value[0], "high": value[1]}
    return list(value) if isinstance(value, PerChannel) else value


def _from_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) != {"low", "high"}:
            raise SpecError("not a range of a noise model", got=repr(value), expected='{"low": ..., "high": ...}')
        return value["low"], value["high"]
    return list(value) if isinstance(value, list | tuple) else value
