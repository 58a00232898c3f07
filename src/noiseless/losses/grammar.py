"""Weighted sums of losses, and the text that describes one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from noiseless.errors import DataError, SpecError, UnknownNameError
from noiseless.losses.table import LossFunction, find, names

if TYPE_CHECKING:
    from torch import Tensor

_PLUS = re.compile(r"(?<![\d.][eE])\+")
EXAMPLE = "for example mse+0.1*ssim"


@dataclass(frozen=True)
class Loss:
    """A weighted sum of losses, called with (prediction, target), each (B, C, H, W) in [0, 1] units.

    It is computed in float32 (float64 stays), whatever mixed precision surrounds it: the variances inside SSIM
    are differences of nearly equal numbers.

    Attributes:
        terms: weights and names, in order.
    """

    terms: tuple[tuple[float, str], ...]

    def __post_init__(self) -> None:
        for _, name in self.terms:
            if name not in (known := names()):
                raise UnknownNameError("loss", name, known)

    @cached_property
    def _functions(self) -> tuple[LossFunction, ...]:
        return tuple(find(name) for _, name in self.terms)

    @property
    def spec(self) -> str:
        """The text that `parse` makes this loss from."""
        return "+".join(name if weight == 1 else f"{weight:.12g}*{name}" for weight, name in self.terms)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar tensor.

        Raises:
            DataError: the shapes differ; broadcasting one to the other would hide a mistake.
            ConfigError: the images are too small for a term.
        """
        import torch

        sizes = tuple(prediction.shape), tuple(target.shape)
        if sizes[0] != sizes[1]:
            raise DataError("a loss needs two images of one size", got=sizes[0], expected=sizes[1])
        weights = (weight for weight, _ in self.terms)
        with torch.autocast(prediction.device.type, enabled=False):
            pair = _at_least_float32(prediction), _at_least_float32(target)
            values = [weight * part(*pair) for weight, part in zip(weights, self._functions, strict=True)]
            return torch.stack(values).sum()


def parse(spec: str) -> Loss:
    """The loss that a text describes.

    The grammar is ``name`` or ``weight*name``, joined with ``+``; weights are positive numbers.

    Raises:
        SpecError: the text does not parse, a weight is not positive.
        UnknownNameError: no loss of a name; says the closest.

    Examples:
        >>> parse("mse + 0.1*ssim").spec
        'mse+0.1*ssim'
    """
    if not isinstance(spec, str) or not spec.strip():
        raise SpecError("a loss expression is empty", got=repr(spec), expected=EXAMPLE)
    return Loss(tuple(_parse_term(term.strip(), spec) for term in _PLUS.split(spec)))


def _parse_term(term: str, whole: str) -> tuple[float, str]:
    number, star, name = term.rpartition("*")
    name = name.strip()
    if not name or (star and not number.strip()):
        raise SpecError("a term of a loss expression is empty", got=repr(whole), expected=EXAMPLE)
    try:
        weight = float(number) if star else 1.0
    except ValueError as error:
        message = f"{number.strip()!r} in a loss expression is not a number"
        raise SpecError(message, got=repr(whole), expected=EXAMPLE) from error
    if not (math.isfinite(weight) and weight > 0):
        raise SpecError("a weight in a loss expression is not above zero", got=repr(whole), expected=EXAMPLE)
    return weight, name


def _at_least_float32(images: Tensor) -> Tensor:
    return images if images.dtype.itemsize == 8 else images.float()
