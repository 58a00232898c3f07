"""Losses: differentiable functions ``(prediction, target) -> scalar``, in one table, with one text grammar.

Tensors have shape (B, C, H, W) in [0, 1] units. A loss is zero where both are equal and never below. Each one
is a plain function; `parse` makes a weighted sum of them from a text such as ``mse+0.1*ssim``.
"""

from __future__ import annotations

from noiseless.losses.grammar import Loss as Loss
from noiseless.losses.grammar import parse as parse
from noiseless.losses.table import LOSSES as LOSSES
from noiseless.losses.table import find as find
from noiseless.losses.table import names as names
