"""Every command and block of the tutorial runs, in its order, in a reduced form.

The form is reduced in one way: budgets become a few steps (`--steps N`, `STEPS = N`) or trials (`--trials N`), each
with the small patches of `REDUCED`; the photographs that ship are cut to small ones; TensorBoard reads the log and
leaves instead of serving it; and the trial steps of `noiseless suggest` are not taken.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import noiseless
from noiseless import cli, data
from noiseless.__main__ import main
from noiseless.workflows import suggest
from noiseless.workflows.trial import Cost

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, CHINESE = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "tutorial.zh-CN.md"
SIDES = {"train": 160, "validation": 64, "test": 64}
"""Pixels that the photographs of each side are cut to."""

REDUCED = {
    "training.batch_size": 2,
    "training.patch_size": 32,
    "training.validation_size": 64,
    "training.validations": 2,
    "training.accelerator": "cpu",
}


def blocks(document: Path) -> list[tuple[str, str]]:
    """The blocks of code of a document, in order: language and text."""
    found = re.findall(r"^```(bash|python)\n(.*?)^```$", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if not text.startswith("pip install")]


def commands(document: Path) -> list[str]:
    """The lines of the shell blocks."""
    return [line for language, text in blocks(document) if language == "bash" for line in text.splitlines()]


def reduced(line: str) -> list[str]:
    """The words of a command with a budget of a few steps on small patches."""
    words = shlex.split(re.sub(r"--trials \d+", "--trials 2", line))
    if "--steps" not in words:
        return words
    words[words.index("--steps") + 1] = "3"
    return [*words, *(word for key, value in REDUCED.items() for word in ("--set", f"{key}={value}"))]


def follow(line: str) -> None:
    program, *words = reduced(line)
    if program == "tensorboard":
        subprocess.run(["tensorboard", "--inspect", *words], check=True, capture_output=True)
    else:
        assert program == "noiseless"
        assert main(words) == 0, line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; the photographs that ship are small."""
    shipped = {side: data.samples(side) for side in SIDES}
    small: dict[str, list[Path]] = {}
    for side, size in SIDES.items():
        (tmp_path / "shipped" / side).mkdir(parents=True)
        small[side] = [tmp_path / "shipped" / side / path.name for path in shipped[side]]
        for path, target in zip(shipped[side], small[side], strict=True):
            part = noiseless.read(path).array[60 : 60 + size, 60 : 60 + size]
            noiseless.write(target, noiseless.Image.from_array(np.ascontiguousarray(part)))
    monkeypatch.setattr(data, "samples", lambda side: small[side])
    monkeypatch.setattr(suggest, "measure", lambda trial: Cost(0.5, 1 << 30, 1e-6))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.mark.timeout(1800)  # a dozen runs
def test_every_block_runs_in_its_order(folder: Path) -> None:
    space: dict[str, Any] = {"__name__": "tutorial"}
    for language, text in blocks(ENGLISH):
        if language == "python":
            exec(compile(re.sub(r"STEPS = \d+", "STEPS = 2", text), "tutorial.md", "exec"), space)
            continue
        for line in text.splitlines():
            follow(line)
    runs = {path.name for path in (folder / "runs").iterdir()}
    assert {"first", "overfit", "fresh", "more", "regularised", "grain", "kept", "mine", "search"} <= runs
    assert (folder / "runs/first/report/report.html").stat().st_size > 10_000
    assert noiseless.read(folder / "kitten.png").array.shape == (64, 64, 3)
    assert space["denoiser"].name == "first"


def test_both_languages_show_the_same_code() -> None:
    def code(document: Path) -> list[str]:
        return [re.sub(r" *#.*", "", text) for _, text in blocks(document)]

    assert code(CHINESE) == code(ENGLISH)


def test_both_languages_show_the_same_pictures_outputs_and_parts() -> None:
    def parts(document: Path, pattern: str) -> list[str]:
        return re.findall(pattern, document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)

    for pattern in (r"\]\((pictures/[^)]+)\)", r"^```text\n(.*?)^```$", r"\$\$(.*?)\$\$", r"^## (\d+)\."):
        assert parts(CHINESE, pattern) == parts(ENGLISH, pattern)
        assert parts(ENGLISH, pattern)


@pytest.mark.parametrize("document", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    heads = {
        re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")
        for head in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in heads, target
        else:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", [ENGLISH, CHINESE], ids=lambda path: path.name)
def test_verbs_exist_and_nothing_is_left_to_fill_in(document: Path) -> None:
    text = document.read_text("utf-8")
    assert set(re.findall(r"noiseless ([a-z]+) ", text)) & set(cli.VERBS)
    for line in commands(document):
        if line.startswith("noiseless"):
            assert line.split()[1] in cli.VERBS
    assert not re.findall(r"@[A-Z_]+@", text)


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs/pictures/tutorial").iterdir())
    assert {path.suffix for path in pictures} == {".webp"}
    assert sum(path.stat().st_size for path in pictures) < 600_000
