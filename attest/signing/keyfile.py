"""Writes a new key's file: durable, for its owner only, and never over another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attest.errors import OperatorError


def write_new_key(path: Path, data: bytes, refuse: Callable[[Path, str, str], OperatorError]) -> None:
    """Write an encrypted key to ``path`` (mode 0600, fsynced). Raises ``refuse(path, detail, advice)`` when the file
    exists or cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise refuse(
            path, "already exists; a key is never overwritten", "Choose another path, or move the old key away."
        ) from None
    except OSError as fault:
        raise refuse(path, f"cannot be written ({fault.strerror})", "Check that its folder exists.") from None
