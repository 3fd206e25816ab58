"""Locations of documents: how one is shown to people, what it may be reached by, and which names a pattern means."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

from attest.errors import SourceError, printable
from attest.records import format_instant

#: More documents than this for one source are a mistake (an archive folder, the wrong ``**``).
MAX_DOCUMENTS = 400

REASON = "An account can be attested only from what its custodian stated."


def shown(location: str) -> str:
    """``location`` for messages: without user and password, and without a URL's query, which may be a signature."""
    scheme, mark, rest = location.partition("://")
    if not mark or scheme.lower() == "file":
        return printable(location)
    authority, slash, path = rest.partition("/")
    if scheme.lower() in ("http", "https"):
        authority = authority.partition("?")[0]
        path = path.partition("?")[0].partition("#")[0]
    return printable(f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}")


def check_encrypted(url: str) -> None:
    """Raises ``ValueError`` for plain HTTP to anything but this machine: who sits between could change a statement."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        raise ValueError("http:// is read and changed by everybody on the way; use https://")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def provenance(**facts: str | datetime | None) -> str:
    """What identifies a document where it came from, as text: ``etag: "1b2c"; version-id: 3``. What is not known is
    left out."""
    told = {name: format_instant(fact) if isinstance(fact, datetime) else fact for name, fact in facts.items()}
    return printable("; ".join(f"{name.replace('_', '-')}: {fact}" for name, fact in told.items() if fact)[:500])


# -- patterns --------------------------------------------------------------------------------------------------------


def is_pattern(path: str) -> bool:
    """Whether ``path`` means several names, as file globs do: ``*``, ``?``, ``[...]``."""
    return glob.has_magic(path)


def before_pattern(path: str) -> str:
    """What all names that ``path`` can mean begin with."""
    return path[: next((at for at, char in enumerate(path) if char in "*?["), len(path))]


def matches(name: str, pattern: str) -> bool:
    """Whether the pattern means this name, as in file globs: ``*`` stays within one part between slashes, ``**`` is
    any number of parts, and neither means parts that begin with a dot. Case matters."""
    return _match(name.split("/"), pattern.split("/"))


def matches_part(name: str, pattern: str) -> bool:
    """:func:`matches` for one part between slashes."""
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _match(names: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        last = len(patterns) == 1  # then it stands for what lies there: a/** does not mean a itself
        if not last and _match(names, patterns[1:]):
            return True
        if not names or names[0].startswith("."):
            return False
        return (last and len(names) == 1) or _match(names[1:], patterns)
    return bool(names) and matches_part(names[0], patterns[0]) and _match(names[1:], patterns[1:])


def select(where: str, names: Iterable[str], pattern: str) -> list[str]:
    """The names that the pattern means, sorted. Raises :class:`SourceError` naming ``where``: ``file-missing`` if there
    is none, ``too-many-files`` as soon as there are more than :data:`MAX_DOCUMENTS`."""
    found: list[str] = []
    for name in names:
        if matches(name, pattern):
            found.append(name)
            check_count(where, len(found))
    if not found:
        raise missing(where, "nothing matches")
    return sorted(found)


# -- refusals --------------------------------------------------------------------------------------------------------


def check_count(where: str, number: int) -> None:
    """Raises :class:`SourceError` (``too-many-files``) for more than :data:`MAX_DOCUMENTS` documents."""
    if number > MAX_DOCUMENTS:
        raise SourceError(
            f"{where}: more than {MAX_DOCUMENTS} documents match",
            code="too-many-files",
            reason="So many are an archive rather than one period's statements.",
            advice="Narrow the location, for example with {period} in it.",
        )


def missing(where: str, detail: str) -> SourceError:
    """The refusal of a location where nothing is."""
    return SourceError(
        f"{where}: {detail}",
        code="file-missing",
        reason=REASON,
        advice="Find out whether the custodian has put the statement there yet, or correct the source's location.",
    )


def unreadable(where: str, detail: str, advice: str) -> SourceError:
    """The refusal of a document that is there, or may be, and that is not given to us."""
    return SourceError(f"{where}: {detail}", code="file-unreadable", reason=REASON, advice=advice)


def unreachable(where: str, detail: str) -> SourceError:
    """The refusal of a server that does not answer."""
    return SourceError(
        f"{where}: {detail}",
        code="unreachable",
        reason=REASON,
        advice="Run again; if it goes on, check the location, the network and whether the server is up.",
    )


def late(where: str) -> SourceError:
    """The refusal of a source that outlasts the collection's deadline."""
    return SourceError(
        f"{where}: had not answered when the time for collecting was over",
        code="deadline",
        reason="One source that hangs must not keep the others waiting for ever.",
        advice="Run again; if it is slow by nature, raise collection.deadline_seconds.",
    )


def changed(where: str) -> SourceError:
    """The refusal of a document that was written while it was read."""
    return SourceError(
        f"{where}: changed while it was read",
        code="file-changed",
        reason="Half of one statement and half of another say nothing.",
        advice="Run again once the custodian has finished writing it.",
    )
