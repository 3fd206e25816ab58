"""Sample statements (``tests/samples/<format>/<name>.case.json``): valid documents, what they say, and how to spoil
them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from attest.custody import formats
from attest.custody.document import Document
from attest.custody.unpack import unpacked
from attest.model import StatedBalance

SAMPLES = Path(__file__).parents[1] / "samples"
#: What says credit or debit, and what it is turned into.
_SIGNS = {
    "CRDT": "DBIT", "DBIT": "CRDT", "Credit": "Debit", "Debit": "Credit", "CR": "DR", "DR": "CR", "+": "-", "-": "+",
}  # fmt: skip
_SIGN = re.compile(r"CRDT|DBIT|\bCredit\b|\bDebit\b|\bCR\b|\bDR\b|[+-](?=[0-9.])")
#: The mark before a date in SWIFT's balances and movements.
_SWIFT_MARK = re.compile(r"(?<=:6[0-5][FM]:)[CD]|(?<=:6[45]:)[CD]")
_CURRENCY = re.compile(r"(?<![A-Z])(?:USD|EUR|GBP|JPY|KWD|CHF)(?![A-Z])|(?<=[0-9])(?:USD|EUR|GBP|JPY|KWD|CHF)(?=[0-9])")


@dataclass(frozen=True)
class Case:
    """One sample: its documents' names and bytes, how it is read, what it says."""

    format: str
    name: str
    documents: tuple[tuple[str, bytes], ...]
    options: dict[str, object]
    zone: str | None
    retrieved_at: datetime
    expected: list[dict[str, str]]
    free: tuple[re.Pattern[str], ...]

    def __str__(self) -> str:
        return f"{self.format}-{self.name}"

    def read(self, number: int = -1, data: bytes = b"") -> list[dict[str, str]]:
        """What the documents say, document ``number`` replaced by ``data``; sorted."""
        documents = [
            Document.of(name, data if place == number else original)
            for place, (name, original) in enumerate(self.documents)
        ]
        known = formats.find(self.format, str(self))
        stated = formats.read(
            self.format, unpacked(documents, known), self.options, zone=self.zone, retrieved_at=self.retrieved_at
        )
        return sorted((said(balance) for balance in stated), key=json.dumps)


def said(balance: StatedBalance) -> dict[str, str]:
    """A stated balance as samples write it."""
    return {
        "account": balance.account,
        "currency": balance.currency,
        "minor_units": str(balance.minor_units),
        "balance_kind": balance.balance_kind,
        "as_of": balance.as_of.isoformat().replace("+00:00", "Z"),
        "statement_id": balance.statement_id,
    }


def cases() -> list[Case]:
    """All samples, in order of their names."""
    return [_load(path) for path in sorted(SAMPLES.glob("*/*.case.json"))]


def _load(path: Path) -> Case:
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Case(
        format=path.parent.name,
        name=path.name.removesuffix(".case.json"),
        documents=tuple((name, (path.parent / name).read_bytes()) for name in plain["documents"]),
        options=plain["options"],
        zone=plain["zone"],
        retrieved_at=datetime.fromisoformat(plain["retrieved_at"]),
        expected=sorted(plain["expected"], key=json.dumps),
        free=tuple(re.compile(pattern, re.DOTALL | re.MULTILINE) for pattern in plain.get("free", [])),
    )


def mutations(case: Case) -> Iterator[tuple[str, int, bytes]]:
    """Every digit, sign, currency and (by its digits) date of every document changed, one at a time, outside of what
    the case calls free: (what was changed, the document's number, its new bytes)."""
    for number, (name, data) in enumerate(case.documents):
        for place, text, build in _texts(name, data):
            free = [match.span() for pattern in case.free for match in pattern.finditer(text)]
            for begin, end, instead in _changes(text):
                if not any(low < end and begin < high for low, high in free):
                    line = text.count("\n", 0, begin) + 1
                    context = text[max(0, begin - 20) : end + 20].replace("\0", "")
                    what = f"{place} line {line}: {text[begin:end]!r} -> {instead!r} in {context!r}"
                    yield what, number, build(text[:begin] + instead + text[end:])


def _changes(text: str) -> Iterator[tuple[int, int, str]]:
    for match in re.finditer("[0-9]", text):
        for step in (1, 5):
            yield match.start(), match.end(), str((int(match[0]) + step) % 10)
    for match in _SIGN.finditer(text):
        yield match.start(), match.end(), _SIGNS[match[0]]
    for match in _SWIFT_MARK.finditer(text):
        yield match.start(), match.end(), "D" if match[0] == "C" else "C"
    for match in _CURRENCY.finditer(text):
        yield match.start(), match.end(), "SEK"


def _texts(name: str, data: bytes) -> Iterator[tuple[str, str, Callable[[str], bytes]]]:
    """The texts of a document: itself, or the sheets and texts of a workbook."""
    if not name.endswith(".xlsx"):
        yield name, data.decode("latin-1"), lambda text: text.encode("latin-1")
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    for member, content in members.items():
        if "worksheets/" in member or "sharedStrings" in member:
            yield (
                f"{name}: {member}",
                content.decode("latin-1"),
                lambda text, at=member: _zipped(members | {at: text.encode("latin-1")}),
            )


def _zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return packed.getvalue()
