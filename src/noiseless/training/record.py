"""The record of a run: what its bundles say of how they were made."""

from __future__ import annotations

import math
import platform
import subprocess
from typing import Any

import numpy as np
import torch

from noiseless._version import __version__
from noiseless.data.synthesis import is_pair_store, origin_of
from noiseless.noise import parse
from noiseless.training.config import MEASURED, RunConfig, to_mapping
from noiseless.training.images import TrainingImages
from noiseless.training.known import KnownNoise
from noiseless.training.start import bundle_of_start
from noiseless.training.state import Run


def describe(
    config: RunConfig,
    run: Run,
    images: TrainingImages,
    curve: list[dict[str, float]],
    noise: KnownNoise | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """What a bundle says of the run that made it: the arguments of `BundleWriter.write`.

    Args:
        config: the resolved configuration.
        run: where it stands.
        images: what it learned from.
        curve: step, PSNR and SSIM of each validation.
        noise: of the noisy images, where it was measured.
        label: that is told of them and is no noise of theirs, as of `noiseless.training.adaptation.Adaptation`.
    """
    record = {
        "recipe": to_mapping(config),
        "seed": config.seed,
        "versions": versions(),
        "commit": git_commit(),
        "data": _data(config, images),
        "steps": run.progress.step,
        "seconds": round(run.progress.seconds, 1),
        "best_psnr": run.progress.best if math.isfinite(run.progress.best) else None,
        "curve": curve,
    }
    told = None if config.told in ("auto", MEASURED) else config.told
    spec = config.noise or (None if noise or told == label else told)
    known = parse(spec) if spec else noise.noise if noise else None
    return {
        "name": config.name,
        "network_name": config.network,
        "arguments": dict(config.arguments),
        "noise": known and known.to_dict(),
        "told": told,
        "unclips": _shows_what_clipping_hid(config, images),
        "ceiling": _ceiling(config, images),
        "card": _card(config, run, images, noise),
        "train": record,
    }


def _data(config: RunConfig, images: TrainingImages) -> dict[str, Any]:
    """The images with their hashes, how many stand under each licence, and how pairs were made that were made ahead."""
    names = [f"{entry.path} {entry.sha256[:16]}" for entry in images.manifest.entries]
    data: dict[str, Any] = {"images": names, "licences": images.manifest.licences()}
    made = config.data.data if config.data.data and is_pair_store(config.data.data) else None
    return data | ({"pairs": origin_of(made)} if made else {})


def _shows_what_clipping_hid(config: RunConfig, images: TrainingImages) -> bool:
    """Whether a run has clean targets of noise that never leaves the values there are, so that it learns to undo that.

    Noisy images alone do not show it: their mean is that of clipped noise.
    """
    if "clean" not in images.train:
        return False
    if len(images.train) > 1:  # pairs, as cameras and files clip them
        return True
    noise = parse(config.noise)
    black = np.zeros((noise.channels or 1, 16, 16), np.float32)
    return bool(noise.sample(black, np.random.default_rng(0)).min() >= 0)


def _ceiling(config: RunConfig, images: TrainingImages) -> float | None:
    """That of the model a run starts from: without clean images nothing shows whether its weights still need it."""
    source = None if images.referenced else bundle_of_start(config)
    return source.ceiling if source else None


def _card(config: RunConfig, run: Run, images: TrainingImages, measured: KnownNoise | None) -> str:
    found = f"{measured.noise.spec}, measured" if measured else "that of the pairs"
    found += f", {config.told}" if config.told not in ("auto", MEASURED) else ""
    noise, minutes = config.noise or found, run.progress.seconds / 60
    beside = f" and {len(images.unpaired)} without a clean side" if images.unpaired else ""
    estimated = "" if images.referenced else "; estimated from noisy images alone"
    best, how = run.progress.best, f"mean over images, float input, result clipped to [0, 1]{estimated}"
    reached = f"{best:.2f} dB ({how})" if math.isfinite(best) else "not measured yet"
    return f"""# {config.name}

A `{config.network}` denoiser, trained with noiseless {__version__}.

- Noise: {noise}
- Data: {len(images.images)} training images{beside}, {len(next(iter(images.validation.values())))} validation images
- Recipe: {config.objective} objective, {config.loss} loss, {run.progress.step:,} steps in {minutes:.0f} minutes
- Best validation PSNR: {reached}

`train.json` holds the resolved recipe, the versions, the data and the training curve.
"""


def versions() -> dict[str, str]:
    """Versions of noiseless, Python, PyTorch and NumPy, and the machine."""
    return {
        "noiseless": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


def git_commit() -> str | None:
    """The commit of the working folder, where it is a git checkout."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
