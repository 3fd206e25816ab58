"""Which events are followed, as data: the contract they come from, their declaration, and which of their parameters
means what to us. And the reading of logs by it.

A deployment whose events have other names or parameters says so (:class:`Renamed`); the defaults are the reference
contracts'.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from attest import records
from attest.chain import logs
from attest.errors import ConflictError, OperatorError, printable
from attest.records import dump_plain, load_plain

Contract: TypeAlias = Literal["bridge", "token", "compliance", "liquidation", "stabilizer", "access"]
Kind: TypeAlias = Literal[
    "transfer-initiated",
    "transfer-status",
    "transfer-released",
    "reserve-verified",
    "compliance-checked",
    "money-multiplier-violated",
    "gru-isolation-violated",
    "iso4217-violated",
    "liquidated",
    "deviation-ended",
    "stabilized",
    "minted",
    "burned",
    "role-granted",
    "role-revoked",
    "role-used",
]
CONTRACTS: tuple[Contract, ...] = get_args(Contract)
KINDS: tuple[Kind, ...] = get_args(Kind)
ZERO_ADDRESS = "0x" + "00" * 20

#: What an event may say to us, besides where and when: the parameter it stands in, by these names.
FIELDS = ("subject", "asset", "amount", "status", "passed", "account")
MAX_STATUS = 2**15 - 1
#: Hex digits kept of a log that cannot be read.
_KEPT = 4096


class Event(NamedTuple):
    """One event, whatever its kind. Hashes are hex without prefix, addresses 0x and lower case.

    ``subject`` is what it is about (a transfer's id, a vault, a holder, a role), ``asset`` the token, ``amount`` base
    units (of a deviation that ended, blocks), ``status`` a number of the contract's enumeration (a transfer's new
    status, a check's reason), ``passed`` a check's result, ``account`` who was given a role or lost it. What an event
    does not say is None.
    """

    block_number: int
    log_index: int
    block_hash: str
    transaction_hash: str
    timestamp: int
    contract: str
    kind: Kind
    subject: str | None = None
    asset: str | None = None
    amount: int | None = None
    status: int | None = None
    passed: bool | None = None
    account: str | None = None


class Unreadable(NamedTuple):
    """A log that came as an event that is followed, and is none. ``topics`` are joined by spaces."""

    block_number: int
    log_index: int
    block_hash: str
    transaction_hash: str
    contract: str
    topics: str
    data: str
    reason: str


@dataclass(frozen=True)
class Definition:
    """One kind of event of one kind of contract. ``fields`` says which parameter each of :data:`FIELDS` is (or, in hex
    with 0x, which value it always has); ``where`` which parameters must be which address."""

    contract: Contract
    kind: Kind
    declaration: str
    fields: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)


_TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
_ROLE_CHANGE = "bytes32 indexed role, address indexed account, address indexed sender"

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "bridge",
        "transfer-initiated",
        "TransferInitiated(bytes32 indexed transferId, address indexed token, address indexed sender, "
        "address recipient, uint256 destinationChainId, uint256 amount)",
        {"subject": "transferId", "asset": "token", "amount": "amount"},
    ),
    Definition(
        "bridge",
        "transfer-status",
        "TransferStatusUpdated(bytes32 indexed transferId, uint8 indexed oldStatus, uint8 indexed newStatus)",
        {"subject": "transferId", "status": "newStatus"},
    ),
    Definition(
        "bridge",
        "transfer-released",
        "TransferReleased(bytes32 indexed transferId, address indexed token, address indexed recipient, "
        "uint256 sourceChainId, uint256 amount)",
        {"subject": "transferId", "asset": "token", "amount": "amount"},
    ),
    Definition(
        "bridge",
        "reserve-verified",
        "ReserveVerified(bytes32 indexed transferId, address indexed token, bool indexed sufficient, uint256 reserve, "
        "uint256 required)",
        {"subject": "transferId", "asset": "token", "amount": "reserve", "passed": "sufficient"},
    ),
    Definition(
        "compliance",
        "compliance-checked",
        "ComplianceChecked(uint8 indexed operation, address indexed token, uint8 indexed reason, address account, "
        "uint256 amount, bool passed)",
        {"subject": "account", "asset": "token", "amount": "amount", "status": "reason", "passed": "passed"},
    ),
    Definition(
        "compliance",
        "money-multiplier-violated",
        "MoneyMultiplierViolation(address indexed token, uint256 supply, uint256 reserve)",
        {"asset": "token", "amount": "supply"},
    ),
    Definition(
        "compliance",
        "gru-isolation-violated",
        "GRUIsolationViolation(address indexed from, address indexed to, address indexed account)",
        {"subject": "account", "asset": "from"},
    ),
    Definition(
        "compliance", "iso4217-violated", "ISO4217Violation(address indexed token, bytes3 code)", {"asset": "token"}
    ),
    Definition(
        "liquidation",
        "liquidated",
        "VaultLiquidated(address indexed vault, address indexed liquidator, address indexed currency, address asset, "
        "uint256 debtRepaid, uint256 collateralSeized, uint256 healthBefore, uint256 healthAfter)",
        {"subject": "vault", "asset": "currency", "amount": "debtRepaid"},
    ),
    Definition(
        "stabilizer", "deviation-ended", "DeviationEnded(uint256 sustainedBlocks)", {"amount": "sustainedBlocks"}
    ),
    Definition(
        "stabilizer",
        "stabilized",
        "StabilizationTrade(address indexed tokenIn, address indexed tokenOut, uint256 amountIn, uint256 amountOut, "
        "uint256 size, uint256 deviation, uint256 blockVolume)",
        {"asset": "tokenIn", "amount": "blockVolume"},
    ),
    Definition("token", "minted", _TRANSFER, {"subject": "to", "amount": "value"}, {"from": ZERO_ADDRESS}),
    Definition("token", "burned", _TRANSFER, {"subject": "from", "amount": "value"}, {"to": ZERO_ADDRESS}),
    Definition("access", "role-granted", f"RoleGranted({_ROLE_CHANGE})", {"subject": "role", "account": "account"}),
    Definition("access", "role-revoked", f"RoleRevoked({_ROLE_CHANGE})", {"subject": "role", "account": "account"}),
)


@dataclass(frozen=True)
class Statuses:
    """A bridge's statuses by their numbers, which of them end a transfer: well, or not; and in which of the latter the
    sender has the money back."""

    names: tuple[str, ...]
    settled: frozenset[str]
    failed: frozenset[str]
    refunded: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names) or not self.settled or self.settled & self.failed:
            raise ValueError("statuses have one name each, and one that settles a transfer does not fail it")
        if not self.settled | self.failed <= set(self.names):
            raise ValueError(f"{', '.join(sorted((self.settled | self.failed) - set(self.names)))} is no status")
        if not self.refunded <= self.failed:
            raise ValueError("a status that refunds a transfer is one that ends it")

    def name(self, number: int) -> str:
        """The status's name; its number in words where it has none."""
        return self.names[number] if number < len(self.names) else f"status-{number}"

    def to_json(self) -> str:
        """The statuses as the index keeps them, so that whoever reads its totals knows what the numbers mean."""
        ends = {"settled": self.settled, "failed": self.failed, "refunded": self.refunded}
        plain = {"names": self.names, **{name: sorted(statuses) for name, statuses in ends.items()}}
        return dump_plain(plain).decode().strip()

    @classmethod
    def from_json(cls, text: str) -> Statuses:
        """The inverse of :meth:`to_json`."""
        plain = load_plain(text.encode(), "the event index's statuses", ConflictError)
        return cls(tuple(plain["names"]), *(frozenset(plain[name]) for name in ("settled", "failed", "refunded")))

    @cached_property
    def ends(self) -> frozenset[int]:
        """The numbers of the statuses that end a transfer."""
        return frozenset(n for n, name in enumerate(self.names) if name in self.settled | self.failed)


#: The reference bridge's. A refund after a time-out ends the transfer when it is paid.
STATUSES = Statuses(
    ("none", "initiated", "settled", "failed", "refund-initiated", "refunded"),
    frozenset({"settled"}),
    frozenset({"failed", "refunded"}),
    frozenset({"refunded"}),
)


# -- what a deployment has -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Renamed:
    """A deployment's own event: its declaration, or its name in the contract's ABI file; and which of its parameters
    is which of :data:`FIELDS` (where not as in the reference contract)."""

    event: str
    fields: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Watched:
    """One contract whose events are followed."""

    contract: Contract
    address: str
    definitions: tuple[Definition, ...]


def watch(
    contract: Contract,
    address: str,
    *,
    renamed: Mapping[str, Renamed] | None = None,
    abi: Path | None = None,
    section: str = "",
) -> Watched:
    """The events of a deployed contract. ``renamed`` is by our kinds; ``abi`` the JSON ABI file in which their names
    are looked up. ``section`` is the contract's place in the configuration.

    Raises :class:`OperatorError` for a kind that the contract does not have, an event that is not in the ABI or cannot
    be read, or a parameter that it lacks.
    """
    section = section or contract
    own = [definition for definition in DEFINITIONS if definition.contract == contract]
    others = dict(renamed or {})
    unknown = sorted(set(others) - {definition.kind for definition in own})
    if unknown:
        raise _refuse(section, unknown[0], f"is none of {', '.join(definition.kind for definition in own)}")
    made = []
    for definition in own:
        if definition.kind in others:
            definition = _own(definition, others[definition.kind], abi, section)
        _check(definition, section)
        made.append(definition)
    return Watched(contract, address.lower(), tuple(made))


def check_apart(watched: Sequence[Watched]) -> None:
    """Raises :class:`OperatorError` for two kinds that are one event of one contract, unless each is restricted as the
    other is not: every log is one event, and of the second kind none would ever be counted."""
    readers: dict[str, dict[str, _Reader]] = {}
    for each in watched:
        readers.setdefault(each.address, {}).update({_written(one): _reader(one) for one in each.definitions})
    for address, of_it in readers.items():
        for one, other in itertools.combinations(of_it.values(), 2):
            wheres = set(one.where), set(other.where)
            if one.shape.topic == other.shape.topic and (wheres[0] <= wheres[1] or wheres[1] <= wheres[0]):
                raise OperatorError(
                    f"the contract at {address}: the events {one.kind} and {other.kind} are both {one.shape.name}, and "
                    "`where` does not tell them apart",
                    code="configuration",
                    reason="Each log is counted as one kind of event: of the other there would never be any.",
                    advice="Give each kind an event of its own, or each a `where` with which it is not the other's.",
                )


def _own(definition: Definition, renamed: Renamed, abi: Path | None, section: str) -> Definition:
    declaration = renamed.event
    if "(" not in declaration:
        if abi is None:
            raise _refuse(section, definition.kind, f"names the event {declaration!r}, and there is no ABI file")
        declaration = _declared(abi, declaration, definition.kind, section)
    where = definition.where if renamed.where is None else renamed.where
    return Definition(definition.contract, definition.kind, declaration, {**definition.fields, **renamed.fields}, where)


def _declared(path: Path, name: str, kind: str, section: str) -> str:
    """An event's declaration from an ABI file."""
    from attest.chain.contracts import abi_file

    found = [entry for entry in abi_file(section, path) if entry["type"] == "event" and entry.get("name") == name]
    if len(found) != 1:
        raise _refuse(section, kind, f"{path} declares {len(found)} events {name!r}")
    try:
        parameters = [
            f"{each['type']}{' indexed' if each.get('indexed') else ''} {each['name'] or f'_{n}'}"
            for n, each in enumerate(found[0]["inputs"])
        ]
    except (KeyError, TypeError):
        raise _refuse(section, kind, f"{path}: the event {name!r} has no inputs") from None
    return f"{name}({', '.join(parameters)})"


#: What a field is read from.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "subject": ("bytes32", "address", "uint"),
    "asset": ("address",),
    "amount": ("uint",),
    "status": ("uint",),
    "passed": ("bool",),
    "account": ("address",),
}


def _check(definition: Definition, section: str) -> None:
    try:
        shape = logs.event(definition.declaration, skip_dynamic=True)
    except ValueError as fault:
        raise _refuse(section, definition.kind, str(fault)) from None
    declared = dict(zip(shape.parameters, shape.types, strict=True))
    wanted = [(parameter, _TYPES.get(name, ())) for name, parameter in definition.fields.items()]
    wanted += [(parameter, ("address",)) for parameter in definition.where]
    for parameter, types in wanted:
        if not declared.get(parameter, "").startswith(types) or not types:
            kinds = " or ".join(types) or "any type: there is no such field"
            raise _refuse(
                section, definition.kind, f"{definition.declaration!r} has no parameter {parameter!r} of {kinds}"
            )


def _refuse(section: str, kind: str, detail: str) -> OperatorError:
    return OperatorError(
        f"{section}.events.{kind}: {detail}",
        code="configuration",
        reason="An event that is looked for under another name is never found, and is missing in every sum.",
        advice='Give the event as the contract declares it, for example "TransferInitiated(bytes32 indexed transferId, '
        "address asset, uint256 amount)\", or its name and the contract's `abi` file, and say in `fields` which "
        "parameter is which.",
    )


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reader:
    """One definition at work: where in the values each field stands, the fields that are always the same, and the
    values that others must have."""

    kind: Kind
    shape: logs.EventShape
    fields: tuple[tuple[str, int], ...]
    fixed: Mapping[str, str]
    where: tuple[tuple[int, str], ...]

    def read(self, topics: Sequence[str], data: str) -> dict[str, Any] | None:
        """The fields by name; None where the event is not of this kind. Raises as :func:`logs.values`."""
        values = logs.values(self.shape, topics, data)
        if any(values[at] != wanted for at, wanted in self.where):
            return None
        return {**self.fixed, **{name: _plain(name, values[at]) for name, at in self.fields}}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if name == "status" and value > MAX_STATUS:
        raise ValueError("a status is a small number")
    return str(value) if name == "subject" else value


@dataclass(frozen=True)
class Query:
    """One ``eth_getLogs`` without its range: the contracts, the topics, and who reads what comes."""

    addresses: tuple[str, ...]
    topics: tuple[Any, ...]
    readers: Mapping[str, tuple[_Reader, ...]]  # by the first topic

    def parameters(self, first: int, last: int) -> dict[str, Any]:
        """The filter for the blocks ``first`` to ``last``."""
        return {
            "address": list(self.addresses),
            "topics": list(self.topics),
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }

    def items(self) -> list[tuple[bytes, ...]]:
        """What a block's bloom filter holds if the block has a log that this asks for: one of these, whole."""
        fixed = tuple(bytes.fromhex(topic[2:]) for topic in self.topics[1:] if topic is not None)
        return [
            (bytes.fromhex(address[2:]), bytes.fromhex(topic[2:]), *fixed)
            for address in self.addresses
            for topic in self.readers
        ]

    def matches(self, address: str, topics: Sequence[str]) -> bool:
        """Whether a log is one that this asks for."""
        if address not in self._known or not topics or topics[0] not in self.readers:
            return False
        return not self._fixed or all(at < len(topics) and topics[at] == wanted for at, wanted in self._fixed)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.addresses)

    @cached_property
    def _fixed(self) -> list[tuple[int, str]]:
        return [(at, wanted) for at, wanted in enumerate(self.topics[1:], 1) if wanted is not None]


def queries(watched: Sequence[Watched]) -> list[Query]:
    """As few ``eth_getLogs`` as give exactly the events of these contracts: one for all contracts with the same events,
    one more for each kind that is filtered by a topic (mints and burns, not every transfer)."""
    addresses: dict[tuple[str, ...], list[str]] = {}
    for each in watched:
        filtered = [definition for definition in each.definitions if _topic_places(_reader(definition))]
        others = [definition for definition in each.definitions if definition not in filtered]
        for group in [[definition] for definition in filtered] + ([others] if others else []):
            known = addresses.setdefault(tuple(map(_written, group)), [])
            if each.address not in known:
                known.append(each.address)
    by_writing = {_written(definition): definition for each in watched for definition in each.definitions}
    return [_query(tuple(at), [by_writing[one] for one in group]) for group, at in addresses.items()]


def _written(definition: Definition) -> str:
    """A definition as text: two with the same are one."""
    return dump_plain(asdict(definition)).decode()


def _query(addresses: tuple[str, ...], definitions: Sequence[Definition]) -> Query:
    readers: dict[str, tuple[_Reader, ...]] = {}
    for reader in map(_reader, definitions):
        readers[reader.shape.topic] = (*readers.get(reader.shape.topic, ()), reader)
    places = dict(_topic_places(_reader(definitions[0])))
    if not places:
        return Query(addresses, (list(readers),), readers)
    (first,) = readers
    return Query(addresses, (first, *(places.get(at) for at in range(1, max(places) + 1))), readers)


def digest(watched: Sequence[Watched], statuses: Statuses) -> str:
    """sha256 of what is followed: an index of one set of events says nothing about another."""
    plain = [[each.address, sorted(map(_written, each.definitions))] for each in watched]
    return records.digest(dump_plain([sorted(plain), statuses.to_json()]))


def _reader(definition: Definition) -> _Reader:
    shape = logs.event(definition.declaration, skip_dynamic=True)
    fixed = {name: value for name, value in definition.fields.items() if value.startswith("0x")}
    return _Reader(
        definition.kind,
        shape,
        tuple((name, shape.parameters.index(at)) for name, at in definition.fields.items() if name not in fixed),
        fixed,
        tuple((shape.parameters.index(name), wanted.lower()) for name, wanted in definition.where.items()),
    )


def _topic_places(reader: _Reader) -> list[tuple[int, str]]:
    """The topics that must have one value, and it as a word."""
    return [
        (place, f"0x{wanted[2:]:0>64}")
        for at, wanted in reader.where
        for indexed, place, _ in [reader.shape.places[at]]
        if indexed
    ]


def read(query: Query, plain: Mapping[str, Any], frame: tuple[int, int, str, str, int]) -> Event | Unreadable | None:
    """One log as its event; None if it is none of ours; an :class:`Unreadable` if it is not what its first topic says.

    ``frame`` is what was read of it already: block number, log index, block hash, transaction, time.
    """
    topics, data, address = plain["topics"], plain["data"], plain["address"].lower()
    try:
        for reader in query.readers[topics[0]]:
            fields = reader.read(topics, data)
            if fields is not None:
                return Event(*frame, address, reader.kind, **fields)
    except (ValueError, TypeError, IndexError, KeyError):
        number, index, block_hash, transaction, _ = frame
        reason = f"topics and data are not those of {query.readers[topics[0]][0].shape.name} as it is configured"
        kept = printable(str(data)[:_KEPT])
        said = printable(" ".join(map(str, topics))[:_KEPT])
        return Unreadable(number, index, block_hash, transaction, address, said, kept, reason)
    return None
