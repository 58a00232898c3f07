"""noiseless suggest: which network, weights and method for these images, as a recipe that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, said_range


def suggest(
    noisy: Annotated[str, typer.Option(metavar="DIR", help="Images like those to denoise: a folder, file or glob.")],
    clean: Annotated[
        str | None, typer.Option(metavar="DIR", help="Clean images: of the same scenes and names, or of others.")
    ] = None,
    priority: Annotated[str, typer.Option(metavar="WISH", help="quality, speed or explainable.")] = "quality",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.toml", help="The recipe; must not be there yet.")
    ] = Path("suggested.toml"),
    settings: Settings = NO_SETTINGS,
) -> int:
    """Suggest a network, weights, method and settings for images, as a recipe that runs.

    Looks at the images and the machine, takes a few training steps to see what they cost, and says why. Rare
    controls go through --set: data_range.
    """
    from noiseless.cli.denoise import say_failures, say_left_out
    from noiseless.io.finding import left_out
    from noiseless.workflows import suggest as advice
    from noiseless.workflows.survey import look_at_images, look_at_machine

    span = said_range(settings)
    advice.check_target(output)
    advice.check_priority(priority)
    say_left_out(left_out([noisy, *([clean] if clean else [])], recursive=True))
    survey = look_at_images(noisy, clean, data_range=span)
    suggestion = advice.suggest(survey, look_at_machine(), priority)
    advice.write_recipe(suggestion, output)
    print("\n".join([*advice.lines(suggestion), f"Run it: {suggestion.command(output)}"]))
    return say_failures([*survey.left_out.items()], survey.images, "read")
