"""Notifications without Prometheus: what :mod:`attest.monitor.notices` finds due, delivered through Apprise.

Each destination is told in a thread of its own, so none delays a cycle or another. What it was told is kept in the
private store (``notify/NAME``): after a restart, on another machine, or beside another monitor nothing is told twice.
An Apprise URL is a secret: nothing of it is in a message, a log, a metric or an error.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock, Thread, current_thread
from typing import Any, Protocol
from urllib.parse import unquote

from attest.config import Loaded, NotifyDestination
from attest.errors import AttestError, ConflictError, OperatorError, printable
from attest.monitor import metrics
from attest.monitor.cycle import Snapshot
from attest.monitor.exposition import Sample
from attest.monitor.findings import SEVERITIES, Finding, undecided
from attest.monitor.messages import LONGEST, Message, message, trial
from attest.monitor.notices import Key, Seen, Standing, Terms, due, joined, noted, portioned
from attest.monitor.told import NOTHING_TOLD, Notified
from attest.records import from_json, to_json
from attest.secrets import Secret, resolve
from attest.store import Store

_log = logging.getLogger(__name__)

DELIVERED, FAILED = "delivered", "failed"
#: A command that ends waits no longer for its messages to be delivered; nor does the exporter for one that hangs, or
#: twice as long after each that hung, so often at most.
_PATIENCE_SECONDS, _DOUBLED = 60, 6
#: Of what a service said.
_LONGEST_REASON = 300


class Service(Protocol):
    """What delivers messages to one destination; ``limit``: the most characters of one, title and all; ``incidents``:
    it keeps an incident of each finding, which the end of that finding closes."""

    limit: int
    incidents: bool

    def send(self, told: Message) -> str | None:
        """None if it was delivered, else why not."""


class AppriseService:
    """A service that Apprise speaks to."""

    def __init__(self, place: str, url: Secret) -> None:
        """``place`` is the configuration's key, for the :class:`OperatorError` where the URL is none."""
        import apprise

        logging.getLogger("apprise").propagate = False  # it names hosts and addressees, which can be the secret
        logging.getLogger("urllib3").setLevel(logging.WARNING)  # at DEBUG it logs paths, tokens and all
        asset = apprise.AppriseAsset(
            app_id="attest", app_desc="attest monitor", async_mode=False, service_timeout=0, storage_mode="memory"
        )
        asset.image_url_mask = ""  # icons would be fetched from elsewhere
        service: Any = apprise.Apprise.instantiate(url.reveal(), asset=asset)  # each kind has attributes of its own
        if service is None:
            raise OperatorError(
                f"{place}: what is in {url.reference} is no URL of a service that Apprise knows",
                code="notify-url",
                reason="Nobody would be told through it.",
                advice="docs/notifications.md shows some; https://appriseit.com/services/ has all of them.",
            )
        self._service = service
        self._apprise = apprise.Apprise(service)
        self._words = _words(url.reveal())
        # PagerDuty and its like, unless the URL has its own key for all that it sends.
        self.incidents = getattr(service, "dedup", "") is None and service.action in ("trigger", "map")
        self.limit = min(service.body_maxlen, LONGEST)

    def send(self, told: Message) -> str | None:
        import apprise

        if self.incidents:
            self._service.action = "trigger" if told.incident is None else "map"
            self._service.dedup = told.incident
        kind, plain = apprise.NotifyType(told.mood), apprise.NotifyFormat.TEXT
        result = self._apprise.notify(told.body, title=told.title, notify_type=kind, body_format=plain)
        if result:
            return None
        said = "; ".join(dict.fromkeys(entry.message for entry in result.logs()))
        return self._redacted(said)[:_LONGEST_REASON] or "the service did not take it"

    def _redacted(self, text: str) -> str:
        for word in self._words:
            text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
        return printable(" ".join(text.split()))


def _words(url: str) -> list[str]:
    """Every part of a URL but its scheme and what is too short to guard anything, the longest first: any may be
    secret, depending on the service."""
    _, _, rest = url.partition("://")
    parts = [rest, *re.split(r"[/?&=:@+#,;\s]+", rest)]
    return sorted({each for part in parts for each in (part, unquote(part)) if len(each) > 3}, key=len, reverse=True)


class Destination:
    """One destination: what it is told, was told, and how deliveries went."""

    def __init__(
        self, name: str, service: Service, terms: Terms, store: Store, sender: str, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self.service = service
        self.terms = terms
        self.counts = {DELIVERED: 0, FAILED: 0}
        #: Why the last message was not delivered, if it was not.
        self.failure: str | None = None
        self._store = store
        self._key = f"notify/{name}"
        self._sender = sender
        self._notified = self._stored()
        self._clock = clock
        self._noting = Lock()
        self._thread: Thread | None = None
        self._since = 0.0
        self._hung = 0

    def begin(self, seen: Seen) -> None:
        """Tell what is due, in the background; what is due while it goes on is told in a later cycle."""
        if not self._busy() and due(seen, self._notified, self.terms):
            self._thread, self._since = Thread(target=self._tell, args=(seen,), daemon=True), self._clock()
            self._thread.start()

    def _busy(self) -> bool:
        """Whether a message is on its way. One that hangs has failed, and its thread is left to itself: nothing would
        ever be told here again."""
        if self._thread is None or not self._thread.is_alive():
            return False
        patience = _PATIENCE_SECONDS * 2 ** min(self._hung, _DOUBLED)
        if self._clock() - self._since < patience:
            return True
        self._hung += 1
        self._failed(f"was not done after {patience} s")
        return False

    def wait(self, deadline: float) -> None:
        """Until everything is told, or ``deadline`` (:func:`time.monotonic`) is over."""
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
            if self._thread.is_alive():
                self._failed(f"was not done after {_PATIENCE_SECONDS} s")

    def send(self, told: Message) -> bool:
        """Deliver one message now. Nothing that a service does makes it raise."""
        try:
            failure = self.service.send(told)
        except Exception as fault:  # of some library; its text could carry a secret
            failure = f"unexpected error: {type(fault).__name__}"
        if failure is not None:
            self._failed(failure)
            return False
        self.counts[DELIVERED] += 1
        self.failure = None
        return True

    def _failed(self, failure: str) -> None:
        self.counts[FAILED] += 1
        self.failure = failure
        _log.warning("notify %s: not delivered: %s", self.name, failure)

    def _tell(self, seen: Seen) -> None:
        # Another monitor may have told it; and what was told here may not have been kept there.
        stored = self._stored()
        with self._noting:
            self._notified = joined(self._notified, stored, seen.at)
        portions = portioned(due(seen, self._notified, self.terms), self._notified, seen.at, self.terms)
        for number, portion in enumerate(portions):
            told = message(portion, self._sender, seen.at, others=number > 0, limit=self.service.limit)
            if not self.send(told):
                return
            with self._noting:
                self._notified = noted(self._notified, told.notices, seen.at, self.terms)
            self._remember()
            if self._thread is not current_thread():
                return  # it was given up, and another goes on
            self._since, self._hung = self._clock(), 0

    def _stored(self) -> Notified:
        """What the private store has. Where it cannot tell, findings are rather told twice than not at all."""
        try:
            data = self._store.get(self._key)
            return NOTHING_TOLD if data is None else from_json(Notified, data, self._key, ConflictError)
        except AttestError as fault:
            _log.warning("notify %s: %s", self.name, printable(fault.message))
            return NOTHING_TOLD

    def _remember(self) -> None:
        try:
            self._store.replace(self._key, to_json(self._notified))
        except AttestError as fault:
            _log.warning("notify %s: %s", self.name, printable(fault.message))


@dataclass(frozen=True)
class Outcome:
    """How one destination fared in one command: messages delivered, and what came in the way."""

    destination: str
    messages: int
    failure: str | None


class Notifier:
    """All destinations of a configuration. ``patient``: findings have to hold for their alert's `for`."""

    def __init__(
        self,
        loaded: Loaded,
        store: Store,
        *,
        patient: bool,
        connect: Callable[[str, Secret], Service] = AppriseService,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises :class:`OperatorError` where nobody is configured to be told, for a secret that is missing, and for a
        URL that is none."""
        settings = loaded.config.monitor.notify
        if settings is None:
            raise OperatorError(
                "monitor.notify is not in the configuration",
                code="notify-unconfigured",
                reason="With --notify somebody is told of what is found, and nobody is named.",
                advice='Name somebody, for example [monitor.notify.to.slack] with url = "env:SLACK_URL"; see '
                "docs/notifications.md.",
            )
        clock = loaded.config.schedule.clock
        sender = loaded.config.issuer.name + ("" if clock is None else " (a rehearsal)")
        repeats = {each: timedelta(minutes=settings.repeat_minutes) for each in SEVERITIES}
        repeats["critical"] = timedelta(minutes=settings.repeat_critical_minutes)

        def destination(name: str, to: NotifyDestination) -> Destination:
            service = connect(f"monitor.notify.to.{name}.url", resolve(to.url, base=loaded.base))
            severities = SEVERITIES[: SEVERITIES.index(to.at_least) + 1]
            terms = Terms(severities, repeats, settings.per_hour, service.incidents)
            return Destination(name, service, terms, store, sender, monotonic)

        self.destinations = [destination(name, to) for name, to in settings.to.items()]
        self._standing = Standing(patient=patient)
        self._sender = sender

    def see(self, snapshot: Snapshot, found: Sequence[Finding]) -> None:
        """One more cycle. Returns at once; what is due is told in the background."""
        happened = _happened(snapshot.samples)
        seen = self._standing.see(
            found, snapshot.at, whole=snapshot.whole, happened=happened, unknown=undecided(snapshot)
        )
        for each in self.destinations:
            each.begin(seen)

    def wait(self) -> list[Outcome]:
        """Until everything is told, for a minute at most; how it went."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for each in self.destinations:
            each.wait(deadline)
        return [Outcome(each.name, each.counts[DELIVERED], each.failure) for each in self.destinations]

    def try_out(self, now: datetime) -> list[Outcome]:
        """Send a message to each destination that only shows that it arrives."""
        for each in self.destinations:
            each.send(trial(each.name, each.terms.severities, self._sender, now))
        return [Outcome(each.name, each.counts[DELIVERED], each.failure) for each in self.destinations]

    def samples(self) -> Iterator[Sample]:
        for each in self.destinations:
            for outcome, count in each.counts.items():
                yield Sample(metrics.NOTIFICATIONS, count, (each.name, outcome))


def _happened(samples: Sequence[Sample]) -> dict[Key, int]:
    """Of findings that are events of the last day, how many there ever were: that only rises, and with each new one."""
    found: dict[Key, int] = {}
    for sample in samples:
        key: Key | None = None
        if sample.metric is metrics.LIQUIDATIONS:
            key = "VaultLiquidation", "liquidation"
        elif sample.metric is metrics.VIOLATIONS:
            key = "ComplianceViolation", f"{sample.labels[0]}-violation"
        elif sample.metric is metrics.CHECKS and sample.labels == ("failed",):
            key = "BridgeComplianceViolation", "compliance-check-failed"
        elif sample.metric is metrics.VERIFICATIONS and sample.labels == ("false",):
            key = "BridgeReserveVerificationFailed", "reserve-insufficient"
        elif sample.metric is metrics.ROLE_CHANGES:
            key = "RoleChanged", f"role-{sample.labels[2]}"
        elif sample.metric is metrics.PUBLISH_FAILURES:
            key = "OraclePublisherErrors", "publisher"
        if key is not None and isinstance(sample.value, int):
            found[key] = found.get(key, 0) + sample.value  # of all contracts and roles
    return found
