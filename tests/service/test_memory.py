"""The service sets up memory so that a long run holds no more than it needs."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the service needs the extra serve")

KEPT = """
import threading
import numpy as np
import uvicorn
from noiseless.runtime.machine import resident_memory
from noiseless.service.serve import serve
from noiseless.service.settings import ServiceSettings

def work(gate):
    gate.wait()
    blocks = [[np.ones(8 << 20, np.uint8), np.ones(400 << 10, np.uint8)] for _ in range(4)]
    gate.wait()

def measure(self, sockets):
    before, gate = resident_memory(), threading.Barrier(8)
    for _ in range(3):
        threads = [threading.Thread(target=work, args=(gate,)) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    print("kept", resident_memory() - before)

uvicorn.Server.run = measure
np.ones(24 << 20, np.uint8)  # glibc by itself would from now on take smaller blocks from its heaps
call
"""
RUN = {
    "service": "serve(ServiceSettings(port=0, state=STATE))",
    "by itself": "measure(None, [])",
}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_what_threads_freed_goes_back_to_the_system(tmp_path: Path) -> None:
    def kept(how: str) -> int:
        code = KEPT.replace("call\n", RUN[how].replace("STATE", repr(str(tmp_path))))
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return int(output.split("kept")[1])

    assert kept("service") < 40 << 20
    assert kept("by itself") > 100 << 20
