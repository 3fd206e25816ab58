"""The kinds of panels that the dashboards are made of, over Grafana's SDK: one manner for titles, words, units, limits
and links. A panel is measured against the limits of the alerts that it names, in the colours of their severities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from attest.monitor.alerts import ALERTS, INCIDENTS, Incident
from deploy.grafana import queries

#: By value: what is said, and in which colour.
Words = Mapping[str, tuple[str, str]]
_P = TypeVar("_P", stat.Panel, statetimeline.Panel, table.Panel, timeseries.Panel)

GREEN, YELLOW, ORANGE, RED, GREY = "green", "yellow", "orange", "red", "#808080"
#: Of a number that is neither good nor bad.
NEUTRAL = "text"
_COLOURS = {"critical": RED, "warning": ORANGE, "info": YELLOW}
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
#: A time that is 0 was never: so many seconds ago nothing was.
_NEVER_SECONDS = 1e9

#: Units of Grafana: an amount is grouped by thousands, and whole; a ratio of 1 is 100 %.
AMOUNT, COUNT, RATIO, SECONDS, PLAIN = "locale", "locale", "percentunit", "s", "none"
BASE_UNITS = "base units of the token"

STATES: Words = {
    str(queries.SUFFICIENT): ("sufficient", GREEN),
    str(queries.STALE): ("stale", YELLOW),
    str(queries.WITHHELD): ("withheld", ORANGE),
    str(queries.SHORT): ("SHORT", RED),
}
#: What goes with the words of every state that is one gauge's.
SILENT: Words = {str(queries.NOT_TOLD): ("not told", GREY)}
NO_DATA = "no data: not watched, or no exporter tells it"


@dataclass(frozen=True)
class Query:
    """An expression of :mod:`deploy.grafana.queries`, still without the dashboard's variables, and the name of what it
    gives, with labels as ``{{label}}``."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel, without its place, and the alerts that it shows the numbers of."""

    model: models.Panel
    alerts: tuple[str, ...]


# -- kinds -----------------------------------------------------------------------------------------------------------


def number(
    title: str,
    text: str,
    *asked: Query,
    unit: str,
    alerts: Sequence[str] = (),
    words: Words | None = None,
    limits: Sequence[models.Threshold] | None = None,
    told: Sequence[models.ValueMapping] = (),
    missing: str = NO_DATA,
    page: str | None = None,
    span: int = 6,
) -> Panel:
    """The value of now, large; of several, each with its name. ``words`` are said instead of numbers, ``told`` instead
    of some, ``missing`` where there is none; ``page`` is the uid of the dashboard with more."""
    drawn = limits if limits is not None else steps(NEUTRAL) if words else limits_of(*alerts)
    panel = (
        stat.Panel()
        .thresholds(builders.ThresholdsConfig().steps(list(drawn)))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(common.BigValueColorMode.BACKGROUND if words else common.BigValueColorMode.VALUE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .graph_mode(common.BigValueGraphMode.NONE)
        .height(5)
    )
    for place, query in enumerate(asked):
        panel.with_target(_query(query, place).instant())
    if page is not None:
        panel.data_links([builders.DashboardLink("more").url(f"/d/{page}?${{__url_time_range}}&${{__all_variables}}")])
    return _finished(panel, title, text, unit, alerts, words, span, missing, told)


def plot(
    title: str,
    text: str,
    *asked: Query,
    unit: str,
    axis: str,
    alerts: Sequence[str] = (),
    limits: Sequence[models.Threshold] | None = None,
    floor: float | None = 0,
    repeat: str | None = None,
    span: int = 12,
) -> Panel:
    """Values over time, gaps left open. ``floor`` is where the axis begins; None: where the values do. What is named a
    limit, or the like, is dashed."""
    drawn = limits if limits is not None else limits_of(*alerts)
    style = common.GraphTresholdsStyleMode
    line = style.LINE_AND_AREA if len(drawn) > 1 else style.OFF
    panel = (
        timeseries.Panel()
        .thresholds(builders.ThresholdsConfig().steps(list(drawn)))
        .thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(line))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .axis_label(axis)
        .span_nulls(False)
        .line_width(2)
        .fill_opacity(0)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .override_by_regexp(
            r".*\b(limit|required|minimum|ceiling|cap)",
            [models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]})],
        )
        .height(9)
    )
    if floor is not None:
        panel.min(floor)
    if repeat is not None:
        panel.repeat(repeat).repeat_direction("h")
    for place, query in enumerate(asked):
        panel.with_target(_query(query, place).range())
    return _finished(panel, title, text, unit, alerts, None, span)


def timeline(
    title: str, text: str, *asked: Query, words: Words, alerts: Sequence[str] = (), span: int = 12, height: int = 6
) -> Panel:
    """States over time, in words, a row each."""
    panel = (
        statetimeline.Panel()
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .thresholds(builders.ThresholdsConfig().steps(steps(NEUTRAL)))
        .show_value(common.VisibilityMode.ALWAYS)
        .merge_values(True)
        .fill_opacity(70)
        .line_width(0)
        .legend(common_builders.VizLegendOptions().show_legend(False))
        .height(height)
    )
    for place, query in enumerate(asked):
        panel.with_target(_query(query, place).range())
    return _finished(panel, title, text, PLAIN, alerts, words, span)


def listing(title: str, text: str, asked: Query, columns: Mapping[str, str], *, missing: str, span: int = 12) -> Panel:
    """What there is now, by its labels: a column for each, with its heading, sorted by the first. ``missing`` is said
    when there is nothing."""
    return _finished(_listed(asked, columns), title, text, PLAIN, (), None, span, missing)


def firing(names: Sequence[str] = ()) -> Panel:
    """The alerts that fire now, worst first; of all, or of those named."""
    classes: dict[str, tuple[str, str]] = {
        each: (f"{each} {_urgency(each)}", shade) for each, shade in _CLASS_COLOURS.items()
    }
    words = {**classes, queries.EVALUATED: ("rules are evaluated", GREEN)}
    shown: list[models.DynamicConfigValue] = [
        models.DynamicConfigValue("mappings", [_mapping(words)]),
        models.DynamicConfigValue("custom.cellOptions", {"type": "color-background"}),
        models.DynamicConfigValue("custom.width", 260),
    ]
    links = [{"title": "what it means, and what to do", "url": _page("${__value.raw}"), "targetBlank": True}]
    asked = Query(queries.firing("|".join(names) or ".+"), "")
    panel = _listed(asked, {"incident": "class", "alertname": "alert", "about": "about"})
    panel.override_by_name("class", shown).override_by_name("alert", [models.DynamicConfigValue("links", links)])
    text = (
        "Worst first, whatever token or exporter is chosen above. The Watchdog always fires: while it is listed, the "
        "rules are evaluated. When nothing is listed, no rule is, and silence means nothing. An alert's name leads to "
        "its page."
    )
    missing = "NO RULES ARE EVALUATED: attest.rules.yml is not loaded"
    return _finished(panel, "Which alerts fire?", text, PLAIN, (), None, 12, missing)


def _listed(asked: Query, columns: Mapping[str, str]) -> table.Panel:
    places = {
        "excludeByName": dict.fromkeys(("Time", "Value"), True),
        "indexByName": {label: place for place, label in enumerate(columns)},
        "renameByName": {label: heading for label, heading in columns.items() if label != heading},
    }
    first = next(iter(columns.values()))
    return (
        table.Panel()
        .thresholds(builders.ThresholdsConfig().steps(steps(NEUTRAL)))
        .with_transformation(models.DataTransformerConfig("organize", options=places))
        .sort_by([common_builders.TableSortByFieldState().display_name(first).desc(False)])
        .with_target(_query(asked).instant().format(PromQueryFormat.TABLE))
        .height(8)
    )


# -- what they have in common ----------------------------------------------------------------------------------------


def _finished(
    panel: _P,
    title: str,
    text: str,
    unit: str,
    alerts: Sequence[str],
    words: Words | None,
    span: int,
    missing: str = NO_DATA,
    told: Sequence[models.ValueMapping] = (),
) -> Panel:
    panel.title(title).description("\n\n".join([text, *map(_told, alerts)])).datasource(SOURCE).unit(unit).span(span)
    panel.no_value(missing).links([builders.DashboardLink(each).url(_page(each)).target_blank(True) for each in alerts])
    panel.mappings(
        [_mapping(words)] if words else [beyond(_NEVER_SECONDS, "never", RED)] if unit == SECONDS else [*told]
    )
    if unit == RATIO:
        panel.decimals(2)
    return Panel(panel.build(), tuple(alerts))


def _query(query: Query, place: int = 0) -> prometheus.Dataquery:
    """A panel's query in this place; they are called A, B, C."""
    scoped = queries.scoped(query.expr)
    return prometheus.Dataquery().ref_id(chr(ord("A") + place)).expr(scoped).legend_format(query.legend)


def _page(alert: str) -> str:
    """An alert's page, below where the variable says that the documentation is."""
    return f"${{docs:raw}}/docs/alerts/{alert}.md"


def _told(alert: str) -> str:
    """One alert, for a panel's description."""
    told = ALERTS[alert]
    return f"**{alert}** ({told.severity}, {told.incident}): {told.means} `attest alerts {alert}`"


def _mapping(words: Words) -> models.ValueMap:
    results = {
        value: models.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return models.ValueMap(results)


def beyond(start: float, text: str, colour: str) -> models.RangeMap:
    """A word for every number from ``start`` on, infinity too."""
    result = models.ValueMappingResult(text=text, color=colour, index=0)
    return models.RangeMap(models.DashboardRangeMapOptions(from_val=start, to=None, result=result))


def undefined(text: str) -> models.SpecialValueMap:
    """A word for a ratio of nothing to nothing."""
    result = models.ValueMappingResult(text=text, color=GREY, index=0)
    return models.SpecialValueMap(
        models.DashboardSpecialValueMapOptions(match=models.SpecialValueMatch.NULL_AND_NAN, result=result)
    )


_CLASS_COLOURS: Mapping[Incident, str] = {"P0": RED, "P1": RED, "P2": ORANGE, "P3": YELLOW}


def _urgency(incident: Incident) -> str:
    """The first words on a class (Critical, At once)."""
    level, when = INCIDENTS[incident].split(". ")[:2]
    return f"{level.lower()}: {when[0].lower()}{when[1:].split(':')[0]}"


def colour(alert: str) -> str:
    """Of an alert's severity."""
    return _COLOURS[ALERTS[alert].severity]


# -- limits ----------------------------------------------------------------------------------------------------------


def steps(good: str, *above: tuple[float, str]) -> list[models.Threshold]:
    """Limits of our own: the colour below all of them, and the colour from each on."""
    return [models.Threshold(None, good), *(models.Threshold(value, colour) for value, colour in above)]


def limits_of(*alerts: str) -> list[models.Threshold]:
    """Those of the alerts whose limit is a number; none of others. Grafana counts a limit to what is above it: of an
    alert above a limit it has the alert's colour already, but 0, of what is counted, has not."""
    conditions = []
    for each in alerts:
        condition = queries.condition(each)
        try:
            conditions.append((condition.limit, condition.operator, colour(each)))
        except ValueError:
            continue
    conditions.sort()
    below = [(limit, shade) for limit, operator, shade in conditions if operator == "<"]
    above = [
        (limit + 1 if operator == ">" and limit == 0 else limit, shade)
        for limit, operator, shade in conditions
        if operator in (">", ">=")
    ]
    if below and above:
        raise ValueError(f"{', '.join(alerts)}: limits on both sides")
    if below:
        colours = [shade for _, shade in below] + [GREEN]
        return steps(colours[0], *zip((limit for limit, _ in below), colours[1:], strict=True))
    return steps(GREEN if above else NEUTRAL, *above)
