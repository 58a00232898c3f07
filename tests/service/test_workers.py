"""The tasks that do jobs outlive whatever goes wrong with one of them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from noiseless.errors import OutputError

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from noiseless.service import jobs as module
from noiseless.service.jobs import IN_HAND, Jobs
from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import CANCELLED, FAILED, INPUT, Store
from noiseless.service.uploads import Content

X = Content(b"x", "d", 9)
JOB: dict[str, Any] = {"name": "a", "options": {}, "blend": False, "digest": "d", "pixels": 9, "client": "c"}


class Broken:
    """A pipeline with a fault: nothing that it is asked to do ends well."""

    async def run(self, function: Callable[..., Any], *arguments: object) -> Any:
        raise RuntimeError("a fault of ours")


def tried(folder: Path, use: Callable[[Jobs, Store], Awaitable[None]]) -> None:
    """Use jobs, all of whose tasks must be at work before and after."""

    async def main() -> None:
        store = Store(folder)
        jobs = Jobs(ServiceSettings(state=str(folder)), store, Broken(), Log(io.StringIO()), Measures())  # type: ignore[arg-type]
        jobs.start()
        try:
            await use(jobs, store)
            assert jobs.is_alive
        finally:
            await jobs.stop()
            store.close()

    asyncio.run(main())


async def state_of(store: Store, job: str, wanted: str) -> None:
    """Wait until a job has a state."""
    for _ in range(500):
        if store.get(job).state == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{store.get(job).state}, not {wanted}")


def test_a_job_cancelled_while_it_waits_for_others(tmp_path: Path) -> None:
    async def use(jobs: Jobs, store: Store) -> None:
        async with jobs._in_hand.take(IN_HAND):
            job = await jobs.add(X, JOB)
            await state_of(store, job.id, "running")
            await jobs.cancel(store.get(job.id))
        await asyncio.sleep(0.1)
        assert store.get(job.id).state == CANCELLED

    tried(tmp_path, use)


def test_a_job_cancelled_while_it_is_claimed_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, done = Store.claim, []

    def cancelled(store: Store, **named: Any) -> Any:
        job = claim(store, **named)
        if job is not None:
            store.end(job.id, CANCELLED, "cancelled")
        return job

    monkeypatch.setattr(Store, "claim", cancelled)
    monkeypatch.setattr(Jobs, "_do", lambda *_: done.append(None))

    async def use(jobs: Jobs, store: Store) -> None:
        job = await jobs.add(X, JOB)
        await state_of(store, job.id, CANCELLED)
        await asyncio.sleep(0.1)
        assert not done

    tried(tmp_path, use)


def test_a_job_that_is_done_when_it_is_cancelled_is_forgotten(tmp_path: Path) -> None:
    async def use(jobs: Jobs, store: Store) -> None:
        job = store.add(io.BytesIO(b"x"), JOB)
        assert store.claim() is not None
        store.finish(job, {"report": {"model": "m"}})
        assert not store.end(job.id, CANCELLED, "cancelled")
        assert store.path(job.id, INPUT).exists()
        await jobs.cancel(job)  # as it was when the request came
        assert store.get(job.id) is None
        assert not store.path(job.id, INPUT).exists()

    tried(tmp_path, use)


def test_a_fault_while_the_data_base_is_written_leaves_it_usable(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UnicodeEncodeError):
        store.add(io.BytesIO(b"x"), JOB | {"name": "\ud800"})
    assert store.get(store.add(io.BytesIO(b"x"), JOB).id) is not None
    store.close()


def test_a_fault_fails_its_job_and_the_next_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "WORKERS", 1)

    async def use(jobs: Jobs, store: Store) -> None:
        for _ in range(2):
            job = await jobs.add(X, JOB)
            await state_of(store, job.id, FAILED)
            assert "its log says why" in str(store.get(job.id).error)

    tried(tmp_path, use)


def test_a_full_disk_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    claim, expire, full = Store.claim, Store.expire, [True]

    def refused(store: Store, *arguments: Any, **named: Any) -> Any:
        if full[0]:
            raise OutputError("the disk is full")
        return expire(store, *arguments) if arguments else claim(store, **named)

    monkeypatch.setattr(Store, "claim", refused)
    monkeypatch.setattr(Store, "expire", refused)

    async def use(jobs: Jobs, store: Store) -> None:
        await asyncio.sleep(0.1)
        full[0] = False
        job = await jobs.add(X, JOB)
        await state_of(store, job.id, FAILED)

    tried(tmp_path, use)
