"""Reading an upload: a form with one image and a few short fields, within the limits."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from noiseless.errors import ImageError, OutputError
from noiseless.io import pixel_count
from noiseless.io.video_source import HEAD, begins_like_a_film

FIELD = "image"
MOST_FIELDS = 8
LONGEST_FIELD = 4096
LONGEST_NAME = 120
ZIP = b"PK\x03\x04"

IMAGE, FILM, ZARR = "image", "film", "zarr"
"""What can be sent; all but images always become jobs."""

FORM = "multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """What came with a request.

    Attributes:
        file: the image's bytes, from the beginning; on the disk where there are many.
        name: of the file, as the client says; for showing only.
        fields: the other fields of the form.
    """

    file: BinaryIO
    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Content:
    """The bytes of an image, a film or a zip of an OME-Zarr, looked at but not decoded.

    Attributes:
        data: the bytes of an image.
        digest: their SHA-256.
        pixels: of all planes together, as the header says; of a film those that are held at once.
        file: the bytes of what is no image, which are not read at once, from the beginning.
        kind: IMAGE, FILM or ZARR.
    """

    data: bytes
    digest: str
    pixels: int
    file: BinaryIO | None = None
    kind: str = IMAGE

    @property
    def image(self) -> bytes:
        """The bytes of an image.

        Raises:
            ImageError: it is none.
        """
        if self.kind == FILM:
            raise ImageError("the upload is a film", expected="an image", fix="Send one of its frames.")
        if self.kind == ZARR:
            raise ImageError("the upload is an OME-Zarr", expected="an image", fix="Send one of its planes as a TIFF.")
        return self.data


@asynccontextmanager
async def received(request: Request, seconds: float) -> AsyncIterator[Upload]:
    """Receive a form, and let go of its file at the end.

    Args:
        request: its body is not read yet.
        seconds: in which it must have arrived.

    Raises:
        HTTPException: no form, no image in it, or too slow.
        OutputError: no space to keep it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"send a form ({FORM}) with the file in the field {FIELD}")
    form = await _form(request, seconds)
    try:
        yield _upload(form)
    finally:
        await form.close()


async def _form(request: Request, seconds: float) -> FormData:
    try:
        async with asyncio.timeout(seconds):
            return await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD)
    except TimeoutError as error:
        raise HTTPException(408, f"the upload took longer than {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload was cut off") from error
    except OSError as error:
        raise OutputError("no space for the upload", got=error.strerror) from error
    except (KeyError, ValueError, UnicodeError) as error:  # headers of a part that are no headers
        raise HTTPException(400, "the form is damaged") from error


def _upload(form: FormData) -> Upload:
    image = form.get(FIELD)
    if not isinstance(image, UploadFile):
        raise HTTPException(422, f"the form has no file in the field {FIELD}")
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return Upload(image.file, shown_name(image.filename or ""), fields)


def inspect(file: BinaryIO, most_pixels: int) -> Content:
    """Look at the header of an uploaded file; read an image.

    Args:
        file: from the beginning.
        most_pixels: of an image; of a film those that are held at once.

    Raises:
        ImageError: none of what can be sent.
        HTTPException: more pixels than allowed.
    """
    head = file.read(HEAD)
    file.seek(0)
    if begins_like_a_film(head):
        return _unread(file, most_pixels, FILM)
    if head.startswith(ZIP):
        return _unread(file, most_pixels, ZARR)
    data = file.read()
    pixels = pixel_count(BytesIO(data))
    if pixels > most_pixels:
        raise HTTPException(413, f"the image has {pixels} pixels; this service takes at most {most_pixels}")
    return Content(data, hashlib.sha256(data).hexdigest(), pixels)


def _unread(file: BinaryIO, most_pixels: int, kind: str) -> Content:
    from noiseless.service import archives, films

    look = {FILM: films.look, ZARR: archives.look}[kind]
    digest = hashlib.sha256()
    while part := file.read(1 << 20):
        digest.update(part)
    file.seek(0)
    pixels = look(file, most_pixels)
    file.seek(0)
    return Content(b"", digest.hexdigest(), pixels, file, kind)


def size_of(request: Request, most: int) -> int:
    """Bytes of a request's body, as it says itself; the most there may be where it does not say."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else most


def shown_name(name: str) -> str:
    """A file name without folders, control characters and what file systems dislike; ``"image"`` if nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter if letter.isprintable() and letter not in '<>:"|?*' else "_" for letter in last)
    return plain.strip(" .")[-LONGEST_NAME:] or "image"
