"""How a run tells its steps: to nobody, to a log, to a terminal."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable

import pytest

from attest.cli import narrator as narrating
from attest.cli.narrator import Lines, Silent, Terminal, narrator


class Tty(io.StringIO):
    """A terminal of 80 columns that remembers everything written to it."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Tty:
    """To be called by the test itself: pytest puts its own stderr in place when a test begins."""
    tty = Tty()
    monkeypatch.setattr(sys, "stderr", tty)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(narrating, "PATIENCE_SECONDS", 0.01)
    return tty


def wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if holds():
            return
        pause.wait(0.01)
    pytest.fail("it never happened")


def test_narrator__json__says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    telling = narrator(quiet=True)
    telling.begin("open")
    telling.progress("waiting for chain main")
    telling.done("open", "cutoff", stored=False)
    telling.close()

    assert type(telling) is Silent
    assert capsys.readouterr() == ("", "")


def test_narrator__pipe__writes_one_plain_line_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    telling = narrator(quiet=False)
    for step, stored in (("open", True), ("collect", False)):
        telling.begin(step)
        telling.progress("waiting")
        telling.done(step, "so many words " * 10, stored=stored)

    assert type(telling) is Lines
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r" 1 open     (so many words ){10} \(stored\)", lines[0])
    assert re.fullmatch(r" 2 collect  (so many words ){10} \([0-9]+\.[0-9] s\)", lines[1])


def test_lines__name_with_terminal_escape__shows_it_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    telling = Lines()
    telling.begin("decide")
    telling.done("decide", "bank \x1b[31mred", stored=False)

    assert "bank \\x1b[31mred" in capsys.readouterr().err


def test_terminal__long_summary__is_wrapped_at_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    telling = narrator(quiet=False)
    telling.begin("commit")
    telling.done("commit", "7 leaves, " * 12, stored=False)

    assert type(telling) is Terminal
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)
    assert all(re.match(" {12}[^ ]", line) for line in lines[1:])


@pytest.mark.parametrize("length", range(55, 70))
def test_terminal__time_at_the_margin__stays_with_its_unit(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    terminal = on_terminal(monkeypatch)
    telling = Terminal()
    telling.begin("log")
    telling.done("log", "x" * length, stored=False)

    assert re.search(r"\([0-9.]+ s\)\n\Z", terminal.getvalue())


def test_terminal__step_that_takes_long__shows_what_it_waits_for_and_then_only_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    telling = Terminal()
    telling.begin("submit")
    wait_until(lambda: "submit" in terminal.getvalue())
    telling.progress("waiting for [chain] main")
    wait_until(lambda: "waiting for [chain] main" in terminal.getvalue())
    telling.done("submit", "9 reports", stored=False)

    assert re.search(r" 1 submit   9 reports \([0-9.]+ s\)\n\Z", terminal.getvalue())
    assert terminal.getvalue().count("\x1b[?25h") == terminal.getvalue().count("\x1b[?25l") == 1


def test_terminal__closed_after_a_step_failed__leaves_the_cursor_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    telling = Terminal()
    telling.begin("confirm")
    wait_until(lambda: "confirm" in terminal.getvalue())
    telling.close()
    shown = terminal.getvalue()
    telling.close()

    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
    assert terminal.getvalue() == shown


def test_terminal__quick_step__shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(narrating, "PATIENCE_SECONDS", 60)
    telling = Terminal()
    telling.begin("decide")
    telling.progress("nothing to wait for")
    telling.done("decide", "7 accounts agreed", stored=False)

    assert re.fullmatch(r" 1 decide   7 accounts agreed \([0-9.]+ s\)\n", terminal.getvalue())
