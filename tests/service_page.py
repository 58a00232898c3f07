"""The service's page in a browser, for tests."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service_process import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
READY = 120_000
DROP = """async (files) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
}"""
PASTE = DROP.replace(
    """  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer }));
  }
""",
    """  document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: transfer }));
""",
)
PIXELS = """() => {
  const canvas = document.getElementById("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.width, canvas.height, btoa(Array.from(data, (value) => String.fromCharCode(value)).join(""))];
}"""


@dataclass
class Watched:
    """A page, with what it asked for and what went wrong in it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def drop(self, *files: tuple[str, bytes], how: str = DROP) -> None:
        self.page.evaluate(how, [[name, base64.b64encode(data).decode()] for name, data in files])

    def ready(self) -> None:
        self.page.wait_for_selector("#download:not([disabled])", timeout=READY)
        self.page.wait_for_timeout(200)

    def canvas(self) -> np.ndarray:
        """What the canvas shows, (H, W, 4)."""
        width, height, data = self.page.evaluate(PIXELS)
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)

    def jobs(self) -> int:
        """How many were sent."""
        return sum(request.startswith("POST") and request.endswith("/v1/jobs") for request in self.requests)


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium: the one that NOISELESS_BROWSER names, one of the system, or Playwright's own."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    named = [os.environ.get("NOISELESS_BROWSER"), *map(shutil.which, BROWSERS)]
    with api.sync_playwright() as playwright:
        path = next(filter(None, named), None) or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium here: apt-get install chromium, or name one in NOISELESS_BROWSER")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser: Any, service: Service, **context: Any) -> Watched:
    """The page, ready to use, as a new visitor sees it."""
    options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **context}
    page = browser.new_context(**options).new_page()
    watched = Watched(page)
    page.on("request", lambda request: watched.requests.append(f"{request.method} {request.url}"))
    page.on("pageerror", lambda error: watched.problems.append(str(error)))
    page.on("console", lambda line: line.type == "error" and watched.problems.append(line.text))
    page.goto(service.url)
    page.wait_for_selector(".samples img")
    return watched
