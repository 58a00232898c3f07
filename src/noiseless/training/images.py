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
from noiseless.errors import ConfigError, DataError
from noiseless.training.config import DataConfig


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
        source: Source = CleanImages.find(config.clean)
        validation, test = (CleanImages.find(side) if side else None for side in (config.validation, config.test))
    else:
        source = _pairs(config.pairs, "pairs")
        validation, test = (
            _pairs(side, name) if side else None
            for side, name in ((config.validation, "validation"), (config.test, "test"))
        )
    return split(source, validation=validation, test=test, test_share=0.0, group=config.group)


def _pairs(sides: Sequence[str], name: str) -> Pairs:
    if len(sides) != 2:
        raise ConfigError(f"{name} must name two folders or globs, noisy and clean", got=f"{len(sides)}")
    return Pairs.find(*sides)


def _channels(images: Sequence[np.ndarray]) -> int:
    found = {image.shape[0] for image in images}
    if found <= {1}:
        return 1
    if len(found - {1}) > 1:
        raise DataError("the training images differ in their number of channels", got=sorted(found))
    return max(found)
