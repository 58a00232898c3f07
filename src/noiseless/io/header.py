"""How large an image is, from the header of its file alone."""

from __future__ import annotations

from noiseless.errors import ImageError, TooManyPixelsError
from noiseless.io.reading import Source, read


def pixel_count(source: Source) -> int:
    """Pixels of all planes of an image file, without decoding it.

    Args:
        source: a path, or a binary stream (read to its end).

    Raises:
        ImageError: as for `noiseless.read`, as far as the header shows it.
        ValueRangeError: as for `noiseless.read`, from a format that has no header.
    """
    try:
        image = read(source, max_pixels=0)  # every codec compares before it decodes
    except ImageError as error:
        if isinstance(error.__cause__, TooManyPixelsError):
            return error.__cause__.pixels
        raise
    return image.count * image.height * image.width
