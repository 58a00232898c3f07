"""Does a reference of the images that `noiseless select` lists teach a model more than one of images drawn at random?

A folder as a microscope or a line of inspection leaves it: most images have white noise that the model knows, some have
stripes, lost pixels or correlated noise. The references of a few are bought, once as `noiseless select` lists them and
several times at random; the model is fine-tuned on those pairs, all runs with the same steps and reminded of what it
could do (`--keep replay`), and each result is measured on other photographs with the same kinds of noise. The
photographs are real, the noise is made.

Run: python benchmarks/selection.py FOLDER [-k 6] [--draws 4] [--steps 120]     about five minutes of one core
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import noiseless
from noiseless.data import NoisyImages
from noiseless.data.store import PackedStore, write_store
from noiseless.errors import NoiselessError
from noiseless.evaluation.report import text_table
from noiseless.finetuning import KeepConfig, default_config
from noiseless.finetuning.run import run_finetuning
from noiseless.metrics import psnr
from noiseless.noise import parse
from noiseless.training.config import DataConfig
from noiseless.workflows.select import select

KINDS = {
    "white": ("gaussian:15", 27),
    "stripes": ("gaussian:10+stripes:sigma=0.05,axis=rows", 3),
    "lost pixels": ("gaussian:10+salt-and-pepper:amount=0.04", 3),
    "correlated": ("correlated:sigma=0.06,length=1.5", 3),
}
"""What the noise is, and in how many images of the folder."""

MEASURED = 16
"""Images of each kind that are measured on."""

SIDE = 192


def crops(folder: Path, count: int) -> list[np.ndarray]:
    """Grey middles of as many photographs, spread over a folder: (1, SIDE, SIDE) in [0, 1] units."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".webp", ".png", ".jpg"))
    if len(paths) < count:
        raise SystemExit(f"{folder} holds {len(paths)} photographs; {count} are needed")
    found = []
    for number in np.linspace(0, len(paths) - 1, count).round().astype(int):
        image = noiseless.read(paths[number]).planes()[0].mean(axis=0, keepdims=True)
        top, left = ((side - SIDE) // 2 for side in image.shape[1:])
        found.append(image[:, top : top + SIDE, left : left + SIDE].astype(np.float32))
    return found


def noisy_of(clean: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """With noise of a kind, clipped and in 8 bits, as a file would hold it."""
    noisy = parse(KINDS[kind][0]).sample(clean, np.random.default_rng(seed)).clip(0, 1)
    return np.rint(255 * noisy).astype(np.float32) / 255


def learn(options: argparse.Namespace, chosen: list[int], folder: Path, where: Path) -> noiseless.Denoiser:
    """The model, fine-tuned on the pairs with these numbers; what it is at the end."""
    for side in ("noisy", "clean"):
        store = PackedStore(folder / side)
        write_store(where / side, ((f"{number:03}", np.array(store[number]), {}) for number in chosen))
    config = default_config("full")
    pairs, others = ((str(place / "noisy"), str(place / "clean")) for place in (where, folder / "validation"))
    config = replace(
        config,
        data=DataConfig(pairs=pairs, validation=others),  # so that none of the few is kept from learning
        steps=options.steps,
        keep=KeepConfig(options.keep),
        training=replace(config.training, validations=2),
    )
    run_finetuning(options.model, config, where / "run")
    return noiseless.load(where / "run" / "last")


def gains(denoiser: noiseless.Denoiser, test: dict[str, list[tuple[np.ndarray, np.ndarray]]]) -> dict[str, float]:
    """PSNR of each kind, their mean, and the mean weighed by how often a kind is in the folder."""
    found = {}
    for kind, pairs in test.items():
        restored = [(denoiser(noisy, channel_axis=0).clip(0, 1), clean) for noisy, clean in pairs]
        found[kind] = float(np.mean([psnr(one, clean) for one, clean in restored]))
    weights = [count for _, count in KINDS.values()]
    of_kinds = list(found.values())
    return found | {
        "kinds alike": float(np.mean(of_kinds)),
        "as frequent": float(np.average(of_kinds, weights=weights)),
    }


def main() -> None:
    """Choose, learn, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="clean photographs, lossless")
    parser.add_argument("--model", default="gray-small")
    parser.add_argument("-k", type=int, default=6, help="references that are bought")
    parser.add_argument("--draws", type=int, default=4, help="random choices to compare with")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--keep", default="replay", help="how it is held to what it could do: replay, or none")
    options = parser.parse_args()
    labels = [kind for kind, (_, count) in KINDS.items() for _ in range(count)]
    total = len(labels)
    photographs = crops(options.folder, total + 2 + MEASURED * len(KINDS))
    order = np.random.default_rng(0).permutation(len(photographs))
    pool, rest = [photographs[i] for i in order[:total]], [photographs[i] for i in order[total + 2 :]]
    spare = [photographs[i] for i in order[total : total + 2]]
    test = {
        kind: [(noisy_of(clean, kind, 1000 + n), clean) for n, clean in enumerate(rest[at :: len(KINDS)])]
        for at, kind in enumerate(KINDS)
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noisy = [noisy_of(clean, kind, number) for number, (clean, kind) in enumerate(zip(pool, labels, strict=True))]
        beside = [noisy_of(clean, "white", 900 + number) for number, clean in enumerate(spare)]
        sides = {"noisy": noisy, "clean": pool, "validation/noisy": beside, "validation/clean": spare}
        for side, images in sides.items():
            write_store(folder / side, ((f"{number:03}", image, {}) for number, image in enumerate(images)))
        before = noiseless.load(options.model)
        views = [item.views[0] for item in NoisyImages.find(folder / "noisy").items]
        listed = [int(each.candidate.name) for each in select(views, before, options.k).chosen]
        print("listed:", ", ".join(labels[number] for number in listed), flush=True)
        measured = {"before": gains(before, test)}
        measured["listed"] = gains(learn(options, listed, folder, folder / "listed"), test)
        for draw in range(options.draws):
            drawn = np.random.default_rng([1, draw]).choice(total, options.k, replace=False).tolist()
            print(f"random {draw + 1}:", ", ".join(labels[number] for number in drawn), flush=True)
            made = learn(options, drawn, folder, folder / f"random-{draw}")
            measured[f"random {draw + 1}"] = gains(made, test)
    show(measured)


def show(measured: dict[str, dict[str, float]]) -> None:
    """The table, and the mean and spread of the random choices."""
    kinds = list(measured["before"])
    rows = [["PSNR, dB", *kinds]]
    rows += [[name, *(f"{row[kind]:.2f}" for kind in kinds)] for name, row in measured.items()]
    random = [row for name, row in measured.items() if name.startswith("random")]
    for what, of in (("random, mean", np.mean), ("random, standard deviation", np.std)):
        rows.append([what, *(f"{of([row[kind] for row in random]):.2f}" for kind in kinds)])
    print("\n".join(text_table(rows)))
    for how in ("kinds alike", "as frequent"):
        better = sum(measured["listed"][how] > row[how] for row in random)
        print(f"{how}: the listed images teach more than {better} of {len(random)} random choices")


if __name__ == "__main__":
    try:
        main()
    except NoiselessError as error:
        raise SystemExit(str(error)) from error
