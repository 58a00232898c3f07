"""How many steps a second `noiseless.train` makes, against the same network in a bare PyTorch loop.

The bare loop has its batches in memory already and does nothing but forward, loss, backward and optimiser step, in the
same precision and memory layout. The training makes its patches and noise, clips gradients, averages the weights,
logs and checkpoints. Both take turns in one run; the goal is at least 0.95 of the bare loop.

Run: python benchmarks/training_throughput.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from noiseless import networks
from noiseless.data import samples
from noiseless.training.config import DataConfig, RunConfig, TrainingConfig
from noiseless.training.loop import Status
from noiseless.training.precision import faster_precision
from noiseless.training.run import Listener, train


@dataclass
class Stopwatch:
    """Notes when a run reports its steps."""

    seen: list[tuple[int, float]] = field(default_factory=list)

    def status(self, status: Status) -> None:
        """Note a step and the time."""
        self.seen.append((status.step, time.perf_counter()))

    def rate(self) -> float:
        """Steps a second between the first report and the last; the first steps warm up."""
        (first, start), (last, end) = self.seen[0], self.seen[-1]
        return (last - first) / (end - start)


def run_config(options: argparse.Namespace, precision: str) -> RunConfig:
    """A run on the shipped photographs."""
    paths = DataConfig(clean=tuple(map(str, samples("train"))), validation=tuple(map(str, samples("validation"))))
    training = TrainingConfig(
        batch_size=options.batch_size,
        patch_size=options.patch_size,
        precision="bf16" if precision == "bf16" else "float32",
        validations=1,
        validation_size=64,
    )
    return RunConfig(
        network=options.network, noise="gaussian:0-55", loss="l1", steps=options.steps, data=paths, training=training
    )


def noiseless_rate(config: RunConfig) -> float:
    """Steps a second of `noiseless.train`."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", listener=Listener(status=watch.status))
    return watch.rate()


def bare_rate(config: RunConfig) -> float:
    """Steps a second of a bare loop."""
    training = config.training
    network = networks.create(config.network, **config.arguments).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.lr)
    shape = (training.batch_size, network.spec.channels, training.patch_size, training.patch_size)  # type: ignore[union-attr]
    batches = [torch.rand(shape).contiguous(memory_format=torch.channels_last) for _ in range(8)]
    inputs = (torch.full((training.batch_size, 1, 1, 1), 0.1),) if network.spec.conditioning == "sigma" else ()  # type: ignore[union-attr]
    warm_up = config.steps // 10 if config.steps else 0
    start = time.perf_counter()
    for step in range(config.steps or 0):
        if step == warm_up:
            start = time.perf_counter()
        clean = batches[step % len(batches)]
        noisy = batches[(step + 1) % len(batches)]
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bf16"):
            restored = network(noisy, *inputs)
        loss = torch.nn.functional.l1_loss(restored.float(), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return ((config.steps or 0) - warm_up) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="unet_small")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100, help="of each loop in a turn")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    config = run_config(options, faster_precision(torch.device("cpu")))
    ours, bare = [], []
    for _ in range(options.turns):
        bare.append(bare_rate(config))
        ours.append(noiseless_rate(config))
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    size = f"{options.batch_size} patches of {options.patch_size}x{options.patch_size}, {config.training.precision}"
    print(
        f"{options.network}, {size}, {torch.get_num_threads()} threads, {options.turns} turns of {options.steps} steps"
    )
    print(f"bare PyTorch loop   {statistics.median(bare):6.2f} steps a second")
    print(f"noiseless.train     {statistics.median(ours):6.2f} steps a second")
    print(f"ratio               {statistics.median(ratios):6.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
