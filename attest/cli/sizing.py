"""``attest sizing``: the runbook's sizing formulas (section 1.4), with the numbers in and the answer out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from attest.cli.common import json_option
from attest.cli.output import Output
from attest.errors import EXIT_DONE, EXIT_SHORTFALL, AttestError, OperatorError, SourceError

if TYPE_CHECKING:
    from attest.monitor.sizing import Buffer, Cantilever, Parity, Sizing, SizingInput, SizingStep
    from attest.monitor.totals import BridgeMeasures, Totals

Command = TypeVar("Command", bound=Callable[..., Any])
Origin = Literal["given", "measured", "default"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PER = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


# -- numbers of the command line -------------------------------------------------------------------------------------

if TYPE_CHECKING:
    _Parameter = click.ParamType[Any]
else:
    _Parameter = click.ParamType


class _Number(_Parameter):
    """An exact decimal number that is not negative; with ``percent`` also ``0.5%``."""

    name = "number"

    def __init__(self, *, percent: bool = False) -> None:
        self._percent = percent

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, (Fraction, tuple)):
            return value
        share = self._percent and value.endswith("%")
        text = value.removesuffix("%") if share else value
        if not re.fullmatch(r"[0-9]{1,80}(\.[0-9]{1,40})?", text, re.ASCII):
            self.fail(f"{value!r} is not a plain decimal number", param, ctx)
        number = Fraction(text)
        return (number / 100 if share else number, share) if self._percent else number


class _Duration(_Parameter):
    """Whole seconds, or with a unit: ``90``, ``90s``, ``25m``, ``2h``, ``30d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", value, re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not a duration such as 90s, 25m, 2h or 30d", param, ctx)
        return int(match[1]) * _SECONDS[match[2] or "s"]


class _Price(_Parameter):
    """``NAME=PRICE``"""

    name = "price"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, _, price = value.partition("=")
        if not name or not price:
            self.fail(f"{value!r} is not CHAIN=PRICE", param, ctx)
        return name, _Number().convert(price, param, ctx)


NUMBER, DURATION = _Number(), _Duration()


def decimals_option(command: Command) -> Command:
    """``--decimals N``"""
    return click.option(
        "--decimals",
        type=click.IntRange(0, 36),
        default=0,
        metavar="N",
        help="Amounts are given in whole tokens of N decimals. Default: in the smallest unit.",
    )(command)


def reserve_option(command: Command) -> Command:
    """``--reserve AMOUNT``"""
    return click.option("--reserve", type=NUMBER, metavar="AMOUNT", help="What is there, to compare with.")(command)


def _units(amount: Fraction, decimals: int, option: str) -> Fraction:
    """An amount in the smallest unit; of whole tokens no more than that unit can say."""
    units: Fraction = amount * 10**decimals
    if units.denominator != 1:
        raise click.UsageError(f"{option}: an amount of {decimals} decimals cannot have more of them")
    return units


def _checked(make: Callable[[], Any]) -> Any:
    """A calculation whose ``ValueError`` is an error of usage."""
    try:
        return make()
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None


# -- the commands ----------------------------------------------------------------------------------------------------


@click.group("sizing")
def group() -> None:
    """How large reserves and stabilisation trades must be (runbook 1.4).

    Exit codes: 0 enough, or nothing to compare with; 4 less than required; 2 usage.
    """


@group.command(
    "bridge",
    epilog="""\b
Examples:
  attest sizing bridge --peak-outflow 120000 --latency 25m --reserve 90000
  attest sizing bridge --from-index sqlite:///events.sqlite --reserve 90000
  attest sizing bridge --from-index env:INDEX --json | jq .required""",
)
@click.option("--peak-outflow", type=NUMBER, metavar="AMOUNT", help="Most that leaves in the time of --per.")
@click.option("--per", type=click.Choice(list(_PER)), default="hour", show_default=True, help="Time of --peak-outflow.")
@click.option("--latency", type=DURATION, metavar="DURATION", help="What a transfer takes to settle: 90s, 25m, 1h.")
@click.option("--safety", type=NUMBER, default="2", show_default=True, metavar="FACTOR", help="The runbook: 1.5 to 2.")
@reserve_option
@decimals_option
@click.option(
    "--from-index",
    "index",
    metavar="URL",
    help="Measure both in this event index: sqlite:///PATH, or env:NAME, file:PATH that hold its URL.",
)
@click.option("--chain", "chain_id", type=int, metavar="ID", help="Of this chain, if the index has several.")
@click.option("--asset", metavar="ADDRESS", help="Of this token, if the bridge moves several.")
@click.option("--lookback", type=DURATION, default="30d", show_default=True, metavar="DURATION", help="How far back.")
@click.option(
    "--latency-by",
    type=click.Choice(["median", "p95"]),
    default="p95",
    show_default=True,
    help="Which measured settlement time counts.",
)
@json_option
@click.pass_obj
def bridge(
    output: Output,
    peak_outflow: Fraction | None,
    per: str,
    latency: int | None,
    safety: Fraction,
    reserve: Fraction | None,
    decimals: int,
    index: str | None,
    chain_id: int | None,
    asset: str | None,
    lookback: int,
    latency_by: str,
    as_json: bool,
) -> int:
    """A bridge's reserve: peak outflow x latency x safety.

    Both can be given, or measured in the event index that `attest monitor` keeps: the peak over rolling hours and
    days, of what was locked and of what was released; the latency of the transfers settled. What is given wins.
    """
    from attest.monitor.sizing import BRIDGE_SAFETY, SizingStep, bridge_buffer, exact

    if index is None and (peak_outflow is None or latency is None):
        raise click.UsageError("give --peak-outflow and --latency, or --from-index")
    measured, notes = (None, ()) if index is None else _measured(index, chain_id, asset, lookback, latency is None)
    inputs, steps = _measured_rows(measured)
    peak = Fraction(0)
    if peak_outflow is not None:
        units = _units(peak_outflow, decimals, "--peak-outflow")
        peak = units / _PER[per]
        inputs.append(_input("peak outflow", units, f"units per {per}", "given"))
    elif measured is not None:
        peak = measured.peak[1].per_second
    if latency is not None:
        inputs.append(_input("latency", Fraction(latency), "seconds", "given"))
    elif measured is not None:
        found = measured.latency.median if latency_by == "median" else measured.latency.p95
        latency = found or 0
    assert latency is not None
    inputs.append(_input("safety factor", safety, "", _origin("safety")))
    buffer: Buffer = _checked(lambda: bridge_buffer(peak, latency, safety))
    steps += [
        SizingStep("2. peak outflow", exact(buffer.peak), "units per second"),
        SizingStep(f"3. settlement latency{'' if measured is None else f' ({latency_by})'}", str(latency), "seconds"),
        SizingStep("4. minimum reserve = peak x latency", str(buffer.minimum), "units"),
        SizingStep("5. required reserve = minimum x safety factor", str(buffer.required), "units"),
    ]
    formula = "BridgeReserve >= PeakBridgeOutflow x Latency x SafetyFactor"
    if latency == 0:
        notes += ("a settlement time of 0 seconds requires no reserve at all: give --latency if that cannot be",)
    return _reserve(output, "bridge", formula, buffer, inputs, steps, BRIDGE_SAFETY, reserve, decimals, notes)


def _measured(
    url: str, chain_id: int | None, asset: str | None, lookback: int, latency_wanted: bool
) -> tuple[BridgeMeasures, tuple[str, ...]]:
    """What the event index says of one asset, and notes on how. Raises :class:`OperatorError` and
    :class:`SourceError`."""
    from pathlib import Path

    from attest.monitor.totals import reading
    from attest.secrets import resolve

    if url.startswith(("env:", "file:")):
        url = resolve(url, base=Path()).reveal()
    with reading(url, chain_id=chain_id) as totals:
        _refuse_unreadable(totals)
        until = totals.indexed.timestamp
        found = totals.bridge(max(0, until - lookback), until)
        wanted = [each for each in found.values() if asset is None or each.asset == asset.lower()]
        if len(wanted) != 1:
            there = ", ".join(sorted(found))
            if wanted:
                what = f"{len(wanted)} tokens left over the bridge: {there}"
            else:
                what = f"nothing{f' of {asset}' if asset else ''} left over the bridge" + (
                    there and f", but of {there}"
                )
            raise _not_measured(what, "Name one by its address with --asset, or look further back with --lookback.")
        if latency_wanted and not wanted[0].latency.count:
            raise _not_measured("no transfer was settled", "Give --latency, or look further back with --lookback.")
        return wanted[0], tuple(_measured_how(totals, wanted[0]))


def _refuse_unreadable(totals: Totals) -> None:
    count, logs = totals.unreadable(1)
    if count:
        raise SourceError(
            f"the event index could not read all logs (so many: {count}; the newest in block {logs[0].block_number}, "
            f"from {logs[0].contract}): {logs[0].reason}",
            code="unreadable-logs",
            reason="A peak from the rest of the events would be too low.",
            advice="Correct the event's declaration in the configuration and scan again.",
        )


def _not_measured(detail: str, advice: str) -> AttestError:
    return OperatorError(
        f"the event index, in the time looked at: {detail}",
        code="not-measured",
        reason="A reserve sized by nothing would be sized by chance.",
        advice=advice,
    )


def _measured_how(totals: Totals, measured: BridgeMeasures) -> Iterator[str]:
    """An index that stands still, or begins late, would else go unnoticed."""
    from datetime import UTC, datetime

    from attest.records import format_instant

    def shown(at: int) -> str:
        return format_instant(datetime.fromtimestamp(at, UTC))

    begun = totals.begin() or 0
    if begun > measured.since:
        when = f"from block {totals.indexed.start} on, where the index begins (about {shown(begun)}),"
    else:
        when = f"after {shown(measured.since)}"
    yield f"measured in the events {when} up to {shown(measured.until)}, the last block indexed"
    settled = measured.latency.count
    if settled and measured.asset not in totals.settlements_by_asset(measured.since, measured.until):
        yield "no transfer of this token was settled in that time: the latency measured is that of all tokens"


def _measured_rows(measured: BridgeMeasures | None) -> tuple[list[SizingInput], list[SizingStep]]:
    from attest.monitor.sizing import SizingStep, exact

    if measured is None:
        return [], []
    inputs = [
        _input(
            f"peak {kind.removeprefix('transfer-')} in {'an hour' if window == _PER['hour'] else 'a day'}",
            Fraction(peak.units),
            "units",
            "measured",
        )
        for (kind, window), peak in measured.peaks.items()
    ]
    for name, found in (("median latency", measured.latency.median), ("p95 latency", measured.latency.p95)):
        if found is not None:
            inputs.append(_input(name, Fraction(found), "seconds", "measured"))
    inputs.append(_input("transfers settled", Fraction(measured.latency.count), "", "measured"))
    steps = [
        SizingStep("1. initiated in the time looked at", exact(Fraction(measured.initiated)), "units"),
        SizingStep("   released in the time looked at", exact(Fraction(measured.released)), "units"),
    ]
    return inputs, steps


@group.command(
    "stabilization",
    epilog="""\b
Examples:
  attest sizing stabilization --peak-minute-outflow 10000 --window 5m
  attest sizing stabilization --peak-minute-outflow 10000 --window 5m \\
    --safety 3 --reserve 120000""",
)
@click.option(
    "--peak-minute-outflow", type=NUMBER, required=True, metavar="AMOUNT", help="P: most that leaves in a minute."
)
@click.option("--window", type=DURATION, required=True, metavar="DURATION", help="T: the stabilisation window.")
@click.option("--safety", type=NUMBER, default="3", show_default=True, metavar="FACTOR", help="The runbook: 3 to 5.")
@reserve_option
@decimals_option
@json_option
@click.pass_obj
def stabilization(
    output: Output,
    peak_minute_outflow: Fraction,
    window: int,
    safety: Fraction,
    reserve: Fraction | None,
    decimals: int,
    as_json: bool,
) -> int:
    """The stabilisation reserve: P x T, 3 to 5 times.

    P is the peak outflow of a minute, T the window.

    With --reserve it exits 4 if that is below what is required; the verdict says whether it is below P x T itself.
    """
    from attest.monitor.sizing import STABILIZATION_SAFETY, SizingStep, exact, stabilization_reserve

    units = _units(peak_minute_outflow, decimals, "--peak-minute-outflow")
    buffer: Buffer = _checked(lambda: stabilization_reserve(int(units), window, safety))
    inputs = [
        _input("P: peak outflow", units, "units per minute", "given"),
        _input("T: window", Fraction(window), "seconds", "given"),
        _input("safety factor", safety, "", _origin("safety")),
    ]
    low, high = (stabilization_reserve(int(units), window, factor).required for factor in STABILIZATION_SAFETY)
    steps = [
        SizingStep("minimum reserve = P x T", str(buffer.minimum), "units"),
        SizingStep(f"required reserve = P x T x {exact(safety)}", str(buffer.required), "units"),
        SizingStep("recommended: 3 x P x T", str(low), "units"),
        SizingStep("to 5 x P x T", str(high), "units"),
    ]
    formula = "Reserve >= P x T x SafetyFactor"
    return _reserve(output, "stabilization", formula, buffer, inputs, steps, STABILIZATION_SAFETY, reserve, decimals)


@group.command(
    "cantilever",
    epilog="""\b
Examples:
  attest sizing cantilever --trade-size 500 --frequency 12 --imbalance 5000
  attest sizing cantilever --frequency 12 --imbalance 9000 \\
    --k 100000 --deviation 0.01 --theta 0.005""",
)
@click.option("--trade-size", type=NUMBER, metavar="AMOUNT", help="s: size of one trade; with --k, up to --theta.")
@click.option("--frequency", type=NUMBER, required=True, metavar="NUMBER", help="f: trades per minute.")
@click.option("--imbalance", type=NUMBER, required=True, metavar="AMOUNT", help="Delta: net imbalance per minute.")
@click.option("--k", type=NUMBER, metavar="AMOUNT", help="Dynamic rule: units per 1 of deviation.")
@click.option("--deviation", type=NUMBER, metavar="SHARE", help="Dynamic rule: how far the price is off (0.01: 1 %).")
@click.option("--theta", type=NUMBER, default="0", metavar="SHARE", help="Dynamic rule: beyond this deviation. [0]")
@decimals_option
@json_option
@click.pass_obj
def cantilever(
    output: Output,
    trade_size: Fraction | None,
    frequency: Fraction,
    imbalance: Fraction,
    k: Fraction | None,
    deviation: Fraction | None,
    theta: Fraction,
    decimals: int,
    as_json: bool,
) -> int:
    """Whether trades keep up with an imbalance: s x f >= delta.

    With --k and --deviation the size is dynamic: s = k x deviation beyond the deviation --theta, else --trade-size.
    Exits 4 if the trades do not keep up.
    """
    from attest.monitor import sizing
    from attest.monitor.sizing import SizingStep, exact

    if (k is None) != (deviation is None) or (trade_size is None and k is None):
        raise click.UsageError("give --trade-size, or --k and --deviation, or all three")
    base = Fraction(0) if trade_size is None else _units(trade_size, decimals, "--trade-size")
    delta = _units(imbalance, decimals, "--imbalance")
    inputs = [_input("s: trade size", base, "units", "given")] if trade_size is not None else []
    inputs += [
        _input("f: frequency", frequency, "trades per minute", "given"),
        _input("delta: imbalance", delta, "units per minute", "given"),
    ]
    size = base
    steps = []
    if k is not None and deviation is not None:
        per_one = _units(k, decimals, "--k")
        size = sizing.trade_size(base, per_one, deviation, theta)
        inputs += [
            _input("k", per_one, "units", "given"),
            _input("deviation", deviation, "", "given"),
            _input("theta", theta, "", _origin("theta")),
        ]
        rule = "s = k x deviation" if deviation > theta else "s as given: the deviation is not beyond theta"
        steps.append(SizingStep(rule, exact(size), "units"))
    found: Cantilever = _checked(lambda: sizing.Cantilever(size, frequency, delta))
    steps.append(SizingStep("throughput = s x f", exact(found.throughput), "units per minute"))
    if found.size_needed is not None:
        steps.append(SizingStep("s needed at this frequency = delta / f", str(found.size_needed), "units"))
    holds = "s x f >= delta (s = k x deviation beyond theta)"
    return _show(output, _document("cantilever", holds, inputs, steps, found.holds), decimals)


@group.command(
    "parity",
    epilog="""\b
Examples:
  attest sizing parity --price 138=1.0002 --price 651940=0.9989 \\
    --threshold 0.001
  attest sizing parity --price 138=2651.1 --price 651940=2650 --threshold 0.1%""",
)
@click.option("--price", "prices", type=_Price(), multiple=True, required=True, metavar="CHAIN=PRICE", help="Twice.")
@click.option(
    "--threshold",
    type=_Number(percent=True),
    required=True,
    metavar="NUMBER",
    help="In the prices' unit, or as a share of the lower one: 0.5%.",
)
@json_option
@click.pass_obj
def parity(
    output: Output, prices: tuple[tuple[str, Fraction], ...], threshold: tuple[Fraction, bool], as_json: bool
) -> int:
    """Whether a price is the same on two chains.

    |P1 - P2| < threshold.

    Exits 4 if it does not: bots that trade the difference draw on the bridge's reserve.
    """
    from attest.monitor import sizing
    from attest.monitor.sizing import SizingStep, exact

    if len(prices) != 2 or prices[0][0] == prices[1][0]:
        raise click.UsageError("give --price twice, for two chains")
    (first, one), (second, other) = prices
    limit, relative = threshold
    found: Parity = _checked(lambda: sizing.Parity(one, other, limit, relative))
    inputs = [
        _input(f"price on {first}", one, "", "given"),
        _input(f"price on {second}", other, "", "given"),
        _input("threshold", limit, "of the lower price" if relative else "", "given"),
    ]
    steps = [
        SizingStep(f"|P({first}) - P({second})|", exact(found.difference), ""),
        SizingStep("as a share of the lower price", exact(found.ratio), ""),
    ]
    formula = f"|P({first}) - P({second})| < threshold"
    return _show(output, _document("parity", formula, inputs, steps, found.holds), 0)


# -- the answer ------------------------------------------------------------------------------------------------------


def _input(name: str, value: Fraction, unit: str, origin: Origin) -> SizingInput:
    from attest.monitor.sizing import SizingInput, exact

    return SizingInput(name, exact(value), unit, origin)


def _origin(option: str) -> Origin:
    """Whether an option with a default was given."""
    source = click.get_current_context().get_parameter_source(option)
    return "default" if source is click.core.ParameterSource.DEFAULT else "given"


def _document(
    model: Literal["cantilever", "parity"],
    formula: str,
    inputs: list[SizingInput],
    steps: list[SizingStep],
    holds: bool,
) -> Sizing:
    from attest.monitor.sizing import Sizing

    verdict: Literal["holds", "violated"] = "holds" if holds else "violated"
    code = EXIT_DONE if holds else EXIT_SHORTFALL
    return Sizing("attest-sizing/1", model, formula, tuple(inputs), tuple(steps), (), verdict, code)


def _reserve(
    output: Output,
    model: Literal["bridge", "stabilization"],
    formula: str,
    buffer: Buffer,
    inputs: list[SizingInput],
    steps: list[SizingStep],
    recommended: tuple[Fraction, Fraction],
    reserve: Fraction | None,
    decimals: int,
    notes: tuple[str, ...] = (),
) -> int:
    from attest.monitor.sizing import Sizing, exact

    low, high = map(exact, recommended)
    if buffer.safety < recommended[0]:
        notes += (f"the safety factor is below the runbook's {low} to {high}",)
    actual = None if reserve is None else int(_units(reserve, decimals, "--reserve"))
    verdict = "not-compared" if actual is None else buffer.verdict(actual)
    document = Sizing(
        "attest-sizing/1", model, formula, tuple(inputs), tuple(steps), notes, verdict,
        EXIT_DONE if verdict in ("not-compared", "sufficient") else EXIT_SHORTFALL,
        minimum=buffer.minimum, required=buffer.required, actual=actual,
    )  # fmt: skip
    return _show(output, document, decimals)


#: Decimal places that people are shown of a number that has no end.
_PLACES = 12
_VERDICTS = {
    "sufficient": "sufficient",
    "below-safety": "BELOW WHAT IS REQUIRED, but at least the minimum",
    "below-minimum": "BELOW THE MINIMUM",
    "holds": "holds",
    "violated": "DOES NOT HOLD",
}


def _show(output: Output, document: Sizing, decimals: int) -> int:
    from attest import records
    from attest.cli.text import table

    if output.json:
        output.result(records.to_plain(document))
        return document.exit_code
    output.line(document.formula)
    output.line()
    rows = [[row.name, *_shown(row.value, row.unit, decimals), row.origin] for row in document.inputs]
    output.line(table(["number", "value", "unit", "from"], rows, right={1}))
    output.line()
    rows = [[row.text, *_shown(row.value, row.unit, decimals)] for row in document.steps]
    output.line(table(["step", "value", "unit"], rows, right={1}))
    output.line()
    for note in document.notes:
        output.line(fill(f"Note: {note}", 80, subsequent_indent="  "))
    if document.required is not None:
        value, unit = _shown(str(document.required), "units", decimals)
        output.line(f"Required: {value} {unit}")
    if document.actual is not None:
        value, unit = _shown(str(document.actual), "units", decimals)
        output.line(f"Actual:   {value} {unit}: {_VERDICTS[document.verdict]}")
    elif document.required is None:
        output.line(f"The condition {_VERDICTS[document.verdict]}.")
    return document.exit_code


def _shown(value: str, unit: str, decimals: int) -> tuple[str, str]:
    """A value for people: grouped, amounts in whole tokens if they were given so, long fractions cut (``~``)."""
    from attest.money import group as grouped
    from attest.monitor.sizing import exact

    number = Fraction(value)
    if unit.startswith("units") and decimals:
        number, unit = number / 10**decimals, unit.replace("units", "tokens", 1)
    text = exact(number)
    if "/" in text or len(text.partition(".")[2]) > _PLACES:
        whole, rest = divmod(number.numerator * 10**_PLACES // number.denominator, 10**_PLACES)
        text = f"{whole}.{rest:0{_PLACES}d}"
        return f"~{grouped(text)}", unit
    return grouped(text), unit
