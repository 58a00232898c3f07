"""Ways in which files are damaged; a part of the bytes is changed in place."""

from __future__ import annotations

import numpy as np


def flipped(data: bytearray, generator: np.random.Generator) -> bytearray:
    for _ in range(generator.integers(1, 8)):
        data[generator.integers(len(data))] = generator.integers(256)
    return data


def cut(data: bytearray, generator: np.random.Generator) -> bytearray:
    return data[: generator.integers(len(data))]


def with_hole(data: bytearray, generator: np.random.Generator) -> bytearray:
    start = generator.integers(len(data))
    del data[start : start + generator.integers(1, 40)]
    return data
