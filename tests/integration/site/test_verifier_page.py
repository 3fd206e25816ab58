"""The verifier page in a real browser: it says what ``attest verify`` says, to everybody, and asks nobody."""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as BrowserPage

from attest.log.checkpoint import Checkpoint
from attest.log.note import parse_vkey, sign_note
from attest.log.reader import LogReader
from attest.log.tiles import TILE_WIDTH, Edge, tile_path
from attest.merkle.proof import leaf_hash
from attest.model import ReserveLeaf, ReserveLeaves
from attest.publish.site.verifier_page import verifier_page
from attest.records import encode_base64, format_instant, from_json, to_json
from attest.verify.case import Case
from attest.verify.trust import Trust
from attest.verify.verifier import CHECKS, judge
from tests.integration.site.test_dashboard import served
from tests.support import bundles
from tests.support.bundles import Forge
from tests.support.commands import attest
from tests.unit.verify.test_checks import FAILS
from tests.unit.verify.test_history import FILES as FILES_IN_LOG
from tests.unit.verify.test_history import LOG, MONDAY, OWN, W45, W48, statement
from tests.unit.verify.test_history import TRUST as TRUST_OF_LOG

pytestmark = pytest.mark.requires("chromium", "apt-get install chromium")

ROOT = Path(__file__).parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
VECTORS = sorted((ROOT / "tests" / "vectors" / "v1").rglob("*.json"))
ASK = re.sub(r"^//.*\n", "", Path(__file__).with_name("verifier_page.js").read_text(encoding="utf-8"), flags=re.M)
AT = "2026-11-24T08:00:00Z"
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
HOSTILE = "<img src=x onerror=alert(1)>\u202eevil\x1b[31m"
#: What a browser cannot check, it skips in words of its own.
ONLY_ELSEWHERE = {"chain-proof", "chain-rpc", "timestamp", "evidence"}
#: How to get a skipped check done is said for the place where one is.
ADVISED_APART = {"consistency", "history", "leaves"}


@cache
def trust() -> Trust:
    """The trust file that the unchanged bundle passes where no chain is checked."""
    return replace(bundles.trust(), demands=("witnesses", "independent"))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as somebody saved it."""
    file = tmp_path_factory.mktemp("page") / "verify.html"
    file.write_bytes(verifier_page())
    return file


@pytest.fixture(scope="module")
def page(chromium: Browser, page_file: Path) -> Iterator[BrowserPage]:
    """The page opened from disk, to be asked through its programming interface."""
    opened = chromium.new_page()
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()


def ask(page: BrowserPage, kind: str, given: Mapping[str, Any], at: str | None = AT) -> Any:
    found = page.evaluate(ASK, {"kind": kind, "input": given, "at": at})
    assert "broken" not in found, found
    return found


def encoded(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: encode_base64(data) for name, data in files.items()}


def comparable(report: Mapping[str, Any]) -> Any:
    """A report without the words that may differ: of checks that only one side makes, and of a JSON parser."""
    plain = json.loads(json.dumps(report))
    for check in plain["checks"]:
        check["detail"] = re.sub(r"is not JSON \(.*\)", "is not JSON", check["detail"])
        if check["name"] in ONLY_ELSEWHERE:
            del check["detail"], check["advice"]
        elif check["name"] in ADVISED_APART and check["outcome"] == "skipped":
            del check["advice"]
    return plain


# -- it says what `attest verify` says -------------------------------------------------------------------------------


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({name: change(files[name])})


def payload(old: bytes, new: bytes) -> Forge:
    return Forge(alter_payload=lambda data: data.replace(old, new, 1))


def resigned(change: Callable[[bytes, bytes], bytes]) -> Forge:
    from attest.records import decode_base64

    def alter(envelope: bytes) -> bytes:
        plain = json.loads(envelope)
        for signature in plain["signatures"]:
            signature["sig"] = encode_base64(change(decode_base64(plain["payload"]), decode_base64(signature["sig"])))
        return json.dumps(plain).encode()

    return Forge(alter_envelope=alter)


def high_s(_: bytes, signature: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    from attest.signing.signer import SECP256K1_ORDER

    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, SECP256K1_ORDER - s)


def other_log_proof() -> bytes:
    """A log proof whose last cosignature is over another head."""
    return Forge(log_size=4, log_index=1).files()["attestation.tlog-proof"]


EURW, USDW = Forge().tokens
AMOUNT = b'"reserve_minor_units":"120411307"'
BUNDLES: dict[str, Forge] = {
    "unchanged": Forge(),
    "of an older format": Forge(signed_manifest=False),
    "short": Forge(tokens=(EURW, bundles.sufficient_token(supply=1_300_000_000_000))),
    "withheld": Forge(tokens=(EURW, bundles.withheld_token(USDW))),
    "all withheld": Forge(tokens=tuple(map(bundles.withheld_token, Forge().tokens))),
    "consensus below the reserve": Forge(tokens=(EURW, bundles.sufficient_token(consensus=1_200_000_500_000))),
    "supply to be rounded up": Forge(tokens=(EURW, bundles.sufficient_token(supply=1_200_000_000_001))),
    "one signature": Forge(signers=(1,)),
    "a stranger signed too": Forge(signers=(0, 1, 7)),
    "no witness": Forge(witnesses=()),
    "witness of another log": Forge(
        alter_files=edited(
            "attestation.tlog-proof",
            lambda data: data[: data.rindex("—".encode())] + other_log_proof().splitlines(keepends=True)[-1],
        )
    ),
    "large log": Forge(log_size=1000, log_index=777),
    "single entry": Forge(log_size=1, log_index=0),
    "rehearsal": Forge(alter_predicate=lambda predicate: replace(predicate, clock="pinned")),
    "abandoned and late": Forge(
        alter_predicate=lambda predicate: replace(
            predicate, attempt=2, abandoned=bundles.abandoned(HOSTILE), supply_at="run"
        )
    ),
    "hostile issuer": Forge(alter_predicate=lambda predicate: replace(predicate, issuer=HOSTILE)),
    "no tokens": Forge(alter_predicate=lambda predicate: replace(predicate, tokens=())),
    "other payload type": Forge(payload_type="application/json"),
    "high s": resigned(high_s),
    "another known key": resigned(lambda body, _: bundles.attestor(2).sign(body)),
    "signature with a byte more": resigned(lambda _, signature: signature + b"\0"),
    "signature of a shifted PAE": resigned(lambda body, _: bundles.attestor(0).sign(b"n" + body, "application/x")),
    **{
        f"amount {text}": payload(AMOUNT, AMOUNT.replace(b"120411307", text.encode()))
        for text in ("-1", "-0", "NaN", "1e3", "1.5", "0x10", " 1", "01", "١", "9" * 101)
    },
    **{
        f"amount as number {text}": payload(AMOUNT, AMOUNT.replace(b'"120411307"', text.encode()))
        for text in ("120411307", "NaN", "-Infinity", "1.0", "1e5", "01", "+1")
    },
    "name twice": payload(b'"verdict":"sufficient"', b'"verdict":"short","verdict":"sufficient"'),
    "unknown field": payload(b'"issuer":', b'"extra":1,"issuer":'),
    "field missing": payload(b'"clock":"system",', b""),
    "half a surrogate pair": payload(b"Example Issuer", rb"Example \ud800ssuer"),
    "escaped emoji": payload(b"Example Issuer", rb"Example \ud83d\ude00ssuer"),
    "boolean for a number": payload(b'"revision":0', b'"revision":false'),
    "number beyond 2^53": payload(b'"revision":0', b'"revision":9007199254740993'),
    "time that does not exist": payload(b"2026-11-22T23:59:59Z", b"2026-11-31T23:59:59Z"),
    "leap second": payload(b"2026-11-22T23:59:59Z", b"2026-11-22T23:59:60Z"),
    "false ratio": payload(b'"ratio_percent":"100.3"', b'"ratio_percent":"100.4"'),
    "no such week": payload(b'"period":"2026-W47"', b'"period":"2026-W54"'),
    "spaces in the envelope": Forge(
        alter_envelope=lambda envelope: json.dumps(json.loads(envelope), indent=1).encode()
    ),
    "deep nesting": Forge(alter_files=edited("receipts.json", lambda _: b"[" * 500_000)),
    "huge integer": Forge(alter_files=edited("receipts.json", lambda _: b'{"format":' + b"9" * 500_000 + b"}")),
    "BOM": Forge(alter_files=edited("reserves.json", lambda data: b"\xef\xbb\xbf" + data)),
    "not UTF-8": Forge(alter_files=edited("receipts.json", lambda data: data[:-2] + b"\xff}\n")),
    "CRLF in the log proof": Forge(
        alter_files=edited("attestation.tlog-proof", lambda data: data.replace(b"\n", b"\r\n"))
    ),
    "log proof without its last byte": Forge(alter_files=edited("attestation.tlog-proof", lambda data: data[:-1])),
    "log proof with a hash more": Forge(
        alter_files=edited(
            "attestation.tlog-proof", lambda data: data.replace(b"\n\n", b"\n" + b"A" * 43 + b"=\n\n", 1)
        )
    ),
    "empty file": Forge(alter_files=edited("receipts.json", lambda _: b"")),
    "a file more": Forge(alter_files=lambda files: files.update({"report.html": b"<p>"})),
    **{name: forge for name, (forge, _, _) in FAILS.items()},
}
FILES: dict[str, Callable[[dict[str, bytes]], object]] = {
    "nothing at all": lambda files: files.clear(),
    "unlisted file": lambda files: files.update({"trust.json": b"{}"}),
    "no manifest": lambda files: files.pop("manifest.json"),
    "no signature of the manifest": lambda files: files.pop("manifest.dsse.json"),
    "downgraded manifest": lambda files: files.update({"manifest.json": bundles.manifest(files, signed=False)}),
    "manifest signed as a statement": lambda files: files.update(
        {"manifest.dsse.json": files["attestation.dsse.json"]}
    ),
    "manifest's envelope with a space": lambda files: files.update(
        {"manifest.dsse.json": files["manifest.dsse.json"].replace(b",", b", ", 1)}
    ),
    "manifest signed by a stranger": lambda files: files.update(bundles.sealed(files, signers=(7,))),
    "odd name": lambda files: files.update({"..": b""}),
    "too many files": lambda files: files.update({f"f{number}": b"" for number in range(64)}),
    "too large a file": lambda files: files.update({"reserves.json": bytes((1 << 20) + 1)}),
    **{
        f"{name} is {data!r}": lambda files, name=name, data=data: files.update({name: data})  # type: ignore[misc]
        for name in ("manifest.json", "attestation.dsse.json")
        for data in (b"", b"null", b"[]", b"{}", b"\x00", b'{"a":1}', b'"\\x"')
    },
}
TRUSTS: dict[str, Callable[[Trust], Trust]] = {
    "revoked": lambda trust: replace(trust, revoked=(judged_by_python(Forge().files()).statement or "",)),
    "key retired": lambda trust: replace(
        trust, attestors=(replace(trust.attestors[0], valid_until="2026-W46"), *trust.attestors[1:])
    ),
    "key of the future": lambda trust: replace(
        trust, attestors=(replace(trust.attestors[0], valid_from="2026-W48"), *trust.attestors[1:])
    ),
    "one key twice": lambda trust: replace(
        trust, attestors=(*trust.attestors, replace(trust.attestors[0], name="again"))
    ),
    "any age": lambda trust: replace(trust, maximum_age_seconds=None),
    "one day": lambda trust: replace(trust, maximum_age_seconds=86_400),
    "no witness": lambda trust: replace(trust, witnesses=replace(trust.witnesses, threshold=0, vkeys=())),
    "all demands": lambda trust: replace(
        trust, demands=("chain", "leaves", "evidence", "consistency", "history", "timestamp")
    ),
}


def judged_by_python(
    files: Mapping[str, bytes], by: Trust | None = None, at: datetime = bundles.NOW, **more: Any
) -> Any:
    from attest.errors import VerificationError
    from attest.verify.bundle import MAX_FILES, collect, refuse

    def read(name: str, limit: int) -> bytes:
        if len(files[name]) > limit:
            raise refuse(f"{name!r} has more than {limit} bytes")
        return files[name]

    try:
        if len(files) > MAX_FILES:
            raise refuse(f"the folder has more than {MAX_FILES} entries")
        collect(files, read)
    except VerificationError as fault:
        return judge(Case({}, by or trust(), at, fault=fault, **more))
    return judge(Case(files, by or trust(), at, **more))


def assert_same(
    page: BrowserPage,
    files: Mapping[str, bytes],
    by: Trust | None = None,
    *,
    leaves: bytes | None = None,
    since: bytes | None = None,
    log: Mapping[str, bytes] | None = None,
    at: datetime = bundles.NOW,
) -> None:
    given = {"trust": to_json(by or trust()).decode(), "bundle": encoded(files)}
    given |= {name: encode_base64(data) for name, data in (("leaves", leaves), ("since", since)) if data is not None}
    if log is not None:
        given["log"] = encoded(log)
    reader = None if log is None else LogReader(log.get, parse_vkey(bundles.LOG_VKEY), "the log")
    expected = judged_by_python(files, by, leaves_file=leaves, since=since, log=reader, at=at).as_json()

    found = ask(page, "bundle", given, format_instant(at))

    here = [check.name for check in CHECKS]
    assert [check["name"] for check in found["checks"] if check["name"] in here] == here
    found["checks"] = [check for check in found["checks"] if check["name"] in here]
    assert comparable(found) == comparable(expected)


@pytest.mark.parametrize("name", BUNDLES)
def test_page__bundle__is_judged_as_by_python(page: BrowserPage, name: str) -> None:
    assert_same(page, bundles.without_chain_proof(BUNDLES[name].files()))


@pytest.mark.parametrize("name", FILES)
def test_page__files_changed_after_sealing__are_judged_as_by_python(page: BrowserPage, name: str) -> None:
    files = bundles.without_chain_proof(bundles.standard_files())
    FILES[name](files)
    assert_same(page, files)


@pytest.mark.parametrize("name", TRUSTS)
def test_page__trust_file__is_applied_as_by_python(page: BrowserPage, name: str) -> None:
    assert_same(page, bundles.without_chain_proof(bundles.standard_files()), TRUSTS[name](trust()))


@pytest.mark.parametrize("field", ["vkey", "public_key", "address", "format", "extra"])
def test_page__malformed_trust_file__is_refused(page: BrowserPage, field: str) -> None:
    plain = json.loads(to_json(trust()))
    if field == "vkey":
        plain["log"]["vkey"] = plain["log"]["vkey"][:-4] + "AAA="
    elif field == "public_key":
        plain["attestors"][0]["public_key"] = plain["attestors"][0]["public_key"].replace("M", "N", 1)
    elif field == "address":
        plain["oracle"]["address"] = "0x1"
    else:
        plain[field] = "attest-trust/2"
    given = {"trust": json.dumps(plain), "bundle": encoded(bundles.standard_files())}
    assert ask(page, "bundle", given) == {"refused": "malformed-record"}


def test_page__trust_file_out_of_the_bundle__is_refused(page: BrowserPage) -> None:
    files = {**bundles.standard_files(), "trust.json": to_json(trust())}
    given = {"trust": to_json(trust()).decode(), "bundle": encoded(files)}
    assert ask(page, "bundle", given) == {"refused": "trust-from-bundle"}


IN_LOG = replace(TRUST_OF_LOG, demands=("witnesses", "independent"))
OTHER = statement("2026-W47", software="reserve-attest 0.1.1")
REVISED = statement("2026-W47", 1, replaces=OWN)
LOGS: dict[str, tuple[bytes, ...]] = {
    "complete": LOG,
    "with a later period": (*LOG, W48),
    "with a revision": (*LOG, REVISED),
    "with a revocation": (*LOG, statement("2026-W47", 1, replaces=OWN, kind="revocation")),
    "with a revision of the revision": (*LOG, REVISED, statement("2026-W47", 2, replaces=REVISED)),
    "with a revision of something else": (*LOG, statement("2026-W47", 1, replaces=OTHER)),
    "with a revision missing": (*LOG, statement("2026-W47", 2, replaces=REVISED)),
    "with a second statement of the period": (*LOG, OTHER),
    "with one entry twice": (*LOG, OWN),
    "with an earlier period replaced": (*LOG, statement("2026-W45", 1, replaces=W45)),
    "with a stranger's statement": (*LOG, statement("2026-W48", signers=(7, 8))),
    "with another issuer's statement": (*LOG, statement("2026-W48", issuer="Another Ltd")),
    "with the cutoff of another period": (*LOG, statement("2026-W48", dated="2026-W46")),
    "with one cutoff under two periods": (*LOG, statement("2026-W48", dated="2026-W47")),
    "with something else": (*LOG, b"no statement"),
    "shorter": LOG[:-1],
    "rewritten": (OTHER, *LOG[1:]),
    "empty": (),
}


@pytest.mark.parametrize("name", LOGS)
def test_page__log__is_read_as_by_python(page: BrowserPage, name: str) -> None:
    assert_same(page, bundles.without_chain_proof(FILES_IN_LOG), IN_LOG, log=bundles.log_files(LOGS[name]), at=MONDAY)


def test_page__log_with_a_week_to_come__is_read_as_by_python(page: BrowserPage) -> None:
    log = bundles.log_files((*LOG, W48))
    assert_same(page, bundles.without_chain_proof(FILES_IN_LOG), IN_LOG, log=log)


@pytest.mark.parametrize("cadence", [None, 1, 2])
@pytest.mark.parametrize("earliest", ["2026-W40", "2026-W44"])
def test_page__cadence__is_held_as_by_python(page: BrowserPage, cadence: int | None, earliest: str) -> None:
    by = replace(IN_LOG, cadence_weeks=cadence, earliest_period=earliest)
    assert_same(page, bundles.without_chain_proof(FILES_IN_LOG), by, log=bundles.log_files(LOG))


@pytest.mark.parametrize("missing", ["checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"])
def test_page__log_with_a_file_missing__is_judged_as_by_python(page: BrowserPage, missing: str) -> None:
    log = bundles.log_files((*LOG, W48))
    del log[missing]
    kept = bundles.log_files(LOG[:3])["checkpoint"]
    assert_same(page, bundles.without_chain_proof(FILES_IN_LOG), IN_LOG, log=log, since=kept, at=MONDAY)


@pytest.mark.parametrize("size", range(7))
@pytest.mark.parametrize("log", [None, "complete", "rewritten", "with a later period"])
def test_page__earlier_checkpoint__is_compared_as_by_python(page: BrowserPage, size: int, log: str | None) -> None:
    kept = bundles.log_files((*LOG, W48, REVISED)[:size])["checkpoint"]
    files = None if log is None else bundles.log_files(LOGS[log])
    assert_same(page, bundles.without_chain_proof(FILES_IN_LOG), IN_LOG, since=kept, log=files, at=MONDAY)


def test_page__earlier_checkpoint_by_another_key__is_refused_as_by_python(page: BrowserPage) -> None:
    for kept in (b"", b"no note", bundles.log_files(LOG, key=bundles.note_key("other"))["checkpoint"]):
        assert_same(page, bundles.without_chain_proof(FILES_IN_LOG), IN_LOG, since=kept)


def test_page__log_of_several_tiles__consistency_is_proven_from_its_hash_tiles(page: BrowserPage) -> None:
    sizes = (1, 255, 256, 257, 40_000, 65_536, 65_537, 69_999, 70_000)
    edge = Edge(0, [])
    tiles: dict[str, bytes] = {}
    partial: dict[int, tuple[str, bytes]] = {}
    roots: dict[int, str] = {}
    for size in range(1, sizes[-1] + 1):
        for tile, data in edge.append(leaf_hash(b"entry %d" % size)):
            partial[tile.level] = (tile_path(tile), data)
            if tile.width == TILE_WIDTH:
                tiles[tile_path(tile)] = data
        if size in sizes:
            roots[size] = edge.root.hex()
    tiles |= dict(partial.values())
    answers = page.evaluate(
        """async ({tiles, roots, newest}) => {
          const {bytes, log} = attest;
          const files = new Map(Object.entries(tiles).map(([path, data]) => [path, bytes.fromBase64(data)]));
          const head = (size) => ({size: BigInt(size), root: bytes.fromHex(roots[size])});
          const compare = (size) => new log.LogFiles(files).checkConsistent(head(size), head(newest));
          const said = (size) => compare(size).then(() => "pass", (fault) => fault.message);
          return Promise.all(Object.keys(roots).map(said));
        }""",
        {"tiles": encoded(tiles), "roots": roots, "newest": sizes[-1]},
    )
    assert answers == ["pass"] * len(sizes)


def test_page__names_that_look_the_same__are_those_that_python_folds_together(page: BrowserPage) -> None:
    """Character by character, which is how both fold a text: so the same texts have one key."""
    known = [chr(point) for point in range(0x30000) if unicodedata.category(chr(point)) not in ("Cs", "Cn")]
    normal = [unicodedata.normalize("NFKC", char) for char in known]
    plain = [text.casefold() for text in normal]

    # As one text each way: handing over so many values one by one takes the browser's protocol minutes.
    fold = "(texts) => JSON.stringify(JSON.parse(texts).map(attest.folded))"
    keys, keys_of_plain = (json.loads(page.evaluate(fold, json.dumps(texts))) for texts in (known, plain))

    assert keys == keys_of_plain
    assert [unicodedata.normalize("NFKC", key).casefold() for key in keys] == [
        unicodedata.normalize("NFKC", text).casefold() for text in plain
    ]


def leaves_file(leaves: Sequence[bytes], period: str = bundles.PERIOD) -> bytes:
    return to_json(ReserveLeaves("attest-leaves/1", period, 0, tuple(map(encode_base64, leaves))))


def test_page__leaves__are_added_up_as_by_python(page: BrowserPage) -> None:
    forge = Forge()
    files = bundles.without_chain_proof(forge.files())
    first, second, third = forge.leaves
    for data in (
        leaves_file(forge.leaves),
        leaves_file([first, second]),
        leaves_file([second, first, third]),
        leaves_file([first, second, second]),
        leaves_file([first.replace(b"84050000", b"84050001"), second, third]),
        leaves_file(forge.leaves, "2026-W46"),
        leaves_file([]),
        leaves_file(forge.leaves).replace(b'"leaves":["', b'"leaves":["*'),
        b"",
        b"{}",
    ):
        assert_same(page, files, leaves=data)


@pytest.mark.parametrize("added", ["\u00ad", "\u200b", "\u00a0", "\u2029", "\ue000", "\n", "\u0378", " ", "\u1e9e"])
def test_page__account_that_may_not_print__is_judged_as_by_python(page: BrowserPage, added: str) -> None:
    forge = Forge(alter_leaves=lambda leaves: [changed_account(leaves[0], added), *leaves[1:]])
    files = bundles.without_chain_proof(forge.files())
    assert_same(page, files, leaves=leaves_file(forge.leaves))


def changed_account(data: bytes, added: str) -> bytes:
    leaf = from_json(ReserveLeaf, data, "leaf")
    return to_json(replace(leaf, account=leaf.account + added))


def proofs() -> dict[str, tuple[dict[str, bytes], bytes]]:
    """Statement and proof, by what is special about them."""
    forge = Forge()
    files = bundles.without_chain_proof(forge.files())
    own = [forge.inclusion_proof(index) for index in range(3)]
    changed = {
        "path shorter": replace(own[0], audit_path=own[0].audit_path[1:]),
        "path longer": replace(own[0], audit_path=(*own[0].audit_path, "00" * 32)),
        "another index": replace(own[0], leaf_index=2),
        "negative index": replace(own[0], leaf_index=-1),
        "index outside": replace(own[0], leaf_index=3),
        "another size": replace(own[0], tree_size=4),
        "another period": replace(own[0], period="2026-W46"),
        "an inner node": replace(own[0], leaf=encode_base64(b"".join(map(bytes.fromhex, own[0].audit_path)))),
        "a leaf of another tree": replace(own[0], leaf=own[1].leaf),
    }
    return {
        **{f"leaf {index}": (files, to_json(proof)) for index, proof in enumerate(own)},
        "envelope alone": ({"attestation.dsse.json": files["attestation.dsse.json"]}, to_json(own[0])),
        "tampered bundle": ({**files, "reserves.json": b"{}"}, to_json(own[0])),
        "no JSON": (files, b"proof"),
        "short hash": (files, to_json(own[0]).replace(own[0].audit_path[0].encode(), b"ab" * 16)),
        **{name: (files, to_json(proof)) for name, proof in changed.items()},
    }


#: Trust files under which a proof shows nothing, or leaves something open.
TRUSTS_OF_PROOF: dict[str, Callable[[Trust], Trust]] = {
    "one minute": lambda trust: replace(trust, maximum_age_seconds=60),
    "no independence": lambda trust: replace(trust, witnesses=replace(trust.witnesses, threshold=0, vkeys=())),
    "an independent chain": lambda trust: replace(
        TRUSTS_OF_PROOF["no independence"](trust),
        chains=tuple(replace(chain, independent=True) for chain in trust.chains),
    ),
}


@pytest.mark.parametrize(
    ("name", "by"),
    [
        *((name, None) for name in proofs()),
        *((name, by) for name in ("leaf 0", "envelope alone") for by in [*TRUSTS_OF_PROOF, "all demands"]),
    ],
)
def test_page__proof__is_judged_as_by_python(page: BrowserPage, name: str, by: str | None, tmp_path: Path) -> None:
    files, proof = proofs()[name]
    trusted = trust() if by is None else (TRUSTS | TRUSTS_OF_PROOF)[by](trust())
    (tmp_path / "proof.json").write_bytes(proof)
    statement = bundles.write(files, tmp_path / "bundle")
    if len(files) == 1:
        statement /= "attestation.dsse.json"
    (tmp_path / "trust.json").write_bytes(to_json(trusted))
    said = attest(
        *("verify-proof", tmp_path / "proof.json", "--statement", statement, "--trust", tmp_path / "trust.json"),
        *("--no-state", "--at", AT, "--json"),
    )

    given = {"trust": to_json(trusted).decode(), "statement": encoded(files), "proof": encode_base64(proof)}

    assert comparable(ask(page, "proof", given)) == comparable(said.document)


@pytest.mark.skipif(not VECTORS, reason="there are no vectors")
def test_page__every_vector__ends_as_expected(page: BrowserPage) -> None:
    for path in VECTORS:
        vector = json.loads(path.read_bytes())
        expected = vector["expected"]
        found = ask(page, vector["kind"], vector["input"], vector.get("at"))
        code = found.get("exit_code", 6 if "refused" in found else 0)
        assert ("invalid" if code == 6 else "valid") == expected["verdict"], path.name
        if "checks" in expected:
            assert code == expected["exit_code"], path.name
            assert {check["name"]: check["outcome"] for check in found["checks"]} == expected["checks"], path.name
        if "answers" in expected:
            assert {answer["name"]: answer["answer"] for answer in found["answers"]} == expected["answers"], path.name
            assert {token["token"]: token["state"] for token in found["tokens"]} == expected["tokens"], path.name


# -- a person at the page --------------------------------------------------------------------------------------------


class Reader:
    """Somebody who opens the page and gives it files; fails the test on any complaint of the browser."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def give(self, *subject: Path, trust: Path | None = None, at: str = AT) -> None:
        """Choose files (or one folder) and the trust file."""
        self.page.get_by_label("Judge as of").fill(at)
        self.page.get_by_label("Judge as of").blur()
        for path in subject:
            label = "Choose a folder" if path.is_dir() else "Choose files or a zip"
            self.page.get_by_label(label).set_input_files(path)
        if trust is not None:
            self.page.get_by_label("Choose a trust file").set_input_files(trust)

    @property
    def status(self) -> Any:
        return self.page.get_by_role("status")

    def open(self, name: str) -> Any:
        """The opened check of that name, its working shown."""
        check = self.page.locator(f"details[data-check='{name}']")
        check.locator("summary").first.click()
        expect(check.get_by_role("heading", name="The rule")).to_be_visible()
        return check


@pytest.fixture
def reader(chromium: Browser, page_file: Path) -> Iterator[Callable[..., Reader]]:
    readers: list[tuple[BrowserContext, Reader]] = []

    def opened(address: str = page_file.as_uri(), **options: Any) -> Reader:
        context = chromium.new_context(**{"viewport": DESK, **options})
        readers.append((context, Reader(context, address)))
        return readers[-1][1]

    yield opened
    for context, each in readers:
        context.close()
        assert each.complaints == []


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A desk with a bundle's folder, an account's proof and a trust file."""
    forge = Forge(log_size=13, log_index=9)
    forge.write(tmp_path / "2026-W47")
    (tmp_path / "usd.proof.json").write_bytes(to_json(forge.inclusion_proof(1)))
    (tmp_path / "leaves.json").write_bytes(leaves_file(forge.leaves))
    (tmp_path / "trust.json").write_bytes(to_json(trust()))
    return tmp_path


def test_page__folder_proof_and_trust_file__answers_sentences_first(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.give(desk / "2026-W47", desk / "usd.proof.json", trust=desk / "trust.json")
    expect(person.status).to_contain_text("Everything that your trust file demands passed.")
    sentences = person.page.locator(".sentence")
    expect(sentences).to_have_count(3)
    expect(sentences.nth(1)).to_contain_text("USDW: 1,204,113.07 USD held against 1,200,000 USDW issued (100.3 %)")
    expect(sentences.nth(2)).to_contain_text("usdw-0 at First Custodian Bank: 1,204,113.06 USD")
    headings = person.page.get_by_role("heading", level=3).all_inner_texts()
    assert headings == [
        "Who said this?",
        "Is it unchanged?",
        "Is it in the public log?",
        "Is my account in it?",
        "Does it add up?",
        "Was it reported on chain?",
        "Who else saw it?",
        "Is it recent?",
    ]
    assert person.asked == [person.page.url]


def test_page__audit_path__is_drawn_with_a_text_alternative(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.give(desk / "2026-W47", desk / "usd.proof.json", trust=desk / "trust.json")
    log = person.open("log-inclusion")
    expect(log.get_by_role("img", name=re.compile("over 4 steps"))).to_be_visible()
    assert log.locator("svg.tree .box.way").count() == 5
    assert [box.is_visible() for box in log.locator("svg.tree .box.given").all()] == [True] * 4
    log.get_by_text("The same steps in words").click()
    steps = log.get_by_role("listitem").all_inner_texts()
    assert len(steps) == 6
    assert steps[-1].startswith("This is the root that the log signed: ")
    mine = person.open("inclusion")
    expect(mine.get_by_role("img", name=re.compile("over 2 steps"))).to_be_visible()


def test_page__every_check__opens_to_its_rule(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.give(desk / "2026-W47", desk / "usd.proof.json", desk / "leaves.json", trust=desk / "trust.json")
    expect(person.status).to_contain_text("passed")
    names = person.page.locator("details.check").evaluate_all("all => all.map(each => each.dataset.check)")
    assert {"leaves", "inclusion", "files", "chain-proof"} <= set(names)
    for name in names:
        assert len(person.open(name).inner_text()) > 100


def test_page__zip__is_read_like_its_folder(reader: Callable[..., Reader], desk: Path) -> None:
    with zipfile.ZipFile(desk / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (desk / "2026-W47").iterdir():
            archive.write(file, f"2026-W47/{file.name}")
    person = reader()
    person.give(desk / "bundle.zip", trust=desk / "trust.json")
    expect(person.status).to_contain_text("Everything that your trust file demands passed.")


def zipped(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path.read_bytes()


ZIPS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "path out of its folder": (lambda path: zipped(path, ("../evil", b"x")), "has a file named"),
    "absolute path": (lambda path: zipped(path, ("/etc/passwd", b"x")), "has a file named"),
    "one name twice": (lambda path: zipped(path, ("a", b"x"), ("A", b"y")), "twice"),
    "comment behind it": (lambda path: zipped(path, ("a", b"x")) + b"more", "without a comment"),
    "bytes before it": (lambda path: b"PK\x03\x04" + zipped(path, ("a", b"x")), "beside its files"),
    "too large": (lambda path: zipped(path, *((f"f{n}", bytes(100 << 20)) for n in range(6))), "unpacks to more than"),
    "damaged": (
        lambda path: zipped(path, ("a", b"hello"), method=zipfile.ZIP_STORED).replace(b"hello", b"jello"),
        "is damaged",
    ),
    "says less than it unpacks to": (
        lambda path: zipped(path, ("a", bytes(1 << 20))).replace((1 << 20).to_bytes(4, "little"), b"\x10\0\0\0"),
        "unpacks to more than it says",
    ),
    "unusual method": (lambda path: zipped(path, ("a", b"x" * 99), method=zipfile.ZIP_BZIP2), "packed by method 12"),
    "cut short": (lambda path: zipped(path, ("a", b"x"))[:-5], "does not end"),
}


@pytest.mark.parametrize("name", ZIPS)
def test_page__hostile_zip__is_refused_in_three_lines(reader: Callable[..., Reader], tmp_path: Path, name: str) -> None:
    make, message = ZIPS[name]
    (tmp_path / "made.zip").write_bytes(make(tmp_path / "raw.zip"))
    person = reader()
    person.give(tmp_path / "made.zip")
    fault = person.page.locator("#subject-fault")
    expect(fault).to_contain_text(message, timeout=20_000)
    expect(fault.locator("p")).to_have_count(3)


def test_page__zip_with_overlapping_files__is_refused(reader: Callable[..., Reader], tmp_path: Path) -> None:
    data = zipped(tmp_path / "raw.zip", ("a", b"x"), ("b", b"x"), method=zipfile.ZIP_STORED)
    # The second entry of the directory points at the first one's bytes.
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    forged = bytearray(data)
    forged[second + 42 : second + 46] = bytes(4)
    forged[second + 46 : second + 47] = b"b"
    (tmp_path / "made.zip").write_bytes(bytes(forged))
    person = reader()
    person.give(tmp_path / "made.zip")
    expect(person.page.locator("#subject-fault")).to_contain_text(re.compile("overlaps|named otherwise"))


def test_page__trust_file_among_what_to_verify__is_refused_in_words(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.give(desk / "2026-W47", desk / "trust.json", trust=desk / "trust.json")
    expect(person.page.locator("#subject-given")).to_contain_text("would vouch for itself")
    expect(person.page.locator("#trust-fault")).to_contain_text("came with what it should judge")
    expect(person.status).to_contain_text("Nothing was checked")
    expect(person.page.locator("#result")).to_be_hidden()


def test_page__whole_public_store__lets_the_reader_choose_and_reads_the_log(
    reader: Callable[..., Reader], desk: Path
) -> None:
    store = desk / "public"
    Forge().write(store / "attestations" / "2026-W47")
    Forge(witnesses=()).write(store / "attestations" / "2026-W46")
    (store / "log" / "tile" / "entries").mkdir(parents=True)
    (store / "log" / "checkpoint").write_bytes(b"")
    (store / "log" / "tile" / "entries" / "000.p").mkdir()
    (store / "log" / "tile" / "entries" / "000.p" / "5").write_bytes(b"")
    (store / "index.html").write_bytes(b"")
    person = reader()
    person.give(store, trust=desk / "trust.json")
    expect(person.page.locator("#subject-given")).to_contain_text("the log, 2 files")
    choice = person.page.get_by_label("One of 2 attestations")
    expect(choice).to_have_value("0")
    expect(person.page.locator("details[data-check='witnesses']")).to_have_attribute("data-outcome", "pass")
    choice.select_option("1")
    expect(person.page.locator("details[data-check='witnesses']")).to_have_attribute("data-outcome", "fail")


def test_page__earlier_checkpoint_of_another_history__says_that_the_log_was_rewritten(
    reader: Callable[..., Reader], desk: Path
) -> None:
    other = Checkpoint(bundles.ORIGIN, 13, bytes(32))
    (desk / "kept").write_bytes(sign_note(other.text, bundles.ORIGIN, bundles.LOG_KEY).to_bytes())
    person = reader()
    person.give(desk / "2026-W47", desk / "kept", trust=desk / "trust.json")
    expect(person.open("consistency")).to_contain_text("it was rewritten")
    expect(person.status).to_contain_text("Do not rely on this bundle.")


def test_page__hostile_words__are_shown_escaped_and_run_nothing(reader: Callable[..., Reader], desk: Path) -> None:
    Forge(alter_predicate=lambda predicate: replace(predicate, issuer=HOSTILE)).write(desk / "hostile")
    (desk / "hostile.json").write_bytes(to_json(replace(trust(), issuer=HOSTILE)))
    person = reader()
    person.give(desk / "hostile", trust=desk / "hostile.json")
    expect(person.status).to_contain_text("Everything that your trust file demands passed.")
    expect(person.open("period")).to_contain_text(r"<img src=x onerror=alert(1)>\u202eevil\x1b[31m")
    person.open("statement").get_by_text("The statement,").click()
    assert person.page.locator("img").count() == 0
    text = person.page.inner_text("body")
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_page__time_that_is_none__says_how_to_write_it(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.give(desk / "2026-W47", trust=desk / "trust.json", at="yesterday")
    expect(person.page.locator("#at-fault")).to_contain_text("2026-11-23T08:00:00Z")
    expect(person.status).to_contain_text("Still needed: a time")


def test_page__folder_and_file_dropped__are_read_and_a_miss_changes_nothing(
    reader: Callable[..., Reader], desk: Path
) -> None:
    person = reader()
    person.give()
    devtools = person.page.context.new_cdp_session(person.page)

    def drop(path: Path, place: str) -> None:
        box = person.page.locator(place).bounding_box()
        assert box is not None
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
            devtools.send("Input.dispatchDragEvent", {"type": kind, "data": data, **point})

    drop(desk / "2026-W47", "#subject")
    expect(person.page.locator("#subject-given")).to_contain_text("an attestation, 7 files")
    drop(desk / "usd.proof.json", "h1")
    drop(desk / "trust.json", "#trust")
    expect(person.status).to_contain_text("Everything that your trust file demands passed.")
    expect(person.page.locator(".sentence")).to_have_count(2)


# -- for everybody, everywhere ---------------------------------------------------------------------------------------


def test_page__keyboard_alone__gives_files_and_opens_a_check(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.page.on("filechooser", lambda _: None)  # from here on the browser opens none of its own
    keys = person.page.keyboard
    focused = "document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent"
    keys.press("Tab")
    assert person.page.evaluate(focused) == "Skip to the files"
    keys.press("Enter")
    for label, path, listed in (
        ("Choose files or a zip", None, ""),
        ("Choose a folder", desk / "2026-W47", "an attestation, 7 files"),
        ("Choose a trust file", desk / "trust.json", "trust.json"),
    ):
        keys.press("Tab")
        assert person.page.evaluate(focused) == label
        if path is not None:
            with person.page.expect_file_chooser() as chooser:
                keys.press("Enter")
            chooser.value.set_files(path)
            expect(person.page.get_by_text(listed, exact=True)).to_be_visible()
    expect(person.page.locator("#result")).to_be_visible()
    for _ in range(40):
        keys.press("Tab")
        if person.page.evaluate("document.activeElement.parentElement.dataset.check") == "log-inclusion":
            break
    keys.press("Enter")
    expect(person.page.locator("details[data-check='log-inclusion'] svg.tree")).to_be_visible()


def test_page__screen_reader__meets_names_states_and_order(reader: Callable[..., Reader], desk: Path) -> None:
    person = reader()
    person.give(desk / "2026-W47", trust=desk / "trust.json")
    expect(person.page.get_by_role("region", name="1. What to verify")).to_be_visible()
    expect(person.page.get_by_role("region", name="2. What to trust")).to_be_visible()
    expect(person.page.get_by_role("region", name="The answer")).to_be_visible()
    expect(person.page.get_by_role("status")).to_contain_text("checks passed")
    assert person.page.get_by_role("button", name="Clear all").is_visible()
    states = person.page.locator("details.check > summary").all_inner_texts()
    assert all(re.match(r"(passed|not checked)\s", text) for text in states)
    levels = person.page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(each => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("forge", ["unchanged", "short", "no witness"])
def test_page__axe__finds_no_violation(reader: Callable[..., Reader], desk: Path, forge: str) -> None:
    if not AXE.exists():
        message = "axe-core is not installed: npm ci"
        if os.environ.get("ATTEST_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    BUNDLES[forge].write(desk / "made")
    person = reader()
    person.give(desk / "made", desk / "usd.proof.json", trust=desk / "trust.json")
    expect(person.page.locator("#result")).to_be_visible()
    for _ in range(2):  # what is folded away inside comes with the first round
        person.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        person.page.wait_for_timeout(500)
    person.page.evaluate(AXE.read_text(encoding="utf-8"))
    for viewport, scheme in product((PHONE, DESK), ("light", "dark")):
        person.page.set_viewport_size(viewport)
        person.page.emulate_media(color_scheme=scheme)
        result = person.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert len(result["passes"]) > 15
        found = [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in result["violations"]]
        assert found == [], (viewport, scheme)
        width = person.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], "the page scrolls sideways"


def test_page__served_over_localhost__asks_for_itself_only(reader: Callable[..., Reader], desk: Path) -> None:
    (desk / "site").mkdir()
    (desk / "site" / "verify.html").write_bytes(verifier_page())
    with served(desk / "site") as (address, asked):
        person = reader(address + "/verify.html")
        person.give(desk / "2026-W47", trust=desk / "trust.json")
        expect(person.status).to_contain_text("Everything that your trust file demands passed.")
    assert len(asked) == 1, asked


def test_page__policy__lets_nothing_out_and_no_other_script_in(page_file: Path, chromium: Browser) -> None:
    opened = chromium.new_page()
    with served(page_file.parent) as (address, asked):
        opened.goto(page_file.as_uri())
        refused = opened.evaluate(
            """async (address) => {
              const violations = [];
              const note = (event) => violations.push(event.effectiveDirective);
              document.addEventListener("securitypolicyviolation", note);
              const tried = await fetch(address).then(() => "sent", () => "refused");
              const image = document.createElement("img");
              image.src = address + "/image";
              const frame = document.createElement("iframe");
              frame.src = address + "/frame";
              const style = document.createElement("p");
              style.setAttribute("style", "color: red");
              document.body.append(image, frame, style);
              try { const script = document.createElement("script"); script.text = "window.ran = true";
                    document.body.append(script); } catch { violations.push("trusted-types"); }
              try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); } catch { violations.push("markup"); }
              await new Promise((done) => setTimeout(done, 500));
              return [tried, violations, window.ran ?? false];
            }""",
            address,
        )
    opened.close()
    assert refused[0] == "refused"
    assert {"connect-src", "img-src", "frame-src", "style-src-attr", "trusted-types", "markup"} <= set(refused[1])
    assert refused[2] is False
    assert asked == []


def test_page__plain_http_off_localhost__says_that_it_cannot_check(chromium: Browser, page_file: Path) -> None:
    elsewhere = chromium.browser_type.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP reserves.issuer.example 127.0.0.1"],
    )
    with served(page_file.parent) as (address, _):
        port = address.rsplit(":", 1)[1]
        opened = elsewhere.new_page()
        opened.goto(f"http://reserves.issuer.example:{port}/verify.html")
        expect(opened.get_by_text("Nothing can be checked here.")).to_be_visible()
        expect(opened.locator("#unable")).to_contain_text(f"http://reserves.issuer.example:{port}")
        expect(opened.locator("#give")).to_be_hidden()
        answer = opened.evaluate("attest.verify({files: {}, trust: new Uint8Array()}).catch((fault) => fault.message)")
        assert "no cryptography here" in answer
    elsewhere.close()


def test_page__browser_without_ed25519__judges_the_same(chromium: Browser, page_file: Path) -> None:
    opened = chromium.new_page()
    opened.goto(page_file.as_uri())
    opened.evaluate(
        """() => {
          crypto.subtle.importKey = async () => {
            throw new DOMException("Unrecognized name.", "NotSupportedError");
          };
        }"""
    )
    for forge in (Forge(), BUNDLES["witness of another log"], Forge(log_key=bundles.note_key("other"))):
        assert_same(opened, bundles.without_chain_proof(forge.files()))
    opened.close()


def test_page__scripts_switched_off__says_so(chromium: Browser, page_file: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(page_file.as_uri())
    expect(opened.get_by_text("Nothing can be checked: the script of this page did not run.")).to_be_visible()
    expect(opened.locator("#give")).to_be_hidden()
    context.close()
