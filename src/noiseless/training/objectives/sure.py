"""Learning by Stein's unbiased estimate of the error, which needs the noise and no reference.

For noise of covariance C, the squared error of ``f(y)`` is on average ``|f(y) - y|^2 - tr C + 2 tr(C J)`` with J the
derivative of f: Stein, "Estimation of the Mean of a Multivariate Normal Distribution", 1981. The last term is taken
from one more pass with a little more of the same noise n, as ``n (f(y + e n) - f(y)) / e``: Ramani, Blu and Unser,
"Monte-Carlo SURE", 2008; as a loss, Soltanayev and Chun, "Training Deep Learning Based Denoisers without Ground Truth
Data", 2018. Noise that grows with brightness enters by its variance at each pixel: Le Montagner, Angelini and
Olivo-Marin, "An Unbiased Risk Estimator for Image Denoising in the Presence of Mixed Poisson-Gaussian Noise", 2014;
correlated noise enters by n, which is made like it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from noiseless.training.known import KnownNoise
from noiseless.training.objectives import Batch, Loss, Objective, apply

STEP = 0.1
"""The share of noise that is added; small enough for a derivative, large enough for bf16."""


def sure(loss: Loss, noise: KnownNoise | None = None) -> Objective:
    """The objective that estimates the squared error; `loss` is not used. Divided by a typical variance."""
    assert noise is not None
    known, level = noise, noise.level

    def objective(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        more = known.sample(batch.noisy, generator)
        restored = apply(network, batch.noisy, batch.sigma).float()
        moved = apply(network, batch.noisy + STEP * more, batch.sigma).float()
        fidelity = (restored - batch.noisy).square().mean() - known.variance(batch.noisy).mean()
        divergence = (more * (moved - restored)).mean() / STEP
        return (fidelity + 2 * divergence) / level, {"divergence": float(divergence.detach() / level)}

    return objective
