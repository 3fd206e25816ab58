"""What a command says, and where: results on stdout (text or ``--json``), progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from attest.cli.text import printable
from attest.errors import EXIT_USAGE, AttestError


class Output:
    """One command's output. With ``json`` there is exactly one JSON document on stdout, also when it fails."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def result(self, document: Any) -> None:
        """The command's result as JSON; only with ``--json``."""
        # ASCII: what a terminal would act on (control and bidirectional characters) stays escaped.
        click.echo(json.dumps(document, indent=2))

    def line(self, text: str = "") -> None:
        """A line for people; nothing with ``--json``."""
        if not self.json:
            click.echo(text)

    def error(self, fault: AttestError) -> None:
        """Three lines: what is wrong, why it matters here, what to do next."""
        if self.json:
            self.result(fault.as_json() | {"exit_code": fault.exit_code})
            return
        lines = [printable(line) for line in fault.message.split("\n")]
        style = _styled()
        click.echo(f"{click.style('error:', bold=True) if style else 'error:'} {lines[0]}", err=True)
        for line in lines[1:]:
            click.echo(f"       {line}", err=True)
        if fault.reason:
            click.echo(f"  why: {printable(fault.reason)}", err=True)
        if fault.advice:
            click.echo(f" next: {printable(fault.advice)}", err=True)

    def usage(self, fault: click.ClickException) -> None:
        """A command line that click refused."""
        message = " ".join(fault.format_message().split())  # click writes choices on lines of their own
        if self.json:
            document = {"error": message, "code": "usage", "reason": "", "advice": "See --help."}
            self.result(document | {"exit_code": EXIT_USAGE})
            return
        context = getattr(fault, "ctx", None)
        click.echo(f"error: {printable(message)}", err=True)
        if context is not None:
            click.echo(f" next: see `{context.command_path} --help`", err=True)

    def stopped(self) -> None:
        """The operator pressed Ctrl-C."""
        click.echo("\nstopped; what was stored stays valid, run the same command again to go on", err=True)


def _styled() -> bool:
    import os

    return sys.stderr.isatty() and "NO_COLOR" not in os.environ
