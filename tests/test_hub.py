"""Bundles on the Hub: fetched by the real client, from the cache without a network, a quick answer without either."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless import hub
from noiseless.bundle import Bundle
from noiseless.errors import BundleError, MissingExtraError

constants = pytest.importorskip("huggingface_hub.constants", reason='needs pip install "noiseless[hub]"')
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub's client, and an address at which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "hub"


def put(bundle: Bundle, cache: Path) -> Path:
    """A bundle in the cache as the client would have left it."""
    repository = cache / "models--someone--tiny"
    shutil.copytree(bundle.path, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def test_without_a_network_it_says_so_at_once(cache: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BundleError, match=r"hf:someone/tiny is not in the cache.*no network: http://127"):
        noiseless.load("hf:someone/tiny")
    assert time.monotonic() - began < hub.PATIENCE + 5


def test_what_is_in_the_cache_needs_no_network(cache: Path, conditioned_bundle: Bundle) -> None:
    put(conditioned_bundle, cache)
    loaded = noiseless.load("hf:someone/tiny")
    noisy = np.random.default_rng(0).random((24, 24), np.float32)
    expected = noiseless.load(conditioned_bundle.path)(noisy, noise="gaussian:25")
    np.testing.assert_array_equal(loaded(noisy, noise="gaussian:25"), expected)


@pytest.fixture
def server(conditioned_bundle: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Hub that holds one repository; the paths that are asked for."""
    files = {path.name: path.read_bytes() for path in conditioned_bundle.path.iterdir()}
    files["weights.bin"] = b"a pickle"
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.partition("?")[0].rpartition("/")[2]
            if not self.path.startswith(("/api/models/someone/tiny", "/someone/tiny")):
                return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            if "/tree/" in self.path:
                tree = [{"type": "file", "path": each, "size": len(files[each]), "oid": each} for each in files]
                return self.answer(200, json.dumps(tree).encode())
            if self.path.startswith("/api"):
                listed = [{"rfilename": each} for each in files]
                return self.answer(200, json.dumps({"id": "someone/tiny", "sha": COMMIT, "siblings": listed}).encode())
            return self.answer(200, files[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})

        do_HEAD = do_GET

        def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 32
        daemon_threads = True

    serving = Server(("127.0.0.1", 0), Hub)
    address = f"http://127.0.0.1:{serving.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield asked
    serving.shutdown()
    serving.server_close()


def test_the_client_knocks_at_the_hub(server: list[str]) -> None:
    assert hub.reachable(constants.ENDPOINT)
    with pytest.raises(BundleError, match="hf:nobody/nothing cannot be fetched"):
        noiseless.load("hf:nobody/nothing")
    assert any("nobody/nothing" in path for path in server)


def test_a_bundle_is_fetched_and_no_pickle(server: list[str], conditioned_bundle: Bundle, cache: Path) -> None:
    assert noiseless.load("hf:someone/tiny").spec == conditioned_bundle.spec
    assert any(path.endswith("model.safetensors") for path in server)
    assert not any("weights.bin" in path for path in server)


@pytest.mark.parametrize("name", ["hf:tiny", "hf:", "hf:a/b/c", "hf:a/b@"])
def test_names_that_do_not_fit(name: str) -> None:
    with pytest.raises(BundleError, match="expected hf:owner/name"):
        noiseless.load(name)


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"noiseless\[hub\]"):
        hub.fetch("hf:someone/tiny")
