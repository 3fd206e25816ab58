"""What the fuzzer feeds to a format, and what must hold for whatever it reads.

An input is one byte that chooses a sample's options, then documents, with :data:`SEPARATOR` between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from attest.custody import formats
from attest.custody.document import Document
from attest.custody.unpack import unpacked
from attest.errors import SourceError
from attest.model import StatedBalance
from attest.money import currency
from tests.support.samples import cases

CORPUS = Path(__file__).parent / "corpus"
SEPARATOR = b"\n%%next%%\n"
#: More documents than this in one input only cost time.
MAX_DOCUMENTS = 4
#: Far longer than anything that a person would read; an error must not repeat a whole document.
MAX_MESSAGE = 5_000
_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Setup:
    """How documents are read."""

    options: Mapping[str, object]
    zone: str | None
    retrieved_at: datetime


@cache
def setups(format_name: str) -> tuple[Setup, ...]:
    """Every sample's own way to be read; one without options for a format that has none."""
    found = [Setup(case.options, case.zone, case.retrieved_at) for case in cases() if case.format == format_name]
    found = found or [Setup({}, None, datetime(2026, 11, 22, 20, tzinfo=UTC))]
    return tuple(found[:8])


def seeds(format_name: str) -> list[bytes]:
    """The samples as inputs, and what was kept of earlier runs."""
    known = [case for case in cases() if case.format == format_name]
    samples = [encoded(number, [data for _, data in case.documents]) for number, case in enumerate(known)]
    return samples + [path.read_bytes() for path in sorted((CORPUS / format_name).glob("*"))]


def encoded(setup: int, documents: Sequence[bytes]) -> bytes:
    """The input that has these documents, to be read as the sample of this number."""
    return b"%c" % (ord("0") + setup) + SEPARATOR.join(documents)


def decoded(data: bytes) -> tuple[int, list[bytes]]:
    """(the setup's number, the documents) of an input."""
    return data[0] - ord("0") if data else 0, data[1:].split(SEPARATOR, MAX_DOCUMENTS - 1)


def read(format_name: str, data: bytes) -> tuple[StatedBalance, ...] | SourceError:
    """What the documents of an input state, or why they are refused.

    Raises ``AssertionError`` for a refusal that does not say what a refusal must, or balances that nobody could use;
    and whatever else a reader raises that it must not.
    """
    number, contents = decoded(data)
    known = setups(format_name)
    setup = known[number % len(known)]
    names = [f"document-{place}" for place in range(1, len(contents) + 1)]
    try:
        documents = [Document.of(name, content) for name, content in zip(names, contents, strict=True)]
        documents = list(unpacked(documents, formats.find(format_name, "fuzz")))
        stated = formats.read(format_name, documents, setup.options, zone=setup.zone, retrieved_at=setup.retrieved_at)
    except SourceError as refusal:
        check_refusal(refusal, names)
        return refusal
    _check_balances(stated)
    return stated


def check_refusal(refusal: SourceError, names: Sequence[str]) -> None:
    """A refusal says what is wrong with which document, why that matters, and what to do."""
    assert _CODE.fullmatch(refusal.code), refusal.code
    assert refusal.reason
    assert refusal.advice
    assert any(name in refusal.message for name in names), refusal.message
    assert len(refusal.message) <= MAX_MESSAGE, len(refusal.message)


def _check_balances(stated: Sequence[StatedBalance]) -> None:
    assert stated, "neither a balance nor a refusal"
    for balance in stated:
        assert balance.account.strip()
        assert balance.account.isprintable()
        assert balance.statement_id.isprintable()
        assert currency(balance.currency).code == balance.currency
        assert type(balance.minor_units) is int
        assert balance.as_of.utcoffset() is not None
        assert 1969 < balance.as_of.year < 2300
        if balance.business_date is not None:
            datetime.strptime(balance.business_date, "%Y-%m-%d")  # noqa: DTZ007 - a date alone
