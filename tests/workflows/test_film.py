"""Denoising films: neighbours help where they show the same, and only there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import noiseless
import tiny_models
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.workflows import temporal
from noiseless.workflows.film import views

SIGMA = 25 / 255


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with soft areas and edges that nowhere repeats itself."""
    random = np.random.default_rng(seed)
    soft = gaussian_filter(random.standard_normal((height, width)), 6)
    edges = gaussian_filter(random.standard_normal((height, width)), 3) > 0
    picture: np.ndarray = 0.45 + 0.1 * soft / soft.std() + 0.2 * edges
    return picture.astype(np.float32)


def moving(count: int = 5, *, right: int = 3, side: int = 96, seed: int = 0) -> list[np.ndarray]:
    """Frames of a camera that moves over a picture, (1, H, W)."""
    picture = scene(side, side + count * right, seed)[np.newaxis]
    return [picture[..., number * right : number * right + side].copy() for number in range(count)]


def noisy(frames: list[np.ndarray], sigma: float = SIGMA) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [frame + sigma * random.standard_normal(frame.shape).astype(np.float32) for frame in frames]


def test_every_frame_is_seen_with_its_neighbours() -> None:
    frames = [np.full((1, 1, 1), number, np.float32) for number in range(5)]
    seen = [
        ([int(frame.item()) for frame in view.frames], view.index)
        for view in views(((frame, 0.0) for frame in frames), 2)
    ]
    assert seen == [([0, 1, 2], 0), ([0, 1, 2, 3], 1), ([0, 1, 2, 3, 4], 2), ([1, 2, 3, 4], 2), ([2, 3, 4], 2)]
    alone = list(views(((frame, 0.0) for frame in frames), 0))
    assert [(len(view.frames), view.index) for view in alone] == [(1, 0)] * 5
    assert len(list(views(iter([(frames[0], 0.0)]), 2))) == 1


def test_movement_is_found() -> None:
    frames = noisy(moving(2, right=7), 0.02)
    vectors = temporal.motion(*(temporal.blurred(frame) for frame in frames))
    assert (vectors[1, :, 1:] == -7).mean() > 0.9
    assert (vectors[0] == 0).mean() > 0.9


def test_the_noise_that_is_left_is_the_noise_told() -> None:
    clean = moving()
    averaged, left = temporal.average(noisy(clean), 2, SIGMA)
    inner = (slice(None), slice(16, -16), slice(24, -24))
    error = (averaged - clean[2])[inner].std()
    assert error < 0.7 * SIGMA
    assert error == pytest.approx(SIGMA * left[16:-16, 24:-24].mean(), rel=0.15)


def test_another_scene_does_not_shine_through() -> None:
    here, there = moving(1, seed=1)[0], 0.5 * moving(1, seed=2)[0]
    now, before, after = noisy([here, there, there])
    averaged, left = temporal.average([before, now, after], 1, SIGMA)
    assert (averaged - here).std() <= 1.01 * (now - here).std()
    assert left.mean() > 0.9
    assert np.abs(temporal.steady([there, here, there], 1, SIGMA) - here).mean() < 0.02 * SIGMA


def test_neighbours_measure_better_and_flicker_less() -> None:
    """With a shipped model: in decibels, and the change of the error from frame to frame."""
    clean = moving(5, side=64)
    model = noiseless.load("gray-small", threads=1)
    results = {reach: restored(model, noisy(clean), reach) for reach in (0, 2)}
    errors = {reach: np.stack(frames) - np.stack(clean) for reach, frames in results.items()}
    psnr = {reach: -10 * np.log10((error**2).mean()) for reach, error in errors.items()}
    flicker = {reach: np.diff(error, axis=0).std() for reach, error in errors.items()}
    assert psnr[2] > psnr[0] + 0.3
    assert flicker[2] < 0.9 * flicker[0]


def test_clipped_shadows_are_as_dark_with_neighbours_as_without() -> None:
    clean = [np.float32(0.25) * (frame - 0.1) for frame in moving(5, side=64)]
    files = [(np.rint(frame.clip(0, 1) * 255) / 255).astype(np.float32) for frame in noisy(clean)]
    assert np.mean([(frame == 0).mean() for frame in files]) > 0.1
    model = noiseless.load("gray-small", threads=1)
    too_bright = {reach: np.mean(restored(model, files, reach)) - np.mean(clean) for reach in (0, 2)}
    assert abs(too_bright[0]) < 0.5 / 255
    assert abs(too_bright[2]) < 0.5 / 255
    assert np.mean(files) - np.mean(clean) > 1.5 / 255


def restored(model: noiseless.Denoiser, frames: list[np.ndarray], reach: int) -> list[np.ndarray]:
    import contextlib

    from noiseless.noise import parse
    from noiseless.workflows.film import FilmWork, denoise_frames
    from noiseless.workflows.task import Task

    with contextlib.ExitStack() as stack:
        work = FilmWork(model, Task(noise=parse("gaussian:25")), frames[0].shape[1:], stack)
        pictures = ((frame, 0.0) for frame in frames)
        return list(denoise_frames(pictures, work, reach, lambda share: None, lambda: False))


@pytest.mark.parametrize("temporal_frames", [0, 1])
def test_a_film_by_the_command(tmp_path: Path, conditioned_bundle: Bundle, temporal_frames: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as film:
        stream = film.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "gray"
        for seed in range(4):
            values = (255 * tiny_models.noisy(32, 48, seed=seed).clip(0, 1)).astype(np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="gray")))
        film.mux(stream.encode())
    model = ["--model", str(conditioned_bundle.path), "--set", "threads=1", "--set", f"temporal={temporal_frames}"]
    arguments = ["denoise", str(tmp_path / "a.mkv"), "-o", str(tmp_path / "out.mkv"), "--sigma", "25"]
    assert main([*arguments, *model]) == 0
    with av.open(str(tmp_path / "out.mkv")) as film:
        results = [frame.to_ndarray() for frame in film.decode(video=0)]
    assert len(results) == 4
    assert main([*arguments[:-2], "--strength", "0", *model]) == 0
    with av.open(str(tmp_path / "out.mkv")) as film, av.open(str(tmp_path / "a.mkv")) as source:
        pairs = zip(film.decode(video=0), source.decode(video=0), strict=True)
        assert all((one.to_ndarray() == other.to_ndarray()).all() for one, other in pairs)
    if temporal_frames == 0:
        values = (255 * tiny_models.noisy(32, 48, seed=3).clip(0, 1)).astype(np.uint8)
        expected = noiseless.load(conditioned_bundle.path, threads=1)(values, noise="gaussian:25")
        assert np.abs(results[3].astype(int) - expected).max() <= 1
    assert main(["denoise", str(tmp_path / "a.mkv"), "-o", str(tmp_path / "out.png"), *model]) == 2
    assert main(["denoise", str(tmp_path / "a.mkv"), "-o", str(tmp_path / "b.mkv"), "--set", "temporal=99"]) == 2


def test_a_film_says_itself_what_is_black_and_white(
    tmp_path: Path, conditioned_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    av = pytest.importorskip("av", reason="films need the extra video")
    source, target = tmp_path / "a.mkv", tmp_path / "b.mkv"
    with av.open(str(source), "w") as film:
        stream = film.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8))))
        film.mux(stream.encode())
    model = ["--model", str(conditioned_bundle.path)]
    assert main(["denoise", str(source), "-o", str(target), "--set", "data_range=0,255", *model]) == 2
    assert "data_range is for images: got (0.0, 255.0) for a film. Leave it out" in capsys.readouterr().err
    assert not target.exists()
