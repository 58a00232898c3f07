"""The images of a run: found, split, decoded once into a packed store, ready to be cut into patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from noiseless.data.decode import Arrays, decode, decode_split
from noiseless.data.manifest import Manifest
from noiseless.data.sources import CleanImages, NoisyImages, NoisyPairs, Pairs, Source
from noiseless.data.split import Split, data_folder, split
from noiseless.data.synthesis import is_pair_store, open_pairs
from noiseless.errors import ConfigError, DataError
from noiseless.image import pair_of
from noiseless.training.config import DataConfig

PAIRS_TO_VALIDATE = 128
SOURCES = ("clean", "pairs", "noisy", "noisy_pairs", "data")

Range = tuple[float, float] | None
Views = Mapping[str, Sequence[np.ndarray]]
"""Images by role (``clean``, ``noisy``, ``noisy-again``), aligned; arrays (C, H, W) of uint8, uint16 or float32."""


@dataclass(frozen=True)
class TrainingImages:
    """What a run learns from and is validated on.

    Attributes:
        train: what is learned from. ``clean`` alone: a noise model makes the input; ``noisy`` and ``clean``: pairs;
            ``noisy`` and ``noisy-again``: two exposures; ``noisy`` alone: there is nothing to compare with.
        validation: the same roles, of other images; for a single noisy image, that image.
        channels: 1 where all images are grey, else 3, or their number of bands.
        manifest: what they are made of.
        unpaired: noisy images beside the pairs.
    """

    train: Views
    validation: Views
    channels: int
    manifest: Manifest
    unpaired: Sequence[np.ndarray] = field(default_factory=tuple)

    @property
    def referenced(self) -> bool:
        """Whether there are clean images to compare with."""
        return "clean" in self.train

    @property
    def images(self) -> Sequence[np.ndarray]:
        """One view of each training image."""
        return next(iter(self.train.values()))

    @property
    def alone(self) -> Sequence[np.ndarray]:
        """The noisy images that have no other view."""
        return self.unpaired if self.referenced else self.train["noisy"] if len(self.train) == 1 else ()

    def neighbours(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Planes of stacks, or files with consecutive numbers (depth or time), and the next of each, in `alone`."""
        images = self.alone
        both = images.successors() if isinstance(images, Arrays) else []
        pairs = [(images[first], images[second]) for first, second in both]
        return [(one, other) for one, other in pairs if one.shape == other.shape]


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
        raise ConfigError("training and validation images must be of one kind: clean, noisy or pairs")
    decoded = decode_split(sides, folder / "store")
    if config.pairs and config.noisy:
        beside = NoisyImages.find(config.noisy, data_range=range_of(config))
        say(f"train, without clean images: {beside.report()}")
        decoded["unpaired"] = decode(beside, folder / "store" / "unpaired", side="unpaired")
    manifest = sum((side.manifest for side in decoded.values()), Manifest(()))
    for line in manifest.skipped:
        say(f"left out: {line}")
    unpaired = decoded["unpaired"].arrays["noisy"] if "unpaired" in decoded else ()
    train, validation = decoded["train"].arrays, decoded["validation"].arrays
    return TrainingImages(train, validation, _channels([*next(iter(train.values())), *unpaired]), manifest, unpaired)


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
        train={"noisy": list(noisy), "clean": list(clean)},  # lists of views: nothing is read yet
        validation={"noisy": list(validation_noisy), "clean": list(validation_clean)},
        channels=clean.shape[1],
        manifest=Manifest(()),
    )


def source_of(config: DataConfig) -> str:
    """Which of `SOURCES` a configuration names; ``pairs`` where noisy images beside them are named too.

    Raises:
        ConfigError: none, or several.
    """
    given = [name for name in SOURCES if getattr(config, name)]
    if len(given) != 1 and given != ["pairs", "noisy"]:
        raise ConfigError(
            "a run needs one source of images",
            got=" and ".join(given) or "none",
            expected="clean, pairs, noisy, noisy_pairs or data; or pairs and noisy together",
        )
    return given[0]


def find_sides(config: DataConfig) -> Split:
    """The training, validation and test sides that the configuration names.

    Raises:
        ConfigError: no source of images, or several.
        DataError: no image found, or too few to split.
    """
    kind, data_range = source_of(config), range_of(config)
    if config.data:
        return data_folder(config.data, data_range=data_range, group=config.group)
    validation, test = (_find(kind, side, data_range) if side else None for side in (config.validation, config.test))
    source = _find(kind, getattr(config, kind), data_range)
    if kind == "noisy" and validation is None and len({item.views[0].sha256 for item in source.items}) == 1:
        return Split(source, source, test)
    return split(source, validation=validation, test=test, test_share=0.0, group=config.group)


def _find(kind: str, given: Sequence[str], data_range: Range) -> Source:
    """The images of one side, or the two sides of pairs, that are given."""
    if kind in _ONE_SIDED:
        return _ONE_SIDED[kind].find(given, data_range=data_range)
    source, which = _TWO_SIDED[kind]
    if len(given) != 2:
        raise ConfigError(f"pairs are two folders or globs, {which}", got=f"{len(given)}: {' '.join(given)}")
    return source.find(*given, data_range=data_range)


_ONE_SIDED: dict[str, type[CleanImages | NoisyImages]] = {"clean": CleanImages, "noisy": NoisyImages}
_TWO_SIDED: dict[str, tuple[type[Pairs | NoisyPairs], str]] = {
    "pairs": (Pairs, "noisy and clean"),
    "noisy_pairs": (NoisyPairs, "both noisy"),
}


def range_of(config: DataConfig) -> Range:
    """The values of files that map to 0 and 1, where they are said.

    Raises:
        ConfigError: more than two values.
        ValueRangeError: they are no range.
    """
    said = config.data_range
    if len(said) > 2:
        raise ConfigError("data.data_range does not fit", got=list(said), expected="one number or two")
    return pair_of(said[0] if len(said) == 1 else said) if said else None


def _channels(images: Sequence[np.ndarray]) -> int:
    found = {image.shape[0] for image in images}
    if found <= {1}:
        return 1
    if len(found - {1}) > 1:
        raise DataError("the training images differ in their number of channels", got=sorted(found))
    return int(max(found))
