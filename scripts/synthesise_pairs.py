"""Make a store of noisy / clean patches ahead, for noise that costs as much to make as a training step.

    python scripts/synthesise_pairs.py STORE_OR_FOLDER... --noise camera --patch 128 --count 24000 -o PAIRS

Sources are packed stores, folders and files of clean images. An interrupted run goes on when it is started again;
the same arguments make the same store. Train on it with: noiseless train --data PAIRS.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noiseless.data.gather import View, gather
from noiseless.data.synthesis import synthesise
from noiseless.noise import parse


class Views(Sequence[np.ndarray]):
    """The pixels of images that were found, read when they are asked for; a packed store's are memory-mapped."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return self.views[index].read()


def main() -> None:
    """Parse, make, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", help="Packed stores, folders, files, globs of clean images.")
    parser.add_argument("--noise", default="camera", help="A noise expression.")
    parser.add_argument("--patch", type=int, default=128, help="Side of the patches in pixels.")
    parser.add_argument("--count", type=int, default=24000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    images = Views(gather(arguments.sources))
    synthesise(
        images,
        parse(arguments.noise),
        arguments.count,
        arguments.patch,
        arguments.seed,
        arguments.output,
        provenance={"images": sorted({view.name for view in images.views})},
        workers=arguments.workers,
        progress=lambda done, count: print(f"{done} of {count}", flush=True) if done % 2000 == 0 else None,
    )
    print(f"{arguments.count} pairs in {arguments.output}")


if __name__ == "__main__":
    main()
