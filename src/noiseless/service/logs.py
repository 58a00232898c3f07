"""Structured logs: a line of JSON for each event, on standard error; never the content or the name of an image."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO


class Log:
    """Writes events.

    Args:
        stream: where to; standard error if not given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Write an event with its fields."""
        moment = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03}Z"
        line = json.dumps({"time": stamp, "event": event, **fields}, ensure_ascii=True, default=str)
        print(line, file=self._stream or sys.stderr, flush=True)
