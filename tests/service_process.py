"""A real service in a process of its own, for tests."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np

import noiseless

PATIENCE = 120.0


@dataclass
class Service:
    """A running service: its process, and where to reach it."""

    process: subprocess.Popen[str]
    url: str
    state: Path

    def client(self) -> httpx2.Client:
        """A client for it, which uses no proxy."""
        return httpx2.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait(PATIENCE)


@contextmanager
def running(state: Path, *options: str) -> Iterator[Service]:
    """Start a service on a free port; it is told to stop at the end."""
    command = [sys.executable, "-m", "noiseless", "serve", "--port", "0", "--state", str(state)]
    log = (state.parent / f"{state.name}.log").open("a")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (
        log,
        subprocess.Popen(
            [*command, "--set", "threads=1", *options], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, (state.parent / f"{state.name}.log").read_text("utf-8")
            service = Service(process, found[0], state)
            _await(service)
            yield service
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(service: Service) -> None:
    until = time.monotonic() + PATIENCE
    with service.client() as client:
        while time.monotonic() < until:
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.1)
    raise AssertionError("the service did not become ready")


def noisy(height: int, width: int, *, dtype: str = "uint8", channels: int = 1, seed: int = 0) -> np.ndarray:
    """A picture of soft waves with noise; 16-bit ones are dim."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    waves = 0.5 + 0.2 * np.sin(rows / 17) + 0.2 * np.cos(columns / 23)
    values = waves[..., None] + generator.normal(0, 0.08, (height, width, channels))
    white = 255 if dtype == "uint8" else 4000
    array = (values.clip(0, 1) * white).astype(dtype)
    return array[..., 0] if channels == 1 else array


def file_of(array: np.ndarray, kind: str = "png") -> bytes:
    """The array as a file."""
    buffer = io.BytesIO()
    noiseless.write(buffer, noiseless.Image.from_array(array), format=kind)
    return buffer.getvalue()
