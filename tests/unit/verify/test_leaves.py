"""All accounts given: they must lead to the signed root, add up, and each be one that the statement can count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from attest.model import ReserveLeaf, ReserveLeaves
from attest.records import encode_base64, from_json, to_json
from attest.verify.report import exit_code
from tests.support import bundles
from tests.support.bundles import Forge, detail, failed, judged

Change = Callable[[ReserveLeaf], ReserveLeaf]


def given(forge: Forge, **fields: Any) -> bytes:
    """The forge's leaves as the auditor's file, with ``fields`` changed."""
    return to_json(replace(from_json(ReserveLeaves, forge.leaves_file(), "leaves"), **fields))


FORGE = Forge()
FILES = bundles.without_chain_proof(FORGE.files())


def test_leaves__all_given__add_up_and_are_said_to() -> None:
    report = judged(FILES, leaves_file=FORGE.leaves_file())

    assert failed(report) == []
    assert detail(report, "leaves") == "3 accounts lead to the signed root and add up to EURW (1), USDW (2)"
    assert report.answers[1].detail == "by 3 accounts added up"


def test_leaves__demanded_and_given__is_met() -> None:
    demanding = replace(bundles.trust(), demands=("leaves",))

    assert exit_code(judged(FILES, demanding)) == 6
    assert exit_code(judged(FILES, demanding, leaves_file=FORGE.leaves_file())) == 0


def test_leaves__every_token_withheld__no_accounts_add_up_to_nothing() -> None:
    forge = Forge(tokens=tuple(map(bundles.withheld_token, Forge().tokens)))
    files = forge.files()

    report = judged(files, leaves_file=forge.leaves_file())

    assert detail(report, "leaves") == "0 accounts lead to the signed root and add up to nothing"


def test_leaves__one_left_out__fails_and_nothing_is_proven() -> None:
    leaves = tuple(map(encode_base64, FORGE.leaves[:-1]))

    report = judged(FILES, leaves_file=given(FORGE, leaves=leaves))

    assert failed(report) == ["leaves"]
    assert "there are 2, the statement commits to 3" in detail(report, "leaves")
    assert {token.state for token in report.tokens} == {"unproven"}
    assert report.answers[1].answer == "unknown"


def test_leaves__in_another_order__fails() -> None:
    leaves = tuple(map(encode_base64, reversed(FORGE.leaves)))

    assert "they lead to root" in detail(judged(FILES, leaves_file=given(FORGE, leaves=leaves)), "leaves")


def test_leaves__balance_changed__fails() -> None:
    changed = [leaf.replace(b'"minor_units":"1"', b'"minor_units":"2"') for leaf in FORGE.leaves]

    report = judged(FILES, leaves_file=given(FORGE, leaves=tuple(map(encode_base64, changed))))

    assert "they lead to root" in detail(report, "leaves")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"period": "2026-W46"}, "of 2026-W46, revision 0"),
        ({"revision": 1}, "of 2026-W47, revision 1"),
        ({"leaves": ("!", "!", "!")}, "is not base64"),
        ({"leaves": ("!", "!")}, "there are 2, the statement commits to 3"),  # counted before it is decoded
        ({"leaves": ("AB==", "AA==", "AA==")}, "is not canonical base64"),
    ],
)
def test_leaves__file_of_something_else__fails(fields: Any, said: str) -> None:
    assert said in detail(judged(FILES, leaves_file=given(FORGE, **fields)), "leaves")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format":"attest-leaves/2"}'])
def test_leaves__no_such_document__fails(data: bytes) -> None:
    report = judged(FILES, leaves_file=data)

    assert failed(report) == ["leaves"]


def committed(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[ReserveLeaf]], list[ReserveLeaf]]) -> Forge:
    """A forge whose statement commits to changed leaves."""
    original = bundles.make_leaves

    def make(tokens: Any, period: str = bundles.PERIOD) -> list[bytes]:
        return list(map(to_json, change([from_json(ReserveLeaf, leaf, "leaf") for leaf in original(tokens, period)])))

    monkeypatch.setattr(bundles, "make_leaves", make)
    return Forge()


def each(index: int, change: Change) -> Callable[[list[ReserveLeaf]], list[ReserveLeaf]]:
    return lambda leaves: [change(leaf) if number == index else leaf for number, leaf in enumerate(leaves)]


EARLY = bundles.CUTOFF - timedelta(seconds=96 * 3600 + 1)
HOSTILE: dict[str, tuple[Change, str]] = {
    "of another period": (lambda leaf: replace(leaf, period="2026-W46"), "is of 2026-W46"),
    "of an unknown token": (lambda leaf: replace(leaf, token="GBPW"), "of which the statement gives no reserve"),
    "in another currency": (lambda leaf: replace(leaf, currency="CHF"), "is in CHF"),
    "negative": (lambda leaf: replace(leaf, minor_units=-1), "has a negative balance"),
    "too old": (lambda leaf: replace(leaf, as_of=EARLY), "of a time that the statement's policy does not allow"),
    "after the cutoff": (
        lambda leaf: replace(leaf, as_of=bundles.CUTOFF + timedelta(seconds=1)),
        "of a time that the statement's policy does not allow",
    ),
    "one unit more": (lambda leaf: replace(leaf, minor_units=leaf.minor_units + 1), "USDW adds up to 120411308"),
    "of the other token": (
        lambda leaf: replace(leaf, token="EURW", currency="EUR"),
        "EURW has 2 accounts, the statement says 1",
    ),
    "older than stated": (
        lambda leaf: replace(leaf, as_of=leaf.as_of - timedelta(seconds=1)),
        "the oldest balance of USDW is not of the time",
    ),
    "same name": (lambda leaf: replace(leaf, account="usdw-0"), "'usdw-0' is there twice"),
    "same name in capitals": (lambda leaf: replace(leaf, account="USDW-0"), "(also as 'usdw-0')"),
    "same name with a soft hyphen": (
        lambda leaf: replace(leaf, account="usdw-0\u00ad"),
        r"'usdw-0\xad' has a character",
    ),
    "same name and a zero-width space": (
        lambda leaf: replace(leaf, account="usdw-0\u200b"),
        r"account 'usdw-0\u200b' has a character that does not show",
    ),
    "same name in other letters": (lambda leaf: replace(leaf, account="ｕｓｄｗ-0"), "(also as 'usdw-0')"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_leaves__committed_leaf_that_cannot_count__fails_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change, said = HOSTILE[name]
    forge = committed(monkeypatch, each(2, change))
    files = forge.files()

    report = judged(files, leaves_file=forge.leaves_file())

    assert failed(report) == ["leaves"]
    assert said in detail(report, "leaves")
    assert exit_code(report) == 6
