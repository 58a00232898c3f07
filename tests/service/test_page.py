"""The web page in a real browser, against a real service: drop, slide, change the strength, download."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import noiseless
from service_page import PASTE, READY, Watched, open_page
from service_process import Service, file_of, noisy, running

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("playwright", reason="the browser test needs playwright")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("kind", "dtype"), [("png", "uint8"), ("tiff", "uint16")])
def test_drop_slide_change_the_strength_and_download_what_the_command_line_makes(
    watched: Watched, tmp_path: Path, kind: str, dtype: str
) -> None:
    page, data = watched.page, file_of(noisy(200, 240, dtype=dtype), kind)
    watched.drop((f"scan.{kind}", data))
    watched.ready()
    full = watched.canvas()
    box = page.locator("#divider").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] - 100, box["y"] + 80, steps=4)
    page.mouse.up()
    page.wait_for_timeout(200)
    assert int(page.get_attribute("#divider", "aria-valuenow")) < 45
    assert (watched.canvas() != full).any()
    page.focus("#strength")
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert page.text_content("#strength-value") == "60%"
    page.wait_for_timeout(200)
    assert watched.jobs() == 1, "the strength needs no new inference"
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == f"scan-noiseless.{kind}"
    got, asked, made = tmp_path / f"got.{kind}", tmp_path / f"asked.{kind}", tmp_path / f"made.{kind}"
    waiting.value.save_as(got)
    asked.write_bytes(data)
    from noiseless.cli import run

    assert run(["denoise", str(asked), "-o", str(made), "--strength", "0.6"]) == 0
    theirs, ours = noiseless.read(got), noiseless.read(made)
    assert theirs.array.dtype == np.dtype(dtype)
    assert np.array_equal(theirs.array, ours.array)
    assert got.read_bytes() == made.read_bytes()


def test_strength_zero_shows_the_image_before_and_the_removed_view_shows_grey(watched: Watched) -> None:
    page = watched.page
    watched.drop(("a.png", file_of(noisy(200, 240))))
    watched.ready()
    page.focus("#divider")
    page.keyboard.press("Home")
    page.wait_for_timeout(200)
    after = watched.canvas().astype(int)
    page.focus("#strength")
    page.keyboard.press("Home")
    page.wait_for_timeout(200)
    before = watched.canvas().astype(int)
    inside = before[..., 3] == 255
    removed = (before - after)[inside][:, 0]
    assert removed.std() == pytest.approx(0.08 * 255, rel=0.3)
    page.check("input[value=removed]")
    page.wait_for_timeout(200)
    assert set(np.unique(watched.canvas()[inside][:, :3])) == {128}
    page.focus("#strength")
    page.keyboard.press("End")
    page.wait_for_timeout(200)
    amplified = watched.canvas()[inside][:, 0].astype(int) - 128
    where = np.abs(amplified) < 100
    assert np.corrcoef(amplified[where], removed[where])[0, 1] > 0.95
    assert np.polyfit(removed[where], amplified[where], 1)[0] == pytest.approx(8, rel=0.1)


def test_a_dim_16_bit_image_is_shown_bright(watched: Watched) -> None:
    array = noisy(200, 240, dtype="uint16")
    assert array.max() < 65535 / 16 + 1
    watched.drop(("dim.tif", file_of(array, "tiff")))
    watched.ready()
    shown = watched.canvas()
    values = shown[shown[..., 3] == 255][:, 0]
    assert 90 < values.mean() < 165
    assert values.max() > 230
    assert "16 bit · TIFF" in watched.page.text_content("#file-facts")


def scan_of(kind: str, height: int = 180, width: int = 220) -> tuple[bytes, np.ndarray]:
    """A file whose values take a small part of their range, and what should be shown of it (H, W), 0 to 255."""
    rows, columns = np.mgrid[:height, :width]
    body = np.hypot((rows - height / 2) / height, (columns - width / 2) / width) < 0.45
    noise = np.random.default_rng(5).normal(0, 1, (height, width))
    if kind == "tif":
        array = (500 + 1000 * body + 400 * columns / width + 40 * noise).astype(np.uint16)
        low, high = np.percentile(array, (0.1, 99.9))
        return file_of(array, "tiff"), 255 * (array - low) / (high - low)
    pytest.importorskip("pydicom", reason="DICOM needs the extra medical")
    from dicom_files import dicom

    units = np.where(body, 40 + 120 * columns / width, -1000) + 20 * noise
    elements = {"Modality": "CT", "RescaleIntercept": -1024, "RescaleSlope": 1, "BitsStored": 12}
    data = dicom((units + 1024).clip(0, 4095).astype(np.uint16), **elements, WindowCenter=40, WindowWidth=400)
    return data, 255 * (units - (40 - 200)) / 400


def test_values_of_black_and_white_are_asked_of_deep_images_alone(watched: Watched, tmp_path: Path) -> None:
    page, counts = watched.page, noisy(180, 220, dtype="float32")
    tifffile.imwrite(tmp_path / "counts.tif", counts)
    watched.drop(("counts.tif", (tmp_path / "counts.tif").read_bytes()))
    page.wait_for_selector("#warnings li")
    assert "the values of black and white (data_range=LOW,HIGH)" in page.text_content("#warnings")
    watched.problems.clear()  # of the 422
    assert page.is_visible("#range-field")
    page.fill("#black", "-1000")
    page.press("#black", "Tab")
    assert watched.jobs() == 1, "half of it says nothing yet"
    page.fill("#white", "4000")
    page.press("#white", "Tab")
    watched.ready()
    assert page.is_visible("#range-field")
    with page.expect_download() as waiting:
        page.click("#download")
    waiting.value.save_as(tmp_path / "got.tif")
    expected = noiseless.denoise(counts, data_range=(-1000, 4000))
    np.testing.assert_allclose(noiseless.read(tmp_path / "got.tif", data_range=(-1000, 4000)).array, expected, atol=2)
    watched.drop(("plain.png", file_of(noisy(60, 80))))
    watched.ready()
    assert page.is_hidden("#range-field")
    page.click("#strip button[aria-label='counts.tif']")
    assert page.is_visible("#range-field")
    assert [page.input_value(f"#{end}") for end in ("black", "white")] == ["-1000", "4000"]
    assert watched.jobs() == 3, "what was asked before is kept"


@pytest.mark.parametrize("kind", ["tif", "dcm"])
def test_scans_are_windowed_and_their_download_is_the_command_lines(
    watched: Watched, tmp_path: Path, kind: str
) -> None:
    page, (data, expected) = watched.page, scan_of(kind)
    watched.drop((f"scan.{kind}", data))
    watched.ready()
    page.focus("#strength")
    page.keyboard.press("Home")  # the image as it came
    page.focus("#canvas")
    page.keyboard.press("1")
    page.wait_for_timeout(300)
    shown = watched.canvas()
    inside = shown[..., 3] == 255
    height, width = expected.shape
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    assert (len(rows), len(columns)) == (height, width)
    picture = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, 0].astype(float)
    assert picture.max() > 200
    assert picture.std() > 40
    assert np.abs(picture - expected.clip(0, 255)).max() <= 2
    page.focus("#strength")
    page.keyboard.press("End")
    with page.expect_download() as waiting:
        page.click("#download")
    got, asked, made = (tmp_path / f"{name}.{kind}" for name in ("got", "asked", "made"))
    waiting.value.save_as(got)
    asked.write_bytes(data)
    from noiseless.cli import run

    assert run(["denoise", str(asked), "-o", str(made)]) == 0
    theirs, ours, given = (noiseless.read(path) for path in (got, made, asked))
    assert theirs.array.dtype == given.array.dtype == np.uint16
    assert np.array_equal(theirs.array, ours.array)
    assert not np.array_equal(theirs.array, given.array)


def test_the_estimated_noise_and_a_warning_of_having_been_denoised_are_shown(watched: Watched, tmp_path: Path) -> None:
    page, asked, made = watched.page, tmp_path / "asked.png", tmp_path / "made.png"
    asked.write_bytes(file_of(noisy(160, 160)))
    from noiseless.cli import run

    assert run(["denoise", str(asked), "-o", str(made)]) == 0
    watched.drop(("first.png", asked.read_bytes()))
    watched.ready()
    found = float(page.text_content("#facts dt:has-text('Estimated noise') + dd"))
    assert found == pytest.approx(0.08 * 255, rel=0.2)
    assert page.locator("#warnings li").count() == 0
    watched.drop(("second.png", made.read_bytes()))
    page.wait_for_selector("#warnings li", timeout=READY)
    assert "was denoised before" in page.text_content("#warnings")
    watched.ready()


def test_noise_unlike_what_the_model_knows_is_said_in_the_language_of_the_page(watched: Watched) -> None:
    page = watched.page
    watched.drop(("a.png", file_of(noisy(64, 64))))
    watched.ready()
    assert "stronger" not in page.text_content("#warnings")
    page.select_option("#noise", "given")
    page.fill("#sigma", "120")
    page.keyboard.press("Enter")
    page.wait_for_selector("#warnings li", timeout=READY)
    assert "The noise is stronger than this model has learned." in page.text_content("#warnings")
    page.click("#language")
    assert "噪声比该模型学过的更强" in page.text_content("#warnings")
    page.click("#language")
    watched.ready()


def test_several_images_and_one_that_is_none(watched: Watched) -> None:
    page = watched.page
    files = [(f"{number}.png", file_of(noisy(64, 64, seed=number))) for number in range(2)]
    watched.drop(*files, ("rubbish.png", b"rubbish"), how=PASTE)
    watched.ready()
    assert page.locator("#strip button").count() == 4
    page.locator("#strip button").nth(2).click()
    page.wait_for_selector("#warnings li")
    assert "is not an image" in page.text_content("#warnings")
    assert page.is_disabled("#download")
    page.locator("#strip button").nth(1).click()
    watched.ready()
    assert page.text_content("#file-name") == "1.png"
    refused = [problem for problem in watched.problems if "422" in problem]
    assert len(refused) == 1
    watched.problems.remove(refused[0])


def test_another_model_is_asked_and_the_first_result_is_kept(watched: Watched) -> None:
    page = watched.page
    watched.drop(("a.png", file_of(noisy(64, 64, channels=3))))
    watched.ready()
    assert "color-small" in page.text_content("#facts")
    page.select_option("#model", "photo-small")
    watched.ready()
    assert "photo-small" in page.text_content("#facts")
    assert watched.jobs() == 2
    page.select_option("#model", "auto")
    watched.ready()
    assert watched.jobs() == 2


def test_zoom_and_keys(watched: Watched) -> None:
    page = watched.page
    watched.drop(("a.png", file_of(noisy(64, 64))))
    watched.ready()
    page.focus("#canvas")
    page.keyboard.press("1")
    page.wait_for_timeout(100)
    assert page.text_content("#zoom") == "100%"
    for _ in range(12):
        page.keyboard.press("+")
    page.wait_for_timeout(100)
    assert page.text_content("#zoom") == "1455%"
    shown = watched.canvas()
    same = (shown[:, 1:] == shown[:, :-1]).all(-1)
    assert same.mean() > 0.9, "pixels are squares"
    page.keyboard.down(" ")
    page.wait_for_timeout(100)
    assert page.is_hidden("#divider")
    page.keyboard.up(" ")
    page.wait_for_timeout(100)
    assert page.is_visible("#divider")


def test_languages_and_themes(watched: Watched) -> None:
    page = watched.page
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.click("#language")
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert page.text_content("#choose") == "选择图像"
    left = page.evaluate(
        "[...document.querySelectorAll('[data-word]')].filter((e) => e.textContent === e.dataset.word).length"
    )
    assert left == 0
    page.click("#theme")
    page.click("#language")


def test_a_phone_needs_no_sideways_scrolling(browser: Any, service: Service) -> None:
    watched = open_page(browser, service, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = watched.page
    page.tap("[data-sample=sensor]")
    watched.ready()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("#strength", "#model", "#download"):
        assert page.locator(name).bounding_box()["width"] > 150
    assert not watched.problems
    page.context.close()


def test_a_token_is_asked_for_once(browser: Any, tmp_path: Path) -> None:
    with running(tmp_path / "state", "--token", "secret") as service:
        page = browser.new_context().new_page()
        page.goto(service.url)
        page.fill("#token", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector(".samples img")
        assert not page.locator("#token").is_visible()
        page.click("[data-sample=sensor]")
        page.wait_for_selector("#download:not([disabled])", timeout=READY)
        assert not page.locator("#token").is_visible()
        page.context.close()


def test_the_documentation_of_the_api_lists_every_route(browser: Any, service: Service) -> None:
    page = browser.new_context().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{service.url}docs")
    page.wait_for_selector(".route")
    shown = set(page.locator(".route summary code:nth-child(2)").all_text_contents())
    assert {"/v1/denoise", "/v1/jobs", "/v1/jobs/{job}/events", "/healthz", "/metrics"} <= shown
    assert all(url.startswith(service.url) for url in asked)
    page.context.close()


def test_a_film_becomes_a_job_and_is_offered_when_it_is_done(watched: Watched, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="films need the extra video")
    with av.open(str(tmp_path / "clip.mkv"), "w") as film:
        stream = film.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for seed in range(8):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(noisy(48, 64, channels=3, seed=seed))))
        film.mux(stream.encode())
    page = watched.page
    watched.drop(("clip.mkv", (tmp_path / "clip.mkv").read_bytes()))
    assert "this is a job" in page.text_content("#busy-text")
    watched.ready()
    assert page.text_content("#busy-text") == "It is done. Download it."
    assert page.text_content("#file-facts") == "64 × 48 · 8 frames · MATROSKA"
    assert page.is_hidden("#progress")
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == "clip-noiseless.mkv"
    waiting.value.save_as(tmp_path / "clean.mkv")
    with av.open(str(tmp_path / "clean.mkv")) as clean:
        assert sum(1 for _ in clean.decode(video=0)) == 8


def test_a_zip_of_an_ome_zarr_is_offered_when_it_is_done(watched: Watched, tmp_path: Path) -> None:
    pytest.importorskip("zarr", reason="OME-Zarr needs the extra microscopy")
    from zarr_files import ome_zarr

    made = ome_zarr(tmp_path / "cells.zarr", noisy(48, 64, dtype="uint16"), "YX")
    data = Path(shutil.make_archive(str(tmp_path / "cells"), "zip", made)).read_bytes()
    page = watched.page
    watched.drop(("cells.zarr.zip", data))
    watched.ready()
    assert page.text_content("#busy-text") == "It is done. Download it."
    assert "OME-Zarr" in (page.text_content("#file-facts") or "")
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == "cells-noiseless.zarr.zip"
