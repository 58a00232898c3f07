"""Adapt a shipped model to other noise with LoRA; then apply it whole, half and not at all.

Run: python examples/finetune_with_lora.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import noiseless
from noiseless.data import samples
from noiseless.finetuning import default_config, load_adapter
from noiseless.metrics import psnr
from noiseless.training.config import DataConfig

NOISE = "correlated:sigma=0.08,length=1"
"""Blotchy grain, as of smoothed or scanned pictures; `color-small` has only ever seen white noise."""


def adapt(output: Path, steps: int = 150, batch_size: int = 8, validation_size: int = 256) -> noiseless.Denoiser:
    """Fine-tune with the settings that suit LoRA."""
    config = default_config("lora")
    config = replace(
        config,
        noise=NOISE,
        steps=steps,
        data=DataConfig(clean=_paths("train"), validation=_paths("validation")),
        training=replace(config.training, batch_size=batch_size, validation_size=validation_size),
    )
    return noiseless.finetune("color-small", config, output)


def compare(run: Path, size: int = 192) -> dict[float, float]:
    """PSNR in dB with the adapter at several strengths; 0 gives the model back as it was."""
    clean = noiseless.read(samples("test")[2]).planes()[0][:, :size, :size]
    noise = noiseless.noise.parse(NOISE)
    noisy = noise.sample(clean, np.random.default_rng(0))
    told = {"noise": noise, "channel_axis": 0, "data_range": 1.0}
    return {strength: psnr(load_adapter(run, strength=strength)(noisy, **told), clean) for strength in (0.0, 0.5, 1.0)}


def _paths(side: str) -> tuple[str, ...]:
    return tuple(map(str, samples(side)))


if __name__ == "__main__":
    adapt(Path("runs/example-lora"))
    for strength, value in compare(Path("runs/example-lora")).items():
        print(f"adapter at {strength:.0%}: {value:.2f} dB")
