"""A notice in words, for whoever is woken by it: how bad it is, what and of what, what it means, the first command to
type, and the page. Pure.

A message is plain text. What contracts, nodes and servers may have put into it cannot call a whole channel, hide a
link, or change how the rest is shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from attest.errors import printable
from attest.monitor.notices import Notice
from attest.records import Hex32, digest

#: As services colour a message.
Mood: TypeAlias = Literal["failure", "warning", "info", "success"]
_MOODS: dict[str, Mood] = {"critical": "failure", "warning": "warning", "info": "info"}
#: Longer than this nobody reads a message, whatever the service takes.
LONGEST = 3000
_LONGEST_DETAIL, _LONGEST_LINE = 500, 160
_SIGN = "…"


@dataclass(frozen=True)
class Message:
    """One message: ``notices`` are those that it tells of; ``incident``, for services that keep incidents, is the same
    for all messages of one finding, and None for a message of several."""

    title: str
    body: str
    mood: Mood
    notices: tuple[Notice, ...]
    incident: Hex32 | None = None


def message(notices: Sequence[Notice], sender: str, now: datetime, *, others: bool, limit: int) -> Message:
    """One message of one or several notices, of at most ``limit`` characters with its title. Of several it names as
    many as fit, and at least one. ``sender``: whose watch this is; ``others``: messages of single ones went before."""
    limit = min(limit, LONGEST)
    signature = _signature(sender, now)
    if len(notices) > 1:
        return _several(notices, signature, others, limit)
    (notice,) = notices
    title = _title(notice)
    told = [*_happening(notice, now), "", *_next(notice), "", signature]
    incident = digest("\n".join((sender, *notice.key)).encode())
    return Message(title, _cut("\n".join(told), limit - len(title) - 2), _mood(notice), (notice,), incident)


def _signature(sender: str, now: datetime) -> str:
    return f"{harmless(sender)}, attest monitor, {_at(now)}"


def _title(notice: Notice) -> str:
    how = {
        "new": _severity(notice),
        "worse": f"WORSE, {_severity(notice)}",
        "lasting": f"STILL {_severity(notice)}",
        "ended": "ENDED",
    }
    return f"{how[notice.kind]}: {notice.alert}: {_short(notice.subject, _LONGEST_LINE)}"


def _severity(notice: Notice) -> str:
    incident = f" {notice.incident}" if notice.incident.startswith("P") else ""
    return f"{notice.severity.upper()}{incident}"


def _happening(notice: Notice, now: datetime) -> list[str]:
    since = f"{_at(notice.since)} ({lasted(now - notice.since)})"
    if notice.kind == "ended":
        return [f"It was {_severity(notice)} since {since}, and does not hold any more."]
    told = [] if notice.listed is None else [notice.listed.means]
    told.append(f"Now: {_short(notice.detail, _LONGEST_DETAIL)}")
    return told if notice.kind == "new" else [*told, f"Since {since}."]


def _next(notice: Notice) -> list[str]:
    if notice.kind == "ended":
        return ["Look once more: attest monitor --once"]
    if notice.listed is None:
        return ["First: attest monitor --once", "Page: docs/monitor.md"]
    command, about = notice.listed.commands[0]
    return [f"First ({about}):", command, f"Page: {notice.listed.page}"]


def _several(notices: Sequence[Notice], signature: str, others: bool, limit: int) -> Message:
    title = f"{len(notices)} {'more' if others else 'findings'}: {_counted(notices)}"
    frame = ["", "All of it: attest monitor --once", signature]
    room = limit - len("\n".join([title, *frame, "and 1000000 more"])) - 2
    lines = _fitting([_line(each, detailed=True) for each in notices], room)
    if len(lines) < len(notices):
        lines = _fitting([_line(each, detailed=False) for each in notices], room)
    named = tuple(notices[: len(lines)])
    unnamed = [f"and {len(notices) - len(named)} more"] if len(named) < len(notices) else []
    body = "\n".join([*lines, *unnamed, *frame])
    return Message(title, _cut(body, limit - len(title) - 2), min(map(_mood, notices), key=_BY_MOOD.index), named)


def _fitting(lines: Sequence[str], room: int) -> Sequence[str]:
    """As many as fit, and at least one."""
    used = 0
    for number, line in enumerate(lines):
        used += len(line) + 1
        if used > room and number:
            return lines[:number]
    return lines


_BY_MOOD: tuple[Mood, ...] = ("failure", "warning", "info", "success")


def _counted(notices: Sequence[Notice]) -> str:
    words = Counter("ended" if each.kind == "ended" else each.severity.upper() for each in notices)
    return ", ".join(f"{words[word]} {word}" for word in ("CRITICAL", "WARNING", "INFO", "ended") if words[word])


def _line(notice: Notice, *, detailed: bool) -> str:
    detail = f": {_short(notice.detail, _LONGEST_LINE)}" if detailed and notice.detail else ""
    return f"- {_title(notice)}{detail}"


def _mood(notice: Notice) -> Mood:
    return "success" if notice.kind == "ended" else _MOODS[notice.severity]


def lasted(time: timedelta) -> str:
    """A duration in its two largest units, for example ``2 h 5 min``."""
    minutes = int(time.total_seconds()) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _at(instant: datetime) -> str:
    return f"{instant:%a %Y-%m-%d %H:%M} UTC"


def _short(text: str, longest: int) -> str:
    return _cut(harmless(text), longest)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: max(longest - len(_SIGN), 0)]}{_SIGN}"


def harmless(text: str) -> str:
    """Text from elsewhere as plain text of a message: no control characters, no mention (``@channel``, ``<!here>``), no
    link under another name (``[bank](https://…)``, ``<https://…|bank>``), no markup."""
    plain = printable(text).replace("@", "(at)").replace("](", "] (").replace("`", "'")
    return re.sub(r"<(?! )", "< ", plain)


def trial(destination: str, severities: Sequence[str], sender: str, now: datetime) -> Message:
    """What ``--notify-test`` sends."""
    body = (
        f"This is a test of {destination}. Nothing has happened. Findings are told here that are "
        f"{' or '.join(severities)}: what is new, gets worse, lasts and ends."
    )
    return Message("TEST: attest monitor reaches you", f"{body}\n\n{_signature(sender, now)}", "info", ())
