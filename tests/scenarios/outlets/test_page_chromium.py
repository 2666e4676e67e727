"""The page of a load run in a real Chromium: wide, narrow, dark, on paper, without any script.

Makes the picture of the docs too: ``PICTURES=1 pytest tests/scenarios/outlets/...`` writes it,
otherwise it must be there and of that size.
"""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scenarios.outlets.page import to_html
from scripts.docs import ROOT
from tests.scenarios.outlets.hostile import TEXTS, spoilt
from tests.scenarios.reports import half_lost, stalled
from tests.servers.process import find_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PICTURE = ROOT / "docs/images/load-report.png"
WIDE, NARROW = (1280, 1294), (390, 844)
# WCAG 2.2, 1.4.3: of text below 18 pt.
CONTRAST = 4.5

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(120)]

# Texts whose colour is too near to that of what lies behind them.
FAINT = """least => {
  const parse = it => {
    const n = it.match(/[0-9.]+/g).map(Number)
    return n.length < 4 ? [...n, 1] : n }
  const light = it => {
    const [r, g, b] = it.slice(0, 3).map(v => v / 255)
      .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    return .2126 * r + .7152 * g + .0722 * b }
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor)
      if (colour[3] > .99) return colour }
    return [255, 255, 255] }
  const has = e => [...e.childNodes].some(it => it.nodeType == 3 && it.data.trim())
  return [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('svg') && has(e) && e.checkVisibility())
    .map(e => {
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))]
      const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05)
      return [e.className, e.textContent.slice(0, 20), ratio] })
    .filter(it => it[2] < least) }"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    program = find_program("chromium")
    with (
        # a path as long as pytest's is too long for the sockets of Chromium
        tempfile.TemporaryDirectory(prefix="sl-") as path,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox"],
            env={**os.environ, "TMPDIR": path},
        )
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: "Browser", html: str, tmp_path: Path, size: tuple[int, int] = WIDE, **options: Any
) -> Iterator["Page"]:
    """Open the page from a file and demand that it asks for nothing and complains of nothing."""
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    address = (tmp_path / "report.html").as_uri()
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda it: asked.append(it.url))
    page.on("console", lambda it: said.append(it.text))
    page.on("dialog", lambda it: said.append(it.message))
    page.goto(address)
    yield page
    context.close()
    assert asked == [address]
    assert said == []


def test_a_failed_run_on_a_wide_screen(browser: "Browser", tmp_path: Path) -> None:
    with opened(browser, to_html(stalled()), tmp_path, java_script_enabled=False) as page:
        picture = page.screenshot(animations="disabled")

        column = page.locator(".cols").first.locator("b").nth(21)
        assert not column.locator("span").is_visible()
        column.hover()
        assert column.locator("span").is_visible()
        assert column.locator("span").inner_text().startswith("1:03\nwanted 20/s")
        assert page.get_by_role("img", name="Latency").count() == 1
        assert page.get_by_role("table").count() == 5

    if os.environ.get("PICTURES") == "1":
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(picture)
    assert struct.unpack(">II", PICTURE.read_bytes()[16:24]) == WIDE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser: "Browser", tmp_path: Path, scheme: str) -> None:
    for report in (stalled(), half_lost()):
        with opened(browser, to_html(report), tmp_path, color_scheme=scheme) as page:
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")

            assert page.evaluate(FAINT, CONTRAST) == []
            assert background == ("rgb(13, 17, 23)" if scheme == "dark" else "rgb(244, 245, 247)")


def test_a_telephone_scrolls_tables_not_the_page(browser: "Browser", tmp_path: Path) -> None:
    with opened(browser, to_html(stalled()), tmp_path, NARROW) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
        inside = "[...document.querySelectorAll('.plot')].every(it => it.clientWidth > 250)"
        assert page.evaluate(inside)


def test_on_paper_nothing_is_cut_off(browser: "Browser", tmp_path: Path) -> None:
    # A4 without its margins, at 96 pixels an inch
    size = (700, 1000)
    with opened(browser, to_html(stalled()), tmp_path, size, color_scheme="dark") as page:
        page.emulate_media(media="print")

        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert page.evaluate("getComputedStyle(document.body).backgroundColor").endswith("255)")
        assert page.evaluate(FAINT, CONTRAST) == []
        assert 2 <= page.pdf(format="A4").count(b"/Type /Page\n") <= 4


@pytest.mark.parametrize(
    "text", [TEXTS[0], TEXTS[1], "x" * 10_000, "שלום " * 50], ids=["script", "image", "long", "rtl"]
)
def test_hostile_texts_run_nothing_and_stay_in_place(
    browser: "Browser", tmp_path: Path, text: str
) -> None:
    with opened(browser, to_html(spoilt(text)), tmp_path, NARROW) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
        assert page.locator("script, img, iframe, link, a").count() == 0
        assert page.locator("section").count() == 6
