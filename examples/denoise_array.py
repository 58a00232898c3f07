"""Denoise NumPy arrays: the dtype, the range and the axes come back as they were.

Run: python examples/denoise_array.py
"""

from __future__ import annotations

import numpy as np

import noiseless
from noiseless.data import samples


def colour_photograph() -> tuple[np.ndarray, np.ndarray]:
    """8-bit colour in, 8-bit colour out; the model is chosen and the noise level estimated."""
    photograph = noiseless.read(samples("noisy")[0]).array[:256, :256]
    return photograph, noiseless.denoise(photograph)


def twelve_bit_stack() -> tuple[np.ndarray, np.ndarray]:
    """A stack of grey images with 12 bits in uint16, as microscopes write them: say what white is."""
    generator = np.random.default_rng(0)
    clean = np.linspace(400, 3000, 128)[None, None, :] * np.ones((3, 128, 1))
    stack = (clean + generator.normal(0, 200, clean.shape)).clip(0, 4095).astype(np.uint16)
    restored = noiseless.denoise(
        stack, model="gray-small", noise=f"gaussian:sigma={200 / 4095}", channel_axis=None, data_range=4095
    )
    print(f"standard deviation of the noise: 200 before, {np.std(restored - clean):.0f} after")
    return stack, restored


def half_the_strength() -> np.ndarray:
    """A model that is loaded once; some grain may stay."""
    denoiser = noiseless.load("color-small")
    return denoiser(colour_photograph()[0], noise="auto", strength=0.5)


if __name__ == "__main__":
    before, after = colour_photograph()
    print(before.dtype, before.shape, "->", after.dtype, after.shape)
    twelve_bit_stack()
    half_the_strength()
