"""Encryption of evidence at rest: AES-256-GCM in chunks, so that a long document never has to be in memory.

A sealed object is one header line of JSON and the chunks. Each object has a key of its own, derived (HKDF-SHA256) from
the configured key, or from an AWS KMS data key that the header carries wrapped, and 32 random bytes. As in age's STREAM
construction (Hoang, Reyhanitabar, Rogaway, Vizár: nOAE) a chunk's nonce is its number and whether it is the last, so
that chunks cannot be reordered, left out or cut off. The header is the chunks' associated data.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from attest import records
from attest.errors import ConflictError, OperatorError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CHUNK = 64 * 1024
_TAG = 16
_MAX_HEADER = 4096


@dataclass(frozen=True)
class SealedHeader:
    """The first line of a sealed object. ``wrapped`` is the KMS's ciphertext of the data key, empty for a configured
    key."""

    format: Literal["attest-sealed-evidence/1"]
    wrapped: str
    salt: str


class Cipher:
    """Seals and opens by the configured ``evidence_key``: ``aws-kms:KEY``, or a secret reference to 32 bytes in base64,
    whose value ``secret`` gives when it is first needed. Safe for threads."""

    def __init__(self, key: str, secret: Callable[[str], str]) -> None:
        self._key = key
        self._secret = secret
        self._lock = threading.Lock()
        self._data_keys: dict[str, bytes] = {}
        self._newest: str | None = None

    def seal(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The sealed object's bytes, piece by piece. Raises :class:`OperatorError` if the key cannot be had."""
        wrapped, key = self._current()
        salt = base64.b64encode(os.urandom(32)).decode()
        header = records.to_json(SealedHeader("attest-sealed-evidence/1", wrapped, salt))
        yield header
        aead = _aead(key, header)
        for number, (last, chunk) in enumerate(_sized(chunks)):
            yield aead.encrypt(_nonce(number, last), chunk, header)

    def open(self, chunks: Iterator[bytes], where: str) -> Iterator[bytes]:
        """The document's bytes, piece by piece; only authentic ones are given.

        Raises :class:`ConflictError` naming ``where`` for an object that was not sealed by this key or was changed,
        :class:`OperatorError` if the key cannot be had.
        """
        from cryptography.exceptions import InvalidTag

        held = bytearray()
        for chunk in chunks:
            held += chunk
            if b"\n" in held or len(held) > _MAX_HEADER:
                break
        end = held.find(b"\n") + 1
        if not 0 < end <= _MAX_HEADER:
            raise _damaged(where)
        header = bytes(held[:end])
        said = records.from_json(SealedHeader, header, where, ConflictError)
        aead = _aead(self._unwrapped(said.wrapped), header)
        rest = (piece for pieces in ((bytes(held[end:]),), chunks) for piece in pieces)
        for number, (last, chunk) in enumerate(_sized(rest, _CHUNK + _TAG)):
            try:
                yield aead.decrypt(_nonce(number, last), chunk, header)
            except InvalidTag:
                raise _damaged(where) from None

    def _current(self) -> tuple[str, bytes]:
        """(wrapped, key) to seal by: one data key per process, each object derives its own from it."""
        if not self._key.startswith("aws-kms:"):
            return "", self._unwrapped("")
        with self._lock:
            if self._newest is None:
                answer = _kms("generate_data_key", self._key.removeprefix("aws-kms:"), KeySpec="AES_256")
                self._newest = base64.b64encode(answer["CiphertextBlob"]).decode()
                self._data_keys[self._newest] = answer["Plaintext"]
            return self._newest, self._data_keys[self._newest]

    def _unwrapped(self, wrapped: str) -> bytes:
        with self._lock:
            if wrapped not in self._data_keys:
                if wrapped:
                    if not self._key.startswith("aws-kms:"):
                        raise _key_refused("the object was sealed by a KMS key, and evidence_key is none")
                    try:
                        blob = base64.b64decode(wrapped, validate=True)
                    except binascii.Error:
                        raise _key_refused("the object's wrapped key is not base64") from None
                    answer = _kms("decrypt", self._key.removeprefix("aws-kms:"), CiphertextBlob=blob)
                    self._data_keys[wrapped] = answer["Plaintext"]
                elif self._key.startswith("aws-kms:"):
                    raise _key_refused("the object was sealed by a key of its own, and evidence_key is a KMS key")
                else:
                    self._data_keys[wrapped] = _configured(self._key, self._secret(self._key))
            return self._data_keys[wrapped]


def _configured(reference: str, value: str) -> bytes:
    try:
        key = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise _key_refused(f"{reference} does not hold 32 bytes in base64")
    return key


def _kms(operation: Literal["generate_data_key", "decrypt"], key: str, **arguments: object) -> dict[str, bytes]:
    import boto3
    from botocore.config import Config

    logging.getLogger("botocore").setLevel(logging.WARNING)  # at DEBUG it logs answers, data keys and all
    region = key.split(":")[3] if key.startswith("arn:") and key.count(":") >= 5 else None
    patience = Config(connect_timeout=10, read_timeout=20, retries={"max_attempts": 4})
    try:
        client = boto3.client("kms", region_name=region, config=patience)
        answer: dict[str, bytes] = getattr(client, operation)(
            KeyId=key, EncryptionContext={"purpose": "attest-evidence"}, **arguments
        )
        return answer
    except Exception as fault:  # the SDK's errors name principal and action, never a key
        raise _key_refused(f"AWS KMS refused {operation}: {str(fault)[:300]}") from None


def _key_refused(detail: str) -> OperatorError:
    return OperatorError(
        f"stores.evidence_key: {detail}",
        code="evidence-key",
        reason="Evidence is kept encrypted, so without its key it can be neither kept nor read again.",
        advice="Correct stores.evidence_key, or this identity's rights to use the key (kms:GenerateDataKey, "
        "kms:Decrypt). A new key: openssl rand -base64 32.",
    )


def _damaged(where: str) -> ConflictError:
    return ConflictError(
        f"{where}: the sealed evidence was changed, cut off, or sealed by another key",
        code="evidence-contradicts",
        reason="What was decided must follow from the stored evidence, byte for byte.",
        advice="Check stores.evidence_key. If it is right, find out who has write access to the private store, and "
        "restore the evidence from its backup.",
    )


def _aead(key: bytes, header: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=header, info=b"attest evidence").derive(key))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _sized(chunks: Iterable[bytes], size: int = _CHUNK) -> Iterator[tuple[bool, bytes]]:
    """The same bytes in chunks of ``size``, and whether it is the last; there is always a last one."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) > size:
            yield False, bytes(held[:size])
            del held[:size]
    yield True, bytes(held)
