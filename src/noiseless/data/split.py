"""Training, validation and test sides: split by image, never by crop, and by content, never by place or order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from noiseless.data.gather import View
from noiseless.data.pairing import name_some
from noiseless.data.sources import CleanImages, Item, Pairs, Source
from noiseless.errors import DataError

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """The sides of a data set.

    Attributes:
        train: what is learned from.
        validation: what choices are made on, where there is any.
        test: what is measured once, at the end, where there is any.
        left_out: images that were dropped because validation or test holds the same content or group.
    """

    train: Source
    validation: Source | None = None
    test: Source | None = None
    left_out: tuple[Item, ...] = ()

    def sides(self) -> dict[str, Source]:
        """The sides that exist, by name."""
        named = zip(SIDES, (self.train, self.validation, self.test), strict=True)
        return {name: source for name, source in named if source is not None}

    def report(self) -> str:
        """One line a side."""
        lines = [f"{name}: {source.report()}" for name, source in self.sides().items()]
        if self.left_out:
            names = name_some([item.views[0] for item in self.left_out])
            lines.append(f"left out, since validation or test holds the same: {names}")
        return "\n".join(lines)


def group_of(name: str, pattern: str | None) -> str | None:
    """The group that an image's name puts it into.

    Args:
        name: path of the image with forward slashes.
        pattern: a regular expression that is searched for; its first group, or else the whole match, names the
            group. ``None`` means no groups.

    Raises:
        DataError: a pattern that is not a regular expression, or that the name does not match.
    """
    if pattern is None:
        return None
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} is no regular expression", got=str(error)) from error
    if not found:
        raise DataError(f"the group pattern {pattern!r} does not match {name}", expected="a match in every name")
    return next((group for group in found.groups() if group is not None), found.group())


def split(
    source: Source,
    *,
    validation: Source | None = None,
    test: Source | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    group: str | None = None,
) -> Split:
    """Split a source by image; images of one group, or with a view in common, stay together.

    The images of the smallest content hashes go to test and validation, so that the split depends on the images
    alone: not on their names, places or order.

    Args:
        source: what is split.
        validation: an explicit validation side; none is then split off, nor a test side.
        test: an explicit test side; none is then split off.
        validation_share: share of the images for validation.
        test_share: share of the images for testing; only where neither side is explicit.
        group: a regular expression, see `group_of`.

    Raises:
        DataError: too few images or groups for the sides, or nothing left to train on.
    """
    explicit = [side for side in (validation, test) if side is not None]
    items, left_out = _without(source.items, explicit, group)
    if validation is not None and test is not None:
        kept, dropped = _without(validation.items, [test], group)
        validation, left_out = validation.select(kept), left_out + dropped
    counts = {
        "test": 0.0 if explicit else test_share * len(items),
        "validation": 0.0 if validation is not None else validation_share * len(items),
    }
    sides = _deal(_clusters(items, group), {side: count for side, count in counts.items() if count > 0})
    return Split(
        source.select(sides["train"]),
        validation if validation is not None else _side(source, sides.get("validation")),
        test if test is not None else _side(source, sides.get("test")),
        left_out,
    )


def data_folder(
    folder: str | Path, *, data_range: tuple[float, float] | None = None, group: str | None = None
) -> Split:
    """Read a folder with ``train/`` and, where there are any, ``validation/`` and ``test/``.

    Each holds either ``noisy/`` and ``clean/``, whose images are paired by name, or clean images. Without a
    ``validation/``, some of ``train/`` is split off for it.

    Args:
        folder: the folder.
        data_range: see `Source`.
        group: see `split`.

    Raises:
        DataError: no ``train/``, or a side that cannot be read.
    """
    folder = Path(folder)
    if not (folder / "train").is_dir():
        found = sorted(path.name for path in folder.iterdir())[:6] if folder.is_dir() else "no folder"
        fix = "Give clean images with --clean DIR, noisy ones with --noisy DIR."
        raise DataError(f"{folder} has no folder train", got=found, expected="train/, validation/, test/", fix=fix)
    sides = {name: _read_side(folder / name, data_range) for name in SIDES if (folder / name).is_dir()}
    return split(
        sides["train"],
        validation=sides.get("validation"),
        test=sides.get("test"),
        test_share=0.0,
        group=group,
    )


def _read_side(folder: Path, data_range: tuple[float, float] | None) -> Source:
    present = [name for name in ("noisy", "clean") if (folder / name).is_dir()]
    if present == ["noisy", "clean"]:
        return Pairs.find(folder / "noisy", folder / "clean", data_range=data_range)
    if present == ["noisy"]:
        raise DataError(f"{folder} has noisy/ but no clean/", expected="both, or clean images alone")
    return CleanImages.find(folder, data_range=data_range)


def _side(source: Source, items: Sequence[Item] | None) -> Source | None:
    return replace(source.select(items), unread=()) if items else None  # the training side tells what is unread


def _marks(item: Item, group: str | None) -> set[Hashable]:
    """What must not be on two sides: the content of each view, and the group."""
    marks: set[Hashable] = {view.sha256 for view in item.views}
    named = group_of(item.name, group)
    return marks if named is None else marks | {("group", named)}


def _without(items: Sequence[Item], others: Sequence[Source], group: str | None) -> tuple[list[Item], tuple[Item, ...]]:
    """Items that share nothing with the other sources, and those that do."""
    taken = {mark for source in others for item in source.items for mark in _marks(item, group)}
    kept: list[Item] = []
    left_out: list[Item] = []
    for item in items:
        (left_out if _marks(item, group) & taken else kept).append(item)
    if not kept:
        raise DataError(
            "no image is left on one side of the split",
            got=f"{len(items)} images, each on another side as well, {name_some([items[0].views[0]])} among them",
            fix="Name other images for --validation and --test, or leave these options out.",
        )
    return kept, tuple(left_out)


def _clusters(items: Sequence[Item], group: str | None) -> list[list[Item]]:
    """Items that share a mark, directly or through others, in the order of their content hashes."""
    leader: dict[Hashable, Hashable] = {}

    def find(mark: Hashable) -> Hashable:
        while leader.setdefault(mark, mark) != mark:
            leader[mark] = mark = leader[leader[mark]]
        return mark

    marks = [_marks(item, group) for item in items]
    for own in marks:
        first, *others = own
        for other in others:
            leader[find(other)] = find(first)
    clusters: dict[Hashable, list[Item]] = {}
    for item, own in zip(items, marks, strict=True):
        clusters.setdefault(find(next(iter(own))), []).append(item)
    return sorted(clusters.values(), key=_content_order)


def _content_order(cluster: Sequence[Item]) -> str:
    views: list[View] = [view for item in cluster for view in item.views]
    return hashlib.sha256(min(view.sha256 for view in views).encode()).hexdigest()


def _deal(clusters: Sequence[list[Item]], counts: dict[str, float]) -> dict[str, list[Item]]:
    """Fill each side that is wanted with whole clusters up to its count, at least one; the rest is for training."""
    if len(clusters) <= len(counts):
        number = sum(map(len, clusters))
        raise DataError(
            "too few images to split",
            got=f"{number} {'image' if number == 1 else 'images'}, {len(clusters)} independent of each other",
            expected=f"at least {len(counts) + 1}: training, {', '.join(counts)}",
            fix="Add images, or name the other sides with --validation and --test.",
        )
    sides: dict[str, list[Item]] = {}
    rest = list(clusters)
    for number, (side, count) in enumerate(counts.items()):
        needed = len(counts) - number  # clusters that the later sides and training need
        taken = [rest.pop(0)]
        while len(rest) > needed and sum(map(len, taken)) + len(rest[0]) <= count:
            taken.append(rest.pop(0))
        sides[side] = _in_order(taken)
    return sides | {"train": _in_order(rest)}


def _in_order(clusters: Sequence[Sequence[Item]]) -> list[Item]:
    return sorted((item for cluster in clusters for item in cluster), key=lambda item: item.name)
