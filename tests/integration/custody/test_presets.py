"""The presets against a server that answers as their APIs do: requests, authentication, pages, errors, limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from attest.custody import formats
from attest.custody.document import Document
from attest.errors import OperatorError, SourceError
from tests.support.presets import RETRIEVED_AT
from tests.support.replay import Answer, Answers, Hidden, Recorded, Replay, asking, connecting, ok, reaching

RSA = generate_private_key(65537, 2048)
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
BEARER = {"bearer": Hidden("canary-bearer-token")}
BASE64_SECRET = base64.b64encode(b"canary-hmac-secret").decode()


def bearer(request: Recorded) -> None:
    assert request.method == "GET"
    assert request.headers["authorization"] == "Bearer canary-bearer-token"


def interaction(request: Recorded) -> None:
    bearer(request)
    assert UUID(request.headers["x-fapi-interaction-id"]).version == 4


def consent(request: Recorded) -> None:
    bearer(request)
    assert request.headers["consent-id"] == "canary-consent-id"
    assert UUID(request.headers["x-request-id"]).version == 4


def json_web_token(request: Recorded) -> None:
    assert request.headers["x-api-key"] == "canary-api-key"
    head, claims, signature = request.headers["authorization"].removeprefix("Bearer ").split(".")

    def decoded(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    RSA.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    said = json.loads(decoded(claims))
    assert json.loads(decoded(head))["alg"] == "RS256"
    assert said["uri"] == request.target == "/v1/vault/accounts/7/USDC"
    assert said["sub"] == "canary-api-key"
    assert said["bodyHash"] == hashlib.sha256(b"").hexdigest()
    assert abs(said["iat"] - time.time()) < 10
    assert said["exp"] - said["iat"] < 30
    assert UUID(said["nonce"]).version == 4


def access_headers(request: Recorded) -> None:
    stamp = request.headers["x-cb-access-timestamp"]
    assert abs(int(stamp) - time.time()) < 10
    signature = hmac.new(b"canary-api-secret", f"{stamp}GET{request.path}".encode(), hashlib.sha256).digest()
    assert request.headers["x-cb-access-signature"] == base64.b64encode(signature).decode()
    assert request.headers["x-cb-access-key"] == "canary-api-key"
    assert request.headers["x-cb-access-passphrase"] == "canary-passphrase"
    assert request.query["symbols"] == ["USDC"]
    assert request.query["balance_type"] == ["TOTAL_BALANCES"]


def api_sign(request: Recorded) -> None:
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    name, _, nonce = request.body.decode().partition("=")
    assert name == "nonce"
    assert 0 <= time.time() - int(nonce) / 1e6 < 10
    inner = hashlib.sha256(nonce.encode() + request.body).digest()
    signature = hmac.new(b"canary-hmac-secret", b"/0/private/Balance" + inner, hashlib.sha512).digest()
    assert request.headers["api-sign"] == base64.b64encode(signature).decode()
    assert request.headers["api-key"] == "canary-api-key"


@dataclass(frozen=True)
class Preset:
    """One API: how it is configured, where it answers what, what is read there, and what proves who asks."""

    name: str
    path: str
    options: Mapping[str, object]
    connection: Mapping[str, Any]
    answer: Any
    minor_units: int
    authenticated: Callable[[Recorded], None]
    error: Any
    said: str
    fresh: str = ""

    def __str__(self) -> str:
        return self.name


PRIME_BALANCE = {"symbol": "USDC", "amount": "109.42", "holds": "2"}
OPEN_BANKING_BALANCE = {
    "AccountId": "22289",
    "CreditDebitIndicator": "Credit",
    "Type": "CLBD",
    "DateTime": "2026-11-20T23:59:59+00:00",
    "Amount": {"Amount": "1230.00", "Currency": "GBP"},
}
WALLET = "59cd72485007a239fb00282ed480da1f"
PORTFOLIO = "e8bbed13-fa33-41de-86d5-4335d8f08166"
LIVE = {"account": "A-1", "currency": "USD"}

OPENBANKING_UK = Preset(
    "openbanking-uk",
    "/accounts/22289/balances",
    {"account_id": "22289"},
    BEARER,
    {"Data": {"Balance": [OPEN_BANKING_BALANCE]}, "Links": {"Self": "x"}, "Meta": {"TotalPages": 1}},
    123000,
    interaction,
    {"Code": "403", "Errors": [{"ErrorCode": "UK.OBIE.Reauthenticate", "Message": "Consent has expired"}]},
    "Consent has expired",
    "x-fapi-interaction-id",
)
BERLIN_GROUP = Preset(
    "berlin-group",
    "/v1/accounts/3dc3d5b3/balances",
    {"resource_id": "3dc3d5b3"},
    BEARER | {"headers": {"Consent-ID": Hidden("canary-consent-id")}},
    {
        "account": {"iban": "DE02120300000000202051"},
        "balances": [
            {
                "balanceAmount": {"currency": "EUR", "amount": "500.00"},
                "balanceType": "closingBooked",
                "referenceDate": "2026-11-20",
            }
        ],
    },
    50000,
    consent,
    {"tppMessages": [{"category": "ERROR", "code": "CONSENT_EXPIRED", "text": "renew it"}]},
    "CONSENT_EXPIRED",
)
FIREBLOCKS = Preset(
    "fireblocks",
    "/v1/vault/accounts/7/USDC",
    {"vault_account": "7", "asset": "USDC"} | LIVE,
    {"api_key": Hidden("canary-api-key"), "api_secret": Hidden(PEM)},
    {"id": "USDC", "total": "10.5", "available": "10", "pending": "0.5", "lockedAmount": "0", "frozen": "0"},
    1000,
    json_web_token,
    {"message": "Unauthorized: Token was already used", "code": -1},
    "Token was already used",
    "authorization",
)
BITGO = Preset(
    "bitgo",
    f"/api/v2/eth/wallet/{WALLET}",
    {"coin": "eth", "token": "usdc", "wallet_id": WALLET, "decimals": "6", "currency": "USD"},
    BEARER,
    {
        "id": WALLET,
        "coin": "eth",
        "tokens": {"usdc": {"balanceString": "7000000", "confirmedBalanceString": "7000000"}},
    },
    700,
    bearer,
    {"error": "unauthorized", "name": "Unauthorized", "requestId": "cjo7uw7si0"},
    "unauthorized",
)
COINBASE_PRIME = Preset(
    "coinbase-prime",
    f"/v1/portfolios/{PORTFOLIO}/balances",
    {"portfolio_id": PORTFOLIO, "symbol": "USDC"} | LIVE,
    {
        "api_key": Hidden("canary-api-key"),
        "api_secret": Hidden("canary-api-secret"),
        "passphrase": Hidden("canary-passphrase"),
    },
    {"balances": [PRIME_BALANCE], "type": "TOTAL_BALANCES"},
    10942,
    access_headers,
    {"message": "invalid api key", "code": 16},
    "invalid api key",
)
KRAKEN = Preset(
    "kraken",
    "/0/private/Balance",
    {"asset": "ZUSD", "sub_minor_units": "floor"} | LIVE,
    {"api_key": Hidden("canary-api-key"), "api_secret": Hidden(BASE64_SECRET)},
    {"error": [], "result": {"ZUSD": "171288.6158"}},
    17128861,
    api_sign,
    {"error": ["EAPI:Invalid key"]},
    "EAPI:Invalid key",
    "api-sign",
)
CIRCLE = Preset(
    "circle",
    "/v1/businessAccount/balances",
    LIVE,
    BEARER,
    {"data": {"available": [{"amount": "3.14", "currency": "USD"}], "unsettled": []}},
    314,
    bearer,
    {"code": 401, "message": "Malformed authorization. Are the credentials properly encoded?"},
    "Malformed authorization",
)
PRESETS = (OPENBANKING_UK, BERLIN_GROUP, FIREBLOCKS, BITGO, COINBASE_PRIME, KRAKEN, CIRCLE)
REPEATING = tuple(preset for preset in PRESETS if preset is not BERLIN_GROUP)


def fetch(preset: Preset, base: Path, url: str, **changed: Any) -> tuple[Document, ...]:
    """What a source of this preset fetches from the server at ``url``, with changed connection fields."""
    connection = connecting(base, **{key: value for key, value in {**preset.connection, **changed}.items() if value})
    known = formats.find(preset.name, "test")
    assert known.fetch is not None
    with reaching(base) as reach:
        settings = formats.check_options(preset.name, preset.options, "test")
        return tuple(known.fetch(asking(url, connection), settings, reach))


def stated(preset: Preset, documents: tuple[Document, ...]) -> list[int]:
    balances = formats.read(preset.name, documents, preset.options, zone=None, retrieved_at=RETRIEVED_AT)
    return [balance.minor_units for balance in balances]


def without_secrets(text: str) -> None:
    assert "canary" not in text
    assert "PRIVATE KEY" not in text
    assert BASE64_SECRET not in text


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_fetch__documented_answer__is_asked_for_with_proof_of_who_asks(
    preset: Preset, slash: str, tmp_path: Path
) -> None:
    good = ok(preset.answer, Date="Sun, 22 Nov 2026 23:30:00 GMT")
    with Replay({preset.path: good}) as server:
        (document,) = fetch(preset, tmp_path, server.url + slash)
    (request,) = server.requests
    assert request.path == preset.path
    preset.authenticated(request)
    assert document.read(1 << 20) == good.body
    assert document.name == server.url + preset.path
    assert "22 Nov 2026" in document.provenance
    without_secrets(document.name + document.provenance)
    assert stated(preset, (document,)) == [preset.minor_units]


@pytest.mark.parametrize("preset", PRESETS, ids=str)
@pytest.mark.parametrize("status", [401, 403])
def test_fetch__credentials_or_consent_expired__refused_with_the_api_s_own_text(
    preset: Preset, status: int, tmp_path: Path
) -> None:
    with Replay({preset.path: ok(preset.error, status=status)}) as server, pytest.raises(SourceError) as caught:
        fetch(preset, tmp_path, server.url)
    assert caught.value.code == "http-unauthorized"
    assert preset.said in caught.value.message
    assert "account ops, source bank" in caught.value.message
    assert "renew" in caught.value.advice
    assert len(server.requests) == 1


@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_fetch__server_that_echoes_what_it_was_sent__shows_no_secret(preset: Preset, tmp_path: Path) -> None:
    def echo(request: Recorded) -> Answer:
        said = {name: value for name, value in request.headers.items() if name != "host"}
        bare = request.headers.get("authorization", "").partition(" ")[2]
        return ok({"bare": bare} | said | {"body": request.body.decode()}, status=401)

    with Replay({preset.path: echo}) as server, pytest.raises(SourceError) as caught:
        fetch(preset, tmp_path, server.url)
    without_secrets(str(caught.value.as_json()))
    (request,) = server.requests
    proofs = ("authorization", "api-sign", "x-cb-access-signature")
    assert not any(request.headers[name] in caught.value.message for name in proofs if name in request.headers)
    bare = request.headers.get("authorization", "").partition(" ")[2]
    assert not bare or bare[:60] not in caught.value.message


@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_fetch__good_answer_that_repeats_who_asks__is_refused(preset: Preset, tmp_path: Path) -> None:
    def echo(request: Recorded) -> Answer:
        return ok(dict(request.headers) | {"error": request.headers.get("authorization", "")})

    with Replay({preset.path: echo}) as server, pytest.raises(SourceError) as caught:
        fetch(preset, tmp_path, server.url)
    assert caught.value.code == "http-echo"
    without_secrets(str(caught.value.as_json()))


@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_read__error_body_with_status_200__refused_with_the_api_s_own_text(preset: Preset, tmp_path: Path) -> None:
    with Replay({preset.path: ok(preset.error)}) as server, pytest.raises(SourceError) as caught:
        stated(preset, fetch(preset, tmp_path, server.url))
    assert caught.value.code == "api-error"
    assert preset.said in caught.value.message


@pytest.mark.parametrize("preset", REPEATING, ids=str)
def test_fetch__rate_limit__is_waited_for_and_asked_again_with_a_fresh_proof(preset: Preset, tmp_path: Path) -> None:
    limited = ok({"message": "too many"}, status=429, Retry_After="0")
    with Replay({preset.path: [limited, ok(preset.answer)]}) as server:
        documents = fetch(preset, tmp_path, server.url)
    assert stated(preset, documents) == [preset.minor_units]
    first, second = server.requests
    preset.authenticated(second)
    if preset.fresh:
        assert first.headers[preset.fresh] != second.headers[preset.fresh]


def test_fetch__rate_limit_that_stays__is_given_up_after_four_requests(tmp_path: Path) -> None:
    limited = ok({"error": ["EAPI:Rate limit exceeded"]}, status=429, Retry_After="0")
    with Replay({KRAKEN.path: limited}) as server, pytest.raises(SourceError) as caught:
        fetch(KRAKEN, tmp_path, server.url)
    assert caught.value.code == "http-rate-limited"
    assert "EAPI:Rate limit exceeded" in caught.value.message
    nonces = [int(request.body.decode().removeprefix("nonce=")) for request in server.requests]
    assert len(nonces) == 4
    assert nonces == sorted(set(nonces))


@pytest.mark.parametrize("status", [429, 503])
def test_fetch__berlin_group_bank_that_limits_or_fails__is_not_asked_again(status: int, tmp_path: Path) -> None:
    exceeded = {"tppMessages": [{"category": "ERROR", "code": "ACCESS_EXCEEDED"}]}
    answers = [ok(exceeded, status=status), ok(BERLIN_GROUP.answer)]
    with Replay({BERLIN_GROUP.path: answers}) as server, pytest.raises(SourceError) as caught:
        fetch(BERLIN_GROUP, tmp_path, server.url)
    assert caught.value.code == {429: "http-rate-limited", 503: "http-server-error"}[status]
    assert "ACCESS_EXCEEDED" in caught.value.message
    assert len(server.requests) == 1


#: A bank may know its callers by the client certificate alone.
NEEDED = [
    (preset, name)
    for preset in PRESETS
    for name in preset.connection
    if name != "bearer" or preset not in (OPENBANKING_UK, BERLIN_GROUP)
]


@pytest.mark.parametrize(("preset", "missing"), NEEDED, ids=str)
def test_fetch__credential_missing__refused_before_anything_is_sent(
    preset: Preset, missing: str, tmp_path: Path
) -> None:
    with Replay({preset.path: ok(preset.answer)}) as server, pytest.raises(OperatorError) as caught:
        fetch(preset, tmp_path, server.url, **{missing: None})
    assert caught.value.code == "incomplete-connection"
    assert ("Consent-ID" if missing == "headers" else missing) in caught.value.message
    assert server.requests == []


@pytest.mark.parametrize(
    ("preset", "secret"), [(KRAKEN, "canary, not base64"), (FIREBLOCKS, "canary, no key")], ids=str
)
def test_fetch__secret_that_cannot_sign__refused_without_repeating_it(
    preset: Preset, secret: str, tmp_path: Path
) -> None:
    with Replay({preset.path: ok(preset.answer)}) as server, pytest.raises(OperatorError) as caught:
        fetch(preset, tmp_path, server.url, api_secret=Hidden(secret))
    assert caught.value.code == "incomplete-connection"
    without_secrets(str(caught.value.as_json()))
    assert server.requests == []


def test_fetch__no_http_connection__refused(tmp_path: Path) -> None:
    known = formats.find("circle", "test")
    assert known.fetch is not None
    with reaching(tmp_path) as reach, pytest.raises(OperatorError) as caught:
        list(known.fetch(asking(""), formats.check_options("circle", CIRCLE.options, "test"), reach))
    assert caught.value.code == "incomplete-connection"


@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_format__location__is_optional_where_the_api_has_one_address(preset: Preset) -> None:
    known = formats.find(preset.name, "test")
    assert known.location == ("required" if preset in (OPENBANKING_UK, BERLIN_GROUP) else "optional")
    assert known.connections == ("http",)


def test_fetch__client_credentials__bring_the_token_along(tmp_path: Path) -> None:
    def token(request: Recorded) -> Answer:
        assert request.body == b"grant_type=client_credentials&scope=accounts"
        return ok({"access_token": "canary-bearer-token", "token_type": "Bearer", "expires_in": 300})

    routes: dict[str, Answers] = {"POST /token": token, OPENBANKING_UK.path: ok(OPENBANKING_UK.answer)}
    with Replay(routes) as server:
        keys = {"token_url": f"{server.url}/token", "client_id": "us", "client_secret": Hidden("canary-client-secret")}
        documents = fetch(OPENBANKING_UK, tmp_path, server.url, bearer=None, scope="accounts", **keys)
    assert stated(OPENBANKING_UK, documents) == [123000]
    interaction(server.requests[-1])


# -- pages -----------------------------------------------------------------------------------------------------------


def open_banking_pages(following: str) -> dict[str, Answers]:
    second = OPEN_BANKING_BALANCE | {"DateTime": "2026-11-19T23:59:59+00:00"}
    meta = {"TotalPages": 2}
    page_2 = f"{OPENBANKING_UK.path}?page=2"
    return {
        OPENBANKING_UK.path: ok(
            {"Data": {"Balance": [OPEN_BANKING_BALANCE]}, "Links": {"Self": "x", "Next": following}, "Meta": meta}
        ),
        page_2: ok({"Data": {"Balance": [second]}, "Links": {"Self": "x"}, "Meta": meta}),
    }


def prime_page(*balances: Any, following: str = "") -> Answer:
    pagination = {"next_cursor": following, "has_next": bool(following), "sort_direction": "DESC"}
    return ok({"balances": list(balances), "type": "TOTAL_BALANCES", "pagination": pagination})


def test_fetch__open_banking_pages__are_followed_to_the_last(tmp_path: Path) -> None:
    with Replay({}) as server:
        server.routes |= open_banking_pages(f"{server.url}{OPENBANKING_UK.path}?page=2")
        documents = fetch(OPENBANKING_UK, tmp_path, server.url)
    assert stated(OPENBANKING_UK, documents) == [123000, 123000]
    for request in server.requests:
        interaction(request)


def test_fetch__prime_pages__are_followed_to_the_last_and_each_is_signed(tmp_path: Path) -> None:
    first = prime_page({"symbol": "USD", "amount": "1"}, following="a b&c")

    def pages(request: Recorded) -> Answer:
        return prime_page(PRIME_BALANCE) if request.query.get("cursor") == ["a b&c"] else first

    with Replay({COINBASE_PRIME.path: pages}) as server:
        documents = fetch(COINBASE_PRIME, tmp_path, server.url)
    assert stated(COINBASE_PRIME, documents) == [10942]
    assert len(server.requests) == 2
    for request in server.requests:
        access_headers(request)
    for document in documents:
        assert "cursor" not in document.name


def test_fetch__page_that_is_missing__refuses_the_whole(tmp_path: Path) -> None:
    with Replay({}) as server:
        server.routes |= open_banking_pages(f"{server.url}{OPENBANKING_UK.path}?page=3")
        server.routes[f"{OPENBANKING_UK.path}?page=3"] = Answer(status=404)
        with pytest.raises(SourceError) as caught:
            fetch(OPENBANKING_UK, tmp_path, server.url)
    assert caught.value.code == "http-not-found"


@pytest.mark.parametrize("kept", [0, 1])
def test_read__page_taken_away_from_the_evidence__refused(kept: int, tmp_path: Path) -> None:
    with Replay({}) as server:
        server.routes |= open_banking_pages(f"{server.url}{OPENBANKING_UK.path}?page=2")
        documents = fetch(OPENBANKING_UK, tmp_path, server.url)
    with pytest.raises(SourceError) as caught:
        stated(OPENBANKING_UK, documents[kept : kept + 1])
    assert caught.value.code == "missing-page"


def test_fetch__next_page_at_another_server__is_not_asked_for(tmp_path: Path) -> None:
    with Replay({}) as other, Replay({}) as server:
        server.routes |= open_banking_pages(f"{other.url}{OPENBANKING_UK.path}?page=2")
        with pytest.raises(SourceError) as caught:
            fetch(OPENBANKING_UK, tmp_path, server.url)
    assert caught.value.code == "foreign-page"
    assert other.requests == []


def test_fetch__pages_in_a_circle__refused(tmp_path: Path) -> None:
    again = prime_page(PRIME_BALANCE, following="again")
    with Replay({COINBASE_PRIME.path: again}) as server, pytest.raises(SourceError) as caught:
        fetch(COINBASE_PRIME, tmp_path, server.url)
    assert caught.value.code == "endless-pages"
    assert len(server.requests) == 2
