"""noiseless calibrate: what noise is in these images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, said_range

if TYPE_CHECKING:
    import numpy as np

    from noiseless.errors import InputError
    from noiseless.image import DataRange, Image

PAGE = "calibration.html"


def calibrate(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders or patterns, of one sensor.")],
    exposures: Annotated[
        bool, typer.Option("--exposures", help="The images show one scene: measure the noise in their differences.")
    ] = False,
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Look only where this image is white.")] = None,
    json: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write what was found; denoise --noise reads it.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write calibration.html there, with drawings.")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Search folders to their depth.")] = False,
    settings: Settings = NO_SETTINGS,
) -> int:
    """Say what noise is in images.

    Its kind, level, gain, correlation, stripes and impulses, with how sure that is; and clipping, a black level, JPEG
    or enlargement where they can be seen. Several images of one sensor are measured together. Rare controls go through
    --set: data_range.
    """
    from noiseless.calibration import examine
    from noiseless.cli.denoise import say_failures, say_left_out
    from noiseless.io import find_images
    from noiseless.io.atomic import check_writable
    from noiseless.io.finding import left_out

    span = said_range(settings)
    page = None if report is None else Path(report) / PAGE
    for path in (json, page):
        if path is not None:
            check_writable(path)
    files = find_images(images, recursive=recursive)
    say_left_out(left_out(images, recursive=recursive))
    where = None if mask is None else _mask(mask)
    failures: dict[str, InputError] = {}
    found = examine(_read(files, span, failures), exposures=exposures, mask=where, data_range=span)
    print("\n".join(found.lines()))
    if json:
        found.to_json(json)
        print(f"Noise: {json}")
    if page is not None:
        from noiseless.calibration.page import write_page

        write_page(found, page)
        print(f"Report: {page}")
    return say_failures([*failures.items()], len(files), "read")


def _read(files: Sequence[Path], span: DataRange | None, failures: dict[str, InputError]) -> list[Image]:
    """The images that can be read; what is wrong with the others is noted."""
    from noiseless.errors import check_some, noting
    from noiseless.io import read

    images = []
    for file in files:
        with noting(failures, str(file)):
            images.append(read(file, data_range=span))
    check_some(len(images), failures)
    return images


def _mask(path: Path) -> np.ndarray:
    """Where an image is white, (H, W)."""
    from noiseless.errors import ImageError
    from noiseless.io import read

    image = read(path)
    if image.count > 1:
        raise ImageError(f"the mask {path} does not fit the images", got=f"{image.count} planes", expected="one")
    white: np.ndarray = image.planes()[0].mean(axis=0) > 0.5
    return white
