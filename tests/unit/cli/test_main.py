"""Every failure ends in an exit code and three lines, or one document; never in a traceback, unless asked for."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from attest.cli import main as entry
from attest.cli.main import COMMANDS, main
from attest.errors import (
    AttestError,
    ChainError,
    ConflictError,
    OperatorError,
    ShortfallError,
    SourceError,
    VerificationError,
)
from tests.support.commands import Said, attest


def failing(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> Callable[..., Said]:
    """``attest schemas`` that fails like this."""

    @click.command("schemas")
    @click.option("--json", "as_json", is_flag=True)
    def schemas(as_json: bool) -> None:
        raise fault

    import attest.cli.schemas

    monkeypatch.setattr(attest.cli.schemas, "schemas", schemas)
    return lambda *words: _attest(*words)


def _attest(*words: str) -> Said:
    from tests.support.commands import attest as run

    return run(*words)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (AttestError, 1),
        (OperatorError, 2),
        (SourceError, 3),
        (ShortfallError, 4),
        (ChainError, 5),
        (VerificationError, 6),
        (ConflictError, 7),
    ],
)
def test_main__each_kind_of_error__has_its_exit_code(
    kind: type[AttestError], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attest = failing(monkeypatch, kind("what", code="c", reason="why", advice="how"))
    said = attest("schemas")
    assert (said.code, said.out) == (code, "")
    assert said.err == "error: what\n  why: why\n next: how\n"
    said = attest("schemas", "--json")
    assert (said.code, said.document["exit_code"], said.err) == (code, code, "")


def test_main__unforeseen_error__names_its_kind_and_none_of_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    attest = failing(monkeypatch, RuntimeError("password=hunter2"))
    for words in (("schemas",), ("schemas", "--json")):
        said = attest(*words)
        assert said.code == 1
        assert "unexpected error: RuntimeError" in said.everything
        assert "attest --debug" in said.everything
        assert "hunter2" not in said.everything
        assert "Traceback" not in said.everything


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/keys/x.json"), "error: /keys/x.json: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", b"/a"), "No such file"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: a file: No space left on device"),
    ],
)
def test_main__file_that_cannot_be_used__is_the_operators_to_mend(
    fault: OSError, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = failing(monkeypatch, fault)("schemas")
    assert said.code == 2
    assert named in said.err


def test_main__other_failure_of_the_system__is_unforeseen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing(monkeypatch, OSError(errno.ECHILD, "No child processes"))("schemas").code == 1


def test_main__debug__raises_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, RuntimeError("in full"))
    with pytest.raises(RuntimeError, match="in full"):
        main(["--debug", "schemas"])


@pytest.mark.parametrize("name", ["pydantic.main", "httpx2", "obstore"])
def test_main__library_of_an_extra_is_missing__says_the_one_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = failing(monkeypatch, ModuleNotFoundError(f"No module named {name!r}", name=name))("schemas")
    assert said.code == 2
    assert "pip install 'reserve-attest[run]'" in said.err


@pytest.mark.parametrize(("command", "extra"), [("run", "sql"), ("monitor", "monitor"), ("sizing", "monitor")])
def test_main__database_library_missing__names_the_extra_of_the_command(
    command: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, command, COMMANDS["schemas"])
    fault = ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")
    said = failing(monkeypatch, fault)(command)
    assert said.code == 2
    assert f"pip install 'reserve-attest[{extra}]'" in said.err


def test_main__other_module_missing__is_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    said = failing(monkeypatch, ModuleNotFoundError("No module named 'nowhere'", name="nowhere"))("schemas")
    assert said.code == 1


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_main__interrupted__says_how_to_go_on(fault: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    attest = failing(monkeypatch, fault)
    said = attest("schemas")
    assert said.code == 1
    assert "error: stopped" in said.err
    assert " next: Run the same command again" in said.err
    document = attest("schemas", "--json").document
    assert (document["code"], document["exit_code"]) == ("stopped", 1)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("nosuch",), "nosuch"),
        (("run", "--nosuch"), "--nosuch"),
        (("abandon",), "--reason"),
        (("prove",), "ACCOUNT"),
        (("verify", "x"), "--trust"),
        (("log", "witness", "--name", "x"), "--key"),
        (("custody", "read", "x"), "--format"),
        (("devnet", "--port", "65536"), "--port"),
        (("devnet", "--stop", "--detach"), "--stop"),
        (("init", "--network", "mars"), "mars"),
        (("init", "--network", "besu-138", "--reporters", "0"), "--reporters"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_main__command_line_that_means_nothing__is_usage(words: tuple[str, ...], named: str) -> None:
    said = attest(*words)
    assert (said.code, said.out) == (2, "")
    error, why, advice = said.err.splitlines()
    assert error.startswith("error: ")
    assert named in error
    assert why.startswith("  why: ")
    assert advice.startswith(" next: See `attest ")
    said = attest(*words, "--json")
    assert (said.code, said.err) == (2, "")
    assert named in said.document["error"]
    assert said.document["exit_code"] == 2


def test_main__version__is_the_packages() -> None:
    from attest import __version__

    said = attest("--version")
    assert (said.code, said.out) == (0, f"attest, version {__version__}\n")


def test_main__reader_went_away__ends_quietly() -> None:
    command = f"(sleep 0.3; exec {sys.executable} -m attest.cli.main schemas) | true; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr == ""
    assert ended.stdout == "1\n"


def test_main__stdout_lacks_characters__escapes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    latin = io.TextIOWrapper(written, encoding="latin-1", write_through=True)

    @click.command("schemas")
    def schemas() -> None:
        click.echo("Zürich … 東京")

    import attest.cli.schemas

    monkeypatch.setattr(attest.cli.schemas, "schemas", schemas)
    monkeypatch.setattr(sys, "stdout", latin)
    with pytest.raises(SystemExit) as ended:
        main(["schemas"])
    assert ended.value.code == 0
    assert written.getvalue() == b"Z\xfcrich \\u2026 \\u6771\\u4eac\n"


def test_main__takes_its_words_from_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["attest", "schemas", "nosuch", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "nosuch" in json.loads(capsys.readouterr().out)["error"]


def test_commands__names__are_those_of_the_modules() -> None:
    group = entry.cli
    context = click.Context(group)
    for name in entry.COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert group.get_command(context, "nosuch") is None
    assert os.environ.get("_ATTEST_COMPLETE") is None
