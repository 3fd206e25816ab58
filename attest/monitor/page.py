"""The exporter's page for people, made from the last cycle and the history when it is asked for: is the money there,
what is wrong, the plots of the last days, and how the watch itself fares.

It loads nothing, runs no script, and escapes every value. What it says is of one cycle; when that cycle was, and
whether the next one is overdue, stands first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlencode

from attest import money
from attest.config import Config
from attest.errors import AttestError, printable
from attest.monitor import metrics, plots, series
from attest.monitor import thresholds as limit
from attest.monitor.alerts import ALERTS, INCIDENTS, Alert
from attest.monitor.cycle import Snapshot
from attest.monitor.exposition import Values
from attest.monitor.findings import SEVERITIES, Finding, Severity, rank
from attest.monitor.history import SPANS, History, Span, Step, merged
from attest.monitor.plots import CURVES, Curve, Limit, Panel, Window
from attest.publish.site import pages, words

if TYPE_CHECKING:
    from jinja2 import Environment

#: Seconds until the page is loaded again, unless its reader stopped that; sooner while there is nothing to show.
REFRESH_SECONDS, FIRST_SECONDS = 60, 5
#: Worst first; the others are folded away, or not drawn.
OPEN_TOKENS, PLOTTED, SUBJECTS = 8, 6, 8
_WIDE, _NARROW = 432, 300
_LONGEST = 40
_LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1
_WORST_FIRST: tuple[words.State, ...] = ("short", "withheld", "stale", "sufficient")
#: What a span is called, and how long the steps of the table behind its plots are.
_SPANS: Mapping[str, tuple[str, int]] = {
    "hours": ("2 hours", 600), "day": ("1 day", 3600), "week": ("7 days", 6 * 3600),
}  # fmt: skip

#: The states with their meaning here, in the order in which every face gives them.
STATES: Mapping[words.State, str] = {
    "sufficient": "The reserve that the oracle's quorum reports covers the supply, compared exactly.",
    "short": "The reserve is lower than the supply, or the token's own contract says that it does not suffice.",
    "withheld": "The oracle's quorum is not met: too few reports count, and there is no reserve to compare with.",
    "stale": "The numbers could not be read in this cycle, or are of a time that is over.",
}


class View(NamedTuple):
    """What a reader chose: the span of the plots (None: the shortest that shows all), and whether the page is loaded
    again by itself."""

    over: str | None = None
    refresh: bool = True

    @classmethod
    def of(cls, query: str) -> View:
        """What does not read is not chosen."""
        asked = parse_qs(query, max_num_fields=10) if query.count("&") < 10 else {}
        over = asked.get("over", [""])[-1]
        return cls(over if over in _SPANS else None, asked.get("refresh", [""])[-1] != "off")

    def address(self) -> str:
        chosen = {"over": self.over} if self.over else {}
        text = urlencode(chosen if self.refresh else {**chosen, "refresh": "off"})
        return f"/?{text}" if text else "/"


@dataclass(frozen=True)
class _Token:
    """One token's sentence. ``was`` is what was last known of one that is stale now, ``why`` says since when."""

    symbol: str
    state: words.State
    answer: words.Answer
    permille: int
    was: words.State | None = None
    why: str | None = None


@dataclass(frozen=True)
class _Wrong:
    """One alert, and all that it is about: subjects with their numbers, and how many more."""

    name: str
    severity: Severity
    incident: str
    about: Sequence[Finding]
    more: int
    alert: Alert | None
    calls: str


class _Row(NamedTuple):
    """Since when, and each curve's numbers in words."""

    since: datetime
    cells: Sequence[str]


@dataclass(frozen=True)
class _Figure:
    """One drawing, for wide and for narrow screens (SVG), what it shows now, and the numbers behind it."""

    title: str
    now: str
    wide: str
    narrow: str
    columns: Sequence[str]
    rows: Sequence[_Row]


@dataclass(frozen=True)
class _Part:
    """A part of the watch, and how it fared: its last success (None: never), its failures since the exporter began,
    and what failed in this cycle."""

    name: str
    success: datetime | None
    errors: int
    failed: AttestError | None


@dataclass(frozen=True)
class _Chain:
    """A chain: the pinned block, the newest, and how far its events are indexed."""

    name: str
    pinned: int | None
    newest: int | None
    newest_at: datetime | None
    indexed: int | None
    answering: int
    endpoints: int


class MonitorPage:
    """Makes the page over one configuration."""

    def __init__(self, config: Config, history: History, unwatched: Sequence[str] = ()) -> None:
        self._config = config
        self._history = history
        self._unwatched = unwatched
        self._environment: Environment | None = None
        self._style = "\n".join((pages.asset("dashboard.css"), pages.asset("monitor.css", "attest.monitor")))
        self.policy = f"{pages.policy(self._style)}; frame-ancestors 'none'"

    def render(self, snapshot: Snapshot | None, found: Sequence[Finding], view: View, overdue: int | None) -> bytes:
        """The page of a cycle and what it found; ``overdue`` is how many seconds ago it ended if that is too long.
        Before the first cycle there is none."""
        from markupsafe import Markup

        if self._environment is None:
            self._environment = pages.environment("attest.monitor")
            self._environment.filters |= {"ago": _ago, "grouped": _grouped, "printable": printable, "short": _short}
        context = {} if snapshot is None else self._context(snapshot, found, view, overdue)
        page = self._environment.get_template("monitor.html").render(
            style=Markup(self._style),
            snapshot=snapshot,
            overdue=None if overdue is None else words.span(overdue),
            view=view,
            other=view._replace(refresh=not view.refresh),
            refresh_seconds=REFRESH_SECONDS,
            issuer=self._config.issuer.name,
            interval=self._config.monitor.interval_seconds,
            unwatched=self._unwatched,
            states=STATES,
            **context,
        )
        return page.encode()

    def _context(
        self, snapshot: Snapshot, found: Sequence[Finding], view: View, overdue: int | None
    ) -> dict[str, object]:
        values = Values(snapshot.samples)
        tokens = self._tokens(snapshot, values, overdue)
        now = int(snapshot.at.timestamp())
        try:
            span = next((each for each in SPANS if each.name == view.over), None) or self._history.span(now)
            figures, unread = self._figures(values, [token.symbol for token in tokens], span, now), None
        except AttestError as fault:
            span, figures, unread = SPANS[0], [], fault
        parts = _parts(snapshot, values)
        return {
            "tokens": tokens[:OPEN_TOKENS],
            "folded": tokens[OPEN_TOKENS:],
            "wrong": _wrong(found),
            "counts": [(name, sum(each.severity == name for each in found)) for name in SEVERITIES],
            "spans": [(title, view._replace(over=name), name == span.name) for name, (title, _) in _SPANS.items()],
            "figures": figures,
            "unread": unread,
            "undrawn": max(0, len(tokens) - PLOTTED),
            "failing": [part for part in parts if part.failed is not None or part.success is None],
            "reading": [part for part in parts if part.failed is None and part.success is not None],
            "chains": [self._chain(name, snapshot, values) for name in snapshot.heads],
            "tasks": [
                (task, _instant(int(at)) if at else None)
                for (task,), at in values.each(metrics.JOB)
            ],
            "cycle_seconds": f"{float(values.get(metrics.CYCLE_SECONDS) or 0):.2f}",
            "cycle_requests": values.get(metrics.CYCLE_REQUESTS),
        }  # fmt: skip

    # -- the first screen ---------------------------------------------------------------------------------------------

    def _tokens(self, snapshot: Snapshot, values: Values, overdue: int | None) -> list[_Token]:
        found = [self._token(symbol, snapshot, values) for symbol in self._config.tokens]
        for index, each in enumerate(found):
            why = self._over(each.symbol, snapshot, values, overdue)
            if why is not None:
                found[index] = replace(each, state="stale", was=each.was or each.state, why=each.why or why)
        return sorted(found, key=lambda each: (_WORST_FIRST.index(each.was or each.state), each.permille))

    def _over(self, symbol: str, snapshot: Snapshot, values: Values, overdue: int | None) -> str | None:
        """Why a token's numbers are of a time that is over; None if they are not."""
        if overdue is not None:
            return f"The last cycle ended {words.span(overdue)} ago, and the next one is overdue."
        for chain in (each.chain for each in self._config.tokens[symbol].deployments):
            newest, read = values.get(metrics.HEAD_TIME, chain), snapshot.blocks.get(chain)
            if newest is None or read is None:
                continue
            age, behind = int(snapshot.at.timestamp() - newest), int(newest) - read.timestamp
            if age > limit.BLOCK_AGE:
                return f"The newest block of chain {chain} was {words.span(age)} old when it was read."
            if behind > limit.FINAL_AGE:
                return f"The newest final block of chain {chain} is {words.span(behind)} older than its head."
        return None

    def _token(self, symbol: str, snapshot: Snapshot, values: Values) -> _Token:
        currency, decimals = self._units(symbol)
        name, block = _short(symbol), snapshot.blocks.get(self._config.oracle.chain)
        supply = values.get(metrics.SUPPLY, symbol)
        if supply is None or block is None:
            failed = [each.error for each in snapshot.failures if each.collector == f"token-{symbol}"]
            last = values.get(metrics.COLLECTED, f"token-{symbol}")
            since = f"last read {_moment(int(last))}" if last else "not read since the exporter began"
            support = printable(failed[0].message) if failed else "Its chain could not be read."
            return _Token(
                symbol, "stale", words.Answer(name, "stale", "not read", f"in this cycle, {since}.", support), 0
            )
        issued = f"{_amount(int(supply), decimals, name, up=True)} issued"
        as_of = f"as of {_moment(block.timestamp)}."
        support = f"{_reported(symbol, values)} Anyone with a node can check this at block {_grouped(block.number)}."
        reserve, surplus = values.get(metrics.RESERVE, symbol), values.get(metrics.SURPLUS, symbol)
        if reserve is None or surplus is None:
            rest = f"against {issued}, {as_of}"
            held = "reserve withheld (the oracle's quorum is not met)"
            return _Token(symbol, "withheld", words.Answer(name, "withheld", held, rest, support), 0)
        rest = f"reported on chain against {issued}"
        ratio = money.ratio_percent(int(reserve), int(supply))
        if ratio is not None:
            rest += f" ({ratio}{words.NBSP}%)"
        if surplus < 0:
            rest += f", short by {_amount(-int(surplus), decimals, name, exact=True)}"
        elif values.get(metrics.SUFFICIENT, symbol) == 0:
            rest += ", and yet the token's contract says that it does not suffice"
        state: words.State = "short" if surplus < 0 or values.get(metrics.SUFFICIENT, symbol) == 0 else "sufficient"
        held = _amount(int(reserve), decimals, currency)
        permille = int(reserve) * 1000 // int(supply) if supply else 10**9
        return _Token(symbol, state, words.Answer(name, state, held, f"{rest}, {as_of}", support), permille)

    def _units(self, symbol: str) -> tuple[str, int]:
        """A token's currency, and its decimals on the oracle's chain."""
        token = self._config.tokens[symbol]
        home = next(each for each in token.deployments if each.chain == self._config.oracle.chain)
        return token.currency, home.decimals

    # -- plots --------------------------------------------------------------------------------------------------------

    def _figures(self, values: Values, tokens: Sequence[str], span: Span, now: int) -> list[_Figure]:
        """All that has a number in the span. Raises :class:`OperatorError` for a history that cannot be read."""
        planned = list(self._planned(values, tokens[:PLOTTED]))
        curves = [curve for _, panels in planned for panel in panels for curve in panel.curves]
        history = self._history.read(span, [curve.series for curve in curves], now)
        window = Window(now - span.seconds, now, span.step, max(span.step, 2 * self._config.monitor.interval_seconds))
        found = []
        for title, panels in planned:
            filled = [
                replace(panel, curves=[replace(curve, steps=history[curve.series]) for curve in panel.curves])
                for panel in panels
            ]
            drawn = [panel for panel in filled if panel.numbers]
            if drawn:
                found.append(_figure(title, drawn, window, span))
        return found

    def _planned(self, values: Values, tokens: Sequence[str]) -> Iterator[tuple[str, list[Panel]]]:
        """Each figure's title and panels, without numbers: what an operator looks at first, first."""
        for token in tokens:
            currency, decimals = self._units(token)
            amounts = [
                Curve("Reserve", series.reserve(token), unit=currency),
                Curve("Supply", series.supply(token), unit=_short(token)),
            ]
            surplus = [Curve("Surplus", series.surplus(token))]
            name = _short(token)
            yield (
                f"{name}: reserve and supply",
                [
                    Panel("Amount", f"{currency} / {plots.cut_name(token)}", decimals, amounts),
                    Panel("Reserve less supply", currency, decimals, surplus, height=70),
                ],
            )
        health = [Curve("lowest", series.HEALTH)]
        limits = _limits(limit.HEALTH_LOW_PERCENT, limit.HEALTH_CRITICAL_PERCENT)
        yield "Vaults: the lowest health ratio", [Panel("Collateral / debt", "%", 2, health, limits, cut=True)]
        success = [Curve("settled", series.SUCCESS)]
        limits = _limits(limit.SUCCESS_LOW_PERCENT, limit.SUCCESS_CRITICAL_PERCENT)
        times = [Curve(self._latency(), series.LATENCY), Curve("oldest", series.PENDING)]
        pending = [Limit(limit.PENDING_AGE, "warning 1 hour")]
        yield (
            "Bridge: success and settlement",
            [
                Panel("Settled, of all ended within an hour", "%", 2, success, limits, cut=True, most=series.WHOLE),
                Panel("To settle, and oldest pending", "s", 0, times, pending, height=70),
            ],
        )
        for token in tokens:
            _, decimals = self._units(token)
            amounts = [Curve("Reserve", series.bridge_reserve(token)), Curve("Required", series.bridge_required(token))]
            unit = plots.cut_name(token)
            yield f"Bridge: reserve of {_short(token)}", [Panel("Amount", unit, decimals, amounts)]
        monitor = self._config.monitor
        oracles = [*monitor.price_oracles, *map(metrics.price_there, monitor.parity)]
        ages = [Curve(name, series.price_age(name)) for name in oracles]
        old = [Limit(limit.PRICE_AGE, "critical 1 hour")]
        yield "Price oracles: age of the price of gold", [Panel("Age", "s", 0, ages[:CURVES], old)]
        heads = [Curve(name, series.head_age(name)) for name in self._config.chains]
        halted = [Limit(limit.BLOCK_AGE, "critical 1 minute")]
        yield "Chains: age of the newest block", [Panel("Age", "s", 0, heads[:CURVES], halted)]
        requests = [
            Curve(endpoint.partition("://")[2] or endpoint, series.request_time(chain, endpoint))
            for (chain, endpoint), _ in values.each(metrics.RPC_UP)
        ]
        yield "RPC endpoints: time of a request", [Panel("Average", "ms", 0, requests[:CURVES])]

    def _latency(self) -> str:
        bridge = self._config.monitor.bridge
        return "median" if bridge is not None and bridge.latency_by == "median" else "P95"

    # -- the watch itself ---------------------------------------------------------------------------------------------

    def _chain(self, name: str, snapshot: Snapshot, values: Values) -> _Chain:
        pinned, newest_at = snapshot.blocks.get(name), values.get(metrics.HEAD_TIME, name)
        heads = snapshot.heads[name]
        numbers = (values.get(metric, name) for metric in (metrics.HEAD_NUMBER, metrics.INDEXED))
        newest, indexed = (None if number is None else int(number) for number in numbers)
        return _Chain(
            name,
            None if pinned is None else pinned.number,
            newest,
            None if newest_at is None else _instant(int(newest_at)),
            indexed,
            sum(head.block is not None for head in heads),
            len(heads),
        )


def _reported(symbol: str, values: Values) -> str:
    """Whose reports a token's reserve comes from."""
    times = [int(at) for (token, _), at in values.each(metrics.LAST_REPORT) if token == symbol]
    stale = int(values.get(metrics.STALE_REPORTS, symbol) or 0)
    reported = [at for at in times if at]
    if not reported:
        return "Nobody has reported."
    text = f"By {len(reported)} of {words.counted(len(times), 'reporter')}"
    if stale:
        text += f", of whose reports {stale} {'is' if stale == 1 else 'are'} too old"
    return f"{text}, last {_moment(max(reported))}."


def _parts(snapshot: Snapshot, values: Values) -> list[_Part]:
    failed = {failure.collector: failure.error for failure in snapshot.failures}
    return [
        _Part(
            name,
            _instant(int(at)) if at else None,
            int(values.get(metrics.COLLECTOR_ERRORS, name) or 0),
            failed.get(name),
        )
        for (name,), at in values.each(metrics.COLLECTED)
    ]


def _wrong(found: Sequence[Finding]) -> list[_Wrong]:
    """What was found, by alert; within a severity by incident."""
    by_alert: dict[str, list[Finding]] = {}
    for each in found:
        by_alert.setdefault(each.alert, []).append(each)
    groups = []
    for name, about in by_alert.items():
        alert, first = ALERTS.get(name), about[0]
        incident = first.incident or ("" if alert is None else alert.incident)
        calls = "" if alert is None else INCIDENTS[alert.incident]
        more = max(0, len(about) - SUBJECTS)
        groups.append(_Wrong(name, first.severity, incident, about[:SUBJECTS], more, alert, calls))
    return sorted(groups, key=lambda each: rank(each.severity, each.incident))


def _limits(warning: int, critical: int) -> list[Limit]:
    """Of a share in percent."""
    return [Limit(warning * 100, f"warning {warning} %"), Limit(critical * 100, f"critical {critical} %")]


def _figure(title: str, panels: Sequence[Panel], window: Window, span: Span) -> _Figure:
    shown, length = _SPANS[span.name]
    curves = [(panel, curve) for panel in panels for curve in panel.curves if curve.steps]
    now = [f"{_short(curve.name)} {_with_unit(curve.steps[-1].last, panel, curve)}" for panel, curve in curves]
    between = [
        f"{_short(curve.name)} {_number(min(step.low for step in curve.steps), panel)} to "
        f"{_with_unit(max(step.high for step in curve.steps), panel, curve)}"
        for panel, curve in curves
    ]
    label = f"{title}, the last {shown}: {'; '.join(between)}. The numbers are in the table that follows."
    wide, narrow = (plots.plot(panels, window, width=width, label=label) for width in (_WIDE, _NARROW))
    columns = [f"{_short(curve.name)}, {curve.unit or panel.unit}" for panel, curve in curves]
    return _Figure(title, "; ".join(now), wide, narrow, columns, _rows(curves, length))


def _rows(curves: Sequence[tuple[Panel, Curve]], length: int) -> list[_Row]:
    """The table behind a drawing, newest first, in longer steps: the last number of each, and between which it was."""
    tables = [{step.start: step for step in merged(curve.steps, length)} for _, curve in curves]
    starts = sorted({start for table in tables for start in table}, reverse=True)
    return [
        _Row(
            _instant(start),
            [_cell(table.get(start), panel) for table, (panel, _) in zip(tables, curves, strict=True)],
        )
        for start in starts
    ]


def _cell(step: Step | None, panel: Panel) -> str:
    if step is None:
        return "not read"
    last = _number(step.last, panel)
    return last if step.low == step.high else f"{last} ({_number(step.low, panel)} to {_number(step.high, panel)})"


def _number(value: int, panel: Panel) -> str:
    return money.group(money.format_units(value, panel.decimals)).replace("-", "\N{MINUS SIGN}")


def _with_unit(value: int, panel: Panel, curve: Curve) -> str:
    return f"{_number(value, panel)}{words.NBSP}{curve.unit or panel.unit}"


# -- words ------------------------------------------------------------------------------------------------------------


def _amount(units: int, decimals: int, unit: str, *, up: bool = False, exact: bool = False) -> str:
    """Base units with two decimals at most, rounded down or ``up``, or ``exact``; a fraction of zeros is left out."""
    lost = 0 if exact else max(0, decimals - 2)
    shown = -(-units // 10**lost) if up else units // 10**lost
    whole, _, fraction = money.format_units(shown, decimals - lost).partition(".")
    return words.amount(f"{whole}.{fraction}" if fraction.strip("0") else whole, unit)


def _instant(seconds: int) -> datetime:
    """Unix seconds; what a contract or a node says can lie beyond the calendar's end."""
    return datetime.fromtimestamp(min(seconds, _LAST_SECOND), UTC)


def _moment(seconds: int) -> str:
    return words.moment(_instant(seconds))


def _short(text: str) -> str:
    """A name of any length and any characters, as there is room for it."""
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _grouped(number: int) -> str:
    return f"{number:,}"


def _ago(instant: datetime, now: datetime) -> str:
    seconds = int((now - instant).total_seconds())
    return f"{words.span(seconds)} ago" if seconds > 0 else "just now"
