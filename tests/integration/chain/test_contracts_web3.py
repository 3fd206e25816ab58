"""Our contract handles against web3, which was written by others: same calldata, same answers, same events."""

from __future__ import annotations

from pathlib import Path

import pytest
from web3 import Web3

from attest import config, devnet
from attest.chain import contracts
from attest.chain.artifact import artifact
from attest.environment import build
from tests.support.practice import Narration, prepared, week


@pytest.fixture(scope="module")
def attested(tmp_path_factory: pytest.TempPathFactory):
    """A finished week on a practice chain: (its folder, web3 connected to the chain)."""
    folder = tmp_path_factory.mktemp("web3")
    with prepared(folder / "network") as (template, url), week(template, url, folder / "week") as operator:
        assert operator.run().exit_code == 0
        yield operator, Web3(Web3.HTTPProvider(url))


def test_reads__every_token__are_what_web3_reads(attested) -> None:
    operator, web3 = attested
    environment = build(config.load(operator.config_path), Narration())
    settings, client = environment.config, environment.client("main")
    ours = contracts.reserve_oracle(settings.oracle, Path())
    theirs = web3.eth.contract(address=settings.oracle.address, abi=artifact("ReserveOracle").abi)
    head = client.head()
    for symbol, token in settings.tokens.items():
        address = token.deployments[0].address
        handle = contracts.token(address, symbol)
        erc20 = web3.eth.contract(address=address, abi=artifact("WToken").abi)
        reporter = settings.signing.reporters[0].address
        calls = [
            ours.verified_reserve(address),
            ours.is_quorum_met(address),
            ours.report_of(address, reporter),
            handle.total_supply(),
            handle.decimals(),
        ]
        assert [
            value if not isinstance(value, tuple) else list(value) for value in contracts.read(client, calls, head)
        ] == [
            theirs.functions.getVerifiedReserve(address).call(),
            theirs.functions.isQuorumMet(address).call(),
            list(theirs.functions.reportOf(address, reporter).call()),
            erc20.functions.totalSupply().call(),
            erc20.functions.decimals().call(),
        ]


def test_calldata__of_every_transaction__is_what_web3_decodes(attested) -> None:
    operator, web3 = attested
    settings = config.load(operator.config_path).config
    oracle = web3.eth.contract(address=settings.oracle.address, abi=artifact("ReserveOracle").abi)
    registry = web3.eth.contract(address=settings.registry.address, abi=artifact("AttestationRegistry").abi)
    ours = {signer.address for signer in settings.signing.reporters} | {settings.signing.publisher.address}
    seen = []
    for number in range(web3.eth.block_number + 1):
        for mined in web3.eth.get_block(number, full_transactions=True).transactions:
            if mined["from"] in ours:
                contract = oracle if mined["to"] == settings.oracle.address else registry
                function, arguments = contract.decode_function_input(mined["input"])
                seen.append((function.fn_name, mined["from"]))
                if function.fn_name == "publish":
                    assert arguments["period"].rstrip(b"\0") == str(devnet.PERIOD).encode()
                else:
                    assert arguments["timestamp"] <= web3.eth.get_block(number).timestamp
    reporters = [signer.address for signer in settings.signing.reporters]
    assert sorted(seen) == sorted(
        [("submitReserveReport", reporter) for reporter in reporters for _ in settings.tokens]
        + [("publish", settings.signing.publisher.address)]
    )


def test_events__of_the_reports__carry_the_attested_reserves(attested) -> None:
    operator, web3 = attested
    settings = config.load(operator.config_path).config
    oracle = web3.eth.contract(address=settings.oracle.address, abi=artifact("ReserveOracle").abi)
    reporters = {signer.address for signer in settings.signing.reporters}
    events = oracle.events.ReserveReported.get_logs(from_block=0)
    reported = {(event.args.token, event.args.reserveBalance) for event in events if event.args.reporter in reporters}
    units = {"USDW": 1_204_113_070_000, "EURW": 845_900_550_000, "GBPW": 402_310_10 * 10**16}
    assert reported == {(settings.tokens[symbol].deployments[0].address, amount) for symbol, amount in units.items()}
