"""Films as they are read: which files are films, and opening one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from noiseless.errors import ImageError
from noiseless.io.formats import is_special

SIGNATURES = (
    (4, b"ftyp"),
    (0, b"\x1aE\xdf\xa3"),
    (8, b"AVI "),
    (0, b"FLV"),
    (0, b"OggS"),
    (0, b"\x30\x26\xb2\x75"),
    (0, b"\0\0\1\xba"),
    (0, b"\6\x0e\x2b\x34"),
    (0, b"YUV4MPEG2"),
)
"""Where films have which bytes: MP4, Matroska, AVI, Flash, Ogg, ASF, MPEG, MXF, Y4M; see also `_is_stream`."""

DEMUXERS = "mov,matroska,avi,flv,ogg,asf,mpeg,mxf,yuv4mpegpipe,mpegts"
"""What FFmpeg may take a film for: it also knows playlists, which have it open any file and address that they name."""

STILLS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"crx ")
PACKET = 188
HEAD = 3 * PACKET


def is_film(path: Path) -> bool:
    """Whether a file begins like a film; a pipe is never taken for one."""
    if is_special(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return begins_like_a_film(head)


def begins_like_a_film(head: bytes) -> bool:
    """Whether the first `HEAD` bytes of a file are those of a film."""
    if head[4:8] == b"ftyp" and head[8:12] in STILLS:
        return False
    return any(head[place:].startswith(sign) for place, sign in SIGNATURES) or _is_stream(head)


def opened(source: Path | BinaryIO) -> Any:
    """A film, open for reading, as PyAV shows it.

    Raises:
        ImageError: it holds no pictures.
        av.error.FFmpegError: it cannot be read.
    """
    import av

    place = str(source) if isinstance(source, Path) else source
    film = av.open(place, "r", options={"format_whitelist": DEMUXERS})
    streams = film.streams.video
    if streams and streams[0].codec_context.pix_fmt:
        return film
    film.close()
    name = source if isinstance(source, Path) else "the stream"
    got = "a film without a picture that can be read" if streams else "sound alone"
    raise ImageError(f"{name} holds no pictures", got=got)


def _is_stream(head: bytes) -> bool:
    """MPEG transport streams: a mark at the beginning of each packet."""
    return len(head) == HEAD and all(head[place] == 0x47 for place in range(0, HEAD, PACKET))
