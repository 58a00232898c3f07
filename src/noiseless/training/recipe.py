"""Recipes: short TOML files; those that made the shipped models come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noiseless.errors import UnknownNameError
from noiseless.training.config import read_recipe

FOLDER = Path(__file__).parent.parent / "recipes"


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe, not yet checked.

    Args:
        name: of a recipe that comes with the package, or a path that ends in ``.toml``.

    Raises:
        UnknownNameError: no recipe of this name.
        ConfigError: a file that cannot be read or is not TOML.
    """
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    if name not in recipe_names():
        raise UnknownNameError("recipe", name, recipe_names())
    return read_recipe(FOLDER / f"{name}.toml")
