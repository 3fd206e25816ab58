"""The one XML reader: streaming, on the standard library's expat, for documents that strangers send.

Refused are document types (with them entities: XXE, billion laughs), comments and processing instructions, because
parsers disagree on ``<Amt>1<!-- -->999.00</Amt>``: 1 to one, 1999.00 to the other. No tree is built: only the elements
asked for are reported, so that memory stays the same whatever the document's size.

Most of a large statement is details that nobody asks for. Calling Python for each of their elements costs more than
parsing them; so a subtree that is known to be passed over (``bulk``) is given to expat with no element handlers set.
That is done only where its end is certain from its bytes (:class:`_Bulk`), and expat checks them as it does all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import BinaryIO, NoReturn
from xml.parsers import expat

from attest.errors import SourceError

MAX_DEPTH = 64
#: Longer than any field that counts; narratives and transactions are skipped, whatever their length.
MAX_TEXT = 1024
#: One tag may not be longer than this: expat before 2.6 reads an unfinished one from its beginning, over and over.
MAX_TAG = 1 << 20
#: More different names of elements, attributes and namespaces than any message has; expat remembers each for ever.
MAX_NAMES = 10_000
_CHUNK = 1 << 16
_ENCODINGS = {None, "utf-8", "utf-16", "us-ascii", "iso-8859-1", "windows-1252"}
_SPACE = " \t\r\n"
_BYTE_ORDER_MARKS = (b"\xfe\xff", b"\xff\xfe")

#: ``(path, text, attributes)``: the path is ``/``-joined local names from the root.
OnElement = Callable[[str, str, Mapping[str, str]], None]


def read(
    file: BinaryIO,
    *,
    namespace: re.Pattern[str],
    expected: str,
    leaves: Collection[str],
    containers: Collection[str],
    on_element: OnElement,
    where: str,
    max_text: int = MAX_TEXT,
    last: str | None = None,
) -> str:
    """Report every element whose path is one of ``leaves`` (with its text, outer white space cut, and attributes) or
    ``containers`` (with attributes, without text), when it ends, in document order. Returns the root's namespace.

    The root's namespace must match ``namespace`` whole, and only elements of that same namespace are reported;
    ``expected`` says in words what was looked for; ``max_text`` bounds the characters of one leaf. A leaf may hold
    other leaves, and no other element. ``last`` is the path of a leaf after which its parent holds nothing that is
    asked for (what stands there is not reported), but most of what makes a document large.

    Raises :class:`SourceError` naming ``where``: ``xml-refused``, ``malformed-xml``, ``wrong-document``; and what
    ``on_element`` raises.
    """
    return _Reader(namespace, expected, leaves, containers, on_element, where, max_text, last).run(file)


class _Node:
    """A path that is asked for, or leads to one that is. ``children`` are by expat's name: ``namespace}local``."""

    __slots__ = ("children", "container", "leaf", "parent", "path")

    def __init__(self, path: str, parent: _Node | None) -> None:
        self.path, self.parent = path, parent
        self.children: dict[str, _Node] = {}
        self.leaf = self.container = False

    def below(self, path: str, prefix: str) -> _Node:
        """The node at ``path`` from here, made if need be; in ``children`` every name begins with ``prefix``."""
        node = self
        for name in path.split("/"):
            if prefix + name not in node.children:
                node.children[prefix + name] = _Node(f"{node.path}/{name}".lstrip("/"), node)
            node = node.children[prefix + name]
        return node


class _Rest:
    """What stands between the end tag of the element at ``path`` and its parent's: found in a document's bytes, and
    checked.

    ``prefix`` is how the document writes its namespace (None: without). Only for encodings that write ASCII as ASCII.
    """

    #: A longer one is passed over element by element: its depth and names must be counted.
    MAX = 1 << 17
    #: After so many bytes the parser that checks is replaced, and what it remembers of names with it.
    _RENEWED = 1 << 19
    _ODD = re.compile(rb"<(?:!|/?_)")

    def __init__(self, path: str, prefix: str | None, encoding: str | None) -> None:
        parent, name = path.split("/")[-2:]
        spelt = f"{prefix}:" if prefix else ""
        self.begin, self.end = f"</{spelt}{name}>".encode(), f"</{spelt}{parent}>".encode()
        self.encoding = encoding
        self._renew()

    def is_plain(self, content: bytes) -> bool:
        """Whether ``content`` is whole elements and text, and nothing that would be refused."""
        if (b"!" in content or b"_" in content) and self._ODD.search(content):
            return False  # it could hide its end in a CDATA section, or end the element that it is wrapped in
        if self.checked > self._RENEWED:
            self._renew()
        data = b"<_>%b</_>" % content
        self.checked += len(data)
        try:
            self.parser.Parse(data, False)
            plain = self.parser.CurrentByteIndex == self.checked  # nothing is open, such as an instruction
        except expat.ExpatError:
            plain = False
        if not plain:
            self._renew()
        return plain

    def _renew(self) -> None:
        self.parser = expat.ParserCreate(self.encoding)
        self.parser.ProcessingInstructionHandler = self._not_plain
        self.parser.Parse(b"<_>", False)
        self.checked = 3

    def _not_plain(self, *_: str) -> None:
        raise expat.ExpatError


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
        last: str | None,
    ) -> None:
        self.pattern, self.expected, self.where, self.on_element = namespace, expected, where, on_element
        self.leaves, self.containers, self.last_path = leaves, containers, last
        self.namespace = ""
        self.node = _Node("", None)
        self.skipped = 0
        #: The leaves that are open, the innermost last: attributes, and the text in pieces.
        self.open: list[tuple[Mapping[str, str], list[str]]] = []
        self.length, self.max_text = 0, max_text
        #: The attributes of the containers that are open, the innermost last.
        self.containing: list[Mapping[str, str]] = []
        self.fed = 0
        self.names: dict[str, str] = {}
        self.prefixes: dict[str, str | None] = {}
        self.encoding: str | None = None
        self.ascii = True
        self.last: _Node | None = None
        self.rest: _Rest | None = None
        #: Whether :attr:`last` has ended, and its parent not.
        self.over = False
        self.on_text = self._characters

    def run(self, file: BinaryIO) -> str:
        self.parser = parser = expat.ParserCreate(namespace_separator="}", intern=self.names)
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = lambda *_: self._refuse("a document type (DTD)")
        parser.CommentHandler = lambda *_: self._refuse("a comment")
        parser.ProcessingInstructionHandler = lambda *_: self._refuse("a processing instruction")
        parser.StartNamespaceDeclHandler = self._prefix
        parser.StartElementHandler = self._root
        rest = b""
        try:
            while chunk := file.read(_CHUNK):
                if not self.fed and (b"\0" in chunk[:4] or chunk[:2] in _BYTE_ORDER_MARKS):
                    self.ascii = False
                rest = self._pass(rest + chunk)
                if self.fed - parser.CurrentByteIndex > MAX_TAG:
                    raise self._malformed(f"one tag is longer than {MAX_TAG} bytes")
                if len(self.names) > MAX_NAMES:
                    raise self._malformed(f"it has more than {MAX_NAMES} different names")
            parser.Parse(rest, True)
        except expat.ExpatError as fault:
            detail = expat.ErrorString(fault.code) or "unknown fault"
            raise self._malformed(f"{detail}, line {fault.lineno} column {fault.offset + 1}") from None
        return self.namespace

    def _pass(self, data: bytes) -> bytes:
        """Parse ``data``. Returns its end if it must wait for more."""
        rest, fed, end = self.rest, 0, 0
        while rest is not None and (at := data.find(rest.begin, end)) >= 0:
            begin = at + len(rest.begin)
            end = data.find(rest.end, begin)
            if end < 0:
                if len(data) - at > rest.MAX:
                    break
                self._feed(data[fed:at])
                return data[at:]
            self._feed(data[fed:begin])
            fed = begin
            # Where a comment or an instruction is open, that was no end tag.
            between = self.over and not self.skipped and self.parser.CurrentByteIndex == self.fed
            if between and rest.is_plain(content := data[begin:end]):
                self._feed(b"\n" * content.count(b"\n"))  # lines are still to be counted
                fed = end
        self._feed(data[fed:])
        return b""

    def _feed(self, data: bytes) -> None:
        self.parser.Parse(data, False)
        self.fed += len(data)

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0":
            raise self._malformed(f"it is written in XML {version}, not 1.0")
        if (encoding.lower() if encoding else None) not in _ENCODINGS:
            raise self._malformed(f"its encoding is {encoding!r}; UTF-8 is expected")
        self.encoding = encoding

    def _prefix(self, prefix: str | None, namespace: str) -> None:
        self.prefixes.setdefault(namespace, prefix)

    # -- elements ----------------------------------------------------------------------------------------------------

    def _root(self, name: str, attributes: Mapping[str, str]) -> None:
        self.namespace, separator, root = name.rpartition("}")
        prefix = self.namespace + separator
        for path in self.leaves:
            self.node.below(path, prefix).leaf = True
        for path in self.containers:
            self.node.below(path, prefix).container = True
        if name not in self.node.children or not self.pattern.fullmatch(self.namespace):
            raise self._other_document(root)
        if self.last_path is not None:
            self.last = self.node.below(self.last_path, prefix)
            if self.ascii:
                self.rest = _Rest(self.last.path, self.prefixes.get(self.namespace), self.encoding)
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self._start(name, attributes)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self.skipped:
            self.skipped += 1
            if self.skipped > MAX_DEPTH:
                raise self._malformed("its elements are nested too deeply")
            return
        # An element of another namespace has another name, which is no child's.
        node = self.node.children.get(name)
        if node is None or self.over:
            if self.open:
                raise self._malformed(f"an element stands inside {self.node.path}, which holds text only")
            self.skipped = 1
            return
        self.node = node
        if node.leaf:
            if not self.open:
                self.length = 0
                self.parser.CharacterDataHandler = self.on_text
            self.open.append((attributes, []))
        elif node.container:
            self.containing.append(attributes)

    def _characters(self, text: str) -> None:
        self.length += len(text)
        if self.length > self.max_text:
            raise self._malformed(f"{self.node.path} is longer than {self.max_text} characters")
        self.open[-1][1].append(text)

    def _end(self, name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        node = self.node
        if node.leaf:
            attributes, pieces = self.open.pop()
            if not self.open:
                self.parser.CharacterDataHandler = None
            text = pieces[0] if len(pieces) == 1 else "".join(pieces)
            self.on_element(node.path, text.strip(_SPACE), attributes)
        elif node.container:
            self.on_element(node.path, "", self.containing.pop())
        # Until its parent ends, everything after the last one is skipped.
        self.over = node is self.last
        self.node = node.parent or node

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
