"""Proofs of ownership: the message, whose signature counts, what is recorded, and the commands around them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from attest import records
from attest.cli.main import main
from attest.config import Config
from attest.custody import ownership
from attest.custody.document import Document
from attest.custody.evidence import Evidence
from attest.custody.ownership import Claim, check_signature
from attest.errors import ConflictError, OperatorError, VerificationError
from attest.model import OwnershipProof
from attest.signing.signer import SECP256K1_ORDER
from attest.store import LocalStore
from tests.support import chains

KEY, OTHER = "0x" + "11" * 32, "0x" + "22" * 32
HOLDER = Account.from_key(KEY).address
PERIOD = "2026-W47"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NONCE = b"\xab" * 32
CLAIM = Claim("Issuer", PERIOD, HOLDER, 138, NONCE.hex())


def sign(claim: Claim, key: str = KEY) -> str:
    """As a wallet does, by another implementation of EIP-712."""
    signed = Account.sign_message(encode_typed_data(full_message=claim.typed_data()), key)
    return f"0x{bytes(signed.signature).hex()}"


def config(**account: Any) -> Config:
    plain = chains.config({"USDW": [("main", chains.ORACLE, 6)]}).model_dump(by_alias=True)
    plain["accounts"]["account-USDW"] |= {"external_account": HOLDER, "ownership": "key-proven", **account}
    plain["chains"]["side"] = {"chain_id": 7, "endpoints": ("http://side.example",)}
    return Config.model_validate(plain)


CONFIG = config()
NAME = "account-USDW"


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(LocalStore(tmp_path / "private"))


def challenge(evidence: Evidence, setup: Config = CONFIG, nonce: bytes = NONCE) -> Claim:
    return ownership.challenge(evidence.store, setup, NAME, PERIOD, now=NOW, token_bytes=lambda size: nonce[:size])


# -- the message -----------------------------------------------------------------------------------------------------


@given(
    entity=st.text(min_size=1, max_size=50).filter(str.isprintable),
    period=st.from_regex(r"20[0-9]{2}-W[0-5][0-9]", fullmatch=True),
    chain_id=st.integers(1, 2**53 - 1),
    nonce=st.binary(min_size=32, max_size=32),
)
def test_digest__any_claim__is_what_an_independent_implementation_signs(
    entity: str, period: str, chain_id: int, nonce: bytes
) -> None:
    claim = Claim(entity, period, HOLDER, chain_id, nonce.hex())
    message = encode_typed_data(full_message=json.loads(json.dumps(claim.typed_data())))
    assert claim.digest() == keccak(b"\x19" + message.version + message.header + message.body)


def test_check_signature__each_spelling_of_v__is_the_same_signature() -> None:
    signature = sign(CLAIM)
    v = int(signature[-2:], 16)
    assert {check_signature(CLAIM, f"{signature[:-2]}{value:02x}") for value in (v, v - 27)} == {signature[2:]}
    assert check_signature(CLAIM, signature.upper().replace("0X", "0x")) == signature[2:]


def twin(signature: str) -> str:
    r, s, v = signature[2:66], int(signature[66:130], 16), int(signature[130:], 16)
    return f"0x{r}{SECP256K1_ORDER - s:064x}{55 - v:02x}"


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda signature: signature[2:], "malformed-signature"),
        (lambda signature: signature + "00", "malformed-signature"),
        (lambda signature: "", "malformed-signature"),
        (lambda signature: signature[:-2] + "1d", "malformed-signature"),
        (lambda signature: "0x" + "0" * 128 + "1b", "malformed-signature"),
        (lambda signature: "0x" + "f" * 64 + signature[66:], "malformed-signature"),
        (twin, "signature-not-canonical"),
        (lambda signature: f"{signature[:-2]}{55 - int(signature[-2:], 16):02x}", "wrong-signer"),
        (lambda signature: sign(CLAIM, OTHER), "wrong-signer"),
    ],
)
def test_check_signature__what_is_not_this_keys__refused(spoil: Callable[[str], str], code: str) -> None:
    with pytest.raises(VerificationError, match=HOLDER) as refused:
        check_signature(CLAIM, spoil(sign(CLAIM)))
    assert (refused.value.code, refused.value.exit_code) == (code, 6)


@pytest.mark.parametrize(
    "other",
    [
        Claim("Another", PERIOD, HOLDER, 138, NONCE.hex()),
        Claim("Issuer", "2026-W46", HOLDER, 138, NONCE.hex()),
        Claim("Issuer", PERIOD, HOLDER, 1, NONCE.hex()),
        Claim("Issuer", PERIOD, HOLDER, 138, "cd" * 32),
        Claim("Issuer", PERIOD, chains.ORACLE, 138, NONCE.hex()),
    ],
)
def test_check_signature__made_for_another_entity_period_chain_or_nonce__refused(other: Claim) -> None:
    with pytest.raises(VerificationError):
        check_signature(CLAIM, sign(other))


@given(st.integers(0, 129), st.integers(1, 15))
def test_check_signature__any_digit_changed__refused(place: int, step: int) -> None:
    signature = sign(CLAIM)[2:]
    changed = f"{(int(signature[place], 16) + step) % 16:x}"
    spoiled = signature[:place] + changed + signature[place + 1 :]
    with pytest.raises(VerificationError):
        check_signature(CLAIM, f"0x{spoiled}")


# -- challenge and proof ---------------------------------------------------------------------------------------------


def test_challenge__asked_twice__is_the_same(evidence: Evidence) -> None:
    first = challenge(evidence)
    assert first == Claim("Issuer", PERIOD, HOLDER, 138, NONCE.hex())
    assert challenge(evidence, nonce=b"\xcd" * 32) == first


def test_challenge__account_that_is_read_on_another_chain__names_that_chain(evidence: Evidence) -> None:
    source = {"id": "chain", "origin": "chain", "format": "native", "options": {"chain": "side", "currency": "USD"}}
    assert challenge(evidence, config(sources=(source,))).chain_id == 7


@pytest.mark.parametrize("external", ["DE02100500000054540402", HOLDER[:-1], HOLDER.swapcase().replace("X", "x")])
def test_challenge__account_that_is_no_address__refused(evidence: Evidence, external: str) -> None:
    with pytest.raises(OperatorError, match=f"accounts.{NAME}.external_account") as refused:
        challenge(evidence, config(external_account=external))
    assert refused.value.code == "malformed-address"


def test_challenge__unknown_account__refused(evidence: Evidence) -> None:
    with pytest.raises(OperatorError, match="no account 'x'"):
        ownership.challenge(evidence.store, CONFIG, "x", PERIOD, now=NOW, token_bytes=lambda size: NONCE)


def test_prove__valid_signature__is_recorded_once(evidence: Evidence) -> None:
    claim = challenge(evidence)
    assert ownership.proven(evidence, CONFIG, PERIOD) == {}
    proof = ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(claim))
    assert (proof.nonce, proof.holder, proof.signature) == (claim.nonce, HOLDER, sign(claim)[2:])
    again = ownership.prove(
        evidence.store, CONFIG, NAME, PERIOD, f"{sign(claim)[:-2]}{int(sign(claim)[-2:], 16) - 27:02x}"
    )
    assert again == proof
    digests = ownership.proven(evidence, CONFIG, PERIOD)
    kept = evidence.load(digests[NAME], "here").read(10_000)
    assert records.from_json(OwnershipProof, kept, "here") == proof
    ownership.recheck(evidence, CONFIG, PERIOD, digests)


def test_prove__without_challenge__refused(evidence: Evidence) -> None:
    with pytest.raises(OperatorError, match=f"no challenge for {PERIOD}") as refused:
        ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(CLAIM))
    assert "attest custody challenge" in refused.value.advice


def test_prove__another_keys_signature__records_nothing(evidence: Evidence) -> None:
    claim = challenge(evidence)
    with pytest.raises(VerificationError, match=Account.from_key(OTHER).address):
        ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(claim, OTHER))
    assert ownership.proven(evidence, CONFIG, PERIOD) == {}


def test_proven__address_changed_since__asks_for_a_new_proof(evidence: Evidence) -> None:
    ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(challenge(evidence)))
    moved = config(external_account=Account.from_key(OTHER).address)
    assert ownership.proven(evidence, moved, PERIOD) == {}
    ownership.prove(evidence.store, moved, NAME, PERIOD, sign(challenge(evidence, moved), OTHER))
    assert set(ownership.proven(evidence, moved, PERIOD)) == {NAME}
    assert set(ownership.proven(evidence, CONFIG, PERIOD)) == {NAME}


def test_proven__account_of_another_strength__is_not_asked(evidence: Evidence) -> None:
    ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(challenge(evidence)))
    assert ownership.proven(evidence, config(ownership="unproven"), PERIOD) == {}


def stored(evidence: Evidence, part: str) -> Path:
    assert isinstance(evidence.store, LocalStore)
    (path,) = [path for path in (evidence.store.root / "ownership").rglob(part) if path.is_file()]
    return path


def test_proven__recorded_signature_changed__conflicts(evidence: Evidence) -> None:
    proof = ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(challenge(evidence)))
    path = stored(evidence, "proofs/*")
    whole = path.read_bytes()
    for spoiled in (
        whole.replace(proof.signature.encode(), sign(CLAIM, OTHER)[2:].encode()),
        whole.replace(proof.signature.encode(), proof.signature.upper().encode()),
        whole.replace(b'"Issuer"', b'"Another"'),
        whole.replace(b'"account":"account-USDW"', b'"account":"other"'),
        whole[:-1],
    ):
        assert spoiled != whole
        path.write_bytes(spoiled)
        with pytest.raises(ConflictError):
            ownership.proven(evidence, CONFIG, PERIOD)


def test_proven__challenge_of_another_account__conflicts(evidence: Evidence) -> None:
    challenge(evidence)
    path = stored(evidence, "challenge")
    path.write_bytes(path.read_bytes().replace(NAME.encode(), b"other"))
    with pytest.raises(ConflictError, match="is of account other"):
        ownership.proven(evidence, CONFIG, PERIOD)


def test_recheck__proof_of_another_period_or_account_or_none__conflicts(evidence: Evidence) -> None:
    ownership.prove(evidence.store, CONFIG, NAME, PERIOD, sign(challenge(evidence)))
    digests = ownership.proven(evidence, CONFIG, PERIOD)
    with pytest.raises(ConflictError, match="not about what account"):
        ownership.recheck(evidence, CONFIG, "2026-W48", digests)
    with pytest.raises(ConflictError, match="missing"):
        ownership.recheck(evidence, CONFIG, PERIOD, {NAME: "0" * 64})
    for name, setup in (("other", CONFIG), (NAME, config(ownership="unproven"))):
        with pytest.raises(ConflictError, match="not configured so"):
            ownership.recheck(evidence, setup, PERIOD, {name: digests[NAME]})


def test_recheck__forged_proof__conflicts(evidence: Evidence) -> None:
    forged = OwnershipProof(
        "attest-ownership-proof/1", NAME, "Issuer", PERIOD, HOLDER, 138, NONCE.hex(), sign(CLAIM, OTHER)[2:]
    )
    document = Document.of("forged", records.to_json(forged))
    evidence.keep(document)
    with pytest.raises(ConflictError, match="was made by"):
        ownership.recheck(evidence, CONFIG, PERIOD, {NAME: document.digest})


# -- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configuration: Path) -> Path:
    """A folder with a configuration whose first account is an address."""
    monkeypatch.chdir(tmp_path)
    text = configuration.read_text(encoding="utf-8")
    changed = text.replace('external_account = "4012887731"', f'external_account = "{HOLDER}"', 1)
    assert changed != text
    configuration.write_text(changed, encoding="utf-8")
    return tmp_path


def attest(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    shown = capsys.readouterr()
    return int(left.value.code or 0), shown.out, shown.err


def claimed(shown: str) -> Claim:
    data = json.loads(shown)
    message = data["message"]
    return Claim(
        message["entity"], message["period"], message["holder"], data["domain"]["chainId"], message["nonce"][2:]
    )


def test_commands__challenge_signed_and_proven__says_so(operator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, told = attest(capsys, "custody", "challenge", "usd-operating", "--period", PERIOD)
    assert code == 0
    assert f"attest custody prove usd-operating --period {PERIOD}" in told
    claim = claimed(shown)
    assert (claim.entity, claim.holder, claim.chain_id) == ("Wexample", HOLDER, 31337)
    code, shown, _ = attest(capsys, "custody", "challenge", "usd-operating", "--period", PERIOD, "--json")
    assert claimed(json.dumps(json.loads(shown)["typed_data"])) == claim
    assert json.loads(shown)["digest"] == claim.digest().hex()

    words = ("custody", "prove", "usd-operating", "--period", PERIOD, "--signature")
    code, _, told = attest(capsys, *words, sign(claim, OTHER))
    assert (code, "was made by" in told) == (6, True)
    code, shown, _ = attest(capsys, *words, sign(claim))
    assert code == 0
    assert f"the key of {HOLDER} signed for Wexample in {PERIOD}" in shown
    assert 'ownership = "key-proven"' in shown
    (operator / "signature.txt").write_text(f"{sign(claim)}\n")
    code, shown, _ = attest(capsys, *words, "signature.txt", "--json")
    assert json.loads(shown) == {"account": "usd-operating", "period": PERIOD, "holder": HOLDER, "exit_code": 0}


def test_prove_command__signature_on_stdin__is_taken(
    operator: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = operator / "attest.toml"
    path.write_text(path.read_text().replace(f'"{HOLDER}"', f'"{HOLDER}"\nownership = "key-proven"'))
    _, shown, _ = attest(capsys, "custody", "challenge", "usd-operating", "--period", PERIOD)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(sign(claimed(shown)).encode() + b"\n")))
    code, shown, _ = attest(capsys, "custody", "prove", "usd-operating", "--period", PERIOD, "--signature", "-")
    assert (code, shown.count("\n")) == (0, 1)


def test_prove_command__file_that_is_none__refused(operator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (operator / "binary").write_bytes(b"\xff\xfe")
    for name in ("nowhere.txt", "binary"):
        code, _, told = attest(capsys, "custody", "prove", "usd-operating", "--period", PERIOD, "--signature", name)
        assert (code, f"--signature {name}: cannot be read" in told) == (2, True)


def test_challenge_command__account_at_a_bank__refused(operator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, told = attest(capsys, "custody", "challenge", "usd-reserve", "--period", PERIOD)
    assert (code, "is no address" in told) == (2, True)
