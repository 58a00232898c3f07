"""Films: frames in and out through PyAV (FFmpeg), everything else copied as it is.

A frame is shown to a denoiser in red, green and blue, and what that changes is added to the values as stored: a frame
that is not changed keeps each of its values, and colours outside of RGB survive. Sound, subtitles, chapters, time
stamps, colour tags and bits per sample stay those of the film.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from noiseless.errors import ImageError, NoiselessError, OutputError, UnknownNameError, missing_extra
from noiseless.io.atomic import replacing
from noiseless.io.formats import SUFFIXES_ALIKE
from noiseless.io.limits import check_pixels, pixel_limit
from noiseless.io.reading import damaged
from noiseless.io.video_source import opened

CONTAINERS = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
}
"""What a film can be written as, by its suffix, and FFmpeg's name for it."""

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"crf": "16"}),
    "hevc": ("libx265", {"crf": "18", "x265-params": "log-level=error"}),
    "vp9": ("libvpx-vp9", {"crf": "20", "b": "0"}),
    "av1": ("libsvtav1", {"crf": "20"}),
    "ffv1": ("ffv1", {}),
    "mjpeg": ("mjpeg", {"qmin": "2", "qmax": "2"}),
}
"""For each codec what writes it, and how: so that one sees no difference."""

OTHERWISE = ("h264", "hevc", "ffv1", "vp9")
"""Codecs for a film whose own is not in the table, or cannot be in the container, or cannot hold its bits."""

PLANAR = tuple(
    f"{kind}{depth}"
    for kind in ("yuv420p", "yuv422p", "yuv444p", "gbrp", "gray")
    for depth in ("", "10le", "12le", "16le")
)
"""Pixel formats that are worked on as they are."""

RED_BLUE = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Weights of red and blue in luma, for FFmpeg's numbers of colour spaces."""
STANDARD, HIGH_DEFINITION = (0.299, 0.114), (0.2126, 0.0722)
UNSPECIFIED = (0, 2)
FULL_RANGE = 2

Array = npt.NDArray[np.float32]


def container_of(path: Path) -> str:
    """FFmpeg's name of the container that a file name asks for.

    Raises:
        UnknownNameError: none has this suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UnknownNameError(f"film format of {path.name!r}: suffix", suffix, CONTAINERS, alike=SUFFIXES_ALIKE)
    return CONTAINERS[suffix]


@dataclass(frozen=True)
class Depiction:
    """How stored planes show colours.

    Attributes:
        bits: of each sample.
        rgb: whether the planes are green, blue and red.
        full: whether black and white are the limits of the bits.
        red: weight in luma.
        blue: weight in luma.
    """

    bits: int
    rgb: bool
    full: bool
    red: float
    blue: float

    def shown(self, planes: list[npt.NDArray[Any]]) -> Array:
        """Red, green and blue, or grey: (C, H, W), in [0, 1] units, not clipped."""
        if self.rgb:
            return np.stack([planes[index] / np.float32(self._white) for index in (2, 0, 1)]).astype(np.float32)
        luma = (planes[0].astype(np.float32) - self._black) / self._luma_span
        if len(planes) == 1:
            return luma[np.newaxis]
        middle = np.float32(2 ** (self.bits - 1))
        blue, red = (
            (_widened(plane, luma.shape).astype(np.float32) - middle) / self._chroma_span for plane in planes[1:3]
        )
        r = luma + np.float32(2 * (1 - self.red)) * red
        b = luma + np.float32(2 * (1 - self.blue)) * blue
        g = (luma - np.float32(self.red) * r - np.float32(self.blue) * b) / np.float32(1 - self.red - self.blue)
        return np.stack([r, g, b])

    def changed(self, planes: list[npt.NDArray[Any]], change: Array) -> list[npt.NDArray[Any]]:
        """Stored planes after a change of what they show, (C, H, W)."""
        if self.rgb:
            steps = [change[index] * np.float32(self._white) for index in (1, 2, 0)]
        elif len(planes) == 1:
            steps = [change[0] * self._luma_span]
        else:
            r, g, b = change
            luma = np.float32(self.red) * r + np.float32(1 - self.red - self.blue) * g + np.float32(self.blue) * b
            blue = _narrowed((b - luma) / np.float32(2 * (1 - self.blue)), planes[1].shape)
            red = _narrowed((r - luma) / np.float32(2 * (1 - self.red)), planes[2].shape)
            steps = [luma * self._luma_span, blue * self._chroma_span, red * self._chroma_span]
        limits = 0, self._white
        return [np.rint(old + step).clip(*limits).astype(old.dtype) for old, step in zip(planes, steps, strict=True)]

    @property
    def _white(self) -> int:
        return int(2**self.bits - 1)

    @property
    def _black(self) -> np.float32:
        return np.float32(0 if self.full else 16 * 2 ** (self.bits - 8))

    @property
    def _luma_span(self) -> np.float32:
        return np.float32(self._white if self.full else 219 * 2 ** (self.bits - 8))

    @property
    def _chroma_span(self) -> np.float32:
        return np.float32(self._white if self.full else 224 * 2 ** (self.bits - 8))


class Film:
    """A film that is rewritten frame by frame; made by `rewriting`.

    Attributes:
        bits: of each sample.
        note: what cannot be kept; empty where all is.
    """

    def __init__(self, source: Any, target: Any) -> None:
        self._source, self._target = source, target
        self._in = source.streams.video[0]
        self._in.thread_type = "AUTO"
        context = self._in.codec_context
        check_pixels((context.height, context.width), pixel_limit())
        self._format = _worked_on(context.pix_fmt)
        self.bits = _bits(self._format)
        self._out, self.note = _video_stream(self._in, target, self._format)
        self._copied = _copied_streams(source, target)
        self._waiting: deque[tuple[Any, list[npt.NDArray[Any]], Depiction, Array]] = deque()
        target.metadata.update(source.metadata)
        with contextlib.suppress(AttributeError, ValueError):
            target.set_chapters(source.chapters())

    def pictures(self) -> Iterator[tuple[Array, float]]:
        """The frames, (C, H, W) in [0, 1] units, and the share of the film that each ends, 0 to 1."""
        for packet in self._source.demux([self._in, *self._copied]):
            if packet.stream is not self._in:
                self._copy(packet)
                continue
            for frame in packet.decode():
                yield self._taken(frame), self._share(frame)

    def put(self, picture: Array) -> None:
        """The new look of the oldest frame that has none yet."""
        frame, planes, depiction, shown = self._waiting.popleft()
        new = _frame_of(depiction.changed(planes, picture - shown), frame)
        self._target.mux(self._out.encode(_in_format(new, self._out.codec_context.pix_fmt)))

    def finish(self) -> None:
        """All frames have been put."""
        self._target.mux(self._out.encode())

    def _taken(self, frame: Any) -> Array:
        if (frame.height, frame.width) != (self._out.height, self._out.width):
            raise ImageError("the pictures of the film change their size", got=f"{frame.width} x {frame.height}")
        frame = _in_format(frame, self._format)
        planes = _planes(frame)
        depiction = _depiction(frame, self._in.codec_context)
        shown = depiction.shown(planes)
        self._waiting.append((frame, planes, depiction, shown))
        return shown

    def _share(self, frame: Any) -> float:
        duration = self._source.duration
        if not duration or frame.time is None:
            return 0.0
        start = (self._source.start_time or 0) / 1e6
        return float(min(max((frame.time - start) / (duration / 1e6), 0.0), 1.0))

    def _copy(self, packet: Any) -> None:
        if packet.dts is None:  # the empty packet at the end
            return
        packet.stream = self._copied[packet.stream]
        self._target.mux(packet)


@contextlib.contextmanager
def rewriting(source: Path, target: Path) -> Iterator[Film]:
    """Open a film and what becomes of it, which appears at `target` when the block ends without an error.

    Raises:
        MissingExtraError: PyAV is not installed.
        ImageError: no film, a damaged one, or one without pictures.
        UnknownNameError: no container has the suffix of the target.
        OutputError: the target cannot be written, or not in such a container.
    """
    kind = container_of(target)
    try:
        import av
    except ModuleNotFoundError as error:
        raise missing_extra("denoising a film", error) or error from None
    with contextlib.ExitStack() as stack:
        with _saying_what_is_wrong(source, av):
            read = stack.enter_context(opened(source))
        file = stack.enter_context(replacing(target))
        stack.enter_context(_saying_what_is_wrong(source, av))
        written = stack.enter_context(av.open(file, "w", format=kind))
        film = Film(read, written)
        yield film
        film.finish()


@contextlib.contextmanager
def _saying_what_is_wrong(path: Path, av: Any) -> Iterator[None]:
    try:
        yield
    except NoiselessError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist", fix="Check the path.") from None
    except av.error.InvalidDataError as error:
        raise damaged(str(path), "film", error) from error
    except av.error.FFmpegError as error:
        raise OutputError(f"cannot rewrite the film {path}", got=error.strerror) from error


def _worked_on(name: str) -> str:
    """The pixel format that frames of another are turned into, with no fewer bits."""
    if name in PLANAR:
        return name
    from av.video.format import VideoFormat

    found = VideoFormat(name)
    depth = {8: "", 9: "10le", 10: "10le", 12: "12le"}.get(max(part.bits for part in found.components), "16le")
    if found.is_rgb or found.has_palette:
        return f"gbrp{depth}"
    across = found.chroma_width(64) if len(found.components) > 1 else 0
    down = found.chroma_height(64) if across else 0
    return {0: "gray", 64: "yuv444p"}.get(across, "yuv422p" if down == 64 else "yuv420p") + depth


def _bits(name: str) -> int:
    from av.video.format import VideoFormat

    return max(part.bits for part in VideoFormat(name).components)


def _depiction(frame: Any, context: Any) -> Depiction:
    space = frame.colorspace if frame.colorspace not in UNSPECIFIED else context.colorspace
    usual = HIGH_DEFINITION if frame.height >= 720 else STANDARD
    red, blue = RED_BLUE.get(space, usual if space in UNSPECIFIED else STANDARD)
    name, told = frame.format.name, frame.color_range or context.color_range
    full = told == FULL_RANGE or (not told and (context.pix_fmt or "").startswith(("yuvj", "gray")))
    return Depiction(_bits(name), name.startswith("gbrp"), full, red, blue)


def _in_format(frame: Any, name: str) -> Any:
    if frame.format.name == name:
        return frame
    changed = frame.reformat(format=name)
    _timed(changed, frame)
    return changed


def _timed(frame: Any, like: Any) -> None:
    frame.pts = like.pts
    if like.time_base is not None:
        frame.time_base = like.time_base


def _planes(frame: Any) -> list[npt.NDArray[Any]]:
    """The stored values of each component."""
    kind = np.dtype("<u2" if _bits(frame.format.name) > 8 else "u1")
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
        planes.append(np.ascontiguousarray(rows[:, : plane.width * kind.itemsize]).view(kind))
    return planes


def _frame_of(planes: list[npt.NDArray[Any]], like: Any) -> Any:
    """A new frame that holds these planes, with the time and the colour tags of another."""
    import av

    frame = av.VideoFrame(like.width, like.height, like.format.name)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
        data = np.ascontiguousarray(values).view(np.uint8)
        rows[: len(data), : data.shape[1]] = data
        plane.update(rows.tobytes())
    _timed(frame, like)
    frame.colorspace, frame.color_range = like.colorspace, like.color_range
    return frame


def _widened(plane: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Colour of fewer pixels than brightness, repeated."""
    down, across = (-(-full // half) for full, half in zip(shape, plane.shape, strict=True))
    return plane.repeat(down, 0).repeat(across, 1)[: shape[0], : shape[1]]


def _narrowed(values: Array, shape: tuple[int, ...]) -> Array:
    """The mean over the pixels that share a colour."""
    down, across = (-(-full // half) for full, half in zip(values.shape, shape, strict=True))
    if (down, across) == (1, 1):
        return values
    missing = [(0, half * step - full) for full, half, step in zip(values.shape, shape, (down, across), strict=True)]
    blocks = np.pad(values, missing, mode="edge").reshape(shape[0], down, shape[1], across)
    mean: Array = blocks.mean((1, 3))
    return mean


def _video_stream(source: Any, target: Any, worked_on: str) -> tuple[Any, str]:
    """The stream of pictures to write, like the one read; and what it cannot keep."""
    context = source.codec_context
    codec, encoder, options, pixels = _encoding(context.name, target, worked_on)
    rate = source.average_rate or source.guessed_rate or 25
    stream = target.add_stream(encoder, rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = context.width, context.height, pixels
    stream.time_base = stream.codec_context.time_base = source.time_base
    if source.sample_aspect_ratio:
        stream.codec_context.sample_aspect_ratio = source.sample_aspect_ratio
    for tag in ("color_primaries", "color_trc", "colorspace", "color_range"):
        setattr(stream.codec_context, tag, getattr(context, tag))
    stream.metadata.update({key: value for key, value in source.metadata.items() if key.lower() != "encoder"})
    lost = _bits(worked_on) - _bits(pixels)
    return stream, f"{_bits(worked_on)} bits are written as {_bits(pixels)} in {codec}" if lost > 0 else ""


def _encoding(name: str, target: Any, worked_on: str) -> tuple[str, str, dict[str, str], str]:
    """Codec, encoder, its options and pixel format: the film's own codec, unless another keeps more of it."""
    from av.codec import Codec

    known = [codec for codec in dict.fromkeys((name, *OTHERWISE)) if codec in ENCODERS]
    able = [codec for codec in known if codec in target.supported_codecs]
    if not able:
        raise OutputError("no codec for films fits into such a container", got=target.format.name, fix="Write an .mkv.")
    held = {codec: [item.name for item in Codec(ENCODERS[codec][0], "w").video_formats or ()] for codec in able}
    exact = next((codec for codec in able if worked_on in held[codec]), None)
    codec = exact or able[0]
    encoder, options = ENCODERS[codec]
    return codec, encoder, options, worked_on if exact else _nearest(worked_on, held[codec])


def _nearest(wanted: str, held: list[str]) -> str:
    """The pixel format among those held that loses least."""
    kind = wanted.partition("p")[0]
    usable = [name for name in held if name in PLANAR] or held
    return max(usable, key=lambda name: (name.startswith(kind), min(_bits(name), _bits(wanted))))


def _copied_streams(source: Any, target: Any) -> dict[Any, Any]:
    """For each stream of sound and subtitles one like it, to copy packets into."""
    return {
        stream: target.add_stream_from_template(stream)
        for stream in source.streams
        if stream.type in ("audio", "subtitle") and stream.codec_context is not None
    }
