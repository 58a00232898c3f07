"""DICOM files made with pydicom, for the tests."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

PRIVATE = 0x0099


def dataset_of(array: np.ndarray, **elements: Any) -> pydicom.Dataset:
    """A secondary capture or, with other elements, any image; (rows, columns), frames first, colours last."""
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["image"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Müller^Ada", "17", "OT"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.private_block(PRIVATE, "NOISY SCANNERS", create=True).add_new(1, "LO", "private note")
    colour = array.ndim >= 3 and array.shape[-1] == 3
    frames = array.shape[0] if array.ndim == 3 + colour else 1
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = array.shape[-3:-1] if colour else array.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = array.dtype.itemsize * 8
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.HighBit = dataset.BitsStored - 1
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OB" if array.dtype.itemsize == 1 else "OW", data + b"\0" * (len(data) % 2))
    return dataset


def saved(dataset: pydicom.Dataset) -> bytes:
    """The file of a data set."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom(array: np.ndarray, **elements: Any) -> bytes:
    """The file of an image; see `dataset_of`."""
    return saved(dataset_of(array, **elements))


def bundled(name: str) -> Path:
    """A file that comes with pydicom."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    return Path(path)
