"""A whole week with money on a chain: refused until the address's key has signed, attested with the proof, and never
with another's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attest import config, devnet, pipeline, records
from attest.chain.devnet import dev_key
from attest.cli.main import main
from attest.custody import ownership
from attest.custody.evidence import Evidence
from attest.custody.ownership import Claim
from attest.errors import ConflictError, SourceError
from attest.model import OwnershipProof, ReserveLeaf
from attest.steps.context import Choices
from attest.verify.trust import load_trust
from attest.verify.verifier import verify_bundle
from tests.support.practice import Week, prepared, week

PERIOD = str(devnet.PERIOD)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    with prepared(tmp_path_factory.mktemp("network")) as network:
        yield network


def holder() -> str:
    from eth_account import Account

    return str(Account.from_key(dev_key(0)).address)


@pytest.fixture
def operator(network: tuple[Path, str], tmp_path: Path) -> Iterator[Week]:
    """A due week in which USDW is backed by a token on the practice chain as well (the euro token stands in for it),
    which the deployer's address holds."""
    template, url = network
    with week(template, url, tmp_path / "week") as prepared_week:
        plain = config.load(prepared_week.config_path).config
        contract = plain.tokens["EURW"].deployments[0]
        account = f"""
[accounts.usd-onchain]
token = "USDW"
custodian = "Self-custody"
external_account = "{holder().lower()}"
currency = "USD"
balance_kind = "on-chain"
ownership = "key-proven"
quorum = {{ min_sources = 1, min_origins = 1, waiver = "single-feed" }}

[[accounts.usd-onchain.sources]]
id = "chain"
origin = "chain"
format = "erc20"

[accounts.usd-onchain.sources.options]
chain = "{contract.chain}"
contract = "{contract.address}"
decimals = {contract.decimals}
currency = "USD"
"""
        prepared_week.edit_config(lambda text: text + account)
        yield prepared_week


def sign(operator: Week, claim: Claim, key: int = 0) -> str:
    """The practice node signs as a wallet does."""
    account = operator.rpc("eth_accounts")[key]
    return str(operator.rpc("eth_signTypedData_v4", account, claim.typed_data()))


def command(operator: Week, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([*words, "--config", str(operator.config_path)])
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out + shown.err


def proven(operator: Week) -> OwnershipProof:
    environment = operator.environment()
    claim = ownership.challenge(
        environment.private, environment.config, "usd-onchain", PERIOD,
        now=environment.now(), token_bytes=environment.token_bytes,
    )  # fmt: skip
    return ownership.prove(environment.private, environment.config, "usd-onchain", PERIOD, sign(operator, claim))


def leaf(operator: Week, account: str) -> ReserveLeaf:
    committed = json.loads(operator.stored()[f"runs/{PERIOD}/1/commitment"])
    leaves = [records.from_json(ReserveLeaf, base64.b64decode(one), "a leaf") for one in committed["leaves"]]
    return next(one for one in leaves if one.account == account)


def test_run__key_proven_account__is_refused_until_its_key_has_signed(
    operator: Week, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError, match=f"usd-onchain .*{holder().lower()}") as refused:
        operator.run()
    assert (refused.value.exit_code, refused.value.code) == (3, "ownership-unproven")
    assert f"attest custody challenge usd-onchain --period {PERIOD}" in refused.value.advice
    assert f"runs/{PERIOD}/1/collection" not in operator.stored()

    code, shown = command(operator, capsys, "custody", "challenge", "usd-onchain", "--period", PERIOD, "--json")
    data = json.loads(shown)
    assert (code, data["holder"]) == (0, holder())
    signature = operator.rpc("eth_signTypedData_v4", holder(), data["typed_data"])
    prove = ("custody", "prove", "usd-onchain", "--period", PERIOD, "--signature")
    another = operator.rpc("eth_signTypedData_v4", operator.rpc("eth_accounts")[1], data["typed_data"])
    assert command(operator, capsys, *prove, another)[0] == 6
    assert command(operator, capsys, *prove, signature)[0] == 0

    outcome = operator.run()
    assert outcome.exit_code == 0
    one = leaf(operator, "usd-onchain")
    assert (one.minor_units, one.ownership, one.balance_kind) == (84_500_000, "key-proven", "on-chain")
    proofs = [name for name in one.evidence if b"attest-ownership-proof/1" in operator.stored()[f"evidence/{name}"]]
    document = records.from_json(OwnershipProof, operator.stored()[f"evidence/{proofs[0]}"], "the proof")
    assert (document.holder, document.entity, document.signature) == (holder(), devnet.ISSUER, signature[2:])
    assert operator.run().exit_code == 0  # once more: nothing is left to do

    trust = load_trust(operator.folder / "trust.json", operator.folder / "public")
    bundle = operator.folder / f"public/attestations/{PERIOD}"
    report = verify_bundle(bundle, trust, now=datetime(2026, 11, 23, tzinfo=UTC))
    # All holds but the waiver of the single feed, which an auditor has to allow.
    assert [check.name for check in report.checks if check.outcome == "fail"] == ["policy"]
    code, shown = command(operator, capsys, "quorum", "explain", "--period", PERIOD, "--account", "usd-onchain")
    assert (code, "accepted" in shown) == (0, True)
    public = b"".join(operator.stored("public").values())
    assert holder()[2:].encode().lower() not in public.lower()


def test_run__unproven_account_and_missing_statement__are_refused_together(
    operator: Week, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.statement_file("atlantic-trustees-usd.csv").unlink()
    with pytest.raises(SourceError, match=r"(?s)usd-operating.*usd-onchain") as refused:
        operator.run()
    assert refused.value.code == "quorum-not-met"
    assert "attest custody challenge usd-onchain" in refused.value.advice
    assert "Put the custodian's statement" in refused.value.advice
    _, shown = command(operator, capsys, "quorum", "explain", "--period", PERIOD, "--account", "usd-onchain")
    assert "nobody has proven" in shown
    _, shown = command(operator, capsys, "doctor", "--period", PERIOD)
    assert "attest custody challenge usd-onchain" in " ".join(shown.split())


def test_run__unproven_account_of_a_withheld_token__goes_on_without_it(operator: Week) -> None:
    outcome = operator.run(Choices(withhold=("USDW",)))
    assert outcome.exit_code == 3
    assert all(json.loads(base64.b64decode(one))["token"] != "USDW"
               for one in json.loads(operator.stored()[f"runs/{PERIOD}/1/commitment"])["leaves"])  # fmt: skip


def test_run__proof_of_last_week__does_not_count(operator: Week) -> None:
    environment = operator.environment()
    claim = ownership.challenge(
        environment.private, environment.config, "usd-onchain", "2026-W46",
        now=environment.now(), token_bytes=environment.token_bytes,
    )  # fmt: skip
    ownership.prove(environment.private, environment.config, "usd-onchain", "2026-W46", sign(operator, claim))
    with pytest.raises(SourceError, match="usd-onchain"):
        operator.run()


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        ("signature", "was made by"),
        ("left-out", "the quorum decides otherwise"),
        ("another-account", "usd-operating: is said to be key-proven"),
    ],
)
def test_run__stored_proof_changed_before_the_reports_are_sent__conflicts(
    operator: Week, forge: str, said: str
) -> None:
    proof = proven(operator)
    environment = operator.environment()
    pipeline.run(environment, devnet.PERIOD, until="commit")
    sent = operator.sent()
    path = operator.folder / f"private/runs/{PERIOD}/1/collection"
    collected = json.loads(path.read_bytes())
    if forge == "signature":
        signed = Claim(proof.entity, proof.period, proof.holder, proof.chain_id, proof.nonce)
        forged = records.to_json(proof).replace(proof.signature.encode(), sign(operator, signed, key=1)[2:].encode())
        evidence = Evidence(environment.private)
        from attest.custody.document import Document

        evidence.keep(Document.of("forged", forged))
        collected["ownership"]["usd-onchain"] = records.digest(forged)
    elif forge == "left-out":
        collected["ownership"] = {}
    else:
        collected["ownership"]["usd-operating"] = collected["ownership"]["usd-onchain"]
    rewrite(operator, path, collected)
    with pytest.raises(ConflictError, match=said):
        operator.run()
    assert operator.sent() == sent


def rewrite(operator: Week, path: Path, collected: dict[str, object]) -> None:
    """Put a changed collection in place, and make what follows from it look as if it were made from this one."""
    path.chmod(0o600)
    before = records.digest(path.read_bytes())
    path.write_bytes(records.dump_plain(collected))
    after = records.digest(path.read_bytes())
    for name in ("verdict", "commitment"):
        later = path.parent / name
        later.chmod(0o600)
        kept = later.read_bytes()
        later.write_bytes(kept.replace(before.encode(), after.encode()))
        before, after = records.digest(kept), records.digest(later.read_bytes())
