"""The queue of requests: so many at once, and no more pixels than are denoised within some seconds."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from starlette.exceptions import HTTPException

FIRST_RATE = 300_000.0
"""Pixels a second before anything is known."""

HALF_LIFE = 10.0
"""Seconds of work after which what was measured counts half."""

LONGEST_RETRY = 60


class Queue:
    """Lets requests in, as long as there is a place and what waits will be done soon.

    How long that takes is the pixels that wait over the pixels a second that were done while there was work: decoding,
    computing, encoding, and the jobs in between, all counted.

    Args:
        places: requests at once, those being received included.
        most_bytes: of these requests together; a single one may have more.
        longest_wait: seconds; who would wait longer is sent away.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self, places: int, most_bytes: int, longest_wait: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places, self._most_bytes, self._longest_wait, self._clock = places, most_bytes, longest_wait, clock
        self._here = self._bytes = self._images = self._pixels = 0
        self.expect(FIRST_RATE)
        self._counted_until = self._promised = -math.inf

    def expect(self, rate: float) -> None:
        """Take so many pixels a second as seen, for a second."""
        self._done, self._busy = rate, 1.0

    @property
    def here(self) -> int:
        """Requests that are here, those being received included."""
        return self._here

    @property
    def rate(self) -> float:
        """Pixels a second, as measured lately."""
        return self._done / self._busy

    @property
    def wait(self) -> float:
        """Seconds until what is here is done."""
        return self._pixels / self.rate

    @contextlib.contextmanager
    def place(self, size: int) -> Iterator[None]:
        """A place among the requests, for one of so many bytes.

        Raises:
            HTTPException: 429, there is none.
        """
        if self._here >= self._places or (self._here and self._bytes + size > self._most_bytes):
            raise self._full()
        self._here += 1
        self._bytes += size
        try:
            yield
        finally:
            self._here -= 1
            self._bytes -= size

    def check(self) -> None:
        """Refuse an image, even before it is received, where it would wait too long.

        Raises:
            HTTPException: 429, it would.
        """
        if self.wait >= self._longest_wait:
            raise self._full()

    @contextlib.contextmanager
    def work(self, pixels: int) -> Iterator[None]:
        """Have an image of so many pixels wait and be done within the block.

        Raises:
            HTTPException: 429, it would wait too long.
        """
        self.check()
        if not self._images:  # there was no work before
            self._counted_until = self._clock()
        self._images += 1
        self._pixels += pixels
        try:
            yield
            self._count(pixels)
        finally:
            self._images -= 1
            self._pixels -= pixels

    def _count(self, pixels: int) -> None:
        now = self._clock()
        seconds, self._counted_until = now - self._counted_until, now
        kept = 0.5 ** (seconds / HALF_LIFE)
        self._done, self._busy = kept * self._done + pixels, kept * self._busy + seconds

    def _full(self) -> HTTPException:
        """Come again when there is room; those who were sent away before have theirs first."""
        now, each = self._clock(), self.wait / max(1, self._images)
        room = now + max(0.0, self.wait - self._longest_wait) + each
        self._promised = min(max(room, self._promised + each), now + LONGEST_RETRY)
        return busy(self._promised - now)


def busy(seconds: float) -> HTTPException:
    """The answer of a service that takes no more at present: come again in so many seconds."""
    wait = str(min(max(1, math.ceil(seconds)), LONGEST_RETRY))
    return HTTPException(429, f"the queue is full; come again in {wait} seconds", {"Retry-After": wait})
