"""Lightning Fabric with the devices of a configuration; what it refuses is one line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from noiseless.errors import ConfigError
from noiseless.training.config import Precision, TrainingConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

REFUSALS = (ValueError, TypeError, RuntimeError, ImportError)
"""What Fabric raises for devices and strategies that do not fit: Lightning's own errors are among them."""


def open_fabric(training: TrainingConfig, precision: Precision) -> Fabric:
    """Fabric for one run; its processes are not launched.

    Raises:
        ConfigError: an accelerator or strategy that there is not, or that this machine cannot run.
    """
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the summary says what is used
    check_devices(training)
    try:
        return Fabric(
            accelerator=training.accelerator,
            devices=training.devices,
            strategy=training.strategy,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
    except REFUSALS as error:
        raise ConfigError(
            "Lightning Fabric refuses these devices",
            got=f"accelerator {training.accelerator}, devices {training.devices}, strategy {training.strategy}",
            fix=str(error),
        ) from error


def check_devices(training: TrainingConfig) -> None:
    """See that this machine has the devices.

    Raises:
        ConfigError: it has not, or nobody knows them.
    """
    _check_name("accelerator", training.accelerator, accelerators())
    _check_name("strategy", training.strategy, strategies())
    if training.devices < 1:
        raise ConfigError("training.devices does not fit", got=training.devices, expected="1 or more")
    count = torch.cuda.device_count()
    on_gpu = training.accelerator in ("cuda", "gpu") or (training.accelerator == "auto" and count > 0)
    if training.accelerator == "cuda" and not count:
        raise ConfigError(
            "training.accelerator names a device that is not there",
            got="cuda, and no CUDA GPU",
            expected="auto or cpu",
            fix="Leave training.accelerator out: auto takes what there is.",
        )
    if on_gpu and 0 < count < training.devices:
        raise ConfigError(
            "training.devices asks for more GPUs than there are", got=training.devices, expected=f"1 to {count}"
        )
    if "fsdp" in training.strategy and not on_gpu:
        raise ConfigError(
            f"training.strategy {training.strategy} needs a GPU",
            got=f"accelerator {training.accelerator}, and no CUDA GPU in use",
            expected="auto or ddp",
            fix="On processors: --set training.strategy=ddp --set training.devices=N.",
        )


def accelerators() -> list[str]:
    """What `training.accelerator` may be."""
    from lightning_fabric.accelerators import ACCELERATOR_REGISTRY

    return ["auto", "gpu", *ACCELERATOR_REGISTRY.available_accelerators()]


def strategies() -> list[str]:
    """What `training.strategy` may be."""
    from lightning_fabric.strategies import STRATEGY_REGISTRY

    return ["auto", *STRATEGY_REGISTRY.available_strategies()]


def _check_name(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ConfigError(f"unknown training.{what}", got=repr(name), expected="one of " + ", ".join(sorted(known)))
