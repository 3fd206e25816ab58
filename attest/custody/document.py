"""One document as a custodian gave it: bytes that are kept as evidence and never changed.

Small ones are held in memory; a large one lies in an unnamed temporary file, so that a reader that streams needs little
memory however long the statement is.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable
from typing import BinaryIO

from attest.errors import SourceError

#: More than any statement that a bank sends, as it arrives; a format may take less.
MAX_BYTES = 512 * 1024 * 1024
#: Up to here a document is held in memory.
SMALL_BYTES = 4 * 1024 * 1024
_CHUNK = 1 << 18
_REASON = "An account can be attested only from what its custodian stated."


class Document:
    """``name`` says in messages where it came from. ``provenance`` identifies it there (object version, checksum, the
    server's date), empty if there is nothing to say. ``size`` is in bytes, ``digest`` the sha256 in hex."""

    def __init__(self, name: str, chunks: Iterable[bytes], *, limit: int = MAX_BYTES, provenance: str = "") -> None:
        """Take all ``chunks``. Raises :class:`SourceError`: ``file-too-large`` beyond ``limit`` bytes, ``file-empty``;
        and what ``chunks`` raises."""
        self.name = name
        self.provenance = provenance
        #: Both in one: where it came from and what identifies it there.
        self.origin = f"{name} ({provenance})" if provenance else name
        self.size = 0
        held: list[bytes] = []
        self._file: BinaryIO | None = None
        digest = hashlib.sha256()
        for chunk in chunks:
            self.size += len(chunk)
            if self.size > limit:
                raise too_large(name, limit)
            digest.update(chunk)
            held.append(chunk)
            if self.size > SMALL_BYTES:
                self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the document
                self._file.write(b"".join(held))
                held = []
        if not self.size:
            raise SourceError(
                f"{name}: is empty",
                code="file-empty",
                reason=_REASON,
                advice="Fetch the statement again; the download or export was not complete.",
            )
        if self._file is not None:
            self._file.flush()
        self._held = b"".join(held)
        self.digest = digest.hexdigest()

    @classmethod
    def of(cls, name: str, data: bytes, *, provenance: str = "") -> Document:
        """A document whose bytes are at hand already."""
        return cls(name, (data,), provenance=provenance)

    def open(self) -> BinaryIO:
        """A reader of its own from the first byte; any number may be open at once."""
        if self._file is None:
            return io.BytesIO(self._held)
        return io.BufferedReader(_Positioned(self._file.fileno()), _CHUNK)

    def read(self, limit: int) -> bytes:
        """All bytes; raises :class:`SourceError` (``file-too-large``) if they are more than ``limit``."""
        if self.size > limit:
            raise too_large(self.name, limit)
        with self.open() as file:
            return file.read()

    def __repr__(self) -> str:
        return f"Document({self.name!r}, {self.size} bytes)"


class _Positioned(io.RawIOBase):
    """Reads a shared file by position, which the file's own offset does not know of."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = os.preadv(self._descriptor, [buffer], self._at)
        self._at += count
        return count


def too_large(name: str, limit: int) -> SourceError:
    """The refusal of a document of more than ``limit`` bytes."""
    return SourceError(
        f"{name}: is larger than {limit // 1024 // 1024} MiB" if limit >= 1 << 20 else f"{name}: is too large",
        code="file-too-large",
        reason="So much is not a statement of balances; reading on could exhaust this machine.",
        advice="Ask for a balance report, or for fewer days and accounts in one file.",
    )
