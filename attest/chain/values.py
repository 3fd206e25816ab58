"""Hex as JSON-RPC writes it: quantities and data, read strictly."""

from __future__ import annotations

import re
from typing import Any

from attest.errors import ChainError

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")


def quantity(value: Any, what: str) -> int:
    """A hex quantity as int (leading zeros allowed, at most 256 bits); raises :class:`ChainError` naming ``what``."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise malformed(what, "is not a hex quantity")


def count(value: Any, what: str) -> int:
    """A hex quantity that numbers something (blocks, seconds): below 2**63; raises :class:`ChainError`."""
    found = quantity(value, what)
    if found >= 2**63:
        raise malformed(what, f"is {found}: more than there can be")
    return found


def data(value: Any, what: str, length: int | None = None) -> bytes:
    """Hex data as bytes, exactly ``length`` of them if given; raises :class:`ChainError` naming ``what``."""
    if isinstance(value, str) and _DATA.fullmatch(value) and (length is None or len(value) == 2 + 2 * length):
        return bytes.fromhex(value[2:])
    raise malformed(what, "is not hex data" if length is None else f"is not {length} bytes of hex data")


def malformed(what: str, detail: str) -> ChainError:
    """The error for an answer that is not what its method returns."""
    return ChainError(
        f"{what} {detail}",
        code="malformed-answer",
        reason="An endpoint that answers nonsense once cannot be believed about money.",
        advice="Check the endpoint's URL and health with `attest doctor`, or configure another endpoint.",
    )
