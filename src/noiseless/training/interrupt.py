"""Stopping between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Asked:
    """Whether to stop.

    Attributes:
        by: the signal that came first, where any did.
    """

    by: signal.Signals | None = None


@contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[int, Any], None]]) -> Iterator[None]:
    """Handle signals so for the block; only where that can be, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[Asked]:
    """Ctrl-C and SIGTERM are noted instead of tearing a step apart; a second one acts as usual."""
    asked = Asked()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: object) -> None:
        which = signal.Signals(number)
        asked.by = asked.by or which
        signal.signal(which, usual[which])

    with handling(dict.fromkeys(usual, ask)):
        yield asked
