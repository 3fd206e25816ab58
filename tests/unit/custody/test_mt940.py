"""MT940 and MT950: the closing booked balance, or a refusal that names the document and the account or line."""

from __future__ import annotations

import contextlib
import itertools
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.custody import lines, mt940
from attest.custody.document import Document
from attest.custody.formats import read
from attest.errors import SourceError
from attest.model import StatedBalance

RETRIEVED = datetime(2026, 11, 22, 20, tzinfo=UTC)
ACCOUNT = "DE19999300000412007700"
OPENING = ":60F:C261119EUR1000,00"
MOVEMENTS = ":61:2611201120CR300,NTRFNONREF//1\nSUPPLEMENT\n:86:A NARRATIVE\nIN TWO LINES\n:61:261120D65,44NMSCFEE\n"
CLOSING = ":62F:C261120EUR1234,56"


def body(
    *,
    account: str = ACCOUNT,
    number: str = "224/1",
    opening: str = OPENING,
    movements: str = MOVEMENTS,
    closing: str = CLOSING,
    rest: str = ":64:C261120EUR9999,99\n",
    reference: str = "REF",
) -> str:
    """The fields of one message; ``rest`` follows the closing balance."""
    return f":20:{reference}\n:25:{account}\n:28C:{number}\n{opening}\n{movements}{closing}\n{rest}"


def bare(*bodies: str) -> bytes:
    return "".join(text + "-\n" for text in bodies or (body(),)).encode("latin-1")


def blocks(text: str | None = None, *, kind: str = "940", trailer: str = "{5:{CHK:123456789ABC}}") -> bytes:
    head = f"{{1:F01TRHNDEFFAXXX4512118834}}{{2:O{kind}2015261120TRHNDEFFAXXX45121188342611202016N}}{{3:{{108:X}}}}{{4:"
    return f"{head}\n{text or body()}-}}{trailer}\n".replace("\n", "\r\n").encode("latin-1")


def day(number: str, date_: str, opening: str, closing: str, account: str = ACCOUNT, before: str = "261101") -> str:
    """A statement without movements."""
    return body(
        account=account,
        number=number,
        opening=f":60F:C{before}EUR{opening}",
        closing=f":62F:C{date_}EUR{closing}",
        movements="",
        rest="",
    )


def page(number: str, opening: str, closing: str, date_: str = "261120") -> str:
    """A page of a statement: ``opening`` and ``closing`` are a letter and an amount, ``F1000,00``."""
    return body(
        number=number,
        opening=f":60{opening[0]}:C{date_}EUR{opening[1:]}",
        closing=f":62{closing[0]}:C{date_}EUR{closing[1:]}",
        movements="",
        rest="",
    )


def swift(*documents: bytes, zone: str | None = "Europe/Berlin", name: str = "mt940") -> tuple[StatedBalance, ...]:
    named = [Document.of(f"bank-{place}.sta", data) for place, data in enumerate(documents, 1)]
    return read(name, named, {}, zone=zone, retrieved_at=RETRIEVED)


def refusal(*documents: bytes, name: str = "mt940") -> SourceError:
    with pytest.raises(SourceError) as caught:
        swift(*documents, name=name)
    assert re.match(r"bank-[0-9]\.sta: ", caught.value.message)
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


def amounts(*documents: bytes) -> list[int]:
    return [balance.minor_units for balance in swift(*documents)]


# -- what is read ----------------------------------------------------------------------------------------------------


EXPECTED = StatedBalance(
    account=ACCOUNT,
    currency="EUR",
    minor_units=123456,
    balance_kind="closing-booked",
    as_of=datetime(2026, 11, 20, 22, 59, 59, tzinfo=UTC),
    statement_id="224",
    business_date="2026-11-20",
)


def test_read__bare_fields_and_blocks__give_the_closing_booked_balance() -> None:
    assert swift(bare()) == (EXPECTED,)
    assert swift(blocks()) == (EXPECTED,)


def test_read__without_a_zone__is_the_end_of_the_day_in_utc() -> None:
    assert swift(bare(), zone=None)[0].as_of == datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "minor_units"),
    [
        ("C261120EUR1234,56", 123456),
        ("C261120EUR1234,5", 123450),
        ("C261120EUR1234,", 123400),
        ("C261120EUR000000001234,56", 123456),
        ("C261120EUR0000000000000000,00", 0),
        ("C261120EUR0,", 0),
        ("D261120EUR1234,56", -123456),
        ("D261120EUR0,01", -1),
        ("C261120EUR999999999999,99", 99999999999999),
        ("  C261120EUR1234,56  ", 123456),
        ("C261120JPY1234,", 1234),
        ("C261120KWD1,234", 1234),
    ],
)
def test_read__amount__is_exact(written: str, minor_units: int) -> None:
    unit = written.strip()[7:10]
    text = body(opening=f":60F:C261119{unit}1,", movements="", closing=f":62F:{written}", rest="")
    assert amounts(bare(text)) == [minor_units]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\r\n", "  \n", " \t\r\n"])
def test_read__line_ends_and_trailing_blanks__do_not_matter(ending: str) -> None:
    for data in (bare(), blocks().replace(b"\r\n", b"\n")):
        assert swift(data.replace(b"\n", ending.encode())) == (EXPECTED,)


@pytest.mark.parametrize("before", ["\n\n", "\xef\xbb\xbf", "\x01\r\n", "TRHNDEFF\n940\nTRHNDEFF\n", ":940:\n"])
@pytest.mark.parametrize("after", ["", "\n\n", "\x1a", "\x03"])
def test_read__what_banks_put_around_statements__does_not_matter(before: str, after: str) -> None:
    assert swift(before.encode("latin-1") + bare() + after.encode()) == (EXPECTED,)


@pytest.mark.parametrize("line", ["GIBACZPX 0800", "0000 01INGBNL2AXXXX00001", "940 00", "MT940", "940 N2", "12345678"])
def test_read__banks_own_header_lines__are_known(line: str) -> None:
    assert swift(line.encode() + b"\n" + bare()) == (EXPECTED,)


def test_read__blank_lines_between_fields__do_not_matter() -> None:
    assert swift(bare().replace(b"\n:", b"\n\n:")) == (EXPECTED,)


def test_read__statements_that_only_the_next_one_ends__are_several() -> None:
    text = body() + body(account="X2") + ":940:\n" + body(account="X3")
    assert [balance.account for balance in swift(text.encode())] == [ACCOUNT, "X2", "X3"]


def test_read__messages_of_rje_and_dos_pcc__are_several() -> None:
    rje = blocks(trailer="$") + blocks(body(account="X2"), trailer="$")
    assert [balance.account for balance in swift(rje)] == [ACCOUNT, "X2"]
    assert len(swift(b"\x01" + blocks().rstrip() + b"\x03\x01" + blocks(body(account="X2")).rstrip() + b"\x03  ")) == 2


def test_read__blocks_with_little_in_them__are_read() -> None:
    short = b"{1:F01TRHNDEFF}{2:I940TRHNDEFFXXXXN}{3:}{4:\n" + body().encode() + b"-}{5:}{S:{SAC:}{COP:P}}\n"
    assert swift(short) == (EXPECTED,)
    assert swift(b"{4:\n" + body().encode() + b"-}") == (EXPECTED,)


def test_read__related_reference_old_number_and_bic__are_known() -> None:
    text = body().replace(":28C:224/1", ":28:224/1").replace(":25:", ":21:X\n:25P:")
    assert swift(bare(text.replace(ACCOUNT, f"{ACCOUNT}\nTRHNDEFFXXX"))) == (EXPECTED,)


def test_read__narratives__may_hold_anything_that_is_no_field() -> None:
    narrative = ":86:x\n:12:11 o'clock\n :62F:C261120EUR1,\n- a dash\n-}\n\xe4\xff\x85\n::\n:62F\n"
    text = body(movements=MOVEMENTS + narrative, rest=":86:" + narrative)
    assert swift(bare(text)) == (EXPECTED,)


def test_read__fields_that_are_not_swifts__are_passed_over() -> None:
    text = body(number="224/1\n:NS:22Company\n23Account\n240,800", rest=":65:C261121EUR1,\n:65:C261122EUR2,\n:86:end\n")
    assert swift(bare(text)) == (EXPECTED,)


def test_read__mt950__is_read_under_its_own_name() -> None:
    assert swift(blocks(kind="950"), name="mt950") == (EXPECTED,)
    assert refusal(blocks(kind="950")).code == "wrong-document"
    assert refusal(blocks(), name="mt950").code == "wrong-document"


@pytest.mark.parametrize(
    ("line", "moved"),
    [
        ("2611201120CR300,NTRFX", 30000),
        ("261120C300,NTRFX", 30000),
        ("2611201120D0,01S103X", -1),
        ("261120RD1,5NTRF", 150),
        ("261120RCR1,5NTRF", -150),
        ("261120RDR1,5NTRF", 150),
        ("261120DR1,5", -150),
        ("2602300301C000000000000001,00N123", 100),
    ],
)
def test_read__movement__counts_with_its_sign(line: str, moved: int) -> None:
    closing = 100000 + moved
    text = body(movements=f":61:{line}\n", closing=f":62F:C261120EUR{closing // 100},{closing % 100:02}", rest="")
    assert amounts(bare(text)) == [closing]
    spoiled = body(
        movements=f":61:{line}\n", closing=f":62F:C261120EUR{closing // 100 + 1},{closing % 100:02}", rest=""
    )
    assert refusal(bare(spoiled)).code == "movements-differ"


def test_read__balances_without_movements__need_not_add_up() -> None:
    assert amounts(bare(body(movements=""))) == [123456]


def test_read__end_of_the_last_line_missing__is_accepted_only_where_the_sum_proves_it() -> None:
    assert amounts(body(rest="").rstrip().encode()) == [123456]
    assert amounts(bare().rstrip()) == [123456]
    assert amounts(body(movements="", rest=":64:C261120EUR1,").encode()) == [123456]
    assert refusal(body(movements="", rest="").rstrip().encode()).code == "truncated-file"
    assert refusal(body(rest="").rstrip().encode()[:-1]).code == "movements-differ"


# -- pages -----------------------------------------------------------------------------------------------------------

PAGES = (page("224/1", "F1000,", "M700,"), page("224/2", "M700,", "M800,"), page("224/3", "M800,", "F1234,56"))


def test_read__pages__are_one_statement_whatever_their_order_and_documents() -> None:
    for order in itertools.permutations(PAGES):
        assert swift(bare(*order)) == (EXPECTED,)
        assert swift(*(bare(one) for one in order)) == (EXPECTED,)
    assert swift(bare(*PAGES), bare(PAGES[1])) == (EXPECTED,)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_read__missing_page__refused(missing: int) -> None:
    fault = refusal(bare(*(one for place, one in enumerate(PAGES) if place != missing)))
    assert fault.code == "missing-page"
    assert ACCOUNT in fault.message


@pytest.mark.parametrize(
    "pages",
    [
        (page("224/1", "F1000,", "M700,"), page("224/2", "M701,", "F800,")),
        (page("224/1", "F1000,", "M700,"), page("224/2", "F700,", "F800,")),
        (page("224/1", "F1000,", "F700,"), page("224/2", "M700,", "F800,")),
        (page("224/1", "M1000,", "F700,"),),
        (page("224/2", "F1000,", "F700,"),),
        (page("224/0", "F1000,", "F700,"),),
        (page("224", "F1000,", "M700,"), page("224", "M700,", "F800,")),
        (page("224/1", "F1000,", "M700,"), page("225/2", "M700,", "F800,")),
        (page("224/1", "F1000,", "M700,", "261119"), page("224/2", "M700,", "F800,")),
    ],
)
def test_read__pages_that_do_not_fit__refused(pages: tuple[str, ...]) -> None:
    assert refusal(bare(*pages)).code == "missing-page"


def test_read__two_different_pages_of_one_number__refused() -> None:
    assert refusal(bare(*PAGES, page("224/2", "M700,", "M801,"))).code == "conflicting-statements"


def test_read__page_without_movements_among_pages_with_some__must_add_up_too() -> None:
    first = body(closing=":62M:C261120EUR1234,56", rest="")
    for last, code in ((":62F:C261120EUR1234,56", None), (":62F:C261120EUR1234,57", "movements-differ")):
        second = body(number="224/2", opening=":60M:C261120EUR1234,56", movements="", closing=last, rest="")
        if code is None:
            assert amounts(bare(first, second)) == [123456]
        else:
            assert refusal(bare(first, second)).code == code


def test_read__intermediate_balance_alone__is_never_the_closing_one() -> None:
    assert refusal(bare(body(closing=":62M:C261120EUR1234,56"))).code == "missing-page"


# -- statements against each other -----------------------------------------------------------------------------------


def test_read__statements_that_follow_each_other__are_all_given_in_document_order() -> None:
    text = bare(
        day("3/1", "261120", "20,", "30,"), day("1/1", "261118", "5,", "10,"), day("2/1", "261119", "10,", "20,")
    )
    assert amounts(text) == [3000, 1000, 2000]


def test_read__numbers_of_a_new_year__begin_again() -> None:
    old, new = day("252", "261230", "1,", "2,"), day("1", "270104", "2,", "3,")
    assert amounts(bare(old, new)) == [200, 300]
    assert refusal(bare(old, day("2", "270104", "2,", "3,"))).code == "sequence-gap"
    assert refusal(bare(old, day("1", "261231", "2,", "3,"))).code == "sequence-gap"


def test_read__the_same_number_in_another_year__is_another_statement() -> None:
    old = [day(str(n), f"2511{n:02}", "1,", "1,", before="251031") for n in range(1, 4)]
    new = [day(str(n), f"2611{n:02}", "1,", "1,", before="261031") for n in range(1, 4)]
    assert len(swift(bare(*old, *new))) == 6
    assert refusal(bare(old[2], new[2])).code == "sequence-gap"


def test_read__sequence_gap__refused() -> None:
    fault = refusal(bare(day("1", "261118", "1,", "2,")), bare(day("3", "261120", "2,", "3,")))
    assert fault.code == "sequence-gap"
    assert fault.message.startswith("bank-2.sta: statement '3' of account ")


def test_read__bank_that_numbers_nothing__is_held_to_its_balances() -> None:
    assert len(swift(bare(day("0", "261118", "1,", "2,"), day("00000/00", "261119", "2,", "3,")))) == 2
    assert refusal(bare(day("0", "261118", "1,", "2,"), day("0", "261119", "1,", "3,"))).code == "opening-differs"


def test_read__opening_not_equal_to_the_previous_closing__refused() -> None:
    fault = refusal(bare(day("1", "261118", "1,", "2,"), day("2", "261119", "2,01", "3,")))
    assert fault.code == "opening-differs"
    assert "2.01 EUR" in fault.message


def test_read__two_statements_of_one_account_and_date_that_differ__refused() -> None:
    other = body(closing=":62F:C261120EUR1234,57", movements="")
    assert refusal(bare(), bare(other)).code == "conflicting-statements"
    assert (
        refusal(bare(day("1", "261120", "1,", "1,"), day("2", "261120", "1,", "1,"))).code == "conflicting-statements"
    )


def test_read__identical_copies__are_one() -> None:
    assert swift(bare(), bare(body(reference="ANOTHER")), blocks()) == (EXPECTED,)
    assert len(swift(bare(), bare(body(account=ACCOUNT.lower())))) == 1


def test_read__one_account_in_two_currencies__is_two() -> None:
    dollars = bare(body().replace("EUR", "USD").replace("CR300", "CD300"))
    assert [balance.currency for balance in swift(bare(), dollars)] == ["EUR", "USD"]


def test_read__possible_duplicate_with_its_original__is_dropped() -> None:
    for mark in ("{PDE:}", "{PDM:1348120811BANKFRPPAXXX2222123456}"):
        copy = blocks(trailer=f"{{5:{{CHK:1}}{mark}}}")
        assert swift(copy, blocks()) == (EXPECTED,)


@pytest.mark.parametrize("mark", ["{PDE:}", "{PDM:1348120811BANKFRPPAXXX2222123456}"])
def test_read__duplicate_taken_as_new__refused(mark: str) -> None:
    copy = blocks(trailer=f"{{5:{{CHK:1}}{mark}}}")
    assert refusal(copy).code == "duplicate-taken-as-new"
    other = blocks(body(closing=":62F:C261120EUR1234,57", movements=""))
    assert refusal(copy, other).code == "duplicate-taken-as-new"


# -- what is refused -------------------------------------------------------------------------------------------------


def closed(written: str) -> bytes:
    """A statement of balances only, closing as ``written``."""
    return bare(body(movements="", closing=f":62F:{written}"))


def test_read__comma_for_thousands_and_point_for_decimals__refused() -> None:
    assert refusal(closed("C240101USD1,234.56")).code == "malformed-amount"


def test_read__point_for_decimals__refused() -> None:
    assert refusal(closed("C261120EUR1234.56")).code == "malformed-amount"


def test_read__missing_currency__refused() -> None:
    fault = refusal(closed("C240101950,00"))
    assert fault.code == "currency-mismatch"
    assert "names no currency" in fault.message


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("C261120EUR1234", "malformed-amount"),
        ("C261120EUR", "malformed-amount"),
        ("C261120EUR,56", "malformed-amount"),
        ("C261120EUR1,2,3", "malformed-amount"),
        ("C261120EUR-1,", "malformed-amount"),
        ("C261120EUR+1,", "malformed-amount"),
        ("C261120EUR1 234,56", "malformed-amount"),
        ("C261120EUR 1234,56", "malformed-amount"),
        ("C261120EUR1234,56 CR", "malformed-amount"),
        ("C261120EUR1234,56\xa0", "malformed-amount"),
        ("C261120EUR\xb2,", "malformed-amount"),
        ("C261120EUR1000000000000,00", "malformed-amount"),
        ("C261120EUR1,234", "too-many-decimals"),
        ("C261120EUR1,000", "too-many-decimals"),
        ("C261120XAU1,", "no-minor-unit"),
        ("C261120DEM1,", "unknown-currency"),
        ("C261120USD1,", "currency-mismatch"),
        ("RC261120EUR1,", "malformed-statement"),
        ("RD261120EUR1,", "malformed-statement"),
        ("EC261120EUR1,", "malformed-statement"),
        ("261120EUR1,", "malformed-statement"),
        ("c261120EUR1,", "malformed-statement"),
        ("C261120eur1,", "currency-mismatch"),
        ("C20261120EUR1,", "currency-mismatch"),
        ("C26112EUR1,", "malformed-statement"),
        ("C261131EUR1,", "malformed-statement"),
        ("C261320EUR1,", "malformed-statement"),
        ("C260229EUR1,", "malformed-statement"),
        ("C261118EUR1,", "malformed-statement"),
        ("", "malformed-statement"),
    ],
)
def test_read__closing_balance_that_is_not_exactly_swifts__refused(written: str, code: str) -> None:
    fault = refusal(closed(written))
    assert fault.code == code
    assert ACCOUNT in fault.message


@pytest.mark.parametrize(
    "written",
    [
        "2611201120CR300",
        "2611201120CR300.00NTRF",
        "2611201120CR3.000,00NTRF",
        "2611201120CR 300,NTRF",
        "2611201120CR300, NTRF",
        "2611201120XR300,NTRF",
        "2611201120300,NTRF",
        "2611201320C300,NTRF",
        "2611201100C300,NTRF",
        "261320C300,NTRF",
        "261132C300,NTRF",
        "20261120C300,NTRF",
        "261120ED300,NTRF",
        "",
    ],
)
def test_read__movement_that_is_not_exactly_swifts__refused(written: str) -> None:
    assert refusal(bare(body(movements=f":61:{written}\n"))).code == "malformed-statement"


def test_read__movement_in_another_currency__refused() -> None:
    assert refusal(bare(body(movements=MOVEMENTS.replace("CR300", "CD300")))).code == "currency-mismatch"


def test_read__account_in_another_currency__refused() -> None:
    assert refusal(bare(body(account=f"{ACCOUNT} USD"))).code == "currency-mismatch"
    assert refusal(bare(body(account=f"{ACCOUNT}/USD"))).code == "currency-mismatch"
    for account in (f"{ACCOUNT} EUR", f"{ACCOUNT}/EUR", f"{ACCOUNT}/BPL"):
        assert swift(bare(body(account=account)))[0].account == account


def test_read__other_balance_in_another_currency_or_malformed__refused() -> None:
    assert refusal(bare(body(rest=":64:C261120USD1,\n"))).code == "currency-mismatch"
    assert refusal(bare(body(rest=":65:C261120EUR1.00\n"))).code == "malformed-amount"


def test_read__closing_balance_twice__refused() -> None:
    assert refusal(bare(body(closing=f"{CLOSING}\n{CLOSING}"))).code == "several-closing-balances"
    assert refusal(bare(body(rest=f":86:x\n{CLOSING}\n"))).code == "several-closing-balances"


@pytest.mark.parametrize("tag", ["62F", "62M", "60F", "64", "25", "28C", "21", "62X", "60", "13D", "940"])
def test_read__narrative_that_looks_like_a_field__refused(tag: str) -> None:
    injected = f":{tag}:C261120EUR1300,\n"
    text = body(movements=f":61:2611201120CR300,NTRFNONREF\n:86:A NARRATIVE\n{injected}:61:261120D65,44NMSC\n")
    assert refusal(bare(text)).code in {"ambiguous-line", "malformed-statement"}
    assert refusal(blocks(text)).code in {"ambiguous-line", "malformed-statement"}


def test_read__narrative_with_a_balance_before_the_real_one__refused() -> None:
    injected = ":61:2611201120CR300,NTRFNONREF\n:86:A NARRATIVE\n:62F:C261120EUR1300,\n"
    assert refusal(bare(body(movements=injected))).code == "several-closing-balances"


@pytest.mark.parametrize("data", [b"-\n", b"{1:F01TRHNDEFF}\n", b"{4:\n"])
def test_read__end_or_beginning_of_a_message_within_one__refused(data: bytes) -> None:
    code = {b"-\n": {"ambiguous-line"}}.get(data, {"truncated-file"})
    assert refusal(blocks().replace(b"A NARRATIVE\r\n", b"A NARRATIVE\r\n" + data)).code in code
    assert refusal(bare().replace(b"A NARRATIVE\n", b"A NARRATIVE\n" + data)).code in {
        "truncated-file",
        "no-closing-balance",
    }


def test_read__statement_without_a_closing_balance__refused() -> None:
    for rest in ("-\n", body(account="X2"), ":64:C261120EUR1,\n-\n"):
        text = body(closing="", rest="").rstrip() + "\n" + rest
        assert refusal(text.encode()).code in {"no-closing-balance", "malformed-statement", "ambiguous-line"}
    assert refusal(bare(body(closing=":64:C261120EUR1234,56", movements=""))).code == "malformed-statement"
    assert refusal(b"{4:\n" + body(closing="", rest="").encode() + b"-}").code == "no-closing-balance"


@pytest.mark.parametrize(
    "data",
    [
        blocks().replace(b"-}", b""),
        blocks()[:-50],
        blocks().rstrip()[:-1],
        blocks() + b"{1:F01TRHNDEFFAXXX4512118834}{2:O940",
        blocks() + b"{1:F01TRHNDEFFAXXX4512118834}\n",
        blocks().replace(b"-}", b"") + blocks(),
        bare()[: bare().index(b":60F:")],
        body(closing="", rest="").encode(),
        b"{1:",
    ],
)
def test_read__truncated_file__refused(data: bytes) -> None:
    assert refusal(data).code == "truncated-file"


@pytest.mark.parametrize("at", range(10, len(bare()) - 28, 7))
def test_read__file_cut_anywhere_before_the_end_of_the_balance__refused(at: int) -> None:
    assert refusal(bare()[:at]).code


def test_read__training_message__refused() -> None:
    assert refusal(blocks(trailer="{5:{CHK:1}{TNG:}}")).code == "test-statement"
    assert refusal(blocks().replace(b"F01TRHNDEFF", b"F01TRHNDEF0")).code == "test-statement"
    assert refusal(blocks().replace(b"261120TRHNDEFF", b"261120TRHNDEF0")).code == "test-statement"


@pytest.mark.parametrize(
    "data",
    [
        blocks(kind="942"),
        b"942\n" + bare(),
        bare(body(number="224/1\n:34F:EUR0,")),
        bare(body(number="224/1\n:13D:2611201815+0100")),
        b"\n\n",
        b"TRHNDEFF\n",
    ],
)
def test_read__another_message__refused(data: bytes) -> None:
    assert refusal(data).code == "wrong-document"


@pytest.mark.parametrize(
    "data",
    [
        b"Dear customer\n" + bare(),
        bare() + b"footer text\n",
        bare("x" + body()),
        bare(body().replace(":20:REF\n", "")),
        bare(body().replace(":25:", ":25X:")),
        bare(body(account="")),
        bare(body(account="\xc4")),
        bare(body(account="X\x0bY")),
        bare(body(account="9" * 41)),
        bare(body(account=f"{ACCOUNT}\nTRHNDEFFXXX")),
        bare(body(number="")),
        bare(body(number="224/1/2")),
        bare(body(number="A24")),
        bare(body(number="224/1\n:86:x")),
        bare(body(reference="REF\n:86:x")),
        bare(body(opening=OPENING + "\nmore")),
        bare(body(closing=CLOSING + "\nmore")),
        bare(body(opening="")),
        bare(body(opening=f"{OPENING}\n{OPENING}")),
        bare(body(rest=":61:261120C1,NTRF\n")),
        blocks().replace(b"{1:F01", b"{1:F21"),
        blocks().replace(b"{2:O940", b"{2:X940"),
        blocks().replace(b"{3:{108:X}}", b"{3:108:X}"),
        blocks().replace(b"{3:{108:X}}", b"{6:X}"),
        blocks().replace(b"{3:{108:X}}", b"{2:O940}{2:O940}"),
        blocks().replace(b"{3:{108:X}}", b"{5:{PDE:}}"),
        blocks().replace(b"{4:\r\n", b"{4:"),
        blocks().replace(b"{4:\r\n", b"\r\n"),
        blocks(trailer="{5:CHK}"),
        blocks(trailer="{5:}{5:}"),
        blocks(trailer="}"),
        b"{5:{TNG:}}" + blocks(),
        "\ufeff".encode("utf-16-le") + bare().decode("latin-1").encode("utf-16-le"),
    ],
)
def test_read__what_is_not_understood__refused(data: bytes) -> None:
    assert refusal(data).code in {"malformed-statement", "truncated-file"}


def test_read__carriage_return_within_a_line__refused() -> None:
    assert refusal(bare().replace(b"A NARRATIVE", b"A\rNARRATIVE")).code == "malformed-line"


def test_read__line_without_end__refused() -> None:
    assert refusal(bare().replace(b"A NARRATIVE", b"A" * (lines.MAX_LINE + 1))).code == "malformed-line"


def test_read__too_many_lines_or_messages__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mt940, "MAX_MESSAGES", 2)
    documents = [bare(body(account=f"X{n}")) for n in range(3)]
    assert len(swift(*documents[:2])) == 2
    assert refusal(*documents).code == "too-many-statements"
    monkeypatch.setattr(lines, "MAX_LINES", 5)
    assert refusal(bare()).code == "malformed-line"


# -- properties ------------------------------------------------------------------------------------------------------

UNITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
NARRATIVE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters=":{-\x85"), max_size=60)


def written(minor_units: int, exponent: int, style: int) -> str:
    """An amount as SWIFT lets one be written: all decimals, or as few as can be, or with leading zeros."""
    digits = str(abs(minor_units)).rjust(exponent + 1, "0")
    whole, decimals = digits[: len(digits) - exponent], digits[len(digits) - exponent :]
    return ("000" if style == 2 else "") + whole + "," + (decimals.rstrip("0") if style == 1 else decimals)


def marked(tag: str, day_: date, unit: str, minor_units: int, style: int) -> str:
    mark = "D" if minor_units < 0 else "C"
    return f":{tag}:{mark}{day_:%y%m%d}{unit}{written(minor_units, UNITS[unit], style)}\n"


@st.composite
def files(draw: st.DrawFn) -> tuple[list[bytes], list[tuple[str, str, int, str]]]:
    """Documents, and (account, currency, minor units, date) of every statement in them."""
    messages: list[str] = []
    expected = []
    for account in range(draw(st.integers(1, 3))):
        unit = draw(st.sampled_from(sorted(UNITS)))
        balance = draw(st.integers(-(10**10), 10**10))
        day_ = date(2026, 1, 2) + timedelta(draw(st.integers(0, 300)))
        for number in range(1, draw(st.integers(1, 3)) + 1):
            several = draw(st.integers(1, 3))
            for sheet in range(1, several + 1):
                style = draw(st.integers(0, 2))
                text = f":20:R{draw(st.integers(0, 999))}\n:25:X{account}\n:28C:{number}/{sheet}\n"
                text += marked("60F" if sheet == 1 else "60M", day_, unit, balance, style)
                for moved in draw(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=3)):
                    mark = draw(st.sampled_from(["D", "RC"] if moved < 0 else ["C", "RD"]))
                    letter = draw(st.sampled_from(["", unit[2]]))
                    text += f":61:{day_:%y%m%d}{mark}{letter}{written(moved, UNITS[unit], style)}NTRFX\n"
                    text += f":86:{draw(NARRATIVE)}\n{draw(NARRATIVE)}\n"
                    balance += moved
                text += marked("62F" if sheet == several else "62M", day_, unit, balance, style)
                messages.append(text)
            expected.append((f"X{account}", unit, balance, day_.isoformat()))
            day_ += timedelta(1)
    ending = draw(st.sampled_from(["\n", "\r\n", "\r\r\n", " \r\n"]))
    wrap = draw(st.sampled_from(["{1:F01TRHNDEFFAXXX}{4:\n%s-}\n", "%s-\n", "%s", "{4:\n%s-}{5:{CHK:1}}$"]))
    parts = draw(st.integers(1, 2))
    whole = [
        "".join(wrap % text for text in messages[part::parts]).replace("\n", ending).encode("latin-1")
        for part in range(parts)
    ]
    return [data for data in whole if data], expected


@given(files())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read__statements_written_in_any_way__are_read_exactly(
    drawn: tuple[list[bytes], list[tuple[str, str, int, str]]],
) -> None:
    documents, expected = drawn
    stated = swift(*documents)
    said = [(one.account, one.currency, one.minor_units, one.business_date) for one in stated]
    assert sorted(said) == sorted(expected)


@given(
    st.sampled_from([bare(*PAGES, body(account="X2")), blocks() + blocks(body(account="X2"))]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=4)), min_size=1, max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_read__bytes_changed_at_random__is_read_or_refused(data: bytes, edits: list[tuple[float, int, bytes]]) -> None:
    for where, removed, instead in edits:
        at = int(where * len(data))
        data = data[:at] + instead + data[at + removed :]
    with contextlib.suppress(SourceError):
        swift(data or b"\n")
