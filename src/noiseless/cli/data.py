"""noiseless data: prepare images for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from noiseless.cli.progress import progress, reaching
from noiseless.data.prepare import Preparation, pack
from noiseless.errors import ConfigError, UnknownNameError

TASKS = ("pack",)


def data(
    task: Annotated[str, typer.Argument(metavar="pack", help="The one task there is.")],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders (with subfolders), files, globs.")],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="STORE", help="Folder of the store; an existing store is replaced."),
    ],
    downscale: Annotated[
        str,
        typer.Option(metavar="auto|N", help="Times smaller; auto: 2 to 3 from 2500 pixels on, till noise is gone."),
    ] = "auto",
    filtered: Annotated[
        Literal["lanczos", "area"], typer.Option("--filter", metavar="lanczos|area", help="For downscaling.")
    ] = "lanczos",
    crop: Annotated[int, typer.Option(metavar="N", help="Side of the crops in pixels; 0 keeps whole images.")] = 512,
    per_image: Annotated[int, typer.Option(metavar="N", help="Most crops of one image; those with most content.")] = 8,
    smooth: Annotated[float, typer.Option(metavar="0..1", help="Largest share of smooth crops (sky, blur).")] = 0.1,
    exclude: Annotated[
        list[str], typer.Option(metavar="GLOB...", help="Names of files to leave out, for example graphics.")
    ] = [],  # noqa: B006 (typer copies it)
) -> None:
    """Pack photographs into a store of clean crops to train on.

    Large ones are scaled down until noise and JPEG traces are gone; dark crops and graphics are left out. Each file
    is decoded once, and the same images give the same store. Then: noiseless train --clean STORE --noise gaussian:25
    """
    from noiseless.cli.denoise import say_left_out
    from noiseless.io.finding import left_out

    if task not in TASKS:
        raise UnknownNameError("task of data", task, TASKS)
    preparation = Preparation(_factor(downscale), filtered, crop, per_image, smooth, tuple(exclude))
    with progress("Packing", 1) as step:
        reach = reaching(step)
        store, report = pack(sources, output, preparation, progress=lambda done, total, name: reach(done / total, name))
    say_left_out(left_out(sources, recursive=True))
    print("\n".join(report.lines()))
    megabytes = sum(entry.nbytes for entry in store.entries) / 1e6
    print(f"{len(store)} crops, {megabytes:.0f} MB, in {output}")


def _factor(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError("--downscale does not fit", got=repr(text), expected="auto or a number") from None
