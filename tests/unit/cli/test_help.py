"""What ``--help`` shows of every command, and how a shell completes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from attest.cli.main import COMMANDS, cli
from tests.support.commands import attest


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name)


ALL = sorted(leaves(cli))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help__every_command__says_what_it_does_with_an_example_within_80_columns(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = attest(*words, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: attest {' '.join(words)} ")
    assert re.search(rf"^ *Examples?\b.*:\n +attest {' '.join(words)}\b", said.out, re.M)
    assert max(map(len, said.out.splitlines())) <= 80


def test_help__all__lists_every_command_with_the_exit_codes_and_completion() -> None:
    said = attest("--help")
    assert said.code == 0
    for name, (_, _, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{line[:30]}", said.out, re.M)
    assert "4 reserve shortfall" in said.out
    for shell in ("bash", "zsh", "fish"):
        assert f"_ATTEST_COMPLETE={shell}_source attest" in said.out


def test_attest__no_command__shows_the_help_and_is_a_usage_error() -> None:
    said = attest()
    assert said.code == 2
    assert said.err == attest("--help").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__each_shell__gets_a_script_that_asks_attest(shell: str) -> None:
    said = attest(environment={"_ATTEST_COMPLETE": f"{shell}_source"})
    assert said.code == 0
    assert f"{shell}_complete" in said.out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("attest ver", ["verify", "verify-proof", "verify-page"]),
        ("attest custody r", ["read"]),
        ("attest run --with", ["--withhold"]),
        ("attest log witness --st", ["--state"]),
    ],
)
def test_completion__begun_word__offers_what_fits(typed: str, offered: list[str]) -> None:
    position = str(len(typed.split()) - 1)
    environment = {"_ATTEST_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": position}
    said = attest(environment=environment)
    assert said.code == 0
    assert [line.split(",", 1)[1] for line in said.out.splitlines()] == offered


def test_completion__nothing_typed__offers_every_command() -> None:
    said = attest(environment={"_ATTEST_COMPLETE": "bash_complete", "COMP_WORDS": "attest ", "COMP_CWORD": "1"})
    assert [line.split(",", 1)[1] for line in said.out.splitlines()] == list(COMMANDS)
