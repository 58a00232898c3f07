"""noiseless train: train a denoiser from scratch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless.cli import INTERRUPTED, TERMINATED
from noiseless.cli.options import (
    NO_SETTINGS,
    NONE,
    Adversarial,
    Clean,
    Data,
    Epochs,
    Loss,
    Minutes,
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
    Test,
    Validation,
    apply_settings,
    noise_spec,
)
from noiseless.cli.progress import Step, clock, progress, reaching
from noiseless.training.beforehand import check_run
from noiseless.training.config import RunConfig, from_mapping, over_defaults
from noiseless.training.recipe import load_recipe

if TYPE_CHECKING:
    from noiseless.training.run import Outcome
    from noiseless.training.state import Ending, Listener, Status
    from noiseless.training.validation import Scores

EXIT_CODES: dict[Ending, int] = {"finished": 0, "stopped": 0, "interrupted": INTERRUPTED, "terminated": TERMINATED}
"""A run that was told beforehand to stop has done what it was asked."""


def train(
    output: Output,
    recipe: Annotated[str | None, typer.Option(metavar="NAME|FILE.toml", help="Settings to begin with.")] = None,
    clean: Clean = NONE,
    noise: NoiseOption = None,
    pairs: Pairs = None,
    noisy: Noisy = NONE,
    noisy_pairs: NoisyPairs = None,
    data: Data = None,
    validation: Validation = NONE,
    test: Test = NONE,
    network: Annotated[str | None, typer.Option(metavar="NAME", help="See noiseless models --networks.")] = None,
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
    """Train a denoiser; leaves best/ and last/ as models in the run folder.

    From scratch on clean images or pairs. On noisy images alone it starts from the model that denoise takes for them,
    unless another network or --set start=scratch is given; --noisy with one image learns on that image. All else is a
    setting (--set): the config.toml of a run shows them with their values.
    """
    given = RunOptions(
        images={
            "clean": clean,
            "pairs": pairs,
            "noisy": noisy,
            "noisy_pairs": noisy_pairs,
            "data": data,
            "validation": validation,
            "test": test,
        },
        budget={"minutes": minutes, "steps": steps, "epochs": epochs},
        others={
            "network": network,
            "noise": noise_spec(noise),
            "objective": objective,
            "loss": loss,
            "adversarial": adversarial,
        },
    )
    plain = given.over(load_recipe(recipe) if recipe else {})
    if given.unreferenced:
        plain = over_defaults(plain)
    config = apply_settings(from_mapping(RunConfig, plain), settings)
    check_run(config, output, resume=resume, stop_after=stop_after)
    from noiseless.training.run import run_training

    with progress("Training", 1.0) as step:
        outcome = run_training(config, output, resume=resume, stop_after=stop_after, listener=listener(step))
    print("\n".join(summary(outcome)))
    return EXIT_CODES[outcome.ending]


def listener(step: Step) -> Listener:
    """Turns what a run tells into progress; validation scores become lines of their own."""
    from noiseless.training.state import Listener

    reach = reaching(step)

    def status(status: Status) -> None:
        best = f", best {status.best:.2f} dB" if status.best > 0 else ""
        reach(min(status.spent, 1.0), f"step {status.step:,}, loss {status.loss:.4g}{best}")

    def scored(status: Status, scores: Scores) -> None:
        gain = scores.psnr - scores.noisy_psnr
        beside = "  estimated without a reference" if scores.estimated else f"  SSIM {scores.ssim:.4f}"
        print(
            f"step {status.step:>7,}  {clock(status.seconds):>8}  "
            f"PSNR {scores.psnr:.2f} dB ({gain:+.2f} on noisy){beside}",
            flush=True,
        )

    return Listener(say=lambda line: print(line, flush=True), status=status, scored=scored)


NOTHING = "Nothing was learned, as warned above"
"""Of a run of no step."""


def ending(outcome: Outcome, done: str) -> str:
    """How a run ended; `done` is the word for one that finished."""
    goes_on = f"at step {outcome.step:,}; go on with the same command and --resume"
    return {
        "finished": f"{done} {outcome.step:,} steps in {clock(outcome.seconds)}",
        "stopped": f"Stopped {goes_on}",
        "interrupted": f"Interrupted {goes_on}",
        "terminated": f"Interrupted {goes_on}",
    }[outcome.ending]


def summary(outcome: Outcome) -> list[str]:
    """What to say at the end of a run."""
    beside = "" if math.isnan(outcome.noisy_psnr) else f" (noisy {outcome.noisy_psnr:.2f})"
    what = "estimated validation PSNR" if outcome.estimated else "validation PSNR"
    reached = f": {what} {outcome.psnr:.2f} dB{beside}" if math.isfinite(outcome.psnr) else "; not validated yet"
    lines = [f"{ending(outcome, 'Trained')}{reached}" if outcome.step else NOTHING]
    if outcome.test is not None:
        noisy, restored = outcome.test
        lines.append(f"Test images: {restored:.2f} dB (noisy {noisy:.2f})")
    best = outcome.folder / ("best" if (outcome.folder / "best").exists() else "last")
    return [*lines, f"Use it: noiseless denoise INPUT -o OUTPUT --model {best}"]
