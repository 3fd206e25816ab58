"""docs/security.md promises a test for each of its claims, and commands that can be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from attest.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(test_\w+)`", PAGE)))
COMMANDS = re.findall(r"^ +(attest [^`\n]*)$", PAGE.replace("\\\n", " "), re.M)


def test_security_page__every_claim_but_the_open_ones__names_a_test() -> None:
    rows = [row.split("|") for row in PAGE.splitlines() if row.startswith("|")][2:]
    assert len(rows) >= 15
    for _, _, stops, test, _ in rows:
        assert "`test_" in test or stops.strip().startswith("nothing here")


@pytest.mark.parametrize("name", NAMES)
def test_security_page__named_test__exists(name: str) -> None:
    assert any(f"def {name}(" in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("line", COMMANDS)
def test_security_page__command__is_understood(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context("attest", words)  # refuses options that there are not
