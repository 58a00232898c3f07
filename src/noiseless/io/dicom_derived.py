"""What the header of a DICOM image says once its pixels were denoised. DICOM PS3.3 C.7.6.1, C.12.1 and C.12.4.

The new image is DERIVED, has an instance number of its own, names the image it came from and what made it, and goes
into a series beside that of the originals, the same for all slices of one series. All else, private elements included,
stays as it was.
"""

from __future__ import annotations

import copy
import datetime
import re
from typing import TYPE_CHECKING, Any

from noiseless._version import __version__

if TYPE_CHECKING:
    from pydicom import Dataset

LONGEST_DESCRIPTION = 1024
LONGEST_SERIES = 64
DENOISED = " (denoised)"

SMOOTHING = ("113087", "DCM", "Smoothing")
SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")
PROCESSING_EQUIPMENT = ("109102", "DCM", "Processing Equipment")

INVALID = ("DigitalSignaturesSequence", "MACParametersSequence")
"""Elements that vouch for pixels that are no longer there."""

FRAME_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
OVERLAY_GROUPS = range(0x6000, 0x6020, 2)

_MARK = re.compile(r"noiseless: (.+)", re.DOTALL)


def mark_of(dataset: Dataset) -> str | None:
    """The mark of an image that noiseless denoised before."""
    found = _MARK.search(str(dataset.get("DerivationDescription") or ""))
    return found.group(1).strip() if found else None


def derived(source: Dataset, mark: str | None) -> Dataset:
    """A copy of the header of `source` for an image derived from it.

    Args:
        source: without pixels; not changed.
        mark: what denoised it.
    """
    from pydicom.uid import generate_uid

    dataset = copy.deepcopy(source)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    if "SOPClassUID" in source and "MediaStorageSOPClassUID" not in dataset.file_meta:
        dataset.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    if source.get("SeriesInstanceUID") and mark_of(source) is None:
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[str(source.SeriesInstanceUID), "noiseless"])
        title = str(source.get("SeriesDescription") or "")
        dataset.SeriesDescription = title[: LONGEST_SERIES - len(DENOISED)] + DENOISED if title else DENOISED.strip()
    now = datetime.datetime.now()
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    _say_derived(dataset)
    _describe(dataset, source, mark)
    for name in INVALID:
        if name in dataset:
            delattr(dataset, name)
    return dataset


def frame_group(dataset: Dataset, name: str) -> Dataset | None:
    """The first item of a functional group of an enhanced image, of all frames or of the first."""
    for groups in FRAME_GROUPS:
        for item in (dataset.get(groups) or [])[:1]:
            for group in (item.get(name) or [])[:1]:
                return group  # type: ignore[no-any-return]
    return None


def forget_palette(dataset: Dataset) -> None:
    """Remove the palette of an image whose colours are in the pixels now."""
    for element in [element for element in dataset.group_dataset(0x0028) if "PaletteColor" in element.keyword]:
        del dataset[element.tag]


def forget_embedded_overlays(dataset: Dataset) -> bool:
    """Remove overlays whose data lay in unused bits of the pixels; whether there were any."""
    embedded = [
        group
        for group in OVERLAY_GROUPS
        if (group, 0x0100) in dataset and (group, 0x3000) not in dataset and dataset[group, 0x0100].value != 1
    ]
    for group in embedded:
        for element in list(dataset.group_dataset(group)):
            del dataset[element.tag]
    return bool(embedded)


def _say_derived(dataset: Dataset) -> None:
    """The first value of ImageType, and of every FrameType, becomes DERIVED."""
    dataset.ImageType = _derived_type(dataset.get("ImageType"))
    for groups in FRAME_GROUPS:
        for item in dataset.get(groups) or []:
            for kind in (element.value[0] for element in item if element.VR == "SQ" and element.value):
                if "FrameType" in kind:
                    kind.FrameType = _derived_type(kind.FrameType)


def _derived_type(values: Any) -> list[str]:
    rest = [values] if isinstance(values, str) else list(values or [])
    return ["DERIVED", *(rest[1:] or ["PRIMARY"])]


def _describe(dataset: Dataset, source: Dataset, mark: str | None) -> None:
    """Where the image came from, what was done, and with what."""
    if mark:
        before = _MARK.sub("", str(source.get("DerivationDescription") or "")).strip(" ;")
        text = f"noiseless: {mark}"
        dataset.DerivationDescription = (f"{before}; {text}" if before else text)[-LONGEST_DESCRIPTION:]
        dataset.DerivationCodeSequence = [*(source.get("DerivationCodeSequence") or []), _code(*SMOOTHING)]
    if source.get("SOPClassUID") and source.get("SOPInstanceUID"):
        dataset.SourceImageSequence = [
            _item(
                ReferencedSOPClassUID=source.SOPClassUID,
                ReferencedSOPInstanceUID=source.SOPInstanceUID,
                PurposeOfReferenceCodeSequence=[_code(*SOURCE_IMAGE)],
            )
        ]
    equipment = _item(
        PurposeOfReferenceCodeSequence=[_code(*PROCESSING_EQUIPMENT)],
        Manufacturer="noiseless",
        ManufacturerModelName=(mark or "noiseless")[-LONGEST_SERIES:],
        SoftwareVersions=__version__,
    )
    dataset.ContributingEquipmentSequence = [*(source.get("ContributingEquipmentSequence") or []), equipment]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**elements: Any) -> Dataset:
    from pydicom import Dataset as NewDataset

    item = NewDataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item
