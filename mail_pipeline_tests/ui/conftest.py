"""A headless browser, a first visit for every test, and the pictures it leaves.

The pictures lie in artifacts/screenshots. Those that the docs show are renewed by

    make screenshots
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

_ROOT = Path(__file__).parents[2]
_SCREENSHOTS = _ROOT / "artifacts" / "screenshots"
_IN_README = {"graph", "live", "partitions"}
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZE = ViewportSize(width=1400, height=900)
PATIENCE_MS = 90_000
"""A backfill's first run begins up to 34 s after the click, and machines are slow."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} is installed")
    expect.set_options(timeout=PATIENCE_MS)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=_OPTIONS) as browser,
    ):
        yield browser


@pytest.fixture
def take_picture(page: Page) -> Callable[[str], None]:
    """Keep what the page shows, under a name."""

    def take(name: str) -> None:
        path = _SCREENSHOTS / f"{name}.png"
        page.screenshot(path=path, animations="disabled")
        if name in _IN_README and os.environ.get("RENEW_IMAGES"):
            shutil.copy(path, _ROOT / "docs" / "images")

    return take
