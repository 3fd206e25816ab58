"""Reading what a preset's API answered, without asking it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from attest.custody import formats
from attest.custody.document import Document
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance

RETRIEVED_AT = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)


def read(name: str, options: Mapping[str, object], *answers: Any, zone: str | None = None) -> tuple[StatedBalance, ...]:
    """What the format ``name`` reads in the answers: JSON values, or texts as they are."""
    documents = [
        Document.of(f"answer-{number}.json", (text if isinstance(text, str) else json.dumps(text)).encode())
        for number, text in enumerate(answers, 1)
    ]
    return formats.read(name, documents, options, zone=zone, retrieved_at=RETRIEVED_AT)


def refusal(name: str, options: Mapping[str, object], *answers: Any, zone: str | None = None) -> tuple[str, str]:
    """The refusal's code and message, which names the document; why it matters and what to do are always there."""
    with pytest.raises(SourceError) as caught:
        read(name, options, *answers, zone=zone)
    fault = caught.value
    assert fault.message.startswith("answer-")
    assert fault.message.isprintable()
    assert fault.reason
    assert fault.advice
    return fault.code, fault.message


def wrong_options(name: str, options: Mapping[str, object]) -> str:
    """The message of the refusal of the options."""
    with pytest.raises(OperatorError) as caught:
        formats.check_options(name, options, "accounts.a.sources.b")
    assert caught.value.message.startswith("accounts.a.sources.b: ")
    return caught.value.message
