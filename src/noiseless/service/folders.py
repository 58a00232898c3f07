"""Where the service keeps its state, and the lock that lets one service use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from noiseless.errors import ConfigError, OutputError


def state_folder(port: int) -> Path:
    """The usual folder of a service on this port, by the XDG base directory specification."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "noiseless" / f"serve-{port}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, readable by its owner alone, and keep other services out of it.

    Raises:
        OutputError: it cannot be made.
        ConfigError: another service uses it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (folder / "lock").open("a")
    except OSError as error:
        raise OutputError(
            f"cannot use the folder {folder}", got=error.strerror, fix="Name another: --state DIR."
        ) from error
    with file:
        _lock(file.fileno(), folder)
        yield


def _lock(file: int, folder: Path) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows, where a port cannot be shared either
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ConfigError(
            f"another service uses the folder {folder}", fix="Stop it, or name another folder: --state DIR."
        ) from error
