"""Wall times of whole Python processes, interleaved so that a busy moment of the machine falls on all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

Key = TypeVar("Key")


BYTECODE = tempfile.TemporaryDirectory(prefix="noiseless-bytecode-")
"""Where processes keep compiled modules, as an installation does, whatever the environment says."""


def wall_time(arguments: Sequence[str]) -> float:
    """Seconds that ``python ARGUMENTS`` takes from start to end; the first time its modules are compiled too."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = BYTECODE.name
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def in_turns(works: Mapping[Key, Callable[[], float]], turns: int) -> dict[Key, list[float]]:
    """The seconds that each says it took, one of each in turn; a first turn, which fills caches, is not counted."""
    times: dict[Key, list[float]] = {key: [] for key in works}
    for turn in range(turns + 1):
        for key, work in works.items():
            taken = work()
            if turn:
                times[key].append(taken)
    return times


def interleaved(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[float]]:
    """Wall times of each command, in turns."""
    return in_turns({name: partial(wall_time, arguments) for name, arguments in commands.items()}, repeats)


def ratio(times: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """The median, over the turns, of one command's time to another's in the same turn."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def show(times: Mapping[str, Sequence[float]], base: str) -> None:
    """Print the fastest and the median time of each command and its ratio to `base`."""
    width = max(map(len, times))
    for name, seconds in times.items():
        fastest, median = 1000 * min(seconds), 1000 * statistics.median(seconds)
        compared = "" if name == base else f"   {ratio(times, name, base):.2f} x {base}"
        print(f"{name:<{width}}   fastest {fastest:5.0f} ms   median {median:5.0f} ms{compared}")
