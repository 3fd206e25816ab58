"""Makes ``docs/images/monitor.png`` from a simulated chain and week: ``python -m tests.support.monitor_picture``."""

from __future__ import annotations

import shutil
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from attest.monitor.findings import findings
from attest.monitor.page import MonitorPage, View
from attest.monitor.tasks import TASKS
from tests.support.past import note_week
from tests.support.watched import LEDGER, WAD, World, watching

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "monitor.png"
TOKENS = ("USDW", "EURW", "GBPW")
#: What the practice world does not have is not the picture's subject.
_LEFT_OUT = {*(task.alert for task in TASKS.values()), "DebtCeilingHigh"}


def main() -> None:
    world = World(tokens=TOKENS, healths=[158 * WAD // 100, 3 * WAD])
    world.vaults()
    world.set_token("EURW", supply=1_204_113_070_000, reserve=1_348_606_640_000)
    world.set_token("GBPW", supply=1_188_000_000_000, reserve=1_330_560_000_000)
    world.set_token("USDW", supply=1_200_000_000_000, reserve=1_164_000_000_000)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        watch = watching(world, Path(folder), {"ledger": {"address": LEDGER}})
        note_week(watch.history, world.now, short="USDW", tokens=TOKENS, endpoint="http://node-0.example")
        snapshot = watch.cycle()
        found = [each for each in findings(snapshot) if each.alert not in _LEFT_OUT]
        tokens = {
            name: each.model_copy(update={"currency": name[:3]}) for name, each in watch.loaded.config.tokens.items()
        }
        config = watch.loaded.config.model_copy(update={"tokens": tokens})
        page = MonitorPage(config, watch.history).render(snapshot, found, View(), None)
        page_file = Path(folder) / "index.html"
        page_file.write_bytes(page)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1040, "height": 1980}, color_scheme="light")
        view.goto(page_file.as_uri())
        picture = Image.open(BytesIO(view.screenshot())).convert("RGB")
        picture.quantize(32).save(PICTURE, optimize=True)  # of few colours: a third of its size
        browser.close()


if __name__ == "__main__":
    main()
