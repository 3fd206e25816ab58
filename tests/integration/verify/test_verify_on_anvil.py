"""A real run's bundle, judged by state proofs and by the auditor's own node."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from attest.errors import OperatorError
from attest.verify.bundle import CHAIN_PROOF, MANIFEST, MANIFEST_ENVELOPE, read_bundle
from attest.verify.case import Case, Rpc
from attest.verify.report import Report
from attest.verify.rpc import open_rpc
from attest.verify.trust import Trust, load_trust
from attest.verify.verifier import judge
from tests.support import bundles
from tests.support.bundles import detail, failed
from tests.support.practice import prepared, week

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Published:
    """One real bundle, the trust file that its network wrote, and the chain's endpoint."""

    files: dict[str, bytes]
    trust: Trust
    url: str

    def judge(self, trust: Trust | None = None, *rpcs: Rpc, **files: bytes) -> Report:
        return judge(Case({**self.files, **files}, trust or self.trust, NOW, rpcs))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "network").mkdir()
    try:
        with prepared(folder / "network") as (template, url), week(template, url, folder / "week") as operator:
            outcome = operator.run()
            bundle = operator.folder / "public" / str(outcome.folder)
            trust = load_trust(operator.folder / "trust.json", bundle)
            yield Published(dict(read_bundle(bundle)), trust, url)
    except OperatorError as fault:
        if fault.code != "anvil-not-found":
            raise
        pytest.skip(f"{fault.message}: npm ci")


def test_verify__real_bundle_offline__proves_nothing_of_a_chain_without_validators(published: Published) -> None:
    report = published.judge()

    assert failed(report) == []
    assert report.outcome("chain-proof") == "skipped"
    assert "nothing vouches for the headers of chain 138" in detail(report, "chain-proof")


def test_verify__real_bundle_with_the_chains_node__proves_and_confirms_everything(published: Published) -> None:
    report = published.judge(None, open_rpc(published.url))

    assert failed(report) == []
    assert report.outcome("chain-rpc") == "pass"
    assert report.outcome("chain-proof") == "pass"
    for part in ("supply of GBPW", "consensus on USDW", "the registry's entry"):
        assert part in detail(report, "chain-proof")
    assert {token.state for token in report.tokens} == {"sufficient"}


def test_verify__another_code_hash_pinned__fails(published: Published) -> None:
    trust = published.trust
    oracle = replace(trust.oracle, code_hash="12" * 32)

    report = published.judge(replace(trust, oracle=oracle), open_rpc(published.url))

    assert failed(report) == ["chain-proof"]
    assert "shows other code" in detail(report, "chain-proof")


def test_verify__another_slot_pinned__is_not_proven(published: Published) -> None:
    trust = published.trust
    first = trust.tokens[0]
    moved = replace(first.deployments[0], supply_slot=f"{9:064x}")
    tokens = (replace(first, deployments=(moved,)), *trust.tokens[1:])

    report = published.judge(replace(trust, tokens=tokens), open_rpc(published.url))

    assert report.outcome("chain-proof") == "skipped"
    assert f"supply of {first.token}" in detail(report, "chain-proof").partition("Not proven")[2]


def test_verify__proof_nodes_of_another_token__fails(published: Published) -> None:
    plain = json.loads(published.files[CHAIN_PROOF])
    accounts = [a for block in plain["blocks"] for a in block["accounts"] if a["purpose"] == "supply"]
    accounts[0]["storage"][0]["nodes"] = accounts[1]["storage"][0]["nodes"]
    changed = json.dumps(plain).encode()
    files = {**published.files, CHAIN_PROOF: changed}
    files[MANIFEST] = bundles.manifest(files, signed=MANIFEST_ENVELOPE in files)

    report = published.judge(None, open_rpc(published.url), **files)

    # Nor does the manifest's signature fit any more, if there is one.
    assert {"chain-proof"} <= {*failed(report)} <= {"files", "chain-proof"}


def test_verify__chain_without_the_contracts__its_node_does_not_confirm(published: Published) -> None:
    from attest.chain.devnet import Anvil

    with Anvil() as other:
        report = published.judge(None, open_rpc(other.url))

    assert "chain-rpc" in failed(report)


def test_verify__nobody_listens__fails_in_words(published: Published) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    report = published.judge(None, open_rpc(f"http://127.0.0.1:{port}"))

    assert failed(report) == ["chain-rpc"]
    assert "does not answer" in detail(report, "chain-rpc")
