"""Tiles: every pixel once, windows aligned and within the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseless.tiling import Span, fitting_core, largest_window, round_up, spans, tiles


@given(
    st.integers(1, 60), st.integers(1, 300), st.integers(0, 70), st.sampled_from([1, 2, 3, 8, 16]), st.integers(1, 40)
)
def test_cores_cover_every_pixel_once(rows: int, core: int, halo: int, multiple: int, columns: int) -> None:
    height, width = rows * multiple, columns * multiple
    count = np.zeros((height, width), int)
    for tile in tiles(height, width, core, halo, multiple):
        count[tile.rows.core, tile.columns.core] += 1
        window = count[tile.rows.window, tile.columns.window]
        assert window.shape == tile.window_shape
        assert window[tile.rows.inner, tile.columns.inner].shape == count[tile.rows.core, tile.columns.core].shape
    assert (count == 1).all()


@given(st.integers(1, 200), st.integers(1, 300), st.integers(0, 70), st.sampled_from([1, 2, 3, 8, 16]))
def test_spans_are_aligned_and_have_their_halo(steps: int, core: int, halo: int, multiple: int) -> None:
    length = steps * multiple
    for span in spans(length, core, halo, multiple):
        edges = (span.start, span.stop, span.window_start, span.window_stop)
        assert all(edge % multiple == 0 for edge in edges)
        at_border = (span.start == 0) + (span.stop == length)
        aligned_halo = round_up(halo, multiple)
        assert span.stop - span.start <= max(core, multiple) + at_border * aligned_halo
        assert span.window_start == 0 or span.start - span.window_start >= halo
        assert span.window_stop == length or span.window_stop - span.stop >= halo
        assert 0 <= span.window_start <= span.start < span.stop <= span.window_stop <= length


@given(st.integers(1, 200), st.integers(1, 300), st.integers(0, 70), st.sampled_from([1, 2, 3, 8, 16]))
def test_all_windows_are_alike_and_no_larger_than_needed(steps: int, core: int, halo: int, multiple: int) -> None:
    length = steps * multiple
    found = spans(length, core, halo, multiple)
    (window,) = {span.window_stop - span.window_start for span in found}
    overlap = 2 * round_up(halo, multiple)
    assert window * len(found) < length + (len(found) - 1) * overlap + len(found) * multiple
    assert window <= max(core // multiple, 1) * multiple + overlap


def test_an_axis_cut_in_three() -> None:
    assert spans(1032, 336, 32, 8) == [Span(0, 352, 0, 392), Span(352, 672, 320, 712), Span(672, 1032, 640, 1032)]


def test_a_core_as_large_as_the_image_is_the_image() -> None:
    (tile,) = tiles(64, 40, 64, 16, 8)
    assert tile.rows.window == tile.rows.core == slice(0, 64)
    assert tile.columns.window == slice(0, 40)


def test_a_length_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        spans(65, 32, 8, 8)


@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 48), st.integers(1, 60_000))
def test_the_chosen_core_fits(rows: int, columns: int, halo: int, most: int) -> None:
    height, width = 8 * rows, 8 * columns
    core = fitting_core(height, width, halo, 8, lambda core, window: window <= most, 512)
    if core is None:
        assert largest_window(height, width, 8, halo, 8) > most
    else:
        assert largest_window(height, width, core, halo, 8) <= most


def test_the_whole_image_is_taken_where_it_fits() -> None:
    assert fitting_core(512, 768, 96, 8, lambda core, window: window <= 512 * 768, 2048) == 768


def test_a_long_thin_image_is_cut_along_its_length_only() -> None:
    core = fitting_core(16, 80_000, 96, 8, lambda core, window: window <= 16 * 2000, 2048)
    assert core is not None
    assert len({tile.rows for tile in tiles(16, 80_000, core, 96, 8)}) == 1
