"""BAI2 balance reports: the closing ledger balance (type code 015) of each account.

Sources: the Bank Administration Institute's *Cash Management Balance Reporting Specifications*, version 2 (records,
defaults, funds types, control totals), and where banks' files are known to differ from it. Amounts are integers of the
currency's minor unit: the account's currency, else the group's, else USD.

No other balance (010, 040, 045, 060) is ever taken for the closing one. Every control total and count is recomputed:
they show whether anything was cut off, left out or changed. A whole file is refused if one of its accounts is: nobody
knows what else is wrong with it.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NoReturn
from zoneinfo import ZoneInfo

from attest.custody import calendar, lines
from attest.custody.document import Document
from attest.custody.formats import Format, no_options
from attest.errors import SourceError
from attest.model import StatedBalance
from attest.money import Currency, currency
from attest.quorum import account_key

#: Accounts in all documents together. More than any bank sends; bounds what a hostile file makes this process remember.
MAX_ACCOUNTS = 20_000
#: Characters of one record with its continuations.
MAX_RECORD = 1_000_000

CLOSING_LEDGER, OPENING_LEDGER = "015", "010"
_DEFAULT_CURRENCY = "USD"
_NAMES = {
    "01": "file header",
    "02": "group header",
    "03": "account",
    "16": "detail",
    "49": "account trailer",
    "98": "group trailer",
    "99": "file trailer",
}
#: After which records each may stand; ``""`` is the beginning of a file.
_AFTER = {
    "01": {"", "99"},
    "02": {"01", "98"},
    "03": {"02", "49"},
    "16": {"03", "16"},
    "49": {"03", "16"},
    "98": {"02", "49"},
    "99": {"98"},
}
#: Least and most fields after the record code; what the specification lets default at the end may be left out.
_FIELDS = {"01": (8, 8), "02": (4, 7), "49": (2, 2), "98": (3, 3), "99": (3, 3)}
#: Their numbers show it if the end of the line was cut off, so that its slash may be missing.
_TRAILERS = {
    "49": ("sum of the amounts", "number of records"),
    "98": ("sum of the amounts", "number of accounts", "number of records"),
    "99": ("sum of the amounts", "number of groups", "number of records"),
}
_CONTINUATION = "88"
#: The only fields of a detail that count stand at its beginning; text may go on for ever.
_DETAIL_CHARACTERS = 10_000

_AMOUNT = re.compile(r"[+-]?[0-9]{1,30}")
_TYPE = re.compile(r"[0-9]{3}")
_COUNT = re.compile(r"[0-9]{1,9}")
_HEADER = re.compile(rb"01,(?:[^,/\n]*,){5}([1-9][0-9]{0,4}),[^,/\n]*,2/")
#: Funds types that have nothing after them; S has three amounts, V a date and a time, D a count and that many pairs.
_PLAIN_FUNDS = {"", "0", "1", "2", "Z"}
_DATE = re.compile(r"[0-9]{6}")
_TIME = re.compile(r"(?:[0-9]{4})?")
#: NatWest writes hh:mm:ss where the specification has hhmm.
_CREATED = re.compile(r"(?:[0-9]{4}|[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)?")
_SIZE = re.compile(r"[0-9]{0,9}")
_IDENTIFIER = re.compile(r"[!-~](?:[ -~]{0,78}[!-~])?")
_END_OF_DAY = {"", "2400", "9999"}
_AVAILABLE = re.compile(r"(?:[+-]?[0-9]{1,30})?")
#: Enough for a file header and one physical record more.
_HEAD = 100_002

_AGAIN = "Fetch the report again; if it is unchanged, ask the custodian for a correct one."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-document": (
        "Another format or version has other fields in the same places.",
        "Ask the custodian for a BAI2 (version 2) previous-day balance report.",
    ),
    "malformed-statement": ("A report that is not understood in full may say something else.", _AGAIN),
    "malformed-amount": ("An amount that can be read in two ways can be wrong without anybody noticing.", _AGAIN),
    "truncated-file": ("What was cut off may change or contradict what is left.", _AGAIN),
    "control-total-differs": ("Something was left out, added or changed after the custodian summed it up.", _AGAIN),
    "too-many-statements": (
        "So much at once is not what a bank sends.",
        "Ask the custodian for one file per day or for fewer accounts.",
    ),
    "test-statement": (
        "The sender itself says that these numbers are not real.",
        "Fetch the report from the custodian's production system.",
    ),
    "not-an-update": (
        "Deletions and corrections change an earlier report; alone they do not say what the balance is.",
        "Ask the custodian for a whole new report.",
    ),
    "interim-statement": (
        "An interim balance can still change; the closing one cannot.",
        "Use the custodian's final previous-day report.",
    ),
    "no-closing-balance": (
        "Available, opening and average balances are other facts than the closing ledger balance.",
        "Ask the custodian to report the closing ledger balance (015) for every account in the file.",
    ),
    "several-closing-balances": ("Nobody can say which of them is meant.", _AGAIN),
    "naive-time": (
        "The same local time is a different instant in every time zone.",
        "Set `zone` of the account (or --zone) to the bank's time zone, for example America/New_York.",
    ),
    "conflicting-statements": ("One account has one closing balance on one date.", _AGAIN),
    "opening-differs": (
        "A report in between is missing, or something was changed.",
        "Put the missing report in place, or the newest one alone.",
    ),
}


def read(
    documents: Sequence[Document], settings: object, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The closing ledger balances of all accounts, in document order; an overdraft is negative.

    ``zone`` is the bank's time zone: a group without a time, or with the end of the day, is that of the date's end
    there (UTC if it is None); a local time without a zone is refused. Raises :class:`SourceError` naming the document
    and the account, or the line.
    """
    files: dict[tuple[str, ...], _File] = {}
    accounts = 0
    for document in documents:
        for file in _Reader(document, zone, MAX_ACCOUNTS - accounts).files():
            accounts += len(file.accounts)
            first = files.setdefault(file.identity, file)
            if first.said() != file.said():
                sender, _, created, number = file.identity
                raise _refusal(
                    file.where,
                    "conflicting-statements",
                    f"differs from another file {number!r} of sender {sender!r} of {created} ({first.where})",
                )
    if not accounts:
        raise _refusal(documents[0].name, "no-closing-balance", "reports no account")
    return tuple(account.stated() for account in _of_record(list(files.values()), ZoneInfo(zone or "UTC")))


@dataclass(frozen=True)
class _Account:
    """One account of one group, with its ledger balances in minor units; ``opening`` is None if it is not reported."""

    where: str
    account: str
    currency: Currency
    closing: int
    opening: int | None
    as_of: datetime
    business_date: str | None
    statement_id: str

    @property
    def key(self) -> tuple[str, str]:
        return account_key(self.account), self.currency.code

    def said(self) -> tuple[object, ...]:
        return *self.key, self.closing, self.opening, self.as_of, self.business_date

    def stated(self) -> StatedBalance:
        return StatedBalance(
            account=self.account,
            currency=self.currency.code,
            minor_units=self.closing,
            balance_kind="closing-booked",
            as_of=self.as_of,
            statement_id=self.statement_id,
            business_date=self.business_date,
        )


@dataclass
class _Totals:
    """What a trailer has to say: the sum of all amounts, the parts below, the physical records."""

    amounts: int = 0
    parts: int = 0
    records: int = 0

    def add(self, other: _Totals) -> None:
        self.amounts += other.amounts
        self.parts += 1
        self.records += other.records


@dataclass
class _File:
    """``identity``: sender, receiver, date of creation, number, which the specification has unique."""

    where: str
    identity: tuple[str, ...]
    totals: _Totals = field(default_factory=_Totals)
    accounts: list[_Account] = field(default_factory=list)

    def said(self) -> list[tuple[object, ...]]:
        return [account.said() for account in self.accounts]


@dataclass
class _Group:
    currency: str
    as_of: datetime
    business_date: str | None
    totals: _Totals = field(default_factory=_Totals)


@dataclass
class _Open:
    """An account whose trailer has not come yet. ``ledger``: amounts as written, by type code."""

    line: int
    account: str
    currency: Currency
    ledger: dict[str, list[str]]
    totals: _Totals = field(default_factory=_Totals)


class _Record:
    """One logical record: a physical one and its continuations, each as its fields."""

    def __init__(self, code: str, line: int) -> None:
        self.code, self.line = code, line
        self.physical = 0
        self.characters = 0
        self.parts: list[list[str]] = []

    @property
    def fields(self) -> list[str]:
        return [value for part in self.parts for value in part]


class _Reader:
    """Reads one document. Raises :class:`SourceError` for everything that is wrong with one file."""

    def __init__(self, document: Document, zone: str | None, room: int) -> None:
        self.document, self.zone, self.room = document, zone, room
        self.where = document.name
        self.found: list[_File] = []
        self.group: _Group | None = None
        self.account: _Open | None = None

    def refuse(self, code: str, detail: str) -> NoReturn:
        raise _refusal(self.where, code, detail)

    def files(self) -> list[_File]:
        last = ""
        for record in self._records():
            self.where = f"{self.document.name}: line {record.line}"
            if last not in _AFTER[record.code]:
                if not last:
                    self.refuse("wrong-document", f"begins with a record {record.code}, not with a file header (01)")
                detail = f"a {_NAMES[record.code]} ({record.code}) cannot stand after a {_NAMES[last]} ({last})"
                self.refuse("malformed-statement", detail)
            last = record.code
            self._take(record)
        self.where = self.document.name
        if not last:
            self.refuse("wrong-document", "holds no BAI2 record")
        if last != "99":
            self.refuse("truncated-file", "ends without a file trailer (99)")
        return self.found

    # -- records -----------------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[_Record]:
        record: _Record | None = None
        for number, text in self._physical():
            text = text.rstrip(" \t\x1a")
            if not text:
                continue
            self.where = f"{self.document.name}: line {number}"
            code, content = text[:2], text[3:]
            if text[2:3] != "," or code not in {*_NAMES, _CONTINUATION}:
                kind = "wrong-document" if record is None else "malformed-statement"
                self.refuse(kind, f"{text[:40]!r} is no BAI2 record")
            if code != _CONTINUATION:
                if record is not None:
                    yield record
                    self.where = f"{self.document.name}: line {number}"
                record = _Record(code, number)
            if record is None:
                self.refuse("wrong-document", "begins with a continuation (88)")
            self._add(record, content)
        if record is not None:
            yield record

    def _add(self, record: _Record, content: str) -> None:
        record.physical += 1
        before = record.characters
        record.characters += len(content) + 1  # so that empty ones do not go on for ever
        if record.code == "16":
            if before < _DETAIL_CHARACTERS:
                record.parts.append(content.removesuffix("/").split(","))
            return
        if record.characters > MAX_RECORD:
            self.refuse("malformed-statement", f"the record is longer than {MAX_RECORD} characters")
        body, slash, rest = content.partition("/")
        if rest:
            self.refuse("malformed-statement", f"{rest[:40]!r} stands after the end of the record")
        if not slash and record.code not in _TRAILERS:
            self.refuse("malformed-statement", "the record does not end with a slash")
        record.parts.append(body.split(","))

    def _physical(self) -> Iterator[tuple[int, str]]:
        """(number, text) of every physical record: a line or, where there are none, as many bytes as the file header
        says."""
        with self.document.open() as file:
            head = file.read(_HEAD)
        header = _HEADER.match(head)
        length = int(header[1]) if header is not None else 0
        if not length or len(head) <= length or b"\n" in head[: length + 2]:
            for number, text, _ in lines.read(self.document, FORMAT.max_bytes):
                yield number, text
            return
        blocks = io.BytesIO(self.document.read(FORMAT.max_bytes))
        number = 0
        while block := blocks.read(length):
            number += 1
            if b"\n" in block.rstrip(b"\r\n"):
                self.refuse("malformed-statement", f"record {number} holds a line break, those before it none")
            yield number, block.rstrip(b"\r\n").decode("latin-1")

    def _take(self, record: _Record) -> None:
        fields = record.fields
        if record.code in _FIELDS:
            least, most = _FIELDS[record.code]
            if not least <= len(fields) <= most:
                detail = f"the {_NAMES[record.code]} ({record.code}) has {len(fields)} fields after its code"
                self.refuse("malformed-statement", detail)
        match record.code:
            case "01":
                totals = self._begin_file(fields)
            case "02":
                totals = self._begin_group(fields)
            case "03":
                totals = self._begin_account(record)
            case "16":
                totals = self._detail(fields)
            case "49":
                totals = self._the_account().totals
            case "98":
                totals = self._the_group().totals
            case _:
                totals = self.found[-1].totals
        totals.records += record.physical
        if record.code in _TRAILERS:
            self._trailer(record.code, fields, totals)

    def _the_group(self) -> _Group:
        assert self.group is not None  # by _AFTER
        return self.group

    def _the_account(self) -> _Open:
        assert self.account is not None  # by _AFTER
        return self.account

    # -- headers and details -----------------------------------------------------------------------------------------

    def _begin_file(self, fields: list[str]) -> _Totals:
        sender, receiver, created, time, number, length, block, version = fields
        if version != "2":
            self.refuse("wrong-document", f"is of version {version[:20]!r}, not 2")
        self._identifier(sender, "sender")
        self._identifier(number, "file identification number")
        day = self._date(created)
        if not (_CREATED.fullmatch(time) and _SIZE.fullmatch(length) and _SIZE.fullmatch(block)):
            self.refuse("malformed-statement", "the file's time of creation, record length or block size is malformed")
        self.found.append(_File(self.where, (sender, receiver, day.isoformat(), number)))
        return self.found[-1].totals

    def _begin_group(self, fields: list[str]) -> _Totals:
        _, originator, status, day, time, code, modifier = (fields + [""] * 3)[:7]
        self._identifier(originator, "originator")
        if status == "4":
            self.refuse("test-statement", "the group is marked as a test (group status 4)")
        if status in {"2", "3"}:
            self.refuse("not-an-update", f"the group is a {'deletion' if status == '2' else 'correction'} ({status})")
        if status != "1":
            self.refuse("malformed-statement", f"the group status is {status[:20]!r}")
        if modifier in {"1", "3"}:
            self.refuse("interim-statement", f"the group holds interim data (as-of-date modifier {modifier})")
        if modifier not in {"", "2", "4"}:
            self.refuse("malformed-statement", f"the as-of-date modifier is {modifier[:20]!r}")
        unit = currency(code or _DEFAULT_CURRENCY, self.where)
        self.group = _Group(unit.code, *self._as_of(self._date(day), time))
        return self.group.totals

    def _as_of(self, day: date, time: str) -> tuple[datetime, str | None]:
        if not _TIME.fullmatch(time):
            self.refuse("malformed-statement", f"the as-of time is {time[:20]!r}, not hhmm")
        try:
            if time in _END_OF_DAY:
                return calendar.end_of(day, self.zone or "UTC"), day.isoformat()
            clock = datetime(day.year, day.month, day.day, int(time[:2]), int(time[2:]))  # noqa: DTZ001 - given a zone
            return calendar.instant_of(clock, None, self.zone), None
        except calendar.NaiveTimeError:
            self.refuse("naive-time", f"the as-of time {time!r} has no time zone, and none is configured")
        except ValueError as fault:
            self.refuse("malformed-statement", f"the as-of time {time!r}: {fault}")

    def _begin_account(self, record: _Record) -> _Totals:
        account, code = [*record.fields, ""][:2]
        self._identifier(account, "account")
        if not self.room:
            self.refuse("too-many-statements", f"there are more than {MAX_ACCOUNTS} accounts")
        self.room -= 1
        self.where += f": account {account!r}"
        unit = currency(code or self._the_group().currency, self.where)
        self.account = _Open(record.line, account, unit, {CLOSING_LEDGER: [], OPENING_LEDGER: []})
        for kind, amount in self._summaries(record):
            self.account.totals.amounts += self._amount(amount)
            if kind in self.account.ledger:
                self.account.ledger[kind].append(amount)
        return self.account.totals

    def _summaries(self, record: _Record) -> Iterator[tuple[str, str]]:
        """(type code, amount as written) of every summary or status of an account."""
        marked = [(value, place == len(part)) for part in record.parts for place, value in enumerate(part, 1)][2:]
        fields = [value for value, _ in marked]
        at = 0
        while at < len(marked):
            kind, ends_line = marked[at]
            if not kind and ends_line:
                at += 1  # Some banks end a line with ',/': that is no type code, for what follows begins with one.
                continue
            kind, amount, items, funds = (fields[at : at + 4] + [""] * 3)[:4]
            if not (_TYPE.fullmatch(kind) or not (kind or amount or items or funds)):
                self.refuse("malformed-statement", f"{kind[:20]!r} stands where a type code must")
            if items and not _COUNT.fullmatch(items):
                self.refuse("malformed-statement", f"{items[:20]!r} is no item count (type code {kind})")
            yield kind, amount
            at = self._after_funds(funds, fields, at + 4)

    def _detail(self, fields: list[str]) -> _Totals:
        account = self._the_account()
        self.where += f": account {account.account!r}"
        kind, amount, funds = (fields + [""] * 2)[:3]
        # 015 is a summary: as a detail it could be taken for one.
        if not _TYPE.fullmatch(kind) or kind in account.ledger:
            self.refuse("malformed-statement", f"{kind[:20]!r} is no type code of a detail")
        self._after_funds(funds, fields, 3)
        account.totals.amounts += self._amount(amount)
        return account.totals

    def _after_funds(self, funds: str, fields: list[str], at: int) -> int:
        """Where the fields that belong to a funds type, from place ``at``, have ended."""
        if funds in _PLAIN_FUNDS:
            return at
        if funds == "V":
            patterns = [_DATE, _TIME]
        elif funds == "S":
            patterns = [_AVAILABLE] * 3
        elif funds == "D" and _COUNT.fullmatch(fields[at] if at < len(fields) else ""):
            patterns = [_COUNT, *[_COUNT, _AVAILABLE] * min(int(fields[at]), len(fields))]
        else:
            self.refuse("malformed-statement", f"the funds type {funds[:20]!r} is not understood")
        values = fields[at : at + len(patterns)]
        if len(values) < len(patterns) or not all(map(re.Pattern.fullmatch, patterns, values)):
            self.refuse("malformed-statement", f"what follows the funds type {funds} is malformed")
        return at + len(patterns)

    # -- trailers ----------------------------------------------------------------------------------------------------

    def _trailer(self, code: str, fields: list[str], totals: _Totals) -> None:
        if code == "49":
            self.where += f": account {self._the_account().account!r}"
        total, *counts = fields
        if not all(map(_COUNT.fullmatch, counts)):
            self.refuse("malformed-statement", f"the {_NAMES[code]} has no counts")
        written = [self._amount(total), *map(int, counts)]
        real = [totals.amounts, *([] if code == "49" else [totals.parts]), totals.records]
        for what, says, found in zip(_TRAILERS[code], written, real, strict=True):
            if says != found:
                self.refuse("control-total-differs", f"the {_NAMES[code]} says the {what} is {says}; it is {found}")
        if code == "49":
            self._end_account(self._the_account())
            self._the_group().totals.add(totals)
        elif code == "98":
            self.found[-1].totals.add(totals)

    def _end_account(self, account: _Open) -> None:
        closings, openings = account.ledger[CLOSING_LEDGER], account.ledger[OPENING_LEDGER]
        if len(closings) > 1:
            self.refuse("several-closing-balances", f"states the closing ledger balance (015) {len(closings)} times")
        if not closings or not closings[0]:
            verb = "leaves empty" if closings else "does not state"
            self.refuse("no-closing-balance", f"{verb} the closing ledger balance (015)")
        file, group = self.found[-1], self._the_group()
        sender, _, created, number = file.identity
        file.accounts.append(
            _Account(
                where=f"{self.document.name}: line {account.line}: account {account.account!r}",
                account=account.account,
                currency=account.currency,
                closing=self._amount(closings[0]),
                opening=self._amount(openings[0]) if len(openings) == 1 and openings[0] else None,
                as_of=group.as_of,
                business_date=group.business_date,
                statement_id=f"{sender}-{created}-{number}",
            )
        )

    # -- fields ------------------------------------------------------------------------------------------------------

    def _identifier(self, text: str, name: str) -> None:
        if not _IDENTIFIER.fullmatch(text):
            self.refuse("malformed-statement", f"{text[:40]!r} is no {name}")

    def _amount(self, text: str) -> int:
        """Minor units; an empty field is BAI2's default, nothing. No decimal point is ever written, so that the
        currency's exponent is not needed to read one."""
        if text and not _AMOUNT.fullmatch(text):
            self.refuse("malformed-amount", f"{text[:40]!r} is no amount in minor units (digits, perhaps a sign)")
        return int(text or "0")

    def _date(self, text: str) -> date:
        if not _DATE.fullmatch(text):
            self.refuse("malformed-statement", f"{text[:20]!r} is no date YYMMDD")
        try:
            # No statement of a reserve is older than 2000: two digits say one year only.
            return date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
        except ValueError as fault:
            self.refuse("malformed-statement", f"the date {text!r}: {fault}")


# -- reports against each other --------------------------------------------------------------------------------------


def _of_record(files: Sequence[_File], zone: ZoneInfo) -> list[_Account]:
    """Copies dropped, each account's reports consistent; in document order."""
    stated = [account for file in files for account in file.accounts]
    reports: dict[tuple[str, str], list[_Account]] = defaultdict(list)
    for account in stated:
        reports[account.key].append(account)
    kept = {id(account) for group in reports.values() for account in _consistent(group, zone)}
    return [account for account in stated if id(account) in kept]


def _consistent(reports: list[_Account], zone: ZoneInfo) -> list[_Account]:
    """The reports of one account and currency, oldest first; equal ones of one date are one."""
    kept: list[_Account] = []
    for later in sorted(reports, key=lambda report: report.as_of):
        earlier = kept[-1] if kept else None
        if earlier is not None and _day(earlier, zone) == _day(later, zone):
            if earlier.said() != later.said():
                raise _refusal(
                    later.where, "conflicting-statements", f"differs from another of the same date ({earlier.where})"
                )
            continue
        if earlier is not None and later.opening not in {None, earlier.closing}:
            opens, closed = later.currency.format(later.opening or 0), later.currency.format(earlier.closing)
            raise _refusal(
                later.where,
                "opening-differs",
                f"opens with {opens} (010), but the report before it ({earlier.where}) closed with {closed} "
                f"{later.currency.code}",
            )
        kept.append(later)
    return kept


def _day(report: _Account, zone: ZoneInfo) -> date:
    return report.as_of.astimezone(zone).date()


def _refusal(where: str, code: str, detail: str) -> SourceError:
    reason, advice = _REFUSALS[code]
    return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


FORMAT = Format("BAI2 balance reports", no_options, read)
