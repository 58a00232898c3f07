"""The row "CAREamics Noise2Void" of `self_supervised.py`: it learns on the noisy crops of each column, where they lie.

It runs in an environment of its own, with CAREamics and without noiseless. CAREamics 0.3.5 asks for torchvision of at
most 0.26, which asks for torch 2.11. With a later torch, `pip install --no-deps careamics` and its other requirements
do: of torchvision it uses the version, and a function of its variational networks, so that names stand in for it here.

Defaults are those of CAREamics: a U-Net from random weights, patches of 64 pixels, 8 at a time, channels on their own.
All crops are learned from, again and again within an epoch, since an epoch of six small images would be two steps; the
last is looked at in validation too. Learning ends when the processor time is spent, validation included.

Run: ENVIRONMENT/bin/python benchmarks/careamics_noise2void.py CELLS/0.33min-6x128 --minutes-per-cell 0.33
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torchmetrics  # noqa: F401  # looks for torchvision too: before there is something in its place

SIDE, BATCH, MULTIPLE = 64, 8, 4
STEPS = 50
"""Of an epoch, at least."""


class Budget(lightning.Callback):
    """Ends learning when so many processor seconds are spent."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began, self.spent = seconds, 0.0, 0.0

    def on_fit_start(self, trainer: Any, _module: Any) -> None:
        """The clock starts."""
        self.began = time.process_time()

    def on_train_batch_end(self, trainer: Any, *_others: Any) -> None:
        """After each step."""
        self.spent = time.process_time() - self.began
        trainer.should_stop = trainer.should_stop or self.spent >= self.seconds


def stand_in() -> None:
    """Names for what CAREamics looks up in torchvision while it is imported."""
    if importlib.util.find_spec("torchvision"):
        return
    modules = {name: types.ModuleType(name) for name in ("torchvision", "torchvision.transforms")}
    modules["torchvision"].__version__ = "none"  # type: ignore[attr-defined]
    modules["torchvision.transforms.functional"] = types.ModuleType("torchvision.transforms.functional")
    modules["torchvision.transforms"].functional = modules["torchvision.transforms.functional"]  # type: ignore[attr-defined]
    sys.modules.update(modules)


def restored(noisy: list[np.ndarray], seconds: float) -> tuple[list[np.ndarray], int, float]:
    """What a network that learned on these images makes of them, the steps, and the processor seconds.

    Args:
        noisy: (C, H, W) each.
        seconds: of learning.
    """
    from careamics import CAREamist
    from careamics.config.factories import create_n2v_config

    channels, repeated = len(noisy[0]), 1 + STEPS * BATCH * SIDE**2 // sum(image[0].size for image in noisy)
    colour = channels > 1
    more = [[(0, 0), *((0, -length % MULTIPLE) for length in image.shape[1:])] for image in noisy]
    padded = [np.pad(image, width, "reflect") for image, width in zip(noisy, more, strict=True)]
    images = padded if colour else [image[0] for image in padded]
    config = create_n2v_config(
        experiment_name="noise2void",
        data_type="array",
        axes="CYX" if colour else "YX",
        patch_size=(SIDE, SIDE),
        batch_size=BATCH,
        num_epochs=10_000,
        n_channels=channels if colour else None,
    )
    budget = Budget(seconds)
    with tempfile.TemporaryDirectory() as folder:
        careamist = CAREamist(config, work_dir=folder, callbacks=[budget], enable_progress_bar=False)
        careamist.train(train_data=images * repeated, val_data=images[-1:])
        found, _ = careamist.predict(images, batch_size=1, tile_overlap=None)
        steps = careamist.trainer.fit_loop.total_batch_idx + 1
    whole = [np.asarray(each, np.float32).reshape(image.shape) for each, image in zip(found, padded, strict=True)]
    cut = [each[:, : image.shape[1], : image.shape[2]] for each, image in zip(whole, noisy, strict=True)]
    return cut, steps, budget.spent


def main() -> None:
    """Fill what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path, help="folder of the columns")
    parser.add_argument("--minutes-per-cell", type=float, default=2.0, help="processor minutes of learning for each")
    options = parser.parse_args()
    stand_in()
    for arrays in sorted(options.cells.glob("*/noisy-arrays")):
        target = arrays.parent / "careamics"
        if target.is_dir():
            continue
        paths = sorted(arrays.glob("*.npy"))
        images, steps, spent = restored([np.load(path) for path in paths], 60 * options.minutes_per_cell)
        target.mkdir()
        for path, image in zip(paths, images, strict=True):
            np.save(target / path.name, image)
        print(f"{arrays.parent.name}: {steps} steps in {spent:.0f} processor seconds", flush=True)


if __name__ == "__main__":
    main()
