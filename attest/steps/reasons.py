"""A reason stands in the public statement, in the log, for ever: it may name no account and no custodian.

Compared are letters and digits alone, of any width and case and without accents. What was found is named; a person then
says it in other words. Initials, nicknames and translations are beyond this check.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from attest.config import Config
from attest.errors import OperatorError

#: How a company's legal form ends its name.
_LEGAL_FORMS = """
ab ag asa bv co company corp corporation eg gmbh inc incorporated kg kgaa limited llc llp lp ltd mbh na nv oy oyj plc
pte pty sa sarl sas se spa srl ug
"""
#: Words of custodians' names that name nobody.
_COMMON_WORDS = """
a account accounts america american and asset assets bank banca banco bankers banking banque banks brokerage capital
central city commerce commercial cooperative credit custodian custodians custody de depository deposit der die digital
europe european example exchange federal finance financial first for fund funds general global group holding holdings in
international investment investments loan management merchants mutual national north northern of office on other
partners private public reserve reserves royal savings second securities security self service services settlement sons
south southern state statement street the third treasury trust trustee trustees und union united von west western with
world
"""
_FORMS = frozenset(_LEGAL_FORMS.split())
_COMMON = _FORMS | frozenset(_COMMON_WORDS.split())
#: Within one longer word only names of so many letters count: `disarray` does not name the bank of the Isar.
_LONG = 6
#: An ISO week or day is no account number.
_DATE = re.compile(r"\b20[0-9]{2}-(?:W[0-9]{2}|[0-9]{2}-[0-9]{2})\b", re.IGNORECASE)


def check_reason(config: Config, reason: str) -> None:
    """Raises :class:`OperatorError` for a reason that cannot stand in the public statement: more than a line, or with
    an account's name or number, or a custodian's name or a word of it, in it."""
    if not reason.strip() or len(reason) > 500 or not reason.isprintable():
        raise OperatorError(
            "--reason must be one line of 1 to 500 printable characters",
            code="malformed-reason",
            reason="The reason stands in the public statement.",
            advice="Say in plain words why; name no account and no bank.",
        )
    said = _Said(reason)
    custodians = dict.fromkeys(account.custodian for account in config.accounts.values())
    names = (*config.accounts, *(name for custodian in custodians for name in _names(custodian)))
    numbers = (said.number(account.external_account) for account in config.accounts.values())
    found = next(filter(said.names, names), None) or next(filter(None, numbers), None)
    if found is not None:
        raise OperatorError(
            f"--reason names {found!r}, which is private",
            code="private-reason",
            reason="The reason stands in the public statement, and nothing takes it back.",
            advice="Say it without accounts and banks: `a custodian sent a corrected statement`.",
        )


def _folded(text: str) -> str:
    """Without width, case and accents; every script's digits as 0 to 9."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else char
        for char in plain
        if not unicodedata.combining(char)
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", _folded(text))


def _names(custodian: str) -> Iterator[str]:
    """The name, the same without its legal form, without all common words around it, and each distinctive word."""
    words = _words(custodian)
    plain = list(words)
    while plain and (length := _form(plain)):
        del plain[-length:]
    core = list(plain)
    while core and core[-1] in _COMMON:
        core.pop()
    while core and core[0] in _COMMON:
        core.pop(0)
    yield custodian
    yield from (name for name in (" ".join(plain), " ".join(core)) if name and name not in _COMMON)
    yield from (word for word in words if len(word) >= 4 and word not in _COMMON)


def _form(words: list[str]) -> int:
    """How many words the legal form at the end has: `N.A.` has two."""
    return next((length for length in (3, 2, 1) if "".join(words[-length:]) in _FORMS), 0)


class _Said:
    """What a reason says, to be searched."""

    def __init__(self, reason: str) -> None:
        self._words = _words(reason)
        self._letters = "".join(self._words)
        self._digits = re.findall(r"[0-9]+(?:[^0-9a-z]*[0-9]+)*", _DATE.sub(" x ", _folded(reason)))

    def names(self, name: str) -> bool:
        """Whether ``name`` stands there: as it is, written together or apart, or within a longer word."""
        words = _words(name)
        letters = "".join(words)
        if len(words) > 1 and len(letters) > _LONG + 1 and letters in self._letters:
            return True
        if letters and self._stands(letters):
            return True
        return (
            len(words) == 1
            and len(letters) >= 4
            and letters not in _COMMON
            and any(word.startswith(letters) or (letters in word and len(letters) >= _LONG) for word in self._words)
        )

    def _stands(self, letters: str) -> bool:
        """Whether whole words make ``letters``: `Key stone`."""
        return any(self._begins(start, letters) for start in range(len(self._words)))

    def _begins(self, start: int, letters: str) -> bool:
        """Whether whole words from ``start`` on make ``letters``."""
        for word in self._words[start:]:
            if not letters.startswith(word):
                return False
            letters = letters.removeprefix(word)
            if not letters:
                return True
        return False

    def number(self, number: str) -> str | None:
        """The account number, or the end of it that stands there: four digits say which account it is."""
        letters = "".join(_words(number))
        if letters and (letters in self._letters if len(letters) > 5 else self._stands(letters)):
            return number
        end = re.sub(r"[^0-9]", "", letters)[-4:]
        runs = (re.sub(r"[^0-9]", "", run) for run in self._digits)
        return end if len(end) == 4 and any(end in run for run in runs) else None
