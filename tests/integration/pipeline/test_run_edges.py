"""A run at its edges: what is wrong late, what was touched in between, and weeks that are not like the example's."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from attest import devnet, pipeline, records
from attest.artifacts import Decided, Published, WithheldToken
from attest.chain.devnet import advance_to
from attest.errors import AttestError, ChainError, ConflictError, OperatorError, SourceError
from attest.log.note import parse_vkey
from attest.log.proof import parse_log_proof
from attest.log.witness import collect_cosignature
from attest.log.writer import LogWriter
from attest.model import AccountVerdict, Verdict
from attest.publish import bundle
from attest.signing import dsse
from attest.steps.context import Choices
from attest.store import LocalStore
from tests.support.practice import Narration, Week

#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover

RUN = "runs/2026-W47/1"
CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)


def reports_sent(operator: Week, before: dict[str, int]) -> list[int]:
    """How many transactions each of the three reporters has sent since ``before``."""
    *reporters, _ = [count - before[address] for address, count in operator.sent().items()]
    return reporters


# -- before anything is sent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["signing.publisher", "signing.attestors", "signing.log"])
def test_submit__key_of_a_later_step_cannot_be_opened__nothing_is_sent(operator: Week, key: str) -> None:
    """What would only fail after the reports were sent is found before."""
    (operator.folder / "keys/wrong.txt").write_text("not the password\n")
    section = re.compile(rf"(\[+{re.escape(key)}\]+\n(?:(?!\[).*\n)*?password = )\"[^\"]*\"")
    operator.edit_config(lambda text: section.sub(r'\1"file:keys/wrong.txt"', text))
    before = operator.sent()
    with pytest.raises(OperatorError):
        operator.run()
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


def test_submit__witness_key_that_is_none__nothing_is_sent(operator: Week) -> None:
    operator.edit_config(lambda text: re.sub(r'(vkey = "witness\.example/one\+)[0-9a-f]{8}', r"\g<1>00000000", text))
    before = operator.sent()
    with pytest.raises(OperatorError, match="witness"):
        operator.run()
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


def test_submit__statement_larger_than_a_log_entry__nothing_is_sent(
    operator: Week, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some 35 tokens with three reporters reach the true limit; with fewer, a lower one."""
    monkeypatch.setattr("attest.signing.dsse.MAX_ENVELOPE_BYTES", 7_000)
    before = operator.sent()
    with pytest.raises(ConflictError, match="at most 7000 fit a log entry"):
        operator.run()
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


def test_submit__log_key_in_the_place_of_a_witness__nothing_is_sent(operator: Week) -> None:
    (log_vkey,) = re.findall(r'vkey = "(issuer\.example/reserves\+[^"]*)"', operator.config_path.read_text())
    operator.edit_config(lambda text: re.sub(r'vkey = "witness\.[^"]*"', f'vkey = "{log_vkey}"', text))
    before = operator.sent()
    with pytest.raises(OperatorError, match="not a key for this purpose"):
        operator.run()
    assert operator.sent() == before


# -- reports that do not land at once --------------------------------------------------------------------------------


def test_run__reports_reverted_when_mined__next_run_sends_them_anew(operator: Week) -> None:
    before = operator.sent()
    operator.rpc("evm_setAutomine", False)
    try:
        pipeline.run(operator.environment(), devnet.PERIOD, until="submit")
        head = int(operator.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        advance_to(operator.url, head + 2 * 3600)  # older than the contract takes
    finally:
        operator.rpc("evm_setAutomine", True)
    assert reports_sent(operator, before) == [3, 3, 3]
    assert operator.run().exit_code == 0
    assert reports_sent(operator, before) == [6, 6, 6]


def test_report__first_reports_not_mined_yet__sends_no_others_beside_them(operator: Week) -> None:
    operator.edit_config(lambda text: text.replace("read_quorum = 1", "read_quorum = 1\nconfirm_timeout_seconds = 1"))
    before = operator.sent()
    operator.rpc("evm_setAutomine", False)
    try:
        for _ in range(2):
            with pytest.raises(ChainError, match="not confirmed"):
                pipeline.report(operator.environment(), devnet.PERIOD)
        operator.rpc("evm_mine")
    finally:
        operator.rpc("evm_setAutomine", True)
    assert pipeline.report(operator.environment(), devnet.PERIOD).exit_code == 0
    assert reports_sent(operator, before) == [3, 3, 3]


def test_report__another_configuration__renews_nothing(operator: Week) -> None:
    pipeline.report(operator.environment(), devnet.PERIOD)
    advance_to(operator.url, int(datetime(2026, 11, 28, tzinfo=UTC).timestamp()))
    operator.edit_config(lambda text: text.replace("Example Issuer Ltd", "Another Issuer Ltd"))
    before = operator.sent()
    with pytest.raises(ConflictError, match="another configuration"):
        pipeline.report(operator.environment(), devnet.PERIOD)
    assert operator.sent() == before


def test_confirm__reports_expired_before_they_were_confirmed__are_renewed_by_report(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="submit")
    advance_to(operator.url, int(datetime(2026, 12, 3, tzinfo=UTC).timestamp()))
    with pytest.raises(ChainError, match="does not stand") as refused:
        operator.run(sleep=lambda seconds: None)
    assert "attest report" in refused.value.advice
    assert pipeline.report(operator.environment(), devnet.PERIOD).exit_code == 0
    assert operator.run().exit_code == 0


@contextmanager
def another_operator(operator: Week, says: str) -> Iterator[Week]:
    """Reporters 2 and 3 belong to somebody else, in whose files usd-operating holds another balance."""
    folder = operator.folder.with_name("other")
    shutil.copytree(operator.folder, folder)
    other = Week(folder, operator.url)
    sections = re.findall(r"\[\[signing\.reporters\]\](?:\n(?!\[).*)*\n", operator.config_path.read_text())
    operator.edit_config(lambda text: text.replace(sections[1], "").replace(sections[2], ""))
    other.edit_config(lambda text: text.replace(sections[0], ""))
    for name in ("atlantic-trustees-usd.csv", "first-harbor-bank.camt053.xml"):
        other.restate(name, "84613.07", says)
    pipeline.run(other.environment(), devnet.PERIOD, until="submit")
    yield other


def test_confirm__other_operators_report_a_little_less__the_lower_counts(operator: Week) -> None:
    with another_operator(operator, "80500.00"):
        outcome = operator.run()
    (usd,) = [token for token in outcome.tokens if token.token == "USDW"]
    assert usd.consensus is not None
    assert (usd.reserve_units, usd.consensus.units) == (1_204_113_070_000, 1_200_000_000_000)
    assert (usd.verdict, usd.surplus_units) == ("sufficient", 0)


def test_confirm__other_operators_report_a_cent_less_than_the_supply__is_short(operator: Week) -> None:
    with another_operator(operator, "80499.99"):
        outcome = operator.run()
    assert outcome.exit_code == 4
    assert {token.token: token.verdict for token in outcome.tokens}["USDW"] == "short"


def test_confirm__other_operators_report_much_less__refuses_and_signs_nothing(operator: Week) -> None:
    with (
        another_operator(operator, "34613.07"),
        pytest.raises(ChainError, match="on-chain consensus is 1,154,113") as refused,
    ):
        operator.run()
    assert refused.value.exit_code == 5
    assert f"{RUN}/confirmation" not in operator.stored()


def later_week_was_reported(operator: Week) -> None:
    """As another run of the week after leaves it once its reports are begun."""
    fate = {"format": "attest-run-fate/1", "fate": "submitting", "at": "2026-11-30T06:00:00Z", "reason": "begun"}
    operator.environment().private.create("runs/2026-W48/1/fate", records.dump_plain(fate))


@pytest.mark.parametrize("command", [pipeline.run, pipeline.report])
def test_submit__later_period_was_reported__older_balances_do_not_replace_it(
    operator: Week, command: Callable[..., pipeline.Outcome]
) -> None:
    later_week_was_reported(operator)
    before = operator.sent()
    environment = operator.environment(now=lambda: datetime(2026, 11, 30, 7, tzinfo=UTC))
    with pytest.raises(ConflictError, match="2026-W48"):
        command(environment, devnet.PERIOD)
    assert operator.sent() == before
    assert f"{RUN}/fate" not in operator.stored()


def test_report__later_period_was_reported__older_balances_are_not_renewed(operator: Week) -> None:
    pipeline.report(operator.environment(), devnet.PERIOD)
    later_week_was_reported(operator)
    advance_to(operator.url, int(datetime(2026, 11, 30, tzinfo=UTC).timestamp()))
    before = operator.sent()
    with pytest.raises(ConflictError, match="2026-W48"):
        pipeline.report(operator.environment(now=lambda: datetime(2026, 11, 30, 7, tzinfo=UTC)), devnet.PERIOD)
    assert operator.sent() == before


# -- a store that was touched ----------------------------------------------------------------------------------------


def rewrite(operator: Week, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change an artifact of the run, as somebody with write access to the private store could."""
    path = operator.folder / "private" / RUN / name
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(records.dump_plain(document))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clock", "system"),
        ("supply_at", "run"),
        ("configuration_commitment", "00" * 32),
        ("revision", 1),
        ("period", "2026-W46"),
        ("abandoned", [{"attempt": 1, "reason": "a reason that nobody gave"}]),
    ],
)
def test_run__what_the_statement_says_of_the_run_changed_in_the_store__nothing_is_sent(
    operator: Week, field: str, value: Any
) -> None:
    """A rehearsal that passes for real, a hidden attempt: none follows from the evidence, so all is compared."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    rewrite(operator, "open", lambda opened: opened.update({field: value}))
    before = operator.sent()
    with pytest.raises(ConflictError) as refused:
        operator.run()
    assert refused.value.exit_code == 7
    assert operator.sent() == before


def test_run__change_acknowledged_by_nobody__nothing_is_sent(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="decide")
    rewrite(operator, "verdict", lambda verdict: verdict.update(acknowledged=["usd-operating"]))
    before = operator.sent()
    with pytest.raises(ConflictError, match="usd-operating was never acknowledged"):
        operator.run()
    assert operator.sent() == before


def test_run__withheld_token_brought_back_in_the_store__nothing_is_sent(operator: Week) -> None:
    operator.statement_file("atlantic-trustees-usd.csv").unlink()
    with pytest.raises(SourceError):
        operator.run()
    pipeline.run(operator.environment(), devnet.PERIOD, Choices(withhold=("USDW",)), until="decide")
    rewrite(operator, "verdict", lambda verdict: verdict.update(withheld=[]))
    before = operator.sent()
    with pytest.raises((ConflictError, ValueError)):
        operator.run()
    assert operator.sent() == before


def test_run__leaf_taken_out_of_the_store__nothing_is_sent(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    rewrite(operator, "commitment", lambda committed: committed["leaves"].pop())
    before = operator.sent()
    with pytest.raises(ConflictError, match="has no leaf"):
        operator.run()
    assert operator.sent() == before


def test_run__token_withheld_by_nobody__nothing_is_sent(operator: Week) -> None:
    """A shortfall cannot be hidden by editing the verdict."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="decide")
    withheld = {"token": "USDW", "code": "operator", "accounts": []}
    rewrite(operator, "verdict", lambda verdict: verdict.update(withheld=[withheld]))
    before = operator.sent()
    with pytest.raises(ConflictError, match="USDW"):
        operator.run()
    assert operator.sent() == before


def test_confirm__reading_of_the_chain_changed_in_the_store__is_compared_with_the_chain(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="confirm")

    def lie(part: str) -> Callable[[dict[str, Any]], None]:
        def change(confirmation: dict[str, Any]) -> None:
            reading = confirmation["reading"]
            if part == "consensus":
                reading["consensus"][0]["units"] = "1"
            elif part == "supply":
                reading["supply"]["deployments"][0]["units"] = "1"
            else:
                reading["supply"]["blocks"][0]["timestamp"] += 1

        return change

    kept = operator.stored()[f"{RUN}/confirmation"]
    for part in ("consensus", "supply", "time"):
        rewrite(operator, "confirmation", lie(part))
        with pytest.raises(AttestError) as refused:
            operator.run()
        assert refused.value.exit_code in (5, 7)
        (operator.folder / "private" / RUN / "confirmation").write_bytes(kept)
    assert f"{RUN}/disclosures" not in operator.stored()
    assert operator.run().exit_code == 0


def test_sign__disclosure_changed_in_the_store__nothing_is_signed(operator: Week) -> None:
    with pytest.raises(ChainError):  # stops after signing
        operator.run(Choices(withhold=("USDW",)), sleep=lambda seconds: None, post=lambda url, body: (500, b""))
    for name in ("envelope", "payload"):
        (operator.folder / "private" / RUN / name).unlink()
    for path in (operator.folder / "private" / RUN / "signatures").iterdir():
        path.unlink()
    rewrite(operator, "disclosures", lambda stored: stored.update(details=[]))
    with pytest.raises(ConflictError, match="disclosures"):
        operator.run()
    assert f"{RUN}/envelope" not in operator.stored()


def stop_before_logging(operator: Week) -> None:
    """A run that ends with a signed envelope and an empty log."""

    class Public(LocalStore):
        def get(self, key: str) -> bytes | None:
            if key.startswith("log/"):
                raise OSError("the power went")
            return super().get(key)

    with pytest.raises(OSError, match="the power went"):
        operator.run(public=Public(operator.folder / "public"))


@pytest.mark.parametrize("forged", ["payload", "signature"])
def test_log__envelope_replaced_in_the_store__is_never_logged(operator: Week, forged: str) -> None:
    stop_before_logging(operator)

    def forge(envelope: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        if forged == "payload":
            statement["predicate"]["issuer"] = "Somebody Else Ltd"
            envelope["payload"] = base64.b64encode(records.dump_plain(statement)).decode()
        else:
            envelope["signatures"][0]["sig"] = base64.b64encode(bytes(70)).decode()

    rewrite(operator, "envelope", forge)
    with pytest.raises(ConflictError, match="envelope"):
        operator.run()
    assert not [key for key in operator.stored("public") if key.startswith("log/")]


def test_sign__signature_of_a_strangers_key_in_the_store__is_not_taken(operator: Week) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.support.bundles import Attestor

    stop_before_logging(operator)
    (operator.folder / "private" / RUN / "envelope").unlink()
    stranger = Attestor(ec.generate_private_key(ec.SECP256K1()))
    payload = operator.stored()[f"{RUN}/payload"]
    (place,) = [key for key in operator.stored() if "/signatures/" in key]
    forged = {"public_key": stranger.pem, "sig": base64.b64encode(stranger.sign(payload)).decode()}
    rewrite(operator, place.removeprefix(f"{RUN}/"), lambda signature: signature.update(forged))
    with pytest.raises(ConflictError, match="signature"):
        operator.run()
    assert not [key for key in operator.stored("public") if key.startswith("log/")]


def test_publish__strangers_signature_beside_ours_in_the_store__is_no_attestor_of_the_trust_example(
    operator: Week,
) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.support.bundles import Attestor

    pipeline.run(operator.environment(), devnet.PERIOD, until="anchor")
    stranger = Attestor(ec.generate_private_key(ec.SECP256K1()))
    (ours,) = [data for key, data in operator.stored().items() if "/signatures/" in key]
    forged = json.loads(ours) | {"public_key": stranger.pem, "keyid": stranger.keyid}
    operator.environment().private.create(f"{RUN}/signatures/{stranger.keyid}", records.dump_plain(forged))
    operator.run()
    example = json.loads(operator.stored("public")["trust.example.json"])
    assert [attestor["public_key"] for attestor in example["attestors"]] == [json.loads(ours)["public_key"]]


def test_run__verdict_in_the_words_of_another_release__is_no_tampering(operator: Week) -> None:
    """An upgrade in the middle of a run must not end it."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="decide")

    def reword(decided: dict[str, Any]) -> None:
        for account in decided["verdict"]["accounts"]:
            account["detail"] = "they agree"
            for considered in account["considered"]:
                considered["detail"] = "said so"

    rewrite(operator, "verdict", reword)
    assert operator.run().exit_code == 0


@pytest.mark.parametrize("touched", ["commitment", "log"])
def test_anchor__what_would_be_anchored_changed_in_the_store__is_never_anchored(operator: Week, touched: str) -> None:
    before = operator.sent()
    pipeline.run(operator.environment(), devnet.PERIOD, until="log")
    rewrite(operator, touched, lambda document: document.update(root="11" * 32))
    with pytest.raises(ConflictError) as refused:
        operator.run()
    assert refused.value.exit_code == 7
    *_, publisher = [count - before[address] for address, count in operator.sent().items()]
    assert publisher == 0


def test_publish__anchor_changed_in_the_store__is_never_published(operator: Week) -> None:
    pipeline.run(operator.environment(), devnet.PERIOD, until="anchor")
    rewrite(operator, "anchor", lambda anchored: anchored["anchor"].update(log_size=2))
    with pytest.raises(ConflictError, match="not the entry"):
        operator.run()
    assert not [key for key in operator.stored("public") if key.startswith("attestations/")]


def test_log__payload_logged_already_with_another_signature__is_no_proof_of_ours(operator: Week) -> None:
    """As after a restored backup, with a signer that signs the same payload differently each time."""
    stop_before_logging(operator)
    envelope = dsse.parse_envelope(operator.stored()[f"{RUN}/envelope"])
    other = dsse.assemble_envelope(envelope.payloadType, envelope.body, [("00" * 32, envelope.signatures[0].signature)])
    environment = operator.environment()
    LogWriter(environment.public, devnet.LOG_ORIGIN, environment.keys.log()).append(other)
    with pytest.raises(ConflictError, match="another envelope"):
        operator.run()
    assert f"{RUN}/anchor" not in operator.stored()


def test_run__fate_changed_after_the_reports__begins_no_second_attempt(operator: Week) -> None:
    """Whoever can write to the store must not have everything reported once more."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="submit")
    rewrite(operator, "fate", lambda fate: fate.update(fate="abandoned", reason="a reason that nobody gave"))
    before = operator.sent()
    with pytest.raises(ConflictError, match="abandoned"):
        operator.run()
    assert operator.sent() == before


# -- the change against the weeks before -----------------------------------------------------------------------------


def attested_week(operator: Week, week: str, minor_units: int, *, withheld: bool) -> None:
    """An earlier published week with a balance of usd-operating, of a token that was withheld or not."""
    verdict = AccountVerdict("usd-operating", "USDW", "held", "change-limit", "a change", (), minor_units, None)
    given_up = (WithheldToken("USDW", "deadline", ("usd-operating",)),) if withheld else ()
    decided = Decided("attest-run-verdict/1", {}, Verdict((verdict,)), given_up, ())
    published = Published("attest-run-publication/1", {}, f"attestations/{week}", {})
    store = operator.environment().private
    store.create(f"runs/{week}/1/verdict", records.to_json(decided))
    store.create(f"runs/{week}/1/publication", records.to_json(published))


def test_decide__change_was_withheld_last_week_and_never_acknowledged__is_held_again(operator: Week) -> None:
    """A balance that nobody accepted is no measure for the next one."""
    attested_week(operator, "2026-W45", 100, withheld=False)
    attested_week(operator, "2026-W46", 8_461_307, withheld=True)
    with pytest.raises(SourceError, match="last period it was"):
        operator.run()
    assert operator.run(Choices(acknowledge=("usd-operating",))).exit_code == 0


def test_run__earlier_balances_changed_in_the_store__nothing_is_sent(operator: Week) -> None:
    attested_week(operator, "2026-W46", 8_461_307, withheld=False)
    pipeline.run(operator.environment(), devnet.PERIOD, until="commit")
    path = operator.folder / "private/runs/2026-W46/1/verdict"
    path.write_bytes(path.read_bytes().replace(b"8461307", b"8461308"))
    before = operator.sent()
    with pytest.raises(ConflictError, match="last balances"):
        operator.run()
    assert operator.sent() == before


# -- what must stay private ------------------------------------------------------------------------------------------


def test_log__witness_url_with_credentials__is_told_to_nobody(operator: Week) -> None:
    (operator.folder / "witness.url").write_text("http://user:s3cret-canary@127.0.0.1:9")
    told: list[str] = []

    class Listening(Narration):
        def progress(self, text: str) -> None:
            told.append(text)

    with pytest.raises(ChainError, match="0 of 1 witnesses") as refused:
        pipeline.run(operator.environment(Listening(), sleep=lambda seconds: None), devnet.PERIOD)
    assert any("witness" in text for text in told)
    assert not [text for text in [*told, str(refused.value)] if "s3cret" in text]


def test_log__witness_url_that_is_none__is_a_witness_that_does_not_answer(operator: Week) -> None:
    (operator.folder / "witness.url").write_text("http://[not-an-address")
    with pytest.raises(ChainError, match="0 of 1 witnesses"):
        operator.run(sleep=lambda seconds: None)


@pytest.mark.parametrize("named", ["usd-operating", "First Harbor Bank, N.A.", "4012887731", "40 1288 7731"])
def test_abandon__reason_that_names_what_is_private__is_refused(operator: Week, named: str) -> None:
    """The reason stands in the public statement."""
    pipeline.run(operator.environment(), devnet.PERIOD, until="open")
    with pytest.raises(OperatorError, match="names"):
        pipeline.abandon(operator.environment(), devnet.PERIOD, f"a corrected statement of {named.lower()} came")
    assert f"{RUN}/fate" not in operator.stored()


# -- two weeks at the same time --------------------------------------------------------------------------------------


def test_log__another_entry_cosigned_in_between__proves_against_the_newer_head(operator: Week) -> None:
    """The witness then holds a longer log than it is asked to cosign: no conflict, if ours has grown as well."""
    environment = operator.environment()
    posted = environment.post
    grown: list[int] = []

    def post(url: str, body: bytes) -> tuple[int, bytes]:
        if not grown:
            grown.append(1)
            log = LogWriter(environment.public, devnet.LOG_ORIGIN, environment.keys.log())
            key = parse_vkey(environment.config.log.witnesses[0].vkey)
            other = dsse.assemble_envelope("text/plain", b"another week", [("00" * 32, b"signature")])
            collect_cosignature(log, log.append(other).size, key, lambda asked: posted(url, asked))
        return posted(url, body)

    assert pipeline.run(operator.environment(post=post), devnet.PERIOD).witnesses == 1
    proof = parse_log_proof(operator.stored("public")["attestations/2026-W47/attestation.tlog-proof"])
    assert (proof.index, b"\n2\n" in proof.checkpoint) == (0, True)


def test_publish__another_week_published_in_between__is_on_the_page_as_well(operator: Week) -> None:
    operator.run()
    environment = operator.environment()

    class Public(LocalStore):
        def replace(self, key: str, data: bytes) -> None:
            for name, content in operator.stored("public").items():
                if name.startswith("attestations/2026-W47/"):
                    self.create(name.replace("2026-W47", "2026-W46"), content)
            super().replace(key, data)

    bundle.refresh_site(Public(operator.folder / "public"), environment.config, now=environment.now())
    feed = json.loads(operator.stored("public")["feed.json"])
    assert [period["folder"] for period in feed["periods"]] == ["attestations/2026-W47", "attestations/2026-W46"]
