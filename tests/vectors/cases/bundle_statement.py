"""Statements that are not well-formed or in which a figure does not follow, signed and logged as if they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from attest.documents import (
    AbandonedAttempt,
    CodeCount,
    DeploymentStatement,
    MerkleCommitment,
    Predicate,
    Supersedes,
    TokenStatement,
)
from attest.merkle.proof import EMPTY_ROOT
from attest.model import Block
from attest.money import UINT256_MAX
from tests.support import bundles
from tests.support.bundles import CHAIN, sufficient_token, withheld_token
from tests.vectors.cases.case import Case, replaced
from tests.vectors.cases.forging import (
    EURW,
    ONE_ACCOUNT,
    SMALL_TRUST,
    USDW,
    bundle,
    chain,
    forge,
    pair,
    predicate,
    small,
    token,
)

Payload = Callable[[bytes], bytes]


def malformed(name: str, description: str, reason: str, payload: Payload, attack: int | None = None) -> Case:
    """The payload's bytes were changed before they were signed."""
    return bundle(
        f"statement-{name}", description, reason, small(alter_payload=payload), attack=attack, fails=["statement"]
    )


def amount(name: str, text: str, reason: str, attack: int = 4) -> Case:
    """The reserve is written as ``text``, JSON and all."""
    return malformed(
        f"amount-{name}",
        f"The reserve of USDW is written {text}.",
        reason,
        replaced('"reserve_minor_units":"120411307"', f'"reserve_minor_units":{text}'),
        attack,
    )


def false(
    name: str,
    description: str,
    reason: str,
    change: Callable[[Predicate], Predicate],
    attack: int | None = None,
    **options: Any,
) -> Case:
    """A figure of the predicate was changed, and nothing that should follow from it inside the statement."""
    return bundle(
        f"statement-{name}",
        description,
        reason,
        small(alter_predicate=change),
        attack=attack,
        fails=["statement"],
        **options,
    )


def _twice(found: Predicate) -> Predicate:
    return replace(found, tokens=(*found.tokens, *found.tokens))


def _shared_deployment(found: Predicate) -> Predicate:
    other = replace(found.tokens[0], token="USDX", deployments=found.tokens[0].deployments)
    return replace(found, tokens=(*found.tokens, other), merkle=replace(found.merkle, size=2))


def _reported_again(**fields: Any) -> Callable[[Predicate], Predicate]:
    """The only report is listed twice, the second time with other fields."""

    def change(found: Predicate) -> Predicate:
        (report,) = found.tokens[0].reports
        return token(reports=(report, replace(report, **fields)))(found)

    return change


def _swapped(*fields: str) -> Callable[[Predicate], Predicate]:
    def swap(found: Predicate) -> Predicate:
        first, second = found.tokens
        return replace(
            found,
            tokens=(
                replace(first, **{field: getattr(second, field) for field in fields}),
                replace(second, **{field: getattr(first, field) for field in fields}),
            ),
        )

    return swap


def _at_the_edge(units: int) -> TokenStatement:
    """A token of 2 decimals, whose units are its minor units."""
    return sufficient_token(decimals=2, minor_units=units, supply=units, accounts=1)


_EDGE_TRUST = replace(
    SMALL_TRUST,
    tokens=(
        replace(
            SMALL_TRUST.tokens[0], decimals=2, deployments=(replace(SMALL_TRUST.tokens[0].deployments[0], decimals=2),)
        ),
    ),
)
_NUMBER = "An amount is a decimal string in its one plain form; what a lenient reader makes of this is anybody's guess."

_JSON: tuple[Case, ...] = (
    malformed("is-no-json", "The signed payload is not JSON.", "It cannot be read.", lambda _: b"reserves: plenty\n"),
    malformed("is-empty", "The signed payload is empty.", "Nothing is stated.", lambda _: b"", 11),
    malformed("is-null", "The signed payload is null.", "Nothing is stated.", lambda _: b"null\n", 11),
    malformed("is-an-array", "The statement stands in an array.", "It must be an object.", lambda p: b"[" + p + b"]"),
    malformed("twice", "Two statements stand behind one another.", "One document, or readers choose.", lambda p: p + p),
    malformed("with-bom", "It begins with a byte order mark.", "JSON has none.", lambda p: b"\xef\xbb\xbf" + p),
    malformed(
        *("in-utf-16", "It is in UTF-16.", "JSON is UTF-8."),
        lambda p: p.decode().encode("utf-16"),
    ),
    malformed(
        *("not-utf-8", "The issuer's name has the byte FF.", "It is not UTF-8."),
        replaced(b'"issuer":"Example', b'"issuer":"\xffxample'),
    ),
    malformed(
        *("half-surrogate", "The issuer's name has half of a surrogate pair.", "That is no character."),
        replaced('"issuer":"Example', r'"issuer":"\ud800Example'),
        24,
    ),
    malformed(
        *("name-twice", "The verdict stands twice: short, then sufficient."),
        "Readers differ in which one they take.",
        replaced('"verdict":"sufficient"', '"verdict":"short","verdict":"sufficient"'),
        24,
    ),
    malformed(
        *("name-twice-escaped", "The verdict stands twice, once in an escaped spelling of its name."),
        "Both names are the same string, and readers differ in which one they take.",
        replaced('"verdict":"sufficient"', r'"\u0076erdict":"short","verdict":"sufficient"'),
        24,
    ),
    malformed(
        *("field-unknown", "A field was added that this version does not have."),
        "What a reader does not know could change what the statement says.",
        replaced('"issuer":', '"guarantee":"full","issuer":'),
    ),
    malformed(
        *("field-missing", "The Merkle root is left out.", "Without it nothing is committed to."),
        lambda p: p.replace(b'"merkle":{"root":"' + p.split(b'"root":"')[1][:64] + b'",', b'"merkle":{'),
    ),
    malformed(
        *("nested-deeply", "The list of disclosures is nested 2,000 deep."),
        "No document is; a parser's stack must not be at the mercy of what it reads.",
        replaced('"disclosures":[]', '"disclosures":' + "[" * 2_000 + "]" * 2_000),
        24,
    ),
    malformed(
        *("trailing-comma", "There is a comma after the last field.", "That is not JSON."), lambda p: p[:-2] + b",}\n"
    ),
    malformed(
        *("number-of-5000-digits", "The revision has 5,000 digits.", "No number here is so long."),
        replaced('"revision":0', '"revision":1' + "0" * 5000),
        24,
    ),
    malformed(
        *("true-as-number", "The revision is false instead of 0.", "In some languages these are equal; here not."),
        replaced('"revision":0', '"revision":false'),
    ),
    malformed(
        *("text-as-number", 'The revision is "0" instead of 0.', "A number is not a text."),
        replaced('"revision":0', '"revision":"0"'),
    ),
    malformed(
        *("fraction-as-number", "The revision is 0.0.", "There are no floating-point numbers in a statement."),
        replaced('"revision":0', '"revision":0.0'),
        17,
    ),
    malformed(
        *("integer-2-53", "The gap to the supply block is 2^53."),
        "Integers from 2^53 on are not exact in every JSON reader.",
        replaced('"supply_gap_seconds":4', '"supply_gap_seconds":9007199254740992'),
        12,
    ),
    malformed(
        *("digest-short", "The Merkle root has 128 bits.", "A digest has 256 bits."),
        lambda p: p.replace(p.split(b'"root":"')[1][:64], p.split(b'"root":"')[1][:32]),
        5,
    ),
    malformed(
        *("digest-in-capitals", "The configuration's digest is in capital letters."),
        "A digest has one spelling.",
        replaced("ab" * 32, "AB" * 32),
    ),
    malformed(
        *("other-type", "It is an in-toto Statement v0.1.", "That is another format."),
        replaced("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"),
        21,
    ),
    malformed(
        *("other-predicate-type", "The predicate is of version 2.", "A newer format may mean another thing."),
        replaced("predicate:reserves:v1", "predicate:reserves:v2"),
        21,
    ),
    malformed(
        *("other-subject", "The subject is called other.json.", "A statement is about reserves.json."),
        replaced('"name":"reserves.json"', '"name":"other.json"'),
    ),
    malformed(
        *("two-subjects", "It has a second subject.", "A statement is about one file."),
        replaced('"subject":[', '"subject":[{"name":"other.json","digest":{"sha256":"' + "00" * 32 + '"}},'),
    ),
    malformed(
        *("no-subject", "It has no subject.", "Then it is about nothing."),
        lambda p: p.replace(p[p.index(b'"subject":[') : p.index(b'"predicateType"')], b'"subject":[],'),
        11,
    ),
    malformed(
        *("time-with-offset", "The cutoff is given in another zone.", "Times are in UTC, in one spelling."),
        replaced('"cutoff":"2026-11-22T23:59:59Z"', '"cutoff":"2026-11-23T00:59:59+01:00"'),
    ),
    malformed(
        *("time-24-00", "The cutoff is at 24:00:00.", "Some readers take that for the next day."),
        replaced('"cutoff":"2026-11-22T23:59:59Z"', '"cutoff":"2026-11-22T24:00:00Z"'),
    ),
    malformed(
        *("time-that-is-none", "The cutoff is on 31 November.", "There is no such day."),
        replaced('"cutoff":"2026-11-22T23:59:59Z"', '"cutoff":"2026-11-31T23:59:59Z"'),
    ),
)

_AMOUNTS: tuple[Case, ...] = (
    amount("negative", '"-1"', "A reserve is not negative."),
    amount("minus-zero", '"-0"', _NUMBER),
    amount("nan", '"NaN"', _NUMBER),
    amount("nan-as-number", "NaN", "NaN is not JSON, and no amount."),
    amount("infinity-as-number", "Infinity", "Infinity is not JSON, and no amount."),
    amount("as-number", "120411307", "An amount is a string: as a JSON number it may lose digits in a reader."),
    amount("as-float", "120411307.0", "A float loses digits.", 17),
    amount("with-exponent", '"1e3"', _NUMBER),
    amount("with-fraction", '"120411307.0"', _NUMBER, 17),
    amount("with-leading-zero", '"0120411307"', _NUMBER),
    amount("with-plus", '"+120411307"', _NUMBER),
    amount("with-space", '" 120411307"', _NUMBER),
    amount("with-newline", r'"120411307\n"', "Some regular expressions' $ matches before a last newline."),
    amount("with-separator", '"120,411,307"', _NUMBER),
    amount("with-underscores", '"120_411_307"', "Python's int() would take it; others would not."),
    amount("hexadecimal", '"0x72D53AB"', _NUMBER),
    amount("arabic-digits", '"١٢٠٤١١٣٠٧"', "Some readers take these for digits; others would not.", 10),
    amount("fullwidth-digits", '"１２０４１１３０７"', "Some readers take these for digits; others would not.", 10),
    amount("empty", '""', _NUMBER),
    amount("null", "null", "A token that is not withheld states its reserve.", 11),
    amount("of-101-digits", '"' + "9" * 101 + '"', "No amount is so long.", 12),
    bundle(
        *("statement-amount-2-256-less-1", "Reserve and supply are 2^256 - 1."),
        "The largest number that the chain can hold is a number like any other.",
        small(tokens=(_at_the_edge(UINT256_MAX),)),
        attack=12,
        trust=_EDGE_TRUST,
        exit_code=0,
    ),
    bundle(
        *("statement-amount-2-256-less-2", "Reserve and supply are 2^256 - 2."),
        "One less than the largest.",
        small(tokens=(_at_the_edge(UINT256_MAX - 1),)),
        attack=12,
        trust=_EDGE_TRUST,
        exit_code=0,
    ),
    bundle(
        *("statement-amount-2-256", "Reserve and supply are 2^256."),
        "The contract could not hold it: it would wrap to 0.",
        small(tokens=(_at_the_edge(UINT256_MAX + 1),)),
        attack=12,
        trust=_EDGE_TRUST,
        fails=["statement"],
    ),
    bundle(
        *("statement-amounts-zero", "Reserve and supply are 0.", "Nothing is issued and nothing is held: sufficient."),
        small(tokens=(_at_the_edge(0),)),
        attack=12,
        trust=_EDGE_TRUST,
        exit_code=0,
    ),
    bundle(
        *("statement-gap-2-53-less-1", "The gas used by the anchoring transaction is 2^53 - 1."),
        "The largest integer that every JSON reader holds exactly.",
        small(
            alter_receipts=lambda r: replace(
                r, receipts=(*r.receipts[:-1], replace(r.receipts[-1], gas_used=2**53 - 1))
            )
        ),
        attack=12,
        exit_code=0,
    ),
)

_FIGURES: tuple[Case, ...] = (
    bundle(
        "statement-verdict-false",
        "The supply is one unit above the reserve, and the verdict is sufficient.",
        "The verdict does not follow from the figures: the token is short.",
        small(
            tokens=(sufficient_token(supply=1_204_113_070_001, accounts=1),),
            alter_predicate=token(verdict="sufficient"),
        ),
        attack=3,
        fails=["statement"],
    ),
    false(
        *("total-raised", "The reserve is one minor unit higher than the units and the surplus that follow from it."),
        "Every total follows from the others, or it is refused.",
        token(reserve_minor_units=120_411_308),
        3,
    ),
    false(
        *("units-raised", "The reserve in token units is one higher than its minor units give."),
        "Units are minor units scaled, and nothing else.",
        token(reserve_units=1_204_113_070_001, surplus_units=4_113_070_001),
        3,
    ),
    false(
        *("remainder-false", "A remainder is stated where the scaling leaves none."),
        "The remainder follows from the scaling.",
        token(remainder_minor_units=1),
        3,
    ),
    false(
        *("surplus-false", "The surplus is one unit too high.", "It is the reserve less the supply."),
        token(surplus_units=4_113_070_001),
        3,
    ),
    false(
        *("ratio-false", "The ratio says 101.0 % where it is 100.3 %.", "It follows from reserve and supply."),
        token(ratio_percent="101.0"),
        3,
    ),
    false(
        *("ratio-missing", "The ratio is left out.", "It follows from reserve and supply."),
        token(ratio_percent=None),
        3,
    ),
    false(
        *("supply-false", "The supply is lower than that of its only deployment."),
        "A token's supply is the sum over its deployments.",
        token(supply_units=1_199_999_999_999, confirm_supply_units=1_199_999_999_999, surplus_units=4_113_070_001),
        9,
    ),
    false(
        *("confirm-supply-ignored", "The supply grew to above the reserve by the confirm block; still sufficient."),
        "The higher of both supplies counts.",
        token(
            confirm_supply_units=1_300_000_000_000,
            deployments=(DeploymentStatement(CHAIN, bundles.USDW, 6, 1_200_000_000_000, 1_300_000_000_000),),
        ),
        3,
    ),
    false(
        *("supply-negative", "A second deployment has a negative supply, which lowers the sum."),
        "No supply is negative.",
        token(
            supply_units=1_199_999_999_000,
            confirm_supply_units=1_199_999_999_000,
            surplus_units=4_113_071_000,
            deployments=(
                DeploymentStatement(CHAIN, bundles.USDW, 6, 1_200_000_000_000, 1_200_000_000_000),
                DeploymentStatement(CHAIN, "0x" + "f7" * 20, 6, -1_000, -1_000),
            ),
        ),
        4,
    ),
    false(
        *("consensus-ignored", "The oracle's consensus is below the supply, and the token is called sufficient."),
        "The lower of the issuer's reserve and the chain's consensus counts.",
        token(consensus__units=1_199_999_999_999),
        3,
    ),
    false(
        *("withheld-with-reserve", "The token is withheld, and states a reserve."),
        "A withheld token states nothing derived from a reserve.",
        token(verdict="withheld", withheld_code="deadline"),
        11,
    ),
    false(
        *("withheld-without-code", "The token is withheld, without a code that says why."),
        "A withheld token says why.",
        lambda p: replace(
            p,
            tokens=(replace(withheld_token(p.tokens[0]), withheld_code=None),),
            merkle=MerkleCommitment(EMPTY_ROOT.hex(), 0),
        ),
        11,
    ),
    *(
        false(
            *(f"withheld-code-{name}", f"The token is withheld with the code {code!r}."),
            "It is shown to people: only the codes that there are can stand there.",
            lambda p, code=code: replace(
                p,
                tokens=(withheld_token(p.tokens[0], code),),
                merkle=MerkleCommitment(EMPTY_ROOT.hex(), 0),
            ),
            25,
        )
        for name, code in (("of-words", "fully backed, see our site"), ("empty", ""), ("in-capitals", "Deadline"))
    ),
    false(
        *("sufficient-without-reserve", "The token is called sufficient and states no reserve."),
        "What is sufficient has a reserve.",
        lambda p: replace(
            p,
            tokens=(replace(withheld_token(p.tokens[0]), verdict="sufficient", withheld_code=None),),
            merkle=MerkleCommitment(EMPTY_ROOT.hex(), 0),
        ),
        11,
    ),
    false(
        *("sufficient-with-code", "The token is sufficient and has a code for being withheld."),
        "It is one or the other.",
        token(withheld_code="deadline"),
    ),
    false(
        *("size-too-large", "The tree has 2 leaves, the token 1 account.", "Every leaf is an account of some token."),
        predicate(merkle=MerkleCommitment("11" * 32, 2)),
        7,
    ),
    false(
        *("size-zero", "The tree is empty, the token has an account.", "Every account is a leaf."),
        predicate(merkle=MerkleCommitment(EMPTY_ROOT.hex(), 0)),
        9,
    ),
    false(
        *("empty-root", "The root is that of no leaves, the size 1.", "Root and size contradict each other."),
        predicate(merkle=MerkleCommitment(EMPTY_ROOT.hex(), 1)),
        7,
    ),
    false(*("no-tokens", "It speaks of no token.", "It says nothing."), predicate(tokens=()), 11),
    false(*("token-twice", "USDW is there twice.", "A reader could take either."), _twice, 10),
    false(
        *("deployment-under-two-tokens", "USDW's contract is listed under USDX too."),
        "The same supply, and the same reserve, would count for two tokens.",
        _shared_deployment,
        17,
    ),
    false(
        *("deployment-twice", "USDW's only deployment is listed twice, in two spellings of its address."),
        "Upper and lower case are one address.",
        lambda p: token(
            deployments=(
                replace(p.tokens[0].deployments[0], supply_units=0, confirm_supply_units=0, address="0x" + "E1" * 20),
                p.tokens[0].deployments[0],
            )
        )(p),
        17,
    ),
    false(
        *("no-deployment", "The token has no deployment, and a supply of 0."),
        "There is no supply to compare with.",
        token(
            deployments=(), supply_units=0, confirm_supply_units=0, surplus_units=1_204_113_070_000, ratio_percent=None
        ),
        11,
    ),
    pair(
        *("statement-totals-swapped", "The two tokens' reserves changed places, with all that follows from them."),
        "Each token's figures must follow from its own.",
        forge(alter_predicate=_swapped("reserve_minor_units", "reserve_units", "surplus_units", "ratio_percent")),
        attack=13,
        fails=["statement"],
    ),
    pair(
        *("statement-tokens-unsorted", "The tokens are not in alphabetical order."),
        "There is one order, so that one statement has one form.",
        forge(tokens=(USDW, EURW)),
        attack=13,
        fails=["statement"],
    ),
    false(
        *("token-name-with-escape", "The token's name has a terminal's escape sequence."),
        "A token's name is letters, digits, dot, dash and underscore.",
        token(token="USDW\x1b[2K"),
        24,
    ),
    false(
        *("token-name-with-html", "The token's name is HTML."),
        "A token's name is letters, digits, dot, dash and underscore.",
        token(token="USDW<img src=x onerror=alert(1)>"),
        25,
    ),
    false(
        *("token-name-in-cyrillic", "The token's name has a Cyrillic letter that looks like a Latin one."),
        "A token's name is ASCII.",
        token(token="USD\u0405"),
        10,
    ),
    false(
        *("token-name-of-65", "The token's name has 65 characters.", "It has at most 64."), token(token="U" * 65), 12
    ),
    false(*("currency-in-small-letters", "The currency is usd.", "It is USD, or another."), token(currency="usd"), 10),
    false(*("decimals-37", "The token has 37 decimals.", "At most 36 are taken."), token(decimals=37), 12),
    false(*("exponent-5", "The currency has 5 decimals.", "At most 4 are taken."), token(exponent=5), 12),
    false(*("exponent-negative", "The currency has -1 decimals.", "None are negative."), token(exponent=-1), 12),
    false(
        *("address-malformed", "A reporter's address has 39 digits.", "It has 40."),
        lambda p: token(reports=(replace(p.tokens[0].reports[0], reporter="0x" + "d" * 39),))(p),
    ),
    false(
        *("dissent-hidden", "One of three sources dissented, which the policy in force does not allow."),
        "The count of dissent is above what the policy allows.",
        token(agreement__dissent=1, agreement__sources_counted=2),
    ),
    false(
        *("sources-below-policy", "Each account has 1 source, the policy in force asks for 2."),
        "The agreement does not meet the policy that it names.",
        token(agreement__fewest_sources=1, agreement__sources_counted=1),
    ),
    false(
        *("waiver-of-more-accounts", "2 accounts are under a waiver, the token has 1."),
        "A waiver counts accounts that are there.",
        token(agreement__waivers=(CodeCount("single-feed", 2),)),
    ),
    bundle(
        *("statement-waivers-of-more-accounts", "Two accounts; two are under one waiver, and two under another."),
        "Each account is under one waiver at most.",
        small(
            tokens=(sufficient_token(accounts=2),),
            alter_predicate=token(
                agreement__waivers=(CodeCount("single-custodian", 2), CodeCount("single-feed", 2)),
            ),
        ),
        fails=["statement"],
    ),
    false(
        *("waiver-twice", "One waiver is listed twice.", "Each code is there once."),
        token(agreement__waivers=(CodeCount("single-feed", 1), CodeCount("single-feed", 1))),
    ),
    false(
        *("balance-after-cutoff", "The oldest balance is of after the cutoff.", "No balance is from the future."),
        token(oldest_as_of=bundles.CUTOFF + timedelta(seconds=1)),
        16,
    ),
    false(
        *("balance-too-old", "The oldest balance is a second older than the policy in force allows."),
        "A stale reading behind a fresh signature.",
        token(oldest_as_of=bundles.CUTOFF - timedelta(seconds=96 * 3600 + 1)),
        16,
    ),
    bundle(
        "statement-balance-just-in-time",
        "The oldest balance is exactly as old as the policy in force allows.",
        "The boundary is allowed.",
        small(alter_predicate=token(oldest_as_of=bundles.CUTOFF - timedelta(hours=96))),
        attack=16,
        exit_code=0,
    ),
    false(
        *("quorum-met-by-too-few", "The quorum of 2 is called met by 1 report.", "1 is fewer than 2."),
        token(consensus__reports=1),
    ),
    false(
        *("report-after-confirm", "A report was mined after the confirm block.", "It was not there to be read."),
        lambda p: token(reports=(replace(p.tokens[0].reports[0], block_number=111),))(p),
    ),
    false(
        *("reporter-twice", "One reporter's two transactions count as two reports."),
        "A reporter speaks once.",
        _reported_again(reporter="0x" + "D1" * 20, transaction="11" * 32),
        17,
    ),
    false(
        *("transaction-twice", "One transaction is listed under two reporters.", "It has one sender."),
        _reported_again(reporter="0x" + "d2" * 20),
        17,
    ),
    false(
        *("gap-false", "The supply block is said to be 5 seconds before the cutoff; it is 4."),
        "The gap follows from both times.",
        chain(supply_gap_seconds=5),
    ),
    false(
        *("supply-after-cutoff", "The supply was read a second after the cutoff.", "It is read at or before it."),
        chain(supply__timestamp=int(bundles.CUTOFF.timestamp()) + 1, supply_gap_seconds=-1),
        16,
    ),
    false(
        *("confirm-before-supply", "The confirm block is before the supply block.", "It comes after."),
        chain(confirm__number=99),
    ),
    false(
        *("block-of-another-chain", "The supply block is of another chain than it is listed under."),
        "A block is of its chain.",
        chain(supply__chain_id=1),
    ),
    false(
        *("chain-twice", "The chain is listed twice, with two supply blocks.", "A reader could take either."),
        lambda p: replace(p, chains=(p.chains[0], p.chains[0])),
    ),
    false(
        *("one-block-two-hashes", "Supply and confirm block have one number and two hashes."),
        "A number is one block.",
        lambda p: chain(confirm=Block(CHAIN, 100, "00" * 32, p.chains[0].confirm.timestamp))(p),
    ),
    false(
        *("attempt-hidden", "It is attempt 3, and one abandoned attempt is listed."),
        "Every attempt before is listed, with its reason.",
        predicate(attempt=3, abandoned=(AbandonedAttempt(1, "a wrong file"),)),
    ),
    false(
        *("attempt-2-53-less-1", "It is attempt 2^53 - 1, and lists no abandoned one."),
        "Every attempt before is listed. To find that out takes no list of so many numbers.",
        predicate(attempt=2**53 - 1),
        24,
    ),
    false(
        *("attempt-100-million", "It is attempt 100,000,000, and lists no abandoned one."),
        "Every attempt before is listed. To find that out takes no list of so many numbers.",
        predicate(attempt=100_000_000),
        24,
    ),
    false(
        *("attempt-without-reason", "An abandoned attempt has a blank reason.", "It says why."),
        predicate(attempt=2, abandoned=(AbandonedAttempt(1, " "),)),
    ),
    malformed(
        *("revision-negative", "It is revision -1.", "They are counted from 0."),
        replaced('"revision":0', '"revision":-1'),
        15,
    ),
    false(
        *("revision-replaces-nothing", "It is revision 1, and does not say which statement it replaces."),
        "Every revision but the first names the statement that it supersedes.",
        predicate(revision=1),
        15,
    ),
    false(
        *("first-replaces-another", "It is revision 0 and supersedes a statement.", "There is none before it."),
        predicate(supersedes=Supersedes("00" * 32, "revision", "a correction")),
        15,
    ),
    false(
        *("revision-without-reason", "A revision gives a blank reason.", "It says why."),
        predicate(revision=1, supersedes=Supersedes("00" * 32, "revision", " ")),
        15,
    ),
    false(
        *("revocation-with-reserve", "A revocation states a reserve.", "It puts the period out of force, whole."),
        predicate(revision=1, supersedes=Supersedes("00" * 32, "revocation", "a forged letter")),
        15,
    ),
    false(
        *("revoked-without-revocation", "A token is withheld as revoked, in a statement that revokes nothing."),
        "Only a revocation does that.",
        lambda p: replace(
            p, tokens=(withheld_token(p.tokens[0], "revoked"),), merkle=MerkleCommitment(EMPTY_ROOT.hex(), 0)
        ),
        15,
    ),
    false(*("issuer-empty", "The issuer has no name.", "Somebody states it."), predicate(issuer=""), 11),
    false(
        *("issuer-of-201", "The issuer's name has 201 characters.", "It has at most 200."),
        predicate(issuer="x" * 201),
        12,
    ),
    false(*("period-malformed", "The period is 2026-W7.", "It is 2026-W07."), predicate(period="2026-W7"), 15),
    false(*("period-that-is-none", "The period is 2025-W53.", "2025 has 52 weeks."), predicate(period="2025-W53"), 15),
    false(
        *("period-in-arabic-digits", "The period is written in Arabic digits.", "It is ASCII."),
        predicate(period="٢٠٢٦-W٤٧"),
        10,
    ),
)

_SUFFICIENCY: tuple[Case, ...] = (
    bundle(
        *("coverage-exact", "Reserve and supply are equal.", "The reserve is at least the supply."),
        small(tokens=(sufficient_token(supply=1_204_113_070_000, accounts=1),)),
        attack=12,
        exit_code=0,
    ),
    bundle(
        *("coverage-short-by-one", "The reserve is one unit below the supply, and the statement says so."),
        "In order, and short: exit code 4. The ratio, 99.9 %, is floored.",
        small(tokens=(sufficient_token(supply=1_204_113_070_001, accounts=1),)),
        attack=12,
        exit_code=4,
    ),
    pair(
        *("coverage-not-netted", "USDW is short by one unit, EURW has ten billion more than it needs."),
        "One token's surplus never makes up for another's shortfall.",
        forge(
            tokens=(
                sufficient_token("EURW", "EUR", bundles.EURW, decimals=2, minor_units=10**12, supply=1, accounts=1),
                sufficient_token(supply=1_204_113_070_001),
            )
        ),
        attack=13,
        exit_code=4,
    ),
    pair(
        *("coverage-withheld", "USDW is withheld, EURW sufficient.", "In order, and one reserve is not stated."),
        forge(tokens=(EURW, withheld_token(USDW))),
        exit_code=4,
    ),
    pair(
        *("coverage-short-and-withheld", "EURW is withheld, USDW short.", "Both are said; short comes first."),
        forge(tokens=(withheld_token(EURW), sufficient_token(supply=2 * 10**12))),
        exit_code=4,
    ),
    bundle(
        *(
            "coverage-all-withheld",
            "Every token is withheld: nothing is attested.",
            "In order, and nothing is attested.",
        ),
        small(tokens=(withheld_token(ONE_ACCOUNT),)),
        attack=11,
        exit_code=4,
    ),
    bundle(
        *("coverage-all-missed", "Nothing was attested at all for this period, says the statement."),
        "In order, and nobody's reserve is.",
        small(tokens=(withheld_token(ONE_ACCOUNT, "missed"),)),
        attack=15,
        exit_code=4,
    ),
    bundle(
        *("coverage-consensus-counts", "The oracle's consensus is lower than the issuer's own reserve, and enough."),
        "The lower one counts.",
        small(tokens=(sufficient_token(consensus=1_200_000_000_000, accounts=1),)),
        exit_code=0,
    ),
    bundle(
        *("coverage-consensus-short", "The oracle's consensus is below the supply, the issuer's own reserve above it."),
        "The lower one counts: short.",
        small(tokens=(sufficient_token(consensus=1_199_999_999_999, accounts=1),)),
        exit_code=4,
    ),
    bundle(
        *("coverage-revision", "A revision that supersedes an earlier statement."),
        "In order; whether it is the newest, only the log's entries show.",
        small(alter_predicate=predicate(revision=1, supersedes=Supersedes("12" * 32, "revision", "a wrong rate"))),
        attack=15,
        exit_code=0,
    ),
    bundle(
        *("coverage-revocation", "A revocation: every token is withheld as revoked."),
        "In order, and nothing is attested.",
        small(
            tokens=(withheld_token(ONE_ACCOUNT, "revoked"),),
            alter_predicate=predicate(revision=1, supersedes=Supersedes("12" * 32, "revocation", "a forged letter")),
        ),
        attack=15,
        exit_code=4,
    ),
    bundle(
        *("coverage-no-supply", "Nothing is issued; the reserve is what it was."),
        "There is no ratio to a supply of 0.",
        small(tokens=(sufficient_token(supply=0, accounts=1),)),
        attack=12,
        exit_code=0,
    ),
)

CASES: tuple[Case, ...] = (*_JSON, *_AMOUNTS, *_FIGURES, *_SUFFICIENCY)
