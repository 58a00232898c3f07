"""Ways to keep: nothing to pay at first, more the further from what was, and what is kept is remembered better."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from noiseless.__main__ import main
from noiseless.data import PackedStore, replay_crops, samples
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.finetuning import FinetuningConfig, KeepConfig, default_config
from noiseless.finetuning.base import Base, find_base
from noiseless.finetuning.config import from_recipe
from noiseless.finetuning.keeping import KEEPS, check, kept, kept_noise, label_apart, remember
from noiseless.finetuning.run import run_finetuning
from noiseless.noise import parse
from noiseless.training.config import DataConfig, Stage
from noiseless.training.objectives import Batch, Objective, apply
from noiseless.training.patches import CleanPatches, make_batch


@pytest.fixture(scope="module")
def known(base: Path) -> Base:
    return find_base(base)


def test_no_level_is_told_apart_from_noise_that_reaches_the_highest(known: Base, data: DataConfig) -> None:
    assert label_apart(known, settings(data, "rehearsal", noise="gaussian:0-60")) == "gaussian:90"
    assert label_apart(known, settings(data, "rehearsal", noise="gaussian:0-200")) is None


def settings(data: DataConfig, name: str, **keep: object) -> FinetuningConfig:
    config = default_config("full")
    training = replace(config.training, patch_size=32)
    return replace(config, keep=KeepConfig(name, data=data.clean, batches=2, **keep), training=training)  # type: ignore[arg-type]


def term(known: Base, config: FinetuningConfig, folder: Path) -> Objective:
    """The term alone: beside an objective of zero."""

    def nothing(network: nn.Module, batch: Batch, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        return torch.zeros(()), {}

    return kept(nothing, remember(known.network().requires_grad_(False), known, config, folder))


def value(objective: Objective, network: nn.Module, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    loss, logs = objective(network, Batch(torch.zeros(0), torch.zeros(0)), generator)
    assert logs["keep"] == pytest.approx(float(loss.detach()))
    return loss


def moved(network: nn.Module, by: float, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return other


@pytest.mark.parametrize("name", KEEPS)
def test_the_further_the_more(known: Base, data: DataConfig, tmp_path: Path, name: str) -> None:
    objective, network = term(known, settings(data, name), tmp_path), known.network()
    at_first, near, far = (value(objective, moved(network, by)).item() for by in (0.0, 0.02, 0.1))
    assert max(at_first, near) < far
    assert name == "replay" or 0 == at_first < near
    assert value(objective, moved(network, 0.1)).item() == far, "the same step draws the same patches"
    value(objective, network).backward()
    assert any(parameter.grad is not None for parameter in network.parameters())


def test_the_strength_multiplies(known: Base, data: DataConfig, tmp_path: Path) -> None:
    network = moved(known.network(), 0.1)
    single = value(term(known, settings(data, "l2sp", strength=1.0), tmp_path), network)
    double = value(term(known, settings(data, "l2sp", strength=2.0), tmp_path), network)
    torch.testing.assert_close(double, 2 * single)
    before = dict(known.network().named_parameters())
    expected = sum((weight - before[name]).square().sum() for name, weight in network.named_parameters())
    torch.testing.assert_close(single, expected)


def test_ewc_knows_what_a_change_costs(known: Base, data: DataConfig, tmp_path: Path) -> None:
    """Its penalty is about the squared change of what the network restores, in units of its squared error."""
    config = settings(data, "ewc", strength=1.0)
    penalty = term(known, config, tmp_path)
    network = known.network()
    batch = keep_batch(network, data)
    with torch.no_grad():
        before = apply(network, batch.noisy, batch.sigma)
        size = (before - batch.target).abs().mean()
        error = (before - batch.target).square().mean(dim=(1, 2, 3))
        for seed in range(3):
            other = moved(network, 0.01, seed)
            change = (apply(other, batch.noisy, batch.sigma) - before).square().mean(dim=(1, 2, 3))
            assert 0.2 < value(penalty, other).item() / (size * (change / error).mean()).item() < 5


def keep_batch(network: nn.Module, data: DataConfig) -> Batch:
    images = list(PackedStore(data.clean[0]))
    source = CleanPatches(images, parse("gaussian:30"), 1, default_config("full").training)
    return make_batch(source, Stage(0.0, 32, 24), 5, 0, slice(None))


def test_what_ships_to_be_kept_is_not_what_ships_to_be_measured() -> None:
    crops = replay_crops()
    assert 200 <= len(crops) <= 500
    assert {(crop.shape, crop.dtype.name) for crop in crops} == {((3, 80, 80), "uint8")}
    measured = {path.name for kind in ("validation", "test") for path in samples(kind)}
    folder = samples("test")[0].parents[1] / "replay"
    assert not measured & {path.name for path in folder.iterdir()}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6


def test_the_shipped_crops_are_the_default(known: Base, data: DataConfig, tmp_path: Path) -> None:
    config = settings(data, "lwf")
    shipped = replace(config, keep=replace(config.keep, data=()))
    network = moved(known.network(), 0.05)
    assert value(term(known, shipped, tmp_path), network) != value(term(known, config, tmp_path), network)


def test_what_cannot_be_kept_is_said_first(known: Base, data: DataConfig) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean replay"):
        check(known, settings(data, "repley"))
    silent = replace(known, bundle=replace(known.bundle, noise=None))
    with pytest.raises(ConfigError, match=r"not known which noise.*keep\.noise"):
        check(silent, settings(data, "replay"))
    check(silent, settings(data, "replay", noise="gaussian:30"))


def test_what_is_kept_is_learned_beside_at_the_rate_of_the_method() -> None:
    """What a recipe says holds."""
    for method in ("lora", "adapter", "full"):
        free, kept = default_config(method), default_config(method, "replay")
        assert kept.training == free.training
        assert from_recipe({"method": {"name": method}, "keep": {"name": "replay"}}) == kept
    recipe = {"keep": {"name": "replay"}, "training": {"lr": 0.5}}
    assert from_recipe(recipe).training.lr == 0.5


def test_a_sequence_keeps_all_that_went_before(base: Path, data: DataConfig, tmp_path: Path) -> None:
    """The noise of the first model, of the first task, of the second, each kept while the next is learned."""
    quick = {"patch_size": 32, "batch_size": 2, "validations": 1, "accelerator": "cpu", "precision": "float32"}
    model: Path = base
    for number, noise in enumerate(["rician:sigma=0.15", "speckle:looks=8"]):
        config = settings(data, "lwf")
        config = replace(config, data=data, noise=noise, steps=12, training=replace(config.training, **quick))  # type: ignore[arg-type]
        run_finetuning(model, config, tmp_path / str(number))
        model = tmp_path / str(number)
    kept_settings = (model / "config.toml").read_text().partition("[keep]")[2]
    assert 'noise = "gaussian:30|rician:sigma=0.15"' in kept_settings
    last = find_base(model / "last")
    assert kept_noise(last, settings(data, "ewc")) == "gaussian:30|rician:sigma=0.15|speckle:looks=8"


def test_steps_to_keep_lead_back(known: Base, data: DataConfig, tmp_path: Path) -> None:
    """A network that was pushed away remembers again when only the term is minimised."""
    for name in KEEPS:
        objective = term(known, settings(data, name, strength=1.0), tmp_path)
        network = moved(known.network(), 0.05)
        optimizer = torch.optim.Adam(network.parameters(), 2e-3)
        values = []
        for step in range(25):
            optimizer.zero_grad()
            loss = value(objective, network, seed=step)
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        assert sum(values[-5:]) < 0.8 * sum(values[:5]), name


def test_the_command_keeps(base: Path, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["finetune", str(base), "--clean", *data.clean, "--validation", *data.validation]
    command += ["--noise", "rician:sigma=0.15", "--steps", "6", "-o", str(tmp_path / "run"), "--keep-data", *data.clean]
    quick = ["training.patch_size=32", "training.validations=1", "training.accelerator=cpu", "keep.strength=0.5"]
    command += [word for each in quick for word in ("--set", each)]
    assert main([*command, "--keep", "replay"]) == 0
    kept_settings = (tmp_path / "run" / "config.toml").read_text().partition("[keep]")[2]
    assert 'name = "replay"' in kept_settings
    assert "strength = 0.5" in kept_settings
    assert main([*command, "--keep", "ewx", "-o", str(tmp_path / "other")]) == 2
    assert "unknown way to keep 'ewx'" in capsys.readouterr().err
