"""Whole bundles in which one claim is not what its reader expects, everything downstream of it being right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from attest.documents import CodeCount, DeploymentStatement, Predicate, Receipts, Reserves
from attest.statement import moment
from tests.support import bundles
from tests.support.bundles import CHAIN, ORACLE, REGISTRY, sufficient_token
from tests.support.bundles import EURW as EURW_ADDRESS
from tests.support.bundles import USDW as USDW_ADDRESS
from tests.vectors.cases.case import Case
from tests.vectors.cases.forging import (
    EURW,
    SMALL_TRUST,
    TRUST,
    USDW,
    anchor,
    bundle,
    chain,
    cutoff,
    forge,
    pair,
    predicate,
    receipt,
    small,
    token,
)

STRANGER = "0x" + "77" * 20
_RECEIPTS = "The receipts and the anchor must be those of this statement, where the reader expects them."
_POLICY = "It was decided by a weaker rule than the reader accepts."


def _reserves(**fields: object) -> object:
    return lambda found: replace(found, **fields)


def _first_total(**fields: object) -> object:
    return lambda found: replace(found, tokens=(replace(found.tokens[0], **fields), *found.tokens[1:]))


def _totals_swapped(found: Reserves) -> Reserves:
    first, second = found.tokens
    return replace(
        found,
        tokens=(
            replace(first, minor_units=second.minor_units, units=second.units),
            replace(second, minor_units=first.minor_units, units=first.units),
        ),
    )


def _second_chain(found: Predicate) -> Predicate:
    (only,) = found.chains
    other = replace(
        only, chain_id=139, supply=replace(only.supply, chain_id=139), confirm=replace(only.confirm, chain_id=139)
    )
    return replace(found, chains=(only, other))


def _another_deployment(found: Predicate) -> Predicate:
    return token(deployments=(*found.tokens[-1].deployments, DeploymentStatement(CHAIN, "0x" + "f7" * 20, 6, 0, 0)))(
        found
    )


def _supply_read(days: int, seconds: int = 0) -> Callable[[Predicate], Predicate]:
    """The supply was read so long before the cutoff."""
    gap = 86_400 * days + seconds
    return chain(supply__timestamp=int(bundles.CUTOFF.timestamp()) - gap, supply_gap_seconds=gap)


def _waived(sources: int) -> Callable[[Predicate], Predicate]:
    """So many sources were counted, one at least on each account; one account is under a waiver."""
    return token(
        policy__min_sources=1,
        agreement__fewest_sources=1,
        agreement__sources_counted=sources,
        agreement__waivers=(CodeCount("single-feed", 1),),
    )


_ALLOWING = replace(SMALL_TRUST, policy=replace(SMALL_TRUST.policy, waivers=("single-custodian", "single-feed")))


def _no_anchoring(found: Receipts) -> Receipts:
    return replace(found, receipts=found.receipts[:-1])


def _anchored_twice(found: Receipts) -> Receipts:
    return replace(found, receipts=(*found.receipts, found.receipts[-1]))


_SUBJECT: tuple[Case, ...] = (
    bundle(
        *("subject-of-another-digest", "A space stands behind reserves.json; the manifest lists it so."),
        "The statement is about other bytes.",
        small(alter_files=lambda files: files.update({"reserves.json": files["reserves.json"] + b" "})),
        attack=3,
        fails=["subject"],
    ),
    bundle(
        *("subject-total-raised", "reserves.json, signed as it is, has a higher total than the statement."),
        "Any difference between the committed and the stated total is refused.",
        small(alter_reserves=_first_total(minor_units=120_411_308)),
        attack=3,
        fails=["subject"],
    ),
    bundle(
        *("subject-units-raised", "reserves.json has more token units than the statement."),
        "Any difference between the committed and the stated total is refused.",
        small(alter_reserves=_first_total(units=1_204_113_070_001)),
        attack=3,
        fails=["subject"],
    ),
    bundle(
        *("subject-accounts-raised", "reserves.json counts one account more than the statement."),
        "Any difference between what was committed and what is stated is refused.",
        small(alter_reserves=_first_total(accounts=2)),
        attack=3,
        fails=["subject"],
    ),
    bundle(
        *("subject-total-negative", "reserves.json has a negative total.", "No total is negative."),
        small(alter_reserves=_first_total(minor_units=-1)),
        attack=4,
        fails=["subject"],
    ),
    bundle(
        *("subject-of-another-root", "reserves.json has another Merkle root than the statement."),
        "There is one tree.",
        small(alter_reserves=lambda found: replace(found, merkle=replace(found.merkle, root="00" * 32))),
        attack=2,
        fails=["subject"],
    ),
    bundle(
        *("subject-of-another-size", "reserves.json has another tree size than the statement."),
        "The size is signed with the root.",
        small(alter_reserves=lambda found: replace(found, merkle=replace(found.merkle, size=2))),
        attack=7,
        fails=["subject"],
    ),
    bundle(
        *("subject-of-another-period", "reserves.json is of the week before.", "It was committed for another period."),
        small(alter_reserves=_reserves(period="2026-W46")),
        attack=15,
        fails=["subject", "period"],
    ),
    pair(
        *("subject-token-missing", "reserves.json lacks a token that the statement attests."),
        "What is attested was committed to before.",
        forge(alter_reserves=lambda found: replace(found, tokens=found.tokens[:1])),
        attack=9,
        fails=["subject"],
    ),
    pair(
        *("subject-totals-swapped", "In reserves.json the two tokens' totals changed places."),
        "Each token's total is its own.",
        forge(alter_reserves=_totals_swapped),
        attack=13,
        fails=["subject"],
    ),
)

_PERIOD: tuple[Case, ...] = (
    bundle(
        *("period-of-another-issuer", "The issuer is another one.", "The reader expects one issuer's statement."),
        small(alter_predicate=predicate(issuer="Another Issuer Ltd")),
        attack=21,
        fails=["period"],
    ),
    bundle(
        *("period-issuer-in-other-case", "The issuer's name is in capital letters.", "It is another name."),
        small(alter_predicate=predicate(issuer=bundles.ISSUER.upper())),
        attack=10,
        fails=["period"],
    ),
    bundle(
        *("period-issuer-with-homoglyph", "A letter of the issuer's name is Cyrillic, and looks the same."),
        "It is another name.",
        small(alter_predicate=predicate(issuer=bundles.ISSUER.replace("a", "\u0430", 1))),
        attack=10,
        fails=["period"],
    ),
    bundle(
        *("period-issuer-decomposed", "The issuer's name has its accents as characters of their own."),
        "Names are compared as they are, without normalisation.",
        small(alter_predicate=predicate(issuer="Socie\u0301te\u0301 Exemple")),
        attack=10,
        trust=replace(SMALL_TRUST, issuer="Soci\u00e9t\u00e9 Exemple"),
        fails=["period"],
    ),
    bundle(
        *("period-issuer-with-space", "A space stands behind the issuer's name.", "It is another name."),
        small(alter_predicate=predicate(issuer=bundles.ISSUER + " ")),
        attack=10,
        fails=["period"],
    ),
    bundle(
        *("period-replayed", "The bundle of week 47 says that it is of week 45.", "Its cutoff is not in that week."),
        small(alter_predicate=predicate(period="2026-W45")),
        attack=15,
        fails=["period"],
    ),
    bundle(
        *("period-before-the-earliest", "The period is before the earliest that the reader accepts."),
        "From before then nothing is believed.",
        small(),
        attack=15,
        trust=replace(SMALL_TRUST, earliest_period="2026-W48"),
        fails=["period"],
    ),
    bundle(
        *("period-the-earliest", "The period is the earliest that the reader accepts.", "The boundary is allowed."),
        small(),
        attack=15,
        trust=replace(SMALL_TRUST, earliest_period="2026-W47"),
        exit_code=0,
    ),
    bundle(
        *("period-in-the-future", "The cutoff is one second from now.", "Nothing can be attested before it is."),
        small(),
        attack=15,
        at=bundles.CUTOFF - timedelta(seconds=1),
        fails=["period"],
    ),
    bundle(
        *("period-in-the-future-of-a-rehearsal", "The clock was pinned by configuration, to a time still to come."),
        "Nothing can be attested before it is; a rehearsal cannot either.",
        small(alter_predicate=predicate(clock="pinned")),
        attack=15,
        at=bundles.CUTOFF - timedelta(seconds=1),
        fails=["period"],
    ),
    bundle(
        *("period-just-now", "The cutoff is now.", "The boundary is allowed."),
        small(),
        attack=15,
        at=bundles.CUTOFF,
        exit_code=0,
    ),
    bundle(
        *("period-cutoff-after-sunday-in-utc", "A cutoff on Sunday night of a western zone, Monday in UTC."),
        "A cutoff is local: up to a day outside of the week is accepted.",
        small(alter_predicate=cutoff(bundles.CUTOFF + timedelta(hours=11))),
        exit_code=0,
    ),
    *(
        bundle(
            f"period-cutoff-{name}",
            f"The cutoff is {moment(when)}.",
            "A cutoff is local: up to a day outside of the week is accepted, and no second more.",
            small(alter_predicate=cutoff(when)),
            attack=15,
            trust=replace(SMALL_TRUST, maximum_age_seconds=None),
            exit_code=6 if fails else 0,
            fails=fails,
        )
        for name, when, fails in (
            ("saturday-before", datetime(2026, 11, 14, 23, 59, 59, tzinfo=UTC), ["period"]),
            ("sunday-before", datetime(2026, 11, 15, 0, 0, 0, tzinfo=UTC), []),
            ("monday-after", datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC), []),
            ("tuesday-after", datetime(2026, 11, 24, 0, 0, 0, tzinfo=UTC), ["period"]),
            ("year-1", datetime(1, 1, 1, tzinfo=UTC), ["period"]),
            ("year-1999", datetime(1999, 1, 1, tzinfo=UTC), ["period"]),
            ("year-9999", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), ["period", "policy"]),
        )
    ),
    bundle(
        *("period-receipts-of-another-revision", "receipts.json is of revision 1.", "Parts of two attestations."),
        small(alter_receipts=lambda found: replace(found, revision=1)),
        attack=15,
        fails=["period"],
    ),
    bundle(
        *("freshness-at-the-limit", "The cutoff is exactly as long ago as is accepted.", "The boundary is allowed."),
        small(),
        attack=16,
        at=bundles.CUTOFF + timedelta(days=8),
        exit_code=0,
    ),
    bundle(
        *("freshness-stale", "The cutoff is one second longer ago than is accepted.", "It is stale."),
        small(),
        attack=16,
        at=bundles.CUTOFF + timedelta(days=8, seconds=1),
        fails=["freshness"],
    ),
    bundle(
        *("freshness-short-and-stale", "A shortfall, and stale.", "What is stale says nothing about now: 6, not 4."),
        small(tokens=(sufficient_token(supply=2 * 10**12, accounts=1),)),
        attack=16,
        at=bundles.CUTOFF + timedelta(days=30),
        fails=["freshness"],
    ),
    bundle(
        *("freshness-not-asked-for", "It is ten years old, and its reader gives no maximum age."),
        "Then the check is skipped, and said to be.",
        small(),
        attack=16,
        trust=replace(SMALL_TRUST, maximum_age_seconds=None),
        at=bundles.CUTOFF.replace(year=2036),
        exit_code=0,
    ),
)

_TOKENS: tuple[Case, ...] = (
    bundle(
        *("tokens-one-missing", "EURW is expected, and the statement does not speak of it."),
        "Leaving out a token that is short would hide it.",
        small(),
        attack=9,
        trust=TRUST,
        fails=["tokens"],
    ),
    pair(
        *("tokens-one-more", "The statement speaks of a token that is not expected."),
        "Its reader knows nothing to compare it with.",
        forge(tokens=(EURW, USDW, sufficient_token("XXXW", address=STRANGER, accounts=1))),
        attack=9,
        fails=["tokens"],
    ),
    bundle(
        *("tokens-name-in-other-case", "The token is called usdw.", "It is another name."),
        small(tokens=(sufficient_token("usdw", accounts=1),)),
        attack=10,
        fails=["tokens"],
    ),
    bundle(
        *("tokens-other-currency", "USDW is backed by GBP.", "Another currency, another value."),
        small(tokens=(sufficient_token(currency="GBP", accounts=1),)),
        attack=13,
        fails=["tokens"],
    ),
    bundle(
        *(
            "tokens-other-decimals",
            "USDW has 4 decimals instead of 6.",
            "A unit would be worth a hundred times as much.",
        ),
        small(tokens=(sufficient_token(decimals=4, supply=1, accounts=1),)),
        attack=12,
        fails=["tokens"],
    ),
    bundle(
        *("tokens-deployment-elsewhere", "USDW's supply was read from another contract."),
        "The deployment that is expected is missing.",
        small(tokens=(sufficient_token(address=STRANGER, accounts=1),)),
        attack=9,
        fails=["tokens"],
    ),
    bundle(
        *("tokens-deployment-missing", "USDW has two deployments, and the statement speaks of one."),
        "The supply of the other would be hidden.",
        small(),
        attack=9,
        trust=replace(
            SMALL_TRUST,
            tokens=(
                replace(
                    SMALL_TRUST.tokens[0],
                    deployments=(
                        *SMALL_TRUST.tokens[0].deployments,
                        replace(SMALL_TRUST.tokens[0].deployments[0], address="0x" + "f7" * 20),
                    ),
                ),
            ),
        ),
        fails=["tokens"],
    ),
    bundle(
        *("tokens-deployment-more", "The statement counts a deployment of USDW that is not expected."),
        "Its reader decides which contracts are the token.",
        small(alter_predicate=_another_deployment),
        attack=9,
        fails=["tokens"],
    ),
    bundle(
        *("tokens-deployment-other-decimals", "The deployment is said to have 7 decimals; it has 6."),
        "Its supply would count for a tenth.",
        small(
            alter_predicate=token(deployments=(DeploymentStatement(CHAIN, USDW_ADDRESS, 7, 12 * 10**12, 12 * 10**12),))
        ),
        attack=12,
        fails=["tokens"],
    ),
    bundle(
        *("tokens-address-in-capitals", "The deployment's address is written in capital letters."),
        "Upper and lower case are only a checksum: it is the same address.",
        small(tokens=(sufficient_token(address="0x" + "E1" * 20, accounts=1),)),
        attack=10,
        exit_code=0,
    ),
    bundle(
        *("tokens-chain-more", "The statement speaks of a chain that is not in the trust file."),
        "Its reader decides which chains count.",
        small(alter_predicate=_second_chain),
        fails=["tokens"],
    ),
    pair(
        *("tokens-deployments-swapped", "EURW and USDW each show the other's contract."),
        "Each token's supply is read from its own contract.",
        forge(
            tokens=(
                sufficient_token(
                    "EURW", "EUR", USDW_ADDRESS, decimals=2, minor_units=84_050_000, supply=84_000_000, accounts=1
                ),
                sufficient_token(address=EURW_ADDRESS),
            )
        ),
        attack=13,
        fails=["tokens"],
    ),
)

_RULE: tuple[Case, ...] = (
    bundle(
        *("policy-one-source", "Each account had one source; the reader asks for two.", _POLICY),
        small(alter_predicate=token(policy__min_sources=1, agreement__fewest_sources=1, agreement__sources_counted=1)),
        fails=["policy"],
    ),
    bundle(
        *("policy-one-source-would-do", "Two sources agreed, but the rule asked for one.", _POLICY),
        small(alter_predicate=token(policy__min_sources=1)),
        fails=["policy"],
    ),
    bundle(
        *("policy-one-origin", "Two feeds of one origin agreed.", _POLICY),
        small(alter_predicate=token(agreement__fewest_origins=1, policy__min_origins=1)),
        fails=["policy"],
    ),
    bundle(
        *("policy-tolerance", "The rule tolerates a difference of one minor unit; the reader none.", _POLICY),
        small(alter_predicate=token(policy__tolerance_abs=1)),
        fails=["policy"],
    ),
    bundle(
        *("policy-relative-tolerance", "The rule tolerates a difference of one basis point; the reader none.", _POLICY),
        small(alter_predicate=token(policy__tolerance_bps=1)),
        fails=["policy"],
    ),
    bundle(
        *("policy-old-balances", "The rule takes balances a second older than the reader accepts.", _POLICY),
        small(alter_predicate=token(policy__max_age_seconds=96 * 3600 + 1)),
        attack=16,
        fails=["policy"],
    ),
    bundle(
        *("policy-old-supply", "The supply was read four days and a second before the cutoff."),
        "The reader accepts no balance so old, nor a supply: it may have been lower then.",
        small(alter_predicate=_supply_read(4, 1)),
        attack=16,
        fails=["policy"],
    ),
    bundle(
        *("policy-supply-just-in-time", "The supply was read four days before the cutoff."),
        "The boundary is allowed.",
        small(alter_predicate=_supply_read(4)),
        attack=16,
        exit_code=0,
    ),
    bundle(
        *("policy-old-blocks", "The supply was read 300 days before the cutoff, at both blocks."),
        "A fresh signature over an old supply.",
        small(
            alter_predicate=lambda found: chain(confirm__timestamp=int(bundles.CUTOFF.timestamp()) - 300 * 86_400 + 1)(
                _supply_read(300)(found)
            )
        ),
        attack=16,
        fails=["policy"],
    ),
    bundle(
        *("policy-balances-of-any-age", "The rule takes balances 2^53 - 1 seconds old.", _POLICY),
        small(alter_predicate=token(policy__max_age_seconds=2**53 - 1)),
        attack=12,
        fails=["policy"],
    ),
    bundle(
        *("policy-dissent", "The rule allows one source to dissent; the reader none.", _POLICY),
        small(alter_predicate=token(policy__allow_dissent=1)),
        fails=["policy"],
    ),
    bundle(
        *("policy-waiver", "An account had one source, under a waiver that the reader does not allow.", _POLICY),
        small(
            alter_predicate=token(
                policy__min_sources=1,
                agreement__fewest_sources=1,
                agreement__sources_counted=1,
                agreement__waivers=(CodeCount("single-feed", 1),),
            )
        ),
        fails=["policy"],
    ),
    bundle(
        *("policy-waiver-allowed", "An account had one source, under a waiver that the reader allows."),
        "It is allowed, and counted.",
        small(
            alter_predicate=token(
                policy__min_sources=1,
                agreement__fewest_sources=1,
                agreement__sources_counted=1,
                agreement__waivers=(CodeCount("single-feed", 1),),
            )
        ),
        trust=replace(SMALL_TRUST, policy=replace(SMALL_TRUST.policy, waivers=("single-feed",))),
        exit_code=0,
    ),
    bundle(
        *("policy-waiver-hides-the-others", "50 accounts, 51 sources, one account is under a waiver that is allowed."),
        "The other 49 cannot have had two sources each.",
        small(tokens=(sufficient_token(accounts=50),), alter_predicate=_waived(51)),
        trust=_ALLOWING,
        fails=["policy"],
    ),
    bundle(
        *("policy-waiver-and-one-source-too-few", "The same with 98 sources."),
        "The other 49 cannot have had two sources each: that is one too few.",
        small(tokens=(sufficient_token(accounts=50),), alter_predicate=_waived(98)),
        attack=12,
        trust=_ALLOWING,
        fails=["policy"],
    ),
    bundle(
        *("policy-waiver-and-enough-sources", "The same with 99 sources."),
        "One for the account under the waiver, two for each of the others.",
        small(tokens=(sufficient_token(accounts=50),), alter_predicate=_waived(99)),
        attack=12,
        trust=_ALLOWING,
        exit_code=0,
    ),
    bundle(
        *("policy-two-waivers", "Two accounts are under one waiver each, and all are.", "Both are allowed."),
        small(
            tokens=(sufficient_token(accounts=2),),
            alter_predicate=token(
                policy__min_sources=1,
                agreement__fewest_sources=1,
                agreement__sources_counted=2,
                agreement__waivers=(CodeCount("single-custodian", 1), CodeCount("single-feed", 1)),
            ),
        ),
        trust=_ALLOWING,
        exit_code=0,
    ),
    bundle(
        *("policy-stricter", "The rule asks for more than the reader does.", "Stricter is accepted."),
        small(alter_predicate=token(policy__max_age_seconds=60 * 3600)),
        exit_code=0,
    ),
    bundle(
        *("consensus-of-another-oracle", "The consensus was read from another contract.", "It is not the oracle."),
        small(alter_predicate=token(consensus__oracle=STRANGER)),
        fails=["consensus"],
    ),
    bundle(
        *("consensus-quorum-not-met", "The oracle's quorum is not met, says the statement."),
        "Then there is no consensus.",
        small(alter_predicate=token(consensus__quorum_met=False)),
        fails=["consensus"],
    ),
    bundle(
        *("consensus-quorum-of-one", "The oracle asks for one report, the reader for two."),
        "One reporter would decide alone.",
        small(alter_predicate=token(consensus__required_quorum=1)),
        fails=["consensus"],
    ),
    bundle(
        *("consensus-without-own-report", "The issuer itself reported nothing.", "It should have."),
        small(alter_predicate=token(reports=())),
        fails=["consensus"],
    ),
)

_ANCHOR: tuple[Case, ...] = tuple(
    bundle(f"receipts-{name}", description, _RECEIPTS, small(alter_receipts=change), attack=attack, fails=["receipts"])
    for name, description, attack, change in (
        ("of-another-statement", "They are of another statement.", 15, lambda r: replace(r, statement="00" * 32)),
        ("of-another-transaction", "They list another report.", None, receipt(0, transaction="00" * 32)),
        ("without-a-report", "They lack a report.", 9, lambda r: replace(r, receipts=r.receipts[1:])),
        (
            "with-a-report-twice",
            "They list a report twice.",
            17,
            lambda r: replace(r, receipts=(r.receipts[0], *r.receipts)),
        ),
        ("of-another-token", "They list a report of another token.", 13, receipt(0, token="EURW")),
        ("to-another-contract", "A report went to another contract.", None, receipt(0, to=REGISTRY)),
        ("by-another-reporter", "A report is of another reporter.", 21, receipt(0, sender=STRANGER)),
        ("anchored-on-another-chain", "The anchor is on another chain.", 15, anchor(chain_id=1)),
        ("anchored-elsewhere", "The anchor is in another contract.", 14, anchor(registry=ORACLE)),
        ("anchored-by-a-stranger", "The anchor is of another publisher.", 21, anchor(publisher=STRANGER)),
        ("anchoring-by-a-stranger", "A stranger sent the anchor.", 21, receipt(-1, sender=STRANGER)),
        ("anchoring-elsewhere", "The anchoring transaction went elsewhere.", 14, receipt(-1, to=ORACLE)),
        ("anchoring-on-another-chain", "It was sent on another chain.", None, receipt(-1, chain_id=1)),
        ("anchoring-of-a-token", "It is listed with a token.", None, receipt(-1, token="USDW")),
        ("anchoring-later", "The anchor was read before it was sent.", 15, receipt(-1, block_number=121)),
        ("anchoring-missing", "No transaction anchored it.", 11, _no_anchoring),
        ("anchoring-twice", "Two transactions anchored it.", 17, _anchored_twice),
        ("anchored-another-statement", "The registry has another statement.", 15, anchor(statement="00" * 32)),
        ("anchored-another-root", "The registry has another Merkle root.", 2, anchor(root="00" * 32)),
        ("anchored-another-size", "The registry has another tree size.", 7, anchor(size=9)),
        ("anchored-another-log-root", "The registry has another log root.", 20, anchor(log_root="00" * 32)),
        ("anchored-another-log-size", "The registry has another log size.", 20, anchor(log_size=9)),
    )
)

_DEMANDS: tuple[Case, ...] = tuple(
    bundle(
        f"demands-{demand}",
        f"The reader demands {what}, and it is not at hand.",
        "A demanded check that is skipped is no success.",
        small(),
        attack=attack,
        trust=replace(SMALL_TRUST, demands=(demand,)),
        unmet=[demand],
    )
    for demand, what, attack in (
        ("chain", "a check against the chain", 11),
        ("leaves", "a check against all leaves", 11),
        ("evidence", "that the quorum is decided again", 11),
        ("consistency", "a check against an earlier checkpoint", 20),
        ("history", "that no period is missing", 15),
        ("timestamp", "a time stamp", 16),
    )
)

_TRUSTED: tuple[Case, ...] = (
    bundle(
        *("demands-witnesses", "The reader demands witnesses, and names none.", "Then none can have cosigned."),
        small(),
        attack=11,
        trust=replace(
            SMALL_TRUST,
            demands=("witnesses", "independent"),
            witnesses=replace(SMALL_TRUST.witnesses, threshold=0, vkeys=()),
        ),
        unmet=["witnesses", "independent"],
    ),
    bundle(
        *("trusted-nobody-independent", "No witness is named, and nothing independent demanded."),
        "In order; that only the issuer remembers the log is said.",
        small(),
        attack=20,
        trust=replace(SMALL_TRUST, witnesses=replace(SMALL_TRUST.witnesses, threshold=0, vkeys=())),
        exit_code=0,
    ),
    bundle(
        *("trusted-publisher-later", "The publisher is trusted from the week after on.", _RECEIPTS),
        small(),
        attack=21,
        trust=replace(SMALL_TRUST, publishers=(replace(SMALL_TRUST.publishers[0], valid_from="2026-W48"),)),
        fails=["receipts"],
    ),
    bundle(
        *("trusted-publisher-no-longer", "The publisher was trusted until the week before.", _RECEIPTS),
        small(),
        attack=21,
        trust=replace(SMALL_TRUST, publishers=(replace(SMALL_TRUST.publishers[0], valid_until="2026-W46"),)),
        fails=["receipts"],
    ),
)

CASES: tuple[Case, ...] = (*_SUBJECT, *_PERIOD, *_TOKENS, *_RULE, *_ANCHOR, *_DEMANDS, *_TRUSTED)
