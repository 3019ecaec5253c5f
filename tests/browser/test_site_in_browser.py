"""A reader of the course's site, in a real Chromium: search finds a word, an answer opens at a click, phones fit."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from test_labs_in_browser import CHROMIUM_FLAGS, PICTURES, PROJECT, chromium

from batchlab import course, website

__all__ = ["chromium"]  # the fixture
PHONE = {"width": 390, "height": 844}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps silent about it."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    site = website.build(PROJECT, tmp_path_factory.mktemp("read") / "site").parent
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def page(chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        opened = browser.new_page()
        yield opened
        browser.close()


@pytest.fixture(autouse=True)
def complaints(page: Page) -> Iterator[list[str]]:
    """Errors of the console and requests that failed or left this machine; there must be none after each test."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    page.on("request", lambda request: found.append(request.url) if "//127.0.0.1:" not in request.url else None)
    yield found
    assert [text for text in found if not text.startswith(("data:", "failed: data:"))] == []


@pytest.mark.browser
def test_search_finds_a_word(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(address)
    page.locator("input.sidebar-search").fill("coordinated omission")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li")
    expect(results.first).to_be_visible(timeout=20_000)
    expect(page.locator("#search-results")).to_contain_text("Measure the tail")
    expect(page.locator("#search-results")).to_contain_text("Glossary")


@pytest.mark.browser
def test_an_answer_opens_at_a_click(page: Page, address: str) -> None:
    page.goto(f"{address}/labs/00_start_here.html")
    hidden = page.get_by_text("charged twice").first
    expect(hidden).to_be_hidden()
    page.get_by_text("Show one solution").first.click()
    expect(hidden).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, PHONE["width"]])
def test_no_page_is_wider_than_its_window(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": PHONE["height"]})
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in ["index", "docs/glossary", *(f"labs/{lab}" for lab in course.load())]:
        page.goto(f"{address}/{name}.html")
        widest = page.evaluate("document.documentElement.scrollWidth")
        assert widest <= width, f"{name} is {widest} pixels wide in a window of {width}"
        page.screenshot(path=PICTURES / f"site-{Path(name).name}-{width}.png")
