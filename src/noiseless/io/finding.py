"""Finding images: files, folders and patterns become a list of files that are images by their content.

A folder that is itself an image, such as a .zarr, counts as a file, and what lies in it is not looked at.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from noiseless.errors import DataError, ImageError
from noiseless.io import formats

NAMED = 3
"""As many files are named of those that were left out."""


def find_images(inputs: Sequence[str | Path], *, recursive: bool = False) -> list[Path]:
    """The image files that files, folders and patterns stand for.

    Args:
        inputs: a file is taken as it is; of a folder the images in it, hidden files and folders left out; a pattern
            (``*``, ``?``, ``[...]``, ``**``) stands for the images and folders that it matches.
        recursive: whether folders are searched to their depth.

    Returns:
        Paths, each once, sorted within every input.

    Raises:
        ImageError: something named does not exist.
        DataError: a folder or a pattern with no image.
    """
    found: dict[Path, None] = {}
    for given in inputs:
        found.update(dict.fromkeys(_found(given, recursive)[0]))
    if not found:
        raise DataError("no input given", expected="image files, folders or patterns")
    return list(found)


def left_out(inputs: Sequence[str | Path], *, recursive: bool = False) -> list[Path]:
    """Files that look like images but are none that noiseless reads, beside images in a folder or of a pattern.

    Args:
        inputs: as of `find_images`.
        recursive: as of `find_images`.
    """
    unread: dict[Path, None] = {}
    for given in inputs:
        with contextlib.suppress(DataError, ImageError):  # which `find_images` says
            unread.update(dict.fromkeys(file for file in _found(given, recursive)[1] if _is_alike(file)))
    return list(unread)


def line_of(files: Sequence[Path]) -> str:
    """What to say of files that were left out."""
    named = ", ".join(map(str, files[:NAMED])) + (", ..." if len(files) > NAMED else "")
    return f"left out, as no image that is read from a folder: {described(files)}: {named}"


def is_named_image(file: Path) -> bool:
    """Whether a file has the suffix of images, whatever it holds."""
    suffixes = tuple(suffix for each in formats.all_formats().values() for suffix in each.suffixes)
    return file.name.lower().endswith(suffixes)


def check_there(given: str | Path) -> None:
    """See that a file or folder exists; of a pattern nothing is said.

    Raises:
        ImageError: it does not.
    """
    if not os.path.exists(given) and not glob.has_magic(str(given)):  # noqa: PTH110 (as `formats.is_folder`)
        raise ImageError(f"{Path(given)} does not exist", fix="Check the path.")


def is_image(path: Path) -> bool:
    """Whether a file begins like an image that noiseless reads, or a folder is one."""
    return formats.recognise_path(path) is not None


def described(files: Iterable[Path]) -> str:
    """What files are instead of images, for example ``"3 files, 2 of them a GIF"``."""
    heads = [_unread_kind(file) for file in files]
    kinds = Counter(kind for kind in heads if kind is not None)
    known = "".join(f", {count} of them {kind}" for kind, count in kinds.most_common(3))
    return f"{len(heads)} {'file' if len(heads) == 1 else 'files'}{known}"


def _found(given: str | Path, recursive: bool) -> tuple[list[Path], list[Path]]:
    """The images that one input stands for, and the files beside them that are none."""
    path = Path(given)
    if path.is_dir() and not is_image(path):
        return _in_folder(path, recursive)
    if path.exists():
        return [path], []
    check_there(given)
    matches = _matches(given)
    folders = {match for match in matches if match.is_dir() and not formats.is_folder_image(match)}
    inside = (file for folder in folders if recursive for file in _files(folder, recursive))
    images, others = _sorted_out(_once({*matches, *inside} - folders))
    if not images:
        raise DataError(f"no image matches {given}", got=described(others))
    return images, others


def _matches(pattern: str | Path) -> list[Path]:
    """The files and folders that a pattern matches, and links to nothing; no pipes, which none may wait for."""
    matches = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207
    return _outside_of_images([match for match in matches if not formats.is_special(match)])


def _once(files: set[Path]) -> set[Path]:
    """Each file once, by its shortest path: patterns go round and round where a link leads back to a folder above."""
    places = {folder: folder.resolve() for folder in {file.parent for file in files}}
    by_length = sorted(files, key=lambda file: (-len(file.parts), file))
    return set({(places[file.parent], file.name): file for file in by_length}.values())


def _outside_of_images(paths: Sequence[Path]) -> list[Path]:
    """Paths without those that lie in a folder that is an image."""
    parents = {parent for path in paths for parent in path.parents}
    images = {parent for parent in parents if parent.name and formats.is_folder_image(parent)}
    return [path for path in paths if images.isdisjoint(path.parents)]


def _in_folder(folder: Path, recursive: bool) -> tuple[list[Path], list[Path]]:
    images, others = _sorted_out(set(_files(folder, recursive)))
    if images:
        return images, others
    deeper = not recursive and any(entry.is_dir() for entry in folder.iterdir())
    raise DataError(
        f"no image in the folder {folder}",
        got=described(others),
        fix="Search its folders too with recursive (-r)." if deeper else None,
    )


def _sorted_out(files: set[Path]) -> tuple[list[Path], list[Path]]:
    """Those that are images, and the others, each sorted."""
    images = {file for file in files if is_image(file)}
    return sorted(images), sorted(files - images)


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    """Files of a folder that are not hidden, and links to nothing; folders that are links are not followed, so that no
    loop is endless.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot look into the folder {folder}", got=error.strerror) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = Path(entry.path)
        is_broken = entry.is_symlink() and not os.path.exists(path)  # noqa: PTH110 (the method fails on a loop)
        if is_broken or entry.is_file() or formats.is_folder_image(path):
            yield path
        elif recursive and entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), recursive)


def _unread_kind(file: Path) -> str | None:
    if os.access(file, os.R_OK):
        return formats.unsupported_kind(_head(file))
    return "without permission to read" if os.path.exists(file) else "a link to nothing"  # noqa: PTH110 (as above)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(formats.HEAD)
    except OSError:
        return b""


def _is_alike(file: Path) -> bool:
    """Whether who put a file beside images may take it for one: by its name, or by its content."""
    return is_named_image(file) or formats.unsupported_kind(_head(file)) is not None
