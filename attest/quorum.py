"""Do the sources agree? A pure rule over what they said: no clock, no I/O, nothing but its arguments.

Rules are numbered as in the custody design ("Quorum: exact semantics"). The codes are stable:

========================  ==========================================================================================
of an account             ``agreed``, ``agreed-with-dissent`` (accepted); ``change-limit`` (held);
                          ``too-few-sources``, ``too-few-origins``, ``issuer-hosted-only``, ``waiver-missing`` (refused
                          for lack of valid observations or by the rule itself); ``ownership-unproven`` (refused for
                          lack of a proof by the holder's key);
                          ``disagreement``, ``overdraft``, ``double-counted`` (refused in spite of them)
of a source, counted      ``agrees``
of a source, not counted  ``dissents``, ``valid`` (nothing was decided); ``failed``, ``missing``, ``duplicate-source``,
                          ``wrong-account``, ``wrong-currency``, ``wrong-balance-kind``, ``future``, ``stale``,
                          ``old-business-date``, ``after-retrieval``, ``same-document`` (as another source: one document
                          is one witness, whatever its copies are called and however they are packed)
of one that corroborates  ``corroborates``, ``contradicts`` (the attested value, within the account's tolerance or not),
                          ``not-compared`` (there is no such value), or why it says nothing valid, as above
========================  ==========================================================================================
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from attest.errors import ConflictError
from attest.model import (
    AccountPolicy,
    AccountVerdict,
    Considered,
    Decision,
    Observation,
    SourceFailure,
    SourcePolicy,
    Verdict,
)
from attest.money import Currency, currency, group

#: The code of an account that nobody has proven to be the issuer's.
UNPROVEN = "ownership-unproven"
_LACKING = {"too-few-sources", "too-few-origins", "issuer-hosted-only", UNPROVEN}

#: code of an account's verdict -> the number of the rule that decided, and the rule in words (the custody design,
#: "Quorum: exact semantics").
RULES: Mapping[str, tuple[int, str]] = {
    "agreed": (6, "The valid sources agree within the tolerance; the lowest of what they state is attested."),
    "agreed-with-dissent": (
        7,
        "More than half of the valid sources agree, the lowest among them, and no more dissent than is allowed; the "
        "lowest is attested and the dissent published as a count.",
    ),
    "change-limit": (
        9,
        "The sources agree, but the change against the last attested period is beyond its limit: a person must "
        "acknowledge it.",
    ),
    "too-few-sources": (4, "Fewer sources gave a valid balance than the rule needs."),
    "too-few-origins": (4, "The valid balances were born in fewer places than the rule needs."),
    "issuer-hosted-only": (4, "At least one valid source must be hosted by somebody else than the issuer."),
    "waiver-missing": (4, "A single source or origin needs a waiver with a coded reason."),
    "disagreement": (
        5,
        "What the valid sources state differs by more than the tolerance. Of two none is dropped; of more, only as "
        "many as the rule allows, and never the lowest.",
    ),
    "overdraft": (5, "A source states a debit balance; an overdrawn account backs nothing."),
    "double-counted": (10, "The same external account is reached by two configured accounts."),
    UNPROVEN: (11, "The key of a key-proven account must sign this period's challenge."),
}


@dataclass(frozen=True)
class TokenOutcome:
    """Rule 8 for one token: ``accepted`` only if every account of it is. ``accounts`` are the ones that decided it:
    all that are refused, else all that are held, else all."""

    token: str
    outcome: Literal["accepted", "held", "refused"]
    code: str
    detail: str
    accounts: tuple[str, ...]


def account_key(external_account: str) -> str:
    """What makes two spellings of an IBAN or account number the same account: white space and case do not count."""
    return "".join(external_account.split()).casefold()


def decide(
    observations: Iterable[Observation],
    failures: Iterable[SourceFailure],
    policies: Sequence[AccountPolicy],
    cutoff: datetime,
    previous: Mapping[str, int],
    proofs: Mapping[str, str] | None = None,
    *,
    unit_of: Callable[[str], Currency] = currency,
) -> Verdict:
    """The verdict on every account, in the order of ``policies``; the order of observations and failures is of no
    account.

    ``cutoff`` is aware; ``previous`` maps accounts to the minor units of the last attested period, ``proofs``
    key-proven accounts to the digests of this period's proofs of ownership. ``unit_of`` gives a currency by its code,
    for the words only. Raises :class:`ConflictError` (``unknown-source``) for an observation or failure of a source
    that no policy names.
    """
    said: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    failed: dict[tuple[str, str], list[SourceFailure]] = defaultdict(list)
    for observation in observations:
        said[observation.account, observation.source].append(observation)
    for failure in failures:
        failed[failure.account, failure.source].append(failure)
    unknown = {*said, *failed} - {(policy.account, source.source) for policy in policies for source in policy.sources}
    if unknown:
        account, source = min(unknown)
        raise ConflictError(
            f"account {account}: there is an observation of source {source}, which the quorum rules do not name",
            code="unknown-source",
            reason="A number from a source that nobody configured must not decide anything.",
            advice="Find out how it came there; if the configuration changed, begin again with `attest abandon`.",
        )
    twice = _reached_twice(policies, said)
    verdicts = (
        _Account(policy, cutoff, said, failed, unit_of).verdict(twice.get(policy.account), previous.get(policy.account))
        for policy in policies
    )
    return Verdict(
        tuple(_owned(policy, verdict, proofs or {}) for policy, verdict in zip(policies, verdicts, strict=True))
    )


def decide_again(decision: Decision, *, unit_of: Callable[[str], Currency] = currency) -> Verdict:
    """The verdict on all that an auditor was given of a decision; raises as :func:`decide`."""
    return decide(
        decision.observations,
        decision.failures,
        decision.policies,
        decision.cutoff,
        decision.previous,
        decision.ownership,
        unit_of=unit_of,
    )


def _owned(policy: AccountPolicy, verdict: AccountVerdict, proofs: Mapping[str, str]) -> AccountVerdict:
    """Rule 11: a key-proven account is refused without a proof, and names it among its evidence otherwise.

    An account that is refused already keeps its code and says both: what was validly said and disagrees must not be
    asked for again because a signature is missing.
    """
    if policy.ownership != "key-proven":
        return verdict
    proof = proofs.get(policy.account)
    if proof is not None:
        if verdict.outcome == "refused":
            return verdict
        return replace(verdict, evidence=tuple(sorted({*verdict.evidence, proof})))
    detail = f"nobody has proven for this period that {policy.external_account} is the issuer's"
    if verdict.outcome == "refused":
        return replace(verdict, detail=f"{verdict.detail}; and {detail}")
    return replace(verdict, outcome="refused", code=UNPROVEN, detail=detail, minor_units=None, as_of=None, evidence=())


def token_outcome(verdict: Verdict, token: str) -> TokenOutcome:
    """Rule 8: every account passes, or the token is withheld. A token without accounts is refused (``no-accounts``)."""
    accounts = [account for account in verdict.accounts if account.token == token]
    if not accounts:
        return TokenOutcome(token, "refused", "no-accounts", f"no account backs {token}", ())
    outcomes: tuple[Literal["refused", "held", "accepted"], ...] = ("refused", "held", "accepted")
    for outcome in outcomes[:2]:
        deciding = [account for account in accounts if account.outcome == outcome]
        if deciding:
            codes = {account.code for account in deciding}
            return TokenOutcome(
                token,
                outcome,
                codes.pop() if len(codes) == 1 else "several",
                "; ".join(f"account {account.account}: {account.detail}" for account in deciding),
                tuple(account.account for account in deciding),
            )
    return TokenOutcome(
        token, "accepted", "agreed", f"all {len(accounts)} accounts agree", tuple(a.account for a in accounts)
    )


def needs_new_evidence(account: AccountVerdict) -> bool:
    """True if the account lacks a quorum of valid observations (missing, failed, stale, wrong currency, …) or a proof
    of ownership: there is nothing to freeze, and a later run may ask the sources again. False if what was validly said
    is disagreed on, overdrawn, held or accepted: that stands until a person abandons or acknowledges it."""
    return account.code in _LACKING


def _reached_twice(
    policies: Sequence[AccountPolicy], said: Mapping[tuple[str, str], list[Observation]]
) -> dict[str, tuple[str, str]]:
    """Rule 10: configured accounts that reach an external account which another one reaches too, by the configuration
    or by what was observed: account -> (the other one, the external account)."""
    reached: dict[tuple[str, str], set[str]] = defaultdict(set)
    for policy in policies:
        reached[account_key(policy.external_account), policy.currency].add(policy.account)
    for (account, _), observations in said.items():
        for observation in observations:
            reached[account_key(observation.external_account), observation.currency].add(account)
    twice: dict[str, tuple[str, str]] = {}
    for (external, _), accounts in sorted(reached.items()):
        for account in sorted(accounts):
            for other in sorted(accounts - {account}):
                twice.setdefault(account, (other, external))
    return twice


class _Account:
    """The decision on one account, rule by rule."""

    def __init__(
        self,
        policy: AccountPolicy,
        cutoff: datetime,
        said: Mapping[tuple[str, str], list[Observation]],
        failed: Mapping[tuple[str, str], list[SourceFailure]],
        unit_of: Callable[[str], Currency],
    ) -> None:
        self.policy = policy
        self.unit_of = unit_of
        self.cutoff = cutoff
        self.valid: list[tuple[SourcePolicy, Observation]] = []
        self.corroborating: list[Observation] = []
        self.considered: dict[str, Considered] = {}
        for source in policy.sources:
            key = (policy.account, source.source)
            fault = self._fault(source, said.get(key, []), failed.get(key, [])) or self._copied(said[key][0])
            if fault is not None:
                self._consider(source.source, *fault)
            elif source.corroborates:
                self.corroborating.append(said[key][0])
            else:
                self.valid.append((source, said[key][0]))
                self._consider(source.source, "valid", f"states {self._written(said[key][0])}")

    # -- rules 1 to 3: what is valid ---------------------------------------------------------------------------------

    def _fault(
        self, source: SourcePolicy, said: list[Observation], failed: list[SourceFailure]
    ) -> tuple[str, str] | None:
        """(code, detail) of why this source gives no valid observation; None if it gives one."""
        policy = self.policy
        if failed:
            return "failed", min(f"{failure.message} ({failure.code})" for failure in failed)
        if not said:
            return "missing", "gave no observation"
        if len(said) > 1:
            return "duplicate-source", f"gave {len(said)} observations"
        one = said[0]
        if not one.external_account.isascii() or account_key(one.external_account) != account_key(
            policy.external_account
        ):
            return "wrong-account", f"speaks of account {one.external_account!r}, not {policy.external_account!r}"
        if one.currency != policy.currency:
            return "wrong-currency", f"is in {one.currency}, not {policy.currency}"
        if one.balance_kind != policy.balance_kind and not source.corroborates:
            return "wrong-balance-kind", f"is {one.balance_kind}, not {policy.balance_kind}"
        if one.as_of > one.retrieved_at:
            return "after-retrieval", f"is as of {_time(one.as_of)}, after it was retrieved ({_time(one.retrieved_at)})"
        if one.as_of > self.cutoff:
            return "future", f"is as of {_time(one.as_of)}, after the cutoff {_time(self.cutoff)}"
        if (self.cutoff - one.as_of).total_seconds() > policy.max_age_seconds:
            return "stale", (
                f"is as of {_time(one.as_of)}, more than {policy.max_age_seconds / 3600:g} hours before the cutoff"
            )
        if not source.corroborates and one.business_date is not None and one.business_date < source.business_date:
            return "old-business-date", (
                f"is of {one.business_date}, but the bank's last business date by the cutoff is {source.business_date}"
            )
        return None

    def _copied(self, said: Observation) -> tuple[str, str] | None:
        """Rule 4 counts origins, and what is born twice has no two."""
        for source, other in self.valid:
            if {*other.evidence, *other.contents} & {*said.evidence, *said.contents}:
                return "same-document", f"was read from the same document as source {source.source}"
        return None

    # -- rules 4 to 10 -----------------------------------------------------------------------------------------------

    def verdict(self, twice: tuple[str, str] | None, previous: int | None) -> AccountVerdict:
        if twice is not None:
            other, external = twice
            return self._refused(
                "double-counted", f"accounts {self.policy.account} and {other} are one external account ({external})"
            )
        lacking = self._lacks_quorum(self.valid)
        if lacking is not None:
            code, detail = lacking
            counting = [self.considered[one.source] for one in self.policy.sources if not one.corroborates]
            others = [
                f"source {one.source}{':' if one.code == 'failed' else ''} {one.detail}"
                for one in counting
                if one.code != "valid"
            ]
            return self._refused(code, "; ".join([detail, *others]))
        lowest = min(self.valid, key=lambda pair: pair[1].minor_units)[1]
        if lowest.minor_units < 0:
            return self._refused(
                "overdraft", f"source {lowest.source} states {self._written(lowest)}: the account is overdrawn"
            )
        agreeing = self._agreeing()
        if agreeing is None:
            return self._refused("disagreement", f"the sources disagree: {self._what_they_say()}")
        dissent = len(self.valid) - len(agreeing)
        if dissent and self._lacks_quorum(agreeing) is not None:
            return self._refused(
                "disagreement", f"those that agree are too few or not independent: {self._what_they_say()}"
            )
        return self._agreed(agreeing, previous)

    def _lacks_quorum(self, pairs: list[tuple[SourcePolicy, Observation]]) -> tuple[str, str] | None:
        """Rule 4."""
        policy = self.policy
        if (policy.min_sources < 2 or policy.min_origins < 2) and policy.waiver is None:
            return "waiver-missing", "a single source or origin needs a coded reason, and none is configured"
        if len(pairs) < max(policy.min_sources, 1):
            return "too-few-sources", f"{len(pairs)} of {policy.min_sources} sources needed are valid"
        origins = _origins(pairs)
        if len(origins) < policy.min_origins:
            return "too-few-origins", f"the valid sources have {len(origins)} of {policy.min_origins} origins needed"
        if all(source.issuer_hosted for source, _ in pairs):
            return "issuer-hosted-only", "every valid source is hosted by the issuer itself"
        return None

    def _agreeing(self) -> list[tuple[SourcePolicy, Observation]] | None:
        """Rules 5 and 7: the unique agreeing set of more than half, with the lowest in it and at most
        ``allow_dissent`` outside; None if there is none. Two sources: both or none, as one is not more than half."""
        ordered = sorted(self.valid, key=lambda pair: (pair[1].minor_units, pair[0].source))
        units = [pair[1].minor_units for pair in ordered]
        majorities = []
        end = 0
        for begin, low in enumerate(units):
            before = end
            while end < len(units) and self._within_tolerance(low, units[end]):
                end += 1
            # A window that ends where the last one did is a part of it.
            if end > before and 2 * (end - begin) > len(units):
                majorities.append((begin, end))
        if len(majorities) != 1:
            return None
        begin, end = majorities[0]
        return ordered[:end] if begin == 0 and len(units) - end <= self.policy.allow_dissent else None

    def _within_tolerance(self, low: int, high: int) -> bool:
        spread = high - low
        return spread <= self.policy.tolerance_abs and spread * 10_000 <= self.policy.tolerance_bps * low

    def _agreed(self, agreeing: list[tuple[SourcePolicy, Observation]], previous: int | None) -> AccountVerdict:
        """Rules 6 and 9."""
        counted = [observation for _, observation in agreeing]
        value = min(observation.minor_units for observation in counted)
        for _, observation in self.valid:
            code = "agrees" if observation in counted else "dissents"
            self._consider(observation.source, code, f"states {self._written(observation)}")
        dissent = len(self.valid) - len(counted)
        outcome: Literal["accepted", "held"] = "accepted"
        who = f"{len(counted)} sources agree on" if len(counted) > 1 else "1 source states"
        code, detail = "agreed", f"{who} {self._amount(value)}"
        if dissent:
            code, detail = "agreed-with-dissent", f"{detail}, {dissent} dissent: {self._what_they_say()}"
        limit = self.policy.change_limit_bps
        if limit is not None and previous is not None and abs(value - previous) * 10_000 > limit * previous:
            outcome, code = "held", "change-limit"
            detail += (
                f"; last period it was {self._amount(previous)}, a change of more than {limit} basis points: "
                "a person must acknowledge it"
            )
        return self._verdict(
            outcome,
            code,
            detail,
            minor_units=value,
            as_of=min(observation.as_of for observation in counted),
            evidence=tuple(sorted({digest for observation in counted for digest in observation.evidence})),
            dissent=dissent,
            previous=previous,
        )

    # -- words -------------------------------------------------------------------------------------------------------

    def _refused(self, code: str, detail: str) -> AccountVerdict:
        return self._verdict("refused", code, detail)

    def _verdict(
        self,
        outcome: Literal["accepted", "held", "refused"],
        code: str,
        detail: str,
        *,
        minor_units: int | None = None,
        as_of: datetime | None = None,
        evidence: tuple[str, ...] = (),
        dissent: int = 0,
        previous: int | None = None,
    ) -> AccountVerdict:
        agreeing = [pair for pair in self.valid if self.considered[pair[0].source].counted] or self.valid
        for observation in self.corroborating:
            self._corroborate(observation, minor_units)
        return AccountVerdict(
            account=self.policy.account,
            token=self.policy.token,
            outcome=outcome,
            code=code,
            detail=detail,
            considered=tuple(self.considered[source.source] for source in self.policy.sources),
            minor_units=minor_units,
            as_of=as_of,
            evidence=evidence,
            valid_sources=len(self.valid),
            origins=len(_origins(agreeing)),
            dissent=dissent,
            waiver=self.policy.waiver,
            previous_minor_units=previous,
        )

    def _corroborate(self, said: Observation, agreed: int | None) -> None:
        """What does not count is compared all the same: nobody should have to find a contradiction by chance."""
        if agreed is None:
            code = "not-compared"
        else:
            low, high = sorted((agreed, said.minor_units))
            code = "corroborates" if self._within_tolerance(low, high) else "contradicts"
        self._consider(said.source, code, f"states {self._written(said)} ({said.balance_kind}), which does not count")

    def _consider(self, source: str, code: str, detail: str) -> None:
        self.considered[source] = Considered(source, code == "agrees", code, detail)

    def _what_they_say(self) -> str:
        return ", ".join(
            f"source {observation.source} {self._written(observation)}"
            for _, observation in sorted(self.valid, key=lambda pair: (pair[1].minor_units, pair[0].source))
        )

    def _written(self, observation: Observation) -> str:
        return self._amount(observation.minor_units)

    def _amount(self, minor_units: int) -> str:
        return f"{group(self.unit_of(self.policy.currency).format(minor_units))} {self.policy.currency}"


def _origins(pairs: Iterable[tuple[SourcePolicy, Observation]]) -> set[str]:
    """Where the numbers were born; a capital letter makes no second place of one."""
    return {source.origin.casefold() for source, _ in pairs}


def _time(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
