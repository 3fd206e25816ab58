"""What the fake key services of tests have in common: a real key inside, and faults in the order that a test wants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from attest.signing.external import Patience
from attest.signing.keystore import KeystoreSigner
from attest.signing.signer import SECP256K1_ORDER, DigestSigner

#: Enough for a loaded machine; pauses that nobody waits for.
CALM = Patience(timeout=20, attempts=3, pause=0.001)
_ANOTHER = KeystoreSigner(b"\x22" * 32)


class KeyService(ABC):
    """One secp256k1 key in a service, from ``with`` on.

    ``faults`` are what happens to the next requests, one each: ``throttled``, ``broken``, ``hangs``, ``denied``,
    ``disabled``, ``missing``, ``malformed``, ``another key``, ``another digest``, ``zero``; then it answers as it
    should. ``asked`` are the operations that were requested.
    """

    #: The key as a configuration names it.
    uri: str

    #: What it signs with.
    key = KeystoreSigner(b"\x11" * 32)

    def reset(self) -> None:
        """As new, for the next test: faultless, and asked nothing."""
        self.high_s = False
        self.on_p256 = False
        self.faults: list[str] = []
        self.asked: list[str] = []

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def open(self, patience: Patience = CALM) -> DigestSigner:
        """The signer, over the service's stock client."""

    @abstractmethod
    def configure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lets ``uri`` lead here."""

    def next_fault(self, operation: str) -> str:
        self.asked.append(operation)
        return self.faults.pop(0) if self.faults else ""

    def numbers(self, digest: bytes, fault: str) -> tuple[int, int]:
        """``r`` and ``s`` for this digest, or what the fault makes of them."""
        assert len(digest) == 32
        if fault == "zero":
            return 0, 1
        key = _ANOTHER if fault == "another key" else self.key
        r, s, _ = key.sign_digest(bytes(32) if fault == "another digest" else digest)
        return r, SECP256K1_ORDER - s if self.high_s else s

    def der(self, digest: bytes, fault: str) -> bytes:
        return b"0\x06\x02\x01" if fault == "malformed" else encode_dss_signature(*self.numbers(digest, fault))

    def public(self) -> Any:
        """The public key; ``on_p256``, one of another curve."""
        if self.on_p256:
            return ec.derive_private_key(5, ec.SECP256R1()).public_key()
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), self.key.public_key)
