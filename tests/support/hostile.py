"""Documents that nobody sends in good faith, of any size, made on the fly; and a process that reads them and measures.

As a program (``python -m tests.support.hostile``) it takes lines ``SHAPE BYTES`` and answers each with a line of JSON:
what came of it, how long it took, and how much memory at most. Each is read in a process of its own.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from attest.custody import formats
from attest.custody.document import Document
from attest.custody.unpack import unpacked
from attest.errors import AttestError
from tests.support.samples import cases

Build = Callable[[int], Iterator[bytes]]
MIB = 1 << 20
#: When a process is given up.
SECONDS = 600
_AT = datetime(2026, 11, 22, 20, tzinfo=UTC)
_PIECE = 1 << 18


def again(unit: bytes, size: int) -> Iterator[bytes]:
    """``unit`` as often as it fits into ``size`` bytes."""
    piece = unit * max(1, _PIECE // len(unit))
    whole, rest = divmod(size // len(unit) * len(unit), len(piece))
    for _ in range(whole):
        yield piece
    yield piece[:rest]


def numbered(template: str, size: int) -> Iterator[bytes]:
    """``template`` with the numbers from 0 on in it (``%d`` or ``%06d``), until there are ``size`` bytes."""
    number = total = 0
    while total < size:
        piece = "".join([template % place for place in range(number, number + 1000)]).encode()
        number, total = number + 1000, total + len(piece)
        yield piece


def text(begin: bytes, middle: bytes, end: bytes = b"") -> Build:
    """``begin``, then ``middle`` over and over, then ``end``."""

    def build(size: int) -> Iterator[bytes]:
        yield begin
        yield from again(middle, size - len(begin) - len(end))
        yield end

    return build


def counted(begin: bytes, template: str, end: bytes = b"") -> Build:
    """As :func:`text`, with the numbers from 0 on in what is repeated."""

    def build(size: int) -> Iterator[bytes]:
        yield begin
        yield from numbered(template, size - len(begin) - len(end) - 40_000)
        yield end

    return build


# -- archives --------------------------------------------------------------------------------------------------------


def packed(content: Build) -> Build:
    """A gzip file that unpacks to ``content``."""

    def build(size: int) -> Iterator[bytes]:
        deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
        for piece in content(size):
            yield deflate.compress(piece)
        yield deflate.flush()

    return build


def zipped(
    name: str, content: Build, method: int = zipfile.ZIP_DEFLATED, others: Mapping[str, bytes] | None = None
) -> Build:
    """A zip archive with ``others`` and, last, the member ``name``."""

    def build(size: int) -> Iterator[bytes]:
        with tempfile.TemporaryFile() as file:
            with zipfile.ZipFile(file, "w", method) as archive:
                for other, data in (others or {}).items():
                    archive.writestr(other, data)
                with archive.open(name, "w") as member:
                    for piece in content(size):
                        member.write(piece)
            file.seek(0)
            yield from iter(lambda: file.read(_PIECE), b"")

    return build


def empty_members(size: int) -> Iterator[bytes]:
    """A gzip file of nothing but empty members."""
    yield from again(gzip.compress(b"", mtime=0), size)


def overlapping(size: int) -> Iterator[bytes]:
    """A zip archive whose thousand entries are all the same bytes (David Fifield, "A better zip bomb", 2019)."""
    name = b"a"
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = b"".join(deflate.compress(piece) for piece in again(b"A", size)) + deflate.flush()
    crc = 0
    for piece in again(b"A", size):
        crc = zlib.crc32(piece, crc)
    fields = (0, 8, 0, 0, crc, len(kernel), size)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, *fields, len(name), 0) + name + kernel
    directory = b""
    for number in range(1000):
        entry = b"%04d" % number
        directory += (
            struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 20, *fields, len(entry), 0, 0, 0, 0, 0, 0) + entry
        )
    yield local + directory
    yield struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1000, 1000, len(directory), len(local), 0)


def lying(size: int) -> Iterator[bytes]:
    """A zip archive whose one member unpacks to ``size`` bytes, and says that it has ten."""
    name = b"a"
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(deflate.compress(piece) for piece in again(b"A", size)) + deflate.flush()
    fields = (0, 8, 0, 0, zlib.crc32(b"A" * 10), len(data), 10)
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, *fields, len(name), 0) + name + data
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 20, *fields, len(name), 0, 0, 0, 0, 0, 0) + name
    yield local + entry + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(local), 0)


# -- workbooks -------------------------------------------------------------------------------------------------------

_MAIN = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_PARTS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
_BOOK = "xl/workbook.xml"
_SHEET_PART, _TEXTS_PART, _STYLES_PART = "xl/s.xml", "xl/t.xml", "xl/y.xml"


def _related(identifier: str, kind: str, target: str) -> bytes:
    return f'<Relationship Id="{identifier}" Type="{_PARTS}/{kind}" Target="{target}"/>'.encode()


_PACKAGE = {
    "_rels/.rels": _RELATIONS + _related("r1", "officeDocument", _BOOK) + b"</Relationships>",
    _BOOK: b'<workbook %b><sheets><sheet name="A" r:id="r1" xmlns:r="%b"/></sheets></workbook>'
    % (_MAIN, _PARTS.encode()),
    "xl/_rels/workbook.xml.rels": _RELATIONS
    + _related("r1", "worksheet", "s.xml")
    + _related("r2", "sharedStrings", "t.xml")
    + _related("r3", "styles", "y.xml")
    + b"</Relationships>",
    _STYLES_PART: b"<styleSheet %b/>" % _MAIN,
    _TEXTS_PART: b"<sst %b><si><t>Account</t></si></sst>" % _MAIN,
    _SHEET_PART: b"<worksheet %b><sheetData/></worksheet>" % _MAIN,
}
_HEADER_CELLS = (
    b'<row r="1">'
    + b"".join(b'<c t="inlineStr"><is><t>%b</t></is></c>' % name for name in (b"Account", b"Date", b"Balance"))
    + b"</row>"
)


def workbook(part: str, begin: bytes, middle: bytes, end: bytes, *, counting: bool = False) -> Build:
    """A workbook of which one part is large. It is not compressed, so that no ratio gives it away."""
    content = counted(begin, middle.decode(), end) if counting else text(begin, middle, end)
    others = {name: data for name, data in _PACKAGE.items() if name != part}
    return zipped(part, content, zipfile.ZIP_STORED, others)


def _sheet(begin: bytes, middle: bytes, end: bytes, *, counting: bool = False) -> Build:
    return workbook(_SHEET_PART, b"<worksheet %b>" % _MAIN + begin, middle, end + b"</worksheet>", counting=counting)


# -- shapes ----------------------------------------------------------------------------------------------------------

_MT940 = b":20:A\n:25:B\n:28C:1/1\n:60F:C261118EUR1,\n"
_BAI2 = b"01,A,B,261121,0415,7,,,2/\n02,B,A,1,261119,,,2/\n"
_BAI2_ACCOUNT = _BAI2 + b"03,C,,015,1,,/\n"
_CSV = b"Account,Date,Balance\n"
_OFX_HEADER = (
    b"OFXHEADER:100\nDATA:OFXSGML\nVERSION:102\nSECURITY:NONE\nENCODING:USASCII\nCHARSET:1252\nCOMPRESSION:NONE\n\n"
)
_OFX_SIGN_ON = (
    b"<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS></SONRS></SIGNONMSGSRSV1><BANKMSGSRSV1>"
)
_OFX = _OFX_HEADER + _OFX_SIGN_ON
_OFX_STATEMENT = b"<STMTTRNRS><STATUS><CODE>0<SEVERITY>INFO</STATUS><STMTRS><CURDEF>USD"
_OFX_ONE = _OFX_STATEMENT.decode() + (
    "<BANKACCTFROM><ACCTID>%d<ACCTTYPE>CHECKING</BANKACCTFROM><LEDGERBAL><BALAMT>1<DTASOF>20261120</LEDGERBAL>"
    "</STMTRS></STMTTRNRS>"
)
_NAMESPACE = b"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
_CAMT = b'<Document xmlns="%b"><BkToCstmrStmt><GrpHdr><MsgId>1</MsgId></GrpHdr>' % _NAMESPACE
_CAMT_STATEMENT = b"<Stmt><Id>1</Id><Acct><Id><IBAN>A</IBAN></Id></Acct>"
_CAMT_BALANCE = (
    "<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy='EUR'>1</Amt><CdtDbtInd>CRDT</CdtDbtInd>"
    "<Dt><Dt>2026-11-20</Dt></Dt></Bal>"
)
_CAMT_ENTRY = (
    b"<Ntry><Amt Ccy='EUR'>0</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><NtryDtls><TxDtls>"
    b"<RmtInf><Ustrd>a b c</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
)
_CAMT_END = b"</BkToCstmrStmt></Document>"
_CAMT_CLOSED = b"</Stmt>" + _CAMT_END


def _laughs(root: bytes) -> bytes:
    entities = b"".join(b'<!ENTITY l%d "%b">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 20))
    return b'<!DOCTYPE a [<!ENTITY l0 "ha">' + entities + b"]>" + root + b"&l19;"


_XML_TRICKS = {
    "billion-laughs": _laughs,
    "quadratic-entity": lambda root: b'<!DOCTYPE a [<!ENTITY b "%b">]>' % (b"a" * 100_000) + root + b"&b;" * 100_000,
    "external-entity": lambda root: b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + root + b"&b;",
    "external-subset": lambda root: b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">' + root,
    "parameter-entity": lambda root: b'<!DOCTYPE a [<!ENTITY % b SYSTEM "file:///dev/zero"> %b;]>' + root,
}


def _tricks(root: bytes) -> dict[str, Build]:
    def one(trick: Callable[[bytes], bytes]) -> Build:
        return lambda size: iter([trick(root)])

    return {name: one(trick) for name, trick in _XML_TRICKS.items()}


_JSON: dict[str, Build] = {
    "deep-brackets": lambda size: iter([b"[" * 100_000]),
    "deep-objects": lambda size: iter([b'{"a":' * 100_000 + b"1" + b"}" * 100_000]),
    "brackets": text(b"[", b"["),
    "empty-lists": text(b'{"a":[', b"[],", b"0]}"),
    "empty-objects": text(b'{"a":[', b"{},", b"0]}"),
    "small-objects": text(b'{"a":[', b'{"a":0},', b"0]}"),
    "small-numbers": text(b'{"a":[', b"1.5,", b"0]}"),
    "texts": counted(b'{"a":[', '"%06d",', b"0]}"),
    "names": counted(b"{", '"%d":0,', b'"a":0}'),
    "names-twice": counted(b"{", '"%d":0,', b'"a":0,"a":0}'),
    "long-number": text(b'{"amount":1', b"0", b"}"),
    "long-fraction": text(b'{"amount":0.', b"1", b"}"),
    "huge-exponents": text(b'{"a":[', b"1e999999999,", b"0]}"),
    "long-text": text(b'{"amount":"', b"1", b'"}'),
    "escapes": text(b'{"amount":"', b"\\u0041", b'"}'),
    "half-surrogates": text(b'{"amount":"', b"\\ud800", b'"}'),
    "not-closed": text(b'{"amount":"', b'\\"'),
    "white-space": text(b"{", b" \n"),
}

SHAPES: dict[str, dict[str, Build]] = {
    "mt940": {
        "one-line": text(_MT940 + b":86:", b"A"),
        "blank-lines": text(b"", b"\n"),
        "narrative-lines": text(_MT940 + b":86:", b"A\n"),
        "movements": text(_MT940, b":61:261119C1,NTRF\n"),
        "statements": counted(b"", ":20:A\n:25:%d\n:28C:1\n:60F:C261118EUR1,\n:62F:C261118EUR1,\n-\n"),
        "blocks": text(b"", b"{1:F01AAAABBCC0AXXX0000000000}"),
        "block-in-block": text(b"{3:", b"{108:A}"),
        "open-brackets": text(b"{1:", b"{"),
        "colons": text(_MT940 + b":86:", b":20:"),
    },
    "bai2": {
        "one-line": text(_BAI2_ACCOUNT + b"16,475,1,,", b"A"),
        "blank-lines": text(b"", b"\n"),
        "continuations-of-an-account": text(_BAI2 + b"03,C,,015,1,,/\n", b"88,/\n"),
        "continuations-of-a-detail": text(_BAI2_ACCOUNT + b"16,475,1,,\n", b"88,\n"),
        "continuations-of-a-trailer": text(_BAI2_ACCOUNT + b"49,1\n", b"88,\n"),
        "summaries": text(_BAI2 + b"03,C,,015,1,,/\n", b"88,100,1,,,100,1,,,100,1,,,100,1,,/\n"),
        "commas": text(_BAI2 + b"03,C,,015,1,,/\n", b"88,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,/\n"),
        "funds": text(_BAI2 + b"03,C,,015,1,,/\n", b"88,100,1,,D,1,0,0/\n"),
        "details": text(_BAI2_ACCOUNT, b"16,475,1,,,A\n"),
        "accounts": counted(_BAI2, "03,%d,,015,1,,/\n49,1,2/\n"),
        "groups": text(b"01,A,B,261121,0415,7,,,2/\n", b"02,B,A,1,261119,,,2/\n98,0,0,2/\n"),
        "files": counted(b"", "01,A,B,261121,0415,%d,,,2/\n99,0,0,2/\n"),
        "short-blocks": text(b"01,A,B,261121,0415,7,24,,2/", b" "),
    },
    "csv": {
        "one-line": text(_CSV, b"A"),
        "one-field": text(_CSV + b'"', b"AAAAAAAAAAAAAAA\n"),
        "fields": text(_CSV + b'"', b'\n","', b'\n"\n'),
        "commas": text(_CSV, b",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"),
        "rows": counted(_CSV, "%d,2026-11-20,1.00\n"),
        "wide-header": text(b"", b"A,", b"\n"),
        "quotes": text(_CSV + b'"', b'""', b'"\n'),
        "blank-lines": text(_CSV, b"\n"),
        "wide-characters": text(_CSV, "\U0001f4b0".encode(), b"\n"),
        "long-number": text(_CSV + b"A,2026-11-20,", b"9" * 90_000 + b"\n"),
    },
    "ofx": {
        "one-tag": text(_OFX + b"<", b"A"),
        "one-text": text(_OFX + b"<A>", b"A"),
        "nested": text(_OFX, b"<A>"),
        "not-closed": text(_OFX, b"<"),
        "vendor-fields": counted(_OFX + _OFX_STATEMENT, "<A.%d>1"),
        "status-fields": counted(_OFX + b"<STMTTRNRS><STATUS>", "<A%d>1"),
        "transactions": text(_OFX + _OFX_STATEMENT + b"<BANKTRANLIST>", b"<STMTTRN><TRNAMT>1<MEMO>a</STMTTRN>"),
        "statements": counted(_OFX, _OFX_ONE),
        "entities": text(_OFX + _OFX_STATEMENT + b"<BANKACCTFROM>", b"<ACCTID>" + b"&amp;" * 3900 + b"<BANKID>"),
        "blank-lines": text(_OFX_HEADER, b"\n"),
        "header-lines": text(b"", b"OFXHEADER:100\n"),
        "header-space": text(b"", b" "),
    },
    "camt053": {
        "one-text": text(_CAMT + _CAMT_STATEMENT + b"<Ntry><AddtlNtryInf>", b"A"),
        "one-leaf": text(_CAMT + b"<Stmt><Id>", b"A"),
        "one-attribute": text(_CAMT + b'<Stmt a="', b"A"),
        "one-tag": text(_CAMT + b"<", b"A"),
        "one-comment": text(_CAMT + b"<!--", b"A"),
        "one-section": text(_CAMT + _CAMT_STATEMENT + b"<AddtlStmtInf><![CDATA[", b"A"),
        "section-brackets": text(_CAMT + _CAMT_STATEMENT + b"<AddtlStmtInf><![CDATA[", b"]"),
        "sections": text(_CAMT + _CAMT_STATEMENT + b"<AddtlStmtInf>", b"<![CDATA[A]]>"),
        "white-space": text(_CAMT, b"\n"),
        "attributes": counted(_CAMT + b"<Stmt", " a%d=''"),
        "names": counted(_CAMT + _CAMT_STATEMENT + b"<Ntry>", "<a%d/>"),
        "namespaces": counted(_CAMT, "<a xmlns='urn:%d'/>"),
        "prefixes": counted(_CAMT + b"<Stmt", " xmlns:a%d='urn:%d'".replace("'urn:%d'", "'urn:a'")),
        "deep": lambda size: iter([_CAMT + b"<a>" * 100_000]),
        "entries": text(_CAMT + _CAMT_STATEMENT, _CAMT_ENTRY, _CAMT_BALANCE.encode() + _CAMT_CLOSED),
        "open-entries": text(_CAMT + _CAMT_STATEMENT, b"<Ntry>"),
        "entry-without-end": text(_CAMT + _CAMT_STATEMENT + b"<Ntry>", b"<a/>"),
        "entries-in-entries": text(_CAMT + _CAMT_STATEMENT + b"<Ntry>", b"<Ntry></Ntry>"),
        "balances": text(_CAMT + _CAMT_STATEMENT, _CAMT_BALANCE.encode(), _CAMT_CLOSED),
        "statements": counted(
            _CAMT, "<Stmt><Id>1</Id><Acct><Id><IBAN>A%d</IBAN></Id></Acct>" + _CAMT_BALANCE + "</Stmt>", _CAMT_END
        ),
        "fields": text(_CAMT + b"<Stmt>", b"<Id>1</Id>"),
        "balance-fields": text(_CAMT + _CAMT_STATEMENT + b"<Bal>", b"<Amt Ccy='EUR'>1</Amt>"),
        "references": text(_CAMT + b"<Stmt><Id>", b"&amp;"),
        **_tricks(_CAMT + b"<Stmt><Id>"),
    },
    "camt052": _tricks(_CAMT.replace(b"053", b"052").replace(b"BkToCstmrStmt", b"BkToCstmrAcctRpt") + b"<Rpt><Id>"),
    "json": _JSON
    | {"items": counted(b'{"items":[', '{"account":"%d","amount":"1.00"},', b'{"account":"a","amount":"1"}]}')},
    "xlsx": {
        "texts": workbook(_TEXTS_PART, b"<sst %b>" % _MAIN, b"<si><t>%06d</t></si>", b"</sst>", counting=True),
        "empty-texts": workbook(_TEXTS_PART, b"<sst %b>" % _MAIN, b"<si/>", b"</sst>"),
        "runs": workbook(_TEXTS_PART, b"<sst %b><si>" % _MAIN, b"<r><t>ab</t></r>", b"</si></sst>"),
        "one-text": workbook(_TEXTS_PART, b"<sst %b><si><t>" % _MAIN, b"A", b"</t></si></sst>"),
        "sheets": workbook(_BOOK, b"<workbook %b><sheets>" % _MAIN, b'<sheet name="A"/>', b"</sheets></workbook>"),
        "relationships": workbook(
            "_rels/.rels", _RELATIONS, b'<Relationship Id="%d" Target="a"/>', b"</Relationships>", counting=True
        ),
        "styles": workbook(_STYLES_PART, b"<styleSheet %b><cellXfs>" % _MAIN, b"<xf/>", b"</cellXfs></styleSheet>"),
        "number-formats": workbook(
            _STYLES_PART,
            b"<styleSheet %b><numFmts>" % _MAIN,
            b'<numFmt numFmtId="%d"/>',
            b"</numFmts></styleSheet>",
            counting=True,
        ),
        "columns": _sheet(b"<sheetData><row>", b"<c><v>1</v></c>", b"</row></sheetData>"),
        "cells": _sheet(b"<sheetData>" + _HEADER_CELLS + b"<row>", b"<c><v>1</v></c>", b"</row></sheetData>"),
        "values": _sheet(b"<sheetData><row><c>", b"<v>1</v>", b"</c></row></sheetData>"),
        "hidden-columns": _sheet(b"<cols>", b'<col hidden="1" min="1" max="1"/>', b"</cols>"),
        "rows": _sheet(
            b"<sheetData>" + _HEADER_CELLS,
            b'<row><c t="inlineStr"><is><t>%06d</t></is></c><c t="inlineStr"><is><t>2026-11-20</t></is></c>'
            b"<c><v>1</v></c></row>",
            b"</sheetData>",
            counting=True,
        ),
        "empty-rows": _sheet(b"<sheetData>", b"<row/>", b"</sheetData>"),
        "cells-of-other-rows": _sheet(b'<sheetData><row r="1">', b'<c r="A%d"/>', b"</row></sheetData>", counting=True),
        "deep": lambda size: workbook(_SHEET_PART, b"<worksheet %b>" % _MAIN, b"<a>", b"")(300_000),
        "bomb": zipped(
            _SHEET_PART,
            text(b"<worksheet %b>" % _MAIN, b" "),
            others={name: data for name, data in _PACKAGE.items() if name != _SHEET_PART},
        ),
        "overlapping": overlapping,
        "lying": lying,
        **{
            name: (
                lambda build: zipped(
                    _SHEET_PART,
                    build,
                    zipfile.ZIP_STORED,
                    {part: data for part, data in _PACKAGE.items() if part != _SHEET_PART},
                )
            )(build)
            for name, build in _tricks(b"<worksheet %b>" % _MAIN).items()
        },
    },
}
_OF_AN_API = {name: _JSON[name] for name in ("deep-brackets", "small-objects", "names-twice")}
SHAPES |= {name: _OF_AN_API for name in formats.BUILT_IN if name not in SHAPES and name != "mt950"}
SHAPES["circle"] = _OF_AN_API | {"balances": text(b'{"data":{"unsettled":[', b"{},", b"{}]}}")}
SHAPES["mt950"] = {name: SHAPES["mt940"][name] for name in ("one-line", "narrative-lines", "statements")}
#: Read by every format alike.
PACKED: dict[str, Build] = {
    "gzip-bomb": packed(text(b"", b"\0")),
    "gzip-members": empty_members,
    "gzip-in-gzip": packed(packed(text(b"", b"\0"))),
    "zip-bomb": zipped("a", text(b"", b"\0")),
    "zip-overlapping": overlapping,
    "zip-lying": lying,
    "zip-in-zip": zipped("a", zipped("a", text(b"", b"\0"))),
}


def names() -> list[str]:
    """All shapes as ``format:shape``."""
    return [f"{name}:{shape}" for name in formats.BUILT_IN for shape in SHAPES[name]] + [
        f"mt940:{shape}" for shape in PACKED
    ]


_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "csv": {"account_column": "Account", "date_column": "Date", "amount_column": "Balance", "currency": "EUR"},
    "ofx": {},
    "xlsx": {"account_column": "Account", "date_column": "Date", "amount_column": "Balance", "currency": "EUR"},
    "json": {"items": "/items", "account": "/account", "amount": "/amount", "currency_is": "EUR"},
}


def options_of(format_name: str) -> Mapping[str, object]:
    """Options that fit the shapes, or those of the format's first sample."""
    if format_name in _OPTIONS:
        return _OPTIONS[format_name]
    return next((case.options for case in cases() if case.format == format_name), {})


def read(name: str, size: int) -> dict[str, Any]:
    """Read one shape of that many bytes.

    Gives ``outcome`` (the refusal's code, or how many balances there are), ``message``, its ``message_length``, and the
    ``seconds`` of the processor's time.
    """
    format_name, _, shape = name.partition(":")
    build = (SHAPES[format_name] | PACKED)[shape]
    known = formats.find(format_name, name)
    options = options_of(format_name)
    pieces = build(size)
    begin = time.process_time()
    message = ""
    try:
        document = Document(name, _counted(pieces, building := [0.0]))
        documents = unpacked([document], known)
        outcome = str(len(formats.read(format_name, documents, options, zone="UTC", retrieved_at=_AT)))
    except AttestError as refusal:
        outcome, message = refusal.code, refusal.message
    except Exception as fault:
        outcome, message = f"{type(fault).__name__}", str(fault)[:1000]
    seconds = time.process_time() - begin - building[0]
    return {"outcome": outcome, "message": message[:1000], "message_length": len(message), "seconds": round(seconds, 2)}


def _counted(pieces: Iterable[bytes], building: list[float]) -> Iterator[bytes]:
    """``pieces``, adding up the time that making them takes."""
    each = iter(pieces)
    while True:
        begin = time.process_time()
        piece = next(each, None)
        building[0] += time.process_time() - begin
        if piece is None:
            return
        yield piece


def _measured(name: str, size: int) -> dict[str, Any]:
    """As :func:`read`, in a process of its own; ``mib`` is the memory that it took at most."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        signal.alarm(SECONDS)
        before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()  # noqa: PTH123, SIM115
        resource.setrlimit(resource.RLIMIT_AS, (4096 * MIB, 4096 * MIB))
        said = read(name, size)
        said["mib"] = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) // MIB
        os.write(send, json.dumps(said).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as answer:
        data = answer.read()
    status = os.waitpid(child, 0)[1]
    if not data:
        return {
            "outcome": f"ended with status {status}",
            "message": "",
            "message_length": 0,
            "seconds": SECONDS,
            "mib": 0,
        }
    said = json.loads(data)
    return dict(said)


def main() -> None:
    for name in formats.BUILT_IN:
        formats.find(name, "")
    for line in sys.stdin:
        name, size = line.split()
        print(json.dumps(_measured(name, int(size))), flush=True)


if __name__ == "__main__":
    main()
