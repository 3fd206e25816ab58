"""PKCS#11 URIs, and what a token can say that SoftHSM never does: locked, gone, unfaithful, high s."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_keys.datatypes import PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, exceptions
from pkcs11.constants import TokenFlag

from attest.errors import OperatorError
from attest.secrets import Secret
from attest.signing.pkcs11 import Pkcs11NoteSigner, Pkcs11Signer, Token, open_digest_signer, open_note_signer, parse_uri
from attest.signing.signer import SECP256K1_ORDER

PIN = Secret("env:HSM_PIN", "canary-71354")
URI = "token=reserve;object=key?module-path=/usr/lib/hsm.so"
DIGEST = bytes(range(32))
KEY = PrivateKey(bytes([7]) * 32)
POINT = b"\x04" + KEY.public_key.to_bytes()
COMPRESSED = KEY.public_key.to_compressed_bytes()
LOG_KEY = Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32)
SECP256K1, ED25519 = bytes.fromhex("06052b8104000a"), bytes.fromhex("06032b6570")


class FakeKey:
    """A key's object. ``faults`` are raised by the next signatures, one each."""

    def __init__(self, attributes: dict[Attribute, Any], half: str = "low") -> None:
        self.attributes = attributes
        self.half = half
        self.faults: list[Exception] = []
        self.pins: list[str | None] = []

    def __getitem__(self, attribute: Attribute) -> Any:
        if attribute not in self.attributes:
            raise exceptions.AttributeTypeInvalid
        return self.attributes[attribute]

    def sign(self, data: bytes, *, mechanism: Mechanism, pin: str | None) -> bytes:
        self.pins.append(pin)
        if self.faults:
            raise self.faults.pop(0)
        if mechanism is Mechanism.EDDSA:
            return LOG_KEY.sign(data)
        assert mechanism is Mechanism.ECDSA
        signature = KEY.sign_msg_hash(data)
        s = min(signature.s, SECP256K1_ORDER - signature.s)
        return signature.r.to_bytes(32, "big") + (SECP256K1_ORDER - s if self.half == "high" else s).to_bytes(32, "big")


class FakeSession:
    def __init__(self, objects: list[FakeKey]) -> None:
        self.objects = objects
        self.closed = False

    def get_objects(self, wanted: dict[Attribute, Any]) -> Iterator[FakeKey]:
        return iter([key for key in self.objects if all(key.attributes.get(name) == wanted[name] for name in wanted)])

    def close(self) -> None:
        self.closed = True
        raise exceptions.SessionHandleInvalid


class FakeToken:
    """A token and its module at once. ``logins`` are the PINs that were offered (None: none)."""

    label, serial, manufacturer_id, model = "reserve", b"0042", "ACME", "HSM 1"

    def __init__(self, *objects: FakeKey) -> None:
        self.objects = list(objects)
        self.flags = TokenFlag(0)
        self.refusal: Exception | None = None
        self.logins: list[str | None] = []
        self.sessions: list[FakeSession] = []
        self.absent = False

    def get_tokens(self) -> Iterator[FakeToken]:
        return iter([] if self.absent else [self])

    def open(self, user_pin: str | None = None) -> FakeSession:
        self.logins.append(user_pin)
        if self.refusal is not None:
            raise self.refusal
        self.sessions.append(FakeSession(self.objects))
        return self.sessions[-1]

    def connected(self) -> Token:
        return Token({"label": "reserve"}, lambda: self, threading.RLock())


def private(**more: Any) -> FakeKey:
    half = more.pop("half", "low")
    attributes = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.LABEL: "key",
        Attribute.KEY_TYPE: KeyType.EC,
        Attribute.EC_PARAMS: SECP256K1,
        Attribute.SIGN: True,
    }
    return FakeKey(attributes | {Attribute[name]: value for name, value in more.items()}, half)


def public(point: bytes = b"\x04\x41" + POINT) -> FakeKey:
    return FakeKey(
        {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: "key", Attribute.EC_POINT: point},
    )


def signer(token: FakeToken) -> Pkcs11Signer:
    return Pkcs11Signer(parse_uri(URI), token.connected(), PIN)


def refused(token: FakeToken) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        signer(token).sign_digest(DIGEST)
    assert "canary" not in str(caught.value.as_json())
    return caught.value


# -- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["low", "high"])
def test_sign_digest__either_half__the_same_low_s_signature(half: str) -> None:
    for number in range(16):  # both recovery ids come
        digest = bytes([number]) * 32
        r, s, recovery_id = signer(FakeToken(private(half=half), public())).sign_digest(digest)
        expected = KEY.sign_msg_hash(digest)
        assert (r, s, recovery_id) == (expected.r, expected.s, expected.v)


def test_sign_digest__public_object_of_another_key__unfaithful() -> None:
    other = b"\x04\x41\x04" + PrivateKey(bytes([9]) * 32).public_key.to_bytes()
    assert refused(FakeToken(private(), public(other))).code == "signer-unfaithful"


@pytest.mark.parametrize(
    "point",
    [
        POINT,
        b"\x04\x41" + POINT,
        KEY.public_key.to_compressed_bytes(),
        b"\x04\x21" + KEY.public_key.to_compressed_bytes(),
    ],
    ids=["bare", "wrapped", "compressed", "compressed and wrapped"],
)
def test_open__point_as_any_token_gives_it__is_read(point: bytes) -> None:
    assert signer(FakeToken(private(), public(point))).public_key == POINT


def test_open__point_only_with_the_private_key__is_read() -> None:
    assert signer(FakeToken(private(EC_POINT=POINT))).public_key == POINT


def test_open__point_beside_the_curve__unfaithful() -> None:
    assert refused(FakeToken(private(), public(POINT[:-1] + b"\x00"))).code == "signer-unfaithful"


def test_sign_note__ed25519__and_a_public_object_of_another_length() -> None:
    edwards = {"KEY_TYPE": KeyType.EC_EDWARDS, "EC_PARAMS": ED25519}
    public_key = LOG_KEY.public_key().public_bytes_raw()
    opened = Pkcs11NoteSigner(parse_uri(URI), FakeToken(private(**edwards), public(public_key)).connected(), PIN)
    assert opened.sign(b"note") == LOG_KEY.sign(b"note")
    with pytest.raises(OperatorError) as caught:
        Pkcs11NoteSigner(parse_uri(URI), FakeToken(private(**edwards), public(public_key + b"1")).connected(), PIN)
    assert caught.value.code == "signer-unfaithful"


def test_sign_note__signature_of_another_key__unfaithful() -> None:
    edwards = {"KEY_TYPE": KeyType.EC_EDWARDS, "EC_PARAMS": ED25519}
    other = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32).public_key().public_bytes_raw()
    opened = Pkcs11NoteSigner(parse_uri(URI), FakeToken(private(**edwards), public(other)).connected(), PIN)
    with pytest.raises(OperatorError) as caught:
        opened.sign(b"note")
    assert caught.value.code == "signer-unfaithful"


@pytest.mark.parametrize(("always", "given"), [(True, PIN.reveal()), (False, None)])
def test_sign_digest__always_authenticate__decides_whether_the_pin_is_given(always: bool, given: str | None) -> None:
    key = private(ALWAYS_AUTHENTICATE=always)
    signer(FakeToken(key, public())).sign_digest(DIGEST)
    assert key.pins == [given]


def test_exposures__attributes_that_the_token_does_not_tell__are_told_as_not_safe() -> None:
    assert len(signer(FakeToken(private(), public())).key.exposures()) == 4


# -- sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        exceptions.SessionHandleInvalid(),
        exceptions.DeviceRemoved(),
        exceptions.UserNotLoggedIn(),
        exceptions.PKCS11Error("Unmapped error 400"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_sign_digest__session_died__logs_in_once_more_and_finds_the_key_again(fault: Exception) -> None:
    key = private()
    token = FakeToken(key, public())
    opened = signer(token)
    key.faults = [fault]
    assert opened.sign_digest(DIGEST)
    assert token.logins == [PIN.reveal()] * 2
    assert token.sessions[0].closed


def test_sign_digest__session_dies_again_and_again__unavailable_after_two() -> None:
    key = private()
    token = FakeToken(key, public())
    opened = signer(token)
    key.faults = [exceptions.DeviceRemoved() for _ in range(3)]
    with pytest.raises(OperatorError, match="DeviceRemoved") as caught:
        opened.sign_digest(DIGEST)
    assert caught.value.code == "signer-unavailable"
    assert len(token.logins) == 2
    key.faults = []
    assert opened.sign_digest(DIGEST)  # the token is back


def test_sign_digest__new_session_dies_at_once__is_not_opened_a_second_time() -> None:
    key = private()
    key.faults = [exceptions.DeviceRemoved()]
    token = FakeToken(key, public())
    location, connected = parse_uri(URI), token.connected()
    with pytest.raises(OperatorError) as caught:
        connected.use(location.name, PIN, lambda session: key.sign(DIGEST, mechanism=Mechanism.ECDSA, pin=None))
    assert caught.value.code == "signer-unavailable"
    assert len(token.logins) == 1


def test_open__token_is_gone__no_such_token() -> None:
    token = FakeToken(private(), public())
    token.absent = True
    assert refused(token).code == "signer-key"


def test_open__already_logged_in__goes_without_a_login_of_its_own() -> None:
    class LoggedIn(FakeToken):
        def open(self, user_pin: str | None = None) -> FakeSession:
            self.refusal = exceptions.UserAlreadyLoggedIn() if user_pin else None
            return super().open(user_pin)

    token = LoggedIn(private(), public())
    assert signer(token).sign_digest(DIGEST)
    assert token.logins == [PIN.reveal(), None]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (exceptions.MechanismInvalid(), "signer-key"),
        (exceptions.KeyTypeInconsistent(), "signer-key"),
        (exceptions.FunctionFailed(), "signer-unavailable"),
        (exceptions.HostMemory("no room"), "signer-unavailable"),
    ],
)
def test_sign_digest__token_refuses__says_what_it_said_and_asks_once(fault: Exception, code: str) -> None:
    key = private()
    token = FakeToken(key, public())
    opened = signer(token)
    key.faults = [fault]
    with pytest.raises(OperatorError, match=type(fault).__name__) as caught:
        opened.sign_digest(DIGEST)
    assert caught.value.code == code
    assert str(fault) in caught.value.message
    assert len(key.pins) == 1


# -- the PIN ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [exceptions.PinIncorrect(), exceptions.PinLocked(), exceptions.PinExpired()])
def test_open__pin_refused__is_offered_once_by_all_keys_of_the_token(fault: Exception) -> None:
    token = FakeToken(private(), public())
    token.refusal = fault
    connected = token.connected()
    for _ in range(5):
        with pytest.raises(OperatorError, match=type(fault).__name__) as caught:
            Pkcs11Signer(parse_uri(URI), connected, PIN)
        assert caught.value.code == "signer-denied"
    assert token.logins == [PIN.reveal()]
    token.refusal = None
    assert Pkcs11Signer(parse_uri(URI), connected, Secret("env:HSM_PIN", "corrected")).sign_digest(DIGEST)


@pytest.mark.parametrize(
    ("flag", "says"),
    [(TokenFlag.USER_PIN_LOCKED, "is locked"), (TokenFlag.USER_PIN_FINAL_TRY, "one more wrong PIN locks")],
)
def test_open__locked_or_about_to_be__no_pin_is_offered(flag: TokenFlag, says: str) -> None:
    token = FakeToken(private(), public())
    token.flags = flag
    refusal = refused(token)
    assert (refusal.code, token.logins) == ("signer-denied", [])
    assert says in refusal.message


def test_open__token_does_not_answer_the_login__unavailable_and_asked_again_later() -> None:
    token = FakeToken(private(), public())
    token.refusal = exceptions.DeviceError()
    assert refused(token).code == "signer-unavailable"
    token.refusal = None
    assert signer(token).sign_digest(DIGEST)


def test_open__module_that_cannot_start__unavailable() -> None:
    def library() -> Any:
        raise exceptions.GeneralError

    with pytest.raises(OperatorError, match="GeneralError") as caught:
        Pkcs11Signer(parse_uri(URI), Token({"label": "reserve"}, library, threading.RLock()), PIN)
    assert caught.value.code == "signer-unavailable"


def test_open__several_keys_of_one_token__log_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    token = FakeToken(private(), public())
    asked: list[str] = []
    monkeypatch.setattr(pkcs11, "lib", lambda module: asked.append(module) or token)
    uri = URI.replace("/usr/lib/hsm.so", "/nowhere/of-this-test.so")
    for _ in range(3):
        assert open_digest_signer(uri, password=PIN, base=Path("/")).sign_digest(DIGEST)
    assert (asked, token.logins) == (["/nowhere/of-this-test.so"], [PIN.reveal()])
    with pytest.raises(OperatorError, match="not a Ed25519 key"):
        open_note_signer(uri, password=PIN, base=Path("/"))


# -- the URI ---------------------------------------------------------------------------------------------------------


def test_parse_uri__all_parts__are_read_and_percent_decoded() -> None:
    location = parse_uri(
        "token=The%20Reserve;serial=0042;manufacturer=ACME;model=X;object=reporter%3B1;id=%00%ff;type=private"
        "?module-path=/opt/my%20hsm.so"
    )
    assert location.token == {"label": "The Reserve", "serial": "0042", "manufacturer_id": "ACME", "model": "X"}
    assert (location.label, location.id, location.module) == ("reporter;1", b"\x00\xff", "/opt/my hsm.so")


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("token=t;object=k;pin-value=canary?module-path=/m.so", "pin-value is not allowed"),
        ("token=t;object=k?module-path=/m.so&pin-value=canary", "pin-value is not allowed"),
        ("token=t;object=k?pin-source=/canary&module-path=/m.so", "pin-source is not allowed"),
        ("object=k?module-path=/m.so", "which token"),
        ("manufacturer=ACME;object=k?module-path=/m.so", "which token"),
        ("token=t?module-path=/m.so", "which key"),
        ("token=t;object=k", "module-path="),
        ("token=t;object=k?module-path=m.so", "absolute path"),
        ("token=t;object=k?module-name=canary", "module-name= is none of module-path"),
        ("token=t;object=k;slot-id=1?module-path=/m.so", "slot-id= is none of"),
        ("token=t;object=k;CANARY?module-path=/m.so", "a part of it is none of"),
        ("token=t;token=u;object=k?module-path=/m.so", "token= stands twice"),
        ("token=;object=k?module-path=/m.so", "token= is empty"),
        ("token=t;object=k k?module-path=/m.so", "percent-encoded"),
        ("token=t;object=%4?module-path=/m.so", "percent-encoded"),
        ("token=t;object=%ff?module-path=/m.so", "object= is not UTF-8"),
        ("token=t;object=k;type=public?module-path=/m.so", "type= is not private"),
        ("", "which token"),
    ],
)
def test_parse_uri__not_one_key_or_a_pin__refused_without_its_value(uri: str, says: str) -> None:
    with pytest.raises(OperatorError, match=says.replace("?", "\\?")) as caught:
        parse_uri(uri)
    assert caught.value.code == "pkcs11-uri"
    assert "canary" not in str(caught.value.as_json()).lower()


@given(label=st.text(min_size=1, max_size=40), id_=st.binary(min_size=1, max_size=20))
def test_parse_uri__any_label_and_id__percent_encoded_come_back(label: str, id_: bytes) -> None:
    location = parse_uri(f"token=t;object={quote(label, safe='')};id={quote(id_, safe='')}?module-path=/m.so")
    assert (location.label, location.id) == (label, id_)


@given(st.text(max_size=60), st.sampled_from(["", "token=t;object=k?module-path=/m.so", "token=t;object=k;"]))
def test_parse_uri__any_text__is_read_or_refused(text: str, start: str) -> None:
    try:
        location = parse_uri(start + text)
    except OperatorError:
        return
    assert location.name == f"pkcs11:{start}{text}"


def test_open__no_password__refused() -> None:
    with pytest.raises(OperatorError, match="no PIN is configured"):
        open_digest_signer(URI, password=None, base=Path("/"))
