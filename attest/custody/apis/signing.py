"""How the venues' requests are signed: the headers for one request, from its parts. Pure.

Sources: Kraken, "Spot REST Authentication"; Coinbase Prime, "REST API Authentication"; Fireblocks, "Signing a request".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: Fireblocks refuses tokens that live for 30 seconds or more.
TOKEN_SECONDS = 25


def kraken(path: str, nonce: str, body: bytes, *, api_key: str, api_secret: str) -> dict[str, str]:
    """HMAC-SHA512 by the decoded secret over the path (from ``/0/``) and SHA-256 of nonce and body. ``nonce`` must be
    the one in ``body``. Raises ``ValueError`` for a secret that is not base64."""
    try:
        key = base64.b64decode(api_secret, validate=True)
    except binascii.Error:
        raise ValueError("it is not base64") from None
    message = path.encode() + hashlib.sha256(nonce.encode() + body).digest()
    return {"API-Key": api_key, "API-Sign": _base64(hmac.digest(key, message, "sha512"))}


def coinbase_prime(
    method: str, path: str, body: str, now: int, *, api_key: str, api_secret: str, passphrase: str
) -> dict[str, str]:
    """HMAC-SHA256 by the secret's text over time, method, path (without query) and body. ``now``: Unix seconds."""
    message = f"{now}{method}{path}{body}"
    return {
        "X-CB-ACCESS-KEY": api_key,
        "X-CB-ACCESS-PASSPHRASE": passphrase,
        "X-CB-ACCESS-SIGNATURE": _base64(hmac.digest(api_secret.encode(), message.encode(), "sha256")),
        "X-CB-ACCESS-TIMESTAMP": str(now),
    }


def fireblocks(path: str, body: bytes, now: int, nonce: str, *, api_key: str, key: RSAPrivateKey) -> dict[str, str]:
    """A JSON Web Token (RS256) for one request: its path with the query, and the SHA-256 of its body. ``now``: Unix
    seconds."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    claims = {
        "uri": path,
        "nonce": nonce,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
        "sub": api_key,
        "bodyHash": hashlib.sha256(body).hexdigest(),
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    signed = ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    token = f"{signed}.{_base64url(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"
    return {"X-API-Key": api_key, "Authorization": f"Bearer {token}"}


def rsa_key(pem: str) -> RSAPrivateKey:
    """The RSA key in ``pem``. Raises ``ValueError`` if it holds none that is not encrypted."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("it is not a private key (PEM, not encrypted)") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it is not an RSA key")
    return key


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
