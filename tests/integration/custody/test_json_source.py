"""A JSON API as a source: asked page by page, kept as it answered, and read again from what was kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stamina

from attest.custody import formats
from attest.custody.apis import json_api
from attest.custody.document import Document
from attest.errors import OperatorError, SourceError
from tests.support.replay import CUTOFF, Answer, Hidden, Replay, asking, connecting, ok, reaching

LIST: dict[str, object] = {"items": "/l", "account": "/a", "amount": "/v", "currency_is": "EUR", "as_of": "/d"}
RETRIEVED = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


def fetch(base: Path, location: str, options: dict[str, object], **asked: Any) -> tuple[Document, ...]:
    known = formats.find("json", "w")
    assert known.fetch is not None
    connection = connecting(base, bearer=Hidden("secret-token"))
    settings = formats.check_options("json", options, "w")
    with reaching(base) as reach:
        return tuple(known.fetch(replace(asking(location, connection), **asked), settings, reach))


def refused(base: Path, location: str, options: dict[str, object]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(base, location, options)
    assert "account ops, source bank" in caught.value.message
    return caught.value


def row(account: str) -> dict[str, str]:
    return {"a": account, "v": "1.00", "d": "2026-11-20"}


def test_fetch__one_answer__is_kept_byte_for_byte_and_holds_no_secret(tmp_path: Path) -> None:
    body = '{"l": [ {"a":"A","v":1.10,"d":"2026-11-20"} ]}\r\n'
    with Replay({"/balances": ok(text=body)}) as server:
        (document,) = fetch(tmp_path, f"{server.url}/balances?key=k1", LIST)
    assert document.read(1000) == body.encode()
    assert document.name == f"{server.url}/balances"
    assert server.requests[0].headers["authorization"] == "Bearer secret-token"
    assert server.requests[0].headers["accept"] == "application/json"
    (balance,) = formats.read("json", [document], LIST, zone=None, retrieved_at=RETRIEVED)
    assert balance.minor_units == 110


def test_fetch__location_and_body__say_what_is_asked(tmp_path: Path) -> None:
    options = LIST | {"method": "POST", "body": '{"iban": "{account}", "at": "{cutoff}", "week": "{period}"}'}
    with Replay({"POST /q/DE%2F%22/2026-11-22": ok({"l": []})}) as server:
        fetch(tmp_path, f"{server.url}/q/{{account}}/{{date}}", options, external_account='DE/"')
        (request,) = server.requests
    assert json.loads(request.body) == {"iban": 'DE/"', "at": "2026-11-22T23:59:59Z", "week": "2026-W47"}
    assert request.headers["content-type"] == "application/json"


def test_fetch__date__is_the_last_day_that_is_over_where_the_account_is(tmp_path: Path) -> None:
    with Replay({"/2026-11-21": ok({"l": []})}) as server:
        assert fetch(tmp_path, f"{server.url}/{{date}}", LIST, zone="America/New_York")


@pytest.mark.parametrize("way", ["cursor", "url", "last_page", "total"])
def test_fetch__pages__are_all_asked_for_and_all_kept(tmp_path: Path, way: str) -> None:
    more = {
        "cursor": {"next": "/next", "cursor_parameter": "after"},
        "url": {"next": "/link"},
        "last_page": {"page_parameter": "page", "last_page": "/last"},
        "total": {"page_parameter": "page", "total": "/all", "first_page": "0"},
    }[way]
    facts = {"last": 3, "all": 3}
    pages = [
        ok({"l": [row("A")], "next": "c2", "link": "?at=2"} | facts),
        ok({"l": [row("B")], "next": "c3", "link": "/b?at=3"} | facts),
        ok({"l": [row("C")], "next": None} | facts),
    ]
    with Replay({"/b": pages}) as server:
        documents = fetch(tmp_path, f"{server.url}/b?x=1", LIST | more)
        asked = [request.target for request in server.requests]
    assert (
        asked
        == {
            "cursor": ["/b?x=1", "/b?x=1&after=c2", "/b?x=1&after=c3"],
            "url": ["/b?x=1", "/b?at=2", "/b?at=3"],
            "last_page": ["/b?x=1&page=1", "/b?x=1&page=2", "/b?x=1&page=3"],
            "total": ["/b?x=1&page=0", "/b?x=1&page=1", "/b?x=1&page=2"],
        }[way]
    )
    stated = formats.read("json", documents, LIST | more, zone=None, retrieved_at=RETRIEVED)
    assert [one.account for one in stated] == ["A", "B", "C"]


def test_fetch__next_page_at_another_server__is_not_asked(tmp_path: Path) -> None:
    with Replay({"/b": ok({"l": [row("A")]})}) as other, Replay({"/b": ok({"link": f"{other.url}/b"})}) as server:
        assert refused(tmp_path, f"{server.url}/b", LIST | {"next": "/link"}).code == "foreign-page"
        assert not other.requests


def test_fetch__same_cursor_for_ever__is_stopped(tmp_path: Path) -> None:
    with Replay({"/b": ok({"l": [row("A")], "next": "x"})}) as server:
        fault = refused(tmp_path, f"{server.url}/b", LIST | {"next": "/next", "cursor_parameter": "c"})
        assert fault.code == "endless-pages"
        assert len(server.requests) == 2


def test_fetch__pages_that_are_too_large_together__are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_api, "MAX_BYTES", 100)
    options = LIST | {"next": "/next"}
    with Replay({"/1": ok({"l": [row("A")], "next": "/2"}), "/2": ok({"l": [row("B")]})}) as server:
        assert refused(tmp_path, f"{server.url}/1", options).code == "file-too-large"


def test_fetch__error_body_on_a_page__is_refused_before_its_link_is_followed(tmp_path: Path) -> None:
    with Replay({"/b": ok({"error": "maintenance", "next": "x"})}) as server:
        fault = refused(tmp_path, f"{server.url}/b", LIST | {"next": "/next", "cursor_parameter": "c"})
        assert fault.code == "api-error"
        assert len(server.requests) == 1


def test_fetch__page_parameter_in_the_location__refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        fetch(tmp_path, "http://127.0.0.1:1/b?page=1", LIST | {"page_parameter": "page", "last_page": "/l"})
    assert caught.value.code == "malformed-location"


def test_fetch__rate_limited_on_the_second_page__goes_on_there(tmp_path: Path) -> None:
    options = LIST | {"page_parameter": "page", "last_page": "/last"}
    pages = [ok({"l": [row("A")], "last": 2}), Answer(status=429), ok({"l": [row("B")], "last": 2})]
    with Replay({"/b": pages}) as server:
        assert len(fetch(tmp_path, f"{server.url}/b", options)) == 2
        assert [request.target for request in server.requests] == ["/b?page=1", "/b?page=2", "/b?page=2"]


def test_fetch__expired_token__names_it(tmp_path: Path) -> None:
    with Replay({"/b": Answer(b'{"error":"invalid_token","token":"secret-token"}', 401)}) as server:
        fault = refused(tmp_path, f"{server.url}/b", LIST)
    assert fault.code == "http-unauthorized"
    assert "renew" in fault.advice
    assert "secret-token" not in fault.message


def test_read__live_balance__is_of_the_moment_of_asking(tmp_path: Path) -> None:
    options: dict[str, object] = {
        "account_is": "A",
        "amount": "/v",
        "currency_is": "USD",
        "balance_kind": "custody-total",
    }
    with Replay({"/now": ok({"v": 5})}) as server:
        documents = fetch(tmp_path, f"{server.url}/now", options)
    (balance,) = formats.read("json", documents, options, zone=None, retrieved_at=RETRIEVED)
    assert balance.as_of == RETRIEVED > CUTOFF
