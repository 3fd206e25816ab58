"""The XML reader against files meant to break it: a clear refusal, in bounded memory and time."""

from __future__ import annotations

import io
import re
import time
import tracemalloc

import pytest

from attest.custody import xml
from attest.errors import SourceError

NAMESPACE = re.compile("urn:test")


def elements(data: bytes) -> list[tuple[str, str, dict[str, str]]]:
    found: list[tuple[str, str, dict[str, str]]] = []
    namespace = xml.read(
        io.BytesIO(data),
        namespace=NAMESPACE,
        expected="a test",
        leaves={"R/A/B"},
        containers={"R/A"},
        on_element=lambda path, text, attributes: found.append((path, text, dict(attributes))),
        where="file.xml",
    )
    assert namespace == "urn:test"
    return found


def refusal(data: bytes) -> SourceError:
    with pytest.raises(SourceError) as caught:
        elements(data)
    assert caught.value.message.startswith("file.xml: ")
    return caught.value


def root(body: str, prolog: str = "") -> bytes:
    return f'{prolog}<R xmlns="urn:test">{body}</R>'.encode()


def test_read__wanted_elements__are_reported_as_they_end_and_others_skipped() -> None:
    data = root('<X><A><B>no</B></A></X><A>\n<B k="v"> x\ty </B><C><B>no</B></C></A><B>no</B>')
    assert elements(data) == [("R/A/B", "x\ty", {"k": "v"}), ("R/A", "", {})]


def test_read__elements_of_another_namespace__are_skipped() -> None:
    assert elements(root('<A xmlns="urn:other"><B>1</B></A><o:A xmlns:o="urn:other"><o:B>1</o:B></o:A>')) == []


BILLION_LAUGHS = "<!DOCTYPE R [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(12)
) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        root("<A><B>&m;</B></A>", BILLION_LAUGHS),
        root("<A><B>&x;</B></A>", "<!DOCTYPE R [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"),
        root("<A><B>1</B></A>", "<!DOCTYPE R SYSTEM 'http://127.0.0.1:9/x.dtd'>"),
        root("<A><B>1</B></A>", "<!DOCTYPE R [<!ENTITY % p SYSTEM 'http://127.0.0.1:9/x'> %p;]>"),
        root("<A><B>1</B></A>", "<!DOCTYPE R>"),
        root("<A><B>1<!-- -->2</B></A>"),
        root("<X><!-- anywhere --></X>"),
        root("<A><B>1<?pi x?>2</B></A>"),
        root("", "<?xml-stylesheet href='x'?>"),
    ],
)
def test_read__document_type_comment_or_instruction__is_refused_naming_the_line(data: bytes) -> None:
    fault = refusal(data)
    assert fault.code == "xml-refused"
    assert "line 1" in fault.message


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"not xml", b"<R xmlns='urn:test'>", b"<R xmlns='urn:test'></S>", root("&nbsp;"), root("&#0;"),
        root("") + root(""), root("<A><B>1</B></A>")[:-1], root("<A b='1' b='2'/>"), b"<x:R/>", root("\x01"),
        root("<A><B>\xff</B></A>").replace("\xff".encode(), b"\xff"), b"\x00" * 100, root("<A><B>1<C/></B></A>"),
        root("", "<?xml version='1.0' encoding='utf-7'?>"), root("", "<?xml version='1.0' encoding='cp037'?>"),
        root("", "<?xml version='1.0' encoding='shift_jis'?>"), b"PK\x03\x04" + b"\x00" * 30,
    ],
)  # fmt: skip
def test_read__what_is_not_well_formed__is_refused(data: bytes) -> None:
    assert refusal(data).code == "malformed-xml"


@pytest.mark.parametrize("data", [b"<R/>", b"<Q xmlns='urn:test'/>", b"<R xmlns='urn:test2'/>"])
def test_read__another_root__is_refused(data: bytes) -> None:
    assert refusal(data).code == "wrong-document"


@pytest.mark.parametrize(("depth", "accepted"), [(xml.MAX_DEPTH, True), (xml.MAX_DEPTH + 1, False), (100_000, False)])
def test_read__depth_at_its_bound__is_read_and_beyond_refused(depth: int, accepted: bool) -> None:
    data = root("<x>" * depth + "</x>" * depth)
    if accepted:
        assert elements(data) == []
    else:
        assert refusal(data).code == "malformed-xml"


@pytest.mark.parametrize(("length", "accepted"), [(xml.MAX_TEXT, True), (xml.MAX_TEXT + 1, False), (5_000_000, False)])
def test_read__text_at_its_bound__is_read_and_beyond_refused(length: int, accepted: bool) -> None:
    data = root(f"<A><B>{'x' * length}</B></A>")
    if accepted:
        assert len(elements(data)[0][1]) == length
    else:
        assert refusal(data).code == "malformed-xml"


def test_read__text_in_many_small_pieces__is_bounded_all_the_same() -> None:
    assert refusal(root(f"<A><B>{'&#65;' * (xml.MAX_TEXT + 1)}</B></A>")).code == "malformed-xml"


@pytest.mark.parametrize(
    ("begin", "end"), [("<A b='", "'/>"), ("<A><B>", "</B></A>"), ("<!--", "-->"), ("<?p ", "?>"), ("<A", "/>")]
)
def test_read__a_token_of_twenty_megabytes__is_refused_in_bounded_time_and_memory(begin: str, end: str) -> None:
    data = root(begin + "x" * 20_000_000 + end)
    started = time.process_time()
    tracemalloc.start()
    try:
        assert refusal(data).code == "malformed-xml"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 5
    assert peak < 16_000_000


def test_read__a_large_file__takes_memory_for_what_is_wanted_only() -> None:
    data = root("<X><Y>narrative</Y></X>" * 150_000 + "<A><B>1</B></A>")
    tracemalloc.start()
    try:
        assert elements(data) == [("R/A/B", "1", {}), ("R/A", "", {})]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) / 2
