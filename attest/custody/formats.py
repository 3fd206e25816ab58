"""The formats by name. A format reads documents into what they state. Reading is pure: it knows no network and no
configuration but its options, so that the same bytes always say the same.

Most formats read documents that a transport brings. One that has ``fetch`` asks by itself (an API, a database, a
chain): what it was answered are its documents.

To add one: a module with a ``FORMAT`` and a line in :data:`BUILT_IN`; or, in a package of your own, an entry point of
the group ``attest.custody`` whose name is the format's and whose object is a :class:`Format`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol

from attest.custody.document import Document
from attest.custody.reach import Asked, Reach
from attest.errors import AttestError, OperatorError, SourceError
from attest.model import StatedBalance

GROUP = "attest.custody"

#: name -> ``module:object``, as an entry point says it.
BUILT_IN: Mapping[str, str] = {
    "camt053": "attest.custody.camt:STATEMENT",
    "camt052": "attest.custody.camt:REPORT",
    "mt940": "attest.custody.mt940:FORMAT",
    "mt950": "attest.custody.mt940:MT950",
    "bai2": "attest.custody.bai2:FORMAT",
    "csv": "attest.custody.csv_file:FORMAT",
    "xlsx": "attest.custody.xlsx:FORMAT",
    "ofx": "attest.custody.ofx:FORMAT",
    "sql": "attest.custody.sql:FORMAT",
    "erc20": "attest.custody.onchain:TOKEN",
    "native": "attest.custody.onchain:COIN",
    "json": "attest.custody.apis.json_api:FORMAT",
    "openbanking-uk": "attest.custody.apis.openbanking_uk:FORMAT",
    "berlin-group": "attest.custody.apis.berlin_group:FORMAT",
    "fireblocks": "attest.custody.apis.fireblocks:FORMAT",
    "bitgo": "attest.custody.apis.bitgo:FORMAT",
    "coinbase-prime": "attest.custody.apis.coinbase_prime:FORMAT",
    "kraken": "attest.custody.apis.kraken:FORMAT",
    "circle": "attest.custody.apis.circle:FORMAT",
}


class Read(Protocol):
    """Reads all documents of one source together (pages of one statement may lie in several). Pure.

    ``zone`` (IANA name) says what a date or local time means; None refuses local times and takes the end of a date in
    UTC. ``retrieved_at`` (aware) is when the documents were fetched: the time of a balance that has none of its own.
    Raises :class:`SourceError` naming the document.
    """

    def __call__(
        self, documents: Sequence[Document], settings: Any, *, zone: str | None, retrieved_at: datetime
    ) -> tuple[StatedBalance, ...]: ...


#: Asks a source by itself: ``fetch(asked, settings, reach)``. Raises :class:`SourceError` naming ``asked.where``,
#: :class:`ChainError`, or :class:`OperatorError` for a configuration that cannot work.
Fetch = Callable[[Asked, Any, Reach], Iterable[Document]]


@dataclass(frozen=True)
class Format:
    """One format. ``options`` maps the name of every option to what it means.

    ``prepare`` turns options into the settings that ``read`` and ``fetch`` take, one for all sources with the same
    options; it raises ``ValueError`` saying what is wrong. ``max_bytes`` bounds one document, unpacked. ``container``:
    its documents are zip archives themselves, and are not unpacked. ``corroborates``: a source of it may never count
    (intraday reports). ``location`` and ``connections`` say what a source of it needs (``connections`` are the kinds it
    takes; empty: none or, without ``fetch``, the transport's).
    """

    title: str
    prepare: Callable[[Mapping[str, object]], Any]
    read: Read
    options: Mapping[str, str] = field(default_factory=dict)
    fetch: Fetch | None = None
    max_bytes: int = 64 * 1024 * 1024
    container: bool = False
    corroborates: bool = False
    location: Literal["required", "optional", "none"] = "required"
    connections: tuple[str, ...] = ()


def names() -> tuple[str, ...]:
    """All formats' names: the built-in ones, then those of installed packages."""
    others = sorted({point.name for point in entry_points(group=GROUP)} - set(BUILT_IN))
    return (*BUILT_IN, *others)


def find(format_name: str, where: str) -> Format:
    """A format by its name. A built-in one cannot be replaced by a package.

    Raises :class:`OperatorError` naming ``where`` if there is none, or a package's cannot be loaded.
    """
    if format_name in BUILT_IN:
        module, _, name = BUILT_IN[format_name].partition(":")
        built_in: Format = getattr(import_module(module), name)
        return built_in
    points = [point for point in entry_points(group=GROUP) if point.name == format_name]
    if not points:
        raise OperatorError(
            f"{where}: there is no format {format_name!r}",
            code="unknown-format",
            reason="A statement is read by exactly the rules of its format, or not at all.",
            advice=f"The formats are: {', '.join(names())}.",
        )
    try:
        if len(points) > 1:
            raise TypeError(f"{len(points)} packages have a format of this name")
        loaded = points[0].load()
        if not isinstance(loaded, Format):
            raise TypeError(f"{points[0].value} is not a Format")
    except Exception as fault:  # whatever a stranger's package does when it is imported
        raise OperatorError(
            f"{where}: the format {format_name!r} cannot be loaded: {fault}",
            code="format-not-loaded",
            reason="A statement is read by exactly the rules of its format, or not at all.",
            advice="Install the package that has it anew, or remove it.",
        ) from fault
    return loaded


def check_options(format_name: str, options: Mapping[str, object], where: str) -> Any:
    """The settings for a format's ``read`` and ``fetch``.

    Raises :class:`OperatorError` naming ``where`` for an unknown format or option (the known ones are listed), and for
    a value that the format does not take.
    """
    known = find(format_name, where)
    unknown = sorted(set(options) - set(known.options))
    if unknown:
        listed = ", ".join(known.options) or "it has none"
        raise OperatorError(
            f"{where}: format {format_name} has no option {unknown[0]!r}",
            code="unknown-option",
            reason="An option that is not understood may change what a number means.",
            advice=f"The options of {format_name}: {listed}.",
        )
    try:
        return _prepared(known.prepare, _Written(repr(sorted(options.items())), options))
    except ValueError as fault:
        raise OperatorError(
            f"{where}: options of format {format_name}: {fault}",
            code="malformed-option",
            reason="A statement is read by exactly what its options say; nothing is guessed.",
            advice=f"The options of {format_name}: {', '.join(known.options)}.",
        ) from None


@dataclass(frozen=True)
class _Written:
    """Options, told apart by how they are written: ``True`` and ``1`` are equal, but not the same option."""

    text: str
    options: Mapping[str, object] = field(compare=False)


@lru_cache(maxsize=1024)
def _prepared(prepare: Callable[[Mapping[str, object]], Any], written: _Written) -> Any:
    """The settings; thousands of sources share a few."""
    return prepare(written.options)


def no_options(options: Mapping[str, object]) -> tuple[()]:
    """``prepare`` of a format whose documents say everything themselves."""
    return ()


def read(
    format_name: str,
    documents: Sequence[Document],
    options: Mapping[str, object],
    *,
    zone: str | None,
    retrieved_at: datetime,
) -> tuple[StatedBalance, ...]:
    """All balances that the documents state, signed (a debit is negative), as :class:`Read` does. Pure.

    Raises :class:`SourceError` naming the document, or :class:`OperatorError` as :func:`check_options` does.
    """
    where = documents[0].name
    settings = check_options(format_name, options, where)
    try:
        stated = find(format_name, where).read(documents, settings, zone=zone, retrieved_at=retrieved_at)
    except Exception as fault:
        if isinstance(fault, AttestError) or format_name in BUILT_IN:
            raise
        # A package's mistake must not hide what the other sources say.
        raise SourceError(
            f"{where}: format {format_name} failed with {type(fault).__name__}: {fault}",
            code="format-failed",
            reason="A statement is read by exactly the rules of its format, or not at all.",
            advice="Tell whoever maintains the package of this format; it should refuse what it cannot read.",
        ) from fault
    for balance in stated:
        for text in (balance.account, balance.statement_id):
            if not text.isprintable():
                raise SourceError(
                    f"{where}: {text!r} holds control or invisible characters",
                    code="unprintable-text",
                    reason="An identifier that does not look like what it is can deceive whoever reads it.",
                    advice="Ask the custodian for a correct file, and find out who changed this one.",
                )
    return stated
