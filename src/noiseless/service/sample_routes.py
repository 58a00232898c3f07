"""Images to try the page with: photographs that ship, and two made noisy here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from io import BytesIO
from typing import Annotated, Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Depends, Path, Response
from starlette.exceptions import HTTPException

from noiseless.data import samples
from noiseless.data.parts import middle
from noiseless.image import Image
from noiseless.io import read, write
from noiseless.noise import parse
from noiseless.service.parts import HasParts
from noiseless.service.preview import preview
from noiseless.service.schema import ERRORS, IMAGES, PREVIEW, Responses, error

router = APIRouter(tags=["service"])

SEED = 0
SIDE = 512


class Sample(NamedTuple):
    """An image to try.

    Attributes:
        file: what to call it.
        media_type: of the file.
        make: gives its bytes.
        model: that suits it.
    """

    file: str
    media_type: str
    make: Callable[[], bytes]
    model: str = "auto"


def _camera(number: int) -> bytes:
    return samples("noisy")[number].read_bytes()


def _photograph() -> bytes:
    """A colour photograph with white noise, as a PNG of 8 bits."""
    planes = _part(0)
    noisy = parse("gaussian:25").sample(planes, np.random.default_rng(SEED))
    return _saved(np.rint(255 * noisy.clip(0, 1)).astype(np.uint8), "png")


def _sensor() -> bytes:
    """A grey image as a scientific camera makes it: 14 bits in 16 and little light, a TIFF."""
    dim = 0.6 * _part(1).mean(0, keepdims=True)
    noisy = parse("poisson-gaussian:gain=0.01,read=0.02").sample(dim, np.random.default_rng(SEED))
    return _saved(np.rint(500 + 15_883 * noisy.clip(0, 1)).astype(np.uint16)[0], "tiff")


SAMPLES = {
    "camera": Sample("beacon-street.webp", "image/webp", functools.partial(_camera, 1)),
    "spiral": Sample("spiral.webp", "image/webp", functools.partial(_camera, 0)),
    "photograph": Sample("kitten-noisy.png", "image/png", _photograph, "color-small"),
    "sensor": Sample("osprey-16-bit.tif", "image/tiff", _sensor),
}

NOT_THERE: Responses = {401: ERRORS[401], 404: error("No such sample."), 422: ERRORS[422]}


async def sample_of(name: Annotated[str, Path(max_length=40)]) -> str:
    """The sample that a path names."""
    if name not in SAMPLES:
        raise HTTPException(404, "there is no such sample")
    return name


HasSample = Annotated[str, Depends(sample_of)]


@router.get("/v1/samples", summary="Images to try", responses={401: ERRORS[401]})
async def names() -> dict[str, Any]:
    """Names for the next call."""
    return {"samples": [{"name": name, "file": sample.file, "model": sample.model} for name, sample in SAMPLES.items()]}


@router.get(
    "/v1/samples/{name}",
    summary="An image to try",
    response_class=Response,
    responses={200: IMAGES, **NOT_THERE},
)
async def sample(name: HasSample, parts: HasParts) -> Response:
    """The file."""
    return Response(await parts.pipeline.run(_made, name), media_type=SAMPLES[name].media_type)


@router.get(
    "/v1/samples/{name}/preview",
    summary="An image to try, as a browser shows it",
    response_class=Response,
    responses={200: PREVIEW, **NOT_THERE},
)
async def sample_preview(name: HasSample, parts: HasParts) -> Response:
    """An 8-bit PNG."""
    return Response(await parts.pipeline.run(_shown, name), media_type="image/png")


@functools.cache
def _shown(name: str) -> bytes:
    image = read(BytesIO(_made(name)))
    return preview(image, image.planes(), 0).png


@functools.cache
def _made(name: str) -> bytes:
    return SAMPLES[name].make()


def _part(number: int) -> np.ndarray:
    """The middle of a photograph that ships, (C, H, W) float32 in [0, 1] units."""
    return np.ascontiguousarray(middle(read(samples("test")[number]).planes()[0], SIDE))


def _saved(array: np.ndarray, kind: str) -> bytes:
    buffer = BytesIO()
    picture = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    write(buffer, Image.from_array(picture), format=kind)
    return buffer.getvalue()
