"""Decoders of compressed DICOM pixels: those of pydicom, and imagecodecs where pydicom has none.

pydicom decodes JPEG, JPEG 2000 and RLE by itself; lossless JPEG, 12-bit JPEG, JPEG-LS and high-throughput JPEG 2000 it
leaves to packages that are not installed everywhere, while imagecodecs is.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

LABEL = "imagecodecs"

CODECS = {
    "1.2.840.10008.1.2.4.50": "jpeg8_decode",
    "1.2.840.10008.1.2.4.51": "jpeg8_decode",
    "1.2.840.10008.1.2.4.57": "ljpeg_decode",
    "1.2.840.10008.1.2.4.70": "ljpeg_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.201": "htj2k_decode",
    "1.2.840.10008.1.2.4.202": "htj2k_decode",
    "1.2.840.10008.1.2.4.203": "htj2k_decode",
}
"""Transfer syntaxes and the function of imagecodecs that decodes a frame."""

RESOLVED = ("YBR_ICT", "YBR_RCT")
"""Colours that the decoders of JPEG 2000 turn into RGB by themselves."""

LONGEST_HEAD = 1 << 16
_START_OF_FRAME = re.compile(rb"\xff(?:[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7])..[\x02-\x10](.{4})", re.DOTALL)
_SIZE = re.compile(rb"\xff\x51....(.{16})", re.DOTALL)

DECODER_DEPENDENCIES = dict.fromkeys(CODECS, ("imagecodecs",))
"""Read by pydicom."""


def is_available(uid: str) -> bool:
    """Whether frames of this transfer syntax can be decoded; asked by pydicom."""
    return uid in CODECS


def decoder(syntax: str) -> Decoder:
    """The decoder of pydicom for a transfer syntax.

    Raises:
        NotImplementedError: there is none.
    """
    from pydicom.pixels.decoders.base import get_decoder

    found = get_decoder(syntax)
    if syntax in CODECS and LABEL not in found.available_plugins:
        found.add_plugin(LABEL, (__name__, "decode_frame"))
    return found


def decode_frame(source: bytes, runner: DecodeRunner) -> bytearray:
    """Decode one frame; called by pydicom.

    Args:
        source: the compressed frame.
        runner: what the header says; told what the decoder changed.
    """
    import imagecodecs

    _check_size(source, runner.rows, runner.columns)
    frame: np.ndarray[Any, Any] = getattr(imagecodecs, CODECS[runner.transfer_syntax])(source)
    runner.set_option("bits_allocated", frame.dtype.itemsize * 8)
    if frame.ndim == 3:
        runner.set_option("planar_configuration", 0)
    if runner.photometric_interpretation in RESOLVED:
        runner.set_option("photometric_interpretation", "RGB")
    return bytearray(np.ascontiguousarray(frame, frame.dtype.newbyteorder("<")).tobytes())


def _check_size(frame: bytes, rows: int, columns: int) -> None:
    """Raise ValueError where a frame itself claims another size than the header: the decoder would believe it.

    JPEG and JPEG-LS say it in their start of frame, JPEG 2000 in its SIZ segment.
    """
    found = _START_OF_FRAME.search(frame[:LONGEST_HEAD])
    claims = found and struct.unpack(">HH", found.group(1))
    if found is None and (found := _SIZE.search(frame[:LONGEST_HEAD])) is not None:
        right, bottom, left, top = struct.unpack(">IIII", found.group(1))
        claims = bottom - top, right - left
    if claims != (rows, columns):
        raise ValueError(f"a frame of {claims} instead of {rows} x {columns} pixels")
