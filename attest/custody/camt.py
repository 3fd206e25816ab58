"""ISO 20022 camt.053 (BankToCustomerStatement) and camt.052 (BankToCustomerAccountReport), versions .02 to .14.

Sources: the message definition reports' BankToCustomerStatement and BankToCustomerAccountReport (paths and
cardinalities are those of the XSDs, whose failure is no reason to refuse: real banks' files fail them), and the Swiss
Payment Standards for ``SubTp`` ``INTM`` (a page's intermediate balance) and the test mark in ``GrpHdr/AddtlInf``.

A statement's closing booked balance is its ``CLBD``; no other one (CLAV, ITBD, ITAV, FWAV, INFO) is ever taken for it,
whatever its place. The amount is unsigned; the sign is only in ``CdtDbtInd``. By its definition ``CLBD`` is the opening
booked balance and all booked entries together, so where a statement has entries, that is checked. A report's balance is
``ITBD`` (interim booked) or, at the end of the day, ``CLBD``; it only corroborates.

All documents of a source are read together: a message or statement may be split over several. They are refused as a
whole if one statement is: nobody knows what else is wrong with them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from attest.custody import calendar, xml
from attest.custody.document import MAX_BYTES, Document
from attest.custody.formats import Format, no_options
from attest.errors import SourceError
from attest.model import StatedBalance, StatedKind
from attest.money import currency, parse_amount
from attest.quorum import account_key

#: More than any bank sends for one period; bounds what hostile files make this process remember.
MAX_STATEMENTS = 20_000
#: More balances than any statement has, and credit lines than any balance.
MAX_BALANCES = 1_000
MAX_REPEATED = 100

OPTIONS = {
    "check_entries": "false if this bank leaves entries out, so that opening balance and booked entries together are "
    "not the closing balance [true]",
}

_HEADER_LEAVES = ("MsgId", "MsgPgntn/PgNb", "MsgPgntn/LastPgInd", "AddtlInf")
_STATEMENT_LEAVES = ("Id", "ElctrncSeqNb", "LglSeqNb", "CpyDplctInd", "Acct/Id/IBAN", "Acct/Id/Othr/Id", "Acct/Ccy")
_BALANCE_LEAVES = (
    "Tp/CdOrPrtry/Cd",
    "Tp/SubTp/Cd",
    "Tp/SubTp/Prtry",
    "CdtLine/Incl",
    "Amt",
    "CdtDbtInd",
    "Dt/Dt",
    "Dt/DtTm",
)
_ENTRY_LEAVES = ("Amt", "CdtDbtInd", "Sts", "Sts/Cd", "Sts/Prtry")

_TEST_MARK = re.compile(r"SPS/[0-9.]+/TEST", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
#: The statuses of an entry, and whether it is in the booked balance (external code set ExternalEntryStatus1Code).
_BOOKED = {"BOOK": True, "PDNG": False, "INFO": False, "FUTR": False}

_AGAIN = "Fetch the statement again; if it is unchanged, ask the custodian for a correct one."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "malformed-statement": ("A statement that is not understood in full may say something else.", _AGAIN),
    "too-many-statements": (
        "So much for one account is not what a bank sends.",
        "Ask the custodian for one file per day or per account, and narrow the source's location.",
    ),
    "test-statement": (
        "The custodian itself says that these numbers are not real.",
        "Fetch the file from the custodian's production system.",
    ),
    "missing-page": (
        "The closing balance stands on the last page, and the pages prove that nothing was left out.",
        "Put all pages in place, each once.",
    ),
    "no-closing-balance": (
        "Interim and available balances are other facts than the closing booked balance.",
        "Ask the custodian for the end-of-day statement (camt.053 with CLBD), not an intraday report.",
    ),
    "no-interim-balance": (
        "A report of movements alone says nothing of what the account holds.",
        "Ask the custodian for reports with the interim booked balance (ITBD).",
    ),
    "several-closing-balances": ("Nobody can say which of them is meant.", _AGAIN),
    "several-interim-balances": ("Nobody can say which of them is the last.", _AGAIN),
    "included-credit-line": (
        "Money that the bank lends is not a reserve.",
        "Ask the custodian to state the balance without the credit line.",
    ),
    "currency-mismatch": (
        "A number under another currency is another amount of money.",
        "Ask the custodian for a correct statement.",
    ),
    "entries-differ": (
        "The closing balance is the opening balance and the booked entries together; one of them was changed or cut.",
        'Ask the custodian for a correct statement. If this bank leaves entries out, set check_entries = "false".',
    ),
    "naive-time": (
        "The same local time is a different instant in every time zone.",
        "Set `zone` of the account (or --zone) to the bank's time zone, for example Europe/Berlin.",
    ),
    "duplicate-taken-as-new": (
        "A copy sent again is no new statement; with the original missing, nobody knows what it copies.",
        "Put the original statement in place, and take the duplicate away.",
    ),
    "conflicting-statements": (
        "One account has one balance at one time.",
        "Take away the statement that is wrong; if you cannot tell, ask the custodian.",
    ),
    "sequence-gap": (
        "A statement in between is missing, and with it what moved the balance.",
        "Put the missing statement in place, or the newest statement alone.",
    ),
    "opening-differs": (
        "Something was left out or changed between two statements.",
        "Ask the custodian which of the two statements is right.",
    ),
}


#: The same few are asked for by every entry.
_currency = lru_cache(maxsize=64)(currency)


class _Form:
    """One of the two messages: what it is called, and where in it stands what is asked for."""

    def __init__(self, number: str, message: str, element: str, word: str) -> None:
        self.word = word
        self.nothing = f"no-{'closing' if word == 'statement' else 'interim'}-balance"
        self.expected = f"a camt.{number}.001.02 to .14 {word}"
        self.namespace = re.compile(rf"urn:iso:std:iso:20022:tech:xsd:camt\.{number}\.001\.(0[2-9]|1[0-4])")
        root = f"Document/{message}"
        pages = f"{element}Pgntn"
        self.pages = pages
        self.last = f"{root}/{element}/Ntry/Sts"
        #: path -> (what it is a part of, its name there); for a container, the name is empty.
        self.parts: dict[str, tuple[str, str]] = {}
        for part, path, leaves in (
            ("header", f"{root}/GrpHdr", _HEADER_LEAVES),
            ("statement", f"{root}/{element}", (*_STATEMENT_LEAVES, f"{pages}/PgNb", f"{pages}/LastPgInd")),
            ("balance", f"{root}/{element}/Bal", _BALANCE_LEAVES),
            ("entry", f"{root}/{element}/Ntry", _ENTRY_LEAVES),
        ):
            self.parts |= {f"{path}/{leaf}": (part, leaf) for leaf in leaves}
        self.leaves = frozenset(self.parts)
        self.parts |= {
            root: ("message", ""),
            f"{root}/GrpHdr/MsgPgntn": ("header", "MsgPgntn"),
            f"{root}/{element}": ("statement", ""),
            f"{root}/{element}/{pages}": ("statement", pages),
            f"{root}/{element}/Bal": ("balance", ""),
            f"{root}/{element}/Ntry": ("entry", ""),
        }
        self.containers = frozenset(self.parts) - self.leaves


_STATEMENT = _Form("053", "BkToCstmrStmt", "Stmt", "statement")
_REPORT = _Form("052", "BkToCstmrAcctRpt", "Rpt", "report")


def check_options(options: Mapping[str, object]) -> bool:
    """Whether entries are to be checked. Raises ``ValueError`` saying what is wrong; unknown options were refused
    before."""
    value = options.get("check_entries", "true")
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError("check_entries must be true or false")
    return value in ("true", True)


def read_statements(
    documents: Sequence[Document], settings: bool, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The closing booked balances of all statements, in document order; a debit is negative.

    ``settings``: whether entries are checked. ``zone`` is the bank's time zone: a date-only balance is that of the
    date's end there (UTC if it is None), and a local time without one is refused. Raises :class:`SourceError` naming
    the document.
    """
    statements = _read_all(_STATEMENT, documents, zone, check_entries=settings)
    for statement in statements:
        if not statement.closings:
            detail = "states no closing booked balance (CLBD)"
            raise _refuse(f"{statement.where}: {statement}", "no-closing-balance", detail)
        statement.check_entries()
    accounts: dict[tuple[str, str], list[_Statement]] = defaultdict(list)
    for statement in _originals(statements):
        accounts[statement.account_key].append(statement)
    kept = {id(one) for each in accounts.values() for one in _consistent(each, ZoneInfo(zone or "UTC"))}
    return tuple(statement.stated("closing-booked") for statement in statements if id(statement) in kept)


def read_reports(
    documents: Sequence[Document], settings: object, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The last interim booked balance of every report, and its closing one if the day is over, in document order.

    ``zone`` is as in :func:`read_statements`; a balance without a date or time is refused. Raises :class:`SourceError`
    naming the document.
    """
    stated: dict[tuple[tuple[str, str], StatedKind, datetime], tuple[_Statement, StatedBalance]] = {}
    reports = _read_all(_REPORT, documents, zone, check_entries=False)
    for report in reports:
        if not report.closings and not report.interims:
            detail = "states neither an interim nor a closing booked balance (ITBD, CLBD)"
            raise _refuse(f"{report.where}: {report}", "no-interim-balance", detail)
    kinds: tuple[StatedKind, ...] = ("interim-booked", "closing-booked")
    for report in _originals(reports):
        for kind in kinds:
            if not (report.interims if kind == "interim-booked" else report.closings):
                continue
            balance = report.stated(kind)
            earlier, same = stated.setdefault((report.account_key, kind, balance.as_of), (report, balance))
            if same.minor_units != balance.minor_units:
                raise report.conflicts(earlier, "time")
    return tuple(balance for _, balance in stated.values())


@dataclass(frozen=True)
class _Balance:
    code: str
    minor_units: int
    as_of: datetime
    business_date: str | None


@dataclass(frozen=True)
class _Statement:
    """One ``Stmt`` or ``Rpt`` element, or several pages of one joined. ``where`` is its document's name, ``word`` what
    it is. ``page`` is (number, is last) of one page among several. ``entries`` is the sum of the booked entries, None
    if there are no entries or they are not checked."""

    where: str = field(compare=False)
    word: str
    id: str
    account: str
    currency: str
    closings: tuple[_Balance, ...]
    openings: tuple[_Balance, ...]
    interims: tuple[_Balance, ...]
    entries: int | None
    page: tuple[int, bool] | None
    sequence: int | None
    duplicate: bool

    def __str__(self) -> str:
        return f"{self.word} {self.id!r} of account {self.account!r}"

    @property
    def closing(self) -> _Balance:
        return self.closings[0]

    @property
    def account_key(self) -> tuple[str, str]:
        return account_key(self.account), self.currency

    @property
    def key(self) -> tuple[str, str]:
        """What the pages of one statement have in common."""
        return account_key(self.account), self.id

    def stated(self, kind: StatedKind) -> StatedBalance:
        (balance,) = self.closings if kind == "closing-booked" else self.interims
        return StatedBalance(
            account=self.account,
            currency=self.currency,
            minor_units=balance.minor_units,
            balance_kind=kind,
            as_of=balance.as_of,
            statement_id=self.id,
            business_date=balance.business_date,
        )

    def conflicts(self, other: _Statement, when: str) -> SourceError:
        detail = f"differs from {self.word} {other.id!r} of the same account and {when} in {other.where}"
        return _refuse(f"{self.where}: {self}", "conflicting-statements", detail)

    def check_entries(self) -> None:
        for opening in self.openings if self.entries is not None else ():
            expected = opening.minor_units + (self.entries or 0)
            if expected != self.closing.minor_units:
                unit = currency(self.currency)
                raise _refuse(
                    f"{self.where}: {self}",
                    "entries-differ",
                    f"{unit.format(opening.minor_units)} ({opening.code}) and its booked entries together are "
                    f"{unit.format(expected)}, but it closes with {unit.format(self.closing.minor_units)} "
                    f"{self.currency}",
                )


@dataclass(frozen=True)
class _Message:
    """What one document holds. ``page`` is (number, is last) of a message in several documents, else None."""

    where: str = field(compare=False)
    id: str = field(compare=False)
    page: tuple[int, bool] | None
    statements: tuple[_Statement, ...]

    @property
    def number(self) -> int:
        return self.page[0] if self.page else 1

    @property
    def keys(self) -> set[tuple[str, str]]:
        """What the pages of one message have in common: its id, or a statement that goes on from one to another."""
        return {statement.key for statement in self.statements} | ({("", self.id)} if self.id else set())


# -- one document ----------------------------------------------------------------------------------------------------


#: The leaves of one element by their path in it: text and attributes, as often as they stand there.
_Found = dict[str, list[tuple[str, Mapping[str, str]]]]


class _Fields:
    def __init__(self, where: str) -> None:
        self.where = where
        self.found: _Found = {}

    def taken(self) -> _Fields:
        """What was found until now; nothing is left."""
        taken = _Fields(self.where)
        taken.found = dict(self.found)
        self.found.clear()
        return taken

    def one(self, path: str) -> str | None:
        if path not in self.found:
            return None
        values = self.found[path]
        if len(values) > 1:
            raise _refuse(self.where, "malformed-statement", f"{path} stands there {len(values)} times")
        return values[0][0]

    def need(self, path: str) -> str:
        value = self.one(path)
        if not value:
            raise _refuse(self.where, "malformed-statement", f"{path} is missing or empty")
        return value

    def page(self, path: str) -> tuple[int, bool] | None:
        """(number, is last) of one page among several; None of a whole."""
        if self.one(path) is None:
            return None
        number, last = self.need(f"{path}/PgNb"), self.need(f"{path}/LastPgInd")
        if not _NUMBER.fullmatch(number):
            raise _refuse(self.where, "malformed-statement", f"{path}/PgNb is {number!r}, not a number")
        if last not in _TRUTH:
            raise _refuse(self.where, "malformed-statement", f"{path}/LastPgInd is {last!r}, neither true nor false")
        page = int(number), _TRUTH[last]
        return None if page == (1, True) else page

    def amount(self) -> tuple[str, int]:
        """(currency, signed minor units) of ``Amt`` and ``CdtDbtInd``."""
        amounts, signs = self.found.get("Amt", []), self.found.get("CdtDbtInd", [])
        if not len(amounts) == len(signs) == 1:
            self.need("Amt")
            self.need("CdtDbtInd")
        (text, attributes), (sign, _) = amounts[0], signs[0]
        unit = _currency(attributes.get("Ccy", ""), self.where)
        if text.startswith("-"):
            raise _refuse(self.where, "malformed-statement", f"Amt is {text!r}; camt amounts carry no sign")
        minor_units = parse_amount(text, unit, self.where)
        if sign not in {"CRDT", "DBIT"}:
            raise _refuse(self.where, "malformed-statement", f"CdtDbtInd is {sign!r}, neither CRDT nor DBIT")
        return unit.code, minor_units if sign == "CRDT" else -minor_units


class _Collector:
    """Makes statements of the elements that the reader reports."""

    def __init__(self, form: _Form, where: str, zone: str | None, room: int, *, check_entries: bool) -> None:
        self.form, self.where, self.zone, self.room, self.check_entries = form, where, zone, room, check_entries
        self.messages: list[_Message] = []
        self.statements: list[_Statement] = []
        self.balances: list[_Fields] = []
        #: The sum of the booked entries by their currency, and how many entries there are.
        self.booked: dict[str, int] = {}
        self.entries = 0
        self.header, self.statement, self.balance, self.entry = (_Fields(where) for _ in range(4))
        parts = {part: getattr(self, part).found for part in ("header", "statement", "balance", "entry")}
        #: path -> where it is collected and its name there.
        self.leaves: dict[str, tuple[_Found, str]] = {
            path: (parts[part], name) for path, (part, name) in form.parts.items() if name
        }
        self.ends = {
            "message": self._end_message,
            "statement": self._end_statement,
            "balance": self._end_balance,
            "entry": self._end_entry,
        }

    def element(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path not in self.leaves:
            self.ends[self.form.parts[path][0]]()
            return
        found, name = self.leaves[path]
        if name not in found:
            found[name] = [(text, attributes)]
            return
        found[name].append((text, attributes))
        if len(found[name]) > MAX_REPEATED:
            raise _refuse(self.where, "malformed-statement", f"{path} stands there more than {MAX_REPEATED} times")

    def _end_balance(self) -> None:
        self.balances.append(self.balance.taken())
        if len(self.balances) > MAX_BALANCES:
            raise _refuse(self.where, "too-many-statements", f"states more than {MAX_BALANCES} balances at once")

    def _end_message(self) -> None:
        if self.messages:
            raise _refuse(self.where, "malformed-statement", "holds several messages")
        header = self.header
        information = header.one("AddtlInf") or ""
        if _TEST_MARK.fullmatch(information):
            raise _refuse(self.where, "test-statement", f"is marked {information!r}")
        self.messages.append(
            _Message(self.where, header.one("MsgId") or "", header.page("MsgPgntn"), tuple(self.statements))
        )

    def _end_entry(self) -> None:
        self.entries += 1
        entry = self.entry
        if self.check_entries:
            try:
                self._book(entry)
            except SourceError:
                # Only now is it named: for each of a hundred thousand that takes longer than reading it.
                statement = self.statement.found.get("Id", [("", {})])[0][0]
                entry.where += f": {self.form.word} {statement!r}: entry {self.entries}"
                self._book(entry)
        entry.found.clear()

    def _book(self, entry: _Fields) -> None:
        code, text = entry.one("Sts/Cd"), entry.one("Sts")  # the latter alone until .06
        status = code or text
        if status not in _BOOKED or (code and text):
            detail = f"its status is {status or entry.one('Sts/Prtry')!r}, which is not understood"
            raise _refuse(entry.where, "malformed-statement", detail)
        if _BOOKED[status]:
            unit, minor_units = entry.amount()
            self.booked[unit] = self.booked.get(unit, 0) + minor_units

    def _end_statement(self) -> None:
        fields, balances, booked, entries = self.statement.taken(), self.balances, self.booked, self.entries
        self.balances, self.booked, self.entries = [], {}, 0
        identifier = fields.need("Id")
        fields.where = f"{self.where}: {self.form.word} {identifier!r}"
        iban, other = fields.one("Acct/Id/IBAN"), fields.one("Acct/Id/Othr/Id")
        account = iban or other
        if not account or (iban and other):
            detail = "names two accounts" if account else "names no account"
            raise _refuse(fields.where, "malformed-statement", detail)
        fields.where += f" of account {account!r}"
        codes = ("CLBD", "ITBD") if self.form is _REPORT else ("CLBD", "OPBD", "PRCD")
        stated: dict[str, list[_Balance]] = {code: [] for code in ("CLBD", "ITBD", "OPBD", "PRCD")}
        units = set(booked)
        for balance in balances:
            read = self._read_balance(balance, fields, codes)
            if read is not None:
                units.add(read[0])
                stated[read[1].code].append(read[1])
        if len(stated["CLBD"]) > 1:
            raise _refuse(fields.where, "several-closing-balances", f"states CLBD {len(stated['CLBD'])} times")
        declared = fields.one("Acct/Ccy")
        units |= {declared} if declared is not None else set()
        if len(units) > 1:
            raise _refuse(fields.where, "currency-mismatch", f"mixes the currencies {', '.join(sorted(units))}")
        copy = fields.one("CpyDplctInd")
        if copy not in {None, "COPY", "DUPL", "CODU"}:
            raise _refuse(fields.where, "malformed-statement", f"CpyDplctInd is {copy!r}")
        if len(self.statements) >= self.room:
            raise _refuse(self.where, "too-many-statements", f"makes more than {MAX_STATEMENTS} {self.form.word}s")
        self.statements.append(
            _Statement(
                where=self.where,
                word=self.form.word,
                id=identifier,
                account=account,
                currency=units.pop() if units else "",
                closings=tuple(stated["CLBD"]),
                openings=(*stated["OPBD"], *stated["PRCD"]),
                interims=self._last(stated["ITBD"], fields.where),
                entries=sum(booked.values()) if entries and self.check_entries else None,
                page=fields.page(self.form.pages),
                sequence=self._sequence(fields),
                duplicate=copy in {"DUPL", "CODU"},
            )
        )

    @staticmethod
    def _sequence(fields: _Fields) -> int | None:
        value = fields.one("ElctrncSeqNb") or fields.one("LglSeqNb")
        if value is not None and not _NUMBER.fullmatch(value):
            raise _refuse(fields.where, "malformed-statement", f"its sequence number is {value!r}")
        return None if value is None else int(value)

    def _last(self, interims: list[_Balance], where: str) -> tuple[_Balance, ...]:
        """The last one by time; one with a date only has no time to compare on that date."""
        if not interims:
            return ()
        zone = ZoneInfo(self.zone or "UTC")
        last = max(interims, key=lambda balance: balance.as_of)
        for other in interims:
            same = last.as_of == other.as_of or last.business_date == other.as_of.astimezone(zone).date().isoformat()
            if same and other.minor_units != last.minor_units:
                detail = "states two interim balances (ITBD) that differ, of which neither is the later one"
                raise _refuse(where, "several-interim-balances", detail)
        return (last,)

    def _read_balance(self, balance: _Fields, statement: _Fields, codes: Iterable[str]) -> tuple[str, _Balance] | None:
        """(currency, balance) if it is of one of the types ``codes``, and of the whole statement."""
        balance.where = f"{statement.where}: balance"
        code = balance.one("Tp/CdOrPrtry/Cd") or ""
        if code not in codes:
            return None
        balance.where += f" {code}"
        subtype = balance.one("Tp/SubTp/Cd") or balance.one("Tp/SubTp/Prtry")
        if subtype == "INTM":
            return None  # where one page ends and the next begins
        if subtype is not None:
            raise _refuse(balance.where, "malformed-statement", f"has the subtype {subtype!r}, which is not understood")
        unit, minor_units = balance.amount()
        for included, _ in balance.found.get("CdtLine/Incl", []):
            if _TRUTH.get(included, True):
                raise _refuse(balance.where, "included-credit-line", f"includes a credit line (Incl is {included!r})")
        return unit, _Balance(code, minor_units, *self._date(balance))

    def _date(self, balance: _Fields) -> tuple[datetime, str | None]:
        day, moment = balance.one("Dt/Dt"), balance.one("Dt/DtTm")
        if (day is None) == (moment is None):
            detail = "no date" if day is None else "both Dt and DtTm"
            raise _refuse(balance.where, "malformed-statement", f"has {detail}")
        try:
            if day is not None:
                if not _DATE.fullmatch(day):
                    raise ValueError("a date is YYYY-MM-DD")
                return calendar.end_of(date.fromisoformat(day), self.zone or "UTC"), day
            match = _DATE_TIME.fullmatch(moment or "")
            if match is None:
                raise ValueError("a time is YYYY-MM-DDThh:mm:ss with Z or an offset")
            return calendar.instant_of(datetime.fromisoformat(match[1]), match[2], self.zone), None
        except calendar.NaiveTimeError:
            raise _refuse(
                balance.where, "naive-time", f"its time {moment!r} has no time zone, and none is configured"
            ) from None
        except ValueError as fault:
            raise _refuse(balance.where, "malformed-statement", f"its date {day or moment!r}: {fault}") from None


# -- all documents of a source ---------------------------------------------------------------------------------------


def _read_all(form: _Form, documents: Sequence[Document], zone: str | None, *, check_entries: bool) -> list[_Statement]:
    """All statements, each with its pages joined, in document order. The same bytes twice are read once."""
    messages: list[_Message] = []
    read: set[str] = set()
    room = MAX_STATEMENTS
    for document in documents:
        if document.digest in read:
            continue
        read.add(document.digest)
        collector = _Collector(form, document.name, zone, room, check_entries=check_entries)
        with document.open() as file:
            xml.read(
                file,
                namespace=form.namespace,
                expected=form.expected,
                leaves=form.leaves,
                containers=form.containers,
                on_element=collector.element,
                where=document.name,
                last=form.last,
            )
        if not collector.statements:
            raise _refuse(document.name, form.nothing, f"holds no {form.word}")
        messages += collector.messages
        room -= len(collector.statements)
    return _join_pages(_join_messages(messages))


def _join_messages(messages: list[_Message]) -> list[_Statement]:
    """The statements of all messages. Of a message in several documents no page may be missing; a statement that goes
    on from one to another is given its pages."""
    groups: list[tuple[set[tuple[str, str]], list[_Message]]] = []
    for message in messages:
        if message.page is None:
            continue
        keys, pages = message.keys, [message]
        for group in [group for group in groups if group[0] & keys]:
            groups.remove(group)
            keys |= group[0]
            pages = group[1] + pages
        groups.append((keys, pages))
    paged: dict[int, _Statement] = {}
    again: set[int] = set()
    for _, pages in groups:
        by_number: dict[int, _Message] = {}
        for message in pages:
            number = message.number
            same = by_number.setdefault(number, message)
            if same != message:
                detail = f"differs from page {number} of the same message in {same.where}"
                raise _refuse(f"{message.where}: page {number} of its message", "conflicting-statements", detail)
            if same is not message:
                again.add(id(message))
        ordered = [by_number[number] for number in sorted(by_number)]
        _check_pages(pages[0].where, "its message", [message.page for message in ordered])
        parts: dict[tuple[str, str], list[_Statement]] = defaultdict(list)
        for message in ordered:
            for statement in message.statements:
                parts[statement.key].append(statement)
        for each in parts.values():
            if len({statement.where for statement in each}) == len(each) > 1:
                for number, statement in enumerate(each, 1):
                    if statement.page is None:
                        paged[id(statement)] = replace(statement, page=(number, number == len(each)))
    return [
        paged.get(id(statement), statement)
        for message in messages
        if id(message) not in again
        for statement in message.statements
    ]


def _join_pages(statements: list[_Statement]) -> list[_Statement]:
    """Statements of several pages joined; each stands where its first page stood."""
    groups: dict[tuple[str, str], list[_Statement]] = defaultdict(list)
    for statement in statements:
        if statement.page is not None:
            groups[statement.key].append(statement)
    joined = []
    for statement in statements:
        if statement.page is None:
            joined.append(statement)
        elif pages := groups.pop(statement.key, []):
            joined.append(_join(pages))
    return joined


def _join(pages: list[_Statement]) -> _Statement:
    where = f"{pages[0].where}: {pages[0]}"
    first_seen: dict[_Statement, _Statement] = {}
    # The same page in another document is the same page.
    pages = [
        page for page in pages if first_seen.setdefault(page, page) is page or first_seen[page].where == page.where
    ]
    pages.sort(key=lambda page: page.page or (0, False))
    _check_pages(where, "it", [page.page for page in pages])
    closings = {closing for page in pages for closing in page.closings}
    currencies = {page.currency for page in pages} - {""}
    if len(closings) > 1 or len(currencies) > 1:
        raise _refuse(where, "several-closing-balances", "states different closing balances on its pages")
    first, last = pages[0], pages[-1]
    entries = [page.entries for page in pages if page.entries is not None]
    return replace(
        last,
        openings=first.openings,
        currency=min(currencies, default=""),
        interims=last.interims,
        entries=sum(entries) if entries else None,
        page=None,
        sequence=first.sequence,
        duplicate=any(page.duplicate for page in pages),
    )


def _check_pages(where: str, whole: str, pages: Sequence[tuple[int, bool] | None]) -> None:
    """``pages`` are (number, is last), in order."""
    there = [(number, number == len(pages)) for number in range(1, len(pages) + 1)]
    if list(pages) != there:
        shown = ", ".join(f"{page[0]}{' (the last)' if page[1] else ''}" for page in pages if page)
        raise _refuse(where, "missing-page", f"of {whole} only the pages {shown} are there")


def _consistent(statements: list[_Statement], zone: ZoneInfo) -> list[_Statement]:
    """The statements of one account and currency, oldest first; equal ones of one date are one."""
    kept: list[_Statement] = []
    for statement in sorted(statements, key=lambda statement: statement.closing.as_of):
        day = statement.closing.as_of.astimezone(zone).date()
        if kept and kept[-1].closing.as_of.astimezone(zone).date() == day:
            if kept[-1].closing != statement.closing:
                raise statement.conflicts(kept[-1], "date")
            continue
        if kept:
            _follows(kept[-1], statement)
        kept.append(statement)
    return kept


def _follows(earlier: _Statement, later: _Statement) -> None:
    where = f"{later.where}: {later}"
    if earlier.sequence is not None and later.sequence is not None and later.sequence != earlier.sequence + 1:
        # Many banks begin again with 1 every year.
        new_year = later.sequence == 1 and later.closing.as_of.year > earlier.closing.as_of.year
        if not new_year:
            detail = f"has number {later.sequence}, the one before it ({earlier.where}) {earlier.sequence}"
            raise _refuse(where, "sequence-gap", detail)
    for opening in later.openings:
        if opening.minor_units != earlier.closing.minor_units:
            unit = currency(later.currency)
            raise _refuse(
                where,
                "opening-differs",
                f"opens with {unit.format(opening.minor_units)} ({opening.code}), but {earlier.word} {earlier.id!r} "
                f"before it ({earlier.where}) closed with {unit.format(earlier.closing.minor_units)} {later.currency}",
            )


def _originals(statements: list[_Statement]) -> list[_Statement]:
    """Those that are not marked as duplicates. Raises if a duplicate's original is not among them."""
    originals = [statement for statement in statements if not statement.duplicate]
    known = {(statement.account_key, statement.closings, statement.interims) for statement in originals}
    for statement in statements:
        if statement.duplicate and (statement.account_key, statement.closings, statement.interims) not in known:
            detail = "is marked as a duplicate (CpyDplctInd)"
            raise _refuse(f"{statement.where}: {statement}", "duplicate-taken-as-new", detail)
    return originals


def _refuse(where: str, code: str, detail: str) -> SourceError:
    reason, advice = _REFUSALS[code]
    return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


STATEMENT = Format("ISO 20022 camt.053 XML statements", check_options, read_statements, OPTIONS, max_bytes=MAX_BYTES)
REPORT = Format(
    "ISO 20022 camt.052 XML intraday reports (corroborate only)",
    no_options,
    read_reports,
    max_bytes=MAX_BYTES,
    corroborates=True,
)
