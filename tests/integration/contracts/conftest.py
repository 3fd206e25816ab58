"""The reference contracts on a real chain: deploy, call, send, and see why something reverted."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from attest.chain.artifact import Artifact, artifact, input_types
from attest.chain.devnet import Anvil

#: Every contract of the folder `contracts` that is compiled.
REFERENCE = sorted(path.stem for path in Path(__file__).parents[3].joinpath("attest/chain/artifacts").glob("*.json"))
MAX = 2**256 - 1


class Reverted(Exception):  # noqa: N818 - it is what happened, and mostly what should happen
    """A call or transaction reverted with this custom error of the contracts."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True)
class Contract:
    address: str
    artifact: Artifact


class Chain:
    """A devnet seen from a test. Accounts are the node's unlocked ones, by number."""

    def __init__(self, node: Anvil) -> None:
        self._connection = http.client.HTTPConnection(node.host, node.port, timeout=30)
        self.accounts = [to_checksum_address(account) for account in self.rpc("eth_accounts")]
        self._errors = {
            function_signature_to_4byte_selector(_signature(entry)): entry
            for name in REFERENCE
            for entry in artifact(name).abi
            if entry["type"] == "error"
        }

    def rpc(self, method: str, *parameters: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.load(self._connection.getresponse())
        if "error" in answer:
            data = answer["error"].get("data")
            assert isinstance(data, str), answer["error"]
            entry = self._errors[bytes.fromhex(data[2:10])]
            raise Reverted(entry["name"], decode([i["type"] for i in entry["inputs"]], bytes.fromhex(data[10:])))
        return answer["result"]

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def mine_at(self, timestamp: int) -> None:
        self.rpc("evm_setNextBlockTimestamp", timestamp)
        self.rpc("evm_mine")

    def deploy(self, name: str | Artifact, *arguments: Any) -> Contract:
        code = artifact(name) if isinstance(name, str) else name
        receipt = self._transact({"data": "0x" + code.deploy_data(*arguments).hex()}, None)
        return Contract(to_checksum_address(receipt["contractAddress"]), code)

    def call(self, contract: Contract, function: str, *arguments: Any, sender: int = 0) -> Any:
        """The decoded answer at the latest block, to an account; a tuple if there are several values."""
        data = contract.artifact.call_data(function, *arguments)
        call = {"from": self.accounts[sender], "to": contract.address, "data": "0x" + data.hex()}
        answer = self.rpc("eth_call", call, "latest")
        (entry,) = [entry for entry in contract.artifact.abi if entry.get("name") == function]
        values = decode([output["type"] for output in entry["outputs"]], bytes.fromhex(answer[2:]))
        return values[0] if len(values) == 1 else values

    def send(
        self,
        contract: Contract,
        function: str,
        *arguments: Any,
        sender: int | str = 0,
        at: int | None = None,
        gas_price: int | None = None,
    ) -> dict[str, Any]:
        """Mine one transaction in a block of its own, at the time ``at``; its receipt, or :class:`Reverted`."""
        data = "0x" + contract.artifact.call_data(function, *arguments).hex()
        account = self.accounts[sender] if isinstance(sender, int) else sender
        transaction = {"to": contract.address, "data": data, "from": account}
        return self._transact(transaction | ({"gasPrice": hex(gas_price)} if gas_price else {}), at)

    def _transact(self, transaction: dict[str, Any], at: int | None) -> dict[str, Any]:
        transaction = {"from": self.accounts[0], "gas": hex(6_000_000), **transaction}
        if at is not None:
            self.rpc("evm_setNextBlockTimestamp", at)
        digest = self.rpc("eth_sendTransaction", transaction)
        receipt: dict[str, Any] | None = None
        while receipt is None:
            receipt = self.rpc("eth_getTransactionReceipt", digest)
        if receipt["status"] != "0x1":
            # It changed nothing, so that a call on top of its own block meets the same state and the same time.
            self.rpc("eth_call", transaction, receipt["blockNumber"])
            raise AssertionError("the transaction failed, but not the same call")
        return receipt

    def events(self, contract: Contract, receipt: dict[str, Any]) -> list[tuple[str, tuple[Any, ...]]]:
        """(name, arguments in the order of declaration) of each event of ``contract`` in the receipt."""
        known = {
            function_signature_to_4byte_selector(_signature(entry)): entry
            for entry in contract.artifact.abi
            if entry["type"] == "event"
        }
        found = []
        for log in receipt["logs"]:
            if to_checksum_address(log["address"]) != contract.address:
                continue
            entry = known[bytes.fromhex(log["topics"][0][2:10])]
            topics = iter(bytes.fromhex(topic[2:]) for topic in log["topics"][1:])
            body = [kind for kind, i in zip(input_types(entry), entry["inputs"], strict=True) if not i["indexed"]]
            values = iter(decode(body, bytes.fromhex(log["data"][2:])))
            arguments = [
                decode([i["type"]], next(topics))[0] if i["indexed"] else next(values) for i in entry["inputs"]
            ]
            found.append((entry["name"], tuple(arguments)))
        return found

    def storage(self, contract: Contract, slot: int) -> int:
        """A slot's value by EIP-1186, which is what a proof would show."""
        proof = self.rpc("eth_getProof", contract.address, [f"0x{slot:064x}"], "latest")
        return int(proof["storageProof"][0]["value"], 16)


def _signature(entry: Any) -> str:
    return f"{entry['name']}({','.join(input_types(entry))})"


@pytest.fixture(scope="module")
def chain(anvil: Anvil) -> Chain:
    return Chain(anvil)


@pytest.fixture(scope="module")
def make_token(chain: Chain) -> Callable[..., Contract]:
    """Deploys a token whose reserve (without limit unless given) is reported by account 0, which also holds its
    supply: `make_token("USDW", 6, supply)`. Its oracle, of one reporter, is its own."""

    def make(symbol: str, decimals: int, supply: int, reserve: int = MAX) -> Contract:
        admin = chain.accounts[0]
        oracle = chain.deploy("ReserveOracle", admin, 1, 3600, 10 * 365 * 86400)
        token = chain.deploy("WToken", symbol, symbol, decimals, oracle.address, admin)
        chain.send(oracle, "grantRole", keccak(text="REPORTER_ROLE"), admin)
        chain.send(oracle, "submitReserveReport", token.address, reserve, chain.now())
        chain.send(token, "grantRole", keccak(text="MINTER_ROLE"), admin)
        chain.send(token, "mint", admin, supply)
        return token

    return make


@pytest.fixture(scope="module")
def oracle_of(chain: Chain) -> Callable[[Contract], Contract]:
    """The reserve oracle of a token from `make_token`."""
    return lambda token: Contract(to_checksum_address(chain.call(token, "oracle")), artifact("ReserveOracle"))


@pytest.fixture(scope="module")
def report(chain: Chain, oracle_of: Callable[[Contract], Contract]) -> Callable[[Contract, int], None]:
    """Reports a new reserve of a token from `make_token`."""

    def send(token: Contract, reserve: int) -> None:
        now = chain.now() + 5
        chain.send(oracle_of(token), "submitReserveReport", token.address, reserve, now, at=now)

    return send


@pytest.fixture(scope="module")
def grant(chain: Chain) -> Callable[[Contract, str, int | Contract], None]:
    """Grants a role, by its name, to an account (its number) or a contract."""

    def send(contract: Contract, role: str, to: int | Contract) -> None:
        account = chain.accounts[to] if isinstance(to, int) else to.address
        chain.send(contract, "grantRole", keccak(text=role), account)

    return send


@pytest.fixture
def expect_role(chain: Chain) -> Callable[..., None]:
    """Expects that a function, called by an account without it, asks for a role (None: the admin's)."""

    def check(contract: Contract, role: str | None, sender: int, function: str, *arguments: Any) -> None:
        expected = keccak(text=role) if role else bytes(32)
        with pytest.raises(Reverted) as caught:
            chain.send(contract, function, *arguments, sender=sender)
        assert caught.value.name == "AccessControlUnauthorizedAccount"
        assert caught.value.arguments == (chain.accounts[sender].lower(), expected)

    return check


@pytest.fixture
def expect_revert() -> Any:
    """``with expect_revert("ReportStale", ...arguments): ...``; without arguments any will do."""

    class Expectation:
        def __init__(self, name: str, *arguments: Any) -> None:
            self.name, self.arguments = name, arguments

        def __enter__(self) -> None: ...

        def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
            assert isinstance(error, Reverted), f"{self.name} was expected, not {error!r}"
            assert error.name == self.name
            assert not self.arguments or error.arguments == self.arguments
            return True

    return Expectation


@pytest.fixture
def rewound(chain: Chain) -> Iterator[None]:
    """The chain is afterwards as it was before the test, its clock included."""
    snapshot = chain.rpc("evm_snapshot")
    yield
    assert chain.rpc("evm_revert", snapshot) is True


@pytest.fixture(scope="module")
def make_reentrant(chain: Chain) -> Callable[[str], Contract]:
    """Deploys a token of the given symbol whose transfers call back once armed; account 0 holds 10^30 of it."""
    from tests.support.solidity import ROOT, compile_contract

    if not (ROOT / "node_modules/solc").is_dir():
        pytest.skip("solc is not installed: npm ci")
    code = compile_contract(Path(__file__).parent / "ReentrantToken.sol")
    return lambda symbol: chain.deploy(code, symbol)
