"""The notifier over services that are not there: retries, several destinations, and what the private store keeps."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.config import Config, Loaded
from attest.errors import ChainError, OperatorError
from attest.monitor import metrics
from attest.monitor.cycle import Failure, Snapshot
from attest.monitor.exposition import Metric, Sample
from attest.monitor.findings import Finding
from attest.monitor.messages import Message
from attest.monitor.notices import AT_ONCE
from attest.monitor.notify import Notifier, Outcome
from attest.store import LocalStore
from tests.support.watched import World, configuration

START = datetime(2026, 11, 30, 3, 12, tzinfo=UTC)
SHORT = Finding("ReserveShortfall", "critical", "P0", "USDW", "100 are missing")
VAULT = Finding("VaultHealthLow", "warning", "P3", "vaults", "119 %")
BOTH = {"slack": {"url": "env:SLACK"}, "pager": {"url": "env:PAGER", "at_least": "critical"}}


class Inbox:
    """A service that keeps what it is sent, until something is ``wrong`` with it."""

    limit, incidents = 3000, False

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.wrong: str | Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def send(self, told: Message) -> str | None:
        self.open.wait(60)
        if isinstance(self.wrong, Exception):
            raise self.wrong
        if self.wrong is None:
            self.messages.append(told)
        return self.wrong

    @property
    def titles(self) -> list[str]:
        return [each.title for each in self.messages]


class Setup:
    """A notifier at a time, over a store."""

    def __init__(self, folder: Path, *, patient: bool = True, **settings: Any) -> None:
        self.inboxes: dict[str, Inbox] = {}
        self.store = LocalStore(folder / "private")
        plain = configuration(World(), {"notify": {"to": BOTH, **settings}})
        self.notifier = Notifier(
            Loaded(plain, folder),
            self.store,
            patient=patient,
            connect=self._connect,
            monotonic=lambda: self.now.timestamp(),
        )
        self.slack, self.pager = (self.inboxes[f"monitor.notify.to.{name}.url"] for name in ("slack", "pager"))
        self.now = START

    def _connect(self, place: str, url: object) -> Inbox:
        return self.inboxes.setdefault(place, Inbox())

    def cycle(
        self, *found: Finding, after: int = 15, failed: bool = False, samples: Sequence[Sample] = ()
    ) -> list[Outcome]:
        self.now += timedelta(seconds=after)
        failures = (Failure("vaults", ChainError("no code", code="x")),) if failed else ()
        self.notifier.see(Snapshot(self.now, {}, tuple(samples), failures, {}), found)
        return self.notifier.wait()

    def counts(self) -> dict[tuple[str, ...], Any]:
        return {each.labels: each.value for each in self.notifier.samples()}


@pytest.fixture(autouse=True)
def _urls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK", "PAGER"):
        monkeypatch.setenv(name, "json://127.0.0.1:9/canary")


def test_see__findings__reach_each_destination_that_wants_them(tmp_path: Path) -> None:
    setup = Setup(tmp_path, patient=False)
    assert setup.counts() == {
        (name, outcome): 0 for name in ("slack", "pager") for outcome in ("delivered", "failed")
    }, "every label is there from the start"
    outcomes = setup.cycle(VAULT, SHORT)
    assert setup.slack.titles == ["CRITICAL P0: ReserveShortfall: USDW", "WARNING P3: VaultHealthLow: vaults"]
    assert setup.pager.titles == ["CRITICAL P0: ReserveShortfall: USDW"]
    assert outcomes == [Outcome("slack", 2, None), Outcome("pager", 1, None)]
    assert setup.counts() == {
        ("slack", "delivered"): 2,
        ("slack", "failed"): 0,
        ("pager", "delivered"): 1,
        ("pager", "failed"): 0,
    }


@pytest.mark.parametrize("wrong", ["it said no", ValueError("canary")])
def test_see__service_that_fails__is_tried_again_in_the_next_cycle_and_alone(
    tmp_path: Path, wrong: str | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(tmp_path)
    setup.slack.wrong = wrong
    outcomes = setup.cycle(SHORT)
    assert outcomes[0].failure in ("it said no", "unexpected error: ValueError")
    assert "notify slack: not delivered: " in caplog.text
    assert "canary" not in caplog.text
    setup.slack.wrong = None
    assert setup.cycle(SHORT) == [Outcome("slack", 1, None), Outcome("pager", 1, None)]
    assert setup.slack.titles == setup.pager.titles == ["CRITICAL P0: ReserveShortfall: USDW"]
    assert setup.counts()["slack", "failed"] == 1


@pytest.mark.parametrize(
    ("alert", "subject", "metric", "labels"),
    [
        ("VaultLiquidation", "liquidation", metrics.LIQUIDATIONS, ()),
        ("ComplianceViolation", "iso4217-violation", metrics.VIOLATIONS, ("iso4217",)),
        ("BridgeComplianceViolation", "compliance-check-failed", metrics.CHECKS, ("failed",)),
        ("BridgeReserveVerificationFailed", "reserve-insufficient", metrics.VERIFICATIONS, ("false",)),
    ],
)
def test_see__one_more_event__is_told_by_its_counter(
    tmp_path: Path, alert: str, subject: str, metric: Metric, labels: tuple[str, ...]
) -> None:
    setup = Setup(tmp_path)
    found = Finding(alert, "critical", "P1", subject, "1 in the last day")
    for count, after in ((5, 15), (5, 7200), (6, 7200), (6, 7200)):
        setup.cycle(found, after=after, samples=[Sample(metric, count, labels)])
    assert setup.slack.titles == [f"CRITICAL P1: {alert}: {subject}", f"WORSE, CRITICAL P1: {alert}: {subject}"]


def test_see__service_that_fails__is_asked_once_a_cycle(tmp_path: Path) -> None:
    setup = Setup(tmp_path, patient=False)
    setup.slack.wrong = "it said no"
    setup.cycle(SHORT, VAULT)
    assert setup.counts()["slack", "failed"] == 1


def test_see__service_that_hangs__delays_no_cycle_and_no_other_destination(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.slack.open.clear()
    for _ in range(3):
        setup.now += timedelta(seconds=15)
        setup.notifier.see(Snapshot(setup.now, {}, (), (), {}), [SHORT])
    pager = next(each for each in setup.notifier.destinations if each.name == "pager")
    pager.wait(time.monotonic() + 60)
    assert setup.pager.titles == ["CRITICAL P0: ReserveShortfall: USDW"]
    assert setup.slack.titles == []
    setup.slack.open.set()
    setup.notifier.wait()
    assert setup.slack.titles == ["CRITICAL P0: ReserveShortfall: USDW"], "once, however many cycles it took"


def test_see__service_that_hangs_for_a_minute__has_failed_and_is_tried_again(
    tmp_path: Path,
) -> None:
    setup = Setup(tmp_path)
    slack = setup.notifier.destinations[0]
    hanging = threading.Event()
    setup.slack.open = hanging

    def later(seconds: int, *found: Finding) -> None:
        setup.now += timedelta(seconds=seconds)
        setup.notifier.see(Snapshot(setup.now, {}, (), (), {}), found)

    later(0, SHORT)
    assert slack.failure is None
    later(60, SHORT)
    assert slack.failure == "was not done after 60 s"
    assert setup.counts()["slack", "failed"] == 1
    later(119, SHORT)
    assert setup.counts()["slack", "failed"] == 1, "it is given twice as long each time"
    later(1, SHORT)
    assert setup.counts()["slack", "failed"] == 2
    setup.slack.open = threading.Event()
    setup.slack.open.set()
    later(240, SHORT, VAULT)
    slack.wait(time.monotonic() + 60)
    assert setup.slack.titles == ["CRITICAL P0: ReserveShortfall: USDW"]
    assert slack.failure is None
    hanging.set()  # those that were given up end now, and tell nothing more
    later(300, SHORT, VAULT)
    slack.wait(time.monotonic() + 60)
    assert [each for each in setup.slack.titles if "VaultHealthLow" in each] == ["WARNING P3: VaultHealthLow: vaults"]


def test_wait__service_that_hangs__is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.monitor.notify._PATIENCE_SECONDS", 0)
    setup = Setup(tmp_path)
    setup.slack.open.clear()
    assert setup.cycle(SHORT)[0].failure == "was not done after 0 s"
    setup.slack.open.set()


def test_see__another_monitor_told_it__is_not_told_again(tmp_path: Path) -> None:
    one, other = Setup(tmp_path), Setup(tmp_path)
    one.cycle(SHORT)
    other.cycle(SHORT)
    assert (len(one.slack.messages), other.slack.messages) == (1, [])
    one.cycle()
    one.cycle(after=300)
    other.cycle(after=400)
    other.cycle(after=300)
    assert (one.slack.titles[-1], other.slack.messages) == ("ENDED: ReserveShortfall: USDW", [])


def test_see__once_a_day_on_another_machine__tells_what_is_new_and_what_ended(tmp_path: Path) -> None:
    told = []
    for found in ([SHORT], [SHORT], [SHORT, VAULT], [VAULT], []):
        setup = Setup(tmp_path, patient=False, repeat_critical_minutes=10_000)
        setup.cycle(*found)
        told.append(setup.slack.titles)
    assert told == [
        ["CRITICAL P0: ReserveShortfall: USDW"],
        [],
        ["WARNING P3: VaultHealthLow: vaults"],
        ["ENDED: ReserveShortfall: USDW"],
        ["ENDED: VaultHealthLow: vaults"],
    ]


def test_see__once_where_a_part_failed__ends_nothing(tmp_path: Path) -> None:
    Setup(tmp_path, patient=False).cycle(SHORT)
    later = Setup(tmp_path, patient=False)
    later.cycle(failed=True)
    assert later.slack.messages == []


def test_see__history_that_cannot_be_kept__does_not_hold_back_an_end(tmp_path: Path) -> None:
    setup = Setup(tmp_path, patient=False)
    setup.cycle(SHORT)
    full = Failure("history", OperatorError("the disk is full", code="index-full"))
    setup.notifier.see(Snapshot(setup.now, {}, (), (full,), {}), [])
    setup.notifier.wait()
    assert setup.slack.titles[1:] == ["ENDED: ReserveShortfall: USDW"], "no finding is made of it"


def test_see__quorum_lost_during_a_shortfall__does_not_end_it(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    supply = Sample(metrics.SUPPLY, 1000, ("USDW",))
    setup.cycle(SHORT, samples=[supply, Sample(metrics.SURPLUS, -100, ("USDW",))])
    for _ in range(3):
        setup.cycle(after=600, samples=[supply])
    assert setup.slack.titles == ["CRITICAL P0: ReserveShortfall: USDW"]


@pytest.mark.parametrize("spoilt", [b"{}", b"not json", b'{"format":"attest-notified/9","told":[],"sent":[]}'])
def test_see__record_that_is_none__is_told_again_and_mended(tmp_path: Path, spoilt: bytes) -> None:
    store = LocalStore(tmp_path / "private")
    store.replace("notify/slack", spoilt)
    Setup(tmp_path).cycle(SHORT)
    after = Setup(tmp_path)
    after.cycle(SHORT)
    assert after.slack.messages == []


@pytest.mark.parametrize("operation", ["get", "replace"])
def test_see__store_that_fails__findings_are_told_all_the_same(
    tmp_path: Path, operation: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise OperatorError("the disk is full", code="store")

    monkeypatch.setattr(LocalStore, operation, fails)
    setup = Setup(tmp_path, patient=False)
    setup.cycle(SHORT)
    setup.cycle(SHORT, VAULT)
    assert setup.slack.titles == ["CRITICAL P0: ReserveShortfall: USDW", "WARNING P3: VaultHealthLow: vaults"], "once"
    assert "notify slack: the disk is full" in caplog.text


def test_see__more_than_the_limit__come_in_one_and_the_rest_later(tmp_path: Path) -> None:
    setup = Setup(tmp_path, patient=False, per_hour=2)
    lent = [Finding("DebtCeilingHigh", "warning", "", f"C{number}", "much") for number in range(38)]
    setup.cycle(*lent)
    assert setup.slack.titles == ["WARNING: DebtCeilingHigh: C0", "37 more: 37 WARNING"]
    setup.cycle(*lent, VAULT)
    assert len(setup.slack.messages) == 2
    shorts = [Finding("ReserveShortfall", "critical", "P0", f"T{number}", "") for number in range(AT_ONCE + 2)]
    setup.cycle(*lent, *shorts)
    assert setup.slack.titles[2:] == [f"CRITICAL P0: ReserveShortfall: T{number}" for number in range(AT_ONCE)] + [
        "2 more: 2 CRITICAL"
    ]


def test_try_out__each_destination__gets_a_message_that_says_what_it_is(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.pager.wrong = "401"
    assert setup.notifier.try_out(START) == [Outcome("slack", 1, None), Outcome("pager", 0, "401")]
    (told,) = setup.slack.messages
    assert told.title == "TEST: attest monitor reaches you"
    assert "This is a test of slack." in told.body
    assert "critical or warning" in told.body


def test_message__in_a_rehearsal__says_so(tmp_path: Path) -> None:
    plain = configuration(World(), {"notify": {"to": BOTH}}).model_dump()
    plain["schedule"]["clock"] = START
    inbox = Inbox()
    loaded = Loaded(Config.model_validate(plain), tmp_path)
    notifier = Notifier(loaded, LocalStore(tmp_path), patient=True, connect=lambda *_: inbox)
    notifier.try_out(START)
    assert "(a rehearsal), attest monitor" in inbox.messages[0].body


def test_notifier__that_nobody_asked_for__does_not_load_the_library() -> None:
    loaded = "import sys, attest.cli.monitor, attest.monitor.notify; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


# -- configuration ---------------------------------------------------------------------------------------------------


def test_notifier__nobody_configured__is_refused_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"monitor\.notify is not in the configuration") as refused:
        Notifier(Loaded(configuration(World()), tmp_path), LocalStore(tmp_path), patient=True)
    assert "[monitor.notify.to.slack]" in refused.value.advice


def test_notifier__secret_that_is_missing__is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAGER")
    with pytest.raises(OperatorError, match="env:PAGER: the environment variable PAGER is not set"):
        Setup(tmp_path)


Changed = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda notify: notify["to"].clear(), "at least 1 item"),
        (lambda notify: notify["to"]["slack"].update(url="slack://canary/canary"), "a literal secret is not allowed"),
        (lambda notify: notify["to"]["slack"].update(at_least="P0"), "'critical', 'warning' or 'info'"),
        (lambda notify: notify.update(per_hour=0), "greater than or equal to 1"),
        (lambda notify: notify["to"].update({"a b": {"url": "env:X"}}), "names are 1 to 64 ASCII letters"),
    ],
)
def test_configuration__that_means_nothing__is_refused_without_secrets(change: Changed, told: str) -> None:
    notify: dict[str, Any] = {"to": {name: dict(to) for name, to in BOTH.items()}}
    change(notify)
    with pytest.raises(ValueError, match="validation error") as refused:
        configuration(World(), {"notify": notify})
    errors = refused.value.errors(include_input=False, include_url=False)  # type: ignore[attr-defined]
    assert told in str(errors)
    assert "canary" not in str(errors)
