"""ISO 20022 camt.053.001.02 to .14, BankToCustomerStatement: the closing booked balance (``CLBD``) of each statement.

Sources: the message definition reports' BankToCustomerStatement (paths and cardinalities are those of the XSDs, whose
failure is no reason to refuse: real banks' files fail them), and the Swiss Payment Standards for ``SubTp`` ``INTM``
(a page's intermediate balance) and the test mark in ``GrpHdr/AddtlInf``.

The amount is unsigned; the sign is only in ``CdtDbtInd``. No other balance (CLAV, ITBD, ITAV, FWAV, INFO) is ever taken
for the closing one, whatever its place. A whole file is refused if one of its statements is: nobody knows what else is
wrong with it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from attest.custody import calendar, xml
from attest.custody.document import Document
from attest.custody.formats import Format, no_options
from attest.errors import SourceError
from attest.model import StatedBalance
from attest.money import currency, parse_amount
from attest.quorum import account_key

#: More than any bank puts into one file; bounds what a hostile one makes this process remember.
MAX_STATEMENTS = 20_000

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(0[2-9]|1[0-4])")
_MESSAGE = "Document/BkToCstmrStmt"
_HEADER = f"{_MESSAGE}/GrpHdr/"
_STATEMENT = f"{_MESSAGE}/Stmt"
_BALANCE = f"{_STATEMENT}/Bal"
_HEADER_LEAVES = {"MsgPgntn/PgNb", "MsgPgntn/LastPgInd", "AddtlInf"}
_STATEMENT_LEAVES = {
    "Id",
    "StmtPgntn/PgNb",
    "StmtPgntn/LastPgInd",
    "ElctrncSeqNb",
    "LglSeqNb",
    "CpyDplctInd",
    "Acct/Id/IBAN",
    "Acct/Id/Othr/Id",
    "Acct/Ccy",
}
_BALANCE_LEAVES = {
    "Tp/CdOrPrtry/Cd",
    "Tp/SubTp/Cd",
    "Tp/SubTp/Prtry",
    "CdtLine/Incl",
    "Amt",
    "CdtDbtInd",
    "Dt/Dt",
    "Dt/DtTm",
}
_LEAVES = {
    *(_HEADER + leaf for leaf in _HEADER_LEAVES),
    *(f"{_STATEMENT}/{leaf}" for leaf in _STATEMENT_LEAVES),
    *(f"{_BALANCE}/{leaf}" for leaf in _BALANCE_LEAVES),
}
_CONTAINERS = {_MESSAGE, f"{_MESSAGE}/GrpHdr/MsgPgntn", _STATEMENT, f"{_STATEMENT}/StmtPgntn", _BALANCE}

_TEST_MARK = re.compile(r"SPS/[0-9.]+/TEST", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}

_AGAIN = "Fetch the statement again; if it is unchanged, ask the custodian for a correct one."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "malformed-statement": ("A statement that is not understood in full may say something else.", _AGAIN),
    "too-many-statements": (
        "So much in one file is not what a bank sends.",
        "Ask the custodian for one file per day or per account.",
    ),
    "test-statement": (
        "The custodian itself says that these numbers are not real.",
        "Fetch the file from the custodian's production system.",
    ),
    "missing-page": (
        "The closing balance stands on the last page, and the pages prove that nothing was left out.",
        "Ask the custodian for all pages in one file.",
    ),
    "no-closing-balance": (
        "Interim and available balances are other facts than the closing booked balance.",
        "Ask the custodian for the end-of-day statement (camt.053 with CLBD), not an intraday report.",
    ),
    "several-closing-balances": ("Nobody can say which of them is meant.", _AGAIN),
    "included-credit-line": (
        "Money that the bank lends is not a reserve.",
        "Ask the custodian to state the balance without the credit line.",
    ),
    "currency-mismatch": (
        "A number under another currency is another amount of money.",
        "Ask the custodian for a correct statement.",
    ),
    "naive-time": (
        "The same local time is a different instant in every time zone.",
        "Set `zone` of the account (or --zone) to the bank's time zone, for example Europe/Berlin.",
    ),
    "duplicate-taken-as-new": (
        "A copy sent again is no new statement; with the original missing, nobody knows what it copies.",
        "Put the original statement in place, and take the duplicate away.",
    ),
    "conflicting-statements": ("One account has one closing balance on one date.", _AGAIN),
    "sequence-gap": (
        "A statement in between is missing, and with it what moved the balance.",
        "Put the missing statement in place, or the newest statement alone.",
    ),
    "opening-differs": (
        "Something was left out or changed between two statements.",
        "Ask the custodian which of the two statements is right.",
    ),
}


def read(
    documents: Sequence[Document], settings: object, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The closing booked balances of all statements, in document order; a debit is negative.

    ``zone`` is the bank's time zone: a date-only balance is that of the date's end there (UTC if it is None), and a
    local time without one is refused. Raises :class:`SourceError` naming the document.
    """
    stated: list[StatedBalance] = []
    for document in documents:
        stated += _read_one(document.read(FORMAT.max_bytes), zone, document.name)
    return tuple(stated)


def _read_one(data: bytes, zone: str | None, where: str) -> tuple[StatedBalance, ...]:
    message = _Message(zone, where)
    xml.read(
        data,
        namespace=_NAMESPACE,
        expected="a camt.053.001.02 to .14 statement",
        leaves=_LEAVES,
        containers=_CONTAINERS,
        on_element=message.element,
        where=where,
    )
    return tuple(statement.stated() for statement in message.statements_of_record())


@dataclass(frozen=True)
class _Balance:
    code: str
    minor_units: int
    as_of: datetime
    business_date: str | None


@dataclass(frozen=True)
class _Statement:
    """One ``Stmt`` element, or several pages of one joined. ``page`` is (number, is last)."""

    id: str
    account: str
    currency: str
    closings: tuple[_Balance, ...]
    openings: tuple[_Balance, ...]
    page: tuple[int, bool] | None
    sequence: int | None
    duplicate: bool

    def __str__(self) -> str:
        return f"statement {self.id!r} of account {self.account!r}"

    @property
    def closing(self) -> _Balance:
        return self.closings[0]

    @property
    def account_key(self) -> tuple[str, str]:
        return account_key(self.account), self.currency

    def stated(self) -> StatedBalance:
        return StatedBalance(
            account=self.account,
            currency=self.currency,
            minor_units=self.closing.minor_units,
            balance_kind="closing-booked",
            as_of=self.closing.as_of,
            statement_id=self.id,
            business_date=self.closing.business_date,
        )


class _Fields:
    """The leaves of one element, by their path in it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.found: dict[str, list[tuple[str, Mapping[str, str]]]] = defaultdict(list)

    def one(self, path: str) -> str | None:
        values = self.found.get(path, [])
        if len(values) > 1:
            raise _refuse(self.where, "malformed-statement", f"{path} stands there {len(values)} times")
        return values[0][0] if values else None

    def need(self, path: str) -> str:
        value = self.one(path)
        if not value:
            raise _refuse(self.where, "malformed-statement", f"{path} is missing or empty")
        return value

    def truth(self, path: str) -> bool:
        value = self.need(path)
        if value not in _TRUTH:
            raise _refuse(self.where, "malformed-statement", f"{path} is {value!r}, neither true nor false")
        return _TRUTH[value]

    def page(self, path: str) -> tuple[int, bool]:
        number = self.need(f"{path}/PgNb")
        if not _NUMBER.fullmatch(number):
            raise _refuse(self.where, "malformed-statement", f"{path}/PgNb is {number!r}, not a number")
        return int(number), self.truth(f"{path}/LastPgInd")


@dataclass
class _Message:
    """Collects statements as the reader reports elements, then checks them against each other."""

    zone: str | None
    where: str
    statements: list[_Statement] = field(default_factory=list)
    balances: list[_Fields] = field(default_factory=list)
    messages: int = 0

    def __post_init__(self) -> None:
        self.header, self.statement, self.balance = _Fields(self.where), _Fields(self.where), _Fields(self.where)

    def element(self, path: str, text: str, attributes: Mapping[str, str]) -> None:
        if path == _BALANCE:
            self.balances.append(self.balance)
            self.balance = _Fields(self.where)
        elif path == _STATEMENT:
            self._end_statement()
        elif path == _MESSAGE:
            self._end_message()
        elif path.startswith(_BALANCE):
            self.balance.found[path.removeprefix(_BALANCE + "/")].append((text, attributes))
        elif path.startswith(_STATEMENT):
            self.statement.found[path.removeprefix(_STATEMENT + "/")].append((text, attributes))
        else:
            self.header.found[path.removeprefix(_HEADER)].append((text, attributes))
        if len(self.balances) > MAX_STATEMENTS or len(self.statements) > MAX_STATEMENTS:
            raise _refuse(self.where, "too-many-statements", f"holds more than {MAX_STATEMENTS} statements or balances")

    # -- one message -------------------------------------------------------------------------------------------------

    def _end_message(self) -> None:
        self.messages += 1
        if self.messages > 1:
            raise _refuse(self.where, "malformed-statement", "holds several BkToCstmrStmt messages")
        information = self.header.one("AddtlInf") or ""
        if _TEST_MARK.fullmatch(information):
            raise _refuse(self.where, "test-statement", f"is marked {information!r}")
        if self.header.one("MsgPgntn") is not None:
            number, last = self.header.page("MsgPgntn")
            if number != 1 or not last:
                raise _refuse(
                    self.where,
                    "missing-page",
                    f"is page {number} of a message in several files" + ("" if last else ", and not its last"),
                )

    # -- one statement -----------------------------------------------------------------------------------------------

    def _end_statement(self) -> None:
        fields, balances = self.statement, self.balances
        self.statement, self.balances = _Fields(self.where), []
        identifier = fields.need("Id")
        fields.where = f"{self.where}: statement {identifier!r}"
        iban, other = fields.one("Acct/Id/IBAN"), fields.one("Acct/Id/Othr/Id")
        account = iban or other
        if not account or (iban and other):
            detail = "names two accounts" if account else "names no account"
            raise _refuse(fields.where, "malformed-statement", detail)
        fields.where = f"{self.where}: statement {identifier!r} of account {account!r}"
        booked = {}
        for code in ("CLBD", "OPBD", "PRCD"):
            found = (self._read_balance(balance, fields, code) for balance in balances)
            booked[code] = [balance for balance in found if balance is not None]
        if len(booked["CLBD"]) > 1:
            raise _refuse(fields.where, "several-closing-balances", f"states CLBD {len(booked['CLBD'])} times")
        stated = {unit for code in booked for unit, _ in booked[code]}
        if len(stated) > 1:
            raise _refuse(fields.where, "currency-mismatch", f"mixes the currencies {', '.join(sorted(stated))}")
        copy = fields.one("CpyDplctInd")
        if copy not in {None, "COPY", "DUPL", "CODU"}:
            raise _refuse(fields.where, "malformed-statement", f"CpyDplctInd is {copy!r}")
        self.statements.append(
            _Statement(
                id=identifier,
                account=account,
                currency=stated.pop() if stated else "",
                closings=tuple(balance for _, balance in booked["CLBD"]),
                openings=tuple(balance for code in ("OPBD", "PRCD") for _, balance in booked[code]),
                page=fields.page("StmtPgntn") if fields.one("StmtPgntn") is not None else None,
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

    def _read_balance(self, balance: _Fields, statement: _Fields, code: str) -> tuple[str, _Balance] | None:
        """(currency, balance) if it is one of type ``code`` for the whole statement."""
        balance.where = f"{statement.where}: balance {code}"
        if balance.one("Tp/CdOrPrtry/Cd") != code:
            return None
        subtype = balance.one("Tp/SubTp/Cd") or balance.one("Tp/SubTp/Prtry")
        if subtype == "INTM":
            return None  # where one page ends and the next begins
        if subtype is not None:
            raise _refuse(balance.where, "malformed-statement", f"has the subtype {subtype!r}, which is not understood")
        balance.need("Amt")
        text, attributes = balance.found["Amt"][0]
        unit = currency(attributes.get("Ccy", ""), balance.where)
        declared = statement.one("Acct/Ccy")
        if declared is not None and declared != unit.code:
            raise _refuse(balance.where, "currency-mismatch", f"is in {unit.code}, the account in {declared!r}")
        if text.startswith("-"):
            raise _refuse(balance.where, "malformed-statement", f"Amt is {text!r}; camt amounts carry no sign")
        minor_units = parse_amount(text, unit, balance.where)
        sign = balance.need("CdtDbtInd")
        if sign not in {"CRDT", "DBIT"}:
            raise _refuse(balance.where, "malformed-statement", f"CdtDbtInd is {sign!r}, neither CRDT nor DBIT")
        for included, _ in balance.found.get("CdtLine/Incl", []):
            if _TRUTH.get(included, True):
                raise _refuse(balance.where, "included-credit-line", f"includes a credit line (Incl is {included!r})")
        as_of, business_date = self._date(balance)
        return unit.code, _Balance(code, minor_units if sign == "CRDT" else -minor_units, as_of, business_date)

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

    # -- statements against each other -------------------------------------------------------------------------------

    def statements_of_record(self) -> list[_Statement]:
        """Pages joined, duplicates dropped, each account's statements consistent; in document order."""
        statements = self._join_pages()
        if not statements:
            raise _refuse(self.where, "no-closing-balance", "holds no statement")
        for statement in statements:
            if not statement.closings:
                raise _refuse(
                    f"{self.where}: {statement}", "no-closing-balance", "states no closing booked balance (CLBD)"
                )
        originals = [statement for statement in statements if not statement.duplicate]
        known = {(*statement.account_key, statement.closing) for statement in originals}
        for statement in statements:
            if statement.duplicate and (*statement.account_key, statement.closing) not in known:
                raise _refuse(
                    f"{self.where}: {statement}", "duplicate-taken-as-new", "is marked as a duplicate (CpyDplctInd)"
                )
        accounts: dict[tuple[str, str], list[_Statement]] = defaultdict(list)
        for statement in originals:
            accounts[statement.account_key].append(statement)
        kept = [statement for group in accounts.values() for statement in self._consistent(group)]
        order = {id(statement): place for place, statement in enumerate(statements)}
        return sorted(kept, key=lambda statement: order[id(statement)])

    def _join_pages(self) -> list[_Statement]:
        groups: dict[tuple[str, str], list[_Statement]] = defaultdict(list)
        for statement in self.statements:
            groups[account_key(statement.account), statement.id].append(statement)
        joined = []
        for pages in groups.values():
            joined.extend(pages if all(page.page is None for page in pages) else [self._join(pages)])
        return joined

    def _join(self, pages: list[_Statement]) -> _Statement:
        where = f"{self.where}: {pages[0]}"
        numbers = sorted(page.page[0] if page.page else 0 for page in pages)
        if numbers != list(range(1, len(pages) + 1)):
            raise _refuse(where, "missing-page", f"has the pages {', '.join(map(str, numbers))}")
        pages = sorted(pages, key=lambda page: page.page or (0, False))
        if [page.page[1] for page in pages if page.page] != [False] * (len(pages) - 1) + [True]:
            raise _refuse(
                where, "missing-page", f"has {len(pages)} pages, but not the last one alone is marked as last"
            )
        closings = {closing for page in pages for closing in page.closings}
        currencies = {page.currency for page in pages} - {""}
        if len(closings) > 1 or len(currencies) > 1:
            raise _refuse(where, "several-closing-balances", "states different closing balances on its pages")
        first, last = pages[0], pages[-1]
        return _Statement(
            id=first.id,
            account=first.account,
            currency=last.currency,
            closings=last.closings,
            openings=first.openings,
            page=None,
            sequence=first.sequence,
            duplicate=any(page.duplicate for page in pages),
        )

    def _consistent(self, statements: list[_Statement]) -> list[_Statement]:
        """The statements of one account and currency, oldest first; equal ones of one date are one."""
        zone = ZoneInfo(self.zone or "UTC")
        kept: list[_Statement] = []
        for statement in sorted(statements, key=lambda statement: statement.closing.as_of):
            day = statement.closing.as_of.astimezone(zone).date()
            if kept and kept[-1].closing.as_of.astimezone(zone).date() == day:
                if kept[-1].closing != statement.closing:
                    raise _refuse(
                        f"{self.where}: {statement}",
                        "conflicting-statements",
                        f"differs from statement {kept[-1].id!r} of the same account and date",
                    )
                continue
            if kept:
                self._follows(kept[-1], statement)
            kept.append(statement)
        return kept

    def _follows(self, earlier: _Statement, later: _Statement) -> None:
        where = f"{self.where}: {later}"
        if earlier.sequence is not None and later.sequence is not None and later.sequence != earlier.sequence + 1:
            # Many banks begin again with 1 every year.
            new_year = later.sequence == 1 and later.closing.as_of.year > earlier.closing.as_of.year
            if not new_year:
                raise _refuse(
                    where, "sequence-gap", f"has number {later.sequence}, the one before it {earlier.sequence}"
                )
        for opening in later.openings:
            if opening.minor_units != earlier.closing.minor_units:
                unit = currency(later.currency)
                raise _refuse(
                    where,
                    "opening-differs",
                    f"opens with {unit.format(opening.minor_units)} ({opening.code}), but statement {earlier.id!r} "
                    f"before it closed with {unit.format(earlier.closing.minor_units)} {later.currency}",
                )


def _refuse(where: str, code: str, detail: str) -> SourceError:
    reason, advice = _REFUSALS[code]
    return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


FORMAT = Format("ISO 20022 camt.053 XML statements", no_options, read)
