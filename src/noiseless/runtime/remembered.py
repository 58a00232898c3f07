"""Measurements that are kept in files of the user's cache. One that cannot be kept is made again, nothing more."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """Where noiseless keeps what it measured: ``$XDG_CACHE_HOME/noiseless``, or ``~/.cache/noiseless``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base) / "noiseless" if base else Path(os.path.expanduser("~")) / ".cache" / "noiseless"  # noqa: PTH111


def recall(file: str) -> dict[str, Any]:
    """What a file of the cache holds; nothing where there is none that can be read."""
    try:
        known = json.loads((cache_folder() / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def remember(file: str, key: str, value: Any) -> None:
    """Add an entry to a file of the cache, if that can be written; readers see the old file or the new."""
    path = cache_folder() / file
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({**recall(file), key: value}, indent=1), encoding="utf-8")
        beside.replace(path)
