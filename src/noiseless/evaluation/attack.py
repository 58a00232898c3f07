"""Small changes of the input that hurt most: how far a network falls, and what robust training is made of.

The text grammar: ``pgd:2/255``, the largest change of any pixel in [0, 1] units, and ``pgd:2/255,steps=20``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from noiseless.denoiser import Denoiser
from noiseless.errors import ConfigError, SpecError
from noiseless.tiling import round_up

if TYPE_CHECKING:
    import torch

    from noiseless.evaluation.models import Model
    from noiseless.noise import Noise

EXAMPLE = "for example pgd:2/255 or pgd:2/255,steps=10"
MOST_STEPS = 200
OVERSHOOT = 2.5
"""How much further than the largest change the steps of an attack reach together."""

_SPEC = re.compile(r"pgd:(?P<radius>[\d.]+(?:e-?\d+)?(?:/\d+)?)(?:,steps=(?P<steps>\d+))?")


@dataclass(frozen=True)
class Attack:
    """Projected gradient descent: steps along the sign of the gradient, never further than a radius from the input.

    Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018; on denoisers: Yan et al.,
    "Towards Adversarially Robust Deep Image Denoising", 2022.

    Attributes:
        radius: largest change of a pixel, in [0, 1] units.
        steps: how many, each of which costs a step of training.
    """

    radius: float
    steps: int = 10

    @classmethod
    def parse(cls, spec: str, *, steps: int = 10) -> Attack:
        """The attack that a text describes.

        Args:
            spec: as ``pgd:2/255``.
            steps: where the text does not say.

        Raises:
            SpecError: the text does not parse, or the numbers do not fit.
        """
        match = _SPEC.fullmatch(spec.strip())
        try:
            if match is None:
                raise ValueError(spec)
            whole, _, parts = match["radius"].partition("/")
            radius = float(Fraction(whole) / int(parts or 1))
        except (ValueError, ZeroDivisionError) as error:
            raise SpecError("an attack does not parse", got=repr(spec), expected=EXAMPLE) from error
        count = int(match["steps"] or steps)
        if not (0 < radius <= 0.5 and 1 <= count <= MOST_STEPS):
            raise SpecError(
                "an attack does not fit", got=repr(spec), expected=f"a radius to 0.5, 1 to {MOST_STEPS} steps"
            )
        return cls(radius, count)

    @property
    def spec(self) -> str:
        """The text that `parse` makes this attack from."""
        return f"pgd:{self.radius * 255:.4g}/255,steps={self.steps}"

    def find(
        self, loss: Callable[[torch.Tensor], torch.Tensor], noisy: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The input, changed so that the loss is as large as the steps can make it.

        Args:
            loss: of an input, a scalar; differentiable.
            noisy: (B, C, H, W) in [0, 1] units.
            generator: of the place to begin from, on the CPU.
        """
        import torch

        begin = (torch.rand(noisy.shape, generator=generator) * 2 - 1).to(noisy) * self.radius
        change, stride = begin, OVERSHOOT * self.radius / self.steps
        for _ in range(self.steps):
            change = change.detach().requires_grad_(True)
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(loss(noisy + change), change)
            change = (change.detach() + stride * slope.sign()).clamp(-self.radius, self.radius)
        return noisy + change.detach()

    def scene(self, model: Model, noisy: np.ndarray, clean: np.ndarray, told: Noise | str) -> np.ndarray:
        """A noisy image changed against a model; float32 (C, H, W), where the noisy one may be 8-bit.

        Args:
            model: a `Denoiser`.
            noisy: (C, H, W): uint8, or float in [0, 1] units.
            clean: the reference, float32 (C, H, W).
            told: what the model is told of the noise.

        Raises:
            ConfigError: the model is no network, so that nothing says which change hurts.
            MissingExtraError: PyTorch is not installed.
        """
        from noiseless.runtime.torch import check_torch

        model = getattr(model, "model", model)
        if not isinstance(model, Denoiser):
            raise ConfigError("only a network can be attacked", got=model.name, fix="Leave out --attack for it.")
        check_torch()
        return self._against(model, noisy, clean, told)

    def _against(self, model: Denoiser, noisy: np.ndarray, clean: np.ndarray, told: Noise | str) -> np.ndarray:
        import torch

        inputs = (noisy / np.float32(255) if noisy.dtype == np.uint8 else noisy).astype(np.float32)
        network = network_of(model)
        device = next(network.parameters()).device
        sigma = model.sigma(inputs[None], told)
        rows = (-1, model.spec.channels) if model.spec.channels == 1 else (1, model.spec.channels)
        x, target = (torch.from_numpy(side).reshape(*rows, *side.shape[1:]).to(device) for side in (inputs, clean))
        level = None
        if sigma is not None:
            wide = np.broadcast_to(sigma, (1, len(inputs), *sigma.shape[-2:])).astype(np.float32)
            level = torch.from_numpy(wide.copy()).reshape(*rows, *wide.shape[-2:]).to(device)
        x, target = (_padded(each, model.spec.multiple_of) for each in (x, target))
        if level is not None and level.shape[-1] > 1:
            level = _padded(level, model.spec.multiple_of)

        def loss(changed: torch.Tensor) -> torch.Tensor:
            restored = network(changed) if level is None else network(changed, level)
            error: torch.Tensor = (restored - target).square().mean()
            return error

        hurt = self.find(loss, x, torch.Generator().manual_seed(0))
        found: np.ndarray = hurt[..., : clean.shape[1], : clean.shape[2]].reshape(clean.shape).cpu().numpy()
        return found


def network_of(model: Denoiser) -> torch.nn.Module:
    """The PyTorch network of a denoiser, with gradients towards its input alone."""
    from noiseless.runtime.torch import TorchEngine, load_foreign, load_network

    bundle = model.bundle
    if isinstance(model.engine, TorchEngine):
        network = model.engine._network
    else:
        network = load_foreign(bundle.path)[1] if bundle.path.is_file() else load_network(bundle)
    frozen: torch.nn.Module = network.float().eval().requires_grad_(False)
    return frozen


def _padded(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """Images with sides that a network takes, mirrored beyond their border."""
    from torch.nn import functional

    height, width = (round_up(side, multiple) - side for side in images.shape[-2:])
    return functional.pad(images, (0, width, 0, height), mode="reflect") if height or width else images
