"""The statement: what it is made from, and that no derived figure in it is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest import statement
from attest.documents import (
    AbandonedAttempt,
    Agreement,
    ChainBlocks,
    CodeCount,
    ConsensusStatement,
    DeploymentStatement,
    MerkleCommitment,
    PolicyInForce,
    Predicate,
    Statement,
    Subject,
    Supersedes,
    TokenStatement,
)
from attest.errors import ConflictError, VerificationError
from attest.model import (
    AccountPolicy,
    AccountVerdict,
    Block,
    Considered,
    DeploymentSupply,
    Supply,
    TokenConsensus,
    TokenReserve,
)
from attest.money import UINT256_MAX
from attest.records import digest, from_json, to_json
from attest.signing import dsse
from tests.support import bundles

AS_OF = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)


def payload(change: Callable[[Predicate], Predicate] = lambda predicate: predicate) -> bytes:
    """The unchanged bundle's payload, with its predicate changed."""
    envelope = bundles.standard_files()["attestation.dsse.json"]
    body = dsse.parse_envelope(envelope).body
    whole = from_json(Statement, body, "the payload")
    return to_json(replace(whole, predicate=change(whole.predicate)))


def token_change(**fields: Any) -> Callable[[Predicate], Predicate]:
    """A change of fields of the token USDW, or of a nested record by ``agreement__accounts=...``."""

    def change(token: TokenStatement) -> TokenStatement:
        for name, value in fields.items():
            outer, _, inner = name.partition("__")
            token = replace(token, **{outer: replace(getattr(token, outer), **{inner: value}) if inner else value})
        return token

    return lambda predicate: replace(predicate, tokens=(predicate.tokens[0], change(predicate.tokens[1])))


def chain_change(**fields: Any) -> Callable[[Predicate], Predicate]:
    return lambda predicate: replace(predicate, chains=(replace(predicate.chains[0], **fields),))


REPLACED = Supersedes("11" * 32, "revision", "a custodian corrected its statement")


def blank(predicate: Predicate, code: str) -> Predicate:
    """The same without any reserve."""
    tokens = tuple(replace(bundles.withheld_token(token), withheld_code=code) for token in predicate.tokens)
    return replace(predicate, tokens=tokens, merkle=MerkleCommitment(digest(b""), 0))


# -- making ----------------------------------------------------------------------------------------------------------


def account(name: str, *, sources: int = 2, waiver: str | None = None, dissent: int = 0) -> AccountVerdict:
    considered = [Considered(f"s{number}", True, "agrees", "") for number in range(sources)]
    considered += [Considered(f"d{number}", False, "dissents", "") for number in range(dissent)]
    return AccountVerdict(
        account=name,
        token="USDW",
        outcome="accepted",
        code="agreed",
        detail="",
        considered=tuple(considered),
        minor_units=1,
        as_of=AS_OF,
        valid_sources=sources + dissent,
        origins=sources,
        dissent=dissent,
        waiver=waiver,
    )


def rule(name: str, **fields: Any) -> AccountPolicy:
    settings: dict[str, Any] = {
        "min_sources": 2,
        "min_origins": 2,
        "tolerance_abs": 0,
        "tolerance_bps": 0,
        "max_age_seconds": 3600,
        "allow_dissent": 0,
    }
    return AccountPolicy(
        account=name,
        token="USDW",
        custodian="Bank",
        external_account=name,
        currency="USD",
        balance_kind="closing-booked",
        ownership="unproven",
        sources=(),
        **(settings | fields),
    )


def supply(*units: int, token: str = "USDW", decimals: int = 6) -> Supply:
    return Supply(
        (),
        tuple(
            DeploymentSupply(token, 138 + number, f"0x{number + 1:040x}", decimals, amount)
            for number, amount in enumerate(units)
        ),
    )


def made(
    units: int, consensus: int, opening: Supply, closing: Supply, verdicts: Any = None, policies: Any = None
) -> TokenStatement:
    return statement.token_statement(
        token="USDW",
        currency="USD",
        exponent=2,
        decimals=6,
        supply=opening,
        confirm_supply=closing,
        reserve=TokenReserve("USDW", "USD", 2, 6, units // 10**4, units, 0, AS_OF, 1),
        consensus=TokenConsensus("USDW", consensus, True, 2, {"0x1": consensus, "0x2": consensus}),
        oracle=bundles.ORACLE,
        verdicts=verdicts or [account("a")],
        policies=policies or [rule("a")],
    )


def test_token_statement__consensus_below_reserve__verdict_takes_the_lower() -> None:
    token = made(2_000_000, 990_000, supply(1_000_000), supply(1_000_000))

    assert (token.verdict, token.surplus_units, token.ratio_percent) == ("short", -10_000, "99.0")


def test_token_statement__supply_grew_until_confirm__verdict_takes_the_higher() -> None:
    token = made(1_000_000, 1_000_000, supply(1_000_000), supply(1_000_001))

    assert (token.verdict, token.surplus_units, token.ratio_percent) == ("short", -1, "99.9")


def test_token_statement__reserve_equals_supply__is_sufficient() -> None:
    token = made(1_000_000, 1_000_000, supply(600_000, 400_000), supply(500_000, 500_000))

    assert (token.verdict, token.surplus_units, token.ratio_percent) == ("sufficient", 0, "100.0")
    assert (token.supply_units, token.confirm_supply_units) == (1_000_000, 1_000_000)
    assert [(d.chain_id, d.supply_units, d.confirm_supply_units) for d in token.deployments] == [
        (138, 600_000, 500_000),
        (139, 400_000, 500_000),
    ]


def test_token_statement__nothing_issued__has_no_ratio() -> None:
    token = made(1_000_000, 1_000_000, supply(0), supply(0))

    assert (token.verdict, token.ratio_percent) == ("sufficient", None)


def test_token_statement__several_accounts__counts_agreement_and_weakest_policy() -> None:
    token = made(
        1_000_000,
        1_000_000,
        supply(1),
        supply(1),
        [account("a", sources=3), account("b", sources=1, waiver="single-feed"), account("c", dissent=1)],
        [
            rule("a", min_sources=3, tolerance_bps=5),
            rule("b", min_sources=1, min_origins=1),
            rule("c", allow_dissent=1),
        ],
    )

    assert token.agreement == Agreement(3, 6, 1, 1, 1, (CodeCount("single-feed", 1),))
    assert token.policy == PolicyInForce(1, 1, 0, 5, 3600, 1)


def test_token_statement__withheld__states_the_supply_alone() -> None:
    token = statement.token_statement(
        token="USDW",
        currency="USD",
        exponent=2,
        decimals=6,
        supply=supply(5),
        confirm_supply=supply(6),
        withheld_code="deadline",
    )

    assert (token.verdict, token.withheld_code, token.supply_units, token.confirm_supply_units) == (
        "withheld",
        "deadline",
        5,
        6,
    )
    assert statement.attested(token) is None


def test_token_statement__supplies_of_other_deployments__refused() -> None:
    with pytest.raises(ConflictError, match="different deployments"):
        made(1, 1, supply(1, 1), supply(1))


def test_token_statement__no_consensus__refused() -> None:
    with pytest.raises(ValueError, match="needs its consensus"):
        statement.token_statement(
            token="USDW", currency="USD", exponent=2, decimals=6, supply=supply(1), confirm_supply=supply(1)
        )


def test_build__reads_back_and_is_about_the_reserves_file() -> None:
    predicate = from_json(Statement, payload(), "x").predicate
    reserves = bundles.standard_files()["reserves.json"]

    built = statement.build(predicate, reserves, signatures=2)

    read = statement.read(built)
    assert read.predicate == predicate
    assert read.subject[0].digest.sha256 == digest(reserves)


def test_build__contradictory_predicate__refused() -> None:
    predicate = from_json(Statement, payload(token_change(surplus_units=1)), "x").predicate

    with pytest.raises(VerificationError, match="surplus_units"):
        statement.build(predicate, b"{}")


def test_build__larger_than_a_log_entry__refused() -> None:
    predicate = from_json(Statement, payload(), "x").predicate
    reasons = tuple(AbandonedAttempt(number, "x" * 1000) for number in range(1, 60))

    with pytest.raises(ConflictError, match="65535 fit a log entry"):
        statement.build(replace(predicate, attempt=60, abandoned=reasons), b"{}")


# -- reading ---------------------------------------------------------------------------------------------------------


def test_read__unchanged_payload__gives_the_statement() -> None:
    assert statement.read(payload()).predicate.period == bundles.PERIOD


def test_read__other_subject__refused() -> None:
    whole = from_json(Statement, payload(), "x")
    other = replace(whole, subject=(Subject("other.json", whole.subject[0].digest),))

    with pytest.raises(VerificationError, match=r"subject must be reserves\.json"):
        statement.read(to_json(other))


def test_read__two_subjects__refused() -> None:
    whole = from_json(Statement, payload(), "x")

    with pytest.raises(VerificationError, match=r"subject must be reserves\.json"):
        statement.read(to_json(replace(whole, subject=whole.subject * 2)))


def test_read__other_predicate_type__refused() -> None:
    with pytest.raises(VerificationError, match="predicateType"):
        statement.read(payload().replace(b"predicate:reserves:v1", b"predicate:reserves:v2"))


OTHER = Block(139, 5, "cd" * 32, bundles.SUPPLY_TIME)

REFUSED: dict[str, tuple[Callable[[Predicate], Predicate], str]] = {
    "issuer empty": (lambda p: replace(p, issuer=""), "issuer"),
    "issuer long": (lambda p: replace(p, issuer="x" * 201), "issuer"),
    "software empty": (lambda p: replace(p, software=""), "software"),
    "no such week": (lambda p: replace(p, period="2026-W54"), "2026-W54"),
    "negative revision": (lambda p: replace(p, revision=-1), "revision"),
    "attempt zero": (lambda p: replace(p, attempt=0), "abandoned"),
    "attempts missing": (lambda p: replace(p, attempt=3, abandoned=bundles.abandoned("wrong file")), "abandoned"),
    "attempts too many": (lambda p: replace(p, attempt=1, abandoned=bundles.abandoned("x")), "abandoned"),
    "attempt without reason": (lambda p: replace(p, attempt=2, abandoned=bundles.abandoned(" ")), "without a reason"),
    "no tokens": (lambda p: replace(p, tokens=()), "tokens is empty"),
    "tokens not sorted": (lambda p: replace(p, tokens=p.tokens[::-1]), "ascending order"),
    "token twice": (lambda p: replace(p, tokens=(p.tokens[0], p.tokens[0])), "each once"),
    "one deployment under two tokens": (token_change(deployments=(
        DeploymentStatement(138, bundles.EURW.upper().replace("X", "x"), 6, 1_200_000_000_000, 1_200_000_000_000),)),
        "one deployment under two tokens"),
    "chain twice": (lambda p: replace(p, chains=p.chains * 2), "each once"),
    "chain id zero": (chain_change(chain_id=0), "positive"),
    "block of another chain": (chain_change(supply=OTHER), "another chain"),
    "confirm before supply": (
        lambda p: replace(p, chains=(replace(p.chains[0], confirm=replace(p.chains[0].confirm, number=99)),)),
        "before the supply block",
    ),
    "confirm older than supply": (
        lambda p: replace(p, chains=(replace(p.chains[0], confirm=replace(p.chains[0].confirm, timestamp=1)),)),
        "older than",
    ),
    "one number, two hashes": (
        lambda p: replace(p, chains=(replace(p.chains[0], confirm=replace(p.chains[0].confirm, number=100)),)),
        "two hashes",
    ),
    "wrong gap": (chain_change(supply_gap_seconds=5), "supply_gap_seconds must be 4"),
    "supply after the cutoff": (
        lambda p: replace(p, cutoff=p.cutoff - timedelta(seconds=9), chains=(
            replace(p.chains[0], supply_gap_seconds=-5),)),
        "after the cutoff",
    ),
    "token name": (token_change(token="USD W"), "token name"),
    "currency": (token_change(currency="usd"), "ISO-4217"),
    "exponent": (token_change(exponent=5), "exponent"),
    "decimals": (token_change(decimals=37), "decimals"),
    "supply is not the sum": (token_change(supply_units=1), "deployments sum to"),
    "confirm supply is not the sum": (token_change(confirm_supply_units=1), "deployments sum to"),
    "supply above uint256": (token_change(supply_units=UINT256_MAX + 1), "uint256"),
    "negative supply": (token_change(supply_units=-1), "uint256"),
    "no deployments": (token_change(deployments=()), "deployments is empty"),
    "deployment address": (
        token_change(deployments=(DeploymentStatement(138, "0xe1", 6, 1_200_000_000_000, 1_200_000_000_000),)),
        "not an address",
    ),
    "deployment on an unknown chain": (
        token_change(deployments=(DeploymentStatement(1, bundles.USDW, 6, 1_200_000_000_000, 1_200_000_000_000),)),
        "not among the chains",
    ),
    "deployment decimals": (
        token_change(deployments=(DeploymentStatement(138, bundles.USDW, 40, 1_200_000_000_000, 1_200_000_000_000),)),
        "decimals",
    ),
    "deployment twice": (
        token_change(deployments=(DeploymentStatement(138, bundles.USDW, 6, 6 * 10**11, 6 * 10**11),) * 2),
        "each once",
    ),
    "withheld with a reserve": (token_change(verdict="withheld", withheld_code="deadline"), "carry no reserve"),
    "withheld code on a sufficient token": (token_change(withheld_code="deadline"), "withheld_code"),
    "sufficient without reserve": (token_change(reserve_units=None), "lacks a field"),
    "sufficient without consensus": (token_change(consensus=None), "lacks a field"),
    "reserve not scaled": (token_change(reserve_units=1), "reserve_units must be"),
    "remainder": (token_change(remainder_minor_units=1), "remainder_minor_units must be 0"),
    "negative reserve": (token_change(reserve_minor_units=-1), "uint256"),
    "reserve too large when scaled": (token_change(reserve_minor_units=UINT256_MAX), "uint256"),
    "verdict": (token_change(verdict="short"), "verdict says short"),
    "surplus": (token_change(surplus_units=0), "surplus_units must be"),
    "ratio": (token_change(ratio_percent="101.0"), "ratio_percent must be 100.3"),
    "ratio missing": (token_change(ratio_percent=None), "ratio_percent must be 100.3"),
    "no accounts": (token_change(agreement__accounts=0), "from 1"),
    "no sources": (token_change(agreement__fewest_sources=0), "from 1"),
    "policy without sources": (token_change(policy__min_sources=0), "from 1"),
    "negative tolerance": (token_change(policy__tolerance_abs=-1), "negative limit"),
    "tolerance above uint256": (token_change(policy__tolerance_abs=UINT256_MAX + 1), "uint256"),
    "fewer sources counted than the fewest": (token_change(agreement__sources_counted=3), "fewer sources"),
    "dissent above the policy": (token_change(agreement__dissent=1), "more dissent"),
    "sources below the policy": (token_change(policy__min_sources=3), "policy in force demands"),
    "waiver counted too often": (token_change(agreement__waivers=(CodeCount("x", 3),)), "waivers must count"),
    "waivers of more accounts than there are": (
        token_change(agreement__waivers=(CodeCount("a", 2), CodeCount("b", 2))),
        "at most the number of accounts",
    ),
    "waiver of no account": (token_change(agreement__waivers=(CodeCount("x", 0),)), "waivers must count from 1"),
    "waivers not sorted": (
        token_change(agreement__waivers=(CodeCount("b", 1), CodeCount("a", 1))),
        "ascending order of codes",
    ),
    "balance after the cutoff": (token_change(oldest_as_of=bundles.CUTOFF + timedelta(seconds=1)), "after the cutoff"),
    "balance older than the policy": (
        token_change(oldest_as_of=bundles.CUTOFF - timedelta(hours=96, seconds=1)),
        "policy in force allows",
    ),
    "oracle address": (token_change(consensus__oracle="oracle"), "not an address"),
    "consensus above uint256": (token_change(consensus__units=UINT256_MAX + 1), "uint256"),
    "quorum of none": (token_change(consensus__required_quorum=0), "required_quorum"),
    "quorum met by too few": (token_change(consensus__reports=1), "cannot be met"),
    "reporter address": (
        lambda p: token_change(reports=(replace(p.tokens[1].reports[0], reporter="0x"),))(p),
        "not an address",
    ),
    "report on an unknown chain": (
        lambda p: token_change(reports=(replace(p.tokens[1].reports[0], chain_id=1),))(p),
        "not among the chains",
    ),
    "report after the confirm block": (
        lambda p: token_change(reports=(replace(p.tokens[1].reports[0], block_number=111),))(p),
        "after the confirm block",
    ),
    "one reporter twice": (
        lambda p: token_change(
            reports=(p.tokens[1].reports[0], replace(p.tokens[1].reports[0], transaction="00" * 32))
        )(p),
        "one reporter twice",
    ),
    "one transaction twice": (
        lambda p: token_change(
            reports=(p.tokens[1].reports[0], replace(p.tokens[1].reports[0], reporter="0x" + "99" * 20))
        )(p),
        "one transaction twice",
    ),
    "revision without what it replaces": (lambda p: replace(p, revision=1), "does not fit revision 1"),
    "first attestation that replaces": (lambda p: replace(p, supersedes=REPLACED), "does not fit revision 0"),
    "revision without a reason": (
        lambda p: replace(p, revision=1, supersedes=replace(REPLACED, reason=" ")),
        "gives no reason",
    ),
    "revocation with a reserve": (
        lambda p: replace(p, revision=1, supersedes=replace(REPLACED, kind="revocation")),
        "every token must be withheld as revoked",
    ),
    "revoked without a revocation": (
        lambda p: replace(p, revision=1, supersedes=REPLACED, tokens=blank(p, "revoked").tokens),
        "no revocation",
    ),
    "tree of another size": (lambda p: replace(p, merkle=replace(p.merkle, size=4)), "3 accounts"),
    "empty root of a tree with leaves": (
        lambda p: replace(p, merkle=replace(p.merkle, root=digest(b""))),
        "root and size",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_read__contradiction__refused_naming_it(name: str) -> None:
    change, message = REFUSED[name]

    with pytest.raises(VerificationError, match=message) as caught:
        statement.read(payload(change))

    assert caught.value.advice


def test_read__contradiction_in_a_token__names_the_token() -> None:
    with pytest.raises(VerificationError, match="'USDW': ratio_percent"):
        statement.read(payload(token_change(ratio_percent="100.4")))


def test_read__withheld_token__needs_a_code() -> None:
    bare = bundles.withheld_token(bundles.sufficient_token())
    change = token_change(**{field: getattr(bare, field) for field in bare.__dataclass_fields__ if field != "token"})

    def all_changed(predicate: Predicate) -> Predicate:
        return replace(change(predicate), merkle=replace(predicate.merkle, size=1))

    assert statement.read(payload(all_changed)).predicate.tokens[1].verdict == "withheld"
    with pytest.raises(VerificationError, match="withheld_code is missing"):
        statement.read(
            payload(lambda p: replace(all_changed(p), tokens=(p.tokens[0], replace(bare, withheld_code=None))))
        )


@pytest.mark.parametrize("code", ["fully backed, see our site", "Deadline", "deadline ", ""])
def test_read__withheld_code_that_there_is_not__is_refused(code: str) -> None:
    """It is shown to people."""

    def change(predicate: Predicate) -> Predicate:
        token = bundles.withheld_token(predicate.tokens[1], code)
        return replace(predicate, tokens=(predicate.tokens[0], token), merkle=replace(predicate.merkle, size=1))

    with pytest.raises(VerificationError, match="'USDW': withheld_code must be one of operator, deadline, missed, rev"):
        statement.read(payload(change))


def test_read__revision_revocation_and_missed_period__are_statements() -> None:
    revision = statement.read(payload(lambda p: replace(p, revision=1, supersedes=REPLACED))).predicate
    assert revision.supersedes == REPLACED
    revocation = replace(REPLACED, kind="revocation")
    statement.read(payload(lambda p: replace(blank(p, "revoked"), revision=2, supersedes=revocation)))
    missed = statement.read(payload(lambda p: blank(p, "missed"))).predicate
    assert {token.withheld_code for token in missed.tokens} == {"missed"}


def test_read__every_token_withheld__is_the_empty_tree() -> None:
    files = bundles.Forge(tokens=tuple(map(bundles.withheld_token, bundles.Forge().tokens))).files()
    body = dsse.parse_envelope(files["attestation.dsse.json"]).body

    assert statement.read(body).predicate.merkle.root == digest(b"")


def test_read__supply_at_run__may_lie_after_the_cutoff() -> None:
    early = bundles.CUTOFF - timedelta(seconds=9)

    def change(predicate: Predicate) -> Predicate:
        chains: tuple[ChainBlocks, ...] = (replace(predicate.chains[0], supply_gap_seconds=-5),)
        return replace(predicate, cutoff=early, supply_at="run", chains=chains)

    assert statement.read(payload(change)).predicate.chains[0].supply_gap_seconds == -5


def test_read__quorum_not_met__may_have_fewer_reports() -> None:
    read = statement.read(payload(token_change(consensus__quorum_met=False, consensus__reports=1)))

    consensus = read.predicate.tokens[1].consensus
    assert isinstance(consensus, ConsensusStatement)
    assert not consensus.quorum_met


@given(
    minor_units=st.integers(0, 10**15),
    supplies=st.lists(st.integers(0, 10**20), min_size=1, max_size=3),
    decimals=st.sampled_from([0, 2, 6, 18]),
    consensus=st.integers(0, 10**30),
)
def test_token_statement__any_amounts__read_finds_no_contradiction(
    minor_units: int, supplies: list[int], decimals: int, consensus: int
) -> None:
    from attest.money import to_token_units

    scaled = to_token_units(minor_units, 2, decimals, "x")
    opening = supply(*supplies, decimals=decimals)
    token = statement.token_statement(
        token="USDW",
        currency="USD",
        exponent=2,
        decimals=decimals,
        supply=opening,
        confirm_supply=opening,
        reserve=TokenReserve(
            "USDW", "USD", 2, decimals, minor_units, scaled.units, scaled.remainder_minor_units, AS_OF, 1
        ),
        consensus=TokenConsensus("USDW", consensus, True, 1, {"0x1": consensus}),
        oracle=bundles.ORACLE,
        verdicts=[account("a")],
        policies=[rule("a", max_age_seconds=96 * 3600)],
    )
    blocks = [
        ChainBlocks(
            138 + number,
            Block(138 + number, 1, "aa" * 32, bundles.SUPPLY_TIME),
            4,
            Block(138 + number, 2, "bb" * 32, bundles.CONFIRM_TIME),
        )
        for number in range(len(supplies))
    ]
    predicate = replace(bundles.default_predicate([token], bundles.make_leaves([token])), chains=tuple(blocks))

    read = statement.read(statement.build(predicate, b"{}")).predicate.tokens[0]

    held, issued = min(scaled.units, consensus), sum(supplies)
    assert (read.verdict == "sufficient") == (held >= issued)
    assert read.surplus_units == held - issued


# -- in words --------------------------------------------------------------------------------------------------------


def test_sentence__sufficient__answers_held_issued_ratio_time_and_who() -> None:
    text = statement.sentence(bundles.sufficient_token(accounts=1), bundles.CUTOFF, witnesses=2)

    assert text == (
        "USDW: 1,204,113.07 USD held against 1,200,000 USDW issued (100.3 %), as of Sun 22 Nov 2026 23:59 UTC. "
        "Agreed by 2 sources, reported on chain by 3 (2 needed), cosigned by 2 witnesses. "
        "Oldest balance: Fri 20 Nov 2026 23:59 UTC."
    )


def test_sentence__several_accounts__says_how_many_on_each() -> None:
    token = bundles.sufficient_token(accounts=3)
    assert token.agreement is not None
    uneven = replace(token, agreement=replace(token.agreement, sources_counted=7))

    assert "Agreed by 2 sources on each of 3 accounts" in statement.sentence(token, bundles.CUTOFF)
    assert "Agreed by 2 sources or more on each of 3 accounts" in statement.sentence(uneven, bundles.CUTOFF)


def test_sentence__short__says_by_how_much() -> None:
    text = statement.sentence(bundles.sufficient_token(supply=1_300_000_000_000), bundles.CUTOFF, witnesses=1)

    assert "1,204,113.07 USD held against 1,300,000 USDW issued (92.6 %), short by 95,886.93 USDW, as of" in text
    assert "cosigned by 1 witness." in text


def test_sentence__consensus_below_reserve__says_that_it_counts() -> None:
    text = statement.sentence(bundles.sufficient_token(consensus=1_199_000_000_000), bundles.CUTOFF)

    assert "1,204,113.07 USD held (but only 1,199,000.00 USDW by the reports on chain, which counts) against" in text


def test_sentence__withheld__gives_the_code_and_no_figure_of_a_reserve() -> None:
    text = statement.sentence(bundles.withheld_token(bundles.sufficient_token()), bundles.CUTOFF, witnesses=0)

    assert text == (
        "USDW: reserve withheld (deadline) against 1,200,000 USDW issued, as of Sun 22 Nov 2026 23:59 UTC. "
        "Cosigned by no witness."
    )


def test_sentence__nobody_asked_for_witnesses__says_nothing_of_them() -> None:
    token = bundles.sufficient_token()
    text = statement.sentence(token, bundles.CUTOFF, witnesses=None)
    withheld = statement.sentence(bundles.withheld_token(token), bundles.CUTOFF, witnesses=None)

    assert "reported on chain by 3 (2 needed). Oldest balance" in text
    assert withheld.endswith("Sun 22 Nov 2026 23:59 UTC.")


def test_sentence__stale__says_so() -> None:
    assert "23:59 UTC, which is stale." in statement.sentence(bundles.sufficient_token(), bundles.CUTOFF, stale=True)


def test_sentence__nothing_issued__has_no_ratio() -> None:
    assert "against 0 USDW issued, as of" in statement.sentence(bundles.sufficient_token(supply=0), bundles.CUTOFF)


def test_sentence__supply_with_more_decimals_than_the_reserve__rounds_up() -> None:
    token = bundles.sufficient_token(supply=1_199_999_990_001)

    assert "against 1,200,000 USDW issued" in statement.sentence(token, bundles.CUTOFF)


def test_sentence__balances_at_the_cutoff__names_no_oldest() -> None:
    token = replace(bundles.sufficient_token(), oldest_as_of=bundles.CUTOFF)

    assert "Oldest" not in statement.sentence(token, bundles.CUTOFF)
