"""What must survive a crash and may have one owner only: a small file, locked while it is open, replaced whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from attest.errors import OperatorError


class StateFile:
    """The memory of a witness or a watch, in one file. It is locked for as long as this object is open: two processes
    with one memory could each remember another fork.

    ``owner`` names in errors who it belongs to. Everything raises :class:`OperatorError` (``state-file``) when the file
    is out of reach, or in use by another process.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self._owner = owner
        with self._reaching():
            self._lock = lock(path, wait=False)

    def close(self) -> None:
        """Let another process take over."""
        os.close(self._lock)

    def read(self) -> bytes | None:
        """What was remembered last; None if nothing was yet."""
        with self._reaching():
            return self.path.read_bytes() if self.path.exists() else None

    def replace(self, data: bytes) -> None:
        """Remember ``data`` instead: all of it is on disk when this returns; a crash leaves the old or the new."""
        with self._reaching():
            replace(self.path, data)

    def keep(self, name: str, data: bytes) -> Path:
        """Write evidence to ``<file>.evidence/<name>``, once, synced; returns its place."""
        folder = self.path.with_name(f"{self.path.name}.evidence")
        place = folder / name
        with self._reaching():
            if not place.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                replace(place, data)
        return place

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            detail = f"in use by another {self._owner}" if isinstance(fault, BlockingIOError) else fault.strerror
            raise OperatorError(
                f"{self.path}: the {self._owner}'s state is out of reach ({detail})",
                code="state-file",
                reason=f"A {self._owner} that forgets what it saw would not notice a rewritten log.",
                advice=f"Let one {self._owner} alone use this file, in a folder that it may write to and that has "
                "space.",
            ) from fault


def evidence_name(size: int, root: str) -> str:
    """The name of a file that keeps a signed head (``root`` in hex) as evidence."""
    return f"{size}-{root[:16]}.checkpoint"


def lock(path: Path, *, wait: bool) -> int:
    """Lock ``<path>.lock``; closing the descriptor gives it back. Raises ``OSError``, ``BlockingIOError`` if another
    process has it and ``wait`` is not said."""
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: when this returns, it is on disk. Raises ``OSError``."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
