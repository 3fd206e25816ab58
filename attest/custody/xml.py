"""The one XML reader: streaming, on the standard library's expat, for documents that strangers send.

Refused are document types (with them entities: XXE, billion laughs), comments and processing instructions, because
parsers disagree on ``<Amt>1<!-- -->999.00</Amt>``: 1 to one, 1999.00 to the other. No tree is built: only the elements
asked for are reported, so that memory stays far below the document's size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn
from xml.parsers import expat

from attest.errors import SourceError

MAX_DEPTH = 64
#: Longer than any field that counts; narratives and transactions are skipped, whatever their length.
MAX_TEXT = 1024
#: One tag may not be longer than this: expat before 2.6 reads an unfinished one from its beginning, over and over.
MAX_TAG = 1 << 20
_CHUNK = 1 << 16
_ENCODINGS = {None, "utf-8", "utf-16", "us-ascii", "iso-8859-1", "windows-1252"}
_SPACE = " \t\r\n"

#: ``(path, text, attributes)``: the path is ``/``-joined local names from the root.
OnElement = Callable[[str, str, Mapping[str, str]], None]


def read(
    data: bytes,
    *,
    namespace: re.Pattern[str],
    expected: str,
    leaves: Collection[str],
    containers: Collection[str],
    on_element: OnElement,
    where: str,
    max_text: int = MAX_TEXT,
) -> str:
    """Report every element whose path is one of ``leaves`` (with its text, outer white space cut, and attributes) or
    ``containers`` (with attributes, without text), when it ends, in document order. Returns the root's namespace.

    The root's namespace must match ``namespace`` whole, and only elements of that same namespace are reported;
    ``expected`` says in words what was looked for; ``max_text`` bounds the characters of one leaf.

    Raises :class:`SourceError` naming ``where`` for anything refused.
    """
    reader = _Reader(namespace, expected, leaves, containers, on_element, where, max_text)
    return reader.run(data)


class _Reader:
    def __init__(
        self,
        namespace: re.Pattern[str],
        expected: str,
        leaves: Collection[str],
        containers: Collection[str],
        on_element: OnElement,
        where: str,
        max_text: int,
    ) -> None:
        self.pattern, self.expected, self.where, self.on_element = namespace, expected, where, on_element
        self.max_text = max_text
        self.leaves, self.containers = frozenset(leaves), frozenset(containers)
        wanted = self.leaves | self.containers
        self.followed = {path[: cut.start()] for path in wanted for cut in re.finditer("/|$", path)}
        self.namespace = ""
        self.prefix = ""
        self.path: list[str] = []
        self.skipped = 0
        self.text: list[str] | None = None
        self.length = 0
        self.attributes: Mapping[str, str] = {}
        self.held: list[Mapping[str, str]] = []

    def run(self, data: bytes) -> str:
        self.parser = parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = lambda *_: self._refuse("a document type (DTD)")
        parser.CommentHandler = lambda *_: self._refuse("a comment")
        parser.ProcessingInstructionHandler = lambda *_: self._refuse("a processing instruction")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            for begin in range(0, len(data), _CHUNK):
                parser.Parse(data[begin : begin + _CHUNK], False)
                if begin - parser.CurrentByteIndex > MAX_TAG:
                    raise self._malformed(f"one tag is longer than {MAX_TAG} bytes")
            parser.Parse(b"", True)
        except expat.ExpatError as fault:
            detail = expat.ErrorString(fault.code) or "unknown fault"
            raise self._malformed(f"{detail}, line {fault.lineno} column {fault.offset + 1}") from None
        return self.namespace

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if (encoding.lower() if encoding else None) not in _ENCODINGS:
            raise self._malformed(f"its encoding is {encoding!r}; UTF-8 is expected")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self.text is not None:
            raise self._malformed(f"an element stands inside {'/'.join(self.path)}, which holds text only")
        if self.skipped:
            self.skipped += 1
            if self.skipped > MAX_DEPTH:
                raise self._malformed("its elements are nested too deeply")
            return
        if not self.path:
            self.namespace = name.rpartition("}")[0]
            self.prefix = self.namespace + "}"
            root = name.rpartition("}")[2]
            if root not in self.followed or not self.pattern.fullmatch(self.namespace):
                raise self._other_document(root)
        # A foreign namespace keeps its name in full, which no path has.
        self.path.append(name.removeprefix(self.prefix))
        path = "/".join(self.path)
        if path not in self.followed:
            self.path.pop()
            self.skipped = 1
        elif path in self.leaves:
            self.text, self.length, self.attributes = [], 0, attributes
            self.parser.CharacterDataHandler = self._characters
        elif path in self.containers:
            self.held.append(attributes)

    def _characters(self, text: str) -> None:
        self.length += len(text)
        if self.length > self.max_text or self.text is None:
            raise self._malformed(f"{'/'.join(self.path)} is longer than {self.max_text} characters")
        self.text.append(text)

    def _end(self, name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        path = "/".join(self.path)
        if self.text is not None:
            self.parser.CharacterDataHandler = None
            text, self.text = "".join(self.text).strip(_SPACE), None
            self.on_element(path, text, self.attributes)
        elif path in self.containers:
            self.on_element(path, "", self.held.pop())
        self.path.pop()

    def _refuse(self, what: str) -> NoReturn:
        raise SourceError(
            f"{self.where}: line {self.parser.CurrentLineNumber} holds {what}, which no bank statement needs",
            code="xml-refused",
            reason="Programs disagree on what a document with it says, and it is the usual way to attack a reader.",
            advice="Ask the custodian for the plain file, and find out who changed this one.",
        )

    def _malformed(self, detail: str) -> SourceError:
        return SourceError(
            f"{self.where}: is not a complete, well-formed XML document ({detail})",
            code="malformed-xml",
            reason="From a damaged or cut file a wrong balance can be read.",
            advice="Fetch the statement again; if it is unchanged, ask the custodian for a correct one.",
        )

    def _other_document(self, root: str) -> SourceError:
        found = f"{root!r} of namespace {self.namespace!r}" if self.namespace else f"{root!r} without a namespace"
        return SourceError(
            f"{self.where}: is not {self.expected}: its root element is {found}",
            code="wrong-document",
            reason="Other documents and versions state other balances under the same names.",
            advice="Check that the right file lies there, and that the source's format fits it.",
        )
