"""Results on stdout, errors in three lines on stderr; with ``--json`` one document, whatever happens."""

from __future__ import annotations

import json

import click
import pytest

from attest.cli.output import Output
from attest.cli.text import table
from attest.errors import ChainError, SourceError, printable
from tests.unit.cli.test_narrator import on_terminal

FAULT = SourceError("file: two\nlines", code="some-code", reason="Because.", advice="Do that.")


def test_error__for_people__is_what_is_wrong_why_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).error(FAULT)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["error: file: two", "       lines", "  why: Because.", " next: Do that."]


def test_error__with_json__is_one_document_with_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).error(FAULT)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "error": "file: two\nlines",
        "code": "some-code",
        "reason": "Because.",
        "advice": "Do that.",
        "exit_code": 3,
    }


def test_error__without_reason_and_advice__leaves_their_lines_out(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).error(ChainError("it is so", code="c"))
    assert capsys.readouterr().err == "error: it is so\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_error__text_that_a_terminal_would_act_on__is_escaped(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\x9b31m\u202egnp.exe\x07"
    Output(json=as_json).error(SourceError(hostile, code="c", reason=hostile, advice=hostile))
    said = "".join(capsys.readouterr())
    assert all(char.isprintable() or char == "\n" for char in said)
    if as_json:
        assert json.loads(said)["error"] == hostile


@pytest.mark.parametrize(("no_color", "expected"), [(None, "\x1b[1merror:\x1b[0m it"), ("1", "error: it")])
def test_error__on_a_terminal__is_bold_unless_no_color_is_set(
    no_color: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tty = on_terminal(monkeypatch)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    Output(json=False).error(ChainError("it", code="c"))
    assert tty.getvalue() == f"{expected}\n"


def test_usage__from_click__is_an_error_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Command("run"), info_name="attest run")
    Output(json=False).usage(click.UsageError("No such option\n'--x'", context))
    assert capsys.readouterr().err.splitlines() == [
        "error: No such option '--x'",
        "  why: Nothing was read, decided or sent.",
        " next: See `attest run --help`.",
    ]


def test_usage__without_a_command__points_at_the_general_help(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).usage(click.UsageError("no"))
    document = json.loads(capsys.readouterr().out)
    assert (document["code"], document["exit_code"], document["advice"]) == ("usage", 2, "See `attest --help`.")


@pytest.mark.parametrize("as_json", [False, True])
def test_line__is_for_people_only(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=as_json).line("hello")
    assert capsys.readouterr().out == ("" if as_json else "hello\n")


# -- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich, 東京 …", "Zürich, 東京 …"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202e\u2066\u200b", "\\u202e\\u2066\\u200b"),
        ("\udcff", "\\udcff"),
    ],
)
def test_printable__escapes_what_is_not_seen_as_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_table__numbers_to_the_right__lines_without_trailing_blanks() -> None:
    lines = table(("Name", "Amount", "Note"), [("a", "1,000.00", ""), ("bcdef", "2.00", "x\x07")], right=(1,))
    assert lines.splitlines() == [
        "Name     Amount  Note",
        "-----  --------  -----",
        "a      1,000.00",
        "bcdef      2.00  x\\x07",
    ]


def test_table__no_rows__is_its_head() -> None:
    assert table(("A", "Bc"), []).splitlines() == ["A  Bc", "-  --"]
