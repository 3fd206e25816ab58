"""Keys in a real PKCS#11 token (SoftHSM): made there, not extractable, and what they sign verified by others."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_account import Account
from eth_keys.datatypes import Signature as RecoverableSignature
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
from pkcs11.util.ec import encode_named_curve_parameters

from attest.config import Loaded, Signing
from attest.diagnosis import examine
from attest.errors import OperatorError
from attest.log.note import ED25519, sign_note, verifier_key, verify_note
from attest.period import Period
from attest.secrets import Secret
from attest.signing.pkcs11 import Pkcs11NoteSigner, Pkcs11Signer
from attest.signing.pkcs11 import open_digest_signer as open_digest
from attest.signing.pkcs11 import open_note_signer as open_note
from attest.signing.signer import open_digest_signer, open_note_signer
from attest.signing.transaction import Transaction, decode, open_transaction_signer
from tests.support import chains

pytestmark = pytest.mark.requires("softhsm2-util", "apt-get install softhsm2")

PIN = Secret("env:HSM_PIN", "canary-71354")
ANOTHER_PIN = Secret("env:OTHER_PIN", "canary-99999")
DIGEST = bytes(range(32))
ED25519_PARAMETERS = {"oid": bytes.fromhex("06032b6570"), "name": b"\x13\x0cedwards25519"}
NOBODY = "0x" + "00" * 20
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


class Hsm:
    """SoftHSM with the tokens ``reserve``, ``spare``, ``ceremony`` and two that are called ``twin``."""

    def __init__(self, folder: Path) -> None:
        (folder / "tokens").mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        for label in ("reserve", "spare", "ceremony", "twin", "twin"):
            command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678"]
            subprocess.run([*command, "--pin", PIN.reveal()], check=True, capture_output=True, timeout=60)
        # The first that is there: Debian's place, Fedora's, Homebrew's.
        places = ("/usr/lib/softhsm", "/usr/lib64/pkcs11", "/opt/homebrew/lib/softhsm")
        self.module = next(str(path) for place in places if (path := Path(place, "libsofthsm2.so").resolve()).exists())
        self.library: Any = pkcs11.lib(self.module)

    def make(self, token: str, keys: dict[str, dict[Any, Any]]) -> None:
        session = self.library.get_token(token_label=token).open(rw=True, user_pin=PIN.reveal())
        for number, (label, options) in enumerate(keys.items(), 1):
            parameters = {Attribute.EC_PARAMS: options.pop("curve", encode_named_curve_parameters("1.3.132.0.10"))}
            kind = options.pop("kind", KeyType.EC)
            domain = session.create_domain_parameters(kind, parameters, local=True)
            domain.generate_keypair(
                mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN if kind is KeyType.EC_EDWARDS else None,
                label=label.partition(" ")[0],
                id=bytes([number]),
                store=True,
                capabilities=options.pop("capabilities", MechanismFlag.SIGN | MechanismFlag.VERIFY),
                private_template={Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True, **options},
            )
        session.close()

    def uri(self, key: str, token: str = "token=reserve") -> str:
        return f"pkcs11:{token};{key}?module-path={self.module}"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    before = os.environ.get("SOFTHSM2_CONF")
    hsm = Hsm(tmp_path_factory.mktemp("softhsm"))
    edwards = KeyType.EC_EDWARDS
    hsm.make(
        "reserve",
        {
            "reporter": {},
            "publisher": {},
            "log": {"kind": edwards, "curve": ED25519_PARAMETERS["oid"]},
            "log-by-name": {"kind": edwards, "curve": ED25519_PARAMETERS["name"]},
            "p256": {"curve": encode_named_curve_parameters("1.2.840.10045.3.1.7")},
            "loose": {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False},
            "no-signing": {"capabilities": MechanismFlag.DERIVE, Attribute.SIGN: False},
            "careful": {Attribute.ALWAYS_AUTHENTICATE: True},
            "same": {},
            "same again": {},
            "alone": {},
            "loose-log": {
                "kind": edwards,
                "curve": ED25519_PARAMETERS["oid"],
                Attribute.EXTRACTABLE: True,
                Attribute.SENSITIVE: False,
            },
        },
    )
    session = hsm.library.get_token(token_label="reserve").open(rw=True, user_pin=PIN.reveal())
    session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label="alone").destroy()
    session.close()
    yield hsm
    hsm.library.finalize()
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


def public_key(hsm: Hsm, label: str) -> bytes:
    """The 64 bytes that the token shows for a key, read without a login."""
    session = hsm.library.get_token(token_label="reserve").open()
    key = session.get_key(pkcs11.ObjectClass.PUBLIC_KEY, label=label)
    point = bytes(key[Attribute.EC_POINT])
    session.close()
    return point[3:] if point[1] == 65 else point[2:]


def address(hsm: Hsm, label: str) -> str:
    from eth_keys.datatypes import PublicKey

    return str(PublicKey(public_key(hsm, label)).to_checksum_address())


def open_key(hsm: Hsm, label: str, pin: Secret | None = PIN) -> Pkcs11Signer:
    signer = open_digest_signer(
        hsm.uri(f"object={label}"), address=address(hsm, label), password=pin, base=Path("/nowhere")
    )
    assert isinstance(signer, Pkcs11Signer)
    return signer


def refusal(uri: str, pin: Secret | None = PIN, pinned: str = NOBODY) -> OperatorError:
    with pytest.raises(OperatorError) as refused:
        open_digest_signer(uri, address=pinned, password=pin, base=Path("/nowhere"))
    assert refused.value.reason
    assert refused.value.advice
    assert "canary" not in str(refused.value.as_json())
    return refused.value


# -- signing ---------------------------------------------------------------------------------------------------------


def test_sign_digest__key_in_the_token__recovers_to_the_public_key_that_the_token_shows(hsm: Hsm) -> None:
    signer = open_key(hsm, "reporter")
    for number in range(20):  # s comes high and low
        digest = bytes([number]) * 32
        r, s, recovery_id = signer.sign_digest(digest)
        recovered = RecoverableSignature(vrs=(recovery_id, r, s)).recover_public_key_from_msg_hash(digest)
        assert recovered.to_bytes() == public_key(hsm, "reporter") == signer.public_key[1:]
        assert s <= 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141 // 2


@pytest.mark.parametrize(
    "transaction",
    [
        Transaction("legacy", 138, 7, CONTRACT, 0, b"\x01" * 100, 90_000, 10**9),
        Transaction("legacy", 138, 0, CONTRACT, 0, b"", 90_000, 0),
        Transaction("eip1559", 138, 7, CONTRACT, 5, b"\x01" * 100, 90_000, 2 * 10**9, 10**9),
        Transaction("eip1559", 138, 2**40, CONTRACT, 0, b"", 90_000, 0, 0),
    ],
    ids=["legacy", "legacy free gas", "type 2", "type 2 free gas"],
)
def test_sign_transaction__chain_138__eth_account_recovers_the_sender(hsm: Hsm, transaction: Transaction) -> None:
    signer = open_transaction_signer(
        hsm.uri("object=publisher"), address=address(hsm, "publisher"), password=PIN, base=Path("/nowhere")
    )
    raw = signer.sign_transaction(transaction)
    assert Account.recover_transaction(raw) == signer.address == address(hsm, "publisher")
    assert decode(raw) == (transaction, signer.address)


@pytest.mark.parametrize("label", ["log", "log-by-name"])
@pytest.mark.requires("openssl", "apt-get install openssl")
def test_sign_note__ed25519_key_in_the_token__verifies_here_and_with_openssl(
    hsm: Hsm, label: str, tmp_path: Path
) -> None:
    signer = open_note_signer(
        hsm.uri(f"object={label}"), public_key=public_key(hsm, label), password=PIN, base=Path("/nowhere")
    )
    assert isinstance(signer, Pkcs11NoteSigner)
    text = "log.example/reserves\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    verify_note(sign_note(text, "log.example/reserves", signer), verifier_key("log.example/reserves", ED25519, signer))

    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    (tmp_path / "key.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "message").write_text(text)
    (tmp_path / "signature").write_bytes(signer.sign(text.encode()))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "message"]
    command += ["-sigfile", "signature"]
    assert b"Success" in subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60).stdout


def test_sign_note__wrong_kind_of_key__refused(hsm: Hsm) -> None:
    with pytest.raises(OperatorError, match="not a Ed25519 key") as refused:
        open_note_signer(hsm.uri("object=reporter"), public_key=bytes(32), password=PIN, base=Path("/nowhere"))
    assert refused.value.code == "signer-key"


def test_sign_digest__key_that_wants_the_pin_each_time__is_given_it(hsm: Hsm) -> None:
    signer = open_key(hsm, "careful")
    assert signer.sign_digest(DIGEST) != signer.sign_digest(bytes(32))


def test_sign_digest__many_threads_and_keys__all_recover(hsm: Hsm) -> None:
    signers = [open_key(hsm, "reporter"), open_key(hsm, "publisher")]
    ready = threading.Barrier(8)

    def work(number: int) -> bool:
        ready.wait(timeout=30)
        signer = signers[number % 2]
        digests = [bytes([number, count]) * 16 for count in range(20)]
        signed = [(digest, signer.sign_digest(digest)) for digest in digests]
        return all(
            RecoverableSignature(vrs=(v, r, s)).recover_public_key_from_msg_hash(digest).to_checksum_address()
            == signer.address
            for digest, (r, s, v) in signed
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_sign_digest__every_session_of_the_process_died__logs_in_again(hsm: Hsm) -> None:
    reporter, publisher = open_key(hsm, "reporter"), open_key(hsm, "publisher")
    hsm.library.reinitialize()
    for signer in (publisher, reporter):
        assert signer.sign_digest(DIGEST)


def test_sign_digest__logged_out_under_it__logs_in_again(hsm: Hsm) -> None:
    signer = open_key(hsm, "reporter")
    signer.sign_digest(DIGEST)
    assert signer.key._token._session is not None
    signer.key._token._session.close()
    assert signer.sign_digest(DIGEST)


# python-pkcs11 ends a search that never began when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_open__somebody_else_of_the_process_logged_in__joins(hsm: Hsm) -> None:
    hsm.library.reinitialize()
    foreign = hsm.library.get_token(token_label="reserve").open(user_pin=PIN.reveal())
    assert open_key(hsm, "reporter").sign_digest(DIGEST)
    foreign.close()  # which logs the whole process out
    assert open_key(hsm, "publisher").sign_digest(DIGEST)


# -- attributes ------------------------------------------------------------------------------------------------------


def test_exposures__made_in_the_token_and_not_extractable__none(hsm: Hsm) -> None:
    assert open_key(hsm, "reporter").key.exposures() == ()


def test_exposures__extractable_key__are_told_and_the_key_still_signs(hsm: Hsm) -> None:
    signer = open_key(hsm, "loose")
    told = " ".join(signer.key.exposures())
    assert [name for name in ("CKA_EXTRACTABLE", "CKA_SENSITIVE", "CKA_NEVER_EXTRACTABLE") if name in told] == [
        "CKA_EXTRACTABLE",
        "CKA_SENSITIVE",
        "CKA_NEVER_EXTRACTABLE",
    ]
    assert "CKA_LOCAL" not in told
    assert signer.sign_digest(DIGEST)


def test_doctor__keys_that_can_leave_their_token__warns_of_each_and_of_no_other(hsm: Hsm, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(PIN.reveal())

    def key(label: str) -> dict[str, str]:
        return {"uri": hsm.uri(f"object={label}"), "address": address(hsm, label), "password": "file:pin"}

    log = open_note(hsm.uri("object=loose-log").removeprefix("pkcs11:"), password=PIN, base=tmp_path)
    signing = Signing.model_validate(
        {
            "reporters": (key("loose"), key("reporter")),
            "publisher": key("publisher"),
            "attestors": (key("careful"),),
            "log": {
                "uri": hsm.uri("object=loose-log"),
                "vkey": verifier_key("issuer.example/log", ED25519, log).vkey,
                "password": "file:pin",
            },
        }
    )
    whole = chains.config({"USDW": [("main", CONTRACT, 6)]}).model_copy(update={"signing": signing})
    examined = takewhile(lambda finding: finding.subject != "keys", examine(Loaded(whole, tmp_path), Period(2026, 47)))
    findings = [finding for finding in examined if finding.subject.endswith(" key")]
    assert [(finding.state, finding.subject) for finding in findings] == [
        ("ok", "reporter key"),
        ("warning", "reporter key"),
        ("ok", "reporter key"),
        ("ok", "publisher key"),
        ("ok", "attestor key"),
        ("ok", "log key"),
        ("warning", "log key"),
    ]
    for finding in findings:
        if finding.state == "warning":
            assert "object=loose" in finding.detail
            assert "CKA_EXTRACTABLE" in finding.detail
            assert "CKA_SENSITIVE" in finding.detail
            assert "not extractable" in finding.advice


# -- refusals --------------------------------------------------------------------------------------------------------


def test_open__another_address_pinned__refused(hsm: Hsm) -> None:
    refused = refusal(hsm.uri("object=reporter"), pinned=address(hsm, "publisher"))
    assert refused.code == "signer-mismatch"
    assert address(hsm, "reporter") in refused.message


def test_open__wrong_pin__refused_and_not_offered_again(hsm: Hsm) -> None:
    wanted = hsm.uri("object=reporter", token="token=spare")
    first, second = refusal(wanted, ANOTHER_PIN), refusal(wanted, ANOTHER_PIN)
    assert first.code == "signer-denied"
    assert "PinIncorrect" in first.message
    assert second is first
    assert refusal(wanted).code == "signer-key"  # the right one opens the token, which has no key


def test_open__another_pin_for_a_token_that_is_open__refused(hsm: Hsm) -> None:
    open_key(hsm, "reporter")
    refused = refusal(hsm.uri("object=publisher"), ANOTHER_PIN)
    assert refused.code == "signer-denied"
    assert "another PIN" in refused.message


def test_open__no_pin__refused(hsm: Hsm) -> None:
    assert "no PIN is configured" in refusal(hsm.uri("object=reporter"), None).message


@pytest.mark.parametrize(
    ("key", "token", "says"),
    [
        ("object=nobody", "token=reserve", "holds no private key of this name"),
        ("object=reporter;id=%02", "token=reserve", "holds no private key"),
        ("object=same", "token=reserve", "holds 2 private keys"),
        ("object=p256", "token=reserve", "not a secp256k1 key"),
        ("object=log", "token=reserve", "not a secp256k1 key"),
        ("object=no-signing", "token=reserve", "may not sign"),
        ("object=alone", "token=reserve", "shows no public key"),
        ("object=reporter", "token=elsewhere", "shows no tokens of this name"),
        ("object=reporter", "token=twin", "shows 2 tokens of this name"),
        ("object=reporter", "token=reserve;model=HSM%20X", "shows no tokens"),
    ],
)
def test_open__not_exactly_one_usable_key__refused_saying_which(hsm: Hsm, key: str, token: str, says: str) -> None:
    refused = refusal(hsm.uri(key, token))
    assert refused.code == "signer-key"
    assert says in refused.message


def test_open__by_id_serial_and_all_that_a_tool_prints__is_the_same_key(hsm: Hsm) -> None:
    serial = hsm.library.get_token(token_label="reserve").serial.decode()
    printed = f"model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial={serial};token=reserve"
    for uri in (hsm.uri("id=%01"), hsm.uri("id=%01;object=reporter;type=private", printed)):
        signer = open_digest_signer(uri, address=address(hsm, "reporter"), password=PIN, base=Path("/nowhere"))
        assert signer.sign_digest(DIGEST)


@pytest.mark.parametrize("module", ["/nowhere/libhsm.so", os.path.realpath("/bin/sh")])
def test_open__no_such_module_or_no_module__refused(hsm: Hsm, module: str) -> None:
    refused = refusal(f"pkcs11:token=reserve;object=reporter?module-path={module}")
    assert refused.code == "signer-key"
    assert "cannot be loaded" in refused.message
    assert module in refused.message


# -- the key ceremony ------------------------------------------------------------------------------------------------


@pytest.mark.requires("pkcs11-tool", "apt-get install opensc")
def test_make_keys__the_example_script__makes_keys_that_sign_and_cannot_leave(hsm: Hsm) -> None:
    script = Path(__file__).parents[3] / "keys.example/pkcs11/make-keys.sh"
    made = subprocess.run(
        [script, hsm.module, "ceremony", "reporter-1", "log"],
        env={**os.environ, "HSM_PIN": PIN.reveal()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert PIN.reveal() not in made.stdout + made.stderr
    location = hsm.uri("object=reporter-1;id=%01", "token=ceremony").removeprefix("pkcs11:")
    reporter = open_digest(location, password=PIN, base=Path("/"))
    log = open_note(location.replace("reporter-1;id=%01", "log;id=%02"), password=PIN, base=Path("/"))
    assert reporter.sign_digest(DIGEST)
    assert log.sign(b"checkpoint")
    assert reporter.key.exposures() == log.key.exposures() == ()
