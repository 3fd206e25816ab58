"""BAI2: the closing ledger balance, or a refusal that names the document and the account or line."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.custody import bai2
from attest.custody.document import Document
from attest.custody.formats import read
from attest.errors import SourceError
from attest.model import StatedBalance

RETRIEVED = datetime(2026, 11, 22, 20, tzinfo=UTC)
ACCOUNT = "0004120077"


@dataclass
class Account:
    """An account with its amounts as written; ``lines`` are what stands between its record and its trailer."""

    number: str = ACCOUNT
    currency: str = ""
    summaries: str = "010,1000,,,015,123456,,,045,999,,"
    total: int = 1000 + 123456 + 999
    lines: list[str] = field(default_factory=list)

    def records(self) -> list[str]:
        count = 2 + len(self.lines)
        first = f"03,{self.number},{self.currency}" + (f",{self.summaries}" if self.summaries else "") + "/"
        return [first, *self.lines, f"49,{self.total},{count}/"]


@dataclass
class Group:
    accounts: list[Account] = field(default_factory=lambda: [Account()])
    day: str = "261120"
    time: str = ""
    currency: str = ""
    modifier: str = "2"
    status: str = "1"

    @property
    def total(self) -> int:
        return sum(account.total for account in self.accounts)

    def records(self) -> list[str]:
        head = f"02,RECEIVER,BANK,{self.status},{self.day},{self.time},{self.currency},{self.modifier}/"
        inner = [record for account in self.accounts for record in account.records()]
        return [head, *inner, f"98,{self.total},{len(self.accounts)},{len(inner) + 2}/"]


def bai(
    *groups: Group, number: str = "7", created: str = "261121", version: str = "2", length: str = "", time: str = "0415"
) -> bytes:
    listed = groups or (Group(),)
    inner = [record for group in listed for record in group.records()]
    head = f"01,122099999,RECEIVER,{created},{time},{number},{length},,{version}/"
    trailer = f"99,{sum(group.total for group in listed)},{len(listed)},{len(inner) + 2}/"
    return "".join(f"{line}\n" for line in (head, *inner, trailer)).encode("latin-1")


def one(summaries: str, total: int, *extra: str, **group: str) -> bytes:
    """A file of one account."""
    return bai(Group([Account(summaries=summaries, total=total, lines=list(extra))], **group))


def report(*documents: bytes, zone: str | None = "America/New_York") -> tuple[StatedBalance, ...]:
    named = [Document.of(f"bank-{place}.bai", data) for place, data in enumerate(documents, 1)]
    return read("bai2", named, {}, zone=zone, retrieved_at=RETRIEVED)


def refusal(*documents: bytes, zone: str | None = "America/New_York") -> SourceError:
    with pytest.raises(SourceError) as caught:
        report(*documents, zone=zone)
    assert re.match(r"bank-[0-9]\.bai: ", caught.value.message)
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


def amounts(*documents: bytes) -> list[int]:
    return [balance.minor_units for balance in report(*documents)]


EXPECTED = StatedBalance(
    account=ACCOUNT,
    currency="USD",
    minor_units=123456,
    balance_kind="closing-booked",
    as_of=datetime(2026, 11, 21, 4, 59, 59, tzinfo=UTC),
    statement_id="122099999-2026-11-21-7",
    business_date="2026-11-20",
)


# -- what is read ----------------------------------------------------------------------------------------------------


def test_read__closing_ledger_balance__is_given_and_no_other() -> None:
    assert report(bai()) == (EXPECTED,)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\r\n", "   \r\n", "\n\n"])
@pytest.mark.parametrize("around", ["{}", "\n{}\n", "\xef\xbb\xbf{}", "{}\x1a"])
def test_read__white_space_around_records__does_not_matter(ending: str, around: str) -> None:
    text = around.format(bai().decode().replace("\n", ending))
    assert report(text.encode("latin-1")) == (EXPECTED,)


@pytest.mark.parametrize(
    ("written", "minor_units"),
    [("0", 0), ("000", 0), ("+123456", 123456), ("-123456", -123456), ("00123456", 123456), ("1" * 20, int("1" * 20))],
)
def test_read__amount__is_exact_minor_units(written: str, minor_units: int) -> None:
    assert amounts(one(f"015,{written},,", minor_units)) == [minor_units]


@pytest.mark.parametrize(
    ("group", "account", "unit"),
    [("", "", "USD"), ("EUR", "", "EUR"), ("EUR", "JPY", "JPY"), ("", "KWD", "KWD")],
)
def test_read__currency__is_the_accounts_then_the_groups_then_usd(group: str, account: str, unit: str) -> None:
    (balance,) = report(bai(Group([Account(currency=account)], currency=group)))
    assert (balance.currency, balance.minor_units) == (unit, 123456)


@pytest.mark.parametrize("time", ["", "2400", "9999"])
def test_read__group_of_a_whole_day__is_the_end_of_its_date(time: str) -> None:
    assert report(bai(Group(time=time))) == (EXPECTED,)
    assert report(bai(Group(time=time)), zone=None)[0].as_of == datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)


def test_read__as_of_time__is_local_time_in_the_banks_zone() -> None:
    (balance,) = report(bai(Group(time="1730")))
    assert (balance.as_of, balance.business_date) == (datetime(2026, 11, 20, 22, 30, tzinfo=UTC), None)


@pytest.mark.parametrize("modifier", ["", "2", "4"])
def test_read__final_data__is_read(modifier: str) -> None:
    assert report(bai(Group(modifier=modifier))) == (EXPECTED,)


def test_read__group_header_that_ends_early__has_its_defaults() -> None:
    assert report(bai(Group(modifier="")).replace(b"261120,,,/", b"261120/")) == (EXPECTED,)


@pytest.mark.parametrize(
    ("summaries", "lines", "others"),
    [
        ("", ["88,015,123456,,/"], 0),
        ("010,5,,", ["88,015,123456,,/"], 5),
        ("010,5,,,", ["88,015,123456,,,/", "88,045,6,,/"], 11),
        ("010,5", ["88,3,0,015,123456/"], 5),
        ("010", ["88,5/", "88,,,015/", "88,123456,,/"], 5),
        ("010,5,3,,015,123456", [], 5),
        ("010,5,,Z,015,123456,,1", [], 5),
        ("010,5,,S,5,0,0,015,123456,,", [], 5),
        ("010,5,,S,,,,015,123456,,", [], 5),
        ("010,5,,V,261123,,015,123456,,", [], 5),
        ("010,5,,V,261123,1530,015,123456,,", [], 5),
        ("010,5,2,D,0,015,123456,,", [], 5),
        ("010,5,2,D,2,0,3,1,-2,015,123456,,", [], 5),
        ("010,5,,D,2,0/", ["88,3,1,2,015/", "88,123456,,/"], 5),
        (",,,,015,123456,,", [], 0),
        ("010,,,,015,123456,,", [], 0),
        ("015,123456,,S,015,999,,040,8,,", [], 8),
        ("015,123456,2,V,261120,0150", [], 0),
    ],
)
def test_read__continuations_and_funds_types__are_taken_apart_exactly(
    summaries: str, lines: list[str], others: int
) -> None:
    data = one(summaries.removesuffix("/"), 123456 + others, *lines)
    assert amounts(data) == [123456]


@pytest.mark.parametrize(
    ("lines", "moved"),
    [
        (["16,165,7,1,REF,CUST,TEXT, WITH / AND , IN IT"], 7),
        (["16,165,7,,,,/", "88,015,999,,/"], 7),
        (["16,165,7,S,1,2,4/", "88,REF,CUST,TEXT/", "88,MORE\xe4"], 7),
        (["16,165,7,V,261120,,REF"], 7),
        (["16,165,7,D,1,0,7,REF,CUST,TEXT"], 7),
        (["16,890,,,,,A MESSAGE", "16,475,-8,Z/", "16,475,1"], -7),
        (["16,165/"], 0),
    ],
)
def test_read__details__count_in_the_total_and_are_no_balance(lines: list[str], moved: int) -> None:
    assert amounts(one("015,123456,,", 123456 + moved, *lines)) == [123456]
    assert refusal(one("015,123456,,", 123457 + moved, *lines)).code == "control-total-differs"


def test_read__long_text_of_a_detail__does_not_matter() -> None:
    text = ["16,165,7,,,,TEXT", *["88," + "x" * 9_000] * 200]
    assert amounts(one("015,123456,,", 123463, *text)) == [123456]


def test_read__empty_continuations_without_end__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bai2, "MAX_RECORD", 20_000)  # so many lines of the real bound take a minute
    fault = refusal(one("015,1,,", 1).replace(b"49,1,2/", b"49,1,2\n" + b"88,\n" * (bai2.MAX_RECORD + 1)))
    assert fault.code == "malformed-statement"
    assert "longer than 20000 characters" in fault.message


def test_read__several_groups_accounts_and_files__are_all_given_in_order() -> None:
    first = Group([Account(), Account("X2", "JPY", "015,5,,", 5)])
    second = Group([Account(summaries="010,123456,,,015,7,,", total=123463)], day="261121")
    text = bai(first, second) + bai(Group([Account("X3")]), number="8")
    stated = report(text, bai(Group([Account("X4")]), number="9"))
    assert [(one.account, one.minor_units) for one in stated] == [
        (ACCOUNT, 123456), ("X2", 5), (ACCOUNT, 7), ("X3", 123456), ("X4", 123456),
    ]  # fmt: skip


def test_read__records_of_fixed_length__may_be_padded_with_or_without_line_ends() -> None:
    text = bai(length="80").decode()
    padded = [line.ljust(80) for line in text.splitlines()]
    for ending in ("\n", "\r\n", ""):
        assert report(ending.join(padded).encode()) == (EXPECTED,)
    assert report("".join(padded).rstrip().encode() + b"\r\n") == (EXPECTED,)
    assert refusal("".join(padded).replace("  49,", "\n 49,").encode()).code == "malformed-statement"


def test_read__header_of_another_length_than_the_records__refused() -> None:
    padded = "".join(line.ljust(80) for line in bai(length="79").decode().splitlines())
    assert refusal(padded.encode()).code in {"malformed-statement", "wrong-document"}


def test_read__trailers_without_their_slash__are_held_to_their_numbers() -> None:
    lines = bai().decode().splitlines()
    assert report("\n".join(line.rstrip("/") if line[:2] in {"49", "98", "99"} else line for line in lines).encode())
    assert refusal(bai().rstrip()[:-2]).code == "malformed-statement"


@pytest.mark.parametrize("time", ["", "0000", "9999", "14:59", "14:59:35"])
def test_read__time_of_creation__is_as_banks_write_it(time: str) -> None:
    assert report(bai(time=time)) == (EXPECTED,)


# -- reports against each other --------------------------------------------------------------------------------------


def test_read__identical_copies__are_one() -> None:
    assert report(bai(), bai()) == (EXPECTED,)
    assert report(bai(), bai(number="8")) == (EXPECTED,)
    assert report(bai(Group(), Group())) == (EXPECTED,)


def test_read__one_file_number_with_two_contents__refused() -> None:
    fault = refusal(bai(), bai(Group([Account("X2")])))
    assert fault.code == "conflicting-statements"
    assert fault.message.startswith("bank-2.bai: ")


@pytest.mark.parametrize("time", ["", "1730"])
def test_read__two_statements_of_one_account_and_date_that_differ__refused(time: str) -> None:
    other = Group([Account(summaries="015,123457,,", total=123457)], time=time)
    fault = refusal(bai(), bai(other, number="8"))
    assert fault.code == "conflicting-statements"
    assert ACCOUNT in fault.message
    assert refusal(bai(Group(), other)).code == "conflicting-statements"


def test_read__one_account_in_two_currencies__is_two() -> None:
    assert len(report(bai(Group([Account(), Account(currency="EUR")])))) == 2


def test_read__opening_not_equal_to_the_previous_closing__refused() -> None:
    later = Group([Account(summaries="010,123455,,,015,7,,", total=123462)], day="261121")
    for documents in ([bai(Group(), later)], [bai(later, number="8"), bai()]):
        fault = refusal(*documents)
        assert fault.code == "opening-differs"
        assert "1234.55" in fault.message
        assert "1234.56 USD" in fault.message


@pytest.mark.parametrize("opening", ["", "010,,,,", "010,1,,,010,2,,,"])
def test_read__opening_not_stated_or_not_once__is_not_compared(opening: str) -> None:
    total = 7 + (3 if "1" in opening.replace("010", "") else 0)
    later = Group([Account(summaries=f"{opening}015,7,,", total=total)], day="261121")
    assert amounts(bai(Group(), later)) == [123456, 7]


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["010", "040", "045", "060", "025", "100"])
def test_read__account_without_015__never_takes_another_balance_for_it(code: str) -> None:
    fault = refusal(one(f"{code},123456,,", 123456))
    assert fault.code == "no-closing-balance"
    assert ACCOUNT in fault.message


def test_read__015_without_an_amount__refused() -> None:
    assert refusal(one("015,,,", 0)).code == "no-closing-balance"
    assert refusal(one("", 0)).code == "no-closing-balance"
    assert refusal(one("", 0).replace(b"49,0,", b"49,,")).code == "no-closing-balance"
    assert refusal(one("015", 0)).code == "no-closing-balance"


def test_read__report_without_accounts__refused() -> None:
    assert refusal(bai(Group([]))).code == "no-closing-balance"
    assert report(bai(Group([]), Group())) == (EXPECTED,)


def test_read__015_twice__refused() -> None:
    assert refusal(one("015,5,,,015,5,,", 10)).code == "several-closing-balances"


@pytest.mark.parametrize(
    "written",
    ["1234.56", "1 234", "1e5", "--5", "5-", "+", "٣", "0x10", "1_000", "9" * 31, "\xb2", " 5", "NaN"],
)
def test_read__amount_that_is_no_integer__refused(written: str) -> None:
    data = one("015,AMOUNT,,", 5).decode().replace("AMOUNT", written).encode()
    assert refusal(data).code == "malformed-amount"
    data = one("015,5,,", 5, "16,165,AMOUNT,,").decode().replace("AMOUNT", written).encode()
    assert refusal(data).code == "malformed-amount"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("49,125455,2", "49,125456,2"),
        ("49,125455,2", "49,-125455,2"),
        ("49,125455,2", "49,125455,3"),
        ("49,125455,2", "49,,2"),
        ("98,125455,1,4", "98,125454,1,4"),
        ("98,125455,1,4", "98,125455,2,4"),
        ("98,125455,1,4", "98,125455,1,5"),
        ("99,125455,1,6", "99,125455,1,7"),
        ("99,125455,1,6", "99,125455,2,6"),
        ("99,125455,1,6", "99,0,1,6"),
        ("015,123456", "015,123457"),
        ("015,123456", "015,-123456"),
        ("010,1000", "010,1001"),
        ("045,999", "045,"),
    ],
)
def test_read__control_total_that_differs__refused(old: str, new: str) -> None:
    data = bai()
    assert old.encode() in data
    assert refusal(data.replace(old.encode(), new.encode(), 1)).code == "control-total-differs"


def test_read__line_left_out_or_doubled__refused() -> None:
    group = Group([Account(lines=["88,074,0,,/", "16,165,7,,,,X"], total=125462), Account("X2")])
    lines = bai(group, Group([Account("X3")])).decode().splitlines(keepends=True)
    for place in range(len(lines)):
        assert refusal("".join(lines[:place] + lines[place + 1 :]).encode()).code
        doubled = "".join(lines[: place + 1] + lines[place:]).encode()
        assert refusal(doubled).code


@pytest.mark.parametrize("cut", range(1, len(bai()) - 2, 3))
def test_read__truncated_file__refused(cut: int) -> None:
    assert refusal(bai()[:cut]).code in {
        "truncated-file",
        "malformed-statement",
        "wrong-document",
        "control-total-differs",
    }


def test_read__file_without_its_trailer__refused() -> None:
    assert refusal(bai()[: bai().index(b"99,125455")]).code == "truncated-file"
    assert refusal(bai() + b"01,122099999,RECEIVER,261121,0415,8,,,2/\n").code == "truncated-file"


def test_read__test_group__refused() -> None:
    assert refusal(bai(Group(status="4"))).code == "test-statement"


@pytest.mark.parametrize("status", ["2", "3"])
def test_read__deletion_or_correction__refused(status: str) -> None:
    assert refusal(bai(Group(status=status))).code == "not-an-update"


@pytest.mark.parametrize("modifier", ["1", "3"])
def test_read__interim_data__refused(modifier: str) -> None:
    assert refusal(bai(Group(modifier=modifier))).code == "interim-statement"


def test_read__naive_timestamp_with_no_configured_zone__refused() -> None:
    assert refusal(bai(Group(time="1730")), zone=None).code == "naive-time"


@pytest.mark.parametrize(
    "group",
    [
        Group(status=""),
        Group(status="5"),
        Group(modifier="5"),
        Group(modifier="22"),
        Group(day=""),
        Group(day="261131"),
        Group(day="20261120"),
        Group(day="26112X"),
        Group(time="2500"),
        Group(time="1760"),
        Group(time="173"),
        Group(time="17:30"),
        Group(time="0230", day="260308"),
        Group([Account(number="")]),
        Group([Account(number="\xc4")]),
        Group([Account(number="X\x0bY")]),
        Group([Account(number="9" * 81)]),
    ],
    ids=repr,
)
def test_read__group_or_account_that_is_malformed__refused(group: Group) -> None:
    assert refusal(bai(group)).code == "malformed-statement"


@pytest.mark.parametrize(
    ("unit", "code"), [("XAU", "no-minor-unit"), ("DEM", "unknown-currency"), ("usd", "unknown-currency")]
)
def test_read__currency_without_minor_units__refused(unit: str, code: str) -> None:
    assert refusal(bai(Group(currency=unit))).code == code
    assert refusal(bai(Group([Account(currency=unit)]))).code == code


@pytest.mark.parametrize(
    "summaries",
    [
        "15,5,,",
        "0015,5,,",
        "ABC,5,,",
        ",5,,",
        ",,5,",
        "015,5,x,",
        "015,5,-1,",
        "015,5,,9",
        "015,5,,z",
        "015,5,,V",
        "015,5,,V,261120",
        "015,5,,V,2611,",
        "015,5,,V,,",
        "015,5,,V,261120,153",
        "015,5,,S,5,0",
        "015,5,,S,x,0,0",
        "015,5,,D",
        "015,5,,D,",
        "015,5,,D,x",
        "015,5,,D,2,0,5",
        "015,5,,D,999999999,0,5",
        "015,5,,D,1,-1,5",
        "010,5,,,,015,5,,",
    ],
)
def test_read__summaries_that_are_malformed__refused(summaries: str) -> None:
    assert refusal(one(summaries, 5)).code == "malformed-statement"


@pytest.mark.parametrize(
    "line",
    [
        "16,015,5,,",
        "16,010,5,,",
        "16,,5,,",
        "16,16,5,,",
        "16,165,5,9,",
        "16,165,5,V,",
        "16,165,5,D,7,1",
        "17,X",
        "16;X",
        "X",
    ],
)
def test_read__detail_that_is_malformed__refused(line: str) -> None:
    assert refusal(one("015,5,,", 10, line)).code == "malformed-statement"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("01,122099999,", "01,,"),
        ("01,122099999,", "01,1220,99999,"),
        ("261121,0415,7", "261121,0415,"),
        ("261121,0415,7", "261321,0415,7"),
        ("261121,0415,7", "261121,noon,7"),
        ("261121,0415,7,,,", "261121,0415,7,x,,"),
        ("261121,0415,7,,,", "261121,0415,7,,x,"),
        ("0415,7,,,2/", "0415,7,,,2"),
        (",2/\n03", ",2\n03"),
        (",2/\n03", ",2,/\n03"),
        (",2/\n03", ",2/ more\n03"),
        ("02,RECEIVER,BANK", "02,RECEIVER,"),
        ("02,RECEIVER,BANK,1,261120,,,2/", "02,RECEIVER,BANK/"),
        ("045,999,,/", "045,999,,"),
        ("045,999,,/", "045,999/,,/"),
        ("49,125455,2/", "49,125455/"),
        ("49,125455,2/", "49,125455,/"),
        ("49,125455,2/", "49,125455,2,1/"),
        ("49,125455,2/", "49,125455,-2/"),
        ("98,125455,1,4/", "98,125455,1/"),
        ("99,125455,1,6/", "99,125455/"),
        ("03,0004120077", "16,0004120077"),
        ("98,", "99,"),
        ("99,125455,1,6/\n", "99,125455,1,6/\nfooter\n"),
        ("99,125455,1,6/\n", "99,125455,1,6/\n02,RECEIVER,BANK,1,261120,,,2/\n"),
    ],
)
def test_read__record_that_is_malformed_or_misplaced__refused(old: str, new: str) -> None:
    text = bai().decode()
    assert old in text
    assert refusal(text.replace(old, new, 1).encode()).code == "malformed-statement"


@pytest.mark.parametrize(
    "data",
    [
        b"Dear customer\n" + bai(),
        b"<xml/>",
        b" \n",
        b"88,X/\n" + bai(),
        bai()[bai().index(b"02,") :],
        bai(version="3"),
        bai(version="1"),
        bai(version=""),
    ],
)
def test_read__what_is_no_bai2_file__refused(data: bytes) -> None:
    assert refusal(data).code == "wrong-document"


def test_read__record_without_end__refused() -> None:
    lines = ["88," + ",,,," * 20_000 + "/"] * 20
    assert refusal(one("015,5,,", 5, *lines)).code == "malformed-statement"


def test_read__too_many_accounts__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bai2, "MAX_ACCOUNTS", 2)
    two = bai(Group([Account(), Account("X2")]))
    assert len(report(two)) == 2
    assert refusal(two, bai(Group([Account("X3")]), number="8")).code == "too-many-statements"
    assert refusal(bai(Group([Account(), Account("X2"), Account("X3")]))).code == "too-many-statements"


# -- properties ------------------------------------------------------------------------------------------------------

AMOUNT = st.integers(-(10**13), 10**13)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x85"), max_size=50)


@st.composite
def accounts(draw: st.DrawFn, number: str) -> tuple[Account, int]:
    """An account and its closing balance."""
    closing = draw(AMOUNT)
    codes = [*draw(st.lists(st.sampled_from(["040", "045", "060", "072", "100"]), max_size=5)), "015"]
    total, fields = 0, []
    for code in draw(st.permutations(codes)):
        amount = closing if code == "015" else draw(AMOUNT)
        total += amount
        sign = "+" if amount >= 0 and draw(st.booleans()) else ""
        funds = draw(st.sampled_from(["", "Z", "0", "S,015,1,2", "V,261120,", "V,261120,0150", "D,2,0,15,1,15", "D,0"]))
        fields += [code, f"{sign}{amount}", draw(st.sampled_from(["", "3"])), *funds.split(",")]
    lines: list[list[str]] = [[]]
    for value in fields:
        # The first field of a line may not be empty at its end alone: that is no field.
        if lines[-1] and draw(st.integers(0, 5)) == 0:
            lines.append([])
        lines[-1].append(value)
    written = [",".join(line) for line in lines]
    rest = [f"88,{line}/" for line in written[1:]]
    for amount in draw(st.lists(AMOUNT, max_size=3)):
        total += amount
        rest += [f"16,165,{amount},S,1,2,3,REF,,{draw(TEXT)}", f"88,{draw(TEXT)}"]
    unit = draw(st.sampled_from(["", "EUR", "JPY", "KWD"]))
    return Account(number, unit, written[0], total, rest), closing


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, str, int, str]]]:
    """A file, and (account, currency, minor units, date) of every account in it."""
    groups, expected = [], []
    for place in range(draw(st.integers(1, 3))):
        day = date(2026, 1, 2) + timedelta(draw(st.integers(0, 300)))
        unit = draw(st.sampled_from(["", "GBP"]))
        group = Group([], f"{day:%y%m%d}", draw(st.sampled_from(["", "2400", "9999"])), unit)
        for number in range(draw(st.integers(1 if place == 0 else 0, 3))):
            account, closing = draw(accounts(f"X{place}{number}"))
            group.accounts.append(account)
            expected.append((account.number, account.currency or unit or "USD", closing, day.isoformat()))
        groups.append(group)
    ending = draw(st.sampled_from(["\n", "\r\n", "   \r\n"]))
    return bai(*groups).replace(b"\n", ending.encode()), expected


@given(files())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_read__reports_written_in_any_way__are_read_exactly(
    drawn: tuple[bytes, list[tuple[str, str, int, str]]],
) -> None:
    data, expected = drawn
    assert [(one.account, one.currency, one.minor_units, one.business_date) for one in report(data)] == expected


@given(
    st.sampled_from([bai(), bai(Group([Account(lines=["16,165,0,,,,X"]), Account("X2", "JPY")]), Group(day="261121"))]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=4)), min_size=1, max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_read__bytes_changed_at_random__is_read_or_refused(data: bytes, edits: list[tuple[float, int, bytes]]) -> None:
    for where, removed, instead in edits:
        at = int(where * len(data))
        data = data[:at] + instead + data[at + removed :]
    with contextlib.suppress(SourceError):
        report(data or b"\n")
