"""No byte of a bundle's small files can be changed so that it verifies with another claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attest.verify.report import Report, exit_code
from tests.support import bundles
from tests.support.bundles import Forge, judged

#: As small as a bundle gets, so that every byte can have its turn.
FORGE = Forge(
    tokens=(replace(bundles.sufficient_token(accounts=1), reports=bundles.sufficient_token().reports[:1]),),
    signers=(0,),
    witnesses=bundles.WITNESSES[:1],
    log_size=2,
    log_index=1,
)
TRUST = replace(
    bundles.trust(),
    tokens=bundles.trust().tokens[1:],
    attestors=bundles.trust().attestors[:1],
    attestor_threshold=1,
    demands=("witnesses",),
)


def claims(report: Report) -> object:
    """What a reader takes away."""
    return report.period, report.revision, report.statement, report.tokens, report.answers


@pytest.mark.parametrize("name", ["attestation.dsse.json", "reserves.json", "receipts.json", "attestation.tlog-proof"])
def test_verify__any_byte_flipped__never_verifies_with_another_claim(name: str) -> None:
    files = FORGE.files()
    del files["chain-proof.json"], files["manifest.json"]
    original = files[name]
    honest = judged(files | {"manifest.json": bundles.manifest(files)}, TRUST)
    assert exit_code(honest) == 0
    unnoticed = 0
    for position in range(len(original)):
        flipped = bytearray(original)
        flipped[position] ^= 0x01
        files[name] = bytes(flipped)
        # The attacker remakes the manifest too: nobody signs it.
        report = judged(files | {"manifest.json": bundles.manifest(files)}, TRUST)
        if exit_code(report) == 0:
            unnoticed += 1
            assert claims(report) == claims(honest), position
    # Of the receipts, gas and the blocks' hashes are nobody's claim; everything else is noticed.
    assert unnoticed == 0 or name == "receipts.json"
