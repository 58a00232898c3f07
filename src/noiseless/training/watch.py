"""What is measured, kept and told beside the steps of a run, by its first process."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
import torch
from torch import nn

from noiseless.bundle import NetworkSpec
from noiseless.data.parts import spread
from noiseless.exporting import BundleWriter
from noiseless.networks import spec_of
from noiseless.noise import parse
from noiseless.training.adaptation import NO_ADAPTATION, Adaptation
from noiseless.training.config import MEASURED, RunConfig, to_mapping
from noiseless.training.images import TrainingImages
from noiseless.training.plan import Plan
from noiseless.training.record import describe
from noiseless.training.start import build_network, starts_from_weights
from noiseless.training.state import Hooks, Listener, Run, Status
from noiseless.training.track import Tracker
from noiseless.training.validation import (
    Example,
    Rival,
    Scores,
    noisy_examples,
    pair_examples,
    unreferenced_examples,
    validate,
)

SEEN = 4
"""Images that are learned from on which a run without clean images is looked at."""


class Watch:
    """The hooks of a run, and what they need; a context manager, which closes the logs.

    Args:
        config: the resolved configuration.
        run: that is watched.
        images: what it learns from and is validated on.
        plan: how it learns.
        adaptation: what is done to its network.
        listener: told how it goes.

    Attributes:
        estimated: whether validation PSNR is an estimate, for want of clean images.
        noisy_psnr: of the noisy validation images, in dB; nan before the first validation.
    """

    def __init__(
        self,
        config: RunConfig,
        run: Run,
        images: TrainingImages,
        plan: Plan,
        adaptation: Adaptation,
        listener: Listener,
    ) -> None:
        self._config, self._run, self._images, self._plan = config, run, images, plan
        self._adaptation, self._listener = adaptation, listener
        self.estimated, self.noisy_psnr = "clean" not in images.validation, math.nan
        self._curve: list[dict[str, float]] = []
        self._spec = spec_of(run.average)
        self._examples = _examples(config, images, self._spec, plan)
        self._plain = adaptation.merged(run.average)
        self._writer = BundleWriter(self._plain)
        look = self.estimated and starts_from_weights(config) and not plan.guessed
        self._seen = _seen(config, images, self._spec, plan) if look else []
        self._rival = self._first_scored() if self._seen else None
        self._tracker = Tracker(run.folder, to_mapping(config), wandb=config.training.wandb)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._tracker.close()

    @property
    def hooks(self) -> Hooks:
        """What the loop calls."""
        return Hooks(self._validate, self._save, self._log, self._scored)

    def begin(self) -> None:
        """Draw the network; of a run that starts from weights, score them: they are to be beaten."""
        _draw_graph(self._tracker, self._plain, self._examples[0])
        progress = self._run.progress
        if starts_from_weights(self._config) and progress.step == 0:
            score_start(self._run, self._score_before)
            if self._adaptation is NO_ADAPTATION or progress.best > progress.start:
                self._save(self._run.average, "best")  # a run that gains nothing leaves what it started from

    def _first_scored(self) -> Rival:
        first = self._first()
        return Rival(self._score(first), self._score(first, self._seen))

    def _score_before(self) -> tuple[float, float]:
        first = self._first()
        now = (self._rival.unseen if self._rival else self._score(first)).psnr
        if self._config.told == MEASURED:
            return now, now
        measured = _examples(replace(self._config, told=MEASURED), self._images, self._spec, self._plan)
        return self._score(first, measured).psnr, now

    def _first(self) -> nn.Module:
        """The network as the run began with it."""
        return build_network(self._config).to(self._run.fabric.device)

    def _score(self, network: nn.Module, examples: list[Example] | None = None) -> Scores:
        bf16 = self._config.training.precision == "bf16"
        return validate(network, self._examples if examples is None else examples, self._run.fabric.device, bf16)

    def _validate(self, network: nn.Module) -> Scores:
        network = self._adaptation.merged(network)
        scores = self._score(network)
        return self._rival.judge(scores, lambda: self._score(network, self._seen)) if self._rival else scores

    def _save(self, network: nn.Module, which: Literal["best", "last"]) -> None:
        folder, label = self._run.folder / which, self._adaptation.label
        self._plain.load_state_dict(self._adaptation.merged(network).state_dict())
        record = describe(self._config, self._run, self._images, self._curve, self._plan.noise, label)
        self._writer.write(folder, **record)
        self._adaptation.saved(network, folder)

    def _log(self, status: Status) -> None:
        self._tracker.status(status)
        self._listener.status(status)

    def _scored(self, status: Status, scores: Scores) -> None:
        ssim = {} if math.isnan(scores.ssim) else {"ssim": round(scores.ssim, 5)}
        self._curve.append({"step": status.step, "psnr": round(scores.psnr, 4), **ssim})
        self.noisy_psnr = scores.noisy_psnr
        self._tracker.scores(status, scores)
        self._listener.scored(status, scores)


def score_start(run: Run, scores: Callable[[], tuple[float, float]]) -> None:
    """Score what a run starts from, as it was and told what it will be told: what is to be beaten."""
    run.progress.start, run.progress.best = run.fabric.broadcast(scores())


def _draw_graph(tracker: Tracker, network: nn.Module, example: Example) -> None:
    noisy = torch.from_numpy(example.noisy)[None]
    told = spec_of(network).conditioning == "sigma"
    tracker.graph(copy.deepcopy(network).cpu(), (noisy, torch.full((1, 1, 1, 1), 0.1)) if told else (noisy,))


def _examples(config: RunConfig, images: TrainingImages, spec: NetworkSpec, plan: Plan) -> list[Example]:
    size, views = config.training.validation_size, images.validation
    if "clean" not in views:
        return _unreferenced(config, list(views.values()), spec, plan)
    if "noisy" in views:
        return pair_examples(views["noisy"], views["clean"], spec, size=size, told=config.told)
    return noisy_examples(views["clean"], parse(config.noise), spec, size=size, seed=config.seed)


def _unreferenced(
    config: RunConfig, views: Sequence[Sequence[np.ndarray]], spec: NetworkSpec, plan: Plan
) -> list[Example]:
    return unreferenced_examples(
        views,
        plan.noise,
        spec,
        size=config.training.validation_size,
        seed=config.seed,
        told=config.told,
        measured=plan.found.measured if plan.found else None,
    )


def _seen(config: RunConfig, images: TrainingImages, spec: NetworkSpec, plan: Plan) -> list[Example]:
    """Some of the noisy images that are learned from."""
    numbers = spread(len(images.images), SEEN)
    return _unreferenced(config, [[side[number] for number in numbers] for side in images.train.values()], spec, plan)
