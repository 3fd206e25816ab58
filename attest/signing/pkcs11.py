"""``pkcs11:URI``: keys in an HSM or another PKCS#11 token, named by RFC 7512.

The URI says which module, token and key; the PIN is the configured password, never part of the URI. A secp256k1 key
signs digests by ``CKM_ECDSA``, an Ed25519 key signs the log's checkpoints by ``CKM_EDDSA`` (PKCS#11 v3.0, sections
2.3.6 and 2.3.13). The private key never leaves the token.
"""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_to_bytes

from attest.errors import OperatorError
from attest.secrets import Secret
from attest.signing.external import (
    ExternalDigestSigner,
    ExternalNoteSigner,
    from_raw,
    unavailable,
    unfaithful,
    unusable,
    wrong_curve,
)

if TYPE_CHECKING:
    from pkcs11 import Session

_Result = TypeVar("_Result")

#: RFC 7512 section 2.3's attributes that name a token, and what python-pkcs11 calls them.
_OF_TOKEN = {"token": "label", "serial": "serial", "manufacturer": "manufacturer_id", "model": "model"}
_VALUE = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})+")
#: CKA_EC_PARAMS of secp256k1: its object identifier, 1.3.132.0.10.
_SECP256K1 = bytes.fromhex("06052b8104000a")
#: CKA_EC_PARAMS of Ed25519: 1.3.101.112, or the curve's name (PKCS#11 v3.0, section 2.3.5, allows both).
_ED25519 = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
#: What a token says whose session ended under it: asked once more after a new login, all of them may work.
_LOST = (
    "DeviceError",
    "DeviceRemoved",
    "KeyHandleInvalid",
    "NoSuchKey",  # a token shows no private keys to who is not logged in, and anyone in the process can log out
    "ObjectHandleInvalid",
    "PKCS11Error",  # a code that the library has no name for: CKR_CRYPTOKI_NOT_INITIALIZED, and vendors' own
    "SessionClosed",
    "SessionHandleInvalid",
    "TokenNotPresent",
    "UserNotLoggedIn",
)
_PIN_REFUSED = ("PinExpired", "PinIncorrect", "PinInvalid", "PinLenRange", "PinLocked", "UserPinNotInitialized")
_COMPARE = "Compare with `pkcs11-tool --module MODULE --login --list-objects`; give both object= and id=."
_UNABLE = ("FunctionNotSupported", "KeySizeRange", "KeyTypeInconsistent", "MechanismInvalid", "MechanismParamInvalid")


# -- the URI ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KeyLocation:
    """Which key: the path of the module, what the token is called, and the key's label (CKA_LABEL), its id (CKA_ID), or
    both. ``name`` is the whole URI, which holds no secret."""

    name: str
    module: str
    token: Mapping[str, str]
    label: str | None
    id: bytes | None


def parse_uri(location: str) -> KeyLocation:
    """What stands after ``pkcs11:`` (RFC 7512), for example
    ``token=attest;object=reporter-1;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so``.

    Raises :class:`OperatorError` (``pkcs11-uri``), naming the attribute and never its value, for a PIN in the URI and
    for anything that does not name one key.
    """
    path, _, query = location.partition("?")
    attributes = _attributes(path, ";", {*_OF_TOKEN, "object", "id", "type"})
    asked = _attributes(query, "&", {"module-path"})
    token = {_OF_TOKEN[name]: _text(name, attributes[name]) for name in _OF_TOKEN if name in attributes}
    if not {"label", "serial"} & token.keys():
        raise _malformed("it does not say which token: token=LABEL or serial=NUMBER")
    if not {"object", "id"} & attributes.keys():
        raise _malformed("it does not say which key: object=LABEL or id=%01")
    if attributes.get("type", b"private") != b"private":
        raise _malformed("type= is not private; signing takes the private key")
    module = _text("module-path", asked.get("module-path", b""))
    if not Path(module).is_absolute():
        raise _malformed("it needs ?module-path= with the absolute path of the token's PKCS#11 module")
    label = attributes.get("object")
    return KeyLocation(
        name=f"pkcs11:{location}",
        module=module,
        token=token,
        label=None if label is None else _text("object", label),
        id=attributes.get("id"),
    )


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for piece in text.split(separator) if text else []:
        name, _, value = piece.partition("=")
        if name in ("pin-value", "pin-source"):
            raise _malformed(f"{name} is not allowed in it", "Remove it, and set `password` to where the PIN is.")
        if name not in known:
            shown = f"{name}= is" if re.fullmatch("[a-z-]{1,20}", name) else "a part of it is"
            raise _malformed(f"{shown} none of " + ", ".join(sorted(known)))
        if name in found:
            raise _malformed(f"{name}= stands twice in it")
        if not _VALUE.fullmatch(value):
            raise _malformed(f"{name}= is empty, or holds what must be percent-encoded")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _malformed(f"{name}= is not UTF-8") from None


def _malformed(
    detail: str, advice: str = "Write pkcs11:token=LABEL;object=LABEL?module-path=/path/of/the/module.so (RFC 7512)."
) -> OperatorError:
    return OperatorError(
        f"pkcs11 uri: {detail}",
        code="pkcs11-uri",
        reason="It must name exactly one key, and no secret: configurations are read by many.",
        advice=advice,
    )


# -- a token, logged in ----------------------------------------------------------------------------------------------


class Token:
    """One token, logged in once for all of its keys, whoever asks.

    ``library`` gives the module's ``pkcs11.lib``; ``lock`` is held for every call into that module. Sessions that die
    (an HSM that fails over, a cable, a restarted daemon) are opened again once per request. A PIN that was refused is
    not offered again by this process: the tries are counted, and the last one locks the token.
    """

    def __init__(self, wanted: Mapping[str, str], library: Callable[[], Any], lock: threading.RLock) -> None:
        self._wanted = wanted
        self._library = library
        self._lock = lock
        self._session: Session | None = None
        self._pin = ""
        self._refused: tuple[str, OperatorError] | None = None

    def use(self, name: str, pin: Secret, work: Callable[[Session], _Result]) -> _Result:
        """``work`` with a session, alone; done once more with a new session when the old one died.

        Raises :class:`OperatorError` calling the key ``name``: ``signer-unavailable``, ``signer-denied``,
        ``signer-key``.
        """
        from pkcs11.exceptions import PKCS11Error

        with self._lock:
            try:
                session, fresh = self._open(name, pin)
                try:
                    return work(session)
                except PKCS11Error as fault:
                    if fresh or type(fault).__name__ not in _LOST:
                        raise
                self._forget()
                session, _ = self._open(name, pin)
                return work(session)
            except PKCS11Error as fault:
                if type(fault).__name__ in _LOST:
                    self._forget()
                raise _refusal(name, fault) from None

    def _forget(self) -> None:
        from pkcs11.exceptions import PKCS11Error

        session, self._session = self._session, None
        if session is not None:
            with suppress(PKCS11Error):  # it is dead, as far as anyone can tell
                session.close()

    def _open(self, name: str, pin: Secret) -> tuple[Session, bool]:
        """A session, and whether it is a new one."""
        from pkcs11.exceptions import PKCS11Error, UserAlreadyLoggedIn

        offered = pin.reveal()
        if self._session is not None:
            if not hmac.compare_digest(self._pin.encode(), offered.encode()):
                raise _pin_refused(name, "its token is logged in with another PIN, of another configured key")
            return self._session, False
        if self._refused is not None and self._refused[0] == offered:
            raise self._refused[1]
        token = self._find(name)
        try:
            try:
                self._session = token.open(user_pin=offered)
            except UserAlreadyLoggedIn:  # a login is the process's, and outlived the session that it was made by
                self._session = token.open()
        except PKCS11Error as fault:
            if type(fault).__name__ not in _PIN_REFUSED:
                raise
            refusal = _pin_refused(name, f"the token does not accept the PIN ({type(fault).__name__})")
            self._refused = (offered, refusal)
            raise refusal from None
        self._pin, self._refused = offered, None
        return self._session, True

    def _find(self, name: str) -> Any:
        from pkcs11.constants import TokenFlag
        from pkcs11.exceptions import PKCS11Error

        try:
            library = self._library()
        except PKCS11Error as fault:
            if "while loading" not in str(fault):
                raise
            raise unusable(
                name, f"its module cannot be loaded: {fault}", "Install the token's module, or correct module-path."
            ) from None
        found = [
            token
            for token in library.get_tokens()
            if all(_shown(getattr(token, attribute)) == value for attribute, value in self._wanted.items())
        ]
        if len(found) != 1:
            raise unusable(
                name,
                f"the module shows {len(found) or 'no'} tokens of this name",
                "Compare with `pkcs11-tool --module MODULE --list-slots`; name the token by its serial= if others are "
                "called the same.",
            )
        if found[0].flags & TokenFlag.USER_PIN_LOCKED:
            raise _pin_refused(name, "the token's PIN is locked")
        if found[0].flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise _pin_refused(name, "one more wrong PIN locks the token, so none is offered")
        return found[0]


def _shown(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


#: Cryptoki's state is the process's, not an object's: a module is initialised once, for one thread at a time (as
#: python-pkcs11 does it), and a login counts for all sessions. So there is one lock per module and one login per token.
_registry_lock = threading.Lock()
_locks: dict[str, threading.RLock] = {}
_tokens: dict[tuple[str, tuple[tuple[str, str], ...]], Token] = {}


def _shared_token(location: KeyLocation) -> Token:
    import pkcs11

    module = str(Path(location.module).resolve())  # under a second name it would be initialised a second time
    with _registry_lock:
        lock = _locks.setdefault(module, threading.RLock())
        key = module, tuple(sorted(location.token.items()))
        if key not in _tokens:
            _tokens[key] = Token(location.token, lambda: pkcs11.lib(module), lock)
        return _tokens[key]


# -- keys ------------------------------------------------------------------------------------------------------------


class TokenKey:
    """A private key in a token: found again whenever the session is a new one.

    ``kind`` is the name of its CKA_KEY_TYPE, ``curves`` the accepted CKA_EC_PARAMS, ``curve`` what errors call them.
    """

    def __init__(
        self, location: KeyLocation, token: Token, pin: Secret, *, kind: str, curve: str, curves: tuple[bytes, ...]
    ) -> None:
        self._location = location
        self._token = token
        self._pin = pin
        self._kind = kind
        self._curve = curve
        self._curves = curves
        self._found: tuple[Session, Any] | None = None

    def point(self) -> bytes:
        """The public key, as the token holds it (CKA_EC_POINT), without its DER wrapping."""
        return self._use(self._read_point)

    def sign(self, data: bytes, mechanism: str) -> bytes:
        """What the token makes of ``data`` by ``mechanism`` (the name without ``CKM_``)."""
        from pkcs11 import Attribute, Mechanism

        def work(session: Session) -> bytes:
            key = self._key(session)
            # Such a key wants the PIN anew for each signature (CKA_ALWAYS_AUTHENTICATE).
            pin = self._pin.reveal() if _attribute(key, Attribute.ALWAYS_AUTHENTICATE) else None
            return bytes(key.sign(data, mechanism=Mechanism[mechanism], pin=pin))

        return self._use(work)

    def exposures(self) -> tuple[str, ...]:
        """What of the key's attributes lets it, or let it once, leave the token; in words, for a warning."""
        from pkcs11 import Attribute

        safe = [
            (Attribute.EXTRACTABLE, False, "CKA_EXTRACTABLE is not false: the key can be taken out of the token"),
            (Attribute.SENSITIVE, True, "CKA_SENSITIVE is not true: the token may show the key"),
            (Attribute.NEVER_EXTRACTABLE, True, "CKA_NEVER_EXTRACTABLE is not true: a copy may exist"),
            (Attribute.LOCAL, True, "CKA_LOCAL is not true: the key was not made in this token"),
        ]

        def work(session: Session) -> tuple[str, ...]:
            key = self._key(session)
            return tuple(words for attribute, wanted, words in safe if _attribute(key, attribute) is not wanted)

        return self._use(work)

    def _use(self, work: Callable[[Session], _Result]) -> _Result:
        return self._token.use(self._location.name, self._pin, work)

    def _key(self, session: Session) -> Any:
        from pkcs11 import Attribute, NoSuchKey, ObjectClass

        if self._found is None or self._found[0] is not session:
            name = self._location.name
            keys = self._search(session, ObjectClass.PRIVATE_KEY)
            if not keys:
                raise NoSuchKey
            if len(keys) != 1:
                raise unusable(name, f"the token holds {len(keys)} private keys of this name", _COMPARE)
            kind = getattr(_attribute(keys[0], Attribute.KEY_TYPE), "name", None)
            if kind != self._kind or _attribute(keys[0], Attribute.EC_PARAMS) not in self._curves:
                raise wrong_curve(name, self._curve)
            if not _attribute(keys[0], Attribute.SIGN):
                raise unusable(name, "the key may not sign (CKA_SIGN is false)", "Name a signing key.")
            self._found = session, keys[0]
        return self._found[1]

    def _read_point(self, session: Session) -> bytes:
        from pkcs11 import Attribute, ObjectClass

        private = self._key(session)
        # Usually only the public key's object has the point; some tokens keep it with the private one alone.
        for holder in (*self._search(session, ObjectClass.PUBLIC_KEY), private):
            point = _attribute(holder, Attribute.EC_POINT)
            if point:
                # In an OCTET STRING, by the specification; some tokens give the 32, 33 or 65 bytes bare.
                wrapped = len(point) in (34, 35, 67) and point[:2] == bytes([0x04, len(point) - 2])
                return bytes(point[2:] if wrapped else point)
        raise unusable(
            self._location.name,
            "the token shows no public key for it (CKA_EC_POINT)",
            "Put the public key's object, with the same label and id, into the token.",
        )

    def _search(self, session: Session, kind: Any) -> list[Any]:
        from pkcs11 import Attribute

        wanted = {Attribute.CLASS: kind, Attribute.LABEL: self._location.label, Attribute.ID: self._location.id}
        return list(session.get_objects({name: value for name, value in wanted.items() if value is not None}))


def _attribute(key: Any, attribute: Any) -> Any:
    """An attribute's value; None if the token does not have it, does not show it, or gives what cannot be read."""
    from pkcs11.exceptions import AttributeSensitive, AttributeTypeInvalid, FunctionFailed

    try:
        return key[attribute]
    except (AttributeSensitive, AttributeTypeInvalid, FunctionFailed, ValueError, KeyError):
        return None


# -- signers ---------------------------------------------------------------------------------------------------------


class Pkcs11Signer(ExternalDigestSigner):
    """A secp256k1 key in a token. Raises :class:`OperatorError` when it cannot be found or is another kind of key."""

    def __init__(self, location: KeyLocation, token: Token, pin: Secret) -> None:
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, EllipticCurvePublicKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self.key = TokenKey(location, token, pin, kind="EC", curve="secp256k1", curves=(_SECP256K1,))
        try:
            public = EllipticCurvePublicKey.from_encoded_point(SECP256K1(), self.key.point())
        except ValueError:
            raise unfaithful(location.name, "its public key is no point of the curve") from None
        super().__init__(location.name, public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    def _request_signature(self, digest: bytes) -> tuple[int, int]:
        return from_raw(self.name, self.key.sign(digest, "ECDSA"))


class Pkcs11NoteSigner(ExternalNoteSigner):
    """An Ed25519 key in a token. Raises :class:`OperatorError` when it cannot be found or is another kind of key."""

    def __init__(self, location: KeyLocation, token: Token, pin: Secret) -> None:
        self.key = TokenKey(location, token, pin, kind="EC_EDWARDS", curve="Ed25519", curves=_ED25519)
        public_key = self.key.point()
        if len(public_key) != 32:
            raise unfaithful(location.name, "its public key has not the 32 bytes of an Ed25519 key")
        super().__init__(location.name, public_key)

    def _request_signature(self, message: bytes) -> bytes:
        return self.key.sign(message, "EDDSA")


def open_digest_signer(location: str, *, password: Secret | None, base: Path) -> Pkcs11Signer:
    """The secp256k1 signer of ``pkcs11:LOCATION``. Raises :class:`OperatorError`: ``pkcs11-uri`` as :func:`parse_uri`,
    ``signer-denied`` for the PIN, ``signer-key`` for the key, ``signer-unavailable`` for the module and the token."""
    parsed = parse_uri(location)
    return Pkcs11Signer(parsed, _shared_token(parsed), _required(parsed.name, password))


def open_note_signer(location: str, *, password: Secret | None, base: Path) -> Pkcs11NoteSigner:
    """The Ed25519 signer of ``pkcs11:LOCATION``. Raises :class:`OperatorError` as :func:`open_digest_signer` does."""
    parsed = parse_uri(location)
    return Pkcs11NoteSigner(parsed, _shared_token(parsed), _required(parsed.name, password))


# -- refusals --------------------------------------------------------------------------------------------------------


def _required(name: str, password: Secret | None) -> Secret:
    if password is None:
        raise _pin_refused(name, "no PIN is configured")
    return password


def _pin_refused(name: str, detail: str) -> OperatorError:
    return OperatorError(
        f"signer {name!r}: {detail}",
        code="signer-denied",
        reason="A token counts wrong PINs and locks itself; a refused PIN is not offered twice.",
        advice="Check the secret that `password` names, then log in once by hand (pkcs11-tool --login --list-objects).",
    )


def _refusal(name: str, fault: Exception) -> OperatorError:
    """What a token's own error means."""
    kind, said = type(fault).__name__, str(fault)
    if kind == "NoSuchKey":
        return unusable(name, "the token holds no private key of this name", _COMPARE)
    if kind in _UNABLE:
        return unusable(
            name, f"the token cannot sign with it ({kind})", "Compare with `pkcs11-tool --module MODULE -M`."
        )
    return unavailable(name, f"the token failed: {kind}{f' ({said})' if said else ''}")
