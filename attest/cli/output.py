"""What a command says, and where: results on stdout (text or ``--json``), progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from attest.errors import AttestError, OperatorError, printable

#: click's way (since 8.2) of saying that a group was called without a command; its message is the help.
_NO_COMMAND = getattr(click.exceptions, "NoArgsIsHelpError", ())


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
        """Three paragraphs, mostly of one line: what is wrong, why it matters here, what to do next."""
        if self.json:
            self.result(fault.as_json() | {"exit_code": fault.exit_code})
            return
        head = click.style("error:", bold=True) if _styled() else "error:"
        for name, text in ((head, fault.message), ("  why:", fault.reason), (" next:", fault.advice)):
            for number, line in enumerate(text.split("\n") if text else ()):
                click.echo(f"{name if number == 0 else '      '} {printable(line)}", err=True)

    def usage(self, fault: click.ClickException) -> None:
        """A command line that click refused."""
        if isinstance(fault, _NO_COMMAND):
            fault.show()
            return
        context = getattr(fault, "ctx", None)
        self.error(
            OperatorError(
                " ".join(fault.format_message().split()),  # click writes choices on lines of their own
                code="usage",
                reason="Nothing was read, decided or sent.",
                advice=f"See `{'attest' if context is None else context.command_path} --help`.",
            )
        )

    def stopped(self) -> None:
        """The operator pressed Ctrl-C."""
        self.error(
            AttestError(
                "stopped",
                code="stopped",
                reason="What was stored stays valid; what was not is as if it had never been begun.",
                advice="Run the same command again: it goes on where it was.",
            )
        )


def _styled() -> bool:
    import os

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
