"""A line of the tables in this folder: what is verified, and, written by hand, what must come of it and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attest.records import encode_base64, format_instant
from tests.support import bundles
from tests.vectors.vector import KINDS

AT = format_instant(bundles.NOW)


@dataclass(frozen=True)
class Case:
    """``fails`` are exactly the checks that must fail, ``unmet`` exactly the trust file's demands; ``refused_trust``
    if already the trust file is no such thing. ``elsewhere``: the verdict of programs that, rightly by their own
    rules, give another one. All else that a vector expects follows, and is recorded from the verifier."""

    kind: str
    name: str
    attack: int | None
    description: str
    reason: str
    input: Callable[[], dict[str, Any]]
    exit_code: int
    fails: frozenset[str] = frozenset()
    unmet: frozenset[str] = frozenset()
    refused_trust: bool = False
    at: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.name
        assert self.exit_code in {0, 4, 6}, self.name

    @property
    def verdict(self) -> str:
        return "invalid" if self.exit_code == 6 else "valid"

    def disagreements(self, outcome: Mapping[str, Any]) -> Iterable[str]:
        """How what the verifier said (:func:`tests.vectors.judge.judge`) is not what is expected here."""
        if outcome["verdict"] != self.verdict:
            yield f"verdict {outcome['verdict']}, expected {self.verdict}"
        if self.kind not in {"bundle", "proof"}:
            return
        if outcome["exit_code"] != self.exit_code:
            yield f"exit code {outcome['exit_code']}, expected {self.exit_code}"
        failed = {name for name, result in outcome.get("checks", {}).items() if result == "fail"}
        if failed != self.fails:
            yield f"fails {sorted(failed)}, expected {sorted(self.fails)}"
        if set(outcome.get("unmet", ())) != self.unmet:
            yield f"unmet {outcome.get('unmet')}, expected {sorted(self.unmet)}"
        if ("checks" not in outcome) != self.refused_trust:
            yield "the trust file is refused, or is not, against what is expected"


def encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    """Files by name, in base64."""
    return {name: encode_base64(data) for name, data in sorted(files.items())}


def replaced(old: bytes | str, new: bytes | str) -> Callable[[bytes], bytes]:
    """A change of bytes; what is changed must be there, or the vector would show nothing."""
    before, after = (part.encode() if isinstance(part, str) else part for part in (old, new))

    def change(data: bytes) -> bytes:
        assert before in data, before
        return data.replace(before, after, 1)

    return change
