"""noiseless denoise: remove noise from images."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from noiseless.cli import INTERRUPTED, TERMINATED
from noiseless.cli.options import NO_SETTINGS, Settings, apply_settings, data_range
from noiseless.cli.progress import progress, reaching
from noiseless.errors import ConfigError, SpecError

if TYPE_CHECKING:
    from noiseless.errors import NoiselessError
    from noiseless.noise import Noise
    from noiseless.workflows.task import Summary, Task

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


@dataclass(frozen=True)
class Rare:
    """Rare controls, reached through ``--set``.

    Attributes:
        tile: side of a tile's core in pixels; its halo comes on top.
        engine: auto, onnxruntime, openvino or torch.
        device: auto, cpu or cuda.
        threads: to compute with; all processors that the process may use where ``None``.
        ensemble: average over eight turns and flips.
        luma: strength for brightness.
        chroma: strength for colours.
        sigma_map: an image of standard deviations, in [0, 1] units.
        feather: pixels over which the edge of a black and white mask fades.
        data_range: the values that mean black and white; one number stands for 0 to that.
        temporal: frames before and after each frame of a film that it is averaged with first; 0 for none.
    """

    tile: int | None = None
    engine: str = "auto"
    device: str = "auto"
    threads: int | None = None
    ensemble: bool = False
    luma: float = 1.0
    chroma: float = 1.0
    sigma_map: str | None = None
    feather: float = 8.0
    data_range: tuple[float, ...] = ()
    temporal: int = 2


def denoise(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, folders, patterns, or - for a pipe.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="A file, a folder, or - for a pipe.")],
    model: Annotated[str, typer.Option(metavar="auto|NAME|PATH", help="See noiseless models.")] = "auto",
    noise: Annotated[
        str | None,
        typer.Option(metavar="auto|SPEC|FILE.json", help="auto (estimated), as gaussian:25, or what calibrate wrote."),
    ] = None,
    sigma: Annotated[float | None, typer.Option(metavar="N", help="The same as --noise gaussian:N.")] = None,
    strength: Annotated[float, typer.Option(metavar="0..1", help="0 returns the input, 1 the full result.")] = 1.0,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Denoise only where this is white; a stack: plane by plane.")
    ] = None,
    precision: Annotated[
        Literal["exact", "fast", "int8"],
        typer.Option(metavar="exact|fast|int8", help="float32, bf16 where there is any, or int8."),
    ] = "exact",
    max_memory: Annotated[str | None, typer.Option(metavar="SIZE", help="As 2GB; else half of what is free.")] = None,
    adapter: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="adapter.safetensors of noiseless finetune: added to the model it names."),
    ] = None,
    adapter_strength: Annotated[float, typer.Option(metavar="0..1", help="How much of the adapter is taken.")] = 1.0,
    prompt: Annotated[str | None, typer.Option(metavar="NAME", help="Which of the adapter's prompts.")] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Search folders to their depth.")] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out images whose result is there.")
    ] = False,
    summary: Annotated[
        Path | None, typer.Option("--json", metavar="FILE|-", help="Write what became of each file.")
    ] = None,
    settings: Settings = NO_SETTINGS,
) -> int:
    """Remove noise from images and films.

    Results keep bit depth, colour profile and metadata; inputs are never changed. Rare controls go through --set:
    tile, engine, device, threads, ensemble, luma, chroma, sigma_map, feather, data_range, temporal.
    """
    from noiseless.io.atomic import check_writable, write_text
    from noiseless.io.finding import is_named_image, left_out
    from noiseless.workflows.files import plan_jobs, refused
    from noiseless.workflows.task import Task

    rare = apply_settings(Rare(), settings)
    if adapter is None and (prompt is not None or adapter_strength != 1):
        raise ConfigError("--prompt and --adapter-strength are for an adapter", fix="Name its file: --adapter FILE.")
    task = Task(
        model=model,
        noise=noise_level(noise, sigma),
        strength=strength,
        mask=mask,
        feather=rare.feather,
        sigma_map=None if rare.sigma_map is None else Path(rare.sigma_map),
        data_range=data_range(rare.data_range),
        options=load_options(rare, precision, max_memory) | ({} if prompt is None else {"prompt": prompt}),
        skip_existing=skip_existing,
        temporal=rare.temporal,
        adapter=adapter,
        adapter_strength=adapter_strength,
    )
    task.check()
    if summary is not None:
        if str(summary) == output == "-":
            raise ConfigError("the image and the numbers cannot both go into the pipe", fix="Name a file for one.")
        check_writable(summary)
    jobs, failures = plan_jobs(inputs, output, recursive=recursive)
    unread = left_out(inputs, recursive=recursive)
    failures += refused([file for file in unread if is_named_image(file)])
    done = work(jobs, task, output)
    done.failures[:0] = failures
    if summary is not None:
        write_text(summary, json.dumps(done.to_json(), indent=2) + "\n")
    say_left_out([file for file in unread if not is_named_image(file)])
    return finish(done, alone=len(jobs) + len(failures) == 1)


def work(jobs: Sequence[Any], task: Task, output: str) -> Summary:
    """Denoise with progress; what there is to say goes beside the result, never into a pipe."""
    from noiseless.workflows.restoring import restore_files

    stream = sys.stderr if output == "-" else sys.stdout
    with progress("Denoising", 1.0) as step:
        say = functools.partial(print, file=stream, flush=True)
        return restore_files(jobs, task, say=say, report=reaching(step))


def finish(summary: Summary, *, alone: bool) -> int:
    """Say what went wrong and return the exit code; the error of a single file is raised."""
    if alone and summary.failures:
        raise summary.failures[0].error
    skipped = sum(result.skipped for result in summary.results)
    if skipped:
        print(f"{skipped} skipped: their results are there", file=sys.stderr)
    failures = [(failure.name, failure.error) for failure in summary.failures]
    code = say_failures(failures, len(failures) + len(summary.results), "denoised")
    if summary.interrupted:
        return TERMINATED if summary.terminated else INTERRUPTED
    return code


def say_failures(failures: Sequence[tuple[str, NoiselessError]], count: int, done: str) -> int:
    """Name each of many images that gave no result, with the reason; returns the exit code.

    Args:
        failures: name and reason.
        count: of all images.
        done: what could not be done with these, for example ``"denoised"``.
    """
    if failures:
        print(f"{len(failures)} of {count} could not be {done}:", file=sys.stderr)
    for name, error in failures:
        line = str(error)
        print(f"  {line if name in line else f'{name}: {line}'}", file=sys.stderr)
    return max((error.exit_code for _, error in failures), default=0)


def say_left_out(files: Sequence[Path]) -> None:
    """Name what was left out of folders, since whoever put it there may take it for images."""
    if files:
        from noiseless.io.finding import line_of

        print(line_of(files), file=sys.stderr)


def noise_level(noise: str | None, sigma: float | None) -> str | Noise:
    """The noise that `--noise` and `--sigma` say.

    Raises:
        ConfigError: both are given.
        SpecError: a file that holds no noise model, or a text that is none.
    """
    if noise is not None and sigma is not None:
        raise ConfigError("--noise and --sigma say the same thing twice", fix="Give one of them.")
    if sigma is not None:
        noise = f"gaussian:{sigma:g}"
    if noise is None or noise == "auto":
        return "auto"
    from noiseless.noise import Noise, parse

    if not noise.endswith(".json"):
        return parse(noise)
    try:
        plain = json.loads(Path(noise).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot read the noise model {noise}", got=error.strerror) from error
    except ValueError as error:
        raise SpecError(f"the noise model {noise} is not JSON", got=str(error)) from error
    return Noise.from_dict(plain.get("noise", plain) if isinstance(plain, dict) else plain)


def load_options(rare: Rare, precision: str, max_memory: str | None) -> dict[str, Any]:
    """The options of `noiseless.load`.

    Raises:
        ConfigError: one that does not fit.
    """
    from noiseless.denoiser import Controls
    from noiseless.runtime.machine import used_threads

    used_threads(rare.threads)
    limit = None if max_memory is None else size_in_bytes(max_memory)
    controls = Controls(rare.tile, limit, rare.ensemble, rare.luma, rare.chroma)
    return {
        "precision": precision,
        "engine": rare.engine,
        "device": rare.device,
        "threads": rare.threads,
        "controls": controls,
    }


def size_in_bytes(text: str) -> int:
    """``2GB``, ``500 MB``, ``1.5GiB`` or a number of bytes.

    Raises:
        ConfigError: none of these.
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?i?)b?\s*", text.lower())
    try:
        if match is None:
            raise ValueError
        return int(float(match[1]) * UNITS[match[2]])
    except (ValueError, KeyError):
        raise ConfigError("--max-memory does not fit", got=repr(text), expected="a size such as 2GB") from None
