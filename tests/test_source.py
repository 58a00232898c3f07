"""The source keeps to its style: sizes, docstrings, examples that run, nothing of the machine it was written on."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "noiseless"
FILES = sorted(SOURCE.rglob("*.py"))
TEXT = {".py", ".pyi", ".md", ".toml", ".yml", ".yaml", ".txt", ""}


def function_lengths() -> dict[str, int]:
    """Lines of each function, by its place."""
    lengths = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                place = f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}"
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lengths[place] = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
    return lengths


def test_functions_are_short() -> None:
    lengths = function_lengths()
    long = {place: length for place, length in lengths.items() if length > 60}
    assert not long
    assert sum(length < 25 for length in lengths.values()) >= 0.9 * len(lengths)


def test_modules_are_short() -> None:
    assert not [path for path in FILES if path.read_text("utf-8").count("\n") > 500]


def test_no_grab_bag() -> None:
    assert not [path for path in FILES if {"utils", "helpers", "misc", "common"} & {path.stem, *path.parts}]


@pytest.mark.parametrize(
    "path", [p for p in FILES if ">>> " in p.read_text("utf-8")], ids=lambda p: str(p.relative_to(SOURCE))
)
def test_examples_in_docstrings_run(path: Path) -> None:
    name = ".".join(("noiseless", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed


def test_nothing_names_a_place_of_this_machine_or_a_package_index() -> None:
    places = re.compile(r"pypi\.org|pythonhosted|download\.pytorch|/work/|/opt/|/root/|/home/\w")
    tracked = [
        path
        for folder in ("src", "tests", "docs", "benchmarks", "scripts", ".ci")
        for path in (ROOT / folder).rglob("*")
    ]
    tracked += list(ROOT.glob("*"))
    found = [
        str(path.relative_to(ROOT))
        for path in tracked
        if path.is_file() and path.suffix in TEXT and path != Path(__file__) and places.search(path.read_text("utf-8"))
    ]
    assert not found
