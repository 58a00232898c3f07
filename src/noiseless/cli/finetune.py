"""noiseless finetune: adapt a model to other noise or other images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless.cli.options import (
    NO_SETTINGS,
    NONE,
    Adversarial,
    Clean,
    Data,
    Epochs,
    Loss,
    Minutes,
    Model,
    NoiseOption,
    Noisy,
    NoisyPairs,
    Objective,
    Output,
    Pairs,
    Resume,
    RunOptions,
    Settings,
    Steps,
    StopAfter,
    Validation,
    apply_settings,
    noise_spec,
)
from noiseless.cli.progress import progress
from noiseless.cli.train import EXIT_CODES, NOTHING, ending, listener
from noiseless.errors import ConfigError
from noiseless.finetuning.config import from_recipe
from noiseless.training.beforehand import check_model, check_run
from noiseless.training.config import UNREFERENCED_LOSS
from noiseless.training.recipe import load_recipe

if TYPE_CHECKING:
    from noiseless.finetuning.run import FinetuningOutcome

Method = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="full, head, bias, norm, lora (the default), adalora, adapter or prompt."),
]
Prompt = Annotated[str | None, typer.Option(metavar="NAME", help="What --method prompt calls what it learns.")]
Keep = Annotated[
    str | None, typer.Option(metavar="NAME", help="Forget less: replay, lwf, ewc or l2sp; none is the default.")
]
KeepData = Annotated[
    list[str], typer.Option(metavar="DIR...", help="Clean images like those it must not forget; else shipped ones.")
]


def finetune(
    model: Model,
    output: Output,
    method: Method = None,
    prompt: Prompt = None,
    recipe: Annotated[str | None, typer.Option(metavar="FILE.toml", help="Settings to begin with.")] = None,
    clean: Clean = NONE,
    noise: NoiseOption = None,
    pairs: Pairs = None,
    noisy: Noisy = NONE,
    noisy_pairs: NoisyPairs = None,
    data: Data = None,
    validation: Validation = NONE,
    keep: Keep = None,
    keep_data: KeepData = NONE,
    objective: Objective = None,
    loss: Loss = None,
    adversarial: Adversarial = None,
    minutes: Minutes = None,
    steps: Steps = None,
    epochs: Epochs = None,
    stop_after: StopAfter = None,
    resume: Resume = False,
    settings: Settings = NO_SETTINGS,
) -> int:
    """Adapt a model to other noise or other images.

    Leaves the adapted model in RUN/best, and what was trained in RUN/adapter.safetensors. Settings of the method go
    through --set: method.rank, method.scale, method.freeze, method.first_layer_rate, method.beside (an adapter file
    whose prompts the new one joins); keep.strength, keep.noise, keep.batch_size, keep.batches, keep.most_lost (dB);
    and told (measured: in each image, whatever pairs show).
    """
    given = RunOptions(
        images={
            "clean": clean,
            "pairs": pairs,
            "noisy": noisy,
            "noisy_pairs": noisy_pairs,
            "data": data,
            "validation": validation,
        },
        budget={"minutes": minutes, "steps": steps, "epochs": epochs},
        others={"noise": noise_spec(noise), "objective": objective, "loss": loss, "adversarial": adversarial},
    )
    plain = given.over(load_recipe(recipe) if recipe else {})
    if given.unreferenced:
        plain.setdefault("loss", UNREFERENCED_LOSS)
    keeping = {"name": keep, "data": keep_data}
    if prompt is not None:
        plain["method"] = plain.get("method", {}) | {"name": "prompt", "prompt": prompt}
    plain["keep"] = plain.get("keep", {}) | {key: value for key, value in keeping.items() if value}
    config = apply_settings(from_recipe(plain, method), settings)
    if prompt is not None and config.method.name != "prompt":
        raise ConfigError("--prompt names what --method prompt learns", got=f"--method {config.method.name}")
    if keep_data and config.keep.name == "none":
        raise ConfigError("--keep-data is for --keep", fix="Add --keep replay (or lwf, ewc).")
    check_model(model)
    check_run(config, output, resume=resume, stop_after=stop_after)
    from noiseless.finetuning.run import run_finetuning

    with progress("Fine-tuning", 1.0) as step:
        outcome = run_finetuning(model, config, output, resume=resume, stop_after=stop_after, listener=listener(step))
    print("\n".join(summary(outcome)))
    return EXIT_CODES[outcome.run.ending]


def summary(outcome: FinetuningOutcome) -> list[str]:
    """What to say at the end of a run."""
    run = outcome.run
    share = outcome.trainable / outcome.parameters
    trained = f"{outcome.trainable:,} of {outcome.parameters:,} numbers trained ({share:.2%})"
    lines = [f"{ending(run, 'Fine-tuned')}; {outcome.method}: {trained}"]
    if not run.step:
        return [f"{NOTHING}: use {outcome.base.model}"]
    if not outcome.better:
        surely = "surely " if run.estimated else ""
        worse = (
            f"Nothing was {surely}better than {outcome.base.model} on the validation images ({run.start_psnr:.2f} dB)"
        )
        return [*lines, f"{worse}: nothing is saved as best. Try more images, more time or another learning rate."]
    what = "Estimated validation" if run.estimated else "Validation"
    noisy = "" if math.isnan(run.noisy_psnr) else f"; noisy {run.noisy_psnr:.2f}"
    lines.append(f"{what} PSNR {run.start_psnr:.2f} -> {run.psnr:.2f} dB ({outcome.gain:+.2f}{noisy})")
    if outcome.adapter is not None:
        lines.append(f"What was trained: {outcome.adapter} ({outcome.adapter.stat().st_size / 1000:,.0f} kB)")
    return [*lines, f"Use it: noiseless denoise INPUT -o OUTPUT --model {run.folder / 'best'}"]
