"""How the page looks and is used: light and dark, English and Chinese, wide and narrow, by the keyboard alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service_page import READY, Watched, open_page
from service_process import Service, file_of, noisy

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("playwright", reason="the browser test needs playwright")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

READABLE = 4.5
"""Least contrast of text of this size with what is behind it (WCAG 2.2, level AA)."""

CONTRASTS = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * (top[3] ?? 1) + under[i] * (1 - (top[3] ?? 1)));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const colour = parse(getComputedStyle(element).backgroundColor);
    return (colour[3] ?? 1) === 1 ? colour : over(colour, behind(element.parentElement));
  };
  const found = {};
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(":disabled, noscript, option")) continue;
    const under = behind(element);
    const [one, two] = [light(over(parse(getComputedStyle(element).color), under)), light(under)].sort((a, b) => b - a);
    found[element.textContent.trim().slice(0, 40)] = (one + 0.05) / (two + 0.05);
  }
  return found;
}"""

CUT_OFF = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.checkVisibility() && !element.closest(".strip, .samples .frame, canvas, option"))
  .filter((element) => getComputedStyle(element).display !== "inline")
  .filter((element) => element.scrollWidth > element.clientWidth + 1
    || (element.tagName === "BUTTON" && element.scrollHeight > element.clientHeight + 1))
  .map((element) => `${element.tagName} ${element.id} ${element.textContent.trim().slice(0, 40)}`)"""

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "Chinese": {"color_scheme": "light", "locale": "zh-CN"},
    "dark Chinese": {"color_scheme": "dark", "locale": "zh-CN"},
}
PHONE = {"viewport": {"width": 320, "height": 568}, "is_mobile": True, "has_touch": True}


@pytest.mark.parametrize("wide", [True, False], ids=["desktop", "phone"])
@pytest.mark.parametrize("look", LOOKS)
def test_all_text_is_readable_and_none_is_cut_off(browser: Any, service: Service, look: str, wide: bool) -> None:
    watched = open_page(browser, service, **LOOKS[look], **({} if wide else PHONE))
    page = watched.page
    page.emulate_media(reduced_motion="reduce")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor").startswith("rgb(1")
    assert dark == ("dark" in look)
    assert page.get_attribute("html", "lang") == ("zh-CN" if "Chinese" in look else "en")
    for state in ("welcome", "done", "removed"):
        if state == "done":
            watched.drop(("scan-with-a-long-name-of-a-camera-DSC_000123.png", file_of(noisy(64, 64, channels=3))))
            watched.ready()
        if state == "removed":
            page.check("input[value=removed]", force=True)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) >= 7
        assert {text: ratio for text, ratio in contrasts.items() if ratio < READABLE} == {}
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= (1280 if wide else 320)
    assert not watched.problems
    page.context.close()


def test_the_keyboard_alone_suffices(watched: Watched) -> None:
    page = watched.page

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                assert page.evaluate("document.activeElement.matches(':focus-visible')")
                return
        raise AssertionError(f"Tab does not come to {selector}")

    page.focus("body")
    tab_to("[data-sample=sensor]")
    page.keyboard.press("Enter")
    watched.ready()
    tab_to("#divider")
    page.keyboard.press("PageDown")
    page.locator("#divider[aria-valuenow='40']").wait_for(state="attached")
    tab_to("#strength")
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    tab_to("input[name=view]")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#gain")
    tab_to("#model")
    page.keyboard.press("g")
    watched.ready()
    assert page.input_value("#model").startswith("gray")
    tab_to("#download")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "osprey-16-bit-noiseless.tif"


def test_the_queue_and_the_time_left_are_shown(watched: Watched, service: Service) -> None:
    page = watched.page
    stack = file_of(np.stack([noisy(256, 256)] * 8), "tiff")
    with service.client() as client:
        for _ in range(6):  # more than are in hand at once
            assert client.post("/v1/jobs", files={"image": stack}).status_code == 202
    page.evaluate("""() => {
      window.said = [];
      const text = document.getElementById("busy-text");
      new MutationObserver(() => window.said.push([text.textContent, document.getElementById("progress").value]))
        .observe(text, { childList: true });
    }""")
    watched.drop(("stack.tif", stack))
    watched.ready()
    said = page.evaluate("window.said")
    waiting = [text for text, _ in said if text.startswith("Waiting, ")]
    assert waiting[0] in ("Waiting, 1 before it", "Waiting, 2 before it")
    left = [(text, value) for text, value in said if text.endswith(" left")]
    assert left
    assert all(text.startswith(f"Denoising, {100 * value:.0f}%, ") for text, value in left)
    assert page.is_hidden("#busy")
    assert page.text_content("#plane-value") == "1 / 8"


def test_what_failed_is_marked_and_shows_no_other_image(watched: Watched) -> None:
    page = watched.page
    watched.drop(("good.png", file_of(noisy(64, 64))))
    watched.ready()
    watched.drop(("rubbish.png", b"rubbish"))
    page.wait_for_selector("#strip .failed", timeout=READY)
    page.wait_for_timeout(300)
    assert not watched.canvas().any()
    assert page.locator(".tag:visible").count() == 0
    assert page.is_hidden("#divider")
    line = page.locator("#strip .failed .state").bounding_box()
    assert line["width"] > 50
    watched.problems.clear()  # of the 422
