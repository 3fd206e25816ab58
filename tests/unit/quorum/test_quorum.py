"""The quorum rule: what is valid, what agrees, and what no combination of sources may ever do."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from attest import quorum
from attest.errors import ConflictError
from attest.model import AccountPolicy, AccountVerdict, Observation, SourceFailure, SourcePolicy, Verdict
from attest.money import currency, group
from attest.quorum import decide, needs_new_evidence, token_outcome
from attest.records import from_json, to_json

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
AS_OF = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
NAMES = "abcdefghijkl"


def policy(sources: int = 3, **changes: Any) -> AccountPolicy:
    return replace(
        AccountPolicy(
            account="main",
            token="USDW",
            custodian="Bank",
            external_account="DE19 9993",
            currency="USD",
            balance_kind="closing-booked",
            ownership="custodian-confirmed",
            sources=tuple(SourcePolicy(NAMES[n], f"origin-{NAMES[n]}", False, "2026-11-20") for n in range(sources)),
            min_sources=2,
            min_origins=2,
            tolerance_abs=0,
            tolerance_bps=0,
            max_age_seconds=96 * 3600,
            allow_dissent=0,
        ),
        **changes,
    )


def says(source: str, minor_units: int = 100, **changes: Any) -> Observation:
    return replace(
        Observation(
            account="main",
            source=source,
            external_account="de199993",
            currency="USD",
            minor_units=minor_units,
            balance_kind="closing-booked",
            as_of=AS_OF,
            statement_id=f"statement-{source}",
            retrieved_at=CUTOFF + timedelta(hours=6),
            evidence=((source * 64)[:64],),
            business_date="2026-11-20",
        ),
        **changes,
    )


def failure(source: str, **changes: Any) -> SourceFailure:
    return replace(SourceFailure("main", source, "file-missing", f"{source}.xml is missing", "", ""), **changes)


def verdict(
    observations: Sequence[Observation],
    rule: AccountPolicy | None = None,
    failures: Sequence[SourceFailure] = (),
    previous: int | None = None,
) -> AccountVerdict:
    rule = rule or policy(len(observations))
    before = {} if previous is None else {"main": previous}
    (one,) = decide(observations, failures, [rule], CUTOFF, before).accounts
    return one


def amounts(*minor_units: int, **changes: Any) -> AccountVerdict:
    return verdict([says(NAMES[n], value) for n, value in enumerate(minor_units)], policy(len(minor_units), **changes))


def codes(one: AccountVerdict) -> dict[str, str]:
    return {considered.source: considered.code for considered in one.considered}


# -- one document is one witness --------------------------------------------------------------------------------------


def test_decide__two_sources_read_the_same_document__count_once_whatever_their_origins() -> None:
    copy = says("b", evidence=("0" * 64, "a" * 64))
    one = verdict([says("a"), copy])
    assert (one.outcome, one.code, codes(one)) == ("refused", "too-few-sources", {"a": "valid", "b": "same-document"})
    assert "source b was read from the same document as source a" in one.detail
    assert needs_new_evidence(one)
    third = verdict([says("a"), copy, says("c")])
    assert (third.outcome, third.origins, codes(third)["b"]) == ("accepted", 2, "same-document")


@pytest.mark.parametrize("packed", [says("b", contents=("a" * 64,)), says("b", contents=("c" * 64, "d" * 64))])
def test_decide__two_sources_read_one_document_packed_in_two_ways__count_once(packed: Observation) -> None:
    one = verdict([says("a", contents=("d" * 64,)), packed])
    assert (one.code, codes(one)) == ("too-few-sources", {"a": "valid", "b": "same-document"})


def test_decide__origins_that_differ_in_capitals_alone__are_one() -> None:
    feeds = (SourcePolicy("a", "core", False, "2026-11-20"), SourcePolicy("b", "Core", False, "2026-11-20"))
    rule = replace(policy(), sources=feeds)
    assert verdict([says("a"), says("b")], rule).code == "too-few-origins"


# -- agreement -------------------------------------------------------------------------------------------------------


def test_decide__sources_agree__accepts_their_value_with_the_evidence() -> None:
    one = verdict([says("a", as_of=AS_OF - timedelta(hours=1)), says("b"), says("c")])
    assert (one.outcome, one.code, one.minor_units) == ("accepted", "agreed", 100)
    assert one.as_of == AS_OF - timedelta(hours=1)
    assert one.evidence == ("a" * 64, "b" * 64, "c" * 64)
    assert (one.valid_sources, one.origins, one.dissent) == (3, 3, 0)
    assert codes(one) == {"a": "agrees", "b": "agrees", "c": "agrees"}
    assert all(considered.counted for considered in one.considered)


def test_decide__two_sources_disagree__withholds_with_both_values() -> None:
    one = amounts(100, 101)
    assert (one.outcome, one.code, one.minor_units, one.as_of, one.evidence) == (
        "refused",
        "disagreement",
        None,
        None,
        (),
    )
    assert "source a 1.00 USD" in one.detail
    assert "source b 1.01 USD" in one.detail
    assert not needs_new_evidence(one)


def test_decide__two_sources_disagree__neither_is_dropped_whatever_dissent_is_allowed() -> None:
    assert amounts(100, 101, allow_dissent=1).code == "disagreement"


@pytest.mark.parametrize(
    ("tolerance_abs", "tolerance_bps", "high", "agrees"),
    [
        (5, 10_000, 1004, True), (5, 10_000, 1005, True), (5, 10_000, 1006, False),
        (1000, 50, 1004, True), (1000, 50, 1005, True), (1000, 50, 1006, False),
        (5, 0, 1001, False), (0, 10_000, 1001, False), (0, 0, 1000, True),
    ],
)  # fmt: skip
def test_decide__spread_below_at_and_above_a_tolerance__is_inclusive_and_both_must_hold(
    tolerance_abs: int, tolerance_bps: int, high: int, agrees: bool
) -> None:
    one = amounts(1000, high, tolerance_abs=tolerance_abs, tolerance_bps=tolerance_bps)
    assert one.minor_units == (1000 if agrees else None)


def test_decide__basis_points__are_of_the_smallest_balance() -> None:
    # 100 of 10,000 are exactly 100 basis points; of the larger 10,100 they would be fewer.
    assert amounts(10_000, 10_100, tolerance_abs=1000, tolerance_bps=100).outcome == "accepted"
    assert amounts(9_999, 10_099, tolerance_abs=1000, tolerance_bps=100).outcome == "refused"


def test_decide__agreeing_within_tolerance__attests_the_lowest() -> None:
    assert amounts(103, 100, 102, tolerance_abs=5, tolerance_bps=10_000).minor_units == 100


def test_decide__zero_balances__agree_on_zero() -> None:
    assert amounts(0, 0).minor_units == 0
    assert amounts(0, 1, tolerance_abs=1, tolerance_bps=10_000).outcome == "refused"


# -- dissent ---------------------------------------------------------------------------------------------------------


def test_decide__higher_minority__is_dropped_only_if_dissent_is_allowed() -> None:
    assert amounts(100, 100, 105).code == "disagreement"
    one = amounts(100, 100, 105, allow_dissent=1)
    assert (one.outcome, one.code, one.minor_units, one.dissent) == ("accepted", "agreed-with-dissent", 100, 1)
    assert (one.valid_sources, one.origins) == (3, 2)
    assert codes(one) == {"a": "agrees", "b": "agrees", "c": "dissents"}
    assert one.evidence == ("a" * 64, "b" * 64)
    assert "source c 1.05 USD" in one.detail


def test_decide__lowest_dissents__is_never_dropped() -> None:
    assert amounts(99, 100, 100, allow_dissent=1).code == "disagreement"
    assert amounts(99, 100, 100, 100, 100, allow_dissent=4).code == "disagreement"


def test_decide__agreeing_half__is_no_majority() -> None:
    assert amounts(100, 100, 105, 106, allow_dissent=2).code == "disagreement"
    assert amounts(100, 100, 100, 105, 106, allow_dissent=2).minor_units == 100


def test_decide__more_dissent_than_allowed__is_refused() -> None:
    assert amounts(100, 100, 100, 105, 106, allow_dissent=1).code == "disagreement"


def test_decide__two_possible_majorities__are_refused_as_not_unique() -> None:
    loose = {"tolerance_abs": 1, "tolerance_bps": 10_000, "allow_dissent": 1}
    assert amounts(100, 101, 102, **loose).code == "disagreement"
    assert amounts(100, 101, 103, **loose).minor_units == 100


def test_decide__majority_of_one_origin__does_not_outvote_the_other() -> None:
    rule = policy(3, allow_dissent=1)
    shared = replace(rule, sources=(*(replace(s, origin="core") for s in rule.sources[:2]), rule.sources[2]))
    one = verdict([says("a"), says("b"), says("c", 105)], shared)
    assert (one.code, needs_new_evidence(one)) == ("disagreement", False)
    hosted = replace(rule, sources=(*(replace(s, issuer_hosted=True) for s in rule.sources[:2]), rule.sources[2]))
    assert verdict([says("a"), says("b"), says("c", 105)], hosted).code == "disagreement"


# -- what is valid ---------------------------------------------------------------------------------------------------

INVALID = [
    ({"external_account": "DE200000"}, "wrong-account"),
    ({"external_account": "DЕ199993"}, "wrong-account"),
    ({"currency": "EUR"}, "wrong-currency"),
    ({"balance_kind": "closing-available"}, "wrong-balance-kind"),
    ({"as_of": CUTOFF + timedelta(seconds=1)}, "future"),
    ({"as_of": CUTOFF - timedelta(hours=96, seconds=1)}, "stale"),
    ({"business_date": "2026-11-19"}, "old-business-date"),
    ({"retrieved_at": AS_OF - timedelta(seconds=1)}, "after-retrieval"),
]


@pytest.mark.parametrize(("changes", "code"), INVALID)
def test_decide__invalid_observation__does_not_count_and_is_named(changes: dict[str, Any], code: str) -> None:
    one = verdict([says("a"), says("b", **changes)])
    assert (one.outcome, one.code) == ("refused", "too-few-sources")
    assert codes(one) == {"a": "valid", "b": code}
    assert "source b " in one.detail
    assert needs_new_evidence(one)
    assert not any(considered.counted for considered in one.considered)


@pytest.mark.parametrize(
    "changes",
    [
        {"as_of": CUTOFF},
        {"as_of": CUTOFF - timedelta(hours=96), "business_date": None},
        {"retrieved_at": AS_OF},
        {"business_date": "2026-11-21"},
        {"business_date": None},
        {"external_account": " DE 19 9993 "},
    ],
)
def test_decide__observation_at_the_edge_of_a_rule__counts(changes: dict[str, Any]) -> None:
    assert verdict([says("a"), says("b", **changes)]).outcome == "accepted"


def test_decide__age__is_measured_from_the_cutoff_and_not_from_when_it_was_read() -> None:
    late = {"retrieved_at": CUTOFF + timedelta(days=3650)}
    assert verdict([says("a", **late), says("b", **late)]).outcome == "accepted"


def test_decide__failed_or_missing_source__is_reported_beside_the_others() -> None:
    one = verdict([says("a")], policy(3), [failure("b")])
    assert codes(one) == {"a": "valid", "b": "failed", "c": "missing"}
    assert one.code == "too-few-sources"
    assert "b.xml is missing (file-missing)" in one.detail
    assert needs_new_evidence(one)


def test_decide__failed_source_among_enough_others__does_not_stop_them() -> None:
    one = verdict([says("a"), says("c")], policy(3), [failure("b")])
    assert (one.outcome, one.minor_units, one.valid_sources) == ("accepted", 100, 2)
    assert codes(one)["b"] == "failed"


def test_decide__one_source_that_says_two_things__does_not_count() -> None:
    one = verdict([says("a"), says("b", 100), says("b", 101)], policy(2))
    assert codes(one) == {"a": "valid", "b": "duplicate-source"}
    assert verdict([says("a"), says("b")], policy(2), [failure("b")]).code == "too-few-sources"


@pytest.mark.parametrize("stranger", [says("z"), says("a", account="other")])
def test_decide__observation_of_a_source_that_no_policy_names__is_a_conflict(stranger: Observation) -> None:
    with pytest.raises(ConflictError) as caught:
        decide([stranger], [], [policy()], CUTOFF, {})
    assert caught.value.code == "unknown-source"
    assert stranger.account in caught.value.message
    with pytest.raises(ConflictError):
        decide([], [failure("z")], [policy()], CUTOFF, {})


# -- the quorum ------------------------------------------------------------------------------------------------------


def test_decide__fewer_valid_sources_than_needed__is_refused() -> None:
    assert amounts(100, 100, min_sources=3).code == "too-few-sources"
    assert amounts(100, 100, 100, min_sources=3).outcome == "accepted"
    one = verdict([], policy(2))
    assert (one.code, one.valid_sources) == ("too-few-sources", 0)


def test_decide__two_feeds_of_one_core__are_one_origin() -> None:
    rule = policy(2)
    shared = replace(rule, sources=tuple(replace(source, origin="core") for source in rule.sources))
    one = verdict([says("a"), says("b")], shared)
    assert (one.code, one.origins, one.valid_sources) == ("too-few-origins", 1, 2)
    assert needs_new_evidence(one)


def test_decide__sources_that_the_issuer_hosts_alone__are_refused() -> None:
    rule = policy(2)
    hosted = replace(rule, sources=tuple(replace(source, issuer_hosted=True) for source in rule.sources))
    one = verdict([says("a"), says("b")], hosted)
    assert (one.code, needs_new_evidence(one)) == ("issuer-hosted-only", True)
    mixed = replace(rule, sources=(replace(rule.sources[0], issuer_hosted=True), rule.sources[1]))
    assert verdict([says("a"), says("b")], mixed).outcome == "accepted"


def test_decide__single_source__needs_a_waiver() -> None:
    single = {"min_sources": 1, "min_origins": 1}
    assert amounts(100, **single).code == "waiver-missing"
    assert amounts(100, 100, min_origins=1).code == "waiver-missing"
    one = amounts(100, **single, waiver="single-feed")
    assert (one.outcome, one.waiver) == ("accepted", "single-feed")
    assert verdict([], policy(1, min_sources=0, min_origins=0, waiver="single-feed")).code == "too-few-sources"


@pytest.mark.parametrize("value", [-1, -(2**255)])
def test_decide__overdraft__is_refused_naming_the_source(value: int) -> None:
    one = amounts(value, value)
    assert (one.outcome, one.code, one.minor_units) == ("refused", "overdraft", None)
    assert f"source a states {group(currency('USD').format(value))} USD" in one.detail
    assert not needs_new_evidence(one)
    assert amounts(100, 100, value, allow_dissent=1).code == "overdraft"


# -- change against the last period ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "previous", "limit", "outcome"),
    [
        (1050, 1000, 500, "accepted"), (1051, 1000, 500, "held"), (950, 1000, 500, "accepted"),
        (949, 1000, 500, "held"), (5, 0, 10_000, "held"), (0, 0, 0, "accepted"), (1000, 1000, 0, "accepted"),
        (1001, 1000, 0, "held"), (9999, 1, None, "accepted"), (9999, None, 0, "accepted"),
    ],
)  # fmt: skip
def test_decide__change_against_last_period__is_held_beyond_its_limit(
    value: int, previous: int | None, limit: int | None, outcome: str
) -> None:
    one = verdict([says("a", value), says("b", value)], policy(2, change_limit_bps=limit), previous=previous)
    assert (one.outcome, one.minor_units, one.previous_minor_units) == (outcome, value, previous)
    assert (one.code == "change-limit") == (outcome == "held")
    assert not needs_new_evidence(one)


# -- double counting and tokens --------------------------------------------------------------------------------------


def second(**changes: Any) -> AccountPolicy:
    return policy(2, account="second", external_account="99", **changes)


def of_second(source: str, minor_units: int = 7, **changes: Any) -> Observation:
    return says(source, minor_units, **({"account": "second", "external_account": "99"} | changes))


def test_decide__one_external_account_configured_twice__refuses_both() -> None:
    twice = replace(second(), external_account="de 199 993")
    both = decide([says("a"), says("b")], [], [policy(2), twice], CUTOFF, {}).accounts
    assert [one.code for one in both] == ["double-counted", "double-counted"]
    assert "accounts main and second" in both[0].detail
    assert not needs_new_evidence(both[0])
    other_currency = replace(twice, currency="EUR")
    assert decide([says("a"), says("b")], [], [policy(2), other_currency], CUTOFF, {}).accounts[0].outcome == "accepted"


def test_decide__one_external_account_observed_for_two__refuses_both() -> None:
    observations = [says("a"), says("b"), of_second("a"), of_second("b", external_account="DE199993")]
    both = decide(observations, [], [policy(2), second()], CUTOFF, {}).accounts
    assert [one.code for one in both] == ["double-counted", "double-counted"]


def test_token_outcome__every_account_passes__is_accepted() -> None:
    observations = [says("a"), says("b"), of_second("a"), of_second("b")]
    outcome = token_outcome(decide(observations, [], [policy(2), second()], CUTOFF, {}), "USDW")
    assert (outcome.outcome, outcome.code, outcome.accounts) == ("accepted", "agreed", ("main", "second"))


def test_token_outcome__one_account_refused__withholds_the_token_and_no_other() -> None:
    observations = [says("a"), says("b", 101), of_second("a"), of_second("b")]
    decided = decide(observations, [], [policy(2), second(token="EURW")], CUTOFF, {})
    assert token_outcome(decided, "EURW").outcome == "accepted"
    outcome = token_outcome(decided, "USDW")
    assert (outcome.outcome, outcome.code, outcome.accounts) == ("refused", "disagreement", ("main",))
    assert "account main: " in outcome.detail


def test_token_outcome__refused_and_held_accounts__are_refused() -> None:
    policies = [policy(2, change_limit_bps=0), second()]
    held = decide([says("a"), says("b"), of_second("a"), of_second("b")], [], policies, CUTOFF, {"main": 1})
    assert token_outcome(held, "USDW").outcome == "held"
    worse = decide([says("a"), says("b"), of_second("a")], [], policies, CUTOFF, {"main": 1})
    assert token_outcome(worse, "USDW").accounts == ("second",)
    both = decide([says("a"), of_second("a"), of_second("b", 8)], [], policies, CUTOFF, {})
    assert (token_outcome(both, "USDW").code, len(token_outcome(both, "USDW").accounts)) == ("several", 2)


def test_token_outcome__token_without_accounts__is_refused() -> None:
    assert token_outcome(Verdict(()), "USDW").code == "no-accounts"


# -- properties ------------------------------------------------------------------------------------------------------

values = st.one_of(st.integers(1, 20), st.integers(0, 2**256 - 1), st.integers(-3, 3))
rules = st.builds(
    lambda tolerance_abs, tolerance_bps, allow_dissent, min_sources: {
        "tolerance_abs": tolerance_abs,
        "tolerance_bps": tolerance_bps,
        "allow_dissent": allow_dissent,
        "min_sources": min_sources,
    },
    st.integers(0, 5),
    st.sampled_from([0, 1, 100, 10_000]),
    st.integers(0, 3),
    st.integers(2, 3),
)
flaws: st.SearchStrategy[dict[str, Any]] = st.sampled_from([*[{}] * 40, *(changes for changes, _ in INVALID)])


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Observation], list[SourceFailure], AccountPolicy]:
    base = draw(values)
    near = st.sampled_from([0, 0, 0, 0, 0, 1, 2, 5, -1, 100]).map(lambda difference: base + difference)
    said = draw(st.lists(st.tuples(near, flaws), min_size=0, max_size=6))
    failed = draw(st.integers(0, 2))
    rule = policy(len(said) + failed or 1, **draw(rules))
    observations = [says(NAMES[n], value, **flaw) for n, (value, flaw) in enumerate(said)]
    return observations, [failure(NAMES[len(said) + n]) for n in range(failed)], rule


Scene = tuple[list[Observation], list[SourceFailure], AccountPolicy]


@given(scene=scenes(), seed=st.integers())
def test_decide__order_of_observations_and_failures__never_matters_and_bytes_are_equal(scene: Scene, seed: int) -> None:
    observations, failures, rule = scene
    first = to_json(decide(observations, failures, [rule], CUTOFF, {}))
    shuffled, others = observations[:], failures[:]
    random.Random(seed).shuffle(shuffled)
    random.Random(seed).shuffle(others)
    assert to_json(decide(iter(shuffled), iter(others), [rule], CUTOFF, {})) == first
    assert to_json(from_json(Verdict, first, "verdict")) == first


@given(scene=scenes())
def test_decide__accepted_value__is_at_most_every_valid_one_and_stated_by_a_counted_source(scene: Scene) -> None:
    observations, failures, rule = scene
    one = verdict(observations, rule, failures)
    valid = [o for o in observations if codes(one)[o.source] in {"agrees", "dissents", "valid"}]
    counted = [o for o in observations if codes(one)[o.source] == "agrees"]
    assert (one.minor_units is None) == (one.outcome == "refused") == (not counted)
    if one.minor_units is None:
        return
    assert 0 <= one.minor_units == min(o.minor_units for o in valid) == min(o.minor_units for o in counted)
    spread = max(o.minor_units for o in counted) - one.minor_units
    assert spread <= rule.tolerance_abs
    assert spread * 10_000 <= rule.tolerance_bps * one.minor_units
    assert one.dissent == len(valid) - len(counted) <= rule.allow_dissent
    assert 2 * len(counted) > len(valid) >= rule.min_sources
    assert one.as_of == min(o.as_of for o in counted)
    assert set(one.evidence) == {digest for o in counted for digest in o.evidence}


@given(
    base=st.integers(0, 2**256 - 1),
    offsets=st.lists(st.sampled_from([0, 0, 0, 1, 2, 9]), min_size=2, max_size=6),
    allow_dissent=st.integers(0, 3),
    difference=st.integers(-6, 6),
)
def test_decide__another_valid_source__never_raises_the_value(
    base: int, offsets: list[int], allow_dissent: int, difference: int
) -> None:
    rule = {"tolerance_abs": 2, "tolerance_bps": 10_000, "allow_dissent": allow_dissent}
    before = amounts(*(base + offset for offset in offsets), **rule)
    assume(before.minor_units is not None)
    value = before.minor_units or 0
    extra = value + difference
    after = amounts(*(base + offset for offset in offsets), extra, **rule)
    assert after.minor_units is None or after.minor_units <= value
    if extra < value:
        # A lower voice lowers the value or stops it; it is never outvoted.
        assert after.minor_units in {None, extra}


@given(scene=scenes())
def test_decide__needs_new_evidence__exactly_when_a_quorum_of_valid_observations_is_lacking(scene: Scene) -> None:
    observations, failures, rule = scene
    one = verdict(observations, rule, failures)
    assert needs_new_evidence(one) == (one.valid_sources < rule.min_sources)


@given(scene=scenes())
def test_decide__every_source__is_considered_once_in_the_policy_s_order(scene: Scene) -> None:
    observations, failures, rule = scene
    one = verdict(observations, rule, failures)
    assert [considered.source for considered in one.considered] == [source.source for source in rule.sources]
    assert all(considered.detail for considered in one.considered)


@pytest.mark.parametrize("value", [2**53, 2**64, 2**256 - 1, 10**90])
def test_decide__huge_amounts__are_compared_exactly(value: int) -> None:
    assert amounts(value, value).minor_units == value
    assert amounts(value, value + 1).code == "disagreement"
    assert amounts(value, value + 1, tolerance_abs=1, tolerance_bps=1).minor_units == value


def test_quorum__module__imports_only_the_model_money_the_errors_and_the_standard_library() -> None:
    tree = ast.parse(Path(quorum.__file__).read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported == {"__future__", "collections", "collections.abc", "dataclasses", "datetime", "typing"} | {
        "attest.errors",
        "attest.model",
        "attest.money",
    }


# -- sources that only corroborate -----------------------------------------------------------------------------------


def corroborated(by: int, **changes: Any) -> AccountPolicy:
    """``by`` sources of which the last only corroborates."""
    rule = policy(by, **changes)
    return replace(rule, sources=(*rule.sources[:-1], replace(rule.sources[-1], corroborates=True)))


def test_decide__corroborating_source__never_counts_towards_the_quorum() -> None:
    one = verdict([says("a"), says("b", balance_kind="interim-booked", business_date=None)], corroborated(2))
    assert (one.outcome, one.code, one.valid_sources) == ("refused", "too-few-sources", 1)
    assert codes(one)["b"] == "not-compared"


@pytest.mark.parametrize(("value", "code"), [(100, "corroborates"), (99, "contradicts"), (101, "contradicts")])
def test_decide__corroborating_source__is_compared_and_decides_nothing(value: int, code: str) -> None:
    interim = says("c", value, balance_kind="interim-booked", business_date="2026-11-19")
    one = verdict([says("a"), says("b"), interim], corroborated(3))
    assert (one.outcome, one.minor_units, one.dissent, one.origins) == ("accepted", 100, 0, 2)
    assert codes(one) == {"a": "agrees", "b": "agrees", "c": code}
    assert f"states {group(currency('USD').format(value))} USD (interim-booked)" in one.considered[2].detail
    assert not one.considered[2].counted


def test_decide__corroborating_source_within_the_tolerance__corroborates() -> None:
    rule = corroborated(3, tolerance_abs=1, tolerance_bps=200)
    assert codes(verdict([says("a"), says("b"), says("c", 99)], rule))["c"] == "corroborates"


def test_decide__corroborating_source_that_fails_or_is_stale__blocks_nothing_and_says_why() -> None:
    stale = says("c", as_of=CUTOFF - timedelta(hours=97))
    assert codes(verdict([says("a"), says("b"), stale], corroborated(3)))["c"] == "stale"
    one = verdict([says("a"), says("b")], corroborated(3), [failure("c")])
    assert (one.outcome, codes(one)["c"]) == ("accepted", "failed")


def test_rules__every_code_of_an_account__is_put_in_words() -> None:
    code = re.compile(r'"([a-z-]+)"')
    source = Path(quorum.__file__).read_text(encoding="utf-8")
    decided = {
        *code.findall(" ".join(re.findall(r"_refused\(\s*\"[a-z-]+\"", source))),
        *code.findall(" ".join(re.findall(r"return \"[a-z-]+\", f?\"", source.split("def _lacks_quorum")[1]))),
        "agreed", "agreed-with-dissent", "change-limit",
    }  # fmt: skip
    assert len(decided) >= 10
    assert decided <= set(quorum.RULES)
