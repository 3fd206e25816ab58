"""Evidence: every document that a source gave, kept under its own digest in the private store, before it is read."""

from __future__ import annotations

from attest.custody.document import SMALL_BYTES, Document
from attest.errors import ConflictError, SourceError, printable
from attest.store import Store


class Evidence:
    """The documents in ``store``, as ``evidence/<sha256>`` of their bytes as they arrived."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def keep(self, document: Document) -> None:
        """Create the evidence. What is there already must be the same bytes: :class:`ConflictError` otherwise."""
        key = f"evidence/{document.digest}"
        if document.size <= SMALL_BYTES:
            created = self.store.create(key, document.read(SMALL_BYTES))
        else:
            with document.open() as file:
                created = self.store.create_from(key, iter(lambda: file.read(1 << 20), b""))
        if not created:
            self.load(document.digest, document.name)

    def load(self, digest: str, where: str) -> Document:
        """The document with this digest. Raises :class:`ConflictError` naming ``where`` if it is missing or other
        bytes."""
        key = f"evidence/{digest}"
        chunks = self.store.chunks(key)
        if chunks is None:
            raise contradicted(f"{where}: {key} is missing from {self.store.url}")
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
