"""The run area of the private store: a period's revisions and their attempts, what each step decided, and how an
attempt ends. ``<period>`` is ``2026-W47``, and ``2026-W47.1`` for its first revision.

    runs/<period>/revision                         a person ordered this revision, and why (none for the first run)
    runs/<period>/<attempt>/<step>                 a step's final result, created once
    runs/<period>/<attempt>/fate                   the attempt was abandoned, or its reports were begun: one of the two
    runs/<period>/<attempt>/acknowledged/<account> a person's acknowledgement, bound to the verdict's digest
    runs/<period>/<attempt>/held/<verdict>         a run stopped at this verdict because a change waits for a person
    runs/<period>/<attempt>/refresh/<n>            later reports of the same reserves, begun/refresh-<n> their start
    runs/<period>/<attempt>/withheld/<token>       a token given up for this attempt, by a person or by the deadline
    refusals/<period>/<time>-<digest>              why a step refused, with all that led to it; never in the way
    evidence/<sha256>                              the raw bytes that every observation was read from
    sealed-evidence/<sha256>                       the same, encrypted, where a key is configured
    configurations/<sha256>                        the decisive configuration that a run was opened under

Only success is stored under ``runs/``: a refusal never freezes, and a success never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from attest import records
from attest.documents import AbandonedAttempt, Blank, Supersedes, WithheldCode
from attest.errors import AttestError, ConflictError, OperatorError
from attest.period import Period, revision_name
from attest.records import Amount, Hex32
from attest.store import Store, get_or_create

T = TypeVar("T")


@dataclass(frozen=True)
class Revision:
    """A person's order to replace a published attestation, given before anything of it is done. ``statement`` is the
    digest of the statement that it replaces, ``reason`` one line for the public."""

    format: Literal["attest-run-revision/1"]
    period: str
    revision: int
    kind: Literal["revision", "revocation"]
    reason: str
    statement: Hex32
    at: datetime


@dataclass(frozen=True)
class Fate:
    """How an attempt ended or passed the point of no return. The first writer decides. ``blank``: the attempt after it
    collects nothing, and its statement gives no reserve for any token."""

    format: Literal["attest-run-fate/1"]
    fate: Literal["abandoned", "submitting"]
    at: datetime
    reason: str
    blank: Blank | None = None


@dataclass(frozen=True)
class Acknowledgement:
    """A person accepted one account's change; it holds for exactly the verdict whose digest it names."""

    format: Literal["attest-run-acknowledgement/1"]
    account: str
    verdict: Hex32
    at: datetime


@dataclass(frozen=True)
class Withholding:
    """A token given up for this attempt: ``operator`` by ``--withhold``, ``deadline`` when the run's time was over."""

    format: Literal["attest-run-withholding/1"]
    token: str
    code: Literal["operator", "deadline"]
    at: datetime


@dataclass(frozen=True)
class Refusal:
    """Why a step stopped. Kept apart and dated; the next run begins that step anew. ``collected`` is what the sources
    said, as a collection is stored; what follows from it is computed again."""

    format: Literal["attest-run-refusal/1"]
    period: str
    attempt: int
    step: str
    at: datetime
    code: str
    error: str
    reason: str
    advice: str
    collected: str
    amounts: Mapping[str, Amount]


class RunArea:
    """One attempt of one revision of a period in the private store. ``order`` is what began the revision (None for the
    first run), ``blank`` why the statement gives no reserve for any token (None where balances are collected).

    Reading an artifact checks that the artifacts it was made from are still the ones stored; raises
    :class:`ConflictError` (exit 7) otherwise.
    """

    def __init__(
        self,
        store: Store,
        period: Period,
        attempt: int,
        abandoned: tuple[AbandonedAttempt, ...],
        order: Revision | None = None,
        blank: Blank | None = None,
    ) -> None:
        self.store = store
        self.period = period
        self.attempt = attempt
        self.abandoned = abandoned
        self.order = order
        self.blank = blank
        self._read_once: dict[str, bytes] = {}

    @classmethod
    def current(cls, store: Store, period: Period) -> RunArea:
        """The attempt that a run works on: the first that is not abandoned, of the newest revision that was ordered.

        Raises :class:`ConflictError` for one that is said to be abandoned, but whose reports were submitted.
        """
        order, number = None, 0
        while (following := _order(store, period, number + 1)) is not None:
            order, number = following, number + 1
        return cls._of(store, period, order)

    @classmethod
    def of(cls, store: Store, period: Period, revision: int) -> RunArea:
        """The same of one revision. Raises :class:`OperatorError` if nobody ordered it, else as :meth:`current`."""
        order = None if revision == 0 else _order(store, period, revision)
        if revision < 0 or (revision > 0 and order is None):
            raise OperatorError(
                f"period {period} has no revision {revision}",
                code="unknown-revision",
                reason="Revisions are counted from 1; 0 is the first attestation.",
                advice="`attest status` shows what is published; leave --revision out for the newest.",
            )
        return cls._of(store, period, order)

    @classmethod
    def published(cls, store: Store, period: Period) -> RunArea | None:
        """The newest published revision; None if nothing is. A revision that is under way does not count yet."""
        area = cls.current(store, period)
        if area.bytes_of("publication") is None and area.revision > 0:
            area = cls.of(store, period, area.revision - 1)
        return area if area.bytes_of("publication") is not None else None

    @classmethod
    def _of(cls, store: Store, period: Period, order: Revision | None) -> RunArea:
        abandoned: list[AbandonedAttempt] = []
        ordered: Blank | None = "revoked" if order is not None and order.kind == "revocation" else None
        blank, attempt = ordered, 1
        while True:
            area = cls(store, period, attempt, tuple(abandoned), order, blank)
            fate = area.fate()
            if fate is None or fate.fate == "submitting":
                return area
            if area.bytes_of("submission") is not None:
                raise area.conflict("fate", "says abandoned, but reports were submitted")
            abandoned.append(AbandonedAttempt(attempt, fate.reason))
            blank, attempt = fate.blank or ordered, attempt + 1

    @property
    def revision(self) -> int:
        return 0 if self.order is None else self.order.revision

    @property
    def name(self) -> str:
        """The period and, but for the first, the revision."""
        return revision_name(self.period, self.revision)

    @property
    def supersedes(self) -> Supersedes | None:
        """What the statement says of the one that it replaces. An order to revise can become a revocation while it is
        under way; the reason is then that of the attempt given up for it."""
        if self.order is None:
            return None
        if self.blank == "revoked" and self.order.kind == "revision":
            return Supersedes(self.order.statement, "revocation", self.abandoned[-1].reason)
        return Supersedes(self.order.statement, self.order.kind, self.order.reason)

    def earlier(self) -> tuple[RunArea, ...]:
        """The abandoned attempts before this one, in order, to be read."""
        return tuple(
            RunArea(self.store, self.period, one.attempt, self.abandoned[:number], self.order)
            for number, one in enumerate(self.abandoned)
        )

    def key(self, name: str) -> str:
        return f"runs/{self.name}/{self.attempt}/{name}"

    # -- artifacts ---------------------------------------------------------------------------------------------------

    def bytes_of(self, name: str) -> bytes | None:
        """A stored artifact's exact bytes, or None. What was read once is not asked for again: it never changes."""
        if name not in self._read_once:
            data = self.store.get(self.key(name))
            if data is None:
                return None
            self._read_once[name] = data
        return self._read_once[name]

    def stored(self, name: str, cls: type[T]) -> T | None:
        """A stored artifact, checked against what it was made from, or None."""
        data = self.bytes_of(name)
        return None if data is None else self._read(name, cls, data)

    def artifact(self, name: str, cls: type[T], compute: Callable[[], T]) -> T:
        """The stored artifact if there is one; otherwise compute, create, and read the winner's."""
        data = self.bytes_of(name)
        if data is None:
            data = get_or_create(self.store, self.key(name), lambda: records.to_json(compute()))
            self._read_once[name] = data
        return self._read(name, cls, data)

    def digests(self, *names: str) -> dict[str, str]:
        """The digests of stored artifacts, for ``made_from``."""
        return {name: self._digest(name) for name in names}

    def _digest(self, name: str) -> str:
        data = self.bytes_of(name)
        if data is None:
            raise self.conflict(name, "is missing, though a later step was made from it")
        return records.digest(data)

    def _read(self, name: str, cls: type[T], data: bytes) -> T:
        record = records.from_json(cls, data, f"{self.store.url}: {self.key(name)}", ConflictError)
        made_from: Mapping[str, str] = getattr(record, "made_from", {})
        for source, expected in made_from.items():
            if self._digest(source) != expected:
                raise self.conflict(source, f"is not the one that {name} was made from")
        return record

    def conflict(self, name: str, detail: str) -> ConflictError:
        """The refusal of an artifact that is not the one that was written."""
        return ConflictError(
            f"{self.store.url}: {self.key(name)} {detail}",
            code="artifact-conflict",
            reason="Artifacts are written once; one that changed or vanished was touched from outside.",
            advice="Stop publishing, keep the store as it is, and find out who has write access to it. If nothing was "
            "reported yet, `attest abandon --reason ...` begins a new attempt; otherwise publish a revision.",
        )

    # -- decisions of people -----------------------------------------------------------------------------------------

    def fate(self) -> Fate | None:
        return self.stored("fate", Fate)

    def begin_submitting(self, now: datetime) -> None:
        """Pass the point of no return; raises :class:`ConflictError` if the attempt was abandoned meanwhile."""
        fate = self.artifact(
            "fate", Fate, lambda: Fate("attest-run-fate/1", "submitting", now, "reports are being submitted")
        )
        if fate.fate != "submitting":
            raise ConflictError(
                f"period {self.period}: attempt {self.attempt} was abandoned while this run was under way",
                code="abandoned",
                reason=f"The reason given was: {fate.reason}",
                advice="Run `attest run` again: it begins the next attempt.",
            )

    def abandon(self, reason: str, now: datetime, *, blank: Blank | None = None) -> Fate:
        """End this attempt before anything was reported; with ``blank`` the next one states no reserve. Raises
        :class:`OperatorError` if it was never begun (unless ``blank``), and :class:`ConflictError` if reports were
        begun first."""
        if blank is None and self.bytes_of("open") is None:
            raise OperatorError(
                f"period {self.period}: there is no open attempt to abandon",
                code="nothing-to-abandon",
                reason="An attempt begins with `attest open` or `attest run`.",
                advice="Check the period with `attest status`.",
            )
        fate = self.artifact("fate", Fate, lambda: Fate("attest-run-fate/1", "abandoned", now, reason, blank))
        if fate.fate == "submitting":
            raise ConflictError(
                f"period {self.period}: attempt {self.attempt} cannot be abandoned, its reports were begun",
                code="already-submitting",
                reason="What was reported on chain stays there; it is superseded, never taken back.",
                advice=f"Finish with `attest run --period {self.period}`. A wrong attestation is replaced afterwards: "
                "`attest revise`.",
            )
        return fate

    def show_held(self, verdict: str) -> None:
        """Note that a run refused with this verdict, so that a person has seen what may be acknowledged."""
        self.store.create(self.key(f"held/{verdict}"), b"held\n")

    def was_shown(self, verdict: str) -> bool:
        return self.bytes_of(f"held/{verdict}") is not None

    def acknowledge(self, account: str, verdict: str, now: datetime) -> None:
        made = Acknowledgement("attest-run-acknowledgement/1", account, verdict, now)
        self.artifact(f"acknowledged/{account}-{verdict[:16]}", Acknowledgement, lambda: made)

    def acknowledged(self, account: str, verdict: str) -> bool:
        """Whether a person acknowledged ``account`` for exactly this verdict."""
        stored = self.stored(f"acknowledged/{account}-{verdict[:16]}", Acknowledgement)
        return stored is not None and stored.account == account and stored.verdict == verdict

    def withhold(self, token: str, code: Literal["operator", "deadline"], now: datetime) -> None:
        made = Withholding("attest-run-withholding/1", token, code, now)
        self.artifact(f"withheld/{token}", Withholding, lambda: made)

    def withheld(self, token: str) -> WithheldCode | None:
        """The code under which a token is given up, or None."""
        stored = self.stored(f"withheld/{token}", Withholding)
        return self.blank or (None if stored is None else stored.code)

    def refuse(self, step: str, error: AttestError, now: datetime, collected: str, amounts: Mapping[str, int]) -> str:
        """Keep a refusal, dated; returns its key."""
        made = Refusal(
            "attest-run-refusal/1",
            str(self.period),
            self.attempt,
            step,
            now,
            error.code,
            error.message,
            error.reason,
            error.advice,
            collected,
            amounts,
        )
        data = records.to_json(made)
        key = f"refusals/{self.name}/{refusal_stamp(now)}-{records.digest(data)[:16]}"
        self.store.create(key, data)
        return key

    def last_refusal(self) -> Refusal | None:
        """The newest refusal of this attempt, if there is one."""
        return next((refusal for _, _, refusal in self._refusals(newest_first=True)), None)

    def refusals(self) -> tuple[tuple[str, bytes, Refusal], ...]:
        """This attempt's refusals, oldest first: key, exact bytes, and what they say."""
        return tuple(self._refusals())

    def _refusals(self, *, newest_first: bool = False) -> Iterator[tuple[str, bytes, Refusal]]:
        for key in sorted(self.store.list(f"refusals/{self.name}"), reverse=newest_first):
            data = self.store.get(key)
            refusal = None if data is None else records.from_json(Refusal, data, key, ConflictError)
            if data is not None and refusal is not None and refusal.attempt == self.attempt:
                yield key, data, refusal

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of this attempt's artifacts in ``folder``, sorted, each with the folder before it."""
        root = self.key("")
        return tuple(key.removeprefix(root) for key in self.store.list(self.key(folder)))


def refusal_stamp(now: datetime) -> str:
    """How the key of a refusal begins in its period: stamps are in the order of their times."""
    return records.format_instant(now).replace(":", "")


def order_key(period: Period, revision: int) -> str:
    """Where the order for a revision stands."""
    return f"runs/{revision_name(period, revision)}/revision"


def _order(store: Store, period: Period, revision: int) -> Revision | None:
    key = order_key(period, revision)
    data = store.get(key)
    if data is None:
        return None
    order = records.from_json(Revision, data, f"{store.url}: {key}", ConflictError)
    if (order.period, order.revision) != (str(period), revision):
        raise ConflictError(
            f"{store.url}: {key} is the order for revision {order.revision} of {order.period}",
            code="artifact-conflict",
            reason="Artifacts are written once, each in its own place; this one was put here from outside.",
            advice="Keep the store as it is, and find out who has write access to it.",
        )
    return order


def newest(store: Store, artifact: Literal["publication", "revision"]) -> dict[Period, int]:
    """The newest revision of each period that is published, or ordered (of those that have one), by one listing."""
    found: dict[Period, int] = {}
    for key in store.list("runs"):
        name = key.split("/")[1]
        if key.endswith(f"/{artifact}"):
            week, _, revision = name.partition(".")
            period = Period.parse(week)
            found[period] = max(found.get(period, 0), int(revision or 0))
    return found
