"""What training costs on this machine: a few steps in a process of its own, timed, with the memory that they take.

A process of its own, since memory that was once taken does not show again, and since one that takes too much is ended
by the system. It is told what to try as JSON on its standard input, and answers with JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from noiseless.errors import MemoryLimitError

SECONDS = 6.0
FEWEST_STEPS = 2
SIDE = 128
"""Of the square image that is restored to see what that costs."""


@dataclass(frozen=True)
class Trial:
    """What to try.

    Attributes:
        network: a key of `noiseless.networks.NETWORKS`.
        arguments: its constructor arguments.
        method: a key of `noiseless.finetuning.METHODS`, or empty to train everything.
        batch_size: patches in a step.
        patch_size: side of the patches, in pixels.
    """

    network: str
    arguments: Mapping[str, Any]
    method: str
    batch_size: int
    patch_size: int


@dataclass(frozen=True)
class Cost:
    """What it costs.

    Attributes:
        step: seconds that a training step takes.
        memory: bytes that training holds at its peak: of the GPU where there is one, else of the process.
        pixel: seconds that restoring one pixel takes.
    """

    step: float
    memory: int
    pixel: float


def measure(trial: Trial) -> Cost:
    """Take a few steps in another process and measure.

    Raises:
        MemoryLimitError: they need more memory than there is.
    """
    command = [sys.executable, "-m", "noiseless.workflows.trial"]
    done = subprocess.run(command, input=json.dumps(asdict(trial)), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise MemoryLimitError(f"{trial.network} with {trial.batch_size} patches cannot be tried", got=last)
    return Cost(**json.loads(done.stdout))


def measure_here(trial: Trial) -> Cost:
    """As `measure`, in this process."""
    import torch

    from noiseless.runtime.machine import peak_memory
    from noiseless.training.precision import faster_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bf16 = faster_precision(device) == "bf16"
    step, restore = _work(trial, device, bf16)
    seconds = _median_seconds(step, device)
    memory = torch.cuda.max_memory_reserved() if device.type == "cuda" else peak_memory()
    return Cost(seconds, memory, _median_seconds(restore, device) / SIDE**2)


def _work(trial: Trial, device: Any, bf16: bool) -> tuple[Callable[[], None], Callable[[], None]]:
    """A training step and the restoring of an image, both ready to be called."""
    import torch

    from noiseless import networks, tables
    from noiseless.finetuning.config import GROUP, METHODS, default_config
    from noiseless.training.objectives import apply

    network = networks.create(trial.network, **trial.arguments)
    if trial.method:
        prepare = tables.load("method", trial.method, METHODS, GROUP)
        network = prepare(network, default_config(trial.method).method)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    channels: int = network.spec.channels
    optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad])
    sigma = torch.full((1, 1, 1, 1), 0.1, device=device)

    def pictures(count: int, side: int) -> torch.Tensor:
        return torch.rand(count, channels, side, side, device=device).to(memory_format=torch.channels_last)

    patches, image = pictures(trial.batch_size, trial.patch_size), pictures(1, SIDE)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = (apply(network, patches, sigma).float() - patches).abs().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def restore() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            apply(network, image, sigma)

    return step, restore


def _median_seconds(work: Callable[[], None], device: Any) -> float:
    """Of several calls within `SECONDS`, the first not counted."""
    import torch

    times: list[float] = []
    began = time.perf_counter()
    while len(times) <= FEWEST_STEPS or time.perf_counter() - began < SECONDS / 2:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    print(json.dumps(asdict(measure_here(Trial(**json.load(sys.stdin))))))
