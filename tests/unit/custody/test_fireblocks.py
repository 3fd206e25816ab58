"""Fireblocks: what counts in a vault account's asset, and how requests are signed."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from attest.custody.apis import signing
from tests.support.presets import RETRIEVED_AT, read, refusal, wrong_options

OPTIONS = {"vault_account": "7", "asset": "USDC", "account": "FB-7", "currency": "USD"}


def asset(**changed: Any) -> dict[str, Any]:
    return {
        "id": "USDC",
        "total": "1000.75",
        "balance": "1000.75",
        "available": "900",
        "pending": "50",
        "lockedAmount": "50",
        "frozen": "0.75",
        "staked": "0",
        "blockHeight": "18734512",
        "blockHash": "0xabc",
    } | changed


def test_read__documented_answer__counts_what_is_there_and_may_be_moved() -> None:
    (one,) = read("fireblocks", OPTIONS, asset())
    assert (one.account, one.currency, one.minor_units) == ("FB-7", "USD", 95000)
    assert (one.balance_kind, one.as_of, one.statement_id) == ("custody-total", RETRIEVED_AT, "18734512:0xabc")


@pytest.mark.parametrize(
    ("changed", "block"),
    [({"blockHash": ""}, "18734512"), ({"blockHeight": None, "blockHash": None}, ""), ({"balance": None}, None)],
)
def test_read__without_what_is_optional__is_read(changed: dict[str, Any], block: str | None) -> None:
    (one,) = read("fireblocks", OPTIONS, asset(**changed))
    assert block is None or one.statement_id == block


@pytest.mark.parametrize(
    "changed",
    [
        {"total": "1000.76"},
        {"pending": "49"},
        {"frozen": "0"},
        {"lockedAmount": "51"},
        {"balance": "1"},
        {"available": "950", "pending": "0", "lockedAmount": "51", "frozen": "-0.25"},
    ],
)
def test_read__parts_that_do_not_add_up__refused(changed: dict[str, Any]) -> None:
    assert refusal("fireblocks", OPTIONS, asset(**changed))[0] == "parts-differ"


@pytest.mark.parametrize("name", ["staked", "selfStakedCPU", "pendingRefundNetwork"])
def test_read__something_staked__refused(name: str) -> None:
    code, message = refusal("fireblocks", OPTIONS, asset(**{name: "0.000001"}))
    assert code == "staked"
    assert name in message


@pytest.mark.parametrize("name", ["total", "available", "pending", "lockedAmount", "frozen"])
def test_read__part_missing__refused(name: str) -> None:
    code, message = refusal("fireblocks", OPTIONS, asset(**{name: None}))
    assert code == "malformed-answer"
    assert name in message


def test_read__another_asset__refused() -> None:
    assert refusal("fireblocks", OPTIONS, asset(id="USDT"))[0] == "wrong-asset"


def test_read__finer_than_the_currency__refused_unless_to_be_floored() -> None:
    finer = asset(total="1.009999", balance="1.009999", available="1.009999", pending="0", lockedAmount="0", frozen="0")
    code, message = refusal("fireblocks", OPTIONS, finer)
    assert code == "too-many-decimals"
    assert "FB-7" in message
    assert refusal("fireblocks", OPTIONS | {"sub_minor_units": "refuse"}, finer)[0] == code
    (one,) = read("fireblocks", OPTIONS | {"sub_minor_units": "floor"}, finer)
    assert one.minor_units == 100


def test_read__error_body__refused_with_the_venue_s_own_text() -> None:
    code, message = refusal(
        "fireblocks", OPTIONS, {"message": "The Provided vault account ID is invalid", "code": 11001}
    )
    assert code == "api-error"
    assert message.endswith("is an error: 11001: The Provided vault account ID is invalid")


def test_read__two_answers__refused() -> None:
    assert refusal("fireblocks", OPTIONS, asset(), asset())[0] == "several-answers"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"vault_account": "a/b"}, "vault_account must be the identifier"),
        ({"asset": ".."}, "asset must be the identifier"),
        ({"currency": "USDC"}, "not an ISO-4217 code"),
        ({"sub_minor_units": "round"}, "sub_minor_units must be"),
    ],
)
def test_prepare__options_that_cannot_work__refused(changed: dict[str, object], named: str) -> None:
    assert named in wrong_options("fireblocks", OPTIONS | changed)


@pytest.mark.parametrize("name", OPTIONS)
def test_prepare__option_missing__refused(name: str) -> None:
    assert f"{name} is missing" in wrong_options("fireblocks", {key: OPTIONS[key] for key in OPTIONS if key != name})


def test_sign__token__names_the_request_and_verifies_by_the_public_key() -> None:
    key = generate_private_key(65537, 2048)
    headers = signing.fireblocks("/v1/vault/accounts/7/USDC", b"{}", 1_790_000_000, "once", api_key="id", key=key)
    assert headers["X-API-Key"] == "id"
    head, claims, signature = headers["Authorization"].removeprefix("Bearer ").split(".")

    def decoded(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    key.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(decoded(claims)) == {
        "uri": "/v1/vault/accounts/7/USDC",
        "nonce": "once",
        "iat": 1_790_000_000,
        "exp": 1_790_000_025,
        "sub": "id",
        "bodyHash": hashlib.sha256(b"{}").hexdigest(),
    }


def test_rsa_key__another_kind_of_key__refused_without_repeating_it() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    pem = elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text, detail in ((pem, "not an RSA key"), ("canary-secret", "not a private key")):
        with pytest.raises(ValueError, match=detail) as caught:
            signing.rsa_key(text)
        assert text not in str(caught.value)
