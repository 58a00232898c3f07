"""Ctrl-C while files are worked on: the one in hand is finished; SIGTERM: it is given up, and nothing left behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from noiseless.training.interrupt import handling


@dataclass
class Interruption:
    """What Ctrl-C or SIGTERM asked for.

    Attributes:
        after_this_file: stop once the file in hand is done.
        now: stop at the next tile.
        terminated: it was SIGTERM.
        last: whether the file in hand is the last one.
    """

    after_this_file: bool = False
    now: bool = False
    terminated: bool = False
    last: bool = False


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interruption]:
    """Both set flags instead of tearing a file apart."""
    stop = Interruption()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.now = stop.after_this_file or stop.last
        stop.after_this_file = True
        if not stop.now:
            say("finishing the file in hand; press Ctrl-C again to stop at once")

    def end(number: int, frame: FrameType | None) -> None:
        stop.now = stop.after_this_file = stop.terminated = True

    with handling({signal.SIGINT: ask, signal.SIGTERM: end}):
        yield stop
