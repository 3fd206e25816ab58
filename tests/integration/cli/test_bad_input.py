"""Bad input, one line each: the command is refused with the documented exit code and an error that names what is wrong,
nothing is sent, nothing is half written, and once the cause is mended the same command goes through."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SOURCE, EXIT_USAGE, EXIT_VERIFICATION
from attest.pipeline import STEPS
from tests.support.commands import Said, attest, attest_process
from tests.support.practice import Week
from tests.support.spoiling import (
    NOBODY,
    Spoiling,
    a_statement,
    configured,
    facts,
    file_changed,
    forbidden,
    full,
    in_folder,
    nothing,
    replaced,
    role_revoked,
    statement,
    statement_bytes,
    unreachable,
    web_page,
    without_gas,
)

#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover

BANK = "nordlicht-bank.camt053.xml"
TRUSTEE = "treuhand-rhein.csv"


@dataclass(frozen=True)
class Case:
    """``spoil`` breaks something and mends it again at its end. ``names`` are words that the error must have; in them
    and in ``command`` ``{url}``, ``{week}`` and the like are replaced (see :func:`facts`). ``step``: the step that
    refuses, which leaves no artifact; None: nothing is stored at all. ``mended``: the command then succeeds."""

    name: str
    spoil: Spoiling
    exit_code: int
    code: str
    names: tuple[str, ...]
    command: tuple[str, ...] = ("run", "--config", "{config}")
    step: str | None = None
    mended: bool = False


CASES: tuple[Case, ...] = (
    # -- what custodians state
    Case(
        "statement missing",
        replaced(a_statement(BANK), None),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK),
        step="collect",
        mended=True,
    ),
    Case(
        "statement not ours to read",
        forbidden(a_statement(BANK), 0o000),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK, "Permission denied"),
        step="collect",
        mended=True,
    ),
    Case(
        "statement is a folder",
        replaced(a_statement(BANK), Path.mkdir),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK, "is a folder"),
        step="collect",
    ),
    Case(
        "statement is a dangling link",
        replaced(a_statement(BANK), lambda path: path.symlink_to("nowhere")),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK, "no such file"),
        step="collect",
    ),
    Case(
        "statement empty",
        statement_bytes(BANK, lambda data: b""),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK, "empty"),
        step="collect",
    ),
    Case(
        "statement cut off",
        statement_bytes(BANK, lambda data: data[: len(data) // 2]),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK),
        step="collect",
    ),
    Case(
        "export cut off",
        statement_bytes(TRUSTEE, lambda data: data[: data.rindex(b"600")]),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-safeguarding", "trustee-report", TRUSTEE),
        step="collect",
    ),
    Case(
        "wrong currency",
        statement(BANK, ('Ccy="EUR"', 'Ccy="USD"'), ("<Ccy>EUR<", "<Ccy>USD<")),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK, "USD, not EUR"),
        step="collect",
    ),
    Case(
        "overdraft",
        statement(BANK, (">CRDT<", ">credit<"), (">DBIT<", ">CRDT<"), (">credit<", ">DBIT<")),
        EXIT_SOURCE,
        "overdraft",
        ("eur-main", "bank-statement", "-245,900.55 EUR"),
        step="decide",
    ),
    Case(
        "last week's statement",
        statement(BANK, ("2026-11-20", "2026-11-13"), ("2026-11-19", "2026-11-12")),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", "2026-11-13"),
        step="collect",
        mended=True,
    ),
    Case(
        "balance of the future",
        statement(BANK, ("2026-11-20", "2026-11-23")),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "bank-statement", BANK, "2026-11-23"),
        step="collect",
    ),
    Case(
        "disagreement",
        statement(TRUSTEE, ("245.900,55", "245.900,56"), encoding="latin-1"),
        EXIT_SOURCE,
        "disagreement",
        ("eur-main", "bank-statement", "trustee-report", "245,900.55 EUR", "245,900.56 EUR"),
        step="decide",
    ),
    Case(
        "statement with a terminal's escape codes",
        statement(TRUSTEE, ("DE19 9993", "\x1b[2J\x9b31mDE19 9993"), encoding="latin-1"),
        EXIT_SOURCE,
        "too-few-sources",
        ("eur-main", "trustee-report"),
        step="collect",
    ),
    Case(
        "export with a terminal's escape codes",
        statement(TRUSTEE, ("DE19 9993", "\x1b[2J\x9b31mDE19 9993"), encoding="latin-1"),
        EXIT_SOURCE,
        "unprintable-text",
        (TRUSTEE,),
        command=(
            *("custody", "read", "{statements}/treuhand-rhein.csv", "--config", "{config}"),
            *("--source", "eur-main/trustee-report"),
        ),
    ),
    # -- the chain
    Case(
        "chain unreachable",
        unreachable,
        EXIT_CHAIN,
        "endpoints-down",
        ("chain main", "http://127.0.0.1:", "refused"),
        step="open",
        mended=True,
    ),
    Case(
        "endpoint answers with a web page",
        web_page,
        EXIT_CHAIN,
        "endpoints-down",
        ("chain main", "http://127.0.0.1:"),
        step="open",
    ),
    Case(
        "endpoint of another chain",
        configured("chain_id = 138", "chain_id = 139"),
        EXIT_CHAIN,
        "wrong-chain-id",
        ("chain main", "{url}", "138", "139"),
        step="open",
        mended=True,
    ),
    Case(
        "reporter without its role",
        role_revoked("oracle", "REPORTER_ROLE", "reporter"),
        EXIT_CHAIN,
        "would-revert",
        ("{reporter}", "REPORTER_ROLE"),
        step="submit",
        mended=True,
    ),
    Case(
        "publisher without its role",
        role_revoked("registry", "PUBLISHER_ROLE", "publisher"),
        EXIT_CHAIN,
        "would-revert",
        ("{publisher}", "PUBLISHER_ROLE"),
        step="submit",
        mended=True,
    ),
    Case(
        "reporter without gas",
        without_gas("reporter"),
        EXIT_CHAIN,
        "balance-too-low",
        ("{reporter}", "chain main"),
        step="submit",
        mended=True,
    ),
    Case(
        "publisher without gas",
        without_gas("publisher"),
        EXIT_CHAIN,
        "balance-too-low",
        ("{publisher}", "chain main"),
        step="submit",
    ),
    Case(
        "oracle without code",
        configured("{oracle}", NOBODY),
        EXIT_CHAIN,
        "would-revert",
        (NOBODY, "no contract", "report 1,204,113.07 USDW"),
        step="submit",
    ),
    Case(
        "registry without code",
        configured("{registry}", NOBODY),
        EXIT_CHAIN,
        "would-revert",
        (NOBODY, "no contract", "anchor 2026-W47"),
        step="submit",
    ),
    Case(
        "token without code",
        configured("{usdw}", NOBODY),
        EXIT_CHAIN,
        "no-code",
        (NOBODY, "USDW"),
        step="open",
    ),
    Case(
        "oracle is another contract",
        configured("{oracle}", "{registry}"),
        EXIT_CHAIN,
        "would-revert",
        ("{registry}", "report 1,204,113.07 USDW"),
        step="submit",
    ),
    Case(
        "token of other decimals",
        configured("decimals = 6", "decimals = 8"),
        EXIT_CHAIN,
        "decimals-differ",
        ("USDW", "{usdw}", "6", "8"),
        step="open",
        mended=True,
    ),
    # -- keys
    Case(
        "key's password wrong",
        file_changed("keys/password.txt", lambda data: b"another\n"),
        EXIT_USAGE,
        "keystore",
        ("keys/reporter-1.json", "wrong password"),
        step="submit",
        mended=True,
    ),
    Case(
        "password file missing",
        replaced(in_folder("keys/password.txt"), None),
        EXIT_USAGE,
        "secret-unavailable",
        ("file:keys/password.txt",),
        step="submit",
    ),
    Case(
        "key missing",
        replaced(in_folder("keys/reporter-2.json"), None),
        EXIT_USAGE,
        "keystore",
        ("keys/reporter-2.json",),
        step="submit",
    ),
    Case(
        "key of another address",
        replaced(in_folder("keys/reporter-2.json"), lambda path: shutil.copy(path.with_name("reporter-1.json"), path)),
        EXIT_USAGE,
        "signer-mismatch",
        ("keys/reporter-2.json", "{reporter}"),
        step="submit",
        mended=True,
    ),
    # -- stores
    Case(
        "private store read-only",
        forbidden(in_folder("private"), 0o500),
        EXIT_USAGE,
        "store-unavailable",
        ("{week}/private", "Permission denied"),
        step="open",
        mended=True,
    ),
    Case(
        "public store read-only",
        forbidden(in_folder("public"), 0o500),
        EXIT_USAGE,
        "store-unavailable",
        ("{week}/public", "Permission denied"),
        step="submit",
        mended=True,
    ),
    Case(
        "private store full",
        full("private"),
        EXIT_USAGE,
        "store-unavailable",
        ("{week}/private", "has space"),
        step="open",
        mended=True,
    ),
    Case(
        "private store is a file",
        replaced(in_folder("private"), lambda path: path.write_bytes(b"")),
        EXIT_USAGE,
        "store-unavailable",
        ("{week}/private",),
        step="open",
    ),
    # -- the configuration
    Case(
        "configuration missing",
        replaced(in_folder("attest.toml"), None),
        EXIT_USAGE,
        "configuration",
        ("{config}", "No such file"),
    ),
    Case(
        "configuration is no TOML",
        file_changed("attest.toml", lambda data: data.replace(b"[issuer]", b"[issuer")),
        EXIT_USAGE,
        "configuration",
        ("{config}", "line 4"),
    ),
    Case(
        "configuration has an unknown key",
        configured("deadline_hours", "deadline_hour"),
        EXIT_USAGE,
        "configuration",
        ("{config}", "schedule.deadline_hour", "unknown key"),
        mended=True,
    ),
    Case(
        "configuration holds a secret",
        configured('password = "file:keys/password.txt"', 'password = "hunter2"'),
        EXIT_USAGE,
        "configuration",
        ("{config}", "signing.reporters.0.password", "literal secret"),
    ),
    Case(
        "configured endpoint holds credentials",
        configured('"file:rpc.url"', '"https://user:hunter2@rpc.example"'),
        EXIT_USAGE,
        "configuration",
        ("{config}", "chains.main", "env:RPC_URL"),
    ),
    Case(
        "configured address has a wrong digit",
        configured("{oracle}", "0x6FbDB2315678afecb367f032d93F642f64180aa3"),
        EXIT_USAGE,
        "configuration",
        ("{config}", "oracle.address", "checksum"),
    ),
    Case(
        "configured format unknown",
        configured('format = "csv"', 'format = "xls"'),
        EXIT_USAGE,
        "unknown-format",
        ("accounts.usd-operating.sources.trustee-report", "xls"),
    ),
    # -- periods and names
    *(
        Case(
            f"period {text}",
            nothing,
            EXIT_USAGE,
            "unknown-period",
            (text,),
            command=("run", "--config", "{config}", "--period", text),
        )
        for text in ("2026-W54", "2026-47", "x", "2026-W00", "９９９９-W01")
    ),
    Case(
        "period in the future",
        nothing,
        EXIT_USAGE,
        "future-period",
        ("2026-W48", "2026-11-29T23:59:59Z", "2026-W47"),
        command=("run", "--config", "{config}", "--period", "2026-W48"),
    ),
    Case(
        "token to withhold unknown",
        nothing,
        EXIT_USAGE,
        "unknown-token",
        ("--withhold USDX", "USDW, EURW, GBPW"),
        command=("run", "--config", "{config}", "--withhold", "USDX"),
    ),
    Case(
        "account to acknowledge unknown",
        nothing,
        EXIT_USAGE,
        "unknown-account",
        ("--acknowledge usd-oper", "usd-operating"),
        command=("run", "--config", "{config}", "--acknowledge", "usd-oper"),
    ),
    Case(
        "account to prove in a week without attestation",
        nothing,
        EXIT_USAGE,
        "unknown-period",
        ("2026-W47",),
        command=("prove", "usd-operating", "--config", "{config}"),
    ),
    Case(
        "nothing to abandon",
        nothing,
        EXIT_USAGE,
        "nothing-to-abandon",
        ("2026-W47",),
        command=("abandon", "--config", "{config}", "--reason", "to try"),
    ),
    Case(
        "reason to abandon cannot be published",
        nothing,
        EXIT_USAGE,
        "malformed-reason",
        ("--reason",),
        command=("abandon", "--config", "{config}", "--reason", "\x1b[2J"),
    ),
    # -- the auditor's side
    Case(
        "bundle missing",
        nothing,
        EXIT_USAGE,
        "bundle-unreadable",
        ("{week}/nowhere",),
        command=("verify", "{week}/nowhere", "--trust", "{week}/trust.json"),
    ),
    Case(
        "trust file missing",
        nothing,
        EXIT_USAGE,
        "trust-unreadable",
        ("{week}/nowhere.json",),
        command=("verify", "{week}/statements", "--trust", "{week}/nowhere.json"),
    ),
    Case(
        "trust file inside the bundle",
        nothing,
        EXIT_VERIFICATION,
        "trust-from-bundle",
        ("{week}/trust.json",),
        command=("verify", "{week}", "--trust", "{week}/trust.json"),
    ),
    Case(
        "time to judge at malformed",
        nothing,
        EXIT_USAGE,
        "usage",
        ("--at", "yesterday"),
        command=("verify", "{week}/statements", "--trust", "{week}/trust.json", "--at", "yesterday"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_command__bad_input__is_refused_and_leaves_nothing_behind(case: Case, operator: Week) -> None:
    known = facts(operator)
    words = [word.format_map(known) for word in case.command]
    names = [name.format_map(known) for name in case.names]
    sent = operator.sent()
    with case.spoil(operator):
        text = attest(*words)
        in_json = attest(*words, "--json")

    assert (text.code, in_json.code) == (case.exit_code, case.exit_code), text.everything
    assert_three_lines(text, names)
    assert_one_document(in_json, case, names)
    assert operator.sent() == sent
    assert operator.stored("public") == {}
    assert artifacts(operator) <= before_step(case.step)
    assert not [path for path in operator.folder.rglob("*") if path.parent.name == ".tmp"]

    if case.mended:
        again = attest(*words)
        assert again.code == EXIT_DONE, again.everything
        assert "/attestations/2026-W47" in again.out


def assert_three_lines(said: Said, names: list[str]) -> None:
    """What is wrong, why it matters, what to do next; and nothing that a terminal would act on."""
    assert "Traceback" not in said.everything
    assert all(char.isprintable() or char == "\n" for char in said.everything)
    error = said.err[said.err.index("error: ") :]
    assert re.search(r"^error: \S", said.err, re.M)
    assert re.search(r"^  why: \S", error, re.M)
    assert re.search(r"^ next: \S", error, re.M)
    for name in names:
        assert name in error
    assert said.out == ""


def assert_one_document(said: Said, case: Case, names: list[str]) -> None:
    document = said.document
    assert set(document) == {"error", "code", "reason", "advice", "exit_code"}
    assert (document["code"], document["exit_code"]) == (case.code, case.exit_code)
    assert all(isinstance(document[key], str) and document[key] for key in ("error", "code", "reason", "advice"))
    for name in names:
        assert name in f"{document['error']} {document['advice']}"
    assert all(char.isprintable() or char == "\n" for char in said.everything)
    assert said.err == ""


def artifacts(week: Week) -> set[str]:
    """What the week's first attempt has decided; a second one was never begun."""
    runs = [key.removeprefix("runs/2026-W47/1/") for key in week.stored() if key.startswith("runs/")]
    assert not [key for key in runs if key.startswith("runs/")]
    return set(runs)


def before_step(refused: str | None) -> set[str]:
    """The artifacts of the steps before the one that refuses."""
    names = [step.name for step in STEPS]
    return {step.artifact for step in STEPS[: names.index(refused) if refused else 0]}


def test_run__reporter_without_its_role__leaves_the_attempt_free_to_be_abandoned(operator: Week) -> None:
    with role_revoked("oracle", "REPORTER_ROLE", "reporter")(operator):
        assert attest("run", "--config", operator.config_path).code == EXIT_CHAIN
    said = attest("abandon", "--config", operator.config_path, "--reason", "the wrong key was configured")
    assert said.code == EXIT_DONE, said.everything
    again = attest("run", "--config", operator.config_path, "--json")
    assert (again.code, again.document["attempt"]) == (EXIT_DONE, 2)


@pytest.mark.parametrize("name", ["statement missing", "configuration has an unknown key"])
def test_command_in_a_process_of_its_own__bad_input__says_and_ends_the_same(name: str, operator: Week) -> None:
    case = next(case for case in CASES if case.name == name)
    known = facts(operator)
    words = [word.format_map(known) for word in case.command]
    names = [name.format_map(known) for name in case.names]
    with case.spoil(operator):
        text = attest_process(*words)
        in_json = attest_process(*words, "--json")
    assert (text.code, in_json.code) == (case.exit_code, case.exit_code)
    assert_three_lines(text, names)
    assert_one_document(in_json, case, names)
