"""The registry of formats."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from attest.custody.document import Document
from attest.custody.formats import check_options, names, read
from attest.errors import OperatorError

NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.mark.parametrize("name", ["camt.053", "CSV", "", "mt942"])
def test_check_options__unknown_format__is_refused_and_the_known_ones_listed(name: str) -> None:
    with pytest.raises(OperatorError) as caught:
        check_options(name, {}, "accounts.a.sources.b")
    assert caught.value.code == "unknown-format"
    assert caught.value.message == f"accounts.a.sources.b: there is no format {name!r}"
    assert all(known in caught.value.advice for known in names())


@pytest.mark.parametrize(
    ("name", "known"), [("camt052", "it has none"), ("csv", "account_column, account, amount_column")]
)
def test_check_options__unknown_option__is_refused_and_the_known_ones_listed(name: str, known: str) -> None:
    with pytest.raises(OperatorError) as caught:
        check_options(name, {"colour": "red"}, "accounts.a.sources.b")
    assert caught.value.code == "unknown-option"
    assert "'colour'" in caught.value.message
    assert known in caught.value.advice


def test_read__unknown_format_or_option__is_refused_before_the_bytes_are_looked_at() -> None:
    with pytest.raises(OperatorError):
        read("mt942", [Document.of("x", b"x")], {}, zone=None, retrieved_at=NOW)
    with pytest.raises(OperatorError):
        read("camt053", [Document.of("x", b"x")], {"x": 1}, zone=None, retrieved_at=NOW)
