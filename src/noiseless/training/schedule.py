"""Learning-rate schedules: functions of the share of the budget that is spent.

A schedule that only looks at the spent share anneals once over the whole budget, however often a run is interrupted.
`plateau` is the exception: it looks at the validation metric, and its factor is part of the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from noiseless.errors import UnknownNameError
from noiseless.training.config import TrainingConfig

Schedule = Callable[[float, TrainingConfig], float]


def constant(progress: float, config: TrainingConfig) -> float:
    """The same rate throughout."""
    return 1.0


def cosine(progress: float, config: TrainingConfig) -> float:
    """Half a cosine from 1 to `final_lr`; Loshchilov and Hutter, "SGDR", 2017, without restarts."""
    floor = config.final_lr
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def step(progress: float, config: TrainingConfig) -> float:
    """Multiplied by `decay` at each share of the budget in `decay_at`."""
    return float(config.decay ** sum(progress >= share for share in config.decay_at))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "step": step, "plateau": constant}


def learning_rate(progress: float, config: TrainingConfig, plateau_factor: float = 1.0) -> float:
    """The learning rate when `progress` of the budget, 0 to 1, is spent.

    Args:
        progress: share of the budget spent.
        config: names the schedule and its settings.
        plateau_factor: product of the reductions that the plateau schedule has made so far.

    Raises:
        UnknownNameError: no schedule of this name.
    """
    if config.schedule not in SCHEDULES:
        raise UnknownNameError("schedule", config.schedule, SCHEDULES)
    warming = min(1.0, (progress + 1e-3 * config.warmup) / config.warmup) if config.warmup > 0 else 1.0
    return config.lr * warming * SCHEDULES[config.schedule](progress, config) * plateau_factor
