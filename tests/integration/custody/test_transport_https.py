"""Documents at URLs, from a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.config import HttpConnection, StatementSignature
from attest.custody.reach import Reach
from attest.custody.transport import fetch
from attest.errors import SourceError
from tests.support.replay import Answer, Authority, Hidden, Replay, asking, connecting, reaching

SIGNED = StatementSignature(kind="pgp", key="bank.asc")


@pytest.fixture
def reach(tmp_path: Path) -> Iterator[Reach]:
    with reaching(tmp_path) as reach:
        yield reach


def refusal(location: str, reach: Reach, connection: HttpConnection | None = None, **more: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(asking(location, connection), reach, **more)
    assert "account ops, source bank" in caught.value.message or more
    assert "hunter2" not in "".join(map(str, caught.value.as_json().values()))
    return caught.value


def test_fetch__url__is_its_document_with_the_server_s_own_facts(reach: Reach) -> None:
    answer = Answer(b"<xml/>", headers={"ETag": '"v7"', "Last-Modified": "Fri, 20 Nov 2026 20:00:00 GMT"})
    with Replay({"/2026-W47.xml?sig=hunter2": answer}) as server:
        (document,) = fetch(asking(f"{server.url}/2026-W47.xml?sig=hunter2"), reach)
    assert document.read(100) == b"<xml/>"
    assert document.name == f"{server.url}/2026-W47.xml"
    assert 'etag: "v7"; last-modified: Fri, 20 Nov 2026 20:00:00 GMT' in document.provenance
    assert "hunter2" not in document.provenance


def test_fetch__connection__brings_its_credentials_and_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    connection = connecting(tmp_path, ca_file=authority.file.name, bearer=Hidden("hunter2"))
    with Replay({"/a.xml": Answer(b"x")}, tls=authority.server()) as server, reaching(tmp_path) as reach:
        assert len(fetch(asking(f"{server.url}/a.xml", connection), reach)) == 1
        assert server.requests[0].headers["authorization"] == "Bearer hunter2"
        assert refusal(f"{server.url}/a.xml", reach).code == "http-tls"


def test_fetch__nothing_at_the_url__is_a_missing_file_shown_without_its_query(reach: Reach) -> None:
    with Replay({}) as server:
        fault = refusal(f"{server.url}/a.xml?sig=hunter2", reach)
    assert fault.code == "file-missing"
    assert f"{server.url}/a.xml: " in fault.message


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(b"", 200), "file-empty"),
        (Answer(b"x", 403), "http-unauthorized"),
        (Answer(b"", 302, {"Location": "https://elsewhere.example/"}), "http-redirect"),
    ],
)
def test_fetch__answer_that_is_no_document__is_refused(reach: Reach, answer: Answer, code: str) -> None:
    with Replay({"/a.xml": answer}) as server, pytest.raises(SourceError) as caught:
        fetch(asking(f"{server.url}/a.xml"), reach)
    assert caught.value.code == code


def test_fetch__signed_document__is_followed_by_the_signature_at_the_url_beside_it(reach: Reach) -> None:
    with Replay({"/a.xml?k=1": Answer(b"x"), "/a.xml.sig?k=1": Answer(b"signature")}) as server:
        documents = fetch(asking(f"{server.url}/a.xml?k=1"), reach, SIGNED)
        assert [one.read(100) for one in documents] == [b"x", b"signature"]
        del server.routes["/a.xml.sig?k=1"]
        fault = refusal(f"{server.url}/a.xml?k=1", reach, signature=SIGNED)
    assert fault.code == "signature-missing"
    assert f"{server.url}/a.xml.sig: " in fault.message
