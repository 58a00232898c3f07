"""The photographs that ship with the package, for the demo, the documentation, the tests and rehearsal."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from noiseless.errors import UnknownNameError

KINDS = ("train", "validation", "test", "noisy")
REPLAY = "replay"
CROP = 80
"""Side of the shipped crops, in pixels."""


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
    return _files(kind)


def replay_crops() -> list[np.ndarray]:
    """The shipped crops of photographs that a network is held to while it learns something else.

    They come from photographs that the shipped models learned from, none of them a scene of the samples to measure on.

    Returns:
        A few hundred arrays (3, 80, 80), uint8.
    """
    from noiseless.io import read

    strips = [read(path).array.transpose(2, 0, 1) for path in _files(REPLAY)]
    return [crop for strip in strips for crop in np.split(strip, strip.shape[2] // CROP, axis=2)]


def _files(kind: str) -> list[Path]:
    return sorted((Path(str(files("noiseless"))) / "samples" / kind).glob("*.webp"))
