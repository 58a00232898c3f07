"""`train`: from a configuration to a run folder and a denoiser."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from noiseless import losses, networks
from noiseless.bundle import NetworkSpec
from noiseless.data.synthesis import is_pair_store
from noiseless.errors import ConfigError
from noiseless.evaluation import evaluate
from noiseless.io.atomic import make_folder, write_text
from noiseless.networks import spec_of
from noiseless.noise import parse
from noiseless.training import adversarial, objectives
from noiseless.training.adaptation import NO_ADAPTATION, Adaptation
from noiseless.training.beforehand import check_run, check_settings
from noiseless.training.checkpoint import Progress
from noiseless.training.config import (
    MEASURED,
    Precision,
    RunConfig,
    check_kind,
    from_mapping,
    read_recipe,
    run_folder,
    to_mapping,
    write_toml,
)
from noiseless.training.devices import check_devices, open_fabric
from noiseless.training.images import TrainingImages, find_sides, open_images
from noiseless.training.loop import fit, restore
from noiseless.training.objectives import Objective
from noiseless.training.objectives.partly_referenced import partly_referenced
from noiseless.training.optimizer import averaged, build_optimizer
from noiseless.training.patches import CleanPatches, MixedPatches, NoisyPatches, PairPatches, PatchSource, pair_levels
from noiseless.training.plan import Plan, make_plan
from noiseless.training.precision import faster_precision
from noiseless.training.start import build_network, like_its_start, starts_from_weights
from noiseless.training.state import Budget, Ending, Hooks, Listener, Run
from noiseless.training.told import settle_told
from noiseless.training.watch import Watch, score_start

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from noiseless.denoiser import Denoiser


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        ending: ``finished``, ``stopped`` (by `stop_after`), ``interrupted`` (Ctrl-C) or ``terminated`` (SIGTERM).
        folder: the run folder.
        psnr: best validation PSNR in dB.
        noisy_psnr: PSNR of the noisy validation images.
        step: optimiser steps taken.
        seconds: training time over all resumptions.
        test: PSNR in dB of the noisy and of the restored test images, where there are any and the run finished.
        start_psnr: validation PSNR in dB of the weights that the run started from; nan where they were random.
        estimated: whether validation PSNR is an estimate, for want of clean images.
    """

    ending: Ending
    folder: Path
    psnr: float
    noisy_psnr: float
    step: int
    seconds: float
    test: tuple[float, float] | None = None
    start_psnr: float = float("nan")
    estimated: bool = False


def train(
    config: RunConfig,
    output: str | Path,
    *,
    resume: bool = False,
    stop_after: float | None = None,
    listener: Listener | None = None,
) -> Denoiser:
    """Train a network and leave a run folder.

    Args:
        config: what to train, on what, for how long.
        output: the run folder: ``best/`` and ``last/`` (bundles), ``checkpoints/``, ``config.toml``,
            ``manifest.json``, ``metrics.csv`` and ``tensorboard/``.
        resume: go on from the newest checkpoint there; without one, start anew.
        stop_after: minutes after which to write a checkpoint and leave, annealing nothing.
        listener: told how it goes.

    Returns:
        The denoiser with the best validation PSNR.

    Raises:
        ConfigError: settings that contradict each other or an existing run.
        DataError: no usable images.
        DivergedError: the loss became infinite; the best weights so far are kept.
    """
    from noiseless.denoiser import load

    run_training(config, output, resume=resume, stop_after=stop_after, listener=listener)
    return load(output)


def run_training(
    config: RunConfig,
    output: str | Path,
    *,
    resume: bool = False,
    stop_after: float | None = None,
    listener: Listener | None = None,
    adaptation: Adaptation = NO_ADAPTATION,
) -> Outcome:
    """As `train`, but returns how the run ended instead of a denoiser; fine-tuning brings its `adaptation`."""
    config = like_its_start(check_kind(config, RunConfig, "noiseless.RunConfig(steps=..., data=...)"))
    folder, listener = run_folder(output), listener or Listener()
    first = int(os.environ.get("LOCAL_RANK", "0")) == 0  # known before the processes meet
    if first:
        check_run(config, folder, resume=resume, stop_after=stop_after)
        check_config(config)
    precision = _precision(config)
    fabric = open_fabric(config.training, precision)
    fabric.launch()
    if not fabric.is_global_zero:
        listener = Listener()
    images = _images(config, folder, fabric, listener)
    plan = make_plan(config, images)
    for line in plan.lines:
        listener.say(line)
    config = _settle(config, folder, images, plan, precision, resume=resume)
    config = _settle_told(config, images, plan, listener.say, adaptation.label)
    run = _assemble(config, folder, fabric, images, plan, adaptation)
    before = _saved(config, folder)
    resumed = resume and restore(run)
    if resumed and before is not None and not plan.guessed:
        _reopen(run, _budget(before, images))
    listener.say(_opening(run, images, resumed=resumed))
    return _work(config, run, images, plan, stop_after, listener, adaptation)


def _saved(config: RunConfig, folder: Path) -> RunConfig | None:
    """The configuration that a run was begun with."""
    saved = folder / "config.toml"
    return from_mapping(type(config), read_recipe(saved)) if saved.exists() else None


def _reopen(run: Run, before: Budget) -> None:
    """Let a run that was finished go on where it was given a larger budget."""
    if run.progress.finished and run.budget != before and run.spent < 1:
        run.progress.finished = False
        run.progress.validations = int(run.spent * run.config.validations)


def _images(config: RunConfig, folder: Path, fabric: Fabric, listener: Listener) -> TrainingImages:
    """Decoded by the first process; the others then find the store it made."""
    if fabric.is_global_zero:
        images = open_images(config.data, folder, listener.say)
        make_folder(folder)
    fabric.barrier()
    return images if fabric.is_global_zero else open_images(config.data, folder, listener.say)


def check_config(config: RunConfig) -> None:
    """See that the settings can be used, before anything is read or made.

    Raises:
        ConfigError: they contradict each other, or this machine, or the network does not take its arguments.
        BundleError: the weights to start from do not fit the network.
        UnknownNameError, SpecError: as of `check_settings`.
    """
    check_settings(config)
    with torch.random.fork_rng(devices=[]):  # built to see whether it can be, and thrown away
        build_network(like_its_start(config))
    check_devices(config.training)


def _precision(config: RunConfig) -> Precision:
    """``float32`` or ``bf16``."""
    training = config.training
    if training.precision != "auto":
        return training.precision
    cuda = training.accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available()
    return faster_precision(torch.device("cuda" if cuda else "cpu"))


def _settle(
    config: RunConfig, folder: Path, images: TrainingImages, plan: Plan, precision: Precision, *, resume: bool
) -> RunConfig:
    """The configuration with nothing left open; a resumed run must not differ from what it was."""
    arguments = dict(like_its_start(replace(config, start=plan.start)).arguments)
    known = networks.accepted_arguments(networks.constructor(config.network))
    if "channels" in known:
        arguments.setdefault("channels", images.channels)
    if len(images.train) > 1 and "conditioning" in known:
        blind = plan.start == config.start  # pairs do not say their noise level; most shipped models want to know
        arguments.setdefault("conditioning", "none" if blind else "sigma")
    training = replace(config.training, precision=precision)
    name, objective = config.name or folder.resolve().name, plan.alone or plan.objective
    settled = replace(config, arguments=arguments, objective=objective, start=plan.start, training=training, name=name)
    saved = folder / "config.toml"
    if resume and (before := _saved(config, folder)) is not None:
        told = before.told if settled.told == "auto" else settled.told
        settled = replace(settled, told=told, training=replace(training, precision=before.training.precision))
        _same(before, settled, saved)
    return settled


def _settle_told(
    config: RunConfig, images: TrainingImages, plan: Plan, say: Callable[[str], None], label: str | None
) -> RunConfig:
    if config.told != "auto":
        return config
    if not starts_from_weights(config):
        return replace(config, told=MEASURED)
    told = settle_told(config, images, build_network(config), say, plan.noise, plan.told)
    if label is not None and told == MEASURED and set(images.train) == {"noisy", "clean"}:
        say(f"The new images are told {label}, more than any that is to be kept, so that one network can do both")
        told = label
    return replace(config, told=told)


def _same(before: RunConfig, now: RunConfig, saved: Path) -> None:
    old, new = _flat(to_mapping(before)), _flat(to_mapping(now))
    differing = [key for key in {*old, *new} - {"steps", "minutes", "epochs", "name"} if old.get(key) != new.get(key)]
    if differing:
        raise ConfigError(
            f"the run to resume has other settings in {saved}",
            got=", ".join(f"{key} = {new.get(key)!r}" for key in sorted(differing)),
            expected=", ".join(f"{key} = {old.get(key)!r}" for key in sorted(differing)),
            fix="Resume it with the options it was started with.",
        )


def _flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings by the names that ``--set`` gives them."""
    found = {key: value for key, value in mapping.items() if not isinstance(value, Mapping)}
    for table, inner in mapping.items():
        if isinstance(inner, Mapping):
            found |= {f"{table}.{key}": value for key, value in _flat(inner).items()}
    return found


def _budget(config: RunConfig, images: TrainingImages) -> Budget:
    if config.minutes is not None:
        return Budget(seconds=60 * config.minutes)
    if config.steps is not None:
        return Budget(steps=config.steps)
    training = config.training
    pixels = sum(image.shape[-1] * image.shape[-2] for image in [*images.images, *images.unpaired])
    steps = (config.epochs or 1) * pixels / (training.patch_size**2 * training.batch_size)
    return Budget(steps=max(1, round(steps)))


def _assemble(
    config: RunConfig, folder: Path, fabric: Fabric, images: TrainingImages, plan: Plan, adaptation: Adaptation
) -> Run:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        base = build_network(config)
        adapted = adaptation.apply(copy.deepcopy(base))
    spec = spec_of(base)
    base = averaged(base).to(fabric.device)
    adapted = adapted.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = averaged(adapted)
    optimizer = build_optimizer(adaptation.groups(adapted), config.training)
    network, optimizer = fabric.setup(adapted, optimizer)
    objective = adaptation.objective(_objective(config, plan), base)
    source = patch_source(config, images, spec, plan)
    budget = _budget(config, images)
    settings = (config.training, budget, folder, config.seed)
    objective = adversarial.hardened(objective, config.adversarial, adapted, fabric.autocast)
    progress = Progress(finished=plan.guessed)
    return Run(fabric, network, optimizer, average, objective, source, *settings, progress, adaptation.stepped)


def _objective(config: RunConfig, plan: Plan) -> Objective:
    loss = losses.parse(config.loss)
    objective = objectives.create(plan.objective, loss, plan.noise)
    return partly_referenced(objective, objectives.create(plan.alone, loss, plan.noise)) if plan.alone else objective


def patch_source(config: RunConfig, images: TrainingImages, spec: NetworkSpec, plan: Plan) -> PatchSource:
    """Where patches come from: pairs where there are any, else clean images and the noise, or noisy images alone."""
    if config.told != MEASURED:  # what is told of all alike names none of them
        config = replace(config, training=replace(config.training, told_spread=0.0))
    training, views = config.training, images.train
    if "noisy" not in views:
        if not config.noise:
            raise ConfigError("clean images need a noise model", fix="Add --noise, for example --noise gaussian:0-55.")
        return CleanPatches(views["clean"], parse(config.noise), spec.channels, training)
    alone = _alone(images, spec, plan, config) if len(images.alone) else None
    if len(views) == 1:
        assert alone is not None
        return alone
    levels = pair_levels(views["noisy"], spec, config.told)
    _, target = views.values()
    pairs = PairPatches(views["noisy"], target, spec.channels, training, levels, referenced=images.referenced)
    return pairs if alone is None else MixedPatches(pairs, alone, training.paired)


def _alone(images: TrainingImages, spec: NetworkSpec, plan: Plan, config: RunConfig) -> PatchSource:
    if plan.frames:
        first, second = zip(*plan.frames, strict=True)
        levels = pair_levels(first, spec, config.told)
        return PairPatches(first, second, spec.channels, config.training, levels, referenced=False)
    return NoisyPatches(images.alone, spec.channels, pair_levels(images.alone, spec, config.told))


def _work(
    config: RunConfig,
    run: Run,
    images: TrainingImages,
    plan: Plan,
    stop_after: float | None,
    listener: Listener,
    adaptation: Adaptation,
) -> Outcome:
    if not run.fabric.is_global_zero:
        return _work_beside(config, run)
    with Watch(config, run, images, plan, adaptation, listener) as watch:
        _write_records(config, run.folder, images)
        watch.begin()
        ending = fit(run, watch.hooks, stop_after=None if stop_after is None else 60 * stop_after)
    test = measure_test(config, run.folder) if ending == "finished" else None
    best, step, seconds, start = run.progress.best, run.progress.step, run.progress.seconds, run.progress.start
    return Outcome(ending, run.folder, best, watch.noisy_psnr, step, seconds, test, start, watch.estimated)


def _work_beside(config: RunConfig, run: Run) -> Outcome:
    """What processes but the first do: they learn, and measure and keep nothing."""
    if starts_from_weights(config) and run.progress.step == 0:
        score_start(run, lambda: (0.0, 0.0))
    quiet = Hooks(_never, _never, lambda status: None, lambda status, scores: None)
    ending = fit(run, quiet, stop_after=None)
    return Outcome(ending, run.folder, run.progress.best, 0.0, run.progress.step, run.progress.seconds)


def measure_test(config: RunConfig, folder: Path) -> tuple[float, float] | None:
    """Measure the best model on the images kept for the end, and write ``test.json``.

    Returns:
        PSNR in dB of the noisy and of the restored images; ``None`` where no test images with a clean side are named.
    """
    if config.data.data and is_pair_store(config.data.data):
        return None
    source = find_sides(config.data).test
    if source is None or "clean" not in source.roles:
        return None
    model = folder / ("best" if (folder / "best").exists() else "last")
    report = evaluate(["identity", model], source, noise=config.noise or None, seed=config.seed)
    report.to_json(folder / "test.json")
    noisy, restored = (result.interval("psnr").mean for result in report.results)
    return noisy, restored


def _never(*arguments: Any) -> Any:
    raise AssertionError("called on the first process only")


def _write_records(config: RunConfig, folder: Path, images: TrainingImages) -> None:
    write_text(folder / "config.toml", write_toml(to_mapping(config)))
    images.manifest.write(folder / "manifest.json")


def _opening(run: Run, images: TrainingImages, *, resumed: bool) -> str:
    count = sum(p.numel() for p in run.plain_network.parameters())
    train, validation = (len(images.images) + len(images.unpaired), len(next(iter(images.validation.values()))))
    what = f"{train} training and {validation} validation images, {count:,} parameters"
    if resumed:
        return f"Resuming at step {run.progress.step:,} ({run.spent:.0%} of the budget spent): {what}"
    return f"Training on {what}"
