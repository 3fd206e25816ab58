"""Custodians' detached signatures over the documents they send: OpenPGP (RFC 9580) and CMS (RFC 5652).

The signer's key or certificate is pinned by the configuration: no web of trust and no certificate authority is asked,
so nobody else can vouch for a statement. A signature is over the bytes as they arrived, before anything is unpacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attest.config import StatementSignature
from attest.custody.document import MAX_BYTES, Document
from attest.errors import OperatorError, SourceError, printable

if TYPE_CHECKING:
    from asn1crypto.cms import SignerInfo
    from cryptography.x509 import Certificate

#: A signature with its certificates; more is something else.
_MAX_SIGNATURE = 1 << 20
_HASHES = {"sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512"}


def check(signature: StatementSignature, base: Path, where: str) -> None:
    """Raises :class:`OperatorError` (``signature-key``) naming ``where`` if the pinned key cannot be used."""
    try:
        _keys(signature, base)
    except (OSError, ValueError) as fault:
        detail = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise OperatorError(
            f"{where}.signature.key: {signature.key}: {printable(detail or 'cannot be read')}",
            code="signature-key",
            reason="Without the custodian's key no signature can be checked.",
            advice="Put the custodian's OpenPGP public key there, or its certificate in PEM for CMS.",
        ) from None


def verified(
    documents: Sequence[Document], signature: StatementSignature, *, base: Path, at: datetime
) -> tuple[Document, ...]:
    """The signed ones of ``documents`` (each is followed by its signature) if every signature is the pinned key's.

    ``at`` (aware) is when a CMS certificate must have been valid; an OpenPGP key must be valid now, by the library's
    own clock. Raises :class:`SourceError` (``signature-invalid``, ``signature-missing``) naming the document.
    """
    keys = _keys(signature, base)
    check_one = _check_pgp if signature.kind == "pgp" else _check_cms
    signed = documents[::2]
    if len(documents) % 2:
        raise SourceError(
            f"{signed[-1].name}: there is no signature",
            code="signature-missing",
            reason="This custodian signs its statements, so one without signature may be anybody's.",
            advice="Fetch the signature file that belongs to the statement and put it beside it.",
        )
    for document, by in zip(signed, documents[1::2], strict=True):
        fault = check_one(document.read(MAX_BYTES), by.read(_MAX_SIGNATURE), keys, at)
        if fault:
            raise SourceError(
                f"{document.name}: its signature {by.name} is not good: {printable(fault)[:300]}",
                code="signature-invalid",
                reason="What the custodian did not sign, or what was changed afterwards, may be anybody's.",
                advice="Fetch statement and signature again. If they stay so, ask the custodian, by another way than "
                "this file came, whether its key has changed and whether it sent this.",
            )
    return tuple(signed)


def _keys(signature: StatementSignature, base: Path) -> list[Any]:
    """The pinned keys. Raises ``OSError`` or ``ValueError`` if there are none."""
    data = (base / signature.key).read_bytes()
    if signature.kind == "pgp":
        from pysequoia import Cert

        try:
            found = list(Cert.split_bytes(data))
        except Exception as fault:  # the library raises nothing more special
            raise ValueError(f"is no OpenPGP public key ({_first_line(fault)})") from None
        if not found:
            raise ValueError("holds no OpenPGP public key")
        return found
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return list(load_pem_x509_certificates(data))
    except ValueError:
        raise ValueError("is no certificate in PEM") from None


def _first_line(fault: Exception) -> str:
    """What went wrong, without the trace that some libraries write below it."""
    return next(iter(str(fault).splitlines()), type(fault).__name__)


# -- OpenPGP -----------------------------------------------------------------------------------------------------------


def _check_pgp(data: bytes, signature: bytes, keys: Sequence[Any], at: datetime) -> str:
    """What is wrong with a detached OpenPGP signature; empty if it is good."""
    from pysequoia import Sig, verify

    try:
        given = verify(bytes=data, store=lambda identifiers: list(keys), signature=Sig.from_bytes(signature))
    except Exception as fault:  # the library raises nothing more special
        return _first_line(fault)
    return "" if given.valid_sigs else "no signature of the pinned key is in it"


# -- CMS ---------------------------------------------------------------------------------------------------------------


def _check_cms(data: bytes, signature: bytes, keys: Sequence[Certificate], at: datetime) -> str:
    """What is wrong with a detached CMS signature (DER or PEM); empty if a pinned certificate's signature is good."""
    from asn1crypto import cms, pem

    try:
        if pem.detect(signature):
            _, _, signature = pem.unarmor(signature)
        content = cms.ContentInfo.load(signature, strict=True)
        if content["content_type"].native != "signed_data":
            return f"it is {content['content_type'].native}, no signature"
        signed = content["content"]
        if signed["encap_content_info"]["content"].native is not None:
            return "it carries a content of its own instead of being detached"
        faults = [_check_signer(data, signer, keys, at) for signer in signed["signer_infos"]]
    except (ValueError, TypeError, KeyError) as fault:
        return f"it is no CMS signature ({fault})"
    return "" if "" in faults else "; ".join(faults) or "nobody signed it"


def _check_signer(data: bytes, signer: SignerInfo, keys: Sequence[Certificate], at: datetime) -> str:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes

    certificate = next((one for one in keys if _is_of(signer, one)), None)
    if certificate is None:
        return "a signer is not the pinned certificate"
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= at <= end:
        return f"the pinned certificate is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}"
    name = signer["digest_algorithm"]["algorithm"].native
    if name not in _HASHES:
        return f"its digest is {name}, which is not strong enough"
    algorithm: hashes.HashAlgorithm = getattr(hashes, _HASHES[name])()
    attributes = signer["signed_attrs"]
    payload = data
    if attributes.native is not None:
        digest = hashes.Hash(algorithm)
        digest.update(data)
        stated = {each["type"].native: [value.native for value in each["values"]] for each in attributes}
        if stated.get("content_type") != ["data"]:
            return "it does not say that it signs data"
        if stated.get("message_digest") != [digest.finalize()]:
            return "it was made over other bytes"
        payload = attributes.untag().dump()
    try:
        _verify(certificate, signer, payload, algorithm)
    except InvalidSignature:
        return "it was not made by the pinned certificate's key"
    except UnsupportedAlgorithm as fault:
        return str(fault)
    return ""


def _is_of(signer: SignerInfo, certificate: Certificate) -> bool:
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import ExtensionNotFound, SubjectKeyIdentifier

    said = signer["sid"]
    if said.name == "issuer_and_serial_number":
        from asn1crypto.x509 import Certificate as Parsed

        parsed = Parsed.load(certificate.public_bytes(Encoding.DER))
        return (said.chosen["issuer"].dump(), said.chosen["serial_number"].native) == (
            parsed.issuer.dump(),
            parsed.serial_number,
        )
    try:
        extension = certificate.extensions.get_extension_for_class(SubjectKeyIdentifier)
    except ExtensionNotFound:
        return False
    return bool(said.chosen.native == extension.value.digest)


def _verify(certificate: Certificate, signer: SignerInfo, payload: bytes, algorithm: Any) -> None:
    """Raises ``InvalidSignature``, or ``UnsupportedAlgorithm`` for kinds of keys that are not read here."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

    key, signature = certificate.public_key(), signer["signature"].native
    kind = signer["signature_algorithm"].signature_algo
    if isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pkcs1v15":
        key.verify(signature, payload, padding.PKCS1v15(), algorithm)
    elif isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pss":
        key.verify(signature, payload, padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
        key.verify(signature, payload, ec.ECDSA(algorithm))
    elif isinstance(key, ed25519.Ed25519PublicKey) and kind == "ed25519":
        key.verify(signature, payload)
    elif isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise InvalidSignature
    else:
        raise UnsupportedAlgorithm("the pinned certificate's key is neither RSA, ECDSA nor Ed25519")
