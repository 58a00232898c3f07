"""The text grammar of noise models and its errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noiseless.errors import SpecError, UnknownNameError
from noiseless.noise import Chain, Gaussian, Jpeg, Noise, Poisson, PoissonGaussian, Stripes, parse


@pytest.mark.parametrize(
    ("text", "noise"),
    [
        ("gaussian:25", Gaussian(sigma=25 / 255)),
        ("gaussian:0-55", Gaussian(sigma=(0, 55 / 255))),
        ("gaussian:7.5", Gaussian(sigma=7.5 / 255)),
        ("gaussian:10/20/30", Gaussian(sigma=[10 / 255, 20 / 255, 30 / 255])),
        ("gaussian:sigma=0.1", Gaussian(sigma=0.1)),
        ("gaussian:sigma=1e-3-1e-2", Gaussian(sigma=(1e-3, 1e-2))),
        ("poisson:gain=0.01", Poisson(gain=0.01)),
        ("poisson:0.01", Poisson(gain=0.01)),
        ("poisson-gaussian:gain=0.01,read=0.02", PoissonGaussian(gain=0.01, read=0.02)),
        ("poisson-gaussian: read = 0.02 , gain = 0.01 ", PoissonGaussian(gain=0.01, read=0.02)),
        ("stripes:sigma=0.02,axis=columns", Stripes(sigma=0.02, axis="columns")),
        ("stripes:0.02", Stripes(sigma=0.02, axis="rows")),
        ("jpeg:30-90", Jpeg(quality=(30, 90))),
        ("jpeg:90-90", Jpeg(quality=90)),
        (" gaussian:25 + jpeg:40 ", Chain((Gaussian(sigma=25 / 255), Jpeg(quality=40)))),
        ("poisson:gain=1e-2+jpeg:40", Chain((Poisson(gain=0.01), Jpeg(quality=40)))),
        ("poisson:gain=0.1e+0+jpeg:40", Chain((Poisson(gain=0.1), Jpeg(quality=40)))),
    ],
)
def test_parses(text: str, noise: Noise) -> None:
    assert parse(text) == noise


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (25, "empty or no text: got 25, expected for example gaussian:25"),
        ("gaussian:25+", "part of a noise expression is empty"),
        ("+clip", "part of a noise expression is empty"),
        ("gaussian", "lacks sigma"),
        ("gaussian:", "lacks sigma"),
        ("gaussian:x", "not a number"),
        ("gaussian:-5", "out of range: got -5, expected a number from 0 to 255"),
        ("gaussian:300", "out of range"),
        ("gaussian:nan", "not a number"),
        ("gaussian:inf", "not a number"),
        ("gaussian:1e999", "out of range"),
        ("gaussian:55-0", "empty range: got 55-0, expected 0-55"),
        ("gaussian:1-2-3", "not a number"),
        ("gaussian:10/", "not a number"),
        ("gaussian:sigma=25", r"\[0, 1\] units"),
        ("rician:25", r"\[0, 1\] units"),
        ("poisson:gain=2", "one count"),
        ("poisson-gaussian:gain=0.01", "lacks read"),
        ("poisson:gain=0.1,gain=0.2", "given twice"),
        ("poisson:gain=", "not a number"),
        ("speckle:0", "out of range"),
        ("speckle:1/2/3", "cannot be given per channel"),
        ("stripes:sigma=0.1,axis=diagonal", "rows or columns"),
        ("jpeg:0", "out of range"),
        ("jpeg:101", "out of range"),
        ("jpeg:50.5", "not whole"),
        ("quantize:17", "out of range"),
        ("salt-and-pepper:1.5", "out of range"),
    ],
)
def test_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("text", "closest"),
    [
        ("gausian:25", "gaussian"),
        ("gaussian:25+cilp", "clip"),
        ("poison-gaussian:gain=0.1,read=0.1", "poisson-gaussian"),
        ("poisson-gaussian:gain=0.1,raed=0.1", "read"),
        ("clip:low=0", "parameter of clip"),
        ("chain:parts=3", "noise model 'chain'"),
    ],
)
def test_names_the_closest(text: str, closest: str) -> None:
    with pytest.raises(UnknownNameError, match=closest):
        parse(text)


def test_a_text_is_needed() -> None:
    with pytest.raises(SpecError):
        parse(25)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": 3},
        "gaussian:25",
        {"kind": "gaussian", "sigma": "25"},
        {"kind": "gaussian", "sigma": []},
        {"kind": "gaussian", "sigma": [0.1, "x"]},
        {"kind": "gaussian", "sigma": {"low": 0.1, "high": 0.2, "step": 1}},
        {"kind": "chain"},
        {"kind": "chain", "parts": []},
        {"kind": "chain", "parts": 3},
        {"kind": "chain", "parts": [3]},
    ],
)
def test_from_dict_refuses(data: object) -> None:
    with pytest.raises(SpecError):
        Noise.from_dict(data)  # type: ignore[arg-type]


def test_from_dict_names_the_closest_kind() -> None:
    with pytest.raises(UnknownNameError, match="gaussian"):
        Noise.from_dict({"kind": "gausian", "sigma": 0.1})


def test_python_values_of_numpy_are_plain_afterwards() -> None:
    noise = Gaussian(sigma=np.float32(0.5))  # type: ignore[arg-type]
    assert type(noise.sigma) is float
    assert Gaussian(sigma=np.array([0.1, 0.2])).to_dict() == {"kind": "gaussian", "sigma": [0.1, 0.2]}  # type: ignore[arg-type]
    assert type(Jpeg(quality=np.int64(30)).quality) is int  # type: ignore[arg-type]


def test_a_tuple_of_three_is_no_range() -> None:
    with pytest.raises(SpecError, match="is a list"):
        Gaussian(sigma=(0.1, 0.2, 0.3))


def test_chains_are_flat_and_hold_models_only() -> None:
    chain = parse("gaussian:5+clip") + (parse("jpeg:50") + parse("clip"))
    assert [part.name for part in chain.parts] == ["gaussian", "clip", "jpeg", "clip"]
    with pytest.raises(SpecError):
        Chain(())
    with pytest.raises(SpecError):
        Chain(("clip",))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        parse("clip") + "clip"  # type: ignore[operator]


UNIT = st.floats(0, 1, allow_subnormal=False)


@given(UNIT, UNIT)
def test_every_number_survives_the_text(first: float, second: float) -> None:
    low, high = sorted((first, second))
    for noise in (Gaussian(sigma=low), Gaussian(sigma=(low, high)), PoissonGaussian(gain=[low, high], read=high)):
        assert parse(noise.spec) == noise
        assert Noise.from_dict(noise.to_dict()) == noise
