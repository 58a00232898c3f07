"""Doing jobs: the next one is claimed, computed, written whole, and only then said to be done."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import numpy as np

from noiseless.errors import Cancelled, ConfigError, NoiselessError
from noiseless.image import Image
from noiseless.inference import blended
from noiseless.io import with_denoised_mark
from noiseless.io.atomic import replacing
from noiseless.service.budget import Budget
from noiseless.service.engine import Restored, Work
from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.options import Options
from noiseless.service.pipeline import Answer, Pipeline, decode, encode, marked, sentence
from noiseless.service.preview import Preview, preview
from noiseless.service.queue import busy
from noiseless.service.report import report
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import CANCELLED, FAILED, INPUT, OUTCOME, PLANES, QUEUED, RESULT, UNFINISHED, Job, Store

WORKERS = 4
"""Jobs in hand at once; one of them is computed, or several small ones together."""

IN_HAND = 16 << 20
"""Pixels of the jobs in hand; a larger one is alone."""

EXPIRY_SECONDS = 60.0

PAUSE_SECONDS = 1.0
"""After something went wrong, before it is tried again."""


@dataclass(eq=False)
class Running:
    """A job in hand.

    Attributes:
        share: that is done.
        cancelled: set where nobody wants it any more.
    """

    share: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)


class Jobs:
    """Does the jobs of a store, one after another.

    Args:
        settings: limits.
        store: of the jobs.
        pipeline: does the work.
        log: of what happens.
        measures: count what is done.
    """

    def __init__(
        self, settings: ServiceSettings, store: Store, pipeline: Pipeline, log: Log, measures: Measures
    ) -> None:
        self._settings, self._store, self._pipeline = settings, store, pipeline
        self._log, self._measures = log, measures
        self._running: dict[str, Running] = {}
        self._more = asyncio.Event()
        self._in_hand = Budget(IN_HAND)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take up what an earlier service left, and wait for more."""
        left = self._store.recover()
        if left:
            self._log("recovered", jobs=len(left))
        self._more.set()
        self._tasks = [asyncio.create_task(self._forever(step)) for step in (*[self._work] * WORKERS, self._expire)]

    @property
    def is_alive(self) -> bool:
        """Whether everything that takes up jobs is at work."""
        return not any(task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Leave what is in hand to the next service."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check_space(self) -> None:
        """Refuse a job that would find no place.

        Raises:
            HTTPException: 429, too many jobs wait, or their files take all the space there is for them.
        """
        if self._store.count(QUEUED) >= self._settings.max_jobs:
            raise busy(self._settings.max_jobs)
        if self._store.stored() > self._settings.max_stored:
            self._store.expire(0.0, self._settings.max_stored)
            if self._store.stored() > self._settings.max_stored:
                raise busy(EXPIRY_SECONDS)

    async def add(self, data: bytes, job: Mapping[str, Any]) -> Job:
        """Keep a job and have it done.

        Raises:
            HTTPException: 429, there is no place.
            OutputError: it cannot be kept.
        """
        await asyncio.to_thread(self.check_space)
        added = await asyncio.to_thread(self._store.add, BytesIO(data), job)
        self._more.set()
        return added

    async def cancel(self, job: Job) -> None:
        """Stop a job that is not finished; forget one that is."""
        running = self._running.get(job.id)
        if running is not None:
            running.cancelled.set()
        if job.state in UNFINISHED:
            await asyncio.to_thread(self._store.end, job.id, CANCELLED, "cancelled")
        else:
            await asyncio.to_thread(self._store.remove, job.id)

    async def described(self, job: Job) -> dict[str, Any]:
        """A job as clients see it."""
        ahead = await asyncio.to_thread(self._store.ahead, job) if job.state == QUEUED else 0
        running = self._running.get(job.id)
        share = running.share if running is not None else float(job.state == "done")
        elapsed = time.time() - (job.started or time.time())
        outcome = job.outcome or {}
        return {
            "id": job.id,
            "state": job.state,
            "progress": round(share, 4),
            "seconds_left": round(elapsed * (1 - share) / share, 1) if 0 < share < 1 else None,
            "ahead": ahead,
            "name": job.name,
            "options": dict(job.options),
            "created": job.created,
            "finished": job.finished,
            "report": outcome.get("report"),
            "error": job.error,
        }

    async def result(self, job: Job, strength: float | None) -> Answer:
        """The result of a job that is done, at another strength where the job keeps what that needs.

        Raises:
            ConfigError: it does not.
        """
        outcome = job.outcome or {}
        if job.blend:
            wanted = float(job.options["strength"]) if strength is None else strength
            return await self._pipeline.look(job.pixels, self._blended, job, wanted)
        if strength is not None:
            raise ConfigError("this job keeps its result at one strength", fix="Send it with blend=true.")
        data = await self._pipeline.run(self._store.path(job.id, RESULT).read_bytes)
        return Answer(data, outcome["media_type"], outcome["suffix"])

    async def preview(self, job: Job, after: bool, plane: int) -> Preview:
        """The input of a job, or its result at full strength, as a browser shows it."""
        return await self._pipeline.look(job.pixels, self._shown, job, after, plane)

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step again and again: what goes wrong in one (a full disk, a fault of ours) must not stop the rest."""
        while True:
            try:
                await step()
            except Exception as error:
                self._log("error", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _work(self) -> None:
        """Do the next job, or wait for one."""
        job = await asyncio.to_thread(self._store.claim)
        if job is None:
            self._more.clear()
            if await asyncio.to_thread(self._store.count, QUEUED) == 0:
                await self._more.wait()
            return
        running = self._running[job.id] = Running()
        try:
            async with self._in_hand.take(job.pixels):
                if not running.cancelled.is_set():  # while it waited
                    await self._do(job, running)
        except asyncio.CancelledError:
            self._store.put_back(job)
            raise
        except Exception:
            await asyncio.to_thread(self._store.end, job.id, FAILED, "the service failed at this job; its log says why")
            raise
        finally:
            del self._running[job.id]

    async def _do(self, job: Job, running: Running) -> None:
        """Do a job; whatever happens is said in its row."""
        try:
            model = await self._done(job, running)
            self._measures.count(model, job.pixels)
            self._log("job", job=job.id, state="done", model=model, digest=job.digest, client=job.client)
        except Cancelled:
            if not running.cancelled.is_set():  # the service stops
                raise asyncio.CancelledError from None
        except NoiselessError as error:
            await self._failed(job, error)

    async def _failed(self, job: Job, error: NoiselessError) -> None:
        await asyncio.to_thread(self._store.end, job.id, FAILED, sentence(error))
        self._log("job", job=job.id, state="failed", error=type(error).__name__)

    async def _done(self, job: Job, running: Running) -> str:
        options = Options(**job.options)
        data = await self._pipeline.run(self._store.path(job.id, INPUT).read_bytes)
        image = await self._pipeline.run(decode, data, self._settings.max_pixels)
        asked = replace(options, strength=1.0) if job.blend else options

        def progress(share: float) -> None:
            running.share = share

        restored = await self._pipeline.compute(Work(image, asked, progress, running.cancelled))
        outcome = await self._pipeline.run(self._written, job, image, restored, options)
        await asyncio.to_thread(self._store.finish, job, outcome)
        return restored.denoiser.name

    def _written(self, job: Job, image: Image, restored: Restored, options: Options) -> dict[str, Any]:
        """Write what a job has made, its outcome last."""
        folder = self._store.path(job.id, INPUT).parent
        answer = Answer(b"", "", "")
        if job.blend:
            with replacing(folder / PLANES) as file:
                np.save(file, restored.planes)
        else:
            answer = encode(marked(image, restored, options.strength))
            with replacing(folder / RESULT) as file:
                file.write(answer.data)
        said = report(image, image.planes(), restored, options)
        outcome = {"media_type": answer.media_type, "suffix": answer.suffix, "report": said}
        with replacing(folder / OUTCOME) as file:
            file.write(json.dumps(outcome).encode())
        return outcome

    def _blended(self, job: Job, strength: float) -> Answer:
        """The result at some strength: a share of the full effect, which was computed once."""
        image = self._image(job)
        if not strength:
            return encode(image)
        restored = np.load(self._store.path(job.id, PLANES), mmap_mode="r")
        planes = image.planes()
        mixed = blended(planes, restored, np.asarray(strength, np.float32))
        model = str((job.outcome or {})["report"]["model"])
        return encode(with_denoised_mark(image.with_planes(mixed), model, strength))

    def _shown(self, job: Job, after: bool, plane: int) -> Preview:
        image = self._image(job)
        path = self._store.path(job.id, PLANES)
        return preview(image, np.load(path, mmap_mode="r") if after else image.planes(), plane)

    def _image(self, job: Job) -> Image:
        return decode(self._store.path(job.id, INPUT).read_bytes(), self._settings.max_pixels)

    async def _expire(self) -> None:
        before = time.time() - 3600 * self._settings.keep_hours
        await asyncio.to_thread(self._store.expire, before, self._settings.max_stored)
        await asyncio.sleep(EXPIRY_SECONDS)
