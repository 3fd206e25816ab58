"""Evidence: every document that a source gave, kept under its own digest in the private store, before it is read."""

from __future__ import annotations

from itertools import chain

from attest.custody.document import SMALL_BYTES, Document
from attest.custody.sealing import Cipher, is_sealed
from attest.errors import ConflictError, OperatorError, SourceError, printable
from attest.store import Store

_CHUNK = 1 << 20


class Evidence:
    """The documents in ``store``, as ``evidence/<sha256>`` of their bytes as they arrived; sealed by ``cipher`` if
    there is one. What was kept before there was one is still read."""

    def __init__(self, store: Store, cipher: Cipher | None = None) -> None:
        self.store = store
        self._cipher = cipher

    def keep(self, document: Document) -> None:
        """Create the evidence. What is there already must be the same bytes: :class:`ConflictError` otherwise."""
        key = f"evidence/{document.digest}"
        with document.open() as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            sealed = chunks if self._cipher is None else self._cipher.seal(chunks)
            if document.size <= SMALL_BYTES:
                created = self.store.create(key, b"".join(sealed))
            else:
                created = self.store.create_from(key, sealed)
        if not created:
            self.load(document.digest, document.name)

    def load(self, digest: str, where: str) -> Document:
        """The document with this digest. Raises :class:`ConflictError` naming ``where`` if it is missing or other
        bytes."""
        key = f"evidence/{digest}"
        chunks = self.store.chunks(key)
        if chunks is None:
            raise contradicted(f"{where}: {key} is missing from {self.store.url}")
        begin = next(chunks, b"")
        chunks = chain((begin,), chunks)
        if is_sealed(begin):
            if self._cipher is None:
                raise OperatorError(
                    f"{where}: {key} in {self.store.url} is encrypted, and no evidence_key is configured",
                    code="evidence-key",
                    reason="What was decided must be read again from the evidence.",
                    advice="Set stores.evidence_key to the key that the evidence was kept with.",
                )
            chunks = self._cipher.open(chunks, f"{where}: {key} in {self.store.url}")
        try:
            document = Document(key, chunks)
        except SourceError:
            raise contradicted(f"{where}: {key} in {self.store.url} is empty or too large") from None
        if document.digest != digest:
            raise contradicted(f"{where}: {key} in {self.store.url} does not have the digest that its name says")
        return document


def contradicted(message: str) -> ConflictError:
    """The refusal of what does not follow from the stored evidence."""
    return ConflictError(
        printable(message),
        code="evidence-contradicts",
        reason="What was decided must follow from the stored evidence, byte for byte.",
        advice="Find out who has write access to the private store, and restore the evidence from its backup.",
    )
