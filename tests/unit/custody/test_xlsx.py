"""XLSX: a sheet read exactly as it is stored, or refused naming the file, the sheet and the row."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody import table, xlsx
from attest.custody.document import Document
from attest.custody.formats import check_options, read
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
OPTIONS: dict[str, Any] = {
    "account_column": "IBAN",
    "amount_column": "Balance",
    "currency_column": "Currency",
    "date_column": "Date",
    "id_column": "No",
}
HEADER = ("No", "Date", "IBAN", "Currency", "Balance", "Note")
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
#: The styles' numbers, by their format.
FORMATS = (
    "General", "yyyy-mm-dd", "dd/mm/yyyy\\ hh:mm:ss", "mmm-yy", "0.00%", '#,##0.00\\ "day";[Red]\\-#,##0.00', "0.0,,",
    "x" * 300,
)  # fmt: skip
DATE, TIME, MONTH, PERCENT, MONEY, MILLIONS, LONG = range(1, 8)
BUILT_IN_DATE, BUILT_IN_TIME, BUILT_IN_PERCENT = 8, 9, 10
SERIAL = 46346  # 2026-11-20


def cell(value: object, reference: str, style: int = 0) -> str:
    """The XML of one cell; a pair is (value, style), and bytes are XML as they stand."""
    if isinstance(value, tuple):
        value, style = value
    begin = f'<c r="{reference}"' + (f' s="{style}"' if style else "")
    if isinstance(value, bytes):
        return value.decode().replace("<c", begin, 1)
    if isinstance(value, str):
        return f'{begin} t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return "" if value is None else f"{begin}><v>{value}</v></c>"


def rows(*lines: tuple[object, ...], first: int = 1) -> str:
    return "".join(
        f'<row r="{n}">{"".join(cell(value, f"{chr(65 + at)}{n}") for at, value in enumerate(line))}</row>'
        for n, line in enumerate(lines, first)
    )


def sheet(data: str, before: str = "", after: str = "") -> str:
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{data}</sheetData>{after}</worksheet>'


def related(*targets: tuple[str, str, str], extra: str = "") -> str:
    entries = "".join(f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{at}"/>' for key, kind, at in targets)
    return f'<Relationships xmlns="{PACKAGE}">{entries}{extra}</Relationships>'


def parts(data: str, **changes: str) -> dict[str, str]:
    """A workbook of one sheet "Balances" with these rows (or this whole sheet)."""
    styles = "".join(f'<numFmt numFmtId="{164 + n}" formatCode={quoteattr(code)}/>' for n, code in enumerate(FORMATS))
    numbers = [164 + n for n in range(len(FORMATS))] + [14, 22, 10]
    formats = "".join(f'<xf numFmtId="{number}"><alignment/></xf>' for number in numbers)
    made = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": related(("r1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><workbookPr/><sheets>'
        '<sheet name="Balances" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": related(
            ("r1", "worksheet", "worksheets/sheet1.xml"), ("r2", "styles", "/xl/styles.xml"),
            ("r3", "sharedStrings", "sharedStrings.xml"),
        ),
        "xl/worksheets/sheet1.xml": data if data.startswith("<worksheet") else sheet(data),
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}"><si><t>IBAN</t></si><si><r><t>DE</t></r><r><rPr/><t>1</t></r>'
        f'<rPh sb="0" eb="1"><t>no</t></rPh></si><si><t>{"long " * 5000}</t></si></sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{styles}</numFmts><cellXfs>{formats}</cellXfs>'
        "</styleSheet>",
    }  # fmt: skip
    return made | changes


def packed(members: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return archive.getvalue()


def stated(data: str | bytes, zone: str | None = "Europe/Berlin", **options: Any) -> tuple[StatedBalance, ...]:
    merged = {name: value for name, value in (OPTIONS | options).items() if value is not None}
    document = Document.of("bank.xlsx", data if isinstance(data, bytes) else packed(parts(data)))
    return read("xlsx", [document], merged, zone=zone, retrieved_at=NOW)


def refusal(data: str | bytes, zone: str | None = "Europe/Berlin", **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        stated(data, zone, **options)
    assert caught.value.message.startswith("bank.xlsx: ")
    assert len(caught.value.message) < 400
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


def row(**changes: object) -> tuple[object, ...]:
    fields: dict[str, object] = {
        "No": 224, "Date": (SERIAL, DATE), "IBAN": "DE1", "Currency": "EUR", "Balance": 1234.56, "Note": None,
    }  # fmt: skip
    return tuple((fields | changes).values())


def one(**changes: object) -> str:
    return rows(HEADER, row(**changes))


BALANCES = (
    StatedBalance(
        account="DE1",
        currency="EUR",
        minor_units=123456,
        balance_kind="closing-booked",
        as_of=datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC),
        statement_id="224",
        business_date="2026-11-20",
    ),
)


# -- what is read ----------------------------------------------------------------------------------------------------


def test_read__mapped_columns__give_the_balance() -> None:
    assert stated(one()) == BALANCES


def test_read__stored_without_compression_and_references__is_the_same() -> None:
    data = one(Note="x")
    assert stated(packed(parts(data), zipfile.ZIP_STORED)) == BALANCES
    bare = re.sub(r' r="[A-F]?[12]"', "", data)
    assert "r=" not in bare
    assert stated(bare) == BALANCES


def test_read__shared_and_formatted_texts__are_read_whole() -> None:
    data = rows((*HEADER[:2], b'<c t="s"><v>0</v></c>', *HEADER[3:]), row(IBAN=b'<c t="s"><v>1</v></c>'))
    assert stated(data) == BALANCES
    assert stated(one(IBAN=b'<c t="str"><v>DE1</v></c>', Note=b'<c t="s"><v>2</v></c>')) == BALANCES


@pytest.mark.parametrize(
    ("written", "minor_units"),
    [
        ("1234.56", 123456), ("1234.5599999999999", 123456), ("-0.1", -10), ("1E3", 100000), ("1.5e+2", 15000),
        ("1234567890123.45", 123456789012345), ("0", 0), ("1.23456E3", 123456), ("0.825", None),
    ],
)  # fmt: skip
def test_read__number__is_the_shortest_decimal_of_its_double(written: str, minor_units: int | None) -> None:
    data = one(Balance=f"<c><v>{written}</v></c>".encode())
    if minor_units is None:
        assert refusal(data).code == "too-many-decimals"
    else:
        assert stated(data)[0].minor_units == minor_units


@given(units=st.integers(-(10**14), 10**14))
def test_read__any_amount_of_15_digits__is_read_exactly_as_its_double_is_written(units: int) -> None:
    for written in (repr(units / 100), f"{units / 100:.17g}"):
        assert stated(one(Balance=f"<c><v>{written}</v></c>".encode()))[0].minor_units == units


def test_read__text_amounts_and_dates__go_through_the_options_as_in_csv() -> None:
    data = one(Date="20.11.2026", Balance="1.234,56")
    assert stated(data, date_format="DD.MM.YYYY", decimal=",", thousands=".") == BALANCES
    assert refusal(data, date_format="DD.MM.YYYY").code == "malformed-amount"


@pytest.mark.parametrize("style", [DATE, BUILT_IN_DATE])
def test_read__date_cell__is_the_end_of_its_date(style: int) -> None:
    assert stated(one(Date=(SERIAL, style))) == BALANCES


@pytest.mark.parametrize("style", [TIME, BUILT_IN_TIME])
def test_read__cell_with_date_and_time__is_local_to_the_configured_zone(style: int) -> None:
    (balance,) = stated(one(Date=(Decimal("46346.770833333336"), style)))
    assert (balance.as_of, balance.business_date) == (datetime(2026, 11, 20, 17, 30, tzinfo=UTC), None)


@given(second=st.integers(0, 86399), day=st.integers(33000, 100000))
def test_read__any_second__is_read_exactly_from_its_double(second: int, day: int) -> None:
    (balance,) = stated(one(Date=(day + second / 86400, TIME)), zone="UTC")
    assert balance.as_of == datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=day, seconds=second)


def test_read__workbook_of_the_1904_system__has_its_dates_four_years_later() -> None:
    members = parts(one(Date=(SERIAL - 1462, DATE)))
    members["xl/workbook.xml"] = members["xl/workbook.xml"].replace("<workbookPr/>", '<workbookPr date1904="1"/>')
    assert stated(packed(members)) == BALANCES


def test_read__rows_above_the_header_and_empty_rows_below__do_not_matter() -> None:
    title = rows(("Balances", b"<c><f>TODAY()</f><v>1</v></c>"))
    data = title + rows(HEADER, row(), first=4) + '<row r="6"><c r="A6" s="1"/></row><row r="9" hidden="1"/>'
    after = '<mergeCells><mergeCell ref="A1:F2"/></mergeCells>'
    assert stated(sheet(data, after=after), header_row="4") == BALANCES
    assert refusal(data).code == "wrong-header"
    assert refusal(data, header_row="3").code == "malformed-row"


def test_read__columns_that_are_not_mapped__are_not_looked_at() -> None:
    hidden = '<cols><col min="6" max="16384" hidden="1"/><col min="1" max="1" hidden="0"/></cols>'
    for note in (
        b"<c><f>A1</f><v>1</v></c>",
        b'<c t="e"><v>#REF!</v></c>',
        b'<c t="b"><v>1</v></c>',
        (1, MONTH),
        "_x000D_",
    ):
        assert stated(sheet(one(Note=note), before=hidden)) == BALANCES


def test_read__rows_of_another_kind__are_left_out_whatever_they_hold() -> None:
    data = rows(HEADER, row(Note="booked"), row(Note="total", Balance=b"<c><f>SUM(E2)</f><v>1</v></c>", IBAN=None))
    assert stated(data, kind_column="Note", kind_value="booked") == BALANCES
    assert refusal(data).code == "formula-cell"
    assert refusal(data, kind_column="Note", kind_value="Booked").code == "no-closing-balance"


def test_read__several_sheets__one_is_named() -> None:
    members = parts(one())
    members["xl/workbook.xml"] = members["xl/workbook.xml"].replace(
        "</sheets>", '<sheet name="Ümsätze" sheetId="2" r:id="r9"/></sheets>'
    )
    data = packed(members)
    fault = refusal(data)
    assert fault.code == "wrong-sheet"
    assert "'Balances', 'Ümsätze'" in fault.message
    assert stated(data, sheet="Balances") == BALANCES
    assert refusal(data, sheet="balances").code == "wrong-sheet"
    assert refusal(data, sheet="Ümsätze").code == "wrong-sheet"


def test_read__workbook_of_another_program__is_read() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Salden"
    for line in (HEADER, ("224", date(2026, 11, 20), "DE1", "EUR", 1234.56, True)):
        book.active.append(line)
    written = io.BytesIO()
    book.save(written)
    assert stated(written.getvalue(), sheet="Salden") == BALANCES


def test_read__several_documents__are_read_together() -> None:
    def documents(amount: str) -> list[Document]:
        other = one(Balance=Decimal(amount), No=225)
        return [Document.of("a.xlsx", packed(parts(one()))), Document.of("b.xlsx", packed(parts(other)))]

    assert read("xlsx", documents("1234.56"), OPTIONS, zone="Europe/Berlin", retrieved_at=NOW) == BALANCES
    with pytest.raises(SourceError) as caught:
        read("xlsx", documents("1234.57"), OPTIONS, zone="Europe/Berlin", retrieved_at=NOW)
    assert caught.value.code == "conflicting-statements"
    assert caught.value.message.startswith("b.xlsx: account 'DE1'")


# -- cells that are refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["No", "Date", "IBAN", "Currency", "Balance"])
def test_read__formula_or_error_in_a_mapped_column__refused(column: str) -> None:
    for formula in ("<c><f>A1</f><v>1</v></c>", '<c t="str"><f>A1</f><v>DE1</v></c>', '<c><f t="shared" si="0"/></c>'):
        fault = refusal(one(**{column: formula.encode()}))
        assert fault.code == "formula-cell"
        assert "bank.xlsx: sheet 'Balances': row 2: column " in fault.message
    assert refusal(one(**{column: b'<c t="e"><v>#REF!</v></c>'})).code == "error-cell"
    assert refusal(one(**{column: b'<c t="b"><v>1</v></c>'})).code == "malformed-row"


@pytest.mark.parametrize("style", [MONTH, PERCENT, MILLIONS, LONG, BUILT_IN_PERCENT])
def test_read__number_shown_as_another_one__refused(style: int) -> None:
    assert refusal(one(Balance=(1234, style))).code == "misleading-format"
    assert refusal(one(Date=(SERIAL, style))).code == "misleading-format"


def test_read__number_format_with_units_signs_and_colours__does_not_matter() -> None:
    assert stated(one(Balance=(1234.56, MONEY))) == BALANCES


def test_read__date_with_a_time_that_is_not_shown__refused() -> None:
    assert refusal(one(Date=(46346.5, DATE))).code == "misleading-format"


@pytest.mark.parametrize(
    "written", ["1234567890123456", "0.1234567890123456", "1234.56000000000001", "12345678901234567890"]
)
def test_read__number_beyond_a_doubles_digits__refused(written: str) -> None:
    assert refusal(one(Balance=f"<c><v>{written}</v></c>".encode())).code == "imprecise-number"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Balance": None}, "malformed-amount"), ({"Balance": (SERIAL, DATE)}, "malformed-amount"),
        ({"Balance": "1,234.56"}, "malformed-amount"), ({"IBAN": None}, "malformed-row"),
        ({"IBAN": (SERIAL, DATE)}, "malformed-row"), ({"IBAN": Decimal("1.5")}, "malformed-row"),
        ({"IBAN": "DE_x0031_"}, "malformed-row"), ({"Date": None}, "malformed-row"),
        ({"Date": SERIAL}, "malformed-row"),
        ({"Date": (0, DATE)}, "malformed-row"), ({"Date": (300000, DATE)}, "malformed-row"),
        ({"Date": (-1, TIME)}, "malformed-row"), ({"Currency": None}, "unknown-currency"),
        ({"Currency": "JPY"}, "too-many-decimals"),
    ],
)  # fmt: skip
def test_read__field_that_is_not_understood__refused(changes: dict[str, object], code: str) -> None:
    fault = refusal(one(**changes))
    assert fault.code == code
    assert "row 2" in fault.message


@pytest.mark.parametrize(
    "written",
    [b"<c><v>1,5</v></c>", b"<c><v>NaN</v></c>", b"<c><v>0x1</v></c>", b"<c><v>1e999</v></c>", b'<c t="d"><v>1</v></c>',
     b'<c s="99"><v>1</v></c>', b'<c s="x"><v>1</v></c>', b'<c t="s"><v>3</v></c>', b'<c t="s"><v>x</v></c>',
     b"<c><v>1</v><v>2</v></c>", b'<c t="inlineStr"><v>1</v></c>', b"<c><is><t>1</t></is></c>"],
)  # fmt: skip
def test_read__cell_that_no_program_writes__refused(written: bytes) -> None:
    assert refusal(one(Balance=written)).code == "malformed-xlsx"


def test_read__naive_timestamp_with_no_configured_time_zone__refused() -> None:
    fault = refusal(one(Date=(46346.5, TIME)), zone=None)
    assert fault.code == "naive-time"
    assert "account 'DE1'" in fault.message


# -- rows and columns that are refused -------------------------------------------------------------------------------


def test_read__hidden_row_column_or_sheet__refused() -> None:
    for at in (1, 2):
        fault = refusal(one().replace(f'<row r="{at}"', f'<row r="{at}" hidden="1"'))
        assert fault.code == "hidden-cells"
        assert f"row {at} is hidden" in fault.message.replace(":", "")
    fault = refusal(sheet(one(), before='<cols><col min="4" max="4" hidden="true"/></cols>'))
    assert fault.code == "hidden-cells"
    assert "'Currency'" in fault.message
    assert refusal(sheet(one(), before='<sheetFormatPr zeroHeight="1"/>')).code == "hidden-cells"
    assert refusal(sheet(one(), before='<cols><col min="x" hidden="1"/></cols>')).code == "malformed-xlsx"
    assert stated(sheet(one(), before='<sheetFormatPr zeroHeight="0"/>')) == BALANCES
    for state in ("hidden", "veryHidden"):
        members = parts(one())
        members["xl/workbook.xml"] = members["xl/workbook.xml"].replace('sheetId="1"', f'sheetId="1" state="{state}"')
        assert refusal(packed(members)).code == "hidden-cells"


@pytest.mark.parametrize("area", ["A1:B1", "C2:C3", "A9:B9", "A1", "x", "A1:B1:C1"])
def test_read__merged_cells_in_the_table__refused(area: str) -> None:
    assert refusal(sheet(one(), after=f'<mergeCells><mergeCell ref="{area}"/></mergeCells>')).code == "merged-cells"


@pytest.mark.parametrize(
    "header",
    [("No", "Date", "IBAN", "Currency", "Saldo"), ("No", "Date", "IBAN", "Currency", "Balance", "Balance"),
     ("No", "Date", "IBAN", "Currency", b'<c t="str"><f>A1</f><v>Balance</v></c>'),
     ("No", "Date", "IBAN", "Currency", 5)],
)  # fmt: skip
def test_read__missing_duplicate_or_computed_column_name__refused(header: tuple[object, ...]) -> None:
    fault = refusal(rows(header, row()))
    assert fault.code == "wrong-header"
    assert "'Balance' (amount_column)" in fault.message


def test_read__empty_row_in_the_middle_or_field_beyond_the_header__refused() -> None:
    fault = refusal(rows(HEADER, row()) + rows(row(IBAN="DE2"), first=4))
    assert fault.code == "malformed-row"
    assert "row 4" in fault.message
    assert refusal(rows(HEADER, (*row(Note="x"), "y"))).code == "ragged-row"


def test_read__empty_sheet_or_header_alone__refused() -> None:
    assert refusal("").code == "wrong-header"
    assert refusal(rows(HEADER)).code == "no-closing-balance"


def test_read__same_account_and_date_twice__refused() -> None:
    fault = refusal(rows(HEADER, row(), row(No=225)))
    assert fault.code == "duplicate-row"
    assert "row 3" in fault.message


@pytest.mark.parametrize(
    ("old", "new"),
    [('<row r="2"', '<row r="1"'), ('<row r="2"', '<row r="3"'), ('<row r="2"', '<row r="x"'), ('r="B2"', 'r="A2"'),
     ('r="B2"', 'r="B3"'), ('r="B2"', 'r="b2"'), ('r="B2"', 'r="AAAA2"'), ('r="B2"', 'r="C2"')],
)  # fmt: skip
def test_read__cells_and_rows_out_of_order__refused(old: str, new: str) -> None:
    assert refusal(one().replace(old, new)).code == "malformed-xlsx"


def test_read__more_balances_than_any_export_has__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_ROWS", 2)
    many = [row(IBAN=f"DE{n}") for n in range(3)]
    assert len(stated(rows(HEADER, *many[:2]))) == 2
    assert refusal(rows(HEADER, *many)).code == "too-many-rows"


def test_read__more_cells_than_any_export_has__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_CELLS", 11)
    assert stated(one()) == BALANCES
    assert refusal(one() + '<row r="3"><c/></row>').code == "too-many-rows"


@pytest.mark.parametrize(("name", "limit"), [("MAX_ELEMENTS", 2), ("MAX_DESCRIBING", 1), ("MAX_ROW", 1)])
def test_read__more_rows_or_elements_than_a_sheet_can_have__refused(
    name: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, name, limit)
    fault = refusal(one())
    assert fault.code == "malformed-xlsx"
    assert f"more than {limit}" in fault.message


def test_read__more_hidden_columns_than_a_sheet_can_have__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_COLUMN", 3)
    hidden = '<col hidden="1" min="9" max="9"/>'
    assert stated(sheet(one(), before=f"<cols>{hidden * 3}</cols>")) == BALANCES
    assert "hides more than 3 columns" in refusal(sheet(one(), before=f"<cols>{hidden * 4}</cols>")).message


# -- archives that are refused ---------------------------------------------------------------------------------------


def test_read__truncated_or_foreign_file__refused() -> None:
    data = packed(parts(one()))
    for length in range(1, len(data), 97):
        assert refusal(data[:length]).code == "malformed-xlsx"
    assert refusal(b"IBAN,Balance\n").code == "malformed-xlsx"
    assert refusal(data + b"x").code == "malformed-xlsx"
    assert refusal(b"x" + data).code == "malformed-xlsx"
    assert refusal(b"PK\x03\x04" + data).code == "malformed-xlsx"
    assert refusal(data.replace(b"PK\x01\x02", b"PK\x01\x03")).code == "malformed-xlsx"
    end = data.rindex(b"PK\x05\x06")
    assert refusal(data[: end + 16] + b"\xff" * 4 + data[end + 20 :]).code == "malformed-xlsx"


def test_read__workbook_with_a_password__refused_with_what_to_do() -> None:
    fault = refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2048))
    assert fault.code == "encrypted-workbook"
    assert "password" in fault.advice


def test_read__encrypted_part__refused() -> None:
    data = bytearray(packed(parts(one())))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    assert refusal(bytes(data)).code == "encrypted-workbook"


def test_read__macros_and_links_to_other_files__refused() -> None:
    assert refusal(packed(parts(one()) | {"xl/vbaProject.bin": "x"})).code == "macros"
    assert refusal(packed(parts(one()) | {"xl/externalLinks/externalLink1.xml": "x"})).code == "external-link"
    sheets = ("r1", "worksheet", "worksheets/sheet1.xml")
    for kind, code in (("externalLink", "external-link"), ("vbaProject", "macros")):
        links = {"xl/_rels/workbook.xml.rels": related(sheets, ("r9", kind, "x.xml"))}
        assert refusal(packed(parts(one()) | links)).code == code
    outside = f'<Relationship Id="r9" Type="{OFFICE}/x" Target="http://x" TargetMode="External"/>'
    links = {"xl/_rels/workbook.xml.rels": related(sheets, extra=outside)}
    assert refusal(packed(parts(one()) | links)).code == "external-link"


def test_read__document_type_or_entity__refused() -> None:
    entity = '<!DOCTYPE x [<!ENTITY e "9">]>' + sheet(one())
    assert refusal(packed(parts(one()) | {"xl/worksheets/sheet1.xml": entity})).code == "xml-refused"


def test_read__zip_bomb__refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(packed(parts(one()) | {"x": "0" * 4_000_000})).code == "malformed-xlsx"
    monkeypatch.setattr(xlsx, "MAX_UNPACKED", 20_000)
    assert refusal(packed(parts(one()))).code == "file-too-large"


def test_read__archive_that_understates_its_parts__refused() -> None:
    members = parts(one())
    data = bytearray(packed(members))
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02"))
    while bytes(data[at + 46 : at + 70]) != b"xl/worksheets/sheet1.xml":
        at = data.index(b"PK\x01\x02", at + 1)
    (size,) = struct.unpack("<L", data[at + 24 : at + 28])
    for wrong in (size - 1, size + 1, 1):
        data[at + 24 : at + 28] = struct.pack("<L", wrong)
        assert refusal(bytes(data)).code == "malformed-xlsx"


def test_read__great_many_or_repeated_parts__refused() -> None:
    many = parts(one()) | {f"x{n}": "" for n in range(1000)}
    assert refusal(packed(many)).code == "malformed-xlsx"
    assert refusal(packed(parts(one()) | {"XL/Workbook.xml": "x"})).code == "malformed-xlsx"


def test_read__large_archive_form__is_read_within_the_same_bounds() -> None:
    data = packed(parts(one()))
    count, size, offset = struct.unpack("<HLL", data[-12:-2])

    def large(count: int, size: int) -> bytes:
        record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(data) - 22, 1)
        return data[:-22] + record + locator + data[-22:]

    assert stated(large(count, size)) == BALANCES
    assert refusal(large(5000, size)).code == "malformed-xlsx"
    assert refusal(large(count, 1 << 40)).code == "malformed-xlsx"


def test_read__part_packed_in_an_unusual_way__refused() -> None:
    assert refusal(packed(parts(one()), zipfile.ZIP_BZIP2)).code == "malformed-xlsx"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("_rels/.rels", related(), "malformed-xlsx"),
        ("_rels/.rels", related(("r1", "officeDocument", "xl/none.xml")), "malformed-xlsx"),
        ("_rels/.rels", related(("r1", "officeDocument", "")), "malformed-xlsx"),
        ("_rels/.rels", related(("r1", "officeDocument", "xl/workbook.xml"), ("r1", "x", "y")), "malformed-xlsx"),
        ("_rels/.rels", "<x/>", "wrong-document"),
        ("xl/workbook.xml", f'<workbook xmlns="{MAIN}"/>', "wrong-sheet"),
        ("xl/workbook.xml", f'<workbook xmlns="{MAIN}"><sheets><sheet name="A"/></sheets></workbook>', "wrong-sheet"),
        ("xl/_rels/workbook.xml.rels", related(("r1", "chartsheet", "x.xml")), "wrong-sheet"),
        ("xl/_rels/workbook.xml.rels", related(("r1", "worksheet", "x.xml")), "malformed-xlsx"),
        ("xl/_rels/workbook.xml.rels", related(("r1", "styles", "s"), ("r2", "styles", "t")), "malformed-xlsx"),
        (
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="x"/></cellXfs></styleSheet>',
            "malformed-xlsx",
        ),
        ("xl/worksheets/sheet1.xml", sheet(one())[:-20], "malformed-xml"),
        ("xl/worksheets/sheet1.xml", "<html/>", "wrong-document"),
    ],
)  # fmt: skip
def test_read__parts_that_do_not_fit_together__refused(name: str, content: str, code: str) -> None:
    assert refusal(packed(parts(one()) | {name: content})).code == code


def test_read__workbook_without_styles_and_texts__is_read() -> None:
    members = parts(one(Date="2026-11-20"))
    members["xl/_rels/workbook.xml.rels"] = related(("r1", "worksheet", "worksheets/sheet1.xml"))
    assert stated(packed(members)) == BALANCES
    assert refusal(packed(members | {"xl/worksheets/sheet1.xml": sheet(one())})).code == "malformed-xlsx"


# -- options and anything --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [({"header_row": "0"}, "header_row"), ({"header_row": 1}, "header_row must be a text"), ({"sheet": ""}, "sheet"),
     ({"amount_column": "Date"}, "same column")],
)  # fmt: skip
def test_check_options__option_that_cannot_be_meant__is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OperatorError) as caught:
        check_options("xlsx", OPTIONS | options, "accounts.a.sources.b")
    assert caught.value.code == "malformed-option"
    assert named in caught.value.message


@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=6)), min_size=1, max_size=4),
    inside=st.sampled_from([None, "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/workbook.xml", "_rels/.rels"]),
)
def test_read__bytes_changed_at_random__are_refused_or_read_without_an_unforeseen_error(
    edits: list[tuple[float, int, bytes]], inside: str | None
) -> None:
    members = parts(one())
    data = members[inside].encode() if inside else packed(members, zipfile.ZIP_STORED)
    for place, removed, instead in edits:
        at = int(place * len(data))
        data = data[:at] + instead + data[at + removed :]
    if inside:
        data = packed(members | {inside: data.decode("latin-1")})
    try:
        stated(data or b"\0")
    except SourceError as fault:
        assert fault.message.startswith("bank.xlsx: ")  # noqa: PT017
