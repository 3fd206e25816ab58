"""The keys of ``[signing]``: opened once each, senders wherever they are, attestors only where digests are signed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attest.config import Signer, Signing
from attest.environment import ConfiguredKeys
from attest.errors import OperatorError
from attest.signing import transaction
from attest.signing.transaction import DigestTransactionSigner

KEYS = Path(__file__).parents[3] / "keys.example"
REPORTER, REMOTE = "0xeBA4E7d24cF64262961e9B829DA299479A748e26", "0x22E312a3ebF0a44C610550bE7744e36966971971"
ATTESTOR = "0x4Faced7A5562d00DdB1Ed9f2D7B60BC7E6E9Cc9E"


def keys(*, attestor: str) -> ConfiguredKeys:
    def signer(uri: str, address: str) -> Signer:
        return Signer(uri=uri, address=address, password="file:password.txt")

    signing = Signing.model_construct(
        reporters=(signer("keystore:reporter-1.json", REPORTER),),
        publisher=signer("web3signer:http://127.0.0.1:9000", REMOTE),
        attestors=(signer(attestor, ATTESTOR),),
    )
    loaded: Any = SimpleNamespace(config=SimpleNamespace(signing=signing), base=KEYS)
    return ConfiguredKeys(loaded)


def test_transactions__keystore_and_web3signer__each_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def remote(function: str, backends: object, uri: str, *, address: str, **_: object) -> object:
        opened.append(f"{function} {uri}")
        return SimpleNamespace(address=address)

    monkeypatch.setattr(transaction, "open_backend", remote)
    configured = keys(attestor="keystore:attestor.json")
    reporter = configured.transactions(REPORTER)
    assert isinstance(reporter, DigestTransactionSigner)
    assert configured.transactions(REPORTER) is reporter
    assert configured.transactions(REMOTE) is configured.transactions(REMOTE)
    assert configured.transactions(REMOTE).address == REMOTE
    assert opened == ["open_transaction_signer web3signer:http://127.0.0.1:9000"]
    assert configured.attestor(ATTESTOR) is configured.attestor(ATTESTOR)


def test_attestor__in_a_web3signer__refused_before_it_is_asked() -> None:
    with pytest.raises(OperatorError, match="whole transactions only") as caught:
        keys(attestor="web3signer:http://127.0.0.1:9").attestor(ATTESTOR)
    assert caught.value.code == "signer-kind"
