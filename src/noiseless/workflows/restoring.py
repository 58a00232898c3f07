"""Denoising files: read, choose the model, restore, mark, write; one bad file does not stop the others.

The next file is read and the last one written while the one in hand is denoised.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt

from noiseless.errors import Cancelled, NoiselessError
from noiseless.image import Image
from noiseless.io import check_fits, formats, read, write
from noiseless.io.atomic import make_folder
from noiseless.io.rows import open_rows
from noiseless.io.video_source import is_film
from noiseless.workflows.files import Failure, Job
from noiseless.workflows.interruption import Interruption, interruptible
from noiseless.workflows.restorer import Restorer
from noiseless.workflows.task import Progress, Report, Result, Say, Summary, Task

STREAMED_BYTES = 4 << 20
"""A TIFF or OME-Zarr whose values take more bytes than this is not read whole, where that can be."""

NEIGHBOURS = 0.05
"""Files are read ahead, and written behind, where each takes no larger share of the memory that was allowed."""


def restore_files(jobs: Sequence[Job], task: Task, *, say: Say, report: Report) -> Summary:
    """Denoise files one after another.

    Ctrl-C lets the file in hand be finished; a second one, or the first while the last file is in hand, stops at once.
    So does SIGTERM. A result appears whole or not at all.

    Args:
        jobs: which file becomes which, see `plan_jobs`.
        task: what to do.
        say: told a line where there is something to know.
        report: told how far the work is.

    Raises:
        NoiselessError: the model cannot be used.
    """
    restorer = Restorer(task, say, alone=len(jobs) == 1)
    with interruptible(say) as stop, _Line(jobs, task, restorer, stop) as line:
        for number, job in enumerate(jobs):
            if stop.after_this_file:
                break
            stop.last = number == len(jobs) - 1
            try:
                line.work(number, _within(report, number, len(jobs), job.name))
            except Cancelled:
                break
            if len(jobs) > 1 or not line.summary.failures:
                report((number + 1) / len(jobs), job.name)
    summary = line.summary
    summary.interrupted, summary.terminated = stop.after_this_file, stop.terminated
    return summary


Found = Image | Literal["rows", "film"]
"""An image that was read, or how else a file is to be read."""

Level = npt.NDArray[np.float32] | None
"""Of the noise of an image, where it was measured."""


class _Line:
    """An assembly line: a thread that reads and measures the noise, this one that denoises, a thread that writes.

    Use as a context manager: at its end everything that was begun is written.
    """

    def __init__(self, jobs: Sequence[Job], task: Task, restorer: Restorer, stop: Interruption) -> None:
        self.summary = Summary()
        self._jobs, self._task, self._restorer, self._stop = jobs, task, restorer, stop
        self._read = ThreadPoolExecutor(1, thread_name_prefix="noiseless-in")
        self._write = ThreadPoolExecutor(1, thread_name_prefix="noiseless-out")
        self._ahead: dict[int, Future[tuple[Found, Level]]] = {}
        self._behind: tuple[str, Result, Future[None]] | None = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *error: object) -> None:
        self._read.shutdown(cancel_futures=True)
        self._settle()
        self._write.shutdown()

    def work(self, number: int, progress: Progress) -> None:
        """Denoise a file and note what became of it.

        Raises:
            Cancelled: Ctrl-C or SIGTERM asked to stop at once.
        """
        job = self._jobs[number]
        try:
            self._work(number, job, progress)
        except Cancelled:
            raise
        except NoiselessError as error:
            self.summary.failures.append(Failure(job.name, error))

    def _work(self, number: int, job: Job, progress: Progress) -> None:
        started = time.perf_counter()
        result = Result(job.name, "standard output" if job.target is None else str(job.target))
        if self._is_done(job):
            result.skipped = True
            self.summary.results.append(result)
            return
        way, level = self._begin(number).result()
        if way == "film":
            self._film(job, result, progress)
        image = self._streamed(job, result, progress) if way == "rows" else way
        if isinstance(image, Image):
            self._restored(number, image, level, result, progress)
        result.seconds = round(time.perf_counter() - started, 3)

    def _restored(self, number: int, image: Image, level: Level, result: Result, progress: Progress) -> None:
        job = self._jobs[number]
        if self._is_small(image) and number + 1 < len(self._jobs) and not self._is_done(self._jobs[number + 1]):
            self._begin(number + 1)
        if job.target is not None:
            check_fits(image, formats.by_suffix(job.target), str(job.target))
        done, facts = self._restorer(image, job.name, progress, lambda: self._stop.now, level)
        vars(result).update(facts)
        self._settle()
        self._behind = job.name, result, self._write.submit(_put, job, done)
        if not self._is_small(image):
            self._settle()

    def _streamed(self, job: Job, result: Result, progress: Progress) -> Image | None:
        """Denoise a file that is not read whole; its image where that cannot be."""
        assert job.source is not None
        assert job.target is not None
        self._settle()
        with open_rows(job.source, data_range=self._task.data_range) as rows:
            assert rows is not None
            make_folder(job.target.parent)
            facts = self._restorer.stream(rows, job.name, job.target, progress, lambda: self._stop.now)
        if facts is None:
            return read(job.source, data_range=self._task.data_range)
        vars(result).update(facts)
        self.summary.results.append(result)
        return None

    def _film(self, job: Job, result: Result, progress: Progress) -> None:
        assert job.source is not None
        assert job.target is not None
        self._settle()
        make_folder(job.target.parent)
        vars(result).update(self._restorer.film(job.source, job.target, progress, lambda: self._stop.now))
        self.summary.results.append(result)

    def _begin(self, number: int) -> Future[tuple[Found, Level]]:
        """A file that is being read, from now on at the latest."""
        if number not in self._ahead:
            self._ahead = {number: self._read.submit(self._look, self._jobs[number])}
        return self._ahead[number]

    def _look(self, job: Job) -> tuple[Found, Level]:
        """Read a file, where that is the way, and measure its noise."""
        found = _get(job, self._task)
        return found, self._restorer.level_of(found) if isinstance(found, Image) else None

    def _settle(self) -> None:
        """Wait until the last file is written, and note what became of it."""
        if self._behind is None:
            return
        (name, result, writing), self._behind = self._behind, None
        try:
            writing.result()
            self.summary.results.append(result)
        except NoiselessError as error:
            self.summary.failures.append(Failure(name, error))

    def _is_done(self, job: Job) -> bool:
        return self._task.skip_existing and job.target is not None and job.target.exists()

    def _is_small(self, image: Image) -> bool:
        controls = self._task.options.get("controls")
        limit = None if controls is None else controls.max_memory
        return limit is None or image.array.nbytes <= NEIGHBOURS * limit


def _get(job: Job, task: Task) -> Found:
    """The image to denoise, or in which other way the file is read."""
    if job.source is None:
        return read(sys.stdin.buffer, data_range=task.data_range)
    if job.target is not None and is_film(job.source):
        return "film"
    if job.target is not None and formats.by_suffix(job.target) == formats.recognise_path(job.source):
        with open_rows(job.source) as rows:
            if rows is not None and rows.pages * rows.height * rows.row_bytes > STREAMED_BYTES:
                return "rows"
    return read(job.source, data_range=task.data_range)


def _put(job: Job, done: Image) -> None:
    if job.target is None:
        write(sys.stdout.buffer, done)
        return
    make_folder(job.target.parent)
    write(job.target, done)


def _within(report: Report, number: int, count: int, name: str) -> Progress:
    return lambda share: report((number + share) / count, name)
