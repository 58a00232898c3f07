"""What a denoiser learns from or is measured on: clean images, pairs, noisy images, pairs of noisy images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from noiseless.data.gather import View, gather
from noiseless.data.pairing import Matching, match, name_some
from noiseless.errors import DataError
from noiseless.io.finding import left_out, line_of

Inputs = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Item:
    """One scene: as many views as its source has roles, in their order."""

    views: tuple[View, ...]

    @property
    def name(self) -> str:
        """The name of the first view."""
        return self.views[0].name


@dataclass(frozen=True)
class Source:
    """Scenes of one kind; the base of the four kinds below.

    Attributes:
        items: the scenes, in a fixed order.
        data_range: values (low, high) that map to 0 and 1; without it integers span their dtype and floats [0, 1].
        unread: files beside the images that look like images and are none; see `noiseless.io.finding.left_out`.
    """

    items: tuple[Item, ...]
    data_range: tuple[float, float] | None = None
    unread: tuple[Path, ...] = ()
    roles: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(self.items)

    def select(self, items: Sequence[Item]) -> Self:
        """The same source with other items."""
        return replace(self, items=tuple(items))

    def report(self) -> str:
        """One line: how many images there are, and what was left out."""
        return "; ".join([*self._found(), *([line_of(self.unread)] if self.unread else [])])

    def _found(self) -> list[str]:
        return [f"{len(self)} {_count_noun(len(self), 'image')}"]


@dataclass(frozen=True)
class CleanImages(Source):
    """Clean images; a noise model makes the other side."""

    roles: ClassVar[tuple[str, ...]] = ("clean",)

    @classmethod
    def find(cls, inputs: Inputs, *, data_range: tuple[float, float] | None = None) -> CleanImages:
        """Find images in folders (with subfolders), files, globs and packed stores.

        Raises:
            DataError: no image there.
            ImageError: a file that is missing or no image.
        """
        return cls(_singles(inputs), data_range, _unread(inputs))


@dataclass(frozen=True)
class NoisyImages(Source):
    """Noisy images alone, for self-supervised training, calibration and denoising."""

    roles: ClassVar[tuple[str, ...]] = ("noisy",)

    @classmethod
    def find(cls, inputs: Inputs, *, data_range: tuple[float, float] | None = None) -> NoisyImages:
        """Find images, as `CleanImages.find`."""
        return cls(_singles(inputs), data_range, _unread(inputs))


@dataclass(frozen=True)
class _TwoSided(Source):
    unmatched: tuple[tuple[View, ...], tuple[View, ...]] = ((), ())

    def _found(self) -> list[str]:
        """How many pairs, and which images have no partner."""
        parts = [f"{len(self)} {_count_noun(len(self), 'pair')}"]
        for views, other in zip(self.unmatched, reversed(self.roles), strict=True):
            if views:
                noun = _count_noun(len(views), "image")
                parts.append(f"no {other} partner for {len(views)} {noun} ({name_some(views)})")
        return parts


@dataclass(frozen=True)
class Pairs(_TwoSided):
    """Noisy images and clean images of the same scenes.

    Attributes:
        unmatched: noisy images without a clean one, clean images without a noisy one.
    """

    roles: ClassVar[tuple[str, ...]] = ("noisy", "clean")

    @classmethod
    def find(cls, noisy: Inputs, clean: Inputs, *, data_range: tuple[float, float] | None = None) -> Pairs:
        """Find both sides and pair them by name; see `noiseless.data.pairing.match`.

        Args:
            noisy: folders, files, globs or stores.
            clean: the same; may be the same folder where globs tell the sides apart.
            data_range: of both sides.

        Raises:
            DataError: no images, or no pairs; the message names some of each side.
        """
        matching = _matched(noisy, clean, cls.roles)
        return cls(_items(matching), data_range, _unread(noisy, clean), (matching.first, matching.second))


@dataclass(frozen=True)
class NoisyPairs(_TwoSided):
    """Two noisy images of each scene, with independent noise: what Noise2Noise learns from.

    Attributes:
        unmatched: images of either side without a partner.
    """

    roles: ClassVar[tuple[str, ...]] = ("noisy", "noisy-again")

    @classmethod
    def find(cls, first: Inputs, second: Inputs, *, data_range: tuple[float, float] | None = None) -> NoisyPairs:
        """Find both sides and pair them by name, as `Pairs.find`."""
        matching = _matched(first, second, cls.roles)
        return cls(_items(matching), data_range, _unread(first, second), (matching.first, matching.second))


def _singles(inputs: Inputs) -> tuple[Item, ...]:
    return tuple(Item((view,)) for view in gather(_listed(inputs)))


def _unread(*sides: Inputs) -> tuple[Path, ...]:
    return tuple(left_out([given for inputs in sides for given in _listed(inputs)], recursive=True))


def _items(matching: Matching) -> tuple[Item, ...]:
    return tuple(Item(pair) for pair in matching.pairs)


def _listed(inputs: Inputs) -> Sequence[str | Path]:
    """What is given as a list.

    Raises:
        DataError: what is no path.
    """
    several = list(inputs) if isinstance(inputs, Iterable) and not isinstance(inputs, str) else [inputs]
    strange = next((each for each in several if not isinstance(each, str | Path)), None)
    if strange is not None:
        raise DataError("these are no images", got=type(strange).__name__, expected="paths of files or folders")
    return several


def _matched(first: Inputs, second: Inputs, roles: tuple[str, ...]) -> Matching:
    sides = gather(_listed(first)), gather(_listed(second))
    shared = {(view.path, view.entry) for view in sides[0]} & {(view.path, view.entry) for view in sides[1]}
    if shared:
        raise DataError(
            "the two sides of the pairs hold the same files",
            got=f"{len(shared)} files on both sides, {min(shared)[0]} among them",
            fix="Tell the sides apart by globs: --pairs 'DIR/*_noisy.png' 'DIR/*_clean.png'",
        )
    matching = match(*sides)
    if not matching.pairs:
        raise DataError(
            "no pair matches by name",
            got=f"{roles[0]}: {name_some(sides[0])}; {roles[1]}: {name_some(sides[1])}",
            expected="names that agree but for a word, as 1_noisy.png and 1_clean.png",
        )
    return matching


def _count_noun(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
