"""The README's table: each attack on a deployed proof of reserves, what holds against it here, and its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.vectors.cases.case import Case

_BEGIN, _END = "<!-- made by tests.vectors.make -->\n", "<!-- end -->\n"
_SHOWN = 4


@dataclass(frozen=True)
class Attack:
    """``holds``: what must hold. ``why``: why no vector can show it, and where it is tested instead; ``nearest`` are
    the vectors that come closest."""

    what: str
    holds: str
    why: str = ""
    nearest: tuple[str, ...] = ()


ATTACKS: dict[int, Attack] = {
    1: Attack(
        "sibling equivocation in a sum tree that binds only the sum",
        "no sum tree is used: a node binds both children's hashes whole, totals are signed, and recomputed from leaves",
    ),
    2: Attack("root taken from the file that it verifies", "root and size come from the signed statement only"),
    3: Attack("declared total not bound to the root", "any change of a total fails"),
    4: Attack("negative, NaN or -0 balance or sibling", "an amount has one spelling, and none is negative"),
    5: Attack("truncated hashes", "a digest has 256 bits, in one spelling"),
    6: Attack("ambiguous field boundaries", "a leaf is JSON with names: other fields are other bytes"),
    7: Attack("duplicate-last padding (CVE-2012-2459)", "the size is signed; a list and its padded twin differ"),
    8: Attack(
        "inner node as a leaf, wrong depth, path too long or short", "size and index fix the path, prefixes differ"
    ),
    9: Attack(
        "liabilities silently lost",
        "every token, deployment and account that is expected is there, and sums are recomputed",
    ),
    10: Attack("duplicate ids, Unicode and case variants", "names are compared byte for byte; nothing is there twice"),
    11: Attack("vacuous success", "nothing checked, or a demanded check skipped, is exit code 6"),
    12: Attack("overflow at a field's edge", "boundaries hold, and one beyond is refused"),
    13: Attack("netting one asset against another", "each token by itself; swapped totals fail"),
    14: Attack("verifying key or trust root shipped by the prover", "keys come from the reader's trust file only"),
    15: Attack("a period overwritten, replayed, future", "parts of one attestation, of its week, in the past"),
    16: Attack("stale reading accepted", "balances and cutoff have a greatest age"),
    17: Attack("double-counted reserve; float JSON", "nothing counts twice; there are no floats"),
    18: Attack(
        "borrowed assets, constant ownership message",
        "an ownership challenge binds entity, period and nonce; its strength is labelled",
        "the challenge is between custodian and operator, and its proof is evidence that only an auditor sees "
        "(`tests/unit/custody`, `tests/integration/custody/test_ownership_run.py`); a leaf carries the label",
        ("proof/leaf-unknown-field", "bundle/policy-one-origin"),
    ),
    19: Attack("salts reused or weak", "32 random bytes for each leaf and period; no salt is there twice"),
    20: Attack("forged history, re-signed by the operator", "witnesses, the anchor or an earlier checkpoint catch it"),
    21: Attack("another known key, high-s twin, wrong type, PAE confusion", "one form, one type, the keys that count"),
    22: Attack(
        "private data in the public store",
        "a public document has no field for it",
        "it is searched for in the whole public store (`tests/integration/pipeline`); a reader refuses fields that "
        "there are not",
        ("bundle/statement-field-unknown", "proof/field-unknown"),
    ),
    23: Attack(
        "secrets in logs and tracebacks",
        "canary secrets are searched for in all output",
        "a verifier has no secret: it is tested where there are some (`tests/integration/cli/test_secrets.py`)",
        ("bundle/valid-issuer-with-html-and-escapes",),
    ),
    24: Attack(
        "hostile input files",
        "a clear refusal in bounded time and memory; what is shown of a file is escaped "
        "(XML is read by the operator's side only: `tests/integration/custody/test_bounds.py`; zipped bundles: "
        "`tests/unit/verify/test_places.py`)",
    ),
    25: Attack("HTML or script in names", "it is shown escaped: such a bundle can be valid, and must be harmless"),
}


def with_table(readme: str, cases: Sequence[Case]) -> str:
    """The README with its table made anew."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + "\n".join(_rows(cases)) + "\n" + _END + after


def _rows(cases: Sequence[Case]) -> list[str]:
    rows = ["| # | attack | what must hold | vectors |", "| --- | --- | --- | --- |"]
    for number, attack in ATTACKS.items():
        found = [f"{case.kind}/{case.name}" for case in cases if case.attack == number]
        assert bool(found) != bool(attack.nearest), f"attack {number} has both vectors and an excuse, or neither"
        shown = _spread(found or list(attack.nearest))
        text = ", ".join(f"[{path}](v1/{path}.json)" for path in shown)
        if attack.why:
            text = f"none: {attack.why}. Nearest: {text}"
        elif len(found) > len(shown):
            text = f"{len(found)}, among them {text}"
        rows.append(f"| {number} | {attack.what} | {attack.holds} | {text} |")
    return rows


def _spread(paths: list[str]) -> list[str]:
    """Some of many, of as many kinds as there are."""
    by_kind: dict[str, list[str]] = {}
    for path in paths:
        by_kind.setdefault(path.split("/")[0], []).append(path)
    turns = [path for turn in range(_SHOWN) for group in by_kind.values() for path in group[turn : turn + 1]]
    return turns[:_SHOWN]
