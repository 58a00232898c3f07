"""Each example runs, in a reduced form: small pictures, a few steps."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import noiseless
from noiseless import data
from noiseless.networks import NETWORKS
from noiseless.noise import NOISES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
SIZE = 72

Load = Callable[[str], Any]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports an example; the photographs that ship are cut to `SIZE` pixels, and tables end as they began."""
    shipped = data.samples

    def small(side: str) -> list[Path]:
        return [cut(path, tmp_path / side / path.name) for path in shipped(side)]

    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "samples", small)
    before = dict(NETWORKS), dict(NOISES)
    yield importlib.import_module
    for table, entries in zip((NETWORKS, NOISES), before, strict=True):
        table.clear()
        table.update(entries)
    for name in PROGRAMS:
        sys.modules.pop(name, None)


def cut(path: Path, target: Path) -> Path:
    target.parent.mkdir(exist_ok=True)
    part = noiseless.read(path).array[40 : 40 + SIZE, 40 : 40 + SIZE]
    noiseless.write(target, noiseless.Image.from_array(np.ascontiguousarray(part)))
    return target


def test_denoise_array(example: Load) -> None:
    program = example("denoise_array")
    before, after = program.colour_photograph()
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert not np.array_equal(before, after)
    stack, restored = program.twelve_bit_stack()
    assert (restored.dtype, restored.shape) == (np.uint16, stack.shape)
    assert np.std(np.diff(restored[0, 60].astype(float))) < 0.5 * np.std(np.diff(stack[0, 60].astype(float)))
    assert program.half_the_strength().shape == before.shape


def test_train_on_a_folder(example: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    denoiser = example("train_on_a_folder").train(data.samples("train"), tmp_path / "run", steps=5, patch_size=32)
    assert denoiser.name == "run"
    assert "step 5: " in capsys.readouterr().out


def test_finetune_with_lora(example: Load, tmp_path: Path) -> None:
    program = example("finetune_with_lora")
    program.adapt(tmp_path / "run", steps=30, batch_size=4, validation_size=64)
    reached = program.compare(tmp_path / "run", size=64)
    assert list(reached) == [0.0, 0.5, 1.0]
    assert reached[0.0] != reached[1.0]


def test_evaluate_models(example: Load, tmp_path: Path) -> None:
    report = example("evaluate_models").measure(data.samples("test")[:1], tmp_path / "report.html")
    assert [result.model for result in report.results][-1] == "color-small"
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_custom_network(example: Load, tmp_path: Path) -> None:
    denoiser = example("custom_network").train(tmp_path / "run", steps=3, patch_size=32)
    assert denoiser.bundle.network == "dilated_row"
    noisy = np.random.default_rng(0).random((40, 48, 3), dtype=np.float32)
    assert denoiser(noisy).shape == noisy.shape


def test_custom_noise(example: Load) -> None:
    noise = example("custom_noise").hum_and_grain()
    clean = np.full((3, 60, 64), 0.5, np.float32)
    many = np.stack([noise.sample(clean, np.random.default_rng(seed)) for seed in range(200)])
    np.testing.assert_allclose(many.var(axis=0).mean(), noise.variance(clean).mean(), rtol=0.05)
    assert noiseless.noise.parse(noise.spec) == noise


def test_the_gallery_lists_every_program_and_each_is_tested() -> None:
    listed = re.findall(r"\]\((\w+)\.py\)", (EXAMPLES / "README.md").read_text("utf-8"))
    assert sorted(listed) == PROGRAMS
    assert all(f"test_{name}" in globals() for name in PROGRAMS)
