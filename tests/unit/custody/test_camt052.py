"""camt.052: the interim booked balance with its time, which only corroborates, or a refusal."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody import formats
from attest.custody.document import Document
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

IBAN = "DE19999300000412007700"
RETRIEVED = datetime(2026, 11, 23, 6, tzinfo=UTC)


def bal(
    code: str = "ITBD", amount: str = "1234.56", date: str = "<DtTm>2026-11-20T15:00:00Z</DtTm>", sign: str = "CRDT",
    currency: str = "EUR",
) -> str:  # fmt: skip
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd><Dt>{date}</Dt></Bal>'
    )


def at(hour: int, amount: str = "1234.56") -> str:
    return bal(amount=amount, date=f"<DtTm>2026-11-20T{hour:02d}:00:00Z</DtTm>")


def rpt(*balances: str, id: str = "R1", head: str = "", account: str = f"<IBAN>{IBAN}</IBAN>") -> str:  # noqa: A002
    entry = '<Ntry><Amt Ccy="EUR">7.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts></Ntry>'
    return f"<Rpt><Id>{id}</Id>{head}<Acct><Id>{account}</Id></Acct>{''.join(balances or (bal(),))}{entry}</Rpt>"


def doc(*reports: str, version: str = "08") -> bytes:
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.{version}"><BkToCstmrAcctRpt>'
        f"<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T16:00:00Z</CreDtTm></GrpHdr>"
        f"{''.join(reports or (rpt(),))}</BkToCstmrAcctRpt></Document>"
    ).encode()


def camt(*files: bytes, zone: str | None = "Europe/Berlin") -> tuple[StatedBalance, ...]:
    documents = [Document.of(f"report-{n}.xml", data) for n, data in enumerate(files, 1)]
    return formats.read("camt052", documents, {}, zone=zone, retrieved_at=RETRIEVED)


def refusal(*files: bytes, zone: str | None = "Europe/Berlin") -> SourceError:
    with pytest.raises(SourceError) as caught:
        camt(*files, zone=zone)
    assert caught.value.message.startswith("report-")
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [f"{number:02d}" for number in range(2, 15)])
def test_read__every_version_from_02_to_14__gives_the_interim_booked_balance(version: str) -> None:
    assert camt(doc(version=version)) == (
        StatedBalance(
            account=IBAN,
            currency="EUR",
            minor_units=123456,
            balance_kind="interim-booked",
            as_of=datetime(2026, 11, 20, 15, tzinfo=UTC),
            statement_id="R1",
        ),
    )


def test_read__a_report__only_ever_corroborates() -> None:
    assert formats.find("camt052", "here").corroborates
    assert not formats.find("camt053", "here").corroborates


def test_read__statement_given_as_a_report_or_the_other_way_round__is_refused() -> None:
    assert refusal(doc(version="15")).code == "wrong-document"
    assert refusal(doc().replace(b"camt.052", b"camt.053")).code == "wrong-document"
    with pytest.raises(SourceError) as caught:
        formats.read("camt053", [Document.of("x.xml", doc())], {}, zone=None, retrieved_at=RETRIEVED)
    assert caught.value.code == "wrong-document"


def test_read__debit__is_negative() -> None:
    assert camt(doc(rpt(bal(sign="DBIT"))))[0].minor_units == -123456


def test_read__balance_with_a_date_only__is_that_of_the_date_s_end() -> None:
    (stated,) = camt(doc(rpt(bal(date="<Dt>2026-11-20</Dt>"))))
    assert (stated.as_of, stated.business_date) == (datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC), "2026-11-20")


def test_read__local_time__is_that_of_the_configured_zone_or_refused() -> None:
    local = doc(rpt(bal(date="<DtTm>2026-11-20T15:00:00</DtTm>")))
    assert camt(local)[0].as_of == datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert refusal(local, zone=None).code == "naive-time"


def test_read__report_at_the_end_of_the_day__states_its_closing_balance_as_what_it_is() -> None:
    closing = bal("CLBD", "20.00", "<Dt>2026-11-20</Dt>")
    assert [(one.balance_kind, one.minor_units) for one in camt(doc(rpt(closing)))] == [("closing-booked", 2000)]
    assert [(one.balance_kind, one.minor_units) for one in camt(doc(rpt(at(9, "1.00"), closing)))] == [
        ("interim-booked", 100),
        ("closing-booked", 2000),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_read__several_interim_balances__the_last_one_by_time_is_taken(order: int) -> None:
    balances = [at(9, "1.00"), at(12, "2.00"), at(15, "3.00")][::order]
    assert [one.minor_units for one in camt(doc(rpt(*balances)))] == [300]
    by_date = [bal(amount=f"{n}.00", date=f"<Dt>2026-11-{n}</Dt>") for n in (18, 19, 20)][::order]
    assert [one.minor_units for one in camt(doc(rpt(*by_date)))] == [2000]
    other_day = [bal(amount="1.00", date="<DtTm>2026-11-19T15:00:00Z</DtTm>"), bal(date="<Dt>2026-11-20</Dt>")]
    assert [one.minor_units for one in camt(doc(rpt(*other_day[::order])))] == [123456]


def test_read__several_interim_balances_that_are_equal__are_one() -> None:
    assert camt(doc(rpt(at(15), at(15)))) == camt(doc())


def test_read__reports_of_a_day__are_all_stated_whatever_their_numbers() -> None:
    head = "<ElctrncSeqNb>{}</ElctrncSeqNb>"
    first, third = rpt(at(9, "1.00"), id="R1", head=head.format(1)), rpt(at(15), id="R3", head=head.format(3))
    assert [one.minor_units for one in camt(doc(third, first))] == [123456, 100]
    assert [one.minor_units for one in camt(doc(first), doc(third))] == [100, 123456]


def test_read__same_report_in_two_documents__is_one() -> None:
    assert camt(doc(), doc(), doc(rpt(id="R2"))) == camt(doc())


def test_read__pages_of_a_report_in_two_documents__are_joined() -> None:
    pages = "<RptPgntn><PgNb>{}</PgNb><LastPgInd>{}</LastPgInd></RptPgntn>"
    first = rpt(bal("OPBD", "1.00"), head=pages.format(1, "false"))
    assert camt(doc(first), doc(rpt(head=pages.format(2, "true")))) == camt(doc())
    assert refusal(doc(first)).code == "missing-page"


def test_read__entries__are_not_added_up() -> None:
    assert camt(doc(rpt(bal("OPBD", "1.00"), bal()))) == camt(doc())


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["CLAV", "ITAV", "FWAV", "INFO", "OPBD", "PRCD", "XPCD"])
def test_read__report_without_booked_balance__never_takes_another_one_for_it(code: str) -> None:
    fault = refusal(doc(rpt(bal(code))))
    assert fault.code == "no-interim-balance"
    assert "report 'R1' of account" in fault.message


def test_read__no_report__is_refused() -> None:
    assert refusal(doc("<X/>")).code == "no-interim-balance"


@pytest.mark.parametrize("date", ["", "<DtTm></DtTm>", "<Dt>2026-11-20</Dt><DtTm>2026-11-20T15:00:00Z</DtTm>"])
def test_read__interim_balance_without_a_time_of_its_own__is_refused(date: str) -> None:
    assert refusal(doc(rpt(bal(date=date)))).code == "malformed-statement"


@pytest.mark.parametrize(
    "balances",
    [
        (at(15, "1.00"), at(15)),
        (bal(amount="1.00", date="<Dt>2026-11-20</Dt>"), bal(date="<Dt>2026-11-20</Dt>")),
        (bal(amount="1.00", date="<DtTm>2026-11-20T15:00:00Z</DtTm>"), bal(date="<Dt>2026-11-20</Dt>")),
        (at(9), at(15, "1.00"), at(15)),
    ],
)
def test_read__two_interim_balances_of_one_time_that_differ__are_refused(balances: tuple[str, ...]) -> None:
    assert refusal(doc(rpt(*balances))).code == "several-interim-balances"
    assert refusal(doc(rpt(*balances[::-1]))).code == "several-interim-balances"


def test_read__two_reports_of_one_time_that_differ__are_refused_naming_both() -> None:
    fault = refusal(doc(), doc(rpt(bal(amount="1.00"), id="R2")))
    assert fault.code == "conflicting-statements"
    assert fault.message.startswith("report-2.xml: report 'R2'")
    assert "report 'R1' of the same account and time in report-1.xml" in fault.message


def test_read__several_closing_balances__are_refused() -> None:
    assert refusal(doc(rpt(bal("CLBD"), bal("CLBD")))).code == "several-closing-balances"


def test_read__balances_in_two_currencies__are_refused() -> None:
    assert refusal(doc(rpt(bal(), bal("CLBD", currency="USD")))).code == "currency-mismatch"


def test_read__duplicate_without_its_original__is_not_taken_as_new() -> None:
    duplicate = rpt(head="<CpyDplctInd>DUPL</CpyDplctInd>")
    assert refusal(doc(duplicate)).code == "duplicate-taken-as-new"
    assert camt(doc(duplicate), doc()) == camt(doc())


def test_check_options__any_option__is_refused() -> None:
    with pytest.raises(OperatorError) as caught:
        formats.check_options("camt052", {"check_entries": "false"}, "here")
    assert caught.value.code == "unknown-option"


# -- nothing that changes is ever silently the old value -------------------------------------------------------------

ORIGINAL = doc(rpt(bal("CLAV", "1.00"), at(9, "2.00"), bal())).decode()
_LAST = ORIGINAL.rindex("<Bal>")
PLACES = [
    at
    for match in re.finditer('(?<=Ccy=")[^"]+|(?<=>)[^<]+', ORIGINAL[_LAST : ORIGINAL.rindex("</Bal>")])
    for at in range(_LAST + match.start(), _LAST + match.end())
]


@given(place=st.sampled_from(PLACES), character=st.sampled_from("0123456789.,-+ABCDEGINRSTUXZ:"))
def test_read__any_changed_character_of_amount_sign_currency_type_or_time__never_gives_the_old_value(
    place: int, character: str
) -> None:
    mutated = ORIGINAL[:place] + character + ORIGINAL[place + 1 :]
    try:
        stated = camt(mutated.encode())
    except SourceError as fault:
        assert fault.message.startswith("report-1.xml: ")  # noqa: PT017
        return
    assert (stated == camt(ORIGINAL.encode())) == (mutated == ORIGINAL)


@given(at=st.integers(0, len(ORIGINAL) - 1), junk=st.binary(max_size=3))
def test_read__any_damage_anywhere__is_refused_or_read_without_an_unforeseen_error(at: int, junk: bytes) -> None:
    data = ORIGINAL.encode()
    try:
        camt(data[:at] + junk + data[at + 1 :])
    except SourceError as fault:
        assert fault.message.startswith("report-1.xml: ")  # noqa: PT017
