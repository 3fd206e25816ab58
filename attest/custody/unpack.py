"""Opens compressed documents (gzip, zip) within bounds, before a format reads them. Pure.

Two programs may see different things in one damaged or crafted archive (a directory that says otherwise than the
members themselves, overlapping members, bytes in between). So everything that is said twice must agree, and every byte
must belong to exactly one thing; an archive that a common tool wrote passes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from attest.custody.document import MAX_BYTES, Document, too_large
from attest.custody.formats import Format
from attest.custody.location import check_count
from attest.errors import SourceError, printable

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
#: What is read, and what is inflated, at a time.
_IN, _OUT = 1 << 16, 1 << 18
#: Members of one gzip file; block-wise compressors make one per 64 KiB.
_MAX_GZIP_MEMBERS = 20_000

#: More than the names of :data:`~attest.custody.location.MAX_DOCUMENTS` members need.
_MAX_DIRECTORY = 1 << 20
_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
_CENTRAL = struct.Struct("<4s4xHH4xIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_SIZES_FOLLOW = 0x8
_UTF8 = 0x800
#: Those, and how hard the packer tried.
_KNOWN_FLAGS = 0x2 | 0x4 | _SIZES_FOLLOW | _UTF8
#: Stands where a number does not fit into 32 bits.
_IS_64 = 0xFFFFFFFF


def unpacked(documents: Sequence[Document], known: Format) -> tuple[Document, ...]:
    """The documents, with what is compressed opened: a gzip file is its content, a zip archive its members by name
    (``archive.zip: member.xml``), unless the format's own documents are zip archives (:attr:`Format.container`).

    Raises :class:`SourceError` naming document and member: ``archive-damaged``, ``archive-encrypted``,
    ``archive-nested``, ``archive-unsupported``, ``archive-name``, ``archive-duplicate``, ``too-many-files``,
    ``file-empty``, and ``file-too-large`` for more than :attr:`Format.max_bytes` in one, or :data:`MAX_BYTES` in all.
    """
    opened: list[Document] = []
    total = 0
    for document in documents:
        for one in _open(document, known):
            opened.append(one)
            check_count(document.name, len(opened))
            if one is not document:
                total += one.size
                if total > MAX_BYTES:
                    raise too_large(f"{document.name}: unpacked, together with the others", MAX_BYTES)
    return tuple(opened)


def _open(document: Document, known: Format) -> Iterator[Document]:
    kind = _kind(document, known)
    if kind == _GZIP:
        with document.open() as file:
            content = Document(
                document.name, _gunzipped(document.name, file), limit=known.max_bytes, provenance=document.provenance
            )
        yield _plain(content, known)
    elif kind == _ZIP:
        with document.open() as file:
            for member in _members(document, file):
                if member.size > known.max_bytes:
                    raise too_large(member.where, known.max_bytes)
                content = Document(
                    member.where, member.content(file), limit=known.max_bytes, provenance=document.provenance
                )
                yield _plain(content, known)
    else:
        yield document


def _kind(document: Document, known: Format) -> bytes:
    with document.open() as file:
        begin = file.read(4)
    if begin.startswith(_GZIP):
        return _GZIP
    return _ZIP if begin == _ZIP and not known.container else b""


def _plain(content: Document, known: Format) -> Document:
    if _kind(content, known):
        raise _refuse(content.name, "archive-nested", "is an archive within an archive")
    return content


# -- gzip (RFC 1952) -------------------------------------------------------------------------------------------------


def _gunzipped(where: str, file: BinaryIO) -> Iterator[bytes]:
    """The content of all members. Zero bytes after the last are padding; anything else is not."""
    packed = rest = iter(lambda: file.read(_IN), b"")
    for _ in range(_MAX_GZIP_MEMBERS):
        inflate = zlib.decompressobj(31)  # which checks every member's checksum and length
        yield from _inflated(where, inflate, rest)
        data = inflate.unused_data or next(rest, b"")
        if not data.strip(b"\0"):
            if any(more.strip(b"\0") for more in packed):
                raise _damaged(where, "something stands after its end")
            return
        rest = chain((data,), packed)  # a chain of what was left of `rest` would hold all that it ever gave
    raise _refuse(where, "archive-unsupported", f"has more than {_MAX_GZIP_MEMBERS} members")


def _inflated(where: str, inflate: zlib._Decompress, packed: Iterator[bytes]) -> Iterator[bytes]:
    """What ``packed`` inflates to until its stream ends, never more than ``_OUT`` bytes at a time."""
    data = b""
    try:
        while not inflate.eof:
            data = data or next(packed, b"")
            if not data:
                raise _damaged(where, "ends too early")
            piece = inflate.decompress(data, _OUT)
            data = inflate.unconsumed_tail
            yield piece
            while len(piece) == _OUT and not data:  # all is taken in, and not all given out
                piece = inflate.decompress(b"", _OUT)
                yield piece
    except zlib.error:
        raise _damaged(where, "cannot be inflated, or its checksum does not hold") from None


# -- zip (APPNOTE.TXT 6.3.10, sections 4.3 and 4.4) ------------------------------------------------------------------


@dataclass(frozen=True)
class _Member:
    """One entry of the directory: ``packed`` bytes, with a local header at ``at``, are a file of ``size``."""

    where: str
    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    at: int

    def data_at(self, file: BinaryIO) -> int:
        """Where the packed bytes begin. Refuses a local header that says otherwise than the directory."""
        file.seek(self.at)
        mark, flags, method, *said, name_length, extra_length = _LOCAL.unpack(file.read(_LOCAL.size))
        name = file.read(name_length)
        sure = self.crc, self.packed, self.size
        # Where they were not known yet when the header was written, they stand behind the data.
        unsure = bool(self.flags & _SIZES_FOLLOW)
        same = all(one == other or (unsure and one in (0, _IS_64)) for one, other in zip(said, sure, strict=True))
        if (mark, flags, method, name) != (_ZIP, self.flags, self.method, self.raw_name) or not same:
            raise _damaged(self.where, "its local header says otherwise than the archive's directory")
        return self.at + _LOCAL.size + len(name) + int(extra_length)

    def ends(self) -> Sequence[bytes]:
        """What may stand between the packed bytes and the next thing."""
        if not self.flags & _SIZES_FOLLOW:
            return (b"",)
        forms = (struct.pack(form, self.crc, self.packed, self.size) for form in ("<III", "<IQQ"))
        return [mark + form for form in forms for mark in (b"", b"PK\x07\x08")]

    def content(self, file: BinaryIO) -> Iterator[bytes]:
        """The member's bytes, exactly as many as the directory says, with the checksum that it says."""
        file.seek(self.data_at(file))
        packed = _pieces(file, self.packed)
        inflate = zlib.decompressobj(-15) if self.method else None
        size = crc = 0
        for piece in packed if inflate is None else _inflated(self.where, inflate, packed):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
            if size > self.size:
                break
            yield piece
        left = next(packed, b"") or (inflate is not None and inflate.unused_data)
        if left or (size, crc) != (self.size, self.crc):
            raise _damaged(self.where, "is not of the size and checksum that the archive's directory says")


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := file.read(min(_IN, size))):
        size -= len(piece)
        yield piece


def _members(document: Document, file: BinaryIO) -> list[_Member]:
    """The archive's files, sorted by name, when all of it is accounted for."""
    members, directory_at = _directory(document, file)
    in_place = sorted(members, key=lambda member: member.at)
    if in_place[0].at != 0:
        raise _damaged(document.name, "begins with something that its directory does not know")
    for member, next_at in zip(in_place, [*(one.at for one in in_place[1:]), directory_at], strict=True):
        end = member.data_at(file) + member.packed
        file.seek(end)
        if not 0 <= next_at - end <= 24 or file.read(next_at - end) not in member.ends():
            raise _damaged(member.where, "overlaps another member, or is followed by bytes that belong to none")
    files = sorted((one for one in members if not one.name.endswith("/")), key=lambda member: member.name)
    if not files:
        raise _refuse(document.name, "file-empty", "is an archive without files")
    return files


def _directory(document: Document, file: BinaryIO) -> tuple[list[_Member], int]:
    """The entries of the directory, and where it begins."""
    where = document.name
    tail = min(document.size, _END.size + 0xFFFF)
    file.seek(document.size - tail)
    end = file.read(tail)
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or len(end) - at < _END.size:
        raise _damaged(where, "is cut off: its directory is missing")
    _, disk, first_disk, here, number, size, directory_at, comment = _END.unpack_from(end, at)
    is_64 = end[:at][-20:].startswith(b"PK\x06\x07") or _IS_64 in (size, directory_at) or number == 0xFFFF
    if is_64 or (disk, first_disk, here) != (0, 0, number):
        raise _refuse(where, "archive-unsupported", "is in the zip64 format, or one part of several")
    if directory_at + size != document.size - tail + at or comment != len(end) - at - _END.size or not number:
        raise _damaged(where, "its directory is not where it should be")
    check_count(where, number)
    if size > _MAX_DIRECTORY:
        raise too_large(f"{where}: its directory", _MAX_DIRECTORY)
    file.seek(directory_at)
    data = file.read(size)
    members: dict[str, _Member] = {}
    at = 0
    while at < len(data):
        member, at = _entry(where, data, at)
        if member.name in members:
            raise _refuse(member.where, "archive-duplicate", "is in the archive twice")
        members[member.name] = member
    if len(members) != number:
        raise _damaged(where, "does not have as many members as its directory says")
    return list(members.values()), directory_at


def _entry(archive: str, data: bytes, at: int) -> tuple[_Member, int]:
    """One entry of the directory, and where the next one begins."""
    if len(data) - at < _CENTRAL.size:
        raise _damaged(archive, "its directory is cut off")
    mark, flags, method, crc, packed, size, *lengths, disk, _, _, local_at = _CENTRAL.unpack_from(data, at)
    name_at = at + _CENTRAL.size
    next_at = name_at + sum(lengths)
    if mark != b"PK\x01\x02" or next_at > len(data):
        raise _damaged(archive, "its directory is damaged")
    raw_name = data[name_at : name_at + lengths[0]]
    try:
        name = raw_name.decode("utf-8" if flags & _UTF8 else "cp437")
    except UnicodeDecodeError:
        raise _refuse(archive, "archive-name", f"a member's name is not UTF-8: {raw_name!a}") from None
    where = f"{archive}: {printable(name)}"
    parts = name.replace("\\", "/").removesuffix("/").split("/")
    if not name.isprintable() or any(part in ("", ".", "..") for part in parts) or parts[0].endswith(":"):
        raise _refuse(where, "archive-name", "is not a plain relative path of visible characters")
    if flags & _ENCRYPTED:
        raise _refuse(where, "archive-encrypted", "is encrypted")
    if flags & ~_KNOWN_FLAGS or method not in (0, 8) or disk or _IS_64 in (packed, size, local_at):
        raise _refuse(where, "archive-unsupported", f"is packed by a method that is not read here ({method})")
    if (method == 0 and packed != size) or (name.endswith("/") and size):
        raise _damaged(where, "has a size that it cannot have")
    return _Member(where, name, raw_name, flags, method, crc, packed, size, local_at), next_at


# -- refusals --------------------------------------------------------------------------------------------------------

_ADVICE = {
    "archive-damaged": "Fetch it again; the download or upload may not have been complete.",
    "archive-encrypted": "Ask the custodian for statements that are signed and not encrypted, or decrypt them first.",
    "archive-nested": "Take the inner archive out, and have the location name that one.",
    "archive-unsupported": "Pack it anew as a plain zip (deflate) or gzip file.",
    "archive-name": "Find out who made this archive: no common tool writes such names.",
    "archive-duplicate": "Ask the custodian which one counts, and for an archive with that one alone.",
    "file-empty": "Fetch the statement again; the download or export was not complete.",
}


def _refuse(where: str, code: str, detail: str) -> SourceError:
    return SourceError(
        f"{where}: {detail}",
        code=code,
        reason="What two programs may unpack to two different things states nothing.",
        advice=_ADVICE[code],
    )


def _damaged(where: str, detail: str) -> SourceError:
    return _refuse(where, "archive-damaged", detail)
