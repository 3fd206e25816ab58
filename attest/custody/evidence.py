"""Evidence: every document that a source gave, kept under its own digest in the private store, before it is read.

    evidence/<sha256>           as it arrived
    sealed-evidence/<sha256>    the same, encrypted (:mod:`attest.custody.sealing`), where a key is configured

With a key only sealed evidence is believed: who can write to the store, but has no key, can then forge none.
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.custody.document import SMALL_BYTES, Document
from attest.custody.sealing import Cipher
from attest.errors import ConflictError, OperatorError, SourceError, printable
from attest.store import Store

_CHUNK = 1 << 20
_PLAIN, _SEALED = "evidence", "sealed-evidence"


class Evidence:
    """The documents in ``store``, by the sha256 of their bytes as they came; sealed by ``cipher`` if there is one."""

    def __init__(self, store: Store, cipher: Cipher | None = None) -> None:
        self.store = store
        self._cipher = cipher

    def keep(self, document: Document) -> None:
        """Create the evidence. What is there already must be the same bytes: :class:`ConflictError` otherwise."""
        key = self._key(document.digest)
        with document.open() as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            kept = chunks if self._cipher is None else self._cipher.seal(chunks)
            if document.size <= SMALL_BYTES:
                created = self.store.create(key, b"".join(kept))
            else:
                created = self.store.create_from(key, kept)
        if not created:
            self.load(document.digest, document.name)

    def load(self, digest: str, where: str) -> Document:
        """The document with this digest. Raises :class:`ConflictError` naming ``where`` if it is missing or other
        bytes, :class:`OperatorError` if it is sealed and there is no key."""
        key = self._key(digest)
        chunks = self.store.chunks(key)
        if chunks is None:
            if self._cipher is None and self.store.chunks(f"{_SEALED}/{digest}") is not None:
                raise OperatorError(
                    f"{where}: {key} in {self.store.url} is encrypted, and no evidence_key is configured",
                    code="evidence-key",
                    reason="What was decided must be read again from the evidence.",
                    advice="Set stores.evidence_key to the key that the evidence was kept with.",
                )
            raise contradicted(f"{where}: {key} is missing from {self.store.url}")
        return self._document(key, digest, chunks, where)

    def load_any(self, digest: str, where: str) -> Document:
        """:meth:`load`, or what was kept before there was a key: to be shown, not to be decided on."""
        plain = f"{_PLAIN}/{digest}"
        if self._cipher is not None and self.store.chunks(self._key(digest)) is None:
            chunks = self.store.chunks(plain)
            if chunks is not None:
                return Evidence(self.store)._document(plain, digest, chunks, where)
        return self.load(digest, where)

    def _key(self, digest: str) -> str:
        return f"{_PLAIN if self._cipher is None else _SEALED}/{digest}"

    def _document(self, key: str, digest: str, chunks: Iterator[bytes], where: str) -> Document:
        place = f"{where}: {key} in {self.store.url}"
        try:
            document = Document(key, chunks if self._cipher is None else self._cipher.open(chunks, place))
        except SourceError:
            raise contradicted(f"{place} is empty or too large") from None
        if document.digest != digest:
            raise contradicted(f"{place} does not have the digest that its name says")
        return document


def contradicted(message: str) -> ConflictError:
    """The refusal of what does not follow from the stored evidence."""
    return ConflictError(
        printable(message),
        code="evidence-contradicts",
        reason="What was decided must follow from the stored evidence, byte for byte.",
        advice="Find out who has write access to the private store, and restore the evidence from its backup. If the "
        "attempt was begun before stores.evidence_key was set or changed, `attest abandon` begins another.",
    )
