"""Reading and writing files and streams: errors of one line, and outputs that appear whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from example_images import picture
from noiseless.errors import ConfigError, ImageError, NoiselessError, OutputError, ValueRangeError
from noiseless.image import Image
from noiseless.io import FORMATS, atomic, read, read_pixels, write

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "photograph.png"
    write(path, picture("uint8", 3))
    return path


def test_an_array_is_no_image_to_write(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"got ndarray. Make one of an array: noiseless.Image.from_array\(array\)"):
        write(tmp_path / "a.png", np.zeros((4, 4), np.uint8))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty: got 0 bytes"),
        (b"hello, this is text", "is not an image: got a file that begins with b'hello, t'"),
        (b"GIF89a....", "is a GIF file, which is not supported"),
        (b"\0\0\0\x18ftypheic....", "a damaged or unusual HEIC file"),
        (b"\0\0\0\x18ftypavif....", "a damaged or unusual AVIF file"),
        (b"\xff\x0a....", "is a JPEG XL file"),
        (b"%PDF-1.7", "is a PDF file"),
        (b"II\x2a\0\x10\0\0\0CR\2\0", "a damaged or unusual camera raw file"),
        (b"\0" * 128 + b"DICM", "the DICOM file holds no image"),
        (b"\x89PNG\r\n\x1a\n", "a damaged or unusual PNG file"),
        (b"II\x2a\0", "a damaged or unusual TIFF file"),
        (b"\xff\xd8\xff\xe0", "a damaged or unusual JPEG file"),
        (b"BM", "is not an image"),
        (b"x", "is not an image"),
    ],
)
def test_what_is_no_image_is_said_in_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "upload.png"
    path.write_bytes(content)
    for source in (path, str(path)):
        with pytest.raises(ImageError) as caught:
            read(source)
        assert words in str(caught.value)
        assert "upload.png" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="the stream"):
        read(io.BytesIO(content))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"missing\.png does not exist"):
        read(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ImageError, match="cannot open"):
        read(tmp_path / "name\0with zero")
    with pytest.raises(ImageError, match="cannot open"):
        read(tmp_path / ("long" * 200))


@pytest.mark.parametrize("reader", [read, read_pixels])
def test_floats_need_a_range(reader: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    write(path, Image.from_array(np.linspace(-1000, 2000, 400, dtype=np.float32).reshape(20, 20), data_range=2000))
    with pytest.raises(ValueRangeError, match=r"scan\.tif: float values lie far outside .* Give data_range"):
        reader(path)
    assert read(path, data_range=(-1000, 2000)).planes().max() == 1


def test_not_finite_values_are_named_with_the_file(tmp_path: Path) -> None:
    array = np.zeros((4, 4), np.float32)
    array[1, 2] = np.nan
    holed = tmp_path / "holed.tif"
    write(holed, Image(array, "YX", (0.0, 1.0)))
    with pytest.raises(ImageError, match=r"holed\.tif: .* 1 NaN and 0 infinite of 16"):
        read(holed)


def test_the_pixel_limit_is_adjustable(photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISELESS_MAX_PIXELS", "100")
    with pytest.raises(ImageError, match="at most 100"):
        read(photograph)
    assert read(photograph, max_pixels=1000).height == 13
    monkeypatch.setenv("NOISELESS_MAX_PIXELS", "many")
    with pytest.raises(ConfigError, match="NOISELESS_MAX_PIXELS"):
        read(photograph)


def test_streams_are_read_and_written(photograph: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(photograph.read_bytes())
    with os.fdopen(reading, "rb") as pipe:
        image = read(pipe)
    np.testing.assert_array_equal(image.array, read(photograph).array)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        write(pipe, image)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == photograph.read_bytes()


@pytest.mark.parametrize("key", [key for key, format_ in FORMATS.items() if not format_.extra])
def test_every_format_can_be_written_to_a_pipe(key: str) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        write(pipe, picture("uint8", 3), format=key)
    with os.fdopen(reading, "rb") as pipe:
        assert read(pipe).array.shape == (13, 21, 3)


def test_a_broken_pipe_is_an_output_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "wb", buffering=0)
    with pytest.raises(OutputError, match="cannot write to the stream"):
        write(pipe, picture("uint8"), format="png")
    pipe.close()


class Nearly(io.RawIOBase):
    """A stream without a buffer, as stdout under `python -u`, that takes a part at a time until it is full."""

    def __init__(self, space: int) -> None:
        self.space, self.taken = space, b""

    def write(self, content: object) -> int:
        """Take at most 100 bytes, or fail where none fits."""
        part = bytes(content)[: min(100, self.space - len(self.taken))]
        if not part:
            raise OSError(28, "No space left on device")
        self.taken += part
        return len(part)


def test_a_stream_that_takes_a_part_at_a_time_gets_all_or_says_so() -> None:
    stream = Nearly(10**6)
    write(stream, picture("uint8", 3), format="png")
    assert read(io.BytesIO(stream.taken)).array.shape == (13, 21, 3)
    with pytest.raises(OutputError, match=r"cannot write to the stream: got No space left.*Free some space"):
        write(Nearly(len(stream.taken) - 1), picture("uint8", 3), format="png")


def test_the_input_is_not_modified(photograph: Path) -> None:
    before = photograph.read_bytes(), photograph.stat().st_mtime_ns
    image = read(photograph)
    image.with_planes(image.planes() * 0)
    assert (photograph.read_bytes(), photograph.stat().st_mtime_ns) == before


class FailingCodec:
    """Writes a little, then fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def refusal(self, image: Image) -> None:
        """Refuses nothing."""

    def encode(self, file: io.BufferedIOBase, image: Image) -> None:
        """Fail half-way."""
        file.write(b"half a file")
        file.flush()
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (OSError(28, "No space left on device"), OutputError, "No space left on device.*Free some space"),
        (ValueError("odd"), OutputError, "cannot encode .*ValueError: odd"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_nothing_is_left_half_written(
    error: BaseException,
    expected: type[BaseException],
    words: str | None,
    photograph: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = photograph.read_bytes()
    monkeypatch.setattr(type(FORMATS["png"]), "codec", lambda self: FailingCodec(error))
    for target in (photograph, photograph.with_name("new.png")):
        with pytest.raises(expected, match=words):
            write(target, picture("uint8"))
    assert photograph.read_bytes() == before
    assert [path.name for path in photograph.parent.iterdir()] == ["photograph.png"]


@POSIX
def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    import resource
    import signal

    image = picture("uint8", size=(500, 500))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for key, format_ in FORMATS.items():
            if format_.extra:  # these take only what was read from them
                continue
            resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
            try:
                with pytest.raises(OutputError, match=f"cannot write .*{key}.*(Free some space|No file of this size)"):
                    write(tmp_path / f"{key}{format_.suffixes[0]}", image)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_said(tmp_path: Path, photograph: Path) -> None:
    image = picture("uint8")
    with pytest.raises(OutputError, match="Create the folder"):
        write(tmp_path / "no" / "such" / "folder.png", image)
    with pytest.raises(OutputError, match="cannot write"):
        write(photograph / "below a file.png", image)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="a folder"):
        write(tmp_path / "folder.png", image)


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write(tmp_path / "a.png", picture("uint8"))


@pytest.mark.parametrize("links", [True, False])
def test_overwriting_can_be_forbidden(links: bool, photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", lambda self, target: (_ for _ in ()).throw(OSError("no links here")))
    before = photograph.read_bytes()
    with pytest.raises(OutputError, match="is there already"):
        write(photograph, picture("uint8"), overwrite=False)
    assert photograph.read_bytes() == before
    new = photograph.with_name("new.png")
    write(new, picture("uint8"), overwrite=False)
    assert read(new).height == 13
    assert len(list(photograph.parent.iterdir())) == 2


def test_a_faster_process_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def write_ours() -> None:
        with atomic.replacing(path, overwrite=False) as file:
            file.write(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(OutputError, match="is there already"):
        write_ours()
    assert path.read_bytes() == b"theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@POSIX
def test_permissions_are_those_of_new_files_or_of_the_file_replaced(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture("uint8"))
    (tmp_path / "b").touch()
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)
    (tmp_path / "a.png").chmod(0o640)
    write(tmp_path / "a.png", picture("uint8"))
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


@POSIX
def test_a_link_is_replaced_and_what_it_points_to_stays(photograph: Path) -> None:
    before = photograph.read_bytes()
    link = photograph.with_name("link.png")
    link.symlink_to(photograph)
    write(link, picture("uint8"))
    assert photograph.read_bytes() == before
    assert not link.is_symlink()


@pytest.mark.parametrize("dtype", ["int16", "uint32", "float64"])
def test_pixels_of_other_types_are_floats_in_unit_range(dtype: str, tmp_path: Path) -> None:
    image = picture(dtype)
    write(tmp_path / "a.tif", image)
    pixels = read_pixels(tmp_path / "a.tif")
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, image.planes()[0], atol=1e-6)


def test_planes_of_a_stack_count_as_channels(tmp_path: Path) -> None:
    array = np.arange(2 * 4 * 5 * 6, dtype=np.uint16).reshape(2, 4, 5, 6)
    write(tmp_path / "a.tif", Image.from_array(array))
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif"), array.reshape(8, 5, 6))


def test_alpha_is_left_out_of_pixels(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture("uint16", 4))
    np.testing.assert_array_equal(
        read_pixels(tmp_path / "a.png"), picture("uint16", 4).array[..., :3].transpose(2, 0, 1)
    )


def test_errors_are_those_of_noiseless() -> None:
    assert issubclass(ImageError, NoiselessError)
    assert (ImageError.exit_code, OutputError.exit_code) == (2, 1)


def test_integers_that_use_next_to_nothing_of_their_range_are_noted(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 252_000, (16, 16), np.int32)
    write(tmp_path / "counts.tif", Image.from_array(counts))
    (note,) = read(tmp_path / "counts.tif").metadata["notes"]
    assert note.startswith(f"{counts.min()} to {counts.max()} is next to nothing of -2147483648 to 2147483647")
    assert "notes" not in read(tmp_path / "counts.tif", data_range=(0, 252_000)).metadata
    for fine in (counts * 8_000, np.zeros((16, 16), np.int32), (counts // 200).astype(np.uint16)):
        write(tmp_path / "fine.tif", Image.from_array(fine))
        assert "notes" not in read(tmp_path / "fine.tif").metadata
