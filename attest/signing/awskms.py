"""``awskms:KEY``: keys in AWS KMS. KEY is a key's id, its ARN, an alias (``alias/NAME``) or an alias' ARN.

The region is the ARN's, or ``?region=``, or the one that the environment configures for AWS; credentials are found as
by the ``aws`` command. secp256k1 keys have the key spec ``ECC_SECG_P256K1``, Ed25519 keys ``ECC_NIST_EDWARDS25519``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from attest.errors import OperatorError
from attest.secrets import Secret
from attest.signing.external import (
    PATIENCE,
    BusyError,
    ExternalDigestSigner,
    ExternalNoteSigner,
    Patience,
    denied,
    ed25519_point,
    from_der,
    secp256k1_point,
    unfaithful,
    unusable,
    wrong_curve,
)

_ARN = re.compile(r"arn:[a-z0-9-]+:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(?:key|alias)/.+")
#: Errors about who asks, beside those of KMS' own model (AWS General Reference, "Common errors").
_WHO = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "UnrecognizedClientException",
}
_DESCRIBE = "Look at its spec, usage, state and region: aws kms describe-key --key-id KEY."


class AwsKmsDigestSigner(ExternalDigestSigner):
    """A secp256k1 key of AWS KMS, reached by ``client`` (boto3's of ``kms``; see :func:`connect`)."""

    def __init__(self, key_id: str, client: Any, patience: Patience = PATIENCE) -> None:
        self._key = _Key(key_id, client, patience)
        spki = self._key.public_key("ECC_SECG_P256K1", "secp256k1")
        super().__init__(self._key.name, secp256k1_point(self._key.name, spki))

    def _request_signature(self, digest: bytes) -> tuple[int, int]:
        # ECDSA_SHA_256 only says that the digest has 32 bytes: with DIGEST, KMS hashes nothing.
        return from_der(self.name, self._key.sign(digest, "DIGEST", "ECDSA_SHA_256"))


class AwsKmsNoteSigner(ExternalNoteSigner):
    """An Ed25519 key of AWS KMS, reached by ``client`` (boto3's of ``kms``; see :func:`connect`)."""

    def __init__(self, key_id: str, client: Any, patience: Patience = PATIENCE) -> None:
        self._key = _Key(key_id, client, patience)
        spki = self._key.public_key("ECC_NIST_EDWARDS25519", "Ed25519")
        super().__init__(self._key.name, ed25519_point(self._key.name, spki))

    def _request_signature(self, message: bytes) -> bytes:
        # RAW is plain Ed25519; ED25519_PH_SHA_512 would be another signature scheme (RFC 8032, section 5.1).
        return self._key.sign(message, "RAW", "ED25519_SHA_512")


def open_digest_signer(location: str, *, password: Secret | None, base: Path) -> AwsKmsDigestSigner:
    """The secp256k1 signer of ``awskms:KEY``. Raises :class:`OperatorError` (:mod:`attest.signing.external`)."""
    key_id, region = _parse(location)
    return AwsKmsDigestSigner(key_id, connect(region, PATIENCE))


def open_note_signer(location: str, *, password: Secret | None, base: Path) -> AwsKmsNoteSigner:
    """The Ed25519 signer of ``awskms:KEY``. Raises :class:`OperatorError` (:mod:`attest.signing.external`)."""
    key_id, region = _parse(location)
    return AwsKmsNoteSigner(key_id, connect(region, PATIENCE))


def connect(region: str | None, patience: Patience) -> Any:
    """boto3's client of KMS, without retries of its own. Raises :class:`OperatorError` when the environment's AWS
    configuration cannot be used."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=patience.timeout,
        read_timeout=patience.timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    try:
        return boto3.session.Session().client("kms", region_name=region, config=config)
    except (BotoCoreError, ValueError) as fault:  # no region, an unknown profile, an endpoint that is no URL
        raise unusable(
            "awskms",
            f"AWS is not configured: {fault}",
            "Add ?region=REGION to the uri, or set AWS_REGION; see `aws configure list`.",
        ) from None


class _Key:
    def __init__(self, key_id: str, client: Any, patience: Patience) -> None:
        self.name = f"awskms:{key_id}"
        self._id = key_id
        self._client = client
        self._patience = patience

    def public_key(self, spec: str, curve: str) -> bytes:
        """The DER SubjectPublicKeyInfo; refused unless the key has this spec."""
        answer = self._ask("kms:GetPublicKey", self._client.get_public_key)
        if answer.get("KeySpec") != spec:
            raise wrong_curve(self.name, curve)
        return self._bytes(answer, "PublicKey")

    def sign(self, message: bytes, message_type: str, algorithm: str) -> bytes:
        answer = self._ask(
            "kms:Sign", self._client.sign, Message=message, MessageType=message_type, SigningAlgorithm=algorithm
        )
        return self._bytes(answer, "Signature")

    def _bytes(self, answer: dict[str, Any], field: str) -> bytes:
        value = answer.get(field)
        if not isinstance(value, bytes):
            raise unfaithful(self.name, f"the answer of AWS KMS has no {field}")
        return value

    def _ask(self, right: str, operation: Any, **parameters: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NotConnectedError
        from botocore.parsers import ResponseParserError

        def request() -> dict[str, Any]:
            try:
                answer: dict[str, Any] = operation(KeyId=self._id, **parameters)
                return answer
            except ClientError as fault:
                raise self._refusal(fault.response, right) from None
            except (NotConnectedError, HTTPClientError) as fault:
                raise BusyError(str(fault)) from None
            except BotoCoreError as fault:  # no credentials, or none that can be had
                raise denied(self.name, str(fault), right) from None
            except (ResponseParserError, AttributeError, LookupError, TypeError, ValueError):
                # The library expects what its model says; on anything else it can fail anywhere.
                raise unfaithful(self.name, "the answer of AWS KMS cannot be read") from None

        return self._patience.ask(self.name, request)

    def _refusal(self, response: dict[str, Any], right: str) -> Exception:
        error = response.get("Error", {})
        code, text = str(error.get("Code", "")), str(error.get("Message", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        detail = f"{code}: {text}"
        if status >= 500 or status == 429 or "Throttling" in code or code == "RequestLimitExceeded":
            return BusyError(detail)
        if code in _WHO or status in (401, 403):
            return denied(self.name, detail, right)
        return unusable(self.name, detail, _DESCRIBE)  # not found, disabled, pending deletion, another usage


def _parse(location: str) -> tuple[str, str | None]:
    """The key as KMS knows it, and the region if the location has one."""
    key_id, mark, query = location.partition("?")
    arn = _ARN.fullmatch(key_id)
    named = parse_qsl(query, keep_blank_values=True)
    regions = {value for _, value in named} | ({arn["region"]} if arn else set())
    if (
        not re.fullmatch(r"[A-Za-z0-9:/_-]{1,2048}", key_id)
        or (key_id.startswith("arn:") and not arn)
        or any(word != "region" or not re.fullmatch(r"[a-z0-9-]+", value) for word, value in named)
        or bool(mark) != bool(named)
        or len(regions) > 1
    ):
        raise _malformed(location)
    return key_id, next(iter(regions), None)


def _malformed(location: str) -> OperatorError:
    return unusable(
        f"awskms:{location}",
        "not a key of AWS KMS in one region",
        "Write awskms:KEY?region=REGION, where KEY is a key id or alias/NAME, or awskms:ARN.",
    )
