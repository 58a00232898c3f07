"""A zip of an OME-Zarr: looked at before it is taken, and denoised as `noiseless denoise image.zarr` does it.

Whatever a zip says of itself is checked, and then not relied on: names are those of plain files below one folder, and
what is unpacked is counted while it is.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

from noiseless.errors import Cancelled, ImageError, TooManyPixelsError
from noiseless.io import read, write, zarr
from noiseless.io.formats import FORMATS
from noiseless.io.reading import saying_what_is_damaged
from noiseless.io.rows import open_rows
from noiseless.service.films import Progress
from noiseless.service.models import Models
from noiseless.service.options import Options
from noiseless.service.report import report_of_file
from noiseless.workflows.restorer import Restorer
from noiseless.workflows.restoring import STREAMED_BYTES

SUFFIX = ".zarr.zip"
MEDIA_TYPES = {SUFFIX: "application/zip"}

UNPACKED, MADE = "unpacked.zarr", "made.zarr"
"""Folders beside a job's input, while it is done."""

FOLDERS = UNPACKED, MADE

MOST_BYTES = 1 << 30
"""That a zip may unpack to."""

MOST_ENTRIES = 50_000

MOST_DIRECTORY = 8 << 20
"""Bytes of the directory of a zip, which is read at once."""

MOST_METADATA = 16 << 20
"""Bytes of all files that describe arrays."""

CHANNELS = 4
"""A store may have as many values as an image of so many channels with the most pixels."""

LONGEST_PART, LONGEST_NAME = 200, 1000
PART = 1 << 20

JUNK = "__MACOSX"
"""A folder that macOS adds to zips."""

MARKERS = FORMATS["zarr"].markers


class _Shallow:
    """A file of which only so much is read at once, since `zipfile` reads a directory of any size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > MOST_DIRECTORY:
            raise ImageError("the directory of the zip is enormous", got=size, expected=f"at most {MOST_DIRECTORY}")
        return self._file.read(size)


@dataclass(frozen=True)
class Archive:
    """A zip of one OME-Zarr.

    Attributes:
        file: open.
        entries: by their name within the store.
        root: the folder in the zip that the store is; empty where it is the zip itself.
    """

    file: zipfile.ZipFile
    entries: dict[str, zipfile.ZipInfo]
    root: str


def look(file: BinaryIO, most_pixels: int) -> int:
    """Look through a zip, all of it, and at what its store says of itself; no pixel is decoded.

    Args:
        file: from the beginning.
        most_pixels: of all planes together.

    Returns:
        Pixels of all planes together.

    Raises:
        ImageError: a damaged zip, one that is not a plain zip of an OME-Zarr, or one of more pixels than allowed.
    """
    with TemporaryDirectory(prefix="noiseless-") as made:
        folder = Path(made)
        with opened(file) as archive:
            unpack(archive, folder, lambda: False, only=(*zarr.METADATA, ".zgroup"))
        try:
            with saying_what_is_damaged("the stream", "OME-Zarr"):
                store = zarr.open_store(folder, most_pixels)
        except TooManyPixelsError as error:
            raise TooManyPixelsError(_too_many(most_pixels)) from error
        except ImageError as error:
            raise ImageError(str(error).replace(f"{folder}/", "").replace(made, "it")) from error
    shape, values = dict(zip(store.pyramid.axes, store.full.shape, strict=True)), 1
    for size in shape.values():
        values *= int(size)
    if values > CHANNELS * most_pixels:
        raise TooManyPixelsError(_too_many(most_pixels))
    return values // int(shape.get("C", 1))


def suffix_of(source: Path, name: str) -> str:
    """What the result ends in."""
    return SUFFIX


def restore(
    source: Path, target: Path, options: Options, progress: Progress, models: Models, cancel: Callable[[], bool]
) -> dict[str, Any]:
    """Denoise a zip of an OME-Zarr into another.

    Args:
        source: the zip; what is unpacked lies beside it, and is gone at the end.
        target: the zip to write.
        options: how.
        progress: told the share that is done.
        models: to choose from.
        cancel: asked whether to stop.

    Returns:
        The report.

    Raises:
        NoiselessError: it cannot be denoised.
    """
    folders = source.with_name(UNPACKED), source.with_name(MADE)
    _remove(folders)  # of a service that was killed
    try:
        folders[0].mkdir()
        with source.open("rb") as file, opened(file) as archive:
            unpack(archive, folders[0], cancel)
            root = archive.root
        said = _restored(*folders, options, lambda share: progress(share, None), models, cancel)
        _pack(folders[1], root, target, cancel)
    except OSError as error:
        if cancel():  # the folder of a job that was cancelled is gone
            raise Cancelled("the job was cancelled") from error
        raise
    finally:
        _remove(folders)
    return said


@contextmanager
def opened(file: BinaryIO) -> Iterator[Archive]:
    """Open a zip, whose names and claims are checked.

    Raises:
        ImageError: it is damaged, or not a plain zip of an OME-Zarr.
    """
    with saying_what_is_damaged("the stream", "zip"), zipfile.ZipFile(cast(BinaryIO, _Shallow(file))) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES:
            raise TooManyPixelsError(f"the zip has {len(entries)} entries; this service takes at most {MOST_ENTRIES}")
        if sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise _too_large()
        files = _checked(entries)
        root = _root(files)
        yield Archive(archive, {name.removeprefix(root): entry for name, entry in files.items()}, root)


def unpack(archive: Archive, folder: Path, cancel: Callable[[], bool], only: tuple[str, ...] = ()) -> None:
    """Unpack a store.

    Args:
        archive: with all entries whole, which is checked in any case.
        folder: there already, and empty.
        cancel: asked whether to stop.
        only: write files of these names alone.

    Raises:
        ImageError: more comes out than may, or an entry is damaged.
        Cancelled: as asked.
    """
    bytes_left, metadata_left = MOST_BYTES, MOST_METADATA
    for name, entry in archive.entries.items():
        if cancel():
            raise Cancelled("the job was cancelled")
        written = not only or PurePosixPath(name).name in only
        path = folder / name if written else None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with saying_what_is_damaged("the stream", "zip"):
            size = _unpack_one(archive.file, entry, path, bytes_left)
        bytes_left -= size
        metadata_left -= size if only and written else 0
        if metadata_left < 0:
            raise ImageError("what describes the arrays of the OME-Zarr is enormous")


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path | None, most: int) -> int:
    """Read an entry to its end, where its checksum is compared; give its size."""
    size = 0
    with archive.open(entry) as source, Path(path or os.devnull).open("wb") as target:
        while part := source.read(PART):
            size += len(part)
            if size > most:
                raise _too_large()
            target.write(part)
    if size != entry.file_size:
        raise ImageError("an entry of the zip is cut off", got=size, expected=entry.file_size)
    return size


def _checked(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files of a zip by their names, which are plain and fit together."""
    files: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        is_folder = name.endswith("/")
        _check_kind(entry, is_folder)
        path = _plain(name.removesuffix("/"), name)
        if path.casefold() in seen:
            raise ImageError("the zip has two entries of one name", got=repr(name)[:80])
        seen.add(path.casefold())
        parents = [parent.as_posix().casefold() for parent in PurePosixPath(path).parents][:-1]
        folders.update(parents, [path.casefold()] if is_folder else [])
        if not is_folder and PurePosixPath(path).parts[0] != JUNK:
            files[path] = entry
    both = next((name for name in files if name.casefold() in folders), None)
    if both is not None:
        raise ImageError("an entry of the zip is a file and a folder", got=repr(both)[:80])
    return files


def _check_kind(entry: zipfile.ZipInfo, is_folder: bool) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
        raise ImageError("the zip holds something else than plain files", got=repr(entry.orig_filename)[:80])
    if entry.flag_bits & 1:
        raise ImageError("the zip is encrypted", fix="Send it without a password.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImageError("the zip is compressed in an unusual way", expected="stored or deflated entries")


def _plain(path: str, name: str) -> str:
    """A path that is relative, normal, and the same on all systems."""
    parts = path.split("/")
    plain = all(part not in ("", ".", "..") and len(part) <= LONGEST_PART for part in parts)
    if not plain or len(path) > LONGEST_NAME or not path.isprintable() or any(letter in path for letter in '\\:<>"|?*'):
        raise ImageError(
            "the zip has an entry with a name that is not allowed", got=ascii(name)[:80], expected="such as 0/c/0/0"
        )
    return path


def _root(files: dict[str, zipfile.ZipInfo]) -> str:
    """The folder that is the store, with a slash; nothing where it is the zip itself."""
    if any(marker in files for marker in MARKERS):
        return ""
    top = {name.partition("/")[0] for name in files}
    root = f"{next(iter(top), '')}/"
    if len(top) != 1 or not any(root + marker in files for marker in MARKERS):
        raise ImageError(
            "the upload is a zip file without an OME-Zarr",
            expected="zarr.json or .zgroup at its top or in its only folder",
            fix="Zip one OME-Zarr folder, or send a TIFF.",
        )
    return root


def _restored(
    source: Path,
    target: Path,
    options: Options,
    progress: Callable[[float], None],
    models: Models,
    cancel: Callable[[], bool],
) -> dict[str, Any]:
    """Denoise a folder as the command line does."""
    started, said = time.monotonic(), list[str]()
    task = options.task()
    restorer = Restorer(task, said.append, models=lambda name: models.get(name, options.precision))
    facts = None
    with open_rows(source, data_range=task.data_range) as rows:
        if rows is not None and rows.pages * rows.height * rows.row_bytes > STREAMED_BYTES:
            facts = restorer.stream(rows, "the upload", target, progress, cancel)
    if facts is None:
        done, facts = restorer(read(source, data_range=task.data_range), "the upload", progress, cancel)
        write(target, done)
    return report_of_file("zarr", facts, said, options, time.monotonic() - started, _described(target))


def _described(folder: Path) -> dict[str, Any]:
    """What an OME-Zarr is, without reading its pixels."""
    store = zarr.open_store(folder, sys.maxsize)
    array = store.full
    sizes = dict(zip(store.pyramid.axes, array.shape, strict=True))
    height, width, channels = (int(sizes.get(axis, 1)) for axis in "YXC")
    planes = array.size // (height * width * channels)
    bits = 8 * array.dtype.itemsize
    said = {"format": "zarr", "width": width, "height": height, "planes": planes, "channels": channels}
    return {**said, "alpha": False, "dtype": str(array.dtype), "bits": bits}


def _pack(folder: Path, root: str, target: Path, cancel: Callable[[], bool]) -> None:
    """Zip a folder as its store came; chunks are compressed already, if at all."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if cancel():
                raise Cancelled("the job was cancelled")
            if path.is_file():
                archive.write(path, root + path.relative_to(folder).as_posix())


def _remove(folders: tuple[Path, ...]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _too_many(most: int) -> str:
    return f"the OME-Zarr has too many pixels; this service takes at most {most}"


def _too_large() -> TooManyPixelsError:
    return TooManyPixelsError(f"the zip unpacks to more than {MOST_BYTES} bytes, which is the most this service takes")
