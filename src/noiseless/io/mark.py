"""The mark of a denoised image: which model, at which strength. It lives in the XMP packet.

PNG, JPEG, WebP and TIFF hold XMP beside their other metadata, so that the mark disturbs neither ImageJ nor OME
descriptions nor camera notes. BMP, PPM and .npy cannot hold it. Formats of science keep it where they note how an image
came about; their codecs turn it into a packet when they read and back when they write.
"""

from __future__ import annotations

import re
from dataclasses import replace

from noiseless.image import Image

NAMESPACE = "urn:noiseless:1.0"

_MARK = re.compile(r"""\s*<(?:\w+:)?Description[^<>]*\snoiseless:denoised="([^"<]*)"[^<>]*/>""")
_END = re.compile(r"</(\w+):RDF\s*>")
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def denoised_mark(image: Image) -> str | None:
    """What denoised this image before, for example ``"gray-small at strength 1"``; ``None`` where nothing did."""
    import html

    found = _MARK.search(_text(image.metadata.get("xmp", b"")))
    return html.unescape(found.group(1)) if found else None


def with_denoised_mark(image: Image, model: str, strength: float) -> Image:
    """The image with a mark added to its metadata; an earlier mark is kept in front of it.

    Args:
        model: the name of the model.
        strength: how much of its effect was applied, 0 to 1.
    """
    before = denoised_mark(image)
    mark = f"{model} at strength {strength:g}"
    xmp = _marked(_text(image.metadata.get("xmp", b"")), f"{before}, then {mark}" if before else mark)
    return replace(image, metadata={**image.metadata, "xmp": xmp.encode("utf-8", "replace")})


def packet_of(mark: str) -> bytes:
    """An XMP packet that holds this mark alone, for formats that keep the mark elsewhere."""
    return _marked("", mark).encode("utf-8", "replace")


def _marked(packet: str, mark: str) -> str:
    import html

    packet = _MARK.sub("", packet)
    if not _END.search(packet):  # none yet, or beyond repair
        packet = _EMPTY
    end = list(_END.finditer(packet))[-1]
    prefix = end.group(1)
    description = (
        f'<{prefix}:Description {prefix}:about="" xmlns:noiseless="{NAMESPACE}" '
        f'noiseless:denoised="{html.escape(mark)}"/>'
    )
    return packet[: end.start()] + description + packet[end.start() :]


def _text(packet: bytes) -> str:
    encodings = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
    return packet.decode(encodings.get(packet[:2], "utf-8"), "replace")
