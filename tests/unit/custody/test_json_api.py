"""Any JSON API by pointers: what is read, what is refused, and whether all pages are there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody import formats
from attest.custody.apis import json_api
from attest.custody.apis.pages import ABSENT, Paging, Pointer
from attest.custody.document import Document
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

RETRIEVED = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
ONE: dict[str, object] = {"account_is": "A", "amount": "/v", "currency_is": "EUR"}
LIST: dict[str, object] = {"items": "/l", "account": "/a", "amount": "/v", "currency_is": "EUR", "as_of": "/d"}
NUMBERED: dict[str, object] = LIST | {"page_parameter": "page", "last_page": "/last"}
CURSOR: dict[str, object] = LIST | {"next": "/next", "cursor_parameter": "after"}


def read(
    *bodies: Any, options: dict[str, object] | None = None, zone: str | None = None, **more: object
) -> tuple[StatedBalance, ...]:
    """Bodies are JSON texts, or what is written as JSON."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    documents = [Document.of(f"page{number}.json", text.encode()) for number, text in enumerate(texts, 1)]
    return formats.read(
        "json", documents, (ONE if options is None else options) | more, zone=zone, retrieved_at=RETRIEVED
    )


def refused(*bodies: Any, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(*bodies, **more)
    assert caught.value.message.startswith("page")
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


def row(account: str, value: object = "1.00", day: str = "2026-11-20") -> dict[str, object]:
    return {"a": account, "v": value, "d": day}


# -- amounts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "units"),
    [
        ('"12.30"', 1230),
        ("12.30", 1230),
        ("12.3000", 1230),
        ("-0.01", -1),
        ("7", 700),
        ("9007199254740993.01", 900719925474099301),
        ("0.1", 10),
        ("0.0000000000000000000", 0),
    ],
)
def test_read__amount__is_exact_as_text_and_as_number(written: str, units: int) -> None:
    (balance,) = read(f'{{"v": {written}}}')
    assert (balance.account, balance.minor_units, balance.currency) == ("A", units, "EUR")
    assert (balance.as_of, balance.business_date) == (RETRIEVED, None)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("1e3", "malformed-amount"),
        ("1.5E+2", "malformed-amount"),
        ('"1e3"', "malformed-amount"),
        ('"1,234.00"', "malformed-amount"),
        ('"٣"', "malformed-amount"),
        ('" 1"', "malformed-amount"),
        ('"+1"', "malformed-amount"),
        ('""', "malformed-amount"),
        ('"-0"', "malformed-amount"),
        ("1.005", "too-many-decimals"),
        ("NaN", "malformed-json"),
        ("Infinity", "malformed-json"),
        ("1e99999999999999999999", "malformed-json"),
        ("1" * 101, "malformed-json"),
        ("null", "field-missing"),
        ("true", "malformed-answer"),
        ("[1]", "malformed-answer"),
        ("{}", "malformed-answer"),
    ],
)
def test_read__amount_that_can_be_misread__refused(written: str, code: str) -> None:
    fault = refused(f'{{"v": {written}}}')
    assert fault.code == code
    assert "page1.json" in fault.message


def test_read__amounts_written_in_another_way__by_options() -> None:
    (balance,) = read({"v": "1.234.567,89"}, decimal=",", thousands=".")
    assert balance.minor_units == 123456789
    (balance,) = read('{"v": 1234.56}', decimal=",", thousands=".")
    assert balance.minor_units == 123456


def test_read__minor_units__are_whole_cents_of_the_currency() -> None:
    assert read('{"v": 1230}', minor_units="true")[0].minor_units == 1230
    assert read({"v": "-1230"}, minor_units=True)[0].minor_units == -1230
    assert read('{"v": 1230}', minor_units="true", currency_is="KWD")[0].minor_units == 1230
    for written in ("12.30", '"12.30"', '"1.230"', '"x"'):
        assert refused(f'{{"v": {written}}}', minor_units="true").code == "malformed-amount"


@pytest.mark.parametrize(
    ("written", "side", "units"),
    [
        ("171288.6158", "C", 17128861),
        ('"171288.6158"', "C", 17128861),
        ("171288.61", "D", -17128861),
        ("171288.6158", "D", -17128862),
        ("0.001", "C", 0),
        ("0.001", "D", -1),
    ],
)
def test_read__sub_minor_units__are_floored_only_when_told(written: str, side: str, units: int) -> None:
    body = f'{{"v": {written}, "s": "{side}"}}'
    signs = {"indicator": "/s", "credit": "C", "debit": "D"}
    assert read(body, sub_minor_units="floor", **signs)[0].minor_units == units
    assert read('{"v": -0.001}', sub_minor_units="floor")[0].minor_units == -1
    if units not in (17128861, -17128861) or written.endswith('58"'):
        assert refused(body, **signs).code == "too-many-decimals"


def test_read__credit_and_debit__give_the_sign() -> None:
    signs = {"indicator": "/s", "credit": "C", "debit": "D"}
    assert read({"v": "5", "s": "D"}, **signs)[0].minor_units == -500
    for body in ({"v": "-5", "s": "D"}, {"v": "5", "s": "X"}):
        assert refused(body, **signs).code == "malformed-amount"
    assert refused({"v": "5"}, **signs).code == "field-missing"


# -- fields ----------------------------------------------------------------------------------------------------------


def test_read__fields_of_the_item_and_of_the_document() -> None:
    body = {"day": "2026-11-20", "no/te": {"~x": [7]}, "l": [{"a": 44100988, "v": "1", "c": "JPY"}]}
    options = LIST | {"as_of": "#/day", "currency": "/c", "statement_id": "#/no~1te/~0x/0"}
    del options["currency_is"]
    (balance,) = read(body, options=options, zone="Asia/Tokyo")
    assert balance.account == "44100988"
    assert (balance.minor_units, balance.currency, balance.statement_id) == (1, "JPY", "7")
    assert balance.as_of == datetime(2026, 11, 20, 14, 59, 59, tzinfo=UTC)
    assert balance.business_date == "2026-11-20"


def test_read__document_that_is_a_list__by_the_empty_pointer() -> None:
    assert [one.account for one in read([row("A"), row("B")], options=LIST | {"items": ""})] == ["A", "B"]


@pytest.mark.parametrize(
    ("written", "date_format", "zone", "instant"),
    [
        ("2026-11-20", "iso", None, "2026-11-20T23:59:59+00:00"),
        ("2026-11-20T17:00:00Z", "iso", None, "2026-11-20T17:00:00+00:00"),
        ("2026-11-20T17:00:00.123456789+01:00", "iso", None, "2026-11-20T16:00:00+00:00"),
        ("2026-11-20T17:00:00", "iso", "Europe/Berlin", "2026-11-20T16:00:00+00:00"),
        ("20.11.2026", "DD.MM.YYYY", "Europe/Berlin", "2026-11-20T22:59:59+00:00"),
        ("1795391999", "epoch-seconds", None, "2026-11-22T23:59:59+00:00"),
        ("1795391999999", "epoch-milliseconds", None, "2026-11-22T23:59:59+00:00"),
    ],
)
def test_read__time__as_its_format_says(written: str, date_format: str, zone: str | None, instant: str) -> None:
    (balance,) = read({"v": "1", "d": written}, as_of="/d", date_format=date_format, zone=zone)
    assert balance.as_of.isoformat() == instant


@pytest.mark.parametrize(
    ("written", "date_format", "code"),
    [
        ("2026-11-20T17:00:00", "iso", "naive-time"),
        ("2026-11-20 17:00:00Z", "iso", "malformed-row"),
        ("2026-11-31", "iso", "malformed-row"),
        ("20261120", "iso", "malformed-row"),
        ("2026-11-20T25:00:00Z", "iso", "malformed-row"),
        ("20.11.26", "DD.MM.YYYY", "malformed-row"),
        ("1795391999.5", "epoch-seconds", "malformed-row"),
        ("-5", "epoch-seconds", "malformed-row"),
        ("1795391999999", "epoch-seconds", "malformed-row"),
        ("999999999999999", "epoch-seconds", "malformed-row"),
        ("1", "epoch-seconds", "malformed-row"),
    ],
)
def test_read__time_that_can_be_misread__refused(written: str, date_format: str, code: str) -> None:
    assert refused({"v": "1", "d": written}, as_of="/d", date_format=date_format).code == code


def test_read__other_kinds_of_balance__are_left_out() -> None:
    kind = {"kind": "/k", "kind_value": "closingBooked"}
    rows = [row("A") | {"k": "expected"}, row("A", "2.00") | {"k": "closingBooked"}]
    assert [one.minor_units for one in read({"l": rows}, options=LIST | kind)] == [200]
    assert refused({"l": rows[:1]}, options=LIST | kind).code == "no-closing-balance"
    assert refused({"l": [row("A")]}, options=LIST | kind).code == "field-missing"
    assert refused({"l": []}, options=LIST).code == "no-closing-balance"


def test_read__one_account_twice__refused() -> None:
    assert refused({"l": [row("A"), row("a ")]}, options=LIST).code == "duplicate-row"
    fault = refused({"l": [row("A")], "last": 2}, {"l": [row("A", "2")], "last": 2}, options=NUMBERED)
    assert fault.code == "duplicate-row"
    assert "page2.json" in fault.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "field-missing"),
        ({"l": {}}, "malformed-answer"),
        ({"l": [{}]}, "field-missing"),
        ({"l": ["x"]}, "field-missing"),
        ({"l": [row("")]}, "malformed-row"),
        ({"l": [row("A") | {"a": None}]}, "field-missing"),
        ('{"l": [], "l": []}', "malformed-json"),
        ('{"l": [', "malformed-json"),
        ("[" * 100 + "]" * 100, "malformed-json"),
        ("<html>maintenance</html>", "malformed-json"),
        ('\ufeff{"l": []}', "malformed-json"),
    ],
)
def test_read__answer_of_another_shape__refused(body: Any, code: str) -> None:
    assert refused(body, options=LIST).code == code


# -- errors in disguise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, False, 0, "", [], {}])
def test_read__error_that_is_nothing__is_no_error(nothing: object) -> None:
    assert read({"v": "1", "error": nothing, "errors": nothing})


@pytest.mark.parametrize("error", [["EQuery:Unknown"], {"code": 7}, "expired \u202e", True, 1, 0.5])
def test_read__http_200_with_an_error_body__refused(error: object) -> None:
    for name in ("error", "errors"):
        fault = refused({"v": "1", name: error})
        assert fault.code == "api-error"
        assert fault.message.isprintable()
        assert len(fault.message) < 300
    assert refused({"v": "1", "x": {"y": error}}, error="/error /x/y").code == "api-error"
    assert read({"v": "1", "error": error}, error="/other")


def test_read__answer_without_the_mark_of_success__refused() -> None:
    success = {"success": "/ok", "success_value": "true"}
    assert read({"v": "1", "ok": True}, **success)
    for body in ({"v": "1", "ok": False}, {"v": "1"}, {"v": "1", "ok": {}}):
        assert refused(body, **success).code == "api-error"


@pytest.mark.parametrize("mark", [True, "true", "false", 1, 0, [], {}, ""])
def test_read__source_says_do_not_use__refused_before_its_balance(mark: object) -> None:
    fault = refused({"v": "not even read", "ripcord": mark}, do_not_use="/ripcord")
    assert fault.code == "do-not-use"


@pytest.mark.parametrize("body", [{"v": "1"}, {"v": "1", "ripcord": False}, {"v": "1", "ripcord": None}])
def test_read__ripcord_is_not_pulled__is_read(body: object) -> None:
    assert read(body, do_not_use="/ripcord")


# -- pages -----------------------------------------------------------------------------------------------------------


def test_read__all_numbered_pages__in_order() -> None:
    bodies = [{"l": [row(name)], "last": "3", "no": number, "all": 3} for number, name in enumerate("ABC", 1)]
    options = NUMBERED | {"total": "/all", "page_number": "/no"}
    assert [one.account for one in read(*bodies, options=options)] == ["A", "B", "C"]
    assert refused(*bodies[:2], options=options).code == "missing-page"
    assert refused(bodies[0], bodies[2], bodies[1], options=options).code == "missing-page"
    assert refused(*bodies, bodies[2], options=options).code == "missing-page"
    assert refused(*bodies[:2], bodies[2] | {"all": 4}, options=options).code == "missing-page"
    assert refused(*bodies[:2], bodies[2] | {"last": 4}, options=options).code == "missing-page"


def test_read__early_end_of_pagination__refused() -> None:
    assert refused({"l": [row("A")], "all": 2}, options=LIST | {"total": "/all"}).code == "missing-page"
    assert refused({"l": [row("A")], "next": "x"}, options=CURSOR).code == "missing-page"


@pytest.mark.parametrize("end", [None, "", False])
def test_read__all_pages_by_cursor__in_order(end: object) -> None:
    bodies: list[dict[str, Any]]
    bodies = [{"l": [row("A")], "next": "x"}, {"l": [row("B")], "next": 7}, {"l": [row("C")], "next": end}]
    assert [one.account for one in read(*bodies, options=CURSOR)] == ["A", "B", "C"]
    assert refused(bodies[0], bodies[2], bodies[1], options=CURSOR).code == "missing-page"
    again = [bodies[0], bodies[1] | {"next": "x"}, bodies[2]]
    assert refused(*again, options=CURSOR).code == "endless-pages"


@pytest.mark.parametrize("way", [True, ["x"], {"href": "x"}, "x" * 5000, "a\u202eb"])
def test_read__next_page_that_is_no_text__refused(way: object) -> None:
    assert refused({"l": [row("A")], "next": way}, options=CURSOR).code == "malformed-answer"


def test_read__more_than_400_pages__refused() -> None:
    bodies = [{"l": [], "next": number} for number in range(1, 401)] + [{"l": [row("A")]}]
    assert refused(*bodies, options=CURSOR).code == "endless-pages"


def test_read__pages_that_are_too_large_together__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [{"l": [row("A")], "next": "x"}, {"l": [row("B")], "next": None}]
    monkeypatch.setattr(json_api, "MAX_BYTES", sum(len(json.dumps(body)) for body in bodies))
    assert len(read(*bodies, options=CURSOR)) == 2
    monkeypatch.setattr(json_api, "MAX_BYTES", json_api.MAX_BYTES - 1)
    fault = refused(*bodies, options=CURSOR)
    assert fault.code == "file-too-large"
    assert fault.message.startswith("page2.json, together with the pages before it,")


def test_read__several_documents_of_an_api_without_pages__refused() -> None:
    assert refused({"v": "1"}, {"v": "1"}).code == "missing-page"


@pytest.mark.parametrize("count", [None, "x", True, -1, 1.5, {}])
def test_read__number_of_pages_that_is_none__refused(count: object) -> None:
    code = refused({"l": [row("A")], "last": count}, options=NUMBERED).code
    assert code == "malformed-answer"
    assert refused({"l": [row("A")]}, options=NUMBERED).code == "field-missing"


def test_read__empty_list_in_pages__has_no_balance_rather_than_a_missing_page() -> None:
    assert refused({"l": [], "last": 0}, options=NUMBERED).code == "no-closing-balance"
    assert read({"l": [row("A")], "last": 0}, options=NUMBERED | {"first_page": "0"})


# -- where the next page is ------------------------------------------------------------------------------------------

AT = "https://bank.example/v1/balances?x=1"


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://bank.example/v1/balances?page=2", "https://bank.example/v1/balances?page=2"),
        ("https://BANK.example:443/v1/b", "https://BANK.example:443/v1/b"),
        ("?page=2", "https://bank.example/v1/balances?page=2"),
        ("/v2", "https://bank.example/v2"),
        (None, None),
    ],
)
def test_following__next_url_at_the_same_server__is_taken(link: str | None, url: str | None) -> None:
    assert Paging(next=Pointer("/next")).following(AT, [{"next": link}], "w") == url


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("https://evil.example/v1", "foreign-page"),
        ("http://bank.example/v1", "foreign-page"),
        ("https://bank.example:8443/v1", "foreign-page"),
        ("//evil.example/v1", "foreign-page"),
        ("https://bank.example@evil.example/", "foreign-page"),
        ("https://u:p@bank.example/", "foreign-page"),
        ("file:///etc/passwd", "foreign-page"),
        ("https://bank.example\\@evil.example/", "malformed-answer"),
        ("https://[bank/", "malformed-answer"),
        ("https://bank.example:x/", "malformed-answer"),
        ("/a b", "malformed-answer"),
        ("/ä", "malformed-answer"),
    ],
)
def test_following__next_url_elsewhere__refused(link: str, code: str) -> None:
    with pytest.raises(SourceError) as caught:
        Paging(next=Pointer("/next")).following(AT, [{"next": link}], "w")
    assert caught.value.code == code


def test_following__cursor__is_put_into_the_query() -> None:
    paging = Paging(next=Pointer("/next"), cursor_parameter="after")
    assert paging.first(AT) == AT
    assert paging.following(AT, [{"next": "a&b=c/ü"}], "w") == f"{AT}&after=a%26b%3Dc%2F%C3%BC"
    with pytest.raises(SourceError, match="read already"):
        paging.following(AT, [{"next": "a"}, {"next": "b"}, {"next": "a"}], "w")


def test_following__pages_by_number__until_the_last() -> None:
    paging = Paging(page_parameter="p", first_page=0, last_page=Pointer("/last"))
    assert paging.first("https://bank.example/v1") == "https://bank.example/v1?p=0"
    assert paging.following(AT, [{"last": 1}], "w") == f"{AT}&p=1"
    assert paging.following(AT, [{"last": 1}] * 2, "w") is None
    with pytest.raises(SourceError) as caught:
        paging.following(AT, [{"last": 1000}] * 400, "w")
    assert caught.value.code == "endless-pages"


def test_following__pages_until_the_total__refuses_an_empty_one_before_it() -> None:
    paging = Paging(items=Pointer("/l"), page_parameter="p", total=Pointer("/all"))
    full, empty = {"l": [1, 2], "all": 3}, {"l": [], "all": 3}
    assert paging.following(AT, [full], "w") == f"{AT}&p=2"
    assert paging.following(AT, [full, full], "w") is None
    with pytest.raises(SourceError) as caught:
        paging.following(AT, [full, empty], "w")
    assert caught.value.code == "missing-page"


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"amount": None}, "amount must be given"),
        ({"amount": "v"}, "amount: 'v' is not a JSON Pointer"),
        ({"amount": "/a~2"}, "not a JSON Pointer"),
        ({"amount": 7}, "amount must be a text"),
        ({"account": "/a"}, "one of account and account_is"),
        ({"account_is": " "}, "account must not be empty"),
        ({"currency_is": None}, "one of currency and currency_is"),
        ({"currency_is": "XYZ"}, "not an ISO-4217 code"),
        ({"indicator": "/s"}, "belong together"),
        ({"indicator": "/s", "credit": "C", "debit": "C"}, "must differ"),
        ({"kind": "/k"}, "belong together"),
        ({"success": "/k"}, "belong together"),
        ({"balance_kind": "interim-booked"}, "balance_kind must be one of"),
        ({"minor_units": "yes"}, "minor_units must be"),
        ({"sub_minor_units": "round"}, "sub_minor_units must be"),
        ({"sub_minor_units": "floor", "decimal": ","}, "leave decimal and thousands out"),
        ({"sub_minor_units": "floor", "decimal": ",", "thousands": "."}, "leave decimal and thousands out"),
        ({"minor_units": "true", "thousands": ","}, "leave decimal and thousands out"),
        ({"method": "PUT"}, "method must be"),
        ({"first_page": "2"}, "first_page must be"),
        ({"body": "x"}, "need method = POST"),
        ({"date_format": "iso"}, "date_format needs as_of"),
        ({"as_of": "/d", "date_format": "whatever"}, "must hold YYYY"),
        ({"page_parameter": "p"}, "needs last_page or total"),
        ({"page_parameter": "p&q", "last_page": "/l"}, "page_parameter is malformed"),
        ({"page_parameter": "p", "last_page": "/l", "next": "/n"}, "one of next and page_parameter"),
        ({"cursor_parameter": "c"}, "needs next"),
        ({"last_page": "/l"}, "need page_parameter"),
        ({"total": "/l"}, "total needs items"),
        ({"error": "error"}, "not a JSON Pointer"),
    ],
)
def test_prepare__options_that_do_not_fit__refused(options: dict[str, object], detail: str) -> None:
    given = {name: value for name, value in (ONE | options).items() if value is not None}
    with pytest.raises(OperatorError, match="options of format json") as caught:
        formats.check_options("json", given, "w")
    assert detail in caught.value.message


def test_prepare__true_and_1__are_not_the_same_option() -> None:
    assert formats.check_options("json", ONE | {"minor_units": True}, "w").minor_units
    with pytest.raises(OperatorError, match="minor_units must be a text"):
        formats.check_options("json", ONE | {"minor_units": 1}, "w")


# -- pointers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pointer", "found"),
    [  # RFC 6901 section 5
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/m~0n", 8),
        ("/ ", 7),
        ("/foo/2", ABSENT),
        ("/foo/-", ABSENT),
        ("/foo/00", ABSENT),
        ("/foo/0/0", ABSENT),
        ("/nothing", ABSENT),
    ],
)
def test_pointer__as_the_standard_says(pointer: str, found: object) -> None:
    document = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, " ": 7, "m~n": 8}
    assert Pointer(pointer).find(document) == found
    assert Pointer("").find(document) is document
    assert Pointer("#/foo/1").find("an item", document) == "baz"
    assert pointer in repr(Pointer(pointer))


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=5), max_size=4), st.integers())
def test_pointer__any_names__lead_to_the_value(names: list[str], value: int) -> None:
    document: Any = value
    for name in reversed(names):
        document = {name: document}
    text = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    assert Pointer(text).find(document) == value
