"""No byte of a bundle can be changed so that it still verifies; and of an older bundle, whose manifest nobody signed,
none so that it verifies with another claim."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from attest.verify.case import Case
from attest.verify.checks import AUTHENTIC
from attest.verify.report import Report, exit_code
from tests.support import bundles
from tests.support.bundles import Forge, judged

#: Many runs over lines that other tests cover; measuring them would take as long again.
pytestmark = pytest.mark.no_cover

#: As small as a bundle gets, so that every byte can have its turn; and one file that is too large for that.
FORGE = Forge(
    tokens=(replace(bundles.sufficient_token(accounts=1), reports=bundles.sufficient_token().reports[:1]),),
    signers=(0,),
    witnesses=bundles.WITNESSES[:1],
    log_size=2,
    log_index=1,
    alter_files=lambda files: files.update({"report.html": b"<p>Management's statement</p>\n" * 10_000}),
)
TRUST = replace(
    bundles.trust(),
    tokens=bundles.trust().tokens[1:],
    attestors=bundles.trust().attestors[:1],
    attestor_threshold=1,
    demands=("witnesses",),
)
FILES = FORGE.files()
#: Beyond so many bytes, so many places are taken by chance.
MANY = 10_000


def noticed(files: Mapping[str, bytes]) -> bool:
    """Whether one of the checks on which authenticity rests fails: then the exit code is 6 (tested below)."""
    case = Case(files, TRUST, bundles.NOW)
    return any(check.result(case).outcome == "fail" for check in AUTHENTIC)


def places(data: bytes) -> Iterator[int]:
    if len(data) <= MANY:
        return iter(range(len(data)))
    chance = random.Random(20261124)
    return (chance.randrange(len(data)) for _ in range(MANY))


def flipped(data: bytes, place: int, bits: int) -> bytes:
    return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def test_bundle__unchanged__verifies() -> None:
    assert not noticed(FILES)
    assert exit_code(judged(FILES, TRUST)) == 0


@pytest.mark.parametrize("name", sorted(FILES))
def test_verify__any_byte_flipped__never_verifies(name: str) -> None:
    # The lowest bit; the one that makes a capital of a letter; one that makes no ASCII of it.
    masks = (0x01, 0x20, 0x80) if len(FILES[name]) <= MANY else (0x01,)
    unnoticed = [
        (place, bits)
        for bits in masks
        for place in places(FILES[name])
        if not noticed({**FILES, name: flipped(FILES[name], place, bits)})
    ]

    assert unnoticed == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_verify__file_cut_lengthened_left_out_or_another_one__never_verifies(name: str) -> None:
    data = FILES[name]
    others = [data[:-1], data[1:], data + b"\n", b" " + data, data + data, b""]
    changed = [{**FILES, name: other} for other in others]
    changed += [{**FILES, name: other} for another, other in FILES.items() if another != name]
    changed += [{one: other for one, other in FILES.items() if one != name}, {**FILES, f"{name}.bak": data}]

    assert all(map(noticed, changed))


@pytest.mark.parametrize("name", sorted(FILES))
def test_verify__noticed_change__is_exit_6(name: str) -> None:
    data = FILES[name]
    for place in range(0, len(data), max(1, len(data) // 10)):
        assert exit_code(judged({**FILES, name: flipped(data, place, 0x01)}, TRUST, proofs=True)) == 6


# -- the unsigned manifest of an older statement ---------------------------------------------------------------------


def claims(report: Report) -> object:
    """What a reader takes away."""
    return report.period, report.revision, report.statement, report.tokens, report.answers


@pytest.mark.parametrize("name", ["attestation.dsse.json", "reserves.json", "receipts.json", "attestation.tlog-proof"])
def test_verify__any_byte_flipped_of_an_older_bundle__never_verifies_with_another_claim(name: str) -> None:
    files = replace(FORGE, signed_manifest=False, alter_files=lambda files: files.pop("chain-proof.json")).files()
    original = files[name]
    honest = judged(files, TRUST)
    assert exit_code(honest) == 0
    unnoticed = 0
    for place in range(len(original)):
        # The attacker remakes the manifest too.
        report = judged(bundles.sealed({**files, name: flipped(original, place, 0x01)}, signers=()), TRUST)
        if exit_code(report) == 0:
            unnoticed += 1
            assert claims(report) == claims(honest), place
    # Of the receipts, gas and the blocks' hashes are nobody's claim; everything else is noticed.
    assert unnoticed == 0 or name == "receipts.json"
