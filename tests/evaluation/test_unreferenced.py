"""PSNR without clean images: estimates beside the truth, and what cannot be estimated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import noiseless
from noiseless.calibration import examine_planes
from noiseless.data import NoisyImages, NoisyPairs, samples
from noiseless.errors import ConfigError, DataError, ImageError, NoiselessError, WorkError
from noiseless.evaluation import Estimate, Estimates, estimate
from noiseless.evaluation.residual import audit
from noiseless.evaluation.risk import law_of
from noiseless.evaluation.unreferenced import alone, know, run
from noiseless.noise import parse
from raw_files import dng

SIDE = 96


def crops(count: int, side: int = SIDE) -> list[np.ndarray]:
    """The middle of shipped photographs, (3, side, side) in [0, 1] units."""
    found = []
    for path in [path for kind in ("test", "validation", "train") for path in samples(kind)][:count]:
        array = noiseless.read(path).array
        top, left = (array.shape[0] - side) // 2, (array.shape[1] - side) // 2
        found.append(np.moveaxis(array[top : top + side, left : left + side], 2, 0).astype(np.float32) / 255)
    return found


def save(folder: Path, images: list[np.ndarray]) -> Path:
    """Arrays (C, H, W) as float TIFF files."""
    folder.mkdir()
    for number, image in enumerate(images):
        noiseless.write(folder / f"{number}.tif", noiseless.Image.from_array(np.moveaxis(image, 0, 2)))
    return folder


def noisy_versions(clean: list[np.ndarray], spec: str, seed: int = 0) -> list[np.ndarray]:
    """Each with noise of its own."""
    return [parse(spec).sample(image, np.random.default_rng([seed, number])) for number, image in enumerate(clean)]


def true_psnr(model: Any, clean: np.ndarray, noisy: np.ndarray, spec: str) -> float:
    restored = run(model, noisy, know(noisy, parse(spec)).told)
    return float(-10 * np.log10(np.mean((restored - clean) ** 2)))


@dataclass(frozen=True)
class Lost:
    """A model that fails."""

    name: str = "lost"

    def __call__(self, array: Any, **options: Any) -> Any:
        return np.full_like(array, np.nan)


def test_a_channel_without_noise_is_estimated_beside_the_others() -> None:
    (clean,) = crops(1, 160)
    (noisy,) = noisy_versions([clean], "gaussian:10/10/0")
    model, known = noiseless.load("color-nano"), know(noisy, parse("gaussian:10/10/0"))
    truth = np.mean((run(model, noisy, known.told) - clean) ** 2)
    assert alone(model, noisy, known).error.mean() == pytest.approx(truth, rel=0.07)


@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize(
    ("name", "spec"), [("color-small", "gaussian:10"), ("color-nano", "poisson-gaussian:gain=0.003,read=0.03")]
)
def test_estimates_are_near_the_truth(name: str, spec: str, clipped: bool, tmp_path: Path) -> None:
    clean = crops(8, 160)
    noisy = noisy_versions(clean, spec)
    if clipped:
        noisy = [(np.rint(image.clip(0, 1) * 255) / 255).astype(np.float32) for image in noisy]
    made = estimate(name, NoisyImages.find(save(tmp_path / "noisy", noisy)), noise=spec)
    model = noiseless.load(name)
    truth = [true_psnr(model, *both, spec) for both in zip(clean, noisy, strict=True)]
    assert made.mean(name)[0] == pytest.approx(np.mean(truth), abs=0.3)
    held = [each.low <= true <= each.high for each, true in zip(made.models[name], truth, strict=True)]
    assert sum(held) >= 7
    assert made.mean(name)[0] > np.mean([each.noisy for each in made.models[name]]) + 3


@pytest.mark.parametrize(
    ("spec", "ends", "error"),
    [
        ("gaussian:5", 7, 0.2),
        ("gaussian:15", 7, 0.5),
        ("gaussian:50", 6, 0.4),
        ("poisson-gaussian:gain=0.003,read=0.02", 7, 0.5),
    ],
)
def test_with_measured_noise_the_interval_holds_the_truth_and_may_have_an_end(
    spec: str, ends: int, error: float, tmp_path: Path
) -> None:
    clean = crops(8, 192)
    noisy = noisy_versions(clean, spec)
    restored: list[np.ndarray] = []
    source = NoisyImages.find(save(tmp_path / "noisy", noisy))
    made = estimate("color-small", source, watch=lambda *given: restored.append(given[-1])).models["color-small"]
    truth = [float(-10 * np.log10(np.mean((one - image) ** 2))) for one, image in zip(restored, clean, strict=True)]
    assert sum(each.low <= true <= each.high for each, true in zip(made, truth, strict=True)) >= 7
    assert sum(each.high < 100 for each in made) >= ends
    assert np.median([abs(each.psnr - true) for each, true in zip(made, truth, strict=True)]) < error


def test_the_noise_of_a_noisy_image_is_what_clipping_leaves_of_it() -> None:
    clean = np.concatenate([np.zeros((1, 64, 64)), np.full((1, 64, 64), 0.5)], axis=2).astype(np.float32)
    noisy = parse("gaussian:25").sample(clean, np.random.default_rng(3)).clip(0, 1)
    law = law_of(noisy, parse("gaussian:25"))
    errors, predicted = (noisy - clean) ** 2, law.variance + law.shift**2
    for half in (slice(0, 60), slice(68, 128)):
        assert predicted[..., half].mean() == pytest.approx(errors[..., half].mean(), rel=0.1)
    free = law_of(noisy - 0.5, parse("gaussian:25"))
    assert free.variance == pytest.approx((25 / 255) ** 2)


@pytest.mark.parametrize(
    ("value", "spec", "off"),
    [(0.004, "gaussian:4", 0.01), (0.996, "gaussian:4", 0.03), (0.97, "poisson-gaussian:gain=0.02,read=0.03", 0.01)],
)
def test_what_stands_in_for_clipped_pixels_of_8_bits_is_as_far_off_as_told(value: float, spec: str, off: float) -> None:
    """A pixel is 0 below half a step, and counts are skewed; not minding that is off by 7% and 3% of the noise."""
    clean = np.full((1, 384, 384), value, np.float32)
    noisy = parse(spec).sample(clean, np.random.default_rng(2))
    law = law_of((np.rint(noisy.clip(0, 1) * 255) / 255).astype(np.float32), parse(spec))
    assert 0.2 < 1 - law.inside.mean() < 0.6
    assert np.mean((law.full - clean) ** 2) == pytest.approx(law.seen.mean(), rel=off)


@pytest.mark.parametrize(
    ("spec", "error"),
    [("gaussian:10", 0.25), ("gaussian:25", 0.45), ("gaussian:50", 0.6), ("poisson-gaussian:gain=0.01,read=0.03", 0.7)],
)
@pytest.mark.parametrize("tone", [lambda clean: clean**3, lambda clean: 1 - clean**3])
def test_dark_and_bright_pictures_of_8_bits(
    spec: str, error: float, tone: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    """What is left of the noise is a hundredth of it in flat shadows, and known less well than elsewhere."""
    clean = [tone(image) for image in crops(6, 160)]
    noisy = [(np.rint(image.clip(0, 1) * 255) / 255).astype(np.float32) for image in noisy_versions(clean, spec)]
    assert np.mean([((image == 0) | (image == 1)).mean() for image in noisy]) > 0.1
    made = estimate("color-small", NoisyImages.find(save(tmp_path / "noisy", noisy)), noise=spec).models["color-small"]
    model = noiseless.load("color-small")
    truth = [true_psnr(model, *both, spec) for both in zip(clean, noisy, strict=True)]
    assert sum(each.low <= true <= each.high for each, true in zip(made, truth, strict=True)) >= 5
    assert np.median([abs(each.psnr - true) for each, true in zip(made, truth, strict=True)]) < error


def test_a_seed_that_made_the_noise_may_measure_it() -> None:
    clean = crops(1)[0]
    noisy = parse("gaussian:25").sample(clean, np.random.default_rng(0))
    known = know(noisy, parse("gaussian:25"))
    model = noiseless.load("color-nano")
    errors = [float(alone(model, noisy, known, seed).error.mean()) for seed in (0, 1, 2)]
    assert errors[0] == pytest.approx(np.mean(errors[1:]), rel=0.5)


def test_told_noise_gives_an_interval_as_wide_as_chance(tmp_path: Path) -> None:
    """The same photograph with other noise again and again: the estimates scatter as their intervals say."""
    clean, spec = crops(1, 192) * 6, "gaussian:10"
    noisy = noisy_versions(clean, spec)
    made = estimate("color-nano", NoisyImages.find(save(tmp_path / "noisy", noisy)), noise=spec).models["color-nano"]
    model = noiseless.load("color-nano")
    errors = [
        each.psnr - true_psnr(model, *both, spec)
        for each, both in zip(made, zip(clean, noisy, strict=True), strict=True)
    ]
    halves = [(each.high - each.low) / 2 for each in made]
    assert 0.2 < np.sqrt(np.mean(np.square(errors))) / (np.mean(halves) / 1.96) < 1.8


def test_two_exposures_need_no_noise_model(tmp_path: Path) -> None:
    clean, spec = crops(4), "correlated:sigma=0.06,length=1"
    sides = [noisy_versions(clean, spec, seed) for seed in (1, 2)]
    source = NoisyPairs.find(*(save(tmp_path / "ab"[number], side) for number, side in enumerate(sides)))
    made = estimate("color-small", source, noise=spec)
    model = noiseless.load("color-small")
    truth = [np.mean([true_psnr(model, image, side[i], spec) for side in sides]) for i, image in enumerate(clean)]
    assert made.mean("color-small")[0] == pytest.approx(np.mean(truth), abs=0.3)
    assert all(each.low < true < each.high for each, true in zip(made.models["color-small"], truth, strict=True))
    assert made.models["color-small"][0].noise == ""
    assert "pairs" in made.lines()[0]
    told = estimate("color-small", source)
    assert told.mean("color-small")[0] > told.models["color-small"][0].noisy


def test_the_noise_of_an_image_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[bytes] = []

    def counting(planes: list[np.ndarray], **how: Any) -> Any:
        measured.append(planes[0].tobytes())
        return examine_planes(planes, **how)

    monkeypatch.setattr("noiseless.evaluation.unreferenced.examine_planes", counting)
    source = NoisyImages.find(save(tmp_path / "noisy", noisy_versions(crops(3), "gaussian:15")))
    assert estimate(["identity", "median"], source).count == 3
    assert len(measured) == len({*measured}) == 3


def test_folders_of_one_name_may_hold_images_of_one_name(tmp_path: Path) -> None:
    """Each image has the noise of its own: what was measured in one is not used for the other."""
    for site, sigma in (("a", 5), ("b", 40)):
        (tmp_path / site).mkdir()
        save(tmp_path / site / "noisy", noisy_versions(crops(1, 192), f"gaussian:{sigma}"))
    made = estimate("identity", NoisyImages.find([tmp_path / "a" / "noisy", tmp_path / "b" / "noisy"]))
    weak, strong = made.models["identity"]
    assert [weak.name, strong.name] == [(tmp_path / site / "noisy" / "0.tif").as_posix() for site in "ab"]
    assert weak.noisy == pytest.approx(-20 * np.log10(5 / 255), abs=1)
    assert strong.noisy == pytest.approx(-20 * np.log10(40 / 255), abs=1)


def test_exposures_of_different_scenes_are_refused(tmp_path: Path) -> None:
    images = noisy_versions(crops(2), "gaussian:10")
    source = NoisyPairs.find(save(tmp_path / "a", images[:1]), save(tmp_path / "b", images[1:]))
    with pytest.raises(DataError, match="not of one scene"):
        estimate("color-nano", source)
    copies = NoisyPairs.find(tmp_path / "a", save(tmp_path / "copies", images[:1]))
    with pytest.raises(DataError, match="the same in every value"):
        estimate("color-nano", copies)
    smaller = NoisyPairs.find(tmp_path / "a", save(tmp_path / "c", [images[0][:, :64]]))
    with pytest.raises(DataError, match="differ in channels, height or width"):
        estimate("color-nano", smaller)


def test_a_cosmic_ray_in_one_exposure_changes_little(tmp_path: Path) -> None:
    (clean,), made = crops(1), []
    for name, value in (("plain", None), ("struck", 60_000.0)):
        first, second = (noisy_versions([clean], "gaussian:15", seed)[0] for seed in (1, 2))
        if value:
            second[:, 30, 40] = value
        (tmp_path / name).mkdir()
        source = NoisyPairs.find(save(tmp_path / name / "a", [first]), save(tmp_path / name / "b", [second]))
        source = NoisyPairs(source.items, data_range=(0.0, 1.0))
        made.append(estimate("color-nano", source, noise="gaussian:15").mean("color-nano")[0])
    assert made[1] == pytest.approx(made[0], abs=0.1)


@pytest.mark.parametrize(
    "spec", ["gaussian:5+stripes:sigma=0.05,axis=columns", "gaussian:5+salt-and-pepper:amount=0.08"]
)
def test_nothing_is_said_where_much_of_the_noise_has_no_formula(spec: str, tmp_path: Path) -> None:
    source = NoisyImages.find(save(tmp_path / "noisy", noisy_versions(crops(1, 192), spec)))
    with pytest.raises(DataError, match="Stein's formula does not count"):
        estimate("color-nano", source)


def test_nothing_is_estimated_without_noise(tmp_path: Path) -> None:
    source = NoisyImages.find(save(tmp_path / "noisy", noisy_versions(crops(1), "gaussian:15")))
    with pytest.raises(ConfigError, match="nothing is estimated without noise"):
        estimate("identity", source, noise="gaussian:0")


def test_noise_that_is_said_to_be_far_too_strong_is_contradicted(tmp_path: Path) -> None:
    """The estimated error was below zero, and called 100 dB or more."""
    source = NoisyImages.find(save(tmp_path / "noisy", noisy_versions(crops(1), "gaussian:5")))
    with pytest.raises(DataError, match="less than its noise can have is left"):
        estimate("median", source, noise="gaussian:50")


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_nothing_is_said_of_an_image_without_noise(value: float, tmp_path: Path) -> None:
    source = NoisyImages.find(save(tmp_path / "flat", [np.full((3, SIDE, SIDE), value, np.float32)]))
    with pytest.raises(DataError, match=r"no noise can be measured in .*0\.tif"):
        estimate("color-nano", source)


def test_nothing_is_said_of_a_photograph_whose_noise_is_a_guess(tmp_path: Path) -> None:
    photograph = np.moveaxis(noiseless.read(samples("noisy")[0]).array, 2, 0).astype(np.float32) / 255
    source = NoisyImages.find(save(tmp_path / "developed", [photograph]))
    with pytest.raises(DataError, match=r"nothing can be said of .*0\.tif: .* can only be guessed.*--noisy-pairs"):
        estimate("color-nano", source)
    given = estimate("color-nano", source, noise="correlated:sigma=0.02,length=2").models["color-nano"][0]
    assert np.isfinite(given.psnr)


def test_camera_raw_is_a_developed_photograph(tmp_path: Path) -> None:
    """By its pixels, 16-bit colour, it would not be taken for one."""
    pytest.importorskip("rawpy", reason="needs the [raw] extra")
    (raw := tmp_path / "raw").mkdir()
    for number in range(2):
        sensor = np.random.default_rng(number).normal(900, 10, (128, 128))
        (raw / f"{number}.dng").write_bytes(dng(sensor.astype(np.uint16)))
    seen = NoisyImages.find(raw).items[0].views[0].read()[0].astype(np.float32) / 65535
    assert know(seen, "auto").noise.variance(seen).mean() > 0
    with pytest.raises(DataError, match=r"nothing can be said of any of the 2 images.* can only be guessed"):
        estimate("identity", NoisyImages.find(raw))
    assert estimate("identity", NoisyImages.find(raw), noise="gaussian:3").count == 2


def test_noise_that_colours_share_in_8_bits_is_a_photographs() -> None:
    """Only the word that it is faint counted, and 100 dB were said of 37.5; in floats it is what it is measured as."""
    generator, clean = np.random.default_rng(0), crops(1)[0]
    shared = clean + 0.03 * generator.standard_normal((1, SIDE, SIDE), np.float32)
    own = clean + 0.03 * generator.standard_normal(clean.shape, np.float32)
    photograph, white = (np.rint(each.clip(0, 1) * 255).astype(np.float32) / 255 for each in (shared, own))
    with pytest.raises(DataError, match="can only be guessed"):
        know(photograph, "auto")
    assert know(photograph, "auto", told_only=True).told.mean() > 0.02
    for image in (white, shared, np.repeat(photograph[:1], 3, axis=0)):
        assert 0.02 < know(image, "auto").noise.variance(image).mean() ** 0.5 < 0.04


def test_noise_that_nothing_is_known_for(tmp_path: Path) -> None:
    source = NoisyImages.find(save(tmp_path / "noisy", noisy_versions(crops(1), "gaussian:25")))
    for spec in ("gaussian:5-25", "jpeg:40", "salt-and-pepper:amount=0.1", "gaussian:5+rician:sigma=0.1"):
        with pytest.raises(ConfigError):
            estimate("identity", source, noise=spec)
    for spec in ("gaussian:25+clip", "gaussian:20+stripes:sigma=0.02"):
        assert estimate("identity", source, noise=spec).mean("identity")[0] < 30
    with pytest.raises(ConfigError, match="limit"):
        estimate("identity", source, limit=0)
    with pytest.raises(WorkError, match="lost failed"):
        estimate(Lost(), source, noise="gaussian:25")


def test_nan_is_refused(tmp_path: Path) -> None:
    image = crops(1)[0]
    image[0, 3, 3] = np.nan
    np.save(tmp_path / "bad.npy", np.moveaxis(image, 0, 2))
    with pytest.raises(NoiselessError, match="NaN") as caught:
        estimate("color-nano", NoisyImages.find(tmp_path / "bad.npy"))
    assert isinstance(caught.value, DataError | ImageError)


def test_an_interval_without_an_end_says_so() -> None:
    nothing = audit(*[np.zeros((1, 32, 32), np.float32)] * 4)
    sure = Estimate("a.png", "gaussian:5", 34.0, 40.0, 39.0, 41.0, nothing)
    open_ended, unbounded = replace(sure, high=100.0), replace(sure, psnr=100.0, high=100.0)
    assert [str(each) for each in (sure, open_ended, unbounded)] == [
        "40.00 (39.00 to 41.00)",
        "40.00 (39.00 or more)",
        "39.00 or more",
    ]
    protocol = {"method": "Stein", "noise": "auto", "seed": 0, "count": 2}
    assert Estimates(protocol, {"m": (sure, sure)}).rows()[-1][-1] == "40.00 (39.00 to 41.00)"
    assert Estimates(protocol, {"m": (sure, unbounded)}).rows()[-1][-1] == "39.00 or more"
    assert "not known well enough" in Estimates(protocol, {"m": (sure, open_ended)}).lines()[-1]
    assert "not known" not in Estimates(protocol, {"m": (sure, sure)}).lines()[-1]
