"""Loss expressions: what they mean, and what is refused."""

from __future__ import annotations

import importlib.metadata

import pytest
import torch

from noiseless import losses
from noiseless.errors import DataError, SpecError, UnknownNameError
from noiseless.losses import find, parse


def test_a_sum_is_the_weighted_sum_of_its_terms() -> None:
    prediction, target = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    loss = parse("mse + 0.1*ssim+2 * gradient")
    expected = (
        find("mse")(prediction, target)
        + 0.1 * find("ssim")(prediction, target)
        + 2 * find("gradient")(prediction, target)
    )
    assert loss(prediction, target).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss(prediction, target).shape == ()


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("l1", "l1"),
        (" mse +0.10* ssim ", "mse+0.1*ssim"),
        ("1e-3*l1+1e+2*mse", "0.001*l1+100*mse"),
        ("1.0*charbonnier", "charbonnier"),
        ("1e-13*mse+12345.678*l1", "1e-13*mse+12345.678*l1"),
    ],
)
def test_spec_is_the_canonical_text(text: str, spec: str) -> None:
    assert parse(text).spec == spec
    assert parse(spec) == parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "mse+", "+mse", "mse++l1", "x*mse", "*mse", "2*", "-1*mse", "0*mse", "inf*mse", "nan*mse", "2*3*mse"],
)
def test_what_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"loss expression.*mse\+0\.1\*ssim"):
        parse(text)


def test_an_unknown_loss_names_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean charbonnier"):
        parse("mse+0.1*charbonier")


def test_images_of_two_sizes_are_refused_not_broadcast() -> None:
    with pytest.raises(DataError, match="one size"):
        parse("mse")(torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8))


def test_mixed_precision_does_not_reach_the_loss() -> None:
    prediction = torch.rand(1, 1, 24, 24)
    target = (prediction + 0.002 * torch.randn(1, 1, 24, 24)).clamp(0, 1)
    exact = parse("ssim")(prediction.double(), target.double()).item()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = parse("ssim")(prediction, target)
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(exact, abs=1e-5)
    assert parse("ssim")(prediction.double(), target.double()).dtype == torch.float64


def test_other_packages_add_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("huber", "torch.nn.functional:huber_loss", "noiseless.losses")

    def entry_points(**wanted: str) -> importlib.metadata.EntryPoints:
        return importlib.metadata.EntryPoints([point]).select(**wanted)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert "huber" in losses.names()
    assert parse("2*huber")(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).item() == pytest.approx(1.0)
