"""The audit of access control (section 3.1): who holds which role of which contract, compared with who should; changes
of roles, and when each was last used; and what multi-signature wallets require.

Members are read at the cycle's pinned block. Who might be one is known from the contract itself
(AccessControlEnumerable) or from every grant that the event index holds; without either, or with an index that begins
after the contract or is behind, a part fails: nobody found is not the same as nobody there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from attest.chain import contracts, logs
from attest.chain.batch import checksum
from attest.chain.contracts import Deployed, role_id
from attest.chain.values import malformed
from attest.config import Config, ReferenceContract, WatchedMultisig, WatchedRoles
from attest.errors import ChainError, OperatorError
from attest.monitor import metrics
from attest.monitor.collectors import Collector, Read
from attest.monitor.events import KINDS, ZERO_ADDRESS, Definition, Kind, Renamed, Watched, watch
from attest.monitor.exposition import Sample
from attest.monitor.questions import Chains, Questions
from attest.monitor.totals import Totals

#: The label of all roles of a contract that the configuration does not name, and that of a wallet's owners.
OTHER, OWNER = "other", "owner"
#: More members than a role has: a contract that says so is none of ours.
MAX_MEMBERS = 1000
#: Members of one role that are told by their address when they are not as configured.
TOLD = 5

#: What shows that a role of a reference contract was used: an event's declaration, or the kind of one that is followed.
#: Left out are roles that are meant to lie idle (the admin's, and those for emergencies: PAUSER_ROLE, GUARDIAN_ROLE,
#: HSM_SIGNER_ROLE), and KEEPER_ROLE, whose events are as many as blocks.
USES: Mapping[ReferenceContract, Mapping[str, tuple[str, ...]]] = {
    "AttestationRegistry": {
        "PUBLISHER_ROLE": (
            "AttestationPublished(address indexed publisher, bytes32 indexed period, uint256 indexed revision, "
            "bytes32 root, uint256 size, bytes32 statementDigest, bytes32 logRoot, uint256 logSize)",
        )
    },
    "BridgeEscrowVault": {"RELAYER_ROLE": ("reserve-verified",)},
    "BridgeRegistry": {"OPERATOR_ROLE": ("RouteEnabledSet(uint256 indexed chainId, bool enabled)",)},
    "ComplianceGuard": {
        "CHECKER_ROLE": ("compliance-checked",),
        "COMPLIANCE_ROLE": (
            "ActiveCodeSet(bytes3 indexed code, bool active)",
            "BlockedSet(address indexed account, bool isBlocked)",
            "CurrencySet(address indexed token, bytes3 code)",
            "GRUSet(address indexed token, bool isGRU)",
        ),
    },
    "Ledger": {
        "LIQUIDATOR_ROLE": (
            "CollateralSeized(address indexed vault, address indexed asset, address indexed payer, uint256 amount)",
        )
    },
    "MintController": {
        "MINTER_ROLE": (
            "Minted(address indexed token, address indexed to, address indexed minter, uint256 amount)",
        )
    },
    "ReserveOracle": {
        "REPORTER_ROLE": (
            "ReserveReported(address indexed token, address indexed reporter, uint256 reserveBalance, "
            "uint256 timestamp)",
        )
    },
    "Stabilizer": {},
    "WToken": {"MINTER_ROLE": ("minted",)},
    "XAUOracle": {"FEED_ROLE": ("PriceUpdated(uint256 price, uint256 updatedAt)",)},
}  # fmt: skip


@dataclass(frozen=True)
class Grants:
    """What the event index knows of roles: up to which block (-1 if it could not be read up to any), and by contract
    every role and account that it was ever granted to (0x, lower case)."""

    number: int
    by_contract: Mapping[str, frozenset[tuple[str, str]]]


#: Gives the grants as of now. Raises :class:`AttestError` where the index cannot be read.
KnownGrants: TypeAlias = Callable[[], Grants]


def collectors(config: Config, base: Path, known: KnownGrants | None) -> list[Collector]:
    """The contracts and wallets that are audited; ``known`` is None without an event index. Raises
    :class:`OperatorError` for an ABI file that cannot be used, or a role that is configured under two names."""
    chain = config.oracle.chain
    found: list[Collector] = []
    for name, roles in config.monitor.roles.items():
        section = f"monitor.roles.{name}"
        found.append(RoleCollector(name, contracts.access_control(section, roles, base), roles, chain, known))
    for name, wallet in config.monitor.multisigs.items():
        deployed = contracts.deployed("PracticeMultisig", f"monitor.multisigs.{name}", wallet, base)
        found.append(MultisigCollector(name, deployed, wallet, chain))
    return found


def _hex(role: str) -> str:
    """A role's id as the index has it."""
    return f"0x{role_id(role).hex()}"


# -- members ---------------------------------------------------------------------------------------------------------


def _drift(contract: str, role: str, expected: Iterable[str], held_by: Iterable[str]) -> Iterator[Sample]:
    """How many members of a role are not those expected, and who the first of them are."""
    should, does = set(expected), set(held_by)
    unexpected, missing = sorted(does - should), sorted(should - does)
    yield Sample(metrics.ROLE_DRIFT, len(unexpected) + len(missing), (contract, role))
    for how, accounts in (("unexpected", unexpected), ("missing", missing)):
        for account in accounts[:TOLD]:
            yield Sample(metrics.ROLE_DRIFT_INFO, 1, (contract, role, account, how))


class RoleCollector:
    """Who holds the roles of one contract."""

    def __init__(
        self, name: str, contract: Deployed, settings: WatchedRoles, chain: str, known: KnownGrants | None
    ) -> None:
        self.name = f"roles-{name}"
        self._contract_name = name
        self._contract = contract
        self._members = settings.members
        self._roles = {_hex(role): role for role in settings.members}
        self._chain = chain
        self._known = known
        self._counts: dict[str, Callable[[], Any]] = {}
        if len(self._roles) < len(settings.members):
            raise OperatorError(
                f"monitor.roles.{name}.members: one role stands there twice, by its name and in hex",
                code="configuration",
                reason="Who should hold a role is said once.",
                advice="Keep its name.",
            )

    def explore(self, chains: Chains) -> None:
        questions, lists = chains[self._chain], self._contract.has("getRoleMemberCount")
        self._counts = {
            role: questions.call(self._contract.call("getRoleMemberCount", role_id(role), returns=["uint"]))
            for role in (self._roles if lists else ())
        }

    def ask(self, chains: Chains) -> Read:
        questions = chains[self._chain]
        granted = self._granted(questions.block.number)
        listed = self._ask_listed(questions)
        candidates = {pair for pair in granted if pair[0] not in self._roles}
        if listed is None:
            self._check_known(granted)
            candidates |= granted
            for role, name in self._roles.items():
                candidates |= {(role, account.lower()) for account in (*self._members[name], ZERO_ADDRESS)}
        asked = {
            (role, account): questions.call(self._contract.call("hasRole", role_id(role), account, returns=["bool"]))
            for role, account in sorted(candidates)
        }

        def read() -> Iterator[Sample]:
            holding = {pair for pair, holds in asked.items() if holds()}
            if listed is not None:
                holding |= {(role, member().lower()) for role, members in listed.items() for member in members}
            elif unseen := holding - granted:
                role, account = self._named(min(unseen))
                raise self._begins_late(f"says that {account} holds {role}")
            names = [*self._members, *([OTHER] if self._known is not None else [])]
            held_by: dict[str, list[str]] = {name: [] for name in names}
            for role, account in map(self._named, holding):
                held_by[role].append(account)
            for name, accounts in held_by.items():
                yield from _drift(self._contract_name, name, self._members.get(name, ()), accounts)

        return read

    def _named(self, pair: tuple[str, str]) -> tuple[str, str]:
        """A role by its configured name, and an account with its checksum."""
        role, account = pair
        return self._roles.get(role, OTHER), checksum(account)

    def _granted(self, number: int) -> frozenset[tuple[str, str]]:
        """Every role and account that it was granted to up to a block; none without an index. Raises
        :class:`ChainError` (``index-behind``)."""
        if self._known is None:
            return frozenset()
        grants = self._known()
        if grants.number < number:
            raise self._refuse(
                "index-behind",
                f"is asked at block {number}, and the event index has not come so far",
                "See what holds up the event index: the part `events`, and IndexerLagging.",
            )
        return grants.by_contract.get(self._contract.address.lower(), frozenset())

    def _check_known(self, granted: frozenset[tuple[str, str]]) -> None:
        """Raises :class:`ChainError` where nothing says who might hold a role of a contract that does not list them."""
        if self._known is None:
            raise self._refuse(
                "role-members-unknown",
                "does not list the members of its roles, and there is no event index to know them from",
                "Configure monitor.index, from the contract's first block on; or correct the address in attest.toml.",
            )
        if not granted:
            raise self._begins_late("does not list who holds its roles")

    def _ask_listed(self, questions: Questions) -> dict[str, list[Callable[[], Any]]] | None:
        """The members as the contract lists them, by role; None from one that does not."""
        counts = {
            role: count for role, question in self._counts.items() if (count := self._count(question)) is not None
        }
        if len(counts) < len(self._roles):
            return None
        return {
            role: [
                questions.call(self._contract.call("getRoleMember", role_id(role), index, returns=["address"]))
                for index in range(count)
            ]
            for role, count in counts.items()
        }

    def _count(self, question: Callable[[], Any]) -> int | None:
        try:
            count = int(question())
        except ChainError as fault:
            if fault.code in ("call-reverted", "empty-answer"):
                return None
            raise
        if count > MAX_MEMBERS:
            raise malformed(f"monitor.roles.{self._contract_name}: {self._contract.address}", f"says {count} members")
        return count

    def _begins_late(self, detail: str) -> ChainError:
        return self._refuse(
            "role-history-missing",
            f"{detail}, and the event index has no such grant: it begins after the contract",
            "Set monitor.first_block to the block in which the contract was deployed, and begin the index again; or "
            "correct the address in attest.toml.",
        )

    def _refuse(self, code: str, detail: str, advice: str) -> ChainError:
        return ChainError(
            f"monitor.roles.{self._contract_name}: the contract at {self._contract.address} {detail}",
            code=code,
            reason="A stranger who is not looked for holds a role unseen; no number would be the truth.",
            advice=advice,
        )


class MultisigCollector:
    """How many signatures a wallet needs, and whose."""

    def __init__(self, name: str, wallet: Deployed, settings: WatchedMultisig, chain: str) -> None:
        self.name = f"multisig-{name}"
        self._wallet_name = name
        self._wallet = wallet
        self._settings = settings
        self._chain = chain

    def explore(self, chains: Chains) -> None:
        """Nothing."""

    def ask(self, chains: Chains) -> Read:
        questions, settings = chains[self._chain], self._settings
        threshold = questions.call(self._wallet.call("getThreshold", returns=["uint"]))
        owners = questions.call(self._wallet.call("getOwners", returns=["address[]"])) if settings.owners else None

        def read() -> Iterator[Sample]:
            yield Sample(metrics.MULTISIG_THRESHOLD, threshold(), (self._wallet_name,))
            yield Sample(metrics.MULTISIG_EXPECTED, settings.threshold, (self._wallet_name,))
            if owners is not None:
                yield from _drift(self._wallet_name, OWNER, settings.owners, map(checksum, owners()))

        return read


# -- events ----------------------------------------------------------------------------------------------------------


class Audit:
    """What is followed of the contracts whose roles are audited, and what it adds up to. ``followed`` are all other
    contracts that are followed: the use of a role can be one of their events."""

    def __init__(self, config: Config, base: Path, followed: Sequence[Watched]) -> None:
        """Raises :class:`OperatorError` for an event that cannot be followed as configured."""
        self._roles = config.monitor.roles
        self.watched: list[Watched] = []
        self._uses: dict[tuple[str, str], list[tuple[Kind, str | None]]] = {}
        for name, contract in self._roles.items():
            section = f"monitor.roles.{name}"
            renamed = {kind: Renamed(event.event, event.fields, event.where) for kind, event in contract.events.items()}
            abi = None if contract.abi is None else base / contract.abi
            changes = watch("access", contract.address, renamed=renamed, abi=abi, section=section)
            known = [each for each in (*followed, changes) if each.address == changes.address]
            used = self._follow_uses(name, contract, {one.kind: one for each in known for one in each.definitions})
            self.watched += [changes, *([Watched("access", changes.address, used)] if used else [])]

    def samples(self, totals: Totals) -> Iterator[Sample]:
        """Changes of roles, each of its values from the start; and when the roles were last used whose use is seen: by
        an event that shows it, or since the last grant, or before the index begins."""
        changes = totals.role_changes()
        for name, contract in self._roles.items():
            address = contract.address.lower()
            names = {_hex(role): role for role in contract.members}
            for change, kind in (("granted", "role-granted"), ("revoked", "role-revoked")):
                counts = dict.fromkeys([*contract.members, OTHER], 0)
                for (emitter, role, of), count in changes.items():
                    if (emitter, of) == (address, kind):
                        counts[names.get(role, OTHER)] += count
                for role, count in counts.items():
                    yield Sample(metrics.ROLE_CHANGES, count, (name, role, change))
        for (name, role), evidence in self._uses.items():
            address = self._roles[name].address.lower()
            seen = [totals.latest(kind, address, subject) for kind, subject in evidence]
            seen.append(totals.latest("role-granted", address, _hex(role)))
            known = [at for at in seen if at is not None]
            used = max(known) if known else totals.begin()
            if used is not None:
                yield Sample(metrics.ROLE_USED, used, (name, role))

    def _follow_uses(
        self, name: str, contract: WatchedRoles, known: Mapping[Kind, Definition]
    ) -> tuple[Definition, ...]:
        """The events to follow besides those known of the contract, whoever its members are: a role that is given to
        somebody needs no new index. What shows a role's use is noted where somebody should hold it."""
        defaults = USES[contract.contract] if contract.contract is not None else {}
        topics = {logs.event(each.declaration, skip_dynamic=True).topic: each.kind for each in known.values()}
        held = {_hex(role): role for role, members in contract.members.items() if members}
        made: dict[str, Definition] = {}
        for role, events in {**defaults, **contract.uses}.items():
            evidence: list[tuple[Kind, str | None]] = []
            for event in events:
                if event in KINDS:
                    if event in known:
                        evidence.append((known[event].kind, None))
                    elif role in contract.uses:
                        raise _no_evidence(name, role, f"{event} is not followed of this contract")
                    continue
                topic = _topic(name, role, event)
                if topic in topics:
                    raise _no_evidence(name, role, f"{event!r} is followed as {topics[topic]}: name that instead")
                if topic in made:
                    raise _no_evidence(name, role, f"{event!r} is named already: of two roles it shows neither's use")
                made[topic] = Definition("access", "role-used", event, {"subject": _hex(role)})
                evidence.append(("role-used", _hex(role)))
            if evidence and _hex(role) in held:
                self._uses[name, held[_hex(role)]] = list(dict.fromkeys(evidence))
        return tuple(made.values())


def _topic(name: str, role: str, declaration: str) -> str:
    try:
        return logs.event(declaration, skip_dynamic=True).topic
    except ValueError as fault:
        raise _no_evidence(name, role, f"{fault}, and is no kind of event either") from None


def _no_evidence(name: str, role: str, detail: str) -> OperatorError:
    return OperatorError(
        f"monitor.roles.{name}.uses.{role}: {detail}",
        code="configuration",
        reason="A role whose use is looked for in the wrong event seems unused, or used, and is neither.",
        advice='Give events that only holders of the role cause, as the contract declares them ("PriceUpdated(uint256 '
        'price, uint256 updatedAt)"), or kinds of events that are followed of it (docs/event-index.md).',
    )
