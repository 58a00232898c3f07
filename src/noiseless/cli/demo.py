"""noiseless demo: the whole life of a denoiser in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless.cli.progress import progress
from noiseless.cli.train import EXIT_CODES, listener, summary
from noiseless.errors import ConfigError

if TYPE_CHECKING:
    from noiseless.denoiser import Denoiser
    from noiseless.evaluation import Report
    from noiseless.evaluation.pictures import Pictures
    from noiseless.training.run import Outcome


def demo(
    minutes: Annotated[float, typer.Option(metavar="M", help="Minutes of training.")] = 3.0,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the results go.")] = Path(
        "runs/demo"
    ),
) -> int:
    """Train, measure and use a denoiser on shipped photographs, in minutes."""
    if not minutes > 0:
        raise ConfigError("--minutes does not fit", got=minutes, expected="more than 0")
    from noiseless.denoiser import load
    from noiseless.workflows import demo as life

    print(f"1 of 3  Train a denoiser from scratch, for {minutes:g} minutes")
    outcome = _train(output / "training", minutes)
    if outcome.ending != "finished":
        return EXIT_CODES[outcome.ending]
    trained = load(outcome.folder)
    print("\n2 of 3  Measure it on photographs that it has not seen")
    report, pictures = _compare(trained)
    print("\n3 of 3  Clean real noisy photographs")
    photographs = life.clean_photographs(trained, output)
    for each in photographs:
        print(f"  {each.caption}")
    page = output / "report.html"
    life.write_page(page, report, pictures, photographs, outcome)
    report.to_json(output / "report.json")
    print(f"\nThe report, to be opened in a browser: {page}")
    return 0


def _train(folder: Path, minutes: float) -> Outcome:
    from noiseless.workflows.demo import train_anew

    with progress("Training", 1.0) as step:
        outcome = train_anew(folder, minutes, listener(step))
    print(summary(outcome)[0])
    return outcome


def _compare(trained: Denoiser) -> tuple[Report, Pictures]:
    from noiseless.evaluation.report import text_table
    from noiseless.workflows import demo as life

    with progress("Measuring", life.count_measurements()) as step:
        pictures, watch = life.pictures_and(lambda name: step(1, note=name))
        report = life.compare(trained, watch)
    print("\n".join(["", *text_table(report.rows()), "", *report.lines()]))
    return report, pictures
