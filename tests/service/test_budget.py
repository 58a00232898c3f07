"""The budget of decoded pixels: never exceeded, and whoever comes first is let in first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from noiseless.service.budget import Budget


def watched(amounts: list[int], whole: int, use: Callable[[list[asyncio.Task[None]]], Awaitable[None]]) -> list[int]:
    """Have tasks take amounts, each for a moment; the order in which they were let in."""
    let_in: list[int] = []
    held = [0]

    async def take(budget: Budget, number: int) -> None:
        async with budget.take(amounts[number]):
            let_in.append(number)
            held[0] += min(amounts[number], whole)
            assert held[0] <= whole
            await asyncio.sleep(0)
            held[0] -= min(amounts[number], whole)

    async def main() -> None:
        budget = Budget(whole)
        tasks = [asyncio.create_task(take(budget, number)) for number in range(len(amounts))]
        await use(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert budget._left == whole

    asyncio.run(asyncio.wait_for(main(), 10))
    return let_in


async def nothing(tasks: list[asyncio.Task[None]]) -> None:
    """Let them do as they like."""


def test_who_comes_first_is_first_even_where_a_smaller_one_would_fit() -> None:
    assert watched([6, 8, 1, 30, 2, 3], 10, nothing) == [0, 1, 2, 3, 4, 5]


def test_who_stops_waiting_makes_room_for_the_next() -> None:
    async def leave(tasks: list[asyncio.Task[None]]) -> None:
        await asyncio.sleep(0)
        tasks[1].cancel()

    assert watched([6, 8, 3], 10, leave) == [0, 2]


def test_who_stops_in_the_moment_of_being_let_in_gives_it_back() -> None:
    async def leave(tasks: list[asyncio.Task[None]]) -> None:
        while not tasks[0].done():
            await asyncio.sleep(0)
        tasks[1].cancel()

    assert watched([10, 10, 10], 10, leave)[-1] == 2
