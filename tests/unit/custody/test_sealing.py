"""Evidence at rest: what is sealed opens again, and nothing that was changed does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody.document import SMALL_BYTES, Document
from attest.custody.evidence import Evidence
from attest.custody.sealing import Cipher
from attest.errors import ConflictError, OperatorError
from attest.records import digest
from attest.store import LocalStore

KEY = base64.b64encode(bytes(range(32))).decode()
CHUNK = 64 * 1024


def cipher(value: str = KEY) -> Cipher:
    return Cipher("env:EVIDENCE_KEY", lambda reference: value)


def sealed(data: bytes, by: Cipher | None = None) -> bytes:
    return b"".join((by or cipher()).seal((data,)))


def opened(data: bytes, by: Cipher | None = None, pieces: int = 1000) -> bytes:
    chunks: Iterator[bytes] = (data[at : at + pieces] for at in range(0, len(data), pieces))
    return b"".join((by or cipher()).open(chunks, "evidence/x"))


@given(st.binary(max_size=300), st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 7]))
def test_open__what_was_sealed__is_the_same_bytes_of_any_length(end: bytes, length: int) -> None:
    data = bytes(length) + end
    assert opened(sealed(data), pieces=70_001) == data


def test_seal__same_bytes_twice__look_different_and_show_nothing() -> None:
    data = b"84,613.07 USD at First Harbor Bank"
    assert sealed(data) != sealed(data)
    assert b"Harbor" not in sealed(data)


def test_open__any_byte_changed__is_refused_before_anything_of_that_chunk_is_given() -> None:
    whole = sealed(b"1234.56 EUR")
    for at in range(len(whole)):
        spoiled = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises((ConflictError, OperatorError)):
            opened(spoiled)


def test_open__chunks_cut_off_swapped_or_added__are_refused() -> None:
    whole = sealed(b"a" * CHUNK + b"b" * CHUNK + b"c")
    head = whole.index(b"\n") + 1
    size = CHUNK + 16
    first, second, last = whole[head : head + size], whole[head + size : head + 2 * size], whole[head + 2 * size :]
    for chunks in (first + second, first, b"", second + first + last, first + last, first + second + last + last):
        with pytest.raises(ConflictError):
            opened(whole[:head] + chunks)


def test_open__another_key__is_refused_and_names_the_object() -> None:
    other = cipher(base64.b64encode(bytes(32)).decode())
    with pytest.raises(ConflictError, match="evidence/x") as caught:
        opened(sealed(b"x"), other)
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("value", ["", "short", base64.b64encode(bytes(31)).decode(), "!" * 44, KEY + KEY])
def test_seal__key_that_is_not_32_bytes_in_base64__is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(OperatorError) as caught:
        sealed(b"x", cipher(value))
    assert caught.value.code == "evidence-key"
    assert not value or value not in str(caught.value.as_json())


def test_open__sealed_by_a_kms_key__needs_the_kms_key() -> None:
    whole = sealed(b"x").replace(b'"wrapped":""', b'"wrapped":"AAAA"')
    with pytest.raises(OperatorError, match="KMS"):
        opened(whole)
    with pytest.raises(OperatorError, match="KMS"):
        opened(sealed(b"x"), Cipher("aws-kms:alias/x", lambda reference: KEY))


def test_open__no_header__is_refused() -> None:
    for data in (b"", b"x" * 5000, b"\n", b"{}\n"):
        with pytest.raises(ConflictError):
            opened(data)


# -- kept as evidence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [10, SMALL_BYTES + 1])
def test_keep__with_a_key__stores_only_sealed_bytes_under_the_document_s_digest(tmp_path: Path, length: int) -> None:
    store = LocalStore(tmp_path)
    data = b"closing " * (length // 8 + 1)
    evidence = Evidence(store, cipher())
    evidence.keep(Document.of("a.xml", data))
    evidence.keep(Document.of("a.xml", data))  # again: the same
    (key,) = store.list("")
    assert key == f"sealed-evidence/{digest(data)}"
    assert b"closing" not in (store.get(key) or b"")
    assert evidence.load(digest(data), "x").read(1 << 30) == data


def test_load__with_a_key__believes_nothing_that_is_not_sealed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    Evidence(store).keep(Document.of("a.xml", b"plain"))
    with pytest.raises(ConflictError):
        Evidence(store, cipher()).load(digest(b"plain"), "x")
    Evidence(store, cipher()).keep(Document.of("a.xml", b"plain"))
    assert Evidence(store, cipher()).load(digest(b"plain"), "x").read(10) == b"plain"


def test_load_any__kept_before_there_was_a_key__is_still_shown(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    Evidence(store).keep(Document.of("a.xml", b"plain"))
    assert Evidence(store, cipher()).load_any(digest(b"plain"), "x").read(10) == b"plain"
    assert Evidence(store).load_any(digest(b"plain"), "x").read(10) == b"plain"
    with pytest.raises(ConflictError):
        Evidence(store, cipher()).load_any(digest(b"other"), "x")


def test_load__sealed_evidence_without_a_key__says_which_setting_is_missing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    Evidence(store, cipher()).keep(Document.of("a.xml", b"secret"))
    with pytest.raises(OperatorError, match="evidence_key") as caught:
        Evidence(store).load(digest(b"secret"), "account a, source b")
    assert caught.value.message.startswith("account a, source b: ")


@pytest.mark.parametrize("stored", [None, b"", b"forged"])
def test_load__missing_empty_or_other_bytes__are_a_conflict(tmp_path: Path, stored: bytes | None) -> None:
    store = LocalStore(tmp_path)
    if stored is not None:
        store.create(f"evidence/{digest(b'data')}", stored)
    with pytest.raises(ConflictError) as caught:
        Evidence(store).load(digest(b"data"), "account a")
    assert caught.value.code == "evidence-contradicts"
