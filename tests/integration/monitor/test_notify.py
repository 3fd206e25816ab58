"""Notifications as they arrive: through Apprise, over real HTTP and SMTP, of the practice network's shortfall."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attest import devnet
from attest.config import Loaded
from attest.errors import OperatorError
from attest.monitor.messages import Message
from attest.monitor.notify import AppriseService, Notifier
from attest.secrets import Secret
from attest.store import LocalStore
from tests.support.alerting import Listener
from tests.support.commands import Said, attest, attest_process, web_server
from tests.support.mailbox import Mailbox
from tests.support.watched import World, configuration

#: In the places of an Apprise URL that are secret for one service or another.
CANARIES = ("canary-user-41ac", "canary-password-7f3a", "canary-path-c40b", "canary-query-22ce")
USER, PASSWORD, PATH, QUERY = CANARIES
TOLD = Message("CRITICAL P0: X: USDW", "What it means.\n<b>bold</b> & 1 < 2", "failure", (), "ab" * 32)


def hook(address: str) -> str:
    return f"json://{USER}:{PASSWORD}@{address}/{PATH}?+X-Token={QUERY}"


def mail(port: int) -> str:
    return f"mailto://{USER}:{PASSWORD}@127.0.0.1:{port}?from=attest@example.com&to=ops@example.com"


def service(url: str) -> AppriseService:
    return AppriseService("monitor.notify.to.x.url", Secret("env:X", url))


def without_canaries(*texts: str) -> None:
    for text in texts:
        for canary in CANARIES:
            assert canary not in text, text


# -- through Apprise -------------------------------------------------------------------------------------------------


def test_send__webhook__gets_title_body_and_how_bad_it_is() -> None:
    with Listener() as listener:
        assert service(hook(listener.address)).send(TOLD) is None
    (received,) = listener.received
    assert received.path == f"/{PATH}"
    told = {name: received.body[name] for name in ("title", "message", "type")}
    assert told == {"title": TOLD.title, "message": TOLD.body, "type": "failure"}


def test_send__mail__has_the_first_line_as_its_subject_and_is_text_whatever_it_says() -> None:
    with Mailbox() as mailbox:
        assert service(mail(mailbox.port)).send(TOLD) is None
    (received,) = mailbox.messages
    assert mailbox.passwords == [PASSWORD]
    assert received["Subject"] == TOLD.title
    assert received["To"] == "ops@example.com"
    assert received.get_content_type() == "text/plain"
    assert received.get_content().splitlines() == TOLD.body.splitlines()


def test_send__pagerduty__is_one_incident_that_its_end_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener() as listener:
        places = dict.fromkeys(("us", "eu"), f"http://{listener.address}/enqueue")
        monkeypatch.setattr("apprise.plugins.pagerduty.PAGERDUTY_API_LOOKUP", places)
        pagerduty = service(f"pagerduty://{USER}@{PASSWORD}")
        pagerduty._service.request_rate_per_sec = 0  # Apprise's own pause between two messages
        assert (pagerduty.incidents, pagerduty.limit) == (True, 1024)
        for mood, incident in (("failure", "ab" * 32), ("success", "ab" * 32), ("failure", None)):
            assert pagerduty.send(Message("X", "x", mood, (), incident)) is None
        sent = [each.body for each in listener.received]
    assert [each["event_action"] for each in sent] == ["trigger", "resolve", "trigger"]
    assert [each.get("dedup_key") for each in sent] == ["ab" * 32, "ab" * 32, None]
    assert sent[0]["payload"]["severity"] == "critical"


def test_send__slack__gets_text_that_calls_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listener() as listener:
        monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", f"http://{listener.address}/services")
        hostile = Message("CRITICAL: X: <!channel>", "<!here> *x* <https://evil.example|bank>", "failure", ())
        slack = service(f"slack://T1JJ3T3L2/A1BRTD4JD/{'TIiajkdnlazkcOXrIdevi7FQ'}/#ops")
        assert (slack.incidents, slack.send(hostile)) == (False, None)
    (received,) = listener.received
    assert received.body["mrkdwn"] is False
    (told,) = received.body["attachments"]
    assert "<" not in f"{told['title']}{told['text']}"


@pytest.mark.parametrize(
    "url",
    [
        hook("127.0.0.1:9"),
        mail(9),
        f"slack://{USER}/{PASSWORD}/{PATH}",
        f"tgram://123456789:{PASSWORD}/{USER}",
        f"matrix://{USER}:{PASSWORD}@127.0.0.1:9/{PATH}",
    ],
)
def test_send__server_that_is_away__is_said_without_anything_of_the_url(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    try:
        failure = service(url).send(TOLD)
    except OperatorError as refusal:
        failure = f"{refusal.as_json()}"
    assert failure
    without_canaries(failure)


def test_send__server_that_refuses_and_repeats_the_request__is_quoted_without_secrets() -> None:
    with web_server(403, f"{USER} {PASSWORD} {PATH} {QUERY}".encode(), "text/plain") as url:
        failure = service(hook(url.removeprefix("http://"))).send(TOLD)
    assert failure is not None
    assert "403" in failure
    without_canaries(failure)


# -- what is no URL --------------------------------------------------------------------------------------------------

NO_URLS = (PASSWORD, f"{PASSWORD}://x/y", f"slack://{PASSWORD}", f"mailto://{USER}", f"json://{USER} {PATH}", "://")


@pytest.mark.parametrize("url", NO_URLS)
def test_notifier__url_of_no_service__is_refused_without_repeating_it(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLACK", url)
    loaded = Loaded(configuration(World(), {"notify": {"to": {"slack": {"url": "env:SLACK"}}}}), tmp_path)
    with pytest.raises(OperatorError, match=r"monitor\.notify\.to\.slack\.url: what is in env:SLACK is no") as refused:
        Notifier(loaded, LocalStore(tmp_path), patient=True)
    without_canaries(str(refused.value.as_json()), *capfd.readouterr())


# -- of a network ----------------------------------------------------------------------------------------------------


HOOK = '\n[monitor.notify.to.hook]\nurl = "env:HOOK"\nat_least = "critical"\n'
MAIL = '\n[monitor.notify.to.mail]\nurl = "file:mail.url"\n'


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, anvil: object) -> Iterator[Path]:
    """The practice network's shortfall, with a webhook and a mail server to be told."""
    folder = tmp_path_factory.mktemp("notify") / "net"
    with devnet.running(folder, port=0, witness_port=0, scenario="shortfall"):
        plain = (folder / "attest.toml").read_text(encoding="utf-8")
        (folder / "hook.toml").write_text(f"{plain}{HOOK}", encoding="utf-8")
        (folder / "both.toml").write_text(f"{plain}{HOOK}{MAIL}", encoding="utf-8")
        yield folder


#: The network's folder, who listens, and the webhook's URL.
Told = tuple[Path, Listener, Mailbox, str]


@pytest.fixture
def told(short: Path) -> Iterator[Told]:
    with Listener() as listener, Mailbox() as mailbox:
        (short / "mail.url").write_text(mail(mailbox.port), encoding="utf-8")
        yield short, listener, mailbox, hook(listener.address)
    for record in (short / "private" / "notify").glob("*"):
        record.unlink()


CRITICAL = {
    "CRITICAL P0: ReserveShortfall: USDW",
    "CRITICAL P0: OnchainReserveInsufficient: USDW",
    "CRITICAL P0: ComplianceViolation: money-multiplier-violation",
    "CRITICAL P1: BridgeComplianceViolation: compliance-check-failed",
}


def titles(listener: Listener) -> list[str]:
    return [each.body["title"] for each in listener.received]


def notified(folder: Path, *words: str, hook: str, configuration: str = "hook.toml") -> Said:
    """``attest monitor`` in a process of its own; nothing that it says has a secret."""
    given = ("monitor", *words, "--config", folder / configuration)
    said = attest_process(*given, environment={"HOOK": hook}, timeout=180)
    without_canaries(said.everything)
    return said


def test_once__shortfall__is_told_once_to_each_who_wants_it(told: Told) -> None:
    folder, listener, mailbox, url = told
    said = notified(folder, "--once", "--notify", "--json", hook=url, configuration="both.toml")
    assert said.code == 4, said.everything
    assert said.document["notifications"] == [
        {"destination": "hook", "messages": 4, "failure": None},
        {"destination": "mail", "messages": 5, "failure": None},
    ]
    assert (set(titles(listener)), len(titles(listener))) == (CRITICAL, 4)
    (shortfall,) = [each.body for each in listener.received if "ReserveShortfall" in each.body["title"]]
    assert "\ncast send $MINT_CONTROLLER" in shortfall["message"]
    assert "\nPage: docs/alerts/ReserveShortfall.md\n" in shortfall["message"]
    assert {each["Subject"] for each in mailbox.messages} == {*CRITICAL, "WARNING P1: ReserveRatioLow: EURW"}

    again = notified(folder, "--once", "--notify", hook=url, configuration="both.toml")
    assert again.out.splitlines()[-2:] == ["Messages to hook: 0", "Messages to mail: 0"]
    assert max(map(len, again.out.splitlines())) <= 80
    assert (len(listener.received), len(mailbox.messages)) == (4, 5)
    stored = {path.name: path.read_text(encoding="utf-8") for path in (folder / "private" / "notify").iterdir()}
    without_canaries(*stored.values())
    counts = {each["subject"]: each["count"] for each in json.loads(stored["hook"])["told"]}
    counters = {
        (each["name"], *each["labels"].values()): int(each["value"])
        for each in said.document["metrics"]
        if each["name"] in ("attest_compliance_violations_total", "attest_bridge_compliance_checks_total")
    }
    assert (
        counts["money-multiplier-violation"] == counters["attest_compliance_violations_total", "money-multiplier"] > 1
    )
    assert counts["compliance-check-failed"] == counters["attest_bridge_compliance_checks_total", "failed"] > 1


def test_once__nobody_is_reached__is_said_and_tried_again(told: Told) -> None:
    folder, listener, _, url = told
    said = notified(folder, "--once", "--notify", hook=hook("127.0.0.1:9"))
    assert said.code == 4, "a shortfall stays the worst"
    assert "Messages to hook: 0; not delivered: " in said.out
    assert "notify hook: not delivered: " in said.err
    notified(folder, "--once", "--notify", hook=url)
    assert set(titles(listener)) == CRITICAL


def test_test__each_destination__gets_one_or_is_named(told: Told) -> None:
    folder, listener, mailbox, url = told
    said = notified(folder, "--notify-test", hook=url, configuration="both.toml")
    assert (said.code, titles(listener)) == (0, ["TEST: attest monitor reaches you"])
    assert said.out.splitlines() == [f"{name}: sent. Look whether it is there." for name in ("hook", "mail")]
    failed = notified(folder, "--notify-test", "--json", hook=hook("127.0.0.1:9"), configuration="both.toml")
    assert (failed.code, failed.document["code"], failed.document["exit_code"]) == (2, "notify-undelivered", 2)
    assert failed.document["error"].startswith("hook: ")
    assert len(mailbox.messages) == 2


@contextmanager
def exporting(folder: Path, hook: str) -> Iterator[tuple[str, list[str]]]:
    """The exporter; its URL, and in the end all that it said."""
    words = [sys.executable, "-m", "attest.cli.main", "monitor", "--notify", "--listen", "127.0.0.1:0", "--config"]
    process = subprocess.Popen(
        [*words, str(folder / "hook.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HOOK": hook, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        said.append(process.stdout.readline())
        match = re.match(r"(http://\S+)/metrics", said[0])
        assert match is not None, said
        yield match[1], said
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        said += process.stdout.read().splitlines()  # communicate() may lose what readline() has buffered
        process.stdout.close()
    assert code == 0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def test_exporter__shortfall__is_told_counted_and_not_again_after_a_restart(told: Told) -> None:
    folder, listener, _, url_of_hook = told
    delivered = 'attest_notifications_total{destination="hook",outcome="delivered"} '
    with exporting(folder, hook("127.0.0.1:9")) as (url, said):
        until(lambda: re.search('destination="hook",outcome="failed"} [1-9]', fetched(f"{url}/metrics")))
        without_canaries(fetched(f"{url}/metrics"), fetched(url))
    without_canaries(*said)
    assert any("Tells hook of what is critical." in line for line in said)
    with exporting(folder, url_of_hook) as (url, said):
        until(lambda: f"{delivered}4" in fetched(f"{url}/metrics"))
        without_canaries(fetched(f"{url}/metrics"), fetched(url))
    without_canaries(*said)
    assert set(titles(listener)) == CRITICAL
    with exporting(folder, url_of_hook) as (url, _):
        until(lambda: f"{delivered}0" in fetched(f"{url}/metrics"))
        time.sleep(3)  # it has gone through a cycle; what it would tell it would have told
    assert len(listener.received) == 4


# -- before the first cycle ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--notify", "--notify-test"])
def test_command__nobody_configured_or_no_library__is_refused_before_anything_is_read(
    told: Told, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _, url = told
    said = attest("monitor", option, "--config", folder / "attest.toml")
    assert (said.code, said.out) == (2, "")
    assert "monitor.notify is not in the configuration" in said.err

    literal = folder / "literal.toml"
    plain = (folder / "hook.toml").read_text(encoding="utf-8")
    literal.write_text(plain.replace('"env:HOOK"', f'"slack://{PASSWORD}/x/y"'), encoding="utf-8")
    said = attest("monitor", option, "--config", literal)
    assert (said.code, said.out) == (2, "")
    assert "monitor.notify.to.hook.url" in said.err
    without_canaries(said.everything)

    monkeypatch.setitem(sys.modules, "apprise", None)
    said = attest("monitor", option, "--config", folder / "hook.toml", environment={"HOOK": url})
    assert (said.code, said.out) == (2, "")
    assert "pip install 'reserve-attest[notify]'" in said.err
