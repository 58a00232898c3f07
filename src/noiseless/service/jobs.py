"""Doing jobs: the next one is claimed, computed, written whole, and only then said to be done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.errors import Cancelled, ConfigError, NoiselessError, OutputError
from noiseless.image import Image
from noiseless.inference import blended
from noiseless.io import with_denoised_mark
from noiseless.io.atomic import replacing
from noiseless.service import archives, films
from noiseless.service.budget import Budget
from noiseless.service.engine import Long, Restored, Work
from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.models import Models
from noiseless.service.options import Options
from noiseless.service.pipeline import Answer, Pipeline, decode, encode, marked, sentence
from noiseless.service.preview import Preview, preview
from noiseless.service.queue import busy
from noiseless.service.report import report
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import CANCELLED, FAILED, INPUT, OUTCOME, PLANES, QUEUED, RESULT, RUNNING, Job, Store
from noiseless.service.uploads import FILM, IMAGE, ZARR, Content

WORKERS = 4
"""Images in hand at once; one of them is computed, or several small ones together. One film or OME-Zarr is besides."""

IN_HAND = 16 << 20
"""Pixels of the images in hand; a larger one is alone."""

EXPIRY_SECONDS = 60.0

PAUSE_SECONDS = 1.0
"""After something went wrong, before it is tried again."""


@dataclass(frozen=True)
class Other:
    """How a file that is no image is done.

    Attributes:
        suffix_of: what its result ends in.
        restore: denoises it.
        media_types: of results, by their suffix.
    """

    suffix_of: Callable[[Path, str], str]
    restore: Callable[[Path, Path, Options, films.Progress, Models, Callable[[], bool]], dict[str, Any]]
    media_types: Mapping[str, str]


OTHERS = {
    FILM: Other(films.suffix_of, films.restore, films.MEDIA_TYPES),
    ZARR: Other(archives.suffix_of, archives.restore, archives.MEDIA_TYPES),
}


@dataclass(eq=False)
class Running:
    """A job in hand.

    Attributes:
        share: that is done.
        frames: of a film that are done.
        cancelled: set where nobody wants it any more.
    """

    share: float = 0.0
    frames: int | None = None
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
        self._more = {image: asyncio.Event() for image in (True, False)}
        self._in_hand = Budget(IN_HAND)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take up what an earlier service left, and wait for more."""
        left = self._store.recover()
        if left:
            self._log("recovered", jobs=len(left))
        steps = (*[self._work] * WORKERS, self._work_on_others, self._expire)
        self._tasks = [asyncio.create_task(self._forever(step)) for step in steps]

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
            raise busy(EXPIRY_SECONDS)
        if self._store.stored() > self._settings.max_stored:
            self._store.expire(0.0, self._settings.max_stored)
            if self._store.stored() > self._settings.max_stored:
                raise busy(EXPIRY_SECONDS)

    async def add(self, content: Content, job: Mapping[str, Any]) -> Job:
        """Keep a job for what was uploaded and have it done.

        Raises:
            HTTPException: 429, there is no place.
            OutputError: it cannot be kept.
        """
        await asyncio.to_thread(self.check_space)
        added = await asyncio.to_thread(self._store.add, content.file or BytesIO(content.data), job)
        self._more[added.kind == IMAGE].set()
        return added

    async def cancel(self, job: Job) -> None:
        """Stop a job that is not finished; forget one that is, by now."""
        self._stop(job)
        if await asyncio.to_thread(self._store.end, job.id, CANCELLED, "cancelled"):
            self._stop(job)  # it may have been taken up meanwhile
        else:
            await asyncio.to_thread(self._store.remove, job.id)

    def _stop(self, job: Job) -> None:
        if job.id in self._running:
            self._running[job.id].cancelled.set()

    async def described(self, job: Job) -> dict[str, Any]:
        """A job as clients see it."""
        ahead = await asyncio.to_thread(self._store.ahead, job) if job.state == QUEUED else 0
        running = self._running.get(job.id)
        share = running.share if running is not None else float(job.state == "done")
        elapsed = time.time() - (job.started or time.time())
        report = (job.outcome or {}).get("report") or {}
        return {
            "id": job.id,
            "state": job.state,
            "progress": round(share, 4),
            "seconds_left": round(elapsed * (1 - share) / share, 1) if 0 < share < 1 else None,
            "kind": job.kind,
            "frames": running.frames if running is not None else report.get("image", {}).get("frames"),
            "ahead": ahead,
            "name": job.name,
            "options": dict(job.options),
            "created": job.created,
            "finished": job.finished,
            "report": report or None,
            "error": job.error,
        }

    async def result(self, job: Job, strength: float | None) -> Answer:
        """The result of a job that is done, at another strength where the job keeps what that needs.

        Raises:
            ConfigError: it does not.
            FileNotFoundError: it has expired meanwhile.
        """
        outcome = job.outcome or {}
        if job.blend:
            wanted = float(job.options["strength"]) if strength is None else strength
            return await self._pipeline.look(job.pixels, self._blended, job, wanted)
        if strength is not None:
            raise ConfigError("this job keeps its result at one strength", fix="Send it with blend=true.")
        file = self._store.path(job.id, RESULT).resolve(strict=True)
        return Answer(b"", outcome["media_type"], outcome["suffix"], file=file)

    async def preview(self, job: Job, after: bool, plane: int) -> Preview:
        """The input of a job, or its result at full strength, as a browser shows it.

        Raises:
            ConfigError: it is no image.
            FileNotFoundError: it has expired meanwhile.
        """
        return await self._pipeline.look(job.pixels, self._shown, job, after, plane)

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step again and again: what goes wrong in one (a full disk, a fault of ours) must not stop the rest."""
        while True:
            try:
                await step()
            except Exception as error:  # see above; cancellation is no Exception, and ends the loop
                self._log("error", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _work(self, *, image: bool = True) -> None:
        """Do the next job, or wait for one."""
        self._more[image].clear()
        job = await asyncio.to_thread(self._store.claim, image=image)
        if job is None:
            await self._more[image].wait()
            return
        running = self._running[job.id] = Running()
        try:
            async with self._in_hand.take(job.pixels) if image else contextlib.nullcontext():
                if await self._is_wanted(job):
                    await self._do(job, running)
        except asyncio.CancelledError:
            self._store.put_back(job)
            raise
        except Exception:  # a fault of ours, or no space: its sender is told, and `_forever` notes what it was
            await self._end(job, "the service failed at this job; its log says why")
            if not running.cancelled.is_set():  # then its files are gone, and that is no fault
                raise
        finally:
            del self._running[job.id]

    async def _work_on_others(self) -> None:
        """As `_work`, for films and OME-Zarr: images do not wait for them, since each may take minutes."""
        await self._work(image=False)

    async def _is_wanted(self, job: Job) -> bool:
        """Whether a job was not cancelled before `cancel` found it among those in hand."""
        now = await asyncio.to_thread(self._store.get, job.id)
        return now is not None and now.state == RUNNING

    async def _do(self, job: Job, running: Running) -> None:
        """Do a job; whatever happens is said in its row."""
        try:
            one = self._one_image if job.kind == IMAGE else self._one_other
            model, pixels = await one(job, running)
            self._measures.count(model, pixels)
            self._log("job", job=job.id, state="done", model=model, digest=job.digest, client=job.client)
        except Cancelled:
            if not running.cancelled.is_set():  # the service stops
                raise asyncio.CancelledError from None
        except NoiselessError as error:
            await self._failed(job, error)

    async def _failed(self, job: Job, error: NoiselessError) -> None:
        source = self._store.path(job.id, INPUT)
        said = sentence(error)
        for path in (*(source.with_name(name) for name in archives.FOLDERS), source):
            said = said.replace(str(path), "the upload")
        said = said.replace(str(source.parent), "its folder")
        if await self._end(job, said):  # else it was cancelled meanwhile
            self._log("job", job=job.id, state="failed", error=type(error).__name__)

    async def _end(self, job: Job, said: str) -> bool:
        """Note that a job failed, as soon as the disk has space for that; whether it was unfinished still."""
        while True:
            try:
                return await asyncio.to_thread(self._store.end, job.id, FAILED, said)
            except OutputError as error:  # given up, it would be running for ever
                self._log("error", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _one_image(self, job: Job, running: Running) -> tuple[str, int]:
        options = Options(**job.options)
        data = await self._pipeline.run(self._store.path(job.id, INPUT).read_bytes)
        image = await self._pipeline.run(decode, data, self._settings.max_pixels, options.black_and_white())
        asked = replace(options, strength=1.0) if job.blend else options

        def progress(share: float) -> None:
            running.share = share

        restored = await self._pipeline.compute(Work(image, asked, progress, running.cancelled))
        outcome = await self._pipeline.run(self._written, job, image, restored, options)
        await asyncio.to_thread(self._store.finish, job, outcome)
        return restored.denoiser.name, job.pixels

    async def _one_other(self, job: Job, running: Running) -> tuple[str, int]:
        options, source = Options(**job.options), self._store.path(job.id, INPUT)
        work = OTHERS[job.kind]
        running.frames = 0 if job.kind == FILM else None
        suffix = await self._pipeline.run(work.suffix_of, source, job.name)
        target = source.with_name(f"made{suffix}")

        def progress(share: float, frames: int | None) -> None:
            running.share, running.frames = max(running.share, share), frames

        def restored(models: Models, cancel: Callable[[], bool]) -> dict[str, Any]:
            return work.restore(source, target, options, progress, models, cancel)

        said = await self._pipeline.compute_long(Long(restored, running.cancelled))
        outcome = {"media_type": work.media_types[suffix], "suffix": suffix, "report": said}
        await self._pipeline.run(self._kept, target, outcome)
        await asyncio.to_thread(self._store.finish, job, outcome)
        pixels = job.pixels if running.frames is None else running.frames * job.pixels // films.HELD
        return str(said["model"]), pixels

    def _kept(self, target: Path, outcome: Mapping[str, Any]) -> None:
        """Give a result its place, then write the outcome."""
        target.replace(target.with_name(RESULT))
        self._tell(target.parent, outcome)

    def _written(self, job: Job, image: Image, restored: Restored, options: Options) -> dict[str, Any]:
        """Write what a job has made, its outcome last."""
        folder = self._store.path(job.id, INPUT).parent
        answer = Answer(b"", "", "")
        if job.blend:
            with replacing(folder / PLANES) as file:
                np.save(file, restored.planes)
            share = np.asarray(options.strength, np.float32)
            restored = replace(restored, planes=blended(image.planes(), restored.planes, share))
        else:
            answer = encode(marked(image, restored, options.strength))
            with replacing(folder / RESULT) as file:
                file.write(answer.data)
        said = report(image, image.planes(), restored, options)
        outcome = {"media_type": answer.media_type, "suffix": answer.suffix, "report": said}
        self._tell(folder, outcome)
        return outcome

    def _tell(self, folder: Path, outcome: Mapping[str, Any]) -> None:
        """Write the outcome of a job, whose other files are there."""
        with replacing(folder / OUTCOME) as file:
            file.write(json.dumps(outcome).encode())

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
        if job.kind != IMAGE:
            raise ConfigError("only images have a preview", fix="Fetch the result when it is done.")
        image = self._image(job)
        path = self._store.path(job.id, PLANES)
        return preview(image, np.load(path, mmap_mode="r") if after else image.planes(), plane)

    def _image(self, job: Job) -> Image:
        data, data_range = self._store.path(job.id, INPUT).read_bytes(), Options(**job.options).black_and_white()
        return decode(data, self._settings.max_pixels, data_range)

    async def _expire(self) -> None:
        before = time.time() - 3600 * self._settings.keep_hours
        await asyncio.to_thread(self._store.expire, before, self._settings.max_stored)
        await asyncio.sleep(EXPIRY_SECONDS)
