"""What can be seen of a run before PyTorch is imported, which takes seconds, and before any image is read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from noiseless import bundle, losses, networks
from noiseless.denoiser import find
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.io.atomic import check_reachable
from noiseless.io.finding import check_there
from noiseless.noise import Noise, parse
from noiseless.training.adversarial import check_adversarial
from noiseless.training.config import MEASURED, SCRATCH, DataConfig, RunConfig
from noiseless.training.images import range_of, source_of
from noiseless.training.objectives import OBJECTIVES
from noiseless.training.optimizer import OPTIMIZERS
from noiseless.training.schedule import SCHEDULES


def check_run(config: RunConfig, folder: str | Path, *, resume: bool, stop_after: float | None) -> None:
    """See that there is no run in the folder yet, and that nothing that the settings name is missing.

    Only in the first of several processes, which makes the folder while the others begin.

    Raises:
        ConfigError: settings that contradict each other or an existing run.
        ImageError: images that are not there.
        BundleError, UnknownNameError, SpecError: as of `check_settings`.
        OutputError: a folder that cannot be made.
    """
    if int(os.environ.get("LOCAL_RANK", "0")):
        return
    check_settings(config)
    if stop_after is not None and not stop_after > 0:
        raise ConfigError("stop_after (--stop-after) must be positive", got=stop_after)
    if not resume and (Path(folder) / "config.toml").exists():
        raise ConfigError(f"{folder} already holds a run", fix="Go on with --resume, or name another folder.")
    check_reachable(Path(folder))
    for path in _named(config.data):
        check_there(path)


def check_settings(config: RunConfig) -> None:
    """See that what settings name is there, then that nothing is missing.

    Raises:
        ConfigError: no budget, several, or an impossible one; no source of images; no noise for clean images.
        BundleError: weights to start from that are not there or damaged.
        UnknownNameError: a network, objective, loss, noise, optimizer, schedule or shipped model that there is not.
        SpecError: a noise, a loss or an attack that does not parse.
        ValueRangeError: a data range that is none.
    """
    for kind, name, known, beside in (
        ("network", config.network, networks.names(), networks.READ),
        ("objective", config.objective, OBJECTIVES, ("auto",)),
        ("optimizer", config.training.optimizer, OPTIMIZERS, ()),
        ("schedule", config.training.schedule, SCHEDULES, ()),
    ):
        if name not in (*known, *beside):
            raise UnknownNameError(kind, name, known)
    losses.parse(config.loss)
    referenced = not (config.data.noisy or config.data.noisy_pairs)
    check_adversarial(config.adversarial, config.objective, referenced=referenced)
    for spec in (config.noise, config.told):
        if spec not in ("", "auto", MEASURED):
            parse(spec)
    if config.data.noisy and config.noise not in ("", "auto"):
        _check_measured(parse(config.noise))
    if config.start not in (None, SCRATCH):
        check_model(config.start)
    _check_budget(config)
    range_of(config.data)
    if source_of(config.data) == "clean" and not config.noise:
        raise ConfigError("clean images need a noise model", fix="Add --noise, for example --noise gaussian:0-55.")


def _check_measured(noise: Noise) -> None:
    """See that noise can be what noisy images have."""
    if noise.ranged:
        raise ConfigError("a range is no noise level", got=noise.spec, fix="Give one level, or none to measure it.")
    if not noise.variance(np.full((noise.channels or 1, 1, 1), 0.5, np.float32)).any():
        raise ConfigError("noisy images have noise", got=noise.spec, fix="Give its level, or none to measure it.")


def _check_budget(config: RunConfig) -> None:
    budgets = [name for name in ("steps", "minutes", "epochs") if getattr(config, name) is not None]
    if not budgets:
        raise ConfigError("how long to train is not said", fix="Add --minutes M, --steps N or --epochs E.")
    if len(budgets) > 1:
        raise ConfigError("a run needs one budget", got=" and ".join(budgets), expected="one of steps, minutes, epochs")
    if not 0 < (budget := getattr(config, budgets[0])) < math.inf:  # nor is nan
        raise ConfigError(f"{budgets[0]} must be positive", got=budget)


def check_model(name: str | Path) -> None:
    """See that a model is there, as `noiseless.load` takes it, and that its bundle can be read.

    Raises:
        UnknownNameError: neither a shipped model nor a path; names the closest.
        BundleError: it cannot be used.
        MissingExtraError: a bundle on the Hub, and no client.
    """
    if (found := find(name)).is_dir():
        bundle.read(found)


def _named(data: DataConfig) -> Iterator[str]:
    """Every folder, file and pattern."""
    for paths in (data.clean, data.pairs, data.noisy, data.noisy_pairs, data.validation, data.test):
        yield from paths
    if data.data is not None:
        yield data.data
