"""Search the settings of a recipe with Optuna: pruned early, resumable, by several processes at once.

Everything that was tried stands in ``study.db``, an SQLite database in the folder of the search; whoever opens it goes
on from there. Trials are proposed by the tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kegl,
"Algorithms for Hyper-Parameter Optimization", 2011); one whose validation PSNR is below the median of the others at
the same share of the budget is given up.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseless.errors import ConfigError, DivergedError, WorkError, missing_extra
from noiseless.finetuning.config import FinetuningConfig, from_recipe
from noiseless.io.atomic import make_folder, replacing
from noiseless.runtime.machine import processors
from noiseless.training.config import RunConfig, from_mapping, to_mapping, write_toml
from noiseless.training.run import Outcome, run_training
from noiseless.training.state import Listener, Status
from noiseless.training.validation import Scores
from noiseless.workflows.search import applied, as_it_stands, shown, space

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

DATABASE, RECIPE = "study.db", "best.toml"
STUDY = "recipe"
FIRST_TRIALS = 4
"""Trials that are never given up early, and that are drawn at random but for the first, the recipe as it stands."""

WAIT = 60.0
"""Seconds that a process waits for the database while another writes."""


@dataclass(frozen=True)
class Tuning:
    """A search.

    Attributes:
        config: the recipe's settings; the budget is that of one trial.
        model: that fine-tuning starts from; ``None`` to train from scratch.
        folder: of the search.
        trials: how many there shall be in the end, those of earlier calls included.
    """

    config: RunConfig
    model: str | None
    folder: Path
    trials: int


@dataclass(frozen=True)
class Tried:
    """A trial that is over.

    Attributes:
        number: in the order of their start.
        ending: ``complete``, ``pruned`` (given up early) or ``fail`` (diverged).
        psnr: best validation PSNR in dB; that of the last validation for one that was given up.
        values: what was tried, in words.
        curve: validation PSNR in dB by the number of the validation.
    """

    number: int
    ending: str
    psnr: float | None
    values: Mapping[str, str]
    curve: Mapping[int, float]


class _GivenUp(Exception):
    """Ends a run whose trial is worse than the others."""


def tune(tuning: Tuning, *, processes: int = 1, say: Callable[[str], None] = lambda line: None) -> Study:
    """Try settings until there are enough trials, and write the best as a recipe.

    Args:
        tuning: what to search.
        processes: how many work at once; each has its share of the processors.
        say: told each trial that is over.

    Returns:
        The study; its best trial is the recipe in ``best.toml``.

    Raises:
        ConfigError: the folder holds the search of another recipe.
        MissingExtraError: Optuna is not installed.
        WorkError: no trial came to its end.
    """
    study = open_study(tuning)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_work_beside, args=(tuning, processes, number)) for number in range(1, processes)]
    for other in others:
        other.start()
    try:
        _work(study, tuning, processes, say)
    except BaseException:  # Ctrl-C and SIGTERM among them: the others would go on to the end of the search
        for other in others:
            other.terminate()
        raise
    finally:
        for other in others:
            other.join()
    if not any(each.ending == "complete" for each in tried(study, tuning.config)):
        raise WorkError("no trial came to its end", fix="Lower training.lr in the recipe, or give trials more steps.")
    write_best(study, tuning)
    return study


def open_study(tuning: Tuning) -> Study:
    """The study in the folder, made where there is none.

    Raises:
        ConfigError: it is that of another recipe.
        MissingExtraError: Optuna is not installed.
        OutputError: the folder cannot be written.
    """
    optuna = import_optuna()
    make_folder(tuning.folder)
    url = f"sqlite:///{(tuning.folder / DATABASE).absolute()}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": WAIT}})
    study: Study = optuna.create_study(
        study_name=STUDY,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=tuning.config.training.validations // 4),
    )
    now = json.dumps([to_mapping(tuning.config), tuning.model], sort_keys=True)
    if study.user_attrs.setdefault("recipe", now) != now:
        raise ConfigError(
            f"{tuning.folder} holds the search of another recipe, or with another budget",
            fix="Name another folder: -o DIR.",
        )
    study.set_user_attr("recipe", now)
    if not study.trials:
        study.enqueue_trial(as_it_stands(tuning.config, space(tuning.config, tuning.model)), skip_if_exists=True)
    return study


def import_optuna() -> Any:
    """The module optuna, told to be quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise missing_extra("noiseless tune", error) or error from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def finished(study: Study) -> list[FrozenTrial]:
    """The trials that are over."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _work_beside(tuning: Tuning, processes: int, number: int) -> None:
    _work(open_study(tuning), tuning, processes, lambda line: None, number)


def _work(study: Study, tuning: Tuning, processes: int, say: Callable[[str], None], number: int = 0) -> None:
    """Make trials until there are enough; those under way elsewhere are counted when they are over."""
    import torch

    optuna = import_optuna()
    seed = tuning.config.seed + 1000 * number + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=FIRST_TRIALS, seed=seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, min(threads, processors() // processes)))
    dimensions = space(tuning.config, tuning.model)
    try:
        while len(finished(study)) < tuning.trials:
            trial = study.ask(dimensions)
            _try(study, trial, tuning)
            say(line(next(each for each in tried(study, tuning.config) if each.number == trial.number), study))
    finally:
        torch.set_num_threads(threads)


def _try(study: Study, trial: Trial, tuning: Tuning) -> None:
    """Make one trial; its run is removed, since the best settings deserve a run of their own."""
    from optuna.trial import TrialState

    folder = tuning.folder / "trials" / f"{trial.number:04}"

    def scored(status: Status, scores: Scores) -> None:
        trial.report(scores.psnr, round(status.spent * tuning.config.training.validations))
        if trial.should_prune():
            raise _GivenUp

    try:
        outcome = _run(applied(tuning.config, trial.params), tuning.model, folder, Listener(scored=scored))
        if outcome.ending in ("interrupted", "terminated"):
            study.enqueue_trial(trial.params)  # tried anew when the search goes on
        if outcome.ending == "interrupted":
            raise KeyboardInterrupt
        if outcome.ending == "terminated":
            raise SystemExit(128 + signal.SIGTERM)
        study.tell(trial, outcome.psnr)
    except _GivenUp:
        study.tell(trial, state=TrialState.PRUNED)
    except DivergedError:
        study.tell(trial, state=TrialState.FAIL)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(config: RunConfig, model: str | None, folder: Path, listener: Listener) -> Outcome:
    if isinstance(config, FinetuningConfig):
        from noiseless.finetuning.run import run_finetuning

        assert model is not None
        return run_finetuning(model, config, folder, listener=listener).run
    return run_training(config, folder, listener=listener)


def tried(study: Study, config: RunConfig) -> list[Tried]:
    """The trials that are over, in the order of their end."""
    over = sorted(finished(study), key=lambda trial: trial.datetime_complete or trial.datetime_start)  # type: ignore[arg-type, return-value]
    return [
        Tried(each.number, each.state.name.lower(), each.value, shown(config, each.params), each.intermediate_values)
        for each in over
    ]


def line(each: Tried, study: Study) -> str:
    """A trial in words."""
    how = {"complete": "", "pruned": "given up at ", "fail": "diverged"}[each.ending]
    psnr = "" if each.psnr is None else f"{each.psnr:.2f} dB"
    values = ", ".join(f"{name} {value}" for name, value in each.values.items())
    best = max((trial.value for trial in finished(study) if trial.state.name == "COMPLETE" and trial.value), default=0)
    return f"trial {each.number:>3}  {how + psnr:<20}  best {best:.2f} dB  {values}"


def importance(study: Study) -> dict[str, float]:
    """How much each value decides whether a trial is among the best, as shares of 1; empty for too few trials.

    PED-ANOVA: Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
    Subspaces", 2023.
    """
    optuna = import_optuna()
    done = [trial for trial in finished(study) if trial.state.name == "COMPLETE"]
    if len(done) < FIRST_TRIALS or len({trial.value for trial in done}) == 1:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    shares: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return shares


def write_best(study: Study, tuning: Tuning) -> None:
    """Write the best settings as a recipe, beside the database.

    Raises:
        OutputError: it cannot be written.
    """
    best = study.best_trial
    settings = to_mapping(applied(tuning.config, best.params))
    head = f"# The best of {len(finished(study))} trials: validation PSNR {best.value:.2f} dB. "
    head += "The budget is that of a trial.\n"
    with replacing(tuning.folder / RECIPE) as file:
        file.write((head + f"# {command(tuning)}\n\n" + write_toml(settings)).encode())


def command(tuning: Tuning) -> str:
    """The command that runs the best recipe."""
    verb = f"finetune {tuning.model}" if tuning.model else "train"
    return f"noiseless {verb} --recipe {tuning.folder / RECIPE} -o runs/tuned"


def settings_of(plain: Mapping[str, Any], model: str | None) -> RunConfig:
    """The settings of a recipe: of fine-tuning where there is a model to start from.

    Raises:
        ConfigError: a recipe for fine-tuning without a model, settings that do not fit, or no single budget.
        UnknownNameError: a setting that there is not.
    """
    if model is None and {"method", "keep"} & set(plain):
        raise ConfigError("this is a recipe for fine-tuning", fix="Say what it starts from: --model MODEL.")
    config = from_mapping(RunConfig, plain) if model is None else from_recipe(plain)
    budgets = [name for name in ("steps", "minutes", "epochs") if getattr(config, name) is not None]
    if len(budgets) != 1:
        got = " and ".join(budgets) or "none"
        raise ConfigError("a trial needs one budget", got=got, fix="Add --steps N or --minutes M.")
    return config
