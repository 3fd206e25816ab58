"""Compressed documents: opened within bounds, and only where every program would see the same in them."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody import unpack
from attest.custody.document import SMALL_BYTES, Document
from attest.custody.formats import Format, no_options
from attest.custody.unpack import unpacked
from attest.errors import SourceError

FORMAT = Format("Test", no_options, lambda *_, **__: (), max_bytes=1 << 20)
CONTAINER = Format("Test", no_options, lambda *_, **__: (), max_bytes=1 << 20, container=True)


def zipped(*members: tuple[str, bytes], **how: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how.pop("method", zipfile.ZIP_DEFLATED)) as archive:
        for name, data in members:
            archive.writestr(name, data, **how)
    return buffer.getvalue()


def opened(data: bytes, known: Format = FORMAT) -> list[tuple[str, bytes]]:
    return [(one.name, one.read(1 << 30)) for one in unpacked([Document.of("a", data)], known)]


def refusal(data: bytes, known: Format = FORMAT) -> SourceError:
    with pytest.raises(SourceError) as caught:
        opened(data, known)
    assert caught.value.message.startswith("a")
    assert caught.value.advice
    return caught.value


def edited(data: bytes, mark: bytes, at: int, form: str, value: int) -> bytes:
    """``data`` with one number changed in the first header that begins with ``mark``."""
    begin = data.index(mark) + at
    return data[:begin] + struct.pack(form, value) + data[begin + struct.calcsize(form) :]


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


# -- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"<xml/>", b"\x1f", b"PK", b"PK\x05\x06" + bytes(18)])
def test_unpacked__document_that_is_not_compressed__is_itself(data: bytes) -> None:
    document = Document.of("a", data)
    assert unpacked([document], FORMAT) == (document,)


def test_unpacked__gzip__is_its_content_under_the_same_name_and_provenance() -> None:
    document = Document.of("a.xml.gz", gzip.compress(b"<xml/>"), provenance="etag: 1")
    (content,) = unpacked([document], FORMAT)
    assert (content.name, content.read(100), content.provenance) == ("a.xml.gz", b"<xml/>", "etag: 1")


def test_unpacked__gzip_of_several_members_and_padding__is_all_of_them() -> None:
    data = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    assert opened(data) == [("a", b"one two")]
    assert opened(data + bytes(200_000)) == [("a", b"one two")]


def test_unpacked__zip__is_its_members_in_the_order_of_their_names() -> None:
    data = zipped(("b.xml", b"2"), ("folder/", b""), ("folder/c.xml", b"3"), ("Größe.xml", b"1"))
    document = Document.of("s3://b/a.zip", data, provenance="version-id: 7")
    contents = unpacked([Document.of("z", b"0"), document], FORMAT)
    assert [(one.name, one.read(9), one.provenance) for one in contents] == [
        ("z", b"0", ""),
        ("s3://b/a.zip: Größe.xml", b"1", "version-id: 7"),
        ("s3://b/a.zip: b.xml", b"2", "version-id: 7"),
        ("s3://b/a.zip: folder/c.xml", b"3", "version-id: 7"),
    ]


def test_unpacked__zip_of_a_format_whose_documents_are_zip_archives__is_itself() -> None:
    data = zipped(("b.xml", b"2"))
    assert opened(data, CONTAINER) == [("a", data)]
    assert opened(gzip.compress(data), CONTAINER) == [("a", data)]


def test_unpacked__zip_that_was_written_as_a_stream__is_read() -> None:
    class Stream(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            Stream.data += bytes(data)
            return len(data)

    with zipfile.ZipFile(Stream(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.xml", b"x" * 1000)
        archive.writestr("c/", b"")
        with archive.open("d.xml", "w", force_zip64=True) as member:
            member.write(b"y")
    assert opened(Stream.data) == [("a: b.xml", b"x" * 1000), ("a: d.xml", b"y")]
    # The descriptor's own mark is optional.
    plain = zipped(("b.xml", b"1"))
    unmarked = edited(edited(plain, LOCAL, 6, "<H", 8), CENTRAL, 8, "<H", 8)
    end = unmarked.index(CENTRAL)
    moved = unmarked[:end] + unmarked[14:26] + unmarked[end:]
    assert opened(edited(moved, END, 16, "<I", end + 12)) == [("a: b.xml", b"1")]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_unpacked__archive_with_a_comment__is_read(method: int) -> None:
    buffer = io.BytesIO(zipped(("b.xml", b"2" * 70_000), method=method))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"made by the bank"
    assert opened(buffer.getvalue()) == [("a: b.xml", b"2" * 70_000)]


def test_unpacked__large_member__is_spooled_and_not_held() -> None:
    data = b"0123456789abcdef" * (6 * SMALL_BYTES // 16)
    known = Format("Test", no_options, lambda *_, **__: (), max_bytes=len(data))
    packed = [Document.of("a", one) for one in (gzip.compress(data, 1), zipped(("b", data)))]
    for document in packed:
        tracemalloc.start()
        (content,) = unpacked([document], known)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * SMALL_BYTES
        tracemalloc.stop()
        assert content.size == len(data)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(min_size=1), min_size=1))
def test_unpacked__whatever_was_packed__comes_out(members: dict[str, bytes]) -> None:
    plain = {name: data for name, data in members.items() if data[:2] != b"\x1f\x8b" and data[:4] != LOCAL}
    if plain:
        assert opened(zipped(*plain.items())) == [(f"a: {name}", plain[name]) for name in sorted(plain)]
        joined = b"".join(plain.values())
        if joined[:2] != b"\x1f\x8b" and joined[:4] != LOCAL:
            assert opened(b"".join(gzip.compress(one) for one in plain.values())) == [("a", joined)]


# -- gzip: what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [2, 9, 15, -9, -1])
def test_unpacked__gzip_that_is_cut_off__is_refused(kept: int) -> None:
    assert refusal(gzip.compress(b"balance " * 100)[:kept]).code == "archive-damaged"


@pytest.mark.parametrize("after", [b"x", b"\0\0x", bytes(200_000) + b"x", b"\x1f\x8b"])
def test_unpacked__something_after_the_gzip_stream__is_refused(after: bytes) -> None:
    assert refusal(gzip.compress(b"1") + after).code == "archive-damaged"


def test_unpacked__gzip_whose_checksum_does_not_hold__is_refused() -> None:
    data = gzip.compress(b"1000.00")
    for at in (-5, -1):  # its CRC, its length
        changed = bytearray(data)
        changed[at] ^= 1
        assert refusal(bytes(changed)).code == "archive-damaged"


def test_unpacked__gzip_of_very_many_members__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "_MAX_GZIP_MEMBERS", 10)
    assert opened(gzip.compress(b"1") * 10) == [("a", b"1" * 10)]
    assert refusal(gzip.compress(b"1") * 11).code == "archive-unsupported"


def test_unpacked__gzip_of_many_members__does_not_keep_what_it_has_read() -> None:
    document = Document.of("a", gzip.compress(b"1") * 10_000)
    tracemalloc.start()
    (content,) = unpacked([document], FORMAT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert content.size == 10_000
    assert peak < 8 * 1024 * 1024


# -- zip: what is refused --------------------------------------------------------------------------------------------


def test_unpacked__zip_cut_off_anywhere__is_refused() -> None:
    data = zipped(("b.xml", b"balance " * 9), ("c.xml", b"2"))
    for kept in range(4, len(data)):
        assert refusal(data[:kept]).code == "archive-damaged"


def test_unpacked__any_changed_bit_of_a_zip__is_refused_or_changes_nothing() -> None:
    data = zipped(("b.xml", b"1000.00"), method=zipfile.ZIP_STORED)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        if not changed.startswith(LOCAL):
            continue
        try:
            ((_, content),) = opened(bytes(changed))
        except SourceError:
            continue
        assert content == b"1000.00"


@pytest.mark.parametrize("mark", [LOCAL, CENTRAL])
@pytest.mark.parametrize("bit", [0x1, 0x40, 0x2000])
def test_unpacked__encrypted_member__is_refused_by_name(mark: bytes, bit: int) -> None:
    data = edited(zipped(("b.xml", b"1")), mark, 6 if mark == LOCAL else 8, "<H", bit)
    fault = refusal(data)
    assert fault.code == ("archive-encrypted" if mark == CENTRAL else "archive-damaged")
    assert "a: b.xml" in fault.message


@pytest.mark.parametrize(
    ("mark", "at", "form", "value"),
    [
        (CENTRAL, 8, "<H", 0x20),  # a patch
        (CENTRAL, 10, "<H", 12),  # bzip2
        (CENTRAL, 20, "<I", 0xFFFFFFFF),  # zip64
        (CENTRAL, 34, "<H", 1),  # on another disk
        (END, 10, "<H", 0xFFFF),
        (END, 12, "<I", 0xFFFFFFFF),
        (END, 4, "<H", 1),
        (END, 8, "<H", 2),
    ],
)
def test_unpacked__kind_of_zip_that_is_not_read_here__is_refused(mark: bytes, at: int, form: str, value: int) -> None:
    assert refusal(edited(zipped(("b.xml", b"1")), mark, at, form, value)).code == "archive-unsupported"


def test_unpacked__zip_with_a_zip64_locator__is_refused_as_what_it_is() -> None:
    data = zipped(("b.xml", b"1"))
    at = data.index(END)
    assert refusal(data[:at] + b"PK\x06\x07" + bytes(16) + data[at:]).code == "archive-unsupported"


def test_unpacked__zip_that_counts_other_members_than_it_has__is_refused() -> None:
    data = zipped(("b.xml", b"1"), ("c.xml", b"2"))
    for number in (1, 3):
        assert refusal(edited(edited(data, END, 8, "<H", number), END, 10, "<H", number)).code == "archive-damaged"


@pytest.mark.parametrize(
    ("mark", "at", "form", "value"),
    [
        (LOCAL, 8, "<H", 0),  # another method
        (LOCAL, 14, "<I", 1),  # another checksum
        (LOCAL, 22, "<I", 2),  # another size
        (LOCAL, 30, "<B", ord("c")),  # another name
        (CENTRAL, 16, "<I", 1),
        (CENTRAL, 24, "<I", 2),
        (CENTRAL, 42, "<I", 1),  # elsewhere
        (CENTRAL, 42, "<I", 1 << 30),
        (CENTRAL, 28, "<H", 500),
        (END, 16, "<I", 1),
        (END, 10, "<I", 0),
    ],
)
def test_unpacked__zip_that_says_two_things__is_refused(mark: bytes, at: int, form: str, value: int) -> None:
    assert refusal(edited(zipped(("b.xml", b"1")), mark, at, form, value)).code in (
        "archive-damaged",
        "archive-unsupported",
    )


@pytest.mark.parametrize("name", ["/b", "../b", "a/../b", "C:/b", "..\\b", "a//b", "b\x1b[31m", "b\u202e", "\u200b"])
def test_unpacked__member_name_that_leads_elsewhere_or_deceives__is_refused(name: str) -> None:
    fault = refusal(zipped((name, b"1")))
    assert fault.code == "archive-name"
    assert fault.message.isprintable()


def test_unpacked__member_name_that_is_not_utf_8__is_refused() -> None:
    data = zipped(("é", b"1"))
    assert refusal(data.replace("é".encode(), b"\xff\xff")).code == "archive-name"


def test_unpacked__member_twice__is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = zipped(("b.xml", b"1"), ("b.xml", b"2"))
    assert refusal(data).code == "archive-duplicate"


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped(("b.xml", data))], ids=["gzip", "zip"])
@pytest.mark.parametrize("inner", [gzip.compress(b"1", mtime=0), zipped(("c.xml", b"1"))], ids=["gzip", "zip"])
def test_unpacked__archive_within_an_archive__is_refused(pack: Callable[[bytes], bytes], inner: bytes) -> None:
    assert refusal(pack(inner)).code == "archive-nested"


@pytest.mark.parametrize("data", [gzip.compress(b"", mtime=0), zipped(("b.xml", b"")), zipped(("b/", b""))])
def test_unpacked__nothing_in_the_archive__is_refused(data: bytes) -> None:
    assert refusal(data).code == "file-empty"


def test_unpacked__folder_with_content__is_refused() -> None:
    assert refusal(zipped(("b", b"x" * 9)).replace(b"b", b"/")).code == "archive-name"
    assert refusal(zipped(("bc", b"x" * 9)).replace(b"bc", b"b/")).code == "archive-damaged"


def test_unpacked__bytes_that_belong_to_no_member__are_refused() -> None:
    data = zipped(("b.xml", b"1"), ("c.xml", b"2"))
    at = data.index(CENTRAL)
    hidden = edited(data[:at] + b"<balance>2</balance>" + data[at:], END, 16, "<I", at + 20)
    assert refusal(hidden).code == "archive-damaged"
    first = zipped(("x", b"0"))
    shifted = first[: first.index(CENTRAL)] + data
    # All offsets moved behind another local header, which the directory does not know.
    move = first.index(CENTRAL)
    for entry in [at for at in range(len(shifted)) if shifted[at : at + 4] == CENTRAL]:
        (old,) = struct.unpack_from("<I", shifted, entry + 42)
        shifted = shifted[: entry + 42] + struct.pack("<I", old + move) + shifted[entry + 46 :]
    shifted = edited(shifted, END, 16, "<I", at + move)
    assert zipfile.ZipFile(io.BytesIO(shifted)).namelist() == ["b.xml", "c.xml"]
    assert refusal(shifted).code == "archive-damaged"


def test_unpacked__overlapping_members__are_refused() -> None:
    data = zipped(("b.xml", b"1"), ("c.xml", b"2"))
    second = data.index(CENTRAL, data.index(CENTRAL) + 1)
    assert refusal(data[: second + 42] + bytes(4) + data[second + 46 :]).code == "archive-damaged"


def test_unpacked__member_that_inflates_to_more_than_it_declares__is_stopped() -> None:
    data = zipped(("b.xml", bytes(1 << 20)))
    small = edited(edited(data, LOCAL, 22, "<I", 10), CENTRAL, 24, "<I", 10)
    crc = zlib.crc32(bytes(10))
    assert refusal(edited(edited(small, LOCAL, 14, "<I", crc), CENTRAL, 16, "<I", crc)).code == "archive-damaged"


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped(("b.xml", data))])
def test_unpacked__more_than_the_format_takes__is_refused(pack: Callable[[bytes], bytes]) -> None:
    assert opened(pack(bytes(1 << 20)))[0][1] == bytes(1 << 20)
    assert refusal(pack(bytes((1 << 20) + 1))).code == "file-too-large"


def test_unpacked__more_than_all_may_have_together__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 25)
    assert len(opened(zipped(("b", b"x" * 12), ("c", b"x" * 13)))) == 2
    assert refusal(zipped(("b", b"x" * 12), ("c", b"x" * 14))).code == "file-too-large"
    documents = [Document.of(f"a{n}", gzip.compress(b"x" * 10)) for n in range(3)]
    with pytest.raises(SourceError, match="together"):
        unpacked(documents, FORMAT)


def test_unpacked__more_members_than_one_period_has__are_refused() -> None:
    members = [(f"{n:03}", b"1") for n in range(401)]
    assert len(opened(zipped(*members[:400]))) == 400
    assert refusal(zipped(*members)).code == "too-many-files"
    halves = [Document.of("a", zipped(*members[:200])), Document.of("a", zipped(*members[200:]))]
    with pytest.raises(SourceError) as caught:
        unpacked(halves, FORMAT)
    assert caught.value.code == "too-many-files"


def test_unpacked__directory_of_megabytes__is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(20):
            info = zipfile.ZipInfo(f"{n}")
            info.comment = bytes(60_000)
            archive.writestr(info, b"1")
    assert refusal(buffer.getvalue()).code == "file-too-large"
