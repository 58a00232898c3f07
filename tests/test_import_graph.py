"""Imports go one way, down this list; nothing above the line imports torch."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "noiseless"

STEPS = (
    "_version, errors; _lazy, tables; image, tiling, ceiling; io, noise, metrics; data, calibration, asked; "
    "bundle, hub; networks; runtime; inference, unclipping; denoiser; baselines; evaluation; losses; exporting; "
    "training; finetuning, compression, explanation; workflows; service; cli; __main__"
)
"""A step may import any earlier one; parts of one step do not import each other."""

TORCH = {
    "networks",
    "losses",
    "exporting",
    "training",
    "finetuning",
    "compression",
    "explanation",
    "workflows",
    "service",
}
"""The parts below the line, which may import torch. `cli` imports it inside functions only."""

CORE = {"numpy", "scipy", "PIL", "tifffile", "imagecodecs", "onnxruntime", "safetensors", "rich", "typer"}
"""What the core installs, as it is imported."""

RANK = {part: rank for rank, step in enumerate(STEPS.split("; ")) for part in step.split(", ")}


@dataclass(frozen=True)
class Import:
    """One import in the source.

    Attributes:
        target: the dotted module (or name in a module) that is imported.
        line: where.
        deferred: inside a function, or for type checkers only: it does not run when the module is imported.
    """

    target: str
    line: int
    deferred: bool


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to, as the list names it."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(tree: ast.Module) -> list[Import]:
    """All imports of a module."""
    found = []

    def visit(node: ast.AST, deferred: bool) -> None:
        for child in ast.iter_child_nodes(node):
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            inside = deferred or typing_only or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                found.extend(Import(name.name, child.lineno, inside) for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, "relative imports are not used"
                found.extend(Import(f"{child.module}.{name.name}", child.lineno, inside) for name in child.names)
            visit(child, inside)

    visit(tree, deferred=False)
    return found


def parts_named(target: str) -> str | None:
    """The part that an import of noiseless reaches; None for other packages and the bare package."""
    package, _, rest = target.partition(".")
    part = rest.partition(".")[0]
    return part if package == "noiseless" and part and part != "__version__" else None


FILES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py" or path.parent != SOURCE)
MODULES = {path: imports_of(ast.parse(path.read_text("utf-8"))) for path in FILES}


def test_every_part_is_in_the_list() -> None:
    assert {part_of(path) for path in FILES} <= set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_the_list(path: Path) -> None:
    here = part_of(path)
    for item in MODULES[path]:
        part = parts_named(item.target)
        if part is None or part == here:
            continue
        assert part in RANK, f"{path}:{item.line} imports {item.target}, which is no part"
        assert RANK[part] < RANK[here], f"{path}:{item.line}: {here} must not import {part}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if part_of(path) not in TORCH], ids=lambda path: str(path.relative_to(SOURCE))
)
def test_torch_stays_below_the_line(path: Path) -> None:
    for item in MODULES[path]:
        top = item.target.partition(".")[0]
        if item.deferred or top in sys.stdlib_module_names or top == "noiseless":
            continue
        assert top in CORE, f"{path}:{item.line} imports {top} when it is imported; the core does not install it"


def test_core_is_what_pyproject_installs() -> None:
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    names = {line.partition(">")[0].replace("pillow", "PIL") for line in project["dependencies"]}
    assert names == CORE


def test_importing_everything_above_the_line_imports_no_torch() -> None:
    modules = [
        ".".join(("noiseless", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in FILES
        if part_of(path) not in TORCH and part_of(path) != "__main__"
    ]
    code = (
        "import importlib, json, sys\n"
        f"for name in json.loads({json.dumps(json.dumps(modules))}): importlib.import_module(name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'lightning_fabric', 'onnx'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
