"""Calibration as a whole: the kind of noise, its parameters, what stands beside it, and bad input."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import noiseless
from noiseless.calibration import calibrate, examine, examine_planes, measuring
from noiseless.calibration.channels import Measured
from noiseless.errors import DataError, ImageError, InputError, ValueRangeError
from noiseless.image import Image
from noiseless.noise import Noise, parse
from shaded_scenes import as_8_bit, scene


def noisy(spec: str, *, size: int = 240, seed: int = 0, stored: bool = False) -> np.ndarray:
    """A picture with this noise, (size, size)."""
    image = parse(spec).sample(scene(size), np.random.default_rng(seed))[0]
    return as_8_bit(image).astype(np.float32) if stored else image


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("gaussian:10", "gaussian"),
        ("gaussian:40", "gaussian"),
        ("poisson-gaussian:gain=0.01,read=0.01", "poisson-gaussian"),
        ("correlated:sigma=0.04,length=0.8", "correlated"),
        ("correlated:sigma=0.04,length=1.5", "correlated"),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_the_kind_is_recognised(spec: str, kind: str, stored: bool) -> None:
    found = examine(noisy(spec, stored=stored))
    assert found.kind == kind
    values = np.full((1, 8, 8), 0.4, np.float32)
    truth = parse(spec).variance(values).mean()
    assert np.sqrt(found.noise.variance(values).mean() / truth) == pytest.approx(1, abs=0.25)
    assert not any(channel.impulses or channel.rows or channel.columns for channel in found.channels)


def test_a_level_is_found_without_scipy() -> None:
    code = """
import sys, numpy as np
from noiseless.calibration.measuring import find_noise
ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (3, 256, 1))
noise = np.random.default_rng(0).normal(0, 0.1, ramp.shape).astype(np.float32)
_, found = find_noise([np.clip(ramp + noise, 0, 1)])
print(found.variance(np.full((3, 1, 1), 0.5, np.float32)).mean() ** 0.5)
sys.exit("scipy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"scipy makes a cold start slow {done.stderr}"
    assert float(done.stdout) == pytest.approx(0.1, rel=0.1)


def test_each_channel_has_its_own() -> None:
    clean = np.repeat(scene(200), 3, axis=0)
    image = parse("gaussian:5/10/20").sample(clean, np.random.default_rng(0))
    noise = calibrate(np.moveaxis(image, 0, -1))
    assert np.array(noise.to_dict()["sigma"]) * 255 == pytest.approx([5, 10, 20], rel=0.08)


def test_stripes_and_impulses_stand_beside_the_noise() -> None:
    found = examine(noisy("gaussian:8+stripes:sigma=0.02,axis=columns"))
    assert found.noise.spec.startswith("gaussian")
    assert found.channels[0].columns == pytest.approx(0.02, rel=0.2)
    assert found.channels[0].rows == 0
    lost = examine(noisy("gaussian:8+salt-and-pepper:amount=0.03", stored=True))
    assert lost.channels[0].impulses == pytest.approx(0.03, rel=0.3)
    assert len(lost.noise.spec.rpartition("amount=")[2]) <= len("0.03123"), "more digits than are known"
    assert lost.channels[0].sigma == pytest.approx(8 / 255, rel=0.1)


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_clipped_noise_is_no_impulses_and_does_not_hide_them(sigma: int) -> None:
    """A dark picture with bright and dark details: some values at an end lie far from those around them by chance."""
    generator = np.random.default_rng(0)
    dark = 0.06 + 0.5 * (gaussian_filter(generator.standard_normal((256, 256)), 2) > 0.12)
    image = as_8_bit(dark[None] + generator.standard_normal((1, 256, 256)) * sigma / 255)
    assert examine_planes([image.astype(np.float32)]).channels[0].impulses == 0
    lost = parse("salt-and-pepper:amount=0.03").sample(image.astype(np.float32), generator)
    assert 0.01 < examine_planes([lost]).channels[0].impulses < 0.04


def test_clipping_is_reported_and_the_noise_is_that_before_it() -> None:
    image = as_8_bit(parse("gaussian:25").sample(scene(240)[0] + 0.35, np.random.default_rng(0)))
    found = examine(image)
    assert found.channels[0].clipped_high > 0.02
    assert found.channels[0].clipped_low == 0
    assert found.channels[0].sigma == pytest.approx(25 / 255, rel=0.12)


def test_black_level() -> None:
    raised = noisy("poisson-gaussian:gain=0.02,read=0.002") * 0.8 + 0.2
    found = examine(raised)
    assert found.channels[0].offset == pytest.approx(0.2, abs=0.06)
    assert any("black" in warning for warning in found.warnings)


def test_no_black_level_is_told_of_small_pictures_of_white_noise() -> None:
    """A gain that may be none was taken for certain: 4 of 40 crops of 48 pixels had a black level."""
    for seed in range(40):
        assert examine(noisy("gaussian:15", size=48, seed=seed)).channels[0].offset == 0


def test_what_jpeg_took_away_is_warned_of(tmp_path: Path) -> None:
    picture = np.rint(255 * noisy("gaussian:13").clip(0, 1)).astype(np.uint8)
    noiseless.write(tmp_path / "a.jpg", noiseless.Image.from_array(picture))
    noiseless.write(tmp_path / "a.png", noiseless.Image.from_array(picture))
    warned = [any("JPEG took" in line for line in examine(tmp_path / name).warnings) for name in ("a.jpg", "a.png")]
    assert warned == [True, False]


def test_what_the_picture_does_not_show_is_said_to_be_uncertain() -> None:
    """Read noise shows where it is dark, and nowhere else."""
    spec = "poisson-gaussian:gain=0.03,read=0.005"
    bright = examine(parse(spec).sample(scene(240) * 0.3 + 0.5, np.random.default_rng(0))[0])
    assert bright.kind == "poisson-gaussian"
    low, high = bright.channels[0].read_interval
    assert low <= 0.005 <= high
    assert any("read noise is uncertain" in warning for warning in bright.warnings)
    spec = "poisson-gaussian:gain=0.01,read=0.03"
    dark = examine(parse(spec).sample(scene(240) - 0.28, np.random.default_rng(0))[0])
    assert dark.kind == "poisson-gaussian"
    assert not any("read noise" in warning for warning in dark.warnings)


def test_jpeg_and_enlargement_leave_traces() -> None:
    assert examine(noisy("gaussian:8+jpeg:50", stored=True)).jpeg
    plain = examine(noisy("gaussian:8", stored=True))
    assert not plain.jpeg
    assert plain.enlarged is None
    image = np.asarray(noisy("gaussian:8"))
    places = np.arange(320) / 1.5
    rows = np.stack([np.interp(places, np.arange(240), row) for row in image])
    large = np.stack([np.interp(places, np.arange(240), column) for column in rows.T]).T
    assert examine(large).enlarged == pytest.approx(1.5, abs=0.05)


def test_exposures_of_one_scene() -> None:
    noise = parse("poisson-gaussian:gain=0.01,read=0.02")
    frames = np.stack([noise.sample(scene(160)[0], np.random.default_rng(seed)) for seed in range(4)])
    found = examine(frames, exposures=True)
    assert found.exposures
    assert found.images == 4
    assert found.channels[0].gain == pytest.approx(0.01, rel=0.1)
    assert found.channels[0].read == pytest.approx(0.02, rel=0.15)
    assert examine(list(frames), exposures=True).noise == found.noise


@pytest.mark.parametrize("value", [5.0, -4.0, 60_000.0])
def test_a_cosmic_ray_in_one_exposure_changes_nothing(value: float) -> None:
    frames = np.stack([noisy("poisson-gaussian:gain=0.01,read=0.02", seed=seed) for seed in range(3)])
    struck = frames.copy()
    struck[1, 30, 40] = value
    (one,), (other,) = (examine_planes(list(each[:, None]), exposures=True).channels for each in (frames, struck))
    assert other.gain == pytest.approx(one.gain, rel=0.02)
    assert other.read == pytest.approx(one.read, rel=0.05)


def test_stripes_that_move_between_exposures_are_counted_once() -> None:
    generator = np.random.default_rng(0)
    frames = np.stack([noisy("gaussian:5", seed=seed) for seed in range(4)])
    frames = frames + 0.05 * generator.standard_normal((4, 1, 240)).astype(np.float32)
    found = examine_planes(list(frames[:, None]), exposures=True)
    (channel,) = found.channels
    assert found.kind == "gaussian"
    assert channel.columns == pytest.approx(0.05, rel=0.15)
    assert channel.sigma_interval[0] <= 5 / 255 <= channel.sigma_interval[1]
    assert channel.sigma == pytest.approx(5 / 255, rel=0.05)


def test_correlation_is_seen_between_exposures() -> None:
    noise = parse("correlated:sigma=0.04,length=1.2")
    frames = np.stack([noise.sample(scene(160)[0], np.random.default_rng(seed)) for seed in range(3)])
    found = examine(frames, exposures=True)
    assert found.kind == "correlated"
    assert found.channels[0].sigma == pytest.approx(0.04, rel=0.2)


def test_white_noise_over_texture_is_not_called_correlated() -> None:
    rough = 0.5 + 0.03 * np.cumsum(np.random.default_rng(1).standard_normal((200, 200)), axis=1) / 4
    noisy_rough = rough + 0.03 * np.random.default_rng(2).standard_normal((200, 200))
    assert examine(np.clip(noisy_rough, 0, 1)).kind != "correlated"


@pytest.mark.parametrize("seed", [0, 1])
def test_texture_everywhere_is_not_called_correlated(seed: int) -> None:
    """As grass or gravel: no block is flat, some are livelier, and the spectrum falls with a power of the frequency."""
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((256, 256))) / frequency**1.5
    texture = np.fft.irfft2(spectrum)
    lively = 1 + 0.5 * np.sin(np.linspace(0, 12, 256))[:, None] * np.sin(np.linspace(0, 12, 256))[None, :]
    assert examine(as_8_bit(0.5 + 0.15 * lively * (texture - texture.mean()) / texture.std())).kind != "correlated"


def told(found: float, length: float, *, channels: int = 3, developed: bool = True, told: bool = True) -> float:
    """Level of 255 that is told of correlated noise that was found with this level and length."""
    channel = replace(examine(noisy("gaussian:5", size=64)).channels[0], sigma=found / 255, length=length)
    measured = [Measured(channel, told=True, dependent=False, correlated=True, developed=developed)] * channels
    kind, noise = measuring._model(measured, told=told)
    assert kind == "correlated"
    return 255 * float(np.mean(noise.to_dict()["sigma"]))


def test_developed_photographs_are_told_more_the_softer_their_noise() -> None:
    assert told(1, 0.8) == pytest.approx(math.sqrt(1 * 8), rel=1e-3)  # half way to the usual, on a logarithmic scale
    assert told(1, 1.5) == pytest.approx(math.sqrt(1 * 12), rel=1e-3)
    assert told(1, 0.8) < told(1, 1.1) < told(1, 1.5)
    assert told(12, 1.5) == pytest.approx(6, rel=1e-3)  # more is texture


def test_errors_are_estimated_by_less_than_a_network_is_told() -> None:
    assert told(1, 0.8, told=False) == pytest.approx(math.sqrt(1 * 4), rel=1e-3)
    assert told(1, 1.5, told=False) == pytest.approx(math.sqrt(1 * 8), rel=1e-3)
    assert told(2, 1.5, developed=False, told=False) == told(2, 1.5, developed=False)


def test_grey_developed_photographs_are_told_less_whatever_the_length() -> None:
    assert told(1, 0.8, channels=1) == told(1, 1.5, channels=1) == pytest.approx(0.6 * math.sqrt(1 * 4), rel=1e-3)
    assert told(5, 0.8, channels=1) == pytest.approx(0.6 * 5, rel=1e-3)


def test_one_channel_does_not_make_noise_correlated() -> None:
    """Nor is it told the strength of noise that the others do not have."""
    white, soft = noisy("gaussian:5"), noisy("correlated:sigma=0.05,length=1.5")
    assert examine(np.stack([soft] * 3, axis=-1)).kind == "correlated"
    found = examine(np.stack([soft, white, white], axis=-1))
    assert found.kind != "correlated"
    assert found.channels[0].sigma < 0.03
    assert found.channels[0].length == 0


def test_the_level_of_a_channel_that_says_nothing_is_shown_as_it_is_used() -> None:
    """It was shown as measured: as 0."""
    soft = [noisy("correlated:sigma=0.05,length=1.5", seed=seed) for seed in range(2)]
    found = examine(np.stack([*soft, np.zeros_like(soft[0])], axis=-1))
    assert found.kind == "correlated"
    used = np.asarray(parse(found.noise.spec).told_map(np.full((3, 1, 1), 0.5, np.float32))).ravel()
    assert used[2] > used[0] / 2
    shown = [line for line in found.lines() if line.startswith("blue: level ")]
    assert len(shown) == 1
    assert shown[0].endswith("of 255, taken from the other channels: none of it can be told in this one")
    assert float(shown[0].split()[2]) == pytest.approx(255 * float(found.noise.to_dict()["sigma"][2]), rel=0.01)
    assert not [line for line in found.lines() if line.startswith("red: level ") and "taken" in line]


def test_noise_that_lies_over_everything_is_told_as_found() -> None:
    assert told(1, 1.5, developed=False) == pytest.approx(1, rel=1e-3)
    assert told(12, 1.5, developed=False) == pytest.approx(12, rel=1e-3)


def test_what_it_returns_works_everywhere(tmp_path: Path) -> None:
    found = examine(noisy("poisson-gaussian:gain=0.01,read=0.02"))
    file = tmp_path / "noise.json"
    found.to_json(file)
    plain = json.loads(file.read_text("utf-8"))
    assert Noise.from_dict(plain["noise"]) == found.noise == parse(plain["spec"])
    curve = found.channels[0].curve
    assert all(point.interval[0] <= point.sigma <= point.interval[1] for point in curve)
    assert any("grows with brightness" in line for line in found.lines())
    assert noiseless.calibrate is calibrate


@pytest.mark.parametrize("spec", ["gaussian:10", "poisson-gaussian:gain=0.01,read=0.02"])
def test_the_truth_lies_in_the_interval(spec: str) -> None:
    noise, inside = parse(spec), []
    for seed in range(6):
        curve = examine(noisy(spec, seed=seed)).channels[0].curve
        for point in curve[2:-2:4]:
            truth = float(np.sqrt(noise.variance(np.full((1, 1, 1), point.value, np.float32)))[0, 0, 0])
            inside.append(point.interval[0] <= truth <= point.interval[1])
    assert np.mean(inside) >= 0.85


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_image_says_that_nothing_can_be_said(value: float) -> None:
    found = examine(np.full((60, 60), value))
    assert found.kind == "none"
    assert any("nothing can be said" in warning for warning in found.warnings)
    json.dumps(found.to_dict(), allow_nan=False)


def test_where_nothing_is_left_between_the_ends_nothing_is_said() -> None:
    """Clipped all over, and black frames that are alike without being copies."""
    clipped = (np.random.default_rng(0).random((60, 60)) < 0.5).astype(np.float32)
    for found in (examine(clipped), examine([np.zeros((60, 60))] * 3, exposures=True)):
        assert found.kind == "none"
        assert any("nothing can be said" in warning for warning in found.warnings)
    few = np.zeros((60, 60), bool)
    few[3, 3] = True
    assert any("masked all over" in warning for warning in examine(noisy("gaussian:10", size=60), mask=few).warnings)


@pytest.mark.parametrize("side", [20, 90])
@pytest.mark.parametrize("value", [1e9, 9e15, -9e15])
def test_values_that_are_no_picture_are_said_and_do_not_raise(side: int, value: float) -> None:
    """Of 12 values 9e15 times the range away, squares overflowed: eigenvalues did not converge."""
    for image in (noisy("gaussian:10", size=side), np.tile(np.linspace(0.2, 0.8, side, dtype=np.float32), (side, 1))):
        image.flat[np.random.default_rng(0).choice(image.size, 12, replace=False)] = value
        found = examine(image, data_range=1.0)
        assert found.warnings[0] == measuring.FAR
        json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (7, 7), (16, 16), (2, 20, 20)])
def test_small_images_warn_and_never_raise(shape: tuple[int, ...]) -> None:
    found = examine(np.random.default_rng(0).random(shape))
    assert found.warnings
    assert np.isfinite([channel.sigma for channel in found.channels]).all()


def test_bad_input() -> None:
    one, other = noisy("gaussian:10", size=96), np.rot90(noisy("gaussian:10", size=96))
    with pytest.raises(DataError, match="not of one scene"):
        calibrate([one, other], exposures=True)
    with pytest.raises(DataError, match="at least two"):
        calibrate(one, exposures=True)
    with pytest.raises(DataError, match="the same in every value"):
        calibrate([one, noisy("gaussian:10", size=96, seed=1), one.copy()], exposures=True)
    with pytest.raises(DataError, match="one size"):
        calibrate([one, one[:50]], exposures=True)
    with pytest.raises(DataError, match="no image"):
        calibrate([])
    with pytest.raises(DataError, match="channels"):
        calibrate([one, np.zeros((9, 9, 3))])
    with pytest.raises(DataError, match="mask leaves nothing"):
        calibrate(one, mask=np.zeros_like(one, bool))
    with pytest.raises(InputError, match="mask does not fit"):
        calibrate(one, mask=np.ones((3, 3), bool))
    with pytest.raises(ImageError, match="not finite"):
        calibrate(np.where(one > one.mean(), np.nan, one))
    with pytest.raises(ValueRangeError):
        calibrate(one * 4000)


def test_a_mask_says_where_to_look() -> None:
    image = noisy("gaussian:10")
    image[:, 120:] += 0.1 * np.random.default_rng(1).standard_normal((240, 120)).astype(np.float32)
    mask = np.zeros((240, 240), bool)
    mask[:, :110] = True
    assert examine(Image.from_array(image), mask=mask).channels[0].sigma == pytest.approx(10 / 255, rel=0.08)


def test_a_clean_ramp_of_8_bits_has_no_noise() -> None:
    """Not a noise of 1e-6, on which training diverges."""
    down, across = np.mgrid[:256, :256]
    found = examine(np.rint(across / 4 + down / 5).astype(np.uint8))
    assert found.kind == "none"
    assert found.channels[0].sigma == 0.0
