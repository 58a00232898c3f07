"""The routes that answer directly: denoise, calibrate, models, health, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse

from noiseless.calibration import examine
from noiseless.service.measures import CONTENT_TYPE
from noiseless.service.options import AUTO, Options
from noiseless.service.parts import HasParts, Parts, client_of
from noiseless.service.pipeline import Answer, decode, result_name
from noiseless.service.report import described, finite
from noiseless.service.schema import CALIBRATE, DENOISE, ERRORS, IMAGES, JOB
from noiseless.service.store import Job
from noiseless.service.uploads import FILM, IMAGE, Content, Upload, inspect, received, size_of
from noiseless.workflows.restorer import no_range_for_films

router = APIRouter()

T = TypeVar("T")

GONE = 499
"""Status in the log of a client that did not wait for the answer."""


@router.post(
    "/v1/denoise",
    summary="Denoise an image",
    tags=["images"],
    response_class=Response,
    responses={200: IMAGES, 202: JOB, **ERRORS},
    openapi_extra=DENOISE,
)
async def denoise(request: Request, parts: HasParts) -> Response:
    """The image comes back in its own format and depth, with its metadata; or, where `Accept` asks for
    `application/json`, numbers about it: the model, the estimated noise, what was removed, warnings.

    An image of many pixels, a film, or an OME-Zarr in a zip becomes a job (202), whose address the answer and its
    header `Location` give.
    """
    parts.pipeline.queue.check()
    async with arrived(request, parts) as (upload, content):
        options, client = Options.from_form(upload.fields, parts.models.names), client_of(request)
        if content.kind != IMAGE or content.pixels > parts.settings.direct_pixels:
            job = new_job(upload.name, options, content, client)
            return await accepted(parts, await parts.jobs.add(content, job))
        work = parts.pipeline.denoise(content, options, numbers=wants_numbers(request))
        answer = await while_there(request, work)
    await asyncio.to_thread(parts.store.audit, client, answer.model, content.digest, options.to_dict())
    parts.measures.count(answer.model, content.pixels)
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
    async with arrived(request, parts) as (upload, content):
        options, most = Options.from_form(upload.fields, parts.models.names), parts.settings.max_pixels
        return await parts.pipeline.look(content.pixels, _calibrated, content.image, most, options)


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
    """503 where the engine, or what takes up jobs, does not work."""
    if not parts.engine.is_alive:
        return JSONResponse({"status": "the engine does not work"}, 503)
    if not parts.jobs.is_alive:
        return JSONResponse({"status": "jobs are not done"}, 503)
    return JSONResponse({"status": "ready"})


@router.get("/metrics", summary="Counters for Prometheus", tags=["service"], response_class=Response)
async def metrics(parts: HasParts) -> Response:
    """Prometheus' text format."""
    return Response(await asyncio.to_thread(parts.measures.text), media_type=CONTENT_TYPE)


@asynccontextmanager
async def arrived(request: Request, parts: Parts) -> AsyncIterator[tuple[Upload, Content]]:
    """Receive a form, when there is a place for it, and look at its file.

    The place is kept for the block; so is the file on the disk where it is no image.

    Args:
        request: its body is not read yet.
        parts: of the service.

    Raises:
        HTTPException: as `received`; or there is no place, or the image has more pixels than allowed.
        NoiselessError: as `inspect` and `received`.
    """
    settings = parts.settings
    with parts.pipeline.queue.place(size_of(request, settings.max_upload)):
        async with AsyncExitStack() as stack:
            upload = await stack.enter_async_context(received(request, settings.upload_limit))
            content = await parts.pipeline.run(inspect, upload.file, settings.max_pixels)
            if content.file is None:
                await stack.aclose()
            yield upload, content


def new_job(name: str, options: Options, content: Content, client: str, *, blend: bool = False) -> dict[str, Any]:
    """What a store keeps of a job.

    Raises:
        ConfigError: a data range for a film.
    """
    if content.kind == FILM and options.data_range != AUTO:
        raise no_range_for_films(options.data_range)
    said = {
        "options": options.to_dict(),
        "digest": content.digest,
        "pixels": content.pixels,
        "kind": content.kind,
    }
    return {"name": name, "blend": blend, "client": client, **said}


async def accepted(parts: Parts, job: Job) -> JSONResponse:
    """The answer to a request that became a job."""
    return JSONResponse(await parts.jobs.described(job), 202, {"Location": f"/v1/jobs/{job.id}"})


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for some work as long as the client does.

    Raises:
        HTTPException: the client went away; the work is cancelled.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HTTPException(GONE, "the client went away")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    """Wait until the client goes away; its request is received already."""
    while (await request.receive())["type"] != "http.disconnect":
        continue


def wants_numbers(request: Request) -> bool:
    """Whether a client would rather have numbers than the image."""
    kinds = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    return "application/json" in kinds and "*/*" not in kinds


def image_response(answer: Answer, name: str) -> Response:
    """A denoised image or film, or the numbers about it."""
    if answer.media_type == "application/json":
        return JSONResponse(answer.report)
    headers = {"Content-Disposition": attachment(result_name(name, answer.suffix)), **answer.headers}
    if answer.file is not None:
        return FileResponse(answer.file, media_type=answer.media_type, headers=headers)
    return Response(answer.data, media_type=answer.media_type, headers=headers)


def attachment(name: str) -> str:
    """The header that names a file, for old and new clients (RFC 6266)."""
    plain = name.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _calibrated(data: bytes, most_pixels: int, options: Options) -> dict[str, Any]:
    image = decode(data, most_pixels, options.black_and_white())
    found = examine(image)
    sigma = [round(255 * channel.sigma, 2) for channel in found.channels]
    said: dict[str, Any] = finite({**found.to_dict(), "sigma": sigma, "lines": found.lines()})
    return {**said, "image": described(image)}
