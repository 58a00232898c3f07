"""Tiled equals whole, at any size, within the memory allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

import tiny_models
from noiseless import inference
from noiseless.bundle import Bundle, NetworkSpec
from noiseless.errors import Cancelled, ConfigError, MemoryLimitError, SigmaError
from noiseless.inference import plan, restore
from noiseless.runtime import Array, Precision, open_engine
from noiseless.tiling import largest_window

SPEC = NetworkSpec(channels=1, multiple_of=4, minimum_size=8, halo=4, conditioning="sigma")


class Blocks:
    """An engine that looks at a neighbourhood and at the grid: blocks of 4 are averaged, borders see zeros."""

    name = "blocks"
    precision: Precision = "exact"
    note = ""
    bytes_per_pixel = 100.0
    fixed_bytes = 0.0

    def __init__(self, most_pixels: float = np.inf) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.released = 0
        self._most = most_pixels

    def run(self, batch: Array, sigma: Array | None) -> Array:
        self.shapes.append(batch.shape)
        count, channels, height, width = batch.shape
        assert height % 4 == width % 4 == 0
        assert min(height, width) >= 8
        if count * height * width > self._most:
            raise MemoryError("too large")
        near = uniform_filter(batch, (0, 0, 5, 5), mode="constant")
        blocks = batch.reshape(count, channels, height // 4, 4, width // 4, 4).mean((3, 5))
        told = np.zeros(()) if sigma is None else sigma
        coarse: Array = np.repeat(np.repeat(blocks, 4, 2), 4, 3)
        return (near + coarse + batch * told).astype(np.float32)

    def release(self) -> None:
        self.released += 1


def whole(planes: Array, sigma: Array | float = 0.1) -> Array:
    return restore(Blocks(), planes, sigma, SPEC, tile=4096)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 3), st.booleans())
def test_tiled_equals_whole_at_any_size(height: int, width: int, tile: int, count: int, mapped: bool) -> None:
    planes = tiny_models.noisy(count, 1, height, width)
    sigma = np.abs(tiny_models.noisy(count, 1, height, width, seed=1)) if mapped else np.full((), 0.1, np.float32)
    tiled = restore(Blocks(), planes, sigma, SPEC, tile=tile)
    assert tiled.shape == planes.shape
    assert tiled.dtype == np.float32
    assert np.abs(tiled - whole(planes, sigma)).max() <= 1e-5


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize("shape", [(1, 1, 109, 131), (1, 1, 64, 200), (2, 1, 1, 57)])
def test_tiled_equals_whole_with_a_network(engine: str, shape: tuple[int, ...], conditioned_bundle: Bundle) -> None:
    runner = open_engine(conditioned_bundle, engine=engine, device="cpu", threads=1)
    planes = tiny_models.noisy(*shape)
    full = restore(runner, planes, 0.1, conditioned_bundle.spec, tile=1024)
    tiled = restore(runner, planes, 0.1, conditioned_bundle.spec, tile=16)
    assert np.abs(tiled - full).max() <= 1e-5


def test_a_single_pixel(conditioned_bundle: Bundle) -> None:
    runner = open_engine(conditioned_bundle, threads=1)
    restored = restore(runner, np.full((1, 1, 1, 1), 0.5, np.float32), 0.1, conditioned_bundle.spec)
    assert restored.shape == (1, 1, 1, 1)
    assert np.isfinite(restored).all()


def test_padding_reflects_as_often_as_needed() -> None:
    assert inference.reflected(3, 8).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert inference.reflected(1, 4).tolist() == [0, 0, 0, 0]


def test_the_input_is_left_as_it_is() -> None:
    planes = tiny_models.noisy(1, 1, 21, 9)
    planes.flags.writeable = False
    assert not np.shares_memory(restore(Blocks(), planes, 0.1, SPEC), planes)


def test_small_images_run_together() -> None:
    engine = Blocks()
    restore(engine, tiny_models.noisy(50, 1, 32, 32), 0.1, SPEC)
    assert engine.shapes == [(50, 1, 32, 32)]


def test_each_image_is_told_its_own_level() -> None:
    planes = tiny_models.noisy(3, 1, 16, 16)
    levels = np.array([0.1, 0.2, 0.3], np.float32).reshape(3, 1, 1, 1)
    together = restore(Blocks(), planes, levels, SPEC, tile=8)
    alone = [restore(Blocks(), planes[n : n + 1], levels[n], SPEC) for n in range(3)]
    assert np.allclose(together, np.concatenate(alone), atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 1), (1, 16), (3, 1, 1, 16)])
def test_sigma_may_be_any_shape_that_broadcasts(shape: tuple[int, ...]) -> None:
    planes = tiny_models.noisy(3, 1, 16, 16)
    sigma = np.linspace(0, 0.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    full = np.array(np.broadcast_to(sigma, planes.shape))
    assert np.array_equal(restore(Blocks(), planes, sigma, SPEC, tile=8), whole(planes, full))


def test_a_conditioned_network_without_sigma_is_an_error() -> None:
    with pytest.raises(SigmaError, match="must be told the noise level"):
        restore(Blocks(), tiny_models.noisy(1, 1, 16, 16), None, SPEC)
    with pytest.raises(SigmaError, match="does not fit"):
        restore(Blocks(), tiny_models.noisy(1, 1, 16, 16), np.ones((3, 3)), SPEC)


def test_a_blind_network_is_told_nothing() -> None:
    spec = NetworkSpec(channels=1, multiple_of=4, minimum_size=8, halo=4)
    planes = tiny_models.noisy(1, 1, 16, 16)
    assert np.array_equal(restore(Blocks(), planes, 0.3, spec), whole(planes, 0.0))


def test_the_tile_follows_from_the_memory_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "resident_memory", lambda: 50_000_000)
    image = (1, 1, 2000, 3000)
    for pixels in (10_000, 100_000, 1_000_000):
        limit = 50_000_000 + 4 * 2000 * 3000 + 100 * pixels
        grid = plan(image, SPEC, Blocks(), tile=None, max_memory=limit)
        window = largest_window(2000, 3000, grid.core, 4, 4)
        assert 0.5 * pixels <= window <= pixels


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "resident_memory", lambda: 50_000_000)
    with pytest.raises(MemoryLimitError, match=r"smallest tile.*--max-memory"):
        plan((1, 1, 1000, 1000), SPEC, Blocks(), tile=None, max_memory=50_000_000)


def test_half_of_the_free_memory_is_taken_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "free_memory", lambda: 2 * (4 * 1000 * 1000 + 100 * 200 * 200))
    core = plan((1, 1, 1000, 1000), SPEC, Blocks(), tile=None, max_memory=None).core
    assert 180 <= core + 8 <= 200


def test_running_out_of_memory_shrinks_the_tile_and_goes_on() -> None:
    planes = tiny_models.noisy(1, 1, 200, 120)
    engine = Blocks(most_pixels=3000)
    assert np.abs(restore(engine, planes, 0.1, SPEC, tile=4096) - whole(planes)).max() <= 1e-5
    assert max(shape[-1] * shape[-2] for shape in engine.shapes[-3:]) <= 3000


def test_running_out_of_memory_with_the_smallest_tile_is_an_error() -> None:
    with pytest.raises(MemoryLimitError, match="out of memory"):
        restore(Blocks(most_pixels=50), tiny_models.noisy(4, 1, 64, 64), 0.1, SPEC)


def test_a_network_that_pools_over_the_image_runs_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = NetworkSpec(channels=1, multiple_of=4, minimum_size=8, halo=None)
    engine = Blocks()
    restore(engine, tiny_models.noisy(1, 1, 301, 203), None, spec)
    assert engine.shapes == [(1, 1, 304, 204)]
    with pytest.raises(ConfigError, match="cannot be tiled"):
        restore(engine, tiny_models.noisy(1, 1, 64, 64), None, spec, tile=32)
    monkeypatch.setattr(inference, "resident_memory", lambda: 0)
    with pytest.raises(MemoryLimitError, match="the whole image"):
        restore(engine, tiny_models.noisy(1, 1, 301, 203), None, spec, max_memory=1_000_000)


def test_a_tile_below_one_pixel_is_refused() -> None:
    with pytest.raises(ConfigError, match="tile"):
        restore(Blocks(), tiny_models.noisy(1, 1, 64, 64), 0.1, SPEC, tile=0)


def test_progress_grows_to_one() -> None:
    seen: list[float] = []
    restore(Blocks(), tiny_models.noisy(1, 1, 650, 1333), 0.1, SPEC, tile=300, progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert seen[-1] == 1


def test_cancel_after_the_last_tile_gives_no_result() -> None:
    """An image of one tile was written as a whole, and then called stopped."""
    answers = iter([False, True])
    with pytest.raises(Cancelled):
        restore(Blocks(), tiny_models.noisy(1, 1, 64, 64), 0.1, SPEC, cancel=lambda: next(answers))


def test_cancel_stops_between_tiles() -> None:
    answers: Iterator[bool] = iter([False, False, True])
    engine = Blocks()
    with pytest.raises(Cancelled):
        restore(engine, tiny_models.noisy(1, 1, 999, 999), 0.1, SPEC, tile=400, cancel=lambda: next(answers))
    assert len(engine.shapes) == 2


@pytest.mark.parametrize(("free", "limit", "released"), [(11_201, None, 0), (11_199, None, 1), (1 << 40, 1 << 40, 1)])
def test_memory_is_kept_where_it_is_little_and_no_limit_is_set(
    free: int, limit: int | None, released: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Blocks()
    engine.bytes_per_pixel = 1.0
    monkeypatch.setattr(inference, "KEPT_SHARE", 0.1)
    monkeypatch.setattr(inference, "free_memory", lambda: free)
    restore(engine, tiny_models.noisy(1, 1, 40, 25), 0.1, SPEC, tile=64, max_memory=limit)
    assert engine.shapes == [(1, 1, 40, 28)], "1120 bytes"
    assert engine.released == released


@pytest.mark.parametrize("limit", [None, 1 << 40])
def test_memory_is_given_back_after_a_failure_too(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "free_memory", lambda: 0)
    engine = Blocks()
    stops: Iterator[bool] = iter([False, True])
    with pytest.raises(Cancelled):
        restore(engine, tiny_models.noisy(1, 1, 999, 999), 0.1, SPEC, tile=400, max_memory=limit, cancel=stops.__next__)
    assert engine.released == 1


class Leaning:
    """An engine with a preferred direction: it answers with the pixel above, and adds sigma."""

    name: Literal["leaning"] = "leaning"
    precision: Precision = "exact"
    note = ""
    bytes_per_pixel = 1.0
    fixed_bytes = 0.0

    def run(self, batch: Array, sigma: Array | None) -> Array:
        return np.roll(batch, 1, axis=-2) + (0 if sigma is None else sigma)

    def release(self) -> None:
        pass


def test_the_ensemble_is_the_mean_over_turns_and_flips() -> None:
    spec = NetworkSpec(channels=1, halo=None, conditioning="sigma")
    planes = tiny_models.noisy(1, 1, 6, 9)
    sigma = np.abs(tiny_models.noisy(1, 1, 6, 9, seed=1))
    restored = restore(Leaning(), planes, sigma, spec, ensemble=True)
    around = sum(np.roll(planes, shift, axis) for shift in (1, -1) for axis in (-1, -2)) / 4
    assert np.allclose(restored, around + sigma, atol=1e-6)
