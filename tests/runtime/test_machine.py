from __future__ import annotations

import platform
import subprocess
import sys

import pytest

KEPT = """
import numpy as np
from noiseless.runtime.machine import free_large_blocks_at_once, resident_memory
{call}
np.ones(24 << 20, np.uint8)  # glibc from now on takes smaller blocks from the heap
before = resident_memory()
blocks = [[np.ones(8 << 20, np.uint8), np.ones(200 << 10, np.uint8)] for _ in range(8)]
kept = [small for large, small in blocks]
del blocks
print(resident_memory() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_large_blocks_go_back_at_once() -> None:
    def kept(call: str) -> int:
        code = KEPT.format(call=call)
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert kept("") > 40 << 20
    assert kept("free_large_blocks_at_once()") < 8 << 20


FAULTS = """
import resource
import numpy as np
from noiseless.runtime.machine import free_large_blocks_at_once
free_large_blocks_at_once()
values = np.ones(700 << 10, np.float32)
values + values
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    values + values
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_smaller_blocks_are_used_again() -> None:
    """Else each result of 2.8 MB takes 700 faults."""
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 700


HEAPS = """
import ctypes, os, tempfile, threading
import numpy as np
from noiseless.runtime.machine import share_heaps
{call}
gate = threading.Barrier(9)
def work():
    gate.wait()
    block = np.ones(100 << 10, np.uint8)
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
gate.wait()
gate.wait()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
path = os.path.join(tempfile.mkdtemp(), "heaps")
stream = ctypes.c_void_p(library.fopen(path.encode(), b"w"))
library.malloc_info(0, stream)
library.fclose(stream)
print(open(path).read().count("<heap "))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_threads_share_heaps() -> None:
    def heaps(call: str) -> int:
        code = HEAPS.format(call=call)
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert heaps("") > 2
    assert heaps("share_heaps(2)") == 2
