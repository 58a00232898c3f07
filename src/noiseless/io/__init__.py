"""Images in and out, with everything that a file says about them.

`read` and `write` take paths and streams; a file is recognised by its content, an output format chosen by the suffix.
What `FORMATS` lists is imported when first needed, so that importing this package costs nothing.

Metadata keys of an `Image` that was read:

    format              key of `FORMATS`
    icc, exif, xmp      bytes: colour profile, EXIF block (without prefix), XMP packet
    dpi                 (across, down)
    notes               sentences on what was converted while reading (CMYK, palette, ...)
    separate_channels   the channels are no colours, as in a fluorescence stack
    ceiling             value of white of an integer image, where it is not ``2**bits - 1``
    png, jpeg, tiff,    what only this format can hold; used when the same format is written
    dicom, nifti, zarr
"""

from noiseless.io.finding import find_images, is_image
from noiseless.io.formats import FORMATS, Format
from noiseless.io.limits import MAX_PIXELS
from noiseless.io.mark import denoised_mark, with_denoised_mark
from noiseless.io.reading import pixel_count, read, read_pixels
from noiseless.io.writing import check_fits, write

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Format",
    "check_fits",
    "denoised_mark",
    "find_images",
    "is_image",
    "pixel_count",
    "read",
    "read_pixels",
    "with_denoised_mark",
    "write",
]
