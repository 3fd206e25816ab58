"""What the page says in each situation: the four states, what is wrong, what is not watched, and that no text becomes
markup."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from attest.config import Loaded
from attest.errors import OperatorError
from attest.monitor.cycle import Snapshot, Watch
from attest.monitor.findings import Finding, findings
from attest.monitor.history import History, Memory, Span, Step
from attest.monitor.metrics import HEAD_TIME
from attest.monitor.page import OPEN_TOKENS, PLOTTED, MonitorPage, View
from attest.store import LocalStore
from tests.support.chains import ORACLE, Network, config
from tests.support.watched import ALL, LEDGER, World, address, watching


class Words(HTMLParser):
    """The text of a page as a reader meets it, its tags, and where its links lead."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text, self.tags, self.links, self._skipped = "", set[str](), list[str](), 0
        self.feed(page.decode())
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._skipped += tag in ("style", "svg")
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("style", "svg")
        if tag in ("li", "p", "td", "th", "h1", "h2", "h3", "summary"):
            self.text += " "

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.text += data


def page(watch: Watch, *, overdue: int | None = None, view: View | None = None, **changes: object) -> Words:
    snapshot = replace(watch.cycle(), **changes)
    found = findings(snapshot)
    maker = MonitorPage(watch.loaded.config, watch.history, watch.unwatched())
    return Words(maker.render(snapshot, found, view or View(), overdue))


def test_page__sufficient__says_in_one_sentence_what_is_there_as_of_when_and_who_can_check(tmp_path: Path) -> None:
    found = page(watching(World(), tmp_path))
    assert (
        "sufficient USDW: 1.20 USD reported on chain against 1 USDW issued (120.0 %), as of Mon 30 Nov 2026 00:54 UTC. "
        "By 3 of 3 reporters, last Mon 30 Nov 2026 00:53 UTC. Anyone with a node can check this at block 49."
        in found.text
    )


def test_page__short__says_by_how_much_exactly_and_what_to_type(tmp_path: Path) -> None:
    world = World()
    world.set_token("USDW", supply=1_200_001, reserve=1_200_000)
    text = page(watching(world, tmp_path)).text
    assert "short USDW: 1.20 USD reported on chain against 1.21 USDW issued (99.9 %), short by 0.000001 USDW" in text
    assert "critical ReserveShortfall P0 USDW: 1 units of reserve are missing" in text
    assert "cast send $MINT_CONTROLLER" in text
    assert "docs/alerts/ReserveShortfall.md" in text


def test_page__token_says_that_it_does_not_suffice__is_short(tmp_path: Path) -> None:
    world = World()
    world.answers[_token(world), "isReserveSufficient"] = (False,)
    assert (
        "short USDW: 1.20 USD reported on chain against 1 USDW issued (120.0 %), and yet"
        in page(watching(world, tmp_path)).text
    )


def test_page__no_quorum__is_withheld(tmp_path: Path) -> None:
    world = World()
    world.set_token("USDW", supply=1_000_000, reserve=None, age=7200)
    text = page(watching(world, tmp_path)).text
    assert "withheld USDW: reserve withheld (the oracle's quorum is not met) against 1 USDW issued" in text
    assert "By 3 of 3 reporters, of whose reports 3 are too old, last" in text


def test_page__token_that_cannot_be_read__is_stale_and_says_why_and_since_when(tmp_path: Path) -> None:
    world = World()
    watch = watching(world, tmp_path)
    assert watch.cycle().failures == ()
    del world.answers[_token(world), "totalSupply"]
    text = page(watch).text
    assert re.search(
        r"stale USDW: not read in this cycle, last read \w+ \d+ \w+ \d{4} \d\d:\d\d UTC\. .*reverted", text
    )
    assert "token-USDW failed" in text


def test_page__overdue__says_so_first_and_every_token_is_stale(tmp_path: Path) -> None:
    found = page(watching(World(), tmp_path), overdue=754)
    assert found.text.index("This page is old. The last cycle ended 12 minutes 34 seconds ago") < found.text.index(
        "USDW:"
    )
    assert "stale last answer: sufficient USDW: 1.20 USD" in found.text
    assert "What is held now, this page cannot say." in found.text
    assert found.text.startswith("overdue: attest monitor")


def test_page__chain_that_stands_still__is_stale(tmp_path: Path) -> None:
    world = World()
    later = datetime.fromtimestamp(world.now + 61, UTC)
    text = page(watching(world, tmp_path), at=later).text
    assert "stale last answer: sufficient USDW" in text
    assert "The newest block of chain main was 1 minute 1 second old when it was read." in text


def test_page__final_block_is_old__is_stale(tmp_path: Path) -> None:
    watch = watching(World(), tmp_path)
    final = watch.cycle().blocks["main"]
    text = page(watch, blocks={"main": replace(final, timestamp=final.timestamp - 3601)}).text
    assert "stale last answer: sufficient USDW" in text
    assert "The newest final block of chain main is 1 hour 1 second older than its head." in text


def test_page__one_of_a_tokens_chains_stands_still__is_stale(tmp_path: Path) -> None:
    loaded = Loaded(
        config(
            {"USDW": [("main", address(0), 6), ("other", address(0), 6)], "EURW": [("main", address(1), 6)]},
            chains={
                name: {"chain_id": number, "endpoints": (f"http://{name}.example",)}
                for name, number in (("main", 138), ("other", 139))
            },
        ),
        tmp_path,
    )
    world = World(tokens=("USDW", "EURW"))
    world.set_token("USDW", supply=500_000, reserve=1_200_000)
    network = Network(
        {"http://main.example": world.node(), "http://other.example": replace(world.node(), chain_id=139)}
    )
    now = datetime.fromtimestamp(world.now + 1, UTC)
    watch = Watch(loaded, LocalStore(tmp_path / "private"), lambda: now, network)
    snapshot = watch.cycle()
    assert snapshot.failures == ()
    stopped = [
        replace(each, value=world.now - 61) if each.metric is HEAD_TIME and each.labels == ("other",) else each
        for each in snapshot.samples
    ]
    text = page(watch, samples=tuple(stopped)).text
    assert "stale last answer: sufficient USDW" in text
    assert "The newest block of chain other was 1 minute 2 seconds old when it was read." in text
    assert " sufficient EURW: " in text


@pytest.mark.parametrize("seconds", [2**40, 2**62, 2**255])
def test_page__times_beyond_every_calendar__are_the_last_of_it(tmp_path: Path, seconds: int) -> None:
    world = World()
    watch = watching(world, tmp_path)
    now = watch.now()
    watch.now = lambda: now
    world.answers[ORACLE, f"reportOf {address(0)}"] = (1_200_000, seconds)
    world.headers[-1]["timestamp"] = hex(min(seconds, 2**62))
    assert "last Fri 31 Dec 9999 23:59 UTC" in page(watch).text


def test_page__first_cycle_under_way__says_so(tmp_path: Path) -> None:
    watch = watching(World(), tmp_path)
    found = Words(MonitorPage(watch.loaded.config, watch.history).render(None, [], View(), None))
    assert "The first cycle is under way." in found.text


def test_page__nothing_wrong__says_so_and_what_is_not_watched(tmp_path: Path) -> None:
    world = World()
    world.vaults()
    world.prices()
    watch = watching(world, tmp_path, ALL)
    maker = MonitorPage(watch.loaded.config, watch.history, watch.unwatched())
    text = Words(maker.render(watch.cycle(), [], View(), None)).text
    assert "Nothing is wrong." in text
    assert "Not configured, and not watched: monitor.index, monitor.liquidation, monitor.bridge, monitor.guard" in text


def test_page__worst_tokens__come_first_and_are_drawn(tmp_path: Path) -> None:
    symbols = tuple(f"T{n:02}" for n in range(OPEN_TOKENS + 4))
    world = World(tokens=symbols)
    world.set_token("T11", supply=10, reserve=9)
    world.set_token("T10", supply=10, reserve=None)
    watch = watching(world, tmp_path)
    found = page(watch)
    order = re.findall(r"(T\d\d): (?:[\d.]|reserve withheld)", found.text)
    assert order[:2] == ["T11", "T10"]
    assert "4 more tokens, sufficient" in found.text
    drawn = re.findall(r"(T\d\d): reserve and supply Last", found.text)
    assert len(drawn) == PLOTTED
    assert drawn[0] == "T11"
    assert f"{len(symbols) - PLOTTED} are not" in found.text


def test_page__history__is_drawn_with_its_numbers_behind_it(tmp_path: Path) -> None:
    world = World(healths=[15 * 10**17])
    world.vaults()
    watch = watching(world, tmp_path, {"ledger": {"address": LEDGER}})
    for hour in range(30, 0, -1):
        watch.history.note(world.now - hour * 3600, {"vault-health": 12_000 + hour})
    found = page(watch)
    assert "7 days" in found.text
    assert "Vaults: the lowest health ratio Last: lowest 150.00 %" in found.text
    assert "120.07 (120.07 to 120.12)" in found.text or "120.06 (120.06 to 120.11)" in found.text
    assert "/?over=hours#plots" in found.links


def test_page__history_that_cannot_be_read__costs_the_plots_only(tmp_path: Path) -> None:
    class Broken(Memory):
        def read(self, step: int, series: object, since: int) -> dict[str, list[Step]]:
            raise OperatorError("the disk <is> gone", code="index-unusable", advice="Bring it back.")

    watch = watching(World(), tmp_path)
    watch.history = History(Broken())
    text = page(watch).text
    assert "The history cannot be read: the disk <is> gone Bring it back." in text
    assert "sufficient USDW: 1.20 USD" in text


def test_page__many_subjects_of_one_alert__are_one_entry(tmp_path: Path) -> None:
    watch = watching(World(), tmp_path)
    found = [Finding("ReserveReportStale", "warning", "", f"T{n}", "3 reports are too old") for n in range(100)]
    text = Words(MonitorPage(watch.loaded.config, watch.history).render(watch.cycle(), found, View(), None)).text
    assert text.count("warning ReserveReportStale P3") == 1
    assert "T7: 3 reports are too old" in text
    assert "T8:" not in text
    assert "and 92 more" in text


def test_page__alert_without_a_page__is_shown_all_the_same(tmp_path: Path) -> None:
    watch = watching(World(), tmp_path)
    found = [Finding("NeverHeardOf", "critical", "P1", "main", "x")]
    text = Words(MonitorPage(watch.loaded.config, watch.history).render(watch.cycle(), found, View(), None)).text
    assert "critical NeverHeardOf P1 main: x" in text


def test_page__hostile_text__is_text(tmp_path: Path) -> None:
    hostile = '<script>alert("x")</script>\x1b[31m\u202e' * 9
    watch = watching(World(), tmp_path)
    snapshot = watch.cycle()
    snapshot = Snapshot(
        snapshot.at, {**snapshot.blocks, hostile: snapshot.blocks["main"]}, snapshot.samples, snapshot.failures,
        {**snapshot.heads, hostile: []},
    )  # fmt: skip
    maker = MonitorPage(watch.loaded.config, watch.history, [hostile])
    made = maker.render(snapshot, [Finding(hostile, "critical", "P0", hostile, hostile)], View(), None)
    found = Words(made)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", made.decode())
    assert found.text.count("<script>alert(") > 3


def test_page__long_token_name__is_cut(tmp_path: Path) -> None:
    name = "L" * 56
    found = page(watching(World(tokens=(name,)), tmp_path))
    assert f"{'L' * 39}…: 1.20 USD" in found.text
    assert name not in found.text
    assert f"{'L' * 39}…: reserve and supply" in found.text


@pytest.mark.parametrize(
    ("query", "view", "address"),
    [
        ("", View(), "/"),
        ("over=week", View("week"), "/?over=week"),
        ("over=week&refresh=off", View("week", False), "/?over=week&refresh=off"),
        ("refresh=off", View(None, False), "/?refresh=off"),
        ("over=%3Cscript%3E&refresh=yes", View(), "/"),
        ("&".join(["over=day"] * 5000), View(), "/"),
        ("%ff=%00", View(), "/"),
    ],
)
def test_view__query__is_what_reads_and_leads_back(query: str, view: View, address: str) -> None:
    assert View.of(query) == view
    assert View.of(query).address() == address


def test_page__chosen_span__is_what_is_shown(tmp_path: Path) -> None:
    seen: list[int] = []

    class Seen(Memory):
        def read(self, step: int, series: object, since: int) -> dict[str, list[Step]]:
            seen.append(step)
            return {}

    watch = watching(World(), tmp_path)
    watch.history = History(Seen())
    text = page(watch, view=View("week")).text
    assert seen == [Span("week", 3600, 1).step]
    assert "No number was noted in this time." in text


def _token(world: World) -> str:
    from tests.support.watched import address

    return address(world.tokens.index("USDW"))
