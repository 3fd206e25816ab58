"""QBFT headers: what is hashed, what is sealed, and whose seals count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak

from attest.errors import VerificationError
from attest.verify.qbft import enough, parse_header, sealers
from tests.support.bundles import MIX_HASH, VALIDATORS, SealedHeader, validator

HEADER = SealedHeader(100, 1_700_000_000, b"\x11" * 32)


def changed(header: SealedHeader, position: int, value: Any) -> bytes:
    items = rlp.decode(header.encoded)
    items[position] = value
    return bytes(rlp.encode(items))


def with_extra(*items: Any) -> bytes:
    return changed(HEADER, 12, rlp.encode(list(items)))


def test_enough__is_two_thirds_rounded_up() -> None:
    assert [enough(count) for count in (1, 2, 3, 4, 5, 6, 7, 9, 10)] == [1, 2, 2, 3, 4, 4, 5, 6, 7]


def test_parse_header__gives_number_time_state_and_the_hash_without_round_and_seals() -> None:
    header = parse_header(HEADER.encoded)

    assert (header.number, header.timestamp, header.state_root) == (100, 1_700_000_000, b"\x11" * 32)
    assert header.hashes[0] == HEADER.hash
    assert parse_header(replace(HEADER, round=5, sealers=()).encoded).hashes[0] == HEADER.hash


def test_sealers__three_of_four__are_found() -> None:
    assert sealers(parse_header(HEADER.encoded), VALIDATORS) == set(VALIDATORS[:3])


def test_sealers__checksum_case_of_the_trust_file__does_not_matter() -> None:
    upper = ["0x" + address[2:].upper() for address in VALIDATORS]

    assert len(sealers(parse_header(HEADER.encoded), upper)) == 3


def test_sealers__one_validator_seals_three_times__counts_once() -> None:
    assert sealers(parse_header(replace(HEADER, sealers=(1, 1, 1)).encoded), VALIDATORS) == {VALIDATORS[1]}


def test_sealers__foreign_validators__do_not_count_even_if_the_header_lists_them() -> None:
    foreign = tuple(validator(number).public_key.to_address() for number in (7, 8, 9))
    header = replace(HEADER, validators=foreign, sealers=(7, 8, 9))

    assert sealers(parse_header(header.encoded), VALIDATORS) == frozenset()


@pytest.mark.parametrize("other_round", [0, 2])
def test_sealers__seals_of_another_round__do_not_count(other_round: int) -> None:
    header = replace(HEADER, round=1, seal_round=other_round)

    assert sealers(parse_header(header.encoded), VALIDATORS) == frozenset()


def test_sealers__state_root_changed_after_sealing__do_not_count() -> None:
    assert sealers(parse_header(changed(HEADER, 3, b"\x22" * 32)), VALIDATORS) == frozenset()


def test_sealers__seal_that_no_key_made__is_ignored() -> None:
    addresses = [bytes.fromhex(address[2:]) for address in VALIDATORS]
    header = parse_header(with_extra(bytes(32), addresses, [], 1, [bytes(65), b"\xff" * 65]))

    assert len(header.seals) == 2
    assert sealers(header, VALIDATORS) == frozenset()


def test_parse_header__round_0__is_hashed_as_it_stands() -> None:
    header = replace(HEADER, round=0)

    assert parse_header(header.encoded).hashes[0] == HEADER.hash
    assert len(sealers(parse_header(header.encoded), VALIDATORS)) == 3


def test_parse_header__vote_in_extra_data__is_part_of_the_hash() -> None:
    addresses = [bytes.fromhex(address[2:]) for address in VALIDATORS]
    vote = [bytes(20), b"\xff"]
    encoded = with_extra(bytes(32), addresses, vote, 1, [])

    expected = keccak(with_extra(bytes(32), addresses, vote, 0, []))
    assert parse_header(encoded).hashes[0] == expected


def test_parse_header__ordinary_block__is_hashed_whole_and_has_no_seals() -> None:
    encoded = replace(HEADER, mix_hash=bytes(32)).encoded
    header = parse_header(encoded)

    assert header.hashes == (keccak(encoded),)
    assert header.seals == ()


def test_parse_header__london_field_appended__is_hashed_too() -> None:
    items = [*rlp.decode(replace(HEADER, mix_hash=bytes(32)).encoded), b"\x07"]

    assert parse_header(rlp.encode(items)).hashes == (keccak(rlp.encode(items)),)


def test_parse_header__ibft_block__is_hashed_by_its_rule_and_its_seals_are_not_judged() -> None:
    addresses = [bytes.fromhex(address[2:]) for address in VALIDATORS]
    encoded = with_extra(bytes(32), addresses, b"", b"\0\0\0\1", [bytes(65)])

    header = parse_header(encoded)

    assert keccak(with_extra(bytes(32), addresses, b"")) in header.hashes
    assert (header.sealed, header.seals) == (b"", ())


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"", "not RLP"),
        (b"\xc1", "not RLP"),
        (HEADER.encoded + b"\0", "not RLP"),
        (rlp.encode(b"text"), "not an RLP list"),
        (rlp.encode([b""] * 14), "at least 15"),
        (rlp.encode([[]] * 15), "at least 15"),
        (changed(HEADER, 3, b"\x11" * 31), "32 bytes"),
        (changed(HEADER, 13, MIX_HASH[:16]), "32 bytes"),
        (changed(HEADER, 8, b"\0\1"), "plain scalar"),
        (changed(HEADER, 11, b"\1" * 9), "plain scalar"),
        (changed(HEADER, 12, b"\xff"), "extraData is not RLP"),
        (changed(HEADER, 12, rlp.encode(b"x")), "extraData is not an RLP list"),
        (with_extra(bytes(32), [], [], 1), "five items"),
        (with_extra(bytes(31), [], [], 1, []), "32 bytes and a list"),
        (with_extra([], [], [], 1, []), "32 bytes and a list"),
        (with_extra(bytes(32), b"", [], 1, []), "32 bytes and a list"),
        (with_extra(bytes(32), [], [], [], []), "round"),
        (with_extra(bytes(32), [], [], b"\1" * 5, []), "round"),
        (with_extra(bytes(32), [], [], 1, b""), "list of at most 256"),
        (with_extra(bytes(32), [], [], 1, [bytes(65)] * 257), "list of at most 256"),
        (with_extra(bytes(32), [], [], 1, [bytes(64)]), "not 65 bytes"),
        (with_extra(bytes(32), [], [], 1, [[]]), "not 65 bytes"),
    ],
)
def test_parse_header__malformed__refused(encoded: bytes, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        parse_header(encoded)


def test_parse_header__nested_a_million_deep__refused() -> None:
    nested = b""
    for _ in range(3000):
        nested = rlp.codec.length_prefix(len(nested), 192) + nested

    with pytest.raises(VerificationError, match=r"not RLP|at least 15"):
        parse_header(nested)
