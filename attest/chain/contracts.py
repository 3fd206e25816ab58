"""Typed handles on the contracts: one small class per contract, whose methods build calls and calldata.

A handle sends nothing. Its reading methods return a :class:`Call`, so that many calls to many contracts travel in one
batch (:func:`read`); its writing methods return calldata for a transaction. Contracts of another make are reached by
their own ABI file and function names (``abi`` and ``functions`` in the configuration); the defaults are the reference
contracts, whose storage layout is known too (``reference`` is true), so that their state can be proven.

Every read of a contract reverts, or answers nothing, if there is no such contract at the address at that block; what
else a function reverts with is in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from attest.chain.artifact import artifact
from attest.chain.rpc import ChainClient, Request, RpcError, call_request
from attest.chain.values import data, malformed
from attest.errors import ChainError, OperatorError
from attest.model import Block
from attest.records import load_plain

if TYPE_CHECKING:
    from attest.config import Contract, Watched

Abi: TypeAlias = Sequence[Mapping[str, Any]]

_CONTRACTS = ("ReserveOracle", "WToken", "AttestationRegistry")

_ROLES = ("REPORTER_ROLE", "PUBLISHER_ROLE", "MINTER_ROLE")

#: What the reference contracts' errors (and OpenZeppelin's, and Solidity's own) mean to a person.
_MEANINGS: Mapping[str, str] = {
    "AccessControlUnauthorizedAccount": "the sender lacks the role that this function asks for",
    "AlreadyPublished": "this revision of the period was published already",
    "Error": "the contract refused",
    "InvalidRoot": "the Merkle root does not fit the tree's size",
    "MintExceedsReserve": "the supply would exceed the verified reserve",
    "MissingStatement": "the statement digest is zero",
    "NotPublished": "nothing was published under this publisher, period and revision",
    "Panic": "the contract failed",
    "QuorumNotMet": "fewer reports stand than the quorum requires",
    "ReportFromFuture": "the report's timestamp is later than the block's",
    "ReportStale": "the report is older than the oracle accepts",
    "RevisionSkipped": "the revision before this one was not published",
    "TimestampNotIncreasing": "this reporter already reported for this token at that time or later",
}


# -- calls -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One ``eth_call`` to make: where, what, how to read the answer, and how it is named in errors."""

    to: str
    data: bytes
    decode: Callable[[bytes], Any]
    description: str
    abi: Abi = ()

    def request(self, block: Block) -> Request:
        """The JSON-RPC request, pinned to a block's hash."""
        return call_request(self.to, self.data, block)

    def at_latest(self) -> Request:
        """The same at the endpoint's own head: for hints, never for numbers."""
        return "eth_call", [{"to": self.to, "data": f"0x{self.data.hex()}"}, "latest"]

    def value(self, answer: Any) -> Any:
        """The decoded value of one batch result.

        Raises :class:`ChainError`: ``call-reverted`` with the contract's own error by name, ``state-unavailable`` for
        another error or null (a node that pruned the state), ``empty-answer`` (no contract there, or pruned),
        ``malformed-answer``.
        """
        if isinstance(answer, RpcError) and answer.reverted:
            raise ChainError(
                f"{self.description} at {self.to} reverted: {explain(answer, self.abi)}",
                code="call-reverted",
                reason="A contract that refuses to answer gives no number to rely on.",
                advice="Compare the address, ABI and functions in attest.toml with the deployment; `attest status` "
                "shows the oracle's state.",
            )
        if answer is None or isinstance(answer, RpcError):
            raise state_unavailable(f"{self.description} at {self.to}", answer)
        returned = data(answer, f"{self.description} at {self.to}")
        if not returned:
            raise ChainError(
                f"{self.description} at {self.to} answered nothing",
                code="empty-answer",
                reason="A call to an address without code succeeds and returns nothing; so does a node that forgot.",
                advice="Check the address and the chain in attest.toml; if they are right, the node has pruned this "
                'block: schedule `attest open` at the cutoff, or set schedule.supply_at = "run".',
            )
        return self.decode(returned)

    def value_if_any(self, answer: Any) -> Any:
        """As :meth:`value`; None from a contract that has no such function: it answers nothing, or reverts without a
        reason."""
        if answer == "0x" or (isinstance(answer, RpcError) and answer.unexplained):
            return None
        return self.value(answer)


def state_unavailable(what: str, answer: Any) -> ChainError:
    """The error for state that an endpoint does not have (any more)."""
    return ChainError(
        f"{what}: the endpoint does not give this state ({answer if isinstance(answer, RpcError) else 'null'})",
        code="state-unavailable",
        reason="Nodes prune: Besu keeps the state of the last 512 blocks only, unless told otherwise.",
        advice='Schedule `attest open` at the cutoff, use an archive endpoint, or set schedule.supply_at = "run".',
    )


def code_of(what: str, address: str, chain: str, block: Block, answer: Any) -> bytes:
    """The code in an answer to :func:`attest.chain.rpc.code_request`.

    Raises :class:`ChainError`: ``state-unavailable``, ``malformed-answer``, ``no-code``."""
    if answer is None or isinstance(answer, RpcError):
        raise state_unavailable(f"the code of {what}", answer)
    code = data(answer, f"the code of {what}")
    if not code:
        raise ChainError(
            f"{what}: there is no contract at {address} on chain {chain} at block {block.number}",
            code="no-code",
            reason="A call to an address without code succeeds and means nothing.",
            advice="Check address and chain in attest.toml. If they are right, the node has pruned this block: "
            'schedule `attest open` at the cutoff, or set schedule.supply_at = "run".',
        )
    return code


def read(client: ChainClient, calls: Sequence[Call], block: Block) -> list[Any]:
    """The values of all calls at one block, in one batch. Raises :class:`ChainError` for the first that has none."""
    answers = client.batch([call.request(block) for call in calls])
    return [call.value(answer) for call, answer in zip(calls, answers, strict=True)]


def read_outcomes(client: ChainClient, calls: Sequence[Call], block: Block) -> list[Any]:
    """As :func:`read`, with the :class:`ChainError` itself in the place of a value that there is none of."""
    answers = client.batch([call.request(block) for call in calls])
    return [outcome(call, answer) for call, answer in zip(calls, answers, strict=True)]


def outcome(call: Call, answer: Any) -> Any:
    """The value of one batch result, or the :class:`ChainError` that says why there is none."""
    try:
        return call.value(answer)
    except ChainError as fault:
        return fault


class Revert(NamedTuple):
    """Why a contract refused: its error's name (empty if unknown), arguments, and both in words (``str()``)."""

    name: str
    arguments: Mapping[str, Any]
    text: str

    def __str__(self) -> str:
        return self.text


def explain(error: RpcError, abi: Abi = ()) -> Revert:
    """Read the contract's own error out of a JSON-RPC error, by ``abi`` and the reference contracts' errors."""
    from eth_abi.abi import decode
    from eth_abi.exceptions import DecodingError

    returned = error.revert_data
    entry = _errors(abi).get(returned[:4]) or _known_errors().get(returned[:4])
    if entry is None:
        return Revert("", {}, str(error))
    try:
        values = decode([_type(parameter) for parameter in entry["inputs"]], returned[4:])
    except DecodingError:
        return Revert("", {}, str(error))
    names = [parameter["name"] or f"_{n}" for n, parameter in enumerate(entry["inputs"])]
    arguments = dict(zip(names, values, strict=True))
    listed = ", ".join(f"{name} {_shown(value)}" for name, value in arguments.items())
    meaning = _MEANINGS.get(entry["name"])
    shown = f"{entry['name']}({listed})"
    return Revert(entry["name"], arguments, f"{meaning}: {shown}" if meaning else shown)


@cache
def _known_errors() -> Mapping[bytes, Mapping[str, Any]]:
    solidity = [
        {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
        {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    ]
    return _errors([*solidity, *(entry for name in _CONTRACTS for entry in artifact(name).abi)])


def _errors(abi: Abi) -> dict[bytes, Mapping[str, Any]]:
    return {_selector(entry): entry for entry in abi if entry["type"] == "error"}


def _shown(value: Any) -> str:
    from eth_utils.address import is_address, to_checksum_address

    if not isinstance(value, bytes):
        return str(to_checksum_address(value)) if is_address(value) else str(value)
    return next((role for role in _ROLES if role_id(role) == value), f"0x{value.hex()}")


# -- ABI -------------------------------------------------------------------------------------------------------------


def _type(parameter: Mapping[str, Any]) -> str:
    """The canonical type (``(uint256,uint64)[]`` for an array of structs), as selectors and the codec want it."""
    declared = str(parameter["type"])
    if not declared.startswith("tuple"):
        return declared
    return f"({','.join(_type(part) for part in parameter['components'])}){declared[5:]}"


def _selector(entry: Mapping[str, Any]) -> bytes:
    from eth_hash.auto import keccak

    signature = f"{entry['name']}({','.join(_type(parameter) for parameter in entry['inputs'])})"
    return keccak(signature.encode())[:4]


class _Interface:
    """A contract's ABI under our names for its functions. ``section`` is its place in the configuration."""

    def __init__(self, name: str, section: str, abi: Abi, functions: Mapping[str, str]) -> None:
        self.name = name
        self.section = section
        self.abi = abi
        self.functions = functions

    def has(self, function: str) -> bool:
        theirs = self.functions.get(function, function).partition(".")[0]
        return any(entry["type"] == "function" and entry["name"] == theirs for entry in self.abi)

    def calldata(self, function: str, *arguments: Any) -> bytes:
        from eth_abi.abi import encode
        from eth_abi.exceptions import EncodingError

        entry, _ = self._find(function, len(arguments))
        try:
            encoded = encode([_type(parameter) for parameter in entry["inputs"]], arguments)
        except EncodingError as fault:
            raise self._refuse(function, f"does not take these arguments ({fault})") from None
        return _selector(entry) + encoded

    def call(self, to: str, function: str, *arguments: Any, returns: Sequence[str], of: str = "") -> Call:
        """A call whose values have the kinds ``returns`` (``uint``, ``bool``, ``bytes32``, ``address[]``); ``of`` is
        what errors call the arguments."""
        calldata = self.calldata(function, *arguments)
        entry, field = self._find(function, len(arguments))
        description = f"{self.name}.{function}({of})"
        types, pick = self._outputs(function, entry, field)
        chosen = [types[index] for index in pick]
        if len(chosen) != len(returns) or any(
            not found.startswith(kind) for found, kind in zip(chosen, returns, strict=True)
        ):
            raise self._refuse(function, f"returns ({', '.join(chosen)}), not ({', '.join(returns)})")

        def decode(returned: bytes) -> Any:
            from eth_abi.abi import decode
            from eth_abi.exceptions import DecodingError

            try:
                values = decode(types, returned)
            except (DecodingError, OverflowError):
                raise malformed(f"{description} at {to}", f"did not answer ({', '.join(types)})") from None
            picked = tuple(values[index] for index in pick)
            return picked[0] if len(picked) == 1 else picked

        return Call(to, calldata, decode, description, self.abi)

    def _find(self, function: str, count: int) -> tuple[Mapping[str, Any], str]:
        theirs, _, field = self.functions.get(function, function).partition(".")
        for entry in self.abi:
            if entry["type"] == "function" and entry["name"] == theirs and len(entry["inputs"]) == count:
                return entry, field
        raise self._refuse(function, f"is not in the ABI with {count} arguments (looked for {theirs!r})")

    def _outputs(self, function: str, entry: Mapping[str, Any], field: str) -> tuple[list[str], Sequence[int]]:
        """The types to decode, and which of the values are meant. A single returned struct counts as its fields."""
        outputs = entry["outputs"]
        if len(outputs) == 1 and outputs[0]["type"] == "tuple":
            parts = outputs[0]["components"]
            if any(_is_dynamic(part) for part in parts):
                raise self._refuse(function, "returns a struct with fields of variable length")
            outputs = parts
        types = [_type(output) for output in outputs]
        if not field:
            return types, range(len(types))
        named = [index for index, output in enumerate(outputs) if output.get("name") == field]
        if len(named) != 1:
            names = ", ".join(output.get("name") or "(unnamed)" for output in outputs)
            raise self._refuse(function, f"returns no value named {field!r}, but {names}")
        return types, named

    def _refuse(self, function: str, detail: str) -> OperatorError:
        return OperatorError(
            f"{self.section}: the function {function} {detail}",
            code="configuration",
            reason="A contract that is asked in another way than it was made for gives answers that mean nothing.",
            advice=f"Correct {self.section}.abi, or name the deployment's function in {self.section}.functions, for "
            f'example {function} = "itsName" or "itsName.field".',
        )


def _is_dynamic(parameter: Mapping[str, Any]) -> bool:
    declared = str(parameter["type"])
    return declared in ("string", "bytes") or "[" in declared or declared.startswith("tuple")


def _interface(name: str, section: str, contract: Contract | Watched, base: Path) -> _Interface:
    abi: Abi = artifact(name).abi if contract.abi is None else abi_file(section, base / contract.abi)
    return _Interface(name, section, abi, contract.functions)


def abi_file(section: str, path: Path) -> Abi:
    """An ABI file: the JSON list itself, or an artifact that holds it under ``abi``."""

    def refuse(detail: str) -> OperatorError:
        return OperatorError(
            f"{section}.abi: {path}: {detail}",
            code="configuration",
            reason="Without its ABI the contract cannot be asked anything.",
            advice="Name the JSON ABI file that the contract was compiled with, relative to attest.toml.",
        )

    try:
        plain = load_plain(path.read_bytes(), str(path), OperatorError)
    except OSError as fault:
        raise refuse(f"cannot be read ({fault.strerror})") from None
    abi = plain.get("abi") if isinstance(plain, dict) else plain
    if not isinstance(abi, list) or not all(_is_entry(entry) for entry in abi):
        raise refuse("is not a contract ABI")
    return abi


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        return False
    if entry["type"] not in ("function", "error"):
        return True
    wanted = ("inputs", "outputs") if entry["type"] == "function" else ("inputs",)
    return isinstance(entry.get("name"), str) and all(_are_parameters(entry.get(name)) for name in wanted)


def _are_parameters(plain: Any) -> bool:
    return isinstance(plain, list) and all(
        isinstance(item, dict)
        and isinstance(item.get("type"), str)
        and (not item["type"].startswith("tuple") or _are_parameters(item.get("components")))
        for item in plain
    )


# -- storage ---------------------------------------------------------------------------------------------------------


def _word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def _member(slot: int, *keys: int | bytes) -> int:
    """The slot of ``mapping[key]...[key]`` (Solidity, "Layout of State Variables in Storage", mappings)."""
    from eth_hash.auto import keccak

    for key in keys:
        slot = int.from_bytes(keccak(_word(key) + _word(slot)), "big")
    return slot


def _slots(first: int, count: int) -> tuple[str, ...]:
    return tuple(_word((first + index) % 2**256).hex() for index in range(count))


def role_id(role: str) -> bytes:
    """OpenZeppelin's id of a role: keccak256 of its name, zero for ``DEFAULT_ADMIN_ROLE``; or what is given in hex."""
    from eth_hash.auto import keccak

    if role.startswith("0x"):
        return bytes.fromhex(role[2:])
    return bytes(32) if role == "DEFAULT_ADMIN_ROLE" else keccak(role.encode())


# -- the contracts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReserveOracle:
    """The reserve oracle. ``reference``: it is (configured as) ours, so its storage layout is known."""

    address: str
    reference: bool
    _interface: _Interface

    def verified_reserve(self, token: str) -> Call:
        """``getVerifiedReserve(address) -> uint256``, token units: the lower median of the standing reports.
        Reverts: ``QuorumNotMet`` while fewer reports stand than the quorum requires."""
        return self._interface.call(self.address, "getVerifiedReserve", token, returns=["uint"], of=token)

    def is_quorum_met(self, token: str) -> Call:
        """``isQuorumMet(address) -> bool``. Reverts: never."""
        return self._interface.call(self.address, "isQuorumMet", token, returns=["bool"], of=token)

    def report_of(self, token: str, reporter: str) -> Call:
        """``reportOf(address token, address reporter) -> (uint256 reserve, uint256 timestamp)``: the last report,
        whether it stands or not; (0, 0) if there is none or it was removed. Reverts: never."""
        of = f"{token}, {reporter}"
        return self._interface.call(self.address, "reportOf", token, reporter, returns=["uint", "uint"], of=of)

    def required_quorum(self) -> Call:
        """``requiredQuorum() -> uint256``. Reverts: never."""
        return self._interface.call(self.address, "requiredQuorum", returns=["uint"])

    def max_report_age(self) -> Call:
        """``maxReportAge() -> uint256``, seconds: the oldest report accepted at submission. Reverts: never."""
        return self._interface.call(self.address, "maxReportAge", returns=["uint"])

    def consensus_validity(self) -> Call:
        """``consensusValidity() -> uint256``, seconds for which a report counts. Reverts: never."""
        return self._interface.call(self.address, "consensusValidity", returns=["uint"])

    @property
    def states_ages(self) -> bool:
        """Whether the contract says how old a report may be at submission and in the consensus."""
        return self._interface.has("maxReportAge") and self._interface.has("consensusValidity")

    @property
    def has_roles(self) -> bool:
        """Whether the contract can say who holds a role."""
        return self._interface.has("hasRole")

    @property
    def lists_reporters(self) -> bool:
        """Whether the contract can say who its reporters are."""
        return self._interface.has("reporters")

    def reporters(self) -> Call:
        """``reporters() -> address[]``, in the order in which they are stored. Reverts: never."""
        return self._interface.call(self.address, "reporters", returns=["address[]"])

    def has_role(self, role: str, account: str) -> Call:
        """``hasRole(bytes32, address) -> bool``; ``role`` by name, ``REPORTER_ROLE``. Reverts: never."""
        of = f"{role}, {account}"
        return self._interface.call(self.address, "hasRole", role_id(role), account, returns=["bool"], of=of)

    def submit_report(self, token: str, units: int, timestamp: int) -> bytes:
        """Calldata of ``submitReserveReport(address token, uint256 units, uint256 timestamp)``; Unix seconds.
        Reverts: ``AccessControlUnauthorizedAccount``, ``ReportFromFuture``, ``ReportStale``,
        ``TimestampNotIncreasing``."""
        return self._interface.calldata("submitReserveReport", token, units, timestamp)

    def remove_stale(self, token: str) -> bytes:
        """Calldata of ``removeStaleReports(address)``. Reverts: never."""
        return self._interface.calldata("removeStaleReports", token)

    def grant_role(self, role: str, account: str) -> bytes:
        """Calldata of ``grantRole(bytes32, address)``; ``role`` by name, ``REPORTER_ROLE``. Reverts:
        ``AccessControlUnauthorizedAccount``, ``TooManyReporters``."""
        return self._interface.calldata("grantRole", role_id(role), account)

    def revoke_role(self, role: str, account: str) -> bytes:
        """Calldata of ``revokeRole(bytes32, address)``, as :meth:`grant_role`. Reverts:
        ``AccessControlUnauthorizedAccount``."""
        return self._interface.calldata("revokeRole", role_id(role), account)

    def explain(self, error: RpcError) -> Revert:
        """Why a call or transaction to this contract was refused."""
        return explain(error, self._interface.abi)

    # What follows holds for the reference contract only.

    def settings_slots(self) -> tuple[str, str]:
        """The slots of ``requiredQuorum`` and ``consensusValidity``."""
        storage = artifact("ReserveOracle").storage
        return _slots(storage["requiredQuorum"], 1)[0], _slots(storage["consensusValidity"], 1)[0]

    def reporter_slots(self, count: int) -> tuple[str, ...]:
        """The slot of the number of reporters, and those of the first ``count`` of them (OpenZeppelin's
        ``EnumerableSet``: a dynamic array of addresses), in the order of :meth:`reporters`."""
        from eth_hash.auto import keccak

        length = _member(artifact("ReserveOracle").storage["_roleMembers"], role_id("REPORTER_ROLE"))
        return *_slots(length, 1), *_slots(int.from_bytes(keccak(_word(length)), "big"), count)

    def report_slots(self, token: str, reporter: str) -> tuple[str, ...]:
        """The two slots of a report: the reserve; and the timestamp, which stands alone unless the report was
        removed."""
        reports = artifact("ReserveOracle").storage["_reports"]
        return _slots(_member(reports, _address(token), _address(reporter)), 2)


@dataclass(frozen=True)
class WToken:
    """A token. ``total_supply`` and ``decimals`` are any ERC-20's, the rest is the reference token's."""

    address: str
    symbol: str
    _interface: _Interface

    def total_supply(self) -> Call:
        """``totalSupply() -> uint256``, token units. Reverts: never."""
        return self._interface.call(self.address, "totalSupply", returns=["uint"], of="")

    def balance_of(self, account: str) -> Call:
        """``balanceOf(address) -> uint256``, token units. Reverts: never."""
        return self._interface.call(self.address, "balanceOf", account, returns=["uint"], of=account)

    def decimals(self) -> Call:
        """``decimals() -> uint8``. Reverts: never."""
        return self._interface.call(self.address, "decimals", returns=["uint"])

    def verified_reserve(self) -> Call:
        """``verifiedReserve() -> uint256``, token units. Reverts: the oracle's ``QuorumNotMet``."""
        return self._interface.call(self.address, "verifiedReserve", returns=["uint"])

    def is_reserve_sufficient(self) -> Call:
        """``isReserveSufficient() -> bool``; false while the quorum is not met. Reverts: never."""
        return self._interface.call(self.address, "isReserveSufficient", returns=["bool"])

    @staticmethod
    def supply_slot() -> str:
        """The slot of the total supply: the reference token's, and of any token made by OpenZeppelin's ``ERC20``."""
        return _slots(artifact("WToken").storage["_totalSupply"], 1)[0]


class RegistryEntry(NamedTuple):
    """One published attestation as the registry holds it; ``statement`` is the sha256 of the statement's payload."""

    root: bytes
    size: int
    statement: bytes
    log_root: bytes
    log_size: int


@dataclass(frozen=True)
class AttestationRegistry:
    """The registry of published attestations. ``reference``: it is (configured as) ours."""

    address: str
    reference: bool
    _interface: _Interface

    def attestation_of(self, publisher: str, period: str, revision: int) -> Call:
        """``attestationOf(address, bytes32, uint256) -> (root, size, statementDigest, logRoot, logSize)``, as
        :class:`RegistryEntry`. Reverts: ``NotPublished``."""
        kinds = ["bytes32", "uint", "bytes32", "bytes32", "uint"]
        of = f"{publisher}, {period}, {revision}"
        call = self._interface.call(
            self.address, "attestationOf", publisher, period_key(period), revision, returns=kinds, of=of
        )
        return replace(call, decode=lambda returned: RegistryEntry(*call.decode(returned)))

    @property
    def has_roles(self) -> bool:
        """Whether the contract can say who holds a role."""
        return self._interface.has("hasRole")

    def has_role(self, role: str, account: str) -> Call:
        """``hasRole(bytes32, address) -> bool``; ``role`` by name, ``PUBLISHER_ROLE``. Reverts: never."""
        of = f"{role}, {account}"
        return self._interface.call(self.address, "hasRole", role_id(role), account, returns=["bool"], of=of)

    def publish(
        self, period: str, revision: int, root: bytes, size: int, statement: bytes, log_root: bytes, log_size: int
    ) -> bytes:
        """Calldata of ``publish(bytes32 period, uint256 revision, bytes32 root, uint256 size, bytes32 statementDigest,
        bytes32 logRoot, uint256 logSize)``. Reverts: ``AccessControlUnauthorizedAccount``, ``AlreadyPublished``,
        ``RevisionSkipped``, ``InvalidRoot``, ``MissingStatement``."""
        return self._interface.calldata(
            "publish", period_key(period), revision, root, size, statement, log_root, log_size
        )

    def explain(self, error: RpcError) -> Revert:
        """Why a call or transaction to this contract was refused."""
        return explain(error, self._interface.abi)

    def entry_slots(self, publisher: str, period: str, revision: int) -> tuple[str, ...]:
        """The five slots of an entry, in the order of :class:`RegistryEntry` (reference contract only)."""
        entries = artifact("AttestationRegistry").storage["_attestations"]
        return _slots(_member(entries, _address(publisher), period_key(period), revision), 5)


def _address(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def period_key(period: str) -> bytes:
    """A period as the registry's ``bytes32``: ASCII, padded on the right with zeros."""
    return period.encode("ascii").ljust(32, b"\0")


def reserve_oracle(contract: Contract, base: Path) -> ReserveOracle:
    """The configured oracle; its ABI file is relative to ``base``. Raises :class:`OperatorError` for an ABI file that
    cannot be used; a function that the ABI lacks is refused when it is first asked for."""
    interface = _interface("ReserveOracle", "oracle", contract, base)
    return ReserveOracle(contract.address, contract.abi is None and not contract.functions, interface)


def attestation_registry(contract: Contract, base: Path) -> AttestationRegistry:
    """The configured registry; as :func:`reserve_oracle`."""
    interface = _interface("AttestationRegistry", "registry", contract, base)
    return AttestationRegistry(contract.address, contract.abi is None and not contract.functions, interface)


def token(address: str, symbol: str) -> WToken:
    """A token by its address; ``symbol`` names it in errors."""
    return WToken(address, symbol, _Interface(symbol, f"tokens.{symbol}", artifact("WToken").abi, {}))


@dataclass(frozen=True)
class Deployed:
    """A contract that is only watched, asked by the reference contract's function names."""

    address: str
    _interface: _Interface

    def has(self, function: str) -> bool:
        """Whether the ABI has a function."""
        return self._interface.has(function)

    def call(self, function: str, *arguments: Any, returns: Sequence[str]) -> Call:
        """A call of a function whose values have the kinds ``returns``. Raises :class:`OperatorError` if the configured
        ABI lacks it."""
        of = ", ".join(map(_shown, arguments))
        return self._interface.call(self.address, function, *arguments, returns=returns, of=of)


def deployed(name: str, section: str, contract: Watched, base: Path) -> Deployed:
    """A watched contract; ``name`` is its reference's, the rest as :func:`reserve_oracle`."""
    return Deployed(contract.address, _interface(name, section, contract, base))


def access_control(section: str, contract: Watched, base: Path) -> Deployed:
    """The roles of a watched contract; as :func:`deployed`, by OpenZeppelin's AccessControlEnumerable."""
    asked = _interface("ReserveOracle", section, contract, base)
    return Deployed(contract.address, _Interface("AccessControl", section, asked.abi, asked.functions))
