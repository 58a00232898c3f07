from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def instructions(name: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_what_is_copied_exists_and_is_all_that_the_package_needs() -> None:
    copied = {part for line in instructions("COPY") for part in shlex.split(line)[:-1]}
    assert all((ROOT / part).exists() for part in copied)
    assert {"pyproject.toml", "README.md", "LICENSE", "src", "constraints.txt"} <= copied


def test_the_command_is_one_of_ours_and_no_root_runs_it() -> None:
    command = json.loads(instructions("CMD")[-1])
    assert command[:2] == ["noiseless", "serve"]
    options = (ROOT / "src/noiseless/cli/serve.py").read_text(encoding="utf-8")
    for option in (word for word in command if word.startswith("--")):
        assert re.search(rf"\b{option.removeprefix('--')}: Annotated", options)
    assert instructions("USER") == ["noiseless"]
    assert instructions("HEALTHCHECK")


def test_the_composition_is_read_only_and_asks_for_a_token() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert "read_only: true" in text
    assert "NOISELESS_TOKEN:?" in text
