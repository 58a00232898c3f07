"""The shipped model that suits images: the one that ``denoise`` takes for most of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from noiseless import bundle
from noiseless.data.augment import to_channels
from noiseless.denoiser import choose_model, find
from noiseless.image import Image


def shipped_for(
    images: Sequence[np.ndarray], known: Sequence[Mapping[str, Any]], channels: int, *, told: bool = False
) -> tuple[str, str]:
    """Its name and the reason in words.

    Weights for grey would take the colours of others away: grey pictures beside colours do not count.

    Args:
        images: at least one; (C, H, W) each, floats in [0, 1] units, which they may leave.
        known: of each, what is known of the file it is from: `noiseless.data.gather.TRAITS`, where there are any.
        channels: of what is to be made for them; grey images beside others are repeated.
        told: whether the noise level is given.

    Raises:
        BundleError: no model is shipped.
    """
    seen = [_image(to_channels(array, channels), traits) for array, traits in zip(images, known, strict=True)]
    chosen = [choose_model(image, told=told, whole=True) for image in seen]
    of_colours = [each for each in chosen if bundle.read(find(each[0])).spec.channels == channels] or chosen
    (name, reason), count = Counter(of_colours).most_common(1)[0]
    share = "" if count == len(chosen) else f" ({count} of {len(chosen)} images)"
    return name, f"{reason}{share}"


def _image(array: np.ndarray, known: Mapping[str, Any]) -> Image:
    image = Image.from_array(array, channel_axis=0, data_range=(0.0, 1.0) if array.dtype.kind == "f" else None)
    return replace(image, metadata=dict(known))
