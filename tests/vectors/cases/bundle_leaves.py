"""Whole bundles with the auditor's file of all leaves: do the accounts add up to the totals?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from attest.merkle.proof import leaf_hash
from attest.model import ReserveLeaf, ReserveLeaves
from attest.records import decode_base64, encode_base64, from_json, to_json
from tests.support import bundles
from tests.support.bundles import Forge, sufficient_token, withheld_token
from tests.vectors.cases.case import Case, replaced
from tests.vectors.cases.forging import EURW, SMALL_TRUST, TRUST, USDW, bundle, forge, pair, small

Given = Callable[[Forge], Mapping[str, Any]]


def three(**fields: Any) -> Forge:
    """A bundle about USDW with three accounts: the reserve is the first one's but for one unit on each other."""
    return small(**{"tokens": (sufficient_token(accounts=3),), **fields})


def whole(made: Forge) -> Mapping[str, Any]:
    return {"leaves": encode_base64(made.leaves_file())}


def file(change: Callable[[bytes], bytes]) -> Given:
    """The file's bytes, changed."""
    return lambda made: {"leaves": encode_base64(change(made.leaves_file()))}


def listed(change: Callable[[list[bytes]], list[bytes]]) -> Given:
    """Another list of leaves than is in the signed tree."""

    def alter(data: bytes) -> bytes:
        given = from_json(ReserveLeaves, data, "leaves")
        return to_json(replace(given, leaves=tuple(map(encode_base64, change(_leaves(data))))))

    return file(alter)


def _leaves(data: bytes) -> list[bytes]:
    return [decode_base64(text) for text in from_json(ReserveLeaves, data, "leaves").leaves]


def leaf(number: int, **fields: Any) -> Callable[[list[bytes]], list[bytes]]:
    """The leaves with one of them changed."""

    def alter(leaves: list[bytes]) -> list[bytes]:
        other = to_json(replace(from_json(ReserveLeaf, leaves[number], "leaf"), **fields))
        return [*leaves[:number], other, *leaves[number + 1 :]]

    return alter


def false(
    name: str, description: str, reason: str, given: Given, attack: int | None = 9, made: Forge | None = None
) -> Case:
    """A line about a file that is not that of the signed tree."""
    return bundle(
        *(f"leaves-{name}", description, reason, made or three()),
        attack=attack,
        brought=given,
        fails=["leaves"],
    )


def committed(
    name: str,
    description: str,
    reason: str,
    alter: Callable[[list[bytes]], list[bytes]],
    attack: int | None = 9,
) -> Case:
    """A line about a signed tree that is not what the totals say: a dishonest issuer's."""
    return false(name, description, reason, whole, attack, three(alter_leaves=alter))


def _negative(leaves: list[bytes]) -> list[bytes]:
    return leaf(0, minor_units=120_411_307)(leaf(1, minor_units=-1)(leaves))


def _inner_node(leaves: list[bytes]) -> list[bytes]:
    return [b"\1" + leaf_hash(leaves[0]) + leaf_hash(leaves[1]), leaves[2]]


def _moved(leaves: list[bytes]) -> list[bytes]:
    """The second account of USDW now backs EURW."""
    return leaf(2, token="EURW", currency="EUR")(leaves)


def _one_salt(leaves: list[bytes]) -> list[bytes]:
    return leaf(1, salt=from_json(ReserveLeaf, leaves[0], "leaf").salt)(leaves)


_ADDED = "The sum of the leaves is the total, or it is refused."
_SAME = "What looks the same is the same: it would count twice."

CASES: tuple[Case, ...] = (
    bundle(
        *("leaves-all", "All leaves are given.", "They lead to the signed root and add up: totals are no claim."),
        three(),
        brought=whole,
        attack=9,
        trust=replace(SMALL_TRUST, demands=("leaves",)),
        exit_code=0,
    ),
    pair(
        *("leaves-of-two-tokens", "All leaves of two tokens are given.", "Each token's add up by themselves."),
        forge(),
        brought=whole,
        attack=13,
        exit_code=0,
    ),
    bundle(
        *("leaves-none", "Every token is withheld, there is no leaf.", "No accounts add up to nothing."),
        small(tokens=(withheld_token(sufficient_token()),)),
        brought=whole,
        attack=11,
        exit_code=4,
    ),
    bundle(
        *("leaves-with-empty-account", "An account holds nothing.", "It is an account like any other."),
        three(alter_leaves=lambda leaves: leaf(0, minor_units=120_411_306)(leaf(1, minor_units=0)(leaves))),
        brought=whole,
        attack=12,
        exit_code=0,
    ),
    false("one-missing", "The last leaf is left out.", "The signed size is 3.", listed(lambda leaves: leaves[:-1])),
    false(
        "one-more", "A leaf is there twice.", "The signed size is 3.", listed(lambda leaves: [*leaves, leaves[-1]]), 7
    ),
    false("nothing-in-it", "The list is empty.", "The signed size is 3.", listed(lambda leaves: []), 11),
    false(
        *("other-order", "Two leaves changed places.", "They lead to another root."),
        listed(lambda leaves: [leaves[1], leaves[0], leaves[2]]),
        8,
    ),
    false(
        *("balance-raised", "A balance is raised.", "They lead to another root."),
        listed(leaf(0, minor_units=120_411_306)),
        3,
    ),
    false(
        *("salt-changed", "A salt is another one.", "They lead to another root."), listed(leaf(0, salt="00" * 32)), 19
    ),
    false(
        *("inner-node", "An inner node stands in the place of the two leaves below it.", "The signed size is 3."),
        listed(_inner_node),
        8,
    ),
    false("is-empty", "The file is empty.", "Nothing adds up.", file(lambda _: b""), 11),
    false("is-no-json", "The file is no JSON.", "It cannot be read.", file(lambda data: data[:-3]), 24),
    false(
        "name-twice",
        "The leaves stand twice: none first.",
        "Readers differ.",
        file(replaced('"leaves":', '"leaves":[],"leaves":')),
        24,
    ),
    false(
        "not-base64", "A leaf is no base64.", "It cannot be read.", file(replaced('"leaves":["', '"leaves":["!')), 24
    ),
    false(
        "of-newer-format",
        "The file is of format 2.",
        "It may mean another thing.",
        file(replaced("attest-leaves/1", "attest-leaves/2")),
    ),
    false(
        "of-another-period",
        "The file is of the week before.",
        "It is of another statement.",
        file(replaced('"period":"2026-W47"', '"period":"2026-W46"')),
        15,
    ),
    false(
        "of-another-revision",
        "The file is of revision 1.",
        "It is of another statement.",
        file(replaced('"revision":0', '"revision":1')),
        15,
    ),
    committed(
        "one-unit-less",
        "The signed tree's leaves add up to one minor unit less than the total.",
        _ADDED,
        leaf(0, minor_units=120_411_304),
        3,
    ),
    committed(
        "one-unit-more",
        "The signed tree's leaves add up to one minor unit more than the total.",
        _ADDED,
        leaf(0, minor_units=120_411_306),
        3,
    ),
    committed("negative", "A balance of -1 makes the others add up.", "No balance is negative.", _negative, 4),
    committed(
        "account-twice", "Two leaves are of one account.", "It would count twice.", leaf(1, account="usdw-0"), 17
    ),
    committed("account-in-other-case", "Two leaves' accounts differ in case.", _SAME, leaf(1, account="USDW-0"), 10),
    committed(
        "account-fullwidth",
        "Two leaves' accounts differ in a digit's width.",
        _SAME,
        leaf(1, account="usdw-\uff10"),
        10,
    ),
    committed(
        "account-decomposed",
        "Two leaves' accounts differ in how an accent is written.",
        _SAME,
        lambda leaves: leaf(0, account="caf\u00e9")(leaf(1, account="cafe\u0301")(leaves)),
        10,
    ),
    committed(
        "account-sharp-s",
        "Two leaves' accounts differ in a capital sharp s and two s.",
        _SAME,
        lambda leaves: leaf(0, account="konto \u1e9e")(leaf(1, account="konto ss")(leaves)),
        10,
    ),
    *(
        committed(
            f"account-with-{name}",
            f"A leaf's account is another one's with a {said} behind it.",
            "What does not show is in no account's name: it would count twice.",
            leaf(1, account=f"usdw-0{character}"),
            10,
        )
        for name, said, character in (
            ("soft-hyphen", "soft hyphen", "\u00ad"),
            ("zero-width-space", "zero-width space", "\u200b"),
            ("no-break-space", "no-break space", "\u00a0"),
            ("line-separator", "line separator", "\u2028"),
        )
    ),
    committed(
        "account-private-use",
        "A leaf's account has a character of private use.",
        "How it shows is anybody's guess.",
        leaf(1, account="usdw-\ue000"),
        10,
    ),
    bundle(
        *("leaves-account-dotless-i", "Two leaves' accounts differ in the dot of an i.", "They do not look the same."),
        three(alter_leaves=lambda leaves: leaf(0, account="kasi")(leaf(1, account="kas\u0131")(leaves))),
        brought=whole,
        attack=10,
        exit_code=0,
    ),
    committed(
        "salt-repeated",
        "Two leaves have one salt.",
        "Whoever is shown one leaf could try out balances for the other.",
        _one_salt,
        19,
    ),
    committed(
        "of-another-token",
        "A leaf backs a token that the statement does not speak of.",
        "No total counts it.",
        leaf(1, token="XXXW"),
        13,
    ),
    committed("of-another-currency", "A leaf is in EUR.", "USDW is backed by USD.", leaf(1, currency="EUR"), 13),
    committed(
        "of-another-week",
        "A leaf is of the week before.",
        "An old balance in a new tree.",
        leaf(1, period="2026-W46"),
        15,
    ),
    committed(
        "after-the-cutoff",
        "A balance is of a second after the cutoff.",
        "No balance is from the future.",
        leaf(1, as_of=bundles.CUTOFF + timedelta(seconds=1)),
        16,
    ),
    committed(
        "older-than-stated",
        "A balance is a second older than the oldest that the statement names.",
        "The statement hides how old it is.",
        leaf(1, as_of=bundles.CUTOFF - timedelta(days=2, seconds=1)),
        16,
    ),
    committed(
        "all-newer-than-stated",
        "All balances are a day newer than the oldest that the statement names.",
        "The statement names the oldest of them.",
        lambda leaves: [leaf(n, as_of=bundles.CUTOFF - timedelta(days=1))(leaves)[n] for n in range(3)],
        16,
    ),
    committed(
        "no-json",
        "A leaf is 64 bytes that are no JSON, as two hashes would be.",
        "It says nothing.",
        lambda leaves: [leaves[0], b"\1" * 64, leaves[2]],
        8,
    ),
    committed(
        "unknown-field",
        "A leaf has a field that there is not.",
        "It could change what the leaf says.",
        lambda leaves: [replaced('"minor_units":', '"lien":"1","minor_units":')(leaves[0]), *leaves[1:]],
    ),
    pair(
        *("leaves-moved-between-tokens", "An account of USDW is committed to as one of EURW."),
        "Each token's accounts are counted and added up by themselves.",
        forge(alter_leaves=_moved),
        brought=whole,
        attack=13,
        fails=["leaves"],
    ),
    pair(
        *("leaves-of-a-withheld-token", "A leaf backs a token of which the statement gives no reserve."),
        "No total counts it.",
        forge(
            tokens=(EURW, withheld_token(USDW)),
            alter_leaves=lambda leaves: leaf(0, token="USDW", currency="USD")(leaves),
        ),
        brought=whole,
        attack=9,
        trust=TRUST,
        fails=["leaves"],
    ),
)
