"""The routes of jobs: send one, follow it, fetch its result and previews, cancel it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, StreamingResponse

from noiseless.service.options import Options, truth
from noiseless.service.parts import HasParts, Parts, client_of
from noiseless.service.routes import accepted, arrived, image_response, new_job
from noiseless.service.schema import ERRORS, EVENTS, IMAGES, JOB, PREVIEW, SUBMIT, Responses, error
from noiseless.service.store import DONE, UNFINISHED, Job
from noiseless.service.uploads import IMAGE

router = APIRouter(tags=["jobs"])

LOOK_SECONDS = 0.2
ALIVE_SECONDS = 15.0
MOST_EVENTS_SECONDS = 3600.0

NO_JOB = "there is no such job, or its result has expired"
NOT_THERE: Responses = {401: ERRORS[401], 404: error("No such job."), 422: ERRORS[422]}
NOT_DONE: Responses = {409: error("The job is not done."), 410: error("The job failed or was cancelled.")}


async def job_of(parts: HasParts, job: Annotated[str, Path(description="What `id` said.")]) -> Job:
    """The job that a path names."""
    found = await asyncio.to_thread(parts.store.get, job)
    if found is None:
        raise HTTPException(404, NO_JOB)
    return found


HasJob = Annotated[Job, Depends(job_of)]


async def done_job(job: HasJob) -> Job:
    """A job that is done."""
    if job.state in UNFINISHED:
        raise HTTPException(409, f"the job is {job.state}; its result is not there yet")
    if job.state != DONE:
        raise HTTPException(410, f"the job has no result: it {job.state}: {job.error}")
    return job


DoneJob = Annotated[Job, Depends(done_job)]


@contextlib.contextmanager
def not_there_any_more() -> Iterator[None]:
    """Files that went after their job was found are answered as a job that is not there."""
    try:
        yield
    except FileNotFoundError as gone:
        raise HTTPException(404, NO_JOB) from gone


@router.post(
    "/v1/jobs",
    summary="Send an image, a film or a zip of an OME-Zarr as a job",
    status_code=202,
    responses={202: JOB, **ERRORS},
    openapi_extra=SUBMIT,
)
async def submit(request: Request, parts: HasParts) -> JSONResponse:
    """The answer comes at once; the job is done when it is its turn, even if the service restarts in between.

    A film, or an OME-Zarr in a zip, can be sent too; its strength is settled here: `blend` holds for images alone.
    """
    async with arrived(request, parts) as (upload, content):
        fields = dict(upload.fields)
        blend = truth("blend", fields.pop("blend", "")) and content.kind == IMAGE
        job = new_job(
            upload.name, Options.from_form(fields, parts.models.names), content, client_of(request), blend=blend
        )
        return await accepted(parts, await parts.jobs.add(content, job))


@router.get("/v1/jobs/{job}", summary="How far a job is", responses={200: JOB, **NOT_THERE})
async def state(job: HasJob, parts: HasParts) -> JSONResponse:
    """Its state, progress and time left; once it is done, its report."""
    return JSONResponse(await parts.jobs.described(job))


@router.get(
    "/v1/jobs/{job}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={200: EVENTS, **NOT_THERE},
)
async def events(job: HasJob, parts: HasParts) -> StreamingResponse:
    """Server-sent events; the last one comes when the job is finished."""
    return StreamingResponse(_events(parts, job), media_type="text/event-stream")


@router.get(
    "/v1/jobs/{job}/result",
    summary="The denoised image",
    response_class=Response,
    responses={200: IMAGES, **NOT_THERE, **NOT_DONE},
)
async def result(
    job: DoneJob,
    parts: HasParts,
    strength: Annotated[
        float | None, Query(ge=0, le=1, allow_inf_nan=False, description="For a job that was sent with blend.")
    ] = None,
) -> Response:
    """The image, film or zip of an OME-Zarr in its own format and depth, with its metadata."""
    with not_there_any_more():
        return image_response(await parts.jobs.result(job, strength), job.name)


@router.get(
    "/v1/jobs/{job}/preview/{which}",
    summary="The image as a browser shows it",
    response_class=Response,
    responses={200: PREVIEW, **NOT_THERE, **NOT_DONE},
)
async def preview(
    job: HasJob,
    parts: HasParts,
    which: Literal["before", "after"],
    plane: Annotated[int, Query(ge=0, le=1_000_000, description="Of a stack.")] = 0,
) -> Response:
    """An 8-bit PNG, with a window around the values that the image uses; `after` is at full strength."""
    if which == "after" and not (await done_job(job)).blend:
        raise HTTPException(409, "this job keeps no preview; send it with blend=true")
    with not_there_any_more():
        shown = await parts.jobs.preview(job, which == "after", plane)
    low, high = shown.window
    headers = {"X-Noiseless-Window": f"{low:g},{high:g}", "X-Noiseless-Reduced": str(shown.reduced)}
    return Response(shown.png, media_type="image/png", headers=headers)


@router.delete("/v1/jobs/{job}", summary="Cancel or forget a job", status_code=204, responses=NOT_THERE)
async def cancel(job: HasJob, parts: HasParts) -> Response:
    """A job that is not finished stops; a finished one and its result are forgotten."""
    await parts.jobs.cancel(job)
    return Response(status_code=204)


async def _events(parts: Parts, job: Job) -> AsyncIterator[str]:
    last: dict[str, Any] = {}
    quiet = 0.0
    for _ in range(int(MOST_EVENTS_SECONDS / LOOK_SECONDS)):
        now = await parts.jobs.described(job)
        seen = {name: now[name] for name in ("state", "progress", "ahead")}
        if seen != last:
            last, quiet = seen, 0.0
            yield f"event: job\ndata: {json.dumps(now)}\n\n"
        if job.state not in UNFINISHED:
            return
        if quiet >= ALIVE_SECONDS:
            quiet = 0.0
            yield ": still there\n\n"
        await asyncio.sleep(LOOK_SECONDS)
        quiet += LOOK_SECONDS
        found = await asyncio.to_thread(parts.store.get, job.id)
        if found is None:
            return
        job = found
