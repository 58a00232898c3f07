"""NIfTI in a gzip stream (.nii.gz), read and written as it comes."""

from __future__ import annotations

import gzip
from typing import BinaryIO, cast

from noiseless.image import Image
from noiseless.io import nifti

LEVEL = 4
"""Within 3% of the size of level 9 on the integers of scanners, at a fraction of the time."""


def decode(file: BinaryIO, max_pixels: int) -> Image:
    """Read a gzipped NIfTI file; no more is inflated than its header announces."""
    with gzip.GzipFile(fileobj=file, mode="rb") as stream:
        return nifti.decode(cast(BinaryIO, stream), max_pixels)


def encode(file: BinaryIO, image: Image) -> None:
    """Write a gzipped NIfTI file, the same bytes for the same image."""
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=LEVEL, mtime=0) as stream:
        nifti.encode(cast(BinaryIO, stream), image)


def refusal(image: Image) -> str | None:
    """What about an image NIfTI cannot hold: nothing, if it came from a NIfTI file."""
    return nifti.refusal(image)
