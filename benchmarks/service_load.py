"""The service under many clients: errors, memory, throughput against the command line, and how long answers take.

    python benchmarks/service_load.py
    python benchmarks/service_load.py --seconds 20 --clients 50

Clients send images of mixed sizes on loopback, one after another each, and come again when a full queue says so. The
command line denoises a folder of the same images before and after, so that both meet the same machine; its start, that
of an empty run, is taken off. The clients share their processors with the service. Goals: no error but 429; memory at
the end within 10% of that after the warm-up; 90% of the command line's pixels a second.
"""

from __future__ import annotations

import argparse
import asyncio
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

import httpx2
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
    """An image that clients send: the file's name and bytes, and its pixels."""

    name: str
    data: bytes
    pixels: int


@dataclass
class Seen:
    """What the clients saw.

    Attributes:
        statuses: how often each status, or kind of failure, was answered.
        pixels: of the images that came back, by the moment they did.
        accepted: seconds from sending an image that is let in to having it.
        seconds: from sending an image for the first time to having it, those of being told to come again included.
        memory: bytes that the service held, by the moment.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    pixels: list[tuple[float, int]] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)


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


def command_line(given: Path, target: Path) -> float:
    """Seconds that the command line takes, its own start included."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", CLI, "denoise", str(given), "-o", str(target)], check=True, capture_output=True
    )
    return time.perf_counter() - start


async def client(url: str, images: list[Sent], until: float, seen: Seen, seed: int) -> None:
    """Send one image after another."""
    choose = random.Random(seed)
    async with httpx2.AsyncClient(base_url=url, timeout=300, trust_env=False, verify=False) as http:
        while time.monotonic() < until:
            image = choose.choice(images)
            began = time.monotonic()
            while True:
                sent = time.monotonic()
                try:
                    answer = await http.post("/v1/denoise", files={"image": (image.name, image.data)})
                except httpx2.TransportError as error:
                    seen.statuses[type(error).__name__] += 1
                    return
                seen.statuses[str(answer.status_code)] += 1
                if answer.status_code != 429:
                    break
                if time.monotonic() > until:
                    return
                await asyncio.sleep(float(answer.headers["retry-after"]) * choose.uniform(0.7, 1.3))
            if answer.status_code == 200:
                seen.pixels.append((time.monotonic(), image.pixels))
                seen.accepted.append(time.monotonic() - sent)
                seen.seconds.append(time.monotonic() - began)


async def watch(process: int, until: float, seen: Seen) -> None:
    """Look at the service's memory twice a second."""
    statm = Path(f"/proc/{process}/statm")
    while time.monotonic() < until:
        seen.memory.append((time.monotonic(), int(statm.read_text().split()[1]) * 4096))
        await asyncio.sleep(0.5)


async def load(url: str, process: int, images: dict[Path, int], clients: int, seconds: float) -> tuple[Seen, float]:
    """All clients at once; what they saw, and the moment at which they began."""
    seen, started = Seen(), time.monotonic()
    files = [Sent(path.name, path.read_bytes(), pixels) for path, pixels in images.items()]
    tasks = [client(url, files, started + seconds, seen, seed) for seed in range(clients)]
    await asyncio.gather(watch(process, started + seconds, seen), *tasks)
    return seen, started


def serve_and_load(state: Path, images: dict[Path, int], clients: int, seconds: float) -> tuple[Seen, float]:
    """Start a service, load it, stop it."""
    command = [sys.executable, "-c", CLI, "serve", "--port", "0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        try:
            assert service.stdout is not None
            found = re.search(r"http://\S+", service.stdout.readline())
            assert found
            return asyncio.run(load(found[0], service.pid, images, clients, seconds))
        finally:
            service.terminate()


def show(seen: Seen, started: float, seconds: float, command_rate: float) -> bool:
    """Print what was seen; whether it meets the goals."""
    others = {status: count for status, count in seen.statuses.items() if status not in ("200", "429")}
    print("answers: ", ", ".join(f"{count} x {status}" for status, count in sorted(seen.statuses.items())))
    within = [pixels for moment, pixels in seen.pixels if moment <= started + seconds]
    rate = sum(within) / seconds
    print(f"throughput: {rate / command_rate:.2f} of the command line's on the same images (goal: at least 0.9)")
    warm = [memory for moment, memory in seen.memory if moment - started > WARM_UP * seconds]
    third = max(1, len(warm) // 3)
    growth = statistics.median(warm[-third:]) / statistics.median(warm[:third])
    print(f"memory: {growth:.2f} of that after the warm-up, at most {max(warm) / 1e6:.0f} MB (goal: at most 1.1)")
    for what, times in (
        ("once let in", sorted(seen.accepted)),
        ("with being told to come again", sorted(seen.seconds)),
    ):
        late = times[int(0.99 * (len(times) - 1))]
        print(f"an image, {what}: median {statistics.median(times):.1f} s, 99th percentile {late:.1f} s")
    return not others and rate >= 0.9 * command_rate and growth <= 1.1


def main() -> int:
    """Measure; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        images = make_images(folder)
        smallest = min(images, key=lambda path: images[path])
        start = min(command_line(smallest, Path(name) / "start.png") for _ in range(2))
        before = command_line(folder, Path(name) / "before")
        seen, started = serve_and_load(Path(name) / "state", images, given.clients, given.seconds)
        after = command_line(folder, Path(name) / "after")
    command_rate = sum(images.values()) / ((before + after) / 2 - start)
    print(f"command line: {before:.1f} s before, {after:.1f} s after, {start:.1f} s of it start; {len(images)} images")
    return 0 if show(seen, started, given.seconds, command_rate) else 1


if __name__ == "__main__":
    sys.exit(main())
