"""Strict JSON: what is written is read back, and everything that could mean two things is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest import records
from attest.errors import ConflictError, VerificationError
from attest.records import Amount, Hex32

MAX_INT = 2**53 - 1
MAX_AMOUNT = 10**100 - 1


@dataclass(frozen=True)
class Inner:
    """A nested record."""

    name: str
    flag: bool = False

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("has a forbidden name")


@dataclass(frozen=True)
class Outer:
    """One field of every kind."""

    format: Literal["test-outer/1"]
    text: str
    flag: bool
    count: int
    amount: Amount
    digest: Hex32
    at: datetime
    inner: Inner
    many: tuple[Inner, ...]
    amounts: Mapping[str, Amount]
    grid: tuple[tuple[int, ...], ...]
    level: Literal[1, 2]
    maybe: Amount | None
    left_out: Inner | None = None


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
inners = st.builds(Inner, name=texts.filter(lambda name: name != "forbidden"), flag=st.booleans())
amounts = st.integers(-MAX_AMOUNT, MAX_AMOUNT)
instants = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
outers = st.builds(
    Outer,
    format=st.just("test-outer/1"),
    text=texts,
    flag=st.booleans(),
    count=st.integers(-MAX_INT, MAX_INT),
    amount=amounts,
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    at=instants,
    inner=inners,
    many=st.lists(inners, max_size=3).map(tuple),
    amounts=st.dictionaries(texts, amounts, max_size=3),
    grid=st.lists(st.lists(st.integers(-9, 9), max_size=3).map(tuple), max_size=3).map(tuple),
    level=st.sampled_from([1, 2]),
    maybe=st.none() | amounts,
    left_out=st.none() | inners,
)


VALIDATOR = jsonschema.Draft202012Validator(records.json_schema(Outer, "urn:test"))


def plain(**changes: Any) -> dict[str, Any]:
    """A valid document, with changes; ``...`` leaves a field out."""
    document = {
        "format": "test-outer/1",
        "text": "text",
        "flag": True,
        "count": 7,
        "amount": "123456789012345678901234567890",
        "digest": "ab" * 32,
        "at": "2026-11-22T23:59:00Z",
        "inner": {"name": "a"},
        "many": [{"name": "b", "flag": True}],
        "amounts": {"USDW": "-5"},
        "grid": [[1, 2], []],
        "level": 2,
        "maybe": None,
    } | changes
    return {name: value for name, value in document.items() if value is not ...}


def read(document: Any) -> Outer:
    return records.from_json(Outer, json.dumps(document).encode(), "outer.json")


def refusal(data: bytes) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        records.from_json(Outer, data, "outer.json")
    assert caught.value.message.startswith("outer.json: ")
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- writing and reading ---------------------------------------------------------------------------------------------


@given(outers)
def test_from_json__what_to_json_wrote__is_the_same_record(record: Outer) -> None:
    data = records.to_json(record)
    assert records.from_json(Outer, data, "outer.json") == record
    assert records.to_json(records.from_json(Outer, data, "outer.json")) == data


@given(outers)
def test_json_schema__of_a_record__accepts_what_to_json_wrote(record: Outer) -> None:
    VALIDATOR.validate(json.loads(records.to_json(record)))


def test_to_json__record__is_compact_utf8_in_field_order_with_one_newline() -> None:
    data = records.to_json(Inner("Zürich", True))
    assert data == '{"name":"Zürich","flag":true}\n'.encode()


def test_to_json__amount_beyond_double_precision__is_an_exact_string() -> None:
    record = read(plain())
    assert record.amount == 123456789012345678901234567890
    assert b'"amount":"123456789012345678901234567890"' in records.to_json(record)


def test_to_json__field_with_default_none__is_left_out_and_one_without_is_null() -> None:
    data = records.to_json(read(plain()))
    assert b"left_out" not in data
    assert b'"maybe":null' in data


def test_dump_plain__float_that_json_lacks__raises() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        records.dump_plain({"ratio": float("nan")})


# -- what is not JSON in exactly one way -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b'{"a":1}{}', "is not JSON"),
        (b"{'a':1}", "is not JSON"),
        (b'{"a":1,}', "is not JSON"),
        (b'{"a":01}', "is not JSON"),
        (b'{"a":"\n"}', "is not JSON"),
        (b'{"text":"a","text":"a"}', "'text' stands twice"),
        (b'{"a":1,"\\u0061":2}', "'a' stands twice"),
        (b'{"inner":{"name":"a","name":"b"}}', "'name' stands twice"),
        (b'{"count":1.0}', "1.0 is not an integer"),
        (b'{"count":1e2}', "1e2 is not an integer"),
        (b'{"count":NaN}', "NaN is not an integer"),
        (b'{"count":-Infinity}', "-Infinity is not an integer"),
        (b'{"count":' + b"9" * 101 + b"}", "longer than any amount"),
        (b'{"count":-' + b"9" * 5000 + b"}", "longer than any amount"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        (b'{"text":"\xff"}', "not UTF-8"),
        (b'{"text":"\xed\xa0\x80"}', "not UTF-8"),
        ('{"text":"a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"text":"\\ud800"}', "half of a surrogate pair"),
        (b'{"text":"\\uDC00\\ud800"}', "half of a surrogate pair"),
        (b'{"\\ud83d":1}', "half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
    ],
)
def test_load_plain__not_json_in_exactly_one_way__is_refused(data: bytes, complaint: str) -> None:
    fault = refusal(data)
    assert complaint in fault.message
    assert fault.code == "malformed-json"


def test_load_plain__as_deep_as_allowed_and_brackets_in_strings__is_read() -> None:
    document = json.loads("[" * 64 + "]" * 64)
    assert records.load_plain(b"[" * 64 + b"]" * 64, "x") == document
    assert records.load_plain(b'["' + b"[" * 100 + b'\\"' + b"{" * 100 + b'"]', "x") == ["[" * 100 + '"' + "{" * 100]
    assert records.load_plain(b"[" + b"[]," * 100 + b"{}]", "x") == [[]] * 100 + [{}]


def test_load_plain__endless_string_of_escapes__is_refused_in_no_time() -> None:
    refusal(b"[" * 65 + b'"' + b'\\"' * 1_000_000)


def test_load_plain__number_of_a_megabyte__is_refused_without_being_repeated() -> None:
    assert len(refusal(b'{"count":0.' + b"1" * 1_000_000 + b"}").message) < 200


def test_load_plain__escaped_surrogate_pair__is_its_character() -> None:
    assert records.load_plain(b'"\\ud83d\\ude00"', "x") == "\U0001f600"


def test_load_plain__half_of_a_surrogate_pair_beside_an_exact_fraction__is_refused() -> None:
    with pytest.raises(VerificationError, match="half of a surrogate pair"):
        records.load_plain(b'{"amount":0.5,"text":"\\ud800"}', "x", fraction=Decimal)


def test_load_plain__exponent_beyond_what_a_fraction_can_be__is_refused() -> None:
    with pytest.raises(VerificationError, match=r"1e18446744073709551616 is larger or smaller"):
        records.load_plain(b'{"amount":1e18446744073709551616}', "x", fraction=Decimal)


def test_load_plain__name_that_stands_twice_after_very_many_others__is_refused_in_no_time() -> None:
    names = b",".join(b'"%d":0' % number for number in range(200_000))
    begin = time.process_time()
    assert "'last' stands twice" in refusal(b"{" + names + b',"last":0,"last":0}').message
    assert time.process_time() - begin < 5  # quadratic: minutes


def test_load_plain__long_name_that_stands_twice__is_not_repeated_in_full() -> None:
    name = b'"' + b"a" * 1_000_000 + b'":0'
    assert len(refusal(b"{" + name + b"," + name + b"}").message) < 200


def test_load_plain__other_error_class__is_raised() -> None:
    with pytest.raises(ConflictError):
        records.load_plain(b"{", "runs/open", ConflictError)


@given(st.binary(max_size=60))
def test_from_json__any_bytes__are_refused_in_words(data: bytes) -> None:
    refusal(data)


# -- what is not the record ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"extra": 1}, "extra is not a known field"),
        ({"inner": {"name": "a", "Flag": True}}, "inner.Flag is not a known field"),
        ({"text": ...}, "text is missing"),
        ({"maybe": ...}, "maybe is missing"),
        ({"many": [{"name": "a"}, {}]}, "many[1].name is missing"),
        ({"format": "test-outer/2"}, "format must be one of 'test-outer/1'"),
        ({"format": ["test-outer/1"]}, "format must be one of"),
        ({"level": True}, "level must be one of 1, 2"),
        ({"level": "1"}, "level must be one of 1, 2"),
        ({"text": 5}, "text must be a string"),
        ({"text": None}, "text must be a string"),
        ({"flag": 1}, "flag must be true or false"),
        ({"flag": "true"}, "flag must be true or false"),
        ({"count": True}, "count must be an integer below 2^53"),
        ({"count": "7"}, "count must be an integer below 2^53"),
        ({"count": 2**53}, "count must be an integer below 2^53"),
        ({"count": -(2**53)}, "count must be an integer below 2^53"),
        ({"amount": 5}, "amount must be an integer as a decimal string"),
        ({"amount": None}, "amount must be an integer as a decimal string"),
        ({"amount": "1.0"}, "amount must be"),
        ({"amount": "+1"}, "amount must be"),
        ({"amount": "01"}, "amount must be"),
        ({"amount": "-0"}, "amount must be"),
        ({"amount": " 1"}, "amount must be"),
        ({"amount": "1\n"}, "amount must be"),
        ({"amount": "1_000"}, "amount must be"),
        ({"amount": "1e3"}, "amount must be"),
        ({"amount": "\u0661"}, "amount must be"),
        ({"amount": ""}, "amount must be"),
        ({"amount": "9" * 101}, "amount must be"),
        ({"digest": "AB" * 32}, "digest must be 64 lowercase hex digits"),
        ({"digest": "ab" * 31}, "digest must be 64 lowercase hex digits"),
        ({"digest": "0x" + "ab" * 31}, "digest must be 64 lowercase hex digits"),
        ({"digest": "ab" * 32 + "\n"}, "digest must be 64 lowercase hex digits"),
        ({"at": "2026-11-22T23:59:00+00:00"}, "at must be a UTC time"),
        ({"at": "2026-11-22T23:59:00.5Z"}, "at must be a UTC time"),
        ({"at": "2026-11-22 23:59:00Z"}, "at must be a UTC time"),
        ({"at": "2026-11-31T00:00:00Z"}, "at is not a time that exists"),
        ({"at": "2026-11-22T24:00:00Z"}, "at must be a UTC time"),
        ({"at": "2026-11-22T23:59:60Z"}, "at is not a time that exists"),
        ({"at": "0000-01-01T00:00:00Z"}, "at is not a time that exists"),
        ({"at": 1794830400}, "at must be a UTC time"),
        ({"inner": []}, "inner must be an object"),
        ({"inner": None}, "inner must be an object"),
        ({"inner": {"name": "forbidden"}}, "inner has a forbidden name"),
        ({"many": {"name": "a"}}, "many must be an array"),
        ({"many": "ab"}, "many must be an array"),
        ({"many": [None]}, "many[0] must be an object"),
        ({"amounts": []}, "amounts must be an object"),
        ({"amounts": {"USDW": 5}}, "amounts.USDW must be an integer as a decimal string"),
        ({"grid": [[1, "2"]]}, "grid[0][1] must be an integer"),
    ],
)
def test_from_json__field_missing_unknown_or_of_another_kind__is_refused_by_name(
    changes: dict[str, Any], complaint: str
) -> None:
    fault = refusal(json.dumps(plain(**changes)).encode())
    assert f"outer.json: {complaint}" in fault.message
    assert fault.code == "malformed-record"


@pytest.mark.parametrize("document", [[], "text", 5, None, True])
def test_from_json__not_an_object__is_refused(document: Any) -> None:
    assert "the document must be an object" in refusal(json.dumps(document).encode()).message


def test_from_plain__invariant_of_the_whole_record__names_the_document() -> None:
    with pytest.raises(VerificationError, match=r"inner.json: the document has a forbidden name"):
        records.from_plain(Inner, {"name": "forbidden"}, "inner.json")


@dataclass(frozen=True)
class Chained:
    """A record within itself."""

    next: Chained | None = None


def test_from_plain__record_within_itself_beyond_any_need__is_refused() -> None:
    plain: dict[str, Any] = {}
    for _ in range(100):
        plain = {"next": plain}
    with pytest.raises(VerificationError, match="is nested too deeply"):
        records.from_plain(Chained, plain, "chain.json")


@given(outers, st.sampled_from([name for name in plain() if name != "maybe"]))
def test_json_schema__field_left_out__refuses_as_reading_does(record: Outer, name: str) -> None:
    document = json.loads(records.to_json(record))
    del document[name]
    with pytest.raises(VerificationError):
        read(document)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)


def test_json_schema__record__describes_fields_and_names_itself() -> None:
    schema = records.json_schema(Outer, "urn:test")
    assert schema["$id"] == "urn:test"
    assert schema["title"] == "Outer"
    assert schema["description"] == "One field of every kind."
    assert schema["additionalProperties"] is False
    assert "left_out" not in schema["required"]
    assert schema["properties"]["inner"] == {"$ref": "#/$defs/Inner"}
    assert schema["properties"]["format"] == {"enum": ["test-outer/1"]}
    assert schema["$defs"]["Inner"]["required"] == ["name"]
    assert "$defs" not in records.json_schema(Inner, "urn:inner")


def test_json_schema__two_records_of_one_name__raises_instead_of_mixing_them() -> None:
    namesake = dataclass(frozen=True)(type("Inner", (), {"__annotations__": {"other": int}}))
    both = dataclass(frozen=True)(type("Both", (), {"__annotations__": {"one": Inner, "two": namesake}}))
    with pytest.raises(TypeError, match="Inner"):
        records.json_schema(both, "urn:both")


# -- times, digests, base64 ------------------------------------------------------------------------------------------


@given(instants)
def test_parse_instant__what_format_instant_wrote__is_the_same_instant(instant: datetime) -> None:
    assert records.parse_instant(records.format_instant(instant)) == instant


def test_format_instant__other_zone_and_fraction__is_utc_in_whole_seconds() -> None:
    instant = datetime(2026, 11, 23, 1, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert records.format_instant(instant) == "2026-11-22T23:30:00Z"


def test_format_instant__naive_time__raises() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        records.format_instant(datetime(2026, 11, 22))  # noqa: DTZ001


@pytest.mark.parametrize("text", ["2026-11-22", "2026-11-22T23:59:00", "2026-11-22T24:00:00Z", "٢٠٢٦-11-22T23:59:00Z"])
def test_parse_instant__any_other_spelling__raises(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a UTC time|must be|range"):
        records.parse_instant(text)


@given(st.binary(max_size=50))
def test_decode_base64__what_encode_base64_wrote__is_the_same_bytes(data: bytes) -> None:
    assert records.decode_base64(records.encode_base64(data)) == data


@pytest.mark.parametrize("text", ["YQ", "YQ=", "YR==", "YQ==\n", "Y Q==", "-_8=", "ä", "YQ==YQ=="])
def test_decode_base64__another_spelling__raises(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        records.decode_base64(text)


def test_digest__bytes__is_lowercase_hex_sha256() -> None:
    # FIPS 180-2, appendix B.1
    assert records.digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
