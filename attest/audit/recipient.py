"""The auditor's OpenPGP certificate (RFC 9580), and encryption to it.

The certificate is pinned by its fingerprint: whoever can replace the file must not be able to read the package. The
library encrypts to expired certificates and subkeys, and to revoked certificates; they are refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attest.config import Auditor
from attest.errors import OperatorError, printable

if TYPE_CHECKING:
    from pysequoia import Cert
    from pysequoia.packet import Packet


def encrypt(data: bytes, auditor: Auditor, *, base: Path, where: str, now: datetime) -> bytes:
    """``data`` as a binary OpenPGP message to the auditor's certificate, for ``gpg --decrypt``.

    ``base`` is what the certificate's path is relative to, ``now`` (aware) when it must be valid. Raises
    :class:`OperatorError` naming ``where``: ``auditor-key`` for a file that holds no certificate,
    ``auditor-key-mismatch`` for another fingerprint than the pinned one, ``auditor-key-unusable`` for one that is
    expired, revoked, or has no key to encrypt to.
    """
    from pysequoia import encrypt

    certificate = _usable(_pinned(auditor, base, where), where, now)
    try:
        return encrypt(data, recipients=[certificate], armor=False)
    except Exception as fault:  # the library raises nothing more special
        raise _unusable(where, _first_line(fault)) from None


def _pinned(auditor: Auditor, base: Path, where: str) -> Cert:
    from pysequoia import Cert

    try:
        found = list(Cert.split_bytes((base / auditor.openpgp).read_bytes()))
        if not found:
            raise ValueError("holds no OpenPGP certificate")
    except Exception as fault:  # OSError, or the library's, which is nothing more special
        detail = fault.strerror if isinstance(fault, OSError) else _first_line(fault)
        raise OperatorError(
            f"{where}.openpgp: {auditor.openpgp}: {printable(detail or 'cannot be read')}",
            code="auditor-key",
            reason="The package is encrypted to the auditor's key, so that nobody else can read it.",
            advice="Put the auditor's certificate there: they make it with `gpg --armor --export THEIR-ADDRESS`.",
        ) from None
    wanted = auditor.fingerprint.replace(" ", "").lower()
    certificate = next((one for one in found if one.fingerprint == wanted), None)
    if certificate is None:
        raise OperatorError(
            f"{where}.fingerprint: {auditor.openpgp} holds {', '.join(one.fingerprint for one in found)}, which is not "
            f"the pinned {wanted}",
            code="auditor-key-mismatch",
            reason="Whoever holds the other key would read every balance.",
            advice="Ask the auditor for the fingerprint by another way than the file came, and compare it whole.",
        )
    return certificate


def _usable(certificate: Cert, where: str, now: datetime) -> Cert:
    """The certificate without the subkeys that have expired. Raises if it is revoked or has expired as a whole."""
    from pysequoia import Cert
    from pysequoia.packet import PacketPile

    if certificate.is_revoked:
        raise _unusable(where, "the certificate is revoked")
    if certificate.expiration is not None and certificate.expiration <= now:
        raise _unusable(where, f"the certificate expired on {certificate.expiration:%Y-%m-%d}")
    sections = _sections(PacketPile.from_bytes(bytes(certificate)))
    return Cert.from_packets([packet for section in sections if not _expired(section, now) for packet in section])


def _sections(packets: Iterable[Packet]) -> list[list[Packet]]:
    """A certificate's packets, each key, subkey and user id with the signatures that follow it."""
    from pysequoia.packet import Tag

    sections: list[list[Packet]] = []
    for packet in packets:
        if packet.tag == Tag.Signature and sections:
            sections[-1].append(packet)
        else:
            sections.append([packet])
    return sections


def _expired(section: list[Packet], now: datetime) -> bool:
    """Whether it is a subkey whose newest binding has expired."""
    from pysequoia.packet import SignatureType, Tag

    key, *signatures = section
    if key.tag != Tag.PublicSubkey or key.key_created is None:
        return False
    never = datetime.min.replace(tzinfo=UTC)
    bindings = [one for one in signatures if one.signature_type == SignatureType.SubkeyBinding]
    newest = max(bindings, key=lambda one: one.signature_created or never, default=None)
    validity = None if newest is None else newest.key_validity_period
    return validity is not None and key.key_created + validity <= now


def _unusable(where: str, detail: str) -> OperatorError:
    return OperatorError(
        f"{where}: {printable(detail)}",
        code="auditor-key-unusable",
        reason="A key that its owner gave up, or that cannot encrypt, protects nothing.",
        advice="Ask the auditor for a certificate that is valid and has a key for encryption.",
    )


def _first_line(fault: Exception) -> str:
    """What went wrong, without the trace that the library writes below it."""
    return next(iter(str(fault).splitlines()), type(fault).__name__)
