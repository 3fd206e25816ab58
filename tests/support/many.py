"""A practice week with any number of tokens and reporters: two accounts' worth of CSV statements each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from attest import devnet, scaffold
from attest.chain import devnet as chain
from attest.log.note import ED25519, verifier_key
from attest.signing.ed25519 import load_note_signer
from attest.signing.keystore import load_keystore

_ACCOUNT = """\
[accounts.account-{number}]
token = "T{number}"
custodian = "Bank {number}"
external_account = "ACCOUNT-{number:04d}"
currency = "USD"

[[accounts.account-{number}.sources]]
id = "bank"
origin = "bank"
format = "csv"
location = "statements/bank.csv"
options = {{ account_column = "Account", currency_column = "Currency", amount_column = "Amount", \
date_column = "Date", date_format = "YYYY-MM-DD" }}

[[accounts.account-{number}.sources]]
id = "trustee"
origin = "trustee"
format = "csv"
location = "statements/trustee.csv"
options = {{ account_column = "Account", currency_column = "Currency", amount_column = "Amount", \
date_column = "Date", date_format = "YYYY-MM-DD" }}
"""


@contextmanager
def due_week(folder: Path, *, tokens: int, reporters: int) -> Iterator[Path]:
    """A folder with ``attest.toml`` for a chain that runs until the end: ``tokens`` tokens, ``reporters`` keys (at most
    3), an on-chain quorum of all of them, no witness."""
    keys = devnet.example("keys.example")
    password = (keys / "password.txt").read_text().strip()
    cutoff = devnet.SCHEDULE.cutoff(devnet.PERIOD)
    plans = [chain.TokenPlan(f"T{number}", f"Token {number}", 6, 1_000 * 10**6) for number in range(tokens)]
    held = [load_keystore(keys / f"reporter-{number}.json", password).address for number in range(1, reporters + 1)]
    publisher = load_keystore(keys / "publisher.json", password).address
    with chain.Anvil(timestamp=int((cutoff - timedelta(hours=12)).timestamp())) as node:
        deployed = chain.deploy(
            node.url, chain.dev_key(0), plans, reporters=held, publishers=[publisher], quorum=reporters
        )
        chain.advance_to(node.url, int((cutoff + timedelta(hours=6)).timestamp()))
        log = verifier_key(devnet.LOG_ORIGIN, ED25519, load_note_signer(keys / "log.pem", password.encode()))
        text = scaffold.config_text(
            scaffold.Scaffold(
                issuer=devnet.ISSUER,
                contact=devnet.CONTACT,
                network=scaffold.Network(138, "instant", "legacy", node.url),
                oracle=deployed.oracle,
                registry=deployed.registry,
                tokens={plan.symbol: ("USD", deployed.tokens[plan.symbol], plan.decimals) for plan in plans},
                keys=scaffold.KeySet(
                    folder=str(keys),
                    password=f"file:{keys}/password.txt",
                    reporters=tuple(held),
                    publisher=publisher,
                    attestor=load_keystore(keys / "attestor.json", password).address,
                    log_vkey=log.vkey,
                ),
                log_origin=devnet.LOG_ORIGIN,
                accounts="".join(_ACCOUNT.format(number=number) for number in range(tokens)),
                clock=(cutoff + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
        )
        folder.mkdir(parents=True)
        scaffold.write_new(folder / "attest.toml", text)
        for source in ("bank", "trustee"):
            rows = "".join(f"{source},ACCOUNT-{number:04d},USD,1234.56,2026-11-20\n" for number in range(tokens))
            scaffold.write_new(folder / f"statements/{source}.csv", f"From,Account,Currency,Amount,Date\n{rows}")
        yield folder
