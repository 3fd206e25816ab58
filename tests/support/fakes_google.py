"""Google Cloud KMS for tests, over gRPC: GetPublicKey and AsymmetricSign of one key version."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import google.cloud.kms as kms
import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from attest.signing.external import Patience
from attest.signing.gcpkms import GcpKmsSigner, crc32c
from tests.support.key_services import CALM, KeyService

VERSION = "projects/issuer/locations/europe-west3/keyRings/attest/cryptoKeys/reporter/cryptoKeyVersions/1"
_ERRORS = {
    "throttled": (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded"),
    "broken": (grpc.StatusCode.INTERNAL, "try again"),
    "denied": (grpc.StatusCode.PERMISSION_DENIED, "Permission denied on resource (or it may not exist)."),
    "disabled": (grpc.StatusCode.FAILED_PRECONDITION, "is not enabled, current state is: DISABLED."),
    "missing": (grpc.StatusCode.NOT_FOUND, "CryptoKeyVersion not found"),
}
_ALGORITHMS = kms.CryptoKeyVersion.CryptoKeyVersionAlgorithm


class GoogleKms(KeyService):
    """``changes`` are fields of the next answers that differ from what they should be."""

    uri = f"gcpkms:{VERSION}"

    def __init__(self) -> None:
        self.reset()
        self._closing = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        port = self._server.add_insecure_port("127.0.0.1:0")
        handlers = {
            "GetPublicKey": grpc.unary_unary_rpc_method_handler(
                self._public_key, kms.GetPublicKeyRequest.deserialize, kms.PublicKey.serialize
            ),
            "AsymmetricSign": grpc.unary_unary_rpc_method_handler(
                self._sign, kms.AsymmetricSignRequest.deserialize, kms.AsymmetricSignResponse.serialize
            ),
        }
        service = "google.cloud.kms.v1.KeyManagementService"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def reset(self) -> None:
        super().reset()
        self.changes: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._channel.close()
        self._server.stop(None).wait()

    def client(self) -> kms.KeyManagementServiceClient:
        return kms.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=self._channel))

    def open(self, patience: Patience = CALM) -> GcpKmsSigner:
        return GcpKmsSigner(VERSION, self.client(), patience)

    def configure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        client = self.client()
        monkeypatch.setattr(kms, "KeyManagementServiceClient", lambda: client)

    def _public_key(self, request: kms.GetPublicKeyRequest, context: grpc.ServicerContext) -> kms.PublicKey:
        self._fail("GetPublicKey", request.name, context)
        pem = self.public().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        algorithm = _ALGORITHMS.EC_SIGN_P256_SHA256 if self.on_p256 else _ALGORITHMS.EC_SIGN_SECP256K1_SHA256
        fields = {"name": VERSION, "pem": pem.decode(), "pem_crc32c": crc32c(pem), "algorithm": algorithm}
        return kms.PublicKey({**fields, **self.changes})

    def _sign(self, request: kms.AsymmetricSignRequest, context: grpc.ServicerContext) -> kms.AsymmetricSignResponse:
        fault = self._fail("AsymmetricSign", request.name, context)
        if request.digest_crc32c != crc32c(request.digest.sha256):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Checksum mismatch")
        signature = self.der(request.digest.sha256, fault)
        fields = {
            "name": VERSION,
            "signature": signature,
            "signature_crc32c": crc32c(signature),
            "verified_digest_crc32c": True,
        }
        return kms.AsymmetricSignResponse({**fields, **self.changes})

    def _fail(self, operation: str, name: str, context: grpc.ServicerContext) -> str:
        fault = self.next_fault(operation)
        if fault == "hangs":
            self._closing.wait(30)
        if fault in _ERRORS or name != VERSION:
            context.abort(*_ERRORS.get(fault, _ERRORS["missing"]))
        return fault
