"""PromQL for the dashboards: the alerts' own conditions, cut into what is measured and what it is measured against, and
matchers for the variables of a dashboard. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from attest.monitor.alerts import ALERTS, JOB
from attest.monitor.metrics import CATALOGUE

LABELS = {metric.name: metric.labels for metric in CATALOGUE}
#: Labels that a dashboard can be narrowed by, besides the exporter's address.
CHOSEN = ("token", "chain")

_OPERATOR = re.compile(r"\s(<=|>=|==|<|>)\s")
_SERIES = re.compile(r"\b(attest_\w+)(?:\{([^}]*)\})?")
_BRIDGED = re.compile(r"last_over_time\((attest_\w+(?:\{[^}]*\})?)\[3m\]\)")
_PARTS = re.compile(r"_(bucket|sum|count)$")

#: The four states of a token, the worse the higher; and what a state is when nobody tells it any more.
SUFFICIENT, STALE, WITHHELD, SHORT = range(4)
NOT_TOLD = -1


def base(series: str) -> str:
    """The metric of a series' name: a histogram has several."""
    return series if series in LABELS else _PARTS.sub("", series)


def scoped(expr: str) -> str:
    """An expression over what the dashboard's variables choose: ``$instance``, and ``$token`` and ``$chain`` for
    metrics that have that label."""

    def narrowed(match: re.Match[str]) -> str:
        labels = LABELS[base(match[1])]
        own = [match[2]] if match[2] else []
        variables = [f'{name}=~"${name}"' for name in ("instance", *CHOSEN) if name == "instance" or name in labels]
        matchers = ",".join([f'job="{JOB}"', *variables, *own])
        return f"{match[1]}{{{matchers}}}"

    return _SERIES.sub(narrowed, expr)


@dataclass(frozen=True)
class Condition:
    """An alert's condition on what is told now: ``left operator right``."""

    left: str
    operator: str
    right: str

    @property
    def limit(self) -> float:
        """Raises ``ValueError`` where an expression is the limit."""
        return float(self.right)


def condition(alert: str) -> Condition:
    """Without what holds it while an exporter is silent (``or``, the last value of three minutes), and what else it
    demands (``and``)."""
    now = _BRIDGED.sub(r"\1", ALERTS[alert].expr)
    left, operator, right = _OPERATOR.split(now.split("\nor\n")[0].split("\nand\n")[0], maxsplit=1)
    return Condition(left, operator, right)


def measured(alert: str) -> str:
    """What an alert compares with its limit."""
    return condition(alert).left


def within(counter: str, span: str = "1h") -> str:
    """By how much a counter of events rose within ``span``. They survive restarts; ``increase()`` would take the step
    back of a reorganisation for one."""
    return f"max_over_time({counter}[{span}]) - min_over_time({counter}[{span}])"


def told(gauge: str) -> str:
    """A gauge that stands for a state; once no exporter tells it for the same labels, :data:`NOT_TOLD` for a day."""
    labels = ", ".join(LABELS[gauge])
    last = f"max by ({labels}) (last_over_time({gauge}[1d]))"
    return f"{gauge}\nor\n({last} * 0 + {NOT_TOLD} unless on ({labels}) {gauge})"


def share(label: str, good: str, counted: Callable[[str], str]) -> str:
    """The share of what is counted whose label has a good value. ``counted`` makes an expression with a matcher."""
    some, every = f'{label}="{good}"', f'{label}=~".+"'
    return f"sum without ({label}) ({counted(some)}) / sum without ({label}) ({counted(every)})"


def collected_age(collectors: str) -> str:
    """Seconds since each of the parts of the watch (a regular expression) last succeeded. It goes on when no exporter
    tells it any more, for a day."""
    told = f'attest_collector_last_success_timestamp_seconds{{collector=~"{collectors}"}}'
    return f"time() - max by (collector) (last_over_time({told}[1d]))"


def token_states() -> str:
    """The state of each token. What is not told any more is stale, never sufficient; a shortfall outlives it, as its
    alert does."""
    old = f"{collected_age('token-($token)')} > {condition('CollectorStale').limit:g}"
    parts = [
        (SHORT, ALERTS["ReserveShortfall"].expr),
        (WITHHELD, ALERTS["OracleQuorumNotMet"].expr),
        (SHORT, ALERTS["OnchainReserveInsufficient"].expr),
        (STALE, f'label_replace({old}, "token", "$1", "collector", "token-(.+)")'),
        (SUFFICIENT, "attest_token_reserve_surplus_units"),
        (STALE, "last_over_time(attest_token_supply_units[1d])"),
    ]
    return "\nor\n".join(f"max by (token) ({expr}) * 0 + {state}" for state, expr in parts)


#: Labels that say what an alert is about.
_ABOUT = (
    *("token", "currency", "asset", "reporter", "pair", "kind"),
    *("chain", "endpoint", "validator", "contract", "role", "multisig"),
    *("collector", "task", "metric"),
)
#: What stands for the class of the Watchdog: in the alphabet it is after all classes.
EVALUATED = "rules"


def firing(names: str) -> str:
    """The alerts that fire, of those whose name matches, with the labels ``incident``, ``alertname`` and ``about``. The
    Watchdog is always among them, so that nothing at all means that no rules are evaluated."""
    fire = f'ALERTS{{alertstate="firing",alertname=~"{names}|Watchdog"}}'
    about = ", ".join(f'"{label}"' for label in _ABOUT)
    joined = f'label_replace(label_join({fire}, "about", " ", {about}), "about", "$1", "about", " *(.*?) *")'
    return (
        f'max by (incident, alertname, about) (label_replace({joined}, "incident", "{EVALUATED}", "incident", "none"))'
    )
