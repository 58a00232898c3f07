"""The photographs that ship with the package, for the demo, the documentation and the tests."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from noiseless.errors import UnknownNameError

KINDS = ("train", "validation", "test", "noisy")


def samples(kind: str) -> list[Path]:
    """Shipped photographs, sorted by name; `samples/README.md` in the package names their source (all are CC0).

    Args:
        kind: ``train``, ``validation`` or ``test`` for clean photographs, which have no scene in common; ``noisy``
            for real camera noise, whose clean version nobody knows.

    Raises:
        UnknownNameError: another kind.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of samples", kind, KINDS)
    folder = Path(str(files("noiseless"))) / "samples" / kind
    return sorted(folder.glob("*.webp"))
