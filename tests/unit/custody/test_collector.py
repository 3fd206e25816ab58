"""The collector: every source asked, the bytes kept before they are read, and the same again from the evidence."""

from __future__ import annotations

import dataclasses
import gzip
import io
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from attest import records
from attest.config import Account, Config, HttpConnection, Loaded, Quorum, SqlConnection
from attest.config import Collection as Limits
from attest.custody import transport
from attest.custody.collector import Collection, check_configuration, collect, observe, reobserve
from attest.custody.document import Document
from attest.custody.evidence import Evidence
from attest.custody.policies import account_policies
from attest.custody.reach import Asked, Reach
from attest.errors import ConflictError, OperatorError, SourceError
from attest.model import Observation
from attest.quorum import decide
from attest.store import LocalStore, OverlayStore

CUTOFF = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 6, 0, 0, 123456, tzinfo=UTC)
CSV = {"account_column": "a", "amount_column": "m", "currency": "USD", "date_column": "d"}
TIMED = CSV | {"date_format": "YYYY-MM-DDThh:mmzzz"}


def source(identifier: str = "one", **changes: Any) -> dict[str, Any]:
    return {"id": identifier, "origin": identifier, "format": "csv", "location": "a.csv", "options": CSV} | changes


def account(*sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "token": "USDW", "custodian": "Bank", "external_account": "12 34", "currency": "USD", "zone": "UTC",
        "sources": sources or (source(),),
    } | changes  # fmt: skip


def loaded(base: Path, limits: Limits | None = None, **accounts: dict[str, Any]) -> Loaded:
    """A configuration of which only the accounts matter here."""
    read = {name: Account.model_validate(one) for name, one in accounts.items()}
    config = Config.model_construct(
        accounts=read, quorum=Quorum(), collection=limits or Limits(), connections={}, chains={}
    )
    return Loaded(config, base)


def csv(*rows: str) -> bytes:
    return "".join(f"{row}\n" for row in ("a,m,d", *rows)).encode()


def run(setup: Loaded, store: Any = None, progress: Callable[[str], None] | None = None) -> Collection:
    evidence = Evidence(store or LocalStore(setup.base / "private"))
    return collect(
        setup, period="2026-W47", cutoff=CUTOFF, now=lambda: NOW, evidence=evidence, clients={}, progress=progress
    )


def seen(*files: bytes, **changes: Any) -> Observation:
    one = Account.model_validate(account(**changes))
    fetched = [Document.of(f"file{n}", data) for n, data in enumerate(files)]
    return observe("main", one, one.sources[0], fetched, NOW, CUTOFF, base=Path())


def refusal(*files: bytes, **changes: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        seen(*files, **changes)
    assert caught.value.message.startswith("account main, source one: file")
    assert caught.value.reason
    assert caught.value.advice
    return caught.value


# -- observe ---------------------------------------------------------------------------------------------------------


def test_observe__statement_of_the_account__is_the_observation_with_its_evidence() -> None:
    data = csv("1234,5.00,2026-11-20")
    assert seen(data) == Observation(
        account="main",
        source="one",
        external_account="1234",
        currency="USD",
        minor_units=500,
        balance_kind="closing-booked",
        as_of=datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC),
        statement_id="",
        retrieved_at=NOW,
        evidence=(records.digest(data),),
        business_date="2026-11-20",
        provenance=("file0",),
        contents=(records.digest(data),),
    )


def test_observe__several_dates_and_files__takes_the_newest_at_or_before_the_cutoff() -> None:
    observation = seen(
        csv("1234,1.00,2026-11-19", "1234,2.00,2026-11-22", "99,9.00,2026-11-22"),
        csv("1234,3.00,2026-11-23", "1234,4.00,2026-11-18"),
    )
    assert (observation.minor_units, observation.business_date) == (200, "2026-11-22")
    assert len(observation.evidence) == 2


def test_observe__balance_exactly_at_the_cutoff__counts_and_a_second_later_does_not() -> None:
    options = TIMED | {"date_format": "YYYY-MM-DDThh:mm:sszzz"}
    at, after = csv("1234,1.00,2026-11-22T23:59:59Z"), csv("1234,1.00,2026-11-23T00:00:00Z")
    assert seen(at, sources=(source(options=options),)).as_of == CUTOFF
    assert refusal(after, sources=(source(options=options),)).code == "future"


@pytest.mark.parametrize(("configured", "stated"), [("DE19 9993", "de199993"), ("de199993", "DE19 9993")])
def test_observe__spaces_and_case_of_an_iban__do_not_matter(configured: str, stated: str) -> None:
    assert seen(csv(f"{stated},5.00,2026-11-20"), external_account=configured).external_account == stated


def test_observe__look_alike_account__is_refused() -> None:
    cyrillic = "\u0410B12"
    fault = refusal(csv(f"{cyrillic},5.00,2026-11-20", "AB12,6.00,2026-11-20"), external_account="AB12")
    assert fault.code == "look-alike-account"
    assert "\\u0410" in fault.message
    assert refusal(csv("１２34,5.00,2026-11-20")).code == "look-alike-account"


def test_observe__another_account__is_refused_with_those_that_are_there() -> None:
    fault = refusal(csv(*(f"acc{n},5.00,2026-11-20" for n in range(7))))
    assert fault.code == "account-not-found"
    assert "12 34" in fault.message
    assert "acc0, acc1, acc2, acc3, acc4 and 2 more" in fault.message
    assert "more" not in refusal(csv("acc0,5.00,2026-11-20")).message


def test_observe__another_currency__is_refused() -> None:
    fault = refusal(csv("1234,5.00,2026-11-20"), sources=(source(options=CSV | {"currency": "EUR"}),))
    assert fault.code == "wrong-currency"
    assert "EUR, not USD" in fault.message


def test_observe__another_kind_of_balance__is_refused() -> None:
    assert refusal(csv("1234,5.00,2026-11-20"), balance_kind="custody-total").code == "wrong-balance-kind"


def test_observe__refused_file__names_account_source_and_file() -> None:
    assert refusal(b"x,y\n").code == "wrong-header"


def test_observe__two_files_that_differ_on_one_date__are_refused_with_both_values() -> None:
    fault = refusal(csv("1234,5.00,2026-11-20"), csv("1234,6.00,2026-11-20"))
    assert fault.code == "conflicting-statements"
    assert "5.00" in fault.message
    assert "6.00" in fault.message
    assert seen(csv("1234,5.00,2026-11-20"), csv("1234,5.00,2026-11-20")).minor_units == 500


def test_observe__files_that_differ_on_an_older_date__are_refused_as_well() -> None:
    older = (csv("1234,1.00,2026-11-18", "1234,5.00,2026-11-20"), csv("1234,2.00,2026-11-18"))
    assert refusal(*older).code == "conflicting-statements"


def test_observe__two_closing_balances_at_different_times_of_one_day__are_refused_unless_equal() -> None:
    timed = {"sources": (source(options=TIMED),)}
    fault = refusal(csv("1234,1.00,2026-11-20T08:00Z", "1234,2.00,2026-11-20T09:00Z"), **timed)
    assert fault.code == "conflicting-statements"
    assert seen(csv("1234,2.00,2026-11-20T08:00Z", "1234,2.00,2026-11-20T09:00Z"), **timed).as_of.hour == 9


def test_observe__snapshots_of_one_day__may_differ_but_not_at_one_instant() -> None:
    kind = {"balance_kind": "custody-total", "sources": (source(options=TIMED | {"balance_kind": "custody-total"}),)}
    assert seen(csv("1234,1.00,2026-11-20T08:00Z", "1234,2.00,2026-11-20T09:00Z"), **kind).minor_units == 200
    at_once = csv("1234,1.00,2026-11-20T08:00Z"), csv("1234,2.00,2026-11-20T08:00Z")
    assert refusal(*at_once, **kind).code == "conflicting-statements"


def test_observe__overdraft__is_observed_as_it_is_for_the_quorum_to_refuse() -> None:
    assert seen(csv("1234,-5.00,2026-11-20")).minor_units == -500


def test_observe__local_time__needs_a_configured_zone_and_not_the_default() -> None:
    options = CSV | {"date_format": "YYYY-MM-DD hh:mm"}
    changes = account(source(options=options))
    data = csv("1234,5.00,2026-11-20 10:00")
    assert seen(data, **changes).as_of == datetime(2026, 11, 20, 10, tzinfo=UTC)
    del changes["zone"]
    unzoned = Account.model_validate(changes)
    with pytest.raises(SourceError) as caught:
        observe("main", unzoned, unzoned.sources[0], [Document.of("f", data)], NOW, CUTOFF, base=Path())
    assert caught.value.code == "naive-time"


@pytest.mark.parametrize(("zone", "day"), [("UTC", "2026-11-20"), ("Asia/Tokyo", "2026-11-21")])
def test_observe__closing_balance_with_a_time__is_of_its_day_in_the_bank_s_zone(zone: str, day: str) -> None:
    timed = {"sources": (source(options=TIMED),), "zone": zone}
    assert seen(csv("1234,2.00,2026-11-20T18:00Z"), **timed).business_date == day
    live = {"sources": (source(options=TIMED | {"balance_kind": "custody-total"}),), "balance_kind": "custody-total"}
    assert seen(csv("1234,2.00,2026-11-20T18:00Z"), **live).business_date is None


# -- collect ---------------------------------------------------------------------------------------------------------


def test_collect__every_source__is_observed_in_the_configuration_s_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("1234,5.00,2026-11-20", "77,6.00,2026-11-20"))
    setup = loaded(tmp_path, b=account(source("two"), source("one")), a=account(source(), external_account="77"))
    lines: list[str] = []
    result = run(setup, progress=lines.append)
    assert [(one.account, one.source, one.minor_units) for one in result.observations] == [
        ("b", "two", 500), ("b", "one", 500), ("a", "one", 600),
    ]  # fmt: skip
    assert result.failures == ()
    assert result.observations[0].retrieved_at == NOW.replace(microsecond=0)
    assert sorted(line.split(": ")[1] for line in lines) == [
        "a/one read", "b/one read", "b/two read",
    ]  # fmt: skip
    assert lines[-1].startswith("3 of 3: ")


def test_collect__failing_sources__are_all_reported_beside_those_that_answer(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("1234,5.00,2026-11-20"))
    (tmp_path / "bad.csv").write_bytes(b"nonsense\n")
    setup = loaded(
        tmp_path,
        main=account(source("bad", location="bad.csv"), source("gone", location="gone.csv"), source("good")),
    )
    lines: list[str] = []
    result = run(setup, progress=lines.append)
    assert [one.source for one in result.observations] == ["good"]
    bad, gone = result.failures
    assert (bad.source, bad.code, bad.evidence) == ("bad", "wrong-header", (records.digest(b"nonsense\n"),))
    assert (gone.source, gone.code, gone.evidence) == ("gone", "file-missing", ())
    assert "gone.csv" in gone.message
    assert gone.reason
    assert gone.advice
    assert sum("failed" in line for line in lines) == 2


def test_collect__raw_bytes__are_kept_by_digest_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"nonsense\n")
    store = LocalStore(tmp_path / "private")
    run(loaded(tmp_path, main=account()), store)
    assert store.list("") == [f"evidence/{records.digest(b'nonsense' + bytes([10]))}"]
    assert store.get(store.list("")[0]) == b"nonsense\n"


def test_collect__again__finds_its_evidence_and_gives_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("1234,5.00,2026-11-20"))
    setup = loaded(tmp_path, main=account())
    assert run(setup) == run(setup)
    assert run(setup, OverlayStore(LocalStore(tmp_path / "private"))) == run(setup)


def test_collect__stored_evidence_that_was_changed__is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("1234,5.00,2026-11-20"))
    setup = loaded(tmp_path, main=account())
    (observation,) = run(setup).observations
    (tmp_path / "private/evidence" / observation.evidence[0]).write_bytes(b"forged")
    with pytest.raises(ConflictError) as caught:
        run(setup)
    assert caught.value.exit_code == 7


def test_collect__store_that_cannot_be_written__stops_everything(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("1234,5.00,2026-11-20"))
    (tmp_path / "private").write_bytes(b"not a folder")
    with pytest.raises(OperatorError) as caught:
        run(loaded(tmp_path, main=account()), progress=lambda line: None)
    assert caught.value.code == "store-unavailable"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "mt942"}, "unknown-format"),
        ({"options": CSV | {"colour": "red"}}, "unknown-option"),
        ({"location": "gopher://bank.example"}, "unknown-transport"),
    ],
)
def test_collect__configuration_that_cannot_work__is_refused_before_anything_is_read(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    setup = loaded(tmp_path, main=account(source("good"), source("bad", **changes)))
    with pytest.raises(OperatorError) as caught:
        run(setup)
    assert caught.value.code == code
    assert caught.value.message.startswith("accounts.main.sources.bad: ")
    assert not (tmp_path / "private").exists()


KRAKEN = {"asset": "ZUSD", "currency": "USD"}
API = {"account_is": "X", "currency_is": "USD", "amount": "/balance"}
QUERY = {"amount_column": "m", "date_column": "d", "currency": "USD"}


def venue(identifier: str, name: str, **changes: Any) -> dict[str, Any]:
    return source(identifier, format="kraken", location="", connection="http", options=KRAKEN | {"account": name}) | (
        changes
    )


def asking(identifier: str, **changes: Any) -> dict[str, Any]:
    return source(identifier, format="json", location="https://x.example/a", connection="http", options=API) | changes


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("1", venue("a", "1")), ("1", venue("b", "1"))),
        (("1", venue("a", "1")), ("2", venue("a", "2"))),
        (("X", asking("a")), ("Y", asking("b", options=API | {"account_is": "Y"}))),
    ],
)
def test_check_configuration__two_sources_that_ask_the_same__are_refused(
    tmp_path: Path, first: tuple[str, dict[str, Any]], second: tuple[str, dict[str, Any]]
) -> None:
    names = ("main", "main" if first[0] == second[0] else "other")
    accounts: dict[str, Any] = {}
    for name, (external, one) in zip(names, (first, second), strict=True):
        accounts.setdefault(name, account(external_account=external, sources=()))["sources"] += (one,)
    with pytest.raises(OperatorError) as caught:
        check_configuration(with_connections(loaded(tmp_path, **accounts)))
    assert caught.value.code == "asked-twice"
    assert caught.value.message == (
        f"accounts.{names[1]}.sources.{second[1]['id']}: asks the same as accounts.main.sources.a"
    )


@pytest.mark.parametrize(
    "different",
    [
        venue("b", "2", options=KRAKEN | {"account": "2", "asset": "USDC"}),
        venue("b", "2", location="https://x.example"),
        venue("b", "2", connection="http2"),
        venue("b", "2", corroborates=True),
    ],
)
def test_check_configuration__sources_that_ask_otherwise_or_only_corroborate__are_two(
    tmp_path: Path, different: dict[str, Any]
) -> None:
    one = account(venue("a", "1"), external_account="1")
    two = account(different, source("c"), external_account="2")
    check_configuration(with_connections(loaded(tmp_path, one=one, two=two)))


def test_check_configuration__one_question_that_holds_or_one_answer_that_names_the_account__is_asked_for_each(
    tmp_path: Path,
) -> None:
    listed = {"account": "/iban", "currency_is": "USD", "amount": "/balance", "items": "/all"}
    named = {"query": "SELECT m, d FROM b WHERE a = :account", "account": "1"}
    each = {
        str(number): account(
            asking("list", options=listed),
            asking("place", location="https://x.example/{account}", options=API | {"account_is": str(number)}),
            asking("body", options=API | {"account_is": str(number), "method": "POST", "body": '{"of": "{account}"}'}),
            source("q", format="sql", location="", connection="sql", options=QUERY | named | {"account": str(number)}),
            external_account=str(number),
        )
        for number in (1, 2)
    }
    check_configuration(with_connections(loaded(tmp_path, **each)))


def with_connections(setup: Loaded) -> Loaded:
    http, sql = HttpConnection(kind="http"), SqlConnection(kind="sql", url="env:X")
    connections: dict[str, Any] = {"http": http, "http2": http, "sql": sql}
    return Loaded(setup.config.model_copy(update={"connections": connections}), setup.base)


def test_collect__many_sources__are_asked_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(5, timeout=20)

    def fetch(asked: Asked, reach: Reach, signature: object) -> tuple[Document, ...]:
        together.wait()
        return (Document.of(asked.location, csv("1234,5.00,2026-11-20")),)

    monkeypatch.setattr(transport, "fetch", fetch)
    sources = [source(f"s{n}") for n in range(10)]
    setup = loaded(tmp_path, Limits(max_concurrent=5), main=account(*sources))
    assert len(run(setup).observations) == 10


def test_collect__source_that_hangs__fails_at_the_deadline_is_named_before_and_the_others_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()

    def fetch(asked: Asked, reach: Reach, signature: object) -> tuple[Document, ...]:
        if asked.location == "slow.csv":
            hanging.wait(20)
        return (Document.of(asked.location, csv("1234,5.00,2026-11-20")),)

    monkeypatch.setattr(transport, "fetch", fetch)
    lines: list[str] = []
    setup = loaded(
        tmp_path, Limits(deadline_seconds=3), main=account(source("slow", location="slow.csv"), source("quick"))
    )
    result = run(setup, progress=lines.append)
    hanging.set()
    assert [one.source for one in result.observations] == ["quick"]
    assert [(one.source, one.code) for one in result.failures] == [("slow", "deadline")]
    assert any(line.startswith("1 of 2; waiting for main/slow (") for line in lines)


def test_collect__secret_of_one_source_is_missing__is_that_source_s_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(asked: Asked, reach: Reach, signature: object) -> tuple[Document, ...]:
        if asked.location == "api.csv":
            reach.secret("env:NOT_SET_ANYWHERE")
        return (Document.of(asked.location, csv("1234,5.00,2026-11-20")),)

    monkeypatch.setattr(transport, "fetch", fetch)
    result = run(loaded(tmp_path, main=account(source("api", location="api.csv"), source("file"))))
    assert [one.source for one in result.observations] == ["file"]
    assert [(one.source, one.code) for one in result.failures] == [("api", "secret-unavailable")]
    assert "NOT_SET_ANYWHERE" in result.failures[0].message


# -- reobserve -------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Loaded, LocalStore, tuple[Observation, ...]]:
    (tmp_path / "a.csv").write_bytes(csv("1234,5.00,2026-11-20"))
    (tmp_path / "b.csv").write_bytes(csv("1234,4.00,2026-11-19"))
    setup = loaded(tmp_path, main=account(source(location="*.csv"), source("two")))
    store = LocalStore(tmp_path / "private")
    observations = run(setup, store).observations
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).unlink()
    return setup, store, observations


Kept = tuple[Loaded, LocalStore, tuple[Observation, ...]]


def test_reobserve__stored_evidence__gives_equal_observations_without_the_files(kept: Kept) -> None:
    setup, store, observations = kept
    assert len(observations[0].evidence) == 2
    stored = records.from_json(Collection, records.to_json(Collection(observations, ())), "x").observations
    assert reobserve(setup, stored, Evidence(store), CUTOFF) == observations


def conflict(setup: Loaded, store: LocalStore, observation: Observation) -> ConflictError:
    with pytest.raises(ConflictError) as caught:
        reobserve(setup, [observation], Evidence(store), CUTOFF)
    assert (caught.value.exit_code, caught.value.code) == (7, "evidence-contradicts")
    return caught.value


@pytest.mark.parametrize(
    "changes",
    [
        {"minor_units": 501}, {"currency": "EUR"}, {"as_of": CUTOFF}, {"statement_id": "x"}, {"external_account": "12"},
        {"business_date": None}, {"balance_kind": "on-chain"}, {"evidence": ()}, {"account": "other"},
        {"source": "other"}, {"evidence": ("0" * 64,)},
    ],
)  # fmt: skip
def test_reobserve__any_field_that_was_changed__is_a_conflict(kept: Kept, changes: dict[str, Any]) -> None:
    setup, store, observations = kept
    assert observations[0].source in conflict(
        setup, store, dataclasses.replace(observations[0], **changes)
    ).message or (changes.get("source") == "other")


def test_reobserve__order_of_several_documents__is_part_of_what_was_observed(kept: Kept) -> None:
    setup, store, observations = kept
    several = next(one for one in observations if len(one.evidence) > 1)
    swapped = dataclasses.replace(several, evidence=several.evidence[::-1])
    assert several.source in conflict(setup, store, swapped).message


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_reobserve__evidence_missing_or_changed__is_a_conflict(kept: Kept, damage: str) -> None:
    setup, store, observations = kept
    path = store.root / "evidence" / observations[0].evidence[0]
    path.unlink() if damage == "missing" else path.write_bytes(csv("1234,6.00,2026-11-20"))
    assert observations[0].evidence[0] in conflict(setup, store, observations[0]).message


# -- policies --------------------------------------------------------------------------------------------------------


def test_account_policies__each_account__has_its_rule_and_its_bank_s_business_date(tmp_path: Path) -> None:
    own = {"min_sources": 1, "min_origins": 1, "waiver": "single-feed", "change_limit_bps": 500, "max_age_hours": 2}
    setup = loaded(
        tmp_path,
        b=account(source(issuer_hosted=True), source("two"), zone="America/New_York"),
        a=account(quorum=own, external_account="77", holidays=(CUTOFF.date() - timedelta(days=2),)),
    )
    general, special = account_policies(setup.config, CUTOFF)
    assert (general.account, general.min_sources, general.min_origins, general.waiver) == ("b", 2, 2, None)
    assert [(one.source, one.issuer_hosted, one.business_date) for one in general.sources] == [
        ("one", True, "2026-11-20"), ("two", False, "2026-11-20"),
    ]  # fmt: skip
    assert (special.min_sources, special.waiver, special.change_limit_bps) == (1, "single-feed", 500)
    assert special.max_age_seconds == 7200
    assert special.sources[0].business_date == "2026-11-19"
    friday = account_policies(setup.config, CUTOFF - timedelta(days=2))
    assert friday[0].sources[0].business_date == "2026-11-19"


def test_collect__one_document_under_other_names_and_packed__is_one_witness(tmp_path: Path) -> None:
    data = csv("1234,5.00,2026-11-20")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inside.csv", data)
    for name, content in (("a.csv", data), ("b.csv", data), ("c.csv", gzip.compress(data)), ("d", archive.getvalue())):
        (tmp_path / name).write_bytes(content)
    sources = [source(name, location=name) for name in ("a.csv", "b.csv", "c.csv", "d")]
    setup = loaded(tmp_path, main=account(*sources))
    collected = run(setup)
    decided = decide(collected.observations, (), account_policies(setup.config, CUTOFF), CUTOFF, {}).accounts[0]
    assert (decided.outcome, decided.code) == ("refused", "too-few-sources")
    assert [one.code for one in decided.considered] == ["valid", *["same-document"] * 3]
