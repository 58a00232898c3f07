"""Films: looked at before they are taken, and denoised as `noiseless denoise film.mp4` does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from noiseless.errors import TooManyPixelsError
from noiseless.io.reading import saying_what_is_damaged
from noiseless.io.video import CONTAINERS
from noiseless.io.video_source import opened
from noiseless.service.models import Models
from noiseless.service.options import Options
from noiseless.service.report import report_of_file
from noiseless.workflows.restorer import Restorer

HELD = 10
"""A film counts as so many of its frames: no more than about that are held at once, however long it is."""

SUFFIXES = {"mov": (".mp4", ".m4v", ".mov"), "matroska": (".mkv", ".webm"), "avi": (".avi",), "mpegts": (".ts",)}
"""What a film may be called, by FFmpeg's name of what it is; the first where its own name says nothing."""

OTHERWISE = (".mkv",)
"""Films of other kinds are written so."""

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".ts": "video/mp2t",
}

Progress = Callable[[float, int | None], None]
"""Told the share that is done, 0 to 1, and how many frames, where there are any."""


def look(file: BinaryIO, most_pixels: int) -> int:
    """Look at the header of a film, then at its first frame.

    Args:
        file: from the beginning.
        most_pixels: that may be held at once.

    Returns:
        Pixels that are held at once.

    Raises:
        ImageError: a damaged film, or one of larger pictures than allowed.
    """
    with saying_what_is_damaged("the stream", "film"), opened(file) as film:
        context = film.streams.video[0].codec_context
        pixels = HELD * int(context.height) * int(context.width)
        if pixels <= most_pixels and next(film.decode(video=0), None) is None:
            raise ValueError("no picture")
    if pixels > most_pixels:
        each = most_pixels // HELD
        raise TooManyPixelsError(
            f"a picture of the film has {pixels // HELD} pixels; this service takes at most {each}"
        )
    return pixels


def suffix_of(source: Path, name: str) -> str:
    """What a film's result ends in: as the film, of the few there are.

    Args:
        source: the film.
        name: that its sender gives it.

    Raises:
        ImageError: a damaged film.
    """
    with saying_what_is_damaged("the stream", "film"), opened(source) as film:
        usual = SUFFIXES.get(film.format.name.partition(",")[0], OTHERWISE)
    return next((suffix for suffix in usual if name.lower().endswith(suffix)), usual[0])


def restore(
    source: Path, target: Path, options: Options, progress: Progress, models: Models, cancel: Callable[[], bool]
) -> dict[str, Any]:
    """Denoise a film.

    Args:
        source: the film.
        target: what becomes of it; its suffix is one of `CONTAINERS`.
        options: how.
        progress: told of each frame.
        models: to choose from.
        cancel: asked whether to stop.

    Returns:
        The report.

    Raises:
        NoiselessError: it cannot be denoised.
    """
    started, said, frames = time.monotonic(), list[str](), 0

    def step(share: float) -> None:
        nonlocal frames
        frames += 1
        progress(share, frames)

    restorer = Restorer(options.task(), said.append, models=lambda name: models.get(name, options.precision))
    facts = restorer.film(source, target, step, cancel)
    with opened(target) as film:
        context = film.streams.video[0].codec_context
        image = {"format": CONTAINERS[target.suffix], "width": context.width, "height": context.height}
    return report_of_file("film", facts, said, options, time.monotonic() - started, {**image, "frames": frames})
