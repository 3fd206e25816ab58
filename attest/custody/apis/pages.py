"""Answers of JSON APIs: strictly parsed, found by JSON Pointer, complete, and no errors in disguise. Pure.

An answer may be a list in several pages, which are several documents. Whether all of them are there is checked from
what they say themselves, so that stored evidence can be checked again without the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, parse_qsl, urlencode, urljoin, urlsplit

from attest.custody.document import Document, too_large
from attest.errors import SourceError, printable
from attest.records import load_plain

#: More pages than this are no list of balances, or lead in a circle.
MAX_PAGES = 400
#: What stands nowhere in an answer. ``null`` is something else.
ABSENT: Final = object()

_SHOWN = 200
_AGAIN = "Ask again; if the answer stays the same, compare it with the API's documentation and the source's options."
#: Why each refusal matters, and what to do about it.
_REFUSALS: dict[str, tuple[str, str]] = {
    "api-error": (
        "An error is no balance, whatever the HTTP status that it came with.",
        "Do what the error says: it is the server's own. Then ask again.",
    ),
    "do-not-use": (
        "The source itself says that its numbers must not be relied on now.",
        "Ask the custodian what happened, and wait until it withdraws the mark; never take the number regardless.",
    ),
    "missing-page": ("The balance asked for, or a second one, may stand on a page that is missing.", _AGAIN),
    "endless-pages": ("A list that never ends cannot be read completely.", _AGAIN),
    "foreign-page": (
        "Credentials and trust are for the configured server only.",
        "Find out why the API leads elsewhere; if that is right, configure that address.",
    ),
    "field-missing": ("What is not stated is not known; nothing is guessed.", _AGAIN),
    "malformed-answer": ("An answer that is not understood in full may say something else.", _AGAIN),
}


def refuse(where: str, code: str, detail: str) -> NoReturn:
    """Raises the :class:`SourceError` that says ``detail`` of ``where``."""
    reason, advice = _REFUSALS[code]
    raise SourceError(printable(f"{where}: {detail}"), code=code, reason=reason, advice=advice)


class Scientific(Decimal):
    """A number that was written with an exponent. It is exact, but no way to write an amount of money."""


def load(document: Document, limit: int) -> Any:
    """The JSON value that a document is: whole numbers as ``int``, others as :class:`Decimal` or :class:`Scientific`.

    Raises :class:`SourceError` naming the document: ``malformed-json`` for anything that is not strictly JSON,
    ``file-too-large``.
    """

    def number(text: str) -> Decimal:
        return (Scientific if re.search("[eE]", text) else Decimal)(text)

    return load_plain(document.read(limit), document.name, SourceError, fraction=number)


def within(documents: Iterable[Document], limit: int) -> Iterator[Document]:
    """``documents``, as long as they have no more than ``limit`` bytes together: parsed, they are kept until all are
    read, and take some thirty times that.

    Raises :class:`SourceError` (``file-too-large``) naming the one that is too much.
    """
    total = 0
    for document in documents:
        total += document.size
        if total > limit:
            before = ", together with the pages before it," if total > document.size else ""
            raise too_large(f"{document.name}{before}", limit)
        yield document


def scalar(value: Any) -> str | None:
    """A text as it is, ``true`` and ``false`` so, a number's digits; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal) and not isinstance(value, Scientific):
        return format(value, "f")
    if isinstance(value, int | Decimal):
        return str(value)
    return value if isinstance(value, str) else None


class Pointer:
    """A JSON Pointer (RFC 6901): ``/data/balances/0/amount``; the empty one is the value itself. One that begins with
    ``#`` starts at the document, where others start at an item of a list."""

    def __init__(self, text: str) -> None:
        """Raises ``ValueError`` if it is not one."""
        if not re.fullmatch(r"#?(?:/(?:[^~/]|~[01])*)*", text) or not text.isprintable():
            raise ValueError(f"{text[:60]!r} is not a JSON Pointer, for example /data/balance")
        self.text = text
        self._names = [name.replace("~1", "/").replace("~0", "~") for name in text.split("/")[1:]]

    def find(self, value: Any, document: Any = ABSENT) -> Any:
        """What stands there in ``value``, an item of ``document`` (or that itself), or :data:`ABSENT`."""
        if self.text.startswith("#") and document is not ABSENT:
            value = document
        for name in self._names:
            if isinstance(value, dict) and name in value:
                value = value[name]
            elif isinstance(value, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", name) and int(name) < len(value):
                value = value[int(name)]
            else:
                return ABSENT
        return value

    def __repr__(self) -> str:
        return f"Pointer({self.text!r})"

    __str__ = __repr__


@dataclass(frozen=True)
class Rules:
    """What an answer must say before anything in it is read.

    What ``errors`` point to must be absent or nothing (null, false, 0, or empty). What ``success`` points to must be
    ``success_value``. What ``do_not_use`` points to (a ripcord) must be absent, null or false.
    """

    errors: tuple[Pointer, ...] = ()
    success: Pointer | None = None
    success_value: str = ""
    do_not_use: Pointer | None = None

    def check(self, plain: Any, where: str) -> None:
        """Raises :class:`SourceError` naming ``where``: ``do-not-use`` or ``api-error``, which quotes the error."""
        if self.do_not_use is not None:
            mark = self.do_not_use.find(plain)
            if mark is not ABSENT and mark is not None and mark is not False:
                refuse(where, "do-not-use", f"{self.do_not_use.text} says that the balance must not be used")
        for pointer in self.errors:
            error = pointer.find(plain)
            # Not `in`: 0 and 0.0 equal False, and so does nothing else that could be meant.
            if error is not ABSENT and error not in (None, False, "", [], {}):
                refuse(where, "api-error", f"is an error, whatever its status: {pointer.text} is {_quoted(error)}")
        if self.success is not None:
            said = self.success.find(plain)
            if scalar(said) != self.success_value:
                found = "nothing" if said is ABSENT else _quoted(said)
                refuse(where, "api-error", f"{self.success.text} is {found}, not {self.success_value!r}")


@dataclass(frozen=True)
class Paging:
    """How a list goes on.

    By ``next`` (a URL at the same server, or with ``cursor_parameter`` a cursor), or by ``page_parameter`` with numbers
    from ``first_page`` on until ``last_page`` (its number) or ``total`` (of all items) is reached; ``page_number`` is
    where a page states its own. ``items`` is the list; without it every document is one item. Without any way on there
    is one page.
    """

    items: Pointer | None = None
    next: Pointer | None = None
    cursor_parameter: str | None = None
    page_parameter: str | None = None
    first_page: int = 1
    page_number: Pointer | None = None
    last_page: Pointer | None = None
    total: Pointer | None = None

    def __post_init__(self) -> None:
        def need(holds: object, detail: str) -> None:
            if not holds:
                raise ValueError(detail)

        need(self.next is None or self.page_parameter is None, "give one of next and page_parameter")
        need(self.cursor_parameter is None or self.next is not None, "cursor_parameter needs next: where the cursor is")
        ends = self.last_page is not None or self.total is not None
        need(self.page_parameter is None or ends, "page_parameter needs last_page or total: where the list ends")
        numbers = self.last_page or self.page_number
        need(numbers is None or self.page_parameter is not None, "last_page and page_number need page_parameter")
        need(self.total is None or self.items is not None, "total needs items: what is counted")

    @property
    def goes_on(self) -> bool:
        """Whether there can be more pages than one."""
        return self.next is not None or self.page_parameter is not None

    def listed(self, plain: Any, where: str) -> list[Any]:
        """The items of one page. Raises :class:`SourceError` naming ``where`` if it has no list."""
        if self.items is None:
            return [plain]
        found = self.items.find(plain)
        if not isinstance(found, list):
            code = "field-missing" if found is ABSENT else "malformed-answer"
            refuse(where, code, f"there is no list at {self.items.text!r} (items)")
        return found

    def first(self, location: str) -> str:
        """The URL of the first page. Raises ``ValueError`` if ``location`` already says which page is wanted."""
        for name in (self.cursor_parameter, self.page_parameter):
            if name is not None and any(name == given for given, _ in parse_qsl(urlsplit(location).query, True)):
                raise ValueError(f"its query holds {name}, which the source's options set")
        return self._numbered(location, self.first_page)

    def following(self, location: str, pages: Sequence[Any], where: str) -> str | None:
        """The URL of the page after ``pages``, which begin at ``location``; None after the last one.

        Raises :class:`SourceError` naming ``where``: ``endless-pages``, ``foreign-page``, ``missing-page`` for a list
        that ends too early.
        """
        way = self._way(pages[-1], where)
        if way is not None:
            if way in [self._way(page, where) for page in pages[:-1]]:
                refuse(where, "endless-pages", "leads back to a page that was read already")
            url = (
                _with(location, self.cursor_parameter, way) if self.cursor_parameter else _joined(location, way, where)
            )
        elif self.page_parameter is not None and not self._ended(pages, where):
            url = self._numbered(location, self.first_page + len(pages))
        else:
            return None
        if len(pages) >= MAX_PAGES:
            refuse(where, "endless-pages", f"is page {len(pages)}, and there are more")
        return url

    def check(self, pages: Sequence[Any], names: Sequence[str]) -> None:
        """Raises :class:`SourceError` naming the page (``missing-page``, ``endless-pages``) unless ``pages`` are all
        pages of one list, in order."""
        if len(pages) > MAX_PAGES:
            refuse(names[-1], "endless-pages", f"is page {len(pages)}")
        ways = [self._way(page, where) for page, where in zip(pages, names, strict=True)]
        for number, (way, where) in enumerate(zip(ways, names, strict=True), 1):
            place = f"is page {number} of {len(pages)}"
            if self.next is not None and (way is None) != (number == len(pages)):
                refuse(where, "missing-page", f"{place}, but {'there is no' if way is None else 'it has a'} next page")
            if way is not None and way in ways[: number - 1]:
                refuse(where, "endless-pages", f"{place}, and leads where an earlier page led")
        if not self.goes_on and len(pages) > 1:
            refuse(names[1], "missing-page", f"is one of {len(pages)} pages, but the options say how none goes on")
        if self.page_number is not None:
            for number, (page, where) in enumerate(zip(pages, names, strict=True), self.first_page):
                states = _count(self.page_number, page, where)
                if states != number:
                    refuse(where, "missing-page", f"is page {states}, where page {number} belongs")
        if self.last_page is not None:
            for page, where in zip(pages, names, strict=True):
                last = _count(self.last_page, page, where)
                if max(last, self.first_page) != self.first_page + len(pages) - 1:
                    refuse(where, "missing-page", f"the last page is {last}, but there are {len(pages)} pages")
        if self.total is not None:
            read = sum(len(self.listed(page, where)) for page, where in zip(pages, names, strict=True))
            for page, where in zip(pages, names, strict=True):
                total = _count(self.total, page, where)
                if total != read:
                    refuse(where, "missing-page", f"{total} items were announced, but there are {read}")

    def _ended(self, pages: Sequence[Any], where: str) -> bool:
        if self.last_page is not None:
            return self.first_page + len(pages) > _count(self.last_page, pages[-1], where)
        assert self.total is not None  # one of them is there
        counts = [len(self.listed(page, where)) for page in pages]
        total = _count(self.total, pages[-1], where)
        if sum(counts) < total and not counts[-1]:
            refuse(where, "missing-page", f"is empty, but of {total} items only {sum(counts)} came")
        return sum(counts) >= total

    def _way(self, page: Any, where: str) -> str | None:
        """What a page says of its next one: a URL or a cursor."""
        found = ABSENT if self.next is None else self.next.find(page)
        if found is ABSENT or found is None or found is False or found == "":
            return None
        text = scalar(found)
        if text is None or found is True or not text.isprintable() or len(text) > 4096:
            refuse(where, "malformed-answer", "what stands at the option next is no URL or cursor")
        return text

    def _numbered(self, location: str, number: int) -> str:
        return location if self.page_parameter is None else _with(location, self.page_parameter, str(number))


def _with(location: str, name: str, value: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urlencode({name: value})}"


def _joined(location: str, link: str, where: str) -> str:
    """Where a link leads: to the same server, or nowhere."""
    try:
        url = urljoin(location, link)
        same = _origin(urlsplit(url)) == _origin(urlsplit(location))
    except ValueError:
        same, url = True, " "
    if not re.fullmatch(r"[!#-;=?-\[\]_a-z~]+", url):
        refuse(where, "malformed-answer", "what stands at the option next is no URL")
    if not same:
        refuse(where, "foreign-page", "the next page is at another server")
    return url


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme), parts.username


def _count(pointer: Pointer, page: Any, where: str) -> int:
    found = pointer.find(page)
    text = scalar(found)
    if text is None or isinstance(found, bool) or not re.fullmatch(r"0|[1-9][0-9]{0,8}", text):
        refuse(
            where, "field-missing" if found is ABSENT else "malformed-answer", f"there is no number at {pointer.text}"
        )
    return int(text)


def _quoted(value: Any) -> str:
    text = scalar(value)
    return printable(repr(value if text is None else text))[:_SHOWN]
