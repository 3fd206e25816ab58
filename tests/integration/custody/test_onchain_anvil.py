"""Balances on a real chain at the block of the cutoff, through real endpoints, honest and not."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attest.chain import devnet
from attest.chain.devnet import Anvil, Deployment, TokenPlan
from attest.chain.rpc import ChainClient
from attest.config import Collection
from attest.custody import formats
from attest.custody.document import Document
from attest.custody.http import HttpClient
from attest.custody.ownership import Claim, check_signature
from attest.custody.reach import Asked, Reach
from attest.errors import SourceError
from attest.posting import HttpTransport
from tests.integration.conftest import GENESIS
from tests.support.practice import rpc

CUTOFF = GENESIS + 3600
SUPPLY = 1_250_000_340_000


@pytest.fixture(scope="module")
def token(anvil: Anvil) -> Deployment:
    """A token whose supply is the first account's at the cutoff, and goes to the second one afterwards."""
    accounts = rpc(anvil.url, "eth_accounts")
    plan = [TokenPlan("COIN", "Coin", 6, SUPPLY)]
    deployed = devnet.deploy(anvil.url, devnet.dev_key(0), plan, reporters=accounts[1:4], publishers=[accounts[4]])
    rpc(anvil.url, "anvil_setBalance", accounts[5], hex(12_345 * 10**17))
    devnet.advance_to(anvil.url, CUTOFF - 2)
    transfer = f"0xa9059cbb{accounts[1][2:]:0>64}{SUPPLY:064x}"
    devnet.advance_to(anvil.url, CUTOFF + 10)
    for transaction in (
        {"from": accounts[0], "to": deployed.tokens["COIN"], "data": transfer, "gas": hex(200_000)},
        {"from": accounts[5], "to": accounts[1], "value": hex(10**21)},
    ):
        digest = rpc(anvil.url, "eth_sendTransaction", transaction)
        deadline = time.monotonic() + 10
        while (receipt := rpc(anvil.url, "eth_getTransactionReceipt", digest)) is None:
            assert time.monotonic() < deadline, "not mined"
            time.sleep(0.01)
        assert receipt["status"] == "0x1"
    return deployed


def fetched(
    options: dict[str, Any], holder: str, *urls: str, quorum: int | None = None, cutoff: int = CUTOFF
) -> Document:
    client = ChainClient("coins", 138, urls, transport=HttpTransport(10), read_quorum=quorum or len(urls))
    asked = Asked(
        where="account a, source chain", period="2026-W47", cutoff=datetime.fromtimestamp(cutoff, UTC), location="",
        connection=None, external_account=holder, currency="USD", balance_kind="on-chain", zone=None,
    )  # fmt: skip
    name = "erc20" if "contract" in options else "native"
    fetch = formats.find(name, "here").fetch
    assert fetch is not None
    http = HttpClient(Collection(), base=Path())
    with Reach(Path(), http, {"coins": client}, time.monotonic() + 60) as reach:
        (document,) = fetch(asked, formats.check_options(name, options, "here"), reach)
    return document


def said(document: Document, options: dict[str, Any]) -> Any:
    name = "erc20" if "contract" in options else "native"
    (balance,) = formats.read(name, [document], options, zone=None, retrieved_at=datetime.now(UTC))
    return balance


def options(token: Deployment, **changes: Any) -> dict[str, Any]:
    return {"chain": "coins", "contract": token.tokens["COIN"], "decimals": 6, "currency": "USD"} | changes


@contextmanager
def forwarding(url: str, change: Callable[[str, Any], Any]) -> Iterator[str]:
    """An endpoint that asks the one at ``url``, and changes its answers: ``change(method, result)``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                results = json.load(answer)
            methods = {call["id"]: call["method"] for call in json.loads(body)}
            for one in results:
                changed = change(methods[one["id"]], one.pop("result", None))
                one |= changed if isinstance(changed, dict) and "error" in changed else {"result": changed}
            data = json.dumps(results).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_fetch__token__is_the_balance_at_the_cutoff_and_not_at_the_head(anvil: Anvil, token: Deployment) -> None:
    holder = rpc(anvil.url, "eth_accounts")[0]
    document = fetched(options(token), holder, anvil.url)
    balance = said(document, options(token))
    assert (balance.minor_units, balance.balance_kind) == (125_000_034, "on-chain")
    assert balance.as_of == datetime.fromtimestamp(CUTOFF - 2, UTC)
    block = json.loads(document.read(10_000))["block"]
    assert rpc(anvil.url, "eth_getBlockByNumber", hex(block["number"]), False)["hash"] == f"0x{block['hash']}"
    data = f"0x70a08231{holder[2:]:0>64}"
    assert int(rpc(anvil.url, "eth_call", {"to": token.tokens["COIN"], "data": data}, "latest"), 16) == 0


def test_fetch__coin__is_the_balance_at_the_cutoff(anvil: Anvil, token: Deployment) -> None:
    holder = rpc(anvil.url, "eth_accounts")[5]
    native = {"chain": "coins", "currency": "USD"}
    assert said(fetched(native, holder, anvil.url), native).minor_units == 123_450
    assert int(rpc(anvil.url, "eth_getBalance", holder, "latest"), 16) < 235 * 10**18


def test_fetch__two_honest_endpoints__agree(anvil: Anvil, token: Deployment) -> None:
    holder = rpc(anvil.url, "eth_accounts")[0]
    with forwarding(anvil.url, lambda method, result: result) as second:
        assert said(fetched(options(token), holder, anvil.url, second), options(token)).minor_units == 125_000_034


def test_fetch__endpoint_that_doubles_a_balance__refused(anvil: Anvil, token: Deployment) -> None:
    def double(method: str, result: Any) -> Any:
        return f"0x{2 * int(result, 16):064x}" if method == "eth_call" and int(result, 16) > 100 else result

    holder = rpc(anvil.url, "eth_accounts")[0]
    with forwarding(anvil.url, double) as liar:
        with pytest.raises(SourceError, match="the endpoints disagree on eth_call") as refused:
            fetched(options(token), holder, anvil.url, liar)
        assert refused.value.code == "endpoints-disagree"
        with pytest.raises(SourceError):  # one would do, but two differ
            fetched(options(token), holder, anvil.url, liar, quorum=1)


def test_fetch__endpoint_that_forgot_the_block__refused_with_advice(anvil: Anvil, token: Deployment) -> None:
    def forget(method: str, result: Any) -> Any:
        forgotten = method in ("eth_call", "eth_getBalance")
        return {"error": {"code": -32000, "message": "missing trie node"}} if forgotten else result

    with forwarding(anvil.url, forget) as pruned, pytest.raises(SourceError, match="missing trie node") as refused:
        fetched(options(token), rpc(anvil.url, "eth_accounts")[0], pruned)
    assert refused.value.code == "state-unavailable"
    assert "archive endpoint" in refused.value.advice


def test_fetch__no_contract_or_another__refused(anvil: Anvil, token: Deployment) -> None:
    holder = rpc(anvil.url, "eth_accounts")[0]
    for contract, code in ((holder, "no-code"), (token.oracle, "call-reverted")):
        with pytest.raises(SourceError) as refused:
            fetched(options(token, contract=contract), holder, anvil.url)
        assert refused.value.code == code
    with pytest.raises(SourceError, match="has 6 decimals, not 18"):
        fetched(options(token, decimals=18), holder, anvil.url)


def test_fetch__cutoff_that_the_chain_has_not_passed__refused(anvil: Anvil, token: Deployment) -> None:
    with pytest.raises(SourceError) as refused:
        fetched(options(token), rpc(anvil.url, "eth_accounts")[0], anvil.url, cutoff=CUTOFF + 10**6)
    assert refused.value.code == "cutoff-not-reached"


def test_ownership__signed_by_the_node_as_a_wallet__holds(anvil: Anvil) -> None:
    from eth_utils.address import to_checksum_address

    account = rpc(anvil.url, "eth_accounts")[0]
    claim = Claim("Example Issuer Ltd & Söhne", "2026-W47", str(to_checksum_address(account)), 138, "ab" * 32)
    signature = rpc(anvil.url, "eth_signTypedData_v4", account, claim.typed_data())
    assert check_signature(claim, signature) == signature[2:]
