"""Models measured side by side, and the protocol that comes with the numbers."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import tiny_runs
from noiseless.data import Pairs
from noiseless.errors import ConfigError, DataError, SpecError, UnknownNameError
from noiseless.evaluation import evaluate
from noiseless.evaluation.evaluate import WARM_UP_SIDE
from noiseless.evaluation.html import liveliest, write_report
from noiseless.evaluation.pictures import Pictures


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Three grey pictures of 192x192."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(tiny_runs.pictures(3, seed=5, size=192)):
        Pillow.fromarray(picture[0]).save(folder / f"{'ab'[number % 2]}{number}.png")
    return folder


@pytest.fixture
def pairs(clean: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The same with 8-bit noise of 10 grey levels."""
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    generator = np.random.default_rng(0)
    for path in clean.iterdir():
        pixels = np.asarray(Pillow.open(path)).astype(float)
        pixels += generator.normal(0, 10, pixels.shape)
        Pillow.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8)).save(noisy / path.name)
    return noisy, clean


class Halfway:
    """Returns the mean of the image and mid-grey; keeps what it was told of whole images."""

    name = "halfway"

    def __init__(self) -> None:
        self.told: list[object] = []

    def __call__(self, array: np.ndarray, **options: object) -> np.ndarray:
        if array.shape[-1] > WARM_UP_SIDE:
            self.told.append(options["noise"])
        return ((array.astype(np.float32) + 0.5) / 2).astype(array.dtype)


def test_pairs_in_a_range_of_their_own_are_not_taken_for_8_bits(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for side, level in (("clean", 0), ("noisy", 80)):
        (tmp_path / side).mkdir()
        ramp = np.linspace(500, 3500, 64 * 64, dtype=np.float32).reshape(64, 64)
        np.save(tmp_path / side / "a.npy", ramp + level * generator.standard_normal((64, 64), np.float32))
    source = Pairs.find(tmp_path / "noisy", tmp_path / "clean", data_range=(0.0, 4000.0))
    report = evaluate("identity", source)
    assert report.protocol.quantisation == "none"
    assert report["identity"].interval("psnr").mean == pytest.approx(-20 * math.log10(80 / 4000), abs=0.3)


@pytest.mark.parametrize("noise", [25, ["gaussian:25"]])
def test_noise_that_is_no_noise_is_one_line(clean: Path, noise: object) -> None:
    with pytest.raises(SpecError, match="no text"):
        evaluate("identity", clean=clean, noise=noise)  # type: ignore[arg-type]


def test_folders_of_one_name_give_images_names_of_their_own(clean: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "photos"
    shutil.copytree(clean, again)
    report = evaluate("identity", clean=[clean, again], noise="gaussian:10")
    names = [score.name for score in report["identity"].images]
    assert names == [path.as_posix() for folder in (clean, again) for path in sorted(folder.iterdir())]


def test_identity_has_the_psnr_of_its_noise(clean: Path) -> None:
    report = evaluate("identity", clean=clean, noise="gaussian:10")
    # Clipping to [0, 1] only helps, and little at this level.
    assert report["identity"].interval("psnr").mean == pytest.approx(20 * math.log10(255 / 10), abs=0.4)


def test_noise_does_not_depend_on_order_or_on_other_images(clean: Path) -> None:
    files = sorted(clean.iterdir())
    whole = evaluate("identity", clean=files, noise="gaussian:25")
    reverse = evaluate("identity", clean=files[::-1], noise="gaussian:25")
    alone = evaluate("identity", clean=files[1], noise="gaussian:25")
    by_name = {score.name: score.values for score in whole["identity"].images}
    assert {score.name: score.values for score in reverse["identity"].images} == by_name
    assert alone["identity"].images[0].values == by_name[alone["identity"].images[0].name]
    assert len({values["psnr"] for values in by_name.values()}) == 3  # and each image has noise of its own


def test_another_seed_is_other_noise(clean: Path) -> None:
    one, other = (evaluate("identity", clean=clean, noise="gaussian:25", seed=seed) for seed in (0, 1))
    assert one["identity"].images[0].values != other["identity"].images[0].values


def test_models_are_told_the_noise_that_was_drawn(clean: Path) -> None:
    model = Halfway()
    evaluate(model, clean=clean, noise="gaussian:5-50")
    sigmas = [noise.sigma for noise in model.told]  # type: ignore[attr-defined]
    assert len(set(sigmas)) == 3
    assert all(5 / 255 <= sigma <= 50 / 255 for sigma in sigmas)


def test_pairs_are_8_bit_in_and_out_and_told_auto(pairs: tuple[Path, Path]) -> None:
    model = Halfway()
    report = evaluate([model, "identity"], pairs=pairs)
    assert report.protocol.quantisation == "8-bit"
    assert report.protocol.noise is None
    assert model.told == ["auto"] * 3
    assert report["identity"].interval("psnr").mean == pytest.approx(20 * math.log10(255 / 10), abs=0.5)


def test_pairs_can_be_told_a_level(pairs: tuple[Path, Path]) -> None:
    model = Halfway()
    report = evaluate(model, pairs=pairs, noise="gaussian:10")
    assert [noise.spec for noise in model.told] == ["gaussian:10"] * 3  # type: ignore[attr-defined]
    assert report.protocol.told == "gaussian:10"


def test_bm3d_beats_the_median_and_the_noisy_image(tmp_path: Path) -> None:
    pytest.importorskip("bm3d")
    Pillow.fromarray(tiny_runs.pictures(1, seed=5, size=72)[0][0]).save(tmp_path / "a.png")
    report = evaluate(["identity", "median", "bm3d"], clean=tmp_path, noise="gaussian:30", limit=1)
    noisy, median, bm3d = (result.interval("psnr").mean for result in report.results)
    assert bm3d > median + 3 > noisy + 3


def test_json_has_the_documented_shape(clean: Path, tmp_path: Path) -> None:
    report = evaluate(["identity", "median"], clean=clean, noise="gaussian:25", metrics=("psnr", "ssim", "ms_ssim"))
    report.to_json(tmp_path / "numbers.json")
    plain = json.loads((tmp_path / "numbers.json").read_text())
    assert plain["protocol"]["noise"] == "gaussian:25"
    assert plain["protocol"]["count"] == 3
    assert len(plain["protocol"]["content_hash"]) == 64
    assert [row["model"] for row in plain["results"]] == ["identity", "median"]
    for row in plain["results"]:
        for metric in ("psnr", "ssim", "ms_ssim"):
            values = [image[metric] for image in row["images"]]
            assert row[metric]["mean"] == pytest.approx(np.mean(values))
            assert row[metric]["low"] <= row[metric]["mean"] <= row[metric]["high"]


def test_infinite_psnr_is_null_in_json(clean: Path) -> None:
    plain = evaluate("identity", clean=clean, noise="gaussian:0").to_dict()
    assert plain["results"][0]["psnr"]["mean"] is None


def test_images_too_small_for_a_metric_have_no_value(tmp_path: Path) -> None:
    Pillow.fromarray(tiny_runs.pictures(1, seed=1, size=32)[0][0]).save(tmp_path / "small.png")
    report = evaluate("identity", clean=tmp_path, noise="gaussian:25", metrics=("psnr", "ms_ssim"))
    assert math.isnan(report["identity"].images[0].values["ms_ssim"])
    assert math.isfinite(report["identity"].images[0].values["psnr"])


def test_groups_name_the_worst(clean: Path) -> None:
    report = evaluate("identity", clean=clean, noise="gaussian:25", group=r"/([ab])\d")
    result = report["identity"]
    assert result.groups() == ["a", "b"]
    means = {group: result.interval("psnr", group).mean for group in result.groups()}
    assert report.worst_group(result) == min(means, key=means.__getitem__)
    assert any("(worst)" in cell for row in report.group_rows() for cell in row)


def test_a_border_is_left_out(clean: Path) -> None:
    class Framed:
        name = "framed"

        def __call__(self, array: np.ndarray, **options: object) -> np.ndarray:
            framed = array.copy()
            framed[:4] = framed[-4:] = 0
            framed[:, :4] = framed[:, -4:] = 0
            return framed

    whole = evaluate(["identity", Framed()], clean=clean, noise="gaussian:5")
    inner = evaluate(["identity", Framed()], clean=clean, noise="gaussian:5", border=4)
    assert whole["framed"].interval("psnr").mean < whole["identity"].interval("psnr").mean - 3
    assert inner["framed"].images[0].values == inner["identity"].images[0].values


def test_contradictions_are_one_clear_line(clean: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--noise"):
        evaluate("identity", clean=clean)
    with pytest.raises(ConfigError, match="one source"):
        evaluate("identity")
    with pytest.raises(ConfigError, match="same name"):
        evaluate(["median", "median"], clean=clean, noise="gaussian:25")
    with pytest.raises(UnknownNameError, match="psnr"):
        evaluate("identity", clean=clean, noise="gaussian:25", metrics=("psrn",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image"):
        evaluate("identity", clean=tmp_path / "empty", noise="gaussian:25")


def test_the_html_report_fetches_nothing_and_shows_every_model(clean: Path, tmp_path: Path) -> None:
    pictures = Pictures(most=2)
    models = ["identity", "median"]
    report = evaluate(models, clean=clean, noise="gaussian:25", group=r"/([ab])\d", watch=pictures.add)
    path = tmp_path / "reports" / "report.html"
    write_report(report, path, pictures=pictures, title="A <title>", introduction="Some & text")
    text = path.read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert "A &lt;title&gt;" in text
    assert "Some &amp; text" in text
    assert all(model in text for model in models)
    assert text.count('class="compare"') == 2
    assert report.protocol.content_hash[:12] in text


def test_the_liveliest_square_is_where_the_detail_is() -> None:
    picture = np.zeros((128, 192), np.uint8)
    picture[64:, 128:] = np.random.default_rng(0).integers(0, 255, (64, 64))
    assert liveliest(picture, 64) == (64, 128)


def test_differences_are_of_the_same_images(clean: Path) -> None:
    report = evaluate(["identity", "median"], clean=clean, noise="gaussian:25")
    interval, better, compared = report.difference(report["median"])
    gains = [
        a.values["psnr"] - b.values["psnr"]
        for a, b in zip(report["median"].images, report["identity"].images, strict=True)
    ]
    assert interval.mean == pytest.approx(np.mean(gains))
    assert min(gains) <= interval.low <= interval.high <= max(gains)
    assert (better, compared) == (3, 3)
    assert "better on 3 of 3" in report.rows()[2][-2]


def test_metrics_that_no_image_is_large_enough_for_are_left_out(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "mixed").mkdir()
    Pillow.fromarray(tiny_runs.pictures(1, seed=1, size=32)[0][0]).save(tmp_path / "mixed" / "small.png")
    assert evaluate("identity", clean=tmp_path / "mixed", noise="gaussian:25").metrics == ("psnr", "ssim")
    both = evaluate("identity", clean=[tmp_path / "mixed", clean], noise="gaussian:25")
    assert both.metrics == ("psnr", "ssim", "ms_ssim")
    assert any("MS-SSIM of 3 of 4 images" in line for line in both.lines())
    assert both.to_dict()["results"][0]["ms_ssim"]["mean"] > 0


def test_the_content_hash_is_of_the_images_not_of_their_order(clean: Path) -> None:
    files = sorted(clean.iterdir())
    hashes = [
        evaluate("identity", clean=chosen, noise=noise).protocol.content_hash
        for chosen, noise in ((files, "gaussian:25"), (files[::-1], "gaussian:5"), (files[:2], "gaussian:25"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_sides_of_unequal_size_are_named(pairs: tuple[Path, Path]) -> None:
    path = sorted(pairs[0].iterdir())[0]
    with Pillow.open(path) as image:
        image.crop((0, 0, 50, 40)).save(path)
    with pytest.raises(DataError, match=path.name):
        evaluate("identity", pairs=pairs)


def test_a_grey_model_measures_colour_images(tmp_path: Path) -> None:
    colour = np.stack([picture[0] for picture in tiny_runs.pictures(3, seed=8)], axis=-1)
    Pillow.fromarray(colour).save(tmp_path / "colour.png")
    report = evaluate(["identity", "tv"], clean=tmp_path, noise="gaussian:25")
    assert report.difference(report["tv"]).interval.mean > 4
