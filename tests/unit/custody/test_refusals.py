"""Every line that a custodian's word is refused by, and the test of each format that shows it.

``SHOWN`` is the table to begin with: the refusals of the custody design, in its order, by format (or the part that
holds for all of them). Those that hold whatever the format is are shown here by every format's samples.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from attest.config import Account
from attest.custody import formats
from attest.custody.collector import observe
from attest.custody.document import Document
from attest.errors import SourceError
from attest.model import AccountPolicy, Observation, SourcePolicy
from attest.quorum import decide
from tests.support.samples import Case, cases

TESTS = Path(__file__).parents[2]
CASES = cases()
UNIT, REAL = "unit/custody", "integration/custody"
CAMT53, CAMT52 = f"{UNIT}/test_camt053.py", f"{UNIT}/test_camt052.py"
MT940, BAI2, OFX = f"{UNIT}/test_mt940.py", f"{UNIT}/test_bai2.py", f"{UNIT}/test_ofx.py"
CSV, XLSX, TABLE = f"{UNIT}/test_csv_file.py", f"{UNIT}/test_xlsx.py", f"{UNIT}/test_table.py"
SQL, JSON, ONCHAIN = f"{UNIT}/test_sql.py", f"{UNIT}/test_json_api.py", f"{UNIT}/test_onchain.py"
UK, BERLIN = f"{UNIT}/test_openbanking_uk.py", f"{UNIT}/test_berlin_group.py"
PRIME, KRAKEN, CIRCLE = f"{UNIT}/test_coinbase_prime.py", f"{UNIT}/test_kraken.py", f"{UNIT}/test_circle.py"
FIREBLOCKS, BITGO = f"{UNIT}/test_fireblocks.py", f"{UNIT}/test_bitgo.py"
COLLECT, XML, HTTP = f"{UNIT}/test_collector.py", f"{UNIT}/test_xml_reader.py", f"{REAL}/test_http_client.py"
PRESETS, JSON_SOURCE, HTTPS = (f"{REAL}/test_{name}.py" for name in ("presets", "json_source", "transport_https"))
QUORUM, OWNED = "unit/quorum/test_quorum.py", "unit/quorum/test_quorum_ownership.py"
MONEY, HERE = "unit/money/test_money.py", f"{UNIT}/test_refusals.py"

#: what is refused -> format or part -> (file, test).
SHOWN: dict[str, dict[str, tuple[str, str]]] = {
    "no closing balance; never another one": {
        "camt053": (CAMT53, "read__statement_without_clbd__never_takes_another_balance_for_it"),
        "camt052": (CAMT52, "read__report_without_booked_balance__never_takes_another_one_for_it"),
        "mt940, mt950": (MT940, "read__statement_without_a_closing_balance__refused"),
        "mt940: :62M:": (MT940, "read__intermediate_balance_alone__is_never_the_closing_one"),
        "bai2": (BAI2, "read__account_without_015__never_takes_another_balance_for_it"),
        "ofx": (OFX, "read__no_closing_balance__refused"),
        "ofx: AVAILBAL": (OFX, "read__available_balance__is_never_taken"),
        "csv": (CSV, "read__empty_file_or_header_alone__is_refused"),
        "xlsx": (XLSX, "read__empty_sheet_or_header_alone__refused"),
        "sql": (SQL, "fetch__sqlite__what_is_not_one_exact_row__refused"),
        "json": (JSON, "read__empty_list_in_pages__has_no_balance_rather_than_a_missing_page"),
        "openbanking-uk": (UK, "read__any_other_type_alone__refused"),
        "berlin-group": (BERLIN, "read__any_other_type_alone__refused"),
        "berlin-group: no date": (BERLIN, "read__no_reference_date__refused_whatever_changed_last"),
        "fireblocks": (FIREBLOCKS, "read__part_missing__refused"),
        "bitgo": (BITGO, "read__token_that_is_not_there__refused"),
        "coinbase-prime": (PRIME, "read__asset_not_stated__refused_rather_than_nothing"),
        "kraken": (KRAKEN, "read__asset_not_stated__refused_rather_than_nothing"),
        "circle": (CIRCLE, "read__only_unsettled__refused"),
        "erc20, native": (ONCHAIN, "fetch__no_usable_answer__refused_with_advice"),
    },
    "several closing balances": {
        "camt053": (CAMT53, "read__several_closing_balances__are_refused_even_if_equal"),
        "camt052": (CAMT52, "read__several_closing_balances__are_refused"),
        "mt940, mt950": (MT940, "read__closing_balance_twice__refused"),
        "bai2": (BAI2, "read__015_twice__refused"),
        "ofx": (OFX, "read__several_closing_balances__refused"),
        "csv": (CSV, "read__same_account_and_date_twice__is_refused_even_if_equal"),
        "xlsx": (XLSX, "read__same_account_and_date_twice__refused"),
        "sql": (SQL, "fetch__sqlite__what_is_not_one_exact_row__refused"),
        "json": (JSON, "read__one_account_twice__refused"),
        "openbanking-uk": (UK, "read__two_closing_balances_of_one_time__refused_even_if_equal"),
        "berlin-group": (BERLIN, "read__two_closing_balances_of_one_day__refused_even_if_equal"),
        "fireblocks": (FIREBLOCKS, "read__two_answers__refused"),
        "coinbase-prime": (PRIME, "read__asset_stated_twice__refused"),
        "kraken": (KRAKEN, "read__asset_stated_twice__refused"),
        "circle": (CIRCLE, "read__currency_stated_twice__refused"),
    },
    "two statements of one account and date that differ": {
        "camt053": (CAMT53, "read__two_statements_of_one_account_and_date_that_differ__are_refused"),
        "camt052": (CAMT52, "read__two_reports_of_one_time_that_differ__are_refused_naming_both"),
        "mt940, mt950": (MT940, "read__two_statements_of_one_account_and_date_that_differ__refused"),
        "bai2": (BAI2, "read__two_statements_of_one_account_and_date_that_differ__refused"),
        "ofx": (OFX, "read__two_statements_of_one_account_and_time_that_differ__refused"),
        "csv": (CSV, "read__two_documents_of_one_account_and_date_that_differ__refused"),
        "csv, xlsx, sql, erc20, native": (TABLE, "merge__two_statements_of_one_account_and_date_that_differ__refused"),
        "sql": (SQL, "read__two_documents_that_differ__refused"),
        "openbanking-uk": (UK, "read__second_closing_balance_on_another_page__refused"),
        "every format": (COLLECT, "observe__two_files_that_differ_on_one_date__are_refused_with_both_values"),
    },
    "missing page": {
        "camt053": (CAMT53, "read__missing_page__is_refused"),
        "camt053: message": (CAMT53, "read__missing_page_of_a_message__is_refused_naming_a_document"),
        "mt940, mt950": (MT940, "read__missing_page__refused"),
        "json": (JSON, "read__early_end_of_pagination__refused"),
        "openbanking-uk, coinbase-prime": (PRESETS, "fetch__page_that_is_missing__refuses_the_whole"),
    },
    "sequence gap": {
        "camt053": (CAMT53, "read__gap_in_the_sequence__is_refused"),
        "mt940, mt950": (MT940, "read__sequence_gap__refused"),
    },
    "opening not equal to the previous closing": {
        "camt053": (CAMT53, "read__opening_that_is_not_the_previous_closing__is_refused"),
        "mt940, mt950": (MT940, "read__opening_not_equal_to_the_previous_closing__refused"),
        "bai2": (BAI2, "read__opening_not_equal_to_the_previous_closing__refused"),
    },
    "currency other than the account's": {
        "camt053": (CAMT53, "read__amount_in_another_currency_than_the_account_s__is_refused"),
        "camt052": (CAMT52, "read__balances_in_two_currencies__are_refused"),
        "mt940, mt950": (MT940, "read__account_in_another_currency__refused"),
        "ofx": (OFX, "read__balance_converted_from_another_currency__refused"),
        "berlin-group": (BERLIN, "read__other_currency_than_the_account_s__refused"),
        "every format": (HERE, "observe__currency_other_than_the_account_s__refused"),
    },
    "debit (overdraft)": {
        "every format": (HERE, "decide__debit__refused"),
        "the quorum": (QUORUM, "decide__overdraft__is_refused_naming_the_source"),
    },
    "included credit line": {
        "camt053": (CAMT53, "read__included_credit_line__is_refused"),
        "ofx": (OFX, "read__credit_line_or_unknown_account_type__refused"),
        "openbanking-uk": (UK, "read__credit_line_included__refused"),
        "berlin-group": (BERLIN, "read__credit_limit_included__refused"),
    },
    "naive timestamp with no configured time zone": {
        "camt053": (CAMT53, "read__naive_time_without_a_configured_zone__is_refused"),
        "camt052": (CAMT52, "read__local_time__is_that_of_the_configured_zone_or_refused"),
        "bai2": (BAI2, "read__naive_timestamp_with_no_configured_zone__refused"),
        "ofx": (OFX, "read__naive_timestamp_with_no_configured_time_zone__refused"),
        "csv": (CSV, "read__naive_time_without_a_configured_zone__is_refused"),
        "xlsx": (XLSX, "read__naive_timestamp_with_no_configured_time_zone__refused"),
        "sql": (SQL, "read__times__are_instants_or_local_times"),
        "json": (JSON, "read__time_that_can_be_misread__refused"),
        "openbanking-uk": (UK, "read__local_time__needs_a_zone"),
        "every format": (COLLECT, "observe__local_time__needs_a_configured_zone_and_not_the_default"),
    },
    "duplicate taken as new (CpyDplctInd, PDE)": {
        "camt053": (CAMT53, "read__duplicate_without_its_original__is_not_taken_as_new"),
        "camt052": (CAMT52, "read__duplicate_without_its_original__is_not_taken_as_new"),
        "mt940, mt950": (MT940, "read__duplicate_taken_as_new__refused"),
    },
    "truncated file": {
        "camt053": (CAMT53, "read__truncated_file__is_refused"),
        "mt940, mt950": (MT940, "read__file_cut_anywhere_before_the_end_of_the_balance__refused"),
        "bai2": (BAI2, "read__truncated_file__refused"),
        "ofx": (OFX, "read__truncated_file__refused"),
        "csv": (CSV, "read__file_cut_off_in_its_last_number__is_refused"),
        "xlsx": (XLSX, "read__truncated_or_foreign_file__refused"),
        "HTTP": (HTTP, "send__truncated_or_strange_answer__refused"),
        "gzip": (f"{UNIT}/test_unpack.py", "unpacked__gzip_that_is_cut_off__is_refused"),
        "zip": (f"{UNIT}/test_unpack.py", "unpacked__zip_cut_off_anywhere__is_refused"),
        "every format": (HERE, "read__document_cut_anywhere__refused_or_says_less_and_nothing_else"),
    },
    "HTTP 200 with an error body": {
        "json": (JSON, "read__http_200_with_an_error_body__refused"),
        "presets": (PRESETS, "read__error_body_with_status_200__refused_with_the_api_s_own_text"),
        "json: on a later page": (JSON_SOURCE, "fetch__error_body_on_a_page__is_refused_before_its_link_is_followed"),
    },
    "redirect": {
        "HTTP": (HTTP, "send__bad_status__is_refused_at_once"),
        "HTTP: tokens": (HTTP, "oauth__token_server_redirects__is_not_followed"),
        "files at URLs": (HTTPS, "fetch__answer_that_is_no_document__is_refused"),
        "S3": (f"{REAL}/test_transport_s3.py", "fetch__server_that_redirects_every_question__is_refused"),
        "json: next page": (JSON_SOURCE, "fetch__next_page_at_another_server__is_not_asked"),
        "presets: next page": (PRESETS, "fetch__next_page_at_another_server__is_not_asked_for"),
    },
    "early end of pagination": {
        "json": (JSON, "read__early_end_of_pagination__refused"),
        "json: by total": (JSON, "following__pages_until_the_total__refuses_an_empty_one_before_it"),
        "openbanking-uk": (UK, "read__pages_end_early_or_do_not_belong_together__refused"),
        "coinbase-prime": (PRIME, "read__pages_end_early__refused"),
        "evidence": (PRESETS, "read__page_taken_away_from_the_evidence__refused"),
    },
    "RPC endpoints on different blocks": {
        "erc20, native": (ONCHAIN, "fetch__endpoints_on_different_blocks__refused"),
        "erc20, native: another answer": (ONCHAIN, "fetch__endpoints_that_disagree__refused_naming_them"),
        "erc20, native: another chain": (ONCHAIN, "fetch__endpoint_of_another_chain__refused"),
        "erc20: other decimals": (ONCHAIN, "fetch__contract_with_other_decimals__refused"),
    },
    "do not use (ripcord) before its balance": {
        "json": (JSON, "read__source_says_do_not_use__refused_before_its_balance"),
    },
    "XML: document type, comment, instruction": {
        "camt": (XML, "read__document_type_comment_or_instruction__is_refused_naming_the_line"),
        "xlsx": (XLSX, "read__document_type_or_entity__refused"),
    },
    "amounts that Decimal or int would take": {
        "camt053": (CAMT53, "read__amount_that_is_no_plain_decimal__is_refused"),
        "mt940, mt950": (MT940, "read__comma_for_thousands_and_point_for_decimals__refused"),
        "mt940: no currency": (MT940, "read__missing_currency__refused"),
        "bai2": (BAI2, "read__amount_that_is_no_integer__refused"),
        "ofx": (OFX, "read__amount_written_otherwise__is_refused_never_guessed"),
        "csv": (CSV, "read__amount_written_otherwise__is_refused_never_guessed"),
        "xlsx": (XLSX, "read__number_shown_as_another_one__refused"),
        "sql": (SQL, "read__column_that_cannot_be_trusted__refused_naming_the_document"),
        "json": (JSON, "read__amount_that_can_be_misread__refused"),
        "berlin-group": (BERLIN, "read__amount_in_another_notation__refused"),
        "kraken": (KRAKEN, "read__amount_in_another_notation__refused"),
        "every format": (HERE, "read__digits_of_another_script__refused"),
    },
    "more decimals than the currency has": {
        "camt053": (CAMT53, "read__more_decimals_than_the_currency_has__is_refused"),
        "ofx": (OFX, "read__amount_that_its_currency_cannot_have__is_refused"),
        "csv": (CSV, "read__thousands_taken_for_decimals__are_refused_as_too_many_decimals"),
        "json": (JSON, "read__sub_minor_units__are_floored_only_when_told"),
        "openbanking-uk": (UK, "read__more_decimals_than_the_currency__refused"),
        "fireblocks": (FIREBLOCKS, "read__finer_than_the_currency__refused_unless_to_be_floored"),
        "bitgo": (BITGO, "read__finer_than_the_currency__refused_unless_to_be_floored"),
        "bitgo: below zero": (BITGO, "read__below_zero__floors_away_from_zero"),
        "kraken": (KRAKEN, "read__documented_answer__has_more_decimals_than_the_currency"),
        "erc20, native": (ONCHAIN, "read__dust__is_floored_unless_it_is_to_be_refused"),
    },
    "HTTP: only what may pass is asked again": {
        "statuses": (HTTP, "send__passing_status__is_tried_four_times"),
        "client certificate": (HTTP, "mutual_tls__certificate_of_another_authority__is_not_tried_again"),
        "drips": (HTTP, "send__server_drips__ends_at_the_requests_time"),
        "body": (HTTP, "send__larger_than_the_limit__refused_without_reading_on"),
        "environment": (HTTP, "send__proxy_in_the_environment__is_not_used"),
        "collection": (
            COLLECT,
            "collect__source_that_hangs__fails_at_the_deadline_is_named_before_and_the_others_count",
        ),
    },
    "secrets": {
        "literal": ("unit/test_secrets.py", "check_reference__literal__is_refused_without_repeating_it"),
        "errors": (HTTP, "send__error_body__is_quoted_short_printable_and_without_secrets"),
        "answers": (HTTP, "send__good_answer_that_repeats_our_credentials__is_refused"),
        "everywhere": (
            f"{REAL}/test_secrets_of_sources.py",
            "doctor__every_connection_fails_at_a_server_that_repeats_what_it_was_sent__shows_no_secret",
        ),
    },
    "quorum 1: account, currency, kind": {
        "the quorum": (QUORUM, "decide__invalid_observation__does_not_count_and_is_named"),
        "kind": (COLLECT, "observe__another_kind_of_balance__is_refused"),
        "account": (COLLECT, "observe__another_account__is_refused_with_those_that_are_there"),
        "look-alike": (COLLECT, "observe__look_alike_account__is_refused"),
        "every format": (HERE, "observe__invisible_character_in_the_account__refused"),
    },
    "quorum 2: the cutoff and the last business date": {
        "a second later": (COLLECT, "observe__balance_exactly_at_the_cutoff__counts_and_a_second_later_does_not"),
        "holidays": (f"{UNIT}/test_calendar.py", "last_business_date__holidays_and_weekends__are_stepped_over"),
        "snapshots": (f"{UNIT}/test_snapshots.py", "snapshot__after_the_cutoff__is_refused_before_anything_is_asked"),
    },
    "quorum 3: valid": {
        "age": (QUORUM, "decide__age__is_measured_from_the_cutoff_and_not_from_when_it_was_read"),
        "edges": (QUORUM, "decide__observation_at_the_edge_of_a_rule__counts"),
    },
    "quorum 4: sources, origins, hosting, waiver": {
        "sources": (QUORUM, "decide__fewer_valid_sources_than_needed__is_refused"),
        "origins": (QUORUM, "decide__two_feeds_of_one_core__are_one_origin"),
        "capitals": (QUORUM, "decide__origins_that_differ_in_capitals_alone__are_one"),
        "copies": (QUORUM, "decide__two_sources_read_the_same_document__count_once_whatever_their_origins"),
        "packed copies": (COLLECT, "collect__one_document_under_other_names_and_packed__is_one_witness"),
        "questions": (COLLECT, "check_configuration__two_sources_that_ask_the_same__are_refused"),
        "hosting": (QUORUM, "decide__sources_that_the_issuer_hosts_alone__are_refused"),
        "waiver": (QUORUM, "decide__single_source__needs_a_waiver"),
        "corroborating": (QUORUM, "decide__corroborating_source__never_counts_towards_the_quorum"),
    },
    "quorum 5: agreement": {
        "tolerance": (QUORUM, "decide__spread_below_at_and_above_a_tolerance__is_inclusive_and_both_must_hold"),
    },
    "quorum 6: the minimum": {
        "the quorum": (QUORUM, "decide__accepted_value__is_at_most_every_valid_one_and_stated_by_a_counted_source"),
    },
    "quorum 7: dissent": {
        "two": (QUORUM, "decide__two_sources_disagree__neither_is_dropped_whatever_dissent_is_allowed"),
        "lowest": (QUORUM, "decide__lowest_dissents__is_never_dropped"),
        "unique": (QUORUM, "decide__two_possible_majorities__are_refused_as_not_unique"),
    },
    "quorum 8: every account": {
        "the quorum": (QUORUM, "token_outcome__one_account_refused__withholds_the_token_and_no_other"),
    },
    "quorum 9: change": {
        "the quorum": (QUORUM, "decide__change_against_last_period__is_held_beyond_its_limit"),
    },
    "quorum 10: double counting": {
        "configured": (QUORUM, "decide__one_external_account_configured_twice__refuses_both"),
        "observed": (QUORUM, "decide__one_external_account_observed_for_two__refuses_both"),
        "asked": (COLLECT, "check_configuration__two_sources_that_ask_the_same__are_refused"),
    },
    "ownership": {
        "unproven": (OWNED, "decide__key_proven_without_proof__refused_and_asked_again"),
        "replayed": (
            f"{UNIT}/test_ownership.py",
            "check_signature__made_for_another_entity_period_chain_or_nonce__refused",
        ),
        "last week's": (f"{REAL}/test_ownership_run.py", "run__proof_of_last_week__does_not_count"),
    },
}  # fmt: skip


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("line", SHOWN)
def test_table__every_refusal__has_the_tests_that_it_names(line: str) -> None:
    assert [(file, name) for file, name in SHOWN[line].values() if f"test_{name}" not in named_in(file)] == []


@pytest.mark.parametrize("name", formats.BUILT_IN)
def test_table__every_format__says_what_it_does_without_a_balance(name: str) -> None:
    assert any(name in key.partition(":")[0].split(", ") for key in SHOWN["no closing balance; never another one"])


# -- what holds for every format, by its samples ---------------------------------------------------------------------


def account_of(case: Case, balance: dict[str, str], **changes: object) -> Account:
    """An account that the balance is of. No account is of an intraday one: its source corroborates."""
    interim = balance["balance_kind"] == "interim-booked"
    one = {"id": "one", "origin": "one", "format": case.format, "options": case.options, "corroborates": interim}
    other = {"id": "two", "origin": "two", "format": "camt053"}
    return Account.model_validate(
        {
            "token": "X", "custodian": "Bank", "external_account": balance["account"], "currency": balance["currency"],
            "balance_kind": "closing-booked" if interim else balance["balance_kind"], "zone": case.zone or "UTC",
            "sources": (one, other),
        } | changes
    )  # fmt: skip


def observed(case: Case, account: Account, *documents: Document) -> Observation:
    fetched = documents or tuple(Document.of(name, data) for name, data in case.documents)
    return observe("a", account, account.sources[0], fetched, case.retrieved_at, cutoff(case), base=Path())


def cutoff(case: Case) -> datetime:
    """One that no balance of the sample is after."""
    return case.retrieved_at + timedelta(days=2)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_observe__currency_other_than_the_account_s__refused(case: Case) -> None:
    stated = {balance["currency"] for balance in case.expected if balance["account"] == case.expected[0]["account"]}
    other = next(code for code in ("USD", "EUR", "GBP", "JPY") if code not in stated)
    with pytest.raises(SourceError) as caught:
        observed(case, account_of(case, case.expected[0], currency=other))
    assert caught.value.code == "wrong-currency"


def debits() -> list[tuple[Case, dict[str, str]]]:
    """Each account's newest balance that is one."""
    newest = [
        (case, max((one for one in case.expected if one["account"] == name), key=lambda one: one["as_of"]))
        for case in CASES
        for name in sorted({one["account"] for one in case.expected})
    ]
    return [(case, one) for case, one in newest if one["minor_units"].startswith("-") and counts(one)]


def counts(balance: dict[str, str]) -> bool:
    return balance["balance_kind"] != "interim-booked"


def test_samples__debits__are_there_for_most_formats() -> None:
    assert {case.format for case, _ in debits()} >= {"mt940", "bai2", "ofx", "csv", "xlsx", "openbanking-uk", "kraken"}


@pytest.mark.parametrize(("case", "balance"), debits(), ids=str)
def test_decide__debit__refused(case: Case, balance: dict[str, str]) -> None:
    account = account_of(case, balance)
    said = observed(case, account)
    assert said.minor_units < 0
    sources = tuple(SourcePolicy(name, name, False, "2000-01-01") for name in "pq")
    rule = AccountPolicy(
        "a", "X", "Bank", account.external_account, account.currency, account.balance_kind, "unproven", sources,
        min_sources=2, min_origins=2, tolerance_abs=0, tolerance_bps=0, max_age_seconds=10**10, allow_dissent=0,
    )  # fmt: skip
    said = replace(said, retrieved_at=cutoff(case), contents=())
    both = [replace(said, source=name, evidence=(name.encode().hex() * 32,)) for name in "pq"]
    (decided,) = decide(both, (), (rule,), cutoff(case), {}).accounts
    assert (decided.outcome, decided.code) == ("refused", "overdraft")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_read__document_cut_anywhere__refused_or_says_less_and_nothing_else(case: Case) -> None:
    for number, (_, data) in enumerate(case.documents):
        for at in range(1, len(data), max(1, len(data) // 150)):
            try:
                said = case.read(number, data[:at])
            except SourceError:
                continue
            assert [one for one in said if one not in case.expected] == [], data[max(0, at - 40) : at]


@pytest.mark.parametrize("case", [case for case in CASES if case.format != "xlsx"], ids=str)
def test_read__digits_of_another_script__refused(case: Case) -> None:
    arabic = {ord("0") + digit: 0x660 + digit for digit in range(10)}
    documents = [(name, data.decode("latin-1").translate(arabic).encode()) for name, data in case.documents]
    with pytest.raises(SourceError):
        replace(case, documents=tuple(documents)).read()


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.format != "xlsx" and case.expected[-1]["account"] not in case.options.values()],
    ids=str,
)
@pytest.mark.parametrize("invisible", ["\u200b", "\u00ad", "\ufeff", "\u202e"])
def test_observe__invisible_character_in_the_account__refused(case: Case, invisible: str) -> None:
    balance = case.expected[-1]
    name = balance["account"].encode()
    spoilt = [
        Document.of(document, data.replace(name, name[:2] + invisible.encode() + name[2:]))
        for document, data in case.documents
    ]
    with pytest.raises(SourceError):
        observed(case, account_of(case, balance), *spoilt)
