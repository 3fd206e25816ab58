"""Balances on chains: the options, what is asked at the pinned block, and the document as it is kept."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from attest.chain.rpc import ChainClient
from attest.custody import formats, onchain
from attest.custody.document import Document
from attest.custody.reach import Asked, Reach
from attest.errors import OperatorError, SourceError
from attest.model import StatedBalance
from tests.support.chains import Error, Line, Network, Node, words

HOLDER = "0xCF74e08441DbAAec12523110b62A9ee47181b409"
CONTRACT = "0x303d9f5a293275973D1B4C0E43AC9Df25961246a"
#: Block 700 is of second 1,003,500; the cutoff lies three seconds later.
CUTOFF = datetime.fromtimestamp(1_003_503, UTC)
TOKEN = {"chain": "main", "contract": CONTRACT, "decimals": "6", "currency": "USD"}
COIN = {"chain": "main", "currency": "USD"}
BALANCE_OF = "0x" + keccak(b"balanceOf(address)")[:4].hex() + "00" * 12 + HOLDER[2:].lower()
DECIMALS = "0x" + keccak(b"decimals()")[:4].hex()


def node(line: Line | None = None, *, units: int = 1_234_560_000, decimals: int = 6, **handlers: Any) -> Node:
    """An endpoint whose token and coin balance are ``units`` at every block of ``line``."""
    line = line or Line(1000)

    def by_hash(params: list[Any]) -> Any:
        return next((line.header(n) for n in range(line.length) if params[0] == f"0x{line.hash(n)}"), None)

    answers = {BALANCE_OF: words(units), DECIMALS: words(decimals)}
    known = {
        "eth_getBlockByHash": by_hash,
        "eth_getCode": lambda params: "0x6001",
        "eth_call": lambda params: answers[params[0]["data"]],
        "eth_getBalance": lambda params: hex(units),
    }
    return line.node(**known | handlers)


def asked(**changes: Any) -> Asked:
    one = Asked(
        where="account a, source chain", period="2026-W47", cutoff=CUTOFF, location="", connection=None,
        external_account=HOLDER.lower(), currency="USD", balance_kind="on-chain", zone=None,
    )  # fmt: skip
    return dataclasses.replace(one, **changes)


def reach(*nodes: Node, quorum: int | None = None) -> Reach:
    urls = [f"http://node{number}.example" for number in range(len(nodes))]
    client = ChainClient(
        "main", 138, urls, transport=Network(dict(zip(urls, nodes, strict=True))),
        read_quorum=quorum or len(nodes), sleep=lambda seconds: None,
    )  # fmt: skip
    return Reach(Path(), cast(Any, None), {"main": client}, until=time.monotonic() + 60)


def fetched(
    *nodes: Node, options: dict[str, Any] = TOKEN, question: Asked | None = None, quorum: int | None = None
) -> Document:
    name = "erc20" if "contract" in options else "native"
    known = formats.find(name, "here")
    assert known.fetch is not None
    settings = formats.check_options(name, options, "here")
    (document,) = known.fetch(question or asked(), settings, reach(*nodes, quorum=quorum))
    return document


def said(document: Document, options: dict[str, Any] = TOKEN) -> StatedBalance:
    name = "erc20" if "contract" in options else "native"
    (balance,) = formats.read(name, [document], options, zone=None, retrieved_at=CUTOFF)
    return balance


def written(**changes: Any) -> Document:
    plain = json.loads(fetched(node()).read(10_000)) | changes
    return Document.of("block.json", json.dumps(plain, separators=(",", ":")).encode() + b"\n")


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"chain": ""}, "chain must be given"),
        ({"contract": "0x12"}, "is no address"),
        ({"contract": CONTRACT.replace("D1B4", "D1b4")}, "checksum"),
        ({"decimals": "six"}, "decimals must be 0 to 36"),
        ({"decimals": 37}, "decimals must be 0 to 36"),
        ({"decimals": True}, "decimals must be 0 to 36"),
        ({"currency": "XAU"}, "no minor unit"),
        ({"sub_minor_units": "round"}, "sub_minor_units must be one of"),
        ({"location": "x"}, "no option 'location'"),
    ],
)
def test_prepare__option_that_cannot_work__refused(changes: dict[str, object], detail: str) -> None:
    with pytest.raises(OperatorError, match=detail):
        formats.check_options("erc20", TOKEN | changes, "here")


def test_prepare__missing_option__refused() -> None:
    for name in TOKEN:
        with pytest.raises(OperatorError, match=f"{name} must be given"):
            formats.check_options("erc20", {key: value for key, value in TOKEN.items() if key != name}, "here")
    with pytest.raises(OperatorError, match="no option 'decimals'"):
        formats.check_options("native", COIN | {"decimals": "6"}, "here")


def test_prepare__number_for_decimals_and_lower_case_contract__are_taken() -> None:
    settings = formats.check_options("erc20", TOKEN | {"decimals": 6, "contract": CONTRACT.lower()}, "here")
    assert (settings.decimals, settings.contract) == (6, CONTRACT)


# -- asking ----------------------------------------------------------------------------------------------------------


def test_fetch__token__is_the_balance_at_the_last_block_before_the_cutoff_by_its_hash() -> None:
    line = Line(1000)
    endpoint = node(line)
    balance = said(fetched(endpoint))
    assert (balance.account, balance.currency, balance.minor_units) == (HOLDER, "USD", 123_456)
    assert (balance.balance_kind, balance.as_of) == ("on-chain", CUTOFF - timedelta(seconds=3))
    assert balance.statement_id == f"block 700 0x{line.hash(700)} of chain 138"
    pinned = [call["params"][-1] for call in endpoint.requests[-1] if call["method"] in ("eth_call", "eth_getCode")]
    assert pinned == [{"blockHash": f"0x{line.hash(700)}"}] * 3


def test_fetch__coin__is_read_with_eighteen_decimals() -> None:
    document = fetched(node(units=25 * 10**17), options=COIN)
    assert said(document, COIN).minor_units == 250
    assert json.loads(document.read(10_000))["contract"] is None


def test_fetch__two_sources_at_once__look_for_the_block_once_and_take_turns() -> None:
    endpoint = node()
    shared = reach(endpoint)
    settings = formats.check_options("erc20", TOKEN, "here")
    got: list[Document] = []
    threads = [threading.Thread(target=lambda: got.extend(onchain.fetch(asked(), settings, shared))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({document.digest for document in got}) == 1
    assert len(got) == 4
    assert sum("eth_getCode" in methods for methods in endpoint.methods) == 4
    assert sum("eth_getBlockByNumber" in methods for methods in endpoint.methods) < 8


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cutoff": datetime(2026, 11, 22, tzinfo=UTC)}, "cutoff-not-reached"),
        ({"cutoff": datetime(1970, 1, 2, tzinfo=UTC)}, "chain-too-young"),
    ],
)
def test_fetch__no_block_for_the_cutoff__refused_naming_the_source(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(SourceError, match="account a, source chain: chain main") as refused:
        fetched(node(), question=asked(**changes))
    assert (refused.value.code, refused.value.exit_code) == (code, 3)


def pruned(_: list[Any]) -> Any:
    raise Error(-32000, "missing trie node")


@pytest.mark.parametrize(
    ("options", "handlers", "code", "advice"),
    [
        (TOKEN, {"eth_getCode": lambda p: "0x"}, "no-code", "archive endpoint"),
        (TOKEN, {"eth_call": pruned}, "state-unavailable", "archive endpoint"),
        (TOKEN, {"eth_getBlockByHash": lambda p: None}, "state-unavailable", "archive endpoint"),
        (TOKEN, {"eth_call": lambda p: "0x"}, "empty-answer", "archive endpoint"),
        (TOKEN, {"eth_call": lambda p: "0x" + "00" * 31}, "malformed-answer", ""),
        (COIN, {"eth_getBalance": pruned}, "state-unavailable", "archive endpoint"),
        (COIN, {"eth_getBalance": lambda p: None}, "state-unavailable", "archive endpoint"),
        (COIN, {"eth_getBalance": lambda p: 7}, "malformed-answer", ""),
    ],
)
def test_fetch__no_usable_answer__refused_with_advice(
    options: dict[str, Any], handlers: dict[str, Callable[[list[Any]], Any]], code: str, advice: str
) -> None:
    with pytest.raises(SourceError, match="account a, source chain") as refused:
        fetched(node(**handlers), options=options)
    assert refused.value.code == code
    assert advice in refused.value.advice
    assert "attest open" not in refused.value.advice


def test_fetch__contract_with_other_decimals__refused() -> None:
    with pytest.raises(SourceError, match=f"token {CONTRACT} has 18 decimals, not 6") as refused:
        fetched(node(decimals=18))
    assert refused.value.code == "wrong-contract"


def test_fetch__endpoints_that_disagree__refused_naming_them() -> None:
    with pytest.raises(SourceError, match=r"node1\.example") as refused:
        fetched(node(), node(units=1))
    assert refused.value.code == "endpoints-disagree"


def test_fetch__endpoints_on_different_blocks__refused() -> None:
    fork = Line(1000, fork="other")
    with pytest.raises(SourceError) as refused:
        fetched(node(), node(fork))
    assert refused.value.code == "endpoints-disagree"


def test_fetch__endpoint_of_another_chain__refused() -> None:
    other = node()
    other.chain_id = 1
    with pytest.raises(SourceError, match="serves chain id 1, not 138") as refused:
        fetched(other)
    assert refused.value.code == "wrong-chain-id"


def test_fetch__chain_that_is_not_configured__refused() -> None:
    with pytest.raises(OperatorError, match="there is no chain 'side'") as refused:
        fetched(node(), options=TOKEN | {"chain": "side"})
    assert "which has main" in refused.value.advice


@pytest.mark.parametrize("account", ["DE02100500000054540402", HOLDER[:-1], HOLDER.replace("CF", "cF")])
def test_fetch__account_that_is_no_address__refused(account: str) -> None:
    with pytest.raises(OperatorError) as refused:
        fetched(node(), question=asked(external_account=account))
    assert refused.value.code == "malformed-address"


# -- the document as it is kept --------------------------------------------------------------------------------------


def test_read__dust__is_floored_unless_it_is_to_be_refused() -> None:
    document = fetched(node(units=1_239_999))
    assert said(document).minor_units == 123
    with pytest.raises(SourceError, match=r"1\.239999 has more decimals than USD") as refused:
        said(document, TOKEN | {"sub_minor_units": "refuse"})
    assert refused.value.code == "too-many-decimals"
    assert said(fetched(node()), TOKEN | {"sub_minor_units": "refuse"}).minor_units == 123_456


def test_read__token_with_fewer_decimals_than_the_currency__is_scaled_up() -> None:
    dinars = TOKEN | {"decimals": "2", "currency": "KWD"}
    assert said(fetched(node(decimals=2, units=125), options=dinars), dinars).minor_units == 1250


@given(st.integers(0, 2**256 - 1), st.integers(0, 36), st.sampled_from(["JPY", "USD", "KWD", "CLF"]))
def test_read__any_balance__is_never_more_than_there_is_and_less_by_under_a_minor_unit(
    units: int, decimals: int, code: str
) -> None:
    options = TOKEN | {"decimals": decimals, "currency": code}
    plain = {
        "format": "attest-chain-balance/1",
        "block": {"chain_id": 1, "number": 1, "hash": "ab" * 32, "timestamp": 1_795_000_000},
        "contract": CONTRACT, "holder": HOLDER, "decimals": decimals, "balance": str(units),
    }  # fmt: skip
    document = Document.of("x", json.dumps(plain, separators=(",", ":")).encode() + b"\n")
    exponent = {"JPY": 0, "USD": 2, "KWD": 3, "CLF": 4}[code]
    minor_units = said(document, options).minor_units
    assert minor_units * 10**decimals <= units * 10**exponent < (minor_units + 1) * 10**decimals


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"contract": None}, "wrong-contract"),
        ({"contract": HOLDER}, "wrong-contract"),
        ({"decimals": 7}, "wrong-contract"),
        ({"holder": HOLDER.lower()}, "malformed-document"),
        ({"holder": "nobody"}, "malformed-document"),
        ({"balance": "-1"}, "malformed-document"),
        ({"balance": 1}, "malformed-record"),
        ({"format": "attest-chain-balance/2"}, "malformed-record"),
        ({"block": {"chain_id": 138, "number": 1, "hash": "ab" * 32, "timestamp": 2**50}}, "malformed-document"),
        ({"block": {"chain_id": 0, "number": 1, "hash": "ab" * 32, "timestamp": 1}}, "malformed-document"),
        ({"block": {"chain_id": 1, "number": -1, "hash": "ab" * 32, "timestamp": 1}}, "malformed-document"),
    ],
)
def test_read__document_that_cannot_be_trusted__refused_naming_it(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(SourceError, match=r"block\.json") as refused:
        said(written(**changes))
    assert refused.value.code == code


def test_read__same_values_written_otherwise__refused() -> None:
    spaced = Document.of("block.json", json.dumps(json.loads(written().read(10_000))).encode())
    with pytest.raises(SourceError, match="not as attest writes it"):
        said(spaced)
