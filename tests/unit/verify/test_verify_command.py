"""``attest verify`` and ``attest verify-proof`` as a person or a program meets them."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from attest.cli.main import main
from attest.records import to_json
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.bundles import Forge

AT = ["--at", "2026-11-24T08:00:00Z"]


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """The output without its line breaks."""
        return " ".join(self.output.split())


class Desk:
    """An auditor's desk: a downloaded bundle, a trust file, and the commands."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.bundle = folder / "2026-W47"
        self.proof = folder / "proof.json"
        self.capture = capture
        self.prepare(Forge())
        self.trust(bundles.trust())

    def prepare(self, forge: Forge) -> None:
        forge.write(self.bundle)
        self.proof.write_bytes(to_json(forge.inclusion_proof(1)))

    def trust(self, trust: Trust) -> None:
        (self.folder / "trust.json").write_bytes(to_json(trust))

    def run(self, *words: str, trust: Path | str | None = None) -> Result:
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*words, "--trust", str(trust or self.folder / "trust.json")])
        output, errors = self.capture.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, output, errors)

    def verify(self, *words: str) -> Result:
        return self.run("verify", str(self.bundle), *AT, *words)

    def verify_proof(self, *words: str) -> Result:
        return self.run("verify-proof", str(self.proof), "--statement", str(self.bundle), *AT, *words)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_verify__valid__answers_first_then_checks_then_what_is_open(desk: Desk) -> None:
    result = desk.verify()

    text = result.text
    assert result.code == 0
    assert result.output.startswith("sufficient  EURW: 840,500.00 EUR held against")
    places = [
        text.index(part)
        for part in (
            "USDW: 1,204,113.07 USD held",
            "authentic: yes",
            "sufficient: yes",
            "independently checked: yes",
            "pass files:",
            "skipped leaves:",
            "What could not be checked, and how to get it checked:",
            "--rpc URL",
            "Everything that your trust file demands passed.",
        )
    ]
    assert places == sorted(places)


def test_verify__any_output__fits_80_columns_and_has_no_control_characters(desk: Desk) -> None:
    for forge in (Forge(), Forge(signers=(7,)), Forge(tokens=(bundles.sufficient_token(supply=2 * 10**12),))):
        desk.prepare(forge)
        result = desk.verify()

        assert all(len(line) <= 80 for line in result.output.splitlines())
        assert result.output.replace("\n", "").isprintable()


def test_verify__failed_check__says_fail_and_what_to_do_and_not_to_rely_on_it(desk: Desk) -> None:
    desk.prepare(Forge(signers=(0,)))

    result = desk.verify()

    text = result.text
    assert result.code == 6
    assert "unproven EURW: " not in text
    assert "unproven Not proven, only claimed: EURW" in text
    assert "FAIL signatures: signed by attestor 0 (2 needed)" in text
    assert "What to do: Compare the attestor keys" in text
    assert text.endswith("Do not rely on this bundle.")


def test_verify__short__exit_4_in_words(desk: Desk) -> None:
    trust = bundles.trust()
    desk.trust(replace(trust, tokens=trust.tokens[1:]))
    desk.prepare(Forge(tokens=(bundles.sufficient_token(supply=2 * 10**12),)))

    result = desk.verify()

    assert result.code == 4
    assert result.output.startswith("short       USDW:")
    assert "it says that a reserve is short or withheld" in result.output


def test_verify__demand_not_met__is_told(desk: Desk) -> None:
    desk.trust(replace(bundles.trust(), demands=("leaves",)))

    result = desk.verify()

    assert result.code == 6
    assert "your trust file demands 'leaves', and that was not met" in result.output


def test_verify__rehearsal__is_told(desk: Desk) -> None:
    desk.prepare(Forge(alter_predicate=lambda predicate: replace(predicate, clock="pinned")))

    result = desk.verify()

    assert "note     This is a rehearsal" in result.output


def test_verify__nothing_readable__says_so(desk: Desk) -> None:
    for file in desk.bundle.iterdir():
        file.unlink()

    result = desk.verify()

    assert result.code == 6
    assert "There is no statement that can be read." in result.output


def test_verify__json__has_everything_and_the_exit_code(desk: Desk) -> None:
    result = desk.verify("--json")

    document = json.loads(result.output)
    assert result.code == document["exit_code"] == 0
    assert [token["state"] for token in document["tokens"]] == ["sufficient", "sufficient"]
    assert {answer["name"]: answer["answer"] for answer in document["answers"]} == {
        "authentic": "yes",
        "sufficient": "yes",
        "independently checked": "yes",
    }
    assert all({"name", "question", "outcome", "detail", "advice"} <= set(check) for check in document["checks"])
    assert (document["period"], document["revision"], document["unmet"], document["notes"]) == ("2026-W47", 0, [], [])


HOSTILE = "\x1b]0;owned\x07\x1b[31mEvil\u202e Ltd\r\n"


def test_verify__terminal_escapes_in_the_issuers_name__are_shown_not_obeyed(desk: Desk) -> None:
    desk.trust(replace(bundles.trust(), issuer=HOSTILE))
    desk.prepare(Forge(alter_predicate=lambda predicate: replace(predicate, issuer=HOSTILE)))

    result = desk.verify()

    assert result.code == 0
    assert result.output.replace("\n", "").isprintable()
    assert "\\x1b]0;owned" in result.output


def test_verify__no_color__has_none_even_on_a_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    coloured = desk.verify()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = desk.verify()

    assert "\x1b[32m" in coloured.output
    assert "\x1b" not in plain.output


def test_verify__trust_file_in_the_bundle__refused(desk: Desk) -> None:
    (desk.bundle / "trust.json").write_bytes(to_json(bundles.trust()))

    result = desk.run("verify", str(desk.bundle), trust=desk.bundle / "trust.json")

    assert result.code == 6
    assert "it would vouch for itself" in result.errors


@pytest.mark.parametrize("at", ["yesterday", "2026-11-24", "2026-13-01T00:00:00Z"])
def test_verify__time_that_is_none__is_a_usage_error(desk: Desk, at: str) -> None:
    result = desk.verify("--at", at)

    assert result.code == 2
    assert "--at" in result.errors


def test_verify__url_of_another_kind__is_a_usage_error_that_does_not_repeat_it(desk: Desk) -> None:
    result = desk.verify("--rpc", "ftp://user:secret@host/")

    assert result.code == 2
    assert "--rpc is not" in result.errors
    assert "secret" not in result.errors + result.output


def test_verify__no_such_bundle__is_a_usage_error(desk: Desk) -> None:
    result = desk.run("verify", str(desk.folder / "none"))

    assert result.code == 2
    assert "cannot be read" in result.errors


def test_verify__no_time_given__takes_the_clock(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.trust(replace(bundles.trust(), maximum_age_seconds=None))
    early = Forge(alter_predicate=lambda predicate: replace(predicate, clock="pinned"))
    desk.prepare(early)

    assert desk.run("verify", str(desk.bundle)).code == 0


# -- what an auditor brings besides ----------------------------------------------------------------------------------


def test_verify__zip__is_verified(desk: Desk) -> None:
    path = desk.folder / "2026-W47.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in desk.bundle.iterdir():
            archive.write(file, f"2026-W47/{file.name}")

    assert desk.run("verify", str(path), *AT).code == 0


def test_verify__leaves__are_added_up_and_the_answer_says_so(desk: Desk) -> None:
    forge = Forge()
    desk.prepare(forge)
    (desk.folder / "leaves.json").write_bytes(forge.leaves_file())

    result = desk.verify("--leaves", str(desk.folder / "leaves.json"))

    assert result.code == 0
    assert "sufficient: yes by 3 accounts added up" in result.text
    assert "pass leaves: 3 accounts lead to the signed root" in result.text


def test_verify__audit_package_and_core_install__is_decided_again_but_not_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "attest.audit.cosign", None)  # the core install
    forge = Forge()
    desk.prepare(forge)
    package = forge.write_package(desk.folder / "package")

    result = desk.verify("--evidence", str(package))

    assert result.code == 0
    assert "skipped evidence: decided again: 3 accounts" in result.text
    assert "no document was read" in result.text
    assert "pip install 'reserve-attest[run]'" in result.text
    next((package / "evidence").iterdir()).write_bytes(b"another document")
    result = desk.verify("--evidence", str(package))
    assert result.code == 6
    assert "FAIL evidence: evidence/" in result.text


@pytest.mark.parametrize("option", ["--leaves", "--since", "--evidence", "--log"])
def test_verify__named_thing_is_not_there__names_it_and_exit_2(desk: Desk, option: str) -> None:
    result = desk.verify(option, str(desk.folder / "none"))

    assert result.code == 2
    assert result.errors.startswith(f"error: {desk.folder}/none")
    assert len(result.errors.splitlines()) == 3
    assert result.output == ""


def prepare_log(desk: Desk, *entries: bytes, signers: tuple[int, ...] = (0, 1)) -> Path:
    """A log's folder with these entries before the bundle's own, which is in it."""
    forge = Forge(before=entries, signers=signers)
    desk.prepare(forge)
    log = desk.folder / "log"
    for path, data in bundles.log_files(forge.entries).items():
        (log / path).parent.mkdir(parents=True, exist_ok=True)
        (log / path).write_bytes(data)
    return log


def test_verify__log__is_read_compared_and_remembered(desk: Desk) -> None:
    log = prepare_log(desk)
    state = desk.folder / "logs.json"

    first = desk.verify("--log", str(log), "--state", str(state))
    second = desk.verify("--since", str(log / "checkpoint"), "--state", str(state))

    assert (first.code, second.code) == (0, 0)
    assert "pass history: the log at size 1, 2026-W47 to 2026-W47: this one is in force" in first.text
    assert "skipped consistency: you have no earlier checkpoint" in first.text
    assert (
        "pass consistency: the log at size 1 agrees with the head at size 1 that you kept and the head" in second.text
    )
    assert state.exists()


def test_verify__no_state_option__remembers_where_the_person_keeps_state(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(desk.folder / "state"))
    prepare_log(desk)

    assert "skipped consistency" in desk.verify().text
    assert (desk.folder / "state/attest/logs.json").exists()
    assert "pass consistency" in desk.verify().text
    assert "skipped consistency" in desk.verify("--no-state").text


def test_verify__remembered_head_not_comparable__is_the_last_word(desk: Desk) -> None:
    prepare_log(desk, b"one")
    state = desk.folder / "logs.json"
    assert desk.verify("--state", str(state)).code == 0
    prepare_log(desk)

    result = desk.verify("--state", str(state))

    assert result.code == 0
    assert result.output.endswith(
        "Everything that your trust file demands passed.\nThe log was not compared with what you remember of it.\n"
    )


def test_verify__kept_checkpoint_not_comparable__exit_6_and_says_so(desk: Desk) -> None:
    prepare_log(desk, b"one")
    kept = desk.folder / "kept"
    shutil.copy(desk.folder / "log" / "checkpoint", kept)
    prepare_log(desk)

    result = desk.verify("--no-state", "--since", str(kept))

    assert result.code == 6
    assert "FAIL the log could not be compared with your checkpoint (--since), as you asked" in result.text
    assert result.output.endswith("Do not rely on this bundle.\n")


def test_verify__log_rewritten__exit_6_and_says_to_keep_the_evidence(desk: Desk) -> None:
    prepare_log(desk)
    assert desk.verify().code == 0
    prepare_log(desk, signers=(0, 2))  # another envelope, another root

    result = desk.verify()

    assert result.code == 6
    assert (
        "FAIL consistency: the log at size 1 contradicts the head at size 1 that was remembered: it was" in result.text
    )
    assert "What to do: Keep both checkpoints" in result.text


def test_verify__state_and_no_state__is_a_usage_error(desk: Desk) -> None:
    result = desk.verify("--state", "x", "--no-state")

    assert result.code == 2
    assert "exclude each other" in result.errors


def test_verify__memory_is_damaged__is_told_and_left_alone(desk: Desk) -> None:
    state = desk.folder / "logs.json"
    state.write_text("[]")

    result = desk.verify("--state", str(state))

    assert result.code == 2
    assert "your memory of logs cannot be read" in result.errors
    assert "--no-state" in result.errors
    assert state.read_text() == "[]"


@pytest.mark.parametrize("option", ["BUNDLE", "--trust", "--log", "--rpc"])
def test_verify__address_with_half_a_bracket__is_told(desk: Desk, option: str) -> None:
    bad = "http://[x"
    if option == "BUNDLE":
        result = desk.run("verify", bad, *AT)
    elif option == "--trust":
        result = desk.run("verify", str(desk.bundle), *AT, trust=bad)
    else:
        result = desk.verify(option, bad)

    assert result.code == 2
    assert "unexpected" not in result.errors


@pytest.mark.parametrize(
    "address", ["https://u:SECRET@h/", "https://u:SECRET@[h/", "https://u:S@a/SECRET@h", "https://h/t?key=SECRET"]
)
@pytest.mark.parametrize("option", ["BUNDLE", "--trust", "--log"])
def test_verify__secret_in_an_address__is_not_repeated(desk: Desk, option: str, address: str) -> None:
    if option == "BUNDLE":
        result = desk.run("verify", address, *AT)
    elif option == "--trust":
        result = desk.run("verify", str(desk.bundle), *AT, trust=address)
    else:
        result = desk.verify(option, address)

    assert result.code == 2
    assert "SECRET" not in result.errors


# -- verify-proof ----------------------------------------------------------------------------------------------------


def test_verify_proof__included__shows_account_balance_and_what_it_does_not_show(desk: Desk) -> None:
    result = desk.verify_proof()

    text = result.text
    assert result.code == 0
    assert text.startswith(
        "included usdw-0 at First Custodian Bank: 1,204,113.06 USD (closing-booked, custodian-confirmed) as of "
        "Fri 20 Nov 2026 23:59 UTC, backing USDW, in 2026-W47, revision 0."
    )
    assert "one of 3 accounts under the signed root" in text
    assert "add up to 1,204,113.07 USD is the issuer's claim" in text
    assert "pass inclusion:" in text


def test_verify_proof__not_included__says_so_and_exit_6(desk: Desk) -> None:
    plain = json.loads(desk.proof.read_bytes())
    plain["leaf_index"] = 0
    desk.proof.write_text(json.dumps(plain))

    result = desk.verify_proof()

    assert result.code == 6
    assert result.output.startswith("unproven    This proof does not show the account")
    assert "FAIL     inclusion" in result.output


def test_verify_proof__json__amounts_are_strings(desk: Desk) -> None:
    result = desk.verify_proof("--json")

    document = json.loads(result.output)
    assert result.code == document["exit_code"] == 0
    assert document["leaf"]["minor_units"] == "120411306"
    assert document["total_minor_units"] == "120411307"


def test_verify_proof__json_of_a_false_proof__has_no_leaf(desk: Desk) -> None:
    desk.proof.write_text("{}")

    result = desk.verify_proof("--json")

    document = json.loads(result.output)
    assert (result.code, document["exit_code"], document["leaf"]) == (6, 6, None)
    assert document["checks"][-1]["outcome"] == "fail"


def test_verify_proof__hostile_custodian__is_shown_not_obeyed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    original = bundles.make_leaves

    def hostile(tokens: Any, period: str = bundles.PERIOD) -> list[bytes]:
        return [leaf.replace(b"First Custodian", b"\\u001b[2JFirst") for leaf in original(tokens, period)]

    monkeypatch.setattr(bundles, "make_leaves", hostile)
    desk.prepare(Forge())

    result = desk.verify_proof()

    assert result.code == 0
    assert result.output.replace("\n", "").isprintable()
