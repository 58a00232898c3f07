"""Look-up in the explicit tables of noiseless: names to ``module:attribute``, imported when asked for.

A table is a dict literal, for example ``NOISES`` in `noiseless.noise`. Other packages add entries through an
entry point group of their own; an entry of noiseless comes first.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from noiseless.errors import UnknownNameError


def names(table: Mapping[str, str], group: str) -> list[str]:
    """All names of a table: its own in their order, then those of the entry points of `group`."""
    from importlib.metadata import entry_points

    added = sorted({point.name for point in entry_points(group=group)} - set(table))
    return [*table, *added]


def attribute(place: str) -> Any:
    """What lies at ``module:attribute``, imported now."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def load(kind: str, name: str, table: Mapping[str, str], group: str) -> Any:
    """What a name of a table stands for.

    Args:
        kind: what the table holds, for the error: ``"noise model"``.
        name: the name asked for.
        table: names to ``module:attribute``.
        group: of the entry points that add to the table.

    Raises:
        UnknownNameError: neither the table nor an entry point has the name.
    """
    if name in table:
        return attribute(table[name])
    from importlib.metadata import entry_points  # takes as long to import as much of numpy

    for point in entry_points(group=group, name=name):
        return point.load()
    raise UnknownNameError(kind, name, names(table, group))
