"""The exception family: exit codes are stable, and every error says what, why and what next."""

from __future__ import annotations

import pytest

from attest import errors


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.AttestError, 1),
        (errors.OperatorError, 2),
        (errors.SourceError, 3),
        (errors.ShortfallError, 4),
        (errors.ChainError, 5),
        (errors.VerificationError, 6),
        (errors.ConflictError, 7),
    ],
)
def test_exit_code__each_group__is_the_documented_one(kind: type[errors.AttestError], exit_code: int) -> None:
    assert kind("it broke", code="broken").exit_code == exit_code


def test_as_json__all_lines_given__carries_them_by_name() -> None:
    fault = errors.SourceError("eur-main: debit", code="debit", reason="An overdraft backs nothing.", advice="Ask.")
    assert fault.as_json() == {
        "error": "eur-main: debit",
        "code": "debit",
        "reason": "An overdraft backs nothing.",
        "advice": "Ask.",
    }


def test_str__of_an_error__is_its_message() -> None:
    assert str(errors.ChainError("no answer", code="silent", advice="Wait.")) == "no answer"
