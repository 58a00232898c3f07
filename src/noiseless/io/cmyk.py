"""CMYK pictures become RGB: through their own colour profile where they carry one, else by the plain formula."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image as PillowImage


def to_rgb(cmyk: PillowImage.Image, profile: bytes | None) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """RGB values (H, W, 3) of a CMYK picture, and the metadata that changes with them.

    Args:
        cmyk: a Pillow image of mode CMYK, 0 is no ink.
        profile: its ICC profile.

    Returns:
        The values, and ``{"icc": ...}`` with the profile of sRGB where the picture's own profile was used.
    """
    from PIL import ImageCms

    if profile:
        rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        try:
            converted = ImageCms.profileToProfile(
                cmyk, ImageCms.ImageCmsProfile(io.BytesIO(profile)), rgb, outputMode="RGB"
            )
        except ImageCms.PyCMSError:  # a damaged profile, or not one of CMYK
            converted = None
        if converted is not None:
            return np.array(converted), {"icc": rgb.tobytes()}
    return np.array(cmyk.convert("RGB")), {}
