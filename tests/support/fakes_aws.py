"""AWS KMS for tests, over HTTP: GetPublicKey and Sign of one key, as its API reference says. What a request says wrong
about a digest or an algorithm is answered as KMS would, so a signer that does not ask for DIGEST fails."""

from __future__ import annotations

import base64
import json
from typing import Any, Self

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.signing.awskms import AwsKmsDigestSigner, AwsKmsNoteSigner, connect
from attest.signing.external import Patience
from tests.support.key_services import CALM, KeyService
from tests.support.replay import Answer, Recorded, Replay

REGION = "eu-central-1"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:{REGION}:111122223333:key/{KEY_ID}"
_ERRORS = {
    "throttled": (400, "ThrottlingException", "You have exceeded the rate at which you may call KMS."),
    "broken": (500, "KMSInternalException", "try again"),
    "denied": (400, "AccessDeniedException", "User: arn:aws:iam::111122223333:user/x is not authorized"),
    "disabled": (400, "DisabledException", f"{ARN} is disabled."),
    "missing": (400, "NotFoundException", f"Key '{ARN}' does not exist"),
}


class AwsKms(KeyService):
    """``signs`` are the parameters of each Sign request; ``answers``, if any, replace the next answers."""

    uri = f"awskms:{KEY_ID}?region={REGION}"

    def __init__(self) -> None:
        self._server = Replay({"POST /": self._answer})
        self._clients: dict[float, Any] = {}
        self.reset()

    def reset(self) -> None:
        super().reset()
        self.log_key: Ed25519PrivateKey | None = None
        self.signs: list[dict[str, Any]] = []
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

    def open(self, patience: Patience = CALM) -> AwsKmsDigestSigner:
        return AwsKmsDigestSigner(KEY_ID, self.client(patience), patience)

    def client(self, patience: Patience = CALM) -> Any:
        """boto3's; it is slow to make, so tests share it."""
        if patience.timeout not in self._clients:
            with pytest.MonkeyPatch.context() as monkeypatch:
                self.configure(monkeypatch)
                self._clients[patience.timeout] = connect(REGION, patience)
        return self._clients[patience.timeout]

    def open_log(self, patience: Patience = CALM) -> AwsKmsNoteSigner:
        return AwsKmsNoteSigner(KEY_ID, self.client(patience), patience)

    def configure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        settings = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "canary-secret",
            "AWS_ENDPOINT_URL_KMS": self._server.url,
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    def _answer(self, request: Recorded) -> Answer:
        operation = request.headers["x-amz-target"].removeprefix("TrentService.")
        fault = self.next_fault(operation)
        if self.answers:
            return self.answers.pop(0)
        if fault == "hangs":
            return Answer(wait=30)
        if fault in _ERRORS:
            return _refused(*_ERRORS[fault])
        asked = json.loads(request.body)
        if asked.pop("KeyId") not in (KEY_ID, ARN):
            return _refused(*_ERRORS["missing"])
        if operation == "GetPublicKey":
            return self._public_key()
        self.signs.append(asked)
        return self._sign(asked, fault)

    def _public_key(self) -> Answer:
        key = self.public() if self.log_key is None else self.log_key.public_key()
        spec = "ECC_NIST_EDWARDS25519" if self.log_key else "ECC_NIST_P256" if self.on_p256 else "ECC_SECG_P256K1"
        spki = base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
        return _said({"KeyId": ARN, "KeySpec": spec, "KeyUsage": "SIGN_VERIFY", "PublicKey": spki})

    def _sign(self, asked: dict[str, Any], fault: str) -> Answer:
        message = base64.b64decode(asked["Message"])
        kind, algorithm = asked["MessageType"], asked["SigningAlgorithm"]
        if self.log_key is not None:
            if (kind, algorithm) != ("RAW", "ED25519_SHA_512"):
                return _refused(400, "ValidationException", "ED25519_SHA_512 requires MessageType RAW")
            signature = self.log_key.sign(b"another" if fault == "another digest" else message)
        else:
            if (kind, algorithm, len(message)) != ("DIGEST", "ECDSA_SHA_256", 32):
                return _refused(400, "ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256.")
            signature = self.der(message, fault)
        return _said({"KeyId": ARN, "Signature": base64.b64encode(signature).decode(), "SigningAlgorithm": algorithm})


def _said(document: dict[str, str], status: int = 200) -> Answer:
    return Answer(json.dumps(document).encode(), status, {"Content-Type": "application/x-amz-json-1.1"})


def _refused(status: int, code: str, text: str) -> Answer:
    return _said({"__type": code, "message": text}, status)
