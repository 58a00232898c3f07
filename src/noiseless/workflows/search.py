"""What a search varies in a recipe: learning rate, width, loss weights and, in fine-tuning, the method.

A value is a plain number or a name, so that a database can hold it; `applied` puts values into the settings.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from noiseless import losses, networks, tables
from noiseless.errors import ConfigError
from noiseless.finetuning.base import find_base, start_from
from noiseless.finetuning.config import GROUP, METHODS, RATES, FinetuningConfig, MethodConfig, default_config
from noiseless.training.config import RunConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

RATE = "learning rate"
WIDTH = "width"
METHOD = "method"
WEIGHT = "weight of "
"""Names of what varies; a weight is that of a term of the loss."""

Values = Mapping[str, Any]

WIDTHS = (0.5, 0.75, 1.0, 1.5)
"""Factors of the features of every layer."""

RATE_REACH = 5.0
WEIGHT_REACH = 10.0
"""How many times smaller and larger than in the recipe a learning rate and a loss weight may be."""


def space(config: RunConfig, model: str | None) -> dict[str, BaseDistribution]:
    """What varies, and between which ends.

    Args:
        config: the recipe's settings.
        model: that fine-tuning starts from, or ``None`` to train from scratch.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {RATE: FloatDistribution(1 / RATE_REACH, RATE_REACH, log=True)}
    for _, name in losses.parse(config.loss).terms[1:]:
        found[WEIGHT + name] = FloatDistribution(1 / WEIGHT_REACH, WEIGHT_REACH, log=True)
    if isinstance(config, FinetuningConfig):
        assert model is not None
        found[METHOD] = CategoricalDistribution(usable_methods(config, model))
    elif _width(config) is not None and not config.start:
        found[WIDTH] = CategoricalDistribution(WIDTHS)
    return found


def as_it_stands(config: RunConfig, found: Mapping[str, Any]) -> dict[str, Any]:
    """The values that leave the recipe as it is: the first trial."""
    method = config.method.name if isinstance(config, FinetuningConfig) else ""
    return {name: method if name == METHOD else 1.0 for name in found}


def applied(config: RunConfig, values: Values) -> RunConfig:
    """The settings with the values of a trial.

    The learning rate and the weights are factors of those in the recipe; where the method is another one than the
    recipe's, of the rate that suits it.
    """
    changed = config
    lr = config.training.lr
    if isinstance(changed, FinetuningConfig) and values[METHOD] != changed.method.name:
        suited = default_config(values[METHOD])
        method = replace(suited.method, freeze=changed.method.freeze, first_layer_rate=changed.method.first_layer_rate)
        lr, changed = suited.training.lr, replace(changed, method=method)
    if WIDTH in values and values[WIDTH] != 1.0:
        changed = replace(changed, arguments={**changed.arguments, **_scaled(changed, values[WIDTH])})
    rate = float(f"{lr * values[RATE]:.3g}")
    return replace(changed, loss=_loss(config.loss, values), training=replace(changed.training, lr=rate))


def shown(config: RunConfig, values: Values) -> dict[str, str]:
    """The values of a trial as they stand in its settings, in words."""
    changed = applied(config, values)
    weights = {WEIGHT + name: f"{weight:.3g}" for weight, name in losses.parse(changed.loss).terms}
    width = _width(changed)
    words = {RATE: f"{changed.training.lr:.3g}", WIDTH: str(list(width) if isinstance(width, tuple) else width)}
    return {name: {**weights, **words}.get(name, str(value)) for name, value in values.items()}


def usable_methods(config: FinetuningConfig, model: str) -> list[str]:
    """The methods that find something to train in the network of a model; the recipe's own is among them."""
    base = find_base(model)
    settled = start_from(base, config)
    network = networks.create(settled.network, **settled.arguments)
    return [name for name in RATES if name == config.method.name or _works(replace(config.method, name=name), network)]


def _works(method: MethodConfig, network: nn.Module) -> bool:
    prepare = tables.load("method", method.name, METHODS, GROUP)
    try:
        prepare(copy.deepcopy(network), method)
    except ConfigError:
        return False
    return True


def _loss(spec: str, values: Values) -> str:
    terms = losses.parse(spec).terms
    scaled = [(float(f"{weight * values.get(WEIGHT + name, 1.0):.3g}"), name) for weight, name in terms]
    return "+".join(name if weight == 1 else f"{weight:.12g}*{name}" for weight, name in scaled)


def _width(config: RunConfig) -> int | tuple[int, ...] | None:
    """The features of a network's layers, as its argument ``width`` or ``widths`` says; ``None`` where it has none."""
    constructor = tables.load("network", config.network, networks.NETWORKS, networks.GROUP)
    known = inspect.signature(constructor).parameters
    for name in ("width", "widths"):
        if name in config.arguments:
            given = config.arguments[name]
        elif name in known:
            given = known[name].default
        else:
            continue
        return given if isinstance(given, int) else tuple(given)
    built: tuple[int, ...] | None = getattr(networks.create(config.network, **config.arguments), "widths", None)
    return built


def _scaled(config: RunConfig, factor: float) -> dict[str, Any]:
    width = _width(config)
    assert width is not None
    if isinstance(width, int):
        return {"width": _features(width, factor)}
    return {"widths": [_features(each, factor) for each in width]}


def _features(width: int, factor: float) -> int:
    """A multiple of 16, or of 4 for narrow layers: other numbers are slow, and some fail in bf16 when dilated."""
    step = 16 if width >= 32 else 4
    return max(step, round(width * factor / step) * step)
