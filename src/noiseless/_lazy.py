"""Public names that are imported when they are first used, listed once in a ``.pyi`` stub.

Type checkers and editors read the stub; so does this module, so that the list cannot drift from what they see.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from noiseless.errors import missing_extra


def read_stub(stub: Path) -> dict[str, tuple[str, str]]:
    """The exports of a stub of lines ``from module import name as name``.

    Returns:
        Each public name with the module that has it and its name there.
    """
    imports = [node for node in ast.parse(stub.read_text("utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {name.asname: (node.module or "", name.name) for node in imports for name in node.names if name.asname}


def attach(package: str, stub: Path) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` for a package whose exports stand in `stub`.

    ``from package import name as name`` in the stub exports a submodule.
    """
    exports = read_stub(stub)

    def get(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = exports[name]
        try:
            submodule = module == package
            home = importlib.import_module(f"{package}.{attribute}" if submodule else module)
        except ModuleNotFoundError as error:
            extra = missing_extra(f"{package}.{name}", error)
            if extra is None:
                raise
            raise extra from error
        value = home if submodule else getattr(home, attribute)
        setattr(sys.modules[package], name, value)  # so that this function is asked once
        return value

    return get, lambda: sorted(exports), sorted(exports)
