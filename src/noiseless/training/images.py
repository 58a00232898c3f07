"""The images of a run: found, split, decoded once into a packed store, ready to be cut into patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseless.data.decode import decode_split
from noiseless.data.manifest import Manifest
from noiseless.data.sources import CleanImages, Pairs, Source
from noiseless.data.split import Split, data_folder, split
from noiseless.data.synthesis import is_pair_store, open_pairs
from noiseless.errors import ConfigError, DataError
from noiseless.training.config import DataConfig

PAIRS_TO_VALIDATE = 128


@dataclass(frozen=True)
class TrainingImages:
    """What a run learns from and is validated on; arrays (C, H, W) of uint8, uint16 or float32, memory-mapped.

    Attributes:
        clean: targets.
        noisy: inputs of the same shapes, or ``None`` where a noise model makes them.
        validation_clean: targets of the validation.
        validation_noisy: inputs of the validation, or ``None``.
        channels: 1 where all images are grey, else 3, or their number of bands.
        manifest: what they are made of.
    """

    clean: Sequence[np.ndarray]
    noisy: Sequence[np.ndarray] | None
    validation_clean: Sequence[np.ndarray]
    validation_noisy: Sequence[np.ndarray] | None
    channels: int
    manifest: Manifest


def open_images(config: DataConfig, folder: Path, say: Callable[[str], None]) -> TrainingImages:
    """Find the images of a run and decode them once into ``store/`` of its folder.

    Args:
        config: which images.
        folder: of the run.
        say: told what was found, and what did not match.

    Raises:
        ConfigError: no source, or several.
        DataError: no image, nothing to validate on, sides that do not fit.
        ImageError: an image that cannot be read.
    """
    if config.data and is_pair_store(config.data):
        return _open_pair_store(config, say)
    sides = find_sides(config)
    for line in sides.report().splitlines():
        say(line)
    if sides.validation is None:
        raise DataError("no image to validate on", fix="Name some with --validation DIR.")
    if type(sides.train) is not type(sides.validation):
        raise ConfigError("training and validation images must both be pairs or both be clean images")
    decoded = decode_split(sides, folder / "store")
    manifest = sum((side.manifest for side in decoded.values()), Manifest(()))
    for line in manifest.skipped:
        say(f"left out: {line}")
    train, validation = decoded["train"].arrays, decoded["validation"].arrays
    return TrainingImages(
        clean=train["clean"],
        noisy=train.get("noisy"),
        validation_clean=validation["clean"],
        validation_noisy=validation.get("noisy"),
        channels=_channels(train["clean"]),
        manifest=manifest,
    )


def _open_pair_store(config: DataConfig, say: Callable[[str], None]) -> TrainingImages:
    """Pairs that were made ahead; the last of them are validated on where no other store is named."""
    assert config.data is not None
    noisy, clean = open_pairs(config.data)
    if config.validation:
        validation_noisy, validation_clean = open_pairs(config.validation[0])
    else:
        kept = max(1, min(PAIRS_TO_VALIDATE, len(clean) // 10))
        noisy, validation_noisy = noisy[:-kept], noisy[-kept:]
        clean, validation_clean = clean[:-kept], clean[-kept:]
    say(f"train: {len(clean)} pairs made ahead\nvalidation: {len(validation_clean)} pairs made ahead")
    return TrainingImages(
        clean=list(clean),  # a list of views: nothing is read yet
        noisy=list(noisy),
        validation_clean=list(validation_clean),
        validation_noisy=list(validation_noisy),
        channels=clean.shape[1],
        manifest=Manifest(()),
    )


def find_sides(config: DataConfig) -> Split:
    """The training, validation and test sides that the configuration names.

    Raises:
        ConfigError: no source of images, or several.
        DataError: no image found, or too few to split.
    """
    given = [name for name in ("clean", "pairs", "data") if getattr(config, name)]
    if len(given) != 1:
        raise ConfigError(
            "a run needs one source of images", got=" and ".join(given) or "none", expected="clean, pairs or data"
        )
    if config.data:
        return data_folder(config.data, group=config.group)
    if config.clean:
        find: Callable[[Sequence[str]], Source] = CleanImages.find
    else:
        find = _pairs
    validation, test = (find(side) if side else None for side in (config.validation, config.test))
    source = find(config.clean or config.pairs)
    return split(source, validation=validation, test=test, test_share=0.0, group=config.group)


def _pairs(sides: Sequence[str]) -> Pairs:
    if len(sides) != 2:
        raise ConfigError("pairs are two folders or globs, noisy and clean", got=f"{len(sides)}: {' '.join(sides)}")
    return Pairs.find(*sides)


def _channels(images: Sequence[np.ndarray]) -> int:
    found = {image.shape[0] for image in images}
    if found <= {1}:
        return 1
    if len(found - {1}) > 1:
        raise DataError("the training images differ in their number of channels", got=sorted(found))
    return int(max(found))
