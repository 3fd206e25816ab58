"""An account owner's proof against a bundle, or against the envelope alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from attest.merkle.proof import InclusionProof, leaf_hash
from attest.model import ReserveLeaf
from attest.records import dump_plain, encode_base64, from_json, to_json
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.bundles import Forge, make_leaves, merkle_path, merkle_root, sufficient_token, withheld_token
from tests.vectors.cases.case import AT, Case, encoded, replaced
from tests.vectors.cases.forging import EURW, SMALL_TRUST, TRUST, USDW, forge, small, token

INCLUSION = ("inclusion",)


def three(**fields: Any) -> Forge:
    """A bundle about USDW with three accounts: the reserve is the first one's but for one unit on each other."""
    return small(**{"tokens": (sufficient_token(accounts=3),), **fields})


def proof(
    name: str,
    description: str,
    reason: str,
    make: Callable[[Forge], InclusionProof | bytes],
    made: Forge | None = None,
    *,
    attack: int | None = None,
    trust: Trust = SMALL_TRUST,
    exit_code: int = 6,
    fails: Iterable[str] = INCLUSION,
    unmet: Iterable[str] = (),
    alone: bool = False,
    at: str = AT,
) -> Case:
    """A line about a proof that ``make`` gives of the bundle's forge; ``alone``: its envelope only is at hand."""
    used = three() if made is None else made

    def data() -> dict[str, Any]:
        files = used.files()
        given = make(used)
        if alone:
            files = {"attestation.dsse.json": files["attestation.dsse.json"]}
        return {
            "trust": to_json(trust).decode(),
            "statement": encoded(files),
            "proof": encode_base64(given if isinstance(given, bytes) else to_json(given)),
        }

    failing = frozenset(fails if exit_code else ())
    return Case(
        "proof", name, attack, description, reason, data, exit_code, fails=failing, unmet=frozenset(unmet), at=at
    )


def changed(**fields: Any) -> Callable[[Forge], InclusionProof]:
    """The first account's proof with these fields instead."""
    return lambda made: replace(made.inclusion_proof(0), **fields)


def text(change: Callable[[dict[str, Any]], None]) -> Callable[[Forge], bytes]:
    """The first account's proof, changed as JSON."""

    def make(made: Forge) -> bytes:
        plain = json.loads(to_json(made.inclusion_proof(0)))
        change(plain)
        return dump_plain(plain)

    return make


def first(made: Forge) -> InclusionProof:
    return made.inclusion_proof(0)


def leaf(index: int = 0, **fields: Any) -> Callable[[list[bytes]], list[bytes]]:
    """The forge's leaves, one of them with other fields: an issuer that commits to what its totals do not say."""

    def alter(leaves: list[bytes]) -> list[bytes]:
        other = to_json(replace(from_json(ReserveLeaf, leaves[index], "leaf"), **fields))
        return [*leaves[:index], other, *leaves[index + 1 :]]

    return alter


def leaf_bytes(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda leaves: [change(leaves[0]), *leaves[1:]]


def committed(
    name: str,
    description: str,
    reason: str,
    alter: Callable[[list[bytes]], list[bytes]],
    *,
    attack: int | None = None,
    exit_code: int = 6,
) -> Case:
    """A line about the first account, whose leaf stands in the signed tree as ``alter`` makes it."""
    return proof(
        *(f"leaf-{name}", description, reason),
        lambda made: made.inclusion_proof(0),
        three(alter_leaves=alter),
        attack=attack,
        exit_code=exit_code,
    )


# -- what attackers offer --------------------------------------------------------------------------------------------


def _tree_of_their_own(made: Forge) -> InclusionProof:
    other = three(tokens=(sufficient_token(minor_units=999_999_999, accounts=3),))
    other.files()
    return other.inclusion_proof(0)


def _tree_of_their_own_under_the_root(made: Forge) -> InclusionProof:
    signed = made.inclusion_proof(0)
    return replace(_tree_of_their_own(made), root=signed.root)


def _padded(made: Forge) -> InclusionProof:
    """A proof of the duplicate of the last leaf, in the tree that the duplicate completes."""
    hashes = [leaf_hash(item) for item in made.leaves]
    hashes.append(hashes[-1])
    return InclusionProof(
        "attest-inclusion-proof/1",
        bundles.PERIOD,
        0,
        4,
        3,
        encode_base64(made.leaves[-1]),
        tuple(node.hex() for node in merkle_path(hashes, 3)),
        merkle_root(hashes).hex(),
    )


def _inner_node(made: Forge) -> InclusionProof:
    hashes = [leaf_hash(item) for item in made.leaves]
    honest = made.inclusion_proof(0)
    return replace(honest, leaf=encode_base64(hashes[0] + hashes[1]), audit_path=honest.audit_path[1:])


def _inner_node_with_prefix(made: Forge) -> InclusionProof:
    hashes = [leaf_hash(item) for item in made.leaves]
    honest = made.inclusion_proof(0)
    return replace(honest, leaf=encode_base64(b"\x01" + hashes[0] + hashes[1]), audit_path=honest.audit_path[1:])


def _another_sibling(made: Forge) -> InclusionProof:
    """The sibling is shown as another node: the subtree beside this account, with another balance in it."""
    honest = made.inclusion_proof(0)
    forged = leaf_hash(replaced('"minor_units":"1"', '"minor_units":"2"')(made.leaves[1]))
    return replace(honest, audit_path=(forged.hex(), *honest.audit_path[1:]))


def _boundary(made: Forge) -> InclusionProof:
    """A character moved from the account's name to the custodian's."""
    honest = made.inclusion_proof(1)
    moved = replaced('"account":"usdw-1","custodian":"First', '"account":"usdw-","custodian":"1First')
    return replace(honest, leaf=encode_base64(moved(made.leaves[1])))


def _respelled(made: Forge) -> InclusionProof:
    honest = made.inclusion_proof(0)
    return replace(honest, leaf=encode_base64(made.leaves[0].replace(b'","', b'", "')))


def _raised(made: Forge) -> InclusionProof:
    honest = made.inclusion_proof(0)
    raised = replaced('"minor_units":"120411305"', '"minor_units":"120411306"')(made.leaves[0])
    return replace(honest, leaf=encode_base64(raised))


def _second_path(made: Forge) -> InclusionProof:
    return replace(made.inclusion_proof(0), audit_path=made.inclusion_proof(1).audit_path)


def _reversed(made: Forge) -> InclusionProof:
    honest = made.inclusion_proof(0)
    return replace(honest, audit_path=honest.audit_path[::-1])


def _root_itself(made: Forge) -> InclusionProof:
    """The signed root as a path of one: what hashes to it is not known, but a size of 1 would need no path."""
    return replace(made.inclusion_proof(0), tree_size=1, audit_path=())


_ACCOUNTS = "Café \u202eGBP\x1b[2J <b>"

_VALID: tuple[Case, ...] = (
    proof("valid", "The first account of three.", "It is in the signed tree.", first, exit_code=0),
    proof("valid-second", "The second account of three.", "It is.", lambda made: made.inclusion_proof(1), exit_code=0),
    proof(
        "valid-last",
        "The last account of three: its path is shorter.",
        "It is in the signed tree.",
        lambda made: made.inclusion_proof(2),
        exit_code=0,
    ),
    proof(
        "valid-only",
        "The only account: its path is empty.",
        "Its hash is the root.",
        first,
        small(),
        trust=SMALL_TRUST,
        exit_code=0,
    ),
    proof(
        "valid-of-seven",
        "The sixth account of seven.",
        "It is in the signed tree.",
        lambda made: made.inclusion_proof(5),
        small(tokens=(sufficient_token(accounts=7),)),
        trust=SMALL_TRUST,
        exit_code=0,
    ),
    proof(
        "valid-envelope-alone",
        "The account against the signed envelope alone, without its bundle.",
        "It is in the signed tree; whether that is in the log was not asked.",
        first,
        alone=True,
        exit_code=0,
    ),
    proof(
        "valid-under-a-rule-of-any-age",
        "The rule in force takes balances 2^53 - 1 seconds old.",
        "It is in the signed tree; whether the rule is strict enough is asked of the bundle.",
        first,
        three(alter_predicate=token(policy__max_age_seconds=2**53 - 1)),
        attack=12,
        exit_code=0,
    ),
    proof(
        "valid-beside-withheld",
        "The account of a token that is attested; another one is withheld.",
        "It is in the signed tree.",
        first,
        forge(tokens=(EURW, withheld_token(USDW))),
        trust=TRUST,
        exit_code=0,
    ),
)

_HOSTILE: tuple[Case, ...] = (
    proof(
        "root-from-its-own-file",
        "A proof that is consistent with itself, of a tree that nobody signed.",
        "Root and size come from the signed statement, never from the proof.",
        _tree_of_their_own,
        attack=2,
    ),
    proof(
        "root-copied",
        "The same, in the signed root's name.",
        "The path does not lead to that root.",
        _tree_of_their_own_under_the_root,
        attack=2,
    ),
    proof(
        "sibling-of-another-balance",
        "The sibling is shown with another balance than to its owner.",
        "A node's hash binds both children whole: any other sibling leads to another root.",
        _another_sibling,
        attack=1,
    ),
    proof("balance-raised", "The leaf's balance is one minor unit higher.", "It is another leaf.", _raised, attack=3),
    proof(
        "boundary-shifted",
        "A character moved from the account's name to the custodian's.",
        "A leaf's fields are JSON strings: no two sets of fields have the same bytes.",
        _boundary,
        attack=6,
    ),
    proof(
        "leaf-respelled",
        "The leaf's fields are the same, with spaces between them.",
        "What is hashed is bytes, not what they say.",
        _respelled,
        attack=6,
    ),
    proof(
        "duplicate-of-the-last",
        "A fourth leaf that equals the third, in the tree that it completes.",
        "The signed size is 3, and a tree with a duplicate has another root.",
        _padded,
        attack=7,
    ),
    proof(
        "duplicate-of-the-last-at-its-index",
        "The last leaf as index 3 of 3, with its own path.",
        "There is no leaf 3.",
        lambda made: replace(made.inclusion_proof(2), leaf_index=3),
        attack=7,
    ),
    proof(
        "inner-node",
        "An inner node's children as the leaf, the path one hash shorter.",
        "A leaf is hashed with another prefix than a node; and the path is too short.",
        _inner_node,
        attack=8,
    ),
    proof(
        "inner-node-with-prefix",
        "The same, with the node's own prefix in front.",
        "A leaf's own prefix still comes before it.",
        _inner_node_with_prefix,
        attack=8,
    ),
    proof(
        "path-too-short",
        "The first hash of the path is left out.",
        "Index and size fix its length.",
        lambda made: replace(made.inclusion_proof(0), audit_path=made.inclusion_proof(0).audit_path[1:]),
        attack=8,
    ),
    proof(
        "path-too-long",
        "A hash of zeros is added to the path.",
        "Index and size fix its length.",
        lambda made: replace(made.inclusion_proof(0), audit_path=(*made.inclusion_proof(0).audit_path, "00" * 32)),
        attack=8,
    ),
    proof(
        "path-empty", "The path is empty, the size is said to be 1.", "The signed size is 3.", _root_itself, attack=8
    ),
    proof("path-of-another", "The path is that of the second account.", "It leads elsewhere.", _second_path, attack=8),
    proof("path-reversed", "The path's hashes are in reverse order.", "It leads elsewhere.", _reversed, attack=8),
    proof(
        "index-of-another",
        "The index is that of the second account.",
        "Left and right are by the index.",
        changed(leaf_index=1),
        attack=8,
    ),
    proof(
        "index-outside", "The index is 3, of 3 accounts.", "They are counted from 0.", changed(leaf_index=3), attack=12
    ),
    proof("index-negative", "The index is -1.", "They are counted from 0.", changed(leaf_index=-1), attack=4),
    proof(
        "index-2-53",
        "The index is 2^53.",
        "Not exact in every JSON reader, and far outside.",
        text(lambda plain: plain.update(leaf_index=2**53)),
        attack=12,
    ),
    proof(
        "index-2-64",
        "The index is 2^64, which is 0 in 64 bits.",
        "It is outside of the tree.",
        text(lambda plain: plain.update(leaf_index=2**64)),
        attack=12,
    ),
    proof(
        "index-fraction",
        "The index is 0.0.",
        "It is an integer.",
        lambda made: replaced('"leaf_index":0', '"leaf_index":0.0')(to_json(first(made))),
        attack=17,
    ),
    proof("index-as-text", 'The index is "0".', "It is an integer.", text(lambda plain: plain.update(leaf_index="0"))),
    proof(
        "index-as-false", "The index is false.", "It is an integer.", text(lambda plain: plain.update(leaf_index=False))
    ),
    proof("size-larger", "The size is 4.", "The signed size is 3.", changed(tree_size=4), attack=7),
    proof("size-smaller", "The size is 2.", "The signed size is 3.", changed(tree_size=2), attack=7),
    proof("size-zero", "The size is 0.", "The signed size is 3.", changed(tree_size=0), attack=12),
    proof("root-other", "The root is another one.", "It is not the signed one.", changed(root="00" * 32), attack=2),
    proof(
        "period-other",
        "The proof says that it is of the week before.",
        "It is of another statement.",
        changed(period="2026-W46"),
        attack=15,
    ),
    proof(
        "revision-other",
        "The proof says that it is of revision 1.",
        "It is of another statement.",
        changed(revision=1),
        attack=15,
    ),
    *(
        proof(
            f"hash-of-{4 * length}-bits",
            f"A hash of the path has {4 * length} bits.",
            "A hash has 256 bits.",
            text(lambda plain, n=length: plain["audit_path"].__setitem__(0, (plain["audit_path"][0] * 2)[:n])),
            attack=5,
        )
        for length in (0, 16, 32, 62, 66)
    ),
    proof(
        "hash-in-capitals",
        "A hash of the path is in capital letters.",
        "It has one spelling.",
        text(lambda plain: plain["audit_path"].__setitem__(0, plain["audit_path"][0].upper())),
        attack=5,
    ),
    proof(
        "root-of-128-bits",
        "The root has 128 bits.",
        "A hash has 256 bits.",
        text(lambda plain: plain.update(root=plain["root"][:32])),
        attack=5,
    ),
    proof(
        "name-twice",
        "The index is there twice: 1, then 0.",
        "Readers differ in which one they take.",
        lambda made: replaced('"leaf_index":0', '"leaf_index":1,"leaf_index":0')(to_json(first(made))),
        attack=24,
    ),
    proof(
        "field-unknown",
        "The proof has a field that there is not.",
        "What is not known could change its meaning.",
        text(lambda plain: plain.update(trust="me")),
    ),
    proof(
        "leaf-not-base64", "The leaf is no base64.", "It cannot be read.", text(lambda plain: plain.update(leaf="{}"))
    ),
    proof(
        "leaf-with-line-break",
        "The leaf's base64 is broken into lines.",
        "It has one spelling.",
        text(lambda plain: plain.update(leaf=plain["leaf"][:40] + "\n" + plain["leaf"][40:])),
    ),
    proof("is-empty", "The proof file is empty.", "Nothing is proven.", lambda made: b"", attack=11),
    proof("is-null", "The proof file is null.", "Nothing is proven.", lambda made: b"null\n", attack=11),
    proof("is-empty-object", "The proof file is {}.", "Nothing is proven.", lambda made: b"{}\n", attack=11),
    proof(
        "nested-deeply",
        "The proof file is 20,000 opening brackets.",
        "It is no proof.",
        lambda made: b"[" * 20_000,
        attack=24,
    ),
    proof(
        "is-large",
        "The proof file has 20,000 characters of garbage.",
        "It is no proof.",
        lambda made: b'{"format":"' + b"A" * 20_000 + b'"}',
        attack=24,
    ),
    proof(
        "statement-by-strangers",
        "The proof is right, the statement signed by strangers.",
        "Then nobody whom the reader trusts says so.",
        first,
        three(signers=(7, 8)),
        attack=14,
        fails=["signatures"],
    ),
    proof(
        "statement-of-the-future",
        "The envelope alone is at hand, and its cutoff is not yet.",
        "Nobody knows a balance before its time.",
        first,
        at="2026-11-22T12:00:00Z",
        alone=True,
    ),
    proof(
        "statement-too-old",
        "The proof is right, and the statement older than the reader accepts.",
        "The trust file's maximum age is of every statement.",
        first,
        attack=15,
        trust=replace(SMALL_TRUST, maximum_age_seconds=60),
        fails=["freshness"],
    ),
    proof(
        "statement-without-its-witnesses",
        "The proof is right, and no witness cosigned the log.",
        "Below the reader's threshold a rewritten log goes unseen.",
        first,
        three(witnesses=()),
        attack=20,
        fails=["witnesses"],
    ),
    proof(
        "statement-whose-history-is-demanded",
        "The proof is right; the reader demands the log's history, and the log is not at hand.",
        "A demanded check that is skipped is no success.",
        first,
        attack=11,
        trust=replace(SMALL_TRUST, demands=("history",)),
        fails=[],
        unmet=["history"],
    ),
    proof(
        "statement-of-another-issuer",
        "The envelope alone is at hand, and it is another issuer's.",
        "The reader expects one issuer.",
        first,
        alone=True,
        trust=replace(SMALL_TRUST, issuer="Another Issuer Ltd"),
        attack=21,
    ),
    proof(
        "statement-not-in-the-log",
        "The proof is right, the statement is in another log.",
        "It may have been made for this reader alone.",
        first,
        three(log_name="example.com/other"),
        attack=20,
        fails=["log-inclusion", "witnesses"],
    ),
    proof(
        "statement-withholds-the-token",
        "The account backs a token of which the statement gives no reserve.",
        "The totals do not count it.",
        lambda made: made.inclusion_proof(0),
        forge(tokens=(EURW, withheld_token(USDW)), alter_leaves=lambda leaves: make_leaves((USDW,))[:1]),
        trust=TRUST,
        attack=9,
    ),
)

_LEAVES: tuple[Case, ...] = (
    committed(
        "negative",
        "The signed tree has a negative balance.",
        "It would lower what others' balances add up to.",
        leaf(minor_units=-1),
        attack=4,
    ),
    committed(
        "minus-zero",
        "The signed tree has a balance of -0.",
        "An amount has one spelling.",
        leaf_bytes(replaced('"minor_units":"120411305"', '"minor_units":"-0"')),
        attack=4,
    ),
    committed(
        "nan",
        "The signed tree has a balance of NaN.",
        "That is no amount.",
        leaf_bytes(replaced('"minor_units":"120411305"', '"minor_units":NaN')),
        attack=4,
    ),
    committed(
        "as-float",
        "The signed tree has a balance as a float.",
        "Floats lose digits.",
        leaf_bytes(replaced('"minor_units":"120411305"', '"minor_units":1204113.06')),
        attack=17,
    ),
    committed(
        "zero",
        "The signed tree has a balance of 0.",
        "An empty account is an account.",
        leaf(minor_units=0),
        attack=12,
        exit_code=0,
    ),
    committed(
        "whole-reserve",
        "One account holds the token's whole reserve.",
        "The boundary is allowed.",
        leaf(minor_units=120_411_307),
        attack=12,
        exit_code=0,
    ),
    committed(
        "above-the-reserve",
        "One account holds one minor unit more than the token's whole reserve.",
        "Balances add up to the total; none is above it.",
        leaf(minor_units=120_411_308),
        attack=12,
    ),
    committed(
        "of-2-256",
        "The signed tree has a balance of 2^256.",
        "It is above the whole reserve.",
        leaf(minor_units=2**256),
        attack=12,
    ),
    committed(
        "of-another-period",
        "The leaf is of the week before.",
        "An old balance under a new signature.",
        leaf(period="2026-W46"),
        attack=15,
    ),
    committed(
        "of-another-token",
        "The leaf backs a token that the statement does not speak of.",
        "No total counts it.",
        leaf(token="XXXW"),
        attack=13,
    ),
    committed(
        "of-another-currency",
        "The leaf is in EUR, and backs USDW.",
        "Another currency, another value.",
        leaf(currency="EUR"),
        attack=13,
    ),
    committed(
        "after-the-cutoff",
        "The balance is of a second after the cutoff.",
        "No balance is from the future.",
        leaf(as_of=bundles.CUTOFF + timedelta(seconds=1)),
        attack=16,
    ),
    committed(
        "at-the-cutoff",
        "The balance is of the cutoff.",
        "The boundary is allowed.",
        leaf(as_of=bundles.CUTOFF),
        attack=16,
        exit_code=0,
    ),
    committed(
        "older-than-the-oldest",
        "The balance is a second older than the oldest that the statement names.",
        "The statement hides how old it is.",
        leaf(as_of=bundles.CUTOFF - timedelta(days=2, seconds=1)),
        attack=16,
    ),
    committed(
        "name-twice",
        "The leaf has its balance twice.",
        "Readers differ in which one they take.",
        leaf_bytes(replaced('"minor_units":', '"minor_units":"1","minor_units":')),
        attack=24,
    ),
    committed(
        "unknown-field",
        "The leaf has a field that there is not.",
        "It could change what the leaf says.",
        leaf_bytes(replaced('"minor_units":', '"lien":"all of it","minor_units":')),
    ),
    committed(
        "newer-format",
        "The leaf is of format 2.",
        "It may mean another thing.",
        leaf_bytes(replaced("attest-reserve-leaf/1", "attest-reserve-leaf/2")),
    ),
    committed(
        "no-json",
        "The leaf is 64 bytes that are no JSON, as two hashes would be.",
        "It says nothing.",
        leaf_bytes(lambda _: b"\x01" * 64),
        attack=8,
    ),
    committed(
        "salt-short",
        "The leaf's salt has 64 bits.",
        "It could be guessed, and with it the balance.",
        leaf_bytes(lambda data: data.replace(data.split(b'"salt":"')[1][:64], b"0" * 16)),
        attack=19,
    ),
    committed(
        "hostile-names",
        "Account and custodian have terminal escapes, HTML and a change of direction.",
        "They are names like any other. What is shown must be escaped.",
        leaf(account=_ACCOUNTS, custodian="<script>alert('bank')</script>\x1b]0;x\x07"),
        attack=25,
        exit_code=0,
    ),
)

CASES: tuple[Case, ...] = (*_VALID, *_HOSTILE, *_LEAVES)
