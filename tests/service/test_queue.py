"""The queue of direct requests, by a clock that only moves when told."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from noiseless.cli import run
from noiseless.errors import ConfigError
from noiseless.service.settings import ServiceSettings

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from starlette.exceptions import HTTPException

from noiseless.service.queue import FIRST_RATE, LONGEST_RETRY, Queue


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def measured(rate: int, longest_wait: float = 10.0) -> tuple[Queue, Clock]:
    """A queue that has seen so many pixels a second for a long time."""
    clock = Clock()
    queue = Queue(1000, 10**9, longest_wait, clock)
    for _ in range(200):
        with queue.work(rate):
            clock.now += 1
    return queue, clock


def retry_after(queue: Queue) -> int:
    with pytest.raises(HTTPException) as refused:
        queue.check()
    assert refused.value.status_code == 429
    return int((refused.value.headers or {})["Retry-After"])


def test_the_rate_is_that_of_the_time_with_work() -> None:
    queue, clock = measured(5000)
    assert queue.rate == pytest.approx(5000, rel=0.01)
    clock.now += 3600  # nobody asks for anything
    assert queue.rate == pytest.approx(5000, rel=0.01)
    with queue.work(3000), queue.work(7000):
        clock.now += 2
    assert queue.rate == pytest.approx(5000, rel=0.01)


def test_the_rate_follows_a_machine_that_becomes_slower() -> None:
    queue, clock = measured(8000)
    for _ in range(60):
        with queue.work(1000):
            clock.now += 1
    assert queue.rate == pytest.approx(1000, rel=0.15)


def test_work_that_fails_is_not_counted_as_done() -> None:
    queue, _ = measured(4000)
    with pytest.raises(ValueError, match="damaged"), queue.work(10**9):
        raise ValueError("damaged")
    assert queue.rate == pytest.approx(4000, rel=0.01)
    assert queue.wait == 0


@pytest.mark.parametrize(("longest", "taken"), [(10.0, 20), (3.0, 6)])
def test_as_many_are_let_in_as_are_done_within_the_wait(longest: float, taken: int) -> None:
    queue, _ = measured(2000, longest)
    with ExitStack() as stack:
        while queue.wait < longest - 1e-9:
            stack.enter_context(queue.work(1010))
            assert queue.wait < longest + 1
        assert queue._images == taken
        with pytest.raises(HTTPException):
            stack.enter_context(queue.work(1))
    assert queue.wait == 0


def test_a_large_image_is_let_in_where_nothing_waits() -> None:
    queue, _ = measured(2000)
    with queue.work(10**7):
        assert retry_after(queue) == LONGEST_RETRY


def test_who_is_sent_away_is_told_when_there_is_room_and_each_later_than_the_one_before() -> None:
    queue, clock = measured(1000)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(queue.work(4000))
        assert queue.wait == pytest.approx(12, rel=0.01)
        told = [retry_after(queue) for _ in range(4)]
        # 2 s too much waits; images take 4 s each: the first may come in 6 s, each of the others 4 s later
        assert told == pytest.approx([6, 10, 14, 18], abs=1)
        clock.now += 5
        assert retry_after(queue) == pytest.approx(17, abs=1)


def test_nobody_is_told_to_come_after_ages() -> None:
    queue, _ = measured(1000)
    with queue.work(10**5):
        assert {retry_after(queue) for _ in range(20)} == {LONGEST_RETRY}


def test_what_is_guessed_before_anything_is_measured_is_soon_forgotten() -> None:
    clock = Clock()
    queue = Queue(10, 10**9, 10.0, clock)
    assert queue.rate == pytest.approx(FIRST_RATE)
    for _ in range(30):
        with queue.work(50_000):
            clock.now += 1
    assert queue.rate == pytest.approx(50_000, rel=0.25)


def test_places_are_bounded_too() -> None:
    queue = Queue(2, 10**9, 10.0, Clock())
    with queue.place(9), queue.place(9):
        assert queue.here == 2
        with pytest.raises(HTTPException), queue.place(9):
            pytest.fail("let in")
    assert queue.here == 0


def test_so_are_bytes_but_one_alone_may_have_more() -> None:
    queue = Queue(9, 1000, 10.0, Clock())
    with queue.place(2000), pytest.raises(HTTPException), queue.place(1):
        pytest.fail("let in")
    with queue.place(600), queue.place(400), pytest.raises(HTTPException), queue.place(1):
        pytest.fail("let in")
    with queue.place(1000):
        assert queue.here == 1


@pytest.mark.parametrize(("options", "longest"), [([], 30.0), (["--longest-wait", "2.5"], 2.5)])
def test_the_longest_wait_is_an_option(
    options: list[str], longest: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ServiceSettings] = []
    monkeypatch.setattr("noiseless.service.serve.serve", given.append)
    assert run(["serve", "--state", str(tmp_path), *options]) == 0
    assert [each.longest_wait for each in given] == [longest]


def test_a_wait_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="longest_wait does not fit"):
        ServiceSettings(longest_wait=0).checked()
