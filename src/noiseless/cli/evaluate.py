"""noiseless evaluate: measure denoisers on images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, apply_settings
from noiseless.cli.progress import progress
from noiseless.errors import ConfigError

if TYPE_CHECKING:
    from noiseless.data.sources import Source
    from noiseless.evaluation.pictures import Pictures
    from noiseless.evaluation.report import Report

NONE: list[str] = []
PAGE = "report.html"


@dataclass(frozen=True)
class EvaluationSettings:
    """What `--set` knows here; see `noiseless.evaluate`."""

    seed: int = 0
    border: int = 0
    metrics: tuple[str, ...] = ("psnr", "ssim", "ms_ssim")
    quantise: bool | None = None
    told: str = "noise model"


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Models, run folders, or bm3d, nlm, wavelet, tv, median, identity."),
    ],
    clean: Annotated[list[str], typer.Option(metavar="DIR...", help="Clean images; --noise is added.")] = NONE,
    noise: Annotated[
        str | None, typer.Option(metavar="SPEC", help="As gaussian:25; for pairs, what the models are told.")
    ] = None,
    pairs: Annotated[
        tuple[str, str] | None, typer.Option(metavar="NOISY CLEAN", help="Two folders or globs, paired by name.")
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
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the numbers for machines.")] = None,
    report: Annotated[str | None, typer.Option(metavar="DIR", help="Write report.html there, with pictures.")] = None,
    settings: Settings = NO_SETTINGS,
) -> None:
    """Measure denoisers side by side, on clean images with noise or on pairs.

    Rare controls go through --set: border, metrics, quantise, told.
    """
    from noiseless.evaluation import evaluate as measure
    from noiseless.evaluation.pictures import Pictures
    from noiseless.evaluation.report import check_writable, text_table

    outputs: list[str | Path] = [*([json] if json else []), *([Path(report) / PAGE] if report else [])]
    for path in outputs:
        check_writable(path)
    chosen = apply_settings(EvaluationSettings() if seed is None else EvaluationSettings(seed), settings)
    if history:
        return _history(models, history, asdict(chosen) | {"group": group, "limit": limit}, json, report)
    source = _source(clean, pairs)
    print(source.report())
    count = min(len(source), limit or len(source))
    pictures = Pictures()
    with progress("Measuring", count * len(models)) as step:

        def watch(name: str, *result: object) -> None:
            step(1, note=name)
            if report:
                pictures.add(name, *result)  # type: ignore[arg-type]

        options = asdict(chosen) | {"group": group, "limit": limit, "attack": attack}
        made = measure(models, source, noise=noise, watch=watch, **options)
    for rows in (made.rows(), made.group_rows()):
        if rows:
            print("\n".join(["", *text_table(rows)]))
    print("\n".join(["", *made.lines()]))
    _write(made, pictures, json, report)


def _history(models: list[str], file: str, options: dict[str, Any], json: str | None, report: str | None) -> None:
    """Measure tasks over stages and print their matrix."""
    from noiseless.evaluation.history import measure_history, read_tasks
    from noiseless.evaluation.history_page import write_history
    from noiseless.evaluation.report import text_table

    tasks = read_tasks(file)
    with progress("Measuring", len(tasks) * len(models)) as step:
        counts: dict[str, int] = {}

        def watch(name: str, *result: object) -> None:
            counts[name] = counts.get(name, 0) + 1
            step(0, note=f"{name}, image {counts[name]}")

        made = measure_history(models, tasks, watch=watch, **options)
    print("\n".join(["", *text_table(made.rows()), "", *made.lines()]))
    if json:
        made.to_json(json)
        print(f"Numbers: {json}")
    if report:
        write_history(made, Path(report) / PAGE)
        print(f"Report: {Path(report) / PAGE}")


def _source(clean: list[str], pairs: tuple[str, str] | None) -> Source:
    from noiseless.data import CleanImages, Pairs

    if bool(clean) == bool(pairs):
        got = "both" if clean else "none"
        raise ConfigError("a measurement needs one source of images", got=got, expected="--clean or --pairs")
    return CleanImages.find(clean) if pairs is None else Pairs.find(*pairs)


def _write(made: Report, pictures: Pictures, json: str | None, report: str | None) -> None:
    from noiseless.evaluation.html import write_report

    if json:
        made.to_json(json)
        print(f"Numbers: {json}")
    if report:
        path = Path(report) / PAGE
        write_report(made, path, pictures=pictures)
        print(f"Report: {path}")
