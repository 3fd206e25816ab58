"""How a run tells its steps: one line each on stderr; on a terminal, what it is waiting for while it waits."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from attest.cli.text import printable

if TYPE_CHECKING:
    from attest.steps.context import Narrator

#: A wait shorter than this is not worth a bar.
PATIENCE_SECONDS = 1.0


def narrator(*, quiet: bool) -> Narrator:
    """The narrator for this process: silent, a terminal's, or a log's."""
    if quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()


class Silent:
    """Says nothing (``--json``)."""

    def begin(self, step: str) -> None:
        pass

    def progress(self, text: str) -> None:
        pass

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        pass


class Lines:
    """One line per finished step, without control characters: for pipes and CI logs."""

    def __init__(self) -> None:
        self._count = 0
        self._began = time.monotonic()

    def begin(self, step: str) -> None:
        self._count += 1
        self._began = time.monotonic()

    def progress(self, text: str) -> None:
        pass

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        elapsed = "stored" if stored else f"{time.monotonic() - self._began:.1f} s"
        click.echo(f"{self._count:>2} {step:<8} {printable(summary)} ({elapsed})", err=True)


class Terminal(Lines):
    """The same lines, and under them a moving bar once a step takes longer than a second."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self._console = Console(stderr=True)
        self._status: object = None
        self._text = ""

    def begin(self, step: str) -> None:
        super().begin(step)
        self._text = step

    def progress(self, text: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        if time.monotonic() - self._began < PATIENCE_SECONDS:
            return
        if self._status is None:
            columns = (TextColumn("   {task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
            bar = Progress(*columns, console=self._console, transient=True)
            self._task = bar.add_task(printable(text), total=None)
            bar.start()
            self._status = bar
        elif isinstance(self._status, Progress):
            self._status.update(self._task, description=printable(text))

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        if self._status is not None:
            self._status.stop()  # type: ignore[attr-defined]
            self._status = None
        super().done(step, summary, stored=stored)
