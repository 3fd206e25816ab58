"""On a terminal: steps as they happen, a bar while one takes long, nothing left of it. Piped: plain lines."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attest.errors import EXIT_DONE, EXIT_UNEXPECTED, EXIT_USAGE
from tests.support.commands import attest_process
from tests.support.practice import Week

ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


@dataclass
class Screen:
    """What a terminal shows after all it was sent: as many of its rules as a progress bar uses."""

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    cursor_shown: bool = True

    def feed(self, text: str) -> None:
        place = 0
        while place < len(text):
            escape = ESCAPE.match(text, place)
            if escape:
                self._act(escape[1], escape[2])
                place = escape.end()
                continue
            char = text[place]
            place += 1
            if char == "\n":
                self._go(self.row + 1)
            elif char == "\r":
                self.column = 0
            else:
                assert char.isprintable(), f"the terminal was sent {char!r}"
                if self.column == self.columns:
                    self._go(self.row + 1)
                    self.column = 0
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
                self.column += 1

    def _go(self, row: int) -> None:
        self.row = row
        while len(self.lines) <= row:
            self.lines.append("")

    def _act(self, numbers: str, kind: str) -> None:
        if kind == "A":
            self._go(max(0, self.row - int(numbers or 1)))
        elif kind == "K" and numbers == "2":
            self.lines[self.row] = ""
        elif kind in "hl" and numbers == "?25":
            self.cursor_shown = kind == "h"
        else:
            assert kind == "m", f"the terminal was sent the escape {numbers}{kind}"

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


class Terminal:
    """``attest WORDS...`` in a pseudo-terminal."""

    def __init__(self, words: tuple[object, ...], columns: int, environment: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        clean = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attest.cli.main", *map(str, words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**clean, "TERM": "xterm-256color", **environment},
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""

    def read_until(self, wanted: str | None, seconds: float = 60) -> str:
        """All that it was sent until ``wanted`` is in it, or it ended."""
        deadline = time.monotonic() + seconds
        pending = b""
        while wanted is None or wanted not in self.raw:
            assert time.monotonic() < deadline, f"no {wanted!r} in {self.raw!r}"
            if not select.select([self.master], [], [], 0.1)[0]:
                continue
            try:
                pending += os.read(self.master, 65536)
            except OSError:  # the other side was closed
                break
            self.raw += pending.decode("utf-8", errors="ignore")
            pending = b""
        return self.raw


@contextmanager
def terminal(*words: object, columns: int = 80, environment: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    opened = Terminal(words, columns, environment or {})
    try:
        yield opened
    finally:
        opened.process.kill()
        opened.process.wait()
        os.close(opened.master)


def shown(raw: str, columns: int = 80) -> Screen:
    screen = Screen(columns)
    screen.feed(raw.replace("\r\n", "\n\r"))
    return screen


@contextmanager
def slow(url: str, seconds: float, only: bytes = b"") -> Iterator[str]:
    """A way to ``url`` on which requests that hold ``only`` take ``seconds`` longer."""
    import urllib.request

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if only in body:
                time.sleep(seconds)
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=20) as answer:
                data = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_run__on_a_terminal_with_a_slow_chain__shows_a_bar_and_leaves_only_its_lines(operator: Week) -> None:
    with slow(operator.url, 1.5, b"eth_getTransactionReceipt") as url:
        (operator.folder / "rpc.url").write_text(url)
        with terminal("run", "--config", operator.config_path) as opened:
            raw = opened.read_until(None)
            assert opened.process.wait(10) == EXIT_DONE
    assert "━" in raw or "╸" in raw
    assert "\x1b[?25l" in raw  # a bar was drawn
    screen = shown(raw)
    assert screen.cursor_shown
    assert "━" not in screen.text
    steps = re.findall(r"^ ?(\d+) (\w+) ", screen.text, re.M)
    names = ["open", "collect", "decide", "commit", "submit", "confirm", "sign", "log", "anchor", "publish"]
    assert steps[:10] == [(str(number), name) for number, name in enumerate(names, 1)]
    assert "sufficient" in screen.text
    assert "\x1b" not in screen.text


def test_run__interrupted_under_a_bar__says_how_to_go_on_and_leaves_the_terminal_well(operator: Week) -> None:
    with slow(operator.url, 30.0, b"eth_getTransactionReceipt") as url:
        (operator.folder / "rpc.url").write_text(url)
        with terminal("run", "--config", operator.config_path) as opened:
            opened.read_until("━")
            opened.process.send_signal(signal.SIGINT)
            raw = opened.read_until(None)
            assert opened.process.wait(10) == EXIT_UNEXPECTED
    screen = shown(raw)
    assert screen.cursor_shown
    assert "━" not in screen.text
    assert "error: stopped" in screen.text
    assert "Traceback" not in screen.text
    (operator.folder / "rpc.url").write_text(operator.url)
    assert attest_process("run", "--config", operator.config_path).code == EXIT_DONE


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, None)]
)
def test_error__on_a_terminal__has_colour_only_where_it_may(
    tmp_path: Path, environment: dict[str, str], coloured: bool | None
) -> None:
    with terminal("run", "--config", tmp_path / "nowhere.toml", environment=environment) as opened:
        raw = opened.read_until(None)
        assert opened.process.wait(10) == EXIT_USAGE
    assert "nowhere.toml" in raw.replace("\r\n", "")
    if coloured is not None:
        assert ("\x1b[" in raw) is coloured


def test_verify__on_a_terminal_with_no_color__has_none(finished: tuple[Week, Any]) -> None:
    week, _ = finished
    words = ("verify", week.folder / "public/attestations/2026-W47", "--trust", week.folder / "trust.json")
    for environment, coloured in (({"NO_COLOR": "1"}, False), ({}, True)):
        with terminal(*words, "--at", "2026-11-24T00:00:00Z", environment=environment) as opened:
            raw = opened.read_until(None)
            assert opened.process.wait(10) == EXIT_DONE
        assert ("\x1b[" in raw) is coloured
        assert all(len(line) <= 80 for line in shown(raw, 200).text.splitlines() if "/" not in line)


def test_commands__piped__write_no_control_characters_and_no_bars(operator: Week) -> None:
    for words in (("doctor",), ("run",), ("status",)):
        said = attest_process(*words, "--config", operator.config_path, environment={"TERM": "xterm"})
        assert said.code == EXIT_DONE, said.everything
        assert all(char.isprintable() or char == "\n" for char in said.everything)
        assert "━" not in said.everything


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_commands__output_of_a_small_encoding__are_shown_all_the_same(
    finished: tuple[Week, Any], encoding: str
) -> None:
    week, _ = finished
    ended = subprocess.run(
        [sys.executable, "-m", "attest.cli.main", "run", "--config", str(week.config_path)],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == EXIT_DONE, ended.stderr
    assert b"1,204,113.07" in ended.stdout


@pytest.mark.requires("bash", "apt-get install bash")
def test_completion__in_bash_itself__offers_commands(tmp_path: Path) -> None:
    program = tmp_path / "attest"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m attest.cli.main "$@"\n')
    program.chmod(0o755)
    ask = (
        'eval "$(_ATTEST_COMPLETE=bash_source attest)"; COMP_WORDS=(attest ver); COMP_CWORD=1; '
        "_attest_completion attest ver attest; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(Path.cwd())}
    said = subprocess.run(["bash", "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["verify", "verify-proof", "verify-page"]
