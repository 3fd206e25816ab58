"""The XML reader against files meant to break it: a clear refusal, in bounded memory and time."""

from __future__ import annotations

import io
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


class Slowly(io.BytesIO):
    """A file that gives little at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self.size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.size)


def entries(data: bytes, size: int = 50) -> list[tuple[str, str]]:
    """What is reported of records ``N`` whose details stand after ``S``, and of ``A`` after them; ``data`` is given
    ``size`` bytes at a time."""
    found: list[tuple[str, str]] = []
    xml.read(
        Slowly(data, size),
        namespace=NAMESPACE,
        expected="a test",
        leaves={"R/N/B", "R/N/S", "R/N/S/C", "R/A"},
        containers={"R/N"},
        on_element=lambda path, text, attributes: found.append((path, text)),
        where="file.xml",
        last="R/N/S",
    )
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
    data = root("<X><Y>narrative</Y></X>" * 60_000 + "<A><B>1</B></A>")
    tracemalloc.start()
    try:
        assert elements(data) == [("R/A/B", "1", {}), ("R/A", "", {})]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) / 2


# -- what stands after the last that is asked for --------------------------------------------------------------------

DETAILS = "<B>no</B><S>no</S><D>Größe &amp; <N2 k='v>'/> _ ! </D>\n<A/>"
REPORTED = [("R/N/B", "1"), ("R/N/S", "x"), ("R/N", "")]


@pytest.mark.parametrize(
    "details",
    [
        DETAILS, "", "<D><![CDATA[</N><A>no</A><N>]]></D>", "<D><![CDATA[</S></N>]]></D>", "<N><S></S></N>",
        "<D>" + "</D><D>".join("x" * 300 for _ in range(1000)) + "</D>", "<_/>", "<d:D xmlns:d='urn:d'><d:N/></d:D>",
        "<![CDATA[</S>]]><D/>", "<![CDATA[</S> <D></D> </N> ]]>",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("encoding", "bom"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("iso-8859-1", b""), ("windows-1252", b""), ("utf-16", b"")],
)
def test_read__details_after_the_last_leaf__are_passed_over_whatever_they_are(
    details: str, encoding: str, bom: bytes
) -> None:
    entry = f"<N><B>1</B><S>x</S>{details}</N>"
    text = f"<?xml version='1.0' encoding='{encoding}'?>" + root(entry * 3 + "<A>2</A>").decode()
    assert entries(bom + text.encode(encoding)) == [*(REPORTED * 3), ("R/A", "2")]


def test_read__details_by_a_prefix__are_passed_over() -> None:
    text = root(f"<N><B>1</B><S><C>x</C></S>{DETAILS}</N><A>2</A>").decode()
    prefixed = re.sub(r"<(/?)(?=[A-Z])", r"<\1p:", text).replace("xmlns=", "xmlns:p=")
    assert entries(prefixed.encode()) == [("R/N/B", "1"), ("R/N/S/C", "x"), ("R/N/S", ""), ("R/N", ""), ("R/A", "2")]


@pytest.mark.parametrize("padding", range(0, 200, 7))
def test_read__details_across_the_pieces_that_a_file_is_read_in__are_passed_over(padding: int) -> None:
    entry = f"<N><B>1</B><S>x</S>{DETAILS}</N>"
    many = 140_000 // len(entry)
    assert entries(root("<X>" + "x" * padding + "</X>" + entry * many), 1 << 16) == REPORTED * many


@pytest.mark.parametrize(
    ("details", "code"),
    [
        ("<D>", "malformed-xml"), ("</D>", "malformed-xml"), ("<D></E>", "malformed-xml"), ("<D/>&x;", "malformed-xml"),
        ("</_><_>", "malformed-xml"), ("<_>", "malformed-xml"), ("]]>", "malformed-xml"), ("\x01", "malformed-xml"),
        ("<![CDATA[", "malformed-xml"), ("<D b='1' b='2'/>", "malformed-xml"),
        ("<D>" * 70 + "<!-- -->" + "</D>" * 70, "malformed-xml"), ("<!-- -->", "xml-refused"), ("<?p?>", "xml-refused"),
        ("<D><?p </N> ?></D>", "xml-refused"),
        ("<?p </N><A>no</A> ?>", "xml-refused"), ("<!-- </N><A>no</A> -->", "xml-refused"),
        ("<D k='</N><A>no</A>'/>", "malformed-xml"), ("<D><!-- </N> --></D>", "xml-refused"),
    ],
)  # fmt: skip
def test_read__details_that_are_refused__name_the_line(details: str, code: str) -> None:
    before = "<N><B>1</B><S>x</S>\n<D/>\n</N>" * 5
    with pytest.raises(SourceError) as caught:
        entries(root(f"{before}<N><S></S>\n{details}</N>"))
    assert caught.value.code == code
    assert "line 12" in caught.value.message or "too deeply" in caught.value.message


def test_read__end_tag_in_another_spelling__ends_the_element_all_the_same() -> None:
    spaced = root(f"<N><B>1</B><S>x</S>{DETAILS}</N ><N><B>2</B><S>y</S\n><D/></N><A>3</A>")
    assert entries(spaced) == [*REPORTED, ("R/N/B", "2"), ("R/N/S", "y"), ("R/N", ""), ("R/A", "3")]


@settings(max_examples=400)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                "<N>",
                "</N>",
                "<S>",
                "</S>",
                "<S/>",
                "<B>1</B>",
                "<D>",
                "</D>",
                "x",
                "<![CDATA[",
                "]]>",
                "<?p ",
                "?>",
                "<!--",
                "-->",
                "<D k='",
                "'>",
                "</N ><N>",
                "<A>2</A>",
            ]
        ),
        max_size=14,
    ),
    size=st.integers(1, 60),
)
def test_read__any_arrangement_of_details__reports_what_reading_them_one_by_one_does(
    parts: list[str], size: int
) -> None:
    data = root("<N><S>x</S>" + "".join(parts) + "</N><A>3</A>")

    def outcome(data: bytes) -> object:
        try:
            return entries(data, size)
        except SourceError as fault:
            return fault.code

    # In UTF-16 details are never passed over by their bytes.
    assert outcome(data) == outcome(data.decode().encode("utf-16"))


def test_read__other_leaves_in_a_leaf__are_reported_and_nothing_else_is_taken() -> None:
    assert entries(root("<N><S> <C>x</C> </S></N>"))[:2] == [("R/N/S/C", "x"), ("R/N/S", "")]
    assert refusal_of_entries("<N><S><D/></S></N>").code == "malformed-xml"
    assert refusal_of_entries(f"<N><S>{'<C>x</C>' * (xml.MAX_TEXT + 1)}</S></N>").code == "malformed-xml"


def refusal_of_entries(body: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        entries(root(body))
    return caught.value


# -- bounds ----------------------------------------------------------------------------------------------------------


def measured(data: bytes) -> int:
    """The most memory that reading entries takes beyond ``data``, whether they are read or refused."""
    tracemalloc.start()
    try:
        entries(data, 1 << 16)
    except SourceError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


def _numbered(pattern: str, count: int) -> str:
    return "".join(pattern.format(number) for number in range(count))


@pytest.mark.parametrize(
    "body",
    [
        _numbered("<x{0}/>", 15_000),
        _numbered("<X y{0}=''/>", 15_000),
        _numbered("<X xmlns:y{0}='u'/>", 15_000),
        _numbered("<X xmlns='u{0}'/>", 15_000),
        _numbered("<N><S></S><x{0}/></N>", 15_000),
        _numbered("<N><S></S><X y{0}=''/></N>", 15_000),
        "<N><S></S>" + "<x>" * 300_000,
        "<N><S></S>" + ("<x>" * 20_000 + "</N>") * 20,
        "<N><S></S>" + ("<x>" * 10_000 + "</x>" * 10_000 + "</N><N><S></S>") * 20,
        "<N><S></S>" + "</S>" * 300_000,
        "<N><S></S>" + "x" * 3_000_000,
        "<X><![CDATA[" + "x" * 3_000_000 + "]]></X>",
        "<X y='" + "x" * 3_000_000 + "'/>",
        "<X>" + "\n" * 3_000_000 + "</X>",
    ],
    ids=lambda body: str(body)[:30],
)
def test_read__anything_without_end__takes_bounded_memory(body: str) -> None:
    assert measured(root(body)) < 16_000_000


def test_read__more_names_than_any_message_has__are_refused() -> None:
    assert refusal(root(_numbered("<x{0}/>", xml.MAX_NAMES + 10))).code == "malformed-xml"
    assert elements(root(_numbered("<x{0}/>", 1_000))) == []


@pytest.mark.parametrize("declaration", ["<?xml version='1.1'?>", "<?xml version='1.0' encoding='utf-7'?>"])
def test_read__another_version_or_encoding_of_xml__is_refused(declaration: str) -> None:
    assert refusal(root("", declaration)).code == "malformed-xml"


def test_read__large_file_with_details__takes_the_same_memory_as_a_small_one() -> None:
    entry = f"<N><B>1</B><S>x</S>{DETAILS * 5}</N>"
    data = root(entry * 8_000)
    tracemalloc.start()
    try:
        xml.read(
            Slowly(data, 1 << 16),
            namespace=NAMESPACE,
            expected="a test",
            leaves={"R/N/S"},
            containers=set(),
            on_element=lambda *_: None,
            where="file.xml",
            last="R/N/S",
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # BytesIO shares the bytes that it is made of until they are changed.
    assert peak < 1_000_000 < len(data) / 2
