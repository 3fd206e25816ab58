"""camt.053: the closing booked balance, or a refusal that names the file, the statement and the account."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody.document import Document
from attest.custody.formats import read
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

IBAN = "DE19999300000412007700"
RETRIEVED = datetime(2026, 11, 23, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Bal:
    """A balance as written into a statement; a field of None is left out."""

    code: str = "CLBD"
    amount: str = "1234.56"
    currency: str | None = "EUR"
    sign: str | None = "CRDT"
    date: str = "<Dt>2026-11-20</Dt>"
    extra: str = ""

    def xml(self) -> str:
        ccy = "" if self.currency is None else f' Ccy="{self.currency}"'
        sign = "" if self.sign is None else f"<CdtDbtInd>{self.sign}</CdtDbtInd>"
        tp = f"<Tp><CdOrPrtry><Cd>{self.code}</Cd></CdOrPrtry></Tp>" if "<Tp>" not in self.extra else ""
        return f"<Bal>{tp}{self.extra}<Amt{ccy}>{self.amount}</Amt>{sign}<Dt>{self.date}</Dt></Bal>"


OPENING = Bal("OPBD", "1000.00", date="<Dt>2026-11-19</Dt>")
AVAILABLE = Bal("CLAV", "9999.99")


def stmt(
    *balances: Bal,
    id: str = "S1",  # noqa: A002 - the element's name
    head: str = "",
    account: str = f"<IBAN>{IBAN}</IBAN>",
    ccy: str = "<Ccy>EUR</Ccy>",
    tail: str = "",
) -> str:
    written = "".join(balance.xml() for balance in balances or (OPENING, Bal(), AVAILABLE))
    return f"<Stmt><Id>{id}</Id>{head}<Acct><Id>{account}</Id>{ccy}</Acct>{written}{tail}</Stmt>"


def doc(*statements: str, version: str = "08", header: str = "", prolog: str = "") -> bytes:
    return (
        f'{prolog}<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T21:00:00Z</CreDtTm>{header}</GrpHdr>"
        f"{''.join(statements or (stmt(),))}</BkToCstmrStmt></Document>"
    ).encode()


def page(number: int, last: bool) -> str:
    return f"<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd></StmtPgntn>"


def day(date: str, closing: str, opening: str, seq: str = "", code: str = "OPBD", id: str = "") -> str:  # noqa: A002
    head = f"<ElctrncSeqNb>{seq}</ElctrncSeqNb>" if seq else ""
    return stmt(Bal(code, opening), Bal(amount=closing, date=f"<Dt>{date}</Dt>"), id=id or date, head=head)


def camt(*files: bytes, zone: str | None = "Europe/Berlin", **options: object) -> tuple[StatedBalance, ...]:
    """What one file or several (bank.xml, bank-2.xml and so on) say together."""
    documents = [Document.of(f"bank-{n}.xml" if n > 1 else "bank.xml", data) for n, data in enumerate(files, 1)]
    return read("camt053", documents, options, zone=zone, retrieved_at=RETRIEVED)


def refusal(*files: bytes, zone: str | None = "Europe/Berlin", **options: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        camt(*files, zone=zone, **options)
    assert caught.value.message.startswith("bank")
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [f"{number:02d}" for number in range(2, 15)])
def test_read__every_version_from_02_to_14__gives_the_closing_booked_balance(version: str) -> None:
    assert camt(doc(version=version)) == (
        StatedBalance(
            account=IBAN,
            currency="EUR",
            minor_units=123456,
            balance_kind="closing-booked",
            as_of=datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC),
            statement_id="S1",
            business_date="2026-11-20",
        ),
    )


@pytest.mark.parametrize(
    "namespace",
    [
        "urn:iso:std:iso:20022:tech:xsd:camt.053.001.01",
        "urn:iso:std:iso:20022:tech:xsd:camt.053.001.15",
        "urn:iso:std:iso:20022:tech:xsd:camt.052.001.08",
        "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08",
        "urn:iso:std:iso:20022:tech:xsd:camt.053.001.088",
        "urn:iso:std:iso:20022:tech:xsd:camtX053.001.08",
        "",
    ],
)
def test_read__another_message_or_version__is_refused(namespace: str) -> None:
    data = doc().replace(b"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08", namespace.encode())
    assert refusal(data).code == "wrong-document"


def test_read__namespace_by_prefix__is_the_same() -> None:
    text = re.sub(r"<(/?)(?=[A-Z])", r"<\1n:", doc().decode()).replace("xmlns=", "xmlns:n=")
    assert camt(text.encode()) == camt(doc())


@pytest.mark.parametrize("code", ["CLAV", "ITBD", "ITAV", "FWAV", "INFO", "OPBD", "OPAV", "PRCD", "XPCD"])
def test_read__statement_without_clbd__never_takes_another_balance_for_it(code: str) -> None:
    assert refusal(doc(stmt(Bal(code)))).code == "no-closing-balance"


def test_read__clbd_as_a_proprietary_code__is_not_the_closing_balance() -> None:
    proprietary = Bal(extra="<Tp><CdOrPrtry><Prtry>CLBD</Prtry></CdOrPrtry></Tp>")
    assert refusal(doc(stmt(proprietary))).code == "no-closing-balance"


def test_read__other_balances_around_it__change_nothing_whatever_their_order() -> None:
    for balances in ((AVAILABLE, Bal(), OPENING), (Bal(), AVAILABLE, OPENING)):
        assert camt(doc(stmt(*balances))) == camt(doc())


def test_read__other_balances_that_are_malformed__are_not_even_looked_at() -> None:
    assert camt(doc(stmt(Bal("CLAV", "n/a", None, None, ""), Bal())))[0].minor_units == 123456


def test_read__amounts_elsewhere_in_the_statement__are_never_taken() -> None:
    entry = f'<Ntry>{Bal(amount="8").xml()}<Amt Ccy="EUR">7</Amt><Sts>PDNG</Sts></Ntry>'
    foreign = '<x:Bal xmlns:x="urn:other"><x:Amt Ccy="EUR">9</x:Amt></x:Bal>'
    same = replace(OPENING, amount="1234.56")
    assert camt(doc(stmt(same, Bal(), tail=entry + foreign))) == camt(doc())


def test_read__debit__is_negative() -> None:
    assert camt(doc(stmt(Bal(sign="DBIT"))))[0].minor_units == -123456


def test_read__zero_marked_as_debit__is_zero() -> None:
    assert camt(doc(stmt(Bal(amount="0.00", sign="DBIT"))))[0].minor_units == 0


@pytest.mark.parametrize(
    ("amount", "currency", "minor_units"),
    [
        ("1204.50000", "EUR", 120450),
        ("1204", "EUR", 120400),
        ("5000", "JPY", 5000),
        ("1.234", "KWD", 1234),
        ("1.0", "CLF", 10000),
    ],
)
def test_read__amount__is_exact_by_the_currency_s_minor_unit(amount: str, currency: str, minor_units: int) -> None:
    (stated,) = camt(doc(stmt(Bal(amount=amount, currency=currency), ccy="")))
    assert (stated.minor_units, stated.currency) == (minor_units, currency)


@pytest.mark.parametrize("amount", ["\n 1234.56 \t", "<![CDATA[1234.56]]>", "1234&#46;56"])
def test_read__amount_in_other_xml_spellings__is_the_same(amount: str) -> None:
    assert camt(doc(stmt(OPENING, Bal(amount=amount)))) == camt(doc())


def test_read__other_identification__is_the_account() -> None:
    assert camt(doc(stmt(account="<Othr><Id>4012887731</Id></Othr>")))[0].account == "4012887731"


def test_read__several_accounts__are_all_stated_in_document_order() -> None:
    second = stmt(Bal(amount="1.00"), account="<Othr><Id>B</Id></Othr>", id="S2")
    third = stmt(Bal(amount="2.00"), account="<Othr><Id>A</Id></Othr>", id="S3")
    assert [(one.account, one.minor_units) for one in camt(doc(stmt(), second, third))] == [
        (IBAN, 123456), ("B", 100), ("A", 200),
    ]  # fmt: skip


def test_read__one_account_in_two_currencies__is_two_balances() -> None:
    dollars = stmt(Bal(currency="USD"), ccy="<Ccy>USD</Ccy>", id="S2")
    assert [one.currency for one in camt(doc(stmt(), dollars))] == ["EUR", "USD"]


@pytest.mark.parametrize(
    ("written", "as_of"),
    [
        ("2026-11-20T23:59:59Z", datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)),
        ("2026-11-20T18:00:00-05:00", datetime(2026, 11, 20, 23, tzinfo=UTC)),
        ("2026-11-20T18:00:00.999+05:30", datetime(2026, 11, 20, 12, 30, tzinfo=UTC)),
        ("2026-11-20T18:00:00", datetime(2026, 11, 20, 17, tzinfo=UTC)),
    ],
)
def test_read__date_time__is_that_instant(written: str, as_of: datetime) -> None:
    (stated,) = camt(doc(stmt(Bal(date=f"<DtTm>{written}</DtTm>"))))
    assert (stated.as_of, stated.business_date) == (as_of, None)


@pytest.mark.parametrize(
    ("zone", "as_of"),
    [
        ("America/New_York", datetime(2026, 11, 21, 4, 59, 59, tzinfo=UTC)),
        ("Europe/London", datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)),
        (None, datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_read__date_alone__is_the_end_of_that_date_in_the_account_s_zone(zone: str | None, as_of: datetime) -> None:
    (stated,) = camt(doc(), zone=zone)
    assert (stated.as_of, stated.business_date) == (as_of, "2026-11-20")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_read__declared_encoding__is_followed(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + doc(stmt(id="Größe")).decode()
    assert camt(text.encode(encoding))[0].statement_id == "Größe"


# -- what is refused -------------------------------------------------------------------------------------------------


def test_read__no_statement__is_refused() -> None:
    empty = doc("<Stmt/>").replace(b"<Stmt/>", b"")
    assert refusal(empty).code == "no-closing-balance"


def test_read__several_closing_balances__are_refused_even_if_equal() -> None:
    assert refusal(doc(stmt(Bal(), Bal(amount="1.00")))).code == "several-closing-balances"
    assert refusal(doc(stmt(Bal(), Bal()))).code == "several-closing-balances"


@pytest.mark.parametrize(
    "balance",
    [
        Bal(sign=None), Bal(sign="CREDIT"), Bal(sign=""), Bal(sign="crdt"), Bal(amount="-1234.56"),
        Bal(date=""), Bal(date="<Dt>2026-11-20</Dt><DtTm>2026-11-20T00:00:00Z</DtTm>"),
        Bal(date="<Dt>2026-11-20</Dt><Dt>2026-11-20</Dt>"),
        Bal(date="<Dt>20.11.2026</Dt>"), Bal(date="<Dt>2026-11-31</Dt>"), Bal(date="<Dt>2026-11-20+01:00</Dt>"),
        Bal(date="<Dt>0001-01-01</Dt>"), Bal(date="<Dt></Dt>"),
        Bal(date="<DtTm>2026-11-20</DtTm>"), Bal(date="<DtTm>2026-11-20T24:00:00Z</DtTm>"),
        Bal(date="<DtTm>2026-11-20T12:00:00+15:00</DtTm>"), Bal(date="<DtTm>2026-10-25T02:30:00</DtTm>"),
        Bal(date="<DtTm>2026-03-29T02:30:00</DtTm>"), Bal(date="<DtTm>0001-01-01T00:00:00+14:00</DtTm>"),
        Bal(extra='<Amt Ccy="EUR">1234.56</Amt>'),
        Bal(extra="<Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry><SubTp><Cd>BCUR</Cd></SubTp></Tp>"),
        Bal(extra="<Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry><SubTp><Prtry>X</Prtry></SubTp></Tp>"),
    ],
)  # fmt: skip
def test_read__closing_balance_that_is_not_understood_in_full__is_refused(balance: Bal) -> None:
    assert refusal(doc(stmt(balance))).code == "malformed-statement"


@pytest.mark.parametrize(
    "amount", ["1,234.56", "1.234,56", "1234.56 EUR", "+1.00", "1e3", "NaN", "١٢٣", "", "1 234.56"]
)
def test_read__amount_that_is_no_plain_decimal__is_refused(amount: str) -> None:
    assert refusal(doc(stmt(Bal(amount=amount)))).code in {"malformed-amount", "malformed-statement"}


def test_read__more_decimals_than_the_currency_has__is_refused() -> None:
    assert refusal(doc(stmt(Bal(amount="1234.567")))).code == "too-many-decimals"


@pytest.mark.parametrize(
    ("currency", "code"), [(None, "unknown-currency"), ("EURO", "unknown-currency"), ("XAU", "no-minor-unit")]
)
def test_read__currency_that_cannot_be_counted__is_refused(currency: str | None, code: str) -> None:
    assert refusal(doc(stmt(Bal(currency=currency), ccy=""))).code == code


def test_read__amount_in_another_currency_than_the_account_s__is_refused() -> None:
    assert refusal(doc(stmt(Bal(currency="USD")))).code == "currency-mismatch"
    assert refusal(doc(stmt(replace(OPENING, currency="USD"), Bal(), ccy=""))).code == "currency-mismatch"


@pytest.mark.parametrize("included", ["true", "1", "yes", ""])
def test_read__included_credit_line__is_refused(included: str) -> None:
    line = f'<CdtLine><Incl>{included}</Incl><Amt Ccy="EUR">5000.00</Amt></CdtLine>'
    assert refusal(doc(stmt(Bal(extra=line)))).code == "included-credit-line"


def test_read__second_credit_line_included__is_refused_too() -> None:
    lines = "<CdtLine><Incl>false</Incl></CdtLine><CdtLine><Incl>true</Incl></CdtLine>"
    assert refusal(doc(stmt(Bal(extra=lines)))).code == "included-credit-line"


def test_read__credit_line_that_is_not_included__does_not_matter() -> None:
    line = '<CdtLine><Incl>false</Incl><Amt Ccy="EUR">5000.00</Amt></CdtLine>'
    available = replace(AVAILABLE, extra=line.replace("false", "true"))
    assert camt(doc(stmt(OPENING, Bal(extra=line), available))) == camt(doc())


def test_read__naive_time_without_a_configured_zone__is_refused() -> None:
    assert refusal(doc(stmt(Bal(date="<DtTm>2026-11-20T18:00:00</DtTm>"))), zone=None).code == "naive-time"


@pytest.mark.parametrize("mark", ["DUPL", "CODU"])
def test_read__duplicate_without_its_original__is_not_taken_as_new(mark: str) -> None:
    duplicate = stmt(head=f"<CpyDplctInd>{mark}</CpyDplctInd>")
    assert refusal(doc(duplicate)).code == "duplicate-taken-as-new"
    other = stmt(Bal(amount="1.00"), head=f"<CpyDplctInd>{mark}</CpyDplctInd>")
    assert refusal(doc(stmt(), other)).code == "duplicate-taken-as-new"
    assert camt(doc(duplicate, stmt())) == camt(doc())


def test_read__copy_for_a_third_party__is_the_statement() -> None:
    assert camt(doc(stmt(head="<CpyDplctInd>COPY</CpyDplctInd>"))) == camt(doc())
    assert refusal(doc(stmt(head="<CpyDplctInd>NEWW</CpyDplctInd>"))).code == "malformed-statement"


def test_read__message_marked_as_a_test__is_refused() -> None:
    assert refusal(doc(header="<AddtlInf>SPS/2.1/TEST</AddtlInf>")).code == "test-statement"
    assert camt(doc(header="<AddtlInf>SPS/2.1/PROD</AddtlInf>")) == camt(doc())


@pytest.mark.parametrize(
    "statement",
    [
        stmt(account="<Othr><Id></Id></Othr>"),
        stmt(account="<Prtry>X</Prtry>"),
        stmt(account=f"<IBAN>{IBAN}</IBAN><Othr><Id>1</Id></Othr>"),
        stmt(account=f"<IBAN>{IBAN}</IBAN><IBAN>{IBAN}</IBAN>"),
        stmt(id=""),
        stmt(head="<Id>S2</Id>"),
        stmt(head="<ElctrncSeqNb>one</ElctrncSeqNb>"),
        stmt(head="<StmtPgntn><PgNb>first</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"),
        stmt(head="<StmtPgntn><PgNb>1</PgNb><LastPgInd>maybe</LastPgInd></StmtPgntn>"),
        stmt(head="<StmtPgntn><PgNb>1</PgNb></StmtPgntn>"),
        stmt(head="<StmtPgntn><LastPgInd>false</LastPgInd></StmtPgntn>"),
    ],
)  # fmt: skip
def test_read__statement_whose_head_is_not_understood__is_refused(statement: str) -> None:
    assert refusal(doc(statement)).code == "malformed-statement"


def test_read__several_messages_in_one_document__are_refused() -> None:
    twice = doc().replace(b"</BkToCstmrStmt>", b"</BkToCstmrStmt><BkToCstmrStmt></BkToCstmrStmt>")
    assert refusal(twice).code == "malformed-statement"


# -- pages -----------------------------------------------------------------------------------------------------------

INTERMEDIATE = "<Tp><CdOrPrtry><Cd>{}</Cd></CdOrPrtry><SubTp><Cd>INTM</Cd></SubTp></Tp>"
FIRST = stmt(OPENING, Bal(amount="1100.00", extra=INTERMEDIATE.format("CLBD")), head=page(1, False))
SECOND = stmt(Bal(amount="1100.00", extra=INTERMEDIATE.format("OPBD")), Bal(), head=page(2, True))


def test_read__pages_of_one_statement__are_one_balance_whatever_their_order() -> None:
    assert camt(doc(FIRST, SECOND)) == camt(doc(SECOND, FIRST)) == camt(doc())


def test_read__only_page__is_the_statement() -> None:
    assert camt(doc(stmt(head=page(1, True)))) == camt(doc())


@pytest.mark.parametrize(
    "pages",
    [
        [FIRST], [SECOND], [FIRST, FIRST, SECOND], [stmt(head=page(1, True)), SECOND], [FIRST, stmt()],
        [FIRST, stmt(head=page(2, False))], [FIRST, stmt(head=page(3, True))], [stmt(head=page(0, True))],
    ],
)  # fmt: skip
def test_read__missing_page__is_refused(pages: list[str]) -> None:
    assert refusal(doc(*pages)).code == "missing-page"


def test_read__pages_with_different_closing_balances__are_refused() -> None:
    assert refusal(doc(stmt(Bal(amount="1.00"), head=page(1, False)), SECOND)).code == "several-closing-balances"
    dollars = stmt(replace(OPENING, currency="USD"), head=page(1, False), ccy="")
    assert refusal(doc(dollars, SECOND)).code == "several-closing-balances"


def test_read__last_page_without_closing_balance__is_refused() -> None:
    assert refusal(doc(stmt(head=page(1, False)), stmt(OPENING, head=page(2, True)))).code == "no-closing-balance"


@pytest.mark.parametrize(("number", "last"), [(1, False), (2, True), (2, False)])
def test_read__one_page_of_a_message__is_refused(number: int, last: bool) -> None:
    header = page(number, last).replace("StmtPgntn", "MsgPgntn")
    assert refusal(doc(header=header)).code == "missing-page"


def test_read__whole_message_on_one_page__is_read() -> None:
    assert camt(doc(header=page(1, True).replace("StmtPgntn", "MsgPgntn"))) == camt(doc())


# -- several documents of one source ---------------------------------------------------------------------------------


def in_message(number: int, last: bool, *statements: str, message: str = "M1", version: str = "02") -> bytes:
    """One page of a message."""
    header = page(number, last).replace("StmtPgntn", "MsgPgntn")
    return doc(*statements, header=header, version=version).replace(b"<MsgId>M1<", f"<MsgId>{message}<".encode())


def unpaged(statement: str) -> str:
    """As .02 writes it: there pages are those of the message."""
    return re.sub("<StmtPgntn>.*?</StmtPgntn>", "", statement)


OTHER = stmt(Bal(amount="7.00"), id="S7", account="<Othr><Id>7</Id></Othr>")


def test_read__statement_whose_pages_are_in_several_documents__is_one_balance() -> None:
    assert camt(doc(FIRST), doc(SECOND)) == camt(doc(SECOND), doc(FIRST)) == camt(doc())
    third = SECOND.replace("<PgNb>2", "<PgNb>3")
    middle = stmt(Bal(amount="1100.00", extra=INTERMEDIATE.format("CLBD")), head=page(2, False))
    assert camt(doc(FIRST, OTHER), doc(middle), doc(third))[0] == camt(doc())[0]
    fault = refusal(doc(FIRST, OTHER), doc(third))
    assert fault.code == "missing-page"
    assert fault.message.startswith("bank.xml: statement 'S1' of account")


@pytest.mark.parametrize("messages", [("M1", "M1"), ("M1", "M2"), ("", "")])
def test_read__message_in_several_documents__is_joined_by_its_id_or_its_statement(messages: tuple[str, str]) -> None:
    first = in_message(1, False, unpaged(FIRST), OTHER, message=messages[0])
    second = in_message(2, True, unpaged(SECOND), message=messages[1])
    assert [one.minor_units for one in camt(first, second)] == [123456, 700]
    assert [one.minor_units for one in camt(second, first)] == [123456, 700]
    paged = in_message(1, False, FIRST, message=messages[0]), in_message(2, True, SECOND, message=messages[1])
    assert camt(*paged) == camt(doc())


def test_read__message_whose_pages_share_no_statement__is_joined_by_its_id_alone() -> None:
    assert len(camt(in_message(1, False, stmt()), in_message(2, True, OTHER))) == 2
    fault = refusal(in_message(1, False, stmt()), in_message(2, True, OTHER, message="M2"))
    assert fault.code == "missing-page"


def test_read__three_pages_of_which_the_middle_one_joins_the_others__are_one_message() -> None:
    last = in_message(3, True, OTHER.replace("S7", "S9").replace(">7<", ">9<"), message="M3")
    first, middle = in_message(1, False, stmt(), message="M1"), in_message(2, False, OTHER, message="M3")
    assert refusal(first, last, middle).code == "missing-page"
    spanning = in_message(2, False, unpaged(SECOND), message="M3")
    assert len(camt(in_message(1, False, unpaged(FIRST), message="M1"), last, spanning)) == 2


@pytest.mark.parametrize("pages", [[(1, False)], [(1, False), (3, True)], [(2, True)], [(1, False), (2, False)]])
def test_read__missing_page_of_a_message__is_refused_naming_a_document(pages: list[tuple[int, bool]]) -> None:
    files = [in_message(n, last, stmt(id=f"S{n}", account=f"<Othr><Id>{n}</Id></Othr>")) for n, last in pages]
    fault = refusal(*files)
    assert fault.code == "missing-page"
    assert fault.message.startswith("bank.xml: of its message only the pages")


def test_read__same_page_in_two_documents__is_one_page() -> None:
    first, second = in_message(1, False, unpaged(FIRST)), in_message(2, True, unpaged(SECOND))
    again = first.replace(b"2026-11-20T21:00:00Z", b"2026-11-20T22:00:00Z")
    assert camt(first, again, second, second) == camt(doc())
    assert camt(doc(FIRST), doc(FIRST, OTHER), doc(SECOND))[0] == camt(doc())[0]


def test_read__same_page_in_two_documents_that_differ__is_refused_naming_both() -> None:
    first, second = in_message(1, False, unpaged(FIRST)), in_message(2, True, unpaged(SECOND))
    fault = refusal(first, second, second.replace(b"1234.56", b"1234.57"))
    assert fault.code == "conflicting-statements"
    assert fault.message.startswith("bank-3.xml: page 2 ")
    assert "in bank-2.xml" in fault.message


def test_read__identical_statements_in_two_documents__are_one() -> None:
    again = doc(header="<AddtlInf>sent again</AddtlInf>")
    assert camt(doc(), doc()) == camt(doc(), again) == camt(doc())


def test_read__statements_of_two_documents_that_differ__are_refused_naming_both() -> None:
    fault = refusal(doc(), doc(stmt(Bal(amount="1.00"), id="S2")))
    assert fault.code == "conflicting-statements"
    assert fault.message.startswith("bank-2.xml: statement 'S2'")
    assert "statement 'S1'" in fault.message
    assert "in bank.xml" in fault.message


def test_read__gap_in_the_sequence_over_documents__is_refused_naming_both() -> None:
    fault = refusal(doc(day("2026-11-20", "12.00", "10.00", "9")), doc(day("2026-11-19", "10.00", "5.00", "7")))
    assert fault.code == "sequence-gap"
    assert fault.message.startswith("bank.xml: statement '2026-11-20'")
    assert "bank-2.xml" in fault.message


def test_read__opening_not_equal_to_the_previous_closing_in_another_document__is_refused_naming_both() -> None:
    fault = refusal(doc(day("2026-11-19", "10.00", "5.00")), doc(day("2026-11-20", "12.00", "10.01")))
    assert fault.code == "opening-differs"
    assert fault.message.startswith("bank-2.xml: ")
    assert "(bank.xml)" in fault.message


def test_read__duplicate_whose_original_is_in_another_document__is_left_out() -> None:
    duplicate = doc(stmt(head="<CpyDplctInd>DUPL</CpyDplctInd>"))
    assert camt(duplicate, doc()) == camt(doc())
    assert refusal(duplicate, doc(OTHER)).message.startswith("bank.xml: ")


def test_read__one_document_that_is_damaged__refuses_all() -> None:
    fault = refusal(doc(), doc(OTHER)[:-5])
    assert fault.code == "malformed-xml"
    assert fault.message.startswith("bank-2.xml: ")


# -- entries ---------------------------------------------------------------------------------------------------------


def ntry(amount: str, sign: str = "CRDT", status: str = "<Cd>BOOK</Cd>", currency: str = "EUR", extra: str = "") -> str:
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>{extra}<Sts>{status}</Sts>'
        f'<NtryDtls><TxDtls><Amt Ccy="EUR">9</Amt><CdtDbtInd>DBIT</CdtDbtInd></TxDtls></NtryDtls></Ntry>'
    )


ENTRIES = ntry("300.00") + ntry("65.44", "DBIT")


@pytest.mark.parametrize(
    "entries",
    [
        ENTRIES,
        ENTRIES + ntry("5.00", status="<Cd>PDNG</Cd>") + ntry("6.00", status="<Cd>INFO</Cd>", currency="USD"),
        ENTRIES.replace("<Cd>BOOK</Cd>", "BOOK"),
        ntry("234.56"),
        ntry("300.00", extra="<RvslInd>true</RvslInd>") + ntry("65.44", "DBIT", extra="<RvslInd>true</RvslInd>"),
        "",
    ],
)
def test_read__opening_and_booked_entries_together_are_the_closing__is_read(entries: str) -> None:
    assert camt(doc(stmt(tail=entries))) == camt(doc())
    debit = replace(OPENING, sign="DBIT", amount="0.00")
    assert camt(doc(stmt(debit, Bal(), tail=ntry("1234.56") + ntry("0.00", "DBIT"))))[0].minor_units == 123456


@pytest.mark.parametrize(
    "entries",
    [
        ntry("300.00"), ENTRIES.replace("300.00", "300.01"), ntry("300.00") + ntry("65.44"), ENTRIES + ntry("0.01"),
        ntry("234.56", status="<Cd>PDNG</Cd>"),
    ],
)  # fmt: skip
def test_read__entries_that_do_not_explain_the_closing_balance__are_refused(entries: str) -> None:
    fault = refusal(doc(stmt(tail=entries)))
    assert fault.code == "entries-differ"
    assert "1234.56 EUR" in fault.message
    assert "check_entries" in fault.advice


def test_read__previous_closing_instead_of_the_opening__is_checked_with_the_entries_too() -> None:
    assert camt(doc(stmt(replace(OPENING, code="PRCD"), Bal(), tail=ENTRIES))) == camt(doc())
    assert refusal(doc(stmt(replace(OPENING, code="PRCD"), Bal(), tail=ntry("1.00")))).code == "entries-differ"
    assert camt(doc(stmt(Bal(), tail=ntry("1.00")))) == camt(doc())


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (ntry("1.00", status=""), "malformed-statement"),
        (ntry("1.00", status="<Cd>book</Cd>"), "malformed-statement"),
        (ntry("1.00", status="<Prtry>BOOK</Prtry>"), "malformed-statement"),
        (ntry("1.00", status="<Cd>BOOK</Cd><Cd>BOOK</Cd>"), "malformed-statement"),
        (ntry("1.00", "CREDIT"), "malformed-statement"),
        (ntry("-1.00"), "malformed-statement"),
        (ntry("1,00"), "malformed-amount"),
        (ntry("1.001"), "too-many-decimals"),
        (ntry("234.56", currency="EURO"), "unknown-currency"),
        (ntry("234.56", currency="USD"), "currency-mismatch"),
        (ntry("234.56").replace("<Sts><Cd>BOOK</Cd></Sts>", ""), "malformed-statement"),
        (ntry("234.56").replace("<CdtDbtInd>CRDT</CdtDbtInd>", ""), "malformed-statement"),
    ],
)
def test_read__entry_that_is_not_understood__is_refused_naming_it(entry: str, code: str) -> None:
    fault = refusal(doc(stmt(tail=ENTRIES + entry)))
    assert fault.code == code
    assert "statement 'S1'" in fault.message
    assert ("entry 3" in fault.message) == (code != "currency-mismatch")


@pytest.mark.parametrize("value", ["false", False])
def test_read__bank_that_leaves_entries_out__can_be_configured(value: object) -> None:
    data = doc(stmt(tail=ntry("1.00") + ntry("n/a", status="<Prtry>?</Prtry>")))
    assert camt(data, check_entries=value) == camt(doc())
    assert refusal(data, check_entries="true").code == "malformed-statement"


@pytest.mark.parametrize("value", ["no", "", 0, 1, 1.0, None, [], {}, ["true"]])
def test_check_options__neither_true_nor_false__is_refused(value: object) -> None:
    with pytest.raises(OperatorError) as caught:
        camt(doc(), check_entries=value)
    assert caught.value.code == "malformed-option"


def test_read__entries_on_several_pages__are_added_up() -> None:
    first = FIRST.replace("</Stmt>", ntry("300.00") + "</Stmt>")
    second = SECOND.replace("</Stmt>", ntry("65.44", "DBIT") + "</Stmt>")
    assert camt(doc(first), doc(second)) == camt(doc(first, second)) == camt(doc())
    assert refusal(doc(first), doc(SECOND)).code == "entries-differ"
    assert refusal(doc(first, second.replace("65.44", "65.45"))).code == "entries-differ"


# -- statements against each other -----------------------------------------------------------------------------------


def test_read__successive_statements__are_all_stated() -> None:
    days = [day("2026-11-19", "10.00", "5.00", "7"), day("2026-11-20", "12.00", "10.00", "8")]
    assert [one.minor_units for one in camt(doc(*days))] == [1000, 1200]
    assert [one.minor_units for one in camt(doc(*reversed(days)))] == [1200, 1000]


@pytest.mark.parametrize("code", ["OPBD", "PRCD"])
def test_read__opening_that_is_not_the_previous_closing__is_refused(code: str) -> None:
    data = doc(day("2026-11-19", "10.00", "5.00"), day("2026-11-20", "12.00", "10.01", code=code))
    fault = refusal(data)
    assert fault.code == "opening-differs"
    assert "10.01" in fault.message
    assert "10.00" in fault.message


def test_read__gap_in_the_sequence__is_refused() -> None:
    data = doc(day("2026-11-19", "10.00", "5.00", "7"), day("2026-11-20", "12.00", "10.00", "9"))
    assert refusal(data).code == "sequence-gap"


def test_read__sequence_that_begins_again_in_the_new_year__is_no_gap() -> None:
    data = doc(day("2026-12-31", "10.00", "5.00", "260"), day("2027-01-04", "12.00", "10.00", "1"))
    assert len(camt(data)) == 2
    within_a_year = doc(day("2026-11-19", "10.00", "5.00", "260"), day("2026-11-20", "12.00", "10.00", "1"))
    assert refusal(within_a_year).code == "sequence-gap"


def test_read__legal_sequence_number__stands_in_for_the_electronic_one() -> None:
    days = [day("2026-11-19", "10.00", "5.00", "7"), day("2026-11-20", "12.00", "10.00", "9")]
    legal = [one.replace("ElctrncSeqNb", "LglSeqNb") for one in days]
    assert refusal(doc(*legal)).code == "sequence-gap"


def test_read__two_statements_of_one_account_and_date_that_differ__are_refused() -> None:
    fault = refusal(doc(stmt(), stmt(Bal(amount="1.00"), id="S2")))
    assert fault.code == "conflicting-statements"
    assert "'S1'" in fault.message
    assert "'S2'" in fault.message
    by_time = stmt(Bal(date="<DtTm>2026-11-20T18:00:00Z</DtTm>"), id="S2")
    assert refusal(doc(stmt(), by_time)).code == "conflicting-statements"
    spaced = stmt(Bal(amount="1.00"), id="S2", account="<Othr><Id>de19 9993 0000 0412 0077 00</Id></Othr>")
    assert refusal(doc(stmt(), spaced)).code == "conflicting-statements"


def test_read__two_equal_statements_of_one_account_and_date__are_one() -> None:
    assert camt(doc(stmt(), stmt())) == camt(doc())
    assert camt(doc(stmt(), stmt(id="S2"))) == camt(doc())


# -- hostile and damaged files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 100, 300, 500, len(doc()) - 1])
def test_read__truncated_file__is_refused(length: int) -> None:
    assert refusal(doc()[:length]).code == "malformed-xml"


def test_read__comment_that_splits_an_amount__is_refused() -> None:
    assert refusal(doc(stmt(Bal(amount="1<!-- -->999.00")))).code == "xml-refused"
    assert refusal(doc(stmt(Bal(amount="1<?x?>999.00")))).code == "xml-refused"


def test_read__element_inside_an_amount__is_refused() -> None:
    assert refusal(doc(stmt(Bal(amount="1<x/>999.00")))).code == "malformed-xml"


def test_read__terminal_escape_in_an_identifier__is_refused_and_shown_escaped() -> None:
    fault = refusal(doc(stmt(id="S\u009b31m1")))
    assert fault.code == "unprintable-text"
    assert "\u009b" not in fault.message
    assert refusal(doc(stmt(account="<Othr><Id>A\u202eB</Id></Othr>"))).code == "unprintable-text"


def test_read__too_many_statements__are_refused_whatever_document_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.custody.camt.MAX_STATEMENTS", 3)
    each = [stmt(Bal(), id=f"S{n}", account=f"<Othr><Id>{n}</Id></Othr>") for n in range(4)]
    assert len(camt(doc(*each[:3]))) == 3
    assert refusal(doc(*each)).code == "too-many-statements"
    assert refusal(doc(*each[:2]), doc(*each[2:])).code == "too-many-statements"


def test_read__too_many_balances_in_a_statement__are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.custody.camt.MAX_BALANCES", 3)
    assert camt(doc(stmt(AVAILABLE, Bal(), OPENING)))[0].minor_units == 123456
    assert refusal(doc(stmt(AVAILABLE, AVAILABLE, Bal(), OPENING))).code == "too-many-statements"


def test_read__leaf_that_stands_there_a_hundred_times__is_refused() -> None:
    lines = "<CdtLine><Incl>false</Incl></CdtLine>"
    assert camt(doc(stmt(OPENING, Bal(extra=lines * 100)))) == camt(doc())
    assert refusal(doc(stmt(OPENING, Bal(extra=lines * 101)))).code == "malformed-statement"


# -- nothing that changes is ever silently the old value -------------------------------------------------------------

ORIGINAL = doc(stmt(head="<ElctrncSeqNb>7</ElctrncSeqNb>")).decode()
(ORIGINAL_BALANCE,) = camt(ORIGINAL.encode())
_CLBD = ORIGINAL.index("<Bal><Tp><CdOrPrtry><Cd>CLBD")


def _field(begin: str, end: str) -> tuple[int, int]:
    start = ORIGINAL.index(begin, _CLBD) + len(begin)
    return start, ORIGINAL.index(end, start)


MUTABLE = {
    "minor_units": _field('<Amt Ccy="EUR">', "</Amt>"),
    "currency": _field('Ccy="', '"'),
    "sign": _field("<CdtDbtInd>", "</CdtDbtInd>"),
    "as_of": _field("<Dt><Dt>", "</Dt>"),
}


@given(
    field=st.sampled_from(sorted(MUTABLE)),
    place=st.integers(0, 100),
    character=st.sampled_from("0123456789.,-+ ABCDEGINRSTUXZ<>&'\""),
    kind=st.sampled_from(["replace", "insert", "delete"]),
)
def test_read__any_changed_character_of_amount_sign_currency_or_date__never_gives_the_old_value(
    field: str, place: int, character: str, kind: str
) -> None:
    begin, end = MUTABLE[field]
    at = begin + place % (end - begin)
    old = ORIGINAL[at]
    new = {"replace": character, "insert": character + old, "delete": ""}[kind]
    mutated = ORIGINAL[:at] + new + ORIGINAL[at + 1 :]
    if mutated == ORIGINAL:
        return
    try:
        (stated,) = camt(mutated.encode())
    except SourceError:
        return
    written = mutated[begin : end + len(new) - 1].strip()
    if field == "minor_units":
        # Zeros after the last decimal, and white space around the number, say the same amount.
        same = written.rstrip("0") == "1234.56"
        assert (stated.minor_units == ORIGINAL_BALANCE.minor_units) == same
    elif field == "sign":
        assert (stated.minor_units == ORIGINAL_BALANCE.minor_units) == (written == "CRDT")
    elif field == "currency":
        assert stated.currency != ORIGINAL_BALANCE.currency
    else:
        assert (stated.as_of == ORIGINAL_BALANCE.as_of) == (written == "2026-11-20")


@given(at=st.integers(0, len(ORIGINAL) - 1), junk=st.binary(max_size=3))
def test_read__any_damage_anywhere__is_refused_or_read_without_an_unforeseen_error(at: int, junk: bytes) -> None:
    data = ORIGINAL.encode()
    try:
        camt(data[:at] + junk + data[at + 1 :])
    except SourceError as fault:
        assert fault.message.startswith("bank.xml: ")  # noqa: PT017
