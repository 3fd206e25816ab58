"""`attest custody read`: its output, its errors and its exit codes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from attest.cli.main import main

ROOT = Path(__file__).parents[3]
STATEMENTS = ROOT / "examples/statements/2026-W47"
FIRST_HARBOR = str(STATEMENTS / "first-harbor-bank.camt053.xml")


@pytest.fixture
def attest(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["custody", "read", *words])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def test_read__json__is_a_list_of_signed_decimal_strings(attest: Any) -> None:
    code, out, err = attest(FIRST_HARBOR, "--format", "camt053", "--zone", "America/New_York", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == [
        {
            "account": "4012887731",
            "currency": "USD",
            "amount": "84613.07",
            "minor_units": "8461307",
            "balance_kind": "closing-booked",
            "as_of": "2026-11-21T04:59:59Z",
            "statement_id": "FHB-4012887731-20261120",
        },
        {
            "account": "4012889056",
            "currency": "USD",
            "amount": "719500.00",
            "minor_units": "71950000",
            "balance_kind": "closing-booked",
            "as_of": "2026-11-21T04:59:59Z",
            "statement_id": "FHB-4012889056-20261120",
        },
    ]


def test_read__debit__is_a_negative_amount(attest: Any, tmp_path: Path) -> None:
    text = (STATEMENTS / "isar-privatbank.camt053.xml").read_text().replace("CRDT", "DBIT").replace("600000.00", "0.05")
    (tmp_path / "a.xml").write_text(text)
    code, out, _ = attest(str(tmp_path / "a.xml"), "--format", "camt053", "--json")
    (balance,) = json.loads(out)
    assert (code, balance["amount"], balance["minor_units"]) == (0, "-0.05", "-5")
    _, table, _ = attest(str(tmp_path / "a.xml"), "--format", "camt053")
    assert "-0.05 EUR" in table


def test_read__table__has_aligned_amounts_within_80_columns(attest: Any) -> None:
    code, out, _ = attest(FIRST_HARBOR, "--format", "camt053", "--zone", "America/New_York")
    lines = out.splitlines()
    assert code == 0
    assert lines[1].index("84,613.07 USD") == lines[2].index("719,500.00 USD") + 1
    assert "Fri 2026-11-20 23:59:59 EST" in lines[1]
    assert "FHB-4012887731-20261120" in lines[1]
    assert lines[-1] == "2 closing-booked balances"
    assert all(len(line) <= 80 and line.isprintable() for line in lines)


def test_read__table_that_would_be_wider_than_80_columns__leaves_the_statement_out(attest: Any) -> None:
    _, out, _ = attest(str(STATEMENTS / "isar-privatbank.camt053.xml"), "--format", "camt053")
    assert "statement" not in out
    assert out.splitlines()[-1] == "1 closing-booked balance"
    assert max(map(len, out.splitlines())) <= 80


def test_read__account__is_that_one_alone_in_any_spelling(attest: Any) -> None:
    code, out, _ = attest(FIRST_HARBOR, "--format", "camt053", "--account", "4012 8890 56", "--json")
    assert code == 0
    assert [one["account"] for one in json.loads(out)] == ["4012889056"]


def test_read__account_that_is_not_there__is_refused_with_those_that_are(attest: Any) -> None:
    code, out, _ = attest(FIRST_HARBOR, "--format", "camt053", "--account", "4711", "--json")
    document = json.loads(out)
    assert (code, document["code"], document["exit_code"]) == (3, "account-not-found", 3)
    assert "4012887731, 4012889056" in document["advice"]


@pytest.mark.parametrize(
    "content", [b"", b"not xml", b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"]
)
def test_read__refused_file__is_exit_3_with_reason_and_advice(attest: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xml").write_bytes(content)
    code, out, _ = attest(str(tmp_path / "a.xml"), "--format", "camt053", "--json")
    document = json.loads(out)
    assert code == 3
    assert set(document) == {"error", "reason", "advice", "code", "exit_code"}
    assert "a.xml" in document["error"]
    assert all(document.values())
    code, out, err = attest(str(tmp_path / "a.xml"), "--format", "camt053")
    assert (code, out, len(err.splitlines())) == (3, "", 3)


def test_read__missing_file__is_exit_3(attest: Any, tmp_path: Path) -> None:
    code, out, _ = attest(str(tmp_path / "gone.xml"), "--format", "camt053", "--json")
    assert (code, json.loads(out)["code"]) == (3, "file-missing")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--format", "mt942"),
        ("--format", "camt053", "--option", "x=1"),
        ("--format", "camt053", "--option", "x"),
        ("--format", "csv", "--option", "delimiter=;", "--option", "delimiter=,"),
        ("--format", "csv"),
        ("--format", "camt053", "--zone", "Mars/Olympus"),
        ("--format", "camt053", "--zone", "../../etc/passwd"),
        ("--source", "a/b", "--account", "a"),
        ("--source", "a/b", "--config", "nowhere.toml"),
    ],
)
def test_read__usage_that_cannot_be_meant__is_exit_2(attest: Any, words: tuple[str, ...]) -> None:
    code, out, _ = attest(FIRST_HARBOR, *words, "--json")
    assert code == 2
    assert json.loads(out)["exit_code"] == 2


def test_read__csv_options__are_taken_from_the_command_line(attest: Any) -> None:
    options = {
        "encoding": "latin-1", "delimiter": ";", "account_column": "IBAN", "amount_column": "Buchsaldo", "decimal": ",",
        "thousands": ".", "date_column": "Stichtag", "date_format": "DD.MM.YYYY", "currency": "EUR",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("--option", f"{name}={value}")]
    code, out, _ = attest(str(STATEMENTS / "treuhand-rhein.csv"), "--format", "csv", *words, "--json")
    assert code == 0
    assert [one["amount"] for one in json.loads(out)] == ["231405.55", "245900.55", "600000.00", "600000.00"]


def test_read__configured_source__brings_format_options_zone_and_account(attest: Any, configuration: Path) -> None:
    config = str(configuration)
    code, out, _ = attest(
        str(STATEMENTS / "treuhand-rhein.csv"), "--source", "eur-main/trustee-report", "--config", config, "--json"
    )
    assert code == 0
    assert [(one["amount"], one["as_of"]) for one in json.loads(out)] == [
        ("231405.55", "2026-11-19T22:59:59Z"), ("245900.55", "2026-11-20T22:59:59Z"),
    ]  # fmt: skip


def test_read__configured_account_by_its_id__brings_its_number_zone_and_options(
    attest: Any, configuration: Path
) -> None:
    config = str(configuration)
    words = ("--config", config, "--json")
    for account, name, form in [("eur-main", "treuhand-rhein.csv", "csv"), ("usd-reserve", FIRST_HARBOR, "camt053")]:
        code, out, _ = attest(str(STATEMENTS / name), "--format", form, "--account", account, *words)
        assert code == 0
        assert len({one["account"] for one in json.loads(out)}) == 1
    # Two sources of this account are CSV: which one is meant must be said.
    code, out, _ = attest(
        str(STATEMENTS / "keystone-portal.csv"), "--format", "csv", "--account", "usd-custody", *words
    )
    assert (code, json.loads(out)["code"]) == (2, "malformed-option")


def test_read__account_that_is_not_configured__is_the_custodian_s_number(attest: Any, configuration: Path) -> None:
    words = ("--config", str(configuration), "--json", "--format", "camt053")
    code, out, _ = attest(FIRST_HARBOR, "--account", "4012889056", *words)
    assert (code, len(json.loads(out))) == (0, 1)
    assert attest(FIRST_HARBOR, *words)[0] == 0


@pytest.mark.parametrize("source", ["eur-main/nothing", "nobody/trustee-report", "eur-main"])
def test_read__source_that_is_not_configured__is_exit_2_with_those_that_are(
    attest: Any, configuration: Path, source: str
) -> None:
    code, out, _ = attest(FIRST_HARBOR, "--source", source, "--config", str(configuration), "--json")
    document = json.loads(out)
    assert (code, document["code"]) == (2, "unknown-source")
    assert "eur-main/trustee-report" in document["advice"]


def test_read__terminal_escapes_in_a_hostile_file__never_reach_the_terminal(attest: Any, tmp_path: Path) -> None:
    text = (STATEMENTS / "isar-privatbank.camt053.xml").read_text()
    (tmp_path / "a\x1b[2J.xml").write_text(text.replace("ISAR-88120041-226", "\u009b2J\u202e"))
    for form in ("camt053", "csv"):
        for words in ((), ("--json",)):
            code, out, err = attest(str(tmp_path / "a\x1b[2J.xml"), "--format", form, *words)
            assert code in {2, 3}
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out + err)


def test_read__help__shows_examples(attest: Any) -> None:
    code, out, _ = attest("--help")
    assert code == 0
    assert "attest custody read statement.xml --format camt053" in out


# -- attest custody fetch, formats -----------------------------------------------------------------------------------


def custody(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["custody", *map(str, words)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_fetch__saved_twice_into_one_folder__is_there_once_and_read_again(
    capsys: pytest.CaptureFixture[str], configuration: Path, tmp_path: Path
) -> None:
    folder = configuration.parent / "statements/2026-W47"
    folder.mkdir(parents=True)
    (folder / "treuhand-rhein.csv").write_bytes((STATEMENTS / "treuhand-rhein.csv").read_bytes())
    words = ("eur-main/trustee-report", "--period", "2026-W47", "--config", configuration, "--save", tmp_path / "in")
    for _ in range(2):
        code, out, err = custody(capsys, "fetch", *words)
        assert (code, err) == (0, "")
        assert "245,900.55 EUR" in out
    (saved,) = (tmp_path / "in").iterdir()
    assert saved.read_bytes() == (STATEMENTS / "treuhand-rhein.csv").read_bytes()
    code, out, _ = custody(capsys, "read", saved, "--source", "eur-main/trustee-report", "--config", configuration)
    assert code == 0
    assert "245,900.55 EUR" in out


@pytest.mark.requires("openssl", "apt-get install openssl")
def test_fetch__signed_source__is_saved_with_its_signatures_and_read_again_without_them(
    capsys: pytest.CaptureFixture[str], configuration: Path, tmp_path: Path
) -> None:
    for command in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout bank.key -out bank.pem -subj /CN=bank",
        "cms -sign -binary -in a.csv -signer bank.pem -inkey bank.key -outform DER -out a.csv.p7s",
        "cms -sign -binary -in b.csv -signer bank.pem -inkey bank.key -outform DER -out b.csv.p7s",
    ):
        for name, day in (("a", 19), ("b", 20)):
            (tmp_path / f"{name}.csv").write_text(f"account,amount,date\n1234,1.{day},2026-11-{day}\n")
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    source = """
[[accounts.eur-main.sources]]
id = "signed"
origin = "bank"
format = "csv"
location = "?.csv"
signature = { kind = "cms", key = "bank.pem", suffix = ".p7s" }
options = { account_column = "account", amount_column = "amount", date_column = "date", currency = "EUR" }
"""
    configuration.write_text(configuration.read_text(encoding="utf-8") + source, encoding="utf-8")
    words = ("eur-main/signed", "--period", "2026-W47", "--config", configuration, "--save", tmp_path / "in")
    assert custody(capsys, "fetch", *words)[0] == 0
    saved = sorted((tmp_path / "in").iterdir())
    assert [one.name[:3] for one in saved] == ["001", "001", "002", "002"]
    assert [one.suffix for one in saved] == ["", ".p7s"] * 2
    assert saved[0].read_bytes() == (tmp_path / "a.csv").read_bytes()
    unknown = ("--format", "csv", *(f"--option={one}" for one in (
        "account_column=account", "amount_column=amount", "date_column=date", "currency=EUR")))  # fmt: skip
    code, out, err = custody(capsys, "read", *[one for one in saved if not one.suffix], *unknown)
    assert (code, err) == (0, "")
    assert "1.20 EUR" in out
    code, _, err = custody(capsys, "read", *saved, "--source", "eur-main/signed", "--config", configuration)
    assert "no statement of account" in err  # read, but of nobody that this account is
    assert code == 3


def test_fetch__source_that_is_not_configured__names_those_of_its_account(
    capsys: pytest.CaptureFixture[str], configuration: Path
) -> None:
    code, _, err = custody(capsys, "fetch", "eur-main/trustee", "--config", configuration)
    assert code == 2
    assert "ACCOUNT/SOURCE eur-main/trustee: there is no such source" in err
    assert "The sources of eur-main are: eur-main/bank-statement, eur-main/trustee-report.\n" in err


def test_formats__all_of_them__fit_into_80_columns_and_say_what_they_need(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = custody(capsys, "formats")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "location: none; connection of kind: sql" in out
    assert "\ncamt053 " in f"\n{out}"


def test_formats__named_ones__are_shown_alone(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = custody(capsys, "formats", "ofx", "--json")
    assert (code, [one["format"] for one in json.loads(out)]) == (0, ["ofx"])
    assert custody(capsys, "formats", "ofx", "nonsense")[0] == 2
