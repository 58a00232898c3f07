"""The service under many clients: errors, memory, throughput against the command line, and how long answers take.

    python benchmarks/service_load.py
    python benchmarks/service_load.py --seconds 20 --clients 50

Clients send images of mixed sizes on loopback, one after another each, and come again when a full queue says so. The
command line denoises a folder of the same images before and after, so that both meet the same machine; its start, that
of an empty run, is taken off, as is the service's. The clients share their processors with the service. Goals: no error
but 429; memory at the end within 10% of that after the warm-up; 90% of the command line's pixels a second. Beside it
stands the time of processors that a pixel takes: what else runs on the machine does not change it, and it is the
service's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

SIDES = (64, 96, 128, 192, 256)
EACH = 24
"""Images of each size in the folder."""

WARM_UP = 1 / 3
"""Share of the time after which memory is looked at for the first time."""

CLI = "import sys; from noiseless.__main__ import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Sent:
    """An image that clients send: the request as it goes over the line, and its pixels."""

    request: bytes
    pixels: int


class Cost(NamedTuple):
    """What some work takes: seconds on the clock, and of processors."""

    seconds: float
    processor: float


@dataclass
class Seen:
    """What the clients saw.

    Attributes:
        began: the moment at which they did.
        statuses: how often each status, or kind of failure, was answered.
        pixels: of the images that came back, by the moment they did.
        accepted: seconds from sending an image that is let in to having it.
        seconds: from sending an image for the first time to having it, those of being told to come again included.
        memory: bytes that the service held, by the moment.
        processor: seconds of processors that the service used.
        clients: those that the clients used.
    """

    began: float
    statuses: Counter[str] = field(default_factory=Counter)
    pixels: list[tuple[float, int]] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    processor: float = 0.0
    clients: float = 0.0


def make_images(folder: Path) -> dict[Path, int]:
    """Noisy pictures of mixed sizes, and their pixels."""
    generator = np.random.default_rng(0)
    made = {}
    for side in SIDES:
        for number in range(EACH):
            rows, columns = np.mgrid[:side, :side]
            clean = 128 + 50 * np.sin(rows / 9 + number)[..., None] * np.cos(columns / 13)[..., None]
            noisy = clean + generator.normal(0, 20, (side, side, 3))
            path = folder / f"{side}-{number}.png"
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
            made[path] = side * side
    return made


def command_line(given: Path, target: Path) -> Cost:
    """What the command line takes, its own start included."""
    start, before = time.perf_counter(), processor_seconds()
    subprocess.run(
        [sys.executable, "-c", CLI, "denoise", str(given), "-o", str(target)], check=True, capture_output=True
    )
    return Cost(time.perf_counter() - start, processor_seconds() - before)


def processor_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def request_of(path: Path) -> bytes:
    """A form with an image, as a client sends it."""
    part = f'--b\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n\r\n'
    body = part.encode() + path.read_bytes() + b"\r\n--b--\r\n"
    head = "POST /v1/denoise HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Line:
    """A connection to the service; plain, so that two hundred of them take little of the processor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, url: str) -> Line:
        """A connection to a service."""
        place = urlsplit(url)
        return cls(*await asyncio.open_connection(place.hostname, place.port))

    def close(self) -> None:
        """The service closes lines that are quiet for long."""
        self._writer.close()

    async def ask(self, request: bytes) -> tuple[str, dict[str, str]]:
        """Send a request; the status and headers of the answer, whose body is received too."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        await self._reader.readexactly(int(headers["content-length"]))
        return head[0].split()[1], headers


async def client(url: str, images: list[Sent], until: float, seen: Seen, seed: int) -> None:
    """Send one image after another."""
    choose = random.Random(seed)
    line = await Line.to(url)
    began, image = time.monotonic(), choose.choice(images)
    while time.monotonic() < until:
        sent = time.monotonic()
        try:
            status, headers = await line.ask(image.request)
        except (OSError, EOFError) as error:
            status = type(error).__name__
        seen.statuses[status] += 1
        if status == "429":
            pause = float(headers["retry-after"]) * choose.uniform(0.7, 1.3)
            if time.monotonic() + pause > until:
                return
            line.close()
            await asyncio.sleep(pause)
            line = await Line.to(url)
            continue
        if status != "200":
            return
        now = time.monotonic()
        seen.pixels.append((now, image.pixels))
        seen.accepted.append(now - sent)
        seen.seconds.append(now - began)
        began, image = now, choose.choice(images)


async def watch(process: int, until: float, seen: Seen) -> None:
    """Look at the service's memory twice a second."""
    statm = Path(f"/proc/{process}/statm")
    while time.monotonic() < until:
        seen.memory.append((time.monotonic(), int(statm.read_text().split()[1]) * 4096))
        await asyncio.sleep(0.5)


def processor_seconds_of(process: int) -> float:
    """What a running process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(url: str, process: int, images: dict[Path, int], given: argparse.Namespace) -> Seen:
    """All clients at once, and what they saw."""
    files = [Sent(request_of(path), pixels) for path, pixels in images.items()]
    await (await Line.to(url)).ask(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")  # waits until it has started
    before, own = processor_seconds_of(process), time.process_time()
    seen = Seen(time.monotonic())
    until = seen.began + given.seconds
    tasks = [client(url, files, until, seen, seed) for seed in range(given.clients)]
    await asyncio.gather(watch(process, until, seen), *tasks)
    seen.processor = processor_seconds_of(process) - before
    seen.clients = time.process_time() - own
    return seen


def serve_and_load(state: Path, images: dict[Path, int], given: argparse.Namespace) -> Seen:
    """Start a service, load it, stop it."""
    command = [sys.executable, "-c", CLI, "serve", "--port", "0", "--state", str(state), *given.option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        try:
            assert service.stdout is not None
            found = re.search(r"http://\S+", service.stdout.readline())
            assert found
            return asyncio.run(load(found[0], service.pid, images, given))
        finally:
            service.terminate()


def show(seen: Seen, seconds: float, command: Cost) -> bool:
    """Print what was seen; whether it meets the goals.

    Args:
        seen: by the clients.
        seconds: of the load.
        command: of the command line for each pixel.
    """
    others = {status: count for status, count in seen.statuses.items() if status not in ("200", "429")}
    print("answers: ", ", ".join(f"{count} x {status}" for status, count in sorted(seen.statuses.items())))
    rate = sum(pixels for moment, pixels in seen.pixels if moment <= seen.began + seconds) / seconds
    print(f"throughput: {rate * command.seconds:.2f} of the command line's on the same images (goal: at least 0.9)")
    each = seen.processor / sum(pixels for _, pixels in seen.pixels)
    print(f"processor time for each pixel: {each / command.processor:.2f} of the command line's; ", end="")
    print(f"the clients used {seen.clients / seen.processor:.2f} of what the service did")
    warm = [memory for moment, memory in seen.memory if moment - seen.began > WARM_UP * seconds]
    third = max(1, len(warm) // 3)
    growth = statistics.median(warm[-third:]) / statistics.median(warm[:third])
    print(f"memory: {growth:.2f} of that after the warm-up, at most {max(warm) / 1e6:.0f} MB (goal: at most 1.1)")
    for what, times in (("once let in", seen.accepted), ("with being told to come again", seen.seconds)):
        late = sorted(times)[int(0.99 * (len(times) - 1))]
        print(f"an image, {what}: median {statistics.median(times):.1f} s, 99th percentile {late:.1f} s")
    return not others and rate * command.seconds >= 0.9 and growth <= 1.1


def main() -> int:
    """Measure; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--option", action="append", default=[], help="of the service, such as --longest-wait=10")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        images = make_images(folder)
        smallest = min(images, key=lambda path: images[path])
        start = min(command_line(smallest, Path(name) / "start.png") for _ in range(2))
        before = command_line(folder, Path(name) / "before")
        seen = serve_and_load(Path(name) / "state", images, given)
        after = command_line(folder, Path(name) / "after")
    took = f"{before.seconds:.1f} s before, {after.seconds:.1f} s after, {start.seconds:.1f} s of it start"
    print(f"command line: {took}; {len(images)} images")
    pixels = sum(images.values())
    each = [((first + last) / 2 - once) / pixels for first, last, once in zip(before, after, start, strict=True)]
    return 0 if show(seen, given.seconds, Cost(*each)) else 1


if __name__ == "__main__":
    sys.exit(main())
