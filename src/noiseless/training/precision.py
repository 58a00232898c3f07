"""Which precision trains faster on this machine: measured once, then remembered.

The same kind of processor trains plain convolutions in bf16 between 0.3 and 4 times as fast as in float32, so the
choice is a measurement. It is kept in a file of the user's cache, since a run that is resumed, and a run that is to be
compared with another, must not choose anew.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from noiseless.runtime.machine import processor_name
from noiseless.runtime.remembered import recall, remember
from noiseless.training.config import Precision

MEMORY = "precision.json"

CLEAR_GAIN = 1.15
"""bf16 must be this many times as fast to be chosen, since it rounds."""


def faster_precision(device: torch.device) -> Precision:
    """``"bf16"`` or ``"float32"``: what a training step of plain convolutions is faster in.

    Args:
        device: where the training will run; on CUDA, bf16 wherever the device has it.
    """
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type != "cpu":
        return "float32"
    key = f"{processor_name()} torch {torch.__version__} threads {torch.get_num_threads()}"
    known = recall(MEMORY).get(key)
    if known is None:
        gain = _step_seconds(bf16=False) / _step_seconds(bf16=True)
        known = "bf16" if gain > CLEAR_GAIN else "float32"
        remember(MEMORY, key, known)
    return "bf16" if known == "bf16" else "float32"


def _step_seconds(*, bf16: bool) -> float:
    layers = (nn.Conv2d(64, 64, 3, padding=1) for _ in range(4))
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    patches = torch.zeros(8, 64, 48, 48).to(memory_format=torch.channels_last)
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(patches).float().square().mean()
        loss.backward()
        best = min(best, time.perf_counter() - began)
    return best
