"""Zips of OME-Zarr, sent to a real service: what comes back, and what is refused before it is a job."""

from __future__ import annotations

import io
import shutil
import stat
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("zarr", reason="OME-Zarr needs the extra microscopy")

from service_process import Service, noisy, running
from zarr_files import ome_zarr, pixels_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OPTIONS = {"model": "gray-nano", "noise": "gaussian:20", "strength": "0.8"}
ROUTES = ("/v1/denoise", "/v1/jobs", "/v1/calibrate")


def zipped(files: Mapping[str, bytes], **options: Any) -> bytes:
    """A zip of files by their names, which are taken as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type = archive.compression
            archive.writestr(info, data)
    return buffer.getvalue()


def files_of(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, by the path within it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def finished(client: Any, job: str) -> dict[str, Any]:
    for _ in range(3000):
        now: dict[str, Any] = client.get(f"/v1/jobs/{job}").json()
        if now["state"] not in ("queued", "running"):
            return now
        time.sleep(0.02)
    raise AssertionError(now)


def refused(client: Any, data: bytes, *statuses: int) -> str:
    """What every route answers to an upload that is no job."""
    said = ""
    for route in ROUTES:
        answer = client.post(route, files={"image": ("image.zarr.zip", data)}, data={"model": "gray-nano"})
        assert answer.status_code in (statuses or (422,)), answer.text
        said = answer.json()["detail"]
        assert len(said.splitlines()) == 1
        assert "/tmp" not in said
    return said


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Any]:
    with service.client() as client:
        yield client


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small OME-Zarr."""
    folder = tmp_path_factory.mktemp("stores") / "image.zarr"
    return files_of(ome_zarr(folder, noisy(40, 48, dtype="uint16"), "YX", levels=2))


@pytest.mark.parametrize(
    ("version", "side", "folder", "route"),
    [("0.4", 96, "cells.zarr", "/v1/denoise"), ("0.5", 96, "", "/v1/jobs"), ("0.4", 1100, "", "/v1/jobs")],
)
def test_it_is_what_the_command_line_makes_of_it(
    client: Any, service: Service, tmp_path: Path, version: str, side: int, folder: str, route: str
) -> None:
    array = np.stack([noisy(side, side + 16, dtype="uint16", seed=seed) for seed in range(2)])
    chunks = (1, 128, 128)
    source = ome_zarr(tmp_path / "cells.zarr", array, "ZYX", version, levels=2, chunks=chunks)
    data = Path(shutil.make_archive(str(tmp_path / "sent"), "zip", tmp_path if folder else source, folder or None))
    answer = client.post(route, files={"image": ("cells.zarr.zip", data.read_bytes())}, data=OPTIONS)
    assert answer.status_code == 202, answer.text
    assert answer.json()["kind"] == "zarr"
    job = answer.json()["id"]
    done = finished(client, job)
    assert (done["state"], done["progress"]) == ("done", 1.0), done
    about = done["report"]["image"]
    assert [about[key] for key in ("format", "planes", "height", "width")] == ["zarr", 2, side, side + 16]
    result = client.get(f"/v1/jobs/{job}/result")
    assert result.headers["content-type"] == "application/zip"
    assert 'filename="cells.zarr.zip"' in result.headers["content-disposition"]
    assert {path.name for path in (service.state / "jobs" / job).iterdir()} == {"input", "result", "outcome.json"}
    assert client.get(f"/v1/jobs/{job}/preview/before").status_code == 422

    target = tmp_path / "clean.zarr"
    options = ["--model", "gray-nano", "--noise", "gaussian:20", "--strength", "0.8", "--set", "threads=1"]
    command = [sys.executable, "-m", "noiseless", "denoise", str(source), "-o", str(target), *options]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(io.BytesIO(result.content)) as archive:
        archive.extractall(tmp_path / "fetched")
    fetched = tmp_path / "fetched" / folder
    assert set(files_of(fetched)) == set(files_of(target))
    for level in range(2):
        assert np.array_equal(pixels_of(fetched, level), pixels_of(target, level))
    assert not np.array_equal(pixels_of(fetched), array)
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert not (service.state / "jobs" / job).exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "0/../../evil", "/evil", "0//evil", "./evil", "C:/evil", "0\\evil", "..\\evil", "a\nb", "nul\0l"),
        *("x" * 201, "0/" * 600 + "x"),
    ],
    ids=range(12),
)
def test_names_that_lead_elsewhere_are_422(client: Any, service: Service, store: dict[str, bytes], name: str) -> None:
    refused(client, zipped({**store, name: b"evil"}))
    assert not [path for path in service.state.parent.rglob("*") if "evil" in path.name]


def test_two_entries_of_one_name_and_a_file_that_is_a_folder_are_422(client: Any, store: dict[str, bytes]) -> None:
    assert "one name" in refused(client, zipped({**store, "A/b": b"1", "a/B": b"2"}))
    assert "file and a folder" in refused(client, zipped({**store, "a": b"1", "a/b": b"2"}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_are_422(client: Any, store: dict[str, bytes], kind: int) -> None:
    buffer = io.BytesIO(zipped(store))
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("labels")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, b"/etc/passwd")
    assert "plain files" in refused(client, buffer.getvalue())


def test_data_range_holds_for_a_store(client: Any, store: dict[str, bytes]) -> None:
    levels = []
    for said in ("65535", "0,131070"):  # half as much noise, of a range twice as wide
        given = {"model": "gray-nano", "data_range": said}
        job = client.post("/v1/jobs", files={"image": ("a.zarr.zip", zipped(store))}, data=given).json()["id"]
        done = finished(client, job)
        assert done["state"] == "done", done
        levels.append(done["report"]["told"][0])
    assert levels[1] == pytest.approx(levels[0] / 2, rel=0.1)


def test_what_macos_adds_is_left_out(client: Any, store: dict[str, bytes]) -> None:
    files = {f"image.zarr/{name}": data for name, data in store.items()} | {"__MACOSX/image.zarr/._0": b"x"}
    answer = client.post("/v1/jobs", files={"image": ("image.zip", zipped(files))}, data=OPTIONS)
    assert answer.status_code == 202, answer.text
    result_of = f"/v1/jobs/{answer.json()['id']}"
    assert finished(client, answer.json()["id"])["state"] == "done"
    result = client.get(f"{result_of}/result")
    assert 'filename="image.zarr.zip"' in result.headers["content-disposition"]
    assert {name.partition("/")[0] for name in zipfile.ZipFile(io.BytesIO(result.content)).namelist()} == {"image.zarr"}


def test_bombs_are_413_or_422(client: Any, store: dict[str, bytes]) -> None:
    """Large by what they say, larger than they say, of many entries, and of a huge directory."""
    zeros = bytes(200 << 20)
    one = zipped({**store, "zeros": zeros}, compression=zipfile.ZIP_DEFLATED)
    many = zipped(store | {f"zeros{number}": zeros for number in range(6)}, compression=zipfile.ZIP_DEFLATED)
    assert "unpacks to more than" in refused(client, many, 413)
    told, small = struct.pack("<I", len(zeros)), struct.pack("<I", 100)
    assert one.count(told) >= 2
    refused(client, one.replace(told, small))
    assert "entries" in refused(client, zipped({**store, **{f"c{number}": b"" for number in range(50_000)}}), 413)
    end = one.rindex(b"PK\5\6")
    huge = one[: end + 12] + struct.pack("<I", 0xFFFFFFF0) + one[end + 16 :]
    refused(client, huge)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "compressed" in refused(client, zipped(store, compression=method))


def test_what_is_no_store_is_422(client: Any, store: dict[str, bytes]) -> None:
    for files in ({}, {"a.txt": b"x"}, {"a/b/c": b"x"}, {f"a/b/{name}": data for name, data in store.items()}):
        refused(client, zipped(files))
    two = {f"{folder}/{name}": data for folder in "ab" for name, data in store.items()}
    assert "only folder" in refused(client, zipped(two))
    assert "damaged" in refused(client, zipped({**store, ".zattrs": b"{"}))
    assert "missing" in refused(client, zipped({name: data for name, data in store.items() if name[0] == "."}))


def test_damaged_zips_are_422_or_become_jobs_that_say_what_is_wrong(client: Any, store: dict[str, bytes]) -> None:
    generator, jobs = np.random.default_rng(0), []
    whole = zipped(store, compression=zipfile.ZIP_DEFLATED)
    for number in range(90):
        data = bytearray(whole)
        start, stop = sorted(int(place) for place in generator.integers(4, len(data), 2))
        for place in generator.integers(4, len(data), 1 + number % 7):
            data[place] = int(generator.integers(256))
        kinds = bytes(data), whole[:stop], whole[:start] + whole[stop:], whole[:stop] + whole[start:]
        answer = client.post(ROUTES[number % 3], files={"image": ("damaged", kinds[number % 4])}, data=OPTIONS)
        assert answer.status_code in (202, 413, 422), (number, answer.text)
        if answer.status_code == 202:
            jobs.append(answer.json()["id"])
        else:
            assert len(answer.json()["detail"].splitlines()) == 1
    for name, stored in store.items():  # whole zips of damaged stores
        data = bytearray(stored)
        for place in generator.integers(0, len(data), 3):
            data[place] = int(generator.integers(256))
        answer = client.post("/v1/jobs", files={"image": zipped({**store, name: bytes(data)})}, data=OPTIONS)
        assert answer.status_code in (202, 413, 422), (name, answer.text)
        jobs += [answer.json()["id"]] if answer.status_code == 202 else []
    for job in jobs:
        done = finished(client, job)
        assert done["state"] == "done" or "log" not in done["error"], done
        assert "/jobs/" not in (done["error"] or "")
    assert client.get("/readyz").status_code == 200


def test_many_pixels_are_refused_by_the_metadata_and_a_killed_job_is_done_again(tmp_path: Path) -> None:
    small = zipped(files_of(ome_zarr(tmp_path / "small.zarr", noisy(100, 100, dtype="uint16"), "YX")))
    large = zipped(files_of(ome_zarr(tmp_path / "large.zarr", noisy(200, 101, dtype="uint16"), "YX")))
    state = tmp_path / "state"
    with running(state, "--set", "max_pixels=20000") as service, service.client() as client:
        assert "at most 20000" in refused(client, large, 413)
        job = client.post("/v1/jobs", files={"image": small}, data=OPTIONS).json()["id"]
        service.kill()
    with running(state, "--set", "max_pixels=20000") as service, service.client() as client:
        assert finished(client, job)["state"] == "done"
