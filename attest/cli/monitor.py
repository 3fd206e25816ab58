"""``attest monitor``: the daily watch, as an exporter or once."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from attest.cli.common import config_option, json_option, load
from attest.cli.output import Output
from attest.cli.text import table
from attest.errors import printable

if TYPE_CHECKING:
    from attest.monitor.cycle import Snapshot, Watch
    from attest.monitor.exposition import Sample
    from attest.monitor.findings import Finding
    from attest.monitor.notify import Notifier, Outcome


#: So many alike of one metric have a row each in the table of --once.
_EACH = 3


def _address(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):([0-9]{1,5})", value)
    if match is None or int(match[3]) > 65535:
        raise click.BadParameter("is host and port, for example 127.0.0.1:9464 or [::1]:9464")
    return match[1] or match[2], int(match[3])


@click.command(
    epilog="""\b
Examples:
  attest monitor                           for Prometheus, until Ctrl-C
  attest monitor --listen [::1]:9464
  attest monitor --once                    the daily check (runbook 8.1)
  attest monitor --once --json | jq '.findings[] | .alert'
  attest monitor --notify-test             does a message arrive?
  attest monitor --notify                  tells who is in [monitor.notify]

\b
Exit codes of --once, by the worst that was found:
  0  nothing worse than a notice
  3  warnings only
  4  a token's reserve is below its supply
  5  anything else critical, a part not read, or somebody not told

\b
Exit codes of --notify-test: 0 if every message was taken, else 2."""
)
@config_option
@click.option(
    "--listen",
    default="127.0.0.1:9464",
    show_default=True,
    metavar="HOST:PORT",
    callback=_address,
    help="Where /metrics, /healthz and a page for people are served.",
)
@click.option("--once", is_flag=True, help="One cycle: print what it found, and exit by the worst of it.")
@click.option("--notify", is_flag=True, help="Tell who is named in [monitor.notify] of what is found.")
@click.option("--notify-test", is_flag=True, help="Send each of them a test message, and exit.")
@json_option
@click.pass_obj
def monitor(
    output: Output,
    config_path: Path,
    listen: tuple[str, int],
    once: bool,
    notify: bool,
    notify_test: bool,
    as_json: bool,
) -> int:
    """Watch tokens, vaults, bridge, oracles and network, as metrics for Prometheus.

    Reads every chain at one pinned block in each cycle, in a number of requests that does not grow with what is there,
    and follows events in the index. What to watch is in [monitor] of attest.toml; what is left out there has no
    metrics. Sends nothing to any chain.
    """
    from attest.monitor.cycle import Watch
    from attest.store import open_store

    if as_json and not once and not notify_test:
        raise click.UsageError("--json goes with --once or --notify-test")
    if notify_test and (once or notify):
        raise click.UsageError("--notify-test goes alone")
    loaded = load(config_path)
    private = open_store(loaded.config.stores.private, base=loaded.base, secret=True)
    notifier = None
    if notify or notify_test:
        from attest.monitor.notify import Notifier

        notifier = Notifier(loaded, private, patient=not once)
        if notify_test:
            return _try_out(output, notifier)
    watch = Watch(loaded, private, _now)
    try:
        return _once(output, watch, notifier) if once else _serve(output, watch, notifier, listen)
    finally:
        watch.close()


def _try_out(output: Output, notifier: Notifier) -> int:
    from attest.errors import EXIT_DONE, OperatorError

    outcomes = notifier.try_out(_now())
    for each in outcomes:
        if each.failure is None:
            output.line(f"{each.destination}: sent. Look whether it is there.")
    if any(each.failure is not None for each in outcomes):
        raise OperatorError(
            "; ".join(f"{each.destination}: {each.failure}" for each in outcomes if each.failure is not None),
            code="notify-undelivered",
            reason="What is found would not be told there.",
            advice="Compare the URL that monitor.notify.to names with docs/notifications.md, and try again.",
        )
    if output.json:
        output.result({"notifications": [asdict(each) for each in outcomes], "exit_code": EXIT_DONE})
    return EXIT_DONE


def _now() -> datetime:
    """The machine's clock, also where a rehearsal pins the runs' clock: what is watched is now."""
    return datetime.now(UTC).replace(microsecond=0)


def _serve(output: Output, watch: Watch, notifier: Notifier | None, listen: tuple[str, int]) -> int:
    from attest.monitor.findings import findings
    from attest.monitor.page import MonitorPage
    from attest.monitor.server import Board, MonitorServer

    settings = watch.loaded.config.monitor
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    page = MonitorPage(watch.loaded.config, watch.history, watch.unwatched())
    watch.stopping = ended.is_set
    board = Board(settings.interval_seconds, page)
    with MonitorServer(board, listen) as server:
        output.line(f"{server.url}/metrics, every {settings.interval_seconds} s. Ctrl-C ends it.")
        _say_unwatched(output, watch)
        for each in () if notifier is None else notifier.destinations:
            output.line(f"Tells {each.name} of what is {' or '.join(each.terms.severities)}.")
        while not ended.is_set():
            begun = time.monotonic()
            snapshot = watch.cycle(patience=settings.interval_seconds)
            found = findings(snapshot)
            if notifier is not None:
                notifier.see(snapshot, found)
                snapshot = replace(snapshot, samples=(*snapshot.samples, *notifier.samples()))
            board.put(snapshot, found)
            ended.wait(max(0.0, begun + settings.interval_seconds - time.monotonic()))
    return 0


def _say_unwatched(output: Output, watch: Watch) -> None:
    if missing := watch.unwatched():
        output.line(f"Not configured, and not watched: {', '.join(missing)}.")


def _once(output: Output, watch: Watch, notifier: Notifier | None) -> int:
    from attest.monitor.findings import findings, notes
    from attest.monitor.tasks import DAILY_CHECK

    snapshot = _noted(watch, watch.cycle())
    # This is the daily check: that it is missing ends now.
    found = [each for each in findings(snapshot) if each.alert != DAILY_CHECK.alert]
    outcomes: list[Outcome] = []
    if notifier is not None:
        notifier.see(snapshot, found)
        outcomes = notifier.wait()
    exit_code = exit_code_of(found, untold=any(each.failure is not None for each in outcomes))
    if output.json:
        notified = {} if notifier is None else {"notifications": [asdict(each) for each in outcomes]}
        output.result({**_as_json(watch, snapshot, found), **notified, "exit_code": exit_code})
        return exit_code
    for name, block in snapshot.blocks.items():
        output.line(f"chain {printable(name)}: block {block.number}")
    output.line()
    output.line(table(("Metric", "Value"), rows(snapshot.samples, snapshot.at.timestamp()), right=(1,)))
    output.line()
    for each in found:
        incident = f" {each.incident}" if each.incident else ""
        output.line(f"{each.severity}{incident}: {each.alert}: {printable(each.subject)}")
        output.line(fill(printable(each.detail), 80, initial_indent="  ", subsequent_indent="  "))
    for note in notes(snapshot):
        output.line(fill(printable(note), 80))
    _say_unwatched(output, watch)
    output.line(fill(verdict(found), 80, subsequent_indent="  "))
    for outcome in outcomes:
        failed = "" if outcome.failure is None else f"; not delivered: {outcome.failure}"
        told = f"Messages to {outcome.destination}: {outcome.messages}{failed}"
        output.line(fill(told, 80, subsequent_indent="  "))
    return exit_code


def verdict(found: list[Finding]) -> str:
    """What a terminal is left with: how much there is, and the worst of it (findings come worst first)."""
    from attest.publish.site.words import counted

    if not found:
        return "Nothing is wrong."
    nouns = {"critical": ("critical", ""), "warning": ("warning", "s"), "info": ("notice", "s")}
    counts = [(sum(each.severity == severity for each in found), noun) for severity, noun in nouns.items()]
    told = ", ".join(counted(count, *noun) for count, noun in counts if count)
    worst = found[0]
    incident = f" ({worst.incident})" if worst.incident else ""
    return f"{told}. The worst: {worst.alert}{incident}: {printable(worst.subject)}"


def _noted(watch: Watch, snapshot: Snapshot) -> Snapshot:
    """Note a daily check that read everything; if that fails, it is a part of the watch that failed."""
    from attest.errors import AttestError
    from attest.monitor import jobs
    from attest.monitor.cycle import Failure
    from attest.monitor.tasks import DAILY_CHECK

    if not snapshot.whole:
        return snapshot
    try:
        jobs.record(watch.private, DAILY_CHECK, snapshot.at)
    except AttestError as fault:
        return replace(snapshot, failures=(*snapshot.failures, Failure("jobs", fault)))
    return snapshot


def exit_code_of(found: list[Finding], *, untold: bool = False) -> int:
    """By the worst: a reserve below its supply, anything else critical (or somebody could not be told of it),
    warnings, or nothing to act on."""
    from attest.errors import EXIT_CHAIN, EXIT_DONE, EXIT_SHORTFALL, EXIT_SOURCE

    if any(each.alert == "ReserveShortfall" for each in found):
        return EXIT_SHORTFALL
    severities = {each.severity for each in found}
    return EXIT_CHAIN if "critical" in severities or untold else EXIT_SOURCE if "warning" in severities else EXIT_DONE


def rows(samples: Sequence[Sample], now: float) -> list[tuple[str, str]]:
    """Samples as they fit a terminal: long labels are cut, and a time is how long ago it was. Where more than three of
    a metric are alike they share a row, so that the one that is not is seen; ``--json`` has each."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sample in samples:
        name = sample.metric.name.removeprefix("attest_")
        at = name.removesuffix("_timestamp_seconds")
        value = _shown(sample)
        if at != name and isinstance(sample.value, int | float):
            value = f"{now - sample.value:.0f} s ago" if sample.value else "never"
        longest = {1: 18, 2: 15, 3: 10}.get(len(sample.labels), 8)
        inside = ",".join(_cut(label, longest) for label in sample.labels)
        alike[at, value].append(f"{at}{{{inside}}}" if inside else at)
    return sorted(
        (name, value)
        for (at, value), names in alike.items()
        for name in (names if len(names) <= _EACH else [f"{at} ({len(names)} alike)"])
    )


def _cut(label: str, longest: int) -> str:
    """A label without its middle, if it is an address or long: for a line of 80 columns."""
    longest = 9 if re.fullmatch("0x[0-9a-fA-F]{40}", label) else longest
    return label if len(label) <= longest else f"{label[: longest - 6]}…{label[-5:]}"


def _shown(sample: Sample) -> str:
    from attest.monitor.exposition import Distribution

    if isinstance(sample.value, Distribution):
        return f"{sample.value.count} in {sample.value.sum:.3g} s"
    return str(sample.value) if isinstance(sample.value, int) else f"{float(sample.value):.6g}"


def _as_json(watch: Watch, snapshot: Snapshot, found: list[Finding]) -> dict[str, Any]:
    from attest.monitor.exposition import Distribution, shown
    from attest.monitor.findings import notes
    from attest.records import format_instant, to_plain

    def value(sample: Sample) -> Any:
        if isinstance(sample.value, Distribution):
            return {"count": sample.value.count, "sum": shown(sample.value.sum)}
        return str(sample.value) if isinstance(sample.value, int) else shown(sample.value)

    return {
        "at": format_instant(snapshot.at),
        "blocks": {name: to_plain(block) for name, block in snapshot.blocks.items()},
        "findings": [asdict(each) for each in found],
        "failures": [{"collector": each.collector, **each.error.as_json()} for each in snapshot.failures],
        "metrics": [
            {"name": sample.metric.name, "labels": sample.named, "value": value(sample)} for sample in snapshot.samples
        ],
        "notes": notes(snapshot),
        "unwatched": watch.unwatched(),
    }
