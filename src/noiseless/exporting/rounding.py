"""Kernels rounded to 8 bit so that what a convolution computes changes least, not its kernel.

Neighbouring pixels are alike, so that errors of one sign in the values of a kernel add up: rounded one after the other,
each value takes up what those before it have got wrong (Frantar et al., "GPTQ: Accurate Post-Training Quantization for
Generative Pre-trained Transformers", 2023).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[np.float32]

LARGEST = 127
DAMPING = 0.01
"""Of the mean square of what is read, added so that what is hardly ever read does not count for nothing."""

PLACES = 512
"""Of the kernel in a picture that are looked at."""


def products(picture: Array, height: int, width: int) -> Array:
    """Mean products of any two of the values that a kernel reads at one place, (C x height x width) squared.

    Args:
        picture: what a convolution reads, (C, H, W).
        height: of the kernel.
        width: of the kernel.
    """
    generator = np.random.default_rng(0)
    windows = sliding_window_view(picture, (height, width), (1, 2))  # (C, rows, columns, height, width)
    rows, columns = (generator.integers(0, length, PLACES) for length in windows.shape[1:3])
    read = windows[:, rows, columns].swapaxes(0, 1).reshape(PLACES, -1)
    found: Array = (read.T @ read) / np.float32(PLACES)
    return found


def round_kernel(values: Array, scales: Array, products: Array) -> npt.NDArray[np.int8]:
    """A kernel in steps of its scales.

    Args:
        values: (O, K), for each output the weights of what it reads.
        scales: the step of each output, (O,).
        products: mean products of any two of what is read, (K, K).

    Returns:
        (O, K), from -127 to 127.
    """
    damping = DAMPING * np.trace(products) / len(products) + np.finfo(np.float32).tiny
    damped = products.astype(np.float64) + damping * np.eye(len(products))
    order = np.argsort(-np.diag(damped), kind="stable")  # what is read strongest has most others to make up for it
    spread = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = values[:, order].astype(np.float64)
    rounded = np.empty(values.shape, np.int8)
    for place, column in enumerate(order):
        steps = np.rint(left[:, place] / scales).clip(-LARGEST, LARGEST)
        wrong = (left[:, place] - steps * scales) / spread[place, place]
        left[:, place + 1 :] -= np.outer(wrong, spread[place, place + 1 :])
        rounded[:, column] = steps
    return rounded
