"""``gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N``: secp256k1 keys in Google Cloud KMS.

The version is part of the name: another version is another key. Credentials are Google's Application Default
Credentials. The algorithm is ``EC_SIGN_SECP256K1_SHA256``, which signs the 32 bytes that it is given as a SHA-256
digest, whatever made them. Both ways are covered by CRC32C checksums, as Google recommends.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attest.secrets import Secret
from attest.signing.external import (
    PATIENCE,
    BusyError,
    ExternalDigestSigner,
    Patience,
    denied,
    from_der,
    secp256k1_point,
    unfaithful,
    unusable,
    wrong_curve,
)

if TYPE_CHECKING:
    from google.cloud.kms import KeyManagementServiceClient

_VERSION = re.compile(
    r"projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+"
    r"/cryptoKeyVersions/[0-9]+"
)
_DESCRIBE = "Look at its algorithm and state: gcloud kms keys versions describe N --key K --keyring R --location L."


class GcpKmsSigner(ExternalDigestSigner):
    """The secp256k1 key ``version`` (a full resource name) of Google Cloud KMS, reached by ``client``."""

    def __init__(self, version: str, client: KeyManagementServiceClient, patience: Patience = PATIENCE) -> None:
        from google.cloud.kms import CryptoKeyVersion

        self.name = f"gcpkms:{version}"
        self._version = version
        self._client = client
        self._patience = patience
        answer = self._ask("cloudkms.cryptoKeyVersions.viewPublicKey", client.get_public_key, {"name": version})
        if answer.algorithm != CryptoKeyVersion.CryptoKeyVersionAlgorithm.EC_SIGN_SECP256K1_SHA256:
            raise wrong_curve(self.name, "EC_SIGN_SECP256K1_SHA256")
        pem = answer.pem.encode()
        self._check(answer.name, pem, answer.pem_crc32c)
        super().__init__(self.name, secp256k1_point(self.name, pem))

    def _request_signature(self, digest: bytes) -> tuple[int, int]:
        checksum = crc32c(digest)
        request = {"name": self._version, "digest": {"sha256": digest}, "digest_crc32c": checksum}
        answer = self._ask("cloudkms.cryptoKeyVersions.useToSign", self._client.asymmetric_sign, request)
        if not answer.verified_digest_crc32c:
            raise unfaithful(self.name, "Google Cloud KMS did not receive the digest as it was sent")
        self._check(answer.name, answer.signature, answer.signature_crc32c)
        return from_der(self.name, answer.signature)

    def _check(self, name: str, content: bytes, checksum: int | None) -> None:
        if name != self._version:
            raise unfaithful(self.name, f"the answer is another key version's: {name}")
        if checksum != crc32c(content):
            raise unfaithful(self.name, "the answer does not match its CRC32C checksum")

    def _ask(self, right: str, operation: Any, request: dict[str, Any]) -> Any:
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError

        def once() -> Any:
            try:
                # Without `retry=None`, the library asks again for a minute.
                return operation(request=request, retry=None, timeout=self._patience.timeout)
            except (exceptions.PermissionDenied, exceptions.Unauthenticated) as fault:
                raise denied(self.name, fault.message, right) from None
            except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.Cancelled) as fault:
                raise BusyError(fault.message) from None
            except exceptions.GoogleAPICallError as fault:  # not found, disabled, destroyed, another purpose
                raise unusable(self.name, fault.message, _DESCRIBE) from None
            except GoogleAuthError as fault:
                raise denied(self.name, str(fault), right) from None

        return self._patience.ask(self.name, once)


def open_digest_signer(location: str, *, password: Secret | None, base: Path) -> GcpKmsSigner:
    """The secp256k1 signer of ``gcpkms:RESOURCE``. Raises :class:`OperatorError`
    (:mod:`attest.signing.external`)."""
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.kms import KeyManagementServiceClient

    name = f"gcpkms:{location}"
    if not _VERSION.fullmatch(location):
        raise unusable(
            name,
            "not a key version of Google Cloud KMS",
            "Write gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N.",
        )
    try:
        client = KeyManagementServiceClient()
    except GoogleAuthError as fault:
        raise denied(name, str(fault), "roles/cloudkms.signer and roles/cloudkms.publicKeyViewer on the key") from None
    return GcpKmsSigner(location, client)


def crc32c(content: bytes) -> int:
    """The CRC-32C (Castagnoli) checksum (RFC 3720, section 12.1 and appendix B.4)."""
    table = _table()
    register = 0xFFFFFFFF
    for byte in content:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    rows = []
    for row in range(256):
        for _ in range(8):
            row = (row >> 1) ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return tuple(rows)
