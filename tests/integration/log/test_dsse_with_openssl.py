"""openssl verifies the envelope's signature over the PAE, with the key in the form that a trust file carries."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.errors import VerificationError
from attest.signing.dsse import (
    assemble_envelope,
    encode_der,
    keyid_of,
    message_digest,
    pae,
    parse_envelope,
    spki_der,
    spki_pem,
    verify_signature,
)
from attest.signing.signer import SECP256K1_ORDER

pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")

TYPE = "application/vnd.in-toto+json"
KEY = ec.derive_private_key(0xA11CE, ec.SECP256K1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def openssl_verifies(folder: Path, message: bytes, signature: bytes, pem: str) -> bool:
    (folder / "key.pem").write_text(pem)
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(signature)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False).returncode == 0


def test_openssl__signature_in_the_envelope__verifies_over_the_pae(tmp_path: Path) -> None:
    body = b'{"_type":"https://in-toto.io/Statement/v1"}\n'
    r, s = decode_dss_signature(KEY.sign(message_digest(TYPE, body), ec.ECDSA(Prehashed(SHA256()))))
    envelope = parse_envelope(assemble_envelope(TYPE, body, [(keyid_of(spki_der(POINT)), encode_der(r, s))]))
    signature = envelope.signatures[0].signature
    message = pae(envelope.payloadType, envelope.body)
    assert openssl_verifies(tmp_path, message, signature, spki_pem(POINT))
    assert not openssl_verifies(tmp_path, message + b" ", signature, spki_pem(POINT))
    assert not openssl_verifies(tmp_path, envelope.body, signature, spki_pem(POINT))


def test_openssl__accepts_a_high_s_twin__which_this_project_refuses(tmp_path: Path) -> None:
    body = b"{}"
    r, s = decode_dss_signature(KEY.sign(message_digest(TYPE, body), ec.ECDSA(Prehashed(SHA256()))))
    twin = encode_dss_signature(r, SECP256K1_ORDER - min(s, SECP256K1_ORDER - s))
    assert openssl_verifies(tmp_path, pae(TYPE, body), twin, spki_pem(POINT))
    with pytest.raises(VerificationError, match="high s"):
        verify_signature(POINT, TYPE, body, twin)


def test_openssl__signature_made_by_it__verifies_here_once_low_s(tmp_path: Path) -> None:
    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, timeout=60, check=True).stdout

    openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "private.pem")
    public = openssl("pkey", "-in", "private.pem", "-pubout")
    (tmp_path / "message").write_bytes(pae(TYPE, b"{}"))
    der = openssl("dgst", "-sha256", "-sign", "private.pem", "message")
    verify_signature(public, TYPE, b"{}", encode_der(*decode_dss_signature(der)))
    spki = openssl("pkey", "-in", "private.pem", "-pubout", "-outform", "DER")
    assert spki_der(public) == spki
