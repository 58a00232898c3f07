"""DICOM: kinds of pixels, the range of values, what the header says afterwards, and what is refused."""

from __future__ import annotations

import io
import warnings
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1, generate_uid

from dicom_files import PRIVATE, bundled, dataset_of, dicom, saved
from noiseless.errors import ImageError, ValueRangeError
from noiseless.image import Image
from noiseless.io import denoised_mark, read, with_denoised_mark, write
from noiseless.io import dicom as codec

RANDOM = np.random.default_rng(0)
TWELVE = RANDOM.integers(0, 4096, (16, 20)).astype(np.uint16)
SIGNED = RANDOM.integers(-1024, 3071, (16, 20)).astype(np.int16)

READABLE = (
    *("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
    *("MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG2000.dcm", "JPGExtended.dcm"),
    *("693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "GDCMJ2K_TextGBR.dcm", "JPEGLSNearLossless_16.dcm"),
    *("SC_rgb_jpeg.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_small_odd.dcm"),
    *("SC_rgb_small_odd_big_endian.dcm", "SC_ybr_full_422_uncompressed.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm"),
    *("examples_palette.dcm", "examples_overlay.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm"),
)
"""Files of pydicom: scanners, compressions, byte orders and colour spaces that differ."""


def opened(data: bytes) -> Image:
    return read(io.BytesIO(data))


def rewritten(image: Image) -> pydicom.Dataset:
    stream = io.BytesIO()
    write(stream, with_denoised_mark(image.with_planes(image.planes()), "gray-small", 1))
    assert opened(stream.getvalue()).axes == image.axes
    stream.seek(0)
    return pydicom.dcmread(stream)


def as_pydicom_reads(name: str) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has something to say on most real files
        return pydicom.dcmread(bundled(name))


def compressed(array: np.ndarray, encoder: Any, syntax: str) -> bytes:
    dataset = dataset_of(array, BitsStored=12)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([encoder(array)])
    dataset["PixelData"].is_undefined_length = True
    return saved(dataset)


@pytest.mark.parametrize("name", READABLE)
def test_files_of_many_makers_come_back(name: str) -> None:
    image = read(bundled(name))
    after = rewritten(image)
    assert denoised_mark(image) is None
    again = opened(saved(after))
    np.testing.assert_array_equal(again.array, image.array)
    assert (again.data_range, again.bits, again.axes) == (image.data_range, image.bits, image.axes)
    assert denoised_mark(again) == "gray-small at strength 1"
    before = as_pydicom_reads(name)
    kept = {"PatientName", "PatientID", "StudyInstanceUID", "Modality", "RescaleSlope", "RescaleIntercept", "Rows"}
    for keyword in (kept | {"PixelSpacing", "ImagePositionPatient", "WindowCenter"}) & set(before.dir()):
        assert after[keyword].value == before[keyword].value, keyword


@pytest.mark.parametrize(
    "array",
    [
        *(TWELVE, SIGNED, SIGNED.astype(np.int8), TWELVE.astype(np.uint8), TWELVE.astype(np.uint32)),
        *(TWELVE.reshape(4, 8, 10), TWELVE[:, :15].reshape(16, 5, 3).astype(np.uint8), TWELVE[:1, :1], TWELVE[:3, :1]),
        RANDOM.integers(0, 255, (3, 5, 7, 3)).astype(np.uint8),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
@pytest.mark.parametrize("monochrome", ["MONOCHROME1", "MONOCHROME2"])
def test_kinds_of_pixels_survive(array: np.ndarray, monochrome: str) -> None:
    colour = array.shape[-1] == 3 and array.ndim > 2
    data = dicom(array, **({} if colour else {"PhotometricInterpretation": monochrome}))
    image = opened(data)
    assert image.count == (array.shape[0] if array.ndim == 3 + colour else 1)
    after = rewritten(image)
    np.testing.assert_array_equal(np.squeeze(after.pixel_array), np.squeeze(array))
    assert after.get("PhotometricInterpretation") == ("RGB" if colour else monochrome)


def test_white_is_high_whatever_the_file_says() -> None:
    usual, turned = (
        opened(dicom(TWELVE, BitsStored=12)),
        opened(dicom(4095 - TWELVE, BitsStored=12, PhotometricInterpretation="MONOCHROME1")),
    )
    np.testing.assert_array_equal(turned.planes(), usual.planes())
    hounsfield = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}
    for array in (SIGNED, TWELVE):
        plain = opened(dicom(array, **hounsfield)).planes()
        negative = opened(dicom(array, **hounsfield, PhotometricInterpretation="MONOCHROME1")).planes()
        np.testing.assert_allclose(negative, 1 - plain, atol=1e-4)


@pytest.mark.parametrize(
    ("array", "elements", "expected"),
    [
        (TWELVE, {"BitsStored": 12}, (0, 4095)),
        (TWELVE, {"BitsStored": 16, "WindowCenter": 40, "WindowWidth": 80}, (0, 65535)),
        (TWELVE, {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}, (0, 4095)),
        (SIGNED, {"Modality": "CT", "RescaleSlope": 2, "RescaleIntercept": 0}, (-512, 1535.5)),
        (SIGNED, {"Modality": "CT"}, (-1024, 3071)),
        (SIGNED, {"Modality": "OT", "RescaleType": "HU"}, (-1024, 3071)),
        (SIGNED, {"Modality": "MR", "WindowCenter": [600, 1], "WindowWidth": [1600, 1]}, (-200, 1400)),
        (SIGNED, {"Modality": "MR"}, (0, 32767)),
        (SIGNED, {"Modality": "CT", "RescaleSlope": 0, "RescaleIntercept": 0}, (-1024, 3071)),
    ],
)
def test_the_range_follows_the_header(array: np.ndarray, elements: dict[str, Any], expected: tuple[float, ...]) -> None:
    assert opened(dicom(array, **elements)).data_range == expected
    darker = (array // 4).astype(array.dtype)
    assert opened(dicom(darker, **elements)).data_range == expected, "depends on the values"
    assert read(io.BytesIO(dicom(array, **elements)), data_range=(0, 99)).data_range == (0, 99)


def test_frames_of_enhanced_images_have_their_own_rescale() -> None:
    transformation = pydicom.Dataset()
    transformation.RescaleSlope, transformation.RescaleIntercept = 2, -1024
    kind = pydicom.Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    frame = pydicom.Dataset()
    frame.PixelValueTransformationSequence, frame.CTImageFrameTypeSequence = [transformation], [kind]
    data = dicom(TWELVE.reshape(2, 8, 20), Modality="CT", PerFrameFunctionalGroupsSequence=[frame, frame])
    image = opened(data)
    assert (image.data_range, image.axes) == ((0, 2047.5), "ZYX")
    after = rewritten(image)
    for group in after.PerFrameFunctionalGroupsSequence:
        assert group.CTImageFrameTypeSequence[0].FrameType == ["DERIVED", "PRIMARY", "VOLUME", "NONE"]


def test_frames_in_time_are_told_from_slices() -> None:
    assert opened(dicom(TWELVE.reshape(4, 8, 10))).axes == "ZYX"
    assert opened(dicom(TWELVE.reshape(4, 8, 10), FrameTime=33.3)).axes == "TYX"


@pytest.mark.parametrize("value", [-2000, 63536])
def test_padding_is_hidden_and_never_changes(value: int) -> None:
    padded = SIGNED.copy()
    padded[:5] = -2000
    dataset = dataset_of(padded, Modality="CT")
    dataset.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
    image = opened(saved(dataset))
    assert image.hidden is not None
    np.testing.assert_array_equal(image.hidden, padded == -2000)
    planes = image.planes()
    assert planes.min() >= 0, "padding is seen"
    after = image.with_planes(planes * 0.5).array
    np.testing.assert_array_equal(after[:5], padded[:5])
    assert after[5:].max() < padded.max()


def test_the_header_says_that_the_image_is_derived() -> None:
    before = dataset_of(TWELVE, SeriesDescription="Thorax", DerivationDescription="window", ImageType=["ORIGINAL"])
    after = rewritten(opened(saved(before)))
    assert after.ImageType == ["DERIVED", "PRIMARY"]
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID != before.SOPInstanceUID
    assert after.SOPClassUID == before.SOPClassUID
    assert after.DerivationDescription == "window; noiseless: gray-small at strength 1"
    assert after.DerivationCodeSequence[0].CodeMeaning == "Smoothing"
    assert after.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert after.ContributingEquipmentSequence[0].Manufacturer == "noiseless"
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert after.SeriesDescription == "Thorax (denoised)"
    assert after[PRIVATE, 0x1001].value == "private note"
    assert after.PatientName == "Müller^Ada"
    assert {element.tag for element in before} <= {element.tag for element in after}


def test_slices_of_a_series_stay_one_series() -> None:
    slices = [dataset_of(TWELVE, SOPInstanceUID=generate_uid(), InstanceNumber=number) for number in range(3)]
    after = [rewritten(opened(saved(each))) for each in slices]
    assert len({each.SeriesInstanceUID for each in after}) == 1
    assert len({each.SOPInstanceUID for each in after}) == 3
    assert [each.InstanceNumber for each in after] == [0, 1, 2]


def test_denoising_twice_keeps_both_marks_and_the_series() -> None:
    once = opened(saved(rewritten(opened(dicom(TWELVE)))))
    twice = rewritten(once)
    assert twice.DerivationDescription == "noiseless: gray-small at strength 1, then gray-small at strength 1"
    assert twice.SeriesInstanceUID == once.metadata["dicom"].dataset.SeriesInstanceUID
    assert len(twice.ContributingEquipmentSequence) == 2


def test_statements_on_the_pixels_stay_true() -> None:
    image = opened(dicom(TWELVE, BitsStored=12, SmallestImagePixelValue=0, LargestImagePixelValue=4095))
    stream = io.BytesIO()
    write(stream, image.with_planes(np.full((1, 1, 16, 20), 0.5, np.float32)))
    after = pydicom.dcmread(io.BytesIO(stream.getvalue()))
    assert (after.SmallestImagePixelValue, after.LargestImagePixelValue) == (2048, 2048)


def test_lossless_jpeg_needs_no_other_package() -> None:
    data = compressed(TWELVE, lambda array: imagecodecs.ljpeg_encode(array, bitspersample=12), JPEGLosslessSV1)
    image = opened(data)
    np.testing.assert_array_equal(image.array, TWELVE)
    assert rewritten(image).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_overlays_in_unused_bits_are_left_out_and_said() -> None:
    dataset = dataset_of(TWELVE, BitsStored=12)
    dataset.add_new((0x6000, 0x0010), "US", 16)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    image = opened(saved(dataset))
    assert image.metadata["notes"] == (codec.OVERLAY_NOTE,)
    assert (0x6000, 0x0010) not in rewritten(image)


def test_floats_need_a_range_unless_they_are_in_one() -> None:
    dataset = dataset_of(TWELVE, BitsAllocated=32)
    del dataset.PixelData
    dataset.add_new("FloatPixelData", "OF", (TWELVE / 4096).astype("<f4").tobytes())
    image = opened(saved(dataset))
    assert (image.array.dtype, image.bits) == (np.float32, None)
    np.testing.assert_array_equal(rewritten(image).pixel_array, image.array)
    dataset.FloatPixelData = TWELVE.astype("<f4").tobytes()
    with pytest.raises(ValueRangeError, match="data_range"):
        opened(saved(dataset))


def test_other_formats_take_the_pixels_but_dicom_takes_only_its_own() -> None:
    image = opened(dicom(TWELVE, BitsStored=12))
    stream = io.BytesIO()
    write(stream, image, format="tiff")
    back = opened(stream.getvalue())
    np.testing.assert_array_equal(back.array, TWELVE)
    assert back.data_range == (0, 4095)
    with pytest.raises(ImageError, match=r"neither patient nor position.*TIFF \(\.tif\)"):
        write(io.BytesIO(), Image.from_array(TWELVE), format="dicom")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: bundled("rtdose.dcm").read_bytes(), "dose"),
        (lambda: bundled("liver_1frame.dcm").read_bytes(), "segmentation"),
        (lambda: bundled("reportsi.dcm").read_bytes(), "holds no image: got Basic Text SR Storage"),
        (lambda: bundled("MR_truncated.dcm").read_bytes(), "less than expected"),
        (lambda: dicom(TWELVE, Rows=65535, Columns=65535, NumberOfFrames=99), "enormous"),
        (lambda: dicom(TWELVE, Rows=0), "no pixels"),
        (lambda: dicom(TWELVE, BitsStored=17), "damaged or unusual"),
    ],
)
def test_what_is_no_image_is_said_in_one_line(data: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        opened(data())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm", "GDCMJ2K_TextGBR.dcm"])
def test_a_frame_that_claims_another_size_than_the_header_is_refused(name: str) -> None:
    dataset = as_pydicom_reads(name)
    dataset.Rows += 1
    with pytest.raises(ImageError, match="damaged"):
        opened(saved(dataset))


def test_a_deflated_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bundled("image_dfl.dcm").read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    deflate = zlib.compressobj(wbits=-15)
    bomb = data[:start] + deflate.compress(bytes(1 << 22)) + deflate.flush()
    monkeypatch.setattr(codec, "DEFLATED_LIMIT", 1 << 20)
    with pytest.raises(ImageError, match=r"enormous.*deflated"):
        opened(bomb)


def test_a_file_that_is_tiff_and_dicom_is_taken_for_dicom() -> None:
    dual = bundled("CT_small.dcm").read_bytes()
    assert dual[:4] == b"II*\0"
    assert opened(dual).metadata["format"] == "dicom"
