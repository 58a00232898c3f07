"""Denoising files: results whole, inputs untouched, a bad file does not stop the others, Ctrl-C stops cleanly."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import noiseless
import tiny_models
from noiseless import calibration
from noiseless.bundle import Bundle
from noiseless.denoiser import Controls, load
from noiseless.errors import BundleError, ImageError, InputError, SigmaError, UnknownNameError
from noiseless.io import denoised_mark
from noiseless.workflows import restorer
from noiseless.workflows.files import Job, plan_jobs
from noiseless.workflows.restorer import Restorer
from noiseless.workflows.restoring import restore_files
from noiseless.workflows.task import Summary, Task
from zarr_files import ome_zarr


def save(path: Path, height: int = 24, width: int = 40, *, seed: int = 0, colour: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (3, height, width) if colour else (height, width)
    values = (65535 * tiny_models.noisy(*shape, seed=seed).clip(0, 1)).astype(np.uint16)
    noiseless.write(path, noiseless.Image.from_array(np.moveaxis(values, 0, -1) if colour else values))
    return path


@pytest.fixture
def task(conditioned_bundle: Bundle) -> Task:
    return Task(model=str(conditioned_bundle.path), noise="gaussian:25", options={"threads": 1})


@pytest.fixture
def said() -> list[str]:
    return []


def work(jobs: list[Job], task: Task, said: list[str] | None = None) -> Summary:
    return restore_files(jobs, task, say=(said if said is not None else []).append, report=lambda share, name: None)


def test_a_result_is_what_the_denoiser_gives_and_is_marked(tmp_path: Path, task: Task) -> None:
    source = save(tmp_path / "a.png")
    summary = work([Job(source, tmp_path / "out" / "a.png")], task)
    assert not summary.failures
    result = noiseless.read(tmp_path / "out" / "a.png")
    expected = load(task.model)(noiseless.read(source).array, noise="gaussian:25")
    assert np.array_equal(result.array, expected)
    assert denoised_mark(result) == "tiny-gray at strength 1"
    (done,) = summary.results
    assert (done.model, done.precision, done.sigma) == ("tiny-gray", "exact", [25.0])


@pytest.mark.parametrize(("limit", "thread"), [(None, "noiseless-in"), (1 << 40, "MainThread")])
def test_the_noise_of_a_file_is_measured_while_the_last_one_is_denoised(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch, limit: int | None, thread: str
) -> None:
    """Where memory is limited it is not: what measuring takes is not planned."""
    threads: list[str] = []
    told_level = calibration.told_level

    def measured(planes: np.ndarray) -> np.ndarray:
        threads.append(threading.current_thread().name.partition("_")[0])
        return told_level(planes)

    monkeypatch.setattr(calibration, "told_level", measured)
    jobs = [Job(save(tmp_path / f"{seed}.png", 48, 64, seed=seed), tmp_path / f"{seed}-out.png") for seed in range(3)]
    options = {**task.options, "controls": Controls(max_memory=limit)}
    summary = work(jobs, replace(task, noise="auto", options=options))
    assert threads == [thread] * len(jobs)
    for job, result in zip(jobs, summary.results, strict=True):
        assert job.source is not None
        assert job.target is not None
        expected = load(task.model)(noiseless.read(job.source).array)
        assert np.array_equal(noiseless.read(job.target).array, expected)
        assert result.sigma is not None


def test_the_model_that_is_taken_is_said_once_with_the_reason(tmp_path: Path, task: Task, said: list[str]) -> None:
    files = [save(tmp_path / f"{number}.png", colour=number > 1) for number in range(4)]
    work([Job(each, tmp_path / "out" / each.name) for each in files], replace(task, model="auto"), said)
    assert said == ["model gray-small: a grey image", "model color-small: a colour image"]


def test_denoising_again_warns(tmp_path: Path, task: Task, said: list[str]) -> None:
    source = save(tmp_path / "a.png")
    work([Job(source, tmp_path / "b.png")], task, said)
    assert said == []
    work([Job(tmp_path / "b.png", tmp_path / "c.png")], replace(task, strength=0.5), said)
    assert len(said) == 1
    assert "b.png was denoised before (tiny-gray at strength 1)" in said[0]


def test_strength_zero_gives_the_input(tmp_path: Path, task: Task) -> None:
    source = save(tmp_path / "a.tif")
    work([Job(source, tmp_path / "b.tif")], replace(task, strength=0.0))
    result = noiseless.read(tmp_path / "b.tif")
    assert np.array_equal(result.array, noiseless.read(source).array)
    assert denoised_mark(result) is None


def test_inputs_are_never_modified(tmp_path: Path, task: Task) -> None:
    sources = [save(tmp_path / f"{n}.png", seed=n) for n in range(3)]
    (tmp_path / "broken.png").write_bytes(sources[0].read_bytes()[:100])
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.iterdir()}
    jobs, _ = plan_jobs([str(tmp_path)], str(tmp_path / "out"))
    work(jobs, task)
    assert all(hashlib.sha256(path.read_bytes()).digest() == digest for path, digest in before.items())


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, task: Task) -> None:
    good, other = save(tmp_path / "a.png"), save(tmp_path / "z.png")
    bad = tmp_path / "m.png"
    bad.write_bytes(good.read_bytes()[:200])
    summary = work([Job(path, tmp_path / "out" / path.name) for path in (good, bad, other)], task)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]
    (failure,) = summary.failures
    assert failure.name == str(bad)
    assert isinstance(failure.error, ImageError)


def test_what_the_format_cannot_hold_is_told_before_the_work(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Restorer, "__call__", lambda *arguments: pytest.fail("no work is needed"))
    summary = work([Job(save(tmp_path / "a.png"), tmp_path / "a.jpg")], task)
    assert "cannot save" in str(summary.failures[0].error)


def test_a_model_that_cannot_be_used_stops_everything(tmp_path: Path, task: Task) -> None:
    source = save(tmp_path / "a.png")
    with pytest.raises(BundleError):
        work([Job(source, tmp_path / "b.png")], replace(task, model=str(tmp_path)))
    with pytest.raises(UnknownNameError):
        work([Job(source, tmp_path / "b.png")], replace(task, model="no-such-model"))


def test_results_that_are_there_can_be_skipped(tmp_path: Path, task: Task) -> None:
    jobs = [Job(save(tmp_path / f"{n}.png", seed=n), tmp_path / "out" / f"{n}.png") for n in range(2)]
    work(jobs[:1], task)
    first = (tmp_path / "out" / "0.png").stat().st_mtime_ns
    summary = work(jobs, replace(task, skip_existing=True))
    assert [result.skipped for result in summary.results] == [True, False]
    assert (tmp_path / "out" / "0.png").stat().st_mtime_ns == first


def test_a_mask_limits_where(tmp_path: Path, task: Task) -> None:
    source, mask = save(tmp_path / "a.tif", 32, 48), np.zeros((32, 48), np.uint8)
    mask[:, 20:] = 255
    noiseless.write(tmp_path / "mask.png", noiseless.Image.from_array(mask))
    noisy, full = noiseless.read(source).array, load(task.model)(noiseless.read(source).array, noise="gaussian:25")
    masked = replace(task, mask=tmp_path / "mask.png", feather=4)
    assert not work([Job(source, tmp_path / "b.tif")], masked).failures
    result = noiseless.read(tmp_path / "b.tif").array
    assert np.array_equal(result[:, :20], noisy[:, :20])
    assert np.array_equal(result[:, 26:], full[:, 26:])
    edge = (result - noisy.astype(float))[:, 20:24].std() / (full - noisy.astype(float))[:, 20:24].std()
    assert 0.1 < edge < 0.9


def test_a_soft_mask_is_taken_as_it_is(tmp_path: Path, task: Task) -> None:
    source = save(tmp_path / "a.tif", 16, 16)
    noiseless.write(tmp_path / "mask.png", noiseless.Image.from_array(np.full((16, 16), 51, np.uint8)))
    work([Job(source, tmp_path / "b.tif")], replace(task, mask=tmp_path / "mask.png"))
    work([Job(source, tmp_path / "c.tif")], replace(task, strength=0.2))
    b, c = (noiseless.read(tmp_path / name).array.astype(int) for name in ("b.tif", "c.tif"))
    assert np.abs(b - c).max() <= 1


def test_a_map_says_the_level_of_each_pixel(tmp_path: Path, task: Task) -> None:
    source = save(tmp_path / "a.tif", 16, 24)
    level = np.linspace(0.02, 0.3, 16 * 24).reshape(16, 24).astype(np.float32)
    noiseless.write(tmp_path / "level.tif", noiseless.Image.from_array(level))
    work([Job(source, tmp_path / "b.tif")], replace(task, sigma_map=tmp_path / "level.tif"))
    expected = load(task.model)(noiseless.read(source).array, noise=level)
    assert np.array_equal(noiseless.read(tmp_path / "b.tif").array, expected)


def test_a_mask_or_map_of_another_size_is_an_error(tmp_path: Path, task: Task) -> None:
    source, other = save(tmp_path / "a.tif", 16, 24), save(tmp_path / "other.tif", 16, 25)
    summary = work([Job(source, tmp_path / "b.tif")], replace(task, sigma_map=other))
    assert isinstance(summary.failures[0].error, SigmaError)
    assert "got 25x16, expected 24x16" in str(summary.failures[0].error)
    summary = work([Job(source, tmp_path / "b.tif")], replace(task, mask=other))
    assert isinstance(summary.failures[0].error, ImageError)


@pytest.mark.parametrize("kind", ["mask", "sigma_map"])
@pytest.mark.parametrize(("pages", "expected"), [(1, "expected one$"), (4, "expected one, or 4 as the image has")])
def test_a_mask_or_map_of_other_pages_is_an_error(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch, kind: str, pages: int, expected: str
) -> None:
    for name, count in (("a.tif", pages), ("other.tif", 3)):
        values = (65535 * tiny_models.noisy(count, 16, 24).clip(0, 1)).astype(np.uint16)
        noiseless.write(tmp_path / name, noiseless.Image.from_array(values))
    for large in (1 << 40, 0):
        monkeypatch.setattr(restorer, "LARGE_BYTES", large)
        job = Job(tmp_path / "a.tif", tmp_path / "b.tif")
        summary = work([job], replace(task, **{kind: tmp_path / "other.tif"}))
        with pytest.raises(InputError, match=f"got 3 planes, {expected}"):
            raise summary.failures[0].error


def test_a_level_for_a_blind_model_is_mentioned_once(tmp_path: Path, blind_bundle: Bundle, said: list[str]) -> None:
    jobs = [Job(save(tmp_path / f"{n}.png", colour=True), tmp_path / f"out{n}.png") for n in range(2)]
    work(jobs, Task(model=str(blind_bundle.path), noise="gaussian:25"), said)
    assert said == ["tiny-color finds the noise level itself; the one given is not used"]


def test_floats_need_a_range_that_can_be_given(tmp_path: Path, task: Task) -> None:
    values = 2000 * tiny_models.noisy(16, 16) - 1000
    noiseless.write(tmp_path / "ct.tif", noiseless.Image.from_array(values, data_range=(-1000, 1000)))
    job = Job(tmp_path / "ct.tif", tmp_path / "out.tif")
    assert "data_range" in str(work([job], task).failures[0].error)
    assert not work([job], replace(task, data_range=(-1000, 1000))).failures


def raise_at(share: float, number: signal.Signals) -> Callable[[float, str], None]:
    raised: list[float] = []

    def report(at: float, name: str) -> None:
        if at >= share and not raised:
            raised.append(at)
            signal.raise_signal(number)

    return report


def test_ctrl_c_finishes_the_file_in_hand(tmp_path: Path, task: Task, said: list[str]) -> None:
    jobs = [Job(save(tmp_path / f"{n}.png"), tmp_path / "out" / f"{n}.png") for n in range(3)]
    usual = signal.getsignal(signal.SIGINT)
    summary = restore_files(jobs, task, say=said.append, report=raise_at(0.34, signal.SIGINT))
    assert summary.interrupted
    assert len(summary.results) == 2
    assert not summary.failures
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png"]
    assert said == ["finishing the file in hand; press Ctrl-C again to stop at once"]
    assert signal.getsignal(signal.SIGINT) is usual


def test_ctrl_c_in_the_last_file_stops_at_the_next_tile(tmp_path: Path, task: Task) -> None:
    source = save(tmp_path / "a.png", 900, 1200)
    tiled = replace(task, options={"threads": 1, "controls": Controls(tile=300)})
    summary = restore_files([Job(source, tmp_path / "b.png")], tiled, say=print, report=raise_at(0.1, signal.SIGINT))
    assert summary.interrupted
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", ["tif", "ome.zarr"])
def test_sigterm_leaves_nothing_behind(tmp_path: Path, conditioned_bundle: Bundle, suffix: str) -> None:
    """A real process, while its unfinished result lies beside the target."""
    values = (65535 * tiny_models.noisy(1500, 1500).clip(0, 1)).astype(np.uint16)
    source = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        noiseless.write(source, noiseless.Image.from_array(values))
    else:
        ome_zarr(source, values, "YX", chunks=(256, 256))
    start = "import sys; from noiseless.__main__ import main; sys.exit(main())"
    options = ["--model", str(conditioned_bundle.path), "--sigma", "25", "--set", "tile=16"]
    command = [sys.executable, "-c", start, "denoise", source.name, "-o", f"b.{suffix}", *options]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 143
    assert [line for line in said if not line.startswith("Denoising")] == ["noiseless: stopped by SIGTERM"]
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_sigterm_gives_up_the_file_in_hand(tmp_path: Path, task: Task) -> None:
    jobs = [Job(save(tmp_path / f"{n}.png", 900, 1200), tmp_path / "out" / f"{n}.png") for n in range(2)]
    tiled = replace(task, options={"threads": 1, "controls": Controls(tile=300)})
    usual = signal.getsignal(signal.SIGTERM)
    summary = restore_files(jobs, tiled, say=print, report=raise_at(0.1, signal.SIGTERM))
    assert summary.terminated
    assert summary.interrupted
    assert not (tmp_path / "out").exists()
    assert signal.getsignal(signal.SIGTERM) is usual


def test_memory_stays_below_the_limit(tmp_path: Path, conditioned_bundle: Bundle) -> None:
    """A real process: 3 megapixels would take more at once."""
    save(tmp_path / "a.tif", 1500, 2000)
    code = (
        "import sys; from noiseless.__main__ import main; code = main(sys.argv[1:]); "
        "from noiseless.runtime.machine import peak_memory; print(peak_memory()); sys.exit(code)"
    )
    command = ["denoise", "a.tif", "-o", "b.tif", "--model", str(conditioned_bundle.path), "--sigma", "25"]

    def peak(*options: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", code, *command, *options], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return int(done.stdout.split()[-1])

    assert peak("--max-memory", "210MB") <= 210e6 < peak("--set", "tile=4096")


def test_a_summary_is_plain_data(tmp_path: Path, task: Task) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    jobs = [Job(path, tmp_path / "out" / path.name) for path in (save(tmp_path / "a.png"), tmp_path / "bad.png")]
    plain: dict[str, Any] = json.loads(json.dumps(work(jobs, task).to_json()))
    assert [result["input"] for result in plain["results"]] == [str(tmp_path / "a.png")]
    assert [failure["input"] for failure in plain["failures"]] == [str(tmp_path / "bad.png")]
    assert plain["interrupted"] is False


def test_killed_half_way_it_goes_on_and_redoes_nothing(tmp_path: Path, conditioned_bundle: Bundle) -> None:
    """A real process and a real SIGKILL: what is there is whole, and stays as it is."""
    names = [f"{number:02}.png" for number in range(40)]
    for seed, name in enumerate(names):
        save(tmp_path / "in" / name, 200, 300, seed=seed)
    start = "import sys; from noiseless.__main__ import main; sys.exit(main())"
    options = ["--model", str(conditioned_bundle.path), "--sigma", "25", "--skip-existing", "--json", "done.json"]
    command = [sys.executable, "-c", start, "denoise", "in", "-o", "out", *options]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("[0-9]*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[0-9]*.png")}
    assert 3 <= len(before) < 40
    assert not (tmp_path / "done.json").exists()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[0-9]*.png")}
    assert sorted(after) == names
    assert {name: after[name] for name in before} == before
    assert all(noiseless.read(tmp_path / "out" / name).array.shape == (200, 300) for name in names)
    results = json.loads((tmp_path / "done.json").read_text())["results"]
    assert [Path(result["input"]).name for result in results] == names
    assert {Path(result["input"]).name for result in results if result["skipped"]} == set(before)
