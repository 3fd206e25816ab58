"""``attest doctor``: one line for each thing that could stop a run, and an exit code that says whether any would."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from attest.chain.artifact import artifact
from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SOURCE, EXIT_USAGE
from tests.support.commands import attest
from tests.support.practice import Week
from tests.support.spoiling import (
    NOBODY,
    Spoiling,
    a_statement,
    configured,
    facts,
    file_changed,
    forbidden,
    in_folder,
    replaced,
    role_revoked,
    send,
    statement,
    unreachable,
    web_page,
    without_gas,
)

BANK = "nordlicht-bank.camt053.xml"


@contextmanager
def witness_away(week: Week) -> Iterator[None]:
    path = week.folder / "witness.url"
    before = path.read_text()
    path.write_text("http://127.0.0.1:9")
    yield
    path.write_text(before)


@dataclass(frozen=True)
class Broken:
    """What is broken, the subjects of the lines that must say so, and words that those lines must have."""

    name: str
    spoil: Spoiling
    subjects: tuple[str, ...]
    words: tuple[str, ...]


BROKEN = (
    Broken("statement", replaced(a_statement(BANK), None), ("source eur-main/bank-statement",), (BANK,)),
    Broken("dates", statement(BANK, ("2026-11-20", "2026-11-13")), ("account eur-main",), ("2026-11-13",)),
    Broken("unreachable", unreachable, ("chain main",), ("http://127.0.0.1:", "refused")),
    Broken("web page", web_page, ("chain main",), ("http://127.0.0.1:", "not JSON")),
    Broken("chain id", configured("chain_id = 138", "chain_id = 5"), ("chain main",), ("{url}", "138", "5")),
    Broken(
        "reporter role",
        role_revoked("oracle", "REPORTER_ROLE", "reporter"),
        ("reporter {reporter}",),
        ("does not hold REPORTER_ROLE", "grantRole"),
    ),
    Broken(
        "publisher role",
        role_revoked("registry", "PUBLISHER_ROLE", "publisher"),
        ("publisher {publisher}",),
        ("does not hold PUBLISHER_ROLE", "grantRole"),
    ),
    Broken("reporter gas", without_gas("reporter"), ("reporter {reporter}",), ("0 wei", "Send gas")),
    Broken("publisher gas", without_gas("publisher"), ("publisher {publisher}",), ("0 wei", "Send gas")),
    Broken("oracle", configured("{oracle}", NOBODY), ("chain main",), (NOBODY, "oracle.address")),
    Broken("registry", configured("{registry}", NOBODY), ("chain main",), (NOBODY, "registry.address")),
    Broken("token", configured("{usdw}", NOBODY), ("chain main",), (NOBODY, "token USDW")),
    Broken("decimals", configured("decimals = 6", "decimals = 8"), ("chain main",), ("token USDW", "8 are configured")),
    Broken(
        "password",
        file_changed("keys/password.txt", lambda data: b"another\n"),
        ("reporter key", "publisher key", "attestor key", "log key"),
        ("password",),
    ),
    Broken("key missing", replaced(in_folder("keys/attestor.json"), None), ("attestor key",), ("keys/attestor.json",)),
    Broken(
        "other key",
        replaced(in_folder("keys/publisher.json"), lambda path: shutil.copy(path.with_name("attestor.json"), path)),
        ("publisher key",),
        ("keys/publisher.json", "{publisher}"),
    ),
    Broken("private store", forbidden(in_folder("private"), 0o500), ("private store",), ("{week}/private",)),
    Broken("public store", forbidden(in_folder("public"), 0o500), ("public store",), ("{week}/public",)),
    Broken("witness", witness_away, ("witness witness.example/one",), ("does not answer", "operator")),
)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name.replace(" ", "-"))
def test_doctor__something_is_broken__names_it_beside_all_the_rest_and_exits_2(broken: Broken, operator: Week) -> None:
    known, sent = facts(operator), operator.sent()
    subjects = {subject.format_map(known) for subject in broken.subjects}
    with broken.spoil(operator):
        text = attest("doctor", "--config", operator.config_path)
        in_json = attest("doctor", "--config", operator.config_path, "--json")
    assert text.code == in_json.code == in_json.document["exit_code"] == EXIT_USAGE
    findings = in_json.document["findings"]
    errors = [finding for finding in findings if finding["state"] == "error"]
    assert subjects <= {finding["subject"] for finding in errors}
    said = " ".join(f"{error['detail']} {error['advice']}" for error in errors if error["subject"] in subjects)
    for word in broken.words:
        assert word.format_map(known) in said
    assert {"ok", "warning"} < {finding["state"] for finding in findings}
    assert len(findings) > 15  # the rest was examined too

    lines = text.out.splitlines()
    for subject in subjects:
        assert any(line.startswith(f"ERROR   {subject}: ") for line in lines)
    assert lines[-1] == f"{len(errors)} would stop a run."
    assert text.err == ""
    assert operator.sent() == sent
    assert operator.stored() == operator.stored("public") == {}


def test_doctor__source_that_the_others_outweigh__is_a_warning_and_stops_nothing(operator: Week) -> None:
    operator.statement_file("keystone-portal.csv").unlink()  # the third source of its account
    said = attest("doctor", "--config", operator.config_path, "--json")
    assert said.code == EXIT_DONE, said.everything
    found = {finding["subject"]: finding for finding in said.document["findings"]}
    assert found["source usd-custody/custodian-portal"]["state"] == "warning"
    assert found["account usd-custody"]["state"] == "ok"
    assert "2 sources agree" in found["account usd-custody"]["detail"]


def test_doctor__all_is_well__says_so_and_what_to_type_next(operator: Week) -> None:
    sent = operator.sent()
    for _ in range(2):  # its own traces are in nobody's way
        said = attest("doctor", "--config", operator.config_path)
        assert said.code == EXIT_DONE, said.out
        assert said.out.splitlines()[-1] == "Nothing would stop a run. Next: attest run --dry-run"
        assert not re.search(r"^ERROR", said.out, re.M)
    document = attest("doctor", "--config", operator.config_path, "--json").document
    assert document["exit_code"] == EXIT_DONE
    assert {finding["subject"] for finding in document["findings"] if finding["state"] == "warning"} == {
        "schedule.clock",
        "keys",
    }
    assert operator.sent() == sent


def test_doctor__store_that_became_read_only__is_noticed_though_it_was_written_before(operator: Week) -> None:
    assert attest("doctor", "--config", operator.config_path).code == EXIT_DONE
    with forbidden(in_folder("public"), 0o500)(operator):
        said = attest("doctor", "--config", operator.config_path)
    assert said.code == EXIT_USAGE
    assert "ERROR   public store:" in said.out


def test_doctor__after_the_week_is_done__is_still_well(operator: Week) -> None:
    assert attest("run", "--config", operator.config_path).code == EXIT_DONE
    assert attest("doctor", "--config", operator.config_path).code == EXIT_DONE


def test_doctor__no_witness__warns(operator: Week) -> None:
    operator.edit_config(
        lambda text: re.sub(r"\[\[log.witnesses\]\]\nurl.*\nvkey.*\n", "", text).replace(
            "witness_quorum = 1", "witness_quorum = 0"
        )
    )
    said = attest("doctor", "--config", operator.config_path)
    assert said.code == EXIT_DONE
    assert re.search(r"^warning witnesses: .*\n +next: .*attest log witness", said.out, re.M)


def test_doctor__reports_that_lapse_within_the_week__warns_with_how_often_to_report(operator: Week) -> None:
    oracle = artifact("ReserveOracle").call_data("setAges", 3600, 3600)
    send(operator, facts(operator)["oracle"], oracle)
    said = attest("doctor", "--config", operator.config_path)
    assert said.code == EXIT_DONE
    assert re.search(r"^warning reserve oracle: .*3600 s.*\n +next: .*attest report", said.out, re.M)


def test_doctor__other_period__reads_that_periods_statements(operator: Week) -> None:
    said = attest("doctor", "--config", operator.config_path, "--period", "2026-W46", "--json")
    assert said.code == EXIT_USAGE
    wrong = {finding["subject"] for finding in said.document["findings"] if finding["state"] == "error"}
    assert {"source usd-operating/bank-statement", "source gbp-main/trustee-report"} <= wrong


@pytest.mark.parametrize("period", ["2026-W54", "x"])
def test_doctor__period_that_is_none__is_usage(operator: Week, period: str) -> None:
    said = attest("doctor", "--config", operator.config_path, "--period", period, "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "unknown-period")


def test_doctor__period_for_the_network__is_usage(operator: Week) -> None:
    said = attest("doctor", "--config", operator.config_path, "--network", "--period", "2026-W46")
    assert said.code == EXIT_USAGE
    assert "--period goes without --network" in said.err


def test_doctor__network_without_an_endpoint_that_answers__says_so_once_and_not_to_ask_itself(operator: Week) -> None:
    (operator.folder / "rpc.url").write_text("http://127.0.0.1:9\n")
    said = attest("doctor", "--config", operator.config_path, "--network")
    assert said.code == EXIT_USAGE
    wrong = re.findall(r"^ERROR +(.*)$", said.out, re.M)
    assert [line.split(": ")[1] for line in wrong] == ["ChainHalted", "RpcEndpointDown"], said.out
    assert "chain main: chain main" not in said.out
    assert "attest doctor" not in said.out


@pytest.mark.parametrize("broken", [BROKEN[0], BROKEN[2]], ids=lambda broken: broken.name)
def test_doctor__what_it_names__does_stop_a_run(broken: Broken, operator: Week) -> None:
    with broken.spoil(operator):
        assert attest("run", "--config", operator.config_path).code in {EXIT_SOURCE, EXIT_CHAIN}
