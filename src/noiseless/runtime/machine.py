"""What this machine offers to the process: processors, memory, bf16."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import sys
from pathlib import Path

from noiseless.errors import ConfigError

CGROUP = Path("/sys/fs/cgroup")
ASSUMED_MEMORY = 2 << 30
"""Bytes taken to be free where the system does not say."""

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt (malloc.h)."""

LARGE_BLOCK = 4 << 20
KEPT_FREE = 16 << 20


def processors() -> int:
    """How many processors this process may use: those of its affinity, within a container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        count = min(count, max(1, -(-int(quota) // int(period))))
    return count


def used_threads(threads: int | None) -> int:
    """As many threads as are asked for, or all that this process may use; no more than there are processors.

    Raises:
        ConfigError: less than one.
    """
    if threads is None:
        return processors()
    if threads < 1:
        raise ConfigError("threads does not fit", got=threads, expected="1 or more")
    return min(threads, os.cpu_count() or threads)


def free_memory() -> int:
    """Bytes that can be taken without swapping, within a container's limit."""
    free = ASSUMED_MEMORY
    with contextlib.suppress(OSError, ValueError, StopIteration):
        free = _kilobytes(Path("/proc/meminfo"), "MemAvailable:")
    with contextlib.suppress(OSError, ValueError):
        limit = int((CGROUP / "memory.max").read_text())
        free = min(free, max(0, limit - int((CGROUP / "memory.current").read_text())))
    return free


def resident_memory() -> int:
    """Bytes of memory that this process holds now; its peak where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return peak_memory()


def peak_memory() -> int:
    """Most bytes of memory that this process has held; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        return _kilobytes(Path("/proc/self/status"), "VmHWM:")  # unlike getrusage, nothing of the parent process
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_large_blocks_at_once() -> None:
    """Have freed blocks of `LARGE_BLOCK` bytes or more go back to the system, for the rest of the process.

    By itself glibc raises that size to the largest block freed so far, up to 32 MB, and then keeps smaller ones: where
    memory is planned, they are missing. Of smaller ones `KEPT_FREE` bytes stay with the process: once that size is
    said, glibc would keep an eighth of a megabyte, and work on arrays would take three times as long. Other systems
    stay as they are.
    """
    _mallopt(MMAP_THRESHOLD, LARGE_BLOCK)
    _mallopt(TRIM_THRESHOLD, KEPT_FREE)


def share_heaps(most: int) -> None:
    """Have threads share so many heaps, for the rest of the process; to be called before they begin.

    By itself glibc makes up to eight heaps for each processor, and each keeps what was freed in it: a service that runs
    for long would hold several times what it needs. Other systems stay as they are.
    """
    _mallopt(ARENA_MAX, most)


def _mallopt(parameter: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(parameter, value)


def _kilobytes(path: Path, name: str) -> int:
    """Bytes of an entry that a file of the kernel gives in kB."""
    return 1024 * int(next(line.split()[1] for line in path.read_text().splitlines() if line.startswith(name)))


@functools.cache
def has_bf16() -> bool:
    """Whether the processor multiplies bf16 faster than float32, as far as Linux tells."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        return "avx512_bf16" in text or "amx_bf16" in text
    return False


def processor_name() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()
