"""Which network, weights, method, loss and batch size for these images, this machine and this wish.

The rules are few and stand below as they are; what they decide is then measured for a few seconds, so that time and
memory are those of this machine. The answer is a recipe that `noiseless train` or `noiseless finetune` runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from noiseless import bundle as bundles
from noiseless import networks, tables
from noiseless._version import __version__
from noiseless.denoiser import PHOTO
from noiseless.errors import ConfigError, MemoryLimitError, OutputError, UnknownNameError
from noiseless.finetuning.config import RATES
from noiseless.io.atomic import check_writable, make_folder, replacing
from noiseless.training.config import UNREFERENCED_LOSS, UNREFERENCED_TRAINING, write_toml
from noiseless.training.plan import GUESSED, KEPT
from noiseless.workflows.survey import Machine, Survey
from noiseless.workflows.trial import Cost, Trial, measure

FEW = 30
"""Below this many images little should be trained: LoRA, a few hundred thousand numbers at most."""

MANY = 500
"""From this many images on, a GPU can train a large network from scratch."""

MEMORY_SHARE = 0.7
"""Of the free memory, for training."""

WIDE = 3.0
"""Strongest over weakest noise from which on all levels are made to count alike."""

VALIDATIONS = 12


@dataclass(frozen=True)
class Choice:
    """What to do.

    Attributes:
        network: a key of `noiseless.networks.NETWORKS`.
        start: the model to fine-tune; empty to train from scratch.
        method: how to fine-tune; empty from scratch.
        loss: a loss expression.
        steps: how many.
        batch_size: patches in a step.
        patch_size: side of the patches, in pixels.
        lr: highest learning rate.
        arguments: of the network.
        reasons: why, a sentence each.
    """

    network: str
    start: str
    method: str
    loss: str
    steps: int
    batch_size: int
    patch_size: int
    lr: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """A choice for some images and a machine, with what it costs there.

    Attributes:
        priority: the wish.
        survey: the images.
        machine: what computes.
        choice: what to do.
        cost: measured.
    """

    priority: str
    survey: Survey
    machine: Machine
    choice: Choice
    cost: Cost

    @property
    def seconds(self) -> float:
        """Expected time of training, its validations included."""
        pixels = VALIDATIONS * max(1, self.survey.images // 10) * min(256 * 256, _area(self.survey))
        return self.choice.steps * self.cost.step + pixels * self.cost.pixel

    @property
    def seconds_an_image(self) -> float:
        """Expected time of restoring an image of the common size."""
        return self.cost.pixel * _area(self.survey)

    def command(self, recipe: Path) -> str:
        """The command that runs the recipe."""
        start = f"finetune {self.choice.start}" if self.choice.start else "train"
        return f"noiseless {start} --recipe {recipe} -o runs/{recipe.stem}"


def suggest(survey: Survey, machine: Machine, priority: str = "quality") -> Suggestion:
    """Choose, then measure; where memory does not suffice, with smaller batches.

    Args:
        survey: the images.
        machine: what computes.
        priority: a key of `PRIORITIES`.

    Raises:
        UnknownNameError: no such priority.
        MemoryLimitError: not even a single patch fits into memory.
    """
    check_priority(priority)
    choice = PRIORITIES[priority](survey, machine)
    choice = replace(choice, patch_size=_patch_size(choice, survey))
    allowed = MEMORY_SHARE * machine.usable
    while True:
        try:
            cost = measure(_trial(choice, survey))
            if cost.memory <= allowed or choice.batch_size == 1:
                return Suggestion(priority, survey, machine, choice, cost)
        except MemoryLimitError:
            if choice.batch_size == 1:
                raise
        reason = f"Batches of {choice.batch_size // 2}: larger ones do not fit into memory."
        choice = replace(choice, batch_size=choice.batch_size // 2, reasons=(*choice.reasons, reason))


def check_priority(priority: str) -> None:
    """Refuse a wish that there is not.

    Raises:
        UnknownNameError: no such priority.
    """
    if priority not in PRIORITIES:
        raise UnknownNameError("priority", priority, PRIORITIES)


def check_target(path: Path) -> None:
    """Refuse a recipe that would not be found as one, or would take the place of another.

    Raises:
        ConfigError: a name that does not end in ``.toml``.
        OutputError: a file is there already, or none can be.
    """
    if path.suffix != ".toml":
        raise ConfigError("a recipe is a .toml file", got=path, expected=path.with_suffix(".toml"))
    if path.exists():
        raise OutputError(f"{path} is there already", fix="Name another file: -o FILE.toml.")
    check_writable(path)


def _quality(survey: Survey, machine: Machine) -> Choice:
    if machine.gpu and survey.images >= MANY and survey.kind != "noisy":
        reason = f"{survey.images} images and a GPU are enough to train a network of 19 million numbers from scratch."
        return Choice("unet_base", "", "", "l1", 100_000, 16, 128, 4e-4, reasons=(reason,))
    return _adapted(survey, _nearest(survey), "l1")


def _speed(survey: Survey, machine: Machine) -> Choice:
    model, larger = ("gray-nano", "gray-small") if survey.channels == 1 else ("color-nano", "color-small")
    reason = f"{model} restores an image with a quarter of the multiply-adds of {larger}, at some loss."
    return replace(choice := _adapted(survey, model, "l1"), reasons=(reason, *choice.reasons))


def _explainable(survey: Survey, machine: Machine) -> Choice:
    buys = (
        "photo-small has no bias and is not told the noise level, so restored = A(noisy) noisy: each pixel is a "
        "weighted sum of the noisy pixels around it, and the weights, the gradient of that pixel, can be looked at as "
        "a filter. With biases there would be an offset that no pixel accounts for (Mohan et al., 2020)."
    )
    mean = "The loss is mse, whose best answer is the mean of all images that could be meant: a filter is a mean, too."
    choice = _adapted(survey, "photo-small", "mse")
    return replace(choice, reasons=(buys, mean, *choice.reasons))


PRIORITIES: dict[str, Callable[[Survey, Machine], Choice]] = {
    "quality": _quality,
    "speed": _speed,
    "explainable": _explainable,
}
"""Wishes by name."""


def _adapted(survey: Survey, model: str, loss: str) -> Choice:
    """A model that ships, adapted: a small part of it where there are few images."""
    few = survey.images < FEW and survey.kind != "noisy"
    method, steps = ("lora", 600) if few else ("full", 1500)
    rate, alone = RATES[method], []
    if survey.kind == "noisy":
        loss, steps, rate = UNREFERENCED_LOSS, 300, float(UNREFERENCED_TRAINING["lr"])
        alone = [f"Without clean images {GUESSED if survey.developed else KEPT}."]
    reasons = [f"{model} has learned from many photographs already; {survey.images} images adapt it.", *alone]
    if few:
        reasons.append(f"LoRA, since fewer than {FEW} images would let a fully trained network learn them by heart.")
    bundle = bundles.read(bundles.shipped()[model])
    channels = {} if survey.channels == bundle.spec.channels else {"channels": survey.channels}
    if channels:
        reasons.append(f"Its first and last layers are fitted to {survey.channels} channels.")
    return Choice(bundle.network, model, method, loss, steps, 8, 64, rate, channels, tuple(reasons))


def _nearest(survey: Survey) -> str:
    """The shipped model for this kind of image: blind where noise may be anything but white."""
    if survey.channels == 1:
        return "gray-small"
    return PHOTO if survey.developed else "color-small"


def _trial(choice: Choice, survey: Survey) -> Trial:
    arguments = {**choice.arguments, "channels": survey.channels}
    constructor = tables.load("network", choice.network, networks.NETWORKS, networks.GROUP)
    start = bundles.read(bundles.shipped()[choice.start]) if choice.start else None
    blind = survey.kind == "pairs" if start is None else start.spec.conditioning == "none"
    if blind and "conditioning" in networks.accepted_arguments(constructor):
        arguments["conditioning"] = "none"
    return Trial(choice.network, arguments, choice.method, choice.batch_size, choice.patch_size)


def _patch_size(choice: Choice, survey: Survey) -> int:
    """The patch size, or less where the images are smaller; a multiple of what the network takes."""
    multiple = networks.spec_of(networks.create(choice.network)).multiple_of
    return max(multiple, min(choice.patch_size, survey.smallest) // multiple * multiple)


def _area(survey: Survey) -> int:
    return survey.size[0] * survey.size[1]


# -- the recipe --------------------------------------------------------------------------------------------------------


def recipe(suggestion: Suggestion) -> dict[str, Any]:
    """The settings, as a recipe holds them."""
    choice, survey = suggestion.choice, suggestion.survey
    plain: dict[str, Any] = {"loss": choice.loss, "steps": choice.steps}
    if survey.kind == "clean":
        plain["noise"] = survey.noise_model
        if choice.loss == "l1" and not survey.developed and survey.noise[1] > WIDE * max(survey.noise[0], 1):
            plain["objective"] = "balanced"
    if not choice.start:
        plain["network"] = choice.network
    tables_: dict[str, Any] = {"arguments": dict(choice.arguments)} if choice.arguments else {}
    if choice.method:
        tables_["method"] = {"name": choice.method}
    size = {"batch_size": choice.batch_size, "patch_size": choice.patch_size}
    training = {**size, "lr": choice.lr, "validations": VALIDATIONS}
    if survey.kind == "noisy":
        training["early_stopping"] = UNREFERENCED_TRAINING["early_stopping"]
    return {**plain, **tables_, "data": _data(survey), "training": training}


def _data(survey: Survey) -> dict[str, Any]:
    """Pairs, clean images or noisy ones, as they are."""
    said = {"data_range": list(survey.data_range)} if survey.data_range else {}
    if survey.kind == "pairs":
        return {"pairs": [survey.noisy, survey.clean], **said}
    return {survey.kind: [survey.noisy if survey.kind == "noisy" else survey.clean], **said}


def write_recipe(suggestion: Suggestion, path: Path) -> None:
    """Write the recipe, with what was found, why and what to expect as comments.

    Raises:
        OutputError: a file is there already, or cannot be written.
    """
    check_target(path)
    make_folder(path.parent)
    head = [f"Suggested by noiseless {__version__} for {suggestion.priority}.", *lines(suggestion), ""]
    head.append(suggestion.command(path))
    comments = "".join(f"# {line}".rstrip() + "\n" for line in head)
    with replacing(path, overwrite=False) as file:
        file.write((comments + "\n" + write_toml(recipe(suggestion))).encode())


def lines(suggestion: Suggestion) -> list[str]:
    """What was found, what is suggested, why, and what to expect."""
    choice, cost = suggestion.choice, suggestion.cost
    what = f"fine-tune {choice.start} with {choice.method}" if choice.start else f"train {choice.network} from scratch"
    size = f"batches of {choice.batch_size} patches of {choice.patch_size}x{choice.patch_size}"
    minutes = suggestion.seconds / 60
    return [
        f"Images: {suggestion.survey.line()}",
        f"Machine: {suggestion.machine.line()}",
        f"Suggestion: {what}, loss {choice.loss}, {size}, {choice.steps:,} steps",
        *(f"- {reason}" for reason in choice.reasons),
        f"Expected, from {cost.step:.2g} s a step measured here: {_duration(minutes)} and {cost.memory / 1e9:.1f} GB;"
        f" then {suggestion.seconds_an_image:.2g} s an image",
    ]


def _duration(minutes: float) -> str:
    if minutes >= 120:
        return f"{minutes / 60:.1f} hours"
    return f"{minutes:.0f} minutes" if minutes >= 1.5 else f"{60 * minutes:.0f} seconds"
