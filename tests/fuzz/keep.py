"""Chooses, of all inputs that a fuzzer found, few small ones that together reach all that the others reach."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from attest.custody import formats
from attest.errors import AttestError
from tests.fuzz import inputs

MAX_FILES = 40
MAX_BYTES = 2048
#: An archive takes two kilobytes for itself.
MAX_PACKED_BYTES = 4096
_CUSTODY = str(Path("attest") / "custody")


def keep(format_name: str, found: Sequence[Path]) -> None:
    """Replace the format's corpus by the best of ``found``, which begins with what it was."""
    most = MAX_PACKED_BYTES if formats.find(format_name, "").container else MAX_BYTES
    candidates = {path.read_bytes() for path in found if path.stat().st_size <= most}
    reached = {data: _reached(format_name, data) for data in candidates}
    chosen: list[bytes] = []
    covered: set[Any] = set()
    while reached and len(chosen) < MAX_FILES:
        best = max(reached, key=lambda data: (len(reached[data] - covered), -len(data), data))
        if not reached[best] - covered:
            break
        covered |= reached.pop(best)
        chosen.append(best)
    folder = inputs.CORPUS / format_name
    folder.mkdir(parents=True, exist_ok=True)
    names = {hashlib.sha256(data).hexdigest()[:16]: data for data in chosen}
    for old in folder.iterdir():
        if old.name not in names:
            old.unlink()
    for name, data in names.items():
        (folder / name).write_bytes(data)


def _reached(format_name: str, data: bytes) -> set[Any]:
    """The jumps between lines that reading this input takes, and the code that it is refused with."""
    jumps: set[Any] = set()
    last: dict[CodeType, int] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if _CUSTODY not in code.co_filename:
            return None
        if event == "call":
            last[code] = 0
        elif event == "line":
            jumps.add((code.co_filename, last.get(code, 0), frame.f_lineno))
            last[code] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        result = inputs.read(format_name, data)
        jumps.add(result.code if isinstance(result, AttestError) else len(result))
    except Exception as fault:  # a finding is kept as what it is
        jumps.add(type(fault).__name__)
    finally:
        sys.settrace(None)
    return jumps
