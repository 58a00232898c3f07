"""A file or a folder that appears whole or not at all: written beside its place, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from noiseless.errors import OutputError

PIPE = Path("-")
"""Stands for standard output, in `write_text`; what is printed for people may be redirected meanwhile."""


def check_reachable(folder: str | Path, what: str | None = None) -> None:
    """See that a folder is there or can be made; makes nothing, so that a mistake shows before the work.

    Args:
        folder: to write into.
        what: could not be done otherwise, for the error.

    Raises:
        OutputError: it is not, and cannot.
    """
    folder, what = Path(folder), what or f"cannot make the folder {folder}"
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise OutputError(what, got=f"a file of the name {there}", expected="a folder")
    if not os.access(there, os.W_OK):
        raise OutputError(what, got=f"no permission to write into {there}")


def check_writable(path: str | Path) -> None:
    """See that a text file can be written, before the work; its folder need not be there yet.

    Raises:
        OutputError: it cannot, or would take the place of an image, as that of ``--json *.png`` would.
    """
    from noiseless.io.formats import recognise_path

    if _is_stream(Path(path)):
        return
    check_reachable(Path(path).parent, f"cannot write {path}")
    if Path(path).is_dir():
        raise OutputError(f"cannot write {path}", got="a folder", expected="a file name")
    if recognise_path(Path(path)) is not None:
        raise OutputError(f"the image {path} would be overwritten", fix="Name another file.")


def _is_stream(path: Path) -> bool:
    """Whether there is something that no file must take the place of."""
    return path == PIPE or path.parts[:2] == ("/", "dev") or path.is_fifo() or path.is_char_device()


def make_folder(folder: str | Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        OutputError: they cannot be made.
    """
    check_reachable(folder)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(f"cannot make the folder {folder}", error) from error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all, and its folder where there is none; a pipe or device is written into.

    Raises:
        OutputError: it cannot be written.
    """
    if _is_stream(Path(path)):
        try:
            _send(Path(path), text)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = "standard output" if Path(path) == PIPE else path
            raise not_written(f"cannot write into {name}", error) from error
        return
    make_folder(Path(path).parent)
    with replacing(Path(path)) as file:
        file.write(text.encode(errors="surrogateescape"))  # names of files may be no text


def _send(stream: Path, text: str) -> None:
    if stream == PIPE:
        print(text, end="", file=sys.__stdout__, flush=True)
        return
    mode = "a" if stream.is_symlink() else "w"  # /dev/stdout may stand for a file that is being added to
    with stream.open(mode, encoding="utf-8") as opened:
        opened.write(text)


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Open a file for writing and reading that takes the place of `path` when the block ends without an error.

    What lay at `path` before stays untouched until then, and is left as it was after an error. A symbolic link is
    replaced, not followed.

    Args:
        path: where the file goes; its folder must exist.
        overwrite: whether a file that lies there may be replaced.

    Raises:
        OutputError: the file cannot be written (no such folder, no permission, disk full), or is there already.
    """
    import tempfile

    if path.is_dir():
        raise OutputError(f"cannot write {path}", got="a folder", expected="a file name")
    if not overwrite and path.exists():
        raise _already_there(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}-", suffix=".part", dir=path.parent)
    except (OSError, ValueError) as error:
        raise _failure(path, error) from error
    os.close(handle)
    beside = Path(name)
    try:
        with beside.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _move(beside, path, overwrite)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path, markers: Sequence[str], *, overwrite: bool = True) -> Iterator[Path]:
    """An empty folder that takes the place of `path` when the block ends without an error.

    Args:
        path: where the folder goes; its parent must exist.
        markers: a folder that lies there is replaced only if one of these files is in it; others hold something else.
        overwrite: whether a folder that lies there may be replaced.

    Raises:
        OutputError: the folder cannot be written, or something lies there that must stay.
    """
    import tempfile

    _check_replaceable(path, markers, overwrite)
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}-", suffix=".part", dir=path.parent))
    except (OSError, ValueError) as error:
        raise _failure(path, error) from error
    try:
        yield beside
        beside.chmod(0o777 & ~_umask())
        _check_replaceable(path, markers, overwrite)
        _swap(beside, path)
    except OSError as error:
        raise _failure(path, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_replaceable(path: Path, markers: Sequence[str], overwrite: bool) -> None:
    if not overwrite and path.exists():
        raise _already_there(path)
    if path.is_dir():
        if any(path.iterdir()) and not any((path / name).is_file() for name in markers):
            raise OutputError(f"cannot write {path}", got="a folder that holds something else", fix="Choose another.")
    elif path.exists():
        raise OutputError(f"cannot write {path}", got="a file", expected="the name of a folder")


def _swap(beside: Path, path: Path) -> None:
    """Put a folder where perhaps another one is, which is then gone; where that fails, the other one stays."""
    if path.is_symlink():
        path.unlink()
    if not path.exists():
        beside.rename(path)
        return
    before = beside.with_suffix(".old")
    path.rename(before)
    try:
        beside.rename(path)
    except OSError:
        before.rename(path)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _move(beside: Path, path: Path, overwrite: bool) -> None:
    beside.chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
    if overwrite:
        beside.replace(path)
        return
    try:
        path.hardlink_to(beside)  # unlike a rename, fails where another process was faster
    except FileExistsError:
        raise _already_there(path) from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise _already_there(path) from None
        beside.replace(path)


def _umask() -> int:
    """The permissions that new files are not given; there is no way to ask but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _already_there(path: Path) -> OutputError:
    return OutputError(f"{path} is there already", fix="Choose another name, or allow overwriting.")


def _failure(path: Path, error: Exception) -> OutputError:
    missing = isinstance(error, FileNotFoundError)
    fix = f"Create the folder {path.parent} first." if missing else "Check the path."
    return not_written(f"cannot write {path}", error, fix)


HINTS = {
    errno.ENOSPC: "Free some space on the disk.",
    errno.EDQUOT: "Free some space on the disk.",
    errno.EFBIG: "No file of this size can be there: choose another disk.",
}
"""What to do about an error of the system, wherever it happens."""


def not_written(what: str, error: Exception, fix: str | None = None) -> OutputError:
    """The error that says why something could not be written, and what to do about it.

    Args:
        what: could not be done.
        error: of the system.
        fix: what to do where the error itself does not tell.
    """
    number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
    if number is None and "requested and" in reason:  # NumPy's tofile: a file that took a part, without a reason
        number, reason = errno.ENOSPC, f"a disk that takes no more ({reason})"
    return OutputError(what, got=reason, fix=HINTS.get(number or 0, fix))
