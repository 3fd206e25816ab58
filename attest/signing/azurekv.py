"""``azurekv:VAULT/KEY[/VERSION]``: secp256k1 keys (P-256K) in Azure Key Vault or a Managed HSM.

VAULT is a vault's name, or a host name for one that is not below ``vault.azure.net`` (a Managed HSM, another cloud).
Without VERSION the newest is used, and it stays the one that was opened. Credentials are found as by Azure's own tools
(``DefaultAzureCredential``: environment, workload or managed identity, ``az login``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attest.secrets import Secret
from attest.signing.external import (
    PATIENCE,
    BusyError,
    ExternalDigestSigner,
    Patience,
    denied,
    from_raw,
    unfaithful,
    unusable,
    wrong_curve,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.keys import KeyClient, KeyVaultKey

_LOCATION = re.compile(
    r"(?P<vault>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)/(?P<key>[A-Za-z0-9-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?"
)
#: The rights as roles name them, and as access policies do.
_READ = "Microsoft.KeyVault/vaults/keys/read (access policy: get)"
_SIGN = "Microsoft.KeyVault/vaults/keys/sign/action (access policy: sign)"


class AzureKeyVaultSigner(ExternalDigestSigner):
    """A secp256k1 key of Azure Key Vault, reached by ``client`` (see :func:`connect`). ``version`` is 32 hex digits,
    or ``None`` for the newest."""

    def __init__(self, key: str, version: str | None, client: KeyClient, patience: Patience = PATIENCE) -> None:
        self.name = f"azurekv:{client.vault_url.removeprefix('https://')}/{key}" + (f"/{version}" if version else "")
        self._patience = patience
        found = self._ask(_READ, lambda: client.get_key(key, version))
        super().__init__(self.name, self._point(found))
        self._crypto = client.get_cryptography_client(key, key_version=found.properties.version)

    def _request_signature(self, digest: bytes) -> tuple[int, int]:
        from azure.keyvault.keys.crypto import SignatureAlgorithm

        answer = self._ask(_SIGN, lambda: self._crypto.sign(SignatureAlgorithm.es256_k, digest))
        if not isinstance(answer.signature, bytes):
            raise unfaithful(self.name, "the answer of Azure Key Vault has no signature")
        return from_raw(self.name, answer.signature)

    def _point(self, found: KeyVaultKey) -> bytes:
        """The uncompressed point of a key that is on the curve, enabled and may sign."""
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, EllipticCurvePublicNumbers
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        key: Any = found.key
        if key.kty not in ("EC", "EC-HSM") or key.crv != "P-256K":
            raise wrong_curve(self.name, "P-256K (secp256k1)")
        if found.properties.enabled is False:
            raise unusable(
                self.name, "the key is disabled", "Enable it (az keyvault key set-attributes), or name another."
            )
        if "sign" not in (key.key_ops or ()):
            raise unusable(self.name, "the key may not sign", "Name a key whose operations include `sign`.")
        try:
            numbers = EllipticCurvePublicNumbers(
                int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"), SECP256K1()
            )
            return numbers.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        except (TypeError, ValueError):
            raise unfaithful(self.name, "its public key is not a point of the curve") from None

    def _ask(self, right: str, operation: Callable[[], Any]) -> Any:
        from azure.core.exceptions import (
            ClientAuthenticationError,
            DecodeError,
            HttpResponseError,
            ServiceRequestError,
            ServiceResponseError,
        )

        def request() -> Any:
            try:
                return operation()
            except (ServiceRequestError, ServiceResponseError) as fault:
                raise BusyError(fault.message) from None
            except ClientAuthenticationError as fault:
                raise denied(self.name, fault.message, right) from None
            except DecodeError:
                raise unfaithful(self.name, "the answer of Azure Key Vault cannot be read") from None
            except HttpResponseError as fault:
                raise self._refusal(fault, right) from None
            except (AttributeError, TypeError, ValueError) as fault:
                # It asks for a token that is another service's, or sends what the library cannot make sense of.
                raise unfaithful(self.name, f"the answer of Azure Key Vault was refused: {fault}") from None

        return self._patience.ask(self.name, request)

    def _refusal(self, fault: HttpResponseError, right: str) -> Exception:
        status = fault.status_code or 0
        inner = str(((fault.error.innererror if fault.error else None) or {}).get("code", ""))
        if status in (408, 429) or status >= 500:
            return BusyError(fault.message)
        # 403 is said of keys that are disabled, expired or not made for signing, too.
        if status in (401, 403) and not inner.startswith("Key"):
            return denied(self.name, fault.message, right)
        return unusable(self.name, fault.message, "Look at it: az keyvault key show --vault-name VAULT --name KEY.")


def open_digest_signer(location: str, *, password: Secret | None, base: Path) -> AzureKeyVaultSigner:
    """The secp256k1 signer of ``azurekv:VAULT/KEY``. Raises :class:`OperatorError`
    (:mod:`attest.signing.external`)."""
    match = _LOCATION.fullmatch(location)
    if not match:
        raise unusable(
            f"azurekv:{location}",
            "not a key of Azure Key Vault",
            "Write azurekv:VAULT/KEY or azurekv:VAULT/KEY/VERSION.",
        )
    vault = match["vault"] if "." in match["vault"] else f"{match['vault']}.vault.azure.net"
    return AzureKeyVaultSigner(match["key"], match["version"], connect(f"https://{vault}", PATIENCE))


def connect(vault_url: str, patience: Patience, credential: TokenCredential | None = None, **options: Any) -> KeyClient:
    """Azure's client of the vault, without retries of its own. ``options`` are the library's (``connection_verify``,
    ``verify_challenge_resource``)."""
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.keys import KeyClient

    waiting = {"connection_timeout": patience.timeout, "read_timeout": patience.timeout}
    return KeyClient(
        vault_url,
        credential or DefaultAzureCredential(retry_total=1, **waiting),
        retry_total=0,
        **waiting,
        **options,
    )
