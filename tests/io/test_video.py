"""Films: what is not changed stays as it is, to the bit and the time stamp; what is damaged is one clear line."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from noiseless.errors import ImageError, MissingExtraError, OutputError, UnknownNameError
from noiseless.io import video
from noiseless.io.video import Depiction, rewriting
from noiseless.io.video_source import is_film

av = pytest.importorskip("av")

TIMES = [0, 40, 90, 130, 210, 250]
"""Milliseconds at which frames are shown: not evenly."""


def save_film(path: Path, codec: str = "ffv1", pixels: str = "yuv420p", *, size: tuple[int, int] = (50, 70)) -> Path:
    """A film of six frames with sound and a subtitle, BT.2020 colours and stamps that are not even."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream(codec, rate=24, options={"crf": "1"} if codec.startswith("lib") else {})
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for tag, value in (("color_primaries", 9), ("color_trc", 16), ("colorspace", 9), ("color_range", 1)):
            setattr(stream.codec_context, tag, value)
        sound = film.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=8000)
        sound.layout = "mono"
        film.metadata["title"] = "A test"
        samples = (10000 * np.sin(np.arange(2048) / 9)).astype(np.int16).reshape(1, -1)
        heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        heard.sample_rate = 8000
        film.mux(sound.encode(heard) + sound.encode(None))
        for number, time in enumerate(TIMES):
            film.mux(stream.encode(drawn(number, time, size, pixels)))
        film.mux(stream.encode())
    return path


def drawn(number: int, time: int, size: tuple[int, int], pixels: str) -> object:
    frame = av.VideoFrame(size[1], size[0], pixels)
    random = np.random.default_rng(number)
    white = 2 ** video._bits(pixels) - 1
    kind = np.uint16 if white > 255 else np.uint8
    planes = [(white * (0.3 + 0.4 * random.random((plane.height, plane.width)))).astype(kind) for plane in frame.planes]
    frame = video._frame_of(planes, frame)
    frame.pts, frame.time_base = time, Fraction(1, 1000)
    return frame


def packets(path: Path, kind: str) -> list[tuple[bytes, int | None]]:
    with av.open(str(path)) as film:
        (stream,) = [stream for stream in film.streams if stream.type == kind]
        return [(bytes(packet), packet.pts) for packet in film.demux(stream) if packet.size]


def frames(path: Path) -> list[tuple[float, list[np.ndarray]]]:
    with av.open(str(path)) as film:
        return [(round(frame.time, 3), video._planes(frame)) for frame in film.decode(video=0)]


def unchanged(source: Path, target: Path) -> None:
    with rewriting(source, target) as film:
        for picture, _ in film.pictures():
            film.put(picture)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p10le", "yuv420p10le", "gray"])
def test_what_is_not_changed_stays_to_the_bit(tmp_path: Path, pixels: str) -> None:
    source = save_film(tmp_path / "a.mkv", pixels=pixels)
    unchanged(source, tmp_path / "b.mkv")
    before, after = frames(source), frames(tmp_path / "b.mkv")
    assert [time for time, _ in after] == [time / 1000 for time in TIMES]
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    assert packets(tmp_path / "b.mkv", "audio") == packets(source, "audio")
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv")) as other:
        for tag in ("pix_fmt", "color_primaries", "color_trc", "colorspace", "color_range", "name"):
            assert getattr(other.streams.video[0].codec_context, tag) == getattr(
                one.streams.video[0].codec_context, tag
            )
        assert other.metadata["title"] == "A test"


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"), [(".mp4", "libx264", "yuv420p10le"), (".mov", "libx265", "yuv420p")]
)
def test_codec_and_bits_are_kept_in_other_containers(tmp_path: Path, suffix: str, codec: str, pixels: str) -> None:
    source = save_film(tmp_path / f"a{suffix}", codec, pixels, size=(64, 64))
    unchanged(source, tmp_path / f"b{suffix}")
    with av.open(str(source)) as one, av.open(str(tmp_path / f"b{suffix}")) as other:
        contexts = [film.streams.video[0].codec_context for film in (one, other)]
        assert contexts[0].name == contexts[1].name
        assert contexts[1].pix_fmt == pixels
    assert [time for time, _ in frames(tmp_path / f"b{suffix}")] == [time for time, _ in frames(source)]
    assert [data for data, _ in packets(tmp_path / f"b{suffix}", "audio")] == [
        data for data, _ in packets(source, "audio")
    ]


def test_a_container_without_the_codec_takes_another(tmp_path: Path) -> None:
    source = save_film(tmp_path / "a.mkv", pixels="yuv420p10le", size=(64, 64))
    with rewriting(source, tmp_path / "b.mp4") as film:
        assert film.note == ""  # HEVC holds 10 bits where ffv1 does not fit
        for picture, _ in film.pictures():
            film.put(picture)
    with av.open(str(tmp_path / "b.mp4")) as written:
        assert written.streams.video[0].codec_context.pix_fmt == "yuv420p10le"


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shape", [(4, 6), (5, 7)])
def test_planes_show_the_colours_that_were_meant(full: bool, shape: tuple[int, int]) -> None:
    depiction = Depiction(8, False, full, *video.HIGH_DEFINITION)
    half = -(-shape[0] // 2), -(-shape[1] // 2)
    white, black = (255, 0) if full else (235, 16)
    grey = [np.full(half, 128, np.uint8)] * 2
    assert np.allclose(depiction.shown([np.full(shape, white, np.uint8), *grey]), 1)
    assert np.allclose(depiction.shown([np.full(shape, black, np.uint8), *grey]), 0)
    planes = [np.full(shape, 100, np.uint8), *grey]
    change = np.zeros((3, *shape), np.float32)
    change[0] += 0.2  # more red
    new = depiction.changed(planes, change)
    assert [plane.shape for plane in new] == [plane.shape for plane in planes]
    turned = depiction.shown(new) - depiction.shown(planes)
    assert np.allclose(turned, change, atol=0.01)


def test_films_are_known_by_their_content(tmp_path: Path) -> None:
    source = save_film(tmp_path / "a.mkv")
    renamed = source.rename(tmp_path / "film.bin")
    assert is_film(renamed)
    (tmp_path / "text").write_text("ftyp is what it is about")
    assert not is_film(tmp_path / "text")
    assert not is_film(tmp_path / "gone")


def test_what_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    source = save_film(tmp_path / "a.mkv")
    with pytest.raises(UnknownNameError, match=r"suffix '\.xyz'"), rewriting(source, tmp_path / "b.xyz"):
        pass
    (tmp_path / "bad.mkv").write_bytes(source.read_bytes()[:40] + bytes(range(256)) * 20)
    with (
        pytest.raises((ImageError, OutputError), match=r"bad\.mkv"),
        rewriting(tmp_path / "bad.mkv", tmp_path / "b.mkv"),
    ):
        pass
    with av.open(str(tmp_path / "sound.mkv"), "w") as film:
        sound = film.add_stream("pcm_s16le", rate=8000)
        sound.layout = "mono"
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        heard.sample_rate = 8000
        film.mux(sound.encode(heard))
    with pytest.raises(ImageError, match="holds no pictures"), rewriting(tmp_path / "sound.mkv", tmp_path / "b.mkv"):
        pass
    assert not list(tmp_path.glob("b.*"))
    assert not list(tmp_path.glob(".*"))


def test_a_film_cut_before_its_first_picture_is_one_clear_line(tmp_path: Path) -> None:
    data = save_film(tmp_path / "a.mkv", "mpeg4").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: data.index(b"\x1fC\xb6u") + 16])  # a few bytes of the first cluster
    with (
        pytest.raises(ImageError, match=r"cut\.mkv holds no pictures: got a film without a picture"),
        rewriting(tmp_path / "cut.mkv", tmp_path / "b.mkv"),
    ):
        pass
    assert not list(tmp_path.glob("b.*"))


def test_pictures_that_change_their_size_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    with av.open(str(source), "w") as film:
        stream = film.add_stream("mjpeg", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        film.mux(stream.encode(drawn(0, 0, (48, 64), "yuvj420p")))
        with av.open(str(tmp_path / "other.mkv"), "w") as other:
            larger = other.add_stream("mjpeg", rate=24)
            larger.height, larger.width, larger.pix_fmt = 480, 640, "yuvj420p"
            for packet in larger.encode(drawn(1, 40, (480, 640), "yuvj420p")):
                packet.stream = stream
                film.mux(packet)
    with pytest.raises(ImageError, match="change their size"), rewriting(source, tmp_path / "clean.mkv") as film:
        list(film.pictures())
    assert not (tmp_path / "clean.mkv").exists()


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"noiseless\[video\]"), rewriting(tmp_path / "a", tmp_path / "b.mkv"):
        pass
