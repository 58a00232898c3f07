"""Which file becomes which: inputs of a command line and where their results go."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from noiseless.errors import ConfigError, ImageError, NoiselessError, UnknownNameError
from noiseless.io import find_images, formats, read
from noiseless.io.atomic import check_reachable
from noiseless.io.video import CONTAINERS, container_of
from noiseless.io.video_source import is_film

PIPE = "-"
"""Stands for standard input or standard output."""


@dataclass(frozen=True)
class Job:
    """An image and where its result goes; ``None`` is the pipe."""

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """What to call it."""
        return "standard input" if self.source is None else str(self.source)


@dataclass(frozen=True)
class Failure:
    """A file that gave no result, and why."""

    name: str
    error: NoiselessError


@dataclass(frozen=True)
class Found:
    """An image and its path relative to what was given for it."""

    path: Path
    relative: Path


def plan_jobs(inputs: Sequence[str], output: str, *, recursive: bool = False) -> tuple[list[Job], list[Failure]]:
    """Decide where the result of each input goes.

    One file goes to `output` if that names a file; everything else goes into the folder `output`, under its own name
    and, below a folder that was searched, its own subfolder. Results that lie in an input folder are no inputs.

    Args:
        inputs: files, folders, patterns, or ``-`` alone.
        output: a file, a folder, or ``-``.
        recursive: whether folders are searched to their depth.

    Returns:
        The jobs, and what cannot be done while others can.

    Raises:
        ConfigError: an output that cannot hold these inputs.
        OutputError: an output that cannot be written.
        NoiselessError: the only input cannot be used.
    """
    if PIPE in inputs:
        return [_piped(inputs, output)], []
    if len(inputs) == 1 and _is_one_file(inputs[0]) and not _is_folder(output):
        return [_checked(Job(Path(inputs[0]), _target(output)))], []
    if output == PIPE or Path(output).is_file() or _names_image(output):
        raise ConfigError("several images need a folder to go into", got=f"-o {output}", fix="Name a folder: -o DIR.")
    return _into_folder(inputs, Path(output), recursive)


def refused(files: Sequence[Path]) -> list[Failure]:
    """What is wrong with files that cannot be read."""
    failures = []
    for file in files:
        try:
            read(file)
        except NoiselessError as error:
            failures.append(Failure(str(file), error))
    return failures


def _piped(inputs: Sequence[str], output: str) -> Job:
    if len(inputs) > 1:
        raise ConfigError("the pipe (-) must be the only input", got=" ".join(inputs))
    if output != PIPE and _is_folder(output):
        raise ConfigError("an image from the pipe has no name", got=f"-o {output}", fix="Name a file, or - for a pipe.")
    return Job(None, _target(output))


def _into_folder(inputs: Sequence[str], folder: Path, recursive: bool) -> tuple[list[Job], list[Failure]]:
    check_reachable(folder)  # said once, and not of every image
    jobs: dict[Path, Job] = {}
    failures: list[Failure] = []
    for given in inputs:
        try:
            found = list(_found(given, folder, recursive))
        except NoiselessError as error:
            if len(inputs) == 1:
                raise
            failures.append(Failure(given, error))
            continue
        for image in found:
            try:
                job = _checked(Job(image.path, folder / _writable_name(image)))
                _add(job, jobs)
            except NoiselessError as error:
                failures.append(Failure(str(image.path), error))
    return list(jobs.values()), failures


def _add(job: Job, jobs: dict[Path, Job]) -> None:
    assert job.target is not None
    other = jobs.setdefault(job.target, job)
    if other.source != job.source:
        raise ConfigError(
            f"two images would go to {job.target}", got=f"{other.name} first", fix="Denoise them into two folders."
        )


def _found(given: str, folder: Path, recursive: bool) -> Iterator[Found]:
    base = _base(given)
    results = folder.resolve()
    within = base.resolve() in results.parents
    for path in find_images([given], recursive=recursive):
        searched = path != Path(given)
        if searched and within and results in path.resolve().parents:
            continue
        yield Found(path, path.relative_to(base) if searched and path.is_relative_to(base) else Path(path.name))


def _base(given: str) -> Path:
    """The folder that names below it are relative to: of a pattern, what comes before its first wildcard."""
    if Path(given).is_dir():
        return Path(given)
    parts = Path(given).parts
    plain = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:plain])


def _writable_name(image: Found) -> Path:
    """The name of the result: that of the image, with a suffix that can be written."""
    try:
        _known_suffix(image.path, image.relative)
        return image.relative
    except UnknownNameError:
        key = formats.recognise_path(image.path)
        if key is None:
            raise refused([image.path])[0].error from None
        return image.relative.with_name(image.relative.name + formats.named(key).suffixes[0])


def _checked(job: Job) -> Job:
    """The job, unless its input is not there, or it would write over it, into a file of no format or where none is."""
    if job.source is not None and not os.path.exists(job.source):  # noqa: PTH110 (as `formats.is_folder`)
        raise ImageError(f"{job.source} does not exist", fix="Check the path.")
    if job.target is None:
        if job.source is not None and formats.is_folder_image(job.source):
            raise ConfigError(f"{job.source} is a folder, which no pipe can take", fix="Name the output: -o OUT.")
        return job
    _known_suffix(job.source, job.target)
    if job.source is not None and _overlap(job.source, job.target):
        raise ConfigError(
            f"{job.source} would be overwritten", fix="The input is never modified: choose another output."
        )
    check_reachable(job.target.parent)
    return job


def _overlap(source: Path, target: Path) -> bool:
    """Whether writing the one would change the other: they are the same, or one is a folder that the other lies in."""
    if target.exists() and source.exists() and target.samefile(source):
        return True
    first, second = source.resolve(), target.resolve()
    return (first in second.parents and source.is_dir()) or second in first.parents


def _known_suffix(source: Path | None, target: Path) -> None:
    if source is not None and is_film(source):
        container_of(target)
    else:
        formats.by_suffix(target)


def _target(output: str) -> Path | None:
    return None if output == PIPE else Path(output)


def _is_one_file(given: str) -> bool:
    path = Path(given)
    if path.is_dir():
        return formats.is_folder_image(path)
    return path.exists() or not glob.has_magic(given)


def _is_folder(output: str) -> bool:
    """Whether an output names a folder of images: one that is there, a name that ends in a slash or has no suffix."""
    if output == PIPE or _is_folder_image(output):
        return False
    return Path(output).is_dir() or output.endswith(("/", "\\")) or not Path(output).suffix


def _is_folder_image(output: str) -> bool:
    """Whether an output names an image that is a folder, which has its suffix whether it is there or not."""
    format_ = _format_of(output)
    return format_ is not None and format_.folder


def _names_image(output: str) -> bool:
    """Whether an output has the suffix of an image or a film and is no folder of images that is there or asked for."""
    if _is_folder_image(output):
        return True
    known = _format_of(output) is not None or Path(output).suffix.lower() in CONTAINERS
    return known and not _is_folder(output)


def _format_of(output: str) -> formats.Format | None:
    """The format that a name asks for, where it does."""
    try:
        return formats.named(formats.by_suffix(Path(output))) if Path(output).suffix else None
    except UnknownNameError:
        return None
