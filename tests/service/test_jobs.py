"""Jobs: sent, followed, fetched, blended, cancelled, and found again after a restart."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import noiseless

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from fastapi.testclient import TestClient
from PIL import Image as PillowImage

from noiseless.errors import OutputError
from noiseless.runtime.onnxruntime import OnnxRuntimeEngine
from noiseless.service import jobs as job_module
from noiseless.service import pipeline, queue, routes
from noiseless.service.app import create_app
from noiseless.service.engine import Restored, TooLongError, Work
from noiseless.service.logs import Log
from noiseless.service.options import Options
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import OUTCOME, Store

LOCAL = "http://127.0.0.1"
JOB: dict[str, Any] = {
    "name": "a.png", "options": {"model": "auto"}, "blend": False, "digest": "d", "pixels": 9, "client": "c"
}  # fmt: skip


def noisy(height: int = 40, width: int = 48) -> np.ndarray:
    """A dim 16-bit ramp with noise, as a sensor gives it."""
    generator = np.random.default_rng(3)
    ramp = np.linspace(900, 3000, width)[None, :] + generator.normal(0, 200, (height, width))
    return ramp.clip(0, 65535).astype(np.uint16)


def file_of(array: np.ndarray, kind: str = "tiff") -> bytes:
    buffer = io.BytesIO()
    noiseless.write(buffer, noiseless.Image.from_array(array), format=kind)
    return buffer.getvalue()


def start(folder: Path, **changes: object) -> TestClient:
    settings = ServiceSettings(state=str(folder), **{"threads": 1, **changes})  # type: ignore[arg-type]
    return TestClient(create_app(settings, Log(io.StringIO())), base_url=LOCAL)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with start(tmp_path_factory.mktemp("state")) as client:
        yield client


def send(client: TestClient, data: bytes, **fields: str) -> str:
    answer = client.post("/v1/jobs", files={"image": ("scan.tif", data)}, data=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    return str(answer.json()["id"])


def finished(client: TestClient, job: str) -> dict[str, Any]:
    """The job once it is finished, from the last of its events."""
    text = client.get(f"/v1/jobs/{job}/events").text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    shares = [event["progress"] for event in events if event["state"] == "running"]
    assert shares == sorted(shares)
    return dict(events[-1])


def test_a_job_gives_what_a_direct_request_gives(client: TestClient) -> None:
    data = file_of(noisy())
    job = send(client, data, noise="gaussian:2", strength="0.5")
    done = finished(client, job)
    assert (done["state"], done["progress"], done["report"]["model"]) == ("done", 1.0, "gray-small")
    direct = client.post("/v1/denoise", files={"image": data}, data={"noise": "gaussian:2", "strength": "0.5"})
    result = client.get(f"/v1/jobs/{job}/result")
    assert result.content == direct.content
    assert 'filename="scan.tif"' in result.headers["content-disposition"]
    assert client.get(f"/v1/jobs/{job}/result?strength=1").status_code == 422
    assert client.get(f"/v1/jobs/{job}/preview/after").status_code == 409


def test_what_a_blended_job_says_was_removed_is_that_of_its_strength(client: TestClient) -> None:
    data, removed = file_of(noisy()), []
    for blend in ("true", "false"):
        job = send(client, data, blend=blend, noise="gaussian:20", strength="0.25")
        removed.append(finished(client, job)["report"]["removed"])
    assert removed[0] == pytest.approx(removed[1], rel=0.02)


@pytest.mark.parametrize("strength", [0.0, 0.35, 1.0])
def test_a_blended_result_is_that_of_the_strength_without_computing_again(client: TestClient, strength: float) -> None:
    data = file_of(noisy())
    job = send(client, data, blend="true", noise="gaussian:2")
    assert finished(client, job)["state"] == "done"
    fields = {"noise": "gaussian:2", "strength": str(strength)}
    direct = client.post("/v1/denoise", files={"image": data}, data=fields)
    assert client.get(f"/v1/jobs/{job}/result?strength={strength}").content == direct.content


def test_a_job_keeps_what_means_black_and_white(client: TestClient) -> None:
    array = (noisy().astype(np.float32) * 4).astype(np.float32)
    buffer = io.BytesIO()
    np.save(buffer, array)
    job = send(client, buffer.getvalue(), blend="true", model="gray-nano", noise="gaussian:20", data_range="0,1020")
    assert finished(client, job)["state"] == "done"
    assert client.get(f"/v1/jobs/{job}/preview/after").status_code == 200
    got = np.load(io.BytesIO(client.get(f"/v1/jobs/{job}/result").content))
    asked = noiseless.denoise(array, model="gray-nano", noise="gaussian:20", data_range=1020)
    assert np.allclose(got, asked, atol=1e-2)
    assert not np.allclose(got, array, atol=1)


def test_small_images_of_one_size_are_computed_together_and_each_as_if_alone(tmp_path: Path) -> None:
    arrays = [np.random.default_rng(seed).normal(100, 3 + 9 * seed, (48, 48)).clip(0, 255) for seed in range(4)]
    shaded = np.random.default_rng(9).poisson(np.linspace(2, 200, 48 * 48).reshape(48, 48)).clip(0, 255)
    files = [file_of(array.astype(np.uint8), "png") for array in [*arrays, shaded]]
    with start(tmp_path) as client:
        alone = [client.post("/v1/denoise", files={"image": data}).content for data in files]
        engine = client.app.state.parts.engine  # type: ignore[attr-defined]
        images = [noiseless.read(io.BytesIO(data)) for data in files]
        works = [Work(image, Options()) for image in images]
        results = [result for result in engine._results(works) if isinstance(result, Restored)]
    for image, result, data in zip(images, results, alone, strict=True):
        assert np.array_equal(image.with_planes(result.planes).array, noiseless.read(io.BytesIO(data)).array)


def test_small_images_that_wait_are_computed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, busy = [], threading.Event()
    with start(tmp_path) as client, ThreadPoolExecutor(6) as clients:
        engine = client.app.state.parts.engine  # type: ignore[attr-defined]
        results = engine._results

        def counted(group: list[Work]) -> Any:
            sizes.append(len(group))
            busy.set()
            until = time.monotonic() + 30
            while len(sizes) == 1 and len(engine._small) < 5 and time.monotonic() < until:
                time.sleep(0.01)
            return results(group)

        monkeypatch.setattr(engine, "_results", counted)
        answers = [clients.submit(client.post, "/v1/denoise", files={"image": file_of(noisy())})]
        assert busy.wait(30)
        answers += [clients.submit(client.post, "/v1/denoise", files={"image": file_of(noisy())}) for _ in range(5)]
        assert {answer.result().status_code for answer in answers} == {200}
    assert sizes == [1, 5]


def test_events_tell_progress_and_the_time_left_and_small_images_need_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxRuntimeEngine.run

    def slow(self: OnnxRuntimeEngine, batch: Any, sigma: Any) -> Any:
        time.sleep(0.7 if len(batch) > 1 else 0)
        return run(self, batch, sigma)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", slow)
    stack = np.stack([noisy(256, 256)] * 12)  # three batches
    with start(tmp_path) as client:
        job = send(client, file_of(stack))
        while not client.get(f"/v1/jobs/{job}").json()["progress"]:
            time.sleep(0.05)
        assert client.post("/v1/denoise", files={"image": file_of(noisy())}).status_code == 200
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "running"
        answer = client.get(f"/v1/jobs/{job}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("event: job\ndata: {") for block in blocks)
    events = [json.loads(block.split("data: ")[1]) for block in blocks]
    assert events[-1]["state"] == "done"
    assert events[-1]["report"]["image"]["planes"] == 12
    left = [event["seconds_left"] for event in events if 0 < event["progress"] < 1]
    assert left
    assert all(0 < seconds < 600 for seconds in left)


def test_results_expire_after_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "EXPIRY_SECONDS", 0.05)
    with start(tmp_path, keep_hours=2 / 3600) as client:
        job = send(client, file_of(noisy()))
        done = finished(client, job)["finished"]
        while client.get(f"/v1/jobs/{job}").status_code == 200:
            assert time.time() < done + 30
            time.sleep(0.05)
        assert time.time() > done + 2
        assert client.get(f"/v1/jobs/{job}/result").status_code == 404
        while list((tmp_path / "jobs").iterdir()):  # its files go after its row
            assert time.time() < done + 30
            time.sleep(0.05)


def test_previews_show_dim_images_with_a_window(client: TestClient) -> None:
    job = send(client, file_of(noisy()), blend="true")
    assert finished(client, job)["state"] == "done"
    before, after = (client.get(f"/v1/jobs/{job}/preview/{which}") for which in ("before", "after"))
    low, high = map(float, before.headers["x-noiseless-window"].split(","))
    assert 0 < low < 1000
    assert 2500 < high < 4000
    assert after.headers["x-noiseless-window"] == before.headers["x-noiseless-window"]
    first, second = (np.asarray(PillowImage.open(io.BytesIO(each.content)), float) for each in (before, after))
    assert first.shape == second.shape == (40, 48)
    assert first.max() == 255
    assert np.diff(second).std() < 0.5 * np.diff(first).std()


def test_large_images_become_jobs_by_themselves(tmp_path: Path) -> None:
    with start(tmp_path, direct_pixels=1000) as client:
        answer = client.post("/v1/denoise", files={"image": file_of(noisy())})
        assert answer.status_code == 202
        job = answer.json()["id"]
        assert finished(client, job)["state"] == "done"
        assert client.get(f"/v1/jobs/{job}/result").status_code == 200


def test_jobs_count_among_the_images_that_were_denoised(tmp_path: Path) -> None:
    with start(tmp_path) as client:
        jobs = [send(client, file_of(noisy())) for _ in range(2)]
        assert [finished(client, job)["state"] for job in jobs] == ["done", "done"]
        counted = client.get("/metrics").text
    assert 'noiseless_images_total{model="gray-small"} 2.0' in counted
    assert f'noiseless_pixels_total{{model="gray-small"}} {2.0 * 40 * 48}' in counted


def test_the_model_of_most_images_is_loaded_and_its_speed_seen_before_anybody_comes(tmp_path: Path) -> None:
    with start(tmp_path) as client:
        parts = client.app.state.parts  # type: ignore[attr-defined]
        assert ("photo-small", "exact") in parts.models._loaded
        assert parts.pipeline.queue.rate not in (0, queue.FIRST_RATE)
        assert "noiseless_images_total{" not in client.get("/metrics").text


def test_a_service_that_takes_up_no_jobs_is_not_ready(tmp_path: Path) -> None:
    with start(tmp_path) as client:
        assert client.get("/readyz").status_code == 200
        client.portal.call(client.app.state.parts.jobs._tasks[0].cancel)  # type: ignore
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "jobs are not done"})
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("what", ["preview/before", "preview/after", "result?strength=0.5", "calibrate"])
def test_what_is_only_looked_at_is_decoded_within_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    decode, here, most = pipeline.decode, [0], [0]

    def counted(data: bytes, *how: Any) -> noiseless.Image:
        here[0] += 1
        most[0] = max(most[0], here[0])
        time.sleep(0.05)
        here[0] -= 1
        return decode(data, *how)

    monkeypatch.setattr(pipeline, "DECODED", 3000)  # one and a half images
    data = file_of(noisy())
    with start(tmp_path, threads=4) as client:
        job = send(client, data, blend="true")
        assert finished(client, job)["state"] == "done"
        for module in (job_module, routes):
            monkeypatch.setattr(module, "decode", counted)

        def look(_: int) -> int:
            if what == "calibrate":
                return int(client.post("/v1/calibrate", files={"image": data}).status_code)
            return int(client.get(f"/v1/jobs/{job}/{what}").status_code)

        with ThreadPoolExecutor(4) as clients:
            assert set(clients.map(look, range(8))) == {200}
    assert most == [1]


def test_jobs_can_be_cancelled_and_forgotten(client: TestClient) -> None:
    job = send(client, file_of(noisy(600, 600)))
    early = client.get(f"/v1/jobs/{job}/result")
    assert early.status_code == 409
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert client.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert client.get(f"/v1/jobs/{job}/result").status_code == 410
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert client.get(f"/v1/jobs/{job}").status_code == 404


@pytest.mark.parametrize("blend", ["false", "true"])
def test_a_result_that_goes_while_it_is_asked_for_is_404(client: TestClient, tmp_path: Path, blend: str) -> None:
    job = send(client, file_of(noisy()), blend=blend)
    assert finished(client, job)["state"] == "done"
    folder = client.app.state.parts.store.path(job, "").parent / job  # type: ignore[attr-defined]
    folder.rename(tmp_path / "gone")
    for what in ("result", "preview/before"):
        answer = client.get(f"/v1/jobs/{job}/{what}")
        assert (answer.status_code, "no such job" in answer.text) == (404, True)


def test_numbers_that_json_does_not_have_are_null(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of somebody's own may give anything."""
    monkeypatch.setattr(OnnxRuntimeEngine, "run", lambda self, batch, sigma: np.full_like(batch, np.nan))
    buffer = io.BytesIO()
    np.save(buffer, noisy().astype(np.float32) / 4000)
    given = {"files": {"image": buffer.getvalue()}, "data": {"noise": "gaussian:2"}}
    direct = client.post("/v1/denoise", headers={"Accept": "application/json"}, **given)
    assert (direct.status_code, direct.json()["removed"]) == (200, None)
    job = send(client, buffer.getvalue(), noise="gaussian:2")
    assert finished(client, job)["state"] == "done"
    assert client.get(f"/v1/jobs/{job}").json()["report"]["removed"] is None


def test_small_images_between_the_tiles_of_a_large_one_take_none_of_its_time(tmp_path: Path) -> None:
    with start(tmp_path, time_limit=1.0) as client:
        engine = client.app.state.parts.engine  # type: ignore[attr-defined]
        others = engine._others(lambda: time.sleep(0.6) or [])
        for _ in range(3):
            others()
        time.sleep(1.1)  # of its own
        with pytest.raises(TooLongError):
            others()


def test_names_that_are_no_jobs(client: TestClient) -> None:
    assert client.get(f"/v1/jobs/{'0' * 32}").status_code == 404
    for name in ("x", "..%2f..%2fetc", "0" * 31 + "G"):
        assert client.get(f"/v1/jobs/{name}").status_code == 404
    assert "no such job" in client.get("/v1/jobs/x/result").json()["detail"]


def test_blend_is_true_or_false(client: TestClient) -> None:
    answer = client.post("/v1/jobs", files={"image": file_of(noisy())}, data={"blend": "maybe"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "blend does not fit: got 'maybe', expected true or false"


def test_an_image_that_fails_says_why(client: TestClient) -> None:
    done = finished(client, send(client, file_of(noisy()), model="color-small"))
    assert done["state"] == "failed"
    assert "color-small takes images of 3 channels" in done["error"]


def test_a_job_that_takes_too_long_fails_and_the_next_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start(tmp_path, time_limit=1e-6) as client:
        done = finished(client, send(client, file_of(noisy())))
        assert done["state"] == "failed"
        assert "took too long" in done["error"]
        direct = client.post("/v1/denoise", files={"image": file_of(noisy())})
        assert (direct.status_code, "took too long" in direct.text) == (503, True)
        monkeypatch.setattr(client.app.state.parts.engine, "_time_limit", 600.0)  # type: ignore[attr-defined]
        assert finished(client, send(client, file_of(noisy())))["state"] == "done"


def test_a_restart_loses_no_job_and_does_none_twice(tmp_path: Path) -> None:
    """A service that was killed left one job done but for its row, one in the middle, and two waiting."""
    folder = tmp_path
    with start(folder) as client:
        done = send(client, file_of(noisy()))
        assert finished(client, done)["state"] == "done"
    store = Store(folder)
    waiting = [store.add(io.BytesIO(file_of(noisy())), JOB).id for _ in range(3)]
    begun = store.claim()
    assert begun is not None
    store.close()
    with sqlite3.connect(folder / "service.sqlite") as connection:
        connection.execute("UPDATE jobs SET state = 'running', outcome = NULL WHERE id = ?", (done,))
        connection.execute("DELETE FROM audit")
    connection.close()
    result = (folder / "jobs" / done / "result").stat().st_mtime_ns
    (folder / "jobs" / "stray").mkdir()
    with start(folder) as client:
        for job in [done, *waiting]:
            assert finished(client, job)["state"] == "done"
            assert client.get(f"/v1/jobs/{job}/result").status_code == 200
    assert (folder / "jobs" / done / "result").stat().st_mtime_ns == result
    assert not (folder / "jobs" / "stray").exists()
    with sqlite3.connect(folder / "service.sqlite") as connection:
        rows = connection.execute("SELECT job, COUNT(*) FROM audit GROUP BY job").fetchall()
    connection.close()
    assert sorted(rows) == sorted((job, 1) for job in [done, *waiting])


def test_a_job_that_ends_the_service_every_time_is_given_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = store.add(io.BytesIO(b"x"), JOB)
    for _ in range(3):
        claimed = store.claim()
        assert claimed is not None
        assert claimed.id == job.id
        store.recover()
    assert store.claim() is None
    failed = store.get(job.id)
    assert failed is not None
    assert failed.state == "failed"
    assert "stopped 3 times" in (failed.error or "")
    store.close()


def test_results_expire_the_oldest_first_where_there_is_no_more_space(tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = []
    for _ in range(3):
        jobs.append(store.add(io.BytesIO(b"x" * 1000), JOB))
        claimed = store.claim()
        assert claimed is not None
        store.finish(claimed, {"report": {"model": "m"}})
        time.sleep(0.01)
    waiting = store.add(io.BytesIO(b"x" * 1000), JOB)
    store.expire(0.0, 3500)
    assert [store.get(job.id) is not None for job in [*jobs, waiting]] == [False, True, True, True]
    store.expire(time.time() + 1, 10**9)
    assert [store.get(job.id) is not None for job in [*jobs, waiting]] == [False, False, False, True]
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [waiting.id]
    store.close()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store = Store(tmp_path)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OutputError, match="No space left"):
        store.add(io.BytesIO(b"x"), JOB)
    assert not list((tmp_path / "jobs").iterdir())
    assert store.claim() is None
    store.close()


def test_a_failure_is_noted_when_a_full_disk_has_space_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job was running for ever."""
    monkeypatch.setattr(job_module, "PAUSE_SECONDS", 0.01)
    with start(tmp_path) as client:
        store = client.app.state.parts.store  # type: ignore[attr-defined]
        end, full = store.end, [OutputError("cannot write the data base of jobs", got="full")] * 3

        def ends(*arguments: object) -> bool:
            if full:
                raise full.pop()
            return bool(end(*arguments))

        monkeypatch.setattr(store, "end", ends)
        job = finished(client, send(client, file_of(noisy()), model="color-small"))
        assert (job["state"], full) == ("failed", [])


def test_too_many_jobs_are_429(tmp_path: Path) -> None:
    with start(tmp_path, max_jobs=1) as client:
        store = client.app.state.parts.store  # type: ignore[attr-defined]
        for _ in range(6):
            store.add(io.BytesIO(file_of(noisy(300, 300))), JOB)
        answer = client.post("/v1/jobs", files={"image": file_of(noisy())})
        assert answer.status_code == 429
        assert answer.headers["retry-after"]


def test_outcome_is_written_last(tmp_path: Path) -> None:
    with start(tmp_path) as client:
        job = send(client, file_of(noisy()), blend="true")
        assert finished(client, job)["state"] == "done"
        folder = tmp_path / "jobs" / job
        times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert max(times, key=lambda name: times[name]) == OUTCOME
