"""Progress of long work: a bar with the time left on a terminal, plain lines when piped; on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

INTERVAL = 10.0
"""Seconds between two plain lines, at least."""


class Step(Protocol):
    """Told how much more is done, and optionally what to say beside the bar."""

    def __call__(self, amount: float = 1, /, *, note: str = "") -> None:
        """`amount` more is done."""
        ...


@contextmanager
def progress(label: str, total: float, *, stream: TextIO | None = None, interval: float = INTERVAL) -> Iterator[Step]:
    """Show how far some work is.

    ```python
    with progress("Denoising", len(paths)) as step:
        for path in paths:
            step(1, note=path.name)
    ```

    Args:
        label: what is being done, for example ``"Denoising"``.
        total: the whole of the work, in any unit (images, steps, seconds).
        stream: where to; standard error if not given.
        interval: seconds between two plain lines, at least.

    Yields:
        A function to call whenever some more is done: ``step(amount, note="29.3 dB")``.
    """
    stream = sys.stderr if stream is None else stream
    if stream.isatty():
        with _bar(label, total, stream) as step:
            yield step
    else:
        lines = _Lines(label, total, stream, interval)
        yield lines
        lines.close()


def reaching(step: Step) -> Callable[[float, str], None]:
    """Tells a progress of total 1 the share that is done in all, and a note, instead of how much more is."""
    reached = 0.0

    def reach(share: float, note: str) -> None:
        nonlocal reached
        step(share - reached, note=note)
        reached = share

    return reach


@contextmanager
def _bar(label: str, total: float, stream: TextIO) -> Iterator[Step]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    console = Console(file=stream)
    with Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(label, total=total, note="")

        def step(amount: float = 1, /, *, note: str = "") -> None:
            if note:
                bar.update(task, advance=amount, note=note)
            else:
                bar.update(task, advance=amount)

        yield step


class _Lines:
    """`Step` that prints a line now and then."""

    def __init__(self, label: str, total: float, stream: TextIO, interval: float) -> None:
        self._label, self._total, self._stream, self._interval = label, total, stream, interval
        self._done, self._note = 0.0, ""
        self._start = self._last = time.monotonic()
        self._first: tuple[float, float] | None = None

    def __call__(self, amount: float = 1, /, *, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        now = time.monotonic()
        self._first = self._first or (now, amount)
        if self._done < self._total and now - self._last >= self._interval:
            self._last = now
            self._print(f"{clock(self._left(now))} left")

    def close(self) -> None:
        """Print the closing line, where anything was done."""
        if self._done:
            self._print(f"{clock(time.monotonic() - self._start)} taken")

    def _left(self, now: float) -> float:
        """Seconds, at the pace since the first call: what that one tells may have been done in an earlier run."""
        since, before = self._first or (self._start, 0.0)
        if self._done == before:
            since, before = self._start, 0.0
        pace = self._done - before
        return (now - since) * (self._total - self._done) / pace if pace else 0.0

    def _print(self, when: str) -> None:
        share = min(1.0, self._done / self._total) if self._total else 1.0
        note = f", {self._note}" if self._note else ""
        print(f"{self._label}: {share:.0%}, {when}{note}", file=self._stream, flush=True)


def clock(seconds: float) -> str:
    """A duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
