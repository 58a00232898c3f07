"""The table of formats. A file is recognised by its first bytes, never by its suffix; an output by its suffix.

Some formats are folders: these are recognised by a file that lies in every folder of the format.

Third parties add a format with an entry point of the group ``noiseless.formats`` that loads a `Format`.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol, cast

from noiseless.errors import UnknownNameError
from noiseless.image import Image

HEAD = 1024
"""Bytes from the beginning of a file that recognition looks at."""

GZIP = b"\x1f\x8b"

ENTRY_POINTS = "noiseless.formats"

SUFFIXES_ALIKE = 0.8
"""Who writes .jepg meant .jpeg; who writes .gif did not mean .tif."""


class Codec(Protocol):
    """What the module of a format family has."""

    def decode(self, file: BinaryIO, max_pixels: int) -> Image:
        """Read an image from an open, seekable file; any exception means that the file is damaged."""

    def encode(self, file: BinaryIO, image: Image) -> None:
        """Write an image that `refusal` accepts to an open, seekable, empty file."""

    def refusal(self, image: Image) -> str | None:
        """What about this image the format cannot hold, in a few words; ``None`` where it can hold all."""


class FolderCodec(Protocol):
    """What the module of a format has whose images are folders."""

    def decode(self, folder: Path, max_pixels: int) -> Image:
        """Read an image from a folder; any exception means that it is damaged."""

    def encode(self, folder: Path, image: Image) -> None:
        """Write an image that `refusal` accepts into an empty folder."""

    def refusal(self, image: Image) -> str | None:
        """As of `Codec`."""


@dataclass(frozen=True)
class Format:
    """A format family.

    Attributes:
        name: as people write it.
        suffixes: lower case, with the dot; the first is the usual one. Of a format that is only read, those of the
            format in which its images are written, which comes before it in the table.
        magic: matches the beginning of every file of the format.
        module: where its codec is; imported when first needed.
        holds_metadata: whether profile, EXIF, XMP and resolution fit in.
        holds_mark: whether the mark of a denoised image fits in.
        extra: of noiseless, that the format needs.
        markers: of a format whose images are folders: names of files, one of which lies in each; else none.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: re.Pattern[bytes]
    module: str
    holds_metadata: bool = True
    holds_mark: bool = True
    extra: str = ""
    markers: tuple[str, ...] = ()

    @property
    def folder(self) -> bool:
        """Whether an image of this format is a folder, not a file."""
        return bool(self.markers)

    def codec(self) -> Codec:
        """The module that reads and writes the format."""
        return cast(Codec, importlib.import_module(self.module))

    def folder_codec(self) -> FolderCodec:
        """The module that reads and writes the format, where it is one of folders."""
        return cast(FolderCodec, importlib.import_module(self.module))


def _magic(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


NEVER = _magic(rb"(?!)")
"""Matches no file: the magic of a format of folders."""

_NIFTI = (
    rb"(\x5c\x01\0\0.{340}n\+1\0|\0\0\x01\x5c.{340}n\+1\0|\x1c\x02\0\0n\+2\0\r\n\x1a\n|\0\0\x02\x1cn\+2\0\r\n\x1a\n)"
)

FORMATS: dict[str, Format] = {
    "png": Format("PNG", (".png",), _magic(rb"\x89PNG\r\n\x1a\n"), "noiseless.io.png"),
    "jpeg": Format("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), _magic(rb"\xff\xd8\xff"), "noiseless.io.jpeg"),
    "webp": Format("WebP", (".webp",), _magic(rb"RIFF.{4}WEBP"), "noiseless.io.webp"),
    "avif": Format("AVIF", (".avif",), _magic(rb".{4}ftyp(avi[fs]|m(if|sf)1.{4,24}avi[fs])"), "noiseless.io.avif"),
    "heic": Format(
        "HEIC",
        (".heic", ".heif", ".hif"),
        _magic(rb".{4}ftyp(hei[cxms]|hevc|hevx|m(if|sf)1)"),
        "noiseless.io.heic",
        extra="heif",
    ),
    "tiff": Format(
        "TIFF",
        (".tif", ".tiff", ".btf"),
        _magic(rb"(?!.{128}DICM)(II[\x2a\x2b]\0(?!.{4}CR)|MM\0[\x2a\x2b])"),
        "noiseless.io.tiff",
    ),
    "bmp": Format(
        "BMP",
        (".bmp", ".dib"),
        _magic(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
        "noiseless.io.bmp",
        False,
        False,
    ),
    "netpbm": Format(
        "PPM / PGM", (".ppm", ".pgm", ".pbm", ".pnm"), _magic(rb"P[1-6][\s#]"), "noiseless.io.netpbm", False, False
    ),
    "npy": Format("NumPy", (".npy",), _magic(rb"\x93NUMPY"), "noiseless.io.npy", False, False),
    "dicom": Format(
        "DICOM", (".dcm", ".dicom", ".ima"), _magic(rb".{128}DICM"), "noiseless.io.dicom", False, extra="medical"
    ),
    "nifti": Format("NIfTI", (".nii",), _magic(_NIFTI), "noiseless.io.nifti", False, extra="medical"),
    "nifti.gz": Format(
        "gzipped NIfTI", (".nii.gz",), _magic(GZIP + _NIFTI), "noiseless.io.nifti_gz", False, extra="medical"
    ),
    "raw": Format(
        "camera raw",
        (".tif",),
        _magic(rb".{4}ftypcrx |II\x2a\0.{4}CR|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0"),
        "noiseless.io.raw",
        extra="raw",
    ),
    "exr": Format("OpenEXR", (".exr",), _magic(rb"\x76\x2f\x31\x01"), "noiseless.io.exr", False, extra="exr"),
    "zarr": Format(
        "OME-Zarr",
        (".zarr",),
        NEVER,
        "noiseless.io.zarr",
        False,
        extra="microscopy",
        markers=("zarr.json", ".zgroup", ".zattrs", ".zarray"),
    ),
}

UNSUPPORTED: dict[str, re.Pattern[bytes]] = {
    "a GIF": _magic(rb"GIF8[79]a"),
    "a JPEG XL": _magic(rb"\xff\x0a|\0\0\0\x0cJXL "),
    "a JPEG 2000": _magic(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    "a Photoshop": _magic(rb"8BPS"),
    "a FITS": _magic(rb"SIMPLE  ="),
    "a NIfTI header without its pixels (.hdr and .img)": _magic(rb"(\x5c\x01\0\0|\0\0\x01\x5c).{340}ni1\0"),
    "an HDF5": _magic(rb"\x89HDF\r\n\x1a\n"),
    "a PDF": _magic(rb"%PDF"),
    "an icon": _magic(rb"\x00\x00\x01\x00[^\x00]"),
    "a video": _magic(rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI "),
    "a zip": _magic(rb"PK\x03\x04"),
    "a gzip": _magic(GZIP),
}
"""Files that are known, so that the error can name them, but not read."""


@functools.cache
def all_formats() -> Mapping[str, Format]:
    """The table and what third parties added; looks through the installed packages, so not at import."""
    from importlib.metadata import entry_points

    added = {point.name: cast(Format, point.load()) for point in entry_points(group=ENTRY_POINTS)}
    return {**added, **FORMATS}


def recognise(head: bytes) -> str | None:
    """The key of the format that a file begins like, or ``None``.

    Of a gzipped file the magic of a format sees the first two bytes, then what was compressed.

    Args:
        head: the first `HEAD` bytes, fewer where the file is shorter.
    """
    if head.startswith(GZIP):
        head = GZIP + _inflated(head)
    for key, format_ in FORMATS.items():
        if format_.magic.match(head):
            return key
    return next((key for key, format_ in all_formats().items() if format_.magic.match(head)), None)


def recognise_path(path: Path) -> str | None:
    """The key of the format of a file, by its first bytes, or of a folder, by what lies in it; ``None`` where none is,
    and for pipes and devices.

    A folder without the files of its format still counts where it has the suffix, so that it can be said what it lacks.
    """
    if is_folder(path):
        table = {key: format_ for key, format_ in all_formats().items() if format_.folder}
        inside = (key for key, format_ in table.items() if any(_is_file(path / name) for name in format_.markers))
        return next(inside, None) or _with_suffix(path.name.lower().lstrip("."), table)
    if is_special(path):
        return None
    try:
        with path.open("rb") as file:
            return recognise(file.read(HEAD))
    except OSError:
        return None


def is_folder_image(path: Path) -> bool:
    """Whether a folder is one image, and not a folder of images."""
    return is_folder(path) and recognise_path(path) is not None


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder of this name, whatever the name."""
    return os.path.isdir(path)  # noqa: PTH112 (the method of a path fails on names that are too long)


def is_special(path: Path) -> bool:
    """Whether there is a pipe or a device of this name: what is read from it is gone for who reads it after."""
    return os.path.exists(path) and not (_is_file(path) or is_folder(path))  # noqa: PTH110 (as `is_folder`)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (the method of a path fails in a folder without permission)


def _inflated(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD)
    except zlib.error:
        return b""


def unsupported_kind(head: bytes) -> str | None:
    """What a file is that noiseless knows but does not read, for example ``"a GIF"``; else ``None``."""
    return next((kind for kind, magic in UNSUPPORTED.items() if magic.match(head)), None)


def by_suffix(path: PurePath) -> str:
    """The key of the format that a file name asks for.

    Raises:
        UnknownNameError: no format has this suffix.
    """
    name = path.name.lower().lstrip(".")
    found = _with_suffix(name, FORMATS) or _with_suffix(name, all_formats())
    if found is not None:
        return found
    known = [suffix for format_ in all_formats().values() for suffix in format_.suffixes]
    raise UnknownNameError(f"image format of {path.name!r}: suffix", path.suffix.lower(), known, alike=SUFFIXES_ALIKE)


def _with_suffix(name: str, table: Mapping[str, Format]) -> str | None:
    return next((key for key, format_ in table.items() if name.endswith(format_.suffixes)), None)


def named(key: str) -> Format:
    """The format of a key such as ``"png"``.

    Raises:
        UnknownNameError: no format of this name.
    """
    if key in FORMATS:
        return FORMATS[key]
    table = all_formats()
    if key not in table:
        raise UnknownNameError("image format", key, table)
    return table[key]
