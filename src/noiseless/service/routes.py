"""The routes that answer directly: denoise, calibrate, models, health, metrics."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import JSONResponse

from noiseless.calibration import noise_level
from noiseless.noise import Gaussian
from noiseless.service.measures import CONTENT_TYPE
from noiseless.service.options import AUTO, Options
from noiseless.service.parts import Parts
from noiseless.service.pipeline import Answer, decode
from noiseless.service.report import by_channel, described
from noiseless.service.schema import CALIBRATE, DENOISE, ERRORS, IMAGES
from noiseless.service.uploads import Content, inspect, received

router = APIRouter()


def parts_of(request: Request) -> Parts:
    """What the application is made of."""
    parts: Parts = request.app.state.parts
    return parts


HasParts = Annotated[Parts, Depends(parts_of)]


@router.post(
    "/v1/denoise",
    summary="Denoise an image",
    tags=["images"],
    response_class=Response,
    responses={200: IMAGES, **ERRORS},
    openapi_extra=DENOISE,
)
async def denoise(request: Request, parts: HasParts) -> Response:
    """The image comes back in its own format and depth, with its metadata; or, where `Accept` asks for
    `application/json`, numbers about it: the model, the estimated noise, what was removed, warnings.

    An image of many pixels becomes a job (202), whose address the answer and its header `Location` give.
    """
    with parts.pipeline.place():
        async with received(request, parts.settings.upload_limit) as upload:
            options = Options.from_form(upload.fields, parts.models.names)
            content = await parts.pipeline.run(inspect, upload.file, parts.settings.max_pixels)
        answer = await parts.pipeline.denoise(content, options, numbers=wants_numbers(request))
    return image_response(answer, upload.name)


@router.post(
    "/v1/calibrate",
    summary="Which noise is in an image",
    tags=["images"],
    responses=ERRORS,
    openapi_extra=CALIBRATE,
)
async def calibrate(request: Request, parts: HasParts) -> dict[str, Any]:
    """The noise of an image, in a form that the field `noise` of the other calls takes."""
    with parts.pipeline.place():
        async with received(request, parts.settings.upload_limit) as upload:
            content = await parts.pipeline.run(inspect, upload.file, parts.settings.max_pixels)
        return await parts.pipeline.run(_calibrated, content, parts.settings.max_pixels)


@router.get("/v1/models", summary="The models there are", tags=["service"])
async def models(parts: HasParts) -> dict[str, Any]:
    """Names for the field `model`, and the limits of this service."""
    settings = parts.settings
    limits = {"bytes": settings.max_upload, "pixels": settings.max_pixels, "direct_pixels": settings.direct_pixels}
    return {"default": AUTO, "models": parts.models.described(), "limits": limits}


@router.get("/healthz", summary="Whether the process lives", tags=["service"])
async def health() -> dict[str, str]:
    """Always the same answer."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether it can take work", tags=["service"], responses={503: {"description": "No."}})
async def ready(parts: HasParts) -> JSONResponse:
    """503 where the engine does not work."""
    if parts.engine.is_alive:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "the engine does not work"}, 503)


@router.get("/metrics", summary="Counters for Prometheus", tags=["service"], response_class=Response)
async def metrics(parts: HasParts) -> Response:
    """Prometheus' text format."""
    return Response(parts.measures.text(), media_type=CONTENT_TYPE)


def wants_numbers(request: Request) -> bool:
    """Whether a client would rather have numbers than the image."""
    kinds = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    return "application/json" in kinds and "*/*" not in kinds


def image_response(answer: Answer, name: str) -> Response:
    """A denoised image, or the numbers about it."""
    if answer.media_type == "application/json":
        return JSONResponse(answer.report)
    headers = {"Content-Disposition": attachment(name), **answer.headers}
    return Response(answer.data, media_type=answer.media_type, headers=headers)


def attachment(name: str) -> str:
    """The header that names a file, for old and new clients (RFC 6266)."""
    plain = name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _calibrated(content: Content, most_pixels: int) -> dict[str, Any]:
    image = decode(content.data, most_pixels)
    levels = np.mean([noise_level(plane) for plane in image.planes()], axis=0)
    sigma = [round(float(level), 6) for level in levels]
    noise = Gaussian(sigma[0] if len(sigma) == 1 else sigma)
    return {
        "noise": noise.to_dict(),
        "spec": noise.spec,
        "sigma": by_channel(levels[np.newaxis, :, np.newaxis, np.newaxis]),
        "image": described(image),
    }
