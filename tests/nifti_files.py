"""NIfTI files made with nibabel, for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Extension


def nifti(
    array: np.ndarray,
    affine: np.ndarray | None = None,
    *,
    kind: Any = nibabel.Nifti1Image,
    zooms: Sequence[float] | None = None,
    header: Mapping[str, Any] | None = None,
    extensions: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """The file of an array in its own dtype and byte order, with these fields of the header."""
    fields = kind.header_class(endianness=">" if array.dtype.byteorder == ">" else "<")
    fields.set_data_dtype(array.dtype)
    fields.set_data_shape(array.shape)
    fields.set_sform(np.eye(4) if affine is None else affine)
    if zooms is not None:
        fields.set_zooms(zooms)
    fields["scl_slope"], fields["scl_inter"] = 1, 0
    for name, value in (header or {}).items():
        fields[name] = value
    block = b""
    for code, content in extensions:
        text = Nifti1Extension(code, content).get_content()
        raw = text if isinstance(text, bytes) else content
        length = -(-(len(raw) + 8) // 16) * 16
        block += np.array([length, code], fields.endianness + "i4").tobytes() + raw.ljust(length - 8, b"\0")
    fields["vox_offset"] = len(fields.binaryblock) + 4 + len(block)
    flag = b"\1\0\0\0" if block else bytes(4)
    return fields.binaryblock + flag + block + array.tobytes(order="F")
