"""noiseless evaluate: measure denoisers on images."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseless.cli.options import NO_SETTINGS, NONE, Pairs, Settings, apply_settings, data_range, noise_spec
from noiseless.cli.progress import progress
from noiseless.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from noiseless.data.sources import NoisyImages, NoisyPairs, Source
    from noiseless.evaluation.estimates import Estimate, Estimates
    from noiseless.evaluation.history import History
    from noiseless.evaluation.report import Report

PAGE = "report.html"


@dataclass(frozen=True)
class EvaluationSettings:
    """What `--set` knows here; see `noiseless.evaluate`.

    Attributes:
        data_range: the values that mean black and white; one number stands for 0 to that.
    """

    seed: int = 0
    border: int = 0
    metrics: tuple[str, ...] = ("psnr", "ssim", "ms_ssim")
    quantise: bool | None = None
    told: str = "noise model"
    data_range: tuple[float, ...] = ()

    @property
    def span(self) -> tuple[float, float] | None:
        """The values of files that map to 0 and 1, where they are said."""
        from noiseless.image import pair_of

        said = data_range(self.data_range)
        return None if said is None else pair_of(said)


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Models, run folders, or bm3d, nlm, wavelet, tv, median, identity."),
    ],
    clean: Annotated[list[str], typer.Option(metavar="DIR...", help="Clean images; --noise is added.")] = NONE,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC|FILE.json",
            help="As gaussian:25, or what calibrate wrote: added to --clean, or what the others have; else estimated.",
        ),
    ] = None,
    pairs: Pairs = None,
    noisy: Annotated[
        list[str], typer.Option(metavar="DIR...", help="Noisy images alone: PSNR is estimated, with an interval.")
    ] = NONE,
    noisy_pairs: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="Two noisy images of each scene: likewise.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Its first group names the group of an image (camera, patient).")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Measure on the first N images only.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the noise.")] = None,
    attack: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Also on images changed against each network, as pgd:2/255.")
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="TASKS.toml", help="Every task of the file at every MODEL, the stages of a sequence."),
    ] = None,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the numbers for machines.")
    ] = None,
    report: Annotated[str | None, typer.Option(metavar="DIR", help="Write report.html there, with pictures.")] = None,
    settings: Settings = NO_SETTINGS,
) -> int:
    """Measure denoisers side by side, on clean images with noise, pairs, or noisy images alone.

    On noisy images alone PSNR is estimated, and what was removed is audited: noise, or structure?

    Rare controls go through --set: border, metrics, quantise, told, data_range.
    """
    from noiseless.evaluation.models import check as check_models
    from noiseless.io.atomic import check_writable

    outputs: list[str | Path] = [*([json] if json else []), *([Path(report) / PAGE] if report else [])]
    for path in outputs:
        check_writable(path)
    check_models(models)
    chosen = apply_settings(EvaluationSettings() if seed is None else EvaluationSettings(seed), settings)
    if noisy or noisy_pairs:
        measured = {"--clean": clean, "--pairs": pairs, "--group": group, "--attack": attack, "--history": history}
        others = {**measured, "--set": [each for each in settings if not each.startswith("data_range")]}
        _check_alone([option for option, given in others.items() if given], both=bool(noisy and noisy_pairs))
        told = {"noise": noise, "limit": limit, "seed": chosen.seed}
        return _estimate(models, _noisy(noisy, noisy_pairs, chosen.span), told, json, report)
    options = asdict(chosen) | {"group": group, "limit": limit}
    del options["data_range"]
    if history:
        beside = {"--clean": clean, "--pairs": pairs, "--noise": noise, "--attack": attack}
        got = ", ".join(option for option, given in (beside | {"--set data_range": chosen.data_range}).items() if given)
        if got:
            raise ConfigError("the tasks of --history say what is measured", got=got, expected="none of that beside it")
        _history(models, history, options, json, report)
        return 0
    options |= {"noise": noise_spec(noise), "attack": attack}
    _measure(models, _source(clean, pairs, chosen.span), options, json, report)
    return 0


def _measure(models: list[str], source: Source, options: dict[str, Any], json: str | None, report: str | None) -> None:
    """Measure against clean images and print the tables."""
    from noiseless.evaluation import evaluate as measure
    from noiseless.evaluation.html import write_report
    from noiseless.evaluation.pictures import Pictures
    from noiseless.evaluation.report import text_table

    print(source.report())
    pictures = Pictures()
    with progress("Measuring", min(len(source), options["limit"] or len(source)) * len(models)) as step:

        def watch(name: str, *result: object) -> None:
            step(1, note=name)
            if report:
                pictures.add(name, *result)  # type: ignore[arg-type]

        made = measure(models, source, watch=watch, **options)
    for rows in (made.rows(), made.group_rows()):
        if rows:
            print("\n".join(["", *text_table(rows)]))
    print("\n".join(["", *made.lines()]))
    _to_json(made, json)
    if report:
        path = Path(report) / PAGE
        write_report(made, path, pictures=pictures)
        print(f"Report: {path}")


def _history(models: list[str], file: str, options: dict[str, Any], json: str | None, report: str | None) -> None:
    """Measure tasks over stages and print their matrix."""
    from noiseless.cli.denoise import say_left_out
    from noiseless.evaluation.history import measure_history, read_tasks
    from noiseless.evaluation.history_page import write_history
    from noiseless.evaluation.report import text_table
    from noiseless.io.finding import left_out

    tasks = read_tasks(file)
    say_left_out(left_out([path for task in tasks for path in (*task.clean, *task.pairs)], recursive=True))
    counts = [len(_source(list(task.clean), task.pairs or None, None)) for task in tasks]
    images = sum(min(count, options["limit"] or count) for count in counts)
    with progress("Measuring", images * len(models)) as step:

        def watch(name: str, *result: object) -> None:
            step(1, note=name)

        made = measure_history(models, tasks, watch=watch, **options)
    print("\n".join(["", *text_table(made.rows()), "", *made.lines()]))
    _to_json(made, json)
    if report:
        write_history(made, Path(report) / PAGE)
        print(f"Report: {Path(report) / PAGE}")


def _check_alone(others: list[str], *, both: bool) -> None:
    """See that what is said of noisy images without clean ones fits them."""
    if both:
        raise ConfigError("a measurement needs one source of images", got="both", expected="--noisy or --noisy-pairs")
    if others:
        known = "--noise, --limit, --seed, --json, --report and --set data_range"
        raise ConfigError(f"not for noisy images alone: {', '.join(others)}", fix=f"Beside them go {known}.")


def _estimate(
    models: list[str],
    source: NoisyImages | NoisyPairs,
    options: dict[str, Any],
    json: str | None,
    report: str | None,
) -> int:
    """Estimate PSNR without clean images, audit what was removed, and print both."""
    from noiseless.cli.denoise import noise_level
    from noiseless.evaluation import estimate
    from noiseless.evaluation.report import text_table
    from noiseless.evaluation.residual_page import ResidualPictures

    options["noise"] = noise_level(options["noise"], None)
    print(source.report())
    pictures = ResidualPictures()
    with progress("Measuring", min(len(source), options["limit"] or len(source)) * len(models)) as step:

        def watch(model: str, found: Estimate, *images: np.ndarray) -> None:
            step(1, note=found.name)
            if report:
                pictures.add(model, found, *images)

        made = estimate(models, source, watch=watch, **options)
        step(len(made.left_out) * len(models))
    print("\n".join(["", *text_table(made.rows()), "", *made.lines(), "", "what was removed:", *made.verdicts()]))
    _to_json(made, json)
    if report:
        print(f"Report: {pictures.write(made, report, PAGE)}")
    return _leave_out(made)


def _leave_out(made: Estimates) -> int:
    """Name the images of which nothing can be said, with the reason; the exit code."""
    if made.left_out:
        print(f"{len(made.left_out)} of {made.count + len(made.left_out)} could not be measured:", file=sys.stderr)
    for name, error in made.left_out.items():
        print(f"  {name}: {error}", file=sys.stderr)
    return max((error.exit_code for error in made.left_out.values()), default=0)


def _source(clean: list[str], pairs: tuple[str, ...] | None, span: tuple[float, float] | None) -> Source:
    from noiseless.data import CleanImages
    from noiseless.data import Pairs as PairsOfImages

    if bool(clean) == bool(pairs):
        got = "both" if clean else "none"
        raise ConfigError(
            "a measurement needs one source of images", got=got, expected="--clean or --pairs (or --noisy)"
        )
    return CleanImages.find(clean, data_range=span) if pairs is None else PairsOfImages.find(*pairs, data_range=span)


def _noisy(
    noisy: list[str], pairs: tuple[str, str] | None, span: tuple[float, float] | None
) -> NoisyImages | NoisyPairs:
    from noiseless.data import NoisyImages, NoisyPairs

    return NoisyImages.find(noisy, data_range=span) if pairs is None else NoisyPairs.find(*pairs, data_range=span)


def _to_json(made: Report | History | Estimates, json: str | None) -> None:
    if json:
        made.to_json(json)
        print(f"Numbers: {json}")
