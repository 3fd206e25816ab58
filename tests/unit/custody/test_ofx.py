"""OFX: the ledger balance read exactly, in SGML and in XML, or refused naming the file and the account."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody import ofx
from attest.custody.document import Document
from attest.custody.formats import check_options, read
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
SGML = (
    "OFXHEADER:100\nDATA:OFXSGML\nVERSION:102\nSECURITY:NONE\nENCODING:USASCII\nCHARSET:1252\nCOMPRESSION:NONE\n"
    "OLDFILEUID:NONE\nNEWFILEUID:NONE\n\n"
)
XML = (
    '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
    '<?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE" OLDFILEUID="NONE" NEWFILEUID="NONE"?>\n'
)
STATUS = "<STATUS><CODE>0<SEVERITY>INFO</STATUS>"
ACCOUNT = "<BANKACCTFROM><BANKID>021099998<ACCTID>000451770012<ACCTTYPE>CHECKING</BANKACCTFROM>"
BALANCE = "<LEDGERBAL><BALAMT>1234.56<DTASOF>20261120112000[-5:EST]</LEDGERBAL>"
STATEMENT = f"<STMTTRNRS><TRNUID>1{STATUS}<STMTRS><CURDEF>USD{ACCOUNT}{BALANCE}</STMTRS></STMTTRNRS>"
BODY = (
    f"<OFX><SIGNONMSGSRSV1><SONRS>{STATUS}<DTSERVER>20261121</SONRS></SIGNONMSGSRSV1>\n"
    f"<BANKMSGSRSV1>{STATEMENT}\n</BANKMSGSRSV1></OFX>\n"
)
GROUPS = {
    "OFX", "SIGNONMSGSRSV1", "SONRS", "STATUS", "BANKMSGSRSV1", "STMTTRNRS", "STMTRS", "BANKACCTFROM", "LEDGERBAL",
    "BANKTRANLIST", "STMTTRN",
}  # fmt: skip


def stated(body: str | bytes, zone: str | None = None, **options: Any) -> tuple[StatedBalance, ...]:
    data = body if isinstance(body, bytes) else (SGML + body).encode("windows-1252")
    return read("ofx", [Document.of("bank.ofx", data)], options, zone=zone, retrieved_at=NOW)


def refusal(body: str | bytes, zone: str | None = None, **options: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        stated(body, zone, **options)
    assert caught.value.message.startswith("bank.ofx: ")
    assert len(caught.value.message) < 400
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


def changed(old: str, new: str, **options: Any) -> SourceError:
    """The refusal of the statement with one thing changed; ``zone`` and the format's options as keywords."""
    assert old in BODY
    return refusal(BODY.replace(old, new), **options)


def dated(written: str, zone: str | None = None) -> tuple[datetime, str | None]:
    (balance,) = stated(BODY.replace("20261120112000[-5:EST]", written), zone)
    return balance.as_of, balance.business_date


def amount(written: str, code: str = "USD") -> int:
    return stated(BODY.replace("1234.56", written).replace("USD", code))[0].minor_units


def as_xml(body: str) -> str:
    """The same with every field closed, as OFX 2 has it."""
    return XML + re.sub(r"<([A-Z0-9]+)>([^<\n]+)", r"<\1>\2</\1>", body)


# -- what is read ----------------------------------------------------------------------------------------------------

BALANCES = (
    StatedBalance(
        account="000451770012",
        currency="USD",
        minor_units=123456,
        balance_kind="closing-booked",
        as_of=datetime(2026, 11, 20, 16, 20, tzinfo=UTC),
        statement_id="",
    ),
)


def test_read__ledger_balance__is_read_from_sgml_and_xml_alike() -> None:
    assert stated(BODY) == BALANCES
    assert stated(as_xml(BODY).encode()) == BALANCES


@pytest.mark.parametrize(("old", "new"), [("\n", "\r\n"), (">", ">\n  "), ("<STATUS>", "\t<STATUS>\n\n")])
def test_read__white_space_between_tags_and_around_fields__does_not_matter(old: str, new: str) -> None:
    assert stated((SGML + BODY.replace(old, new)).encode()) == BALANCES


def test_read__closed_fields__are_the_same_in_sgml() -> None:
    assert stated(as_xml(BODY).removeprefix(XML)) == BALANCES


def test_read__available_balance__is_never_taken() -> None:
    available = "<AVAILBAL><BALAMT>9999.99<DTASOF>20261120</AVAILBAL>"
    assert stated(BODY.replace(BALANCE, BALANCE + available)) == BALANCES
    assert changed(BALANCE, available).code == "no-closing-balance"


def test_read__other_fields_transactions_and_a_vendors_own_groups__do_not_matter() -> None:
    extra = (
        "<BANKTRANLIST><DTSTART>20261101<DTEND>20261120\n<STMTTRN><TRNTYPE>CREDIT<TRNAMT>5.00<FITID>1<CHECKNUM>\n"
        "<NAME>M & Co &eacute; 100%<MEMO></STMTTRN>"
        "<STMTTRN><TRNTYPE>DEBIT<ORIGCURRENCY><CURRATE>2<CURSYM>EUR</ORIGCURRENCY></STMTTRN></BANKTRANLIST>"
    )
    body = BODY.replace(BALANCE, extra + BALANCE + "<MKTGINFO>buy<INTU.X><INTU.Y>1</INTU.X>")
    assert stated(body) == BALANCES
    assert stated(BODY.replace("<DTSERVER>20261121", "<DTSERVER>20261121<FI><ORG>B<FID>1</FI>")) == BALANCES


def test_read__several_statements__each_with_its_account() -> None:
    other = STATEMENT.replace("0012", "0013").replace("1234.56", "-7").replace("USD", "JPY")
    balances = stated(BODY.replace(STATEMENT, STATEMENT + other))
    assert [(one.account, one.currency, one.minor_units) for one in balances] == [
        ("000451770012", "USD", 123456), ("000451770013", "JPY", -7),
    ]  # fmt: skip


def test_read__entities_in_fields_that_count__are_resolved() -> None:
    (balance,) = stated(BODY.replace("000451770012", "A&amp;B&#45;&#x31;&lt;&gt;&quot;&apos;"))
    assert balance.account == "A&B-1<>\"'"


@pytest.mark.parametrize("header", [SGML.replace("USASCII", "UTF-8").replace("1252", "NONE"), XML])
def test_read__utf_8__is_read_as_such(header: str) -> None:
    body = BODY if header != XML else as_xml(BODY).removeprefix(XML)
    data = (header + body.replace("000451770012", "Ö1")).encode()
    assert stated(data)[0].account == "Ö1"
    assert stated(b"\xef\xbb\xbf" + data)[0].account == "Ö1"


@pytest.mark.parametrize(
    ("written", "minor_units"),
    [
        ("1234.56", 123456), ("+1234.56", 123456), ("-1234.56", -123456), ("1234,56", 123456), ("-.5", -50),
        ("1234", 123400), ("1234.", 123400), ("001234.5", 123450), ("1234.5600", 123456), ("0", 0),
    ],
)  # fmt: skip
def test_read__amount__has_a_sign_and_either_decimal_separator(written: str, minor_units: int) -> None:
    assert amount(written) == minor_units


@pytest.mark.parametrize(("written", "code", "minor_units"), [("1250.375", "KWD", 1250375), ("88250.00", "JPY", 88250)])
def test_read__amount__has_the_decimals_of_its_currency(written: str, code: str, minor_units: int) -> None:
    assert amount(written, code) == minor_units


@pytest.mark.parametrize(
    ("written", "as_of"),
    [
        ("20261120112000.000[-5:EST]", (16, 20, 0)),
        ("20261120112000.999[-5]", (16, 20, 0)),
        ("20261120112005[-5.00:EST]", (16, 20, 5)),
        ("20261120112000[0:GMT]", (11, 20, 0)),
        ("20261120112000[+5.30:IST]", (5, 50, 0)),
        ("20261120112000[5.50:IST]", (5, 50, 0)),
        ("20261120112000[5.75]", (5, 35, 0)),
        ("20261120112000[-3.30:NST]", (14, 50, 0)),
        ("202611201120[0:GMT]", (11, 20, 0)),
    ],
)
def test_read__time_with_an_offset__is_that_instant(written: str, as_of: tuple[int, int, int]) -> None:
    assert dated(written) == (datetime(2026, 11, 20, *as_of, tzinfo=UTC), None)


@pytest.mark.parametrize("written", ["20261120112000", "202611201120", "20261120112000.000"])
def test_read__twenty_past_eleven__is_not_two_past_eleven(written: str) -> None:
    assert dated(written, "UTC")[0] == datetime(2026, 11, 20, 11, 20, tzinfo=UTC)


def test_read__date_alone__is_its_end_in_the_configured_zone() -> None:
    assert dated("20261120", "America/New_York") == (datetime(2026, 11, 21, 4, 59, 59, tzinfo=UTC), "2026-11-20")
    assert dated("20261120") == (datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), "2026-11-20")


def test_read__time_without_an_offset__is_local_to_the_configured_zone() -> None:
    assert dated("20261120112000", "America/New_York") == (datetime(2026, 11, 20, 16, 20, tzinfo=UTC), None)


def test_read__same_statement_in_two_documents__counts_once() -> None:
    documents = [Document.of(name, (SGML + BODY).encode()) for name in ("a.ofx", "b.ofx")]
    assert read("ofx", documents, {}, zone=None, retrieved_at=NOW) == BALANCES


def test_read__bank_id__must_be_the_configured_one() -> None:
    assert stated(BODY, bank_id="021099998") == BALANCES
    assert refusal(BODY, bank_id="021099999").code == "wrong-bank"
    assert changed("<BANKID>021099998", "", bank_id="021099998").code == "wrong-bank"
    assert stated(BODY.replace("<BANKID>021099998", "")) == BALANCES


# -- what is refused -------------------------------------------------------------------------------------------------


def test_read__no_closing_balance__refused() -> None:
    fault = changed(BALANCE, "")
    assert fault.code == "no-closing-balance"
    assert "account '000451770012'" in fault.message
    assert changed(BODY[BODY.index("<BANKMSGSRSV1>") : BODY.index("</OFX>")], "").code == "no-closing-balance"
    assert changed(STATEMENT[STATEMENT.index("<STMTRS>") : STATEMENT.index("</STMTTRNRS>")], "").code == (
        "no-closing-balance"
    )


def test_read__several_closing_balances__refused() -> None:
    assert changed(BALANCE, BALANCE + BALANCE).code == "several-closing-balances"
    assert changed(BALANCE, BALANCE.replace("<DTASOF>", "<BALAMT>5<DTASOF>")).code == "malformed-statement"


def test_read__two_statements_of_one_account_and_time_that_differ__refused() -> None:
    assert changed(STATEMENT, STATEMENT + STATEMENT.replace("1234", "1235")).code == "conflicting-statements"
    documents = [Document.of(f"{n}.ofx", (SGML + BODY.replace("1234", n)).encode()) for n in ("1", "2")]
    with pytest.raises(SourceError) as caught:
        read("ofx", documents, {}, zone=None, retrieved_at=NOW)
    assert caught.value.code == "conflicting-statements"
    assert caught.value.message.startswith("2.ofx: account '000451770012'")


def test_read__same_account_number_at_two_banks__refused() -> None:
    fault = changed(STATEMENT, STATEMENT + STATEMENT.replace("021099998", "021099999"))
    assert fault.code == "conflicting-statements"
    assert "bank_id" in fault.advice


def test_read__naive_timestamp_with_no_configured_time_zone__refused() -> None:
    fault = changed("20261120112000[-5:EST]", "20261120112000")
    assert fault.code == "naive-time"
    assert "account '000451770012'" in fault.message


def test_read__balance_converted_from_another_currency__refused() -> None:
    for name in ("CURRENCY", "ORIGCURRENCY"):
        group = f"<{name}><CURRATE>1.1<CURSYM>EUR</{name}>"
        assert changed("</LEDGERBAL>", group + "</LEDGERBAL>").code == "currency-mismatch"
        assert changed("</STMTRS>", group + "</STMTRS>").code == "currency-mismatch"


@pytest.mark.parametrize("kind", ["CREDITLINE", "checking", "X"])
def test_read__credit_line_or_unknown_account_type__refused(kind: str) -> None:
    fault = changed("CHECKING", kind)
    assert fault.code == "not-a-bank-account"
    assert "account '000451770012'" in fault.message


@pytest.mark.parametrize(
    "other",
    [
        "<CREDITCARDMSGSRSV1><CCSTMTTRNRS><TRNUID>1</CCSTMTTRNRS></CREDITCARDMSGSRSV1>",
        "<INVSTMTMSGSRSV1><X>1</INVSTMTMSGSRSV1>",
    ],
)
def test_read__credit_card_or_securities__refused(other: str) -> None:
    assert changed("</OFX>", other + "</OFX>").code == "not-a-bank-account"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<CODE>0<SEVERITY>INFO", "<CODE>2000<SEVERITY>ERROR<MESSAGE>No"),
        ("<CODE>0<SEVERITY>INFO", "<CODE>0<SEVERITY>WARN"),
        ("<TRNUID>1<STATUS><CODE>0", "<TRNUID>1<STATUS><CODE>2003"),
        ("<TRNUID>1<STATUS><CODE>0", "<TRNUID>1<STATUS><CODE>00"),
    ],
)
def test_read__answer_with_an_error_status__refused(old: str, new: str) -> None:
    assert changed(old, new).code == "bank-error"


@pytest.mark.parametrize("length", range(0, len(BODY) - 1, 7))
def test_read__truncated_file__refused(length: int) -> None:
    assert refusal(BODY[:length]).code in {"malformed-ofx", "wrong-document"}


def test_read__truncated_xml__refused() -> None:
    data = as_xml(BODY).encode()
    for length in range(1, len(data) - 1, 11):
        assert refusal(data[:length]).code in {"malformed-ofx", "wrong-document"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (BALANCE, "</STMTRS>" + BALANCE), ("</LEDGERBAL>", ""), ("</LEDGERBAL>", "</AVAILBAL>"),
        ("<BALAMT>1234.56", "<BALAMT>1234.56</BALAMT></BALAMT>"), ("<BALAMT>1234.56", "<BALAMT>1234.56</DTASOF>"),
        ("<BALAMT>1234.56", "<BALAMT>1<!-- -->234.56"), ("<BALAMT>1234.56", "<BALAMT>1234.56</BALAMT>7"),
        ("<BALAMT>", '<BALAMT A="1">'), ("<BALAMT>", "<balamt>"), ("<BALAMT>", "<BALAMT/>"), ("<BALAMT>", "< BALAMT>"),
        ("1234.56", "<![CDATA[1234.56]]>"), ("</OFX>", "</OFX></OFX>"), ("</OFX>", "</OFX><OFX></OFX>"),
        ("</OFX>", "</OFX>x"), ("<OFX>", "<OFX>x"), ("</OFX>", "</OFX><!DOCTYPE x>"),
        (BALANCE, "<LEDGERBAL>1" + BALANCE),
        ("000451770012", "&x;"), ("000451770012", "A&B"), ("000451770012", "&#0;"), ("000451770012", "&#x110000;"),
        ("000451770012", "&#9999999;"), ("<TRNUID>1", "<A>" * 40), ("<TRNUID>1", "<TRNUID>" + "x" * 30000),
        (BODY[BODY.index("<SIGNON") : BODY.index("<BANKMSG")], ""),
        ("<SONRS>" + STATUS + "<DTSERVER>20261121</SONRS>", ""),
    ],
)  # fmt: skip
def test_read__tags_that_do_not_fit_together__are_refused(old: str, new: str) -> None:
    assert changed(old, new).code == "malformed-ofx"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<CURDEF>USD", ""), ("<ACCTID>000451770012", ""), ("<ACCTID>000451770012", "<ACCTID></ACCTID>"),
        ("<ACCTTYPE>CHECKING", ""), ("<BALAMT>1234.56", ""), ("<DTASOF>20261120112000[-5:EST]", ""),
        (ACCOUNT, ACCOUNT + ACCOUNT), ("<CURDEF>USD", "<CURDEF>USD<CURDEF>USD"), (STATUS, ""),
        ("</STMTRS>", "</STMTRS><STMTRS><CURDEF>EUR</STMTRS>"), ("</LEDGERBAL>", "<CREDIT>1</LEDGERBAL>"),
        ("<CURDEF>USD", "<CURDEF>USD<SCALE>1000"),
        ("<BALAMT>1234.56", "<BALAMT></BALAMT>"),
        ("</BANKMSGSRSV1>", "<STMTENDTRNRS><X>1</STMTENDTRNRS></BANKMSGSRSV1>"),
    ],
)  # fmt: skip
def test_read__missing_repeated_or_unknown_field__is_refused(old: str, new: str) -> None:
    assert changed(old, new).code == "malformed-statement"


@pytest.mark.parametrize("group", ["STMTTRNRS", "LEDGERBAL", "OFX"])
def test_read__field_where_a_group_must_stand__is_refused(group: str) -> None:
    begin, end = BODY.index(f"<{group}>"), BODY.rindex(f"</{group}>")
    for content in ("x", ""):
        fault = refusal(BODY[:begin] + f"<{group}>{content}" + BODY[end:])
        assert fault.code == "malformed-ofx"


@pytest.mark.parametrize(
    "written",
    ["-", ".", "1 234.56", "1,234.56", "1.234,56", "1.234.56", "1'234.56", "1e3", "NaN", "--1", "1-", "(1)", "١",
     "USD 1", "1.234", "1,234", "-0.00", "$1", "1_000"],
)  # fmt: skip
def test_read__amount_written_otherwise__is_refused_never_guessed(written: str) -> None:
    data = (SGML.replace("USASCII", "UTF-8").replace("1252", "NONE") + BODY.replace("1234.56", written)).encode()
    assert refusal(data).code in {"malformed-amount", "malformed-statement"}


@pytest.mark.parametrize(("written", "code"), [("1,234", "KWD"), ("1,000", "JPY"), ("88.250", "JPY")])
def test_read__thousands_that_look_like_decimals__are_refused(written: str, code: str) -> None:
    fault = refusal(BODY.replace("1234.56", written).replace("USD", code))
    assert fault.code == "malformed-amount"
    assert "account '000451770012'" in fault.message


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("1234.56", "1234.5678", "too-many-decimals"),
        ("USD", "USX", "unknown-currency"),
        ("USD", "XAU", "no-minor-unit"),
    ],
)
def test_read__amount_that_its_currency_cannot_have__is_refused(old: str, new: str, code: str) -> None:
    assert changed(old, new).code == code


@pytest.mark.parametrize(
    "written",
    ["2026-11-20", "20261131", "261120", "2026112011", "20261120112000[EST]", "20261120112000[-5:EST",
     "20261120[-5:EST]", "20261120250000[0]", "20261120112060[0]", "20261120112000[+15]",
     "20261120112000[5.20]", "20261120112000.5[0]",
     "20261120112000Z", "00000000", "18991231", "20261120 112000[0]", "20261120112000[-5:E ST]", "20261025023000"],
)  # fmt: skip
def test_read__date_written_otherwise__is_refused(written: str) -> None:
    fault = changed("20261120112000[-5:EST]", written, zone="Europe/Berlin")
    assert fault.code == "malformed-statement"
    assert "account '000451770012'" in fault.message


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("OFXHEADER:100", "OFXHEADER:200", "wrong-document"), ("DATA:OFXSGML\n", "", "wrong-document"),
        ("VERSION:102", "VERSION:203", "wrong-document"), ("SECURITY:NONE", "SECURITY:TYPE1", "wrong-document"),
        ("COMPRESSION:NONE", "COMPRESSION:GZIP", "wrong-document"),
        ("VERSION:102\n", "VERSION:102\n" * 2, "wrong-document"),
        ("\n\n", "\n\n<?OFX?>", "wrong-document"), ("VERSION:102", "VERSION: 102", "wrong-document"),
        ("CHARSET:1252", "CHARSET:932", "wrong-encoding"), ("ENCODING:USASCII", "ENCODING:UTF-16", "wrong-encoding"),
        ("OFXHEADER:100\n", "", "wrong-document"), (SGML, "", "wrong-document"),
        ("CHARSET:1252", "x" * 9000, "wrong-document"),
    ],
)  # fmt: skip
def test_read__header_that_says_something_else__is_refused(old: str, new: str, code: str) -> None:
    assert refusal((SGML.replace(old, new) + BODY).encode()).code == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('"200"', '"100"', "wrong-document"), ('"211"', '"102"', "wrong-document"),
        ('SECURITY="NONE"', 'SECURITY="TYPE1"', "wrong-document"), ("UTF-8", "UTF-16", "wrong-encoding"),
        ('VERSION="211"', 'VERSION="211" VERSION="211"', "wrong-document"), ("<?OFX", "<?ofx", "wrong-document"),
        ("?>\n<?OFX", "?>\n<!DOCTYPE OFX [<!ENTITY x '9'>]><?OFX", "wrong-document"),
    ],
)  # fmt: skip
def test_read__xml_prolog_that_says_something_else__is_refused(old: str, new: str, code: str) -> None:
    assert refusal(as_xml(BODY).replace(old, new, 1).encode()).code == code


def test_read__field_that_xml_must_close__is_refused_open() -> None:
    data = as_xml(BODY).replace("</BALAMT>", "")
    assert refusal(data.encode()).code == "malformed-ofx"
    assert refusal((XML + BODY).encode()).code == "malformed-ofx"


def test_read__empty_element_tags__are_xml_alone() -> None:
    assert stated(as_xml(BODY).replace("<STATUS>", "<CLTCOOKIE/><STATUS>").encode()) == BALANCES
    assert refusal(as_xml(BODY).replace("<STATUS>", "</CLTCOOKIE/><STATUS>").encode()).code == "malformed-ofx"


def test_read__bytes_of_another_encoding__are_refused() -> None:
    assert refusal((SGML + BODY.replace("<TRNUID>1", "<TRNUID>\x81")).encode("latin-1")).code == "wrong-encoding"
    assert refusal((SGML + BODY).encode("utf-16")).code == "wrong-document"


def test_read__terminal_escape_in_an_account__is_refused_and_shown_escaped() -> None:
    fault = changed("000451770012", "1\x1b[31m2")
    assert fault.code == "unprintable-text"
    assert "\x1b" not in fault.message


@pytest.mark.parametrize("mark", ["\x1c", "\x1d", "\x85", "\0"])
def test_read__control_character_in_the_header__refused(mark: str) -> None:
    for value in (f"{mark}NONE", f"NONE{mark}"):
        text = SGML.replace("SECURITY:NONE", f"SECURITY:{value}") + BODY
        assert refusal(text.encode("latin-1")).code == "wrong-document"


def test_read__statement_of_very_many_fields__refused() -> None:
    fields = "".join(f"<A.{number}>1" for number in range(1_000))
    fault = changed("</STMTRS>", fields + "</STMTRS>")
    assert fault.code == "malformed-statement"
    assert "more than 1000 fields" in fault.message


def test_read__more_statements_than_any_bank_sends__are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ofx, "MAX_STATEMENTS", 2)
    many = [STATEMENT.replace("0012", f"00{n}") for n in range(10, 13)]
    assert len(stated(BODY.replace(STATEMENT, "".join(many[:2])))) == 2
    assert changed(STATEMENT, "".join(many)).code == "too-many-statements"


@pytest.mark.parametrize(
    "filler", ["<", "<A>", "<A>1", "&", "\n", " ", "<MEMO>", "<MEMO>\n", "x", "</A>", "<A></A>"]
)  # fmt: skip
def test_read__a_great_deal_of_anything__takes_linear_time(filler: str) -> None:
    begin = time.perf_counter()
    try:
        stated(BODY.replace("<TRNUID>1", filler * (400_000 // len(filler))))
    except SourceError as fault:
        assert fault.code == "malformed-ofx"  # noqa: PT017
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("options", [{"bank_id": ""}, {"bank_id": 21099998}, {"bank_id": " "}])
def test_check_options__bank_id_that_is_no_text__is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OperatorError) as caught:
        check_options("ofx", options, "accounts.a.sources.b")
    assert caught.value.code == "malformed-option"
    assert "bank_id" in caught.value.message


# -- anything --------------------------------------------------------------------------------------------------------

COUNTED = ("1234.56", "20261120112000[-5:EST]", "USD", "000451770012", "LEDGERBAL", "CHECKING")


@given(
    old=st.sampled_from(COUNTED),
    place=st.integers(0, 30),
    character=st.sampled_from("0123456789.,-+[]:<>/&ACDEGRSTU \n"),
    kind=st.sampled_from(["replace", "insert", "delete"]),
    closed=st.booleans(),
)
def test_read__any_changed_character_of_what_counts__never_gives_the_old_value(
    old: str, place: int, character: str, kind: str, closed: bool
) -> None:
    at = place % len(old)
    new = {"replace": character, "insert": character + old[at], "delete": ""}[kind]
    new = old[:at] + new + old[at + 1 :]
    if new.strip() == old:
        return
    body = as_xml(BODY) if closed else SGML + BODY
    try:
        balances = stated(body.replace(old, new, 1).encode(), "America/New_York")
    except SourceError:
        return
    # The offset's name, a zero in front and a field's default sign change nothing.
    same = old == "20261120112000[-5:EST]" or new in {"+1234.56", "01234.56", "1234,56", "1234.560"}
    assert same or balances != BALANCES


@given(
    edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 9), st.binary(max_size=6)), min_size=1, max_size=5),
    closed=st.booleans(),
)
def test_read__bytes_changed_at_random__are_refused_or_read_without_an_unforeseen_error(
    edits: list[tuple[int, int, bytes]], closed: bool
) -> None:
    data = as_xml(BODY).encode() if closed else (SGML + BODY).encode()
    for place, removed, instead in edits:
        at = place % len(data)
        data = data[:at] + instead + data[at + removed :]
    try:
        stated(data or b"\0")
    except SourceError as fault:
        assert fault.message.startswith("bank.ofx: ")  # noqa: PT017


@given(tokens=st.lists(st.sampled_from(sorted(GROUPS | {"BALAMT", "MEMO", "x", "&", "<", "/"})), max_size=40))
def test_read__tags_in_any_order__are_refused_or_read_without_an_unforeseen_error(tokens: list[str]) -> None:
    body = "<OFX>" + "".join(f"<{token}>" if token in GROUPS else token for token in tokens)
    assert refusal(body).code in {"malformed-ofx", "malformed-statement"}
