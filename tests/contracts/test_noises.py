"""What holds of every noise model in the table, and of chains of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import noiseless.noise
from noiseless.errors import InputError, SpecError, UnknownNameError
from noiseless.noise import NOISES, Chain, Noise, find, parse

CAMERA = (  # with a level of its own, the same for every image
    "camera:level=0.04,chroma=0.5,quality=80,raw=0.5,compressed=0.5,resampled=0,untouched=0,soft=0,relit=0,sharpened=0,native=0"
)

SPECS = {
    "gaussian": ["gaussian:25", "gaussian:0-55", "gaussian:5/20/40", "gaussian:sigma=0.0123456789012345"],
    "poisson": ["poisson:gain=0.01", "poisson:gain=0-0.02", "poisson:gain=0.01/0/0.03"],
    "poisson-gaussian": ["poisson-gaussian:gain=0.01,read=0.02", "poisson-gaussian:gain=0.01-0.02,read=0-0.05"],
    "speckle": ["speckle:looks=4", "speckle:looks=2-6"],
    "salt-and-pepper": ["salt-and-pepper:amount=0.05", "salt-and-pepper:amount=0-0.1"],
    "rician": ["rician:sigma=0.08", "rician:sigma=0.02-0.2", "rician:sigma=0.1/0.05/0.2"],
    "stripes": ["stripes:sigma=0.02,axis=rows", "stripes:sigma=0.02-0.05,axis=columns"],
    "correlated": ["correlated:sigma=0.04,length=1.5", "correlated:sigma=0.02-0.06,length=0-3"],
    "jpeg": ["jpeg:quality=30", "jpeg:quality=30-90"],
    "quantize": ["quantize:bits=4", "quantize:bits=3-5"],
    "clip": ["clip"],
    "camera": [CAMERA],
}
"""Examples of each model: a new entry of the table needs some here."""

CHAINS = [
    "gaussian:60+clip",
    "speckle:looks=4+gaussian:10",
    "poisson:gain=0.02+clip",
    "rician:sigma=0.1+gaussian:5/10/20",
    "gaussian:5+quantize:bits=4+clip",
    "gaussian:10+salt-and-pepper:amount=0.05",
    "gaussian:15+jpeg:quality=60",
    "gaussian:0-50+stripes:sigma=0.05,axis=rows",
]

ALL = [spec for specs in SPECS.values() for spec in specs] + CHAINS
each_noise = pytest.mark.parametrize("spec", ALL)


def clean_image(seed: int = 0, size: int = 48) -> np.ndarray:
    """A textured colour image with values from 0 to 1, float32 (3, size, size)."""
    texture = gaussian_filter(np.random.default_rng(seed).standard_normal((3, size, size)), (0, 2, 2))
    return ((texture - texture.min()) / np.ptp(texture)).astype(np.float32)


def errors(noise: Noise, clean: np.ndarray, count: int) -> np.ndarray:
    """What the noise changes, (count, 3, H, W)."""
    generator = np.random.default_rng(1)
    return np.stack([noise.sample(clean, generator).astype(np.float64) - clean for _ in range(count)])


def test_every_model_of_the_table_has_examples() -> None:
    assert set(SPECS) == set(NOISES)
    for name, specs in SPECS.items():
        assert all(isinstance(parse(spec), find(name)) for spec in specs)


@pytest.mark.parametrize("name", NOISES)
def test_a_model_knows_its_name_and_is_exported(name: str) -> None:
    cls = find(name)
    assert cls.name == name
    assert getattr(noiseless.noise, cls.__name__) is cls


@each_noise
class TestEveryNoise:
    def test_moments_match_the_variance(self, spec: str) -> None:
        """The spread of errors among pixels of about the same clean value, or of all where errors follow a rule."""
        noise, clean = parse(spec), clean_image(size=96 if "jpeg" in spec else 48)
        changed, variance = errors(noise, clean, 400 if noise.pointwise else 80), noise.variance(clean)
        by_rule = spec.startswith("quantize") or not noise.pointwise
        for channel in range(3):
            groups = np.array_split(np.argsort(clean[channel], axis=None), 1 if by_rule else 4)
            for group in groups:
                measured = changed[:, channel].reshape(len(changed), -1)[:, group].var()
                stated = variance[channel].ravel()[group].mean()
                assert stated == pytest.approx(measured, rel=0.15 if noise.pointwise else 0.25, abs=1e-9)

    def test_variance_has_shape_and_is_reproducible(self, spec: str) -> None:
        noise, clean = parse(spec), clean_image(size=24)
        variance = noise.variance(clean)
        assert variance.shape == clean.shape
        assert variance.dtype == np.float64
        assert (variance >= 0).all()
        np.testing.assert_array_equal(variance, noise.variance(clean))
        variance[:] = 0  # the caller's own

    def test_sample_is_float32_of_the_same_shape(self, spec: str) -> None:
        noise = parse(spec)
        for shape in ((3, 9, 7), (2, 3, 9, 7)) if noise.channels else ((9, 7), (1, 9, 7), (3, 1, 1), (2, 3, 9, 7)):
            noisy = noise.sample(np.full(shape, 0.4), np.random.default_rng(0))
            assert noisy.shape == shape
            assert noisy.dtype == np.float32
            assert np.isfinite(noisy).all()

    def test_empty_image_stays_empty(self, spec: str) -> None:
        empty, noise = np.zeros((0, 3, 8, 8), np.float32), parse(spec)
        assert noise.sample(empty, np.random.default_rng(0)).shape == empty.shape
        assert noise.variance(empty).shape == noise.sigma_map(empty).shape == empty.shape

    def test_same_seed_same_noise_and_another_call_another_noise(self, spec: str) -> None:
        noise, clean = parse(spec), clean_image()
        generator = np.random.default_rng(3)
        first, second = noise.sample(clean, generator), noise.sample(clean, generator)
        np.testing.assert_array_equal(first, noise.sample(clean, np.random.default_rng(3)))
        if spec not in ("clip", "jpeg:quality=30", "quantize:bits=4"):  # these follow from the image alone
            assert (first != second).any()

    def test_neither_mutates_nor_touches_global_state(self, spec: str) -> None:
        noise, clean = parse(spec), clean_image(size=16)
        before, state = clean.copy(), np.random.get_state()[1].copy()  # noqa: NPY002
        noisy = noise.draw(np.random.default_rng(0)).sample(clean, np.random.default_rng(0))
        noise.variance(clean)
        noise.sigma_map(clean)
        np.testing.assert_array_equal(clean, before)
        np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
        assert not np.shares_memory(noisy, clean)

    def test_read_only_and_strided_images_are_fine(self, spec: str) -> None:
        wide = clean_image(size=32)
        wide.flags.writeable = False
        every_other = wide[:, ::2, ::2]
        np.testing.assert_array_equal(
            parse(spec).sample(every_other, np.random.default_rng(0)),
            parse(spec).sample(every_other.copy(), np.random.default_rng(0)),
        )

    def test_text_and_json_round_trips(self, spec: str) -> None:
        noise = parse(spec)
        assert noise.spec == spec
        assert parse(noise.spec) == noise
        assert Noise.from_dict(json.loads(json.dumps(noise.to_dict()))) == noise
        assert hash(noise) == hash(parse(spec))

    def test_draw_leaves_no_range(self, spec: str) -> None:
        noise = parse(spec)
        drawn = noise.draw(np.random.default_rng(0))
        assert not drawn.ranged
        assert drawn == (noise if not noise.ranged else noise.draw(np.random.default_rng(0)))
        assert noise.ranged == (drawn != noise)
        assert parse(drawn.spec) == drawn

    def test_sigma_map_tells_the_level_from_the_noisy_image(self, spec: str) -> None:
        noise, clean = parse(spec).draw(np.random.default_rng(0)), clean_image(size=64)
        sigma = noise.sigma_map(noise.sample(clean, np.random.default_rng(2)))
        assert sigma.shape == clean.shape
        assert sigma.dtype == np.float32
        level, truth = np.sqrt(np.mean(sigma**2.0)), np.sqrt(noise.variance(clean).mean())
        assert level == pytest.approx(truth, rel=0.4 if "jpeg" in spec else 0.1, abs=1e-6)

    def test_refuses_what_is_no_float_image(self, spec: str) -> None:
        noise, generator = parse(spec), np.random.default_rng(0)
        for bad in (np.zeros((3, 4, 4), np.uint8), np.zeros(4), np.zeros((1, 1, 3, 4, 4)), np.full((3, 4, 4), np.nan)):
            with pytest.raises(InputError):
                noise.sample(bad, generator)

    def test_joins_with_plus(self, spec: str) -> None:
        noise = parse(spec)
        chain = noise + parse("clip")
        assert isinstance(chain, Chain)
        assert chain.spec == f"{spec}+clip"
        assert chain.parts[0] == (noise.parts[0] if isinstance(noise, Chain) else noise)


@pytest.mark.parametrize(
    "spec", [spec for spec in ALL if parse(spec).ranged and not spec.startswith(("jpeg", "quantize"))]
)
def test_images_of_a_batch_draw_their_own_noise(spec: str) -> None:
    batch = parse(spec).sample(np.full((2, 3, 32, 32), 0.5), np.random.default_rng(5)) - 0.5
    assert abs(batch[0].std() / batch[1].std() - 1) > 1e-3


@pytest.mark.parametrize("name", NOISES)
def test_a_wrong_parameter_is_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match="parameter of"):
        parse(f"{name}:colour=3")
    with pytest.raises(UnknownNameError, match="parameter of"):
        Noise.from_dict({"kind": name, "colour": 3})


@pytest.mark.parametrize("name", [name for name in NOISES if name != "clip"])
def test_bad_numbers_are_refused(name: str) -> None:
    valid = parse(SPECS[name][0]).to_dict()
    numbers = [key for key, value in valid.items() if isinstance(value, int | float)]
    assert numbers
    for key in numbers:
        for bad in (-1, -0.5, float("nan"), "0.1x", None, True, {"low": 0.5, "high": 0.1}, {"low": 0.1}, [[0.1]]):
            with pytest.raises(SpecError):
                Noise.from_dict(valid | {key: bad})


@pytest.mark.parametrize("name", [name for name in NOISES if name not in ("clip", "camera")])
def test_a_missing_parameter_is_named(name: str) -> None:
    with pytest.raises(SpecError, match="lacks"):
        Noise.from_dict({"kind": name})


def test_analytic_says_where_the_variance_is_measured() -> None:
    measured = {spec for spec in ALL if not parse(spec).analytic}
    assert measured == {
        CAMERA,
        "speckle:looks=2-6",
        "salt-and-pepper:amount=0.05",
        "salt-and-pepper:amount=0-0.1",
        "rician:sigma=0.02-0.2",
        "jpeg:quality=30",
        "jpeg:quality=30-90",
        "poisson:gain=0.02+clip",
        "gaussian:5+quantize:bits=4+clip",
        "gaussian:10+salt-and-pepper:amount=0.05",
        "gaussian:15+jpeg:quality=60",
    }
