"""Packing: noise and JPEG traces are scaled away, crops with content are kept, the same images give the same store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from noiseless.data.prepare import (
    PackReport,
    Preparation,
    choose_crops,
    choose_factor,
    judge,
    noise_level,
    pack,
    scale_down,
)
from noiseless.errors import DataError


def photograph(height: int, width: int, *, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A smooth picture with edges (3, H, W) in uint8, with noise of so many grey levels."""
    generator = np.random.default_rng(seed)
    coarse = gaussian_filter(generator.standard_normal((height // 8 + 1, width // 8 + 1)), 6)
    large = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    scene = 110 + 50 * large / large.std().clip(1e-9) / 2 + 30 * (large > 0)
    noisy = scene + noise * generator.standard_normal((3, height, width))
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


def fine_texture(side: int, seed: int = 0) -> np.ndarray:
    """Grain that is there at every scale, (3, side, side) in uint8."""
    generator = np.random.default_rng(seed)
    layers = [np.kron(generator.standard_normal((side // k, side // k)), np.ones((k, k))) for k in (1, 2, 4, 8, 16)]
    return np.broadcast_to((128 + 8 * sum(layers)).clip(0, 255).astype(np.uint8), (3, side, side))


def test_noise_level_measures_noise_and_not_edges() -> None:
    for sigma in (1.0, 4.0):
        luma_sigma = sigma * np.sqrt(0.299**2 + 0.587**2 + 0.114**2)
        assert noise_level(photograph(400, 400, noise=sigma)) == pytest.approx(luma_sigma, rel=0.25)
    assert noise_level(photograph(400, 400)) < 0.5
    assert noise_level(np.zeros((3, 64, 64), np.uint8)) == 0


def test_noise_level_is_in_grey_levels_for_every_dtype() -> None:
    eight = photograph(200, 200, noise=3)
    sixteen, floats = eight.astype(np.uint16) * 257, eight.astype(np.float32) / 255
    assert noise_level(sixteen) == pytest.approx(noise_level(eight), rel=1e-3)
    assert noise_level(floats) == pytest.approx(noise_level(eight), rel=1e-3)


def test_auto_scales_large_images_only_and_noisy_ones_more() -> None:
    assert choose_factor(photograph(64, 512, noise=5)) == 1
    assert choose_factor(photograph(400, 2500)) == 2
    assert choose_factor(photograph(400, 2500, noise=8)) == 3


def test_auto_does_not_take_texture_for_noise() -> None:
    texture = np.concatenate([fine_texture(512, seed) for seed in range(5)], axis=2)
    assert noise_level(texture) > 2
    assert choose_factor(texture) == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("method", ["lanczos", "area"])
def test_scaling_keeps_dtype_mean_and_shape(dtype: type, method: str) -> None:
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    image = (photograph(90, 120) * np.float64(scale)).astype(dtype)
    small = scale_down(image, 2.5, method)
    assert small.dtype == dtype
    assert small.shape == (3, 36, 48)
    assert small.mean() == pytest.approx(image.mean(), rel=0.01)
    assert scale_down(image, 1.0, method) is image


def test_area_is_the_mean_of_each_block() -> None:
    image = photograph(30, 30).astype(np.float32) / 255
    expected = image.reshape(3, 10, 3, 10, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(scale_down(image, 3.0, "area"), expected, atol=1e-6)


def test_judging_crops() -> None:
    sky = np.linspace(60, 120, 128)[None, :, None] * np.ones((3, 1, 128))
    sky += np.random.default_rng(0).standard_normal(sky.shape)
    chart = np.full((3, 128, 128), 255, np.uint8)
    chart[:, 20:24, 10:100] = 0
    assert judge(fine_texture(128))[0] == "content"
    assert judge(sky.astype(np.uint8))[0] == "smooth"
    assert judge(np.full((3, 128, 128), 3, np.uint8))[0] == "dark"
    assert judge(chart)[0] == "graphics"


def test_more_content_scores_higher() -> None:
    weak = (128 + (fine_texture(128).astype(np.int16) - 128) // 4).astype(np.uint8)
    assert judge(fine_texture(128))[1] > judge(weak)[1]


def test_crops_cover_the_image_and_the_limit_holds() -> None:
    image = fine_texture(256)[:, :180]
    report = PackReport()
    found = choose_crops(image, Preparation(crop=96, per_image=99), report)
    covered = np.zeros(image.shape[1:], bool)
    for top, left, crop in found:
        np.testing.assert_array_equal(crop, image[:, top : top + 96, left : left + 96])
        covered[top : top + 96, left : left + 96] = True
    assert covered.all()
    assert report.kept == {"content": 6}
    assert len(choose_crops(image, Preparation(crop=96, per_image=4), PackReport())) == 4


def test_smooth_crops_keep_to_their_share() -> None:
    sky = np.linspace(60, 120, 512)[None, :, None] * np.ones((3, 1, 512)) + np.random.default_rng(0).normal(
        size=(3, 512, 512)
    )
    report = PackReport()
    preparation = Preparation(crop=64, per_image=1000, smooth=0.1)
    for image in (fine_texture(512), sky.astype(np.uint8)):
        choose_crops(image, preparation, report)
    assert report.kept["content"] == 64
    assert report.kept["smooth"] == 7  # 7 of 71 are the most that a tenth allows
    assert report.dropped["smooth"] == 57


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A textured image twice under two names, a chart, a dark image, a large photograph, a broken file."""
    folder = tmp_path / "images"
    folder.mkdir()
    chart = np.full((3, 128, 128), 255, np.uint8)
    pictures = {"a": fine_texture(128), "b": fine_texture(128), "chart": chart, "dark": chart // 99}
    pictures["large"] = np.concatenate([fine_texture(256, seed) for seed in range(10)], axis=2)
    for name, pixels in pictures.items():
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:300])
    (folder / "LICENSE").write_text("CC0 1.0 Universal")
    return folder


def test_packing_a_folder(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    store, report = pack([folder], tmp_path / "store", Preparation(crop=128), progress=lambda *what: told.append(what))
    names = [entry.name for entry in store.entries]
    assert names[0] == "images/a.png@0,0"
    assert len(names) == 1 + 8
    assert set(names[1:]) < {f"images/large.png@{left},0" for left in range(0, 1280, 128)}
    assert all(array.shape == (3, 128, 128) for array in store)
    np.testing.assert_array_equal(store[0], fine_texture(128))
    assert report.factors == {1.0: 3, 2.0: 1}
    assert report.repeated == ["images/b.png"]
    assert report.dropped == {"graphics": 1, "dark": 1, "content": 2}
    assert len(report.skipped) == 1
    assert "broken.png" in report.skipped[0]
    assert told[-1] == (6, 6, "images/large.png")
    assert store.entries[0].info["licence"] == "CC0-1.0"
    assert len({entry.info["sha256"] for entry in store.entries}) == 2
    assert store.info["preparation"]["crop"] == 128
    assert next(source["path"] for source in store.info["sources"]) == "images/a.png"
    text = "\n".join(report.lines())
    assert "1 by 2" in text
    assert "broken.png" in text


def test_packing_twice_gives_the_same_store(folder: Path, tmp_path: Path) -> None:
    first, _ = pack([folder], tmp_path / "one", Preparation(crop=96))
    second, _ = pack([folder], tmp_path / "two", Preparation(crop=96))
    assert first.content_hash == second.content_hash
    pixels = [(tmp_path / name / "pixels.bin").read_bytes() for name in ("one", "two")]
    assert pixels[0] == pixels[1]


def test_exclusions_and_whole_images(folder: Path, tmp_path: Path) -> None:
    preparation = Preparation(downscale=2, crop=0, exclude=("large*", "b.png", "broken*"))
    store, report = pack([folder], tmp_path / "store", preparation)
    assert [entry.shape for entry in store.entries] == [(3, 64, 64)]
    assert report.images == 3


def test_nothing_worth_packing(tmp_path: Path) -> None:
    (tmp_path / "dark").mkdir()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "dark" / "1.png")
    with pytest.raises(DataError, match="no crop worth packing"):
        pack([tmp_path / "dark"], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_what_is_no_store_is_told_before_any_image_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").mkdir()
    monkeypatch.setattr("noiseless.data.prepare.gather", pytest.fail)
    with pytest.raises(DataError, match="is there and is not a packed store"):
        pack([tmp_path], tmp_path / "precious")


@pytest.mark.parametrize(
    "wrong",
    [
        {"downscale": 0.5},
        {"downscale": float("nan")},
        {"filter": "cubic"},
        {"crop": 8},
        {"per_image": 0},
        {"smooth": 1.5},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError):
        Preparation(**wrong)  # type: ignore[arg-type]
