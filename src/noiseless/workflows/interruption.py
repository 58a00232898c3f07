"""Ctrl-C while files are worked on: the one in hand is finished; SIGTERM: it is given up, and nothing left behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


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
    """Both set flags instead of tearing a file apart; only where signals can be handled, in the main thread."""
    stop = Interruption()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.now = stop.after_this_file or stop.last
        stop.after_this_file = True
        if not stop.now:
            say("finishing the file in hand; press Ctrl-C again to stop at once")

    def end(number: int, frame: FrameType | None) -> None:
        stop.now = stop.after_this_file = stop.terminated = True

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = {number: signal.signal(number, act) for number, act in ((signal.SIGINT, ask), (signal.SIGTERM, end))}
    try:
        yield stop
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
