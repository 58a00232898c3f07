"""Matching the two sides of a set of pairs by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from noiseless.data.gather import View

MOST_NAMED = 5


@dataclass(frozen=True)
class Matching:
    """Which images belong together.

    Attributes:
        pairs: (first, second), in the order of the first side.
        first: images of the first side without a partner.
        second: images of the second side without a partner.
    """

    pairs: tuple[tuple[View, View], ...]
    first: tuple[View, ...]
    second: tuple[View, ...]


def match(first: Sequence[View], second: Sequence[View]) -> Matching:
    """Pair two sides by what their names have in common.

    Three keys are tried, and the one that pairs most images is used, the earlier where they tie: what the wildcards
    stood for, where both sides were given as globs with as many wildcards (``DIR/*_real.png`` and
    ``DIR/*_mean.png``); the stem, subfolders included (``noisy/a/1.png`` and ``clean/a/1.tif``); the stem without the
    words that all names of one side have and no name of the other (``1_noisy.png`` and ``1_clean.png``). A key that
    several images of one side share pairs none of them.

    Args:
        first: for example the noisy images.
        second: for example the clean images.
    """
    candidates = [_captures(first, second), ([v.stem for v in first], [v.stem for v in second]), _words(first, second)]
    matchings = [_pair(first, second, keys) for keys in candidates if keys is not None]
    return max(matchings, key=lambda matching: len(matching.pairs))


def name_some(views: Sequence[View]) -> str:
    """The names of the first few views, and how many more there are."""
    names = ", ".join(view.name for view in views[:MOST_NAMED])
    more = len(views) - MOST_NAMED
    return f"{names} and {more} more" if more > 0 else names


Keys = tuple[Sequence[Hashable], Sequence[Hashable]]


def _captures(first: Sequence[View], second: Sequence[View]) -> Keys | None:
    lengths = {None if view.captured is None else len(view.captured) for view in (*first, *second)}
    if len(lengths) != 1 or lengths & {None, 0}:
        return None
    return [view.captured for view in first], [view.captured for view in second]


def _words(first: Sequence[View], second: Sequence[View]) -> Keys:
    """Stems cut into words and numbers, without the words that tell the sides apart."""
    sides = [[re.findall(r"[^\W\d_]+|\d+|/", view.stem) for view in side] for side in (first, second)]
    common = [set.intersection(*map(set, side)) for side in sides]
    anywhere = [set[str]().union(*side) for side in sides]
    telling = [common[0] - anywhere[1], common[1] - anywhere[0]]
    keys = [
        [tuple(word for word in words if word not in drop) for words in side]
        for side, drop in zip(sides, telling, strict=True)
    ]
    return keys[0], keys[1]


def _pair(first: Sequence[View], second: Sequence[View], keys: Keys) -> Matching:
    once = [{key for key, count in Counter(side).items() if count == 1} for side in keys]
    both = once[0] & once[1]
    partner = dict(zip(keys[1], second, strict=True))
    return Matching(
        tuple((view, partner[key]) for view, key in zip(first, keys[0], strict=True) if key in both),
        tuple(view for view, key in zip(first, keys[0], strict=True) if key not in both),
        tuple(view for view, key in zip(second, keys[1], strict=True) if key not in both),
    )
