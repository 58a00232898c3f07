"""Does a reference of the images that `noiseless select` lists teach a model more than one of images drawn at random?

A folder as a camera over a conveyor belt leaves it: most images are frames of a few scenes, nearly alike, with
slightly correlated noise; a few show other things with noise of other kinds, one of which the model knows.
The references of `-k` images are bought, once as `noiseless select` lists them and several times at random; the model
is fine-tuned on those pairs as `noiseless finetune` does by default, all runs with the same steps and seed; and each
result is measured on photographs that are not in the folder, with the same kinds of noise in the same proportions.
Everything is dealt again for each repetition. The photographs are real, the noise is made.

A choice that nobody can make without knowing the kinds, *one of each* that the model does not know, says how much there
is to win.

Run: python benchmarks/selection.py FOLDER [--repetitions 4] [--draws 5]     about ten seconds of one core for a choice
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

import noiseless
from noiseless.bundle import WEIGHTS
from noiseless.data import NoisyImages
from noiseless.data.store import write_store
from noiseless.denoiser import find
from noiseless.errors import NoiselessError
from noiseless.evaluation.report import text_table
from noiseless.finetuning import default_config
from noiseless.finetuning.run import run_finetuning
from noiseless.metrics import psnr
from noiseless.noise import parse
from noiseless.training.config import DataConfig
from noiseless.workflows.select import select

USUAL = "usual"
KINDS = {
    USUAL: ("correlated:sigma=0.06,length=0.7", 42),
    "strong": ("gaussian:50", 3),
    "stripes": ("gaussian:10+stripes:sigma=0.05,axis=rows", 3),
    "lost pixels": ("gaussian:10+salt-and-pepper:amount=0.02", 3),
    "coarse": ("correlated:sigma=0.1,length=1.2", 3),
    "speckle": ("speckle:looks=10", 3),
    "compressed": ("gaussian:15+jpeg:40", 3),
}
"""What the noise is, and in how many images of the folder."""

KNOWN = "strong"
"""What the shipped models were made for."""

SCENES, MOVED = 6, 8
"""The usual images are frames of so many scenes, each moved by up to so many pixels."""

MEANS = ("kinds alike", "as frequent")
"""Of all kinds; the second weighed by how often a kind is in the folder."""

CHOICES = ("nothing", "listed", "one of each")
"""That the random ones are shown beside."""

MEASURED = 8
"""Images of each kind that are measured on."""

SIDE = 192
Pair = tuple[np.ndarray, np.ndarray]
"""Noisy and clean, (1, SIDE, SIDE) in [0, 1] units."""


@dataclass(frozen=True)
class Folder:
    """What is dealt for a repetition.

    Attributes:
        kinds: of each image.
        pairs: the images, with the references that can be bought.
        spare: a pair for the curve of the run, which decides nothing.
        test: of each kind, to measure on.
    """

    kinds: tuple[str, ...]
    pairs: tuple[Pair, ...]
    spare: Pair
    test: dict[str, list[Pair]]


def photographs(folder: Path, half: str) -> list[np.ndarray]:
    """Grey photographs, (1, H, W) in [0, 1] units: every other one, so that rules are not made on those reported."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".webp", ".png", ".jpg"))
    chosen = paths[{"report": 1, "develop": 0}[half] :: 2]
    return [noiseless.read(path).planes()[0].mean(axis=0, keepdims=True, dtype=np.float32) for path in chosen]


def deal(photos: list[np.ndarray], repetition: int) -> Folder:
    """Another folder and another test for each repetition."""
    generator = np.random.default_rng([15, repetition])
    order = iter(generator.permutation(len(photos)).tolist())

    def noisy(clean: np.ndarray, kind: str) -> Pair:
        """Clipped and in 8 bits, as a file would hold it."""
        values = parse(KINDS[kind][0]).sample(clean, generator).clip(0, 1)
        return np.rint(255 * values).astype(np.float32) / 255, clean

    scenes = [photos[next(order)] for _ in range(SCENES)]
    kinds = [kind for kind, (_, count) in KINDS.items() for _ in range(count)]
    pairs = []
    for number, kind in enumerate(kinds):
        if kind == USUAL:
            down, across = generator.integers(-MOVED, MOVED + 1, 2)
            pairs.append(noisy(_crop(scenes[number % SCENES], int(down), int(across)), kind))
        else:
            pairs.append(noisy(_crop(photos[next(order)]), kind))
    spare = noisy(_crop(photos[next(order)]), USUAL)
    test = {kind: [noisy(_crop(photos[next(order)]), kind) for _ in range(MEASURED)] for kind in KINDS}
    return Folder(tuple(kinds), tuple(pairs), spare, test)


def _crop(photo: np.ndarray, down: int = 0, across: int = 0) -> np.ndarray:
    top, left = ((side - SIDE) // 2 for side in photo.shape[1:])
    return photo[:, top + down : top + down + SIDE, left + across : left + across + SIDE]


class Cells:
    """What a model gives that was fine-tuned on a choice; kept in a file, for a run that was broken off.

    Args:
        model: that is fine-tuned.
        steps: of each run.
        kept: the file, if any.
    """

    def __init__(self, model: str, steps: int, kept: Path | None) -> None:
        self.model, self.steps, self.kept = model, steps, kept
        self.weights = (find(model) / WEIGHTS).read_bytes()
        self.known: dict[str, list[float]] = json.loads(kept.read_text()) if kept and kept.exists() else {}

    def __call__(self, folder: Folder, chosen: Sequence[int]) -> list[float]:
        """PSNR of each kind of noise, after learning from these images; before, where there are none."""
        chosen = sorted(chosen)
        key = self._key(folder, chosen)
        if key not in self.known:
            self.known[key] = measured(self._learnt(folder, chosen), folder)
            if self.kept:
                self.kept.write_text(json.dumps(self.known, indent=1) + "\n")
        return self.known[key]

    def _key(self, folder: Folder, chosen: Sequence[int]) -> str:
        images = [*(folder.pairs[number] for number in chosen), *chain(*folder.test.values())]
        content = b"".join(image.tobytes() for pair in images for image in pair)
        return hashlib.sha256(self.weights + content + f"{self.steps} {chosen}".encode()).hexdigest()[:16]

    def _learnt(self, folder: Folder, chosen: Sequence[int]) -> noiseless.Denoiser:
        if not chosen:
            return noiseless.load(self.model)
        with tempfile.TemporaryDirectory() as name:
            where = Path(name)
            pairs = [folder.pairs[number] for number in chosen]
            config = default_config()
            config = replace(
                config,
                data=DataConfig(
                    pairs=_stored(where / "learn", pairs), validation=_stored(where / "see", [folder.spare])
                ),
                steps=self.steps,
                training=replace(config.training, validations=1),
            )
            run_finetuning(self.model, config, where / "run")
            return noiseless.load(where / "run" / "last")


def _stored(where: Path, pairs: Sequence[Pair]) -> tuple[str, str]:
    """Two packed stores, of the noisy images and of the clean ones."""
    for side, at in (("noisy", 0), ("clean", 1)):
        write_store(where / side, ((f"{number:03}", pair[at], {}) for number, pair in enumerate(pairs)))
    return str(where / "noisy"), str(where / "clean")


def measured(denoiser: noiseless.Denoiser, folder: Folder) -> list[float]:
    """Mean PSNR of each kind of noise, on the photographs that are not in the folder."""
    return [float(np.mean(_psnrs(denoiser, pairs))) for pairs in folder.test.values()]


def _psnrs(denoiser: noiseless.Denoiser, pairs: Sequence[Pair]) -> list[float]:
    return [psnr(denoiser(noisy, channel_axis=0).clip(0, 1), clean) for noisy, clean in pairs]


def listed(denoiser: noiseless.Denoiser, folder: Folder, count: int) -> list[int]:
    """What `noiseless select` lists, as numbers."""
    with tempfile.TemporaryDirectory() as name:
        noisy, _ = _stored(Path(name), folder.pairs)
        views = [item.views[0] for item in NoisyImages.find(noisy).items]
        return [int(each.candidate.name.rpartition("/")[2]) for each in select(views, denoiser, count).chosen]


def one_of_each(folder: Folder, count: int) -> list[int]:
    """Images of the kinds in turn, without the one that the model knows."""
    of_kinds = [[n for n, each in enumerate(folder.kinds) if each == kind] for kind in KINDS if kind != KNOWN]
    return [number for turn in zip(*of_kinds, strict=False) for number in turn][:count]


def drawn(folder: Folder, count: int, repetition: int, draw: int) -> list[int]:
    """A random choice."""
    generator = np.random.default_rng([16, repetition, draw])
    return [int(number) for number in generator.choice(len(folder.pairs), count, replace=False)]


def with_means(of_kinds: Sequence[float]) -> list[float]:
    """And their mean, and the mean weighed by how often a kind is in the folder."""
    counts = [count for _, count in KINDS.values()]
    return [*of_kinds, float(np.mean(of_kinds)), float(np.average(of_kinds, weights=counts))]


def main() -> None:
    """Choose, learn, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="clean photographs, lossless, 512 pixels or more")
    parser.add_argument("--model", default="gray-nano")
    parser.add_argument("-k", type=int, default=6, help="references that are bought")
    parser.add_argument("--repetitions", type=int, default=4)
    parser.add_argument("--draws", type=int, default=5, help="random choices to compare with, in each repetition")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--half", choices=("report", "develop"), default="report", help="of the photographs")
    parser.add_argument("--cache", type=Path, help="file to keep what was measured in")
    options = parser.parse_args()
    photos = photographs(options.folder, options.half)
    denoiser, cells = noiseless.load(options.model), Cells(options.model, options.steps, options.cache)
    results: list[dict[str, list[float]]] = []
    for repetition in range(options.repetitions):
        folder = deal(photos, repetition)
        choices = {
            "nothing": [],
            "listed": listed(denoiser, folder, options.k),
            "one of each": one_of_each(folder, options.k),
            **{f"random {n + 1}": drawn(folder, options.k, repetition, n) for n in range(options.draws)},
        }
        results.append({})
        for name, chosen in choices.items():
            results[-1][name] = with_means(cells(folder, chosen))
            print(f"{repetition + 1}, {name}:", ", ".join(folder.kinds[number] for number in chosen), flush=True)
    show(results)


def show(results: list[dict[str, list[float]]]) -> None:
    """The means over the repetitions, and each repetition by itself."""
    by_name = {name: np.mean([each[name] for each in results], axis=0) for name in CHOICES}
    rows = [["PSNR, dB", *KINDS, *MEANS], *([name, *_two_digits(row)] for name, row in by_name.items())]
    draws = np.array([[row for name, row in each.items() if name.startswith("random")] for each in results])
    rows.append(["random, mean", *_two_digits(draws.mean(axis=(0, 1)))])
    rows.append(["random, standard deviation", *_two_digits(draws.std(axis=1, ddof=1).mean(axis=0))])
    print("\n".join([*text_table(rows), ""]))
    for at, how in enumerate(MEANS, len(KINDS)):
        rows = [[how, "listed", "random, mean", "standard deviation", "best", "of which the list beats"]]
        for number, (each, of_draws) in enumerate(zip(results, draws[:, :, at], strict=True), 1):
            ours = each["listed"][at]
            numbers = _two_digits([ours, of_draws.mean(), of_draws.std(ddof=1), of_draws.max()])
            rows.append([f"repetition {number}", *numbers, f"{(ours > of_draws).sum()} of {len(of_draws)}"])
        ahead = [each["listed"][at] - of_draws.mean() for each, of_draws in zip(results, draws[:, :, at], strict=True)]
        error = np.std(ahead, ddof=1) / len(ahead) ** 0.5
        print("\n".join(text_table(rows)), f"\nahead by {np.mean(ahead):.2f} dB, standard error {error:.2f}\n")


def _two_digits(numbers: Iterable[float]) -> list[str]:
    return [f"{number:.2f}" for number in numbers]


if __name__ == "__main__":
    try:
        main()
    except NoiselessError as error:
        raise SystemExit(str(error)) from error
