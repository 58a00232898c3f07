"""Stopping between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Asked:
    """Whether to stop.

    Attributes:
        by: the signal that came first, where any did.
    """

    by: signal.Signals | None = None


@contextmanager
def interruptible() -> Iterator[Asked]:
    """Ctrl-C and SIGTERM are noted instead of tearing a step apart; a second one acts as usual."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        which = signal.Signals(number)
        asked.by = asked.by or which
        signal.signal(which, usual[which])

    for number in usual:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
