"""noiseless tune: search the settings of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, apply_settings, over_budget
from noiseless.errors import ConfigError
from noiseless.training.beforehand import check_model
from noiseless.training.recipe import load_recipe


def tune(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe that comes with the package, or FILE.toml.")
    ],
    trials: Annotated[int, typer.Option(metavar="N", help="How many there shall be, earlier ones included.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the search.")] = Path(
        "runs/tune"
    ),
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="What a recipe for fine-tuning starts from.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Budget of a trial in steps, instead of the recipe's.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Budget of a trial in minutes.")] = None,
    processes: Annotated[int, typer.Option(metavar="N", help="Trials at once.")] = 1,
    settings: Settings = NO_SETTINGS,
) -> None:
    """Search learning rate, width, loss weights and method of a recipe.

    Goes on where an earlier call with the same folder ended; several may work on one folder. Leaves best.toml, a
    recipe with the best settings, and report.html.
    """
    if trials < 1 or processes < 1:
        raise ConfigError("--trials and --processes do not fit", got=f"{trials}, {processes}", expected="1 or more")
    plain = over_budget(load_recipe(recipe), {"minutes": minutes, "steps": steps, "epochs": None})
    if model is not None:
        check_model(model)
    from noiseless.training.run import check_config
    from noiseless.workflows import tune as search
    from noiseless.workflows.tune_report import write_page

    search.import_optuna()
    config = apply_settings(search.settings_of(plain, model), settings)
    tuning = search.Tuning(config, model, output, trials)
    check_config(config)
    study = search.tune(tuning, processes=processes, say=lambda line: print(line, flush=True))
    page = output / "report.html"
    write_page(study, tuning, page)
    for name, share in search.importance(study).items():
        print(f"{name}: {share:.0%} of what matters")
    best = study.best_trial
    print(f"The best of {len(search.finished(study))} trials is trial {best.number}: {best.value:.2f} dB; see {page}")
    print(f"Run it: {search.command(tuning)}")
