"""Time stamps of a checkpoint (RFC 3161): an authority's word that a head existed at a time, apart from the issuer's.

What is stamped is the checkpoint's signed text (three lines, UTF-8), by its SHA-256. Asking for a stamp and verifying
it need the extra ``timestamp`` (rfc3161-client, imported when it is used).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from attest.errors import SourceError, VerificationError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: The media types of RFC 3161 section 3.4.
QUERY_TYPE = "application/timestamp-query"
#: A response holds one signature and a few certificates.
MAX_STAMP_BYTES = 64 * 1024


@dataclass(frozen=True)
class Stamp:
    """A verified time stamp: when (aware, UTC), and the subject of the certificate that signed it."""

    time: datetime
    authority: str


def load_certificates(pem: str) -> list[Certificate]:
    """The certificates in a PEM text; raises ``ValueError`` if there is none, or anything is malformed."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ValueError("is not a certificate in PEM (-----BEGIN CERTIFICATE-----)") from None


def request_stamp(
    post: Callable[[bytes], tuple[int, bytes]], text: str, roots: Sequence[str], where: str
) -> tuple[bytes, Stamp]:
    """Ask an authority to stamp ``text``; returns its response (DER) and what it says, verified under ``roots`` (PEM).

    ``post`` sends a query of type :data:`QUERY_TYPE` and returns status and body. Raises :class:`SourceError` when the
    authority answers with another status than 200, and :class:`VerificationError` when its stamp does not verify.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    query = TimestampRequestBuilder().data(text.encode()).hash_algorithm(HashAlgorithm.SHA256).build()
    status, answer = post(query.as_bytes())
    if status != 200:
        raise SourceError(
            f"{where}: the authority answered status {status}",
            code="timestamp-unavailable",
            reason="Without its stamp, the time of this checkpoint is only the issuer's word.",
            advice="Run again later; check the authority's address.",
        )
    return answer, verify_stamp(answer, text, roots, where, nonce=query.nonce)


def verify_stamp(
    data: bytes, text: str, roots: Sequence[str], where: str = "the time stamp", *, nonce: int | None = None
) -> Stamp:
    """Check that ``data`` (a TimeStampResp, DER) stamps ``text``, by an authority whose certificate one of ``roots``
    (PEM) vouches for, for this very purpose, at the time of the stamp. With ``nonce``: that it answers that query.

    Raises :class:`VerificationError` naming ``where``.
    """
    from rfc3161_client import VerificationError as NotVerifiedError
    from rfc3161_client import VerifierBuilder, decode_timestamp_response

    if len(data) > MAX_STAMP_BYTES:
        raise _refuse(where, f"has more than {MAX_STAMP_BYTES} bytes")
    try:
        response = decode_timestamp_response(data)
        if response.status > 1:
            reason = " ".join(response.status_string) or "no reason given"
            raise _refuse(where, f"is no stamp: the authority refused (status {response.status}, {reason})")
        certificates = [certificate for pem in roots for certificate in load_certificates(pem)]
        verifier = VerifierBuilder(roots=certificates, nonce=nonce).build()
        verifier.verify_message(response, text.encode())
        (signer,) = response.signed_data.signer_infos
        return Stamp(response.tst_info.gen_time, _subject(response.signed_data.certificates, signer.serial_number))
    except NotVerifiedError as fault:
        raise _refuse(where, f"does not verify under your authorities ({fault})") from None
    except ValueError as fault:
        raise _refuse(where, f"is not a time stamp response ({fault})") from None


def _subject(certificates: set[bytes], serial_number: int) -> str:
    from cryptography.x509 import load_der_x509_certificate

    loaded = map(load_der_x509_certificate, certificates)
    return next(item.subject.rfc4514_string() for item in loaded if item.serial_number == serial_number)


def _refuse(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="timestamp",
        reason="A stamp counts only over exactly this checkpoint, by an authority that you chose.",
        advice="Compare timestamp_authorities in your trust file with the authority's own certificate; check the stamp "
        "with `openssl ts -verify` too.",
    )
