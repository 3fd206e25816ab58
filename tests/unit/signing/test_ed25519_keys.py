"""Keys of logs and witnesses in encrypted files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from attest.errors import OperatorError
from attest.signing.ed25519 import generate_note_key, load_note_signer

PASSWORD = b"correct horse"


def test_note_key__generated__loads_again_and_signs_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    made = generate_note_key(path, PASSWORD)
    loaded = load_note_signer(path, PASSWORD)
    assert loaded.public_key == made.public_key
    assert len(loaded.public_key) == 32
    assert loaded.sign(b"text\n") == made.sign(b"text\n")
    ed25519.Ed25519PublicKey.from_public_bytes(made.public_key).verify(made.sign(b"text\n"), b"text\n")


def test_note_key__file__is_private_and_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    generate_note_key(path, PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")


def test_note_key__file_exists__is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.pem"
    generate_note_key(path, PASSWORD)
    before = path.read_bytes()
    with pytest.raises(OperatorError, match=r"log\.pem: already exists"):
        generate_note_key(path, PASSWORD)
    assert path.read_bytes() == before


def test_note_key__empty_password_or_missing_folder__is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="empty password"):
        generate_note_key(tmp_path / "log.pem", b"")
    assert not (tmp_path / "log.pem").exists()
    with pytest.raises(OperatorError, match=r"log\.pem: cannot be written"):
        generate_note_key(tmp_path / "missing" / "log.pem", PASSWORD)


@pytest.mark.parametrize("password", [b"wrong", b""])
def test_note_key__wrong_password__names_the_file_and_not_the_password(tmp_path: Path, password: bytes) -> None:
    path = tmp_path / "log.pem"
    generate_note_key(path, PASSWORD)
    with pytest.raises(OperatorError, match=r"log\.pem: cannot be decrypted: wrong password") as caught:
        load_note_signer(path, password)
    assert caught.value.exit_code == 2
    assert "correct horse" not in str(caught.value.as_json())


def test_note_key__missing_file__is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"none\.pem: cannot be read"):
        load_note_signer(tmp_path / "none.pem", PASSWORD)


def test_note_key__in_the_clear_or_of_another_kind__is_refused(tmp_path: Path) -> None:
    clear, other = tmp_path / "clear.pem", tmp_path / "other.pem"
    key = ed25519.Ed25519PrivateKey.generate()
    clear.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    wrong = ec.derive_private_key(7, ec.SECP256K1())
    other.write_bytes(wrong.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)))
    with pytest.raises(OperatorError, match=r"clear\.pem: is not an encrypted PKCS#8 PEM"):
        load_note_signer(clear, PASSWORD)
    with pytest.raises(OperatorError, match=r"other\.pem: is not an Ed25519 key"):
        load_note_signer(other, PASSWORD)
