"""The images to measure on, one after another, each with its noise."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from noiseless.data.gather import View
from noiseless.data.sources import CleanImages, Item, Pairs, Source
from noiseless.data.split import group_of
from noiseless.data.store import as_unit_float
from noiseless.errors import ConfigError, DataError
from noiseless.noise import Noise, parse

Inputs = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Scene:
    """One image to measure on.

    Attributes:
        name: of the image.
        noisy: what the models are given: float32 in [0, 1] units or, quantised, uint8; (C, H, W).
        clean: the reference, float32 (C, H, W) in [0, 1] units.
        noise: the noise model that was added, its ranges drawn; ``None`` for real pairs.
        group: of the image, where a pattern names one.
    """

    name: str
    noisy: np.ndarray
    clean: np.ndarray
    noise: Noise | None
    group: str | None

    @property
    def digest(self) -> str:
        """SHA-256 of what was stored: the clean pixels and, for pairs, the noisy ones."""
        digest = hashlib.sha256(f"{self.clean.shape}".encode())
        digest.update(np.ascontiguousarray(self.clean).data)
        if self.noise is None:
            digest.update(np.ascontiguousarray(self.noisy).data)
        return digest.hexdigest()


def find_source(
    source: Source | None, clean: Inputs | None, pairs: tuple[Inputs, Inputs] | None, noise: Noise | str | None
) -> tuple[Source, Noise | None]:
    """The source that was given or named, and the noise model; for `noiseless.evaluate`.

    Raises:
        ConfigError: no source named, or two; clean images without noise.
        DataError: no images, or no pairs.
        SpecError: a noise expression that does not parse.
    """
    given = [item for item in (source, clean, pairs) if item is not None]
    if len(given) != 1:
        raise ConfigError("a measurement needs one source", got=len(given), expected="source, clean or pairs")
    model = noise if noise is None or isinstance(noise, Noise) else parse(noise)
    if pairs is not None:
        if isinstance(pairs, str | Path) or len(pairs) != 2:
            raise ConfigError("pairs have two sides", got=repr(pairs), expected="(NOISY, CLEAN)")
        return Pairs.find(*pairs), model
    found = CleanImages.find(clean) if clean is not None else source
    if not isinstance(found, Source):
        fix = "Name files or folders with clean=... or pairs=(NOISY, CLEAN)."
        raise ConfigError("no source of images", got=type(found).__name__, expected="a noiseless.data source", fix=fix)
    if isinstance(found, CleanImages) and model is None:
        raise ConfigError("clean images need a noise model", fix="Add --noise, for example --noise gaussian:25.")
    return found, model


def scenes(
    source: Source,
    noise: Noise | None,
    *,
    items: Sequence[Item],
    seed: int,
    group: str | None,
    quantise: bool,
) -> Iterator[Scene]:
    """The images of a source, one after another, with their noise.

    Args:
        source: clean images or pairs.
        noise: what is added to clean images.
        items: of the source.
        seed: see `noiseless.evaluate`.
        group: see `noiseless.evaluate`.
        quantise: give the noisy image as uint8, rounded and clipped.

    Raises:
        DataError: sides of a pair that differ in size.
        ImageError: an image that cannot be read.
    """
    for item, known in zip(items, names_of(items), strict=True):
        views = [[as_unit_float(plane) for plane in view.read(source.data_range)] for view in item.views]
        if len({len(planes) for planes in views}) > 1:
            got = " and ".join(str(len(planes)) for planes in views)
            raise DataError(f"the sides of {known} differ in the number of planes", got=got)
        named = group_of(item.name, group)
        for number, planes in enumerate(zip(*views, strict=True)):
            name = known if len(views[0]) == 1 else f"{known}[{number}]"
            noisy, clean, added = _sides(planes, noise, seed, name)
            yield Scene(name, to_uint8(noisy) if quantise else noisy, clean, added, named)


def _sides(
    planes: Sequence[np.ndarray], noise: Noise | None, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray, Noise | None]:
    if len(planes) == 2:
        noisy, clean = planes
        if noisy.shape != clean.shape:
            raise DataError(f"the sides of {name} differ", got=f"{noisy.shape} and {clean.shape}")
        return noisy, clean, None
    (clean,) = planes
    assert noise is not None  # as `find_source` sees to
    content = hashlib.sha256(np.ascontiguousarray(clean).data).digest()
    generator = np.random.default_rng([seed, int.from_bytes(content[:8], "big")])
    drawn = noise.draw(generator)
    return drawn.sample(clean, generator), clean, drawn


def to_uint8(image: np.ndarray) -> np.ndarray:
    """[0, 1] units to 8 bit, clipped and rounded to the nearest."""
    return np.asarray(np.rint(image.clip(0, 1) * 255), np.uint8)


def is_8_bit(source: Source, items: Sequence[Item]) -> bool:
    """Whether these are pairs whose first noisy image has 8 bits."""
    return isinstance(source, Pairs) and bool(items) and items[0].views[0].read(source.data_range)[0].dtype == np.uint8


def names_of(items: Sequence[Item]) -> list[str]:
    """A name for each image that no other has: its path, where folders of one name hold images of one name."""
    counts = Counter(item.name for item in items)
    return [item.name if counts[item.name] == 1 else _whole_path(item.views[0]) for item in items]


def _whole_path(view: View) -> str:
    return view.path.as_posix() if view.entry is None else f"{view.path.as_posix()}/{view.name}"


def set_name(items: Sequence[Item]) -> str:
    """The folders that the images lie in."""
    folders = sorted({Path(item.name).parent.as_posix() for item in items})
    more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
    return ", ".join(folder if folder != "." else "images" for folder in folders[:3]) + more
