"""Makes ``docs/images/dashboard.png`` from the example feed: ``python -m tests.support.dashboard_picture``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from attest.publish.site.render import render
from attest.records import format_instant
from tests.support import feeds

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "dashboard.png"


def main() -> None:
    feed = feeds.weeks(12, states={4: {"USDW": "withheld"}, 7: {"USDW": "short"}})
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "index.html"
        page_file.write_bytes(render(feed, now=feeds.FRESH)["index.html"])
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1120, "height": 1450}, color_scheme="light")
        page.clock.set_fixed_time(format_instant(feeds.FRESH))
        page.goto(page_file.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
