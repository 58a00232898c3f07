"""The core, installed alone into an environment of its own, denoises a photograph without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless import bundle
from noiseless.data import samples

pytestmark = pytest.mark.environment

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = (
    "No matching distribution",
    "Could not find a version",
    "ConnectionError",
    "Max retries",
    "Temporary failure",
)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with nothing but ``pip install .``."""
    folder = tmp_path_factory.mktemp("core")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    install = [programs / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", ROOT]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip(f"packages cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return programs


def run(core: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([core / "noiseless", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_no_torch(core: Path, tmp_path: Path) -> None:
    for package in ("torch", "lightning_fabric", "onnx", "skimage", "pytest"):
        done = subprocess.run(
            [core / "python", "-c", f"import {package}"], capture_output=True, check=False, cwd=tmp_path
        )
        assert done.returncode != 0, f"the core pulls {package} in"


def test_denoises_a_real_photograph(core: Path, tmp_path: Path) -> None:
    photograph = samples("noisy")[-1]
    before = photograph.read_bytes()
    done = run(core, "denoise", photograph, "-o", "clean.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    noisy, clean = noiseless.read(photograph), noiseless.read(tmp_path / "clean.png")
    assert clean.array.shape == noisy.array.shape
    assert clean.array.dtype == noisy.array.dtype
    assert roughness(clean.array) < 0.8 * roughness(noisy.array)
    assert abs(clean.array.mean() - noisy.array.mean()) < 1
    assert photograph.read_bytes() == before


def roughness(pixels: np.ndarray) -> float:
    """Mean absolute difference of each pixel to its neighbours' mean along a row: mostly noise."""
    rows = pixels.astype(float)
    return float(np.abs(rows[:, 1:-1] - (rows[:, :-2] + rows[:, 2:]) / 2).mean())


def test_lists_and_measures_what_ships(core: Path, tmp_path: Path) -> None:
    listed = run(core, "models", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    names = list(bundle.shipped())
    assert names
    assert all(name in listed.stdout for name in names)
    model = next(name for name in names if bundle.read(bundle.shipped()[name]).spec.conditioning == "sigma")
    clean = ["--clean", str(samples("test")[0]), "--noise", "gaussian:25"]
    measured = run(core, "evaluate", model, "identity", *clean, "--json", "numbers.json", cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    restored, noisy = json.loads((tmp_path / "numbers.json").read_text("utf-8"))["results"]
    assert restored["psnr"]["mean"] > noisy["psnr"]["mean"] + 5


def test_training_says_what_to_install(core: Path, tmp_path: Path) -> None:
    arguments = ["--clean", str(samples("train")[0]), "--noise", "gaussian:25", "--steps", "1", "-o", "run"]
    done = run(core, "train", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert 'pip install "noiseless[train]"' in done.stderr
    assert done.stderr.count("\n") == 1
