"""Pictures of the web page for the README: a real service, a real browser, WebP in docs/pictures.

python scripts/make_screenshots.py
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SHOTS = {
    "page-light": {"viewport": {"width": 1280, "height": 760}, "color_scheme": "light", "locale": "en"},
    "page-dark-phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
        "color_scheme": "dark",
        "locale": "en",
    },
}
SAMPLES = {"page-light": "photograph", "page-dark-phone": "sensor"}


def main() -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "noiseless", "serve", "--port", "0", "--state", state]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
            try:
                assert service.stdout is not None
                found = re.search(r"http://\S+", service.stdout.readline())
                assert found
                with sync_playwright() as playwright:
                    path = shutil.which("chromium") or playwright.chromium.executable_path
                    browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
                    for name in SHOTS:
                        shoot(browser, found[0], name)
            finally:
                service.terminate()


def shoot(browser: Browser, url: str, name: str) -> None:
    """Denoise a sample and take the picture."""
    page = browser.new_context(**SHOTS[name]).new_page()  # type: ignore[arg-type]
    page.goto(url)
    page.click(f"[data-sample={SAMPLES[name]}]")
    page.wait_for_selector("#download:not([disabled])", timeout=120_000)
    page.wait_for_timeout(500)
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").save(PICTURES / f"{name}.webp", quality=82, method=6)
    print(PICTURES / f"{name}.webp", picture.size)


if __name__ == "__main__":
    main()
