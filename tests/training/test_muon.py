from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from noiseless.training.config import TrainingConfig
from noiseless.training.muon import Muon, orthogonalise
from noiseless.training.optimizer import build_optimizer


@pytest.mark.parametrize("shape", [(20, 20), (20, 90), (90, 20)])
def test_singular_values_become_alike(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert values.shape == (3, 20)
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_directions_stay() -> None:
    left, right = (torch.linalg.qr(torch.randn(24, 24))[0] for _ in range(2))
    matrix = left @ torch.diag(torch.linspace(1.0, 0.2, 24)) @ right
    ours = orthogonalise(matrix[None])[0]
    assert torch.nn.functional.cosine_similarity(ours.flatten(), (left @ right).flatten(), dim=0) > 0.97


def test_a_step_does_not_depend_on_the_size_of_the_gradient() -> None:
    moved = []
    for size in (2.0**-12, 2.0**12):
        weight = nn.Parameter(torch.zeros(32, 8, 3, 3))
        weight.grad = size * torch.randn(32, 8, 3, 3, generator=torch.Generator().manual_seed(0))
        Muon([weight], 0.1).step()
        moved.append(weight.detach())
    torch.testing.assert_close(moved[0], moved[1])
    assert moved[0].square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.2)


def test_thin_matrices_and_vectors_go_as_adamw_goes() -> None:
    ours, theirs = ([nn.Parameter(torch.ones(4, 50)), nn.Parameter(torch.ones(7))] for _ in range(2))
    optimizers = [Muon(ours, 0.01, weight_decay=0.1), torch.optim.AdamW(theirs, 0.01, weight_decay=0.1)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_goes_on_from_a_saved_state_as_if_nothing_had_happened() -> None:
    def steps(network: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            network(torch.randn(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()

    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3))
    resumed = copy.deepcopy(network)
    optimizer = build_optimizer(network.parameters(), TrainingConfig(optimizer="muon"))
    steps(network, optimizer, range(6))

    first = build_optimizer(resumed.parameters(), TrainingConfig(optimizer="muon"))
    steps(resumed, first, range(3))
    second = build_optimizer(resumed.parameters(), TrainingConfig(optimizer="muon"))
    second.load_state_dict(first.state_dict())
    steps(resumed, second, range(3, 6))
    for one, other in zip(network.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_learns_directions_of_different_size() -> None:
    """A least-squares problem whose inputs differ in size a hundredfold: plain gradient descent does not finish it."""
    inputs = torch.randn(256, 32, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -2, 32)
    target = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(1)))[0]
    weight = nn.Parameter(torch.zeros(32, 32))
    optimizer = build_optimizer([weight], TrainingConfig(optimizer="muon", weight_decay=0.0))
    for step in range(100):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 100)
        optimizer.zero_grad()
        (inputs @ (weight - target)).square().mean().backward()
        optimizer.step()
    assert (weight - target).abs().max() < 0.1
