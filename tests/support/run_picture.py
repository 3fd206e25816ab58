"""Makes ``docs/images/run.png`` from a run on the practice network, in a real terminal (tmux) of 80 columns:
``python -m tests.support.run_picture``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.support.commands import attest

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "run.png"
#: Where the picture says that the run was, and a place as long, so that lines break alike.
SHOWN, FOLDER = "/srv/attest", Path("/tmp/attest")
COLUMNS, LINES = 80, 45
_PAGE = """<style>body {{ margin: 0; background: #10161f }}
pre {{ margin: 0; padding: 26px; color: #f2f4f7; font: 15px/21.3px "DejaVu Sans Mono", monospace; width: max-content }}
</style><pre>{}</pre>"""


def main() -> None:
    FOLDER.mkdir()  # somebody else's is not touched
    try:
        assert attest("devnet", "--directory", FOLDER / "demo", "--detach").code == 0
        text = _in_a_terminal("attest run --config demo/attest.toml").replace(str(FOLDER), SHOWN)
    finally:
        attest("devnet", "--directory", FOLDER / "demo", "--stop")
        shutil.rmtree(FOLDER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 300, "height": 300})
        page.set_content(_PAGE.format(escape(text)))
        drawn = page.locator("pre").screenshot()
        browser.close()
    Image.open(BytesIO(drawn)).convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(PICTURE, optimize=True)


def _in_a_terminal(command: str) -> str:
    """What is on the screen when a command has ended."""
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    tmux = ["tmux", "-L", "picture"]
    shell = f"env PATH={shlex.quote(paths)} PS1='$ ' bash --norc --noprofile"
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    subprocess.run([*tmux, "-f", "/dev/null", "new-session", "-d", *size, "-c", FOLDER, shell], check=True)
    try:
        subprocess.run([*tmux, "send-keys", f"clear; {command}", "Enter"], check=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.5)
            capture = [*tmux, "capture-pane", "-p"]
            text = subprocess.run(capture, check=True, capture_output=True, text=True).stdout.rstrip()
            if "verify  " in text and text.endswith("\n$"):
                return f"$ {command}\n{text} _\n"
        raise RuntimeError(f"the run did not end:\n{text}")
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


if __name__ == "__main__":
    main()
