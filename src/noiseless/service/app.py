"""The application: routes, the page, and how errors are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from noiseless import __version__
from noiseless.errors import (
    Cancelled,
    InputError,
    MemoryLimitError,
    MissingExtraError,
    NoiselessError,
    OutputError,
    TooManyPixelsError,
)
from noiseless.service import job_routes, routes, sample_routes
from noiseless.service.engine import Engine, TooLongError
from noiseless.service.guard import Guard, refused
from noiseless.service.jobs import Jobs
from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.models import Models
from noiseless.service.parts import Parts
from noiseless.service.pipeline import Pipeline, sentence
from noiseless.service.queue import Queue
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import QUEUED, RUNNING, Store

PAGE = Path(__file__).parent / "page"

STATUS: tuple[tuple[type[NoiselessError], int], ...] = (
    (TooManyPixelsError, 413),
    (InputError, 422),
    (MemoryLimitError, 413),
    (OutputError, 507),
    (MissingExtraError, 422),
    (Cancelled, 503),
    (TooLongError, 503),
)
"""How errors are answered, the first that fits; others are 500."""


def create_app(settings: ServiceSettings, log: Log | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: how it is set up.
        log: where events go; standard error if not given.

    Raises:
        ConfigError: settings that cannot be used.
        BundleError: a model that cannot be used.
    """
    settings.checked()
    log = log or Log()
    measures, models = Measures(), Models(settings.models, settings.threads)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _running(settings, log, measures, models) as app.state.parts:
            yield

    app = FastAPI(title="noiseless", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    for part in (routes, job_routes, sample_routes):
        app.include_router(part.router)
    _add_page(app)
    _add_errors(app)
    app.add_middleware(Guard, settings=settings, log=log, measures=measures)
    if settings.origins:  # around the guard: browsers ask without the token whether they may send it
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization"],
            expose_headers=["*"],
        )
    return app


@asynccontextmanager
async def _running(settings: ServiceSettings, log: Log, measures: Measures, models: Models) -> AsyncIterator[Parts]:
    """Everything that works, from the start of the service to its end."""
    engine = Engine(models, settings.time_limit)
    pipeline = Pipeline(settings, engine)
    store = Store(settings.folder)
    jobs = Jobs(settings, store, pipeline, log, measures)
    _watch(measures, pipeline.queue, store)
    await pipeline.warm_up()
    jobs.start()
    yield Parts(settings, log, measures, models, engine, pipeline, store, jobs)
    await jobs.stop()
    engine.stop()
    pipeline.close()
    store.close()


def _watch(measures: Measures, queue: Queue, store: Store) -> None:
    """What `/metrics` asks for when somebody looks."""
    measures.watch("direct_requests", "Requests with an image that are here.", lambda: queue.here)
    measures.watch("expected_wait_seconds", "Until the direct requests are done.", lambda: queue.wait)
    measures.watch("pixels_per_second", "Of direct requests, while there are any.", lambda: queue.rate)
    measures.watch("jobs_waiting", "Jobs that wait.", lambda: store.count(QUEUED))
    measures.watch("jobs_running", "Jobs in hand.", lambda: store.count(RUNNING))


def _add_page(app: FastAPI) -> None:
    """The page and the API's documentation; every file they need comes from here."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return FileResponse(PAGE / "docs.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")


def _add_errors(app: FastAPI) -> None:
    """Every error is one clear sentence."""

    @app.exception_handler(NoiselessError)
    async def ours(request: Request, error: NoiselessError) -> JSONResponse:
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 500)
        return refused(request.scope, HTTPException(status, sentence(error)))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return refused(request.scope, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(map(str, first.get("loc", ())[1:]))
        return refused(request.scope, HTTPException(422, f"{place} does not fit: {first.get('msg', '')}"))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        state = request.app.state.parts
        state.log("error", request_id=request.state.request_id, error=f"{type(error).__name__}: {error}")
        return refused(request.scope, HTTPException(500, "the service failed; its log says more under this request_id"))
