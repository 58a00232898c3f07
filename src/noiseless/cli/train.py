"""noiseless train: train a denoiser from scratch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, apply_settings
from noiseless.cli.progress import clock, progress
from noiseless.errors import ConfigError
from noiseless.training.config import RunConfig, from_mapping
from noiseless.training.recipe import load_recipe

if TYPE_CHECKING:
    from noiseless.training.run import Listener, Outcome
    from noiseless.training.state import Status
    from noiseless.training.validation import Scores

NONE: list[str] = []


def train(
    output: Annotated[str, typer.Option("--output", "-o", metavar="RUN", help="The run folder.")],
    adversarial: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Train against small changes that hurt most, as pgd:2/255.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(metavar="NAME|FILE.toml", help="Settings to begin with.")] = None,
    clean: Annotated[
        list[str], typer.Option(metavar="DIR...", help="Clean images: folders, files, globs, packed stores.")
    ] = NONE,
    noise: Annotated[str | None, typer.Option(metavar="SPEC", help="What is added to them, as gaussian:0-55.")] = None,
    pairs: Annotated[
        tuple[str, str] | None, typer.Option(metavar="NOISY CLEAN", help="Two folders or globs, paired by name.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="A folder with train/ and, where there is any, validation/.")
    ] = None,
    validation: Annotated[
        list[str], typer.Option(metavar="DIR...", help="Images to validate on; else some are split off.")
    ] = NONE,
    test: Annotated[list[str], typer.Option(metavar="DIR...", help="Images to measure once, at the end.")] = NONE,
    network: Annotated[str | None, typer.Option(metavar="NAME", help="See noiseless models --networks.")] = None,
    objective: Annotated[str | None, typer.Option(metavar="NAME", help="auto or supervised.")] = None,
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
    """Train a denoiser from scratch; leaves best/ and last/ as models in the run folder."""
    plain = load_recipe(recipe) if recipe else {}
    budget = {"minutes": minutes, "steps": steps, "epochs": epochs}
    if any(value is not None for value in budget.values()):
        plain = {key: value for key, value in plain.items() if key not in budget} | budget
    given = {"network": network, "noise": noise, "objective": objective, "loss": loss}
    plain |= {key: value for key, value in given.items() if value is not None}
    images = {"clean": clean, "pairs": pairs, "data": data, "validation": validation, "test": test}
    plain["data"] = plain.get("data", {}) | {key: value for key, value in images.items() if value}
    config = apply_settings(from_mapping(RunConfig, plain), settings)
    if config.minutes is config.steps is config.epochs is None:
        raise ConfigError("how long to train is not said", fix="Add --minutes M, --steps N or --epochs E.")
    if adversarial is not None:
        config = replace(config, adversarial=adversarial)
    outcome = run_with_progress(config, output, resume=resume, stop_after=stop_after)
    print("\n".join(summary(outcome)))


def run_with_progress(
    config: RunConfig, output: str, *, resume: bool = False, stop_after: float | None = None
) -> Outcome:
    """Train with a progress bar on a terminal and plain lines elsewhere."""
    from noiseless.training.run import run_training

    with progress("Training", 1.0) as step:
        return run_training(config, output, resume=resume, stop_after=stop_after, listener=listener(step))


def listener(step: Callable[..., None]) -> Listener:
    """Turns what a run tells into progress; validation scores become lines of their own."""
    from noiseless.training.run import Listener

    reached = [0.0]

    def status(status: Status) -> None:
        share = min(status.spent, 1.0)
        best = f", best {status.best:.2f} dB" if status.best > 0 else ""
        step(share - reached[0], note=f"step {status.step:,}, loss {status.loss:.4g}{best}")
        reached[0] = share

    def scored(status: Status, scores: Scores) -> None:
        gain = scores.psnr - scores.noisy_psnr
        print(
            f"step {status.step:>7,}  {clock(status.seconds):>8}  "
            f"PSNR {scores.psnr:.2f} dB ({gain:+.2f} on noisy)  SSIM {scores.ssim:.4f}",
            flush=True,
        )

    return Listener(say=lambda line: print(line, flush=True), status=status, scored=scored)


def summary(outcome: Outcome) -> list[str]:
    """What to say at the end of a run."""
    how = {
        "finished": f"Trained {outcome.step:,} steps in {clock(outcome.seconds)}",
        "stopped": f"Stopped at step {outcome.step:,}; go on with the same command and --resume",
        "interrupted": f"Interrupted at step {outcome.step:,}; go on with the same command and --resume",
    }[outcome.ending]
    beside = "" if math.isnan(outcome.noisy_psnr) else f" (noisy {outcome.noisy_psnr:.2f})"
    lines = [f"{how}: validation PSNR {outcome.psnr:.2f} dB{beside}"]
    if outcome.test is not None:
        noisy, restored = outcome.test
        lines.append(f"Test images: {restored:.2f} dB (noisy {noisy:.2f})")
    best = outcome.folder / ("best" if (outcome.folder / "best").exists() else "last")
    return [*lines, f"Use it: noiseless denoise INPUT -o OUTPUT --model {best}"]
