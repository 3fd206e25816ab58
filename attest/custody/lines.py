"""A document as lines of text, for formats that banks write by line. Latin-1: each byte is one character, so nothing is
lost or guessed; fields that count are matched as ASCII by their readers."""

from __future__ import annotations

import io
from collections.abc import Iterator

from attest.custody.document import Document
from attest.errors import SourceError

#: Longer than any line of a statement; a reader that meets more is not reading one.
MAX_LINE = 100_000
MAX_LINES = 3_000_000
_BOM = b"\xef\xbb\xbf"


def read(document: Document, max_bytes: int) -> Iterator[tuple[int, str, bool]]:
    """(number from 1, text without its ending, whether it was ended) of every line. LF, CR LF and CR CR LF end one; a
    byte order mark before the first is left out.

    Raises :class:`SourceError` naming document and line: ``file-too-large``, ``malformed-line``.
    """
    file = io.BytesIO(document.read(max_bytes))
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        text = raw.rstrip(b"\r\n")
        if len(raw) > MAX_LINE:
            raise _malformed(f"{document.name}: line {number}", f"is longer than {MAX_LINE} characters")
        if number > MAX_LINES:
            raise _malformed(document.name, f"has more than {MAX_LINES} lines")
        if b"\r" in text:
            raise _malformed(f"{document.name}: line {number}", "holds a carriage return that ends no line")
        yield number, text.decode("latin-1"), raw.endswith(b"\n")


def _malformed(where: str, detail: str) -> SourceError:
    return SourceError(
        f"{where}: {detail}",
        code="malformed-line",
        reason="What one program takes for one line and another for two can be read in two ways.",
        advice="Fetch the statement again as the custodian sent it, without converting it.",
    )
