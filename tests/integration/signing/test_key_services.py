"""What every cloud's key service must do as a signer: the same tests for each, over its stock client library."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from attest.errors import OperatorError
from attest.signing.external import Patience
from attest.signing.keystore import KeystoreSigner
from attest.signing.signer import open_digest_signer
from attest.signing.transaction import DigestTransactionSigner, Transaction
from tests.support.fakes_aws import AwsKms
from tests.support.fakes_azure import AzureKeyVault
from tests.support.fakes_google import GoogleKms
from tests.support.key_services import KeyService

TO = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
DIGEST = bytes(range(32))
RIGHTS = {
    "aws": "kms:Sign",
    "azure": "Microsoft.KeyVault/vaults/keys/sign/action",
    "google": "cloudkms.cryptoKeyVersions.useToSign",
}


@pytest.fixture(scope="module", params=["aws", "azure", "google"])
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def started(cloud: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyService]:
    fake: KeyService
    if cloud == "aws":
        fake = AwsKms()
    elif cloud == "azure":
        fake = AzureKeyVault(tmp_path_factory.mktemp("vault"))
    else:
        fake = GoogleKms()
    with fake:
        yield fake


@pytest.fixture
def service(started: KeyService) -> KeyService:
    started.reset()
    return started


def transaction(kind: str, recovery_id: int, key: KeystoreSigner) -> Transaction:
    """One on chain 138 whose low-s signature by ``key`` has this recovery id."""
    for nonce in range(100):
        tip = 10**8 if kind == "eip1559" else 0
        found = Transaction(kind, 138, nonce, TO, 0, b"\x01\x02", 90_000, 10**9, tip)
        if key.sign_digest(found.signing_hash()).recovery_id == recovery_id:
            return found
    raise AssertionError("no such nonce")


def by_eth_account(transaction: Transaction) -> bytes:
    fields = {
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "to": transaction.to,
        "value": transaction.value,
        "data": transaction.data,
        "gas": transaction.gas,
    }
    if transaction.kind == "legacy":
        fields["gasPrice"] = transaction.max_fee_per_gas
    else:
        fields |= {"maxFeePerGas": transaction.max_fee_per_gas, "maxPriorityFeePerGas": 10**8}
    return bytes(Account.sign_transaction(fields, b"\x11" * 32).raw_transaction)


def test_open__the_services_key__its_address_and_public_key(service: KeyService) -> None:
    signer = service.open()

    assert signer.address == Account.from_key(b"\x11" * 32).address
    assert signer.public_key == service.key.public_key


def test_sign_transaction__either_s_id_and_kind__is_the_one_that_eth_account_makes(service: KeyService) -> None:
    signer = DigestTransactionSigner(service.open())
    for kind in ("legacy", "eip1559"):
        for recovery_id in (0, 1):
            asked = transaction(kind, recovery_id, service.key)
            for service.high_s in (False, True):
                raw = signer.sign_transaction(asked)
                assert raw == by_eth_account(asked), (kind, recovery_id, service.high_s)
                assert Account.recover_transaction(raw) == signer.address


def test_open_digest_signer__uri_with_the_pinned_address__opened(
    service: KeyService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.configure(monkeypatch)

    signer = open_digest_signer(service.uri, address=service.key.address.lower(), password=None, base=tmp_path)

    assert signer.sign_digest(DIGEST) == service.key.sign_digest(DIGEST)


def test_open_digest_signer__another_address_pinned__refused_and_nothing_signed(
    service: KeyService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service.configure(monkeypatch)

    with pytest.raises(OperatorError) as refusal:
        open_digest_signer(service.uri, address=TO, password=None, base=tmp_path)

    assert refusal.value.code == "signer-mismatch"
    assert len(service.asked) == 1


@pytest.mark.parametrize("fault", ["another key", "another digest", "zero", "malformed"])
def test_sign__answer_that_is_not_the_keys_over_the_digest__refused_at_once(service: KeyService, fault: str) -> None:
    signer = service.open()
    for service.high_s in (False, True):
        service.faults, service.asked = [fault], []
        if isinstance(service, AzureKeyVault) and not service.high_s:
            service.faults.insert(0, "")  # the library gets the key once more before it first signs

        with pytest.raises(OperatorError) as refusal:
            signer.sign_digest(DIGEST)

        assert refusal.value.code == "signer-unfaithful"
        assert [one for one in service.asked if "ign" in one] == service.asked[-1:]


def test_sign__no_permission__names_the_right_and_asks_once(service: KeyService, cloud: str) -> None:
    signer = service.open()
    signer.sign_digest(DIGEST)
    service.faults, service.asked = ["denied"] * 9, []

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-denied"
    assert RIGHTS[cloud] in refusal.value.advice
    assert "not authorized" in refusal.value.message or "Permission denied" in refusal.value.message
    assert "canary" not in str(refusal.value.as_json())
    assert len(service.asked) == 1


@pytest.mark.parametrize("fault", ["disabled", "missing"])
@pytest.mark.parametrize("when", ["opening", "signing"])
def test_key__disabled_or_missing__refused_naming_it_and_asked_once(service: KeyService, fault: str, when: str) -> None:
    signer = None
    if when == "signing":
        signer = service.open()
        signer.sign_digest(DIGEST)
    service.faults, service.asked = [fault] * 9, []

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST) if signer else service.open()

    assert refusal.value.code == "signer-key"
    assert service.uri.partition("?")[0].rpartition("/")[2].removeprefix("awskms:") in refusal.value.message
    assert refusal.value.advice
    assert len(service.asked) == 1


def test_open__key_of_another_curve__refused(service: KeyService) -> None:
    service.on_p256 = True

    with pytest.raises(OperatorError, match=r"is not an? .*(secp256k1|SECP256K1).* key") as refusal:
        service.open()

    assert refusal.value.code == "signer-key"


@pytest.mark.parametrize("fault", ["throttled", "broken"])
def test_sign__busy_for_a_while__asked_again_with_growing_pauses(service: KeyService, fault: str) -> None:
    pauses: list[float] = []
    signer = service.open(Patience(timeout=20, attempts=4, pause=0.5, sleep=pauses.append))
    signer.sign_digest(DIGEST)
    service.faults = [fault, fault]

    assert signer.sign_digest(DIGEST) == service.key.sign_digest(DIGEST)
    assert pauses == [0.5, 1.0]


def test_sign__throttled_for_ever__given_up_after_the_attempts(service: KeyService) -> None:
    pauses: list[float] = []
    signer = service.open(Patience(timeout=20, attempts=3, pause=0.5, sleep=pauses.append))
    signer.sign_digest(DIGEST)
    service.faults, service.asked = ["throttled"] * 50, []

    with pytest.raises(OperatorError, match="asked 3 times") as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-unavailable"
    assert len(service.asked) == 3
    assert pauses == [0.5, 1.0]


def test_sign__service_hangs__given_up_in_time(service: KeyService) -> None:
    patience = Patience(timeout=0.6, attempts=2, pause=0.01)
    signer = service.open(patience)
    signer.sign_digest(DIGEST)
    service.faults = ["hangs"] * 9
    began = time.monotonic()

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-unavailable"
    assert 1.1 < time.monotonic() - began < 10  # 1.2 s, and what a loaded machine adds; the service hangs for 30


@pytest.mark.parametrize("length", [0, 31, 33])
def test_sign__not_32_bytes__never_sent(service: KeyService, length: int) -> None:
    signer = service.open()
    service.asked = []

    with pytest.raises(ValueError, match="32 bytes"):
        signer.sign_digest(bytes(length))

    assert service.asked == []
