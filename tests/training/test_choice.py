"""Which objective is chosen for which noise, and what those that do not suit it warn of."""

from __future__ import annotations

import pytest

from noiseless.noise import parse
from noiseless.training.known import KnownNoise
from noiseless.training.objectives import OBJECTIVES, REFERENCED
from noiseless.training.objectives.choice import Situation, choose, warnings

WHITE, CORRELATED, HEAVY = "gaussian:25", "correlated:sigma=0.1,length=2", "gaussian:10+salt-and-pepper:amount=0.05"
ALONE = [name for name in OBJECTIVES if name not in REFERENCED]


def situation(spec: str, views: bool = False, frames: float | None = None) -> Situation:
    return Situation(KnownNoise.of(parse(spec), 1), views, frames)


@pytest.mark.parametrize(
    ("given", "name", "why"),
    [
        (situation(WHITE), "recorrupted", "the noise is white"),
        (situation("poisson-gaussian:gain=0.02,read=0.02"), "recorrupted", "the noise is white"),
        (situation(CORRELATED), "recorrupted", "correlated over"),
        (situation(HEAVY), "noise2void", "far from normal"),
        (situation(CORRELATED, views=True), "noise2noise", "two noisy views"),
        (situation(WHITE, frames=1.05), "noise2noise", "neighbouring planes"),
        (situation(WHITE, frames=2.0), "recorrupted", "the noise is white"),
    ],
)
def test_what_is_chosen_suits_the_noise_and_says_why(given: Situation, name: str, why: str) -> None:
    chosen, reason = choose(given)
    assert (chosen, why in reason) == (name, True)
    assert all("moves the mean" in line for line in warnings(chosen, given))


@pytest.mark.parametrize(
    ("spec", "warned", "what"),
    [
        (WHITE, [], ""),
        (CORRELATED, ["noise2void", "noise2self", "neighbor2neighbor", "zero-shot"], "is correlated"),
        (HEAVY, ["sure", "recorrupted"], "far from normal"),
        (HEAVY, ALONE, "moves the mean by up to 6 of 255"),
        ("rician:sigma=0.08", ALONE, "moves the mean by up to 26 of 255"),
        ("gaussian:10+salt-and-pepper:amount=0.002", [], "moves the mean"),
    ],
)
def test_objectives_warn_of_what_they_cannot_handle(spec: str, warned: list[str], what: str) -> None:
    said = {name: warnings(name, situation(spec, views=True)) for name in ALONE}
    assert {name for name, lines in said.items() if any(what in line for line in lines)} == {*warned}


def test_normal_noise_of_other_strength_in_each_channel_is_still_normal() -> None:
    noise = KnownNoise.of(parse("gaussian:5/10/40"), 3)
    assert noise.tails == pytest.approx(0, abs=0.2)
    assert choose(Situation(noise))[0] == "recorrupted"


def test_planes_that_differ_by_more_than_noise_are_no_views() -> None:
    assert "planes or frames differ 2.0 times" in warnings("noise2noise", situation(WHITE, frames=2.0))[0]
    assert not warnings("noise2noise", situation(WHITE, frames=1.1))
