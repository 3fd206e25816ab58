"""How a run tells its steps: one line each on stderr; on a terminal, what it is waiting for while it waits."""

from __future__ import annotations

import re
import sys
import threading
import time
from textwrap import fill
from typing import TYPE_CHECKING

import click

from attest.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress

#: A wait shorter than this is not worth a bar.
PATIENCE_SECONDS = 1.0


def narrator(*, quiet: bool) -> Silent:
    """The narrator for this process: silent, a terminal's, or a log's. It must be closed, also when a step fails."""
    if quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()


class Silent:
    """Says nothing (``--json``); what every narrator can be asked."""

    def begin(self, step: str) -> None:
        pass

    def progress(self, text: str) -> None:
        pass

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        pass

    def close(self) -> None:
        """Nothing more is told: a bar left moving would write into what comes next."""


class Lines(Silent):
    """One line per finished step, without control characters: for pipes and CI logs."""

    def __init__(self) -> None:
        self._count = 0
        self._began = time.monotonic()

    def begin(self, step: str) -> None:
        self._count += 1
        self._began = time.monotonic()

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        elapsed = "stored" if stored else f"{time.monotonic() - self._began:.1f} s"
        self._write(f"{self._count:>2} {step:<8} {printable(summary)} ({elapsed})")

    def _write(self, line: str) -> None:
        click.echo(line, err=True)


class Terminal(Lines):
    """The same lines, wrapped, and under them a moving bar while a step takes longer than a second."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(stderr=True)
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._bar: Progress | None = None
        self._text = ""

    def begin(self, step: str) -> None:
        super().begin(step)
        self._text = step
        self._timer = threading.Timer(PATIENCE_SECONDS, self._show)
        self._timer.daemon = True
        self._timer.start()

    def progress(self, text: str) -> None:
        with self._lock:
            self._text = text
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], description=printable(text))

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        self.close()
        super().done(step, summary, stored=stored)

    def close(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def _show(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._timer is None:
                return  # done in the very moment in which patience ended
            columns = (TextColumn("   {task.description}", markup=False), BarColumn(bar_width=20), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task(printable(self._text), total=None)
            self._bar.start()

    def _write(self, line: str) -> None:
        whole = re.sub(r" s\)$", "\u00a0s)", line)  # a time is not parted from its unit
        wrapped = fill(whole, self._console.width, subsequent_indent=" " * 12, break_on_hyphens=False)
        super()._write(wrapped.replace("\u00a0", " "))
