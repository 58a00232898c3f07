"""The service as a process: killed, restarted, stopped, left by its clients."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from service_process import file_of, noisy, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FINISHED = {"done", "failed", "cancelled"}


def wait_for(client: object, jobs: list[str]) -> dict[str, str]:
    """The states of jobs once all are finished."""
    for _ in range(1200):
        states = {job: client.get(f"/v1/jobs/{job}").json()["state"] for job in jobs}  # type: ignore[attr-defined]
        if set(states.values()) <= FINISHED:
            return states
        time.sleep(0.1)
    raise AssertionError(f"not finished: {states}")


def test_killed_in_the_middle_of_jobs_it_loses_none_and_does_none_twice(tmp_path: Path) -> None:
    state = tmp_path / "state"
    jobs: list[str] = []
    with running(state) as service, service.client() as client:
        for seed in range(6):
            data = file_of(noisy(96, 96, seed=seed))
            jobs.append(client.post("/v1/jobs", files={"image": data}).json()["id"])
        large = file_of(noisy(800, 640))
        jobs.insert(3, client.post("/v1/jobs", files={"image": large}).json()["id"])
        while not any(client.get(f"/v1/jobs/{job}").json()["state"] == "done" for job in jobs):
            time.sleep(0.02)
        service.kill()
    with running(state) as service, service.client() as client:
        assert set(wait_for(client, jobs).values()) == {"done"}
        for job in jobs:
            assert client.get(f"/v1/jobs/{job}/result").status_code == 200
    connection = sqlite3.connect(state / "service.sqlite")
    rows = connection.execute("SELECT job, COUNT(*) FROM audit GROUP BY job").fetchall()
    connection.close()
    assert sorted(rows) == sorted((job, 1) for job in jobs)


def test_clients_that_go_away_half_way_do_no_harm(tmp_path: Path) -> None:
    with running(tmp_path / "state") as service, service.client() as client:
        host, port = service.url.removeprefix("http://").rstrip("/").split(":")
        head = f"POST /v1/denoise HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        for _ in range(5):
            with socket.create_connection((host, int(port))) as half:
                half.sendall(head.encode() + b"Content-Length: 100000\r\n\r\n" + part + b"x" * 1000)
        body = part + file_of(noisy(256, 256)) + b"\r\n--b--\r\n"
        for _ in range(3):  # sent whole, but nobody waits for the answer
            with socket.create_connection((host, int(port))) as impatient:
                impatient.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert client.post("/v1/denoise", files={"image": file_of(noisy(64, 64))}).status_code == 200
        until = time.monotonic() + 30
        while "noiseless_direct_requests 0.0" not in client.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_a_state_folder_that_takes_no_data_base_is_said_before_any_address(tmp_path: Path) -> None:
    (tmp_path / "service.sqlite").mkdir()  # like a disk that is full, no place for a data base
    command = [sys.executable, "-m", "noiseless", "serve", "--port", "0", "--state", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"noiseless: cannot keep jobs in {tmp_path}: got ")
    assert done.stderr.endswith("Free some space there, or name another: --state DIR.\n")


def test_two_services_do_not_share_a_state_and_a_taken_port_is_said(tmp_path: Path) -> None:
    with running(tmp_path / "state") as service:
        command = [sys.executable, "-m", "noiseless", "serve", "--port", "0", "--state", str(tmp_path / "state")]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 2
        assert "another service uses the folder" in second.stderr
        port = service.url.rstrip("/").rpartition(":")[2]
        taken = [sys.executable, "-m", "noiseless", "serve", "--port", port, "--state", str(tmp_path / "other")]
        third = subprocess.run(taken, capture_output=True, text=True, check=False, timeout=60)
        assert third.returncode == 2
        assert "cannot listen" in third.stderr
        assert len(third.stderr.strip().splitlines()) == 1


def test_stopped_it_leaves_unfinished_jobs_to_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state) as service, service.client() as client:
        job = client.post("/v1/jobs", files={"image": file_of(noisy(700, 700))}).json()["id"]
        while client.get(f"/v1/jobs/{job}").json()["state"] == "queued":
            time.sleep(0.05)
        service.process.terminate()
        assert service.process.wait(60) in (0, -15)
    with running(state) as service, service.client() as client:
        assert wait_for(client, [job]) == {job: "done"}


def test_an_upload_that_takes_too_long_is_408(tmp_path: Path) -> None:
    with running(tmp_path / "state", "--set", "upload_limit=1") as service:
        host, port = service.url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as slow:
            head = f"POST /v1/denoise HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
            slow.sendall(head.encode() + b"Content-Length: 100000\r\n\r\n" + part)
            answer = b""
            while b"longer than 1 seconds" not in answer:
                more = slow.recv(4096)
                assert more, answer
                answer += more
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_where_there_is_no_space_an_upload_is_507_and_what_fits_is_done(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of the size of files")
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process are set on Linux only")
    random = np.random.default_rng(0)
    on_the_disk, in_memory = (
        file_of(random.integers(0, 256, (side, side), np.uint8), "tiff") for side in (1200, 500)
    )  # an upload of more than a megabyte is on the disk already while it is received
    with running(tmp_path / "state") as service, service.client() as client:
        small = file_of(noisy(64, 64))

        def send(data: bytes) -> httpx2.Response:
            return client.post("/v1/jobs", files={"image": data})

        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        for data in (on_the_disk, in_memory):
            refused = send(data)
            assert refused.status_code == 507, refused.text
            assert "File too large" in refused.json()["detail"]
        kept = send(small).json()["id"]
        assert wait_for(client, [kept]) == {kept: "done"}
        assert [path.name for path in (service.state / "jobs").iterdir()] == [kept]
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert send(in_memory).status_code == 202
