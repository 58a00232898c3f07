"""Reading: from a path or a stream to an Image, or to the bare pixels that training needs."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from noiseless.errors import ImageError, NoiselessError, TooManyPixelsError, ValueRangeError, missing_extra
from noiseless.image import DataRange, Image
from noiseless.io import formats
from noiseless.io.limits import pixel_limit
from noiseless.io.picture import ceiling, in_depth

if TYPE_CHECKING:
    import numpy.typing as npt

Source = str | Path | BinaryIO


def read(source: Source, *, data_range: DataRange | None = None, max_pixels: int | None = None) -> Image:
    """Read an image; the format is recognised by the content.

    The pixels are as stored: the EXIF orientation is kept in the metadata, not applied.

    Args:
        source: a path (of some formats a folder), or a binary stream (read to its end).
        data_range: a number (0 to that) or a pair (low, high). Without it integers span the bits that the file
            says they have, and floats [0, 1].
        max_pixels: a file that claims more is refused before it is decoded; see `noiseless.io.limits`.

    Raises:
        ImageError: missing, empty, truncated, damaged, enormous, not an image or of an unsupported kind; NaN or
            infinite values; neither a path nor a stream.
        ValueRangeError: float values far outside [0, 1] and no data range.
        MissingExtraError: the format needs an optional package.
    """
    limit = pixel_limit(max_pixels)
    if isinstance(source, str | Path) and formats.is_folder(source):
        return _decoded_folder(Path(source), limit, data_range)
    with _opened(source) as (file, name):
        return _decoded(file, name, limit, data_range)


def pixel_count(source: Source) -> int:
    """Pixels of all planes of an image file, from its header alone.

    Args:
        source: a path, or a binary stream (read to its end).

    Raises:
        ImageError: as for `read`, as far as the header shows it.
        ValueRangeError: as for `read`, from a format that has no header.
    """
    try:
        image = read(source, max_pixels=0)  # every codec compares before it decodes
    except ImageError as error:
        if isinstance(error.__cause__, TooManyPixelsError):
            return error.__cause__.pixels
        raise
    return image.count * image.height * image.width


def read_pixels(path: Source) -> npt.NDArray[Any]:
    """The pixels alone, for training data.

    Args:
        path: as for `read`.

    Returns:
        (C, H, W) without alpha: uint8 or uint16 that span their range, or float32 in [0, 1] units. C is 1, 3 or the
        number of channels; the planes of a stack count as channels. It may be a view that is not contiguous.

    Raises:
        ImageError, ValueRangeError: as for `read`.
    """
    image = read(path)
    if image.array.dtype.kind not in "bu" or image.array.dtype.itemsize > 2 or image.hidden is not None:
        planes = image.planes()
        return planes.reshape(-1, *planes.shape[2:])
    bits = 16 if image.array.dtype.itemsize == 2 else 8
    return in_depth(image.colours().reshape(-1, image.height, image.width), ceiling(image), bits)


def _decoded(file: BinaryIO, name: str, limit: int, data_range: DataRange | None) -> Image:
    key = _recognised(file, name)
    format_ = formats.named(key)
    file.seek(0)
    with saying_what_is_damaged(name, format_.name):
        image = format_.codec().decode(file, limit)
        checked = replace(image, metadata={"format": key, **image.metadata}).checked(data_range)
        return checked if data_range is not None else _noted(checked)


def _noted(image: Image) -> Image:
    """With a note where all integers lie within one of 255 steps of their range, as counts in 32 bits do."""
    array, (low, high) = image.array, image.data_range
    if array.dtype.kind not in "iu" or array.dtype.itemsize == 1:
        return image
    least, most = int(array.min()), int(array.max())
    if not 0 < most - least < (high - low) / 255:
        return image
    note = (
        f"{least} to {most} is next to nothing of {low:.0f} to {high:.0f}, which is taken for black to white: "
        "--set data_range=LOW,HIGH says what is"
    )
    return replace(image, metadata={**image.metadata, "notes": (*image.metadata.get("notes", ()), note)})


def _decoded_folder(path: Path, limit: int, data_range: DataRange | None) -> Image:
    key = formats.recognise_path(path)
    if key is None:
        raise ImageError(f"{path} is a folder", expected="an image file")
    format_ = formats.named(key)
    with saying_what_is_damaged(str(path), format_.name):
        image = format_.folder_codec().decode(path, limit)
        return replace(image, metadata={"format": key, **image.metadata}).checked(data_range)


@contextmanager
def saying_what_is_damaged(name: str, kind: str) -> Iterator[None]:
    """Make one clear error of whatever goes wrong while a file is decoded.

    Args:
        name: of the file.
        kind: of its format, as people write it.

    Raises:
        ImageError, ValueRangeError: with the name of the file.
    """
    try:
        yield
    except (ImageError, ValueRangeError) as error:  # says what is wrong, but not in which file
        raise type(error)(f"{name}: {error}") from error
    except NoiselessError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory", fix="Use a machine with more, or cut it up.") from error
    except ModuleNotFoundError as error:
        raise missing_extra(f"reading {name}, a {kind} file,", error) or error from None
    except Exception as error:  # decoders of other people meet bytes of other people: any exception means "damaged"
        raise damaged(name, kind, error) from error


def damaged(name: str, kind: str, error: Exception) -> ImageError:
    """The error for a file that a decoder cannot make out.

    Args:
        name: of the file.
        kind: of its format, as people write it.
        error: of the decoder.
    """
    return ImageError(
        f"cannot read {name}",
        got=f"a damaged or unusual {kind} file ({_first_line(error)})",
        fix="Save it again with another program, or leave it out.",
    )


def _recognised(file: BinaryIO, name: str) -> str:
    head = file.read(formats.HEAD)
    if not head:
        raise ImageError(f"{name} is empty", got="0 bytes", expected="an image")
    key = formats.recognise(head)
    if key is not None:
        return key
    kind = formats.unsupported_kind(head)
    readable = ", ".join(format_.name for format_ in formats.FORMATS.values())
    if kind is not None:
        raise ImageError(f"{name} is {kind} file, which is not supported", fix=f"Convert it to one of {readable}.")
    raise ImageError(f"{name} is not an image", got=f"a file that begins with {head[:8]!r}", expected=readable)


@contextmanager
def _opened(source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """An open, seekable file and what to call it."""
    if not isinstance(source, str | Path):
        yield io.BytesIO(_drained(source)), "the stream"
        return
    path = Path(source)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist", fix="Check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise ImageError(f"cannot open {path}", got=_first_line(error)) from error
    with file:
        yield (file if file.seekable() else io.BytesIO(_drained(file))), str(path)


def _drained(stream: BinaryIO) -> bytes:
    try:
        content = stream.read() if hasattr(stream, "read") else None
    except OSError as error:
        raise ImageError("cannot read the stream", got=_first_line(error)) from error
    if not isinstance(content, bytes | bytearray | memoryview):
        got = type(stream if content is None else content).__name__
        fix = "An array is an image already: noiseless.denoise(array), noiseless.Image.from_array(array)."
        raise ImageError("nothing to read", got=got, expected="a path or a binary stream", fix=fix)
    return bytes(content)


def _first_line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return textwrap.shorten(text, 120, placeholder=" ...")
