"""Azure Key Vault for tests, over TLS: the challenge, "Get Key" and "Sign" of its REST API (7.x) for one key."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Self

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.keyvault.keys import KeyClient

from attest.signing import azurekv
from attest.signing.azurekv import AzureKeyVaultSigner, connect
from attest.signing.external import Patience
from tests.support.key_services import CALM, KeyService
from tests.support.replay import Answer, Authority, Recorded, Replay

KEY = "reporter"
VERSION = "78deebed173b48e48f55abf87ed4cf71"
TOKEN = "canary-token"
_ERRORS = {
    "throttled": (429, "Throttled", None, "Request was not processed because too many requests were received."),
    "broken": (500, "InternalServerError", None, "try again"),
    "denied": (403, "Forbidden", "ForbiddenByRbac", "Caller is not authorized to perform action on resource."),
    "disabled": (403, "Forbidden", "KeyDisabled", "Operation sign is not allowed on a disabled key."),
    "missing": (404, "KeyNotFound", None, "A key with (name/id) reporter was not found in this key vault."),
}


class Credential:
    """Gives one token to whoever asks."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(TOKEN, 4_000_000_000)

    def get_token_info(self, *_: str, **__: Any) -> AccessTokenInfo:
        return AccessTokenInfo(TOKEN, 4_000_000_000)


class AzureKeyVault(KeyService):
    """``bundle`` changes what "Get Key" answers; ``answers``, if any, replace the next answers after the challenge."""

    uri = f"azurekv:vault.example/{KEY}"

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self.authority = authority.file
        found = {f"GET /keys/{KEY}/": self._answer, f"GET /keys/{KEY}/{VERSION}": self._answer}
        self._server = Replay({**found, f"POST /keys/{KEY}/{VERSION}/sign": self._answer}, tls=authority.server())
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.bundle: dict[str, Any] = {}
        self.attributes: dict[str, Any] = {"enabled": True}
        self.answers: list[Answer] = []
        self.requests.clear()

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    @property
    def requests(self) -> list[Recorded]:
        return self._server.requests

    @property
    def url(self) -> str:
        return self._server.url

    def client(self, patience: Patience = CALM, credential: Any = None, **options: Any) -> KeyClient:
        options = {"verify_challenge_resource": False, **options}
        return connect(
            self.url,
            patience,
            credential or Credential(),
            connection_verify=str(self.authority),
            **options,
        )

    def open(self, patience: Patience = CALM, version: str | None = None) -> AzureKeyVaultSigner:
        return AzureKeyVaultSigner(KEY, version, self.client(patience), patience)

    def configure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(azurekv, "connect", lambda url, patience: self.client(patience))

    def _answer(self, request: Recorded) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            challenge = 'Bearer authorization="https://login.example/tenant", resource="https://vault.azure.net"'
            return Answer(b"{}", 401, {"WWW-Authenticate": challenge, "Content-Type": "application/json"})
        signing = request.method == "POST"
        fault = self.next_fault("sign" if signing else "get")
        if self.answers:
            return self.answers.pop(0)
        if fault == "hangs":
            return Answer(wait=30)
        if fault in _ERRORS:
            status, code, inner, text = _ERRORS[fault]
            error: dict[str, Any] = {"code": code, "message": text}
            return said({"error": error | ({"innererror": {"code": inner}} if inner else {})}, status)
        kid = f"{self._server.url}/keys/{KEY}/{VERSION}"
        if not signing:
            return said({"key": {"kid": kid, **self._jwk(), **self.bundle}, "attributes": self.attributes})
        asked = json.loads(request.body)
        if asked["alg"] != "ES256K":
            return said({"error": {"code": "BadParameter", "message": "Key and algorithm do not match"}}, 400)
        digest = base64.urlsafe_b64decode(asked["value"] + "==")
        r, s = self.numbers(digest, fault)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return said({"kid": kid, "value": encoded(raw[1:] if fault == "malformed" else raw)})

    def _jwk(self) -> dict[str, Any]:
        point = self.public().public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256" if self.on_p256 else "P-256K",
            "x": encoded(point.x.to_bytes(32, "big")),
            "y": encoded(point.y.to_bytes(32, "big")),
            "key_ops": ["sign", "verify"],
        }


def said(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer(json.dumps(document).encode(), status, {"Content-Type": "application/json"})


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
