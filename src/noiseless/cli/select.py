"""noiseless select: which noisy images to make a clean reference of."""

from __future__ import annotations

from typing import Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, said_range
from noiseless.cli.progress import progress


def select(
    noisy: Annotated[list[str], typer.Option(metavar="DIR...", help="Noisy images: folders, files, globs, stores.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="The model that shall learn from them.")],
    count: Annotated[int, typer.Option("--count", "-k", metavar="K", help="How many images to choose.")] = 20,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="Write the table for machines.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the paths, one a line.")
    ] = None,
    settings: Settings = NO_SETTINGS,
) -> int:
    """List the noisy images whose clean reference would help a model most.

    Those that stand for most images on which the model falls short. Rare controls go through --set: data_range.
    """
    from noiseless.cli.denoise import say_failures, say_left_out
    from noiseless.data import NoisyImages
    from noiseless.denoiser import load
    from noiseless.evaluation.report import text_table
    from noiseless.io.atomic import check_writable
    from noiseless.workflows import select as choice

    span = said_range(settings)
    for path in (json, output):
        if path is not None:
            check_writable(path)
    choice.check_count(count)
    denoiser = load(model)
    source = NoisyImages.find(noisy)
    say_left_out(source.unread)
    views = [item.views[0] for item in source.items]
    with progress("Looking", len(views)) as step:
        chosen = choice.select(views, denoiser, count, data_range=span, watch=lambda name: step(1, note=name))
    if count > chosen.images:
        print(f"There are only {chosen.images} images, and {count} were asked for: all are listed.")
    print("\n".join([*text_table(chosen.rows()), "", *choice.EXPLANATION]))
    for what, path, write in (("Numbers", json, chosen.to_json), ("List", output, chosen.to_list)):
        if path is not None:
            write(path)
            print(f"{what}: {path}")
    return say_failures([*chosen.left_out.items()], len(views), "used")
