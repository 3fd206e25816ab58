"""Changes that a fuzzer would not find by chance: it knows lines, tags, numbers, JSON, workbooks and archives."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from tests.fuzz import inputs
from tests.support.samples import cases

_NUMBERS = [
    b"0", b"-0", b"00", b"-1", b"+1", b"1e400", b"1E-400", b"9" * 30, b"9" * 101, b"1" + b"0" * 300, b"NaN",
    b"Infinity", b"0.001", b"1,234.56", b"1.234,56", b"1_000", b"0x10", b",5", b"5,", b".", "١٢".encode(),
    "１２".encode(), b"\xb2", b"", b"991332", b"000000", b"20269999", b"99999999", b"4294967296",
    b"18446744073709551616", b"1.0000000000000001",
]  # fmt: skip
_MARKS = [
    b"\0", b"\r", b"\r\n", b"\n", b"\n\n", b"\x1a", b"\t", b" ", b'"', b"'", b"/", b"<", b">", b"&", b";", b",", b"{",
    b"}", b"[", b"]", b"-", b"-}", b":", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x85", b"\xa0", b"\xc2\xa0",
    b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\xf0\x9f\x92\xb0", b"\\ud800", b"\x1f\x8b", b"PK\x03\x04",
]  # fmt: skip
_HOSTILE = [
    b'<!DOCTYPE a [<!ENTITY b "c">]>', b"&b;", b"&#0;", b"&#x110000;", b"&#38;#38;", b"<!-- -->", b"<?a b?>",
    b"<![CDATA[1]]>", b'<?xml version="1.0" encoding="UTF-7"?>', b'<?xml version="1.1"?>', b' xmlns="urn:a"',
    b' xmlns:a="urn:a"', b"<a:b/>", b"null", b"true", b"[]", b"{}", b'""', b"__proto__", b":62F:C261120EUR1,",
    b":62M:", b"88,", b"03,", b"16,", b"49,", b"\n-\n:20:A\n:25:B\n:28C:1\n",
]  # fmt: skip
_NUMBER = re.compile(rb"[0-9][0-9.,]*")
_SIGNS = {b"C": b"D", b"D": b"C", b"CRDT": b"DBIT", b"DBIT": b"CRDT", b"+": b"-", b"-": b"+", b"true": b"false"}
_SIGN = re.compile(rb"CRDT|DBIT|true|[+-]|(?<=:)[CD](?=[0-9])")
_WORD = re.compile(rb"[A-Za-z0-9_.:/-]{2,40}")

#: What is repeated over and over shrinks to little, but not where it is changed.
_MAX_UNPACKED = 1 << 18

Mutate = Callable[[bytes, int], bytes]


@cache
def _of_format(format_name: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """(the samples' documents, the words in them)."""
    documents = tuple(data for case in cases() if case.format == format_name for _, data in case.documents)
    return documents, tuple(sorted({word for data in documents for word in _WORD.findall(data)})) or (b"a",)


def mutated(format_name: str, data: bytes, max_size: int, seed: int, plain: Mutate) -> bytes:
    """A changed input. ``plain`` is the engine's own mutation of bytes, which knows what the code compares with."""
    chance = random.Random(seed)
    number, documents = inputs.decoded(data)
    kind = chance.random()
    if kind < 0.03:
        number = chance.randrange(8)
    elif kind < 0.08:
        documents = _other_documents(documents, format_name, chance)
    else:
        place = chance.randrange(len(documents))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
            documents[place] = _changed(documents[place], format_name, chance, plain)
    result = inputs.encoded(number % 8, documents)
    return result if len(result) <= max_size else plain(data, max_size)


def _other_documents(documents: list[bytes], format_name: str, chance: random.Random) -> list[bytes]:
    samples = _of_format(format_name)[0] or (b"",)
    more = chance.choice((chance.choice(documents), chance.choice(samples)))
    documents = [*documents, more]
    chance.shuffle(documents)
    return documents[: chance.randint(1, inputs.MAX_DOCUMENTS)]


def _changed(data: bytes, format_name: str, chance: random.Random, plain: Mutate) -> bytes:
    if data.startswith(b"PK\x03\x04") and chance.random() < 0.9:
        return _zip_changed(data, format_name, chance, plain)
    if data.lstrip()[:1] in (b"{", b"[") and chance.random() < 0.5:
        return _json_changed(data, format_name, chance)
    if chance.random() < 0.3:
        return plain(data, len(data) + 64)
    change: Callable[[bytes, str, random.Random], bytes] = chance.choice(_CHANGES)
    return change(data, format_name, chance)


# -- of any text -----------------------------------------------------------------------------------------------------


def _pick(pattern: re.Pattern[bytes], data: bytes, chance: random.Random) -> tuple[int, int] | None:
    found = [match.span() for match in pattern.finditer(data)]
    return chance.choice(found) if found else None


def _replace(data: bytes, span: tuple[int, int] | None, instead: bytes) -> bytes:
    return data if span is None else data[: span[0]] + instead + data[span[1] :]


def _other_number(data: bytes, format_name: str, chance: random.Random) -> bytes:
    return _replace(data, _pick(_NUMBER, data, chance), chance.choice(_NUMBERS))


def _other_digit(data: bytes, format_name: str, chance: random.Random) -> bytes:
    return _replace(data, _pick(re.compile(rb"[0-9]"), data, chance), b"%d" % chance.randrange(10))


def _other_sign(data: bytes, format_name: str, chance: random.Random) -> bytes:
    span = _pick(_SIGN, data, chance)
    return _replace(data, span, _SIGNS[data[span[0] : span[1]]]) if span else data


def _other_word(data: bytes, format_name: str, chance: random.Random) -> bytes:
    return _replace(data, _pick(_WORD, data, chance), chance.choice(_of_format(format_name)[1]))


def _inserted(data: bytes, format_name: str, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    what = chance.choice(chance.choice((_MARKS, _HOSTILE, _NUMBERS, _of_format(format_name)[1])))
    return data[:at] + what + data[at:]


def _cut(data: bytes, format_name: str, chance: random.Random) -> bytes:
    begin, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return chance.choice((data[:begin], data[begin:], data[:begin] + data[end:]))


def _pieces(data: bytes, chance: random.Random) -> list[bytes]:
    """Lines, or what stands between tags or commas."""
    return re.split(chance.choice((rb"(?<=\n)", rb"(?=<)", rb"(?<=,)", rb"(?<=/)")), data)


def _pieces_moved(data: bytes, format_name: str, chance: random.Random) -> bytes:
    pieces = _pieces(data, chance)
    at, to = chance.randrange(len(pieces)), chance.randrange(len(pieces))
    match chance.randrange(4):
        case 0:
            pieces[to:to] = [pieces[at]]
        case 1:
            del pieces[at]
        case 2:
            pieces[at], pieces[to] = pieces[to], pieces[at]
        case _:
            pieces[at:at] = [pieces[at]] * chance.choice((2, 10, 40))
    return b"".join(pieces)


def _spliced(data: bytes, format_name: str, chance: random.Random) -> bytes:
    """The beginning of one and the end of another, cut at a line or tag."""
    samples = _of_format(format_name)[0] or (data,)
    ours, theirs = _pieces(data, chance), _pieces(chance.choice(samples), chance)
    return b"".join(ours[: chance.randint(0, len(ours))] + theirs[chance.randint(0, len(theirs)) :])


def _other_encoding(data: bytes, format_name: str, chance: random.Random) -> bytes:
    text = data.decode("latin-1")
    match chance.randrange(6):
        case 0:
            return text.encode("utf-16")
        case 1:
            return text.encode("utf-8-sig")
        case 2:
            return data.replace(b"\r\n", b"\n") if b"\r\n" in data else data.replace(b"\n", b"\r\n")
        case 3:
            return data.rstrip(b"\r\n")
        case 4:
            return data.replace(b"\n", b"\r")
        case _:
            return data.swapcase()


def _packed(data: bytes, format_name: str, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return gzip.compress(data, mtime=0)
    return _zipped([("a", data)] + [("b", b"b")] * chance.randrange(2))


_CHANGES: Sequence[Callable[[bytes, str, random.Random], bytes]] = (
    _other_number, _other_number, _other_digit, _other_digit, _other_sign, _other_word, _inserted, _inserted, _cut,
    _pieces_moved, _pieces_moved, _spliced, _spliced, _other_encoding, _packed,
)  # fmt: skip


# -- JSON ------------------------------------------------------------------------------------------------------------

_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 10**20, 2**63, -(2**256), 0.5, 1e300, "", "0", "-0", "1e5", "9" * 120, "NaN", "1.50",
    "0.001", "\u202e", "\0", "\ud800", [], {}, [[]], [{}], "2026-02-30", "2026-11-20T23:59:60Z", "9999-12-31",
    "0001-01-01", "a" * 300,
]  # fmt: skip


def _json_changed(data: bytes, format_name: str, chance: random.Random) -> bytes:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _other_number(data, format_name, chance)
    holders: list[Any] = []
    _collect(value, holders)
    if not holders:
        return json.dumps(chance.choice(_VALUES)).encode()
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    match chance.randrange(7):
        case 0:
            del holder[key]
        case 1:
            other = chance.choice(holders)
            holder[key] = json.loads(
                json.dumps(chance.choice(list(other.values() if isinstance(other, dict) else other)))
            )
        case 2 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 2:
            holder[chance.choice(("error", "errors", "message", "code", "next", "extra"))] = chance.choice(_VALUES)
        case 3 if isinstance(holder[key], str) and holder[key]:
            holder[key] = _CHANGES[chance.randrange(8)](
                holder[key].encode("utf-8", "replace"), format_name, chance
            ).decode("latin-1")
        case 4 if isinstance(holder[key], int):
            holder[key] += chance.choice((-1, 1, 10**6, -(10**12)))
        case 5:
            holder[key] = str(holder[key]) if isinstance(holder[key], int) else holder[key]
        case _:
            holder[key] = chance.choice(_VALUES)
    # As attest writes it, for formats that take nothing else.
    ascii_only = chance.random() < 0.3
    written = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    return written.encode("utf-8", "surrogatepass") + b"\n"


def _collect(value: Any, holders: list[Any]) -> None:
    if isinstance(value, dict | list):
        if value:
            holders.append(value)
        for item in value.values() if isinstance(value, dict) else value:
            _collect(item, holders)


# -- archives --------------------------------------------------------------------------------------------------------


def _zip_changed(data: bytes, format_name: str, chance: random.Random, plain: Mutate) -> bytes:
    """One member changed, dropped, renamed or added; the archive is whole again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    except Exception:  # an archive that no tool reads
        return plain(data, len(data) + 64)
    if not members:
        return _zipped([("a", b"a")])
    if sum(len(content) for _, content in members) > _MAX_UNPACKED:
        return plain(data, len(data) + 64)
    at = chance.randrange(len(members))
    name, content = members[at]
    match chance.randrange(12):
        case 0:
            del members[at]
        case 1:
            members[at] = chance.choice((name.upper(), f"../{name}", name + "/", "xl/vbaProject.bin")), content
        case 2:
            members.append((name, content) if chance.random() < 0.5 else (f"{name}.copy", content))
        case _:
            for _ in range(chance.choice((1, 1, 2, 4))):
                if chance.random() < 0.3:
                    content = plain(content, len(content) + 64)
                else:
                    content = chance.choice(_CHANGES)(content, format_name, chance)
            members[at] = name, content
    return _zipped(members, chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)))


def _zipped(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            member = zipfile.ZipInfo(name, (2026, 11, 20, 0, 0, 0))
            member.compress_type = method
            with archive.open(member, "w") as file:
                file.write(content)
    return packed.getvalue()
