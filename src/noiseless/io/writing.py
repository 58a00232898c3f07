"""Writing: an Image to a path, whole or not at all, or to a stream."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from noiseless.errors import ImageError, NoiselessError, OutputError, missing_extra
from noiseless.image import Image
from noiseless.io import formats
from noiseless.io.atomic import not_written, replacing, replacing_folder

Target = str | Path | BinaryIO


def write(target: Target, image: Image, *, format: str | None = None, overwrite: bool = True) -> None:
    """Write an image, with the metadata that it came with as far as the format can hold them.

    Args:
        target: a path, or a binary stream.
        image: what to write.
        format: a key of `FORMATS`; without it the suffix of the path decides, and for a stream the format that the
            image was read from.
        overwrite: whether a file that is there may be replaced.

    Raises:
        UnknownNameError: no format of this suffix or name.
        ImageError: the format cannot hold this image (the error names formats that can), or this is no `Image`.
        OutputError: the target cannot be written; nothing is left half-written, and what was there before is intact.
    """
    if not isinstance(image, Image):
        fix = "Make one of an array: noiseless.Image.from_array(array)."
        raise ImageError("only a noiseless.Image can be written", got=type(image).__name__, fix=fix)
    if isinstance(target, str | Path):
        path = Path(target)
        key = format or formats.by_suffix(path)
        check_fits(image, key, str(path))
        if formats.named(key).folder:
            _write_folder(path, image, key, overwrite)
            return
        with replacing(path, overwrite=overwrite) as file:
            _encode(file, image, key, str(path))
        return
    key = format or str(image.metadata.get("format", ""))
    if not key:
        raise ImageError("no format for the output stream", expected=f"one of {', '.join(formats.FORMATS)}")
    if formats.named(key).folder:
        raise ImageError(
            f"an image of format {formats.named(key).name} is a folder, which no stream can take",
            fix="Name a file or a folder to write.",
        )
    check_fits(image, key, "the stream")
    buffer = io.BytesIO()
    _encode(buffer, image, key, "the stream")
    _send(target, buffer)


def check_fits(image: Image, format: str, name: str) -> None:
    """Raise ImageError where a format cannot hold an image, before any work is spent on it.

    Args:
        image: the image.
        format: a key of `FORMATS`.
        name: the target, for the message.
    """
    reason = formats.named(format).codec().refusal(image)
    if reason is None:
        return
    fitting = [entry for entry in formats.FORMATS.values() if entry.codec().refusal(image) is None]
    raise ImageError(
        f"cannot save {name} as {formats.named(format).name}",
        got=reason,
        fix=f"Formats that hold it: {', '.join(f'{entry.name} ({entry.suffixes[0]})' for entry in fitting)}.",
    )


def _write_folder(path: Path, image: Image, key: str, overwrite: bool) -> None:
    with replacing_folder(path, formats.named(key).markers, overwrite=overwrite) as folder, encoding(str(path)):
        formats.named(key).folder_codec().encode(folder, image)


def _encode(file: BinaryIO, image: Image, key: str, name: str) -> None:
    with encoding(name):
        formats.named(key).codec().encode(file, image)


@contextmanager
def encoding(name: str) -> Iterator[None]:
    """Make one clear error of whatever goes wrong while an image is encoded.

    Args:
        name: of the target.

    Raises:
        OutputError, MissingExtraError: with that name.
    """
    try:
        yield
    except (NoiselessError, OSError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise missing_extra(f"writing {name}", error) or error from None
    except Exception as error:  # encoders of other people; what they refuse is not the user's mistake
        raise OutputError(f"cannot encode {name}", got=f"{type(error).__name__}: {error}") from error


def _send(stream: BinaryIO, buffer: io.BytesIO) -> None:
    rest = buffer.getbuffer()
    try:
        while rest:
            taken = stream.write(rest)  # without a buffer (python -u), what a full disk still takes
            rest = rest[len(rest) if taken is None else taken :]
        stream.flush()
    except OSError as error:
        raise not_written("cannot write to the stream", error) from error
