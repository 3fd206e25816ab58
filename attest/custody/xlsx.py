"""XLSX workbooks: one sheet is read as a table whose columns are mapped as in ``table``.

Sources: ECMA-376 part 1 (18.3 worksheets, 18.8.30 number formats, 18.17.4 dates and the 1904 system) and part 2 (OPC:
parts and relationships). The archive and its XML are read by the standard library, within bounds; nothing is evaluated
or followed. Only mapped columns are looked at, from the header row down. What a person who opens the file does not see
as it is stored there (formulas, errors, hidden and merged cells, scaled numbers) is refused.
"""

from __future__ import annotations

import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NoReturn

from attest.custody import table, xml
from attest.custody.document import Document, too_large
from attest.custody.formats import Format
from attest.errors import SourceError
from attest.model import StatedBalance

#: All parts together, unpacked.
MAX_UNPACKED = 64 * 1024 * 1024
MAX_MEMBERS = 1000
#: Sheets of numbers shrink to a tenth or twentieth; deflate can reach 1032.
MAX_RATIO = 250
#: The archive's table of contents: a thousand members with long names.
MAX_DIRECTORY = 1024 * 1024
#: Excel's own limit on a cell is 32,767 characters; escaped ones are longer.
MAX_TEXT = 250_000
#: Cells of the sheet that is read, empty ones included: some seconds' work.
MAX_CELLS = 600_000
#: Of the elements that are looked at, in one part: where cells and texts stand, and in what describes them.
MAX_ELEMENTS, MAX_DESCRIBING = 4 * MAX_CELLS, 100_000
#: Excel's own limits on a sheet.
MAX_ROW, MAX_COLUMN = 1_048_576, 16_384
#: A double is exact in both directions up to here.
MAX_DIGITS = 15
#: Excel's own limit on a number format's length.
MAX_FORMAT = 255

_OWN_OPTIONS = {
    "sheet": "name of the sheet; needed if the workbook has several",
    "header_row": "the number of the row with the columns' names; those above it are left out [1]",
}
OPTIONS = table.OPTIONS | _OWN_OPTIONS

_SPREADSHEET = re.compile(
    r"http://schemas\.openxmlformats\.org/spreadsheetml/2006/main|http://purl\.oclc\.org/ooxml/spreadsheetml/main"
)
_PACKAGE = re.compile(r"http://schemas\.openxmlformats\.org/package/2006/relationships")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_REFERENCE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,30})?(?:[Ee][+-]?[0-9]{1,2})?", re.ASCII)
_INDEX = re.compile(r"[0-9]{1,8}", re.ASCII)
_ESCAPED = re.compile("_x[0-9A-Fa-f]{4}_")
_TRUE = {"1", "true"}
#: The built-in number formats that are not plain numbers; those of East Asian locales differ from place to place.
_BUILT_IN = {
    9: "0%", 10: "0.00%", 14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm", 19: "h:mm:ss",
    20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 45: "mm:ss", 46: "h:mm:ss", 47: "mm:ss",
} | dict.fromkeys((*range(27, 37), *range(50, 59)), "d")  # fmt: skip
_UNSHOWN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
_SCALED = re.compile(r"%|[0#?],+(?![0#?,])")
_DAY_0 = date(1899, 12, 30)
#: Where the 1904 system begins, counted in the 1900 system.
_DAYS_1904 = 1462
_LAST_SERIAL = 200_000

_CORRECT = "Export the statement again as plain values; if it is unchanged, ask the custodian for a CSV or XML file."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "malformed-xlsx": ("From a damaged or cut file a wrong balance can be read.", _CORRECT),
    "encrypted-workbook": (
        "What cannot be opened states nothing.",
        "Ask for the statement as .xlsx without a password; protect it on its way (SFTP, HTTPS, a signature) instead.",
    ),
    "macros": ("A macro can show another number than the one that is stored.", "Ask for an .xlsx without macros."),
    "external-link": (
        "A number that lies in another file can change without this one.",
        "Export the statement as plain values, without links to other workbooks.",
    ),
    "wrong-sheet": (
        "Another sheet is another document; none is ever guessed.",
        "Set the source's option `sheet` to the name of the sheet with the balances.",
    ),
    "hidden-cells": (
        "A person who compares this workbook with the attestation does not see them.",
        "Show all rows, columns and sheets (and remove filters), or export the statement again.",
    ),
    "merged-cells": ("A merged cell hides the cells below it.", _CORRECT),
    "formula-cell": ("The stored result of a formula can be older than what it refers to.", _CORRECT),
    "error-cell": ("An error is no balance.", _CORRECT),
    "imprecise-number": (
        "A workbook's numbers are binary fractions: beyond 15 digits the last ones are no longer what was meant.",
        "Ask for the amounts as text or rounded to the currency's decimals, or for a CSV or XML file.",
    ),
    "misleading-format": (
        "A person who opens the workbook sees another number or date than the one that is stored.",
        "Format the column as plain numbers, full dates or text, and export the statement again.",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The checked options; see ``OPTIONS`` for what each one means."""

    columns: table.Columns
    sheet: str | None = None
    header_row: str = "1"

    def __post_init__(self) -> None:
        table.need(self.sheet != "", "sheet must not be empty")
        table.need(re.fullmatch("[1-9][0-9]{0,3}", self.header_row), "header_row must be a number from 1 to 9999")


def prepare(options: Mapping[str, object]) -> Settings:
    """The options as settings for :func:`read`. Raises ``ValueError`` saying what is wrong; unknown ones were refused
    before."""
    columns = table.prepare(options, _OWN_OPTIONS)
    return Settings(columns, **table.texts({name: options[name] for name in _OWN_OPTIONS if name in options}))


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """One balance for each row, in the rows' order. ``zone`` says what a date or a local time means (a workbook's times
    never have an offset).

    Raises :class:`SourceError` naming the document, the sheet and the row.
    """
    return table.merge((document.name, _read_one(document, settings, zone)) for document in documents)


def _read_one(document: Document, settings: Settings, zone: str | None) -> tuple[StatedBalance, ...]:
    book = _Book(_Archive(document.read(FORMAT.max_bytes), document.name), document.name)
    name, part = book.sheet(settings.sheet)
    where = f"{document.name}: sheet {name!r}"
    sheet = _Sheet(book, settings, where)
    book.parse(part, "worksheet", _SHEET_LEAVES, _SHEET_CONTAINERS, sheet.element)
    return table.read_rows(
        sheet.header, sheet.rows, settings.columns, zone=zone, where=where, place="row", header_number=sheet.first
    )


def _refuse(where: str, code: str, detail: str) -> NoReturn:
    reason, advice = _REFUSALS[code]
    raise SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


# -- the archive -----------------------------------------------------------------------------------------------------


class _Archive:
    """A zip archive whose members are read whole, within bounds that are checked before anything is unpacked."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        if data.startswith(_OLE):
            _refuse(where, "encrypted-workbook", "is a workbook with a password, or an .xls of before 2007")
        self._check_directory(data)
        try:
            self.archive = zipfile.ZipFile(io.BytesIO(data))
        except _ZIP_FAULTS as fault:
            self.malformed(fault)
        members = self.archive.infolist()
        # OPC compares names without regard to case.
        self.members = {member.filename.lower(): member for member in members}
        if len(self.members) != len(members):
            _refuse(where, "malformed-xlsx", "holds two parts of the same name")
        if min((member.header_offset for member in members), default=1):
            _refuse(where, "malformed-xlsx", "does not begin with its first part")
        if sum(member.file_size for member in members) > MAX_UNPACKED:
            raise too_large(where, MAX_UNPACKED)
        for member in members:
            if member.flag_bits & 0x1:
                _refuse(where, "encrypted-workbook", f"its part {member.filename[:100]!r} is encrypted")
            if member.file_size > MAX_RATIO * max(member.compress_size, 4096):
                _refuse(where, "malformed-xlsx", f"its part {member.filename[:100]!r} unpacks to far more than it is")
            if member.filename.lower().endswith("vbaproject.bin"):
                _refuse(where, "macros", "holds macros")
            if member.filename.lower().startswith("xl/externallinks/"):
                _refuse(where, "external-link", "is linked to other files")

    def _check_directory(self, data: bytes) -> None:
        """What the archive says of its own table of contents, before that is read into memory."""
        end = data[-22:]
        if not data.startswith(b"PK\x03\x04") or end[:6] != b"PK\x05\x06\0\0" or end[20:] != b"\0\0":
            _refuse(self.where, "malformed-xlsx", "is no complete .xlsx (a zip archive)")
        count, size = struct.unpack("<HL", end[10:16])
        large = data[-98:-42]
        if data[-42:-38] == b"PK\x06\x07" and large[:4] == b"PK\x06\x06" and len(large) == 56:
            count, size = struct.unpack("<QQ", large[32:48])
        if count > MAX_MEMBERS or size > MAX_DIRECTORY:
            _refuse(self.where, "malformed-xlsx", f"holds more than {MAX_MEMBERS} parts")

    def malformed(self, fault: Exception) -> NoReturn:
        _refuse(self.where, "malformed-xlsx", f"cannot be unpacked ({str(fault)[:200] or type(fault).__name__})")

    def part(self, name: str) -> bytes:
        """All bytes of one member."""
        member = self.members.get(name.lower())
        if member is None:
            _refuse(self.where, "malformed-xlsx", f"its part {name[:100]!r} is missing")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            _refuse(self.where, "malformed-xlsx", f"its part {name[:100]!r} is packed in an unusual way")
        try:
            with self.archive.open(member) as file:
                # zipfile gives no more than the size that the table of contents says, which was checked.
                data = file.read(member.file_size)
        except _ZIP_FAULTS as fault:
            self.malformed(fault)
        if len(data) != member.file_size:
            _refuse(self.where, "malformed-xlsx", f"its part {name[:100]!r} is cut off")
        return data


_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
)


# -- the workbook ----------------------------------------------------------------------------------------------------

#: How a number is shown: ``time`` is a date with a time of day.
_Shown = Literal["number", "date", "time", "other"]


class _Book:
    """The parts of a workbook, found by their relationships."""

    def __init__(self, archive: _Archive, where: str) -> None:
        self.archive, self.where = archive, where
        main = [part for kind, part in self._related("", "_rels/.rels").values() if kind == "officeDocument"]
        if len(main) != 1:
            _refuse(where, "malformed-xlsx", f"names {len(main)} workbooks")
        folder, _, name = main[0].rpartition("/")
        self.related = self._related(folder, posixpath.join(folder, "_rels", f"{name}.rels"))
        self.sheets: list[Mapping[str, str]] = []
        self.epoch = _DAY_0
        self.parse(main[0], "workbook", {"workbookPr", "sheets/sheet"}, set(), self._workbook)
        self.texts: list[str] = []
        self._text: list[str] = []
        for part in self._of_kind("sharedStrings"):
            self.parse(part, "sst", {"si/t", "si/r/t"}, {"si"}, self._shared)
        self.formats: list[int] = []
        self.codes: dict[int, str] = {}
        for part in self._of_kind("styles"):
            self.parse(part, "styleSheet", {"numFmts/numFmt"}, {"cellXfs/xf"}, self._style)

    def parse(
        self, part: str, root: str, leaves: Collection[str], containers: Collection[str], on_element: xml.OnElement
    ) -> None:
        """Read one part's XML; paths are relative to its root."""
        most = MAX_ELEMENTS if root in {"worksheet", "sst"} else MAX_DESCRIBING
        count = 0

        def element(path: str, text: str, attributes: Mapping[str, str]) -> None:
            nonlocal count
            count += 1
            if count > most:
                _refuse(self.where, "malformed-xlsx", f"its part {part[:100]!r} holds more than {most} elements")
            on_element(path.partition("/")[2], text, attributes)

        xml.read(
            io.BytesIO(self.archive.part(part)),
            namespace=_PACKAGE if root == "Relationships" else _SPREADSHEET,
            expected=f"a workbook's {root}",
            leaves={f"{root}/{leaf}" for leaf in leaves},
            containers={f"{root}/{container}" for container in containers},
            on_element=element,
            where=f"{self.where}: {part[:100]}",
            max_text=MAX_TEXT,
        )

    def _related(self, folder: str, part: str) -> dict[str, tuple[str, str]]:
        """(kind, part) by the relationship's id."""
        related: dict[str, tuple[str, str]] = {}

        def relationship(path: str, text: str, attributes: Mapping[str, str]) -> None:
            kind = attributes.get("Type", "").rpartition("/")[2]
            identifier, target = attributes.get("Id", ""), attributes.get("Target", "")
            if attributes.get("TargetMode", "Internal") != "Internal" or kind == "externalLink":
                _refuse(self.where, "external-link", "is linked to other files")
            if kind == "vbaProject":
                _refuse(self.where, "macros", "holds macros")
            if identifier in related or not identifier or not target:
                _refuse(self.where, "malformed-xlsx", f"the relationships in {part[:100]} are not complete")
            related[identifier] = (kind, posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/"))

        self.parse(part, "Relationships", {"Relationship"}, set(), relationship)
        return related

    def _of_kind(self, wanted: str) -> list[str]:
        parts = [part for kind, part in self.related.values() if kind == wanted]
        if len(parts) > 1:
            _refuse(self.where, "malformed-xlsx", f"has {len(parts)} parts {wanted}")
        return parts

    def _workbook(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path == "sheets/sheet":
            self.sheets.append(attributes)
        elif attributes.get("date1904", "0") in _TRUE:
            self.epoch = _DAY_0 + timedelta(days=_DAYS_1904)

    def _shared(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path != "si":
            self._text.append(text)
        else:
            self.texts.append("".join(self._text))
            self._text = []

    def _style(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        number = attributes.get("numFmtId", "0")
        if not _INDEX.fullmatch(number):
            _refuse(self.where, "malformed-xlsx", f"has the number format {number[:20]!r}")
        if path == "cellXfs/xf":
            self.formats.append(int(number))
        else:
            self.codes[int(number)] = attributes.get("formatCode", "")

    def sheet(self, wanted: str | None) -> tuple[str, str]:
        """(name, part) of the sheet of that name, or of the only one."""
        names = [sheet.get("name", "") for sheet in self.sheets]
        listed = ", ".join(repr(name[:40]) for name in names[:5]) + (", ..." if len(names) > 5 else "")
        if wanted is None and len(names) != 1:
            _refuse(self.where, "wrong-sheet", f"holds {len(names)} sheets ({listed}), and none is chosen")
        chosen = [sheet for sheet in self.sheets if wanted in {None, sheet.get("name")}]
        if len(chosen) != 1:
            _refuse(self.where, "wrong-sheet", f"holds {len(chosen)} sheets {wanted!r}; there are: {listed}")
        name = chosen[0].get("name", "")
        if chosen[0].get("state", "visible") != "visible":
            _refuse(self.where, "hidden-cells", f"its sheet {name!r} is hidden")
        identifiers = [value for key, value in chosen[0].items() if key.endswith("}id")]
        kind, part = self.related.get(identifiers[0], ("", "")) if len(identifiers) == 1 else ("", "")
        if kind != "worksheet":
            _refuse(self.where, "wrong-sheet", f"its sheet {name!r} holds no cells")
        return name, part

    def shown(self, style: str, where: str) -> tuple[_Shown, str]:
        """How a number of this style is shown, and its format."""
        if not self.formats and style == "0":
            return "number", "General"
        if not _INDEX.fullmatch(style) or int(style) >= len(self.formats):
            _refuse(where, "malformed-xlsx", f"has the style {style[:20]!r}, which does not exist")
        number = self.formats[int(style)]
        code = self.codes.get(number) or _BUILT_IN.get(number, "General")
        if len(code) > MAX_FORMAT:
            return "other", code
        plain = _UNSHOWN.sub("", code).lower()
        letters = set(plain) & set("ymdhs")
        if not letters:
            return "other" if _SCALED.search(plain) else "number", code
        if letters >= set("ymd"):
            return "time" if "h" in letters else "date", code
        return "other", code


# -- the sheet -------------------------------------------------------------------------------------------------------

_ROW = "sheetData/row"
_CELL = f"{_ROW}/c"
_SHEET_LEAVES = {
    "sheetFormatPr",
    "cols/col",
    f"{_CELL}/v",
    f"{_CELL}/f",
    f"{_CELL}/is/t",
    f"{_CELL}/is/r/t",
    "mergeCells/mergeCell",
}
_SHEET_CONTAINERS = {_ROW, _CELL}


@dataclass(frozen=True)
class _Cell:
    """One cell as it is stored: its type and style, and what stands in it."""

    kind: str
    style: str
    text: str
    formula: bool


class _Sheet:
    """Collects the mapped fields of the rows from the header down; what the reader reports comes as each element ends,
    so a row's cells come before the row."""

    def __init__(self, book: _Book, settings: Settings, where: str) -> None:
        self.book, self.columns, self.where = book, settings.columns, where
        self.first = int(settings.header_row)
        #: The mapped columns' names and fields, in the sheet's order.
        self.header: list[str] = []
        self.rows: list[tuple[int, list[table.Cell]]] = []
        self.places: dict[str, int] = {}
        self.width = 0
        self.hidden: list[tuple[int, int]] = []
        self.row = self.filled = self.count = 0
        self._begin_row()
        self._begin_cell()

    def _begin_row(self) -> None:
        self.column = 0
        self.named_rows: set[int] = set()
        self.cells: dict[int, _Cell] = {}

    def _begin_cell(self) -> None:
        self.values: list[str] = []
        self.inline: list[str] = []
        self.formula = False

    def element(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path == _CELL:
            self._end_cell(attributes)
        elif path == _ROW:
            self._end_row(attributes)
        elif path == f"{_CELL}/v":
            self.values.append(text)
        elif path == f"{_CELL}/f":
            self.formula = True
        elif path.startswith(_CELL):
            self.inline.append(text)
        elif path == "mergeCells/mergeCell":
            self._merged(attributes.get("ref", ""))
        elif path == "cols/col":
            self._column(attributes)
        elif attributes.get("zeroHeight", "0") in _TRUE:
            _refuse(self.where, "hidden-cells", "its rows are hidden unless they say otherwise")

    def _column(self, attributes: Mapping[str, str]) -> None:
        if attributes.get("hidden", "0") in _TRUE:
            low, high = attributes.get("min", ""), attributes.get("max", "")
            if not (_INDEX.fullmatch(low) and _INDEX.fullmatch(high)):
                _refuse(self.where, "malformed-xlsx", "does not say which columns are hidden")
            if len(self.hidden) >= MAX_COLUMN:
                _refuse(self.where, "malformed-xlsx", f"hides more than {MAX_COLUMN} columns")
            self.hidden.append((int(low), int(high)))

    def _merged(self, area: str) -> None:
        corners = [_REFERENCE.fullmatch(corner) for corner in area.split(":", 2)]
        rows = [int(corner[2]) for corner in corners if corner]
        if len(rows) != 2 or max(rows) >= self.first:
            _refuse(self.where, "merged-cells", f"its cells {area[:40]!r} are merged")

    def _end_cell(self, attributes: Mapping[str, str]) -> None:
        self.count += 1
        if self.count > MAX_CELLS:
            table.refuse(self.where, "too-many-rows", f"holds more than {MAX_CELLS} cells")
        reference = attributes.get("r")
        if reference is None:
            self.column += 1
        else:
            match = _REFERENCE.fullmatch(reference)
            column = _column_number(match[1]) if match else 0
            if match is None or column <= self.column:
                _refuse(self.where, "malformed-xlsx", f"its cell {reference[:20]!r} is out of order")
            self.column = column
            self.named_rows.add(int(match[2]))
        kind = attributes.get("t", "n")
        if len(self.values) > 1 or (self.inline and kind != "inlineStr") or (self.values and kind == "inlineStr"):
            _refuse(self.where, "malformed-xlsx", f"its cell {reference or self.column} holds several values")
        text = "".join(self.values or self.inline)
        if text or self.formula:
            self.cells[self.column] = _Cell(kind, attributes.get("s", "0"), text, self.formula)
        self._begin_cell()

    def _end_row(self, attributes: Mapping[str, str]) -> None:
        number = attributes.get("r", str(self.row + 1))
        if not _INDEX.fullmatch(number) or int(number) <= self.row or self.named_rows - {int(number)}:
            _refuse(self.where, "malformed-xlsx", f"its row {number[:20]!r} is out of order")
        self.row = int(number)
        if self.row > MAX_ROW:
            _refuse(self.where, "malformed-xlsx", f"has a row {self.row}, and no sheet has more than {MAX_ROW}")
        cells = self.cells
        self._begin_row()
        if not cells or self.row < self.first:
            return
        at = f"{self.where}: row {self.row}"
        if attributes.get("hidden", "0") in _TRUE:
            _refuse(at, "hidden-cells", "is hidden")
        if self.row == self.first:
            self._read_header(cells, at)
        elif self.row != self.filled + 1:
            table.refuse(at, "malformed-row", "stands below an empty row" if self.filled else "stands below no header")
        else:
            self._read_row(cells, at)
        self.filled = self.row

    def _read_header(self, cells: Mapping[int, _Cell], at: str) -> None:
        self.width = max(cells)
        wanted = set(self.columns.named().values())
        names = {column: self._name(cell) for column, cell in cells.items()}
        mapped = {column: name for column, name in names.items() if name in wanted}
        self.header = list(mapped.values())
        for option, place in table.find_columns(self.header, self.columns, at).items():
            self.places[option] = list(mapped)[place]
        for low, high in self.hidden:
            for option, column in self.places.items():
                if low <= column <= high:
                    name = getattr(self.columns, option)
                    _refuse(self.where, "hidden-cells", f"the column {name!r} ({option}) is hidden")

    def _name(self, cell: _Cell) -> str | None:
        """A column's name; None for what is no plain text."""
        if cell.formula or cell.kind not in {"s", "str", "inlineStr"}:
            return None
        return self._stored_text(cell, self.where)

    def _read_row(self, cells: Mapping[int, _Cell], at: str) -> None:
        if max(cells) > self.width:
            table.refuse(at, "ragged-row", f"has fields to the right of the header's last column ({self.width})")
        kind = self.places.get("kind_column")
        if kind is not None and self._cell(cells, kind, at) != self.columns.kind_value:
            return
        if len(self.rows) >= table.MAX_ROWS:
            table.refuse(at, "too-many-rows", f"is the balance after {table.MAX_ROWS} others")
        self.rows.append((self.row, [self._cell(cells, column, at) for column in sorted(self.places.values())]))

    # -- one cell ----------------------------------------------------------------------------------------------------

    def _cell(self, cells: Mapping[int, _Cell], column: int, at: str) -> table.Cell:
        cell = cells.get(column)
        if cell is None:
            return None
        at = f"{at}: column {column}"
        if cell.formula:
            _refuse(at, "formula-cell", "is a formula")
        if cell.kind == "e":
            _refuse(at, "error-cell", f"is the error {cell.text[:20]!r}")
        if cell.kind in {"s", "str", "inlineStr"}:
            return self._text(cell, at)
        if cell.kind == "b":
            table.refuse(at, "malformed-row", "is a truth value")
        if cell.kind != "n" or not _NUMBER.fullmatch(cell.text):
            _refuse(at, "malformed-xlsx", f"holds {cell.text[:40]!r} of the type {cell.kind[:10]!r}")
        shown, code = self.book.shown(cell.style, at)
        if shown == "other":
            _refuse(at, "misleading-format", f"{cell.text!r} has the number format {code[:80]!r}")
        # The shortest text of a double is what was entered, as long as it has no more than 15 digits.
        shortest = Decimal(repr(float(cell.text)))
        if shown != "number":
            return self._date(shortest, shown, at)
        if len(shortest.normalize().as_tuple().digits) > MAX_DIGITS or _digits(cell.text) > MAX_DIGITS + 2:
            _refuse(at, "imprecise-number", f"{cell.text!r} has more than {MAX_DIGITS} digits")
        return shortest.normalize()

    def _stored_text(self, cell: _Cell, at: str) -> str:
        if cell.kind != "s":
            return cell.text
        if not _INDEX.fullmatch(cell.text) or int(cell.text) >= len(self.book.texts):
            _refuse(at, "malformed-xlsx", f"refers to the text {cell.text[:20]!r}, which does not exist")
        return self.book.texts[int(cell.text)]

    def _text(self, cell: _Cell, at: str) -> str:
        text = self._stored_text(cell, at)
        if _ESCAPED.search(text):
            table.refuse(at, "malformed-row", f"{text[:40]!r} holds an escaped character")
        return text

    def _date(self, serial: Decimal, shown: _Shown, at: str) -> date:
        if not 0 < serial < _LAST_SERIAL:
            table.refuse(at, "malformed-row", f"{str(serial)[:40]!r} is no date")
        day = self.book.epoch + timedelta(days=int(serial))
        fraction = serial - int(serial)
        if shown == "time":
            # A double of today is exact to the microsecond; people and programs write milliseconds.
            seconds = int(fraction * 86400 + Decimal("0.0005"))
            return datetime(day.year, day.month, day.day) + timedelta(seconds=seconds)  # noqa: DTZ001 - local time
        if fraction:
            _refuse(at, "misleading-format", f"the date {day.isoformat()} has a time of day, which is not shown")
        return day


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _digits(number: str) -> int:
    """How many significant digits are written."""
    return len(re.split("[Ee]", number)[0].replace(".", "").lstrip("-0"))


FORMAT = Format("XLSX workbooks, columns mapped", prepare, read, OPTIONS, max_bytes=MAX_UNPACKED, container=True)
