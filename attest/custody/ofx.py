"""OFX 1.x (SGML) and 2.x (XML) bank statements: the ledger balance of each statement.

Sources: Open Financial Exchange 1.6 and 2.2, sections 2.2 (header), 2.3 (SGML details), 3.2.8 (dates, amounts) and 11.4
(``STMTRS``). ``LEDGERBAL`` is the booked balance; ``AVAILBAL`` (which may hold a credit line) is never taken for it.

Both syntaxes are read by one strict reader: tags in capitals without attributes, the five entities and character
references, nothing else. In SGML a field's end tag may be left out; a group's may not. A whole file is refused if one
of its statements is, and also if it holds anything but bank statements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from attest.custody import calendar, table
from attest.custody.document import Document
from attest.custody.formats import Format
from attest.errors import SourceError
from attest.model import StatedBalance
from attest.money import currency, parse_amount
from attest.quorum import account_key

#: A hundred thousand transactions.
MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 32
#: Longer than any field; OFX itself allows 255 characters in most.
MAX_TEXT = 20_000
#: Fields of one statement, besides those of its transactions: OFX has some twenty, vendors add a few.
MAX_FIELDS = 1_000
#: More than any bank puts into one file.
MAX_STATEMENTS = 5_000
#: How far into the file its header may reach.
_MAX_HEADER = 4096

OPTIONS = {
    "bank_id": "the bank's id (BANKID: routing number or bank code) that every statement must have; else any",
}

_SGML_HEADER = re.compile(rb"(?:\xef\xbb\xbf)?\s*((?:[A-Z]{1,20}:[^\s:<>]{0,64}[ \t]*\r?\n)+)\s*(?=<OFX>)")
_XML_HEADER = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml((?:\s+[a-z]{1,20}=(?:\"[^\"<>?]{0,64}\"|'[^'<>?]{0,64}'))+)\s*\?>)?"
    rb"\s*<\?OFX((?:\s+[A-Z]{1,20}=(?:\"[^\"<>?]{0,64}\"|'[^'<>?]{0,64}'))+)\s*\?>\s*(?=<OFX>)"
)
_PAIR = re.compile(r"([A-Za-z]+)=[\"']([^\"']*)[\"']")
#: What the header says of the characters -> how they are read. ``UNICODE`` is written for UTF-8.
_SGML_ENCODINGS = {
    ("USASCII", "1252"): "windows-1252",
    ("USASCII", "ISO-8859-1"): "latin-1",
    ("USASCII", "8859-1"): "latin-1",
    ("USASCII", "NONE"): "ascii",
    ("USASCII", ""): "ascii",
    ("UTF-8", "NONE"): "utf-8",
    ("UTF-8", "CSUNICODE"): "utf-8",
    ("UTF-8", ""): "utf-8",
    ("UNICODE", "NONE"): "utf-8",
    ("UNICODE", "CSUNICODE"): "utf-8",
}
_XML_ENCODINGS = {"utf-8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "latin-1", "windows-1252": "windows-1252"}

_TOKEN = re.compile(r"<(/?)([A-Z][A-Z0-9.]{0,31})(/?)>|([^<]+)", re.ASCII)
_SPACE = " \t\r\n"
_ENTITY = re.compile(r"&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));|&", re.ASCII)
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
#: Fields that banks write without content and, in SGML, without an end tag.
_MAY_BE_EMPTY = {
    "CHECKNUM", "REFNUM", "MEMO", "NAME", "SIC", "PAYEEID", "SRVRTID", "DTUSER", "BRANCHID", "ORG", "FID", "MESSAGE",
    "MKTGINFO", "TRNUID", "CLTCOOKIE",
}  # fmt: skip

_AMOUNT = re.compile(r"([+-]?)([0-9]{0,32})(?:([.,])([0-9]{0,32}))?", re.ASCII)
_DATE = re.compile(
    r"([0-9]{8})(?:([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:\.[0-9]{3})?)?)?"
    r"(?:\[([+-]?)([0-9]{1,2})(?:\.([0-9]{2}))?(?::[A-Za-z]{1,9})?\])?",
    re.ASCII,
)
#: An offset's fraction in minutes. Banks write minutes (5.30) and, as the specification has it, hundredths (5.50); as
#: no time zone has any other, each can be meant in one way only.
_FRACTIONS = {None: 0, "00": 0, "30": 30, "50": 30, "45": 45, "75": 45}
_ACCOUNT_TYPES = {"CHECKING", "SAVINGS", "MONEYMRKT", "CD"}

_STATEMENTS = "OFX/BANKMSGSRSV1"
_TRANSACTION = f"{_STATEMENTS}/STMTTRNRS"
_STATEMENT = f"{_TRANSACTION}/STMTRS"
_ACCOUNT = f"{_STATEMENT}/BANKACCTFROM"
_BALANCE = f"{_STATEMENT}/LEDGERBAL"
_SIGN_ON = "OFX/SIGNONMSGSRSV1/SONRS"
#: Groups of which every child must be known: another one could change what the others mean.
_CHILDREN: Mapping[str, set[str]] = {
    "": {"OFX"},
    "OFX": {"SIGNONMSGSRSV1", "BANKMSGSRSV1"},
    _STATEMENTS: {"STMTTRNRS"},
    _STATEMENT: {
        "CURDEF", "BANKACCTFROM", "BANKTRANLIST", "BANKTRANLISTP", "LEDGERBAL", "AVAILBAL", "CASHADVBALAMT", "INTRATE",
        "BALLIST", "MKTGINFO",
    },
    _ACCOUNT: {"BANKID", "BRANCHID", "ACCTID", "ACCTTYPE", "ACCTKEY"},
    _BALANCE: {"BALAMT", "DTASOF"},
}  # fmt: skip
#: Groups that must be such; all but the transactions stand there once.
_GROUPS = {"OFX", "OFX/SIGNONMSGSRSV1", _SIGN_ON, _STATEMENTS, _TRANSACTION, _STATEMENT, _ACCOUNT, _BALANCE}
#: Groups whose fields are read.
_KEPT = {f"{_SIGN_ON}/STATUS", f"{_TRANSACTION}/STATUS", _STATEMENT, _ACCOUNT, _BALANCE}

_AGAIN = "Fetch the statement again; if it is unchanged, ask the custodian for a correct one."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "wrong-document": (
        "Other documents and versions state other balances under the same names.",
        "Check that the right file lies there, and that the source's format fits it.",
    ),
    "wrong-encoding": ("In another encoding the same bytes are other characters.", _AGAIN),
    "malformed-ofx": ("From a damaged or cut file a wrong balance can be read.", _AGAIN),
    "malformed-statement": ("A statement that is not understood in full may say something else.", _AGAIN),
    "malformed-amount": ("An amount that can be read in two ways can be wrong without anybody noticing.", _AGAIN),
    "bank-error": (
        "What comes with an error may be old, or cut off.",
        "Fetch the statement again; if the error stays, ask the custodian what it means.",
    ),
    "not-a-bank-account": (
        "A credit card or credit line is money owed, and securities are no money.",
        "Fetch a statement of the bank account alone.",
    ),
    "wrong-bank": (
        "The same account number at another bank is another account.",
        "Compare the source's option `bank_id` with the statement's BANKID.",
    ),
    "no-closing-balance": (
        "The available balance is another fact than the booked one, and may hold a credit line.",
        "Ask the custodian for a statement with the ledger balance (LEDGERBAL).",
    ),
    "several-closing-balances": ("Nobody can say which of them is meant.", _AGAIN),
    "currency-mismatch": (
        "A number under another currency is another amount of money.",
        "Ask the custodian for a statement in the account's own currency.",
    ),
    "naive-time": (
        "OFX takes a time without an offset for GMT, but many banks write their local time.",
        "Set `zone` of the account (or --zone) to what this bank means: its time zone, or UTC.",
    ),
    "conflicting-statements": (
        "The same account number at another bank is another account.",
        "Set the source's option `bank_id` to the BANKID of the bank that is meant.",
    ),
    "too-many-statements": (
        "So much in one file is not what a bank sends.",
        "Ask the custodian for one file per day or per account.",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The checked options; see ``OPTIONS``."""

    bank_id: str | None = None


def prepare(options: Mapping[str, object]) -> Settings:
    """The options as settings for :func:`read`. Raises ``ValueError`` saying what is wrong."""
    bank_id = options.get("bank_id")
    if bank_id is not None and not (isinstance(bank_id, str) and bank_id.strip()):
        raise ValueError("bank_id must be a text that is not empty")
    return Settings(bank_id)


def read(
    documents: Sequence[Document], settings: Settings, *, zone: str | None, retrieved_at: datetime
) -> tuple[StatedBalance, ...]:
    """The ledger balances of all statements, in document order; OFX gives its statements no id.

    ``zone`` is the bank's time zone: a date-only balance is that of the date's end there (UTC if it is None), and a
    time without an offset is local to it, or refused. What two statements state alike counts once. Raises
    :class:`SourceError` naming the document.
    """
    stated = [(document.name, _read_one(document, settings, zone)) for document in documents]
    banks: dict[str, str | None] = {}
    for name, statements in stated:
        for bank, balance in statements:
            if banks.setdefault(account_key(balance.account), bank) != bank:
                detail = "is the number of accounts at two banks, and no `bank_id` is configured"
                _refuse(f"{name}: account {balance.account!r}", "conflicting-statements", detail)
    return table.merge((name, [balance for _, balance in statements]) for name, statements in stated)


def _refuse(where: str, code: str, detail: str) -> NoReturn:
    reason, advice = _REFUSALS[code]
    raise SourceError(f"{where}: {detail}", code=code, reason=reason, advice=advice)


def _read_one(document: Document, settings: Settings, zone: str | None) -> list[tuple[str | None, StatedBalance]]:
    where = document.name
    data = document.read(FORMAT.max_bytes)
    text, begin_line, closed = _decoded(data, where)
    message = _Message(settings, zone, where)
    for path, value in _fields(text, begin_line, closed=closed, where=where):
        message.take(path, value)
    return message.finished()


# -- syntax ----------------------------------------------------------------------------------------------------------


def _decoded(data: bytes, where: str) -> tuple[str, int, bool]:
    """(the text after the header, the number of its first line, whether every tag must be closed)."""
    head = data[:_MAX_HEADER]
    if match := _SGML_HEADER.match(head):
        pairs = [line.rstrip(_SPACE).split(":") for line in match[1].decode("ascii", "replace").split("\n")[:-1]]
        header = _header([(name, value) for name, value in pairs], where)
        version, wanted = header.get("VERSION", ""), {"OFXHEADER": "100", "DATA": "OFXSGML", "COMPRESSION": "NONE"}
        marks = (header.get("ENCODING", ""), header.get("CHARSET", "").upper())
        encoding = _SGML_ENCODINGS.get(marks)
        known = re.fullmatch("1[0-9]{2}", version)
    elif match := _XML_HEADER.match(head):
        header = _header(_PAIR.findall(match[2].decode("ascii", "replace")), where)
        version, wanted = header.get("VERSION", ""), {"OFXHEADER": "200"}
        declared = dict(_PAIR.findall((match[1] or b"").decode("ascii", "replace"))).get("encoding", "UTF-8")
        marks = (declared, "")
        encoding = _XML_ENCODINGS.get(declared.lower())
        known = re.fullmatch("2[0-9]{2}", version)
    else:
        _refuse(where, "wrong-document", "is not OFX: it does not begin with an OFX header and <OFX>")
    wanted["SECURITY"] = "NONE"
    for name, value in wanted.items():
        if header.get(name, "NONE") != value:
            _refuse(where, "wrong-document", f"its header says {name} {header.get(name, '')!r}, not {value!r}")
    if not known:
        _refuse(where, "wrong-document", f"is OFX of the version {version!r}")
    if encoding is None:
        _refuse(where, "wrong-encoding", f"its header says the encoding {' '.join(marks).strip()!r}")
    try:
        text = data[match.end() :].decode(encoding)
    except UnicodeDecodeError as fault:
        _refuse(where, "wrong-encoding", f"is not {encoding}, as its header says (byte {match.end() + fault.start})")
    return text, data.count(b"\n", 0, match.end()) + 1, version.startswith("2")


def _header(pairs: Sequence[tuple[str, str]], where: str) -> dict[str, str]:
    header = dict(pairs)
    if len(header) != len(pairs):
        _refuse(where, "wrong-document", "says something twice in its header")
    return header


def _fields(text: str, line: int, *, closed: bool, where: str) -> Iterator[tuple[str, str | None]]:
    """(path, text) of every field, (path, None) of every group as it begins and (path + "/", None) as it ends, in
    document order. Entities are not resolved yet.

    A tag that text follows is a field, another one a group. ``closed``: every field has its end tag, as in XML.
    """
    path: list[str] = []
    opened = ""  # a tag of which it is not known yet whether it is a field or a group
    read = ""  # a field that has its text, whose end tag may or must follow
    at = 0

    def refuse(detail: str) -> NoReturn:
        _refuse(f"{where}: line {line + text.count(chr(10), 0, at)}", "malformed-ofx", detail)

    while match := _TOKEN.match(text, at):
        slash, name, empty, content = match.groups()
        if content is not None:
            content = content.strip(_SPACE)
            if content:
                if not opened:
                    refuse("has text where no field begins")
                if len(content) > MAX_TEXT:
                    refuse(f"has a field of more than {MAX_TEXT} characters")
                yield "/".join((*path, opened)), content
                opened, read = "", opened
            at = match.end()
            continue
        if slash and not empty and name in {opened, read}:
            if opened:
                yield "/".join((*path, opened)), ""
            opened = read = ""
            at = match.end()
            continue
        if read and closed:
            refuse(f"does not close the field {read}")
        if opened and opened in _MAY_BE_EMPTY and not closed:
            yield "/".join((*path, opened)), ""
        elif opened:
            path.append(opened)
            yield "/".join(path), None
        opened = read = ""
        if empty:
            if slash or not closed:
                refuse(f"has {match[0]}, which is no tag that OFX has")
            yield "/".join((*path, name)), ""
        elif not slash:
            if len(path) >= MAX_DEPTH:
                refuse("nests its groups too deeply")
            opened = name
        elif path and path[-1] == name:
            yield "/".join(path) + "/", None
            path.pop()
        else:
            refuse(f"has </{name}> where {f'</{path[-1]}>' if path else 'its end'} was expected")
        at = match.end()
    if at != len(text):
        refuse(f"has {text[at : at + 20]!r}, which is no tag that OFX has")
    if opened or path:
        refuse(f"ends before <{opened or path[-1]}> does: it is cut off")


def _resolved(text: str, where: str) -> str:
    """Entities replaced. Raises :class:`SourceError` for any other than the five and character references."""

    def one(match: re.Match[str]) -> str:
        if match[3]:
            return _NAMED[match[3]]
        number = int(match[1]) if match[1] else int(match[2], 16) if match[2] else 0
        if not 0x20 <= number <= 0x10FFFF:
            _refuse(where, "malformed-ofx", f"{text[:40]!r} holds an entity that OFX does not have")
        return chr(number)

    return _ENTITY.sub(one, text)


# -- statements ------------------------------------------------------------------------------------------------------


class _Message:
    """Collects the fields of one statement after the other."""

    def __init__(self, settings: Settings, zone: str | None, where: str) -> None:
        self.settings, self.zone, self.where = settings, zone, where
        self.at = where
        self.fields: dict[str, str] = {}
        self.begun: set[str] = set()
        self.stated: list[tuple[str | None, StatedBalance]] = []

    def take(self, path: str, value: str | None) -> None:
        """One field or group, as :func:`_fields` gives it."""
        if path.endswith("/"):
            if path == _SIGN_ON + "/":
                self._check_status(_SIGN_ON)
            elif path == _TRANSACTION + "/":
                self._end_transaction()
            return
        group, _, name = path.rpartition("/")
        if name not in _CHILDREN.get(group, {name}):
            self._unknown(group, name)
        if path in _GROUPS:
            self._begin_group(path, name, value)
        elif value is not None and group in _KEPT:
            if path in self.fields:
                _refuse(self.at, "malformed-statement", f"{name} stands there twice")
            if len(self.fields) >= MAX_FIELDS:
                _refuse(self.at, "malformed-statement", f"has more than {MAX_FIELDS} fields")
            self.fields[path] = _resolved(value, self.at)
            if path == f"{_ACCOUNT}/ACCTID":
                self.at = f"{self.where}: account {self.fields[path][:100]!r}"

    def finished(self) -> list[tuple[str | None, StatedBalance]]:
        """All balances, with the BANKID that the account is at."""
        if _SIGN_ON not in self.begun:
            _refuse(self.where, "malformed-ofx", "has no sign-on response (SONRS)")
        if not self.stated:
            _refuse(self.where, "no-closing-balance", "holds no statement")
        return self.stated

    def _begin_group(self, path: str, name: str, value: str | None) -> None:
        if value is not None:
            _refuse(self.at, "malformed-ofx", f"{name} is not a group of fields")
        if path == _TRANSACTION:
            self.fields, self.at = {}, self.where
            self.begun = {one for one in self.begun if not one.startswith(_TRANSACTION)}
        elif path in self.begun:
            code = "several-closing-balances" if path == _BALANCE else "malformed-statement"
            _refuse(self.at, code, f"{name} stands there twice")
        self.begun.add(path)

    def _unknown(self, group: str, name: str) -> None:
        if group == _STATEMENT and ("." in name or name == "OFXEXTENSION"):
            return  # a vendor's own
        inside = group.rpartition("/")[2] or "the file"
        if name.endswith("CURRENCY"):
            _refuse(self.at, "currency-mismatch", f"{inside} is converted from or to another currency ({name})")
        if name.startswith(("CREDITCARD", "INVSTMT", "LOAN", "SECLIST")):
            _refuse(self.at, "not-a-bank-account", f"holds {name}: other statements than those of bank accounts")
        _refuse(self.at, "malformed-statement", f"{inside} holds {name}, which is not understood")

    def _need(self, group: str, name: str) -> str:
        value = self.fields.get(f"{group}/{name}", "")
        if not value:
            _refuse(self.at, "malformed-statement", f"{group.rpartition('/')[2]}/{name} is missing or empty")
        return value

    def _check_status(self, group: str) -> None:
        code, severity = self._need(f"{group}/STATUS", "CODE"), self._need(f"{group}/STATUS", "SEVERITY")
        if (code, severity) != ("0", "INFO"):
            message = self.fields.get(f"{group}/STATUS/MESSAGE", "")[:100]
            said = f" ({message!r})" if message else ""
            place = group.rpartition("/")[2]
            _refuse(self.at, "bank-error", f"the bank answered {place} with {severity[:20]} {code[:20]}{said}")

    def _end_transaction(self) -> None:
        self._check_status(_TRANSACTION)
        if _STATEMENT not in self.begun:
            _refuse(self.at, "no-closing-balance", "a response holds no statement (STMTRS)")
        account = self._need(_ACCOUNT, "ACCTID")
        bank = self.fields.get(f"{_ACCOUNT}/BANKID")
        kind = self._need(_ACCOUNT, "ACCTTYPE")
        if kind not in _ACCOUNT_TYPES:
            _refuse(self.at, "not-a-bank-account", f"is of the type {kind[:40]!r}")
        if self.settings.bank_id is not None and bank != self.settings.bank_id:
            found = "has no BANKID" if bank is None else f"is at the bank {bank[:40]!r}"
            _refuse(self.at, "wrong-bank", f"{found}, not {self.settings.bank_id!r}")
        if _BALANCE not in self.begun:
            _refuse(self.at, "no-closing-balance", "states no ledger balance (LEDGERBAL)")
        code = self._need(_STATEMENT, "CURDEF")
        as_of, business_date = self._date(self._need(_BALANCE, "DTASOF"))
        balance = StatedBalance(
            account=account,
            currency=code,
            minor_units=self._amount(self._need(_BALANCE, "BALAMT"), code),
            balance_kind="closing-booked",
            as_of=as_of,
            statement_id="",
            business_date=business_date,
        )
        self.stated.append((bank, balance))
        if len(self.stated) > MAX_STATEMENTS:
            _refuse(self.where, "too-many-statements", f"holds more than {MAX_STATEMENTS} statements")

    def _amount(self, text: str, code: str) -> int:
        unit = currency(code, self.at)
        match = _AMOUNT.fullmatch(text)
        sign, whole, separator, decimals = match.groups("") if match else ("", "", "", "")
        if not whole + decimals:
            _refuse(self.at, "malformed-amount", f"BALAMT {text[:40]!r} is no amount as OFX writes it")
        if len(decimals) == 3 and (separator == "," or unit.exponent != 3):
            detail = f"BALAMT {text[:40]!r} can be thousands or decimals"
            _refuse(self.at, "malformed-amount", detail)
        plain = sign.strip("+") + (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")
        return parse_amount(plain, unit, self.at)

    def _date(self, text: str) -> tuple[datetime, str | None]:
        match = _DATE.fullmatch(text)
        try:
            if match is None:
                raise ValueError("a date is YYYYMMDD, a time YYYYMMDDhhmmss.xxx[offset]")
            digits, hour, minute, second, sign, hours, fraction = match.groups()
            day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
            if hour is None:
                if hours is not None:
                    raise ValueError("a date without a time has no offset")
                return calendar.end_of(day, self.zone or "UTC"), day.isoformat()
            clock = datetime(day.year, day.month, day.day, int(hour), int(minute), int(second or 0))  # noqa: DTZ001
            if hours is None:
                return calendar.instant_of(clock, None, self.zone), None
            if fraction not in _FRACTIONS:
                raise ValueError("no time zone has this offset")
            offset = f"{sign or '+'}{int(hours):02}:{_FRACTIONS[fraction]:02}"
            return calendar.instant_of(clock, offset, self.zone), None
        except calendar.NaiveTimeError:
            _refuse(
                self.at, "naive-time", f"the time of its balance, {text!r}, has no offset, and no zone is configured"
            )
        except ValueError as fault:
            _refuse(self.at, "malformed-statement", f"the date of its balance, {text[:40]!r}: {fault}")


FORMAT = Format("OFX bank statements, SGML and XML", prepare, read, OPTIONS, max_bytes=MAX_BYTES)
