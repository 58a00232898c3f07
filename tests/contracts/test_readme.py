"""Every command of the READMEs but `make` runs, in a reduced form: small images, a few steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless.data import samples

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
INSTALLS = ("pip install",)
"""Commands that change an environment; `tests/environment` runs those."""

REDUCED = "--steps 3 --set training.batch_size=2 --set training.patch_size=32 --set training.validation_size=64"


def blocks(readme: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", readme.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands(readme: Path) -> list[str]:
    """The lines of all ``bash`` blocks."""
    return [line for block in blocks(readme, "bash") for line in block.splitlines() if line]


def reduced(command: str) -> str:
    """The same command with a budget of a few steps on tiny patches."""
    return re.sub(r"--(minutes|steps) [\d.]+", REDUCED, re.sub(r"--trials \d+", "--trials 2", command))


def crop(path: Path, size: int) -> np.ndarray:
    """The middle of an image, `size` pixels wide and high."""
    array = noiseless.read(path).array
    top, left = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return np.ascontiguousarray(array[top : top + size, left : left + size])


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noiseless.write(path, noiseless.Image.from_array(array))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The images that the READMEs speak of, small."""
    generator = np.random.default_rng(0)
    noisy = crop(samples("noisy")[0], 64)
    for name in ("photo.jpg", "noisy.png"):
        save(tmp_path / name, noisy)
    for path in samples("train")[:2]:
        clean = crop(path, 96)
        grain = generator.normal(0, 15, clean.shape)
        save(tmp_path / "film" / f"{path.stem}.png", (clean + grain).clip(0, 255).astype(np.uint8))
    save(tmp_path / "scans/inner/page.tif", noisy.astype(np.uint16) * 257)
    for path in samples("train")[:4]:
        clean = crop(path, 96)
        save(tmp_path / "photos" / f"{path.stem}.png", clean)
        grain = generator.normal(0, 12, clean.shape)
        save(tmp_path / "camera" / f"{path.stem}_real.png", (clean + grain).clip(0, 255).astype(np.uint8))
        save(tmp_path / "camera" / f"{path.stem}_mean.png", clean)
    for path in samples("test")[:2]:
        save(tmp_path / "test-photos" / f"{path.stem}.png", crop(path, 64))
    return tmp_path


@pytest.mark.timeout(1800)  # each command is a process of its own
def test_commands_run_as_they_stand_there(folder: Path) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    lines = [line for line in commands(ENGLISH) if not line.startswith(INSTALLS)]
    assert len(lines) > 8
    for line in lines:
        shell = ["bash", "-euo", "pipefail", "-c", reduced(line)]
        done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{reduced(line)}\n{done.stderr}"
    for made in (
        "clean.jpg",
        "clean.png",
        "mine.png",
        "tuned.png",
        f"restored/{samples('train')[0].stem}.png",
        "numbers.json",
        "report/report.html",
    ):
        assert (folder / made).stat().st_size > 0, made
    assert list((folder / "restored").rglob("page.tif"))
    assert noiseless.read(folder / "clean.jpg").array.shape == (64, 64, 3)


def test_python_runs_as_it_stands_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = blocks(ENGLISH, "python")
    assert found
    for block in found:
        exec(compile(block, "README.md", "exec"), {})


def test_both_languages_show_the_same_commands() -> None:
    assert commands(CHINESE) == commands(ENGLISH)
    code = [re.sub(r" *#.*", "", block) for block in blocks(CHINESE, "python")]
    assert code == [re.sub(r" *#.*", "", block) for block in blocks(ENGLISH, "python")]


@pytest.mark.parametrize("readme", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_links_lead_somewhere(readme: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", readme.read_text("utf-8"))
    targets += re.findall(r'src="([^"]+)"', readme.read_text("utf-8"))
    assert targets
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert not missing


@pytest.mark.parametrize("readme", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_verbs_and_networks_named_exist(readme: Path) -> None:
    from noiseless import cli

    for command in commands(readme):
        if command.startswith("noiseless"):
            assert command.split()[1] in cli.VERBS
