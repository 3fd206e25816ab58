"""Transports: every document that a location names, or a refusal that names it. Here without any network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.config import (
    Account,
    AzureConnection,
    GcsConnection,
    HttpConnection,
    S3Connection,
    SftpConnection,
    StatementSignature,
)
from attest.custody import collector, transport
from attest.custody.document import MAX_BYTES, Document
from attest.custody.location import check_encrypted, matches, provenance, select, shown
from attest.custody.reach import Reach
from attest.custody.transport import TRANSPORTS, check_location, fetch
from attest.custody.transports.file import read_file
from attest.errors import OperatorError, SourceError, printable
from tests.support.replay import CUTOFF, asking, reaching

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
SFTP = SftpConnection(kind="sftp", user="issuer", host_key=HOST_KEY, password="env:X")
AZURE = AzureConnection(kind="azure", account="bank")


@pytest.fixture
def reach(tmp_path: Path) -> Iterator[Reach]:
    with reaching(tmp_path) as reach:
        yield reach


def write(base: Path, name: str, data: bytes = b"x") -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(location: str, reach: Reach, signature: StatementSignature | None = None) -> list[tuple[str, bytes]]:
    return [(one.name, one.read(1 << 20)) for one in fetch(asking(location), reach, signature)]


def refusal(location: str, reach: Reach, signature: StatementSignature | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(asking(location), reach, signature)
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- files -----------------------------------------------------------------------------------------------------------


def test_fetch__path__is_that_file(tmp_path: Path, reach: Reach) -> None:
    path = write(tmp_path, "statements/2026-W47/a.xml", b"bytes")
    assert read("statements/2026-W47/a.xml", reach) == [(str(path), b"bytes")]


@pytest.mark.parametrize("scheme", ["", "file://", "FILE://"])
def test_fetch__absolute_path_or_glob__does_not_depend_on_the_base(tmp_path: Path, scheme: str) -> None:
    path = write(tmp_path, "a.xml")
    with reaching(Path("/nowhere")) as reach:
        assert read(f"{scheme}{path}", reach) == [(str(path), b"x")]
        assert read(f"{scheme}{tmp_path}/*.xml", reach) == [(str(path), b"x")]


def test_fetch__glob__is_every_match_sorted_by_name(tmp_path: Path, reach: Reach) -> None:
    for name in ("b.xml", "a.xml", "c.csv", "below/d.xml", ".hidden.xml"):
        write(tmp_path, name, name.encode())
    assert [data for _, data in read("*.xml", reach)] == [b"a.xml", b"b.xml"]
    assert [data for _, data in read("**/*.xml", reach)] == [b"a.xml", b"b.xml", b"below/d.xml"]


def test_fetch__base_that_looks_like_a_glob__is_taken_literally(tmp_path: Path) -> None:
    write(tmp_path, "[x]/a.xml")
    with reaching(tmp_path / "[x]") as reach:
        assert len(read("*.xml", reach)) == 1


@pytest.mark.parametrize("location", ["2026-W47.xml", "2026-*.xml", "nowhere/a.xml"])
def test_fetch__missing_file__is_refused_by_name(reach: Reach, location: str) -> None:
    fault = refusal(location, reach)
    assert fault.code == "file-missing"
    assert location in fault.message


def test_fetch__empty_file__is_refused(tmp_path: Path, reach: Reach) -> None:
    write(tmp_path, "a.xml", b"")
    assert refusal("a.xml", reach).code == "file-empty"


@pytest.mark.parametrize("location", ["folder", "fold*"])
def test_fetch__folder__is_refused(tmp_path: Path, reach: Reach, location: str) -> None:
    (tmp_path / "folder").mkdir()
    fault = refusal(location, reach)
    assert fault.code == "not-a-file"
    assert "a folder" in fault.message


def test_fetch__pipe__is_refused_without_waiting_for_a_writer(tmp_path: Path, reach: Reach) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal("pipe", reach).code == "not-a-file"


def test_fetch__device_without_end__is_refused(reach: Reach) -> None:
    assert refusal("/dev/zero", reach).code == "not-a-file"


@pytest.mark.parametrize("location", ["file.txt/below.xml", "x" * 300, "loop"])
def test_fetch__path_that_cannot_be_opened__is_refused(tmp_path: Path, reach: Reach, location: str) -> None:
    write(tmp_path, "file.txt")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    fault = refusal(location, reach)
    assert fault.code == "file-unreadable"
    assert location in fault.message


def test_read_file__name_with_a_nul__is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        read_file(tmp_path / "a\0b")
    assert caught.value.code == "file-unreadable"


def test_fetch__file_that_fails_while_it_is_read__is_refused(reach: Reach) -> None:
    # A process's memory is a regular file whose first page cannot be read.
    assert refusal("/proc/self/mem", reach).code == "file-unreadable"


@pytest.mark.parametrize("written", [b"other bytes of one length", b"much longer than it was before, by far"])
def test_fetch__file_that_is_written_meanwhile__is_refused(
    tmp_path: Path, reach: Reach, monkeypatch: pytest.MonkeyPatch, written: bytes
) -> None:
    path = write(tmp_path, "a.xml", b"bytes that stood there so")
    os.utime(path, (0, 0))
    honest = os.read

    def read_and_write(descriptor: int, size: int) -> bytes:
        data = honest(descriptor, size)
        if data.startswith(b"bytes"):
            path.write_bytes(written)
        return data

    monkeypatch.setattr(os, "read", read_and_write)
    fault = refusal("a.xml", reach)
    assert fault.code == "file-changed"
    assert str(path) in fault.message


def test_fetch__file_larger_than_the_cap__is_refused(tmp_path: Path, reach: Reach) -> None:
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    fault = refusal("a.xml", reach)
    assert fault.code == "file-too-large"
    assert "512 MiB" in fault.message


def test_fetch__more_files_than_one_period_has__are_refused(tmp_path: Path, reach: Reach) -> None:
    for number in range(401):
        write(tmp_path, f"{number:03}.xml")
    assert len(read("[0-3]*.xml", reach)) == 400
    assert refusal("*.xml", reach).code == "too-many-files"


def test_fetch__terminal_escape_in_a_file_name__is_shown_escaped(tmp_path: Path, reach: Reach) -> None:
    write(tmp_path, "a\x1b[31m.xml")
    ((name, _),) = read("*.xml", reach)
    assert name.endswith("a\\x1b[31m.xml")
    write(tmp_path, "b\u202e.xml", b"")
    assert "b\\u202e.xml" in refusal("b*.xml", reach).message


def test_printable__text__is_kept_and_what_cannot_be_seen_escaped() -> None:
    assert printable("Größe 1") == "Größe 1"
    assert printable("a\x9bb\ud800") == "a\\x9bb\\ud800"


# -- signatures beside documents -------------------------------------------------------------------------------------

SIGNED = StatementSignature(kind="pgp", key="bank.asc")


def test_fetch__signed_documents__are_each_followed_by_their_signature(tmp_path: Path, reach: Reach) -> None:
    for name in ("b.xml", "b.xml.sig", "a.xml", "a.xml.sig", "what?.xml", "what?.xml.sig"):
        write(tmp_path, name, name.encode())
    signed = [b"a.xml", b"a.xml.sig", b"b.xml", b"b.xml.sig", b"what?.xml", b"what?.xml.sig"]
    assert [data for _, data in read("*.xml", reach, SIGNED)] == signed
    assert [data for _, data in read("*", reach, SIGNED)] == signed
    assert [data for _, data in read("a.xml", reach, SIGNED)] == signed[:2]


def test_fetch__document_without_signature__is_refused_by_name(tmp_path: Path, reach: Reach) -> None:
    write(tmp_path, "a.xml")
    fault = refusal("*.xml", reach, SIGNED)
    assert fault.code == "signature-missing"
    assert "a.xml.sig" in fault.message


def test_fetch__signature_that_cannot_be_read__is_refused_as_such(tmp_path: Path, reach: Reach) -> None:
    write(tmp_path, "a.xml")
    write(tmp_path, "a.xml.sig", b"")
    assert refusal("a.xml", reach, SIGNED).code == "file-empty"


def test_fetch__signatures_alone__are_no_documents(tmp_path: Path, reach: Reach) -> None:
    write(tmp_path, "a.xml.sig")
    assert refusal("*", reach, SIGNED).code == "file-missing"


def test_fetch__signature_of_a_url__has_the_same_query(monkeypatch: pytest.MonkeyPatch, reach: Reach) -> None:
    asked = []

    def send(call: Any, **_: Any) -> Document:
        asked.append(call().url)
        return Document.of(call().url, b"x")

    monkeypatch.setattr(reach.http, "send", send)
    assert len(fetch(asking("https://bank.example/a.xml?k=1"), reach, SIGNED)) == 2
    assert asked == ["https://bank.example/a.xml?k=1", "https://bank.example/a.xml.sig?k=1"]


# -- locations -------------------------------------------------------------------------------------------------------


def check(location: str, connection: Any = None) -> OperatorError | None:
    try:
        check_location(location, connection, "accounts.a.sources.b")
    except OperatorError as caught:
        fault = caught
    else:
        return None
    assert fault.message.startswith("accounts.a.sources.b: ")
    assert fault.message.isprintable()
    assert fault.advice
    return fault


GOOD: list[tuple[str, Any]] = [
    ("statements/{period}/*.xml", None),
    ("https://bank.example/{period}.xml", None),
    ("HTTPS://bank.example:8443/a?from={period}", HttpConnection(kind="http", bearer="env:T")),
    ("http://localhost:8080/a", None),
    ("http://127.0.0.1/a", None),
    ("http://[::1]/a", None),
    ("s3://bucket/{period}/**/*.xml", None),
    ("s3://bucket/a b", S3Connection(kind="s3", region="eu-central-1", endpoint="http://127.0.0.1:9000")),
    ("az://box/a.xml", AZURE),
    ("gs://bucket/*.xml", GcsConnection(kind="gcs")),
    ("gs://bucket/a.xml", None),
    ("sftp://bank.example/out/*.xml", SFTP),
    ("sftp://bank.example:2222/~/a.xml", SFTP),
    ("sftp://[2001:db8::1]:22/a", SFTP),
]


@pytest.mark.parametrize(("location", "connection"), GOOD)
def test_check_location__good_one__passes_and_reaches_nothing(location: str, connection: Any) -> None:
    assert check(location, connection) is None


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("", "is empty"),
        ("file://", "is empty"),
        ("a\0b", "NUL"),
        ("http://bank.example/a", "use https"),
        ("http://10.0.0.1/a", "use https"),
        ("http://localhost.example/a", "use https"),
        ("statements/{week}/a.xml", "{week} stands for nothing here; only {period} is replaced"),
        ("s3://bucket/{period}/{DATE}.xml", "{DATE} stands for nothing here"),
        ("https://", "names no server"),
        ("https://[::1/a", "names no server"),
        ("https://bank.example:hunter2/a", "malformed port"),
        ("https://bank.example:0/a", "malformed port"),
        ("https://me:hunter2@bank.example/a", "credentials"),
        ("https://me@bank.example/a", "credentials"),
        ("https://bank.example/a b", "percent-encode"),
        ("https://bank.example/é", "percent-encode"),
        ("https://bank.example/a\n", "percent-encode"),
        ("https://bank.example/a#b", "fragment"),
        ("https://bank.example/*.xml", "no patterns"),
        ("s3://", "s3://BUCKET/KEY"),
        ("s3://b*/a", "s3://BUCKET/KEY"),
        ("s3://bucket", "names a folder"),
        ("s3://bucket/", "names a folder"),
        ("s3://bucket/a/", "names a folder"),
        ("s3://bucket/a\u202eb", "invisible"),
        ("gs://bucket", "names a folder"),
        ("gs:///a", "gs://BUCKET/PATH"),
        ("gs://bucket/a//b", "empty part"),
        ("gs://bucket/a/../b", "empty part"),
        ("gs://bucket/a\x1b", "invisible"),
    ],
)
def test_check_location__malformed_one__is_refused_and_shows_no_password(location: str, says: str) -> None:
    fault = check(location)
    assert fault is not None
    assert fault.code == "malformed-location"
    assert says in fault.message
    if "@" in location:
        assert "hunter2" not in fault.message + fault.advice


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("sftp://bank.example", "sftp://HOST"),
        ("sftp://bank.example/", "sftp://HOST"),
        ("sftp://me@bank.example/a", "the user stands in the connection"),
        ("sftp://me:hunter2@bank.example/a", "the user stands in the connection"),
        ("sftp://bank.example:0/a", "sftp://HOST"),
        ("sftp://bank.example:70000/a", "sftp://HOST"),
        ("sftp://-oProxyCommand=x/a", "sftp://HOST"),
        ("sftp://bank.example/out/", "names a folder"),
        ("sftp://bank.example/**/a", "no ** patterns"),
        ("sftp://bank.example/a\x1b", "invisible"),
    ],
)
def test_check_location__malformed_sftp_location__is_refused(location: str, says: str) -> None:
    fault = check(location, SFTP)
    assert fault is not None
    assert says in fault.message
    assert "hunter2" not in fault.message


@pytest.mark.parametrize(
    ("location", "connection", "advice"),
    [
        ("a.xml", SFTP, "Leave `connection` out"),
        ("https://bank.example/a", SFTP, 'kind = "http"'),
        ("s3://bucket/a", AZURE, 'kind = "s3"'),
        ("az://box/a", None, 'kind = "azure"'),
        ("gs://bucket/a", AZURE, 'kind = "gcs"'),
        ("sftp://bank.example/a", None, 'kind = "sftp"'),
    ],
)
def test_check_location__connection_of_another_kind__is_refused(location: str, connection: Any, advice: str) -> None:
    fault = check(location, connection)
    assert fault is not None
    assert fault.code == "wrong-connection"
    assert advice in fault.advice


@pytest.mark.parametrize(
    ("location", "connection"),
    [
        ("s3://bucket/a", S3Connection(kind="s3", endpoint="http://minio.internal:9000")),
        ("az://box/a", AZURE.model_copy(update={"endpoint": "http://azurite:10000/x"})),
    ],
)
def test_check_location__cloud_over_plain_http__is_refused(location: str, connection: Any) -> None:
    fault = check(location, connection)
    assert fault is not None
    assert "use https" in fault.message


def test_check_location__transport_that_does_not_exist__is_refused_and_the_known_ones_named() -> None:
    fault = check("ftp://me:hunter2@host/x")
    assert fault is not None
    assert fault.code == "unknown-transport"
    assert ", ".join(TRANSPORTS) in fault.advice
    assert "hunter2" not in fault.message


def test_fetch__location_that_cannot_work__is_refused_before_anything_is_reached(reach: Reach) -> None:
    with pytest.raises(OperatorError):
        fetch(asking("http://bank.example/a"), reach)


def test_transports__each__has_its_module() -> None:
    for known in TRANSPORTS.values():
        assert callable(known.load().check)
        assert callable(known.load().fetch)


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("a/b?.xml", "a/b?.xml"),
        ("file:///a@b?c", "file:///a@b?c"),
        ("https://bank.example/a?sig=secret#x", "https://bank.example/a"),
        ("https://bank.example?sig=secret", "https://bank.example"),
        ("https://me:secret@bank.example/a", "https://bank.example/a"),
        ("sftp://me:secret@host/a?.xml", "sftp://host/a?.xml"),
        ("s3://bucket/a#1?.xml", "s3://bucket/a#1?.xml"),
        ("s3://bucket/\x1b", "s3://bucket/\\x1b"),
    ],
)
def test_shown__location__has_no_credentials(location: str, seen: str) -> None:
    assert shown(location) == seen


def test_check_encrypted__plain_http__is_for_this_machine_only() -> None:
    for url in ("https://x", "http://localhost", "http://127.8.0.1:1/x", "http://[::1]:1"):
        check_encrypted(url)
    for url in ("http://x", "http://0.0.0.0", "http://[::2]", "http://127.0.0.1.example", "http://"):
        with pytest.raises(ValueError, match="https"):
            check_encrypted(url)


def test_provenance__facts__are_told_and_what_is_not_known_left_out() -> None:
    assert provenance(version_id="7", etag=None, last_modified=CUTOFF) == (
        "version-id: 7; last-modified: 2026-11-22T23:59:59Z"
    )
    assert provenance(etag="\x1b" + "x" * 600).startswith("etag: \\x1bxxx")
    assert provenance(etag=None) == ""


# -- patterns over names, where there is no file system --------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names", "found"),
    [
        ("a/*.xml", ["a/1.xml", "a/b/2.xml", "a/.3.xml", "a/4.XML", "b/5.xml"], ["a/1.xml"]),
        ("a/**/*.xml", ["a/1.xml", "a/b/2.xml", "a/b/c/3.xml", "a/.b/4.xml"], ["a/1.xml", "a/b/2.xml", "a/b/c/3.xml"]),
        ("**", ["a", "b/c", ".d"], ["a", "b/c"]),
        ("a/**", ["a", "a/b", "a/b/c", "a/.d", "b"], ["a/b", "a/b/c"]),
        ("a**.xml", ["a1.xml", "a/b.xml"], ["a1.xml"]),
        ("2026-W4[0-7].xml", ["2026-W47.xml", "2026-W48.xml"], ["2026-W47.xml"]),
        ("?.xml", ["a.xml", "/.xml", "ab.xml"], ["a.xml"]),
        (".*", [".a", "a"], [".a"]),
        ("[*].xml", ["*.xml", "a.xml"], ["*.xml"]),
    ],
)
def test_matches__pattern__means_what_a_file_glob_means(pattern: str, names: list[str], found: list[str]) -> None:
    assert [name for name in names if matches(name, pattern)] == found


@given(
    st.lists(st.sampled_from(["a", "b", ".h", "x.xml"]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "*", "**", "?", "*.xml", ".*"]), min_size=1, max_size=4),
)
def test_matches__any_name_and_pattern__agree_with_the_file_system(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], patterns: list[str]
) -> None:
    base = tmp_path_factory.mktemp("tree")
    write(base, "/".join(names))
    with reaching(base) as reach:
        try:
            found = read("/".join(patterns), reach)
        except SourceError as fault:
            found = [] if fault.code == "file-missing" else None
    # Folders are matched by file globs, too, and refused.
    if found is not None and "*" in "".join(patterns):
        assert bool(found) == matches("/".join(names), "/".join(patterns))


def test_select__names__are_sorted_and_none_or_too_many_refused() -> None:
    assert select("s3://b/*", iter(["b", "a", "c/d"]), "*") == ["a", "b"]
    with pytest.raises(SourceError, match=r"s3://b/\*: nothing matches") as caught:
        select("s3://b/*", [], "*")
    assert caught.value.code == "file-missing"
    endless = (str(number) for number in range(10**12))
    with pytest.raises(SourceError) as caught:
        select("s3://b/*", endless, "*")
    assert caught.value.code == "too-many-files"


# -- the newest statement --------------------------------------------------------------------------------------------


def test_observe__two_files__takes_the_newest_by_the_date_in_it_whatever_the_files_ages(
    tmp_path: Path, reach: Reach
) -> None:
    options = {"account_column": "a", "amount_column": "m", "currency": "USD", "date_column": "d"}
    source = {"id": "one", "origin": "one", "format": "csv", "location": "*.csv", "options": options}
    account = Account.model_validate(
        {"token": "USDW", "custodian": "Bank", "external_account": "1", "currency": "USD", "sources": (source,)}
    )
    newer = write(tmp_path, "a.csv", b"a,m,d\n1,200.00,2026-11-20\n")
    older = write(tmp_path, "b.csv", b"a,m,d\n1,100.00,2026-11-19\n")
    for old, young in ((newer, older), (older, newer)):
        os.utime(old, (1, 1))
        os.utime(young, (2_000_000_000, 2_000_000_000))
        fetched = transport.fetch(asking("*.csv"), reach)
        seen = collector.observe("main", account, account.sources[0], fetched, CUTOFF, CUTOFF, base=tmp_path)
        assert (seen.minor_units, seen.business_date) == (20000, "2026-11-20")
