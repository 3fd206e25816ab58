"""Practice weeks on networks unlike the example's: other currencies and decimals, several chains, other ways to pay for
gas, accounts with rules of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attest import config, devnet, scaffold
from attest.chain import devnet as chain
from attest.environment import build
from attest.log.note import ED25519, verifier_key
from attest.pipeline import Outcome, run
from attest.signing.ed25519 import load_note_signer
from attest.signing.keystore import load_keystore
from attest.steps.context import NO_CHOICES, Choices, Environment
from attest.verify.report import Report
from attest.verify.rpc import open_rpc
from attest.verify.trust import Trust, load_trust
from attest.verify.verifier import verify_bundle
from tests.support.practice import Narration

CUTOFF = devnet.SCHEDULE.cutoff(devnet.PERIOD)
#: After the cutoff, within the deadline; and when an auditor looks.
PINNED, AUDITED = CUTOFF + timedelta(hours=6), datetime(2026, 11, 24, tzinfo=UTC)


@dataclass(frozen=True)
class Account:
    """What each of an account's sources states, in order, as written; ``rule`` is TOML for its own quorum."""

    token: str
    currency: str
    states: Sequence[str]
    rule: str = ""


@dataclass(frozen=True)
class Token:
    """A token, and on each chain (by name) its decimals and its supply in base units."""

    currency: str
    deployments: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Plan:
    """A network. The oracle and the registry are on the first chain; the second chain's id is one more."""

    tokens: Mapping[str, Token]
    accounts: Mapping[str, Account]
    chains: Sequence[str] = ("main",)
    fees: str = "legacy"
    supply_at: str = "cutoff"
    schedule: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A due week on a running network."""

    folder: Path
    urls: Sequence[str]

    def environment(self) -> Environment:
        return build(config.load(self.folder / "attest.toml"), Narration())

    def run(self, choices: Choices = NO_CHOICES) -> Outcome:
        return run(self.environment(), devnet.PERIOD, choices)

    def trust(self) -> Trust:
        """The published example, as an auditor takes it: to a place of its own."""
        path = self.folder / "trust.json"
        path.write_bytes((self.folder / "public/trust.example.json").read_bytes())
        return load_trust(path, self.bundle)

    @property
    def bundle(self) -> Path:
        return self.folder / "public/attestations" / str(devnet.PERIOD)

    def verify(self, trust: Trust | None = None) -> Report:
        """The auditor's report, with an endpoint for each chain."""
        return verify_bundle(self.bundle, trust or self.trust(), rpc=[open_rpc(url) for url in self.urls], now=AUDITED)


@contextmanager
def network(folder: Path, plan: Plan) -> Iterator[Network]:
    """The plan's chains, running until the end, and a folder with ``attest.toml`` and statements of two banks or more.

    Two reporters with a quorum of two; no witness.
    """
    keys = devnet.example("keys.example")
    password = (keys / "password.txt").read_text().strip()

    def address(name: str) -> str:
        return load_keystore(keys / f"{name}.json", password).address

    reporters, publisher = (address("reporter-1"), address("reporter-2")), address("publisher")
    genesis = int((CUTOFF - timedelta(hours=12)).timestamp())
    with ExitStack() as stack:
        nodes, deployed = [], []
        for number, name in enumerate(plan.chains):
            node = chain.Anvil(chain_id=138 + number, timestamp=genesis, free_gas=plan.fees == "free")
            nodes.append(stack.enter_context(node))
            plans = [
                chain.TokenPlan(symbol, symbol, *token.deployments[name])
                for symbol, token in plan.tokens.items()
                if name in token.deployments
            ]
            deployed.append(
                chain.deploy(node.url, chain.dev_key(0), plans, reporters=reporters, publishers=[publisher], quorum=2)
            )
            chain.advance_to(node.url, int(PINNED.timestamp()))
        main = deployed[0]
        text = (
            scaffold.config_text(
                scaffold.Scaffold(
                    issuer=devnet.ISSUER,
                    contact=devnet.CONTACT,
                    network=scaffold.Network(138, "instant", plan.fees, nodes[0].url),
                    oracle=main.oracle,
                    registry=main.registry,
                    tokens={
                        symbol: (token.currency, main.tokens[symbol], token.deployments[plan.chains[0]][0])
                        for symbol, token in plan.tokens.items()
                    },
                    keys=scaffold.KeySet(
                        folder=str(keys),
                        password=f"file:{keys}/password.txt",
                        reporters=reporters,
                        publisher=publisher,
                        attestor=address("attestor"),
                        log_vkey=verifier_key(
                            devnet.LOG_ORIGIN, ED25519, load_note_signer(keys / "log.pem", password.encode())
                        ).vkey,
                    ),
                    log_origin=devnet.LOG_ORIGIN,
                    accounts="".join(_account(name, account) for name, account in plan.accounts.items()),
                    supply_at=plan.supply_at,
                    clock=PINNED.strftime("%Y-%m-%dT%H:%M:%SZ"),
                )
            )
            .replace("[chains.main]", f"[chains.{plan.chains[0]}]")
            .replace('chain = "main"', f'chain = "{plan.chains[0]}"')
        )
        for name, node, deployment in zip(plan.chains[1:], nodes[1:], deployed[1:], strict=True):
            text += f'\n[chains.{name}]\nchain_id = {deployment.chain_id}\nendpoints = ["{node.url}"]\n'
            text += f'[chains.{name}.fees]\nkind = "{plan.fees}"\n'
            for symbol, token in plan.tokens.items():
                if name in token.deployments:
                    text += f'[[tokens.{symbol}.deployments]]\nchain = "{name}"\n'
                    text += f'address = "{deployment.tokens[symbol]}"\ndecimals = {token.deployments[name][0]}\n'
        for key, value in plan.schedule.items():
            text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        folder.mkdir(parents=True)
        scaffold.write_new(folder / "attest.toml", text)
        for number in range(max(len(account.states) for account in plan.accounts.values())):
            rows = "".join(
                f"bank {number},{name},{account.currency},{account.states[number]},2026-11-20\n"
                for name, account in plan.accounts.items()
                if number < len(account.states)
            )
            scaffold.write_new(folder / f"statements/bank-{number}.csv", f"From,Account,Currency,Amount,Date\n{rows}")
        yield Network(folder, [node.url for node in nodes])


def _account(name: str, account: Account) -> str:
    text = f'[accounts.{name}]\ntoken = "{account.token}"\ncustodian = "Bank of {name}"\n'
    text += f'external_account = "{name}"\ncurrency = "{account.currency}"\n'
    if account.rule:
        text += f"quorum = {{ {account.rule} }}\n"
    for number in range(len(account.states)):
        text += f'[[accounts.{name}.sources]]\nid = "source-{number}"\norigin = "bank-{number}"\nformat = "csv"\n'
        text += f'location = "statements/bank-{number}.csv"\n'
        text += 'options = { account_column = "Account", currency_column = "Currency", amount_column = "Amount", '
        text += 'date_column = "Date", date_format = "YYYY-MM-DD" }\n'
    return text
