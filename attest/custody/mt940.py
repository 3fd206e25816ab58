"""SWIFT MT940 and MT950 customer statements: the closing booked balance (``:62F:``) of each statement.

Sources: SWIFT's message reference guides, category 9 (fields 20, 21, 25a, 28C, 60a, 61, 62a, 64, 65, 86; amounts are
``15d``), the block structure of FIN messages, and what banks' files really look like: with SWIFT's blocks, with bare
fields ended by ``-``, with a bank's own lines before them.

``:62M:`` ends a page, ``:64:`` and ``:65:`` are available balances: none of them is ever taken for the closing one. A
narrative may hold anything, and in a file without blocks nothing but a line's first characters says where it ends: so
fields must come in SWIFT's order, and a line that looks like a field where none can stand is refused. A whole file is
refused if one of its statements is: nobody knows what else is wrong with it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import pairwise
from typing import NoReturn

from attest.custody import calendar, lines
from attest.custody.document import Document
from attest.custody.formats import Format, no_options
from attest.errors import SourceError
from attest.model import StatedBalance
from attest.money import Currency, currency, parse_amount
from attest.quorum import account_key

#: Messages in all documents together. More than any bank sends; bounds what a hostile file makes this process remember.
MAX_MESSAGES = 20_000
#: SWIFT's ``15d``: digits and the comma, leading zeros (Rabobank, TEB) not counted.
MAX_AMOUNT = 15

_BLANKS = " \t"
#: Between messages: SOH and ETX (DOS-PCC), ``$`` (RJE), the end-of-file mark of DOS.
_BETWEEN = _BLANKS + "\x01\x03\x1a$"
#: What is a field wherever it stands. Of 60 to 65 every letter is, known or not; of the others only what SWIFT has, for
#: banks wrap narratives in the middle of times (``:12:11``).
_FIELD = re.compile(r":(20|21|25P?|28C?|6[0-5][A-Z]?|86|NS|13D|34F|90[CD]|940):(.*)", re.DOTALL)
#: Which fields each may follow; ``None`` is the message's beginning. Pages repeat all of them.
_AFTER: dict[str, set[str | None]] = {
    "20": {None},
    "21": {"20"},
    "25": {"20", "21"},
    "28": {"25"},
    "60": {"28"},
    "61": {"60", "61"},
    "62": {"60", "61"},
    "64": {"62"},
    "65": {"62", "64", "65"},
}
_CLOSED = {"62", "64", "65"}
_TAGS = {*_AFTER, "25P", "28C", "60F", "60M", "62F", "62M"} - {"60", "62"}
#: Fields of the interim report MT942.
_INTERIM = {"13D", "34F", "90C", "90D"}

#: Banks' own lines before a message: its type, or who sends it to whom.
_TYPE_LINE = re.compile(r":?(?:MT ?)?(9[0-9]{2})(?::| [0-9A-Z]{2})?")
_SENDER_LINE = re.compile(r"(?:[0-9]{4} [0-9]{2})?[A-Z]{6}[A-Z0-9]{2,20}(?: [0-9A-Z]{1,12})?|[0-9]{4,20}")
_BLOCK = re.compile(r"\{([1-5S]):")
_BASIC_HEADER = re.compile(r"[AFL]01([A-Z]{6}[A-Z0-9]{2}|)[ -z]*")
_APPLICATION_HEADER = re.compile(r"[IO]([0-9]{3})(?:[0-9]{10})?([A-Z]{6}[A-Z0-9]{2}|)[ -z]*")
_USER_HEADER = re.compile(r"(?:\{[0-9]{3}:[^{}]*\} *)*")
_TRAILERS = re.compile(r"(?:\{[A-Z]{3}:?[^{}]*\} *)*")
_TRAILER = re.compile(r"\{([A-Z]{3})")

_ACCOUNT = re.compile(r"[!-~](?:[ -~]{0,38}[!-~])?")
_ACCOUNT_CURRENCY = re.compile(r".*[ /]([A-Z]{3})")
_NUMBER = re.compile(r"([0-9]{1,10})(?:/([0-9]{1,5}))?")
_BALANCE = re.compile(r"([CD])([0-9]{6})([A-Z]{3})([0-9]{1,40},[0-9]{0,10})")
_NO_CURRENCY = re.compile(r"[CD][0-9]{6}[^A-Z].*", re.DOTALL)
_BEFORE_AMOUNT = re.compile(r"[CD][0-9]{6}[A-Z]{3}")
_MOVEMENT = re.compile(
    r"[0-9]{2}([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2}))?(C|D|RC|RD)([A-Z])?([0-9]{1,40},[0-9]{0,10})(?:[A-Z].*)?",
    re.DOTALL,
)

_AGAIN = "Fetch the statement again; if it is unchanged, ask the custodian for a correct one."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-document": (
        "Another message states other facts than the closing booked balance.",
        "Ask the custodian for the end-of-day statement, MT940 or MT950, and name which in the source's `format`.",
    ),
    "malformed-statement": ("A statement that is not understood in full may say something else.", _AGAIN),
    "malformed-amount": (
        "An amount that can be read in two ways can be wrong without anybody noticing.",
        "SWIFT writes 1234,56: a decimal comma always, no thousands. Ask the custodian for a correct statement.",
    ),
    "ambiguous-line": (
        "Whoever can write into a narrative could write a balance there.",
        "Look at the line: if it belongs to a narrative, ask the custodian for camt.053, or MT940 without line breaks.",
    ),
    "too-many-statements": (
        "So much at once is not what a bank sends.",
        "Ask the custodian for one file per day or per account.",
    ),
    "truncated-file": ("What was cut off may change or contradict what is left.", _AGAIN),
    "test-statement": (
        "The sender itself says that these numbers are not real.",
        "Fetch the statement from the custodian's production system.",
    ),
    "missing-page": (
        "The closing balance stands on the last page, and the pages prove that nothing was left out.",
        "Put all pages of the statement in place.",
    ),
    "no-closing-balance": (
        "A page's and an available balance are other facts than the closing booked balance.",
        _AGAIN,
    ),
    "several-closing-balances": ("Nobody can say which of them is meant.", _AGAIN),
    "movements-differ": ("SWIFT has every statement add up: one of its numbers is wrong or missing.", _AGAIN),
    "currency-mismatch": (
        "A number under another currency is another amount of money.",
        "Ask the custodian for a correct statement.",
    ),
    "duplicate-taken-as-new": (
        "A message sent again is no new statement; with the original missing, nobody knows what it repeats.",
        "Put the original statement in place, and take the possible duplicate away.",
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
    "too-many-decimals": (
        "The comma may stand for thousands, or the currency may be another one.",
        "Ask the custodian for a correct statement.",
    ),
}


def read(
    documents: Sequence[Document], settings: str, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The closing booked balances of all statements, in document order; a debit is negative.

    ``settings`` is the type that a message must have where it names one: ``940`` or ``950``.
    A balance is that of its date's end in ``zone`` (UTC if it is None). Raises :class:`SourceError` naming the document
    and the account, or the line.
    """
    pages: list[_Page] = []
    for document in documents:
        pages += _Reader(document, settings, MAX_MESSAGES - len(pages)).pages()
    return tuple(statement.stated(zone or "UTC") for statement in _of_record(pages))


@dataclass(frozen=True)
class _Balance:
    minor_units: int
    currency: Currency
    day: date

    def __str__(self) -> str:
        return f"{self.currency.format(self.minor_units)} {self.currency.code} of {self.day}"


@dataclass(frozen=True)
class _Page:
    """One message. ``where`` names document, statement and account; ``page`` is None where the bank numbers none;
    ``first`` and ``last`` are by the letters of ``:60a:`` and ``:62a:``; ``moved`` is the sum of its ``movements``."""

    where: str
    account: str
    number: str
    page: int | None
    opening: _Balance
    closing: _Balance
    first: bool
    last: bool
    moved: int
    movements: int
    possible_duplicate: bool

    @property
    def account_key(self) -> tuple[str, str]:
        return account_key(self.account), self.closing.currency.code

    @property
    def content(self) -> tuple[object, ...]:
        """What two copies of one message have in common."""
        return (
            *(self.account_key, int(self.number), self.page, self.first, self.last),
            *(self.opening, self.closing),
        )

    def adds_up(self) -> bool:
        return self.opening.minor_units + self.moved == self.closing.minor_units


@dataclass(frozen=True)
class _Statement:
    """All pages of one statement, in order."""

    pages: tuple[_Page, ...]

    @property
    def where(self) -> str:
        return self.pages[-1].where

    @property
    def number(self) -> int:
        return int(self.pages[0].number)

    @property
    def opening(self) -> _Balance:
        return self.pages[0].opening

    @property
    def closing(self) -> _Balance:
        return self.pages[-1].closing

    def stated(self, zone: str) -> StatedBalance:
        return StatedBalance(
            account=self.pages[0].account,
            currency=self.closing.currency.code,
            minor_units=self.closing.minor_units,
            balance_kind="closing-booked",
            as_of=calendar.end_of(self.closing.day, zone),
            statement_id=self.pages[0].number,
            business_date=self.closing.day.isoformat(),
        )


class _Message:
    """The fields of one message as they are read."""

    def __init__(self, *, in_block: bool) -> None:
        self.in_block = in_block
        self.last_field: str | None = None
        #: Lines that follow belong to free text (or to nothing: ``_FIELD`` with no continuation).
        self.narrative = False
        self.lines_of_account = 0
        self.account, self.number = "", ""
        self.page: int | None = None
        self.opening: _Balance | None = None
        self.closing: _Balance | None = None
        self.first = self.last = False
        self.moved = self.movements = 0

    @property
    def complete(self) -> bool:
        return self.last_field in _CLOSED


class _Reader:
    """Reads one document into pages. Raises :class:`SourceError` for everything that is wrong with one message."""

    def __init__(self, document: Document, kind: str, room: int) -> None:
        self.document, self.kind, self.room = document, kind, room
        self.line = 0
        self.message: _Message | None = None
        self.found: list[_Page] = []
        #: The blocks since the last message's text; what stands after one belongs to it.
        self.blocks = ""

    def refuse(self, code: str, detail: str) -> NoReturn:
        raise _refusal(f"{self.document.name}: line {self.line}", code, detail)

    def pages(self) -> list[_Page]:
        ended = True
        for number, text, whole in lines.read(self.document, FORMAT.max_bytes):
            self.line, ended = number, whole
            if self.message is None:
                self._outside(text)
            else:
                self._inside(self.message, text)
        if self.message is not None:
            if self.message.in_block:
                self.refuse("truncated-file", "the file ends within a message ('-}' is missing)")
            if not self.message.complete:
                self.refuse("truncated-file", "the file ends before the closing balance")
            cut = not ended and self.message.last_field == "62" and not self.message.narrative
            page = self._end(self.message)
            # Only the sum shows that no digit is missing at the end of the last line.
            if cut and not page.adds_up():
                self.refuse("truncated-file", "the file ends in its closing balance, without the end of the line")
        if self.blocks and "4" not in self.blocks:
            self.refuse("truncated-file", "the file ends after a message's header")
        if not self.found:
            raise _refusal(self.document.name, "wrong-document", f"holds no MT{self.kind} statement")
        return self.found

    # -- around messages ---------------------------------------------------------------------------------------------

    def _outside(self, text: str) -> None:
        text = text.strip(_BETWEEN)
        while text.startswith("{"):
            text = self._block(text).strip(_BETWEEN)
        if not text or text == "-":
            return
        if self.blocks and "4" not in self.blocks:
            self.refuse("malformed-statement", f"{text[:40]!r} stands between the blocks of a message")
        kind = _TYPE_LINE.fullmatch(text)
        if kind is not None:
            self._check_type(kind[1])
        elif text.startswith(":"):
            self.blocks = ""
            self.message = _Message(in_block=False)
            self._inside(self.message, text)
        elif not _SENDER_LINE.fullmatch(text):
            self.refuse("malformed-statement", f"{text[:40]!r} is not understood")

    def _block(self, text: str) -> str:
        """Take the block that ``text`` begins with; gives what stands after it."""
        match = _BLOCK.match(text)
        if match is None:
            self.refuse("malformed-statement", f"{text[:40]!r} begins no block of a SWIFT message")
        name = match[1]
        if "4" in self.blocks and name < "5":
            self.blocks = ""
        # In ASCII the blocks' names are in their order: 1 2 3 4 5 S.
        if self.blocks and name <= self.blocks[-1]:
            self.refuse("malformed-statement", f"block {name} stands after block {self.blocks[-1]}")
        if name > "4" and "4" not in self.blocks:
            self.refuse("malformed-statement", f"block {name} stands before a message's text")
        self.blocks += name
        if name == "4":
            if text[match.end() :].strip(_BLANKS):
                self.refuse("malformed-statement", "a message's fields stand in the line that opens its block")
            self.message = _Message(in_block=True)
            return ""
        end = _end_of_block(text)
        if not end:
            self.refuse("truncated-file", f"block {name} is not closed in its line")
        self._check_block(name, text[match.end() : end - 1])
        return text[end:]

    def _check_block(self, name: str, content: str) -> None:
        address = ""
        if name == "1":
            header = _BASIC_HEADER.fullmatch(content)
            if header is None:
                self.refuse("malformed-statement", f"{content[:40]!r} is not the header of a financial message")
            address = header[1]
        elif name == "2":
            header = _APPLICATION_HEADER.fullmatch(content)
            if header is None:
                self.refuse("malformed-statement", f"{content[:40]!r} does not say what message this is")
            self._check_type(header[1])
            address = header[2]
        elif name == "3" and not _USER_HEADER.fullmatch(content):
            self.refuse("malformed-statement", f"the user header {content[:40]!r} is not understood")
        elif name == "5":
            self._trailers(content)
        # SWIFT: a 0 in the eighth place marks a Test & Training address.
        if address.endswith("0"):
            self.refuse("test-statement", f"{address} is a test address")

    def _check_type(self, kind: str) -> None:
        if kind != self.kind:
            self.refuse("wrong-document", f"is a message MT{kind}, not MT{self.kind}")

    def _trailers(self, content: str) -> None:
        if not _TRAILERS.fullmatch(content):
            self.refuse("malformed-statement", f"the trailers {content[:40]!r} are not understood")
        trailers = set(_TRAILER.findall(content))
        if "TNG" in trailers:
            self.refuse("test-statement", "the message is marked as training (TNG)")
        if trailers & {"PDE", "PDM"}:
            self.found[-1] = replace(self.found[-1], possible_duplicate=True)

    # -- within one message ------------------------------------------------------------------------------------------

    def _inside(self, message: _Message, text: str) -> None:
        # A field begins its line: behind a blank it is a narrative's.
        text = text.rstrip(_BLANKS + "\x03\x1a")
        if not text:
            return
        if message.in_block and text.startswith("-}"):
            self._end(message)
            self._outside(text[2:])
            return
        if text == "-":
            if message.in_block:
                self.refuse("ambiguous-line", "a '-' alone ends no message in blocks")
            self._end(message)
            return
        if _BLOCK.match(text):
            self.refuse("truncated-file", "another message begins before this one has ended")
        match = _FIELD.fullmatch(text)
        if match is not None:
            self._field(message, match[1], match[2].strip(_BLANKS))
        elif message.last_field == "25" and message.lines_of_account == 1:
            message.lines_of_account = 2  # the BIC of :25P:
        elif not message.narrative:
            self.refuse("malformed-statement", f"{text[:40]!r} is not understood")

    def _field(self, message: _Message, tag: str, value: str) -> None:
        if tag in {"20", "940"} and message.complete and not message.in_block:
            self._end(message)
            self._outside(f":{tag}:{value}")
            return
        if tag in {"86", "NS"}:
            if message.opening is None and not (tag == "NS" and message.number):
                self.refuse("malformed-statement", f":{tag}: stands before the opening balance")
            message.narrative = True
            return
        if tag in _INTERIM and not message.narrative:
            self.refuse("wrong-document", f":{tag}: is a field of the interim report MT942")
        field = tag[:2]
        if tag not in _TAGS or message.last_field not in _AFTER[field]:
            self._misplaced(message, tag)
        message.narrative, message.last_field = field == "61", field
        if field == "25":
            self._account(message, tag, value)
        elif field == "28":
            self._number(message, value)
        elif field == "60":
            message.opening, message.first = self._balance(message, tag, value), tag == "60F"
        elif field == "61":
            assert message.opening is not None  # by _AFTER
            self._movement(message, value, message.opening.currency)
        elif field == "62":
            message.closing, message.last = self._balance(message, tag, value), tag == "62F"
        elif field in _CLOSED:
            self._balance(message, tag, value)

    def _misplaced(self, message: _Message, tag: str) -> NoReturn:
        if tag == "62F" and message.last:
            self.refuse("several-closing-balances", f"{self._who(message)} states :62F: again")
        if tag == "20":
            self.refuse("no-closing-balance", f"{self._who(message)} has none before the field :20:")
        if message.narrative:
            self.refuse("ambiguous-line", f"looks like the field :{tag}:, which cannot stand there")
        self.refuse("malformed-statement", f"the field :{tag}: cannot stand there")

    def _who(self, message: _Message) -> str:
        return f"statement {message.number!r} of account {message.account!r}"

    def _account(self, message: _Message, tag: str, value: str) -> None:
        if not _ACCOUNT.fullmatch(value):
            self.refuse("malformed-statement", f"{value[:40]!r} is no account")
        message.account = value
        message.lines_of_account = 1 if tag == "25P" else 2

    def _number(self, message: _Message, value: str) -> None:
        match = _NUMBER.fullmatch(value)
        if match is None:
            self.refuse("malformed-statement", f"{value[:40]!r} is no statement number (NNNNN/NNNNN)")
        page = None if match[2] is None else int(match[2])
        if page == 0 and int(match[1]) == 0:
            page = None  # 00000/00: this bank numbers neither statements nor pages
        message.number, message.page = match[1], page

    def _balance(self, message: _Message, tag: str, value: str) -> _Balance:
        what = f"{self._who(message)}: :{tag}: is {value[:60]!r}"
        match = _BALANCE.fullmatch(value)
        if match is None:
            if _NO_CURRENCY.fullmatch(value):
                self.refuse("currency-mismatch", f"{what}, which names no currency")
            code = "malformed-amount" if _BEFORE_AMOUNT.match(value) else "malformed-statement"
            self.refuse(code, f"{what}, not C or D, YYMMDD, currency, amount with a comma")
        unit = currency(match[3], f"{self.document.name}: line {self.line}: {self._who(message)}")
        if message.opening is not None and unit != message.opening.currency:
            self.refuse("currency-mismatch", f"{what}, but it opens in {message.opening.currency.code}")
        named = _ACCOUNT_CURRENCY.fullmatch(message.account)
        if named is not None and named[1] != unit.code and _is_currency(named[1]):
            self.refuse("currency-mismatch", f"{what}, but the account is in {named[1]}")
        try:
            # No statement of a reserve is older than 2000: two digits say one year only.
            day = date(2000 + int(match[2][:2]), int(match[2][2:4]), int(match[2][4:]))
        except ValueError as fault:
            self.refuse("malformed-statement", f"{what}: {fault}")
        minor_units = self._amount(match[4], unit, message)
        return _Balance(minor_units if match[1] == "C" else -minor_units, unit, day)

    def _amount(self, text: str, unit: Currency, message: _Message) -> int:
        whole, _, decimals = text.partition(",")
        whole = whole.lstrip("0") or "0"
        if len(whole) + len(decimals) + 1 > MAX_AMOUNT:
            detail = f"{text!r} is longer than SWIFT's {MAX_AMOUNT} characters"
            self.refuse("malformed-amount", f"{self._who(message)}: {detail}")
        # Zeros too: 1,000 of USD is rather a thousand than one.
        if len(decimals) > unit.exponent:
            detail = f"{text!r} has more decimals than {unit.code} has ({unit.exponent})"
            self.refuse("too-many-decimals", f"{self._who(message)}: {detail}")
        return parse_amount(f"{whole}.{decimals}" if decimals else whole, unit, self.document.name)

    def _movement(self, message: _Message, value: str, unit: Currency) -> None:
        match = _MOVEMENT.fullmatch(value)
        if match is None:
            self._refuse_movement(message, "malformed-statement", value, "not YYMMDD[MMDD], mark, amount, type")
        # Banks that reckon in months of 30 days have value dates such as 30 February.
        for month, day in ((match[1], match[2]), (match[3] or "01", match[4] or "01")):
            if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
                self._refuse_movement(message, "malformed-statement", value, "a date that there is not")
        if match[6] is not None and match[6] != unit.code[2]:
            detail = f"but {match[6]} is not the third letter of {unit.code}"
            self._refuse_movement(message, "currency-mismatch", value, detail)
        minor_units = self._amount(match[7], unit, message)
        # A reversed debit (RD) is a credit, a reversed credit (RC) a debit.
        message.moved += minor_units if match[5] in {"C", "RD"} else -minor_units
        message.movements += 1

    def _refuse_movement(self, message: _Message, code: str, value: str, detail: str) -> NoReturn:
        self.refuse(code, f"{self._who(message)}: :61: is {value[:60]!r}, {detail}")

    def _end(self, message: _Message) -> _Page:
        where = f"{self.document.name}: {self._who(message)}"
        if message.opening is None or message.closing is None:
            self.refuse("no-closing-balance", f"{self._who(message)} ends without one")
        if message.opening.day > message.closing.day:
            raise _refusal(
                where,
                "malformed-statement",
                f"opens on {message.opening.day}, after it closes on {message.closing.day}",
            )
        if len(self.found) == self.room:
            self.refuse("too-many-statements", f"there are more than {MAX_MESSAGES} messages")
        page = _Page(
            where=where,
            account=message.account,
            number=message.number,
            page=message.page,
            opening=message.opening,
            closing=message.closing,
            first=message.first,
            last=message.last,
            moved=message.moved,
            movements=message.movements,
            possible_duplicate=False,
        )
        if page.movements:
            _check_sum(page)
        self.found.append(page)
        self.message = None
        return page


# -- messages against each other -------------------------------------------------------------------------------------


def _of_record(pages: Sequence[_Page]) -> list[_Statement]:
    """Pages joined, copies dropped, each account's statements consistent; in document order."""
    originals: dict[tuple[object, ...], _Page] = {}
    for page in pages:
        if not page.possible_duplicate:
            originals.setdefault(page.content, page)
    for page in pages:
        if page.content not in originals:
            raise _refusal(
                page.where,
                "duplicate-taken-as-new",
                "is marked as a possible duplicate (PDE or PDM) of none that is here",
            )
    numbered: dict[tuple[object, ...], list[_Page]] = defaultdict(list)
    for page in originals.values():
        numbered[*page.account_key, int(page.number)].append(page)
    accounts: dict[tuple[str, str], list[_Statement]] = defaultdict(list)
    for group in numbered.values():
        for statement in _joined(group):
            accounts[statement.pages[0].account_key].append(statement)
    kept = [statement for group in accounts.values() for statement in _consistent(group)]
    order = {id(page): place for place, page in enumerate(pages)}
    return sorted(kept, key=lambda statement: order[id(statement.pages[-1])])


def _joined(pages: list[_Page]) -> list[_Statement]:
    """The statements that pages of one number are of: several if the number comes again in another year."""
    statements = []
    chunk: list[_Page] = []
    for page in sorted(pages, key=lambda page: (page.closing.day, page.page or 0)):
        chunk.append(page)
        if page.last:
            statements.append(_statement(chunk))
            chunk = []
    if chunk:
        raise _refusal(chunk[-1].where, "missing-page", "its last page (:62F:) is missing")
    return statements


def _statement(pages: list[_Page]) -> _Statement:
    where, several = pages[-1].where, len(pages) > 1 or not pages[0].first
    numbers = [page.page for page in pages]
    if len(set(numbers)) < len(numbers) and None not in numbers:
        raise _refusal(where, "conflicting-statements", "has two different pages of one number")
    # A statement of one page needs no page number.
    if numbers != list(range(1, len(pages) + 1)) and (several or numbers != [None]):
        written = ", ".join("none" if number is None else str(number) for number in numbers)
        raise _refusal(where, "missing-page", f"has the pages {written}")
    for place, page in enumerate(pages):
        if page.first != (place == 0):
            raise _refusal(where, "missing-page", "has an opening balance (:60F:) not on its first page alone")
        if place and page.opening != pages[place - 1].closing:
            raise _refusal(
                where,
                "missing-page",
                f"page {page.page} opens with {page.opening}, the one before it ends with {pages[place - 1].closing}",
            )
    # Where no page has movements, the bank sends balances only.
    if any(page.movements for page in pages):
        for page in pages:
            _check_sum(page)
    return _Statement(tuple(pages))


def _consistent(statements: list[_Statement]) -> list[_Statement]:
    """The statements of one account and currency, oldest first. Copies were dropped: two of one date contradict."""
    ordered = sorted(statements, key=lambda statement: statement.closing.day)
    for earlier, later in pairwise(ordered):
        if later.closing.day == earlier.closing.day:
            raise _refusal(
                later.where, "conflicting-statements", f"differs from another of {later.closing.day} ({earlier.where})"
            )
        _follows(earlier, later)
    return ordered


def _follows(earlier: _Statement, later: _Statement) -> None:
    # 0 is what banks write that number no statements.
    if (earlier.number or later.number) and later.number != earlier.number + 1:
        # Many banks begin again with 1 every year.
        new_year = later.number == 1 and later.closing.day.year > earlier.closing.day.year
        if not new_year:
            raise _refusal(
                later.where, "sequence-gap", f"has number {later.number}, the one before it {earlier.number}"
            )
    if later.opening.minor_units != earlier.closing.minor_units:
        raise _refusal(
            later.where,
            "opening-differs",
            f"opens with {later.opening}, but the one before it ({earlier.where}) closed with {earlier.closing}",
        )


def _check_sum(page: _Page) -> None:
    if not page.adds_up():
        moved = page.closing.currency.format(page.moved)
        detail = f"opens with {page.opening} and moves {moved}, but closes with {page.closing}"
        raise _refusal(page.where, "movements-differ", detail)


def _is_currency(code: str) -> bool:
    try:
        currency(code)
    except SourceError:
        return False
    return True


def _end_of_block(text: str) -> int:
    """Where the block that ``text`` begins with has ended; 0 if it has not."""
    depth = 0
    for match in re.finditer("[{}]", text):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return 0


def _refusal(where: str, code: str, detail: str) -> SourceError:
    reason, advice = _REFUSALS[code]
    return SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


def _format(kind: str) -> Format:
    def prepare(options: Mapping[str, object]) -> str:
        no_options(options)
        return kind

    return Format(f"SWIFT MT{kind} statements", prepare, read)


FORMAT = _format("940")
MT950 = _format("950")
