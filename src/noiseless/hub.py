"""Bundles on the Hugging Face Hub: ``hf:owner/name``, or ``hf:owner/name@revision``; the [hub] extra.

Files are kept in the Hub's own cache, so that a model that was fetched once also loads without a network. Where there
is no network this says so after seconds: the Hub's client alone tries again and again first.
"""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from noiseless.errors import BundleError, missing_extra

PREFIX = "hf:"
FILES = ("*.json", "*.safetensors", "*.onnx", "*.md")
"""What of a repository is fetched: a bundle; never a pickle."""

PATIENCE = 3.0
"""Seconds to wait for the Hub to answer at all."""

_NAME = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def fetch(name: str) -> Path:
    """The folder of a bundle on the Hub, fetched where it is not in the cache.

    Args:
        name: ``hf:owner/name``, and ``@revision`` where another than the newest is wanted.

    Raises:
        BundleError: no such repository or revision, or it is not in the cache and there is no network.
        MissingExtraError: huggingface_hub is not installed.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise BundleError("the name of a bundle on the Hub does not fit", got=name, expected="hf:owner/name")
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        missing = missing_extra("a bundle on the Hugging Face Hub", error)
        raise missing or error from error
    offline = constants.HF_HUB_OFFLINE or not reachable(constants.ENDPOINT)
    try:
        return Path(
            snapshot_download(
                match["repository"],
                revision=match["revision"],
                allow_patterns=list(FILES),
                local_files_only=offline,
            )
        )
    except LocalEntryNotFoundError as error:
        reason = f"no network: {constants.ENDPOINT} does not answer" if offline else _line(error)
        raise BundleError(f"{name} is not in the cache and cannot be fetched", got=reason) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise BundleError(f"{name} cannot be fetched", got=_line(error)) from error


def reachable(endpoint: str) -> bool:
    """Whether a web address, or the proxy on the way to it, takes a connection within `PATIENCE`."""
    from urllib import request  # 20 ms, and few commands fetch

    way = request.getproxies().get(urlsplit(endpoint).scheme, endpoint)
    if request.proxy_bypass(urlsplit(endpoint).hostname or ""):
        way = endpoint
    parts = urlsplit(way if "//" in way else f"http://{way}")
    answers: list[bool] = []

    def knock() -> None:
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=PATIENCE).close()
            answers.append(True)
        except OSError:
            answers.append(False)

    thread = threading.Thread(target=knock, name="hub", daemon=True)  # a name server may let us wait for longer
    thread.start()
    thread.join(PATIENCE)
    return bool(answers and answers[0])


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
