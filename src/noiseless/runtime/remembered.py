"""What is kept in files of the user's cache: measurements, and what takes long to make.

What cannot be kept is made again, nothing more.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
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
    """Add an entry to a file of the cache, if that can be written."""
    _write(cache_folder() / file, json.dumps({**recall(file), key: value}, indent=1).encode())


def recall_made(folder: str, key: str) -> bytes | None:
    """What was made before, from a folder of the cache; ``None`` where it is not there."""
    path = cache_folder() / folder / key
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        with contextlib.suppress(OSError):
            os.utime(path)
        return content
    return None


def remember_made(folder: str, key: str, content: bytes, *, most: int) -> None:
    """Keep what was made in a folder of the cache, if that can be written, and the `most` used last in all."""
    path = cache_folder() / folder / key
    _write(path, content)
    with contextlib.suppress(OSError):
        by_use = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime)
        for old in by_use[:-most]:
            old.unlink(missing_ok=True)


def changed(path: str | None) -> int:
    """When a file of a package was installed, which stands for its version and is known without importing it."""
    file = Path(path or "")
    return int(file.stat().st_mtime) if file.is_file() else 0


def _write(path: Path, content: bytes) -> None:
    """Readers see the old file or the new."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        beside.write_bytes(content)
        beside.replace(path)
