"""Strict JSON for frozen dataclasses: the one way in and out for every artifact, statement, proof and trust file.

Reading refuses what lenient parsers let through: duplicate names, floats, ``NaN``, unknown or missing fields, a boolean
where an integer belongs. Writing is deterministic (field order, no spaces, UTF-8), so the same record always has the
same bytes and digest. Standard library only, because the auditor's core uses it.

A field's annotation decides its JSON form: ``str``, ``bool``, ``int``, ``Amount`` (an int carried as a decimal string),
``Hex32`` (64 lowercase hex digits), ``datetime`` (UTC, ``2026-11-22T23:59:00Z``), ``T | None``, ``tuple[T, ...]``,
``Mapping[str, T]``, ``Literal[...]`` and nested dataclasses. An optional field with a default of ``None`` is left out
when it is ``None``.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
import re
import types
import typing
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union

from attest.errors import AttestError, VerificationError

T = TypeVar("T")

#: Nesting that no document needs. Beyond it the parser's own stack would be at the mercy of the input.
MAX_DEPTH = 64
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)  # up to the end if it is not closed: linear time
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(set(range(256)) - _STEPS.keys())
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
#: What every JSON reader can hold exactly (RFC 8259 section 6).
MAX_INTEGER = 2**53 - 1
#: More digits than any uint256 has (78), few enough that int() stays fast on hostile input.
MAX_DIGITS = 100


class _Form:
    def __init__(self, pattern: str, description: str) -> None:
        self.pattern = re.compile(pattern)
        self.description = description


_DECIMAL = _Form(rf"-?(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})", "an integer as a decimal string")
_HEX32 = _Form(r"[0-9a-f]{64}", "64 lowercase hex digits")
_INSTANT = _Form(  # hours to 23: some Pythons read 24:00:00 as the next day's midnight
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z", "a UTC time such as 2026-11-22T23:59:00Z"
)

#: An integer amount (minor units or token base units), carried in JSON as a decimal string.
Amount = Annotated[int, _DECIMAL]
#: A sha256 digest or other 32 bytes, in lowercase hex.
Hex32 = Annotated[str, _HEX32]


def digest(data: bytes) -> str:
    """Lowercase hex sha256 of the stored bytes."""
    return hashlib.sha256(data).hexdigest()


def format_instant(instant: datetime) -> str:
    """UTC, whole seconds, ``Z``. ``instant`` must be aware."""
    if instant.tzinfo is None:
        raise ValueError("a time without a zone is not an instant")
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_instant(text: str) -> datetime:
    """The inverse of :func:`format_instant`; raises ``ValueError`` on any other spelling."""
    if not _INSTANT.pattern.fullmatch(text):
        raise ValueError(f"not {_INSTANT.description}")
    return datetime.fromisoformat(text)


def encode_base64(data: bytes) -> str:
    """Standard base64 (RFC 4648 section 4), padded."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """The inverse of :func:`encode_base64`; raises ``ValueError`` on any other spelling of the same bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("is not base64") from None
    if encode_base64(data) != text:
        raise ValueError("is not canonical base64")
    return data


# -- writing ---------------------------------------------------------------------------------------------------------


def _plain(value: Any, annotation: Any) -> Any:
    base, form, arguments = _resolve(annotation)
    if form is _DECIMAL:
        return str(value)
    if base is datetime:
        return format_instant(value)
    if base is Union:
        return None if value is None else _plain(value, arguments[0])
    if base is tuple:
        return [_plain(item, arguments[0]) for item in value]
    if base is Mapping:
        return {key: _plain(item, arguments[1]) for key, item in value.items()}
    if dataclasses.is_dataclass(base):
        return to_plain(value)
    return value


def to_plain(record: Any) -> dict[str, Any]:
    """The JSON object of a dataclass, as Python dicts, lists, strings and integers."""
    plain: dict[str, Any] = {}
    cls: Any = type(record)
    for name, annotation, field in _fields(cls):
        value = getattr(record, name)
        if value is None and field.default is None:
            continue
        plain[name] = _plain(value, annotation)
    return plain


def dump_plain(plain: Any) -> bytes:
    """JSON bytes: UTF-8, no spaces, names in the order given, one final newline."""
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def to_json(record: Any) -> bytes:
    """The record's bytes, serialised once: what is stored, hashed and signed."""
    return dump_plain(to_plain(record))


# -- reading ---------------------------------------------------------------------------------------------------------


def load_plain(
    data: bytes,
    where: str,
    error: type[AttestError] = VerificationError,
    *,
    fraction: Callable[[str], Any] | None = None,
) -> Any:
    """Parse JSON strictly: UTF-8, no duplicate names, no floats, no ``NaN``, no half of a surrogate pair, bounded depth
    and digits. ``fraction`` makes something exact of a number with decimals or an exponent, which else is refused, and
    raises ``ArithmeticError`` if it cannot.

    Raises ``error`` (default :class:`VerificationError`) naming ``where``.
    """

    def refuse(detail: str) -> AttestError:
        return error(
            f"{where}: {detail}",
            code="malformed-json",
            reason="What is not well-formed in exactly one way can mean two things to two readers.",
            advice="Fetch the file again from where it was published; if it is unchanged, tell its publisher.",
        )

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(items)
        if len(record) != len(items):
            ((twice, _),) = Counter(name for name, _ in items).most_common(1)
            raise refuse(f"the name {twice[:80]!r} stands twice in one object")
        return record

    def no_float(text: str) -> Any:
        raise refuse(f"the number {text[:40]} is not an integer (amounts are decimal strings)")

    def bounded(text: str, number: Callable[[str], Any]) -> Any:
        if len(text) > MAX_DIGITS:
            raise refuse("a number is longer than any amount can be")
        try:
            return number(text)
        except ArithmeticError:  # an exponent that is beyond Decimal's
            raise refuse(f"the number {text[:40]} is larger or smaller than any amount") from None

    if data.startswith(b"\xef\xbb\xbf"):
        raise refuse("begins with a byte order mark")
    if _nesting(data) > MAX_DEPTH:
        raise refuse("is nested too deeply")
    try:
        plain = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=pairs,
            parse_float=no_float if fraction is None else lambda text: bounded(text, fraction),
            parse_int=lambda text: bounded(text, int),
            parse_constant=no_float,
        )
        if _SURROGATE.search(data):  # escaped: a pair of them is one character, a single one is none
            json.dumps(plain, ensure_ascii=False, default=str).encode()
    except UnicodeDecodeError:
        raise refuse("is not UTF-8") from None
    except UnicodeEncodeError:
        raise refuse("has half of a surrogate pair, which is no character") from None
    except json.JSONDecodeError as fault:
        raise refuse(f"is not JSON ({fault.msg}, line {fault.lineno} column {fault.colno})") from None
    return plain


def _nesting(data: bytes) -> int:
    """How deep the brackets outside strings nest, at most."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return 0
    # Without an escape, strings end at the next quote, and need no regular expression.
    outside = _STRING.sub(b"", data) if b"\\" in data else b"".join(data.split(b'"')[::2])
    steps = map(_STEPS.__getitem__, outside.translate(None, _NO_BRACKETS))
    return max(itertools.accumulate(steps), default=0)


def from_json(cls: type[T], data: bytes, where: str, error: type[AttestError] = VerificationError) -> T:
    """Read one record of type ``cls`` from its JSON bytes; raises ``error`` naming ``where`` and the field."""
    return from_plain(cls, load_plain(data, where, error), where, error)


def from_plain(cls: type[T], plain: Any, where: str, error: type[AttestError] = VerificationError) -> T:
    """Read one record of type ``cls`` from parsed JSON; raises ``error`` naming ``where`` and the field."""
    try:
        return typing.cast(T, _record(cls, plain, "", 0))
    except _MismatchError as fault:
        raise error(
            f"{where}: {fault.path or 'the document'} {fault.detail}",
            code="malformed-record",
            reason="A field that is missing, unknown or of another kind could change what the document says.",
            advice="Compare with the schema (`attest schemas`), or fetch the file again from where it was published.",
        ) from None


class _MismatchError(Exception):
    def __init__(self, path: str, detail: str) -> None:
        self.path = path.lstrip(".")
        self.detail = detail


def _record(cls: Any, plain: Any, path: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise _MismatchError(path, "is nested too deeply")
    if not isinstance(plain, dict):
        raise _MismatchError(path, "must be an object")
    values: dict[str, Any] = {}
    known = _fields(cls)
    unknown = sorted(set(plain) - {name for name, _, _ in known})
    if unknown:
        raise _MismatchError(f"{path}.{unknown[0]}", "is not a known field")
    for name, annotation, field in known:
        if name in plain:
            values[name] = _value(annotation, plain[name], f"{path}.{name}", depth + 1)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _MismatchError(f"{path}.{name}", "is missing")
    try:
        return cls(**values)
    except ValueError as fault:  # a record's own invariant, from its __post_init__
        raise _MismatchError(path, str(fault)) from None


def _value(annotation: Any, plain: Any, path: str, depth: int) -> Any:
    base, form, arguments = _resolve(annotation)
    if base is Union:
        return None if plain is None else _value(arguments[0], plain, path, depth)
    if base is Literal:
        if type(plain) is bool or plain not in arguments:
            raise _MismatchError(path, "must be one of " + ", ".join(map(repr, arguments)))
        return plain
    if base is tuple:
        if not isinstance(plain, list):
            raise _MismatchError(path, "must be an array")
        return tuple(_value(arguments[0], item, f"{path}[{n}]", depth + 1) for n, item in enumerate(plain))
    if base is Mapping:
        if not isinstance(plain, dict):
            raise _MismatchError(path, "must be an object")
        return {key: _value(arguments[1], item, f"{path}.{key}", depth + 1) for key, item in plain.items()}
    if dataclasses.is_dataclass(base):
        return _record(base, plain, path, depth)
    if form is not None or base is datetime:
        form = form or _INSTANT
        if not isinstance(plain, str) or not form.pattern.fullmatch(plain) or plain == "-0":
            raise _MismatchError(path, f"must be {form.description}")
        if form is _DECIMAL:
            return int(plain)
        if base is datetime:
            try:
                return parse_instant(plain)
            except ValueError:
                raise _MismatchError(path, "is not a time that exists") from None
        return plain
    if base is int and type(plain) is int and abs(plain) <= MAX_INTEGER:
        return plain
    if base is bool and type(plain) is bool:
        return plain
    if base is str and isinstance(plain, str):
        return plain
    kinds = {int: "an integer below 2^53", bool: "true or false", str: "a string"}
    raise _MismatchError(path, f"must be {kinds[base]}")


# -- JSON Schema -----------------------------------------------------------------------------------------------------


def json_schema(cls: type[Any], identifier: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record type, its docstrings as descriptions. ``identifier`` becomes ``$id``."""
    definitions: dict[str, Any] = {}
    body = _schema(cls, definitions, {})
    name = body["$ref"].rsplit("/", 1)[1]
    root = definitions.pop(name)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier, "title": name, **root}
    if definitions:
        schema["$defs"] = dict(sorted(definitions.items()))
    return schema


def _schema(annotation: Any, definitions: dict[str, Any], classes: dict[str, Any]) -> dict[str, Any]:
    base: Any
    base, form, arguments = _resolve(annotation)
    if form is not None or base is datetime:
        form = form or _INSTANT
        return {"type": "string", "pattern": f"^{form.pattern.pattern}$", "description": form.description}
    if base is Union:
        return {"anyOf": [_schema(arguments[0], definitions, classes), {"type": "null"}]}
    if base is Literal:
        return {"enum": list(arguments)}
    if base is tuple:
        return {"type": "array", "items": _schema(arguments[0], definitions, classes)}
    if base is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions, classes)}
    if dataclasses.is_dataclass(base):
        name = getattr(base, "__name__")  # noqa: B009 - a class, which the type checker cannot see
        if classes.setdefault(name, base) is not base:
            raise TypeError(f"two records are called {name}; a schema needs a name for each")
        if name not in definitions:
            definitions[name] = {}
            required, properties = [], {}
            record: Any = base
            for field_name, field_annotation, field in _fields(record):
                properties[field_name] = _schema(field_annotation, definitions, classes)
                if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                    required.append(field_name)
            definitions[name] = {
                "description": " ".join((base.__doc__ or "").split()),
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}
    if base is int:
        return {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER}
    return {"type": {bool: "boolean", str: "string"}[base]}


# -- annotations -----------------------------------------------------------------------------------------------------


@cache
def _fields(cls: Hashable) -> tuple[tuple[str, Any, dataclasses.Field[Any]], ...]:
    record: Any = cls
    hints = typing.get_type_hints(record, include_extras=True)
    return tuple((field.name, hints[field.name], field) for field in dataclasses.fields(record))


@cache
def _resolve(annotation: Any) -> tuple[Any, _Form | None, tuple[Any, ...]]:
    """(base, form, arguments) of an annotation; the base of ``T | None`` is ``Union`` with arguments ``(T,)``."""
    form = None
    if typing.get_origin(annotation) is Annotated:
        annotation, form = typing.get_args(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return Union, None, (inner,)
    return origin or annotation, form, arguments
