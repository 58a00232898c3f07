"""Windows: files that are streamed equal those done whole; memory does not grow; nothing is left half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

import noiseless
import tiny_models
import zarr_files
from noiseless.bundle import CONFIG, Bundle
from noiseless.denoiser import Controls, load
from noiseless.errors import ImageError, OutputError, ValueRangeError
from noiseless.image import Image
from noiseless.io import tiff_rows
from noiseless.io.tiff_rows import open_rows
from noiseless.networks import create
from noiseless.noise import parse
from noiseless.runtime import PREFERRED, fastest
from noiseless.runtime.onnxruntime import OnnxRuntimeEngine
from noiseless.workflows import restorer, restoring, waiting, windows
from noiseless.workflows.files import Job
from noiseless.workflows.restoring import restore_files
from noiseless.workflows.task import Summary, Task

Run = Callable[[str, Task, bool], bytes]


@pytest.fixture
def task(conditioned_bundle: Bundle) -> Task:
    controls = Controls(tile=48)
    return Task(model=str(conditioned_bundle.path), noise="gaussian:25", options={"threads": 1, "controls": controls})


def work(source: Path, target: Path, task: Task) -> Summary:
    return restore_files([Job(source, target)], task, say=lambda line: None, report=lambda share, name: None)


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Task], list[np.ndarray]]:
    """The results of `a.tif` done whole, in windows in memory, streamed, and streamed with rows waiting on the disk."""

    def run(task: Task) -> list[np.ndarray]:
        results = []
        never, ways = 1 << 40, ("whole", "windows", "streamed", "waiting")
        for number, name in enumerate(ways):
            monkeypatch.setattr(restorer, "LARGE_BYTES", never if number < 1 else 0)
            monkeypatch.setattr(restoring, "STREAMED_BYTES", never if number < 2 else 0)
            monkeypatch.setattr(waiting, "MOST_BYTES", never if number < 3 else 0)
            summary = work(tmp_path / "a.tif", tmp_path / f"{name}.tif", task)
            assert not summary.failures, summary.failures
            results.append(noiseless.read(tmp_path / f"{name}.tif").array)
        assert set_of_tags(tmp_path / "whole.tif") == set_of_tags(tmp_path / "streamed.tif")
        return results

    return run


def set_of_tags(path: Path) -> dict[int, str]:
    offsets = (273, 324, 279, 325)
    with tifffile.TiffFile(path) as tiff:
        return {tag.code: str(tag.value) for tag in tiff.pages.first.tags.values() if tag.code not in offsets}


def save(path: Path, *shape: int, dtype: str = "uint16", **options: Any) -> np.ndarray:
    picture = tiny_models.noisy(*shape)
    stored = picture if dtype == "float32" else (np.iinfo(dtype).max * picture.clip(0, 1)).astype(dtype)
    tifffile.imwrite(path, stored, **options)
    return stored


def test_of_nothing_taken_away_no_level_is_told(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was measured in a single row, and in each window."""
    save(tmp_path / "a.tif", 133, 171, tile=(32, 48))
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    summary = work(tmp_path / "a.tif", tmp_path / "b.tif", replace(task, noise="auto", strength=0.0))
    assert [each.sigma for each in summary.results] == [None]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"noise": "auto"},
        {"noise": parse("poisson-gaussian:gain=0.01,read=0.02")},
        {"strength": 0.4},
        {"strength": 0.0},
        {"data_range": (0, 60000)},
    ],
    ids=str,
)
def test_streamed_equals_whole(
    both: Callable[[Task], list[np.ndarray]], tmp_path: Path, task: Task, change: dict[str, Any]
) -> None:
    stored = save(tmp_path / "a.tif", 133, 171, tile=(32, 48), compression="zlib", iccprofile=b"profile")
    whole, *others = both(replace(task, **change))
    assert np.array_equal(whole, stored) == (change.get("strength") == 0)
    for other in others:
        assert np.abs(whole.astype(int) - other).max() <= 1


def test_a_ceiling_is_that_of_the_whole_page(
    both: Callable[[Task], list[np.ndarray]], tmp_path: Path, task: Task, conditioned_bundle: Bundle
) -> None:
    save(tmp_path / "a.tif", 233, 271)
    free, *_ = both(task)
    folder = shutil.copytree(conditioned_bundle.path, tmp_path / "held")
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"ceiling": 0.9}))
    whole, *others = both(replace(task, model=str(folder)))
    assert np.abs(whole.astype(int) - free).max() > 100
    for other in others:
        assert np.abs(whole.astype(int) - other).max() <= 1


def test_maps_are_looked_at_in_windows(both: Callable[[Task], list[np.ndarray]], tmp_path: Path, task: Task) -> None:
    stored = save(tmp_path / "a.tif", 200, 150)
    mask = np.zeros((200, 150), np.uint8)
    mask[40:170, 30:] = 255
    tifffile.imwrite(tmp_path / "mask.tif", mask, rowsperstrip=16)
    tifffile.imwrite(tmp_path / "sigma.tif", np.linspace(0, 0.2, 30000, dtype=np.float32).reshape(200, 150))
    named = replace(task, mask=tmp_path / "mask.tif", sigma_map=tmp_path / "sigma.tif", feather=9.0)
    whole, *others = both(named)
    assert np.array_equal(whole[mask == 0], stored[mask == 0])
    assert not np.array_equal(whole, stored)
    for other in others:
        assert np.abs(whole.astype(int) - other).max() <= 1


@pytest.mark.parametrize("feather", [0.0, 6.0])
def test_a_mask_of_several_pages_says_where_in_each(
    both: Callable[[Task], list[np.ndarray]], tmp_path: Path, task: Task, feather: float
) -> None:
    stored = save(tmp_path / "a.tif", 3, 80, 60, photometric="minisblack")
    mask = np.zeros(stored.shape, np.uint8)
    mask[0, 40:, 30:] = mask[2, :50] = 255
    tifffile.imwrite(tmp_path / "mask.tif", mask, rowsperstrip=16, photometric="minisblack")
    everywhere = load(task.model)(stored, noise="gaussian:25").astype(int)
    whole, *others = both(replace(task, mask=tmp_path / "mask.tif", feather=feather))
    assert np.array_equal(whole[mask == 0], stored[mask == 0])
    for inner in ((0, slice(50, None), slice(40, None)), (2, slice(40), slice(None))):
        assert np.abs(whole[inner] - everywhere[inner]).max() <= 1
    for other in others:
        assert np.abs(whole.astype(int) - other).max() <= 1


def test_out_of_memory_inside_a_window_shrinks_it_and_goes_on(
    both: Callable[[Task], list[np.ndarray]],
    tmp_path: Path,
    task: Task,
    shallow: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save(tmp_path / "a.tif", 133, 171)
    options = task.options | {"engine": "onnxruntime"}
    task = replace(task, model=str(shallow.path), options=options)
    expected = both(task)[-1]
    run, shapes, refused = OnnxRuntimeEngine.run, [], []

    def tight(engine: OnnxRuntimeEngine, batch: np.ndarray, sigma: np.ndarray | None) -> np.ndarray:
        pixels = batch.shape[0] * batch.shape[2] * batch.shape[3]
        (shapes if pixels <= 2000 else refused).append(pixels)
        if pixels > 2000:
            raise MemoryError("no more")
        return run(engine, batch, sigma)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", tight)
    streamed = both(task)[-1]
    assert refused
    assert shapes
    assert np.abs(streamed.astype(int) - expected).max() <= 1


def test_colours_alpha_and_stacks(
    both: Callable[[Task], list[np.ndarray]], tmp_path: Path, task: Task, blind_bundle: Bundle
) -> None:
    picture = np.moveaxis(tiny_models.noisy(4, 90, 110), 0, -1).clip(0, 1)
    rgba = (255 * picture).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], compression="lzw")
    controls = Controls(tile=40, luma=0.5, chroma=0.9)
    whole, *others = both(replace(task, model=str(blind_bundle.path), options={"threads": 1, "controls": controls}))
    for other in others:
        assert np.array_equal(other[..., 3], rgba[..., 3])
        assert np.abs(whole.astype(int) - other).max() <= 1
    save(tmp_path / "a.tif", 3, 60, 70, photometric="minisblack")
    whole, *others = both(replace(task, noise="auto"))
    assert whole.shape == (3, 60, 70)
    for other in others:
        assert np.abs(whole.astype(int) - other).max() <= 1


def test_what_is_wrong_with_a_streamed_file_is_found_before_the_work(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    values = tiny_models.noisy(60, 70)
    values[30, 3] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", values)
    tifffile.imwrite(tmp_path / "ct.tif", 1000 * tiny_models.noisy(60, 70))
    save(tmp_path / "short.tif", 200, 200, compression="zlib", rowsperstrip=20)
    data = (tmp_path / "short.tif").read_bytes()
    (tmp_path / "short.tif").write_bytes(data[: len(data) // 2])
    for name, kind in (("nan", ImageError), ("ct", ValueRangeError), ("short", ImageError)):
        summary = work(tmp_path / f"{name}.tif", tmp_path / "out" / "a.tif", task)
        assert isinstance(summary.failures[0].error, kind)
        assert f"{name}.tif" in str(summary.failures[0].error)
        assert not list((tmp_path / "out").glob("*"))


def test_a_target_that_cannot_be_written_ends_the_work(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    save(tmp_path / "a.tif", 300, 70)

    def full(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiff_rows.TiffRows, "write", full)
    with pytest.raises(OSError, match="No space"):
        work(tmp_path / "a.tif", tmp_path / "b.tif", task)
    monkeypatch.undo()
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    (tmp_path / "folder.tif").mkdir()
    summary = work(tmp_path / "a.tif", tmp_path / "folder.tif", task)
    assert isinstance(summary.failures[0].error, OutputError)


def test_stopping_leaves_no_trace(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    save(tmp_path / "a.tif", 300, 170)
    with open_rows(tmp_path / "a.tif") as rows:
        assert rows is not None
        asked = iter([False] * 6)  # five looks at the file, one window
        worker = restorer.Restorer(task, lambda line: None)
        with pytest.raises(noiseless.errors.Cancelled):
            worker.stream(rows, "a", tmp_path / "b.tif", lambda share: None, lambda: next(asked, True))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_windows_shrink_with_the_memory_and_wide_rows_count(conditioned_bundle: Bundle) -> None:
    model = noiseless.load(conditioned_bundle.path, controls=Controls(max_memory=1 << 40))
    large = Image.from_array(np.broadcast_to(np.uint8(0), (30_000, 30_000)))
    source: Any = windows.InMemory(large)
    assert windows.core_size(source, model, 1) == 2048
    source.row_bytes, source.chunk = 30_000, 64
    from noiseless.runtime.machine import resident_memory

    spare = 300e6
    tight = replace(model.controls, max_memory=int(resident_memory() + model.engine.fixed_bytes + spare))
    model.controls = tight
    core = windows.core_size(source, model, 1)
    halo = model.spec.halo or 0
    assert 64 < core < 2048
    assert spare > windows.THREADS_BYTES
    assert model.engine.bytes_per_pixel * (core + 2 * halo) ** 2 + 30_000 * 5 * core <= windows.PLANNED * spare * 1.05
    model.controls = replace(tight, max_memory=1)
    with pytest.raises(noiseless.errors.MemoryLimitError, match="--max-memory"):
        windows.core_size(source, model, 1)


PEAK = (
    "import sys; from noiseless.__main__ import main; code = main(sys.argv[1:]); "
    "from noiseless.runtime.machine import peak_memory; print(peak_memory()); sys.exit(code)"
)


def peak_of(folder: Path, *arguments: str) -> int:
    """Most memory that the command takes in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One convolution: the fastest network there is."""
    arguments = {"channels": 1, "width": 4, "depth": 2}
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "shallow"
    return tiny_models.save(create("dncnn", **arguments).eval(), folder, "dncnn", arguments)


def big_file(path: Path, height: int, width: int) -> None:
    """A TIFF in tiles, written without ever being in memory."""
    tile = np.random.default_rng(0).integers(90, 120, (256, 256), dtype=np.uint8)
    count = -(-height // 256) * -(-width // 256)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write((tile for _ in range(count)), shape=(height, width), dtype=np.uint8, tile=(256, 256))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, shallow: Bundle) -> None:
    """A real process: 8 and 32 megapixels, of which the larger takes 300 MB more when it is read whole."""
    big_file(tmp_path / "small.tif", 2048, 4096)
    big_file(tmp_path / "large.tif", 8192, 4096)
    options = ("--model", str(shallow.path), "--set", "threads=1", "--set", "tile=512")
    environment = "import noiseless.workflows.restoring as r; r.STREAMED_BYTES = 1 << 20\n"
    peaks = []
    for name in ("small", "large"):
        code = environment + PEAK
        command = [sys.executable, "-c", code, "denoise", f"{name}.tif", "-o", f"{name}-out.tif", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] <= 1.1 * peaks[0]
    with tifffile.TiffFile(tmp_path / "large-out.tif") as tiff:
        assert tiff.is_bigtiff
        assert tiff.pages.first.tile == (256, 256)


def test_memory_does_not_grow_with_the_width(tmp_path: Path, shallow: Bundle) -> None:
    """A real process: rows of 4 and of 32 kB, of which a window and its result take 60 MB more in memory."""
    big_file(tmp_path / "narrow.tif", 4096, 4096)
    big_file(tmp_path / "wide.tif", 1024, 32_768)
    options = ("--model", str(shallow.path), "--set", "threads=1", "--set", "tile=512", "--sigma", "10")
    narrow, wide = (
        peak_of(tmp_path, "denoise", f"{name}.tif", "-o", "out.tif", *options) for name in ("narrow", "wide")
    )
    assert wide <= 1.15 * narrow


@pytest.mark.slow
def test_a_gigapixel_in_less_than_a_gigabyte(tmp_path: Path, shallow: Bundle) -> None:
    big_file(tmp_path / "giga.tif", 31_744, 31_744)
    peak = peak_of(
        tmp_path, "denoise", "giga.tif", "-o", "out.tif", "--model", str(shallow.path), "--max-memory", "900MB"
    )
    assert peak < 1e9
    with open_rows(tmp_path / "out.tif") as rows:
        assert rows is not None
        assert rows.height * rows.width > 1e9


def test_ome_zarr_in_windows_is_the_same_as_whole(tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).integers(0, 4000, (2, 2, 70, 50)).astype(np.uint16)
    source = zarr_files.ome_zarr(tmp_path / "a.zarr", array, "ZCYX", "0.5", levels=2)
    assert not work(source, tmp_path / "whole.zarr", task).failures
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    assert not work(source, tmp_path / "rows.zarr", task).failures
    whole, rows = (zarr_files.pixels_of(tmp_path / f"{name}.zarr") for name in ("whole", "rows"))
    assert abs(whole.astype(int) - rows).max() <= 1
    assert (whole != array).any()
    said = []
    summary = restore_files(
        [Job(tmp_path / "rows.zarr", tmp_path / "again.zarr")], task, say=said.append, report=lambda *_: None
    )
    assert not summary.failures
    assert any("was denoised before" in line for line in said)


@pytest.mark.parametrize(("limit", "measured"), [(None, True), (1 << 30, False)])
def test_engines_are_not_measured_within_a_tight_limit(
    limit: int | None, measured: bool, tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring loads all engines, in the middle of work whose memory is planned."""
    if len([name for name in PREFERRED["exact"] if find_spec(name)]) < 2:
        pytest.skip("only one engine is installed")
    calls: list[set[str]] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fastest, "WORTH_MEASURING", 0)
    monkeypatch.setattr(
        fastest, "measure", lambda bundle, engines: calls.append(set(engines)) or dict.fromkeys(engines, 1e-9)
    )
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    save(tmp_path / "a.tif", 200, 320)
    options = task.options | {"controls": Controls(tile=48, max_memory=limit)}
    assert not work(tmp_path / "a.tif", tmp_path / "b.tif", replace(task, options=options)).failures
    assert bool(calls) == measured


def test_memory_is_kept_from_window_to_window_and_given_back_after_the_last(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    run = OnnxRuntimeEngine.run
    monkeypatch.setattr(OnnxRuntimeEngine, "run", lambda *given: events.append("run") or run(*given))
    monkeypatch.setattr(OnnxRuntimeEngine, "release", lambda engine: events.append("release"))
    monkeypatch.setattr(restoring, "STREAMED_BYTES", 0)
    save(tmp_path / "a.tif", 200, 320)
    task = replace(task, options=task.options | {"engine": "onnxruntime"})
    assert not work(tmp_path / "a.tif", tmp_path / "b.tif", task).failures
    assert events.count("run") > 1
    assert events[-1] == "release"
    assert events.count("release") == 1
