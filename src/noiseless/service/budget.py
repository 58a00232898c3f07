"""A budget that is shared: whoever comes first is let in first."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Budget:
    """Lets in so much at once, in the order of coming; what exceeds the whole is let in alone.

    Args:
        whole: of it.
    """

    def __init__(self, whole: int) -> None:
        self._whole = self._left = whole
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        """Wait for a part of the budget and hold it."""
        part = min(amount, self._whole)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((part, turn))
        self._let_in()
        try:
            await turn
            yield
        finally:
            if not turn.cancelled():  # else nothing was given
                self._left += part
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            part, turn = self._waiting[0]
            if not turn.cancelled():
                if part > self._left:
                    return
                self._left -= part
                turn.set_result(None)
            self._waiting.popleft()
