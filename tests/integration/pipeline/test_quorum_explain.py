"""``attest quorum explain``: who said what, what counted, and which rule decided, after a run that went either way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attest.errors import SourceError
from tests.support.commands import attest
from tests.support.practice import Week

TRUSTEE_USD = "atlantic-trustees-usd.csv"


def explain(operator: Week, *words: str) -> Any:
    said = attest("quorum", "explain", "--config", operator.config_path, "--period", "2026-W47", "--json", *words)
    assert said.code == 0, said.everything
    return said.document


def test_quorum_explain__before_anything_was_collected__says_so(operator: Week) -> None:
    said = attest("quorum", "explain", "--config", operator.config_path, "--json")
    assert (said.code, said.document["code"]) == (2, "nothing-to-explain")


def test_quorum_explain__after_a_run__names_each_source_its_word_and_the_rule(operator: Week) -> None:
    operator.run()
    document = explain(operator)
    assert document["basis"] == "verdict"
    accounts = {one["account"]: one for one in document["accounts"]}
    assert len(accounts) == 7
    one = accounts["usd-operating"]
    assert (one["outcome"], one["code"], one["rule"]) == ("accepted", "agreed", 6)
    assert [(s["source"], s["counted"], s["code"]) for s in one["sources"]] == [
        ("bank-statement", True, "agrees"), ("trustee-report", True, "agrees"),
    ]  # fmt: skip
    assert one["sources"][0]["observation"]["minor_units"] == "8461307"
    assert {token["outcome"] for token in document["tokens"]} == {"accepted"}

    narrow = {"COLUMNS": "80"}
    text = attest("quorum", "explain", "--config", operator.config_path, "--account", "usd-operating",
                  environment=narrow).out  # fmt: skip
    assert "usd-operating (USDW): accepted: 84,613.07 USD as of 2026-11-21T04:59:59Z" in text
    assert "Rule 6: " in text
    assert "  - bank-statement (origin first-harbor-core): counted: agrees\n" in text
    assert "eur-main" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_quorum_explain__refused_run__says_what_the_sources_said_then_and_what_to_do(operator: Week) -> None:
    operator.statement_file(TRUSTEE_USD).unlink()
    with pytest.raises(SourceError) as refused:
        operator.run()
    assert "attest quorum explain --period 2026-W47" in refused.value.advice
    document = explain(operator, "--account", "usd-operating")
    assert document["basis"] == "refusal"
    (one,) = document["accounts"]
    assert (one["outcome"], one["code"], one["rule"]) == ("refused", "too-few-sources", 4)
    failed = one["sources"][1]
    assert (failed["counted"], failed["code"], failed["observation"]) == (False, "failed", None)
    assert failed["failure"]["code"] == "file-missing"
    text = attest("quorum", "explain", "--config", operator.config_path, "--account", "usd-operating").out
    assert "  - trustee-report (origin atlantic-trustees): not counted: failed\n" in text
    assert "    next: Put the custodian's statement there" in text
    assert "USDW: refused" in text


def test_quorum_explain__disagreement__is_explained_from_the_stored_collection(operator: Week) -> None:
    path = operator.statement_file(TRUSTEE_USD)
    path.write_text(path.read_text(encoding="utf-8").replace("84,613.07", "84,613.08"), encoding="utf-8")
    with pytest.raises(SourceError):
        operator.run()
    document = explain(operator, "--account", "usd-operating")
    assert document["basis"] == "collection"
    (one,) = document["accounts"]
    assert (one["code"], one["rule"]) == ("disagreement", 5)
    assert "84,613.08" in json.dumps(one)


def test_quorum_explain__account_that_does_not_exist__is_refused_with_those_that_do(operator: Week) -> None:
    operator.run()
    said = attest("quorum", "explain", "--config", operator.config_path, "--account", "nobody")
    assert said.code == 2
    assert "usd-operating" in said.err


def test_quorum_explain__verdict_that_was_tampered_with__is_a_conflict(operator: Week) -> None:
    operator.run()
    verdict = operator.folder / "private/runs/2026-W47/1/verdict"
    verdict.chmod(0o600)
    verdict.write_text(verdict.read_text().replace('"agreed"', '"change-limit"', 1))
    said = attest("quorum", "explain", "--config", operator.config_path)
    assert said.code == 7, said.everything


def test_run__intraday_report_of_the_bank__is_shown_beside_and_never_counts(operator: Week) -> None:
    operator.edit_config(
        lambda text: text.replace(
            "[[accounts.usd-operating.sources]]",
            '[[accounts.usd-operating.sources]]\nid = "second-look"\norigin = "elsewhere"\ncorroborates = true\n'
            'format = "camt053"\nlocation = "statements/missing.xml"\n\n[[accounts.usd-operating.sources]]',
            1,
        )
    )
    assert operator.run().exit_code == 0
    (one,) = explain(operator, "--account", "usd-operating")["accounts"]
    first = one["sources"][0]
    assert (first["source"], first["counted"], first["corroborates"], first["code"]) == (
        "second-look", False, True, "failed",
    )  # fmt: skip
