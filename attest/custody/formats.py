"""The formats by name. A format reads one document's bytes into what it states; it fetches nothing and knows no
configuration, so that the same bytes always say the same.

To add one: a module with ``read`` and ``check_options`` as below, and a line in :data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attest.custody import camt053, csv_file
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance


@dataclass(frozen=True)
class Format:
    """One format. ``options`` maps the name of every option to what it means.

    ``prepare`` turns options into the settings that ``read`` takes; it raises ``ValueError`` saying what is wrong.
    ``read(data, settings, zone=..., where=...)`` is pure and raises :class:`SourceError` only.
    """

    title: str
    prepare: Callable[[Mapping[str, object]], Any]
    read: Callable[..., tuple[StatedBalance, ...]]
    options: Mapping[str, str] = field(default_factory=dict)


FORMATS: Mapping[str, Format] = {
    "camt053": Format("ISO 20022 camt.053 XML statements", camt053.check_options, camt053.read),
    "csv": Format("CSV exports, columns mapped", csv_file.check_options, csv_file.read, csv_file.OPTIONS),
}


def check_options(format_name: str, options: Mapping[str, object], where: str) -> Any:
    """The settings for a format's ``read``.

    Raises :class:`OperatorError` naming ``where`` for an unknown format or option (the known ones are listed), and for
    a value that the format does not take.
    """
    known = FORMATS.get(format_name)
    if known is None:
        raise OperatorError(
            f"{where}: there is no format {format_name!r}",
            code="unknown-format",
            reason="A statement is read by exactly the rules of its format, or not at all.",
            advice=f"The formats are: {', '.join(FORMATS)}.",
        )
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
        return known.prepare(options)
    except ValueError as fault:
        raise OperatorError(
            f"{where}: options of format {format_name}: {fault}",
            code="malformed-option",
            reason="A statement is read by exactly what its options say; nothing is guessed.",
            advice=f"The options of {format_name}: {', '.join(known.options)}.",
        ) from None


def read(
    format_name: str, data: bytes, options: Mapping[str, object], *, zone: str | None, where: str
) -> tuple[StatedBalance, ...]:
    """All closing balances that the document states, signed (a debit is negative). Pure.

    ``zone`` (IANA name) says what a date or a local time means; None refuses local times and takes the end of a date in
    UTC. Raises :class:`SourceError` naming ``where``, or :class:`OperatorError` as :func:`check_options` does.
    """
    settings = check_options(format_name, options, where)
    stated = FORMATS[format_name].read(data, settings, zone=zone, where=where)
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
