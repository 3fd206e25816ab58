"""The signed statement: made from a run's decisions, and read back with every relation inside it recomputed.

The payload is serialised once, by :func:`build`; those bytes are what is signed, logged and digested. :func:`read` does
not believe a derived figure: a verdict, surplus, ratio or sum that does not follow from the others is refused, whoever
signed it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar, get_args

from attest import money
from attest.documents import (
    PAYLOAD_TYPE,
    Agreement,
    ChainBlocks,
    CodeCount,
    ConsensusStatement,
    DeploymentStatement,
    Digests,
    PolicyInForce,
    Predicate,
    ReportTransaction,
    Statement,
    Subject,
    TokenState,
    TokenStatement,
    WithheldCode,
)
from attest.errors import AttestError, ConflictError, VerificationError
from attest.merkle.proof import EMPTY_ROOT
from attest.period import Period
from attest.records import digest, from_json, to_json
from attest.signing import dsse

if TYPE_CHECKING:
    from attest.model import (
        AccountPolicy,
        AccountVerdict,
        DeploymentSupply,
        Supply,
        TokenConsensus,
        TokenReserve,
    )

T = TypeVar("T", int, str, tuple[int, str])

RESERVES_NAME = "reserves.json"
#: The longest DER form of a secp256k1 signature with a low s.
_SIGNATURE_BYTES = 71
_MAX_DECIMALS = 36
_MAX_EXPONENT = 4
_MAX_TEXT = 200

_WITHHELD = get_args(WithheldCode)

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)

# -- making ----------------------------------------------------------------------------------------------------------


def token_statement(
    *,
    token: str,
    currency: str,
    exponent: int,
    decimals: int,
    supply: Supply,
    confirm_supply: Supply,
    reserve: TokenReserve | None = None,
    consensus: TokenConsensus | None = None,
    oracle: str = "",
    verdicts: Sequence[AccountVerdict] = (),
    policies: Sequence[AccountPolicy] = (),
    reports: Sequence[ReportTransaction] = (),
    withheld_code: str | None = None,
) -> TokenStatement:
    """One token's answer, at the supply block (``supply``) and the confirm block (``confirm_supply``).

    ``verdicts`` and ``policies`` are those of this token's accounts. With a ``withheld_code`` nothing but the supply is
    stated. Raises :class:`ConflictError` when the two supplies are of other deployments, and ``ValueError`` when a
    token that is not withheld lacks its reserve, consensus, verdicts or policies.
    """
    deployments = _deployments(token, supply, confirm_supply)
    supply_units, confirm_units = supply.units(token, decimals), confirm_supply.units(token, decimals)
    if withheld_code is not None:
        return TokenStatement(
            token=token,
            currency=currency,
            exponent=exponent,
            decimals=decimals,
            verdict="withheld",
            supply_units=supply_units,
            confirm_supply_units=confirm_units,
            deployments=deployments,
            withheld_code=withheld_code,
        )
    if reserve is None or consensus is None or not verdicts or not policies:
        raise ValueError(f"{token}: a reserve needs its consensus, verdicts and policies")
    held, highest = min(reserve.units, consensus.units), max(supply_units, confirm_units)
    return TokenStatement(
        token=token,
        currency=currency,
        exponent=exponent,
        decimals=decimals,
        verdict=_verdict(held, highest),
        supply_units=supply_units,
        confirm_supply_units=confirm_units,
        deployments=deployments,
        reserve_minor_units=reserve.minor_units,
        reserve_units=reserve.units,
        remainder_minor_units=reserve.remainder_minor_units,
        surplus_units=held - highest,
        ratio_percent=money.ratio_percent(held, highest),
        oldest_as_of=reserve.oldest_as_of,
        agreement=agreement_of(verdicts),
        policy=weakest(policies),
        reports=tuple(reports),
        consensus=ConsensusStatement(
            oracle, consensus.units, consensus.quorum_met, consensus.required_quorum, len(consensus.reports)
        ),
    )


def _verdict(held: int, supply: int) -> TokenState:
    return "sufficient" if held >= supply else "short"


def _deployments(token: str, supply: Supply, confirm: Supply) -> tuple[DeploymentStatement, ...]:
    def found(of: Supply) -> dict[tuple[int, str], DeploymentSupply]:
        return {(d.chain_id, d.address.lower()): d for d in of.deployments if d.token == token}

    first, second = found(supply), found(confirm)
    if first.keys() != second.keys():
        raise ConflictError(
            f"{token}: the supply block and the confirm block were read for different deployments",
            code="artifact-conflict",
            reason="Both supplies must cover every deployment, or a liability could go unseen.",
            advice="Compare the stored artifacts of steps open and confirm with attest.toml.",
        )
    return tuple(
        DeploymentStatement(d.chain_id, d.address, d.decimals, d.units, second[key].units)
        for key, d in sorted(first.items())
    )


def agreement_of(verdicts: Sequence[AccountVerdict]) -> Agreement:
    """How a token's accounts (at least one) were agreed, as counts."""
    counted = [sum(source.counted for source in verdict.considered) for verdict in verdicts]
    waivers = Counter(verdict.waiver for verdict in verdicts if verdict.waiver is not None)
    return Agreement(
        accounts=len(verdicts),
        sources_counted=sum(counted),
        fewest_sources=min(counted),
        fewest_origins=min(verdict.origins for verdict in verdicts),
        dissent=sum(verdict.dissent for verdict in verdicts),
        waivers=tuple(CodeCount(code, count) for code, count in sorted(waivers.items())),
    )


def weakest(policies: Sequence[AccountPolicy]) -> PolicyInForce:
    """The weakest rule that any of a token's accounts (at least one) was decided by."""
    return PolicyInForce(
        min_sources=min(policy.min_sources for policy in policies),
        min_origins=min(policy.min_origins for policy in policies),
        tolerance_abs=max(policy.tolerance_abs for policy in policies),
        tolerance_bps=max(policy.tolerance_bps for policy in policies),
        max_age_seconds=max(policy.max_age_seconds for policy in policies),
        allow_dissent=max(policy.allow_dissent for policy in policies),
    )


def build(predicate: Predicate, reserves: bytes, *, signatures: int = 1, spare: int = 0) -> bytes:
    """The payload to be signed: an in-toto Statement about ``reserves`` (the exact bytes of ``reserves.json``).

    Raises :class:`VerificationError` when the predicate contradicts itself (see :func:`read`), and
    :class:`ConflictError` when the envelope with so many ``signatures`` and ``spare`` bytes more of payload would be
    larger than a log entry.
    """
    payload = to_json(
        Statement(
            _type="https://in-toto.io/Statement/v1",
            subject=(Subject(RESERVES_NAME, Digests(digest(reserves))),),
            predicateType="urn:reserve-attest:predicate:reserves:v1",
            predicate=predicate,
        )
    )
    read(payload)
    stand_ins = [(f"{number:064x}", bytes(_SIGNATURE_BYTES)) for number in range(signatures)]
    dsse.assemble_envelope(PAYLOAD_TYPE, payload + bytes(spare), stand_ins)
    return payload


@dataclass(frozen=True)
class Attested:
    """What a token that is not withheld states, with nothing optional about it (see :class:`TokenStatement`)."""

    minor_units: int
    units: int
    remainder_minor_units: int
    surplus_units: int
    oldest_as_of: datetime
    agreement: Agreement
    policy: PolicyInForce
    consensus: ConsensusStatement

    @property
    def held(self) -> int:
        """The lower of our reserve and the chain's consensus, in token units: what the verdict counts."""
        return min(self.units, self.consensus.units)


def attested(token: TokenStatement) -> Attested | None:
    """The token's reserve and what it rests on; None if it is withheld."""
    if (
        token.reserve_minor_units is None
        or token.reserve_units is None
        or token.remainder_minor_units is None
        or token.surplus_units is None
        or token.oldest_as_of is None
        or token.agreement is None
        or token.policy is None
        or token.consensus is None
    ):
        return None
    return Attested(
        token.reserve_minor_units,
        token.reserve_units,
        token.remainder_minor_units,
        token.surplus_units,
        token.oldest_as_of,
        token.agreement,
        token.policy,
        token.consensus,
    )


def issued(token: TokenStatement) -> int:
    """The higher of both supplies, in token units: what the verdict counts."""
    return max(token.supply_units, token.confirm_supply_units)


# -- reading ---------------------------------------------------------------------------------------------------------


def read(payload: bytes, where: str = "the statement") -> Statement:
    """Read a payload strictly. Raises :class:`VerificationError` naming the token and field when it is malformed or
    any figure does not follow from the others."""
    statement = from_json(Statement, payload, where)
    if [subject.name for subject in statement.subject] != [RESERVES_NAME]:
        raise _refuse(where, f"the subject must be {RESERVES_NAME} and nothing else")
    _Reading(where, statement.predicate).check()
    return statement


class _Reading:
    """The relations inside one predicate; each method refuses with the place that is wrong."""

    def __init__(self, where: str, predicate: Predicate) -> None:
        self.where = where
        self.predicate = predicate

    def require(self, condition: bool, place: str, detail: str) -> None:
        if not condition:
            raise _refuse(self.where, f"{place} {detail}")

    def check(self) -> None:
        predicate = self.predicate
        self.require(0 < len(predicate.issuer) <= _MAX_TEXT, "issuer", f"must have 1 to {_MAX_TEXT} characters")
        self.require(0 < len(predicate.software) <= _MAX_TEXT, "software", f"must have 1 to {_MAX_TEXT} characters")
        try:
            Period.parse(predicate.period)
        except AttestError as fault:
            raise _refuse(self.where, fault.message) from None
        self.require(predicate.revision >= 0, "revision", "must not be negative")
        attempts = [attempt.attempt for attempt in predicate.abandoned]
        self.require(
            predicate.attempt == len(attempts) + 1 and attempts == list(range(1, len(attempts) + 1)),
            "abandoned",
            f"must list the attempts before attempt {predicate.attempt}, each once and in order",
        )
        self.require(all(a.reason.strip() for a in predicate.abandoned), "abandoned", "has an attempt without a reason")
        self._supersedes()
        self._sorted_unique("chains", [chain.chain_id for chain in predicate.chains], "chain ids")
        for chain in predicate.chains:
            self._chain(chain)
        self._sorted_unique("tokens", [token.token for token in predicate.tokens], "tokens")
        self.require(bool(predicate.tokens), "tokens", "is empty: the statement says nothing")
        for token in predicate.tokens:
            self._token(token)
        deployments = [(d.chain_id, d.address.lower()) for token in predicate.tokens for d in token.deployments]
        self.require(len(set(deployments)) == len(deployments), "tokens", "list one deployment under two tokens")
        self._merkle()

    def _supersedes(self) -> None:
        revision, replaced = self.predicate.revision, self.predicate.supersedes
        self.require(
            (revision > 0) == (replaced is not None), "supersedes", f"does not fit revision {revision}: 0 replaces none"
        )
        revoked = [token.withheld_code == "revoked" for token in self.predicate.tokens]
        if replaced is not None:
            self.require(bool(replaced.reason.strip()), "supersedes", "gives no reason")
        if replaced is not None and replaced.kind == "revocation":
            self.require(all(revoked), "supersedes", "is a revocation, so every token must be withheld as revoked")
        else:
            self.require(not any(revoked), "tokens", "are withheld as revoked, but the statement is no revocation")

    def _sorted_unique(self, place: str, values: Sequence[T], what: str) -> None:
        ascending = sorted(set(values))
        self.require(list(values) == ascending, place, f"must be in ascending order of {what}, each once")

    def _chain(self, chain: ChainBlocks) -> None:
        place, predicate = f"chain {chain.chain_id}:", self.predicate
        supply, confirm = chain.supply, chain.confirm
        self.require(chain.chain_id >= 1, place, "the chain id must be positive")
        self.require(supply.chain_id == confirm.chain_id == chain.chain_id, place, "a block is of another chain")
        self.require(0 <= supply.number <= confirm.number, place, "the confirm block lies before the supply block")
        self.require(0 <= supply.timestamp <= confirm.timestamp, place, "the confirm block is older than the supply's")
        self.require(
            (supply.number == confirm.number) == (supply.hash == confirm.hash), place, "one block has two hashes"
        )
        gap = int(predicate.cutoff.timestamp()) - supply.timestamp
        self.require(chain.supply_gap_seconds == gap, place, f"supply_gap_seconds must be {gap}")
        self.require(predicate.supply_at == "run" or gap >= 0, place, "the supply block lies after the cutoff")

    def _token(self, token: TokenStatement) -> None:
        place = f"token {token.token[:64]!r}:"
        self.require(bool(_SYMBOL.fullmatch(token.token)), place, "is not a plain token name")
        self.require(bool(_CURRENCY.fullmatch(token.currency)), place, "currency is not an ISO-4217 code")
        self.require(0 <= token.exponent <= _MAX_EXPONENT, place, f"exponent must be 0 to {_MAX_EXPONENT}")
        self.require(0 <= token.decimals <= _MAX_DECIMALS, place, f"decimals must be 0 to {_MAX_DECIMALS}")
        self._supplies(token, place)
        stated = attested(token)
        if token.verdict == "withheld":
            bare = replace(
                token,
                verdict="withheld",
                reserve_minor_units=None,
                reserve_units=None,
                remainder_minor_units=None,
                surplus_units=None,
                ratio_percent=None,
                oldest_as_of=None,
                agreement=None,
                policy=None,
                reports=(),
                consensus=None,
            )
            self.require(token == bare, place, "is withheld, so it can carry no reserve and nothing derived from one")
            self.require(token.withheld_code is not None, place, "withheld_code is missing: a withheld token says why")
            self.require(
                token.withheld_code in _WITHHELD, place, f"withheld_code must be one of {', '.join(_WITHHELD)}"
            )
            return
        self.require(token.withheld_code is None, place, f"withheld_code contradicts the verdict {token.verdict}")
        if stated is None:
            raise _refuse(self.where, f"{place} lacks a field that the verdict {token.verdict} needs")
        self._reserve(token, stated, place)
        self._agreement(stated, place)
        self._on_chain(token, stated.consensus, place)

    def _supplies(self, token: TokenStatement, place: str) -> None:
        self._amounts(place, supply_units=token.supply_units, confirm_supply_units=token.confirm_supply_units)
        self.require(bool(token.deployments), place, "deployments is empty: there is no supply to compare with")
        self._sorted_unique(
            f"{place} deployments", [(d.chain_id, d.address.lower()) for d in token.deployments], "chain and address"
        )
        chains = {chain.chain_id for chain in self.predicate.chains}
        for deployment in token.deployments:
            self._address(f"{place} deployments", deployment.address)
            self.require(deployment.chain_id in chains, place, f"chain {deployment.chain_id} is not among the chains")
            self.require(0 <= deployment.decimals <= _MAX_DECIMALS, place, f"decimals must be 0 to {_MAX_DECIMALS}")
            self._amounts(
                f"{place} deployment {deployment.address}",
                supply_units=deployment.supply_units,
                confirm_supply_units=deployment.confirm_supply_units,
            )
        for field, stated, units in (
            ("supply_units", token.supply_units, [d.supply_units for d in token.deployments]),
            ("confirm_supply_units", token.confirm_supply_units, [d.confirm_supply_units for d in token.deployments]),
        ):
            total = _summed(token, units)
            self.require(stated == total, place, f"{field} is {stated}, but its deployments sum to {total}")

    def _reserve(self, token: TokenStatement, stated: Attested, place: str) -> None:
        self._amounts(place, reserve_minor_units=stated.minor_units, reserve_units=stated.units)
        try:
            scaled = money.to_token_units(stated.minor_units, token.exponent, token.decimals, place)
        except AttestError as fault:
            raise _refuse(self.where, fault.message) from None
        self.require(stated.units == scaled.units, place, f"reserve_units must be {scaled.units} (scaled)")
        self.require(
            stated.remainder_minor_units == scaled.remainder_minor_units,
            place,
            f"remainder_minor_units must be {scaled.remainder_minor_units}",
        )
        held, supply = stated.held, issued(token)
        verdict = _verdict(held, supply)
        self.require(
            token.verdict == verdict, place, f"verdict says {token.verdict}, but {held} against {supply} is {verdict}"
        )
        self.require(stated.surplus_units == held - supply, place, f"surplus_units must be {held - supply}")
        ratio = money.ratio_percent(held, supply)
        self.require(token.ratio_percent == ratio, place, f"ratio_percent must be {ratio}")

    def _agreement(self, stated: Attested, place: str) -> None:
        agreement, policy = stated.agreement, stated.policy
        numbers = [policy.min_sources, policy.min_origins, agreement.accounts]
        self.require(
            min(*numbers, agreement.fewest_sources, agreement.fewest_origins) >= 1,
            place,
            "agreement and policy count accounts, sources and origins from 1",
        )
        self.require(
            min(policy.tolerance_abs, policy.tolerance_bps, policy.max_age_seconds, policy.allow_dissent) >= 0,
            place,
            "policy has a negative limit",
        )
        self._amounts(place, tolerance_abs=policy.tolerance_abs)
        self.require(
            agreement.sources_counted >= agreement.accounts * agreement.fewest_sources,
            place,
            "agreement counts fewer sources than its accounts have at the least",
        )
        self.require(
            0 <= agreement.dissent <= agreement.accounts * policy.allow_dissent,
            place,
            "agreement has more dissent than the policy allows",
        )
        self.require(
            agreement.fewest_sources + policy.allow_dissent >= policy.min_sources,
            place,
            "agreement has fewer sources than the policy in force demands",
        )
        self._sorted_unique(f"{place} waivers", [waiver.code for waiver in agreement.waivers], "codes")
        self.require(
            all(waiver.count >= 1 for waiver in agreement.waivers) and agreement.waived <= agreement.accounts,
            place,
            "waivers must count from 1, and all of them at most the number of accounts",
        )
        age = int((self.predicate.cutoff - stated.oldest_as_of).total_seconds())
        self.require(age >= 0, place, "oldest_as_of lies after the cutoff")
        self.require(
            age <= policy.max_age_seconds,
            place,
            f"oldest_as_of is {age} seconds before the cutoff; the policy in force allows {policy.max_age_seconds}",
        )

    def _on_chain(self, token: TokenStatement, consensus: ConsensusStatement, place: str) -> None:
        self._address(f"{place} oracle", consensus.oracle)
        self._amounts(f"{place} consensus", units=consensus.units)
        self.require(consensus.required_quorum >= 1, place, "required_quorum must be at least 1")
        self.require(
            consensus.reports >= (consensus.required_quorum if consensus.quorum_met else 0),
            place,
            f"the quorum cannot be met by {consensus.reports} of {consensus.required_quorum} reports",
        )
        confirm = {chain.chain_id: chain.confirm.number for chain in self.predicate.chains}
        for report in token.reports:
            self._address(f"{place} reporter", report.reporter)
            self.require(report.chain_id in confirm, place, f"chain {report.chain_id} is not among the chains")
            self.require(
                0 <= report.block_number <= confirm[report.chain_id], place, "a report lies after the confirm block"
            )
        for what, values in (
            ("reporter", [report.reporter.lower() for report in token.reports]),
            ("transaction", [report.transaction for report in token.reports]),
        ):
            self.require(len(set(values)) == len(values), place, f"reports list one {what} twice")

    def _merkle(self) -> None:
        merkle = self.predicate.merkle
        accounts = sum(token.agreement.accounts for token in self.predicate.tokens if token.agreement is not None)
        self.require(
            merkle.size == accounts, "merkle", f"size is {merkle.size}, but the tokens have {accounts} accounts"
        )
        empty = merkle.root == EMPTY_ROOT.hex()
        self.require(empty == (merkle.size == 0), "merkle", "root and size contradict each other")

    def _amounts(self, place: str, **amounts: int) -> None:
        for field, amount in amounts.items():
            self.require(0 <= amount <= money.UINT256_MAX, place, f"{field} does not fit uint256")

    def _address(self, place: str, address: str) -> None:
        self.require(bool(_ADDRESS.fullmatch(address)), place, f"{address[:64]!r} is not an address")


def _summed(token: TokenStatement, units: Iterable[int]) -> int:
    return money.sum_units(zip(units, (d.decimals for d in token.deployments), strict=True), token.decimals)


def _refuse(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="statement-inconsistent",
        reason="Each figure of a statement must follow from the others, or a reader could be shown the wrong one.",
        advice="Do not rely on this statement, even if its signature is good; tell the issuer and keep the file.",
    )


# -- in words --------------------------------------------------------------------------------------------------------

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment(instant: datetime) -> str:
    """An aware instant to the minute, with weekday and zone: ``Sun 22 Nov 2026 23:59 UTC``."""
    at = instant.astimezone(UTC)
    return f"{_WEEKDAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M} UTC"


def sentence(token: TokenStatement, cutoff: datetime, *, witnesses: int | None = 0, stale: bool = False) -> str:
    """The answer in one sentence: is the money there, as of when, and who can check it?

    A supply with more decimals than its reserve is shown rounded up, so that a shown surplus is never larger than the
    true one. ``witnesses``: how many are known to have cosigned; None where nobody asked, and nothing is said of it.
    """
    supply, stated = f"{_shown(issued(token), token)} issued", attested(token)
    as_of = f"as of {moment(cutoff)}{', which is stale' if stale else ''}"
    witnessed = None if witnesses is None else f"cosigned by {_counted(witnesses, 'witness', 'es')}"
    if stated is None:
        text = f"{token.token}: reserve withheld ({token.withheld_code}) against {supply}, {as_of}."
        return text if witnessed is None else f"{text} C{witnessed[1:]}."
    consensus = stated.consensus
    held = money.group(money.Currency(token.currency, token.exponent).format(stated.minor_units))
    text = f"{token.token}: {held} {token.currency} held"
    if consensus.units < stated.units:
        text += f" (but only {_exact(consensus.units, token)} by the reports on chain, which counts)"
    text += f" against {supply}"
    if token.ratio_percent is not None:
        text += f" ({token.ratio_percent} %)"
    if token.verdict == "short":
        text += f", short by {_exact(-stated.surplus_units, token)}"
    text += (
        f", {as_of}. A{agreed(stated.agreement)[1:]}, "
        f"reported on chain by {consensus.reports} ({consensus.required_quorum} needed)"
    )
    text += "." if witnessed is None else f", {witnessed}."
    if stated.oldest_as_of < cutoff:
        text += f" Oldest balance: {moment(stated.oldest_as_of)}."
    return text


def agreed(agreement: Agreement) -> str:
    """``agreed by 2 sources or more on each of 3 accounts``."""
    text = f"agreed by {_counted(agreement.fewest_sources, 'source')}"
    if agreement.accounts == 1:
        return text
    more = " or more" if agreement.sources_counted > agreement.accounts * agreement.fewest_sources else ""
    return f"{text}{more} on each of {agreement.accounts} accounts"


def _shown(units: int, token: TokenStatement) -> str:
    places = min(token.decimals, max(2, token.exponent))
    rounded = -(-units // 10 ** (token.decimals - places))
    text = money.Currency("", places).format(rounded)
    whole, _, fraction = text.partition(".")
    return f"{money.group(text if fraction.strip('0') else whole)} {token.token}"


def _exact(units: int, token: TokenStatement) -> str:
    return f"{money.group(money.format_units(units, token.decimals))} {token.token}"


def _counted(count: int, noun: str, ending: str = "s") -> str:
    return f"no {noun}" if count == 0 else f"{count} {noun}{'' if count == 1 else ending}"
