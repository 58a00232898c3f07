"""The whole life of a denoiser in minutes, with nothing but what the package ships.

Train one from scratch on a handful of photographs, measure it on others beside the noisy images, a median filter, BM3D
and the shipped model, then clean real noisy photographs with it.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseless.data import samples
from noiseless.denoiser import Denoiser, choose_model, load
from noiseless.errors import OutputError
from noiseless.evaluation import Report, evaluate
from noiseless.evaluation.evaluate import Watch
from noiseless.evaluation.html import write_report
from noiseless.evaluation.models import Model
from noiseless.evaluation.pictures import Pictures
from noiseless.io import read, write
from noiseless.training.config import DataConfig, RunConfig, TrainingConfig
from noiseless.training.run import Outcome, run_training
from noiseless.training.state import Listener

NAME = "trained now"
SIGMA = 25
"""Standard deviation of the noise that is measured with, on the scale of 0 to 255."""


@dataclass(frozen=True)
class Photograph:
    """A real noisy photograph and what became of it.

    Attributes:
        caption: what was done to which.
        noisy: uint8 of shape (H, W) or (H, W, 3).
        restored: of the same shape.
    """

    caption: str
    noisy: np.ndarray
    restored: np.ndarray


def training_config(minutes: float) -> RunConfig:
    """A small colour network that learns within minutes on two cores, for every noise level up to twice `SIGMA`."""
    return RunConfig(
        network="unet_nano",
        noise=f"gaussian:0-{2 * SIGMA}",
        minutes=minutes,
        name=NAME,
        data=DataConfig(clean=_paths("train"), validation=_paths("validation")),
        training=TrainingConfig(lr=2e-3, ema=0.99, validations=8),
    )


def train_anew(folder: Path, minutes: float, listener: Listener) -> Outcome:
    """Train from scratch for some minutes, in place of an earlier demo's run.

    Args:
        folder: of the run.
        minutes: of training.
        listener: told how it goes.

    Raises:
        OutputError: the earlier run cannot be removed.
        NoiselessError: what the training raises.
    """
    try:
        if (folder / "config.toml").exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"cannot replace the earlier run {folder}", got=error.strerror) from error
    return run_training(training_config(minutes), folder, listener=listener)


def shipped() -> Denoiser:
    """The shipped model for colour photographs."""
    return load(choose_model(read(samples("test")[0]), told=True)[0])


def rivals() -> list[str | Model]:
    """What the trained model is measured beside; BM3D where its package is installed."""
    bm3d = ["bm3d"] if importlib.util.find_spec("bm3d") else []
    return ["identity", "median", *bm3d, shipped()]


def compare(trained: Denoiser, watch: Watch) -> Report:
    """Measure the trained model and its rivals on photographs that it has not seen.

    Args:
        trained: the model.
        watch: told each result.
    """
    return evaluate([*rivals(), trained], clean=samples("test"), noise=f"gaussian:{SIGMA}", watch=watch)


def clean_photographs(trained: Denoiser, folder: Path) -> list[Photograph]:
    """Denoise the real noisy photographs and write the results as PNG files.

    Args:
        trained: the model.
        folder: where to write them.

    Returns:
        Each photograph as the shipped model and as the trained one restored it.
    """
    photographs = []
    for path in samples("noisy"):
        noisy = read(path)
        for model, suffix in ((load(choose_model(noisy)[0]), "shipped"), (trained, "trained")):
            restored = model.image(noisy)
            write(folder / f"{path.stem}-{suffix}.png", restored)
            caption = f"A real noisy photograph, {path.stem}: {model.name}"
            photographs.append(Photograph(caption, noisy.array, restored.array))
    return photographs


def write_page(path: Path, report: Report, pictures: Pictures, photographs: list[Photograph], outcome: Outcome) -> None:
    """Write the HTML report of the demo.

    Raises:
        OutputError: the file cannot be written.
    """
    introduction = (
        f"The model {NAME!r} was trained from scratch, in {outcome.seconds / 60:.1f} minutes and {outcome.step:,} "
        f"steps, on {len(samples('train'))} photographs that ship with noiseless. Here it is measured on "
        f"{len(samples('test'))} others, to which noise was added, beside classical methods and the model that ships, "
        "which has learned from more photographs, but not from these. "
        "Then come photographs whose noise is real; nobody knows their clean version, so there are no numbers."
    )
    examples = [(each.caption, each.noisy, each.restored) for each in photographs]
    title = "noiseless: a denoiser from scratch"
    write_report(report, path, pictures=pictures, title=title, introduction=introduction, examples=examples)


def count_measurements() -> int:
    """How often `compare` calls its watch."""
    return len(samples("test")) * (len(rivals()) + 1)


def pictures_and(step: Callable[[str], None]) -> tuple[Pictures, Watch]:
    """Pictures for the report, and a watch that collects them and names each result."""
    pictures = Pictures()

    def watch(name: str, *result: object) -> None:
        pictures.add(name, *result)  # type: ignore[arg-type]
        step(name)

    return pictures, watch


def _paths(kind: str) -> tuple[str, ...]:
    return tuple(str(path) for path in samples(kind))
