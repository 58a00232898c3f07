"""noiseless finetune: adapt a model to other noise or other images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, apply_settings
from noiseless.cli.progress import clock, progress
from noiseless.cli.train import listener
from noiseless.errors import ConfigError
from noiseless.finetuning.config import from_recipe
from noiseless.training.recipe import load_recipe

if TYPE_CHECKING:
    from noiseless.finetuning.run import FinetuningOutcome

NONE: list[str] = []


def finetune(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A shipped model, a bundle, a run folder or a checkpoint.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="RUN", help="The run folder.")],
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="full, head, bias, norm, lora (the default), adalora, adapter or prompt."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="NAME", help="What --method prompt calls what it learns.")
    ] = None,
    adversarial: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Train against small changes that hurt most, as pgd:2/255.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(metavar="FILE.toml", help="Settings to begin with.")] = None,
    clean: Annotated[
        list[str], typer.Option(metavar="DIR...", help="Clean images: folders, files, globs, packed stores.")
    ] = NONE,
    noise: Annotated[str | None, typer.Option(metavar="SPEC", help="What is added to them.")] = None,
    pairs: Annotated[
        tuple[str, str] | None, typer.Option(metavar="NOISY CLEAN", help="Two folders or globs, paired by name.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="A folder with train/ and, where there is any, validation/.")
    ] = None,
    validation: Annotated[
        list[str], typer.Option(metavar="DIR...", help="Images to validate on; else some are split off.")
    ] = NONE,
    keep: Annotated[
        str | None, typer.Option(metavar="NAME", help="Forget less: replay, lwf, ewc or l2sp; none is the default.")
    ] = None,
    keep_data: Annotated[
        list[str], typer.Option(metavar="DIR...", help="Clean images like those it must not forget; else shipped ones.")
    ] = NONE,
    objective: Annotated[str | None, typer.Option(metavar="NAME", help="auto, or as of noiseless train.")] = None,
    loss: Annotated[str | None, typer.Option(metavar="SPEC", help="A weighted sum, as mse+0.1*ssim.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes, over all resumptions.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Budget in passes over the images.")] = None,
    stop_after: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Write a checkpoint and leave; go on with --resume.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    settings: Settings = NO_SETTINGS,
) -> None:
    """Adapt a model to other noise or other images.

    Leaves the adapted model in RUN/best, and what was trained in RUN/adapter.safetensors. Settings of the method go
    through --set: method.rank, method.scale, method.freeze, method.first_layer_rate, method.beside (an
    adapter file whose prompts the new one joins); and keep.strength, keep.noise.
    """
    plain = load_recipe(recipe) if recipe else {}
    budget = {"minutes": minutes, "steps": steps, "epochs": epochs}
    if any(value is not None for value in budget.values()):
        plain = {key: value for key, value in plain.items() if key not in budget} | budget
    given = {"noise": noise, "objective": objective, "loss": loss}
    plain |= {key: value for key, value in given.items() if value is not None}
    images = {"clean": clean, "pairs": pairs, "data": data, "validation": validation}
    plain["data"] = plain.get("data", {}) | {key: value for key, value in images.items() if value}
    keeping = {"name": keep, "data": keep_data}
    if prompt is not None:
        plain["method"] = plain.get("method", {}) | {"name": "prompt", "prompt": prompt}
    plain["keep"] = plain.get("keep", {}) | {key: value for key, value in keeping.items() if value}
    config = apply_settings(from_recipe(plain, method), settings)
    if config.minutes is config.steps is config.epochs is None:
        raise ConfigError("how long to train is not said", fix="Add --minutes M, --steps N or --epochs E.")
    if adversarial is not None:
        config = replace(config, adversarial=adversarial)
    from noiseless.finetuning.run import run_finetuning

    with progress("Fine-tuning", 1.0) as step:
        outcome = run_finetuning(model, config, output, resume=resume, stop_after=stop_after, listener=listener(step))
    print("\n".join(summary(outcome)))


def summary(outcome: FinetuningOutcome) -> list[str]:
    """What to say at the end of a run."""
    run = outcome.run
    how = {
        "finished": f"Fine-tuned {run.step:,} steps in {clock(run.seconds)}",
        "stopped": f"Stopped at step {run.step:,}; go on with the same command and --resume",
        "interrupted": f"Interrupted at step {run.step:,}; go on with the same command and --resume",
    }[run.ending]
    share = outcome.trainable / outcome.parameters
    lines = [f"{how}; {outcome.method}: {outcome.trainable:,} of {outcome.parameters:,} numbers trained ({share:.2%})"]
    if not outcome.better:
        worse = f"Nothing was better than {outcome.base.model} on the validation images ({run.start_psnr:.2f} dB)"
        return [*lines, f"{worse}: nothing is saved as best. Try more images, more time or another learning rate."]
    lines.append(
        f"Validation PSNR {run.start_psnr:.2f} -> {run.psnr:.2f} dB ({outcome.gain:+.2f}; noisy {run.noisy_psnr:.2f})"
    )
    if outcome.adapter is not None:
        lines.append(f"What was trained: {outcome.adapter} ({outcome.adapter.stat().st_size / 1000:,.0f} kB)")
    return [*lines, f"Use it: noiseless denoise INPUT -o OUTPUT --model {run.folder / 'best'}"]
