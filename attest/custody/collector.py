"""Asks every source of every account, at the same time, and keeps the bytes it got as evidence before reading them.

One source that fails is reported beside all the others. What a source said is picked from its documents by
:func:`observe`, which asks nobody, so that :func:`reobserve` gives the same again from the stored bytes.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from attest.config import Account, Loaded, Source
from attest.custody import formats, signatures, snapshots, transport, unpack
from attest.custody.document import Document
from attest.custody.evidence import Evidence, contradicted
from attest.custody.location import late
from attest.custody.reach import Asked, Reach, zone_of
from attest.errors import AttestError, OperatorError, SourceError
from attest.model import Observation, SourceFailure, StatedBalance
from attest.money import currency
from attest.quorum import account_key
from attest.records import format_instant

if TYPE_CHECKING:
    from attest.chain.rpc import ChainClient

#: The kinds of which an account has one a day.
_CLOSING = {"closing-booked", "closing-available"}
#: How often a waiting collection says what it waits for, in seconds.
_TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Collection:
    """What every source gave, in the configuration's order: an observation, or a failure."""

    observations: tuple[Observation, ...]
    failures: tuple[SourceFailure, ...]


@dataclass(frozen=True)
class _Question:
    """One configured source of one account."""

    name: str
    account: Account
    source: Source

    def __str__(self) -> str:
        return f"{self.name}/{self.source.id}"

    @property
    def where(self) -> str:
        return f"account {self.name}, source {self.source.id}"


def check_configuration(loaded: Loaded) -> None:
    """Raises :class:`OperatorError` for the first source whose format, options, location or connection cannot work, or
    that asks an API what another source asks it already."""
    asked: dict[str, str] = {}
    for name, account in loaded.config.accounts.items():
        for source in account.sources:
            where = f"accounts.{name}.sources.{source.id}"
            check_source(loaded, source, where)
            if formats.find(source.format, where).fetch is None or source.corroborates:
                continue  # of documents that a transport brings, the same bytes are known to be the same
            first = asked.setdefault(_asks(account, source), where)
            if first != where:
                raise OperatorError(
                    f"{where}: asks the same as {first}",
                    code="asked-twice",
                    reason="One answer is one witness, and one balance, whatever the account is called here.",
                    advice="One of them is a copy of the other: correct its connection, location or options.",
                )


def _asks(account: Account, source: Source) -> str:
    """What makes two questions to APIs the same. What our options call the account changes no question, unless that
    holds the account."""
    options = dict(source.options)
    called = [
        options.pop(name)
        for name in ("account", "account_is")
        if account_key(str(options.get(name, ""))) == account_key(account.external_account)
    ]
    holds = re.search(r"\{account\}|:account\b", f"{source.location} {options}")
    of = "" if called and not holds else account_key(account.external_account)
    return repr((of, source.format, source.connection, source.location, sorted(options.items())))


def check_source(loaded: Loaded, source: Source, where: str) -> None:
    """Raises :class:`OperatorError` naming ``where`` if one source cannot work as it is configured."""
    formats.check_options(source.format, source.options, where)
    known = formats.find(source.format, where)
    connection = None if source.connection is None else loaded.config.connections[source.connection]

    def refuse(code: str, detail: str, reason: str, advice: str) -> OperatorError:
        return OperatorError(f"{where}: {detail}", code=code, reason=reason, advice=advice)

    if known.corroborates and not source.corroborates:
        raise refuse(
            "only-corroborates",
            f"format {source.format} states intraday balances, which never count",
            "Before the day's books are closed a balance can still change for that day.",
            "Add `corroborates = true` to this source, and have enough others that count.",
        )
    if not source.location and known.location == "required":
        raise refuse(
            "location-missing",
            "has no location",
            "Without it nobody knows where the statement is.",
            "Add `location`: a path, a glob or a URL.",
        )
    if source.location and known.location == "none":
        raise refuse(
            "location-unused",
            f"format {source.format} takes no location",
            "A setting that has no effect hides a mistake.",
            "Leave `location` out; the options say what is asked.",
        )
    if known.fetch is None:
        transport.check_location(source.location, connection, where)
    elif connection is None and known.connections:
        raise refuse(
            "connection-missing",
            f"format {source.format} needs a connection",
            "Without it nobody knows how the source is reached.",
            f'Name one with kind = "{known.connections[0]}" in [connections].',
        )
    elif connection is not None and connection.kind not in known.connections:
        raise refuse(
            "wrong-connection",
            f"format {source.format} takes no connection of kind {connection.kind}",
            "A source can be reached only by what belongs to it.",
            f"It takes: {', '.join(known.connections) or 'none'}.",
        )
    if source.signature is not None and known.fetch is not None:
        raise refuse(
            "signature-unused",
            f"format {source.format} asks an API, whose answers carry no detached signature",
            "A setting that has no effect hides a mistake.",
            "Leave `signature` out.",
        )
    if source.signature is not None:
        signatures.check(source.signature, loaded.base, where)


def reach_of(loaded: Loaded, clients: Mapping[str, ChainClient], clock: Callable[[], float] = time.monotonic) -> Reach:
    """How the configured sources are reached, until the collection's deadline from now. To be closed by its user."""
    from attest.custody.http import HttpClient

    limits = loaded.config.collection
    return Reach(
        base=loaded.base,
        http=HttpClient(limits, base=loaded.base, clock=clock),
        clients=clients,
        until=clock() + limits.deadline_seconds,
        clock=clock,
        finality={name: chain.finality for name, chain in loaded.config.chains.items()},
    )


def collect(
    loaded: Loaded,
    *,
    period: str,
    cutoff: datetime,
    now: Callable[[], datetime],
    evidence: Evidence,
    clients: Mapping[str, ChainClient],
    progress: Callable[[str], None] | None = None,
) -> Collection:
    """Every source of every account, at most ``collection.max_concurrent`` at a time, none beyond
    ``collection.deadline_seconds``. The raw bytes are created in ``evidence`` before they are read. ``progress`` is
    told what has answered, and which sources are waited for longest.

    Raises :class:`OperatorError` for a configuration that cannot work or a store that fails, :class:`ConflictError`
    if stored evidence is not what its name says; a source's own failure is in the result.
    """
    check_configuration(loaded)
    with reach_of(loaded, clients) as reach:

        def ask(question: _Question) -> Observation | SourceFailure:
            name, account, source = question.name, question.account, question.source
            asked = Asked.of(loaded, name, account, source, period, cutoff)
            digests: tuple[str, ...] = ()
            try:
                if source.snapshot:
                    fetched, retrieved_at = snapshots.newest(evidence, period, name, source.id, cutoff)
                else:
                    fetched = _fetched(asked, source, reach)
                    retrieved_at = now().replace(microsecond=0)
                    for document in fetched:
                        evidence.keep(document)
                digests = tuple(document.digest for document in fetched)
                return observe(name, account, source, fetched, retrieved_at, cutoff, base=loaded.base)
            except SourceError as fault:
                return _failure(question, fault, digests)

        return _asked(_questions(loaded), ask, reach, loaded.config.collection.max_concurrent, progress)


def snapshot(
    loaded: Loaded,
    *,
    period: str,
    cutoff: datetime,
    now: Callable[[], datetime],
    evidence: Evidence,
    clients: Mapping[str, ChainClient],
    progress: Callable[[str], None] | None = None,
) -> Collection:
    """Ask the sources with ``snapshot = true``, and keep what they say for :func:`collect`. A source whose answer
    cannot be read is a failure, and gets no snapshot: an older one then still counts.

    Raises :class:`OperatorError` as :func:`collect` does, and if no source is one (``nothing-to-snapshot``) or the
    cutoff has passed (``too-late``).
    """
    check_configuration(loaded)
    questions = [question for question in _questions(loaded) if question.source.snapshot]
    if not questions:
        raise OperatorError(
            "no source has `snapshot = true`",
            code="nothing-to-snapshot",
            reason="Only sources that know nothing but the present are asked before the cutoff.",
            advice="Set it on such a source, or leave `attest custody snapshot` out of your schedule.",
        )
    if now() > cutoff:
        raise OperatorError(
            f"period {period}: its cutoff {format_instant(cutoff)} has passed",
            code="too-late",
            reason="What a source says now is no word on what was there at the cutoff.",
            advice="Schedule `attest custody snapshot` shortly before each cutoff.",
        )

    with reach_of(loaded, clients) as reach:

        def ask(question: _Question) -> Observation | SourceFailure:
            name, account, source = question.name, question.account, question.source
            try:
                fetched = _fetched(Asked.of(loaded, name, account, source, period, cutoff), source, reach)
                retrieved_at = now().replace(microsecond=0)
                seen = observe(name, account, source, fetched, retrieved_at, cutoff, base=loaded.base)
                snapshots.keep(evidence, period, name, source.id, fetched, retrieved_at)
                return seen
            except SourceError as fault:
                return _failure(question, fault, ())

        return _asked(questions, ask, reach, loaded.config.collection.max_concurrent, progress)


def fetch(asked: Asked, source: Source, reach: Reach) -> tuple[Document, ...]:
    """The documents that a source gives now: by its format's own way of asking, or by the transport of its location.

    Raises :class:`SourceError` naming what failed; :class:`OperatorError` for a configuration that cannot work.
    """
    known = formats.find(source.format, asked.where)
    if known.fetch is None:
        return transport.fetch(asked, reach, source.signature)
    return tuple(known.fetch(asked, formats.check_options(source.format, source.options, asked.where), reach))


def _fetched(asked: Asked, source: Source, reach: Reach) -> tuple[Document, ...]:
    """:func:`fetch` among other sources: a secret that is missing or a key file that cannot be read is this source's
    failure, and hides nobody else's."""
    try:
        return fetch(asked, source, reach)
    except OperatorError as fault:
        raise SourceError(fault.message, code=fault.code, reason=fault.reason, advice=fault.advice) from None


def _questions(loaded: Loaded) -> list[_Question]:
    return [
        _Question(name, account, source)
        for name, account in loaded.config.accounts.items()
        for source in account.sources
    ]


def _failure(question: _Question, fault: AttestError, digests: tuple[str, ...]) -> SourceFailure:
    # Whose failure it is stands beside the message.
    message = fault.message.removeprefix(f"{question.where}: ")
    return SourceFailure(question.name, question.source.id, fault.code, message, fault.reason, fault.advice, digests)


def _asked(
    questions: Sequence[_Question],
    ask: Callable[[_Question], Observation | SourceFailure],
    reach: Reach,
    concurrent: int,
    progress: Callable[[str], None] | None,
) -> Collection:
    """Every question's answer, in their order; what is not answered by the deadline has failed."""
    answers = _ask_all(questions, ask, reach, concurrent, progress)
    results = [
        answers.get(number) or _failure(question, late(question.where), ()) for number, question in enumerate(questions)
    ]
    return Collection(
        tuple(result for result in results if isinstance(result, Observation)),
        tuple(result for result in results if isinstance(result, SourceFailure)),
    )


def _ask_all(
    questions: Sequence[_Question],
    ask: Callable[[_Question], Observation | SourceFailure],
    reach: Reach,
    concurrent: int,
    progress: Callable[[str], None] | None,
) -> dict[int, Observation | SourceFailure]:
    """The answers that came in time, by their question's number. A thread that hangs is left behind: it is a daemon,
    and its answer is taken by nobody. What one raises that is no source's failure is raised here."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[int, Observation | SourceFailure | BaseException]] = queue.SimpleQueue()
    for number in range(len(questions)):
        waiting.put(number)
    begun: dict[int, float] = {}
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return
            begun[number] = reach.clock()
            try:
                answered.put((number, ask(questions[number])))
            except BaseException as fault:
                answered.put((number, fault))

    for number in range(min(concurrent, len(questions))):
        threading.Thread(target=work, name=f"source-{number}", daemon=True).start()
    answers: dict[int, Observation | SourceFailure] = {}
    try:
        while len(answers) < len(questions):
            left = reach.until - reach.clock()
            if left <= 0:
                break
            try:
                number, answer = answered.get(timeout=min(left, _TELL_SECONDS))
            except queue.Empty:
                number, answer = -1, None
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                answers[number] = answer
            if progress is not None:
                progress(_told(questions, answers, dict(begun), number, reach.clock()))
    finally:
        over.set()
    return answers


def _told(
    questions: Sequence[_Question],
    answers: Mapping[int, Observation | SourceFailure],
    begun: Mapping[int, float],
    number: int,
    now: float,
) -> str:
    """How far it is: what has just answered, or what is waited for, the slowest first."""
    text = f"{len(answers)} of {len(questions)}"
    slow = sorted((at, one) for one, at in begun.items() if one not in answers and now - at >= _TELL_SECONDS)
    if slow:
        shown = ", ".join(f"{questions[one]} ({now - at:.0f} s)" for at, one in slow[:3])
        return f"{text}; waiting for {shown}" + (f" and {len(slow) - 3} more" if len(slow) > 3 else "")
    if number >= 0:
        said = "failed" if isinstance(answers[number], SourceFailure) else "read"
        return f"{text}: {questions[number]} {said}"
    return text


def observe(
    account_id: str,
    account: Account,
    source: Source,
    fetched: Sequence[Document],
    retrieved_at: datetime,
    cutoff: datetime,
    *,
    base: Path,
) -> Observation:
    """What the documents of one source say of one account at the cutoff: the newest balance at or before it. Pure, but
    for a signature's key, which is read from its file (and an OpenPGP one must be valid when it is checked).

    ``retrieved_at`` and ``cutoff`` are aware; ``base`` is what the signature's key file is relative to. Signatures are
    checked first, then archives are unpacked. Raises :class:`SourceError` naming the account and the source when a
    document is refused, or none states a balance of this account, currency and kind by the cutoff.
    """
    where = f"account {account_id}, source {source.id}"

    def refuse(code: str, detail: str, reason: str, advice: str) -> SourceError:
        return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)

    if not fetched:
        raise refuse(
            "no-document",
            "gave no document",
            "An account can be attested only from what its custodian stated.",
            "Ask whoever maintains this source's format.",
        )
    try:
        opened = _opened(source, fetched, retrieved_at, base)
        balances = _read(account, source, opened, retrieved_at)
    except SourceError as fault:
        raise refuse(fault.code, fault.message, fault.reason, fault.advice) from None
    files = ", ".join(document.name for document in fetched)
    for balance in balances:
        if not balance.account.isascii():
            raise refuse(
                "look-alike-account",
                f"{files}: the account {balance.account!a} has characters that are not ASCII",
                "Letters of other scripts look the same as Latin ones, but name another account.",
                "Ask the custodian for a correct file, and find out who changed this one.",
            )
    ours = [balance for balance in balances if account_key(balance.account) == account_key(account.external_account)]
    if not ours:
        others = sorted({balance.account for balance in balances})
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
    if source.corroborates and not of_kind:
        of_kind = in_currency  # an intraday balance is compared, and counts for nothing
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
            newest.balance_kind in _CLOSING or balance.as_of == newest.as_of
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
    # A closing balance with a time is of a day all the same: Thursday's must not pass for Friday's.
    closed = day.isoformat() if newest.balance_kind in _CLOSING else None
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
        evidence=tuple(document.digest for document in fetched),
        business_date=newest.business_date or closed,
        provenance=tuple(document.origin for document in fetched),
        contents=tuple(document.digest for document in opened),
    )


def stated(
    account: Account, source: Source, fetched: Sequence[Document], retrieved_at: datetime, *, base: Path
) -> tuple[StatedBalance, ...]:
    """All balances that a source's documents state, whosever they are: signatures checked, archives unpacked, read.

    Arguments as for :func:`observe`. Raises :class:`SourceError` naming the document. Pure as that.
    """
    return _read(account, source, _opened(source, fetched, retrieved_at, base), retrieved_at)


def _opened(source: Source, fetched: Sequence[Document], retrieved_at: datetime, base: Path) -> Sequence[Document]:
    """What is read: the documents whose signatures hold, unpacked."""
    documents: Sequence[Document] = fetched
    if source.signature is not None:
        documents = signatures.verified(fetched, source.signature, base=base, at=retrieved_at)
    return unpack.unpacked(documents, formats.find(source.format, source.id))


def _read(
    account: Account, source: Source, documents: Sequence[Document], retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    return formats.read(source.format, documents, source.options, zone=zone_of(account), retrieved_at=retrieved_at)


def reobserve(
    loaded: Loaded, observations: Iterable[Observation], evidence: Evidence, cutoff: datetime
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
            raise contradicted(f"{where}: is not in the configuration")
        documents = [evidence.load(digest, where) for digest in observation.evidence]
        try:
            read = observe(
                observation.account, account, source, documents, observation.retrieved_at, cutoff, base=loaded.base
            )
        except SourceError as fault:
            raise contradicted(f"{where}: the stored evidence is refused: {fault.message}") from None
        # Where a document came from is not in it, so that alone is taken as it stands.
        if replace(read, provenance=observation.provenance) != observation:
            raise contradicted(f"{where}: the stored evidence says something else than the stored observation")
        again.append(observation)
    return tuple(again)
