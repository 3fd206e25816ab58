"""Asks every source of every account, at the same time, and keeps the bytes it got as evidence before reading them.

One source that fails is reported beside all the others. What a source said is picked from its documents by
:func:`observe`, which is pure, so that :func:`reobserve` gives the same again from the stored bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from attest import records
from attest.config import Account, Loaded, Source
from attest.custody import formats, transport
from attest.custody.transport import Fetched
from attest.errors import AttestError, ConflictError, SourceError, printable
from attest.model import Observation, SourceFailure, StatedBalance
from attest.money import currency, group
from attest.quorum import account_key
from attest.records import format_instant
from attest.store import Store

#: Sources asked at the same time.
MAX_CONCURRENT = 64
#: The kinds of which an account has one a day.
_CLOSING = {"closing-booked", "closing-available"}


@dataclass(frozen=True)
class Collection:
    """What every source gave, in the configuration's order: an observation, or a failure."""

    observations: tuple[Observation, ...]
    failures: tuple[SourceFailure, ...]


def zone_of(account: Account) -> str | None:
    """The account's time zone if it is configured: the default says what a date means, but not what a local time is."""
    return account.zone if "zone" in account.model_fields_set else None


def check_configuration(loaded: Loaded) -> None:
    """Raises :class:`OperatorError` for the first source whose format, options or location cannot work."""
    for name, account in loaded.config.accounts.items():
        for source in account.sources:
            where = f"accounts.{name}.sources.{source.id}"
            formats.check_options(source.format, source.options, where)
            transport.check_location(source.location, where)


def collect(
    loaded: Loaded,
    *,
    period: str,
    cutoff: datetime,
    now: Callable[[], datetime],
    evidence: Store,
    progress: Callable[[str], None] | None = None,
) -> Collection:
    """Every source of every account, at most :data:`MAX_CONCURRENT` at a time. The raw bytes are created in
    ``evidence`` as ``evidence/<sha256>`` before they are read. ``progress`` gets one line per source that answered.

    Raises :class:`OperatorError` for a configuration that cannot work or a store that fails, :class:`ConflictError`
    if stored evidence is not what its name says; a source's own failure is in the result.
    """
    check_configuration(loaded)
    asked = [(name, account, source) for name, account in loaded.config.accounts.items() for source in account.sources]

    def ask(name: str, account: Account, source: Source) -> Observation | SourceFailure:
        digests: tuple[str, ...] = ()
        try:
            fetched = transport.fetch(source.location, base=loaded.base, period=period)
            retrieved_at = now().replace(microsecond=0)
            digests = _digests(fetched)
            for digest, document in zip(digests, fetched, strict=True):
                _keep(evidence, digest, document)
            return observe(name, account, source, fetched, retrieved_at, cutoff)
        except SourceError as fault:
            # Whose failure it is stands beside the message.
            message = fault.message.removeprefix(f"account {name}, source {source.id}: ")
            return SourceFailure(name, source.id, fault.code, message, fault.reason, fault.advice, digests)

    with ThreadPoolExecutor(max_workers=min(MAX_CONCURRENT, len(asked)), thread_name_prefix="source") as pool:
        answers = [pool.submit(ask, *one) for one in asked]
        names = {
            answer: f"account {name}, source {source.id}"
            for answer, (name, _, source) in zip(answers, asked, strict=True)
        }
        for done, answer in enumerate(as_completed(answers), 1):
            if progress is not None and answer.exception() is None:
                said = "failed" if isinstance(answer.result(), SourceFailure) else "read"
                progress(f"{done} of {len(asked)}: {names[answer]} {said}")
    results = [answer.result() for answer in answers]
    return Collection(
        tuple(result for result in results if isinstance(result, Observation)),
        tuple(result for result in results if isinstance(result, SourceFailure)),
    )


def observe(
    account_id: str,
    account: Account,
    source: Source,
    fetched: Sequence[Fetched],
    retrieved_at: datetime,
    cutoff: datetime,
) -> Observation:
    """What the documents of one source say of one account at the cutoff: the newest balance at or before it. Pure.

    ``retrieved_at`` and ``cutoff`` are aware. Raises :class:`SourceError` naming the account and the source when a
    document is refused, or none states a balance of this account, currency and kind by the cutoff.
    """
    where = f"account {account_id}, source {source.id}"

    def refuse(code: str, detail: str, reason: str, advice: str) -> SourceError:
        return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)

    zone = zone_of(account)
    stated: list[StatedBalance] = []
    for document in fetched:
        try:
            stated += formats.read(source.format, document.data, source.options, zone=zone, where=document.name)
        except SourceError as fault:
            raise refuse(fault.code, fault.message, fault.reason, fault.advice) from None
    files = ", ".join(document.name for document in fetched)
    for balance in stated:
        if not balance.account.isascii():
            raise refuse(
                "look-alike-account",
                f"{files}: the account {balance.account!a} has characters that are not ASCII",
                "Letters of other scripts look the same as Latin ones, but name another account.",
                "Ask the custodian for a correct file, and find out who changed this one.",
            )
    ours = [balance for balance in stated if account_key(balance.account) == account_key(account.external_account)]
    if not ours:
        others = sorted({balance.account for balance in stated})
        listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise refuse(
            "account-not-found",
            f"{files}: no statement of account {account.external_account} (there are: {listed})",
            "Another account's balance proves nothing about this one.",
            "Check external_account and the source's location.",
        )
    in_currency = [balance for balance in ours if balance.currency == account.currency]
    if not in_currency:
        raise refuse(
            "wrong-currency",
            f"{files}: account {account.external_account} is stated in {ours[0].currency}, not {account.currency}",
            "A balance in another currency does not back this token.",
            "Check the account's currency, and whether the right file lies there.",
        )
    of_kind = [balance for balance in in_currency if balance.balance_kind == account.balance_kind]
    if not of_kind:
        raise refuse(
            "wrong-balance-kind",
            f"{files}: states {in_currency[0].balance_kind}, not {account.balance_kind}",
            "Booked and available balances are different facts and never mix.",
            "Check the account's balance_kind, and the source's format and options.",
        )
    by_cutoff = [balance for balance in of_kind if balance.as_of <= cutoff]
    if not by_cutoff:
        raise refuse(
            "future",
            f"{files}: the oldest balance is as of {format_instant(min(balance.as_of for balance in of_kind))}, after "
            f"the cutoff {format_instant(cutoff)}",
            "Money that came after the cutoff was not there at the cutoff.",
            "Put the statement of the last business date before the cutoff in place.",
        )
    newest = max(by_cutoff, key=lambda balance: balance.as_of)
    zone_info = ZoneInfo(account.zone)
    day = newest.as_of.astimezone(zone_info).date()
    for balance in by_cutoff:
        # Timed snapshots of one day may differ; two closing balances of one day may not.
        same = balance.as_of.astimezone(zone_info).date() == day and (
            account.balance_kind in _CLOSING or balance.as_of == newest.as_of
        )
        if same and balance.minor_units != newest.minor_units:
            unit = currency(account.currency)
            raise refuse(
                "conflicting-statements",
                f"{files}: two balances of {day}: {unit.format(balance.minor_units)} (statement "
                f"{balance.statement_id!r}) and {unit.format(newest.minor_units)} (statement {newest.statement_id!r})",
                "One account has one closing balance on one date.",
                "Take away the file that is wrong; if you cannot tell, ask the custodian.",
            )
    return Observation(
        account=account_id,
        source=source.id,
        external_account=newest.account,
        currency=newest.currency,
        minor_units=newest.minor_units,
        balance_kind=newest.balance_kind,
        as_of=newest.as_of,
        statement_id=newest.statement_id,
        retrieved_at=retrieved_at,
        evidence=_digests(fetched),
        business_date=newest.business_date,
    )


def reobserve(
    loaded: Loaded, observations: Iterable[Observation], evidence: Store, cutoff: datetime
) -> tuple[Observation, ...]:
    """Read the stored evidence of ``observations`` once more; returns them if it says exactly the same.

    Raises :class:`ConflictError` naming the observation when its evidence is missing, is not what its digest says, is
    refused now, or says something else.
    """
    again = []
    for observation in observations:
        where = f"account {observation.account}, source {observation.source}"
        account = loaded.config.accounts.get(observation.account)
        source = next((s for s in account.sources if s.id == observation.source), None) if account else None
        if account is None or source is None:
            raise _contradicted(f"{where}: is not in the configuration")
        documents = [_stored(evidence, digest, where) for digest in observation.evidence]
        try:
            read = observe(observation.account, account, source, documents, observation.retrieved_at, cutoff)
        except SourceError as fault:
            raise _contradicted(f"{where}: the stored evidence is refused: {fault.message}") from None
        if read != observation:
            raise _contradicted(f"{where}: the stored evidence says something else than the stored observation")
        again.append(read)
    return tuple(again)


def check_sources(loaded: Loaded, *, period: str, cutoff: datetime) -> Iterator[tuple[str, str, bool, str]]:
    """For every source ``(account, source, ok, message)``: what it says for ``period``, or why it cannot be read and
    what to do. Keeps nothing. ``cutoff`` is aware."""
    for name, account in loaded.config.accounts.items():
        for source in account.sources:
            where = f"accounts.{name}.sources.{source.id}"
            try:
                formats.check_options(source.format, source.options, where)
                fetched = transport.fetch(source.location, base=loaded.base, period=period)
                seen = observe(name, account, source, fetched, cutoff, cutoff)
            except AttestError as fault:
                yield name, source.id, False, f"{fault.message}. {fault.advice}"
                continue
            amount = group(currency(seen.currency).format(seen.minor_units))
            yield name, source.id, True, f"{amount} {seen.currency} as of {format_instant(seen.as_of)}"


def _digests(fetched: Sequence[Fetched]) -> tuple[str, ...]:
    return tuple(records.digest(document.data) for document in fetched)


def _keep(evidence: Store, digest: str, document: Fetched) -> None:
    """Create the evidence; what is there already must be the same bytes."""
    if not evidence.create(f"evidence/{digest}", document.data):
        _stored(evidence, digest, document.name)


def _stored(evidence: Store, digest: str, where: str) -> Fetched:
    key = f"evidence/{digest}"
    data = evidence.get(key)
    if data is None:
        raise _contradicted(f"{where}: {key} is missing from {evidence.url}")
    if records.digest(data) != digest:
        raise _contradicted(f"{where}: {key} in {evidence.url} does not have the digest that its name says")
    return Fetched(key, data)


def _contradicted(message: str) -> ConflictError:
    return ConflictError(
        printable(message),
        code="evidence-contradicts",
        reason="What was decided must follow from the stored evidence, byte for byte.",
        advice="Find out who has write access to the private store, and restore the evidence from its backup.",
    )
