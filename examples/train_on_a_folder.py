"""Train a small network from scratch on a folder of photographs, and print how it goes.

Run: python examples/train_on_a_folder.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import noiseless
from noiseless.data import samples
from noiseless.training.config import DataConfig, TrainingConfig
from noiseless.training.run import Listener


def train(photographs: list[Path], output: Path, steps: int = 500, patch_size: int = 64) -> noiseless.Denoiser:
    """Train for any Gaussian noise up to 50; some of the photographs are kept to validate on."""
    config = noiseless.RunConfig(
        network="unet_nano",
        noise="gaussian:0-50",
        loss="l1",
        steps=steps,
        data=DataConfig(clean=tuple(map(str, photographs))),
        training=TrainingConfig(batch_size=8, patch_size=patch_size, lr=2e-3, ema=0.99, validations=5),
    )
    watch = Listener(
        say=print,
        scored=lambda status, scores: print(f"step {status.step}: {scores.noisy_psnr:.2f} -> {scores.psnr:.2f} dB"),
    )
    return noiseless.train(config, output, listener=watch)


if __name__ == "__main__":
    folder = [Path(sys.argv[1])] if len(sys.argv) > 1 else samples("train")
    denoiser = train(folder, Path("runs/example"))
    print(denoiser)
