"""Muon: steps in which every direction of a weight matrix counts alike.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. The momentum of a layer's gradient, seen
as a matrix (outputs x inputs and window), is replaced by the nearest orthogonal matrix before it is subtracted, so that
rare directions are learned as fast as the few that dominate a gradient. The size of a step is matched to that of Adam
as in Liu et al., "Muon is Scalable for LLM Training", 2025, so that the same learning rates work. Vectors, and matrices
too thin to have directions worth balancing (a first or last layer of an image network), are left to AdamW (Loshchilov
and Hutter, "Decoupled Weight Decay Regularization", 2019).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor

from noiseless.runtime.machine import has_bf16

NARROW = 16
"""Matrices whose smaller side is below this are left to AdamW."""

STEP_SIZE = 0.2
"""Root mean square of a step at learning rate 1: about that of Adam's."""

ADAM_BETAS = (0.9, 0.999)

SMALLEST = 1e-30
"""Norm that a matrix of zeros is divided by."""


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices, AdamW for everything else.

    Args:
        parameters: tensors, or groups of them.
        lr: learning rate, of the size that suits AdamW.
        momentum: of the gradient's moving average, 0 to 1.
        weight_decay: decoupled L2 penalty.
    """

    def __init__(self, parameters: Any, lr: float, *, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Change every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            same_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                if min(shape := _matrix_shape(parameter)) < NARROW:
                    self._adam_step(parameter, group["lr"])
                else:
                    same_shape[shape].append(parameter)
            for shape, parameters in same_shape.items():
                self._orthogonal_step(parameters, shape, group["lr"], group["momentum"])
        return loss

    def _orthogonal_step(self, parameters: list[Tensor], shape: tuple[int, int], lr: float, momentum: float) -> None:
        directions = []
        for parameter in parameters:
            state, gradient = self.state[parameter], parameter.grad
            assert gradient is not None
            average = state.setdefault("average", torch.zeros_like(parameter)).lerp_(gradient, 1 - momentum)
            directions.append(gradient.lerp(average, momentum).reshape(shape))  # looks ahead, as Nesterov's momentum
        size = STEP_SIZE * max(shape) ** 0.5
        for parameter, direction in zip(parameters, orthogonalise(torch.stack(directions)), strict=True):
            parameter.add_(direction.reshape(parameter.shape), alpha=-lr * size)

    def _adam_step(self, parameter: Tensor, lr: float) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        first = state.setdefault("first", torch.zeros_like(parameter)).lerp_(gradient, 1 - ADAM_BETAS[0])
        second = state.setdefault("second", torch.zeros_like(parameter)).lerp_(gradient.square(), 1 - ADAM_BETAS[1])
        state["steps"] = state.get("steps", 0) + 1
        bias = [1 - beta ** state["steps"] for beta in ADAM_BETAS]
        parameter.addcdiv_(first / bias[0], (second / bias[1]).sqrt() + 1e-8, value=-lr)


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """The orthogonal matrices nearest to the given ones, roughly: singular values come out between 0.7 and 1.2.

    A quintic Newton-Schulz iteration with the coefficients of Jordan et al., in bfloat16, which is enough for a
    direction, where the device is fast at it: a processor that only imitates bf16 is ninety times as slow in it.

    Args:
        matrices: (N, rows, columns).
        iterations: five bring singular values from a hundredth of the largest into that range.

    Returns:
        float32, of the same shape.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    fast = torch.bfloat16 if matrices.is_cuda or has_bf16() else torch.float32
    x = (matrices.mT if tall else matrices).to(fast)
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp_min(SMALLEST)
    for _ in range(iterations):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    result: Tensor = (x.mT if tall else x).float()
    return result


def _matrix_shape(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns of a parameter as a matrix: its first axis, and all others."""
    if parameter.ndim < 2:
        return 1, parameter.numel()
    return parameter.shape[0], parameter.numel() // parameter.shape[0]
