"""CSV exports: RFC 4180 quoting, one header line, perhaps below a preamble; the columns are mapped as in ``table``.

The delimiter and the encoding are options, never guessed.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from attest.custody import table
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.errors import SourceError
from attest.model import StatedBalance

#: Longer than any row of balances; csv's own limit on one field is 131,072.
MAX_LINE = 100_000
MAX_LINES = 3_000_000

_OWN_OPTIONS = {
    "delimiter": "what stands between fields: one character, or tab [,]",
    "encoding": "utf-8, utf-16, latin-1, windows-1252 or iso-8859-15 [utf-8]",
    "header_line": "the number of the line with the columns' names; those above it are left out [1]",
    "final_newline": "false if the bank ends the last line without a line break [true]",
}
OPTIONS = table.OPTIONS | _OWN_OPTIONS

_BOMS = {
    "utf-8": (codecs.BOM_UTF8,),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "latin-1": (),
    "windows-1252": (),
    "iso-8859-15": (),
}
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-encoding": (
        "In another encoding the same bytes are other characters.",
        "Set the source's option `encoding` to what the bank writes, or export again.",
    ),
    "malformed-csv": ("From a damaged or cut file a wrong balance can be read.", table.AGAIN),
    "truncated-file": (
        "A file cut in the middle of its last number still looks well-formed.",
        'Export the statement again. If this bank never ends the last line, set final_newline = "false".',
    ),
}


@dataclass(frozen=True)
class Settings:
    """The checked options; see ``OPTIONS`` for what each one means."""

    columns: table.Columns
    delimiter: str = ","
    encoding: str = "utf-8"
    header_line: str = "1"
    final_newline: str = "true"

    def __post_init__(self) -> None:
        delimits = self.delimiter == "tab" or re.fullmatch(r"[^\w\s\"\0.-]", self.delimiter)
        table.need(delimits, "delimiter must be one character (no letter, digit, quote, dot or minus) or tab")
        table.need(self.encoding in _BOMS, f"encoding must be one of {', '.join(map(repr, _BOMS))}")
        table.need(re.fullmatch("[1-9][0-9]{0,3}", self.header_line), "header_line must be a number from 1 to 9999")
        table.need(self.final_newline in {"true", "false"}, "final_newline must be true or false")


def prepare(options: Mapping[str, object]) -> Settings:
    """The options as settings for :func:`read`. Raises ``ValueError`` saying what is wrong; unknown ones were refused
    before."""
    columns = table.prepare(options, _OWN_OPTIONS)
    return Settings(columns, **table.texts({name: options[name] for name in _OWN_OPTIONS if name in options}))


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """One balance for each row, in the rows' order. ``zone`` as in camt.053: what a date or a local time means.

    Raises :class:`SourceError` naming the document and the line.
    """
    return table.merge((document.name, _read_one(document, settings, zone)) for document in documents)


def _read_one(document: Document, settings: Settings, zone: str | None) -> tuple[StatedBalance, ...]:
    reader = _Reader(settings, document.name)
    rows = reader.rows(reader.decode(document.read(FORMAT.max_bytes)))
    first = int(settings.header_line)
    line, header = next(rows, (first, []))
    return table.read_rows(header, rows, settings.columns, zone=zone, where=document.name, header_number=line)


class _Reader:
    def __init__(self, settings: Settings, where: str) -> None:
        self.settings, self.where = settings, where

    def refuse(self, code: str, detail: str, line: int | None = None) -> NoReturn:
        reason, advice = _REFUSALS[code]
        place = self.where if line is None else f"{self.where}: line {line}"
        raise SourceError(f"{place}: {detail}", code=code, reason=reason, advice=advice)

    def decode(self, data: bytes) -> str:
        encoding = self.settings.encoding
        for name, marks in _BOMS.items():
            for mark in marks:
                if data.startswith(mark) and name != encoding:
                    self.refuse("wrong-encoding", f"begins with the mark of {name}, the option says {encoding}")
        if encoding == "utf-16" and not data.startswith(_BOMS["utf-16"]):
            self.refuse("wrong-encoding", "is not marked as UTF-16 (it has no byte order mark)")
        try:
            text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
        except UnicodeDecodeError as fault:
            self.refuse("wrong-encoding", f"is not {encoding} (byte {fault.start})")
        if "\0" in text:
            self.refuse("wrong-encoding", "holds NUL characters", text.count("\n", 0, text.index("\0")) + 1)
        if not text.endswith("\n") and self.settings.final_newline == "true":
            self.refuse("truncated-file", "does not end with a line break, so it may have been cut off")
        return text

    def rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """(number of the line that it begins on, fields) of every row from the header on; empty lines are allowed at
        the end only."""
        delimiter = "\t" if self.settings.delimiter == "tab" else self.settings.delimiter
        first = int(self.settings.header_line)
        reader = csv.reader(self._lines(text, first), delimiter=delimiter, strict=True)
        blank = 0
        begin = first
        try:
            for row in reader:
                if row and blank:
                    self.refuse("malformed-csv", "is empty in the middle of the file", blank)
                if row:
                    yield begin, row
                else:
                    blank = begin
                begin = first + reader.line_num
        except csv.Error as fault:
            self.refuse("malformed-csv", str(fault), begin)

    def _lines(self, text: str, first: int) -> Iterator[str]:
        begin, number = 0, 1
        while begin < len(text):
            end = text.find("\n", begin)
            end = len(text) if end < 0 else end + 1
            if end - begin > MAX_LINE:
                self.refuse("malformed-csv", f"is longer than {MAX_LINE} characters", number)
            if number > MAX_LINES:
                self.refuse("malformed-csv", f"is the line after {MAX_LINES} others", number)
            if number >= first:
                yield text[begin:end]
            begin, number = end, number + 1


FORMAT = Format("CSV exports, columns mapped", prepare, read, OPTIONS)
