"""What each command does and says, for people and with ``--json``, on a real practice network."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from attest.chain.devnet import advance_to
from attest.config import load
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SHORTFALL, EXIT_SOURCE, EXIT_USAGE, EXIT_VERIFICATION
from tests.support.commands import Said, attest, modes_hold
from tests.support.practice import Week

JUST_AFTER = "2026-11-24T00:00:00Z"
FRIDAY_AFTER = 1_795_824_000


def at(week: Week, *words: object) -> Said:
    """A command with this week's configuration."""
    return attest(*words, "--config", week.config_path)


def fall_short(week: Week) -> None:
    """The pound reserve is a little less than its supply, by every source."""
    for name in ("thames-severn-main.camt053.xml", "lantern-trustees-gbp.csv"):
        week.restate(name, "102310.10", "99999.99")


# -- run -------------------------------------------------------------------------------------------------------------


def test_run__done__tells_its_steps_its_result_and_what_to_type_next(finished: tuple[Week, Said]) -> None:
    _, said = finished
    assert said.code == EXIT_DONE
    steps = [line.split()[:2] for line in said.err.splitlines()]
    names = ["open", "collect", "decide", "commit", "submit", "confirm", "sign", "log", "anchor", "publish"]
    assert steps == [[str(number), name] for number, name in enumerate(names, 1)]
    assert "USDW: 1,204,113.07 USD held against 1,200,000 USDW issued (100.3 %)" in " ".join(said.out.split())
    verify = next(line for line in said.out.splitlines() if line.startswith("verify "))
    words = shlex.split(verify)[2:]
    assert words[0] == "verify"
    assert attest(*words, "--at", JUST_AFTER).code == EXIT_DONE
    assert all(Path(line.split()[1]).exists() for line in said.out.splitlines() if line.startswith(("bundle", "dashb")))


def test_run__text__fits_80_columns_but_for_paths(finished: tuple[Week, Said]) -> None:
    week, said = finished
    again = at(week, "run")
    for line in (said.out + again.out).splitlines():
        assert len(line) <= 80 or str(week.folder) in line


def test_run__finished_period__says_so_and_changes_nothing(finished: tuple[Week, Said]) -> None:
    week, _ = finished
    before = (week.sent(), week.stored(), week.stored("public"))
    said = at(week, "run")
    assert said.code == EXIT_DONE
    assert "Nothing was sent, nothing was changed." in said.out
    assert said.err == ""
    document = at(week, "run", "--json").document
    assert (document["already_done"], document["exit_code"], document["period"]) == (True, 0, "2026-W47")
    assert {token["verdict"] for token in document["tokens"]} == {"sufficient"}
    assert document["bundle"].endswith("/attestations/2026-W47")
    assert (week.sent(), week.stored(), week.stored("public")) == before


def test_run__with_json__is_one_document_and_silent_otherwise(operator: Week) -> None:
    said = at(operator, "run", "--json")
    assert (said.code, said.err) == (EXIT_DONE, "")
    assert [token["token"] for token in said.document["tokens"]] == ["EURW", "GBPW", "USDW"]
    assert said.document["tokens"][2]["reserve_units"] == "1204113070000"
    assert said.document["already_done"] is False


def test_run__dry_run__plans_and_leaves_everything_as_it_was(operator: Week) -> None:
    sent = operator.sent()
    said = at(operator, "run", "--dry-run")
    assert said.code == EXIT_DONE
    assert said.out.count("would-land") == 10
    assert "Nothing was stored, nothing was sent." in said.out
    document = at(operator, "run", "--dry-run", "--json").document
    assert [step["outcome"] for step in document["plan"]] == ["would-land"] * 10
    assert all(step["gas"] > 21_000 for step in document["plan"])
    assert (operator.sent(), operator.stored(), operator.stored("public")) == (sent, {}, {})


def test_run__dry_run_of_a_finished_period__says_that_nothing_would_be_sent(finished: tuple[Week, Said]) -> None:
    week, _ = finished
    said = at(week, "run", "--dry-run")
    assert said.code == EXIT_DONE
    assert "2026-W47 is attested and published already; a run would send nothing." in said.out
    document = at(week, "run", "--dry-run", "--json").document
    assert (document["already_done"], document["plan"], document["exit_code"]) == (True, [], 0)


def test_run__dry_run_that_would_be_refused__exits_5_and_says_where(operator: Week) -> None:
    address = operator.environment().config.signing.publisher.address
    operator.edit_config(lambda text: text.replace(address, "0x00000000000000000000000000000000000000AA"))
    said = at(operator, "run", "--dry-run", "--json")
    assert said.code == said.document["exit_code"] == EXIT_CHAIN
    refused = [step for step in said.document["plan"] if step["outcome"] == "would-revert"]
    assert [step["sends"] for step in refused] == ["anchor 2026-W47, revision 0"]
    assert "PUBLISHER_ROLE" in refused[0]["detail"]
    text = at(operator, "run", "--dry-run")
    assert text.code == EXIT_CHAIN
    assert "anchor 2026-W47, revision 0: would-revert" in text.out
    assert operator.stored() == {}


def test_run__shortfall__is_loud_and_exits_4_in_both_faces(operator: Week) -> None:
    fall_short(operator)
    said = at(operator, "run")
    assert said.code == EXIT_SHORTFALL
    assert "short" in said.out
    assert said.out.rstrip().splitlines()[-1].startswith("SHORT ")
    document = at(operator, "run", "--json")
    assert document.code == document.document["exit_code"] == EXIT_SHORTFALL
    status = at(operator, "status", "--json")
    assert status.code == status.document["exit_code"] == EXIT_SHORTFALL
    assert "short" in at(operator, "status").out
    bundle = operator.folder / "public/attestations/2026-W47"
    verified = attest("verify", bundle, "--trust", operator.folder / "trust.json", "--at", JUST_AFTER, "--json")
    assert verified.code == verified.document["exit_code"] == EXIT_SHORTFALL


def test_run__token_withheld__goes_on_and_exits_3_in_both_faces(operator: Week) -> None:
    operator.statement_file("nordlicht-bank.camt053.xml").unlink()
    said = at(operator, "run", "--withhold", "EURW")
    assert said.code == EXIT_SOURCE
    assert "WITHHELD" in said.out
    document = at(operator, "run", "--json")
    assert document.code == document.document["exit_code"] == EXIT_SOURCE
    assert {token["token"]: token["verdict"] for token in document.document["tokens"]}["EURW"] == "withheld"
    opened = at(operator, "open", "--json")
    assert (opened.code, opened.document["exit_code"]) == (EXIT_DONE, 0)


def test_run__folder_with_a_blank__gives_a_command_that_a_shell_takes(operator: Week, tmp_path: Path) -> None:
    week = Week(tmp_path / "our week", operator.url)
    shutil.copytree(operator.folder, week.folder)
    said = at(week, "run")
    verify = next(line for line in said.out.splitlines() if line.startswith("verify "))
    words = shlex.split(verify)[2:]
    assert attest(*words, "--at", JUST_AFTER).code == EXIT_DONE


# -- its parts -------------------------------------------------------------------------------------------------------


def test_open__then_again__is_open_already(operator: Week) -> None:
    first, again = at(operator, "open"), at(operator, "open")
    assert (first.code, again.code) == (EXIT_DONE, EXIT_DONE)
    assert "2026-W47 is open (attempt 1). Next: attest run" in first.out
    assert "2026-W47 was open already" in again.out
    document = at(operator, "open", "--json").document
    assert (document["already_done"], document["exit_code"], document["tokens"]) == (True, 0, [])


def test_report__twice_then_late__reports_again_only_when_it_must(operator: Week) -> None:
    first = at(operator, "report")
    assert first.code == EXIT_DONE
    sent = operator.sent()
    again = at(operator, "report", "--json")
    assert (again.code, again.document["already_done"]) == (EXIT_DONE, True)
    assert "reported already" in at(operator, "report").out
    assert operator.sent() == sent
    advance_to(operator.url, FRIDAY_AFTER)
    late = at(operator, "report", "--json")
    assert (late.code, late.document["already_done"]) == (EXIT_DONE, False)
    assert sum(operator.sent().values()) == sum(sent.values()) + 9


def test_abandon__open_attempt__is_told_and_the_next_run_begins_anew(operator: Week) -> None:
    at(operator, "open")
    said = at(operator, "abandon", "--reason", "a custodian sent a corrected statement")
    assert said.code == EXIT_DONE
    assert "2026-W47: attempt 1 is abandoned. Next: attest run --period 2026-W47" in said.out
    at(operator, "open")
    document = at(operator, "abandon", "--reason", "once more", "--json").document
    assert document == {"period": "2026-W47", "revision": 0, "abandoned": 2, "reason": "once more", "exit_code": 0}


def test_abandon__after_the_reports__is_a_conflict(operator: Week) -> None:
    at(operator, "report")
    said = at(operator, "abandon", "--reason", "too late", "--json")
    assert (said.code, said.document["exit_code"], said.document["code"]) == (7, 7, "already-submitting")


# -- status ----------------------------------------------------------------------------------------------------------


def test_status__before_anything__says_what_is_due_and_that_there_is_no_quorum(operator: Week) -> None:
    said = at(operator, "status")
    assert said.code == EXIT_CHAIN
    assert [line.split()[0] for line in said.out.splitlines()[2:5]] == ["USDW", "EURW", "GBPW"]
    assert "2026-W47" in said.out
    document = at(operator, "status", "--json").document
    assert document["exit_code"] == EXIT_CHAIN
    assert (document["last_period"], document["due_period"]) == (None, "2026-W47")
    assert [token["sufficient"] for token in document["tokens"]] == [None] * 3
    assert operator.stored() == {}


def test_status__after_a_run__says_consensus_supply_ratio_and_age(finished: tuple[Week, Said]) -> None:
    week, _ = finished
    said = at(week, "status")
    assert said.code == EXIT_DONE
    usdw = next(line for line in said.out.splitlines() if line.startswith("USDW"))
    assert {"1,204,113.07", "1,200,000.00", "100.3"} <= set(usdw.split())
    assert all(len(line) <= 80 for line in said.out.splitlines())
    document = at(week, "status", "--json").document
    assert (document["exit_code"], document["last_period"], document["due_period"]) == (0, "2026-W47", None)
    (usdw_plain,) = [token for token in document["tokens"] if token["token"] == "USDW"]
    assert usdw_plain["consensus"]["units"] == "1204113070000"
    assert len(usdw_plain["consensus"]["reports"]) == 3


# -- proofs ----------------------------------------------------------------------------------------------------------


def test_prove__every_account__verifies_against_the_published_statement(
    finished: tuple[Week, Said], tmp_path: Path
) -> None:
    week, _ = finished
    bundle, trust = week.folder / "public/attestations/2026-W47", week.folder / "trust.json"
    for account in week.environment().config.accounts:
        file = tmp_path / f"{account}.json"
        said = at(week, "prove", account, "--out", file)
        assert said.code == EXIT_DONE
        assert f"attest verify-proof {file}" in said.out
        verified = attest("verify-proof", file, "--statement", bundle, "--trust", trust, "--at", JUST_AFTER, "--json")
        assert verified.code == verified.document["exit_code"] == EXIT_DONE, verified.out
        assert verified.document["leaf"]["account"] == account


def test_verify_proof__for_people__names_account_custodian_and_balance(
    finished: tuple[Week, Said], tmp_path: Path
) -> None:
    week, _ = finished
    file = tmp_path / "proof.json"
    file.write_text(at(week, "prove", "gbp-main").out)
    statement = week.folder / "public/attestations/2026-W47/attestation.dsse.json"
    said = attest(
        "verify-proof", file, "--statement", statement, "--trust", week.folder / "trust.json", "--at", JUST_AFTER
    )
    assert said.code == EXIT_DONE
    assert "gbp-main at Thames and Severn Bank plc: 102,310.10 GBP" in " ".join(said.out.split())


def test_verify_proof__altered__fails(finished: tuple[Week, Said], tmp_path: Path) -> None:
    week, _ = finished
    file = tmp_path / "proof.json"
    proof = json.loads(at(week, "prove", "gbp-main").out)
    proof["leaf_index"] = (proof["leaf_index"] + 1) % proof["tree_size"]
    file.write_text(json.dumps(proof))
    bundle = week.folder / "public/attestations/2026-W47"
    words = ("verify-proof", file, "--statement", bundle, "--trust", week.folder / "trust.json", "--at", JUST_AFTER)
    assert attest(*words).code == EXIT_VERIFICATION
    said = attest(*words, "--json")
    assert said.code == said.document["exit_code"] == EXIT_VERIFICATION


def test_prove__with_json__holds_the_proof_or_names_its_file(finished: tuple[Week, Said], tmp_path: Path) -> None:
    week, _ = finished
    document = at(week, "prove", "eur-main", "--json").document
    assert (document["file"], document["exit_code"]) == (None, 0)
    assert json.loads(document["proof"])["format"] == "attest-inclusion-proof/1"
    file = tmp_path / "proof.json"
    document = at(week, "prove", "eur-main", "--json", "--out", file).document
    assert (document["file"], document["proof"]) == (str(file), None)


@pytest.mark.parametrize("account", ["no-such", "../../runs/2026-W47/1/commitment", "", "a b", ".hidden", "\x1b[2J"])
def test_prove__account_that_is_none__is_refused_and_told_which_there_are(
    finished: tuple[Week, Said], account: str
) -> None:
    week, _ = finished
    said = at(week, "prove", account, "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "unknown-account")
    assert "usd-operating" in said.document["advice"]


def test_prove__file_there_already__is_not_overwritten(finished: tuple[Week, Said], tmp_path: Path) -> None:
    week, _ = finished
    file = tmp_path / "kept.json"
    file.write_text("kept")
    said = at(week, "prove", "eur-main", "--out", file, "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "not-writable")
    assert file.read_text() == "kept"


# -- init ------------------------------------------------------------------------------------------------------------


def test_init__fresh_folder__makes_a_configuration_that_loads_and_keys_that_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attest.signing.keystore.SCRYPT_N", 8192)  # the real cost is two seconds a key
    folder = tmp_path / "new/place"
    words = ("init", "--network", "besu-138", "--directory", folder, "--reporters", "1")
    said = attest(*words, "--issuer", 'The "Ö" Company', "--json")
    assert said.code == EXIT_DONE
    loaded = load(folder / "attest.toml")
    assert loaded.config.issuer.name == 'The "Ö" Company'
    made = said.document["keys"]
    assert [made["reporters"], made["publisher"], made["attestor"], made["log"]] == [
        [signer.address for signer in loaded.config.signing.reporters],
        loaded.config.signing.publisher.address,
        loaded.config.signing.attestors[0].address,
        loaded.config.signing.log.vkey,
    ]
    assert all((path.stat().st_mode & 0o077) == 0 for path in (folder / "keys").iterdir())
    password = (folder / "keys/password.txt").read_text().strip()
    assert password not in said.everything

    doctor = attest("doctor", "--config", folder / "attest.toml", "--json")
    assert doctor.code == doctor.document["exit_code"] == EXIT_USAGE
    found = {finding["subject"]: finding["state"] for finding in doctor.document["findings"]}
    assert {found["oracle.address"], found["registry.address"]} == {"error"}
    assert {found[f"{job} key"] for job in ("reporter", "publisher", "attestor", "log")} == {"ok"}

    again = attest(*words, "--json")
    assert (again.code, again.document["code"]) == (EXIT_USAGE, "file-exists")


def test_init__for_people__names_the_keys_and_the_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.signing.keystore.SCRYPT_N", 8192)
    said = attest("init", "--network", "ethereum", "--directory", tmp_path, "--reporters", "2")
    assert said.code == EXIT_DONE
    signing = load(tmp_path / "attest.toml").config.signing
    addresses = [signer.address for signer in (*signing.reporters, signing.publisher, *signing.own_attestors)]
    assert [line.split()[1] for line in said.out.splitlines() if " 0x" in line] == addresses
    assert said.out.splitlines()[-1] == f"Next: attest doctor --config {tmp_path}/attest.toml"
    assert (tmp_path / "keys/password.txt").read_text().strip() not in said.everything


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_init__folder_that_cannot_be_written__is_refused_and_made_whole_or_not_at_all(
    tmp_path: Path, mode: int
) -> None:
    tmp_path.chmod(mode)
    words = ("init", "--network", "ethereum", "--directory", tmp_path, "--json")
    with modes_hold():
        said = attest(*words)
    tmp_path.chmod(0o700)
    assert said.code == said.document["exit_code"] == EXIT_USAGE
    assert str(tmp_path) in said.document["error"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("origin", ["issuer.example/our reserves", "issuer+example", "", "issuer\u202e.example"])
def test_init__name_that_no_log_can_have__is_usage(tmp_path: Path, origin: str) -> None:
    words = ("init", "--network", "ethereum", "--directory", tmp_path, "--log-origin", origin, "--json")
    assert (attest(*words).code, attest(*words).document["code"]) == (EXIT_USAGE, "usage")
    assert list(tmp_path.iterdir()) == []


def test_init__keys_there_already__overwrites_none(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/reporter-1.json").write_text("precious")
    said = attest("init", "--network", "sepolia", "--directory", tmp_path, "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "keys-exist")
    assert (tmp_path / "keys/reporter-1.json").read_text() == "precious"
    assert not (tmp_path / "attest.toml").exists()


@pytest.mark.parametrize("network", ["besu-138", "ethereum", "sepolia"])
def test_init__each_network__is_known_to_the_scaffold(network: str) -> None:
    from attest.cli.init import NETWORKS
    from attest.scaffold import NETWORKS as SCAFFOLDED

    assert network in NETWORKS
    assert tuple(SCAFFOLDED) == NETWORKS


# -- custody, schemas ------------------------------------------------------------------------------------------------


def test_custody_read__configured_source__says_what_the_file_says(operator: Week) -> None:
    file = operator.statement_file("treuhand-rhein.csv")
    said = at(operator, "custody", "read", file, "--source", "eur-main/trustee-report", "--json")
    assert said.code == EXIT_DONE
    assert {balance["currency"] for balance in said.document} == {"EUR"}
    assert "245900.55" in [balance["amount"] for balance in said.document]
    assert "245,900.55 EUR" in at(operator, "custody", "read", file, "--source", "eur-main/trustee-report").out


def test_schemas__with_json__are_all_schemas() -> None:
    said = attest("schemas", "--json")
    assert said.code == EXIT_DONE
    assert {"statement", "trust"} <= set(said.document)
    assert attest("schemas", "statement").document == said.document["statement"]
