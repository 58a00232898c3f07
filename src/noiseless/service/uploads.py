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

from noiseless.errors import OutputError
from noiseless.io import pixel_count

FIELD = "image"
MOST_FIELDS = 8
LONGEST_FIELD = 4096
LONGEST_NAME = 120

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
    """The bytes of an image file, looked at but not decoded.

    Attributes:
        data: the bytes.
        digest: their SHA-256.
        pixels: of all planes together, as the header says.
    """

    data: bytes
    digest: str
    pixels: int


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
    """Read an uploaded file and look at its header.

    Args:
        file: from the beginning.
        most_pixels: of an image.

    Raises:
        ImageError: not an image.
        HTTPException: more pixels than allowed.
    """
    data = file.read()
    pixels = pixel_count(BytesIO(data))
    if pixels > most_pixels:
        raise HTTPException(413, f"the image has {pixels} pixels; this service takes at most {most_pixels}")
    return Content(data, hashlib.sha256(data).hexdigest(), pixels)


def size_of(request: Request, most: int) -> int:
    """Bytes of a request's body, as it says itself; the most there may be where it does not say."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else most


def shown_name(name: str) -> str:
    """A file name without folders, control characters and what file systems dislike; ``"image"`` if nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    plain = "".join(letter if letter.isprintable() and letter not in '<>:"|?*' else "_" for letter in last)
    return plain.strip(" .")[-LONGEST_NAME:] or "image"
