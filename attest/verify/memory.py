"""What an auditor remembers of every log: the newest head that was verified, so that a rewrite does not go unseen.

One small file of the auditor's own. It is written whole or not at all, by one verification at a time, and no head in it
is ever replaced by an older one, or by one that was not compared with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attest.errors import OperatorError, VerificationError
from attest.log.checkpoint import Checkpoint, SignedCheckpoint, parse_checkpoint
from attest.log.note import parse_note
from attest.log.state import lock, replace
from attest.records import from_json, to_json

_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class SeenLogs:
    """``logs.json``, the auditor's memory: the newest verified checkpoint of each log, verbatim, by the log's
    origin."""

    format: Literal["attest-seen-logs/1"]
    checkpoints: Mapping[str, str]


def default_path() -> Path | None:
    """``$XDG_STATE_HOME/attest/logs.json``, or the same below ``~/.local/state`` (XDG Base Directory Specification).
    None for a user without a home."""
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".local" / "state"
        except RuntimeError:
            return None
    return base / "attest" / "logs.json"


def recall(path: Path, origin: str) -> Checkpoint | None:
    """The head of the log ``origin`` that was remembered, None if there is none. Raises :class:`OperatorError` when the
    file is not what :func:`remember` writes, and ``OSError`` when it cannot be read."""
    text = _read(path).checkpoints.get(origin)
    if text is None:
        return None
    try:
        head = parse_checkpoint(parse_note(text.encode()).text)
    except VerificationError as fault:
        raise _malformed(path, fault.message) from None
    if head.origin != origin:
        raise _malformed(path, f"the checkpoint of {origin!r} is of {head.origin!r}")
    return head


def remember(path: Path, signed: SignedCheckpoint, compared_with: Checkpoint | None) -> bool:
    """Keep ``signed``, which was seen to agree with ``compared_with`` (what :func:`recall` gave before).

    False if another verification has remembered another head of this log meanwhile: that one stays. Raises ``OSError``
    when the file cannot be written; then nothing of it has changed.
    """
    head = signed.checkpoint
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(path):
        known = recall(path, head.origin)
        if known != compared_with:
            return known == head
        if known is None or known.size < head.size:
            checkpoints = {**_read(path).checkpoints, head.origin: signed.note.to_bytes().decode()}
            replace(path, to_json(SeenLogs("attest-seen-logs/1", checkpoints)))
    return True


def _read(path: Path) -> SeenLogs:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return SeenLogs("attest-seen-logs/1", {})
    if len(data) > _MAX_BYTES:
        raise _malformed(path, f"it has more than {_MAX_BYTES} bytes")
    try:
        return from_json(SeenLogs, data, path.name)
    except VerificationError as fault:
        raise _malformed(path, fault.message) from None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two verifications write one after the other."""
    held = lock(path, wait=True)
    try:
        yield
    finally:
        os.close(held)


def _malformed(path: Path, detail: str) -> OperatorError:
    return OperatorError(
        f"{path}: your memory of logs cannot be read ({detail})",
        code="state-malformed",
        reason="It holds the checkpoints by which a rewritten log shows.",
        advice="Restore it from a backup; to begin anew, move it away; to verify without it, say --no-state.",
    )
